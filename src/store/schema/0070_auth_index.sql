-- The index of auth chains: docs/internals/auth-index.md. State events only; a line's number is that of its first event.
-- compat: 70

CREATE TABLE auth_places (
	event  BIGINT NOT NULL PRIMARY KEY,
	line   BIGINT NOT NULL,             -- 0: it begins one
	place  BIGINT NOT NULL,
	last   INTEGER NOT NULL,            -- 1: of its line
	links  BLOB                         -- from here to other lines: pairs of varints, line and place; NULL: none
);
CREATE INDEX auth_places_by_line ON auth_places (line, place) WHERE line <> 0 AND links IS NOT NULL;

-- The same links, by where they end.
CREATE TABLE auth_links (
	to_line   BIGINT NOT NULL,
	to_place  BIGINT NOT NULL,
	line      BIGINT NOT NULL,
	place     BIGINT NOT NULL,
	PRIMARY KEY (to_line, to_place, line, place)
) WITHOUT ROWID;

-- Auth events that were named and are not stored: by number `slot` of the event's auth_events.
CREATE TABLE auth_waiting (
	event_id  BLOB NOT NULL,
	event     BIGINT NOT NULL,
	slot      BIGINT NOT NULL,
	PRIMARY KEY (event_id, event, slot)
) WITHOUT ROWID;
