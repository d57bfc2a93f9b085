"""Making rooms and writing to them: every option, every refusal, as the specification names them."""
import pytest

from client import q

CREATORS = tuple(str(n) for n in range(1, 13))


def state(client, room, type_, key=""):
    return client.get(f"/rooms/{q(room)}/state/{type_}/{q(key)}")


# createRoom

@pytest.mark.parametrize("version", CREATORS)
def test_versions(alice, version):
    room = alice.create_room(room_version=version, creation_content={"m.federate": False, "room_version": "nonsense"})
    create = state(alice, room, "m.room.create")
    assert create["room_version"] == version and create["m.federate"] is False
    assert (":" in room) == (version != "12")
    alice.send(room, "hello")


def test_options(alice, bob):
    room = alice.create_room(preset="public_chat", name="Pub", topic="Beer", room_alias_name=f"pub_{alice.device_id}",
                             visibility="public", invite=[bob.user_id], is_direct=True,
                             power_level_content_override={"events_default": 1},
                             initial_state=[{"type": "org.example", "state_key": "k", "content": {"a": 1}}])
    assert state(alice, room, "m.room.name") == {"name": "Pub"}
    assert state(alice, room, "m.room.topic")["topic"] == "Beer"
    assert state(alice, room, "m.room.topic")["m.topic"]["m.text"] == [{"body": "Beer"}]
    assert state(alice, room, "m.room.join_rules")["join_rule"] == "public"
    assert state(alice, room, "m.room.power_levels")["events_default"] == 1
    assert state(alice, room, "org.example", "k") == {"a": 1}
    assert state(alice, room, "m.room.member", bob.user_id)["is_direct"] is True
    alias = state(alice, room, "m.room.canonical_alias")["alias"]
    assert alice.get(f"/directory/room/{q(alias)}")["room_id"] == room
    assert alice.get(f"/directory/list/room/{q(room)}") == {"visibility": "public"}
    assert room in alice.get("/joined_rooms")["joined_rooms"]
    alice.fails(400, "M_ROOM_IN_USE", "POST", "/createRoom", {"room_alias_name": f"pub_{alice.device_id}"})


@pytest.mark.parametrize("body, status, errcode", [
    ({"room_version": 1}, 400, "M_BAD_JSON"),
    ({"room_version": "cake"}, 400, "M_UNSUPPORTED_ROOM_VERSION"),
    ({"preset": "cake"}, 400, "M_INVALID_PARAM"),
    ({"invite": ["nobody"]}, 400, "M_INVALID_PARAM"),
    ({"initial_state": [{"type": "m.room.create", "content": {}}]}, 400, "M_INVALID_ROOM_STATE"),
    ({"initial_state": "cake"}, 400, "M_BAD_JSON"),
    ({"invite_3pid": [{"id_server": "x", "id_access_token": "x", "medium": "email", "address": "x@y"}]}, 403, "M_THREEPID_DENIED"),
])
def test_refused(alice, body, status, errcode):
    before = alice.get("/joined_rooms")
    alice.fails(status, errcode, "POST", "/createRoom", body)
    assert alice.get("/joined_rooms") == before


# sending

def test_a_transaction_is_sent_once(alice):
    room = alice.create_room()
    path = f"/rooms/{q(room)}/send/m.room.message/txn1"
    first = alice.put(path, {"msgtype": "m.text", "body": "1"})
    assert alice.put(path, {"msgtype": "m.text", "body": "2"}) == first
    other = f"/rooms/{q(room)}/send/org.example/txn1"
    assert alice.put(other, {"body": "3"}) != first
    without = f"/rooms/{q(room)}/send/m.room.message"
    assert alice.post(without, {"body": "4"}) != alice.post(without, {"body": "4"})


def test_state_is_set_once(alice):
    room = alice.create_room()
    path = f"/rooms/{q(room)}/state/m.room.topic"
    first = alice.put(path, {"topic": "1"})
    assert alice.put(path + "/", {"topic": "1"}) == first
    assert alice.put(path, {"topic": "2"}) != first
    assert state(alice, room, "m.room.topic") == {"topic": "2"}


