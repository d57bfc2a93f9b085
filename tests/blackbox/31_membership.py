"""Every way into a room and out of it, who has the right to it, and what the others are told."""
import itertools

import pytest

from client import login, q, register

NOWHERE = "!nowhere:hearth.test"


def member(reader, room, user):
    return reader.get_state(room, "m.room.member", user.user_id)


def at(room, door):
    return f"/rooms/{q(room)}/{door}"


def refused(client, room, door, user=None, **body):
    if user:
        body["user_id"] = user.user_id
    client.fails(403, "M_FORBIDDEN", "POST", at(room, door), body)


@pytest.fixture
def carol(user):
    return user()


@pytest.fixture
def room(alice):
    return alice.create_room()


@pytest.fixture
def public(alice):
    return alice.create_room(preset="public_chat")


def ruled(alice, join_rule, **content):
    return alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": join_rule, **content}}])


# joining

def test_joining_by_id_by_alias_and_through_both_doors(alice, bob, carol, user):
    name = f"join_{alice.device_id}"
    room = alice.create_room(preset="public_chat", room_alias_name=name)
    assert bob.post(at(room, "join"), {"reason": "hello"}) == {"room_id": room}
    assert carol.post(f"/join/{q(f'#{name}:hearth.test')}") == {"room_id": room}
    assert user().post(f"/join/{q(room)}", params={"server_name": "elsewhere.test", "via": "elsewhere.test"}) == {"room_id": room}
    assert member(alice, room, bob) == {"membership": "join", "reason": "hello"}
    assert room in bob.get("/joined_rooms")["joined_rooms"]


def test_joining_again_changes_nothing(alice, bob, public):
    bob.join(public)
    before = alice.get(at(public, "messages"), dir="b", limit=1)["chunk"]
    assert bob.post(at(public, "join")) == {"room_id": public}
    assert alice.get(at(public, "messages"), dir="b", limit=1)["chunk"][0]["event_id"] == before[0]["event_id"]


def test_where_one_may_not_join(bob, room):
    refused(bob, room, "join")
    bob.fails(404, "M_NOT_FOUND", "POST", f"/join/{q(NOWHERE)}", {})
    bob.fails(404, "M_NOT_FOUND", "POST", f"/join/{q('#nowhere:hearth.test')}", {})
    for nonsense in ("room", "@user:hearth.test", "$event", "%20", "!"):
        bob.fails(400, "M_INVALID_PARAM", "POST", f"/join/{nonsense}", {})
    bob.fails(403, "M_FORBIDDEN", "POST", at(room, "join"), {"third_party_signed": {"sender": "@a:b", "mxid": "@a:b", "token": "t",
                                                                                  "signatures": {}}})
    bob.fails(400, "M_BAD_JSON", "POST", at(room, "join"), {"reason": 1})


# inviting

def test_an_invitation_lets_in(alice, bob, carol, room):
    alice.sync(), bob.sync()
    assert alice.post(at(room, "invite"), {"user_id": bob.user_id, "reason": "come"}) == {}
    invited = bob.sync(timeout=20000)["rooms"]["invite"][room]["invite_state"]["events"]
    types = {(e["type"], e["state_key"]): e for e in invited}
    assert types["m.room.member", bob.user_id]["content"] == {"membership": "invite", "reason": "come"}
    assert types["m.room.create", ""]["sender"] == alice.user_id and types["m.room.join_rules", ""]
    bob.fails(403, "M_FORBIDDEN", "GET", at(room, "state"))
    bob.fails(403, "M_FORBIDDEN", "GET", at(room, "messages"), params={"dir": "b"})
    bob.join(room)
    assert room in bob.sync()["rooms"]["join"]
    bob.invite(room, carol)  # a member may, in a private room
    carol.join(room)


def test_invitations_are_declined_and_taken_back(alice, bob, room):
    alice.invite(room, bob)
    alice.invite(room, bob)  # once more changes nothing
    bob.post(at(room, "leave"), {"reason": "no"})
    assert member(alice, room, bob) == {"membership": "leave", "reason": "no"}
    refused(bob, room, "join")
    alice.invite(room, bob)
    alice.post(at(room, "kick"), {"user_id": bob.user_id})
    refused(bob, room, "join")


