/* test_membership.c - who may become what: every change of membership, and its traces in the flat tables. */
#include "world.h"

#include "store/account_data.h"

/* What target (bob) was, what is done, what comes of it. alice made the room (power 100), mod may kick (50). */
static const struct {
	const char *was;  /* none join invite leave ban knock */
	const char *rule; /* join rule */
	const char *by, *act;
	enum err_code code; /* ERR_NONE: done */
	enum membership then;
} matrix[] = {
	{ "none", "public", "bob", "join", ERR_NONE, MEMBER_JOIN },
	{ "none", "invite", "bob", "join", ERR_FORBIDDEN, MEMBER_NONE },
	{ "invite", "invite", "bob", "join", ERR_NONE, MEMBER_JOIN },
	{ "join", "invite", "bob", "join", ERR_NONE, MEMBER_JOIN },
	{ "leave", "public", "bob", "join", ERR_NONE, MEMBER_JOIN },
	{ "leave", "invite", "bob", "join", ERR_FORBIDDEN, MEMBER_LEAVE },
	{ "ban", "public", "bob", "join", ERR_FORBIDDEN, MEMBER_BAN },
	{ "none", "knock", "bob", "knock", ERR_NONE, MEMBER_KNOCK },
	{ "none", "public", "bob", "knock", ERR_FORBIDDEN, MEMBER_NONE },
	{ "join", "knock", "bob", "knock", ERR_FORBIDDEN, MEMBER_JOIN },
	{ "ban", "knock", "bob", "knock", ERR_FORBIDDEN, MEMBER_BAN },
	{ "knock", "knock", "alice", "invite", ERR_NONE, MEMBER_INVITE },
	{ "knock", "knock", "bob", "leave", ERR_NONE, MEMBER_LEAVE },
	{ "knock", "knock", "mod", "kick", ERR_NONE, MEMBER_LEAVE },
	{ "none", "invite", "alice", "invite", ERR_NONE, MEMBER_INVITE },
	{ "invite", "invite", "alice", "invite", ERR_NONE, MEMBER_INVITE },
	{ "join", "invite", "alice", "invite", ERR_FORBIDDEN, MEMBER_JOIN },
	{ "ban", "invite", "alice", "invite", ERR_FORBIDDEN, MEMBER_BAN },
	{ "none", "invite", "eve", "invite", ERR_FORBIDDEN, MEMBER_NONE },
	{ "invite", "invite", "bob", "leave", ERR_NONE, MEMBER_LEAVE },
	{ "join", "invite", "bob", "leave", ERR_NONE, MEMBER_LEAVE },
	{ "none", "invite", "bob", "leave", ERR_FORBIDDEN, MEMBER_NONE },
	{ "ban", "invite", "bob", "leave", ERR_FORBIDDEN, MEMBER_BAN },
	{ "join", "invite", "mod", "kick", ERR_NONE, MEMBER_LEAVE },
	{ "invite", "invite", "mod", "kick", ERR_NONE, MEMBER_LEAVE },
	{ "none", "invite", "mod", "kick", ERR_FORBIDDEN, MEMBER_NONE },
	{ "leave", "invite", "mod", "kick", ERR_FORBIDDEN, MEMBER_LEAVE },
	{ "ban", "invite", "mod", "kick", ERR_FORBIDDEN, MEMBER_BAN },
	{ "join", "invite", "carol", "kick", ERR_FORBIDDEN, MEMBER_JOIN },
	{ "join", "invite", "eve", "kick", ERR_FORBIDDEN, MEMBER_JOIN },
	{ "join", "invite", "mod", "ban", ERR_NONE, MEMBER_BAN },
	{ "none", "invite", "mod", "ban", ERR_NONE, MEMBER_BAN },
	{ "join", "invite", "carol", "ban", ERR_FORBIDDEN, MEMBER_JOIN },
	{ "ban", "invite", "mod", "unban", ERR_NONE, MEMBER_LEAVE },
	{ "join", "invite", "mod", "unban", ERR_FORBIDDEN, MEMBER_JOIN },
	{ "none", "invite", "mod", "unban", ERR_FORBIDDEN, MEMBER_NONE },
	{ "ban", "invite", "carol", "unban", ERR_FORBIDDEN, MEMBER_BAN },
};

