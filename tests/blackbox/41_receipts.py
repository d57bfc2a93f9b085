"""Receipts, read markers and typing: what may be named, what is refused, who is told."""
import pytest

from client import login, q, register


@pytest.fixture
def talk(alice, bob):
    """A public room of alice and bob: (room, three events of alice)."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    return room, [alice.send(room, f"m{n}") for n in range(3)]


def receipt(room, event, kind="m.read"):
    return f"/rooms/{q(room)}/receipt/{q(kind)}/{q(event)}"


def in_thread(client, room, root):
    return client.send_content(room, {"msgtype": "m.text", "body": "x", "m.relates_to": {"rel_type": "m.thread", "event_id": root}})


def markers(room):
    return f"/rooms/{q(room)}/read_markers"


def fully_read(client, room):
    return client.get(f"/user/{q(client.user_id)}/rooms/{q(room)}/account_data/m.fully_read")["event_id"]


def shown(part):
    """{(event, kind, user): thread or None} of an answer's part."""
    found = {}
    for e in (part or {}).get("ephemeral", {}).get("events", []):
        if e["type"] == "m.receipt":
            for event, kinds in e["content"].items():
                for kind, users in kinds.items():
                    for user, data in users.items():
                        found.setdefault((event, kind, user), set()).add(data.get("thread_id"))
    return found


def of_room(client, room, **kw):
    return client.sync(**kw)["rooms"]["join"][room]


@pytest.mark.parametrize("body", [None, {}, {"thread_id": "main"}])
def test_an_empty_body_an_object_or_a_thread(bob, talk, body):
    room, events = talk
    answer = bob.raw("POST", receipt(room, events[0]), body)
    assert answer.status_code == 200 and answer.json() == {}


def test_what_is_refused(alice, bob, user, talk):
    room, events = talk
    for kind in ("m.unknown", "", "M.READ"):
        assert bob.raw("POST", receipt(room, events[0], kind)).status_code in (400, 404)
    bob.fails(400, "M_INVALID_PARAM", "POST", receipt(room, events[0], "m.unknown"))
    for thread in ("", 1, None, [], "$nowhere"):
        bob.fails(400, "M_INVALID_PARAM", "POST", receipt(room, events[0]), {"thread_id": thread})
    bob.fails(400, "M_INVALID_PARAM", "POST", receipt(room, events[0], "m.fully_read"), {"thread_id": "main"})
    bob.fails(400, "M_BAD_JSON", "POST", receipt(room, events[0]), [])
    bob.fails(404, "M_NOT_FOUND", "POST", receipt(room, "$nowhere"))
    other = alice.create_room()
    bob.fails(404, "M_NOT_FOUND", "POST", receipt(room, alice.send(other, "x")))
    bob.fails(403, "M_FORBIDDEN", "POST", receipt(other, alice.send(other, "x")))
    user().fails(403, "M_FORBIDDEN", "POST", receipt(room, events[0]))
    bob.leave(room)
    bob.fails(403, "M_FORBIDDEN", "POST", receipt(room, events[0]))


def test_threads_are_checked(alice, bob, talk):
    room, (root, other, _) = talk
    reply = in_thread(alice, room, root)
    bob.post(receipt(room, reply), {"thread_id": root})
    bob.post(receipt(room, root), {"thread_id": root})
    bob.post(receipt(room, root), {"thread_id": "main"})
    bob.fails(400, "M_INVALID_PARAM", "POST", receipt(room, reply), {"thread_id": "main"})
    bob.fails(400, "M_INVALID_PARAM", "POST", receipt(room, reply), {"thread_id": other})
    bob.fails(400, "M_INVALID_PARAM", "POST", receipt(room, other), {"thread_id": root})


