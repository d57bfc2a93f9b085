"""Three Hearths with TLS, one of them on PostgreSQL: what a room becomes when servers die, wires are cut, and all speak at once."""
import itertools
import os
import random
import re
import signal
import threading
import time

import pytest
import requests

from client import MatrixError, q, register
from crypto import Device, Identity
from fed.follower import Follower, enter, history, knock, state_of
from fed.hearth import FedServer
from fed.net import Wire

_serial = itertools.count()


class Wired(FedServer):
    """Its name is the near end of a wire, which can be cut; its clients still reach it then, and it reaches the others."""

    def __init__(self, store):
        super().__init__(store, start=False)
        self.wire = Wire(self.fed_port)
        self.name = f"localhost:{self.wire.port}"
        self.config["server_name"] = self.name
        self.paused = False
        self.start()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def heal(self):
        if self.paused:
            self.resume()
        self.wire.mend()

    def close(self):
        self.heal()
        super().close()
        self.wire.cut()


@pytest.fixture(scope="module")
def servers():
    made = [Wired(store) for store in ("sqlite", "postgres", "sqlite")]
    yield made
    for s in made:
        s.close()


@pytest.fixture(autouse=True)
def healed(servers):
    yield
    for s in servers:
        s.heal()


def user(server):
    return Follower(register(server, f"t{next(_serial)}"))


@pytest.fixture
def three(servers):
    return [user(s) for s in servers]


def everybody_in(room, first, *others, via=None):
    for f in others:
        enter(f.client, room, via or first.client.server)
    for f in (first, *others):
        f.until(lambda f=f: room in f.joined, "one's own join")
        for g in (first, *others):
            f.sees_member(room, g.client, "join")


def admins_room(first, *others, **options):
    """A room in which all have every right."""
    levels = {"users": {f.client.user_id: 100 for f in (first, *others)}}
    if options.get("room_version", "12") == "12":
        del levels["users"][first.client.user_id]  # who creates it stands above all levels
    room = first.client.create_room(**{"preset": "public_chat", "power_level_content_override": levels, **options})
    everybody_in(room, first, *others)
    return room


def agree(room, *followers, seconds=60, moving=()):
    """
    When each has heard the last of each, they have the same state and the same events. Whether an event is soft-failed is
    each server's own matter: of who is in and out of the room on several sides of a cut (`moving`), where a resolution may
    put them out for a while (as other servers' does), some have what others have not; they say so of each.
    """
    ends = [f.client.send(room, f"the end of {f.client.user_id}") for f in followers]
    for f in followers:
        for e in ends:
            f.sees(room, e, seconds=seconds)
    # Built on all branches: where it is, there is one state.
    together = followers[0].client.send(room, "together")
    for f in followers:
        f.sees(room, together, seconds=seconds)
    states = [state_of(f.client, room) for f in followers]
    assert all(s == states[0] for s in states), [set(s.items()) ^ set(states[0].items()) for s in states]
    events = [{e["event_id"]: e for e in history(f.client, room)} for f in followers]
    union = {i: e for known in events for i, e in known.items()}
    lost = {}
    for f, known in zip(followers, events):
        missing = {i for i in union if i not in known}
        held_back = set(re.findall(r" event soft-failed .*event_id=(\S+)", f.client.server.output())) if missing and moving else ()
        lost.update({i: union[i] for i in missing if i not in held_back or union[i]["sender"] not in moving})
    assert not lost, "not on all servers:\n" + "\n".join(described(e, followers, events) for e in lost.values())
    return events[0]


def described(event, followers, events):
    """Who has it, and what the servers said of it."""
    i = event["event_id"]
    own = {k: event.get(k) for k in ("event_id", "type", "state_key", "sender", "origin_server_ts", "content")}
    return "\n    ".join([f"{own} is on {[f.client.server.name for f, known in zip(followers, events) if i in known]}"] + [
        f"{f.client.server.name}: {line}" for f in followers for line in f.client.server.output().splitlines() if i in line])


