/*
 * test_served.c - what other servers are given of a room: who is let in, which events are whole, and the ways back
 * through the graph. "Room History Visibility" as it is for servers; "Backfilling and retrieving missing events".
 */
#include "forge.h"

#include "crypto/crypto.h"
#include "room/big_room.h"
#include "room/client_event.h"
#include "room/erased.h"
#include "room/served/reading.h"
#include "store/users.h"

struct scene {
	struct world *w;
	struct actor anna;
	str room;
	struct forge f;
};

static struct scene open_scene(struct world *w, const char *body)
{
	struct scene sc = { .w = w, .anna = who(w, "anna") };

	sc.room = make_room(w, sc.anna, body);
	sc.f = forge_for(w, sc.room, "12");
	return sc;
}

/* The newest event, for others to build upon. */
static str tip(struct scene *sc)
{
	struct room_head_row *h;
	struct event_row *row;
	AUTO_TX tx = NULL;
	int64_t *nids;

	good(store_read(sc->w->b->st, sc->w->a, &tx));
	good(store_head_load(tx, room_nid(sc->w, sc->room), &h));
	assert_true(store_nids_unpack(sc->w->a, h->extremities, &nids) > 0);
	good(store_event_by_nid(tx, nids[0], &row));
	return row->event_id;
}

/* Not by this server's doors. */
static str elsewhere(struct scene *sc, const char *sender, const char *type, const char *key, const char *content,
		     enum append_outcome want)
{
	const str at = tip(sc);
	struct store_text texts[1];
	struct event *ev;
	int64_t nid;

	texts[0] = (struct store_text){ str_c(sender), &nid };
	good(store_intern_all(sc->w->b->st, sc->w->a, texts, 1));
	ev = forge_by(&sc->f, str_c(sender), type, key, content, &at, 1);
	assert_int_equal(put(sc->w, ev), want);
	return ev->event_id;
}

static str moves(struct scene *sc, const char *user, const char *membership)
{
	const str content = arena_printf(sc->w->a, "{'membership':'%s','reason':'r'}", membership);

	return elsewhere(sc, user, "m.room.member", user, content.p, APPEND_ACCEPTED);
}

static str invites(struct scene *sc, const char *user)
{
	return elsewhere(sc, "@anna:test", "m.room.member", user, "{'membership':'invite'}", APPEND_ACCEPTED);
}

static void becomes(struct scene *sc, const char *history)
{
	(void)set_state(sc->w, sc->anna, sc->room, "m.room.history_visibility", "",
			arena_printf(sc->w->a, "{'history_visibility':'%s'}", history).p);
}

/* 'w': the server sees the whole event, 'r': redacted, '-': it is not given at all. */
static char shown(struct scene *sc, const char *server, str event_id)
{
	AUTO_ARENA a = arena_new();
	const struct event_row *row = event_row(sc->w, event_id);
	err *e;
	str got;

	e = served_event(sc->w->rs, a, event_id, str_c(server), &got);
	if (e)
		return '-';
	return str_eq(got, row->json) ? 'w' : 'r';
}

/*
 * Visibility x membership x server. Each row is a history; the message is sent after its steps, and then the server's
 * user is brought in, where they are not, for otherwise nothing at all is given.
 */
