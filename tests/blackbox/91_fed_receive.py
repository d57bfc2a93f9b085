"""What /send brings: each event on its own, in order, kept through kill -9, and read by clients; EDUs beside them."""
import concurrent.futures
import threading

import pytest
import requests

from client import MatrixError, q, register
from fed import events
from fed.hearth import FedServer
from fed.peer import FED, Peer, Refused
from history import messages

VERSIONS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]


def bodies(client, room_id):
    return [e["content"].get("body") for e in messages(client, room_id, "f")[0] if e["type"] == "m.room.message"]


def sync_bodies(client, room_id, *wanted, found=None):
    """Syncs on until all of them were shown, in their order."""
    found = [] if found is None else found

    def want(answer):
        joined = answer["rooms"].get("join", {}).get(room_id) if "rooms" in answer else None
        found.extend(e["content"].get("body") for e in (joined["timeline"]["events"] if joined else []) if e["type"] == "m.room.message")
        return all(w in found for w in wanted)

    client.sync_until(want)
    assert [f for f in found if f in wanted] == list(wanted)


@pytest.fixture
def shared(each_fed, peer):
    """A local user, a room of theirs that the peer has entered, and it as the peer has it."""
    return enter(each_fed, peer)


def enter(fed, peer, version="10", **options):
    alice = register(fed)
    room_id = alice.create_room(room_version=version, preset="public_chat", **options)
    room = peer.join(fed, room_id)
    alice.sync()
    return alice, room


@pytest.mark.parametrize("version", VERSIONS)
def test_events_of_every_version_are_shown(fed, peer, version):
    alice, room = enter(fed, peer, version)
    made = [room.message(f"m{i}") for i in range(5)]
    got = peer.send(fed, made)
    assert got == {room.id(e): {} for e in made}
    sync_bodies(alice, room.room_id, *[f"m{i}" for i in range(5)])
    topic = room.build("m.room.topic", {"topic": "no power"}, state_key="")
    assert peer.send(fed, [topic]) == {room.id(topic): {}}     # what the room makes of it is not told
    peer.send(fed, [room.message("after")])
    sync_bodies(alice, room.room_id, "after")
    with pytest.raises(MatrixError):
        alice.get_state(room.room_id, "m.room.topic")


def test_a_repeated_transaction_is_answered_as_it_was(shared, each_fed, peer):
    alice, room = shared
    made = [room.message("once"), {"room_id": "!nowhere:here", "event_id": "$a:b"}]
    first = peer.send(each_fed, made, txn="twice")
    assert first[room.id(made[0])] == {} and "error" in first["$a:b"]
    assert peer.send(each_fed, [room.message("not looked at")], txn="twice") == first
    sync_bodies(alice, room.room_id, "once")
    assert bodies(alice, room.room_id) == ["once"]


def test_one_bad_event_harms_no_other(shared, each_fed, peer):
    alice, room = shared
    deep = room.build("m.room.message", {"body": "deep"})
    nest = inner = {}
    for _ in range(400):
        inner["a"] = {}
        inner = inner["a"]
    deep["content"]["nest"] = nest
    bad = [
        17, "text", None, [], {}, {"room_id": 5}, {"room_id": "!nowhere:nowhere"},
        {**room.build("m.room.message", {"body": "no sender"}), "sender": None},
        {**room.build("m.room.message", {"body": "large"}), "content": {"body": "x" * 70000}},
        {**room.build("m.room.message", {"body": "float"}), "depth": 1.5},
        {**room.build("m.room.message", {"body": "many"}), "prev_events": ["$x"] * 21},
        {**room.build("m.room.message", {"body": "unsigned"}), "signatures": {}},
        room.build("m.room.message", {"body": "not theirs"}, sender=alice.user_id),
        room.build("m.room.message", {"body": "float"}, by=None),
        deep,
    ]
    good = [room.message("first"), room.message("second")]
    peer.send(each_fed, [good[0], *bad, good[1]])
    sync_bodies(alice, room.room_id, "first", "second")
    assert bodies(alice, room.room_id) == ["first", None, "second"]     # the deep one was changed after it was hashed: redacted


