"""What goes to other servers: everything, in order, through outages, refusals and crashes."""
import json
import subprocess
import threading
import time

import pytest

from client import q, register
from fed.hearth import FedServer
from fed.peer import Peer
from server import BINARY


@pytest.fixture
def alice(fed):
    return register(fed)


@pytest.fixture
def own():
    """A server of the test's own, which it may kill."""
    servers = []

    def make(**kw):
        servers.append(FedServer(**kw))
        return servers[-1]
    yield make
    for s in servers:
        s.close()


def shared(client, server, *peers, **kw):
    """A public room that users of the peers have joined, and these users."""
    room = client.create_room(preset="public_chat", **kw)
    users = []
    for p in peers:
        users.append(p.user())
        p.join(server.name, room, user=users[-1])
    return (room, *users)


def takes(request):
    return 200, {"pdus": {}}


def hangs_up(request):
    return None, None


def bodies(peer, room):
    """What was said in the room, in the order in which it came; repetitions once."""
    seen = {}
    for e in list(peer.pdus):
        if e["room_id"] == room and e["type"] == "m.room.message":
            seen.setdefault(e["content"]["body"], e)
    return list(seen)


def wait_said(peer, room, *texts):
    peer.wait_pdu(lambda e: e["room_id"] == room and e["content"].get("body") == texts[-1])
    assert bodies(peer, room) == list(texts)


def test_events_come_in_order_and_signed(each_fed, peer):
    alice = register(each_fed)
    room, _ = shared(alice, each_fed, peer)
    texts = [f"line {n}" for n in range(70)]
    for t in texts:
        alice.send(room, t)
    wait_said(peer, room, *texts)
    sends = [r for r in peer.requests if "/send/" in r.path]
    assert len({r.parts[-1] for r in sends}) == len(sends), "an id twice, without need"
    for r in sends:
        assert len(r.body["pdus"]) <= 50 and r.body["origin"] == each_fed.name and isinstance(r.body["origin_server_ts"], int)
    for e in peer.pdus:
        assert "unsigned" not in e and each_fed.name in e["signatures"]


def test_after_an_error_the_same_again(fed, alice, peer):
    room, _ = shared(alice, fed, peer)
    tries = []

    def fails(request):
        tries.append(request)
        return (500, {"errcode": "M_UNKNOWN", "error": "not now"}) if len(tries) == 1 else (200, {"pdus": {}})
    peer.answers_txn = fails
    alice.send(room, "one")
    peer.wait_pdu(lambda e: e["content"].get("body") == "one")
    assert tries[0].parts == tries[1].parts and tries[0].body == tries[1].body
    alice.send(room, "two")
    wait_said(peer, room, "one", "two")


def test_catch_up_after_an_outage(each_fed, peer):
    alice = register(each_fed)
    room, _ = shared(alice, each_fed, peer)
    alice.send(room, "before")
    wait_said(peer, room, "before")
    peer.answers_txn = hangs_up
    for n in range(30):
        alice.send(room, f"meanwhile {n}")
    each_fed.restart()
    alice.send(room, "after the restart")
    assert bodies(peer, room) == ["before"]
    peer.answers_txn = takes
    wait_said(peer, room, "before", *(f"meanwhile {n}" for n in range(30)), "after the restart")
    alice.send(room, "live")
    wait_said(peer, room, "before", *(f"meanwhile {n}" for n in range(30)), "after the restart", "live")


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_killed_in_mid_transaction(own, peer, store):
    server = own(store=store)
    alice = register(server)
    room, _ = shared(alice, server, peer)
    held, go = threading.Event(), threading.Event()

    def hangs(request):
        held.set()
        go.wait(60)
        return None, None
    peer.answers_txn = hangs
    alice.send(room, "under way")
    assert held.wait(30)
    alice.send(room, "behind it")
    server.kill()
    peer.answers_txn = takes
    go.set()
    server.start()
    wait_said(peer, room, "under way", "behind it")
    alice.send(room, "later")
    wait_said(peer, room, "under way", "behind it", "later")


