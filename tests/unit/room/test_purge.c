/* test_purge.c - forgetting: what goes, what stays and still reads as it did, also when it is cut short, killed, or
 * written to. */
#include "purge_check.h"

#include <sched.h>
#include <stdatomic.h>

#include "room/timeline.h"

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
	/* The room goes on, and may be purged again: what the first purge had to keep goes, where it is not needed any
	 * more. */
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

/* Whatever piece it is that was the last before the end of the process: what is shown is whole, and the next start ends
 * it. */
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
	/* At most so often: writers that are faster than the purger would keep it at work for ever. */
	for (int i = 0; !*x->stop && i < 300; i++) {
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

/*
 * What refers to what
 */
static str redact(struct world *w, struct actor by, str room_id, str event_id)
{
	const struct send_cmd cmd = {
		.by = by,
		.room_id = room_id,
		.type = S("m.room.redaction"),
		.content = js(w->a, "{}"),
		.redacts = event_id,
	};
	str id;

	good(room_send(w->rs, w->a, &cmd, &id));
	return id;
}

/* Clients know a redacted event by its redaction alone. */
static void a_redaction_stays_with_what_it_emptied(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}"), said = say(w, alice, id, "said"),
		  name = set_state(w, alice, id, "m.room.name", "", "{'name':'bad'}"),
		  of_name = redact(w, alice, id, name), of_said = redact(w, alice, id, said),
		  horizon = say(w, alice, id, "horizon");
	const struct event_row *row;

	purge(w, id, horizon, true);
	row = event_row(w, of_name);
	ok(row && !row->timeline && event_row(w, name)->redacted_by == row->nid, "the name's redaction is not there");
	ok(!stored(w, of_said) && !stored(w, said), "a message and its redaction stay");
	set_state(w, alice, id, "m.room.name", "", "{'name':'good'}");
	purge(w, id, say(w, alice, id, "later"), true);
	ok(!stored(w, name) && !stored(w, of_name), "nobody needs them any more");
}
WORLD(a_redaction_stays_with_what_it_emptied)

/* An event as another server might send it, on one event of the room. */
static str event_upon(struct world *w, struct actor by, str room_id, str prev, int64_t n, const char *type,
		      const char *key)
{
	const str auth[] = { current(w, room_id, "m.room.create", "")->event_id,
			     current(w, room_id, "m.room.power_levels", "")->event_id,
			     current(w, room_id, "m.room.member", arena_cstr(w->a, by.user_id))->event_id };
	const struct room_version *rv = room_version_find(S("11"));
	const struct event_fields fields = {
		.room_id = room_id,
		.sender = by.user_id,
		.type = str_c(type),
		.state_key = str_c(key),
		.content = js(w->a, "{'body':'x'}"),
		.origin_server_ts = n,
		.depth = 50 + n,
		.prev_events = &prev,
		.n_prev_events = 1,
		.auth_events = auth,
		.n_auth_events = ARRAY_LEN(auth),
	};
	enum append_outcome what;
	struct event *ev;

	good(event_build(w->a, rv, &fields, &w->opt.signer, &ev));
	good(rooms_append_event(w->rs, w->a, ev, &what));
	assert_int_equal(what, APPEND_ACCEPTED);
	return ev->event_id;
}

static str message_upon(struct world *w, struct actor by, str room_id, str prev, int64_t n)
{
	return event_upon(w, by, room_id, prev, n, "m.room.message", NULL);
}

/* What two extremities make the current state is after no event: the journal alone names it, for tokens of that time.
 */
