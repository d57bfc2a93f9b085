"""Hostile input on every route there is: always a Matrix error with a 4xx (or an answer, where nothing is wrong), never a 5xx, and the
server lives on. The routes come from the server's own table, so a new one is tested the day it is there."""
import http.client
import json
import re
import subprocess

import pytest

from client import Client, login, q, register
from server import BINARY

ROUTES = [tuple(line.split(" ", 1)) for line in subprocess.run([BINARY, "routes"], capture_output=True, text=True, check=True).stdout.splitlines()]
WRITING = [(m, p) for m, p in ROUTES if m in ("POST", "PUT", "DELETE")]

DEEP = 100000
BODIES = {
    "empty": b"", "open": b"{", "close": b"}", "null": b"null", "list": b"[]", "number": b"1", "string": b'"x"', "object": b"{}",
    "nul": b"\0", "nul after": b"{}\0", "two": b"{}{}", "comma": b'{"a":1,}', "comment": b'{"a":1}//x', "single quotes": b"{'a':1}",
    "no utf-8": b"\xff\xfe{}", "bad utf-8": b'{"body":"\xff","user_id":"\xc0\x80","type":"\xed\xa0\x80"}', "bom": b"\xef\xbb\xbf{}",
    "utf-16": '{"a":1}'.encode("utf-16"), "lone surrogate": b'{"body":"\\ud800","reason":"\\udc00\\ud800"}',
    "surrogate key": b'{"\\ud800":1}', "escaped nul": b'{"body":"\\u0000","\\u0000":"\\u0000","reason":"\\u0000"}',
    "nan": b'{"a":NaN}', "infinity": b'{"a":-Infinity}', "huge number": b'{"a":1' + b"0" * 5000 + b"}", "huge exponent": b'{"a":1e99999}',
    "many digits": b'{"limit":9223372036854775808,"timeout":-9223372036854775809,"ts":18446744073709551616}',
    "minus zero": b'{"a":-0,"b":-0.0}', "deep lists": b"[" * DEEP, "deep closed": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP, "deep enough": b'{"a":' * 60 + b"1" + b"}" * 60, "deep content": b'{"content":' * 63 + b"{}" + b"}" * 63,
    "duplicates": b'{"user_id":"@a:b","user_id":1,"type":"m.login.dummy","type":[]}', "many keys": None, "long string": None, "oversize": None,
}
BODIES["many keys"] = json.dumps({f"k{i}": i for i in range(60000)}).encode()
BODIES["long string"] = json.dumps({"body": "x" * 900000, "reason": "x" * 100000}).encode()
BODIES["oversize"] = b'{"a":"' + b"x" * 17_000_000 + b'"}'

# What a value may be taken for, wherever it stands.
VALUES = [None, True, 0, -1, 2**53, 2**63, -(2**63), 10**30, 1.5, 1e308, "", "\0", "x" * 300, "x" * 70000, "@", "@:", "#:", "!", "$", ":", "@a:b", "*",
          "\U0010ffff", "\u202e", [], {}, [None], [[]], [{}], [0] * 1000, ["x" * 300], {"": ""}, {"a": {"b": {"c": []}}}, {"@a:b": "x"},
          {"type": "m.login.password"}, {"type": "m.login.dummy", "session": "x"}]

# @self:hearth.test and SELF become the user and the device that ask.
KEY = {"key": "A" * 43, "signatures": {"@self:hearth.test": {"ed25519:SELF": "A" * 86}}}
DEVICE_KEYS = {"user_id": "@self:hearth.test", "device_id": "SELF", "algorithms": ["m.megolm.v1.aes-sha2"], "keys": {"ed25519:SELF": "A" * 43},
               "signatures": KEY["signatures"]}
CROSS_KEY = {"user_id": "@self:hearth.test", "usage": ["master"], "keys": {"ed25519:" + "A" * 43: "A" * 43}, "signatures": KEY["signatures"]}
SESSION = {"first_message_index": 1, "forwarded_count": 0, "is_verified": True, "session_data": {"ciphertext": "x"}}
BACKUP = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "x", "signatures": {}}, "version": "1", "etag": "x", "count": 1}

