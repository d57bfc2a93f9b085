"""Devices, keys and messages to devices between servers: asked for once, kept up, and told."""
import concurrent.futures
import json
import pathlib
import threading

import pytest

from client import q, register
from crypto import Device
from fed.peer import Refused

QUERY = "/keys/query"


def keys_of(user, device_id, key="one"):
    return {"algorithms": ["m.olm.v1.curve25519-aes-sha2"], "device_id": device_id, "user_id": user,
            "keys": {f"curve25519:{device_id}": key, f"ed25519:{device_id}": key}, "signatures": {user: {f"ed25519:{device_id}": "c2ln"}}}


def device_list(user, stream_id, *devices, **more):
    return {"user_id": user, "stream_id": stream_id, "devices": [{"device_id": d, "keys": keys_of(user, d)} for d in devices], **more}


def update(user, device_id, stream_id, prev, key="one", **more):
    return {"user_id": user, "device_id": device_id, "stream_id": stream_id, "prev_id": prev, "keys": keys_of(user, device_id, key), **more}


class Shared:
    """Alice of Hearth and bob of the peer in one room."""

    def __init__(self, hs, peer):
        self.hs, self.peer = hs, peer
        self.alice = register(hs)
        self.room = self.alice.create_room(preset="public_chat")
        self.bob = peer.user()
        self.there = peer.join(hs, self.room, self.bob)
        peer.devices[self.bob] = device_list(self.bob, 5, "PHONE")
        self.alice.sync()

    def bobs_devices(self):
        return self.alice.post(QUERY, {"device_keys": {self.bob: []}})["device_keys"].get(self.bob)

    def asked(self):
        return [r for r in self.peer.requests if "/user/devices/" in r.path]

    def await_changed(self):
        self.alice.sync_until(lambda got: self.bob in got.get("device_lists", {}).get("changed", []))


@pytest.fixture
def shared(each_fed, peer):
    return Shared(each_fed, peer)


def test_a_list_is_asked_for_once_and_kept_up(shared):
    assert list(shared.bobs_devices()) == ["PHONE"]
    assert list(shared.bobs_devices()) == ["PHONE"]
    assert len(shared.asked()) == 1
    shared.peer.edu(shared.hs, "m.device_list_update", update(shared.bob, "TABLET", 6, [5], "two", device_display_name="tablet"))
    shared.await_changed()
    devices = shared.bobs_devices()
    assert devices["TABLET"]["keys"]["curve25519:TABLET"] == "two"
    assert devices["TABLET"]["unsigned"]["device_display_name"] == "tablet"
    assert len(shared.asked()) == 1
    shared.peer.edu(shared.hs, "m.device_list_update", {"user_id": shared.bob, "device_id": "PHONE", "stream_id": 7, "prev_id": [6], "deleted": True})
    shared.await_changed()
    assert list(shared.bobs_devices()) == ["TABLET"]


def test_a_list_that_comes_at_last_is_news(shared):
    """Who asked while the server was down asks again."""
    carol = register(shared.hs)
    carol.join(shared.room)
    drop = shared.peer.on("GET", "/user/devices/", lambda r: (400, {"errcode": "M_UNKNOWN", "error": "no"}))
    assert not shared.bobs_devices()
    shared.alice.sync()
    drop()
    carol.post(QUERY, {"device_keys": {shared.bob: []}})
    shared.await_changed()
    assert list(shared.bobs_devices()) == ["PHONE"]


def test_who_changes_is_fetched_before_anybody_asks(shared):
    shared.peer.edu(shared.hs, "m.device_list_update", update(shared.bob, "PHONE", 5, [4]))
    shared.peer.wait(shared.asked, "/user/devices")
    shared.await_changed()
    assert list(shared.bobs_devices()) == ["PHONE"]
    # Whose server does not answer is asked for no more.
    carol = shared.peer.user()
    shared.peer.join(shared.hs, shared.room, carol)
    shared.peer.edu(shared.hs, "m.device_list_update", update(carol, "A", 5, [4]))
    shared.peer.wait(lambda: [r for r in shared.asked() if r.parts[2] == carol], "/user/devices of who has none")
    shared.peer.devices[carol] = device_list(carol, 5, "A")
    assert list(shared.alice.post(QUERY, {"device_keys": {carol: []}})["device_keys"][carol]) == ["A"]


