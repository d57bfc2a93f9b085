/*
 * key_ring.c - whose key is asked of whom, and who waits for whom.
 *
 * What is wanted is sorted by server. What memory and the store do not have is asked for by the first who wants it
 * (key_fetch.c); whoever comes meanwhile waits for the same outcome, and asks himself only for what it did not bring.
 * This server's own keys are answered here and never asked for.
 */
#include "federation/key_ring.h"

#include "base/clock.h"
#include "federation/internal_key_ring.h"
#include "matrix/id.h"

#include <assert.h>

struct ring_metrics ring_metrics;

static struct metric *count(const char *labels)
{
	return metric_counter("hearth_federation_key_lists_total", "Lists of other servers' keys, asked for", labels);
}

/* Metrics live for ever, services do not have to. */
static void count_outcomes(void)
{
	events_check_count();
	request_check_count();
	if (ring_metrics.lists)
		return;
	ring_metrics = (struct ring_metrics){
		.lists = count("outcome=\"answered\""),
		.notary_lists = count("outcome=\"notarised\""),
		.failed = count("outcome=\"no_answer\""),
		.bad = count("outcome=\"bad\""),
		.notary_failed = count("outcome=\"no_notary\""),
	};
}

/* Its own key, and those that it gave up. */
void key_ring_set_old(struct key_ring *k, const struct json *own_old_keys)
{
	const struct signer *own = k->opt.own;
	struct arena *a = arena_new(), *before;
	struct named_key *keys = ARENA_ARRAY(a, struct named_key, SERVER_KEYS_MAX + 1);
	const size_t n = 1 + server_keys_old(a, own_old_keys, keys + 1);

	keys[0] = (struct named_key){ own->key_id, { .until = INT64_MAX } };
	memcpy(keys[0].key.public_key, own->key->public_key, sizeof(keys[0].key.public_key));
	for (size_t i = 0; i < n; i++)
		keys[i].key_id = arena_keep(a, keys[i].key_id);
	lock_take(&k->lock);
	before = k->own_arena;
	k->own_arena = a;
	k->own = keys;
	k->n_own = n;
	lock_drop(&k->lock);
	if (before)
		arena_free(&before);
}

err *key_ring_new(struct arena *a, const struct key_ring_options *opt, struct key_ring **out)
{
	struct key_ring *k = MEM_NEW(struct key_ring);

	(void)a;
	k->opt = *opt;
	k->opt.max_known = opt->max_known ? opt->max_known : KEY_RING_MAX_KNOWN;
	k->opt.now = opt->now ? opt->now : clock_ms;
	count_outcomes();
	lock_init(&k->lock, RANK_SERVICE);
	cond_init(&k->news);
	map_init(&k->servers, NULL);
	list_init(&k->by_use);
	list_init(&k->waiting);
	key_ring_set_old(k, opt->own_old_keys);
	key_refresh_start(k);
	*out = k;
	return NULL;
}

void key_ring_free(struct key_ring **k)
{
	if (!*k)
		return;
	key_refresh_stop(*k);
	key_cache_clear(*k);
	arena_free(&(*k)->own_arena);
	cond_done(&(*k)->news);
	lock_done(&(*k)->lock);
	mem_free(*k);
	*k = NULL;
}

/*
 * A set
 */
struct set_server {
	struct named_key *keys;
	size_t n;
};
struct key_set {
	struct map servers;
};

const struct server_key *key_set_find(void *set, str server, str key_id)
{
	const struct key_set *ks = set;
	const struct set_server *s = map_get(&ks->servers, server);

	for (size_t i = 0; s && i < s->n; i++)
		if (str_eq(s->keys[i].key_id, key_id))
			return &s->keys[i].key;
	return NULL;
}

bool key_set_has(const struct key_set *set, str server)
{
	const struct set_server *s = map_get(&set->servers, server);

	return s && s->n > 0;
}

