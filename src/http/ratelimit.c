/*
 * ratelimit.c - allowances: a leaky bucket for each class and key.
 *
 * `burst` actions at once, then `per_second`: a bucket fills by one with each action, drains steadily, and refuses
 * what would overfill it. The table is bounded: a bucket has eight places that its key may take, of which a newcomer
 * takes the emptiest bucket's: what is forgotten first is what hardly limits anybody. A bucket is known by the keyed
 * hash of class and key alone; that two users share one by chance of 2^-64 harms nobody.
 */
#include "http/internal_http.h"

#include <assert.h>

struct rate_slot {
	uint64_t who;  /* 0: free */
	int64_t at_us; /* when `level` was right */
	double level;  /* actions in the bucket */
	double per_second;
};

void rates_init(struct rates *t, const struct rate_limit limits[RATE_CLASSES])
{
	*t = (struct rates){ 0 };
	lock_init(&t->lock, RANK_HTTP);
	memcpy(t->limits, limits, sizeof(t->limits));
	t->slots = mem_zalloc(HTTP_RATE_SLOTS * sizeof(*t->slots));
}

void rates_done(struct rates *t)
{
	mem_free(t->slots);
	lock_done(&t->lock);
}

static double level_now(const struct rate_slot *s, int64_t now)
{
	return s->who ? MAX(s->level - (double)(now - s->at_us) * s->per_second / 1e6, 0.0) : 0.0;
}

static struct rate_slot *slot_of(struct rates *t, uint64_t who, int64_t now)
{
	struct rate_slot *set = t->slots + (who & (HTTP_RATE_SLOTS - 1) & ~(uint64_t)(HTTP_RATE_WAYS - 1));
	struct rate_slot *emptiest = set;

	for (size_t i = 0; i < HTTP_RATE_WAYS; i++) {
		if (set[i].who == who)
			return &set[i];
		if (level_now(&set[i], now) < level_now(emptiest, now))
			emptiest = &set[i];
	}
	*emptiest = (struct rate_slot){ .who = who, .at_us = now };
	return emptiest;
}

static uint64_t who_is(enum rate_class class, str key)
{
	const uint64_t who = hash_str(key) ^ hash_i64((int64_t) class);

	return who ? who : 1;
}

int64_t rates_take(struct rates *t, enum rate_class class, str key, int64_t now)
{
	struct rate_limit limit;
	struct rate_slot *s;

	assert(class < RATE_CLASSES);
	LOCKED(&t->lock);
	limit = t->limits[class];
	if (class == RATE_NONE || limit.burst <= 0)
		return 0;
	if (limit.per_second <= 0)
		return 60000;
	s = slot_of(t, who_is(class, key), now);
	s->level = level_now(s, now);
	s->at_us = now;
	s->per_second = limit.per_second;
	if (s->level + 1.0 > limit.burst + 1e-9)
		return (int64_t)(MIN((s->level + 1.0 - limit.burst) / limit.per_second, 3600.0) * 1000.0) + 1;
	s->level += 1.0;
	return 0;
}

void rates_give_back(struct rates *t, enum rate_class class, str key)
{
	const uint64_t who = who_is(class, key);
	struct rate_slot *set = t->slots + (who & (HTTP_RATE_SLOTS - 1) & ~(uint64_t)(HTTP_RATE_WAYS - 1));

	LOCKED(&t->lock);
	for (size_t i = 0; i < HTTP_RATE_WAYS; i++)
		if (set[i].who == who)
			set[i].level = MAX(set[i].level - 1.0, 0.0);
}
