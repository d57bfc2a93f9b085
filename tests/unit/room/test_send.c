/* test_send.c - events of clients: repetition, rules, redaction, failure, and what one costs. */
#include "world.h"

static void equal_state_is_sent_once(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}");
	const str first = set_state(w, alice, id, "m.room.topic", "", "{'topic':'a','x':{'b':1,'a':2}}");

	same_str(set_state(w, alice, id, "m.room.topic", "", "{'x':{'a':2,'b':1},'topic':'a'}"), first);
	const str second = set_state(w, alice, id, "m.room.topic", "", "{'topic':'b'}");
	ok(!str_eq(first, second), "another topic is another event");
	assert_int_equal(event_row(w, second)->replaces, event_row(w, first)->nid);
}
WORLD(equal_state_is_sent_once)

/* In versions 1 and 2 ids are no hashes of the event: nothing of the event may lie in the arena of who asked for it. */
static void an_event_outlives_its_request(struct world *w)
{
	static const char *const versions[] = { "1", "2", "3", "12" };
	const struct actor alice = who(w, "alice");

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str room =
			make_room(w, alice, arena_cstr(w->a, arena_printf(w->a, "{'room_version':'%s'}", versions[i])));

		for (int n = 0; n < 3; n++) {
			AUTO_ARENA request = arena_new();
			str id;

			good(try_send(w, request, alice, room, "m.room.message", NULL, "{'body':'x'}", NULL, &id));
			id = arena_keep(w->a, id);
			arena_reset(request);
			assert_non_null(event_row(w, id));
		}
	}
}
WORLD(an_event_outlives_its_request)

static void a_transaction_is_sent_once(struct world *w)
{
	struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}"), other = make_room(w, alice, "{}");
	str first, again;

	good(try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'1'}", "t1", &first));
	good(try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'2'}", "t1", &again));
	same_str(again, first);
	good(try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'2'}", "t2", &again));
	ok(!str_eq(again, first), "another id is another event");
	world_restart(w);
	good(try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'1'}", "t1", &again));
	same_str(again, first);
	same_str(event_row(w, first)->txn_id, S("t1"));
	same_str(event_row(w, first)->txn_device, S("DEV"));
	alice.device_id = S("OTHER");
	good(try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'1'}", "t1", &again));
	ok(!str_eq(again, first), "another device is another scope");
	(void)other;
}
WORLD(a_transaction_is_sent_once)

static const struct {
	const char *by, *type, *key, *content;
	enum err_code code;
} refused[] = {
	{ "eve", "m.room.message", NULL, "{}", ERR_FORBIDDEN },
	{ "eve", "a.type.nobody.knows", NULL, "{}", ERR_FORBIDDEN },
	{ "bob", "m.room.topic", "", "{'topic':'x'}", ERR_FORBIDDEN },
	{ "bob", "a.type.nobody.knows", "", "{}", ERR_FORBIDDEN },
	{ "alice", "x", "@bob:test", "{}", ERR_FORBIDDEN },
	{ "alice", "m.room.message", NULL, "{'f':1.5}", ERR_BAD_JSON },
	{ "alice", "m.room.message", NULL, "{'f':9007199254740992}", ERR_BAD_JSON },
	{ "alice", "m.room.create", "", "{}", ERR_FORBIDDEN },
	{ "alice", "m.room.member", "bob", "{'membership':'invite'}", ERR_INVALID_PARAM },
	{ "alice", "m.room.member", "@bob:test", "{'membership':'cake'}", ERR_BAD_JSON },
	{ "alice", "m.room.member", "@bob:test", "{}", ERR_BAD_JSON },
	{ "alice", "m.room.member", "@bob:test", "{'membership':'join'}", ERR_FORBIDDEN },
	{ "alice", "m.room.canonical_alias", "", "{'alias':'nonsense'}", ERR_INVALID_PARAM },
	{ "alice", "m.room.canonical_alias", "", "{'alias':'#no:test'}", ERR_BAD_ALIAS },
	{ "alice", "m.room.canonical_alias", "", "{'alt_aliases':['#no:test']}", ERR_BAD_ALIAS },
	{ "alice", "m.room.canonical_alias", "", "{'alt_aliases':['#other:test']}", ERR_BAD_ALIAS },
	{ "alice", "m.room.canonical_alias", "", "{'alt_aliases':[1]}", ERR_INVALID_PARAM },
	{ "alice", "m.room.power_levels", "", "{'users':{'@alice:test':1}}", ERR_FORBIDDEN },
	{ "alice", "m.room.redaction", NULL, "{}", ERR_MISSING_PARAM },
	{ "alice", "m.room.redaction", NULL, "{'redacts':'$no'}", ERR_NOT_FOUND },
};

