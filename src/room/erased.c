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

bool rooms_any_erased(struct rooms *rs, const struct event_row *const *rows, size_t n)
{
	if (atomic_load(&rs->erased.n) == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (rooms_is_erased(rs, rows[i]->sender))
			return true;
	return false;
}

/* Not theirs to see any more: erased, and the reader was not in the room. */
static err *is_gone(struct room_view *v, const struct event_row *row, bool *out)
{
	str membership;

	TRY(rooms_event_is_erased(room_view_rooms(v), room_view_arena(v), row, out));
	if (!*out)
		return NULL;
	TRY(room_view_membership_at(v, row, &membership));
	*out = !str_eq(membership, S("join"));
	return NULL;
}

err *room_view_erase(struct room_view *v, const struct event_row *const *rows, size_t n, struct client_extra *extras)
{
	struct arena *a = room_view_arena(v);

	if (atomic_load(&room_view_rooms(v)->erased.n) == 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		struct event *ev;
		bool gone;

		TRY(is_gone(v, rows[i], &gone));
		if (gone) {
			TRY(event_load(a, room_view_version(v), rows[i]->event_id, rows[i]->json, &ev));
			TRY(event_redact(a, room_view_version(v), ev, &extras[i].instead));
		}
		if (!extras[i].replaced)
			continue;
		TRY(is_gone(v, extras[i].replaced, &gone));
		if (gone) /* prev_content is not theirs either */
			extras[i].replaced = NULL;
	}
	return NULL;
}
