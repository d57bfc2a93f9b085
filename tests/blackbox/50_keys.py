"""Keys of devices: uploaded, shown to others, one-time keys each to one claimer."""
import threading

import pytest
import requests

from client import Client, login, register
from crypto import Device
from server import Server

CURVE = "signed_curve25519"


def query(client, *users, **some):
    return client.post("/keys/query", {"device_keys": {**{u.user_id: [] for u in users}, **some}})


def claim(client, device, algorithm=CURVE):
    got = client.post("/keys/claim", {"one_time_keys": {device.user_id: {device.device_id: algorithm}}})
    assert got["failures"] == {}
    return got["one_time_keys"].get(device.user_id, {}).get(device.device_id, {})


def test_device_keys_are_shown_as_they_were_uploaded(each_hs):
    alice, bob = register(each_hs, initial_device_display_name="Alice's phone"), register(each_hs)
    device = Device(alice)
    assert device.upload(device_keys=device.keys()) == {}
    want = {**device.keys(), "unsigned": {"device_display_name": "Alice's phone"}}
    got = query(bob, alice)
    assert got["device_keys"] == {alice.user_id: {alice.device_id: want}}
    assert got["failures"] == got["master_keys"] == got["self_signing_keys"] == got["user_signing_keys"] == {}
    second = Device(login(each_hs, alice.user_id))
    second.upload(device_keys=second.keys(note="ünïcode \"quoted\""))
    assert set(query(bob, alice)["device_keys"][alice.user_id]) == {device.device_id, second.device_id}
    some = query(bob, **{alice.user_id: [second.device_id, "NOSUCH"]})["device_keys"][alice.user_id]
    assert some == {second.device_id: {**second.keys(note="ünïcode \"quoted\""), "unsigned": {}}}


def test_who_has_no_keys_is_there_without_any(each_hs):
    alice = register(each_hs)
    nobody = f"@nobody-at-all:{each_hs.name}"
    got = query(alice, alice, **{nobody: [], "not a user": []})
    assert got["device_keys"] == {alice.user_id: {}, nobody: {}}


def test_users_of_other_servers_cannot_be_asked_yet(alice):
    got = query(alice, **{"@x:elsewhere.example": [], "@y:elsewhere.example": ["D"]})
    assert list(got["failures"]) == ["elsewhere.example"] and got["device_keys"] == {}
    got = alice.post("/keys/claim", {"one_time_keys": {"@x:elsewhere.example": {"D": CURVE}}})
    assert list(got["failures"]) == ["elsewhere.example"] and got["one_time_keys"] == {}


def without(value, name):
    return {k: v for k, v in value.items() if k != name}


def test_malformed_device_keys_are_refused(alice, bob):
    device = Device(alice)
    good = device.bare(signatures={})
    for bad in (None, [], "x", 5, {},
                *(without(good, name) for name in good),
                {**good, "user_id": bob.user_id}, {**good, "device_id": "OTHER"}, {**good, "user_id": 5},
                {**good, "algorithms": "m.olm"}, {**good, "algorithms": [5]},
                {**good, "keys": []}, {**good, "keys": {f"ed25519:{device.device_id}": 5}},
                {**good, "keys": {"ed25519": "x"}}, {**good, "keys": {f":{device.device_id}": "x"}},
                {**good, "signatures": []}, {**good, "signatures": {alice.user_id: 5}}, {**good, "signatures": {alice.user_id: {"a:b": 5}}}):
        alice.fails(400, "M_BAD_JSON", "POST", "/keys/upload", {"device_keys": bad})
    alice.fails(413, "M_TOO_LARGE", "POST", "/keys/upload", {"device_keys": {**good, "x": "x" * 20000}})
    assert query(bob, alice)["device_keys"] == {alice.user_id: {}}
    alice.post("/keys/upload", {"device_keys": good})


def test_malformed_one_time_and_fallback_keys_are_refused(alice):
    device = Device(alice)
    good = device.signer.sign({"key": "abc"})
    for name in ("one_time_keys", "fallback_keys"):
        for bad in ([], "x", 5, {"nocolon": "x"}, {"a:b:c": "x"}, {":b": "x"}, {"a:": "x"}, {"a" * 255 + ":b": "x"}, {"a:b": 5}, {"a:b": None},
                    {"a:b": []}, {"a:b": {}}, {"a:b": without(good, "key")}, {"a:b": without(good, "signatures")}, {"a:b": {**good, "key": 5}},
                    {"a:b": {**good, "fallback": 1}}, {"a:b": {**good, "signatures": {"@x:y": "z"}}}):
            alice.fails(400, "M_BAD_JSON", "POST", "/keys/upload", {name: bad})
        alice.fails(413, "M_TOO_LARGE", "POST", "/keys/upload", {name: {"a:b": "x" * 9000}})
    alice.fails(400, "M_BAD_JSON", "POST", "/keys/upload", {"fallback_keys": {"a:b": good, "a:c": good}})
    assert alice.post("/keys/upload", {"one_time_keys": None, "fallback_keys": None})["one_time_key_counts"] == {}


