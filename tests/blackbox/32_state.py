"""A room's state and its members, as it is, as it was, and as those see it who have left."""
import json

import pytest

from client import q, register
from history import messages

VERSIONS = tuple(str(n) for n in range(1, 13))


def at(room, door):
    return f"/rooms/{q(room)}/{door}"


def state(client, room):
    return {(e["type"], e["state_key"]): e["content"] for e in client.get(at(room, "state"))}


def members(client, room, **params):
    return {e["state_key"]: e["content"]["membership"] for e in client.get(at(room, "members"), **params)["chunk"]}


@pytest.fixture
def public(alice):
    return alice.create_room(preset="public_chat")


@pytest.fixture
def carol(user):
    return user()


# setting and reading

@pytest.mark.parametrize("key", ["", "k", "a/b", "ü €", "with space", "%2F", "x" * 255])
def test_state_is_set_and_read_by_type_and_key(alice, public, key):
    path = at(public, f"state/org.example/{q(key)}")
    event = alice.put(path, {"n": 1})["event_id"]
    assert alice.get(path) == {"n": 1}
    whole = alice.get(path, format="event")
    assert (whole["event_id"], whole["state_key"], whole["type"]) == (event, key, "org.example")
    assert whole["sender"] == alice.user_id and whole["room_id"] == public
    assert state(alice, public)["org.example", key] == {"n": 1}


def test_the_last_slash_may_be_missing(alice, public):
    alice.put(at(public, "state/org.example"), {"n": 1})
    assert alice.get(at(public, "state/org.example")) == alice.get(at(public, "state/org.example/")) == {"n": 1}


def test_what_is_not_there_or_not_for_others(alice, bob, public):
    alice.fails(404, "M_NOT_FOUND", "GET", at(public, "state/org.example"))
    alice.fails(404, "M_NOT_FOUND", "GET", at(public, "state/m.room.topic/key"))
    alice.fails(400, "M_INVALID_PARAM", "GET", at(public, "state/m.room.create?format=x"))
    for path in ("state", "state/m.room.create", "members", "joined_members"):
        bob.fails(403, "M_FORBIDDEN", "GET", at(public, path))
        bob.fails(403, "M_FORBIDDEN", "GET", at("!nowhere:hearth.test", path))


def test_the_same_again_is_the_same_event(alice, bob, public):
    first = alice.set_state(public, "org.example", {"a": 1, "b": [1, {}]})
    assert alice.put(at(public, "state/org.example"), data=b'{ "b" : [1,{}] , "a":1 }')["event_id"] == first
    second = alice.set_state(public, "org.example", {"a": 2})
    assert alice.set_state(public, "org.example", {"a": 1, "b": [1, {}]}) not in (first, second)
    bob.join(public)
    alice.set_state(public, "m.room.power_levels", {**alice.get_state(public, "m.room.power_levels"), "state_default": 0})
    mine = alice.set_state(public, "org.example", {"a": 3})
    assert bob.set_state(public, "org.example", {"a": 3}) != mine  # another's is another event
    before = len(messages(alice, public, "f")[0])
    again = alice.set_state(public, "m.room.name", {"name": "x"})
    assert alice.set_state(public, "m.room.name", {"name": "x"}) == again
    assert len(messages(alice, public, "f")[0]) == before + 1


def test_a_change_names_what_it_replaced(alice, public):
    first = alice.set_state(public, "m.room.topic", {"topic": "1"})
    second = alice.set_state(public, "m.room.topic", {"topic": "2"})
    unsigned = alice.get(at(public, f"event/{q(second)}"))["unsigned"]
    assert unsigned["prev_content"] == {"topic": "1"} and unsigned["replaces_state"] == first


def test_what_may_not_be_set(alice, bob, public):
    bob.join(public)

    def put(client, type, content, key="", status=403, errcode="M_FORBIDDEN"):
        client.fails(status, errcode, "PUT", at(public, f"state/{type}/{q(key)}"), content)
    put(bob, "m.room.name", {"name": "x"})
    put(alice, "m.room.create", {"room_version": "12", "x": 1})
    put(alice, "org.example", {}, key=bob.user_id)
    put(alice, "org.example", {"x": 1.5}, status=400, errcode="M_BAD_JSON")
    put(alice, "org.example", {"x": 2**53}, status=400, errcode="M_BAD_JSON")
    put(alice, "org.example", {"x": "x" * 66000}, status=413, errcode="M_TOO_LARGE")
    put(alice, "org.example", {}, key="x" * 256, status=413, errcode="M_TOO_LARGE")
    put(alice, "x" * 256, {}, status=413, errcode="M_TOO_LARGE")
    put(alice, "m.room.power_levels", {"ban": "50"}, status=400, errcode="M_BAD_JSON")
    put(alice, "m.room.power_levels", {"users": {"nobody": 1}})
    put(alice, "org.example", [], status=400, errcode="M_BAD_JSON")