def test_what_may_not_be_sent(alice, bob):
    room = alice.create_room(preset="public_chat")
    send = f"/rooms/{q(room)}/send/m.room.message/t"
    bob.fails(403, "M_FORBIDDEN", "PUT", send + "0", {"body": "x"})
    bob.join(room)
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/state/m.room.name", {"name": "x"})
    alice.fails(413, "M_TOO_LARGE", "PUT", send + "1", {"body": "x" * 66000})
    alice.fails(400, "M_BAD_JSON", "PUT", send + "2", {"x": 1.5})
    alice.fails(400, "M_BAD_JSON", "PUT", send + "3", ["x"])
    alice.fails(400, "M_NOT_JSON", "PUT", send + "4", data="{")
    alice.fails(403, "M_FORBIDDEN", "PUT", "/rooms/!no:hearth.test/send/m.room.message/t", {})
    alice.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/state/x/{q(bob.user_id)}", {})


@pytest.mark.parametrize("version", CREATORS)
def test_redaction(alice, bob, version):
    room = alice.create_room(preset="public_chat", room_version=version)
    bob.join(room)
    said = bob.send(room, "bad words")
    mine = alice.send(room, "good words")
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/redact/{q(mine)}/r1", {})
    alice.fails(404, "M_NOT_FOUND", "PUT", f"/rooms/{q(room)}/redact/{q('$no')}/r2", {})
    first = alice.put(f"/rooms/{q(room)}/redact/{q(said)}/r3", {"reason": "rude"})
    assert alice.put(f"/rooms/{q(room)}/redact/{q(said)}/r3", {"reason": "rude"}) == first
    event = alice.get(f"/rooms/{q(room)}/event/{q(said)}")
    assert event["content"] == {} and event["unsigned"]["redacted_because"]["event_id"] == first["event_id"]
    # without a transaction id, as old clients do
    other = alice.send(room, "other words")
    alice.post(f"/rooms/{q(room)}/redact/{q(other)}", {"reason": "odd"})
    assert alice.get(f"/rooms/{q(room)}/event/{q(other)}")["unsigned"]["redacted_because"]["content"]["reason"] == "odd"
    # through the general door, too, in every version
    alice.put(f"/rooms/{q(room)}/send/m.room.redaction/r4", {"redacts": mine})
    assert alice.get(f"/rooms/{q(room)}/event/{q(mine)}")["content"] == {}


# membership

def test_membership(alice, bob):
    room = alice.create_room()
    path = f"/rooms/{q(room)}"
    bob.fails(403, "M_FORBIDDEN", "POST", path + "/join", {})
    alice.post(path + "/invite", {"user_id": bob.user_id, "reason": "come"})
    assert bob.post(path + "/join", {"org.example": 1})["room_id"] == room
    assert state(alice, room, "m.room.member", bob.user_id)["org.example"] == 1
    alice.fails(403, "M_FORBIDDEN", "POST", path + "/invite", {"user_id": bob.user_id})
    bob.fails(403, "M_FORBIDDEN", "POST", path + "/kick", {"user_id": alice.user_id})
    bob.fails(400, "M_UNKNOWN", "POST", path + "/forget", {})
    alice.post(path + "/kick", {"user_id": bob.user_id, "reason": "out"})
    assert state(alice, room, "m.room.member", bob.user_id) == {"membership": "leave", "reason": "out"}
    alice.fails(403, "M_FORBIDDEN", "POST", path + "/kick", {"user_id": bob.user_id})
    alice.post(path + "/ban", {"user_id": bob.user_id})
    alice.fails(403, "M_FORBIDDEN", "POST", path + "/invite", {"user_id": bob.user_id})
    alice.fails(403, "M_FORBIDDEN", "POST", path + "/kick", {"user_id": bob.user_id})
    alice.post(path + "/unban", {"user_id": bob.user_id})
    alice.fails(403, "M_FORBIDDEN", "POST", path + "/unban", {"user_id": bob.user_id})
    bob.post(path + "/forget", {})
    alice.fails(400, "M_MISSING_PARAM", "POST", path + "/invite", {})
    alice.fails(400, "M_INVALID_PARAM", "POST", path + "/invite", {"user_id": "bob"})
    alice.fails(403, "M_THREEPID_DENIED", "POST", path + "/invite",
                {"id_server": "x", "id_access_token": "x", "medium": "email", "address": "x@y"})
    alice.post(path + "/leave", {"reason": "bye"})
    assert room not in alice.get("/joined_rooms")["joined_rooms"]


