/*
 * states.c - the state after an event that has no place in the room, as another server tells it.
 *
 * "GET /state_ids": the ids of the state before the event, and of its auth chain. Nearly all of them are known as a
 * rule, so what is lacking is asked for event by event; where it is much, "GET /state" brings everything at once. What
 * comes is stored as outliers, and judged by its own auth_events there. Then the state is what of it is stored, is of
 * this room, has a state key, and was not rejected: an id of anything else is left out. A state without the room's
 * create event is no state of it, and is refused as a whole. It is given on as its difference from the room's current
 * state, so that a tree is built at the cost of what differs.
 *
 * That a server says so makes it no truth: the state is resolved with others before the room's own can change by it.
 */
#include "base/clock.h"
#include "base/log.h"
#include "json/stream.h"
#include "room/internal_room.h"
#include "room/receive/internal_fetch.h"
#include "room/receive/internal_outlier.h"
#include "store/gaps.h"

struct ids { /* of an answer */
	struct arena *a;
	VEC(str) state, all; /* all: with the auth chain */
	struct map seen;
};

static err *take_id(void *ctx, size_t which, str value)
{
	struct ids *ids = ctx;
	struct json *j;
	str id;

	TRY(json_parse(ids->a, value, &json_limits_event, &j));
	id = json_str(j);
	if (str_is_empty(id) || id.n > ID_MAX)
		return err_new(ids->a, ERR_BAD_JSON, "that is no event's id");
	if (ids->all.n == FETCH_STATE_IDS)
		return err_new(ids->a, ERR_TOO_LARGE, "a state of more events than any room has");
	id = arena_keep(ids->a, id);
	if (which == 0)
		vec_push(ids->a, &ids->state, id);
	if (!map_put(&ids->seen, id, ids))
		vec_push(ids->a, &ids->all, id);
	return NULL;
}

struct body {
	struct json_stream *stream;
	struct arena *a;
};

static err *feed(void *ctx, str bytes)
{
	const struct body *b = ctx;

	return json_stream_feed(b->stream, b->a, bytes);
}

/* Asks for what a stream reads. */
static err *ask_streamed(struct fetch *f, str server, const char *path, str event_id, size_t max_bytes,
			 const struct json_take *takes, size_t n, json_take_fn *fn, void *ctx)
{
	struct body body = { json_stream_new(takes, n, fn, ctx), f->a };
	struct fed_call call = {
		.destination = server,
		.path = fed_query(f->a, fed_path(f->a, str_c(path), f->room_id, STR_NONE), "event_id", event_id),
		.max_bytes = max_bytes,
		.take = feed,
		.take_ctx = &body,
	};
	err *e;

	e = fetch_ask(f, &call);
	if (!e)
		e = json_stream_end(body.stream, f->a);
	json_stream_free(&body.stream);
	return e;
}

static err *ask_ids(struct fetch *f, str server, str event_id, struct ids *ids)
{
	static const struct json_take takes[] = { { STR("pdu_ids"), true, 6 * ID_MAX + 2 },
						  { STR("auth_chain_ids"), true, 6 * ID_MAX + 2 } };

	*ids = (struct ids){ .a = f->a };
	map_init(&ids->seen, f->a);
	return ask_streamed(f, server, "/_matrix/federation/v1/state_ids/", event_id, fetch_ids_bytes, takes,
			    ARRAY_LEN(takes), take_id, ids);
}

/*
 * The whole state, which may be large: events are checked some hundreds at a time, as they come, and kept as bytes
 * (outlier.c); what is in memory of each is little.
 */
enum { STATE_BATCH = 200, SPOOL_MEMORY = 8 << 20, SCRATCH_MOST = 16 << 20 };

struct whole {
	struct fetch *f;
	str server;
	struct outliers *set;
	struct arena *scratch; /* of a batch */
	const struct json *batch[STATE_BATCH];
	size_t n, total;
};

static err *flush(struct whole *w)
{
	struct checked_event evs[STATE_BATCH];
	uint32_t rec;

	for (size_t i = 0; i < w->n; i++)
		evs[i] = (struct checked_event){ .json = w->batch[i] };
	fetch_check_in(w->f, w->scratch, w->server, evs, w->n);
	for (size_t i = 0; i < w->n; i++)
		if (evs[i].event && event_is_state(evs[i].event))
			TRY(outliers_add(w->set, w->f->a, evs[i].event, false, &rec));
	w->n = 0;
	arena_reset(w->scratch);
	return NULL;
}

