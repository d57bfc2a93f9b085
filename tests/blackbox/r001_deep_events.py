"""An event may be as deep as a request's body; what reads it again must not stop one level earlier."""
import json

import pytest

from client import q


@pytest.mark.parametrize("filter", [{"event_fields": ["type", "content.x"]}, {"event_format": "federation"}])
def test_a_deep_event_does_not_vanish_from_a_sync_that_picks_fields(alice, filter):
    room = alice.create_room()
    deep = {}
    for _ in range(63):
        deep = {"x": deep}
    alice.put(f"/rooms/{q(room)}/send/org.example.deep/1", deep)
    alice.put(f"/rooms/{q(room)}/send/org.example.flat/2", {})
    timeline = alice.get("/sync", filter=json.dumps(filter))["rooms"]["join"][room]["timeline"]["events"]
    assert [e["type"] for e in timeline[-2:]] == ["org.example.deep", "org.example.flat"]
    assert timeline[-2]["content"] == deep
