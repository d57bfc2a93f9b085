/*
 * event_check.c - events of other servers, many at a time.
 *
 * Four passes: all are parsed; the keys that their signatures name are looked up in memory and store, and asked for
 * only where of a server that must have signed none is there; what must be good is collected; then that is verified, on
 * all cores. So a signature by a key that nobody publishes costs no question while the event has a good one beside it.
 */
#include "federation/event_check.h"

#include "base/metrics.h"
#include "base/pool.h"
#include "federation/internal_key_ring.h"

enum { SLICE = 16 };

enum outcome {
	CHECK_GOOD,
	CHECK_REDACTED,
	CHECK_BAD_FORMAT,
	CHECK_OTHER_ROOM,
	CHECK_NO_KEY,
	CHECK_BAD_SIGNATURE,
	OUTCOMES
};
static struct metric *outcomes[OUTCOMES];

void events_check_count(void)
{
	static const char *const labels[OUTCOMES] = {
		[CHECK_GOOD] = "outcome=\"good\"",
		[CHECK_REDACTED] = "outcome=\"redacted\"",
		[CHECK_BAD_FORMAT] = "outcome=\"bad_format\"",
		[CHECK_OTHER_ROOM] = "outcome=\"other_room\"",
		[CHECK_NO_KEY] = "outcome=\"no_key\"",
		[CHECK_BAD_SIGNATURE] = "outcome=\"bad_signature\"",
	};

	metric_counters(outcomes, OUTCOMES, "hearth_federation_events_checked_total",
			"Events of other servers by what their format, signatures and hash say", labels);
}

/* Those that must be good for an event to be well signed: a part of check.claims. */
struct claimed {
	size_t from, n;
	str lacking;
};
struct check {
	struct key_ring *k;
	struct arena *a;
	const struct room_version *rv;
	str room_id;
	struct checked_event *evs;
	size_t n;
	struct key_set *keys[2]; /* what there was, and what had to be asked for */
	VEC(struct ed25519_claim) claims;
};

static void drop(struct checked_event *ev, enum outcome why, err *e)
{
	metric_add(outcomes[why], 1);
	ev->event = NULL;
	ev->error = e;
}

static void parse(struct check *c, struct checked_event *ev)
{
	err *e = event_parse_json(c->a, c->rv, ev->json, &ev->event);

	ev->error = NULL;
	ev->event_id = e ? STR_NONE : ev->event->event_id;
	if (e)
		drop(ev, CHECK_BAD_FORMAT, e);
	else if (!str_is_none(c->room_id) && !str_eq(ev->event->room_id, c->room_id))
		drop(ev, CHECK_OTHER_ROOM, err_new(c->a, ERR_INVALID_PARAM, "Event is of another room"));
}

/*
 * Keys
 */
typedef VEC(struct key_want) want_list;

static bool is_named(str key_id) { return str_starts(key_id, S("ed25519:")); }

static const struct json *signatures_of(const struct event *ev, str server)
{
	return json_get_object(json_get_object(ev->json, S("signatures")), server);
}

/* v1 to v4: valid_until_ts "MUST be ignored". */
static int64_t valid_at(const struct check *c, const struct event *ev)
{
	return c->rv->key_validity ? ev->origin_server_ts : INT64_MIN;
}

static const struct server_key *find_key(void *ctx, str server, str key_id)
{
	const struct check *c = ctx;
	const struct server_key *key = NULL;

	for (size_t i = ARRAY_LEN(c->keys); i > 0 && !key; i--)
		if (c->keys[i - 1])
			key = key_set_find(c->keys[i - 1], server, key_id);
	return key;
}

static bool has_key(struct check *c, const struct event *ev, str server)
{
	JSON_EACH (signatures_of(ev, server), m) {
		const struct server_key *key = find_key(c, server, m->key);

		if (key && server_key_covers(c->rv, key, ev->origin_server_ts))
			return true;
	}
	return false;
}

