"""POST /createRoom: the order of a room's first events, presets, options, versions, and what is refused without leaving anything behind."""
import pytest

from client import q, register
from history import messages

VERSIONS = tuple(str(n) for n in range(1, 13))


def first_events(client, room):
    return messages(client, room, "f")[0]


def kinds(events):
    return [e["type"] if e.get("state_key", "") == "" else (e["type"], e["content"].get("membership")) for e in events]


def state(client, room):
    return {(e["type"], e["state_key"]): e["content"] for e in client.get(f"/rooms/{q(room)}/state")}


@pytest.mark.parametrize("version", VERSIONS)
def test_events_come_in_the_specified_order(alice, bob, version):
    room = alice.create_room(
        room_version=version, preset="private_chat", room_alias_name=f"order{version}_{alice.device_id}", name="N", topic="T",
        invite=[bob.user_id], initial_state=[{"type": "org.example.b", "content": {}},
                                             {"type": "org.example.a", "state_key": "k", "content": {"x": 1}}])
    assert kinds(first_events(alice, room)) == [
        "m.room.create", ("m.room.member", "join"), "m.room.power_levels", "m.room.canonical_alias", "m.room.join_rules",
        "m.room.history_visibility", "m.room.guest_access", "org.example.b", ("org.example.a", None), "m.room.name", "m.room.topic",
        ("m.room.member", "invite")]
    create = first_events(alice, room)[0]
    assert create["sender"] == alice.user_id and create["content"]["room_version"] == version
    assert create["content"].get("creator") == (alice.user_id if int(version) < 11 else None)


@pytest.mark.parametrize("preset, join_rule, guests", [("private_chat", "invite", "can_join"), ("trusted_private_chat", "invite", "can_join"),
                                                       ("public_chat", "public", "forbidden")])
def test_presets(alice, preset, join_rule, guests):
    s = state(alice, alice.create_room(preset=preset))
    assert s["m.room.join_rules", ""] == {"join_rule": join_rule}
    assert s["m.room.history_visibility", ""] == {"history_visibility": "shared"}
    assert s.get(("m.room.guest_access", ""), {"guest_access": "forbidden"}) == {"guest_access": guests}


@pytest.mark.parametrize("visibility, join_rule", [(None, "invite"), ("private", "invite"), ("public", "public")])
def test_visibility_chooses_the_preset(alice, nobody, visibility, join_rule):
    room = alice.create_room(**({"visibility": visibility} if visibility else {}))
    assert alice.get_state(room, "m.room.join_rules") == {"join_rule": join_rule}
    assert nobody.get(f"/directory/list/room/{q(room)}") == {"visibility": visibility or "private"}
    other = alice.create_room(visibility="public", preset="private_chat")
    assert alice.get_state(other, "m.room.join_rules") == {"join_rule": "invite"}


@pytest.mark.parametrize("version", VERSIONS)
def test_power_levels(alice, bob, version):
    room = alice.create_room(room_version=version, invite=[bob.user_id])
    levels = alice.get_state(room, "m.room.power_levels")
    assert levels["users"] == ({} if version == "12" else {alice.user_id: 100})
    assert levels["events"]["m.room.tombstone"] > levels["state_default"] or version != "12"
    bob.join(room)
    bob.send(room, "may speak")
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/state/m.room.topic/", {"topic": "may not"})
    alice.set_state(room, "m.room.topic", {"topic": "may"})


@pytest.mark.parametrize("version", VERSIONS)
def test_trusted_invitees_are_the_creators_equals(alice, bob, user, version):
    carol = user()
    room = alice.create_room(room_version=version, preset="trusted_private_chat", invite=[bob.user_id, bob.user_id],
                             creation_content={"additional_creators": [carol.user_id, bob.user_id]})
    if version == "12":
        creators = alice.get_state(room, "m.room.create")["additional_creators"]
        assert sorted(creators) == sorted([bob.user_id, carol.user_id])
        assert alice.get_state(room, "m.room.power_levels")["users"] == {}
    else:
        assert alice.get_state(room, "m.room.power_levels")["users"] == {alice.user_id: 100, bob.user_id: 100}
    bob.join(room)
    bob.set_state(room, "m.room.power_levels", {**alice.get_state(room, "m.room.power_levels"), "ban": 75})


