/* The table against a plain array in order of use, over thousands of random steps, by text and by number. */
#include "test.h"

#include "base/lru.h"

enum { KEYS = 60, MOST = 100 };

struct entry {
	struct lru_node node;
	int key, tag;
	char text[16];
};
static size_t ended;

static void gone(struct lru *l, void *entry)
{
	struct entry *e = entry;

	ok(list_is_empty(&e->node.order), "it is out of the table");
	ok(l->max == MOST, "its own table is told");
	ended++;
	mem_free(e);
}

/* What must be there: the most recently used first. */
struct model {
	struct {
		int key, tag;
		size_t cost;
	} list[KEYS];
	size_t n, cost;
};

static size_t place_of(const struct model *m, int key)
{
	size_t i = 0;

	while (i < m->n && m->list[i].key != key)
		i++;
	return i;
}

static void model_drop(struct model *m, size_t at)
{
	m->cost -= m->list[at].cost;
	m->n--;
	memmove(&m->list[at], &m->list[at + 1], (m->n - at) * sizeof(m->list[0]));
}

static void model_put(struct model *m, int key, int tag, size_t cost)
{
	if (place_of(m, key) < m->n)
		model_drop(m, place_of(m, key));
	memmove(&m->list[1], &m->list[0], m->n * sizeof(m->list[0]));
	m->list[0].key = key;
	m->list[0].tag = tag;
	m->list[0].cost = cost;
	m->n++;
	m->cost += cost;
	while (m->cost > MOST && m->n > 1)
		model_drop(m, m->n - 1);
}

static void check(const struct lru *l, const struct model *m)
{
	size_t i = 0;

	assert_int_equal(l->cost, m->cost);
	assert_int_equal(l->map.n, m->n);
	LIST_EACH (&l->order, it) {
		const struct entry *e = LIST_ITEM(it, struct entry, node.order);

		assert_true(i < m->n);
		assert_int_equal(e->key, m->list[i].key);
		assert_int_equal(e->tag, m->list[i].tag);
		i++;
	}
	assert_int_equal(i, m->n);
}

static struct entry *get(struct lru *l, int key, bool by_text)
{
	char text[16];

	if (!by_text)
		return lru_get_i(l, key);
	return lru_get(l, (str){ text, (size_t)snprintf(text, sizeof(text), "key %d", key) });
}

static void put(struct lru *l, int key, int tag, size_t cost, bool by_text)
{
	struct entry *e = MEM_NEW(struct entry);
	const size_t n = (size_t)snprintf(e->text, sizeof(e->text), "key %d", key);

	e->key = key;
	e->tag = tag;
	if (by_text)
		lru_put(l, (str){ e->text, n }, e, cost);
	else
		lru_put_i(l, key, e, cost);
}

static void step(struct lru *l, struct model *m, uint32_t r, int tag, bool by_text)
{
	const int key = (int)(r >> 8) % KEYS;
	const size_t at = place_of(m, key), cost = (r >> 16) % 40 == 0 ? MOST + 1 : (r >> 16) % 12;
	struct entry *e;

	switch (r % 4) {
	case 0:
		put(l, key, tag, cost, by_text);
		model_put(m, key, tag, cost);
		return;
	case 1:
		lru_drop(l, get(l, key, by_text));
		if (at < m->n)
			model_drop(m, at);
		return;
	default:
		e = get(l, key, by_text);
		assert_int_equal(e != NULL, at < m->n);
		if (!e)
			return;
		assert_int_equal(e->key, key);
		if (r % 4 == 2)
			lru_set_cost(l, e, cost);
		model_put(m, key, e->tag, r % 4 == 2 ? cost : m->list[at].cost);
	}
}

static void as_a_model(bool by_text)
{
	struct model m = { 0 };
	uint32_t r = 7;
	struct lru l;
	size_t most = 0;

	ended = 0;
	lru_init(&l, MOST, gone);
	for (int i = 0; i < 20000; i++) {
		r = r * 1664525u + 1013904223u;
		step(&l, &m, r >> 4, i, by_text);
		check(&l, &m);
		most = MAX(most, m.n);
	}
	ok(most > 10, "the table is full at times, %zu", most);
	ended = 0;
	lru_done(&l);
	assert_int_equal(ended, m.n);
}

static void by_text_as_a_model(void **state)
{
	(void)state;
	as_a_model(true);
}

static void by_number_as_a_model(void **state)
{
	(void)state;
	as_a_model(false);
}

static void frees_plain_entries(void **state)
{
	struct lru l;

	(void)state;
	lru_init(&l, 2, NULL);
	for (int i = 0; i < 5; i++)
		put(&l, i, i, 1, false);
	assert_int_equal(l.cost, 2);
	lru_done(&l); /* the sanitizer says what was left */
}

TEST_MAIN(cmocka_unit_test(by_text_as_a_model), cmocka_unit_test(by_number_as_a_model),
	  cmocka_unit_test(frees_plain_entries))
