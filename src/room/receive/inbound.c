/*
 * inbound.c - the service: its threads, what a restart left, what it counts. See inbound.h.
 */
#include "room/receive/internal_inbound.h"

#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"

static struct metric *outcomes[PDU_OUTCOMES], *dropped[DROP_REASONS], *staged_now, *waiting_now, *seconds;

static void register_metrics(void)
{
	static const char *const taken[PDU_OUTCOMES] = {
		[PDU_STAGED] = "outcome=\"staged\"",
		[PDU_UNKNOWN_ROOM] = "outcome=\"unknown_room\"",
		[PDU_NOT_IN_ROOM] = "outcome=\"not_in_room\"",
		[PDU_DENIED] = "outcome=\"denied\"",
		[PDU_BAD] = "outcome=\"bad\"",
		[PDU_FULL] = "outcome=\"full\"",
		[PDU_WITHDREW] = "outcome=\"withdrew\"",
	};
	static const char *const reasons[DROP_REASONS] = {
		[DROP_KNOWN] = "reason=\"known\"",       [DROP_REFUSED] = "reason=\"refused\"",
		[DROP_STRANDED] = "reason=\"stranded\"", [DROP_FULL] = "reason=\"full\"",
		[DROP_FAILED] = "reason=\"failed\"",     [DROP_NO_ROOM] = "reason=\"no_room\"",
	};

	metric_counters(outcomes, PDU_OUTCOMES, "hearth_federation_pdus_received_total",
			"Events that other servers sent: what was answered", taken);
	metric_counters(dropped, DROP_REASONS, "hearth_federation_pdus_dropped_total",
			"Received events that did not get into a room", reasons);
	staged_now = metric_gauge("hearth_federation_pdus_staged", "Received events on their way into the rooms", "");
	waiting_now = metric_gauge("hearth_federation_pdus_waiting", "Those of them that wait for other events", "");
	seconds = metric_histogram("hearth_federation_pdu_seconds", "From receipt until the event is in its room", "");
}

void inbound_count(enum pdu_outcome what) { metric_add(outcomes[what], 1); }
void inbound_count_dropped(enum drop_reason why) { metric_add(dropped[why], 1); }
void inbound_observe(int64_t received_ms) { metric_observe_us(seconds, MAX(clock_ms() - received_ms, 0) * 1000); }
void inbound_tell_size(const struct inbound *in)
{
	metric_set(staged_now, (int64_t)in->staged.n);
	metric_set(waiting_now, (int64_t)atomic_load(&in->n_waiting));
}

err *inbound_new(struct arena *a, const struct inbound_options *opt, struct inbound **out)
{
	static pthread_once_t registered = PTHREAD_ONCE_INIT;
	struct inbound *in = MEM_NEW(struct inbound);
	err *e;

	pthread_once(&registered, register_metrics);
	in->opt = *opt;
	in->n_workers = opt->workers ? opt->workers : 4;
	lock_init(&in->lock, RANK_SERVICE);
	waiting_init(&in->keys_waiting);
	cond_init(&in->work);
	cond_init(&in->idle);
	map_init(&in->rooms, NULL);
	map_init(&in->origins, NULL);
	map_init(&in->rooms_by_nid, NULL);
	map_init(&in->by_id, NULL);
	list_init(&in->runnable);
	list_init(&in->napping);
	map_init(&in->crowded, NULL);
	list_init(&in->crowds);
	in->nap_until_us = INT64_MAX;
	rooms_on_stored(opt->rooms, inbound_on_stored, in);
	rooms_on_crowded(opt->rooms, inbound_note_crowded, in);
	e = store_intern(opt->store, a, rooms_options(opt->rooms)->signer.server_name, &in->own);
	if (e)
		inbound_free(&in);
	*out = in;
	return e;
}

void inbound_on_missing(struct inbound *in, bool (*begin)(void *ctx, const struct missing_want *want), void *ctx)
{
	in->begin = begin;
	in->begin_ctx = ctx;
}

/*
 * What a restart left
 */
enum { PAGE = 500 };

struct rows_gone {
	VEC(int64_t) ids;
};

static err *gone_run(struct tx *tx, void *arg)
{
	const struct rows_gone *g = arg;

	return store_inbound_unstage(tx, g->ids.p, g->ids.n);
}

static err *take_up_row(struct inbound *in, struct arena *a, const struct inbound_row *row, struct rows_gone *gone)
{
	const struct room_version *rv;
	str room_id, origin;
	err *e;

	e = rooms_version(in->opt.rooms, a, row->room, &rv);
	if (e && e->code == ERR_NOT_FOUND) {
		vec_push(a, &gone->ids, row->id);
		inbound_count_dropped(DROP_NO_ROOM);
		return NULL;
	}
	TRY(e);
	TRY(store_intern_text(in->opt.store, a, row->room, &room_id));
	TRY(store_intern_text(in->opt.store, a, row->origin, &origin));
	LOCKED(&in->lock);
	if (map_get_i(&in->by_id, row->id)) /* came since the service was made */
		return NULL;
	staged_ready(in,
		     staged_new(in, inbound_room(in, room_id, row->room, rv), inbound_origin(in, origin, row->origin),
				row->id, row->event_id, (size_t)row->size, row->received, true));
	return NULL;
}

