/* test_receive_batch.c - many received events in one call: their order, and that one of them harms no other. */
#include "flat.h"
#include "forge.h"

#include "room/receive/received.h"
#include "store/inbound.h"

enum { CHAIN = 40 };

struct chain {
	struct received_event list[CHAIN];
	const struct event *made[CHAIN];
};

/* Events that follow on each other, from `base` on; every third one is bob's topic. */
static void make_chain(struct forge *f, str base, struct chain *c)
{
	str prev = base;

	*c = (struct chain){ 0 };
	for (size_t i = 0; i < CHAIN; i++) {
		const char *content = arena_printf(f->w->a, "{'body':'%zu','topic':'%zu'}", i, i).p;
		const bool state = i % 3 == 2;

		c->made[i] = forge(f, state ? "mod" : "bob", state ? "m.room.topic" : "m.room.message",
				   state ? "" : NULL, content, &prev, 1);
		c->list[i].event = c->made[i];
		prev = c->made[i]->event_id;
	}
}

static void reverse(struct chain *c)
{
	for (size_t i = 0; i < CHAIN / 2; i++) {
		const struct received_event x = c->list[i];

		c->list[i] = c->list[CHAIN - 1 - i];
		c->list[CHAIN - 1 - i] = x;
	}
}

static void all_accepted(const struct chain *c)
{
	for (size_t i = 0; i < CHAIN; i++) {
		good(c->list[i].error);
		assert_int_equal(c->list[i].outcome, APPEND_ACCEPTED);
	}
}

static void ancestors_come_first(struct world *w)
{
	static const char *const versions[] = { "3", "10", "12" };

	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		const str id = open_room(w, versions[v]), base = say(w, who(w, "alice"), id, "base");
		struct forge f = forge_for(w, id, versions[v]);
		int64_t stream = 0, timeline = 0;
		struct chain c;

		make_chain(&f, base, &c);
		reverse(&c);
		good(rooms_append_events(w->rs, w->a, id, c.list, CHAIN));
		all_accepted(&c);
		for (size_t i = 0; i < CHAIN; i++) {
			const struct event_row *row = event_row(w, c.made[i]->event_id);

			ok(row->stream > stream && row->timeline > timeline, "v%s: %zu after the one before",
			   versions[v], i);
			stream = row->stream;
			timeline = row->timeline;
		}
		assert_int_equal(n_extremities(w, id), 1);
		check_flat(w, id);
		for (size_t i = 0; i < CHAIN; i++)
			c.list[i] = (struct received_event){ .event = c.made[i] };
		good(rooms_append_events(w->rs, w->a, id, c.list, CHAIN));
		for (size_t i = 0; i < CHAIN; i++)
			assert_int_equal(c.list[i].outcome, APPEND_KNOWN);
		say(w, who(w, "bob"), id, "goes on");
	}
}
WORLD(ancestors_come_first)

/* Statements of the caller and its piece: what one event of a long batch costs. */
static void a_batch_is_cheap(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base");
	struct forge f = forge_for(w, id, "12");
	uint64_t statements, commits;
	struct chain c;

	make_chain(&f, base, &c);
	good(rooms_append_events(w->rs, w->a, id, c.list, 1)); /* the head is in memory now */
	all_accepted(&(struct chain){ .list = { c.list[0] } });
	statements = store_statements_here();
	commits = store_commits_here();
	good(rooms_append_events(w->rs, w->a, id, c.list + 1, 1));
	ok(store_statements_here() - statements <= 6, "%d statements for one",
	   (int)(store_statements_here() - statements));
	statements = store_statements_here();
	good(rooms_append_events(w->rs, w->a, id, c.list + 2, CHAIN - 2));
	all_accepted(&c);
	assert_int_equal(store_commits_here() - commits, 2);
	/* Each has its row; a topic beside it its state, the summary and the journal. */
	ok(store_statements_here() - statements <= 10 + 1 * (CHAIN - 2) + 6 * CHAIN / 3, "%d statements",
	   (int)(store_statements_here() - statements));
}
WORLD(a_batch_is_cheap)

