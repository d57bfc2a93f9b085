"""A living peer: Hearth and a real Synapse, each once as the host of the rooms and once as the guest."""
import asyncio
import contextlib
import itertools

import nio
import pytest

from client import MatrixError, login, q, register
from crypto import Device, Identity
from fed.follower import Follower, enter, history, knock, state_of
from fed.hearth import FedServer
from fed.synapse import Synapse
from nio_party import PASSWORD, Party, good, settle, spread

V1 = "/_matrix/client/v1"
VERSIONS = [str(n) for n in range(1, 13)]
_serial = itertools.count()


class World:
    def __init__(self):
        self.hearth, self.synapse = FedServer(), Synapse()

    def close(self):
        self.hearth.close()
        self.synapse.close()


@pytest.fixture(scope="module")
def world():
    w = World()
    yield w
    w.close()


@pytest.fixture(params=["hearth_hosts", "synapse_hosts"])
def sides(request, world):
    """(the server whose rooms they are, the one whose users come)"""
    return (world.hearth, world.synapse) if request.param == "hearth_hosts" else (world.synapse, world.hearth)


def user(server):
    return Follower(register(server, f"s{next(_serial)}"))


@pytest.fixture
def pair(sides):
    return user(sides[0]), user(sides[1])


def meet(a, b, **options):
    """A public room of a's that b has joined."""
    room = a.client.create_room(**{"preset": "public_chat", **options})
    enter(b.client, room, a.client.server)
    b.until(lambda: room in b.joined, "one's own join")
    a.sees_member(room, b.client, "join")
    return room


def refused(f, room, *servers):
    """May not come in."""
    with pytest.raises(MatrixError) as e:
        enter(f.client, room, *servers)
    assert e.value.status == 403, e.value


def same_state(room, *followers):
    states = [state_of(f.client, room) for f in followers]
    assert all(s == states[0] for s in states), [set(s.items()) ^ set(states[0].items()) for s in states]


#
# Rooms
#
@pytest.mark.parametrize("version", VERSIONS)
def test_a_room_of_every_version(pair, version):
    a, b = pair
    room = a.client.create_room(preset="public_chat", room_version=version, name="shared", topic="first")
    before = [a.client.send(room, f"before {n}") for n in range(5)]
    a.client.set_state(room, "m.room.topic", {"topic": "second"})
    enter(b.client, room, a.client.server)
    b.until(lambda: room in b.joined, "one's own join")
    a.sees_member(room, b.client, "join")
    same_state(room, a, b)
    assert b.client.get_state(room, "m.room.topic")["topic"] == "second"

    a.client.send(room, "from the host")
    b.hears(room, "from the host")
    said = b.client.send(room, "from the guest")
    a.hears(room, "from the guest")
    theirs, ours = history(b.client, room), history(a.client, room)
    assert {e["event_id"] for e in theirs} == {e["event_id"] for e in ours}
    assert [e["event_id"] for e in theirs if e["content"].get("body", "").startswith("before")] == before[::-1]
    assert theirs[-1]["type"] == "m.room.create"

    redaction = b.client.put(f"/rooms/{q(room)}/redact/{q(said)}/r1", {"reason": "unsaid"})["event_id"]
    a.sees(room, redaction)
    assert a.client.get(f"/rooms/{q(room)}/event/{q(said)}")["content"] == {}

    b.client.leave(room)
    a.sees_member(room, b.client, "leave")
    missed = a.client.send(room, "while nobody of theirs was there")
    enter(b.client, room, a.client.server)
    a.sees_member(room, b.client, "join")
    a.client.send(room, "again")
    b.hears(room, "again")
    assert missed in {e["event_id"] for e in history(b.client, room)}
    same_state(room, a, b)


