/*
 * inbound_work.c - the workers: what is ready of a room is put into it, a batch at a time; what lacks something waits.
 *
 * One worker has a room at a time, so that its events keep their order. What a batch comes to is known when its commit
 * is on disk: with it the rows of the staged events are gone. An event is given up when all who were asked say that
 * they do not have what it stands on, when nobody says anything for STAGED_LONGEST_MS, or when it fails by itself time
 * and again; what fails for the store's sake is tried again, with the whole room, a while later.
 */
#include "room/receive/internal_inbound.h"

#include <assert.h>

#include "base/clock.h"

#define SECOND INT64_C(1000000)
enum { NAP_FIRST_S = 1, NAP_MOST_S = 60, FETCH_FIRST_S = 30, FETCH_MOST_S = 6 * 3600 };

struct turn { /* a worker's, with one room */
	struct inbound *in;
	struct arena *a;
	struct inbound_room *room;
	struct staged *taken[BATCH_MOST]; /* nobody else frees them */
	struct received_event list[BATCH_MOST];
	size_t n;
	int64_t gone[2 * BATCH_MOST]; /* rows to drop: of these, and of those that had to go for them */
	size_t n_gone;
	bool again;              /* the whole room, later */
	struct crowded *crowded; /* or NULL: nothing else is to be done but to merge this room */
};

static int64_t pause_us(unsigned failures, int64_t first_s, int64_t most_s)
{
	return MIN(first_s << MIN(failures, 20U), most_s) * SECOND;
}

/*
 * Taking
 */
static struct inbound_room *next_room(struct inbound *in)
{
	struct list *node = list_pop(&in->runnable);

	return node ? LIST_ITEM(node, struct inbound_room, runnable) : NULL;
}

/* Those whose time has come: who waits and is to be asked for again is looked at anew. Gives when to look again. */
static int64_t wake_room(struct inbound *in, struct inbound_room *room, int64_t now)
{
	int64_t next = INT64_MAX;

	LIST_EACH_SAFE (&room->waiting, it) {
		struct staged *s = LIST_ITEM(it, struct staged, node);

		if (s->again_us && s->again_us <= now) {
			staged_unwait(in, s);
			staged_ready(in, s);
		} else if (s->again_us) {
			next = MIN(next, s->again_us);
		}
	}
	if (room->again_us > now)
		return MIN(next, room->again_us);
	inbound_run(in, room);
	return next;
}

static void wake(struct inbound *in)
{
	const int64_t now = clock_mono_us();
	int64_t next = INT64_MAX;

	if (now < in->nap_until_us)
		return;
	in->nap_until_us = INT64_MAX;
	LIST_EACH_SAFE (&in->napping, it) {
		struct inbound_room *room = LIST_ITEM(it, struct inbound_room, napping);
		const int64_t until = wake_room(in, room, now);

		next = MIN(next, until);
		if (until == INT64_MAX)
			list_del(&room->napping);
	}
	in->nap_until_us = MIN(in->nap_until_us, next);
}

/* False: the service stops. */
static bool take(struct turn *t)
{
	struct inbound *in = t->in;
	struct list *node;

	LOCKED(&in->lock);
	for (;;) {
		if (in->stopping)
			return false;
		wake(in);
		t->room = next_room(in);
		if (t->room)
			break;
		t->crowded = inbound_crowded_due(in, clock_mono_us());
		if (t->crowded)
			return true;
		if (in->nap_until_us == INT64_MAX)
			cond_wait(&in->work, &in->lock);
		else
			(void)cond_wait_until(&in->work, &in->lock, in->nap_until_us);
	}
	t->room->busy = true;
	in->n_busy++;
	while (t->n < BATCH_MOST && (node = list_pop(&t->room->ready)))
		t->taken[t->n++] = LIST_ITEM(node, struct staged, node);
	return true;
}

/*
 * At work, without the lock
 */
static err *read_events(struct turn *t)
{
	int64_t ids[BATCH_MOST];
	struct inbound_row *rows;
	struct map by_id;
	size_t n, kept = 0;
	AUTO_TX tx = NULL;

	for (size_t i = 0; i < t->n; i++)
		ids[i] = t->taken[i]->id;
	TRY(store_read(t->in->opt.store, t->a, &tx));
	TRY(store_inbound_read(tx, ids, t->n, &rows, &n));
	map_init(&by_id, t->a);
	for (size_t i = 0; i < n; i++)
		(void)map_put_i(&by_id, rows[i].id, &rows[i]);
	for (size_t i = 0; i < t->n; i++) {
		const struct inbound_row *row = map_get_i(&by_id, ids[i]);
		struct event *ev = NULL;
		err *e = row ? event_load(t->a, t->room->rv, row->event_id, row->json, &ev)
			     : err_new(t->a, ERR_INTERNAL, "its row is gone");

		t->list[kept++] = (struct received_event){ .event = ev, .staged = ids[i], .error = e };
	}
	return NULL;
}