def test_a_gap_has_the_list_fetched_again(shared):
    shared.bobs_devices()
    shared.peer.devices[shared.bob] = device_list(shared.bob, 9, "NEW")
    shared.peer.edu(shared.hs, "m.device_list_update", update(shared.bob, "NEW", 9, [8]))
    shared.peer.wait(lambda: len(shared.asked()) == 2, "a second /user/devices")
    shared.await_changed()
    assert list(shared.bobs_devices()) == ["NEW"]


def test_who_is_down_is_named_and_what_is_known_stays(shared):
    shared.bobs_devices()
    shared.peer.stop()
    assert list(shared.bobs_devices()) == ["PHONE"]
    stranger = f"@nobody:{shared.peer.name}"
    got = shared.alice.post(QUERY, {"device_keys": {stranger: []}, "timeout": 5000})
    assert list(got["failures"]) == [shared.peer.name]
    got = shared.alice.post("/keys/claim", {"one_time_keys": {stranger: {"D": "signed_curve25519"}}, "timeout": 5000})
    assert list(got["failures"]) == [shared.peer.name] and got["one_time_keys"] == {}


def test_strangers_are_asked_for_each_time(shared):
    user = f"@stranger:{shared.peer.name}"
    others = f"@other:{shared.peer.name}"

    def answer(request):
        assert request.body == {"device_keys": {user: ["A"]}}
        return 200, {"device_keys": {user: {"A": keys_of(user, "A"), "B": keys_of(user, "B")}, others: {"A": keys_of(others, "A")}},
                     "master_keys": {user: {"user_id": others, "keys": {"ed25519:x": "x"}, "usage": ["master"]}}}
    shared.peer.on("POST", "/user/keys/query", answer)
    got = shared.alice.post(QUERY, {"device_keys": {user: ["A"]}})
    assert list(got["device_keys"]) == [user] and list(got["device_keys"][user]) == ["A"]
    assert user not in got["master_keys"]  # it says that it is another's


def test_one_time_keys_are_claimed(shared):
    key = {"key": "zKbLg+NrIjpnagy+pIY6uPL4ZwEG2v+8F9lmgsnlZzs", "signatures": {shared.bob: {"ed25519:PHONE": "c2ln"}}}

    def answer(request):
        assert request.body == {"one_time_keys": {shared.bob: {"PHONE": "signed_curve25519"}}}
        return 200, {"one_time_keys": {shared.bob: {"PHONE": {"signed_curve25519:AAAA": key}}}}
    shared.peer.on("POST", "/user/keys/claim", answer)
    got = shared.alice.post("/keys/claim", {"one_time_keys": {shared.bob: {"PHONE": "signed_curve25519"}}})
    assert got["one_time_keys"] == {shared.bob: {"PHONE": {"signed_curve25519:AAAA": key}}} and got["failures"] == {}


def test_a_claim_of_many_devices_costs_little_memory(shared):
    user, devices = f"@stranger:{shared.peer.name}", {f"D{i}": "signed_curve25519" for i in range(4000)}
    given = {"D7": {"signed_curve25519:A": {"key": "k", "signatures": {}}}}

    def answer(request):
        assert request.body == {"one_time_keys": {user: devices, shared.bob: {"PHONE": "x"}}}
        return 200, {"one_time_keys": {user: given}}

    def memory(what):
        return next(int(line.split()[1]) for line in (proc / "status").read_text().splitlines() if line.startswith(what))
    shared.peer.on("POST", "/user/keys/claim", answer)
    proc = pathlib.Path(f"/proc/{shared.hs.process.pid}")
    (proc / "clear_refs").write_text("5")  # the high-water mark begins anew
    before = memory("VmRSS")
    got = shared.alice.post("/keys/claim", {"one_time_keys": {user: devices, shared.bob: {"PHONE": "x"}}})
    assert got["one_time_keys"] == {user: given}
    assert memory("VmHWM") - before < 100 * 1024


