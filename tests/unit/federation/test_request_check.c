/* Requests of other servers: whose they are, and that strangers cannot make us wait for all the world. */
#include "federation/fake_fed.h"

#include <sched.h>

#include "federation/internal_key_ring.h"
#include "federation/request_check.h"
#include "matrix/x_matrix.h"

#define URI S("/_matrix/federation/v1/send/1?a=%C3%A4&b")

static str proof(struct ring_world *w, const struct host *h, const struct json *content)
{
	const struct x_matrix_request rq = { S("PUT"), URI, h->name, OWN, content };
	const struct signer by = signer_of(h);
	str header;

	good(x_matrix_write(w->b->a, &rq, &by, &header));
	return header;
}

static bool key_refresh_is_due(struct ring_world *w)
{
	const struct ring_server *s;

	LOCKED(&w->k->lock);
	s = map_get(&w->k->servers, S("a.example"));
	return s->is_due || w->k->n_due > 0;
}

struct answer {
	enum err_code code; /* ERR_NONE: good */
	str origin;
};
static struct answer check_by(struct ring_world *w, struct arena *a, const struct signed_request *rq)
{
	struct answer out = { .origin = STR_NONE };
	struct request_claim *claim;
	err *e = request_claim(w->k, a, rq, &claim);

	if (!e)
		e = request_prove(w->k, a, rq, claim, &out.origin);
	out.code = e ? e->code : ERR_NONE;
	return out;
}

static struct answer check(struct ring_world *w, const struct json *content, const str *headers, size_t n)
{
	const struct signed_request rq = { S("PUT"), URI, content, headers, n, S("192.0.2.1") };

	return check_by(w, w->b->a, &rq);
}

static struct json *body(struct both *b)
{
	struct json *json;

	good(json_parse(b->a, S("{ \"pdus\": [1, 2], \"\\u00e4\": {} }"), &json_limits_request, &json));
	return json;
}

static void a_signed_request_has_an_origin(struct both *b)
{
	struct ring_world w;
	struct host *h;
	int64_t nid;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example:8448", "ed25519:1", 'a');
	const str headers[] = { S("Bearer xyz"), proof(&w, h, body(b)) };
	const struct answer a = check(&w, body(b), headers, 2);

	assert_int_equal(a.code, ERR_NONE);
	same_str(a.origin, S("a.example:8448"));
	same_str(w.f.heard, S("a.example:8448"));
	assert_int_equal(h->patience, FED_ANYWAY);
	good(store_intern_find(b->st, b->a, a.origin, &nid));
	assert_true(nid > 0);
	const str bare[] = { proof(&w, h, NULL) };
	assert_int_equal(check(&w, NULL, bare, 1).code, ERR_NONE);
	assert_int_equal(h->asked, 1);
	ring_end(&w);
}

static void what_was_changed_is_not_the_origins(struct both *b)
{
	struct ring_world w;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	const str headers[] = { proof(&w, h, body(b)) };
	struct signed_request rq = { S("PUT"), URI, body(b), headers, 1, S("192.0.2.1") }, changed;

	assert_int_equal(check_by(&w, b->a, &rq).code, ERR_NONE);
	changed = rq;
	changed.method = S("POST");
	assert_int_equal(check_by(&w, b->a, &changed).code, ERR_UNAUTHORIZED);
	changed = rq;
	changed.uri = S("/_matrix/federation/v1/send/1?a=\xc3\xa4&b");
	assert_int_equal(check_by(&w, b->a, &changed).code, ERR_UNAUTHORIZED);
	changed = rq;
	changed.content = NULL;
	assert_int_equal(check_by(&w, b->a, &changed).code, ERR_UNAUTHORIZED);
	ring_end(&w);
}

