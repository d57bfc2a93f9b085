"""State that is good JSON and not what its type says: whoever may set it can, and nobody's reading suffers from it. For each member of
each known type, every kind of value; then everything that reads rooms is read, by others, initially and incrementally."""
import pytest

from client import q, register

VALUES = [None, True, 0, -1, 2**53 - 1, "", "x", "\0", "@", "@x", "#x:y", "!x", "mxc://", "public", "join", [], {}, [None], [[]], [{}], ["@a:b", 5],
          {"a": {"b": []}}, {"user_ids": 5}, {"room_id": 5}, {"event_id": []}, {"rel_type": {}}, "x" * 2000]
STATE = {
    "m.room.name": ["name"], "m.room.topic": ["topic", "m.topic"], "m.room.avatar": ["url", "info"],
    "m.room.canonical_alias": ["alias", "alt_aliases"], "m.room.history_visibility": ["history_visibility"],
    "m.room.guest_access": ["guest_access"], "m.room.join_rules": ["allow"], "m.room.encryption": ["algorithm", "rotation_period_ms"],
    "m.room.pinned_events": ["pinned"], "m.room.server_acl": ["allow", "deny", "allow_ip_literals"], "m.room.aliases": ["aliases"],
    "m.room.third_party_invite": ["public_key", "public_keys", "display_name", "key_validity_url"], "m.space.child": ["via", "order", "suggested"],
    "m.space.parent": ["via", "canonical"], "m.room.tombstone": ["body", "replacement_room"], "m.room.retention": ["max_lifetime", "min_lifetime"],
    "m.room.policy": ["via", "public_keys"], "org.example": ["membership", "users", "creator"],
}
MEMBER = ["displayname", "avatar_url", "reason", "is_direct", "blurhash"]
MESSAGE = ["body", "msgtype", "formatted_body", "url", "file", "info", "m.mentions", "m.relates_to", "m.new_content", "redacts", "membership"]
RELATION = ["rel_type", "event_id", "key", "m.in_reply_to", "is_falling_back"]


def read_everything(client, room):
    """Every way in which a room is read; the client checks the shapes as well."""
    client.sync()
    client.sync(since=None)
    client.sync(since=None, filter='{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":3,"contains_url":true}}}')
    for path in ("/state", "/members", "/joined_members", "/messages?dir=b&limit=1000", "/messages?dir=f&limit=5", "/aliases"):
        client.do("GET", f"/rooms/{q(room)}{path}")
    client.do("GET", "/publicRooms")
    client.do("POST", "/publicRooms", {"filter": {"generic_search_term": "x"}})
    client.do("GET", "/joined_rooms")
    client.do("POST", "/user_directory/search", {"search_term": "x"})


@pytest.mark.parametrize("type", STATE)
def test_state_of_the_wrong_kind(each_hs, type):
    alice, bob = register(each_hs), register(each_hs)
    room = alice.create_room(preset="public_chat", visibility="public")
    bob.join(room)
    bob.sync()
    taken = 0
    for member in STATE[type]:
        for value in VALUES:
            content = {member: value} | ({"join_rule": "public"} if type == "m.room.join_rules" else {})
            answer = alice.raw("PUT", f"/rooms/{q(room)}/state/{type}/{'x' if type.startswith('m.space') else ''}", content)
            assert answer.status_code in (200, 400, 403), answer.text
            taken += answer.status_code == 200
        read_everything(bob, room)
    assert taken > 0
    assert alice.send(room) in [e["event_id"] for e in alice.sync()["rooms"]["join"][room]["timeline"]["events"]]


def test_memberships_of_the_wrong_kind(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    room = alice.create_room(preset="public_chat", visibility="public")
    bob.join(room)
    bob.sync()
    for member in MEMBER:
        for value in VALUES:
            answer = alice.raw("PUT", f"/rooms/{q(room)}/state/m.room.member/{q(alice.user_id)}", {"membership": "join", member: value})
            assert answer.status_code in (200, 400), answer.text
        read_everything(bob, room)
    alice.invite(room, register(each_hs))
    alice.send(room, "hello everybody")
    bob.sync()


def test_messages_of_the_wrong_kind(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.put("/pushrules/global/content/x", {"actions": ["notify"], "pattern": "x*"})
    first = alice.send(room)
    contents = [{member: value} for member in MESSAGE for value in VALUES]
    contents += [{"m.relates_to": {"rel_type": kind, "event_id": first} | {member: value}}
                 for kind in ("m.annotation", "m.replace", "m.thread", "m.reference") for member in RELATION for value in VALUES[:12]]
    for content in contents:
        answer = alice.raw("PUT", f"/rooms/{q(room)}/send/m.room.message/{q(str(id(content)))}", content)
        assert answer.status_code in (200, 400), answer.text
    for type in ("m.reaction", "m.room.redaction", "m.room.encrypted", "m.call.invite", "m.room.member.x"):
        for content in contents[::7]:
            answer = alice.raw("PUT", f"/rooms/{q(room)}/send/{type}/{q(type + str(id(content)))}", content)
            assert answer.status_code in (200, 400, 403, 404), answer.text
    read_everything(bob, room)
    last = alice.send(room)
    assert last in [e["event_id"] for e in bob.sync()["rooms"]["join"][room]["timeline"]["events"]]
    bob.do("GET", f"/rooms/{q(room)}/context/{q(first)}")
    bob.do("GET", f"/rooms/{q(room)}/event/{q(last)}")
