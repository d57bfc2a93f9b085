-- State trees: docs/internals/state-tree.md. Numbers of nodes are a room's own, from 1; a state is its top node's number, 0 the empty one.

-- The new nodes of an event in one row: first .. first + count - 1. Written once.
CREATE TABLE state_nodes (
	room   BIGINT NOT NULL,
	first  BIGINT NOT NULL,
	nodes  BLOB NOT NULL,
	PRIMARY KEY (room, first)
);

-- Every change of a room's current state, also one that no new event shows.
CREATE TABLE room_roots (
	room    BIGINT NOT NULL,
	stream  BIGINT NOT NULL,
	node    BIGINT NOT NULL,
	PRIMARY KEY (room, stream)
) WITHOUT ROWID;
