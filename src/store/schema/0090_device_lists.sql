-- Whose devices, device keys or cross-signing keys changed: the newest change of each user. What a reader at an older position is not
-- told yet, it is told with a later one.
CREATE TABLE device_lists (
	"user"   BIGINT NOT NULL PRIMARY KEY,
	stream   BIGINT NOT NULL,
	changed  BIGINT NOT NULL               -- ms since 1970
);
CREATE INDEX device_lists_by_stream ON device_lists (stream);