static str room_for_matrix(struct world *w, const char *rule, const char *version)
{
	const struct actor alice = who(w, "alice");
	const str body =
		arena_printf(w->a,
			     "{'room_version':'%s','initial_state':[{'type':'m.room.join_rules','content':"
			     "{'join_rule':'public'}}],'power_level_content_override':{'users':{%s'@mod:test':50}}}",
			     version, strcmp(version, "12") == 0 ? "" : "'@alice:test':100,");
	const str id = make_room(w, alice, body.p);

	good(join(w, who(w, "mod"), id));
	good(join(w, who(w, "carol"), id));
	set_state(w, alice, id, "m.room.join_rules", "", arena_printf(w->a, "{'join_rule':'%s'}", rule).p);
	return id;
}

static void bring_about(struct world *w, str id, const char *was)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	str out;

	if (strcmp(was, "knock") == 0) {
		good(room_knock(w->rs, w->a, &(struct member_cmd){ .by = bob, .room_id = id }, &out));
		return;
	}
	if (strcmp(was, "none") == 0)
		return;
	if (strcmp(was, "ban") == 0) {
		good(member(w, room_ban, alice, id, "bob"));
		return;
	}
	good(member(w, room_invite, alice, id, "bob"));
	if (strcmp(was, "invite") == 0)
		return;
	good(join(w, bob, id));
	if (strcmp(was, "leave") == 0)
		good(member(w, room_leave, bob, id, NULL));
}

static err *act(struct world *w, str id, const char *by, const char *what)
{
	static const struct {
		const char *name;
		world_door *door;
	} doors[] = { { "invite", room_invite }, { "kick", room_kick }, { "ban", room_ban }, { "unban", room_unban } };
	const struct actor actor = who(w, by);
	str out;

	if (strcmp(what, "join") == 0)
		return join(w, actor, id);
	if (strcmp(what, "leave") == 0)
		return member(w, room_leave, actor, id, NULL);
	if (strcmp(what, "knock") == 0)
		return room_knock(w->rs, w->a, &(struct member_cmd){ .by = actor, .room_id = id }, &out);
	for (size_t i = 0; i < ARRAY_LEN(doors); i++)
		if (strcmp(doors[i].name, what) == 0)
			return member(w, doors[i].door, actor, id, "bob");
	fail();
	return NULL;
}

static void check_matrix(struct world *w, const char *version)
{
	for (size_t i = 0; i < ARRAY_LEN(matrix); i++) {
		const str id = room_for_matrix(w, matrix[i].rule, version);
		const struct event_row *row;
		enum membership now;
		err *e;

		bring_about(w, id, matrix[i].was);
		e = act(w, id, matrix[i].by, matrix[i].act);
		ok((e ? e->code : ERR_NONE) == matrix[i].code, "%s, %s: %s by %s: %.*s", matrix[i].was, matrix[i].rule,
		   matrix[i].act, matrix[i].by, STR_ARG(e ? e->msg : S("done")));
		now = membership_now(w, id, "bob");
		ok(now == matrix[i].then, "%s, %s: %s by %s", matrix[i].was, matrix[i].rule, matrix[i].act,
		   matrix[i].by);
		row = current(w, id, "m.room.member", "@bob:test");
		same_str(row ? json_get_str(content_of(w, row), S("membership")) : STR_NONE, membership_text(now));
	}
}

static void the_matrix_of_changes_v11(struct world *w) { check_matrix(w, "11"); }
WORLD(the_matrix_of_changes_v11)
static void the_matrix_of_changes_v12(struct world *w) { check_matrix(w, "12"); }
WORLD(the_matrix_of_changes_v12)

static void members_are_counted(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'preset':'public_chat','invite':['@carol:test','@dan:test']}");
	struct room_head_row *h;
	int64_t *servers;
	AUTO_TX tx = NULL;
	size_t n;

	good(join(w, bob, id));
	good(join(w, who(w, "carol"), id));
	good(member(w, room_leave, bob, id, NULL));
	good(store_read(w->b->st, w->a, &tx));
	good(store_head_load(tx, room_nid(w, id), &h));
	assert_int_equal(h->joined, 2);
	assert_int_equal(h->invited, 1);
	good(store_room_servers(tx, room_nid(w, id), &servers, &n));
	assert_int_equal(n, 1);
}
WORLD(members_are_counted)

static void since_is_when_the_membership_began(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'preset':'public_chat'}");
	int64_t since, stream;

	good(join(w, bob, id));
	since = membership_row(w, id, "bob")->since;
	stream = membership_row(w, id, "bob")->stream;
	assert_int_equal(since, stream);
	set_state(w, bob, id, "m.room.member", "@bob:test", "{'membership':'join','displayname':'Bob'}");
	assert_int_equal(membership_row(w, id, "bob")->since, since);
	ok(membership_row(w, id, "bob")->stream > stream, "the event is another");
	same_str(membership_row(w, id, "bob")->displayname, S("Bob"));
}
WORLD(since_is_when_the_membership_began)

