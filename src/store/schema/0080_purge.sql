-- Purges under way or lately ended (docs/internals/purge.md), and what they look for.

CREATE TABLE room_purges (
	purge       BIGINT NOT NULL PRIMARY KEY,
	room        BIGINT NOT NULL,
	kind        INTEGER NOT NULL,            -- enum purge_kind
	before      BIGINT NOT NULL,             -- history: the event that stays first
	with_local  INTEGER NOT NULL,            -- history: 1: what users of this server sent goes, too
	status      INTEGER NOT NULL,            -- enum purge_status
	began       BIGINT NOT NULL,             -- ms since 1970
	ended       BIGINT NOT NULL,
	error       BLOB NOT NULL
);

-- Rejected, soft-failed, outliers: the room's events that have no place in its timeline.
CREATE INDEX events_unplaced ON events (room, nid) WHERE timeline IS NULL;
CREATE INDEX redactions_waiting_by_redaction ON redactions_waiting (redaction);
CREATE INDEX auth_waiting_by_event ON auth_waiting (event);
