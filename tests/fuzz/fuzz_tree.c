/*
 * fuzz_tree.c - the state tree.
 *
 * The first byte chooses. Bytes as a row of nodes: read or refused, and what is read is written as what reads the same.
 * Or operations: a tree grown by them, beside a plain list of entries, through set, apply, seal, get, each and diff. Or
 * both: the rows that the operations left, damaged by a few bytes, then read: an answer or an error, in bounded time,
 * whatever stands there.
 */
#include "fuzz.h"
#include "matrix/internal_state.h"
#include "nodes.h"

enum { MODEL_MAX = 160, ROOTS = 8, OPERATIONS = 60 };

struct model {
	struct state_entry e[MODEL_MAX];
	size_t n;
};

static void model_set(struct model *m, const struct state_entry *e)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->e[i].type == e->type && m->e[i].key == e->key) {
			m->e[i].event = e->event;
			if (!e->event)
				m->e[i] = m->e[--m->n];
			return;
		}
	if (e->event)
		m->e[m->n++] = *e;
}

static int64_t model_get(const struct model *m, int64_t type, int64_t key)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->e[i].type == type && m->e[i].key == key)
			return m->e[i].event;
	return 0;
}

static bool same_node(const struct state_node *x, const struct state_node *y)
{
	if (x->kids != y->kids || x->leaves != y->leaves || x->n_list != y->n_list || x->is_root != y->is_root)
		return false;
	for (size_t i = 0; i < x->n_list; i++)
		if (x->list[i].id != y->list[i].id || x->list[i].value != y->list[i].value)
			return false;
	for (unsigned i = 0; i < STATE_FAN && x->n_list == 0; i++)
		if ((x->kids >> i & 1 && x->slot[i].kid != y->slot[i].kid) ||
		    (x->leaves >> i & 1 &&
		     (x->slot[i].leaf.id != y->slot[i].leaf.id || x->slot[i].leaf.value != y->slot[i].leaf.value)))
			return false;
	return x->hash.hi == y->hash.hi && x->hash.lo == y->hash.lo;
}

static void read_row(struct arena *a, str row, int64_t first)
{
	const size_t n = node_row_count(row);

	for (size_t i = 0; i < MIN(n + 2, 300); i++) {
		const int64_t id = first + (int64_t)i;
		const str bytes = node_row_find(row, first, id);
		struct state_node node, again;

		assert(i < n || str_is_none(bytes));
		assert(str_is_none(bytes) || (bytes.p >= row.p && bytes.p + bytes.n <= row.p + row.n));
		if (state_node_parse(a, bytes, id, &node))
			continue;
		AUTO_BUF b = BUF_INIT(1 << 20);

		state_node_write(&b, false, id, &node);
		assert(!state_node_parse(a, buf_str(&b), id, &again) && same_node(&node, &again));
	}
	assert(str_is_none(node_row_find(row, first, first - 1)));
}

struct forest {
	struct nodes nodes;
	struct state_root root[ROOTS];
	struct model model[ROOTS];
};

static struct state_entry draw_entry(struct feed *f)
{
	const unsigned type = feed_byte(f), key = feed_byte(f), event = feed_byte(f);

	return (struct state_entry){ 1 + type % 5, 1 + key % (type & 0x80 ? 30 : 4), event % 4 ? 1 + event : 0 };
}

static err *is_in_model(void *arg, const struct state_entry *e)
{
	struct model *m = arg;

	assert(m->n > 0 && model_get(m, e->type, e->key) == e->event);
	model_set(m, &(struct state_entry){ e->type, e->key, 0 });
	return NULL;
}

struct patch {
	struct model *m;
	struct model now;
};

static err *patch(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	struct patch *p = arg;

	assert(old != now && model_get(p->m, type, key) == old && model_get(&p->now, type, key) == now);
	model_set(p->m, &(struct state_entry){ type, key, now });
	return NULL;
}

static void check_contents(struct forest *w, struct arena *a, size_t i)
{
	struct model left = w->model[i];
	struct state_root again;

	assert(!state_each(&w->nodes.tree, a, w->root[i], (struct state_pick){ 0 }, is_in_model, &left));
	assert(left.n == 0);
	for (int64_t type = 1; type <= 5; type++) {
		int64_t event;

		assert(!state_get(&w->nodes.tree, a, w->root[i], type, 1, &event));
		assert(event == model_get(&w->model[i], type, 1));
	}
	assert(!state_root_of(&w->nodes.tree, a, w->root[i].node, &again) && state_same(again, w->root[i]));
}

static void check_diff(struct forest *w, struct arena *a, size_t from, size_t to)
{
	struct model turned = w->model[from], left;
	struct patch p = { &turned, w->model[to] };

	assert(!state_diff(&w->nodes.tree, a, w->root[from], w->root[to], (struct state_pick){ 0 }, patch, &p));
	left = turned;
	for (size_t i = 0; i < left.n; i++)
		assert(model_get(&w->model[to], left.e[i].type, left.e[i].key) == left.e[i].event);
	assert(left.n == w->model[to].n);
	assert(state_same(w->root[from], w->root[to]) == (memcmp(&w->root[from].hash, &w->root[to].hash, 16) == 0));
}