def test_knocking(alice, bob):
    room = alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    assert bob.post(f"/knock/{q(room)}", {"reason": "let me in"})["room_id"] == room
    assert state(alice, room, "m.room.member", bob.user_id)["membership"] == "knock"
    alice.post(f"/rooms/{q(room)}/invite", {"user_id": bob.user_id})
    bob.join(room)
    closed = alice.create_room()
    bob.fails(403, "M_FORBIDDEN", "POST", f"/knock/{q(closed)}", {})
    bob.fails(404, "M_NOT_FOUND", "POST", f"/knock/{q('#no:hearth.test')}", {})


def test_restricted(alice, bob):
    parent = alice.create_room(preset="public_chat")
    room = alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": {
        "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": parent}]}}])
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}", {})
    bob.join(parent)
    bob.join(room)
    assert state(alice, room, "m.room.member", bob.user_id)["join_authorised_via_users_server"] == alice.user_id


# names and lists

def test_aliases(alice, bob, nobody):
    room = alice.create_room(preset="public_chat")
    server = alice.user_id.split(":", 1)[1]
    alias = f"#a_{alice.device_id}:{server}"
    path = f"/directory/room/{q(alias)}"
    nobody.fails(404, "M_NOT_FOUND", "GET", path)
    bob.fails(403, "M_FORBIDDEN", "PUT", path, {"room_id": room})
    alice.put(path, {"room_id": room})
    alice.fails(409, "M_UNKNOWN", "PUT", path, {"room_id": room})
    alice.fails(400, "M_INVALID_PARAM", "PUT", "/directory/room/nonsense", {"room_id": room})
    assert nobody.get(path) == {"room_id": room, "servers": [server]}
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/aliases")
    assert bob.post(f"/join/{q(alias)}")["room_id"] == room
    assert bob.get(f"/rooms/{q(room)}/aliases") == {"aliases": [alias]}
    canonical = f"/rooms/{q(room)}/state/m.room.canonical_alias"
    alice.fails(400, "M_BAD_ALIAS", "PUT", canonical, {"alias": f"#no:{server}"})
    alice.fails(400, "M_INVALID_PARAM", "PUT", canonical, {"alt_aliases": ["no"]})
    alice.put(canonical, {"alias": alias})
    bob.fails(403, "M_FORBIDDEN", "DELETE", path)
    alice.delete(path)
    assert state(alice, room, "m.room.canonical_alias") == {}
    alice.fails(404, "M_NOT_FOUND", "DELETE", path)


def test_public_rooms(alice, bob):
    mark = f"mark{alice.device_id}"
    rooms = [alice.create_room(visibility="public", name=f"{mark} {i}",
                               creation_content={"type": "m.space"} if i == 0 else {}) for i in range(5)]
    bob.join(rooms[3])

    def search(**body):
        return alice.post("/publicRooms", {"filter": {"generic_search_term": mark.upper(), **body.pop("filter", {})}, **body})

    page = search(limit=2)
    assert page["chunk"][0]["room_id"] == rooms[3] and page["chunk"][0]["num_joined_members"] == 2
    assert "prev_batch" not in page
    seen = [r["room_id"] for r in page["chunk"]]
    while "next_batch" in page:
        page = search(limit=2, since=page["next_batch"])
        seen += [r["room_id"] for r in page["chunk"]]
    assert sorted(seen) == sorted(rooms) and len(seen) == 5
    back = search(limit=2, since=page["prev_batch"])
    assert [r["room_id"] for r in back["chunk"]] == seen[2:4]
    spaces = search(filter={"room_types": ["m.space"]})["chunk"]
    assert [r["room_id"] for r in spaces] == [rooms[0]] and spaces[0]["room_type"] == "m.space"
    assert len(search(filter={"room_types": [None]})["chunk"]) == 4
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/directory/list/room/{q(rooms[3])}", {"visibility": "private"})
    alice.put(f"/directory/list/room/{q(rooms[3])}", {"visibility": "private"})
    assert rooms[3] not in [r["room_id"] for r in search()["chunk"]]
    assert alice.get("/publicRooms", limit=1)["chunk"]
    alice.fails(400, "M_INVALID_PARAM", "GET", "/publicRooms?since=nonsense")
    alice.fails(404, "M_NOT_FOUND", "GET", "/directory/list/room/!no:hearth.test")
