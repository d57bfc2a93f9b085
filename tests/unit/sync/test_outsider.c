/* test_outsider.c - invitations to rooms that this server is not in: told when they come and when they are taken back.
 */
#include "synced.h"

#include "room/far_room.h"
#include "room/outsider.h"

static struct event *invited(struct synced *t, struct far *f, const struct actor *whom)
{
	struct world *w = t->w;
	struct event *ev =
		far_state(f, far_user(f, "admin"), "m.room.member", whom->user_id, "{'membership':'invite'}");
	const struct outsider_cmd cmd = {
		.version = f->rv,
		.event = ev,
		.server = f->signer.server_name,
		.stripped = js(w->a,
			       "[{'type':'m.room.name','state_key':'','sender':'@admin:far','content':{'name':'N'}}]"),
	};
	bool inside;

	good(outsider_put(w->rs, w->a, &cmd, &inside));
	assert_false(inside);
	return ev;
}

static const struct json *only_event(const struct json *room, const char *where)
{
	const struct json *events = events_of(room, where);

	assert_int_equal(count(events), 1);
	return events->array.items[0];
}

static void invitations_from_outside_are_told(struct synced *t)
{
	struct world *w = t->w;
	struct client c = { .by = who(w, "alice") }, fresh = c;
	struct far f;

	far_begin(&f, w->a, "12", "far");
	make_room(w, c.by, "{}");
	(void)ask(t, &c);
	invited(t, &f, &c.by);

	const struct json *room = part(ask(t, &c), "invite", f.room_id);
	assert_int_equal(count(events_of(room, "invite_state")), 2);
	ok(!part(ask(t, &c), "invite", f.room_id), "once");
	room = part(ask(t, &fresh), "invite", f.room_id);
	assert_int_equal(count(events_of(room, "invite_state")), 2);
	synced_restart(t);
	fresh.token = STR_NONE;
	assert_non_null(part(ask(t, &fresh), "invite", f.room_id));

	/* Taken back: by an event that is told, for clients go by it. */
	struct event *leave = far_state(&f, far_user(&f, "admin"), "m.room.member", c.by.user_id,
					"{'membership':'leave','reason':'sorry'}");
	bool out;
	good(outsider_withdraw(w->rs, w->a, S("far"), leave, &out));
	assert_true(out);
	room = part(ask(t, &c), "leave", f.room_id);
	const struct json *ev = only_event(room, "timeline");
	same_str(json_get_str(ev, S("event_id")), leave->event_id);
	same_str(json_get_str(json_get(ev, S("content")), S("reason")), S("sorry"));
	ok(!json_get_bool(json_get(room, S("timeline")), S("limited"), true), "there is nothing before it");
	ok(!part(ask(t, &c), "leave", f.room_id), "once");
	fresh.token = STR_NONE;
	const struct json *all = ask(t, &fresh);
	ok(!part(all, "leave", f.room_id) && !part(all, "invite", f.room_id), "who knows nothing of it hears nothing");
}

/* An answer that is bounded by a position from before the change: the next one tells. */
static void what_came_and_went_is_told_as_it_is(struct synced *t)
{
	struct world *w = t->w;
	struct client c = { .by = who(w, "alice") };
	struct far f;

	far_begin(&f, w->a, "11", "far");
	make_room(w, c.by, "{}");
	(void)ask(t, &c);
	invited(t, &f, &c.by);
	good(outsider_end(w->rs, w->a, f.room_id, c.by.user_id, NULL));
	assert_non_null(part(ask(t, &c), "leave", f.room_id));
	invited(t, &f, &c.by);
	assert_non_null(part(ask(t, &c), "invite", f.room_id));
}

/* Of a room that this server was in: what was said then is there still, and nothing of it is told again. */
static void an_invitation_back_is_told(struct synced *t)
{
	struct world *w = t->w;
	struct client c = { .by = who(w, "alice") };
	const str id = make_room(w, c.by, "{'room_version':'11','preset':'public_chat'}");
	struct far f;

	good(member(w, room_leave, c.by, id, NULL));
	(void)ask(t, &c);
	far_begin(&f, w->a, "11", "far");
	f.room_id = id;
	invited(t, &f, &c.by);
	assert_non_null(part(ask(t, &c), "invite", id));
	good(outsider_end(w->rs, w->a, id, c.by.user_id, NULL));
	const struct json *room = part(ask(t, &c), "leave", id);
	same_str(json_get_str(only_event(room, "timeline"), S("sender")), c.by.user_id);
}

SYNCED(invitations_from_outside_are_told)
SYNCED(what_came_and_went_is_told_as_it_is)
SYNCED(an_invitation_back_is_told)

TEST_MAIN(SYNCED_TESTS(invitations_from_outside_are_told), SYNCED_TESTS(what_came_and_went_is_told_as_it_is),
	  SYNCED_TESTS(an_invitation_back_is_told))
