/*
 * tell.c - changes, and who is told of them.
 *
 * What happens to a user is noted (user.c); a change gets a serial, an entry in the log of each room that the user is
 * in, and a nudge for those who are in these rooms and listen: at once, unless the user's last change was told within a
 * second; then a little later, if there still is one. Readers look into the logs of
 * their own rooms: what they read, and what it costs, are the changes that concern them and nothing else. One user
 * stands in an answer once, as they are when it is written, however often they changed.
 *
 * The cost. A change costs a store to memory for each room and for each listener in it; what costs is the listener's
 * /sync. These come in turns (bus/nudge.c) at TURNS_PER_S, and an answer has at most so many changes, the oldest first;
 * the token says up to where. So whatever ten thousand users do, it is thirty answers a second at most, fewer if they
 * are long. What somebody is told late is at least what is true then.
 */
#include "presence/internal_presence.h"

#include "base/clock.h"
#include "store/membership.h"

#include <stdlib.h>

struct telling {
	int64_t user;
	int64_t *rooms;
	size_t n;
	bool read;
	bool news; /* and not only an entry in a log */
	bool ours;
	struct presence_view view; /* ours, with news */
};

/* The bus knows the rooms of those who listen; of others they are read, in one snapshot for all, and they are watched
 * from then on: who comes or goes meanwhile, the bus hears of, since they are before the snapshot is. */
static err *read_rooms(struct presence *p, struct arena *a, struct telling *list, size_t n)
{
	const struct bus *bus = p->opt.bus;
	size_t n_lacking = 0;
	int64_t position;
	AUTO_TX tx = NULL;

	for (size_t i = 0; i < n; i++) {
		list[i].read = bus_rooms_of(p->opt.bus, a, list[i].user, &list[i].rooms, &list[i].n);
		if (list[i].read)
			continue;
		(void)bus_watch_begin(p->opt.bus, list[i].user);
		n_lacking++;
	}
	if (!n_lacking)
		return NULL;
	position = bus_position(bus);
	TRY(store_read(p->opt.store, a, &tx));
	for (size_t i = 0; i < n; i++) {
		if (list[i].read)
			continue;
		TRY(store_joined_rooms(tx, list[i].user, &list[i].rooms, &list[i].n));
		bus_watch_rooms(p->opt.bus, list[i].user, position, list[i].rooms, list[i].n);
		list[i].read = true;
	}
	return NULL;
}

/* The bus may know a little later. */
static void drop_left(const struct who *w, struct telling *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		if (!who_left(w, t->rooms[i]))
			t->rooms[n++] = t->rooms[i];
	t->n = n;
}

static struct presence_view view_of(const struct presence *p, struct arena *a, const struct who *w);

static void tell_one(struct presence *p, struct arena *a, struct who *w, struct telling *t, int64_t now)
{
	t->news = who_is_news(p, w, now);
	t->ours = !w->elsewhere;
	if (t->news && t->ours && p->on_change)
		t->view = view_of(p, a, w);
	w->serial = bus_next_serial(p->opt.bus);
	w->told = who_shown(p, w, now);
	w->told_at = now;
	w->differs_at = NEVER;
	w->forced = false;
	p->newest = w->serial;
	p->counts.changes++;
	for (size_t i = 0; i < t->n; i++)
		log_add(p, t->rooms[i], w->serial, w->user);
	if (!w->gone && !w->elsewhere)
		save_note(p, w, now);
}

/* The rooms that are concerned, each once. */
static void nudge_rooms(struct presence *p, struct arena *a, const struct telling *list, size_t n, int64_t serial)
{
	struct map done;

	map_init(&done, a);
	for (size_t i = 0; i < n; i++) {
		if (!list[i].news)
			continue;
		bus_nudge_user(p->opt.bus, list[i].user, serial);
		for (size_t k = 0; k < list[i].n; k++)
			if (!map_put_i(&done, list[i].rooms[k], &done))
				bus_nudge_room(p->opt.bus, list[i].rooms[k], serial);
	}
}

