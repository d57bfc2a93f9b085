/* Requests to other servers: what goes out is signed for whom it is meant, and what comes back is told apart. */
#include "federation/fed_fixture.h"

#include "matrix/x_matrix.h"

/* ---- the other side ---- */

static struct {
	struct lock lock;
	struct cond changed;
	unsigned asked_well_known, asked; /* under lock, as is: */
	bool held;                        /* /.well-known waits */
	unsigned waiting;
} web;

static int web_init(void **state)
{
	(void)state;
	lock_init(&web.lock, RANK_LEAF);
	cond_init(&web.changed);
	return 0;
}

static void hold(bool held)
{
	lock_take(&web.lock);
	web.held = held;
	cond_broadcast(&web.changed);
	lock_drop(&web.lock);
}

static void wait_until_it_waits(void)
{
	lock_take(&web.lock);
	while (web.waiting == 0)
		cond_wait(&web.changed, &web.lock);
	lock_drop(&web.lock);
}

static str header_of(const struct visit *v, const char *name)
{
	str rest = v->request, line;

	while (str_split_next(&rest, '\n', &line)) {
		const size_t colon = str_find(line, ':');

		if (colon < line.n && str_eq_nocase(str_head(line, colon), str_c(name)))
			return str_trim(str_from(line, colon + 1));
	}
	return STR_NONE;
}

static str body_of(const struct visit *v)
{
	const char *end = memmem(v->request.p, v->request.n, "\r\n\r\n", 4);

	return str_from(v->request, (size_t)(end + 4 - v->request.p));
}

/* "wkX.example" is delegated to "there.example:PORT". */
static bool well_known(struct visit *v)
{
	AUTO_ARENA a = arena_new();

	lock_take(&web.lock);
	web.asked_well_known++;
	web.waiting++;
	cond_broadcast(&web.changed);
	while (web.held)
		cond_wait(&web.changed, &web.lock);
	web.waiting--;
	lock_drop(&web.lock);
	if (!str_starts(header_of(v, "Host"), S("wk")))
		return SAY(v, "HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n");
	return say_ok(v, S(""), arena_printf(a, "{\"m.server\":\"there.example:%u\"}", v->site->port));
}

