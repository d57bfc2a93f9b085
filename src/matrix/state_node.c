/*
 * state_node.c - the bytes of nodes and rows.
 *
 * Every number is a varint (seven bits a byte, low ones first). References to nodes are written as distances below the
 * node they stand in: nodes are numbered from the leaves up, so that the new child is at distance 1 and its siblings,
 * mostly made not long ago, are near. All new nodes of an event are one row:
 *
 *	row    count, the lengths of all nodes but the last, the nodes
 *	node   byte: slots with a node, byte: slots with a leaf, then the slots in order
 *	list   ff ff, count, the leaves (no slot is both: this cannot be a node)
 *	root   ff fe, the state's hash, then the node: the top of a state that something names
 *	leaf   id, value: (state key, event), or (type, distance to the type's top node)
 *
 * A node of no bytes is one that a purge took out of its row: nothing refers to it.
 */
#include "base/buf.h"
#include "matrix/internal_state.h"

#include <assert.h>

void state_varint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_byte(b, (char)(0x80 | (v & 0x7f)));
	buf_byte(b, (char)v);
}

/* What is written in the place of a node's slots: no slot is both a node's and a leaf's. */
#define SLOTS_ALL  ((state_slots)-1)
#define SLOTS_ROOT ((state_slots)(SLOTS_ALL - 1))

static void write_slots(struct buf *b, state_slots first, state_slots second)
{
	const state_slots both[] = { first, second };

	for (size_t i = 0; i < 2; i++)
		for (size_t byte = 0; byte < sizeof(state_slots); byte++)
			buf_byte(b, (char)(both[i] >> (8 * byte)));
}

static void write_leaf(struct buf *b, bool types, int64_t id, const struct state_leaf *leaf)
{
	assert(leaf->value > 0 && (!types || leaf->value < id));
	state_varint(b, (uint64_t)leaf->id);
	state_varint(b, (uint64_t)(types ? id - leaf->value : leaf->value));
}

void state_node_write(struct buf *b, bool types, int64_t id, const struct state_node *n)
{
	assert((n->kids & n->leaves) == 0);
	if (n->is_root) {
		uint8_t hash[16];

		state_hash_bytes(n->hash, hash);
		write_slots(b, SLOTS_ALL, SLOTS_ROOT);
		buf_add(b, (str){ (const char *)hash, sizeof(hash) });
	}
	if (n->n_list > 0) {
		write_slots(b, SLOTS_ALL, SLOTS_ALL);
		state_varint(b, n->n_list);
		for (size_t i = 0; i < n->n_list; i++)
			write_leaf(b, types, id, &n->list[i]);
		return;
	}
	write_slots(b, n->kids, n->leaves);
	for (unsigned i = 0; i < STATE_FAN; i++) {
		if (n->kids >> i & 1) {
			assert(n->slot[i].kid > 0 && n->slot[i].kid < id);
			state_varint(b, (uint64_t)(id - n->slot[i].kid));
		} else if (n->leaves >> i & 1) {
			write_leaf(b, types, id, &n->slot[i].leaf);
		}
	}
}

/* Reading: a cursor with a sticky error. */
struct reader {
	str rest;
	bool bad;
};

static uint8_t read_byte(struct reader *r)
{
	if (r->rest.n == 0) {
		r->bad = true;
		return 0;
	}
	const uint8_t v = (uint8_t)r->rest.p[0];

	r->rest = str_from(r->rest, 1);
	return v;
}

static state_slots read_slots(struct reader *r)
{
	unsigned v = 0;

	for (size_t byte = 0; byte < sizeof(state_slots); byte++)
		v |= (unsigned)read_byte(r) << (8 * byte);
	return (state_slots)v;
}

static int64_t read_varint(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 63; shift += 7) {
		const uint8_t c = read_byte(r);

		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return (int64_t)v;
	}
	r->bad = true;
	return 0;
}

static struct state_leaf read_leaf(struct reader *r)
{
	const int64_t id = read_varint(r), value = read_varint(r);

	r->bad = r->bad || id <= 0 || value <= 0;
	return (struct state_leaf){ .id = id, .value = value };
}

