/* test_outbox.c - what goes to other servers: everything, once it can, in order; nobody holds up another. */
#include "outbox_world.h"

/*
 * Events
 */
static void everybody_in_a_room_gets_its_events_in_order(struct ow *w)
{
	struct peer *one = &w->peers[0], *two = &w->peers[1];
	int64_t e[4];

	e[0] = say(w, 0); /* nobody is there */
	enter(w, 0, one);
	e[1] = say(w, 0);
	enter(w, 0, two);
	e[2] = say(w, 0);
	e[3] = say(w, 0);
	settle(w);
	got(w, one, e[1], e[2], e[3]);
	got(w, two, e[2], e[3]);
}
OUTBOX(everybody_in_a_room_gets_its_events_in_order)

static void who_is_kicked_hears_of_the_kick_and_of_nothing_after_it(struct ow *w)
{
	struct peer *one = &w->peers[0], *two = &w->peers[1];
	int64_t e[3];

	enter(w, 0, one);
	enter(w, 0, two);
	WITH(w, one->status = 0);
	e[0] = say(w, 0);
	e[1] = kick(w, 0, one);
	e[2] = say(w, 0);
	settle(w);
	ow_restart(w, true);
	pass(w, 1);
	WITH(w, one->status = 200);
	pass(w, 10000);
	got(w, one, e[0], e[1]);
	got(w, two, e[0], e[1], e[2]);
	/* Back again: what was said meanwhile is not its. */
	WITH(w, one->status = 0);
	(void)say(w, 0);
	enter(w, 0, one);
	const int64_t later = say(w, 0);
	pass(w, 10000);
	ow_restart(w, false);
	WITH(w, one->status = 200);
	pass(w, 10000);
	got(w, one, e[0], e[1], later);
}
OUTBOX(who_is_kicked_hears_of_the_kick_and_of_nothing_after_it)

static void who_sent_it_through_us_has_it(struct ow *w)
{
	struct peer *one = &w->peers[0], *two = &w->peers[1];
	int64_t e;

	enter(w, 0, one);
	enter(w, 0, two);
	e = say_of(w, 0, NULL, S("@x:one"));
	settle(w);
	got(w, two, e);
	assert_int_equal(one->n_txns, 0);
	/* Also in what is caught up. */
	WITH(w, one->status = two->status = 0);
	const int64_t again = say_of(w, 0, NULL, S("@x:one")), ours = say(w, 0);
	settle(w);
	WITH(w, one->status = two->status = 200);
	ow_restart(w, true);
	settle(w);
	got(w, one, ours);
	got(w, two, e, again, ours);
}
OUTBOX(who_sent_it_through_us_has_it)

static void a_transaction_has_fifty_events_at_most(struct ow *w)
{
	struct peer *one = &w->peers[0];
	int64_t e[120];

	enter(w, 0, one);
	WITH(w, one->holds = true);
	for (size_t i = 0; i < ARRAY_LEN(e); i++)
		e[i] = say(w, 0);
	settle(w);
	let_go(w, one);
	settle(w);
	check_got(w, one, e, ARRAY_LEN(e), __LINE__);
	assert_int_equal(one->biggest, 50);
	ok(one->n_txns <= 5, "what waits goes together, not in %d transactions", (int)one->n_txns);
}
OUTBOX(a_transaction_has_fifty_events_at_most)

/*
 * Failures
 */
static void what_failed_is_repeated_under_its_id(struct ow *w)
{
	struct peer *one = &w->peers[0];
	int64_t e[3];

	enter(w, 0, one);
	WITH(w, one->loses = true); /* it takes it, and we do not hear of that */
	e[0] = say(w, 0);
	settle(w);
	e[1] = say(w, 0); /* not into the same one: its id says what is in it (ow_answer) */
	pass(w, 5000);
	pass(w, 10000);
	assert_int_equal(one->n_txns, 3);
	WITH(w, one->loses = false);
	e[2] = say(w, 0);
	pass(w, 60000);
	got(w, one, e[0], e[1], e[2]);
	assert_int_equal(one->n_again, 3);
}
OUTBOX(what_failed_is_repeated_under_its_id)

