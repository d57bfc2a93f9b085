/* test_typing.c - who types: until when, who is told, and that leaving ends it. */
#include "world.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "room/typing.h"

static size_t list(struct typing *t, int64_t room, int64_t out[8], int64_t *out_serial)
{
	return typing_list(t, room, out, 8, out_serial);
}

static void a_list_changes_with_who_types(void **state)
{
	struct bus *bus = bus_new(10);
	struct typing *t = typing_new(bus, NULL);
	int64_t users[8], first, serial;

	(void)state;
	assert_int_equal(list(t, 1, users, &serial), 0);
	assert_int_equal(serial, 0);
	typing_set(t, 1, 10, 0); /* stops what never began */
	assert_int_equal(list(t, 1, users, &serial), 0);
	assert_int_equal(serial, 0);
	typing_set(t, 1, 10, 60000);
	assert_int_equal(list(t, 1, users, &first), 1);
	ok(users[0] == 10 && first > 0, "not there");
	typing_set(t, 1, 10, 90000); /* prolonged: no news */
	assert_int_equal(list(t, 1, users, &serial), 1);
	assert_int_equal(serial, first);
	typing_set(t, 1, 11, 60000);
	assert_int_equal(list(t, 1, users, &serial), 2);
	ok(serial > first, "no news");
	assert_int_equal(list(t, 2, users, &first), 0);
	assert_int_equal(first, 0); /* another room */
	typing_set(t, 1, 10, 0);
	assert_int_equal(list(t, 1, users, &first), 1);
	ok(users[0] == 11 && first > serial, "the wrong one stopped");
	typing_set(t, 1, 11, -5);
	assert_int_equal(list(t, 1, users, &serial), 0);
	ok(serial > first, "that nobody types is news, too");
	assert_int_equal(typing_list(t, 1, users, 0, &serial), 0);
	typing_free(&t);
	assert_null(t);
	typing_free(&t);
	bus_free(&bus);
}

/* Waits for the bus's word that the room's typing changed. */
struct awaited {
	struct lock lock;
	struct cond cond;
	struct bus_waiter w;
	bool woken;
};
static void wake(struct bus_waiter *w)
{
	struct awaited *a = (struct awaited *)(void *)((char *)w - offsetof(struct awaited, w));
	LOCKED(&a->lock);

	a->woken = true;
	cond_signal(&a->cond);
}

static bool wait_for_news(struct awaited *a, struct bus *bus, int64_t user, uint64_t seq)
{
	const int64_t deadline = clock_mono_us() + 20 * 1000000;
	bool good = true;

	a->woken = false;
	a->w = (struct bus_waiter){ .wake = wake };
	if (!bus_wait(bus, &a->w, user, seq))
		return true;
	lock_take(&a->lock);
	while (good && !a->woken)
		good = cond_wait_until(&a->cond, &a->lock, deadline);
	lock_drop(&a->lock);
	return good;
}

static void what_is_not_ended_ends_by_itself(void **state)
{
	struct bus *bus = bus_new(10);
	struct typing *t = typing_new(bus, NULL);
	const int64_t room = 1;
	struct awaited a = { .woken = false };
	int64_t users[8], began, ended;
	struct bus_known known;

	(void)state;
	lock_init(&a.lock, RANK_LEAF);
	cond_init(&a.cond);
	ok(bus_watch_begin(bus, 99), "watched already");
	bus_watch_rooms(bus, 99, 0, &room, 1);
	typing_set(t, 2, 10, 60000); /* the thread sleeps until then; a nearer deadline must wake it */
	typing_set(t, room, 10, 1);
	(void)list(t, room, users, &began);
	do
		ok(bus_known(bus, 99, &known), "not watched");
	while (list(t, room, users, &ended) == 1 && wait_for_news(&a, bus, 99, known.seq));
	assert_int_equal(list(t, room, users, &ended), 0);
	ok(ended >= began, "no news");
	assert_int_equal(list(t, 2, users, &ended), 1);
	typing_free(&t);
	bus_free(&bus);
	cond_done(&a.cond);
	lock_done(&a.lock);
}

