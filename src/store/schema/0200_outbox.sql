-- What is to go to other servers: federation/outbox.h. A PDU costs no row: what a server is to get is computed from the events of ours
-- and the servers that were in their rooms.

-- Since which position the server has been in the room without a break; below 0 for this server itself, which is no destination: minus
-- the position.
ALTER TABLE room_servers ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
CREATE INDEX room_servers_by_server ON room_servers (server, room) WHERE since > 0;

-- Events that other servers get from us (EVENT_TO_SEND), by room and by time.
CREATE INDEX events_to_send ON events (room, stream, flags, nid) WHERE (flags & 64) <> 0;
CREATE INDEX events_to_send_by_stream ON events (stream, room, flags) WHERE (flags & 64) <> 0;

-- Servers that were in a room and are not any more (or again): until the last of what they are to get was sent. Of one that never was,
-- but whose user was invited or had knocked, and was turned away: since is until.
CREATE TABLE outbox_left (
	server  BIGINT NOT NULL,
	room    BIGINT NOT NULL,
	since   BIGINT NOT NULL,
	until   BIGINT NOT NULL,                 -- the position of what took the last of its users out
	PRIMARY KEY (server, room, until)
) WITHOUT ROWID;
CREATE INDEX outbox_left_by_room ON outbox_left (room);

-- Up to here everything was sent to everybody, but to those of outbox_behind. One row, once there was anything to send.
CREATE TABLE outbox_floor (
	one      INTEGER NOT NULL PRIMARY KEY,
	position BIGINT NOT NULL
);

-- Servers that lag, and up to where everything was sent to them.
CREATE TABLE outbox_behind (
	server   BIGINT NOT NULL PRIMARY KEY,
	position BIGINT NOT NULL,
	since    BIGINT NOT NULL                 -- ms since 1970
);

-- Events that a server would not take, though it takes others: left out.
CREATE TABLE outbox_bad (
	server  BIGINT NOT NULL,
	event   BIGINT NOT NULL,
	at      BIGINT NOT NULL,                 -- ms since 1970
	status  INTEGER NOT NULL,                -- what it answered
	error   BLOB NOT NULL,
	PRIMARY KEY (server, event)
) WITHOUT ROWID;

-- What must not be lost and is no event. Rows go when they were acknowledged.
CREATE TABLE outbox_edus (
	id       BIGINT NOT NULL PRIMARY KEY,    -- a position
	server   BIGINT NOT NULL,
	type     BLOB NOT NULL,
	edu_key  BLOB,                           -- a later one of the same key replaces it; NULL: none
	created  BIGINT NOT NULL,                -- ms since 1970
	content  BLOB NOT NULL
);
CREATE INDEX outbox_edus_by_server ON outbox_edus (server, id);
CREATE INDEX outbox_edus_by_key ON outbox_edus (server, edu_key) WHERE edu_key IS NOT NULL;
