"""GET /sync section by section: what a first answer holds, what a later one adds, and where each room stands."""
import json

import pytest

from client import ALWAYS_IN_SYNC, Client, MatrixError, login, q

V1 = "org.example.v1"


def types(events):
    return [e["type"] for e in events]


def bodies(part):
    return [e["content"]["body"] for e in part["timeline"]["events"] if e["type"] == "m.room.message"]


def joined(answer, room):
    return answer.get("rooms", {}).get("join", {}).get(room)


def one(answer, section, room):
    rooms = answer["rooms"]
    assert list(rooms) == [section] and list(rooms[section]) == [room], rooms
    return rooms[section][room]


def flt(**parts):
    return json.dumps(parts)


def limit(n, **more):
    return flt(room={"timeline": {"limit": n}}, **more)


def state_of(part, name="state"):
    return {(e["type"], e["state_key"]): e for e in part[name]["events"]}


# ---- first answers

def test_a_new_user_gets_push_rules_and_nothing_else(alice):
    got = alice.sync()
    assert set(got) == ALWAYS_IN_SYNC | {"account_data"}
    assert types(got["account_data"]["events"]) == ["m.push_rules"]
    assert set(alice.sync()) == ALWAYS_IN_SYNC


def test_a_small_room_is_in_the_timeline_whole(alice):
    room = alice.create_room(name="all of it")
    part = one(alice.sync(), "join", room)
    assert part["state"]["events"] == []
    assert not part["timeline"]["limited"]
    assert part["timeline"]["events"][0]["type"] == "m.room.create"
    assert all("room_id" not in e for e in part["timeline"]["events"])


def test_a_longer_room_is_limited_and_its_state_is_that_before_the_timeline(alice):
    room = alice.create_room(name="first")
    for i in range(12):
        alice.send(room, f"m{i}")
    alice.set_state(room, "m.room.name", {"name": "second"})
    part = one(alice.sync(filter=limit(3)), "join", room)
    assert part["timeline"]["limited"]
    assert bodies(part) == ["m10", "m11"]
    assert state_of(part)["m.room.name", ""]["content"]["name"] == "first"
    assert part["timeline"]["events"][-1]["content"]["name"] == "second"
    # prev_batch leads on exactly where the timeline begins
    back = alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=2, **{"from": part["timeline"]["prev_batch"]})
    assert [e["content"]["body"] for e in back["chunk"]] == ["m9", "m8"]


def test_ten_events_are_told_by_default_and_the_setting_bounds_any_filter(alice):
    room = alice.create_room()
    for i in range(110):
        alice.send(room, f"m{i}")
    assert len(joined(alice.sync(since=None), room)["timeline"]["events"]) == 10
    assert len(joined(alice.sync(since=None, filter=limit(1000)), room)["timeline"]["events"]) == 100
    none = joined(alice.sync(since=None, filter=limit(0)), room)
    assert none["timeline"]["events"] == []


def test_unsigned_tells_age_membership_what_was_replaced_and_the_own_transaction(alice, user):
    room = alice.create_room(name="old")
    alice.set_state(room, "m.room.name", {"name": "new"})
    event = alice.send(room, "x", txn="my-own")
    other = login(alice.server, alice.user_id)
    mine, theirs = (joined(c.sync(), room)["timeline"]["events"] for c in (alice, other))
    assert mine[-1]["event_id"] == event and mine[-1]["unsigned"]["transaction_id"] == "my-own"
    assert "transaction_id" not in theirs[-1]["unsigned"]
    assert all(0 <= e["unsigned"]["age"] < 60000 and e["unsigned"]["membership"] in ("join", "leave") for e in mine)
    assert mine[-2]["unsigned"]["prev_content"] == {"name": "old"}


# ---- later answers

def test_nothing_new_is_an_answer_with_a_token_alone(alice):
    alice.create_room()
    alice.sync()
    assert set(alice.sync()) == ALWAYS_IN_SYNC


