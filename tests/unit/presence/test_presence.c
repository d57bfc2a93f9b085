/* test_presence.c - what users and time do to presence, and what is told of it. */
#include "there.h"

#define state_is(t, user, want) assert_int_equal(there_view(t, user).state, PRESENCE_##want)

/* Which of a user's devices speaks for them. */
static void the_most_present_device_wins(struct both *b)
{
	static const struct {
		enum presence_state devices[3], user;
	} rows[] = {
		{ { PRESENCE_UNAVAILABLE, PRESENCE_ONLINE, PRESENCE_UNAVAILABLE }, PRESENCE_ONLINE },
		{ { PRESENCE_UNAVAILABLE, PRESENCE_UNAVAILABLE, PRESENCE_OFFLINE }, PRESENCE_UNAVAILABLE },
		{ { PRESENCE_OFFLINE, PRESENCE_OFFLINE, PRESENCE_ONLINE }, PRESENCE_ONLINE },
		{ { PRESENCE_OFFLINE, PRESENCE_OFFLINE, PRESENCE_OFFLINE }, PRESENCE_OFFLINE },
	};
	struct there t;

	there_open(&t, b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		presence_set(t.p, t.a, 10 + (int64_t)i, S("A"), rows[i].devices[0], STR_NONE);
		presence_set(t.p, t.a, 10 + (int64_t)i, S("B"), rows[i].devices[1], STR_NONE);
		presence_set(t.p, t.a, 10 + (int64_t)i, S("C"), rows[i].devices[2], STR_NONE);
		ok(there_view(&t, 10 + (int64_t)i).state == rows[i].user, "row %zu", i);
	}
	there_close(&t);
}

static void who_waits_is_online_and_who_left_is_not(struct both *b)
{
	struct there t;

	there_open(&t, b);
	state_is(&t, ALICE, OFFLINE);
	ok(there_begin(&t, ALICE, "A", PRESENCE_ONLINE), "begins");
	state_is(&t, ALICE, ONLINE);
	/* Two requests at once; the second one to end counts. */
	ok(there_begin(&t, ALICE, "A", PRESENCE_ONLINE), "begins twice");
	presence_sync_end(t.p, ALICE, S("A"));
	there_pass(&t, 10 * ONLINE / 2);
	state_is(&t, ALICE, ONLINE);
	presence_sync_end(t.p, ALICE, S("A"));
	there_pass(&t, ONLINE - 200);
	state_is(&t, ALICE, ONLINE);
	there_pass(&t, 400);
	state_is(&t, ALICE, OFFLINE);
	assert_int_equal(presence_count(t.p).devices, 0);
	/* An end too many, and of a device that is gone. */
	presence_sync_end(t.p, ALICE, S("A"));
	ok(!there_begin(&t, BOB, "A", PRESENCE_OFFLINE), "set_presence=offline changes nothing");
	state_is(&t, BOB, OFFLINE);
	there_close(&t);
}

static err *join_write(struct tx *tx, void *arg)
{
	return store_member_save(
		tx,
		&(struct member_row){ .room = ROOM, .user = *(int64_t *)arg, .membership = MEMBER_JOIN, .stream = 1 });
}

/* Of other servers' users only their server knows, while it says something. */
static void who_is_elsewhere_is_as_their_server_says(struct both *b)
{
	struct presence_elsewhere e = { .user_id = S("@carol:elsewhere.org"),
					.state = PRESENCE_ONLINE,
					.last_active_ago = 5000,
					.status_msg = S("here") };
	struct presence_view v;
	int64_t carol;
	struct there t;

	there_open(&t, b);
	good(store_intern(b->st, t.a, e.user_id, &carol));
	good(presence_told(t.p, t.a, &e, 1));
	state_is(&t, carol, OFFLINE); /* in no room: nobody's news */
	good(store_do(b->st, t.a, join_write, &carol));
	good(presence_told(t.p, t.a, &e, 1));
	v = there_view(&t, carol);
	ok(v.state == PRESENCE_ONLINE && !v.currently_active && v.last_active_ago == 5000, "as told");
	same_str(v.status_msg, S("here"));
	there_pass(&t, PRESENCE_ELSEWHERE_MS - 1000); /* no idle time is counted here */
	state_is(&t, carol, ONLINE);
	e.state = PRESENCE_UNAVAILABLE;
	e.last_active_ago = -1;
	good(presence_told(t.p, t.a, &e, 1));
	state_is(&t, carol, UNAVAILABLE);
	there_pass(&t, PRESENCE_ELSEWHERE_MS + 1000);
	state_is(&t, carol, OFFLINE);
	there_close(&t);
}

