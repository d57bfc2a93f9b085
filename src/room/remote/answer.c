/*
 * answer.c - the answer to a join: the room's state and its auth chain, a hundred thousand events and more.
 *
 * Two threads. The caller's takes the bytes from the network, finds where each event begins and ends (json/stream.h)
 * and keeps it as bytes (receive/spool.h): so the network never waits, and no memory is taken by what is not looked at
 * yet. The other one reads what was kept, some hundred events at a time, has them checked on all cores, and gives those
 * that are good to a set of outliers.
 *
 * Keys are not asked for meanwhile: an event whose key is not here is put back. At the end all lacking keys are asked
 * for at once, by one deadline, and what was put back is looked at again; what still lacks a key is dropped, and with
 * it what stands on it. So servers that are gone cost one wait, however many users they had in the room.
 */
#include "room/remote/internal_remote.h"

#include "base/clock.h"
#include "json/stream.h"
#include "room/receive/internal_outlier.h"

enum {
	EVENTS_MOST = 1000000,
	ELEMENT_MOST = 256 << 10, /* an event's JSON, with white space and escapes */
	AT_ONCE = 256,
	KEYS_MS = 30000,
	WANTS_MOST = 50000,
	SPOOL_MEMORY = 16 << 20,
};
#define ANSWER_MOST ((size_t)2 << 30)

enum { TAKE_STATE, TAKE_AUTH, TAKE_EVENT, TAKE_OMITTED };
static const struct json_take takes[] = {
	[TAKE_STATE] = { STR("state"), true, ELEMENT_MOST },
	[TAKE_AUTH] = { STR("auth_chain"), true, ELEMENT_MOST },
	[TAKE_EVENT] = { STR("event"), false, ELEMENT_MOST },
	[TAKE_OMITTED] = { STR("members_omitted"), false, 16 },
};

struct kept { /* an element, as it came */
	uint64_t at;
	uint32_t size;
	bool is_state;
};
struct kept_list {
	struct kept *p;
	size_t n, cap;
};
struct reading {
	struct remote *r;
	struct arena *a; /* of the taking thread */
	const struct made *made;
	struct outliers *set;
	struct json_stream *stream;
	struct spool *raw;
	str event; /* STR_NONE: none came */
	bool omitted;

	struct lock lock;
	struct cond more;
	struct kept_list came; /* lock */
	bool ended, failed;    /* lock: nothing more comes; what came is of no use */
	bool given_up;         /* lock: nothing more is checked */

	/* the checking thread's */
	struct arena *check_a;
	struct kept_list put_back;
	struct map lacking; /* servers of which a key is lacking */
	struct map wanted;  /* "server\0key" -> struct key_want */
	VEC(uint32_t) state;
	size_t dropped;
	err *error;
};

static void keep(struct kept_list *l, struct kept k)
{
	if (l->n == l->cap) {
		l->cap = MAX(2 * l->cap, (size_t)1024);
		l->p = mem_realloc(l->p, l->cap * sizeof(*l->p));
	}
	l->p[l->n++] = k;
}

/*
 * Taking
 */
static err *take_event(struct reading *x, bool is_state, str value)
{
	struct kept k = { .size = (uint32_t)value.n, .is_state = is_state };

	TRY(remote_go_on(x->r, x->a));
	if (x->came.n == EVENTS_MOST) /* this thread alone adds to it */
		return err_new(x->a, ERR_TOO_LARGE, "the room has more than %d events of state", EVENTS_MOST);
	TRY(spool_put(x->raw, x->a, value, &k.at));
	LOCKED(&x->lock);
	if (x->given_up)
		return err_new(x->a, ERR_STORE, "what came cannot be checked");
	keep(&x->came, k);
	if (x->came.n % AT_ONCE == 0)
		cond_signal(&x->more);
	return NULL;
}