def test_a_message_comes_once(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.sync()
    alice.send(room, "hello")
    part = one(bob.sync(), "join", room)
    assert bodies(part) == ["hello"] and part["state"]["events"] == [] and not part["timeline"]["limited"]
    assert joined(bob.sync(), room) is None


def test_an_answer_that_was_lost_is_given_again(alice):
    room = alice.create_room()
    alice.sync()
    since = alice.next_batch
    alice.send(room, "a")
    first = alice.sync(since=since)
    again = alice.sync(since=since)
    assert bodies(joined(first, room)) == bodies(joined(again, room)) == ["a"]


def test_a_gap_is_limited_its_state_told_and_it_can_be_filled(alice, bob):
    room = alice.create_room(preset="public_chat", name="before")
    bob.join(room)
    bob.sync()
    since = bob.next_batch
    alice.set_state(room, "m.room.topic", {"topic": "in the gap"})
    alice.set_state(room, "m.room.name", {"name": "in the gap"})
    for i in range(8):
        alice.send(room, f"m{i}")
    alice.set_state(room, "m.room.name", {"name": "after"})
    part = one(bob.sync(filter=limit(3)), "join", room)
    assert part["timeline"]["limited"] and bodies(part) == ["m6", "m7"]
    state = state_of(part)
    assert set(state) == {("m.room.topic", ""), ("m.room.name", "")}
    assert state["m.room.name", ""]["content"]["name"] == "in the gap"
    gap = bob.get(f"/rooms/{q(room)}/messages", dir="b", limit=50, to=since, **{"from": part["timeline"]["prev_batch"]})
    assert [e["content"].get("body") for e in gap["chunk"]] == ["m5", "m4", "m3", "m2", "m1", "m0", None, None]


@pytest.mark.parametrize("param,name", [("use_state_after", "state_after"),
                                        ("org.matrix.msc4222.use_state_after", "org.matrix.msc4222.state_after")])
def test_state_after_is_the_state_at_the_end_whatever_the_timeline_shows(alice, bob, param, name):
    room = alice.create_room(preset="public_chat", name="before")
    bob.join(room)
    first = joined(bob.sync(**{param: "true"}), room)
    assert "state" not in first
    assert state_of(first, name)["m.room.member", bob.user_id]["content"]["membership"] == "join"
    alice.set_state(room, "m.room.name", {"name": "x"})
    alice.send(room, "hello")
    alice.set_state(room, "m.room.name", {"name": "y"})
    part = one(bob.sync(**{param: "true"}), "join", room)
    assert "state" not in part and len(part["timeline"]["events"]) == 3
    assert {k: e["content"] for k, e in state_of(part, name).items()} == {("m.room.name", ""): {"name": "y"}}
    alice.send(room, "no state")
    part = one(bob.sync(**{param: "true"}), "join", room)
    assert part[name] == {"events": []}


def test_full_state_tells_everything_at_once_and_the_timeline_since_the_token(alice):
    quiet, room = alice.create_room(name="quiet"), alice.create_room(name="n")
    alice.sync()
    alice.send(room, "new")
    got = alice.sync(full_state="true", timeout=10000)
    assert set(got["rooms"]["join"]) == {quiet, room}
    part = joined(got, room)
    assert bodies(part) == ["new"] and ("m.room.create", "") in state_of(part)
    assert joined(got, quiet)["timeline"]["events"] == []
    assert state_of(joined(got, quiet))["m.room.name", ""]["content"]["name"] == "quiet"


# ---- joining, leaving, coming back

def test_a_room_joined_since_comes_whole_and_limited(alice, bob):
    room = alice.create_room(preset="public_chat", name="n")
    for i in range(15):
        alice.send(room, f"m{i}")
    bob.sync()
    bob.join(room)
    part = one(bob.sync(filter=limit(4)), "join", room)
    assert part["timeline"]["limited"] and bodies(part) == ["m12", "m13", "m14"]
    assert part["timeline"]["events"][-1]["state_key"] == bob.user_id
    assert ("m.room.create", "") in state_of(part) and ("m.room.member", alice.user_id) in state_of(part)
    assert part["summary"]["m.joined_member_count"] == 2
    assert joined(bob.sync(), room) is None


def test_who_left_and_came_back_gets_the_room_anew(alice, bob):
    room = alice.create_room(preset="public_chat")
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    bob.join(room)
    bob.sync()
    bob.leave(room)
    alice.send(room, "unseen")
    alice.set_state(room, "m.room.topic", {"topic": "set meanwhile"})
    bob.join(room)
    alice.send(room, "seen")
    part = one(bob.sync(), "join", room)
    assert part["timeline"]["limited"] and bodies(part) == ["seen"]
    told = {**state_of(part), **{(e["type"], e["state_key"]): e for e in part["timeline"]["events"] if "state_key" in e}}
    assert told["m.room.topic", ""]["content"]["topic"] == "set meanwhile"
    assert ("m.room.create", "") in told


def test_leaving_is_told_once_with_what_came_before_it(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.sync()
    alice.send(room, "before")
    bob.leave(room)
    alice.send(room, "after")
    part = one(bob.sync(), "leave", room)
    assert bodies(part) == ["before"]
    assert part["timeline"]["events"][-1]["content"]["membership"] == "leave"
    assert "rooms" not in bob.sync()
    assert "rooms" not in bob.sync(since=None)
    archived = one(bob.sync(since=None, filter=flt(room={"include_leave": True})), "leave", room)
    assert bodies(archived) == ["before"]


@pytest.mark.parametrize("how", ["kick", "ban"])
def test_being_thrown_out_is_told_also_in_a_first_answer(alice, bob, how):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.sync()
    alice.post(f"/rooms/{q(room)}/{how}", {"user_id": bob.user_id, "reason": "noise"})
    alice.send(room, "after")
    part = one(bob.sync(), "leave", room)
    assert part["timeline"]["events"][-1]["content"]["reason"] == "noise" and bodies(part) == []
    assert room in bob.sync(since=None)["rooms"]["leave"]
    bob.post(f"/rooms/{q(room)}/forget")
    assert "rooms" not in bob.sync(since=None, filter=flt(room={"include_leave": True}))


def test_a_ban_after_leaving_shows_the_ban_and_nothing_that_came_between(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.sync()
    alice.send(room, "one")
    bob.leave(room)
    alice.send(room, "two")
    alice.set_state(room, "m.room.topic", {"topic": "secret"})
    alice.post(f"/rooms/{q(room)}/ban", {"user_id": bob.user_id})
    part = one(bob.sync(), "leave", room)
    assert bodies(part) == ["one"] and "secret" not in json.dumps(part)
    assert [e["content"].get("membership") for e in part["timeline"]["events"]] == [None, "leave", "ban"]
    alice.post(f"/rooms/{q(room)}/unban", {"user_id": bob.user_id})
    part = one(bob.sync(), "leave", room)
    assert [e["content"]["membership"] for e in part["timeline"]["events"]] == ["leave"] and part["state"]["events"] == []


def test_joined_and_left_between_two_answers_is_a_left_room_with_its_state(alice, bob):
    room = alice.create_room(preset="public_chat", name="n")
    bob.sync()
    bob.join(room)
    bob.leave(room)
    part = one(bob.sync(filter=limit(1)), "leave", room)
    assert part["timeline"]["events"][-1]["content"]["membership"] == "leave"
    assert ("m.room.name", "") in state_of(part)


def test_an_invitation_its_decline_and_its_withdrawal(alice, bob):
    room = alice.create_room(name="secret club", topic="hidden")
    alice.set_state(room, "org.example.private", {"not": "for guests"})
    bob.sync()
    alice.invite(room, bob)
    part = one(bob.sync(), "invite", room)
    stripped = {(e["type"], e["state_key"]): e for e in part["invite_state"]["events"]}
    assert all(set(e) == {"type", "state_key", "sender", "content"} for e in stripped.values())
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.join_rules", ""), ("m.room.member", bob.user_id)} <= set(stripped)
    assert ("org.example.private", "") not in stripped
    assert stripped["m.room.member", bob.user_id]["sender"] == alice.user_id
    assert "rooms" not in bob.sync()
    assert list(bob.sync(since=None)["rooms"]["invite"]) == [room]
    bob.sync()
    bob.leave(room)
    part = one(bob.sync(), "leave", room)
    assert types(part["timeline"]["events"]) == ["m.room.member"] and part["state"]["events"] == []
    alice.invite(room, bob)
    bob.sync()
    alice.post(f"/rooms/{q(room)}/kick", {"user_id": bob.user_id})
    part = one(bob.sync(), "leave", room)
    assert [e["sender"] for e in part["timeline"]["events"]] == [alice.user_id] and "club" not in json.dumps(part)


def test_an_accepted_invitation_becomes_a_room(alice, bob):
    room = alice.create_room(name="n")
    bob.sync()
    alice.invite(room, bob)
    bob.sync()
    bob.join(room)
    part = one(bob.sync(), "join", room)
    assert part["timeline"]["events"][-1]["content"]["membership"] == "join"


def test_a_knock_is_told_with_stripped_state(alice, bob):
    room = alice.create_room(name="knock knock", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    bob.sync()
    bob.post(f"/knock/{q(room)}", {"reason": "please"})
    part = one(bob.sync(), "knock", room)
    assert {"m.room.create", "m.room.name"} <= set(types(part["knock_state"]["events"]))
    assert list(bob.sync(since=None)["rooms"]["knock"]) == [room]
    bob.sync()
    alice.post(f"/rooms/{q(room)}/kick", {"user_id": bob.user_id})
    assert list(bob.sync()["rooms"]) == ["leave"]


def test_history_that_a_member_may_not_see_stays_hidden(alice, bob):
    room = alice.create_room(preset="public_chat")
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    alice.send(room, "unseen")
    bob.join(room)
    alice.send(room, "seen")
    assert bodies(joined(bob.sync(filter=limit(50)), room)) == ["seen"]


# ---- filters

def test_filters_choose_rooms_types_and_senders(alice, bob):
    one_, two = (alice.create_room(preset="public_chat") for _ in range(2))
    for room in (one_, two):
        bob.join(room)
    bob.sync()
    since = bob.next_batch
    for room in (one_, two):
        alice.send(room, "hello")
        alice.send(room, type=V1, n=1)

    def ask(**room_filter):
        return bob.sync(since=since, filter=flt(room=room_filter)).get("rooms", {}).get("join", {})

    assert set(ask(rooms=[one_])) == {one_}
    assert set(ask(not_rooms=[one_])) == {two}
    assert ask(rooms=[]) == {}
    assert set(ask(timeline={"rooms": [two]})) == {two}
    assert [types(p["timeline"]["events"]) for p in ask(timeline={"types": [V1]}).values()] == [[V1]] * 2
    assert [types(p["timeline"]["events"]) for p in ask(timeline={"not_types": ["org.example.*"]}).values()] == [["m.room.message"]] * 2
    assert ask(timeline={"not_senders": [alice.user_id]}) == {}
    assert ask(timeline={"senders": [bob.user_id]}) == {}


def test_a_stored_filter_works_like_its_text(alice, bob):
    room = alice.create_room()
    for i in range(5):
        alice.send(room, f"m{i}")
    stored = alice.post(f"/user/{q(alice.user_id)}/filter", {"room": {"timeline": {"limit": 2}}})["filter_id"]
    assert bodies(joined(alice.sync(filter=stored), room)) == ["m3", "m4"]
    bob.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"filter": stored})
    alice.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"filter": "no-such"})
    alice.fails(400, "M_NOT_JSON", "GET", "/sync", params={"filter": "{"})
    alice.fails(400, "M_BAD_JSON", "GET", "/sync", params={"filter": '{"room":{"rooms":3}}'})


