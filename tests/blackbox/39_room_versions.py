"""What differs between room versions 1 to 12, as clients see it."""
import contextlib

import pytest

from client import q, register
from history import ids, messages
from server import Server

VERSIONS = [str(n) for n in range(1, 13)]
ALL = pytest.mark.parametrize("version", VERSIONS)


def old(version, last):
    return int(version) <= last


@pytest.fixture
def room(alice, bob, version):
    made = alice.create_room(room_version=version, preset="public_chat")
    bob.join(made)
    return made


def path(room, rest):
    return f"/rooms/{q(room)}/{rest}"


def event(client, room, event_id):
    return client.get(path(room, f"event/{q(event_id)}"))


def content_of(client, room, event_id):
    return event(client, room, event_id)["content"]


@pytest.mark.parametrize("version", ["12"])
def test_all_are_offered(alice, room):
    offered = alice.get("/capabilities")["capabilities"]["m.room_versions"]
    assert offered == {"default": offered["default"], "available": {v: "stable" for v in VERSIONS}}


@ALL
def test_event_ids(alice, room, version):
    """v1: "$opaque_id:domain"; v3: a hash in Base64, which may hold slashes; v4: URL-safe."""
    found = [alice.send(room, f"{i}") for i in range(12 if version == "3" else 2)]
    for n in range(200):  # with one that needs care in a path
        if version != "3" or any("/" in f or "+" in f for f in found):
            break
        found.append(alice.send(room, f"more {n}"))
    assert len(set(found)) == len(found)
    for one in found:
        assert one.startswith("$")
        assert (one.endswith(":hearth.test")) == old(version, 2)
        assert old(version, 2) or len(one) == 44
        assert version == "3" or "/" not in one


@ALL
def test_reading_by_event_id(alice, bob, room, version):
    """Everything that takes an event id, with ids of each kind."""
    chosen = alice.send(room, "0")
    for n in range(200):
        if version != "3" or "/" in chosen:
            break
        chosen = alice.send(room, f"{n}")
    after = alice.send(room, "after")
    assert event(bob, room, chosen)["event_id"] == chosen
    around = bob.get(path(room, f"context/{q(chosen)}"), limit=4)
    assert around["event"]["event_id"] == chosen and ids(around["events_after"]) == [after]
    assert bob.get(path(room, "messages"), dir="f", limit=1, **{"from": around["start"]})["chunk"]
    assert bob.post(path(room, f"receipt/m.read/{q(chosen)}")) == {}
    assert bob.post(path(room, "read_markers"), {"m.fully_read": chosen, "m.read": chosen}) == {}
    reaction = bob.send_content(room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": chosen, "key": "x"}}, "m.reaction")
    bob.fails(400, "M_DUPLICATE_ANNOTATION", "PUT", path(room, "send/m.reaction/again"),
              {"m.relates_to": {"rel_type": "m.annotation", "event_id": chosen, "key": "x"}})
    thread = alice.send(room, msgtype="m.text", body="in it", **{"m.relates_to": {"rel_type": "m.thread", "event_id": chosen}})
    assert bob.post(path(room, f"receipt/m.read/{q(thread)}"), {"thread_id": chosen}) == {}
    token = alice.sync(since=None)["next_batch"]
    back = alice.get(path(room, "messages"), dir="b", limit=100, **{"from": token})
    assert ids(back["chunk"])[:3] == [thread, reaction, after]
    alice.put(path(room, f"redact/{q(chosen)}/r1"), {})
    assert "redacted_because" in event(bob, room, chosen)["unsigned"]


@ALL
def test_pages_go_over_all_of_it(alice, room):
    sent = [alice.send(room, f"{i}") for i in range(9)]
    there, _ = messages(alice, room, "f", limit=3)
    back, _ = messages(alice, room, "b", limit=4)
    assert ids(there) == ids(back)[::-1] and ids(there)[-9:] == sent


@ALL
def test_a_redaction_is_no_state(alice, bob, room, version):
    """As one it would go past the question of who may redact what: since 11 the target stands in the content."""
    levels = alice.get_state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**levels, "users": {**levels["users"], bob.user_id: 50}, "redact": 60})
    mine, acl = alice.send(room, "mine"), alice.set_state(room, "m.room.server_acl", {"allow": ["*"]})
    for key, target in (("", mine), ("k", acl)):
        bob.fails(400, "M_BAD_JSON", "PUT", path(room, f"state/m.room.redaction/{key}"), {"redacts": target})
    assert content_of(bob, room, mine)["body"] == "mine" and content_of(bob, room, acl) == {"allow": ["*"]}
    bob.fails(400, "M_INVALID_ROOM_STATE", "POST", "/createRoom", {
        "room_version": version, "initial_state": [{"type": "m.room.redaction", "content": {"redacts": mine}}]})


