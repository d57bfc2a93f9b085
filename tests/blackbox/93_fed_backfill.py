"""History that is missing here, and that other servers have: fetched where a client reads it."""
import threading
import time

import pytest

from client import MatrixError, q, register
from fed import events
from history import messages


def enter(fed, peer, version="10", **options):
    alice = register(fed)
    room_id = alice.create_room(room_version=version, preset="public_chat", **options)
    room = peer.join(fed, room_id)
    alice.sync()
    return alice, room


def asked(peer, path):
    return [r for r in peer.requests if path in r.path]


def bodies(found):
    return [e["content"].get("body") for e in found if e["type"] == "m.room.message"]


def gap(fed, peer, alice, room, n, last="the last"):
    """n messages that come to nobody, and one that does, over a gap."""
    made = [room.message(f"m{i}") for i in range(n)]
    top = room.message("top")
    said = room.message(last)
    stop = peer.on("POST", "/get_missing_events/", lambda request: (200, {"events": [top]}))
    peer.send(fed, [said])
    found = []

    def want(answer):
        joined = answer.get("rooms", {}).get("join", {}).get(room.room_id)
        if joined:
            found.append(joined["timeline"])
        return any(e["content"].get("body") == last for t in found for e in t["events"])
    alice.sync_until(want)
    stop()
    return made, next(t for t in found if any(e["content"].get("body") == "top" for e in t["events"]))


@pytest.fixture
def shared(each_fed, peer):
    return enter(each_fed, peer)


@pytest.mark.parametrize("version", ["1", "3", "6", "11", "12"])
def test_messages_reach_over_a_gap(fed, peer, version):
    """/sync ends at the gap; from its prev_batch on everything is there, once, in order; nothing of it is news."""
    alice, room = enter(fed, peer, version)
    made, timeline = gap(fed, peer, alice, room, 30)
    assert timeline["limited"]
    page = alice.get(f"/rooms/{q(room.room_id)}/messages", dir="b", limit=50, **{"from": timeline["prev_batch"]})
    assert bodies(page["chunk"])[:30] == [f"m{i}" for i in range(29, -1, -1)]
    assert len(asked(peer, "/backfill/")) == 1
    assert [r.query["v"] for r in asked(peer, "/backfill/")] == [[room.id(made[-1])]]
    for direction, order in (("b", -1), ("f", 1)):
        everything = [f"m{i}" for i in range(30)] + ["top", "the last"]
        assert bodies(messages(alice, room.room_id, direction, limit=7)[0]) == everything[::order]
    assert len(asked(peer, "/backfill/")) == 1
    alice.send(room.room_id, "goes on")
    assert alice.sync_until(lambda a: [bodies(r["timeline"]["events"]) for r in a["rooms"].get("join", {}).values()])[-1] == ["goes on"]
    # Who comes anew finds no gap.
    bob = register(fed)
    bob.join(room.room_id)
    joined = bob.sync(filter='{"room":{"timeline":{"limit":20}}}')["rooms"]["join"][room.room_id]
    assert bodies(joined["timeline"]["events"])[-3:] == ["top", "the last", "goes on"]


@pytest.mark.parametrize("version", ["1", "10", "12"])
def test_what_comes_late_is_news_in_its_place(fed, peer, version):
    """An event of the gap comes by itself: it is told as news, stands below what names it, and is no end of the room."""
    alice, room = enter(fed, peer, version)
    made, _ = gap(fed, peer, alice, room, 6)
    peer.send(fed, [made[-1]])
    timelines = []

    def want(answer):
        joined = answer.get("rooms", {}).get("join", {}).get(room.room_id)
        if joined:
            timelines.append(joined["timeline"])
        return {f"m{i}" for i in range(6)} <= {b for t in timelines for b in bodies(t["events"])}
    alice.sync_until(want)
    assert [b for t in timelines for b in bodies(t["events"])] == [f"m{i}" for i in range(6)]
    assert not any(t["limited"] for t in timelines)
    # Going back from there leads to all that is older, wherever it stands.
    page = alice.get(f"/rooms/{q(room.room_id)}/messages", dir="b", limit=50, **{"from": timelines[0]["prev_batch"]})
    everything = [f"m{i}" for i in range(6)] + ["top", "the last"]
    assert bodies(page["chunk"]) == everything[::-1]
    assert bodies(messages(alice, room.room_id, "f", limit=3)[0]) == everything
    assert not asked(peer, "/backfill/")
    last, = room.tips
    alice.send(room.room_id, "hello")
    event = peer.wait_pdu(lambda x: x["content"].get("body") == "hello")
    assert events.ids(version, event["prev_events"]) == [last]
    fresh = alice.sync(since=None, filter='{"room":{"timeline":{"limit":3}}}')["rooms"]["join"][room.room_id]["timeline"]
    page = alice.get(f"/rooms/{q(room.room_id)}/messages", dir="b", limit=50, **{"from": fresh["prev_batch"]})
    assert set(bodies(fresh["events"])) | set(bodies(page["chunk"])) == {*everything, "hello"}


