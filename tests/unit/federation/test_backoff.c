/* Who does not answer is left alone, for longer each time; a restart does not forget it; who comes back is not kept
 * waiting. */
#include "federation/fed_fixture.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

static bool never_asked(struct visit *v)
{
	(void)v;
	fail_msg("nobody asks here");
	return false;
}

static struct {
	unsigned n;
	char name[64];
} returned;

static void on_return(void *ctx, str server_name)
{
	(void)ctx;
	returned.n++;
	(void)snprintf(returned.name, sizeof(returned.name), "%.*s", STR_ARG(server_name));
}

static void open_fed(struct fed_world *w, size_t max_known)
{
	struct fed_options opt = fed_world_options(w);

	opt.backoff.max_known = max_known;
	good(fed_new(w->a, &opt, &w->fed));
	backoff_on_return(w->fed, on_return, NULL);
}

static void begin(struct fed_world *w, struct both *b, size_t max_known)
{
	*w = (struct fed_world){ .db = *b };
	fed_world_prepare(w, never_asked, (struct client_options){ 0 });
	open_fed(w, max_known);
	returned.n = 0;
}

static void end(struct fed_world *w, struct both *b)
{
	*b = w->db; /* may have been opened anew */
	fed_world_end(w);
}

static void restart(struct fed_world *w)
{
	fed_free(&w->fed);
	both_reopen(&w->db);
	open_fed(w, 0);
}

static void fail_once(struct fed_world *w, const char *name)
{
	backoff_failed(w->fed, str_c(name), err_new(w->a, ERR_CONNECTION_FAILED, "nobody at home"));
}

static bool paused(struct fed_world *w, const char *name) { return backoff_pauses(w->fed, str_c(name), NULL); }

static struct destination_status status(struct fed_world *w, const char *name)
{
	struct destination_status st;

	good(backoff_status(w->fed, w->a, str_c(name), &st));
	return st;
}

/* So often, each time when the pause is over. */
static void fail_times(struct fed_world *w, const char *name, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int64_t until;

		if (backoff_pauses(w->fed, str_c(name), &until))
			fed_now = until;
		fail_once(w, name);
	}
}

static void pauses_grow(struct both *b)
{
	static const int64_t wanted[] = { 5, 10, 20, 40, 80, 160, 320, 640 };
	struct fed_world w;
	int64_t until;

	begin(&w, b, 0);
	assert_false(paused(&w, "a.example"));
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		const int64_t ms = wanted[i] * SECOND;

		fail_once(&w, "a.example");
		ok(backoff_pauses(w.fed, S("a.example"), &until), "failure %zu", i);
		assert_int_equal(status(&w, "a.example").pause_ms, ms);
		ok(until - fed_now >= ms - ms / 10 && until - fed_now <= ms + ms / 10, "failure %zu: %d ms", i,
		   (int)(until - fed_now));
		fed_now = until - 1;
		ok(paused(&w, "a.example"), "until its end");
		fed_now = until;
		ok(!paused(&w, "a.example"), "and no longer");
	}
	assert_int_equal(status(&w, "a.example").failing_since, INT64_C(1700000000000));
	same_str(status(&w, "a.example").last_error, S("nobody at home"));
	fail_times(&w, "a.example", 30);
	assert_int_equal(status(&w, "a.example").pause_ms, 24 * HOUR);
	ok(!paused(&w, "b.example"), "each has its own");
	end(&w, b);
}
BOTH(pauses_grow)

/* Requests that were under way together, or were made although it is left alone, are one failure. */
static void failing_together_is_failing_once(struct both *b)
{
	struct fed_world w;

	begin(&w, b, 0);
	for (int i = 0; i < 20; i++)
		fail_once(&w, "a.example");
	assert_int_equal(status(&w, "a.example").pause_ms, 5 * SECOND);
	end(&w, b);
}
BOTH(failing_together_is_failing_once)

static void a_good_answer_ends_it(struct both *b)
{
	struct destination_status *all;
	struct fed_world w;
	size_t n;

	begin(&w, b, 0);
	fail_times(&w, "a.example", 6);
	fail_times(&w, "b.example", 1);
	good(backoff_all(w.fed, w.a, &all, &n));
	assert_int_equal(n, 2);
	backoff_good(w.fed, S("a.example"));
	ok(!paused(&w, "a.example"), "it is asked");
	ok(returned.n == 1 && strcmp(returned.name, "a.example") == 0, "and who waits for it is told");
	assert_int_equal(status(&w, "a.example").failing_since, 0);
	assert_int_equal(status(&w, "a.example").last_success, fed_now);
	good(backoff_all(w.fed, w.a, &all, &n));
	assert_int_equal(n, 1);
	same_str(all[0].server_name, S("b.example"));
	fail_once(&w, "a.example");
	assert_int_equal(status(&w, "a.example").pause_ms, 5 * SECOND); /* from the beginning */
	backoff_good(w.fed, S("c.example"));
	assert_int_equal(returned.n, 1); /* it was never away */
	end(&w, b);
}
BOTH(a_good_answer_ends_it)

