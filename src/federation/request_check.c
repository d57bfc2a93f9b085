/*
 * request_check.c - the proof that a request between servers is its origin's.
 *
 * Anybody can name any server as the origin. Before the network is asked for a key, at most so many requests at once
 * may wait for one: a few of an origin, a few strangers of an address, some strangers in all; the others are told to
 * come again. Those whose key is known never wait.
 */
#include "federation/request_check.h"

#include "base/clock.h"
#include "federation/backoff.h"
#include "federation/internal_key_ring.h"
#include "matrix/x_matrix.h"

enum { OF_ORIGIN = 2, STRANGERS_OF_ADDRESS = 3, STRANGERS = 6, ALL = 10 };

enum outcome {
	PROOF_GOOD,
	PROOF_NONE,
	PROOF_OTHER_SERVER,
	PROOF_DENIED,
	PROOF_BUSY,
	PROOF_NO_KEY,
	PROOF_BAD,
	OUTCOMES
};
static struct metric *outcomes[OUTCOMES];

void request_check_count(void)
{
	static const char *const labels[OUTCOMES] = {
		[PROOF_GOOD] = "outcome=\"good\"",
		[PROOF_NONE] = "outcome=\"no_proof\"",
		[PROOF_OTHER_SERVER] = "outcome=\"other_destination\"",
		[PROOF_DENIED] = "outcome=\"denied\"",
		[PROOF_BUSY] = "outcome=\"busy\"",
		[PROOF_NO_KEY] = "outcome=\"no_key\"",
		[PROOF_BAD] = "outcome=\"bad_signature\"",
	};

	metric_counters(outcomes, OUTCOMES, "hearth_federation_requests_checked_total",
			"Requests of other servers by what their proof is worth", labels);
}

struct request_claim {
	str origin;
	struct x_matrix proofs[REQUEST_MAX_HEADERS];
	size_t n;
	const struct server_key *keys[REQUEST_MAX_HEADERS]; /* NULL: none that counts */
};

static err *refuse(struct arena *a, enum outcome why, enum err_code code, const char *msg)
{
	metric_add(outcomes[why], 1);
	return err_new(a, code, "%s", msg);
}

static err *read_headers(struct key_ring *k, struct arena *a, const struct signed_request *rq, struct request_claim *c)
{
	for (size_t i = 0; i < rq->n_headers; i++) {
		struct x_matrix *x = &c->proofs[c->n];

		if (!str_starts_nocase(rq->headers[i], S("X-Matrix ")))
			continue;
		if (!x_matrix_parse(a, rq->headers[i], x))
			return refuse(a, PROOF_NONE, ERR_INVALID_PARAM, "Malformed Authorization header");
		if (c->n++ == 0)
			c->origin = x->origin;
		if (!str_eq(x->origin, c->origin))
			return refuse(a, PROOF_NONE, ERR_UNAUTHORIZED, "Authorization headers of several servers");
		/* "If this property is included, but the value does not match the receiving server's name, the
		 * receiving server must deny the request with an HTTP status code 401 Unauthorized." */
		if (!str_is_none(x->destination) && !str_eq(x->destination, k->opt.own->server_name))
			return refuse(a, PROOF_OTHER_SERVER, ERR_UNAUTHORIZED, "The request is for another server");
	}
	if (c->n == 0)
		return refuse(a, PROOF_NONE, ERR_UNAUTHORIZED, "Missing Authorization header");
	if (fed_is_own(k->opt.fed, c->origin))
		return refuse(a, PROOF_NONE, ERR_UNAUTHORIZED, "The request says that it is this server's own");
	if (!fed_allowed(k->opt.fed, c->origin))
		return refuse(a, PROOF_DENIED, ERR_FORBIDDEN, "This server does not federate with that one");
	return NULL;
}

/*
 * Who may wait
 */
