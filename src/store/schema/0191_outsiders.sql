-- Users of this server who are invited to a room that it is not in, or knock upon one. The membership row of the same user
-- and room has event 0 then, for the event is none of a state that is known here.

CREATE TABLE outsiders (
	room       BIGINT NOT NULL,              -- the room id's number
	member     BIGINT NOT NULL,              -- the user
	membership INTEGER NOT NULL,             -- enum membership; leave, ban: it has ended, and is kept to be told of
	server     BIGINT NOT NULL,              -- who told of it: the inviter's server, or the one that took the knock
	version    TEXT NOT NULL,                -- of the room
	created    BIGINT NOT NULL,              -- ms since 1970
	event_id   BLOB NOT NULL,
	json       BLOB NOT NULL,                -- the m.room.member event
	PRIMARY KEY (room, member)
) WITHOUT ROWID;
CREATE INDEX outsiders_by_member ON outsiders (member, membership);
CREATE INDEX outsiders_by_server ON outsiders (server, membership);
