"""Events come whose ancestors, states or auth events this server does not have: what it asks for, and what becomes of them."""
import threading

import pytest

from client import MatrixError, q, register
from fed import events
from history import messages

VERSIONS = ["1", "3", "6", "10", "11", "12"]


def bodies(client, room_id):
    return [e["content"].get("body") for e in messages(client, room_id, "f")[0] if e["type"] == "m.room.message"]


def shown(client, room_id, body):
    """Syncs until it is shown; the timelines until then."""
    timelines = []

    def want(answer):
        joined = answer.get("rooms", {}).get("join", {}).get(room_id)
        if joined:
            timelines.append(joined["timeline"])
        return any(e["content"].get("body") == body for t in timelines for e in t["events"])
    client.sync_until(want)
    return timelines


def enter(fed, peer, version="10", **options):
    alice = register(fed)
    room_id = alice.create_room(room_version=version, preset="public_chat", **options)
    room = peer.join(fed, room_id)
    alice.sync()
    return alice, room


@pytest.fixture
def shared(each_fed, peer):
    return enter(each_fed, peer)


def asked(peer, path):
    return [r for r in peer.requests if path in r.path]


@pytest.mark.parametrize("version", VERSIONS)
def test_ancestors_are_asked_for(fed, peer, version):
    alice, room = enter(fed, peer, version)
    tip = room.tips[0]
    made = [room.message(f"m{i}") for i in range(8)]
    peer.send(fed, [made[-1]])
    shown(alice, room.room_id, "m7")
    assert bodies(alice, room.room_id) == [f"m{i}" for i in range(8)]
    request, = asked(peer, "/get_missing_events/")
    assert request.body["latest_events"] == [room.id(made[-1])]
    assert request.body["earliest_events"] == [tip]
    assert request.body["limit"] > 0 and request.body["min_depth"] == 0
    assert not asked(peer, "/state")


def hide(peer, room, *hidden):
    """Its /get_missing_events goes no further than these."""
    def handler(request):
        found, todo, seen = [], list(request.body["latest_events"]), set(request.body["earliest_events"])
        while todo:
            event = room.events.get(todo.pop(0))
            for i in events.ids(room.version, event["prev_events"]) if event else []:
                if i not in seen and i in room.events and i not in hidden:
                    seen.add(i)
                    found.insert(0, room.events[i])
                    todo.append(i)
        return 200, {"events": found}
    return peer.on("POST", "/get_missing_events/", handler)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_state_stands_for_what_is_missing(fed, peer, version):
    """B and C are not given; D and E stand on the state after C, and below D is a gap."""
    alice, room = enter(fed, peer, version)
    power = alice.get_state(room.room_id, "m.room.power_levels")
    power.setdefault("users", {})[room.creator] = 50
    alice.set_state(room.room_id, "m.room.power_levels", power)
    peer.wait_pdu(lambda e: e["type"] == "m.room.power_levels" and e["content"]["users"].get(room.creator) == 50)
    b = room.send("m.room.topic", {"topic": "far away"}, state_key="")
    c = room.message("C")
    hide(peer, room, room.id(b), room.id(c))
    d, e = room.message("D"), room.message("E")
    peer.send(fed, [e])
    timeline = next(t for t in shown(alice, room.room_id, "E") if any(x["content"].get("body") == "D" for x in t["events"]))
    assert timeline["events"][0]["content"].get("body") == "D" and timeline["limited"] and timeline["prev_batch"]
    assert alice.get_state(room.room_id, "m.room.topic")["topic"] == "far away"
    assert [r.arg("event_id") for r in asked(peer, "/state_ids/")] == [room.id(c)]
    # What we say goes on both what we had and what came.
    said = alice.send(room.room_id, "hello")
    event = peer.wait_pdu(lambda x: x["content"].get("body") == "hello")
    assert room.id(e) in events.ids(version, event["prev_events"])
    assert said == room.id(event)


def test_an_event_on_what_nobody_has_is_dropped(shared, each_fed, peer):
    """It is not taken on a state alone; and when somebody names it, it is looked for again."""
    alice, room = shared
    stop = peer.on("POST", "/get_missing_events/", lambda request: (200, {"events": []}))
    made = [room.message("lost")]
    for body in ("first", "second"):
        n = len(peer.requests)
        made.append(room.message(body))
        peer.send(each_fed, [made[-1]])
        # The server may still be about to drop the one before: then this one waits for it, and goes with it.
        assert peer.wait_request("POST", "/get_missing_events/", after=n).body["latest_events"][0] in [room.id(e) for e in made]
    assert not asked(peer, "/state")
    stop()
    peer.send(each_fed, [room.message("third")])
    shown(alice, room.room_id, "third")
    assert bodies(alice, room.room_id) == ["lost", "first", "second", "third"]


