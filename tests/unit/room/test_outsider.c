/* test_outsider.c - rooms that are known by an invitation or a knock alone. */
#include "far_room.h"
#include "world.h"

#include "room/outsider.h"
#include "room/view.h"
#include "store/outsiders.h"

static const char *const versions[] = { "1", "6", "11", "12" };

static struct event *invitation(struct far *f, const struct actor *whom)
{
	return far_state(f, far_user(f, "admin"), "m.room.member", whom->user_id,
			 "{'membership':'invite','displayname':'Alice','avatar_url':'mxc://far/a'}");
}

static err *take_in(struct world *w, struct far *f, const struct event *ev, const char *stripped, bool *out_inside)
{
	const struct outsider_cmd cmd = {
		.version = f->rv,
		.event = ev,
		.server = f->signer.server_name,
		.stripped = stripped ? js(w->a, stripped) : NULL,
	};

	return outsider_put(w->rs, w->a, &cmd, out_inside);
}

static struct event *invite(struct world *w, struct far *f, const struct actor *whom, const char *stripped)
{
	struct event *ev = invitation(f, whom);
	bool inside;

	good(take_in(w, f, ev, stripped, &inside));
	assert_false(inside);
	return ev;
}

static struct outsider *outsider(struct world *w, str room_id, const struct actor *by)
{
	struct outsider *o;

	good(outsider_find(w->rs, w->a, room_id, by->user, &o));
	return o;
}

static struct member_row *row_of(struct world *w, str room_id, const struct actor *by)
{
	struct member_row *m;
	AUTO_TX tx = NULL;
	int64_t room;

	good(store_intern_find(w->b->st, w->a, room_id, &room));
	good(store_read(w->b->st, w->a, &tx));
	good(store_member(tx, room, by->user, &m));
	return m;
}

static enum membership is_now(struct world *w, str room_id, const struct actor *by)
{
	const struct member_row *m = row_of(w, room_id, by);

	return m ? m->membership : MEMBER_NONE;
}

static bool withdraw(struct world *w, const char *origin, const struct event *ev)
{
	bool out;

	good(outsider_withdraw(w->rs, w->a, str_c(origin), ev, &out));
	return out;
}

static void an_invitation_is_kept_beside_the_rooms(struct world *w)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const struct actor alice = who(w, "alice");
		const struct room_version *version;
		struct far f;

		far_begin(&f, w->a, versions[i], "far");
		const struct event *ev = invite(
			w, &f, &alice,
			"[{'type':'m.room.name','state_key':'','sender':'@admin:far','content':{'name':'N'},"
			"'hashes':{},'unsigned':{'age':1}},"
			"{'type':'m.room.member','state_key':'@alice:test','sender':'@eve:far','content':{}}, 3]");
		const struct member_row *m = row_of(w, f.room_id, &alice);
		const struct outsider *o = outsider(w, f.room_id, &alice);

		assert_int_equal(m->membership, MEMBER_INVITE);
		assert_int_equal(m->event, 0);
		ok(m->stream > 0 && (i || m->since == m->stream), "/sync finds it");
		same_str(m->displayname, S("Alice"));
		same_str(
			m->stripped,
			S("[{\"content\":{\"name\":\"N\"},\"sender\":\"@admin:far\",\"state_key\":\"\",\"type\":\"m.room.name\"},"
			  "{\"content\":{\"avatar_url\":\"mxc://far/a\",\"displayname\":\"Alice\",\"membership\":\"invite\"},"
			  "\"sender\":\"@admin:far\",\"state_key\":\"@alice:test\",\"type\":\"m.room.member\"}]"));
		same_str(o->event->event_id, ev->event_id);
		same_str(o->event->bytes, ev->bytes);
		same_str(o->server, S("far"));
		assert_ptr_equal(o->version, f.rv);
		good(outsider_room_version(w->rs, w->a, f.room_id, &version));
		assert_ptr_equal(version, f.rv);
		ok(event_row(w, ev->event_id) == NULL, "nothing rests on an event that nobody can judge");
	}
}
WORLD(an_invitation_is_kept_beside_the_rooms)

