-- Server-side key backups. A backup has a number of its own, drawn when it is made or emptied, and each of its rooms a slot: so that
-- a whole backup, or all of a room, is given up in one row, and its keys are swept away later, piece by piece.

-- How many versions a user ever made: a version up to it existed.
CREATE TABLE key_backup_users (
	"user"        BIGINT NOT NULL PRIMARY KEY,
	last_version  BIGINT NOT NULL
);

CREATE TABLE key_backups (
	"user"     BIGINT NOT NULL,
	version    BIGINT NOT NULL,
	backup     BIGINT NOT NULL,            -- its number below
	algorithm  BLOB NOT NULL,
	auth_data  BLOB NOT NULL,              -- JSON
	etag       BIGINT NOT NULL,            -- how often its keys changed
	keys       BIGINT NOT NULL,
	bytes      BIGINT NOT NULL,            -- of its keys' session_data
	slots      BIGINT NOT NULL,            -- the highest slot that was given to a room
	PRIMARY KEY ("user", version)
);

CREATE TABLE key_backup_rooms (
	backup  BIGINT NOT NULL,
	slot    BIGINT NOT NULL,               -- from 1
	room    BLOB NOT NULL,                 -- the id, as it was sent: the server need not know the room
	keys    BIGINT NOT NULL,
	bytes   BIGINT NOT NULL,
	PRIMARY KEY (backup, slot)
) WITHOUT ROWID;
CREATE UNIQUE INDEX key_backup_rooms_by_room ON key_backup_rooms (backup, room);

CREATE TABLE key_backup_keys (
	backup               BIGINT NOT NULL,
	slot                 BIGINT NOT NULL,
	session              BLOB NOT NULL,
	first_message_index  BIGINT NOT NULL,
	forwarded_count      BIGINT NOT NULL,
	is_verified          BIGINT NOT NULL,
	session_data         BLOB NOT NULL,    -- JSON, as it was sent
	PRIMARY KEY (backup, slot, session)
);

-- Given up: all of a backup (slot 0), or one of its rooms.
CREATE TABLE key_backup_swept (
	backup  BIGINT NOT NULL,
	slot    BIGINT NOT NULL,
	PRIMARY KEY (backup, slot)
) WITHOUT ROWID;