static void what_may_not_be_sent(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{'preset':'public_chat'}");
	const str before = say(w, alice, id, "before");
	str out;

	make_room(w, alice, "{'room_alias_name':'other'}");
	good(join(w, who(w, "bob"), id));
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		err *e = try_send(w, w->a, who(w, refused[i].by), id, refused[i].type, refused[i].key,
				  refused[i].content, NULL, &out);

		ok(e && e->code == refused[i].code, "%s %s %s: %s", refused[i].by, refused[i].type, refused[i].content,
		   e ? err_errcode(e->code) : "sent");
	}
	fails_with(try_send(w, w->a, alice, S("!no:test"), "m.room.message", NULL, "{}", NULL, &out), ERR_FORBIDDEN);
	/* Nothing of all that moved the room. */
	const struct event_row *next = event_row(w, say(w, alice, id, "after"));
	int64_t *prevs;
	assert_int_equal(store_nids_unpack(w->a, next->prevs, &prevs), 1);
	ok(prevs[0] > event_row(w, before)->nid, "built on bob's join");
}
WORLD(what_may_not_be_sent)

static void texts_of_strangers_get_no_number(struct world *w)
{
	const struct actor alice = who(w, "alice"), eve = who(w, "eve");
	const str id = make_room(w, alice, "{}");
	int64_t nid;
	str out;

	fails_with(try_send(w, w->a, eve, id, "spam.1", "spam.2", "{}", NULL, &out), ERR_FORBIDDEN);
	good(store_intern_find(w->b->st, w->a, S("spam.1"), &nid));
	assert_int_equal(nid, 0);
	good(store_intern_find(w->b->st, w->a, S("spam.2"), &nid));
	assert_int_equal(nid, 0);
}
WORLD(texts_of_strangers_get_no_number)

static void too_much_is_too_large(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}");
	char *big = arena_zalloc(w->a, 70000);
	str out;

	memset(big, 'x', 65500);
	fails_with(try_send(w, w->a, alice, id, "m.room.message", NULL, arena_printf(w->a, "{'body':'%s'}", big).p,
			    NULL, &out),
		   ERR_TOO_LARGE);
	big[256] = '\0';
	fails_with(try_send(w, w->a, alice, id, big, NULL, "{}", NULL, &out), ERR_TOO_LARGE);
	fails_with(try_send(w, w->a, alice, id, "x", big, "{}", NULL, &out), ERR_TOO_LARGE);
}
WORLD(too_much_is_too_large)

/*
 * Redaction
 */
static err *redact(struct world *w, struct actor by, str room_id, str event_id, str *out)
{
	const struct send_cmd cmd = {
		.by = by,
		.room_id = room_id,
		.type = S("m.room.redaction"),
		.content = js(w->a, "{'reason':'spam'}"),
		.redacts = event_id,
	};

	return room_send(w->rs, w->a, &cmd, out);
}

