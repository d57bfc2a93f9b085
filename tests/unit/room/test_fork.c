/* test_fork.c - events with any prev_events: forks, resolution, soft failure, rejection; the flat tables follow. */
#include "flat.h"
#include "forge.h"

#include "room/view.h"

static void fork_and_meet(struct world *w, const char *version)
{
	const str id = open_room(w, version), base = say(w, who(w, "alice"), id, "base");
	struct forge f = forge_for(w, id, version);
	const struct event *one = forge(&f, "alice", "m.room.message", NULL, "{'body':'1'}", &base, 1),
			   *two = forge(&f, "bob", "m.room.message", NULL, "{'body':'2'}", &base, 1);
	int64_t *prevs;

	assert_int_equal(put(w, one), APPEND_ACCEPTED);
	assert_int_equal(put(w, two), APPEND_ACCEPTED);
	assert_int_equal(put(w, two), APPEND_KNOWN);
	assert_int_equal(n_extremities(w, id), 2);
	assert_int_equal(event_row(w, one->event_id)->root_after, event_row(w, two->event_id)->root_after);
	world_restart(w);
	const struct event_row *met = event_row(w, say(w, who(w, "alice"), id, "together"));
	assert_int_equal(store_nids_unpack(w->a, met->prevs, &prevs), 2);
	assert_int_equal(n_extremities(w, id), 1);
	ok(met->depth > two->depth, "deeper than both");
	check_flat(w, id);
}
static void messages_fork_and_meet(struct world *w)
{
	static const char *const versions[] = { "1", "2", "3", "6", "12" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		fork_and_meet(w, versions[i]);
}
WORLD(messages_fork_and_meet)

/* A branch that waits is read back with its state: what goes on beside it after a restart does not lose it. */
static void a_branch_keeps_its_state(struct world *w)
{
	static const char *const versions[] = { "1", "2", "3", "11", "12" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str id = open_room(w, versions[i]), base = say(w, who(w, "alice"), id, "base");
		struct forge f = forge_for(w, id, versions[i]);
		const struct event *topic = forge(&f, "mod", "m.room.topic", "", "{'topic':'T'}", &base, 1),
				   *beside = forge(&f, "bob", "m.room.message", NULL, "{'body':'1'}", &base, 1);

		assert_int_equal(put(w, topic), APPEND_ACCEPTED);
		assert_int_equal(put(w, beside), APPEND_ACCEPTED);
		world_restart(w);
		const struct event *on = forge(&f, "bob", "m.room.message", NULL, "{'body':'2'}", &beside->event_id, 1);
		assert_int_equal(put(w, on), APPEND_ACCEPTED);
		assert_int_equal(n_extremities(w, id), 2);
		ok(current(w, id, "m.room.topic", "") != NULL, "the topic of the other branch, version %s",
		   versions[i]);
		check_flat(w, id);
		say(w, who(w, "bob"), id, "goes on");
	}
}
WORLD(a_branch_keeps_its_state)

/* An event on `base` that is called as one likes. */
static struct event *forge_named(struct world *w, str room_id, const char *version, str base, str name)
{
	const struct room_version *rv = room_version_find(str_c(version));
	const str base_hash = hash_of(&(struct forge){ .w = w, .room_id = room_id, .rv = rv }, base);
	const struct event_fields fields = {
		.event_id = name,
		.room_id = room_id,
		.sender = S("@alice:test"),
		.type = S("m.room.message"),
		.content = js(w->a, "{}"),
		.origin_server_ts = 1,
		.depth = 9,
		.prev_events = &base,
		.prev_hashes = &base_hash,
		.n_prev_events = 1,
		.auth_hashes = &base_hash,
	};
	struct event *ev;

	good(event_build(w->a, rv, &fields, &w->opt.signer, &ev));
	return ev;
}

/* v1 and v2: a server calls its event what another one is called, in this room or in another. Nothing comes of it, and
 * nobody is held up. */
static void the_first_event_of_a_name_has_it(struct world *w)
{
	const str one = open_room(w, "1"), two = open_room(w, "2"), taken = say(w, who(w, "alice"), one, "base"),
		  base = say(w, who(w, "alice"), two, "base");
	const struct event_row *before = event_row(w, taken);
	enum append_outcome out;

	fails_with(rooms_append_event(w->rs, w->a, forge_named(w, two, "2", base, taken), &out), ERR_FORBIDDEN);
	same_str(event_row(w, taken)->json, before->json);
	say(w, who(w, "alice"), two, "goes on");
	say(w, who(w, "alice"), one, "goes on");
}
WORLD(the_first_event_of_a_name_has_it)

struct gate { /* keeps a writer from what is queued behind it */
	struct lock lock;
	struct cond cond;
	bool open;
};

static err *wait_at_gate(struct tx *tx, void *arg)
{
	struct gate *g = arg;

	(void)tx;
	LOCKED(&g->lock);
	while (!g->open)
		cond_wait(&g->cond, &g->lock);
	return NULL;
}

static err *queue_only(struct world *w, const struct event *ev, struct ticket **out_ticket)
{
	struct proposal p = { .type = ev->type, .state_key = STR_NONE, .sender = ev->sender };
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;
	enum append_outcome out;

	TRY(proposal_number(w->rs, w->a, &p));
	TRY(room_hold(w->rs, w->a, ev->room_id, &room));
	draft_begin(room, &d);
	TRY(draft_add_received(d, ev, &p, NULL, &out));
	return draft_queue(&d, out_ticket);
}

/* The same while the first one is on its way: only the second event is refused, and no commit fails for it. */
static void what_is_queued_has_its_name(struct world *w)
{
	const str one = open_room(w, "1"), two = open_room(w, "2"), base1 = say(w, who(w, "alice"), one, "base"),
		  base2 = say(w, who(w, "alice"), two, "base"), name = event_name(w->rs, w->a);
	const struct event *first = forge_named(w, one, "1", base1, name),
			   *second = forge_named(w, two, "2", base2, name);
	struct gate g = { .open = false };
	struct ticket *gate, *ticket;

	lock_init(&g.lock, RANK_LEAF);
	cond_init(&g.cond);
	good(proposal_number(
		w->rs, w->a,
		&(struct proposal){ .type = first->type, .state_key = STR_NONE, .sender = first->sender }));
	for (int failing = 1; failing >= 0; failing--) {
		struct ticket *none = NULL;

		g.open = false;
		good(store_write(w->b->st, w->a,
				 &(struct piece){ .run = wait_at_gate, .arg = &g, .shard = room_nid(w, one) }, &gate));
		good(queue_only(w, first, &ticket));
		fails_with(queue_only(w, second, &none), ERR_FORBIDDEN);
		lock_take(&g.lock);
		store_fault(w->b->st, FAULT_STATEMENT, failing); /* the gate has none, whichever batch it is in */
		g.open = true;
		cond_broadcast(&g.cond);
		lock_drop(&g.lock);
		(void)!store_wait(w->a, gate);
		ok((store_wait(w->a, ticket) != NULL) == (failing != 0), "the first one");
		say(w, who(w, "alice"), one, "goes on");
		say(w, who(w, "alice"), two, "goes on");
	}
	same_str(event_row(w, name)->json, first->bytes);
	fails_with(queue_only(w, second, &ticket), ERR_FORBIDDEN);
	lock_done(&g.lock);
	cond_done(&g.cond);
}
WORLD(what_is_queued_has_its_name)

/* Two topics on two branches, in either order of arrival: the same one wins everywhere. */
static void topics_are_resolved(struct world *w, const char *version)
{
	str first_winner = STR_NONE;

	for (int order = 0; order < 2; order++) {
		const str id = open_room(w, version), base = say(w, who(w, "alice"), id, "base");
		struct forge f = forge_for(w, id, version);
		const struct event *topics[] = { forge(&f, "mod", "m.room.topic", "", "{'topic':'older'}", &base, 1),
						 forge(&f, "alice", "m.room.topic", "", "{'topic':'newer'}", &base,
						       1) };
		struct summary_row s;
		str winner;

		assert_int_equal(put(w, topics[order]), APPEND_ACCEPTED);
		assert_int_equal(put(w, topics[1 - order]), APPEND_ACCEPTED);
		check_flat(w, id);
		winner = json_get_str(content_of(w, current(w, id, "m.room.topic", "")), S("topic"));
		same_str(winner, S("newer"));
		ok(order == 0 || str_eq(winner, first_winner), "the order of arrival decides nothing");
		first_winner = winner;
		AUTO_TX tx = NULL;
		good(store_read(w->b->st, w->a, &tx));
		good(store_summary_load(tx, room_nid(w, id), &s));
		same_str(s.topic, winner);
		/* What is sent now has both below it, and the resolved state before it. */
		say(w, who(w, "bob"), id, "after");
		assert_int_equal(n_extremities(w, id), 1);
		check_flat(w, id);
	}
}
static void topics_are_resolved_v1(struct world *w) { topics_are_resolved(w, "1"); }
WORLD(topics_are_resolved_v1)
static void topics_are_resolved_v2(struct world *w) { topics_are_resolved(w, "2"); }
WORLD(topics_are_resolved_v2)
static void topics_are_resolved_v11(struct world *w) { topics_are_resolved(w, "11"); }
WORLD(topics_are_resolved_v11)
static void topics_are_resolved_v12(struct world *w) { topics_are_resolved(w, "12"); }
WORLD(topics_are_resolved_v12)

/* A ban on one branch undoes what the banned one did meanwhile on the other. */
static void a_ban_wins(struct world *w, const char *version)
{
	for (int order = 0; order < 2; order++) {
		const str id = open_room(w, version), base = say(w, who(w, "alice"), id, "base");
		struct forge f = forge_for(w, id, version);
		const struct event *ban = forge(&f, "alice", "m.room.member", "@mod:test", "{'membership':'ban'}",
						&base, 1),
				   *topic = forge(&f, "mod", "m.room.topic", "", "{'topic':'mine'}", &base, 1);

		if (order == 0) {
			assert_int_equal(put(w, ban), APPEND_ACCEPTED);
			/* Allowed where it was made, not in the room as it is. */
			assert_int_equal(put(w, topic), APPEND_SOFT_FAILED);
			const struct event_row *row = event_row(w, topic->event_id);
			ok(row->flags & EVENT_SOFT_FAILED && !row->stream && !row->timeline, "kept, not shown");
			assert_int_equal(n_extremities(w, id), 1);
		} else {
			assert_int_equal(put(w, topic), APPEND_ACCEPTED);
			assert_int_equal(put(w, ban), APPEND_ACCEPTED);
			assert_int_equal(n_extremities(w, id), 2);
		}
		assert_int_equal(membership_now(w, id, "mod"), MEMBER_BAN);
		ok(!current(w, id, "m.room.topic", ""), "the topic went");
		check_flat(w, id);
		world_restart(w);
		fails_with(join(w, who(w, "mod"), id), ERR_FORBIDDEN);
		say(w, who(w, "bob"), id, "after");
		check_flat(w, id);
	}
}
static void a_ban_wins_v11(struct world *w) { a_ban_wins(w, "11"); }
WORLD(a_ban_wins_v11)
static void a_ban_wins_v12(struct world *w) { a_ban_wins(w, "12"); }
WORLD(a_ban_wins_v12)

static void members_of_both_branches_stay(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base");
	struct forge f = forge_for(w, id, "12");
	const struct event *carol = forge(&f, "carol", "m.room.member", "@carol:test",
					  "{'membership':'join','displayname':'C'}", &base, 1),
			   *dan = forge(&f, "dan", "m.room.member", "@dan:test", "{'membership':'join'}", &base, 1);

	assert_int_equal(put(w, carol), APPEND_ACCEPTED);
	assert_int_equal(put(w, dan), APPEND_ACCEPTED);
	assert_int_equal(membership_now(w, id, "carol"), MEMBER_JOIN);
	assert_int_equal(membership_now(w, id, "dan"), MEMBER_JOIN);
	same_str(membership_row(w, id, "carol")->displayname, S("C"));
	check_flat(w, id);
	say(w, who(w, "carol"), id, "hello");
	say(w, who(w, "dan"), id, "hello");
	check_flat(w, id);
}
WORLD(members_of_both_branches_stay)

static void who_is_not_in_is_rejected(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base"), nowhere = S("$nowhere");
	struct forge f = forge_for(w, id, "12");
	const struct event *ev = forge(&f, "eve", "m.room.topic", "", "{'topic':'x'}", &base, 1);
	enum append_outcome out;

	assert_int_equal(put(w, ev), APPEND_REJECTED);
	const struct event_row *row = event_row(w, ev->event_id);
	ok(row->flags & EVENT_REJECTED && !row->stream && !row->timeline, "kept, not shown");
	assert_int_equal(row->root_after, event_row(w, base)->root_after);
	/* What names it stands on the same state as if it were not there. */
	assert_int_equal(put(w, forge(&f, "bob", "m.room.message", NULL, "{}", &ev->event_id, 1)), APPEND_ACCEPTED);
	check_flat(w, id);
	fails_with(rooms_append_event(w->rs, w->a, forge(&f, "bob", "m.room.message", NULL, "{}", &nowhere, 1), &out),
		   ERR_NOT_FOUND);
}
WORLD(who_is_not_in_is_rejected)

/* The state lets bob speak. That he does not say by what is decided first, as on all other servers. */
static void what_its_auth_events_do_not_allow_is_rejected(struct world *w)
{
	static const char *const versions[] = { "3", "11", "12" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str id = open_room(w, versions[i]), base = say(w, who(w, "alice"), id, "base");
		const struct room_version *rv = room_version_find(str_c(versions[i]));
		const str all[] = { current(w, id, "m.room.power_levels", "")->event_id,
				    current(w, id, "m.room.member", "@bob:test")->event_id,
				    current(w, id, "m.room.create", "")->event_id };
		const size_t create = !rv->create_not_in_auth_events;
		struct event_fields fields = {
			.room_id = id,
			.sender = S("@bob:test"),
			.type = S("m.room.message"),
			.content = js(w->a, "{}"),
			.origin_server_ts = 1,
			.depth = 50,
			.prev_events = &base,
			.n_prev_events = 1,
			.auth_events = (const str[]){ all[0], all[2] },
			.n_auth_events = 1 + create,
		};
		struct event *ev;

		good(event_build(w->a, rv, &fields, &w->opt.signer, &ev));
		ok(put(w, ev) == APPEND_REJECTED, "v%s", versions[i]);
		fields.auth_events = all;
		fields.n_auth_events = 2 + create;
		good(event_build(w->a, rv, &fields, &w->opt.signer, &ev));
		ok(put(w, ev) == APPEND_ACCEPTED, "v%s", versions[i]);
		check_flat(w, id);
	}
}
WORLD(what_its_auth_events_do_not_allow_is_rejected)

/* More branches than an event of ours names: it names the newest five and the oldest five. */
static void many_branches(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base");
	struct forge f = forge_for(w, id, "12");
	int64_t *prevs;

	for (int i = 0; i < 25; i++)
		assert_int_equal(put(w, forge(&f, "bob", "m.room.message", NULL, "{}", &base, 1)), APPEND_ACCEPTED);
	assert_int_equal(n_extremities(w, id), 25);
	assert_int_equal(store_nids_unpack(w->a, event_row(w, say(w, who(w, "bob"), id, "x"))->prevs, &prevs), 10);
	assert_int_equal(n_extremities(w, id), 16);
	say(w, who(w, "bob"), id, "y");
	assert_int_equal(n_extremities(w, id), 7);
	say(w, who(w, "bob"), id, "z");
	assert_int_equal(n_extremities(w, id), 1);
}
WORLD(many_branches)

static bool is_seen(struct world *w, str room_id, str event_id)
{
	const struct event_row *row;
	struct room_view *v;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(room_view_open(w->rs, w->a, tx, room_id, who(w, "bob").user, S("@bob:test"), VIEW_JOINED, &v));
	return !room_view_event(v, event_id, &row);
}

/* One that touches nothing, for it names an event of another room, is shown to nobody; one that comes too late is. */
static void a_redaction_that_does_not_apply(struct world *w)
{
	const str id = open_room(w, "11"), other = open_room(w, "11"), base = say(w, who(w, "alice"), id, "base"),
		  there = say(w, who(w, "alice"), other, "there");
	struct forge f = forge_for(w, id, "11");
	const struct {
		str redacts;
		const char *by;
		bool seen;
	} cases[] = {
		{ there, "alice", false },
		{ base, "alice", true },
		{ base, "bob", true }, /* of the same server: who may not is of another */
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const str content = arena_printf(w->a, "{'redacts':'%.*s'}", STR_ARG(cases[i].redacts));
		const struct event *ev = forge(&f, cases[i].by, "m.room.redaction", NULL, content.p, &base, 1);

		assert_int_equal(put(w, ev), APPEND_ACCEPTED);
		ok(is_seen(w, id, ev->event_id) == cases[i].seen, "%zu", i);
	}
	ok(!event_row(w, there)->redacted_by, "the other room's is whole");
}
WORLD(a_redaction_that_does_not_apply)

/* v1: names are chosen, so that two redactions may name each other. The second comes to the first, and is shown so. */
static void two_that_redact_each_other(struct world *w)
{
	const str id = open_room(w, "1"), base = say(w, who(w, "alice"), id, "base"),
		  base_hash = hash_of(&(struct forge){ w, id, room_version_find(S("1")), 0, 0 }, base);
	const str names[] = { S("$one:test"), S("$two:test") };
	struct forge f = forge_for(w, id, "1");
	str auth[2] = { current(w, id, "m.room.create", "")->event_id,
			current(w, id, "m.room.member", "@bob:test")->event_id };
	const str auth_hashes[2] = { hash_of(&f, auth[0]), hash_of(&f, auth[1]) };

	for (size_t i = 0; i < 2; i++) {
		const struct event_fields fields = { .event_id = names[i],
						     .room_id = id,
						     .sender = S("@bob:test"),
						     .type = S("m.room.redaction"),
						     .redacts = names[1 - i],
						     .content = js(w->a, "{}"),
						     .depth = 9,
						     .prev_events = &base,
						     .prev_hashes = &base_hash,
						     .n_prev_events = 1,
						     .auth_events = auth,
						     .auth_hashes = auth_hashes,
						     .n_auth_events = 2 };
		struct event *ev;

		good(event_build(w->a, f.rv, &fields, &w->opt.signer, &ev));
		assert_int_equal(put(w, ev), APPEND_ACCEPTED);
	}
	ok(is_seen(w, id, names[0]) && is_seen(w, id, names[1]), "both are shown");
	assert_int_equal(event_row(w, names[1])->redacted_by, event_row(w, names[0])->nid);
	say(w, who(w, "bob"), id, "goes on");
}
WORLD(two_that_redact_each_other)

static void a_redaction_before_its_target(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base");
	struct forge f = forge_for(w, id, "12");
	const struct event *target = forge(&f, "bob", "m.room.message", NULL, "{'body':'bad words'}", &base, 1);
	const str content = arena_printf(w->a, "{'redacts':'%.*s'}", STR_ARG(target->event_id));
	const struct event *redaction = forge(&f, "alice", "m.room.redaction", NULL, content.p, &base, 1);

	assert_int_equal(put(w, redaction), APPEND_ACCEPTED);
	ok(event_row(w, redaction->event_id)->flags & EVENT_UNAPPLIED, "it redacts nothing yet");
	assert_int_equal(put(w, target), APPEND_ACCEPTED);
	ok(!(event_row(w, redaction->event_id)->flags & EVENT_UNAPPLIED), "now it does");
	ok(!str_contains(event_row(w, target->event_id)->json, S("bad words")), "stored redacted");
	assert_int_equal(event_row(w, target->event_id)->redacted_by, event_row(w, redaction->event_id)->nid);
}
WORLD(a_redaction_before_its_target)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(messages_fork_and_meet),
		WORLD_TESTS(a_branch_keeps_its_state),
		WORLD_TESTS(the_first_event_of_a_name_has_it),
		WORLD_TESTS(what_is_queued_has_its_name),
		WORLD_TESTS(topics_are_resolved_v1),
		WORLD_TESTS(topics_are_resolved_v2),
		WORLD_TESTS(topics_are_resolved_v11),
		WORLD_TESTS(topics_are_resolved_v12),
		WORLD_TESTS(a_ban_wins_v11),
		WORLD_TESTS(a_ban_wins_v12),
		WORLD_TESTS(members_of_both_branches_stay),
		WORLD_TESTS(who_is_not_in_is_rejected),
		WORLD_TESTS(what_its_auth_events_do_not_allow_is_rejected),
		WORLD_TESTS(many_branches),
		WORLD_TESTS(a_redaction_that_does_not_apply),
		WORLD_TESTS(two_that_redact_each_other),
		WORLD_TESTS(a_redaction_before_its_target),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