def test_a_failed_upload_leaves_nothing(alice, bob):
    device = Device(alice)
    alice.fails(400, "M_BAD_JSON", "POST", "/keys/upload", {"device_keys": device.keys(), "one_time_keys": {"bad": "x"}})
    assert query(bob, alice)["device_keys"] == {alice.user_id: {}}


def test_counts_are_exact(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    device = Device(alice)
    keys = device.one_time(7)
    assert device.upload(one_time_keys=keys) == {CURVE: 7}
    assert device.upload(one_time_keys=keys) == {CURVE: 7}
    assert device.upload(one_time_keys={**dict(list(keys.items())[:3]), **device.one_time(2), "other:1": "text"}) == {CURVE: 9, "other": 1}
    assert device.upload() == {CURVE: 9, "other": 1}
    claim(bob, device)
    assert claim(bob, device, "other") == {"other:1": "text"}
    assert device.upload() == {CURVE: 8}


def test_one_id_has_one_key(alice):
    device = Device(alice)
    (name, key), = device.one_time(1).items()
    device.upload(one_time_keys={name: key, "s:1": "text"})
    signed_anew = {**key, "signatures": {alice.user_id: {"ed25519:other": "x"}}}
    assert device.upload(one_time_keys={name: signed_anew, "s:1": "text"}) == {CURVE: 1, "s": 1}
    for other in ({name: {**key, "key": "another"}}, {name: "text"}, {"s:1": "another"}, {"s:1": key}):
        alice.fails(400, "M_UNKNOWN", "POST", "/keys/upload", {"one_time_keys": other})
    assert claim(alice, device) == {name: key}


def test_a_device_holds_a_bounded_number_of_keys(alice):
    device = Device(alice)
    many = {f"x:{n}": "k" for n in range(500)}
    assert device.upload(one_time_keys=many) == {"x": 500}
    alice.fails(400, "M_TOO_LARGE", "POST", "/keys/upload", {"one_time_keys": {"x:more": "k"}})
    alice.fails(400, "M_TOO_LARGE", "POST", "/keys/upload", {"one_time_keys": {f"y:{n}": "k" for n in range(501)}})
    assert device.upload(one_time_keys=many) == {"x": 500}
    alice.fails(400, "M_TOO_LARGE", "POST", "/keys/upload", {"one_time_keys": {f"{n}:1": "k" for n in range(16)}})
    alice.fails(400, "M_TOO_LARGE", "POST", "/keys/upload", {"fallback_keys": {f"{n}:1": "k" for n in range(17)}})
    assert device.upload() == {"x": 500}
    assert device.upload(one_time_keys={f"y:{n}": "k" for n in range(500)}) == {"x": 500, "y": 500}
    alice.fails(400, "M_TOO_LARGE", "POST", "/keys/upload", {"one_time_keys": {"z:1": "k"}})
    assert device.upload() == {"x": 500, "y": 500}


def test_the_oldest_upload_is_given_first(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    device = Device(alice)
    uploads = [device.one_time(3) for _ in range(4)]
    for keys in reversed(uploads):      # the ids grow, the order of uploads does not
        device.upload(one_time_keys=keys)
    for keys in reversed(uploads):
        given = {}
        for _ in keys:
            given.update(claim(bob, device))
        assert given == keys
    assert claim(bob, device) == {}


def test_a_fallback_key_stands_in(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    device = Device(alice)
    keys, fallback = device.one_time(1), device.fallback()
    assert device.upload(one_time_keys=keys, fallback_keys=fallback) == {CURVE: 1}
    assert claim(bob, device) == keys
    assert claim(bob, device) == claim(bob, device) == fallback
    assert device.upload(fallback_keys=fallback) == {}
    newer = device.fallback()
    device.upload(fallback_keys=newer)
    assert claim(bob, device) == newer
    assert claim(bob, device, "other") == {}


def test_claims_of_many_devices(alice, bob, user):
    carol = user()
    first, second, third = Device(alice), Device(login(alice.server, alice.user_id)), Device(carol)
    keys = [d.one_time(1) for d in (first, second, third)]
    for d, k in zip((first, second, third), keys):
        d.upload(one_time_keys=k)
    got = bob.post("/keys/claim", {"one_time_keys": {
        alice.user_id: {first.device_id: CURVE, second.device_id: CURVE, "NOSUCH": CURVE},
        carol.user_id: {third.device_id: CURVE}, bob.user_id: {bob.device_id: CURVE}, "@nobody:" + bob.server.name: {"X": CURVE}}})
    assert got["one_time_keys"] == {alice.user_id: {first.device_id: keys[0], second.device_id: keys[1]}, carol.user_id: {third.device_id: keys[2]}}
    thousand = {f"D{n}": CURVE for n in range(1000)}
    assert bob.post("/keys/claim", {"one_time_keys": {alice.user_id: thousand}})["one_time_keys"] == {}


def test_malformed_queries_and_claims_are_refused(alice):
    for bad in ({}, {"device_keys": []}, {"device_keys": {"@a:b": {}}}, {"device_keys": {"@a:b": [5]}}, {"device_keys": {"@a:b": None}}):
        alice.fails(400, "M_BAD_JSON", "POST", "/keys/query", bad)
    for bad in ({}, {"one_time_keys": []}, {"one_time_keys": {"@a:b": []}}, {"one_time_keys": {"@a:b": {"D": 5}}},
                {"one_time_keys": {"@a:b": {"D": ["x"]}}}):
        alice.fails(400, "M_BAD_JSON", "POST", "/keys/claim", bad)


def test_crowds_of_strangers_are_looked_for(alice):
    crowd = [f"@stranger{n}:{alice.server.name}" for n in range(15000)]
    got = alice.post("/keys/query", {"device_keys": {u: ["D"] for u in crowd}})["device_keys"]
    assert len(got) == len(crowd) and not any(got.values())
    assert alice.post("/keys/claim", {"one_time_keys": {u: {"D": CURVE} for u in crowd}}) == {"failures": {}, "one_time_keys": {}}
    alice.fails(413, "M_TOO_LARGE", "POST", "/keys/query", {"device_keys": {u: ["D"] * 4 for u in crowd}})
    alice.fails(413, "M_TOO_LARGE", "POST", "/keys/query", {"device_keys": {u: ["D" * 60] for u in crowd}})


def test_keys_go_with_their_device(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    device, other = Device(alice), Device(login(each_hs, alice.user_id))
    for d in (device, other):
        d.upload(device_keys=d.keys(), one_time_keys=d.one_time(2), fallback_keys=d.fallback())
    assert alice.sync()["device_one_time_keys_count"] == {CURVE: 2}
    alice.post("/logout")
    assert set(query(bob, alice)["device_keys"][alice.user_id]) == {other.device_id}
    assert claim(bob, device) == {}
    again = login(each_hs, alice.user_id, device_id=alice.device_id)    # the same name, another device
    assert again.post("/keys/upload")["one_time_key_counts"] == {}
    got = again.sync()
    assert got["device_one_time_keys_count"] == {CURVE: 0} and got["device_unused_fallback_key_types"] == []
    assert claim(bob, other)
    again.post("/account/deactivate", {"auth": {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.user_id},
                                                "password": "sesame-open-1"}})
    assert query(bob, alice)["device_keys"] == {alice.user_id: {}}
    assert claim(bob, other) == {}


class Claimer(threading.Thread):
    """Claims one device's keys until there are none, or the server is gone."""

    def __init__(self, client, device, progress):
        super().__init__()
        self.client, self.device, self.progress = client, device, progress
        self.got, self.failure = [], None

    def run(self):
        try:
            while True:
                keys = claim(self.client, self.device)
                if not keys:
                    return
                self.got += keys.items()
                with self.progress:
                    self.progress.count += 1
                    self.progress.notify_all()
        except requests.RequestException:
            pass
        except BaseException as e:
            self.failure = e


def claimers(server, token, device, n, progress):
    threads = [Claimer(Client(server, token=token), device, progress) for _ in range(n)]
    for t in threads:
        t.start()
    return threads


def joined(threads):
    got = []
    for t in threads:
        t.join()
        if t.failure:
            raise t.failure
        got += t.got
    return got


def progress_of():
    progress = threading.Condition()
    progress.count = 0
    return progress


def test_fifty_claimers_get_each_key_once(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    device = Device(alice)
    keys = device.one_time(50)
    for _ in range(3):
        keys.update(device.one_time(50))
    device.upload(one_time_keys=keys)
    got = joined(claimers(each_hs, bob.token, device, 50, progress_of()))
    assert len(got) == len(keys) and dict(got) == keys
    assert device.upload() == {}


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_no_key_is_given_twice_across_kill_9(store):
    server = Server(store=store)
    try:
        alice, bob = register(server), register(server)
        device = Device(alice)
        keys = {}
        for _ in range(8):
            keys.update(device.one_time(50))
        device.upload(one_time_keys=keys)
        given = []
        for _ in range(5):
            progress = progress_of()
            threads = claimers(server, bob.token, device, 10, progress)
            with progress:
                assert progress.wait_for(lambda: progress.count >= 40, timeout=60)
            server.kill()
            given += joined(threads)
            server.start()
        given += joined(claimers(server, bob.token, device, 10, progress_of()))
        names = [name for name, _ in given]
        assert len(set(names)) == len(names), "a key was given to two claimers"
        assert set(names) <= set(keys) and len(names) >= 200
        assert all(keys[name] == key for name, key in given)
    finally:
        server.close()