static void nothing_is_lost_in_an_outage(struct ow *w)
{
	struct peer *one = &w->peers[0], *two = &w->peers[1];
	static const int statuses[] = { 0, 500, 502, 503, 429, 401, 403, 404 };
	int64_t e[3 * ARRAY_LEN(statuses)];
	size_t n = 0;

	enter(w, 0, one);
	enter(w, 0, two);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		WITH(w, one->status = statuses[i]);
		e[n++] = say(w, 0);
		settle(w);
		e[n++] = say(w, 0);
		pass(w, 3000);
		WITH(w, one->status = 200);
		e[n++] = say(w, 0);
		pass(w, 3600000); /* no pause of ours is longer */
		pass(w, 3600000);
		check_got(w, one, e, n, __LINE__);
	}
	check_got(w, two, e, n, __LINE__);
}
OUTBOX(nothing_is_lost_in_an_outage)

static void back_off_is_asked_and_its_end_wakes(struct ow *w)
{
	struct peer *one = &w->peers[0];
	int64_t e;

	enter(w, 0, one);
	WITH(w, one->backed_off = true; one->backed_off_until = ow_now() + 86400000);
	e = say(w, 0);
	settle(w);
	pass(w, 3600000);
	assert_int_equal(one->n_txns, 0);
	/* An operator asks for it. */
	WITH(w, one->status = 0);
	good(outbox_retry(w->o, w->a, S("one")));
	settle(w);
	assert_int_equal(one->n_txns, 1);
	WITH(w, one->status = 200);
	pass(w, 86400000);
	got(w, one, e);
	fails_with(outbox_retry(w->o, w->a, S("nobody")), ERR_NOT_FOUND);
}
OUTBOX(back_off_is_asked_and_its_end_wakes)

/* "429": as it wishes, within bounds, in a member or a header; and a word from there does not shorten it. */
static void who_is_asked_too_often_says_when_to_ask(struct ow *w)
{
	struct peer *one = &w->peers[0];
	int64_t e;

	enter(w, 0, one);
	WITH(w, one->status = 429; one->retry_after_ms = 600000);
	e = say(w, 0);
	settle(w);
	assert_int_equal(one->n_txns, 1);
	pass(w, 599000);
	outbox_heard(w->o, S("one"));
	settle(w);
	assert_int_equal(one->n_txns, 1);
	WITH(w, one->retry_after_ms = INT64_C(1) << 50);
	pass(w, 2000);
	assert_int_equal(one->n_txns, 2);
	WITH(w, one->status = 200);
	pass(w, PAUSE_MOST_MS + 1000);
	assert_int_equal(one->n_txns, 3);
	got(w, one, e);
}
OUTBOX(who_is_asked_too_often_says_when_to_ask)

/* A proxy said 404 for an hour: where its server talks to us, it is there again. */
static void who_answered_otherwise_and_talks_to_us_is_asked_again(struct ow *w)
{
	struct peer *one = &w->peers[0];
	size_t n;
	int64_t e;

	enter(w, 0, one);
	WITH(w, one->status = 404);
	e = say(w, 0);
	for (int i = 0; i < 120; i++)
		pass(w, 60000);
	n = one->n_txns;
	outbox_heard(w->o, S("one"));
	outbox_heard(w->o, S("never met"));
	settle(w);
	ok(one->n_txns <= n + 1, "not with each of its requests");
	WITH(w, one->status = 200);
	pass(w, HEARD_MOST_MS);
	outbox_heard(w->o, S("one"));
	settle(w);
	got(w, one, e);
}
OUTBOX(who_answered_otherwise_and_talks_to_us_is_asked_again)

static void the_dead_hold_up_nobody(struct ow *w)
{
	struct peer *live = &w->peers[5];
	int64_t e[2];

	lock_take(&w->o->lock);
	w->o->opt.max_flights = 2;
	lock_drop(&w->o->lock);
	for (size_t i = 0; i < 6; i++)
		enter(w, 0, &w->peers[i]);
	for (size_t i = 0; i < 5; i++)
		WITH(w, w->peers[i].status = 0);
	e[0] = say(w, 0);
	settle(w);
	/* They are known to be doubtful now: one of them may hang, and takes no turn of who lives. */
	for (size_t i = 0; i < 5; i++)
		WITH(w, w->peers[i].holds = true);
	pass(w, 5000);
	e[1] = say(w, 0);
	settle(w);
	got(w, live, e[0], e[1]);
	for (size_t i = 0; i < 5; i++)
		let_go(w, &w->peers[i]);
	settle(w);
}
OUTBOX(the_dead_hold_up_nobody)

