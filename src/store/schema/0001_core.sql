-- What the store itself keeps. (schema_migrations is made by store/migrate.c before the first migration.)

-- Single values, by name.
CREATE TABLE meta (
	name   BLOB NOT NULL PRIMARY KEY,
	value  BLOB NOT NULL
);

-- The one clock: the highest stream position given out, and which history it counts in. Always one row.
CREATE TABLE stream_head (
	one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
	position  BIGINT NOT NULL,
	epoch     BIGINT NOT NULL
);

-- Numbers are handed out in blocks: everything below `next` may be in use.
CREATE TABLE sequences (
	seq   INTEGER NOT NULL PRIMARY KEY,  -- enum store_seq
	next  BIGINT NOT NULL
);
INSERT INTO sequences (seq, next) VALUES (0, 1), (1, 1), (2, 1);

-- Texts that repeat: users, rooms, event types, state keys.
CREATE TABLE interned (
	id    BIGINT NOT NULL PRIMARY KEY,
	text  BLOB NOT NULL
);
CREATE UNIQUE INDEX interned_by_text ON interned (text);