static bool enter(struct key_ring *k, struct waiting_request *w)
{
	size_t of_origin = 0, of_address = 0, strangers = 0, all = 0;

	LOCKED(&k->lock);
	LIST_EACH (&k->waiting, n) {
		const struct waiting_request *other = LIST_ITEM(n, struct waiting_request, node);

		all++;
		strangers += other->stranger;
		of_origin += str_eq(other->origin, w->origin);
		of_address += other->stranger && str_eq(other->address, w->address);
	}
	if (all >= ALL || of_origin >= OF_ORIGIN ||
	    (w->stranger && (strangers >= STRANGERS || of_address >= STRANGERS_OF_ADDRESS)))
		return false;
	list_add_tail(&k->waiting, &w->node);
	return true;
}

static void leave(struct key_ring *k, struct waiting_request *w)
{
	LOCKED(&k->lock);
	list_del(&w->node);
}

/* The list of keys "that are valid for signing federation requests made by the homeserver": not the old ones. */
static bool take_keys(const struct key_ring *k, struct key_set *set, struct request_claim *c)
{
	const int64_t now = k->opt.now();
	bool any = false;

	for (size_t i = 0; i < c->n; i++) {
		const struct server_key *key = key_set_find(set, c->origin, c->proofs[i].key_id);

		c->keys[i] = key && !key->old && key->until >= now ? key : NULL;
		any |= c->keys[i] != NULL;
	}
	return any;
}

static err *find_keys(struct key_ring *k, struct arena *a, const struct signed_request *rq, struct request_claim *c)
{
	struct waiting_request w = { .origin = c->origin, .address = rq->address };
	struct key_want wants[REQUEST_MAX_HEADERS];
	struct key_set *set;
	err *e;

	for (size_t i = 0; i < c->n; i++)
		wants[i] = (struct key_want){ c->origin, c->proofs[i].key_id, k->opt.now(), true };
	TRY(key_ring_get(k, a, wants, c->n, 0, &set));
	if (take_keys(k, set, c))
		return NULL;
	w.stranger = !key_set_has(set, c->origin);
	if (key_ring_is_vain(k, wants, c->n))
		return refuse(a, PROOF_NO_KEY, ERR_UNAUTHORIZED, "The origin has no such key");
	if (!enter(k, &w))
		return refuse(a, PROOF_BUSY, ERR_BUSY, "Too many servers' keys are being asked for");
	e = key_ring_get(k, a, wants, c->n, clock_mono_us() + KEY_RING_WAIT_US, &set);
	leave(k, &w);
	if (!e && !take_keys(k, set, c))
		e = refuse(a, PROOF_NO_KEY, ERR_UNAUTHORIZED, "The origin's key could not be had");
	return e;
}

err *request_claim(struct key_ring *k, struct arena *a, const struct signed_request *rq, struct request_claim **out)
{
	struct request_claim *c = ARENA_NEW(a, struct request_claim);

	TRY(read_headers(k, a, rq, c));
	TRY(find_keys(k, a, rq, c));
	*out = c;
	return NULL;
}

err *request_prove(struct key_ring *k, struct arena *a, const struct signed_request *rq,
		   const struct request_claim *claim, str *out_origin)
{
	const struct x_matrix_request signed_request = {
		.method = rq->method,
		.uri = rq->uri,
		.origin = claim->origin,
		.destination = k->opt.own->server_name,
		.content = rq->content,
	};
	bool good = false;
	int64_t nid;
	str bytes;

	TRY(x_matrix_bytes(a, &signed_request, &bytes));
	for (size_t i = 0; i < claim->n && !good; i++) {
		good = claim->keys[i] &&
		       sign_verify_bytes(a, bytes, claim->proofs[i].signature, claim->keys[i]->public_key);
		if (good)
			key_refresh_soon(k, claim->origin, claim->proofs[i].key_id);
	}
	if (!good)
		return refuse(a, PROOF_BAD, ERR_UNAUTHORIZED, "The request is not signed by its origin");
	TRY(store_intern(k->opt.store, a, claim->origin, &nid));
	backoff_heard(k->opt.fed, claim->origin);
	metric_add(outcomes[PROOF_GOOD], 1);
	*out_origin = arena_keep(a, claim->origin);
	return NULL;
}
