"""POST /rooms/{roomId}/upgrade: what of a room goes along into its successor, what stays behind, and what is refused."""
import concurrent.futures
import itertools

import pytest

from client import q
from history import messages

_n = itertools.count()
# From and to: within the old formats, across the event ids' change, integers for levels, creators above all, and back.
PAIRS = [("1", "2"), ("2", "10"), ("9", "10"), ("10", "12"), ("12", "12"), ("12", "11"), ("10", "1")]
LEVELS = {"users_default": 0, "events_default": 0, "state_default": 50, "ban": 50, "kick": 50, "redact": 50, "invite": 0}


def upgrade(client, room, version="11", **more):
    return client.post(f"/rooms/{q(room)}/upgrade", {"new_version": version, **more})["replacement_room"]


def refused(client, status, errcode, room, body):
    return client.fails(status, errcode, "POST", f"/rooms/{q(room)}/upgrade", body)


def state(client, room):
    return {(e["type"], e["state_key"]): e["content"] for e in client.get(f"/rooms/{q(room)}/state")}


def all_events(client, room):
    return messages(client, room, "f")[0]


def above_all(version):
    return version == "12"


@pytest.mark.parametrize("old_version, new_version", PAIRS)
def test_the_two_rooms_name_each_other(alice, old_version, new_version):
    room = alice.create_room(room_version=old_version, name="old")
    new = upgrade(alice, room, new_version)
    assert new != room
    create = state(alice, new)["m.room.create", ""]
    assert create["room_version"] == new_version and create["predecessor"]["room_id"] == room
    assert create.get("creator") == (alice.user_id if int(new_version) < 11 else None)
    tombstone = next(e for e in all_events(alice, room) if e["type"] == "m.room.tombstone")
    assert tombstone["content"]["replacement_room"] == new and tombstone["content"]["body"]
    if above_all(new_version):
        assert "event_id" not in create["predecessor"]
    else:
        assert create["predecessor"]["event_id"] == tombstone["event_id"]
    assert all_events(alice, new)[0]["type"] == "m.room.create"
    # Both are rooms in which one can go on.
    alice.send(new, "here we are")
    alice.send(room, "not here")


@pytest.mark.parametrize("old_version, new_version", PAIRS)
def test_state_goes_along(alice, bob, old_version, new_version):
    wanted = {
        "m.room.name": {"name": "Tea"},
        "m.room.topic": {"topic": "at five"},
        "m.room.avatar": {"url": "mxc://hearth.test/cup", "info": {"w": 3}},
        "m.room.join_rules": {"join_rule": "public"},
        "m.room.guest_access": {"guest_access": "forbidden"},
        "m.room.history_visibility": {"history_visibility": "joined"},
        "m.room.encryption": {"algorithm": "m.megolm.v1.aes-sha2", "rotation_period_ms": 1},
        "m.room.server_acl": {"allow": ["*"], "deny": ["evil.example"], "allow_ip_literals": False},
    }
    room = alice.create_room(room_version=old_version, preset="public_chat")
    for type_, content in wanted.items():
        alice.set_state(room, type_, content)
    alice.set_state(room, "org.example.widget", {"by": alice.user_id}, "w1")
    alice.set_state(room, "m.room.pinned_events", {"pinned": []})
    bob.join(room)
    alice.post(f"/rooms/{q(room)}/ban", {"user_id": "@villain:elsewhere.example", "reason": "spam"})
    new = upgrade(alice, room, new_version)
    got = state(alice, new)
    assert {t: got.get((t, "")) for t in wanted} == wanted
    assert got["m.room.member", "@villain:elsewhere.example"] == {"membership": "ban", "reason": "spam"}
    # What is sensitive to who sent it, and other people's memberships, stay.
    assert ("org.example.widget", "w1") not in got and ("m.room.pinned_events", "") not in got
    assert ("m.room.member", bob.user_id) not in got
    bob.join(new)