static void what_a_server_sees_depends_on_its_users_then(struct world *w)
{
	static const struct {
		const char *history, *steps, *want; /* i: invited, j: joined, l: left. want: for "in", "late", "out" */
	} rows[] = {
		{ "world_readable", "", "w" }, { "world_readable", "jl", "w" }, { "shared", "", "w" },
		{ "shared", "jl", "w" },       { "invited", "", "r" },          { "invited", "i", "w" },
		{ "invited", "ij", "w" },      { "invited", "ijl", "r" },       { "joined", "", "r" },
		{ "joined", "i", "r" },        { "joined", "ij", "w" },         { "joined", "ijl", "r" },
		{ "joined", "ijlj", "w" },     { "no such word", "", "w" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scene sc = open_scene(w, "{'preset':'public_chat'}");
		bool in = false;
		str said;

		becomes(&sc, rows[i].history);
		for (const char *step = rows[i].steps; *step; step++) {
			if (*step == 'i')
				(void)invites(&sc, "@gert:other");
			else
				(void)moves(&sc, "@gert:other", *step == 'j' ? "join" : "leave");
			in = *step == 'j';
		}
		said = say(w, sc.anna, sc.room, "then");
		ok(shown(&sc, "third", said) == (*rows[i].history == 'w' ? 'w' : '-'), "row %zu: a stranger", i);
		if (!in)
			(void)moves(&sc, "@gert:other", "join");
		ok(shown(&sc, "other", said) == rows[i].want[0], "row %zu: %s after \"%s\"", i, rows[i].history,
		   rows[i].steps);
		/* Another user of the server counts as well, also where the first one left long ago. */
		(void)moves(&sc, "@hans:other", "join");
		(void)moves(&sc, "@gert:other", "leave");
		ok(shown(&sc, "other", said) == rows[i].want[0], "row %zu: by another user", i);
		(void)moves(&sc, "@hans:other", "leave");
		ok(shown(&sc, "other", said) == (*rows[i].history == 'w' ? 'w' : '-'), "row %zu: all have left", i);
	}
}

/* Joining, leaving and the visibility itself are seen by who sees either side of them. */
static void events_that_change_the_answer(struct world *w)
{
	struct scene sc = open_scene(w, "{'preset':'public_chat'}");
	str joined, left, ours, before, change, after, topic;

	becomes(&sc, "joined");
	before = say(w, sc.anna, sc.room, "before");
	joined = moves(&sc, "@gert:other", "join");
	left = set_state(w, sc.anna, sc.room, "m.room.member", "@gert:other", "{'membership':'leave','reason':'r'}");
	after = say(w, sc.anna, sc.room, "after");
	topic = set_state(w, sc.anna, sc.room, "m.room.topic", "", "{'topic':'secret'}");
	change = set_state(w, sc.anna, sc.room, "m.room.history_visibility", "",
			   "{'history_visibility':'shared','why':'x'}");
	ours = moves(&sc, "@gert:other", "join");
	assert_int_equal(shown(&sc, "other", before), 'r');
	assert_int_equal(shown(&sc, "other", joined), 'w');
	assert_int_equal(shown(&sc, "other", left), 'w');
	assert_int_equal(shown(&sc, "other", after), 'r');
	assert_int_equal(shown(&sc, "other", topic), 'r');
	assert_int_equal(shown(&sc, "other", change), 'w');
	assert_int_equal(shown(&sc, "other", ours), 'w');
	/* From shared to joined: before it everybody could see it. */
	(void)moves(&sc, "@gert:other", "leave");
	change = set_state(w, sc.anna, sc.room, "m.room.history_visibility", "",
			   "{'history_visibility':'joined','why':'x'}");
	(void)invites(&sc, "@gert:other");
	left = moves(&sc, "@gert:other", "leave"); /* their own, though they were never in */
	after = say(w, sc.anna, sc.room, "after");
	(void)moves(&sc, "@gert:other", "join");
	assert_int_equal(shown(&sc, "other", change), 'w');
	assert_int_equal(shown(&sc, "other", left), 'w');
	assert_int_equal(shown(&sc, "other", after), 'r');
}

/* Of a room that anybody may read by now, outsiders see what was said since. */
static void what_became_readable(struct world *w)
{
	struct scene sc = open_scene(w, "{'preset':'public_chat'}");
	const str before = say(w, sc.anna, sc.room, "before");
	str after;

	becomes(&sc, "world_readable");
	after = say(w, sc.anna, sc.room, "after");
	assert_int_equal(shown(&sc, "third", before), 'r');
	assert_int_equal(shown(&sc, "third", after), 'w');
	becomes(&sc, "shared");
	assert_int_equal(shown(&sc, "third", after), '-');
}

static void doors_are_closed_to_those_outside(struct world *w)
{
	struct scene sc = open_scene(w, "{'preset':'public_chat'}");
	const str said = say(w, sc.anna, sc.room, "hello");
	struct served_texts texts;
	struct served_state st;

	(void)invites(&sc, "@gert:other");
	fails_with(served_backfill(w->rs, w->a, sc.room, S("other"), &said, 1, 5, &texts), ERR_FORBIDDEN);
	fails_with(served_state_before(w->rs, w->a, sc.room, S("other"), said, &st), ERR_FORBIDDEN);
	fails_with(served_auth_chain(w->rs, w->a, sc.room, S("other"), said, &st), ERR_FORBIDDEN);
	fails_with(served_backfill(w->rs, w->a, S("!none:test"), S("other"), &said, 1, 5, &texts), ERR_NOT_FOUND);
	(void)moves(&sc, "@gert:other", "join");
	good(served_backfill(w->rs, w->a, sc.room, S("other"), &said, 1, 5, &texts));
	assert_int_equal(texts.n, 5);
	(void)set_state(w, sc.anna, sc.room, "m.room.server_acl", "", "{'allow':['*'],'deny':['OTHER']}");
	fails_with(served_backfill(w->rs, w->a, sc.room, S("other"), &said, 1, 5, &texts), ERR_FORBIDDEN);
	fails_with(served_state_before(w->rs, w->a, sc.room, S("other"), said, &st), ERR_FORBIDDEN);
	assert_int_equal(shown(&sc, "other", said), '-');
}

/*
 * The graph
 */
static str body_of(struct world *w, str text)
{
	struct json *j;

	good(json_parse(w->a, text, &json_limits_event, &j));
	return json_get_str(json_get(j, S("content")), S("body"));
}

/* The bodies of a list of messages, in their order; '.' for what has none. */
static str bodies(struct world *w, const struct served_texts *texts)
{
	str all = S("");

	for (size_t i = 0; i < texts->n; i++) {
		const str body = body_of(w, texts->p[i]);

		all = arena_join2(w->a, all, str_is_none(body) ? S(".") : body);
	}
	return all;
}

static str puts_at(struct scene *sc, const char *body, const str *prevs, size_t n, enum append_outcome want)
{
	struct event *ev = forge(&sc->f, "anna", "m.room.message", NULL,
				 arena_printf(sc->w->a, "{'body':'%s'}", body).p, prevs, n);

	assert_int_equal(put(sc->w, ev), want);
	return ev->event_id;
}

/*
 * a - b - d - e, with c beside b: whatever the events say of their depth (b says 9,000), the newest comes first, and no
 * more than was asked for.
 */
static void walking_back(struct world *w)
{
	struct scene sc = open_scene(w, "{'preset':'public_chat'}");
	str a, b, c, d, e, hidden;
	struct served_texts texts;
	struct missing_cmd cmd = { .room_id = sc.room, .origin = S("other"), .limit = 10 };

	(void)moves(&sc, "@gert:other", "join");
	a = say(w, sc.anna, sc.room, "a");
	sc.f.depth = 9000;
	b = puts_at(&sc, "b", &a, 1, APPEND_ACCEPTED);
	sc.f.depth = 3;
	c = puts_at(&sc, "c", &a, 1, APPEND_ACCEPTED);
	d = puts_at(&sc, "d", (const str[]){ b, c }, 2, APPEND_ACCEPTED);
	e = puts_at(&sc, "e", &d, 1, APPEND_ACCEPTED);

	good(served_backfill(w->rs, w->a, sc.room, S("other"), &e, 1, 5, &texts));
	same_str(bodies(w, &texts), S("edcba"));
	good(served_backfill(w->rs, w->a, sc.room, S("other"), &e, 1, 3, &texts));
	same_str(bodies(w, &texts), S("edc"));
	good(served_backfill(w->rs, w->a, sc.room, S("other"), (const str[]){ b, c, b }, 3, 3, &texts));
	same_str(bodies(w, &texts), S("cba"));
	good(served_backfill(w->rs, w->a, sc.room, S("other"), &S("$nothing"), 1, 3, &texts));
	assert_int_equal(texts.n, 0);
	good(served_backfill(w->rs, w->a, sc.room, S("other"), &e, 1, 1000, &texts));
	ok(body_of(w, texts.p[texts.n - 1]).p == NULL, "down to the first event");

	cmd.latest = &e, cmd.n_latest = 1, cmd.earliest = &a, cmd.n_earliest = 1;
	good(served_missing(w->rs, w->a, &cmd, &texts));
	same_str(bodies(w, &texts), S("cbd"));
	cmd.limit = 2;
	good(served_missing(w->rs, w->a, &cmd, &texts));
	same_str(bodies(w, &texts), S("bd"));
	cmd.limit = 0;
	good(served_missing(w->rs, w->a, &cmd, &texts));
	assert_int_equal(texts.n, 0);
	cmd.limit = 1000;
	cmd.earliest = NULL, cmd.n_earliest = 0;
	good(served_missing(w->rs, w->a, &cmd, &texts));
	ok(texts.n > 5 && texts.n <= SERVED_MISSING_MAX, "%zu", texts.n);
	cmd.earliest = &e, cmd.n_earliest = 1;
	good(served_missing(w->rs, w->a, &cmd, &texts));
	assert_int_equal(texts.n, 0);

	/* An event of another room is nobody's here. */
	struct scene other = open_scene(w, "{'preset':'public_chat'}");

	hidden = say(w, other.anna, other.room, "hidden");
	good(served_backfill(w->rs, w->a, sc.room, S("other"), &hidden, 1, 3, &texts));
	assert_int_equal(texts.n, 0);
	cmd.latest = &hidden;
	cmd.n_earliest = 0;
	good(served_missing(w->rs, w->a, &cmd, &texts));
	assert_int_equal(texts.n, 0);
	assert_int_equal(shown(&sc, "other", hidden), '-');
}

/* Rejected: never. Soft-failed: by its id, and on the way back from who names it. */
static void what_was_refused(struct world *w)
{
	struct scene sc = open_scene(w, "{'preset':'public_chat','power_level_content_override':{'state_default':0}}");
	struct served_texts texts;
	struct served_state st;
	str base, rejected, soft, above, end;
	struct event *ev;

	(void)moves(&sc, "@gert:other", "join");
	base = tip(&sc);
	ev = forge_by(&sc.f, S("@nobody:other"), "m.room.message", NULL, "{'body':'x'}", &base, 1);
	assert_int_equal(put(w, ev), APPEND_REJECTED);
	rejected = ev->event_id;
	above = puts_at(&sc, "above", &rejected, 1, APPEND_ACCEPTED);
	/* Made before the ban, as it says. */
	ev = forge_by(&sc.f, S("@gert:other"), "m.room.message", NULL, "{'body':'s'}", &base, 1);
	soft = ev->event_id;
	(void)moves(&sc, "@hans:other", "join");
	(void)set_state(w, sc.anna, sc.room, "m.room.member", "@gert:other", "{'membership':'ban'}");
	assert_int_equal(put(w, ev), APPEND_SOFT_FAILED);

	assert_int_equal(shown(&sc, "other", rejected), '-');
	fails_with(served_state_before(w->rs, w->a, sc.room, S("other"), rejected, &st), ERR_NOT_FOUND);
	fails_with(served_auth_chain(w->rs, w->a, sc.room, S("other"), rejected, &st), ERR_NOT_FOUND);
	good(served_backfill(w->rs, w->a, sc.room, S("other"), &above, 1, 2, &texts));
	same_str(bodies(w, &texts), S("above."));
	for (size_t i = 0; i < texts.n; i++)
		ok(!str_contains(texts.p[i], S("@nobody:other")), "not even redacted");

	assert_int_equal(shown(&sc, "other", soft), 'w');
	end = tip(&sc);
	good(served_backfill(w->rs, w->a, sc.room, S("other"), &end, 1, 100, &texts));
	ok(!str_contains(bodies(w, &texts), S("s")), "nobody names it");
	end = puts_at(&sc, "end", (const str[]){ end, soft }, 2, APPEND_ACCEPTED);
	good(served_backfill(w->rs, w->a, sc.room, S("other"), &end, 1, 100, &texts));
	ok(str_contains(bodies(w, &texts), S("s")), "somebody does");
}

/*
 * States
 */
static bool has_event(struct world *w, str room, const int64_t *nids, size_t n, str event_id)
{
	struct served_texts texts, ids;
	bool found = false;

	good(served_read(w->rs, w->a, room, nids, n, &texts));
	good(served_read_ids(w->rs, w->a, nids, n, &ids));
	assert_int_equal(texts.n, n);
	assert_int_equal(ids.n, n);
	for (size_t i = 0; i < n; i++)
		found |= str_eq(ids.p[i], event_id);
	return found;
}

/* The state before an event has what the event replaced; and its auth chain all that stands below it. */
static void the_state_before_an_event(struct world *w)
{
	static const char *const versions[] = { "1", "10", "12" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct scene sc = open_scene(
			w, arena_printf(w->a, "{'preset':'public_chat','room_version':'%s'}", versions[i]).p);
		str joined, one, two, said, create;
		struct served_state st;

		sc.f = forge_for(w, sc.room, versions[i]);
		joined = moves(&sc, "@gert:other", "join");
		one = set_state(w, sc.anna, sc.room, "m.room.topic", "", "{'topic':'one'}");
		two = set_state(w, sc.anna, sc.room, "m.room.topic", "", "{'topic':'two'}");
		said = say(w, sc.anna, sc.room, "said");
		create = current(w, sc.room, "m.room.create", "")->event_id;

		good(served_state_before(w->rs, w->a, sc.room, S("other"), one, &st));
		assert_false(has_event(w, sc.room, st.state, st.n_state, one));
		assert_true(has_event(w, sc.room, st.state, st.n_state, joined));
		good(served_state_before(w->rs, w->a, sc.room, S("other"), two, &st));
		assert_true(has_event(w, sc.room, st.state, st.n_state, one));
		assert_false(has_event(w, sc.room, st.state, st.n_state, two));
		good(served_state_before(w->rs, w->a, sc.room, S("other"), said, &st));
		assert_false(has_event(w, sc.room, st.state, st.n_state, one));
		assert_true(has_event(w, sc.room, st.state, st.n_state, two));
		assert_true(has_event(w, sc.room, st.chain, st.n_chain, create));
		assert_false(has_event(w, sc.room, st.chain, st.n_chain, two));

		good(served_auth_chain(w->rs, w->a, sc.room, S("other"), said, &st));
		assert_int_equal(st.n_state, 0);
		assert_true(has_event(w, sc.room, st.chain, st.n_chain, create));
		assert_false(has_event(w, sc.room, st.chain, st.n_chain, said));
		good(served_state_before(w->rs, w->a, sc.room, S("other"), create, &st));
		assert_int_equal(st.n_state, 0);
		fails_with(served_state_before(w->rs, w->a, sc.room, S("other"), S("$none"), &st), ERR_NOT_FOUND);
	}
}

/*
 * Erasure
 */
static err *close_account(struct tx *tx, void *by)
{
	const struct actor *who_goes = by;
	const struct account_row row = { .nid = who_goes->user, .user_id = who_goes->user_id };
	bool added;

	TRY(store_account_add(tx, &row, row.user_id, &added));
	return store_account_deactivate(tx, row.nid, 1, true);
}

static void forget(struct world *w, struct actor by)
{
	good(store_do(w->b->st, w->a, close_account, &by));
	good(rooms_erased_learn(w->rs, w->a, by.user));
}

/* What they said is redacted, and their memberships; what they set of the room is the room's. */
static void erased_users(struct world *w)
{
	struct scene sc = open_scene(w, "{'preset':'public_chat'}");
	str said, topic, member;

	(void)moves(&sc, "@gert:other", "join");
	said = say(w, sc.anna, sc.room, "said");
	topic = set_state(w, sc.anna, sc.room, "m.room.topic", "", "{'topic':'t'}");
	member = set_state(w, sc.anna, sc.room, "m.room.member", "@anna:test",
			   "{'membership':'join','displayname':'Anna'}");
	assert_int_equal(shown(&sc, "other", said), 'w');
	assert_int_equal(shown(&sc, "other", member), 'w');
	forget(w, sc.anna);
	assert_int_equal(shown(&sc, "other", said), 'r');
	assert_int_equal(shown(&sc, "other", member), 'r');
	assert_int_equal(shown(&sc, "other", topic), 'w');
	world_restart(w);
	assert_int_equal(shown(&sc, "other", said), 'r');
	assert_int_equal(shown(&sc, "other", topic), 'w');
}

/* A join that stands by who vouched for it is no join any more without their name, which redaction takes in version 8
 * alone. */
static void an_erased_user_who_was_vouched_for_stays_a_member(struct world *w)
{
	static const struct {
		const char *version, *user;
		char join, leave;
	} rows[] = { { "8", "bert", 'w', 'r' }, { "9", "bo", 'r', 'r' }, { "11", "bess", 'r', 'r' } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scene sc = open_scene(
			w, arena_printf(w->a, "{'preset':'public_chat','room_version':'%s'}", rows[i].version).p);
		const str space = make_room(w, sc.anna, "{'preset':'public_chat'}"),
			  guest_id = arena_printf(w->a, "@%s:test", rows[i].user);
		const struct actor guest = who(w, rows[i].user);
		str joined, left;

		sc.f = forge_for(w, sc.room, rows[i].version);
		(void)moves(&sc, "@gert:other", "join");
		set_state(w, sc.anna, sc.room, "m.room.join_rules", "",
			  arena_printf(w->a,
				       "{'join_rule':'restricted','allow':[{'type':'m.room_membership','room_id':"
				       "'%.*s'}]}",
				       STR_ARG(space))
				  .p);
		good(join(w, guest, space));
		good(room_join(w->rs, w->a, &(struct member_cmd){ .by = guest, .room_id = sc.room, .reason = S("r") },
			       &joined));
		joined = current(w, sc.room, "m.room.member", guest_id.p)->event_id;
		left = set_state(w, guest, sc.room, "m.room.member", guest_id.p, "{'membership':'leave','reason':'r'}");
		assert_int_equal(shown(&sc, "other", joined), 'w');
		forget(w, guest);
		ok(shown(&sc, "other", joined) == rows[i].join, "v%s", rows[i].version);
		ok(shown(&sc, "other", left) == rows[i].leave, "v%s: what says nothing of it", rows[i].version);
		world_restart(w);
	}
}

/* A page of events of a room with many members asks for a few keys of its states, not for its members each time. */
static void a_page_costs_few_statements(struct world *w)
{
	enum { MEMBERS = 30, MESSAGES = 40 };
	struct scene sc = open_scene(w, "{'preset':'public_chat'}");
	struct served_texts texts;
	uint64_t before;
	str last;

	becomes(&sc, "joined");
	for (int i = 0; i < MEMBERS; i++)
		(void)moves(&sc, arena_printf(w->a, "@u%d:other", i).p, "join");
	for (int i = 0; i < MESSAGES; i++) {
		(void)set_state(w, sc.anna, sc.room, "m.room.topic", "", i % 2 ? "{'topic':'a'}" : "{'topic':'b'}");
		last = say(w, sc.anna, sc.room, "m");
	}
	before = store_statements_here();
	good(served_backfill(w->rs, w->a, sc.room, S("other"), &last, 1, 2 * MESSAGES, &texts));
	assert_int_equal(texts.n, 2 * MESSAGES);
	ok(store_statements_here() - before < 25, "%d statements", (int)(store_statements_here() - before));
}

/* The state of a large room is found in its tree and its index: what it costs is reading what it names. */
static void a_large_state_costs_few_statements(struct world *w)
{
	enum { MEMBERS = 20000, PIECE = 64 };
	struct scene sc = open_scene(w, "{'preset':'public_chat'}");
	struct served_texts texts;
	struct served_state st;
	struct big_room big;
	uint64_t before;

	becomes(&sc, "world_readable");
	good(big_room_fill(&big, w->rs, w->b->st, w->a, sc.room, MEMBERS));
	before = store_statements_here();
	good(served_state_before(w->rs, w->a, sc.room, S("other"), big.last_id, &st));
	ok(st.n_state >= MEMBERS, "%zu", st.n_state);
	ok(st.n_chain < 10, "what all members name is named once: %zu", st.n_chain);
	ok(store_statements_here() - before < MEMBERS / 10, "%d statements", (int)(store_statements_here() - before));
	before = store_statements_here();
	good(served_read(w->rs, w->a, sc.room, st.state, PIECE, &texts));
	assert_int_equal(texts.n, PIECE);
	ok(store_statements_here() - before <= 2, "%d statements", (int)(store_statements_here() - before));
}

WORLD(what_a_server_sees_depends_on_its_users_then)
WORLD(events_that_change_the_answer)
WORLD(what_became_readable)
WORLD(doors_are_closed_to_those_outside)
WORLD(walking_back)
WORLD(what_was_refused)
WORLD(the_state_before_an_event)
WORLD(erased_users)
WORLD(an_erased_user_who_was_vouched_for_stays_a_member)
WORLD(a_page_costs_few_statements)
WORLD(a_large_state_costs_few_statements)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(what_a_server_sees_depends_on_its_users_then),
		WORLD_TESTS(events_that_change_the_answer),
		WORLD_TESTS(what_became_readable),
		WORLD_TESTS(doors_are_closed_to_those_outside),
		WORLD_TESTS(walking_back),
		WORLD_TESTS(what_was_refused),
		WORLD_TESTS(the_state_before_an_event),
		WORLD_TESTS(erased_users),
		WORLD_TESTS(an_erased_user_who_was_vouched_for_stays_a_member),
		WORLD_TESTS(a_page_costs_few_statements),
		WORLD_TESTS(a_large_state_costs_few_statements),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