/* One look into the store for all users of an EDU, not three for each. */
static void an_edu_of_many_users_costs_little(struct both *b)
{
	enum { N = 50 };
	struct presence_elsewhere all[N + 1];
	uint64_t before;
	struct there t;

	there_open(&t, b);
	for (int i = 0; i < N; i++) {
		int64_t user;

		all[i] = (struct presence_elsewhere){ .user_id = arena_printf(t.a, "@u%d:elsewhere.org", i),
						      .state = PRESENCE_ONLINE,
						      .last_active_ago = 0 };
		good(store_intern(b->st, t.a, all[i].user_id, &user));
		if (i != 7)
			good(store_do(b->st, t.a, join_write, &user));
	}
	all[N] = all[3];
	all[N].state = PRESENCE_UNAVAILABLE;
	before = store_statements_here();
	good(presence_told(t.p, t.a, all, N + 1));
	ok(store_statements_here() - before <= N + 3, "%d", (int)(store_statements_here() - before));
	for (int i = 0; i < N; i++) {
		int64_t user;

		good(store_intern_find(b->st, t.a, all[i].user_id, &user));
		assert_int_equal(there_view(&t, user).state, i == 7   ? PRESENCE_OFFLINE
							     : i == 3 ? PRESENCE_UNAVAILABLE
								      : PRESENCE_ONLINE);
	}
	assert_int_equal(presence_count(t.p).changes, N - 1);
	before = store_statements_here();
	good(presence_told(t.p, t.a, all, N));
	ok(store_statements_here() - before <= 2, "%d", (int)(store_statements_here() - before));
	there_close(&t);
}

static void who_does_nothing_is_idle_and_an_action_ends_it(struct both *b)
{
	struct there t;

	there_open(&t, b);
	(void)there_begin(&t, ALICE, "A", PRESENCE_ONLINE);
	there_pass(&t, IDLE - 200);
	state_is(&t, ALICE, ONLINE);
	ok(!there_view(&t, ALICE).currently_active, "active a minute at most");
	there_pass(&t, 400);
	state_is(&t, ALICE, UNAVAILABLE);
	/* To go on polling is no action. */
	(void)there_begin(&t, ALICE, "A", PRESENCE_ONLINE);
	state_is(&t, ALICE, UNAVAILABLE);
	presence_acted(t.p, t.a, ALICE, S("A"));
	state_is(&t, ALICE, ONLINE);
	ok(there_view(&t, ALICE).currently_active && there_view(&t, ALICE).last_active_ago == 0, "just now");
	/* What the client said itself ends by an action, too; being hidden does not. */
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_UNAVAILABLE, STR_NONE);
	presence_acted(t.p, t.a, ALICE, S("A"));
	state_is(&t, ALICE, ONLINE);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_OFFLINE, STR_NONE);
	presence_acted(t.p, t.a, ALICE, S("A"));
	state_is(&t, ALICE, OFFLINE);
	/* An action without any /sync: one was active, and is offline. */
	presence_acted(t.p, t.a, BOB, S("B"));
	there_pass(&t, 5000);
	state_is(&t, BOB, OFFLINE);
	assert_int_equal(there_view(&t, BOB).last_active_ago, 5000);
	there_close(&t);
}

static void a_limited_client_stays_what_it_was(struct both *b)
{
	struct there t;

	there_open(&t, b);
	ok(!presence_sync_changes(t.p, ALICE, S("A"), PRESENCE_ONLINE), "a newcomer changes nothing");
	ok(presence_sync_begin(t.p, t.a, ALICE, S("A"), PRESENCE_UNAVAILABLE, false), "begins");
	state_is(&t, ALICE, UNAVAILABLE);
	ok(presence_sync_changes(t.p, ALICE, S("A"), PRESENCE_ONLINE), "would change");
	ok(presence_sync_begin(t.p, t.a, ALICE, S("A"), PRESENCE_ONLINE, false), "waits all the same");
	state_is(&t, ALICE, UNAVAILABLE);
	there_close(&t);
}

/*
 * What is told
 */
