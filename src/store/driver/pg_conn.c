/*
 * pg_conn.c - one connection to PostgreSQL: opening it, sending statements down its pipeline, reading what is owed.
 *
 * A connection is always in pipeline mode. A statement without rows is sent and not waited for; its answer is read when
 * somebody needs a result, or at the end. After an error the server skips everything up to the next Sync, and
 * everything after that fails until the transaction is rolled back: so the first error is kept, and later calls give it
 * again.
 *
 * Statements are prepared when they are first used, with the types of their parameters given, so that nothing is
 * guessed from the context; a parameter that is NULL fits every type.
 */
#include <assert.h>
#include <stdio.h>

#include "base/rand.h"
#include "store/driver/internal_pg.h"

enum { MOST_PENDING = 256, LEAST_VERSION = 120000 };

static const struct sql_dialect dialect = {
	.in_before = "= ANY(",
	.in_after = ")",
	.not_in_before = "<> ALL(",
	.not_in_after = ")",
	.each_before = "unnest(",
	.each_after = ") AS each(value)",
	.zip_before = "unnest(",
	.zip_after = ") AS zip(",
	.zip_names = true,
};

/*
 * Errors
 */
err *pg_error(const struct pg_conn *c, struct arena *a)
{
	return c->error ? err_keep(a, c->error) : err_new(a, ERR_STORE, "the connection to PostgreSQL is lost");
}

void pg_lost(struct pg_conn *c)
{
	const str why = str_trim(str_c(PQerrorMessage(c->pg)));

	c->health = CONN_LOST;
	c->n_pending = 0;
	if (!c->error && c->arena)
		c->error = err_new(c->arena, ERR_STORE, "the connection to PostgreSQL is lost: %.*s", STR_ARG(why));
}

/* Deadlock, serialisation: nobody's fault. A FATAL error ends the session. */
static enum conn_health health_of(const PGresult *r)
{
	const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
	const str state = str_c(PQresultErrorField(r, PG_DIAG_SQLSTATE));

	if (severity && (str_eq(str_c(severity), S("FATAL")) || str_eq(str_c(severity), S("PANIC"))))
		return CONN_LOST;
	if (!str_is_none(state) && (str_eq(state, S("40P01")) || str_eq(state, S("40001"))))
		return CONN_CLASH;
	return CONN_SPOILT;
}

static void failed(struct pg_conn *c, const struct pg_pending *p, const PGresult *r)
{
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const enum conn_health h = health_of(r);

	if (PQstatus(c->pg) == CONNECTION_BAD || h == CONN_LOST) {
		pg_lost(c);
		return;
	}
	if (h > c->health)
		c->health = h;
	if (!c->error && c->arena)
		c->error = err_new(c->arena, ERR_STORE, "%s (%s)", text ? text : PQresultErrorMessage(r),
				   p->text ? p->text->sql.p : "");
}

/*
 * Reading
 */
static void read_one(struct pg_conn *c, const struct pg_pending *p, PGresult **keep)
{
	PGresult *r = PQgetResult(c->pg);
	const ExecStatusType status = r ? PQresultStatus(r) : PGRES_FATAL_ERROR;

	if (!r || PQstatus(c->pg) == CONNECTION_BAD) {
		pg_lost(c);
	} else if (status == PGRES_FATAL_ERROR || status == PGRES_NONFATAL_ERROR || status == PGRES_BAD_RESPONSE) {
		failed(c, p, r);
	}
	if (p->kind == OWED_PREPARE && status != PGRES_COMMAND_OK)
		p->stmt->known = false;
	if (p->kind == OWED_RESULT && keep && (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)) {
		PQclear(*keep);
		*keep = r;
		r = NULL;
	}
	PQclear(r);
	if (p->kind != OWED_SYNC && c->health != CONN_LOST)
		PQclear(PQgetResult(c->pg)); /* NULL: the end of this statement's results */
}

static void owe(struct pg_conn *c, struct pg_pending p)
{
	if (c->n_pending == c->pending_cap) {
		c->pending_cap = c->pending_cap ? 2 * c->pending_cap : 32;
		c->pending = mem_realloc(c->pending, c->pending_cap * sizeof(c->pending[0]));
	}
	c->pending[c->n_pending++] = p;
}