@pytest.mark.parametrize("version", VERSIONS)
def test_invitations(pair, sides, version):
    """Rejected, taken back, taken up."""
    a, b = pair
    room = a.client.create_room(preset="private_chat", room_version=version, name="by invitation")
    a.client.invite(room, b.client)
    stripped = b.until(lambda: b.invited.get(room), "the invitation")
    assert ("m.room.name", "by invitation") in {(e["type"], e["content"].get("name")) for e in stripped}
    assert "m.room.member" in {e["type"] for e in stripped}
    b.client.leave(room)
    b.until(lambda: room not in b.invited, "no invitation")
    a.sees_member(room, b.client, "leave")

    a.client.invite(room, b.client)
    b.until(lambda: room in b.invited, "the invitation")
    a.client.post(f"/rooms/{q(room)}/kick", {"user_id": b.client.user_id, "reason": "a mistake"})
    b.until(lambda: room not in b.invited, "no invitation")
    assert room in b.left and b.state[room, "m.room.member", b.client.user_id]["content"].get("reason") == "a mistake"
    refused(b, room, a.client.server)

    a.client.invite(room, b.client)
    b.until(lambda: room in b.invited, "the invitation")
    b.client.join(room)
    a.sees_member(room, b.client, "join")
    b.until(lambda: room in b.joined, "one's own join")
    b.client.send(room, "thank you")
    a.hears(room, "thank you")
    a.client.send(room, "welcome")
    b.hears(room, "welcome")
    same_state(room, a, b)


@pytest.mark.parametrize("version", ["7", "10", "11", "12"])
def test_knocking(pair, sides, version):
    a, b = pair
    room = a.client.create_room(preset="private_chat", room_version=version, name="closed", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    knock(b.client, room, a.client.server, reason="please")
    b.until(lambda: room in b.knocked, "one's own knock")
    assert ("m.room.name", "closed") in {(e["type"], e["content"].get("name")) for e in b.knocked[room]}
    a.sees_member(room, b.client, "knock")
    a.client.invite(room, b.client)
    b.until(lambda: room in b.invited, "the invitation")
    b.client.join(room)
    a.sees_member(room, b.client, "join")

    c = user(sides[1])
    knock(c.client, room, a.client.server)
    a.sees_member(room, c.client, "knock")
    c.client.leave(room)
    a.sees_member(room, c.client, "leave")
    knock(c.client, room, a.client.server)
    a.sees_member(room, c.client, "knock")
    c.until(lambda: room in c.knocked, "one's own knock")
    # Synapse hears and tells of a refusal only where other users of the server are in the room.
    a.client.post(f"/rooms/{q(room)}/kick", {"user_id": c.client.user_id})
    c.until(lambda: room not in c.knocked, "the refusal")


@pytest.mark.parametrize("version", ["8", "10", "11", "12"])
def test_a_restricted_room(pair, sides, version):
    a, b = pair
    parent = meet(a, b, room_version=version)
    room = a.client.create_room(preset="private_chat", room_version=version, initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {
            "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": parent}]}}])
    stranger = user(sides[1])
    refused(stranger, room, sides[0])
    enter(b.client, room, sides[0])
    a.sees_member(room, b.client, "join")
    assert a.state[room, "m.room.member", b.client.user_id]["content"]["join_authorised_via_users_server"] == a.client.user_id
    same_state(room, a, b)


def test_kicked_and_banned(pair):
    a, b = pair
    room = meet(a, b)
    a.client.post(f"/rooms/{q(room)}/kick", {"user_id": b.client.user_id, "reason": "enough"})
    b.until(lambda: room in b.left, "the kick")
    enter(b.client, room, a.client.server)
    a.sees_member(room, b.client, "join")
    b.until(lambda: room in b.joined, "one's own join")
    a.client.post(f"/rooms/{q(room)}/ban", {"user_id": b.client.user_id})
    b.until(lambda: room in b.left, "the ban")
    refused(b, room, a.client.server)
    a.client.post(f"/rooms/{q(room)}/unban", {"user_id": b.client.user_id})
    enter(b.client, room, a.client.server)
    a.sees_member(room, b.client, "join")
    same_state(room, a, b)


