/*
 * State resolution: small rooms whose outcome can be worked out by hand. (test_state_res_random.c compares with a slow
 * model on random rooms.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dag.h"

/* Alice creates the room and is at 100 by power levels of her own; everybody may join; four others did. */
static const struct dag_line opening[] = {
	{ "$create", "@alice:x", "m.room.create", "", "{\"creator\":\"@alice:x\"}" },
	{ "$alice", "@alice:x", "m.room.member", "@alice:x", "{\"membership\":\"join\"}" },
	{ "$power", "@alice:x", "m.room.power_levels", "", "{\"users\":{}}" },
	{ "$rules", "@alice:x", "m.room.join_rules", "", "{\"join_rule\":\"public\"}" },
	{ "$bob", "@bob:x", "m.room.member", "@bob:x", "{\"membership\":\"join\"}" },
	{ "$carol", "@carol:x", "m.room.member", "@carol:x", "{\"membership\":\"join\"}" },
	{ "$dave", "@dave:x", "m.room.member", "@dave:x", "{\"membership\":\"join\"}" },
	{ "$start", "@dave:x", "m.room.message", NULL, "{}" },
};

struct expected {
	const char *type, *key, *id;
};

struct scenario {
	const char *name;
	struct dag_line lines[10]; /* up to one without id; the states after those named in `merge` are resolved */
	const char *merge;
	struct expected expected[5];
	const char *only; /* a room version; NULL: all */
};

