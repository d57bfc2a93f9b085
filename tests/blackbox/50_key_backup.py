"""Server-side key backups: versions, keys put, read and deleted in each of the three ways, and which key of a session stays."""
import json
import threading

import pytest

from client import login, q, register

ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
KEYS = "/room_keys/keys"
ROOM, OTHER = "!room:example.org", "!other:example.org"


def auth_data(key="abcdefg"):
    return {"public_key": key, "signatures": {"@a:example.org": {"ed25519:X": "sig"}}}


def key(index=0, forwarded=0, verified=False, data="x"):
    return {
        "first_message_index": index,
        "forwarded_count": forwarded,
        "is_verified": verified,
        "session_data": {"ephemeral": "e", "ciphertext": data, "mac": "m"},
    }


def create(user, **how):
    return user.post("/room_keys/version", {"algorithm": ALGORITHM, "auth_data": auth_data(**how)})["version"]


def url(version, *path):
    return "/".join([KEYS, *map(q, path)]) + f"?version={version}"


def put(user, version, rooms):
    return user.put(url(version), {"rooms": {room: {"sessions": sessions} for room, sessions in rooms.items()}})


def info(user, version=None):
    return user.get("/room_keys/version" + (f"/{version}" if version else ""))


def test_versions_are_made_read_changed_and_deleted(alice, bob):
    alice.fails(404, "M_NOT_FOUND", "GET", "/room_keys/version")
    first = create(alice)
    assert info(alice) == {"algorithm": ALGORITHM, "auth_data": auth_data(), "count": 0, "etag": "0", "version": first}
    second = create(alice, key="2")
    assert first != second and info(alice)["version"] == second
    assert info(alice, first)["auth_data"] == auth_data()
    alice.put(f"/room_keys/version/{first}", {"algorithm": ALGORITHM, "auth_data": auth_data("new"), "version": first})
    assert info(alice, first)["auth_data"] == auth_data("new") and info(alice)["auth_data"] == auth_data("2")
    alice.delete(f"/room_keys/version/{second}")
    assert info(alice)["version"] == first
    alice.fails(404, "M_NOT_FOUND", "GET", f"/room_keys/version/{second}")
    assert create(alice) not in (first, second)
    bob.fails(404, "M_NOT_FOUND", "GET", f"/room_keys/version/{first}")


def test_what_is_wrong_with_a_version_is_refused(alice):
    alice.fails(400, "M_MISSING_PARAM", "POST", "/room_keys/version", {"auth_data": {}})
    alice.fails(400, "M_MISSING_PARAM", "POST", "/room_keys/version", {"algorithm": ALGORITHM})
    alice.fails(400, "M_BAD_JSON", "POST", "/room_keys/version", {"algorithm": 1, "auth_data": {}})
    alice.fails(413, "M_TOO_LARGE", "POST", "/room_keys/version", {"algorithm": ALGORITHM, "auth_data": {"x": "x" * 70000}})
    version = create(alice)
    one = f"/room_keys/version/{version}"
    alice.fails(400, "M_INVALID_PARAM", "PUT", one, {"algorithm": "org.other", "auth_data": {}})
    alice.fails(400, "M_INVALID_PARAM", "PUT", one, {"algorithm": ALGORITHM, "auth_data": {}, "version": "99"})
    for never in ("99", "bogus", "0", "-1", "01", "1.0"):
        path = f"/room_keys/version/{never}"
        alice.fails(404, "M_NOT_FOUND", "GET", path)
        alice.fails(404, "M_NOT_FOUND", "PUT", path, {"algorithm": ALGORITHM, "auth_data": {}})
        alice.fails(404, "M_NOT_FOUND", "DELETE", path)
        alice.fails(404, "M_NOT_FOUND", "GET", url(never))
        alice.fails(404, "M_NOT_FOUND", "DELETE", url(never))
        alice.fails(404, "M_NOT_FOUND", "PUT", url(never), {"rooms": {}})
    alice.delete(one)
    assert alice.delete(one) == {}  # "if the backup was previously deleted, the call should succeed"


