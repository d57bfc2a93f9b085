"""`hearth e2ee why`: each thing that the server can know to make messages undecryptable is told of, by name and in words, and nothing
else is."""
import json
import subprocess

import pytest

from client import login, register
from crypto import Device, Identity
from server import BINARY, Server


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request):
    s = Server(store=request.param)
    yield s
    s.close()


@pytest.fixture
def alice(server):
    return register(server)


def why(server, user, *args, status=0):
    done = subprocess.run([BINARY, "--config", "homeserver.yaml", "e2ee", "why", user, *args], cwd=server.dir, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == status, done
    return done.stdout if status == 0 else done.stderr


def findings(server, user):
    told = json.loads(why(server, user.user_id, "--json"))
    return {(f["what"], f.get("device_id") or f.get("user_id")): f["grade"] for f in told["findings"]}


def upload(user, one_time=10, fallback=True):
    keys = {f"{a}:{user.device_id}": "x" * 43 for a in ("ed25519", "curve25519")}
    user.post("/keys/upload", {
        "device_keys": {"user_id": user.user_id, "device_id": user.device_id, "algorithms": [], "keys": keys,
                        "signatures": {user.user_id: {}}},
        "one_time_keys": {f"signed_curve25519:{i}": {"key": f"k{i}", "signatures": {}} for i in range(one_time)},
        "fallback_keys": {"signed_curve25519:f": {"key": "f", "fallback": True, "signatures": {}}} if fallback else {},
    })


def claim(of, by, times):
    for _ in range(times):
        by.post("/keys/claim", {"one_time_keys": {of.user_id: {of.device_id: "signed_curve25519"}}})


def test_a_user_in_good_order_has_only_notes(server, alice):
    upload(alice)
    alice.post("/room_keys/version", {"algorithm": "a", "auth_data": {}})
    assert findings(server, alice) == {("no_cross_signing", None): "note", ("empty_backup", None): "note"}
    told = json.loads(why(server, alice.user_id, "--json"))
    assert told["backup"] == {"version": 1, "keys": 0}
    device = told["devices"][0]
    assert (device["keys"], device["one_time_keys"], device["fallback_key"], device["signed"]) == (True, 10, "unused", False)


def test_devices_without_keys(server, alice):
    assert findings(server, alice) == {
        ("no_device_with_keys", None): "problem",
        ("no_keys", alice.device_id): "warning",
        ("no_cross_signing", None): "note",
        ("no_backup", None): "note",
    }
    upload(alice)
    assert ("no_keys", alice.device_id) not in findings(server, alice)


@pytest.mark.parametrize("one_time,fallback,claims,what,grade", [
    (4, True, 0, "few_one_time_keys", "note"),
    (2, True, 2, "no_one_time_keys_left", "note"),
    (2, True, 3, "fallback_in_use", "warning"),
    (2, False, 2, "no_one_time_keys", "problem"),
])
def test_one_time_keys_that_run_out(server, alice, one_time, fallback, claims, what, grade):
    upload(alice, one_time, fallback)
    claim(alice, register(server), claims)
    found = {key: grade for key, grade in findings(server, alice).items() if key[1] == alice.device_id}
    assert found == {(what, alice.device_id): grade}


def test_devices_that_their_user_did_not_sign(server, alice):
    device, identity = Device(alice), Identity(alice.user_id)
    device.upload(device_keys=device.keys(), one_time_keys=device.one_time(10))
    alice.post("/keys/device_signing/upload", identity.body())
    assert findings(server, alice) == {("unsigned", alice.device_id): "warning", ("no_backup", None): "note"}
    alice.post("/keys/signatures/upload", {alice.user_id: {alice.device_id: identity.self_signing.sign(device.keys())}})
    assert findings(server, alice) == {("no_backup", None): "note"}
    assert f"{alice.user_id}: cross-signing complete, no key backup\n" in why(server, alice.user_id)


def test_messages_that_wait(server, alice):
    upload(alice)
    bob = register(server)
    bob.put("/sendToDevice/m.room_key/why1", {"messages": {alice.user_id: {alice.device_id: {"k": "x" * 5000}}}})
    assert findings(server, alice)[("undelivered", alice.device_id)] == "note"
    waiting = json.loads(why(server, alice.user_id, "--json"))["devices"][0]["waiting"]
    assert waiting["messages"] == 1 and waiting["bytes"] > 5000 and waiting["since"] > 1.7e12
    assert f"{alice.device_id} has not fetched 1 message (5 KiB)" in why(server, alice.user_id)
    alice.sync()
    alice.sync()
    server.restart()
    assert ("undelivered", alice.device_id) not in findings(server, alice)


def test_devices_that_others_have_not_heard_of(server, alice):
    upload(alice)
    bob = register(server)
    upload(bob)
    state = [{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]
    bob.join(alice.create_room(preset="public_chat", initial_state=state))
    alice.sync(), bob.sync()
    bob.put("/sendToDevice/m.room_key/why2", {"messages": {alice.user_id: {alice.device_id: {"k": "x"}}}})
    assert ("stale_lists", alice.device_id) not in findings(server, alice)
    new = login(server, bob.user_id)
    upload(new)
    assert findings(server, alice)[("stale_lists", alice.device_id)] == "note"
    assert findings(server, bob)[("devices_unheard_of", alice.user_id)] == "note"
    assert f"has not heard of changed devices of 1 user in encrypted rooms, the last of {bob.user_id}" in why(server, alice.user_id)
    assert f"of which 1 device of {alice.user_id} cannot have heard" in why(server, bob.user_id)
    alice.sync()
    alice.sync()
    server.restart()
    assert ("stale_lists", alice.device_id) not in findings(server, alice)
    assert ("devices_unheard_of", alice.user_id) not in findings(server, bob)


def test_members_who_cannot_read(server, alice):
    upload(alice)
    bob, carol = register(server), register(server)
    upload(carol)
    encryption = [{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]
    for state in (encryption, encryption, []):
        room = alice.create_room(preset="public_chat", initial_state=state)
        bob.join(room)
        carol.join(room)
    assert findings(server, alice)[("member_without_keys", bob.user_id)] == "warning"
    assert ("member_without_keys", carol.user_id) not in findings(server, alice)
    assert f"shares 2 encrypted rooms with {bob.user_id}" in why(server, alice.user_id)
    # one who left is no concern
    for room in bob.get("/joined_rooms")["joined_rooms"]:
        bob.leave(room)
    assert ("member_without_keys", bob.user_id) not in findings(server, alice)


def test_who_is_logged_in_nowhere(server, alice):
    alice.post("/logout/all")
    assert findings(server, alice)[("no_devices", None)] == "warning"


def test_a_closed_account_leaves_no_backup(server, alice):
    version = alice.post("/room_keys/version", {"algorithm": "a", "auth_data": {}})["version"]
    assert version == "1" and ("empty_backup", None) in findings(server, alice)
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.user_id}, "password": "sesame-open-1"}
    alice.post("/account/deactivate", {"auth": auth})
    assert findings(server, alice) == {("no_devices", None): "warning", ("deactivated", None): "note",
                                       ("no_cross_signing", None): "note", ("no_backup", None): "note"}


def test_the_name_may_be_short_and_must_be_somebodys(server, alice):
    assert why(server, alice.user_id.split(":")[0][1:]).startswith(f"{alice.user_id}: cross-signing not set up, no key backup\n")
    assert "There is no such account" in why(server, "nobody-of-that-name", status=1)
    assert "something is missing" in subprocess.run([BINARY, "e2ee", "why"], text=True, capture_output=True).stderr


def test_without_a_running_server(alice, server):
    before = findings(server, alice)
    server.stop()
    try:
        assert findings(server, alice) == before
    finally:
        server.start()
