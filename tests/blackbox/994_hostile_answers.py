"""What a server may answer when it is asked, and what strangers may ask: it harms nobody, and the asker is served by what is known."""
import threading
import time

import pytest
import requests

from client import Client, q, register
from fed import events
from fed.peer import FED

NOW = int(time.time() * 1000)


def at(room, seconds, body="m", **over):
    return room.build("m.room.message", {"msgtype": "m.text", "body": body}, origin_server_ts=NOW + 1000 * seconds, **over)


class Gap:
    """A room with a gap in which `made` stand, one second apart; above it `top` and `last`, at 30 and 31 seconds."""

    def __init__(self, fed, peer):
        self.fed, self.peer, self.alice = fed, peer, register(fed)
        room_id = self.alice.create_room(room_version="11", preset="public_chat")
        self.room = peer.join(fed, room_id)
        self.alice.sync()
        self.made = [self.room.take(at(self.room, i + 1)) for i in range(9)]
        self.top, self.last = (self.room.take(at(self.room, s, body)) for s, body in ((30, "top"), (31, "last")))
        stop = peer.on("POST", "/get_missing_events/", lambda request: (200, {"events": [self.top]}))
        peer.send(fed, [self.last])
        self.alice.sync_until(lambda a: self.room.id(self.last) in str(a))
        stop()

    def nearest(self, seconds, direction="f"):
        return self.alice.get(f"/_matrix/client/v1/rooms/{q(self.room.room_id)}/timestamp_to_event", ts=NOW + int(1000 * seconds), dir=direction)["event_id"]


def names(event_id, ts=4000):
    return lambda request: (200, {"event_id": event_id, "origin_server_ts": NOW + ts})


def pdu(*found):
    return lambda request: (200, {"origin": "x", "origin_server_ts": 1, "pdus": list(found)})


def test_an_event_nearest_to_a_time(fed, peer):
    """A client asks for a time within a gap, at 3.5 s: the fourth event is there, and not known here."""
    g = Gap(fed, peer)
    room, made = g.room, g.made
    ids = [room.id(e) for e in made]
    elsewhere = peer.create_room("11")
    foreign = at(elsewhere, 4)
    nobody = at(room, 4, "by nobody", sender=peer.user("nobody"))
    late, early = at(room, 60, "late"), at(room, 2, "early")
    unsigned = {k: v for k, v in at(room, 4, "unsigned").items() if k != "signatures"}
    bare = {k: v for k, v in made[3].items() if k != "sender"}
    for e in (late, early):
        e["prev_events"] = made[3]["prev_events"]
        events.finish("11", e, peer.key)
    elsewhere.take(foreign)
    for e in (late, early, nobody, unsigned):  # whatever is asked about them is answered
        room.take(e)
    rows = {
        "nothing in it": (lambda request: (200, {}), None),
        "no text": (lambda request: (200, {"event_id": 7, "origin_server_ts": NOW + 4000}), None),
        "an empty name": (names(""), None),
        "a long name": (names("$" + "x" * 300), None),
        "a path for a name": (names("../../v1/state/x?"), None),
        "a name with an end in it": (names("$a\0b"), None),
        "an event that is not there": (names("$" + "n" * 43), None),
        "an event of another room": (names(elsewhere.id(foreign)), pdu(foreign)),
        "another event than it names": (names(ids[3]), pdu(made[4])),
        "two events": (names(ids[3]), pdu(made[4], made[3])),
        "an event without a sender": (names(ids[3]), pdu(bare)),
        "no events": (names(ids[3]), lambda request: (200, {"pdus": 7})),
        "an event that says a later time": (names(room.id(late)), pdu(late)),
        "an event that says an earlier time": (names(room.id(early)), pdu(early)),
        "an event that nobody signed": (names(room.id(unsigned)), pdu(unsigned)),
        "a user who is not in the room": (names(room.id(nobody)), pdu(nobody)),
        "an event that is known": (names(room.id(g.last)), None),
        # These count as no answer, after which a server is not asked for a while.
        "no object": (lambda request: (200, []), None),
        "no JSON": (lambda request: (200, b"nonsense"), None),
    }
    for what, (answers, gives) in rows.items():
        drops = [peer.on("GET", "/timestamp_to_event/", answers)]
        drops += [peer.on("GET", "/v1/event/", gives)] if gives else []
        peer.send(fed, [])  # who speaks is there, and is asked again
        before = len(peer.requests)
        assert g.nearest(3.5) == room.id(g.top), what
        assert any("/timestamp_to_event/" in r.path for r in peer.requests[before:]), what
        for drop in drops:
            drop()
    for e in (late, early, unsigned, nobody, foreign):
        g.alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room.room_id)}/event/{q(events.event_id('11', e))}")
    g.alice.send(room.room_id, "goes on")