def test_bad_events_in_an_answer_harm_no_other(shared, each_fed, peer):
    alice, room = shared
    made = [room.message(f"m{i}") for i in range(3)]
    stranger = peer.create_room("10")
    other = stranger.message("of another room")
    forged = room.build("m.room.message", {"body": "forged"}, sender=alice.user_id)
    float_ = {**made[0], "content": {"body": 1.5}}
    peer.on("POST", "/get_missing_events/",
            lambda request: (200, {"events": [7, None, {}, "x", other, forged, float_, *made[:2], {**made[0], "signatures": {}}]}))
    peer.send(each_fed, [made[2]])
    shown(alice, room.room_id, "m2")
    assert bodies(alice, room.room_id) == ["m0", "m1", "m2"]


@pytest.mark.parametrize("answer", [{}, {"events": 7}, {"events": {}}, [], "text", b"no JSON", b""])
def test_answers_that_are_none(fed, peer, answer):
    alice, room = enter(fed, peer)
    room.message("lost")
    last = room.message("last")
    peer.on("POST", "/get_missing_events/", lambda request: (200, answer))
    peer.send(fed, [last])
    peer.wait_request("POST", "/get_missing_events/")
    alice.send(room.room_id, "goes on")
    assert bodies(alice, room.room_id) == ["goes on"]


def test_a_server_that_hangs_holds_up_nobody(shared, each_fed, peer):
    """One server's event lacks something that it does not give; in the same room another's, and our own, go on."""
    alice, room = shared
    go = threading.Event()
    base = room.events[room.tips[0]]
    room.message("lost")
    waits = room.message("waits")
    peer.on("POST", "/get_missing_events/", lambda request: go.wait(30) and None)
    try:
        peer.send(each_fed, [waits])
        peer.wait_request("POST", "/get_missing_events/")
        beside = room.build("m.room.message", {"msgtype": "m.text", "body": "beside"}, prev=[base])
        peer.send(each_fed, [beside])
        shown(alice, room.room_id, "beside")
        alice.send(room.room_id, "ours")
    finally:
        go.set()
    shown(alice, room.room_id, "waits")
    assert set(bodies(alice, room.room_id)) == {"lost", "waits", "beside", "ours"}


def test_auth_events_are_asked_for(shared, each_fed, peer):
    """A message names a membership event of a branch that we have not seen: it is known afterwards, and in no timeline."""
    alice, room = shared
    base = room.events[room.tips[0]]
    renamed = room.build("m.room.member", {"membership": "join", "displayname": "Renamed"}, state_key=room.creator, prev=[base])
    room.events[room.id(renamed)] = renamed
    auth = [e for e in room.auth_for("m.room.message", room.creator, None, {}, room.state) if e["type"] != "m.room.member"] + [renamed]
    message = room.build("m.room.message", {"msgtype": "m.text", "body": "hello"}, prev=[base], auth=auth)
    room.take(message)
    peer.send(each_fed, [message])
    shown(alice, room.room_id, "hello")
    assert asked(peer, "/event_auth/") or asked(peer, "/event/")
    assert not asked(peer, "/get_missing_events/")
    assert alice.get(f"/rooms/{q(room.room_id)}/members")["chunk"]
    with pytest.raises(MatrixError):
        alice.get(f"/rooms/{q(room.room_id)}/event/{q(room.id(renamed))}")


def test_bad_states_are_refused(shared, each_fed, peer):
    """A state without the create event, of garbage, or with more than its makers may set."""
    alice, room = shared
    c = room.message("C")
    hide(peer, room, room.id(c))
    grab = room.build("m.room.power_levels", {"users": {room.creator: 100, alice.user_id: 0}}, state_key="")
    room.events[room.id(grab)] = grab
    create = next(i for (t, _), i in room.state.items() if t == "m.room.create")
    good = [i for i in room.state.values() if room.events[i]["type"] != "m.room.power_levels"]
    answers = [{"pdu_ids": [i for i in good if i != create], "auth_chain_ids": []}, {"pdu_ids": 7, "auth_chain_ids": []}, {}, [],
               {"pdu_ids": [None, 7, {}], "auth_chain_ids": []}, {"pdu_ids": ["x" * 300], "auth_chain_ids": []}]
    for n, answer in enumerate(answers):
        stop = peer.on("GET", "/state_ids/", lambda request, answer=answer: (200, answer))
        d = room.build("m.room.message", {"body": f"D{n}"}, prev=[c])
        e = room.build("m.room.message", {"body": f"E{n}"}, prev=[room.take(d)])
        room.take(e)
        k = len(peer.requests)
        peer.send(each_fed, [e])
        peer.wait_request("GET", "/state_ids/", after=k)
        stop()
    alice.send(room.room_id, "goes on")
    assert bodies(alice, room.room_id) == ["goes on"]
    peer.on("GET", "/state_ids/", lambda request: (200, {"pdu_ids": good + [room.id(grab), "$nothing"], "auth_chain_ids": []}))
    d = room.take(room.build("m.room.message", {"body": "D"}, prev=[c]))
    e = room.take(room.build("m.room.message", {"body": "E"}, prev=[d]))
    peer.send(each_fed, [e])
    shown(alice, room.room_id, "E")
    assert alice.get_state(room.room_id, "m.room.power_levels")["users"].get(room.creator, 0) == 0