static void redacting(struct world *w, const char *version)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str body = arena_printf(w->a, "{'preset':'public_chat','room_version':'%s'}", version);
	const str id = make_room(w, alice, body.p), other = make_room(w, alice, "{}");
	const bool in_content = strcmp(version, "10") != 0;
	struct json *j;
	str said, out;

	good(join(w, bob, id));
	said = say(w, bob, id, "bad words");
	fails_with(redact(w, bob, id, say(w, alice, id, "mine"), &out), ERR_FORBIDDEN);
	fails_with(redact(w, alice, other, said, &out), ERR_INVALID_PARAM);
	good(redact(w, alice, id, said, &out));
	const struct event_row *row = event_row(w, said), *redaction = event_row(w, out);
	assert_int_equal(row->redacted_by, redaction->nid);
	ok(row->flags & EVENT_REDACTED, "flag");
	ok(!str_contains(row->json, S("bad words")), "the words are gone");
	ok(str_contains(row->json, S("\"signatures\"")), "the rest is not");
	good(json_parse(w->a, redaction->json, &json_limits_event, &j));
	same_str(json_get_str(in_content ? json_get(j, S("content")) : j, S("redacts")), said);
	same_str(json_get_str(in_content ? j : json_get(j, S("content")), S("redacts")), STR_NONE);
	/* A second time it stays as the first one left it. */
	good(redact(w, bob, id, said, &out));
	assert_int_equal(event_row(w, said)->redacted_by, redaction->nid);
}
static void redacting_v10(struct world *w) { redacting(w, "10"); }
WORLD(redacting_v10)
static void redacting_v12(struct world *w) { redacting(w, "12"); }
WORLD(redacting_v12)

static void redacted_state_leaves_the_flat_tables(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}");
	const str name = set_state(w, alice, id, "m.room.name", "", "{'name':'rude'}");
	const str me =
		set_state(w, alice, id, "m.room.member", "@alice:test", "{'membership':'join','displayname':'rude'}");
	struct summary_row s;
	str out;

	good(redact(w, alice, id, name, &out));
	good(redact(w, alice, id, me, &out));
	same_str(membership_row(w, id, "alice")->displayname, STR_NONE);
	AUTO_TX tx = NULL;
	good(store_read(w->b->st, w->a, &tx));
	good(store_summary_load(tx, room_nid(w, id), &s));
	same_str(s.name, STR_NONE);
	same_str(s.join_rule, S("invite"));
}
WORLD(redacted_state_leaves_the_flat_tables)

static void what_was_redacted_is_not_remembered(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'preset':'public_chat','room_version':'10'}");
	const str first = set_state(w, alice, id, "m.room.topic", "", "{'topic':'a'}");
	str out;

	/* Equal to what it was is not equal to what it is. */
	same_str(set_state(w, alice, id, "m.room.topic", "", "{'topic':'a'}"), first);
	good(redact(w, alice, id, first, &out));
	ok(!str_eq(set_state(w, alice, id, "m.room.topic", "", "{'topic':'a'}"), first), "a topic again");
	/* In room version 10 a redaction takes the level for inviting away: then everybody may. */
	good(join(w, bob, id));
	const str levels =
		set_state(w, alice, id, "m.room.power_levels", "", "{'users':{'@alice:test':100},'invite':90}");
	fails_with(member(w, room_invite, bob, id, "carol"), ERR_FORBIDDEN);
	good(redact(w, alice, id, levels, &out));
	good(member(w, room_invite, bob, id, "carol"));
}
WORLD(what_was_redacted_is_not_remembered)

static void a_queued_redaction_is_seen(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}"), name = set_state(w, alice, id, "m.room.name", "", "{'name':'rude'}");
	struct proposal p = { .type = S("m.room.redaction"),
			      .state_key = STR_NONE,
			      .sender = alice.user_id,
			      .content = js(w->a, "{}"),
			      .redacts = name,
			      .ts = 1,
			      .txn_device = STR_NONE,
			      .txn_id = STR_NONE };
	struct ticket *ticket;
	str redaction;

	good(proposal_number(w->rs, w->a, &p));
	{
		AUTO_ROOM room = NULL;
		const struct event *ev;
		const struct event_row *row;
		struct tx *before;

		good(room_hold(w->rs, w->a, id, &room));
		good(room_tx(room, &before)); /* a snapshot that will not have it */
		good(room_current_text(room, S("m.room.name"), S(""), &ev));
		same_str(json_get_str(ev->content, S("name")), S("rude"));
		good(room_queue_one(room, &p, NULL, &redaction, &ticket));
		good(room_current_text(room, S("m.room.name"), S(""), &ev));
		same_str(json_get_str(ev->content, S("name")), STR_NONE);
		good(room_event_by_id(room, name, &ev, &row));
		same_str(json_get_str(ev->content, S("name")), STR_NONE);
		ok(row->redacted_by == p.nid && !str_contains(row->json, S("rude")), "the row, too");
	}
	good(store_wait(w->a, ticket));
}
WORLD(a_queued_redaction_is_seen)

