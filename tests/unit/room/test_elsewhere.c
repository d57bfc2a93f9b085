/* Knocking upon and leaving rooms of other servers, and inviting their users. */
#include "far_site.h"

#include "room/outsider.h"
#include "store/outsiders.h"

static struct outsider *outsider_of(struct scene *s, const char *name)
{
	struct outsider *o;

	good(outsider_find(s->w->rs, s->w->a, s->f.room_id, who(s->w, name).user, &o));
	return o;
}

static struct member_row *row_of(struct scene *s, const char *name)
{
	struct member_row *m;
	AUTO_TX tx = NULL;
	int64_t room;

	good(store_intern(s->w->b->st, s->w->a, s->f.room_id, &room));
	good(store_read(s->w->b->st, s->w->a, &tx));
	good(store_member(tx, room, who(s->w, name).user, &m));
	return m;
}

static err *knock(struct scene *s, const char *name)
{
	const struct member_cmd cmd = {
		.by = who(s->w, name), .room_id = s->f.room_id, .reason = S("please"), .via = &s->far_name, .n_via = 1
	};
	str id;

	return room_knock(s->w->rs, s->w->a, &cmd, &id);
}

static err *leave(struct scene *s, const char *name)
{
	return room_leave(s->w->rs, s->w->a, &(struct member_cmd){ .by = who(s->w, name), .room_id = s->f.room_id });
}

static void invite_of(struct scene *s, const char *name)
{
	const str user = who(s->w, name).user_id;
	bool inside;
	const struct event *ev =
		far_state(&s->f, far_user(&s->f, "admin"), "m.room.member", user, "{'membership':'invite'}");

	good(outsider_put(s->w->rs, s->w->a,
			  &(struct outsider_cmd){ .version = s->f.rv, .event = ev, .server = s->far_name }, &inside));
	assert_false(inside);
}

/* The knock is made by another server's template; what that one shows of the room is what the user sees. */
SCENE(knocking, "11")
{
	struct json *sent;

	s->no[0] = (struct far_no){ "far.example", "send_knock", 403, "M_FORBIDDEN" };
	fails_with(knock(s, "alice"), ERR_FORBIDDEN);
	assert_null(outsider_of(s, "alice"));
	s->no[0].status = 0;
	good(knock(s, "alice"));
	assert_int_equal(outsider_of(s, "alice")->membership, MEMBER_KNOCK);
	same_str(outsider_of(s, "alice")->server, s->far_name);
	good(json_parse(s->w->a, arena_keep(s->w->a, s->sent), &json_limits_request, &sent));
	same_str(json_get_str(json_get(sent, S("content")), S("reason")), S("please"));
	assert_non_null(json_get(json_get(sent, S("signatures")), S("test")));
	/* the create event, which is well signed, and the knock; not the entry that is no event */
	struct json *shown;
	good(json_parse(s->w->a, row_of(s, "alice")->stripped, &json_limits_request, &shown));
	assert_int_equal(shown->array.n, 2);
	same_str(json_get_str(shown->array.items[0], S("type")), S("m.room.create"));
	/* Taken back: the server that took it is told. */
	good(leave(s, "alice"));
	assert_true(scene_was_asked(s, "far.example send_leave"));
	assert_int_equal(row_of(s, "alice")->membership, MEMBER_LEAVE);
	assert_int_equal(outsider_of(s, "alice")->membership, MEMBER_LEAVE);
}

/* An invitation is rejected at its sender's server, by either version of the endpoint, and in any case here. */
SCENE(rejecting, "11")
{
	static const struct {
		const char *part;
		int status;
		const char *errcode;
	} trouble[] = {
		{ "none", 0, NULL },
		{ "send_leave", 404, "v2" }, /* only the old endpoint is there */
		{ "make_leave", 403, "M_FORBIDDEN" },
		{ "make_leave", 502, "M_UNKNOWN" },
		{ "send_leave", 500, "M_UNKNOWN" },
	};

	for (size_t i = 0; i < ARRAY_LEN(trouble); i++) {
		const char *name = arena_printf(s->w->a, "user%zu", i).p;

		invite_of(s, name);
		s->no[0] = (struct far_no){ "far.example", trouble[i].part, trouble[i].status, trouble[i].errcode };
		good(leave(s, name));
		ok(row_of(s, name)->membership == MEMBER_LEAVE, "case %zu", i);
		ok(outsider_of(s, name)->membership == MEMBER_LEAVE, "case %zu", i);
		/* once is enough */
		ok(leave(s, name) != NULL, "case %zu", i);
	}
	assert_int_equal(scene_count(s, "far.example send_leave"), 4);
	/* In haste, a server that did not answer lately is not asked. */
	invite_of(s, "hasty");
	const size_t before = s->asked.n;
	good(room_leave(s->w->rs, s->w->a,
			&(struct member_cmd){ .by = who(s->w, "hasty"), .room_id = s->f.room_id, .hasty = true }));
	assert_int_equal(s->asked.n, before);
	assert_int_equal(row_of(s, "hasty")->membership, MEMBER_LEAVE);
	/* Who was never invited asks nobody. */
	const size_t asked = s->asked.n;
	assert_non_null(leave(s, "nobody"));
	assert_int_equal(s->asked.n, asked);
}

