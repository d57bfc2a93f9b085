/* test_receive_merge.c - forward extremities: named in turn, brought together, never more than a resolution takes. */
#include "flat.h"
#include "forge.h"

#include "crypto/crypto.h"
#include "room/receive/received.h"
#include "room/view.h"

struct told {
	size_t n;
	str room_id;
};

static void on_crowded(void *ctx, str room_id, bool newcomer)
{
	struct told *t = ctx;

	ok(!newcomer, "nobody came");
	t->n++;
	same_str(room_id, t->room_id);
}

/* Events of bob, all on the same one. */
static const struct event **branch(struct forge *f, str base, size_t n)
{
	const struct event **made = ARENA_ARRAY(f->w->a, const struct event *, n);
	struct received_event *list = ARENA_ARRAY(f->w->a, struct received_event, n);

	for (size_t i = 0; i < n; i++)
		list[i].event = made[i] = forge(f, "bob", "m.room.message", NULL, "{}", &base, 1);
	good(rooms_append_events(f->w->rs, f->w->a, f->room_id, list, n));
	for (size_t i = 0; i < n; i++)
		good(list[i].error);
	return made;
}

static const struct event_row *newest(struct world *w, str room_id)
{
	struct event_row **list;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(w->b->st, w->a, &tx));
	good(store_events_by_stream(tx, room_nid(w, room_id), 0, INT64_MAX, true, 1, &list, &n));
	assert_int_equal(n, 1);
	return list[0];
}

static void a_crowded_room_is_merged(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base");
	struct forge f = forge_for(w, id, "12");
	struct told told = { 0, id };
	const struct event_row *row;
	struct room_view *v;
	int64_t *prevs;
	AUTO_TX tx = NULL;
	str type;
	bool sent, seen;

	rooms_on_crowded(w->rs, on_crowded, &told);
	branch(&f, base, 10);
	assert_int_equal(told.n, 0);
	good(room_merge(w->rs, w->a, id, false, &sent));
	ok(!sent, "ten are not many");
	branch(&f, base, 15);
	assert_int_equal(told.n, 1);
	good(room_merge(w->rs, w->a, id, false, &sent));
	ok(sent, "25 are");
	assert_int_equal(n_extremities(w, id), 16);
	row = newest(w, id);
	good(store_intern_text(w->b->st, w->a, row->type, &type));
	same_str(type, S("org.matrix.dummy_event"));
	assert_int_equal(store_nids_unpack(w->a, row->prevs, &prevs), 10);
	/* Clients are not shown it, however they ask. */
	good(store_read(w->b->st, w->a, &tx));
	good(room_view_open(w->rs, w->a, tx, id, who(w, "bob").user, S("@bob:test"), VIEW_JOINED, &v));
	good(room_view_sees(v, &row, 1, &seen));
	ok(!seen, "not in a list");
	fails_with(room_view_event(v, row->event_id, &row), ERR_NOT_FOUND);
	store_read_end(&tx);
	bool linear;
	struct event_row **rows;
	size_t n;
	ok(rooms_recent(w->rs, w->a, room_nid(w, id), row->stream - 1, row->stream, &rows, &n, &linear) && !linear,
	   "/sync asks whether it may be seen");
	check_flat(w, id);
}
WORLD(a_crowded_room_is_merged)

/* A server that joined beside an event learns of it by what stands on both. */
static void for_a_newcomer_two_are_many(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base");
	struct forge f = forge_for(w, id, "12");
	bool sent;

	branch(&f, base, 2);
	assert_int_equal(n_extremities(w, id), 2);
	good(room_merge(w->rs, w->a, id, false, &sent));
	ok(!sent, "two are few");
	good(room_merge(w->rs, w->a, id, true, &sent));
	ok(sent, "who came needs it");
	assert_int_equal(n_extremities(w, id), 1);
	good(room_merge(w->rs, w->a, id, true, &sent));
	ok(!sent, "somebody else has brought them together");
}
WORLD(for_a_newcomer_two_are_many)

