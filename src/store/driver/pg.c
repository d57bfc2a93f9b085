/*
 * pg.c - PostgreSQL: transactions, rows, and what became of a COMMIT whose answer was lost.
 *
 * Writers use READ COMMITTED, so that an insert which had to wait for another process's sees the row afterwards;
 * readers REPEATABLE READ, one snapshot from their first statement on. The end of a read is sent and not waited for.
 *
 * A connection that goes away in COMMIT leaves the question whether the batch is there. Each writing session holds an
 * advisory lock, and each batch leaves its mark in the row of its session (write_marks). A new connection waits for the
 * lock, that is for the old session's end, whatever that brings, and then reads the mark: it is the batch's, or the
 * batch is not there.
 */
#include <assert.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/rand.h"
#include "store/driver/internal_pg.h"

enum { MARKS_LIVE_MS = 7 * 24 * 3600 * 1000, MOST_STATEMENTS = 500 };

static const char mark_sql[] = "INSERT INTO write_marks (writer, batch, at) VALUES ($1, $2, $3)"
			       " ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, at = excluded.at";

static err *run_plain(struct tx *tx, const char *sql) { return pg_send(pgc(tx->conn), tx->arena, sql, NO_BIND); }

static err *pg_run(struct tx *tx, const char *sql, const struct bind *b, size_t n, int64_t *out_changed)
{
	struct pg_conn *c = pgc(tx->conn);
	PGresult *r = NULL;

	TRY(pg_send(c, tx->arena, sql, b, n));
	if (!out_changed)
		return NULL;
	TRY(pg_settle(c, tx->arena, &r));
	if (!str_to_i64(str_c(PQcmdTuples(r)), out_changed))
		*out_changed = 0;
	PQclear(r);
	return NULL;
}

/*
 * Rows: the whole result is here when the query returns
 */
static err *pg_query(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct rows *rs)
{
	struct pg_conn *c = pgc(tx->conn);
	PGresult *r = NULL;

	TRY(pg_send(c, tx->arena, sql, b, n));
	TRY(pg_settle(c, tx->arena, &r));
	if (!str_starts(str_c(PQcmdStatus(r)), S("SELECT")))
		tx->wrote = true;
	rs->handle = r;
	rs->at = -1;
	return NULL;
}

static bool pg_next(struct rows *rs) { return ++rs->at < PQntuples(rs->handle); }

static void pg_end(struct rows *rs)
{
	PQclear(rs->handle);
	rs->handle = NULL;
}

static int pg_columns(const struct rows *rs) { return PQnfields(rs->handle); }
static bool pg_is_null(const struct rows *rs, int col) { return PQgetisnull(rs->handle, (int)rs->at, col) != 0; }
static int64_t pg_rows_number(const struct rows *rs, int col) { return pg_number(rs->handle, (int)rs->at, col); }
static str pg_rows_bytes(const struct rows *rs, int col) { return pg_bytes(rs->handle, (int)rs->at, col); }

/*
 * Transactions
 */