static int64_t patience(struct ow *w, const struct peer *p)
{
	LOCKED(&w->lock);
	return p->patience_s;
}

/* More than may be under way at once say nothing, and nobody knew that they are dead. */
static void those_that_die_at_once_hold_up_nobody(struct ow *w)
{
	struct peer *live = &w->peers[2], *dead[] = { &w->peers[0], &w->peers[1], &w->peers[3], &w->peers[4] };
	int64_t e;

	lock_take(&w->o->lock);
	w->o->opt.max_flights = 1;
	lock_drop(&w->o->lock);
	for (size_t i = 0; i < ARRAY_LEN(dead); i++)
		WITH(w, dead[i]->holds = true);
	for (size_t i = 0; i < 5; i++)
		enter(w, 0, &w->peers[i]);
	e = say(w, 0);
	settle(w);
	assert_int_equal(w->n_started, 1); /* the others wait, for it may be quick */
	pass(w, SLOW_MS + TICK_MS);
	assert_int_equal(w->n_started, 2);
	pass(w, SLOW_MS + TICK_MS);
	got(w, live, e);
	/* Bounded all the same: the fourth has to wait until one of three is given up, or answers. */
	assert_int_equal(w->n_started, 4);
	pass(w, SLOW_MS + TICK_MS);
	assert_int_equal(w->n_started, 4);
	let_go(w, dead[1]);
	settle(w);
	assert_int_equal(w->n_started, 5);
	/* The more there are, the sooner that is. */
	assert_int_equal(patience(w, dead[0]), ANSWER_MS / 1000);
	for (size_t i = 1; i < ARRAY_LEN(dead); i++)
		assert_int_equal(patience(w, dead[i]), HASTY_MS / 1000);
	for (size_t i = 0; i < ARRAY_LEN(dead); i++)
		let_go(w, dead[i]);
	settle(w);
	for (size_t i = 0; i < ARRAY_LEN(dead); i++)
		got(w, dead[i], e);
	LOCKED(&w->o->lock);
	assert_int_equal(w->o->n_flights, 0);
	assert_int_equal(w->o->n_slow_flights, 0);
}
OUTBOX(those_that_die_at_once_hold_up_nobody)

/*
 * What a server will not take
 */
static void one_bad_event_is_left_out(struct ow *w)
{
	static const struct {
		int status;
		size_t at;
	} cases[] = { { 400, 0 }, { 400, 37 }, { 413, 59 }, { 500, 20 } };
	struct outbox_bad *bad;
	size_t n_bad;

	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		struct peer *p = &w->peers[c];
		int64_t e[60], but[59];
		size_t n = 0;

		enter(w, c, p);
		WITH(w, p->holds = true);
		const int64_t first = say(w, c);
		settle(w);
		for (size_t i = 0; i < ARRAY_LEN(e); i++)
			e[i] = say(w, c);
		WITH(w, p->bad = e[cases[c].at]; p->bad_status = cases[c].status);
		let_go(w, p);
		for (int i = 0; i < 60; i++)
			pass(w, 2500);
		for (size_t i = 0; i < ARRAY_LEN(e); i++)
			if (i != cases[c].at)
				but[n++] = e[i];
		ok(p->n_got == 60 && p->got[0] == first, "%d of 60 events came with a bad one at %d", (int)p->n_got,
		   (int)cases[c].at);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p->got[i + 1], but[i]);
		ok(p->n_txns < 40, "%d transactions for one bad event", (int)p->n_txns);
		/* The next one is sent as ever. */
		const int64_t next = say(w, c);
		pass(w, 5000);
		ok(p->n_got == 61 && p->got[60] == next, "it goes on behind the bad one");
		good(outbox_bad_events(w->o, w->a, p->name, &bad, &n_bad));
		assert_int_equal(n_bad, 1);
		assert_int_equal(bad[0].status, cases[c].status);
		same_str(bad[0].event_id, arena_printf(w->a, "$%" PRId64, e[cases[c].at]));
	}
}
OUTBOX(one_bad_event_is_left_out)

