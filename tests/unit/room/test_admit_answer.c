/* test_admit_answer.c - what a server that joins is told: the state before the join, and all that it rests upon. */
#include "admitted.h"
#include "forge.h"

#include "room/served/reading.h"

static const char *const versions[] = { "1", "3", "6", "10", "11", "12" };

struct told {
	struct admitted *t;
	const struct room_version *rv;
	struct join_answer answer;
	const struct json *members;
	struct map state, chain; /* event id -> struct event */
};

static void read_list(struct told *o, str room_id, const int64_t *nids, size_t n, struct map *into)
{
	struct arena *a = o->t->w->a;
	struct served_texts texts;

	map_init(into, a);
	good(served_read(o->t->w->rs, a, room_id, nids, n, &texts));
	assert_int_equal(texts.n, n);
	for (size_t i = 0; i < n; i++) {
		struct event *ev;

		good(event_parse(a, o->rv, texts.p[i], &ev));
		ok(!map_put(into, ev->event_id, ev), "%.*s once", STR_ARG(ev->event_id));
	}
}

static struct told answer_to(struct admitted *t, str room_id, const struct event *joined, bool omit_members)
{
	const struct join_answer_cmd cmd = { .event = joined, .omit_members = omit_members };
	struct told o = { .t = t, .rv = version_of(t, room_id) };
	struct json *members;

	good(admit_join_answer(t->ad, t->w->a, &cmd, &o.answer));
	good(json_parse(t->w->a, o.answer.members, &json_limits_request, &members));
	o.members = members;
	read_list(&o, room_id, o.answer.state, o.answer.n_state, &o.state);
	read_list(&o, room_id, o.answer.chain, o.answer.n_chain, &o.chain);
	return o;
}

static const struct event *entry(struct told *o, const char *type, const char *key)
{
	const struct event *found = NULL;
	void *value;
	str id;

	for (size_t i = 0; map_next(&o->state, &i, &id, &value);)
		if (event_is(value, str_c(type), str_c(key))) {
			ok(!found, "%s %s once", type, key);
			found = value;
		}
	return found;
}

/* Who has both lists can judge each event of them, and the join. */
static void nothing_is_missing(struct told *o, const struct event *ev, const char *what)
{
	for (size_t i = 0; i < ev->n_auth_events; i++)
		ok(map_get(&o->chain, ev->auth_events[i]) || map_get(&o->state, ev->auth_events[i]),
		   "%s: %.*s is missing", what, STR_ARG(ev->auth_events[i]));
}

static void it_is_whole(struct told *o, const struct event *joined)
{
	struct map *const lists[] = { &o->state, &o->chain };
	void *value;
	str id;

	nothing_is_missing(o, joined, "the join");
	for (size_t k = 0; k < ARRAY_LEN(lists); k++)
		for (size_t i = 0; map_next(lists[k], &i, &id, &value);)
			nothing_is_missing(o, value, k ? "chain" : "state");
	ok(!map_get(&o->state, joined->event_id) && !map_get(&o->chain, joined->event_id), "prior to the join");
}

static str room_of(struct admitted *t, const char *version, const char *more)
{
	const str body = arena_printf(t->w->a, "{'room_version':'%s','preset':'public_chat'%s}", version, more);

	return make_room(t->w, who(t->w, "alice"), body.p);
}

