/*
 * state_tree.c - reading states: one key, all, what differs.
 *
 * A room of fifty thousand members has a state of fifty thousand entries, and nearly every entry has been a state event
 * that made a new state. Storing each state whole is out of the question; storing differences in a chain makes reading
 * slow and comparing two states slower. So a state is the root of an immutable tree: a state event writes only the
 * nodes on the path to its leaf and shares all others with the state before it, and two states are compared by walking
 * both trees and turning back wherever they share a node.
 *
 * Form. Two layers of tries with fan-out 8. The upper one places types by a keyed hash of the type, and its leaves are
 * the tops of lower ones, one for each type, which place state keys by a keyed hash of (type, key). Thus the members
 * (nearly everything, in a big room) are a subtree of their own: reading the state without them, or one type of it,
 * reads nothing else. Hash bits are used three at a time from the top; a leaf stands as high as it is alone under its
 * prefix, so that a trie's form depends on its contents only. Hashes that agree in all 21 levels share a list at the
 * bottom: sixty-three bits make that a matter of principle, and the key makes it a matter of luck only, for peers
 * choose the state keys.
 *
 * Equality. Node numbers say nothing about contents: the same state reached by two routes has two roots. Each root
 * therefore carries (in its top node) a sum, modulo 2^128, of a keyed hash of every entry, which a change updates by
 * one subtraction and one addition: same contents, same hash, in whatever order they came. (An outsider who could see
 * the sums might search for collisions of such a sum; they are never shown, and the key is secret.)
 *
 * state_build.c makes new states, state_node.c knows the bytes.
 */
#include "matrix/state_tree.h"

#include <assert.h>

#include "base/map.h"
#include "matrix/internal_state.h"

/* What a hash is for; no hash of one use says anything about another. */
enum { TAG_SUM_HIGH = 1, TAG_SUM_LOW, TAG_TYPE, TAG_KEY };

static void put_i64(uint8_t *p, int64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)((uint64_t)v >> (8 * i));
}

uint64_t state_place_type(const uint8_t key[16], int64_t type)
{
	uint8_t in[9] = { TAG_TYPE };

	put_i64(in + 1, type);
	return siphash(key, in, sizeof(in));
}

uint64_t state_place_key(const uint8_t key[16], int64_t type, int64_t state_key)
{
	uint8_t in[17] = { TAG_KEY };

	put_i64(in + 1, type);
	put_i64(in + 9, state_key);
	return siphash(key, in, sizeof(in));
}

struct state_hash state_entry_hash(const uint8_t key[16], const struct state_entry *e)
{
	uint8_t in[25] = { TAG_SUM_HIGH };
	struct state_hash h;

	put_i64(in + 1, e->type);
	put_i64(in + 9, e->key);
	put_i64(in + 17, e->event);
	h.hi = siphash(key, in, sizeof(in));
	in[0] = TAG_SUM_LOW;
	h.lo = siphash(key, in, sizeof(in));
	return h;
}

struct state_hash state_hash_add(struct state_hash x, struct state_hash y)
{
	const uint64_t lo = x.lo + y.lo;

	return (struct state_hash){ .hi = x.hi + y.hi + (lo < x.lo), .lo = lo };
}

struct state_hash state_hash_sub(struct state_hash x, struct state_hash y)
{
	return (struct state_hash){ .hi = x.hi - y.hi - (x.lo < y.lo), .lo = x.lo - y.lo };
}

void state_hash_bytes(struct state_hash h, uint8_t out[16])
{
	put_i64(out, (int64_t)h.hi);
	put_i64(out + 8, (int64_t)h.lo);
}

struct state_hash state_hash_from(const uint8_t bytes[16])
{
	struct state_hash h = { 0 };

	for (int i = 7; i >= 0; i--) {
		h.hi = h.hi << 8 | bytes[i];
		h.lo = h.lo << 8 | bytes[8 + i];
	}
	return h;
}

