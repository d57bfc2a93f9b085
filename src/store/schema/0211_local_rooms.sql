-- Rooms with m.federate set to false: not for other servers, neither in lists nor to be read.
ALTER TABLE rooms ADD COLUMN local_only INTEGER NOT NULL DEFAULT 0;
