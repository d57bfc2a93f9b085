/* Calls that one thread starts as it goes and takes as they end; woken by others, and dropped in the midst of them. */
#include "site.h"

#include "base/list.h"

/* "/n" is answered by "n"; "/wait..." not before the test lets it; "/silent" never; "/endless" without an end. */
static bool numbers(struct visit *v)
{
	struct site *s = v->site;
	const str path = path_of(v);

	if (str_starts(path, S("/wait"))) {
		lock_take(&s->lock);
		s->arrived++;
		cond_broadcast(&s->changed);
		while (!s->flag)
			cond_wait(&s->changed, &s->lock);
		lock_drop(&s->lock);
	}
	if (asks(v, "/silent")) {
		lock_take(&s->lock);
		s->arrived++;
		cond_broadcast(&s->changed);
		lock_drop(&s->lock);
		keep_silent(v);
		return false;
	}
	if (asks(v, "/endless")) {
		SAY(v, "HTTP/1.1 200 OK\r\n\r\n");
		while (SAY(v, "more and more and more"))
			;
		return false;
	}
	if (asks(v, "/away"))
		return SAY(v, "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n");
	return say_ok(v, S(""), str_from(path, 1));
}

static void wait_for_arrivals(struct site *s, int n)
{
	lock_take(&s->lock);
	while (s->arrived < n)
		cond_wait(&s->changed, &s->lock);
	lock_drop(&s->lock);
}

static void let_them_go(struct site *s)
{
	lock_take(&s->lock);
	s->flag = true;
	cond_broadcast(&s->changed);
	lock_drop(&s->lock);
}

struct world {
	struct arena *a;
	struct site *site;
	struct client *client;
	struct client_batch *batch;
};

static void world_begin(struct world *w, struct client_options opt)
{
	w->a = arena_new();
	w->site = site_open(S("127.0.0.1"), numbers);
	w->client = client_with(w->a, opt);
	w->batch = client_batch_new(w->client);
}

static void world_end(struct world *w)
{
	client_batch_free(&w->batch);
	client_free(&w->client);
	site_close(w->site);
	arena_free(&w->a);
}

/* An own arena for each call: what one answered goes when it was dealt with, whatever the others do. */
struct one {
	struct client_call call;
	struct arena *a;
	unsigned n;
};

static void start(struct world *w, struct one *o, unsigned n)
{
	o->a = arena_new();
	o->n = n;
	o->call = call_to(o->a, w->site, arena_printf(o->a, "/%u", n).p);
	client_batch_start(w->batch, o->a, &o->call, in_seconds(60));
}

static void thousands_by_one_thread(void **state)
{
	enum { ALL = 3000, WINDOW = 500 };
	struct one *ones = mem_zalloc(ALL * sizeof(*ones));
	struct world w;
	unsigned started = 0, ended = 0;

	(void)state;
	world_begin(&w, (struct client_options){ .max_per_host = 16 });
	while (ended < ALL) {
		const struct client_call *c;
		struct one *o;

		while (started < ALL && started - ended < WINDOW) {
			start(&w, &ones[started], started);
			started++;
		}
		c = client_batch_next(w.batch, INT64_MAX);
		ok(c, "it waits for what is under way");
		o = LIST_ITEM(c, struct one, call);
		good(o->call.error);
		same_str(o->call.answer, arena_printf(o->a, "%u", o->n));
		arena_free(&o->a);
		ended++;
	}
	assert_null(client_batch_next(w.batch, clock_mono_us()));
	mem_free(ones);
	world_end(&w);
}

/* Each ends in its own way, none is lost, and the good ones are not harmed. */
static void each_has_its_own_outcome(void **state)
{
	static const struct {
		const char *path;
		unsigned failure;
	} rows[] = { { "/1", 0 },    { "/silent", CLIENT_TIMEOUT },    { "/endless", CLIENT_TOO_LARGE }, { "/2", 0 },
		     { "/away", 0 }, { " is no path", CLIENT_BAD_URL } };
	struct client_call calls[ARRAY_LEN(rows)];
	struct world w;
	unsigned seen = 0;

	(void)state;
	world_begin(&w, (struct client_options){ 0 });
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		calls[i] = call_to(w.a, w.site, rows[i].path);
		if (rows[i].failure == CLIENT_BAD_URL)
			calls[i].url = S("ftp://127.0.0.1/");
		client_batch_start(w.batch, w.a, &calls[i],
				   rows[i].failure == CLIENT_TIMEOUT ? clock_mono_us() + 50000 : in_seconds(60));
	}
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		const struct client_call *c = client_batch_next(w.batch, in_seconds(60));
		const size_t i = (size_t)(c - calls);

		ok(c && i < ARRAY_LEN(rows) && !(seen & 1u << i), "one of ours, and once");
		seen |= 1u << i;
		ok((c->error ? c->error->detail : 0) == rows[i].failure, "%s: failure %u", rows[i].path,
		   c->error ? c->error->detail : 0);
	}
	same_str(calls[4].answer, S("there"));
	world_end(&w);
}