/* Only what could be read goes into the room. */
static err *append(struct turn *t)
{
	struct received_event list[BATCH_MOST];
	size_t place[BATCH_MOST], n = 0;
	err *e;

	for (size_t i = 0; i < t->n; i++) {
		if (t->list[i].error)
			continue;
		place[n] = i;
		list[n++] = t->list[i];
	}
	e = rooms_append_events(t->in->opt.rooms, t->a, t->room->room_id, list, n);
	for (size_t i = 0; !e && i < n; i++)
		t->list[place[i]] = list[i];
	return e;
}

/*
 * What came of it, under the lock
 */
static void drop(struct turn *t, struct staged *s, enum drop_reason why)
{
	assert(t->n_gone < ARRAY_LEN(t->gone));
	t->gone[t->n_gone++] = s->id;
	inbound_count_dropped(why);
	staged_free(t->in, s);
}

static void drop_aloud(struct turn *t, struct staged *s, enum drop_reason why, str text)
{
	log_info(t->in->opt.log, "received event dropped", F("room_id", s->room->room_id), F("event_id", s->event_id),
		 F("origin", s->origin->name), F("why", text));
	drop(t, s, why);
}

static void put_back(struct turn *t, struct staged *s)
{
	list_add_head(&t->room->ready, &s->node);
	t->again = true;
}

/* What is asked of missing_begin, once the lock is off. */
struct fetch {
	struct inbound *in;
	int64_t id;
};

static void fetched(void *ctx, const err *why)
{
	struct fetch *f = ctx;
	struct inbound *in = f->in;
	struct staged *s;

	lock_take(&in->lock);
	s = map_get_i(&in->by_id, f->id);
	mem_free(f);
	if (s && s->fetching) {
		s->fetching = false;
		s->fetches++;
		/* Nobody has it: looked at anew, it finds so and goes. Else it is asked for again, a while later. */
		s->in_vain = why && why->code == ERR_NOT_FOUND;
		s->rest_us = clock_mono_us() + pause_us(s->fetches - 1, NAP_FIRST_S, FETCH_MOST_S);
		if (s->waits && (!why || why->code == ERR_NOT_FOUND)) {
			staged_unwait(in, s);
			staged_ready(in, s);
		} else if (s->waits) {
			s->again_us = clock_mono_us() + pause_us(s->fetches, FETCH_FIRST_S, FETCH_MOST_S);
			inbound_nap(in, s->room, s->again_us);
		}
	}
	lock_drop(&in->lock);
}

static bool is_given_up(const struct staged *s) { return s->in_vain || clock_ms() - s->received > STAGED_LONGEST_MS; }

static void wait_for(struct turn *t, size_t i, bool *out_fetch)
{
	const struct received_event *r = &t->list[i];
	struct staged *s = t->taken[i], *too_many;
	struct inbound *in = t->in;

	if (is_given_up(s)) {
		drop_aloud(t, s, DROP_STRANDED, r->error->msg);
		return;
	}
	too_many = staged_too_many(in, s);
	if (too_many) {
		struct inbound_room *room = too_many->room;

		drop_aloud(t, too_many, DROP_FULL, S("too many wait, and it is the oldest"));
		inbound_room_done(in, room);
	}
	staged_wait(in, s, r->missing, r->n_missing);
	s->hopes = staged_is_coming(in, s);
	if (s->hopes || s->fetching || !in->begin)
		return;
	/* What was fetched did not help: not again at once. */
	if (s->rest_us > clock_mono_us()) {
		s->again_us = s->rest_us;
		inbound_nap(in, s->room, s->again_us);
		return;
	}
	s->fetching = true;
	*out_fetch = true;
}

/* False: it is to go back to where it was taken from. */
static bool settle(struct turn *t, size_t i, bool *out_fetch)
{
	const struct received_event *r = &t->list[i];
	struct staged *s = t->taken[i];

	if (!r->error) {
		if (r->unstaged) {
			inbound_observe(s->received);
			staged_free(t->in, s);
		} else {
			drop(t, s, DROP_KNOWN);
		}
	} else if (r->n_missing) {
		wait_for(t, i, out_fetch);
	} else if (r->error->code == ERR_BUSY || r->error->code == ERR_STORE) {
		return false;
	} else if (r->error->code == ERR_FORBIDDEN) {
		drop_aloud(t, s, DROP_REFUSED, r->error->msg);
	} else if (++s->failures < FAILURES_MOST) {
		return false;
	} else {
		log_error(t->in->opt.log, "received event fails", F("room_id", t->room->room_id),
			  F("event_id", s->event_id), F("error", r->error->msg), F("where", r->error->where));
		drop(t, s, DROP_FAILED);
	}
	return true;
}