void pg_sync_later(struct pg_conn *c)
{
	if (c->health == CONN_LOST)
		return;
	if (!PQpipelineSync(c->pg)) { /* it flushes, too */
		pg_lost(c);
		return;
	}
	owe(c, (struct pg_pending){ .kind = OWED_SYNC });
}

err *pg_settle(struct pg_conn *c, struct arena *a, PGresult **out_last)
{
	PGresult *last = NULL;

	if (c->n_pending && c->pending[c->n_pending - 1].kind != OWED_SYNC)
		pg_sync_later(c);
	for (size_t i = 0; i < c->n_pending; i++)
		read_one(c, &c->pending[i], &last);
	c->n_pending = 0;
	if (c->health == CONN_GOOD && out_last && last) {
		*out_last = last;
		return NULL;
	}
	PQclear(last);
	if (c->health != CONN_GOOD)
		return pg_error(c, a);
	return out_last ? err_new(a, ERR_STORE, "PostgreSQL gave no result") : NULL;
}

void pg_look(struct pg_conn *c)
{
	if (c->health != CONN_LOST && (!PQconsumeInput(c->pg) || PQstatus(c->pg) == CONNECTION_BAD))
		pg_lost(c);
}

/*
 * Sending
 */
static bool fits(const struct pg_stmt *s, const struct pg_params *p)
{
	for (int i = 0; i < p->n; i++)
		if (p->types[i] && p->types[i] != s->types[i])
			return false;
	return true;
}

static struct pg_text *text_find(struct pg_conn *c, struct arena *a, const char *sql)
{
	struct pg_text *t = map_get(&c->texts, str_c(sql));

	if (t)
		return t;
	t = MEM_NEW(struct pg_text);
	t->sql = str_keep(str_c(sql));
	t->translated = str_keep(sql_translate(a, &dialect, sql, &t->n_params));
	map_put(&c->texts, t->sql, t);
	return t;
}

static struct pg_stmt *stmt_find(struct pg_conn *c, struct pg_text *t, const struct pg_params *p)
{
	struct pg_stmt *s = t->stmts;

	while (s && !fits(s, p))
		s = s->next;
	if (s)
		return s;
	s = mem_zalloc(sizeof(*s) + (size_t)p->n * sizeof(s->types[0]));
	s->number = c->next_number++;
	s->n_types = p->n;
	memcpy(s->types, p->types, (size_t)p->n * sizeof(s->types[0]));
	s->next = t->stmts;
	t->stmts = s;
	c->n_stmts++;
	return s;
}

void pg_forget_statements(struct pg_conn *c)
{
	void *value;
	str key;

	assert(c->n_pending == 0);
	for (size_t i = 0; map_next(&c->texts, &i, &key, &value);) {
		struct pg_text *t = value;

		map_del(&c->texts, key);
		for (struct pg_stmt *s = t->stmts, *next; s; s = next) {
			next = s->next;
			mem_free(s);
		}
		mem_free((void *)t->sql.p);
		mem_free((void *)t->translated.p);
		mem_free(t);
	}
	c->n_stmts = 0;
}

static bool send_prepare(struct pg_conn *c, struct pg_text *t, struct pg_stmt *s, const char *name)
{
	if (s->known)
		return true;
	if (!PQsendPrepare(c->pg, name, t->translated.p, s->n_types, s->types))
		return false;
	s->known = true;
	owe(c, (struct pg_pending){ .kind = OWED_PREPARE, .stmt = s, .text = t });
	return true;
}

