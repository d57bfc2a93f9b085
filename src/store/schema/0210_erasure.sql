-- Who asked to be forgotten: read as a whole at the start of a process.
CREATE INDEX accounts_erased ON accounts (nid) WHERE is_erased = 1;
