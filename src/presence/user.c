/*
 * user.c - one user: their devices, what others are to see of them, and when that changes by itself.
 *
 * A device is shown as what it asked for, as idle once it asked to be online and nothing was done for a while, and not
 * at all once its /sync ended and was not repeated. The user is shown as the most present of their devices.
 *
 * A user has one timer. It is set for the first thing that may happen, and never put off: what was done meanwhile moves
 * the deadline, and the timer finds out when it runs. So an action costs a few stores to memory.
 */
#include "presence/internal_presence.h"

#include "base/clock.h"

struct who *who_find(struct presence *p, int64_t user) { return map_get_i(&p->users, user); }

/* The row's times are of the wall clock. */
struct who *who_add(struct presence *p, const struct presence_row *row, int64_t now)
{
	struct who *w = MEM_NEW(struct who);

	w->user = row->user;
	w->last_active = row->last_active ? now - clock_since(p->opt.wall_ms(), row->last_active) : NEVER;
	w->status_msg = str_keep(row->status_msg);
	w->told_at = w->differs_at = w->moved_at = NEVER;
	w->told = (struct shown){ .last_active = w->last_active };
	wheel_timer_init(&w->timer);
	list_init(&w->unsaved);
	(void)map_put_i(&p->users, w->user, w);
	return w;
}

void who_clear(struct presence *p, struct who *w)
{
	for (uint32_t i = 0; i < w->n_devices; i++)
		mem_free((void *)w->devices[i].id.p);
	p->counts.devices -= w->n_devices;
	mem_free(w->devices);
	w->devices = NULL;
	w->n_devices = w->cap_devices = 0;
	mem_free((void *)w->status_msg.p);
	w->status_msg = STR_NONE;
}

bool who_left(const struct who *w, int64_t room)
{
	for (uint32_t i = 0; i < w->n_left; i++)
		if (w->left[i] == room)
			return true;
	return false;
}

void who_moved(struct presence *p, struct who *w, int64_t room, bool out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_left; i++)
		if (w->left[i] != room)
			w->left[n++] = w->left[i];
	w->n_left = n;
	if (out) {
		w->left = mem_realloc(w->left, (n + 1) * sizeof(*w->left));
		w->left[w->n_left++] = room;
	}
	w->moved_at = p->opt.mono_ms();
	who_note(p, w, w->moved_at);
}

void who_free(struct presence *p, struct who *w)
{
	(void)map_del_i(&p->users, w->user);
	wheel_stop(&p->wheel, &w->timer);
	list_del(&w->unsaved);
	who_clear(p, w);
	mem_free(w->left);
	mem_free(w);
}

static err *read_row(struct presence *p, struct arena *a, int64_t user, struct presence_row *out)
{
	struct presence_row *row;
	AUTO_TX tx = NULL;

	*out = (struct presence_row){ .user = user, .status_msg = STR_NONE };
	TRY(store_read(p->opt.store, a, &tx));
	TRY(store_presence_of(tx, user, &row));
	if (row)
		*out = *row;
	return NULL;
}

struct who *who_get(struct presence *p, struct arena *a, int64_t user)
{
	struct presence_row row;
	struct who *w = who_find(p, user);
	err *e;

	lock_assert_held(&p->lock);
	if (w)
		return w;
	lock_drop(&p->lock);
	e = read_row(p, a, user, &row);
	lock_take(&p->lock);
	w = who_find(p, user);
	if (w || e || p->stopping)
		return w;
	return who_add(p, &row, p->opt.mono_ms());
}

/*
 * Devices
 */
struct device *who_device(const struct who *w, str id)
{
	for (uint32_t i = 0; i < w->n_devices; i++)
		if (str_eq(w->devices[i].id, id))
			return &w->devices[i];
	return NULL;
}

struct device *who_add_device(struct presence *p, struct who *w, str id)
{
	struct device *d = who_device(w, id);

	if (d)
		return d;
	if (w->n_devices == DEVICES_MOST)
		return NULL;
	if (w->n_devices == w->cap_devices) {
		w->cap_devices = w->cap_devices ? 2 * w->cap_devices : 1;
		w->devices = mem_realloc(w->devices, w->cap_devices * sizeof(*w->devices));
	}
	d = &w->devices[w->n_devices++];
	*d = (struct device){ .id = str_keep(id), .active = NEVER, .synced = NEVER };
	p->counts.devices++;
	return d;
}

