/*
 * library_bench.c - what the protocol library's operations cost, beside the bare cryptography in them.
 *
 * Usage: bench-library [--rounds N] [--events FILE]
 *
 * Every operation works on the events of room.c. All of them are measured in turn, some milliseconds each, round after
 * round, and the least of all rounds counts: on a machine with other work the least is what the operation costs, and a
 * ratio between two of them holds because both were measured in every round. Time is the thread's CPU time, except for
 * batches on several threads, whose wall time is the point. --events writes the input for measuring another library,
 * and measures nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <sodium.h>

#include "base/pool.h"
#include "matrix/acl.h"
#include "matrix/event_verify.h"
#include "matrix/filter.h"
#include "matrix/push_rules.h"
#include "room.h"

enum { ROUNDS = 25, SLICE_NS = 3000000, SAMPLES_MAX = 64 };

struct input {
	struct bench_room room;
	str signed_bytes; /* of the message: what its signature covers */
	uint8_t signature[64];
	str hashed_bytes; /* of the message: what its content hash covers */
	str batch_bytes[BATCH];
	uint8_t batch_signature[BATCH][64];
	struct server_key server_key;
	struct pool *pool; /* a thread for each core but one */
	EVP_MD *md;
	EVP_MD_CTX *md_ctx;
	const struct push_rules *default_rules, *own_rules;
	struct power_levels levels;
	struct event_filter filter;
	struct json *document;
	volatile size_t sink; /* what keeps the compiler from leaving something out */
};

static void check(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "bench-library: %s failed\n", what);
	exit(1);
}

/* --- the bare calls --- */

static void bare_hash(struct input *in, str bytes)
{
	uint8_t out[32];

	EVP_DigestInit_ex2(in->md_ctx, in->md, NULL);
	EVP_DigestUpdate(in->md_ctx, bytes.p, bytes.n);
	EVP_DigestFinal_ex(in->md_ctx, out, NULL);
	in->sink += out[0];
}

static void bare_sha256(struct input *in, struct arena *a)
{
	(void)a;
	bare_hash(in, in->hashed_bytes);
}

static void bare_two_hashes(struct input *in, struct arena *a)
{
	(void)a;
	bare_hash(in, in->hashed_bytes);
	bare_hash(in, in->signed_bytes);
}

static void bare_sign(struct input *in, struct arena *a)
{
	uint8_t out[64];

	(void)a;
	crypto_sign_ed25519_detached(out, NULL, (const uint8_t *)in->signed_bytes.p, in->signed_bytes.n,
				     in->room.key.secret);
	in->sink += out[0];
}

static void bare_verify(struct input *in, struct arena *a)
{
	(void)a;
	check(crypto_sign_ed25519_verify_detached(in->signature, (const uint8_t *)in->signed_bytes.p,
						  in->signed_bytes.n, in->room.key.public_key) == 0,
	      "bare verification");
}

/* --- events --- */

static void parse_message(struct input *in, struct arena *a)
{
	struct event *ev;

	must(event_parse(a, in->room.rv, in->room.message->bytes, &ev));
	check(!ev->hash_failed, "content hash");
}

static void parse_json(struct input *in, struct arena *a)
{
	struct json *json;

	must(json_parse(a, in->room.message->bytes, &json_limits_event, &json));
	in->sink += json->object.n;
}

static void load_message(struct input *in, struct arena *a)
{
	struct event *ev;

	must(event_load(a, in->room.rv, in->room.message->event_id, in->room.message->bytes, &ev));
	in->sink += ev->content->object.n;
}

static void build_message(struct input *in, struct arena *a)
{
	struct event *ev;

	must(event_build(a, in->room.rv, &in->room.message_fields, &in->room.by, &ev));
	in->sink += ev->bytes.n;
}

static void verify_message(struct input *in, struct arena *a)
{
	check(event_verify(a, in->room.rv, in->room.message, in->room.by.server_name, in->room.by.key_id,
			   in->room.key.public_key),
	      "verification");
}

