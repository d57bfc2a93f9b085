"""Account data, tags and filters: kept per user, read back, refused to others."""
import pytest

from client import q


def own(user, path):
    return f"/user/{q(user.user_id)}/{path}"


def nested(levels):
    """An object of objects, so many deep."""
    return {"x": nested(levels - 1)} if levels > 1 else {}


def test_global_account_data_is_kept_and_replaced(alice):
    alice.fails(404, "M_NOT_FOUND", "GET", own(alice, "account_data/org.example.a"))
    alice.put(own(alice, "account_data/org.example.a"), {"x": 1})
    alice.put(own(alice, "account_data/org.example.a"), {"x": 2, "deep": {"y": [1, None, "\u0000"]}})
    assert alice.get(own(alice, "account_data/org.example.a")) == {"x": 2, "deep": {"y": [1, None, "\u0000"]}}


def test_room_account_data_does_not_fall_back_to_global(alice):
    room = alice.create_room()
    alice.put(own(alice, "account_data/org.example.b"), {"x": 1})
    alice.fails(404, "M_NOT_FOUND", "GET", own(alice, f"rooms/{q(room)}/account_data/org.example.b"))
    alice.put(own(alice, f"rooms/{q(room)}/account_data/org.example.b"), {"x": 2})
    assert alice.get(own(alice, f"rooms/{q(room)}/account_data/org.example.b")) == {"x": 2}
    assert alice.get(own(alice, "account_data/org.example.b")) == {"x": 1}


@pytest.mark.parametrize("type", ["m.fully_read", "m.push_rules"])
def test_types_that_the_server_manages_are_refused(alice, type):
    room = alice.create_room()
    assert alice.raw("PUT", own(alice, f"account_data/{type}"), {}).status_code == 405
    assert alice.raw("PUT", own(alice, f"rooms/{q(room)}/account_data/{type}"), {}).status_code == 405


def test_another_users_account_data_is_refused(alice, bob):
    alice.put(own(alice, "account_data/org.example.c"), {"x": 1})
    bob.fails(403, "M_FORBIDDEN", "GET", own(alice, "account_data/org.example.c"))
    bob.fails(403, "M_FORBIDDEN", "PUT", own(alice, "account_data/org.example.c"), {"x": 2})
    assert alice.get(own(alice, "account_data/org.example.c")) == {"x": 1}


def test_what_is_no_object_is_refused(alice):
    alice.fails(400, "M_BAD_JSON", "PUT", own(alice, "account_data/org.example.d"), [1])
    alice.fails(400, "M_NOT_JSON", "PUT", own(alice, "account_data/org.example.d"), data=b"{")


def test_tags_are_set_listed_and_removed(alice):
    room = alice.create_room()
    tags = own(alice, f"rooms/{q(room)}/tags")
    assert alice.get(tags) == {"tags": {}}
    alice.put(f"{tags}/m.favourite", {"order": 0.25})
    alice.put(f"{tags}/{q('u.my tag/ü')}", {})
    assert alice.get(tags) == {"tags": {"m.favourite": {"order": 0.25}, "u.my tag/ü": {}}}
    alice.delete(f"{tags}/m.favourite")
    alice.delete(f"{tags}/never.there")
    assert alice.get(tags) == {"tags": {"u.my tag/ü": {}}}
    alice.fails(400, "M_INVALID_PARAM", "PUT", f"{tags}/{'x' * 256}", {})


def test_a_tag_nested_as_deeply_as_a_request_may_be_costs_no_other_tag(alice):
    room = alice.create_room()
    tags = own(alice, f"rooms/{q(room)}/tags")
    alice.put(f"{tags}/m.favourite", {"order": 0.25})
    alice.fails(413, "M_TOO_LARGE", "PUT", f"{tags}/u.deep", nested(64))
    alice.put(f"{tags}/u.flat", {})
    assert set(alice.get(tags)["tags"]) == {"m.favourite", "u.flat"}


def test_account_data_survives_a_restart(hs, user):
    carol = user()
    carol.put(own(carol, "account_data/org.example.e"), {"kept": True})
    hs.restart()
    assert carol.get(own(carol, "account_data/org.example.e")) == {"kept": True}


def test_filters_are_stored_and_given_back(alice, bob):
    wanted = {"room": {"timeline": {"limit": 7, "types": ["m.room.message"]}}}
    first = alice.post(own(alice, "filter"), wanted)["filter_id"]
    assert alice.post(own(alice, "filter"), wanted)["filter_id"] == first
    assert alice.post(own(alice, "filter"), {})["filter_id"] != first
    assert alice.get(own(alice, f"filter/{first}")) == wanted
    bob.fails(403, "M_FORBIDDEN", "GET", own(alice, f"filter/{first}"))
    for missing in ("999", "abc", "-1", "99999999999999999999"):
        alice.fails(404, "M_NOT_FOUND", "GET", own(alice, f"filter/{missing}"))


@pytest.mark.parametrize("bad", [{"room": []}, {"room": {"timeline": {"limit": "x"}}}, {"event_fields": "content"},
                                 {"room": {"rooms": ["not a room"]}}, {"presence": {"senders": ["nobody"]}}])
def test_what_is_no_filter_is_refused(alice, bad):
    alice.fails(400, "M_BAD_JSON", "POST", own(alice, "filter"), bad)


def test_a_filter_that_could_not_be_read_again_is_refused(alice):
    alice.fails(413, "M_TOO_LARGE", "POST", own(alice, "filter"), {"org.example.unknown": nested(40)})
    alice.fails(413, "M_TOO_LARGE", "POST", own(alice, "filter"), {"org.example.unknown": [0] * 20000})
