"""Acknowledged means on disk: kill -9 under a load of sends, twenty times; each acknowledged event is there once, in order."""
import random
import threading

import pytest
import requests

from client import Client, q, register
from history import messages
from server import Server

ROUNDS, SENDERS = 20, 6


class Sender(threading.Thread):
    """Sends numbered messages until the server is gone; remembers what was acknowledged and what was left open."""

    def __init__(self, client, room, first, progress):
        super().__init__()
        self.client, self.room, self.next, self.progress = client, room, first, progress
        self.acked, self.open = [], None

    def run(self):
        while True:
            self.open = self.next
            try:
                event = self.client.send(self.room, f"{self.client.user_id} {self.next}", txn=f"n{self.next}")
            except requests.RequestException:
                return
            self.acked.append((self.next, event))
            self.open, self.next = None, self.next + 1
            with self.progress:
                self.progress.count += 1
                self.progress.notify_all()


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_every_acknowledged_event_survives_kill_9(store):
    rng = random.Random(7)
    server = Server(store=store)
    try:
        users = [register(server) for _ in range(SENDERS)]
        rooms = [users[0].create_room(preset="public_chat") for _ in range(2)]
        for room in rooms:
            for u in users[1:]:
                u.join(room)
        tokens = {u: u.sync() and u.next_batch for u in users}
        acked = {i: [] for i in range(SENDERS)}
        following = [0] * SENDERS
        for _ in range(ROUNDS):
            progress = threading.Condition()
            progress.count = 0
            senders = [Sender(Client(server, u.user_id, u.token), rooms[i % 2], following[i], progress) for i, u in enumerate(users)]
            for s in senders:
                s.start()
            enough = rng.randint(20, 150)
            with progress:
                assert progress.wait_for(lambda: progress.count >= enough, timeout=60)
            server.kill()
            for s in senders:
                s.join()
            server.start()
            for i, s in enumerate(senders):
                acked[i] += s.acked
                following[i] = s.next
                if s.open is not None:    # sent, never acknowledged: the same transaction again must give one event, not two
                    event = users[i].send(s.room, f"{users[i].user_id} {s.open}", txn=f"n{s.open}")
                    acked[i].append((s.open, event))
                    following[i] = s.open + 1
        for r, room in enumerate(rooms):
            found = [e for e in messages(users[0], room, "f", 1000)[0] if e["type"] == "m.room.message"]
            for i in range(r, SENDERS, 2):
                mine = [(int(e["content"]["body"].split()[1]), e["event_id"]) for e in found if e["sender"] == users[i].user_id]
                assert mine == acked[i]
            for u in users:
                got = u.sync(since=tokens[u])       # a token from before the first crash
                timeline = got["rooms"]["join"][room]["timeline"]
                assert [e["event_id"] for e in timeline["events"]] == [e["event_id"] for e in found][-len(timeline["events"]):]
    finally:
        server.close()
