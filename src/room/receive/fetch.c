/*
 * fetch.c - asking other servers for events.
 *
 * Nothing that an answer says is believed but what the events prove: an event is taken by its own id and signatures,
 * and where it was asked for by id, by that id. How many events of an answer are looked at is bounded, as is each
 * answer's size (fed.h).
 */
#include "room/receive/internal_fetch.h"

#include "base/clock.h"
#include "base/log.h"
#include "room/internal_room.h"
#include "room/receive/outlier.h"

static const int64_t call_us = INT64_C(20) * 1000000;

static int64_t call_deadline(const struct fetch *f) { return MIN(f->deadline_us, clock_mono_us() + call_us); }

static void ask(struct fetch *f, struct fed_call *calls, size_t n)
{
	const struct fetch_hooks *h = f->opt->hooks;

	if (h)
		h->ask(h->ctx, f->a, calls, n, call_deadline(f));
	else
		fed_all(f->opt->fed, f->a, calls, n, call_deadline(f));
}

/* No answer at all, none that says anything of what was asked for (our proof was not believed, what came is no JSON),
 * or a failure of the server's own: another time it may say something else. */
static bool is_silence(const struct fed_call *c)
{
	return c->error && (c->status < 400 || c->status >= 500 || c->status == 401 || c->status == 429);
}

err *fetch_ask(struct fetch *f, struct fed_call *call)
{
	ask(f, call, 1);
	f->unanswered = f->unanswered || is_silence(call);
	return call->error;
}

static void check(struct fetch *f, struct arena *a, struct checked_event *evs, size_t n)
{
	const struct fetch_hooks *h = f->opt->hooks;

	if (h)
		h->check(h->ctx, a, f->rv, f->room_id, evs, n, call_deadline(f));
	else
		events_check(f->opt->keys, f->opt->pool, a, f->rv, f->room_id, evs, n, call_deadline(f));
}

/*
 * Whom to ask
 */
static void add_server(struct fetch *f, str server)
{
	if (str_is_empty(server) || f->n_servers == FETCH_SERVERS ||
	    str_eq(server, rooms_options(f->opt->rooms)->signer.server_name))
		return;
	for (size_t i = 0; i < f->n_servers; i++)
		if (str_eq(f->servers[i], server))
			return;
	f->servers[f->n_servers++] = arena_keep(f->a, server);
}

/* Those with most members are likeliest to have been there for long; and to be up. */
static err *add_members_servers(struct fetch *f)
{
	AUTO_TX tx = NULL;
	int64_t *servers;
	size_t n;

	TRY(store_read(f->opt->store, f->a, &tx));
	TRY(store_room_servers_top(tx, f->room, FETCH_SERVERS + 2, &servers, &n));
	for (size_t i = 0; i < n; i++) {
		str name;

		TRY(store_intern_text(f->opt->store, f->a, servers[i], &name));
		add_server(f, name);
	}
	return NULL;
}

err *fetch_begin(struct fetch *f, const struct fetch_options *opt, struct arena *a, str room_id, str first, str second,
		 int64_t deadline_us)
{
	*f = (struct fetch){ .opt = opt, .a = a, .deadline_us = deadline_us };
	f->room_id = arena_keep(a, room_id);
	TRY(rooms_find(opt->rooms, a, room_id, &f->room, &f->rv));
	if (!f->room)
		return err_new(a, ERR_NOT_FOUND, "no such room");
	add_server(f, first);
	add_server(f, second);
	return add_members_servers(f);
}

err *fetch_failed(const struct fetch *f, const char *what, str event_id)
{
	return err_new(f->a, f->unanswered ? ERR_CONNECTION_FAILED : ERR_NOT_FOUND, "%s %.*s: %s", what,
		       STR_ARG(event_id), f->unanswered ? "not everybody answers" : "nobody has it");
}

/*
 * Lists of events
 */
void event_list_init(struct event_list *l, struct arena *a)
{
	*l = (struct event_list){ 0 };
	map_init(&l->by_id, a);
}

