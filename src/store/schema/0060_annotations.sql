-- Which annotations (reactions) an event has, so that nobody gives the same twice. Gone when the annotation is redacted.

CREATE TABLE annotations (
	target  BIGINT NOT NULL,               -- the annotated event
	sender  BIGINT NOT NULL,
	type    BIGINT NOT NULL,
	digest  BLOB NOT NULL,                 -- of the annotation's key
	event   BIGINT NOT NULL,               -- the annotation
	PRIMARY KEY (target, sender, type, digest)
) WITHOUT ROWID;