#define PL(users) "{\"users\":{" users "},\"state_default\":50}"
#define A100      "\"@alice:x\":100"
/* Version 12 refuses power levels that name a creator: ALICE is written before the others and left out there. */
static const struct scenario scenarios[] = {
	{
		.name = "a ban beats what the banned one did to the power levels meanwhile",
		.lines = {
			{ "$p1", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":50"), "$start" },
			{ "$ban", "@alice:x", "m.room.member", "@bob:x", "{\"membership\":\"ban\"}", "$p1" },
			{ "$p2", "@bob:x", "m.room.power_levels", "", PL("\"@bob:x\":50,\"@carol:x\":50"), "$p1" },
		},
		.merge = "$ban $p2",
		.expected = { { "m.room.member", "@bob:x", "$ban" }, { "m.room.power_levels", "", "$p1" } },
	},
	{
		.name = "nobody joins past a join rule that was set meanwhile",
		.lines = {
			{ "$closed", "@alice:x", "m.room.join_rules", "", "{\"join_rule\":\"invite\"}", "$start" },
			{ "$erin", "@erin:x", "m.room.member", "@erin:x", "{\"membership\":\"join\"}", "$start" },
		},
		.merge = "$closed $erin",
		.expected = { { "m.room.join_rules", "", "$closed" }, { "m.room.member", "@erin:x", "" } },
	},
	{
		.name = "power levels far off one branch stand: they were allowed by those before them",
		.lines = {
			{ "$p1", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":50"), "$start" },
			{ "$p2", "@bob:x", "m.room.power_levels", "", PL("\"@bob:x\":50,\"@carol:x\":50"), "$p1" },
			{ "$p3", "@carol:x", "m.room.power_levels", "", PL("\"@bob:x\":50,\"@carol:x\":0"), "$p2" },
		},
		.merge = "$p1 $p3",
		.expected = { { "m.room.power_levels", "", "$p3" } },
	},
	{
		.name = "a topic under the power levels that won, beats one under those that lost",
		.lines = {
			{ "$t1", "@alice:x", "m.room.topic", "", "{\"topic\":\"1\"}", "$start" },
			{ "$p1", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":50"), "$t1" },
			{ "$t2", "@alice:x", "m.room.topic", "", "{\"topic\":\"2\"}", "$p1" },
			{ "$p2", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":0"), "$t2" },
			{ "$p3", "@bob:x", "m.room.power_levels", "", PL("\"@bob:x\":50,\"@carol:x\":1"), "$p1" },
			{ "$t3", "@bob:x", "m.room.topic", "", "{\"topic\":\"3\"}", "$p3" },
		},
		.merge = "$p2 $t3",
		.expected = { { "m.room.power_levels", "", "$p2" }, { "m.room.topic", "", "$t2" } },
	},
	{
		.name = "a topic set by somebody banned on the same branch falls back to the other branch's",
		.lines = {
			{ "$t1", "@alice:x", "m.room.topic", "", "{\"topic\":\"1\"}", "$start" },
			{ "$p1", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":50"), "$t1" },
			{ "$t2", "@bob:x", "m.room.topic", "", "{\"topic\":\"2\"}", "$p1" },
			{ "$ban", "@alice:x", "m.room.member", "@bob:x", "{\"membership\":\"ban\"}", "$t2" },
		},
		.merge = "$ban $t1",
		.expected = { { "m.room.topic", "", "$t1" },
			      { "m.room.member", "@bob:x", "$ban" },
			      { "m.room.power_levels", "", "$p1" } },
	},
	{
		.name = "a topic set after both branches met stays when one of them is met again",
		.lines = {
			{ "$t1", "@alice:x", "m.room.topic", "", "{\"topic\":\"1\"}", "$start" },
			{ "$p1", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":50"), "$t1" },
			{ "$t2", "@alice:x", "m.room.topic", "", "{\"topic\":\"2\"}", "$p1" },
			{ "$p2", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":0"), "$t2" },
			{ "$p3", "@bob:x", "m.room.power_levels", "", PL("\"@bob:x\":50,\"@carol:x\":1"), "$p1" },
			{ "$t3", "@bob:x", "m.room.topic", "", "{\"topic\":\"3\"}", "$p3" },
			{ "$met", "@dave:x", "m.room.message", NULL, "{}", "$p2 $t3" },
			{ "$t4", "@alice:x", "m.room.topic", "", "{\"topic\":\"4\"}", "$met" },
		},
		.merge = "$t4 $met",
		.expected = { { "m.room.topic", "", "$t4" }, { "m.room.power_levels", "", "$p2" } },
	},
	{
		.name = "of two kicks and counter-kicks the more powerful sender's is first",
		.lines = {
			{ "$p1", "@alice:x", "m.room.power_levels", "",
			  PL("\"@bob:x\":60,\"@carol:x\":50"), "$start" },
			{ "$kick", "@bob:x", "m.room.member", "@carol:x", "{\"membership\":\"leave\"}", "$p1", NULL, 2000 },
			{ "$back", "@carol:x", "m.room.member", "@dave:x", "{\"membership\":\"leave\"}", "$p1", NULL, 1000 },
		},
		.merge = "$kick $back",
		.expected = { { "m.room.member", "@carol:x", "$kick" }, { "m.room.member", "@dave:x", "$dave" } },
	},
	{
		.name = "among equals the earlier one is first, so that the later one stays",
		.lines = {
			{ "$r1", "@alice:x", "m.room.join_rules", "", "{\"join_rule\":\"invite\"}", "$start", NULL, 900 },
			{ "$r2", "@alice:x", "m.room.join_rules", "", "{\"join_rule\":\"knock\"}", "$start", NULL, 800 },
		},
		.merge = "$r1 $r2",
		.expected = { { "m.room.join_rules", "", "$r1" } },
	},
	{
		.name = "at the same time the id decides",
		.lines = {
			{ "$tb", "@alice:x", "m.room.topic", "", "{\"topic\":\"b\"}", "$start", NULL, 900 },
			{ "$ta", "@alice:x", "m.room.topic", "", "{\"topic\":\"a\"}", "$start", NULL, 900 },
		},
		.merge = "$ta $tb",
		.expected = { { "m.room.topic", "", "$tb" } },
	},
	{
		.name = "what one branch alone has is kept when it is allowed",
		.lines = {
			{ "$t1", "@alice:x", "m.room.topic", "", "{\"topic\":\"1\"}", "$start" },
			{ "$n1", "@alice:x", "m.room.name", "", "{\"name\":\"1\"}", "$start" },
		},
		.merge = "$t1 $n1",
		.expected = { { "m.room.topic", "", "$t1" }, { "m.room.name", "", "$n1" } },
	},
	{
		.name = "three branches at once",
		.lines = {
			{ "$p1", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":50"), "$start" },
			{ "$t1", "@bob:x", "m.room.topic", "", "{\"topic\":\"1\"}", "$p1" },
			{ "$ban", "@alice:x", "m.room.member", "@bob:x", "{\"membership\":\"ban\"}", "$p1" },
			{ "$n1", "@bob:x", "m.room.name", "", "{\"name\":\"1\"}", "$p1" },
		},
		.merge = "$t1 $ban $n1",
		.expected = { { "m.room.member", "@bob:x", "$ban" },
			      { "m.room.topic", "", "" },
			      { "m.room.name", "", "" } },
	},
};