static void states_of_the_journal_stay(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{'room_version':'11'}");
	str base, one, two;
	int64_t room, stream;

	set_state(w, alice, id, "m.room.topic", "", "{'topic':'old'}");
	base = say(w, alice, id, "base");
	one = event_upon(w, alice, id, base, 1, "org.one", "");
	two = event_upon(w, alice, id, base, 2, "org.two", "");
	event_upon(w, alice, id, two, 3, "org.three", "");
	say(w, alice, id, "met");
	set_state(w, alice, id, "m.room.topic", "", "{'topic':'new'}");
	room = room_nid(w, id);
	stream = event_row(w, two)->stream;
	for (int again = 0; again < 2; again++) {
		struct state_root then;
		AUTO_TX tx = NULL;

		good(store_read(w->b->st, w->a, &tx));
		good(store_room_root_at(tx, room, stream, &then));
		ok(then.node != event_row(w, one)->root_after && then.node != event_row(w, two)->root_after,
		   "the state is that after an event");
		store_read_end(&tx);
		if (!again)
			purge(w, id, base, true);
		world_restart(w);
		check_no_leak(w, room);
	}
}
WORLD(states_of_the_journal_stay)

/* A piece that stays in the writer until it may go on, and fails then. */
struct failing {
	_Atomic bool go_on;
};

static err *wait_and_fail(struct tx *tx, void *arg)
{
	struct failing *f = arg;

	while (!f->go_on)
		sched_yield();
	return err_new(tx_arena(tx), ERR_INTERNAL, "as the test wants it");
}

static void run_purges(void *world)
{
	AUTO_ARENA a = arena_new();

	good(rooms_purge_run(((struct world *)world)->rs, a, NULL, NULL));
}

/* The ticket is to be waited for. */
static struct ticket *queue_failing(struct world *w, struct actor by, str room_id, struct failing *f, struct room **out)
{
	struct proposal p = {
		.type = S("m.room.message"),
		.state_key = STR_NONE,
		.sender = by.user_id,
		.content = js(w->a, "{'body':'never'}"),
		.ts = 1,
	};
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;
	const struct event *ev;
	struct ticket *t;

	good(proposal_number(w->rs, w->a, &p));
	good(room_hold(w->rs, w->a, room_id, &room));
	draft_begin(room, &d);
	good(draft_add(d, &p, &ev));
	d->job->extra = wait_and_fail;
	d->job->extra_arg = f;
	good(draft_queue(&d, &t));
	*out = room;
	return t;
}

static bool is_being_purged(struct room *room)
{
	LOCKED(&room->lock);
	return room->purge != NULL;
}

/* An event that is queued when a purge begins has older extremities as its prev_events, and then fails: the room goes
 * on from those. */
static void extremities_of_what_fails_stay(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{'room_version':'11'}"), base = say(w, alice, id, "base"),
		  aside = message_upon(w, alice, id, base, 1), gone = message_upon(w, alice, id, base, 2),
		  last = message_upon(w, alice, id, gone, 3);
	struct failing f = { false };
	struct ticket *ticket;
	struct thread *purger;
	struct room *room;

	order(w, id, last, true);
	ticket = queue_failing(w, alice, id, &f, &room);
	purger = thread_start("purger", run_purges, w);
	while (!is_being_purged(room))
		sched_yield();
	f.go_on = true;
	ok(store_wait(w->a, ticket) != NULL, "it was to fail");
	thread_join(&purger);
	ok(in_timeline(w, aside), "an extremity went");
	ok(!stored(w, gone) && in_timeline(w, last), "the rest is as ordered");
	world_restart(w);
	const struct event_row *next = event_row(w, say(w, alice, id, "on"));
	assert_int_equal(next->prevs.n, 2 * sizeof(int64_t));
	check_no_leak(w, room_nid(w, id));
}
WORLD(extremities_of_what_fails_stay)

/*
 * Readers
 */
static enum err_code page(struct world *w, struct actor by, str room_id, str from, bool backwards, size_t *out_n)
{
	const struct client_view view = { .user = by.user, .user_id = by.user_id, .device_id = by.device_id, .now = 5 };
	const struct messages_cmd cmd = {
		.room_id = room_id, .from = from, .to = STR_NONE, .backwards = backwards, .limit = 100, .view = &view
	};
	AUTO_BUF b = BUF_INIT(16 << 20);
	struct jw jw = jw_to(&b);
	struct json *j;
	err *e;

