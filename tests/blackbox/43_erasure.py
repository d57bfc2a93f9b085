"""An account that is closed with `erase`: who was in the room keeps what they saw, who comes later is shown as little as possible."""
import contextlib
import sqlite3
import time

from client import q, register
from crypto import Identity
from server import Server


def deactivate(user, erase=True):
    user.post("/account/deactivate", {"erase": erase, "auth": {"type": "m.login.password", "password": "sesame-open-1",
                                                               "identifier": {"type": "m.id.user", "user": user.user_id}}})


def scene(hs):
    """Bert says something that Anna is there for; Carl comes afterwards."""
    anna, bert, carl = register(hs), register(hs), register(hs)
    bert.put(f"/profile/{q(bert.user_id)}/displayname", {"displayname": "Bert the Bold"})
    room = anna.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    bert.join(room)
    topic = bert.set_state(room, "m.room.topic", {"topic": "Bert's topic"})
    said = bert.send(room, "forget me")
    carl.join(room)
    kept = anna.send(room, "stays")
    return anna, bert, carl, room, said, topic, kept


def contents(user, room, said):
    """The event as every door shows it."""
    at = f"/rooms/{q(room)}"
    yield user.get(f"{at}/event/{q(said)}")
    yield user.get(f"{at}/context/{q(said)}")["event"]
    yield next(e for e in user.get(f"{at}/messages", dir="b", limit=50)["chunk"] if e["event_id"] == said)
    synced = user.sync(since=None, filter='{"room":{"timeline":{"limit":50}}}')["rooms"]["join"][room]["timeline"]["events"]
    yield next(e for e in synced if e["event_id"] == said)


def test_who_was_there_keeps_it(each_hs):
    anna, bert, carl, room, said, topic, kept = scene(each_hs)
    for reader in (anna, carl):
        assert [e["content"]["body"] for e in contents(reader, room, said)] == ["forget me"] * 4
    deactivate(bert)
    assert [e["content"]["body"] for e in contents(anna, room, said)] == ["forget me"] * 4
    assert [e["content"] for e in contents(carl, room, said)] == [{}] * 4
    assert carl.get(f"/rooms/{q(room)}/event/{q(kept)}")["content"]["body"] == "stays"
    # What he set of the room is the room's.
    assert carl.get_state(room, "m.room.topic") == {"topic": "Bert's topic"}
    assert carl.get(f"/rooms/{q(room)}/event/{q(topic)}")["content"] == {"topic": "Bert's topic"}
    # Of what he was called in it nothing is left for Carl: he was not there when Bert came.
    joined = [e for e in carl.get(f"/rooms/{q(room)}/messages", dir="b", limit=50)["chunk"]
              if e["type"] == "m.room.member" and e.get("state_key") == bert.user_id and e["content"]["membership"] == "join"]
    assert joined and all("displayname" not in e["content"] for e in joined)


def test_it_outlives_a_restart():
    server = Server()
    try:
        anna, bert, carl, room, said, *_ = scene(server)
        deactivate(bert)
        server.restart()
        assert [e["content"] for e in contents(carl, room, said)] == [{}] * 4
        assert [e["content"]["body"] for e in contents(anna, room, said)] == ["forget me"] * 4
    finally:
        server.close()


def test_without_erase_nothing_is_hidden(each_hs):
    anna, bert, carl, room, said, *_ = scene(each_hs)
    deactivate(bert, erase=False)
    assert [e["content"]["body"] for e in contents(carl, room, said)] == ["forget me"] * 4


def test_nothing_that_is_no_event_stays(hs):
    """Whatever a user left, each with a mark of its own, is looked for in the whole database: it is there before, and gone after."""
    alice, bob = register(hs), register(hs)
    marks = {}

    def mark(what):
        return marks.setdefault(what, f"leftbehind{len(marks)}{alice.device_id}")
    me, device = alice.user_id, alice.device_id

    def keys(device_id, text):
        return {"user_id": me, "device_id": device_id, "algorithms": [], "keys": {f"curve25519:{device_id}": text}, "signatures": {}}
    alice.put(f"/user/{q(me)}/account_data/org.x", {"a": mark("account data")})
    alice.post(f"/user/{q(me)}/filter", {"event_fields": [mark("filter")]})
    alice.put("/pushrules/global/content/" + mark("push rule"), {"actions": [], "pattern": "x"})
    alice.put(f"/profile/{q(me)}/displayname", {"displayname": mark("profile")})
    alice.put(f"/devices/{q(device)}", {"display_name": mark("device")})
    alice.post("/keys/upload", {"device_keys": keys(device, mark("device keys")),
                                "one_time_keys": {"signed_curve25519:A": {"key": mark("one-time key"), "signatures": {}}},
                                "fallback_keys": {"signed_curve25519:F": {"key": mark("fallback key"), "signatures": {}}}})
    identity = Identity(me)
    alice.post("/keys/device_signing/upload", identity.body())
    marks["identity"] = identity.body()["master_key"]["keys"].popitem()[1]
    bob.put("/sendToDevice/m.test/erased", {"messages": {me: {device: {"a": mark("message")}, "DRY": {}}}})
    alice.put("/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device", {
        "device_id": "DRY", "device_data": {"algorithm": "x", "a": mark("dehydrated device")}, "device_keys": keys("DRY", mark("its keys"))})
    version = alice.post("/room_keys/version", {"algorithm": "x", "auth_data": {"a": mark("backup")}})["version"]
    session = {"first_message_index": 0, "forwarded_count": 0, "is_verified": False, "session_data": {"a": mark("backed-up key")}}
    alice.put(f"/room_keys/keys?version={version}", {"rooms": {"!r:x": {"sessions": {"s": session}}}})

    def there():
        with contextlib.closing(sqlite3.connect(f"file:{hs.dir}/hearth.db?mode=ro", uri=True)) as db:
            tables = [name for name, in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
            values = b"\n".join(v.encode() if isinstance(v, str) else v for table in tables
                                for row in db.execute(f'SELECT * FROM "{table}"') for v in row if isinstance(v, str | bytes))
        return [what for what, text in marks.items() if text.encode() in values]
    assert there() == list(marks)
    deactivate(alice)
    until = time.monotonic() + 30
    while (left := there()) and time.monotonic() < until:  # backed-up keys go in time
        time.sleep(0.1)
    assert left == []