PDU = {"type": "m.room.member", "room_id": "!x:hearth.test", "sender": "@a:peer.test", "state_key": "@a:peer.test", "content": {"membership": "join"},
       "origin_server_ts": 1, "depth": 2, "prev_events": ["$x"], "auth_events": ["$y"], "hashes": {"sha256": "x"}, "signatures": {"peer.test": {"ed25519:x": "y"}}}

# A good body for each route that reads one: every member is replaced by every value above.
GOOD = {
    "createRoom": {"visibility": "private", "preset": "private_chat", "name": "n", "topic": "t", "invite": [],
                   "invite_3pid": [], "room_version": "12", "creation_content": {}, "initial_state": [], "is_direct": True,
                   "power_level_content_override": {}},
    "account_data/{type}": {"a": 1}, "filter": {"room": {}, "event_fields": [], "event_format": "client", "presence": {}, "account_data": {}},
    "tags/{tag}": {"order": 0.5}, "invite": {"user_id": "@nobody:hearth.test", "reason": "r"},
    "kick": {"user_id": "@nobody:hearth.test", "reason": "r"}, "ban": {"user_id": "@nobody:hearth.test", "reason": "r"},
    "unban": {"user_id": "@nobody:hearth.test", "reason": "r"}, "leave": {"reason": "r"}, "forget": {}, "join": {"reason": "r"},
    "join/{roomIdOrAlias}": {"reason": "r", "third_party_signed": {}}, "knock/{roomIdOrAlias}": {"reason": "r"},
    "send/{eventType}": {"msgtype": "m.text", "body": "b", "m.mentions": {}, "m.relates_to": {}},
    "send/{eventType}/{txnId}": {"msgtype": "m.text", "body": "b", "m.mentions": {"user_ids": [], "room": True},
                                 "m.relates_to": {"rel_type": "m.thread", "event_id": "$x"}},
    "upgrade": {"new_version": "11", "additional_creators": []}, "state/{eventType}": {"topic": "x"}, "state/{eventType}/{stateKey}": {"topic": "x"}, "redact/{eventId}/{txnId}": {"reason": "r"}, "redact/{eventId}": {"reason": "r"},
    "presence/{userId}/status": {"presence": "online", "status_msg": "x"}, "typing/{userId}": {"typing": True, "timeout": 1}, "read_markers": {"m.fully_read": "$x", "m.read": "$x", "m.read.private": "$x"},
    "receipt/{receiptType}/{eventId}": {"thread_id": "main"}, "profile/{userId}/{keyName}": {"displayname": "x"},
    "publicRooms": {"limit": 1, "since": "x", "filter": {}, "include_all_networks": False, "third_party_instance_id": "x"},
    "user_directory/search": {"search_term": "x", "limit": 1}, "directory/room/{roomAlias}": {"room_id": "!x:hearth.test"},
    "directory/list/room/{roomId}": {"visibility": "public"}, "pushrules/global/{kind}/{ruleId}": {"actions": [], "conditions": [], "pattern": "x"},
    "enabled": {"enabled": True}, "actions": {"actions": []}, "devices/{deviceId}": {"display_name": "x", "auth": {}},
    "delete_devices": {"devices": [], "auth": {}}, "account/password": {"new_password": "sesame-open-2", "logout_devices": True, "auth": {}},
    "account/deactivate": {"auth": {}, "erase": False, "id_server": "x"}, "login": {"type": "m.login.password", "identifier": {}, "password": "x",
                                                                                    "device_id": "D", "initial_device_display_name": "x",
                                                                                    "refresh_token": True, "user": "x", "token": "x"},
    "login/get_token": {"auth": {}}, "refresh": {"refresh_token": "x"},
    "register": {"password": "sesame-open-1", "device_id": "D", "initial_device_display_name": "x", "inhibit_login": True,
                 "refresh_token": True, "auth": {"type": "m.login.dummy"}},
    "keys/upload": {"device_keys": DEVICE_KEYS, "one_time_keys": {"signed_curve25519:AAAAAQ": KEY}, "fallback_keys": {"signed_curve25519:AAAAAg": KEY}},
    "keys/query": {"device_keys": {"@self:hearth.test": []}, "timeout": 1}, "keys/claim": {"one_time_keys": {"@self:hearth.test": {"SELF": "signed_curve25519"}}, "timeout": 1},
    "keys/signatures/upload": {"@self:hearth.test": {"SELF": DEVICE_KEYS}},
    "keys/device_signing/upload": {"master_key": CROSS_KEY, "self_signing_key": CROSS_KEY, "user_signing_key": CROSS_KEY, "auth": {}},
    "room_keys/keys": {"rooms": {"!x:hearth.test": {"sessions": {"s": SESSION}}}}, "room_keys/keys/{roomId}": {"sessions": {"s": SESSION}},
    "room_keys/keys/{roomId}/{sessionId}": SESSION, "room_keys/version": BACKUP, "room_keys/version/{version}": BACKUP,
    "dehydrated_device": {"device_id": "D", "device_data": {"algorithm": "x"}, "initial_device_display_name": "x", "device_keys": DEVICE_KEYS,
                          "one_time_keys": {}, "fallback_keys": {}},
    "dehydrated_device/{deviceId}/events": {"next_batch": "x"},
    "sendToDevice/{eventType}/{txnId}": {"messages": {"@self:hearth.test": {"SELF": {"a": 1}}}},
    "request_token": {}, "user/keys/query": {"device_keys": {"@self:hearth.test": []}},
    "user/keys/claim": {"one_time_keys": {"@self:hearth.test": {"SELF": "signed_curve25519"}}},
    "get_missing_events/{roomId}": {"limit": 1, "min_depth": 0, "earliest_events": ["$x"], "latest_events": ["$y"]},
    "send_join/{roomId}/{eventId}": PDU, "send_leave/{roomId}/{eventId}": PDU, "send_knock/{roomId}/{eventId}": PDU,
    "invite/{roomId}/{eventId}": {"room_version": "11", "event": PDU, "invite_room_state": [PDU]},
    "_matrix/key/v2/query": {"server_keys": {"127.0.0.1:1": {"ed25519:x": {"minimum_valid_until_ts": 1}}}},
    "_synapse/admin/v1/register": {"nonce": "x", "username": "x", "password": "x", "admin": False, "mac": "00", "displayname": "x", "user_type": "x"},
}
# Where the members of members are looked at, too.
DEEPER = {
    "createRoom": [("room_alias_name", lambda v: v), ("initial_state", lambda v: [{"type": "org.example", "state_key": "", "content": {}, "x": v}]),
                   ("initial_state", lambda v: [{"type": v, "content": {}}]), ("initial_state", lambda v: [{"type": "x", "state_key": v, "content": {}}]),
                   ("initial_state", lambda v: [{"type": "x", "content": v}]), ("invite", lambda v: [v]),
                   ("initial_state", lambda v: [{"type": "m.room.join_rules", "content": {"join_rule": v, "allow": v}}]),
                   ("initial_state", lambda v: [{"type": "m.room.history_visibility", "content": {"history_visibility": v}}]),
                   ("initial_state", lambda v: [{"type": "m.room.name", "content": {"name": v}}]),
                   ("initial_state", lambda v: [{"type": "m.room.encryption", "content": {"algorithm": v}}]),
                   ("creation_content", lambda v: {"type": v, "m.federate": v, "predecessor": v}),
                   ("creation_content", lambda v: {"additional_creators": v}), ("creation_content", lambda v: {"additional_creators": [v]}),
                   ("power_level_content_override", lambda v: {"users": v}), ("power_level_content_override", lambda v: {"users_default": v}),
                   ("power_level_content_override", lambda v: {"events": {"x": v}, "notifications": v}),
                   ("power_level_content_override", lambda v: {"users": {"@a:b": v}})],
    "filter": [("room", lambda v: {"timeline": v}), ("room", lambda v: {"timeline": {"limit": v}}), ("room", lambda v: {"rooms": v}),
               ("room", lambda v: {"state": {"lazy_load_members": v}}), ("room", lambda v: {"timeline": {"types": [v]}}),
               ("room", lambda v: {"include_leave": v})],
    "send/{eventType}/{txnId}": [("m.mentions", lambda v: {"user_ids": v, "room": v}), ("m.mentions", lambda v: {"user_ids": [v]}),
                                 ("m.relates_to", lambda v: {"rel_type": "m.thread", "event_id": v}),
                                 ("m.relates_to", lambda v: {"rel_type": v, "event_id": "$x"})],
    "publicRooms": [("filter", lambda v: {"generic_search_term": v}), ("filter", lambda v: {"room_types": v}), ("filter", lambda v: {"room_types": [v]})],
    "pushrules/global/{kind}/{ruleId}": [("actions", lambda v: [v]), ("conditions", lambda v: [v]), ("actions", lambda v: [{"set_tweak": v, "value": v}]),
                                         ("conditions", lambda v: [{"kind": v, "key": v, "pattern": v, "is": v, "value": v}]),
                                         ("conditions", lambda v: [{"kind": "event_match", "key": v, "pattern": "x"}]),
                                         ("conditions", lambda v: [{"kind": "room_member_count", "is": v}])],
    "keys/upload": [("device_keys", lambda v: {**DEVICE_KEYS, "user_id": v}), ("device_keys", lambda v: {**DEVICE_KEYS, "keys": v, "signatures": v}),
                    ("device_keys", lambda v: {**DEVICE_KEYS, "keys": {"ed25519:SELF": v}}), ("one_time_keys", lambda v: {"signed_curve25519:AAAAAQ": v}),
                    ("one_time_keys", lambda v: {"x:y": {"key": v, "signatures": v}}), ("fallback_keys", lambda v: {"x:y": v})],
    "_matrix/key/v2/query": [("server_keys", lambda v: {"127.0.0.1:1": v}), ("server_keys", lambda v: {"127.0.0.1:1": {"ed25519:x": v}}),
                             ("server_keys", lambda v: {str(v)[:300]: {}}),
                             ("server_keys", lambda v: {"127.0.0.1:1": {"ed25519:x": {"minimum_valid_until_ts": v}}})],
    "keys/query": [("device_keys", lambda v: {"@nobody:hearth.test": v}), ("device_keys", lambda v: {"@nobody:hearth.test": [v]})],
    "keys/claim": [("one_time_keys", lambda v: {"@self:hearth.test": v}), ("one_time_keys", lambda v: {"@self:hearth.test": {"SELF": v}})],
    "keys/signatures/upload": [("@self:hearth.test", lambda v: {"SELF": v}), ("@self:hearth.test", lambda v: {"SELF": {**DEVICE_KEYS, "signatures": v}}),
                               ("@self:hearth.test", lambda v: {"SELF": {**DEVICE_KEYS, "signatures": {"@self:hearth.test": v}}})],
    "keys/device_signing/upload": [("master_key", lambda v: {**CROSS_KEY, "keys": v}), ("master_key", lambda v: {**CROSS_KEY, "usage": v, "user_id": v}),
                                   ("master_key", lambda v: {**CROSS_KEY, "signatures": v}), ("self_signing_key", lambda v: {**CROSS_KEY, "keys": {"ed25519:x": v}})],
    "room_keys/keys": [("rooms", lambda v: {"!x:hearth.test": v}), ("rooms", lambda v: {"!x:hearth.test": {"sessions": v}}),
                       ("rooms", lambda v: {"!x:hearth.test": {"sessions": {"s": v}}})],
    "room_keys/keys/{roomId}": [("sessions", lambda v: {"s": v}), ("sessions", lambda v: {"s": {**SESSION, "first_message_index": v}})],
    "dehydrated_device": [("device_data", lambda v: {"algorithm": v}), ("device_keys", lambda v: {**DEVICE_KEYS, "keys": v}),
                          ("one_time_keys", lambda v: {"x:y": v}), ("fallback_keys", lambda v: {"x:y": v})],
    "sendToDevice/{eventType}/{txnId}": [("messages", lambda v: {"@self:hearth.test": v}), ("messages", lambda v: {"@self:hearth.test": {"SELF": v}})],
    "login": [("identifier", lambda v: {"type": "m.id.user", "user": v}), ("identifier", lambda v: {"type": v, "user": "x"})],
    "register": [("username", lambda v: v), ("auth", lambda v: {"type": v}), ("auth", lambda v: {"type": "m.login.dummy", "session": v})],
    "account/password": [("auth", lambda v: {"type": "m.login.password", "identifier": v, "password": v, "session": v})],
    "delete_devices": [("devices", lambda v: [v]), ("auth", lambda v: {"type": v, "session": v})],
}

