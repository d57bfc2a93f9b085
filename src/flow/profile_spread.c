#include "flow/profile_spread.h"

#include "base/chore.h"
#include "room/room.h"
#include "user/profile.h"

struct profile_spread {
	struct users *users;
	struct rooms *rooms;
	const struct log *log;
	struct chore *chore;
};

/* The store's trouble, not the room's word. */
static bool is_passing(const err *e) { return e->code == ERR_STORE || e->code == ERR_BUSY; }

/* A room that refuses (banned meanwhile, left) is passed over: it shows the profile again when the user comes back. */
static err *tell_room(struct profile_spread *ps, struct arena *a, const struct actor *by, str room_id)
{
	err *e = room_refresh_profile(ps->rooms, a, by, room_id);

	if (!e || is_passing(e))
		return e;
	log_info(ps->log, "a room did not take a profile change", F("user_id", by->user_id), F("room_id", room_id),
		 F("error", e->msg));
	return NULL;
}

/* One user's rooms, from where the note says. */
static err *spread_user(struct profile_spread *ps, struct chore *c, struct arena *a, const struct user_spread *at)
{
	struct actor by = { .user = at->user };
	int64_t *rooms;
	str *ids;
	size_t n;

	TRY(user_spread_rooms(ps->users, a, at, &by.user_id, &rooms, &ids, &n));
	for (size_t i = 0; i < n; i++) {
		AUTO_ARENA room_arena = arena_new();
		const struct user_spread told = { at->user, rooms[i], at->turn };
		err *e;

		if (chore_stopping(c))
			return NULL;
		e = tell_room(ps, room_arena, &by, ids[i]);
		if (!e && i + 1 < n)
			e = user_spread_reached(ps->users, room_arena, &told);
		if (e)
			return err_keep(a, e);
	}
	return user_spread_reached(ps->users, a, &(struct user_spread){ at->user, 0, at->turn });
}

static err *spread_all(struct chore *c, void *ctx, struct arena *a)
{
	struct profile_spread *ps = ctx;
	struct user_spread *todo;
	size_t n;

	TRY(user_spreads(ps->users, a, &todo, &n));
	for (size_t i = 0; i < n && !chore_stopping(c); i++)
		TRY(spread_user(ps, c, a, &todo[i]));
	return NULL;
}

struct profile_spread *profile_spread_new(struct users *us, struct rooms *rs, const struct log *log)
{
	struct profile_spread *ps = MEM_NEW(struct profile_spread);

	*ps = (struct profile_spread){ .users = us, .rooms = rs, .log = log };
	ps->chore = chore_new("profiles", spread_all, ps, log, "spreading profiles failed for now");
	return ps;
}

void profile_spread_free(struct profile_spread **ps)
{
	if (!*ps)
		return;
	chore_free(&(*ps)->chore);
	mem_free(*ps);
	*ps = NULL;
}

void profile_spread_kick(struct profile_spread *ps) { chore_kick(ps->chore); }
