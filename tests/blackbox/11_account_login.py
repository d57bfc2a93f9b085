"""Logging in and out, tokens and their refreshing."""
import time

import pytest

from client import Client, login, register
from server import FREE, Server

PASSWORD = "sesame-open-1"
REFRESH = "/_matrix/client/v3/refresh"


def by_password(name, password=PASSWORD, **extra):
    return {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": password, **extra}


def test_the_flows(nobody):
    assert {"type": "m.login.password"} in nobody.get("/login")["flows"]


@pytest.mark.parametrize("name", ["{id}", "{local}", "{LOCAL}"])
def test_a_password_and_a_name(nobody, alice, name):
    local = alice.user_id.split(":")[0][1:]
    got = nobody.post("/login", by_password(name.format(id=alice.user_id, local=local, LOCAL=local.upper())))
    assert got["user_id"] == alice.user_id and got["access_token"] and got["device_id"]
    assert got["well_known"]["m.homeserver"]["base_url"] == nobody.server.url + "/"


def test_the_older_way_to_say_user(nobody, alice):
    got = nobody.post("/login", {"type": "m.login.password", "user": alice.user_id, "password": PASSWORD})
    assert got["user_id"] == alice.user_id


def test_what_is_wrong_is_not_said(nobody, alice):
    bodies = [by_password(alice.user_id, "wrong"), by_password("nobody-at-all"), by_password("@a:elsewhere.org"),
              {"type": "m.login.password", "medium": "email", "address": "a@b.c", "password": PASSWORD},
              {"type": "m.login.password", "identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "a@b.c"}, "password": PASSWORD}]
    errors = {nobody.fails(403, "M_FORBIDDEN", "POST", "/login", b)["error"] for b in bodies}
    assert len(errors) == 1


@pytest.mark.parametrize("status, errcode, body", [
    (400, "M_MISSING_PARAM", {}),
    (400, "M_UNKNOWN", {"type": "m.login.nonsense"}),
    (400, "M_UNKNOWN", {"type": "m.login.token", "token": "x"}),  # nobody is given one here
    (400, "M_MISSING_PARAM", {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "x"}}),
    (400, "M_MISSING_PARAM", {"type": "m.login.password", "password": "x"}),
    (400, "M_BAD_JSON", {"type": "m.login.password", "identifier": "x", "password": "x"}),
    (400, "M_BAD_JSON", {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": 1}, "password": "x"}),
    (400, "M_UNKNOWN", {"type": "m.login.password", "identifier": {"type": "m.id.nonsense"}, "password": "x"}),
    (400, "M_BAD_JSON", {"type": 1}),
    (400, "M_INVALID_PARAM", None),
])
def test_a_login_that_makes_no_sense(nobody, alice, status, errcode, body):
    if body is None:
        body = by_password(alice.user_id, device_id="x" * 256)
    nobody.fails(status, errcode, "POST", "/login", body)


def test_no_json_at_all(nobody):
    answer = nobody.raw("POST", "/login", data=b"{not json")
    assert (answer.status_code, answer.json()["errcode"]) == (400, "M_NOT_JSON")
    answer = nobody.raw("POST", "/login", data=b"[]")
    assert (answer.status_code, answer.json()["errcode"]) == (400, "M_BAD_JSON")


def test_a_device_that_logs_in_again(nobody, alice):
    first = nobody.post("/login", by_password(alice.user_id, device_id="again", initial_device_display_name="one"))
    second = nobody.post("/login", by_password(alice.user_id, device_id="again", initial_device_display_name="two"))
    assert first["device_id"] == second["device_id"] == "again"
    Client(nobody.server, token=first["access_token"]).fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    c = Client(nobody.server, token=second["access_token"])
    assert c.get("/devices/again")["display_name"] == "one"


def test_tokens_that_do_not_work(nobody):
    nobody.fails(401, "M_MISSING_TOKEN", "GET", "/account/whoami")
    nobody.token = "hat_nonsense"
    assert nobody.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")["soft_logout"] is False
    answer = nobody.raw("GET", "/account/whoami", headers={"Authorization": "Basic Zm9vOmJhcg=="})
    assert answer.status_code == 401


def test_logout_is_for_one(alice):
    other = login(alice.server, alice.user_id)
    assert {d["device_id"] for d in alice.get("/devices")["devices"]} == {alice.device_id, other.device_id}
    assert alice.post("/logout") == {}
    alice.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    alice.fails(401, "M_UNKNOWN_TOKEN", "POST", "/logout", {})
    assert [d["device_id"] for d in other.get("/devices")["devices"]] == [other.device_id]


def test_logout_of_all(alice, bob):
    other = login(alice.server, alice.user_id)
    other.post("/logout/all")
    for c in alice, other:
        c.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    assert login(alice.server, alice.user_id).get("/devices")["devices"].__len__() == 1
    bob.get("/account/whoami")


def test_refreshing(each_hs):
    user = register(each_hs, refresh_token=True)
    nobody = Client(each_hs)
    first = nobody.post("/login", by_password(user.user_id, refresh_token=True))
    assert first["expires_in_ms"] > 0
    lost = nobody.post(REFRESH, {"refresh_token": first["refresh_token"]})
    second = nobody.post(REFRESH, {"refresh_token": first["refresh_token"]})  # the first answer was lost
    c = Client(each_hs, token=second["access_token"])
    assert c.get("/account/whoami")["device_id"] == first["device_id"]
    for gone in first, lost:
        nobody.fails(401, "M_UNKNOWN_TOKEN", "POST", "/refresh", {"refresh_token": gone["refresh_token"]})
        Client(each_hs, token=gone["access_token"]).fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    c.post("/logout")
    nobody.fails(401, "M_UNKNOWN_TOKEN", "POST", "/refresh", {"refresh_token": second["refresh_token"]})
    nobody.fails(400, "M_MISSING_PARAM", "POST", "/refresh", {})


def test_expired_tokens_are_soft_logouts():
    server = Server(nonrefreshable_access_token_lifetime="1s", refreshable_access_token_lifetime="1s", refresh_token_lifetime="1s",
                    session_lifetime="1s")
    try:
        c = register(server)
        fresh = Client(server).post("/login", by_password(c.user_id, refresh_token=True))
        assert 0 < fresh["expires_in_ms"] <= 1000
        c.get("/account/whoami")
        time.sleep(1.1)  # the expiry is what is tested
        assert c.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")["soft_logout"] is True
        got = Client(server).fails(401, "M_UNKNOWN_TOKEN", "POST", "/refresh", {"refresh_token": fresh["refresh_token"]})
        assert got["soft_logout"] is True
    finally:
        server.close()


def test_login_tokens():
    server = Server(login_via_existing_session={"enabled": True, "require_ui_auth": True, "token_timeout": "2m"})
    try:
        c, nobody = register(server), Client(server)
        assert {"type": "m.login.token", "get_login_token": True} in nobody.get("/login")["flows"]
        assert c.get("/capabilities")["capabilities"]["m.get_login_token"]["enabled"] is True
        path = "/_matrix/client/v1/login/get_token"
        asked = c.raw("POST", path, {})
        assert asked.status_code == 401 and asked.json()["flows"] == [{"stages": ["m.login.password"]}]
        got = c.post(path, {"auth": {"type": "m.login.password", "password": PASSWORD, "session": asked.json()["session"]}})
        assert got["expires_in_ms"] == 120000
        body = {"type": "m.login.token", "token": got["login_token"]}
        nobody.fails(400, "M_INVALID_PARAM", "POST", "/login", {**body, "device_id": "x" * 300})  # uses nothing up
        assert nobody.post("/login", body)["user_id"] == c.user_id
        nobody.fails(403, "M_FORBIDDEN", "POST", "/login", body)
    finally:
        server.close()


def test_login_tokens_are_off_by_default(alice):
    alice.fails(404, "M_UNRECOGNIZED", "POST", "/_matrix/client/v1/login/get_token", {})


def test_wrong_passwords_are_limited_per_account():
    server = Server(rc_login={"address": FREE, "account": FREE, "failed_attempts": {"per_second": 0.01, "burst_count": 2}})
    try:
        c, other = register(server), register(server)
        nobody = Client(server)
        for _ in range(2):
            nobody.fails(403, "M_FORBIDDEN", "POST", "/login", by_password(c.user_id, "wrong"))
        got = nobody.fails(429, "M_LIMIT_EXCEEDED", "POST", "/login", by_password(c.user_id))
        assert got["retry_after_ms"] > 0
        login(server, other.user_id)
    finally:
        server.close()


def test_everything_survives_a_crash():
    server = Server()
    try:
        c = register(server, refresh_token=True)
        server.kill()
        server.start()
        c.get("/account/whoami")
        login(server, c.user_id)
    finally:
        server.close()