PARTS = ["%00", "%ff", "%C0%80", "%ED%A0%80", "%", "%2", "%zz", "%2F", "%252F", "..", ".", "%2e%2e", "%F0%9F%A6%8A", "+", "%20", "a" * 1000, "%00" * 200,
         "@", "%40:", "!", "%21:", "%23:", "$", "a%3Ab", "-1", "99999999999999999999", "%27%22", "%0d%0aX-Evil:%20yes", "%7Bx%7D", "*", "m.room.member"]
QUERIES = ["limit=-1", "limit=99999999999999999999", "limit=x", "limit=%00", "limit=1.5", "limit=", "from=%00", "from=p9999999999999999999b", "since=%ff",
           "since=s1_0_0_0_0", "since=" + "x" * 3000, "since=s1_ffffffff_99999999999_0_0", "timeout=-1", "timeout=x", "timeout=1", "filter=%7B",
           "filter=%7B%22room%22:1%7D", "filter=0", "filter=-1", "filter=" + "%5B" * 800, "dir=x", "dir=b&dir=f", "dir=b&from=x", "at=x", "membership=%00",
           "full_state=x", "set_presence=x", "format=%00", "username=%00", "username=" + "x" * 3000, "token=%00", "server=%00", "access_token=x",
           "access_token=", "=", "&&&", "a=b=c", "%00=%00", "%ff=%ff", "x" * 3000, "use_state_after=x", "order_by=x", "dir=b&limit=0", "dir=f&to=x",
           "before=%00", "after=x", "ts=x", "redirectUrl=javascript:x", "session=%00"]


