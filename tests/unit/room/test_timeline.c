/* test_timeline.c - pages of history: tokens that survive renumbering, filters, lazily loaded members, where a former
 * member's ends. */
#include "world.h"

#include "crypto/crypto.h"
#include "room/timeline.h"

struct answer {
	const struct json *json;
	enum err_code code;
};

static struct answer read_answer(struct world *w, const struct buf *b, const err *e)
{
	struct json *j = NULL;

	if (!e)
		good(json_parse(w->a, arena_keep(w->a, buf_str(b)), &json_limits_request, &j));
	return (struct answer){ j, e ? e->code : ERR_NONE };
}

static struct client_view reader(struct actor by)
{
	return (struct client_view){ .user = by.user, .user_id = by.user_id, .device_id = by.device_id, .now = 5 };
}

static struct event_filter filter_of(struct world *w, const char *text)
{
	struct event_filter f;

	good(event_filter_parse(w->a, js(w->a, text), &f));
	return f;
}

struct ask {
	struct actor by;
	str room, from, to;
	bool backwards;
	int64_t limit;
	const char *filter;
};

static struct answer messages(struct world *w, struct ask ask)
{
	const struct client_view view = reader(ask.by);
	const struct event_filter f = filter_of(w, ask.filter ? ask.filter : "{}");
	const struct messages_cmd cmd = { ask.room, ask.from, ask.to, ask.backwards, ask.limit, &f, &view };
	AUTO_BUF b = BUF_INIT(16 << 20);
	struct jw jw = jw_to(&b);

	jw_object(&jw, NULL);
	const err *e = room_messages(w->rs, w->a, &cmd, &jw);
	jw_end(&jw);
	return read_answer(w, &b, e);
}

static struct answer context(struct world *w, struct actor by, str room, str event, int64_t limit, const char *filter)
{
	const struct client_view view = reader(by);
	const struct event_filter f = filter_of(w, filter ? filter : "{}");
	const struct context_cmd cmd = { room, event, limit, &f, &view };
	AUTO_BUF b = BUF_INIT(16 << 20);
	struct jw jw = jw_to(&b);

	jw_object(&jw, NULL);
	const err *e = room_context(w->rs, w->a, &cmd, &jw);
	jw_end(&jw);
	return read_answer(w, &b, e);
}

static str ids(struct world *w, const struct json *list)
{
	AUTO_BUF b = BUF_INIT(1 << 20);

	JSON_ITEMS (list, i) {
		buf_add(&b, json_get_str(list->array.items[i], S("event_id")));
		buf_byte(&b, ' ');
	}
	return arena_keep(w->a, buf_str(&b));
}

/* All pages' events, one after the other; the token to go on from. */
static str all_pages(struct world *w, struct ask ask, str *out_token)
{
	AUTO_BUF b = BUF_INIT(1 << 20);

	*out_token = ask.from;
	for (int page = 0; page < 1000; page++) {
		const struct answer a = messages(w, ask);
		const str end = json_get_str(a.json, S("end"));

		assert_int_equal(a.code, ERR_NONE);
		buf_add(&b, ids(w, json_get(a.json, S("chunk"))));
		if (str_is_none(end))
			return arena_keep(w->a, buf_str(&b));
		ok(!str_eq(end, ask.from), "a page leads to itself");
		*out_token = ask.from = end;
	}
	fail();
	return STR_NONE;
}

static str reversed(struct world *w, str list)
{
	AUTO_BUF b = BUF_INIT(1 << 20);

	while (list.n) {
		const size_t at = str_rfind(str_head(list, list.n - 1), ' ');
		const size_t from = at < list.n - 1 ? at + 1 : 0;

		buf_add(&b, str_from(list, from));
		list.n = from;
	}
	return arena_keep(w->a, buf_str(&b));
}

