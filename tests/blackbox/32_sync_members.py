"""Lazy-loaded members and room summaries in /sync."""
import json

from client import login, q, register

LAZY = {"state": {"lazy_load_members": True}, "timeline": {"limit": 5}}


def flt(**more):
    state = {**LAZY["state"], **more.pop("state", {})}
    return json.dumps({"room": {**LAZY, "state": state, **more}})


def joined(answer, room):
    return answer.get("rooms", {}).get("join", {}).get(room)


def members(part, name="state"):
    return {e["state_key"]: e["content"]["membership"] for e in part[name]["events"] if e["type"] == "m.room.member"}


def filler(client, room, n=5):
    for i in range(n):
        client.send(room, f"filler {i}")


def crowd(hs, n, **options):
    users = [register(hs) for _ in range(n)]
    room = users[0].create_room(preset="public_chat", **options)
    for u in users[1:]:
        u.join(room)
    return users, room


def test_a_first_answer_has_the_senders_and_the_reader(hs):
    (alice, bob, carol, dave), room = crowd(hs, 4, name="n")
    filler(bob, room)
    part = joined(alice.sync(filter=flt()), room)
    assert members(part) == {alice.user_id: "join", bob.user_id: "join"}
    assert ("m.room.create", "") in {(e["type"], e["state_key"]) for e in part["state"]["events"]}
    whole = joined(alice.sync(since=None, filter=json.dumps({"room": {"timeline": {"limit": 5}}})), room)
    assert set(members(whole)) == {u.user_id for u in (alice, bob, carol, dave)}


def test_a_sender_is_told_once(hs):
    (alice, bob, carol), room = crowd(hs, 3, name="n")
    filler(bob, room)
    alice.sync(filter=flt())
    carol.send(room, "first")
    assert members(joined(alice.sync(filter=flt()), room)) == {carol.user_id: "join"}
    carol.send(room, "second")
    bob.send(room, "second")
    assert members(joined(alice.sync(filter=flt()), room)) == {}
    carol.send(room, "third")
    redundant = flt(state={"include_redundant_members": True})
    assert members(joined(alice.sync(filter=redundant), room)) == {carol.user_id: "join"}
    # another device knows nothing of it
    other = login(alice.server, alice.user_id)
    other.sync(filter=flt(timeline={"limit": 1}))
    bob.send(room, "hello")
    assert members(joined(other.sync(filter=flt()), room)) == {bob.user_id: "join"}


def test_what_was_in_a_lost_answer_is_told_again(hs):
    (alice, bob), room = crowd(hs, 2, name="n")
    filler(alice, room)
    alice.sync(filter=flt())
    since = alice.next_batch
    bob.send(room, "hello")
    for _ in range(2):
        assert members(joined(alice.sync(since=since, filter=flt()), room)) == {bob.user_id: "join"}
    bob.send(room, "again")
    assert members(joined(alice.sync(filter=flt()), room)) == {}
    # a first answer forgets what was told
    assert bob.user_id in members(joined(alice.sync(since=None, filter=flt()), room))


def test_changes_in_a_gap_are_told_whoever_speaks(hs):
    (alice, bob, carol, dave), room = crowd(hs, 4, name="n")
    filler(bob, room)
    alice.sync(filter=flt())
    carol.leave(room)
    erin = register(hs)
    erin.join(room)
    dave.put(f"/profile/{q(dave.user_id)}/displayname", {"displayname": "Dave"})
    dave.set_state(room, "m.room.member", {"membership": "join", "displayname": "Dave"}, dave.user_id)
    filler(bob, room, 6)
    part = joined(alice.sync(filter=flt()), room)
    assert part["timeline"]["limited"]
    assert members(part) == {carol.user_id: "leave", erin.user_id: "join", dave.user_id: "join"}
    assert part["summary"] == {"m.joined_member_count": 4, "m.invited_member_count": 0}
    dave.send(room, "hello")
    assert members(joined(alice.sync(filter=flt()), room)) == {}


