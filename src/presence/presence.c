/*
 * presence.c - the service: made, its thread, taken down.
 *
 * The thread sleeps until the first timer, until somebody's turn to be told, or until something is to be saved.
 *
 * What was on disk is back in memory at the start, each user as a device without a name whose /sync has just ended:
 * those who come back within its time never were away, the others go offline then. Those who went offline lately are
 * read, too: a client may have seen them online, and its token says nothing to a new process.
 */
#include "presence/internal_presence.h"

#include "base/clock.h"

enum { LATELY_MS = 24 * 3600 * 1000, REMEMBERED_MOST = 20000 };

static const str state_texts[] = {
	[PRESENCE_OFFLINE] = STR("offline"),
	[PRESENCE_UNAVAILABLE] = STR("unavailable"),
	[PRESENCE_ONLINE] = STR("online"),
};

str presence_state_text(enum presence_state state) { return state_texts[state]; }

bool presence_state_read(str text, enum presence_state *out)
{
	for (size_t i = 0; i < ARRAY_LEN(state_texts); i++)
		if (str_eq(text, state_texts[i])) {
			*out = (enum presence_state)i;
			return true;
		}
	return false;
}

struct due {
	struct presence *p;
	struct arena *a;
	int64_t now;
	VEC(int64_t) users;
};

static void on_timer(void *ctx, struct wheel_timer *t)
{
	struct due *due = ctx;
	struct presence *p = due->p;
	struct who *w = LIST_ITEM(t, struct who, timer);
	const bool settled = w->moved_at != NEVER && w->moved_at + MOVE_MS <= due->now;

	p->counts.fired++;
	who_expire(p, w, due->now);
	who_note(p, w, due->now);

	if (who_ready(w) > due->now && !settled)
		return;
	if (due->users.n < TELL_MOST) {
		wheel_stop(&p->wheel, t);
		if (settled) {
			w->moved_at = NEVER;
			w->n_left = 0;
		}
		vec_push(due->a, &due->users, w->user);
	}
}

/* Gives whether some still wait for their turn. */
static bool give_turns(struct presence *p, int64_t now)
{
	size_t budget, cost, rest;

	{
		LOCKED(&p->lock);
		p->allowance = MIN(p->allowance + (now - p->allowed_at) * TURNS_PER_S, TURNS_AT_ONCE * 1000);
		p->allowed_at = now;
		budget = (size_t)MAX(p->allowance / 1000, 0);
		p->turns_wait = false;
	}
	cost = bus_nudge_out(p->opt.bus, budget, &rest);
	LOCKED(&p->lock);
	p->allowance -= (int64_t)cost * 1000;
	p->counts.turns += cost;
	return rest > 0;
}

int64_t presence_tick(struct presence *p)
{
	AUTO_ARENA a = arena_new();
	struct due due = { .p = p, .a = a, .now = p->opt.mono_ms() };
	int64_t next;
	bool rest;

	{
		LOCKED(&p->lock);
		wheel_turn(&p->wheel, due.now, on_timer, &due);
	}
	if (due.users.n)
		tell_users(p, a, due.users.p, due.users.n);
	rest = give_turns(p, due.now);
	save_some(p, a, false);
	LOCKED(&p->lock);
	next = MIN(wheel_next(&p->wheel), p->save_at);
	return rest || p->turns_wait ? MIN(next, due.now + TICK_MS) : next;
}

static void run(void *arg)
{
	struct presence *p = arg;
	bool stop = false;

	while (!stop) {
		const int64_t next = presence_tick(p);

		LOCKED(&p->lock);
		p->wakes_at = next;
		/* What came since the tick was not compared with this. */
		if (!p->stopping && !p->turns_wait && MIN(wheel_next(&p->wheel), p->save_at) >= next) {
			if (next == INT64_MAX)
				cond_wait(&p->earlier, &p->lock);
			else
				(void)cond_wait_until(&p->earlier, &p->lock, next * 1000);
		}
		p->wakes_at = 0;
		stop = p->stopping;
	}
}

/* "To be told though nothing changed": a token of another process knows none of it. */
static void remember(struct presence *p, const struct presence_row *row, int64_t now)
{
	struct who *w = who_add(p, row, now);
	struct device *d;

	w->forced = true;
	if (row->state == PRESENCE_ONLINE || row->state == PRESENCE_UNAVAILABLE) {
		d = who_add_device(p, w, S(""));
		d->asked = (enum presence_state)row->state;
		d->active = w->last_active;
		d->synced = now;
	}
	who_note(p, w, now);
}

static err *load(struct presence *p, struct arena *a)
{
	struct presence_row *rows;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_read(p->opt.store, a, &tx));
	TRY(store_presence_recent(tx, PRESENCE_OFFLINE, p->opt.wall_ms() - LATELY_MS, REMEMBERED_MOST, &rows, &n));
	LOCKED(&p->lock);
	for (size_t i = 0; i < n; i++)
		remember(p, &rows[i], p->opt.mono_ms());
	return NULL;
}

err *presence_new(struct arena *a, const struct presence_options *opt, struct presence **out)
{
	struct presence *p = MEM_NEW(struct presence);
	err *e = NULL;

	p->opt = *opt;
	p->opt.tracked = opt->enabled && opt->tracked;
	if (!opt->mono_ms)
		p->opt.mono_ms = clock_mono_ms;
	if (!opt->wall_ms)
		p->opt.wall_ms = clock_ms;
	lock_init(&p->lock, RANK_SERVICE);
	cond_init(&p->earlier);
	map_init(&p->users, NULL);
	map_init(&p->logs, NULL);
	list_init(&p->unsaved);
	p->save_at = INT64_MAX;
	p->allowed_at = p->opt.mono_ms();
	p->allowance = TURNS_AT_ONCE * 1000;
	wheel_init(&p->wheel, TICK_MS, p->allowed_at);
	if (p->opt.tracked)
		e = load(p, a);
	if (e) {
		presence_free(&p);
		return e;
	}
	if (p->opt.tracked && !opt->mono_ms)
		p->thread = thread_start("presence", run, p);
	*out = p;
	return NULL;
}

void presence_stop(struct presence *p)
{
	AUTO_ARENA a = arena_new();
	void *w;
	int64_t user;

	if (!p)
		return;
	lock_take(&p->lock);
	p->stopping = true;
	cond_signal(&p->earlier);
	lock_drop(&p->lock);
	if (p->thread)
		thread_join(&p->thread);
	lock_take(&p->lock);
	for (size_t i = 0; map_next_i(&p->users, &i, &user, &w);)
		if (((struct who *)w)->n_devices)
			save_note(p, w, p->opt.mono_ms());
	lock_drop(&p->lock);
	save_some(p, a, true);
}

void presence_free(struct presence **pp)
{
	struct presence *p = *pp;
	void *w;
	int64_t user;

	if (!p)
		return;
	for (size_t i = 0; map_next_i(&p->users, &i, &user, &w);)
		who_free(p, w);
	map_done(&p->users);
	log_free_all(p);
	cond_done(&p->earlier);
	lock_done(&p->lock);
	mem_free(p);
	*pp = NULL;
}

bool presence_enabled(const struct presence *p) { return p && p->opt.enabled; }
bool presence_includes_offline(const struct presence *p) { return p && p->opt.include_offline; }

struct presence_counts presence_count(struct presence *p)
{
	LOCKED(&p->lock);
	p->counts.users = p->users.n;
	return p->counts;
}
