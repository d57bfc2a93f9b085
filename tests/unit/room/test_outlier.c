/* Outliers: stored once, parents first, judged by their auth_events; what stands on nothing is left out. */
#include "far_room.h"
#include "world.h"

#include "base/pool.h"
#include "room/receive/outlier.h"

static struct outlier *list_of(struct far *f, size_t *out_n)
{
	struct outlier *list = ARENA_ARRAY(f->a, struct outlier, f->events.n);

	for (size_t i = 0; i < f->events.n; i++)
		list[i].event = f->events.p[f->events.n - 1 - i]; /* children first */
	*out_n = f->events.n;
	return list;
}

static err *store(struct world *w, struct far *f, struct outlier *list, size_t n)
{
	int64_t room;

	good(store_intern(w->b->st, w->a, f->room_id, &room));
	return outliers_store(w->rs, w->a, room, f->rv, list, n);
}

static size_t rows_of(struct world *w, struct far *f)
{
	struct event_mark *marks;
	AUTO_TX tx = NULL;
	str *ids = ARENA_ARRAY(w->a, str, f->events.n);
	size_t n;

	for (size_t i = 0; i < f->events.n; i++)
		ids[i] = f->events.p[i]->event_id;
	good(store_read(w->b->st, w->a, &tx));
	good(store_event_marks(tx, ids, f->events.n, &marks, &n));
	return n;
}

static void stored_once(struct world *w)
{
	static const char *const versions[] = { "1", "6", "11", "12" };

	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct outlier *list, *again;
		struct event_row *row;
		struct far f;
		int64_t *auths;
		size_t n;

		far_begin(&f, w->a, versions[v], "far");
		far_member(&f, "bob", "join");
		far_member(&f, "bob", "leave");
		list = list_of(&f, &n);
		good(store(w, &f, list, n));
		assert_int_equal(rows_of(w, &f), n);
		for (size_t i = 0; i < n; i++) {
			ok(list[i].nid > 0 && !list[i].rejected, "version %s, event %zu", versions[v], i);
			row = event_row(w, list[i].event->event_id);
			assert_int_equal(row->nid, list[i].nid);
			assert_int_equal(row->flags, EVENT_OUTLIER | EVENT_STATE);
			assert_int_equal(row->stream, 0);
			assert_int_equal(row->timeline, 0);
			same_str(row->json, list[i].event->bytes);
			/* The numbers of what it names, in the same order. */
			assert_int_equal(store_nids_unpack(w->a, row->auths, &auths), list[i].event->n_auth_events);
			for (size_t k = 0; k < list[i].event->n_auth_events; k++)
				assert_int_equal(event_row(w, list[i].event->auth_events[k])->nid, auths[k]);
		}
		/* Again, with one more: the numbers are the same. */
		far_member(&f, "carol", "join");
		again = list_of(&f, &n);
		good(store(w, &f, again, n));
		for (size_t i = 1; i < n; i++)
			assert_int_equal(again[i].nid, list[i - 1].nid);
		assert_true(again[0].nid > 0);
		assert_int_equal(rows_of(w, &f), n);
	}
}
WORLD(stored_once)

static void the_rules_decide(struct world *w)
{
	struct outlier list[16] = { 0 };
	struct event *create, *levels, *rules, *stranger, *child, *late;
	struct far f;

	far_begin(&f, w->a, "10", "far");
	create = f.events.p[0];
	levels = far_current(&f, "m.room.power_levels", S(""));
	rules = far_current(&f, "m.room.join_rules", S(""));
	for (size_t i = 0; i < f.events.n; i++)
		list[i].event = f.events.p[i];
	/* Sets the topic without being in the room; and one that stands on that. */
	stranger = far_build(&f, far_user(&f, "eve"), "m.room.topic", S(""), far_json(&f, "{'topic':'mine'}"),
			     (struct event *[]){ create, levels }, 2);
	child = far_build(&f, far_user(&f, "bob"), "m.room.member", far_user(&f, "bob"),
			  far_json(&f, "{'membership':'join'}"), (struct event *[]){ create, levels, rules, stranger },
			  4);
	list[5].event = child;
	list[6].event = stranger;
	good(store(w, &f, list, 7));
	assert_true(list[6].rejected && list[6].nid);
	assert_true(list[5].rejected && list[5].nid);
	assert_false(list[4].rejected);
	assert_int_equal(event_row(w, stranger->event_id)->flags, EVENT_OUTLIER | EVENT_STATE | EVENT_REJECTED);
	/* Later, what stands on what was rejected then. */
	late = far_build(&f, far_user(&f, "bob"), "m.room.member", far_user(&f, "bob"),
			 far_json(&f, "{'membership':'leave'}"), (struct event *[]){ create, levels, child }, 3);
	list[0] = (struct outlier){ .event = late };
	good(store(w, &f, list, 1));
	assert_true(list[0].rejected && list[0].nid);
}
WORLD(the_rules_decide)

