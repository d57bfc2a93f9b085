/*
 * key_fetch.c - other servers' keys over the network.
 *
 * Notaries first, where there are any: one question for many servers, who may be gone. A notary's answer has to bear
 * its signature, which shows that it saw the list, and the server's own. Then each server that is still lacking
 * something is asked itself, many at a time; there TLS shows whose list it is.
 *
 * What an answer brings is in memory at once, and those who wait for it go on. A server counts as being asked until its
 * list was stored.
 */
#include "base/clock.h"
#include "base/log.h"
#include "federation/internal_key_ring.h"

struct flight {
	struct fed_call call; /* first: a batch gives it back */
	struct arena *a;
	size_t at; /* which of them */
	bool under_way;
};
struct fetch {
	struct key_ring *k;
	struct key_ask **asks;
	size_t n;
	struct key_saving saving;
	struct key_ask *stored[KEY_RING_SAVE]; /* asked, and their lists wait for being stored */
	size_t n_stored;
	const struct key_notary *notary; /* who is being asked; one of a server's several keys */
	const struct named_key *notary_keys;
	size_t n_notary_keys;
	void (*begin)(struct fetch *f, struct flight *x);
	void (*end)(struct fetch *f, struct flight *x);
};

static void release(struct key_ring *k, struct key_ask *const *asks, size_t n)
{
	LOCKED(&k->lock);
	for (size_t i = 0; i < n; i++) {
		if (asks[i]->ours)
			key_cache_make(k, asks[i]->server)->busy = false;
		asks[i]->ours = false;
	}
	cond_broadcast(&k->news);
}

static void store_news(struct fetch *f)
{
	key_save_flush(&f->saving);
	release(f->k, f->stored, f->n_stored);
	f->n_stored = 0;
}

/* So many calls, a number of them at once; all have ended, or the time is over. */
static void fly(struct fetch *f, size_t n, size_t width, int64_t deadline_us)
{
	struct flight flights[KEY_RING_FLIGHTS] = { 0 };
	struct fed_batch *batch = fed_batch_new(f->k->opt.fed);
	size_t started = 0, running = 0;

	while (clock_mono_us() < deadline_us) {
		struct flight *x;

		for (size_t i = 0; i < width && started < n; i++) {
			if (flights[i].under_way)
				continue;
			if (!flights[i].a)
				flights[i].a = arena_new();
			arena_reset(flights[i].a);
			flights[i].call = (struct fed_call){ .is_unsigned = true };
			flights[i].at = started++;
			flights[i].under_way = true;
			f->begin(f, &flights[i]);
			running++;
			fed_batch_start(batch, flights[i].a, &flights[i].call,
					MIN(deadline_us, clock_mono_us() + KEY_RING_WAIT_US));
		}
		if (running == 0)
			break;
		x = (struct flight *)fed_batch_next(batch, 0);
		if (!x) {
			store_news(f);
			x = (struct flight *)fed_batch_next(batch, deadline_us);
		}
		if (!x)
			continue;
		f->end(f, x);
		x->under_way = false;
		running--;
	}
	fed_batch_free(&batch);
	store_news(f);
	for (size_t i = 0; i < width; i++)
		arena_free(&flights[i].a);
}

/*
 * A list
 */
static void learn(struct fetch *f, struct arena *a, struct key_ask *ask, const struct json *list,
		  const struct server_keys *keys, bool direct)
{
	struct server_key_document doc = { ask->server, list->raw, f->k->opt.now(), keys->valid_until_ts };
	struct server_key_row *changed;
	struct ring_server *s;
	size_t n;

	lock_take(&f->k->lock);
	s = key_cache_make(f->k, ask->server);
	if (direct)
		key_cache_asked(s, doc.received_at, true);
	key_cache_learn(f->k, a, s, keys, direct, &changed, &n);
	cond_broadcast(&f->k->news);
	lock_drop(&f->k->lock);
	key_save(&f->saving, &doc, changed, n);
}

/*
 * The server itself
 */
static void begin_direct(struct fetch *f, struct flight *x)
{
	x->call.destination = f->asks[x->at]->server;
	x->call.path = S("/_matrix/key/v2/server");
	x->call.patience = f->asks[x->at]->speaks ? FED_ANYWAY : FED_ASK;
	x->call.max_bytes = KEY_RING_DOCUMENT_MAX;
}

