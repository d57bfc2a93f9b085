/* nodes.h - a room's nodes in memory, as rows: the store that the tests of the state tree read from. */
#pragma once

#include "matrix/state_tree.h"

struct nodes {
	struct state_tree tree;
	struct arena *a;
	VEC(struct node_row) rows;
	int64_t next;
	size_t fetched, bytes;
};

static const uint8_t nodes_key[16] = "a key for tests";

static inline err *nodes_fetch(void *ctx, struct arena *a, int64_t id, struct state_node *out)
{
	struct nodes *n = ctx;
	size_t lo = 0, hi = n->rows.n;

	n->fetched++;
	while (hi - lo > 1) {
		const size_t mid = (lo + hi) / 2;

		if (n->rows.p[mid].first <= id)
			lo = mid;
		else
			hi = mid;
	}
	if (n->rows.n == 0)
		return err_new(a, ERR_INTERNAL, "no node %" PRId64, id);
	return state_node_parse(a, node_row_find(n->rows.p[lo].bytes, n->rows.p[lo].first, id), id, out);
}

static inline void nodes_init(struct nodes *n, struct arena *a)
{
	*n = (struct nodes){ .a = a, .next = 1 };
	n->tree = (struct state_tree){ .key = nodes_key, .node = nodes_fetch, .ctx = n };
}

static inline void nodes_seal(struct nodes *n, struct state_builder *b, struct state_root *roots, size_t n_roots)
{
	state_seal(b, roots, n_roots, &n->next);
	for (size_t i = 0; i < b->n_rows; i++) {
		struct node_row row = b->rows[i];

		row.bytes = arena_keep(n->a, row.bytes);
		n->bytes += row.bytes.n;
		vec_push(n->a, &n->rows, row);
	}
}
