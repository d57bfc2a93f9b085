/*
 * state_build.c - making new states out of old ones.
 *
 * One pass for any number of changes: they are sorted by place, so that each slot of a node owns a run of them; a node
 * whose runs change nothing is left as it is, the others are made anew from the leaves up. A single state event and a
 * whole state built from nothing are the same pass.
 *
 * New nodes have numbers below 0 in their builder. What becomes of them is known only when the event is: then they are
 * sealed, that is numbered children first and written into rows. Nodes that were made on the way to another (the
 * state after the first of five changes, the steps of a state resolution) are never seen by the store.
 */
#include "matrix/state_tree.h"

#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "matrix/internal_state.h"

/* One change on its way into a trie. value 0: to be removed. */
struct change {
	uint64_t place;
	int64_t id, value;
	int64_t *old; /* where to say what was there; NULL for a leaf that only moves */
};

struct pass {
	struct state_builder *b;
	bool types;
	int64_t type;
};

void state_builder_init(struct state_builder *b, struct arena *a, const struct state_tree *t)
{
	*b = (struct state_builder){ .tree = *t, .a = a };
	assert(t->builder == NULL);
	b->tree.builder = b;
}

static struct state_sub fresh_node(struct state_builder *b, const struct state_node *n)
{
	struct state_node *copy = ARENA_NEW(b->a, struct state_node);

	assert(!b->sealed);
	*copy = *n;
	vec_push(b->a, &b->fresh, copy);
	return state_sub_top(-(int64_t)b->fresh.n);
}

static bool sub_same(const struct state_sub *x, const struct state_sub *y)
{
	if (x->kind != y->kind)
		return false;
	if (x->kind == SUB_NODE)
		return x->node == y->node;
	return x->kind == SUB_NONE || (x->leaf.id == y->leaf.id && x->leaf.value == y->leaf.value);
}

static void put_sub(struct state_node *n, unsigned slot, const struct state_sub *s)
{
	const state_slots bit = (state_slots)(1u << slot);

	if (s->kind == SUB_NODE) {
		n->kids |= bit;
		n->slot[slot].kid = s->node;
	} else if (s->kind == SUB_LEAF) {
		n->leaves |= bit;
		n->slot[slot].leaf = s->leaf;
	}
}

/* A node's contents as what hangs in the slot above: a node with a single leaf is that leaf. */
static struct state_sub close_node(struct state_builder *b, const struct state_node *n)
{
	const struct state_sub none = { SUB_NONE };

	if (n->n_list == 1)
		return (struct state_sub){ .kind = SUB_LEAF, .leaf = n->list[0] };
	if (n->n_list > 1)
		return fresh_node(b, n);
	if ((n->kids | n->leaves) == 0)
		return none;
	if (n->kids == 0 && (n->leaves & (n->leaves - 1)) == 0)
		return state_node_sub(n, (unsigned)__builtin_ctz(n->leaves));
	return fresh_node(b, n);
}

/* How many changes at the front belong to the slot. */
static size_t run_of(const struct change *c, size_t n, unsigned level, unsigned slot)
{
	size_t i = 0;

	while (i < n && state_slot(c[i].place, level) == slot)
		i++;
	return i;
}

static err *apply(struct pass *p, struct state_sub old, const struct change *c, size_t n, unsigned level,
		  struct state_sub *out);

/* No node is there yet: the changes alone, of which at least one is not a removal (level by level until they part). */
static err *build(struct pass *p, const struct change *c, size_t n, unsigned level, struct state_sub *out)
{
	struct state_node node = { 0 };
	size_t live = 0, last = 0;

	for (size_t i = 0; i < n; i++)
		if (c[i].value) {
			live++;
			last = i;
		}
	*out = (struct state_sub){ .kind = live ? SUB_LEAF : SUB_NONE, .leaf = { c[last].id, c[last].value } };
	if (live <= 1)
		return NULL;
	if (level == state_levels(&p->b->tree)) {
		node.list = ARENA_ARRAY(p->b->a, struct state_leaf, live);
		for (size_t i = 0; i < n; i++)
			if (c[i].value)
				node.list[node.n_list++] = (struct state_leaf){ c[i].id, c[i].value };
	} else {
		for (unsigned slot = 0; slot < STATE_FAN; slot++) {
			const size_t run = run_of(c, n, level, slot);
			struct state_sub s;

			if (run == 0)
				continue;
			TRY(build(p, c, run, level + 1, &s));
			put_sub(&node, slot, &s);
			c += run;
			n -= run;
		}
	}
	*out = fresh_node(p->b, &node);
	return NULL;
}