static void note_failure(struct key_ring *k, str server, const err *e)
{
	log_info(k->opt.log, "keys of another server could not be had", F("server", server), F("error", e->msg));
	LOCKED(&k->lock);
	key_cache_asked(key_cache_make(k, server), k->opt.now(), false);
}

static void end_direct(struct fetch *f, struct flight *x)
{
	struct key_ask *ask = f->asks[x->at];
	struct server_keys keys;
	err *e = x->call.error;

	metric_add(e ? ring_metrics.failed : ring_metrics.lists, 1);
	if (!e) {
		e = server_keys_read(x->a, x->call.answer, ask->server, f->k->opt.now(), &keys);
		if (e)
			metric_add(ring_metrics.bad, 1);
	}
	if (e)
		note_failure(f->k, ask->server, e);
	else
		learn(f, x->a, ask, x->call.answer, &keys, true);
	f->stored[f->n_stored++] = ask;
	if (f->n_stored == KEY_RING_SAVE)
		store_news(f);
}

static void ask_servers(struct fetch *f, int64_t deadline_us)
{
	f->begin = begin_direct;
	f->end = end_direct;
	fly(f, f->n, KEY_RING_FLIGHTS, deadline_us);
	/* What was not even begun when the time was over is not asked for again at once, either. */
	for (size_t i = 0; i < f->n; i++)
		if (f->asks[i]->ours)
			note_failure(f->k, f->asks[i]->server, &(err){ .msg = S("there was no time left") });
}

/*
 * Notaries
 */
static struct json *criteria(struct arena *a, const struct key_want *w)
{
	struct json *o = json_new_object(a);

	json_set(a, o, S("minimum_valid_until_ts"), json_new_int(a, MAX(w->valid_at, 0)));
	return o;
}

static size_t first_of(const struct flight *x) { return x->at * KEY_RING_NOTARY_SERVERS; }
static size_t end_of(const struct fetch *f, const struct flight *x)
{
	return MIN(first_of(x) + KEY_RING_NOTARY_SERVERS, f->n);
}

static void begin_notary(struct fetch *f, struct flight *x)
{
	struct json *content = json_new_object(x->a), *servers = json_new_object(x->a);

	for (size_t i = first_of(x); i < end_of(f, x); i++) {
		struct json *keys = json_new_object(x->a);

		for (size_t w = 0; w < f->asks[i]->wants.n; w++)
			if (!str_is_none(f->asks[i]->wants.p[w]->key_id))
				json_set(x->a, keys, f->asks[i]->wants.p[w]->key_id,
					 criteria(x->a, f->asks[i]->wants.p[w]));
		json_set(x->a, servers, f->asks[i]->server, keys);
	}
	json_set(x->a, content, S("server_keys"), servers);
	x->call.destination = f->notary->server_name;
	x->call.method = S("POST");
	x->call.path = S("/_matrix/key/v2/query");
	x->call.content = content;
}

static bool is_notarised(const struct fetch *f, struct arena *a, const struct json *list)
{
	const str name = f->notary->server_name;
	const struct json *signatures = json_get_object(json_get_object(list, S("signatures")), name);

	for (size_t i = 0; i < f->n_notary_keys; i++)
		if (json_get(signatures, f->notary_keys[i].key_id) &&
		    sign_verify(a, list, name, f->notary_keys[i].key_id, f->notary_keys[i].key.public_key))
			return true;
	return false;
}

static struct key_ask *asked_for(const struct fetch *f, const struct flight *x, str server)
{
	for (size_t i = first_of(x); i < end_of(f, x); i++)
		if (str_eq(f->asks[i]->server, server))
			return f->asks[i];
	return NULL;
}

static void take_list(struct fetch *f, struct flight *x, const struct json *list)
{
	struct key_ask *ask = asked_for(f, x, json_get_str(list, S("server_name")));
	struct server_keys keys;

	if (!ask || list->raw.n > KEY_RING_DOCUMENT_MAX)
		return;
	if (!is_notarised(f, x->a, list) || server_keys_read(x->a, list, ask->server, f->k->opt.now(), &keys)) {
		metric_add(ring_metrics.bad, 1);
		return;
	}
	metric_add(ring_metrics.notary_lists, 1);
	learn(f, x->a, ask, list, &keys, false);
}

