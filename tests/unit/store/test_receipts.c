/* test_receipts.c - receipts that only move on, with two processes, too; rows that notify, and what they are to whom.
 */
#include "both.h"
#include "test.h"

#include "base/buf.h"
#include "base/thread.h"
#include "store/events.h"
#include "store/receipts.h"

struct write {
	struct receipt_row row;
	bool moved;
};
static err *write_late(struct tx *tx, void *arg)
{
	struct write *w = arg;

	return store_receipt_set(tx, &w->row, &w->moved);
}

static err *try_receipt(struct store *st, struct arena *a, struct receipt_row *row, bool *out_moved)
{
	struct write w = { *row, false };
	struct ticket *ticket;

	TRY(store_write(st, a, &(struct piece){ .late = write_late, .arg = &w }, &ticket));
	TRY(store_wait(a, ticket));
	*row = w.row;
	*out_moved = w.moved;
	return NULL;
}

static bool receipt(struct both *b, int64_t room, int64_t user, enum receipt_kind kind, int64_t thread, int64_t upto)
{
	struct receipt_row row = { room, user, kind, thread, 1000 + upto, upto, 12345, 0 };
	bool moved;

	good(try_receipt(b->st, b->a, &row, &moved));
	return moved;
}

static size_t changed(struct both *b, int64_t room, int64_t viewer, int64_t above, struct receipt_row **out)
{
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(b->st, b->a, &tx));
	good(store_receipts_changed(tx, room, viewer, above, INT64_MAX, out, &n));
	return n;
}

static void each_kind_and_thread_moves_on_alone(struct both *b)
{
	struct receipt_row *rows;
	AUTO_TX tx = NULL;
	size_t n;

	ok(receipt(b, 1, 2, RECEIPT_READ, THREAD_NONE, 10), "first");
	ok(!receipt(b, 1, 2, RECEIPT_READ, THREAD_NONE, 10), "the same again");
	ok(!receipt(b, 1, 2, RECEIPT_READ, THREAD_NONE, 9), "back");
	ok(receipt(b, 1, 2, RECEIPT_READ, THREAD_NONE, 11), "on");
	ok(receipt(b, 1, 2, RECEIPT_READ, THREAD_MAIN, 5), "of main");
	ok(receipt(b, 1, 2, RECEIPT_READ, 77, 5), "of a thread");
	ok(receipt(b, 1, 2, RECEIPT_READ_PRIVATE, THREAD_NONE, 5), "private");
	ok(receipt(b, 1, 3, RECEIPT_READ, THREAD_NONE, 5), "another's");
	ok(receipt(b, 9, 2, RECEIPT_READ, THREAD_NONE, 5), "another room's");
	assert_int_equal(changed(b, 1, 2, 0, &rows), 5);
	for (size_t i = 1; i < 5; i++)
		ok(rows[i].stream > rows[i - 1].stream, "order");
	ok(rows[0].upto == 11 && rows[0].event == 1011 && rows[0].ts == 12345 && rows[0].thread == THREAD_NONE, "row");
	assert_int_equal(changed(b, 1, 3, 0, &rows), 4); /* not the private one */
	assert_int_equal(changed(b, 1, 2, rows[1].stream, &rows), 3);
	good(store_read(b->st, b->a, &tx));
	good(store_receipts_of(tx, 1, 2, &rows, &n));
	assert_int_equal(n, 4);
}
BOTH(each_kind_and_thread_moves_on_alone)

/* Two processes, on PostgreSQL, each with threads that set what it saw: the furthest stays, and who is told "moved" did
 * move. */
struct racer {
	struct store *st;
	int64_t first;
	int moved;
	bool wrong;
};
enum { ROUNDS = 40 };
static void race(void *arg)
{
	struct racer *r = arg;

	for (int64_t i = 0; i < ROUNDS; i++) {
		AUTO_ARENA a = arena_new();
		struct receipt_row row = { 1, 2, RECEIPT_READ, THREAD_NONE, 1, r->first + 4 * i, 1, 0 };
		bool moved = false;

		if (try_receipt(r->st, a, &row, &moved))
			r->wrong = true;
		r->moved += moved;
	}
}

static void the_furthest_of_two_processes_stays(struct both *b)
{
	struct store *other = b->st;
	struct receipt_row *rows;
	struct thread *threads[4];
	struct racer r[4];

	if (b->pg)
		good(store_open(b->a, &b->opt, &other));
	for (int i = 0; i < 4; i++) {
		r[i] = (struct racer){ i % 2 ? other : b->st, i + 1, 0, false };
		threads[i] = thread_start("racer", race, &r[i]);
	}
	for (int i = 0; i < 4; i++) {
		thread_join(&threads[i]);
		ok(!r[i].wrong, "racer %d", i);
	}
	assert_int_equal(changed(b, 1, 2, 0, &rows), 1);
	assert_int_equal(rows[0].upto, 4 + 4 * (ROUNDS - 1));
	ok(r[3].moved > 0, "the one that is ahead never moved");
	if (b->pg)
		store_close(&other);
}
BOTH(the_furthest_of_two_processes_stays)