static err *take(void *ctx, size_t which, str value)
{
	struct reading *x = ctx;

	switch (which) {
	case TAKE_EVENT:
		x->event = arena_keep(x->a, value);
		return NULL;
	case TAKE_OMITTED:
		x->omitted = str_eq(value, S("true"));
		return NULL;
	default:
		return take_event(x, which == TAKE_STATE, value);
	}
}

static err *feed(void *ctx, str bytes)
{
	struct reading *x = ctx;

	return json_stream_feed(x->stream, x->a, bytes);
}

/*
 * Checking
 */
static void want_keys_of(struct reading *x, const struct json *ev, str server)
{
	const struct json *signatures = json_get_object(json_get_object(ev, S("signatures")), server);
	const bool ever = !x->made->rv->key_validity;
	int64_t ts = INT64_MIN;
	size_t n = 0;

	if (str_is_none(server) || !id_server_name_valid(server))
		return;
	if (!ever)
		(void)json_get_int(ev, S("origin_server_ts"), &ts);
	JSON_EACH (signatures, m) {
		const str key = arena_join3(x->check_a, server, (str){ "\0", 1 }, m->key);
		struct key_want *w = map_get(&x->wanted, key);

		if (n++ == EVENT_MAX_KEYS || x->wanted.n == WANTS_MOST || !str_starts(m->key, S("ed25519:")))
			continue;
		if (!w) {
			w = ARENA_NEW(x->check_a, struct key_want);
			w->server = str_head(key, server.n);
			w->key_id = str_from(key, server.n + 1);
			w->valid_at = ts;
			(void)map_put(&x->wanted, key, w);
			(void)map_put(&x->lacking, w->server, w);
		}
		w->valid_at = MAX(w->valid_at, ts);
	}
}

/* Of the servers that must have signed it: event_signers, of an event that is not parsed. */
static void want_keys(struct reading *x, const struct json *ev)
{
	const struct json *content = json_get_object(ev, S("content"));
	const str sender = json_get_str(ev, S("sender")), id = json_get_str(ev, S("event_id")),
		  voucher = json_get_str(content, S("join_authorised_via_users_server"));

	if (!str_is_none(sender))
		want_keys_of(x, ev, id_server(sender));
	if (!str_is_none(id) && x->made->rv->event_format == EVENT_FORMAT_NAMED)
		want_keys_of(x, ev, id_server(id));
	if (!str_is_none(voucher))
		want_keys_of(x, ev, id_server(voucher));
}

static bool is_lacking(const struct reading *x, const struct json *ev)
{
	const str sender = json_get_str(ev, S("sender"));
	const str server = str_is_none(sender) ? STR_NONE : id_server(sender);

	return !str_is_none(server) && map_get(&x->lacking, server);
}

static err *take_good(struct reading *x, struct arena *a, struct event *ev, bool is_state)
{
	uint32_t rec;

	if (str_eq(ev->event_id,
		   x->made->event->event_id)) /* "The resolved current room state prior to the join event" */
		return NULL;
	TRY(outliers_add(x->set, a, ev, false, &rec));
	if (!is_state)
		return NULL;
	if (event_is(ev, S("m.room.create"), S("")))
		x->set->create_id = arena_keep(x->set->a, ev->event_id);
	vec_push(x->check_a, &x->state, rec);
	return NULL;
}

