"""What other servers read of our rooms and of our names: who is let in, what is whole, and how far back it goes."""
import pytest

from client import Client, q, register
from fed import events
from fed.peer import Peer, Refused
from server import TOP

FED = "/_matrix/federation"
VERSIONS = ["1", "3", "6", "10", "12"]


@pytest.fixture
def anna(each_fed):
    return register(each_fed)


def room_of(anna, version="10", visibility="shared", **options):
    return anna.create_room(preset="public_chat", room_version=version, initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": visibility}}], **options)


def entered(peer, server, room_id, user=None):
    return peer.join(server, room_id, user)


def refused(peer, server, path, status, errcode, method="GET", content=None):
    with pytest.raises(Refused) as e:
        peer.ask(method, server, FED + path, content)
    assert (e.value.status, e.value.errcode) == (status, errcode), e.value


def ids(version, pdus):
    return [events.event_id(version, e) for e in pdus]


def missing(peer, server, room_id, latest, earliest=(), **over):
    body = {"latest_events": list(latest), "earliest_events": list(earliest), "limit": 10, **over}
    return peer.ask("POST", server, f"{FED}/v1/get_missing_events/{q(room_id)}", body)["events"]


#
# Events and history
#
@pytest.mark.parametrize("version", VERSIONS)
def test_an_event_and_what_is_around_it(each_fed, anna, peer, version):
    room_id = room_of(anna, version)
    sent = [anna.send(room_id, f"m{i}") for i in range(5)]
    room = entered(peer, each_fed, room_id)
    key_id, public = each_fed.keys()

    got = peer.get(each_fed, f"/v1/event/{q(sent[2])}")
    assert got["origin"] == each_fed.name and len(got["pdus"]) == 1
    assert got["pdus"][0]["content"]["body"] == "m2"
    assert ids(version, got["pdus"]) == [sent[2]]
    events.verify_event(version, got["pdus"][0], each_fed.name, key_id, public)

    back = peer.get(each_fed, f"/v1/backfill/{q(room_id)}?v={q(sent[4])}&limit=3")["pdus"]
    assert ids(version, back) == [sent[4], sent[3], sent[2]]
    whole = peer.get(each_fed, f"/v1/backfill/{q(room_id)}?v={q(sent[4])}&limit=1000")["pdus"]
    assert whole[-1]["type"] == "m.room.create"
    assert ids(version, missing(peer, each_fed, room_id, [sent[4]], [sent[1]])) == [sent[2], sent[3]]
    assert len(missing(peer, each_fed, room_id, [sent[4]], limit=2)) == 2
    assert len(missing(peer, each_fed, room_id, [sent[4]], min_depth=10**9)) > 3  # what depth says is not believed

    chain = peer.get(each_fed, f"/v1/event_auth/{q(room_id)}/{q(sent[0])}")["auth_chain"]
    assert {e["type"] for e in chain} >= {"m.room.create", "m.room.power_levels", "m.room.member"}
    assert sent[0] not in ids(version, chain)
    assert room.state_event("m.room.member", anna.user_id)["content"]["membership"] == "join"


@pytest.mark.parametrize("version", ["1", "10", "12"])
def test_the_state_before_an_event(each_fed, anna, peer, version):
    room_id = room_of(anna, version)
    entered(peer, each_fed, room_id)
    topics = [anna.set_state(room_id, "m.room.topic", {"topic": t}) for t in ("one", "two")]
    said = anna.send(room_id, "after")

    def state(event_id):
        whole = peer.get(each_fed, f"/v1/state/{q(room_id)}?event_id={q(event_id)}")
        named = peer.get(each_fed, f"/v1/state_ids/{q(room_id)}?event_id={q(event_id)}")
        assert sorted(ids(version, whole["pdus"])) == sorted(named["pdu_ids"])
        assert sorted(ids(version, whole["auth_chain"])) == sorted(named["auth_chain_ids"])
        known = set(named["pdu_ids"]) | set(named["auth_chain_ids"])
        for e in whole["pdus"] + whole["auth_chain"]:
            assert set(events.ids(version, e["auth_events"])) <= known
        return named["pdu_ids"]

    assert topics[0] not in state(topics[0])
    assert topics[0] in state(topics[1]) and topics[1] not in state(topics[1])
    assert topics[1] in state(said) and topics[0] not in state(said)


def test_an_event_by_its_time(each_fed, anna, peer):
    room_id = room_of(anna)
    sent = [anna.send(room_id, f"m{i}") for i in range(3)]
    entered(peer, each_fed, room_id)
    times = [peer.get(each_fed, f"/v1/event/{q(e)}")["pdus"][0]["origin_server_ts"] for e in sent]
    at = f"/v1/timestamp_to_event/{q(room_id)}"
    got = peer.get(each_fed, f"{at}?ts={times[1]}&dir=f")
    assert got["origin_server_ts"] == times[1] and got["event_id"] in sent
    first = peer.get(each_fed, f"{at}?ts=0&dir=f")
    assert peer.get(each_fed, f"/v1/event/{q(first['event_id'])}")["pdus"][0]["type"] == "m.room.create"
    refused(peer, each_fed, f"{at}?ts=0&dir=b", 404, "M_NOT_FOUND")
    refused(peer, each_fed, f"{at}?ts=0&dir=x", 400, "M_INVALID_PARAM")
    refused(peer, each_fed, f"{at}?ts=x&dir=f", 400, "M_INVALID_PARAM")
    refused(peer, each_fed, f"{at}?dir=f", 400, "M_MISSING_PARAM")
    refused(peer, each_fed, f"/v1/timestamp_to_event/{q(room_of(anna))}?ts=0&dir=f", 403, "M_FORBIDDEN")


def test_what_is_not_asked_rightly(each_fed, anna, peer):
    room_id, other = room_of(anna), room_of(anna)
    said, elsewhere = anna.send(room_id), anna.send(other)
    entered(peer, each_fed, room_id)
    r = f"{q(room_id)}"
    for path in ("state", "state_ids"):
        refused(peer, each_fed, f"/v1/{path}/{r}", 400, "M_MISSING_PARAM")
        refused(peer, each_fed, f"/v1/{path}/{r}?event_id=%24none", 404, "M_NOT_FOUND")
        refused(peer, each_fed, f"/v1/{path}/{r}?event_id={q(elsewhere)}", 404, "M_NOT_FOUND")
        refused(peer, each_fed, f"/v1/{path}/{q(other)}?event_id={q(elsewhere)}", 403, "M_FORBIDDEN")
        refused(peer, each_fed, f"/v1/{path}/%21none%3Ax?event_id={q(said)}", 404, "M_NOT_FOUND")
    refused(peer, each_fed, f"/v1/event_auth/{r}/{q(elsewhere)}", 404, "M_NOT_FOUND")
    refused(peer, each_fed, "/v1/event/%24none", 404, "M_NOT_FOUND")
    refused(peer, each_fed, f"/v1/backfill/{r}?limit=5", 400, "M_MISSING_PARAM")
    refused(peer, each_fed, f"/v1/backfill/{r}?v={q(said)}", 400, "M_MISSING_PARAM")
    refused(peer, each_fed, f"/v1/backfill/{r}?v={q(said)}&limit=-1", 400, "M_INVALID_PARAM")
    assert peer.get(each_fed, f"/v1/backfill/{r}?v={q(elsewhere)}&limit=5")["pdus"] == []
    for body in ({"latest_events": "x"}, {"latest_events": [1]}, {"limit": "x"}, {"earliest_events": {}}):
        refused(peer, each_fed, f"/v1/get_missing_events/{r}", 400, "M_BAD_JSON", "POST", body)
    refused(peer, each_fed, f"/v1/get_missing_events/{r}", 413, "M_TOO_LARGE", "POST", {"earliest_events": ["$x"] * 5000})


def test_whether_there_is_an_event_is_not_told_to_strangers(each_fed, anna, peer):
    said = anna.send(room_of(anna))
    answers = [peer.raw("GET", each_fed, f"{FED}/v1/event/{q(e)}") for e in ("$" + "n" * 43, said)]
    assert answers[0].status_code == 404
    assert (answers[0].status_code, answers[0].json()) == (answers[1].status_code, answers[1].json())


def test_who_is_shut_out(each_fed, anna, peer):
    room_id = room_of(anna)
    said = anna.send(room_id)
    entered(peer, each_fed, room_id)
    anna.set_state(room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["LOCALHOST"]})
    r = q(room_id)
    for path in (f"state/{r}?event_id={q(said)}", f"state_ids/{r}?event_id={q(said)}", f"event_auth/{r}/{q(said)}",
                 f"backfill/{r}?v={q(said)}&limit=1"):
        refused(peer, each_fed, f"/v1/{path}", 403, "M_FORBIDDEN")
    refused(peer, each_fed, f"/v1/event/{q(said)}", 404, "M_NOT_FOUND")
    refused(peer, each_fed, f"/v1/get_missing_events/{r}", 403, "M_FORBIDDEN", "POST", {"latest_events": [said], "earliest_events": []})