def test_the_override_is_applied_on_top(alice):
    room = alice.create_room(power_level_content_override={"users_default": 5, "events": {"org.example": 7}, "org.example.x": "y"})
    levels = alice.get_state(room, "m.room.power_levels")
    assert (levels["users_default"], levels["events"], levels["org.example.x"]) == (5, {"org.example": 7}, "y")
    assert levels["ban"] == 50 and levels["events_default"] == 0


def test_initial_state_wins_over_the_preset_and_loses_to_names(alice):
    room = alice.create_room(preset="private_chat", name="real name", topic="real topic", initial_state=[
        {"type": "m.room.join_rules", "content": {"join_rule": "public"}},
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}},
        {"type": "m.room.guest_access", "content": {"guest_access": "forbidden"}},
        {"type": "m.room.name", "content": {"name": "other name"}}, {"type": "m.room.topic", "content": {"topic": "other topic"}},
        {"type": "m.room.power_levels", "content": {"users_default": 3}}])
    s = state(alice, room)
    assert s["m.room.join_rules", ""] == {"join_rule": "public"}
    assert s["m.room.history_visibility", ""] == {"history_visibility": "joined"}
    assert s["m.room.guest_access", ""] == {"guest_access": "forbidden"}
    assert s["m.room.name", ""] == {"name": "real name"} and s["m.room.topic", ""]["topic"] == "real topic"
    assert s["m.room.power_levels", ""] == {"users_default": 3}
    assert kinds(first_events(alice, room)).count("m.room.join_rules") == 1


def test_creation_content_is_kept_but_for_what_is_the_servers(alice):
    for version in VERSIONS:
        room = alice.create_room(room_version=version, creation_content={
            "m.federate": False, "type": "m.space", "room_version": "1", "creator": "@evil:hearth.test", "org.example": [1]})
        create = alice.get_state(room, "m.room.create")
        assert create["m.federate"] is False and create["type"] == "m.space" and create["org.example"] == [1]
        assert create["room_version"] == version and create.get("creator") in (None, alice.user_id)


def test_the_default_version_is_the_advertised_one(alice):
    versions = alice.get("/capabilities")["capabilities"]["m.room_versions"]
    assert alice.get_state(alice.create_room(), "m.room.create")["room_version"] == versions["default"]
    assert {v for v, how in versions["available"].items() if how == "stable"} >= set(VERSIONS)


def test_direct_invitations_say_so(alice, bob):
    room = alice.create_room(is_direct=True, invite=[bob.user_id])
    assert alice.get_state(room, "m.room.member", bob.user_id)["is_direct"] is True
    assert "is_direct" not in alice.get_state(room, "m.room.member", alice.user_id)


def test_the_alias_leads_to_the_room(alice, bob, nobody):
    name = f"alias_{alice.device_id}"
    room = alice.create_room(room_alias_name=name, preset="public_chat")
    alias = f"#{name}:hearth.test"
    assert nobody.get(f"/directory/room/{q(alias)}") == {"room_id": room, "servers": ["hearth.test"]}
    assert alice.get_state(room, "m.room.canonical_alias") == {"alias": alias}
    assert bob.join(alias) == room
    alice.fails(400, "M_ROOM_IN_USE", "POST", "/createRoom", {"room_alias_name": name})


