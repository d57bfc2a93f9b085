/*
 * state_mark.c - mark and pack, the library's part of a purge.
 *
 * A node's references lead to lower numbers only. So marking needs no walk of the trees, in which a hundred thousand
 * roots would be visited one by one at random places: the rows are read once, downwards, and a node that nobody above
 * has marked is dead. A node is in a trie of types or in one of state keys, which its bytes do not say; the mark does,
 * and that is why there are two bitmaps.
 *
 * Most rows hold the path of one event, of which the lower part stays alive for long and the upper one dies with the
 * next event. Packing leaves an empty place in a row where a node died (one byte), and joins what is left of
 * neighbouring rows, so that a room of which little stays is stored like one that was built whole.
 */
#include "matrix/state_mark.h"

#include <assert.h>

#include "base/buf.h"
#include "matrix/internal_state.h"

void state_marks_init(struct state_marks *m, int64_t below)
{
	const size_t words = (size_t)MAX(below, 0) / 64 + 1;

	*m = (struct state_marks){ .below = below };
	m->types = mem_zalloc(words * sizeof(*m->types));
	m->keys = mem_zalloc(words * sizeof(*m->keys));
}

void state_marks_done(struct state_marks *m)
{
	mem_free(m->types);
	mem_free(m->keys);
	*m = (struct state_marks){ 0 };
}

static bool bit(const uint64_t *map, int64_t i) { return map[i / 64] >> (i % 64) & 1; }

static bool known(const struct state_marks *m, int64_t node) { return node > 0 && node < m->below; }

static void set(struct state_marks *m, uint64_t *map, int64_t node)
{
	if (!known(m, node) || bit(map, node))
		return;
	map[node / 64] |= UINT64_C(1) << (node % 64);
	m->marked++;
}

void state_mark_root(struct state_marks *m, int64_t node) { set(m, m->types, node); }

bool state_marked(const struct state_marks *m, int64_t node)
{
	return !known(m, node) || bit(m->types, node) || bit(m->keys, node);
}

struct marking {
	struct state_marks *m;
	bool types;
	int64_t id; /* the node we are in */
	void (*entry)(void *ctx, int64_t event);
	void *ctx;
};

static void mark_leaf(const struct marking *x, const struct state_leaf *leaf)
{
	if (x->types)
		set(x->m, x->m->keys, x->id - leaf->value);
	else if (x->entry)
		x->entry(x->ctx, leaf->value);
}

static void mark_children(const struct marking *x, const struct state_node *n)
{
	for (size_t i = 0; i < n->n_list; i++)
		mark_leaf(x, &n->list[i]);
	for (unsigned i = 0; i < STATE_FAN; i++) {
		if (n->kids >> i & 1)
			set(x->m, x->types ? x->m->types : x->m->keys, n->slot[i].kid);
		else if (n->leaves >> i & 1)
			mark_leaf(x, &n->slot[i].leaf);
	}
}

/* A row's nodes, in order. */
static err *split(struct arena *a, const struct node_row *row, str **out, size_t *out_n)
{
	struct node_iter it = node_iter(row->bytes);
	str *nodes = ARENA_ARRAY(a, str, it.left);
	size_t n = 0;

	while (node_iter_next(&it, &nodes[n]))
		n++;
	if (it.bad || n == 0)
		return err_new(a, ERR_INTERNAL, "row of state nodes %" PRId64 " is damaged", row->first);
	*out = nodes;
	*out_n = n;
	return NULL;
}

err *state_mark_row(struct state_marks *m, struct arena *a, const struct node_row *row,
		    void (*entry)(void *ctx, int64_t event), void *ctx)
{
	str *nodes;
	size_t n;

	TRY(split(a, row, &nodes, &n));
	while (n-- > 0) {
		const int64_t id = row->first + (int64_t)n;
		struct marking x = { .m = m, .id = id, .entry = entry, .ctx = ctx };
		struct state_node node;

		if (!known(m, id) || !state_marked(m, id))
			continue;
		x.types = bit(m->types, id);
		if (x.types && bit(m->keys, id))
			return err_new(a, ERR_INTERNAL, "state node %" PRId64 " is in tries of both kinds", id);
		TRY(state_node_parse(a, nodes[n], id, &node));
		m->met++;
		mark_children(&x, &node);
	}
	return NULL;
}