static const char *const versions[] = { "10", "11", "12" };

/* Power levels of the scenarios, as the version wants them: before 12 the creator has to be named. */
static const char *content_of(struct dag *d, const struct dag_line *l)
{
	str users = S("\"users\":{");
	const str content = str_c(l->content);
	size_t at = 0;

	if (d->rv->creators_above_all || strcmp(l->type, "m.room.power_levels") != 0)
		return l->content;
	while (!str_starts(str_from(content, at), users))
		at++;
	at += users.n;
	return arena_cstr(d->a, arena_join3(d->a, str_head(content, at), content.p[at] == '}' ? S(A100) : S(A100 ","),
					    str_from(content, at)));
}

static void add(struct dag *d, const struct dag_line *lines, size_t max)
{
	for (size_t i = 0; i < max && lines[i].id; i++) {
		struct dag_line l = lines[i];

		l.content = content_of(d, &l);
		dag_add(d, &l);
	}
}

static struct dag *new_room(struct arena *a, const char *version)
{
	struct dag *d = ARENA_NEW(a, struct dag);

	dag_init(d, a, str_c(version));
	add(d, opening, ARRAY_LEN(opening));
	return d;
}

static void expect(struct dag *d, struct state_root root, const struct expected *want, size_t max, const char *name)
{
	for (size_t i = 0; i < max && want[i].type; i++) {
		const str got = dag_held(d, root, want[i].type, want[i].key);

		if (!str_eq(got, str_c(want[i].id)))
			fail_msg("version %.*s, %s: %s \"%s\" is \"%.*s\", not \"%s\"", STR_ARG(d->rv->id), name,
				 want[i].type, want[i].key, STR_ARG(got), want[i].id);
	}
}

static void scenarios_end_as_worked_out(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++)
		for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
			const struct scenario *s = &scenarios[i];
			AUTO_ARENA a = arena_new();
			struct dag *d = new_room(a, versions[v]);
			struct state_root roots[4], there, back;
			str id[4];
			size_t n;

			add(d, s->lines, ARRAY_LEN(s->lines));
			n = dag_split(d, s->merge, id, 4);
			for (size_t k = 0; k < n; k++)
				roots[k] = d->after[dag_event(d, id[k].p)->nid];
			there = dag_resolve(d, roots, n);
			expect(d, there, s->expected, ARRAY_LEN(s->expected), s->name);
			for (size_t k = 0; k < n; k++)
				roots[k] = d->after[dag_event(d, id[n - 1 - k].p)->nid];
			back = dag_resolve(d, roots, n);
			assert_true(state_same(there, back));
		}
}

/* MSC4297, problem A: erin joined while the rule was public; both states have the rule that came later, one lacks erin.
 * Version 2 judges her join by the later rule, since that is unconflicted, and throws her out; 2.1 by the rule she
 * joined under. */