bool event_list_add(struct arena *a, struct event_list *l, struct event *ev)
{
	if (map_get(&l->by_id, ev->event_id))
		return false;
	map_put(&l->by_id, ev->event_id, ev);
	vec_push(a, &l->list, ev);
	return true;
}

void fetch_check_in(struct fetch *f, struct arena *a, str server, struct checked_event *evs, size_t n)
{
	const err *first = NULL;
	size_t dropped = 0;

	check(f, a, evs, n);
	for (size_t i = 0; i < n; i++) {
		if (evs[i].event)
			continue;
		f->unanswered = f->unanswered || evs[i].error->code == ERR_CONNECTION_FAILED;
		first = first ? first : evs[i].error;
		dropped++;
	}
	if (first)
		log_info(f->opt->log, "events that were asked for are dropped", F("room_id", f->room_id),
			 F("server", server), F("n", dropped), F("the_first", first->msg));
}

void fetch_check(struct fetch *f, str server, const struct json *const *events, size_t n, struct event_list *out)
{
	struct checked_event *evs = ARENA_ARRAY(f->a, struct checked_event, n);

	for (size_t i = 0; i < n; i++)
		evs[i].json = events[i];
	fetch_check_in(f, f->a, server, evs, n);
	for (size_t i = 0; i < n; i++)
		if (evs[i].event)
			event_list_add(f->a, out, evs[i].event);
}

static void take_events(struct fetch *f, str server, const struct json *array, struct event_list *out)
{
	if (json_is(array, JSON_ARRAY))
		fetch_check(f, server, (const struct json *const *)array->array.items,
			    MIN(array->array.n, (size_t)FETCH_ANSWER_EVENTS), out);
}

static size_t count_of(const struct json *array) { return json_is(array, JSON_ARRAY) ? array->array.n : 0; }

/*
 * Questions
 */
static struct json *id_list(struct arena *a, const str *ids, size_t n)
{
	struct json *list = json_new_array(a);

	for (size_t i = 0; i < n; i++)
		json_append(a, list, json_new_str(a, ids[i]));
	return list;
}

err *fetch_missing_events(struct fetch *f, str server, const str *earliest, size_t n_earliest, const str *latest,
			  size_t n_latest, struct event_list *out, size_t *out_given)
{
	struct json *content = json_new_object(f->a);
	struct fed_call call = {
		.destination = server,
		.method = S("POST"),
		.path = fed_path(f->a, S("/_matrix/federation/v1/get_missing_events/"), f->room_id, STR_NONE),
		.content = content,
	};
	const struct json *events;

	json_set(f->a, content, S("earliest_events"), id_list(f->a, earliest, n_earliest));
	json_set(f->a, content, S("latest_events"), id_list(f->a, latest, n_latest));
	json_set(f->a, content, S("limit"), json_new_int(f->a, FETCH_MISSING_LIMIT));
	/* "The minimum depth of events to retrieve": depth is what peers write. */
	json_set(f->a, content, S("min_depth"), json_new_int(f->a, 0));
	TRY(fetch_ask(f, &call));
	events = json_get_array(call.answer, S("events"));
	*out_given = count_of(events);
	take_events(f, server, events, out);
	return NULL;
}

err *fetch_backfill(struct fetch *f, str server, const str *from, size_t n, size_t limit, struct event_list *out,
		    size_t *out_given)
{
	struct fed_call call = {
		.destination = server,
		.path = fed_path(f->a, S("/_matrix/federation/v1/backfill/"), f->room_id, STR_NONE),
	};
	const struct json *events;

	for (size_t i = 0; i < n; i++)
		call.path = fed_query(f->a, call.path, "v", from[i]);
	call.path = fed_query(f->a, call.path, "limit", arena_printf(f->a, "%zu", limit));
	TRY(fetch_ask(f, &call));
	events = json_get_array(call.answer, S("pdus"));
	*out_given = count_of(events);
	take_events(f, server, events, out);
	return NULL;
}