static void changes_are_told_once_to_those_in_the_room(struct both *b)
{
	struct reader bob = { .user = BOB }, carol = { .user = CAROL };
	struct presence_news news;
	struct bus_known k;
	struct there t;

	there_open(&t, b);
	there_watch(&t, ALICE, ROOM);
	there_watch(&t, BOB, ROOM);
	there_watch(&t, CAROL, OTHER);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_ONLINE, S("hi"));
	/* Whoever asks is told at once; who waits, in their turn. */
	news = there_news(&t, &bob);
	assert_int_equal(news.n, 1);
	assert_true(bus_known(t.bus, BOB, &k));
	assert_int_equal(k.last[BUS_PRESENCE], 0);
	there_pass(&t, 300);
	bob.above = 0;
	news = there_news(&t, &bob);
	assert_int_equal(news.n, 1);
	ok(news.p[0].user == ALICE && news.p[0].state == PRESENCE_ONLINE && news.p[0].currently_active, "alice");
	assert_int_equal(news.p[0].last_active_ago, 300);
	same_str(news.p[0].status_msg, S("hi"));
	assert_int_equal(there_news(&t, &bob).n, 0);
	assert_true(bus_known(t.bus, BOB, &k));
	assert_int_equal(k.last[BUS_PRESENCE], news.newest);
	assert_true(bus_known(t.bus, ALICE, &k)); /* to oneself */
	assert_int_equal(k.last[BUS_PRESENCE], news.newest);
	assert_true(bus_known(t.bus, CAROL, &k));
	assert_int_equal(k.last[BUS_PRESENCE], 0);
	/* Carol reads another room; this reader asks for ROOM in her name only to see that the bus was right. */
	assert_int_equal(there_news(&t, &carol).n, 1);
	there_close(&t);
}

/* "When true, the server will not send further updates to the last active time until [it is] set to false". */
static void an_active_user_is_told_of_when_that_ends(struct both *b)
{
	struct reader bob = { .user = BOB };
	struct presence_news news;
	struct there t;

	there_open(&t, b);
	there_watch(&t, ALICE, ROOM);
	(void)there_begin(&t, ALICE, "A", PRESENCE_ONLINE);
	there_pass(&t, 1000);
	assert_int_equal(there_news(&t, &bob).n, 1);
	for (int i = 0; i < 10; i++) {
		there_pass(&t, ACTIVE / 2);
		presence_acted(t.p, t.a, ALICE, S("A"));
	}
	assert_int_equal(there_news(&t, &bob).n, 0);
	there_pass(&t, ACTIVE + 500);
	news = there_news(&t, &bob);
	ok(news.n == 1 && news.p[0].state == PRESENCE_ONLINE && !news.p[0].currently_active, "active no more");
	assert_in_range(news.p[0].last_active_ago, ACTIVE, ACTIVE + 500);
	there_pass(&t, IDLE);
	news = there_news(&t, &bob);
	ok(news.n == 1 && news.p[0].state == PRESENCE_UNAVAILABLE, "idle");
	there_close(&t);
}

/* At most one change of the last action a minute, and none of one who is offline. */
static void actions_elsewhere_are_told_now_and_then(struct both *b)
{
	struct reader bob = { .user = BOB };
	size_t told = 0;
	struct there t;

	there_open(&t, b);
	there_watch(&t, ALICE, ROOM);
	for (int i = 0; i < 50; i++) {
		presence_acted(t.p, t.a, ALICE, S("A"));
		there_pass(&t, 2500);
		told += there_news(&t, &bob).n;
	}
	assert_int_equal(told, 0);
	(void)there_begin(&t, ALICE, "A", PRESENCE_UNAVAILABLE);
	for (int i = 0; i < 100; i++) {
		presence_acted(t.p, t.a, ALICE, S("B"));
		there_pass(&t, 2500);
		told += there_news(&t, &bob).n;
	}
	assert_in_range(told, 4, 6);
	there_close(&t);
}