	jw_object(&jw, NULL);
	e = room_messages(w->rs, w->a, &cmd, &jw);
	jw_end(&jw);
	*out_n = 0;
	if (e)
		return e->code;
	good(json_parse(w->a, arena_keep(w->a, buf_str(&b)), &json_limits_request, &j));
	*out_n = json_get_array(j, S("chunk"))->array.n;
	return ERR_NONE;
}

static err *get_event(struct world *w, struct actor by, str room_id, str event_id)
{
	const struct client_view view = { .user = by.user, .user_id = by.user_id, .device_id = by.device_id, .now = 5 };
	AUTO_BUF b = BUF_INIT(16 << 20);
	struct jw jw = jw_to(&b);

	return room_event_get(w->rs, w->a, room_id, event_id, &view, &jw);
}

/* A client that scrolls back comes to where the room begins now; what is kept for others' sake is shown to nobody. */
static void places_in_the_past_are_before_what_is_left(struct world *w)
{
	const struct history h = make_history(w, 2);
	const struct actor alice = who(w, "alice");
	const int64_t deleted = event_row(w, h.first_message)->nid, kept = event_row(w, h.old_name)->nid;
	const str other = make_room(w, alice, "{}"), theirs = say(w, alice, other, "x");
	size_t n, left;

	purge(w, h.room_id, h.horizon, true);
	timeline_of(w, room_nid(w, h.room_id), &left);
	for (int after = 0; after < 2; after++) {
		const int64_t of[] = { deleted, kept };

		for (size_t i = 0; i < ARRAY_LEN(of); i++) {
			const str token = timeline_token(w->a, of[i], after);

			assert_int_equal(page(w, alice, h.room_id, token, true, &n), ERR_NONE);
			assert_int_equal(n, 0);
			assert_int_equal(page(w, alice, h.room_id, token, false, &n), ERR_NONE);
			assert_int_equal(n, left);
		}
	}
	assert_int_equal(page(w, alice, h.room_id, timeline_token(w->a, event_row(w, theirs)->nid, true), true, &n),
			 ERR_INVALID_PARAM);
	fails_with(get_event(w, alice, h.room_id, h.first_message), ERR_NOT_FOUND);
	fails_with(get_event(w, alice, h.room_id, h.old_name), ERR_NOT_FOUND);
	good(get_event(w, alice, h.room_id, h.horizon));
}
WORLD(places_in_the_past_are_before_what_is_left)

/*
 * Pieces
 */
struct filling {
	int64_t room, nids, n;
};

/* Old messages by the thousand; no more than rows, which is all that a purge asks of what goes. */
static err *fill(struct tx *tx, void *arg)
{
	const struct filling *f = arg;

	for (int64_t i = 0; i < f->n; i++) {
		const struct event_row ev = {
			.nid = f->nids + i,
			.room = f->room,
			.type = 1,
			.sender = 1,
			.timeline = i - 1000000,
			.event_id = arena_printf(tx_arena(tx), "$%" PRId64 "-%" PRId64, f->room, i),
			.json = S("{}"),
			.txn_device = STR_NONE,
			.txn_id = STR_NONE,
			.prevs = S(""),
			.auths = S(""),
		};

		TRY(store_event_insert(tx, &ev));
	}
	return NULL;
}

static void fill_room(struct world *w, str room_id, int64_t n)
{
	struct filling f = { .room = room_nid(w, room_id), .n = n };

	good(store_next_id(w->b->st, w->a, SEQ_EVENT, (size_t)n, &f.nids));
	good(store_do(w->b->st, w->a, fill, &f));
}

struct watching {
	struct world *w;
	int64_t room, rows, pieces;
};

static int64_t rows_of(struct world *w, int64_t room)
{
	static const char sql[] = "SELECT (SELECT count(*) FROM events WHERE room = $1) +"
				  " (SELECT count(*) FROM state_nodes WHERE room = $1) +"
				  " (SELECT count(*) FROM room_roots WHERE room = $1) +"
				  " (SELECT count(*) FROM current_state WHERE room = $1) +"
				  " (SELECT count(*) FROM membership WHERE room = $1)";

	return counted(w, sql, room);
}

