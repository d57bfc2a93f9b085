/*
 * fake_fed.h - other servers as the key ring sees them, without a network: what each publishes, whether it answers, and
 * how often it was asked.
 *
 * These are fed.h's own functions, as far as the key ring calls them: they stand here instead of federation/fed.c,
 * which is not linked.
 */
#pragma once

#include "store/both.h"
#include "test.h"

#include "base/clock.h"
#include "base/thread.h"
#include "crypto/crypto.h"
#include "federation/backoff.h"
#include "federation/internal_key_ring.h"
#include "federation/key_ring.h"
#include "matrix/server_keys.h"

#include <sched.h>

#define DAY INT64_C(86400000)
#define NOW INT64_C(1700000000000)
#define OWN S("here.example")

struct host {
	str name, key_id;
	struct ed25519_key key;
	int64_t valid_until;
	const struct json *old;  /* old_verify_keys */
	const struct json *list; /* instead of its own */
	bool is_down, is_notary;
	bool is_talkative;          /* a notary that tells of servers that it was not asked of */
	unsigned asked;             /* how often */
	enum fed_patience patience; /* of the last call */
};
struct fed {
	struct lock lock;
	struct cond released;
	struct arena *a;
	struct host hosts[24];
	size_t n;
	bool held;                      /* answers wait for its end */
	unsigned waiting;               /* for that */
	str denied;                     /* federation_domain_whitelist has all but this one */
	str heard;                      /* the last of backoff_heard */
	const struct json *vouched[16]; /* lists that notaries know */
	size_t n_vouched;
	unsigned questions;       /* to notaries */
	const struct json *query; /* the last */
};
static _Atomic int64_t fake_now;
static int64_t fake_clock(void) { return fake_now; }

static inline struct host *host_of(struct fed *f, str name)
{
	for (size_t i = 0; i < f->n; i++)
		if (str_eq(f->hosts[i].name, name))
			return &f->hosts[i];
	return NULL;
}

/* A server with a key made of `seed`. */
static inline struct host *host_add(struct fed *f, const char *name, const char *key_id, char seed)
{
	struct host *h = &f->hosts[f->n++];
	uint8_t bytes[32];

	assert_true(f->n <= ARRAY_LEN(f->hosts));
	memset(bytes, seed, sizeof(bytes));
	*h = (struct host){ .name = str_c(name), .key_id = str_c(key_id), .valid_until = NOW + DAY };
	ed25519_from_seed(&h->key, bytes);
	return h;
}

static inline struct signer signer_of(const struct host *h) { return (struct signer){ h->name, h->key_id, &h->key }; }

/* As it comes over the wire: parsed, with its bytes. */
static inline struct json *wired(struct arena *a, const struct json *j)
{
	struct json *out;
	str text;

	good(json_canonical(a, j, JSON_CANON_LOOSE, &text));
	good(json_parse(a, text, &json_limits_request, &out));
	return out;
}

static inline struct json *list_of(struct arena *a, const struct host *h)
{
	const struct signer by = signer_of(h);
	struct json *list;

	good(server_keys_write(a, &by, h->old, h->valid_until, &list));
	return wired(a, list);
}

/* A notary says so from now on. */
static inline void vouch(struct fed *f, const struct host *notary, const struct json *list)
{
	const struct signer by = signer_of(notary);
	struct json *copy = wired(f->a, list);

	good(sign_json(f->a, copy, &by));
	f->vouched[f->n_vouched++] = copy;
}

/*
 * fed.h
 */
bool fed_is_own(const struct fed *f, str server_name)
{
	(void)f;
	return str_eq(server_name, OWN);
}
bool fed_allowed(const struct fed *f, str server_name) { return !str_eq(server_name, f->denied); }
void backoff_heard(struct fed *f, str server_name)
{
	LOCKED(&f->lock);
	f->heard = host_of(f, server_name)->name;
}

/* Nobody asks in these tests; what is linked along may. */
bool backoff_pauses(struct fed *f, str server_name, int64_t *out_until)
{
	(void)f, (void)server_name, (void)out_until;
	return false;
}
err *backoff_status(struct fed *f, struct arena *a, str server_name, struct destination_status *out)
{
	(void)f, (void)a;
	*out = (struct destination_status){ .server_name = server_name };
	return NULL;
}
void backoff_on_return(struct fed *f, void (*fn)(void *ctx, str server_name), void *ctx)
{
	(void)f, (void)fn, (void)ctx;
}
void backoff_on_heard(struct fed *f, void (*fn)(void *ctx, str server_name), void *ctx)
{
	(void)f, (void)fn, (void)ctx;
}
void fed_batch_wake(struct fed_batch *b) { (void)b; }

struct fed_batch {
	struct fed *f;
	struct {
		struct fed_call *call;
		int64_t deadline;
	} calls[128];
	size_t n;
};

struct fed_batch *fed_batch_new(struct fed *f)
{
	struct fed_batch *b = MEM_NEW(struct fed_batch);

	b->f = f;
	return b;
}