static void a_join_is_not_judged_by_a_later_rule(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		AUTO_ARENA a = arena_new();
		struct dag *d = new_room(a, versions[v]);
		const struct dag_line lines[] = {
			{ "$erin", "@erin:x", "m.room.member", "@erin:x", "{\"membership\":\"join\"}", "$start" },
			{ "$closed", "@alice:x", "m.room.join_rules", "", "{\"join_rule\":\"invite\"}", "$erin" },
		};

		add(d, lines, ARRAY_LEN(lines));
		const struct state_root with = dag_state(d, "$create $alice $power $closed $bob $carol $dave $erin");
		const struct state_root without = dag_state(d, "$create $alice $power $closed $bob $carol $dave");
		const struct state_root roots[] = { with, without };
		const struct state_root out = dag_resolve(d, roots, 2);
		const bool v21 = d->rv->state_res == STATE_RES_V2_1;

		assert_int_equal(d->facts.conflicted, 1);
		assert_true(state_same(out, v21 ? with : without));
		assert_int_equal(out.node, v21 ? with.node : without.node); /* that very root */
	}
}

/* MSC4297, problem B: power levels p3 were allowed by p2, which is in both states' auth chains (of the topic) and
 * therefore not in the conflicted set of version 2: there p3 is judged by p1 and lost. 2.1 takes p2 in, for it lies
 * between p3 and p1. */
static void what_lies_between_conflicted_events_counts(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		AUTO_ARENA a = arena_new();
		struct dag *d = new_room(a, versions[v]);
		const struct dag_line lines[] = {
			{ "$p1", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":50"), "$start" },
			{ "$p2", "@bob:x", "m.room.power_levels", "", PL("\"@bob:x\":50,\"@carol:x\":50"), "$p1" },
			{ "$p3", "@carol:x", "m.room.power_levels", "",
			  PL("\"@bob:x\":50,\"@carol:x\":50,\"@dave:x\":1"), "$p2" },
			{ "$topic", "@alice:x", "m.room.topic", "", "{\"topic\":\"t\"}", "$p2" },
		};

		add(d, lines, ARRAY_LEN(lines));
		const struct state_root roots[] = {
			dag_state(d, "$create $alice $p1 $rules $bob $carol $dave $topic"),
			dag_state(d, "$create $alice $p3 $rules $bob $carol $dave $topic"),
		};
		const bool v21 = d->rv->state_res == STATE_RES_V2_1;
		const struct state_root out = dag_resolve(d, roots, 2);

		assert_int_equal(d->facts.full, v21 ? 3 : 2);
		assert_true(state_same(out, roots[v21]));
	}
}

/* An event of the auth difference whose key all states agree on takes part, and gives way in the end. */
static void unconflicted_events_stay(void **state)
{
	AUTO_ARENA a = arena_new();
	struct dag *d = new_room(a, "11");
	const struct dag_line lines[] = {
		{ "$p1", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":50"), "$start" },
		{ "$t1", "@bob:x", "m.room.topic", "", "{\"topic\":\"1\"}", "$p1" },
	};

	(void)state;
	add(d, lines, ARRAY_LEN(lines));
	/* As claimed by another server: bob's topic, which names p1, in a state that still has the first power levels.
	 */
	const struct state_root roots[] = {
		dag_state(d, "$create $alice $power $rules $bob $carol $dave $t1"),
		dag_state(d, "$create $alice $power $rules $bob $carol $dave"),
	};
	const struct state_root out = dag_resolve(d, roots, 2);

	assert_int_equal(d->facts.full, 2);
	assert_true(str_eq(dag_held(d, out, "m.room.power_levels", ""), S("$power")));
	assert_true(str_eq(dag_held(d, out, "m.room.topic", ""), S("$t1")));
}

/* Who is not in the state is judged by the join that the event itself names; but a rejected one does not vouch for
 * anybody. */
