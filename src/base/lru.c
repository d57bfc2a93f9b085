#include "base/lru.h"

#include <assert.h>

void lru_init(struct lru *l, size_t max, void (*gone)(struct lru *l, void *entry))
{
	*l = (struct lru){ .max = max, .gone = gone };
	map_init(&l->map, NULL);
	list_init(&l->order);
}

void lru_done(struct lru *l)
{
	while (!list_is_empty(&l->order))
		lru_drop(l, LIST_ITEM(l->order.prev, struct lru_node, order));
	map_done(&l->map);
}

void lru_use(struct lru *l, void *entry)
{
	struct lru_node *n = entry;

	list_del(&n->order);
	list_add_head(&l->order, &n->order);
}

static void *found(struct lru *l, void *entry)
{
	if (entry)
		lru_use(l, entry);
	return entry;
}

void *lru_get(struct lru *l, str key) { return found(l, map_get(&l->map, key)); }
void *lru_get_i(struct lru *l, int64_t number) { return found(l, map_get_i(&l->map, number)); }

void lru_drop(struct lru *l, void *entry)
{
	struct lru_node *n = entry;

	if (!n)
		return;
	(void)(str_is_none(n->key) ? map_del_i(&l->map, n->number) : map_del(&l->map, n->key));
	list_del(&n->order);
	l->cost -= n->cost;
	if (l->gone)
		l->gone(l, n);
	else
		mem_free(n);
}

void lru_set_cost(struct lru *l, void *entry, size_t cost)
{
	struct lru_node *n = entry;

	assert(l->order.next == &n->order);
	l->cost += cost - n->cost;
	n->cost = cost;
	while (l->cost > l->max && l->order.prev != &n->order)
		lru_drop(l, LIST_ITEM(l->order.prev, struct lru_node, order));
}

static void add(struct lru *l, struct lru_node *n, size_t cost)
{
	n->cost = 0;
	list_add_head(&l->order, &n->order);
	lru_set_cost(l, n, cost);
}

void lru_put(struct lru *l, str key, void *entry, size_t cost)
{
	struct lru_node *n = entry;

	assert(!str_is_none(key));
	lru_drop(l, map_get(&l->map, key));
	n->key = key;
	(void)map_put(&l->map, key, n);
	add(l, n, cost);
}

void lru_put_i(struct lru *l, int64_t number, void *entry, size_t cost)
{
	struct lru_node *n = entry;

	lru_drop(l, map_get_i(&l->map, number));
	n->key = STR_NONE;
	n->number = number;
	(void)map_put_i(&l->map, number, n);
	add(l, n, cost);
}
