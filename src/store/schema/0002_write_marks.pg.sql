-- The last batch of each writer: tells whether a COMMIT took place whose answer was lost.
CREATE TABLE write_marks (
	writer  BIGINT NOT NULL PRIMARY KEY,
	batch   BIGINT NOT NULL,
	at      BIGINT NOT NULL               -- ms since 1970: rows of writers long gone are swept
) WITH (fillfactor = 50);
