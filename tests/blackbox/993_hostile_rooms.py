"""A hostile server's own rooms: it says who made them and what their state is, and sends into each what the corpus (tests/vectors/hostile)
has against authorisation, signatures and state resolution. What is forbidden is rejected, what is allowed is not, the rooms' states stay what
they are, and nobody else notices."""
import copy
import itertools
import time

import pytest

from client import MatrixError, q, register
from fed import events
from fed.follower import Follower, enter, state_of
from fed.hostile import corpus, is_for, placed
from fed.peer import FED, Peer
from fed.rooms import PeerRoom

AUTH, SIGNATURES, RESOLVE = corpus("auth"), corpus("signatures")["rows"], corpus("resolve")["rows"]
LAST = 2**53 - 1
_serial = itertools.count()


class Stage:
    """The peers and the guest: a user of Hearth's who enters all these rooms, and has one of their own that nothing is to touch."""

    def __init__(self, hs, version, a, b):
        self.hs, self.version, self.a, self.b = hs, version, a, b
        self.domains = {"a": a.name, "b": b.name, "n": b.name}
        self.alice, self.mod, self.bob = a.user("alice"), a.user("mod"), b.user("bob")
        self.guest = Follower(register(hs))
        self.own = self.guest.client.create_room()
        self.identity, self.stranger = events.Key("id.server", "0"), events.Key("id.server", "0")
        a.on("POST", "/get_missing_events/", self.missing)

    def missing(self, request):
        room = self.a.rooms[request.parts[1]]
        return 200, {"events": [room.missing[i] for i in request.body["latest_events"] if i in room.missing]}

    def content(self, spec):
        """The spec's, or what it changes in a named event's."""
        under = AUTH["named"][spec["over"]]["content"] if "over" in spec else {}
        content = self._keyed(placed(under | spec["content"], self.domains))
        # Before version 12 the creator has a level like others: 100, in all the rows.
        if spec["type"] == "m.room.power_levels" and int(self.version) < 12 and isinstance(content.get("users"), dict):
            content["users"] = content["users"] | {self.alice: 100}
        return content

    def _keyed(self, value):
        if isinstance(value, dict):
            return {k: self._keyed(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._keyed(v) for v in value]
        return self.identity.public if value == "<<key>>" else value

    def sign_third_party(self, content, forge):
        invite = content.get("third_party_invite")
        signed = invite.get("signed") if isinstance(invite, dict) else None
        if not isinstance(signed, dict) or forge == "none":
            return
        if forge == "types":
            signed["signatures"] = {"id.server": {"ed25519:0": 5, "x": []}, "y": None, "z": []}
        elif forge == "small order":
            signed["signatures"] = {"i": {"ed25519:0": events.b64(b"\1" + bytes(63))}}
        elif forge == "many":
            signed["signatures"] = {f"s{n}": {"ed25519:0": "AAAA"} for n in range(500)} | {"z": {}}
        else:
            (self.stranger if forge == "other key" else self.identity).sign(signed)
        if forge == "other text":
            signed["more"] = 1

    def sealed(self, event, signers="ab"):
        event = events.finish(self.version, event, {"a": self.a, "b": self.b, "n": self.b}[signers[0]].key)
        for s in signers[1:]:
            events.sign(self.version, event, {"a": self.a, "b": self.b, "n": self.b}[s].key)
        return event

    def enters(self, room):
        """The guest is let in, and the peer knows it."""
        enter(self.guest.client, room.room_id, self.a)
        room.base = room.events[room.tips[-1]]
        assert room.base["state_key"] == self.guest.client.user_id

    def send(self, pdus):
        answers = {}
        for i in range(0, len(pdus), 50):
            answers |= self.a.send(self.hs, pdus[i:i + 50])
        return answers

    def settle(self, rooms):
        """What was sent into these rooms has come to its end."""
        by = {r: r.build("m.room.message", {"body": "settled"}, sender=r.speaker, prev=[r.base]) for r in rooms}
        answers = self.send(list(by.values()))
        assert all(answers[r.id(e)] == {} for r, e in by.items()), answers
        self.guest.until(lambda: all(r.id(e) in self.guest.events.get(r.room_id, ()) for r, e in by.items()),
                         "the end of all that was sent")

    def stands(self, event_id):
        """Is it part of its room (accepted, or soft-failed)?"""
        return self.a.raw("GET", self.hs, f"{FED}/v1/event/{q(event_id)}").status_code == 200

    def shown(self, room, event_id):
        """To the guest: by /sync, or where another gap cut the timeline short above it."""
        return event_id in self.guest.events.get(room.room_id, ()) or \
            self.guest.client.raw("GET", f"/rooms/{q(room.room_id)}/event/{q(event_id)}").status_code == 200

    def unharmed(self):
        said = self.guest.client.send(self.own, "all is well")
        self.guest.sees(self.own, said)


class Room(PeerRoom):
    """A room of alice's as the rows have it, in which a state is claimed: (type, key) to id."""

    def __init__(self, stage, create=None, levels=None):
        version = stage.version
        super().__init__(stage.a, version, None if int(version) >= 12 else f"!h{next(_serial)}:{stage.a.name}")
        self.stage, self.creator, self.speaker, self.what = stage, stage.alice, stage.alice, ""
        self.claimed, self.put_in, self.missing = {}, {}, {}
        create = create or {"content": {}}
        content = placed(create["content"], stage.domains)
        if int(version) < 11 and "content" in create and create.get("type") is None:
            content = {"creator": stage.alice}
        content = {"room_version": version} | content
        over = {"prev_events": [[i, {"sha256": "AAAA"}] if events.named(version) else i for i in create.get("prev", [])]}
        if "room_id" in create:
            over["room_id"] = create["room_id"]
            if int(version) < 12:
                self.room_id = over["room_id"] = f"!h{next(_serial)}:elsewhere"
        made = self.build("m.room.create", content, sender=stage.alice, state_key="", prev=[], auth=[], by=None, **over)
        self.made = self.usual("create", made)
        if int(version) >= 12:
            self.room_id = "!" + self.id(self.made)[1:]
        users = {stage.mod: 50} | ({} if int(version) >= 12 else {stage.alice: 100})
        for type, key, content, sender in [("m.room.member", stage.alice, {"membership": "join"}, stage.alice),
                                           ("m.room.power_levels", "", levels or {"users": users}, stage.alice),
                                           ("m.room.join_rules", "", {"join_rule": "public"}, stage.alice),
                                           ("m.room.member", stage.mod, {"membership": "join"}, stage.mod),
                                           ("m.room.member", stage.bob, {"membership": "join"}, stage.bob)]:
            self.usual(None, self.build(type, content, sender=sender, state_key=key, by=None))
        stage.a.rooms[self.room_id] = self

    def usual(self, what, event):
        event = self.take(self.stage.sealed(event))
        self.claimed[event["type"], event["state_key"]] = self.id(event)
        return event

    def claim(self, spec):
        """Puts into the claimed state, or takes out of it, what the row says."""
        stage = self.stage
        type, key = spec["type"], placed(spec["key"], stage.domains)
        if type == "m.room.create" and spec["content"] is not None:
            return
        if spec["content"] is None:
            del self.claimed[type, key]
            return
        sender = placed(spec["sender"], stage.domains)
        # As if there had been none: the first of its kind may say what no later one could.
        before = {k: v for k, v in self.state.items() if k != (type, key) or sender == key}
        content = stage.content(spec)
        auth = self.auth_for(type, sender, key, content, before)
        if spec.get("rejected"):  # by an entry that does not belong there
            auth += [self.events[self.state["m.room.member", stage.bob]]]
        event = stage.sealed(self.build(type, content, sender=sender, state_key=key, auth=auth, by=None))
        self.events[self.id(event)] = event
        if spec.get("rejected"):
            self.put_in[type, key] = event
        elif type == "m.room.join_rules":  # sent once the guest is in, whom it might keep out
            self.late = event
        else:
            self.claimed[type, key] = self.id(event)

    late = None

    def opened(self):
        """With the claim made, and an invitation for the guest: whatever the join rules are."""
        guest = self.stage.guest.client.user_id
        invite = self.stage.sealed(self.build("m.room.member", {"membership": "invite"}, sender=self.stage.alice, state_key=guest, by=None))
        self.events[self.id(invite)] = invite
        self.claimed["m.room.member", guest] = self.id(invite)
        tip = self.message("the claim")
        self.after[self.id(tip)] = dict(self.claimed)
        return self

    def on_a_claim(self, claim):
        """An event whose ancestors the peer gives but one, before which this claim is the state; the guest is a member in it."""
        guest = {("m.room.member", self.stage.guest.client.user_id): self.id(self.base)}
        chain, auth = [self.base], self.auth_for("m.room.message", self.speaker, None, {}, self.after[self.id(self.base)])
        for _ in range(4):
            event = self.build("m.room.message", {"body": f"another state {next(_serial)}"}, sender=self.speaker, prev=chain[-1:], auth=auth)
            self.events[self.id(event)], self.after[self.id(event)] = event, claim | guest
            chain.append(event)
        self.missing[self.id(chain[4])] = chain[3]
        return chain[4]

    def row_event(self, row):
        """The row's event on the claimed state."""
        stage, e = self.stage, row["event"]
        content = stage.content(e)
        stage.sign_third_party(content, e.get("forge"))
        prev = [self.made] if e.get("prev") == ["create"] else [self.base]
        sender, key = placed(e["sender"], stage.domains), placed(e.get("key"), stage.domains)
        if e["type"] == "m.room.aliases" and key:
            key = {"a": stage.a.name, "b:8448": stage.b.name + "1"}[key]
        state = self.after[self.id(prev[0])]
        auth = self.auth_for(e["type"], sender, key, content, state)
        auth = [self.put_in.get((a["type"], a["state_key"]), a) for a in auth if f"{a['type']}|{a['state_key']}" not in row.get("auth_less", [])]
        for name in row.get("auth_more", []):
            type, _, k = name.partition("|")
            auth.append(self.events[state[type, placed(k, stage.domains)]])
        over = {name: placed(e[name], stage.domains) for name in ("redacts",) if name in e}
        if "room_id" in e:
            over["room_id"] = e["room_id"]
        if "event_id" in e:
            over["event_id"] = f"$r{next(_serial)}:{stage.b.name}"
        event = self.build(e["type"], content, sender=sender, state_key=key, prev=prev, auth=auth, by=None, **over)
        return stage.sealed(event, e.get("signed", "abn"))


@pytest.fixture
def peer_b():
    p = Peer()
    yield p
    p.close()
    assert not p.faults, p.faults


def refused(stage, room):
    """The guest is not let in by their own server."""
    with pytest.raises(MatrixError) as e:
        enter(stage.guest.client, room.room_id, stage.a)
    assert e.value.status < 500 or e.value.errcode != "M_UNKNOWN", (room.what, e.value)


def of_create(row):
    """Rows that are about how a room began: nobody enters such a room, or everybody does."""
    return row["event"]["type"] == "m.room.create" and row["event"].get("prev") != ["create"]


def claims_create(row):
    return next((s for s in row.get("state", []) if isinstance(s, dict) and s["type"] == "m.room.create"), None)


def specs_of(row):
    return [AUTH["named"][s] if isinstance(s, str) else s for s in row.get("state", [])]


@pytest.mark.parametrize("version", ["1", "6", "10", "12"])
def test_rooms_that_did_not_begin_well(fed, peer, peer_b, version):
    stage = Stage(fed, version, peer, peer_b)
    rows = [r for r in AUTH["rows"] if is_for(r, version) and of_create(r)]
    entered = 0
    for row in rows:
        room = Room(stage, row["event"])
        room.opened().what = row["what"]
        if row["expect"] == "allow":
            stage.enters(room)
            entered += 1
        else:
            refused(stage, room)
    assert entered and entered < len(rows)
    stage.unharmed()


@pytest.mark.parametrize("version", ["1", "6", "10", "12"])
def test_events_against_the_rules(fed, peer, peer_b, version):
    stage = Stage(fed, version, peer, peer_b)
    by_state = {}
    for row in AUTH["rows"]:
        if is_for(row, version) and not of_create(row):
            by_state.setdefault(repr(row.get("state", [])), []).append(row)
    foreign, rooms = None, []
    for rows in by_state.values():
        create, specs = claims_create(rows[0]), specs_of(rows[0])
        room = Room(stage, create if create and create["content"] is not None else None)
        room.what, room.rows = rows[0]["what"], rows
        for spec in specs:
            if "room_id" in spec:
                key = spec["type"], placed(spec["key"], stage.domains)
                room.put_in[key] = foreign.events[foreign.claimed[key]]
            else:
                room.claim(spec)
        if create and create.get("rejected"):
            room.claimed["m.room.create", ""] = room.id(Room(stage).made)
        room.opened()
        if create and (create["content"] is None or create.get("rejected") or create["content"].get("m.federate") is False):
            refused(stage, room)  # who is not of alice's server is shut out already, or there is no room
            continue
        stage.enters(room)
        foreign = foreign or (None if specs and specs[0] is AUTH["named"]["no power levels"] else room)
        if any(s["type"] == "m.room.member" and s["key"] == "@alice:a" for s in specs):
            room.speaker = stage.mod
        rooms.append(room)
    late = [r.take(r.stage.sealed(r.build("m.room.join_rules", r.late["content"], sender=stage.alice, state_key="", prev=[r.base], by=None)))
            for r in rooms if r.late]
    stage.send(late + [e for r in rooms for e in r.put_in.values() if e["room_id"] == r.room_id])
    for r in rooms:
        r.base = next((e for e in late if e["room_id"] == r.room_id), r.base)
    stage.settle(rooms)

    forbidden, allowed = {}, {}
    for room in rooms:
        for row in room.rows:
            event = room.row_event(row)
            (allowed if row["expect"] == "allow" else forbidden)[room.id(event)] = row["what"], event
    assert len(forbidden) > 50 and len(allowed) > 10
    before = [state_of(stage.guest.client, r.room_id) for r in rooms]
    answers = stage.send([e for _, e in forbidden.values()])
    # What a server can tell by the event alone it says; the rest is the room's own affair.
    assert len([a for a in answers.values() if a == {}]) > 100, answers
    stage.settle(rooms)
    assert [state_of(stage.guest.client, r.room_id) for r in rooms] == before
    assert not [what for i, (what, _) in forbidden.items() if stage.stands(i)]
    shown = {i for found in stage.guest.events.values() for i in found}
    assert not [what for i, (what, _) in forbidden.items() if i in shown]

    stage.send([e for _, e in allowed.values()])
    stage.settle(rooms)
    assert not [what for i, (what, _) in allowed.items() if not stage.stands(i)]

    # What was allowed where it stands, and is not any more: kept for what builds on it, and shown to nobody.
    theirs = [(room, row) for room in rooms for row in room.rows
              if row["expect"] == "allow" and row["event"]["sender"] == "@bob:b" and "key" not in row["event"]]
    where = list({room.room_id: room for room, _ in theirs}.values())
    stage.send([r.build("m.room.member", {"membership": "ban"}, sender=stage.alice, state_key=stage.bob, prev=[r.base]) for r in where])
    stage.settle(where)
    late = {room.id(e): (row["what"], e) for room, row in theirs for e in [room.row_event(row)]}
    assert late and not late.keys() & allowed.keys()
    stage.send([e for _, e in late.values()])
    stage.settle(where)
    assert not [what for i, (what, _) in late.items() if not stage.stands(i)]
    shown = {i for found in stage.guest.events.values() for i in found}
    assert not [what for i, (what, _) in late.items() if i in shown]
    stage.unharmed()


#
# Signatures
#
ORDER = 2**252 + 27742317777372353535851937790883648493


def spoiled(change, text):
    """What becomes of a good signature's text."""
    raw = bytearray(events.unb64(text))
    if change in ("flip first", "flip last"):
        raw[0 if change == "flip first" else 40] ^= 1
    elif change in ("S+L", "S+2L"):
        s = int.from_bytes(raw[32:], "little") + ORDER * (2 if change == "S+2L" else 1)
        raw[32:] = s.to_bytes(32, "little")
    elif change == "small order R":
        raw[:32] = b"\1" + bytes(31)
    elif change in KEYS and change != "other key":
        raw = b"\1" + bytes(63)
    return {"short": events.b64(raw[:63]), "long": events.b64(raw + b"\0"), "empty": "", "huge": "A" * 60000,
            "line feed": text[:40] + "\n" + text[40:], "space": " " + text, "one pad": text + "=", "padded": text + "==", "hex": raw.hex()}.get(change, events.b64(raw))


KEYS = {"other key": None, "small order key": b"\1" + bytes(31), "small order key 2": b"\xec" + b"\xff" * 30 + b"\x7f", "zero key": bytes(32),
        "no point": b"\2" + bytes(31)}


def edited(change, room):
    """What is changed in the event after it was signed."""
    return {"content": {"content": {"body": "another"}}, "sender": {"sender": room.stage.mod}, "depth": {"depth": 6},
            "type": {"type": "m.room.topic"}, "room": {"room_id": "!else:domain" if int(room.version) < 12 else "!" + "B" * 43}, "prev": {"prev_events": []},
            "hashes": {"hashes": {"sha256": "AAAA"}}, "unsigned": {"unsigned": {"a": 1}}}.get(change, {})


def signed_event(room, row, now):
    """The row's event, and the keys that its server has to publish for it: under verify_keys, old_verify_keys."""
    stage, change = room.stage, row.get("change")
    content = placed(row.get("content", {"body": f"x{next(_serial)}"}), stage.domains)
    key = {"@alice:domain": stage.alice, "@new:n": stage.b.user("new")}.get(row.get("state_key"))
    if isinstance(content.get("join_authorised_via_users_server"), str):
        content["join_authorised_via_users_server"] = stage.bob
    over = {"event_id": f"$s{next(_serial)}:{stage.b.name}"} if "event_id" in row else {}
    if "ts" in row:
        over["origin_server_ts"] = row["ts"] - row["until"] + now if 0 < row["ts"] < LAST else row["ts"]
    event = room.build(row.get("type", "m.room.message"), content, sender=stage.alice, state_key=key, prev=[room.base], by=None, **over)
    signer, current, old = events.Key(stage.a.name), {}, {}
    if row.get("old"):
        old[signer.id] = {"key": signer.public, "expired_ts": now if row["until"] == row["ts"] else now - 1}
        event["origin_server_ts"] = now
    elif change != "unknown key id":
        public = KEYS.get(change)
        current[signer.id] = {"key": events.b64(public) if public else events.Key(stage.a.name).public if change == "other key" else signer.public}
    events.finish(room.version, event, signer)
    text = event["signatures"][stage.a.name][signer.id]
    server = stage.b.name if change == "other server" else stage.a.name
    key_id = signer.id.replace("ed25519", "ed448") if change == "algorithm" else signer.id
    event["signatures"] = {} if change == "none" else {server: {key_id: spoiled(change, text)}}
    return event | copy.deepcopy(edited(change, room)), current, old


@pytest.mark.parametrize("version", [str(n) for n in range(1, 13)])
def test_signatures_that_are_none(fed, peer, peer_b, version):
    """Each with a key of its own, as it was published: what is not well signed is refused at once, and said to be."""
    stage = Stage(fed, version, peer, peer_b)
    room = Room(stage).opened()
    stage.enters(room)
    rows = [r for r in SIGNATURES if is_for(r, version)]
    now = int(time.time() * 1000) + 3600_000  # until when the keys are valid
    made = [(row, *signed_event(room, row, now)) for row in rows]

    def document(request):
        keys = {"server_name": peer.name, "valid_until_ts": now, "verify_keys": {peer.key.id: {"key": peer.key.public}}, "old_verify_keys": {}}
        for _, _, current, old in made:
            keys["verify_keys"] |= current
            keys["old_verify_keys"] |= old
        return 200, peer.key.sign(keys)

    peer.on("GET", "/_matrix/key/v2/server", document)
    answers = stage.send([event for _, event, _, _ in made])
    stage.settle([room])
    for row, event, _, _ in made:
        answer = answers.get(room.id(event))  # of a room that is not known there is none
        assert (answer == {}) == row["expect"], (row["what"], answer)
        if not row["expect"] or "third_party_invite" in row.get("content", {}):  # which needs more than a server's signature
            assert not stage.stands(room.id(event)), row["what"]
        else:
            assert stage.stands(room.id(event)), row["what"]
    stage.unharmed()


#
# States that no server should have given
#
def claimed_rooms(stage, row):
    """The row's room once for each of its states as the one that the guest is given; and the ids of the row's events."""
    for first in range(len(row["states"])):
        specs = {e["id"]: e for e in row["events"]}
        room = Room(stage, None)
        made = {"create": room.made}
        serial = f"{next(_serial)}"
        named = events.named(room.version)
        for name, spec in specs.items():
            if name == "create":
                continue
            key = placed(spec["key"], stage.domains)
            auth = [n for n in spec["auth"] if n != "create" or int(room.version) < 12]
            refs = [[f"${serial}{n}:{stage.a.name}", {"sha256": "AAAA"}] if named else room.id(made[n]) for n in auth if n != "create"]
            refs += events.refs(room.version, [room.made]) if "create" in auth else []
            over = {"auth_events": refs, **{k: spec[n] for k, n in (("depth", "depth"), ("origin_server_ts", "ts")) if n in spec},
                    **({"event_id": f"${serial}{name}:{stage.a.name}"} if named else {})}
            prev = made[spec["prev"][0]] if "prev" in spec else list(made.values())[-1]
            event = room.build(spec["type"], stage.content(spec), sender=placed(spec["sender"], stage.domains), state_key=key, prev=[prev], auth=[],
                               by=None, **({"room_id": room.room_id} | over))
            made[name] = stage.sealed(event)
            room.events[room.id(made[name])] = made[name]
        room.claims = [{(made[n]["type"], made[n]["state_key"]): room.id(made[n]) for n in names} for names in row["states"]]
        room.claims.insert(0, room.claims.pop(first))
        room.claimed, room.named = room.claims[0], made
        yield room.opened()


@pytest.mark.parametrize("version", ["1", "2", "6", "12"])
def test_states_that_no_server_should_have_given(fed, peer, peer_b, version):
    """Each of a row's states once as the one the guest enters on, the others as what is told of where history is missing."""
    stage = Stage(fed, version, peer, peer_b)
    rows = [r for r in RESOLVE if is_for(r, version) and (r["expect"] != "circle" or version == "2")]  # ids that are hashes make no circles
    rooms = []
    for row in rows:
        entered = 0
        for room in claimed_rooms(stage, row):
            room.what, room.row = row["what"], row
            try:
                stage.enters(room)
            except MatrixError as e:  # the guest's own join would stand on what is none
                assert e.status in (403, 404, 502), (row["what"], e)
                continue
            entered += 1
            room.others = [room.on_a_claim(claim) for claim in room.claims[1:]]
            # Without the room's create event it is no state at all.
            room.lost = [e for e, claim in zip(room.others, room.claims[1:]) if claim["m.room.create", ""] != room.id(room.made)]
            rooms.append(room)
        assert entered, row["what"]
    answers = stage.send([e for r in rooms for e in r.others])
    assert not any(answers.values()), answers
    for r in rooms:
        stage.guest.until(lambda r=r: all(stage.shown(r, r.id(e)) for e in r.others if e not in r.lost), r.what)
    stage.settle(rooms)
    for r in rooms:
        state = state_of(stage.guest.client, r.room_id)
        assert not [e for e in r.lost if stage.stands(r.id(e))], r.what
        for key, name in ({"m.room.power_levels|": "pl"} if r.row["expect"] == "circle" else r.row["expect"]).items():
            type, _, k = key.partition("|")
            assert state.get((type, placed(k, stage.domains))) == (name and r.id(r.named[name])), (r.what, key)
    stage.unharmed()
