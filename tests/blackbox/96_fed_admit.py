"""Users of another homeserver join, knock at, leave and invite into rooms, through Hearth or into it."""
import pytest
import requests

from client import check_schema, q, register
from fed import ca, events
from fed.hearth import FedServer
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


@pytest.mark.parametrize("version", ["1", "12"])
def test_what_is_said_while_somebody_enters(fed, peer, alice, version):
    # Their join stands beside it, so they are told by what comes next: we see to it that something does.
    room = alice.create_room(preset="public_chat", room_version=version)
    event, event_id = finished(peer, template(peer, fed, "join", room, peer.user()))
    said = alice.send(room, "while she enters")
    submit(peer, fed, "join", room, event, event_id)
    merge = peer.wait_pdu(lambda e: e["type"] == "org.matrix.dummy_event")
    assert set(events.ids(version, merge["prev_events"])) == {event_id, said}
    assert not [e for e in alice.get(f"/rooms/{q(room)}/messages", dir="b")["chunk"] if e["type"] == merge["type"]]


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


def test_who_is_refused_keeps_nobody_out(peer):
    # A room lets so many in at a time. Trying alone is no joining.
    limited = FedServer(rc_joins_per_room={"per_second": 0.001, "burst_count": 2})
    try:
        alice = register(limited)
        room = alice.create_room(preset="public_chat", room_version="11")
        event, event_id = finished(peer, template(peer, limited, "join", room, peer.user()))
        for _ in range(4):
            with pytest.raises(Refused) as e:
                submit(peer, limited, "join", room, event | {"signatures": {}}, event_id)
            assert e.value.errcode == "M_INVALID_PARAM"
        submit(peer, limited, "join", room, event, event_id)
    finally:
        limited.close()


def test_users_who_are_refused_keep_nobody_out(peer):
    few = {"per_second": 0.001, "burst_count": 2}
    limited = FedServer(rc_joins_per_room=few, rc_invites={"per_room": few, "per_user": few, "per_issuer": {"per_second": 1000, "burst_count": 1000}})
    try:
        alice, bob, mallory = (register(limited) for _ in range(3))
        ours, theirs = alice.create_room(room_version="11"), peer.create_room("11")
        for _ in range(4):
            mallory.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(ours)}")
            mallory.fails(403, "M_FORBIDDEN", "POST", f"/rooms/{q(ours)}/invite", {"user_id": bob.user_id})
        drop = peer.on("GET", "/make_join/", lambda r: (403, {"errcode": "M_FORBIDDEN", "error": "no"}))
        for _ in range(4):
            mallory.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(theirs.room_id)}?via={peer.name}", {})
        drop()
        bob.post(f"/join/{q(theirs.room_id)}?via={peer.name}", {})
        alice.invite(ours, bob)
        bob.join(ours)
        # Who is let in takes from it: there are two places.
        alice.invite(ours, mallory)
        mallory.join(ours)
        alice.fails(429, "M_LIMIT_EXCEEDED", "POST", f"/rooms/{q(ours)}/invite", {"user_id": peer.user()})
        alice.set_state(ours, "m.room.join_rules", {"join_rule": "public"})
        register(limited).fails(429, "M_LIMIT_EXCEEDED", "POST", f"/join/{q(ours)}")
    finally:
        limited.close()


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
    invite(peer, fed, room, None, event=room.build("m.room.member", {"membership": "invite"}, state_key=f"@nobody:{fed.name}"))
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
        for changed in [*({**event, key: value} for value in ODD), {k: v for k, v in event.items() if k != key}]:
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


#
# Third-party invites
#
class Identity:
    """An identity server, as far as rooms see it: a key, and what it signs."""

    def __init__(self, name="identity.example"):
        self.key = events.Key(name)

    def invitation(self, alice, room, token, url=None):
        keys = {"public_key": self.key.public} | ({"key_validity_url": url} if url else {})
        alice.set_state(room, "m.room.third_party_invite", {"display_name": "z...", "public_keys": [keys], **keys}, key=token)

    def signed(self, user, token):
        return self.key.sign({"mxid": user, "token": token})


