/* test_notify.c - whom an event notifies: default rules, rules of one's own, mentions, and what ends a notification. */
#include "notified.h"

/* A room of alice (who made it), bob and carol: three, so that the rules for one-to-one rooms stay out. */
struct three {
	struct actor alice, bob, carol;
	str room;
};

static struct three three(struct notified *t)
{
	struct world *w = t->w;
	struct three p = { who(w, "alice"), who(w, "bob"), who(w, "carol"), STR_NONE };

	p.room = make_room(w, p.alice, "{'preset':'public_chat','power_level_content_override':{'state_default':0}}");
	good(join(w, p.bob, p.room));
	good(join(w, p.carol, p.room));
	return p;
}

static str send_as(struct notified *t, struct actor by, str room, const char *type, const char *key,
		   const char *content)
{
	str id;

	good(try_send(t->w, t->w->a, by, room, type, key, content, NULL, &id));
	return id;
}

static void default_rules_decide_for_everybody_but_the_sender(struct notified *t)
{
	static const struct {
		const char *what, *type, *key, *content;
		int notify, highlight;
	} cases[] = {
		{ "a message", "m.room.message", NULL, "{'msgtype':'m.text','body':'x'}", 1, 0 },
		{ "an encrypted one", "m.room.encrypted", NULL, "{'algorithm':'x'}", 1, 0 },
		{ "a notice", "m.room.message", NULL, "{'msgtype':'m.notice','body':'x'}", 0, 0 },
		{ "a reaction", "m.reaction", NULL, "{}", 0, 0 },
		{ "a topic", "m.room.topic", "", "{'topic':'x'}", 0, 0 },
		{ "an edit", "m.room.message", NULL, "{'body':'x','m.relates_to':{'rel_type':'m.replace'}}", 0, 0 },
		{ "another's mention", "m.room.message", NULL, "{'body':'x','m.mentions':{'user_ids':['@carol:test']}}",
		  1, 0 },
		{ "a mention", "m.room.message", NULL, "{'body':'x','m.mentions':{'user_ids':['@bob:test']}}", 1, 1 },
		{ "a mention in a notice", "m.room.message", NULL,
		  "{'msgtype':'m.notice','body':'x','m.mentions':{'user_ids':['@bob:test']}}", 0, 0 },
		{ "a mention in an event of any type", "org.example", NULL, "{'m.mentions':{'user_ids':['@bob:test']}}",
		  1, 1 },
		{ "the whole room, by its admin", "m.room.message", NULL, "{'body':'x','m.mentions':{'room':true}}", 1,
		  1 },
		{ "mentions that are none", "m.room.message", NULL,
		  "{'body':'x','m.mentions':{'room':1,'user_ids':[1,null,'bob',['@bob:test']]}}", 1, 0 },
		{ "a mention of nobody", "m.room.message", NULL, "{'body':'x','m.mentions':{'user_ids':['']}}", 1, 0 },
		{ "a tombstone", "m.room.tombstone", "", "{'body':'x','replacement_room':'!x:y'}", 1, 1 },
	};
	const struct three p = three(t);
	int64_t notify = 0, highlight = 0;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct unread u;

		(void)send_as(t, p.alice, p.room, cases[i].type, cases[i].key, cases[i].content);
		u = unread_of(t, p.bob, p.room);
		ok(u.all.notify - notify == cases[i].notify && u.all.highlight - highlight == cases[i].highlight,
		   "%s: %d unread, %d highlighted", cases[i].what, (int)(u.all.notify - notify),
		   (int)(u.all.highlight - highlight));
		notify = u.all.notify;
		highlight = u.all.highlight;
	}
	counts(unread_of(t, p.alice, p.room), 0, 0);
	/* "@room" needs the power to. */
	(void)send_as(t, p.carol, p.room, "m.room.message", NULL, "{'body':'x','m.mentions':{'room':true}}");
	counts(unread_of(t, p.bob, p.room), notify + 1, highlight);
}
NOTIFIED(default_rules_decide_for_everybody_but_the_sender)

static void more_mentions_than_members_cost_the_members(struct notified *t)
{
	const struct three p = three(t);
	AUTO_BUF b = BUF_INIT(65536);
	uint64_t before;
	str id;

	buf_add(&b, S("{'body':'x','m.mentions':{'user_ids':['@bob:test'"));
	for (int i = 0; i < 2000; i++)
		buf_add(&b, arena_printf(t->w->a, ",'@nobody%d:test'", i));
	buf_add(&b, S("]}}"));
	say(t->w, p.alice, p.room, "warm");
	before = store_statements_here();
	id = send_as(t, p.alice, p.room, "m.room.message", NULL, arena_keep(t->w->a, buf_str(&b)).p);
	ok(store_statements_here() - before < 20, "%d statements", (int)(store_statements_here() - before));
	ok(id.n, "not sent");
	counts(unread_of(t, p.bob, p.room), 2, 1);
	counts(unread_of(t, p.carol, p.room), 2, 0);
}
NOTIFIED(more_mentions_than_members_cost_the_members)

static void own_rules_decide_for_their_owner_alone(struct notified *t)
{
	const struct three p = three(t);

	set_rule(t, p.bob, PUSH_ROOM, p.room, "{'actions':[]}");
	set_rule(t, p.carol, PUSH_CONTENT, S("cake"),
		 "{'pattern':'cake','actions':['notify',{'set_tweak':'highlight'}]}");
	say(t->w, p.alice, p.room, "we have cake");
	counts(unread_of(t, p.bob, p.room), 0, 0);
	counts(unread_of(t, p.carol, p.room), 1, 1);
	mention(t->w, p.alice, p.room, p.bob); /* an override comes before the room's rule */
	counts(unread_of(t, p.bob, p.room), 1, 1);
	/* A rule decides about what comes, not about what was. */
	set_rule(t, p.carol, PUSH_ROOM, p.room, "{'actions':[]}");
	counts(unread_of(t, p.carol, p.room), 2, 1);
	say(t->w, p.alice, p.room, "no more");
	counts(unread_of(t, p.carol, p.room), 2, 1);
}
NOTIFIED(own_rules_decide_for_their_owner_alone)

