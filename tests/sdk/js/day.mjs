// Two users, an ordinary day: register, log in, room, invite, messages both ways, incremental sync, state, redaction, profile,
// logout. Usage: node day.mjs BASE_URL ROOM_VERSION. Ends with "the day is over"; anything else is a failure.
import assert from "node:assert/strict";
import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.setLevel?.("error");
const [baseUrl, version] = process.argv.slice(2);

async function registered(name) {
    const fresh = sdk.createClient({ baseUrl });
    const got = await fresh.registerRequest({ username: name, password: "wonderland-1", auth: { type: "m.login.dummy" } });
    return sdk.createClient({ baseUrl, userId: got.user_id, accessToken: got.access_token, deviceId: got.device_id });
}

// Resolves when `emitter` says `name` and want(...) holds; looks at `already` first.
function until(what, emitter, name, want, already = () => false) {
    if (already()) return Promise.resolve();
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`did not come: ${what}`)), 30000);
        emitter.on(name, function listener(...args) {
            if (!want(...args)) return;
            clearTimeout(timer);
            emitter.off(name, listener);
            resolve();
        });
    });
}

const started = async (client) => {
    const prepared = until("first sync", client, sdk.ClientEvent.Sync, (state) => state === "PREPARED" || state === "SYNCING");
    await client.startClient({ initialSyncLimit: 20, lazyLoadMembers: true });
    await prepared;
};

let alice = await registered(`jsalice${version}`);
const bob = await registered(`jsbob${version}`);
await alice.logout(true);
const login = await sdk.createClient({ baseUrl }).loginRequest({
    type: "m.login.password", identifier: { type: "m.id.user", user: `jsalice${version}` }, password: "wonderland-1",
});
alice = sdk.createClient({ baseUrl, userId: login.user_id, accessToken: login.access_token, deviceId: login.device_id });
await started(alice);
await started(bob);

const { room_id: room } = await alice.createRoom({ name: "Tea", topic: "at five", room_version: version, preset: sdk.Preset.PrivateChat });
const invited = until("invite", bob, sdk.RoomMemberEvent.Membership, (_e, m) => m.userId === bob.getUserId() && m.membership === "invite");
await alice.invite(room, bob.getUserId());
await invited;
const bobJoined = until("join", alice, sdk.RoomMemberEvent.Membership, (_e, m) => m.userId === bob.getUserId() && m.membership === "join");
await bob.joinRoom(room);
await bobJoined;
await until("own join", bob, sdk.RoomEvent.MyMembership, (r, m) => r.roomId === room && m === "join",
    () => bob.getRoom(room)?.getMyMembership() === "join");

const said = (client, text) => until(text, client, sdk.RoomEvent.Timeline,
    (e, r) => r?.roomId === room && e.getContent().body === text && e.getSender() !== client.getUserId());
const heardByBob = said(bob, "hello bob");
const { event_id: sent } = await alice.sendTextMessage(room, "hello bob");
await heardByBob;
const heardByAlice = said(alice, "hello alice");
await bob.sendTextMessage(room, "hello alice");
await heardByAlice;

const newTopic = until("topic", bob, sdk.RoomStateEvent.Events, (e) => e.getType() === "m.room.topic" && e.getContent().topic === "at six");
await alice.setRoomTopic(room, "at six");
await newTopic;
assert.equal((await bob.getStateEvent(room, "m.room.topic", "")).topic, "at six");

const receipt = until("receipt", alice, sdk.RoomEvent.Receipt, (_e, r) => r.roomId === room && r.getEventReadUpTo(bob.getUserId()) !== null);
await bob.sendReadReceipt(bob.getRoom(room).findEventById(sent));
await receipt;
const typing = until("typing", alice, sdk.RoomMemberEvent.Typing, (_e, m) => m.userId === bob.getUserId() && m.typing);
await bob.sendTyping(room, true, 20000);
await typing;

const redaction = until("redaction", bob, sdk.RoomEvent.Redaction, (e) => e.getAssociatedId?.() === sent || e.event.redacts === sent || e.getContent().redacts === sent);
await alice.redactEvent(room, sent);
await redaction;
assert.ok((await bob.fetchRoomEvent(room, sent)).unsigned.redacted_because);

const renamed = until("display name", bob, sdk.RoomMemberEvent.Name, (_e, m) => m.userId === alice.getUserId() && m.name === "Alice in W.");
await alice.setDisplayName("Alice in W.");
await renamed;
assert.equal((await bob.getProfileInfo(alice.getUserId())).displayname, "Alice in W.");

await bob.scrollback(bob.getRoom(room), 30);
await bob.setRoomTag(room, "m.favourite", { order: 0.5 });
await bob.setAccountData("org.example.test", { a: 1 });
assert.equal((await bob.getAccountDataFromServer("org.example.test")).a, 1);

const replaced = until("tombstone", bob, sdk.RoomStateEvent.Events, (e) => e.getType() === "m.room.tombstone" && e.getRoomId() === room);
const { replacement_room: successor } = await alice.upgradeRoom(room, "12");
await replaced;
assert.equal(bob.getRoom(room).currentState.getStateEvents("m.room.tombstone", "").getContent().replacement_room, successor);
await alice.invite(successor, bob.getUserId());
await bob.joinRoom(successor);
await until("the successor", bob, sdk.RoomEvent.MyMembership, (r, m) => r.roomId === successor && m === "join",
    () => bob.getRoom(successor)?.getMyMembership() === "join");
await until("its name", bob, sdk.RoomEvent.Name, (r) => r.roomId === successor && r.name === "Tea", () => bob.getRoom(successor)?.name === "Tea");
assert.equal(bob.getRoom(successor).findPredecessor().roomId, room);
const favourite = () => bob.getRoom(successor).tags["m.favourite"]?.order === 0.5;
await until("its tag", bob, sdk.RoomEvent.Tags, (_e, r) => r.roomId === successor && favourite(), favourite);

await bob.leave(room);
await bob.forget(room, true);
for (const client of [alice, bob]) {
    client.stopClient();
    await client.logout(true);
}
console.log("the day is over");
process.exit(0);