/*
 * Packing
 */
enum { PACK_SPAN = 256 };

struct group { /* rows that become one */
	size_t rows, live, dead, bytes;
	int64_t first, last; /* nodes alive */
	VEC(str) nodes;      /* first .. last, empty where one is dead */
};

struct packing {
	const struct state_marks *m;
	struct arena *a;
	struct group g;
	const struct node_row *from; /* the group's rows */
	VEC(int64_t) gone;
	VEC(struct node_row) rows;
};

static void end_group(struct packing *p)
{
	struct buf head = BUF_INIT(SIZE_MAX), body = BUF_INIT(SIZE_MAX);
	struct group *g = &p->g;

	if (g->rows > 1 || g->dead > 0)
		for (size_t i = 0; i < g->rows; i++)
			vec_push(p->a, &p->gone, p->from[i].first);
	if (g->live > 0 && (g->rows > 1 || g->dead > 0)) {
		state_varint(&head, g->nodes.n);
		for (size_t i = 0; i < g->nodes.n; i++) {
			if (i + 1 < g->nodes.n)
				state_varint(&head, g->nodes.p[i].n);
			buf_add(&body, g->nodes.p[i]);
		}
		vec_push(p->a, &p->rows,
			 (struct node_row){ .first = g->first,
					    .n = g->nodes.n,
					    .bytes = arena_join3(p->a, buf_str(&head), buf_str(&body), S("")) });
	}
	buf_done(&head);
	buf_done(&body);
	*g = (struct group){ 0 };
}

static void add_node(struct packing *p, int64_t id, str bytes)
{
	struct group *g = &p->g;

	if (g->live++ == 0)
		g->first = id;
	else
		while (++g->last < id)
			vec_push(p->a, &g->nodes, S(""));
	g->last = id;
	g->bytes += bytes.n;
	vec_push(p->a, &g->nodes, bytes);
}

static err *add_row(struct packing *p, const struct node_row *row)
{
	size_t n, live = 0, bytes = 0;
	int64_t last = 0;
	str *nodes;

	TRY(split(p->a, row, &nodes, &n));
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].n == 0 || !state_marked(p->m, row->first + (int64_t)i))
			continue;
		last = row->first + (int64_t)i;
		bytes += nodes[i].n;
		live++;
	}
	if (p->g.rows > 0 && live > 0 && p->g.live > 0 &&
	    (p->g.live + live > STATE_ROW_NODES || p->g.bytes + bytes > STATE_ROW_BYTES ||
	     last - p->g.first >= PACK_SPAN))
		end_group(p);
	if (p->g.rows++ == 0)
		p->from = row;
	for (size_t i = 0; i < n; i++) {
		const int64_t id = row->first + (int64_t)i;

		if (nodes[i].n > 0 && state_marked(p->m, id))
			add_node(p, id, nodes[i]);
		else if (nodes[i].n > 0)
			p->g.dead++;
	}
	return NULL;
}

err *state_pack(const struct state_marks *m, struct arena *a, const struct node_row *rows, size_t n,
		struct state_packed *out)
{
	struct packing p = { .m = m, .a = a };

	for (size_t i = 0; i < n; i++) {
		assert(i == 0 || rows[i - 1].first < rows[i].first);
		TRY(add_row(&p, &rows[i]));
	}
	end_group(&p);
	*out = (struct state_packed){ .gone = p.gone.p, .n_gone = p.gone.n, .rows = p.rows.p, .n_rows = p.rows.n };
	return NULL;
}

/*
 * Checking
 */
struct summing {
	const uint8_t *key;
	struct state_hash sum;
};

static err *sum_entry(void *arg, const struct state_entry *e)
{
	struct summing *s = arg;

	s->sum = state_hash_add(s->sum, state_entry_hash(s->key, e));
	return NULL;
}

err *state_check_hash(const struct state_tree *t, struct arena *a, struct state_root root, bool *out_good)
{
	struct summing s = { .key = t->key };

	TRY(state_each(t, a, root, (struct state_pick){ 0 }, sum_entry, &s));
	*out_good = state_same(root, (struct state_root){ .hash = s.sum });
	return NULL;
}