static void what_holds_a_room_is_not_redacted(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{'room_version':'10'}");
	str out;

	fails_with(redact(w, alice, id, current(w, id, "m.room.create", "")->event_id, &out), ERR_FORBIDDEN);
	fails_with(redact(w, alice, id, set_state(w, alice, id, "m.room.server_acl", "", "{'allow':['*']}"), &out),
		   ERR_FORBIDDEN);
}
WORLD(what_holds_a_room_is_not_redacted)

/* PostgreSQL: the connection is gone in COMMIT, and so is who could say what became of it. Whatever it was, nobody
 * misses an event. */
static void what_may_be_stored_is_not_missed(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}"), elsewhere = make_room(w, who(w, "bob"), "{}");
	const int64_t room = room_nid(w, id);
	struct event_row **recent, **stored;
	struct bus_room_news *news;
	size_t n_recent, n_stored, n_news;
	struct bus_known known;
	int64_t above;
	bool linear;
	str out;
	err *e;

	say(w, alice, id, "one");
	above = bus_position(w->bus);
	ok(bus_watch_begin(w->bus, alice.user), "watched");
	bus_watch_rooms(w->bus, alice.user, above, &room, 1);
	store_fault(w->b->st, FAULT_LOSE_AFTER, 1);
	store_fault(w->b->st, FAULT_SETTLE, 1);
	e = try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'two'}", NULL, &out);
	store_fault(w->b->st, FAULT_LOSE_AFTER, 0);
	store_fault(w->b->st, FAULT_SETTLE, 0);
	ok(!e || e->code == ERR_STORE, "done, or not known to be");
	say(w, who(w, "bob"), elsewhere, "moves the position on");
	ok(bus_news(w->bus, w->a, alice.user, above, 0, &known, &news, &n_news) && n_news == 1, "it may be there");

	say(w, alice, id, "three");
	AUTO_TX tx = NULL;
	good(store_read(w->b->st, w->a, &tx));
	good(store_events_by_stream(tx, room, above, bus_position(w->bus), false, 10, &stored, &n_stored));
	ok(n_stored >= 1 && n_stored <= 2, "two, perhaps, and three");
	if (rooms_recent(w->rs, w->a, room, above, bus_position(w->bus), &recent, &n_recent, &linear))
		assert_int_equal(n_recent, n_stored);
	else
		ok(e != NULL, "forgotten without need");
}
WORLD(what_may_be_stored_is_not_missed)

/*
 * Annotations
 */
static str react(struct world *w, struct actor by, str room_id, str target, const char *type, const char *key,
		 enum err_code code)
{
	const str content =
		arena_printf(w->a, "{'m.relates_to':{'rel_type':'m.annotation','event_id':'%.*s','key':'%s'}}",
			     STR_ARG(target), key);
	err *e;
	str id = STR_NONE;

	e = try_send(w, w->a, by, room_id, type, NULL, content.p, NULL, &id);
	ok((e ? e->code : ERR_NONE) == code, "%s %s: %.*s", type, key, STR_ARG(e ? e->msg : S("sent")));
	return id;
}