def is_answer(status, text):
    """No failure of this server's own: what another server was to be asked for may not be had."""
    return status < 500 or (status in (502, 504) and json.loads(text).get("errcode") in ("M_CONNECTION_FAILED", "M_CONNECTION_TIMEOUT"))


def answers_well(status, body, what):
    """A 4xx in the Matrix form, or an answer; never what is the server's fault: that another one cannot be reached is not."""
    assert 200 <= status and is_answer(status, body), f"{what}: {status} {body[:500]}"
    if status >= 400:
        error = json.loads(body)
        assert re.fullmatch(r"(M|[A-Z0-9]+(\.[A-Z0-9]+)+)_[A-Z0-9_]+", error.get("errcode", "M_UIA" if "flows" in error else "")), f"{what}: {body[:500]}"
        assert isinstance(error.get("error", ""), str), what


class Prober:
    """A user with a room, who comes back whenever the server has thrown them out, and tells when the server is gone."""

    def __init__(self, hs):
        self.hs = hs
        self.connection = http.client.HTTPConnection("127.0.0.1", hs.port, timeout=60)
        self.renew()

    def close(self):
        self.alive()
        self.connection.close()

    def renew(self):
        self.user = register(self.hs)
        self.room = self.user.create_room(preset="public_chat")
        self.event = self.user.send(self.room, "x")

    def fill(self, path, **over):
        known = {"roomId": self.room, "roomIdOrAlias": self.room, "userId": self.user.user_id, "eventId": self.event, "eventType": "org.example",
                 "stateKey": "", "txnId": "t", "type": "org.example", "tag": "u.x", "filterId": "0", "kind": "override", "ruleId": "x",
                 "receiptType": "m.read", "keyName": "displayname", "deviceId": self.user.device_id, "roomAlias": "#x:hearth.test", "token": "x"}
        return re.sub(r"\{(\w+)\*?\}", lambda m: over.get(m[1]) or q(known.get(m[1], "x")), path)

    def ask(self, method, path, body=None, **headers):
        """(status, text): over http.client, which sends paths and bodies as they are."""
        c, kept = self.connection, self.connection.sock is not None
        try:
            try:
                return self._ask(c, method, path, body, headers)
            except ConnectionError:
                c.close()
                if not kept:
                    raise
                return self._ask(c, method, path, body, headers)  # it was closed meanwhile, perhaps; on a new one it would be the server's fault
        except Exception:
            c.close()
            raise

    def _ask(self, c, method, path, body, headers):
        c.putrequest(method, path, skip_accept_encoding=True)
        for k, v in {"Authorization": f"Bearer {self.user.token}", **headers}.items():
            c.putheader(k, v)
        if body is not None:
            c.putheader("Content-Type", "application/json")
            c.putheader("Content-Length", str(len(body)))
        c.endheaders()
        cut = False
        try:
            c.send(body or b"")
        except (BrokenPipeError, ConnectionResetError):
            cut = True  # refused before all of it was read
        answer = c.getresponse()
        got = answer.status, answer.read().decode(), answer.headers
        if cut:
            c.close()
        return got

    def well(self, method, path, body=None, what=""):
        status, text, _ = self.ask(method, path, body)
        answers_well(status, text, f"{method} {path[:200]} {what}")
        if status == 401 and json.loads(text).get("errcode") == "M_UNKNOWN_TOKEN":
            self.renew()
        return status

    def alive(self):
        assert self.hs.process.poll() is None, self.hs.output()[-2000:]
        assert Client(self.hs).get("/_matrix/client/versions")["versions"]


