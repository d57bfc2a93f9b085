"""Typing, receipts and unread counts in /sync."""
import json

from client import login, q, register


def joined(answer, room):
    return answer.get("rooms", {}).get("join", {}).get(room)


def typing(part):
    return [e["content"]["user_ids"] for e in (part or {}).get("ephemeral", {}).get("events", []) if e["type"] == "m.typing"]


def receipts(part):
    return [e["content"] for e in (part or {}).get("ephemeral", {}).get("events", []) if e["type"] == "m.receipt"]


def unread(part):
    return part["unread_notifications"]["notification_count"], part["unread_notifications"]["highlight_count"]


def pair(hs):
    alice, bob = register(hs), register(hs)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    return alice, bob, room


def set_typing(client, room, yes, timeout=20000):
    client.put(f"/rooms/{q(room)}/typing/{q(client.user_id)}", {"typing": yes, "timeout": timeout} if yes else {"typing": False})


def test_typing_is_told_when_it_changes(hs):
    alice, bob, room = pair(hs)
    alice.sync()
    bob.sync()
    set_typing(alice, room, True)
    got = joined(bob.sync(), room)
    assert typing(got) == [[alice.user_id]] and got["timeline"]["events"] == [] and not got["timeline"]["limited"]
    assert joined(bob.sync(), room) is None
    set_typing(alice, room, True)
    assert joined(bob.sync(), room) is None
    first = register(hs)
    first.join(room)
    assert typing(joined(first.sync(), room)) == [[alice.user_id]]
    bob.sync()
    set_typing(alice, room, False)
    assert typing(joined(bob.sync(), room)) == [[]]
    # One who starts over may have been told before that somebody types.
    assert typing(joined(bob.sync(since=None), room)) == [[]]
    quiet = alice.create_room()
    assert typing(joined(alice.sync(since=None), quiet)) == []


def test_typing_ends_by_itself_and_wakes(hs):
    alice, bob, room = pair(hs)
    set_typing(alice, room, True, timeout=300)
    assert typing(joined(bob.sync(), room)) == [[alice.user_id]]
    assert typing(joined(bob.sync(timeout=20000), room)) == [[]]


def test_typing_passes_its_filter(hs):
    alice, bob, room = pair(hs)
    bob.sync()
    set_typing(alice, room, True)
    assert joined(bob.sync(filter=json.dumps({"room": {"ephemeral": {"not_types": ["m.typing"]}}})), room) is None


def test_receipts_of_others_and_own_ones(hs):
    alice, bob, room = pair(hs)
    event = alice.send(room, "hello")
    alice.sync()
    bob.sync()
    bob.post(f"/rooms/{q(room)}/receipt/m.read/{q(event)}")
    for who in (alice, bob):
        (content,) = receipts(joined(who.sync(), room))
        assert list(content) == [event] and content[event]["m.read"][bob.user_id]["ts"] > 0
    assert joined(alice.sync(), room) is None
    (content,) = receipts(joined(alice.sync(since=None), room))
    assert bob.user_id in content[event]["m.read"]


def test_private_receipts_are_for_their_user_alone(hs):
    alice, bob, room = pair(hs)
    event = alice.send(room, "hello")
    alice.sync()
    bob.sync()
    bob.post(f"/rooms/{q(room)}/receipt/m.read.private/{q(event)}")
    assert joined(alice.sync(), room) is None
    (content,) = receipts(joined(bob.sync(), room))
    assert bob.user_id in content[event]["m.read.private"]
    assert receipts(joined(alice.sync(since=None), room)) == []


def test_receipts_of_two_threads_for_one_event_both_arrive(hs):
    alice, bob, room = pair(hs)
    event = alice.send(room, "hello")
    bob.sync()
    bob.post(f"/rooms/{q(room)}/receipt/m.read/{q(event)}")
    bob.post(f"/rooms/{q(room)}/receipt/m.read/{q(event)}", {"thread_id": "main"})
    got = [c[event]["m.read"][bob.user_id].get("thread_id") for c in receipts(joined(bob.sync(), room))]
    assert sorted(got, key=str) == [None, "main"]


def test_unread_counts_rise_and_are_read(hs):
    alice, bob, room = pair(hs)
    bob.sync()
    events = [alice.send(room, f"m{i}") for i in range(3)]
    assert unread(joined(bob.sync(), room)) == (3, 0)
    alice.put(f"/rooms/{q(room)}/send/m.room.message/m", {"msgtype": "m.text", "body": "you",
                                                          "m.mentions": {"user_ids": [bob.user_id]}})
    assert unread(joined(bob.sync(), room)) == (4, 1)
    bob.post(f"/rooms/{q(room)}/receipt/m.read/{q(events[0])}")
    assert unread(joined(bob.sync(), room)) == (3, 1)
    bob.post(f"/rooms/{q(room)}/receipt/m.read.private/{q(events[1])}")
    assert unread(joined(bob.sync(), room)) == (2, 1)
    bob.send(room, "I have seen it all")
    assert unread(joined(bob.sync(), room)) == (0, 0)
    alice.send(room, "more")
    assert unread(joined(bob.sync(since=None), room)) == (1, 0)
    other = login(hs, bob.user_id)
    assert unread(joined(other.sync(), room)) == (1, 0)


def test_threads_are_counted_apart_when_asked_for(hs):
    alice, bob, room = pair(hs)
    root = alice.send(room, "root")
    for i in range(2):
        alice.put(f"/rooms/{q(room)}/send/m.room.message/t{i}", {
            "msgtype": "m.text", "body": "in the thread", "m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    threads = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})
    part = joined(bob.sync(filter=threads), room)
    assert unread(part) == (1, 0)
    assert part["unread_thread_notifications"] == {root: {"notification_count": 2, "highlight_count": 0}}
    part = joined(bob.sync(since=None), room)
    assert unread(part) == (3, 0) and "unread_thread_notifications" not in part


def test_what_came_before_joining_is_not_unread(hs):
    alice, bob = register(hs), register(hs)
    room = alice.create_room(preset="public_chat")
    alice.send(room, "before")
    bob.join(room)
    alice.send(room, "after")
    assert unread(joined(bob.sync(), room)) == (1, 0)


def test_read_markers_come_as_account_data(hs):
    alice, bob, room = pair(hs)
    event = alice.send(room, "hello")
    bob.sync()
    bob.post(f"/rooms/{q(room)}/read_markers", {"m.fully_read": event, "m.read": event})
    part = joined(bob.sync(), room)
    assert part["account_data"]["events"] == [{"type": "m.fully_read", "content": {"event_id": event}}]
    assert len(receipts(part)) == 1 and unread(part) == (0, 0)