#
# Rooms
#
def test_all_hear_all(three):
    a, b, c = three
    room = admins_room(a, b, c)
    for n, f in itertools.product(range(5), three):
        f.client.send(room, f"{n} of {f.client.user_id}")
    for f in three:
        f.hears(room, *(f"{n} of {g.client.user_id}" for n in range(5) for g in three))
    c.client.leave(room)
    b.sees_member(room, c.client, "leave")
    enter(c.client, room, b.client.server)  # the way in need not be the one of before
    a.sees_member(room, c.client, "join")
    agree(room, *three)


@pytest.mark.parametrize("version", ["1", "6", "11", "12"])
def test_forks(three, servers, version):
    room = admins_room(*three, room_version=version)
    for s in servers:
        s.wire.cut()
    for n in range(4):
        for f in three:
            me = f.client.user_id
            f.client.send(room, f"{n} of {me}")
            f.client.set_state(room, "m.room.topic", {"topic": f"{n} of {me}"})
            f.client.set_state(room, "test.own", {"n": n}, f"own {me}")
    levels = three[0].client.get_state(room, "m.room.power_levels")
    for n, f in enumerate(three):
        f.client.set_state(room, "m.room.power_levels", {**levels, "events": {**levels.get("events", {}), f"test.{n}": 60}})
    for s in servers:
        s.wire.mend()
    known = agree(room, *three)
    assert len([e for e in known.values() if e["type"] == "m.room.topic"]) == 12


def test_who_was_paused_catches_up(three, servers):
    a, b, c = three
    rooms = [admins_room(a, b, c) for _ in range(3)]
    servers[2].pause()
    said = {room: [f.client.send(room, f"{n}") for n in range(30) for f in (a, b)] for room in rooms}
    for room in rooms:
        a.client.set_state(room, "m.room.topic", {"topic": "while it was away"})
    b.hears(rooms[-1], "29")  # the living wait for nobody
    servers[2].resume()
    for room in rooms:
        assert set(said[room]) <= set(agree(room, c, a, b))


def test_killed_in_mid_transaction(three, servers):
    """What a client was told is said is on all servers in the end, whoever died meanwhile, and once."""
    room = admins_room(*three)
    said, stop = {f.client.user_id: [] for f in three}, threading.Event()

    def speak(f):
        for n in itertools.count():
            if stop.is_set():
                return
            while True:  # as clients do: the same again, with the same transaction id
                try:
                    said[f.client.user_id].append(f.client.send(room, f"{n}", txn=f"{f.client.user_id}{n}"))
                    break
                except (requests.ConnectionError, MatrixError):
                    f.client.http.close()

    threads = [threading.Thread(target=speak, args=(f,)) for f in three]
    for t in threads:
        t.start()
    for s, f, other in ((servers[1], three[1], three[0]), (servers[0], three[0], three[2]), (servers[2], three[2], three[1])):
        heard = len(other.bodies(room))
        other.until(lambda other=other, heard=heard: len(other.bodies(room)) > heard + 10, "a stream of messages")
        s.kill()
        s.start()
        spoken = len(said[f.client.user_id])
        other.until(lambda f=f, spoken=spoken: len(said[f.client.user_id]) > spoken + 3, "its users speaking again")
    stop.set()
    for t in threads:
        t.join()
    known = agree(room, *three)
    for who, ids in said.items():
        assert len(ids) == len(set(ids))
        assert set(ids) == {i for i, e in known.items() if e["sender"] == who and e["type"] == "m.room.message"
                            and e["content"]["body"].isdigit()}


def test_an_ancestor_that_nobody_has_holds_nobody_up(three, servers):
    a, b, c = three
    room, other = admins_room(a, b, c), admins_room(a, b)
    servers[1].wire.cut()
    lost = c.client.send(room, "for a alone")
    a.sees(room, lost)
    servers[2].pause()
    servers[0].wire.cut()  # a sends, and cannot be asked
    servers[1].wire.mend()
    above = a.client.send(room, "upon it")
    a.client.send(other, "elsewhere")
    b.hears(other, "elsewhere")
    b.client.send(room, "b goes on")
    b.hears(room, "b goes on")
    servers[0].heal()
    servers[2].heal()
    b.sees(room, above)
    assert {lost, above} <= set(agree(room, *three))


