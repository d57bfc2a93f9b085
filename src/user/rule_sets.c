/*
 * rule_sets.c - compiled push rules by user.
 *
 * A message is evaluated with the rules of every member who has some, under the room's lock: parsing them each time
 * costs five times what evaluating them does. A set is made from the stored text once, in an arena of its own, and
 * counted by its holders, of whom the table is one; so a change takes it from the table and not from those who are
 * reading it. `epoch` counts changes, as in user_cache.c.
 */
#include "user/internal_rule_sets.h"

#include <assert.h>

#include "base/clock.h"
#include "base/lru.h"
#include "base/thread.h"

struct rule_set {
	struct lru_node node;
	struct rule_sets *owner;
	int64_t made_ms;
	unsigned refs; /* owner->lock */
	size_t bytes;
	struct arena *arena; /* holds this */
	str stored;
	const struct push_rules *rules;
};
struct rule_sets {
	struct lock lock;
	struct lru by_user;
	uint64_t epoch;
};

static void unref(struct rule_set *set)
{
	struct arena *a = set->arena;

	if (--set->refs == 0)
		arena_free(&a);
}

static void set_gone(struct lru *by_user, void *set)
{
	(void)by_user;
	unref(set);
}

struct rule_sets *rule_sets_new(size_t max_bytes)
{
	struct rule_sets *s = MEM_NEW(struct rule_sets);

	lock_init(&s->lock, RANK_LEAF);
	lru_init(&s->by_user, max_bytes, set_gone);
	return s;
}

void rule_sets_free(struct rule_sets **sp)
{
	struct rule_sets *s = *sp;

	if (!s)
		return;
	LIST_EACH (&s->by_user.order, it)
		assert(LIST_ITEM(it, struct rule_set, node.order)->refs == 1);
	lru_done(&s->by_user);
	lock_done(&s->lock);
	mem_free(s);
	*sp = NULL;
}

struct rule_set *rule_sets_hold(struct rule_sets *s, int64_t user, int64_t max_age_ms, uint64_t *out_epoch)
{
	struct rule_set *set;

	LOCKED(&s->lock);
	*out_epoch = s->epoch;
	set = lru_get_i(&s->by_user, user);
	if (!set || (max_age_ms && clock_mono_ms() - set->made_ms >= max_age_ms))
		return NULL;
	set->refs++;
	return set;
}

static struct rule_set *compile(struct rule_sets *s, str stored)
{
	struct arena *a = arena_new();
	struct rule_set *set = ARENA_NEW(a, struct rule_set);

	set->owner = s;
	set->made_ms = clock_mono_ms();
	set->refs = 1;
	set->arena = a;
	set->stored = arena_keep(a, stored);
	set->rules = push_rules_load(a, set->stored);
	set->bytes = MAX(arena_used(a), (size_t)8192); /* an arena's least */
	return set;
}

struct rule_set *rule_sets_make(struct rule_sets *s, int64_t user, str stored, uint64_t epoch)
{
	struct rule_set *set = compile(s, stored);

	LOCKED(&s->lock);
	if (epoch != s->epoch)
		return set;
	set->refs++;
	lru_put_i(&s->by_user, user, set, set->bytes);
	return set;
}

void rule_sets_release(struct rule_set **setp)
{
	struct rule_set *set = *setp;

	if (!set)
		return;
	*setp = NULL;
	LOCKED(&set->owner->lock);
	unref(set);
}

void rule_sets_drop(struct rule_sets *s, int64_t user)
{
	LOCKED(&s->lock);
	s->epoch++;
	lru_drop(&s->by_user, lru_get_i(&s->by_user, user));
}

str rule_set_stored(const struct rule_set *set) { return set->stored; }
const struct push_rules *rule_set_rules(const struct rule_set *set) { return set->rules; }
