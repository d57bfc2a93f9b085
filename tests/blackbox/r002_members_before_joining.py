"""With history for who was joined, /members tells nobody who was in the room before they came, whatever token they have."""
from client import q


def test_members_at_a_token_from_before_the_join(alice, bob, user):
    carol = user()
    room = alice.create_room(initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}])
    alice.invite(room, carol)
    carol.join(room)
    bob.sync(since=None)
    before = bob.next_batch
    carol.leave(room)
    alice.invite(room, bob)
    bob.join(room)
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/members", params={"at": before})
    bob.sync()
    assert len(bob.get(f"/rooms/{q(room)}/members", at=bob.next_batch)["chunk"]) == 3
    alice.get(f"/rooms/{q(room)}/members", at=before)
