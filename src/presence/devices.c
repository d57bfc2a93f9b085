/* devices.c - what users do. */
#include "presence/internal_presence.h"

bool presence_sync_begin(struct presence *p, struct arena *a, int64_t user, str device_id, enum presence_state state,
			 bool may_change)
{
	const int64_t now = p->opt.mono_ms();
	struct device *d;
	struct who *w;

	if (!p->opt.tracked || state == PRESENCE_OFFLINE)
		return false;
	LOCKED(&p->lock);
	w = who_get(p, a, user);
	d = w && !w->gone ? who_add_device(p, w, device_id) : NULL;
	if (!d)
		return false;
	if (may_change || (d->synced == NEVER && d->active == NEVER)) {
		/* "Changing presence state to online" is an action; to stay online is none. */
		if (state == PRESENCE_ONLINE && d->asked != PRESENCE_ONLINE)
			d->active = w->last_active = now;
		d->asked = state;
	}
	d->synced = now;
	d->syncing++;
	who_note(p, w, now);
	return true;
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

void presence_set(struct presence *p, struct arena *a, int64_t user, str device_id, enum presence_state state,
		  str status_msg)
{
	const int64_t now = p->opt.mono_ms();
	struct device *d;
	struct who *w;

	if (!p->opt.tracked)
		return;
	LOCKED(&p->lock);
	w = who_get(p, a, user);
	d = w && !w->gone ? who_add_device(p, w, device_id) : NULL;
	if (!d)
		return;
	/* "When setting the status, the activity time is updated to reflect that activity". */
	d->asked = state;
	d->active = w->last_active = now;
	if (!str_eq(w->status_msg, status_msg) || str_is_none(w->status_msg) != str_is_none(status_msg)) {
		mem_free((void *)w->status_msg.p);
		w->status_msg = str_keep(status_msg);
		w->status++;
	}
	who_note(p, w, now);
}

void presence_acted(struct presence *p, struct arena *a, int64_t user, str device_id)
{
	const int64_t now = p->opt.mono_ms();
	struct device *d;
	struct who *w;

	if (!p->opt.tracked)
		return;
	LOCKED(&p->lock);
	w = who_get(p, a, user);
	if (!w || w->gone)
		return;
	w->last_active = now;
	d = who_device(w, device_id);
	/* "Any activity that bumps the last active time on any of the user's clients will cause the server to
	 * automatically set their presence to online." Not of one that asked to be seen as offline. */
	if (d) {
		d->active = now;
		d->asked = d->asked == PRESENCE_UNAVAILABLE ? PRESENCE_ONLINE : d->asked;
	}
	who_note(p, w, now);
}

void presence_joined(struct presence *p, int64_t user)
{
	struct who *w;

	LOCKED(&p->lock);
	w = who_find(p, user);
	if (!w || w->gone || (w->told.state == PRESENCE_OFFLINE && !w->n_devices))
		return;
	w->forced = true;
	who_note(p, w, p->opt.mono_ms());
}

void presence_left(struct presence *p, int64_t user, int64_t room)
{
	const struct who *w;

	LOCKED(&p->lock);
	w = who_find(p, user);
	/* Of an account that is closed, its leaving last of all, others still hear that it is offline. */
	if (w && !w->gone)
		log_remove(p, room, user);
}

void presence_forget(struct presence *p, struct arena *a, int64_t user)
{
	struct who *w;

	if (!p->opt.tracked)
		return;
	save_forget(p, a, user);
	lock_take(&p->lock);
	w = who_find(p, user);
	if (w) {
		w->gone = true;
		who_clear(p, w);
		w->status++;
		w->last_active = NEVER;
		list_del(&w->unsaved);
		who_note(p, w, p->opt.mono_ms());
	}
	lock_drop(&p->lock);
	/* At once: soon the account is in no room. */
	if (w)
		tell_users(p, a, &user, 1);
}
