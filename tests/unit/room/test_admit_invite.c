/* test_admit_invite.c - our users are invited by users of other servers. */
#include "admitted.h"
#include "far_room.h"

#include "room/outsider.h"
#include "user/user.h"

struct scene {
	struct admitted *t;
	struct far f;
	str alice;
};

static void begin_on(struct scene *s, struct admitted *t, const char *version, const char *server)
{
	bool exists;

	*s = (struct scene){ .t = t, .alice = S("@alice:test") };
	far_begin(&s->f, t->w->a, version, server);
	good(users_exists(t->n.us, t->w->a, s->alice, &exists));
	if (!exists)
		good(users_add(t->n.us, t->w->a, S("alice"), STR_NONE, false, &s->alice));
}

static void begin(struct scene *s, struct admitted *t, const char *version) { begin_on(s, t, version, "far"); }

static struct event *invitation(struct scene *s)
{
	return far_state(&s->f, S("@admin:far"), "m.room.member", s->alice, "{'membership':'invite'}");
}

/* As the inviting server gives it: the room's events as they are. */
static const struct json *shown(struct scene *s)
{
	struct json *list = json_new_array(s->t->w->a);

	json_append(s->t->w->a, list, far_current(&s->f, "m.room.create", S(""))->json);
	json_append(s->t->w->a, list, far_current(&s->f, "m.room.join_rules", S(""))->json);
	return list;
}

static struct admit_invite command(struct scene *s, const struct event *ev)
{
	return (struct admit_invite){
		.origin = S("far"),
		.room_id = s->f.room_id,
		.event_id = ev->event_id,
		.version = s->f.rv->id,
		.event = ev->json,
		.stripped = shown(s),
	};
}

static err *try_invite(struct scene *s, const struct admit_invite *cmd)
{
	const struct json *out;

	return admit_invite(s->t->ad, s->t->w->a, cmd, &out);
}

static enum membership invited_to(struct scene *s)
{
	struct outsider *o;
	int64_t user;

	good(store_intern(s->t->w->b->st, s->t->w->a, s->alice, &user));
	good(outsider_find(s->t->w->rs, s->t->w->a, s->f.room_id, user, &o));
	return o ? o->membership : MEMBER_NONE;
}

static void an_invitation_is_signed_and_kept(struct admitted *t)
{
	static const char *const versions[] = { "1", "2", "5", "11", "12" };
	struct world *w = t->w;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct admit_invite cmd;
		const struct json *out;
		struct json *with_more;
		struct event *ev;
		struct scene s;

		begin(&s, t, versions[i]);
		cmd = command(&s, invitation(&s));
		with_more = json_copy(w->a, cmd.event);
		json_set(w->a, with_more, S("unsigned"), js(w->a, "{'age':7}"));
		cmd.event = with_more;
		good(admit_invite(t->ad, w->a, &cmd, &out));
		ok(json_equal(json_get(out, S("unsigned")), json_get(with_more, S("unsigned"))), "untouched");
		good(event_parse_json(w->a, s.f.rv, out, &ev));
		same_str(ev->event_id, cmd.event_id);
		assert_true(event_verify(w->a, s.f.rv, ev, S("far"), S("ed25519:far"), t->far.key.public_key));
		assert_true(event_verify(w->a, s.f.rv, ev, S("test"), S("ed25519:1"), w->key.public_key));
		assert_int_equal(invited_to(&s), MEMBER_INVITE);
		good(try_invite(&s, &cmd)); /* again */
		int64_t user;
		good(store_intern(w->b->st, w->a, s.alice, &user));
		good(outsider_end(w->rs, w->a, s.f.room_id, s.alice, NULL));
	}
}
ADMITTED(an_invitation_is_signed_and_kept)

static void what_is_no_invitation_of_ours_is_refused(struct admitted *t)
{
	static const struct {
		const char *what, *key, *value, *origin, *version;
		bool unsealed;
		enum err_code want;
	} cases[] = {
		{ "as it should be", NULL, NULL, "far", "11", false, ERR_NONE },
		{ "a join", "content", "{'membership':'join'}", "far", "11", false, ERR_INVALID_PARAM },
		{ "another type", "type", "'m.room.name'", "far", "11", false, ERR_INVALID_PARAM },
		{ "of another server's user", "state_key", "'@alice:other'", "far", "11", false, ERR_INVALID_PARAM },
		{ "by another server's user", "sender", "'@admin:other'", "far", "11", false, ERR_INVALID_PARAM },
		{ "sent by another server", NULL, NULL, "other", "11", false, ERR_INVALID_PARAM },
		{ "of another room", "room_id", "'!other:far'", "far", "11", false, ERR_INVALID_PARAM },
		{ "not signed", "signatures", "{}", "far", "11", true, ERR_INVALID_PARAM },
		{ "changed", "content", "{'membership':'invite','x':1}", "far", "11", true, ERR_INVALID_PARAM },
		{ "a version that nobody knows", NULL, NULL, "far", "99", false, ERR_INCOMPATIBLE_ROOM_VERSION },
	};
	struct world *w = t->w;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct admit_invite cmd;
		struct json *event;
		struct event *ev;
		struct scene s;
		const err *e;

		begin(&s, t, "11");
		cmd = command(&s, invitation(&s));
		cmd.origin = str_c(cases[i].origin);
		cmd.version = str_c(cases[i].version);
		if (cases[i].key) {
			event = json_copy(w->a, cmd.event);
			json_set(w->a, event, str_c(cases[i].key), js(w->a, cases[i].value));
			cmd.event = cases[i].unsealed ? event : sealed(t, s.f.rv, event, &t->far);
			good(event_parse_json(w->a, s.f.rv, cmd.event, &ev));
			cmd.event_id = ev->event_id;
		}
		e = try_invite(&s, &cmd);
		ok((e ? e->code : ERR_NONE) == cases[i].want, "%s: %s", cases[i].what,
		   e ? err_errcode(e->code) : "taken");
		ok((invited_to(&s) == MEMBER_INVITE) == !cases[i].want, "%s", cases[i].what);
		if (!cases[i].want)
			good(outsider_end(w->rs, w->a, s.f.room_id, s.alice, NULL));
	}
}
ADMITTED(what_is_no_invitation_of_ours_is_refused)

