/*
 * store_bench.c - how many pieces a second the store commits: threads that each wait for theirs, as requests do.
 *
 * Usage: bench-store sqlite FILE | pg CONNINFO  [threads [seconds [rows a piece]]]
 * Prints pieces and commits a second, CPU per piece, and how long a piece waited. Figures go to
 * docs/internals/store.md.
 */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "store/tx.h"

enum { MOST_THREADS = 256, MOST_WAITS = 1 << 20 };

struct worker {
	struct store *st;
	int64_t id, until, rows;
	int64_t pieces;
	int64_t *waits; /* us */
};

static int64_t batches; /* counted by the hook */

static err *make_table(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(tx_run(tx, "DROP TABLE IF EXISTS bench", NO_BIND));
	TRY(tx_run(
		tx,
		"CREATE TABLE bench (id BIGINT NOT NULL PRIMARY KEY, worker BIGINT NOT NULL, position BIGINT NOT NULL,"
		" json BYTEA NOT NULL)",
		NO_BIND));
	return tx_run(tx, "CREATE INDEX bench_by_worker ON bench (worker, id)", NO_BIND);
}

static err *put_rows(struct tx *tx, void *arg)
{
	static const char sql[] = "INSERT INTO bench (id, worker, position, json) VALUES ($1, $2, $3, $4)";
	static const char json[400] = "{\"content\":{\"body\":\"a message\",\"msgtype\":\"m.text\"}";
	const struct worker *w = arg;

	for (int64_t i = 0; i < w->rows; i++)
		TRY(tx_run(tx, sql,
			   BIND(B((w->pieces * MOST_THREADS + w->id) * w->rows + i), B(w->id), B(0),
				B(((str){ json, sizeof(json) })))));
	return NULL;
}

static err *take_position(struct tx *tx, void *arg)
{
	int64_t position;

	(void)arg;
	return tx_position(tx, &position);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	AUTO_ARENA a = arena_new();

	for (int64_t start = clock_mono_us(); start < w->until; w->pieces++) {
		const struct piece p = { .run = put_rows, .late = take_position, .arg = w, .shard = w->id };
		struct ticket *t;
		const err *e = store_write(w->st, a, &p, &t);
		int64_t now;

		if (!e)
			e = store_wait(a, t);
		if (e) {
			fprintf(stderr, "%.*s\n", STR_ARG(e->msg));
			exit(1);
		}
		now = clock_mono_us();
		if (w->pieces < MOST_WAITS / MOST_THREADS)
			w->waits[w->pieces] = now - start;
		start = now;
		arena_reset(a);
	}
	return NULL;
}

static int by_value(const void *x, const void *y)
{
	const int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return (a > b) - (a < b);
}

static void count_batch(void *ctx, int64_t position)
{
	(void)ctx, (void)position;
	__atomic_add_fetch(&batches, 1, __ATOMIC_RELAXED);
}

static int64_t cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static int64_t argument(int argc, char **argv, int i, int64_t otherwise)
{
	int64_t v = otherwise;

	if (i < argc && !str_to_i64(str_c(argv[i]), &v))
		exit(2);
	return v;
}

int main(int argc, char **argv)
{
	static struct worker w[MOST_THREADS];
	static int64_t waits[MOST_WAITS];
	AUTO_ARENA a = arena_new();
	const int64_t threads = argument(argc, argv, 3, 64), seconds = argument(argc, argv, 4, 5);
	const bool pg = argc > 2 && str_eq(str_c(argv[1]), S("pg"));
	struct store_options opt = { .driver = pg ? STORE_PG : STORE_SQLITE };
	pthread_t ids[MOST_THREADS];
	int64_t pieces = 0, start, cpu, took;
	size_t n_waits = 0;
	struct store *st;
	err *e;

	if (argc < 3 || threads < 1 || threads > MOST_THREADS)
		return 2;
	opt.path = opt.conninfo = str_c(argv[2]);
	e = store_open(a, &opt, &st);
	if (!e)
		e = store_do(st, a, make_table, NULL);
	if (e) {
		fprintf(stderr, "%.*s\n", STR_ARG(e->msg));
		return 1;
	}
	store_on_commit(st, count_batch, NULL);
	start = clock_mono_us();
	cpu = cpu_us();
	for (int64_t i = 0; i < threads; i++) {
		w[i] = (struct worker){ .st = st, .id = i, .until = start + seconds * 1000000 };
		w[i].rows = argument(argc, argv, 5, 5);
		w[i].waits = waits + i * (MOST_WAITS / MOST_THREADS);
		assert(pthread_create(&ids[i], NULL, work, &w[i]) == 0);
	}
	for (int64_t i = 0; i < threads; i++) {
		int64_t n;

		pthread_join(ids[i], NULL);
		pieces += w[i].pieces;
		n = MIN(w[i].pieces, MOST_WAITS / MOST_THREADS);
		memmove(waits + n_waits, w[i].waits, (size_t)n * sizeof(waits[0]));
		n_waits += (size_t)n;
	}
	took = clock_mono_us() - start;
	cpu = cpu_us() - cpu;
	qsort(waits, n_waits, sizeof(waits[0]), by_value);
	printf("%" PRId64 " threads, %" PRId64 " rows: %" PRId64 " pieces/s, %" PRId64 " commits/s, %" PRId64
	       " us CPU a piece, wait p50 %" PRId64 " us p99 %" PRId64 " us\n",
	       threads, w[0].rows, pieces * 1000000 / took, batches * 1000000 / took, cpu / pieces, waits[n_waits / 2],
	       waits[n_waits * 99 / 100]);
	store_close(&st);
	return 0;
}
