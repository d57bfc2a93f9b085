-- State trees: docs/internals/state-tree.md. Numbers of nodes and roots are a room's own, from 1; root 0 is the empty state.

-- The new nodes of an event in one row: first .. first + count - 1. Written once.
CREATE TABLE state_nodes (
	room   BIGINT NOT NULL,
	first  BIGINT NOT NULL,
	nodes  BLOB NOT NULL,
	PRIMARY KEY (room, first)
);

-- Which nodes are the tops of states that something names, and the hash of their contents.
CREATE TABLE state_roots (
	room  BIGINT NOT NULL,
	node  BIGINT NOT NULL,
	hash  BLOB NOT NULL,
	PRIMARY KEY (room, node)
);
CREATE INDEX state_roots_by_hash ON state_roots (hash);

-- Every change of a room's current state, also one that no new event shows.
CREATE TABLE room_roots (
	room    BIGINT NOT NULL,
	stream  BIGINT NOT NULL,
	node    BIGINT NOT NULL,
	PRIMARY KEY (room, stream)
);