def test_what_happened_before_a_server_came(each_fed, anna, peer):
    room_id = room_of(anna, visibility="joined")
    secret = anna.send(room_id, "secret")
    entered(peer, each_fed, room_id)
    seen = anna.send(room_id, "seen")
    back = peer.get(each_fed, f"/v1/backfill/{q(room_id)}?v={q(seen)}&limit=10")["pdus"]
    by_id = dict(zip(ids("10", back), back))
    assert by_id[seen]["content"]["body"] == "seen"
    assert by_id[secret]["content"] == {}  # redacted: its id and signatures are good still
    key_id, public = each_fed.keys()
    events.verify(events.redact("10", by_id[secret]), each_fed.name, key_id, public)
    assert peer.get(each_fed, f"/v1/event/{q(secret)}")["pdus"][0]["content"] == {}


def test_a_large_state_comes_whole(fed, peer):
    anna = register(fed)
    room_id = room_of(anna)
    for i in range(150):
        anna.set_state(room_id, "org.example.large", {"text": "x" * 4000, "n": i}, key=f"k{i}")
    said = anna.send(room_id)
    entered(peer, fed, room_id)
    whole = peer.get(fed, f"/v1/state/{q(room_id)}?event_id={q(said)}")
    assert sum(e["type"] == "org.example.large" for e in whole["pdus"]) == 150
    assert sum(t.startswith("$") for t in peer.get(fed, f"/v1/state_ids/{q(room_id)}?event_id={q(said)}")["pdu_ids"]) > 150


