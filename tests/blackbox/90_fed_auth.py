"""Requests between servers: whose they are, who is refused, and this server as a notary of keys."""
import http.client
import ssl
import threading
import time

import pytest
import requests

from client import Client, register
from fed import events
from fed.hearth import FedServer
from fed.peer import FED, Peer, q

PROFILE = f"{FED}/v1/query/profile?user_id="


@pytest.fixture
def target(fed):
    """A profile of the shared server's: what any server may ask for."""
    return PROFILE + q(register(fed).user_id)


def exactly(fed, method, target, *headers):
    """The status of what was sent as it is: other libraries rewrite targets, and join headers."""
    host, port = fed.name.split(":")
    c = http.client.HTTPSConnection(host, int(port), timeout=30, context=ssl.create_default_context(cafile=str(fed.authority.pem)))
    try:
        c.putrequest(method, target)
        for header in headers:
            c.putheader("Authorization", header)
        c.endheaders()
        return c.getresponse().status
    finally:
        c.close()


def refused(answer, status=401, errcode="M_UNAUTHORIZED"):
    assert (answer.status_code, answer.json()["errcode"]) == (status, errcode), answer.text
    assert answer.json()["error"]


def test_a_signed_request_is_answered(each_fed, peer):
    user = register(each_fed)
    assert peer.ask("GET", each_fed, PROFILE + q(user.user_id)) is not None
    assert peer.ask("POST", each_fed, f"{FED}/v1/user/keys/query", {"device_keys": {user.user_id: []}, "ä": [1, {"b": "\u2028"}]})["device_keys"]
    # Once, for both: the list was kept.
    assert len([r for r in peer.requests if r.path == "/_matrix/key/v2/server"]) == 1


def test_the_target_is_taken_byte_for_byte(fed, peer):
    user = register(fed).user_id
    for user_id in (q(user), user, user.replace(":", "%3a"), "%40" + user[1:], q(user) + "&x=%7E+%2B&&y", q(user) + "&x=?", q(user) + "&"):
        assert exactly(fed, "GET", PROFILE + user_id, peer.authorization("GET", fed.name, PROFILE + user_id)) == 200, user_id
    assert exactly(fed, "GET", PROFILE + user.replace(":", "%3a"), peer.authorization("GET", fed.name, PROFILE + user.replace(":", "%3A"))) == 401
    assert exactly(fed, "GET", PROFILE + user, peer.authorization("GET", fed.name, PROFILE + user + "&")) == 401


def test_what_is_signed_is_what_is_asked(fed, peer, target):
    refused(peer.raw("GET", fed, target, headers={"Authorization": peer.authorization("POST", fed.name, target)}))
    refused(peer.raw("GET", fed, target, headers={"Authorization": peer.authorization("GET", fed.name, target, {})}))
    query, body = f"{FED}/v1/user/keys/query", {"device_keys": {}}
    refused(peer.raw("POST", fed, query, body, headers={"Authorization": peer.authorization("POST", fed.name, query)}))
    refused(peer.raw("POST", fed, query, body, headers={"Authorization": peer.authorization("POST", fed.name, query, {"device_keys": {"x": []}})}))
    # The order of members, blanks and escapes are no part of it.
    header = peer.authorization("POST", fed.name, query, {"device_keys": {}, "ä": 1})
    answer = requests.post(f"https://{fed.name}{query}", data=b'{ "\\u00e4" : 1,\n "device_keys":{}}', headers={"Authorization": header},
                           verify=str(fed.authority.pem), timeout=20)
    assert answer.status_code == 200, answer.text


def test_head_is_signed_as_what_it_is(fed, peer, target):
    assert exactly(fed, "HEAD", target, peer.authorization("HEAD", fed.name, target)) == 200
    assert exactly(fed, "HEAD", target, peer.authorization("GET", fed.name, target)) == 401