static void change(struct forest *w, struct arena *a, struct feed *f, size_t from, size_t to)
{
	struct state_entry list[24];
	struct state_builder b;
	struct state_root root = w->root[from];
	struct model m = w->model[from];
	const size_t n = 1 + feed_below(f, feed_once_in(f, 3) ? ARRAY_LEN(list) : 2);
	err *e;

	for (size_t i = 0; i < n; i++) {
		list[i] = draw_entry(f);
		if (m.n < MODEL_MAX - 1)
			model_set(&m, &list[i]);
		else
			list[i].event = 0, model_set(&m, &list[i]);
	}
	state_builder_init(&b, a, &w->nodes.tree);
	if (feed_once_in(f, 2)) {
		e = state_apply(&b, root, list, n, &root);
		assert(!e);
	} else {
		for (size_t i = 0; i < n; i++) {
			e = state_set(&b, root, list[i].type, list[i].key, list[i].event, &root);
			assert(!e);
		}
	}
	nodes_seal(&w->nodes, &b, &root, 1);
	w->root[to] = root;
	w->model[to] = m;
}

static void operate(struct forest *w, struct arena *a, struct feed *f)
{
	for (size_t i = 0; i < OPERATIONS && f->n > 0; i++) {
		const unsigned op = feed_byte(f), from = op & 7, to = op >> 3 & 7;

		switch (op >> 6) {
		case 0:
		case 1:
			change(w, a, f, from, to);
			break;
		case 2:
			check_diff(w, a, from, to);
			break;
		default:
			check_contents(w, a, from);
		}
	}
	for (size_t i = 0; i < ROOTS; i++) {
		check_contents(w, a, i);
		check_diff(w, a, i, (i + 1) % ROOTS);
	}
}

static err *count(void *arg, const struct state_entry *e)
{
	(void)e;
	++*(size_t *)arg;
	return NULL;
}

static err *count_diff(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	(void)type;
	(void)key;
	assert(old != now);
	++*(size_t *)arg;
	return NULL;
}

/* Whatever comes out: nothing but answers and errors. */
static void read_damaged(struct forest *w, struct arena *a, struct feed *f)
{
	struct state_builder b;
	struct state_root root;
	size_t n = 0;
	int64_t event;

	for (unsigned hits = 1 + feed_below(f, 6); hits > 0 && w->nodes.rows.n > 0; hits--) {
		struct node_row *row = &w->nodes.rows.p[feed_below(f, MIN(w->nodes.rows.n, 256))];
		char *bytes = arena_alloc(a, row->bytes.n);
		const size_t at = feed_below(f, MIN(row->bytes.n, 256));

		memcpy(bytes, row->bytes.p, row->bytes.n);
		bytes[at] = (char)feed_byte(f);
		row->bytes = (str){ bytes, row->bytes.n - (feed_once_in(f, 8) ? at : 0) };
	}
	for (size_t i = 0; i < ROOTS; i++) {
		const struct state_entry e = draw_entry(f);
		err *bad = state_root_of(&w->nodes.tree, a, w->root[i].node, &root);

		assert(!bad || bad->code == ERR_INTERNAL);
		bad = state_get(&w->nodes.tree, a, w->root[i], e.type, e.key, &event);
		assert(!bad || bad->code == ERR_INTERNAL);
		bad = state_each(&w->nodes.tree, a, w->root[i], (struct state_pick){ 0 }, count, &n);
		bad = state_each(&w->nodes.tree, a, w->root[i], (struct state_pick){ .only = e.type }, count, &n);
		bad = state_diff(&w->nodes.tree, a, w->root[i], w->root[(i + 1) % ROOTS], (struct state_pick){ 0 },
				 count_diff, &n);
		state_builder_init(&b, a, &w->nodes.tree);
		bad = state_set(&b, w->root[i], e.type, e.key, e.event, &root);
		if (!bad)
			state_seal(&b, &root, 1, &w->nodes.next);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = arena_new();
	struct feed f = feed_of(data, size);
	const unsigned mode = feed_byte(&f);

	if (mode % 4 == 0) {
		read_row(a, feed_rest(&f), 1 + mode / 4);
		return 0;
	}
	struct forest *w = ARENA_NEW(a, struct forest);
	struct feed damage = f;

	nodes_init(&w->nodes, a);
	w->nodes.tree.levels = mode & 0x80 ? 2 : 0; /* few levels: places collide */
	if (mode % 4 == 3) {
		const size_t n = MIN(f.n, 24);

		damage.p += f.n - n;
		damage.n = n;
		f.n -= n;
	}
	operate(w, a, &f);
	if (mode % 4 == 3)
		read_damaged(w, a, &damage);
	return 0;
}