/* Who refuses whatever comes loses nothing by it: it is not the event's fault. */
static void who_refuses_everything_is_waited_for(struct ow *w)
{
	static const int statuses[] = { 400, 500 };
	struct outbox_bad *bad;
	size_t n_bad;

	for (size_t c = 0; c < ARRAY_LEN(statuses); c++) {
		struct peer *p = &w->peers[c];
		int64_t e[8];

		enter(w, c, p);
		WITH(w, p->status = statuses[c]);
		for (size_t i = 0; i < ARRAY_LEN(e); i++)
			e[i] = say(w, c);
		for (int i = 0; i < 100; i++)
			pass(w, 60000);
		ok(p->n_txns < 60, "%d attempts in 100 minutes", (int)p->n_txns);
		WITH(w, p->status = 200);
		pass(w, 7200000);
		pass(w, 7200000);
		check_got(w, p, e, ARRAY_LEN(e), __LINE__);
		good(outbox_bad_events(w->o, w->a, p->name, &bad, &n_bad));
		assert_int_equal(n_bad, 0);
	}
}
OUTBOX(who_refuses_everything_is_waited_for)

/*
 * Long outages, restarts
 */
static void after_a_long_outage_the_newest_of_each_room(struct ow *w)
{
	struct peer *one = &w->peers[0];
	int64_t newest[3];

	for (size_t r = 0; r < 3; r++)
		enter(w, r, one);
	WITH(w, one->status = 0);
	(void)say(w, 0);
	settle(w);
	for (int i = 0; i < CATCH_UP_ALL; i++)
		newest[0] = say(w, 0);
	newest[1] = kick(w, 1, one);
	(void)say(w, 1);
	newest[2] = say(w, 2);
	pass(w, 3600000); /* it is not repeated any more */
	WITH(w, one->status = 200);
	pass(w, 7200000);
	got(w, one, newest[0], newest[1], newest[2]);
	const int64_t live = say(w, 0);
	settle(w);
	got(w, one, newest[0], newest[1], newest[2], live);
}
OUTBOX(after_a_long_outage_the_newest_of_each_room)

static void more_than_memory_holds_comes_from_the_store(struct ow *w)
{
	struct peer *one = &w->peers[0];
	enum { N = PENDING_MOST * 5 / 2 };
	int64_t *e = ARENA_ARRAY(w->a, int64_t, N);

	enter(w, 0, one);
	WITH(w, one->holds = true);
	for (size_t i = 0; i < N; i++) {
		e[i] = say(w, i % 2); /* of the other room nobody is to hear */
		if (i == 0)
			settle(w);
		if (i == 1)
			enter(w, 1, one);
	}
	ok(w->o->n_items <= PENDING_MOST, "%d events in memory", (int)w->o->n_items);
	let_go(w, one);
	settle(w);
	assert_int_equal(one->n_got, N - 1);
	for (size_t i = 2; i < N; i++)
		assert_int_equal(one->got[i - 1], e[i]);
}
OUTBOX(more_than_memory_holds_comes_from_the_store)

static void a_restart_at_any_step_loses_nothing(struct ow *w)
{
	struct peer *one = &w->peers[0], *two = &w->peers[1];
	int64_t e[64];
	size_t n = 0;

	enter(w, 0, one);
	enter(w, 0, two);
	for (int crash = 0; crash < 2; crash++) {
		e[n++] = say(w, 0);
		ow_restart(w, crash); /* told, maybe under way */
		settle(w);
		e[n++] = say(w, 0);
		settle(w);
		ow_restart(w, crash); /* taken, not saved */
		settle(w);
		e[n++] = say(w, 0);
		pass(w, SAVE_MS);
		ow_restart(w, crash); /* taken, and saved */
		settle(w);
		WITH(w, one->holds = true);
		e[n++] = say(w, 0);
		settle(w);
		pass(w, SAVE_MS);
		ow_restart(w, crash); /* under way */
		WITH(w, one->holds = false);
		settle(w);
		WITH(w, one->status = 0);
		e[n++] = say(w, 0);
		settle(w);
		ow_restart(w, crash); /* failed */
		pass(w, 2 * SAVE_MS);
		e[n++] = say(w, 0);
		pass(w, 2 * SAVE_MS);
		ow_restart(w, crash); /* failed, and noted as behind */
		settle(w);
		WITH(w, one->status = 200);
		pass(w, 3600000);
		check_got(w, one, e, n, __LINE__);
		check_got(w, two, e, n, __LINE__);
	}
	/* Told by nobody: the process ended between the commit and its telling. */
	int64_t at;
	e[n++] = ow_write(w, 0, NULL, NULL, S("@u:test"), &at);
	ow_restart(w, true);
	settle(w);
	check_got(w, one, e, n, __LINE__);
	check_got(w, two, e, n, __LINE__);
}
OUTBOX(a_restart_at_any_step_loses_nothing)

