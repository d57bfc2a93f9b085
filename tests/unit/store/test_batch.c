/*
 * test_batch.c - what becomes of the pieces of a batch: all of a piece is there or nothing, whoever was told "done" is
 * there, whoever was told why not is not, and both are told in order.
 */
#include "gate.h"
#include "base/map.h"
#include "store/fault.h"
#include "store/tx.h"

enum { SHARD = 7, MANY = 9 };

struct journal { /* what happened, in order */
	char text[4096];
	pthread_mutex_t lock;
};

static void note(struct journal *j, const char *what, int id)
{
	const size_t n = strlen(j->text);

	pthread_mutex_lock(&j->lock);
	snprintf(j->text + n, sizeof(j->text) - n, "%s%s%d", n ? " " : "", what, id);
	pthread_mutex_unlock(&j->lock);
}

enum fails { NEVER, AT_ONCE, AFTER_WRITING, BY_THE_DATABASE, IN_LATE };

struct job {
	int id;
	enum fails fails;
	struct journal *journal;
	bool *poisoned; /* set by a failure; later ones of the shard then refuse */
	bool with_late;
	int64_t position;
	struct ticket *ticket;
};

static err *make_tables(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(tx_run(tx, "CREATE TABLE runs (id BIGINT NOT NULL, part BIGINT NOT NULL, PRIMARY KEY (id, part))",
		   NO_BIND));
	TRY(tx_run(tx, "CREATE TABLE lates (id BIGINT NOT NULL PRIMARY KEY, position BIGINT NOT NULL)", NO_BIND));
	return tx_run(tx, "INSERT INTO runs (id, part) VALUES ($1, $1)", BIND(B(-1)));
}

static err *put_part(struct tx *tx, int id, int part)
{
	return tx_run(tx, "INSERT INTO runs (id, part) VALUES ($1, $2)", BIND(B(id), B(part)));
}

static err *job_run(struct tx *tx, void *arg)
{
	struct job *job = arg;

	if (job->poisoned && *job->poisoned)
		return err_new(tx_arena(tx), ERR_INTERNAL, "one before me failed");
	if (job->fails == AT_ONCE)
		return err_new(tx_arena(tx), ERR_FORBIDDEN, "at once");
	TRY(put_part(tx, job->id, 0));
	if (job->fails == BY_THE_DATABASE)
		TRY(tx_run(tx, "INSERT INTO runs (id, part) VALUES ($1, $1)", BIND(B(-1))));
	TRY(put_part(tx, job->id, 1));
	return job->fails == AFTER_WRITING ? err_new(tx_arena(tx), ERR_FORBIDDEN, "after writing") : NULL;
}

static err *job_late(struct tx *tx, void *arg)
{
	struct job *job = arg;

	TRY(tx_position(tx, &job->position));
	TRY(tx_run(tx, "INSERT INTO lates (id, position) VALUES ($1, $2)", BIND(B(job->id), B(job->position))));
	return job->fails == IN_LATE ? err_new(tx_arena(tx), ERR_FORBIDDEN, "in late") : NULL;
}

static void job_after(void *arg, const err *result)
{
	struct job *job = arg;

	note(job->journal, result ? "-" : "+", job->id);
	if (result && job->poisoned)
		*job->poisoned = true;
}

static void queue(struct both *b, struct job *job)
{
	const struct piece p = { .run = job_run,
				 .late = job->with_late ? job_late : NULL,
				 .after = job->journal ? job_after : NULL,
				 .arg = job,
				 .shard = SHARD };

	both_ok(store_write(b->st, b->a, &p, &job->ticket));
}

static int64_t count(struct both *b, const char *sql, int64_t param)
{
	AUTO_TX tx = NULL;
	struct row *r;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_one(tx, sql, BIND(B(param)), &r));
	return row_i64(r, 0);
}

