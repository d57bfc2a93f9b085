"""`hearth event check`: what it says of an event, by which rule, and with which status."""
import base64
import hashlib
import json
import pathlib
import subprocess

import pytest

from server import BINARY

VECTORS = json.loads((pathlib.Path(__file__).parents[1] / "vectors" / "events.json").read_text())
PUBLIC_KEY = "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"  # of the seed in the vectors


def check(given, *args, status=0):
    text = given if isinstance(given, str) else json.dumps(given)
    done = subprocess.run([BINARY, "event", "check", *args, "-"], input=text, text=True, capture_output=True, timeout=60)
    assert done.returncode == status, (args, done)
    return json.loads(done.stdout) if "--json" in args and status < 2 else done.stdout if status < 2 else done.stderr


def unpadded(data):
    return base64.b64encode(data).decode().rstrip("=")


def hashed(event):
    bare = {k: v for k, v in event.items() if k not in ("hashes", "signatures", "unsigned")}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return {**event, "hashes": {"sha256": unpadded(hashlib.sha256(text).digest())}}


def event(room, sender, type, content, state_key=None, auth=(), version=11, **more):
    refs = [[i, {"sha256": "x"}] for i in auth] if version < 3 else list(auth)
    ev = {"type": type, "sender": sender, "content": content, "room_id": room, "origin_server_ts": 1, "depth": 7,
          "prev_events": [["$prev:d", {"sha256": "x"}]] if version < 3 else ["$prev"], "auth_events": refs,
          "signatures": {sender.split(":", 1)[1]: {"ed25519:1": "x"}}, **more}
    if state_key is not None:
        ev["state_key"] = state_key
    if version < 3:
        ev["event_id"] = "$e:d"
    return hashed(ev)


def sketch(id, type, sender, content, state_key="", **more):
    return {"event_id": id, "type": type, "sender": sender, "content": content, "state_key": state_key, **more}


def room(version, members, *more):
    """Its room_id, what auth_events of a message of @a:d are, and the state."""
    create = sketch("$create:d", "m.room.create", "@c:d", {"creator": "@c:d", "room_version": str(version)}, room_id="!r:d")
    state = [create, *more] + [sketch(f"${u[1]}:d", "m.room.member", u, {"membership": m}, u) for u, m in members.items()]
    return ("!create:d" if version == 12 else "!r:d"), state


def result(answer, name):
    return next(c for c in answer["checks"] if c["check"] == name)


@pytest.mark.parametrize("version", range(1, 13))
def test_a_message_passes_everything(version):
    room_id, state = room(version, {"@a:d": "join"})
    auth = ["$a:d"] if version == 12 else ["$create:d", "$a:d"]
    given = {"room_version": str(version), "event": event(room_id, "@a:d", "m.room.message", {"body": "x"}, auth=auth, version=version),
             "auth_events": state, "state": state}
    answer = check(given, "--json")
    assert answer["verdict"] == "accepted" and answer["room_version"] == str(version)
    assert all(c["result"] == "passed" for c in answer["checks"]), answer
    assert [c["check"] for c in answer["checks"]] == [
        "canonical JSON", "size", "format", "event ID", "content hash", "signature", "auth_events", "rules, by auth_events",
        "rules, by the state"]
    assert result(answer, "rules, by the state")["text"] == "Otherwise, allow."
    assert answer["event_id"] == "$e:d" if version < 3 else len(answer["event_id"]) == 44
    assert check(given).endswith("\naccepted\n")


@pytest.mark.parametrize("version, number", [(1, "6"), (5, "6"), (6, "5"), (11, "5"), (12, "6")])
def test_a_refusal_names_its_rule(version, number):
    """The rules' numbers differ between the versions."""
    room_id, state = room(version, {"@a:d": "leave"})
    given = {"room_version": str(version), "state": state,
             "event": event(room_id, "@a:d", "m.room.message", {}, auth=["$create:d"], version=version)}
    answer = check(given, "--json", status=1)
    assert answer["verdict"] == "rejected" and result(answer, "auth_events")["result"] == "skipped"
    assert {k: result(answer, "rules, by the state")[k] for k in ("result", "page", "section", "number", "rule", "text")} == {
        "result": "failed", "page": f"rooms/v{version}", "section": "Authorisation rules", "number": number, "rule": "sender",
        "text": "If the sender's current membership state is not join, reject."}
    said = check(given, status=1)
    assert said.endswith("\nrejected\n")
    assert (f'failed    rules, by the state: User @a:d is not in the room\n          rooms/v{version}, Authorisation rules, '
            f'{number}: "If the sender\'s current membership state is not join, reject."\n') in said


