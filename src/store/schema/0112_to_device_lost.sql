-- Messages that a device will never get: its queue was too long, or they were too old. Goes with the device.
CREATE TABLE to_device_lost (
	user_nid   BIGINT NOT NULL,
	device_id  BLOB NOT NULL,
	n          BIGINT NOT NULL,
	last       BIGINT NOT NULL,            -- when: ms since 1970
	PRIMARY KEY (user_nid, device_id)
);
