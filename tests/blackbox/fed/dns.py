"""A name server on loopback, for the options that name one: A and SRV records, everything else does not exist."""
import socket
import struct
import threading


def _name(text):
    return b"".join(bytes([len(p)]) + p.encode() for p in text.split(".") if p) + b"\0"


class DNS:
    """DNS({"a.test": "127.0.0.1", "_matrix-fed._tcp.a.test": [(priority, weight, port, "host.test")]}); `asked` has the questions."""

    def __init__(self, records):
        self.records, self.asked = dict(records), []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def close(self):
        self.socket.close()

    def _run(self):
        while True:
            try:
                query, who = self.socket.recvfrom(4096)
            except OSError:
                return
            self.socket.sendto(self._answer(query), who)

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += query[at] + 1
        kind, = struct.unpack("!H", query[at + 1:at + 3])
        name, question = ".".join(labels), query[12:at + 5]
        self.asked.append((name, kind))
        found = self.records.get(name)
        answers = []
        if kind == 1 and isinstance(found, str):
            answers = [socket.inet_aton(found)]
        if kind == 33 and isinstance(found, list):
            answers = [struct.pack("!HHH", *r[:3]) + _name(r[3]) for r in found]
        flags = 0x8180 | (0 if found is not None else 3)
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0)
        return head + question + b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(a)) + a for a in answers)