static void rejected_auth_events_do_not_count(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		AUTO_ARENA a = arena_new();
		struct dag *d = new_room(a, versions[v]);
		const struct dag_line lines[] = {
			{ "$free", "@alice:x", "m.room.power_levels", "", "{\"users\":{},\"state_default\":0}",
			  "$start" },
			{ "$erin", "@erin:x", "m.room.member", "@erin:x", "{\"membership\":\"join\"}", "$free" },
			{ "$erins", "@erin:x", "org.example", "", "{}", "$erin" },
		};

		add(d, lines, ARRAY_LEN(lines));
		const struct state_root roots[] = {
			dag_state(d, "$create $alice $free $rules $bob $erins"),
			dag_state(d, "$create $alice $free $rules $bob"),
		};

		/* The auth difference brings her join back, too. */
		const struct state_root kept = dag_resolve(d, roots, 2);

		assert_true(str_eq(dag_held(d, kept, "org.example", ""), S("$erins")));
		((struct event *)dag_event(d, "$erin"))->rejected = true;
		const struct state_root both[] = {
			dag_state(d, "$create $alice $free $rules $bob $erin $erins"),
			dag_state(d, "$create $alice $free $rules $bob $erin"),
		};

		assert_true(str_eq(dag_held(d, dag_resolve(d, both, 2), "org.example", ""),
				   d->rv->state_res == STATE_RES_V2_1 ? S("") : S("$erins")));
	}
}

/* A moderator's change is lost to a ban: the ban is why. A change that is judged by older power levels, or a join by a
 * rule that its state knew all along, is lost to nothing: a reset. */
static void losses_have_a_cause_or_none(void **state)
{
	const struct dag_line lines[] = {
		{ "$p1", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":50"), "$start" },
		{ "$ban", "@alice:x", "m.room.member", "@bob:x", "{\"membership\":\"ban\"}", "$p1" },
		{ "$p2", "@bob:x", "m.room.power_levels", "", PL("\"@bob:x\":50,\"@carol:x\":50"), "$p1" },
		{ "$p3", "@carol:x", "m.room.power_levels", "", PL("\"@bob:x\":50,\"@carol:x\":0"), "$p2" },
		{ "$erin", "@erin:x", "m.room.member", "@erin:x", "{\"membership\":\"join\"}", "$start" },
		{ "$closed", "@alice:x", "m.room.join_rules", "", "{\"join_rule\":\"invite\"}", "$erin" },
	};
	AUTO_ARENA a = arena_new();
	struct dag *d = new_room(a, "11");

	(void)state;
	add(d, lines, ARRAY_LEN(lines));
	const struct state_root caused[] = { d->after[dag_event(d, "$ban")->nid], d->after[dag_event(d, "$p3")->nid] };

	(void)dag_resolve(d, caused, 2);
	assert_int_equal(d->facts.n_losses, 1); /* p2 is in neither state */
	assert_int_equal(d->facts.losses[0].lost, dag_event(d, "$p3")->nid);
	assert_int_equal(d->facts.losses[0].held, dag_event(d, "$p1")->nid);
	assert_int_equal(d->facts.losses[0].cause, dag_event(d, "$ban")->nid);

	const struct state_root reset[] = {
		dag_state(d, "$create $alice $p3 $rules $bob $carol $dave"),
		dag_state(d, "$create $alice $power $rules $bob $carol $dave"),
	};

	(void)dag_resolve(d, reset, 2);
	assert_int_equal(d->facts.n_losses, 0); /* all between is in the auth difference */

	const struct state_root thrown_out[] = {
		dag_state(d, "$create $alice $power $closed $bob $carol $dave $erin"),
		dag_state(d, "$create $alice $power $closed $bob $carol $dave"),
	};

	(void)dag_resolve(d, thrown_out, 2);
	assert_int_equal(d->facts.lost, 1);
	assert_int_equal(d->facts.losses[0].lost, dag_event(d, "$erin")->nid);
	assert_int_equal(d->facts.losses[0].held, 0);
	assert_int_equal(d->facts.losses[0].cause, 0);
}

/* Where servers choose the ids, two power levels can name each other. They are not in this house's rooms; still nothing
 * may hang. */
