/*
 * missing.c - what a received event stands on is fetched: on threads of its own, a few things at a time.
 *
 * An errand is one event that cannot be put into its room yet. Errands wait in a queue; those of one room and origin
 * are done one after the other (a later one usually finds everything there), those of a room and of an origin a few at
 * a time, so that servers that do not answer never hold all threads. The queue is bounded for a room, for an origin and
 * as a whole; what does not fit is the asker's to ask for again.
 *
 * How an errand goes:
 * 1. Missing prev_events: "POST /get_missing_events" to who gave us the event, from the event down to the room's
 *    extremities. While an answer is full and still does not reach what we have, once more from where it ended. Where
 *    the origin does not say what its own event stands on, others are asked for those events by id; if nobody has
 *    them, the event cannot be taken.
 * 2. What then still lacks prev_events gets the states after those (states.c): below it, the room has a gap.
 * 3. Missing auth_events of all of them are fetched and stored as outliers.
 * 4. The events are put into the room, in the order of the graph.
 * The event itself is not: who asked looks again. But it is where an event above a gap names it, for all of that has
 * its place there (late.c); and where what it stands on is missing below something that we have (a gap that is known):
 * the state there is known, too, that is enough, and the gap is filled when somebody reads there.
 */
#include "room/receive/missing.h"

#include <assert.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "room/internal_job.h"
#include "room/policy.h"
#include "room/receive/internal_fetch.h"
#include "store/gaps.h"

enum {
	THREADS = 8,
	QUEUE_MOST = 1000,
	QUEUE_ROOM = 50,
	QUEUE_ORIGIN = 100,
	ACTIVE_ROOM = 2, /* under way at once */
	ACTIVE_ORIGIN = 3,
	ROUNDS = 5,
	EVENTS_MOST = 200, /* put into the room by one errand */
	STATES_MOST = 20,
	LATEST_MOST = 10, /* events a further round begins at */
};
static const int64_t errand_us = INT64_C(120) * 1000000;

struct errand {
	struct list node; /* missing.queue; unlinked while under way */
	struct arena *a;
	str room_id, origin;
	str event_id, bytes, version;
	const str *missing;
	size_t n_missing;
	void (*done)(void *ctx, const err *why);
	void *ctx;
};

struct missing {
	struct fetch_options opt;
	unsigned threads;
	struct lock lock; /* what follows */
	struct cond more;
	struct list queue, active;
	size_t n_queued;
	bool stopping;
	struct thread *thread[64];
	unsigned n_threads;
	struct metric *const *outcomes;
};

enum { OUTCOME_FOUND, OUTCOME_NOBODY, OUTCOME_SILENT, OUTCOME_FAILED, OUTCOME_FULL, OUTCOMES };

/* Metrics live for ever, services do not have to. */
static struct metric *const *outcome_counters(void)
{
	static const char *const labels[OUTCOMES] = {
		[OUTCOME_FOUND] = "outcome=\"found\"",           [OUTCOME_NOBODY] = "outcome=\"nobody_has_them\"",
		[OUTCOME_SILENT] = "outcome=\"no_answer\"",      [OUTCOME_FAILED] = "outcome=\"failed\"",
		[OUTCOME_FULL] = "outcome=\"too_many_waiting\"",
	};
	static struct metric *counters[OUTCOMES];

	metric_counters(counters, OUTCOMES, "hearth_missing_events_total",
			"Received events whose ancestors were fetched, by what came of it", labels);
	return counters;
}

err *missing_new(struct arena *a, const struct missing_options *opt, struct missing **out)
{
	struct missing *m = ARENA_NEW(a, struct missing);

	m->opt = FETCH_OPTIONS_OF(opt);
	m->threads = opt->threads ? MIN(opt->threads, (unsigned)ARRAY_LEN(m->thread)) : THREADS;
	lock_init(&m->lock, RANK_SERVICE);
	cond_init(&m->more);
	list_init(&m->queue);
	list_init(&m->active);
	m->outcomes = outcome_counters();
	*out = m;
	return NULL;
}

void missing_free(struct missing **missing)
{
	struct missing *m = *missing;

	if (!m)
		return;
	*missing = NULL;
	assert(m->n_threads == 0 && list_is_empty(&m->queue));
	cond_done(&m->more);
	lock_done(&m->lock);
}

/*
 * One errand
 */
