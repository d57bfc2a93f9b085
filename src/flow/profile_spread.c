#include "flow/profile_spread.h"

#include "base/clock.h"
#include "base/thread.h"
#include "room/room.h"
#include "user/profile.h"

enum { RETRY_US = 30 * 1000000 };

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
static err *spread_user(struct profile_spread *ps, struct arena *a, const struct user_spread *at)
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

		if (stopping(ps))
			return NULL;
		e = tell_room(ps, room_arena, &by, ids[i]);
		if (!e && i + 1 < n)
			e = user_spread_reached(ps->users, room_arena, &told);
		if (e)
			return err_keep(a, e);
	}
	return user_spread_reached(ps->users, a, &(struct user_spread){ at->user, 0, at->turn });
}

static err *spread_all(struct profile_spread *ps, struct arena *a)
{
	struct user_spread *todo;
	size_t n;

	TRY(user_spreads(ps->users, a, &todo, &n));
	for (size_t i = 0; i < n && !stopping(ps); i++)
		TRY(spread_user(ps, a, &todo[i]));
	return NULL;
}

/* Until something changes; after a failure not for longer than RETRY_US. False: stop. */
static bool wait_for_work(struct profile_spread *ps, bool failed)
{
	const int64_t deadline = clock_mono_us() + RETRY_US;
	bool patient = true;

	LOCKED(&ps->lock);
	while (!ps->kicked && !ps->stopping && patient) {
		if (failed)
			patient = cond_wait_until(&ps->changed, &ps->lock, deadline);
		else
			cond_wait(&ps->changed, &ps->lock);
	}
	ps->kicked = false;
	return !ps->stopping;
}

static void run(void *arg)
{
	struct profile_spread *ps = arg;
	bool failed;

	do {
		AUTO_ARENA a = arena_new();
		const err *e = spread_all(ps, a);

		failed = e != NULL;
		if (failed)
			log_warn(ps->log, "spreading profiles failed for now", F("error", e->msg));
	} while (wait_for_work(ps, failed));
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