@pytest.mark.parametrize("old_version, new_version", PAIRS)
def test_power_levels_go_along(alice, bob, old_version, new_version):
    room = alice.create_room(room_version=old_version, preset="public_chat")
    levels = state(alice, room)["m.room.power_levels", ""]
    users = {} if above_all(old_version) else {alice.user_id: 100}
    levels = {**levels, "users": {**users, bob.user_id: 50}, "events": {**levels["events"], "m.room.topic": 20}, "kick": 40}
    alice.set_state(room, "m.room.power_levels", levels)
    new = upgrade(alice, room, new_version)
    got = state(alice, new)["m.room.power_levels", ""]
    assert got["users"] == {bob.user_id: 50, **({} if above_all(new_version) else {alice.user_id: max(100, 150 if above_all(old_version) else 0)})}
    assert got["events"] == levels["events"] and got["kick"] == 40
    left = state(alice, room)["m.room.power_levels", ""]
    assert left == {**levels, "events_default": 50, "invite": 50}
    if not above_all(new_version) and not above_all(old_version):
        assert got == levels


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_silence_in_the_old_room_is_above_everybody(alice, bob, version):
    room = alice.create_room(room_version=version, preset="public_chat", power_level_content_override={"users_default": 80, "invite": 90})
    bob.join(room)
    upgrade(alice, room)
    left = alice.get_state(room, "m.room.power_levels")
    assert (left["events_default"], left["invite"]) == (81, 90)
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/send/m.room.message/t1", {"msgtype": "m.text", "body": "?"})


@pytest.mark.parametrize("version", ["2", "11"])
def test_a_moderator_may_replace_a_room_and_stays_one(alice, bob, version):
    levels = {**LEVELS, "users": {alice.user_id: 100, bob.user_id: 50}, "invite": 50, "events_default": 0,
              "events": {"m.room.tombstone": 50, "m.room.power_levels": 100, "m.room.server_acl": 120}}
    room = alice.create_room(room_version="10", preset="public_chat")
    bob.join(room)
    alice.put(f"/rooms/{q(room)}/state/m.room.power_levels/", {**levels, "events": {**levels["events"], "m.room.server_acl": 100}})
    levels["events"]["m.room.server_acl"] = 100
    alice.set_state(room, "m.room.server_acl", {"allow": ["*"]})
    alice.post(f"/rooms/{q(room)}/ban", {"user_id": "@v:elsewhere.example"})
    new = upgrade(bob, room, version)
    got = state(bob, new)
    assert got["m.room.power_levels", ""] == levels
    assert got["m.room.server_acl", ""] == {"allow": ["*"]} and got["m.room.member", "@v:elsewhere.example"]["membership"] == "ban"
    # Who may not change them there leaves the old room's levels as they are.
    assert alice.get_state(room, "m.room.power_levels") == levels
    assert alice.get_state(room, "m.room.tombstone")["replacement_room"] == new
    # Demoted in the end, as before: no more power than there.
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(new)}/state/m.room.power_levels/", {**levels, "users": {bob.user_id: 100}})


def test_who_is_banned_with_power_stays_banned(alice):
    levels = {**LEVELS, "users": {alice.user_id: 100, "@v:elsewhere.example": 99}}
    room = alice.create_room(room_version="10", power_level_content_override=levels)
    alice.post(f"/rooms/{q(room)}/ban", {"user_id": "@v:elsewhere.example"})
    alice.set_state(room, "m.room.power_levels", {**levels, "users": {alice.user_id: 100, "@v:elsewhere.example": 100}})
    new = upgrade(alice, room, "11")
    got = state(alice, new)
    assert got["m.room.member", "@v:elsewhere.example"]["membership"] == "ban"
    assert got["m.room.power_levels", ""]["users"] == {alice.user_id: 100, "@v:elsewhere.example": 100}


def test_who_is_banned_with_all_the_power_there_is(alice):
    room = alice.create_room(room_version="12")
    alice.post(f"/rooms/{q(room)}/ban", {"user_id": "@v:elsewhere.example"})
    levels = {**alice.get_state(room, "m.room.power_levels"), "users": {"@v:elsewhere.example": 2**53 - 1}}
    alice.set_state(room, "m.room.power_levels", levels)
    new = upgrade(alice, room, "11")
    got = state(alice, new)
    assert got["m.room.member", "@v:elsewhere.example"]["membership"] == "ban"
    # Its creators are below nobody.
    assert got["m.room.power_levels", ""]["users"] == {alice.user_id: 2**53 - 1, "@v:elsewhere.example": 2**53 - 1}