def exchange(peer, fed, room, by, whom, signed, **over):
    event = {"type": "m.room.member", "room_id": room, "sender": by, "state_key": whom,
             "content": {"membership": "invite", "third_party_invite": {"display_name": "zoe", "signed": signed}}} | over
    answer = peer.raw("PUT", fed, f"{FED}/v1/exchange_third_party_invite/{q(room)}", event)
    check_schema(answer)
    if answer.status_code >= 300:
        raise Refused(answer)
    return answer.json()


@pytest.mark.parametrize("version", VERSIONS)
def test_exchange_of_an_invitation(fed, peer, alice, version):
    room, zoe, identity = alice.create_room(room_version=version), peer.user(), Identity()
    identity.invitation(alice, room, "tok")
    assert exchange(peer, fed, room, alice.user_id, zoe, identity.signed(zoe, "tok")) == {}
    (event, shown), = peer.invites
    assert event["sender"] == alice.user_id and event["state_key"] == zoe
    assert event["content"]["third_party_invite"]["display_name"] == "z..."
    events.verify_event(version, event, fed.name, *fed.keys())
    assert "m.room.create" in [e["type"] for e in shown]
    assert alice.get_state(room, "m.room.member", zoe)["membership"] == "invite"
    peer.join(fed, room, zoe)


def test_exchanges_that_are_refused(fed, peer, alice, bob):
    room, zoe, identity = alice.create_room(room_version="11"), peer.user(), Identity()
    identity.invitation(alice, room, "tok")
    identity.invitation(alice, room, "revocable", url=f"https://{peer.name}/valid")
    identity.invitation(alice, room, "odd", url="http://127.0.0.1:1/valid")
    good = identity.signed(zoe, "tok")
    asked = len(peer.requests)

    def refused(status, code, signed=good, sender=alice.user_id, user=zoe, where=room, **over):
        with pytest.raises(Refused) as e:
            exchange(peer, fed, where, sender, user, signed, **over)
        assert (e.value.status, e.value.errcode) == (status, code), e.value.body

    refused(403, "M_FORBIDDEN", signed=Identity().signed(zoe, "tok"))
    refused(403, "M_FORBIDDEN", signed=good | {"token": "other"})
    refused(403, "M_FORBIDDEN", signed=identity.signed(peer.user(), "tok"))
    refused(403, "M_FORBIDDEN", sender=bob.user_id)
    refused(403, "M_FORBIDDEN", user="@x:elsewhere.example", signed=identity.signed("@x:elsewhere.example", "tok"))
    refused(403, "M_FORBIDDEN", signed=identity.signed(zoe, "revocable"))
    refused(403, "M_FORBIDDEN", signed=identity.signed(zoe, "odd"))
    refused(400, "M_BAD_JSON", signed={"mxid": zoe, "token": "tok"})
    refused(400, "M_INVALID_PARAM", type="m.room.name")
    refused(400, "M_INVALID_PARAM", room_id="!other:x")
    refused(404, "M_NOT_FOUND", where="!nowhere:x", room_id="!nowhere:x")
    assert not [r for r in peer.requests[asked:] if "/invite/" in r.path]
    for value in ODD:
        for over in [{"content": value}, {"sender": value}, {"state_key": value}, {"type": value},
                     {"content": {"membership": "invite", "third_party_invite": value}},
                     {"content": {"membership": "invite", "third_party_invite": {"signed": value}}},
                     {"content": {"membership": "invite", "third_party_invite": {"signed": good | {"signatures": value}}}},
                     {"content": {"membership": "invite", "third_party_invite": {"signed": good | {"signatures": {"x": {"ed25519:x": value}}}}}}]:
            with pytest.raises(Refused) as e:
                exchange(peer, fed, room, alice.user_id, zoe, good, **over)
            assert e.value.status < 500, (over, e.value.body)
    assert exchange(peer, fed, room, alice.user_id, zoe, good) == {}