def test_a_changed_sender_in_the_timeline_needs_nothing_before_it(hs):
    (alice, bob), room = crowd(hs, 2, name="n")
    filler(bob, room)
    alice.sync(filter=flt())
    bob.set_state(room, "m.room.member", {"membership": "join", "displayname": "Bobby"}, bob.user_id)
    bob.send(room, "it is me")
    part = joined(alice.sync(filter=flt()), room)
    assert part["timeline"]["events"][0]["content"]["displayname"] == "Bobby"
    bob.send(room, "again")
    assert members(joined(alice.sync(filter=flt()), room)) == {}


def test_full_state_and_a_room_joined_since_have_the_reader(hs):
    (alice, bob), room = crowd(hs, 2, name="n")
    filler(bob, room)
    alice.sync(filter=flt())
    got = alice.sync(filter=flt(), full_state="true")
    assert members(joined(got, room))[alice.user_id] == "join"
    carol = register(hs)
    carol.sync(filter=flt())
    carol.join(room)
    filler(bob, room)
    assert members(joined(carol.sync(filter=flt()), room)) == {carol.user_id: "join", bob.user_id: "join"}


def test_state_after_has_the_senders_and_every_change(hs):
    (alice, bob, carol), room = crowd(hs, 3, name="n")
    filler(alice, room)
    alice.sync(filter=flt(), use_state_after="true")
    carol.leave(room)
    bob.send(room, "hello")
    part = joined(alice.sync(filter=flt(), use_state_after="true"), room)
    assert members(part, "state_after") == {carol.user_id: "leave", bob.user_id: "join"}
    bob.send(room, "hello")
    assert members(joined(alice.sync(filter=flt(), use_state_after="true"), room), "state_after") == {}


# ---- summaries

def test_an_unnamed_room_has_heroes_and_their_events(hs):
    (alice, bob, carol), room = crowd(hs, 3)
    filler(alice, room)
    part = joined(alice.sync(filter=flt()), room)
    assert part["summary"] == {"m.heroes": sorted([bob.user_id, carol.user_id]),
                               "m.joined_member_count": 3, "m.invited_member_count": 0}
    assert set(members(part)) == {alice.user_id, bob.user_id, carol.user_id}


def test_a_name_or_an_alias_makes_heroes_needless_and_an_empty_one_does_not(hs):
    (alice, bob), room = crowd(hs, 2, name="n")
    alice.sync(filter=flt())
    alice.set_state(room, "m.room.name", {"name": ""})
    assert joined(alice.sync(filter=flt()), room)["summary"]["m.heroes"] == [bob.user_id]
    alias = f"#h{room[1:9]}:{hs.name}"
    alice.put(f"/directory/room/{q(alias)}", {"room_id": room})
    alice.set_state(room, "m.room.canonical_alias", {"alias": alias})
    assert "m.heroes" not in joined(alice.sync(filter=flt()), room)["summary"]


def test_heroes_are_five_and_when_all_are_gone_those_who_were_there(hs):
    users, room = crowd(hs, 8)
    alice, rest = users[0], users[1:]
    assert joined(alice.sync(), room)["summary"]["m.heroes"] == sorted(u.user_id for u in rest[:5])
    for u in rest:
        u.leave(room)
    assert joined(alice.sync(), room)["summary"]["m.heroes"] == sorted(u.user_id for u in rest[:5])
    dave = register(hs)
    alice.invite(room, dave)
    got = joined(alice.sync(), room)["summary"]
    assert got == {"m.heroes": [dave.user_id], "m.joined_member_count": 1, "m.invited_member_count": 1}


def test_a_summary_comes_when_something_in_it_changed(hs):
    (alice, bob), room = crowd(hs, 2, name="n")
    alice.sync()
    bob.send(room, "x")
    assert joined(alice.sync(), room)["summary"] == {}
    bob.leave(room)
    assert joined(alice.sync(), room)["summary"] == {"m.joined_member_count": 1, "m.invited_member_count": 0}