def test_a_long_gap_takes_pages(shared, each_fed, peer):
    alice, room = shared
    gap(each_fed, peer, alice, room, 250)
    assert bodies(messages(alice, room.room_id, "b", limit=40)[0]) == ["the last", "top"] + [f"m{i}" for i in range(249, -1, -1)]
    assert len(asked(peer, "/backfill/")) == 3


def test_nobody_has_it(shared, each_fed, peer):
    """What is here is shown, from either side, and the server is not asked again and again."""
    alice, room = shared
    alice.send(room.room_id, "before")
    peer.wait_pdu(lambda e: e["content"].get("body") == "before")
    gap(each_fed, peer, alice, room, 5)
    peer.on("GET", "/backfill/", lambda request: (404, {"errcode": "M_NOT_FOUND", "error": "no"}))
    for direction, order in (("b", -1), ("f", 1), ("b", -1)):
        assert bodies(messages(alice, room.room_id, direction)[0]) == ["before", "top", "the last"][::order]
    assert len(asked(peer, "/backfill/")) == 1


def test_a_dead_server_holds_up_nobody(fed, peer):
    """While some wait for its history, others read, send and sync."""
    alice, room = enter(fed, peer)
    gap(fed, peer, alice, room, 5)
    go = threading.Event()
    peer.on("GET", "/backfill/", lambda request: go.wait(30) and None)
    found = []
    readers = [threading.Thread(target=lambda: found.append(alice.get(f"/rooms/{q(room.room_id)}/messages", dir="b", limit=50))) for _ in range(20)]
    try:
        for r in readers:
            r.start()
        peer.wait_request("GET", "/backfill/")
        bob = register(fed)
        other = bob.create_room()
        bob.send(other, "meanwhile")
        assert bodies(messages(bob, other, "b")[0]) == ["meanwhile"]
        alice.send(room.room_id, "also here")
    finally:
        go.set()
        for r in readers:
            r.join()
    assert len(found) == 20 and all(bodies(f["chunk"])[-1] == "m0" for f in found)
    assert len(asked(peer, "/backfill/")) == 1


@pytest.mark.parametrize("answer", [{}, {"pdus": 7}, [], b"no JSON", {"pdus": [None, 7, {}, "x"]}])
def test_answers_that_are_none(fed, peer, answer):
    alice, room = enter(fed, peer)
    gap(fed, peer, alice, room, 5)
    peer.on("GET", "/backfill/", lambda request: (200, answer))
    assert bodies(messages(alice, room.room_id, "b")[0]) == ["the last", "top"]


def test_bad_history_harms_no_other(shared, each_fed, peer):
    """Strangers' events, forged and unconnected ones, and one that was not allowed."""
    alice, room = shared
    base = room.events[room.tips[0]]
    first = room.message("m0")
    room.send("m.room.topic", {"topic": "not allowed"}, state_key="")
    second = room.message("m1")
    top, last = room.message("top"), room.message("the last")
    stop = peer.on("POST", "/get_missing_events/", lambda request: (200, {"events": [top]}))
    peer.send(each_fed, [last])
    alice.sync_until(lambda a: "the last" in [b for r in a["rooms"].get("join", {}).values() for b in bodies(r["timeline"]["events"])])
    stop()
    stray = room.build("m.room.message", {"body": "stray"}, prev=[base])
    other = peer.create_room("10").message("of another room")
    forged = room.build("m.room.message", {"body": "forged"}, sender=alice.user_id, prev=[base])
    history = [room.events[i] for i in room.events if room.events[i] not in (top, last)][-3:]
    assert first in history and second in history
    peer.on("GET", "/backfill/", lambda request: (200, {"origin": peer.name, "origin_server_ts": 1, "pdus": [stray, other, forged, {**first, "depth": "x"}, *history[::-1]]}))
    assert bodies(messages(alice, room.room_id, "b")[0]) == ["the last", "top", "m1", "m0"]
    with pytest.raises(MatrixError):
        alice.get_state(room.room_id, "m.room.topic")