def test_the_guest_moderates(pair, sides):
    a, b = pair
    room = meet(a, b)
    levels = a.client.get_state(room, "m.room.power_levels")
    levels["users"][b.client.user_id] = 50
    b.sees(room, a.client.set_state(room, "m.room.power_levels", levels))
    loud = user(sides[0])
    loud.client.join(room)
    said = loud.client.send(room, "noise")
    b.hears(room, "noise")
    a.sees(room, b.client.put(f"/rooms/{q(room)}/redact/{q(said)}/r1", {})["event_id"])
    assert a.client.get(f"/rooms/{q(room)}/event/{q(said)}")["content"] == {}
    b.client.post(f"/rooms/{q(room)}/kick", {"user_id": loud.client.user_id})
    loud.until(lambda: room in loud.left, "the kick")
    same_state(room, a, b)


def test_forks_resolve_alike(pair):
    a, b = pair
    room = meet(a, b)
    levels = a.client.get_state(room, "m.room.power_levels")
    levels["users"][b.client.user_id] = 100
    b.sees(room, a.client.set_state(room, "m.room.power_levels", levels))
    for n in range(10):
        a.client.set_state(room, "m.room.topic", {"topic": f"a {n}"})
        b.client.set_state(room, "m.room.topic", {"topic": f"b {n}"})
        a.client.set_state(room, "test.own", {"n": n}, "a")
        b.client.set_state(room, "test.own", {"n": n}, "b")
    ends = {b.client.send(room, "b is done"), a.client.send(room, "a is done")}
    for f in (a, b):
        f.until(lambda f=f: ends <= set(f.events[room]), "the ends of both")
    # One who speaks now brings the branches together, and all who hear it have the one state.
    b.sees(room, a.client.send(room, "together"))
    same_state(room, a, b)
    assert {e["event_id"] for e in history(a.client, room)} == {e["event_id"] for e in history(b.client, room)}


def test_a_server_that_is_not_allowed(pair, sides):
    a, b = pair
    room = meet(a, b)
    a.client.set_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["nobody.example"], "allow_ip_literals": True})
    b.until(lambda: (room, "m.room.server_acl", "") in b.state, "the list")
    b.client.send(room, "still here")
    a.hears(room, "still here")
    c = user(sides[1])
    second = a.client.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.server_acl", "state_key": "", "content": {"allow": ["*"], "deny": [sides[1].name.split(":")[0]], "allow_ip_literals": True}}])
    refused(c, second, sides[0])


#
# What passes
#
def test_typing_and_receipts(pair):
    a, b = pair
    room = meet(a, b)
    for one, other in ((a, b), (b, a)):
        me = one.client.user_id
        one.client.put(f"/rooms/{q(room)}/typing/{q(me)}", {"typing": True, "timeout": 60000})
        other.until(lambda: me in other.typing.get(room, ()), "typing")
        one.client.put(f"/rooms/{q(room)}/typing/{q(me)}", {"typing": False})
        other.until(lambda: me not in other.typing[room], "typing no more")
        said = other.client.send(room, f"read this, {me}")
        one.sees(room, said)
        one.client.post(f"/rooms/{q(room)}/receipt/m.read/{q(said)}", {"thread_id": "main"})
        other.until(lambda: other.receipts.get((room, "m.read", me, "main")) == said, "the receipt of the main timeline")
        said = other.client.send(room, f"and this, {me}")
        one.sees(room, said)
        one.client.post(f"/rooms/{q(room)}/receipt/m.read/{q(said)}", {})
        other.until(lambda: other.receipts.get((room, "m.read", me, None)) == said, "the receipt")


def test_presence(pair):
    a, b = pair
    meet(a, b)
    for one, other in ((a, b), (b, a)):
        me = one.client.user_id
        one.client.put(f"/presence/{q(me)}/status", {"presence": "unavailable", "status_msg": f"at lunch {me}"})
        other.until(lambda: other.presence.get(me, {}).get("status_msg") == f"at lunch {me}", "presence")
        assert other.presence[me]["presence"] == "unavailable"