void presence_on_change(struct presence *p, presence_fn *fn, void *ctx)
{
	LOCKED(&p->lock);
	p->on_change = fn;
	p->on_change_ctx = ctx;
}

void tell_users(struct presence *p, struct arena *a, const int64_t *users, size_t n)
{
	struct telling *list = ARENA_ARRAY(a, struct telling, n);
	presence_fn *tell_others;
	int64_t newest = 0;
	const err *e;

	for (size_t i = 0; i < n; i++)
		list[i] = (struct telling){ .user = users[i] };
	e = read_rooms(p, a, list, n);
	(void)e; /* those of whom nothing was read are told of with their next change */
	lock_take(&p->lock);
	for (size_t i = 0; i < n; i++) {
		const int64_t now = p->opt.mono_ms();
		struct who *w = who_find(p, users[i]);

		if (!w)
			continue;
		drop_left(w, &list[i]);
		/* Of the rooms nothing could be learnt: then with the next change. */
		if (list[i].read && who_ready(w) <= now) {
			tell_one(p, a, w, &list[i], now);
			newest = list[i].news ? w->serial : newest;
		} else if (list[i].read && w->serial) {
			for (size_t k = 0; k < list[i].n; k++)
				log_insert(p, list[i].rooms[k], w->serial, w->user);
		}
		who_note(p, w, now);
	}
	tell_others = p->on_change;
	lock_drop(&p->lock);
	if (!newest)
		return;
	for (size_t i = 0; i < n && tell_others; i++)
		if (list[i].news && list[i].ours)
			tell_others(p->on_change_ctx, a, &list[i].view, list[i].rooms, list[i].n);
	nudge_rooms(p, a, list, n, newest);
	lock_take(&p->lock);
	p->turns_wait = true;
	cond_signal(&p->earlier);
	lock_drop(&p->lock);
}

/*
 * Readers
 */
struct found {
	const struct who *w;
	int64_t serial;
};
typedef VEC(struct found) found_list;

static int by_serial(const void *x, const void *y)
{
	const struct found *p = x, *q = y;

	return (p->serial > q->serial) - (p->serial < q->serial);
}

static void find_in_room(struct presence *p, struct arena *a, int64_t room, int64_t above, bool without_offline,
			 size_t most, found_list *out)
{
	const struct room_log *log = map_get_i(&p->logs, room);
	size_t n = 0;

	for (size_t i = log ? log_above(log, above) : 0; log && i < log->n && n < most; i++) {
		const struct who *w = who_find(p, log->p[i].user);

		if (!w || w->serial != log->p[i].serial || (without_offline && w->told.state == PRESENCE_OFFLINE))
			continue;
		vec_push(a, out, (struct found){ w, w->serial });
		n++;
	}
}

static struct presence_view view_of(const struct presence *p, struct arena *a, const struct who *w)
{
	const int64_t now = p->opt.mono_ms();
	const struct shown shown = who_shown(p, w, now);

	return (struct presence_view){
		.user = w->user,
		.state = shown.state,
		.currently_active = shown.active,
		.last_active_ago = w->last_active == NEVER ? -1 : MAX(clock_since(now, w->last_active), 0),
		.status_msg = arena_keep(a, w->status_msg),
	};
}

static size_t drop_repeated(struct found *list, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(list, n, sizeof(*list), by_serial);
	for (size_t i = 0; i < n; i++)
		if (!kept || list[kept - 1].serial != list[i].serial)
			list[kept++] = list[i];
	return kept;
}

static void add_views(struct presence *p, struct arena *a, const found_list *list, size_t n, struct presence_news *out)
{
	for (size_t i = 0; i < n; i++)
		out->p[out->n++] = view_of(p, a, list->p[i].w);
}

