// Two users with two devices each, who trust each other and lose nothing. Usage: node crypto.mjs BASE_URL NAME; whoever runs it
// restarts the server when it says so. Ends with "the day is over"; anything else is a failure.
import assert from "node:assert/strict";
import * as sdk from "matrix-js-sdk";
import { backedUp, device, end, eventually, joined, proving, reads, register, say, serverRestart, setUp, verifyByEmoji } from "./device.mjs";

const [aliceName, bobName] = ["alice", "bob"].map((who) => `${who}${process.argv[3]}`);
await Promise.all([register(aliceName), register(bobName)]);

say("cross-signing, secret storage and key backup are set up");
const [a1, b1] = [await device(aliceName), await device(bobName)];
const [alice, bob] = [a1.getUserId(), b1.getUserId()];
const secrets = { [alice]: await setUp(a1, aliceName), [bob]: await setUp(b1, bobName) };
for (const client of [a1, b1]) {
    assert.ok(await client.getCrypto().isCrossSigningReady());
    assert.ok(await client.getCrypto().isSecretStorageReady());
    assert.ok(await client.getCrypto().getActiveSessionBackupVersion());
    await eventually("the device is signed by its user", client, async () =>
        (await client.getCrypto().getDeviceVerificationStatus(client.getUserId(), client.getDeviceId())).crossSigningVerified);
}

say("messages between two devices");
const { room_id: room } = await a1.createRoom({
    preset: sdk.Preset.PrivateChat, invite: [bob],
    initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
});
await eventually("invite", b1, async () => b1.getRoom(room)?.getMyMembership() === "invite");
await b1.joinRoom(room);
await Promise.all([joined(a1, room), joined(b1, room)]);
await eventually("bob's join", a1, async () => a1.getRoom(room).getMember(bob)?.membership === "join");
const history = [];
let turn = 0;
// One device says something; all read it, encrypted.
async function says(from, readers) {
    const body = `message ${++turn} from ${from.getDeviceId()}`;
    const { event_id: id } = await from.sendTextMessage(room, body);
    const events = await Promise.all([from, ...readers].map((client) => reads(client, room, id, body)));
    history.push([id, body]);
    return events[0];
}
await says(a1, [b1]);
await says(b1, [a1]);

say("bob's new device is verified by emoji, to-device, and gets his secrets");
const b2 = await device(bobName);
await eventually("b1 knows b2", b1, async () => (await b1.getCrypto().getUserDeviceInfo([bob], true)).get(bob)?.has(b2.getDeviceId()));
assert.equal((await b1.getCrypto().getDeviceVerificationStatus(bob, b2.getDeviceId())).crossSigningVerified, false);
await verifyByEmoji(b2, await b2.getCrypto().requestOwnUserVerification(), b1);
await eventually("b2 is signed", b1, async () =>
    (await b1.getCrypto().getDeviceVerificationStatus(bob, b2.getDeviceId())).crossSigningVerified);
await eventually("b2 has the private keys", b2, async () => b2.getCrypto().isCrossSigningReady());
await eventually("b2 uses the backup", b2, async () => b2.getCrypto().getActiveSessionBackupVersion());

say("alice's new device restores the backup with her recovery key alone");
await backedUp(a1);
const a2 = await device(aliceName, secrets[alice]);
assert.ok(await a2.getCrypto().userHasCrossSigningKeys(alice, true));
await a2.getCrypto().bootstrapCrossSigning({});
await eventually("a2 is signed", a1, async () =>
    (await a1.getCrypto().getDeviceVerificationStatus(alice, a2.getDeviceId()))?.crossSigningVerified);
await a2.getCrypto().loadSessionBackupPrivateKeyFromSecretStorage();
assert.equal((await a2.getCrypto().checkKeyBackupAndEnable()).trustInfo.trusted, true);
const restored = await a2.getCrypto().restoreKeyBackup();
assert.ok(restored.total >= 2 && restored.imported === restored.total, JSON.stringify(restored));
for (const [id, body] of history) await reads(a2, room, id, body);

say("alice and bob verify each other by emoji, in the room");
const asked = await a1.getCrypto().requestVerificationDM(bob, room);
await verifyByEmoji(a1, asked, b1);
for (const client of [a1, a2])
    await eventually("bob is verified", client, async () => (await client.getCrypto().getUserVerificationStatus(bob)).isCrossSigningVerified());
for (const client of [b1, b2])
    await eventually("alice is verified", client, async () => (await client.getCrypto().getUserVerificationStatus(alice)).isCrossSigningVerified());

say("everybody reads everybody");
const everybody = [a1, a2, b1, b2];
const round = async (clients) => {
    for (const from of clients) await says(from, clients.filter((c) => c !== from));
};
await round(everybody);

say("and after the server was started anew");
await serverRestart();
await Promise.all(everybody.map((client) => { client.retryImmediately(); return eventually("sync", client, async () => client.getSyncState() === "SYNCING"); }));
await round(everybody);

say("a device that was logged out is forgotten");
const before = (await says(a1, [a2, b1, b2])).getWireContent().session_id;
const gone = b2.getDeviceId();
b2.stopClient();
await b2.logout(true);
for (const client of [a1, a2, b1])
    await eventually("b2 is gone", client, async () => !(await client.getCrypto().getUserDeviceInfo([bob], true)).get(bob).has(gone));
for (const client of everybody) client.sentTo.length = 0;
const after = (await says(a1, [a2, b1])).getWireContent().session_id;
assert.notEqual(after, before, "the session that the gone device has is still used");
assert.deepEqual(a1.sentTo.filter(([, , id]) => id === gone), []);
assert.ok(a1.sentTo.some(([type, , id]) => type === "m.room.encrypted" && id === b1.getDeviceId()));

say("a device that another one deletes, with its password, is forgotten");
const doomed = a2.getDeviceId();
const prove = proving(aliceName);
await prove((auth) => a1.deleteDevice(doomed, auth ?? undefined));
assert.ok(prove.asked, "a device was deleted without a password");
a2.stopClient();
for (const client of [a1, b1])
    await eventually("a2 is gone", client, async () => !(await client.getCrypto().getUserDeviceInfo([alice], true)).get(alice).has(doomed));
b1.sentTo.length = 0;
await says(b1, [a1]);
assert.deepEqual(b1.sentTo.filter(([, , id]) => id === doomed), []);

say("new cross-signing keys need the password, and are seen");
const proveAgain = proving(bobName);
await b1.getCrypto().bootstrapCrossSigning({ setupNewCrossSigning: true, authUploadDeviceSigningKeys: proveAgain });
assert.ok(proveAgain.asked, "keys were replaced without a password");
await eventually("bob's new identity is not verified", a1, async () => {
    const status = await a1.getCrypto().getUserVerificationStatus(bob);
    return !status.isCrossSigningVerified() && status.wasCrossSigningVerified();
});
end(a1, b1);