# redacting

@pytest.mark.parametrize("version", VERSIONS)
def test_redacted_state_keeps_what_the_protocol_needs(each_hs, version):
    alice, bob = register(each_hs), register(each_hs)
    room = alice.create_room(preset="public_chat", room_version=version, name="N")
    bob.join(room)
    topic = alice.set_state(room, "m.room.topic", {"topic": "rude"})
    joined = alice.get(at(room, f"state/m.room.member/{q(bob.user_id)}"), format="event")["event_id"]
    bob.fails(403, "M_FORBIDDEN", "PUT", at(room, f"redact/{q(topic)}/r0"), {})
    redaction = alice.put(at(room, f"redact/{q(topic)}/r1"), {"reason": "rude"})["event_id"]
    alice.put(at(room, f"redact/{q(joined)}/r2"))
    assert alice.get_state(room, "m.room.topic") == {}
    assert alice.get_state(room, "m.room.member", bob.user_id) == {"membership": "join"}
    for client in (alice, bob):
        event = client.get(at(room, f"event/{q(topic)}"))
        assert event["content"] == {} and event["unsigned"]["redacted_because"]["event_id"] == redaction
        assert event["unsigned"]["redacted_because"]["content"]["reason"] == "rude"
        told = client.get(at(room, f"event/{q(redaction)}"))
        assert told["redacts"] == told["content"]["redacts"] == topic  # old and new clients find it
    each_hs.restart()
    assert alice.get_state(room, "m.room.topic") == {}
    assert [r for r in alice.get("/publicRooms")["chunk"] if r["room_id"] == room] == []


def test_a_redacted_name_leaves_the_directory(alice):
    room = alice.create_room(visibility="public", name=f"rude {alice.device_id}")
    event = alice.get(at(room, "state/m.room.name"), format="event")["event_id"]
    alice.put(at(room, f"redact/{q(event)}/r"))
    (listed,) = [r for r in alice.post("/publicRooms", {"limit": 500})["chunk"] if r["room_id"] == room]
    assert "name" not in listed


# members

@pytest.fixture
def crowd(alice, user):
    """A room with somebody in each membership: {membership: client}."""
    room = alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    who = {m: user() for m in ("invite", "leave", "ban", "knock")}
    alice.invite(room, who["invite"]), alice.invite(room, who["leave"])
    who["leave"].join(room), who["leave"].leave(room)
    alice.post(at(room, "ban"), {"user_id": who["ban"].user_id})
    who["knock"].post(f"/knock/{q(room)}")
    return room, {**who, "join": alice}


def test_members_are_filtered(alice, crowd):
    room, who = crowd
    everybody = {c.user_id: m for m, c in who.items()}
    assert members(alice, room) == everybody
    for m, c in who.items():
        assert members(alice, room, membership=m) == {c.user_id: m}
        assert members(alice, room, not_membership=m) == {u: n for u, n in everybody.items() if n != m}
    # "specified alongside not_membership, the two parameters create an 'or' condition"
    assert members(alice, room, membership="join", not_membership="leave") == {u: n for u, n in everybody.items() if n != "leave"}
    assert members(alice, room, membership="leave", not_membership="leave") == everybody
    for params in ({"membership": "x"}, {"not_membership": ""}, {"at": "x"}):
        alice.fails(400, "M_INVALID_PARAM", "GET", at(room, "members"), params=params)


def test_members_as_they_were(alice, bob, carol, public):
    start = alice.sync(filter='{"room": {"timeline": {"limit": 1}}}')["next_batch"]
    bob.join(public)
    middle = alice.get(at(public, "messages"), dir="b", limit=1)
    carol.join(public)
    bob.leave(public)
    assert members(alice, public) == {alice.user_id: "join", bob.user_id: "leave", carol.user_id: "join"}
    assert members(alice, public, at=start) == {alice.user_id: "join"}
    assert members(alice, public, at=middle["start"]) == {alice.user_id: "join", bob.user_id: "join"}
    assert members(alice, public, at=middle["start"], membership="leave") == {}
    # who left sees nobody who came later, whatever they ask for
    bob_sees = {alice.user_id: "join", bob.user_id: "leave", carol.user_id: "join"}
    assert members(bob, public) == bob_sees
    alice.post(at(public, "kick"), {"user_id": carol.user_id})
    now = alice.sync()["next_batch"]
    assert members(bob, public) == members(bob, public, at=now) == bob_sees


