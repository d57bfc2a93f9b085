/* test_purge.c - forgetting: what goes, what stays and still reads as it did, also when it is cut short, killed, or written to. */
#include "purge_check.h"

#include <sched.h>
#include <stdatomic.h>

static struct purge_outcome outcome(struct world *w, int64_t purge)
{
	struct purge_outcome o;

	good(rooms_purge_status(w->rs, w->a, purge, &o));
	return o;
}

static int64_t order(struct world *w, str room_id, str before, bool with_local)
{
	const struct purge_cmd cmd = { .room_id = room_id, .before_event = before, .with_local = with_local };
	int64_t purge;

	good(rooms_purge_history(w->rs, w->a, &cmd, &purge));
	return purge;
}

static void purge(struct world *w, str room_id, str before, bool with_local)
{
	const int64_t id = order(w, room_id, before, with_local);

	good(rooms_purge_run(w->rs, w->a, NULL, NULL));
	assert_int_equal(outcome(w, id).state, PURGE_IS_COMPLETE);
}

struct history {
	str room_id;
	str first_message, old_topic, newest_old_topic, old_name, horizon, last;
};

/* A room with a past: topics, names, members who came and went, messages; then the horizon; then the same again. */
static struct history make_history(struct world *w, int turns)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	struct history h = { .room_id = make_room(w, alice, "{'preset':'public_chat'}") };

	h.first_message = say(w, alice, h.room_id, "first");
	h.old_name = set_state(w, alice, h.room_id, "m.room.name", "", "{'name':'old'}");
	for (int half = 0; half < 2; half++) {
		for (int i = 0; i < turns; i++) {
			const str topic = arena_printf(w->a, "{'topic':'%d-%d'}", half, i);
			const str id = set_state(w, alice, h.room_id, "m.room.topic", "", topic.p);

			if (half == 0 && i == 0)
				h.old_topic = id;
			if (half == 0)
				h.newest_old_topic = id;
			good(join(w, bob, h.room_id));
			say(w, bob, h.room_id, "hello");
			good(member(w, room_leave, bob, h.room_id, NULL));
		}
		h.last = say(w, alice, h.room_id, "between");
		if (half == 0)
			h.horizon = h.last;
	}
	return h;
}

static bool stored(struct world *w, str event_id) { return event_row(w, event_id) != NULL; }

static bool in_timeline(struct world *w, str event_id)
{
	const struct event_row *row = event_row(w, event_id);

	return row && row->timeline;
}

static void the_past_is_gone_and_the_rest_stays(struct world *w)
{
	const struct history h = make_history(w, 12);
	const struct seen before = see_room(w, h.room_id);
	const int64_t nodes = counted(w, "SELECT sum(length(nodes)) FROM state_nodes WHERE room = $1", before.room);
	size_t left;

	purge(w, h.room_id, h.horizon, true);
	ok(!stored(w, h.first_message) && !stored(w, h.old_topic), "what nobody needs is deleted");
	ok(stored(w, h.newest_old_topic) && !in_timeline(w, h.newest_old_topic),
	   "the topic at the horizon belongs to states that stay");
	ok(stored(w, h.old_name) && !in_timeline(w, h.old_name), "the name is current");
	ok(in_timeline(w, h.horizon) && in_timeline(w, h.last), "the horizon stays");
	timeline_of(w, before.room, &left);
	same_str(timeline_of(w, before.room, &left)[0]->event_id, h.horizon);
	for (int again = 0; again < 2; again++) {
		check_states(&before);
		check_flat(w, h.room_id);
		check_no_leak(w, before.room);
		world_restart(w);
	}
	ok(counted(w, "SELECT sum(length(nodes)) FROM state_nodes WHERE room = $1", before.room) < nodes * 3 / 4,
	   "nodes take less space");
	ok(counted(w,
		   "SELECT count(*) FROM event_edges WHERE 0 <> $1 AND (prev NOT IN (SELECT nid FROM events) OR"
		   " event NOT IN (SELECT nid FROM events))",
		   before.room) == 0,
	   "no edge leads to nothing");
	/* The room goes on, and may be purged again: what the first purge had to keep goes, where it is not needed any more. */
	set_state(w, who(w, "alice"), h.room_id, "m.room.name", "", "{'name':'new'}");
	const str now = say(w, who(w, "alice"), h.room_id, "after");
	purge(w, h.room_id, now, true);
	ok(!stored(w, h.old_name), "a name that was current at the first purge goes in the second");
	check_states(&before);
	check_flat(w, h.room_id);
	check_no_leak(w, before.room);
	assert_int_equal(counted(w, "SELECT count(*) FROM room_roots WHERE room = $1", before.room), 1);
}
WORLD(the_past_is_gone_and_the_rest_stays)

