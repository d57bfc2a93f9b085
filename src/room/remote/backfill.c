/*
 * backfill.c - see backfill.h.
 *
 * "GET /backfill" gives the events that are missing, and those before them, newest first. What of them hangs together
 * with what is missing is taken, whatever else there is in the answer. The state at the lowest of them comes from what
 * is known: where there is no state event among them, it is the state before the event above the gap; at the room's
 * create event there is none; else it is asked for (states.c). From there it is carried upwards as the events are put
 * into the room, each checked by its auth_events and the state before it.
 *
 * A gap that nobody fills is left alone for a while, longer each time. That is kept in memory, for a bounded number of
 * gaps.
 */
#include "room/remote/backfill.h"

#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "room/internal_room.h"
#include "room/receive/internal_fetch.h"
#include "room/remote/history.h"
#include "store/gaps.h"

enum { PAGE = 100, FROM_MOST = 10, STATES_MOST = 10, HOLDERS_MOST = 50, FAILED_MOST = 20000 };
static const int64_t pause_first_us = INT64_C(30) * 1000000, pause_most_us = INT64_C(1800) * 1000000;

struct failed {
	int64_t until_us, pause_us;
};
struct running {
	struct cond ended_cond;
	unsigned waiters;
	bool ended;
	enum backfill_outcome outcome;
};
struct backfill {
	struct fetch_options opt;
	int64_t (*now)(void);
	struct lock lock;
	struct map running; /* room > struct running */
	struct map failed;  /* event above a gap > struct failed */
	size_t n_failed;
	struct metric *const *outcomes;
};

enum { OUTCOMES = BACKFILL_LATE + 1 };

static struct metric *const *outcome_counters(void)
{
	static const char *const labels[OUTCOMES] = {
		[BACKFILL_MORE] = "outcome=\"found\"",
		[BACKFILL_NOTHING] = "outcome=\"nothing\"",
		[BACKFILL_LATE] = "outcome=\"late\"",
	};
	static struct metric *counters[OUTCOMES];

	metric_counters(counters, OUTCOMES, "hearth_backfills_total",
			"Gaps in rooms' histories that other servers were asked about", labels);
	return counters;
}

err *backfill_new(struct arena *a, const struct backfill_options *opt, struct backfill **out)
{
	struct backfill *b = ARENA_NEW(a, struct backfill);

	b->opt = FETCH_OPTIONS_OF(opt);
	b->now = opt->now ? opt->now : clock_mono_us;
	lock_init(&b->lock, RANK_SERVICE);
	map_init(&b->running, NULL);
	map_init(&b->failed, NULL);
	b->outcomes = outcome_counters();
	*out = b;
	return NULL;
}

static void forget_failed(struct backfill *b)
{
	int64_t key;
	void *value;

	for (size_t i = 0; map_next_i(&b->failed, &i, &key, &value);)
		mem_free(value);
	map_done(&b->failed);
	map_init(&b->failed, NULL);
	b->n_failed = 0;
}

void backfill_free(struct backfill **backfill)
{
	struct backfill *b = *backfill;

	if (!b)
		return;
	*backfill = NULL;
	forget_failed(b);
	map_done(&b->failed);
	map_done(&b->running);
	lock_done(&b->lock);
}

/*
 * Gaps that are left alone
 */
static bool is_left_alone(struct backfill *b, int64_t above)
{
	const struct failed *f = map_get_i(&b->failed, above);

	return f && b->now() < f->until_us;
}

bool backfill_hopeful(struct backfill *b, int64_t above)
{
	LOCKED(&b->lock);
	return !is_left_alone(b, above);
}

static void note_outcome(struct backfill *b, int64_t above, enum backfill_outcome outcome)
{
	struct failed *f = map_get_i(&b->failed, above);

	if (outcome == BACKFILL_MORE) {
		if (f)
			b->n_failed--;
		mem_free(map_del_i(&b->failed, above));
		return;
	}
	if (!f) {
		if (b->n_failed >= FAILED_MOST)
			forget_failed(b);
		f = MEM_NEW(struct failed);
		map_put_i(&b->failed, above, f);
		b->n_failed++;
	}
	f->pause_us = f->pause_us ? MIN(2 * f->pause_us, pause_most_us) : pause_first_us;
	f->until_us = b->now() + f->pause_us;
}

/*
 * One page
 */
