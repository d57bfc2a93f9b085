/* devices.c - what users do. */
#include "presence/internal_presence.h"

#include "store/membership.h"

/*
 * An act begins with the user, in memory and locked, and ends with their change told, if there is one.
 */
struct act {
	struct presence *p;
	struct arena *a;
	int64_t user, now;
	struct who *w; /* NULL: not known, or gone */
};

static struct act act_begin(struct presence *p, struct arena *a, int64_t user)
{
	struct act act = { .p = p, .a = a, .user = user, .now = p->opt.mono_ms() };

	lock_take(&p->lock);
	act.w = who_get(p, a, user);
	if (act.w && act.w->gone)
		act.w = NULL;
	return act;
}

static void act_end(const struct act *act)
{
	bool ready = false;

	if (act->w) {
		who_note(act->p, act->w, act->now);
		ready = who_ready(act->w) <= act->now;
	}
	lock_drop(&act->p->lock);
	if (ready)
		tell_users(act->p, act->a, &act->user, 1);
}

bool presence_sync_begin(struct presence *p, struct arena *a, int64_t user, str device_id, enum presence_state state,
			 bool may_change)
{
	struct device *d;
	struct act act;

	if (!p->opt.tracked || state == PRESENCE_OFFLINE)
		return false;
	act = act_begin(p, a, user);
	d = act.w ? who_add_device(p, act.w, device_id) : NULL;
	if (d && (may_change || (d->synced == NEVER && d->active == NEVER))) {
		/* "Changing presence state to online" is an action; to stay online is none. */
		if (state == PRESENCE_ONLINE && d->asked != PRESENCE_ONLINE)
			d->active = act.w->last_active = act.now;
		d->asked = state;
	}
	if (d) {
		d->synced = act.now;
		d->syncing++;
	}
	act_end(&act);
	return d != NULL;
}

void presence_sync_end(struct presence *p, int64_t user, str device_id)
{
	const int64_t now = p->opt.mono_ms();
	struct device *d;
	struct who *w;

	LOCKED(&p->lock);
	w = who_find(p, user);
	d = w ? who_device(w, device_id) : NULL;
	if (!d || !d->syncing)
		return;
	d->synced = now;
	d->syncing--;
	who_note(p, w, now);
}

bool presence_sync_changes(struct presence *p, int64_t user, str device_id, enum presence_state state)
{
	const struct device *d;
	const struct who *w;

	LOCKED(&p->lock);
	w = who_find(p, user);
	d = w ? who_device(w, device_id) : NULL;
	return d && d->asked != state;
}

static void set_status(struct who *w, str status_msg)
{
	if (str_eq(w->status_msg, status_msg) && str_is_none(w->status_msg) == str_is_none(status_msg))
		return;
	mem_free((void *)w->status_msg.p);
	w->status_msg = str_keep(status_msg);
	w->status++;
}

void presence_set(struct presence *p, struct arena *a, int64_t user, str device_id, enum presence_state state,
		  str status_msg)
{
	struct device *d;
	struct act act;

	if (!p->opt.tracked)
		return;
	act = act_begin(p, a, user);
	d = act.w ? who_add_device(p, act.w, device_id) : NULL;
	if (d) {
		/* "When setting the status, the activity time is updated to reflect that activity". */
		d->asked = state;
		d->active = act.w->last_active = act.now;
		set_status(act.w, status_msg);
	}
	act_end(&act);
}

/* The users' numbers, of those who are joined to a room that is known here; else 0. */
static err *find_somewhere(struct presence *p, struct arena *a, const struct presence_elsewhere *list, size_t n,
			   int64_t *users)
{
	int64_t *asked = ARENA_ARRAY(a, int64_t, n), *joined;
	struct map somewhere;
	size_t n_asked = 0, n_joined;
	AUTO_TX tx = NULL;

	for (size_t i = 0; i < n; i++) {
		TRY(store_intern_find(p->opt.store, a, list[i].user_id, &users[i]));
		if (users[i])
			asked[n_asked++] = users[i];
	}
	if (n_asked == 0)
		return NULL;
	TRY(store_read(p->opt.store, a, &tx));
	TRY(store_joined_anywhere(tx, asked, n_asked, &joined, &n_joined));
	map_init(&somewhere, a);
	for (size_t i = 0; i < n_joined; i++)
		(void)map_put_i(&somewhere, joined[i], &somewhere);
	for (size_t i = 0; i < n; i++)
		users[i] = map_get_i(&somewhere, users[i]) ? users[i] : 0;
	return NULL;
}