/* "delete_local_events": what our users sent may be the only copy. */
static void local_messages_are_kept_aside(struct world *w)
{
	const struct history h = make_history(w, 2);
	const struct event_row *row;

	purge(w, h.room_id, h.horizon, false);
	row = event_row(w, h.first_message);
	ok(row && !row->timeline && !row->stream && (row->flags & EVENT_PURGED), "stored, and shown to nobody");
	check_no_leak(w, room_nid(w, h.room_id));
	purge(w, h.room_id, h.last, true);
	ok(!stored(w, h.first_message), "the next purge may take it");
}
WORLD(local_messages_are_kept_aside)

/* Whatever piece it is that was the last before the end of the process: what is shown is whole, and the next start ends it. */
static bool stop_after(void *left) { return (*(int *)left)-- <= 0; }

static void cut_short_anywhere(struct world *w)
{
	bool complete = false;

	for (int pieces = 1; !complete; pieces++) {
		const struct history h = make_history(w, 5);
		const struct seen before = see_room(w, h.room_id);
		const int64_t id = order(w, h.room_id, h.horizon, true);
		int left = pieces;

		good(rooms_purge_run(w->rs, w->a, stop_after, &left));
		complete = outcome(w, id).state == PURGE_IS_COMPLETE;
		world_restart(w);
		check_states(&before);
		check_flat(w, h.room_id);
		say(w, who(w, "alice"), h.room_id, "meanwhile");
		good(rooms_purge_run(w->rs, w->a, NULL, NULL));
		assert_int_equal(outcome(w, id).state, PURGE_IS_COMPLETE);
		check_states(&before);
		check_flat(w, h.room_id);
		check_no_leak(w, before.room);
		ok(!stored(w, h.old_topic) && stored(w, h.old_name), "the outcome is the same");
	}
}
WORLD(cut_short_anywhere)

/* A store that fails in the midst of it: later, it is done all the same. */
static void failing_statements_leave_it_ordered(struct world *w)
{
	for (int nth = 1; nth < 60; nth += 3) {
		const struct history h = make_history(w, 2);
		const struct seen before = see_room(w, h.room_id);
		const int64_t id = order(w, h.room_id, h.horizon, true);
		err *e;

		store_fault(w->b->st, FAULT_STATEMENT, nth);
		e = rooms_purge_run(w->rs, w->a, NULL, NULL);
		store_fault(w->b->st, FAULT_STATEMENT, 0);
		/* Once it is complete another order is looked for, which may be what failed. */
		if (e && outcome(w, id).state != PURGE_IS_COMPLETE)
			assert_int_equal(outcome(w, id).state, PURGE_IS_ACTIVE);
		check_states(&before);
		good(rooms_purge_run(w->rs, w->a, NULL, NULL));
		assert_int_equal(outcome(w, id).state, PURGE_IS_COMPLETE);
		check_states(&before);
		check_no_leak(w, before.room);
	}
}
WORLD(failing_statements_leave_it_ordered)

static void what_cannot_be_ordered(struct world *w)
{
	const struct history h = make_history(w, 1);
	const str other = make_room(w, who(w, "alice"), "{}");
	struct purge_cmd cmd = { .room_id = h.room_id, .before_event = S("$nothing") };
	struct purge_outcome o;
	int64_t id;

	fails_with(rooms_purge_history(w->rs, w->a, &cmd, &id), ERR_NOT_FOUND);
	cmd = (struct purge_cmd){ .room_id = other, .before_event = h.horizon };
	fails_with(rooms_purge_history(w->rs, w->a, &cmd, &id), ERR_NOT_FOUND);
	cmd = (struct purge_cmd){ .room_id = S("!none:test"), .before_event = h.horizon };
	fails_with(rooms_purge_history(w->rs, w->a, &cmd, &id), ERR_NOT_FOUND);
	cmd = (struct purge_cmd){ .room_id = h.room_id, .before_ts = INT64_MAX };
	fails_with(rooms_purge_history(w->rs, w->a, &cmd, &id), ERR_NOT_FOUND);
	fails_with(rooms_purge_status(w->rs, w->a, 12345, &o), ERR_NOT_FOUND);
	order(w, h.room_id, h.horizon, true);
	cmd = (struct purge_cmd){ .room_id = h.room_id, .before_event = h.horizon };
	fails_with(rooms_purge_history(w->rs, w->a, &cmd, &id), ERR_UNKNOWN);
	fails_with(rooms_purge(w->rs, w->a, h.room_id, true, &id), ERR_UNKNOWN);
	good(rooms_purge_run(w->rs, w->a, NULL, NULL));
	/* By time: nothing is as old. */
	cmd = (struct purge_cmd){ .room_id = h.room_id, .before_ts = 1 };
	good(rooms_purge_history(w->rs, w->a, &cmd, &id));
	good(rooms_purge_run(w->rs, w->a, NULL, NULL));
	ok(in_timeline(w, h.horizon), "an event younger than that goes");
	cmd = (struct purge_cmd){ .room_id = h.room_id, .before_event = h.old_name };
	fails_with(rooms_purge_history(w->rs, w->a, &cmd, &id), ERR_INVALID_PARAM);
	fails_with(rooms_purge(w->rs, w->a, h.room_id, false, &id), ERR_UNKNOWN); /* alice is in it */
}
WORLD(what_cannot_be_ordered)