@pytest.mark.parametrize("body, status, errcode", [
    ({"visibility": "secret"}, 400, "M_INVALID_PARAM"),
    ({"visibility": 1}, 400, "M_BAD_JSON"),
    ({"preset": "cosy"}, 400, "M_INVALID_PARAM"),
    ({"preset": 1}, 400, "M_BAD_JSON"),
    ({"name": 1}, 400, "M_BAD_JSON"),
    ({"topic": []}, 400, "M_BAD_JSON"),
    ({"room_alias_name": 1}, 400, "M_BAD_JSON"),
    ({"room_alias_name": ""}, 400, "M_INVALID_PARAM"),
    ({"room_alias_name": "with space"}, 400, "M_INVALID_PARAM"),
    ({"room_alias_name": "with:colon"}, 400, "M_INVALID_PARAM"),
    ({"room_alias_name": "nul\u0000"}, 400, "M_INVALID_PARAM"),
    ({"room_alias_name": "x" * 300}, 400, "M_INVALID_PARAM"),
    ({"room_version": "99"}, 400, "M_UNSUPPORTED_ROOM_VERSION"),
    ({"room_version": ""}, 400, "M_UNSUPPORTED_ROOM_VERSION"),
    ({"room_version": 12}, 400, "M_BAD_JSON"),
    ({"invite": "@a:b"}, 400, "M_BAD_JSON"),
    ({"invite": [1]}, 400, "M_INVALID_PARAM"),
    ({"invite": ["nobody"]}, 400, "M_INVALID_PARAM"),
    ({"is_direct": "yes"}, 400, "M_BAD_JSON"),
    ({"creation_content": []}, 400, "M_BAD_JSON"),
    ({"creation_content": {"additional_creators": ["nobody"]}, "room_version": "12"}, 400, "M_INVALID_ROOM_STATE"),
    ({"creation_content": {"x": 1.5}}, 400, "M_BAD_JSON"),
    ({"power_level_content_override": []}, 400, "M_BAD_JSON"),
    ({"power_level_content_override": {"users": {"nobody": 1}}}, 400, "M_INVALID_ROOM_STATE"),
    ({"power_level_content_override": {"ban": "50"}}, 400, "M_INVALID_ROOM_STATE"),
    ({"initial_state": {}}, 400, "M_BAD_JSON"),
    ({"initial_state": [1]}, 400, "M_BAD_JSON"),
    ({"initial_state": [{"type": "x"}]}, 400, "M_BAD_JSON"),
    ({"initial_state": [{"content": {}}]}, 400, "M_BAD_JSON"),
    ({"initial_state": [{"type": "x", "content": {}, "state_key": 1}]}, 400, "M_BAD_JSON"),
    ({"initial_state": [{"type": "m.room.create", "content": {}}]}, 400, "M_INVALID_ROOM_STATE"),
    ({"initial_state": [{"type": "m.room.member", "state_key": "@x:hearth.test", "content": {"membership": "join"}}]}, 400,
     "M_INVALID_ROOM_STATE"),
    ({"initial_state": [{"type": "x", "content": {"big": "x" * 66000}}]}, 413, "M_TOO_LARGE"),
    ({"initial_state": [{"type": "x" * 256, "content": {}}]}, 413, "M_TOO_LARGE"),
    ({"name": "x" * 66000}, 413, "M_TOO_LARGE"),
    ([], 400, "M_BAD_JSON"),
])
def test_what_is_refused_leaves_nothing_behind(alice, body, status, errcode):
    if isinstance(body, dict):
        body = {"room_alias_name": f"left_{alice.device_id}", **body}
    before = alice.get("/joined_rooms")
    alice.fails(status, errcode, "POST", "/createRoom", body)
    assert alice.get("/joined_rooms") == before
    alice.fails(404, "M_NOT_FOUND", "GET", f"/directory/room/{q(f'#left_{alice.device_id}:hearth.test')}")


def test_an_inviter_may_not_invite_the_same_twice_but_list_them_twice(alice, bob):
    room = alice.create_room(invite=[bob.user_id, bob.user_id])
    assert kinds(first_events(alice, room)).count(("m.room.member", "invite")) == 1
    alice.fails(403, "M_FORBIDDEN", "POST", "/createRoom", {"invite": [alice.user_id]})


def test_null_is_as_absent(alice):
    room = alice.create_room(name=None, topic=None, preset=None, visibility=None, invite=None, initial_state=None, creation_content=None,
                             power_level_content_override=None, room_alias_name=None, room_version=None, is_direct=None)
    assert ("m.room.name", "") not in state(alice, room)


def test_guests_and_strangers_make_none(nobody):
    nobody.fails(401, "M_MISSING_TOKEN", "POST", "/createRoom", {})


@pytest.mark.parametrize("version", VERSIONS)
def test_a_room_outlives_the_server(each_hs, version):
    alice = register(each_hs)
    room = alice.create_room(room_version=version, name="kept", visibility="public")
    sent = alice.send(room, "kept")
    before = state(alice, room)
    each_hs.kill()
    each_hs.start()
    assert state(alice, room) == before
    assert alice.get(f"/rooms/{q(room)}/event/{q(sent)}")["content"]["body"] == "kept"
    alice.send(room, "goes on")