static void set_put(struct arena *a, struct key_set *set, str server, const struct named_key *keys, size_t n)
{
	struct set_server *s = ARENA_NEW(a, struct set_server);

	s->keys = ARENA_ARRAY(a, struct named_key, n);
	for (s->n = 0; s->n < n; s->n++) {
		s->keys[s->n] = keys[s->n];
		s->keys[s->n].key_id = arena_keep(a, keys[s->n].key_id);
	}
	map_put(&set->servers, server, s);
}

static struct key_set *make_set(struct key_ring *k, struct arena *a, struct key_ask *const *asks, size_t n)
{
	struct key_set *set = ARENA_NEW(a, struct key_set);

	map_init(&set->servers, a);
	LOCKED(&k->lock);
	for (size_t i = 0; i < n; i++) {
		const struct ring_server *s = key_cache_find(k, asks[i]->server);

		if (s)
			set_put(a, set, asks[i]->server, s->keys, s->n);
	}
	set_put(a, set, k->opt.own->server_name, k->own, k->n_own);
	return set;
}

/*
 * What is wanted, by server
 */
struct asks {
	struct map by_server;
	VEC(struct key_ask *) all;
};

static bool is_askable(const struct key_ring *k, str server)
{
	return !str_eq(server, k->opt.own->server_name) && id_server_name_valid(server) &&
	       fed_allowed(k->opt.fed, server);
}

/* One server's events may name any number of keys, and many of them the same; what reaches the latest serves all. */
static void add_to_ask(struct arena *a, struct key_ask *ask, const struct key_want *w)
{
	for (size_t i = 0; i < ask->wants.n; i++)
		if (str_eq(ask->wants.p[i]->key_id, w->key_id)) {
			if (ask->wants.p[i]->valid_at < w->valid_at)
				ask->wants.p[i] = w;
			return;
		}
	if (ask->wants.n < SERVER_KEYS_MAX)
		vec_push(a, &ask->wants, w);
}

static void add_want(struct key_ring *k, struct arena *a, struct asks *asks, const struct key_want *w)
{
	struct key_ask *ask = map_get(&asks->by_server, w->server);

	if (!ask) {
		if (!is_askable(k, w->server))
			return;
		ask = ARENA_NEW(a, struct key_ask);
		ask->server = w->server;
		ask->since = k->opt.now();
		for (size_t i = 0; i < k->opt.n_notaries; i++)
			ask->direct |= str_eq(k->opt.notaries[i].server_name, w->server);
		map_put(&asks->by_server, ask->server, ask);
		vec_push(a, &asks->all, ask);
	}
	add_to_ask(a, ask, w);
	ask->speaks |= w->speaks;
}

/*
 * Memory, store, network
 */
enum standing { KEYS_THERE, KEYS_NOT_NOW, KEYS_OURS, KEYS_OTHERS };

static enum standing look(struct key_ring *k, const struct key_ask *ask, int64_t now)
{
	const struct ring_server *s = key_cache_find(k, ask->server);

	if (key_cache_has(s, ask, now))
		return KEYS_THERE;
	if (s && s->busy)
		return KEYS_OTHERS;
	return key_cache_may_ask(s, ask, now) ? KEYS_OURS : KEYS_NOT_NOW;
}

bool key_ring_is_vain(struct key_ring *k, const struct key_want *wants, size_t n)
{
	AUTO_ARENA a = arena_new();
	struct asks asks = { 0 };
	const int64_t now = k->opt.now();

	map_init(&asks.by_server, a);
	for (size_t i = 0; i < n; i++)
		add_want(k, a, &asks, &wants[i]);
	LOCKED(&k->lock);
	for (size_t i = 0; i < asks.all.n; i++)
		if (look(k, asks.all.p[i], now) != KEYS_NOT_NOW)
			return false;
	return true;
}

