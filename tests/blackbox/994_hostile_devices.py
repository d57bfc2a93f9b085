"""What a hostile server answers when it is asked for its users' devices and keys. Whatever it is: what is shown of it has the form that
clients are promised (client.py holds every answer against the schemas), is those users' own, and what is good beside it is not lost."""
import json
import threading

import pytest

from client import q, register
from fed.peer import Peer

KEY = "nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk"
CLAIM = {"key": "zKbLg+NrIjpnagy+pIY6uPL4ZwEG2v+8F9lmgsnlZzs", "signatures": {}}


def keys_of(user, device_id, /, **other):
    good = {"algorithms": ["m.olm.v1.curve25519-aes-sha2"], "device_id": device_id, "user_id": user,
            "keys": {f"ed25519:{device_id}": "one"}, "signatures": {user: {f"ed25519:{device_id}": "c2ln"}}}
    return {k: v for k, v in {**good, **other}.items() if v is not LACKING}


def identity_of(user, usage, /, **other):
    return {k: v for k, v in {"user_id": user, "usage": [usage], "keys": {f"ed25519:{KEY}": KEY}, **other}.items() if v is not LACKING}


LACKING = object()
# Of one device, beside a good one: what its keys have instead of what they should.
DEVICES = {
    "no keys": {"keys": LACKING},
    "keys in a list": {"keys": ["one"]},
    "keys that are no texts": {"keys": {"ed25519:BAD": 5}},
    "no algorithms": {"algorithms": LACKING},
    "algorithms in a text": {"algorithms": "m.olm"},
    "algorithms that are no texts": {"algorithms": [1]},
    "no user": {"user_id": LACKING},
    "another user": {"user_id": "@other:elsewhere.test"},
    "a user in a list": {"user_id": []},
    "another device": {"device_id": "GOOD"},
    "no device": {"device_id": LACKING},
    "signatures in a text": {"signatures": "c2ln"},
    "signatures that are no texts": {"signatures": {"@a:b.test": {"ed25519:BAD": {}}}},
    "keys of 20 kB": {"keys": {"ed25519:BAD": "k" * 20000}},
}
IDENTITIES = {
    "no keys": {"keys": LACKING},
    "no key among them": {"keys": {}},
    "two keys": {"keys": {f"ed25519:{KEY}": KEY, "ed25519:x": "x"}},
    "a key that is no text": {"keys": {f"ed25519:{KEY}": 1}},
    "another key's name": {"keys": {"ed25519:x": KEY}},
    "no usage": {"usage": LACKING},
    "another usage": {"usage": ["user_signing"]},
    "a usage that there is not": {"usage": ["master", "self_signing", "everything"]},
    "usage in a text": {"usage": "master"},
    "another user": {"user_id": "@other:elsewhere.test"},
    "no user": {"user_id": LACKING},
    "signatures in a list": {"signatures": []},
}


class Scene:
    def __init__(self, hs, peer):
        self.hs, self.peer, self.alice = hs, peer, register(hs)

    def query(self, user, devices=()):
        return self.alice.post("/keys/query", {"device_keys": {user: list(devices)}, "timeout": 20000})


@pytest.fixture(scope="module")
def hs(fed):
    return fed


@pytest.fixture
def scene(hs, peer):
    return Scene(hs, peer)


#
# Strangers: asked for each time, and passed on
#
def answer_keys(scene, user, devices, **more):
    scene.peer.on("POST", "/user/keys/query", lambda r: (200, {"device_keys": {user: devices}, **more}))


def test_what_is_no_device_is_not_shown(scene):
    for n, (what, other) in enumerate(DEVICES.items()):
        user = f"@s{n}:{scene.peer.name}"
        answer_keys(scene, user, {"BAD": keys_of(user, "BAD", **other), "GOOD": keys_of(user, "GOOD")})
        for asked in ([], ["BAD", "GOOD"]):
            assert list(scene.query(user, asked)["device_keys"][user]) == ["GOOD"], (what, asked)