struct work {
	struct missing *m;
	const struct errand *errand;
	struct fetch f;
	struct event *event;
	struct event_list got; /* its ancestors, and itself */
	struct map placed;     /* prev_events that have a place */
	struct map states;     /* event id > struct prev_state */
	size_t n_states;
	bool late; /* an event above a gap names it */
	bool busy; /* some of them are just being stored by somebody else */
};

static bool is_missing(const struct errand *e, str id)
{
	for (size_t i = 0; i < e->n_missing; i++)
		if (str_eq(e->missing[i], id))
			return true;
	return false;
}

static err *extremities(struct work *w, const str **out, size_t *out_n)
{
	struct arena *a = w->f.a;
	VEC(str) ids = { 0 };
	AUTO_ROOM room = NULL;

	TRY(room_hold(w->m->opt.rooms, a, w->f.room_id, &room));
	if (!room)
		return err_new(a, ERR_NOT_FOUND, "no such room");
	for (size_t i = 0; i < room->tip.n_ext; i++)
		vec_push(a, &ids, arena_keep(a, (str){ room->tip.ext[i].id, room->tip.ext[i].id_n }));
	/* "The latest event IDs that the sender already has": also what the event itself names of them. */
	for (size_t i = 0; i < w->event->n_prev_events; i++) {
		bool there = is_missing(w->errand, w->event->prev_events[i]);

		for (size_t k = 0; k < ids.n; k++)
			there = there || str_eq(ids.p[k], w->event->prev_events[i]);
		if (!there)
			vec_push(a, &ids, w->event->prev_events[i]);
	}
	*out = ids.p;
	*out_n = ids.n;
	return NULL;
}

static void keep_state(struct work *w, const struct prev_state *s)
{
	struct prev_state *copy = ARENA_NEW(w->f.a, struct prev_state);

	*copy = *s;
	map_put(&w->states, copy->event_id, copy);
}

/* Which prev_events of these have a place in the room (w->placed), or a state that is known (w->states)? */
static err *look_for_prevs(struct work *w, struct event *const *events, size_t n)
{
	VEC(str) ids = { 0 };
	struct map known;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < events[i]->n_prev_events; k++)
			vec_push(w->f.a, &ids, events[i]->prev_events[k]);
	TRY(fetch_known(&w->f, ids.p, ids.n, &known));
	for (size_t i = 0; i < ids.n; i++) {
		struct prev_state state;
		bool is_known = false;

		if (mark_has_place(&w->f, map_get(&known, ids.p[i]))) {
			map_put(&w->placed, ids.p[i], w);
			continue;
		}
		/* History that is missing below something we have: it is not news, and comes when somebody reads it. */
		TRY(fetch_state_known(&w->f, ids.p[i], &is_known, &state));
		if (is_known)
			keep_state(w, &state);
	}
	return NULL;
}

static bool is_there(const struct work *w, str id)
{
	return map_get(&w->placed, id) || map_get(&w->states, id) || map_get(&w->got.by_id, id);
}

static bool lacks_prevs(const struct work *w, const struct event *ev)
{
	for (size_t i = 0; i < ev->n_prev_events; i++)
		if (!is_there(w, ev->prev_events[i]))
			return true;
	return false;
}

/*
 * Takes in what is an ancestor of the event, by the graph: what others put into their answer is nobody's. *out_new: how
 * many there are that were not there before.
 */
static err *take_ancestors(struct work *w, const struct event_list *given, size_t *out_new)
{
	const size_t before = w->got.list.n;
	struct map known;
	size_t n = 0;
	str *ids = ARENA_ARRAY(w->f.a, str, given->list.n);

	for (size_t i = 0; i < given->list.n; i++)
		ids[n++] = given->list.p[i]->event_id;
	TRY(fetch_known(&w->f, ids, n, &known));
	for (size_t i = 0; i < w->got.list.n; i++)
		for (size_t k = 0; k < w->got.list.p[i]->n_prev_events; k++) {
			struct event *ev = map_get(&given->by_id, w->got.list.p[i]->prev_events[k]);

			if (ev && w->got.list.n < EVENTS_MOST && !mark_has_place(&w->f, map_get(&known, ev->event_id)))
				event_list_add(w->f.a, &w->got, ev);
		}
	*out_new = w->got.list.n - before;
	return look_for_prevs(w, w->got.list.p + before, *out_new);
}

static size_t lowest(const struct work *w, str out[LATEST_MOST])
{
	size_t n = 0;

	for (size_t i = w->got.list.n; i-- > 0 && n < LATEST_MOST;)
		if (lacks_prevs(w, w->got.list.p[i]))
			out[n++] = w->got.list.p[i]->event_id;
	return n;
}

