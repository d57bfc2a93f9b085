"""matrix-nio in an encrypted room: two users with two devices each, messages both ways, the server and a client restarted in between."""
import asyncio
import contextlib
import itertools

import nio
import pytest

from nio_party import PASSWORD, Party, good, settle, spread
from server import Server


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request):
    s = Server(store=request.param)
    yield s
    s.close()


def test_an_encrypted_conversation(server, tmp_path):
    asyncio.run(conversation(server, tmp_path))


async def conversation(server, tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        parties = []
        for name, n in itertools.product(("alice", "bob"), range(2)):
            folder = tmp_path / f"{name}{n}"
            folder.mkdir()
            p = Party(server, folder, name)
            stack.push_async_callback(lambda p=p: p.client.close())
            if n == 0:
                good(await p.client.register(name, PASSWORD, device_name=f"{name} {n}"))
            else:
                good(await p.client.login(PASSWORD, device_name=f"{name} {n}"))
            parties.append(p)
        alice, _, bob, _ = parties
        for p in parties:
            await p.turn()
        room = good(await alice.client.room_create(invite=[bob.client.user_id], initial_state=[nio.EnableEncryptionBuilder().as_dict()])).room_id
        await bob.until(lambda: room in bob.client.invited_rooms)
        good(await bob.client.join(room))
        await settle(parties, room)

        await spread(parties, alice, room, "from alice")
        await spread(parties, bob, room, "from bob")
        server.restart()
        await spread(parties, bob, room, "bob, after the restart")
        await spread(parties, alice, room, "alice, after the restart")

        # A device that was away meets the server anew, with what it stored; another one comes while it was.
        await bob.client.close()
        folder = tmp_path / "bob2"
        folder.mkdir()
        third = Party(server, folder, "bob")
        stack.push_async_callback(lambda: third.client.close())
        good(await third.client.login(PASSWORD, device_name="bob 2"))
        await third.turn()
        await settle([p for p in parties if p is not bob] + [third], room)
        server.kill()
        server.start()
        await alice.say(room, "to all who are here now")
        await third.until(lambda: "to all who are here now" in third.read)
        await bob.reopen()
        await bob.until(lambda: "to all who are here now" in bob.read)
        for p in parties:
            assert p.unread == [], f"{p.name} could not read {p.unread}"

        # What hangs on a device goes with it: nobody encrypts for it any more.
        gone = third.client.device_id
        good(await third.client.logout())
        await alice.until(lambda: gone not in [d.id for d in alice.client.device_store.active_user_devices(bob.client.user_id)])
        await spread(parties, alice, room, "to who is left")