err *state_node_read(const struct state_tree *t, struct arena *a, bool types, int64_t id, struct state_node *out)
{
	if (id < 0) { /* its values are node numbers already */
		assert(t->builder && (size_t)(-1 - id) < t->builder->fresh.n);
		*out = *t->builder->fresh.p[-1 - id];
		return NULL;
	}
	TRY(t->node(t->ctx, a, id, out));
	if (!types)
		return NULL;
	bool below = true; /* a type's trie was there before the node that names it */

	for (unsigned i = 0; i < STATE_FAN; i++)
		if (out->leaves >> i & 1) {
			out->slot[i].leaf.value = id - out->slot[i].leaf.value;
			below = below && out->slot[i].leaf.value > 0;
		}
	if (out->n_list > 0) { /* what the callback gave may be shared */
		struct state_leaf *list = ARENA_ARRAY(a, struct state_leaf, out->n_list);

		for (size_t i = 0; i < out->n_list; i++) {
			list[i] = (struct state_leaf){ out->list[i].id, id - out->list[i].value };
			below = below && list[i].value > 0;
		}
		out->list = list;
	}
	return below ? NULL : err_new(a, ERR_INTERNAL, "state node %" PRId64 " is damaged", id);
}

struct state_sub state_node_sub(const struct state_node *n, unsigned slot)
{
	struct state_sub s = { SUB_NONE };

	if (n->kids >> slot & 1) {
		s.kind = SUB_NODE;
		s.node = n->slot[slot].kid;
	} else if (n->leaves >> slot & 1) {
		s.kind = SUB_LEAF;
		s.leaf = n->slot[slot].leaf;
	}
	return s;
}

err *state_root_of(const struct state_tree *t, struct arena *a, int64_t node, struct state_root *out)
{
	struct state_node top;

	*out = STATE_EMPTY;
	if (node == 0)
		return NULL;
	TRY(state_node_read(t, a, true, node, &top));
	if (!top.is_root)
		return err_new(a, ERR_INTERNAL, "node %" PRId64 " is no state's", node);
	*out = (struct state_root){ .node = node, .hash = top.hash };
	return NULL;
}

/* The tree is damaged where it is deeper than hashes are long. */
static err *check_level(const struct state_tree *t, struct arena *a, unsigned level, const struct state_node *n)
{
	if ((level == state_levels(t)) != (n->n_list > 0))
		return err_new(a, ERR_INTERNAL, "state tree damaged: %s at level %u", n->n_list ? "list" : "node",
			       level);
	return NULL;
}

/* The value under an id in one trie; 0: none. */
static err *trie_get(const struct state_tree *t, struct arena *a, bool types, int64_t top, uint64_t place, int64_t id,
		     int64_t *out)
{
	*out = 0;
	for (unsigned level = 0; top; level++) {
		struct state_node n;

		TRY(state_node_read(t, a, types, top, &n));
		TRY(check_level(t, a, level, &n));
		if (n.n_list > 0) {
			for (size_t i = 0; i < n.n_list; i++)
				if (n.list[i].id == id)
					*out = n.list[i].value;
			return NULL;
		}
		const struct state_sub s = state_node_sub(&n, state_slot(place, level));

		if (s.kind == SUB_LEAF && s.leaf.id == id)
			*out = s.leaf.value;
		top = s.kind == SUB_NODE ? s.node : 0;
	}
	return NULL;
}

err *state_type_top(const struct state_tree *t, struct arena *a, struct state_root root, int64_t type, int64_t *out)
{
	return trie_get(t, a, true, root.node, state_place_type(t->key, type), type, out);
}

err *state_get(const struct state_tree *t, struct arena *a, struct state_root root, int64_t type, int64_t key,
	       int64_t *out_event)
{
	int64_t top;

	TRY(state_type_top(t, a, root, type, &top));
	return trie_get(t, a, false, top, state_place_key(t->key, type, key), key, out_event);
}

/*
 * Comparing two tries: `gone` and `come` are what hangs in the same slot of both. Walking one trie is comparing it with
 * nothing.
 */
struct compare {
	const struct state_tree *t;
	struct arena *a;
	bool types;
	err *(*leaf)(struct compare *c, int64_t id, int64_t old, int64_t now);
	struct state_pick pick;
	int64_t type; /* of the lower trie we are in */
	state_diff_fn *diff;
	state_each_fn *each;
	void *arg;
};