static void receive_message(struct input *in, struct arena *a)
{
	struct event *ev;

	must(event_parse(a, in->room.rv, in->room.message->bytes, &ev));
	check(event_verify(a, in->room.rv, ev, in->room.by.server_name, in->room.by.key_id, in->room.key.public_key),
	      "verification");
}

static void redact_message(struct input *in, struct arena *a)
{
	str bytes;

	must(event_redact(a, in->room.rv, in->room.message, &bytes));
	in->sink += bytes.n;
}

static void check_auth(struct input *in, struct arena *a, size_t which, const struct event *ev)
{
	struct state_list state = { in->room.auth[which], in->room.n_auth[which] };

	must(auth_check(a, in->room.rv, ev, state_list_lookup, &state));
}

static void auth_message(struct input *in, struct arena *a) { check_auth(in, a, 0, in->room.message); }
static void auth_join(struct input *in, struct arena *a) { check_auth(in, a, 2, in->room.join); }
static void auth_power(struct input *in, struct arena *a) { check_auth(in, a, 3, in->room.power); }

/* --- batches --- */

static void bare_batch(struct input *in, struct arena *a)
{
	(void)a;
	for (size_t i = 0; i < BATCH; i++)
		check(crypto_sign_ed25519_verify_detached(in->batch_signature[i], (const uint8_t *)in->batch_bytes[i].p,
							  in->batch_bytes[i].n, in->room.key.public_key) == 0,
		      "bare verification");
}

static void verify_batch(struct input *in, struct arena *a)
{
	for (size_t i = 0; i < BATCH; i++)
		check(event_verify(a, in->room.rv, in->room.batch[i], in->room.by.server_name, in->room.by.key_id,
				   in->room.key.public_key),
		      "verification");
}

static const struct server_key *our_key(void *ctx, str server, str key_id)
{
	struct input *in = ctx;

	return str_eq(server, in->room.by.server_name) && str_eq(key_id, in->room.by.key_id) ? &in->server_key : NULL;
}

static void verify_slice(void *ctx, size_t from, size_t to)
{
	ed25519_verify_all((struct ed25519_claim *)ctx + from, to - from);
}

static void verify_on_cores(struct input *in, struct arena *a)
{
	struct ed25519_claim claims[BATCH * EVENT_MAX_CLAIMS];
	str lacking;
	size_t n = 0;

	for (size_t i = 0; i < BATCH; i++) {
		n += event_claims(a, in->room.rv, in->room.batch[i], our_key, in, claims + n, &lacking);
		check(str_is_none(lacking), "signed by all");
	}
	pool_each(in->pool, n, 4, verify_slice, claims);
	for (size_t i = 0; i < n; i++)
		check(claims[i].good, "verification");
}

/* --- what stands alone --- */

static void canonical_document(struct input *in, struct arena *a)
{
	str out;

	must(json_canonical(a, in->document, JSON_CANON_STRICT, &out));
	in->sink += out.n;
}

static void parse_document(struct input *in, struct arena *a)
{
	struct json *json;

	must(json_parse(a, in->room.document, &json_limits_request, &json));
	in->sink += json->object.n;
}

static void parse_canonical(struct input *in, struct arena *a)
{
	struct json *json;
	str out;

	must(json_parse(a, in->room.document, &json_limits_request, &json));
	must(json_canonical(a, json, JSON_CANON_STRICT, &out));
	in->sink += out.n;
}

static void push(struct input *in, const struct push_rules *rules)
{
	const struct push_event ev = { in->room.message, &in->levels, ROOM_MEMBERS };

	check(push_evaluate(rules, &ev, S("@alice:domain"), S("Alice")).notify, "push rules");
}

static void push_default(struct input *in, struct arena *a) { (void)a, push(in, in->default_rules); }
static void push_own(struct input *in, struct arena *a) { (void)a, push(in, in->own_rules); }

static void filter_event(struct input *in, struct arena *a)
{
	(void)a;
	check(event_filter_match(&in->filter, in->room.message->type, in->room.message->sender,
				 in->room.message->content),
	      "filter");
}