def test_auth_events_are_asked_for():
    room_id, state = room(11, {"@a:d": "join", "@b:d": "join"})
    given = {"room_version": "11", "auth_events": state, "state": state}
    for auth, rule, says in ((["$create:d", "$a:d", "$b:d"], "auth_events.others", "does not belong there"),
                             (["$create:d", "$a:d", "$a:d"], "auth_events.twice", "two entries"),
                             (["$a:d"], "auth_events.create", "lacks the create event"),
                             (["$create:d", "$unknown"], None, "$unknown was not given")):
        answer = check({**given, "event": event(room_id, "@a:d", "m.room.message", {}, auth=auth)}, "--json", status=1)
        failed = result(answer, "auth_events")
        assert answer["verdict"] == "rejected" and failed["result"] == "failed"
        assert failed.get("rule") == rule and says in failed["says"]
    good = event(room_id, "@a:d", "m.room.message", {}, auth=["$create:d", "$a:d"])
    answer = check({**given, "event": good, "rejected": ["$a:d"]}, "--json", status=1)
    assert result(answer, "auth_events")["rule"] == "auth_events.rejected"
    # By its auth_events it may, by the state it may not.
    banned = [s for s in state if s["event_id"] != "$a:d"] + [sketch("$ban:d", "m.room.member", "@c:d", {"membership": "ban"}, "@a:d")]
    answer = check({**given, "event": good, "state": banned}, "--json", status=1)
    assert result(answer, "rules, by auth_events")["result"] == "passed"
    assert result(answer, "rules, by the state")["rule"] == "sender"


def test_nothing_rests_on_itself():
    """Versions 1 and 2 let servers choose event ids, so that events can name each other."""
    room_id, state = room(1, {"@a:d": "join"})
    member = event(room_id, "@a:d", "m.room.member", {"membership": "join"}, "@a:d", auth=["$create:d", "$e:d"], version=1)
    member["event_id"] = "$a:d"
    given = {"room_version": "1", "auth_events": [state[0], hashed(member)],
             "event": event(room_id, "@a:d", "m.room.message", {}, auth=["$create:d", "$a:d"], version=1)}
    answer = check(given, "--json", status=1)
    assert result(answer, "auth_events")["rule"] == "cycle"


def test_formats_and_hashes():
    room_id, state = room(11, {"@a:d": "join"})
    good = event(room_id, "@a:d", "m.room.message", {"body": "x"}, auth=["$create:d", "$a:d"])
    given = {"room_version": "11", "auth_events": state, "state": state}

    answer = check({**given, "event": {**good, "content": {"body": "y"}}}, "--json")
    assert result(answer, "content hash")["result"] == "redacted" and answer["verdict"] == "accepted"
    answer = check({**given, "event": {**good, "event_id": "$other"}}, "--json", status=1)
    assert answer["verdict"] == "dropped" and "$other is really" in result(answer, "event ID")["says"]
    for broken in ({"content": {"n": 1.5}}, {"content": {"n": 2**60}}):
        answer = check({**given, "event": hashed({**good, **broken})}, "--json", status=1)
        assert answer["verdict"] == "dropped" and result(answer, "canonical JSON")["result"] == "failed"
        assert answer["event_id"] is None
    answer = check({**given, "event": hashed({**good, "content": {"body": "x" * 65536}})}, "--json", status=1)
    assert answer["verdict"] == "dropped" and result(answer, "size")["result"] == "failed"
    for broken in ({"sender": "a"}, {"depth": "1"}, {"auth_events": ["x"]}, {"type": "t" * 256}):
        answer = check({**given, "event": hashed({**good, **broken})}, "--json", status=1)
        assert answer["verdict"] == "dropped" and result(answer, "format")["result"] == "failed"
    twice = json.dumps({**given, "event": good}).replace('"depth": 7', '"depth": 7, "depth": 7')
    answer = check(twice, "--json", status=1)
    assert result(answer, "canonical JSON")["result"] == "failed"