struct filling {
	struct backfill *b;
	struct fetch f;
	struct event_row *above;
	struct event *event;
	VEC(int64_t) holders; /* the event above last */
	VEC(str) missing;     /* what they lack */
	struct event_list got;
	bool fed_anything, has_state;
};

/* What an event lacks; through those without a place in the timeline, that lack something themselves. */
static err *look_below(struct filling *g, const struct event *ev, int64_t nid)
{
	struct fetch *f = &g->f;
	struct map known;

	if (g->holders.n == HOLDERS_MOST)
		return NULL;
	for (size_t i = 0; i < g->holders.n; i++)
		if (g->holders.p[i] == nid)
			return NULL;
	vec_push(f->a, &g->holders, nid);
	TRY(fetch_known(f, ev->prev_events, ev->n_prev_events, &known));
	for (size_t i = 0; i < ev->n_prev_events; i++) {
		const struct event_mark *m = map_get(&known, ev->prev_events[i]);
		struct event_row *row;
		struct event *below;
		AUTO_TX tx = NULL;

		if (!mark_has_place(f, m)) {
			vec_push(f->a, &g->missing, ev->prev_events[i]);
			continue;
		}
		if (!(m->flags & EVENT_GAP) || !(m->flags & (EVENT_REJECTED | EVENT_SOFT_FAILED)))
			continue;
		TRY(store_read(f->opt->store, f->a, &tx));
		TRY(store_event_by_nid(tx, m->nid, &row));
		store_read_end(&tx);
		if (!row)
			continue;
		TRY(event_load(f->a, f->rv, row->event_id, row->json, &below));
		TRY(look_below(g, below, row->nid));
	}
	return NULL;
}

static err *look_at_gap(struct filling *g, int64_t above)
{
	struct fetch *f = &g->f;
	AUTO_TX tx = NULL;

	TRY(store_read(f->opt->store, f->a, &tx));
	TRY(store_event_by_nid(tx, above, &g->above));
	store_read_end(&tx);
	if (!g->above || !g->above->timeline || g->above->room != f->room)
		return err_new(f->a, ERR_NOT_FOUND, "the event above the gap is gone");
	TRY(event_load(f->a, f->rv, g->above->event_id, g->above->json, &g->event));
	TRY(look_below(g, g->event, above));
	for (size_t i = 0; i < g->holders.n / 2; i++) { /* the lowest first */
		const int64_t x = g->holders.p[i];

		g->holders.p[i] = g->holders.p[g->holders.n - 1 - i];
		g->holders.p[g->holders.n - 1 - i] = x;
	}
	return NULL;
}

/* Of an answer, what is missing, and what hangs on that. */
static err *take_connected(struct filling *g, const struct event_list *given)
{
	struct fetch *f = &g->f;
	str *ids = ARENA_ARRAY(f->a, str, given->list.n);
	struct map known;

	for (size_t i = 0; i < given->list.n; i++)
		ids[i] = given->list.p[i]->event_id;
	TRY(fetch_known(f, ids, given->list.n, &known));
	event_list_init(&g->got, f->a);
	g->has_state = false;
	for (size_t i = 0; i < g->missing.n; i++) {
		struct event *ev = map_get(&given->by_id, g->missing.p[i]);

		if (ev && g->got.list.n < HISTORY_PAGE_MAX)
			event_list_add(f->a, &g->got, ev);
	}
	for (size_t i = 0; i < g->got.list.n; i++)
		for (size_t k = 0; k < g->got.list.p[i]->n_prev_events; k++) {
			struct event *ev = map_get(&given->by_id, g->got.list.p[i]->prev_events[k]);

			if (ev && g->got.list.n < HISTORY_PAGE_MAX && !mark_has_place(f, map_get(&known, ev->event_id)))
				event_list_add(f->a, &g->got, ev);
		}
	for (size_t i = 0; i < g->got.list.n; i++)
		g->has_state = g->has_state || event_is_state(g->got.list.p[i]);
	return NULL;
}

/* The state after what a lowest event of the page stands on. */
static err *state_below(struct filling *g, str prev, struct prev_state *out)
{
	const bool same_as_above = !g->has_state && g->event->n_prev_events == 1;
	bool is_known;
	err *e;

	TRY(fetch_state_known(&g->f, prev, &is_known, out));
	if (is_known)
		return NULL;
	if (same_as_above) {
		fetch_state_before(&g->f, g->above, prev, out);
		return NULL;
	}
	e = fetch_state_after(&g->f, prev, out);
	if (e && e->code != ERR_STORE && !g->has_state) { /* what is nearest to it */
		fetch_state_before(&g->f, g->above, prev, out);
		return NULL;
	}
	return e;
}