static void what_is_missing_holds_up_its_own_alone(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base");
	const str nowhere[] = { S("$nowhere"), base, S("$neither") };
	struct forge f = forge_for(w, id, "12");
	const struct event *lost = forge(&f, "bob", "m.room.message", NULL, "{'body':'lost'}", nowhere, 3),
			   *after = forge(&f, "bob", "m.room.message", NULL, "{'body':'after'}", &lost->event_id, 1),
			   *beside = forge(&f, "bob", "m.room.message", NULL, "{'body':'beside'}", &base, 1);
	struct received_event list[] = { { .event = after }, { .event = lost }, { .event = beside } };

	good(rooms_append_events(w->rs, w->a, id, list, 3));
	ok(list[0].error && list[0].error->code == ERR_NOT_FOUND, "waits for the lost one");
	assert_int_equal(list[0].n_missing, 1);
	same_str(list[0].missing[0], lost->event_id);
	ok(list[1].error && list[1].error->code == ERR_NOT_FOUND, "waits for two");
	assert_int_equal(list[1].n_missing, 2);
	same_str(list[1].missing[0], nowhere[0]);
	same_str(list[1].missing[1], nowhere[2]);
	good(list[2].error);
	assert_int_equal(list[2].outcome, APPEND_ACCEPTED);
	ok(!event_row(w, lost->event_id) && !event_row(w, after->event_id), "not stored");
	say(w, who(w, "bob"), id, "goes on");
}
WORLD(what_is_missing_holds_up_its_own_alone)

/* Staged rows go with the events, in the same commit, and with no other. */
static err *stage_run(struct tx *tx, void *arg)
{
	const struct inbound_row *rows = arg;

	return store_inbound_stage(tx, rows, 3);
}

static size_t staged(struct world *w)
{
	struct inbound_row *rows;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(w->b->st, w->a, &tx));
	good(store_inbound_list(tx, 0, 100, &rows, &n));
	return n;
}

static void a_failed_commit_takes_nothing_along(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base"), nowhere = S("$nowhere");
	struct forge f = forge_for(w, id, "12");
	const struct event *one = forge(&f, "bob", "m.room.message", NULL, "{'body':'1'}", &base, 1),
			   *two = forge(&f, "bob", "m.room.message", NULL, "{'body':'2'}", &one->event_id, 1),
			   *lost = forge(&f, "bob", "m.room.message", NULL, "{'body':'3'}", &nowhere, 1);
	struct inbound_row rows[] = { { .id = 1, .event_id = one->event_id, .json = one->bytes },
				      { .id = 2, .event_id = two->event_id, .json = two->bytes },
				      { .id = 3, .event_id = lost->event_id, .json = lost->bytes } };
	struct received_event list[3];

	good(store_do(w->b->st, w->a, stage_run, rows));
	for (int64_t fail = 1; fail <= 3; fail++) {
		for (size_t i = 0; i < 3; i++)
			list[i] = (struct received_event){ .event = (const struct event *[]){ one, two, lost }[i],
							   .staged = (int64_t)i + 1 };
		/* The first, of both together, fails; then one of those of each alone; then none. */
		store_fault(w->b->st, FAULT_COMMIT, 1);
		good(rooms_append_events(w->rs, w->a, id, list, 3));
		ok(list[2].error && list[2].n_missing == 1 && !list[2].unstaged, "the lost one stays");
		if (list[0].error) {
			assert_int_equal(list[0].error->code, ERR_STORE);
			continue;
		}
		good(list[1].error);
		ok(list[0].unstaged || list[0].outcome == APPEND_KNOWN, "gone with the commit");
	}
	assert_int_equal(staged(w), 1);
	assert_non_null(event_row(w, one->event_id));
	assert_non_null(event_row(w, two->event_id));
	world_restart(w);
	say(w, who(w, "bob"), id, "goes on");
	check_flat(w, id);
}
WORLD(a_failed_commit_takes_nothing_along)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(ancestors_come_first),
		WORLD_TESTS(a_batch_is_cheap),
		WORLD_TESTS(what_is_missing_holds_up_its_own_alone),
		WORLD_TESTS(a_failed_commit_takes_nothing_along),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