/* The bus hears of who came and went a moment after this service did. */
static void who_left_a_moment_ago_is_not_told_of_there(struct both *b)
{
	struct reader bob = { .user = BOB };
	struct there t;

	there_open(&t, b);
	there_watch(&t, ALICE, ROOM);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_ONLINE, STR_NONE);
	assert_int_equal(there_news(&t, &bob).n, 1);
	there_pass(&t, 5000);
	presence_left(t.p, ALICE, ROOM);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_UNAVAILABLE, STR_NONE);
	assert_int_equal(there_news(&t, &bob).n, 0);
	there_pass(&t, 500);
	/* Back again at once. */
	presence_joined(t.p, ALICE, ROOM);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_ONLINE, STR_NONE);
	there_pass(&t, 700);
	assert_int_equal(there_news(&t, &bob).n, 1);
	there_close(&t);
}

/* Who joins and does something at once is told of in the new room, though the bus did not know of it then. */
static void what_newcomers_do_at_once_is_told_in_the_end(struct both *b)
{
	struct reader bob = { .user = BOB };
	struct there t;

	there_open(&t, b);
	there_watch(&t, ALICE, OTHER);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_ONLINE, STR_NONE);
	there_pass(&t, 5000);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_UNAVAILABLE, STR_NONE);
	there_pass(&t, 500);
	presence_joined(t.p, ALICE, ROOM);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_OFFLINE, STR_NONE);
	there_pass(&t, 700);
	bus_user_joined(t.bus, ALICE, ROOM);
	there_pass(&t, 5000);
	assert_int_equal(there_news(&t, &bob).n, 1);
	there_close(&t);
}

static void a_flapping_user_is_told_once_a_second(struct both *b)
{
	struct reader bob = { .user = BOB };
	uint64_t before;
	struct there t;

	there_open(&t, b);
	there_watch(&t, ALICE, ROOM);
	for (int i = 0; i < 50; i++) {
		presence_set(t.p, t.a, ALICE, S("A"), i % 2 ? PRESENCE_OFFLINE : PRESENCE_ONLINE, STR_NONE);
		there_pass(&t, 200);
	}
	assert_in_range(presence_count(t.p).changes, 2, 12);
	there_pass(&t, 2000);
	state_is(&t, ALICE, OFFLINE);
	assert_int_equal(there_news(&t, &bob).n, 1);
	/* What undid itself meanwhile is not told. */
	before = presence_count(t.p).changes;
	for (int i = 0; i < 7; i++) {
		presence_set(t.p, t.a, ALICE, S("A"), i % 2 ? PRESENCE_OFFLINE : PRESENCE_ONLINE, STR_NONE);
		there_pass(&t, 100);
	}
	there_pass(&t, 2000);
	assert_int_equal(presence_count(t.p).changes, before + 1);
	assert_int_equal(there_news(&t, &bob).n, 1);
	there_close(&t);
}

static void who_comes_is_told_of_all_and_all_of_them(struct both *b)
{
	struct reader bob = { .user = BOB, .above = INT64_MAX, .new_here = true }, carol = { .user = CAROL };
	struct presence_news news;
	struct there t;

	there_open(&t, b);
	there_watch(&t, ALICE, ROOM);
	there_watch(&t, CAROL, ROOM);
	there_watch(&t, BOB, OTHER);
	(void)there_begin(&t, ALICE, "A", PRESENCE_ONLINE);
	(void)there_begin(&t, BOB, "B", PRESENCE_ONLINE);
	presence_set(t.p, t.a, 4, S("D"), PRESENCE_OFFLINE, S("away"));
	there_pass(&t, 1500);
	(void)there_news(&t, &carol);
	/* Bob's change came before the bus knew of the room: it is not lost there. */
	presence_joined(t.p, BOB, ROOM);
	presence_acted(t.p, t.a, BOB, S("B"));
	presence_set(t.p, t.a, BOB, S("B"), PRESENCE_UNAVAILABLE, S("new"));
	bus_user_joined(t.bus, BOB, ROOM);
	there_pass(&t, 1500);
	news = there_news(&t, &carol);
	ok(news.n == 1 && news.p[0].user == BOB && news.p[0].state == PRESENCE_UNAVAILABLE, "carol hears of bob");
	carol = (struct reader){ .user = CAROL };
	assert_int_equal(there_news(&t, &carol).n, 2);
	news = there_news(&t, &bob);
	ok(news.n == 1 && news.p[0].user == ALICE, "bob hears of alice, not of those who are offline");
	/* And no more of who left. */
	bus_user_left(t.bus, ALICE, ROOM);
	presence_left(t.p, ALICE, ROOM);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_UNAVAILABLE, STR_NONE);
	there_pass(&t, 1500);
	assert_int_equal(there_news(&t, &carol).n, 0);
	there_close(&t);
}