static err *take_event(void *ctx, size_t which, str value)
{
	struct whole *w = ctx;
	struct json *j;

	(void)which;
	if (w->total++ == FETCH_STATE_IDS)
		return err_new(w->f->a, ERR_TOO_LARGE, "a state of more events than any room has");
	if (!json_parse(w->scratch, arena_keep(w->scratch, value), &json_limits_event, &j))
		w->batch[w->n++] = j; /* else it is no event: the others may be */
	return w->n == STATE_BATCH || arena_used(w->scratch) > SCRATCH_MOST ? flush(w) : NULL;
}

static err *read_whole(struct whole *w, str event_id)
{
	static const struct json_take takes[] = { { STR("auth_chain"), true, EVENT_MAX_BYTES * 2 },
						  { STR("pdus"), true, EVENT_MAX_BYTES * 2 } };

	TRY(ask_streamed(w->f, w->server, "/_matrix/federation/v1/state/", event_id, fetch_state_bytes, takes,
			 ARRAY_LEN(takes), take_event, w));
	TRY(flush(w));
	return outliers_settle(w->set, w->f->a);
}

static err *ask_whole(struct fetch *f, str server, str event_id)
{
	const struct fetch_options *opt = f->opt;
	struct whole *w = ARENA_NEW(f->a, struct whole);
	err *e;

	w->f = f;
	w->server = server;
	w->set = outliers_new(opt->rooms, opt->pool, f->room, f->room_id, f->rv,
			      spool_new(opt->spool_folder, SPOOL_MEMORY));
	w->scratch = arena_new();
	e = outliers_find_create(w->set, f->a);
	if (!e)
		e = read_whole(w, event_id);
	outliers_free(&w->set);
	arena_free(&w->scratch);
	return e;
}

/* Which state of an event. */
enum side { SIDE_BEFORE, SIDE_AFTER };

/* Of the ids, those that are not stored in this room; the event's, too, if it is to be in the state. */
static size_t lacking(const struct fetch *f, const struct ids *ids, str event_id, enum side side,
		      const struct map *known, str **out)
{
	str *list = ARENA_ARRAY(f->a, str, ids->all.n + 1);
	size_t n = 0;

	if (side == SIDE_AFTER && !map_get(known, event_id))
		list[n++] = event_id;
	for (size_t i = 0; i < ids->all.n; i++)
		if (!map_get(known, ids->all.p[i]) && !str_eq(ids->all.p[i], event_id))
			list[n++] = ids->all.p[i];
	*out = list;
	return n;
}

static err *complete(struct fetch *f, str server, str event_id, enum side side, const struct ids *ids,
		     struct map *known, struct event_list *got)
{
	size_t n;
	str *ask;

	const err *e = NULL;

	event_list_init(got, f->a);
	n = lacking(f, ids, event_id, side, known, &ask);
	if (n == 0)
		return NULL;
	if (n > FETCH_STATE_SINGLY && n * 10 >= ids->all.n) {
		e = ask_whole(f, server, event_id);
		if (e && (e->code == ERR_STORE || e->code == ERR_INTERNAL))
			return err_keep(f->a, e);
		TRY(fetch_known(f, ids->all.p, ids->all.n, known)); /* also where it was cut short */
		n = lacking(f, ids, event_id, side, known, &ask);
	}
	if (n > FETCH_SINGLY_MOST)
		return err_new(f->a, ERR_TOO_LARGE, "too much of the state is missing");
	TRY(fetch_events(f, server, ask, n, got));
	TRY(fetch_auth(f, got->list.p, got->list.n, got));
	return fetch_store_outliers(f, got);
}

/*
 * As a difference
 */
struct diff {
	struct arena *a;
	struct map wanted; /* key as bytes > struct state_entry */
	VEC(struct state_entry) changes;
};

static str key_bytes(const struct state_entry *e) { return (str){ (const char *)&e->type, 2 * sizeof(int64_t) }; }

static err *compare(void *arg, const struct state_entry *e)
{
	struct diff *d = arg;
	const struct state_entry *want = map_del(&d->wanted, key_bytes(e));

	if (!want)
		vec_push(d->a, &d->changes, (struct state_entry){ e->type, e->key, 0 });
	else if (want->event != e->event)
		vec_push(d->a, &d->changes, *want);
	return NULL;
}

