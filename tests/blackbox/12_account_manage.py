"""What a user may do to their own account and devices, and what must be proven first."""
import pytest

from client import Client, login, q, register
from server import Server

PASSWORD = "sesame-open-1"


def auth(user=None, password=PASSWORD, **extra):
    who = {"identifier": {"type": "m.id.user", "user": user}} if user else {}
    return {"auth": {"type": "m.login.password", "password": password, **who, **extra}}


def asked(client, method, path, body=None):
    answer = client.raw(method, path, body)
    assert answer.status_code == 401, answer.text
    got = answer.json()
    assert got["flows"] == [{"stages": ["m.login.password"]}] and got["session"] and "params" in got
    return got


def test_capabilities(alice, nobody):
    caps = alice.get("/capabilities")["capabilities"]
    assert caps["m.change_password"]["enabled"] is True
    assert caps["m.room_versions"]["available"][caps["m.room_versions"]["default"]] == "stable"
    assert caps["m.profile_fields"] == {"enabled": True} and caps["m.set_displayname"] == {"enabled": True}
    nobody.fails(401, "M_MISSING_TOKEN", "GET", "/capabilities")


def test_capabilities_say_what_the_operator_forbids():
    hs = Server(enable_set_displayname=False)
    try:
        dave = register(hs)
        caps = dave.get("/capabilities")["capabilities"]
        assert caps["m.profile_fields"] == {"enabled": True, "disallowed": ["displayname"]}
        assert caps["m.set_displayname"] == {"enabled": False} and caps["m.set_avatar_url"] == {"enabled": True}
        dave.fails(403, "M_FORBIDDEN", "PUT", f"/profile/{q(dave.user_id)}/displayname", {"displayname": "D"})
    finally:
        hs.close()


# devices

def test_devices_are_named_and_found(alice):
    other = login(alice.server, alice.user_id, device_id="login_device", initial_device_display_name="device display")
    got = alice.get("/devices/login_device")
    assert got["display_name"] == "device display" and got["last_seen_ip"] == "127.0.0.1" and got["last_seen_ts"] > 0
    assert alice.put("/devices/login_device", {"display_name": "renamed"}) == {}
    assert alice.put("/devices/login_device", {}) == {}
    assert other.get("/devices/login_device")["display_name"] == "renamed"
    assert alice.get(f"/devices/{alice.device_id}")["display_name"] is None
    for method in "GET", "PUT":
        alice.fails(404, "M_NOT_FOUND", method, "/devices/unknown", {} if method == "PUT" else None)
    alice.fails(400, "M_BAD_JSON", "PUT", "/devices/login_device", {"display_name": 1})
    alice.fails(413, "M_TOO_LARGE", "PUT", "/devices/login_device", {"display_name": "x" * 500})


def test_a_device_of_somebody_else(alice, bob):
    bob.fails(404, "M_NOT_FOUND", "GET", f"/devices/{alice.device_id}")
    bob.delete(f"/devices/{alice.device_id}", auth())  # his own of that name, which he does not have
    alice.get("/account/whoami")


def test_deleting_a_device_needs_the_password(alice, bob):
    other = login(alice.server, alice.user_id)
    path = f"/devices/{other.device_id}"
    asked(alice, "DELETE", path)
    asked(alice, "DELETE", path, {})
    got = asked(alice, "DELETE", path, auth(alice.user_id, "cashewnuts"))
    assert got["errcode"] == "M_FORBIDDEN" and got["completed"] == []
    alice.fails(403, "M_FORBIDDEN", "DELETE", path, auth(bob.user_id))
    other.get("/account/whoami")
    assert alice.delete(path, auth(alice.user_id)) == {}
    alice.fails(404, "M_NOT_FOUND", "GET", path)
    other.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")


def test_a_session_is_for_one_device(alice):
    one, two = login(alice.server, alice.user_id), login(alice.server, alice.user_id)
    session = asked(alice, "DELETE", f"/devices/{one.device_id}", {})["session"]
    alice.fails(403, "M_FORBIDDEN", "DELETE", f"/devices/{two.device_id}", auth(alice.user_id, session=session))
    two.get("/account/whoami")
    alice.delete(f"/devices/{one.device_id}", auth(session=session))
    asked(alice, "DELETE", f"/devices/{two.device_id}", {"auth": {"session": session}})


def test_deleting_several(alice):
    others = [login(alice.server, alice.user_id) for _ in range(3)]
    ids = [o.device_id for o in others[:2]] + ["unknown"]
    asked(alice, "POST", "/delete_devices", {"devices": ids})
    assert alice.post("/delete_devices", {"devices": ids, **auth()}) == {}
    assert {d["device_id"] for d in alice.get("/devices")["devices"]} == {alice.device_id, others[2].device_id}
    alice.fails(400, "M_MISSING_PARAM", "POST", "/delete_devices", auth())
    alice.fails(400, "M_BAD_JSON", "POST", "/delete_devices", {"devices": [1], **auth()})


# password

def test_a_new_password(alice):
    other = login(alice.server, alice.user_id)
    asked(alice, "POST", "/account/password", {"new_password": "my new password"})
    assert alice.post("/account/password", {"new_password": "my new password", **auth(alice.user_id)}) == {}
    alice.get("/account/whoami")
    other.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    old = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.user_id}, "password": PASSWORD}
    Client(alice.server).fails(403, "M_FORBIDDEN", "POST", "/login", old)
    login(alice.server, alice.user_id, "my new password")


def test_other_devices_may_stay(alice):
    other = login(alice.server, alice.user_id)
    alice.post("/account/password", {"new_password": "my new password", "logout_devices": False, **auth()})
    other.get("/account/whoami")


@pytest.mark.parametrize("status, errcode, body", [
    (400, "M_MISSING_PARAM", {}),
    (400, "M_BAD_JSON", {"new_password": 1}),
    (400, "M_INVALID_PARAM", {"new_password": ""}),
    (400, "M_INVALID_PARAM", {"new_password": "x" * 600}),
    (400, "M_BAD_JSON", {"new_password": "x", "logout_devices": "yes"}),
])
def test_a_password_that_cannot_be(alice, status, errcode, body):
    alice.fails(status, errcode, "POST", "/account/password", {**body, **auth()})
    login(alice.server, alice.user_id)


# the end

def test_deactivation(alice):
    other = login(alice.server, alice.user_id)
    got = asked(alice, "POST", "/account/deactivate", auth(alice.user_id, "wrong"))
    assert got["errcode"] == "M_FORBIDDEN" and got["error"] and got["completed"] == []
    assert alice.post("/account/deactivate", {"erase": True, **auth()}) == {"id_server_unbind_result": "success"}
    for c in alice, other:
        c.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    nobody = Client(alice.server)
    nobody.fails(403, "M_FORBIDDEN", "POST", "/login",
                 {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.user_id}, "password": PASSWORD})
    nobody.fails(400, "M_USER_IN_USE", "POST", "/register", {"username": alice.user_id.split(":")[0][1:], "password": PASSWORD})


def test_a_deactivated_user_leaves_every_room(alice, bob, hs):
    joined, invited = alice.create_room(preset="public_chat"), alice.create_room()
    bob.join(joined)
    alice.invite(invited, bob)
    session = bob.raw("POST", "/account/deactivate", {}).json()["session"]
    bob.post("/account/deactivate", {"auth": {"type": "m.login.password", "session": session, "password": "sesame-open-1",
                                              "identifier": {"type": "m.id.user", "user": bob.user_id}}})
    for room in (joined, invited):
        assert alice.get_state(room, "m.room.member", bob.user_id)["membership"] == "leave"