static const struct {
	const char *path, *answer;
	int status;
	enum err_code code; /* 0: none */
	const char *extra;
	const char *passed; /* as it is for a client: its errcode */
} ANSWERS[] = {
	{ "/forbidden", "{\"errcode\":\"M_FORBIDDEN\",\"error\":\"You are not invited\"}", 403, ERR_FORBIDDEN, NULL },
	{ "/not-found", "{\"errcode\":\"M_NOT_FOUND\",\"error\":\"?\"}", 404, ERR_NOT_FOUND, NULL },
	{ "/authorise", "{\"errcode\":\"M_UNABLE_TO_AUTHORISE_JOIN\"}", 400, ERR_UNABLE_TO_AUTHORISE_JOIN, NULL },
	{ "/grant", "{\"errcode\":\"M_UNABLE_TO_GRANT_JOIN\"}", 400, ERR_UNABLE_TO_GRANT_JOIN, NULL },
	{ "/incompatible", "{\"errcode\":\"M_INCOMPATIBLE_ROOM_VERSION\",\"room_version\":\"7\\\"\"}", 400,
	  ERR_INCOMPATIBLE_ROOM_VERSION, "\"room_version\":\"7\\\"\"" },
	{ "/no-version", "{\"errcode\":\"M_INCOMPATIBLE_ROOM_VERSION\",\"room_version\":7}", 400,
	  ERR_INCOMPATIBLE_ROOM_VERSION, NULL },
	{ "/slower", "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":1234}", 429, ERR_LIMIT_EXCEEDED,
	  "\"retry_after_ms\":1234" },
	{ "/slower-years", "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":99999999999999}", 429,
	  ERR_LIMIT_EXCEEDED, "\"retry_after_ms\":86400000" },
	{ "/slower-never", "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":-5}", 429, ERR_LIMIT_EXCEEDED,
	  "\"retry_after_ms\":0" },
	{ "/slower-plain", "slowly", 429, ERR_LIMIT_EXCEEDED, NULL },
	{ "/unknown-endpoint", "{\"errcode\":\"M_UNRECOGNIZED\"}", 404, ERR_UNRECOGNIZED, NULL },
	{ "/no-endpoint", "<html>404</html>", 404, ERR_UNRECOGNIZED, NULL },
	{ "/no-method", "", 405, ERR_UNRECOGNIZED, NULL },
	{ "/strange", "{\"errcode\":\"ORG_STRANGE\"}", 404, ERR_NOT_FOUND, NULL },
	{ "/strange-400", "{\"errcode\":\"ORG_STRANGE\"}", 418, ERR_UNKNOWN, NULL, "ORG_STRANGE" },
	{ "/known-otherwise", "{\"errcode\":\"M_UNKNOWN_TOKEN\"}", 400, ERR_UNKNOWN, NULL },
	{ "/no-errcode", "{\"errcode\":\"STRANGE\\\"}\"}", 400, ERR_UNKNOWN, NULL },
	{ "/list", "[1]", 400, ERR_UNKNOWN, NULL },
	{ "/large", "{\"errcode\":\"M_TOO_LARGE\"}", 413, ERR_REMOTE_TOO_LARGE, NULL },
	/* What would log our user out, or blame him for what only servers can mend. */
	{ "/unauthorized", "{\"errcode\":\"M_UNAUTHORIZED\"}", 401, ERR_CONNECTION_FAILED, NULL },
	{ "/token", "{\"errcode\":\"M_UNKNOWN_TOKEN\",\"soft_logout\":true}", 401, ERR_CONNECTION_FAILED, NULL },
	{ "/token-403", "{\"errcode\":\"M_UNKNOWN_TOKEN\"}", 403, ERR_FORBIDDEN, NULL },
	{ "/uia", "{\"flows\":[],\"session\":\"x\"}", 401, ERR_CONNECTION_FAILED, NULL },
	{ "/forbidden-401", "{\"errcode\":\"M_FORBIDDEN\"}", 401, ERR_CONNECTION_FAILED, NULL },
};
/* After which the server is left alone for a while. */
static const struct {
	const char *path, *answer;
	int status;
} TROUBLES[] = {
	{ "/broken", "{\"errcode\":\"M_FORBIDDEN\"}", 500 }, { "/gateway", "<html>", 502 }, { "/moved", "", 302 },
	{ "/html", "<html>buy this domain</html>", 200 },    { "/empty", "", 200 },         { "/half", "{\"a\":", 200 },
};

static bool say_status(struct visit *v, int status, const char *answer)
{
	AUTO_ARENA a = arena_new();

	return say(v, arena_printf(a, "HTTP/1.1 %d X\r\nLocation: /there\r\nContent-Length: %zu\r\n\r\n%s", status,
				   strlen(answer), answer));
}

/* Who asked, for whom, and with what: if all of it is signed by the fixture's key. */
static bool say_proof(struct visit *v)
{
	AUTO_ARENA a = arena_new();
	static const uint8_t seed[32] = { 7 };
	struct x_matrix x;
	struct x_matrix_request rq = { .method = str_head(v->request, str_find(v->request, ' ')), .uri = path_of(v) };
	struct json *body = NULL;
	struct ed25519_key key;
	bool proven;
	str bytes;

	ed25519_from_seed(&key, seed);
	if (!x_matrix_parse(a, header_of(v, "Authorization"), &x))
		return say_ok(v, S(""), S("{\"unsigned\":true}"));
	if (body_of(v).n > 0)
		good(json_parse(a, body_of(v), &json_limits_request, &body));
	rq.origin = x.origin;
	rq.destination = x.destination;
	rq.content = body;
	good(x_matrix_bytes(a, &rq, &bytes));
	proven = sign_verify_bytes(a, bytes, x.signature, key.public_key);
	return say_ok(v, S("Content-Type: application/json\r\n"),
		      arena_printf(a, "{\"proven\":%s,\"origin\":\"%.*s\",\"destination\":\"%.*s\",\"key\":\"%.*s\"}",
				   proven ? "true" : "false", STR_ARG(x.origin), STR_ARG(x.destination),
				   STR_ARG(x.key_id)));
}