@ALL
def test_redactions(alice, bob, room, version):
    mine, bobs = alice.send(room, "mine"), bob.send(room, "bobs")
    bob.fails(403, "M_FORBIDDEN", "PUT", path(room, f"redact/{q(mine)}/r0"), {})
    first = bob.put(path(room, f"redact/{q(bobs)}/r1"), {"reason": "typo"})["event_id"]
    second = alice.send_content(room, {"redacts": mine}, "m.room.redaction")
    for redaction, target in ((first, bobs), (second, mine)):
        got = event(bob, room, redaction)
        assert got["redacts"] == target and got["content"]["redacts"] == target
        left = event(alice, room, target)
        assert left["content"] == {} and left["unsigned"]["redacted_because"]["event_id"] == redaction
        assert left["unsigned"]["redacted_because"]["redacts"] == target
    # As it goes to servers it stands in one place, and the event is named once.
    raw = bob.sync(since=None, filter='{"event_format":"federation"}')["rooms"]["join"][room]["timeline"]["events"][-1]
    assert raw["event_id"] == second
    assert (raw.get("redacts"), raw["content"].get("redacts")) == ((mine, None) if old(version, 10) else (None, mine))
    refs = raw["prev_events"]
    assert all((isinstance(r, list) and set(r[1]) == {"sha256"}) if old(version, 2) else isinstance(r, str) for r in refs) and refs


KEPT = [
    ("m.room.join_rules", {"join_rule": "restricted", "allow": [], "x": 1}, lambda v: {"join_rule"} | ({"allow"} if v >= 8 else set())),
    ("m.room.history_visibility", {"history_visibility": "shared", "x": 1}, lambda v: {"history_visibility"}),
    ("m.room.aliases", {"aliases": ["#a:hearth.test"], "x": 1}, lambda v: {"aliases"} if v <= 5 else set()),
    ("m.room.power_levels", {"ban": 50, "invite": 1, "kick": 2, "x": 1}, lambda v: {"ban", "kick"} | ({"invite"} if v >= 11 else set())),
]


@ALL
def test_what_redaction_leaves(alice, room, version):
    levels = alice.get_state(room, "m.room.power_levels")
    for type_, content, kept in KEPT:
        key = "hearth.test" if type_ == "m.room.aliases" else ""
        content = {**levels, **content} if type_ == "m.room.power_levels" else content
        one = alice.set_state(room, type_, content, key)
        alice.put(path(room, f"redact/{q(one)}/{type_}"), {})
        left = set(content_of(alice, room, one))
        want = kept(int(version))
        if type_ == "m.room.power_levels":
            assert left - set(levels) == set() and ("invite" in left) == ("invite" in want) and "x" not in left
        else:
            assert left == want, type_


@ALL
def test_numbers(alice, room, version):
    """v6: strict canonical JSON; before, numbers are what they are."""
    body = {"msgtype": "m.text", "body": "x"}
    for n, number in enumerate((1.5, 2**53, -(2**60), 1e300)):
        if old(version, 5):
            sent = alice.put(path(room, f"send/m.room.message/n{n}"), {**body, "n": number})["event_id"]
            assert content_of(alice, room, sent)["n"] == number
        else:
            alice.fails(400, "M_BAD_JSON", "PUT", path(room, f"send/m.room.message/n{n}"), {**body, "n": number})
    one = alice.put(path(room, "state/org.example.n"), {"n": 1 if not old(version, 5) else 1.25})
    assert alice.put(path(room, "state/org.example.n"), {"n": 1 if not old(version, 5) else 1.25}) == one
    # Levels are integers whatever the version lets stand for them.
    levels = alice.get_state(room, "m.room.power_levels")
    for wrong in ("50", 50.5, None, [50]):
        alice.fails(400, "M_BAD_JSON", "PUT", path(room, "state/m.room.power_levels"), {**levels, "ban": wrong})


