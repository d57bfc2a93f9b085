/* test_receipt.c - receipts and read markers: what they may name, that they only move on, who is told. */
#include "notified.h"

#include "store/account_data.h"

struct pair {
	struct actor alice, bob;
	str room;
};

static struct pair pair(struct notified *t)
{
	struct pair p = { who(t->w, "alice"), who(t->w, "bob"), STR_NONE };

	p.room = make_room(t->w, p.alice, "{'preset':'public_chat'}");
	good(join(t->w, p.bob, p.room));
	return p;
}

/* The user's receipts in the room that `viewer` is shown. */
static size_t shown_to(struct notified *t, str room, struct actor viewer, int64_t above, struct receipt_row **out)
{
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(t->w->b->st, t->w->a, &tx));
	good(store_receipts_changed(tx, room_nid(t->w, room), viewer.user, above, INT64_MAX, out, &n));
	return n;
}

static void a_receipt_only_moves_on(struct notified *t)
{
	const struct pair p = pair(t);
	const str one = say(t->w, p.alice, p.room, "1"), two = say(t->w, p.alice, p.room, "2");
	struct receipt_row *rows;
	int64_t at;

	good(receipt(t, p.bob, p.room, two, RECEIPT_READ, STR_NONE));
	assert_int_equal(shown_to(t, p.room, p.alice, 0, &rows), 1);
	ok(rows[0].event == event_row(t->w, two)->nid && rows[0].upto == event_row(t->w, two)->stream, "event");
	at = rows[0].stream;
	good(receipt(t, p.bob, p.room, two, RECEIPT_READ, STR_NONE));
	good(receipt(t, p.bob, p.room, one, RECEIPT_READ, STR_NONE));
	assert_int_equal(shown_to(t, p.room, p.alice, 0, &rows), 1);
	ok(rows[0].stream == at, "told again");
}
NOTIFIED(a_receipt_only_moves_on)

/* "Each user_id, receipt_type, and categorisation (unthreaded, or thread_id) tuple" has one; private ones are their
 * owner's alone. */
static void each_kind_and_thread_has_its_own(struct notified *t)
{
	const struct pair p = pair(t);
	const str root = say(t->w, p.alice, p.room, "1"), inside = say_in_thread(t->w, p.alice, p.room, root);
	struct receipt_row *rows;

	good(receipt(t, p.bob, p.room, root, RECEIPT_READ, STR_NONE));
	good(receipt(t, p.bob, p.room, root, RECEIPT_READ, S("main")));
	good(receipt(t, p.bob, p.room, inside, RECEIPT_READ, root));
	good(receipt(t, p.bob, p.room, inside, RECEIPT_READ_PRIVATE, root));
	good(receipt(t, p.bob, p.room, inside, RECEIPT_READ_PRIVATE, STR_NONE));
	assert_int_equal(shown_to(t, p.room, p.alice, 0, &rows), 3);
	for (size_t i = 0; i < 3; i++)
		ok(rows[i].kind == RECEIPT_READ, "a private one is shown");
	assert_int_equal(shown_to(t, p.room, p.bob, 0, &rows), 5);
	for (size_t i = 1; i < 5; i++)
		ok(rows[i].stream > rows[i - 1].stream, "not in order");
	assert_int_equal(shown_to(t, p.room, p.bob, rows[3].stream, &rows), 1);
}
NOTIFIED(each_kind_and_thread_has_its_own)

static void what_is_named_must_be_there_and_in_the_thread(struct notified *t)
{
	const struct pair p = pair(t);
	const str root = say(t->w, p.alice, p.room, "1"), inside = say_in_thread(t->w, p.alice, p.room, root),
		  reaction = react(t->w, p.alice, p.room, inside), apart = say(t->w, p.alice, p.room, "2"),
		  lost = say_in_thread(t->w, p.alice, p.room, S("$nowhere"));
	const str elsewhere = say(t->w, p.alice, make_room(t->w, p.alice, "{}"), "x");
	const struct {
		const char *what;
		str event, thread;
		enum err_code want;
	} cases[] = {
		{ "no such event", S("$no"), STR_NONE, ERR_NOT_FOUND },
		{ "of another room", elsewhere, STR_NONE, ERR_NOT_FOUND },
		{ "main, of main", apart, S("main"), ERR_NONE },
		{ "main, of a thread", inside, S("main"), ERR_INVALID_PARAM },
		{ "main, of a thread, indirectly", reaction, S("main"), ERR_INVALID_PARAM },
		{ "a thread, indirectly", reaction, root, ERR_NONE },
		{ "the root in the main timeline", root, S("main"), ERR_NONE },
		{ "the root in its thread", root, root, ERR_NONE },
		{ "another thread", inside, apart, ERR_INVALID_PARAM },
		{ "an event of a thread as a thread", inside, inside, ERR_INVALID_PARAM },
		{ "main event, thread", apart, root, ERR_INVALID_PARAM },
		{ "no such thread", inside, S("$no"), ERR_INVALID_PARAM },
		{ "a root that is not there", lost, S("$nowhere"), ERR_INVALID_PARAM },
		{ "... is none", lost, S("main"), ERR_NONE },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const err *e = receipt(t, p.bob, p.room, cases[i].event, RECEIPT_READ, cases[i].thread);

		ok((e ? e->code : ERR_NONE) == cases[i].want, "%s: %s", cases[i].what, e ? e->msg.p : "good");
	}
	fails_with(receipt(t, who(t->w, "carol"), p.room, apart, RECEIPT_READ, STR_NONE), ERR_FORBIDDEN);
	fails_with(receipt(t, p.bob, S("!no:test"), apart, RECEIPT_READ, STR_NONE), ERR_FORBIDDEN);
	good(member(t->w, room_leave, p.bob, p.room, NULL));
	fails_with(receipt(t, p.bob, p.room, apart, RECEIPT_READ, STR_NONE), ERR_FORBIDDEN);
}
NOTIFIED(what_is_named_must_be_there_and_in_the_thread)

