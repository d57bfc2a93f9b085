/* test_policy.c - rooms with a policy server: what is sent is asked about, what comes without its signature is set
 * aside.
 */
#include "admitted.h"
#include "forge.h"

#include "base/thread.h"
#include "room/internal_policy.h"

/* The policy server, which is the test. */
static struct {
	struct host by;
	enum { SIGNS, REFUSES, IS_DOWN, SIGNS_WRONG, SAYS_NOTHING } does;
	size_t asked;
	str last; /* the type of the event that it was asked about last */
	const struct room_version *rv;
} ps;

static void answer(struct fed *f, struct arena *a, struct fed_call *calls, size_t n, int64_t deadline_us)
{
	struct ed25519_key another;
	const struct signer as = { ps.by.name, POLICY_KEY_ID, &ps.by.key },
			    wrong = { ps.by.name, POLICY_KEY_ID, &another };

	(void)f;
	ed25519_from_seed(&another, (const uint8_t[32]){ 43 });
	ok(!lock_any_held(), "it may take long");
	ok(deadline_us < clock_mono_us() + INT64_C(60) * 1000000, "but not for ever");
	for (size_t i = 0; i < n; i++) {
		struct event *ev, *signed_by;

		ps.asked++;
		same_str(calls[i].destination, ps.by.name);
		same_str(calls[i].method, S("POST"));
		same_str(calls[i].path, S("/_matrix/policy/v1/sign"));
		good(event_parse_json(a, ps.rv, calls[i].content, &ev));
		assert_false(ev->hash_failed);
		ps.last = ev->type;
		if (ps.does == REFUSES) {
			calls[i].status = 400;
			calls[i].error = err_new(a, ERR_FORBIDDEN, "spam");
			continue;
		}
		if (ps.does == IS_DOWN) {
			calls[i].error = err_new(a, ERR_CONNECTION_FAILED, "nobody is there");
			continue;
		}
		good(event_sign(a, ps.rv, ev, ps.does == SIGNS_WRONG ? &wrong : &as, &signed_by));
		calls[i].status = 200;
		/* "Only the Policy Server's signature is returned." */
		calls[i].answer = json_new_object(a);
		if (ps.does != SAYS_NOTHING)
			json_set(a, calls[i].answer, ps.by.name,
				 json_get(json_get(signed_by->json, S("signatures")), ps.by.name));
	}
}

static struct policies *policies;

/* A room that @spam:far, of the policy server, is in. */
static str watched_room(struct admitted *t, const char *version)
{
	const struct policies_options opt = { .rooms = t->w->rs, .ask = answer, .log = &t->log };
	const str id = open_room(t->w, version);
	const struct event *joined;

	if (!policies)
		good(policies_new(t->w->a, &opt, &policies));
	ps.by = t->far;
	ed25519_from_seed(&ps.by.key, (const uint8_t[32]){ 42 });
	ps.rv = version_of(t, id);
	ps.does = SIGNS;
	ps.asked = 0;
	good(try_pass(t, id, "spam", MEMBER_JOIN, &joined));
	return id;
}

static void enable(struct admitted *t, str id, const char *via)
{
	const str key = b64_encode(t->w->a, (str){ (const char *)ps.by.key.public_key, 32 });
	const size_t asked = ps.asked;

	set_state(t->w, who(t->w, "alice"), id, "m.room.policy", "",
		  arena_printf(t->w->a, "{'via':'%s','public_keys':{'ed25519':'%.*s'}}", via, STR_ARG(key)).p);
	assert_int_equal(ps.asked, asked); /* "This endpoint MUST NOT be called for" it */
}

static bool is_signed(struct admitted *t, str event_id)
{
	struct policy_server by = { .name = ps.by.name, .has_key = true };
	struct event *ev;

	memcpy(by.key, ps.by.key.public_key, 32);
	good(event_load(t->w->a, ps.rv, event_id, event_row(t->w, event_id)->json, &ev));
	return policy_has_signed(t->w->a, ps.rv, ev, &by);
}

static void end(void) { policies_free(&policies); }

static void what_is_sent_is_asked_about(struct admitted *t)
{
	static const char *const versions[] = { "1", "6", "11", "12" };
	struct world *w = t->w;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str id = watched_room(t, versions[i]);
		const struct actor alice = who(w, "alice");
		str sent;

		say(w, alice, id, "before");
		assert_int_equal(ps.asked, 0);
		enable(t, id, "far");

		good(try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'x'}", versions[i], &sent));
		assert_int_equal(ps.asked, 1);
		assert_true(is_signed(t, sent));
		ok(event_row(w, sent)->stream > 0 && event_row(w, sent)->flags & EVENT_TO_SEND, "it is sent on");
		same_str(event_row(w, sent)->txn_id, str_c(versions[i]));
		str again;
		good(try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'x'}", versions[i], &again));
		same_str(again, sent);
		assert_int_equal(ps.asked, 1);
		/* State and memberships just as well. */
		assert_true(is_signed(t, set_state(w, alice, id, "m.room.topic", "", "{'topic':'x'}")));
		good(join(w, who(w, "carol"), id));
		same_str(ps.last, S("m.room.member"));
		assert_true(is_signed(t, current(w, id, "m.room.member", "@carol:test")->event_id));
		assert_int_equal(ps.asked, 3);
		say(w, alice, id, "on");
		assert_int_equal(n_extremities(w, id), 1);
		end();
	}
}
ADMITTED(what_is_sent_is_asked_about)