@pytest.mark.parametrize("devices", [None, [], "x", 5, {"A": None}, {"A": []}, {"A": "x"}, {"": {}}], ids=repr)
def test_what_is_no_map_of_devices_is_none(scene, devices):
    user = scene.peer.user()
    answer_keys(scene, user, devices)
    assert not scene.query(user)["device_keys"].get(user)


def test_names_are_short_texts(scene):
    user = scene.peer.user()
    answer_keys(scene, user, {d: keys_of(user, d, unsigned=u) for d, u in {
        "A": {"device_display_name": "phone", "more": 1}, "B": {"device_display_name": "x" * 5000}, "C": {"device_display_name": 5}, "D": "x",
        "E" * 600: {}}.items()})
    got = scene.query(user)["device_keys"][user]
    assert {d: keys["unsigned"] for d, keys in got.items()} == {"A": {"device_display_name": "phone"}, "B": {}, "C": {}, "D": {}}


def test_of_very_many_devices_a_thousand_are_shown(scene):
    user = scene.peer.user()
    answer_keys(scene, user, {f"D{i}": keys_of(user, f"D{i}") for i in range(5000)})
    assert len(scene.query(user)["device_keys"][user]) == 1000
    asked = [f"D{i}" for i in range(2000)]
    assert list(scene.query(user, asked)["device_keys"][user]) == asked[:1000]


@pytest.mark.parametrize("usage", ["master", "self_signing"])
def test_what_is_no_identity_is_not_shown(scene, usage):
    for n, (what, other) in enumerate(IDENTITIES.items()):
        user = f"@i{n}:{scene.peer.name}"
        answer_keys(scene, user, {"GOOD": keys_of(user, "GOOD")}, **{f"{usage}_keys": {user: identity_of(user, usage, **other)}})
        got = scene.query(user)
        assert list(got["device_keys"][user]) == ["GOOD"] and user not in got[f"{usage}_keys"], what
    user = scene.peer.user()
    answer_keys(scene, user, {}, **{f"{usage}_keys": {user: identity_of(user, usage)}})
    assert scene.query(user)[f"{usage}_keys"][user]["keys"] == {f"ed25519:{KEY}": KEY}


CLAIMS = {
    "no name": {"": CLAIM}, "no id": {"signed_curve25519:": CLAIM}, "no algorithm": {":A": CLAIM}, "another algorithm": {"curve25519:A": "k"},
    "an algorithm that begins so": {"signed_curve25519x:A": CLAIM}, "two colons": {"signed_curve25519:A:B": CLAIM},
    "a long name": {"signed_curve25519:" + "A" * 300: CLAIM}, "a text": {"signed_curve25519:A": "k"}, "null": {"signed_curve25519:A": None},
    "a list": {"signed_curve25519:A": [CLAIM]}, "nothing in it": {"signed_curve25519:A": {}}, "no key": {"signed_curve25519:A": {"signatures": {}}},
    "no signatures": {"signed_curve25519:A": {"key": "k"}}, "a key that is no text": {"signed_curve25519:A": {"key": {}, "signatures": {}}},
    "signatures in a list": {"signed_curve25519:A": {"key": "k", "signatures": []}},
    "signatures that are no texts": {"signed_curve25519:A": {"key": "k", "signatures": {"@a:b.test": {"ed25519:x": 5}}}},
    "fallback in a text": {"signed_curve25519:A": {**CLAIM, "fallback": "yes"}}, "10 kB": {"signed_curve25519:A": {**CLAIM, "key": "k" * 10000}},
}


def test_what_is_no_one_time_key_is_not_given(scene):
    user = scene.peer.user()
    devices = {f"D{n}": bad for n, bad in enumerate(CLAIMS.values())}
    beside = {f"B{n}": {**bad, "signed_curve25519:GOOD": CLAIM} for n, bad in enumerate(CLAIMS.values())}
    odd = {"X1": None, "X2": [], "X3": "k"}
    scene.peer.on("POST", "/user/keys/claim", lambda r: (200, {"one_time_keys": {user: {**devices, **beside, **odd}}}))
    asked = {d: "signed_curve25519" for d in [*devices, *beside, *odd]}
    got = scene.alice.post("/keys/claim", {"one_time_keys": {user: asked}})
    assert got["one_time_keys"] == {user: {d: {"signed_curve25519:GOOD": CLAIM} for d in beside}} and got["failures"] == {}


