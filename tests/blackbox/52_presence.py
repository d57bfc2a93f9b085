"""Presence: what people say and do, who hears of it, what a client's coming and going does to it, the off switch."""
import contextlib
import json

import pytest

from client import Client, login, q, register
from server import Server

# Times that a test can wait for.
SHORT = {"sync_online_timeout": "1200ms", "last_active_granularity": "1400ms", "idle_timeout": "3s"}


@pytest.fixture(scope="module")
def brisk():
    """A server with an impatient idea of presence."""
    server = Server(presence=SHORT)
    yield server
    server.close()


def status(of, by):
    return by.get(f"/presence/{q(of.user_id)}/status")


def say(who, presence, **more):
    who.put(f"/presence/{q(who.user_id)}/status", {"presence": presence, **more})


def told(answer):
    """Presence in an answer of /sync, by sender."""
    events = answer.get("presence", {}).get("events", [])
    assert all(e["type"] == "m.presence" for e in events)
    assert len({e["sender"] for e in events}) == len(events)
    return {e["sender"]: e["content"] for e in events}


def hears(reader, of, want, **params):
    """Long-polls until the reader is told of somebody in the state."""
    return reader.sync_until(lambda got: (c := told(got).get(of.user_id)) and c["presence"] == want and c, tries=20,
                             **{"timeout": 2000, **params})


def pair(server):
    alice, bob = register(server), register(server)
    bob.join(alice.create_room(preset="public_chat"))
    alice.sync(), bob.sync()
    return alice, bob


def test_what_one_says_is_shown_to_who_shares_a_room(hs):
    alice, bob = pair(hs)
    assert status(bob, alice) == {"presence": "offline"}
    say(alice, "online", status_msg="I am here.")
    assert hears(bob, alice, "online")["status_msg"] == "I am here."
    got = status(alice, bob)
    assert got.pop("last_active_ago") < 10000
    assert got == {"presence": "online", "status_msg": "I am here.", "currently_active": True}
    say(alice, "unavailable")
    assert "status_msg" not in hears(bob, alice, "unavailable")
    assert set(status(alice, alice)) == {"presence", "last_active_ago"}
    stranger = register(hs)
    for hidden in (alice.user_id, "@nobody:hearth.test", "@x:elsewhere.test", "nonsense"):
        stranger.fails(403, "M_FORBIDDEN", "GET", f"/presence/{q(hidden)}/status")
    assert told(stranger.sync(since=None)) == {} and status(stranger, stranger) == {"presence": "offline"}


def test_what_may_not_be_said(hs):
    alice, bob = pair(hs)
    mine = f"/presence/{q(alice.user_id)}/status"
    alice.fails(403, "M_FORBIDDEN", "PUT", f"/presence/{q(bob.user_id)}/status", {"presence": "online"})
    alice.fails(400, "M_MISSING_PARAM", "PUT", mine, {})
    alice.fails(400, "M_INVALID_PARAM", "PUT", mine, {"presence": "asleep"})
    alice.fails(400, "M_BAD_JSON", "PUT", mine, {"presence": 1})
    alice.fails(400, "M_BAD_JSON", "PUT", mine, {"presence": "online", "status_msg": 5})
    alice.fails(413, "M_TOO_LARGE", "PUT", mine, {"presence": "online", "status_msg": "x" * 1025})
    say(alice, "online", status_msg="ü" * 512)
    assert status(alice, bob)["status_msg"] == "ü" * 512
    Client(hs).fails(401, "M_MISSING_TOKEN", "GET", mine)


def test_a_client_that_syncs_is_there_until_it_is_gone(brisk):
    alice, bob = pair(brisk)
    alice.sync(set_presence="online")
    assert hears(bob, alice, "online")["currently_active"] is True
    assert alice.user_id in told(alice.sync(timeout=5000))
    assert hears(bob, alice, "offline")["last_active_ago"] >= 1200
    alice.sync(set_presence="unavailable")
    hears(bob, alice, "unavailable")
    hears(bob, alice, "offline")
    alice.sync(set_presence="offline")
    assert status(alice, bob)["presence"] == "offline"


def test_a_poll_that_waits_holds_one_online_and_idleness_comes_all_the_same(brisk):
    alice, bob = pair(brisk)
    mine = login(brisk, alice.user_id)
    mine.sync()
    nothing = json.dumps({"presence": {"types": []}})
    with Waiting(mine, filter=nothing, set_presence="online"):
        assert hears(bob, alice, "online")["currently_active"]
        # active no more, but online for longer than a client that is gone; then idle
        bob.sync_until(lambda got: told(got).get(alice.user_id, {}).get("currently_active") is False)
        hears(bob, alice, "unavailable")
        # another device that hides makes no difference, nor does what one does there
        alice.sync(set_presence="offline")
        say(alice, "offline")
        alice.create_room()
        assert status(alice, bob)["presence"] == "unavailable"
        mine.put(f"/rooms/{q(mine.create_room())}/typing/{q(mine.user_id)}", {"typing": True})
        assert hears(bob, alice, "online")["currently_active"]
    hears(bob, alice, "offline")