#
# Erasure
#
def test_who_was_erased(each_fed, anna, peer):
    bert = register(each_fed)
    room_id = room_of(anna)
    bert.join(room_id)
    said, stays = bert.send(room_id, "forget me"), anna.send(room_id, "stays")
    bert.put(f"/profile/{q(bert.user_id)}/displayname", {"displayname": "Bert"})
    bert.put(f"/profile/{q(bert.user_id)}/org.example.colour", {"org.example.colour": "red"})
    entered(peer, each_fed, room_id)
    assert peer.get(each_fed, f"/v1/event/{q(said)}")["pdus"][0]["content"]["body"] == "forget me"
    bert.post("/account/deactivate", {"erase": True, "auth": {"type": "m.login.password", "password": "sesame-open-1",
                                                              "identifier": {"type": "m.id.user", "user": bert.user_id}}})
    assert peer.get(each_fed, f"/v1/event/{q(said)}")["pdus"][0]["content"] == {}
    back = peer.get(each_fed, f"/v1/backfill/{q(room_id)}?v={q(stays)}&limit=10")["pdus"]
    by_id = dict(zip(ids("10", back), back))
    assert by_id[said]["content"] == {} and by_id[stays]["content"]["body"] == "stays"
    assert [e for e in missing(peer, each_fed, room_id, [stays]) if e["content"].get("body") == "forget me"] == []
    # Nor is told any more what he said of himself.
    assert peer.get(each_fed, f"/v1/query/profile?user_id={q(bert.user_id)}") == {}
    assert anna.get(f"/profile/{q(bert.user_id)}") == {}