#
# Lists that are kept: of who shares a room
#
def a_list(user, **other):
    good = {"user_id": user, "stream_id": 5, "devices": [{"device_id": "GOOD", "keys": keys_of(user, "GOOD")}]}
    return {k: v for k, v in {**good, **other}.items() if v is not LACKING}


NO_LISTS = {
    "nothing": lambda u: {}, "a list": lambda u: [], "another user": lambda u: a_list(u, user_id="@other:elsewhere.test"), "no user": lambda u: a_list(u, user_id=LACKING),
    "no number": lambda u: a_list(u, stream_id=LACKING), "a number in a text": lambda u: a_list(u, stream_id="5"), "a number below 0": lambda u: a_list(u, stream_id=-1),
    "a huge number": lambda u: a_list(u, stream_id=10**30), "half a number": lambda u: a_list(u, stream_id=5.5), "no devices": lambda u: a_list(u, devices=LACKING),
    "devices by id": lambda u: a_list(u, devices={"GOOD": keys_of(u, "GOOD")}), "10 MB": lambda u: a_list(u, more="x" * 10_000_000),
}


def test_what_is_no_list_of_devices_is_none_and_a_good_one_is_asked_for(scene):
    room = scene.alice.create_room(preset="public_chat")
    for what, made in NO_LISTS.items():
        user = scene.peer.user()
        scene.peer.join(scene.hs, room, user)
        drop = scene.peer.on("GET", f"/user/devices/{q(user)}", lambda r: (200, made(user)))
        got = scene.query(user)
        assert not got["device_keys"].get(user) and list(got["failures"]) == [scene.peer.name], what
        drop()
        scene.peer.devices[user] = a_list(user)
        assert list(scene.query(user)["device_keys"][user]) == ["GOOD"], what


def test_of_a_list_what_is_good_is_kept(scene):
    room, user = scene.alice.create_room(preset="public_chat"), scene.peer.user()
    scene.peer.join(scene.hs, room, user)
    bad = [{"device_id": "BAD", "keys": keys_of(user, "BAD", **other)} for other in DEVICES.values()]
    odd = [None, [], "x", {}, {"device_id": 5}, {"device_id": ""}, {"device_id": "E" * 600, "keys": keys_of(user, "E" * 600)}, {"device_id": "NONE"}]
    twice = [{"device_id": "TWICE", "keys": keys_of(user, "TWICE"), "device_display_name": name} for name in ("first", "last")]
    many = [{"device_id": f"D{i}", "keys": keys_of(user, f"D{i}"), "device_display_name": "x" * 1100} for i in range(1500)]
    scene.peer.devices[user] = a_list(user, devices=[*odd, *bad, *twice, *many], master_key=identity_of("@other:elsewhere.test", "master"),
                                      self_signing_key=identity_of(user, "self_signing", keys={}))
    got = scene.query(user)
    devices = got["device_keys"][user]
    assert len(devices) == 1000 and devices["TWICE"]["unsigned"] == {"device_display_name": "first"} and devices["D7"]["unsigned"] == {}
    assert "BAD" not in devices and user not in got["master_keys"] and user not in got["self_signing_keys"]
    assert scene.query(user) == got and len([r for r in scene.peer.requests if "/user/devices/" in r.path]) == 1


#
# Answers that come a byte at a time and do not end
#
class Trickle:
    """What it answers does not end before the test does, or lets it go: the one who asked hears then that it broke off."""

    def __init__(self):
        self.over = threading.Event()

    def __call__(self, request):
        def pieces():
            while not self.over.wait(0.1):
                yield b" "
            raise ConnectionAbortedError
        return 200, pieces()


@pytest.fixture
def good():
    p = Peer()
    yield p
    p.close()
    assert not p.faults, p.faults


@pytest.fixture
def slow(scene):
    trickle = Trickle()
    for method, path in (("GET", "/user/devices/"), ("POST", "/user/keys/query"), ("POST", "/user/keys/claim")):
        scene.peer.on(method, path, trickle)
    yield trickle
    trickle.over.set()


