"""Making accounts: by oneself, with a token, with terms, by the shared secret; and who may not."""
import concurrent.futures
import hashlib
import hmac
import re

import pytest
import requests

from client import Client, login
from server import Server

PASSWORD = "sesame-open-1"
DUMMY = {"type": "m.login.dummy"}
ADMIN = "/_synapse/admin/v1"


def ask(client, body):
    """The 401 of user-interactive authentication."""
    answer = client.raw("POST", "/register", body)
    assert answer.status_code == 401, answer.text
    return answer.json()


def test_the_flows_are_asked_for(nobody):
    got = ask(nobody, {})
    assert got["flows"] == [{"stages": ["m.login.dummy"]}]
    assert got["session"] and got["params"] == {}
    assert "errcode" not in got and "completed" not in got


def test_one_request_registers(nobody):
    got = nobody.post("/register", {"username": "Reg-One", "password": PASSWORD, "auth": DUMMY, "device_id": "mine",
                                    "initial_device_display_name": "my phone"})
    assert got["user_id"] == "@reg-one:hearth.test" and got["device_id"] == "mine"
    c = Client(nobody.server, got["user_id"], got["access_token"])
    assert c.get("/account/whoami") == {"user_id": got["user_id"], "device_id": "mine", "is_guest": False}
    assert c.get("/devices/mine")["display_name"] == "my phone"
    nobody.fails(400, "M_USER_IN_USE", "POST", "/register", {"username": "reg-one", "password": PASSWORD})


@pytest.mark.parametrize("char", list('!":?\\@[]{|}\u00a3\u00e9\n\'\0 ') + ["\U0001f600"])
def test_a_name_with_a_stray_character_is_refused(nobody, char):
    body = {"username": "chr-" + char, "password": PASSWORD, "auth": DUMMY}
    nobody.fails(400, "M_INVALID_USERNAME", "POST", "/register", body)


@pytest.mark.parametrize("name", ["", "_bridge", "12345", "a" * 250])
def test_a_name_that_cannot_be_is_refused(nobody, name):
    nobody.fails(400, "M_INVALID_USERNAME", "POST", "/register", {"username": name, "password": PASSWORD, "auth": DUMMY})
    nobody.fails(400, "M_INVALID_USERNAME", "GET", "/register/available", params={"username": name})


def test_availability(nobody, alice):
    assert nobody.get("/register/available", username="still-free") == {"available": True}
    nobody.fails(400, "M_USER_IN_USE", "GET", "/register/available", params={"username": alice.user_id.split(":")[0][1:]})
    nobody.fails(400, "M_MISSING_PARAM", "GET", "/register/available")


@pytest.mark.parametrize("body", [{"username": 1}, {"password": []}, {"auth": "x"}, {"inhibit_login": "yes"}, {"device_id": {}}])
def test_wrong_types_are_refused(nobody, body):
    nobody.fails(400, "M_BAD_JSON", "POST", "/register", body)


def test_registration_needs_a_password(nobody):
    nobody.fails(400, "M_MISSING_PARAM", "POST", "/register", {"username": "no-password", "auth": DUMMY})


def test_inhibit_login(nobody):
    got = nobody.post("/register", {"username": "inhibited", "password": PASSWORD, "auth": DUMMY, "inhibit_login": True})
    assert got["user_id"] == "@inhibited:hearth.test"
    assert "access_token" not in got and "device_id" not in got


def test_registration_remembers_and_is_idempotent(nobody):
    session = ask(nobody, {"username": "twice", "password": "p\u00e4ssw\u00f6rd-1", "device_id": "xyzzy"})["session"]
    body = {"auth": {"type": "m.login.dummy", "session": session}}
    first, second = nobody.post("/register", body), nobody.post("/register", body)
    assert first["user_id"] == second["user_id"] == "@twice:hearth.test"
    assert first["device_id"] == second["device_id"] == "xyzzy"
    nobody.token = first["access_token"]
    nobody.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")  # the same device logged in again
    assert login(nobody.server, "twice", "p\u00e4ssw\u00f6rd-1").user_id == first["user_id"]
    nobody.token = None
    nobody.fails(403, "M_FORBIDDEN", "POST", "/register", {"username": "thrice", "password": PASSWORD, **body})


def test_a_registration_is_repeated_with_its_own_parameters(nobody):
    session = ask(nobody, {})["session"]  # as most clients do, to learn the flows
    body = {"username": "lostanswer", "password": PASSWORD, "auth": {**DUMMY, "session": session}}
    assert nobody.post("/register", body)["user_id"] == nobody.post("/register", body)["user_id"] == "@lostanswer:hearth.test"
    assert nobody.post("/register", {"auth": {"session": session}})["user_id"] == "@lostanswer:hearth.test"
    nobody.fails(403, "M_FORBIDDEN", "POST", "/register", {**body, "username": "another"})