def test_headers_that_are_no_proof(fed, peer, target):
    good = peer.authorization("GET", fed.name, target)
    other = events.Key("other.example")
    rows = {
        "none": "",
        "a user's": "Bearer syt_x",
        "no parameters": "X-Matrix ",
        "no signature": f'X-Matrix origin="{peer.name}",destination="{fed.name}",key="{peer.key.id}"',
        "no base64": f'X-Matrix origin="{peer.name}",destination="{fed.name}",key="{peer.key.id}",sig="!"',
        "another destination": peer.authorization("GET", "elsewhere.example", target),
        "another origin": good.replace(f'origin="{peer.name}"', 'origin="127.0.0.1:1"'),
        "another key's id": good.replace(peer.key.id, "ed25519:other"),
        "another's key": peer.authorization("GET", fed.name, target, key=other),
        "no server's name": good.replace(f'origin="{peer.name}"', 'origin="no/name"'),
        "this server itself": good.replace(f'origin="{peer.name}"', f'origin="{fed.name}"'),
        "one parameter twice": good + f',origin="{peer.name}"',
    }
    for what, header in rows.items():
        answer = peer.raw("GET", fed, target, headers={"Authorization": header})
        malformed = what in ("no parameters", "no signature", "no server's name", "one parameter twice")
        want = (400, "M_INVALID_PARAM") if malformed else (401, "M_UNAUTHORIZED")
        assert (answer.status_code, answer.json()["errcode"]) == want, f"{what}: {answer.text}"
    for header in (good, good.replace("X-Matrix", "x-matrix"), good.replace('",', '" , ').replace("origin=", "Origin="),
                   good.replace(f'destination="{fed.name}",', ""), good + ',unknown="x"'):
        assert peer.raw("GET", fed, target, headers={"Authorization": header}).status_code == 200, header


def test_a_header_for_each_key(fed, peer, target):
    """A server that changes its key may sign with both."""
    good = peer.authorization("GET", fed.name, target)
    new = good.replace(peer.key.id, "ed25519:new")
    other = peer.authorization("GET", fed.name, target, origin="other.example")

    def ask(*headers):
        return exactly(fed, "GET", target, *headers)

    assert [ask(good), ask(new, good), ask(good, new), ask(new), ask(good, other)] == [200, 200, 200, 401, 401]


def test_an_old_key_signs_no_requests(fed, peer, target):
    old = events.Key(peer.name, "old")
    peer.on("GET", "/key/v2/server", lambda r: (200, peer.key.sign({
        "server_name": peer.name, "valid_until_ts": int(time.time() * 1000) + 3600_000, "verify_keys": {peer.key.id: {"key": peer.key.public}},
        "old_verify_keys": {old.id: {"key": old.public, "expired_ts": int(time.time() * 1000) + 3600_000}}})))
    assert peer.raw("GET", fed, target).status_code == 200
    refused(peer.raw("GET", fed, target, headers={"Authorization": peer.authorization("GET", fed.name, target, key=old)}))


def test_a_new_key_is_found_at_once(fed, peer, target):
    assert peer.raw("GET", fed, target).status_code == 200
    peer.key = events.Key(peer.name, "next")
    assert peer.raw("GET", fed, target).status_code == 200


@pytest.mark.parametrize("what", ["another's", "not signed", "signed by another", "expired", "no JSON", "too large", "not there", "no object"])
def test_a_list_of_keys_that_is_none(fed, peer, target, what):
    now = int(time.time() * 1000)
    thief = events.Key(peer.name, peer.key.id.removeprefix("ed25519:"))
    list_ = {"server_name": peer.name, "valid_until_ts": now + 3600_000, "verify_keys": {peer.key.id: {"key": peer.key.public}}, "old_verify_keys": {}}
    answer = {
        "another's": lambda: (200, peer.key.sign({**list_, "server_name": "other.example"})),
        "not signed": lambda: (200, {**list_, "signatures": {}}),
        "signed by another": lambda: (200, thief.sign(dict(list_))),
        "expired": lambda: (200, peer.key.sign({**list_, "valid_until_ts": now - 1000})),
        "no JSON": lambda: (200, b"<html>"),
        "too large": lambda: (200, peer.key.sign({**list_, "x": "x" * 100_000})),
        "not there": lambda: (404, {"errcode": "M_UNRECOGNIZED"}),
        "no object": lambda: (200, []),
    }[what]
    undo = peer.on("GET", "/key/v2/server", lambda r: answer())
    refused(peer.raw("GET", fed, target))
    undo()
    assert peer.raw("GET", fed, target).status_code == 200