static int64_t plus(int64_t t, int64_t ms) { return t == NEVER ? NEVER : t + ms; }

static bool is_idle(const struct presence *p, const struct who *w, const struct device *d, int64_t now)
{
	return !w->elsewhere && clock_since(now, d->active) >= p->opt.idle_ms;
}

/* When a device whose /sync ended is taken for gone. */
static int64_t gone_at(const struct presence *p, const struct who *w, const struct device *d)
{
	/* Of other servers' users only their server knows; unless it is gone itself. */
	if (w->elsewhere)
		return plus(d->synced, PRESENCE_ELSEWHERE_MS);
	return plus(MAX(d->synced, d->active), p->opt.online_ms);
}

void who_expire(struct presence *p, struct who *w, int64_t now)
{
	for (uint32_t i = 0; i < w->n_devices;) {
		struct device *d = &w->devices[i];

		if (d->syncing || gone_at(p, w, d) > now) {
			i++;
			continue;
		}
		mem_free((void *)d->id.p);
		*d = w->devices[--w->n_devices];
		p->counts.devices--;
	}
}

/*
 * What is to be seen
 */
struct shown who_shown(const struct presence *p, const struct who *w, int64_t now)
{
	struct shown s = { .last_active = w->last_active, .status = w->status };

	for (uint32_t i = 0; i < w->n_devices; i++) {
		const struct device *d = &w->devices[i];

		/* "The server will automatically set a user's presence to unavailable if their last active time was
		 * over a threshold value". */
		s.state = MAX(s.state,
			      d->asked == PRESENCE_ONLINE && is_idle(p, w, d, now) ? PRESENCE_UNAVAILABLE : d->asked);
	}
	s.active = s.state == PRESENCE_ONLINE &&
		   (w->elsewhere ? w->elsewhere_active : clock_since(now, w->last_active) < p->opt.active_ms);
	return s;
}

/*
 * "When [currently_active is] true, the server will not send further updates to the last active time until an update is
 * sent to the client with either a) currently_active set to false or b) a presence state other than online."
 */
static bool is_news(const struct presence *p, const struct shown *told, const struct shown *now)
{
	if (told->status != now->status || told->state != now->state || told->active != now->active)
		return true;
	/* "Explicitly suppressing their profile information": what one who is offline does is for those who ask. */
	return now->state != PRESENCE_OFFLINE && !now->active &&
	       clock_since(now->last_active, told->last_active) > p->opt.active_ms;
}

bool who_is_news(const struct presence *p, const struct who *w, int64_t now)
{
	const struct shown shown = who_shown(p, w, now);

	return is_news(p, &w->told, &shown);
}

int64_t who_ready(const struct who *w)
{
	return w->differs_at == NEVER ? INT64_MAX : MAX(w->differs_at, plus(w->told_at, HOLD_MS));
}

/* When something is to be done for the user. What is past has been seen to, but for devices that are to be taken out.
 */
static int64_t next_due(const struct presence *p, const struct who *w, int64_t now)
{
	int64_t due = who_ready(w), at;

	if (w->moved_at != NEVER)
		due = MIN(due, w->moved_at + MOVE_MS);

	at = plus(w->last_active, p->opt.active_ms);
	if (w->told.active && !w->elsewhere && at > now)
		due = MIN(due, at);
	for (uint32_t i = 0; i < w->n_devices; i++) {
		const struct device *d = &w->devices[i];

		at = plus(d->active, p->opt.idle_ms);
		if (d->asked == PRESENCE_ONLINE && !w->elsewhere && at > now)
			due = MIN(due, at);
		if (!d->syncing)
			due = MIN(due, gone_at(p, w, d));
	}
	return due;
}

void who_note(struct presence *p, struct who *w, int64_t now)
{
	int64_t due;

	lock_assert_held(&p->lock);
	if (!w->forced && !who_is_news(p, w, now))
		w->differs_at = NEVER;
	else if (w->differs_at == NEVER)
		w->differs_at = now;
	due = next_due(p, w, now);
	if (due == INT64_MAX || (w->timer.at && w->timer.at <= due))
		return;
	wheel_set(&p->wheel, &w->timer, MAX(due, 1));
	if (due < p->wakes_at)
		cond_signal(&p->earlier);
}
