"""/initialSync, /rooms/{roomId}/initialSync, /events and /events/{eventId}."""
import threading
import time

import pytest

from client import login, q, register
from server import Server


def bodies(events):
    return [e["content"]["body"] for e in events if e["type"] == "m.room.message"]


def test_initial_sync_has_rooms_their_current_state_and_what_is_kept(alice, bob):
    room = alice.create_room(preset="public_chat", name="old")
    for i in range(12):
        alice.send(room, f"m{i}")
    alice.set_state(room, "m.room.name", {"name": "new"})
    invited = bob.create_room(name="come")
    bob.invite(invited, alice)
    alice.put(f"/user/{q(alice.user_id)}/account_data/org.example", {"a": 1})
    alice.put(f"/user/{q(alice.user_id)}/rooms/{q(room)}/tags/u.x", {})
    got = alice.get("/initialSync", limit=3)
    rooms = {r["room_id"]: r for r in got["rooms"]}
    assert set(rooms) == {room, invited} and got["presence"] == []
    assert rooms[room]["membership"] == "join" and rooms[room]["visibility"] == "private"
    assert bodies(rooms[room]["messages"]["chunk"]) == ["m10", "m11"]
    assert {e["content"].get("name") for e in rooms[room]["state"] if e["type"] == "m.room.name"} == {"new"}
    assert [e["type"] for e in rooms[room]["account_data"]] == ["m.tag"]
    assert rooms[invited]["membership"] == "invite" and rooms[invited]["invite"]["state_key"] == alice.user_id
    assert [e["type"] for e in got["account_data"]] == ["org.example"]
    back = alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=1, **{"from": rooms[room]["messages"]["start"]})
    assert bodies(back["chunk"]) == ["m9"]
    assert alice.get("/initialSync", limit=0)["rooms"][0]["messages"]["chunk"] == []
    alice.fails(400, "M_INVALID_PARAM", "GET", "/initialSync", params={"limit": "many"})


def test_left_rooms_are_asked_for(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.send(room, "before")
    bob.leave(room)
    alice.send(room, "after")
    assert bob.get("/initialSync")["rooms"] == []
    (left,) = bob.get("/initialSync", archived="true")["rooms"]
    assert left["membership"] == "leave" and bodies(left["messages"]["chunk"]) == ["before"]


def test_one_room(alice, bob, user):
    room = alice.create_room(preset="public_chat", name="n")
    alice.send(room, "hello")
    got = alice.get(f"/rooms/{q(room)}/initialSync")
    assert got["membership"] == "join" and bodies(got["messages"]["chunk"]) == ["hello"]
    assert {"m.room.create", "m.room.name"} <= {e["type"] for e in got["state"]}
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/initialSync")
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    peek = bob.get(f"/rooms/{q(room)}/initialSync")
    assert "membership" not in peek and peek["account_data"] == []
    alice.send(room, "for all")
    got = bob.get("/events", room_id=room, timeout=0, **{"from": peek["messages"]["end"]})
    assert bodies(got["chunk"]) == ["for all"]


def test_who_listens_in_is_told_of_a_receipt_once(alice, bob):
    room = alice.create_room()
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    event = alice.send(room, "read this")
    token = bob.get("/events", room_id=room, timeout=0)["end"]
    alice.post(f"/rooms/{q(room)}/receipt/m.read/{q(event)}", {})
    got = bob.get("/events", room_id=room, timeout=0, **{"from": token})
    assert "m.receipt" in [e["type"] for e in got["chunk"]]
    got = bob.get("/events", room_id=room, timeout=0, **{"from": got["end"]})
    assert "m.receipt" not in [e["type"] for e in got["chunk"]]



@pytest.fixture(scope="module")
def quiet():
    """Who listens by /events is online, and hears of it."""
    server = Server(presence={"enabled": False})
    yield server
    server.close()


def test_events_come_in_order_page_by_page(quiet):
    alice, bob = register(quiet), register(quiet)
    rooms = [alice.create_room(preset="public_chat") for _ in range(2)]
    for room in rooms:
        bob.join(room)
    token = bob.get("/events", timeout=0)["end"]
    sent = [alice.send(rooms[i % 2], f"m{i}") for i in range(7)]
    seen = []
    for _ in range(4):
        got = bob.get("/events", timeout=0, limit=2, **{"from": token})
        assert got["start"] == token
        seen += got["chunk"]
        token = got["end"]
    assert [e["event_id"] for e in seen] == sent and {e["room_id"] for e in seen} == set(rooms)
    assert bob.get("/events", timeout=0, **{"from": token})["chunk"] == []


def test_events_wait_and_tell_other_things_too(quiet):
    alice, bob = register(quiet), register(quiet)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    token = bob.get("/events", timeout=0)["end"]
    got = {}
    waiting = threading.Thread(target=lambda: got.update(bob.get("/events", timeout=20000, **{"from": token})))
    began = time.monotonic()
    waiting.start()
    time.sleep(0.15)
    event = alice.send(room, "hello")
    waiting.join()
    assert time.monotonic() - began < 10 and [e["event_id"] for e in got["chunk"]] == [event]
    token = got["end"]
    bob.put(f"/user/{q(bob.user_id)}/rooms/{q(room)}/tags/u.x", {})
    alice.put(f"/rooms/{q(room)}/typing/{q(alice.user_id)}", {"typing": True, "timeout": 20000})
    chunk = bob.get("/events", timeout=0, **{"from": token})["chunk"]
    assert {(e["type"], e["room_id"]) for e in chunk} == {("m.tag", room), ("m.typing", room)}
    other = register(bob.server)
    away = other.create_room()
    other.invite(away, bob)
    token = bob.get("/events", timeout=0, **{"from": token})["end"]
    bob.fails(400, "M_INVALID_PARAM", "GET", "/events", params={"from": "garbage"})
    bob.fails(400, "M_INVALID_PARAM", "GET", "/events", params={"from": token, "limit": -2})
    login(bob.server, bob.user_id)


def test_one_event(alice, bob):
    room = alice.create_room()
    event = alice.send(room, "hello")
    assert alice.get(f"/events/{q(event)}")["room_id"] == room
    bob.fails(404, "M_NOT_FOUND", "GET", f"/events/{q(event)}")
    alice.fails(404, "M_NOT_FOUND", "GET", "/events/%24nothing")
