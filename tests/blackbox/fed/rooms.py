"""Rooms as a peer has them: events by id, the state after each. State is merged, not resolved: tests that need more say so themselves."""
import itertools
import time

from fed import events

_serial = itertools.count()


def _key(event):
    return event["type"], event["state_key"]


class PeerRoom:
    def __init__(self, peer, version, room_id):
        self.peer, self.version, self.room_id = peer, version, room_id
        self.events, self.after, self.tips = {}, {}, []
        self.via = None

    #
    # How it begins
    #
    @classmethod
    def create(cls, peer, version, creator, join_rule="public", visibility="shared", state=(), power=None, create=None):
        v12 = int(version) >= 12
        room = cls(peer, version, None if v12 else f"!r{next(_serial)}:{peer.name}")
        room.creator = creator
        content = {"room_version": version} | ({} if int(version) >= 11 else {"creator": creator}) | (create or {})
        create = room.build("m.room.create", content, sender=creator, state_key="")
        if v12:
            room.room_id = "!" + events.event_id(version, create)[1:]
        room.take(create)
        room.send("m.room.member", {"membership": "join"}, sender=creator, state_key=creator)
        levels = {"users": {} if v12 else {creator: 100}, "state_default": 50, "events_default": 0, "users_default": 0} | (power or {})
        room.send("m.room.power_levels", levels, sender=creator, state_key="")
        room.send("m.room.join_rules", {"join_rule": join_rule} if isinstance(join_rule, str) else join_rule, sender=creator, state_key="")
        room.send("m.room.history_visibility", {"history_visibility": visibility}, sender=creator, state_key="")
        for type, key, content in state:
            room.send(type, content, sender=creator, state_key=key)
        return room

    @classmethod
    def entered(cls, peer, version, room_id, event, state, auth_chain):
        room = cls(peer, version, room_id)
        for e in [*auth_chain, *state]:
            room.events[room.id(e)] = e
        before = {_key(e): room.id(e) for e in state}
        room.creator = event["sender"]
        room.events[room.id(event)] = event
        room.after[room.id(event)] = before | {_key(event): room.id(event)}
        room.tips = [room.id(event)]
        return room

    def id(self, event):
        return events.event_id(self.version, event)

    #
    # State
    #
    def state_before(self, event):
        state = {}
        for i in events.ids(self.version, event["prev_events"]):
            state |= self.after.get(i, {})
        return state

    @property
    def state(self):
        """(type, state_key) to event id, after all tips."""
        state = {}
        for tip in self.tips:
            state |= self.after[tip]
        return state

    def state_event(self, type, key=""):
        i = self.state.get((type, key))
        return self.events.get(i)

    def stripped(self):
        types = ("m.room.create", "m.room.name", "m.room.avatar", "m.room.topic", "m.room.join_rules", "m.room.canonical_alias", "m.room.encryption")
        return [self.events[i] for (t, _), i in self.state.items() if t in types]

    def auth_chain(self, of):
        """All that these events rest upon, without themselves (but where one rests upon another)."""
        found, todo = {}, [i for e in of for i in events.ids(self.version, e["auth_events"])]
        while todo:
            i = todo.pop()
            if i in found or i not in self.events:
                continue
            found[i] = self.events[i]
            todo += events.ids(self.version, found[i]["auth_events"])
        return list(found.values())

    #
    # New events
    #
    def auth_for(self, type, sender, state_key, content, state):
        keys = [("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", sender)]
        if int(self.version) >= 12:
            keys = keys[1:]
        if type == "m.room.member":
            keys.append(("m.room.member", state_key))
            if content.get("membership") in ("join", "invite", "knock"):
                keys.append(("m.room.join_rules", ""))
            allowed_by = content.get("join_authorised_via_users_server")
            if isinstance(allowed_by, str) and int(self.version) >= 8:
                keys.append(("m.room.member", allowed_by))
            signed = content.get("third_party_invite")
            for name in ("signed", "token"):
                signed = signed.get(name) if isinstance(signed, dict) else None
            if isinstance(signed, str):
                keys.append(("m.room.third_party_invite", signed))
        found = []
        for k in keys:
            i = state.get(k)
            if i and i not in found and type != "m.room.create":
                found.append(i)
        return [self.events[i] for i in found]

    def build(self, type, content, sender=None, state_key=None, prev=None, auth=None, by=..., **over):
        """An event, finished (by=None: without hashes and signatures), not part of the room yet. prev, auth: events; what is in `over` is
        put over its fields; None takes one away."""
        sender = sender or self.creator
        prev = [self.events[t] for t in self.tips[-10:]] if prev is None else prev
        state = {}
        for e in prev:
            state |= self.after.get(self.id(e), {})
        auth = self.auth_for(type, sender, state_key, content, state) if auth is None else auth
        event = {
            "type": type, "room_id": self.room_id, "sender": sender, "content": content, "origin": self.peer.name,
            "origin_server_ts": int(time.time() * 1000), "depth": max([e["depth"] for e in prev], default=0) + 1,
            "prev_events": events.refs(self.version, prev), "auth_events": events.refs(self.version, auth),
        }
        if state_key is not None:
            event["state_key"] = state_key
        if int(self.version) >= 12 and type == "m.room.create":
            del event["room_id"]
        if events.named(self.version):
            event["event_id"] = f"$e{next(_serial)}:{self.peer.name}"
        for name, value in over.items():
            if value is None:
                event.pop(name, None)
            else:
                event[name] = value
        if by is None:
            return event
        return events.finish(self.version, event, self.peer.key if by is ... else by)

    def take(self, event):
        """The event is part of the room."""
        i = self.id(event)
        if i in self.after:
            return event
        self.events[i] = event
        state = self.state_before(event)
        if "state_key" in event:
            state = state | {_key(event): i}
        self.after[i] = state
        prevs = events.ids(self.version, event["prev_events"])
        self.tips = [t for t in self.tips if t not in prevs] + [i]
        return event

    def send(self, type, content, sender=None, state_key=None, **kw):
        return self.take(self.build(type, content, sender, state_key, **kw))

    def message(self, body="hello", sender=None, **kw):
        return self.send("m.room.message", {"msgtype": "m.text", "body": body}, sender=sender, **kw)

    #
    # The graph
    #
    def before(self, start, limit, inclusive=False, stop=(), min_depth=0):
        """Backwards from these ids, the newest first."""
        if inclusive:
            todo = list(start)
        else:
            todo = [p for i in start if i in self.events for p in events.ids(self.version, self.events[i]["prev_events"])]
        seen, out = set(stop), []
        while todo and len(out) < limit:
            i = todo.pop(0)
            if i in seen or i not in self.after:
                continue
            seen.add(i)
            event = self.events[i]
            if event["depth"] < min_depth:
                continue
            out.append(event)
            todo += events.ids(self.version, event["prev_events"])
        return out
