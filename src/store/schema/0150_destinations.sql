-- Other servers that do not answer, and when they are asked again: what a restart must not forget. A row goes when the
-- server answers; names are chosen by other servers, so the table is bounded by who writes it (federation/backoff.c).
CREATE TABLE destinations (
	server_name   BLOB NOT NULL PRIMARY KEY,
	failing_since BIGINT NOT NULL,         -- ms since 1970
	failed_at     BIGINT NOT NULL,         -- the newest time
	pause_ms      BIGINT NOT NULL,
	retry_at      BIGINT NOT NULL,
	last_error    BLOB NOT NULL
);
