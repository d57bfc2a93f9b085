"""A client that says what it sends and checks what it gets: every JSON answer is held against the specification's schema."""
import importlib.machinery
import importlib.util
import itertools
import os
import urllib.parse

import requests

from schema_exceptions import EXCEPTIONS
from server import TOP

_tool = os.environ.get("VALIDATE_RESPONSE", str(TOP.parent / "shared" / "tools" / "validate-response"))
validator = None
if os.path.exists(_tool):
    _loader = importlib.machinery.SourceFileLoader("validate_response", _tool)
    validator = importlib.util.module_from_spec(importlib.util.spec_from_loader("validate_response", _loader))
    _loader.exec_module(validator)

_serial = itertools.count()
V3 = "/_matrix/client/v3"
ALWAYS_IN_SYNC = {"next_batch", "device_one_time_keys_count", "device_unused_fallback_key_types"}


def q(text):
    return urllib.parse.quote(text, safe="")


class MatrixError(Exception):
    def __init__(self, answer):
        self.status = answer.status_code
        try:
            self.body = answer.json()
        except ValueError:
            self.body = {}
        self.errcode = self.body.get("errcode")
        super().__init__(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}")


def check_schema(answer):
    path = answer.request.path_url
    if validator is None or not answer.headers.get("Content-Type", "").startswith("application/json"):
        return
    try:
        faults = validator.validate(answer.request.method, path, answer.status_code, answer.json())
    except validator.Unspecified:
        return
    excepted = [e for e in EXCEPTIONS if e.matches(answer.request.method, path, answer.status_code)]
    faults = [f for f in faults if not any(e.text in str(f) for e in excepted)]
    assert not faults, f"{answer.request.method} {path} {answer.status_code}: not the specified shape: {faults}\n{answer.text[:2000]}"


class Client:
    """One device of one user (or, without a token, nobody). Paths that do not begin with /_ are below /_matrix/client/v3."""

    def __init__(self, server, user_id=None, token=None, device_id=None):
        self.server, self.user_id, self.token, self.device_id = server, user_id, token, device_id
        self.http = requests.Session()
        self.next_batch = None

    def raw(self, method, path, json=None, timeout=60, **kw):
        """The answer whatever its status; its shape is checked."""
        headers = dict(kw.pop("headers", {}))
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        url = self.server.url + (path if path.startswith("/_") or path.startswith("/.") else V3 + path)
        answer = self.http.request(method, url, json=json, headers=headers, timeout=timeout, **kw)
        if getattr(self.server, "keeps_the_schema", True):
            check_schema(answer)
        return answer

    def do(self, method, path, json=None, **kw):
        """The JSON of a 2xx answer; MatrixError otherwise."""
        answer = self.raw(method, path, json, **kw)
        if answer.status_code >= 300:
            raise MatrixError(answer)
        return answer.json()

    def get(self, path, **params):
        return self.do("GET", path, params=params)

    def post(self, path, body=None, **kw):
        return self.do("POST", path, {} if body is None else body, **kw)

    def put(self, path, body=None, **kw):
        return self.do("PUT", path, {} if body is None else body, **kw)

    def delete(self, path, body=None, **kw):
        return self.do("DELETE", path, body, **kw)

    def fails(self, status, errcode, method, path, json=None, **kw):
        """Expects this error and gives its object."""
        answer = self.raw(method, path, json, **kw)
        body = answer.json()
        assert (answer.status_code, body.get("errcode")) == (status, errcode), f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return body

    # rooms
    def create_room(self, **options):
        return self.post("/createRoom", options)["room_id"]

    def join(self, room):
        return self.post(f"/join/{q(room)}")["room_id"]

    def invite(self, room, user):
        return self.post(f"/rooms/{q(room)}/invite", {"user_id": getattr(user, "user_id", user)})

    def leave(self, room):
        return self.post(f"/rooms/{q(room)}/leave")

    def send(self, room, body="hello", type="m.room.message", txn=None, **content):
        content = content or {"msgtype": "m.text", "body": body}
        txn = txn or f"t{next(_serial)}"
        return self.put(f"/rooms/{q(room)}/send/{q(type)}/{q(txn)}", content)["event_id"]

    def send_content(self, room, content, type="m.room.message"):
        return self.put(f"/rooms/{q(room)}/send/{q(type)}/t{next(_serial)}", content)["event_id"]

    def set_state(self, room, type, content, key=""):
        return self.put(f"/rooms/{q(room)}/state/{q(type)}/{q(key)}", content)["event_id"]

    def get_state(self, room, type, key=""):
        return self.get(f"/rooms/{q(room)}/state/{q(type)}/{q(key)}")

    def sync(self, timeout=0, since=..., **params):
        """With the remembered token (since=None: an initial one), which it moves on. To be there is news, to oneself, too, and not what
        most scenarios are about: set_presence is offline where nothing else is said."""
        params.setdefault("set_presence", "offline")
        since = self.next_batch if since is ... else since
        if since:
            params["since"] = since
        got = self.get("/sync", timeout=timeout, **params)
        self.next_batch = got["next_batch"]
        return got

    def sync_until(self, want, tries=50, timeout=5000, **params):
        """Long-polls until want(answer) is truthy, and gives what it gave."""
        for _ in range(tries):
            found = want(self.sync(timeout=timeout, **params))
            if found:
                return found
        raise AssertionError("what was waited for did not come")


def register(server, name=None, password="sesame-open-1", **extra):
    """A new user with a device, by open registration."""
    name = name or f"u{next(_serial)}"
    c = Client(server)
    got = c.post("/register", {"username": name, "password": password, "auth": {"type": "m.login.dummy"}, **extra})
    return Client(server, got["user_id"], got.get("access_token"), got.get("device_id"))


def login(server, user, password="sesame-open-1", **extra):
    got = Client(server).post("/login", {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user},
                                         "password": password, **extra})
    return Client(server, got["user_id"], got["access_token"], got["device_id"])