static int64_t counted(struct ow *w, const char *sql)
{
	struct row *row;
	AUTO_TX tx = NULL;

	both_ok(store_read(w->b->st, w->a, &tx));
	both_ok(tx_one(tx, sql, NO_BIND, &row));
	return row_i64(row, 0);
}

/* Rows are for those who lag: of all others one number is kept, and a save costs no row for each of them. */
static void who_has_everything_has_no_row(struct ow *w)
{
	struct peer *one = &w->peers[0];

	for (size_t i = 0; i < 6; i++)
		enter(w, 0, &w->peers[i]);
	(void)say(w, 0);
	pass(w, SAVE_MS);
	assert_int_equal(counted(w, "SELECT COUNT(*) FROM outbox_behind"), 0);
	WITH(w, one->status = 0);
	(void)say(w, 0);
	settle(w);
	pass(w, SAVE_MS);
	assert_int_equal(counted(w, "SELECT COUNT(*) FROM outbox_behind"), 1);
	ok(counted(w, "SELECT MAX(position) FROM outbox_floor") == counted(w, "SELECT MAX(stream) FROM events"),
	   "the floor waits for who lags");
	WITH(w, one->status = 200);
	pass(w, 60000);
	pass(w, SAVE_MS);
	assert_int_equal(counted(w, "SELECT COUNT(*) FROM outbox_behind"), 0);
	ok(w->o->busy.next == &w->o->busy, "nobody has anything to do");
	ok(wheel_next(&w->o->wheel) == INT64_MAX && !w->o->save_at, "nothing wakes the thread of those who are idle");
}
OUTBOX(who_has_everything_has_no_row)

static void what_was_left_behind_is_forgotten_once_it_was_sent(struct ow *w)
{
	struct peer *one = &w->peers[0], *two = &w->peers[1];

	enter(w, 0, one);
	enter(w, 0, two);
	WITH(w, two->status = 0);
	(void)say(w, 0);
	settle(w);
	(void)kick(w, 0, one);
	(void)kick(w, 0, two);
	for (int i = 0; i < 2 * PRUNE_SAVES; i++) {
		(void)say(w, 0);
		pass(w, SAVE_MS);
	}
	assert_int_equal(counted(w, "SELECT COUNT(*) FROM outbox_left"), 1);
	/* It never comes back, and shares no room with us. */
	for (int i = 0; i < 200; i++)
		pass(w, 3600000);
	pass(w, SAVE_MS);
	assert_int_equal(counted(w, "SELECT COUNT(*) FROM outbox_left"), 0);
	assert_int_equal(counted(w, "SELECT COUNT(*) FROM outbox_behind"), 0);
	ok(w->o->busy.next == &w->o->busy, "nobody has anything to do");
}
OUTBOX(what_was_left_behind_is_forgotten_once_it_was_sent)

static void who_is_not_spoken_with_gets_nothing(struct ow *w)
{
	struct peer *no = &w->peers[7];

	enter(w, 0, no);
	(void)say(w, 0);
	pass(w, SAVE_MS);
	pass(w, SAVE_MS);
	assert_int_equal(no->n_txns, 0);
	ok(w->o->busy.next == &w->o->busy, "nobody has anything to do");
}
OUTBOX(who_is_not_spoken_with_gets_nothing)

/*
 * EDUs
 */
