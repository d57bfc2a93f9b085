/* test_core.c - the least a store does: what was bound is what is read, by one text, on both databases. */
#include <assert.h>
#include <pthread.h>

#include "both.h"
#include "base/thread.h"
#include "store/meta.h"
#include "store/tx.h"

static err *make_table(struct tx *tx, void *arg)
{
	(void)arg;
	return tx_run(tx, "CREATE TABLE t (k BIGINT PRIMARY KEY, n BIGINT, b BYTEA)", NO_BIND);
}

struct put {
	int64_t k;
	struct bind n, b;
};

static err *put(struct tx *tx, void *arg)
{
	const struct put *p = arg;

	return tx_run(tx, "INSERT INTO t (b, n, k) VALUES ($3, $2, $1)", BIND(B(p->k), p->n, p->b));
}

static void put_row(struct both *b, int64_t k, struct bind n, struct bind bytes)
{
	both_ok(store_do(b->st, b->a, put, &(struct put){ k, n, bytes }));
}

/* The keys that a query gives, as text: "1 2 3". */
static str keys_of(struct both *b, const char *sql, const struct bind *binds, size_t n)
{
	AUTO_TX tx = NULL;
	struct rows *rs;
	str out = S("");

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_query(tx, sql, binds, n, &rs));
	while (rows_next(rs))
		out = arena_printf(b->a, "%.*s%s%" PRId64, STR_ARG(out), out.n ? " " : "", rows_i64(rs, 0));
	both_ok(rows_end(&rs));
	return out;
}
#define assert_keys(b, expected, sql, ...)                                                                             \
	do {                                                                                                           \
		const str keys_ = keys_of((b), (sql), __VA_ARGS__);                                                    \
		assert_string_equal(keys_.p, (expected));                                                              \
	} while (0)

static void what_was_bound_comes_back(struct both *b)
{
	static const char every_byte[] = "\x00\x01'\"\\\x7f\x80\xff\x00end";
	const str bytes = { every_byte, sizeof(every_byte) - 1 };
	static const int64_t numbers[] = { INT64_MIN, -1, 0, 1, INT64_MAX };
	AUTO_TX tx = NULL;
	struct row *r;

	both_ok(store_do(b->st, b->a, make_table, NULL));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		put_row(b, (int64_t)i, B(numbers[i]), B(bytes));
	put_row(b, 10, bind_null(), B(S("")));
	put_row(b, 11, B(0), B(STR_NONE));
	both_ok(store_read(b->st, b->a, &tx));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		both_ok(tx_one(tx, "SELECT n, b FROM t WHERE k = $1", BIND(B((int64_t)i)), &r));
		assert_true(row_i64(r, 0) == numbers[i]);
		assert_true(str_eq(row_str(r, 1), bytes));
	}
	both_ok(tx_one(tx, "SELECT n, b FROM t WHERE k = $1", BIND(B(10)), &r));
	assert_true(row_null(r, 0) && row_i64(r, 0) == 0);
	assert_true(!row_null(r, 1) && !str_is_none(row_str(r, 1)) && row_str(r, 1).n == 0);
	both_ok(tx_one(tx, "SELECT n, b FROM t WHERE k = $1", BIND(B(11)), &r));
	assert_true(!row_null(r, 0) && row_null(r, 1) && str_is_none(row_str(r, 1)));
	both_ok(tx_one(tx, "SELECT n FROM t WHERE k = $1", BIND(B(12)), &r));
	assert_null(r);
}
BOTH(what_was_bound_comes_back)

/* SQLite would number "$2, $1" by first appearance. */
static void parameters_are_bound_by_name(struct both *b)
{
	AUTO_TX tx = NULL;
	struct row *r;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_one(tx, "SELECT $3 - $2, $1 + $3, $1 + $1", BIND(B(1), B(20), B(300)), &r));
	assert_int_equal(row_i64(r, 0), 280);
	assert_int_equal(row_i64(r, 1), 301);
	assert_int_equal(row_i64(r, 2), 2);
}
BOTH(parameters_are_bound_by_name)

