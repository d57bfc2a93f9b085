"""Push rules: the default ones, and what a user makes of them."""
import pytest

from client import q

RULES = "/pushrules/global"


def ids(user, kind):
    return [r["rule_id"] for r in user.get("/pushrules/")["global"][kind]]


def test_the_default_rules_are_those_of_the_specification(alice):
    rules = alice.get("/pushrules/")["global"]
    assert ids(alice, "override") == [".m.rule.master", ".m.rule.suppress_notices", ".m.rule.invite_for_me", ".m.rule.member_event",
                                      ".m.rule.is_user_mention", ".m.rule.is_room_mention", ".m.rule.tombstone", ".m.rule.reaction",
                                      ".m.rule.room.server_acl", ".m.rule.suppress_edits"]
    assert ids(alice, "underride") == [".m.rule.call", ".m.rule.encrypted_room_one_to_one", ".m.rule.room_one_to_one",
                                       ".m.rule.message", ".m.rule.encrypted"]
    assert rules["content"] == rules["room"] == rules["sender"] == []
    assert [r["enabled"] for r in rules["override"]].count(False) == 1
    invite = alice.get(f"{RULES}/override/.m.rule.invite_for_me")
    assert {"kind": "event_match", "key": "state_key", "pattern": alice.user_id} in invite["conditions"]
    assert alice.get(f"{RULES}/") == rules


def test_a_rule_is_added_read_and_removed(alice):
    room = "!somewhere:hearth.test"
    alice.put(f"{RULES}/room/{q(room)}", {"actions": ["dont_notify"]})
    got = alice.get(f"{RULES}/room/{q(room)}")
    assert got["rule_id"] == room and got["enabled"] and not got["default"] and got["actions"] == []
    assert alice.get(f"{RULES}/room/{q(room)}/enabled") == {"enabled": True}
    alice.put(f"{RULES}/room/{q(room)}/enabled", {"enabled": False})
    assert alice.get(f"{RULES}/room/{q(room)}/enabled") == {"enabled": False}
    alice.put(f"{RULES}/room/{q(room)}/actions", {"actions": ["notify", {"set_tweak": "sound", "value": "x"}]})
    assert alice.get(f"{RULES}/room/{q(room)}/actions") == {"actions": ["notify", {"set_tweak": "sound", "value": "x"}]}
    alice.delete(f"{RULES}/room/{q(room)}")
    alice.fails(404, "M_NOT_FOUND", "GET", f"{RULES}/room/{q(room)}")
    alice.fails(404, "M_NOT_FOUND", "DELETE", f"{RULES}/room/{q(room)}")


def test_order_is_by_before_and_after_and_newest_first(alice):
    body = {"pattern": "cake", "actions": ["notify"]}
    for rule, params in [("a", {}), ("b", {}), ("c", {"after": "b"}), ("d", {"before": "b"})]:
        alice.put(f"{RULES}/content/{rule}", body, params=params)
    assert ids(alice, "content") == ["d", "b", "c", "a"]
    assert alice.raw("PUT", f"{RULES}/content/e", body, params={"before": "nowhere"}).status_code in (400, 404)
    assert ids(alice, "content") == ["d", "b", "c", "a"]


def test_default_rules_change_but_stay(alice):
    alice.put(f"{RULES}/override/.m.rule.master/enabled", {"enabled": True})
    assert alice.get(f"{RULES}/override/.m.rule.master")["enabled"]
    alice.put(f"{RULES}/underride/.m.rule.message/actions", {"actions": []})
    assert alice.get(f"{RULES}/underride/.m.rule.message")["actions"] == []
    alice.fails(404, "M_NOT_FOUND", "DELETE", f"{RULES}/underride/.m.rule.message")
    assert alice.raw("PUT", f"{RULES}/override/.m.rule.mine", {"conditions": [], "actions": []}).status_code == 400


@pytest.mark.parametrize("kind, rule, body", [
    ("nonsense", "x", {"actions": []}), ("content", "x", {"actions": []}), ("content", "x", {"pattern": "p"}),
    ("override", "x", {"conditions": "none", "actions": []}), ("override", "x", {"conditions": [{}], "actions": []}),
    ("room", "x", {"actions": "notify"}), ("room", "x", {"actions": [5]}),
])
def test_what_is_no_rule_is_refused(alice, kind, rule, body):
    assert alice.raw("PUT", f"{RULES}/{kind}/{rule}", body).status_code == 400


def test_a_rule_that_could_not_be_read_again_costs_no_other_rule(alice):
    condition = {"kind": "org.example.unknown"}
    for _ in range(40):
        condition = {"kind": "org.example.unknown", "in": condition}
    alice.put(f"{RULES}/override/first", {"conditions": [], "actions": []})
    alice.fails(413, "M_TOO_LARGE", "PUT", f"{RULES}/override/deep", {"conditions": [condition], "actions": []})
    alice.put(f"{RULES}/override/second", {"conditions": [], "actions": []})
    assert ids(alice, "override")[1:3] == ["second", "first"]