/* From `server`, round after round, while it gives as much as it may and that does not reach what we have. */
static err *ask_down(struct work *w, str server, const str *earliest, size_t n_earliest)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		str latest[LATEST_MOST];
		const size_t n = lowest(w, latest);
		struct event_list given;
		size_t n_given, n_new;

		if (n == 0)
			return NULL;
		event_list_init(&given, w->f.a);
		TRY(fetch_missing_events(&w->f, server, earliest, n_earliest, latest, n, &given, &n_given));
		TRY(take_ancestors(w, &given, &n_new));
		if (n_new == 0 || n_given < FETCH_MISSING_LIMIT / 2)
			return NULL;
	}
	return NULL;
}

/* Its own prev_events by id, of somebody who did not send it to us. */
static err *ask_by_id(struct work *w, str server)
{
	struct event_list given;
	VEC(str) ids = { 0 };
	size_t n_new;

	event_list_init(&given, w->f.a);
	for (size_t i = 0; i < w->event->n_prev_events; i++)
		if (!is_there(w, w->event->prev_events[i]))
			vec_push(w->f.a, &ids, w->event->prev_events[i]);
	TRY(fetch_events(&w->f, server, ids.p, ids.n, &given));
	return take_ancestors(w, &given, &n_new);
}

/*
 * What was missing may have come by another way while somebody was asked: such an event is not in `got`, and where it
 * is an extremity by now, who was asked has left it out of the answer. Queued is as good as stored: who looks at the
 * event again sees the same.
 */
static err *look_again(struct work *w)
{
	AUTO_ROOM room = NULL;

	TRY(room_hold(w->m->opt.rooms, w->f.a, w->f.room_id, &room));
	if (!room)
		return err_new(w->f.a, ERR_NOT_FOUND, "no such room");
	for (size_t i = 0; i < w->got.list.n; i++) {
		const struct event *ev = w->got.list.p[i];

		for (size_t k = 0; k < ev->n_prev_events; k++) {
			const struct event_row *row;

			if (is_there(w, ev->prev_events[k]))
				continue;
			TRY(room_row_by_id(room, ev->prev_events[k], &row));
			if (row && !(row->flags & EVENT_OUTLIER) && !room_forgets_prev(room, row))
				map_put(&w->placed, ev->prev_events[k], w);
		}
	}
	return NULL;
}

/*
 * "What prev_events does it stand on?" An event that nobody says that of is not taken: with nothing but a state that
 * its sender made up below it, it could become the room's only extremity.
 */
static err *get_prevs(struct work *w)
{
	const str *earliest;
	size_t n_earliest;

	TRY(look_for_prevs(w, &w->event, 1));
	if (!lacks_prevs(w, w->event))
		return NULL;
	TRY(extremities(w, &earliest, &n_earliest));
	for (size_t i = 0; i < w->f.n_servers && lacks_prevs(w, w->event) && clock_mono_us() < w->f.deadline_us; i++) {
		const bool is_origin = str_eq(w->f.servers[i], w->errand->origin);
		const err *e = NULL;

		if (!is_origin)
			e = ask_by_id(w, w->f.servers[i]);
		if (!e && (is_origin || !lacks_prevs(w, w->event)))
			e = ask_down(w, w->f.servers[i], earliest, n_earliest);
		if (e && (e->code == ERR_STORE || e->code == ERR_INTERNAL))
			return err_keep(w->f.a, e);
		TRY(look_again(w));
	}
	return lacks_prevs(w, w->event) ? fetch_failed(&w->f, "what the event stands on", w->event->event_id) : NULL;
}

/* The states after what is still missing. */
static err *get_states(struct work *w)
{
	for (size_t i = 0; i < w->got.list.n; i++) {
		const struct event *ev = w->got.list.p[i];

		for (size_t k = 0; k < ev->n_prev_events; k++) {
			struct prev_state s;

			if (is_there(w, ev->prev_events[k]))
				continue;
			if (w->n_states++ == STATES_MOST)
				return err_new(w->f.a, ERR_TOO_LARGE, "too many branches end in what is missing");
			TRY(fetch_state_after(&w->f, ev->prev_events[k], &s));
			keep_state(w, &s);
		}
	}
	return NULL;
}

static void add_states(const struct work *w, const struct event *ev, struct received_event *out)
{
	struct prev_state *list = ARENA_ARRAY(w->f.a, struct prev_state, ev->n_prev_events);

	for (size_t i = 0; i < ev->n_prev_events; i++) {
		const struct prev_state *s = map_get(&w->states, ev->prev_events[i]);

		if (s)
			list[out->n_prev_states++] = *s;
	}
	out->prev_states = list;
}

