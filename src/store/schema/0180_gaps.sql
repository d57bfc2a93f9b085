-- Gaps in rooms' histories: below this event something is missing that other servers have. The event's row says so, too (EVENT_GAP).

CREATE TABLE gaps (
	room    BIGINT NOT NULL,
	event   BIGINT NOT NULL,             -- the first one after the gap
	stream  BIGINT NOT NULL,             -- its position; 0: it has none
	PRIMARY KEY (room, event)
) WITHOUT ROWID;

-- What such an event names and has no place in the room: when it comes, it belongs below the event.
CREATE TABLE gap_edges (
	room    BIGINT NOT NULL,
	prev    BLOB NOT NULL,               -- an event's id
	event   BIGINT NOT NULL,             -- above the gap
	PRIMARY KEY (room, prev, event)
) WITHOUT ROWID;
CREATE INDEX gap_edges_by_event ON gap_edges (event);
