// Who is logged in nowhere loses no message: a dehydrated device receives its keys. Usage: node dehydration.mjs BASE_URL NAME.
import assert from "node:assert/strict";
import * as sdk from "matrix-js-sdk";
import { CryptoEvent } from "matrix-js-sdk/lib/crypto-api/index.js";
import { device, end, eventually, joined, reads, register, say, setUp, until } from "./device.mjs";

const [aliceName, bobName] = ["alice", "bob"].map((who) => `${who}${process.argv[3]}`);
await Promise.all([register(aliceName), register(bobName)]);
const [a1, b1] = [await device(aliceName), await device(bobName)];
const alice = a1.getUserId();
const secret = await setUp(a1, aliceName);
const { room_id: room } = await b1.createRoom({
    preset: sdk.Preset.PrivateChat, invite: [alice],
    initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
});
await eventually("invite", a1, async () => a1.getRoom(room)?.getMyMembership() === "invite");
await a1.joinRoom(room);
await Promise.all([joined(a1, room), joined(b1, room)]);

say("a device is left at the server");
assert.equal(await a1.getCrypto().isDehydrationSupported(), true);
const uploaded = until("upload", a1, CryptoEvent.DehydratedDeviceUploaded, () => true);
await a1.getCrypto().startDehydration({ createNewKey: true });
await uploaded;
const devices = async () => [...((await b1.getCrypto().getUserDeviceInfo([alice], true)).get(alice) ?? new Map()).values()];
const dried = await eventually("bob sees it", b1, async () => (await devices()).find((d) => d.dehydrated)?.deviceId);
await a1.logout(true);
a1.stopClient();
await eventually("bob sees it alone", b1, async () => (await devices()).map((d) => d.deviceId).join() === dried);

say("messages come while alice is logged in nowhere");
const sent = [];
for (const body of ["are you there?", "never mind"]) sent.push([(await b1.sendTextMessage(room, body)).event_id, body]);
assert.ok(b1.sentTo.some(([type, user, id]) => type === "m.room.encrypted" && user === alice && id === dried));

say("her next device wakes it up, and reads them");
const a2 = await device(aliceName, secret);
assert.ok(await a2.getCrypto().userHasCrossSigningKeys(alice, true));
await a2.getCrypto().bootstrapCrossSigning({});
const rehydrated = until("rehydration", a2, CryptoEvent.RehydrationCompleted, () => true);
await a2.getCrypto().startDehydration();
await rehydrated;
for (const [id, body] of sent) await reads(a2, room, id, body);

say("another one took its place");
const next = await eventually("bob sees the new one", b1, async () =>
    (await devices()).find((d) => d.dehydrated && d.deviceId !== dried)?.deviceId);
const { device_id: now } = await a2.http.authedRequest("GET", "/dehydrated_device", undefined, undefined, {
    prefix: "/_matrix/client/unstable/org.matrix.msc3814.v1",
});
assert.equal(now, next);
end(a2, b1);