/* Gives whether it is to be told at once. Of another server's user nothing is in the store. */
static bool take_told(struct presence *p, int64_t user, const struct presence_elsewhere *e)
{
	const int64_t now = p->opt.mono_ms();
	struct who *w = who_find(p, user);
	struct device *d;

	if (!w)
		w = who_add(p, &(struct presence_row){ .user = user, .status_msg = STR_NONE }, now);
	if (w->gone)
		return false;
	d = who_add_device(p, w, S("elsewhere"));
	if (d) {
		w->elsewhere = true;
		w->elsewhere_active = e->currently_active;
		d->asked = e->state;
		d->synced = now;
		if (e->last_active_ago >= 0)
			d->active = w->last_active = MAX(now - e->last_active_ago, NEVER + 1);
		set_status(w, e->status_msg);
	}
	who_note(p, w, now);
	return who_ready(w) <= now;
}

err *presence_told(struct presence *p, struct arena *a, const struct presence_elsewhere *list, size_t n)
{
	int64_t *users = ARENA_ARRAY(a, int64_t, n), *ready = ARENA_ARRAY(a, int64_t, n);
	size_t n_ready = 0;

	if (!p->opt.enabled || n == 0)
		return NULL;
	TRY(find_somewhere(p, a, list, n, users));
	lock_take(&p->lock);
	for (size_t i = 0; i < n && !p->stopping; i++)
		if (users[i] && take_told(p, users[i], &list[i]))
			ready[n_ready++] = users[i];
	lock_drop(&p->lock);
	if (n_ready)
		tell_users(p, a, ready, n_ready);
	return NULL;
}

void presence_acted(struct presence *p, struct arena *a, int64_t user, str device_id)
{
	struct device *d;
	struct act act;

	if (!p->opt.tracked)
		return;
	act = act_begin(p, a, user);
	d = act.w ? who_device(act.w, device_id) : NULL;
	if (act.w)
		act.w->last_active = act.now;
	/* "Any activity that bumps the last active time on any of the user's clients will cause the server to
	 * automatically set their presence to online." Not of one that asked to be seen as offline. */
	if (d) {
		d->active = act.now;
		d->asked = d->asked == PRESENCE_UNAVAILABLE ? PRESENCE_ONLINE : d->asked;
	}
	act_end(&act);
}

/* The bus will know of it a moment later. A change that is told until then would leave this room out, so the logs are
 * seen to once more when it is over. */
void presence_joined(struct presence *p, int64_t user, int64_t room)
{
	struct who *w;

	LOCKED(&p->lock);
	w = who_find(p, user);
	if (!w)
		return;
	if (w->serial)
		log_insert(p, room, w->serial, user);
	who_moved(p, w, room, false);
}

void presence_left(struct presence *p, int64_t user, int64_t room)
{
	struct who *w;

	LOCKED(&p->lock);
	w = who_find(p, user);
	/* Of an account that is closed, its leaving last of all, others still hear that it is offline. */
	if (!w || w->gone)
		return;
	log_remove(p, room, user);
	who_moved(p, w, room, true);
}

void presence_forget(struct presence *p, struct arena *a, int64_t user)
{
	struct who *w;

	if (!p->opt.tracked)
		return;
	lock_take(&p->lock);
	w = who_find(p, user);
	if (w) {
		w->gone = true;
		who_clear(p, w);
		w->status++;
		w->last_active = w->told_at = NEVER;
		list_del(&w->unsaved);
		who_note(p, w, p->opt.mono_ms());
	}
	lock_drop(&p->lock);
	/* From here on nothing writes the row. */
	save_forget(p, a, user);
	/* At once: soon the account is in no room. */
	if (w)
		tell_users(p, a, &user, 1);
}
