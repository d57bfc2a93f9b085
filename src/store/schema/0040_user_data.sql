-- What users keep on the server for themselves: account data, filters, push rules, profiles; and the words they are found by.

CREATE TABLE account_data (
	"user"   BIGINT NOT NULL,
	room     BIGINT NOT NULL,              -- 0: global
	type     BLOB NOT NULL,
	stream   BIGINT NOT NULL,
	content  BLOB NOT NULL,                -- a JSON object; "{}" stays as the mark of a deletion
	PRIMARY KEY ("user", room, type)
);
CREATE INDEX account_data_by_stream ON account_data ("user", stream);

-- Changes to the default push rules: matrix/push_rules.h has their form.
CREATE TABLE push_rules (
	"user"   BIGINT NOT NULL PRIMARY KEY,
	stream   BIGINT NOT NULL,
	rules    BLOB NOT NULL
);

-- A filter is found by its number or by its text, which is canonical JSON.
CREATE TABLE filters (
	"user"   BIGINT NOT NULL,
	filter   BIGINT NOT NULL,              -- from 0 on for every user
	digest   BLOB NOT NULL,                -- SHA-256 of the text
	text     BLOB NOT NULL,
	PRIMARY KEY ("user", filter)
);
CREATE UNIQUE INDEX filters_by_digest ON filters ("user", digest);

CREATE TABLE profiles (
	"user"   BIGINT NOT NULL,
	field    BLOB NOT NULL,
	value    BLOB NOT NULL,                -- JSON
	PRIMARY KEY ("user", field)
);

-- A changed display name or avatar on its way into the rooms: a row per user, gone when the last room has it.
CREATE TABLE profile_spread (
	"user"   BIGINT NOT NULL PRIMARY KEY,
	room     BIGINT NOT NULL,              -- rooms with numbers up to this one have it
	turn     BIGINT NOT NULL               -- counts changes: a spread of an older profile moves nothing on
);

-- The user directory: each user's names cut into folded words.
CREATE TABLE user_words (
	word     BLOB NOT NULL,
	"user"   BIGINT NOT NULL,
	PRIMARY KEY (word, "user")
);
CREATE INDEX user_words_by_user ON user_words ("user");