static void news_of_the_same_replaces_what_waits(struct ow *w)
{
	struct peer *one = &w->peers[0];
	const int64_t to[] = { one->nid };

	WITH(w, one->holds = true);
	outbox_edu(w->o, to, 1, S("m.typing"), S("a"), S("{\"n\":1}"));
	settle(w);
	outbox_edu(w->o, to, 1, S("m.typing"), S("a"), S("{\"n\":2}"));
	outbox_edu(w->o, to, 1, S("m.typing"), S("b"), S("{\"n\":3}"));
	outbox_edu(w->o, to, 1, S("m.receipt"), S("a"), S("{\"n\":4}"));
	outbox_edu(w->o, to, 1, S("m.typing"), S("a"), S("{\"n\":5}"));
	let_go(w, one);
	pass(w, LINGER_MS);
	same_str(str_c(one->edus), S("m.typing {\"n\":1}\nm.typing {\"n\":3}\nm.receipt {\"n\":4}\n"
				     "m.typing {\"n\":5}\n"));
	assert_int_equal(one->n_txns, 2);
	ok(w->o->edu_bytes == 0, "all of it is gone");
}
OUTBOX(news_of_the_same_replaces_what_waits)

static void receipts_wait_for_company(struct ow *w)
{
	struct peer *one = &w->peers[0];
	const int64_t to[] = { one->nid };

	for (int i = 0; i < 5; i++) {
		const str key = arena_printf(w->a, "k%d", i);

		outbox_edu(w->o, to, 1, S("m.receipt"), key, S("{}"));
		settle(w);
	}
	assert_int_equal(one->n_txns, 0);
	pass(w, LINGER_MS + TICK_MS);
	assert_int_equal(one->n_txns, 1);
	assert_int_equal(one->n_edus, 5);
}
OUTBOX(receipts_wait_for_company)

static void news_for_the_dead_is_bounded_and_ends(struct ow *w)
{
	struct peer *one = &w->peers[0];
	const int64_t to[] = { one->nid };

	WITH(w, one->status = 0);
	for (int i = 0; i < 1000; i++) {
		const str key = arena_printf(w->a, "k%d", i);

		outbox_edu(w->o, to, 1, S("m.receipt"), key, S("{}"));
	}
	pass(w, LINGER_MS + TICK_MS);
	outbox_edu(w->o, to, 1, S("m.typing"), S("a"), S("{}"));
	ok(w->o->edu_bytes <= (EDUS_MOST + TXN_EDUS) * 32, "%d bytes wait", (int)w->o->edu_bytes);
	for (int i = 0; i < 30; i++)
		pass(w, 60000);
	ok(w->o->edu_bytes == 0, "nobody wants it any more");
	ok(!map_get_i(&w->o->by_server, one->nid) || w->o->busy.next == &w->o->busy, "nothing waits");
}
OUTBOX(news_for_the_dead_is_bounded_and_ends)

/* Those who are dead for long do not gather news between their attempts, nor take the room of the living. */
static void news_for_the_dead_leaves_room_for_the_living(struct ow *w)
{
	struct peer *dead = &w->peers[0], *live = &w->peers[1];
	const int64_t to_dead[] = { dead->nid }, to_live[] = { live->nid };

	enter(w, 0, dead);
	WITH(w, dead->status = 0);
	(void)say(w, 0);
	pass(w, 1000);
	lock_take(&w->o->lock);
	w->o->edu_bytes += EDUS_BYTES / 2;
	lock_drop(&w->o->lock);
	outbox_edu(w->o, to_dead, 1, S("m.receipt"), S("a"), S("{}"));
	outbox_edu(w->o, to_live, 1, S("m.receipt"), S("a"), S("{}"));
	lock_take(&w->o->lock);
	w->o->edu_bytes -= EDUS_BYTES / 2;
	assert_int_equal(w->o->n_edus, 1);
	lock_drop(&w->o->lock);
	for (int i = 0; i < 90; i++)
		pass(w, 60000);
	assert_int_equal(live->n_edus, 1);
	outbox_edu(w->o, to_dead, 1, S("m.receipt"), S("a"), S("{}"));
	lock_take(&w->o->lock);
	assert_int_equal(w->o->n_edus, 0);
	lock_drop(&w->o->lock);
}
OUTBOX(news_for_the_dead_leaves_room_for_the_living)