static void what_may_not_be_seen_is_not_there(struct notified *t)
{
	const struct actor alice = who(t->w, "alice"), bob = who(t->w, "bob");
	const str room = make_room(
		t->w, alice,
		"{'preset':'public_chat','initial_state':[{'type':'m.room.history_visibility','content':{'history_visibility':'joined'}}]}");
	const str before = say(t->w, alice, room, "x");

	good(join(t->w, bob, room));
	fails_with(receipt(t, bob, room, before, RECEIPT_READ, STR_NONE), ERR_NOT_FOUND);
	fails_with(room_fully_read(t->w->rs, t->w->a, &bob, room, before), ERR_NOT_FOUND);
}
NOTIFIED(what_may_not_be_seen_is_not_there)

static str marker(struct notified *t, struct actor by, str room, int64_t *out_stream)
{
	struct account_data_row *row;
	AUTO_TX tx = NULL;

	good(store_read(t->w->b->st, t->w->a, &tx));
	good(store_account_data(tx, by.user, room_nid(t->w, room), S("m.fully_read"), &row));
	*out_stream = row ? row->stream : 0;
	return row ? row->content : STR_NONE;
}

static void a_marker_only_moves_on(struct notified *t)
{
	const struct pair p = pair(t);
	const str one = say(t->w, p.alice, p.room, "1"), two = say(t->w, p.alice, p.room, "2");
	struct bus_known known;
	int64_t at, again;

	ok(bus_watch_begin(t->w->bus, p.bob.user), "watched already");
	bus_watch_rooms(t->w->bus, p.bob.user, bus_position(t->w->bus), NULL, 0);
	same_str(marker(t, p.bob, p.room, &at), STR_NONE);
	good(room_fully_read(t->w->rs, t->w->a, &p.bob, p.room, two));
	same_str(marker(t, p.bob, p.room, &at), arena_printf(t->w->a, "{\"event_id\":\"%.*s\"}", STR_ARG(two)));
	assert_true(bus_known(t->w->bus, p.bob.user, &known));
	ok(known.last[BUS_ROOM_DATA] == at, "the user's devices are not told");
	good(room_fully_read(t->w->rs, t->w->a, &p.bob, p.room, one));
	good(room_fully_read(t->w->rs, t->w->a, &p.bob, p.room, two));
	same_str(marker(t, p.bob, p.room, &again), arena_printf(t->w->a, "{\"event_id\":\"%.*s\"}", STR_ARG(two)));
	ok(again == at, "told again");
	fails_with(room_fully_read(t->w->rs, t->w->a, &p.bob, p.room, S("$no")), ERR_NOT_FOUND);
	/* Whatever stands there that names no event of the room gives way. */
	good(user_account_data_set(t->us, t->w->a, p.bob.user, room_nid(t->w, p.room), S("m.fully_read"),
				   S("{\"event_id\":[]}")));
	good(room_fully_read(t->w->rs, t->w->a, &p.bob, p.room, one));
	same_str(marker(t, p.bob, p.room, &at), arena_printf(t->w->a, "{\"event_id\":\"%.*s\"}", STR_ARG(one)));
}
NOTIFIED(a_marker_only_moves_on)

/* Each device marks its own event, all at once: the furthest stays. */
struct device {
	struct notified *t;
	const struct pair *p;
	str event;
	bool wrong;
};
static void device_main(void *arg)
{
	struct device *d = arg;
	AUTO_ARENA a = arena_new();
	const struct receipt_cmd cmd = { .by = d->p->bob,
					 .room_id = d->p->room,
					 .event_id = d->event,
					 .kind = RECEIPT_READ,
					 .thread_id = STR_NONE };

	d->wrong =
		room_fully_read(d->t->w->rs, a, &d->p->bob, d->p->room, d->event) || room_receipt(d->t->w->rs, a, &cmd);
}