/* All rows of a job, or none, as it was told. */
static void check_job(struct both *b, const struct job *job, const err *told)
{
	assert_int_equal(count(b, "SELECT count(*) FROM runs WHERE id = $1", job->id), told ? 0 : 2);
	assert_int_equal(count(b, "SELECT count(*) FROM lates WHERE id = $1", job->id), !told && job->with_late);
}

static void run_jobs(struct both *b, struct job *jobs, size_t n, err **told)
{
	struct gate gate;

	gate_shut(&gate, b, SHARD);
	for (size_t i = 0; i < n; i++)
		queue(b, &jobs[i]);
	gate_open(&gate, b);
	for (size_t i = 0; i < n; i++)
		told[i] = store_wait(b->a, jobs[i].ticket);
}

static void a_failing_piece_is_undone_alone(struct both *b)
{
	static const enum fails ways[] = { AT_ONCE, AFTER_WRITING, BY_THE_DATABASE, IN_LATE };
	int id = 0;

	both_ok(store_do(b->st, b->a, make_tables, NULL));
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		struct job jobs[MANY];
		err *told[MANY];

		for (int i = 0; i < MANY; i++)
			jobs[i] = (struct job){ .id = id++,
						.with_late = i % 2 == 0 || i == 3,
						.fails = i == 3 || i == 4 ? ways[w] : NEVER };
		run_jobs(b, jobs, MANY, told);
		for (int i = 0; i < MANY; i++) {
			assert_true((told[i] != NULL) == (jobs[i].fails != NEVER));
			check_job(b, &jobs[i], told[i]);
		}
		assert_int_equal(told[3]->code, ways[w] == BY_THE_DATABASE ? ERR_STORE : ERR_FORBIDDEN);
	}
}
BOTH(a_failing_piece_is_undone_alone)

static void a_failing_commit_fails_every_piece(struct both *b)
{
	struct job jobs[MANY], more = { .id = 100, .with_late = true };
	err *told[MANY];
	struct gate gate;

	both_ok(store_do(b->st, b->a, make_tables, NULL));
	for (int i = 0; i < MANY; i++)
		jobs[i] = (struct job){ .id = i, .with_late = true };
	gate_shut(&gate, b, SHARD);
	for (int i = 0; i < MANY; i++)
		queue(b, &jobs[i]);
	store_fault(b->st, FAULT_COMMIT, 2); /* the gate's own batch is the first */
	gate_open(&gate, b);
	for (int i = 0; i < MANY; i++) {
		told[i] = store_wait(b->a, jobs[i].ticket);
		assert_non_null(told[i]);
		check_job(b, &jobs[i], told[i]);
	}
	run_jobs(b, &more, 1, told);
	both_ok(told[0]);
	check_job(b, &more, NULL);
}
BOTH(a_failing_commit_fails_every_piece)

/* Statement n fails, for every n: whatever the pieces were told is how it is. */
static void no_failing_statement_leaves_half_a_piece(struct both *b)
{
	int id = 0, failures = 0;

	both_ok(store_do(b->st, b->a, make_tables, NULL));
	for (int64_t n = 1; n <= 16; n++) {
		struct job jobs[4];
		err *told[4];
		int failed = 0;

		for (int i = 0; i < 4; i++)
			jobs[i] = (struct job){ .id = id++, .with_late = i != 2 };
		store_fault(b->st, FAULT_STATEMENT, n);
		run_jobs(b, jobs, 4, told);
		store_fault(b->st, FAULT_STATEMENT, 0);
		for (int i = 0; i < 4; i++) {
			check_job(b, &jobs[i], told[i]);
			failed += told[i] != NULL;
		}
		assert_true(failed <= 1);
		failures += failed;
	}
	assert_true(failures >= 10);
}
BOTH(no_failing_statement_leaves_half_a_piece)

