-- Accounts, their devices and tokens, and what stands between a person and an account.
-- `nid` columns are interned numbers. Times are milliseconds since 1970; 0 in an expiry means never. Secrets are stored
-- as SHA-256 of what the client holds.

CREATE TABLE accounts (
	nid BIGINT NOT NULL PRIMARY KEY,      -- of the user id
	user_id BYTEA NOT NULL,
	folded BYTEA NOT NULL,                -- user_id with A-Z lowered: accounts from elsewhere may have capitals
	password BYTEA,                       -- $argon2id$... or $2b$...; NULL: none can log in with one
	is_admin BIGINT NOT NULL DEFAULT 0,
	is_guest BIGINT NOT NULL DEFAULT 0,
	is_locked BIGINT NOT NULL DEFAULT 0,
	is_suspended BIGINT NOT NULL DEFAULT 0,
	created_at BIGINT NOT NULL,
	deactivated_at BIGINT NOT NULL DEFAULT 0,
	is_erased BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX accounts_by_user_id ON accounts (user_id);
CREATE INDEX accounts_by_folded ON accounts (folded);

-- Deactivated accounts that are not out of all their rooms yet: a start goes on with them.
CREATE TABLE closing_accounts (
	nid BIGINT NOT NULL PRIMARY KEY
);

-- Which documents a user accepted (m.login.terms).
CREATE TABLE accepted_policies (
	user_nid BIGINT NOT NULL,
	policy BYTEA NOT NULL,
	version BYTEA NOT NULL,
	accepted_at BIGINT NOT NULL,
	PRIMARY KEY (user_nid, policy, version)
);

CREATE TABLE devices (
	user_nid BIGINT NOT NULL,
	device_id BYTEA NOT NULL,
	display_name BYTEA,
	created_at BIGINT NOT NULL,
	seen_at BIGINT NOT NULL,
	seen_ip BYTEA,
	seen_agent BYTEA,
	PRIMARY KEY (user_nid, device_id)
);

CREATE TABLE access_tokens (
	id BIGINT NOT NULL PRIMARY KEY,
	hash BYTEA NOT NULL,
	user_nid BIGINT NOT NULL,
	device_id BYTEA NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	validated_at BIGINT NOT NULL,         -- when a password was last shown by its holder
	refresh_id BIGINT NOT NULL DEFAULT 0  -- the refresh token that it was given out with
);
CREATE UNIQUE INDEX access_tokens_by_hash ON access_tokens (hash);
CREATE INDEX access_tokens_by_device ON access_tokens (user_nid, device_id);
CREATE INDEX access_tokens_by_refresh ON access_tokens (refresh_id);

CREATE TABLE refresh_tokens (
	id BIGINT NOT NULL PRIMARY KEY,
	hash BYTEA NOT NULL,
	user_nid BIGINT NOT NULL,
	device_id BYTEA NOT NULL,
	expires_at BIGINT NOT NULL,
	session_expires_at BIGINT NOT NULL,   -- of the whole login, whatever is refreshed
	previous_id BIGINT NOT NULL DEFAULT 0 -- the refresh token it replaces; that one ends when this, or its access token, is used
);
CREATE UNIQUE INDEX refresh_tokens_by_hash ON refresh_tokens (hash);
CREATE INDEX refresh_tokens_by_device ON refresh_tokens (user_nid, device_id);
CREATE INDEX refresh_tokens_by_previous ON refresh_tokens (previous_id);

-- Secrets that work once: login tokens, nonces of the shared-secret registration.
CREATE TABLE one_time_tokens (
	hash BYTEA NOT NULL PRIMARY KEY,
	kind BIGINT NOT NULL,
	user_nid BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX one_time_tokens_by_expiry ON one_time_tokens (expires_at);
CREATE INDEX one_time_tokens_by_user ON one_time_tokens (user_nid, kind, expires_at);

CREATE TABLE registration_tokens (
	token BYTEA NOT NULL PRIMARY KEY,
	uses_allowed BIGINT,                  -- NULL: any number
	completed BIGINT NOT NULL DEFAULT 0,
	expires_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);

-- User-interactive authentication. The row is found by the hash of the session's id, and its contents are sealed with a
-- key made from the id: who reads the database learns no password from it.
CREATE TABLE uia_sessions (
	hash BYTEA NOT NULL PRIMARY KEY,
	user_nid BIGINT NOT NULL,             -- who asked; 0: nobody is logged in (registration)
	sealed BYTEA NOT NULL,                -- operation, parameters, completed stages
	registration_token BYTEA,             -- held by this session until it ends
	result_nid BIGINT NOT NULL DEFAULT 0, -- the account that it made
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX uia_sessions_by_expiry ON uia_sessions (expires_at);
CREATE INDEX uia_sessions_by_user ON uia_sessions (user_nid, created_at);
CREATE INDEX uia_sessions_by_token ON uia_sessions (registration_token);
CREATE INDEX uia_sessions_by_result ON uia_sessions (result_nid);
