"""Users of another homeserver join, knock at, leave and invite into rooms, through Hearth or into it."""
import pytest

from client import check_schema, q, register
from fed import events
from fed.peer import FED, Refused

VERSIONS = ["1", "6", "10", "11", "12"]
ALL = "&".join(f"ver={n}" for n in range(1, 13))


@pytest.fixture
def alice(fed):
    return register(fed)


@pytest.fixture
def bob(fed):
    return register(fed)


def seen(client, room, event_id):
    """The timeline of a room until an event is in it."""
    def has(answer):
        for event in answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", []):
            if event["event_id"] == event_id:
                return event
    return client.sync_until(has)


def template(peer, fed, kind, room, user, ver=ALL):
    answer = peer.raw("GET", fed, f"{FED}/v1/make_{kind}/{q(room)}/{q(user)}" + (f"?{ver}" if ver else ""))
    check_schema(answer)
    if answer.status_code >= 300:
        raise Refused(answer)
    return answer.json()


def finished(peer, made, **over):
    version = made["room_version"]
    event = made["event"] | {"origin": peer.name} | over
    if events.named(version):
        event["event_id"] = f"$m{id(event)}:{peer.name}"
    events.finish(version, event, peer.key)
    return event, events.event_id(version, event)


def submit(peer, fed, kind, room, event, event_id, v=2, query=""):
    answer = peer.raw("PUT", fed, f"{FED}/v{v}/send_{kind}/{q(room)}/{q(event_id)}{query}", event)
    check_schema(answer)
    if answer.status_code >= 300:
        raise Refused(answer)
    return answer.json()