#
# Names
#
def test_queries_of_names(each_fed, anna, peer):
    alias = f"#{anna.user_id[1:].split(':')[0]}:{each_fed.name}"
    room_id = room_of(anna, room_alias_name=alias[1:].split(":")[0])
    anna.put(f"/profile/{q(anna.user_id)}/displayname", {"displayname": "Anna"})
    anna.put(f"/profile/{q(anna.user_id)}/org.example.colour", {"org.example.colour": ["red"]})

    assert peer.get(each_fed, f"/v1/query/directory?room_alias={q(alias)}") == {"room_id": room_id, "servers": [each_fed.name]}
    entered(peer, each_fed, room_id)
    assert set(peer.get(each_fed, f"/v1/query/directory?room_alias={q(alias)}")["servers"]) == {each_fed.name, peer.name}
    refused(peer, each_fed, "/v1/query/directory?room_alias=%23none%3A" + q(each_fed.name), 404, "M_NOT_FOUND")
    refused(peer, each_fed, "/v1/query/directory", 400, "M_MISSING_PARAM")

    user = q(anna.user_id)
    assert peer.get(each_fed, f"/v1/query/profile?user_id={user}") == {"displayname": "Anna", "org.example.colour": ["red"]}
    assert peer.get(each_fed, f"/v1/query/profile?user_id={user}&field=displayname") == {"displayname": "Anna"}
    assert peer.get(each_fed, f"/v1/query/profile?user_id={user}&field=org.example.colour") == {"org.example.colour": ["red"]}
    refused(peer, each_fed, f"/v1/query/profile?user_id={user}&field=org.example.none", 404, "M_NOT_FOUND")
    refused(peer, each_fed, f"/v1/query/profile?user_id=%40nobody%3A{q(each_fed.name)}", 404, "M_NOT_FOUND")
    refused(peer, each_fed, "/v1/query/profile?user_id=%40x%3Aelsewhere", 400, "M_INVALID_PARAM")
    refused(peer, each_fed, "/v1/query/profile", 400, "M_MISSING_PARAM")


def test_the_list_of_rooms(each_fed, anna, peer):
    room_id = anna.create_room(preset="public_chat", visibility="public", name="Listed elsewhere", topic="t")
    listed = peer.get(each_fed, "/v1/publicRooms?limit=500")["chunk"]
    assert [r["name"] for r in listed if r["room_id"] == room_id] == ["Listed elsewhere"]
    found = peer.ask("POST", each_fed, f"{FED}/v1/publicRooms", {"filter": {"generic_search_term": "listed ELSE"}})["chunk"]
    assert room_id in [r["room_id"] for r in found]


def test_a_room_that_is_for_this_server_alone(each_fed, anna, peer):
    # Not joinable from elsewhere: neither listed there, nor shown in a space, nor read, whatever its history's visibility.
    top = anna.create_room(preset="public_chat", name="top", creation_content={"type": "m.space"})
    ours = room_of(anna, visibility="world_readable", name="Ours alone", creation_content={"m.federate": False})
    event_id = anna.send(ours, "secret")
    anna.put(f"/directory/list/room/{q(ours)}", {"visibility": "public"})
    child(anna, top, ours, [each_fed.name])
    assert ours in [r["room_id"] for r in anna.get("/publicRooms", limit=500)["chunk"]]

    for listed in (peer.get(each_fed, "/v1/publicRooms?limit=500"),
                   peer.ask("POST", each_fed, f"{FED}/v1/publicRooms", {"filter": {"generic_search_term": "Ours alone"}})):
        assert ours not in [r["room_id"] for r in listed["chunk"]]
    got = peer.get(each_fed, f"/v1/hierarchy/{q(top)}")
    assert got["children"] == [] and got["inaccessible_children"] == [ours]
    refused(peer, each_fed, f"/v1/hierarchy/{q(ours)}", 404, "M_NOT_FOUND")
    refused(peer, each_fed, f"/v1/event/{q(event_id)}", 404, "M_NOT_FOUND")
    refused(peer, each_fed, f"/v1/backfill/{q(ours)}?v={q(event_id)}&limit=5", 403, "M_FORBIDDEN")
    refused(peer, each_fed, f"/v1/make_join/{q(ours)}/{q(peer.user())}?ver=10", 403, "M_FORBIDDEN")