def test_context_reaches_over_a_gap(shared, each_fed, peer):
    alice, room = shared
    gap(each_fed, peer, alice, room, 10)
    top = next(i for i, e in room.events.items() if e["content"].get("body") == "top")
    around = alice.get(f"/rooms/{q(room.room_id)}/context/{q(top)}", limit=10)
    assert bodies(around["events_before"]) == [f"m{i}" for i in range(9, 4, -1)]
    assert bodies(around["events_after"]) == ["the last"]
    assert len(asked(peer, "/backfill/")) == 1


def test_the_event_nearest_to_a_time(shared, each_fed, peer):
    """In a gap another server is asked; what it names stands alone, until history grows together."""
    alice, room = shared
    now = int(time.time() * 1000)
    made = []
    for i in range(20):
        made.append(room.take(room.build("m.room.message", {"msgtype": "m.text", "body": f"m{i}"}, origin_server_ts=now + 1000 * (i + 1))))
    top = room.take(room.build("m.room.message", {"msgtype": "m.text", "body": "top"}, origin_server_ts=now + 30000))
    last = room.take(room.build("m.room.message", {"msgtype": "m.text", "body": "the last"}, origin_server_ts=now + 31000))
    stop = peer.on("POST", "/get_missing_events/", lambda request: (200, {"events": [top]}))
    peer.send(each_fed, [last])
    alice.sync_until(lambda a: "the last" in [b for r in a["rooms"].get("join", {}).values() for b in bodies(r["timeline"]["events"])])
    stop()

    def at_time(request):
        ts, forwards = int(request.arg("ts")), request.arg("dir") == "f"
        found = [e for e in made if (e["origin_server_ts"] >= ts if forwards else e["origin_server_ts"] <= ts)]
        if not found:
            return 404, {"errcode": "M_NOT_FOUND", "error": "none"}
        e = (min if forwards else max)(found, key=lambda e: e["origin_server_ts"])
        return 200, {"event_id": room.id(e), "origin_server_ts": e["origin_server_ts"]}
    peer.on("GET", "/timestamp_to_event/", at_time)

    def nearest(ts, direction):
        got = alice.get(f"/_matrix/client/v1/rooms/{q(room.room_id)}/timestamp_to_event", ts=ts, dir=direction)
        return got["event_id"], got["origin_server_ts"]
    assert nearest(now + 9500, "f") == (room.id(made[9]), now + 10000)
    assert nearest(now + 9500, "b") == (room.id(made[8]), now + 9000)
    assert nearest(now + 30500, "f") == (room.id(last), now + 31000)
    for wrong in ({"ts": 1}, {"dir": "f"}, {"ts": "x", "dir": "f"}, {"ts": 1, "dir": "x"}):
        with pytest.raises(MatrixError) as e:
            alice.get(f"/_matrix/client/v1/rooms/{q(room.room_id)}/timestamp_to_event", **wrong)
        assert e.value.status == 400
    with pytest.raises(MatrixError) as e:
        nearest(now + 99999999, "f")
    assert e.value.status == 404
    around = alice.get(f"/rooms/{q(room.room_id)}/context/{q(room.id(made[9]))}", limit=6)
    assert bodies(around["events_before"]) == ["m8", "m7", "m6"]
    assert bodies(messages(alice, room.room_id, "b", limit=7)[0]) == ["the last", "top"] + [f"m{i}" for i in range(19, -1, -1)]