def test_state_that_the_timeline_filter_leaves_out_is_in_the_state(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.sync()
    alice.send(room, "a")
    alice.set_state(room, "m.room.topic", {"topic": "t"})
    alice.send(room, "b")
    part = one(bob.sync(filter=flt(room={"timeline": {"types": ["m.room.message"]}})), "join", room)
    assert bodies(part) == ["a", "b"] and not part["timeline"]["limited"]
    assert state_of(part)["m.room.topic", ""]["content"]["topic"] == "t"


def test_a_filtered_timeline_looks_back_for_what_it_wants(alice):
    room = alice.create_room()
    wanted = [alice.send(room, type=V1, n=i) for i in range(3)]
    for i in range(60):
        alice.send(room, f"m{i}")
    part = joined(alice.sync(filter=flt(room={"timeline": {"types": [V1], "limit": 2}})), room)
    assert [e["event_id"] for e in part["timeline"]["events"]] == wanted[1:] and part["timeline"]["limited"]
    part = joined(alice.sync(since=None, filter=flt(room={"timeline": {"types": [V1], "limit": 3}})), room)
    assert [e["event_id"] for e in part["timeline"]["events"]] == wanted and not part["timeline"]["limited"]


def test_event_fields_and_federation_format(alice):
    room = alice.create_room()
    alice.put(f"/rooms/{q(room)}/send/m.room.message/f", {"msgtype": "m.text", "body": "x", "extra": {"deep": 1, "other": 2}})
    # not by the checking client: what is left of an event then is no event
    got = joined(alice.http.get(alice.server.url + "/_matrix/client/v3/sync", headers={"Authorization": f"Bearer {alice.token}"},
                                params={"filter": flt(event_fields=["type", "content.extra.deep"])}).json(), room)
    assert got["timeline"]["events"][-1] == {"type": "m.room.message", "content": {"extra": {"deep": 1}}}
    got = joined(alice.sync(since=None, filter=flt(event_format="federation")), room)
    event = got["timeline"]["events"][-1]
    assert {"event_id", "room_id", "hashes", "signatures", "prev_events", "auth_events", "depth"} <= set(event)


def test_contains_url(alice):
    room = alice.create_room()
    alice.put(f"/rooms/{q(room)}/send/m.room.message/u", {"msgtype": "m.image", "body": "i", "url": "mxc://x/y"})
    alice.send(room, "text")
    for want, body in ((True, "i"), (False, "text")):
        part = joined(alice.sync(since=None, filter=flt(room={"timeline": {"contains_url": want, "types": ["m.room.message"]}})), room)
        assert bodies(part) == [body]


# ---- account data, ignored users

def test_account_data_of_all_kinds(alice):
    me = q(alice.user_id)
    room = alice.create_room()
    alice.put(f"/user/{me}/account_data/org.example.g", {"a": 1})
    alice.put(f"/user/{me}/rooms/{q(room)}/account_data/org.example.r", {"b": 2})
    alice.put(f"/user/{me}/rooms/{q(room)}/tags/u.work", {"order": 0.5})
    first = alice.sync()
    assert {"org.example.g", "m.push_rules"} == set(types(first["account_data"]["events"]))
    data = {e["type"]: e["content"] for e in joined(first, room)["account_data"]["events"]}
    assert data == {"org.example.r": {"b": 2}, "m.tag": {"tags": {"u.work": {"order": 0.5}}}}
    assert "account_data" not in alice.sync()
    alice.put(f"/user/{me}/account_data/org.example.g", {"a": 2})
    got = alice.sync()
    assert got["account_data"]["events"] == [{"type": "org.example.g", "content": {"a": 2}}] and "rooms" not in got
    alice.delete(f"/user/{me}/rooms/{q(room)}/tags/u.work")
    got = alice.sync()
    assert one(got, "join", room)["account_data"]["events"] == [{"type": "m.tag", "content": {"tags": {}}}]
    assert joined(got, room)["timeline"]["events"] == [] and not joined(got, room)["timeline"]["limited"]
    alice.put("/pushrules/global/override/org.example.rule", {"actions": [], "conditions": []})
    assert types(alice.sync()["account_data"]["events"]) == ["m.push_rules"]
    everything = alice.sync(since=None, filter=flt(account_data={"not_types": ["*"]}, room={"account_data": {"types": ["m.tag"]}}))
    assert "account_data" not in everything
    assert types(joined(everything, room)["account_data"]["events"]) == ["m.tag"]


def test_ignored_users_are_not_heard_but_their_state_is(alice, bob):
    room = alice.create_room(preset="public_chat", power_level_content_override={"events": {"m.room.topic": 0}})
    bob.join(room)
    me = q(bob.user_id)
    bob.put(f"/user/{me}/account_data/m.ignored_user_list", {"ignored_users": {alice.user_id: {}}})
    bob.sync()
    alice.send(room, "unheard")
    alice.set_state(room, "m.room.topic", {"topic": "t"})
    part = one(bob.sync(), "join", room)
    assert types(part["timeline"]["events"]) == ["m.room.topic"]
    other = alice.create_room()
    alice.invite(other, bob)
    assert "rooms" not in bob.sync()
    assert "invite" not in bob.sync(since=None)["rooms"]
    bob.sync()
    bob.put(f"/user/{me}/account_data/m.ignored_user_list", {"ignored_users": {}})
    bob.sync()
    alice.send(room, "heard")
    assert bodies(one(bob.sync(), "join", room)) == ["heard"]


# ---- tokens

@pytest.mark.parametrize("token", ["x", "s", "s1_", "s1_1_2", "s1_zz_1_2_3", "s1_1_-4_2_3", "s1_1_1_1_1_1", "s72595_4483_1934", "p1b"])
def test_what_is_no_token_is_refused(alice, token):
    alice.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"since": token})