def test_names_of_others(each_fed, anna, peer):
    gert, room_id, alias = f"@gert:{peer.name}", "!room:peer", f"#alias:{peer.name}"
    peer.profiles[gert] = {"displayname": "Gert", "org.example.x": 1, "avatar_url": 7}
    peer.aliases[alias] = room_id
    peer.on("POST", "/publicRooms", lambda r: (200, {"chunk": [
        {"room_id": room_id, "num_joined_members": 3, "world_readable": False, "guest_can_join": False, "name": r.body.get("since", "first")},
        {"room_id": 7}], "next_batch": "more", "total_room_count_estimate": 1}))

    for _ in range(2):
        assert anna.get(f"/profile/{q(gert)}") == {"displayname": "Gert", "org.example.x": 1}
    assert len([r for r in peer.requests if "query/profile" in r.path]) == 1
    assert anna.get(f"/profile/{q(gert)}/displayname") == {"displayname": "Gert"}
    anna.fails(404, "M_NOT_FOUND", "GET", f"/profile/{q('@nobody:' + peer.name)}")
    anna.fails(404, "M_NOT_FOUND", "GET", f"/profile/{q(gert)}/org.example.none")

    assert anna.get(f"/directory/room/{q(alias)}") == {"room_id": room_id, "servers": [peer.name]}
    anna.fails(404, "M_NOT_FOUND", "GET", f"/directory/room/{q('#none:' + peer.name)}")

    page = anna.get("/publicRooms", server=peer.name, limit=5)
    assert page["next_batch"] == "more" and [r["name"] for r in page["chunk"]] == ["first"]
    assert anna.post("/publicRooms", {"since": "more"}, params={"server": peer.name})["chunk"][0]["name"] == "more"
    Client(each_fed).fails(401, "M_MISSING_TOKEN", "GET", "/publicRooms", params={"server": peer.name})
    anna.fails(400, "M_INVALID_PARAM", "GET", "/publicRooms", params={"server": "no name"})
    dead = Peer(start=False)
    anna.fails(502, "M_CONNECTION_FAILED", "GET", f"/profile/{q('@other:' + dead.name)}")
    dead.close()


def test_what_is_remembered_of_others_is_what_was_said(each_fed, anna, peer):
    deep = f"@deep:{peer.name}"
    peer.on("GET", "/query/profile", lambda r: (200, b'{"org.example.x":' + b"[" * 500 + b"]" * 500 + b"}") if r.arg("user_id") == deep else
            (400, {"errcode": "ORG_EXAMPLE_ODD", "error": "odd"}))
    for _ in range(2):
        anna.fails(502, "M_CONNECTION_FAILED", "GET", f"/profile/{q(deep)}")
        anna.fails(400, "ORG_EXAMPLE_ODD", "GET", f"/profile/{q('@odd:' + peer.name)}")


#
# Spaces
#
def child(user, parent, room, via, **content):
    user.set_state(parent, "m.space.child", {"via": list(via), **content}, key=room)


def test_a_space_for_other_servers(each_fed, anna, peer):
    top = anna.create_room(preset="public_chat", name="top", creation_content={"type": "m.space"})
    shown, hidden = anna.create_room(preset="public_chat", name="shown"), anna.create_room(preset="private_chat", name="hidden")
    for room in (shown, hidden, "!elsewhere:x"):
        child(anna, top, room, [each_fed.name], suggested=room == shown)
    got = peer.get(each_fed, f"/v1/hierarchy/{q(top)}")
    assert got["room"]["name"] == "top" and {e["state_key"] for e in got["room"]["children_state"]} == {shown, hidden, "!elsewhere:x"}
    assert [r["name"] for r in got["children"]] == ["shown"] and got["inaccessible_children"] == [hidden]
    got = peer.get(each_fed, f"/v1/hierarchy/{q(top)}?suggested_only=true")
    assert [e["state_key"] for e in got["room"]["children_state"]] == [shown] and got["inaccessible_children"] == []
    refused(peer, each_fed, f"/v1/hierarchy/{q(hidden)}", 404, "M_NOT_FOUND")
    refused(peer, each_fed, "/v1/hierarchy/%21none%3Ax", 404, "M_NOT_FOUND")
    anna.set_state(shown, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})
    refused(peer, each_fed, f"/v1/hierarchy/{q(shown)}", 403, "M_FORBIDDEN")
    got = peer.get(each_fed, f"/v1/hierarchy/{q(top)}")
    assert got["children"] == [] and sorted(got["inaccessible_children"]) == sorted([shown, hidden])