static void everybody_is_told_in_order(struct both *b)
{
	struct journal journal = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct job jobs[MANY];
	err *told[MANY];

	both_ok(store_do(b->st, b->a, make_tables, NULL));
	for (int i = 0; i < MANY; i++)
		jobs[i] = (struct job){ .id = i, .journal = &journal, .with_late = true };
	run_jobs(b, jobs, MANY, told);
	assert_string_equal(journal.text, "+0 +1 +2 +3 +4 +5 +6 +7 +8");
}
BOTH(everybody_is_told_in_order)

/* A room's later events build on the earlier ones: these must not be stored once one before them failed. */
static void later_pieces_see_the_failure_before_they_run(struct both *b)
{
	static const enum fails ways[] = { AT_ONCE, AFTER_WRITING, BY_THE_DATABASE };
	int id = 0;

	both_ok(store_do(b->st, b->a, make_tables, NULL));
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		struct journal journal = { .lock = PTHREAD_MUTEX_INITIALIZER };
		bool poisoned = false;
		struct job jobs[6];
		err *told[6];

		for (int i = 0; i < 6; i++)
			jobs[i] = (struct job){ .id = id++,
						.journal = &journal,
						.poisoned = i >= 2 ? &poisoned : NULL,
						.with_late = true,
						.fails = i == 2 ? ways[w] : NEVER };
		run_jobs(b, jobs, 6, told);
		for (int i = 0; i < 6; i++) {
			assert_true((told[i] != NULL) == (i >= 2));
			check_job(b, &jobs[i], told[i]);
		}
		assert_int_equal(told[3]->code, ERR_INTERNAL);
	}
}
BOTH(later_pieces_see_the_failure_before_they_run)

struct heard {
	int64_t positions[64];
	size_t n;
	struct journal *journal;
};

static void hear(void *ctx, int64_t position)
{
	struct heard *h = ctx;

	h->positions[h->n++] = position;
	note(h->journal, "p", 0);
}

static void positions_rise_and_are_told_after_the_pieces(struct both *b)
{
	struct journal journal = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct heard heard = { .journal = &journal };
	struct job jobs[4], plain = { .id = 50 };
	AUTO_TX tx = NULL;
	int64_t head;
	err *told[4];

	both_ok(store_do(b->st, b->a, make_tables, NULL));
	store_on_commit(b->st, hear, &heard);
	for (int i = 0; i < 4; i++)
		jobs[i] = (struct job){ .id = i, .journal = &journal, .with_late = i != 1 };
	run_jobs(b, jobs, 4, told);
	assert_string_equal(journal.text, "+0 +1 +2 +3 p0");
	assert_true(0 < jobs[0].position && jobs[0].position < jobs[2].position && jobs[2].position < jobs[3].position);
	assert_int_equal(heard.n, 1);
	assert_true(heard.positions[0] >= jobs[3].position);
	run_jobs(b, &plain, 1, told); /* none taken: nothing is told */
	assert_int_equal(heard.n, 1);
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_stream_head(tx, &head));
	assert_true(head == heard.positions[0]);
	store_read_end(&tx);
	both_reopen(b);
	jobs[0] = (struct job){ .id = 60, .with_late = true };
	run_jobs(b, jobs, 1, told);
	assert_true(jobs[0].position > head);
}
BOTH(positions_rise_and_are_told_after_the_pieces)

static err *take_many(struct tx *tx, void *arg)
{
	int64_t last = 0, p;

	for (int i = 0; i < 100; i++) {
		TRY(tx_position(tx, &p));
		if (p <= last)
			return err_new(tx_arena(tx), ERR_INTERNAL, "positions do not rise");
		last = p;
	}
	*(int64_t *)arg = last;
	return NULL;
}

static void a_piece_may_take_many_positions(struct both *b)
{
	struct ticket *t[2];
	int64_t last[2];
	struct gate gate;

	gate_shut(&gate, b, SHARD);
	for (int i = 0; i < 2; i++)
		both_ok(store_write(b->st, b->a, &(struct piece){ .late = take_many, .arg = &last[i], .shard = SHARD },
				    &t[i]));
	gate_open(&gate, b);
	both_ok(store_wait(b->a, t[0]));
	both_ok(store_wait(b->a, t[1]));
	assert_true(last[0] >= 100 && last[1] >= last[0] + 100);
}
BOTH(a_piece_may_take_many_positions)