static void a_first_answer_is_without_the_offline(struct both *b)
{
	struct reader first = { .user = BOB, .without_offline = true }, later = { .user = BOB };
	struct there t;

	there_open(&t, b);
	there_watch(&t, ALICE, ROOM);
	there_watch(&t, CAROL, ROOM);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_ONLINE, STR_NONE);
	presence_set(t.p, t.a, CAROL, S("C"), PRESENCE_OFFLINE, S("gone fishing"));
	there_pass(&t, 300);
	assert_int_equal(there_news(&t, &later).n, 2);
	assert_int_equal(there_news(&t, &first).n, 1);
	there_close(&t);
}

/* More changes than an answer may have: the oldest first, the rest with further turns, nobody twice. */
static void too_many_changes_come_in_pieces(struct both *b)
{
	enum { USERS = 25, MOST = 10 };
	struct reader bob = { .user = BOB, .most = MOST };
	bool seen[USERS] = { false };
	struct bus_known k;
	struct there t;

	there_open(&t, b);
	there_watch(&t, BOB, ROOM);
	for (int64_t i = 0; i < USERS; i++) {
		there_watch(&t, 1000 + i, ROOM);
		presence_set(t.p, t.a, 1000 + i, S("A"), PRESENCE_ONLINE, STR_NONE);
	}
	there_pass(&t, 1000);
	for (size_t want = USERS; want > 0; want -= MIN(want, MOST)) {
		struct presence_news news;
		int64_t before;

		assert_true(bus_known(t.bus, BOB, &k));
		before = k.last[BUS_PRESENCE];
		news = there_news(&t, &bob);
		assert_int_equal(news.n, MIN(want, MOST));
		for (size_t i = 0; i < news.n; i++) {
			ok(!seen[news.p[i].user - 1000], "%lld twice", (long long)news.p[i].user);
			seen[news.p[i].user - 1000] = true;
		}
		/* A token that says "known up to newest" is woken for the rest. */
		there_pass(&t, 200);
		assert_true(bus_known(t.bus, BOB, &k));
		ok((k.last[BUS_PRESENCE] > MAX(before, news.newest)) == (want > MOST), "%zu to tell", want);
	}
	there_close(&t);
}

/* Long answers cost more than short ones: after many of them, turns come later. */
static void what_is_told_is_paid_for(struct both *b)
{
	struct bus_known k;
	struct there t;

	there_open(&t, b);
	there_watch(&t, BOB, ROOM);
	for (int64_t i = 0; i < 100; i++) {
		there_watch(&t, 1000 + i, ROOM);
		presence_set(t.p, t.a, 1000 + i, S("A"), PRESENCE_ONLINE, STR_NONE);
	}
	there_pass(&t, 5000);
	for (int i = 0; i < 300; i++) {
		struct reader bob = { .user = BOB };

		assert_int_equal(there_news(&t, &bob).n, 100);
	}
	assert_true(bus_known(t.bus, BOB, &k));
	presence_set(t.p, t.a, 1000, S("A"), PRESENCE_UNAVAILABLE, STR_NONE);
	there_pass(&t, 500);
	const int64_t before = k.last[BUS_PRESENCE];

	assert_true(bus_known(t.bus, BOB, &k));
	assert_int_equal(k.last[BUS_PRESENCE], before);
	there_pass(&t, 15000);
	assert_true(bus_known(t.bus, BOB, &k));
	ok(k.last[BUS_PRESENCE] > before, "told in the end");
	there_close(&t);
}

static void a_closed_account_vanishes(struct both *b)
{
	struct reader bob = { .user = BOB };
	struct presence_news news;
	struct presence_row *row;
	struct there t;

	there_open(&t, b);
	there_watch(&t, ALICE, ROOM);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_ONLINE, S("hi"));
	there_pass(&t, 40000);
	(void)there_begin(&t, ALICE, "A", PRESENCE_ONLINE);
	(void)there_news(&t, &bob);
	presence_forget(t.p, t.a, ALICE);
	/* What follows: the account leaves its rooms. */
	bus_user_left(t.bus, ALICE, ROOM);
	presence_left(t.p, ALICE, ROOM);
	news = there_news(&t, &bob);
	ok(news.n == 1 && news.p[0].state == PRESENCE_OFFLINE && str_is_none(news.p[0].status_msg),
	   "offline, no words");
	presence_acted(t.p, t.a, ALICE, S("A"));
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_ONLINE, S("I am back"));
	ok(!there_begin(&t, ALICE, "A", PRESENCE_ONLINE), "no longer");
	there_pass(&t, 40000);
	state_is(&t, ALICE, OFFLINE);
	there_close(&t);
	{
		AUTO_TX tx = NULL;

		good(store_read(b->st, b->a, &tx));
		good(store_presence_of(tx, ALICE, &row));
		assert_null(row);
	}
}

