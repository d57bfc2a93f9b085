"""Who hears that keys changed, and how many one-time keys are left: /sync and /keys/changes."""
import threading

from client import register
from crypto import Device, Identity

CURVE = "signed_curve25519"
PASSWORD = "sesame-open-1"


def changed(client, **params):
    """Whom an incremental sync names as changed; it moves on."""
    return client.sync(**params).get("device_lists", {}).get("changed", [])


def friends(server):
    """Alice and Bob share a room; Carol knows neither. All are up to date."""
    alice, bob, carol = register(server), register(server), register(server)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    for u in (alice, bob, carol):
        u.sync()
    return alice, bob, carol, room


def heard(users):
    return [changed(u) for u in users]


def test_who_hears_of_each_change(each_hs):
    alice, bob, carol, _ = friends(each_hs)
    everybody = (alice, bob, carol)
    all_who_share = [[alice.user_id], [alice.user_id], []]
    device, identity, bobs = Device(alice), Identity(alice.user_id), Identity(bob.user_id)

    device.upload(device_keys=device.keys())
    assert heard(everybody) == all_who_share
    device.upload(device_keys=device.keys(), one_time_keys=device.one_time(2), fallback_keys=device.fallback())
    assert heard(everybody) == [[], [], []]
    alice.post("/keys/device_signing/upload", identity.body())
    assert heard(everybody) == all_who_share
    alice.post("/keys/device_signing/upload", identity.body())
    assert heard(everybody) == [[], [], []]
    signed = {alice.user_id: {device.device_id: identity.self_signing.sign(device.bare())}}
    alice.post("/keys/signatures/upload", signed)
    assert heard(everybody) == all_who_share
    alice.post("/keys/signatures/upload", signed)
    assert heard(everybody) == [[], [], []]
    alice.post("/keys/signatures/upload", {alice.user_id: {identity.master.public: device.signer.sign(identity.key("master"))}})
    assert heard(everybody) == all_who_share

    bob.post("/keys/device_signing/upload", bobs.body())
    assert heard(everybody) == [[bob.user_id], [bob.user_id], []]
    alice.post("/keys/signatures/upload", {bob.user_id: {bobs.master.public: identity.user_signing.sign(bobs.key("master"))}})
    assert heard(everybody) == [[bob.user_id], [], []]

    newer = Identity(alice.user_id)
    newer.master = identity.master
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.user_id}, "password": PASSWORD}
    alice.post("/keys/device_signing/upload", {"user_signing_key": newer.key("user_signing"), "auth": auth})
    assert heard(everybody) == [[alice.user_id], [], []]
    alice.post("/keys/device_signing/upload", {"self_signing_key": newer.key("self_signing"), "auth": auth})
    assert heard(everybody) == all_who_share


def changes(client, since, **more):
    return client.get("/keys/changes", **{"from": since, "to": client.next_batch, **more})


def test_changes_between_two_tokens(each_hs):
    alice, bob, carol, room = friends(each_hs)
    start = bob.next_batch
    assert changes(bob, start) == {"changed": [], "left": []}
    device = Device(alice)
    device.upload(device_keys=device.keys())
    assert changes(bob, start) == {"changed": [alice.user_id], "left": []}
    assert changes(carol, carol.next_batch) == {"changed": [], "left": []}
    bob.sync()
    assert changes(bob, bob.next_batch) == {"changed": [], "left": []}
    carol.join(room)
    assert changes(bob, bob.next_batch) == {"changed": [carol.user_id], "left": []}
    bob.sync()
    alice.leave(room)
    assert changes(bob, bob.next_batch) == {"changed": [], "left": [alice.user_id]}


def test_changes_need_tokens(alice):
    alice.sync()
    alice.fails(400, "M_MISSING_PARAM", "GET", "/keys/changes", params={"to": alice.next_batch})
    alice.fails(400, "M_INVALID_PARAM", "GET", "/keys/changes", params={"from": "x", "to": alice.next_batch})
    alice.fails(400, "M_INVALID_PARAM", "GET", "/keys/changes", params={"from": alice.next_batch, "to": "x"})


def test_a_claim_wakes_a_waiting_sync(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    device = Device(alice)
    device.upload(device_keys=device.keys(), one_time_keys=device.one_time(2), fallback_keys=device.fallback())
    got = alice.sync()
    assert got["device_one_time_keys_count"] == {CURVE: 2} and got["device_unused_fallback_key_types"] == [CURVE]
    for left, fallback in ((1, [CURVE]), (0, [CURVE]), (0, [])):
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(alice.sync(timeout=30000)))
        waiting.start()
        bob.post("/keys/claim", {"one_time_keys": {alice.user_id: {alice.device_id: CURVE}}})
        waiting.join(timeout=20)
        assert answers, "the sync was not woken"
        assert answers[0]["device_one_time_keys_count"].get(CURVE, 0) == left
        assert answers[0]["device_unused_fallback_key_types"] == fallback
