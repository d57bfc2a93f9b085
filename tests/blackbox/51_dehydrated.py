"""Dehydrated devices (MSC3814): one per user, put with its keys, a device for everybody else, woken up by any client of the user."""
import itertools

from client import login, q, register
from crypto import Identity
from server import Server

DEVICE = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
serial = itertools.count()
DATA = {"algorithm": "org.matrix.msc3814.v1.olm", "device_pickle": "sealed"}


def body(user, device_id, one_time=2, **more):
    return {
        "device_id": device_id,
        "device_data": DATA,
        "initial_device_display_name": "left behind",
        "device_keys": {
            "user_id": user.user_id,
            "device_id": device_id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": {f"curve25519:{device_id}": "aaa", f"ed25519:{device_id}": "bbb"},
            "signatures": {user.user_id: {f"ed25519:{device_id}": "ccc"}},
            "dehydrated": True,
        },
        "one_time_keys": {f"signed_curve25519:{device_id}{i}": {"key": f"k{i}", "signatures": {}} for i in range(one_time)},
        "fallback_keys": {"signed_curve25519:f": {"key": "fb", "fallback": True, "signatures": {}}},
        **more,
    }


def queried(user, of):
    return user.post("/keys/query", {"device_keys": {of.user_id: []}})["device_keys"].get(of.user_id, {})


def claim(user, of, device_id):
    answer = user.post("/keys/claim", {"one_time_keys": {of.user_id: {device_id: "signed_curve25519"}}})
    return [key["key"] for key in answer["one_time_keys"].get(of.user_id, {}).get(device_id, {}).values()]


def send(user, of, device_id, *numbers):
    for n in numbers:
        user.put(f"/sendToDevice/m.room_key/d{next(serial)}", {"messages": {of.user_id: {device_id: {"n": n}}}})


def events(user, device_id, **params):
    answer = user.get(f"{DEVICE}/{q(device_id)}/events", **params)
    return [e["content"]["n"] for e in answer["events"]], answer.get("next_batch")


def test_it_is_put_read_and_deleted(alice, bob):
    alice.fails(404, "M_NOT_FOUND", "GET", DEVICE)
    alice.fails(404, "M_NOT_FOUND", "DELETE", DEVICE)
    assert alice.put(DEVICE, body(alice, "DRY/1")) == {"device_id": "DRY/1"}
    assert alice.get(DEVICE) == {"device_id": "DRY/1", "device_data": DATA}
    bob.fails(404, "M_NOT_FOUND", "GET", DEVICE)
    # a device like others for who asks for keys, and in the list of the user's own
    assert queried(bob, alice)["DRY/1"]["dehydrated"] is True
    assert [claim(bob, alice, "DRY/1") for _ in range(4)] == [["k0"], ["k1"], ["fb"], ["fb"]]
    assert "left behind" in [d["display_name"] for d in alice.get("/devices")["devices"]]
    assert alice.delete(DEVICE) == {"device_id": "DRY/1"}
    alice.fails(404, "M_NOT_FOUND", "GET", DEVICE)
    assert queried(bob, alice) == {} and claim(bob, alice, "DRY/1") == []
    assert len(alice.get("/devices")["devices"]) == 1


def test_another_one_takes_its_place_with_nothing_left(alice, bob):
    alice.put(DEVICE, body(alice, "DRY1"))
    send(bob, alice, "DRY1", 1)
    for new in ("DRY2", "DRY2"):
        alice.put(DEVICE, body(alice, new, one_time=1))
        assert list(queried(bob, alice)) == ["DRY2"]
        assert [claim(bob, alice, "DRY2") for _ in range(2)] == [["k0"], ["fb"]]
        assert claim(bob, alice, "DRY1") == []
        assert events(alice, "DRY2")[0] == []
        send(bob, alice, "DRY2", 2)
    alice.fails(403, "M_FORBIDDEN", "GET", f"{DEVICE}/DRY1/events")


