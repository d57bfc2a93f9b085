"""An account that is closed with `erase`: who was in the room keeps what they saw, who comes later is shown as little as possible."""
from client import q, register
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