def test_keys_are_put_and_read_in_three_ways(alice):
    version = create(alice)
    assert alice.get(url(version)) == {"rooms": {}}
    assert alice.get(url(version, ROOM)) == {"sessions": {}}
    alice.fails(404, "M_NOT_FOUND", "GET", url(version, ROOM, "s1"))
    assert put(alice, version, {ROOM: {"s1": key(1)}, OTHER: {"s1": key(2), "s2": key(3)}}) == {"count": 3, "etag": "1"}
    assert alice.put(url(version, ROOM), {"sessions": {"s/3 ü": key(4)}}) == {"count": 4, "etag": "2"}
    assert alice.put(url(version, ROOM, "s4"), key(5)) == {"count": 5, "etag": "3"}
    everything = {
        ROOM: {"sessions": {"s1": key(1), "s/3 ü": key(4), "s4": key(5)}},
        OTHER: {"sessions": {"s1": key(2), "s2": key(3)}},
    }
    assert alice.get(url(version)) == {"rooms": everything}
    assert alice.get(url(version, ROOM)) == everything[ROOM]
    assert alice.get(url(version, ROOM, "s/3 ü")) == key(4)
    assert (info(alice)["count"], info(alice)["etag"]) == (5, "3")


def test_etags_change_only_with_keys(alice):
    version = create(alice)
    assert put(alice, version, {}) == {"count": 0, "etag": "0"}
    assert put(alice, version, {ROOM: {}}) == {"count": 0, "etag": "0"}
    assert put(alice, version, {ROOM: {"s1": key(5)}}) == {"count": 1, "etag": "1"}
    assert put(alice, version, {ROOM: {"s1": key(5, data="other")}}) == {"count": 1, "etag": "1"}
    assert put(alice, version, {ROOM: {"s1": key(6), "s2": key(6)}}) == {"count": 2, "etag": "2"}
    assert put(alice, version, {ROOM: {"s1": key(4)}}) == {"count": 2, "etag": "3"}
    assert alice.get(url(version, ROOM, "s1")) == key(4)
    assert alice.delete(url(version, OTHER)) == {"count": 2, "etag": "3"}
    assert alice.delete(url(version, ROOM, "none")) == {"count": 2, "etag": "3"}
    assert alice.delete(url(version, ROOM, "s1")) == {"count": 1, "etag": "4"}
    assert alice.get(url(version)) == {"rooms": {ROOM: {"sessions": {"s2": key(6)}}}}
    assert alice.delete(url(version, ROOM, "s2")) == {"count": 0, "etag": "5"}
    assert alice.get(url(version)) == {"rooms": {}}
    assert alice.delete(url(version)) == {"count": 0, "etag": "5"}


def test_rooms_and_whole_backups_are_emptied_and_filled_again(alice):
    version = create(alice)
    rooms = {room: {f"s{i}": key(i) for i in range(3)} for room in (ROOM, OTHER)}
    put(alice, version, rooms)
    assert alice.delete(url(version, ROOM)) == {"count": 3, "etag": "2"}
    assert list(alice.get(url(version))["rooms"]) == [OTHER]
    assert alice.put(url(version, ROOM, "s9"), key(9)) == {"count": 4, "etag": "3"}
    assert alice.get(url(version, ROOM)) == {"sessions": {"s9": key(9)}}
    assert alice.delete(url(version)) == {"count": 0, "etag": "4"}
    assert alice.get(url(version)) == {"rooms": {}}
    assert put(alice, version, rooms) == {"count": 6, "etag": "5"}
    assert alice.get(url(version)) == {"rooms": {room: {"sessions": sessions} for room, sessions in rooms.items()}}


def test_only_the_newest_version_takes_keys(alice):
    old = create(alice)
    put(alice, old, {ROOM: {"s1": key()}})
    new = create(alice)
    for path, body in (
        ((), {"rooms": {ROOM: {"sessions": {"s2": key()}}}}),
        ((ROOM,), {"sessions": {"s2": key()}}),
        ((ROOM, "s2"), key()),
    ):
        refused = alice.fails(403, "M_WRONG_ROOM_KEYS_VERSION", "PUT", url(old, *path), body)
        assert refused["current_version"] == new
    # an old one is still read and deleted from
    assert alice.get(url(old)) == {"rooms": {ROOM: {"sessions": {"s1": key()}}}}
    assert alice.delete(url(old, ROOM, "s1")) == {"count": 0, "etag": "2"}
    alice.delete(f"/room_keys/version/{new}")
    assert put(alice, old, {ROOM: {"s2": key()}}) == {"count": 1, "etag": "3"}