def test_keys_outlive_a_restart(peer):
    server = FedServer()
    try:
        target = PROFILE + q(register(server).user_id)
        assert peer.raw("GET", server, target).status_code == 200
        peer.stop()
        server.restart()
        assert peer.raw("GET", server, target).status_code == 200
    finally:
        server.close()


def test_strangers_keep_nobody_waiting(fed, peer, target):
    """Requests in the name of servers that never answer: those whose key is known are served meanwhile."""
    assert peer.raw("GET", fed, target).status_code == 200
    slow, answers, go_on = Peer(), [], threading.Event()

    def hold(request):
        go_on.wait(30)
        return 404, {}

    slow.on("GET", "/key/v2/server", hold)
    try:
        def ask():
            answers.append(slow.raw("GET", fed, target).status_code)

        threads = [threading.Thread(target=ask) for _ in range(60)]
        for t in threads:
            t.start()
        slow.wait_request("GET", "/key/v2/server")
        for _ in range(20):
            assert peer.raw("GET", fed, target, timeout=5).status_code == 200
        go_on.set()
        for t in threads:
            t.join()
        assert set(answers) == {401, 503} and answers.count(401) <= 20, answers
    finally:
        go_on.set()
        slow.close()


def test_only_those_on_the_list_are_spoken_with(peer):
    server = FedServer(federation_domain_whitelist=["friend.example"])
    try:
        refused(peer.raw("GET", server, PROFILE + q(register(server).user_id)), 403, "M_FORBIDDEN")
        assert not peer.requests
        assert not peer.ask("GET", server, f"/_matrix/key/v2/query/{peer.name}")["server_keys"]
    finally:
        server.close()


#
# A notary
#
def checked(fed, peer, lists):
    """The peer's lists, all of them signed by both."""
    notary_key = fed.keys()
    for found in lists:
        assert found["server_name"] == peer.name
        events.verify(found, peer.name, peer.key.id, peer.key.public)
        events.verify(found, fed.name, *notary_key)
    return lists


def test_a_list_is_handed_on(each_fed, peer):
    fed = each_fed
    for body in (fed_get(fed, f"/_matrix/key/v2/query/{peer.name}"),
                 fed_get(fed, f"/_matrix/key/v2/query/{peer.name}/{peer.key.id}"),
                 fed_post(fed, {peer.name: {}}),
                 fed_post(fed, {peer.name: {peer.key.id: {}}}),
                 fed_post(fed, {peer.name: {peer.key.id: {"minimum_valid_until_ts": 5}, "ed25519:no": {}}, "127.0.0.1:1": {}})):
        assert len(checked(fed, peer, body["server_keys"])) == 1
    # The one who asked for a key that there is not made us look.
    assert len(peer.requests) == 2
    own = fed_get(fed, f"/_matrix/key/v2/query/{fed.name}")["server_keys"]
    assert [k["server_name"] for k in own] == [fed.name]
    events.verify(own[0], fed.name, *fed.keys())
    assert fed_post(fed, {}) == {"server_keys": []}
    assert fed_post(fed, {"nobody.invalid": {}}) == {"server_keys": []}