@pytest.mark.parametrize("version", ["6", "8", "12"])
def test_a_ban_says_nothing_of_how_one_came_in(alice, version):
    """Since 8 that would have to be signed by the server it names: nobody could replace the room any more."""
    room = alice.create_room(room_version="7")
    more = {"join_authorised_via_users_server": "@x:elsewhere.example", "third_party_invite": {"display_name": "x"}}
    alice.set_state(room, "m.room.member", {"membership": "ban", "reason": "spam", **more}, "@v:elsewhere.example")
    got = alice.get_state(upgrade(alice, room, version), "m.room.member", "@v:elsewhere.example")
    assert got == {"membership": "ban", "reason": "spam"}


def test_creators_above_all(alice, bob):
    room = alice.create_room(room_version="11", preset="public_chat")
    bob.join(room)
    alice.set_state(room, "m.room.power_levels", {**LEVELS, "users": {alice.user_id: 100, bob.user_id: 100, "@c:hearth.test": 50}})
    new = upgrade(alice, room, "12", additional_creators=[bob.user_id])
    got = state(alice, new)
    assert got["m.room.create", ""]["additional_creators"] == [bob.user_id]
    assert got["m.room.power_levels", ""]["users"] == {"@c:hearth.test": 50}
    bob.join(new)
    # "they are not automatically copied to the new room"
    third = upgrade(bob, new, "12")
    assert "additional_creators" not in state(bob, third)["m.room.create", ""]
    # Where the version has no such thing the members are ignored, whatever they are; and the creators get their power in numbers.
    fourth = upgrade(alice, new, "11", additional_creators=["nonsense"])
    got = state(alice, fourth)
    assert "additional_creators" not in got["m.room.create", ""]
    assert got["m.room.power_levels", ""]["users"] == {alice.user_id: 100, bob.user_id: 100, "@c:hearth.test": 50}


def test_a_banned_creator_is_a_creator(alice, bob):
    room = alice.create_room(room_version="11")
    alice.post(f"/rooms/{q(room)}/ban", {"user_id": bob.user_id})
    new = upgrade(alice, room, "12", additional_creators=[bob.user_id])
    assert ("m.room.member", bob.user_id) not in state(alice, new)


@pytest.mark.parametrize("rule, old_version, new_version, becomes", [
    ("knock", "7", "6", "invite"), ("knock", "7", "12", "knock"), ("restricted", "8", "7", "invite"), ("restricted", "9", "10", "restricted"),
    ("knock_restricted", "10", "9", "restricted"), ("knock_restricted", "10", "7", "knock"), ("knock_restricted", "11", "6", "invite"),
])
def test_join_rules_become_what_the_version_knows(alice, rule, old_version, new_version, becomes):
    allow = [{"type": "m.room_membership", "room_id": alice.create_room()}]
    content = {"join_rule": rule, **({"allow": allow} if "restricted" in rule else {})}
    room = alice.create_room(room_version=old_version, initial_state=[{"type": "m.room.join_rules", "content": content}])
    got = alice.get_state(upgrade(alice, room, new_version), "m.room.join_rules")
    assert got == {"join_rule": becomes, **({"allow": allow} if "restricted" in becomes else {})}


def test_who_may_join_by_restriction_may_join_the_successor(alice, bob):
    club = alice.create_room(preset="public_chat")
    bob.join(club)
    rules = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
    room = alice.create_room(room_version="9", initial_state=[{"type": "m.room.join_rules", "content": rules}])
    bob.join(upgrade(alice, room, "12"))


def test_numbers_become_canonical(alice):
    room = alice.create_room(room_version="5")
    alice.set_state(room, "m.room.avatar", {"url": "mxc://hearth.test/a", "info": {"w": 640.5, "h": 480.0}})
    got = state(alice, upgrade(alice, room, "11"))
    assert got["m.room.avatar", ""] == {"url": "mxc://hearth.test/a", "info": {"w": 640, "h": 480}}