def test_one_place_per_kind_and_thread(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    root = alice.send(room, "root")
    reply = in_thread(alice, room, root)
    last = alice.send(room, "last")
    alice.sync()
    bob.post(receipt(room, last))
    bob.post(receipt(room, root))  # behind: stays where it is
    bob.post(receipt(room, root), {"thread_id": "main"})
    bob.post(receipt(room, reply), {"thread_id": root})
    bob.post(receipt(room, last, "m.read.private"))
    public = {(last, "m.read", bob.user_id): {None}, (root, "m.read", bob.user_id): {"main"}, (reply, "m.read", bob.user_id): {root}}
    private = {(last, "m.read.private", bob.user_id): {None}}
    assert shown(of_room(alice, room)) == public
    assert shown(of_room(alice, room, since=None)) == public
    assert shown(of_room(bob, room, since=None)) == {**public, **private}
    each_hs.restart()
    assert shown(of_room(alice, room, since=None)) == public
    bob.sync()
    bob.post(receipt(room, last), {"thread_id": "main"})
    assert shown(of_room(bob, room)) == {(last, "m.read", bob.user_id): {"main"}}


def test_a_private_receipt_wakes_its_user_and_nobody_else(hs, alice, bob, talk):
    room, events = talk
    phone = login(hs, bob.user_id)
    phone.sync()
    alice.sync()
    bob.post(receipt(room, events[2], "m.read.private"))
    part = of_room(phone, room, timeout=20000)
    assert shown(part) == {(events[2], "m.read.private", bob.user_id): {None}}
    assert part["unread_notifications"]["notification_count"] == 0
    assert room not in alice.sync(timeout=500).get("rooms", {}).get("join", {})


def test_markers_only_move_on(bob, talk):
    room, events = talk
    assert bob.post(markers(room), {"m.fully_read": events[1], "m.read": events[2], "m.read.private": events[0]}) == {}
    assert fully_read(bob, room) == events[1]
    bob.post(markers(room), {"m.fully_read": events[0]})
    assert fully_read(bob, room) == events[1]
    bob.post(receipt(room, events[2], "m.fully_read"))
    assert fully_read(bob, room) == events[2]
    bob.post(markers(room), {})
    got = shown(of_room(bob, room, since=None))
    assert got == {(events[2], "m.read", bob.user_id): {None}, (events[0], "m.read.private", bob.user_id): {None}}


def test_markers_are_checked(alice, bob, user, talk):
    room, events = talk
    for body in ({"m.fully_read": 1}, {"m.read": []}, {"m.read.private": {}}):
        bob.fails(400, "M_BAD_JSON", "POST", markers(room), body)
    bob.fails(404, "M_NOT_FOUND", "POST", markers(room), {"m.fully_read": "$nowhere"})
    bob.fails(404, "M_NOT_FOUND", "POST", markers(room), {"m.read": "$nowhere"})
    user().fails(403, "M_FORBIDDEN", "POST", markers(room), {"m.fully_read": events[0]})
    alice.fails(404, "M_NOT_FOUND", "GET", f"/user/{q(alice.user_id)}/rooms/{q(room)}/account_data/m.fully_read")


def typing(room, client):
    return f"/rooms/{q(room)}/typing/{q(client.user_id)}"


def test_typing_is_checked(alice, bob, user, talk):
    room, _ = talk
    for body in ({"typing": "x"}, {"typing": 1}, {"typing": True, "timeout": "x"}, {"typing": True, "timeout": 1.5}):
        bob.fails(400, "M_BAD_JSON", "PUT", typing(room, bob), body)
    bob.fails(400, "M_MISSING_PARAM", "PUT", typing(room, bob), {"timeout": 1})
    bob.fails(403, "M_FORBIDDEN", "PUT", typing(room, alice), {"typing": True})
    bob.fails(403, "M_FORBIDDEN", "PUT", typing("!nowhere:hearth.test", bob), {"typing": True})
    carol = user()
    carol.fails(403, "M_FORBIDDEN", "PUT", typing(room, carol), {"typing": True})
    for timeout in (0, -1, 1, 2**53):
        bob.put(typing(room, bob), {"typing": True, "timeout": timeout})


def test_who_leaves_types_no_more(alice, bob, talk):
    room, _ = talk
    alice.sync()

    def who(part):
        return [e["content"]["user_ids"] for e in part.get("ephemeral", {}).get("events", []) if e["type"] == "m.typing"]
    bob.put(typing(room, bob), {"typing": True, "timeout": 60000})
    assert who(of_room(alice, room)) == [[bob.user_id]]
    bob.leave(room)
    assert who(of_room(alice, room)) == [[]]