@pytest.fixture
def probe(each_hs):
    p = Prober(each_hs)
    yield p
    p.close()


@pytest.fixture(scope="module")
def reading(each_hs):
    """One for all that only read: nothing of it changes what another finds."""
    p = Prober(each_hs)
    yield p
    p.close()


@pytest.fixture
def reader(reading):
    yield reading
    reading.alive()


def short(route):
    return re.sub(r"^/_matrix/client/(v3|v1|r0|unstable)/|^/", "", route[1])


def named(routes):
    return {"argvalues": routes, "ids": [f"{m} {short((m, p))}" for m, p in routes]}


@pytest.mark.parametrize("route", **named(WRITING))
def test_bodies_that_are_none(probe, route):
    method, template = route
    for what, body in BODIES.items():
        status = probe.well(method, probe.fill(template), body, what)
        if what in ("open", "two", "nan", "no utf-8", "lone surrogate", "deep lists") and method != "DELETE":
            assert status >= 400 or takes_bytes(route) or short(route) in ("logout", "logout/all", "_health"), f"{route}: {what} was taken for JSON"


def takes_bytes(route):
    """Files are bytes of any kind; POST /create has no body to look at."""
    return route[1].startswith("/_matrix/media/")


def good_of(route):
    matching = [k for k in GOOD if short(route) == k or short(route).endswith("/" + k)]
    return None if takes_bytes(route) else max(matching, key=len, default=None)


