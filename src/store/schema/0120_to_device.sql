-- Messages that wait for devices. A request's messages have one stream position, and a device gets one of them at most.
-- Contents that several devices get stand in to_device_shared, once.
CREATE TABLE to_device (
	user_nid   BIGINT NOT NULL,
	device_id  BLOB NOT NULL,
	stream     BIGINT NOT NULL,
	created    BIGINT NOT NULL,            -- ms since 1970
	sender     BIGINT NOT NULL,
	shared     BIGINT NOT NULL,            -- 0: the content stands here
	size       BIGINT NOT NULL,            -- of the content, in bytes
	type       BLOB NOT NULL,
	content    BLOB,                       -- JSON
	PRIMARY KEY (user_nid, device_id, stream)
);
CREATE INDEX to_device_by_shared ON to_device (shared) WHERE shared <> 0;

CREATE TABLE to_device_shared (
	id       BIGINT NOT NULL PRIMARY KEY,
	content  BLOB NOT NULL
);

-- Whose keys the viewer alone has to look at again: the viewer signed them. The newest time of each.
CREATE TABLE device_lists_signed (
	viewer    BIGINT NOT NULL,
	user_nid  BIGINT NOT NULL,
	stream    BIGINT NOT NULL,
	PRIMARY KEY (viewer, user_nid)
);

-- Who came into a room, or left it, since a position. `began`, `ended`: of the last join that ended (0: none did).
ALTER TABLE membership ADD COLUMN began BIGINT NOT NULL DEFAULT 0;
ALTER TABLE membership ADD COLUMN ended BIGINT NOT NULL DEFAULT 0;
CREATE INDEX membership_by_since ON membership (room, since);