def test_who_may_not_invite_and_who_cannot_be(alice, bob, carol, room, public):
    refused(bob, room, "invite", carol)
    refused(bob, NOWHERE, "invite", carol)
    refused(alice, room, "invite", alice)
    bob.join(public)
    refused(bob, public, "invite", carol)  # 50 is needed in a public room
    alice.post(at(public, "ban"), {"user_id": carol.user_id})
    refused(alice, public, "invite", carol)
    alice.fails(400, "M_MISSING_PARAM", "POST", at(room, "invite"), {})
    alice.fails(400, "M_INVALID_PARAM", "POST", at(room, "invite"), {"user_id": "bob"})
    alice.fails(400, "M_BAD_JSON", "POST", at(room, "invite"), {"user_id": 1})
    alice.fails(502, "M_CONNECTION_FAILED", "POST", at(room, "invite"), {"user_id": "@a:elsewhere.test"})  # nobody is there


# leaving

def test_leaving(alice, bob, public):
    bob.join(public)
    bob.sync()
    assert bob.leave(public) == {}
    assert public not in bob.get("/joined_rooms")["joined_rooms"]
    left = bob.sync()["rooms"]["leave"][public]
    assert left["timeline"]["events"][-1]["content"]["membership"] == "leave"
    bob.leave(public)  # is so already
    refused(bob, public, "invite", alice)
    bob.fails(403, "M_FORBIDDEN", "PUT", at(public, "send/m.room.message/t"), {"body": "x"})


def test_where_one_cannot_leave(bob, carol, room, alice):
    refused(bob, room, "leave")
    assert bob.raw("POST", at(NOWHERE, "leave"), {}).status_code in (403, 404)
    bob.fails(400, "M_INVALID_PARAM", "POST", at("nonsense", "leave"), {})


def test_the_last_one_leaves_an_empty_room(alice, bob, public):
    alice.leave(public)
    refused(alice, alice.create_room(), "kick", bob)
    assert alice.raw("POST", f"/join/{q(public)}", {}).status_code in (200, 403, 404)


# kicking, banning

def test_kicking(alice, bob, carol, public):
    bob.join(public), carol.join(public)
    bob.sync()
    refused(bob, public, "kick", carol)
    refused(bob, public, "kick", alice)
    assert alice.post(at(public, "kick"), {"user_id": bob.user_id, "reason": "spam"}) == {}
    assert member(alice, public, bob) == {"membership": "leave", "reason": "spam"}
    assert bob.sync()["rooms"]["leave"][public]
    refused(alice, public, "kick", bob)
    bob.join(public)  # a kick is no ban
    alice.fails(400, "M_MISSING_PARAM", "POST", at(public, "kick"), {})
    refused(alice, NOWHERE, "kick", bob)


def test_banning(alice, bob, carol, public):
    bob.join(public), carol.join(public)
    refused(carol, public, "ban", bob)
    assert alice.post(at(public, "ban"), {"user_id": bob.user_id, "reason": "spam"}) == {}
    assert member(alice, public, bob) == {"membership": "ban", "reason": "spam"}
    refused(bob, public, "join")
    refused(bob, public, "leave")
    refused(alice, public, "kick", bob)
    bob.fails(403, "M_FORBIDDEN", "POST", f"/knock/{q(public)}", {})
    refused(carol, public, "unban", bob)
    assert alice.post(at(public, "unban"), {"user_id": bob.user_id}) == {}
    refused(alice, public, "unban", bob)
    assert member(alice, public, bob)["membership"] == "leave"
    bob.join(public)


def test_who_never_was_there_can_be_banned(alice, bob, room):
    alice.post(at(room, "ban"), {"user_id": bob.user_id})
    alice.post(at(room, "ban"), {"user_id": bob.user_id})
    refused(alice, room, "invite", bob)
    bob.fails(403, "M_FORBIDDEN", "GET", at(room, "messages"), params={"dir": "b"})


@pytest.mark.parametrize("version", [str(n) for n in range(1, 13)])
def test_power_decides(alice, bob, carol, user, version):
    dora = user()
    room = alice.create_room(preset="public_chat", room_version=version)
    for c in (bob, carol, dora):
        c.join(room)
    levels = alice.get_state(room, "m.room.power_levels")
    levels["users"] = {**levels["users"], bob.user_id: 50, carol.user_id: 50}
    alice.set_state(room, "m.room.power_levels", levels)
    bob.post(at(room, "kick"), {"user_id": dora.user_id})
    refused(bob, room, "kick", carol)  # an equal
    refused(bob, room, "ban", alice)
    bob.post(at(room, "ban"), {"user_id": dora.user_id})
    carol.post(at(room, "unban"), {"user_id": dora.user_id})
    bob.fails(403, "M_FORBIDDEN", "PUT", f"{at(room, 'state')}/m.room.power_levels/",
              {**levels, "users": {**levels["users"], dora.user_id: 51}})
    if version == "12":
        alice.fails(403, "M_FORBIDDEN", "PUT", f"{at(room, 'state')}/m.room.power_levels/",
                    {**levels, "users": {**levels["users"], alice.user_id: 100}})