static void the_furthest_of_many_devices_stays(struct notified *t)
{
	const struct pair p = pair(t);
	struct thread *threads[16];
	struct receipt_row *rows;
	struct device d[16];
	int64_t at;

	for (size_t i = 0; i < 16; i++)
		d[i] = (struct device){ t, &p, say(t->w, p.alice, p.room, "x"), false };
	for (size_t i = 0; i < 16; i++)
		threads[i] = thread_start("device", device_main, &d[i * 7 % 16]);
	for (size_t i = 0; i < 16; i++)
		thread_join(&threads[i]);
	for (size_t i = 0; i < 16; i++)
		ok(!d[i].wrong, "device %d", (int)i);
	same_str(marker(t, p.bob, p.room, &at), arena_printf(t->w->a, "{\"event_id\":\"%.*s\"}", STR_ARG(d[15].event)));
	assert_int_equal(shown_to(t, p.room, p.bob, 0, &rows), 1);
	ok(rows[0].event == event_row(t->w, d[15].event)->nid, "the receipt went back");
}
NOTIFIED(the_furthest_of_many_devices_stays)

/* What another server tells: of its own users, where they are, of what is here; one that is wrong harms no other. */
static void a_server_speaks_for_its_own(struct notified *t)
{
	struct world *w = t->w;
	const struct pair p = pair(t);
	const str one = say(w, p.alice, p.room, "1"), root = say(w, p.alice, p.room, "2"),
		  inside = say_in_thread(w, p.alice, p.room, root), elsewhere = make_room(w, p.alice, "{}"),
		  there = say(w, p.alice, elsewhere, "x"), bob = p.bob.user_id;
	const struct received_receipt list[] = {
		{ p.room, S("@bob:other"), one, STR_NONE, 1 }, { p.room, S("@nobody:test"), one, STR_NONE, 2 },
		{ p.room, S("bob"), one, STR_NONE, 3 },        { p.room, bob, S("$nothing"), STR_NONE, 4 },
		{ p.room, bob, there, STR_NONE, 5 },           { elsewhere, bob, there, STR_NONE, 6 },
		{ S("!nowhere:test"), bob, one, STR_NONE, 7 }, { p.room, bob, one, S("$nothing"), 8 },
		{ p.room, bob, one, STR_NONE, 1234 },          { p.room, bob, inside, root, 0 },
	};
	struct receipt_row *rows;
	size_t left_out;

	good(room_receipts_received(w->rs, w->a, S("test"), list, ARRAY_LEN(list), &left_out));
	assert_int_equal(left_out, ARRAY_LEN(list) - 2);
	assert_int_equal(shown_to(t, p.room, p.alice, 0, &rows), 2);
	assert_int_equal(rows[0].event, event_row(w, one)->nid);
	assert_int_equal(rows[0].ts, 1234);
	assert_int_equal(rows[1].thread, event_row(w, root)->nid);
	ok(rows[1].ts > 1234, "it came now");
	assert_int_equal(shown_to(t, elsewhere, p.alice, 0, &rows), 0);
	/* Back it does not go, nor on where the server is shut out. */
	good(room_receipts_received(w->rs, w->a, S("test"), &list[8], 1, &left_out));
	set_state(w, p.alice, p.room, "m.room.server_acl", "", "{'allow':['*'],'deny':['test']}");
	const struct received_receipt on = { p.room, bob, inside, STR_NONE, 5 };
	good(room_receipts_received(w->rs, w->a, S("test"), &on, 1, &left_out));
	assert_int_equal(left_out, 1);
	assert_int_equal(shown_to(t, p.room, p.alice, 0, &rows), 2);
	assert_int_equal(rows[0].event, event_row(w, one)->nid);
	good(room_receipts_received(w->rs, w->a, S("test"), NULL, 0, &left_out));
	/* The store's own failure is no fault of theirs. */
	set_state(w, p.alice, p.room, "m.room.server_acl", "", "{'allow':['*']}");
	store_fault(w->b->st, FAULT_COMMIT, 1);
	fails_with(room_receipts_received(w->rs, w->a, S("test"), &on, 1, &left_out), ERR_STORE);
}
NOTIFIED(a_server_speaks_for_its_own)

TEST_MAIN(NOTIFIED_TESTS(a_receipt_only_moves_on), NOTIFIED_TESTS(each_kind_and_thread_has_its_own),
	  NOTIFIED_TESTS(what_is_named_must_be_there_and_in_the_thread),
	  NOTIFIED_TESTS(what_may_not_be_seen_is_not_there), NOTIFIED_TESTS(a_marker_only_moves_on),
	  NOTIFIED_TESTS(the_furthest_of_many_devices_stays), NOTIFIED_TESTS(a_server_speaks_for_its_own))