class Asking(threading.Thread):
    """A request that waits for the slow one."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.got = ask, None
        self.start()

    def run(self):
        self.got = self.ask()


def asked(peer, path):
    return len([r for r in peer.requests if path in r.path])


def test_a_list_that_trickles_holds_up_none_that_are_fetched_beside_it(scene, slow, good):
    room, bob = scene.alice.create_room(preset="public_chat"), register(scene.hs)
    bob.join(room)
    theirs, fine = scene.peer.user(), good.user()
    scene.peer.join(scene.hs, room, theirs)
    good.join(scene.hs, room, fine)
    good.devices[fine] = a_list(fine)
    both = {"device_keys": {theirs: [], fine: []}, "timeout": 60000}
    waiting = [Asking(lambda: scene.alice.post("/keys/query", both)) for _ in range(6)]
    scene.peer.wait_request("GET", "/user/devices/")
    good.wait_request("GET", "/user/devices/")
    # It was asked for by who still waits for the other, and is here all the same.
    got = bob.post("/keys/query", {"device_keys": {fine: []}, "timeout": 10000})
    assert list(got["device_keys"][fine]) == ["GOOD"] and got["failures"] == {}
    assert all(w.got is None for w in waiting)
    slow.over.set()
    for w in waiting:
        w.join()
        assert list(w.got["device_keys"][fine]) == ["GOOD"] and list(w.got["failures"]) == [scene.peer.name]
    assert asked(good, "/user/devices/") == 1


def test_keys_that_trickle_hold_up_who_asked_for_them_alone(scene, slow, good):
    bob, theirs, fine = register(scene.hs), scene.peer.user(), good.user()
    good.on("POST", "/user/keys/query", lambda r: (200, {"device_keys": {fine: {"GOOD": keys_of(fine, "GOOD")}}}))
    good.on("POST", "/user/keys/claim", lambda r: (200, {"one_time_keys": {fine: {"GOOD": {"signed_curve25519:A": CLAIM}}}}))
    claim = {u: {"GOOD": "signed_curve25519"} for u in (theirs, fine)}
    waiting = [Asking(lambda: scene.alice.post("/keys/query", {"device_keys": {theirs: [], fine: []}, "timeout": 60000})),
               Asking(lambda: scene.alice.post("/keys/claim", {"one_time_keys": claim, "timeout": 60000}))]
    scene.peer.wait_request("POST", "/user/keys/query")
    scene.peer.wait_request("POST", "/user/keys/claim")
    assert list(bob.post("/keys/query", {"device_keys": {fine: []}, "timeout": 10000})["device_keys"][fine]) == ["GOOD"]
    assert fine in bob.post("/keys/claim", {"one_time_keys": {fine: claim[fine]}, "timeout": 10000})["one_time_keys"]
    assert all(w.got is None for w in waiting)
    slow.over.set()
    for w in waiting:
        w.join()
        assert list(w.got["failures"]) == [scene.peer.name]
    assert list(waiting[0].got["device_keys"][fine]) == ["GOOD"] and fine in waiting[1].got["one_time_keys"]


def test_a_list_that_trickles_when_it_is_fetched_again_holds_up_none(scene, slow, good):
    room = scene.alice.create_room(preset="public_chat")
    for peer in (scene.peer, good):
        peer.news = peer.user()
        peer.join(scene.hs, room, peer.news)
        peer.devices[peer.news] = a_list(peer.news)
    scene.query(good.news)
    update = {"device_id": "NEW", "stream_id": 9, "prev_id": [8]}
    scene.peer.edu(scene.hs, "m.device_list_update", {"user_id": scene.peer.news, **update})
    scene.peer.wait_request("GET", "/user/devices/")
    good.devices[good.news] = a_list(good.news, stream_id=9, devices=[{"device_id": "NEW", "keys": keys_of(good.news, "NEW")}])
    good.edu(scene.hs, "m.device_list_update", {"user_id": good.news, **update})
    assert list(scene.query(good.news)["device_keys"][good.news]) == ["NEW"]
    assert asked(good, "/user/devices/") == 2