# forgetting

def test_forgetting(alice, bob, public):
    bob.join(public)
    bob.fails(400, "M_UNKNOWN", "POST", at(public, "forget"), {})
    bob.leave(public)
    assert bob.get(at(public, "messages"), dir="b")["chunk"]
    assert bob.post(at(public, "forget")) == {}
    bob.post(at(public, "forget"))
    for path in ("state", "members", "messages?dir=b"):
        bob.fails(403, "M_FORBIDDEN", "GET", at(public, path))
    whole = login(bob.server, bob.user_id).sync(filter='{"room": {"include_leave": true}}')
    assert public not in whole.get("rooms", {}).get("leave", {})
    bob.join(public)  # and it is all there again
    assert bob.get(at(public, "messages"), dir="b")["chunk"]


def test_what_is_still_open_cannot_be_forgotten(alice, bob, carol, room):
    alice.invite(room, bob)
    bob.fails(400, "M_UNKNOWN", "POST", at(room, "forget"), {})
    alice.post(at(room, "ban"), {"user_id": carol.user_id})
    carol.post(at(room, "forget"))
    refused(carol, room, "join")  # a ban is not


# knocking

@pytest.mark.parametrize("rule", ["knock", "knock_restricted"])
def test_knocking(alice, bob, carol, rule):
    room = ruled(alice, rule, **({"allow": []} if rule == "knock_restricted" else {}))
    alice.sync(), bob.sync()
    assert bob.post(f"/knock/{q(room)}", {"reason": "please"}) == {"room_id": room}
    bob.post(f"/knock/{q(room)}", {"reason": "please"})
    assert member(alice, room, bob) == {"membership": "knock", "reason": "please"}
    knocked = bob.sync()["rooms"]["knock"][room]["knock_state"]["events"]
    assert {e["type"] for e in knocked} >= {"m.room.create", "m.room.join_rules", "m.room.member"}
    refused(bob, room, "join")
    bob.fails(403, "M_FORBIDDEN", "GET", at(room, "state"))
    refused(carol, room, "kick", bob)
    bob.leave(room)  # taken back
    bob.post(f"/knock/{q(room)}")
    alice.post(at(room, "kick"), {"user_id": bob.user_id})  # turned down
    bob.post(f"/knock/{q(room)}")
    alice.invite(room, bob)
    bob.join(room)
    bob.fails(403, "M_FORBIDDEN", "POST", f"/knock/{q(room)}", {})  # inside


def test_where_one_may_not_knock(bob, room, public):
    for r in (room, public):
        bob.fails(403, "M_FORBIDDEN", "POST", f"/knock/{q(r)}", {})
    bob.fails(404, "M_NOT_FOUND", "POST", f"/knock/{q(NOWHERE)}", {})
    bob.fails(404, "M_NOT_FOUND", "POST", f"/knock/{q('#nowhere:hearth.test')}", {})
    bob.fails(400, "M_INVALID_PARAM", "POST", "/knock/nonsense", {})


# restricted rooms

@pytest.mark.parametrize("rule", ["restricted", "knock_restricted"])
def test_restricted_rooms(alice, bob, carol, user, rule):
    space = alice.create_room(preset="public_chat")
    allow = [{"type": "org.example.unknown"}, {"type": "m.room_membership", "room_id": NOWHERE},
             {"type": "m.room_membership", "room_id": space}]
    room = ruled(alice, rule, allow=allow)
    refused(bob, room, "join")
    bob.join(space)
    bob.post(at(room, "join"), {"join_authorised_via_users_server": bob.user_id})  # not the client's to say
    assert member(alice, room, bob)["join_authorised_via_users_server"] == alice.user_id
    alice.invite(room, carol)
    carol.join(room)  # an invitation does without
    assert "join_authorised_via_users_server" not in member(alice, room, carol)
    dora = user()
    dora.join(space)
    dora.leave(space)
    refused(dora, room, "join")
    bob.leave(space)
    bob.send(room, "who is in stays in")
    bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": "Bob"})
    bob.sync_until(lambda _: member(alice, room, bob).get("displayname") == "Bob")
    bob.leave(room)
    refused(bob, room, "join")