static err *pg_begin(struct tx *tx)
{
	struct pg_conn *c = pgc(tx->conn);

	c->arena = tx->arena;
	c->error = NULL;
	if (pg_settle(c, tx->arena, NULL) != NULL) /* the end of the one before */
		pg_lost(c);
	pg_look(c);
	if (c->health == CONN_GOOD && c->n_stmts > MOST_STATEMENTS) {
		TRY(pg_script(tx->conn, tx->arena, "DEALLOCATE ALL"));
		pg_forget_statements(c);
	}
	return run_plain(tx, c->use == CONN_WRITE ? "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
						  : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

static void pg_rollback(struct tx *tx)
{
	struct pg_conn *c = pgc(tx->conn);
	err *ended;

	ended = pg_settle(c, tx->arena, NULL);
	c->error = NULL;
	if (c->health != CONN_LOST) {
		c->health = CONN_GOOD;
		ended = run_plain(tx, "ROLLBACK");
		pg_sync_later(c);
	}
	(void)ended; /* a connection that cannot roll back is lost, and says so when it is used next */
	if (c->use == CONN_WRITE && pg_settle(c, tx->arena, NULL) != NULL)
		pg_lost(c);
	c->arena = NULL;
}

static err *send_mark(struct tx *tx)
{
	struct pg_conn *c = pgc(tx->conn);
	const int64_t now = clock_ms();

	c->batch = (int64_t)(rand_u64() >> 1);
	if (!c->swept)
		TRY(pg_run(tx, "DELETE FROM write_marks WHERE at < $1", BIND(B(now - MARKS_LIVE_MS)), NULL));
	c->swept = true;
	return pg_run(tx, mark_sql, BIND(B(c->writer), B(c->batch), B(now)), NULL);
}

/* COMMIT goes out with all that was not waited for. An error among that made the server skip it. */
static enum commit_outcome pg_commit(struct tx *tx, err **why)
{
	struct pg_conn *c = pgc(tx->conn);

	if (store_fault_hits(tx->st, FAULT_COMMIT)) {
		pg_rollback(tx);
		*why = err_new(tx->arena, ERR_STORE, "fault ordered by a test");
		return COMMIT_FAILED;
	}
	*why = tx->writer ? send_mark(tx) : NULL;
	if (*why)
		return COMMIT_NEVER_BEGAN;
	if (store_fault_hits(tx->st, FAULT_LOSE_BEFORE))
		shutdown(PQsocket(c->pg), SHUT_RDWR);
	*why = run_plain(tx, "COMMIT");
	if (*why)
		return COMMIT_NEVER_BEGAN;
	pg_sync_later(c);
	if (store_fault_hits(tx->st, FAULT_LOSE_AFTER))
		shutdown(PQsocket(c->pg), SHUT_RDWR);
	*why = pg_settle(c, tx->arena, NULL);
	if (!*why) {
		c->arena = NULL;
		return COMMIT_DONE;
	}
	return c->health == CONN_LOST ? COMMIT_UNCERTAIN : COMMIT_NEVER_BEGAN;
}

/* Waits for the end of the session that holds the lock; one that does not end by itself is ended. */
static err *wait_for_end(struct conn *c, struct arena *a, int64_t writer)
{
	const str wait = arena_printf(a, "SET lock_timeout = '3s'; SELECT pg_advisory_lock(%" PRId64 ")", writer);
	const str end = arena_printf(a,
				     "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
				     " AND (classid::bigint << 32) + objid::bigint = %" PRId64,
				     writer);
	const str done = arena_printf(a, "RESET lock_timeout; SELECT pg_advisory_unlock(%" PRId64 ")", writer);

	if (pg_script(c, a, wait.p) != NULL) {
		TRY(pg_script(c, a, end.p));
		TRY(pg_script(c, a, wait.p));
	}
	return pg_script(c, a, done.p);
}

static err *read_mark(struct tx *tx, int64_t writer, int64_t *out)
{
	struct row *r;

	TRY(tx->st->drv->begin(tx));
	TRY(tx_one(tx, "SELECT batch FROM write_marks WHERE writer = $1", BIND(B(writer)), &r));
	*out = r ? row_i64(r, 0) : 0;
	return NULL;
}

static bool pg_settle_commit(struct conn *c, struct conn *before, struct arena *a, bool *out_known)
{
	struct pg_conn *old = pgc(before);
	struct tx tx = tx_plain(old->base.st, c, a);
	int64_t mark = 0;

	*out_known = false;
	if (PQsocket(old->pg) >= 0)
		shutdown(PQsocket(old->pg), SHUT_RDWR);
	if (wait_for_end(c, a, old->writer) != NULL)
		return false;
	*out_known = read_mark(&tx, old->writer, &mark) == NULL;
	pg_rollback(&tx);
	return *out_known && mark == old->batch;
}

static err *pg_savepoint(struct tx *tx) { return run_plain(tx, "SAVEPOINT piece"); }
static err *pg_savepoint_keep(struct tx *tx) { return run_plain(tx, "RELEASE SAVEPOINT piece"); }
static err *pg_check(struct tx *tx) { return pg_settle(pgc(tx->conn), tx->arena, NULL); }

static err *pg_savepoint_undo(struct tx *tx)
{
	struct pg_conn *c = pgc(tx->conn);
	err *known = pg_settle(c, tx->arena, NULL);

	if (c->health >= CONN_CLASH)
		return known;
	c->health = CONN_GOOD;
	c->error = NULL;
	TRY(run_plain(tx, "ROLLBACK TO SAVEPOINT piece"));
	TRY(run_plain(tx, "RELEASE SAVEPOINT piece"));
	return pg_settle(c, tx->arena, NULL);
}

static enum conn_health pg_health(struct conn *c) { return pgc(c)->health; }

/*
 * The server
 */
static err *pg_open(struct store *st, struct arena *a)
{
	(void)st, (void)a;
	return NULL;
}

static void pg_close(struct store *st) { (void)st; }

#define MIGRATION_LOCK "7523094288207667564" /* "hearthdl": any number that nobody else takes */
static err *pg_migrate_lock(struct conn *c, struct arena *a)
{
	return pg_script(c, a, "SELECT pg_advisory_lock(" MIGRATION_LOCK ")");
}

static err *pg_migrate_unlock(struct conn *c, struct arena *a)
{
	return pg_script(c, a, "SELECT pg_advisory_unlock(" MIGRATION_LOCK ")");
}

const struct driver driver_pg = {
	.name = "PostgreSQL",
	.open = pg_open,
	.close = pg_close,
	.connect = pg_connect,
	.disconnect = pg_disconnect,
	.health = pg_health,
	.migrate_lock = pg_migrate_lock,
	.migrate_unlock = pg_migrate_unlock,
	.script = pg_script,
	.begin = pg_begin,
	.commit = pg_commit,
	.settle_commit = pg_settle_commit,
	.rollback = pg_rollback,
	.savepoint = pg_savepoint,
	.savepoint_keep = pg_savepoint_keep,
	.savepoint_undo = pg_savepoint_undo,
	.check = pg_check,
	.run = pg_run,
	.query = pg_query,
	.next = pg_next,
	.end = pg_end,
	.columns = pg_columns,
	.is_null = pg_is_null,
	.number = pg_rows_number,
	.bytes = pg_rows_bytes,
};
