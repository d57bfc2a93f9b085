"""A matrix-nio device as a party to an encrypted conversation."""
import nio

PASSWORD = "wonderland-1"


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