static err *take_up(struct inbound *in, struct arena *a)
{
	struct rows_gone gone = { 0 };
	struct inbound_row *rows;
	int64_t above = 0;
	size_t n;

	do {
		AUTO_TX tx = NULL;

		TRY(store_read(in->opt.store, a, &tx));
		TRY(store_inbound_list(tx, above, PAGE, &rows, &n));
		store_read_end(&tx);
		for (size_t i = 0; i < n; i++)
			TRY(take_up_row(in, a, &rows[i], &gone));
		above = n ? rows[n - 1].id : above;
	} while (n == PAGE);
	return gone.ids.n ? store_do(in->opt.store, a, gone_run, &gone) : NULL;
}

void inbound_start(struct inbound *in)
{
	AUTO_ARENA a = arena_new();
	err *e = take_up(in, a);

	if (e)
		log_error(in->opt.log, "received events of the last run stay where they are", F("error", e->msg));
	in->workers = mem_zalloc(in->n_workers * sizeof(struct thread *));
	for (unsigned i = 0; i < in->n_workers; i++)
		in->workers[i] = thread_start("inbound", inbound_work, in);
}

void inbound_stop(struct inbound *in)
{
	lock_take(&in->lock);
	in->stopping = true;
	cond_broadcast(&in->work);
	lock_drop(&in->lock);
	for (unsigned i = 0; in->workers && i < in->n_workers; i++)
		thread_join(&in->workers[i]);
	mem_free(in->workers);
	in->workers = NULL;
}

void inbound_free(struct inbound **inp)
{
	struct inbound *in = *inp;
	int64_t id;
	void *s;

	if (!in)
		return;
	lock_take(&in->lock);
	for (size_t i = 0; map_next_i(&in->by_id, &i, &id, &s); i = 0) {
		struct inbound_room *room = ((struct staged *)s)->room;

		staged_free(in, s);
		inbound_room_done(in, room);
	}
	LIST_EACH_SAFE (&in->crowds, it)
		mem_free(LIST_ITEM(it, struct crowded, node));
	lock_drop(&in->lock);
	map_done(&in->crowded);
	map_done(&in->rooms);
	map_done(&in->origins);
	map_done(&in->rooms_by_nid);
	map_done(&in->by_id);
	cond_done(&in->work);
	cond_done(&in->idle);
	waiting_done(&in->keys_waiting);
	lock_done(&in->lock);
	mem_free(in);
	*inp = NULL;
}

/*
 * A join under way
 */
err *inbound_joining(struct inbound *in, struct arena *a, str room_id, const struct room_version *rv)
{
	int64_t nid;

	TRY(store_intern(in->opt.store, a, room_id, &nid));
	LOCKED(&in->lock);
	inbound_room(in, room_id, nid, rv)->joining++;
	return NULL;
}

void inbound_joined(struct inbound *in, str room_id)
{
	struct inbound_room *room;

	LOCKED(&in->lock);
	room = map_get(&in->rooms, room_id);
	if (!room || !room->joining)
		return;
	room->joining--;
	inbound_run(in, room);
	inbound_room_done(in, room);
}

/*
 * One event
 */
struct waited {
	struct lock lock;
	struct cond ended;
	bool done;
};

static void one_fetched(void *ctx, const err *why)
{
	struct waited *w = ctx;

	(void)why;
	lock_take(&w->lock);
	w->done = true;
	cond_signal(&w->ended);
	lock_drop(&w->lock);
}

/* True: something was looked for. */
static bool fetch_for_one(struct inbound *in, const struct received_event *r, str origin)
{
	struct waited w = { .done = false };
	const struct missing_want want = {
		.room_id = r->event->room_id,
		.origin = origin,
		.event = r->event,
		.missing = r->missing,
		.n_missing = r->n_missing,
		.done = one_fetched,
		.ctx = &w,
	};
	bool begun;

	if (!in->begin)
		return false;
	lock_init(&w.lock, RANK_LEAF);
	cond_init(&w.ended);
	begun = in->begin(in->begin_ctx, &want);
	lock_take(&w.lock);
	while (begun && !w.done)
		cond_wait(&w.ended, &w.lock);
	lock_drop(&w.lock);
	cond_done(&w.ended);
	lock_done(&w.lock);
	return begun;
}

err *inbound_one(struct inbound *in, struct arena *a, const struct event *ev, str origin, enum append_outcome *out)
{
	struct received_event r = { .event = ev };

	TRY(rooms_append_events(in->opt.rooms, a, ev->room_id, &r, 1));
	if (r.n_missing && fetch_for_one(in, &r, origin)) {
		r = (struct received_event){ .event = ev };
		TRY(rooms_append_events(in->opt.rooms, a, ev->room_id, &r, 1));
	}
	*out = r.outcome;
	return r.error;
}