static err *difference(struct fetch *f, const struct state_entry *entries, size_t n, struct prev_state *out)
{
	const struct rooms *rs = f->opt->rooms;
	struct node_source src = { .cache = rs->node_cache, .room = f->room };
	const struct state_tree tree = node_source_tree(&src);
	struct diff d = { .a = f->a };
	struct room_head_row *head;
	struct state_root root;
	AUTO_TX tx = NULL;
	void *value;
	str key;

	map_init(&d.wanted, f->a);
	for (size_t i = 0; i < n; i++)
		map_put(&d.wanted, key_bytes(&entries[i]), (void *)&entries[i]);
	TRY(store_read(f->opt->store, f->a, &tx));
	TRY(store_head_load(tx, f->room, &head));
	if (!head)
		return err_new(f->a, ERR_NOT_FOUND, "the room is gone");
	src.tx = tx;
	TRY(store_root_load(tx, f->room, head->root, &root));
	TRY(state_each(&tree, f->a, root, (struct state_pick){ 0 }, compare, &d));
	for (size_t i = 0; map_next(&d.wanted, &i, &key, &value);)
		vec_push(f->a, &d.changes, *(const struct state_entry *)value);
	out->base = head->root;
	out->changes = d.changes.p;
	out->n_changes = d.changes.n;
	return NULL;
}

struct entries {
	struct state_entry *list;
	size_t n, left_out;
	struct map keys; /* key as bytes > its entry */
	int64_t create;  /* m.room.create */
	bool created;
};

/* One a key: the first, unless the event itself says another. */
static void add_entry(const struct fetch *f, struct entries *s, const struct event_mark *m, bool over)
{
	const struct state_entry e = { m->type, m->state_key, m->nid };
	struct state_entry *there = map_get(&s->keys, key_bytes(&e));

	s->created = s->created || (m->type == s->create && m->state_key == f->opt->rooms->empty);
	if (there && over)
		*there = e;
	if (there)
		return;
	s->list[s->n] = e;
	map_put(&s->keys, key_bytes(&s->list[s->n]), &s->list[s->n]);
	s->n++;
}

/* The event itself: what is asked for is the state after it. */
static err *add_itself(struct fetch *f, struct entries *s, str event_id, const struct event_list *got)
{
	const struct event *ev = map_get(&got->by_id, event_id);
	const struct event_mark *m;
	struct map known;

	TRY(fetch_known(f, &event_id, 1, &known));
	m = map_get(&known, event_id);
	if (m && m->room == f->room && m->flags & EVENT_STATE && !(m->flags & EVENT_REJECTED))
		add_entry(f, s, m, true);
	/* A message is not stored for its state's sake; a state event that is not could not be judged. */
	if ((m && m->room != f->room) || (!m && (!ev || event_is_state(ev))))
		return fetch_failed(f, "the event whose state was asked for", event_id);
	return NULL;
}

/* What of the ids is a state. */
static err *entries_of(struct fetch *f, str event_id, enum side side, const struct ids *ids,
		       const struct event_list *got, struct entries *s)
{
	struct map known;

	*s = (struct entries){ .list = ARENA_ARRAY(f->a, struct state_entry, ids->state.n + 1) };
	map_init(&s->keys, f->a);
	TRY(store_intern_find(f->opt->store, f->a, S("m.room.create"), &s->create));
	TRY(fetch_known(f, ids->state.p, ids->state.n, &known));
	for (size_t i = 0; i < ids->state.n; i++) {
		const struct event_mark *m = map_get(&known, ids->state.p[i]);

		if (m && m->room == f->room && m->flags & EVENT_STATE && !(m->flags & EVENT_REJECTED))
			add_entry(f, s, m, false);
		else
			s->left_out++;
	}
	if (side == SIDE_AFTER)
		TRY(add_itself(f, s, event_id, got));
	if (!s->created)
		return err_new(f->a, ERR_NOT_FOUND, "a state without the room's create event");
	if (s->left_out)
		log_info(f->opt->log, "events of a state that was fetched are left out", F("room_id", f->room_id),
			 F("event_id", event_id), F("events", s->left_out));
	return NULL;
}

static err *from_server(struct fetch *f, str server, str event_id, enum side side, struct prev_state *out)
{
	struct event_list got;
	struct entries entries;
	struct map known;
	struct ids ids;

	TRY(ask_ids(f, server, event_id, &ids));
	vec_push(f->a, &ids.all, event_id);
	TRY(fetch_known(f, ids.all.p, ids.all.n, &known));
	ids.all.n--;
	TRY(complete(f, server, event_id, side, &ids, &known, &got));
	TRY(entries_of(f, event_id, side, &ids, &got, &entries));
	return difference(f, entries.list, entries.n, out);
}