/* Then what it stands on belongs into the gap with it (late.h), and comes in the same batch. */
static err *look_for_heirs(struct work *w)
{
	struct gap_edge *edges;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_read(w->m->opt.store, w->f.a, &tx));
	TRY(store_gap_edges(tx, w->f.room, &w->event->event_id, 1, &edges, &n));
	w->late = n > 0;
	return NULL;
}

/* The event itself only where it stands on a state, or comes late. One that cannot be stored is its own misfortune, and
 * that of what stands on it. */
static err *put_into_room(struct work *w)
{
	struct received_event *list = ARENA_ARRAY(w->f.a, struct received_event, w->got.list.n);
	struct event **vetted = ARENA_ARRAY(w->f.a, struct event *, w->got.list.n);
	size_t n = 0;

	for (size_t i = w->got.list.n; i-- > 0;) {
		list[n].event = vetted[n] = w->got.list.p[i];
		add_states(w, list[n].event, &list[n]);
		if (w->got.list.p[i] == w->event && list[n].n_prev_states == 0 && !w->late)
			continue;
		n++;
	}
	if (n == 0)
		return NULL;
	TRY(policy_obtain(w->m->opt.rooms, w->f.a, w->f.room_id, vetted, n, clock_mono_us() + errand_us));
	for (size_t i = 0; i < n; i++)
		list[i].event = vetted[i];
	TRY(rooms_append_events(w->m->opt.rooms, w->f.a, w->f.room_id, list, n));
	for (size_t i = 0; i < n; i++) {
		if (!list[i].error)
			continue;
		w->busy = w->busy || list[i].error->code == ERR_BUSY || list[i].error->code == ERR_STORE;
		log_info(w->m->opt.log, "an event that was fetched is not taken", F("room_id", w->f.room_id),
			 F("event_id", list[i].event->event_id), F("why", list[i].error->msg));
	}
	return NULL;
}

static bool is_prev(const struct event *ev, str id)
{
	for (size_t i = 0; i < ev->n_prev_events; i++)
		if (str_eq(ev->prev_events[i], id))
			return true;
	return false;
}

/* Does the event still lack what it lacked? That nobody answered must not look as if there was nothing to be had. */
static err *lacks_still(struct work *w)
{
	const struct errand *e = w->errand;
	AUTO_ROOM room = NULL;
	struct map known;

	if (w->busy)
		return NULL;
	TRY(room_hold(w->m->opt.rooms, w->f.a, w->f.room_id, &room));
	if (!room || map_get(&room->pending_ids, w->event->event_id))
		return NULL;
	TRY(fetch_known(&w->f, &w->event->event_id, 1, &known));
	if (mark_has_place(&w->f, map_get(&known, w->event->event_id)))
		return NULL;
	TRY(fetch_known(&w->f, e->missing, e->n_missing, &known));
	for (size_t i = 0; i < e->n_missing; i++) {
		const struct event_mark *mark = map_get(&known, e->missing[i]);
		const bool found = is_prev(w->event, e->missing[i]) ? mark_has_place(&w->f, mark) : mark != NULL;

		if (!found && !map_get(&room->pending_ids, e->missing[i]) && !map_get(&room->storing, e->missing[i]))
			return fetch_failed(&w->f, "some of what the event stands on", w->event->event_id);
	}
	return NULL;
}

static err *run(struct missing *m, const struct errand *e, struct arena *a)
{
	struct work w = { .m = m, .errand = e };

	TRY(fetch_begin(&w.f, &m->opt, a, e->room_id, e->origin, STR_NONE, clock_mono_us() + errand_us));
	TRY(event_load(a, w.f.rv, e->event_id, e->bytes, &w.event));
	event_list_init(&w.got, a);
	map_init(&w.placed, a);
	map_init(&w.states, a);
	event_list_add(a, &w.got, w.event);
	TRY(get_prevs(&w));
	TRY(look_again(&w));
	TRY(get_states(&w));
	TRY(look_for_heirs(&w));
	TRY(fetch_auth(&w.f, w.got.list.p, w.got.list.n, &w.got));
	TRY(put_into_room(&w));
	return lacks_still(&w);
}

/*
 * Threads
 */