static void numbers_of_every_width_are_numbers(struct both *b)
{
	AUTO_TX tx = NULL;
	struct row *r;

	both_ok(store_do(b->st, b->a, make_table, NULL));
	put_row(b, 1, B((int64_t)5000000000), B(S("a")));
	put_row(b, 2, B((int64_t)-5000040000), B(S("bc")));
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_one(
		tx, "SELECT count(*), sum(n), max(n), max(length(b)), 7, sum(k) > 2, EXISTS (SELECT 1 FROM t) FROM t",
		NO_BIND, &r));
	assert_int_equal(row_i64(r, 0), 2);
	assert_int_equal(row_i64(r, 1), -40000);
	assert_int_equal(row_i64(r, 2), 5000000000);
	assert_int_equal(row_i64(r, 3), 2);
	assert_int_equal(row_i64(r, 4), 7);
	assert_int_equal(row_i64(r, 5), 1);
	assert_int_equal(row_i64(r, 6), 1);
}
BOTH(numbers_of_every_width_are_numbers)

/* The same statement with another kind of parameter, NULL first: PostgreSQL prepared it for a type. */
static void a_statement_takes_null_and_then_a_value(struct both *b)
{
	static const char sql[] = "SELECT k FROM t WHERE COALESCE(b, $1) = $2 ORDER BY k";

	both_ok(store_do(b->st, b->a, make_table, NULL));
	put_row(b, 1, bind_null(), B(S("x")));
	put_row(b, 2, B(2), bind_null());
	put_row(b, 3, bind_null(), bind_null());
	assert_keys(b, "1", sql, BIND(bind_null(), B(S("x"))));
	assert_keys(b, "1 2 3", sql, BIND(B(S("x")), B(S("x"))));
	assert_keys(b, "", sql, BIND(bind_null(), bind_null()));
}
BOTH(a_statement_takes_null_and_then_a_value)

static void lists_are_one_parameter(struct both *b)
{
	const struct i64s some = { (int64_t[]){ 3, 1, 99, 3 }, 4 }, none = { NULL, 0 };
	const struct strs texts = { (str[]){ S("\0a"), S(""), S("zz") }, 3 }, no_texts = { NULL, 0 };

	both_ok(store_do(b->st, b->a, make_table, NULL));
	put_row(b, 1, B(10), B(S("\0a")));
	put_row(b, 2, B(20), B(S("\0")));
	put_row(b, 3, B(30), B(S("")));
	put_row(b, 4, B(40), bind_null());
	assert_keys(b, "1 3", "SELECT k FROM t WHERE k IN $1 ORDER BY k", BIND(B(some)));
	assert_keys(b, "2 4", "SELECT k FROM t WHERE k NOT IN $1 ORDER BY k", BIND(B(some)));
	assert_keys(b, "", "SELECT k FROM t WHERE k IN $1 ORDER BY k", BIND(B(none)));
	assert_keys(b, "1 2 3 4", "SELECT k FROM t WHERE k NOT IN $1 ORDER BY k", BIND(B(none)));
	assert_keys(b, "1 3", "SELECT k FROM t WHERE b IN $1 ORDER BY k", BIND(B(texts)));
	assert_keys(b, "2", "SELECT k FROM t WHERE b NOT IN $1 ORDER BY k", BIND(B(texts)));
	assert_keys(b, "", "SELECT k FROM t WHERE b IN $1 ORDER BY k", BIND(B(no_texts)));
	assert_keys(b, "3", "SELECT k FROM t WHERE b IN $2 AND k in $1 AND n > $3 ORDER BY k",
		    BIND(B(some), B(texts), B(10)));
	assert_keys(b, "1 3 3 99", "SELECT value FROM EACH $1 ORDER BY value", BIND(B(some)));
	assert_keys(b, "10 30 30", "SELECT t.n FROM EACH $1 JOIN t ON t.k = each.value ORDER BY t.n", BIND(B(some)));
}
BOTH(lists_are_one_parameter)

static err *insert_each(struct tx *tx, void *arg)
{
	return tx_run(tx,
		      "INSERT INTO t (k, n) SELECT value, $2 FROM EACH $1 WHERE value > 0 ON CONFLICT (k) DO NOTHING",
		      BIND(bind_ints(*(struct i64s *)arg), B(5)));
}

static void a_list_can_be_inserted(struct both *b)
{
	int64_t many[3000];
	struct i64s all = { many, ARRAY_LEN(many) };

	for (size_t i = 0; i < all.n; i++)
		many[i] = (int64_t)(i / 2);
	both_ok(store_do(b->st, b->a, make_table, NULL));
	both_ok(store_do(b->st, b->a, insert_each, &all));
	assert_keys(b, "1499 1499", "SELECT count(*) FROM t UNION ALL SELECT max(k) FROM t", NO_BIND);
}
BOTH(a_list_can_be_inserted)

