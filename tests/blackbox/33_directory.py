"""Names of rooms, which of them a room goes by, and the list of published rooms."""
import itertools

import pytest

from client import q

_n = itertools.count()


@pytest.fixture
def public(alice):
    return alice.create_room(preset="public_chat")


@pytest.fixture
def alias(alice):
    """alias() is a name nobody has."""
    return lambda: f"#name{next(_n)}_{alice.device_id}:hearth.test"


def name(alias):
    return f"/directory/room/{q(alias)}"


def canonical(client, room):
    return client.get_state(room, "m.room.canonical_alias")


def aliases(client, room):
    return sorted(client.get(f"/rooms/{q(room)}/aliases")["aliases"])


# names

@pytest.mark.parametrize("local", ["plain", "ünïcode", "with/slash", "with?question", "with#hash", "%2F", "EMOJI🦊"])
def test_names_are_made_found_and_removed(alice, nobody, public, local):
    alias = f"#{local}{next(_n)}{alice.device_id}:hearth.test"
    nobody.fails(404, "M_NOT_FOUND", "GET", name(alias))
    assert alice.put(name(alias), {"room_id": public}) == {}
    assert nobody.get(name(alias)) == {"room_id": public, "servers": ["hearth.test"]}
    assert aliases(alice, public) == [alias]
    assert alice.delete(name(alias)) == {}
    nobody.fails(404, "M_NOT_FOUND", "GET", name(alias))
    assert aliases(alice, public) == []


@pytest.mark.parametrize("bad", ["nonsense", "name:hearth.test", "#name", "#with:two:colons", "#nul\x00:hearth.test",
                                 "!room:hearth.test", "#" + "x" * 255 + ":hearth.test"])
def test_what_is_no_name(alice, nobody, public, bad):
    for client, method, body in ((nobody, "GET", None), (alice, "PUT", {"room_id": public}), (alice, "DELETE", None)):
        answer = client.raw(method, name(bad), body)
        assert (answer.status_code, answer.json()["errcode"]) in ((400, "M_INVALID_PARAM"), (404, "M_NOT_FOUND")), answer.text
    assert alice.raw("PUT", name(bad), {"room_id": public}).status_code == 400


def test_names_of_other_servers(alice, nobody, public):
    nobody.fails(502, "M_CONNECTION_FAILED", "GET", name("#name:elsewhere.test"))  # where nobody is
    alice.fails(400, "M_INVALID_PARAM", "PUT", name("#name:elsewhere.test"), {"room_id": public})


def test_a_name_is_taken_once(alice, bob, public, alias):
    mine = alias()
    alice.put(name(mine), {"room_id": public})
    alice.fails(409, "M_UNKNOWN", "PUT", name(mine), {"room_id": public})
    alice.fails(409, "M_UNKNOWN", "PUT", name(mine), {"room_id": alice.create_room()})
    bob.fails(409, "M_UNKNOWN", "PUT", name(mine), {"room_id": bob.create_room()})


def test_bodies_are_checked(alice, public, alias):
    alice.fails(400, "M_MISSING_PARAM", "PUT", name(alias()), {})
    for room in (1, [], {}, True):
        alice.fails(400, "M_BAD_JSON", "PUT", name(alias()), {"room_id": room})
    for room in ("!nowhere:hearth.test", "nonsense", ""):
        assert alice.raw("PUT", name(alias()), {"room_id": room}).status_code in (400, 403, 404)


def test_who_may_make_and_remove_names(alice, bob, user, nobody, public, alias):
    carol = user()
    first, second = alias(), alias()
    bob.fails(403, "M_FORBIDDEN", "PUT", name(first), {"room_id": public})
    nobody.fails(401, "M_MISSING_TOKEN", "PUT", name(first), {"room_id": public})
    bob.join(public), carol.join(public)
    bob.put(name(first), {"room_id": public})
    carol.fails(403, "M_FORBIDDEN", "DELETE", name(first))
    nobody.fails(401, "M_MISSING_TOKEN", "DELETE", name(first))
    bob.delete(name(first))  # who made it
    bob.put(name(second), {"room_id": public})
    alice.delete(name(second))  # who governs the room's names
    alice.fails(404, "M_NOT_FOUND", "DELETE", name(second))


