"""/messages, /context and /event: pages in both directions, tokens, filters, visibility."""
import json

import pytest

from client import q
from history import ids, messages


@pytest.fixture
def talk(alice, bob):
    """A public room with 30 numbered messages of two users: (room, their event ids)."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    return room, [(alice if n % 2 else bob).send(room, f"message {n}") for n in range(30)]


def test_both_directions_give_the_same_events(alice, talk):
    room, sent = talk
    forward, _ = messages(alice, room, "f", 7)
    backward, _ = messages(alice, room, "b", 4)
    assert ids(forward) == ids(backward)[::-1]
    assert ids(forward)[-30:] == sent
    assert forward[0]["type"] == "m.room.create"


def test_limit_is_honoured_up_to_a_thousand(alice, talk):
    room, sent = talk
    assert len(alice.get(f"/rooms/{q(room)}/messages", dir="b")["chunk"]) == 10
    assert len(alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=3)["chunk"]) == 3
    whole = alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=5000)
    assert len(whole["chunk"]) >= 30 and whole["chunk"][-1]["type"] == "m.room.create"
    beyond = alice.get(f"/rooms/{q(room)}/messages", dir="b", **{"from": whole["end"]})
    assert beyond["chunk"] == [] and "end" not in beyond


def test_tokens_lead_back(alice, talk):
    room, sent = talk
    page = alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=5)
    assert ids(page["chunk"]) == sent[:-6:-1]
    back = alice.get(f"/rooms/{q(room)}/messages", dir="f", limit=3, **{"from": page["end"]})
    assert ids(back["chunk"]) == sent[-5:-2]
    bounded = alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=100, to=page["end"])
    assert ids(bounded["chunk"]) == ids(page["chunk"])


@pytest.mark.parametrize("token", ["", "x", "p", "pb", "p99999999999999999999b", "p-1a", "t1-2_3", "p1c"])
def test_bad_tokens_are_refused(alice, talk, token):
    room, _ = talk
    alice.fails(400, "M_INVALID_PARAM", "GET", f"/rooms/{q(room)}/messages", params={"dir": "b", "from": token})


def test_a_token_of_another_room_is_refused(alice, talk):
    room, _ = talk
    other = alice.create_room()
    token = alice.get(f"/rooms/{q(other)}/messages", dir="b", limit=1)["end"]
    alice.fails(400, "M_INVALID_PARAM", "GET", f"/rooms/{q(room)}/messages", params={"dir": "b", "from": token})


def test_arguments_are_checked(alice, talk):
    room, _ = talk
    for params in ({}, {"dir": "x"}, {"dir": "b", "limit": "-1"}, {"dir": "b", "limit": "many"}):
        assert alice.raw("GET", f"/rooms/{q(room)}/messages", params=params).status_code == 400
    assert alice.raw("GET", f"/rooms/{q(room)}/messages", params={"dir": "b", "filter": "{"}).status_code == 400


def test_filters_look_further_than_a_page(alice, bob, talk):
    room, sent = talk
    members = {"types": ["m.room.member"]}
    got, _ = messages(alice, room, "b", 1, filter=json.dumps(members))
    assert [e["state_key"] for e in got] == [bob.user_id, alice.user_id]
    got, _ = messages(alice, room, "f", 100, filter=json.dumps({"senders": [bob.user_id], "types": ["m.room.message"]}))
    assert ids(got) == sent[0::2]


def test_lazy_loading_brings_the_senders(alice, bob, talk):
    room, _ = talk
    got = alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=1, filter=json.dumps({"lazy_load_members": True}))
    assert [(e["type"], e["state_key"]) for e in got["state"]] == [("m.room.member", got["chunk"][0]["sender"])]


def test_context_surrounds_an_event(alice, talk):
    room, sent = talk
    got = alice.get(f"/rooms/{q(room)}/context/{q(sent[10])}", limit=6)
    assert got["event"]["event_id"] == sent[10]
    assert ids(got["events_before"]) == sent[9:6:-1]
    assert ids(got["events_after"]) == sent[11:14]
    before = alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=2, **{"from": got["start"]})
    after = alice.get(f"/rooms/{q(room)}/messages", dir="f", limit=2, **{"from": got["end"]})
    assert ids(before["chunk"]) == sent[6:4:-1] and ids(after["chunk"]) == sent[14:16]
    assert any(e["type"] == "m.room.create" for e in got["state"])
    alone = alice.get(f"/rooms/{q(room)}/context/{q(sent[10])}", limit=0)
    assert alone["events_before"] == alone["events_after"] == []


def test_strangers_read_nothing(talk, user):
    room, sent = talk
    eve = user()
    eve.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/messages", params={"dir": "b"})
    eve.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/context/{q(sent[0])}")
    assert eve.raw("GET", f"/rooms/{q(room)}/event/{q(sent[0])}").status_code in (403, 404)
    eve.fails(403, "M_FORBIDDEN", "GET", "/rooms/!nowhere:hearth.test/messages", params={"dir": "b"})


@pytest.mark.parametrize("visibility, before, invited, after", [
    ("joined", False, False, False), ("invited", False, True, False), ("shared", True, True, False), ("world_readable", True, True, True),
])
def test_history_visibility_decides_for_each_event(alice, bob, visibility, before, invited, after):
    room = alice.create_room(initial_state=[{"type": "m.room.history_visibility", "state_key": "",
                                             "content": {"history_visibility": visibility}}])
    events = {"before": alice.send(room, "before the invitation")}
    alice.invite(room, bob)
    events["invited"] = alice.send(room, "while invited")
    bob.join(room)
    events["joined"] = alice.send(room, "while joined")
    bob.leave(room)
    events["after"] = alice.send(room, "after leaving")
    seen = {name: event in ids(messages(bob, room, "b", 5)[0]) for name, event in events.items()}
    assert seen == {"before": before, "invited": invited, "joined": True, "after": after}
    for name, event in events.items():
        assert (bob.raw("GET", f"/rooms/{q(room)}/event/{q(event)}").status_code == 200) == seen[name]
        assert (bob.raw("GET", f"/rooms/{q(room)}/context/{q(event)}").status_code == 200) == seen[name]


def test_unsigned_says_what_belongs_to_the_reader(alice, bob):
    room = alice.create_room(preset="public_chat", topic="one")
    bob.join(room)
    event = bob.send(room, "hello", txn="my-transaction")
    mine = bob.get(f"/rooms/{q(room)}/event/{q(event)}")["unsigned"]
    theirs = alice.get(f"/rooms/{q(room)}/event/{q(event)}")["unsigned"]
    assert mine["transaction_id"] == "my-transaction" and "transaction_id" not in theirs
    assert mine["age"] >= 0 and mine["membership"] == "join"
    topic = alice.set_state(room, "m.room.topic", {"topic": "two"})
    got = alice.get(f"/rooms/{q(room)}/event/{q(topic)}")["unsigned"]
    assert got["prev_content"]["topic"] == "one" and got["prev_sender"] == alice.user_id
    redaction = alice.put(f"/rooms/{q(room)}/redact/{q(event)}/r1", {"reason": "because"})["event_id"]
    got = bob.get(f"/rooms/{q(room)}/event/{q(event)}")
    assert got["content"] == {} and got["unsigned"]["redacted_because"]["event_id"] == redaction
    assert got["unsigned"]["redacted_because"]["content"]["reason"] == "because"