def test_what_is_wrong_is_refused_and_changes_nothing(alice, bob):
    alice.put(DEVICE, body(alice, "DRY"))
    good = body(alice, "NEW")
    for wrong in (
        {k: v for k, v in good.items() if k != "device_keys"},
        {k: v for k, v in good.items() if k != "device_data"},
        {k: v for k, v in good.items() if k != "device_id"},
        {**good, "device_data": {"device_pickle": "x"}},
        {**good, "device_keys": body(bob, "NEW")["device_keys"]},
        {**good, "device_keys": body(alice, "OTHER")["device_keys"]},
        {**good, "one_time_keys": {"nocolon": "x"}},
        body(alice, alice.device_id),
    ):
        assert alice.raw("PUT", DEVICE, wrong).status_code == 400, wrong
    assert alice.get(DEVICE)["device_id"] == "DRY"
    assert list(queried(bob, alice)) == ["DRY"]
    alice.get("/account/whoami")


def test_messages_are_read_in_batches_and_stay(alice, bob):
    alice.put(DEVICE, body(alice, "DRY"))
    send(bob, alice, "DRY", *range(5))
    send(bob, alice, "*", 5)
    first, more = events(alice, "DRY", limit=4)
    assert first == [0, 1, 2, 3] and more
    assert events(alice, "DRY", limit=4, **{"from": more}) == ([4, 5], None)
    assert events(alice, "DRY") == ([0, 1, 2, 3, 4, 5], None)
    # the older way: always a token, and nothing behind the last
    answer = alice.post(f"{DEVICE}/DRY/events")
    assert len(answer["events"]) == 6 and answer["events"][0]["sender"] == bob.user_id
    assert answer["events"][0]["type"] == "m.room_key"
    again = alice.post(f"{DEVICE}/DRY/events", {"next_batch": answer["next_batch"]})
    assert again["events"] == [] and again["next_batch"]
    send(bob, alice, "DRY", 6)
    assert events(alice, "DRY", **{"from": again["next_batch"]})[0] == [6]
    alice.fails(400, "M_INVALID_PARAM", "GET", f"{DEVICE}/DRY/events?from=x1")
    alice.fails(403, "M_FORBIDDEN", "GET", f"{DEVICE}/{alice.device_id}/events")
    bob.fails(403, "M_FORBIDDEN", "GET", f"{DEVICE}/DRY/events")


def test_others_hear_of_it(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.sync(since=None)
    for change in (lambda: alice.put(DEVICE, body(alice, "DRY")), lambda: alice.delete(DEVICE)):
        change()
        assert bob.sync().get("device_lists", {}).get("changed") == [alice.user_id]


def test_it_goes_with_its_device(alice, bob):
    alice.put(DEVICE, body(alice, "DRY"))
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.user_id}, "password": "sesame-open-1"}
    alice.delete("/devices/DRY", {"auth": auth})
    alice.fails(404, "M_NOT_FOUND", "GET", DEVICE)
    assert queried(bob, alice) == {}


def test_who_logs_in_as_it_has_it_for_a_device_like_others(hs, alice, bob):
    alice.put(DEVICE, body(alice, "DRY"))
    again = login(hs, alice.user_id, device_id="DRY")
    alice.fails(404, "M_NOT_FOUND", "GET", DEVICE)
    alice.put(DEVICE, body(alice, "DRY2"))
    assert set(queried(bob, alice)) == {"DRY", "DRY2"}
    assert again.get("/account/whoami")["device_id"] == "DRY"
    alice.fails(400, "M_INVALID_PARAM", "PUT", DEVICE, body(alice, "DRY"))


def test_it_is_not_called_like_a_cross_signing_key(alice):
    identity = Identity(alice.user_id)
    alice.post("/keys/device_signing/upload", identity.body())
    alice.fails(403, "M_FORBIDDEN", "PUT", DEVICE, body(alice, identity.master.public))


def test_it_can_be_switched_off():
    server = Server(experimental_features={"msc3814_enabled": False})
    try:
        register(server).fails(404, "M_UNRECOGNIZED", "GET", DEVICE)
    finally:
        server.close()