def test_who_may_come_in(three, servers):
    a, b, c = three
    parent = a.client.create_room(preset="public_chat", room_version="10")
    everybody_in(parent, a, b, c)
    room = a.client.create_room(preset="private_chat", room_version="10", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {
            "join_rule": "knock_restricted", "allow": [{"type": "m.room_membership", "room_id": parent}]}}])
    everybody_in(room, a, b)
    enter(c.client, room, servers[1])  # b's server vouches as well as a's
    a.sees_member(room, c.client, "join")
    assert a.state[room, "m.room.member", c.client.user_id]["content"]["join_authorised_via_users_server"] in (a.client.user_id, b.client.user_id)
    stranger = user(servers[2])
    with pytest.raises(MatrixError) as e:
        enter(stranger.client, room, servers[0])
    assert e.value.status == 403
    knock(stranger.client, room, servers[1])
    a.sees_member(room, stranger.client, "knock")
    a.client.invite(room, stranger.client)
    stranger.until(lambda: room in stranger.invited, "the invitation")
    stranger.client.join(room)
    a.sees_member(room, stranger.client, "join")
    agree(room, *three, stranger)


def test_who_is_turned_away_hears_of_it(servers):
    """With nobody of theirs in the room."""
    a, b, c = (user(s) for s in servers)
    room = a.client.create_room(preset="private_chat", room_version="10", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    a.client.invite(room, b.client)
    b.until(lambda: room in b.invited, "the invitation")
    knock(c.client, room, servers[0])
    a.sees_member(room, c.client, "knock")
    c.until(lambda: room in c.knocked, "one's own knock")
    for f in (b, c):
        a.client.post(f"/rooms/{q(room)}/kick", {"user_id": f.client.user_id})
    b.until(lambda: room not in b.invited, "no invitation")
    c.until(lambda: room not in c.knocked, "the refusal")


def test_a_server_that_is_shut_out(servers):
    """Wildcards see no ports: the list names what all three are called, but the room lets its own server be."""
    a, b = user(servers[0]), user(servers[1])
    room = admins_room(a, b)
    b.client.send(room, "still welcome")
    a.hears(room, "still welcome")
    b.sees(room, a.client.set_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"], "allow_ip_literals": True}))
    b.client.send(room, "to the deaf")
    witness = admins_room(a, b)
    b.client.send(witness, "elsewhere")
    a.hears(witness, "elsewhere")
    assert "to the deaf" not in a.bodies(room)
    late = user(servers[1])
    with pytest.raises(MatrixError) as e:
        enter(late.client, a.client.create_room(preset="public_chat", initial_state=[
            {"type": "m.room.server_acl", "state_key": "", "content": {"allow": []}}]), servers[0])
    assert e.value.status == 403


def test_erased(three):
    a, b, c = three
    admin, gone = a, user(a.client.server)
    room = admin.client.create_room(preset="public_chat")
    everybody_in(room, admin, gone, b)
    said = gone.client.send(room, "forget this")
    b.sees(room, said)
    admin.sees(room, said)
    gone.client.post("/account/deactivate", {"erase": True, "auth": {"type": "m.login.password", "password": "sesame-open-1",
                                                                      "identifier": {"type": "m.id.user", "user": gone.client.user_id}}})
    enter(c.client, room, a.client.server)
    found = {e["event_id"]: e for e in history(c.client, room)}
    assert found[said]["content"] == {}, "served as it was"
    assert {e["event_id"]: e for e in history(b.client, room)}[said]["content"]["body"] == "forget this"  # who was there has it


#
# Devices
#
def test_keys_and_lists_through_an_outage(three, servers):
    a, b, c = three
    room = admins_room(a, b, c)
    phone = Device(b.client)
    phone.upload(device_keys=phone.keys(), one_time_keys=phone.one_time(2))
    them = b.client.user_id

    def devices(f):
        return set(f.client.post("/keys/query", {"device_keys": {them: []}})["device_keys"].get(them, {}))
    for f in (a, c):
        f.until(lambda f=f: them in f.changed and devices(f) == {phone.device_id}, "the phone")
    servers[0].wire.cut()
    servers[2].pause()
    identity = Identity(them)
    tablets = []
    for n in range(3):
        got = b.client.post("/login", {"type": "m.login.password", "password": "sesame-open-1", "device_id": f"TABLET{n}",
                                       "identifier": {"type": "m.id.user", "user": them}})
        t = Follower(type(b.client)(b.client.server, them, got["access_token"], got["device_id"]))
        tablets.append(Device(t.client))
        tablets[-1].upload(device_keys=tablets[-1].keys())
    tablets[0].client.post("/logout")
    b.client.post("/keys/device_signing/upload", identity.body())
    for f in (a, c):
        b.client.put(f"/sendToDevice/test.note/{f.client.device_id}", {"messages": {f.client.user_id: {"*": {"for": f.client.user_id}}}})
    servers[0].heal()
    servers[2].heal()
    b.client.send(room, "and on")
    for f in (a, c):
        f.until(lambda f=f: devices(f) == {phone.device_id, "TABLET1", "TABLET2"}, "the devices of after the outage")
        f.until(lambda f=f: f.client.post("/keys/query", {"device_keys": {them: []}})["master_keys"].get(them, {}).get("keys")
                == identity.key("master")["keys"], "the identity")
        f.until(lambda f=f: [e["content"] for e in f.to_device] == [{"for": f.client.user_id}], "the message to the device, once")
    keys = [f.client.post("/keys/claim", {"one_time_keys": {them: {phone.device_id: "signed_curve25519"}}})["one_time_keys"][them] for f in (a, c)]
    assert keys[0] != keys[1], "a one-time key given twice"


#
# Everything at once
#
class Soak:
    """Random deeds of users everywhere, while wires are cut and servers are stopped now and then."""

    DEEDS = {"say": 20, "speak": 20, "topic": 6, "own": 10, "levels": 2, "come": 8, "go": 4, "kick": 2, "ban": 2, "unban": 2,
             "cut": 2, "pause": 1, "kill": 0.2, "heal": 4}

    def __init__(self, seed, servers, admins, rooms):
        self.random, self.servers, self.admins, self.rooms = random.Random(seed), servers, admins, rooms
        self.crowd = [user(s) for s in servers for _ in range(2)]
        self.deeds = 0

    def awake(self, followers):
        return [f for f in followers if not f.client.server.paused]

    def whole(self):
        return all(s.wire.listener and not s.paused for s in self.servers)

    def deed(self):
        r, room = self.random, self.random.choice(self.rooms)
        by, one = r.choice(self.awake(self.admins)), r.choice(self.awake(self.crowd))
        what = r.choices(list(self.DEEDS), list(self.DEEDS.values()))[0]
        if what == "say":
            by.client.send(room, f"{self.deeds}")
        elif what == "speak":
            one.client.send(room, f"{self.deeds}")
        elif what == "topic":
            by.client.set_state(room, "m.room.topic", {"topic": f"{self.deeds}"})
        elif what == "own":
            by.client.set_state(room, "test.own", {"n": self.deeds}, f"k{r.randrange(5)}")
        elif what == "levels":
            levels = by.client.get_state(room, "m.room.power_levels")
            levels.setdefault("events", {})[f"test.{r.randrange(3)}"] = 60
            by.client.set_state(room, "m.room.power_levels", levels)
        elif what == "come":
            enter(one.client, room, one.client.server)
        elif what == "go":
            one.client.leave(room)
        elif what in ("kick", "ban", "unban"):
            by.client.post(f"/rooms/{q(room)}/{what}", {"user_id": r.choice(self.crowd).client.user_id})
        elif what == "cut":
            r.choice(self.servers).wire.cut()
        elif what == "pause" and self.whole():
            r.choice(self.servers).pause()
        elif what == "kill":
            by.client.server.kill()
            by.client.server.start()
        elif what == "heal":
            for s in self.servers:
                s.heal()

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.deeds += 1
            try:
                self.deed()
            except MatrixError as e:
                assert e.status in (400, 403, 404), e
        for s in self.servers:
            s.heal()


@pytest.mark.parametrize("seed", [int(n) for n in os.environ.get("SOAK_SEEDS", "1").split(",")])
def test_soak(three, servers, seed):
    rooms = [admins_room(*three, room_version=v) for v in ("6", "11", "12")]
    soak = Soak(seed, servers, three, rooms)
    soak.run(float(os.environ.get("SOAK_SECONDS", "20")))
    for room in rooms:
        agree(room, *three, moving={f.client.user_id for f in soak.crowd})