def test_a_device_that_is_given_twice_is_shown_once(shared):
    # Who reads the first and who reads the last of two would believe in different keys.
    user = f"@stranger:{shared.peer.name}"
    first, last = (json.dumps(keys_of(user, "A", key)) for key in ("first", "last"))
    shared.peer.on("POST", "/user/keys/query", lambda r: (200, f'{{"device_keys":{{"{user}":{{"A":{first},"A":{last}}}}}}}'.encode()))
    for asked in ([], ["A"], ["A", "A"]):
        answer = shared.alice.raw("POST", QUERY, {"device_keys": {user: asked}})
        devices = []
        json.loads(answer.text, object_pairs_hook=lambda pairs: devices.extend(k for k, _ in pairs if k == "A") or dict(pairs))
        assert devices == ["A"]
        assert answer.json()["device_keys"][user]["A"]["keys"]["ed25519:A"] == "last"


def test_messages_to_devices_go_both_ways_once(shared):
    alice, bob, peer = shared.alice, shared.bob, shared.peer
    body = {"messages": {bob: {"PHONE": {"n": 1}, "*": {"n": 2}}}}
    for _ in range(2):
        alice.put("/sendToDevice/m.test/t1", body)
    sent = peer.wait_edu("m.direct_to_device")
    assert (sent["sender"], sent["type"], sent["messages"]) == (alice.user_id, "m.test", body["messages"])
    assert sum(e["edu_type"] == "m.direct_to_device" for e in peer.edus) == 1
    message = {"sender": bob, "type": "m.test", "message_id": "m1", "messages": {alice.user_id: {alice.device_id: {"n": 3}}}}
    peer.edu(shared.hs, "m.direct_to_device", message)
    peer.edu(shared.hs, "m.direct_to_device", message)
    peer.edu(shared.hs, "m.direct_to_device", {**message, "message_id": "m2", "sender": f"@bob:elsewhere.test"})
    peer.edu(shared.hs, "m.direct_to_device", {**message, "message_id": "m3", "type": "m.last"})
    got = alice.sync_until(lambda got: got.get("to_device", {}).get("events"))
    assert [(e["sender"], e["type"]) for e in got] == [(bob, "m.test"), (bob, "m.last")]


def test_ours_are_told_and_asked_for(shared):
    alice, peer = shared.alice, shared.peer
    device = Device(alice)
    alice.post("/keys/upload", {"device_keys": device.keys()})
    told = peer.wait_edu("m.device_list_update", lambda c: c["user_id"] == alice.user_id and c.get("keys"))
    assert told["device_id"] == alice.device_id and told["keys"]["keys"] == device.keys()["keys"]
    assert "device_display_name" not in told
    listed = peer.get(shared.hs, f"/v1/user/devices/{q(alice.user_id)}")
    assert listed["stream_id"] == told["stream_id"] and [d["device_id"] for d in listed["devices"]] == [alice.device_id]
    again = register(shared.hs)
    alice.post(f"/delete_devices", {"devices": [alice.device_id], "auth": {"type": "m.login.password", "password": "sesame-open-1", "identifier": {
        "type": "m.id.user", "user": alice.user_id}}})
    gone = peer.wait_edu("m.device_list_update", lambda c: c["user_id"] == alice.user_id and c.get("deleted"))
    assert gone["prev_id"] == [told["stream_id"]] and gone["stream_id"] > told["stream_id"]
    with pytest.raises(Refused) as refused:
        peer.get(shared.hs, f"/v1/user/devices/{q('@nobody:' + shared.hs.name)}")
    assert refused.value.status == 404
    assert again


def test_one_fetch_serves_all_who_ask(shared):
    others = [register(shared.hs) for _ in range(4)]
    for other in others:
        other.join(shared.room)
    asking = threading.Barrier(len(others) + 1)
    held = threading.Event()

    def answer(_):
        assert held.wait(30)
        return 200, shared.peer.devices[shared.bob]
    shared.peer.on("GET", "/user/devices/", answer)
    with concurrent.futures.ThreadPoolExecutor(len(others)) as pool:
        def ask(user):
            asking.wait()
            return list(user.post(QUERY, {"device_keys": {shared.bob: []}, "timeout": 30000})["device_keys"][shared.bob])
        got = [pool.submit(ask, user) for user in others]
        asking.wait()
        shared.peer.wait(shared.asked, "/user/devices")
        # One who is impatient is told what there is, which is nothing.
        assert not shared.alice.post(QUERY, {"device_keys": {shared.bob: []}, "timeout": 1}).get("device_keys")
        held.set()
        assert [g.result() for g in got] == [["PHONE"]] * len(others)
    assert len(shared.asked()) == 1