/* Of each server that must have signed, and of which there is no key yet. */
static void add_wants(struct check *c, const struct event *ev, want_list *out)
{
	str servers[EVENT_MAX_SIGNERS];
	const size_t n = event_signers(c->rv, ev, servers);

	for (size_t i = 0; i < n; i++) {
		size_t taken = 0;

		if (has_key(c, ev, servers[i]))
			continue;
		JSON_EACH (signatures_of(ev, servers[i]), m) {
			if (taken == EVENT_MAX_KEYS)
				break;
			if (!is_named(m->key))
				continue;
			vec_push(c->a, out,
				 (struct key_want){
					 .server = servers[i], .key_id = m->key, .valid_at = valid_at(c, ev) });
			taken++;
		}
	}
}

static err *get_keys(struct check *c, int64_t deadline_us, struct key_set **out)
{
	want_list wants = { 0 };

	for (size_t i = 0; i < c->n; i++)
		if (c->evs[i].event)
			add_wants(c, c->evs[i].event, &wants);
	return wants.n == 0 ? NULL : key_ring_get(c->k, c->a, wants.p, wants.n, deadline_us, out);
}

/*
 * Signatures
 */
static void claim(struct check *c, const struct event *ev, struct claimed *out)
{
	struct ed25519_claim claims[EVENT_MAX_CLAIMS];

	out->from = c->claims.n;
	out->n = event_claims(c->a, c->rv, ev, find_key, c, claims, &out->lacking);
	for (size_t i = 0; i < out->n; i++)
		vec_push(c->a, &c->claims, claims[i]);
}

static void verify(void *ctx, size_t from, size_t to)
{
	const struct check *c = ctx;

	ed25519_verify_all(c->claims.p + from, to - from);
}

/* Is there a signature of it that only a key is lacking for? */
static bool is_unknown(struct check *c, const struct event *ev, str server)
{
	size_t looked_at = 0;

	JSON_EACH (signatures_of(ev, server), m) {
		if (looked_at++ == EVENT_MAX_KEYS)
			break;
		if (is_named(m->key) && !find_key(c, server, m->key))
			return true;
	}
	return false;
}

static void settle(struct check *c, struct checked_event *ev, const struct claimed *claimed)
{
	const str server = claimed->lacking;
	bool good = str_is_none(server);

	if (!good && is_unknown(c, ev->event, server)) {
		drop(ev, CHECK_NO_KEY,
		     err_new(c->a, ERR_CONNECTION_FAILED, "The key of %.*s could not be had", STR_ARG(server)));
		return;
	}
	for (size_t i = 0; i < claimed->n; i++)
		good = good && c->claims.p[claimed->from + i].good;
	if (!good)
		drop(ev, CHECK_BAD_SIGNATURE, err_new(c->a, ERR_FORBIDDEN, "Event is not validly signed"));
	else
		metric_add(outcomes[ev->event->hash_failed ? CHECK_REDACTED : CHECK_GOOD], 1);
}

static void drop_all(struct check *c, err *e)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->evs[i].event)
			drop(&c->evs[i], CHECK_NO_KEY, e);
}

void events_check(struct key_ring *k, struct pool *pool, struct arena *a, const struct room_version *rv, str room_id,
		  struct checked_event *evs, size_t n, int64_t deadline_us)
{
	struct check c = { .k = k, .a = a, .rv = rv, .room_id = room_id, .evs = evs, .n = n };
	struct claimed *claimed = ARENA_ARRAY(a, struct claimed, n);
	err *e;

	for (size_t i = 0; i < n; i++)
		parse(&c, &evs[i]);
	e = get_keys(&c, 0, &c.keys[0]);
	if (!e)
		e = get_keys(&c, deadline_us, &c.keys[1]);
	if (e) {
		drop_all(&c, e);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (evs[i].event)
			claim(&c, evs[i].event, &claimed[i]);
	if (pool)
		pool_each(pool, c.claims.n, SLICE, verify, &c);
	else
		verify(&c, 0, c.claims.n);
	for (size_t i = 0; i < n; i++)
		if (evs[i].event)
			settle(&c, &evs[i], &claimed[i]);
}

bool events_lack_keys(const struct checked_event *evs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (evs[i].error && evs[i].error->code == ERR_CONNECTION_FAILED)
			return true;
	return false;
}