static void whoever_invited_may_take_it_back(struct world *w)
{
	static const struct {
		const char *what, *origin, *sender, *membership;
		bool taken_back;
	} cases[] = {
		{ "a stranger's server", "else", "@admin:else", "leave", false },
		{ "the user, who tells us otherwise", "far", "@alice:test", "leave", false },
		{ "no leave", "far", "@admin:far", "join", false },
		{ "who invited", "far", "@admin:far", "leave", true },
		{ "a moderator of there, by a ban", "far", "@mod:far", "ban", true },
		{ "somebody of there, passed on by another server", "else", "@mod:far", "leave", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct actor alice = who(w, "alice");
		struct far f;

		far_begin(&f, w->a, i % 2 ? "1" : "12", "far");
		invite(w, &f, &alice, NULL);
		const struct event *ev =
			far_state(&f, str_c(cases[i].sender), "m.room.member", alice.user_id,
				  arena_printf(w->a, "{'membership':'%s','i':%zu}", cases[i].membership, i).p);
		ok(withdraw(w, cases[i].origin, ev) == cases[i].taken_back, "%s", cases[i].what);
		ok((is_now(w, f.room_id, &alice) == MEMBER_INVITE) != cases[i].taken_back, "%s", cases[i].what);
		if (!cases[i].taken_back) {
			good(outsider_end(w->rs, w->a, f.room_id, alice.user_id, NULL));
			continue;
		}
		ok(!withdraw(w, cases[i].origin, ev), "%s: once", cases[i].what);
		same_str(outsider(w, f.room_id, &alice)->event->event_id, ev->event_id);
	}
}
WORLD(whoever_invited_may_take_it_back)

static void whoever_took_a_knock_may_deny_it(struct world *w)
{
	static const struct {
		const char *origin, *sender;
		bool denied;
	} cases[] = {
		{ "else", "@admin:else", false },
		{ "far", "@admin:else", true }, /* the room's other servers have moderators, too */
		{ "else", "@admin:far", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct actor alice = who(w, "alice");
		struct event *ev;
		struct far f;
		bool inside;

		far_begin(&f, w->a, "11", "far");
		ev = far_state(&f, alice.user_id, "m.room.member", alice.user_id, "{'membership':'knock'}");
		good(take_in(w, &f, ev, NULL, &inside));
		assert_int_equal(is_now(w, f.room_id, &alice), MEMBER_KNOCK);
		ev = far_state(&f, str_c(cases[i].sender), "m.room.member", alice.user_id, "{'membership':'leave'}");
		ok(withdraw(w, cases[i].origin, ev) == cases[i].denied, "case %zu", i);
		ev = invitation(&f, &alice);
		good(take_in(w, &f, ev, NULL, &inside));
		ok(is_now(w, f.room_id, &alice) == MEMBER_INVITE, "a knock, or what is left of one, is answered");
		good(outsider_end(w->rs, w->a, f.room_id, alice.user_id, NULL));
	}
}
WORLD(whoever_took_a_knock_may_deny_it)

static void one_can_always_get_out(struct world *w)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const struct actor alice = who(w, "alice");
		const struct outsider *o;
		struct event *received;
		struct far f;

		far_begin(&f, w->a, versions[i], "far");
		fails_with(outsider_end(w->rs, w->a, f.room_id, alice.user_id, NULL), ERR_NOT_FOUND);
		const struct event *ev = invite(w, &f, &alice, NULL);
		good(outsider_end(w->rs, w->a, f.room_id, alice.user_id, NULL));
		assert_int_equal(is_now(w, f.room_id, &alice), MEMBER_LEAVE);
		ok(row_of(w, f.room_id, &alice)->sender == alice.user, "of their own will");
		o = outsider(w, f.room_id, &alice);
		good(event_parse(w->a, f.rv, o->event->bytes, &received));
		same_str(received->event_id, o->event->event_id);
		same_str(received->prev_events[0], ev->event_id);
		assert_true(event_verify(w->a, f.rv, received, S("test"), S("ed25519:1"), w->key.public_key));
		fails_with(outsider_end(w->rs, w->a, f.room_id, alice.user_id, NULL), ERR_NOT_FOUND);
		good(room_forget(w->rs, w->a, &(struct member_cmd){ .by = alice, .room_id = f.room_id }));
		assert_true(row_of(w, f.room_id, &alice)->forgotten);
	}
}
WORLD(one_can_always_get_out)

static void a_room_that_we_are_in_says_for_itself_who_is_invited(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'room_version':'11','preset':'public_chat'}");
	struct far f;
	bool inside;

	far_begin(&f, w->a, "11", "far");
	f.room_id = id;
	good(take_in(w, &f, invitation(&f, &bob), NULL, &inside));
	assert_true(inside);
	assert_int_equal(is_now(w, id, &bob), MEMBER_NONE);
	ok(outsider(w, id, &bob) == NULL, "nothing was stored");
}
WORLD(a_room_that_we_are_in_says_for_itself_who_is_invited)

