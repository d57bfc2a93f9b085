"""The other side of federation, for tests: certificates, names, several Hearths, and a homeserver in Python that may misbehave.

ca.py     an authority that the servers under test trust, and its certificates
events.py events of every room version: built, hashed, signed, named, redacted
peer.py   a homeserver that answers as told, remembers what it was asked, and signs what it sends
rooms.py  rooms as that homeserver has them
hearth.py a Hearth that speaks federation over TLS
synapse.py a Synapse from PyPI, as a living peer
dns.py    names on loopback: A and SRV records
follower.py all that a client has heard, whenever it came
hostile.py the security corpus as a server sends it
net.py    a wire in front of a server, which can be cut
"""