@pytest.mark.parametrize("version", ["2", "11", "12"])
def test_a_space_keeps_its_children(alice, version):
    child = {"via": ["hearth.test"], "order": "1"}
    room = alice.create_room(room_version="10", creation_content={"type": "m.space", "m.federate": False, "org.example.x": 1}, initial_state=[
        {"type": "m.space.child", "state_key": "!a:hearth.test", "content": child},
        {"type": "m.space.child", "state_key": "!b:hearth.test", "content": child},
        {"type": "m.space.parent", "state_key": "!p:hearth.test", "content": child}])
    alice.set_state(room, "m.space.child", {}, "!b:hearth.test")
    got = state(alice, upgrade(alice, room, version))
    create = got["m.room.create", ""]
    assert create["type"] == "m.space" and create["m.federate"] is False and "org.example.x" not in create
    assert {k: c for (t, k), c in got.items() if t.startswith("m.space.")} == {"!a:hearth.test": child}


def test_many_bans(alice):
    room = alice.create_room(room_version="11", initial_state=[
        {"type": "m.room.member", "state_key": f"@v{i}:elsewhere.example", "content": {"membership": "ban"}} for i in range(200)])
    for i in range(200, 450):
        alice.post(f"/rooms/{q(room)}/ban", {"user_id": f"@v{i}:elsewhere.example"})
    new = upgrade(alice, room, "12")
    banned = alice.get(f"/rooms/{q(new)}/members", membership="ban")["chunk"]
    assert len(banned) == 450
    assert len(messages(alice, new, "b")[0]) >= 450


def test_names_and_the_listing_move(alice, nobody):
    first, second = (f"#up{next(_n)}_{alice.device_id}:hearth.test" for _ in range(2))
    room = alice.create_room(room_version="10", visibility="public")
    for alias in (first, second):
        alice.put(f"/directory/room/{q(alias)}", {"room_id": room})
    alice.set_state(room, "m.room.canonical_alias", {"alias": first, "alt_aliases": [second]})
    new = upgrade(alice, room, "12")
    for alias in (first, second):
        assert nobody.get(f"/directory/room/{q(alias)}")["room_id"] == new
    assert alice.get_state(room, "m.room.canonical_alias") == {}
    assert alice.get_state(new, "m.room.canonical_alias") == {"alias": first, "alt_aliases": [second]}
    assert nobody.get(f"/directory/list/room/{q(room)}")["visibility"] == "private"
    assert nobody.get(f"/directory/list/room/{q(new)}")["visibility"] == "public"


def test_power_levels_without_room_for_more(alice):
    """Silence in the old room is one byte more than fits into the event: it is replaced all the same."""
    room = alice.create_room(room_version="10", preset="public_chat")
    levels = {**alice.get_state(room, "m.room.power_levels"), "events_default": 0}
    fits, too_many = 60000, 66000
    while too_many - fits > 1:
        n = (fits + too_many) // 2
        answer = alice.raw("PUT", f"/rooms/{q(room)}/state/m.room.power_levels/", {**levels, "org.example.pad": "x" * n})
        fits, too_many = (n, too_many) if answer.status_code == 200 else (fits, n)
    alice.set_state(room, "m.room.power_levels", {**levels, "org.example.pad": "x" * fits})
    new = upgrade(alice, room, "11")
    assert alice.get_state(room, "m.room.tombstone")["replacement_room"] == new
    assert alice.get_state(room, "m.room.power_levels")["events_default"] == 0


def test_a_private_room_stays_unlisted(alice, nobody):
    new = upgrade(alice, alice.create_room(), "12")
    assert nobody.get(f"/directory/list/room/{q(new)}")["visibility"] == "private"


def data(client, room):
    return client.get(f"/user/{q(client.user_id)}/rooms/{q(room)}/tags")["tags"]


def rules(client, kind):
    return {r["rule_id"]: r for r in client.get("/pushrules/")["global"][kind] if not r["rule_id"].startswith(".")}