static void a_second_join_is_no_event(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'preset':'public_chat'}");
	int64_t event;

	good(join(w, bob, id));
	event = membership_row(w, id, "bob")->event;
	good(join(w, bob, id));
	assert_int_equal(membership_row(w, id, "bob")->event, event);
}
WORLD(a_second_join_is_no_event)

static void forgetting_needs_leaving(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'preset':'public_chat'}");

	good(join(w, bob, id));
	fails_with(member(w, room_forget, bob, id, NULL), ERR_UNKNOWN);
	good(member(w, room_leave, bob, id, NULL));
	good(member(w, room_forget, bob, id, NULL));
	ok(membership_row(w, id, "bob")->forgotten, "forgotten");
	good(join(w, bob, id));
	ok(!membership_row(w, id, "bob")->forgotten, "known again");
}
WORLD(forgetting_needs_leaving)

struct forgetting {
	int64_t room, user;
};
static err *forget_late(struct tx *tx, void *arg)
{
	const struct forgetting *f = arg;

	return store_member_forget(tx, f->room, f->user);
}

/* The check and the write are apart: who came back in between is not forgotten. */
static void who_came_back_is_not_forgotten(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'preset':'public_chat'}");
	struct forgetting f = { room_nid(w, id), bob.user };

	good(join(w, bob, id));
	good(store_do(w->b->st, w->a, forget_late, &f));
	ok(!membership_row(w, id, "bob")->forgotten, "a member");
	good(member(w, room_leave, bob, id, NULL));
	good(store_do(w->b->st, w->a, forget_late, &f));
	ok(membership_row(w, id, "bob")->forgotten, "gone");
}
WORLD(who_came_back_is_not_forgotten)

/* A restricted room: who is in `parent` may join. */
static str restricted_room(struct world *w, struct actor by, str parent, const char *more)
{
	const str body =
		arena_printf(w->a,
			     "{'initial_state':[{'type':'m.room.join_rules','content':{'join_rule':'restricted',"
			     "'allow':[{'type':'cake'},{'type':'m.room_membership','room_id':'%.*s'}]}}]%s}",
			     STR_ARG(parent), more);

	return make_room(w, by, body.p);
}

static void members_of_another_room_may_join(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob"), eve = who(w, "eve");
	const str parent = make_room(w, alice, "{'preset':'public_chat'}");
	const str id = restricted_room(w, alice, parent, "");

	fails_with(join(w, bob, id), ERR_FORBIDDEN);
	good(join(w, bob, parent));
	good(join(w, bob, id));
	same_str(json_get_str(content_of(w, current(w, id, "m.room.member", "@bob:test")),
			      S("join_authorised_via_users_server")),
		 alice.user_id);
	/* Whoever is in stays in without being vouched for again, whatever they say. */
	set_state(w, bob, id, "m.room.member", "@bob:test", "{'membership':'join','displayname':'B'}");
	fails_with(try_send(w, w->a, eve, id, "m.room.member", "@eve:test",
			    "{'membership':'join','join_authorised_via_users_server':'@alice:test'}", NULL,
			    &(str){ 0 }),
		   ERR_FORBIDDEN);
	/* An invitation needs no other room. */
	good(member(w, room_invite, alice, id, "eve"));
	good(join(w, eve, id));
}
WORLD(members_of_another_room_may_join)

static void nobody_left_to_vouch(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob"), carol = who(w, "carol");
	const str parent = make_room(w, alice, "{'preset':'public_chat'}");
	const str id = restricted_room(w, alice, parent, ",'power_level_content_override':{'invite':50}");

	good(join(w, bob, parent));
	good(join(w, carol, parent));
	good(join(w, bob, id));
	good(member(w, room_leave, alice, id, NULL));
	fails_with(join(w, carol, id), ERR_UNABLE_TO_GRANT_JOIN);
}
WORLD(nobody_left_to_vouch)

static void rooms_that_are_not_there(struct world *w)
{
	const struct actor alice = who(w, "alice");
	str out;

	fails_with(join(w, alice, S("!no:test")), ERR_NOT_FOUND);
	fails_with(join(w, alice, S("#no:test")), ERR_NOT_FOUND);
	fails_with(join(w, alice, S("#no:elsewhere")), ERR_NOT_FOUND);
	fails_with(join(w, alice, S("no")), ERR_INVALID_PARAM);
	fails_with(room_knock(w->rs, w->a, &(struct member_cmd){ .by = alice, .room_id = S("!no:test") }, &out),
		   ERR_NOT_FOUND);
	fails_with(member(w, room_leave, alice, S("!no:test"), NULL), ERR_FORBIDDEN);
	fails_with(member(w, room_forget, alice, S("!no:test"), NULL), ERR_NOT_FOUND);
}
WORLD(rooms_that_are_not_there)

