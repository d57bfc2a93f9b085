"""matrix-nio in an encrypted room: two users with two devices each, messages both ways, the server and a client restarted in between."""
import asyncio
import contextlib
import itertools

import nio
import pytest

from server import Server

PASSWORD = "wonderland-1"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request):
    s = Server(store=request.param)
    yield s
    s.close()


def good(answer):
    assert not isinstance(answer, nio.ErrorResponse), answer
    return answer


class Party:
    """One device of a user, with its keys on disk; remembers what it could read, and what it could not."""

    def __init__(self, server, folder, name):
        self.server, self.folder, self.name = server, folder, name
        self.read, self.unread = [], []
        self.open()

    def open(self):
        config = nio.AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True)
        self.client = nio.AsyncClient(self.server.url, f"@{self.name}:{self.server.name}", store_path=str(self.folder), config=config)
        self.client.add_event_callback(lambda room, event: self.read.append(event.body), nio.RoomMessageText)
        self.client.add_event_callback(lambda room, event: self.unread.append(event.event_id), nio.MegolmEvent)

    async def reopen(self):
        """The same device in another process: what it knows is what it stored."""
        user, device, token = self.client.user_id, self.client.device_id, self.client.access_token
        await self.client.close()
        self.open()
        self.client.restore_login(user, device, token)

    async def turn(self, timeout=0):
        """What sync_forever does in one round."""
        c = self.client
        good(await c.sync(timeout=timeout))
        await c.send_to_device_messages()
        if c.should_upload_keys:
            good(await c.keys_upload())
        if c.should_query_keys:
            good(await c.keys_query())
        if c.should_claim_keys:
            good(await c.keys_claim(c.get_users_for_key_claiming()))

    async def until(self, want):
        for _ in range(50):
            if want():
                return
            await self.turn(timeout=2000)
        raise AssertionError(f"{self.name} waited for what did not come; read: {self.read}")

    async def say(self, room, text):
        good(await self.client.room_send(room, "m.room.message", {"msgtype": "m.text", "body": text}, ignore_unverified_devices=True))


async def spread(parties, sender, room, text):
    await sender.say(room, text)
    for p in parties:
        if p is not sender:
            await p.until(lambda p=p: text in p.read)


async def settle(parties, room):
    """Everybody knows everybody's devices."""
    def complete(p):
        if room not in p.client.rooms or len(p.client.rooms[room].users) < 2 or p.client.should_query_keys:
            return False
        known = {d.id for u in p.client.rooms[room].users for d in p.client.device_store.active_user_devices(u)}
        return p.client.rooms[room].encrypted and {q.client.device_id for q in parties} - {p.client.device_id} <= known
    for p in parties:
        await p.until(lambda p=p: complete(p))


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