def test_every_route_that_reads_a_body_is_here():
    bodiless = {"logout", "logout/all", "auth/{type}/fallback/web"}
    # What other servers send is signed, the body with it: tests/blackbox/9*_fed_*.py.
    elsewhere = ("/_synapse/admin/v1/registration_tokens", "/_matrix/federation/")
    missing = [r for r in WRITING if r[0] != "DELETE" and not good_of(r) and short(r) not in bodiless and not takes_bytes(r) and not r[1].startswith(elsewhere)]
    assert not missing, "a good body for each is to be added to GOOD"


@pytest.mark.parametrize("route", **named([r for r in WRITING if good_of(r)]))
def test_members_of_the_wrong_kind(probe, route):
    method, template = route
    good, changes = GOOD[good_of(route)], []
    for key in good:
        changes += [{**good, key: v} for v in VALUES] + [{k: v for k, v in good.items() if k != key}]
    for key, wrap in DEEPER.get(good_of(route), []):
        changes += [{**good, key: wrap(v)} for v in VALUES]
    for n, body in enumerate(changes):
        over = {"txnId": f"t{n}"} if "{txnId}" in template else {}
        text = json.dumps(body).replace("@self:hearth.test", probe.user.user_id).replace("SELF", probe.user.device_id)
        probe.well(method, probe.fill(template, **over), text.encode(), text[:300])