def test_profiles_and_aliases(pair):
    a, b = pair
    name = f"room{next(_serial)}"
    a.client.put(f"/profile/{q(a.client.user_id)}/displayname", {"displayname": "Alice of there"})
    assert b.client.get(f"/profile/{q(a.client.user_id)}")["displayname"] == "Alice of there"
    room = a.client.create_room(preset="public_chat", visibility="public", room_alias_name=name, name=name)
    alias = f"#{name}:{a.client.server.name}"
    found = b.client.get(f"/directory/room/{q(alias)}")
    assert found["room_id"] == room and a.client.server.name in found["servers"]
    listed = b.client.do("POST", f"/publicRooms?server={q(a.client.server.name)}", {"filter": {"generic_search_term": name}})
    assert [r["room_id"] for r in listed["chunk"]] == [room]
    assert b.client.join(alias) == room
    a.sees_member(room, b.client, "join")
    b.until(lambda: room in b.joined, "one's own join")
    a.client.put(f"/profile/{q(a.client.user_id)}/displayname", {"displayname": "Alice renamed"})
    b.until(lambda: b.state[room, "m.room.member", a.client.user_id]["content"].get("displayname") == "Alice renamed", "the new name")


def test_a_space(pair):
    a, b = pair
    room = a.client.create_room(preset="public_chat", name="inside")
    space = a.client.create_room(preset="public_chat", name="space", creation_content={"type": "m.space"}, initial_state=[
        {"type": "m.space.child", "state_key": room, "content": {"via": [a.client.server.name]}}])
    enter(b.client, space, a.client.server)
    got = b.client.get(f"{V1}/rooms/{q(space)}/hierarchy")
    assert [r["room_id"] for r in got["rooms"]] == [space, room]
    assert [r["name"] for r in got["rooms"]] == ["space", "inside"]


def test_media(pair):
    a, b = pair
    png = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000" + "1f15c489" + "0000000d49444154789c6360f8cf50"
                        "0f0003860180" + "5a347d6b" + "0000000049454e44ae426082")
    for one, other in ((a, b), (b, a)):
        text = f"a file of {one.client.user_id}".encode() * 5000
        for kind, data in (("text/plain", text), ("image/png", png)):
            up = one.client.http.post(f"{one.client.server.url}/_matrix/media/v3/upload?filename=f", data=data, timeout=30,
                                      headers={"Authorization": f"Bearer {one.client.token}", "Content-Type": kind})
            assert up.status_code == 200, up.text
            where = up.json()["content_uri"].removeprefix("mxc://")
            got = other.client.raw("GET", f"{V1}/media/download/{where}")
            assert got.status_code == 200 and got.content == data and got.headers["Content-Type"].startswith(kind), got.headers
        got = other.client.raw("GET", f"{V1}/media/thumbnail/{where}?width=32&height=32&method=scale")
        assert got.status_code == 200 and got.headers["Content-Type"].startswith("image/"), got.text


#
# Devices
#
def test_devices_and_their_keys(pair):
    a, b = pair
    meet(a, b)
    for one, other in ((a, b), (b, a)):
        them = other.client.user_id

        def query(one=one, them=them):
            return one.client.post("/keys/query", {"device_keys": {them: []}})

        def told(so, what, one=one, them=them):
            """The change is announced, and then it can be read: what was asked for before it is not kept."""
            seen = len(one.changed)
            return lambda: one.until(lambda: them in one.changed[seen:] and so(query()), what)

        def has(*devices, them=them):
            return lambda got: set(got["device_keys"].get(them, {})) == {d.device_id for d in devices}

        first = Device(other.client)
        wait = told(has(first), "the first device")
        first.upload(device_keys=first.keys(), one_time_keys=first.one_time(3), fallback_keys=first.fallback())
        wait()
        assert query()["device_keys"][them][first.device_id]["keys"] == first.bare()["keys"]
        claimed = one.client.post("/keys/claim", {"one_time_keys": {them: {first.device_id: "signed_curve25519"}}})
        (key_id, key), = claimed["one_time_keys"][them][first.device_id].items()
        assert key_id.startswith("signed_curve25519:") and them in key["signatures"]

        second = Device(login(other.client.server, them.split(":")[0][1:]))
        wait = told(has(first, second), "the second device")
        second.upload(device_keys=second.keys())
        wait()

        identity = Identity(them)
        keys = {f"{usage}_keys": identity.key(usage)["keys"] for usage in ("master", "self_signing")}
        wait = told(lambda got, them=them, keys=keys: all(got[k].get(them, {}).get("keys") == v for k, v in keys.items()), "cross-signing")
        assert other.client.raw("POST", "/keys/device_signing/upload", identity.body()).status_code == 200
        wait()

        wait = told(has(first), "the list without the second device")
        second.client.post("/logout")
        wait()


