"""What a client has heard so far, whenever it came: tests of several servers wait for what may have come long before.

    f = Follower(client)
    f.until(lambda: f.says(room, "hello"), "hello")     long-polls until it is so
"""
import json
import time

from client import q

FILTER = json.dumps({"room": {"timeline": {"limit": 1000}, "include_leave": True}})


class Follower:
    """Reads one client's /sync, and keeps all of it. There is no limited timeline that it would not notice: see `limited`."""

    def __init__(self, client):
        self.client = client
        self.since = None
        self.events, self.order, self.state, self.limited = {}, {}, {}, {}
        self.joined, self.invited, self.left, self.knocked = set(), {}, set(), {}
        self.typing, self.receipts, self.presence = {}, {}, {}
        self.to_device, self.changed, self.gone = [], [], []

    def turn(self, timeout=0):
        params = {"filter": FILTER, "timeout": timeout, "set_presence": "offline"}
        if self.since:
            params["since"] = self.since
        got = self.client.get("/sync", **params)
        self.since = got["next_batch"]
        self.to_device += got.get("to_device", {}).get("events", [])
        lists = got.get("device_lists", {})
        self.changed += lists.get("changed", [])
        self.gone += lists.get("left", [])
        for e in got.get("presence", {}).get("events", []):
            self.presence[e["sender"]] = e["content"]
        rooms = got.get("rooms", {})
        for room, r in rooms.get("join", {}).items():
            self._moved(room, self.joined)
            self._room(room, r)
        for room, r in rooms.get("leave", {}).items():
            self._moved(room, self.left)
            self._room(room, r)
        for room, r in rooms.get("invite", {}).items():
            self._moved(room, self.invited)
            self.invited[room] = r["invite_state"]["events"]
        for room, r in rooms.get("knock", {}).items():
            self._moved(room, self.knocked)
            self.knocked[room] = r["knock_state"]["events"]

    def _moved(self, room, into):
        for where in (self.joined, self.left):
            where.discard(room)
        for where in (self.invited, self.knocked):
            where.pop(room, None)
        if isinstance(into, set):
            into.add(room)

    def _room(self, room, r):
        timeline = r.get("timeline", {})
        if timeline.get("limited") and room in self.events:
            self.limited[room] = self.limited.get(room, 0) + 1
        seen = self.events.setdefault(room, {})
        for e in r.get("state", {}).get("events", []):
            self.state[room, e["type"], e["state_key"]] = e
        for e in timeline.get("events", []):
            if e["event_id"] not in seen:
                self.order.setdefault(room, []).append(e["event_id"])
            seen[e["event_id"]] = e
            if "state_key" in e:
                self.state[room, e["type"], e["state_key"]] = e
        for e in r.get("ephemeral", {}).get("events", []):
            if e["type"] == "m.typing":
                self.typing[room] = set(e["content"]["user_ids"])
            if e["type"] == "m.receipt":
                for event_id, kinds in e["content"].items():
                    for kind, users in kinds.items():
                        for user, data in users.items():
                            self.receipts[room, kind, user, data.get("thread_id")] = event_id

    def until(self, want, what="what was waited for", seconds=30):
        """Long-polls until want() gives something true, and gives that."""
        deadline = time.monotonic() + seconds
        while True:
            found = want()
            if found:
                return found
            left = deadline - time.monotonic()
            assert left > 0, f"{self.client.user_id} on {self.client.server.name}: {what} did not come within {seconds} s"
            self.turn(timeout=int(min(left, 5) * 1000))

    # what it asks itself
    def bodies(self, room):
        """What was said, in the order in which it came."""
        seen = self.events.get(room, {})
        return [seen[i]["content"].get("body") for i in self.order.get(room, ()) if seen[i]["type"] == "m.room.message"]

    def hears(self, room, *texts, seconds=30):
        self.until(lambda: set(texts) <= set(self.bodies(room)), f"{texts} in {room} (heard: {self.bodies(room)[-5:]})", seconds)

    def member(self, room, user):
        e = self.state.get((room, "m.room.member", getattr(user, "user_id", user)))
        return e and e["content"].get("membership")

    def sees_member(self, room, user, membership, seconds=30):
        self.until(lambda: self.member(room, user) == membership, f"{getattr(user, 'user_id', user)} as {membership}", seconds)

    def sees(self, room, event_id, seconds=30):
        return self.until(lambda: self.events.get(room, {}).get(event_id), f"{event_id} in {room}", seconds)


def enter(client, room, *servers, **body):
    """Joins through these servers."""
    via = "&".join(f"server_name={q(s)}&via={q(s)}" for s in (getattr(s, "name", s) for s in servers))
    return client.post(f"/join/{q(room)}?{via}", body)["room_id"]


def knock(client, room, *servers, **body):
    via = "&".join(f"server_name={q(s)}&via={q(s)}" for s in (getattr(s, "name", s) for s in servers))
    return client.post(f"/knock/{q(room)}?{via}", body)["room_id"]


def state_of(client, room):
    """The current state as this client's server has it: {(type, state_key): event id}."""
    answer = client.raw("GET", f"/rooms/{q(room)}/state")
    assert answer.status_code == 200, answer.text
    return {(e["type"], e["state_key"]): e["event_id"] for e in answer.json()}


def history(client, room, limit=100):
    """All events of the room that /messages reaches, newest first."""
    found, at = [], None
    while True:
        params = {"dir": "b", "limit": limit, **({"from": at} if at else {})}
        got = client.get(f"/rooms/{q(room)}/messages", **params)
        found += got["chunk"]
        at = got.get("end")
        if not at:
            return found
