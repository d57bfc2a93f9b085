-- What was found behind addresses that users asked about: a row for each time somebody looked.
CREATE TABLE url_previews (
	url_hash    BLOB NOT NULL,     -- SHA-256 of the address
	fetched_at  BIGINT NOT NULL,
	expires_at  BIGINT NOT NULL,
	answer      BLOB NOT NULL,     -- JSON
	image       BLOB,              -- the mxc:// URI of the picture that was kept for it; NULL: none
	PRIMARY KEY (url_hash, fetched_at)
);
CREATE INDEX url_previews_by_expiry ON url_previews (expires_at);