def test_joined_members(alice, bob, carol, public):
    bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": "Bob"})
    bob.put(f"/profile/{q(bob.user_id)}/avatar_url", {"avatar_url": "mxc://hearth.test/b"})
    bob.join(public)
    alice.invite(public, carol)
    assert alice.get(at(public, "joined_members"))["joined"] == {
        alice.user_id: {"display_name": None, "avatar_url": None}, bob.user_id: {"display_name": "Bob", "avatar_url": "mxc://hearth.test/b"}}
    carol.fails(403, "M_FORBIDDEN", "GET", at(public, "joined_members"))
    bob.leave(public)
    bob.fails(403, "M_FORBIDDEN", "GET", at(public, "joined_members"))
    assert list(alice.get(at(public, "joined_members"))["joined"]) == [alice.user_id]


def test_joined_rooms(alice, bob):
    rooms = [alice.create_room(preset="public_chat") for _ in range(3)]
    for room in rooms:
        bob.join(room)
    bob.leave(rooms[1])
    alice.invite(alice.create_room(), bob)
    assert sorted(bob.get("/joined_rooms")["joined_rooms"]) == sorted([rooms[0], rooms[2]])


# who left

@pytest.mark.parametrize("gone", ["leave", "kick", "ban"])
def test_who_left_sees_the_state_of_then(alice, bob, public, gone):
    bob.join(public)
    alice.set_state(public, "m.room.topic", {"topic": "then"})
    bob.leave(public) if gone == "leave" else alice.post(at(public, gone), {"user_id": bob.user_id})
    later = alice.set_state(public, "m.room.topic", {"topic": "now"})
    alice.set_state(public, "org.example", {"new": True})
    assert bob.get_state(public, "m.room.topic") == {"topic": "then"}
    seen = state(bob, public)
    assert seen["m.room.topic", ""] == {"topic": "then"} and ("org.example", "") not in seen
    assert seen["m.room.member", bob.user_id]["membership"] == ("ban" if gone == "ban" else "leave")
    bob.fails(404, "M_NOT_FOUND", "GET", at(public, "state/org.example"))
    bob.fails(404, "M_NOT_FOUND", "GET", at(public, f"event/{q(later)}"))
    assert later not in [e["event_id"] for e in messages(bob, public, "b")[0]]


def test_who_comes_back_sees_the_state_of_now(alice, bob, public):
    bob.join(public), bob.leave(public)
    alice.set_state(public, "m.room.topic", {"topic": "now"})
    bob.join(public)
    assert bob.get_state(public, "m.room.topic") == {"topic": "now"}


def test_who_declined_an_invitation_never_was_there(alice, bob):
    room = alice.create_room(invite=[bob.user_id])
    bob.leave(room)
    for path in ("state", "members", "messages?dir=b"):
        bob.fails(403, "M_FORBIDDEN", "GET", at(room, path))


def test_anybody_sees_a_world_readable_room(alice, bob, carol):
    room = alice.create_room(initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}])
    sent = alice.send(room, "for all")
    assert bob.get_state(room, "m.room.create") and members(bob, room) == {alice.user_id: "join"}
    assert bob.get(at(room, f"event/{q(sent)}"))["content"]["body"] == "for all"
    bob.fails(403, "M_FORBIDDEN", "PUT", at(room, "send/m.room.message/t"), {"body": "x"})
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    bob.fails(403, "M_FORBIDDEN", "GET", at(room, "state"))


def test_filters_pick_fields(alice, public):
    alice.send(public, "hello")
    chosen = {"room": {"timeline": {"limit": 1}, "state": {"types": []}},
              "event_fields": ["content.body", "unsigned.age", "type", "sender", "event_id", "origin_server_ts"]}
    (event,) = alice.sync(since=None, filter=json.dumps(chosen))["rooms"]["join"][public]["timeline"]["events"]
    assert event["content"] == {"body": "hello"} and list(event["unsigned"]) == ["age"]
    assert set(event) == {"content", "unsigned", "type", "sender", "event_id", "origin_server_ts"}
