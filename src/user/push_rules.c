/* push_rules.c - a user's push rules: one stored text, changed in one transaction, kept in memory for the next event. */
#include "bus/bus.h"
#include "store/account_data.h"
#include "user/account_data.h"
#include "user/internal_user_cache.h"
#include "user/internal_users.h"

#define PUSH_RULES_NUMBER (-1) /* of the user's cache entries; filters have the numbers from 0 on */

static err *stored_rules(struct users *us, struct arena *a, int64_t user, str *out)
{
	AUTO_TX tx = NULL;
	uint64_t epoch;
	int64_t stream;

	if (user_cache_get(us->texts, a, user, PUSH_RULES_NUMBER, out, &epoch))
		return NULL;
	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_push_rules(tx, user, out, &stream));
	user_cache_fill(us->texts, user, PUSH_RULES_NUMBER, *out, epoch);
	return NULL;
}

err *user_push_rules(struct users *us, struct arena *a, int64_t user, const struct push_rules **out)
{
	str stored;

	TRY(stored_rules(us, a, user, &stored));
	*out = push_rules_load(a, stored);
	return NULL;
}

struct rules_change {
	struct users *us;
	struct arena *arena;
	int64_t user, position;
	push_rules_edit *edit;
	void *arg;
};

static err *change_late(struct tx *tx, void *arg)
{
	struct rules_change *c = arg;
	int64_t stream;
	str stored;

	TRY(store_push_rules(tx, c->user, &stored, &stream));
	TRY(c->edit(c->arena, stored, c->arg, &stored));
	return store_push_rules_set(tx, c->user, stored, &c->position);
}

static void change_after(void *arg, const err *result)
{
	const struct rules_change *c = arg;

	if (result)
		return;
	user_cache_drop(c->us->texts, c->user, PUSH_RULES_NUMBER);
	bus_touch_user(c->us->opt.bus, c->user, BUS_ACCOUNT_DATA, c->position);
}

err *user_push_rules_change(struct users *us, struct arena *a, int64_t user, push_rules_edit *edit, void *arg)
{
	struct rules_change c = { .us = us, .arena = a, .user = user, .edit = edit, .arg = arg };
	struct ticket *ticket;

	TRY(store_write(us->opt.store, a, &(struct piece){ .late = change_late, .after = change_after, .arg = &c },
			&ticket));
	return store_wait(a, ticket);
}