static void count(const struct missing *m, const err *why)
{
	metric_add(m->outcomes[!why                                 ? OUTCOME_FOUND
			       : why->code == ERR_NOT_FOUND         ? OUTCOME_NOBODY
			       : why->code == ERR_CONNECTION_FAILED ? OUTCOME_SILENT
								    : OUTCOME_FAILED],
		   1);
}

static bool may_run(const struct missing *m, const struct errand *e)
{
	size_t of_room = 0, of_origin = 0;

	LIST_EACH (&m->active, node) {
		const struct errand *other = LIST_ITEM(node, struct errand, node);
		const bool room = str_eq(other->room_id, e->room_id), origin = str_eq(other->origin, e->origin);

		if (room && origin)
			return false;
		of_room += room;
		of_origin += origin;
	}
	return of_room < ACTIVE_ROOM && of_origin < ACTIVE_ORIGIN;
}

static struct errand *next_errand(struct missing *m)
{
	LIST_EACH (&m->queue, node) {
		struct errand *e = LIST_ITEM(node, struct errand, node);

		if (!may_run(m, e) && !m->stopping)
			continue;
		list_del(&e->node);
		list_add_tail(&m->active, &e->node);
		m->n_queued--;
		return e;
	}
	return NULL;
}

static void errand_free(struct errand *e)
{
	struct arena *a = e->a; /* holds it */

	arena_free(&a);
}

static void do_errand(struct missing *m, struct errand *e, bool stopping)
{
	AUTO_ARENA a = arena_new();
	const err *why = stopping ? err_new(a, ERR_CONNECTION_FAILED, "the server is stopping") : run(m, e, a);

	count(m, why);
	if (why && !stopping)
		log_info(m->opt.log, "what an event stands on could not be had", F("room_id", e->room_id),
			 F("event_id", e->event_id), F("origin", e->origin), F("why", why->msg));
	e->done(e->ctx, why);
}

static void fetcher(void *arg)
{
	struct missing *m = arg;

	lock_take(&m->lock);
	for (;;) {
		struct errand *e = next_errand(m);
		bool stopping = m->stopping;

		if (!e && stopping)
			break;
		if (!e) {
			cond_wait(&m->more, &m->lock);
			continue;
		}
		lock_drop(&m->lock);
		do_errand(m, e, stopping);
		lock_take(&m->lock);
		list_del(&e->node);
		errand_free(e);
		cond_broadcast(&m->more); /* others of its room, or origin */
	}
	lock_drop(&m->lock);
}

void missing_start(struct missing *m)
{
	for (unsigned i = 0; i < m->threads; i++)
		m->thread[m->n_threads++] = thread_start("missing", fetcher, m);
}

void missing_stop(struct missing *m)
{
	if (!m)
		return;
	lock_take(&m->lock);
	m->stopping = true;
	cond_broadcast(&m->more);
	lock_drop(&m->lock);
	while (m->n_threads)
		thread_join(&m->thread[--m->n_threads]);
}

static struct errand *errand_new(const struct missing_want *want)
{
	struct arena *a = arena_new();
	struct errand *e = ARENA_NEW(a, struct errand);
	str *missing = ARENA_ARRAY(a, str, want->n_missing);

	e->a = a;
	list_init(&e->node);
	e->room_id = arena_keep(a, want->room_id);
	e->origin = arena_keep(a, want->origin);
	e->event_id = arena_keep(a, want->event->event_id);
	e->bytes = arena_keep(a, want->event->bytes);
	for (size_t i = 0; i < want->n_missing; i++)
		missing[i] = arena_keep(a, want->missing[i]);
	e->missing = missing;
	e->n_missing = want->n_missing;
	e->done = want->done;
	e->ctx = want->ctx;
	return e;
}

static bool is_full(const struct missing *m, const struct missing_want *want)
{
	size_t of_room = 0, of_origin = 0;

	LIST_EACH (&m->queue, node) {
		const struct errand *e = LIST_ITEM(node, struct errand, node);

		of_room += str_eq(e->room_id, want->room_id);
		of_origin += str_eq(e->origin, want->origin);
	}
	return m->n_queued >= QUEUE_MOST || of_room >= QUEUE_ROOM || of_origin >= QUEUE_ORIGIN;
}

bool missing_begin(void *missing, const struct missing_want *want)
{
	struct missing *m = missing;
	struct errand *e;

	LOCKED(&m->lock);
	if (m->stopping || is_full(m, want)) {
		metric_add(m->outcomes[OUTCOME_FULL], 1);
		return false;
	}
	e = errand_new(want);
	list_add_tail(&m->queue, &e->node);
	m->n_queued++;
	cond_signal(&m->more);
	return true;
}
