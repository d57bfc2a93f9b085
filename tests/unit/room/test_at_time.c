/* test_at_time.c - the event nearest to a time: against a look at all of them, and among liars. */
#include "world.h"

#include "crypto/crypto.h"
#include "room/at_time.h"

#include <stdlib.h>

static str at(struct world *w, str room, int64_t ts, bool forwards)
{
	struct event_row *row = NULL;
	AUTO_TX tx = NULL;
	int64_t nid;

	good(store_read(w->b->st, w->a, &tx));
	good(room_at_time(tx, room_nid(w, room), ts, forwards, &nid));
	if (nid)
		good(store_event_by_nid(tx, nid, &row));
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

/* One in four claims any time at all: what the others say is found. */
static void among_liars(struct world *w)
{
	const struct actor anna = who(w, "anna");
	const str room = make_room(w, anna, "{'preset':'public_chat'}");
	const int64_t far = INT64_C(4000000000000);
	int64_t ts[N];
	size_t missed = 0;
	str ids[N];

	srandom(7);
	for (int i = 0; i < N; i++) {
		ts[i] = i % 4 == 2 ? far + random() % (10 * N * STEP) : far + i * STEP;
		ids[i] = says_at(w, anna, room, ts[i]);
	}
	for (int i = 1; i < N; i += 13)
		if (i % 4 != 2)
			missed += !str_eq(at(w, room, ts[i], true), ids[i]);
	ok(missed == 0, "%zu were not found", missed);
}

static void a_long_room_costs_few_statements(struct world *w)
{
	const struct actor anna = who(w, "anna");
	const str room = make_room(w, anna, "{'preset':'public_chat'}");
	uint64_t before;

	for (int i = 0; i < 300; i++)
		(void)says_at(w, anna, room, 1000 * i + 1);
	before = store_statements_here();
	(void)at(w, room, 150000, true);
	ok(store_statements_here() - before < 50, "%d", (int)(store_statements_here() - before));
}

WORLD(the_nearest_on_each_side)
WORLD(among_liars)
WORLD(a_long_room_costs_few_statements)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(the_nearest_on_each_side),
		WORLD_TESTS(among_liars),
		WORLD_TESTS(a_long_room_costs_few_statements),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