err *fetch_event_auth(struct fetch *f, str server, str event_id, struct event_list *out)
{
	struct fed_call call = {
		.destination = server,
		.path = fed_path(f->a, S("/_matrix/federation/v1/event_auth/"), f->room_id, event_id, STR_NONE),
	};

	TRY(fetch_ask(f, &call));
	take_events(f, server, json_get_array(call.answer, S("auth_chain")), out);
	return NULL;
}

err *fetch_at_time(struct fetch *f, str server, int64_t ts, bool forwards, str *out_event_id)
{
	struct fed_call call = {
		.destination = server,
		.path = fed_path(f->a, S("/_matrix/federation/v1/timestamp_to_event/"), f->room_id, STR_NONE),
	};
	str id;

	call.path = fed_query(f->a, call.path, "ts", arena_printf(f->a, "%" PRId64, ts));
	call.path = fed_query(f->a, call.path, "dir", forwards ? S("f") : S("b"));
	TRY(fetch_ask(f, &call));
	id = json_get_str(call.answer, S("event_id"));
	if (str_is_empty(id) || id.n > ID_MAX)
		return err_new(f->a, ERR_BAD_JSON, "the answer names no event");
	*out_event_id = id;
	return NULL;
}

static err *fetch_some(struct fetch *f, str server, const str *ids, size_t n, struct event_list *out)
{
	struct fed_call *calls = ARENA_ARRAY(f->a, struct fed_call, n);
	struct checked_event *evs = ARENA_ARRAY(f->a, struct checked_event, n);
	size_t silent = 0, n_evs = 0;
	str *asked = ARENA_ARRAY(f->a, str, n);

	for (size_t i = 0; i < n; i++)
		calls[i] = (struct fed_call){
			.destination = server,
			.path = fed_path(f->a, S("/_matrix/federation/v1/event/"), ids[i], STR_NONE),
		};
	ask(f, calls, n);
	for (size_t i = 0; i < n; i++) {
		const struct json *pdus = json_get_array(calls[i].answer, S("pdus"));

		silent += is_silence(&calls[i]);
		if (calls[i].error || count_of(pdus) == 0)
			continue;
		asked[n_evs] = ids[i];
		evs[n_evs++].json = pdus->array.items[0];
	}
	f->unanswered = f->unanswered || silent > 0;
	check(f, f->a, evs, n_evs);
	for (size_t i = 0; i < n_evs; i++) {
		if (!evs[i].event)
			f->unanswered = f->unanswered || evs[i].error->code == ERR_CONNECTION_FAILED;
		else if (str_eq(evs[i].event->event_id, asked[i]))
			event_list_add(f->a, out, evs[i].event);
	}
	return n && silent == n ? calls[0].error : NULL;
}

err *fetch_events(struct fetch *f, str server, const str *ids, size_t n, struct event_list *out)
{
	for (size_t i = 0; i < n; i += FETCH_AT_ONCE) {
		if (clock_mono_us() >= f->deadline_us)
			return err_new(f->a, ERR_CONNECTION_TIMEOUT, "there is no time left");
		TRY(fetch_some(f, server, ids + i, MIN(n - i, (size_t)FETCH_AT_ONCE), out));
	}
	return NULL;
}

/*
 * What is here
 */
enum { KNOWN_CHUNK = 500 };

err *fetch_known(struct fetch *f, const str *ids, size_t n, struct map *out)
{
	map_init(out, f->a);
	for (size_t i = 0; i < n; i += KNOWN_CHUNK) {
		struct event_mark *found;
		AUTO_TX tx = NULL;
		size_t n_found;

		TRY(store_read(f->opt->store, f->a, &tx));
		TRY(store_event_marks(tx, ids + i, MIN(n - i, (size_t)KNOWN_CHUNK), &found, &n_found));
		for (size_t k = 0; k < n_found; k++)
			map_put(out, found[k].event_id, &found[k]);
	}
	return NULL;
}

/*
 * Auth events
 */
struct auth_search {
	struct fetch *f;
	const struct event_list *with;
	struct event_list got;
	struct map seen;
	VEC(str) lacking;
};