static void a_whole_room(struct world *w)
{
	const struct history h = make_history(w, 8), other = make_history(w, 2);
	const struct seen of_other = see_room(w, other.room_id);
	const int64_t room = room_nid(w, h.room_id);
	str id;
	int64_t purge;
	int left = 2;

	good(member(w, room_invite, who(w, "alice"), h.room_id, "carol"));
	good(member(w, room_leave, who(w, "alice"), h.room_id, NULL));
	good(rooms_purge(w->rs, w->a, h.room_id, false, &purge));
	assert_int_equal(room_nid(w, h.room_id), 0);
	fails_with(try_send(w, w->a, who(w, "alice"), h.room_id, "m.room.message", NULL, "{'body':'x'}", NULL, &id),
		   ERR_FORBIDDEN);
	good(rooms_purge_run(w->rs, w->a, stop_after, &left));
	assert_int_equal(outcome(w, purge).state, PURGE_IS_ACTIVE);
	world_restart(w);
	assert_int_equal(room_nid(w, h.room_id), 0);
	good(rooms_purge_run(w->rs, w->a, NULL, NULL));
	assert_int_equal(outcome(w, purge).state, PURGE_IS_COMPLETE);
	check_nothing_left(w, room);
	check_states(&of_other);
	check_flat(w, other.room_id);
	say(w, who(w, "alice"), other.room_id, "on");
}
WORLD(a_whole_room)

/*
 * While others write
 */
struct writing {
	struct world *w;
	str room_id;
	int who;
	_Atomic bool *stop;
};

static void write_meanwhile(void *arg)
{
	const struct writing *x = arg;
	AUTO_ARENA a = arena_new();
	const struct actor by = { .device_id = S("D"), .user_id = arena_printf(a, "@w%d:test", x->who) };
	struct actor me = by;
	str id;

	good(store_intern(x->w->b->st, a, by.user_id, &me.user));
	for (int i = 0; !*x->stop; i++) {
		AUTO_ARENA b = arena_new();
		const struct member_cmd cmd = { .by = me, .room_id = x->room_id };

		good(room_join(x->w->rs, b, &cmd, &id));
		good(try_send(x->w, b, me, x->room_id, "m.room.message", NULL, "{'body':'x'}", NULL, &id));
		if (i % 3 == 0)
			good(room_leave(x->w->rs, b, &cmd));
	}
}

static void while_others_write(struct world *w)
{
	enum { WRITERS = 3, PURGES = 6 };
	struct history h = make_history(w, 10);
	struct thread *threads[WRITERS];
	struct writing x[WRITERS];
	_Atomic bool stop = false;
	struct seen before;

	for (int i = 0; i < WRITERS; i++) {
		x[i] = (struct writing){ w, h.room_id, i, &stop };
		threads[i] = thread_start("writer", write_meanwhile, &x[i]);
	}
	for (int i = 0; i < PURGES; i++) {
		const str horizon = say(w, who(w, "alice"), h.room_id, "horizon");

		for (int k = 0; k < 10; k++)
			say(w, who(w, "alice"), h.room_id, "more");
		before = see_room(w, h.room_id);
		purge(w, h.room_id, horizon, true);
		check_states(&before);
	}
	stop = true;
	for (int i = 0; i < WRITERS; i++)
		thread_join(&threads[i]);
	before = see_room(w, h.room_id);
	purge(w, h.room_id, say(w, who(w, "alice"), h.room_id, "last"), true);
	world_restart(w);
	check_states(&before);
	check_flat(w, h.room_id);
	check_no_leak(w, before.room);
}
WORLD(while_others_write)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(the_past_is_gone_and_the_rest_stays),
		WORLD_TESTS(local_messages_are_kept_aside),
		WORLD_TESTS(cut_short_anywhere),
		WORLD_TESTS(failing_statements_leave_it_ordered),
		WORLD_TESTS(what_cannot_be_ordered),
		WORLD_TESTS(a_whole_room),
		WORLD_TESTS(while_others_write),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