def test_a_key_may_be_revoked(peer, monkeypatch):
    """Who keeps the invitation is asked whether its key still holds: by https, as any stranger."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.shared().pem))
    fed = FedServer()
    try:
        alice, zoe, identity = register(fed), peer.user(), Identity()
        room = alice.create_room(room_version="11")
        identity.invitation(alice, room, "tok", url=f"https://{peer.name}/valid?x=1")
        for answer in [(200, {"valid": False}), (200, {}), (200, {"valid": "true"}), (404, {"valid": True}), (200, b"x"), (302, {"valid": True})]:
            peer.on("GET", "/valid", lambda request: answer)
            with pytest.raises(Refused) as e:
                exchange(peer, fed, room, alice.user_id, zoe, identity.signed(zoe, "tok"))
            assert (e.value.status, e.value.errcode) == (403, "M_FORBIDDEN"), answer
        asked = peer.wait_request("GET", "/valid")
        assert asked.query == {"x": ["1"], "public_key": [identity.key.public]}
        peer.on("GET", "/valid", lambda request: (200, {"valid": True}))
        assert exchange(peer, fed, room, alice.user_id, zoe, identity.signed(zoe, "tok")) == {}
    finally:
        fed.close()


def onbind(fed, user, *invites):
    return requests.put(f"{fed.url}{FED}/v1/3pid/onbind", timeout=60, json={
        "medium": "email", "address": "a@example.org", "mxid": user,
        "invites": [{"medium": "email", "address": "a@example.org", "mxid": user, **i} for i in invites]})


def test_an_address_is_bound(fed, peer, alice, bob):
    identity, room = Identity(), alice.create_room(room_version="11")
    identity.invitation(alice, room, "tok")
    theirs = peer.create_room("11")
    inviter = theirs.creator
    peer.on("PUT", "/exchange_third_party_invite/", lambda request: (200, {}))
    answer = onbind(fed, bob.user_id, {"room_id": room, "sender": alice.user_id, "signed": identity.signed(bob.user_id, "tok")},
                    {"room_id": room, "sender": alice.user_id, "signed": identity.signed(bob.user_id, "no such")},
                    {"room_id": theirs.room_id, "sender": inviter, "signed": identity.signed(bob.user_id, "theirs")}, {"signed": []})
    assert (answer.status_code, answer.json()) == (200, {})
    invited(bob, room)
    asked = peer.wait_request("PUT", "/exchange_third_party_invite/")
    assert asked.parts[1] == theirs.room_id and asked.body["state_key"] == bob.user_id and asked.body["sender"] == inviter
    assert asked.body["content"]["third_party_invite"]["signed"] == identity.signed(bob.user_id, "theirs")
    # Who has an account here is not told to everybody.
    for user, status in [("@nobody:" + fed.name, 200), ("@x:elsewhere.example", 400)]:
        assert onbind(fed, user).status_code == status


#
# Policy servers
#
class PolicyServer:
    """A peer that recommends events, as long as `opinion(event)` is True, None for no answer, or an error object."""

    def __init__(self, peer, version):
        self.peer, self.version, self.asked, self.opinion = peer, version, [], lambda event: True
        self.key = events.Key(peer.name, version="policy_server")
        peer.on("POST", "/_matrix/policy/v1/sign", self._sign)

    def _sign(self, request):
        self.asked.append(request.body)
        said = self.opinion(request.body)
        if said is not True:
            return said
        signed = events.sign(self.version, {k: v for k, v in request.body.items() if k != "signatures"}, self.key)
        return 200, signed["signatures"]

    def content(self):
        return {"via": self.peer.name, "public_keys": {"ed25519": self.key.public}}


@pytest.mark.parametrize("version", VERSIONS)
def test_policy_server(fed, peer, alice, bob, version):
    room = alice.create_room(preset="public_chat", room_version=version)
    zoe = peer.user()
    theirs, policy = peer.join(fed, room, zoe), PolicyServer(peer, version)
    alice.sync()
    alice.set_state(room, "m.room.policy", policy.content())
    assert policy.asked == []
    # What we send has its signature.
    sent = alice.send(room, "well said")
    event, = peer.get(fed, f"/v1/event/{q(sent)}")["pdus"]
    events.verify(events.redact(version, event), peer.name, policy.key.id, policy.key.public)
    assert event["signatures"].keys() == {fed.name, peer.name}
    bob.join(room)
    assert [e["type"] for e in policy.asked] == ["m.room.message", "m.room.member"]
    # What it refuses is not sent, and its word is the client's answer.
    policy.opinion = lambda event: (400, {"errcode": "M_FORBIDDEN", "error": "no spam here"})
    refusal = alice.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/send/m.room.message/{q(version)}", {"body": "spam"})
    assert refusal["error"] == "no spam here"
    alice.fails(403, "M_FORBIDDEN", "POST", f"/rooms/{q(room)}/leave")
    policy.opinion = lambda event: True
    # What comes without its signature is asked about, and set aside if that is of no use.
    good = theirs.message("from there", sender=zoe)
    assert peer.send(fed, [good])[theirs.id(good)] == {}
    seen(alice, room, theirs.id(good))
    policy.opinion = lambda event: (400, {"errcode": "M_FORBIDDEN", "error": "no"})
    bad, signed = theirs.message("spam", sender=zoe), theirs.message("recommended before", sender=zoe)
    events.sign(version, signed, policy.key)
    peer.send(fed, [bad, signed])
    seen(alice, room, theirs.id(signed))
    shown = [e["event_id"] for e in alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=50)["chunk"]]
    assert theirs.id(good) in shown and theirs.id(bad) not in shown
    # The room gets rid of it.
    alice.set_state(room, "m.room.policy", {})
    alice.send(room, "free")


@pytest.mark.parametrize("version", ["1", "11", "12"])
def test_a_policy_server_is_asked_before_others_hear(fed, peer, alice, version):
    room = alice.create_room(preset="public_chat", room_version="11")
    policy, guest = PolicyServer(peer, "11"), peer.user()
    peer.join(fed, room, peer.user())
    alice.set_state(room, "m.room.policy", policy.content())
    policy.opinion = lambda event: (400, {"errcode": "M_FORBIDDEN", "error": f"not {event['type']}"})
    # "before sending them to clients and servers": the server of an invited user is one; and "that error SHOULD be provided to the
    # client verbatim".
    refusal = alice.fails(403, "M_FORBIDDEN", "POST", f"/rooms/{q(room)}/invite", {"user_id": guest})
    assert refusal["error"] == "not m.room.member"
    assert not [r for r in peer.requests if "/invite/" in r.path]
    refusal = alice.fails(403, "M_FORBIDDEN", "POST", f"/rooms/{q(room)}/upgrade", {"new_version": version})
    assert refusal["error"] == "not m.room.tombstone"
    policy.opinion = lambda event: True
    alice.post(f"/rooms/{q(room)}/invite", {"user_id": guest})
    sent = peer.wait_request("PUT", "/v2/invite/").body["event"]
    events.verify(events.redact("11", sent), peer.name, policy.key.id, policy.key.public)
    alice.post(f"/rooms/{q(room)}/upgrade", {"new_version": version})
    tombstone, = [e for e in policy.asked if e["type"] == "m.room.tombstone"][1:]
    event, = peer.get(fed, f"/v1/event/{q(events.event_id('11', tombstone))}")["pdus"]
    assert event["signatures"].keys() == {fed.name, peer.name}
    # So are the others that close the room; what it says no to there is left out.
    closing = peer.wait_pdu(lambda e: e["type"] == "m.room.power_levels" and e["room_id"] == room and e["content"]["events_default"] == 50)
    assert closing["signatures"].keys() == {fed.name, peer.name}
    assert [e["type"] for e in policy.asked][-2:] == ["m.room.tombstone", "m.room.power_levels"]
