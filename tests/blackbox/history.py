"""Reading a whole room's history in either direction, page by page."""
from client import q


def messages(client, room, direction, limit=100, **params):
    """Every event of the room by /messages, in the order of the answers, and how many pages that took."""
    found, pages, at = [], 0, {}
    while True:
        got = client.get(f"/rooms/{q(room)}/messages", dir=direction, limit=limit, **at, **params)
        found += got["chunk"]
        pages += 1
        if "end" not in got:
            return found, pages
        assert got["end"] != at.get("from"), "a page that leads to itself"
        at = {"from": got["end"]}


def ids(events):
    return [e["event_id"] for e in events]