/* `late` of the first sees what `run` of the last wrote. */
static err *count_runs(struct tx *tx, void *arg)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT count(*) FROM runs WHERE id >= 0", NO_BIND, &r));
	*(int64_t *)arg = row_i64(r, 0);
	return NULL;
}

static void late_runs_after_every_run(struct both *b)
{
	struct job jobs[3] = { { .id = 1 }, { .id = 2 }, { .id = 3 } };
	struct ticket *first;
	int64_t seen = 0;
	struct gate gate;

	both_ok(store_do(b->st, b->a, make_tables, NULL));
	gate_shut(&gate, b, SHARD);
	both_ok(store_write(b->st, b->a, &(struct piece){ .late = count_runs, .arg = &seen, .shard = SHARD }, &first));
	for (int i = 0; i < 3; i++)
		queue(b, &jobs[i]);
	gate_open(&gate, b);
	both_ok(store_wait(b->a, first));
	for (int i = 0; i < 3; i++)
		both_ok(store_wait(b->a, jobs[i].ticket));
	assert_int_equal(seen, 6);
}
BOTH(late_runs_after_every_run)

static void a_full_queue_refuses_and_loses_nothing(struct both *b)
{
	struct job jobs[6];
	struct gate gate;
	err *e;

	both_ok(store_do(b->st, b->a, make_tables, NULL));
	b->opt.queue_limit = 5;
	both_reopen(b);
	gate_shut(&gate, b, SHARD);
	for (int i = 0; i < 5; i++) {
		jobs[i] = (struct job){ .id = i };
		queue(b, &jobs[i]);
	}
	jobs[5] = (struct job){ .id = 5 };
	e = store_write(b->st, b->a, &(struct piece){ .run = job_run, .arg = &jobs[5], .shard = SHARD },
			&jobs[5].ticket);
	assert_non_null(e);
	assert_int_equal(e->code, ERR_BUSY);
	gate_open(&gate, b);
	for (int i = 0; i < 5; i++)
		both_ok(store_wait(b->a, jobs[i].ticket));
	assert_int_equal(count(b, "SELECT count(*) FROM runs WHERE id >= $1", 0), 10);
}
BOTH(a_full_queue_refuses_and_loses_nothing)

static void closing_commits_what_is_queued(struct both *b)
{
	static struct job jobs[300];

	both_ok(store_do(b->st, b->a, make_tables, NULL));
	for (int i = 0; i < 300; i++) {
		jobs[i] = (struct job){ .id = i };
		both_ok(store_write(b->st, b->a, &(struct piece){ .run = job_run, .arg = &jobs[i], .shard = i }, NULL));
	}
	both_reopen(b);
	assert_int_equal(count(b, "SELECT count(*) FROM runs WHERE id >= $1", 0), 600);
}
BOTH(closing_commits_what_is_queued)

/* What a piece orders when it is told is still done when the store closes. */
struct chain {
	struct store *st;
	struct job job;
	struct chain *next;
};

static err *chain_run(struct tx *tx, void *arg)
{
	struct chain *c = arg;

	return job_run(tx, &c->job);
}

static void chain_after(void *arg, const err *result)
{
	struct chain *c = arg;
	AUTO_ARENA a = arena_new();

	assert(!result);
	if (c->next) {
		const struct piece p = { .run = chain_run, .after = chain_after, .arg = c->next, .shard = SHARD };
		const err *e = store_write(c->st, a, &p, NULL);

		assert(!e);
	}
}