static void give_back(struct turn *t)
{
	struct inbound_room *room = t->room;

	room->busy = false;
	room->failures = t->again ? room->failures + 1 : 0;
	room->again_us = t->again ? clock_mono_us() + pause_us(room->failures - 1, NAP_FIRST_S, NAP_MOST_S) : 0;
	inbound_run(t->in, room);
	inbound_room_done(t->in, room);
	if (--t->in->n_busy == 0 && list_is_empty(&t->in->runnable))
		cond_broadcast(&t->in->idle);
}

void inbound_await_idle(struct inbound *in)
{
	LOCKED(&in->lock);
	while (in->n_busy || !list_is_empty(&in->runnable))
		cond_wait(&in->idle, &in->lock);
}

/* The batch as a whole failed. */
static bool fail(struct turn *t, size_t i, const err *e)
{
	if (e->code != ERR_NOT_FOUND)
		return false;
	drop(t, t->taken[i], DROP_NO_ROOM);
	return true;
}

static void settle_all(struct turn *t, const err *e, bool *fetch)
{
	bool done[BATCH_MOST];

	if (e && e->code != ERR_NOT_FOUND)
		log_warn(t->in->opt.log, "received events are tried again later", F("room_id", t->room->room_id),
			 F("error", e->msg));
	for (size_t i = 0; i < t->n; i++)
		done[i] = e ? fail(t, i, e) : settle(t, i, &fetch[i]);
	for (size_t i = t->n; i-- > 0;)
		if (!done[i])
			put_back(t, t->taken[i]);
}

static void begin_fetch(struct turn *t, size_t i, str origin, int64_t id)
{
	struct inbound *in = t->in;
	struct fetch *f = MEM_NEW(struct fetch);
	const struct missing_want want = {
		.room_id = t->room->room_id, /* `busy` keeps it */
		.origin = origin,
		.event = t->list[i].event,
		.missing = t->list[i].missing,
		.n_missing = t->list[i].n_missing,
		.done = fetched,
		.ctx = f,
	};
	struct staged *s;

	*f = (struct fetch){ in, id };
	if (in->begin(in->begin_ctx, &want))
		return;
	mem_free(f);
	LOCKED(&in->lock);
	s = map_get_i(&in->by_id, id);
	if (!s)
		return;
	s->fetching = false;
	if (!s->waits)
		return;
	s->again_us = clock_mono_us() + pause_us(s->fetches, FETCH_FIRST_S, FETCH_MOST_S);
	inbound_nap(in, s->room, s->again_us);
}

static err *unstage_run(struct tx *tx, void *arg)
{
	const struct turn *t = arg;

	return store_inbound_unstage(tx, t->gone, t->n_gone);
}

static void work(struct turn *t)
{
	struct inbound *in = t->in;
	bool fetch[BATCH_MOST] = { false };
	str origin[BATCH_MOST];
	int64_t ids[BATCH_MOST];
	err *e = read_events(t);

	if (!e)
		e = append(t);
	lock_take(&in->lock);
	for (size_t i = 0; i < t->n; i++) {
		ids[i] = t->taken[i]->id;
		origin[i] = arena_keep(t->a, t->taken[i]->origin->name);
	}
	settle_all(t, e, fetch);
	lock_drop(&in->lock);
	for (size_t i = 0; i < t->n; i++)
		if (fetch[i])
			begin_fetch(t, i, origin[i], ids[i]);
	e = t->n_gone ? store_do(in->opt.store, t->a, unstage_run, t) : NULL;
	if (e) /* they are known, or refused, once more at the next start */
		log_warn(in->opt.log, "rows of received events stay", F("error", e->msg));
	lock_take(&in->lock);
	give_back(t);
	lock_drop(&in->lock);
}

static void merge(struct turn *t)
{
	bool sent;
	err *e = room_merge(t->in->opt.rooms, t->a, t->crowded->room_id, t->crowded->newcomer, &sent);

	if (e)
		log_warn(t->in->opt.log, "extremities were not brought together", F("room_id", t->crowded->room_id),
			 F("error", e->msg));
	mem_free(t->crowded);
}

void inbound_work(void *arg)
{
	struct turn *t = MEM_NEW(struct turn); /* too large for a thread's stack */
	struct arena *a = arena_new();

	for (;;) {
		*t = (struct turn){ .in = arg, .a = a };
		if (!take(t))
			break;
		if (t->crowded)
			merge(t);
		else
			work(t);
		arena_reset(a);
	}
	arena_free(&a);
	mem_free(t);
}