static void flags_are_found_by_user(void **state)
{
	AUTO_BUF b = BUF_INIT(1000);
	struct notify_row row = { .sender = 4, .plain = NOTIFY };

	(void)state;
	assert_int_equal(notify_flags_for(&row, 1), NOTIFY);
	assert_int_equal(notify_flags_for(&row, 4), 0);
	notify_special_add(&b, 1, 0);
	notify_special_add(&b, INT64_MAX, NOTIFY | NOTIFY_HIGHLIGHT);
	notify_special_add(&b, 4, NOTIFY);
	notify_special_add(&b, 256, NOTIFY_HIGHLIGHT);
	row.special = buf_str(&b);
	assert_int_equal(row.special.n, 36);
	assert_int_equal(notify_flags_for(&row, 1), 0);
	assert_int_equal(notify_flags_for(&row, INT64_MAX), NOTIFY | NOTIFY_HIGHLIGHT);
	assert_int_equal(notify_flags_for(&row, 4), 0); /* the sender, whatever stands there */
	assert_int_equal(notify_flags_for(&row, 256), NOTIFY_HIGHLIGHT);
	assert_int_equal(notify_flags_for(&row, 2), NOTIFY);
	row.special.n -= 5; /* a damaged end is not read */
	assert_int_equal(notify_flags_for(&row, 256), NOTIFY);
}

enum { MANY = 4500 }; /* more than two pages */
static err *fill(struct tx *tx, void *arg)
{
	(void)arg;
	for (int i = 1; i <= MANY; i++) {
		const struct notify_row row = { 1, i, i, i % 3, i % 5, NOTIFY, i % 7 ? S("") : S("123456789") };

		TRY(store_notify_insert(tx, &row));
	}
	return store_notify_insert(tx, &(struct notify_row){ .room = 2, .stream = 50, .special = S("") });
}

struct seen {
	int64_t last, n, with_special, sum;
};
static void look(void *arg, const struct notify_row *row)
{
	struct seen *s = arg;

	ok(row->stream > s->last && row->event == row->stream && row->sender == row->stream % 3 && row->room == 1 &&
		   row->thread == row->stream % 5 && row->plain == NOTIFY,
	   "row %d", (int)row->stream);
	s->last = row->stream;
	s->n++;
	s->with_special += row->special.n == 9;
	s->sum += row->stream;
}

static void all_rows_are_told_in_order(struct both *b)
{
	static const struct {
		int64_t above, upto, n;
	} cases[] = { { 0, INT64_MAX, MANY }, { 0, 0, 0 },       { 10, 20, 10 },        { 20, 10, 0 },
		      { 0, 2000, 2000 },      { 0, 2001, 2001 }, { MANY, INT64_MAX, 0 } };
	AUTO_TX tx = NULL;

	good(store_do(b->st, b->a, fill, NULL));
	good(store_read(b->st, b->a, &tx));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct seen s = { 0 };

		good(store_notify_each(tx, 1, cases[i].above, cases[i].upto, look, &s));
		ok(s.n == cases[i].n, "case %d: %d rows", (int)i, (int)s.n);
		if (i == 0)
			assert_int_equal(s.with_special, MANY / 7);
	}
}
BOTH(all_rows_are_told_in_order)

static err *event_and_row(struct tx *tx, void *arg)
{
	const struct event_row ev = { .nid = 70,
				      .room = 1,
				      .type = 1,
				      .sender = 2,
				      .stream = 33,
				      .timeline = 5,
				      .event_id = S("$x"),
				      .json = S("{}"),
				      .prevs = S(""),
				      .auths = S(""),
				      .txn_device = STR_NONE,
				      .txn_id = STR_NONE };

	(void)arg;
	TRY(store_event_insert(tx, &ev));
	TRY(store_notify_insert(tx, &(struct notify_row){ 1, 33, 70, 2, 0, NOTIFY, S("123456789") }));
	return store_notify_insert(tx, &(struct notify_row){ 1, 34, 71, 2, 0, NOTIFY, S("123456789") });
}
static err *silence(struct tx *tx, void *arg)
{
	TRY(store_notify_silence(tx, 99)); /* no such event */
	return store_notify_silence(tx, *(int64_t *)arg);
}
static void collect(void *arg, const struct notify_row *row) { ((struct notify_row *)arg)[row->stream - 33] = *row; }

static void a_silenced_row_stays_and_means_nothing(struct both *b)
{
	struct notify_row rows[2] = { 0 };
	int64_t event = 70;
	AUTO_TX tx = NULL;

	good(store_do(b->st, b->a, event_and_row, NULL));
	good(store_do(b->st, b->a, silence, &event));
	good(store_read(b->st, b->a, &tx));
	good(store_notify_each(tx, 1, 0, INT64_MAX, collect, rows));
	ok(rows[0].stream == 33 && rows[0].sender == 2 && rows[0].plain == 0 && rows[0].special.n == 0,
	   "the redacted one");
	ok(rows[1].plain == NOTIFY && rows[1].special.n == 9, "the other");
}
BOTH(a_silenced_row_stays_and_means_nothing)

TEST_MAIN(BOTH_TESTS(each_kind_and_thread_moves_on_alone), BOTH_TESTS(the_furthest_of_two_processes_stays),
	  cmocka_unit_test(flags_are_found_by_user), BOTH_TESTS(all_rows_are_told_in_order),
	  BOTH_TESTS(a_silenced_row_stays_and_means_nothing))