def test_history_of_before_the_gap_is_seen_as_it_was(shared, each_fed, peer):
    """Visibility works by the state at each event: who joined later does not see what was for members alone."""
    alice, room = shared
    power = alice.get_state(room.room_id, "m.room.power_levels")
    power.setdefault("users", {})[room.creator] = 100
    alice.set_state(room.room_id, "m.room.power_levels", power)
    peer.wait_pdu(lambda e: e["type"] == "m.room.power_levels" and e["content"]["users"].get(room.creator) == 100)
    room.message("shared")
    room.send("m.room.history_visibility", {"history_visibility": "joined"}, state_key="")
    room.message("secret")
    room.send("m.room.history_visibility", {"history_visibility": "shared"}, state_key="")
    room.message("shared again")
    top, last = room.message("top"), room.message("the last")
    stop = peer.on("POST", "/get_missing_events/", lambda request: (200, {"events": [top]}))
    peer.send(each_fed, [last])
    alice.sync_until(lambda a: "the last" in [b for r in a["rooms"].get("join", {}).values() for b in bodies(r["timeline"]["events"])])
    stop()
    bob = register(each_fed)
    bob.join(room.room_id)
    assert bodies(messages(bob, room.room_id, "b")[0]) == ["the last", "top", "shared again", "shared"]
    assert bodies(messages(alice, room.room_id, "b")[0]) == ["the last", "top", "shared again", "secret", "shared"]


def join(fed, peer, room):
    alice = register(fed)
    alice.post(f"/join/{q(room.room_id)}?server_name={q(peer.name)}&via={q(peer.name)}", {})
    return alice


def timeline_of(client, room_id):
    return client.sync()["rooms"]["join"][room_id]["timeline"]


@pytest.mark.parametrize("version", ["1", "3", "6", "10", "11", "12"])
def test_a_joined_rooms_history(fed, peer, version):
    """To its beginning, each event once, in order; the states on the way are those of then."""
    room = peer.create_room(version)
    for i in range(40):
        room.message(f"m{i}")
        if i % 10 == 5:
            room.send("m.room.topic", {"topic": f"t{i}"}, state_key="")
    alice = join(fed, peer, room)
    timeline = timeline_of(alice, room.room_id)
    assert timeline["limited"] and [e["type"] for e in timeline["events"]] == ["m.room.member"]
    found = messages(alice, room.room_id, "b", limit=15)[0]
    assert [e["event_id"] for e in found] == [i for i in list(room.after)[::-1]]
    assert found[-1]["type"] == "m.room.create"
    assert len(asked(peer, "/backfill/")) == 1 and not asked(peer, "/state")
    assert [e["event_id"] for e in messages(alice, room.room_id, "f", limit=9)[0]] == [i for i in room.after]
    alice.send(room.room_id, "hello")
    peer.wait_pdu(lambda e: e["content"].get("body") == "hello")
    # As it was at each event.
    topics = {e["content"]["topic"]: e["event_id"] for e in found if e["type"] == "m.room.topic"}
    at = alice.get(f"/rooms/{q(room.room_id)}/context/{q(topics['t15'])}", limit=0)
    assert [e["content"]["topic"] for e in at["state"] if e["type"] == "m.room.topic"] == ["t15"]


def test_a_joined_rooms_long_history(shared, each_fed, peer):
    room = peer.create_room("10")
    for i in range(130):
        room.message(f"m{i}")
        if i % 50 == 10:
            room.send("m.room.topic", {"topic": f"t{i}"}, state_key="")
    alice = join(each_fed, peer, room)
    found = messages(alice, room.room_id, "b", limit=30)[0]
    assert [e["event_id"] for e in found] == [i for i in list(room.after)[::-1]]
    assert len(asked(peer, "/backfill/")) == 2


def test_a_fork_off_what_was_before_the_join_is_no_flood(shared, each_fed, peer):
    """Its ancestors are old: they are history, not news."""
    room = peer.create_room("10")
    for i in range(5):
        room.message(f"m{i}")
    before = room.events[room.tips[0]]
    alice = join(each_fed, peer, room)
    alice.sync()
    fork = room.take(room.build("m.room.message", {"msgtype": "m.text", "body": "fork"}, prev=[before]))
    peer.send(each_fed, [fork])
    got = alice.sync_until(lambda a: [bodies(r["timeline"]["events"]) for r in a["rooms"].get("join", {}).values()])
    assert got == [["fork"]]
    assert not asked(peer, "/get_missing_events/")
    assert set(bodies(messages(alice, room.room_id, "b")[0])) == {"fork"} | {f"m{i}" for i in range(5)}
