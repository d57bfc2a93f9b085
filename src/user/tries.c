/* tries.c - how often something was tried, by name. */
#include "user/tries.h"

#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"

struct bucket {
	struct list lru;
	double left;
	int64_t at_ms;
	str name;
};

struct tries {
	struct lock lock;
	struct map by_name;
	struct list lru; /* most recently tried first */
	size_t n;
	double per_second, burst;
};

struct tries *tries_new(double per_second, double burst)
{
	struct tries *t = MEM_NEW(struct tries);

	lock_init(&t->lock, RANK_SERVICE);
	map_init(&t->by_name, NULL);
	list_init(&t->lru);
	t->per_second = per_second;
	t->burst = burst;
	return t;
}

static void bucket_drop(struct tries *t, struct bucket *b)
{
	map_del(&t->by_name, b->name);
	list_del(&b->lru);
	mem_free((void *)b->name.p);
	mem_free(b);
	t->n--;
}

void tries_free(struct tries **t)
{
	if (!*t)
		return;
	while (!list_is_empty(&(*t)->lru))
		bucket_drop(*t, LIST_ITEM((*t)->lru.next, struct bucket, lru));
	map_done(&(*t)->by_name);
	lock_done(&(*t)->lock);
	mem_free(*t);
	*t = NULL;
}

static double left_at(const struct tries *t, const struct bucket *b, int64_t now_ms)
{
	const double left = b->left + (double)(now_ms - b->at_ms) / 1000.0 * t->per_second;

	return MIN(left, t->burst);
}

err *tries_check(struct tries *t, struct arena *a, str name, int64_t now_ms)
{
	const struct bucket *b;
	int64_t wait_ms;
	err *e;

	if (t->burst <= 0)
		return NULL;
	{
		LOCKED(&t->lock);
		b = map_get(&t->by_name, name);
		if (!b || left_at(t, b, now_ms) >= 1)
			return NULL;
		wait_ms = t->per_second > 0
				  ? (int64_t)(MIN((1 - left_at(t, b, now_ms)) / t->per_second, 3600.0) * 1000.0) + 1
				  : 3600 * INT64_C(1000);
	}
	e = err_new(a, ERR_LIMIT_EXCEEDED, "Too many passwords were tried for this account");
	e->extra = arena_printf(a, "\"retry_after_ms\":%" PRId64, wait_ms);
	return e;
}

static struct bucket *bucket_new(struct tries *t, str name, int64_t now_ms)
{
	struct bucket *b;

	if (t->n == TRIES_MAX)
		bucket_drop(t, LIST_ITEM(t->lru.prev, struct bucket, lru));
	b = MEM_NEW(struct bucket);
	*b = (struct bucket){ .left = t->burst, .at_ms = now_ms, .name = str_keep(name) };
	list_init(&b->lru);
	map_put(&t->by_name, b->name, b);
	t->n++;
	return b;
}

void tries_take(struct tries *t, str name, int64_t now_ms)
{
	struct bucket *b;

	if (t->burst <= 0)
		return;
	LOCKED(&t->lock);
	b = map_get(&t->by_name, name);
	if (!b)
		b = bucket_new(t, name, now_ms);
	b->left = MAX(left_at(t, b, now_ms) - 1, 0);
	b->at_ms = now_ms;
	list_del(&b->lru);
	list_add_head(&t->lru, &b->lru);
}
