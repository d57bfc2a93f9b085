"""The keys that stand for users, and signatures by and on them."""
from concurrent.futures import ThreadPoolExecutor

from client import Client, login, register
from crypto import Device, Identity, Signer

PASSWORD = "sesame-open-1"
UPLOAD, SIGNATURES = "/keys/device_signing/upload", "/keys/signatures/upload"


def query(client, user):
    return client.post("/keys/query", {"device_keys": {user.user_id: []}})


def password(client, session=None):
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": client.user_id}, "password": PASSWORD}
    return {**auth, "session": session} if session else auth


def new_identity(client):
    identity = Identity(client.user_id)
    client.post(UPLOAD, identity.body())
    return identity


def ring(identity, client, **but):
    """What a query must show of the user's keys."""
    return {name: {client.user_id: but.get(name[:-5], identity.key(name[:-5]))} for name in ("master_keys", "self_signing_keys")}


def shown(client, user):
    got = query(client, user)
    return {name: got[name] for name in ("master_keys", "self_signing_keys", "user_signing_keys")}


def test_first_upload_needs_no_proof(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    identity = new_identity(alice)
    everybody = ring(identity, alice)
    assert shown(alice, alice) == {**everybody, "user_signing_keys": {alice.user_id: identity.key("user_signing")}}
    assert shown(bob, alice) == {**everybody, "user_signing_keys": {}}
    alice.post(UPLOAD, identity.body())
    alice.post(UPLOAD, {"user_signing_key": identity.key("user_signing")})
    alice.post(UPLOAD, {})


def test_replacing_needs_a_proof(each_hs):
    alice = register(each_hs)
    old, new = new_identity(alice), Identity(alice.user_id)
    for body in (new.body(), {**old.body(), "master_key": new.key("master"), "self_signing_key": new.key("self_signing")},
                 {"master_key": new.key("master")}, {"user_signing_key": Identity.key(new, "user_signing", old.master)}):
        answer = alice.raw("POST", UPLOAD, body)
        assert answer.status_code in (400, 401), answer.text
    assert shown(alice, alice)["master_keys"][alice.user_id] == old.key("master")
    session = alice.raw("POST", UPLOAD, new.body()).json()["session"]
    alice.fails(401, "M_FORBIDDEN", "POST", UPLOAD, {**new.body(), "auth": {**password(alice, session), "password": "wrong"}})
    alice.post(UPLOAD, {"auth": password(alice, session)})
    assert shown(alice, alice) == {**ring(new, alice), "user_signing_keys": {alice.user_id: new.key("user_signing")}}


def test_one_key_is_replaced_by_one_that_the_master_key_signed(alice):
    identity = new_identity(alice)
    newer = Identity(alice.user_id)
    newer.master = identity.master
    body = {"self_signing_key": newer.key("self_signing")}
    assert alice.raw("POST", UPLOAD, body).status_code == 401
    alice.post(UPLOAD, {**body, "auth": password(alice)})
    got = shown(alice, alice)
    assert got["self_signing_keys"][alice.user_id] == newer.key("self_signing")
    assert got["master_keys"][alice.user_id] == identity.key("master")
    assert got["user_signing_keys"][alice.user_id] == identity.key("user_signing")


def test_a_new_master_key_alone_takes_the_others_away(alice):
    new_identity(alice)
    newer = Identity(alice.user_id)
    alice.post(UPLOAD, {"master_key": newer.key("master"), "auth": password(alice)})
    assert shown(alice, alice) == {"master_keys": {alice.user_id: newer.key("master")}, "self_signing_keys": {}, "user_signing_keys": {}}


def test_each_rule_for_a_key(alice, bob):
    identity = Identity(alice.user_id)
    stranger = Signer(alice.user_id)
    alice.fails(400, "M_MISSING_PARAM", "POST", UPLOAD, {"self_signing_key": identity.key("self_signing")})
    good = identity.body()
    other = Signer(alice.user_id)
    for usage in ("master", "self_signing", "user_signing"):
        key = good[f"{usage}_key"]
        def bad(code, value):
            alice.fails(400, code, "POST", UPLOAD, {**good, f"{usage}_key": value})
        for value in (None, [], "x", {}, {**key, "user_id": bob.user_id}, {**key, "usage": []}, {**key, "usage": usage}, {**key, "usage": ["other"]},
                      {**key, "keys": {}}, {**key, "keys": {**key["keys"], other.id: other.public}}, {**key, "keys": {"ed25519:x": other.public}},
                      {**key, "keys": {other.id: other.public + "="}}, {**key, "keys": {f"ed25519:{other.public}=": other.public + "="}},
                      {**key, "keys": {f"curve25519:{other.public}": other.public}}, {**key, "keys": {"ed25519:abc": "abc"}},
                      {**key, "keys": {"ed25519:abc": 5}}, {k: v for k, v in key.items() if k != "keys"}):
            bad("M_INVALID_PARAM", value)
        bad("M_BAD_JSON", {**key, "signatures": {alice.user_id: 5}})
        if usage != "master":
            for value in (identity.key(usage, stranger), {k: v for k, v in key.items() if k != "signatures"},
                          {**key, "signatures": {alice.user_id: {identity.master.id: stranger.signature(key)}}},
                          {**key, "signatures": {alice.user_id: {identity.master.id: "x"}}},
                          {**key, "signatures": {bob.user_id: key["signatures"][alice.user_id]}}, {**key, "added": "afterwards"}):
                bad("M_INVALID_SIGNATURE", value)
    alice.fails(400, "M_INVALID_PARAM", "POST", UPLOAD, {**good, "user_signing_key": {
        **identity.master.sign({**good["self_signing_key"], "usage": ["user_signing"], "signatures": {}})}})
    assert query(alice, alice)["master_keys"] == {}
    alice.post(UPLOAD, good)


def test_devices_and_keys_share_no_name(each_hs):
    alice = register(each_hs)
    identity = Identity(alice.user_id)
    device = login(each_hs, alice.user_id, device_id=identity.self_signing.public)
    device.fails(403, "M_FORBIDDEN", "POST", UPLOAD, identity.body())
    assert query(alice, alice)["master_keys"] == {}
    device.post("/logout")
    alice.post(UPLOAD, identity.body())
    for usage in ("master", "self_signing", "user_signing"):
        answer = Client(each_hs).raw("POST", "/login", {**password(alice), "device_id": getattr(identity, usage).public})
        assert (answer.status_code, answer.json()["errcode"]) == (403, "M_FORBIDDEN")
    login(each_hs, alice.user_id, device_id="x" * 43)


def test_a_self_signing_key_signs_a_device(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    device, identity = Device(alice), new_identity(alice)
    device.upload(device_keys=device.keys())
    signed = identity.self_signing.sign(device.bare())
    assert alice.post(SIGNATURES, {alice.user_id: {device.device_id: signed}}) == {"failures": {}}
    want = {**identity.self_signing.sign(device.keys()), "unsigned": {}}
    assert query(bob, alice)["device_keys"][alice.user_id] == {device.device_id: want}
    alice.post(SIGNATURES, {alice.user_id: {device.device_id: signed}})
    device.upload(device_keys=device.keys())      # the same keys: the signature stays
    assert query(bob, alice)["device_keys"][alice.user_id] == {device.device_id: want}
    device.upload(device_keys=device.keys(new="member"))
    assert list(query(bob, alice)["device_keys"][alice.user_id][device.device_id]["signatures"][alice.user_id]) == [device.signer.id]


def test_a_new_self_signing_key_takes_its_signatures_along(alice, bob):
    device, identity = Device(alice), new_identity(alice)
    device.upload(device_keys=device.keys())
    alice.post(SIGNATURES, {alice.user_id: {device.device_id: identity.self_signing.sign(device.bare())}})
    newer = Identity(alice.user_id)
    newer.master = identity.master
    alice.post(UPLOAD, {"self_signing_key": newer.key("self_signing"), "auth": password(alice)})
    assert query(bob, alice)["device_keys"][alice.user_id][device.device_id] == {**device.keys(), "unsigned": {}}


def test_devices_sign_their_master_key(each_hs):
    alice, bob = register(each_hs), register(each_hs)
    first, second, identity = Device(alice), Device(login(each_hs, alice.user_id)), Identity(alice.user_id)
    alice.post(UPLOAD, {**identity.body(), "master_key": first.signer.sign(identity.key("master"))})
    for d in (first, second):
        d.upload(device_keys=d.keys())
    signed = second.signer.sign(identity.key("master"))
    assert alice.post(SIGNATURES, {alice.user_id: {identity.master.public: signed}}) == {"failures": {}}
    both = first.signer.sign(signed)
    assert shown(bob, alice)["master_keys"] == {alice.user_id: both}
    second.client.post("/logout")
    assert shown(bob, alice)["master_keys"] == {alice.user_id: first.signer.sign(identity.key("master"))}
    alice.post(UPLOAD, identity.body())     # the same keys, however they are signed
    first.client.post("/logout/all")
    assert shown(bob, alice)["master_keys"] == {alice.user_id: identity.key("master")}


def test_signatures_on_others_are_for_the_signer_alone(each_hs):
    alice, bob, carol = register(each_hs), register(each_hs), register(each_hs)
    alices, bobs = new_identity(alice), new_identity(bob)
    device = Device(bob)
    device.upload(device_keys=device.keys())
    bob.post(SIGNATURES, {bob.user_id: {bobs.master.public: device.signer.sign(bobs.key("master"))}})
    everybody = device.signer.sign(bobs.key("master"))
    signed = alices.user_signing.sign(bobs.key("master"))
    assert alice.post(SIGNATURES, {bob.user_id: {bobs.master.public: signed}}) == {"failures": {}}
    assert shown(alice, bob)["master_keys"] == {bob.user_id: alices.user_signing.sign(everybody)}
    for other in (bob, carol):
        assert shown(other, bob)["master_keys"] == {bob.user_id: everybody}
    newer = Identity(alice.user_id)
    newer.master = alices.master
    alice.post(UPLOAD, {"user_signing_key": newer.key("user_signing"), "auth": password(alice)})
    assert shown(alice, bob)["master_keys"] == {bob.user_id: everybody}
    alice.post(SIGNATURES, {bob.user_id: {bobs.master.public: newer.user_signing.sign(bobs.key("master"))}})
    assert shown(alice, bob)["master_keys"] == {bob.user_id: newer.user_signing.sign(everybody)}
    replaced = Identity(bob.user_id)
    bob.post(UPLOAD, {**replaced.body(), "auth": password(bob)})
    assert shown(alice, bob)["master_keys"] == {bob.user_id: replaced.key("master")}


def test_others_signatures_in_uploads_are_not_kept(alice, bob):
    identity, device, stranger = Identity(alice.user_id), Device(alice), Signer(bob.user_id)
    alice.post(UPLOAD, {**identity.body(), "master_key": stranger.sign(identity.key("master"))})
    device.upload(device_keys=stranger.sign(device.keys()))
    got = query(alice, alice)
    assert got["master_keys"] == {alice.user_id: identity.key("master")}
    assert got["device_keys"][alice.user_id][device.device_id] == {**device.keys(), "unsigned": {}}


def failures(client, body):
    return {user: {key: f["errcode"] for key, f in keys.items()} for user, keys in client.post(SIGNATURES, body)["failures"].items()}


def test_each_rule_for_a_signature(user):
    alice, bob, carol = user(), user(), user()
    device, identity, bobs = Device(alice), Identity(alice.user_id), new_identity(bob)
    device.upload(device_keys=device.keys())
    me, master = alice.user_id, identity.master.public
    signed = identity.self_signing.sign(device.bare())
    assert failures(alice, {me: {device.device_id: signed}}) == {me: {device.device_id: "M_NOT_FOUND"}}
    theirs = identity.user_signing.sign(bobs.key("master"))
    assert failures(alice, {bob.user_id: {bobs.master.public: theirs}}) == {bob.user_id: {bobs.master.public: "M_NOT_FOUND"}}
    alice.post(UPLOAD, identity.body())
    key, stranger = identity.key("master"), Signer(me)

    def on(key_id, value, code, whose=me):
        assert failures(alice, {whose: {key_id: value}}) == {whose: {key_id: code}}

    forged = {**device.bare(), "signatures": {me: {identity.self_signing.id: stranger.signature(device.bare())}}}
    for value in (device.bare(), device.keys(), forged, identity.master.sign(device.bare()), identity.user_signing.sign(device.bare())):
        on(device.device_id, value, "M_INVALID_SIGNATURE")
    on(device.device_id, identity.self_signing.sign(device.bare(more="than before")), "M_UNKNOWN")
    on("NOSUCH", identity.self_signing.sign({**device.bare(), "device_id": "NOSUCH"}), "M_NOT_FOUND")
    on(device.device_id, {**signed, "signatures": {me: 5}}, "M_BAD_JSON")
    for value in (key, identity.self_signing.sign(key), Signer(me, "NOSUCH").sign(key),
                  {**key, "signatures": {me: {device.signer.id: stranger.signature(key)}}},
                  Signer(me, "NOSUCH").sign(device.signer.sign(key))):
        on(master, value, "M_INVALID_SIGNATURE")
    on(master, device.signer.sign({**key, "more": 1}), "M_UNKNOWN")
    on(identity.self_signing.public, device.signer.sign(identity.key("self_signing")), "M_INVALID_SIGNATURE")

    other = bobs.key("master")
    for value in (other, identity.self_signing.sign(other), identity.master.sign(other), device.signer.sign(other),
                  {**other, "signatures": {me: {identity.user_signing.id: stranger.signature(other)}}},
                  {**other, "signatures": {bob.user_id: identity.user_signing.sign(other)["signatures"][me]}}):
        on(bobs.master.public, value, "M_INVALID_SIGNATURE", bob.user_id)
    on(bobs.master.public, identity.user_signing.sign({**other, "more": 1}), "M_UNKNOWN", bob.user_id)
    on(bobs.self_signing.public, identity.user_signing.sign(bobs.key("self_signing")), "M_NOT_FOUND", bob.user_id)
    on("x", theirs, "M_NOT_FOUND", carol.user_id)
    on("x", theirs, "M_NOT_FOUND", "@nobody:elsewhere.example")
    got = query(alice, alice)
    assert got["master_keys"][me] == key and got["device_keys"][me][device.device_id] == {**device.keys(), "unsigned": {}}
    assert query(alice, bob)["master_keys"][bob.user_id] == other

    # the good ones of a request are taken whatever the others are
    assert failures(alice, {me: {device.device_id: signed, "NOSUCH": signed, master: device.signer.sign(key)},
                            bob.user_id: {bobs.master.public: theirs, "x": theirs}}) == \
        {me: {"NOSUCH": "M_NOT_FOUND"}, bob.user_id: {"x": "M_NOT_FOUND"}}
    got = query(alice, alice)
    assert got["master_keys"][me] == device.signer.sign(key)
    assert got["device_keys"][me][device.device_id] == {**identity.self_signing.sign(device.keys()), "unsigned": {}}
    assert query(alice, bob)["master_keys"][bob.user_id] == theirs
    for bad in ({me: []}, {me: {"x": []}}, {bob.user_id: "x"}, {bob.user_id: {"x": 5}}):
        alice.fails(400, "M_INVALID_PARAM", "POST", SIGNATURES, bad)
    alice.fails(400, "M_INVALID_PARAM", "POST", SIGNATURES, {me: {f"D{n}": {} for n in range(2001)}})
    alice.fails(400, "M_INVALID_PARAM", "POST", SIGNATURES, {f"@u{n}:{alice.server.name}": {} for n in range(2001)})
    for twice in ('{"%s":{"x":{},"x":{}}}' % me, '{"%s":{},"%s":{}}' % (me, me)):
        answer = alice.raw("POST", SIGNATURES, data=twice)
        assert (answer.status_code, answer.json()["errcode"]) == (400, "M_INVALID_PARAM")


def test_keys_go_with_the_account(alice, bob):
    alices, bobs = new_identity(alice), new_identity(bob)
    alice.post(SIGNATURES, {bob.user_id: {bobs.master.public: alices.user_signing.sign(bobs.key("master"))}})
    alice.post("/account/deactivate", {"auth": password(alice)})
    assert query(bob, alice)["master_keys"] == {}


def test_every_change_is_shown_at_once(each_hs):
    """Whoever asked before, and was told from memory, is told of each change as soon as its maker has the answer."""
    alice, bob = register(each_hs), register(each_hs)
    second = login(each_hs, alice.user_id)
    first, other, identity, bobs = Device(alice), Device(second), Identity(alice.user_id), new_identity(bob)

    def keys():
        """Asked for twice, for one answer is from the store and the next from memory."""
        got = query(bob, alice)
        assert got == query(bob, alice)
        return got["device_keys"][alice.user_id], got["master_keys"].get(alice.user_id), got["self_signing_keys"].get(alice.user_id)

    assert keys() == ({}, None, None)
    first.upload(device_keys=first.keys())
    devices = {first.device_id: {**first.keys(), "unsigned": {}}}
    assert keys() == (devices, None, None)
    other.upload(device_keys=other.keys())
    devices[other.device_id] = {**other.keys(), "unsigned": {}}
    assert keys() == (devices, None, None)
    alice.put(f"/devices/{alice.device_id}", {"display_name": "phone"})
    devices[first.device_id]["unsigned"] = {"device_display_name": "phone"}
    assert keys() == (devices, None, None)
    alice.post(UPLOAD, identity.body())
    assert keys() == (devices, identity.key("master"), identity.key("self_signing"))
    alice.post(SIGNATURES, {alice.user_id: {first.device_id: identity.self_signing.sign(first.bare()),
                                            identity.master.public: other.signer.sign(identity.key("master"))}})
    devices[first.device_id] = identity.self_signing.sign(devices[first.device_id])
    assert keys() == (devices, other.signer.sign(identity.key("master")), identity.key("self_signing"))
    bob.post(SIGNATURES, {alice.user_id: {identity.master.public: bobs.user_signing.sign(identity.key("master"))}})
    assert keys()[1] == bobs.user_signing.sign(other.signer.sign(identity.key("master")))
    second.post("/logout")
    del devices[other.device_id]
    assert keys() == (devices, bobs.user_signing.sign(identity.key("master")), identity.key("self_signing"))
    newer = Identity(alice.user_id)
    alice.post(UPLOAD, {**newer.body(), "auth": password(alice)})
    devices[first.device_id] = {**first.keys(), "unsigned": {"device_display_name": "phone"}}
    assert keys() == (devices, newer.key("master"), newer.key("self_signing"))
    alice.post("/account/deactivate", {"auth": password(alice)})
    assert keys() == ({}, None, None)


def at_once(calls):
    """Runs them side by side, and gives what they gave."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [f.result() for f in [pool.submit(c) for c in calls]]


def test_one_of_many_first_uploads_is_the_first(each_hs):
    alice = register(each_hs)
    identities = [Identity(alice.user_id) for _ in range(12)]
    clients = [Client(each_hs, alice.user_id, alice.token) for _ in identities]
    answers = at_once([lambda c=c, i=i: c.raw("POST", UPLOAD, i.body()).status_code for c, i in zip(clients, identities)])
    assert sorted(answers) == [200] + [401] * 11
    first = identities[answers.index(200)]
    assert shown(alice, alice) == {**ring(first, alice), "user_signing_keys": {alice.user_id: first.key("user_signing")}}


def test_a_signature_is_never_on_keys_that_it_does_not_sign(each_hs):
    alice = register(each_hs)
    other = Client(each_hs, alice.user_id, alice.token)
    device, identity = Device(alice), new_identity(alice)
    device.upload(device_keys=device.keys(n=0))
    for n in range(1, 30):
        signed = {alice.user_id: {device.device_id: identity.self_signing.sign(device.bare(n=n - 1))}}
        at_once([lambda: device.upload(device_keys=device.keys(n=n)), lambda: other.post(SIGNATURES, signed)])
        got = query(alice, alice)["device_keys"][alice.user_id][device.device_id]
        assert got["n"] == n
        signature = got["signatures"][alice.user_id].get(identity.self_signing.id)
        assert signature in (None, identity.self_signing.signature(got))