static err *block(struct tx *tx, void *arg)
{
	struct account_data_row row = { .type = S("m.invite_permission_config"),
					.content = S("{\"default_action\":\"block\"}") },
				*old;
	const struct actor *who = arg;

	TRY(store_account_data_begin(tx, who->user, &row, &old));
	return store_account_data_set(tx, who->user, &row);
}

static void blocked_invitations(struct world *w)
{
	struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'preset':'public_chat'}");
	struct ticket *ticket;
	str out;

	good(store_write(w->b->st, w->a, &(struct piece){ .late = block, .arg = &bob }, &ticket));
	good(store_wait(w->a, ticket));
	fails_with(member(w, room_invite, alice, id, "bob"), ERR_INVITE_BLOCKED);
	fails_with(try_send(w, w->a, alice, id, "m.room.member", "@bob:test", "{'membership':'invite'}", NULL, &out),
		   ERR_INVITE_BLOCKED);
	fails_with(try_create(w, alice, "{'invite':['@carol:test','@bob:test']}", &out), ERR_INVITE_BLOCKED);
	ok(membership_now(w, id, "bob") == MEMBER_NONE, "nothing came of it");
	good(join(w, bob, id)); /* it is about invitations alone */
}
WORLD(blocked_invitations)

/* However much the room has to say of itself, who is invited learns by whom. */
static void an_invitation_is_never_silent(struct world *w)
{
	static const char *const types[] = { "m.room.name", "m.room.topic", "m.room.avatar", "m.room.encryption" };
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}");
	const str big = arena_printf(w->a, "{'x':'%060000d'}", 0);
	struct json *shown;

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		set_state(w, alice, id, types[i], "", big.p);
	set_state(w, alice, id, "m.room.canonical_alias", "", big.p);
	good(member(w, room_invite, alice, id, "bob"));
	good(json_parse(w->a, membership_row(w, id, "bob")->stripped, &json_limits_request, &shown));
	ok(shown->array.n >= 3, "create, join rules, alice, bob");
	same_str(json_get_str(shown->array.items[shown->array.n - 1], S("state_key")), S("@bob:test"));
}
WORLD(an_invitation_is_never_silent)

static err *profile(void *ctx, struct arena *a, int64_t user, str *out_displayname, str *out_avatar_url)
{
	(void)a;
	(void)user;
	*out_displayname = *(str *)ctx;
	*out_avatar_url = S("mxc://a/b");
	return NULL;
}

static void profiles_stand_in_member_events(struct world *w)
{
	str name = S("Someone");

	w->opt.profile = profile;
	w->opt.profile_ctx = &name;
	world_restart(w);
	const struct actor alice = who(w, "alice");
	who(w, "bob"); /* has an account */
	const str id = make_room(w, alice, "{'invite':['@bob:test']}");

	same_str(membership_row(w, id, "alice")->displayname, S("Someone"));
	same_str(membership_row(w, id, "bob")->avatar_url, S("mxc://a/b"));
	name = S("Someone else");
	good(room_refresh_profile(w->rs, w->a, &alice, id));
	same_str(membership_row(w, id, "alice")->displayname, S("Someone else"));
	const int64_t event = membership_row(w, id, "alice")->event;
	good(room_refresh_profile(w->rs, w->a, &alice, id));
	assert_int_equal(membership_row(w, id, "alice")->event, event);
}
WORLD(profiles_stand_in_member_events)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(the_matrix_of_changes_v11),
		WORLD_TESTS(the_matrix_of_changes_v12),
		WORLD_TESTS(members_are_counted),
		WORLD_TESTS(since_is_when_the_membership_began),
		WORLD_TESTS(a_second_join_is_no_event),
		WORLD_TESTS(forgetting_needs_leaving),
		WORLD_TESTS(who_came_back_is_not_forgotten),
		WORLD_TESTS(blocked_invitations),
		WORLD_TESTS(an_invitation_is_never_silent),
		WORLD_TESTS(members_of_another_room_may_join),
		WORLD_TESTS(nobody_left_to_vouch),
		WORLD_TESTS(rooms_that_are_not_there),
		WORLD_TESTS(profiles_stand_in_member_events),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