static void both_ways_are_the_same_and_tokens_outlive_positions(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str room = make_room(w, alice, "{}");
	str first, token, forward, middle, rest, again;
	struct answer a;

	for (int i = 0; i < 25; i++)
		say(w, alice, room, "x");
	forward = all_pages(w, (struct ask){ alice, room, .limit = 1000 }, &token);
	for (int64_t limit = 1; limit <= 9; limit += 2) {
		same_str(all_pages(w, (struct ask){ alice, room, .limit = limit }, &token), forward);
		same_str(all_pages(w, (struct ask){ alice, room, .limit = limit, .backwards = true }, &token),
			 reversed(w, forward));
	}
	/* A token is good for what it names, wherever that is now; there and back is the same place. */
	a = messages(w, (struct ask){ alice, room, .limit = 10, .backwards = true });
	middle = json_get_str(a.json, S("end"));
	first = ids(w, json_get(a.json, S("chunk")));
	rest = all_pages(w, (struct ask){ alice, room, .from = middle, .limit = 4, .backwards = true }, &token);
	squeeze_timeline(w, room, 7);
	same_str(all_pages(w, (struct ask){ alice, room, .from = middle, .limit = 4, .backwards = true }, &token),
		 rest);
	again = all_pages(w, (struct ask){ alice, room, .from = middle, .limit = 3 }, &token);
	same_str(again, reversed(w, first));
	/* Who follows a room forward is told what comes. */
	same_str(all_pages(w, (struct ask){ alice, room, .from = token, .limit = 3 }, &token), S(""));
	say(w, alice, room, "new");
	ok(all_pages(w, (struct ask){ alice, room, .from = token, .limit = 3 }, &token).n > 0, "what came is not told");
	/* Between two tokens is what is between them, from either side. */
	same_str(ids(w, json_get(messages(w, (struct ask){ alice, room, .from = json_get_str(a.json, S("start")),
							   .to = middle, .limit = 100, .backwards = true })
					 .json,
				 S("chunk"))),
		 first);
	same_str(ids(w, json_get(messages(w, (struct ask){ alice, room, .from = middle,
							   .to = json_get_str(a.json, S("start")), .limit = 100 })
					 .json,
				 S("chunk"))),
		 reversed(w, first));
}
WORLD(both_ways_are_the_same_and_tokens_outlive_positions)

static bool is_sync_token(str token, int64_t *out)
{
	return str_starts(token, S("sync")) && str_to_i64(str_from(token, 4), out);
}

static void tokens_of_sync_are_taken_and_others_refused(struct world *w)
{
	static const char *const bad[] = {
		"", "p", "pa", "p1", "p1c", "1a", "p-1a", "p1a ", "p99999999999999999999a", "p999999a", "x"
	};
	const struct actor alice = who(w, "alice");
	const str room = make_room(w, alice, "{}"), one = say(w, alice, room, "1");
	const int64_t at = bus_position(w->bus);
	const str two = say(w, alice, room, "2");
	struct answer a;

	timeline_on_sync_token(is_sync_token);
	a = messages(w, (struct ask){ alice, room, .from = arena_printf(w->a, "sync%" PRId64, at), .limit = 1,
				      .backwards = true });
	same_str(ids(w, json_get(a.json, S("chunk"))), arena_join2(w->a, one, S(" ")));
	a = messages(w, (struct ask){ alice, room, .from = arena_printf(w->a, "sync%" PRId64, at), .limit = 1 });
	same_str(ids(w, json_get(a.json, S("chunk"))), arena_join2(w->a, two, S(" ")));
	a = messages(w, (struct ask){ alice, room, .from = S("sync0"), .limit = 1, .backwards = true });
	same_str(ids(w, json_get(a.json, S("chunk"))), S(""));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		a = messages(w, (struct ask){ alice, room, .from = str_c(bad[i]), .backwards = true });
		ok(a.code == ERR_INVALID_PARAM, "\"%s\" is taken for a token", bad[i]);
		a = messages(w, (struct ask){ alice, room, .to = str_c(bad[i]) });
		ok(a.code == ERR_INVALID_PARAM, "\"%s\" is taken for a token (to)", bad[i]);
	}
	timeline_on_sync_token(NULL);
}
WORLD(tokens_of_sync_are_taken_and_others_refused)

static void a_former_members_history_ends_with_their_leaving(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str room = make_room(w, alice, "{'preset':'public_chat'}");
	str token, before, after_token, event, seen;
	struct answer a;

	good(join(w, bob, room));
	before = say(w, alice, room, "before");
	good(member(w, room_leave, bob, room, NULL));
	event = say(w, alice, room, "after");
	(void)all_pages(w, (struct ask){ alice, room, .limit = 3 }, &after_token);
	seen = all_pages(w, (struct ask){ bob, room, .limit = 3, .backwards = true }, &token);
	ok(str_contains(seen, before) && !str_contains(seen, event), "backwards");
	seen = all_pages(w, (struct ask){ bob, room, .limit = 3 }, &token);
	ok(str_contains(seen, before) && !str_contains(seen, event), "forward");
	seen = all_pages(w, (struct ask){ bob, room, .from = after_token, .limit = 3, .backwards = true }, &token);
	ok(str_contains(seen, before) && !str_contains(seen, event), "from a token that is beyond");
	same_str(all_pages(w, (struct ask){ bob, room, .from = after_token, .limit = 3 }, &token), S(""));
	assert_int_equal(context(w, bob, room, event, 10, NULL).code, ERR_NOT_FOUND);
	a = context(w, bob, room, before, 10, NULL);
	ok(!str_contains(ids(w, json_get(a.json, S("events_after"))), event), "in the context");
	/* Invited again and declined: no more than before. */
	good(member(w, room_invite, alice, room, "bob"));
	good(member(w, room_leave, bob, room, NULL));
	seen = all_pages(w, (struct ask){ bob, room, .limit = 3, .backwards = true }, &token);
	ok(str_contains(seen, before) && !str_contains(seen, event), "after a second invitation");
}
WORLD(a_former_members_history_ends_with_their_leaving)

