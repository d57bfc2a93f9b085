"""Whose devices changed: every way in which devices come, go and are renamed; joins and leaves; restarts."""
import threading

import pytest

from client import login, q, register
from server import Server

PASSWORD = "sesame-open-1"


def auth(user):
    return {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id}, "password": PASSWORD}


def lists(client, **params):
    """(changed, left) of an incremental sync; it moves on."""
    got = client.sync(**params).get("device_lists", {})
    return got.get("changed", []), got.get("left", [])


def nothing(*clients):
    assert [lists(c) for c in clients] == [([], [])] * len(clients)


def people(server):
    """Alice and Bob share a room; Carol knows neither. All are up to date."""
    alice, bob, carol = register(server), register(server), register(server)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    for u in (alice, bob, carol):
        u.sync()
    nothing(alice, bob, carol)
    return alice, bob, carol, room


def test_a_first_answer_has_none(each_hs):
    alice, bob, _, _ = people(each_hs)
    login(each_hs, bob.user_id)
    assert "device_lists" not in alice.sync(since=None)


def test_who_hears_of_devices(each_hs):
    alice, bob, carol, _ = people(each_hs)

    def heard():
        assert lists(alice) == ([bob.user_id], [])
        nothing(carol)

    # a new device; the same one again
    second = login(each_hs, bob.user_id, device_id="SECOND")
    assert lists(bob) == ([bob.user_id], [])
    heard()
    second = login(each_hs, bob.user_id, device_id="SECOND")
    nothing(alice, bob)
    # a name; the same one again; none
    bob.put("/devices/SECOND", {"display_name": "tablet"})
    assert lists(bob) == ([bob.user_id], [])
    heard()
    bob.put("/devices/SECOND", {"display_name": "tablet"})
    bob.put("/devices/SECOND", {})
    nothing(alice, bob)
    # deleted; not there any more
    bob.delete("/devices/SECOND", {"auth": auth(bob)})
    heard()
    bob.delete("/devices/SECOND", {"auth": auth(bob)})
    nothing(alice)
    # several
    login(each_hs, bob.user_id, device_id="THIRD")
    login(each_hs, bob.user_id, device_id="FOURTH")
    heard()
    bob.post("/delete_devices", {"devices": ["THIRD", "FOURTH", "NONE"], "auth": auth(bob)})
    heard()
    bob.post("/delete_devices", {"devices": ["THIRD"], "auth": auth(bob)})
    nothing(alice)
    # logout, logout of all, another password, the end
    login(each_hs, bob.user_id).post("/logout")
    heard()
    second = login(each_hs, bob.user_id)
    heard()
    second.post("/logout/all")
    heard()
    bob = login(each_hs, bob.user_id)
    login(each_hs, bob.user_id)
    heard()
    bob.post("/account/password", {"new_password": PASSWORD + "x", "logout_devices": False, "auth": auth(bob)})
    nothing(alice)
    bob.post("/account/password", {"new_password": PASSWORD, "logout_devices": True,
                                   "auth": {**auth(bob), "password": PASSWORD + "x"}})
    heard()
    bob.post("/account/deactivate", {"auth": auth(bob)})
    changed, left = lists(alice)
    assert changed + left == [bob.user_id]


def test_the_same_commit_wakes_who_waits(each_hs):
    alice, bob, _, _ = people(each_hs)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(lists(alice, timeout=30000)))
    waiting.start()
    login(each_hs, bob.user_id)
    waiting.join(timeout=20)
    assert answers == [([bob.user_id], [])]


def test_joins_and_leaves(each_hs):
    alice, bob, carol, room = people(each_hs)
    carol.join(room)
    assert lists(alice) == ([carol.user_id], [])
    changed, left = lists(carol)
    assert set(changed) == {alice.user_id, bob.user_id} and left == []
    # Another room with the same people is no news, nor is to leave one of two.
    more = carol.create_room(preset="public_chat")
    alice.join(more)
    nothing(alice, carol)
    carol.leave(room)
    nothing(alice)
    bob.sync()
    assert lists(carol) == ([], [bob.user_id])
    login(each_hs, bob.user_id)
    nothing(carol)
    alice.post(f"/rooms/{q(more)}/leave")
    assert lists(alice)[1] == [carol.user_id]
    assert lists(carol) == ([], [alice.user_id])
    # Away, changed and back between two answers.
    bob.leave(room)
    login(each_hs, bob.user_id)
    bob.join(room)
    assert bob.user_id in lists(alice)[0]


def test_invitations(each_hs):
    alice, bob, carol, _ = people(each_hs)
    room = alice.create_room(preset="private_chat")
    alice.sync()
    # Who is invited may be sent keys: their devices are looked up. They share nothing yet.
    alice.invite(room, carol)
    assert lists(alice) == ([carol.user_id], [])
    nothing(carol)
    login(each_hs, carol.user_id)
    nothing(alice)
    # Turned down: nobody is lost who was never there, and nobody is named to who was not in.
    carol.leave(room)
    nothing(alice)
    assert lists(carol) == ([carol.user_id], [])
    alice.invite(room, carol)
    carol.join(room)
    assert lists(alice) == ([carol.user_id], [])
    assert lists(carol) == ([alice.user_id], [])


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_restarts_forget_nothing(store):
    server = Server(store=store)
    try:
        alice, bob, carol, room = people(server)
        login(server, bob.user_id)
        server.kill()
        server.start()
        assert lists(alice) == ([bob.user_id], [])
        nothing(alice, carol)
        carol.join(room)
        bob.leave(room)
        server.restart()
        assert lists(alice) == ([carol.user_id], [bob.user_id])
        nothing(alice)
    finally:
        server.close()


def test_a_new_member_is_told_of_everybody(hs):
    alice, late = register(hs), register(hs)
    room = alice.create_room(preset="public_chat")
    others = [register(hs) for _ in range(30)]
    for o in others:
        o.join(room)
    late.sync()
    late.join(room)
    changed, left = lists(late)
    assert set(changed) == {o.user_id for o in others} | {alice.user_id} and left == []
    late.leave(room)
    changed, left = lists(late)
    assert changed == [] and set(left) == {o.user_id for o in others} | {alice.user_id}


# ---- the endpoints of devices

def test_devices_as_specified(alice, hs):
    other = login(hs, alice.user_id, device_id="OTHER", initial_device_display_name="laptop")
    assert {d["device_id"] for d in alice.get("/devices")["devices"]} == {alice.device_id, "OTHER"}
    assert alice.get("/devices/OTHER")["display_name"] == "laptop"
    alice.fails(404, "M_NOT_FOUND", "GET", "/devices/NONE")
    alice.fails(404, "M_NOT_FOUND", "PUT", "/devices/NONE", {"display_name": "x"})
    alice.fails(404, "M_NOT_FOUND", "PUT", "/devices/NONE", {})
    for method, path, body in (("DELETE", "/devices/OTHER", {}), ("POST", "/delete_devices", {"devices": ["OTHER"]})):
        got = alice.raw(method, path, body)
        assert got.status_code == 401 and got.json()["flows"] and got.json()["session"]
    assert other.get("/account/whoami")["device_id"] == "OTHER"
    alice.post("/delete_devices", {"devices": ["OTHER"], "auth": auth(alice)})
    other.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    alice.delete("/devices/OTHER", {"auth": auth(alice)})       # "or had been removed previously"
    stranger = register(hs)
    stranger.fails(404, "M_NOT_FOUND", "GET", f"/devices/{alice.device_id}")
    stranger.delete(f"/devices/{alice.device_id}", {"auth": auth(stranger)})
    assert alice.get("/account/whoami")["device_id"] == alice.device_id