static void a_second_create_event_is_rejected(struct world *w)
{
	struct outlier list[8] = { 0 };
	struct far f;
	str room_id;

	room_id = make_room(w, who(w, "alice"), "{'room_version':'10'}");
	far_begin(&f, w->a, "10", "test");
	f.room_id = room_id;
	list[0].event = far_build(&f, far_user(&f, "eve"), "m.room.create", S(""),
				  far_json(&f, "{'room_version':'10','creator':'@eve:test'}"), NULL, 0);
	f.events.n = 0; /* no prev_events */
	list[0].event = far_build(&f, far_user(&f, "eve"), "m.room.create", S(""),
				  far_json(&f, "{'room_version':'10','creator':'@eve:test'}"), NULL, 0);
	good(outliers_store(w->rs, w->a, room_nid(w, room_id), f.rv, list, 1));
	assert_true(list[0].rejected);
}
WORLD(a_second_create_event_is_rejected)

static void what_stands_on_nothing_is_left_out(struct world *w)
{
	struct event *missing, *on_missing, *on_that, *create, *message;
	struct outlier list[4] = { 0 };
	struct far f;

	far_begin(&f, w->a, "10", "far");
	create = f.events.p[0];
	missing = f.events.p[1];
	on_missing = far_build(&f, far_user(&f, "admin"), "m.room.topic", S(""), far_json(&f, "{}"),
			       (struct event *[]){ create, missing }, 2);
	on_that = far_build(&f, far_user(&f, "admin"), "m.room.name", S(""), far_json(&f, "{}"),
			    (struct event *[]){ create, on_missing }, 2);
	message = far_build(&f, far_user(&f, "admin"), "m.room.message", STR_NONE, far_json(&f, "{}"),
			    (struct event *[]){ create }, 1);
	list[0].event = on_that;
	list[1].event = on_missing;
	list[2].event = create;
	list[3].event = message;
	good(store(w, &f, list, 4));
	assert_int_equal(list[0].nid, 0);
	assert_int_equal(list[1].nid, 0);
	assert_true(list[2].nid > 0);
	assert_int_equal(list[3].nid, 0);
	assert_null(event_row(w, on_missing->event_id));
	assert_null(event_row(w, message->event_id));
	/* What was missing comes: then they have a place. */
	list[2].event = missing;
	good(store(w, &f, list, 3));
	assert_true(list[0].nid > 0 && list[1].nid > 0 && list[2].nid > 0);
}
WORLD(what_stands_on_nothing_is_left_out)

/* v1: a server names its events as it likes, so that two can name each other, or an event itself. */
static void circles_are_left_out(struct world *w)
{
	static const char *const ids[] = { "$x:far", "$y:far", "$self:far" };
	struct outlier list[8] = { 0 };
	struct event *create, *ev[3];
	struct far f;

	far_begin(&f, w->a, "1", "far");
	create = f.events.p[0];
	for (size_t i = 0; i < 3; i++) {
		const str
			to = str_c(i == 2 ? ids[2] : ids[1 - i]),
			text = arena_printf(
				w->a,
				"{\"auth_events\":[[\"%.*s\",{\"sha256\":\"%043d\"}],[\"%.*s\",{\"sha256\":\"%043d\"}]],\"content\":{},"
				"\"depth\":3,\"event_id\":\"%s\",\"hashes\":{\"sha256\":\"%043d\"},\"origin_server_ts\":1,"
				"\"prev_events\":[],\"room_id\":\"%.*s\",\"sender\":\"@admin:far\",\"signatures\":{},"
				"\"state_key\":\"\",\"type\":\"m.room.topic\"}",
				STR_ARG(create->event_id), 0, STR_ARG(to), 0, ids[i], 0, STR_ARG(f.room_id));

		good(event_load(w->a, f.rv, str_c(ids[i]), text, &ev[i]));
		list[i].event = ev[i];
	}
	list[3].event = create;
	good(store(w, &f, list, 4));
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(list[i].nid, 0);
	assert_true(list[3].nid > 0);
}
WORLD(circles_are_left_out)