static void nobody_annotates_twice(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'preset':'public_chat'}");
	const str said = say(w, alice, id, "what do you think?"), other = say(w, alice, id, "and of this?");
	str out, first;

	good(join(w, bob, id));
	first = react(w, bob, id, said, "m.reaction", "+1", ERR_NONE);
	react(w, bob, id, said, "m.reaction", "+1", ERR_DUPLICATE_ANNOTATION);
	react(w, bob, id, said, "m.reaction", "+2", ERR_NONE);
	react(w, bob, id, said, "org.example", "+1", ERR_NONE);
	react(w, bob, id, other, "m.reaction", "+1", ERR_NONE);
	react(w, alice, id, said, "m.reaction", "+1", ERR_NONE);
	/* Of what nobody knows nobody can say that it is the same. */
	react(w, bob, id, S("$nothing"), "m.reaction", "+1", ERR_NONE);
	react(w, bob, id, S("$nothing"), "m.reaction", "+1", ERR_NONE);
	world_restart(w);
	react(w, bob, id, said, "m.reaction", "+1", ERR_DUPLICATE_ANNOTATION);
	good(redact(w, bob, id, first, &out));
	react(w, bob, id, said, "m.reaction", "+1", ERR_NONE);
	react(w, bob, id, said, "m.reaction", "+1", ERR_DUPLICATE_ANNOTATION);
	/* The first one's redaction, again, does not free the second. */
	good(redact(w, bob, id, first, &out));
	react(w, bob, id, said, "m.reaction", "+1", ERR_DUPLICATE_ANNOTATION);
	/* Other relations may be repeated, and a transaction is. */
	good(try_send(w, w->a, bob, id, "m.reaction", NULL,
		      arena_printf(w->a, "{'m.relates_to':{'rel_type':'m.annotation','event_id':'%.*s','key':'t'}}",
				   STR_ARG(said))
			      .p,
		      "t1", &first));
	good(try_send(w, w->a, bob, id, "m.reaction", NULL,
		      arena_printf(w->a, "{'m.relates_to':{'rel_type':'m.annotation','event_id':'%.*s','key':'t'}}",
				   STR_ARG(said))
			      .p,
		      "t1", &out));
	same_str(out, first);
}
WORLD(nobody_annotates_twice)

static void a_queued_annotation_counts(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}"), said = say(w, alice, id, "hm");
	const str content = arena_printf(
		w->a, "{'m.relates_to':{'rel_type':'m.annotation','event_id':'%.*s','key':'+1'}}", STR_ARG(said));
	struct proposal p = { .type = S("m.reaction"),
			      .state_key = STR_NONE,
			      .sender = alice.user_id,
			      .content = js(w->a, content.p),
			      .redacts = STR_NONE,
			      .ts = 1,
			      .txn_device = STR_NONE,
			      .txn_id = STR_NONE };
	struct ticket *ticket;
	str out;

	good(proposal_number(w->rs, w->a, &p));
	{
		AUTO_ROOM room = NULL;
		struct tx *before;

		good(room_hold(w->rs, w->a, id, &room));
		good(room_tx(room, &before)); /* a snapshot that will not have it */
		good(annotation_check(room, &p));
		good(room_queue_one(room, &p, NULL, &out, &ticket));
		fails_with(annotation_check(room, &p), ERR_DUPLICATE_ANNOTATION);
	}
	good(store_wait(w->a, ticket));
}
WORLD(a_queued_annotation_counts)

/*
 * Names
 */
static void names_come_and_go(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'preset':'public_chat','room_alias_name':'one'}");
	str out, *all;
	size_t n;

	fails_with(room_alias_create(w->rs, w->a, &bob, S("#two:test"), id), ERR_FORBIDDEN);
	fails_with(room_alias_create(w->rs, w->a, &alice, S("#one:test"), id), ERR_ALIAS_TAKEN);
	fails_with(room_alias_create(w->rs, w->a, &alice, S("two"), id), ERR_INVALID_PARAM);
	fails_with(room_alias_create(w->rs, w->a, &alice, S("#two:elsewhere"), id), ERR_INVALID_PARAM);
	good(room_alias_create(w->rs, w->a, &alice, S("#two:test"), id));
	good(room_alias_find(w->rs, w->a, S("#two:test"), &out));
	same_str(out, id);
	set_state(w, alice, id, "m.room.canonical_alias", "", "{'alias':'#one:test','alt_aliases':['#two:test']}");
	fails_with(room_aliases(w->rs, w->a, &bob, id, &all, &n), ERR_FORBIDDEN);
	good(room_aliases(w->rs, w->a, &alice, id, &all, &n));
	assert_int_equal(n, 2);

	good(join(w, bob, id));
	fails_with(room_alias_delete(w->rs, w->a, &bob, S("#two:test")), ERR_FORBIDDEN);
	good(room_alias_delete(w->rs, w->a, &alice, S("#two:test")));
	fails_with(room_alias_find(w->rs, w->a, S("#two:test"), &out), ERR_NOT_FOUND);
	const struct json *content = content_of(w, current(w, id, "m.room.canonical_alias", ""));
	same_str(json_get_str(content, S("alias")), S("#one:test"));
	ok(!json_get(content, S("alt_aliases")), "the event follows");
}
WORLD(names_come_and_go)