def test_one_bad_event_holds_up_nothing(fed, alice, peer):
    room, _ = shared(alice, fed, peer)
    peer.answers_txn = lambda request: (
        (400, {"errcode": "M_BAD_JSON", "error": "what is this"}) if any(e["content"].get("body") == "bad" for e in request.body["pdus"])
        else (200, {"pdus": {}}))
    texts = [f"{n}" for n in range(8)]
    for t in [*texts[:4], "bad", *texts[4:]]:
        alice.send(room, t)
    wait_said(peer, room, *texts)
    alice.send(room, "and on")
    wait_said(peer, room, *texts, "and on")


def test_errors_of_single_events_are_their_own(fed, alice, peer):
    room, _ = shared(alice, fed, peer)
    peer.answers_txn = lambda request: (200, {"pdus": {"$x": {"error": "no"}, "$y": {}}})
    alice.send(room, "one")
    wait_said(peer, room, "one")
    alice.send(room, "two")
    wait_said(peer, room, "one", "two")


def test_who_is_kicked_hears_of_it_and_of_nothing_more(fed, alice, peer):
    other = Peer()
    try:
        room, zoe, _ = shared(alice, fed, peer, other)
        alice.send(room, "all here")
        alice.post(f"/rooms/{q(room)}/kick", {"user_id": zoe, "reason": "enough"})
        alice.send(room, "without her")
        wait_said(other, room, "all here", "without her")
        peer.wait_pdu(lambda e: e["type"] == "m.room.member" and e["state_key"] == zoe and e["content"]["membership"] == "leave")
        # It is in another one still: what comes there says that nothing else was under way.
        second, _ = shared(alice, fed, peer)
        alice.send(second, "elsewhere")
        wait_said(peer, second, "elsewhere")
        assert bodies(peer, room) == ["all here"]
    finally:
        other.close()
    assert not other.faults


def test_who_comes_through_us_is_announced_to_the_others(fed, alice, peer):
    other = Peer()
    try:
        room, zoe = shared(alice, fed, peer)
        yan = other.user()
        other.join(fed.name, room, user=yan)
        came = peer.wait_pdu(lambda e: e["type"] == "m.room.member" and e["state_key"] == yan)
        assert came["sender"] == yan and other.name in came["signatures"]
        alice.send(room, "welcome")
        wait_said(other, room, "welcome")
        assert not [e for e in other.pdus if e["type"] == "m.room.member"], "sent back to where it came from"
    finally:
        other.close()
    assert not other.faults


def test_the_dead_hold_up_nobody(fed, alice, peer):
    dead = Peer()
    room, _, _ = shared(alice, fed, peer, dead)
    dead.answers_txn = hangs_up
    for n in range(10):
        alice.send(room, f"{n}")
    wait_said(peer, room, *(f"{n}" for n in range(10)))
    assert bodies(dead, room) == []
    dead.answers_txn = takes
    wait_said(dead, room, *(f"{n}" for n in range(10)))
    dead.close()


def test_a_local_room_goes_nowhere(fed, alice, peer):
    bob = register(fed)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.send(room, "among us")
    second, _ = shared(alice, fed, peer)
    alice.send(second, "for all")
    wait_said(peer, second, "for all")
    assert not [e for e in peer.pdus if e["room_id"] == room]


#
# EDUs
#
def test_typing(fed, alice, peer):
    room, _ = shared(alice, fed, peer)
    alice.put(f"/rooms/{q(room)}/typing/{q(alice.user_id)}", {"typing": True, "timeout": 60000})
    assert peer.wait_edu("m.typing", lambda c: c["typing"]) == {"room_id": room, "user_id": alice.user_id, "typing": True}
    alice.put(f"/rooms/{q(room)}/typing/{q(alice.user_id)}", {"typing": False})
    assert peer.wait_edu("m.typing", lambda c: not c["typing"]) == {"room_id": room, "user_id": alice.user_id, "typing": False}
    said = len(peer.edus)
    alice.put(f"/rooms/{q(room)}/typing/{q(alice.user_id)}", {"typing": True, "timeout": 100})
    peer.wait(lambda: [e["content"]["typing"] for e in peer.edus[said:] if e["edu_type"] == "m.typing"] == [True, False], "its end by itself")