static bool answer(struct visit *v)
{
	const str path = path_of(v);

	if (asks(v, "/.well-known/matrix/server"))
		return well_known(v);
	lock_take(&web.lock);
	web.asked++;
	lock_drop(&web.lock);
	for (size_t i = 0; i < ARRAY_LEN(ANSWERS); i++)
		if (asks(v, ANSWERS[i].path))
			return say_status(v, ANSWERS[i].status, ANSWERS[i].answer);
	for (size_t i = 0; i < ARRAY_LEN(TROUBLES); i++)
		if (asks(v, TROUBLES[i].path))
			return say_status(v, TROUBLES[i].status, TROUBLES[i].answer);
	if (asks(v, "/deep") || asks(v, "/deeper")) {
		char deep[3000];
		const size_t n = asks(v, "/deep") ? 1000 : 1200;

		memset(deep, '[', n);
		memset(deep + n, ']', n);
		return say_ok(v, S(""), (str){ deep, 2 * n });
	}
	if (asks(v, "/hangs-up"))
		return false;
	if (asks(v, "/silent")) {
		keep_silent(v);
		return false;
	}
	if (asks(v, "/file"))
		return say_ok(v, S("Content-Type: multipart/mixed; boundary=x\r\n"), S("no JSON"));
	if (str_starts(path, S("/proof")))
		return say_proof(v);
	return say_ok(v, S(""), S("{}"));
}

static void begin(struct fed_world *w)
{
	web.asked = web.asked_well_known = web.waiting = 0;
	web.held = false;
	fed_world_begin(w, answer);
}

static struct fed_call call_of(struct fed_world *w, const char *host, const char *path)
{
	return (struct fed_call){ .destination = fed_world_name(w, host), .path = str_c(path) };
}

/* ---- what goes out ---- */

static void a_request_is_signed_for_whom_it_is_meant(void **state)
{
	static const char *const bodies[] = { NULL, "{\"b\":1,\"a\":[1.5,\"\\u00e9\"]}", "{}" };
	struct fed_world w;

	(void)state;
	begin(&w);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct fed_call c = call_of(&w, "a.example", NULL);
		struct json *body;

		if (bodies[i]) {
			good(json_parse(w.a, str_c(bodies[i]), &json_limits_request, &body));
			c.content = body;
			c.method = S("PUT");
		}
		c.path = fed_path(w.a, S("/proof/"), S("!a/b?c d:x"), S("\xc3\xa9~"), STR_NONE);
		c.path = fed_query(w.a, c.path, "limit", S("10"));
		c.path = fed_query(w.a, c.path, "v", S("a&b=c"));
		same_str(c.path, S("/proof/%21a%2Fb%3Fc%20d%3Ax/%C3%A9~?limit=10&v=a%26b%3Dc"));
		good(fed_one(w.fed, w.a, &c, in_seconds(20)));
		assert_int_equal(c.status, 200);
		ok(json_get_bool(c.answer, S("proven"), false), "body %zu", i);
		same_str(json_get_str(c.answer, S("origin")), S("here.example"));
		same_str(json_get_str(c.answer, S("key")), S("ed25519:1"));
		same_str(json_get_str(c.answer, S("destination")), c.destination);
		same_str(c.content_type, S("application/json"));
	}
	fed_world_end(&w);
}

static void keys_are_asked_for_without_proof(void **state)
{
	struct fed_world w;
	struct fed_call c;

	(void)state;
	begin(&w);
	c = call_of(&w, "a.example", "/proof");
	c.is_unsigned = true;
	good(fed_one(w.fed, w.a, &c, in_seconds(20)));
	ok(json_get_bool(c.answer, S("unsigned"), false), "no Authorization");
	fed_world_end(&w);
}