static void a_room_shows_only_so_many(void **state)
{
	struct bus *bus = bus_new(10);
	struct typing *t = typing_new(bus, NULL);
	int64_t users[300], serial, before;

	(void)state;
	for (int64_t i = 1; i <= 100; i++)
		typing_set(t, 1, i, 60000);
	(void)typing_list(t, 1, users, 300, &before);
	typing_set(t, 1, 101, 60000);
	assert_int_equal(typing_list(t, 1, users, 300, &serial), 100);
	assert_int_equal(serial, before);
	typing_free(&t);
	bus_free(&bus);
}

struct typist {
	struct typing *t;
	int64_t user;
};
static void type_wildly(void *arg)
{
	const struct typist *p = arg;
	int64_t users[8], serial, last = 0;

	for (int64_t i = 0; i < 300; i++) {
		typing_set(p->t, 1 + i % 3, p->user, i % 5 == 4 ? 0 : i % 2 ? 1 : 60000);
		(void)typing_list(p->t, 1, users, 8, &serial);
		ok(serial >= last, "a serial went back");
		last = serial;
	}
	for (int64_t room = 1; room <= 3; room++)
		typing_set(p->t, room, p->user, 0);
}

static void many_type_at_once(void **state)
{
	struct bus *bus = bus_new(10);
	struct typing *t = typing_new(bus, NULL);
	struct thread *threads[4];
	struct typist p[4];
	int64_t users[8], serial;

	(void)state;
	for (int i = 0; i < 4; i++) {
		p[i] = (struct typist){ t, i + 1 };
		threads[i] = thread_start("typist", type_wildly, &p[i]);
	}
	for (int i = 0; i < 4; i++)
		thread_join(&threads[i]);
	for (int64_t room = 1; room <= 3; room++)
		assert_int_equal(list(t, room, users, &serial), 0);
	typing_set(t, 1, 1, 60000); /* and it may be closed while somebody types */
	typing_free(&t);
	bus_free(&bus);
}

static void who_leaves_types_no_more(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob"), carol = who(w, "carol");
	struct typing *t = typing_new(w->bus, w->rs);
	const str room = make_room(w, alice, "{'preset':'public_chat'}");
	int64_t users[8], serial;

	good(join(w, bob, room));
	good(join(w, carol, room));
	typing_set(t, room_nid(w, room), alice.user, 60000);
	typing_set(t, room_nid(w, room), bob.user, 60000);
	typing_set(t, room_nid(w, room), carol.user, 60000);
	set_state(w, bob, room, "m.room.member", "@bob:test", "{'membership':'join','displayname':'B'}");
	assert_int_equal(list(t, room_nid(w, room), users, &serial), 3);
	good(member(w, room_leave, bob, room, NULL));
	good(member(w, room_ban, alice, room, "carol"));
	assert_int_equal(list(t, room_nid(w, room), users, &serial), 1);
	assert_int_equal(users[0], alice.user);
	store_close(&w->b->st); /* hooks run until then */
	typing_free(&t);
}
WORLD(who_leaves_types_no_more)