static void headers_that_are_no_proof(struct both *b)
{
	struct ring_world w;
	struct host *h, *other;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	other = host_add(&w.f, "b.example", "ed25519:1", 'b');
	host_add(&w.f, "denied.example", "ed25519:1", 'd');

	const struct host self = { OWN, S("ed25519:own"), w.key };
	const str right = proof(&w, h, NULL), theirs = proof(&w, other, NULL);
	const struct {
		const char *what;
		str headers[2];
		size_t n;
		enum err_code code;
	} rows[] = {
		{ "none", { S("") }, 0, ERR_UNAUTHORIZED },
		{ "another scheme", { S("Bearer x") }, 1, ERR_UNAUTHORIZED },
		{ "malformed", { S("X-Matrix origin=a.example,key=") }, 1, ERR_INVALID_PARAM },
		{ "a server that has no such name",
		  { S("X-Matrix origin=\"a.example:http\",key=\"ed25519:1\",sig=x") },
		  1,
		  ERR_INVALID_PARAM },
		{ "no origin", { S("X-Matrix key=\"ed25519:1\",sig=\"x\"") }, 1, ERR_INVALID_PARAM },
		{ "for somebody else",
		  { S("X-Matrix origin=a.example,destination=other.example,key=\"ed25519:1\",sig=x") },
		  1,
		  ERR_UNAUTHORIZED },
		{ "two origins", { right, theirs }, 2, ERR_UNAUTHORIZED },
		{ "another's signature",
		  { arena_join2(b->a, S("X-Matrix origin=a.example,"), str_from(theirs, str_find(theirs, ',') + 1)) },
		  1,
		  ERR_UNAUTHORIZED },
		{ "no signature at all",
		  { S("X-Matrix origin=a.example,key=\"ed25519:1\",sig=x") },
		  1,
		  ERR_UNAUTHORIZED },
		{ "ourselves", { proof(&w, &self, NULL) }, 1, ERR_UNAUTHORIZED },
		{ "not among those we speak with",
		  { S("X-Matrix origin=denied.example,key=\"ed25519:1\",sig=x") },
		  1,
		  ERR_FORBIDDEN },
		{ "right", { right }, 1, ERR_NONE },
		{ "without a destination",
		  { arena_join2(b->a, S("X-Matrix origin=a.example,"),
				str_from(right, (size_t)((char *)memmem(right.p, right.n, "key=", 4) - right.p))) },
		  1,
		  ERR_NONE },
		/* "a server may have several keys" */
		{ "a second one by a known key",
		  { S("X-Matrix origin=a.example,key=\"ed25519:0\",sig=x"), right },
		  2,
		  ERR_NONE },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct answer a = check(&w, NULL, rows[i].headers, rows[i].n);

		ok(a.code == rows[i].code, "%s: %s", rows[i].what, a.code ? err_errcode(a.code) : "good");
	}
	ring_end(&w);
}

static void a_key_that_is_over_signs_no_requests(struct both *b)
{
	struct ring_world w;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	const str headers[] = { proof(&w, h, NULL) };

	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_NONE);
	/* Its list is older than it may be. */
	fake_now = NOW + DAY + 1;
	h->is_down = true;
	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_UNAUTHORIZED);
	h->is_down = false;
	h->valid_until = fake_now + DAY;
	fake_now += KEY_RING_PAUSE_MS;
	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_NONE);
	/* It was given up: events may be signed with it, requests not. */
	h->old = wired(b->a, json_get(list_of(b->a, h), S("verify_keys")));
	json_set(b->a, (struct json *)json_get(h->old, S("ed25519:1")), S("expired_ts"),
		 json_new_int(b->a, fake_now + 99 * DAY));
	h->key_id = S("ed25519:2");
	h->valid_until = fake_now + 3 * DAY;
	fake_now += 2 * DAY;
	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_UNAUTHORIZED);
	ring_end(&w);
}

/* Nobody waits for a list that ends: it was asked for anew when half of its time was over. */
static void a_key_in_use_is_refreshed_before_it_ends(struct both *b)
{
	struct ring_world w;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	const str headers[] = { proof(&w, h, NULL) };

	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_NONE);
	fake_now = NOW + DAY / 2 - 1;
	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_NONE);
	assert_false(key_refresh_is_due(&w));
	/* It fails at first: it is tried again when half of what is left is over, not for each request. */
	fake_now = NOW + DAY / 2;
	h->is_down = true;
	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_NONE);
	wait_until_asked(&w.f, w.k, h, 2);
	h->is_down = false;
	fake_now = NOW + 3 * DAY / 4 - 1;
	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_NONE);
	assert_false(key_refresh_is_due(&w));
	fake_now = NOW + 3 * DAY / 4;
	h->valid_until = fake_now + DAY;
	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_NONE);
	wait_until_asked(&w.f, w.k, h, 3);
	/* Behind the first list's end, with nobody to ask. */
	h->is_down = true;
	fake_now = NOW + DAY + 1;
	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_NONE);
	assert_int_equal(h->asked, 3);
	/* After a restart it is not known how old the list is: it is asked for when little is left. */
	ring_again(&w);
	h->is_down = false;
	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_NONE);
	assert_false(key_refresh_is_due(&w));
	fake_now = h->valid_until - DAY / 4;
	assert_int_equal(check(&w, NULL, headers, 1).code, ERR_NONE);
	wait_until_asked(&w.f, w.k, h, 4);
	ring_end(&w);
}

/* Who is not the origin makes nobody ask. */
static void a_bad_proof_refreshes_nothing(struct both *b)
{
	struct ring_world w;
	struct host *h, *other;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	const str right[] = { proof(&w, h, NULL) };

	assert_int_equal(check(&w, NULL, right, 1).code, ERR_NONE);
	other = host_add(&w.f, "b.example", "ed25519:1", 'b');
	other->name = h->name;
	const str wrong[] = { proof(&w, other, NULL) };
	fake_now = NOW + DAY - 5;
	assert_int_equal(check(&w, NULL, wrong, 1).code, ERR_UNAUTHORIZED);
	assert_false(key_refresh_is_due(&w));
	assert_int_equal(h->asked, 1);
	ring_end(&w);
}

/*
 * Strangers
 */
struct visitor {
	struct ring_world *w;
	struct thread *thread;
	str header, address;
	enum err_code code;
};

