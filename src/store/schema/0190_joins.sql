-- Rooms of other servers that are being joined: their events and state are written in many pieces, and the room is there with
-- the last of them. What a restart finds here was not finished: it is taken away again.

CREATE TABLE joins (
	room   BIGINT NOT NULL PRIMARY KEY,      -- the room id's number
	began  BIGINT NOT NULL                   -- ms since 1970
);
