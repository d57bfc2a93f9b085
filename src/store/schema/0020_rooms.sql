-- Rooms, events, current state, membership, names, client transactions. docs/internals/room-store.md says why it is cut so.
-- Interned texts are numbers; text from outside is BLOB. Numbers that are 0 mean "none" unless the column says NULL.

CREATE TABLE rooms (
	room       BIGINT NOT NULL PRIMARY KEY,  -- the room id's number
	version    TEXT NOT NULL,
	creator    BIGINT NOT NULL,
	created    BIGINT NOT NULL,              -- ms since 1970
	published  INTEGER NOT NULL              -- 1: in the room directory
);
CREATE INDEX rooms_published ON rooms (room) WHERE published = 1;

-- Where a room's next event goes. Read and written together, so one row: extremities are packed event numbers.
CREATE TABLE room_heads (
	room         BIGINT NOT NULL PRIMARY KEY,
	extremities  BLOB NOT NULL,
	root         BIGINT NOT NULL,
	timeline_top BIGINT NOT NULL,
	joined       BIGINT NOT NULL,
	invited      BIGINT NOT NULL
);

CREATE TABLE events (
	nid              BIGINT NOT NULL PRIMARY KEY,
	room             BIGINT NOT NULL,
	event_id         BLOB NOT NULL,
	type             BIGINT NOT NULL,
	state_key        BIGINT NOT NULL,        -- 0: a message
	sender           BIGINT NOT NULL,
	stream           BIGINT,                 -- NULL: /sync never shows it
	timeline         BIGINT,                 -- NULL: outlier, rejected
	depth            BIGINT NOT NULL,
	origin_server_ts BIGINT NOT NULL,
	root_after       BIGINT NOT NULL,
	replaces         BIGINT NOT NULL,
	redacted_by      BIGINT NOT NULL,
	flags            INTEGER NOT NULL,       -- enum event_flags
	txn_device       BLOB,
	txn_id           BLOB,
	prevs            BLOB NOT NULL,          -- prev_events, packed
	auths            BLOB NOT NULL,          -- auth_events, packed
	json             BLOB NOT NULL           -- canonical, without unsigned; last, for it is long
);
CREATE UNIQUE INDEX events_by_id ON events (event_id);
CREATE INDEX events_by_stream ON events (room, stream) WHERE stream IS NOT NULL;
CREATE INDEX events_by_timeline ON events (room, timeline) WHERE timeline IS NOT NULL;

-- The way forward in the graph; the way back is events.prevs.
CREATE TABLE event_edges (
	prev   BIGINT NOT NULL,
	event  BIGINT NOT NULL,
	PRIMARY KEY (prev, event)
) WITHOUT ROWID;

-- What an event said before it was redacted, until the retention ends.
CREATE TABLE redacted_originals (
	event  BIGINT NOT NULL PRIMARY KEY,
	at     BIGINT NOT NULL,                  -- ms since 1970
	json   BLOB NOT NULL
);
CREATE INDEX redacted_originals_by_time ON redacted_originals (at);

-- Redactions that came before their targets.
CREATE TABLE redactions_waiting (
	redacts    BLOB NOT NULL,
	redaction  BIGINT NOT NULL,
	PRIMARY KEY (redacts, redaction)
) WITHOUT ROWID;

CREATE TABLE current_state (
	room       BIGINT NOT NULL,
	type       BIGINT NOT NULL,
	state_key  BIGINT NOT NULL,
	event      BIGINT NOT NULL,
	stream     BIGINT NOT NULL,              -- where it became current
	PRIMARY KEY (room, type, state_key)
) WITHOUT ROWID;

CREATE TABLE membership (
	room        BIGINT NOT NULL,
	member      BIGINT NOT NULL,            -- the user
	membership  INTEGER NOT NULL,            -- enum membership
	event       BIGINT NOT NULL,
	sender      BIGINT NOT NULL,
	stream      BIGINT NOT NULL,             -- where the event became current
	since       BIGINT NOT NULL,             -- where the membership, not only its profile, began
	forgotten   INTEGER NOT NULL,
	displayname BLOB,
	avatar_url  BLOB,
	stripped    BLOB,                        -- invite, knock: what the user is shown of the room, a JSON array
	PRIMARY KEY (room, member)
) WITHOUT ROWID;
CREATE INDEX membership_by_member ON membership (member, stream);

-- Flat copy of what lists, names and invitations show.
CREATE TABLE room_summary (
	room               BIGINT NOT NULL PRIMARY KEY,
	name               BLOB,
	topic              BLOB,
	avatar_url         BLOB,
	canonical_alias    BLOB,
	join_rule          BLOB,
	history_visibility BLOB,
	guest_access       BLOB,
	room_type          BLOB,
	encryption         BLOB
);

-- Joined members of a server in a room.
CREATE TABLE room_servers (
	room    BIGINT NOT NULL,
	server  BIGINT NOT NULL,
	members BIGINT NOT NULL,
	PRIMARY KEY (room, server)
) WITHOUT ROWID;

CREATE TABLE aliases (
	alias    BLOB NOT NULL PRIMARY KEY,
	room     BIGINT NOT NULL,
	creator  BIGINT NOT NULL,
	created  BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX aliases_by_room ON aliases (room);

-- Client transactions: a digest of (user, device, path, transaction id), and the event it made (0: none).
CREATE TABLE client_txns (
	digest   BLOB NOT NULL PRIMARY KEY,
	event    BIGINT NOT NULL,
	created  BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX client_txns_by_time ON client_txns (created);