static void the_state_before_the_join_is_told(struct admitted *t)
{
	struct world *w = t->w;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str id = room_of(t, versions[i], ",'name':'one'");
		const struct actor alice = who(w, "alice");
		const struct event *joined;
		str topic;

		good(join(w, who(w, "bob"), id));
		good(member(w, room_leave, who(w, "bob"), id, NULL));
		good(join(w, who(w, "bob"), id));
		topic = set_state(w, alice, id, "m.room.topic", "", "{'topic':'x'}");
		good(try_pass(t, id, "zoe", MEMBER_JOIN, &joined));
		/* What comes after it does not count, however late the answer is made. */
		set_state(w, alice, id, "m.room.topic", "", "{'topic':'y'}");
		struct told o = answer_to(t, id, joined, false);

		it_is_whole(&o, joined);
		same_str(entry(&o, "m.room.topic", "")->event_id, topic);
		ok(entry(&o, "m.room.create", "") && entry(&o, "m.room.member", "@alice:test") &&
			   entry(&o, "m.room.member", "@bob:test"),
		   "version %s", versions[i]);
		assert_null(entry(&o, "m.room.member", "@zoe:far"));
		assert_false(json_get_bool(o.members, S("members_omitted"), true));
		same_str(json_get_str(o.members, S("origin")), S("test"));
		assert_true(json_equal(json_get(o.members, S("event")), joined->json));

		/* Who was in before is told what they were. */
		good(try_pass(t, id, "zoe", MEMBER_LEAVE, &joined));
		good(try_pass(t, id, "zoe", MEMBER_JOIN, &joined));
		o = answer_to(t, id, joined, false);
		it_is_whole(&o, joined);
		same_str(event_membership(entry(&o, "m.room.member", "@zoe:far")), S("leave"));
	}
}
ADMITTED(the_state_before_the_join_is_told)

static bool lists_server(const struct told *o, const char *name)
{
	return json_lists(json_get_array(o->members, S("servers_in_room")), str_c(name));
}

static void members_may_be_left_out(struct admitted *t)
{
	struct world *w = t->w;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str id = room_of(t, versions[i], ",'name':'one'");
		const struct event *joined;
		void *value;
		str event_id;

		good(join(w, who(w, "bob"), id));
		good(try_pass(t, id, "zoe", MEMBER_JOIN, &joined));
		struct told o = answer_to(t, id, joined, true);

		it_is_whole(&o, joined);
		assert_true(json_get_bool(o.members, S("members_omitted"), false));
		ok(!entry(&o, "m.room.member", "@alice:test") && !entry(&o, "m.room.member", "@bob:test"),
		   "members are left out");
		assert_non_null(entry(&o, "m.room.name", ""));
		for (size_t k = 0; map_next(&o.chain, &k, &event_id, &value);)
			ok(!map_get(&o.state, event_id), "%.*s twice", STR_ARG(event_id));
		ok(lists_server(&o, "test") && !lists_server(&o, "far"), "before the join");
		good(try_pass(t, id, "zac", MEMBER_JOIN, &joined));
		o = answer_to(t, id, joined, true);
		assert_true(lists_server(&o, "far"));
	}
}
ADMITTED(members_may_be_left_out)

/* "If the room to be joined has no m.room.name nor m.room.canonical_alias": who would be the room's name. */
static void a_room_without_a_name_shows_its_heroes(struct admitted *t)
{
	struct world *w = t->w;
	const str id = room_of(t, "11", "");
	const struct event *joined;

	for (int i = 0; i < 7; i++)
		good(join(w, who(w, arena_printf(w->a, "u%d", i).p), id));
	good(try_pass(t, id, "zoe", MEMBER_JOIN, &joined));
	struct told o = answer_to(t, id, joined, true);
	it_is_whole(&o, joined);
	ok(entry(&o, "m.room.member", "@alice:test") && entry(&o, "m.room.member", "@u3:test"), "the first five");
	assert_null(entry(&o, "m.room.member", "@u4:test"));

	/* Everybody else has left. */
	const str two = room_of(t, "11", "");
	good(join(w, who(w, "bob"), two));
	good(try_pass(t, two, "zoe", MEMBER_JOIN, &joined));
	good(member(w, room_leave, who(w, "bob"), two, NULL));
	good(try_pass(t, two, "zoe", MEMBER_LEAVE, &joined));
	good(try_pass(t, two, "zoe", MEMBER_JOIN, &joined));
	o = answer_to(t, two, joined, true);
	assert_non_null(entry(&o, "m.room.member", "@alice:test"));
	same_str(event_membership(entry(&o, "m.room.member", "@zoe:far")), S("leave"));
}
ADMITTED(a_room_without_a_name_shows_its_heroes)

TEST_MAIN(ADMITTED_TESTS(the_state_before_the_join_is_told), ADMITTED_TESTS(members_may_be_left_out),
	  ADMITTED_TESTS(a_room_without_a_name_shows_its_heroes))