def test_limits(shared, each_fed, peer):
    alice, room = shared
    message = room.message("one of many")
    for what in (([message] * 51, []), ([], [{"edu_type": "m.typing", "content": {}}] * 101)):
        with pytest.raises(Refused) as e:
            peer.send(each_fed, *what)
        assert e.value.status == 400
    for wrong in ({"pdus": {}}, {"edus": 7}):
        assert peer.raw("PUT", each_fed, f"{FED}/v1/send/wrong", peer.transaction() | wrong).status_code == 400
    assert peer.raw("PUT", each_fed, f"{FED}/v1/send/{'x' * 300}", peer.transaction()).status_code == 400
    assert peer.send(each_fed, [message] * 50) == {room.id(message): {}}
    sync_bodies(alice, room.room_id, "one of many")


def test_the_acl_shuts_a_server_out(shared, each_fed, peer):
    alice, room = shared
    alice.set_state(room.room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost*"]})
    message = room.message("denied")
    assert "error" in peer.send(each_fed, [message])[room.id(message)]
    alice.set_state(room.room_id, "m.room.server_acl", {"allow": ["*"]})
    peer.send(each_fed, [message])
    sync_bodies(alice, room.room_id, "denied")


def test_the_acl_shuts_out_what_is_no_event(each_fed, peer):
    """Typing and receipts of who may not be there: those who come after them are shown, they are not."""
    alice, room = enter(each_fed, peer)
    shut, let = room.creator, peer.user()
    said = alice.send(room.room_id, "read this")
    peer.join(each_fed, room.room_id, let)

    def both(user):
        receipt = {room.room_id: {"m.read": {user: {"event_ids": [said], "data": {"ts": 1}}}}}
        peer.send(each_fed, edus=[{"edu_type": "m.typing", "content": {"room_id": room.room_id, "user_id": user, "typing": True}},
                                  {"edu_type": "m.receipt", "content": receipt}])

    alice.set_state(room.room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost*"]})
    both(shut)
    alice.set_state(room.room_id, "m.room.server_acl", {"allow": ["*"]})
    both(let)
    typing, readers = set(), set()

    def want(answer):
        for e in answer["rooms"].get("join", {}).get(room.room_id, {}).get("ephemeral", {}).get("events", []) if "rooms" in answer else []:
            if e["type"] == "m.typing":
                typing.update(e["content"]["user_ids"])
            else:
                readers.update(u for kinds in e["content"].values() for u in kinds.get("m.read", {}))
        return let in typing and let in readers
    alice.sync_until(want)
    assert typing == {let} and readers == {let}


def test_others_overtake_what_lacks_its_ancestors(shared, each_fed, peer):
    """The lost event is at the peer, which answers everybody that it has nothing: only what stands on it waits."""
    alice, room = shared
    base = room.events[room.tips[-1]]
    peer.on("POST", "/get_missing_events/", lambda request: (200, {"events": []}))
    peer.on("GET", "/state_ids/", lambda request: (404, {"errcode": "M_NOT_FOUND", "error": "no"}))
    lost = room.build("m.room.message", {"msgtype": "m.text", "body": "lost"}, prev=[base])
    room.take(lost)
    after = room.build("m.room.message", {"msgtype": "m.text", "body": "after"}, prev=[lost])
    beside = [room.build("m.room.message", {"msgtype": "m.text", "body": f"beside {i}"}, prev=[base]) for i in range(3)]
    peer.send(each_fed, [after, *beside])
    sync_bodies(alice, room.room_id, "beside 0", "beside 1", "beside 2")
    peer.send(each_fed, [lost, after])
    sync_bodies(alice, room.room_id, "lost", "after")


def test_who_is_banned_is_soft_failed(shared, each_fed, peer):
    """Sent on what stood before the ban: not shown, and nothing of ours names it."""
    alice, room = shared
    base = room.events[room.tips[-1]]
    alice.post(f"/rooms/{q(room.room_id)}/ban", {"user_id": room.creator})
    evading = room.build("m.room.message", {"msgtype": "m.text", "body": "evading"}, prev=[base])
    rejected = room.build("m.room.name", {"name": "no power"}, state_key="", prev=[base])
    assert peer.send(each_fed, [evading, rejected]) == {room.id(e): {} for e in (evading, rejected)}
    alice.send(room.room_id, "goes on")
    sync_bodies(alice, room.room_id, "goes on")
    assert bodies(alice, room.room_id) == ["goes on"]
    for e in (evading, rejected):
        with pytest.raises(MatrixError):
            alice.get(f"/rooms/{q(room.room_id)}/event/{q(room.id(e))}")


def test_what_brings_branches_together_is_not_shown(shared, each_fed, peer):
    """As Synapse sends it where a room has many forward extremities."""
    alice, room = shared
    dummy = room.send("org.matrix.dummy_event", {})
    peer.send(each_fed, [dummy, room.message("shown")])
    sync_bodies(alice, room.room_id, "shown")
    for found in (messages(alice, room.room_id, "f")[0], messages(alice, room.room_id, "b")[0],
                  alice.sync(since=None)["rooms"]["join"][room.room_id]["timeline"]["events"]):
        assert "m.room.message" in [e["type"] for e in found] and "org.matrix.dummy_event" not in [e["type"] for e in found]
    with pytest.raises(MatrixError):
        alice.get(f"/rooms/{q(room.room_id)}/event/{q(room.id(dummy))}")
    alice.send(room.room_id, "on it")
    peer.get(each_fed, f"/v1/event/{q(room.id(dummy))}")     # other servers may have it


def test_typing_and_receipts(shared, each_fed, peer):
    alice, room = shared
    theirs, said = room.creator, alice.send(room.room_id, "read me")

    def ephemeral(type):
        def want(answer):
            joined = answer.get("rooms", {}).get("join", {}).get(room.room_id, {})
            return next((e["content"] for e in joined.get("ephemeral", {}).get("events", []) if e["type"] == type), None)
        return alice.sync_until(want)

    def receipt(user, event_id=said, room_id=room.room_id, **data):
        return {room_id: {"m.read": {user: {"event_ids": [event_id], "data": {"ts": 1234, **data}}}}}

    typing = {"room_id": room.room_id, "user_id": theirs, "typing": True}
    wrong = [
        {"edu_type": "m.typing", "content": {**typing, "user_id": "@somebody:elsewhere"}},
        {"edu_type": "m.typing", "content": {**typing, "user_id": peer.user()}},
        {"edu_type": "m.typing", "content": {**typing, "user_id": alice.user_id}},
        {"edu_type": "m.typing", "content": {**typing, "room_id": "!nowhere:x"}},
        {"edu_type": "m.typing", "content": {}}, {"edu_type": "m.typing"}, {}, 5, None, {"edu_type": 7, "content": {}},
        {"edu_type": "org.example.unknown", "content": {}},
        {"edu_type": "m.receipt", "content": {}},
        {"edu_type": "m.receipt", "content": {room.room_id: 7}},
        {"edu_type": "m.receipt", "content": receipt("@somebody:elsewhere")},
        {"edu_type": "m.receipt", "content": receipt(alice.user_id)},
        {"edu_type": "m.receipt", "content": receipt(peer.user())},
        {"edu_type": "m.receipt", "content": receipt(theirs, event_id="$nothing")},
        {"edu_type": "m.receipt", "content": receipt(theirs, room_id="!nowhere:x")},
    ]
    peer.send(each_fed, edus=[*wrong, {"edu_type": "m.typing", "content": typing}])
    assert ephemeral("m.typing")["user_ids"] == [theirs]
    peer.edu(each_fed, "m.typing", {**typing, "typing": False})
    assert ephemeral("m.typing")["user_ids"] == []
    peer.edu(each_fed, "m.receipt", receipt(theirs))
    assert ephemeral("m.receipt") == {said: {"m.read": {theirs: {"ts": 1234}}}}
    peer.edu(each_fed, "m.receipt", receipt(theirs, thread_id=said))
    assert ephemeral("m.receipt") == {said: {"m.read": {theirs: {"ts": 1234, "thread_id": said}}}}


class Sender(threading.Thread):
    """Sends transactions until the server is gone, again with the same id while there is no answer."""

    def __init__(self, peer, fed, room, first):
        super().__init__()
        self.peer, self.fed, self.room, self.n = peer, fed, room, first
        self.acked, self.open = [], None
        self.some = threading.Event()

    def run(self):
        try:
            while True:
                if self.open is None:
                    self.open = [self.room.message(f"{self.n}.{i}") for i in range(self.n % 7 + 1)]
                self.peer.send(self.fed, self.open, txn=f"n{self.n}")
                self.acked += [e["content"]["body"] for e in self.open]
                self.n, self.open = self.n + 1, None
                if len(self.acked) > 30:
                    self.some.set()
        except (requests.RequestException, Refused):
            self.some.set()


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_what_was_answered_survives_kill_9(store, peer):
    """Killed at any moment: what was answered is in the room, once, in its order."""
    fed = FedServer(store=store)
    try:
        alice, room = enter(fed, peer)
        sent, n, left = [], 0, None
        for _ in range(6):
            sender = Sender(peer, fed, room, n)
            sender.open = left
            sender.start()
            assert sender.some.wait(60)
            fed.kill()
            sender.join()
            sent += sender.acked
            n, left = sender.n, sender.open
            fed.start()
        last = room.message("the last")
        peer.send(fed, (left or []) + [last])
        sent += [e["content"]["body"] for e in left or []] + ["the last"]
        alice.sync_until(lambda _: bodies(alice, room.room_id)[-1:] == ["the last"], timeout=500)
        assert bodies(alice, room.room_id) == sent
    finally:
        fed.close()


@pytest.mark.parametrize("version", ["10", "11"])
def test_redactions_are_shown_once_they_redact(each_fed, peer, version):
    """"They should not be sent to clients until both the redaction event and the event the redaction affects have been received, and can be
    validated." """
    alice, room = enter(each_fed, peer, version)
    other_room = peer.join(each_fed, alice.create_room(room_version=version, preset="public_chat"))
    elsewhere, alices = other_room.message("elsewhere"), alice.send(room.room_id, "hers")
    peer.send(each_fed, [elsewhere])
    sync_bodies(alice, other_room.room_id, "elsewhere")

    def redaction(target):
        return room.send("m.room.redaction", {"redacts": target}) if version == "11" else room.send("m.room.redaction", {}, redacts=target)

    early = room.build("m.room.message", {"msgtype": "m.text", "body": "early"}, prev=[room.events[room.tips[-1]]])
    redactions = {i: redaction(i) for i in (other_room.id(elsewhere), alices, room.id(early))}
    told = []
    alice.sync()
    peer.send(each_fed, [*redactions.values(), room.message("sentinel")])

    def until(body):
        def want(answer):
            told.extend(answer.get("rooms", {}).get("join", {}).get(room.room_id, {"timeline": {"events": []}})["timeline"]["events"])
            return any(e["content"].get("body") == body for e in told)
        alice.sync_until(want)
        return {e["event_id"] for e in [*told, *messages(alice, room.room_id, "f")[0]] if e["type"] == "m.room.redaction"}

    assert until("sentinel") == set()
    peer.send(each_fed, [early, room.message("second")])
    assert until("second") == {room.id(redactions[room.id(early)])}
    assert alice.get(f"/rooms/{q(other_room.room_id)}/event/{q(other_room.id(elsewhere))}")["content"]["body"] == "elsewhere"
    assert alice.get(f"/rooms/{q(room.room_id)}/event/{q(alices)}")["content"]["body"] == "hers"
    assert alice.get(f"/rooms/{q(room.room_id)}/event/{q(room.id(early))}")["content"] == {}


def test_servers_that_never_tell_their_keys_hold_few(fed, peer):
    """Two transactions of a server may wait for others' keys; its third comes again, and what needs no key is taken meanwhile."""
    alice, room = enter(fed, peer)
    told = threading.Event()
    silent = [Peer() for _ in range(3)]
    for s in silent:
        s.on("GET", "/_matrix/key/v2/server", lambda request: told.wait() and None)
    lines = [room.build("m.room.message", {"body": s.name}, sender=s.user(), by=s.key) for s in silent]
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = [pool.submit(peer.send, fed, [line]) for line in lines[:2]]
            for s in silent[:2]:
                s.wait_request("GET", "/_matrix/key/v2/server")
            with pytest.raises(Refused) as e:
                peer.send(fed, [lines[2]])
            assert e.value.status == 503
            assert not silent[2].requests
            peer.send(fed, [room.message("heard")])
            sync_bodies(alice, room.room_id, "heard")
            told.set()
            assert [list(w.result().values()) for w in waiting] == [[{}], [{}]]
        assert list(peer.send(fed, [lines[2]]).values()) == [{}]
    finally:
        told.set()
        for s in silent:
            s.close()
