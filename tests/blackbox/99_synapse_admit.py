"""Users of a Synapse come into Hearth's rooms, knock, leave, and invite Hearth's users."""
import pytest

from client import MatrixError, q, register
from fed.synapse import Synapse

VERSIONS = [str(n) for n in range(1, 13)]


@pytest.fixture(scope="module")
def synapse():
    server = Synapse()
    yield server
    server.close()


@pytest.fixture
def alice(fed):
    return register(fed)


@pytest.fixture
def zoe(synapse):
    return register(synapse)


def joined(client, room, user):
    def has(answer):
        timeline = answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
        return [e for e in timeline if e["type"] == "m.room.member" and e["state_key"] == user.user_id]
    return client.sync_until(has)[-1]["content"]["membership"]


def said(client, room, event_id):
    client.sync_until(lambda a: [e for e in a.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
                                 if e["event_id"] == event_id])


def enter(client, room, server):
    return client.post(f"/join/{q(room)}?server_name={server.name}&via={server.name}")


@pytest.mark.parametrize("version", VERSIONS)
def test_join_talk_leave(fed, alice, zoe, version):
    room = alice.create_room(preset="public_chat", room_version=version, name="Salon")
    before = alice.send(room, "before")
    alice.sync()
    enter(zoe, room, fed)
    assert joined(alice, room, zoe) == "join"
    members = zoe.get(f"/rooms/{q(room)}/joined_members")["joined"]
    assert set(members) == {alice.user_id, zoe.user_id}
    said(zoe, room, alice.send(room, "hello"))
    said(alice, room, zoe.send(room, "hello yourself"))
    assert before in [e["event_id"] for e in zoe.get(f"/rooms/{q(room)}/messages", dir="b", limit=50)["chunk"]]
    zoe.leave(room)
    assert joined(alice, room, zoe) == "leave"
    enter(zoe, room, fed)
    assert joined(alice, room, zoe) == "join"


@pytest.mark.parametrize("version", ["8", "11", "12"])
def test_restricted(fed, alice, zoe, version):
    space = alice.create_room(preset="public_chat", room_version=version)
    room = alice.create_room(room_version=version, initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": {
        "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}}])
    with pytest.raises(MatrixError):
        enter(zoe, room, fed)
    enter(zoe, space, fed)
    alice.sync()
    enter(zoe, room, fed)
    assert joined(alice, room, zoe) == "join"


@pytest.mark.parametrize("version", ["7", "11", "12"])
def test_knock_and_answer(fed, alice, zoe, version):
    room = alice.create_room(room_version=version, name="Salon", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    zoe.post(f"/knock/{q(room)}?server_name={fed.name}&via={fed.name}", {"reason": "please"})
    assert joined(alice, room, zoe) == "knock"
    shown = zoe.sync_until(lambda a: a.get("rooms", {}).get("knock", {}).get(room))
    assert "m.room.name" in [e["type"] for e in shown["knock_state"]["events"]]
    alice.invite(room, zoe)
    zoe.sync_until(lambda a: a.get("rooms", {}).get("invite", {}).get(room))
    enter(zoe, room, fed)
    assert joined(alice, room, zoe) == "join"


@pytest.mark.parametrize("version", VERSIONS)
def test_invited_by_theirs(fed, alice, zoe, version):
    room = zoe.create_room(room_version=version, name="Theirs")
    alice.sync()
    zoe.invite(room, alice)
    shown = alice.sync_until(lambda a: a.get("rooms", {}).get("invite", {}).get(room))["invite_state"]["events"]
    assert {"m.room.name", "m.room.member"} <= {e["type"] for e in shown}
    alice.post(f"/rooms/{q(room)}/leave")
    alice.sync_until(lambda a: a.get("rooms", {}).get("leave", {}).get(room))
    zoe.sync_until(lambda a: [e for e in a.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
                              if e.get("state_key") == alice.user_id and e["content"]["membership"] == "leave"])
    # Invited again, and taken back before it is answered.
    zoe.invite(room, alice)
    alice.sync_until(lambda a: a.get("rooms", {}).get("invite", {}).get(room))
    zoe.post(f"/rooms/{q(room)}/kick", {"user_id": alice.user_id, "reason": "sorry"})
    gone = alice.sync_until(lambda a: a.get("rooms", {}).get("leave", {}).get(room))
    assert gone["timeline"]["events"][-1]["content"]["reason"] == "sorry"
    zoe.invite(room, alice)
    alice.sync_until(lambda a: a.get("rooms", {}).get("invite", {}).get(room))
    alice.join(room)
    said(alice, room, zoe.send(room, "welcome"))