static void closing_waits_for_what_pieces_order(struct both *b)
{
	struct chain chain[6];
	struct gate gate;

	both_ok(store_do(b->st, b->a, make_tables, NULL));
	for (int i = 0; i < 6; i++)
		chain[i] = (struct chain){ .st = b->st, .job = { .id = i }, .next = i < 5 ? &chain[i + 1] : NULL };
	gate_shut(&gate, b, SHARD);
	both_ok(store_write(b->st, b->a,
			    &(struct piece){ .run = chain_run, .after = chain_after, .arg = chain, .shard = SHARD },
			    NULL));
	gate_open(&gate, b);
	both_reopen(b);
	assert_int_equal(count(b, "SELECT count(*) FROM runs WHERE id >= $1", 0), 12);
}
BOTH(closing_waits_for_what_pieces_order)

/* The disk is full for one of three: SQLite then ends the whole transaction by itself. */
static err *leave_pages(struct tx *tx, void *arg)
{
	struct row *r;

	(void)arg;
	TRY(tx_one(tx, "PRAGMA page_count", NO_BIND, &r));
	return tx_one(tx, arena_printf(tx_arena(tx), "PRAGMA max_page_count = %" PRId64, row_i64(r, 0) + 20).p, NO_BIND,
		      &r);
}

static err *put_much(struct tx *tx, void *arg)
{
	TRY(put_part(tx, *(int *)arg, 0));
	return tx_run(tx, "INSERT INTO meta (name, value) VALUES ($1, $2)",
		      BIND(B(S("much")), B(((str){ arena_zalloc(tx_arena(tx), 1 << 20), 1 << 20 }))));
}

static void a_full_disk_fails_only_what_has_no_room(void **state)
{
	struct job jobs[2] = { { .id = 1, .with_late = true }, { .id = 2, .with_late = true } };
	struct both both, *b = &both;
	struct ticket *much;
	struct gate gate;
	int id = 3;
	err *e;

	(void)state;
	both_begin(b, false);
	both_ok(store_do(b->st, b->a, make_tables, NULL));
	both_ok(store_do(b->st, b->a, leave_pages, NULL));
	gate_shut(&gate, b, SHARD);
	queue(b, &jobs[0]);
	both_ok(store_write(b->st, b->a, &(struct piece){ .run = put_much, .arg = &id, .shard = SHARD }, &much));
	queue(b, &jobs[1]);
	gate_open(&gate, b);
	both_ok(store_wait(b->a, jobs[0].ticket));
	e = store_wait(b->a, much);
	assert_true(e && str_contains(e->msg, S("full")));
	both_ok(store_wait(b->a, jobs[1].ticket));
	check_job(b, &jobs[0], NULL);
	check_job(b, &jobs[1], NULL);
	assert_int_equal(count(b, "SELECT count(*) FROM runs WHERE id = $1", id), 0);
	both_end(b);
}

static void disconnect_all(const struct both *b)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '%s'", b->schema);
	both_admin(sql);
}

static void a_lost_connection_is_made_again(void **state)
{
	struct both both, *b = &both;
	err *told[2];

	(void)state;
	both_begin(b, true);
	both_ok(store_do(b->st, b->a, make_tables, NULL));
	for (int i = 0; i < 5; i++) {
		struct job jobs[2] = { { .id = 2 * i, .with_late = true }, { .id = 2 * i + 1 } };
		struct gate gate;

		if (i % 2) {
			disconnect_all(b); /* while idle */
			run_jobs(b, jobs, 2, told);
		} else {
			gate_shut(&gate, b, SHARD);
			queue(b, &jobs[0]);
			queue(b, &jobs[1]);
			disconnect_all(b); /* within a batch */
			gate_open(&gate, b);
			told[0] = store_wait(b->a, jobs[0].ticket);
			told[1] = store_wait(b->a, jobs[1].ticket);
		}
		both_ok(told[0]);
		both_ok(told[1]);
		check_job(b, &jobs[0], NULL);
		check_job(b, &jobs[1], NULL);
	}
	both_end(b);
}

static err *count_up(struct tx *tx, void *arg)
{
	(void)arg;
	return tx_run(tx, "UPDATE runs SET part = part + 1 WHERE id = $1", BIND(B(-1)));
}

