-- The content repository. Files lie on disk, named by the number and the hash of their content; what they are called, whose they are and
-- how many things refer to them stands here.

-- One row for each different content. A content without references is still there until the sweep has taken its file away.
CREATE TABLE media_content (
	content  BIGINT NOT NULL PRIMARY KEY,
	hash     BLOB NOT NULL,                -- SHA-256
	size     BIGINT NOT NULL,
	refs     BIGINT NOT NULL
);
CREATE UNIQUE INDEX media_content_by_hash ON media_content (hash);
CREATE INDEX media_content_unused ON media_content (content) WHERE refs = 0;

-- mxc:// URIs: ours, and those of other servers that a copy is kept of.
CREATE TABLE media (
	media           BIGINT NOT NULL PRIMARY KEY,
	origin          BIGINT NOT NULL,       -- the other server's name, interned; 0: this server
	media_id        BLOB NOT NULL,
	uploader        BIGINT NOT NULL,       -- 0: a copy of another server's, or none
	created_at      BIGINT NOT NULL,
	expires_at      BIGINT,                -- created, to be uploaded until then; NULL once it was
	uploaded_at     BIGINT,
	content         BIGINT,                -- NULL: not uploaded yet
	size            BIGINT NOT NULL,
	content_type    BLOB,
	filename        BLOB,                  -- NULL: none was given
	authenticated   BIGINT NOT NULL,       -- 1: younger than the freeze, never shown to those who are not logged in
	protected       BIGINT NOT NULL,       -- 1: not to be quarantined with others of the same content
	quarantined_by  BLOB,                  -- a user id; NULL: it is not
	accessed_at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX media_by_id ON media (origin, media_id);
CREATE INDEX media_by_content ON media (content) WHERE content IS NOT NULL;
CREATE INDEX media_by_uploader ON media (uploader, uploaded_at, size) WHERE uploader <> 0;
CREATE INDEX media_pending ON media (uploader, expires_at) WHERE content IS NULL;
CREATE INDEX media_expiry ON media (expires_at) WHERE content IS NULL;

-- Contents that nobody shall see, also when they are uploaded again.
CREATE TABLE media_blocked (
	hash  BLOB NOT NULL PRIMARY KEY,
	"by"  BLOB NOT NULL,
	"at"  BIGINT NOT NULL
);