void fed_batch_free(struct fed_batch **b)
{
	mem_free(*b);
	*b = NULL;
}

static inline struct json *answer_of_notary(struct fed *f, struct arena *a, const struct json *content, bool all)
{
	struct json *answer = json_new_object(a), *lists = json_new_array(a);

	f->questions++;
	f->query = wired(f->a, content);
	for (size_t i = 0; i < f->n_vouched; i++)
		if (all || json_get(json_get(content, S("server_keys")), json_get_str(f->vouched[i], S("server_name"))))
			json_append(a, lists, f->vouched[i]);
	json_set(a, answer, S("server_keys"), lists);
	return wired(a, answer);
}

void fed_batch_start(struct fed_batch *b, struct arena *a, struct fed_call *call, int64_t deadline_us)
{
	struct fed *f = b->f;
	struct host *h;

	LOCKED(&f->lock);
	assert_true(call->is_unsigned);
	assert_true(b->n < ARRAY_LEN(b->calls));
	h = host_of(f, call->destination);
	if (!h || h->is_down) {
		call->error = err_new(a, ERR_CONNECTION_FAILED, "nobody is there");
	} else if (str_eq(call->method, S("POST"))) {
		assert_true(h->is_notary && str_eq(call->path, S("/_matrix/key/v2/query")));
		call->answer = answer_of_notary(f, a, call->content, h->is_talkative);
	} else {
		same_str(call->path, S("/_matrix/key/v2/server"));
		call->answer = h->list ? wired(a, h->list) : list_of(a, h);
	}
	if (h && !call->content) {
		h->asked++;
		h->patience = call->patience;
	}
	b->calls[b->n].call = call;
	b->calls[b->n++].deadline = deadline_us;
}

struct fed_call *fed_batch_next(struct fed_batch *b, int64_t until_us)
{
	struct fed *f = b->f;

	if (until_us == 0)
		return NULL;
	LOCKED(&f->lock);
	f->waiting++;
	cond_broadcast(&f->released);
	while (f->held)
		cond_wait(&f->released, &f->lock);
	f->waiting--;
	return b->n > 0 ? b->calls[--b->n].call : NULL;
}

void fed_all(struct fed *f, struct arena *a, struct fed_call *calls, size_t n, int64_t deadline_us)
{
	struct fed_batch *b = fed_batch_new(f);

	for (size_t i = 0; i < n; i++)
		fed_batch_start(b, a, &calls[i], deadline_us);
	while (fed_batch_next(b, deadline_us))
		;
	fed_batch_free(&b);
}

err *fed_one(struct fed *f, struct arena *a, struct fed_call *call, int64_t deadline_us)
{
	fed_all(f, a, call, 1, deadline_us);
	return call->error;
}

/* Until it was asked so often, and nobody is asking it any more. */
static inline void wait_until_asked(struct fed *f, struct key_ring *k, const struct host *h, unsigned times)
{
	for (bool is_done = false; !is_done; sched_yield()) {
		const struct ring_server *s;

		lock_take(&k->lock);
		s = map_get(&k->servers, h->name);
		is_done = s && !s->busy && !s->is_due;
		lock_drop(&k->lock);
		lock_take(&f->lock);
		is_done = is_done && h->asked >= times;
		lock_drop(&f->lock);
	}
}

/* Until so many wait for an answer; then they get it. */
static inline void wait_until_held(struct fed *f, unsigned n)
{
	LOCKED(&f->lock);
	while (f->waiting < n)
		cond_wait(&f->released, &f->lock);
}

static inline void let_go(struct fed *f)
{
	LOCKED(&f->lock);
	f->held = false;
	cond_broadcast(&f->released);
}

/*
 * A ring over a store
 */
struct ring_world {
	struct both *b;
	struct fed f;
	struct ed25519_key key;
	struct signer own;
	struct log log;
	struct key_ring *k;
	struct key_ring_options opt;
};

static inline int64_t soon(void) { return clock_mono_us() + 20 * 1000000; }

static inline void ring_again(struct ring_world *w)
{
	key_ring_free(&w->k);
	good(key_ring_new(w->b->a, &w->opt, &w->k));
}

static inline void ring_begin(struct ring_world *w, struct both *b)
{
	uint8_t seed[32] = { 7 };

	*w = (struct ring_world){ .b = b };
	crypto_init();
	log_setup(LOG_ERROR, LOG_TEXT);
	fake_now = NOW;
	lock_init(&w->f.lock, RANK_LEAF);
	cond_init(&w->f.released);
	w->f.a = b->a;
	w->f.denied = S("denied.example");
	ed25519_from_seed(&w->key, seed);
	w->own = (struct signer){ OWN, S("ed25519:own"), &w->key };
	w->opt = (struct key_ring_options){
		.store = b->st, .fed = &w->f, .log = &w->log, .own = &w->own, .now = fake_clock
	};
	good(key_ring_new(b->a, &w->opt, &w->k));
}

static inline void ring_end(struct ring_world *w)
{
	key_ring_free(&w->k);
	cond_done(&w->f.released);
	lock_done(&w->f.lock);
}