static err *states_below(struct filling *g, struct map *out)
{
	struct fetch *f = &g->f;
	VEC(str) lacking = { 0 };
	struct map known;

	map_init(out, f->a);
	for (size_t i = 0; i < g->got.list.n; i++)
		for (size_t k = 0; k < g->got.list.p[i]->n_prev_events; k++) {
			const str id = g->got.list.p[i]->prev_events[k];

			if (!map_get(&g->got.by_id, id) && !map_put(out, id, g))
				vec_push(f->a, &lacking, id);
		}
	map_init(out, f->a);
	TRY(fetch_known(f, lacking.p, lacking.n, &known));
	for (size_t i = 0, n = 0; i < lacking.n; i++) {
		struct prev_state *s = ARENA_NEW(f->a, struct prev_state);

		if (mark_has_place(f, map_get(&known, lacking.p[i])))
			continue;
		if (n++ == STATES_MOST)
			return err_new(f->a, ERR_TOO_LARGE, "too many branches end in what is missing");
		TRY(state_below(g, lacking.p[i], s));
		map_put(out, lacking.p[i], s);
	}
	return NULL;
}

static struct received_event *page_of(const struct filling *g, const struct map *states)
{
	struct received_event *list = ARENA_ARRAY(g->f.a, struct received_event, g->got.list.n);

	for (size_t i = 0; i < g->got.list.n; i++) {
		const struct event *ev = g->got.list.p[i];
		struct prev_state *given = ARENA_ARRAY(g->f.a, struct prev_state, ev->n_prev_events);

		list[i].event = ev;
		for (size_t k = 0; k < ev->n_prev_events; k++) {
			const struct prev_state *s = map_get(states, ev->prev_events[k]);

			if (s)
				given[list[i].n_prev_states++] = *s;
		}
		list[i].prev_states = given;
	}
	return list;
}

/* Into the room: *out_new, how much of it was not there before. */
static err *put_into_room(struct filling *g, const struct map *states, bool *out_new)
{
	struct history_page page = {
		.room_id = g->f.room_id,
		.above = g->above->nid,
		.list = page_of(g, states),
		.n = g->got.list.n,
		.holders = g->holders.p,
		.n_holders = g->holders.n,
	};
	size_t stored = 0;

	TRY(rooms_append_history(g->b->opt.rooms, g->f.a, &page));
	for (size_t i = 0; i < page.n; i++) {
		stored += !page.list[i].error && page.list[i].outcome != APPEND_KNOWN;
		if (page.list[i].error)
			log_info(g->b->opt.log, "an event of the history is not taken", F("room_id", g->f.room_id),
				 F("event_id", page.list[i].event->event_id), F("why", page.list[i].error->msg));
	}
	*out_new = stored > 0 || page.closed;
	log_info(g->b->opt.log, "history was fetched", F("room_id", g->f.room_id), F("events", stored),
		 F("closed", (int64_t)page.closed));
	return NULL;
}

static err *from_server(struct filling *g, str server, bool *out_new)
{
	const size_t n = MIN(g->missing.n, (size_t)FROM_MOST);
	struct event_list given;
	struct map states;
	size_t n_given;

	event_list_init(&given, g->f.a);
	TRY(fetch_backfill(&g->f, server, g->missing.p, n, PAGE, &given, &n_given));
	TRY(take_connected(g, &given));
	if (g->got.list.n == 0)
		return NULL;
	TRY(fetch_auth(&g->f, g->got.list.p, g->got.list.n, &g->got));
	TRY(states_below(g, &states));
	return put_into_room(g, &states, out_new);
}

/* The servers of who sent what is above the gap, and of whom the room is named for, are likely to have been there. */
static err *begin(struct filling *g, struct arena *a, str room_id, int64_t above, int64_t deadline_us)
{
	struct backfill *b = g->b;
	str sender = STR_NONE;
	struct event_row *row;
	AUTO_TX tx = NULL;

	TRY(store_read(b->opt.store, a, &tx));
	TRY(store_event_by_nid(tx, above, &row));
	if (row)
		TRY(store_intern_text(b->opt.store, a, row->sender, &sender));
	store_read_end(&tx);
	TRY(fetch_begin(&g->f, &b->opt, a, room_id, id_server(sender), id_server(room_id), deadline_us));
	return look_at_gap(g, above);
}

