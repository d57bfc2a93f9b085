"""The same reaction is given once (Client-Server API, "Avoiding duplicate annotations")."""
from client import q


def test_the_same_reaction_is_given_once(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    said = alice.send(room, "what do you think?")
    up = {"m.relates_to": {"rel_type": "m.annotation", "event_id": said, "key": "\U0001f44d"}}
    path = f"/rooms/{q(room)}/send/m.reaction/"
    first = bob.put(path + "r1", up)["event_id"]
    bob.fails(400, "M_DUPLICATE_ANNOTATION", "PUT", path + "r2", up)
    assert bob.put(path + "r1", up)["event_id"] == first
    alice.put(path + "r1", up)
    bob.put(f"/rooms/{q(room)}/redact/{q(first)}/x1", {})
    assert bob.put(path + "r3", up)["event_id"] != first
    bob.fails(400, "M_DUPLICATE_ANNOTATION", "PUT", path + "r4", up)
