/* test_threads.c - many writers: one chain without gaps and repetitions, failures in the middle, the same id twice at
 * once. */
#include "flat.h"

enum { THREADS = 20, EACH = 25 };

struct sender {
	struct world *w;
	struct actor by;
	str room_id;
	int number;
	int64_t sent, failed;
	bool same_txn;
	str ids[EACH];
	struct arena *a;
};

static void sender_main(void *arg)
{
	struct sender *s = arg;

	for (int i = 0; i < EACH; i++) {
		AUTO_ARENA a = arena_new();
		const str txn = arena_printf(a, "%d", s->same_txn ? i : s->number * 1000 + i);
		str id;
		err *e = try_send(s->w, a, s->by, s->room_id, "m.room.message", NULL, "{'body':'x'}", txn.p, &id);

		s->ids[i] = STR_NONE;
		if (e) {
			s->failed++;
			continue;
		}
		s->ids[i] = arena_keep(s->a, id);
		s->sent++;
	}
}

static void run_senders(struct sender *s, size_t n)
{
	struct thread *threads[THREADS];

	for (size_t i = 0; i < n; i++) {
		s[i].a = arena_new();
		threads[i] = thread_start("sender", sender_main, &s[i]);
	}
	for (size_t i = 0; i < n; i++)
		thread_join(&threads[i]);
}

static struct sender sender_of(struct world *w, str room_id, int number)
{
	struct sender s = { .w = w, .room_id = room_id, .number = number };

	s.by = who(w, arena_printf(w->a, "user%d", number).p);
	return s;
}

/* The room's shown events, each on top of the one before: gives how many there are. */
static size_t check_chain(struct world *w, str room_id)
{
	struct event_row **rows;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(w->b->st, w->a, &tx));
	good(store_events_by_stream(tx, room_nid(w, room_id), 0, INT64_MAX, false, 100000, &rows, &n));
	for (size_t i = 1; i < n; i++) {
		int64_t *prevs;

		assert_int_equal(store_nids_unpack(w->a, rows[i]->prevs, &prevs), 1);
		ok(prevs[0] == rows[i - 1]->nid, "event %d does not follow the one before", (int)i);
		ok(rows[i]->depth == rows[i - 1]->depth + 1, "depth");
		ok(rows[i]->timeline > rows[i - 1]->timeline, "timeline");
	}
	return n;
}

static void check_stored(struct world *w, struct sender *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < EACH; k++)
			ok(str_is_none(s[i].ids[k]) || event_row(w, s[i].ids[k]), "acknowledged, and not there");
		arena_free(&s[i].a);
	}
}