static void power_levels_in_a_circle_end(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		AUTO_ARENA a = arena_new();
		struct dag *d = new_room(a, versions[v]);
		const struct dag_line lines[] = {
			{ "$p1", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":50"), "$start" },
			{ "$p2", "@alice:x", "m.room.power_levels", "", PL("\"@bob:x\":51"), "$p1" },
			{ "$t1", "@alice:x", "m.room.topic", "", "{\"topic\":\"1\"}", "$p2" },
			{ "$t2", "@alice:x", "m.room.topic", "", "{\"topic\":\"2\"}", "$p2" },
		};
		struct state_builder b;
		struct state_root out;
		int64_t *auth;

		add(d, lines, ARRAY_LEN(lines));
		auth = (int64_t *)d->auth[dag_event(d, "$p1")->nid].p;
		for (size_t i = 0; i < d->auth[dag_event(d, "$p1")->nid].n; i++)
			if (auth[i] == dag_event(d, "$power")->nid)
				auth[i] = dag_event(d, "$p2")->nid;
		/* In the mainline, and beside it. */
		const struct state_root roots[2][2] = {
			{ dag_state(d, "$create $alice $p2 $rules $t1"),
			  dag_state(d, "$create $alice $p2 $rules $t2") },
			{ dag_state(d, "$create $alice $power $rules $t1"),
			  dag_state(d, "$create $alice $power $rules $t2") },
		};

		for (size_t i = 0; i < 2; i++) {
			err *e;

			state_builder_init(&b, a, &d->nodes.tree);
			e = state_resolve(a, d->rv, &b, roots[i], 2, &d->io, &out, &d->facts);
			assert_true(!e || e->code == ERR_INTERNAL);
		}
	}
}

static void alone_or_equal_nothing_happens(void **state)
{
	AUTO_ARENA a = arena_new();
	struct dag *d = new_room(a, "12");
	const struct state_root one = d->after[d->n];
	const struct state_root same[] = { one, dag_state(d, "$dave $carol $bob $rules $power $alice $create"), one };

	(void)state;
	d->asked = 0;
	assert_int_equal(dag_resolve(d, &one, 1).node, one.node);
	assert_int_not_equal(same[1].node, one.node);
	assert_int_equal(dag_resolve(d, same, 3).node, one.node);
	assert_int_equal(d->asked, 0);
}

/* What is in conflict costs, not the room: two topics in a room of 2,000 members. */
static void cost_follows_the_conflict(void **state)
{
	static const char *const algorithms[] = { "1", "2", "12" };

	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(algorithms); v++) {
		AUTO_ARENA a = arena_new();
		struct dag *d = new_room(a, algorithms[v]);
		const struct dag_line lines[] = {
			{ "$t1", "@alice:x", "m.room.topic", "", "{\"topic\":\"1\"}", "$all" },
			{ "$t2", "@alice:x", "m.room.topic", "", "{\"topic\":\"2\"}", "$all" },
		};

		for (int i = 0; i < 2000; i++) {
			const char *user = arena_cstr(a, arena_printf(a, "@u%d:x", i));
			const char *id = arena_cstr(a, arena_printf(a, "$u%d", i));

			dag_add(d, &(struct dag_line){ id, user, "m.room.member", user, "{\"membership\":\"join\"}" });
		}
		dag_add(d, &(struct dag_line){ "$all", "@u7:x", "m.room.message", NULL, "{}" });
		add(d, lines, 2);
		const struct state_root roots[] = { d->after[d->n - 1], d->after[d->n] };

		d->asked = 0;
		d->nodes.fetched = 0;
		/* The later one; of equal depth, for version 1, the one of the lower sha1. */
		assert_true(str_eq(dag_held(d, dag_resolve(d, roots, 2), "m.room.topic", ""), S("$t2")));
		assert_true(d->asked < (v ? 20 : 1));
		assert_true(d->nodes.fetched < 200);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scenarios_end_as_worked_out),
		cmocka_unit_test(a_join_is_not_judged_by_a_later_rule),
		cmocka_unit_test(what_lies_between_conflicted_events_counts),
		cmocka_unit_test(unconflicted_events_stay),
		cmocka_unit_test(rejected_auth_events_do_not_count),
		cmocka_unit_test(losses_have_a_cause_or_none),
		cmocka_unit_test(power_levels_in_a_circle_end),
		cmocka_unit_test(alone_or_equal_nothing_happens),
		cmocka_unit_test(cost_follows_the_conflict),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