static void filters_choose_and_members_come_with_their_events(struct world *w)
{
	static const struct {
		const char *filter;
		int64_t n;
	} cases[] = {
		{ "{'types':['m.room.message']}", 6 },
		{ "{'types':['m.room.*']}", 100 },
		{ "{'types':[]}", 0 },
		{ "{'not_types':['m.room.message']}", -6 },
		{ "{'types':['m.room.message'],'senders':['@bob:test']}", 2 },
		{ "{'types':['m.room.message'],'not_senders':['@bob:test']}", 4 },
		{ "{'types':['m.room.message'],'contains_url':true}", 1 },
		{ "{'types':['m.room.message'],'contains_url':false}", 5 },
		{ "{'rooms':['!no:test']}", 0 },
	};
	const struct actor alice = who(w, "alice"), bob = who(w, "bob"), carol = who(w, "carol");
	const str room = make_room(w, alice, "{'preset':'public_chat'}");
	struct answer a;
	int64_t all;
	str token;

	good(join(w, bob, room));
	good(join(w, carol, room));
	for (int i = 0; i < 3; i++)
		say(w, alice, room, "x");
	say(w, bob, room, "x");
	say(w, bob, room, "x");
	set_state(w, alice, room, "m.room.topic", "", "{'topic':'x'}");
	good(try_send(w, w->a, alice, room, "m.room.message", NULL, "{'body':'x','url':'mxc://a/b'}", NULL, &token));
	a = messages(w, (struct ask){ alice, room, .limit = 1000 });
	all = (int64_t)json_get(a.json, S("chunk"))->array.n;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		a = messages(w, (struct ask){ alice, room, .limit = 1000, .filter = cases[i].filter });
		const int64_t n = (int64_t)json_get(a.json, S("chunk"))->array.n;
		const int64_t want = cases[i].n < 0 ? all + cases[i].n : MIN(cases[i].n, all);

		ok(n == want, "%s: %d, not %d", cases[i].filter, (int)n, (int)want);
	}
	/* The filter's limit counts where the request has none. */
	a = messages(w, (struct ask){ alice, room, .filter = "{'limit':2}" });
	assert_int_equal(json_get(a.json, S("chunk"))->array.n, 2);
	assert_null(json_get(a.json, S("state")));
	a = messages(w, (struct ask){ alice, room, .limit = 1, .backwards = true,
				      .filter = "{'lazy_load_members':true,'senders':['@bob:test']}" });
	assert_int_equal(json_get(a.json, S("state"))->array.n, 1);
	same_str(json_get_str(json_get(a.json, S("state"))->array.items[0], S("state_key")), S("@bob:test"));
	a = messages(w, (struct ask){ alice, room, .limit = 100, .backwards = true,
				      .filter = "{'lazy_load_members':true}" });
	assert_int_equal(json_get(a.json, S("state"))->array.n, 3);
}
WORLD(filters_choose_and_members_come_with_their_events)

