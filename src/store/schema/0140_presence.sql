-- What users were last shown as, with the message they wrote for it. Nobody is told from here: it is read at the start of a process, and
-- for users who were not there since.
CREATE TABLE presence (
	"user"      BIGINT NOT NULL PRIMARY KEY,
	state       BIGINT NOT NULL,
	status_msg  BLOB NOT NULL,             -- empty: none
	last_active BIGINT NOT NULL,
	changed     BIGINT NOT NULL
);
CREATE INDEX presence_by_change ON presence (changed);