static err *run(struct backfill *b, struct arena *a, str room_id, int64_t above, int64_t deadline_us,
		enum backfill_outcome *out)
{
	struct filling g = { .b = b };
	struct map none;
	bool is_new = false;

	TRY(begin(&g, a, room_id, above, deadline_us));
	*out = BACKFILL_MORE;
	if (g.missing.n == 0) { /* it came otherwise */
		map_init(&none, a);
		event_list_init(&g.got, a);
		return put_into_room(&g, &none, &is_new);
	}
	for (size_t i = 0; i < g.f.n_servers && !is_new && clock_mono_us() < deadline_us; i++) {
		const err *e = from_server(&g, g.f.servers[i], &is_new);

		if (!e)
			continue;
		if (e->code == ERR_STORE || e->code == ERR_INTERNAL || e->code == ERR_BUSY)
			return err_keep(a, e);
		log_info(b->opt.log, "a server has no history for us", F("room_id", room_id),
			 F("server", g.f.servers[i]), F("why", e->msg));
	}
	if (!is_new)
		*out = clock_mono_us() < deadline_us ? BACKFILL_NOTHING : BACKFILL_LATE;
	return NULL;
}

/*
 * One at a time
 */
/* With the lock. NULL: there was nobody at it; it is the caller's now. */
static struct running *take_turn(struct backfill *b, int64_t room, struct running *mine)
{
	struct running *r = map_get_i(&b->running, room);

	if (r)
		return r;
	*mine = (struct running){ .outcome = BACKFILL_NOTHING };
	cond_init(&mine->ended_cond);
	map_put_i(&b->running, room, mine);
	return NULL;
}

/* With the lock: gone when the last who waited has seen it. */
static void end_turn(struct backfill *b, int64_t room, struct running *mine, enum backfill_outcome outcome)
{
	mine->outcome = outcome;
	mine->ended = true;
	map_del_i(&b->running, room);
	cond_broadcast(&mine->ended_cond);
	while (mine->waiters)
		cond_wait(&mine->ended_cond, &b->lock);
	cond_done(&mine->ended_cond);
}

static enum backfill_outcome wait_for(struct backfill *b, struct running *r, int64_t deadline_us)
{
	enum backfill_outcome outcome;

	r->waiters++;
	while (!r->ended && cond_wait_until(&r->ended_cond, &b->lock, deadline_us))
		;
	outcome = r->ended ? r->outcome : BACKFILL_LATE;
	r->waiters--;
	cond_broadcast(&r->ended_cond);
	return outcome;
}

/* With the lock: the caller's turn, as soon as nobody else is at the room. False: the time was over before. */
static bool wait_turn(struct backfill *b, int64_t room, struct running *mine, int64_t deadline_us)
{
	struct running *other;

	while ((other = take_turn(b, room, mine)))
		if (wait_for(b, other, deadline_us) == BACKFILL_LATE && b->now() >= deadline_us)
			return false;
	return true;
}

err *backfill_below(struct backfill *b, struct arena *a, str room_id, int64_t above, int64_t deadline_us,
		    enum backfill_outcome *out)
{
	struct running mine, *other;
	enum backfill_outcome outcome = BACKFILL_NOTHING;
	int64_t room;
	err *e;

	assert(!lock_any_held());
	*out = BACKFILL_NOTHING;
	TRY(rooms_find(b->opt.rooms, a, room_id, &room, NULL));
	if (!room)
		return NULL;
	lock_take(&b->lock);
	if (is_left_alone(b, above)) {
		lock_drop(&b->lock);
		return NULL;
	}
	other = take_turn(b, room, &mine);
	if (other) {
		*out = wait_for(b, other, deadline_us);
		lock_drop(&b->lock);
		return NULL;
	}
	lock_drop(&b->lock);
	e = run(b, a, room_id, above, deadline_us, &outcome);
	if (e && (e->code == ERR_BUSY || e->code == ERR_NOT_FOUND)) {
		outcome = BACKFILL_NOTHING;
		e = NULL;
	}
	lock_take(&b->lock);
	note_outcome(b, above, e ? BACKFILL_NOTHING : outcome);
	end_turn(b, room, &mine, outcome);
	lock_drop(&b->lock);
	metric_add(b->outcomes[outcome], 1);
	*out = outcome;
	return e;
}