/* The state that this server has of the room is of then; an invitation that was declined takes nothing away of it. */
static void who_was_in_still_reads_what_they_could(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{'room_version':'11','preset':'public_chat'}");
	const str said = say(w, alice, id, "then");
	const struct event_row *row;
	struct room_view *v;
	AUTO_TX tx = NULL;
	struct far f;

	good(member(w, room_leave, alice, id, NULL));
	far_begin(&f, w->a, "11", "far");
	f.room_id = id;
	invite(w, &f, &alice, NULL);
	assert_int_equal(is_now(w, id, &alice), MEMBER_INVITE);
	good(outsider_end(w->rs, w->a, id, alice.user_id, NULL));
	good(store_read(w->b->st, w->a, &tx));
	good(room_view_open(w->rs, w->a, tx, id, alice.user, alice.user_id, VIEW_MEMBER, &v));
	good(room_view_event(v, said, &row));
	ok(room_view_root(v).node != 0, "the state as it was when they left");
}
WORLD(who_was_in_still_reads_what_they_could)

/*
 * Bounds
 */
struct crowd {
	int64_t room, user, server;
	size_t n;
	bool users; /* as many users, else as many rooms */
};

static err *write_crowd(struct tx *tx, void *arg)
{
	const struct crowd *c = arg;

	for (size_t i = 0; i < c->n; i++) {
		const struct outsider_row row = {
			.room = c->users ? c->room : c->room + (int64_t)i,
			.user = c->users ? c->user + (int64_t)i : c->user,
			.membership = MEMBER_INVITE,
			.server = c->server,
			.version = S("11"),
			.event_id = S("$x"),
			.json = S("{}"),
		};

		TRY(store_outsider_save(tx, &row));
	}
	return NULL;
}

static void invitations_are_bounded(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	struct crowd of_user = { .room = 1000000, .user = alice.user, .n = 999 },
		     of_server = { .room = 1, .user = 1000000, .n = 19998, .users = true };
	struct far f, g, other;
	bool inside;

	far_begin(&f, w->a, "11", "far");
	far_begin(&g, w->a, "12", "far");
	far_begin(&other, w->a, "12", "elsewhere");
	good(store_intern(w->b->st, w->a, S("nobody"), &of_user.server));
	good(store_intern(w->b->st, w->a, S("far"), &of_server.server));
	good(store_do(w->b->st, w->a, write_crowd, &of_user));
	invite(w, &f, &alice, NULL);
	fails_with(take_in(w, &g, invitation(&g, &alice), NULL, &inside), ERR_LIMIT_EXCEEDED);
	invite(w, &f, &alice, NULL); /* another for the same room is none more */
	good(outsider_end(w->rs, w->a, f.room_id, alice.user_id, NULL));
	invite(w, &g, &alice, NULL);

	good(store_do(w->b->st, w->a, write_crowd, &of_server));
	invite(w, &f, &bob, NULL);
	fails_with(take_in(w, &g, invitation(&g, &bob), NULL, &inside), ERR_LIMIT_EXCEEDED);
	invite(w, &other, &bob, NULL); /* who else invites is not hurt */
}
WORLD(invitations_are_bounded)

static void what_comes_along_is_bounded(struct world *w)
{
	const struct actor alice = who(w, "alice");
	struct json *list = json_new_array(w->a);
	struct outsider_cmd cmd = { .server = S("far") };
	const struct member_row *m;
	struct far f;
	bool inside;

	far_begin(&f, w->a, "11", "far");
	for (size_t i = 0; i < 100; i++) {
		const str text =
			arena_printf(w->a, "{'type':'t%zu','state_key':'','sender':'@a:far','content':{'x':'%0*d'}}", i,
				     i == 0 ? 20000 : 1900, 0);

		json_append(w->a, list, js(w->a, text.p));
	}
	cmd.version = f.rv;
	cmd.event = invitation(&f, &alice);
	cmd.stripped = list;
	good(outsider_put(w->rs, w->a, &cmd, &inside));
	m = row_of(w, f.room_id, &alice);
	ok(m->stripped.n < 128 << 10, "%zu bytes", m->stripped.n);
	ok(m->stripped.n > 2, "the invitation is told all the same");
	list->array.n = 10;
	good(outsider_put(w->rs, w->a, &cmd, &inside));
	m = row_of(w, f.room_id, &alice);
	ok(m->stripped.n > 9 * 1900 && m->stripped.n < 10 * 2100, "all but the one that is too long: %zu",
	   m->stripped.n);
}
WORLD(what_comes_along_is_bounded)

TEST_MAIN(WORLD_TESTS(an_invitation_is_kept_beside_the_rooms), WORLD_TESTS(whoever_invited_may_take_it_back),
	  WORLD_TESTS(whoever_took_a_knock_may_deny_it), WORLD_TESTS(one_can_always_get_out),
	  WORLD_TESTS(a_room_that_we_are_in_says_for_itself_who_is_invited),
	  WORLD_TESTS(who_was_in_still_reads_what_they_could), WORLD_TESTS(invitations_are_bounded),
	  WORLD_TESTS(what_comes_along_is_bounded))