static void a_restart_goes_on_where_it_was(struct both *b)
{
	struct destination_status before, after;
	struct fed_world w;

	begin(&w, b, 0);
	fail_times(&w, "a.example", 8);
	fail_times(&w, "b.example", 8);
	fail_times(&w, "c.example", 8);
	backoff_good(w.fed, S("b.example"));
	good(backoff_reset(w.fed, w.a, S("c.example")));
	before = status(&w, "a.example");
	fed_now = before.retry_at - 1;
	restart(&w);
	after = status(&w, "a.example");
	assert_int_equal(after.retry_at, before.retry_at);
	assert_int_equal(after.pause_ms, before.pause_ms);
	assert_int_equal(after.failing_since, before.failing_since);
	same_str(after.last_error, before.last_error);
	ok(paused(&w, "a.example"), "as it was");
	ok(!paused(&w, "b.example") && !paused(&w, "c.example"), "those that came back are back");
	fed_now = after.retry_at;
	fail_once(&w, "a.example");
	assert_int_equal(status(&w, "a.example").pause_ms, 2 * before.pause_ms);
	backoff_good(w.fed, S("a.example"));
	restart(&w);
	ok(!paused(&w, "a.example") && status(&w, "a.example").failing_since == 0, "nothing is left");
	end(&w, b);
}
BOTH(a_restart_goes_on_where_it_was)

/* A hiccup costs no write; later failures cost one each. */
static void it_is_written_when_it_is_worth_it(struct both *b)
{
	struct fed_world w;
	struct destination_status *all;
	size_t n;

	begin(&w, b, 0);
	fail_times(&w, "hiccup.example", 3);
	restart(&w);
	good(backoff_all(w.fed, w.a, &all, &n));
	assert_int_equal(n, 0);
	fail_times(&w, "down.example", 5);
	restart(&w);
	good(backoff_all(w.fed, w.a, &all, &n));
	assert_int_equal(n, 1);
	end(&w, b);
}
BOTH(it_is_written_when_it_is_worth_it)

/* Names are chosen by strangers: neither memory nor table grows with them. */
static void a_bounded_number_is_remembered(struct both *b)
{
	struct destination_status *all;
	struct fed_world w;
	size_t n;

	begin(&w, b, 3);
	fail_times(&w, "a.example", 6);
	fail_times(&w, "b.example", 6);
	fail_times(&w, "c.example", 6);
	fail_times(&w, "a.example", 1); /* used again: b is the oldest */
	fail_times(&w, "d.example", 6);
	ok(!paused(&w, "b.example"), "forgotten");
	good(backoff_all(w.fed, w.a, &all, &n));
	assert_int_equal(n, 3);
	restart(&w);
	good(backoff_all(w.fed, w.a, &all, &n));
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		ok(!str_eq(all[i].server_name, S("b.example")), "with its row");
	end(&w, b);
}
BOTH(a_bounded_number_is_remembered)

/* It lives, so it is asked; but one that reaches us and cannot be reached is not asked with each of its requests. */
static void who_talks_to_us_is_asked_again(struct both *b)
{
	struct fed_world w;
	int64_t pause_ms;

	begin(&w, b, 0);
	fail_times(&w, "a.example", 10); /* 2560 s */
	pause_ms = status(&w, "a.example").pause_ms;
	backoff_heard(w.fed, S("a.example"));
	ok(paused(&w, "a.example") && returned.n == 0, "it was asked a moment ago");
	fed_now += 5 * MINUTE;
	backoff_heard(w.fed, S("a.example"));
	ok(!paused(&w, "a.example"), "now it is");
	assert_int_equal(returned.n, 1);
	backoff_heard(w.fed, S("a.example"));
	backoff_heard(w.fed, S("never.example"));
	assert_int_equal(returned.n, 1);
	fail_once(&w, "a.example");
	assert_int_equal(status(&w, "a.example").pause_ms, 2 * pause_ms); /* what it was is not forgotten */
	fail_times(&w, "b.example", 1);
	fed_now += SECOND;
	backoff_heard(w.fed, S("b.example"));
	ok(!paused(&w, "b.example"), "a short pause is over soon");
	end(&w, b);
}
BOTH(who_talks_to_us_is_asked_again)

static void the_operator_resets(struct both *b)
{
	struct fed_world w;

	begin(&w, b, 0);
	fail_times(&w, "a.example", 10);
	good(backoff_reset(w.fed, w.a, S("a.example")));
	ok(!paused(&w, "a.example") && returned.n == 1, "as if it had never failed");
	fail_once(&w, "a.example");
	assert_int_equal(status(&w, "a.example").pause_ms, 5 * SECOND);
	good(backoff_reset(w.fed, w.a, S("never.example")));
	end(&w, b);
}
BOTH(the_operator_resets)

/* Bug: a pause that was written while the clock was years ahead lasted for years. */
static void a_clock_that_was_wrong(struct both *b)
{
	struct fed_world w;
	int64_t now;

	begin(&w, b, 0);
	now = fed_now;
	fed_now += 10 * 365 * 24 * HOUR;
	fail_times(&w, "a.example", 7);
	restart(&w);
	fed_now = now + HOUR;
	ok(!paused(&w, "a.example"), "it is asked");
	fail_once(&w, "a.example");
	ok(paused(&w, "a.example"), "and what it does now counts");
	end(&w, b);
}
BOTH(a_clock_that_was_wrong)

TEST_MAIN(BOTH_TESTS(pauses_grow), BOTH_TESTS(failing_together_is_failing_once), BOTH_TESTS(a_good_answer_ends_it),
	  BOTH_TESTS(a_restart_goes_on_where_it_was), BOTH_TESTS(it_is_written_when_it_is_worth_it),
	  BOTH_TESTS(a_bounded_number_is_remembered), BOTH_TESTS(who_talks_to_us_is_asked_again),
	  BOTH_TESTS(the_operator_resets), BOTH_TESTS(a_clock_that_was_wrong))