static err *ask_servers(struct fetch *f, str event_id, enum side side, struct prev_state *out)
{
	for (size_t i = 0; i < f->n_servers && clock_mono_us() < f->deadline_us; i++) {
		struct prev_state got = { .event_id = event_id };
		const err *e = from_server(f, f->servers[i], event_id, side, &got);

		if (!e) {
			*out = got;
			return NULL;
		}
		log_info(f->opt->log, "a state could not be had", F("room_id", f->room_id), F("event_id", event_id),
			 F("server", f->servers[i]), F("why", e->msg));
		if (e->code == ERR_STORE || e->code == ERR_INTERNAL)
			return err_keep(f->a, e);
	}
	if (clock_mono_us() >= f->deadline_us)
		f->unanswered = true;
	return fetch_failed(f, "the state at", event_id);
}

err *fetch_state_after(struct fetch *f, str event_id, struct prev_state *out)
{
	return ask_servers(f, event_id, SIDE_AFTER, out);
}

err *fetch_state_at(struct fetch *f, str event_id, struct prev_state *out)
{
	return ask_servers(f, event_id, SIDE_BEFORE, out);
}

/*
 * What is known without asking
 */
void fetch_state_before(struct fetch *f, const struct event_row *row, str prev, struct prev_state *out)
{
	struct state_entry *own = ARENA_NEW(f->a, struct state_entry);

	*own = (struct state_entry){ row->type, row->state_key, row->replaces };
	*out = (struct prev_state){
		.event_id = prev,
		.base = row->root_after,
		.changes = own,
		.n_changes = row->flags & EVENT_STATE && !(row->flags & EVENT_REJECTED),
	};
}

static err *read_gap(struct fetch *f, const struct event_row *row)
{
	struct prev_state *s = ARENA_NEW(f->a, struct prev_state);
	struct event *ev;

	TRY(event_load(f->a, f->rv, row->event_id, row->json, &ev));
	if (ev->n_prev_events != 1)
		return NULL;
	fetch_state_before(f, row, ev->prev_events[0], s);
	map_put(&f->gaps, s->event_id, s);
	return NULL;
}

/* "The room's create event": nothing is before it, and after it the state is it alone. */
static err *read_create(struct fetch *f, struct tx *tx)
{
	const struct rooms *rs = f->opt->rooms;
	struct state_entry *own = ARENA_NEW(f->a, struct state_entry);
	struct prev_state *s = ARENA_NEW(f->a, struct prev_state);
	struct event_row *row;

	own->key = rs->empty;
	TRY(store_intern_find(f->opt->store, f->a, S("m.room.create"), &own->type));
	TRY(store_state_get(tx, f->room, own->type, own->key, &own->event));
	if (!own->event)
		return NULL;
	TRY(store_event_by_nid(tx, own->event, &row));
	if (!row)
		return NULL;
	*s = (struct prev_state){ .event_id = row->event_id, .changes = own, .n_changes = 1 };
	map_put(&f->gaps, s->event_id, s);
	return NULL;
}

static err *read_gaps(struct fetch *f)
{
	VEC(int64_t) nids = { 0 };
	struct event_row **rows;
	struct gap_row *gaps;
	AUTO_TX tx = NULL;
	size_t n;

	map_init(&f->gaps, f->a);
	TRY(store_read(f->opt->store, f->a, &tx));
	TRY(store_gaps(tx, f->room, FETCH_GAPS, &gaps, &n));
	for (size_t i = 0; i < n; i++)
		vec_push(f->a, &nids, gaps[i].event);
	TRY(store_events_by_nids(tx, nids.p, nids.n, &rows, &n));
	for (size_t i = 0; i < n; i++)
		TRY(read_gap(f, rows[i]));
	TRY(read_create(f, tx));
	f->gaps_read = true;
	return NULL;
}

err *fetch_state_known(struct fetch *f, str event_id, bool *out_known, struct prev_state *out)
{
	const struct prev_state *s;

	if (!f->gaps_read)
		TRY(read_gaps(f));
	s = map_get(&f->gaps, event_id);
	*out_known = s != NULL;
	if (s)
		*out = *s;
	return NULL;
}
