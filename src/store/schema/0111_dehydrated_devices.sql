-- The device that a user left at the server, to be woken up by another one (MSC3814): at most one. It is a device like others, with its
-- rows of keys and messages, and goes when it goes (store/devices.c).

CREATE TABLE dehydrated_devices (
	user_nid   BIGINT NOT NULL PRIMARY KEY,
	device_id  BLOB NOT NULL,
	data       BLOB NOT NULL               -- JSON, as it was sent
);
