/* test_profile_spread.c - a new name reaches every room, goes on after a stop, and survives the store's troubles. */
#include "room/world.h"

#include <sched.h>

#include "base/clock.h"
#include "crypto/crypto.h"
#include "flow/profile_spread.h"
#include "user/profile.h"

static const struct log quiet;

struct spreading {
	struct world *w;
	struct users *us;
};

static err *names(void *ctx, struct arena *a, int64_t user, str *out_name, str *out_avatar)
{
	return user_profile_names(*(struct users **)ctx, a, user, out_name, out_avatar);
}

/* The world's rooms again, with profiles in them. */
static void begin(struct spreading *s, struct world *w)
{
	const struct users_options opt = { .store = w->b->st, .bus = w->bus, .server_name = S("test") };

	s->w = w;
	s->us = users_new(&opt);
	rooms_free(&w->rs);
	w->opt.profile = names;
	w->opt.profile_ctx = &s->us;
	good(rooms_new(w->a, &w->opt, &w->rs));
}

static str name_in(struct spreading *s, str room, const char *user)
{
	const struct json *content = content_of(s->w, current(s->w, room, "m.room.member", user));

	return json_get_str(content, S("displayname"));
}

static void rename_to(struct spreading *s, struct actor who, str name)
{
	bool spread;

	good(user_profile_set(s->us, s->w->a, who.user, who.user_id, S("displayname"), json_new_str(s->w->a, name),
			      &spread));
	ok(spread, "nothing is to be spread");
}

static size_t left_to_do(struct spreading *s)
{
	struct user_spread *todo;
	size_t n;

	good(user_spreads(s->us, s->w->a, &todo, &n));
	return n;
}

/* The thread works in the background: its end is the empty list. */
static void await_end(struct spreading *s)
{
	const int64_t deadline = clock_mono_us() + INT64_C(30) * 1000000;

	while (left_to_do(s) && clock_mono_us() < deadline)
		sched_yield();
	assert_int_equal(left_to_do(s), 0);
}

enum { ROOMS = 5 };
struct bob_and_rooms {
	struct actor alice, bob;
	str rooms[ROOMS];
};

static struct bob_and_rooms furnish(struct world *w)
{
	struct bob_and_rooms f = { who(w, "alice"), who(w, "bob"), { { 0 } } };

	for (size_t i = 0; i < ROOMS; i++) {
		f.rooms[i] = make_room(w, f.alice, "{'preset':'public_chat'}");
		good(join(w, f.bob, f.rooms[i]));
	}
	return f;
}

static void check_names(struct spreading *s, const struct bob_and_rooms *f, str want)
{
	for (size_t i = 0; i < ROOMS; i++)
		same_str(name_in(s, f->rooms[i], "@bob:test"), want);
}

static size_t events_in(struct spreading *s, str room)
{
	struct event_row **rows;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(s->w->b->st, s->w->a, &tx));
	good(store_events_by_stream(tx, room_nid(s->w, room), 0, INT64_MAX, false, 1000, &rows, &n));
	return n;
}

static void a_name_reaches_every_room_once(struct world *w)
{
	struct profile_spread *ps;
	struct spreading s;
	struct bob_and_rooms f;
	size_t before;

	begin(&s, w);
	f = furnish(w);
	good(member(w, room_leave, f.bob, f.rooms[2], NULL));
	good(member(w, room_ban, f.alice, f.rooms[2], "bob")); /* where he is not wanted nothing is told */
	before = events_in(&s, f.rooms[0]);
	ps = profile_spread_new(s.us, w->rs, &quiet);
	rename_to(&s, f.bob, S("Bob"));
	profile_spread_kick(ps);
	await_end(&s);
	for (size_t i = 0; i < ROOMS; i++)
		same_str(name_in(&s, f.rooms[i], "@bob:test"), i == 2 ? STR_NONE : S("Bob"));
	assert_int_equal(events_in(&s, f.rooms[0]), before + 1);
	/* The same name again is no event; a removed one is. */
	rename_to(&s, f.bob, S("Bob"));
	profile_spread_kick(ps);
	await_end(&s);
	assert_int_equal(events_in(&s, f.rooms[0]), before + 1);
	rename_to(&s, f.bob, S(""));
	profile_spread_kick(ps);
	await_end(&s);
	same_str(name_in(&s, f.rooms[0], "@bob:test"), STR_NONE);
	assert_int_equal(events_in(&s, f.rooms[0]), before + 2);
	profile_spread_free(&ps);
	profile_spread_free(&ps);
	users_free(&s.us);
}
WORLD(a_name_reaches_every_room_once)

static void what_the_last_run_left_is_done_first(struct world *w)
{
	struct profile_spread *ps;
	struct spreading s;
	struct bob_and_rooms f;

	begin(&s, w);
	f = furnish(w);
	rename_to(&s, f.bob, S("Bob"));
	/* Half of it was told; the other half is. */
	{
		const struct user_spread half = { f.bob.user, room_nid(w, f.rooms[1]), 1 };

		good(user_spread_reached(s.us, w->a, &half));
	}
	ps = profile_spread_new(s.us, w->rs, &quiet); /* nobody kicks */
	await_end(&s);
	same_str(name_in(&s, f.rooms[1], "@bob:test"), STR_NONE);
	same_str(name_in(&s, f.rooms[ROOMS - 1], "@bob:test"), S("Bob"));
	profile_spread_free(&ps);
	users_free(&s.us);
}
WORLD(what_the_last_run_left_is_done_first)

/* The error is told after the rooms' arenas are gone; the room is not taken for one that refused. */
static void a_failing_store_is_tried_again(struct world *w)
{
	struct profile_spread *ps;
	struct spreading s;
	struct bob_and_rooms f;

	begin(&s, w);
	f = furnish(w);
	rename_to(&s, f.bob, S("Bob"));
	store_fault(w->b->st, FAULT_COMMIT, 1);
	ps = profile_spread_new(s.us, w->rs, &quiet);
	profile_spread_kick(ps); /* what it failed at is tried again, now or as soon as it has failed */
	await_end(&s);
	check_names(&s, &f, S("Bob"));
	profile_spread_free(&ps);
	users_free(&s.us);
}
WORLD(a_failing_store_is_tried_again)

static void the_last_of_many_changes_stands(struct world *w)
{
	struct profile_spread *ps;
	struct spreading s;
	struct bob_and_rooms f;

	begin(&s, w);
	f = furnish(w);
	ps = profile_spread_new(s.us, w->rs, &quiet);
	for (int i = 0; i < 20; i++) {
		rename_to(&s, f.bob, arena_printf(w->a, "Bob %d", i));
		rename_to(&s, f.alice, arena_printf(w->a, "Alice %d", i));
		profile_spread_kick(ps);
	}
	await_end(&s);
	check_names(&s, &f, S("Bob 19"));
	same_str(name_in(&s, f.rooms[0], "@alice:test"), S("Alice 19"));
	profile_spread_free(&ps);
	users_free(&s.us);
}
WORLD(the_last_of_many_changes_stands)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(a_name_reaches_every_room_once),
		WORLD_TESTS(what_the_last_run_left_is_done_first),
		WORLD_TESTS(a_failing_store_is_tried_again),
		WORLD_TESTS(the_last_of_many_changes_stands),
	};

	crypto_init();
	log_setup(LOG_ERROR, LOG_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