def test_what_others_tell_is_theirs_to_spread(fed, alice, peer):
    other = Peer()
    try:
        room, zoe, _ = shared(alice, fed, peer, other)
        said = alice.send(room, "read this")
        wait_said(peer, room, "read this")
        peer.edu(fed, "m.typing", {"room_id": room, "user_id": zoe, "typing": True})
        peer.edu(fed, "m.receipt", {room: {"m.read": {zoe: {"event_ids": [said], "data": {"ts": 1}}}}})
        alice.put(f"/rooms/{q(room)}/typing/{q(alice.user_id)}", {"typing": True})
        bob = register(fed)
        bob.join(room)
        bob.post(f"/rooms/{q(room)}/receipt/m.read/{q(said)}", {})
        other.wait_edu("m.receipt", lambda c: bob.user_id in str(c))
        other.wait_edu("m.typing")
        assert zoe not in str(other.edus)
    finally:
        other.close()
    assert not other.faults


def test_receipts_public_ones_with_their_threads(fed, alice, peer):
    room, zoe = shared(alice, fed, peer)
    bob = register(fed)
    bob.join(room)
    said = bob.send(room, "read this")
    own = alice.send(room, "my own")
    alice.post(f"/rooms/{q(room)}/receipt/m.read.private/{q(said)}", {})
    alice.post(f"/rooms/{q(room)}/receipt/m.read/{q(said)}", {"thread_id": "main"})
    alice.post(f"/rooms/{q(room)}/receipt/m.read/{q(own)}", {})     # sending it said as much
    bob.post(f"/rooms/{q(room)}/receipt/m.read/{q(own)}", {})
    mine = peer.wait_edu("m.receipt", lambda c: alice.user_id in c.get(room, {}).get("m.read", {}))[room]
    assert set(mine) == {"m.read"}
    receipt = mine["m.read"][alice.user_id]
    assert receipt["event_ids"] == [said] and receipt["data"]["thread_id"] == "main" and isinstance(receipt["data"]["ts"], int)
    his = peer.wait_edu("m.receipt", lambda c: bob.user_id in c.get(room, {}).get("m.read", {}))[room]["m.read"][bob.user_id]
    assert his["event_ids"] == [own] and "thread_id" not in his["data"]
    assert not [e for e in peer.edus if "m.read.private" in str(e)]
    assert not [e for e in peer.edus if own in str(e["content"].get(room, {}).get("m.read", {}).get(alice.user_id))]


def test_presence_of_who_shares_a_room(fed, alice, peer):
    stranger = register(fed)
    shared(alice, fed, peer)
    stranger.put(f"/presence/{q(stranger.user_id)}/status", {"presence": "unavailable", "status_msg": "alone"})
    alice.put(f"/presence/{q(alice.user_id)}/status", {"presence": "unavailable", "status_msg": "at lunch"})
    content = peer.wait_edu("m.presence", lambda c: c["push"][0].get("status_msg") == "at lunch")
    update, = content["push"]
    assert update["user_id"] == alice.user_id and update["presence"] == "unavailable" and update["last_active_ago"] >= 0
    assert not [e for e in peer.edus if stranger.user_id in str(e)]


def test_presence_of_who_meets(each_fed, peer):
    """Nobody changes: who is there is told to a server that comes into a room, and to those in a room that somebody comes into."""
    alice, bob, carol = register(each_fed), register(each_fed), register(each_fed)
    for user in (alice, bob, carol):
        user.put(f"/presence/{q(user.user_id)}/status", {"presence": "unavailable", "status_msg": f"of {user.user_id}"})
    room_id = alice.create_room(preset="public_chat")
    carol.join(room_id)
    peer.join(each_fed, room_id)

    def said_of(user):
        return peer.wait_edu("m.presence", lambda c: any(p["user_id"] == user.user_id for p in c["push"]))["push"][0]

    assert [said_of(u)["status_msg"] for u in (alice, carol)] == [f"of {u.user_id}" for u in (alice, carol)]
    assert not [e for e in peer.edus if bob.user_id in str(e)]
    bob.join(room_id)
    assert (said_of(bob)["presence"], said_of(bob)["status_msg"]) == ("unavailable", f"of {bob.user_id}")
    # A room of theirs.
    dora = register(each_fed)
    dora.put(f"/presence/{q(dora.user_id)}/status", {"presence": "online"})
    dora.post(f"/join/{q(peer.create_room('10').room_id)}?server_name={q(peer.name)}", {})
    assert said_of(dora)["presence"] == "online"


