"""Spaces: the walk through rooms that hold rooms."""
import pytest

from client import q, register

V1 = "/_matrix/client/v1"


def space(user, name, preset="public_chat", **options):
    return user.create_room(name=name, preset=preset, creation_content={"type": "m.space"}, **options)


def child(user, parent, room, via=("hearth.test",), **content):
    user.set_state(parent, "m.space.child", {"via": list(via), **content}, key=room)


def walk(user, room, **params):
    return user.get(f"{V1}/rooms/{q(room)}/hierarchy", **params)


def names(got):
    return [r.get("name") for r in got["rooms"]]


@pytest.fixture
def tree(each_hs):
    """top: b (space: b1, b2, top again), a, hidden, c; b1 stands in top, too."""
    anna = register(each_hs)
    t = {n: space(anna, n) for n in ("top", "b")}
    t |= {n: anna.create_room(name=n, preset="public_chat") for n in ("a", "b1", "b2", "c")}
    t["hidden"] = anna.create_room(name="hidden", preset="private_chat")
    child(anna, t["b"], t["b2"], order="2")
    child(anna, t["b"], t["b1"], order="1", suggested=True)
    child(anna, t["b"], t["top"])
    child(anna, t["top"], t["c"])
    child(anna, t["top"], t["hidden"])
    child(anna, t["top"], t["a"], order="\x7e")
    child(anna, t["top"], t["b"], order=" ", suggested=True)
    child(anna, t["top"], t["b1"], order="\x7f")  # no order that is one
    return anna, t


def test_depth_first_and_each_once(each_hs, tree):
    anna, t = tree
    bert = register(each_hs)
    got = walk(anna, t["top"])
    assert names(got) == ["top", "b", "b1", "b2", "a", "c", "hidden"] and "next_batch" not in got
    assert names(walk(bert, t["top"])) == ["top", "b", "b1", "b2", "a", "c"]
    top = got["rooms"][0]
    assert top["room_type"] == "m.space" and top["num_joined_members"] == 1 and top["join_rule"] == "public"
    assert [e["state_key"] for e in top["children_state"]] == [t["b"], t["a"], t["c"], t["hidden"], t["b1"]]
    assert all(set(e) == {"type", "state_key", "content", "sender", "origin_server_ts"} for e in top["children_state"])
    assert got["rooms"][4]["children_state"] == []


def test_what_is_asked_for(each_hs, tree):
    anna, t = tree
    assert names(walk(anna, t["top"], max_depth=0)) == ["top"]
    assert names(walk(anna, t["top"], max_depth=1)) == ["top", "b", "a", "c", "hidden", "b1"]
    assert names(walk(anna, t["top"], suggested_only="true")) == ["top", "b", "b1"]
    assert names(walk(anna, t["a"])) == ["a"]
    for limit in (1, 2, 3, 6):
        seen, token = [], None
        while True:
            got = walk(anna, t["top"], limit=limit, **({"from": token} if token else {}))
            assert len(got["rooms"]) <= limit
            seen += names(got)
            token = got.get("next_batch")
            if not token:
                break
        assert seen == ["top", "b", "b1", "b2", "a", "c", "hidden"]


def test_pages_go_on_where_they_were(each_hs, tree):
    anna, t = tree
    first = walk(anna, t["top"], limit=3)
    new = anna.create_room(name="new", preset="public_chat")
    child(anna, t["top"], new, order="!")
    child(anna, t["b"], new, order="0")  # before what was shown already
    assert names(walk(anna, t["top"], limit=3, **{"from": first["next_batch"]})) == ["b2", "a", "c"]


def test_what_is_refused(each_hs, tree):
    anna, t = tree
    bert = register(each_hs)
    at = f"{V1}/rooms/{q(t['top'])}/hierarchy"
    token = walk(anna, t["top"], limit=1)["next_batch"]
    for params in ({"limit": 0}, {"limit": -1}, {"limit": "x"}, {"max_depth": -1}, {"max_depth": "x"}, {"suggested_only": "maybe"},
                   {"from": "x"}, {"from": "s0_-1_"}, {"from": "s0_-1_!!"}, {"from": token, "max_depth": 3},
                   {"from": token, "suggested_only": "true"}):
        anna.fails(400, "M_INVALID_PARAM", "GET", at, params=params)
    bert.fails(403, "M_FORBIDDEN", "GET", f"{V1}/rooms/{q(t['hidden'])}/hierarchy")
    bert.fails(403, "M_FORBIDDEN", "GET", f"{V1}/rooms/{q('!none:hearth.test')}/hierarchy")


def test_who_may_see_a_room(each_hs):
    anna, bert, carl = (register(each_hs) for _ in range(3))
    top = space(anna, "top")
    bert.join(top)
    rules = {"restricted": {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": top}]},
             "knock": {"join_rule": "knock"}, "invite": {"join_rule": "invite"}}
    for name, rule in rules.items():
        room = anna.create_room(name=name, preset="private_chat", initial_state=[{"type": "m.room.join_rules", "content": rule}])
        child(anna, top, room, order=name)
    readable = anna.create_room(name="readable", preset="private_chat", initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}])
    child(anna, top, readable, order="z")
    assert names(walk(anna, top)) == ["top", "invite", "knock", "restricted", "readable"]
    assert names(walk(bert, top)) == ["top", "knock", "restricted", "readable"]
    assert names(walk(carl, top)) == ["top", "knock", "readable"]
    restricted = walk(bert, top)["rooms"][2]
    assert restricted["allowed_room_ids"] == [top] and restricted["join_rule"] == "restricted"


def test_what_is_no_child(each_hs):
    anna = register(each_hs)
    top = space(anna, "top")
    for key, content in (("!x:hearth.test", {}), ("!y:hearth.test", {"via": []}), ("!z:hearth.test", {"via": "hearth.test"}),
                         ("!v:hearth.test", {"via": [1]}), ("no room", {"via": ["hearth.test"]})):
        anna.set_state(top, "m.space.child", content, key=key)
    large = anna.create_room(name="large", preset="public_chat")
    child(anna, top, large, note="x" * 20000, suggested=True)
    got = walk(anna, top)
    assert names(got) == ["top", "large"]
    assert got["rooms"][0]["children_state"][0]["content"] == {"via": ["hearth.test"], "suggested": True}