@ALL
def test_notification_levels_are_ruled_since_6(alice, bob, room, version):
    levels = alice.get_state(room, "m.room.power_levels")
    levels = {**levels, "users": {**levels["users"], bob.user_id: 60}, "events": {**levels["events"], "m.room.power_levels": 60}}
    alice.set_state(room, "m.room.power_levels", levels)
    answer = bob.raw("PUT", path(room, "state/m.room.power_levels"), {**levels, "notifications": {"room": 70}})
    assert answer.status_code == (200 if old(version, 5) else 403)


@ALL
def test_knocking_is_there_since_7(alice, user, room, version):
    guest = user()
    alice.set_state(room, "m.room.join_rules", {"join_rule": "knock"})
    if old(version, 6):
        guest.fails(403, "M_FORBIDDEN", "POST", f"/knock/{q(room)}", {})
        guest.fails(403, "M_FORBIDDEN", "PUT", path(room, f"state/m.room.member/{q(guest.user_id)}"), {"membership": "knock"})
    else:
        assert guest.post(f"/knock/{q(room)}")["room_id"] == room
        alice.invite(room, guest)
        guest.join(room)


@ALL
def test_restricted_joins_are_there_since_8(alice, bob, user, room, version):
    guest = user()
    club = alice.create_room(preset="public_chat")
    guest.join(club)
    rules = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
    alice.set_state(room, "m.room.join_rules", rules)
    if old(version, 7):
        guest.fails(403, "M_FORBIDDEN", "POST", path(room, "join"), {})
        return
    guest.join(room)
    assert alice.get_state(room, "m.room.member", guest.user_id)["join_authorised_via_users_server"] == alice.user_id


@ALL
def test_both_at_once_is_there_since_10(alice, user, room, version):
    guest = user()
    alice.set_state(room, "m.room.join_rules", {"join_rule": "knock_restricted", "allow": []})
    answer = guest.raw("POST", f"/knock/{q(room)}", {})
    assert answer.status_code == (403 if old(version, 9) else 200)


@ALL
def test_aliases_events_were_their_servers(alice, bob, user, room, version):
    own, other = path(room, "state/m.room.aliases/hearth.test"), path(room, "state/m.room.aliases/elsewhere.example")
    user().fails(403, "M_FORBIDDEN", "PUT", own, {"aliases": []})
    if old(version, 5):
        bob.put(own, {"aliases": ["#a:hearth.test"]})
        alice.fails(403, "M_FORBIDDEN", "PUT", other, {"aliases": []})
        alice.fails(403, "M_FORBIDDEN", "PUT", path(room, "send/m.room.aliases/t1"), {"aliases": []})
    else:
        bob.fails(403, "M_FORBIDDEN", "PUT", own, {"aliases": []})
        alice.put(other, {"aliases": []})


def test_a_restart_goes_on_in_every_room():
    """What the next event says of those before it is read back: in versions 1 and 2 hashes, too."""
    with contextlib.closing(Server(default_room_version="1")) as server:
        alice = register(server, "alice")
        assert alice.get("/capabilities")["capabilities"]["m.room_versions"]["default"] == "1"
        assert alice.get_state(alice.create_room(), "m.room.create")["room_version"] == "1"
        rooms = {v: alice.create_room(room_version=v) for v in VERSIONS}
        server.restart()
        for version, room in rooms.items():
            sent = alice.send(room, "x")
            assert ids(messages(alice, room, "b")[0])[0] == sent, version
            assert alice.post(path(room, "upgrade"), {"new_version": "12"})["replacement_room"]
