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

err *store_room_root_save(struct tx *tx, int64_t room, int64_t stream, int64_t node)
{
	static const char sql[] = "INSERT INTO room_roots (room, stream, node) VALUES ($1, $2, $3)"
				  " ON CONFLICT (room, stream) DO UPDATE SET node = excluded.node";

	return tx_run(tx, sql, BIND(B(room), B(stream), B(node)));
}

err *store_root_load(struct tx *tx, int64_t room, int64_t node, struct state_root *out)
{
	struct state_node top = { 0 };
	struct node_row row;

	*out = STATE_EMPTY;
	if (node == 0)
		return NULL;
	TRY(store_nodes_row(tx, room, node, &row));
	if (row.n > 0)
		TRY(state_node_parse(tx_arena(tx), node_row_find(row.bytes, row.first, node), node, &top));
	if (!top.is_root)
		return err_new(tx_arena(tx), ERR_INTERNAL, "room %" PRId64 " has no state %" PRId64, room, node);
	*out = (struct state_root){ .node = node, .hash = top.hash };
	return NULL;
}

err *store_room_root_at(struct tx *tx, int64_t room, int64_t stream, struct state_root *out)
{
	static const char sql[] = "SELECT node FROM room_roots WHERE room = $1 AND stream <= $2"
				  " ORDER BY stream DESC LIMIT 1";
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(room), B(stream)), &row));
	return store_root_load(tx, room, row ? row_i64(row, 0) : 0, out);
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
	static const char journal[] = "DELETE FROM room_roots WHERE room = $1 AND stream IN"
				      " (SELECT stream FROM room_roots WHERE room = $1 ORDER BY stream LIMIT $2)";
	const char *const sql[] = { journal, nodes };
	int64_t left = (int64_t)limit;

	for (size_t i = 0; i < ARRAY_LEN(sql) && left > 0; i++) {
		int64_t gone;

		TRY(tx_run_count(tx, sql[i], BIND(B(room), B(left)), &gone));
		left -= gone;
	}
	*out_more = left == 0;
	return NULL;
}
