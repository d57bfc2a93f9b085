/*
 * test_order.c - positions become visible in order: whoever sees position N sees everything below it, with several
 * writers in one process, with two stores on one PostgreSQL, and with readers all the while.
 */
#include <assert.h>
#include <pthread.h>

#include "both.h"
#include "store/tx.h"

enum { THREADS = 6, PIECES = 80, STORES = 2 };

/* One store and what was told about it. */
struct side {
	struct store *st;
	int number;
	pthread_mutex_t lock;
	int64_t told, heard; /* highest position of an `after`; of the hook */
	bool done;
	uint64_t reads;
};

struct job {
	struct side *side;
	int64_t shard, n, position;
};

static err *make_table(struct tx *tx, void *arg)
{
	(void)arg;
	return tx_run(tx,
		      "CREATE TABLE log (position BIGINT NOT NULL PRIMARY KEY, store BIGINT, shard BIGINT, n BIGINT)",
		      NO_BIND);
}

static err *job_late(struct tx *tx, void *arg)
{
	static const char sql[] = "INSERT INTO log (position, store, shard, n) VALUES ($1, $2, $3, $4)";
	struct job *j = arg;

	TRY(tx_position(tx, &j->position));
	return tx_run(tx, sql, BIND(B(j->position), B(j->side->number), B(j->shard), B(j->n)));
}

static void job_after(void *arg, const err *result)
{
	struct job *j = arg;

	assert(!result);
	pthread_mutex_lock(&j->side->lock);
	assert(j->position > j->side->told);  /* in order of positions, over all writers */
	assert(j->position > j->side->heard); /* before the position moves past it */
	j->side->told = j->position;
	pthread_mutex_unlock(&j->side->lock);
}

static void hear(void *ctx, int64_t position)
{
	struct side *s = ctx;

	pthread_mutex_lock(&s->lock);
	assert(position > s->heard && position >= s->told);
	s->heard = position;
	pthread_mutex_unlock(&s->lock);
}

struct writing {
	struct side *side;
	int64_t shard;
};

static void *write_all(void *arg)
{
	const struct writing *w = arg;
	AUTO_ARENA a = arena_new();

	for (int n = 0; n < PIECES; n++) {
		struct job j = { .side = w->side, .shard = w->shard, .n = n };
		struct ticket *t;
		const err *e = store_write(
			w->side->st, a,
			&(struct piece){ .late = job_late, .after = job_after, .arg = &j, .shard = w->shard }, &t);

		assert(!e);
		e = store_wait(a, t);
		assert(!e);
	}
	return NULL;
}

static int64_t number(struct tx *tx, const char *sql, int64_t param)
{
	struct row *r;
	const err *e = tx_one(tx, sql, BIND(B(param)), &r);

	assert(!e && r);
	return row_i64(r, 0);
}

/* What was seen up to a position never grows later. */
static void *read_all(void *arg)
{
	static const char sql[] = "SELECT count(*) FROM log WHERE position <= $1";
	struct side *s = arg;
	int64_t head = 0, seen = 0;
	bool done = false;

	while (!done) {
		AUTO_ARENA a = arena_new();
		AUTO_TX tx = NULL;
		int64_t heard;
		const err *e;

		pthread_mutex_lock(&s->lock);
		heard = s->heard;
		done = s->done;
		pthread_mutex_unlock(&s->lock);
		e = store_read(s->st, a, &tx);
		assert(!e);
		assert(number(tx, sql, head) == seen);
		e = store_stream_head(tx, &head);
		assert(!e && head >= heard);
		seen = number(tx, sql, head);
		s->reads++;
	}
	assert(seen == (int64_t)THREADS * PIECES * (s->number < 0 ? 1 : STORES));
	return NULL;
}

static void start(struct side *s, int n, struct store *st)
{
	*s = (struct side){ .st = st, .number = n, .lock = PTHREAD_MUTEX_INITIALIZER };
	store_on_commit(st, hear, s);
}

static void run_sides(struct side *sides, int n_sides)
{
	pthread_t writers[STORES * THREADS], readers[STORES];
	struct writing w[STORES * THREADS];

	for (int i = 0; i < n_sides; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_all, &sides[i]), 0);
	for (int i = 0; i < n_sides * THREADS; i++) {
		w[i] = (struct writing){ &sides[i % n_sides], i };
		assert_int_equal(pthread_create(&writers[i], NULL, write_all, &w[i]), 0);
	}
	for (int i = 0; i < n_sides * THREADS; i++)
		pthread_join(writers[i], NULL);
	for (int i = 0; i < n_sides; i++) {
		pthread_mutex_lock(&sides[i].lock);
		sides[i].done = true;
		pthread_mutex_unlock(&sides[i].lock);
		pthread_join(readers[i], NULL);
		assert_true(sides[i].reads > 1);
	}
}

/* A shard's pieces were queued one after the other: so are their positions. */
static void shards_keep_their_order(struct both *b)
{
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	assert_int_equal(number(tx,
				"SELECT count(*) FROM log x JOIN log y ON x.shard = y.shard AND x.n = y.n + $1"
				" WHERE x.position < y.position",
				1),
			 0);
}

static void no_reader_sees_a_position_without_all_below(struct both *b)
{
	struct side side;

	both_ok(store_do(b->st, b->a, make_table, NULL));
	start(&side, -1, b->st);
	run_sides(&side, 1);
	shards_keep_their_order(b);
}
BOTH(no_reader_sees_a_position_without_all_below)

static void nor_with_two_stores_on_one_database(void **state)
{
	struct side sides[STORES];
	struct both both, *b = &both;
	struct store *second;

	(void)state;
	both_begin(b, true);
	both_ok(store_open(b->a, &b->opt, &second));
	both_ok(store_do(b->st, b->a, make_table, NULL));
	start(&sides[0], 0, b->st);
	start(&sides[1], 1, second);
	run_sides(sides, STORES);
	shards_keep_their_order(b);
	store_close(&second);
	both_end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(no_reader_sees_a_position_without_all_below),
		cmocka_unit_test(nor_with_two_stores_on_one_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
