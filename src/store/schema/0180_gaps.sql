-- Gaps in rooms' histories: below this event something is missing that other servers have. The event's row says so, too (EVENT_GAP).

CREATE TABLE gaps (
	room    BIGINT NOT NULL,
	event   BIGINT NOT NULL,             -- the first one after the gap
	stream  BIGINT NOT NULL,             -- its position; 0: it has none
	PRIMARY KEY (room, event)
) WITHOUT ROWID;