/* v1: another room has an event of that name. */
static void a_name_of_another_room_is_left_alone(struct world *w)
{
	struct outlier list[1] = { 0 };
	struct far f, g;
	struct event *taken;
	int64_t room;
	size_t n;

	far_begin(&f, w->a, "1", "far");
	good(store(w, &f, list_of(&f, &n), f.events.n));
	far_begin(&g, w->a, "1", "far");
	g.room_id = S("!other:far");
	g.events.n = 0;
	g.named = 0; /* "$far1:far" again */
	taken = far_build(&g, far_user(&g, "admin"), "m.room.create", S(""), far_json(&g, "{'creator':'@admin:far'}"),
			  NULL, 0);
	list[0].event = taken;
	good(store(w, &g, list, 1));
	assert_int_equal(list[0].nid, 0);
	good(store_intern(w->b->st, w->a, f.room_id, &room));
	assert_int_equal(event_row(w, taken->event_id)->room, room);
}
WORLD(a_name_of_another_room_is_left_alone)

/* Any statement may fail: then the call says so, and what is stored is whole: nothing names what is not there. */
static void a_failure_leaves_nothing_half(struct world *w)
{
	struct outlier *list;
	bool done = false;
	struct far f;
	int64_t room;
	size_t n;

	far_begin(&f, w->a, "10", "far");
	for (int i = 0; i < 40; i++)
		far_member(&f, arena_printf(w->a, "u%d", i).p, "join");
	list = list_of(&f, &n);
	assert_int_equal(rows_of(w, &f), 0);
	good(store_intern(w->b->st, w->a, f.room_id, &room));
	for (int64_t nth = 1; !done; nth += 7) {
		err *e;

		store_fault(w->b->st, FAULT_STATEMENT, nth);
		e = outliers_store(w->rs, w->a, room, f.rv, list, n);
		store_fault(w->b->st, FAULT_STATEMENT, 0);
		done = !e;
		for (size_t i = 0; i < n; i++) {
			const struct event_row *row = event_row(w, list[i].event->event_id);
			int64_t *auths;
			size_t n_auths = row ? store_nids_unpack(w->a, row->auths, &auths) : 0;

			for (size_t k = 0; k < n_auths; k++)
				assert_true(auths[k] > 0);
			for (size_t k = 0; row && k < list[i].event->n_auth_events; k++)
				assert_non_null(event_row(w, list[i].event->auth_events[k]));
		}
	}
	assert_int_equal(rows_of(w, &f), n);
}
WORLD(a_failure_leaves_nothing_half)

/* With a pool of threads, and more than one batch. */
static void many_on_all_cores(struct world *w)
{
	struct pool *pool = pool_new(2);
	struct outlier *list;
	struct far f;
	size_t n;

	((struct rooms_options *)rooms_options(w->rs))->pool = pool;
	far_begin(&f, w->a, "11", "far");
	for (int i = 0; i < 1500; i++)
		far_member(&f, arena_printf(w->a, "u%d", i).p, "join");
	for (int i = 0; i < 700; i++)
		far_member(&f, arena_printf(w->a, "u%d", i).p, "leave");
	list = list_of(&f, &n);
	good(store(w, &f, list, n));
	for (size_t i = 0; i < n; i++)
		assert_true(list[i].nid > 0 && !list[i].rejected);
	assert_int_equal(rows_of(w, &f), n);
	((struct rooms_options *)rooms_options(w->rs))->pool = NULL;
	pool_free(&pool);
}
WORLD(many_on_all_cores)

TEST_MAIN(WORLD_TESTS(stored_once), WORLD_TESTS(the_rules_decide), WORLD_TESTS(a_second_create_event_is_rejected),
	  WORLD_TESTS(what_stands_on_nothing_is_left_out), WORLD_TESTS(circles_are_left_out),
	  WORLD_TESTS(a_name_of_another_room_is_left_alone), WORLD_TESTS(a_failure_leaves_nothing_half),
	  WORLD_TESTS(many_on_all_cores))