def keep_settings(client, room):
    client.put(f"/user/{q(client.user_id)}/rooms/{q(room)}/tags/m.favourite", {"order": 0.5})
    client.put(f"/user/{q(client.user_id)}/account_data/m.direct", {"@x:hearth.test": [room], "@y:hearth.test": ["!o:hearth.test"]})
    client.put(f"/pushrules/global/room/{q(room)}", {"actions": []})
    client.put(f"/pushrules/global/override/{q(room)}", {"actions": [], "conditions": [
        {"kind": "event_match", "key": "room_id", "pattern": room}, {"kind": "event_match", "key": "type", "pattern": "m.sticker"}]})
    client.put("/pushrules/global/override/mine", {"actions": ["notify"], "conditions": [
        {"kind": "event_property_is", "key": "room_id", "value": room}]})
    client.put("/pushrules/global/override/other", {"actions": ["notify"], "conditions": [
        {"kind": "event_match", "key": "room_id", "pattern": "!other:hearth.test"}]})


def check_settings(client, room, new):
    assert data(client, new) == data(client, room) == {"m.favourite": {"order": 0.5}}
    assert client.get(f"/user/{q(client.user_id)}/account_data/m.direct") == {"@x:hearth.test": [room, new], "@y:hearth.test": ["!o:hearth.test"]}
    assert set(rules(client, "room")) == {room, new} and rules(client, "room")[new]["actions"] == []
    override = rules(client, "override")
    assert set(override) == {room, new, "mine", f"mine {new}", "other"}
    assert override[new]["conditions"] == [{"kind": "event_match", "key": "room_id", "pattern": new},
                                           {"kind": "event_match", "key": "type", "pattern": "m.sticker"}]
    assert override[f"mine {new}"]["conditions"] == [{"kind": "event_property_is", "key": "room_id", "value": new}]


@pytest.mark.parametrize("version", ["2", "12"])
def test_what_users_keep_for_the_room_goes_along(alice, bob, version):
    room = alice.create_room(room_version="10", preset="public_chat")
    bob.join(room)
    for client in (alice, bob):
        keep_settings(client, room)
    new = upgrade(alice, room, version)
    for client in (alice, bob):
        check_settings(client, room, new)
    bob.join(new)
    check_settings(bob, room, new)
    # Once: what they change there afterwards stays.
    bob.delete(f"/user/{q(bob.user_id)}/rooms/{q(new)}/tags/m.favourite")
    bob.delete(f"/pushrules/global/room/{q(new)}")
    bob.leave(new)
    bob.join(new)
    assert data(bob, new) == {} and set(rules(bob, "room")) == {room}


def test_who_comes_later_brings_their_settings(alice, bob):
    room = alice.create_room(room_version="10", preset="public_chat")
    bob.join(room)
    bob.leave(room)
    new = upgrade(alice, room, "12")
    keep_settings(bob, room)
    bob.join(new)
    check_settings(bob, room, new)


def test_a_room_cannot_say_that_it_replaces_another(alice, bob):
    victims = alice.create_room(preset="public_chat")
    bob.join(victims)
    keep_settings(bob, victims)
    trap = alice.create_room(preset="public_chat", creation_content={"predecessor": {"room_id": victims, "event_id": "$x"}})
    bob.join(trap)
    assert data(bob, trap) == {} and set(rules(bob, "room")) == {victims}