static void who_is_never_asked(void **state)
{
	static const struct {
		const char *name;
		enum err_code code;
		unsigned detail;
	} rows[] = {
		{ "here.example", ERR_INVALID_PARAM, 0 },
		{ "no/name", ERR_INVALID_PARAM, 0 },
		{ "", ERR_INVALID_PARAM, 0 },
		{ "other.example", ERR_FORBIDDEN, FED_NOT_ALLOWED },
		{ "Friend.example", ERR_FORBIDDEN, FED_NOT_ALLOWED },
	};
	static const str friends[] = { STR("friend.example"), STR("here.example") };
	struct fed_world w = { 0 };
	struct fed_options opt;

	(void)state;
	fed_world_prepare(&w, answer, (struct client_options){ 0 });
	opt = fed_world_options(&w);
	opt.whitelist = friends;
	opt.n_whitelist = ARRAY_LEN(friends);
	good(fed_new(w.a, &opt, &w.fed));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fed_call c = { .destination = str_c(rows[i].name), .path = S("/x"), .patience = FED_ANYWAY };
		const err *e = fed_one(w.fed, w.a, &c, in_seconds(20));

		ok(e && e->code == rows[i].code && e->detail == rows[i].detail, "%s", rows[i].name);
	}
	assert_int_equal(w.site->n_visits, 0);
	ok(fed_allowed(w.fed, S("friend.example")), "friends are spoken to");
	ok(!fed_allowed(w.fed, S("other.example")), "and nobody else");
	fed_free(&w.fed);
	opt.n_whitelist = 0;
	good(fed_new(w.a, &opt, &w.fed));
	ok(!fed_allowed(w.fed, S("friend.example")), "an empty list is nobody");
	fed_free(&w.fed);
	opt.whitelist = NULL;
	good(fed_new(w.a, &opt, &w.fed));
	ok(fed_allowed(w.fed, S("friend.example")) && !fed_allowed(w.fed, S("a b")), "no list is everybody");
	fed_world_end(&w);
}

/* ---- what comes back ---- */

static void a_no_is_told_in_our_words(void **state)
{
	struct fed_world w;

	(void)state;
	begin(&w);
	for (size_t i = 0; i < ARRAY_LEN(ANSWERS); i++) {
		struct fed_call c = call_of(&w, "a.example", ANSWERS[i].path);
		const err *e = fed_one(w.fed, w.a, &c, in_seconds(20));

		ok(e, "%s: an error", c.path.p);
		ok(e->code == ANSWERS[i].code, "%s: %s", c.path.p, err_errcode(e->code));
		ok(err_status(e->code) != 401, "%s: nobody is logged out", c.path.p);
		same_str(e->extra, str_c(ANSWERS[i].extra));
		ok(!ANSWERS[i].passed == str_is_none(e->body), "%s", ANSWERS[i].path);
		if (ANSWERS[i].passed)
			ok(str_contains(e->body,
					arena_printf(w.a, "{\"errcode\":\"%s\",\"error\":\"", ANSWERS[i].passed)),
			   "%.*s", STR_ARG(e->body));
		assert_int_equal(c.status, ANSWERS[i].status);
		assert_int_equal(e->detail, 0);
		ok(!backoff_pauses(w.fed, c.destination, NULL), "%s: it lives", c.path.p);
	}
	fed_world_end(&w);
}

static void trouble_is_left_alone(void **state)
{
	struct fed_world w;

	(void)state;
	begin(&w);
	for (size_t i = 0; i < ARRAY_LEN(TROUBLES); i++) {
		struct fed_call c = call_of(&w, "a.example", TROUBLES[i].path);
		const unsigned before = web.asked;
		int64_t until;

		fails_with(fed_one(w.fed, w.a, &c, in_seconds(20)), ERR_CONNECTION_FAILED);
		assert_int_equal(c.status, TROUBLES[i].status);
		ok(backoff_pauses(w.fed, c.destination, &until) && until > fed_now, "%s", c.path.p);
		c.path = S("/good");
		fails_with(fed_one(w.fed, w.a, &c, in_seconds(20)), ERR_CONNECTION_FAILED);
		assert_int_equal(c.error->detail, FED_BACKED_OFF);
		assert_int_equal(web.asked - before, 1); /* not even once more */
		c.patience = FED_ANYWAY;
		good(fed_one(w.fed, w.a, &c, in_seconds(20)));
		ok(!backoff_pauses(w.fed, c.destination, NULL), "a good answer ends it");
	}
	fed_world_end(&w);
}

