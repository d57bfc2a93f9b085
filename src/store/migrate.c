/*
 * migrate.c - bringing a database to the schema that this binary knows, or refusing it.
 *
 * A database remembers which migrations it has, and for each the lowest schema that may still use it (`compat`). A
 * newer binary applies what is missing, each migration in a transaction with its own row, so that a crash leaves a
 * whole number of them. An older binary may go on beside or after a newer one as long as no migration forbids it: that
 * is what makes a roll-back and a rolling upgrade possible. The text of a migration is summed, because a text that was
 * edited after it was applied means that the database is not what the code believes.
 */
#include "store/internal_migrate.h"
#include "store/internal_store.h"

static const char make_table[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
				 " number BIGINT NOT NULL PRIMARY KEY,"
				 " compat BIGINT NOT NULL,"
				 " sum BIGINT NOT NULL)";

static const struct migration *find(struct migrations m, int64_t number)
{
	for (size_t i = 0; i < m.n; i++)
		if (m.list[i].number == number)
			return &m.list[i];
	return NULL;
}

static const struct migration_text *text_for(const struct store *st, const struct migration *mig)
{
	return st->drv == &driver_sqlite ? &mig->sqlite : &mig->pg;
}

/* Looks at what the database has. done[i]: migration i of ours is among it. */
static err *read_applied(struct tx *tx, struct migrations m, bool *done)
{
	static const char sql[] = "SELECT number, compat, sum FROM schema_migrations ORDER BY number";
	const int ours = m.n ? m.list[m.n - 1].number : 0;
	struct rows *rs;

	TRY(tx_query(tx, sql, NO_BIND, &rs));
	while (rows_next(rs)) {
		const int64_t number = rows_i64(rs, 0), compat = rows_i64(rs, 1), sum = rows_i64(rs, 2);
		const struct migration *mig = find(m, number);

		if (compat > ours)
			return err_new(tx_arena(tx), ERR_STORE,
				       "the database was upgraded by a newer version of hearth (schema %" PRId64
				       "): it needs a version that knows schema %" PRId64
				       " or later, this one knows %d",
				       number, compat, ours);
		if (!mig)
			continue;
		if (text_for(tx->st, mig)->sum != sum)
			return err_new(tx_arena(tx), ERR_STORE,
				       "migration %04d (%s) is not the one that this database was made with",
				       mig->number, mig->what);
		done[mig - m.list] = true;
	}
	return rows_end(&rs);
}

static err *apply(struct store *st, struct conn *c, struct arena *a, const struct migration *mig)
{
	static const char sql[] = "INSERT INTO schema_migrations (number, compat, sum) VALUES ($1, $2, $3)";
	const struct migration_text *text = text_for(st, mig);
	struct tx tx = tx_plain(st, c, a);
	err *e = st->drv->begin(&tx), *why = NULL;

	if (!e)
		e = st->drv->script(c, a, text->sql);
	if (!e)
		e = tx_run(&tx, sql, BIND(B(mig->number), B(mig->compat), B(text->sum)));
	if (e)
		st->drv->rollback(&tx);
	else if (st->drv->commit(&tx, &why) == COMMIT_DONE)
		return NULL;
	else
		e = why;
	return err_new(a, ERR_STORE, "migration %04d (%s): %.*s", mig->number, mig->what, STR_ARG(e->msg));
}

/* A configuration that was another server's may name that server's database: nothing is written into it. */
static err *refuse_foreign(struct store *st, struct conn *c, struct arena *a)
{
	static const char sqlite[] = "SELECT count(*), count(CASE WHEN name = 'schema_migrations' THEN 1 END)"
				     " FROM sqlite_master WHERE type = 'table'";
	static const char pg[] = "SELECT count(*), count(CASE WHEN tablename = 'schema_migrations' THEN 1 END)"
				 " FROM pg_catalog.pg_tables WHERE schemaname = current_schema()";
	struct tx tx = tx_plain(st, c, a);
	struct row *row = NULL;
	err *e;

	TRY(st->drv->begin(&tx));
	e = tx_one(&tx, st->drv == &driver_sqlite ? sqlite : pg, NO_BIND, &row);
	if (!e && row_i64(row, 0) > 0 && row_i64(row, 1) == 0)
		e = err_new(a, ERR_STORE, "the database holds another program's tables: give hearth one of its own");
	tx_close_rows(&tx);
	st->drv->rollback(&tx);
	return e;
}

static err *migrate_locked(struct store *st, struct conn *c, struct arena *a, struct migrations m)
{
	bool *done = ARENA_ARRAY(a, bool, m.n + 1);
	struct tx tx = tx_plain(st, c, a);
	err *e;

	TRY(refuse_foreign(st, c, a));
	TRY(st->drv->script(c, a, make_table));
	TRY(st->drv->begin(&tx));
	e = read_applied(&tx, m, done);
	tx_close_rows(&tx);
	st->drv->rollback(&tx);
	TRY(e);
	for (size_t i = 0; i < m.n; i++)
		if (!done[i])
			TRY(apply(st, c, a, &m.list[i]));
	return NULL;
}

err *store_migrate(struct store *st, struct conn *c, struct arena *a, struct migrations m)
{
	err *e;

	TRY(st->drv->migrate_lock(c, a));
	e = migrate_locked(st, c, a, m);
	if (e) {
		err *unlock_failed = st->drv->migrate_unlock(c, a);

		(void)unlock_failed; /* the first error tells more; the lock ends with the connection anyhow */
		return e;
	}
	return st->drv->migrate_unlock(c, a);
}