/* `last`: what lacks a key now lacks it for good. */
static err *check_some(struct reading *x, struct arena *a, const struct kept *list, size_t n, bool last)
{
	struct checked_event *evs = ARENA_ARRAY(a, struct checked_event, n);
	const struct kept **from = ARENA_ARRAY(a, const struct kept *, n);
	size_t n_evs = 0;

	for (size_t i = 0; i < n; i++) {
		struct json *json;
		str text;

		TRY(spool_get(x->raw, a, list[i].at, list[i].size, &text));
		if (json_parse(a, text, &json_limits_request, &json)) {
			x->dropped++;
			continue;
		}
		if (!last && is_lacking(x, json)) {
			want_keys(x, json);
			keep(&x->put_back, list[i]);
			continue;
		}
		from[n_evs] = &list[i];
		evs[n_evs++].json = json;
	}
	events_check(x->r->opt.keys, x->r->opt.pool, a, x->made->rv, x->set->room_id, evs, n_evs, 0);
	for (size_t i = 0; i < n_evs; i++) {
		if (evs[i].event) {
			TRY(take_good(x, a, evs[i].event, from[i]->is_state));
		} else if (!last && evs[i].error->code == ERR_CONNECTION_FAILED) {
			want_keys(x, evs[i].json);
			keep(&x->put_back, *from[i]);
		} else {
			x->dropped++;
		}
	}
	return NULL;
}

/* The next of what came: waits for it. The elements are copied: the list may move. */
static size_t next_come(struct reading *x, size_t at, struct kept out[AT_ONCE])
{
	size_t n;

	LOCKED(&x->lock);
	while (!x->ended && x->came.n < at + AT_ONCE)
		cond_wait(&x->more, &x->lock);
	if (x->failed)
		return 0;
	n = MIN(x->came.n - at, (size_t)AT_ONCE);
	if (n)
		memcpy(out, x->came.p + at, n * sizeof(*out));
	return n;
}

static err *check_scratch(struct reading *x, struct arena *scratch, const struct kept *list, size_t n, bool last)
{
	const err *e;

	arena_reset(scratch);
	TRY(remote_go_on(x->r, x->check_a));
	e = check_some(x, scratch, list, n, last);
	return e ? err_keep(x->check_a, e) : NULL;
}

static err *fetch_keys(struct reading *x)
{
	struct key_want *wants = ARENA_ARRAY(x->check_a, struct key_want, x->wanted.n);
	struct key_set *set;
	size_t n = 0;
	void *w;
	str key;

	for (size_t i = 0; map_next(&x->wanted, &i, &key, &w);)
		wants[n++] = *(struct key_want *)w;
	return key_ring_get(x->r->opt.keys, x->check_a, wants, n, clock_mono_us() + INT64_C(1000) * KEYS_MS, &set);
}

static err *check_all(struct reading *x)
{
	AUTO_ARENA scratch = arena_new();
	struct kept some[AT_ONCE];
	size_t n;

	for (size_t at = 0; (n = next_come(x, at, some)) > 0; at += n)
		TRY(check_scratch(x, scratch, some, n, false));
	if (x->failed) /* set before the last of the waits above ended */
		return NULL;
	if (x->put_back.n)
		TRY(fetch_keys(x));
	for (size_t at = 0; at < x->put_back.n; at += n) {
		n = MIN(x->put_back.n - at, (size_t)AT_ONCE);
		TRY(check_scratch(x, scratch, x->put_back.p + at, n, true));
	}
	return NULL;
}

static void check_main(void *arg)
{
	struct reading *x = arg;

	x->error = check_all(x);
	LOCKED(&x->lock);
	x->given_up = x->error != NULL;
}

/*
 * Our own event as it came back
 */

/* "The membership event sent to other servers by the resident server including a signature from the resident server.
 * Required if the room is restricted and the joining user is authorised by one of the conditions." */