static void what_is_no_sign_that_it_is_down(void **state)
{
	struct fed_world w;
	struct fed_call c;

	(void)state;
	begin(&w);
	c = call_of(&w, "a.example", "/broken");
	c.patience = FED_UNHARMED;
	fails_with(fed_one(w.fed, w.a, &c, in_seconds(20)), ERR_CONNECTION_FAILED);
	ok(!backoff_pauses(w.fed, c.destination, NULL), "it was asked what may fail");
	c = call_of(&w, "a.example", "/file");
	c.any_type = true;
	c.max_bytes = 3;
	fails_with(fed_one(w.fed, w.a, &c, in_seconds(20)), ERR_REMOTE_TOO_LARGE);
	assert_int_equal(c.error->detail, CLIENT_TOO_LARGE);
	ok(!backoff_pauses(w.fed, c.destination, NULL), "it answers too much");
	c = call_of(&w, "a.example", "/a b");
	fails_with(fed_one(w.fed, w.a, &c, in_seconds(20)), ERR_INVALID_PARAM);
	ok(!backoff_pauses(w.fed, c.destination, NULL), "we asked nonsense");
	fed_world_end(&w);
}

static void no_answer_at_all(void **state)
{
	static const struct {
		const char *host, *path;
		enum client_failure failure;
		enum err_code code;
	} rows[] = {
		{ "nowhere.example", "/", CLIENT_NO_HOST, ERR_CONNECTION_FAILED },
		{ "a.example:1", "/", CLIENT_NO_CONNECT, ERR_CONNECTION_FAILED },
		{ "192.0.2.1", "/", CLIENT_REFUSED, ERR_CONNECTION_FAILED },
		{ "b.example", "/hangs-up", CLIENT_BROKEN, ERR_CONNECTION_FAILED },
		{ "c.example", "/silent", CLIENT_TIMEOUT, ERR_CONNECTION_TIMEOUT },
	};
	struct fed_world w;

	(void)state;
	begin(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fed_call c = { .destination = str_c(rows[i].host), .path = str_c(rows[i].path) };
		const err *e;

		if (rows[i].failure >= CLIENT_BROKEN)
			c.destination = fed_world_name(&w, rows[i].host);
		e = fed_one(w.fed, w.a, &c,
			    rows[i].failure == CLIENT_TIMEOUT ? clock_mono_us() + 50000 : in_seconds(20));
		ok(e && e->code == rows[i].code && e->detail == rows[i].failure, "%s: %u %s", rows[i].host,
		   e ? e->detail : 0, e ? e->msg.p : "");
		assert_int_equal(c.status, 0);
		ok(backoff_pauses(w.fed, c.destination, NULL), "%s is left alone", rows[i].host);
	}
	fed_world_end(&w);
}

static err *count_bytes(void *n, str bytes)
{
	*(size_t *)n += bytes.n;
	return NULL;
}

static void answers_of_other_kinds(void **state)
{
	struct fed_world w;
	struct fed_call c;
	size_t got = 0;

	(void)state;
	begin(&w);
	c = call_of(&w, "a.example", "/file");
	c.any_type = true;
	good(fed_one(w.fed, w.a, &c, in_seconds(20)));
	same_str(c.body, S("no JSON"));
	same_str(c.content_type, S("multipart/mixed; boundary=x"));
	assert_null(c.answer);
	c.any_type = false;
	c.take = count_bytes;
	c.take_ctx = &got;
	good(fed_one(w.fed, w.a, &c, in_seconds(20)));
	assert_int_equal(got, 7);
	assert_null(c.answer);
	c = call_of(&w, "a.example", "/deep"); /* an event may be as deep */
	good(fed_one(w.fed, w.a, &c, in_seconds(20)));
	c = call_of(&w, "a.example", "/deeper");
	fails_with(fed_one(w.fed, w.a, &c, in_seconds(20)), ERR_CONNECTION_FAILED);
	fed_world_end(&w);
}