/*
 * A restart
 */
static void a_restart_forgets_nothing_that_was_written(struct both *b)
{
	struct reader bob = { .user = BOB };
	struct presence_news news;
	struct there t;

	there_open(&t, b);
	presence_set(t.p, t.a, ALICE, S("A"), PRESENCE_OFFLINE, S("back on monday"));
	(void)there_begin(&t, CAROL, "C", PRESENCE_ONLINE);
	there_pass(&t, 7000);
	there_close(&t);

	/* Another machine clock; the wall's goes on. */
	there_wall += 60000;
	there_mono = 77000;
	there_open(&t, b);
	there_watch(&t, ALICE, ROOM);
	there_watch(&t, CAROL, ROOM);
	same_str(there_view(&t, ALICE).status_msg, S("back on monday"));
	assert_int_equal(there_view(&t, ALICE).last_active_ago, 67000);
	state_is(&t, CAROL, ONLINE);
	there_pass(&t, 300);
	/* A token of before knows nothing: all are told, also who is offline. */
	assert_int_equal(there_news(&t, &bob).n, 2);
	/* Who does not come back is gone, and that is told. */
	there_pass(&t, ONLINE);
	news = there_news(&t, &bob);
	ok(news.n == 1 && news.p[0].user == CAROL && news.p[0].state == PRESENCE_OFFLINE, "carol is gone");
	/* To be online again takes nobody's words away. */
	(void)there_begin(&t, ALICE, "A2", PRESENCE_ONLINE);
	same_str(there_view(&t, ALICE).status_msg, S("back on monday"));
	there_close(&t);

	/* Long ago: not in memory, but not lost. */
	there_wall += INT64_C(1000) * 3600 * 24 * 30;
	there_mono = 1000;
	there_open(&t, b);
	assert_int_equal(presence_count(t.p).users, 1); /* alice was online when it stopped */
	assert_int_equal(there_view(&t, CAROL).state, PRESENCE_OFFLINE);
	ok(there_view(&t, CAROL).last_active_ago > INT64_C(1000) * 3600 * 24 * 30, "a month ago");
	there_close(&t);
}

/* Who never synced here: the rooms come from the store. */
static err *join(struct tx *tx, void *arg)
{
	const struct member_row row = { .room = ROOM,
					.user = *(int64_t *)arg,
					.membership = MEMBER_JOIN,
					.event = 1,
					.displayname = STR_NONE,
					.avatar_url = STR_NONE,
					.stripped = STR_NONE };

	return store_member_save(tx, &row);
}

static void rooms_of_who_does_not_listen_are_read(struct both *b)
{
	struct reader bob = { .user = BOB };
	int64_t alice = ALICE, visible;
	struct there t;

	good(store_intern(b->st, b->a, S("@alice:x"), &alice));
	good(store_do(b->st, b->a, join, &alice));
	there_open(&t, b);
	bob.user = alice + 1000;
	presence_set(t.p, t.a, alice, S("A"), PRESENCE_ONLINE, STR_NONE);
	there_pass(&t, 300);
	assert_int_equal(there_news(&t, &bob).n, 1);
	good(presence_visible(t.p, t.a, bob.user, S("@alice:x"), &visible));
	assert_int_equal(visible, 0);
	good(presence_visible(t.p, t.a, alice, S("@nobody:x"), &visible));
	assert_int_equal(visible, 0);
	good(store_do(b->st, b->a, join, &bob.user));
	good(presence_visible(t.p, t.a, bob.user, S("@alice:x"), &visible));
	assert_int_equal(visible, alice);
	good(presence_visible(t.p, t.a, alice, S("@alice:x"), &visible));
	assert_int_equal(visible, alice);
	there_close(&t);
}