struct zipped {
	struct i64s k, n;
	struct strs b;
};

static err *insert_zip(struct tx *tx, void *arg)
{
	static const char sql[] = "INSERT INTO t (b, k, n) SELECT zip.c2, zip.c1, zip.c3 + $4 FROM ZIP ($1, $2, $3)"
				  " WHERE true ON CONFLICT (k) DO UPDATE SET n = excluded.n, b = excluded.b";
	const struct zipped *z = arg;

	return tx_run(tx, sql, BIND(B(z->k), B(z->b), B(z->n), B((int64_t)1000)));
}

/* Lists side by side are rows: inserted, over what is there, and joined to what is there. */
static void lists_side_by_side_are_rows(struct both *b)
{
	static const int64_t k[] = { 5, 3, 1 }, n[] = { 50, 30, 10 };
	const str texts[] = { S("five"), S(""), { "o\0e", 3 } }, others[] = { S("five"), S("three"), { "o\0e", 3 } };
	struct zipped z = { .k = { k, 3 }, .n = { n, 3 }, .b = { texts, 3 } };

	both_ok(store_do(b->st, b->a, make_table, NULL));
	put_row(b, 3, B(7), B(S("old")));
	both_ok(store_do(b->st, b->a, insert_zip, &z));
	assert_keys(b, "1010 1030 1050", "SELECT n FROM t ORDER BY k", NO_BIND);
	z = (struct zipped){ .k = { k, 0 }, .n = { NULL, 0 }, .b = { NULL, 0 } };
	both_ok(store_do(b->st, b->a, insert_zip, &z));
	assert_keys(b, "1010 1030 1050", "SELECT n FROM t ORDER BY k", NO_BIND);
	assert_keys(b, "1 5", "SELECT t.k FROM ZIP ($2, $1), t WHERE t.k = zip.c1 AND t.b = zip.c2 ORDER BY t.k",
		    BIND(B(((struct strs){ others, 3 })), B(((struct i64s){ k, 3 }))));
	assert_keys(b, "3 5",
		    "SELECT k FROM t WHERE (k, n) IN (SELECT c1, c2 + 1000 FROM ZIP ($1, $2)) AND k > 1 ORDER BY k",
		    BIND(B(((struct i64s){ k, 3 })), B(((struct i64s){ n, 3 }))));
}
BOTH(lists_side_by_side_are_rows)

/* A loop over rows asks the same question again for each of them. */
static void the_same_statement_nests(struct both *b)
{
	static const char sql[] = "SELECT k FROM t WHERE k > $1 ORDER BY k";
	struct rows *outer, *inner;
	AUTO_TX tx = NULL;
	int seen = 0;

	both_ok(store_do(b->st, b->a, make_table, NULL));
	for (int64_t k = 1; k <= 4; k++)
		put_row(b, k, B(k), bind_null());
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_query(tx, sql, BIND(B(0)), &outer));
	while (rows_next(outer)) {
		both_ok(tx_query(tx, sql, BIND(B(rows_i64(outer, 0))), &inner));
		while (rows_next(inner))
			seen++;
		both_ok(rows_end(&inner));
	}
	both_ok(rows_end(&outer));
	assert_int_equal(seen, 3 + 2 + 1);
}
BOTH(the_same_statement_nests)

/* TRY() leaves rows open; the connection must be usable by the next one. */
static void rows_left_open_do_no_harm(struct both *b)
{
	both_ok(store_do(b->st, b->a, make_table, NULL));
	for (int64_t k = 1; k <= 4; k++)
		put_row(b, k, B(k), bind_null());
	for (int i = 0; i < 3; i++) {
		AUTO_TX tx = NULL;
		struct rows *rs;

		both_ok(store_read(b->st, b->a, &tx));
		both_ok(tx_query(tx, "SELECT k FROM t ORDER BY k", NO_BIND, &rs));
		assert_true(rows_next(rs));
		assert_int_equal(rows_i64(rs, 0), 1);
	}
}
BOTH(rows_left_open_do_no_harm)

static err *touch_all(struct tx *tx, void *arg)
{
	TRY(tx_run_count(tx, "UPDATE t SET n = n + 1 WHERE k > $1", BIND(B(1)), arg));
	return NULL;
}