def test_a_changed_password_ends_the_session_that_made_the_account(nobody):
    session = ask(nobody, {"username": "regretful", "password": PASSWORD})["session"]
    body = {"auth": {**DUMMY, "session": session}}
    got = nobody.post("/register", body)
    Client(nobody.server, token=got["access_token"]).post("/account/password", {
        "new_password": "sesame-open-2", "auth": {"type": "m.login.password", "user": "regretful", "password": PASSWORD}})
    assert nobody.raw("POST", "/register", body).status_code != 200


def test_a_made_up_name(nobody):
    one, two = (nobody.post("/register", {"password": PASSWORD, "auth": DUMMY})["user_id"] for _ in range(2))
    assert one != two and re.fullmatch(r"@[a-z0-9]+:hearth\.test", one)


def test_guests_and_other_kinds_are_refused(nobody):
    nobody.fails(403, "M_GUEST_ACCESS_FORBIDDEN", "POST", "/register", {}, params={"kind": "guest"})
    nobody.fails(400, "M_INVALID_PARAM", "POST", "/register", {}, params={"kind": "bot"})


def test_a_refresh_token_is_given_on_request(nobody):
    got = nobody.post("/register", {"username": "refreshing", "password": PASSWORD, "auth": DUMMY, "refresh_token": True})
    assert got["refresh_token"] and got["expires_in_ms"] > 0


def test_the_stage_must_be_one_that_is_offered(nobody):
    got = ask(nobody, {"username": "staged", "auth": {"type": "m.login.recaptcha", "response": "x"}})
    assert got["errcode"] == "M_UNRECOGNIZED" and got["completed"] == []


# the shared secret

def signed(secret, nonce, name, password, admin):
    text = "\0".join([nonce, name, password, "admin" if admin else "notadmin"]).encode()
    return {"nonce": nonce, "username": name, "password": password, "admin": admin,
            "mac": hmac.new(secret.encode(), text, hashlib.sha1).hexdigest()}


def by_secret(client, name, admin=False):
    nonce = client.get(ADMIN + "/register")["nonce"]
    return signed(client.server.secret, nonce, name, PASSWORD, admin)


def admin_of(server, name="root"):
    c = Client(server)
    got = c.post(ADMIN + "/register", by_secret(c, name, admin=True))
    return Client(server, got["user_id"], got["access_token"], got["device_id"])


def test_the_shared_secret_registers_once(nobody):
    body = by_secret(nobody, "Secretive")
    got = nobody.post(ADMIN + "/register", body)
    assert got["user_id"] == "@secretive:hearth.test" and got["home_server"] == "hearth.test"
    nobody.fails(400, "M_UNKNOWN", "POST", ADMIN + "/register", body)  # the nonce was used
    forged = by_secret(nobody, "forged")
    nobody.fails(403, "M_FORBIDDEN", "POST", ADMIN + "/register", {**forged, "admin": True})
    nobody.fails(400, "M_UNKNOWN", "POST", ADMIN + "/register", signed(nobody.server.secret, "0" * 80, "forged", PASSWORD, False))
    nobody.fails(400, "M_INVALID_USERNAME", "POST", ADMIN + "/register", by_secret(nobody, "us,er"))
    for key in "nonce", "username", "password", "mac":
        nobody.fails(400, "M_BAD_JSON", "POST", ADMIN + "/register", {k: v for k, v in forged.items() if k != key})


# closed, by token, with terms

def test_closed_registration():
    server = Server(enable_registration=False, registration_shared_secret=None)
    try:
        c = Client(server)
        c.fails(403, "M_FORBIDDEN", "POST", "/register", {"username": "a", "password": PASSWORD, "auth": DUMMY})
        c.fails(403, "M_FORBIDDEN", "GET", "/register/available", params={"username": "a"})
        c.fails(403, "M_FORBIDDEN", "GET", "/_matrix/client/v1/register/m.login.registration_token/validity", params={"token": "a"})
        c.fails(400, "M_UNKNOWN", "GET", ADMIN + "/register")
    finally:
        server.close()


@pytest.fixture(scope="module")
def by_token():
    server = Server(registration_requires_token=True)
    yield server
    server.close()


def validity(client, token):
    return client.get("/_matrix/client/v1/register/m.login.registration_token/validity", token=token)["valid"]


