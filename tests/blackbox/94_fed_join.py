"""Our users enter, leave, and knock at rooms of another homeserver, and invite its users into ours."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import q, register
from fed import events
from fed.hearth import FedServer
from fed.peer import FED

VERSIONS = ["1", "3", "6", "10", "11", "12"]


@pytest.fixture
def alice(fed):
    return register(fed)


@pytest.fixture
def bob(fed):
    return register(fed)


def join(client, room_id, *via, **kw):
    return client.post(f"/join/{q(room_id)}", kw or {}, params=[("via", v) for v in via])["room_id"]


def joined(client, room_id):
    """The room as the next /sync shows it."""
    return client.sync_until(lambda answer: answer.get("rooms", {}).get("join", {}).get(room_id))


def invited(client, room_id):
    return client.sync_until(lambda answer: answer.get("rooms", {}).get("invite", {}).get(room_id))


def out_of(client, room_id):
    return client.sync_until(lambda answer: answer.get("rooms", {}).get("leave", {}).get(room_id) is not None)


def member(peer, room, user):
    return peer.wait(lambda: room.state_event("m.room.member", user), "the member event")["content"]["membership"]


def invite(peer, hearth, room, user, by=None):
    """The peer invites by /invite; the event with both signatures is part of its room."""
    event = room.build("m.room.member", {"membership": "invite"}, sender=by or room.creator, state_key=user)
    body = {"event": event, "room_version": room.version, "invite_room_state": room.stripped()}
    answer = peer.ask("PUT", hearth, f"{FED}/v2/invite/{q(room.room_id)}/{q(room.id(event))}", body)
    return room.take(answer["event"])


@pytest.mark.parametrize("version", VERSIONS)
def test_join_and_talk(each_fed, peer, version):
    alice = register(each_fed)
    alice.sync()
    room = peer.create_room(version, state=[("m.room.name", "", {"name": "Far away"}), ("m.room.topic", "", {"topic": "x"})])
    zoe = peer.user()
    room.send("m.room.member", {"membership": "join", "displayname": "Zoe"}, sender=zoe, state_key=zoe)
    room.message("before", sender=zoe)
    assert join(alice, room.room_id, peer.name) == room.room_id
    # The room is there at once, whole, with a gap below.
    seen = joined(alice, room.room_id)
    state = {(e["type"], e["state_key"]): e for e in seen["state"]["events"] + seen["timeline"]["events"] if "state_key" in e}
    assert state["m.room.name", ""]["content"] == {"name": "Far away"}
    assert state["m.room.member", zoe]["content"]["displayname"] == "Zoe"
    assert state["m.room.member", alice.user_id]["content"]["membership"] == "join"
    assert seen["timeline"]["limited"] and seen["summary"]["m.joined_member_count"] == 3
    assert {e["state_key"] for e in alice.get(f"/rooms/{q(room.room_id)}/members")["chunk"]} == {room.creator, zoe, alice.user_id}
    # The peer knows it, signed by us; and what is said then goes both ways.
    assert member(peer, room, alice.user_id) == "join"
    events.verify_event(version, room.state_event("m.room.member", alice.user_id), each_fed.name, *each_fed.keys())
    alice.send(room.room_id, "hello there")
    assert peer.wait_pdu(lambda e: e["content"].get("body") == "hello there")["sender"] == alice.user_id
    answer = room.message("hello here", sender=zoe)
    assert peer.send(each_fed, [answer]) == {room.id(answer): {}}
    alice.sync_until(lambda a: any(e["event_id"] == room.id(answer) for e in a.get("rooms", {}).get("join", {}).get(room.room_id, {}).get("timeline", {}).get("events", [])))
    # A second one of ours needs nobody.
    asked = len(peer.requests)
    bob = register(each_fed)
    join(bob, room.room_id)
    assert not [r for r in peer.requests[asked:] if "make_join" in r.path]
    assert peer.wait_pdu(lambda e: e.get("state_key") == bob.user_id)["content"]["membership"] == "join"


def test_history_below_the_join(fed, peer, alice):
    room = peer.create_room("11", visibility="shared")
    said = [room.message(f"m{i}") for i in range(5)]
    join(alice, room.room_id, peer.name)
    token = joined(alice, room.room_id)["timeline"]["prev_batch"]
    found = []
    while token and len(found) < 5:
        page = alice.get(f"/rooms/{q(room.room_id)}/messages", dir="b", limit=3, **{"from": token})
        found += [e["event_id"] for e in page["chunk"] if e["type"] == "m.room.message"]
        token = page.get("end")
    assert found == [room.id(e) for e in reversed(said)]


def test_by_alias(fed, peer, alice):
    room = peer.create_room("11")
    peer.aliases[f"#far:{peer.name}"] = room.room_id
    assert join(alice, f"#far:{peer.name}") == room.room_id
    alice.fails(404, "M_NOT_FOUND", "POST", f"/join/{q(f'#none:{peer.name}')}", {})
    alice.fails(502, "M_CONNECTION_FAILED", "POST", f"/join/{q('#none:localhost:1')}", {})


def test_the_next_server_is_asked(fed, peer, alice):
    room = peer.create_room("11")
    assert join(alice, room.room_id, "localhost:1", peer.name) == room.room_id


@pytest.mark.parametrize("status, errcode, shown", [
    (403, "M_FORBIDDEN", (403, "M_FORBIDDEN")),
    (404, "M_NOT_FOUND", (404, "M_NOT_FOUND")),
    (400, "M_INCOMPATIBLE_ROOM_VERSION", (400, "M_INCOMPATIBLE_ROOM_VERSION")),
    (400, "M_UNABLE_TO_GRANT_JOIN", (400, "M_UNABLE_TO_GRANT_JOIN")),
    (400, "M_INVALID_PARAM", (502, "M_CONNECTION_FAILED")),
    (500, "M_UNKNOWN", (502, "M_CONNECTION_FAILED")),
])
@pytest.mark.parametrize("where", ["make_join", "send_join"])
def test_what_a_refusal_says(fed, peer, alice, where, status, errcode, shown):
    room = peer.create_room("11")
    peer.on("GET" if where == "make_join" else "PUT", where, lambda r: (status, {"errcode": errcode, "error": "no", "room_version": "99"}))
    alice.fails(*shown, "POST", f"/join/{q(room.room_id)}?via={peer.name}&via=localhost:1", {})
    assert room.room_id not in alice.get("/joined_rooms")["joined_rooms"]


@pytest.mark.parametrize("change", [
    lambda e: e | {"type": "m.room.power_levels"}, lambda e: e | {"sender": "@admin:evil.test"}, lambda e: e | {"state_key": "@x:y"},
    lambda e: e | {"room_id": "!x:evil.test"}, lambda e: e | {"content": {"membership": "leave"}}, lambda e: e | {"content": []},
    lambda e: e | {"auth_events": 1}, lambda e: e | {"prev_events": []}, lambda e: e | {"prev_events": ["$" + "x" * 43] * 21}, lambda e: [],
])
def test_a_template_that_was_not_asked_for_is_not_signed(fed, peer, alice, change):
    room = peer.create_room("11")

    def make(request):
        event = room.build("m.room.member", {"membership": "join"}, sender=request.parts[2], state_key=request.parts[2], by=None)
        return 200, {"event": change(event), "room_version": "11"}
    peer.on("GET", "make_join", make)
    alice.fails(502, "M_CONNECTION_FAILED", "POST", f"/join/{q(room.room_id)}?via={peer.name}", {})
    assert not [r for r in peer.requests if "send_join" in r.path]


def test_a_room_joined_by_many_at_once_is_fetched_once(fed, peer):
    room = peer.create_room("11")
    for i in range(200):
        user = peer.user()
        room.send("m.room.member", {"membership": "join"}, sender=user, state_key=user)
    users = [register(fed) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda u: join(u, room.room_id, peer.name), users)) == {room.room_id}
    assert len([r for r in peer.requests if "send_join" in r.path]) == 1
    assert len(users[0].get(f"/rooms/{q(room.room_id)}/joined_members")["joined"]) == 201 + 6


def test_others_go_on_while_a_room_is_joined(fed, peer, alice, bob):
    room = peer.create_room("11")
    for i in range(2000):
        user = peer.user()
        room.send("m.room.member", {"membership": "join", "displayname": f"User {i}"}, sender=user, state_key=user)
    mine = bob.create_room()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(join, alice, room.room_id, peer.name)
        sent = 0
        while not coming.done():
            bob.send(mine, "x")
            sent += not coming.done()
        assert coming.result() == room.room_id
    assert sent > 3  # answered while the join was not; how long each waits at most: tests/unit/room/test_import.c
    assert len(alice.get(f"/rooms/{q(room.room_id)}/joined_members")["joined"]) == 2002


def test_invited_joined_left_and_back(fed, peer, alice):
    alice.sync()
    room = peer.create_room("11", join_rule="invite", state=[("m.room.name", "", {"name": "Private"})])
    invite(peer, fed, room, alice.user_id)
    shown = invited(alice, room.room_id)["invite_state"]["events"]
    assert any(e["type"] == "m.room.name" and e["content"]["name"] == "Private" for e in shown)
    join(alice, room.room_id)  # nobody says where: the inviter's server is asked
    joined(alice, room.room_id)
    alice.send(room.room_id, "first stay")
    peer.wait_pdu(lambda e: e["content"].get("body") == "first stay")
    alice.leave(room.room_id)
    peer.wait_pdu(lambda e: e.get("state_key") == alice.user_id and e["content"]["membership"] == "leave")
    # The room goes on without us.
    room.send("m.room.name", {"name": "Later"}, state_key="", sender=room.creator)
    room.message("meanwhile")
    invite(peer, fed, room, alice.user_id)
    invited(alice, room.room_id)
    join(alice, room.room_id)
    seen = joined(alice, room.room_id)
    assert seen["timeline"]["limited"]
    assert alice.get_state(room.room_id, "m.room.name") == {"name": "Later"}
    assert "meanwhile" not in [e["content"].get("body") for e in seen["timeline"]["events"]]


def test_an_invitation_is_rejected(fed, peer, alice, bob):
    room = peer.create_room("11", join_rule="invite")
    invite(peer, fed, room, alice.user_id)
    alice.sync()
    alice.leave(room.room_id)
    assert member(peer, room, alice.user_id) == "leave"
    assert room.room_id not in alice.sync(since=None).get("rooms", {}).get("invite", {})
    # Also where nobody is there any more.
    invite(peer, fed, room, bob.user_id)
    bob.sync()
    peer.stop()
    bob.leave(room.room_id)
    out_of(bob, room.room_id)
    assert room.room_id not in bob.sync(since=None).get("rooms", {}).get("invite", {})


def test_a_knock_and_what_becomes_of_it(fed, peer, alice, bob):
    alice.sync()
    room = peer.create_room("11", join_rule="knock", state=[("m.room.name", "", {"name": "Door"})])
    assert alice.post(f"/knock/{q(room.room_id)}", {"reason": "let me in"}, params={"via": peer.name}) == {"room_id": room.room_id}
    assert member(peer, room, alice.user_id) == "knock"
    assert room.state_event("m.room.member", alice.user_id)["content"]["reason"] == "let me in"
    shown = alice.sync_until(lambda a: a.get("rooms", {}).get("knock", {}).get(room.room_id))["knock_state"]["events"]
    assert any(e["type"] == "m.room.name" for e in shown)
    invite(peer, fed, room, alice.user_id)
    invited(alice, room.room_id)
    join(alice, room.room_id)
    joined(alice, room.room_id)
    # Taken back; and refused.
    bob.post(f"/knock/{q(peer.create_room('11', join_rule='knock').room_id)}", {}, params={"via": peer.name})
    other = peer.create_room("11", join_rule="knock")
    bob.post(f"/knock/{q(other.room_id)}", {}, params={"via": peer.name})
    bob.leave(other.room_id)
    assert member(peer, other, bob.user_id) == "leave"
    peer.on("GET", "make_knock", lambda r: (403, {"errcode": "M_FORBIDDEN", "error": "banned"}))
    bob.fails(403, "M_FORBIDDEN", "POST", f"/knock/{q(other.room_id)}?via={peer.name}", {})


@pytest.mark.parametrize("version", ["1", "10", "12"])
def test_their_users_are_invited(fed, peer, alice, version):
    room = alice.create_room(room_version=version, name="Ours")
    zoe = peer.user()
    alice.invite(room, zoe)
    event, shown = peer.invites[-1]
    events.verify_event(version, event, fed.name, *fed.keys())
    assert event["state_key"] == zoe and event["room_id"] == room
    assert {e["type"] for e in shown} >= {"m.room.create", "m.room.name", "m.room.member"}
    content = alice.get(f"/rooms/{q(room)}/members")["chunk"]
    assert {e["state_key"]: e["content"]["membership"] for e in content} == {alice.user_id: "join", zoe: "invite"}
    peer.join(fed, room, zoe)
    assert zoe in alice.get(f"/rooms/{q(room)}/joined_members")["joined"]


def test_their_server_does_not_want_the_invitation(fed, peer, alice):
    room = alice.create_room()
    zoe = peer.user()
    for status, errcode, shown in [(403, "M_FORBIDDEN", (403, "M_FORBIDDEN")), (403, "M_INVITE_BLOCKED", (403, "M_INVITE_BLOCKED")),
                                   (500, "M_UNKNOWN", (502, "M_CONNECTION_FAILED"))]:
        drop = peer.on("PUT", "/invite/", lambda r: (status, {"errcode": errcode, "error": "no"}))
        alice.fails(*shown, "POST", f"/rooms/{q(room)}/invite", {"user_id": zoe})
        drop()
    # It must be the same event, and signed.
    drop = peer.on("PUT", "/invite/", lambda r: (200, {"event": r.body["event"]}))
    alice.fails(502, "M_CONNECTION_FAILED", "POST", f"/rooms/{q(room)}/invite", {"user_id": zoe})
    drop()
    # And an event at all.
    drop = peer.on("PUT", "/invite/", lambda r: (200, {"event": r.body["event"] | {"more": 1.1}}))
    alice.fails(400, "M_BAD_JSON", "POST", f"/rooms/{q(room)}/invite", {"user_id": zoe})
    drop()
    assert {e["state_key"] for e in alice.get(f"/rooms/{q(room)}/members")["chunk"]} == {alice.user_id}
    alice.invite(room, zoe)


def test_names_follow_into_a_room_that_replaces_another(each_fed, peer):
    """What our server gave the room: its aliases, and its place among the published ones."""
    alice, bob, carol = (register(each_fed) for _ in range(3))
    old = peer.create_room("10", power={"users_default": 50})
    for user in (alice, bob, carol):
        join(user, old.room_id, peer.name)
    names = [f"#{n}{alice.device_id}:{each_fed.name}" for n in ("before", "after")]
    alice.put(f"/directory/room/{q(names[0])}", {"room_id": old.room_id})
    alice.put(f"/directory/list/room/{q(old.room_id)}", {"visibility": "public"})

    def listed(room):
        return alice.get(f"/directory/list/room/{q(room.room_id)}")["visibility"] == "public"

    def leads_to(alias):
        return alice.get(f"/directory/room/{q(alias)}")["room_id"]

    replaced = {"predecessor": {"room_id": old.room_id, "event_id": "$x"}}
    # What only says that it replaces the room takes nothing.
    trap, new = (peer.create_room("11", create=replaced) for _ in range(2))
    join(alice, trap.room_id, peer.name)
    tombstone = old.send("m.room.tombstone", {"body": "over there", "replacement_room": new.room_id}, state_key="")
    peer.send(each_fed, [tombstone])
    alice.sync_until(lambda answer: old.id(tombstone) in json.dumps(answer))
    join(bob, trap.room_id, peer.name)
    assert leads_to(names[0]) == old.room_id and listed(old) and not listed(trap)
    join(bob, new.room_id, peer.name)
    assert leads_to(names[0]) == new.room_id and listed(new) and not listed(old)
    # Whoever names the old room afterwards means it.
    alice.put(f"/directory/room/{q(names[1])}", {"room_id": old.room_id})
    join(carol, new.room_id, peer.name)
    assert leads_to(names[1]) == old.room_id


def test_names_follow_those_who_went_ahead(each_fed, peer):
    """Our user is in the successor before the tombstone comes to us."""
    alice, bob = register(each_fed), register(each_fed)
    old = peer.create_room("10", power={"users_default": 50})
    new = peer.create_room("11", create={"predecessor": {"room_id": old.room_id, "event_id": "$x"}})
    trap = peer.create_room("11", create={"predecessor": {"room_id": "!another:" + peer.name, "event_id": "$x"}})
    for user, rooms in ((alice, (old, new, trap)), (bob, (old,))):
        for room in rooms:
            join(user, room.room_id, peer.name)
    alias = f"#ahead{alice.device_id}:{each_fed.name}"
    alice.put(f"/directory/room/{q(alias)}", {"room_id": old.room_id})
    alice.put(f"/directory/list/room/{q(old.room_id)}", {"visibility": "public"})

    def tags(user, room):
        return user.get(f"/user/{q(user.user_id)}/rooms/{q(room.room_id)}/tags")["tags"]

    for user in (alice, bob):
        user.put(f"/user/{q(user.user_id)}/rooms/{q(old.room_id)}/tags/u.work", {"order": 0.5})
        user.put(f"/pushrules/global/room/{q(old.room_id)}", {"actions": []})

    def tombstone(successor):
        event = old.send("m.room.tombstone", {"body": "over there", "replacement_room": successor}, state_key="")
        assert peer.send(each_fed, [event])[old.id(event)] == {}

    # A room is nobody's successor by the tombstone alone; nor is what we do not know, or what is no room.
    for successor in (trap.room_id, "!none:" + peer.name, old.room_id, "nonsense", 7):
        tombstone(successor)
    tombstone(new.room_id)
    # Alice has account data of the new room in /sync once hers was carried over; the names went before.
    alice.sync_until(lambda a: any(e["type"] == "m.tag" for e in
                                   a.get("rooms", {}).get("join", {}).get(new.room_id, {}).get("account_data", {}).get("events", [])))
    assert tags(alice, new) == {"u.work": {"order": 0.5}} and tags(alice, trap) == {}
    assert alice.get(f"/pushrules/global/room/{q(new.room_id)}")["actions"] == []
    assert alice.get(f"/directory/room/{q(alias)}")["room_id"] == new.room_id
    listed = [alice.get(f"/directory/list/room/{q(r.room_id)}")["visibility"] for r in (old, new)]
    assert listed == ["private", "public"]
    assert tags(bob, new) == {}     # who is not there keeps nothing for it


def test_a_direct_chat_with_somebody_there(fed, peer, alice):
    zoe = peer.user()
    room = alice.create_room(preset="trusted_private_chat", is_direct=True, invite=[zoe])
    event, _ = peer.invites[-1]
    assert event["room_id"] == room and event["content"]["is_direct"] is True
    peer.join(fed, room, zoe)
    alice.send(room, "hello")
    peer.wait_pdu(lambda e: e["content"].get("body") == "hello")


def test_two_hearths(fed):
    """Both sides are ours: join, talk, restricted, leave, come back, after either has been away."""
    other = FedServer()
    try:
        alice, eve, zoe = register(fed), register(fed), register(other)
        space = alice.create_room(preset="public_chat", name="Space")
        room = alice.create_room(name="Restricted", room_version="11", initial_state=[
            {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}}])
        zoe.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}?via={fed.name}", {})
        join(zoe, space, fed.name)
        join(zoe, room, fed.name)
        content = alice.get_state(room, "m.room.member", zoe.user_id)
        assert content["membership"] == "join" and content["join_authorised_via_users_server"] == alice.user_id
        zoe.send(room, "from zoe")
        alice.sync_until(lambda a: "from zoe" in str(a))
        alice.send(room, "from alice")
        zoe.sync_until(lambda a: "from alice" in str(a))
        # Her server is in, but nobody of it may vouch for another of its users: the first one is asked to.
        alice.set_state(room, "m.room.power_levels", alice.get_state(room, "m.room.power_levels") | {"invite": 50})
        yan = register(other)
        join(yan, space)
        alice.sync_until(lambda a: yan.user_id in str(a))
        assert join(yan, room, fed.name) == room
        assert alice.get_state(room, "m.room.member", yan.user_id)["join_authorised_via_users_server"] == alice.user_id
        alice.sync_until(lambda a: yan.user_id in str(a))
        # All leave, the room goes on, and they come back.
        for user in (zoe, yan):
            user.leave(room)
        alice.set_state(room, "m.room.topic", {"topic": "without them"})
        join(eve, space)
        join(eve, room)
        join(zoe, room, fed.name)
        assert zoe.get_state(room, "m.room.topic") == {"topic": "without them"}
        zoe.send(room, "back")
        alice.sync_until(lambda a: "back" in str(a))
        other.restart()
        zoe.send(room, "after a restart")
        eve.sync_until(lambda a: "after a restart" in str(a))
    finally:
        other.close()
