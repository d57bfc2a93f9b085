/*
 * test_view.c - who sees which event: the view against the specification's rules, applied one by one to the whole
 * history of rooms in which anything may happen. "Room History Visibility", server behaviour.
 */
#include "world.h"

#include "crypto/crypto.h"
#include "room/view.h"

#include <stdlib.h>

struct moment { /* what holds before and after an event, for the reader */
	enum history_visibility hv_before, hv_after;
	enum membership before, after;
	bool decides; /* an m.room.history_visibility, or the reader's own m.room.member */
};
struct history {
	struct event_row **rows;
	struct moment *at;
	size_t n;
	enum history_visibility hv;
	enum membership now;
	bool ever_joined;
};

/* Rule 1 to 5. */
static bool allows(enum history_visibility hv, enum membership m, bool joined_later)
{
	if (hv == HISTORY_WORLD_READABLE)
		return true;
	if (m == MEMBER_JOIN)
		return true;
	if (hv == HISTORY_SHARED && joined_later)
		return true;
	return m == MEMBER_INVITE && hv == HISTORY_INVITED;
}

static bool should_see(const struct history *h, size_t i)
{
	const struct moment *at = &h->at[i];
	bool later = false;

	for (size_t k = i + 1; k < h->n; k++)
		later |= h->at[k].before != MEMBER_JOIN && h->at[k].after == MEMBER_JOIN;
	/* Who is in already need not join again. */
	if (allows(at->hv_after, at->after, later || at->after == MEMBER_JOIN))
		return true;
	return at->decides && allows(at->hv_before, at->before, later);
}

static str text_of_type(struct world *w, int64_t nid)
{
	str text;

	good(store_intern_text(w->b->st, w->a, nid, &text));
	return text;
}

static struct history read_history(struct world *w, str room, struct actor reader)
{
	struct history h = { .hv = HISTORY_SHARED, .now = MEMBER_NONE };
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_events_by_timeline(tx, room_nid(w, room), 0, false, 10000, &h.rows, &h.n));
	h.at = ARENA_ARRAY(w->a, struct moment, h.n);
	for (size_t i = 0; i < h.n; i++) {
		const struct json *content = content_of(w, h.rows[i]);
		struct moment *at = &h.at[i];

		*at = (struct moment){ h.hv, h.hv, h.now, h.now, false };
		if (str_eq(text_of_type(w, h.rows[i]->type), S("m.room.history_visibility"))) {
			at->decides = true;
			at->hv_after = h.hv = history_visibility_parse(json_get_str(content, S("history_visibility")));
		} else if (str_eq(text_of_type(w, h.rows[i]->type), S("m.room.member")) &&
			   h.rows[i]->state_key == reader.user) {
			at->decides = true;
			at->after = h.now = membership_of_text(json_get_str(content, S("membership")));
			h.ever_joined |= h.now == MEMBER_JOIN;
		}
	}
	return h;
}

static void compare(struct world *w, str room, struct actor reader, int step)
{
	const struct history h = read_history(w, room, reader);
	const bool may_look = h.now == MEMBER_JOIN ||
			      ((h.now == MEMBER_LEAVE || h.now == MEMBER_BAN) && h.ever_joined) ||
			      h.hv == HISTORY_WORLD_READABLE;
	bool *seen = ARENA_ARRAY(w->a, bool, h.n);
	struct room_view *v;
	AUTO_TX tx = NULL;
	const err *e;

	good(store_read(w->b->st, w->a, &tx));
	e = room_view_open(w->rs, w->a, tx, room, reader.user, reader.user_id, VIEW_MEMBER, &v);
	ok((e == NULL) == may_look, "step %d: %s %s look", step, reader.user_id.p, may_look ? "may" : "may not");
	if (e) {
		assert_int_equal(e->code, ERR_FORBIDDEN);
		return;
	}
	good(room_view_sees(v, (const struct event_row *const *)h.rows, h.n, seen));
	for (size_t i = 0; i < h.n; i++) {
		str membership;

		ok(seen[i] == should_see(&h, i),
		   "step %d, event %d: seen %d; visibility %d > %d, membership %d > %d, now %d", step, (int)i, seen[i],
		   h.at[i].hv_before, h.at[i].hv_after, h.at[i].before, h.at[i].after, h.now);
		good(room_view_membership_at(v, h.rows[i], &membership));
		same_str(membership, membership_text(h.at[i].after == MEMBER_NONE ? MEMBER_LEAVE : h.at[i].after));
	}
}

static void anything(struct world *w, struct actor alice, struct actor who, const char *name, str room)
{
	static const char *const visibilities[] = { "world_readable", "shared", "invited", "joined", "nonsense" };
	err *e = NULL;

	/* What is not allowed at the moment does not happen. */
	switch (rand() % 10) {
	case 0:
	case 1:
		e = join(w, who, room);
		break;
	case 2:
		e = member(w, room_leave, who, room, NULL);
		break;
	case 3:
		e = member(w, room_invite, alice, room, name);
		break;
	case 4:
		e = member(w, rand() % 2 ? room_kick : room_ban, alice, room, name);
		break;
	case 5:
		e = member(w, room_unban, alice, room, name);
		break;
	case 6:
		set_state(w, alice, room, "m.room.history_visibility", "",
			  arena_printf(w->a, "{'history_visibility':'%s'}", visibilities[rand() % 5]).p);
		break;
	case 7: {
		str id;

		e = try_send(w, w->a, who, room, "m.room.member", who.user_id.p,
			     arena_printf(w->a, "{'membership':'join','displayname':'%d'}", rand()).p, NULL, &id);
		break;
	}
	default:
		say(w, alice, room, "x");
	}
	(void)e;
}

static void the_view_is_the_specifications(struct world *w, int seed, int steps)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob"), carol = who(w, "carol"), dora = who(w, "dora");
	const str room = make_room(w, alice, "{'preset':'public_chat'}");

	srand((unsigned)seed);
	for (int i = 0; i < steps; i++) {
		if (rand() % 2)
			anything(w, alice, bob, "bob", room);
		else
			anything(w, alice, carol, "carol", room);
		if (i % 7 != 6)
			continue;
		compare(w, room, alice, i);
		compare(w, room, bob, i);
		compare(w, room, carol, i);
		compare(w, room, dora, i); /* who never was there */
	}
}

static void random_rooms(struct world *w)
{
	for (int seed = 1; seed <= 4; seed++)
		the_view_is_the_specifications(w, seed, 84);
}
WORLD(random_rooms)

/* A long chain of comings and goings: looked at for as far as it matters. */
static void many_comings_and_goings(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str room = make_room(w, alice, "{'preset':'public_chat'}");

	good(join(w, bob, room));
	say(w, alice, room, "x");
	good(member(w, room_leave, bob, room, NULL));
	for (int i = 0; i < 10; i++) {
		good(member(w, room_invite, alice, room, "bob"));
		good(member(w, room_leave, bob, room, NULL));
		say(w, alice, room, "y");
	}
	compare(w, room, bob, 0);
}
WORLD(many_comings_and_goings)

int main(void)
{
	const struct CMUnitTest tests[] = { WORLD_TESTS(random_rooms), WORLD_TESTS(many_comings_and_goings) };

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