@pytest.mark.parametrize("route", **named([r for r in ROUTES if r[0] == "GET"]))
def test_odd_paths_to_read(reader, route):
    odd_parts(reader, *route)


@pytest.mark.parametrize("route", **named([r for r in ROUTES if r[0] != "GET"]))
def test_odd_paths_to_write(probe, route):
    odd_parts(probe, *route)


def odd_parts(probe, method, template):
    for name in re.findall(r"\{(\w+)\*?\}", template):
        for part in PARTS:
            path = probe.fill(template, **{name: part})
            body = b"{}" if method in ("POST", "PUT") else None
            status, text, headers = probe.ask(method, path + ("?timeout=0&dir=b" if method == "GET" else ""), body)
            assert "X-Evil" not in headers
            if status != 200 or text.startswith("{"):
                answers_well(status, text, f"{method} {path[:200]}")
            if status == 401 and "M_UNKNOWN_TOKEN" in text:
                probe.renew()


@pytest.mark.parametrize("route", **named([r for r in ROUTES if r[0] == "GET"]))
def test_odd_queries(reader, route):
    method, template = route
    for query in QUERIES:
        status, text, _ = reader.ask(method, f"{reader.fill(template)}?{query}")
        assert is_answer(status, text) or (status == 503 and "health" in template), f"{template}?{query[:100]}: {status} {text[:300]}"
        if status >= 400 and "<html" not in text:
            answers_well(status, text, f"{template}?{query[:100]}")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer x y", "Basic x", "Bearer " + "x" * 4000, "Bearer %00", "bearer\tx", "Bearer \xff\xfe"])
def test_odd_authorization(probe, header):
    status, text, _ = probe.ask("GET", "/_matrix/client/v3/account/whoami", Authorization=header.encode("latin-1"))
    assert status == 401, text
    answers_well(status, text, header)


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/", 404), ("GET", "/_matrix", 404), ("GET", "/_matrix/client/v3/nothing", 404), ("POST", "/_matrix/client/v9/login", 404),
    ("GET", "/_matrix/client/v3/rooms", 404), ("GET", "/_matrix/client/v3/rooms//state", 404), ("DELETE", "/_matrix/client/versions", 405),
    ("PATCH", "/_matrix/client/v3/login", 405), ("BREW", "/_matrix/client/v3/login", 405), ("GET", "/_matrix/client/v3/createRoom", 405),
    ("GET", "//_matrix/client/versions", 404), ("GET", "/_matrix/../_matrix/client/versions", 404), ("GET", "*", 404)])
def test_what_is_no_route(probe, method, path, status):
    got, text, _ = probe.ask(method, path)
    assert got == status and json.loads(text)["errcode"] == "M_UNRECOGNIZED", f"{got} {text}"


def test_what_was_stored_is_given_out_again(each_hs):
    """Content that is good JSON, and odd: it comes back as it was, by every way there is."""
    alice = register(each_hs)
    room = alice.create_room()
    odd = {"body": "\0\u202e\U0010ffff\ue000\ufeff\"\\/\b", "msgtype": "m.text", "": "", "\0": {"\0": []}, "n": [2**53 - 1, -(2**53) + 1, -0],
           "deep": json.loads("[" * 50 + "]" * 50), "__proto__": None, "unsigned": {"age": -1}, "m.relates_to": {"rel_type": 1, "event_id": {}},
           "m.mentions": [], "membership": "join", "displayname": 1}
    event = alice.send_content(room, odd)
    key = alice.set_state(room, "org.example.\0", odd, key="\0\U0010ffff")
    assert alice.get(f"/rooms/{q(room)}/event/{q(event)}")["content"] == odd
    assert alice.get_state(room, "org.example.\0", "\0\U0010ffff") == odd
    got = login(each_hs, alice.user_id).sync()["rooms"]["join"][room]
    assert [e["content"] for e in got["timeline"]["events"] if e["event_id"] in (event, key)] == [odd, odd]
    each_hs.restart()
    page = alice.get(f"/rooms/{q(room)}/messages", dir="b", limit=2)["chunk"]
    assert [e["content"] for e in page] == [odd, odd]
