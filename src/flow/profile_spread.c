#include "flow/profile_spread.h"

#include "base/thread.h"
#include "room/room.h"
#include "user/profile.h"

struct profile_spread {
	struct users *users;
	struct rooms *rooms;
	const struct log *log;
	struct lock lock;
	struct cond changed;
	bool kicked, stopping;
	struct thread *thread;
};

static bool stopping(struct profile_spread *ps)
{
	LOCKED(&ps->lock);
	return ps->stopping;
}

/* One user's rooms, from where the note says. A room that refuses (banned meanwhile, left) is passed over: it shows the profile
 * again when the user comes back. */
static err *spread_user(struct profile_spread *ps, const struct user_spread *at)
{
	AUTO_ARENA a = arena_new();
	str user_id, *ids;
	int64_t *rooms;
	size_t n;

	TRY(user_spread_rooms(ps->users, a, at, &user_id, &rooms, &ids, &n));
	for (size_t i = 0; i < n; i++) {
		AUTO_ARENA room_arena = arena_new();
		const struct actor by = { .user = at->user, .user_id = user_id };
		const err *e;

		if (stopping(ps))
			return NULL;
		e = room_refresh_profile(ps->rooms, room_arena, &by, ids[i]);
		if (e)
			log_info(ps->log, "a room did not take a profile change", F("user_id", user_id),
				 F("room_id", ids[i]), F("error", e->msg));
		if (i + 1 < n)
			TRY(user_spread_reached(ps->users, room_arena,
						&(struct user_spread){ at->user, rooms[i], at->turn }));
	}
	return user_spread_reached(ps->users, a, &(struct user_spread){ at->user, 0, at->turn });
}

static err *spread_all(struct profile_spread *ps)
{
	AUTO_ARENA a = arena_new();
	struct user_spread *todo;
	size_t n;

	TRY(user_spreads(ps->users, a, &todo, &n));
	for (size_t i = 0; i < n && !stopping(ps); i++)
		TRY(spread_user(ps, &todo[i]));
	return NULL;
}

static void run(void *arg)
{
	struct profile_spread *ps = arg;

	for (;;) {
		const err *e = spread_all(ps);

		if (e)
			log_warn(ps->log, "spreading profiles failed; tried again with the next change",
				 F("error", e->msg));
		LOCKED(&ps->lock);
		while (!ps->kicked && !ps->stopping)
			cond_wait(&ps->changed, &ps->lock);
		if (ps->stopping)
			return;
		ps->kicked = false;
	}
}

struct profile_spread *profile_spread_new(struct users *us, struct rooms *rs, const struct log *log)
{
	struct profile_spread *ps = MEM_NEW(struct profile_spread);

	*ps = (struct profile_spread){ .users = us, .rooms = rs, .log = log };
	lock_init(&ps->lock, RANK_LEAF);
	cond_init(&ps->changed);
	ps->thread = thread_start("profiles", run, ps);
	return ps;
}

void profile_spread_free(struct profile_spread **ps)
{
	if (!*ps)
		return;
	{
		LOCKED(&(*ps)->lock);
		(*ps)->stopping = true;
		cond_signal(&(*ps)->changed);
	}
	thread_join(&(*ps)->thread);
	cond_done(&(*ps)->changed);
	lock_done(&(*ps)->lock);
	mem_free(*ps);
	*ps = NULL;
}

void profile_spread_kick(struct profile_spread *ps)
{
	LOCKED(&ps->lock);
	ps->kicked = true;
	cond_signal(&ps->changed);
}