def test_a_list_is_asked_for_anew_where_it_must_reach_further(fed, peer):
    until = int(time.time() * 1000) + 3600_000
    peer.on("GET", "/key/v2/server", lambda r: (200, peer.key.sign({
        "server_name": peer.name, "valid_until_ts": until, "verify_keys": {peer.key.id: {"key": peer.key.public}}, "old_verify_keys": {}})))

    def valid_until(least):
        found, = checked(fed, peer, fed_post(fed, {peer.name: {peer.key.id: {"minimum_valid_until_ts": least}}})["server_keys"])
        return found["valid_until_ts"], len(peer.requests)

    first = until
    assert valid_until(0) == (first, 1)
    assert valid_until(first) == (first, 1)
    until += 1000
    assert valid_until(first + 1) == (until, 2)
    # "If the server fails to respond to this request, intermediate notary servers should continue to return the last response"
    peer.on("GET", "/key/v2/server", lambda r: (500, {}))
    assert valid_until(until + 1) == (until, 3)
    assert fed_get(fed, f"/_matrix/key/v2/query/{peer.name}?minimum_valid_until_ts={until}")["server_keys"][0]["valid_until_ts"] == until


def test_a_key_that_its_server_forgot_is_still_vouched_for(fed, peer):
    before = peer.key
    checked(fed, peer, fed_post(fed, {peer.name: {before.id: {}}})["server_keys"])
    peer.key = events.Key(peer.name, "a2")
    fed_post(fed, {peer.name: {"ed25519:a2": {}}})
    found, = fed_post(fed, {peer.name: {before.id: {"minimum_valid_until_ts": 0}}})["server_keys"]
    events.verify(found, peer.name, before.id, before.public)


@pytest.mark.parametrize("body,errcode", [
    ({}, "M_MISSING_PARAM"), ({"server_keys": []}, "M_BAD_JSON"), ({"server_keys": {"a.example": []}}, "M_BAD_JSON"),
    ({"server_keys": {"a.example": {"ed25519:x": 1}}}, "M_BAD_JSON"),
    ({"server_keys": {"a.example": {"ed25519:x": {"minimum_valid_until_ts": "1"}}}}, "M_BAD_JSON"),
    ({"server_keys": {f"{n}.example": {} for n in range(200)}}, "M_TOO_LARGE"),
    ({"server_keys": {"a.example": {f"ed25519:{n}": {} for n in range(1000)}}}, "M_TOO_LARGE"),
])
def test_questions_that_are_none(fed, body, errcode):
    answer = Client(fed).raw("POST", "/_matrix/key/v2/query", json=body)
    assert 400 <= answer.status_code < 500 and answer.json()["errcode"] == errcode, answer.text


@pytest.mark.parametrize("with_key", [True, False])
def test_keys_of_who_is_gone_come_from_a_notary(fed, peer, with_key):
    checked(fed, peer, fed_get(fed, f"/_matrix/key/v2/query/{peer.name}")["server_keys"])
    peer.stop()
    key_id, key = fed.keys()
    notary = {"server_name": fed.name, "verify_keys": {key_id: key}} if with_key else {"server_name": fed.name}
    server = FedServer(trusted_key_servers=[notary])
    try:
        assert peer.raw("GET", server, PROFILE + q(register(server).user_id)).status_code == 200
    finally:
        server.close()


def test_a_notary_with_another_key_is_not_believed(fed, peer):
    checked(fed, peer, fed_get(fed, f"/_matrix/key/v2/query/{peer.name}")["server_keys"])
    peer.stop()
    server = FedServer(trusted_key_servers=[{"server_name": fed.name, "verify_keys": {fed.keys()[0]: events.Key("x").public}}])
    try:
        refused(peer.raw("GET", server, PROFILE + q(register(server).user_id)))
    finally:
        server.close()


def fed_get(fed, path):
    return Client(fed).get(path)


def fed_post(fed, server_keys):
    return Client(fed).post("/_matrix/key/v2/query", {"server_keys": server_keys})
