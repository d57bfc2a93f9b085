-- Other servers' signing keys, and the lists that they stood in, as they were received: a notary hands them on. Of a server at most 100
-- keys and 4 lists (server_keys.c).
CREATE TABLE server_keys (
	server      BLOB NOT NULL,
	key_id      BLOB NOT NULL,             -- "ed25519:abc"
	public_key  BLOB NOT NULL,             -- 32 bytes
	until       BIGINT NOT NULL,           -- ms: may be believed until then; of an old one: was given up then
	old         INTEGER NOT NULL,          -- 1: signed events once
	document    BIGINT NOT NULL,           -- the newest list with it: server_key_documents.number
	PRIMARY KEY (server, key_id)
);
CREATE TABLE server_key_documents (
	server       BLOB NOT NULL,
	number       BIGINT NOT NULL,          -- from 1, rising for each server
	received_at  BIGINT NOT NULL,
	valid_until  BIGINT NOT NULL,          -- as it says itself
	json         BLOB NOT NULL,
	PRIMARY KEY (server, number)
);
