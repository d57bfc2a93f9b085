/* test_at_time.c - the event nearest to a time: against a look at all of them, whatever they say. */
#include "world.h"

#include "crypto/crypto.h"
#include "room/nearest.h"
#include "store/events.h"

#include <stdlib.h>

static str at(struct world *w, str room, int64_t ts, bool forwards)
{
	struct event_row *row;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_event_at_time(tx, room_nid(w, room), ts, !forwards, &row));
	return row ? row->event_id : STR_NONE;
}

static str says_at(struct world *w, struct actor by, str room, int64_t ts)
{
	const struct send_cmd cmd = {
		.by = by, .room_id = room, .type = S("m.room.message"), .content = js(w->a, "{'body':'x'}"), .ts = ts
	};
	str id;

	good(room_send(w->rs, w->a, &cmd, &id));
	return id;
}

/* The room's own first events are of now: far above all of these times. */
enum { N = 700, STEP = 1000 };

static void the_nearest_on_each_side(struct world *w)
{
	const struct actor anna = who(w, "anna");
	const str room = make_room(w, anna, "{'preset':'public_chat'}");
	const int64_t far = INT64_C(4000000000000);
	str ids[N];

	for (int i = 0; i < N; i++)
		ids[i] = says_at(w, anna, room, far + i * STEP);
	for (int i = 1; i < N - 1; i += 37) {
		same_str(at(w, room, far + i * STEP, true), ids[i]);
		same_str(at(w, room, far + i * STEP, false), ids[i]);
		same_str(at(w, room, far + i * STEP + 1, true), ids[i + 1]);
		same_str(at(w, room, far + i * STEP - 1, false), ids[i - 1]);
	}
	same_str(at(w, room, far + (N - 1) * STEP, true), ids[N - 1]);
	same_str(at(w, room, far + N * STEP, true), STR_NONE);
	same_str(at(w, room, INT64_MAX, false), ids[N - 1]);
	same_str(at(w, room, 5, false), STR_NONE);
	ok(at(w, room, INT64_MIN, true).p, "the create event is the first");
}

/* Any of them claims any time at all, some the same: the nearest is the nearest. Of one time it is the first on the
 * way.
 */
static void among_liars(struct world *w)
{
	enum { LIARS = 300, ASKED = 200, TIMES = 400 };
	const struct actor anna = who(w, "anna");
	const str room = make_room(w, anna, "{'preset':'public_chat'}");
	const int64_t far = INT64_C(4000000000000);
	int64_t ts[LIARS];
	str ids[LIARS];

	srandom(7);
	for (int i = 0; i < LIARS; i++) {
		ts[i] = far + random() % TIMES;
		ids[i] = says_at(w, anna, room, ts[i]);
	}
	for (int k = 0; k < ASKED; k++) {
		const int64_t t = far + random() % TIMES;
		int on = -1, back = -1;

		for (int i = 0; i < LIARS; i++) {
			if (ts[i] >= t && (on < 0 || ts[i] < ts[on]))
				on = i;
			if (ts[i] <= t && (back < 0 || ts[i] >= ts[back]))
				back = i;
		}
		ok(on < 0 || str_eq(at(w, room, t, true), ids[on]), "on from %d", (int)(t - far));
		ok(back < 0 || str_eq(at(w, room, t, false), ids[back]), "back from %d", (int)(t - far));
	}
}

/* Whoever may not see the nearest is shown the next one, by time again. */
static void what_is_hidden_is_passed_over(struct world *w)
{
	const struct actor anna = who(w, "anna"), bob = who(w, "bob");
	const str room = make_room(w, anna, "{'preset':'public_chat'}");
	const int64_t far = INT64_C(4000000000000);
	const struct client_view view = { .user = bob.user, .user_id = bob.user_id };
	struct nearest_cmd cmd = { .room_id = room, .ts = far, .forwards = true, .view = &view };
	str later, sooner, found;
	int64_t ts;

	set_state(w, anna, room, "m.room.history_visibility", "", "{'history_visibility':'joined'}");
	for (int i = 0; i < 70; i++)
		(void)says_at(w, anna, room, far + i);
	good(join(w, bob, room));
	later = says_at(w, anna, room, far + 2000);
	sooner = says_at(w, anna, room, far + 1000);
	good(room_nearest(w->rs, w->a, &cmd, &found, &ts));
	ok(str_eq(found, sooner) && ts == far + 1000, "the soonest, not the lowest");
	cmd.forwards = false;
	cmd.ts = far + 1500;
	good(room_nearest(w->rs, w->a, &cmd, &found, &ts));
	same_str(found, sooner);
	cmd.ts = far + 3000;
	good(room_nearest(w->rs, w->a, &cmd, &found, &ts));
	same_str(found, later);
}

static void it_costs_one_statement(struct world *w)
{
	const struct actor anna = who(w, "anna");
	const str room = make_room(w, anna, "{'preset':'public_chat'}");
	uint64_t before;

	(void)says_at(w, anna, room, 5);
	before = store_statements_here();
	same_str(at(w, room, 6, true), at(w, room, 6, true));
	ok(store_statements_here() - before <= 4, "%d", (int)(store_statements_here() - before)); /* room_nid is one */
}

WORLD(the_nearest_on_each_side)
WORLD(among_liars)
WORLD(what_is_hidden_is_passed_over)
WORLD(it_costs_one_statement)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(the_nearest_on_each_side),
		WORLD_TESTS(among_liars),
		WORLD_TESTS(what_is_hidden_is_passed_over),
		WORLD_TESTS(it_costs_one_statement),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