def test_a_space_with_rooms_elsewhere(each_fed, anna, peer):
    top = anna.create_room(preset="public_chat", name="top", creation_content={"type": "m.space"})
    space, leaf, secret, wrong = "!space:peer", "!leaf:peer", "!secret:peer", "!wrong:peer"
    summary = {"num_joined_members": 2, "world_readable": False, "guest_can_join": False}
    stripped = [{"type": "m.space.child", "state_key": r, "content": {"via": [peer.name]}, "sender": f"@x:{peer.name}",
                 "origin_server_ts": n} for n, r in enumerate([leaf, secret, top])] + [7, {"type": "m.space.child"}]

    def hierarchy(request):
        room_id = request.parts[1]
        if room_id == wrong:
            room_id = space
        if room_id != space:
            return 404, {"errcode": "M_NOT_FOUND", "error": "no"}
        return 200, {"room": {**summary, "room_id": space, "room_type": "m.space", "name": "space", "join_rule": "public",
                              "children_state": stripped},
                     "children": [{**summary, "room_id": leaf, "name": "leaf", "join_rule": "knock"},
                                  {**summary, "room_id": secret, "name": "secret", "join_rule": "invite"}],
                     "inaccessible_children": []}

    peer.on("GET", "/hierarchy/", hierarchy)
    dead = Peer(start=False)
    child(anna, top, space, [dead.name, each_fed.name, peer.name], order="1")
    child(anna, top, wrong, [peer.name], order="2")
    walk = lambda **kw: anna.get(f"/_matrix/client/v1/rooms/{q(top)}/hierarchy", **kw)  # noqa: E731
    got = walk()
    assert [r["name"] for r in got["rooms"]] == ["top", "space", "leaf"]
    assert [e["state_key"] for e in got["rooms"][1]["children_state"]] == [leaf, secret, top]
    asked = len(peer.requests)
    first = walk(limit=2)
    assert [r["name"] for r in walk(limit=2, **{"from": first["next_batch"]})["rooms"]] == ["leaf"]
    assert len(peer.requests) == asked, "what was answered is kept"
    assert [r["name"] for r in walk(max_depth=0)["rooms"]] == ["top"]
    dead.close()


#
# Media
#
def upload(server, user, data, type, name):
    answer = user.http.post(f"{server.url}/_matrix/media/v3/upload", params={"filename": name}, data=data,
                            headers={"Authorization": f"Bearer {user.token}", "Content-Type": type})
    return answer.json()["content_uri"].rsplit("/", 1)[1]


def parts_of(answer):
    """The two parts of a multipart answer: (headers, bytes) each."""
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("multipart/mixed; boundary="), answer.text[:300]
    boundary = answer.headers["Content-Type"].split("boundary=")[1].encode()
    assert answer.content.endswith(b"\r\n--" + boundary + b"--\r\n")
    first, second = answer.content.removesuffix(b"\r\n--" + boundary + b"--\r\n").split(b"\r\n--" + boundary + b"\r\n")
    first = first.removeprefix(b"--" + boundary + b"\r\n")
    return [(dict(h.split(": ", 1) for h in p.split(b"\r\n\r\n", 1)[0].decode().split("\r\n")), p.split(b"\r\n\r\n", 1)[1]) for p in (first, second)]


