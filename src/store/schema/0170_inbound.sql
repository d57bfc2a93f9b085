-- What other servers sent: transactions that were answered, and their events on the way into the rooms.

-- A digest of (origin, transaction id), and the answer's JSON, which a repetition gets again.
CREATE TABLE inbound_txns (
	digest   BLOB NOT NULL PRIMARY KEY,
	answer   BLOB NOT NULL,
	created  BIGINT NOT NULL                 -- ms since 1970
) WITHOUT ROWID;
CREATE INDEX inbound_txns_by_time ON inbound_txns (created);

-- Checked and answered; not yet part of the room, or refused by it. In the order they came.
CREATE TABLE inbound_events (
	id        BIGINT NOT NULL PRIMARY KEY,
	room      BIGINT NOT NULL,
	origin    BIGINT NOT NULL,               -- the server that sent it
	received  BIGINT NOT NULL,               -- ms since 1970
	event_id  BLOB NOT NULL,
	json      BLOB NOT NULL
);