static err *no_more(void *a, str bytes)
{
	(void)bytes;
	return err_new(a, ERR_RESOURCE_LIMIT, "enough");
}

/* Its own error, and no harm to a server that did nothing wrong. */
static void what_take_refuses(void **state)
{
	struct fed_world w;
	struct fed_call c;

	(void)state;
	begin(&w);
	c = call_of(&w, "a.example", "/file");
	c.take = no_more;
	c.take_ctx = w.a;
	fails_with(fed_one(w.fed, w.a, &c, in_seconds(20)), ERR_RESOURCE_LIMIT);
	ok(!backoff_pauses(w.fed, c.destination, NULL), "it lives");
	fed_world_end(&w);
}

/* ---- many ---- */

/* Servers of one delegation: its host is asked once, whoever asks, and all go there. */
static void a_host_is_asked_once_for_many(void **state)
{
	enum { CALLS = 60 };
	struct fed_call calls[2][CALLS];
	struct fed_batch *batch[2];
	struct fed_world w;

	(void)state;
	begin(&w);
	hold(true);
	for (size_t b = 0; b < 2; b++) {
		batch[b] = fed_batch_new(w.fed);
		for (size_t i = 0; i < CALLS; i++) {
			calls[b][i] = (struct fed_call){ .destination = S("wk.example"), .path = S("/proof") };
			fed_batch_start(batch[b], w.a, &calls[b][i], in_seconds(60));
		}
	}
	wait_until_it_waits();
	hold(false);
	/* The first batch has the question; while nobody looks after it, the second one waits. */
	assert_null(fed_batch_next(batch[1], clock_mono_us()));
	for (size_t b = 0; b < 2; b++) {
		for (size_t i = 0; i < CALLS; i++) {
			const struct fed_call *c = fed_batch_next(batch[b], in_seconds(60));

			ok(c, "call %zu", i);
			good(c->error);
			same_str(json_get_str(c->answer, S("destination")), S("wk.example"));
		}
		assert_null(fed_batch_next(batch[b], clock_mono_us()));
		fed_batch_free(&batch[b]);
	}
	assert_int_equal(web.asked_well_known, 1);
	fed_world_end(&w);
}

/* Who waits for somebody else's question has a deadline of his own. */
static void waiting_for_another_ends_in_time(void **state)
{
	struct fed_call first = { .destination = S("wk.example"), .path = S("/x") }, second = first;
	struct fed_batch *batch;
	struct fed_world w;

	(void)state;
	begin(&w);
	hold(true);
	batch = fed_batch_new(w.fed);
	fed_batch_start(batch, w.a, &first, in_seconds(60));
	fed_batch_start(batch, w.a, &second, clock_mono_us() + 20000);
	assert_ptr_equal(fed_batch_next(batch, in_seconds(60)), &second);
	assert_int_equal(second.error->code, ERR_CONNECTION_TIMEOUT);
	ok(!backoff_pauses(w.fed, S("wk.example"), NULL), "nobody asked it");
	hold(false);
	assert_ptr_equal(fed_batch_next(batch, in_seconds(60)), &first);
	good(first.error);
	fed_batch_free(&batch);
	fed_world_end(&w);
}

/* Who has no time to wait for a host does not conclude, for everybody, that the server is not delegated. */
static void haste_teaches_nothing(void **state)
{
	struct fed_call c = { .destination = S("wk.example"), .path = S("/x") };
	struct fed_world w;

	(void)state;
	begin(&w);
	hold(true);
	fails_with(fed_one(w.fed, w.a, &c, clock_mono_us() + 50000), ERR_CONNECTION_TIMEOUT);
	hold(false);
	good(fed_one(w.fed, w.a, &c, in_seconds(60)));
	assert_int_equal(web.asked_well_known, 2);
	fed_world_end(&w);
}