/* Who may say nothing merges nothing, and somebody else is asked. */
static void by_one_who_may(struct world *w)
{
	const str id = open_room(w, "11"), base = say(w, who(w, "alice"), id, "base");
	struct forge f = forge_for(w, id, "11");
	bool sent;

	branch(&f, base, 12);
	set_state(w, who(w, "alice"), id, "m.room.power_levels", "",
		  "{'users':{'@alice:test':100},'events_default':100}");
	branch(&f, base, 1);
	assert_int_equal(n_extremities(w, id), 3); /* what bob says now is soft-failed */
	for (size_t i = 0; i < 12; i++) {
		const struct event *ev = forge(&f, "alice", "m.room.message", NULL, "{}", &base, 1);

		assert_int_equal(put(w, ev), APPEND_ACCEPTED);
	}
	good(room_merge(w->rs, w->a, id, false, &sent));
	ok(sent, "by alice");
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(put(w, forge(&f, "alice", "m.room.message", NULL, "{}", &base, 1)), APPEND_ACCEPTED);
	const struct event *gone =
		forge(&f, "alice", "m.room.member", "@alice:test", "{'membership':'leave'}", &base, 1);
	assert_int_equal(put(w, gone), APPEND_ACCEPTED);
	good(room_merge(w->rs, w->a, id, false, &sent));
	ok(!sent, "nobody may");
}
WORLD(by_one_who_may)

/* Beyond the bound one goes whose state another has; what says something of its own stays. */
static void there_are_never_too_many(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base");
	struct forge f = forge_for(w, id, "12");
	const struct event *topic = forge(&f, "mod", "m.room.topic", "", "{'topic':'T'}", &base, 1), **last;
	struct room_head_row *h;
	bool has_topic = false, has_last = false;
	AUTO_TX tx = NULL;
	int64_t *nids;

	assert_int_equal(put(w, topic), APPEND_ACCEPTED);
	branch(&f, base, 60);
	last = branch(&f, base, 60);
	assert_int_equal(n_extremities(w, id), STATE_RES_MAX_ROOTS);
	good(store_read(w->b->st, w->a, &tx));
	good(store_head_load(tx, room_nid(w, id), &h));
	for (size_t i = 0, n = store_nids_unpack(w->a, h->extremities, &nids); i < n; i++) {
		has_topic = has_topic || nids[i] == event_row(w, topic->event_id)->nid;
		has_last = has_last || nids[i] == event_row(w, last[59]->event_id)->nid;
	}
	ok(has_topic && has_last, "the topic's branch, and the newest");
	ok(current(w, id, "m.room.topic", "") != NULL, "the topic counts");
	store_read_end(&tx);
	check_flat(w, id);
	world_restart(w);
	say(w, who(w, "bob"), id, "goes on");
	ok(current(w, id, "m.room.topic", "") != NULL, "the topic counts");
	check_flat(w, id);
}
WORLD(there_are_never_too_many)

/* Of more than it names, an event stands on the state of those it names: what others compute from it. */
static void it_stands_on_what_it_names(struct world *w)
{
	const str id = open_room(w, "12"), base = say(w, who(w, "alice"), id, "base");
	struct forge f = forge_for(w, id, "12");
	int64_t before, after;
	str said;

	branch(&f, base, 8);
	assert_int_equal(put(w, forge(&f, "mod", "m.room.topic", "", "{'topic':'T'}", &base, 1)), APPEND_ACCEPTED);
	branch(&f, base, 8);
	before = event_row(w, base)->root_after;
	said = say(w, who(w, "bob"), id, "not of that branch");
	after = event_row(w, said)->root_after;
	assert_int_equal(after, before);
	ok(current(w, id, "m.room.topic", "") != NULL, "the room has it all the same");
	say(w, who(w, "bob"), id, "of all that are left");
	assert_int_equal(n_extremities(w, id), 1);
	ok(current(w, id, "m.room.topic", "") != NULL, "and keeps it");
	check_flat(w, id);
}
WORLD(it_stands_on_what_it_names)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(a_crowded_room_is_merged),
		WORLD_TESTS(for_a_newcomer_two_are_many),
		WORLD_TESTS(by_one_who_may),
		WORLD_TESTS(there_are_never_too_many),
		WORLD_TESTS(it_stands_on_what_it_names),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