def test_signatures_are_verified_with_the_keys_that_are_given():
    vector = next(v for v in VECTORS["events"] if v["room_version"] == "11" and v["event"]["type"] == "m.room.create")
    server, key_id = VECTORS["server_name"], VECTORS["key_id"]
    ev = {**vector["event"], "hashes": {"sha256": vector["sha256"]}, "signatures": {server: {key_id: vector["signature"]}}}
    answer = check({"room_version": "11", "event": ev}, "--json")
    assert answer["event_id"] == vector["event_id"] and "not verified" in result(answer, "signature")["says"]
    answer = check({"event": ev, "room_version": "11", "keys": {server: {key_id: PUBLIC_KEY}}}, "--json")
    assert "has validly signed" in result(answer, "signature")["says"]
    for keys, says in (({server: {key_id: unpadded(bytes(32))}}, "is wrong"), ({server: {"ed25519:2": PUBLIC_KEY}}, "none of the keys"),
                       ({}, "none of the keys")):
        answer = check({"event": ev, "room_version": "11", "keys": keys}, "--json", status=1)
        assert answer["verdict"] == "dropped" and says in result(answer, "signature")["says"]
    answer = check({"event": {**ev, "signatures": {"e": {key_id: vector["signature"]}}}, "room_version": "11"}, "--json", status=1)
    assert "has not signed" in result(answer, "signature")["says"]


def test_who_authorised_a_join_has_signed():
    room_id, state = room(11, {"@b:e": "join"}, sketch("$rules:d", "m.room.join_rules", "@c:d", {"join_rule": "restricted"}))
    join = event(room_id, "@n:d", "m.room.member", {"membership": "join", "join_authorised_via_users_server": "@b:e"}, "@n:d")
    answer = check({"room_version": "11", "event": join, "state": state}, "--json", status=1)
    assert answer["verdict"] == "dropped"
    assert [(c["says"], c.get("rule")) for c in answer["checks"] if c["result"] == "failed"] == [
        ("e has not signed", "member.authorised.signed"),
        ("The server that authorised the join has not signed it", "member.authorised.signed")]
    join["signatures"]["e"] = {"ed25519:1": "x"}
    answer = check({"room_version": "11", "event": join, "state": state}, "--json")
    assert result(answer, "rules, by the state")["number"] == "4.3.5.3"


def test_what_is_no_such_file(tmp_path):
    for given, says in (("", "JSON"), ("[]", 'no object "event"'), ("{}", 'no object "event"'), ({"event": {}}, "no room_version"),
                        ({"event": {}, "room_version": "hearth.unknown"}, "no room version hearth.unknown"),
                        ({"event": {}, "room_version": "11", "auth_events": [{}]}, "auth_events[0]"),
                        ({"event": {}, "room_version": "11", "state": [7]}, "state[0]"),
                        ({"event": {}, "room_version": "11", "state": [sketch("$1", "t", "@a:d", {}), sketch("$2", "t", "@a:d", {})]},
                         "two events under t")):
        assert says in check(given, status=2), given
    for args in (["event"], ["event", "check"], ["event", "check", "a", "b"], ["event", "check", "--nonsense", "a"],
                 ["event", "check", str(tmp_path / "none.json")]):
        assert subprocess.run([BINARY, *args], capture_output=True, timeout=60).returncode == 2, args
    (tmp_path / "event.json").write_text(json.dumps({"event": {}, "room_version": "11"}))
    done = subprocess.run([BINARY, "event", "check", tmp_path / "event.json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout.endswith("\ndropped\n")


def test_the_help_has_it():
    for args in (["help"], ["help", "--man"]):
        assert "check" in subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=60, check=True).stdout


def test_what_an_event_says_cannot_pass_for_the_answer():
    room_id, state = room(11, {"@a:d": "join"})
    forged = "x\naccepted\n\x1b[2J\x9b"
    ev = event(room_id, "@a:d", forged, {}, "", auth=[e["event_id"] for e in state])
    answer = check({"room_version": "11", "event": ev, "auth_events": state, "state": state}, status=1)
    assert answer.endswith("\nrejected\n") and "accepted" not in answer.splitlines(), answer
    assert "\x1b" not in answer and "\x9b" not in answer and "\\u001b[2J\\u009b" in answer, answer
    said = check({"room_version": forged, "event": ev}, status=2)
    assert len(said.splitlines()) == 1, said


def test_an_answer_that_is_cut_is_none():
    room_id, state = room(11, {"@a:d": "join"})
    ev = event(room_id, "@a:d", "m.room.message", {}, auth=[])
    assert "too long" in check({"room_version": "11", "event": {**ev, "event_id": "$" + "x" * (1 << 24)}}, status=2)


def test_long_lists_take_no_square_of_their_length():
    room_id, state = room(11, {"@a:d": "join"})
    ev = event(room_id, "@a:d", "m.room.message", {}, auth=[e["event_id"] for e in state])
    more = [sketch(f"${i}", "m.room.member", "@c:d", {"membership": "leave"}, f"@{i}:d") for i in range(60000)]
    check({"room_version": "11", "event": ev, "auth_events": state + more, "state": state + more,
           "rejected": [f"$x{i}" for i in range(60000)]})