struct edu_write {
	int64_t server;
	str key, content;
};
static err *edu_late(struct tx *tx, void *arg)
{
	const struct edu_write *e = arg;

	return outbox_edu_write(tx, e->server, S("m.direct_to_device"), e->key, e->content);
}

static void write_edu(struct ow *w, const struct peer *p, str key, const char *content)
{
	struct edu_write e = { p->nid, key, str_c(content) };
	struct ticket *ticket;

	good(store_write(w->b->st, w->a, &(struct piece){ .late = edu_late, .arg = &e }, &ticket));
	good(store_wait(w->a, ticket));
}

static void what_must_not_be_lost_is_there_after_a_crash(struct ow *w)
{
	const str all = S("m.direct_to_device {\"n\":1}\nm.direct_to_device {\"n\":3}\nm.direct_to_device {\"n\":4}\n");
	struct peer *one = &w->peers[0];

	WITH(w, one->status = 0);
	write_edu(w, one, STR_NONE, "{\"n\":1}");
	write_edu(w, one, S("k"), "{\"n\":2}");
	outbox_edu_tell(w->o, &one->nid, 1);
	settle(w);
	write_edu(w, one, S("k"), "{\"n\":3}"); /* replaces */
	write_edu(w, one, STR_NONE, "{\"n\":4}");
	ow_restart(w, true);
	WITH(w, one->status = 200);
	pass(w, 60000);
	same_str(str_c(one->edus), all);
	pass(w, SAVE_MS);
	assert_int_equal(counted(w, "SELECT COUNT(*) FROM outbox_edus"), 0);
	ow_restart(w, true);
	pass(w, 60000);
	same_str(str_c(one->edus), all);
}
OUTBOX(what_must_not_be_lost_is_there_after_a_crash)

static void many_rows_go_a_hundred_at_a_time(struct ow *w)
{
	struct peer *one = &w->peers[0];
	size_t lines = 0;

	for (int i = 0; i < 250; i++)
		write_edu(w, one, STR_NONE, "{}");
	outbox_edu_tell(w->o, &one->nid, 1);
	settle(w);
	for (size_t i = 0; i < one->edus_n; i++)
		lines += one->edus[i] == '\n';
	assert_int_equal(lines, 250);
	assert_int_equal(one->n_txns, 3);
	pass(w, SAVE_MS);
	pass(w, SAVE_MS);
	assert_int_equal(counted(w, "SELECT COUNT(*) FROM outbox_edus"), 0);
}
OUTBOX(many_rows_go_a_hundred_at_a_time)

struct many_edus {
	int64_t server, n;
	str content;
};
static err *many_late(struct tx *tx, void *arg)
{
	const struct many_edus *m = arg;

	for (int64_t i = 0; i < m->n; i++)
		TRY(outbox_edu_write(tx, m->server, S("m.direct_to_device"), STR_NONE, m->content));
	return NULL;
}

static void write_many(struct ow *w, const struct peer *p, int64_t n)
{
	struct many_edus m = { p->nid, n, S("{}") };
	struct ticket *ticket;

	good(store_write(w->b->st, w->a, &(struct piece){ .late = many_late, .arg = &m, .positions = n }, &ticket));
	good(store_wait(w->a, ticket));
	outbox_edu_tell(w->o, &p->nid, 1);
}

static err *nothing(struct tx *tx, void *arg) { return (void)tx, (void)arg, NULL; }

/* What nobody waits for is written before this returns. */
static void written(struct ow *w) { good(store_do(w->b->st, w->a, nothing, NULL)); }

/* More than 500 a day was never caught up with, for one attempt a day let 500 go. */
static void messages_to_the_dead_are_bounded(struct ow *w)
{
	struct peer *one = &w->peers[0];

	WITH(w, one->status = 0);
	write_many(w, one, MESSAGES_KEPT + 1700);
	for (int i = 0; i < 4; i++)
		pass(w, PAUSE_MOST_MS + 600000);
	written(w);
	assert_int_equal(counted(w, "SELECT COUNT(*) FROM outbox_edus"), MESSAGES_KEPT);
}
OUTBOX(messages_to_the_dead_are_bounded)

