"""Who says that they want no invitations gets none, whichever way (Client-Server API, "Invite permission")."""
import pytest

from client import MatrixError, q

CONFIG = "m.invite_permission_config"


def say(user, content):
    user.put(f"/user/{q(user.user_id)}/account_data/{CONFIG}", content)


def invited(user):
    return list(user.sync(since=None).get("rooms", {}).get("invite", {}))


def test_every_way_is_closed(alice, bob):
    room = alice.create_room()
    say(bob, {"default_action": "block"})
    member = {"type": "m.room.member", "state_key": bob.user_id, "content": {"membership": "invite"}}
    for method, path, body in [
        ("POST", f"/rooms/{q(room)}/invite", {"user_id": bob.user_id}),
        ("POST", "/createRoom", {"invite": [bob.user_id]}),
        ("POST", "/createRoom", {"initial_state": [member]}),
        ("PUT", f"/rooms/{q(room)}/state/m.room.member/{q(bob.user_id)}", {"membership": "invite"}),
    ]:
        alice.fails(403, "M_INVITE_BLOCKED", method, path, body)
    assert invited(bob) == []
    with pytest.raises(MatrixError):
        alice.get_state(room, "m.room.member", bob.user_id)
    assert len(alice.get("/joined_rooms")["joined_rooms"]) == 1


@pytest.mark.parametrize("content", [{}, {"default_action": "allow"}, {"default_action": 1}, {"default_action": None}])
def test_anything_else_lets_them_in(alice, bob, content):
    say(bob, {"default_action": "block"})
    say(bob, content)
    room = alice.create_room(invite=[bob.user_id])
    assert invited(bob) == [room]


def test_one_from_before_is_not_told(alice, bob):
    room = alice.create_room(invite=[bob.user_id])
    say(bob, {"default_action": "block"})
    assert invited(bob) == []
    assert alice.get_state(room, "m.room.member", bob.user_id)["membership"] == "invite"
    say(bob, {})
    assert invited(bob) == [room]
