"""What other servers ask first: which keys, which program, and where."""
import base64
import json
import time

import nacl.signing
import pytest

from client import Client
from server import Server


def canonical(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def unpadded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("path", ["/_matrix/key/v2/server", "/_matrix/key/v2/server/ed25519:whatever"])
def test_keys_are_published_signed_by_themselves(nobody, hs, path):
    before = time.time() * 1000
    keys = nobody.get(path)
    assert keys["server_name"] == hs.name
    assert 23 * 3600_000 < keys["valid_until_ts"] - before < 25 * 3600_000
    assert keys["old_verify_keys"] == {}
    (key_id, key), = keys["verify_keys"].items()
    signatures = keys.pop("signatures")
    nacl.signing.VerifyKey(unpadded(key["key"])).verify(canonical(keys), unpadded(signatures[hs.name][key_id]))
    assert (hs.dir / "signing.key").read_text().split()[1] == key_id.removeprefix("ed25519:")


@pytest.fixture
def configured():
    """A server of one's own, with these options."""
    servers = []

    def make(**options):
        servers.append(Server(**options))
        return servers[-1]

    yield make
    for s in servers:
        s.close()


def test_old_keys_are_told_and_may_be_reloaded(configured):
    old = {"ed25519:old": {"key": "VGhpcyBzaG91bGQgYmUgYSByZWFsIGVkMjU1MTkgcGE", "expired_ts": 1576767829750}}
    server = configured(key_refresh_interval="2h")
    server.config["old_signing_keys"] = old
    server.reload()
    keys = Client(server).get("/_matrix/key/v2/server")
    assert keys["old_verify_keys"] == old
    assert keys["valid_until_ts"] < time.time() * 1000 + 2 * 3600_000 + 1


def test_version(nobody):
    version = nobody.get("/_matrix/federation/v1/version")["server"]
    assert version["name"] == "Hearth" and version["version"]


def test_delegation_is_told_when_the_operator_says_so(nobody, configured):
    nobody.fails(404, "M_NOT_FOUND", "GET", "/.well-known/matrix/server")
    assert Client(configured(serve_server_wellknown=True)).get("/.well-known/matrix/server") == {"m.server": "hearth.test:443"}
