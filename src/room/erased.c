/*
 * erased.c - see erased.h.
 *
 * The users are few, and are asked about for every event that is shown: so all of them are in memory, read at the start
 * and with each account that closes.
 */
#include "room/erased.h"

#include "room/internal_room.h"
#include "store/users.h"

static void note(struct rooms *rs, int64_t user, bool erased)
{
	LOCKED(&rs->erased.lock);
	if (erased)
		(void)map_put_i(&rs->erased.users, user, rs);
	else
		(void)map_del_i(&rs->erased.users, user);
	atomic_store(&rs->erased.n, rs->erased.users.n);
}

err *erased_load(struct rooms *rs, struct arena *a)
{
	AUTO_TX tx = NULL;
	int64_t *users;
	size_t n;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(store_accounts_erased(tx, &users, &n));
	for (size_t i = 0; i < n; i++)
		note(rs, users[i], true);
	return NULL;
}

err *rooms_erased_learn(struct rooms *rs, struct arena *a, int64_t user)
{
	AUTO_TX tx = NULL;
	bool erased;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(store_account_is_erased(tx, user, &erased));
	note(rs, user, erased);
	return NULL;
}

bool rooms_is_erased(struct rooms *rs, int64_t user)
{
	if (atomic_load(&rs->erased.n) == 0)
		return false;
	LOCKED(&rs->erased.lock);
	return map_get_i(&rs->erased.users, user) != NULL;
}

err *rooms_event_is_erased(struct rooms *rs, struct arena *a, const struct event_row *row, bool *out)
{
	str sender, key;

	*out = rooms_is_erased(rs, row->sender);
	if (!*out || !(row->flags & EVENT_STATE))
		return NULL;
	TRY(store_intern_text(rs->opt.store, a, row->sender, &sender));
	TRY(store_intern_text(rs->opt.store, a, row->state_key, &key));
	*out = str_contains(key, sender);
	return NULL;
}