/* Nobody learns who has an account here, and nothing is kept for who has none. */
static void nobody_may_be_invited(struct admitted *t)
{
	struct admit_invite cmd;
	struct scene s;

	begin(&s, t, "11");
	s.alice = S("@nobody:test");
	cmd = command(&s, invitation(&s));
	good(try_invite(&s, &cmd));
	assert_int_equal(invited_to(&s), MEMBER_NONE);
}
ADMITTED(nobody_may_be_invited)

/* "The m.room.create event is missing", "not formatted according to the room's version", "fails a signature check",
 * "does not reside in the same room": from version 12 on. */
static void what_is_shown_of_the_room_is_checked(struct admitted *t)
{
	enum { NOTHING, NO_CREATE, STRIPPED, OF_ANOTHER_ROOM, BAD_SIGNATURE, NO_LIST, MANY, CASES };
	struct world *w = t->w;

	for (int i = 0; i < CASES; i++) {
		for (int old = 0; old < 2; old++) {
			struct json *list = json_new_array(w->a);
			struct admit_invite cmd;
			struct scene s, another;
			const err *e;

			begin_on(&another, t, old ? "11" : "12", "other");
			begin(&s, t, old ? "11" : "12");
			far_state(&another.f, S("@admin:other"), "m.room.topic", S(""), "{'topic':'x'}");
			cmd = command(&s, invitation(&s));
			if (i != NO_CREATE)
				json_append(w->a, list, far_current(&s.f, "m.room.create", S(""))->json);
			if (i == STRIPPED)
				json_append(w->a, list,
					    js(w->a, "{'type':'m.room.name','state_key':'','sender':'@a:far',"
						     "'content':{'name':'x'}}"));
			if (i == OF_ANOTHER_ROOM)
				json_append(w->a, list, far_current(&another.f, "m.room.topic", S(""))->json);
			if (i == BAD_SIGNATURE)
				json_append(w->a, list,
					    sealed(t, s.f.rv, far_current(&s.f, "m.room.join_rules", S(""))->json,
						   &t->other));
			for (int k = 0; i == MANY && k < 200; k++)
				json_append(w->a, list, far_current(&s.f, "m.room.create", S(""))->json);
			cmd.stripped = i == NO_LIST ? js(w->a, "{}") : i == NOTHING ? NULL : list;
			e = try_invite(&s, &cmd);
			ok(!e == (old && i != NO_LIST && i != MANY), "case %d, %s: %s", i, old ? "11" : "12",
			   e ? err_errcode(e->code) : "taken");
			ok(!e || e->code == ERR_INVALID_PARAM, "case %d: %s", i, e ? err_errcode(e->code) : "");
			if (!e)
				good(outsider_end(w->rs, w->a, s.f.room_id, s.alice, NULL));
		}
	}
}
ADMITTED(what_is_shown_of_the_room_is_checked)

static void who_wants_no_invitations_gets_none(struct admitted *t)
{
	struct admit_invite cmd;
	struct actor alice;
	struct scene s;

	begin(&s, t, "11");
	cmd = command(&s, invitation(&s));
	alice = who(t->w, "alice");
	good(user_account_data_set(t->n.us, t->w->a, alice.user, 0, S("m.invite_permission_config"),
				   js(t->w->a, "{'default_action':'block'}")->raw));
	fails_with(try_invite(&s, &cmd), ERR_INVITE_BLOCKED);
	assert_int_equal(invited_to(&s), MEMBER_NONE);
}
ADMITTED(who_wants_no_invitations_gets_none)

/* Where we are in the room it says for itself who is invited; and its ACL counts. */
static void a_room_of_ours_is_asked(struct admitted *t)
{
	struct world *w = t->w;
	const struct actor owner = who(w, "owner");
	const str id = make_room(w, owner, "{'room_version':'11','preset':'public_chat'}");
	const struct event *out;
	struct admit_invite cmd;
	struct scene s;

	begin(&s, t, "11");
	s.f.room_id = id;
	good(try_pass(t, id, "admin", MEMBER_JOIN, &out));
	cmd = command(&s, invitation(&s));
	good(try_invite(&s, &cmd));
	assert_int_equal(invited_to(&s), MEMBER_NONE);
	cmd.version = S("10");
	fails_with(try_invite(&s, &cmd), ERR_INVALID_PARAM);
	cmd.version = S("11");
	set_state(w, owner, id, "m.room.server_acl", "", "{'allow':['*'],'deny':['far']}");
	fails_with(try_invite(&s, &cmd), ERR_FORBIDDEN);
}
ADMITTED(a_room_of_ours_is_asked)

TEST_MAIN(ADMITTED_TESTS(an_invitation_is_signed_and_kept), ADMITTED_TESTS(what_is_no_invitation_of_ours_is_refused),
	  ADMITTED_TESTS(nobody_may_be_invited), ADMITTED_TESTS(what_is_shown_of_the_room_is_checked),
	  ADMITTED_TESTS(who_wants_no_invitations_gets_none), ADMITTED_TESTS(a_room_of_ours_is_asked))