/*
 * Failure
 */
static void a_failure_is_honest_and_passes(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}");
	const str before = say(w, alice, id, "before");
	int64_t *prevs;
	str out;

	for (int64_t nth = 1; nth <= 4; nth++) {
		store_fault(w->b->st, FAULT_STATEMENT, nth);
		fails_with(try_send(w, w->a, alice, id, "m.room.message", NULL, "{}", NULL, &out), ERR_STORE);
		store_fault(w->b->st, FAULT_STATEMENT, 0);
	}
	store_fault(w->b->st, FAULT_COMMIT, 1);
	fails_with(try_send(w, w->a, alice, id, "m.room.topic", "", "{'topic':'lost'}", NULL, &out), ERR_STORE);
	const struct event_row *after = event_row(w, say(w, alice, id, "after"));
	assert_int_equal(store_nids_unpack(w->a, after->prevs, &prevs), 1);
	assert_int_equal(prevs[0], event_row(w, before)->nid);
	ok(!current(w, id, "m.room.topic", ""), "the topic that failed is not there");
	set_state(w, alice, id, "m.room.topic", "", "{'topic':'kept'}");
	same_str(json_get_str(content_of(w, current(w, id, "m.room.topic", "")), S("topic")), S("kept"));
}
WORLD(a_failure_is_honest_and_passes)

/*
 * Cost: the store counts for a thread also what a writer did for it
 */
static void an_event_costs_few_statements(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}");
	uint64_t before;
	str out;

	say(w, alice, id, "first");
	for (int i = 0; i < 5; i++) {
		const str txn = arena_printf(w->a, "txn%d", i);

		before = store_statements_here();
		good(try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'x'}", txn.p, &out));
		/* Asked: is the transaction new. Written: head, edge, transaction, event. And the position. */
		ok(store_statements_here() - before <= 6, "%d statements", (int)(store_statements_here() - before));
	}
	before = store_statements_here();
	say(w, alice, id, "without a transaction");
	ok(store_statements_here() - before <= 4, "%d statements", (int)(store_statements_here() - before));
	set_state(w, alice, id, "m.room.topic", "", "{'topic':'1'}");
	before = store_statements_here();
	set_state(w, alice, id, "m.room.topic", "", "{'topic':'2'}");
	/* And nodes, root, current state, summary, journal, the place in the auth index (its parents', its own, a
	 * link); the topic before is read for comparison. */
	ok(store_statements_here() - before <= 12, "%d statements", (int)(store_statements_here() - before));
}
WORLD(an_event_costs_few_statements)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(equal_state_is_sent_once),
		WORLD_TESTS(an_event_outlives_its_request),
		WORLD_TESTS(a_transaction_is_sent_once),
		WORLD_TESTS(what_may_not_be_sent),
		WORLD_TESTS(texts_of_strangers_get_no_number),
		WORLD_TESTS(too_much_is_too_large),
		WORLD_TESTS(redacting_v10),
		WORLD_TESTS(redacting_v12),
		WORLD_TESTS(redacted_state_leaves_the_flat_tables),
		WORLD_TESTS(what_was_redacted_is_not_remembered),
		WORLD_TESTS(a_queued_redaction_is_seen),
		WORLD_TESTS(what_holds_a_room_is_not_redacted),
		WORLD_TESTS(what_may_be_stored_is_not_missed),
		WORLD_TESTS(nobody_annotates_twice),
		WORLD_TESTS(a_queued_annotation_counts),
		WORLD_TESTS(names_come_and_go),
		WORLD_TESTS(a_failure_is_honest_and_passes),
		WORLD_TESTS(an_event_costs_few_statements),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