static bool watch_piece(void *arg)
{
	struct watching *x = arg;
	const int64_t rows = rows_of(x->w, x->room);

	ok(x->rows - rows <= 1000, "a piece took %d rows", (int)(x->rows - rows));
	x->pieces += rows != x->rows;
	x->rows = rows;
	return false;
}

/* The writer is held by a piece for as long as it takes: that is by so many rows. */
static void a_piece_is_bounded(struct world *w)
{
	for (int whole = 0; whole < 2; whole++) {
		const struct history h = make_history(w, 2);
		struct watching x = { .w = w, .room = room_nid(w, h.room_id) };
		int64_t id;

		fill_room(w, h.room_id, 5000);
		x.rows = rows_of(w, x.room);
		if (whole)
			good(rooms_purge(w->rs, w->a, h.room_id, true, &id));
		else
			id = order(w, h.room_id, h.horizon, true);
		good(rooms_purge_run(w->rs, w->a, watch_piece, &x));
		assert_int_equal(outcome(w, id).state, PURGE_IS_COMPLETE);
		ok(x.pieces >= 6, "all went in %d pieces", (int)x.pieces);
	}
}
WORLD(a_piece_is_bounded)

/*
 * kill -9
 */
static bool tell_piece(void *fd)
{
	if (write(*(int *)fd, "x", 1) != 1)
		_exit(4);
	return false;
}

/* In the child: what is ordered is carried out, and each piece told, until it is killed. */
static void child_purges(struct both *b, int out)
{
	static struct world w;

	both_open(b);
	world_begin(&w, b);
	good(rooms_purge_run(w.rs, w.a, tell_piece, &out));
	close(out);
	for (;;)
		pause();
}

static void kill_after(struct both *b, int pieces)
{
	int fds[2], status;
	pid_t child;
	char c;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(fds[0]);
		child_purges(b, fds[1]);
	}
	close(fds[1]);
	for (int i = 0; i < pieces && read(fds[0], &c, 1) == 1; i++)
		;
	kill(child, SIGKILL);
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended by itself: %d", status);
}

/* Of two rooms with a purge each, one of all of it, wherever it was: the next start ends both, and nothing is left
 * over. */
static void killed_at_any_time(struct world *w)
{
	for (int pieces = 1; pieces < 26; pieces += 3) {
		const struct history h = make_history(w, 4), gone = make_history(w, 4);
		const struct seen before = see_room(w, h.room_id);
		const int64_t gone_nid = room_nid(w, gone.room_id);
		int64_t of_gone, of_h;

		fill_room(w, gone.room_id, 300);
		good(rooms_purge(w->rs, w->a, gone.room_id, true, &of_gone));
		of_h = order(w, h.room_id, h.horizon, true);
		world_end(w); /* no thread may be there while forking */
		kill_after(w->b, pieces);
		both_open(w->b);
		world_open(w);
		check_states(&before);
		check_flat(w, h.room_id);
		assert_int_equal(room_nid(w, gone.room_id), 0);
		say(w, who(w, "alice"), h.room_id, "meanwhile");
		good(rooms_purge_run(w->rs, w->a, NULL, NULL));
		assert_int_equal(outcome(w, of_gone).state, PURGE_IS_COMPLETE);
		assert_int_equal(outcome(w, of_h).state, PURGE_IS_COMPLETE);
		check_nothing_left(w, gone_nid);
		check_states(&before);
		check_no_leak(w, before.room);
		ok(!stored(w, h.old_topic) && stored(w, h.old_name), "the outcome is the same");
	}
}
WORLD(killed_at_any_time)

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
		WORLD_TESTS(a_redaction_stays_with_what_it_emptied),
		WORLD_TESTS(states_of_the_journal_stay),
		WORLD_TESTS(extremities_of_what_fails_stay),
		WORLD_TESTS(places_in_the_past_are_before_what_is_left),
		WORLD_TESTS(a_piece_is_bounded),
		WORLD_TESTS(killed_at_any_time),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
