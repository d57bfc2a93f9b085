-- Keys that devices and users publish for end-to-end encryption. Keys are JSON as they are handed out: with every signature that
-- everybody may see, without `unsigned`. All of a device's rows go when it goes (store/devices.c).

CREATE TABLE device_keys (
	user_nid   BIGINT NOT NULL,
	device_id  BLOB NOT NULL,
	keys       BLOB NOT NULL,
	display_name BLOB,                     -- the device's: shown with its keys, and kept in both places (store/devices.c)
	PRIMARY KEY (user_nid, device_id)
);

-- A row is gone when its key was given to somebody.
CREATE TABLE one_time_keys (
	user_nid   BIGINT NOT NULL,
	device_id  BLOB NOT NULL,
	algorithm  BLOB NOT NULL,
	key_id     BLOB NOT NULL,              -- what follows the algorithm and its colon
	place      BIGINT NOT NULL,            -- of the upload: later ones are higher
	key        BLOB NOT NULL,              -- JSON
	PRIMARY KEY (user_nid, device_id, algorithm, key_id)
) WITHOUT ROWID;
CREATE INDEX one_time_keys_by_place ON one_time_keys (user_nid, device_id, algorithm, place);

CREATE TABLE fallback_keys (
	user_nid   BIGINT NOT NULL,
	device_id  BLOB NOT NULL,
	algorithm  BLOB NOT NULL,
	key_id     BLOB NOT NULL,
	key        BLOB NOT NULL,              -- JSON
	used       BIGINT NOT NULL,            -- 1: given out since it was uploaded
	PRIMARY KEY (user_nid, device_id, algorithm)
) WITHOUT ROWID;

CREATE TABLE cross_signing_keys (
	user_nid      BIGINT NOT NULL PRIMARY KEY,
	master        BLOB NOT NULL,
	self_signing  BLOB,
	user_signing  BLOB                     -- for its owner's eyes only
);

-- Signatures by a user's user-signing key on another's master key, for the signer's eyes only.
CREATE TABLE user_signatures (
	signer_nid  BIGINT NOT NULL,
	user_nid    BIGINT NOT NULL,
	master      BLOB NOT NULL,             -- the public key that was signed, as text
	key_id      BLOB NOT NULL,             -- "ed25519:" and the signer's user-signing key
	signature   BLOB NOT NULL,             -- base64
	PRIMARY KEY (signer_nid, user_nid)
) WITHOUT ROWID;
CREATE INDEX user_signatures_by_user ON user_signatures (user_nid);