class Waiting(contextlib.AbstractContextManager):
    """A long poll that is cut off in the end."""

    def __init__(self, client, **params):
        import socket
        from urllib.parse import urlencode
        query = urlencode({"timeout": 60000, "since": client.next_batch, **params})
        self.socket = socket.create_connection(("127.0.0.1", client.server.port))
        self.socket.sendall(f"GET /_matrix/client/v3/sync?{query} HTTP/1.1\r\nHost: x\r\n"
                            f"Authorization: Bearer {client.token}\r\n\r\n".encode())

    def __exit__(self, *_):
        self.socket.close()


@pytest.mark.parametrize("act", [
    lambda c, room, event: c.send(room),
    lambda c, room, event: c.set_state(room, "m.room.topic", {"topic": "x"}),
    lambda c, room, event: c.put(f"/rooms/{q(room)}/typing/{q(c.user_id)}", {"typing": False}),
    lambda c, room, event: c.post(f"/rooms/{q(room)}/receipt/m.read/{q(event)}"),
    lambda c, room, event: c.post(f"/rooms/{q(room)}/read_markers", {"m.fully_read": event}),
], ids=["send", "state", "typing", "receipt", "markers"])
def test_what_counts_as_an_action(hs, act):
    alice = register(hs)
    room = alice.create_room()
    event = alice.get(f"/rooms/{q(room)}/state/m.room.create", format="event")["event_id"]
    assert status(alice, alice) == {"presence": "offline"}
    act(alice, room, event)
    assert status(alice, alice).get("last_active_ago", -1) >= 0


def test_the_first_answer_has_those_who_are_there(hs):
    alice, bob = pair(hs)
    carol = register(hs)
    say(bob, "unavailable", status_msg="away")
    say(carol, "online")
    hears(alice, bob, "unavailable")
    first = told(alice.sync(since=None))
    assert set(first) == {bob.user_id} and first[bob.user_id]["status_msg"] == "away"
    say(bob, "offline")
    hears(alice, bob, "offline")
    assert told(alice.sync(since=None)) == {}


def test_who_joins_hears_and_is_heard_of(hs):
    alice, bob = pair(hs)
    carol = register(hs)
    carol.sync()
    room = alice.create_room(preset="public_chat")
    say(alice, "online"), say(carol, "online")
    hears(bob, alice, "online")
    carol.join(room)
    assert set(told(carol.sync())) - {carol.user_id} == {alice.user_id}
    hears(alice, carol, "online")
    assert bob.user_id not in told(carol.sync(since=None))
    # who left is heard of no more
    carol.leave(room)
    say(carol, "unavailable")
    say(alice, "unavailable")
    hears(bob, alice, "unavailable")
    assert set(told(alice.sync())) <= {alice.user_id} and set(told(carol.sync())) <= {carol.user_id}


def test_who_left_sees_no_more_of_who_is_there(hs):
    alice, bob = register(hs), register(hs)
    room = alice.create_room(preset="private_chat", invite=[bob.user_id])
    bob.join(room)
    token = bob.get("/events", timeout=0)["end"]
    bob.leave(room)
    token = bob.get("/events", timeout=0, room_id=room, **{"from": token})["end"]
    say(alice, "online", status_msg="among ourselves")
    chunk = bob.get("/events", timeout=1000, room_id=room, **{"from": token})["chunk"]
    assert [e for e in chunk if e["type"] == "m.presence" and e["sender"] == alice.user_id] == []


def test_of_who_left_before_one_came_nothing_is_told(hs):
    alice, bob, carol = register(hs), register(hs), register(hs)
    room = alice.create_room(preset="public_chat")
    carol.sync()
    bob.join(room)
    bob.leave(room)
    say(bob, "online", status_msg="elsewhere"), say(alice, "online")
    carol.join(room)
    got = carol.sync()
    events = got["rooms"]["join"][room]["timeline"]["events"]
    assert [e["content"]["membership"] for e in events if e.get("state_key") == bob.user_id] == ["join", "leave"]
    assert alice.user_id in told(got) and bob.user_id not in told(got)