static err *invite(struct scene *s, str room_id, str target)
{
	return room_invite(s->w->rs, s->w->a,
			   &(struct member_cmd){ .by = who(s->w, "alice"), .room_id = room_id, .target = target });
}

static void inviting_in(struct scene *s, const char *version)
{
	struct world *w = s->w;
	const str room =
		make_room(w, who(w, "alice"), arena_printf(w->a, "{'room_version':'%s','name':'N'}", version).p);
	const str bob = far_user(&s->f, "bob");
	struct event_row *row;
	struct json *j, *sent;

	s->f.rv = room_version_find(str_c(version)); /* it signs what it is given */
	s->no[0] = (struct far_no){ "far.example", "invite", 403, "M_FORBIDDEN" };
	fails_with(invite(s, room, bob), ERR_FORBIDDEN);
	assert_null(current(w, room, "m.room.member", arena_cstr(w->a, bob)));
	s->no[0].status = 0;
	good(invite(s, room, bob));
	row = current(w, room, "m.room.member", arena_cstr(w->a, bob));
	ok(row && !(row->flags & (EVENT_GAP | EVENT_OUTLIER)) && row->stream && row->timeline, "part of the room");
	good(json_parse(w->a, row->json, &json_limits_event, &j));
	assert_non_null(json_get(json_get(j, S("signatures")), S("test")));
	assert_non_null(json_get(json_get(j, S("signatures")), s->far_name));
	good(json_parse(w->a, arena_keep(w->a, s->sent), &json_limits_request, &sent));
	same_str(json_get_str(sent, S("room_version")), str_c(version));
	/* what the room shows of itself: whole events, the create event among them */
	bool has_create = false, has_name = false;
	const struct json *shown = json_get_array(sent, S("invite_room_state"));
	JSON_ITEMS (shown, i) {
		const str type = json_get_str(shown->array.items[i], S("type"));

		assert_non_null(json_get(shown->array.items[i], S("signatures")));
		has_create = has_create || str_eq(type, S("m.room.create"));
		has_name = has_name || str_eq(type, S("m.room.name"));
	}
	assert_true(has_create && has_name);
	/* The same again is the same. */
	const size_t asked = s->asked.n;
	good(invite(s, room, bob));
	assert_int_equal(s->asked.n, asked);
	/* Who may not invite asks nobody. */
	fails_with(room_invite(w->rs, w->a,
			       &(struct member_cmd){
				       .by = who(w, "eve"), .room_id = room, .target = far_user(&s->f, "x") }),
		   ERR_FORBIDDEN);
	assert_int_equal(s->asked.n, asked);
}

SCENE(inviting_11, "11") { inviting_in(s, "11"); }
SCENE(inviting_12, "12") { inviting_in(s, "12"); }

/* "if the room version is "1" or "2"" the old endpoint is tried. */
SCENE(inviting_by_the_old_endpoint, "1")
{
	s->no[0] = (struct far_no){ "far.example", "invite", 404, "v2" };
	struct world *w = s->w;
	const str room = make_room(w, who(w, "alice"), "{'room_version':'1'}"), bob = far_user(&s->f, "bob");

	good(invite(s, room, bob));
	assert_non_null(current(w, room, "m.room.member", arena_cstr(w->a, bob)));
	assert_int_equal(scene_count(s, "far.example invite"), 2);
	const str newer = make_room(w, who(w, "alice"), "{'room_version':'6'}");
	assert_non_null(invite(s, newer, bob));
	assert_int_equal(scene_count(s, "far.example invite"), 3);
}

/* A direct chat with somebody elsewhere: the room is there, then the invitation goes out. */
SCENE(a_room_made_with_others, "11")
{
	struct world *w = s->w;
	const str bob = far_user(&s->f, "bob");
	const str body = arena_printf(w->a,
				      "{'room_version':'11','is_direct':true,'preset':'trusted_private_chat',"
				      "'invite':['%.*s','@carol:test']}",
				      STR_ARG(bob));
	bool elsewhere = false;
	str id;

	good(room_create(
		w->rs, w->a,
		&(struct create_cmd){ .by = who(w, "alice"), .body = js(w->a, body.p), .out_elsewhere = &elsewhere },
		&id));
	assert_true(elsewhere);
	assert_int_equal(s->asked.n, 0);
	id = make_room(w, who(w, "alice"), body.p);
	assert_int_equal(membership_now(w, id, "carol"), MEMBER_INVITE);
	const struct json *content = content_of(w, current(w, id, "m.room.member", arena_cstr(w->a, bob)));
	same_str(json_get_str(content, S("membership")), S("invite"));
	assert_true(json_get_bool(content, S("is_direct"), false));
	int64_t level;
	assert_true(json_get_int(json_get(content_of(w, current(w, id, "m.room.power_levels", "")), S("users")), bob,
				 &level));
	assert_int_equal(level, 100);
}

TEST_MAIN(WORLD_TESTS(knocking), WORLD_TESTS(rejecting), WORLD_TESTS(inviting_11), WORLD_TESTS(inviting_12),
	  WORLD_TESTS(inviting_by_the_old_endpoint), WORLD_TESTS(a_room_made_with_others))