def test_who_may_see_all_names(alice, bob, nobody, public, alias):
    alice.put(name(alias()), {"room_id": public})
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(public)}/aliases")
    nobody.fails(401, "M_MISSING_TOKEN", "GET", f"/rooms/{q(public)}/aliases")
    bob.join(public)
    assert len(aliases(bob, public)) == 1
    bob.leave(public)
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(public)}/aliases")
    alice.set_state(public, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert len(aliases(bob, public)) == 1


# m.room.canonical_alias

def test_new_canonical_aliases_must_lead_here(alice, public, alias):
    mine, other, elsewhere = alias(), alias(), alias()
    path = f"/rooms/{q(public)}/state/m.room.canonical_alias/"
    alice.put(name(mine), {"room_id": public})
    alice.put(name(elsewhere), {"room_id": alice.create_room()})
    for content in ({"alias": other}, {"alias": elsewhere}, {"alt_aliases": [other]}, {"alias": mine, "alt_aliases": [mine, elsewhere]},
                    {"alias": "#x:elsewhere.test"}):
        alice.fails(400, "M_BAD_ALIAS", "PUT", path, content)
    for content in ({"alias": "nonsense"}, {"alias": 1}, {"alt_aliases": "x"}, {"alt_aliases": [1]}, {"alt_aliases": ["nonsense"]},
                    {"alt_aliases": [None]}):
        alice.fails(400, "M_INVALID_PARAM", "PUT", path, content)
    for content in ({"alias": mine, "alt_aliases": [mine]}, {"alias": None}, {"alias": ""}, {}):
        alice.put(path, content)
        assert canonical(alice, public) == content


def test_what_stands_there_already_is_not_checked_again(alice, public, alias):
    mine, second = alias(), alias()
    alice.put(name(mine), {"room_id": public}), alice.put(name(second), {"room_id": public})
    alice.set_state(public, "m.room.canonical_alias", {"alias": mine, "alt_aliases": [second]})
    alice.put("/user/" + q(alice.user_id) + "/account_data/org.example.x", {})  # something in between
    alice.set_state(public, "m.room.canonical_alias", {"alias": second, "alt_aliases": [mine]})
    assert canonical(alice, public) == {"alias": second, "alt_aliases": [mine]}


def test_a_removed_name_leaves_the_event(alice, bob, public, alias):
    mine, second = alias(), alias()
    alice.put(name(mine), {"room_id": public}), alice.put(name(second), {"room_id": public})
    alice.set_state(public, "m.room.canonical_alias", {"alias": mine, "alt_aliases": [mine, second], "org.example": 1})
    alice.delete(name(mine))
    assert canonical(alice, public) == {"alt_aliases": [second], "org.example": 1}
    bob.join(public)
    third = alias()
    bob.put(name(third), {"room_id": public})
    alice.set_state(public, "m.room.canonical_alias", {"alias": third})
    bob.delete(name(third))  # "even if the user does not have permission to update the m.room.canonical_alias event"
    assert canonical(alice, public) == {"alias": third}


# the list

@pytest.fixture
def listed(alice, bob):
    """Five published rooms with a word of their own in name, topic or alias: (word, rooms by size, largest first)."""
    word = f"word{next(_n)}{alice.device_id}"
    rooms = [alice.create_room(visibility="public", name=f"{word} one", topic="T"),
             alice.create_room(visibility="public", topic=f"about {word}"),
             alice.create_room(visibility="public", room_alias_name=f"{word}_alias"),
             alice.create_room(visibility="public", name=word.upper(), creation_content={"type": "m.space"}),
             alice.create_room(visibility="public", name=f"x{word}x", preset="private_chat")]
    bob.join(rooms[1])
    return word, [rooms[1], rooms[0], rooms[2], rooms[3], rooms[4]]


def search(client, word, **body):
    return client.post("/publicRooms", {"filter": {"generic_search_term": word, **body.pop("filter", {})}, **body})


def rooms_of(answer):
    return [r["room_id"] for r in answer["chunk"]]


def test_rooms_are_found_by_name_topic_and_alias(alice, nobody, listed):
    word, rooms = listed
    got = search(alice, word)
    assert rooms_of(got)[0] == rooms[0] and sorted(rooms_of(got)) == sorted(rooms)
    assert got["chunk"][0]["num_joined_members"] == 2 and "next_batch" not in got and "prev_batch" not in got
    by_id = {r["room_id"]: r for r in got["chunk"]}
    one = by_id[rooms[1]]
    assert (one["name"], one["topic"], one["world_readable"], one["guest_can_join"], one["join_rule"]) == (
        f"{word} one", "T", False, False, "public")
    assert by_id[rooms[2]]["canonical_alias"] == f"#{word}_alias:hearth.test"
    assert by_id[rooms[3]]["room_type"] == "m.space" and by_id[rooms[4]]["join_rule"] == "invite"
    assert by_id[rooms[4]]["guest_can_join"] is True
    assert rooms_of(search(alice, word + "nothing")) == []
    assert search(alice, "")["total_room_count_estimate"] >= 5
    if nobody.raw("GET", "/publicRooms").status_code != 200:
        nobody.fails(401, "M_MISSING_TOKEN", "GET", "/publicRooms")


def test_rooms_are_filtered_by_type(alice, listed):
    word, rooms = listed
    assert rooms_of(search(alice, word, filter={"room_types": ["m.space"]})) == [rooms[3]]
    assert sorted(rooms_of(search(alice, word, filter={"room_types": [None]}))) == sorted(set(rooms) - {rooms[3]})
    assert len(rooms_of(search(alice, word, filter={"room_types": [None, "m.space"]}))) == 5
    assert rooms_of(search(alice, word, filter={"room_types": []})) == []
    assert rooms_of(search(alice, word, filter={"room_types": ["org.example.other"]})) == []


@pytest.mark.parametrize("limit", [1, 2, 4, 5])
def test_pages_lead_on_and_back(alice, listed, limit):
    word, rooms = listed
    page, seen, pages = search(alice, word, limit=limit), [], []
    while True:
        assert len(page["chunk"]) <= limit
        seen += rooms_of(page)
        pages.append(rooms_of(page))
        if "next_batch" not in page:
            break
        page = search(alice, word, limit=limit, since=page["next_batch"])
    assert len(seen) == 5 and sorted(seen) == sorted(rooms)
    for before in pages[-2::-1]:
        page = search(alice, word, limit=limit, since=page["prev_batch"])
        assert rooms_of(page) == before
    assert "prev_batch" not in page


def test_the_whole_list_by_get(alice, listed):
    _, rooms = listed
    seen, params = [], {"limit": 3}
    while True:
        page = alice.get("/publicRooms", **params)
        seen += rooms_of(page)
        if "next_batch" not in page:
            break
        params["since"] = page["next_batch"]
    assert set(rooms) <= set(seen) and len(seen) == len(set(seen))
    sizes = {r["room_id"]: r["num_joined_members"] for r in alice.get("/publicRooms", limit=500)["chunk"]}
    assert [sizes[r] for r in seen] == sorted((sizes[r] for r in seen), reverse=True)


def test_what_is_refused(alice):
    for params in ({"since": "x"}, {"since": "n1"}, {"since": "n1_x"}, {"limit": "x"}):
        alice.fails(400, "M_INVALID_PARAM", "GET", "/publicRooms", params=params)
    for body in ({"limit": "x"}, {"limit": 1.5}, {"since": 1}, {"filter": {"generic_search_term": 1}}, {"filter": {"room_types": "x"}},
                 {"filter": {"room_types": [1]}}, []):
        alice.fails(400, "M_BAD_JSON", "POST", "/publicRooms", body)
    alice.fails(502, "M_CONNECTION_FAILED", "GET", "/publicRooms", params={"server": "elsewhere.test"})
    alice.fails(400, "M_INVALID_PARAM", "GET", "/publicRooms", params={"server": "no name"})


def test_a_list_for_users_alone(nobody):
    nobody.fails(401, "M_MISSING_TOKEN", "GET", "/publicRooms")
    nobody.fails(401, "M_MISSING_TOKEN", "POST", "/publicRooms", {})


def test_the_own_list(alice):
    assert alice.get("/publicRooms", server="hearth.test")["chunk"] is not None


def test_visibility(alice, bob, nobody, public):
    path = f"/directory/list/room/{q(public)}"
    assert nobody.get(path) == {"visibility": "private"}
    nobody.fails(401, "M_MISSING_TOKEN", "PUT", path, {})
    bob.fails(403, "M_FORBIDDEN", "PUT", path, {"visibility": "public"})
    bob.join(public)
    bob.fails(403, "M_FORBIDDEN", "PUT", path, {"visibility": "public"})
    assert alice.put(path, {}) == {}  # "Defaults to public."
    assert nobody.get(path) == {"visibility": "public"}
    alice.put(path, {"visibility": "private"})
    assert nobody.get(path) == {"visibility": "private"}
    alice.fails(400, "M_INVALID_PARAM", "PUT", path, {"visibility": "secret"})
    alice.fails(400, "M_BAD_JSON", "PUT", path, {"visibility": 1})
    for method in ("GET", "PUT"):
        alice.fails(404, "M_NOT_FOUND", method, "/directory/list/room/!nowhere:hearth.test", {} if method == "PUT" else None)