static void twenty_senders_make_one_chain(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{'preset':'public_chat'}");
	struct sender s[THREADS];
	const size_t before = check_chain(w, id);

	for (int i = 0; i < THREADS; i++) {
		s[i] = sender_of(w, id, i);
		good(join(w, s[i].by, id));
	}
	run_senders(s, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(s[i].sent, EACH);
	assert_int_equal(check_chain(w, id), before + THREADS + THREADS * EACH);
	check_stored(w, s, THREADS);
	check_flat(w, id);
	/* What memory says is what the store says. */
	struct event_row **recent, **stored;
	bool linear = false;
	size_t n, m;
	AUTO_TX tx = NULL;
	good(store_read(w->b->st, w->a, &tx));
	good(store_events_by_stream(tx, room_nid(w, id), 0, INT64_MAX, true, 20, &stored, &m));
	ok(rooms_recent(w->rs, w->a, room_nid(w, id), stored[m - 1]->stream - 1, INT64_MAX, &recent, &n, &linear),
	   "remembered");
	ok(linear, "a chain");
	assert_int_equal(n, m);
	for (size_t i = 0; i < n; i++)
		same_str(recent[i]->json, stored[m - 1 - i]->json);
	ok(!rooms_recent(w->rs, w->a, room_nid(w, id), 0, INT64_MAX, &recent, &n, &linear), "not all of it");
}
WORLD(twenty_senders_make_one_chain)

/* Every fifth statement or so fails: what was acknowledged is there, the rest is not, the chain holds. */
static void failures_in_the_middle(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{'preset':'public_chat'}");
	struct sender s[4];
	struct thread *threads[ARRAY_LEN(s)];
	int64_t sent = 0, failed = 0;
	size_t before;

	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		s[i] = sender_of(w, id, (int)i);
		good(join(w, s[i].by, id));
		s[i].a = arena_new();
	}
	before = check_chain(w, id);
	store_fault(w->b->st, FAULT_STATEMENT, 37);
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		threads[i] = thread_start("sender", sender_main, &s[i]);
	for (int i = 0; i < 10; i++) {
		err *e;
		str out;

		store_fault(w->b->st, i % 3 == 2 ? FAULT_COMMIT : FAULT_STATEMENT, i % 3 == 2 ? 1 : 5);
		e = try_send(w, w->a, alice, id, "m.room.topic", "", arena_printf(w->a, "{'topic':'%d'}", i).p, NULL,
			     &out);
		if (e)
			failed++;
		else
			sent++;
	}
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		thread_join(&threads[i]);
		sent += s[i].sent;
		failed += s[i].failed;
	}
	store_fault(w->b->st, FAULT_STATEMENT, 0);
	store_fault(w->b->st, FAULT_COMMIT, 0);
	ok(failed > 0, "something was to fail");
	assert_int_equal(check_chain(w, id), before + (size_t)sent);
	check_stored(w, s, ARRAY_LEN(s));
	check_flat(w, id);
	say(w, alice, id, "and on it goes");
	world_restart(w);
	say(w, alice, id, "after a restart, too");
	assert_int_equal(check_chain(w, id), before + (size_t)sent + 2);
}
WORLD(failures_in_the_middle)

/* One user's devices repeat the same transactions at once: each makes one event, which all are told. */
static void the_same_transaction_at_once(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}");
	struct sender s[4];
	const size_t before = check_chain(w, id);

	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		s[i] = (struct sender){ .w = w, .room_id = id, .by = alice, .same_txn = true };
	s[0].by.device_id = s[1].by.device_id = s[2].by.device_id = s[3].by.device_id = S("ONE");
	run_senders(s, ARRAY_LEN(s));
	for (int k = 0; k < EACH; k++)
		for (size_t i = 1; i < ARRAY_LEN(s); i++)
			same_str(s[i].ids[k], s[0].ids[k]);
	assert_int_equal(check_chain(w, id), before + EACH);
	check_stored(w, s, ARRAY_LEN(s));
}
WORLD(the_same_transaction_at_once)

/* Heads come and go while others write. */
static void eviction_changes_nothing(struct world *w)
{
	const struct actor alice = who(w, "alice");
	struct sender s[8];
	str ids[ARRAY_LEN(s)];
	size_t before[ARRAY_LEN(s)];

	w->opt.max_heads = 2;
	world_restart(w);
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		ids[i] = make_room(w, alice, "{'preset':'public_chat'}");
		s[i] = sender_of(w, ids[i], (int)i);
		good(join(w, s[i].by, ids[i]));
		before[i] = check_chain(w, ids[i]);
	}
	run_senders(s, ARRAY_LEN(s));
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		assert_int_equal(check_chain(w, ids[i]), before[i] + EACH);
		check_flat(w, ids[i]);
	}
	ok(w->rs->n <= 3, "%d heads", (int)w->rs->n);
	check_stored(w, s, ARRAY_LEN(s));
}
WORLD(eviction_changes_nothing)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(twenty_senders_make_one_chain),
		WORLD_TESTS(failures_in_the_middle),
		WORLD_TESTS(the_same_transaction_at_once),
		WORLD_TESTS(eviction_changes_nothing),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