static err *load_unknown(struct key_ring *k, struct arena *a, const struct asks *asks)
{
	VEC(str) unknown = { 0 };

	lock_take(&k->lock);
	for (size_t i = 0; i < asks->all.n; i++)
		if (!key_cache_find(k, asks->all.p[i]->server))
			vec_push(a, &unknown, asks->all.p[i]->server);
	lock_drop(&k->lock);
	return key_load(k, a, (struct strs){ unknown.p, unknown.n });
}

/* Marks what nobody is asking for as ours. *out_others: somebody else is at work on some of it. */
static size_t claim(struct key_ring *k, const struct asks *asks, struct key_ask **out, bool *out_others)
{
	const int64_t now = k->opt.now();
	size_t n = 0;

	*out_others = false;
	LOCKED(&k->lock);
	for (size_t i = 0; i < asks->all.n; i++) {
		struct key_ask *ask = asks->all.p[i];
		const enum standing at = look(k, ask, now);

		*out_others |= at == KEYS_OTHERS;
		if (at != KEYS_OURS)
			continue;
		key_cache_make(k, ask->server)->busy = ask->ours = true;
		out[n++] = ask;
	}
	return n;
}

static bool others_are_at_work(struct key_ring *k, const struct asks *asks)
{
	for (size_t i = 0; i < asks->all.n; i++)
		if (look(k, asks->all.p[i], k->opt.now()) == KEYS_OTHERS)
			return true;
	return false;
}

static void wait_for_others(struct key_ring *k, const struct asks *asks, int64_t deadline_us)
{
	bool in_time = true;

	LOCKED(&k->lock);
	while (in_time && others_are_at_work(k, asks))
		in_time = cond_wait_until(&k->news, &k->lock, deadline_us);
}

static void ask_network(struct key_ring *k, struct arena *a, const struct asks *asks, int64_t deadline_us)
{
	struct key_ask **ours = ARENA_ARRAY(a, struct key_ask *, asks->all.n);

	assert(!lock_any_held());
	while (clock_mono_us() < deadline_us) {
		bool others;
		const size_t n = claim(k, asks, ours, &others);

		if (n > 0)
			key_fetch(k, ours, n, deadline_us);
		else if (others)
			wait_for_others(k, asks, deadline_us);
		else
			return;
	}
}

static bool is_open(struct key_ring *k, const struct asks *asks)
{
	LOCKED(&k->lock);
	for (size_t i = 0; i < asks->all.n; i++)
		if (!asks->all.p[i]->direct && look(k, asks->all.p[i], k->opt.now()) == KEYS_OURS)
			return true;
	return false;
}

/* A notary of whom the settings name no key: what it publishes itself. It is asked before anything is claimed, for its
 * answer is waited for. */
static err *know_notaries(struct key_ring *k, struct arena *a, int64_t deadline_us)
{
	struct asks asks = { 0 };

	map_init(&asks.by_server, a);
	for (size_t i = 0; i < k->opt.n_notaries; i++) {
		struct key_want *w = ARENA_NEW(a, struct key_want);

		if (!str_is_none(k->opt.notaries[i].key_id))
			continue;
		*w = (struct key_want){ k->opt.notaries[i].server_name, STR_NONE, k->opt.now(), false };
		add_want(k, a, &asks, w);
	}
	TRY(load_unknown(k, a, &asks));
	ask_network(k, a, &asks, deadline_us);
	return NULL;
}

static err *answer(struct key_ring *k, struct arena *a, const struct asks *asks, int64_t deadline_us)
{
	TRY(load_unknown(k, a, asks));
	if (deadline_us == 0)
		return NULL;
	if (k->opt.n_notaries > 0 && is_open(k, asks))
		TRY(know_notaries(k, a, deadline_us));
	ask_network(k, a, asks, deadline_us);
	return NULL;
}

err *key_ring_get(struct key_ring *k, struct arena *a, const struct key_want *wants, size_t n, int64_t deadline_us,
		  struct key_set **out)
{
	struct asks asks = { 0 };

	map_init(&asks.by_server, a);
	for (size_t i = 0; i < n; i++)
		add_want(k, a, &asks, &wants[i]);
	TRY(answer(k, a, &asks, deadline_us));
	*out = make_set(k, a, asks.all.p, asks.all.n);
	return NULL;
}

