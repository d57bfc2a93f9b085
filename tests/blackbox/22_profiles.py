"""Profiles, their way into rooms, and the user directory."""
import pytest

from client import q
from history import messages


def profile(user, field=""):
    return f"/profile/{q(user.user_id)}" + (f"/{field}" if field else "")


def await_member(reader, room, user, want):
    """The member event of the room, once it is as wanted: profiles travel in the background, and /sync tells when they arrive."""
    reader.next_batch = reader.next_batch or reader.sync(filter='{"room": {"timeline": {"limit": 1}}}')["next_batch"]

    def found(_):
        got = reader.get_state(room, "m.room.member", user.user_id)
        return got if want(got) else None
    return found(None) or reader.sync_until(found)


def test_fields_are_set_read_and_removed(alice, nobody):
    alice.put(profile(alice, "displayname"), {"displayname": "Alice"})
    alice.put(profile(alice, "avatar_url"), {"avatar_url": "mxc://hearth.test/abc"})
    alice.put(profile(alice, "m.tz"), {"m.tz": "Europe/London"})
    alice.put(profile(alice, "org.example.likes"), {"org.example.likes": ["tea", {"with": "milk"}]})
    whole = {"displayname": "Alice", "avatar_url": "mxc://hearth.test/abc", "m.tz": "Europe/London",
             "org.example.likes": ["tea", {"with": "milk"}]}
    assert nobody.get(profile(alice)) == whole
    assert nobody.get(profile(alice, "org.example.likes")) == {"org.example.likes": ["tea", {"with": "milk"}]}
    alice.delete(profile(alice, "m.tz"))
    alice.delete(profile(alice, "m.tz"))
    alice.fails(404, "M_NOT_FOUND", "GET", profile(alice, "m.tz"))
    del whole["m.tz"]
    assert nobody.get(profile(alice)) == whole


def test_others_may_not_change_it(alice, bob):
    bob.fails(403, "M_FORBIDDEN", "PUT", profile(alice, "displayname"), {"displayname": "Eve"})
    bob.fails(403, "M_FORBIDDEN", "DELETE", profile(alice, "displayname"))


@pytest.mark.parametrize("field, body, status, errcode", [
    ("displayname", {}, 400, "M_MISSING_PARAM"),
    ("displayname", {"displayname": 5}, 400, "M_INVALID_PARAM"),
    ("displayname", {"displayname": "x" * 5000}, 400, "M_INVALID_PARAM"),
    ("Bad Key", {"Bad Key": 1}, 400, "M_INVALID_PARAM"),
    ("a." + "x" * 260, {"a." + "x" * 260: 1}, 400, "M_KEY_TOO_LARGE"),
    ("org.example.big", {"org.example.big": "x" * 66000}, 400, "M_PROFILE_TOO_LARGE"),
])
def test_what_cannot_be_is_refused(alice, field, body, status, errcode):
    alice.fails(status, errcode, "PUT", profile(alice, q(field)), body)


def test_unknown_users_have_none(alice):
    assert alice.get(profile(alice, "displayname")) == alice.get(profile(alice, "avatar_url")) == {}
    alice.fails(404, "M_NOT_FOUND", "GET", "/profile/%40nobody%3Ahearth.test")


def test_a_new_name_reaches_every_room(alice, bob):
    rooms = [alice.create_room(preset="public_chat") for _ in range(5)]
    for room in rooms:
        bob.join(room)
    bob.put(profile(bob, "displayname"), {"displayname": "Bob the first"})
    bob.put(profile(bob, "displayname"), {"displayname": "Bob the second"})
    for room in rooms:
        await_member(alice, room, bob, lambda m: m.get("displayname") == "Bob the second" and m["membership"] == "join")
    named = [e["content"]["displayname"] for e in messages(alice, rooms[0], "f")[0]
             if e["type"] == "m.room.member" and e["state_key"] == bob.user_id and "displayname" in e["content"]]
    assert named[-1] == "Bob the second" and len(named) <= 2


def test_new_rooms_begin_with_the_profile(alice, bob):
    alice.put(profile(alice, "displayname"), {"displayname": "Alice"})
    bob.put(profile(bob, "displayname"), {"displayname": "Bob"})
    room = alice.create_room(invite=[bob.user_id])
    assert alice.get_state(room, "m.room.member", alice.user_id)["displayname"] == "Alice"
    assert alice.get_state(room, "m.room.member", bob.user_id)["displayname"] == "Bob"


def found(user, term, **extra):
    got = user.post("/user_directory/search", {"search_term": term, **extra})
    return [r["user_id"] for r in got["results"]], got["limited"]


def test_the_directory_finds_those_in_public_or_shared_rooms(user):
    viewer, shared, public, hidden = user("viewer0"), user("sharedzebra"), user("publiczebra"), user("hiddenzebra")
    room = viewer.create_room(invite=[shared.user_id])
    shared.join(room)
    public.create_room(preset="public_chat")
    hidden.create_room()
    assert found(viewer, "sharedz")[0] == [shared.user_id]
    assert found(viewer, "publicz")[0] == [public.user_id]
    assert found(viewer, "hiddenz")[0] == []
    shared.put(profile(shared, "displayname"), {"displayname": "Zoé Müller-Łukasz 東京"})
    for term in ("zoé", "ZOÉ", "mül zo", "łuk", "京", "@sharedzebra:hearth.test", "sharedzebra"):
        assert found(viewer, term)[0] == [shared.user_id], term
    assert found(viewer, "zoé nobody")[0] == []
    got = viewer.post("/user_directory/search", {"search_term": "zoé"})["results"][0]
    assert got["display_name"] == "Zoé Müller-Łukasz 東京"
    assert found(viewer, "viewer0")[0] == []      # not oneself


def test_the_directory_is_limited(user):
    viewer = user()
    room = viewer.create_room(preset="public_chat")
    for i in range(4):
        user(f"manyfold{i}").join(room)
    assert found(viewer, "manyfold", limit=3) == ([f"@manyfold{i}:hearth.test" for i in range(3)], True)
    assert found(viewer, "manyfold", limit=4)[1] is False
    viewer.fails(400, "M_MISSING_PARAM", "POST", "/user_directory/search", {})