def state_of(version, answer):
    """(type, state_key) > event; every event is well signed and hashed, all that it rests upon is there."""
    known = {events.event_id(version, e): e for e in answer["auth_chain"] + answer["state"]}
    for event in known.values():
        for i in events.ids(version, event["auth_events"]):
            assert i in known, f"{i} is missing"
    return {(e["type"], e["state_key"]): e for e in answer["state"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_join_talk_leave(each_fed, peer, version):
    fed = each_fed
    alice = register(fed)
    room = alice.create_room(preset="public_chat", room_version=version, name="Salon")
    zoe = peer.user()
    made = template(peer, fed, "join", room, zoe)
    assert made["room_version"] == version
    event, event_id = finished(peer, made)
    said = alice.send(room, "before she comes")
    answer = submit(peer, fed, "join", room, event, event_id)
    state = state_of(version, answer)
    assert state["m.room.name", ""]["content"]["name"] == "Salon"
    assert ("m.room.member", alice.user_id) in state and ("m.room.member", zoe) not in state
    for e in answer["state"]:
        events.verify_event(version, e, fed.name, *fed.keys())
    assert events.event_id(version, answer["event"]) == event_id
    assert seen(alice, room, event_id)["content"]["membership"] == "join"
    # Lost on the way: the same again.
    again = submit(peer, fed, "join", room, event, event_id)
    assert state_of(version, again) == state
    # The next event stands upon both.
    hello = alice.send(room, "hello")
    got, = peer.get(fed, f"/v1/event/{q(hello)}")["pdus"]
    assert set(events.ids(version, got["prev_events"])) == {event_id, said}

    made = template(peer, fed, "leave", room, zoe, ver="")
    event, event_id = finished(peer, made)
    submit(peer, fed, "leave", room, event, event_id)
    assert seen(alice, room, event_id)["content"]["membership"] == "leave"
    with pytest.raises(Refused) as e:
        template(peer, fed, "leave", room, zoe, ver="")
    assert e.value.status == 403


def test_the_first_versions_of_the_endpoints(fed, peer, alice):
    room = alice.create_room(preset="public_chat", room_version="10")
    zoe = peer.user()
    event, event_id = finished(peer, template(peer, fed, "join", room, zoe))
    status, answer = submit(peer, fed, "join", room, event, event_id, v=1)
    assert status == 200 and state_of("10", answer)["m.room.create", ""]
    event, event_id = finished(peer, template(peer, fed, "leave", room, zoe, ver=""))
    assert submit(peer, fed, "leave", room, event, event_id, v=1) == [200, {}]


@pytest.mark.parametrize("version", VERSIONS)
def test_members_left_out(fed, peer, alice, bob, version):
    room = alice.create_room(preset="public_chat", room_version=version)
    bob.join(room)
    zoe = peer.user()
    event, event_id = finished(peer, template(peer, fed, "join", room, zoe))
    answer = submit(peer, fed, "join", room, event, event_id, query="?omit_members=true")
    assert answer["members_omitted"] is True and answer["servers_in_room"] == [fed.name]
    state = state_of(version, answer)
    # A room without a name: who is in it is its name.
    assert ("m.room.member", alice.user_id) in state and ("m.room.member", bob.user_id) in state
    alice.set_state(room, "m.room.name", {"name": "x"})
    event, event_id = finished(peer, template(peer, fed, "join", room, peer.user()))
    answer = submit(peer, fed, "join", room, event, event_id, query="?omit_members=true")
    assert set(answer["servers_in_room"]) == {fed.name, peer.name}
    assert not [k for k in state_of(version, answer) if k[0] == "m.room.member"]


def test_what_is_refused(fed, peer, alice):
    room, closed = alice.create_room(preset="public_chat", room_version="11"), alice.create_room(room_version="11")
    zoe = peer.user()
    for where, user, ver, status, code in [
            (room, "@oz:elsewhere.example", ALL, 403, "M_FORBIDDEN"), ("!nowhere:" + fed.name, zoe, ALL, 404, "M_NOT_FOUND"),
            (closed, zoe, ALL, 403, "M_FORBIDDEN"), (room, zoe, "ver=1&ver=10", 400, "M_INCOMPATIBLE_ROOM_VERSION"),
            (room, zoe, "", 400, "M_INCOMPATIBLE_ROOM_VERSION")]:
        with pytest.raises(Refused) as e:
            template(peer, fed, "join", where, user, ver)
        assert (e.value.status, e.value.errcode) == (status, code)
    assert e.value.body["room_version"] == "11"
    event, event_id = finished(peer, template(peer, fed, "join", room, zoe))
    for changed, i in [(event, "$other"), (event | {"type": "m.room.topic"}, None), (event | {"sender": "@oz:elsewhere.example"}, None),
                       (event | {"content": {"membership": "leave"}}, None), (event | {"signatures": {}}, event_id)]:
        if i is None:
            changed = events.finish("11", dict(changed), peer.key)
        with pytest.raises(Refused) as e:
            submit(peer, fed, "join", room, changed, i or events.event_id("11", changed))
        assert (e.value.status, e.value.errcode) == (400, "M_INVALID_PARAM"), e.value.body
    alice.set_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})
    for what in [lambda: template(peer, fed, "join", room, zoe), lambda: submit(peer, fed, "join", room, event, event_id)]:
        with pytest.raises(Refused) as e:
            what()
        assert (e.value.status, e.value.errcode) == (403, "M_FORBIDDEN")


def test_restricted_join(fed, peer, alice):
    space, elsewhere = alice.create_room(preset="public_chat", room_version="11"), "!elsewhere:example.org"
    zoe = peer.user()

    def rule(*rooms):
        return alice.create_room(room_version="11", initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": {
            "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": r} for r in rooms]}}])

    room, unknown = rule(space), rule(elsewhere)
    for where, code, status in [(room, "M_FORBIDDEN", 403), (unknown, "M_UNABLE_TO_AUTHORISE_JOIN", 400)]:
        with pytest.raises(Refused) as e:
            template(peer, fed, "join", where, zoe)
        assert (e.value.status, e.value.errcode) == (status, code)
    peer.join(fed, space, zoe)
    event, event_id = finished(peer, template(peer, fed, "join", room, zoe))
    assert event["content"]["join_authorised_via_users_server"] == alice.user_id
    answer = submit(peer, fed, "join", room, event, event_id)
    assert set(answer["event"]["signatures"]) == {fed.name, peer.name}
    events.verify_event("11", answer["event"], fed.name, *fed.keys())