static void changed_rows_are_counted(struct both *b)
{
	int64_t changed = -1;

	both_ok(store_do(b->st, b->a, make_table, NULL));
	both_ok(store_do(b->st, b->a, touch_all, &changed));
	assert_int_equal(changed, 0);
	for (int64_t k = 1; k <= 4; k++)
		put_row(b, k, B(k), bind_null());
	both_ok(store_do(b->st, b->a, touch_all, &changed));
	assert_int_equal(changed, 3);
}
BOTH(changed_rows_are_counted)

/* One snapshot for the whole read: what commits meanwhile is not in it. */
static void a_read_is_a_snapshot(struct both *b)
{
	AUTO_TX tx = NULL;
	struct row *r;

	both_ok(store_do(b->st, b->a, make_table, NULL));
	put_row(b, 1, B(1), bind_null());
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_one(tx, "SELECT count(*) FROM t", NO_BIND, &r));
	assert_int_equal(row_i64(r, 0), 1);
	put_row(b, 2, B(2), bind_null());
	both_ok(tx_one(tx, "SELECT count(*) FROM t", NO_BIND, &r));
	assert_int_equal(row_i64(r, 0), 1);
	store_read_end(&tx);
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_one(tx, "SELECT count(*) FROM t", NO_BIND, &r));
	assert_int_equal(row_i64(r, 0), 2);
}
BOTH(a_read_is_a_snapshot)

static void a_read_cannot_write(struct both *b)
{
	AUTO_TX tx = NULL;
	const err *e;
	int64_t changed;

	both_ok(store_do(b->st, b->a, make_table, NULL));
	both_ok(store_read(b->st, b->a, &tx));
	e = tx_run_count(tx, "INSERT INTO t (k) VALUES ($1)", BIND(B(1)), &changed);
	assert_non_null(e);
	store_read_end(&tx);
	assert_keys(b, "0", "SELECT count(*) FROM t", NO_BIND);
}
BOTH(a_read_cannot_write)

static void a_wrong_statement_is_an_error(struct both *b)
{
	AUTO_TX tx = NULL;
	struct row *r;
	err *e;

	both_ok(store_read(b->st, b->a, &tx));
	e = tx_one(tx, "SELECT x FROM no_such_table", NO_BIND, &r);
	assert_non_null(e);
	assert_int_equal(e->code, ERR_STORE);
	assert_true(str_contains(e->msg, S("no_such_table")));
	store_read_end(&tx);
	assert_keys(b, "3", "SELECT 3", NO_BIND);
}
BOTH(a_wrong_statement_is_an_error)

/* More reads at once than connections, within each other: nobody may wait for a second connection while holding one. */
static void reads_nest_beyond_the_pool(struct both *b)
{
	struct tx *txs[12];
	struct row *r;

	b->opt.readers = 2;
	both_reopen(b);
	for (size_t i = 0; i < ARRAY_LEN(txs); i++) {
		both_ok(store_read(b->st, b->a, &txs[i]));
		both_ok(tx_one(txs[i], "SELECT 1", NO_BIND, &r));
	}
	for (size_t i = 0; i < ARRAY_LEN(txs); i++)
		store_read_end(&txs[i]);
	assert_keys(b, "3", "SELECT 3", NO_BIND);
}
BOTH(reads_nest_beyond_the_pool)

enum { READERS = 8, READS = 60 };

static void *read_often(void *arg)
{
	for (int i = 0; i < READS; i++) {
		AUTO_ARENA a = arena_new();
		AUTO_TX tx = NULL;
		struct row *r;
		const err *e = store_read(arg, a, &tx);

		assert(!e);
		e = tx_one(tx, "SELECT $1 + $1", BIND(B(i)), &r);
		assert(!e && row_i64(r, 0) == 2 * i);
	}
	return NULL;
}

static void threads_share_few_connections(struct both *b)
{
	pthread_t threads[READERS];

	b->opt.readers = 2;
	both_reopen(b);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_often, b->st), 0);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
}
BOTH(threads_share_few_connections)

struct holder {
	struct store *st;
	pthread_barrier_t lent, done;
};

static void *hold_a_connection(void *arg)
{
	struct holder *h = arg;
	AUTO_ARENA a = arena_new();
	AUTO_TX tx = NULL;
	const err *e = store_read(h->st, a, &tx);

	assert(!e);
	pthread_barrier_wait(&h->lent);
	pthread_barrier_wait(&h->done);
	return NULL;
}