def test_a_restricted_room_where_nobody_may_invite(alice, bob):
    space = alice.create_room(preset="public_chat")
    room = alice.create_room(room_version="11", power_level_content_override={"invite": 101}, initial_state=[
        {"type": "m.room.join_rules",
         "content": {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}}])
    bob.join(space)
    bob.fails(400, "M_UNABLE_TO_GRANT_JOIN", "POST", at(room, "join"), {})


# through the door for state

def test_memberships_by_state_events(alice, bob, carol, public):
    def put(by, user, **content):
        return by.set_state(public, "m.room.member", content, user.user_id)
    put(bob, bob, membership="join", displayname="B", **{"org.example": 1})
    assert member(alice, public, bob) == {"membership": "join", "displayname": "B", "org.example": 1}
    put(alice, carol, membership="invite")
    carol.join(public)
    put(alice, carol, membership="ban")
    put(alice, carol, membership="leave")
    for content in ({"membership": "dance"}, {"membership": 1}, {}):
        alice.fails(400, "M_BAD_JSON", "PUT", f"{at(public, 'state')}/m.room.member/{q(bob.user_id)}", content)
    alice.fails(403, "M_FORBIDDEN", "PUT", f"{at(public, 'state')}/m.room.member/{q(carol.user_id)}", {"membership": "join"})
    alice.fails(400, "M_INVALID_PARAM", "PUT", f"{at(public, 'state')}/m.room.member/nobody", {"membership": "invite"})


def test_profiles_are_put_into_member_events(alice, bob, room):
    bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": "Bob"})
    bob.put(f"/profile/{q(bob.user_id)}/avatar_url", {"avatar_url": "mxc://hearth.test/b"})
    profile = {"displayname": "Bob", "avatar_url": "mxc://hearth.test/b"}
    alice.invite(room, bob)
    assert member(alice, room, bob) == {"membership": "invite", **profile}
    bob.join(room)
    assert member(alice, room, bob) == {"membership": "join", **profile}
    bob.leave(room)
    assert member(alice, room, bob) == {"membership": "leave"}


# all of it again, by the table

WAYS = {"join": lambda a, b, r: b.raw("POST", at(r, "join"), {}), "leave": lambda a, b, r: b.raw("POST", at(r, "leave"), {}),
        "invite": lambda a, b, r: a.raw("POST", at(r, "invite"), {"user_id": b.user_id}),
        "kick": lambda a, b, r: a.raw("POST", at(r, "kick"), {"user_id": b.user_id}),
        "ban": lambda a, b, r: a.raw("POST", at(r, "ban"), {"user_id": b.user_id}),
        "unban": lambda a, b, r: a.raw("POST", at(r, "unban"), {"user_id": b.user_id}),
        "knock": lambda a, b, r: b.raw("POST", f"/knock/{q(r)}", {})}
# from membership: {way: membership afterwards}; what is not there is refused with 403 and changes nothing
TABLE = {None: {"invite": "invite", "ban": "ban", "knock": "knock"},
         "invite": {"join": "join", "leave": "leave", "kick": "leave", "ban": "ban", "invite": "invite"},
         "join": {"join": "join", "leave": "leave", "kick": "leave", "ban": "ban"},
         "leave": {"invite": "invite", "ban": "ban", "knock": "knock", "leave": "leave"},
         "ban": {"unban": "leave", "ban": "ban"},
         "knock": {"invite": "invite", "leave": "leave", "kick": "leave", "ban": "ban", "knock": "knock"}}
TO = {None: [], "invite": ["invite"], "join": ["invite", "join"], "leave": ["invite", "leave"], "ban": ["ban"], "knock": ["knock"]}


@pytest.mark.parametrize("start, way", list(itertools.product(TABLE, WAYS)))
def test_every_way_from_every_membership(hs, start, way):
    alice, bob = register(hs), register(hs)
    room = ruled(alice, "knock")
    for step in TO[start]:
        assert WAYS[step](alice, bob, room).status_code == 200
    answer = WAYS[way](alice, bob, room)
    if way in TABLE[start]:
        assert answer.status_code == 200, answer.text
        assert member(alice, room, bob)["membership"] == TABLE[start][way]
        return
    assert (answer.status_code, answer.json()["errcode"]) == (403, "M_FORBIDDEN"), answer.text
    if start:
        assert member(alice, room, bob)["membership"] == start
    else:
        alice.fails(404, "M_NOT_FOUND", "GET", f"{at(room, 'state')}/m.room.member/{q(bob.user_id)}")