def test_other_words_than_were_signed(fed, peer):
    """The event is one, by its name and signature: "If it fails [the content hash], the event is redacted"."""
    g = Gap(fed, peer)
    name = g.room.id(g.made[3])
    peer.on("GET", "/timestamp_to_event/", names(name))
    peer.on("GET", "/v1/event/", pdu(g.made[3] | {"content": {"body": "other words"}}))
    found = g.nearest(3.5)
    assert found in (name, g.room.id(g.top))
    if found == name:
        assert g.alice.get(f"/rooms/{q(g.room.room_id)}/event/{q(name)}")["content"] == {}


def test_an_honest_answer_after_all(fed, peer):
    g = Gap(fed, peer)
    drop = peer.on("GET", "/timestamp_to_event/", lambda request: (200, ["no"]))
    assert g.nearest(3.5) == g.room.id(g.top)
    drop()
    peer.send(fed, [])
    peer.on("GET", "/timestamp_to_event/", names(g.room.id(g.made[3])))
    assert g.nearest(3.5) == g.room.id(g.made[3])


def trickle(request):
    def pieces():
        yield b'{"event_id":"'
        for _ in range(600):
            time.sleep(0.1)
            yield b"x"
    return 200, pieces()


def flood(request):
    return 200, b'{"event_id":"$' + b"x" * (10 << 20) + b'"}'


@pytest.mark.parametrize("answers", [flood, trickle])
def test_an_answer_without_an_end(fed, peer, answers):
    g = Gap(fed, peer)
    peer.on("GET", "/timestamp_to_event/", answers)
    got = []
    asking = [threading.Thread(target=lambda: got.append(g.nearest(3.5))) for _ in range(3)]
    for t in asking:
        t.start()
    peer.wait_request("GET", "/timestamp_to_event/")
    # Meanwhile the room is as it was, for those who ask for nothing that is missing.
    g.alice.send(g.room.room_id, "goes on")
    assert g.nearest(30.5) == g.room.id(g.last)
    for t in asking:
        t.join(50)
    assert got == [g.room.id(g.top)] * 3


#
# OpenID: anybody may ask
#
def test_who_a_token_is_of(fed, peer):
    alice = register(fed)
    token = alice.post(f"/user/{q(alice.user_id)}/openid/request_token", {})["access_token"]
    bob = register(fed)
    gone = bob.post(f"/user/{q(bob.user_id)}/openid/request_token", {})["access_token"]
    bob.post("/account/deactivate", {"auth": {"type": "m.login.password", "password": "sesame-open-1",
                                              "identifier": {"type": "m.id.user", "user": bob.user_id}}})
    many = [alice.post(f"/user/{q(alice.user_id)}/openid/request_token", {})["access_token"] for _ in range(101)]
    missing, unknown = (401, "M_MISSING_TOKEN"), (401, "M_UNKNOWN_TOKEN")
    rows = [
        ("", missing), ("?token=x", missing),
        ("?access_token=", unknown), ("?access_token=x", unknown), (f"?access_token={gone}", unknown),
        (f"?access_token={alice.token}", unknown), (f"?access_token={many[-1]}x", unknown), (f"?access_token={many[-1][:-1]}", unknown),
        (f"?access_token={many[-1].upper()}", unknown), (f"?access_token={many[-1]}%00", unknown), (f"?access_token=%00{many[-1]}", unknown),
        ("?access_token=%27%20OR%201%3D1%20--", unknown), ("?access_token=" + "x" * 6000, unknown),
        # So many a user has at a time: the oldest went.
        (f"?access_token={token}", unknown),
    ]
    for query, (status, errcode) in rows:
        answer = requests.get(f"{fed.url}{FED}/v1/openid/userinfo{query}", timeout=20)
        assert (answer.status_code, answer.json()["errcode"]) == (status, errcode), query
        assert alice.user_id not in answer.text and bob.user_id not in answer.text
    for bad in ("%ff%fe", "%zz", "x" * 100000):
        answer = requests.get(f"{fed.url}{FED}/v1/openid/userinfo?access_token={bad}", timeout=20)
        assert 400 <= answer.status_code < 500, (bad, answer.status_code)
    # It is asked for by its name in the query alone, and is good for nothing else.
    assert requests.get(f"{fed.url}{FED}/v1/openid/userinfo", headers={"Authorization": f"Bearer {many[-1]}"}, timeout=20).status_code == 401
    Client(fed, token=many[-1]).fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    assert requests.get(f"{fed.url}{FED}/v1/openid/userinfo?access_token={many[-1]}", timeout=20).json() == {"sub": alice.user_id}