struct waker {
	struct site *site;
	struct client_batch *batch;
};

static void wake_when_they_wait(void *arg)
{
	const struct waker *k = arg;

	wait_for_arrivals(k->site, 1);
	client_batch_wake(k->batch);
}

/* Somebody else has news for the thread that waits: it comes out, and what is under way goes on. */
static void woken_by_another_thread(void **state)
{
	struct world w;
	struct waker k;
	struct thread *t;
	struct client_call c;

	(void)state;
	world_begin(&w, (struct client_options){ 0 });
	k = (struct waker){ w.site, w.batch };
	c = call_to(w.a, w.site, "/wait");
	client_batch_start(w.batch, w.a, &c, in_seconds(60));
	t = thread_start("waker", wake_when_they_wait, &k);
	assert_null(client_batch_next(w.batch, in_seconds(60)));
	thread_join(&t);
	let_them_go(w.site);
	assert_ptr_equal(client_batch_next(w.batch, in_seconds(60)), &c);
	same_str(c.answer, S("wait"));
	/* Before anybody waits it is not lost, with nothing under way it holds, and it is told once. */
	client_batch_wake(w.batch);
	assert_null(client_batch_next(w.batch, INT64_MAX));
	assert_null(client_batch_next(w.batch, clock_mono_us() + 1000));
	world_end(&w);
}

static err *count(void *n, struct client_call *c, str bytes)
{
	(void)c;
	*(size_t *)n += bytes.n;
	return NULL;
}

/* An answer that never ends does not keep the thread from what it was woken for. */
static void woken_in_a_stream(void **state)
{
	struct client_call c;
	struct world w;
	size_t n = 0;

	(void)state;
	world_begin(&w, (struct client_options){ 0 });
	c = call_to(w.a, w.site, "/endless");
	c.take = count;
	c.take_ctx = &n;
	c.max_bytes = SIZE_MAX;
	client_batch_start(w.batch, w.a, &c, in_seconds(60));
	for (int i = 0; i < 20; i++) {
		client_batch_wake(w.batch);
		assert_null(client_batch_next(w.batch, in_seconds(60)));
	}
	world_end(&w);
}

/* Whatever a call is at, dropping the batch ends it, and nothing of it is touched afterwards. */
static void dropped_with_calls_under_way(void **state)
{
	static const char *const paths[] = { "/silent", "/endless", "/1", "/silent", "/away", "/2", "/nothing" };
	enum { ROUNDS = 30, CALLS = 40 };
	struct world w;

	(void)state;
	world_begin(&w, (struct client_options){ .max_per_host = 4 });
	for (int round = 0; round < ROUNDS && w.site->n_visits < MOST_VISITS - 8; round++) {
		struct arena *a = arena_new();
		struct client_call *calls = ARENA_ARRAY(a, struct client_call, CALLS);
		size_t n = 0;

		for (size_t i = 0; i < CALLS; i++) {
			calls[i] = call_to(a, w.site, paths[i % ARRAY_LEN(paths)]);
			calls[i].max_bytes = 1 << 30;
			if (i % 3 == 0) {
				calls[i].take = count;
				calls[i].take_ctx = &n;
			}
			if (i % 11 == 0)
				calls[i].url = S("http:///");
			client_batch_start(w.batch, a, &calls[i], in_seconds(60));
		}
		for (int i = 0; i < round; i++)
			(void)client_batch_next(w.batch, clock_mono_us());
		client_batch_free(&w.batch);
		arena_free(&a);
		w.batch = client_batch_new(w.client);
	}
	world_end(&w);
}

/* The loops are gone already for new calls; those under way are told so, each. */
static void stopped_with_calls_under_way(void **state)
{
	struct client_call calls[3];
	struct world w;

	(void)state;
	world_begin(&w, (struct client_options){ .max_per_host = 1 });
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		calls[i] = call_to(w.a, w.site, "/silent");
	client_batch_start(w.batch, w.a, &calls[0], in_seconds(60));
	client_batch_start(w.batch, w.a, &calls[1], in_seconds(60));
	wait_for_arrivals(w.site, 1);
	client_stop(w.client);
	client_batch_start(w.batch, w.a, &calls[2], in_seconds(60));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		assert_int_equal(client_batch_next(w.batch, in_seconds(60))->error->detail, CLIENT_STOPPED);
	world_end(&w);
}

static void nothing_to_free(void **state)
{
	struct client_batch *none = NULL;

	(void)state;
	client_batch_free(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thousands_by_one_thread),
		cmocka_unit_test(each_has_its_own_outcome),
		cmocka_unit_test(woken_by_another_thread),
		cmocka_unit_test(woken_in_a_stream),
		cmocka_unit_test(dropped_with_calls_under_way),
		cmocka_unit_test(stopped_with_calls_under_way),
		cmocka_unit_test(nothing_to_free),
	};

	return cmocka_run_group_tests(tests, nets_init, NULL);
}