def test_presence_passes_its_filter(hs):
    alice, bob = pair(hs)
    carol = register(hs)
    carol.join(alice.create_room(preset="public_chat"))
    token = alice.sync()["next_batch"]
    say(bob, "online"), say(carol, "online")
    hears(alice, bob, "online")
    hears(alice, carol, "online", since=token)
    everybody = {bob.user_id, carol.user_id}
    for rules, want in [({}, everybody), ({"types": ["m.presence"]}, everybody), ({"types": []}, set()), ({"types": ["m.x"]}, set()),
                        ({"not_types": ["m.*"]}, set()), ({"senders": [bob.user_id]}, {bob.user_id}), ({"senders": []}, set()),
                        ({"not_senders": [bob.user_id]}, {carol.user_id})]:
        assert set(told(alice.sync(since=token, filter=json.dumps({"presence": rules})))) == want, rules
        assert set(told(alice.sync(since=None, filter=json.dumps({"presence": rules})))) == want, rules
    # a limit makes it come in pieces, and all of it comes
    seen = []
    alice.next_batch = token
    while len(seen) < 2:
        got = told(alice.sync(timeout=5000, filter=json.dumps({"presence": {"limit": 1}})))
        assert len(got) <= 1
        seen += got
    assert set(seen) == everybody


def test_the_ignored_are_not_shown(hs):
    alice, bob = pair(hs)
    carol = register(hs)
    carol.join(alice.create_room(preset="public_chat"))
    alice.put(f"/user/{q(alice.user_id)}/account_data/m.ignored_user_list", {"ignored_users": {bob.user_id: {}}})
    alice.sync()
    say(bob, "online"), say(carol, "online")
    hears(alice, carol, "online", timeout=5000)
    assert set(told(alice.sync(since=None))) == {carol.user_id}


def test_deprecated_calls_tell_of_presence(hs):
    alice, bob = pair(hs)
    room = alice.get("/joined_rooms")["joined_rooms"][0]
    token = alice.get("/events", timeout=0)["end"]
    say(bob, "online", status_msg="hi")
    hears(alice, bob, "online")

    def of_bob(events):
        found = [e for e in events if e["type"] == "m.presence" and e["content"]["user_id"] == bob.user_id]
        return found and found[0]["sender"] == bob.user_id and found[0]["content"]["status_msg"] == "hi"

    assert of_bob(alice.get("/initialSync")["presence"])
    assert of_bob(alice.get(f"/rooms/{q(room)}/initialSync")["presence"])
    assert of_bob(alice.get("/events", timeout=5000, **{"from": token})["chunk"])


def test_a_closed_account_is_offline(hs):
    alice, bob = pair(hs)
    say(bob, "online", status_msg="here")
    hears(alice, bob, "online")
    bob.post("/account/deactivate", {"auth": {"type": "m.login.password", "password": "sesame-open-1",
                                              "identifier": {"type": "m.id.user", "user": bob.user_id}}})
    assert hears(alice, bob, "offline") == {"presence": "offline"}
    assert told(alice.sync(since=None)) == {}


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_restart_forgets_nobody(store):
    server = Server(store=store)
    alice, bob = pair(server)
    say(bob, "offline", status_msg="back on monday")
    alice.sync(set_presence="online")
    hears(bob, alice, "online")
    server.restart()
    assert status(bob, alice)["status_msg"] == "back on monday"
    assert status(alice, bob)["presence"] == "online"
    # a token of before knows nothing of now
    assert hears(alice, bob, "offline")["status_msg"] == "back on monday"
    hears(bob, alice, "online")
    server.close()


@pytest.mark.parametrize("options", [{"presence": {"enabled": False}}, {"use_presence": False}, {"presence": {"enabled": "untracked"}}],
                         ids=["off", "use_presence", "untracked"])
def test_switched_off(options):
    server = Server(**options)
    alice, bob = pair(server)
    say(alice, "online", status_msg="hello?")
    alice.sync(set_presence="online")
    assert status(alice, bob) == {"presence": "offline"}
    assert told(bob.sync(timeout=400)) == {}
    assert told(bob.sync(since=None)) == {}
    server.close()


def test_offline_users_may_be_told_of_at_first():
    server = Server(presence={"include_offline_users_on_sync": True})
    alice, bob = pair(server)
    say(bob, "offline", status_msg="not here")
    hears(alice, bob, "offline")
    assert told(alice.sync(since=None))[bob.user_id]["presence"] == "offline"
    server.close()


def test_changes_are_limited():
    server = Server(rc_presence={"per_user": {"per_second": 0.01, "burst_count": 2}})
    alice, bob = pair(server)
    say(alice, "online"), say(alice, "unavailable")
    alice.fails(429, "M_LIMIT_EXCEEDED", "PUT", f"/presence/{q(alice.user_id)}/status", {"presence": "online"})
    # with /sync it is ignored
    alice.sync(set_presence="online")
    assert status(alice, bob)["presence"] == "unavailable"
    server.close()
