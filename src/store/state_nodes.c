/*
 * state_nodes.c - the tables of the state trees.
 *
 * Nodes are read by number, but stored by event: the row of a node is the last one that begins at or before it. A row
 * holds a handful of nodes (a path), or up to 64 when a whole state was built at once; node_cache.c takes such a row
 * apart, so that a walk over a whole state reads each row once.
 */
#include "store/state_nodes.h"

#include "store/internal_state_nodes.h"
#include "store/tx.h"

err *store_nodes_save(struct tx *tx, int64_t room, const struct node_row *rows, size_t n)
{
	static const char sql[] = "INSERT INTO state_nodes (room, first, nodes) VALUES ($1, $2, $3)";

	for (size_t i = 0; i < n; i++)
		TRY(tx_run(tx, sql, BIND(B(room), B(rows[i].first), B(rows[i].bytes))));
	return NULL;
}

err *store_nodes_row(struct tx *tx, int64_t room, int64_t node, struct node_row *out)
{
	static const char sql[] = "SELECT first, nodes FROM state_nodes WHERE room = $1 AND first <= $2"
				  " ORDER BY first DESC LIMIT 1";
	struct row *row;

	*out = (struct node_row){ 0 };
	TRY(tx_one(tx, sql, BIND(B(room), B(node)), &row));
	if (!row)
		return NULL;
	out->first = row_i64(row, 0);
	out->bytes = row_str(row, 1);
	out->n = node_row_count(out->bytes);
	if (node >= out->first + (int64_t)out->n)
		*out = (struct node_row){ 0 };
	return NULL;
}

err *store_root_save(struct tx *tx, int64_t room, struct state_root root)
{
	static const char sql[] = "INSERT INTO state_roots (room, node, hash) VALUES ($1, $2, $3)"
				  " ON CONFLICT (room, node) DO NOTHING";
	uint8_t hash[16];

	if (root.node == 0)
		return NULL;
	state_hash_bytes(root.hash, hash);
	return tx_run(tx, sql, BIND(B(room), B(root.node), B(((str){ (const char *)hash, sizeof(hash) }))));
}

err *store_room_root_save(struct tx *tx, int64_t room, int64_t stream, int64_t node)
{
	static const char sql[] = "INSERT INTO room_roots (room, stream, node) VALUES ($1, $2, $3)"
				  " ON CONFLICT (room, stream) DO UPDATE SET node = excluded.node";

	return tx_run(tx, sql, BIND(B(room), B(stream), B(node)));
}

static err *read_root(struct tx *tx, int64_t node, str hash, struct state_root *out)
{
	if (hash.n != 16)
		return err_new(tx_arena(tx), ERR_INTERNAL, "state root %" PRId64 " has no hash", node);
	*out = (struct state_root){ .node = node, .hash = state_hash_from((const uint8_t *)hash.p) };
	return NULL;
}

err *store_root_load(struct tx *tx, int64_t room, int64_t node, struct state_root *out)
{
	static const char sql[] = "SELECT hash FROM state_roots WHERE room = $1 AND node = $2";
	struct row *row;

	if (node == 0) {
		*out = STATE_EMPTY;
		return NULL;
	}
	TRY(tx_one(tx, sql, BIND(B(room), B(node)), &row));
	return read_root(tx, node, row ? row_str(row, 0) : STR_NONE, out);
}

err *store_root_find(struct tx *tx, int64_t room, struct state_hash hash, struct state_root *out)
{
	static const char sql[] = "SELECT node FROM state_roots WHERE hash = $1 AND room = $2 ORDER BY node LIMIT 1";
	uint8_t bytes[16];
	struct row *row;

	state_hash_bytes(hash, bytes);
	TRY(tx_one(tx, sql, BIND(B(((str){ (const char *)bytes, sizeof(bytes) })), B(room)), &row));
	*out = row ? (struct state_root){ .node = row_i64(row, 0), .hash = hash } : STATE_EMPTY;
	return NULL;
}

err *store_room_root_at(struct tx *tx, int64_t room, int64_t stream, struct state_root *out)
{
	static const char sql[] = "SELECT j.node, r.hash FROM room_roots j"
				  " LEFT JOIN state_roots r ON r.room = j.room AND r.node = j.node"
				  " WHERE j.room = $1 AND j.stream <= $2 ORDER BY j.stream DESC LIMIT 1";
	struct row *row;

	*out = STATE_EMPTY;
	TRY(tx_one(tx, sql, BIND(B(room), B(stream)), &row));
	if (!row || row_i64(row, 0) == 0)
		return NULL;
	return read_root(tx, row_i64(row, 0), row_str(row, 1), out);
}

err *store_next_node(struct tx *tx, int64_t room, int64_t *out)
{
	static const char sql[] = "SELECT first, nodes FROM state_nodes WHERE room = $1 ORDER BY first DESC LIMIT 1";
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(room)), &row));
	*out = row ? row_i64(row, 0) + (int64_t)node_row_count(row_str(row, 1)) : 1;
	return NULL;
}

err *store_nodes_purge_room(struct tx *tx, int64_t room, size_t limit, bool *out_more)
{
	static const char nodes[] = "DELETE FROM state_nodes WHERE room = $1 AND first IN"
				    " (SELECT first FROM state_nodes WHERE room = $1 ORDER BY first LIMIT $2)";
	static const char roots[] = "DELETE FROM state_roots WHERE room = $1 AND node IN"
				    " (SELECT node FROM state_roots WHERE room = $1 ORDER BY node LIMIT $2)";
	static const char journal[] = "DELETE FROM room_roots WHERE room = $1 AND stream IN"
				      " (SELECT stream FROM room_roots WHERE room = $1 ORDER BY stream LIMIT $2)";
	const char *const sql[] = { journal, roots, nodes };
	int64_t left = (int64_t)limit;

	for (size_t i = 0; i < ARRAY_LEN(sql) && left > 0; i++) {
		int64_t gone;

		TRY(tx_run_count(tx, sql[i], BIND(B(room), B(left)), &gone));
		left -= gone;
	}
	*out_more = left == 0;
	return NULL;
}
