"""Eight writers and eight syncers in one room: what each syncer saw by /sync, gaps filled by /messages, is the room, nothing twice."""
import json
import random
import threading
import time

import pytest

from client import Client, q, register
from history import ids, messages
from server import Server

SECONDS, WRITERS, SYNCERS = 15, 8, 8


class Writer(threading.Thread):
    def __init__(self, client, rooms, until, seed):
        super().__init__()
        self.client, self.rooms, self.until, self.rng, self.failure = client, rooms, until, random.Random(seed), None

    def run(self):
        try:
            n = 0
            while time.monotonic() < self.until:
                room = self.rng.choice(self.rooms)
                if self.rng.random() < 0.15:
                    self.client.set_state(room, "org.example.counter", {"n": n}, self.client.user_id)
                else:
                    self.client.send(room, f"{self.client.user_id} {n}")
                n += 1
        except BaseException as e:
            self.failure = e


class Syncer(threading.Thread):
    """Syncs with random limits and, now and then, on a new connection or from an answer it pretends never to have got."""

    def __init__(self, client, rooms, seed):
        super().__init__()
        self.client, self.rng, self.failure = client, random.Random(seed), None
        self.seen = {r: [] for r in rooms}
        self.state = {r: {} for r in rooms}
        self.finish = threading.Event()
        self.pages = 0

    def run(self):
        try:
            quiet = False
            while not (quiet and self.finish.is_set()):
                quiet = not self.step()
        except BaseException as e:
            self.failure = e

    def first(self):
        for room, part in self.client.sync()["rooms"]["join"].items():
            self.take(room, None, part)

    def step(self):
        c = self.client
        if self.rng.random() < 0.1:
            c.http.close()
        since = c.next_batch
        limit = self.rng.choice([1, 2, 5, 10, 50])
        got = c.sync(since=since, timeout=self.rng.choice([0, 50, 1000]), filter=json.dumps({"room": {"timeline": {"limit": limit}}}))
        if self.rng.random() < 0.1:
            c.next_batch = since      # the answer was lost on the way
            return True
        joined = got.get("rooms", {}).get("join", {})
        for room, part in joined.items():
            self.take(room, since, part)
        return bool(joined)

    def take(self, room, since, part):
        timeline = part["timeline"]
        events = timeline["events"]
        if timeline.get("limited") and since:
            events = self.gap(room, timeline["prev_batch"], since) + events
        self.seen[room] += ids(events)
        for e in part.get("state", {}).get("events", []) + timeline["events"]:
            if "state_key" in e:
                self.state[room][e["type"], e["state_key"]] = e["event_id"]

    def gap(self, room, prev_batch, since):
        """What lies between the token of the last sync and prev_batch, oldest first."""
        found, at = [], prev_batch
        while True:
            got = self.client.get(f"/rooms/{q(room)}/messages", dir="b", limit=self.rng.choice([3, 10, 100]), **{"from": at, "to": since})
            found += got["chunk"]
            self.pages += 1
            if "end" not in got or not got["chunk"]:
                return found[::-1]
            at = got["end"]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_syncers_see_exactly_the_room(store):
    server = Server(store=store)
    try:
        owner = register(server)
        rooms = [owner.create_room(preset="public_chat", power_level_content_override={"events": {"org.example.counter": 0}})
                 for _ in range(2)]
        writers = [register(server) for _ in range(WRITERS)]
        readers = [register(server) for _ in range(SYNCERS)]
        for u in writers + readers:
            for room in rooms:
                u.join(room)
        syncers = [Syncer(u, rooms, i) for i, u in enumerate(readers)]
        for s in syncers:
            s.first()
        before = {room: len(messages(owner, room, "f", 1000)[0]) for room in rooms}
        until = time.monotonic() + SECONDS
        everyone = [Writer(u, rooms, until, 100 + i) for i, u in enumerate(writers)] + syncers
        for t in everyone:
            t.start()
        for t in everyone[:WRITERS]:
            t.join()
        for s in syncers:
            s.finish.set()
        for t in everyone:
            t.join()
            if t.failure:
                raise t.failure
        for room in rooms:
            forward = ids(messages(owner, room, "f", 1000)[0])
            backward = ids(messages(owner, room, "b", 73)[0])
            assert len(set(forward)) == len(forward) and backward == forward[::-1]
            current = {(e["type"], e["state_key"]): e["event_id"] for e in owner.get(f"/rooms/{q(room)}/state")}
            for s in syncers:
                saw = s.seen[room]
                assert len(set(saw)) == len(saw), "an event came twice"
                assert saw == forward[len(forward) - len(saw):], "an event is missing or out of order"
                assert len(saw) >= len(forward) - before[room]
                assert s.state[room] == current
    finally:
        server.close()


def test_twenty_senders_in_one_room(hs):
    users = [register(hs) for _ in range(20)]
    room = users[0].create_room(preset="public_chat")
    for u in users[1:]:
        u.join(room)
    failures = []

    def send(u):
        try:
            for n in range(25):
                u.send(room, f"{u.user_id} {n}")
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=send, args=(Client(hs, u.user_id, u.token),)) for u in users]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    found = [e for e in messages(users[0], room, "f", 1000)[0] if e["type"] == "m.room.message"]
    assert len(found) == 500
    for u in users:
        assert [e["content"]["body"] for e in found if e["sender"] == u.user_id] == [f"{u.user_id} {n}" for n in range(25)]