#
# hearth fed
#
def hearth_fed(server, *args, status=0):
    done = subprocess.run([BINARY, "--config", "homeserver.yaml", "fed", *args], cwd=server.dir, text=True, capture_output=True, timeout=60)
    assert done.returncode == status, done
    return done.stdout if status == 0 else done.stderr


def wait_fed(server, pick, *args):
    """`fed status` until it says so."""
    for _ in range(300):
        said = json.loads(hearth_fed(server, "status", *args, "--json"))["servers"]
        found = [s for s in said if pick(s)]
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError(said)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_the_operator_is_told_and_heard(own, peer, store):
    server = own(store=store, federation={"destination_min_retry_interval": "1h", "destination_max_retry_interval": "1h"})
    alice = register(server)
    assert hearth_fed(server, "status") == "nothing waits, and no server fails\n"
    room, _ = shared(alice, server, peer)
    peer.answers_txn = hangs_up
    for n in range(3):
        alice.send(room, f"{n}")
    said = wait_fed(server, lambda s: s["failing_since"] and s["events_waiting"] == 3 and not s["in_flight"], peer.name)
    assert said["retry_at"] > said["failing_since"] and said["last_error"] and said["bad"] == []
    assert f"{peer.name}: failing for" in hearth_fed(server, "status")
    why = hearth_fed(server, "why", peer.name)
    assert "has been failing for" in why and "Last error: " in why and "3 events and 0 other messages wait" in why
    # The same from the database, where no server runs; only that nobody can try.
    server.stop()
    assert "3 events and 0 other messages wait" in hearth_fed(server, "why", peer.name)
    assert "no server runs here" in hearth_fed(server, "retry", peer.name, status=1)
    server.start()
    wait_fed(server, lambda s: s["failing_since"], peer.name)
    peer.answers_txn = takes
    hearth_fed(server, "retry", peer.name)
    wait_said(peer, room, "0", "1", "2")
    wait_fed(server, lambda s: not s["failing_since"] and not s["events_waiting"], peer.name)
    assert "Nothing is known to be wrong" in hearth_fed(server, "why", peer.name)
    # What it would not take.
    peer.answers_txn = lambda request: (400, {"errcode": "M_BAD_JSON", "error": "not that"}) if any(
        e["content"].get("body") == "bad" for e in request.body["pdus"]) else (200, {"pdus": {}})
    bad = alice.send(room, "bad")
    alice.send(room, "on")
    wait_said(peer, room, "0", "1", "2", "on")
    wait_fed(server, lambda s: s["bad_events"] == 1, peer.name)
    why = hearth_fed(server, "why", peer.name)
    assert bad in why and "400: " in why
    # As if it had never failed.
    peer.answers_txn = hangs_up
    alice.send(room, "last")
    wait_fed(server, lambda s: s["failing_since"] and not s["in_flight"], peer.name)
    peer.answers_txn = takes
    hearth_fed(server, "reset", peer.name)
    wait_said(peer, room, "0", "1", "2", "on", "last")


def test_wishes_that_mean_nothing(fed, peer):
    assert "never met" in hearth_fed(fed, "why", "never.example", status=1)
    assert "no server's name" in hearth_fed(fed, "retry", "no/name", status=1)
    assert "the server itself" in hearth_fed(fed, "reset", fed.name, status=1)
    assert "fed status" in hearth_fed(fed, "stop", peer.name, status=2)