/* What another server says of who types: only of its own users, where they are, where it may take part. */
static void a_server_speaks_for_its_own(struct world *w)
{
	static const struct {
		const char *origin, *user;
		bool denied, good;
	} cases[] = {
		{ "test", "@bob:test", false, true },    { "other", "@bob:test", false, false },
		{ "test", "@carol:test", false, false }, { "test", "@nobody:test", false, false },
		{ "test", "bob", false, false },         { "test", "@bob:test", true, false },
		{ "test:1", "@bob:test", false, false },
	};
	struct typing *t = typing_new(w->bus, w->rs);
	const struct actor alice = who(w, "alice"), bob = who(w, "bob"), carol = who(w, "carol");
	const str room = make_room(w, alice, "{'preset':'public_chat'}");
	int64_t users[8], serial;

	(void)carol;
	good(join(w, bob, room));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (cases[i].denied)
			set_state(w, alice, room, "m.room.server_acl", "", "{'allow':['*'],'deny':['test']}");
		err *e = typing_told(t, w->rs, w->a, str_c(cases[i].origin), room, str_c(cases[i].user), true);

		ok(!e == cases[i].good, "%zu", i);
		ok(!e || e->code == ERR_FORBIDDEN, "%zu", i);
		assert_int_equal(list(t, room_nid(w, room), users, &serial), cases[i].good);
		typing_set(t, room_nid(w, room), bob.user, 0);
		set_state(w, alice, room, "m.room.server_acl", "", "{'allow':['*']}");
	}
	fails_with(typing_told(t, w->rs, w->a, S("test"), S("!nowhere:test"), bob.user_id, true), ERR_FORBIDDEN);
	good(typing_told(t, w->rs, w->a, S("test"), room, bob.user_id, true));
	good(typing_told(t, w->rs, w->a, S("test"), room, bob.user_id, false));
	assert_int_equal(list(t, room_nid(w, room), users, &serial), 0);
	store_close(&w->b->st);
	typing_free(&t);
}
WORLD(a_server_speaks_for_its_own)

/* Who is told of our users: on whichever thread, without a lock. */
struct told {
	struct lock lock;
	struct cond cond;
	str text; /* in `a` */
	struct arena *a;
};
static void on_change(void *ctx, int64_t room, int64_t user, bool typing)
{
	struct told *told = ctx;

	assert_false(lock_any_held());
	LOCKED(&told->lock);
	told->text =
		arena_printf(told->a, "%.*s%d/%d%c ", STR_ARG(told->text), (int)room, (int)user, typing ? '+' : '-');
	cond_broadcast(&told->cond);
}

static void others_are_told_of_our_users_alone(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str room = make_room(w, alice, "{'preset':'public_chat'}");
	struct told told = { .text = S(""), .a = w->a };
	struct typing *t = typing_new(w->bus, w->rs);

	good(join(w, bob, room));
	lock_init(&told.lock, RANK_LEAF - 1);
	cond_init(&told.cond);
	typing_on_change(t, on_change, &told);
	typing_set(t, 1, 10, 0); /* never began */
	typing_set(t, 1, 10, 60000);
	typing_set(t, 1, 10, 60000); /* goes on: is told of now and then, not each time */
	typing_set(t, 1, 10, 0);
	same_str(told.text, S("1/10+ 1/10- "));
	/* Another server told of it: it tells others itself, and of its end. */
	good(typing_told(t, w->rs, w->a, S("test"), room, bob.user_id, true));
	good(typing_told(t, w->rs, w->a, S("test"), room, bob.user_id, false));
	/* Who leaves says so by that. */
	typing_set(t, room_nid(w, room), bob.user, 60000);
	told.text = S("");
	const struct member_cmd leave = { .by = bob, .room_id = room };
	good(room_leave(w->rs, w->a, &leave));
	same_str(told.text, S(""));
	/* It ends by itself. */
	typing_set(t, 2, 11, 1);
	lock_take(&told.lock);
	while (!str_eq(told.text, S("2/11+ 2/11- ")))
		assert_true(cond_wait_until(&told.cond, &told.lock, clock_mono_us() + INT64_C(60000000)));
	lock_drop(&told.lock);
	typing_set(t, 2, 11, 60000);
	typing_stop(t);
	store_close(&w->b->st);
	typing_free(&t);
	cond_done(&told.cond);
	lock_done(&told.lock);
}
WORLD(others_are_told_of_our_users_alone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_changes_with_who_types), cmocka_unit_test(what_is_not_ended_ends_by_itself),
		cmocka_unit_test(a_room_shows_only_so_many),     cmocka_unit_test(many_type_at_once),
		WORLD_TESTS(who_leaves_types_no_more),           WORLD_TESTS(a_server_speaks_for_its_own),
		WORLD_TESTS(others_are_told_of_our_users_alone),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
