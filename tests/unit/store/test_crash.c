/* test_crash.c - kill -9 in the midst of commits: who was told "done" is there afterwards, whole and once. */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "both.h"
#include "store/tx.h"

enum { THREADS = 8, ROUNDS = 4, ACKS = 150, PARTS = 3 };

struct writing {
	struct store *st;
	int64_t first; /* ids: first, first + THREADS, ... */
	int out;
};

static err *make_table(struct tx *tx, void *arg)
{
	(void)arg;
	return tx_run(tx, "CREATE TABLE parts (id BIGINT NOT NULL, part BIGINT NOT NULL, position BIGINT NOT NULL)",
		      NO_BIND);
}

static err *put_part(struct tx *tx, int64_t id, int part, int64_t position)
{
	return tx_run(tx, "INSERT INTO parts (id, part, position) VALUES ($1, $2, $3)",
		      BIND(B(id), B(part), B(position)));
}

static err *run(struct tx *tx, void *arg)
{
	for (int i = 1; i < PARTS; i++)
		TRY(put_part(tx, *(const int64_t *)arg, i, 0));
	return NULL;
}

static err *late(struct tx *tx, void *arg)
{
	int64_t position;

	TRY(tx_position(tx, &position));
	return put_part(tx, *(const int64_t *)arg, 0, position);
}

static void *write_for_ever(void *arg)
{
	const struct writing *w = arg;

	for (int64_t id = w->first;; id += THREADS) {
		AUTO_ARENA a = arena_new();
		struct ticket *t;
		const err *e = store_write(
			w->st, a, &(struct piece){ .run = run, .late = late, .arg = &id, .shard = w->first }, &t);

		assert(!e);
		e = store_wait(a, t);
		assert(!e);
		assert(write(w->out, &id, sizeof(id)) == sizeof(id));
	}
	return NULL;
}

static void child_writes(const struct both *b, int64_t first, int out)
{
	static struct writing w[THREADS];
	AUTO_ARENA a = arena_new();
	struct store *st;
	const err *e = store_open(a, &b->opt, &st);

	assert(!e);
	for (int i = 0; i < THREADS; i++) {
		pthread_t t;

		w[i] = (struct writing){ st, first + i, out };
		assert(pthread_create(&t, NULL, write_for_ever, &w[i]) == 0);
	}
	for (;;)
		pause();
}

static int64_t number(struct tx *tx, const char *sql, int64_t param)
{
	struct row *r;

	both_ok(tx_one(tx, sql, BIND(B(param)), &r));
	return row_i64(r, 0);
}

/* Reads what the child acknowledges, kills it after a while, and reads the rest from the pipe. */
static size_t acks_until_killed(struct both *b, int64_t first, int64_t *acks, size_t most)
{
	int fds[2], status;
	size_t n = 0;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(fds[0]);
		child_writes(b, first, fds[1]);
	}
	close(fds[1]);
	while (n < most && read(fds[0], &acks[n], sizeof(acks[n])) == sizeof(acks[n]))
		if (++n == ACKS)
			kill(child, SIGKILL);
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return n;
}

static void what_was_acknowledged_survives(struct both *b)
{
	static int64_t acks[100000];
	size_t n = 0;

	both_ok(store_do(b->st, b->a, make_table, NULL));
	for (int round = 0; round < ROUNDS; round++) {
		AUTO_TX tx = NULL;

		store_close(&b->st); /* no thread may be there while forking */
		n += acks_until_killed(b, 1000000 * (round + 1), acks + n, ARRAY_LEN(acks) - n);
		both_open(b);
		both_ok(store_read(b->st, b->a, &tx));
		for (size_t i = 0; i < n; i++)
			assert_int_equal(number(tx, "SELECT count(*) FROM parts WHERE id = $1", acks[i]), PARTS);
		/* Also of those that nobody was told about, nothing is there in part or twice. */
		assert_int_equal(number(tx,
					"SELECT count(*) FROM (SELECT id FROM parts GROUP BY id"
					" HAVING count(*) <> $1 OR max(part) <> $1 - 1 OR min(part) <> 0) AS wrong",
					PARTS),
				 0);
		assert_int_equal(number(tx,
					"SELECT count(*) FROM parts WHERE part = $1"
					" AND position > (SELECT position FROM stream_head)",
					0),
				 0);
	}
	assert_true(n >= ROUNDS * ACKS);
}
BOTH(what_was_acknowledged_survives)

int main(void)
{
	const struct CMUnitTest tests[] = { BOTH_TESTS(what_was_acknowledged_survives) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