static void match_acl(struct input *in, struct arena *a)
{
	(void)a;
	check(acl_allows(in->room.acl->content, S("matrix.somewhere.example:8448")), "ACL");
}

static void resolve(struct input *in, struct arena *a)
{
	struct state_builder b;
	struct state_root out;

	state_builder_init(&b, a, &in->room.tree);
	must(state_resolve(a, in->room.rv, &b, in->room.fork, 2, &in->room.io, &out, NULL));
	in->sink += (size_t)out.hash.lo;
}

/* --- measuring --- */

struct op {
	const char *name;
	void (*run)(struct input *in, struct arena *a);
	void (*bare)(struct input *in, struct arena *a); /* what it is compared with; NULL: nothing */
	double budget_ns, budget_ratio;                  /* 0: none */
	size_t per;                                      /* one run is this many of what is counted; 0: 1 */
	bool is_wall;                                    /* more than one thread: the time on the clock */
	size_t runs;                                     /* a slice; found out */
	double best;                                     /* ns a run */
};

static struct op ops[] = {
	{ "SHA-256 of the PDU (OpenSSL)", bare_sha256, .bare = NULL },
	{ "two SHA-256: content and reference", bare_two_hashes },
	{ "Ed25519 signature (libsodium)", bare_sign },
	{ "Ed25519 verification (libsodium)", bare_verify },
	{ "event: parse, check, hash, name (1 KB)", parse_message, bare_two_hashes, .budget_ns = 5000 },
	{ "event: only its JSON", parse_json, bare_two_hashes },
	{ "event: read back from the store", load_message, bare_two_hashes },
	{ "event: build, hash, sign, name", build_message, bare_sign },
	{ "event: verify", verify_message, bare_verify, .budget_ratio = 1.1 },
	{ "event: parse and verify", receive_message, bare_verify },
	{ "event: redact", redact_message, bare_sha256 },
	{ "auth check: message", auth_message, .budget_ns = 2000 },
	{ "auth check: join", auth_join, .budget_ns = 2000 },
	{ "auth check: power levels", auth_power, .budget_ns = 2000 },
	{ "64 verifications (libsodium), each", bare_batch, .per = BATCH },
	{ "64 events verified, each", verify_batch, bare_batch, .per = BATCH, .budget_ratio = 1.1 },
	{ "64 events verified on all cores, each", verify_on_cores, bare_batch, .per = BATCH, .is_wall = true },
	{ "state resolution: 2 states, 6 keys differ", resolve },
	{ "push rules: the default ones", push_default },
	{ "push rules: 25 of one's own besides", push_own },
	{ "filter: an event", filter_event },
	{ "server ACL: 200 entries", match_acl },
	{ "JSON: parse (50 KB, untidy)", parse_document },
	{ "JSON: make it canonical", canonical_document },
	{ "JSON: both", parse_canonical },
};

static double now_ns(bool wall)
{
	struct timespec t;

	clock_gettime(wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double slice(struct op *op, struct input *in, struct arena *a)
{
	const double start = now_ns(op->is_wall);

	for (size_t i = 0; i < op->runs; i++) {
		op->run(in, a);
		arena_reset(a);
	}
	return (now_ns(op->is_wall) - start) / (double)op->runs;
}

static void measure(struct input *in, int rounds)
{
	AUTO_ARENA a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		ops[i].runs = 1;
		slice(&ops[i], in, a); /* warm */
		ops[i].best = slice(&ops[i], in, a);
		ops[i].runs = (size_t)(SLICE_NS / ops[i].best) + 1;
	}
	for (int round = 0; round < rounds; round++)
		for (size_t i = 0; i < ARRAY_LEN(ops); i++)
			ops[i].best = MIN(ops[i].best, slice(&ops[i], in, a));
}

static double best_of(void (*run)(struct input *in, struct arena *a))
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (ops[i].run == run)
			return ops[i].best;
	return 0;
}