def test_a_new_version_begins_empty(alice):
    version = create(alice)
    put(alice, version, {ROOM: {"s1": key()}})
    alice.delete(f"/room_keys/version/{version}")
    alice.fails(404, "M_NOT_FOUND", "GET", url(version))
    assert alice.get(url(create(alice))) == {"rooms": {}}


BROKEN_KEYS = [
    {},
    {**key(), "first_message_index": "1"},
    {**key(), "forwarded_count": 1.5},
    {**key(), "is_verified": "yes"},
    {k: v for k, v in key().items() if k != "session_data"},
]


@pytest.mark.parametrize("broken", BROKEN_KEYS)
def test_broken_keys_are_refused_and_none_of_the_request_is_kept(alice, broken):
    version = create(alice)
    alice.fails(400, "M_BAD_JSON", "PUT", url(version), {"rooms": {ROOM: {"sessions": {"good": key(), "bad": broken}}}})
    alice.fails(400, "M_BAD_JSON", "PUT", url(version, ROOM, "bad"), broken)
    assert info(alice)["count"] == 0


def test_limits(alice):
    version = create(alice)
    alice.fails(413, "M_TOO_LARGE", "PUT", url(version, ROOM, "s"), key(data="x" * 17000))
    alice.fails(400, "M_INVALID_PARAM", "PUT", url(version, ROOM, "s" * 256), key())
    alice.fails(400, "M_INVALID_PARAM", "PUT", url(version, ROOM, "s"), key(-1))
    alice.fails(400, "M_BAD_JSON", "PUT", url(version), {"rooms": []})
    alice.fails(400, "M_BAD_JSON", "PUT", url(version, ROOM), {})
    twice = f'{{"sessions":{{"s":{json.dumps(key())},"s":{json.dumps(key())}}}}}'
    alice.fails(400, "M_BAD_JSON", "PUT", url(version, ROOM), data=twice.encode())
    alice.fails(400, "M_MISSING_PARAM", "GET", KEYS)
    alice.fails(400, "M_MISSING_PARAM", "PUT", KEYS, {"rooms": {}})
    alice.fails(400, "M_MISSING_PARAM", "DELETE", KEYS)
    for _ in range(99):
        create(alice)
    alice.fails(403, "M_RESOURCE_LIMIT_EXCEEDED", "POST", "/room_keys/version", {"algorithm": "a", "auth_data": {}})
    alice.delete(f"/room_keys/version/{version}")
    create(alice)


def test_many_keys_in_many_rooms_come_back_whole(each_hs):
    """More than fit one piece of writing or one page of reading."""
    alice = register(each_hs)
    version = create(alice)
    rooms = {f"!r{i}:example.org": {f"s{j}": key(j, data=f"{i}.{j}" * 20) for j in range(1 + i * 7 % 60)} for i in range(40)}
    count = sum(map(len, rooms.values()))
    assert count > 1000
    answer = put(alice, version, rooms)
    assert answer["count"] == count
    assert put(alice, version, rooms) == answer
    assert alice.get(url(version)) == {"rooms": {room: {"sessions": sessions} for room, sessions in rooms.items()}}
    for room, sessions in rooms.items():
        assert alice.get(url(version, room)) == {"sessions": sessions}


def test_backups_survive_a_restart(each_hs):
    alice = register(each_hs)
    version = create(alice)
    put(alice, version, {ROOM: {"s1": key()}})
    each_hs.restart()
    assert alice.get(url(version, ROOM, "s1")) == key()
    assert (info(alice)["etag"], info(alice)["count"]) == ("1", 1)


def test_devices_that_upload_at_once_count_each_session_once(each_hs):
    """As after a message to all of a user's devices: each backs up the same new sessions, some of them better than others."""
    alice = register(each_hs)
    version = create(alice)
    answers = []

    def upload(index):
        mine = login(each_hs, alice.user_id)
        for batch in range(5):
            rooms = {f"!r{batch}:x.org": {f"s{i}": key(index, data=str(index)) for i in range(10)}}
            answers.append(put(mine, version, rooms))

    threads = [threading.Thread(target=upload, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers) == 30
    assert info(alice)["count"] == 50
    # whoever came first, the earliest index stays; and every change had an etag of its own
    everything = alice.get(url(version))["rooms"]
    assert {k["first_message_index"] for room in everything.values() for k in room["sessions"].values()} == {0}
    changes = int(info(alice)["etag"])
    assert 5 <= changes <= 30 and {int(a["etag"]) for a in answers} == set(range(1, changes + 1))