/* The reader it would wait for may be waiting for its lock. */
static void who_holds_a_lock_does_not_wait_for_a_connection(struct both *b)
{
	struct holder h;
	pthread_t thread;
	struct lock room;

	b->opt.readers = 1;
	both_reopen(b);
	h.st = b->st;
	pthread_barrier_init(&h.lent, NULL, 2);
	pthread_barrier_init(&h.done, NULL, 2);
	lock_init(&room, RANK_ROOM);
	assert_int_equal(pthread_create(&thread, NULL, hold_a_connection, &h), 0);
	pthread_barrier_wait(&h.lent);
	lock_take(&room);
	assert_keys(b, "3", "SELECT 3", NO_BIND);
	lock_drop(&room);
	pthread_barrier_wait(&h.done);
	pthread_join(thread, NULL);
	lock_done(&room);
}
BOTH(who_holds_a_lock_does_not_wait_for_a_connection)

static err *set_meta(struct tx *tx, void *arg)
{
	str once;

	TRY(store_meta_set(tx, S("name\0x"), *(str *)arg));
	return store_meta_once(tx, S("once"), *(str *)arg, &once);
}

static void meta_keeps_the_last_value_and_the_first(struct both *b)
{
	AUTO_TX tx = NULL;
	str v;

	both_ok(store_do(b->st, b->a, set_meta, &(str)STR("one")));
	both_ok(store_do(b->st, b->a, set_meta, &(str)STR("t\0wo")));
	both_reopen(b);
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_meta_get(tx, S("name\0x"), &v));
	assert_true(str_eq(v, S("t\0wo")));
	both_ok(store_meta_get(tx, S("once"), &v));
	assert_true(str_eq(v, S("one")));
	both_ok(store_meta_get(tx, S("name"), &v));
	assert_true(str_is_none(v));
}
BOTH(meta_keeps_the_last_value_and_the_first)

static void key_and_epoch_are_the_databases(struct both *b)
{
	static const uint8_t zero[16];
	uint8_t first[16], second[16];
	const int64_t epoch = store_epoch(b->st);

	store_tree_key(b->st, first);
	both_reopen(b);
	store_tree_key(b->st, second);
	assert_memory_equal(first, second, 16);
	assert_memory_not_equal(first, zero, 16);
	assert_true(epoch > 0 && epoch == store_epoch(b->st));
}
BOTH(key_and_epoch_are_the_databases)

/* What a piece costs is counted for the thread that waited for it. */
static void statements_are_counted_for_who_waits(struct both *b)
{
	uint64_t before = store_statements_here();
	AUTO_TX tx = NULL;
	struct row *r;

	both_ok(store_do(b->st, b->a, make_table, NULL));
	assert_int_equal(store_statements_here() - before, 1);
	before = store_statements_here();
	put_row(b, 1, B(1), bind_null());
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_one(tx, "SELECT 1", NO_BIND, &r));
	assert_int_equal(store_statements_here() - before, 2);
	assert_true(store_sql_us_here() >= 0);
}
BOTH(statements_are_counted_for_who_waits)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(what_was_bound_comes_back),
		BOTH_TESTS(parameters_are_bound_by_name),
		BOTH_TESTS(numbers_of_every_width_are_numbers),
		BOTH_TESTS(a_statement_takes_null_and_then_a_value),
		BOTH_TESTS(lists_are_one_parameter),
		BOTH_TESTS(a_list_can_be_inserted),
		BOTH_TESTS(lists_side_by_side_are_rows),
		BOTH_TESTS(the_same_statement_nests),
		BOTH_TESTS(rows_left_open_do_no_harm),
		BOTH_TESTS(changed_rows_are_counted),
		BOTH_TESTS(a_read_is_a_snapshot),
		BOTH_TESTS(a_read_cannot_write),
		BOTH_TESTS(a_wrong_statement_is_an_error),
		BOTH_TESTS(reads_nest_beyond_the_pool),
		BOTH_TESTS(threads_share_few_connections),
		BOTH_TESTS(who_holds_a_lock_does_not_wait_for_a_connection),
		BOTH_TESTS(meta_keeps_the_last_value_and_the_first),
		BOTH_TESTS(key_and_epoch_are_the_databases),
		BOTH_TESTS(statements_are_counted_for_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