static void switched_off_nobody_is_there(struct both *b)
{
	static const struct {
		bool enabled, tracked;
	} rows[] = { { false, true }, { true, false }, { false, false } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bus *bus = bus_new(10);
		const struct presence_options opt = {
			.store = b->st, .bus = bus, .enabled = rows[i].enabled, .tracked = rows[i].tracked
		};
		struct presence_view v;
		struct presence *p;

		good(presence_new(b->a, &opt, &p));
		assert_int_equal(presence_enabled(p), rows[i].enabled);
		ok(!presence_sync_begin(p, b->a, ALICE, S("A"), PRESENCE_ONLINE, true), "row %zu", i);
		presence_set(p, b->a, ALICE, S("A"), PRESENCE_ONLINE, S("hi"));
		presence_acted(p, b->a, ALICE, S("A"));
		presence_forget(p, b->a, ALICE);
		good(presence_get(p, b->a, ALICE, &v));
		ok(v.state == PRESENCE_OFFLINE && str_is_none(v.status_msg) && v.last_active_ago < 0, "row %zu", i);
		presence_stop(p);
		presence_free(&p);
		bus_free(&bus);
	}
}

#define LITE(name)                                                                                                     \
	static void name##_on_sqlite(void **state)                                                                     \
	{                                                                                                              \
		(void)state;                                                                                           \
		both_run(name, false);                                                                                 \
	}
LITE(the_most_present_device_wins)
LITE(who_waits_is_online_and_who_left_is_not)
BOTH(who_is_elsewhere_is_as_their_server_says)
BOTH(an_edu_of_many_users_costs_little)
LITE(who_does_nothing_is_idle_and_an_action_ends_it)
LITE(a_limited_client_stays_what_it_was)
LITE(changes_are_told_once_to_those_in_the_room)
LITE(an_active_user_is_told_of_when_that_ends)
LITE(actions_elsewhere_are_told_now_and_then)
LITE(a_flapping_user_is_told_once_a_second)
LITE(who_left_a_moment_ago_is_not_told_of_there)
LITE(what_newcomers_do_at_once_is_told_in_the_end)
LITE(who_comes_is_told_of_all_and_all_of_them)
LITE(a_first_answer_is_without_the_offline)
LITE(too_many_changes_come_in_pieces)
LITE(what_is_told_is_paid_for)
BOTH(a_closed_account_vanishes)
BOTH(a_restart_forgets_nothing_that_was_written)
BOTH(rooms_of_who_does_not_listen_are_read)
LITE(switched_off_nobody_is_there)

TEST_MAIN(cmocka_unit_test(the_most_present_device_wins_on_sqlite),
	  cmocka_unit_test(who_waits_is_online_and_who_left_is_not_on_sqlite),
	  BOTH_TESTS(who_is_elsewhere_is_as_their_server_says), BOTH_TESTS(an_edu_of_many_users_costs_little),
	  cmocka_unit_test(who_does_nothing_is_idle_and_an_action_ends_it_on_sqlite),
	  cmocka_unit_test(a_limited_client_stays_what_it_was_on_sqlite),
	  cmocka_unit_test(changes_are_told_once_to_those_in_the_room_on_sqlite),
	  cmocka_unit_test(an_active_user_is_told_of_when_that_ends_on_sqlite),
	  cmocka_unit_test(actions_elsewhere_are_told_now_and_then_on_sqlite),
	  cmocka_unit_test(a_flapping_user_is_told_once_a_second_on_sqlite),
	  cmocka_unit_test(who_left_a_moment_ago_is_not_told_of_there_on_sqlite),
	  cmocka_unit_test(what_newcomers_do_at_once_is_told_in_the_end_on_sqlite),
	  cmocka_unit_test(who_comes_is_told_of_all_and_all_of_them_on_sqlite),
	  cmocka_unit_test(a_first_answer_is_without_the_offline_on_sqlite),
	  cmocka_unit_test(what_is_told_is_paid_for_on_sqlite),
	  cmocka_unit_test(too_many_changes_come_in_pieces_on_sqlite), BOTH_TESTS(a_closed_account_vanishes),
	  BOTH_TESTS(a_restart_forgets_nothing_that_was_written), BOTH_TESTS(rooms_of_who_does_not_listen_are_read),
	  cmocka_unit_test(switched_off_nobody_is_there_on_sqlite))
