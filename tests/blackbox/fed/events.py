"""Events of every room version, as another implementation makes them: Server-Server API, "Signing Events"; rooms/vN."""
import base64
import copy
import hashlib
import json
import secrets

import nacl.signing


def canonical(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def b64(raw, url=False):
    return (base64.urlsafe_b64encode if url else base64.b64encode)(raw).decode().rstrip("=")


def unb64(text):
    return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


class Key:
    """A server's signing key. Ports are used again, and a server's key id must not be: two peers of one name have different ones."""

    def __init__(self, server_name, version=None):
        version = version or secrets.token_hex(4)
        self.server_name, self.id, self.key = server_name, f"ed25519:{version}", nacl.signing.SigningKey.generate()
        self.public = b64(bytes(self.key.verify_key))

    def sign(self, value):
        """Adds this key's signature to the object, which is changed and given back."""
        covered = {k: v for k, v in value.items() if k not in ("signatures", "unsigned")}
        value.setdefault("signatures", {}).setdefault(self.server_name, {})[self.id] = b64(self.key.sign(canonical(covered)).signature)
        return value


def verify(value, server_name, key_id, public):
    """Raises unless the object bears that good signature."""
    covered = {k: v for k, v in value.items() if k not in ("signatures", "unsigned")}
    nacl.signing.VerifyKey(unb64(public)).verify(canonical(covered), unb64(value["signatures"][server_name][key_id]))


def named(version):
    """Versions whose events bear an id that their server gave them."""
    return version in ("1", "2")


def _content_kept(version, type, content):
    v = int(version)
    keep = {
        "m.room.member": ["membership"] + (["join_authorised_via_users_server"] if v >= 9 else []),
        "m.room.create": list(content) if v >= 11 else ["creator"],
        "m.room.join_rules": ["join_rule"] + (["allow"] if v >= 8 else []),
        "m.room.power_levels": ["ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"]
        + (["invite"] if v >= 11 else []),
        "m.room.aliases": ["aliases"] if v <= 5 else [],
        "m.room.history_visibility": ["history_visibility"],
        "m.room.redaction": ["redacts"] if v >= 11 else [],
    }.get(type, [])
    kept = {k: content[k] for k in keep if k in content}
    invite = content.get("third_party_invite")
    if v >= 11 and type == "m.room.member" and isinstance(invite, dict) and "signed" in invite:
        kept["third_party_invite"] = {"signed": invite["signed"]}
    return kept


def redact(version, event):
    keep = ["event_id", "type", "room_id", "sender", "state_key", "hashes", "signatures", "depth", "prev_events", "auth_events", "origin_server_ts"]
    if int(version) < 11:
        keep += ["prev_state", "origin", "membership"]
    out = {k: copy.deepcopy(event[k]) for k in keep if k in event}
    out["content"] = _content_kept(version, event["type"], event.get("content", {}))
    return out


def content_hash(event):
    return b64(hashlib.sha256(canonical({k: v for k, v in event.items() if k not in ("unsigned", "signatures", "hashes")})).digest())


def reference_hash(version, event, url=None):
    bare = redact(version, event)
    bare.pop("signatures", None)
    return b64(hashlib.sha256(canonical(bare)).digest(), url=int(version) > 3 if url is None else url)


def event_id(version, event):
    return event["event_id"] if named(version) else "$" + reference_hash(version, event)


def sign(version, event, key):
    """Adds the key's signature over the redacted event."""
    signed = key.sign(redact(version, event))
    event.setdefault("signatures", {}).setdefault(key.server_name, {})[key.id] = signed["signatures"][key.server_name][key.id]
    return event


def verify_event(version, event, server_name, key_id, public):
    bare = redact(version, event)
    verify(bare, server_name, key_id, public)
    assert event["hashes"]["sha256"] == content_hash(event), "content hash"


def finish(version, event, key):
    """Hash and signature over an event that has everything else."""
    event.pop("signatures", None)
    event["hashes"] = {"sha256": content_hash(event)}
    return sign(version, event, key)


def refs(version, events):
    """prev_events or auth_events that name these."""
    if named(version):
        return [[e["event_id"], {"sha256": reference_hash(version, e, url=False)}] for e in events]
    return [event_id(version, e) for e in events]


def ids(version, references):
    return [r[0] for r in references] if named(version) else list(references)