static err *own_event(struct reading *x, str server, struct event **out)
{
	const struct made *made = x->made;
	struct checked_event back = { 0 };
	struct json *json;

	*out = made->event;
	if (str_is_none(x->event)) {
		if (str_is_none(made->voucher))
			return NULL;
		return err_new(x->a, ERR_CONNECTION_FAILED, "%.*s did not sign for our user", STR_ARG(server));
	}
	TRY(json_parse(x->a, x->event, &json_limits_request, &json));
	back.json = json;
	events_check(x->r->opt.keys, x->r->opt.pool, x->a, made->rv, x->set->room_id, &back, 1,
		     clock_mono_us() + INT64_C(1000) * REMOTE_KEYS_MS);
	/* It has our signature, so it says what we said, but for what no signature covers. */
	if (back.event && !back.event->hash_failed && str_eq(back.event->event_id, made->event->event_id) &&
	    str_eq(event_signed_bytes(x->a, made->rv, back.event), event_signed_bytes(x->a, made->rv, made->event))) {
		*out = back.event;
		return NULL;
	}
	if (str_is_none(made->voucher))
		return NULL;
	return err_new(x->a, ERR_CONNECTION_FAILED, "%.*s did not sign what we asked for", STR_ARG(server));
}

static err *ask(struct reading *x, str server, str begin)
{
	struct fed_call call = {
		.destination = server,
		.method = S("PUT"),
		.path = remote_send_path(x->a, begin, x->made->event),
		.content = x->made->event->json,
		.patience = FED_ANYWAY,
		.patient = true,
		.max_bytes = ANSWER_MOST,
		.take = feed,
		.take_ctx = x,
	};

	return fed_one(x->r->opt.fed, x->a, &call, clock_mono_us() + INT64_C(1000) * REMOTE_JOIN_MS);
}

static err *call_server(struct reading *x, str server)
{
	struct thread *checker = thread_start("join", check_main, x);
	err *e = ask(x, server, S("/_matrix/federation/v2/send_join/"));

	/* Servers from before version 2, whose rooms have the oldest form. */
	if (e && e->code == ERR_UNRECOGNIZED && x->made->rv->event_format == EVENT_FORMAT_NAMED) {
		json_stream_in_pair(x->stream);
		e = ask(x, server, S("/_matrix/federation/v1/send_join/"));
	}
	if (!e)
		e = json_stream_end(x->stream, x->a);
	lock_take(&x->lock);
	x->ended = true;
	x->failed = e != NULL;
	cond_broadcast(&x->more);
	lock_drop(&x->lock);
	thread_join(&checker);
	if (x->error) /* it is why the reading ended */
		e = err_keep(x->a, x->error);
	if (!e && x->omitted)
		e = err_new(x->a, ERR_CONNECTION_FAILED, "%.*s left members out of the room's state", STR_ARG(server));
	return e;
}

static void reading_begin(struct reading *x)
{
	x->stream = json_stream_new(takes, ARRAY_LEN(takes), take, x);
	x->raw = spool_new(x->r->opt.spool_folder, SPOOL_MEMORY);
	x->event = STR_NONE;
	lock_init(&x->lock, RANK_SERVICE);
	cond_init(&x->more);
	x->check_a = arena_new();
	map_init(&x->lacking, NULL);
	map_init(&x->wanted, NULL);
}

static void reading_end(struct reading *x)
{
	json_stream_free(&x->stream);
	spool_free(&x->raw);
	cond_done(&x->more);
	lock_done(&x->lock);
	map_done(&x->lacking);
	map_done(&x->wanted);
	mem_free(x->came.p);
	mem_free(x->put_back.p);
	arena_free(&x->check_a);
}

static err *read_answer(struct reading *x, str server, struct joined *out)
{
	TRY(call_server(x, server));
	TRY(own_event(x, server, &out->event));
	out->state = ARENA_ARRAY(x->a, uint32_t, x->state.n);
	if (x->state.n)
		memcpy(out->state, x->state.p, x->state.n * sizeof(*out->state));
	out->n_state = x->state.n;
	out->dropped = x->dropped;
	return NULL;
}

err *remote_send_join(struct remote *r, struct arena *a, const struct made *made, str server, struct outliers *set,
		      struct joined *out)
{
	struct reading x = { .r = r, .a = a, .made = made, .set = set };
	err *e;

	*out = (struct joined){ .set = set };
	reading_begin(&x);
	e = read_answer(&x, server, out);
	reading_end(&x);
	return e;
}
