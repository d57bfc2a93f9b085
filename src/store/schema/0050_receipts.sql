-- How far users have read, and what there is to be notified of.

CREATE TABLE receipts (
	room      BIGINT NOT NULL,
	"user"    BIGINT NOT NULL,
	kind      INTEGER NOT NULL,             -- enum receipt_kind
	thread    BIGINT NOT NULL,              -- enum receipt_thread, or the thread root's event number
	event     BIGINT NOT NULL,
	upto      BIGINT NOT NULL,              -- the event's stream position: what is at or below it is read
	ts        BIGINT NOT NULL,              -- ms since 1970
	stream    BIGINT NOT NULL,              -- the receipt's own position
	PRIMARY KEY (room, "user", kind, thread)
) WITHOUT ROWID;
CREATE INDEX receipts_by_stream ON receipts (room, stream);

-- One row for each event that notifies anybody, or by which a user of this server shows to have read. Most users of a room have the
-- default rules, so the row says what those give, and names the others: docs/internals/notify.md.
CREATE TABLE notify (
	room      BIGINT NOT NULL,
	stream    BIGINT NOT NULL,
	event     BIGINT NOT NULL,
	sender    BIGINT NOT NULL,
	thread    BIGINT NOT NULL,              -- the thread root's number, 0: main timeline
	plain     INTEGER NOT NULL,             -- enum notify_flags for whoever is not named
	special   BLOB NOT NULL,                -- (user, flags) pairs: 9 bytes each
	PRIMARY KEY (room, stream)
) WITHOUT ROWID;