static void what_it_does_not_sign_is_not_sent(struct admitted *t)
{
	static const struct {
		int does;
		enum err_code want;
	} cases[] = { { REFUSES, ERR_FORBIDDEN },
		      { IS_DOWN, ERR_CONNECTION_FAILED },
		      { SIGNS_WRONG, ERR_FORBIDDEN },
		      { SAYS_NOTHING, ERR_FORBIDDEN } };
	struct world *w = t->w;
	const str id = watched_room(t, "11");
	const struct actor alice = who(w, "alice");
	const struct event_row *last;
	str sent;

	enable(t, id, "far");
	sent = say(w, alice, id, "good");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		err *e;

		ps.does = cases[i].does;
		e = try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'bad'}", NULL, &sent);
		ok(e && e->code == cases[i].want, "case %zu: %s", i, e ? err_errcode(e->code) : "sent");
		ok(cases[i].does != REFUSES || str_eq(e->msg, S("spam")), "verbatim");
		e = join(w, who(w, "dora"), id);
		ok(e && e->code == cases[i].want, "case %zu: %s", i, e ? err_errcode(e->code) : "joined");
	}
	assert_int_equal(membership_now(w, id, "dora"), MEMBER_NONE);
	ps.does = SIGNS;
	last = event_row(w, say(w, alice, id, "good again"));
	ok(store_nids_are_one(last->prevs, event_row(w, current(w, id, "m.room.policy", "")->event_id)->nid) ||
		   last->prevs.n == 8,
	   "nothing is left of what was refused");
	/* The room may always get rid of it. */
	ps.does = REFUSES;
	set_state(w, alice, id, "m.room.policy", "", "{}");
	say(w, alice, id, "free");
	end();
}
ADMITTED(what_it_does_not_sign_is_not_sent)

/* "The server name denoted by the m.room.policy state event's via has at least one joined user in the room". */
static void who_is_not_in_the_room_is_no_policy_server(struct admitted *t)
{
	struct world *w = t->w;
	const str id = watched_room(t, "11");
	const struct actor alice = who(w, "alice");
	const struct event *left;

	enable(t, id, "other");
	say(w, alice, id, "nobody of there is here");
	enable(t, id, "far");
	say(w, alice, id, "asked");
	assert_int_equal(ps.asked, 1);
	good(try_pass(t, id, "spam", MEMBER_LEAVE, &left));
	assert_int_equal(ps.asked, 2); /* the leave itself */
	say(w, alice, id, "gone");
	assert_int_equal(ps.asked, 2);
	end();
}
ADMITTED(who_is_not_in_the_room_is_no_policy_server)

static void what_comes_without_the_signature_is_set_aside(struct admitted *t)
{
	struct world *w = t->w;
	const str id = watched_room(t, "11");
	struct forge f;
	str base;

	enable(t, id, "far");
	base = say(w, who(w, "alice"), id, "base");
	f = forge_for(w, id, "11");
	f.ts = clock_ms();
	struct event *bare = forge(&f, "bob", "m.room.message", NULL, "{'body':'1'}", &base, 1), *asked = bare,
		     *policy = forge(&f, "alice", "m.room.policy", "", "{}", &base, 1);
	assert_int_equal(put(w, bare), APPEND_SOFT_FAILED);
	/* Asked for it where it comes in: then it is as any other. */
	asked = forge(&f, "bob", "m.room.message", NULL, "{'body':'2'}", &base, 1);
	ps.asked = 0;
	good(policy_obtain(w->rs, w->a, id, &asked, 1, INT64_MAX));
	assert_int_equal(put(w, asked), APPEND_ACCEPTED);
	good(policy_obtain(w->rs, w->a, id, &asked, 1, INT64_MAX));
	ok(ps.asked == 1, "who has it is not asked about");
	/* Refused, or not answered: it comes, and is set aside. */
	for (int does = REFUSES; does <= SAYS_NOTHING; does++) {
		struct event *ev = forge(&f, "bob", "m.room.message", NULL, "{'body':'3'}", &base, 1);

		ps.does = does;
		good(policy_obtain(w->rs, w->a, id, &ev, 1, INT64_MAX));
		ok(put(w, ev) == APPEND_SOFT_FAILED, "case %d", does);
	}
	good(policy_obtain(w->rs, w->a, id, &policy, 1, INT64_MAX));
	ok(put(w, policy) == APPEND_ACCEPTED, "the room's own word needs no signature");
	ok(put(w, forge(&f, "bob", "m.room.message", NULL, "{'body':'4'}", &policy->event_id, 1)) == APPEND_ACCEPTED,
	   "and ends it");
	end();
}
ADMITTED(what_comes_without_the_signature_is_set_aside)

/* Who comes to a room through us knows nothing of its policy server. */
static void who_joins_is_asked_about(struct admitted *t)
{
	struct world *w = t->w;
	const str id = watched_room(t, "11");
	const struct event *joined;

	enable(t, id, "far");
	good(try_pass(t, id, "zoe", MEMBER_JOIN, &joined));
	assert_true(is_signed(t, joined->event_id));
	ps.does = REFUSES;
	fails_with(try_pass(t, id, "zac", MEMBER_JOIN, &joined), ERR_FORBIDDEN);
	assert_int_equal(far_is(w, id, "zac"), MEMBER_NONE);
	end();
}
ADMITTED(who_joins_is_asked_about)

TEST_MAIN(ADMITTED_TESTS(what_is_sent_is_asked_about), ADMITTED_TESTS(what_it_does_not_sign_is_not_sent),
	  ADMITTED_TESTS(who_is_not_in_the_room_is_no_policy_server),
	  ADMITTED_TESTS(what_comes_without_the_signature_is_set_aside), ADMITTED_TESTS(who_joins_is_asked_about))