static void visit(void *arg)
{
	struct visitor *v = arg;
	AUTO_ARENA a = arena_new();
	const struct signed_request rq = { S("PUT"), URI, NULL, &v->header, 1, v->address };

	v->code = check_by(v->w, a, &rq).code;
}

static void begin_visit(struct ring_world *w, struct visitor *v, const struct host *h, const char *address)
{
	*v = (struct visitor){ .w = w, .header = proof(w, h, NULL), .address = str_c(address) };
	v->thread = thread_start("visit", visit, v);
}

static void wait_until_inside(struct ring_world *w, size_t n)
{
	for (size_t inside = 0; inside < n;) {
		sched_yield();
		inside = 0;
		LOCKED(&w->k->lock);
		LIST_EACH (&w->k->waiting, it)
			inside++;
	}
}

static enum err_code visit_now(struct ring_world *w, const struct host *h, const char *address)
{
	struct visitor v = { .w = w, .header = proof(w, h, NULL), .address = str_c(address) };

	visit(&v);
	return v.code;
}

static void strangers_wait_a_few_at_a_time(struct both *b)
{
	struct visitor visitors[6];
	struct ring_world w;
	struct host *known, *down, *h[12];

	ring_begin(&w, b);
	known = host_add(&w.f, "known.example", "ed25519:1", 'k');
	assert_int_equal(visit_now(&w, known, "192.0.2.9"), ERR_NONE);
	down = host_add(&w.f, "down.example", "ed25519:1", 'd');
	down->is_down = true;
	assert_int_equal(visit_now(&w, down, "192.0.2.9"), ERR_UNAUTHORIZED);
	for (size_t i = 0; i < ARRAY_LEN(h); i++)
		h[i] = host_add(&w.f, arena_printf(b->a, "%zu.example", i).p, "ed25519:1", (char)('a' + i));
	w.f.held = true;
	/* Two of one origin, three strangers of an address, six in all. */
	begin_visit(&w, &visitors[0], h[0], "192.0.2.1");
	begin_visit(&w, &visitors[1], h[0], "192.0.2.1");
	wait_until_inside(&w, 2);
	assert_int_equal(visit_now(&w, h[0], "192.0.2.2"), ERR_BUSY);
	begin_visit(&w, &visitors[2], h[1], "192.0.2.1");
	wait_until_inside(&w, 3);
	assert_int_equal(visit_now(&w, h[2], "192.0.2.1"), ERR_BUSY);
	for (size_t i = 3; i < 6; i++)
		begin_visit(&w, &visitors[i], h[i], arena_printf(b->a, "192.0.2.%zu", i).p);
	wait_until_inside(&w, 6);
	assert_int_equal(visit_now(&w, h[7], "192.0.2.7"), ERR_BUSY);
	/* Who was asked just before would not be asked: there is nothing to wait for. */
	assert_int_equal(visit_now(&w, down, "192.0.2.9"), ERR_UNAUTHORIZED);
	/* Those whose keys are known do not wait for them. */
	assert_int_equal(visit_now(&w, known, "192.0.2.1"), ERR_NONE);
	let_go(&w.f);
	for (size_t i = 0; i < ARRAY_LEN(visitors); i++) {
		thread_join(&visitors[i].thread);
		assert_int_equal(visitors[i].code, ERR_NONE);
	}
	assert_int_equal(h[0]->asked, 1);
	assert_int_equal(visit_now(&w, h[7], "192.0.2.1"), ERR_NONE);
	ring_end(&w);
}

/* Somebody who names a server that does not answer, over and over, keeps nobody waiting. */
static void a_name_that_was_just_asked_in_vain_is_refused_at_once(struct both *b)
{
	struct ring_world w;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	h->is_down = true;
	for (int i = 0; i < 50; i++, fake_now++)
		assert_int_equal(visit_now(&w, h, "192.0.2.1"), ERR_UNAUTHORIZED);
	assert_int_equal(h->asked, KEY_RING_BURST);
	ring_end(&w);
}

BOTH(a_signed_request_has_an_origin)
BOTH(what_was_changed_is_not_the_origins)
BOTH(headers_that_are_no_proof)
BOTH(a_key_that_is_over_signs_no_requests)
BOTH(a_key_in_use_is_refreshed_before_it_ends)
BOTH(a_bad_proof_refreshes_nothing)
BOTH(strangers_wait_a_few_at_a_time)
BOTH(a_name_that_was_just_asked_in_vain_is_refused_at_once)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(a_signed_request_has_an_origin),
		BOTH_TESTS(what_was_changed_is_not_the_origins),
		BOTH_TESTS(headers_that_are_no_proof),
		BOTH_TESTS(a_key_that_is_over_signs_no_requests),
		BOTH_TESTS(a_key_in_use_is_refreshed_before_it_ends),
		BOTH_TESTS(a_bad_proof_refreshes_nothing),
		BOTH_TESTS(strangers_wait_a_few_at_a_time),
		BOTH_TESTS(a_name_that_was_just_asked_in_vain_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