/*
 * Lists, for a notary
 */
static bool has_key(const struct server_key_document *d, str key_id)
{
	for (size_t i = 0; i < d->n_key_ids; i++)
		if (str_is_none(key_id) || str_eq(d->key_ids[i], key_id))
			return true;
	return false;
}

/* "Intermediate notary servers should cache a response for half of its lifetime to avoid serving a stale response." */
static bool suits(const struct server_key_document *d, const struct key_want *w, int64_t now)
{
	if (w->valid_at != INT64_MIN)
		return d->valid_until >= w->valid_at;
	return now < d->received_at + clock_since(server_key_until(d->valid_until, d->received_at), d->received_at) / 2;
}

static bool is_served(const struct key_want *w, const struct server_key_document *docs, size_t n, int64_t now)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(docs[i].server, w->server) && has_key(&docs[i], w->key_id) && suits(&docs[i], w, now))
			return true;
	return false;
}

static err *read_lists(struct key_ring *k, struct arena *a, const struct key_want *wants, size_t n,
		       struct server_key_document **out, size_t *out_n)
{
	AUTO_TX tx = NULL;
	str *servers = ARENA_ARRAY(a, str, n);

	for (size_t i = 0; i < n; i++)
		servers[i] = wants[i].server;
	TRY(store_read(k->opt.store, a, &tx));
	return store_server_key_documents(tx, (struct strs){ servers, n }, out, out_n);
}

static bool is_wanted(const struct server_key_document *d, const struct key_want *wants, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(d->server, wants[i].server) && has_key(d, wants[i].key_id))
			return true;
	return false;
}

/* Anybody may ask a notary: when many do, they get what is there. */
static bool begin_notarising(struct key_ring *k)
{
	LOCKED(&k->lock);
	if (k->notarising == KEY_RING_NOTARISING)
		return false;
	k->notarising++;
	return true;
}

static void end_notarising(struct key_ring *k)
{
	LOCKED(&k->lock);
	k->notarising--;
}

static err *ask_anew(struct key_ring *k, struct arena *a, const struct asks *asks, int64_t deadline_us)
{
	err *e;

	for (size_t i = 0; i < asks->all.n; i++) {
		asks->all.p[i]->direct = asks->all.p[i]->anew = true;
		asks->all.p[i]->speaks = true; /* whoever asks us may know that it is there */
	}
	if (!begin_notarising(k))
		return NULL;
	e = answer(k, a, asks, deadline_us);
	end_notarising(k);
	return e;
}

err *key_ring_documents(struct key_ring *k, struct arena *a, const struct key_want *wants, size_t n,
			int64_t deadline_us, struct json ***out, size_t *out_n)
{
	const int64_t now = k->opt.now();
	struct server_key_document *docs;
	struct asks asks = { 0 };
	VEC(struct json *) list = { 0 };
	size_t n_docs, bytes = 0;

	map_init(&asks.by_server, a);
	TRY(read_lists(k, a, wants, n, &docs, &n_docs));
	for (size_t i = 0; i < n; i++)
		if (!is_served(&wants[i], docs, n_docs, now))
			add_want(k, a, &asks, &wants[i]);
	if (asks.all.n > 0) {
		TRY(ask_anew(k, a, &asks, deadline_us));
		TRY(read_lists(k, a, wants, n, &docs, &n_docs));
	}
	for (size_t i = 0; i < n_docs; i++) {
		struct json *doc;

		bytes += docs[i].json.n;
		if (bytes > KEY_RING_HANDED_ON)
			break;
		if (!is_wanted(&docs[i], wants, n))
			continue;
		TRY(json_parse(a, docs[i].json, &json_limits_request, &doc));
		TRY(sign_json(a, doc, k->opt.own));
		vec_push(a, &list, doc);
	}
	*out = list.p;
	*out_n = list.n;
	return NULL;
}