/* Whoever asked the host goes away in the midst of it: another one asks then. */
static void a_question_is_left_to_others(void **state)
{
	struct fed_call first = { .destination = S("wk.example"), .path = S("/x") }, second = first;
	struct fed_batch *one, *other;
	struct fed_world w;

	(void)state;
	begin(&w);
	hold(true);
	one = fed_batch_new(w.fed);
	other = fed_batch_new(w.fed);
	fed_batch_start(one, w.a, &first, in_seconds(60));
	fed_batch_start(other, w.a, &second, in_seconds(60));
	wait_until_it_waits();
	fed_batch_free(&one);
	hold(false);
	assert_ptr_equal(fed_batch_next(other, in_seconds(60)), &second);
	good(second.error);
	assert_int_equal(web.asked_well_known, 2);
	fed_batch_free(&other);
	fed_world_end(&w);
}

/* With calls at each of their steps, which all are ended and forgotten. */
static void dropped_under_way(void **state)
{
	static const char *const names[] = { "wk.example", "wk2.example", "here.example", "a.example", "wk.example" };
	struct fed_world w;

	(void)state;
	begin(&w);
	for (int round = 0; round < 12; round++) {
		struct fed_batch *batch = fed_batch_new(w.fed);
		struct arena *a = arena_new();
		struct fed_call *calls = ARENA_ARRAY(a, struct fed_call, 40);

		hold(round % 3 == 0);
		for (size_t i = 0; i < 40; i++) {
			const char *name = names[i % ARRAY_LEN(names)];

			calls[i].destination = i % 7 == 0 ? fed_world_name(&w, name) : str_c(name);
			calls[i].path = i % 5 == 0 ? S("/silent") : S("/proof");
			calls[i].patience = FED_ANYWAY;
			fed_batch_start(batch, a, &calls[i], in_seconds(60));
		}
		for (int i = 0; i < round; i++)
			(void)fed_batch_next(batch, clock_mono_us() + 1000);
		fed_batch_free(&batch);
		arena_free(&a);
	}
	hold(false);
	fed_world_end(&w);
}

static void wake(void *batch)
{
	wait_until_it_waits();
	fed_batch_wake(batch);
}

static void woken(void **state)
{
	struct fed_call c = { .destination = S("wk.example"), .path = S("/x") };
	struct fed_batch *batch;
	struct fed_world w;
	struct thread *t;

	(void)state;
	begin(&w);
	hold(true);
	batch = fed_batch_new(w.fed);
	fed_batch_start(batch, w.a, &c, in_seconds(60));
	t = thread_start("waker", wake, batch);
	assert_null(fed_batch_next(batch, in_seconds(60)));
	thread_join(&t);
	hold(false);
	assert_ptr_equal(fed_batch_next(batch, in_seconds(60)), &c);
	fed_batch_free(&batch);
	fed_world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_signed_for_whom_it_is_meant),
		cmocka_unit_test(keys_are_asked_for_without_proof),
		cmocka_unit_test(who_is_never_asked),
		cmocka_unit_test(a_no_is_told_in_our_words),
		cmocka_unit_test(trouble_is_left_alone),
		cmocka_unit_test(what_is_no_sign_that_it_is_down),
		cmocka_unit_test(no_answer_at_all),
		cmocka_unit_test(answers_of_other_kinds),
		cmocka_unit_test(what_take_refuses),
		cmocka_unit_test(a_host_is_asked_once_for_many),
		cmocka_unit_test(waiting_for_another_ends_in_time),
		cmocka_unit_test(haste_teaches_nothing),
		cmocka_unit_test(a_question_is_left_to_others),
		cmocka_unit_test(dropped_under_way),
		cmocka_unit_test(woken),
	};

	return cmocka_run_group_tests(tests, web_init, NULL);
}