static err *compare_lists(struct compare *c, const struct state_leaf *old, size_t n_old, const struct state_leaf *now,
			  size_t n_now)
{
	for (size_t i = 0; i < n_old; i++) {
		int64_t value = 0;

		for (size_t k = 0; k < n_now; k++)
			if (now[k].id == old[i].id)
				value = now[k].value;
		if (value != old[i].value)
			TRY(c->leaf(c, old[i].id, old[i].value, value));
	}
	for (size_t k = 0; k < n_now; k++) {
		bool known = false;

		for (size_t i = 0; i < n_old; i++)
			known = known || old[i].id == now[k].id;
		if (!known)
			TRY(c->leaf(c, now[k].id, 0, now[k].value));
	}
	return NULL;
}

/* As a node: a leaf that stands higher than its counterpart is a node with one leaf, further down. */
static err *open_sub(struct compare *c, const struct state_sub *s, unsigned level, struct state_node *out)
{
	*out = (struct state_node){ 0 };
	if (s->kind == SUB_NODE) {
		TRY(state_node_read(c->t, c->a, c->types, s->node, out));
		return check_level(c->t, c->a, level, out);
	}
	if (s->kind == SUB_NONE)
		return NULL;
	if (level == state_levels(c->t)) {
		out->list = ARENA_NEW(c->a, struct state_leaf);
		*out->list = s->leaf;
		out->n_list = 1;
		return NULL;
	}
	const uint64_t place =
		c->types ? state_place_type(c->t->key, s->leaf.id) : state_place_key(c->t->key, c->type, s->leaf.id);
	const unsigned slot = state_slot(place, level);

	out->leaves = (state_slots)(1u << slot);
	out->slot[slot].leaf = s->leaf;
	return NULL;
}

static err *compare_subs(struct compare *c, struct state_sub old, struct state_sub now, unsigned level)
{
	struct state_node x, y;

	if (old.kind == SUB_NODE && now.kind == SUB_NODE && old.node == now.node)
		return NULL;
	if (old.kind != SUB_NODE && now.kind != SUB_NODE)
		return compare_lists(c, &old.leaf, old.kind == SUB_LEAF, &now.leaf, now.kind == SUB_LEAF);
	TRY(open_sub(c, &old, level, &x));
	TRY(open_sub(c, &now, level, &y));
	if (level == state_levels(c->t))
		return compare_lists(c, x.list, x.n_list, y.list, y.n_list);
	for (unsigned i = 0; i < STATE_FAN; i++)
		TRY(compare_subs(c, state_node_sub(&x, i), state_node_sub(&y, i), level + 1));
	return NULL;
}

static err *entry_differs(struct compare *c, int64_t id, int64_t old, int64_t now)
{
	if (c->each)
		return c->each(c->arg, &(struct state_entry){ .type = c->type, .key = id, .event = now });
	return c->diff(c->arg, c->type, id, old, now);
}

/* A type whose tries have different tops: they are compared in their turn. */
static err *type_differs(struct compare *c, int64_t id, int64_t old, int64_t now)
{
	struct compare inner = *c;

	if (id == c->pick.but)
		return NULL;
	inner.types = false;
	inner.type = id;
	inner.leaf = entry_differs;
	return compare_subs(&inner, state_sub_top(old), state_sub_top(now), 0);
}

static err *compare(struct compare *c, struct state_root from, struct state_root to)
{
	int64_t old, now;

	c->types = true;
	c->leaf = type_differs;
	if (!c->pick.only)
		return compare_subs(c, state_sub_top(from.node), state_sub_top(to.node), 0);
	TRY(state_type_top(c->t, c->a, from, c->pick.only, &old));
	TRY(state_type_top(c->t, c->a, to, c->pick.only, &now));
	return old == now ? NULL : type_differs(c, c->pick.only, old, now);
}

err *state_each(const struct state_tree *t, struct arena *a, struct state_root root, struct state_pick pick,
		state_each_fn *fn, void *arg)
{
	struct compare c = { .t = t, .a = a, .pick = pick, .each = fn, .arg = arg };

	return compare(&c, STATE_EMPTY, root);
}

err *state_diff(const struct state_tree *t, struct arena *a, struct state_root from, struct state_root to,
		struct state_pick pick, state_diff_fn *fn, void *arg)
{
	struct compare c = { .t = t, .a = a, .pick = pick, .diff = fn, .arg = arg };

	if (state_same(from, to))
		return NULL;
	return compare(&c, from, to);
}