static void a_display_name_is_the_rooms(struct notified *t)
{
	const struct three p = three(t);

	set_state(t->w, p.bob, p.room, "m.room.member", "@bob:test", "{'membership':'join','displayname':'Robert'}");
	set_rule(t, p.bob, PUSH_OVERRIDE, S("name"),
		 "{'conditions':[{'kind':'contains_display_name'}],'actions':['notify',{'set_tweak':'highlight'}]}");
	say(t->w, p.alice, p.room, "hello robert");
	say(t->w, p.alice, p.room, "hello bob");
	counts(unread_of(t, p.bob, p.room), 2, 1);
}
NOTIFIED(a_display_name_is_the_rooms)

/* The list of local members is first read while the join is being built, which the store does not have yet. */
static void who_joins_first_after_a_restart_has_their_rules(struct notified *t)
{
	struct three p = three(t);
	const struct actor dora = who(t->w, "dora");

	set_rule(t, dora, PUSH_ROOM, p.room, "{'actions':[]}");
	notified_restart(t);
	good(join(t->w, dora, p.room));
	say(t->w, p.alice, p.room, "x");
	counts(unread_of(t, dora, p.room), 0, 0);
	counts(unread_of(t, p.bob, p.room), 1, 0);
}
NOTIFIED(who_joins_first_after_a_restart_has_their_rules)

static void only_what_comes_after_the_joining_counts(struct notified *t)
{
	const struct three p = three(t);
	const struct actor dora = who(t->w, "dora");

	say(t->w, p.alice, p.room, "before");
	mention(t->w, p.alice, p.room, dora);
	good(join(t->w, dora, p.room));
	counts(unread_of(t, dora, p.room), 0, 0);
	say(t->w, p.alice, p.room, "after");
	counts(unread_of(t, dora, p.room), 1, 0);
	/* A new name is no new joining; leaving and coming back is one. */
	set_state(t->w, dora, p.room, "m.room.member", "@dora:test", "{'membership':'join','displayname':'D'}");
	counts(unread_of(t, dora, p.room), 1, 0);
	good(member(t->w, room_leave, dora, p.room, NULL));
	say(t->w, p.alice, p.room, "away");
	good(join(t->w, dora, p.room));
	counts(unread_of(t, dora, p.room), 0, 0);
}
NOTIFIED(only_what_comes_after_the_joining_counts)

/* "When the user updates their read receipt (either by using the API or by sending an event)" */
static void what_one_sends_marks_as_read(struct notified *t)
{
	static const struct {
		const char *what, *type, *key, *content;
	} cases[] = {
		{ "a message", "m.room.message", NULL, "{'msgtype':'m.text','body':'x'}" },
		{ "a notice", "m.room.message", NULL, "{'msgtype':'m.notice','body':'x'}" },
		{ "a reaction", "m.reaction", NULL, "{}" },
		{ "a topic", "m.room.topic", "", "{'topic':'y'}" },
	};
	const struct three p = three(t);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		say(t->w, p.alice, p.room, "x");
		mention(t->w, p.alice, p.room, p.bob);
		counts(unread_of(t, p.bob, p.room), 2, 1);
		(void)send_as(t, p.bob, p.room, cases[i].type, cases[i].key, cases[i].content);
		ok(unread_of(t, p.bob, p.room).all.notify == 0, "%s", cases[i].what);
	}
	say(t->w, p.alice, p.room, "x");
	set_state(t->w, p.bob, p.room, "m.room.member", "@bob:test", "{'membership':'join','displayname':'B'}");
	counts(unread_of(t, p.bob, p.room), 1, 0); /* profiles spread by themselves */
}
NOTIFIED(what_one_sends_marks_as_read)

static void a_redacted_event_notifies_nobody(struct notified *t)
{
	const struct three p = three(t);
	const str first = mention(t->w, p.alice, p.room, p.bob);
	str own;

	say(t->w, p.alice, p.room, "x");
	counts(unread_of(t, p.bob, p.room), 2, 1);
	counts(unread_of(t, p.carol, p.room), 2, 0);
	redact(t->w, p.alice, p.room, first);
	counts(unread_of(t, p.bob, p.room), 1, 0);
	counts(unread_of(t, p.carol, p.room), 1, 0);
	/* One's own message, redacted, has been sent all the same. */
	own = say(t->w, p.bob, p.room, "sorry");
	redact(t->w, p.alice, p.room, own);
	counts(unread_of(t, p.bob, p.room), 0, 0);
	notified_restart(t);
	counts(unread_of(t, p.bob, p.room), 0, 0);
	counts(unread_of(t, p.carol, p.room), 1, 0);
}
NOTIFIED(a_redacted_event_notifies_nobody)

TEST_MAIN(NOTIFIED_TESTS(default_rules_decide_for_everybody_but_the_sender),
	  NOTIFIED_TESTS(more_mentions_than_members_cost_the_members),
	  NOTIFIED_TESTS(own_rules_decide_for_their_owner_alone), NOTIFIED_TESTS(a_display_name_is_the_rooms),
	  NOTIFIED_TESTS(who_joins_first_after_a_restart_has_their_rules),
	  NOTIFIED_TESTS(only_what_comes_after_the_joining_counts), NOTIFIED_TESTS(what_one_sends_marks_as_read),
	  NOTIFIED_TESTS(a_redacted_event_notifies_nobody))