static void end_notary(struct fetch *f, struct flight *x)
{
	const struct json *lists = json_get_array(x->call.answer, S("server_keys"));
	const size_t most = (end_of(f, x) - first_of(x)) * KEY_RING_NOTARY_LISTS;

	if (x->call.error || !lists) {
		metric_add(ring_metrics.notary_failed, 1);
		log_warn(f->k->opt.log, "a notary gave no keys", F("server", f->notary->server_name),
			 F("error", x->call.error ? x->call.error->msg : S("its answer has no server_keys")));
		return;
	}
	JSON_ITEMS (lists, i) {
		if (i < most)
			take_list(f, x, lists->array.items[i]);
	}
}

/* The keys that it may sign with: those of the settings, or what it publishes. */
static void find_notary_keys(struct fetch *f, struct arena *a, const struct key_notary *notary, size_t n)
{
	const struct ring_server *s;
	struct named_key *keys = ARENA_ARRAY(a, struct named_key, n + SERVER_KEYS_MAX);
	const int64_t now = f->k->opt.now();
	size_t n_keys = 0;

	for (size_t i = 0; i < n && !str_is_none(notary[i].key_id); i++) {
		keys[n_keys].key_id = notary[i].key_id;
		memcpy(keys[n_keys++].key.public_key, notary[i].public_key, sizeof(notary[i].public_key));
	}
	f->notary = notary;
	f->notary_keys = keys;
	f->n_notary_keys = n_keys;
	if (n_keys > 0)
		return;
	LOCKED(&f->k->lock);
	s = key_cache_find(f->k, notary->server_name);
	for (size_t i = 0; s && i < s->n; i++)
		if (!s->keys[i].key.old && s->keys[i].key.until >= now) {
			keys[f->n_notary_keys] = s->keys[i];
			keys[f->n_notary_keys++].key_id = arena_keep(a, s->keys[i].key_id);
		}
}

/* Those who have all that they want are done; the others stay in f->asks. */
static void leave_out_answered(struct fetch *f)
{
	struct key_ask **done = f->asks;
	size_t n_done = 0;

	lock_take(&f->k->lock);
	for (size_t i = 0; i < f->n; i++)
		if (key_cache_has(key_cache_find(f->k, f->asks[i]->server), f->asks[i], f->k->opt.now())) {
			struct key_ask *ask = f->asks[i];

			f->asks[i] = done[n_done];
			done[n_done++] = ask;
		}
	lock_drop(&f->k->lock);
	release(f->k, done, n_done);
	f->asks += n_done;
	f->n -= n_done;
}

static size_t keys_of_notary(const struct key_ring *k, size_t at)
{
	size_t n = 1;

	while (at + n < k->opt.n_notaries &&
	       str_eq(k->opt.notaries[at + n].server_name, k->opt.notaries[at].server_name))
		n++;
	return n;
}

/* In f->asks those that notaries may be asked for come first. */
static void ask_notaries(struct fetch *f, struct arena *a, int64_t deadline_us)
{
	const struct key_ring *k = f->k;
	struct fetch part = *f;
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		if (!f->asks[i]->direct) {
			struct key_ask *ask = f->asks[i];

			f->asks[i] = f->asks[n];
			f->asks[n++] = ask;
		}
	part.n = n;
	for (size_t i = 0; i < k->opt.n_notaries && part.n > 0; i += keys_of_notary(k, i)) {
		find_notary_keys(&part, a, &k->opt.notaries[i], keys_of_notary(k, i));
		if (part.n_notary_keys == 0)
			continue;
		part.begin = begin_notary;
		part.end = end_notary;
		fly(&part, (part.n + KEY_RING_NOTARY_SERVERS - 1) / KEY_RING_NOTARY_SERVERS, 4, deadline_us);
		leave_out_answered(&part);
	}
	f->saving = part.saving;
	f->n -= (size_t)(part.asks - f->asks);
	f->asks = part.asks;
}

void key_fetch(struct key_ring *k, struct key_ask *const *asks, size_t n, int64_t deadline_us)
{
	AUTO_ARENA a = arena_new();
	struct fetch f = { .k = k, .asks = ARENA_ARRAY(a, struct key_ask *, n), .n = n };

	memcpy(f.asks, asks, n * sizeof(struct key_ask *));
	key_save_begin(&f.saving, k);
	ask_notaries(&f, a, deadline_us);
	ask_servers(&f, deadline_us);
	key_save_end(&f.saving);
	release(k, asks, n);
}
