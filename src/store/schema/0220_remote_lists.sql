-- Lists of devices between servers. What other servers' users have for keys stands in device_keys and cross_signing_keys, like ours.

-- Whose list their server keeps us told about, for they share a room with us.
CREATE TABLE remote_lists (
	user_nid  BIGINT NOT NULL PRIMARY KEY,
	told      BIGINT NOT NULL,             -- stream_id of the newest update that is in, a number of their server's; -1: none was ever
	at        BIGINT NOT NULL,             -- our stream position before it was fetched as a whole
	stale     INTEGER NOT NULL             -- 1: an update was missed, it must be fetched again
);
CREATE INDEX remote_lists_stale ON remote_lists (user_nid) WHERE stale = 1;

-- What we told others of our users: the newest stream_id, and a digest of each device as it was told ('' is the identity's keys).
CREATE TABLE told_lists (
	user_nid   BIGINT NOT NULL PRIMARY KEY,
	stream_id  BIGINT NOT NULL
);
CREATE TABLE told_devices (
	user_nid   BIGINT NOT NULL,
	device_id  BLOB NOT NULL,
	digest     BLOB NOT NULL,
	PRIMARY KEY (user_nid, device_id)
) WITHOUT ROWID;