@pytest.mark.parametrize("version", ["7", "10", "12"])
def test_knock(fed, peer, alice, version):
    room = alice.create_room(room_version=version, name="Salon", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    zoe = peer.user()
    event, event_id = finished(peer, template(peer, fed, "knock", room, zoe))
    shown = {e["type"]: e for e in submit(peer, fed, "knock", room, event, event_id, v=1)["knock_room_state"]}
    assert shown["m.room.name"]["content"]["name"] == "Salon"
    for e in shown.values():
        events.verify_event(version, e, fed.name, *fed.keys())
    assert "m.room.create" in shown
    assert seen(alice, room, event_id)["content"]["membership"] == "knock"
    event, event_id = finished(peer, template(peer, fed, "leave", room, zoe, ver=""))
    submit(peer, fed, "leave", room, event, event_id)


def invite(peer, fed, room, user, v=2, stripped=None, event=None):
    event = event or room.send("m.room.member", {"membership": "invite", "displayname": "You"}, state_key=user)
    event_id = room.id(event)
    stripped = room.stripped() if stripped is None else stripped
    body = {"event": event, "room_version": room.version, "invite_room_state": stripped}
    if v == 1:
        body = event | {"unsigned": {"invite_room_state": stripped}}
    answer = peer.raw("PUT", fed, f"{FED}/v{v}/invite/{q(room.room_id)}/{q(event_id)}", body)
    check_schema(answer)
    if answer.status_code >= 300:
        raise Refused(answer)
    return answer.json()


def invited(client, room_id):
    return client.sync_until(lambda a: a.get("rooms", {}).get("invite", {}).get(room_id))


def left(client, room_id):
    return client.sync_until(lambda a: a.get("rooms", {}).get("leave", {}).get(room_id))


@pytest.mark.parametrize("version", VERSIONS)
def test_invited_into_a_room_elsewhere(each_fed, peer, version):
    fed = each_fed
    alice = register(fed)
    room = peer.create_room(version, state=[("m.room.name", "", {"name": "Theirs"})])
    alice.sync()
    event = invite(peer, fed, room, alice.user_id)["event"]
    events.verify_event(version, event, fed.name, *fed.keys())
    events.verify_event(version, event, peer.name, peer.key.id, peer.key.public)
    shown = {(e["type"], e["state_key"]): e for e in invited(alice, room.room_id)["invite_state"]["events"]}
    assert shown["m.room.name", ""] == {"type": "m.room.name", "state_key": "", "sender": room.creator, "content": {"name": "Theirs"}}
    assert shown["m.room.member", alice.user_id]["content"]["membership"] == "invite"
    fresh = register(fed)  # somebody else hears nothing
    assert room.room_id not in fresh.sync().get("rooms", {}).get("invite", {})
    alice.next_batch = None
    invited(alice, room.room_id)
    fed.restart()
    alice.next_batch = None
    invited(alice, room.room_id)


def test_invited_the_old_way(fed, peer, alice):
    room = peer.create_room("1", state=[("m.room.name", "", {"name": "Theirs"})])
    alice.sync()
    status, answer = invite(peer, fed, room, alice.user_id, v=1)
    assert status == 200
    events.verify_event("1", answer["event"], fed.name, *fed.keys())
    invited(alice, room.room_id)


def test_invitations_that_are_refused(fed, peer, alice):
    room, user = peer.create_room("12"), alice.user_id
    good = room.build("m.room.member", {"membership": "invite"}, state_key=user)

    def refused(status, code, event=good, **kw):
        with pytest.raises(Refused) as e:
            invite(peer, fed, room, user, event=event, **kw)
        assert (e.value.status, e.value.errcode) == (status, code), e.value.body

    refused(400, "M_INVALID_PARAM", stripped=[])
    refused(400, "M_INVALID_PARAM", stripped=[{"type": "m.room.create", "sender": room.creator, "state_key": "", "content": {}}])
    refused(400, "M_INVALID_PARAM", stripped=peer.create_room("12").stripped())
    refused(400, "M_INVALID_PARAM", event=room.build("m.room.member", {"membership": "join"}, state_key=user))
    refused(400, "M_INVALID_PARAM", event=room.build("m.room.member", {"membership": "invite"}, state_key="@x:elsewhere.example"))
    refused(400, "M_INVALID_PARAM", event=room.build("m.room.member", {"membership": "invite"}, state_key=user, sender="@x:elsewhere.example"))
    refused(400, "M_INVALID_PARAM", event=good | {"signatures": {}})
    refused(403, "M_FORBIDDEN", event=room.build("m.room.member", {"membership": "invite"}, state_key=f"@nobody:{fed.name}"))
    alice.put(f"/user/{q(user)}/account_data/m.invite_permission_config", {"default_action": "block"})
    refused(403, "M_INVITE_BLOCKED")
    assert room.room_id not in alice.sync().get("rooms", {}).get("invite", {})


ODD = [None, True, 0, -1, 2**53, 2**63, 1.5, "", "\0", "x" * 300, "@", "!", "$", "*", [], {}, [None], [[]], [{}], ["x" * 300], {"": ""}, {"a": {"b": []}},
       {"membership": {}}, {"membership": "join", "join_authorised_via_users_server": {}}, {"membership": "join", "displayname": []}]


@pytest.mark.parametrize("version", ["1", "12"])
def test_members_of_the_wrong_kind(fed, peer, alice, version):
    """Well signed by who sends it, and whatever else: refused as what it is, or taken."""
    room, theirs = alice.create_room(preset="public_chat", room_version=version), peer.create_room(version)
    made = template(peer, fed, "join", room, peer.user())
    event, event_id = finished(peer, made)
    invitation = theirs.build("m.room.member", {"membership": "invite"}, state_key=alice.user_id)
    body = {"event": invitation, "room_version": version, "invite_room_state": theirs.stripped()}

    def ask(path, content):
        answer = peer.raw("PUT", fed, FED + path, content)
        assert answer.status_code < 500, f"{path} {str(content)[:500]}: {answer.status_code} {answer.text[:500]}"

    for key in [*event, "unsigned", "redacts", "x"]:
        for value in ODD:
            for changed in [event | {key: value}, {k: v for k, v in event.items() if k != key}]:
                try:
                    changed = events.finish(version, dict(changed), peer.key)
                    event_id = events.event_id(version, changed)
                except (TypeError, KeyError, AttributeError):
                    pass  # no event: its signature makes no difference
                for kind in ["v2/send_join", "v2/send_leave", "v1/send_knock"]:
                    ask(f"/{kind}/{q(room)}/{q(str(event_id))}", changed)
    for key in body:
        for value in ODD:
            ask(f"/v2/invite/{q(theirs.room_id)}/{q(theirs.id(invitation))}", body | {key: value})
            ask(f"/v1/invite/{q(theirs.room_id)}/{q(theirs.id(invitation))}", invitation | {"unsigned": {"invite_room_state": value}})
    alice.send(room, "the room lives on")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_invitation_taken_back(fed, peer, alice, version):
    room = peer.create_room(version)
    alice.sync()
    invite(peer, fed, room, alice.user_id)
    invited(alice, room.room_id)
    event = room.send("m.room.member", {"membership": "leave", "reason": "sorry"}, state_key=alice.user_id)
    peer.send(fed, [event])
    timeline = left(alice, room.room_id)["timeline"]["events"]
    assert [e["event_id"] for e in timeline] == [room.id(event)] and timeline[0]["content"]["reason"] == "sorry"
    alice.next_batch = None
    assert room.room_id not in alice.sync().get("rooms", {}).get("invite", {})