def test_messages_to_devices(pair):
    a, b = pair
    meet(a, b)
    for one, other in ((a, b), (b, a)):
        for n in range(5):
            one.client.put(f"/sendToDevice/test.note/{n}{one.client.device_id}", {
                "messages": {other.client.user_id: {other.client.device_id if n else "*": {"n": n}}}})
        other.until(lambda: len(other.to_device) >= 5, "five messages")
        assert [(e["sender"], e["type"], e["content"]) for e in other.to_device] == [(one.client.user_id, "test.note", {"n": n}) for n in range(5)]


def test_nio_in_an_encrypted_room(sides, tmp_path):
    asyncio.run(encrypted(sides, tmp_path))


async def encrypted(sides, tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        parties = []
        for server, who, n in ((sides[0], "host", 0), (sides[1], "guest", 0), (sides[1], "guest", 1)):
            folder = tmp_path / f"{who}{n}"
            folder.mkdir()
            p = Party(server, folder, f"{who}{id(tmp_path)}")
            stack.push_async_callback(lambda p=p: p.client.close())
            good(await (p.client.login(PASSWORD, device_name=f"{who} {n}") if n else p.client.register(p.name, PASSWORD, device_name=f"{who} {n}")))
            parties.append(p)
        host, guest, tablet = parties
        for p in parties:
            await p.turn()
        room = good(await host.client.room_create(invite=[guest.client.user_id], initial_state=[nio.EnableEncryptionBuilder().as_dict()])).room_id
        await guest.until(lambda: room in guest.client.invited_rooms)
        good(await guest.client.join(room))
        await settle(parties, room)
        await spread(parties, host, room, "from the host")
        await spread(parties, guest, room, "from the guest")
        await spread(parties, tablet, room, "from the guest's tablet")
        gone = tablet.client.device_id
        good(await tablet.client.logout())
        await host.until(lambda: gone not in [d.id for d in host.client.device_store.active_user_devices(guest.client.user_id)])
        await spread([host, guest], host, room, "to who is left")
        for p in parties:
            assert p.unread == [], f"{p.name} could not read {p.unread}"


#
# Outages
#
def test_restarts_lose_nothing(world):
    a, b = user(world.hearth), user(world.synapse)
    rooms = [meet(a, b, power_level_content_override={"state_default": 0}), meet(b, a, power_level_content_override={"state_default": 0})]
    phone = Device(b.client)
    phone.upload(device_keys=phone.keys())
    a.until(lambda: b.client.user_id in a.changed, "the device")

    def gap(one, other, down, up, word):
        """one's server speaks while the other's is away."""
        down()
        said = {room: [one.client.send(room, f"{word} {n}") for n in range(15)] for room in rooms}
        for room in rooms:
            one.client.set_state(room, "test.gap", {"word": word}, one.client.user_id)
        one.client.put(f"/sendToDevice/test.note/{word}", {"messages": {other.client.user_id: {"*": {"word": word}}}})
        up()
        other.client.send(rooms[0], f"back after {word}")
        for room in rooms:
            last = one.client.send(room, f"end of {word}")
            other.sees(room, last, seconds=60)
            assert set(said[room]) <= {e["event_id"] for e in history(other.client, room)}
        other.until(lambda: {"word": word} in [e["content"] for e in other.to_device], "the message to the device", seconds=60)
        one.hears(rooms[0], f"back after {word}")

    gap(b, a, world.hearth.kill, world.hearth.start, "hearth was killed")
    gap(a, b, world.synapse.stop, world.synapse.start, "synapse was stopped")
    for room in rooms:
        end = a.client.send(room, "the end")
        b.sees(room, end)
        same_state(room, a, b)
        assert {e["event_id"] for e in history(a.client, room)} == {e["event_id"] for e in history(b.client, room)}