err *pg_send(struct pg_conn *c, struct arena *a, const char *sql, const struct bind *b, size_t n)
{
	struct pg_params p;
	struct pg_text *t;
	struct pg_stmt *s;
	char name[16];

	if (c->n_pending >= MOST_PENDING)
		TRY(pg_settle(c, a, NULL));
	if (c->health != CONN_GOOD)
		return pg_error(c, a);
	t = text_find(c, a, sql);
	assert((size_t)t->n_params == n);
	pg_params_fill(&p, a, b, n);
	s = stmt_find(c, t, &p);
	snprintf(name, sizeof(name), "s%u", s->number);
	if (!send_prepare(c, t, s, name) || !PQsendQueryPrepared(c->pg, name, p.n, p.values, p.lengths, p.formats, 1)) {
		pg_lost(c);
		return pg_error(c, a);
	}
	owe(c, (struct pg_pending){ .kind = OWED_RESULT, .text = t });
	return NULL;
}

/*
 * Outside of the pipeline
 */
static err *exec_plain(struct pg_conn *c, struct arena *a, const char *sql)
{
	PGresult *r;
	err *e = NULL;

	if (!PQexitPipelineMode(c->pg))
		return err_new(a, ERR_STORE, "%s", PQerrorMessage(c->pg));
	r = PQexec(c->pg, sql);
	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK) {
		const str why = str_trim(str_c(PQresultErrorMessage(r)));

		c->health = health_of(r);
		e = err_new(a, ERR_STORE, "%.*s", STR_ARG(why));
	}
	PQclear(r);
	if (PQstatus(c->pg) == CONNECTION_BAD || !PQenterPipelineMode(c->pg))
		c->health = CONN_LOST;
	return e;
}

err *pg_script(struct conn *conn, struct arena *a, const char *sql)
{
	TRY(pg_settle(pgc(conn), a, NULL));
	return exec_plain(pgc(conn), a, sql);
}

/*
 * Opening
 */
static void ignore_notices(void *arg, const PGresult *r) { (void)arg, (void)r; }

/* A writer without work inside a transaction for a minute is a machine that is gone: the others wait for its locks. The
 * advisory lock tells when such a session has truly ended (pg.c, settle_commit). */
static err *set_up(struct pg_conn *c, struct arena *a)
{
	str sql = S("SET jit = off");

	if (PQserverVersion(c->pg) < LEAST_VERSION)
		return err_new(a, ERR_STORE, "PostgreSQL 12 or later is needed, this is %d",
			       PQserverVersion(c->pg) / 10000);
	if (c->use == CONN_WRITE)
		sql = arena_printf(a,
				   "SET jit = off; SET idle_in_transaction_session_timeout = '60s';"
				   " SELECT pg_advisory_lock(%" PRId64 ")",
				   c->writer);
	return exec_plain(c, a, sql.p);
}

err *pg_connect(struct store *st, struct arena *a, enum conn_use use, struct conn **out)
{
	static const char *const keys[] = { "fallback_application_name", "connect_timeout", "tcp_user_timeout",
					    "client_encoding",           "dbname",          NULL };
	const char *const values[] = { "hearth", "10", "30000", "UTF8", st->conninfo.p, NULL };
	struct pg_conn *c = MEM_NEW(struct pg_conn);
	err *e = NULL;

	c->base = (struct conn_base){ .drv = &driver_pg, .st = st };
	list_init(&c->base.node);
	c->use = use;
	c->writer = (int64_t)(rand_u64() >> 1);
	map_init(&c->texts, NULL);
	c->pg = PQconnectdbParams(keys, values, 1);
	if (PQstatus(c->pg) != CONNECTION_OK) {
		const str why = str_trim(str_c(PQerrorMessage(c->pg)));

		e = err_new(a, ERR_STORE, "cannot connect to PostgreSQL: %.*s", STR_ARG(why));
	}
	if (!e) {
		PQsetNoticeReceiver(c->pg, ignore_notices, NULL);
		if (!PQenterPipelineMode(c->pg))
			e = err_new(a, ERR_STORE, "%s", PQerrorMessage(c->pg));
	}
	if (!e)
		e = set_up(c, a);
	*out = (struct conn *)c;
	if (e)
		pg_disconnect(out);
	return e;
}

void pg_disconnect(struct conn **conn)
{
	struct pg_conn *c = pgc(*conn);

	c->n_pending = 0;
	pg_forget_statements(c);
	map_done(&c->texts);
	PQfinish(c->pg);
	mem_free(c->pending);
	mem_free(c);
	*conn = NULL;
}
