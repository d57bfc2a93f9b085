"""The homeserver in Python that plays the other side: what it makes is what Hearth knows as an event, in every room version."""
import json
import subprocess

import pytest

from fed import events
from server import BINARY


@pytest.mark.parametrize("version", [str(n) for n in range(1, 13)])
def test_events_of_every_version(peer, version):
    room = peer.create_room(version)
    event = room.message("hello")
    given = {"room_version": version, "event": event, "keys": {peer.name: {peer.key.id: peer.key.public}}}
    done = subprocess.run([BINARY, "event", "check", "--json", "-"], input=json.dumps(given), text=True, capture_output=True, timeout=60)
    said = json.loads(done.stdout)
    assert said["event_id"] == events.event_id(version, event)
    results = {c["check"]: c["result"] for c in said["checks"]}
    assert results["content hash"] == "passed" and results["signature"] == "passed", said
