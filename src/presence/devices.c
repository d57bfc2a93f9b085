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

/* The user's number, if they are joined to a room that is known here; else 0. */
static err *find_somewhere(struct presence *p, struct arena *a, str user_id, int64_t *out)
{
	int64_t *rooms;
	size_t n = 0;
	AUTO_TX tx = NULL;

	TRY(store_intern_find(p->opt.store, a, user_id, out));
	if (!*out)
		return NULL;
	TRY(store_read(p->opt.store, a, &tx));
	TRY(store_joined_rooms(tx, *out, &rooms, &n));
	*out = n > 0 ? *out : 0;
	return NULL;
}

err *presence_told(struct presence *p, struct arena *a, const struct presence_elsewhere *e)
{
	struct device *d;
	struct act act;
	int64_t user;

	if (!p->opt.enabled)
		return NULL;
	TRY(find_somewhere(p, a, e->user_id, &user));
	if (!user)
		return NULL;
	act = act_begin(p, a, user);
	d = act.w ? who_add_device(p, act.w, S("elsewhere")) : NULL;
	if (d) {
		act.w->elsewhere = true;
		act.w->elsewhere_active = e->currently_active;
		d->asked = e->state;
		d->synced = act.now;
		if (e->last_active_ago >= 0)
			d->active = act.w->last_active = MAX(act.now - e->last_active_ago, NEVER + 1);
		set_status(act.w, e->status_msg);
	}
	act_end(&act);
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