/* What these events name, is not stored, and was not asked for yet. */
static err *look(struct auth_search *s, struct event *const *events, size_t n)
{
	VEC(str) ids = { 0 };
	struct map known;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < events[i]->n_auth_events; k++)
			if (!map_put(&s->seen, events[i]->auth_events[k], s))
				vec_push(s->f->a, &ids, events[i]->auth_events[k]);
	TRY(fetch_known(s->f, ids.p, ids.n, &known));
	for (size_t i = 0; i < ids.n; i++)
		if (!map_get(&known, ids.p[i]) && !map_get(&s->with->by_id, ids.p[i]))
			vec_push(s->f->a, &s->lacking, ids.p[i]);
	return NULL;
}

/* The whole chain in one answer, by an event that lacks some of it: usually that is all there is to ask. */
static void ask_chain(struct auth_search *s, struct event *const *events, size_t n)
{
	struct event_list chain;

	event_list_init(&chain, s->f->a);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < events[i]->n_auth_events; k++) {
			if (!str_eq(events[i]->auth_events[k], s->lacking.p[0]))
				continue;
			(void)!fetch_event_auth(s->f, s->f->servers[0], events[i]->event_id, &chain);
			i = n - 1;
			break;
		}
	for (size_t i = 0; i < chain.list.n; i++)
		if (!map_get(&s->with->by_id, chain.list.p[i]->event_id))
			event_list_add(s->f->a, &s->got, chain.list.p[i]);
}

static err *ask_lacking(struct auth_search *s)
{
	struct fetch *f = s->f;

	for (size_t server = 0; server < f->n_servers; server++) {
		size_t left = 0;

		for (size_t i = 0; i < s->lacking.n; i++)
			if (!map_get(&s->got.by_id, s->lacking.p[i]))
				s->lacking.p[left++] = s->lacking.p[i];
		s->lacking.n = left;
		if (left == 0)
			break;
		f->auth_fetched += left;
		if (f->auth_fetched > FETCH_AUTH_MOST)
			return err_new(f->a, ERR_TOO_LARGE, "too many auth events are missing");
		(void)!fetch_events(f, f->servers[server], s->lacking.p, left, &s->got);
	}
	s->lacking.n = 0; /* what is still lacking is not to be had */
	return NULL;
}

/* An event that is about to be stored, and that one of those fetched stands on, is stored with them: it gets its place
 * afterwards. */
static void add_named(struct auth_search *s)
{
	for (size_t i = 0; i < s->got.list.n; i++)
		for (size_t k = 0; k < s->got.list.p[i]->n_auth_events; k++) {
			struct event *ev = map_get(&s->with->by_id, s->got.list.p[i]->auth_events[k]);

			if (ev)
				event_list_add(s->f->a, &s->got, ev);
		}
}

err *fetch_store_outliers(struct fetch *f, const struct event_list *l)
{
	struct outlier *list = ARENA_ARRAY(f->a, struct outlier, l->list.n);
	size_t n = 0;

	for (size_t i = 0; i < l->list.n; i++)
		if (event_is_state(l->list.p[i])) /* messages are in no state and nobody's auth chain */
			list[n++].event = l->list.p[i];
	return outliers_store(f->opt->rooms, f->a, f->room, f->rv, list, n);
}

err *fetch_auth(struct fetch *f, struct event *const *events, size_t n, const struct event_list *with)
{
	struct auth_search s = { .f = f, .with = with };
	size_t looked = 0;

	event_list_init(&s.got, f->a);
	map_init(&s.seen, f->a);
	TRY(look(&s, events, n));
	if (s.lacking.n == 0 || f->n_servers == 0)
		return NULL;
	ask_chain(&s, events, n);
	for (unsigned round = 0; round < FETCH_AUTH_ROUNDS && (s.lacking.n || looked < s.got.list.n); round++) {
		TRY(ask_lacking(&s));
		TRY(look(&s, s.got.list.p + looked, s.got.list.n - looked));
		looked = s.got.list.n;
	}
	add_named(&s);
	return fetch_store_outliers(f, &s.got);
}