/*
 * An event by its time
 */
static bool is_nearer(const struct backfill_time *q, int64_t ts)
{
	if (q->forwards ? ts < q->ts : ts > q->ts)
		return false;
	return !q->known || (q->forwards ? ts < q->known_ts : ts > q->known_ts);
}

/* It stands on what is missing: whatever that is, the state before it is the one that was fetched. */
static err *put_island(struct filling *g, struct event *ev, int64_t *out_event)
{
	struct prev_state *given = ARENA_ARRAY(g->f.a, struct prev_state, ev->n_prev_events), state = { 0 };
	struct received_event r = { .event = ev, .prev_states = given, .n_prev_states = ev->n_prev_events };
	struct history_page page = {
		.room_id = g->f.room_id,
		.above = g->above->nid,
		.list = &r,
		.n = 1,
		.holders = g->holders.p,
		.n_holders = g->holders.n,
		.island = true,
	};
	struct event_list none;
	struct map known;
	const struct event_mark *m;

	event_list_init(&none, g->f.a);
	TRY(fetch_auth(&g->f, &ev, 1, &none));
	TRY(fetch_state_at(&g->f, ev->event_id, &state));
	for (size_t i = 0; i < ev->n_prev_events; i++) {
		given[i] = state;
		given[i].event_id = ev->prev_events[i];
	}
	TRY(rooms_append_history(g->b->opt.rooms, g->f.a, &page));
	if (r.error)
		return r.error;
	TRY(fetch_known(&g->f, &ev->event_id, 1, &known));
	m = map_get(&known, ev->event_id);
	*out_event = mark_has_place(&g->f, m) && r.outcome == APPEND_ACCEPTED ? m->nid : 0;
	return NULL;
}

static err *time_from_server(struct filling *g, str server, const struct backfill_time *q, int64_t *out_event)
{
	const struct event_mark *m;
	struct event_list got;
	struct map known;
	struct event *ev;
	str id;

	event_list_init(&got, g->f.a);
	TRY(fetch_at_time(&g->f, server, q->ts, q->forwards, &id));
	TRY(fetch_known(&g->f, &id, 1, &known));
	m = map_get(&known, id);
	if (mark_has_place(&g->f, m)) /* what is here is known already */
		return NULL;
	TRY(fetch_events(&g->f, server, &id, 1, &got));
	ev = map_get(&got.by_id, id);
	return ev && is_nearer(q, ev->origin_server_ts) ? put_island(g, ev, out_event) : NULL;
}

static err *ask_for_time(struct backfill *b, struct arena *a, const struct backfill_time *q, int64_t *out_event)
{
	struct filling g = { .b = b };

	TRY(begin(&g, a, q->room_id, q->above, q->deadline_us));
	for (size_t i = 0; i < g.f.n_servers && !*out_event && clock_mono_us() < q->deadline_us; i++) {
		const err *e = time_from_server(&g, g.f.servers[i], q, out_event);

		if (!e)
			continue;
		if (e->code == ERR_STORE || e->code == ERR_INTERNAL)
			return err_keep(a, e);
		log_info(b->opt.log, "a server has no event of that time for us", F("room_id", q->room_id),
			 F("server", g.f.servers[i]), F("why", e->msg));
	}
	return NULL;
}

err *backfill_at_time(struct backfill *b, struct arena *a, const struct backfill_time *q, int64_t *out_event)
{
	struct running mine;
	int64_t room;
	bool turn;
	err *e;

	assert(!lock_any_held());
	*out_event = 0;
	TRY(rooms_find(b->opt.rooms, a, q->room_id, &room, NULL));
	if (!room)
		return NULL;
	lock_take(&b->lock);
	turn = wait_turn(b, room, &mine, q->deadline_us);
	lock_drop(&b->lock);
	if (!turn)
		return NULL;
	e = ask_for_time(b, a, q, out_event);
	lock_take(&b->lock);
	end_turn(b, room, &mine, *out_event ? BACKFILL_MORE : BACKFILL_NOTHING);
	lock_drop(&b->lock);
	return e && (e->code == ERR_BUSY || e->code == ERR_NOT_FOUND) ? NULL : e;
}