def test_an_existing_tag_is_not_touched(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    new = upgrade(alice, room, "12")
    bob.put(f"/user/{q(bob.user_id)}/rooms/{q(new)}/tags/u.mine", {})
    keep_settings(bob, room)
    bob.join(new)
    assert data(bob, new) == {"u.mine": {}}


def test_refusals(alice, bob, nobody):
    room = alice.create_room(preset="public_chat")
    refused(alice, 400, "M_UNSUPPORTED_ROOM_VERSION", room, {"new_version": "my_bad_version"})
    refused(alice, 400, "M_UNSUPPORTED_ROOM_VERSION", room, {"new_version": "13"})
    refused(alice, 400, "M_MISSING_PARAM", room, {})
    refused(alice, 400, "M_BAD_JSON", room, {"new_version": 2})
    refused(alice, 404, "M_NOT_FOUND", "!fail:unknown", {"new_version": "11"})
    refused(alice, 404, "M_NOT_FOUND", "nonsense", {"new_version": "11"})
    refused(bob, 403, "M_FORBIDDEN", room, {"new_version": "11"})
    bob.join(room)
    refused(bob, 403, "M_FORBIDDEN", room, {"new_version": "11"})
    nobody.fails(401, "M_MISSING_TOKEN", "POST", f"/rooms/{q(room)}/upgrade", {"new_version": "11"})
    refused(alice, 400, "M_BAD_JSON", room, {"new_version": "12", "additional_creators": "@a:hearth.test"})
    for who in (1, "alice", "@a:"):
        refused(alice, 400, "M_INVALID_PARAM", room, {"new_version": "12", "additional_creators": [who]})
    # Nothing was left behind.
    assert len(alice.get("/joined_rooms")["joined_rooms"]) == 1
    assert ("m.room.tombstone", "") not in state(alice, room)


def test_tombstones_by_hand(alice):
    room = alice.create_room()
    other = alice.create_room()
    path = f"/rooms/{q(room)}/state/m.room.tombstone/"
    alice.fails(400, "M_BAD_JSON", "PUT", path, {"body": "gone"})
    alice.fails(400, "M_BAD_JSON", "PUT", path, {"body": "gone", "replacement_room": 1})
    alice.fails(400, "M_INVALID_PARAM", "PUT", path, {"body": "gone", "replacement_room": room})
    alice.fails(400, "M_BAD_JSON", "PUT", f"/rooms/{q(room)}/send/m.room.tombstone/t1", {"replacement_room": other})
    alice.put(path, {"body": "gone", "replacement_room": other})


def test_a_repetition_gives_the_same_successor(alice, bob):
    room = alice.create_room(room_version="10", preset="public_chat")
    new = upgrade(alice, room, "11")
    assert upgrade(alice, room, "11") == new
    assert upgrade(alice, room, "12") != new
    bob.join(room)


def test_a_successor_of_ones_own(alice, bob):
    """What one has left, or what another one has made, is not given again."""
    room = alice.create_room(room_version="10", preset="public_chat")
    first = upgrade(alice, room, "11")
    alice.leave(first)
    assert upgrade(alice, room, "11") != first
    other = bob.create_room(room_version="11", preset="public_chat", creation_content={"predecessor": {"room_id": room}})
    alice.join(other)
    alice.set_state(room, "m.room.tombstone", {"body": "", "replacement_room": other})
    assert upgrade(alice, room, "11") != other


@pytest.mark.parametrize("version", ["9", "12"])
def test_two_at_once_are_one(hs, alice, version):
    room = alice.create_room(room_version="10")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        rooms = set(pool.map(lambda _: upgrade(alice, room, version), range(8)))
    assert len(rooms) == 1
    assert len([e for e in all_events(alice, room) if e["type"] == "m.room.tombstone"]) == 1


@pytest.mark.parametrize("version", ["9", "12"])
def test_a_busy_room_is_replaced(alice, version):
    """What is said while the successor is made is beside the tombstone, and the tombstone is in force."""
    room = alice.create_room(room_version="10")
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        talk = [pool.submit(alice.send, room, f"m{i}") for i in range(60)]
        new = pool.submit(upgrade, alice, room, version).result()
        sent = {t.result() for t in talk}
    assert alice.get_state(room, "m.room.tombstone")["replacement_room"] == new
    assert alice.get_state(room, "m.room.power_levels")["events_default"] == 50
    assert sent <= {e["event_id"] for e in all_events(alice, room)}


def test_members_hear_of_it(alice, bob):
    room = alice.create_room(room_version="10", preset="public_chat")
    bob.join(room)
    bob.sync()
    new = upgrade(alice, room, "12")
    got = bob.sync_until(lambda a: [e for e in a["rooms"].get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
                                    if e["type"] == "m.room.tombstone"])
    assert got[0]["content"]["replacement_room"] == new
