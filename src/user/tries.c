/* tries.c - how often something was tried, by name. */
#include "user/tries.h"

#include "base/lru.h"
#include "base/thread.h"

struct bucket {
	struct lru_node node;
	double left;
	int64_t at_ms;
	char name[];
};

struct tries {
	struct lock lock;
	struct lru by_name;
	double per_second, burst;
};

struct tries *tries_new(double per_second, double burst)
{
	struct tries *t = MEM_NEW(struct tries);

	lock_init(&t->lock, RANK_SERVICE);
	lru_init(&t->by_name, TRIES_MAX, NULL);
	t->per_second = per_second;
	t->burst = burst;
	return t;
}

void tries_free(struct tries **t)
{
	if (!*t)
		return;
	lru_done(&(*t)->by_name);
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
		b = map_get(&t->by_name.map, name); /* which is no try */
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
	struct bucket *b = mem_zalloc(sizeof(*b) + name.n);

	b->left = t->burst;
	b->at_ms = now_ms;
	if (name.n)
		memcpy(b->name, name.p, name.n);
	lru_put(&t->by_name, (str){ b->name, name.n }, b, 1);
	return b;
}

void tries_take(struct tries *t, str name, int64_t now_ms)
{
	struct bucket *b;

	if (t->burst <= 0)
		return;
	LOCKED(&t->lock);
	b = lru_get(&t->by_name, name);
	if (!b)
		b = bucket_new(t, name, now_ms);
	b->left = MAX(left_at(t, b, now_ms) - 1, 0);
	b->at_ms = now_ms;
}