/* The connection goes away around COMMIT: the batch is stored once, whichever side of it. */
static void a_commit_without_an_answer_is_settled(void **state)
{
	static const enum store_fault faults[] = { FAULT_LOSE_BEFORE, FAULT_LOSE_AFTER };
	struct both both, *b = &both;

	(void)state;
	both_begin(b, true);
	both_ok(store_do(b->st, b->a, make_tables, NULL));
	for (int i = 0; i < 6; i++) {
		store_fault(b->st, faults[i % 2], 1);
		both_ok(store_do(b->st, b->a, count_up, NULL));
		assert_int_equal(count(b, "SELECT part FROM runs WHERE id = $1", -1), i);
	}
	both_end(b);
}

struct opponents {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int arrived;
};
struct opponent {
	struct opponents *all;
	int64_t first, second;
	int runs;
};

static err *add_one(struct tx *tx, int64_t id)
{
	int64_t changed; /* asked for: it must have happened when the call returns */

	return tx_run_count(tx, "UPDATE runs SET part = part + 10 WHERE id = $1", BIND(B(id)), &changed);
}

/* Each updates its row, waits until the other did the same, and wants the other's. */
static err *cross(struct tx *tx, void *arg)
{
	struct opponent *o = arg;

	o->runs++;
	TRY(add_one(tx, o->first));
	pthread_mutex_lock(&o->all->lock);
	o->all->arrived++;
	pthread_cond_broadcast(&o->all->changed);
	while (o->all->arrived < 2)
		pthread_cond_wait(&o->all->changed, &o->all->lock);
	pthread_mutex_unlock(&o->all->lock);
	return add_one(tx, o->second);
}

static void a_deadlock_of_two_writers_is_tried_again(void **state)
{
	struct opponents all = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct opponent o[2] = { { .all = &all, .first = 1, .second = 2 }, { .all = &all, .first = 2, .second = 1 } };
	struct job jobs[2] = { { .id = 1 }, { .id = 2 } };
	struct both both, *b = &both;
	struct ticket *t[2];
	err *told[2];

	(void)state;
	both_begin(b, true);
	b->opt.writers = 2;
	both_reopen(b);
	both_ok(store_do(b->st, b->a, make_tables, NULL));
	run_jobs(b, jobs, 2, told);
	for (uint64_t i = 0; i < 2; i++) {
		int64_t shard = 0;

		while (hash_i64(shard) % 2 != i) /* how pieces are spread over two writers */
			shard++;
		both_ok(store_write(b->st, b->a, &(struct piece){ .run = cross, .arg = &o[i], .shard = shard }, &t[i]));
	}
	both_ok(store_wait(b->a, t[0]));
	both_ok(store_wait(b->a, t[1]));
	assert_true(o[0].runs + o[1].runs >= 3);
	assert_int_equal(count(b, "SELECT sum(part) FROM runs WHERE id > $1", 0), 2 + 80);
	both_end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(a_failing_piece_is_undone_alone),
		BOTH_TESTS(a_failing_commit_fails_every_piece),
		BOTH_TESTS(no_failing_statement_leaves_half_a_piece),
		BOTH_TESTS(everybody_is_told_in_order),
		BOTH_TESTS(later_pieces_see_the_failure_before_they_run),
		BOTH_TESTS(positions_rise_and_are_told_after_the_pieces),
		BOTH_TESTS(a_piece_may_take_many_positions),
		BOTH_TESTS(late_runs_after_every_run),
		BOTH_TESTS(a_full_queue_refuses_and_loses_nothing),
		BOTH_TESTS(closing_commits_what_is_queued),
		BOTH_TESTS(closing_waits_for_what_pieces_order),
		cmocka_unit_test(a_full_disk_fails_only_what_has_no_room),
		cmocka_unit_test(a_lost_connection_is_made_again),
		cmocka_unit_test(a_commit_without_an_answer_is_settled),
		cmocka_unit_test(a_deadlock_of_two_writers_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