def test_a_token_from_a_future_that_was_lost_or_of_another_database_tells_everything(alice):
    room = alice.create_room()
    for i in range(3):
        alice.send(room, f"m{i}")
    parts = alice.sync()["next_batch"].split("_")
    future = "_".join(parts[:2] + [str(int(parts[2]) + 1000000)] + parts[3:])
    other = "_".join(parts[:1] + [f"{int(parts[1], 16) ^ 1:x}"] + parts[2:])
    for token in (future, other):
        got = alice.sync(since=token, timeout=10000)
        part = one(got, "join", room)
        assert part["timeline"]["limited"] and "m2" in bodies(part)
        assert alice.next_batch.split("_")[:3] == parts[:3]


def test_from_is_not_a_parameter_but_unknown_ones_are_ignored(alice):
    alice.sync(org_example="x", timeout=0)
    alice.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"set_presence": "asleep"})
    alice.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"timeout": "soon"})
    alice.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"full_state": "perhaps"})
    Client(alice.server).fails(401, "M_MISSING_TOKEN", "GET", "/sync")
    for presence in ("online", "offline", "unavailable"):
        alice.sync(set_presence=presence)


def test_redactions_are_told_and_what_they_removed_is_gone(alice, bob):
    room = alice.create_room(preset="public_chat", name="to go")
    bob.join(room)
    event = alice.send(room, "oops")
    name = alice.set_state(room, "m.room.topic", {"topic": "oops"})
    bob.sync()
    for target in (event, name):
        alice.put(f"/rooms/{q(room)}/redact/{q(target)}/r{target[1:9]}", {"reason": "typo"})
    part = one(bob.sync(), "join", room)
    assert types(part["timeline"]["events"]) == ["m.room.redaction"] * 2
    whole = joined(bob.sync(since=None, filter=limit(2)), room)
    topic = state_of(whole)["m.room.topic", ""]
    assert topic["content"] == {} and topic["unsigned"]["redacted_because"]["content"]["reason"] == "typo"
    assert "oops" not in json.dumps(joined(bob.sync(since=None, filter=limit(50)), room))


def test_error_answers_have_the_matrix_form(alice):
    with pytest.raises(MatrixError) as e:
        alice.sync(since="garbage")
    assert e.value.errcode == "M_INVALID_PARAM"