static void a_context_is_split_and_leads_on(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str room = make_room(w, alice, "{}");
	str said[11];
	struct answer a, page;

	for (int i = 0; i < 11; i++)
		said[i] = say(w, alice, room, "x");
	a = context(w, alice, room, said[5], 5, NULL);
	same_str(ids(w, json_get(a.json, S("events_before"))),
		 arena_printf(w->a, "%.*s %.*s ", STR_ARG(said[4]), STR_ARG(said[3])));
	same_str(ids(w, json_get(a.json, S("events_after"))),
		 arena_printf(w->a, "%.*s %.*s %.*s ", STR_ARG(said[6]), STR_ARG(said[7]), STR_ARG(said[8])));
	same_str(json_get_str(json_get(a.json, S("event")), S("event_id")), said[5]);
	page = messages(w, (struct ask){ alice, room, .from = json_get_str(a.json, S("start")), .limit = 1,
					 .backwards = true });
	same_str(ids(w, json_get(page.json, S("chunk"))), arena_join2(w->a, said[2], S(" ")));
	page = messages(w, (struct ask){ alice, room, .from = json_get_str(a.json, S("end")), .limit = 1 });
	same_str(ids(w, json_get(page.json, S("chunk"))), arena_join2(w->a, said[9], S(" ")));
	/* Nothing around it: the tokens are its two sides. */
	a = context(w, alice, room, said[5], 0, NULL);
	assert_int_equal(json_get(a.json, S("events_before"))->array.n + json_get(a.json, S("events_after"))->array.n,
			 0);
	page = messages(w, (struct ask){ alice, room, .from = json_get_str(a.json, S("start")), .limit = 1 });
	same_str(ids(w, json_get(page.json, S("chunk"))), arena_join2(w->a, said[5], S(" ")));
	page = messages(
		w, (struct ask){ alice, room, .from = json_get_str(a.json, S("end")), .limit = 1, .backwards = true });
	same_str(ids(w, json_get(page.json, S("chunk"))), arena_join2(w->a, said[5], S(" ")));
	/* The filter is for what is around, not for the event. */
	a = context(w, alice, room, said[5], 100, "{'types':['m.room.create']}");
	same_str(json_get_str(json_get(a.json, S("event")), S("event_id")), said[5]);
	assert_int_equal(json_get(a.json, S("events_before"))->array.n, 1);
	assert_int_equal(json_get(a.json, S("events_after"))->array.n, 0);
	assert_int_equal(json_get(a.json, S("state"))->array.n, 1);
	assert_int_equal(context(w, alice, room, S("$no"), 1, NULL).code, ERR_NOT_FOUND);
	assert_int_equal(context(w, alice, make_room(w, alice, "{}"), said[5], 1, NULL).code, ERR_NOT_FOUND);
	assert_int_equal(context(w, who(w, "bob"), room, said[5], 1, NULL).code, ERR_FORBIDDEN);
}
WORLD(a_context_is_split_and_leads_on)

static void a_single_event_is_there_or_not(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str room = make_room(w, alice, "{}"), event = say(w, alice, room, "x");
	const struct client_view mine = reader(alice), his = reader(bob);
	AUTO_BUF b = BUF_INIT(100000);
	struct jw jw = jw_to(&b);

	good(room_event_get(w->rs, w->a, room, event, &mine, &jw));
	same_str(json_get_str(read_answer(w, &b, NULL).json, S("event_id")), event);
	/* "The event was not found or you do not have permission to read this event" */
	fails_with(room_event_get(w->rs, w->a, room, event, &his, &jw), ERR_NOT_FOUND);
	fails_with(room_event_get(w->rs, w->a, room, S("$no"), &mine, &jw), ERR_NOT_FOUND);
	fails_with(room_event_get(w->rs, w->a, S("!no:test"), event, &mine, &jw), ERR_NOT_FOUND);
	fails_with(room_event_get(w->rs, w->a, make_room(w, alice, "{}"), event, &mine, &jw), ERR_NOT_FOUND);
}
WORLD(a_single_event_is_there_or_not)

/* A run of events that are not for this reader ends no pagination, and one page looks at a bounded number of them. */
static void what_is_invisible_is_walked_past(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str room = make_room(w, alice, "{'preset':'public_chat'}");
	str first, seen, token;

	good(join(w, bob, room));
	first = say(w, alice, room, "seen");
	good(member(w, room_leave, bob, room, NULL));
	set_state(w, alice, room, "m.room.history_visibility", "", "{'history_visibility':'joined'}");
	for (int i = 0; i < 120; i++)
		say(w, alice, room, "unseen");
	good(join(w, bob, room));
	seen = all_pages(w, (struct ask){ bob, room, .limit = 2, .backwards = true }, &token);
	ok(str_contains(seen, first), "the first message");
	same_str(reversed(w, seen), all_pages(w, (struct ask){ bob, room, .limit = 2 }, &token));
}
WORLD(what_is_invisible_is_walked_past)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(both_ways_are_the_same_and_tokens_outlive_positions),
		WORLD_TESTS(tokens_of_sync_are_taken_and_others_refused),
		WORLD_TESTS(a_former_members_history_ends_with_their_leaving),
		WORLD_TESTS(filters_choose_and_members_come_with_their_events),
		WORLD_TESTS(a_context_is_split_and_leads_on),
		WORLD_TESTS(a_single_event_is_there_or_not),
		WORLD_TESTS(what_is_invisible_is_walked_past),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