def test_registration_tokens(by_token):
    c, admin = Client(by_token), admin_of(by_token)
    path = ADMIN + "/registration_tokens"
    admin.fails(404, "M_NOT_FOUND", "GET", path + "/one")
    assert admin.post(path + "/new", {"token": "one", "uses_allowed": 1}) == {
        "token": "one", "uses_allowed": 1, "pending": 0, "completed": 0, "expiry_time": None}
    assert len(admin.post(path + "/new")["token"]) == 16
    admin.fails(400, "M_INVALID_PARAM", "POST", path + "/new", {"token": "one"})
    admin.fails(400, "M_INVALID_PARAM", "POST", path + "/new", {"token": "not opaque"})
    admin.fails(400, "M_INVALID_PARAM", "POST", path + "/new", {"uses_allowed": -1})
    admin.fails(400, "M_INVALID_PARAM", "POST", path + "/new", {"expiry_time": 1})
    assert validity(c, "one") and not validity(c, "none")

    got = ask(c, {"username": "tok", "password": PASSWORD})
    assert got["flows"] == [{"stages": ["m.login.registration_token"]}]
    session = got["session"]
    got = ask(c, {"username": "tok", "password": PASSWORD, "auth": {"type": "m.login.registration_token", "token": "none", "session": session}})
    assert got["errcode"] == "M_UNAUTHORIZED"
    got = c.post("/register", {"username": "tok", "password": PASSWORD,
                               "auth": {"type": "m.login.registration_token", "token": "one", "session": session}})
    assert got["user_id"] == "@tok:hearth.test"
    assert not validity(c, "one")
    assert admin.get(path + "/one")["completed"] == 1
    assert "one" in [t["token"] for t in admin.get(path, valid="false")["registration_tokens"]]
    assert "one" not in [t["token"] for t in admin.get(path, valid="true")["registration_tokens"]]
    assert admin.put(path + "/one", {"uses_allowed": None})["uses_allowed"] is None
    assert validity(c, "one")
    assert admin.delete(path + "/one") == {}
    admin.fails(404, "M_NOT_FOUND", "DELETE", path + "/one")


def test_only_administrators_make_registration_tokens(by_token):
    c = Client(by_token)
    path = ADMIN + "/registration_tokens"
    c.fails(401, "M_MISSING_TOKEN", "GET", path)
    got = c.post(ADMIN + "/register", by_secret(c, "plain"))
    Client(by_token, token=got["access_token"]).fails(403, "M_FORBIDDEN", "POST", path + "/new", {})


def test_a_token_in_the_browser(by_token):
    """The fallback page, for clients that do not know the stage."""
    c, admin = Client(by_token), admin_of(by_token, "root2")
    admin.post(ADMIN + "/registration_tokens/new", {"token": "browser"})
    session = ask(c, {"username": "browsing", "password": PASSWORD})["session"]
    page = f"{by_token.url}/_matrix/client/v3/auth/m.login.registration_token/fallback/web"
    shown = requests.get(page, params={"session": session}, timeout=30)
    assert shown.status_code == 200 and shown.headers["Content-Type"].startswith("text/html")
    assert "answer" in shown.text and "script" not in shown.text
    wrong = requests.post(page, params={"session": session}, data={"answer": "nonsense"}, timeout=30)
    assert wrong.status_code == 401 and "onAuthDone" not in wrong.text
    ask(c, {"auth": {"session": session}})
    right = requests.post(page, params={"session": session}, data={"answer": "browser"}, timeout=30)
    assert right.status_code == 200 and "onAuthDone" in right.text
    assert c.post("/register", {"auth": {"session": session}})["user_id"] == "@browsing:hearth.test"
    assert requests.get(page, params={"session": "<b>"}, timeout=30).status_code == 400
    assert requests.post(page, params={"session": "unknown"}, data={"answer": "x"}, timeout=30).status_code == 404


def test_accounts_are_limited_by_address():
    server = Server(rc_registration={"per_second": 0.01, "burst_count": 2})
    try:
        c = Client(server)
        for _ in range(5):
            ask(c, {})  # asking is not registering
        for _ in range(2):
            c.post("/register", {"password": PASSWORD, "auth": DUMMY})
        answer = c.raw("POST", "/register", {"password": PASSWORD, "auth": DUMMY})
        assert answer.status_code == 429 and answer.json()["errcode"] == "M_LIMIT_EXCEEDED"
        assert answer.json()["retry_after_ms"] > 0 and int(answer.headers["Retry-After"]) > 0
        while (status := c.raw("POST", "/register", {}).status_code) == 401:
            pass
        assert status == 429  # nor is it free
    finally:
        server.close()


def test_one_of_many_gets_the_name(each_hs):
    body = {"username": "wanted", "password": PASSWORD, "auth": DUMMY}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: Client(each_hs).raw("POST", "/register", body), range(8)))
    assert sorted(a.status_code for a in answers) == [200] + [400] * 7
    assert {a.json().get("errcode") for a in answers} == {None, "M_USER_IN_USE"}


def test_a_session_survives_a_restart():
    server = Server()
    try:
        c = Client(server)
        session = ask(c, {"username": "patient", "password": PASSWORD})["session"]
        server.restart()
        assert c.post("/register", {"auth": {"type": "m.login.dummy", "session": session}})["user_id"] == "@patient:hearth.test"
    finally:
        server.close()
