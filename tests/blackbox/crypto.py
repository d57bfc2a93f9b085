"""What a client signs: device keys, one-time keys, cross-signing keys; made with vodozemac, as the clients of today do."""
import copy
import json

from vodozemac import Account


def canonical(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def covered(value):
    return canonical({k: v for k, v in value.items() if k not in ("signatures", "unsigned")})


class Signer:
    """An ed25519 key of a user: a cross-signing key, or (with a name) a device's."""

    def __init__(self, user_id, name=None, account=None):
        self.user_id, self.account = user_id, account or Account()
        self.public = self.account.ed25519_key.to_base64()
        self.id = f"ed25519:{name or self.public}"

    def signature(self, value):
        return self.account.sign(covered(value)).to_base64()

    def sign(self, value):
        """A copy that bears this signature, too."""
        value = copy.deepcopy(value)
        value.setdefault("signatures", {}).setdefault(self.user_id, {})[self.id] = self.signature(value)
        return value


class Device:
    """The keys of a client's device."""

    def __init__(self, client):
        self.client, self.account = client, Account()
        self.user_id, self.device_id = client.user_id, client.device_id
        self.signer = Signer(self.user_id, self.device_id, self.account)

    def bare(self, **more):
        return {"user_id": self.user_id, "device_id": self.device_id,
                "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
                "keys": {f"curve25519:{self.device_id}": self.account.curve25519_key.to_base64(),
                         f"ed25519:{self.device_id}": self.account.ed25519_key.to_base64()}, **more}

    def keys(self, **more):
        return self.signer.sign(self.bare(**more))

    def one_time(self, n, **more):
        self.account.generate_one_time_keys(n)
        keys = {f"signed_curve25519:{k}": self.signer.sign({"key": v.to_base64(), **more}) for k, v in self.account.one_time_keys.items()}
        self.account.mark_keys_as_published()
        return keys

    def fallback(self):
        self.account.generate_fallback_key()
        keys = {f"signed_curve25519:{k}": self.signer.sign({"key": v.to_base64(), "fallback": True})
                for k, v in self.account.fallback_key.items()}
        self.account.mark_keys_as_published()
        return keys

    def upload(self, **body):
        return self.client.post("/keys/upload", body)["one_time_key_counts"]


class Identity:
    """A user's three keys."""

    def __init__(self, user_id):
        self.user_id = user_id
        self.master, self.self_signing, self.user_signing = Signer(user_id), Signer(user_id), Signer(user_id)

    def key(self, usage, signer=None, **more):
        of = getattr(self, usage)
        key = {"user_id": self.user_id, "usage": [usage], "keys": {of.id: of.public}, **more}
        signer = signer or (self.master if usage != "master" else None)
        return signer.sign(key) if signer else key

    def body(self):
        return {f"{usage}_key": self.key(usage) for usage in ("master", "self_signing", "user_signing")}