static void read_list(struct arena *a, struct reader *r, struct state_node *out)
{
	const int64_t n = read_varint(r);

	out->kids = out->leaves = 0;
	if (n < 2 || (uint64_t)n > r->rest.n / 2) { /* a leaf has two bytes at least */
		r->bad = true;
		return;
	}
	out->n_list = (size_t)n;
	out->list = ARENA_ARRAY(a, struct state_leaf, out->n_list);
	for (size_t i = 0; i < out->n_list; i++)
		out->list[i] = read_leaf(r);
}

static void read_node(struct arena *a, struct reader *r, int64_t id, struct state_node *out)
{
	out->kids = read_slots(r);
	out->leaves = read_slots(r);
	if (out->kids == SLOTS_ALL && out->leaves == SLOTS_ROOT && !out->is_root && r->rest.n > 16) {
		out->is_root = true;
		out->hash = state_hash_from((const uint8_t *)r->rest.p);
		r->rest = str_from(r->rest, 16);
		read_node(a, r, id, out);
		return;
	}
	if (out->kids == SLOTS_ALL && out->leaves == SLOTS_ALL) {
		read_list(a, r, out);
		return;
	}
	for (unsigned i = 0; i < STATE_FAN; i++) {
		if (out->kids >> i & 1) {
			const int64_t below = read_varint(r);

			out->slot[i].kid = id - below;
			r->bad = r->bad || below <= 0 || below >= id;
		} else if (out->leaves >> i & 1) {
			out->slot[i].leaf = read_leaf(r);
		}
	}
	r->bad = r->bad || (out->kids & out->leaves) != 0 || (out->kids | out->leaves) == 0;
}

size_t node_row_count(str bytes)
{
	struct reader r = { .rest = bytes };
	const int64_t n = read_varint(&r);

	return r.bad || n < 1 || (uint64_t)n > bytes.n ? 0 : (size_t)n;
}

str node_row_find(str bytes, int64_t first, int64_t id)
{
	struct reader r = { .rest = bytes };
	const size_t n = node_row_count(bytes), i = (size_t)(id - first);
	size_t from = 0, length = 0;

	if (first < 1 || id < first || (uint64_t)(id - first) >= n)
		return STR_NONE;
	(void)read_varint(&r);
	for (size_t k = 0; k + 1 < n; k++) {
		const size_t l = (size_t)read_varint(&r);

		if (l > bytes.n)
			return STR_NONE;
		if (k < i)
			from += l;
		else if (k == i)
			length = l;
	}
	if (r.bad || from > r.rest.n || length > r.rest.n - from)
		return STR_NONE;
	return (str){ r.rest.p + from, i + 1 == n ? r.rest.n - from : length };
}

struct node_iter node_iter(str bytes)
{
	struct reader r = { .rest = bytes };
	const size_t n = node_row_count(bytes);
	struct node_iter it = { .left = n, .bad = n == 0 };

	(void)read_varint(&r);
	it.lengths = r.rest;
	for (size_t k = 0; k + 1 < n; k++)
		(void)read_varint(&r);
	it.nodes = r.rest;
	it.bad = it.bad || r.bad;
	return it;
}

bool node_iter_next(struct node_iter *it, str *out)
{
	struct reader r = { .rest = it->lengths };
	size_t n = it->nodes.n;

	if (it->bad || it->left == 0)
		return false;
	if (--it->left > 0)
		n = (size_t)read_varint(&r);
	it->bad = r.bad || n > it->nodes.n;
	if (it->bad)
		return false;
	*out = str_head(it->nodes, n);
	it->lengths = r.rest;
	it->nodes = str_from(it->nodes, n);
	return true;
}

err *state_node_parse(struct arena *a, str bytes, int64_t id, struct state_node *out)
{
	struct reader r = { .rest = bytes };

	*out = (struct state_node){ 0 };
	read_node(a, &r, id, out);
	if (r.bad || r.rest.n > 0)
		return err_new(a, ERR_INTERNAL, "state node %" PRId64 " is damaged", id);
	return NULL;
}