static bool report(const struct input *in)
{
	bool all_met = true;

	printf("%-42s %10s %8s  %s\n", "library, least of all rounds", "ns", "ratio", "budget");
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		const struct op *op = &ops[i];
		const double ratio = op->bare ? op->best / best_of(op->bare) : 0;
		const bool has = op->budget_ns > 0 || op->budget_ratio > 0;
		const bool met = !(op->budget_ns > 0 && op->best > op->budget_ns) &&
				 !(op->budget_ratio > 0 && ratio > op->budget_ratio);

		printf("%-42s %10.0f ", op->name, op->best / (double)(op->per ? op->per : 1));
		if (op->bare)
			printf("%8.2f", ratio);
		else
			printf("%8s", "");
		if (op->budget_ns > 0)
			printf("  < %.0f ns", op->budget_ns);
		if (op->budget_ratio > 0)
			printf("  < %.2f", op->budget_ratio);
		printf("%s\n", !has ? "" : met ? ": met" : ": MISSED");
		all_met = all_met && met;
	}
	printf("canonical JSON: %.0f MB/s, parsing %.0f MB/s\n",
	       (double)in->room.document.n * 1e3 / best_of(canonical_document),
	       (double)in->room.document.n * 1e3 / best_of(parse_document));
	return all_met;
}

/* --- set-up --- */

static void signed_part(struct arena *a, const struct bench_room *r, const struct event *ev, str *bytes,
			uint8_t out[64])
{
	must(sign_bytes(a, redact_event(a, r->rv, ev->json), bytes));
	ed25519_sign(&r->key, *bytes, out);
}

static void prepare(struct input *in, struct arena *a)
{
	const str filter = S("{\"types\":[\"m.room.message\",\"m.room.encrypted\",\"m.sticker\",\"m.call.*\"],"
			     "\"not_senders\":[\"@spam:domain\"],\"not_types\":[\"org.example.*\"]}");
	struct bench_room *r = &in->room;
	struct json *json;

	bench_room_make(r, a);
	signed_part(a, r, r->message, &in->signed_bytes, in->signature);
	for (size_t i = 0; i < BATCH; i++)
		signed_part(a, r, r->batch[i], &in->batch_bytes[i], in->batch_signature[i]);
	memcpy(in->server_key.public_key, r->key.public_key, sizeof(in->server_key.public_key));
	in->server_key.until = INT64_MAX;
	in->pool = pool_new((size_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1) - 1);
	json = json_copy(a, r->message->json);
	json_del(json, S("signatures"));
	json_del(json, S("hashes"));
	must(json_canonical(a, json, JSON_CANON_STRICT, &in->hashed_bytes));
	in->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	in->md_ctx = EVP_MD_CTX_new();
	check(in->md && in->md_ctx, "OpenSSL");
	push_rules_init();
	in->default_rules = push_rules_load(a, STR_NONE);
	in->own_rules = push_rules_load(a, r->own_rules);
	in->levels = power_levels_of(r->rv, r->events[0], r->events[2]);
	must(json_parse(a, filter, &json_limits_request, &json));
	must(event_filter_parse(a, json, &in->filter));
	must(json_parse(a, r->document, &json_limits_request, &in->document));
}

static void write_events(struct arena *a, const struct bench_room *r, const char *path)
{
	const str text = bench_room_json(a, r);
	FILE *f = fopen(path, "w");

	check(f && fwrite(text.p, 1, text.n, f) == text.n && fclose(f) == 0, path);
}

int main(int argc, char **argv)
{
	static struct input in;
	AUTO_ARENA a = arena_new();
	int64_t rounds = ROUNDS;

	crypto_init();
	prepare(&in, a);
	for (int i = 1; i + 1 < argc; i += 2) {
		if (str_eq(str_c(argv[i]), S("--events"))) {
			write_events(a, &in.room, argv[i + 1]);
			return 0;
		}
		check(str_eq(str_c(argv[i]), S("--rounds")) && str_to_i64(str_c(argv[i + 1]), &rounds), argv[i]);
	}
	measure(&in, (int)rounds);
	return report(&in) ? 0 : 1;
}
