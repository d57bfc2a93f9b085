// What the scenarios share: devices with a crypto of their own, and waiting for what other devices did.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import * as sdk from "matrix-js-sdk";
import { CryptoEvent } from "matrix-js-sdk/lib/crypto-api/index.js";
import { VerificationPhase, VerificationRequestEvent, VerifierEvent } from "matrix-js-sdk/lib/crypto-api/verification.js";
import { RustBackupManager } from "matrix-js-sdk/lib/rust-crypto/backup.js";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.setLevel?.("silent");
for (const level of ["debug", "log", "info", "warn", "trace", "error"]) console[level] = () => {}; // the wasm part speaks, too
RustBackupManager.maxBackupLoopStartDelayMillis = 0;
export const say = (text) => process.stdout.write(`${text}\n`);
export const baseUrl = process.argv[2];
export const PASSWORD = "wonderland-1";

// Resolves when `emitter` says `name` and want(...) holds, with what want gave; looks at `already` first.
export function until(what, emitter, name, want, already = () => false) {
    const before = already();
    if (before) return Promise.resolve(before);
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`did not come: ${what}`)), 40000);
        emitter.on(name, function listener(...args) {
            const found = want(...args);
            if (!found) return;
            clearTimeout(timer);
            emitter.off(name, listener);
            resolve(found);
        });
    });
}

// Asks again and again, each time after the client synced: for what has no event of its own.
export async function eventually(what, client, ask) {
    const deadline = Date.now() + 40000;
    for (;;) {
        const found = await ask();
        if (found) return found;
        if (Date.now() > deadline) throw new Error(`did not come about: ${what}`);
        await Promise.race([
            new Promise((resolve) => client.once(sdk.ClientEvent.Sync, resolve)),
            new Promise((resolve) => setTimeout(resolve, 250)),
        ]);
    }
}

// Stops until whoever runs this has started the server anew.
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
export async function serverRestart() {
    say("restart the server");
    await lines.next();
}

const withPassword = (user) => ({ type: "m.login.password", identifier: { type: "m.id.user", user }, password: PASSWORD });

// Proves the password when the server asks for it, and says whether it did.
export function proving(user) {
    const prove = async (makeRequest) => {
        try {
            return await makeRequest(null);
        } catch (e) {
            if (e.httpStatus !== 401 || !e.data?.flows) throw e;
            prove.asked = true;
            return makeRequest({ ...withPassword(user), session: e.data.session });
        }
    };
    prove.asked = false;
    return prove;
}

export const register = (name) =>
    sdk.createClient({ baseUrl }).registerRequest({ username: name, password: PASSWORD, auth: { type: "m.login.dummy" }, inhibit_login: true });

// A new login, synced and with its keys at the server. `secret` is what the person knows: {key: the secret storage's}.
// client.sentTo has what it sent to devices: [type, user, device].
export async function device(name, secret = {}) {
    const login = await sdk.createClient({ baseUrl }).loginRequest({ ...withPassword(name) });
    const sentTo = [];
    const client = sdk.createClient({
        baseUrl,
        userId: login.user_id,
        accessToken: login.access_token,
        deviceId: login.device_id,
        verificationMethods: ["m.sas.v1"],
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => (secret.key ? [Object.keys(keys)[0], secret.key] : null),
            cacheSecretStorageKey: (_id, _info, key) => (secret.key = key),
        },
        fetchFn: (url, options) => {
            const type = /\/sendToDevice\/([^/]+)\//.exec(url)?.[1];
            if (type)
                for (const [user, devices] of Object.entries(JSON.parse(options.body).messages))
                    for (const id of Object.keys(devices)) sentTo.push([decodeURIComponent(type), user, id]);
            return fetch(url, options);
        },
    });
    client.sentTo = sentTo;
    await client.initRustCrypto({ useIndexedDB: false });
    client.setGlobalErrorOnUnknownDevices?.(false);
    await client.startClient({ initialSyncLimit: 50 });
    await until("first sync", client, sdk.ClientEvent.Sync, (state) => state === "SYNCING", () => client.getSyncState() === "SYNCING");
    return client;
}

// New cross-signing keys, secret storage and a key backup: gives what the person has to know.
export async function setUp(client, name) {
    const crypto = client.getCrypto(), secret = {};
    const recovery = await crypto.createRecoveryKeyFromPassphrase();
    secret.key = recovery.privateKey;
    client.cryptoCallbacks.getSecretStorageKey = async ({ keys }) => [Object.keys(keys)[0], secret.key];
    await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: proving(name) });
    await crypto.bootstrapSecretStorage({
        createSecretStorageKey: async () => recovery,
        setupNewSecretStorage: true,
        setupNewKeyBackup: true,
    });
    return secret;
}

export async function backedUp(client) {
    await eventually("everything is backed up", client, async () => {
        const { count } = await client.http.authedRequest("GET", "/room_keys/version");
        return count >= (await client.getCrypto().exportRoomKeys()).length;
    });
}

const text = (event) => event.getContent().body;

// Resolves when the client has the event decrypted, or says why it could not.
export async function reads(client, room, eventId, body) {
    const find = () => client.getRoom(room)?.findEventById(eventId);
    await eventually(`event for ${client.getUserId()} ${client.getDeviceId()}`, client, async () => {
        const event = find();
        return event && !event.isBeingDecrypted() && !event.isDecryptionFailure() && text(event) === body;
    }).catch((e) => {
        throw new Error(`${e.message}: ${find()?.decryptionFailureReason ?? "it is not in the timeline"}`);
    });
    assert.ok(find().isEncrypted());
    return find();
}

export async function joined(client, room) {
    await eventually("own join", client, async () => client.getRoom(room)?.getMyMembership() === "join");
    assert.ok(await client.getCrypto().isEncryptionEnabledInRoom(room));
}

// Both sides of a verification by emoji, from the request on: they see the same, and say so.
export async function verifyByEmoji(asker, request, asked) {
    const other = await until("request", asked, CryptoEvent.VerificationRequestReceived, (r) => r, () =>
        asked.getCrypto().getVerificationRequestsToDeviceInProgress(asker.getUserId())[0]);
    const phase = (r, wanted) => until(`phase ${wanted}`, r, VerificationRequestEvent.Change, () => r.phase === wanted, () => r.phase === wanted);
    await other.accept();
    await phase(request, VerificationPhase.Ready);
    const verifiers = [await request.startVerification("m.sas.v1")];
    await until("verifier", other, VerificationRequestEvent.Change, () => other.verifier, () => other.verifier);
    verifiers.push(other.verifier);
    const shown = verifiers.map((v) => until("emoji", v, VerifierEvent.ShowSas, (sas) => sas, () => v.getShowSasCallbacks()));
    const verified = verifiers.map((v) => v.verify());
    const [mine, theirs] = await Promise.all(shown);
    assert.equal(mine.sas.emoji.length, 7);
    assert.deepEqual(mine.sas.emoji, theirs.sas.emoji);
    await Promise.all([mine.confirm(), theirs.confirm()]);
    await Promise.all(verified);
    await Promise.all([phase(request, VerificationPhase.Done), phase(other, VerificationPhase.Done)]);
}

export function end(...clients) {
    for (const client of clients) client.stopClient();
    say("the day is over");
    process.exit(0);
}