/* Changes of rooms that the reader knows, oldest first, as many as there may be. */
static void add_changes(struct presence *p, struct arena *a, const struct presence_ask *ask, found_list *out)
{
	const struct who *self = who_find(p, ask->user);

	for (size_t i = 0; i < ask->n_rooms; i++)
		find_in_room(p, a, ask->rooms[i], ask->above, ask->without_offline, ask->most + 1, out);
	if (self && self->serial > ask->above && (!ask->without_offline || self->told.state != PRESENCE_OFFLINE))
		vec_push(a, out, (struct found){ self, self->serial });
	out->n = drop_repeated(out->p, out->n);
}

/* Those in rooms that are new to the reader, but for who is told of as changed. */
static void add_whole(struct presence *p, struct arena *a, const struct presence_ask *ask, found_list *out)
{
	size_t n = 0;

	for (size_t i = 0; i < ask->n_whole; i++)
		find_in_room(p, a, ask->whole[i], 0, true, ask->most, out);
	out->n = drop_repeated(out->p, out->n);
	for (size_t i = 0; i < out->n; i++)
		if (out->p[i].serial <= ask->above && out->p[i].w->user != ask->user)
			out->p[n++] = out->p[i];
	out->n = MIN(n, ask->most);
}

void presence_changes(struct presence *p, struct arena *a, const struct presence_ask *ask, struct presence_news *out)
{
	found_list changed = { 0 }, whole = { 0 };
	bool more;

	LOCKED(&p->lock);
	*out = (struct presence_news){ .told = MAX(p->newest, ask->above), .newest = MAX(p->newest, ask->above) };
	add_changes(p, a, ask, &changed);
	add_whole(p, a, ask, &whole);
	more = changed.n > ask->most;
	if (more) {
		changed.n = ask->most;
		out->told = ask->most ? changed.p[ask->most - 1].serial : ask->above;
	}
	out->p = ARENA_ARRAY(a, struct presence_view, changed.n + whole.n);
	add_views(p, a, &whole, whole.n, out);
	add_views(p, a, &changed, changed.n, out);
	p->allowance -= TOLD_COST * (int64_t)out->n;
	if (!more)
		return;
	/* The rest comes in a further turn. */
	bus_nudge_user(p->opt.bus, ask->user, bus_next_serial(p->opt.bus));
	p->turns_wait = true;
	cond_signal(&p->earlier);
}

int64_t presence_serial(struct presence *p)
{
	LOCKED(&p->lock);
	return p->newest;
}

void presence_known(struct presence *p, struct arena *a, int64_t user, struct presence_view *out)
{
	const struct who *w;

	*out = (struct presence_view){ .user = user, .last_active_ago = -1, .status_msg = STR_NONE };
	LOCKED(&p->lock);
	w = who_find(p, user);
	if (w)
		*out = view_of(p, a, w);
}

err *presence_get(struct presence *p, struct arena *a, int64_t user, struct presence_view *out)
{
	struct presence_row *row;
	AUTO_TX tx = NULL;

	*out = (struct presence_view){ .user = user, .last_active_ago = -1, .status_msg = STR_NONE };
	if (!p->opt.tracked)
		return NULL;
	{
		const struct who *w;

		LOCKED(&p->lock);
		w = who_find(p, user);
		if (w) {
			*out = view_of(p, a, w);
			return NULL;
		}
	}
	TRY(store_read(p->opt.store, a, &tx));
	TRY(store_presence_of(tx, user, &row));
	if (!row)
		return NULL;
	out->status_msg = arena_keep(a, row->status_msg);
	if (row->last_active)
		out->last_active_ago = MAX(clock_since(p->opt.wall_ms(), row->last_active), 0);
	return NULL;
}

err *presence_visible(struct presence *p, struct arena *a, int64_t reader, str user_id, int64_t *out_user)
{
	AUTO_TX tx = NULL;
	int64_t user;
	bool share;

	*out_user = 0;
	TRY(store_intern_find(p->opt.store, a, user_id, &user));
	if (user && user != reader) {
		TRY(store_read(p->opt.store, a, &tx));
		TRY(store_share_room(tx, reader, user, &share));
		user = share ? user : 0;
	}
	*out_user = user;
	return NULL;
}