static int by_place(const void *x, const void *y)
{
	const struct change *a = x, *b = y;

	if (a->place != b->place)
		return a->place < b->place ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* Leaves that stood where the changes go join them, unless a change is about them. */
static err *build_with(struct pass *p, const struct state_leaf *leaves, size_t n_leaves, const struct change *c,
		       size_t n, unsigned level, struct state_sub *out)
{
	struct state_builder *b = p->b;
	struct change *all = ARENA_ARRAY(b->a, struct change, n + n_leaves);
	size_t n_all = n;

	memcpy(all, c, n * sizeof(*c));
	for (size_t k = 0; k < n_leaves; k++) {
		const struct state_leaf *l = &leaves[k];
		bool changed = false;

		for (size_t i = 0; i < n; i++)
			if (c[i].id == l->id) {
				changed = true;
				if (c[i].old)
					*c[i].old = l->value;
			}
		if (!changed)
			all[n_all++] = (struct change){
				.place = p->types ? state_place_type(b->tree.key, l->id)
						  : state_place_key(b->tree.key, p->type, l->id),
				.id = l->id,
				.value = l->value,
			};
	}
	qsort(all, n_all, sizeof(*all), by_place);
	return build(p, all, n_all, level, out);
}

static err *apply_to_node(struct pass *p, const struct state_sub *old, const struct change *c, size_t n, unsigned level,
			  struct state_sub *out)
{
	struct state_node was, now = { 0 };
	bool changed = false;

	TRY(state_node_read(&p->b->tree, p->b->a, p->types, old->node, &was));
	if ((level == state_levels(&p->b->tree)) != (was.n_list > 0))
		return err_new(p->b->a, ERR_INTERNAL, "state tree damaged at level %u", level);
	if (was.n_list > 0)
		return build_with(p, was.list, was.n_list, c, n, level, out);
	for (unsigned slot = 0; slot < STATE_FAN; slot++) {
		const size_t run = run_of(c, n, level, slot);
		const struct state_sub before = state_node_sub(&was, slot);
		struct state_sub s = before;

		if (run > 0)
			TRY(apply(p, before, c, run, level + 1, &s));
		changed = changed || !sub_same(&before, &s);
		put_sub(&now, slot, &s);
		c += run;
		n -= run;
	}
	*out = changed ? close_node(p->b, &now) : *old;
	return NULL;
}

static err *apply(struct pass *p, struct state_sub old, const struct change *c, size_t n, unsigned level,
		  struct state_sub *out)
{
	if (old.kind == SUB_NODE)
		return apply_to_node(p, &old, c, n, level, out);
	return build_with(p, &old.leaf, old.kind == SUB_LEAF, c, n, level, out);
}

/* A whole trie; its top is a node even with a single leaf. */
static err *apply_top(struct pass *p, int64_t top, struct change *c, size_t n, int64_t *out)
{
	struct state_sub s;

	qsort(c, n, sizeof(*c), by_place);
	TRY(apply(p, state_sub_top(top), c, n, 0, &s));
	if (s.kind == SUB_LEAF) {
		struct state_node one = { 0 };
		const uint64_t place = p->types ? state_place_type(p->b->tree.key, s.leaf.id)
						: state_place_key(p->b->tree.key, p->type, s.leaf.id);

		put_sub(&one, state_slot(place, 0), &s);
		s = fresh_node(p->b, &one);
	}
	*out = s.kind == SUB_NODE ? s.node : 0;
	return NULL;
}

/* One type's changes, in its own trie. */
static err *apply_type(struct state_builder *b, int64_t top, const struct state_entry *e, size_t n, int64_t *out,
		       struct state_hash *hash)
{
	struct pass p = { .b = b, .type = e->type };
	struct change *c = ARENA_ARRAY(b->a, struct change, n);
	int64_t *old = ARENA_ARRAY(b->a, int64_t, n);

	for (size_t i = 0; i < n; i++)
		c[i] = (struct change){
			.place = state_place_key(b->tree.key, e[i].type, e[i].key),
			.id = e[i].key,
			.value = e[i].event,
			.old = &old[i],
		};
	TRY(apply_top(&p, top, c, n, out));
	for (size_t i = 0; i < n; i++) {
		struct state_entry was = e[i];

		was.event = old[i];
		if (old[i])
			*hash = state_hash_sub(*hash, state_entry_hash(b->tree.key, &was));
		if (e[i].event)
			*hash = state_hash_add(*hash, state_entry_hash(b->tree.key, &e[i]));
	}
	return NULL;
}

/* By key; the changes of one key in the order given (their addresses: qsort keeps no order of its own). */
static int by_key(const void *x, const void *y)
{
	const struct state_entry *a = *(const struct state_entry *const *)x, *b = *(const struct state_entry *const *)y;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return a < b ? -1 : 1;
}

/* Sorted by type and key, of several for one key only the last. */
static struct state_entry *sort_changes(struct arena *a, const struct state_entry *changes, size_t n, size_t *out_n)
{
	struct state_entry *sorted = ARENA_ARRAY(a, struct state_entry, n);
	const struct state_entry **order = ARENA_ARRAY(a, const struct state_entry *, n);

	for (size_t i = 0; i < n; i++) {
		assert(changes[i].type > 0 && changes[i].key > 0 && changes[i].event >= 0);
		order[i] = &changes[i];
	}
	qsort(order, n, sizeof(*order), by_key);
	*out_n = 0;
	for (size_t i = 0; i < n; i++) {
		const bool again =
			i + 1 < n && order[i + 1]->type == order[i]->type && order[i + 1]->key == order[i]->key;

		if (!again)
			sorted[(*out_n)++] = *order[i];
	}
	return sorted;
}

err *state_apply(struct state_builder *b, struct state_root from, const struct state_entry *changes, size_t n,
		 struct state_root *out)
{
	struct pass p = { .b = b, .types = true };
	VEC(struct change) types = { 0 };
	struct state_root to = from;
	size_t n_sorted;
	const struct state_entry *sorted = sort_changes(b->a, changes, n, &n_sorted);

	for (size_t i = 0, run; i < n_sorted; i += run) {
		const int64_t type = sorted[i].type;
		int64_t top, now;

		for (run = 1; i + run < n_sorted && sorted[i + run].type == type; run++)
			;
		TRY(state_type_top(&b->tree, b->a, from, type, &top));
		TRY(apply_type(b, top, sorted + i, run, &now, &to.hash));
		if (now != top)
			vec_push(b->a, &types,
				 (struct change){
					 .place = state_place_type(b->tree.key, type), .id = type, .value = now });
	}
	if (types.n > 0)
		TRY(apply_top(&p, from.node, types.p, types.n, &to.node));
	*out = to;
	return NULL;
}

err *state_set(struct state_builder *b, struct state_root from, int64_t type, int64_t key, int64_t event,
	       struct state_root *out)
{
	const struct state_entry one = { .type = type, .key = key, .event = event };

	return state_apply(b, from, &one, 1, out);
}

/*
 * Sealing
 */
struct seal {
	struct state_builder *b;
	int64_t *number; /* of fresh node i; 0: none yet */
	int64_t next, first;
	struct buf nodes, lengths;
	size_t n, last; /* nodes in the row; where the last one begins */
	VEC(struct node_row) rows;
};

static void end_row(struct seal *s)
{
	struct buf head = BUF_INIT(SIZE_MAX);
	struct arena *a = s->b->a;

	if (s->n == 0)
		return;
	state_varint(&head, s->n);
	vec_push(a, &s->rows,
		 (struct node_row){
			 .first = s->first,
			 .n = s->n,
			 .bytes = arena_join3(a, buf_str(&head), buf_str(&s->lengths), buf_str(&s->nodes)),
		 });
	buf_done(&head);
	buf_reset(&s->lengths);
	buf_reset(&s->nodes);
	s->n = 0;
}

static void write_node(struct seal *s, bool types, const struct state_node *n)
{
	if (s->n == STATE_ROW_NODES || s->nodes.n >= STATE_ROW_BYTES)
		end_row(s);
	if (s->n == 0)
		s->first = s->next;
	else
		state_varint(&s->lengths, s->nodes.n - s->last);
	s->last = s->nodes.n;
	state_node_write(&s->nodes, types, s->next, n);
	s->n++;
	s->next++;
}

/* The number of a node, which is given and written now if it has none: after those of its children. */
static int64_t seal_node(struct seal *s, bool types, int64_t id)
{
	if (id >= 0)
		return id;
	int64_t *number = &s->number[-1 - id];

	if (*number)
		return *number;
	struct state_node n = *s->b->fresh.p[-1 - id];

	for (unsigned i = 0; i < STATE_FAN; i++) {
		if (n.kids >> i & 1)
			n.slot[i].kid = seal_node(s, types, n.slot[i].kid);
		else if (types && n.leaves >> i & 1)
			n.slot[i].leaf.value = seal_node(s, false, n.slot[i].leaf.value);
	}
	if (types && n.n_list > 0) {
		struct state_leaf *list = ARENA_ARRAY(s->b->a, struct state_leaf, n.n_list);

		for (size_t i = 0; i < n.n_list; i++)
			list[i] = (struct state_leaf){ n.list[i].id, seal_node(s, false, n.list[i].value) };
		n.list = list;
	}
	*number = s->next;
	write_node(s, types, &n);
	return *number;
}

void state_seal(struct state_builder *b, struct state_root *roots, size_t n, int64_t *next_node)
{
	struct seal s = {
		.b = b,
		.number = ARENA_ARRAY(b->a, int64_t, b->fresh.n),
		.next = *next_node,
		.nodes = BUF_INIT(SIZE_MAX),
		.lengths = BUF_INIT(SIZE_MAX),
	};

	assert(*next_node > 0 && !b->sealed);
	for (size_t i = 0; i < n; i++)
		if (roots[i].node < 0) {
			struct state_node *top = b->fresh.p[-1 - roots[i].node];

			top->is_root = true;
			top->hash = roots[i].hash;
		}
	for (size_t i = 0; i < n; i++)
		roots[i].node = seal_node(&s, true, roots[i].node);
	end_row(&s);
	buf_done(&s.nodes);
	buf_done(&s.lengths);
	*next_node = s.next;
	b->rows = s.rows.p;
	b->n_rows = s.rows.n;
	b->sealed = true;
}