@pytest.mark.parametrize("size", [0, 5, 300_000, 3_000_000])
def test_a_file_in_two_parts(each_fed, anna, peer, size):
    data = bytes(i * 7 % 256 for i in range(1000)) * (size // 1000 + 1)
    data = data[:size]
    media_id = upload(each_fed, anna, data, "image/png", "picture of Ä.png")
    meta, file = parts_of(peer.raw("GET", each_fed, f"{FED}/v1/media/download/{media_id}"))
    assert meta == ({"Content-Type": "application/json"}, b"{}")
    assert file[1] == data and file[0]["Content-Type"] == "image/png"
    assert file[0]["Content-Disposition"] == "inline; filename*=utf-8''picture%20of%20%C3%84.png"


def test_a_thumbnail_in_two_parts(each_fed, anna, peer):
    picture = TOP / "tests/vectors/images/opaque.png"
    media_id = upload(each_fed, anna, picture.read_bytes(), "image/png", picture.name)
    _, file = parts_of(peer.raw("GET", each_fed, f"{FED}/v1/media/thumbnail/{media_id}?width=16&height=16&method=crop"))
    assert file[0]["Content-Type"].startswith("image/") and len(file[1]) > 50


def test_files_that_are_not_there(each_fed, anna, peer):
    refused(peer, each_fed, "/v1/media/download/nothing", 404, "M_NOT_FOUND")
    refused(peer, each_fed, "/v1/media/thumbnail/nothing?width=10&height=10", 404, "M_NOT_FOUND")
    media_id = upload(each_fed, anna, b"no image", "text/plain", "x.txt")
    refused(peer, each_fed, f"/v1/media/thumbnail/{media_id}?width=10&height=10", 400, "M_UNKNOWN")
    refused(peer, each_fed, f"/v1/media/thumbnail/{media_id}?width=10", 400, "M_MISSING_PARAM")
    refused(peer, each_fed, f"/v1/media/thumbnail/{media_id}?width=x&height=1", 400, "M_INVALID_PARAM")
    pending = anna.post("/_matrix/media/v1/create")["content_uri"].rsplit("/", 1)[1]
    refused(peer, each_fed, f"/v1/media/download/{pending}?timeout_ms=0", 504, "M_NOT_YET_UPLOADED")


#
# OpenID
#
def test_who_a_user_is(each_fed, anna, peer):
    got = anna.post(f"/user/{q(anna.user_id)}/openid/request_token", {})
    assert got["token_type"] == "Bearer" and got["matrix_server_name"] == each_fed.name and got["expires_in"] == 3600
    nobody = Client(each_fed)
    for _ in range(2):
        assert nobody.get(f"{FED}/v1/openid/userinfo", access_token=got["access_token"]) == {"sub": anna.user_id}
    nobody.fails(401, "M_UNKNOWN_TOKEN", "GET", f"{FED}/v1/openid/userinfo", params={"access_token": anna.token})
    nobody.fails(401, "M_UNKNOWN_TOKEN", "GET", f"{FED}/v1/openid/userinfo", params={"access_token": "x"})
    nobody.fails(401, "M_MISSING_TOKEN", "GET", f"{FED}/v1/openid/userinfo")
    anna.fails(403, "M_FORBIDDEN", "POST", f"/user/{q('@other:' + each_fed.name)}/openid/request_token", {})
    Client(each_fed, token=got["access_token"]).fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")


#
# Keys
#
def test_keys_for_other_servers(each_fed, anna, peer):
    device = {"user_id": anna.user_id, "device_id": anna.device_id, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
              "keys": {f"ed25519:{anna.device_id}": "x" * 43}, "signatures": {anna.user_id: {f"ed25519:{anna.device_id}": "s"}}}
    one_time = {f"signed_curve25519:k{i}": {"key": "k" * 43, "signatures": {anna.user_id: {f"ed25519:{anna.device_id}": "s"}}} for i in range(2)}
    anna.put(f"/devices/{anna.device_id}", {"display_name": "Anna's own phone"})
    anna.post("/keys/upload", {"device_keys": device, "one_time_keys": one_time})
    got = peer.ask("POST", each_fed, f"{FED}/v1/user/keys/query", {"device_keys": {anna.user_id: [], f"@x:{peer.name}": []}})
    assert set(got["device_keys"]) == {anna.user_id}
    shown = got["device_keys"][anna.user_id][anna.device_id]
    assert shown["keys"] == device["keys"] and shown["unsigned"] == {}  # what she calls it is not told
    claimed = [peer.ask("POST", each_fed, f"{FED}/v1/user/keys/claim",
                        {"one_time_keys": {anna.user_id: {anna.device_id: "signed_curve25519"}}})["one_time_keys"] for _ in range(3)]
    given = [list(c[anna.user_id][anna.device_id]) for c in claimed[:2]]
    assert sorted(given) == [["signed_curve25519:k0"], ["signed_curve25519:k1"]] and claimed[2] == {}
    refused(peer, each_fed, "/v1/user/keys/query", 400, "M_BAD_JSON", "POST", {"device_keys": []})
    refused(peer, each_fed, "/v1/user/keys/claim", 400, "M_BAD_JSON", "POST", {})