static void what_is_for_those_we_do_not_speak_with_goes(struct ow *w)
{
	write_many(w, &w->peers[7], 30);
	pass(w, SAVE_MS);
	write_edu(w, &w->peers[7], STR_NONE, "{}");
	ow_restart(w, true);
	pass(w, SAVE_MS);
	written(w);
	assert_int_equal(counted(w, "SELECT COUNT(*) FROM outbox_edus"), 0);
	assert_int_equal(w->peers[7].n_txns, 0);
}
OUTBOX(what_is_for_those_we_do_not_speak_with_goes)

static void its_status_says_what_waits(struct ow *w)
{
	struct peer *one = &w->peers[0];
	struct outbox_status s, *all;
	size_t n;

	enter(w, 0, one);
	WITH(w, one->status = 403);
	(void)say(w, 0);
	settle(w);
	(void)say(w, 0);
	write_edu(w, one, STR_NONE, "{}");
	good(outbox_status(w->o, w->a, S("one"), &s));
	assert_int_equal(s.events_waiting, 2);
	assert_int_equal(s.edus_waiting, 1);
	ok(s.destination.failing_since && s.destination.retry_at > ow_now(), "it fails");
	same_str(s.destination.last_error, S("it said 403"));
	good(outbox_status_all(w->o, w->a, &all, &n));
	assert_int_equal(n, 1);
	same_str(all[0].destination.server_name, S("one"));
	WITH(w, one->status = 200);
	pass(w, 60000);
	good(outbox_status(w->o, w->a, S("one"), &s));
	ok(!s.destination.failing_since && !s.events_waiting && s.last_sent, "it answers");
	fails_with(outbox_status(w->o, w->a, S("nobody"), &s), ERR_NOT_FOUND);
}
OUTBOX(its_status_says_what_waits)

TEST_MAIN(OUTBOX_TESTS(everybody_in_a_room_gets_its_events_in_order),
	  OUTBOX_TESTS(who_is_kicked_hears_of_the_kick_and_of_nothing_after_it),
	  OUTBOX_TESTS(who_sent_it_through_us_has_it), OUTBOX_TESTS(a_transaction_has_fifty_events_at_most),
	  OUTBOX_TESTS(what_failed_is_repeated_under_its_id), OUTBOX_TESTS(nothing_is_lost_in_an_outage),
	  OUTBOX_TESTS(back_off_is_asked_and_its_end_wakes), OUTBOX_TESTS(the_dead_hold_up_nobody),
	  OUTBOX_TESTS(one_bad_event_is_left_out), OUTBOX_TESTS(who_refuses_everything_is_waited_for),
	  OUTBOX_TESTS(after_a_long_outage_the_newest_of_each_room),
	  OUTBOX_TESTS(more_than_memory_holds_comes_from_the_store), OUTBOX_TESTS(a_restart_at_any_step_loses_nothing),
	  OUTBOX_TESTS(who_has_everything_has_no_row), OUTBOX_TESTS(what_was_left_behind_is_forgotten_once_it_was_sent),
	  OUTBOX_TESTS(who_is_not_spoken_with_gets_nothing), OUTBOX_TESTS(news_of_the_same_replaces_what_waits),
	  OUTBOX_TESTS(receipts_wait_for_company), OUTBOX_TESTS(news_for_the_dead_is_bounded_and_ends),
	  OUTBOX_TESTS(what_must_not_be_lost_is_there_after_a_crash), OUTBOX_TESTS(many_rows_go_a_hundred_at_a_time),
	  OUTBOX_TESTS(its_status_says_what_waits), OUTBOX_TESTS(messages_to_the_dead_are_bounded),
	  OUTBOX_TESTS(what_is_for_those_we_do_not_speak_with_goes),
	  OUTBOX_TESTS(news_for_the_dead_leaves_room_for_the_living),
	  OUTBOX_TESTS(who_answered_otherwise_and_talks_to_us_is_asked_again),
	  OUTBOX_TESTS(who_is_asked_too_often_says_when_to_ask), OUTBOX_TESTS(those_that_die_at_once_hold_up_nobody))
