"""matrix-nio drives two users through everything that an ordinary day holds."""
import asyncio
import json

import nio
import pytest

from server import Server


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.close()


def good(answer):
    assert not isinstance(answer, nio.ErrorResponse), answer
    return answer


def bodies(answer, room):
    info = answer.rooms.join.get(room)
    return [e.body for e in info.timeline.events if isinstance(e, nio.RoomMessageText)] if info else []


async def sync_until(client, want):
    for _ in range(50):
        found = want(good(await client.sync(timeout=5000)))
        if found:
            return found
    raise AssertionError("what was waited for did not come")


@pytest.mark.parametrize("version", [str(n) for n in range(1, 13)])
def test_a_day_of_two_users(server, version):
    asyncio.run(a_day(server, version))


async def a_day(server, version):
    alice, bob = nio.AsyncClient(server.url, ""), nio.AsyncClient(server.url, "")
    try:
        good(await alice.register(f"alice{version}", "wonderland-1", device_name="laptop"))
        good(await bob.register(f"bob{version}", "builder-22", device_name="phone"))
        good(await alice.logout())
        alice.user = f"@alice{version}:{server.name}"
        good(await alice.login("wonderland-1"))
        assert alice.user_id == f"@alice{version}:{server.name}"

        room = good(await alice.room_create(name="Tea", topic="at five", room_version=version, invite=[bob.user_id])).room_id
        await sync_until(bob, lambda a: room in a.rooms.invite)
        good(await bob.join(room))
        await sync_until(alice, lambda a: room in a.rooms.join and alice.rooms[room].users.get(bob.user_id)
                         and not alice.rooms[room].users[bob.user_id].invited)
        await sync_until(bob, lambda a: room in a.rooms.join)
        assert bob.rooms[room].name == "Tea" and bob.rooms[room].topic == "at five"

        sent = good(await alice.room_send(room, "m.room.message", {"msgtype": "m.text", "body": "hello bob"})).event_id
        await sync_until(bob, lambda a: "hello bob" in bodies(a, room))
        good(await bob.room_send(room, "m.room.message", {"msgtype": "m.text", "body": "hello alice"}))
        await sync_until(alice, lambda a: "hello alice" in bodies(a, room))

        good(await alice.room_put_state(room, "m.room.topic", {"topic": "at six"}))
        await sync_until(bob, lambda a: bob.rooms[room].topic == "at six")
        assert good(await bob.room_get_state_event(room, "m.room.topic")).content["topic"] == "at six"
        assert any(e["type"] == "m.room.create" for e in good(await bob.room_get_state(room)).events)

        good(await bob.room_typing(room, True))
        await sync_until(alice, lambda a: bob.user_id in alice.rooms[room].typing_users)
        good(await bob.room_read_markers(room, sent, sent))
        await sync_until(alice, lambda a: bob.user_id in alice.rooms[room].read_receipts)

        good(await alice.room_redact(room, sent, reason="typo"))
        await sync_until(bob, lambda a: room in a.rooms.join and any(
            isinstance(e, nio.RedactionEvent) and e.redacts == sent for e in a.rooms.join[room].timeline.events))
        assert isinstance(good(await bob.room_get_event(room, sent)).event, nio.RedactedEvent)

        history = good(await bob.room_messages(room, bob.next_batch, limit=100))
        texts = [e.body for e in history.chunk if isinstance(e, nio.RoomMessageText)]
        assert texts == ["hello alice"]

        good(await alice.set_displayname("Alice in W."))
        await sync_until(bob, lambda a: bob.rooms[room].users[alice.user_id].display_name == "Alice in W.")
        assert good(await bob.get_displayname(alice.user_id)).displayname == "Alice in W."
        assert {m.user_id for m in good(await bob.joined_members(room)).members} == {alice.user_id, bob.user_id}

        alias = f"#tea{version}:{server.name}"
        good(await alice.room_put_alias(alias, room))
        assert good(await bob.room_resolve_alias(alias)).room_id == room
        assert [d.id for d in good(await alice.devices()).devices] == [alice.device_id]

        # The room gives way to another one: bob is told where, and goes there.
        path = nio.Api._build_path(["rooms", room, "upgrade"])
        answer = await alice.send("POST", path, json.dumps({"new_version": "12"}), headers={"Authorization": f"Bearer {alice.access_token}"})
        new = (await answer.json())["replacement_room"]
        await sync_until(bob, lambda a: room in a.rooms.join and any(
            isinstance(e, nio.RoomUpgradeEvent) and e.replacement_room == new for e in a.rooms.join[room].timeline.events))
        good(await alice.room_invite(new, bob.user_id))
        good(await bob.join(new))
        await sync_until(bob, lambda a: new in a.rooms.join)
        assert bob.rooms[new].name == "Tea" and bob.rooms[new].topic == "at six" and bob.rooms[new].canonical_alias is None
        assert good(await bob.room_resolve_alias(alias)).room_id == new
        create = good(await bob.room_get_state_event(new, "m.room.create")).content
        assert create["predecessor"]["room_id"] == room and create["room_version"] == "12"
        good(await alice.room_send(new, "m.room.message", {"msgtype": "m.text", "body": "here"}))
        await sync_until(bob, lambda a: "here" in bodies(a, new))

        # matrix-nio's own way of doing it, from the client.
        by_hand = good(await alice.room_create(name="Coffee", room_version=version)).room_id
        await sync_until(alice, lambda a: by_hand in a.rooms.join)
        upgraded = good(await alice.room_upgrade(by_hand, version)).room_id
        await sync_until(alice, lambda a: upgraded in a.rooms.join)
        assert alice.rooms[upgraded].name == "Coffee"

        good(await bob.room_leave(room))
        await sync_until(alice, lambda a: bob.user_id not in alice.rooms[room].users)
        good(await bob.room_forget(room))
        token = bob.access_token
        good(await bob.logout())
        bob.access_token = token
        assert isinstance(await bob.whoami(), nio.WhoamiError)
    finally:
        await alice.close()
        await bob.close()
