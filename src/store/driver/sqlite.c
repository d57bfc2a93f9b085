/*
 * sqlite.c - the embedded database: connections, statements, rows.
 *
 * One connection writes, a few read, one checkpoints; each is used by one thread at a time, so SQLite's own locking is
 * off. WAL with synchronous=FULL: a COMMIT returns when its frames are on disk. SQLite numbers `$2, $1` by first
 * appearance, so a parameter's place is looked up by name when the statement is prepared. Statements are kept per
 * connection, most recently used first; one that is being stepped through is never reset under its reader: the same
 * text then gets a second statement.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/driver/internal_sql.h"
#include "store/driver/internal_sqlite.h"

enum { WRITER_CACHE_KIB = 16384, READER_CACHE_KIB = 1024, KEPT_STATEMENTS = 256 };

struct stmt {
	struct list node;
	sqlite3_stmt *h;
	str sql; /* owned; the text as the caller wrote it */
	uint8_t place[SQL_MAX_PARAMS + 1];
	int n_params;
	bool busy, kept;
};

struct sqlite_conn {
	struct conn_base base;
	sqlite3 *db;
	enum conn_use use;
	struct map by_sql;
	struct list used; /* kept statements, most recently used first */
	unsigned n_kept;
	struct stmt *lately[64]; /* kept statements by their text's address */
};

static struct sqlite_conn *sq(struct conn *c) { return (struct sqlite_conn *)c; }

err *sqlite_err(struct arena *a, sqlite3 *db, const char *what)
{
	return err_new(a, ERR_STORE, "%s (%s)", db ? sqlite3_errmsg(db) : "out of memory", what);
}

/*
 * Statements
 */
static void stmt_free(struct stmt *s)
{
	sqlite3_finalize(s->h);
	mem_free((void *)s->sql.p);
	mem_free(s);
}

static err *stmt_prepare(struct sqlite_conn *c, struct arena *a, const char *sql, struct stmt **out)
{
	static const struct sql_dialect dialect = {
		.in_before = "IN list(",
		.in_after = ")",
		.not_in_before = "NOT IN list(",
		.not_in_after = ")",
		.each_before = "list(",
		.each_after = ") AS each",
		.zip_before = "zip(",
		.zip_after = ") AS zip",
	};
	struct stmt *s = MEM_NEW(struct stmt);
	const str text = sql_translate(a, &dialect, sql, &s->n_params);
	int rc = sqlite3_prepare_v3(c->db, text.p, (int)text.n, SQLITE_PREPARE_PERSISTENT, &s->h, NULL);

	if (rc != SQLITE_OK) {
		stmt_free(s);
		return sqlite_err(a, c->db, sql);
	}
	for (int i = 1; i <= s->n_params; i++) {
		char name[8];

		snprintf(name, sizeof(name), "$%d", i);
		s->place[i] = (uint8_t)sqlite3_bind_parameter_index(s->h, name);
	}
	*out = s;
	return NULL;
}

static void keep(struct sqlite_conn *c, struct stmt *s, const char *sql)
{
	if (c->n_kept >= KEPT_STATEMENTS) {
		struct stmt *oldest = NULL;

		for (struct list *it = c->used.prev; it != &c->used && !oldest; it = it->prev)
			if (!LIST_ITEM(it, struct stmt, node)->busy)
				oldest = LIST_ITEM(it, struct stmt, node);
		if (!oldest)
			return;
		list_del(&oldest->node);
		map_del(&c->by_sql, oldest->sql);
		for (size_t i = 0; i < ARRAY_LEN(c->lately); i++)
			if (c->lately[i] == oldest)
				c->lately[i] = NULL;
		stmt_free(oldest);
		c->n_kept--;
	}
	s->sql = str_keep(str_c(sql));
	s->kept = true;
	map_put(&c->by_sql, s->sql, s);
	list_add_head(&c->used, &s->node);
	c->n_kept++;
}

static err *stmt_take(struct sqlite_conn *c, struct arena *a, const char *sql, struct stmt **out)
{
	struct stmt **lately = &c->lately[(uintptr_t)sql / 16 % ARRAY_LEN(c->lately)], *s = *lately;

	/* Most texts are constants, so the address finds them; the text itself decides. */
	if (!s || !str_eq(s->sql, str_c(sql)))
		s = map_get(&c->by_sql, str_c(sql));
	if (s && s->kept)
		*lately = s;
	if (s && !s->busy) {
		list_del(&s->node);
		list_add_head(&c->used, &s->node);
	} else {
		const bool second = s != NULL;

		TRY(stmt_prepare(c, a, sql, &s));
		if (!second)
			keep(c, s, sql);
	}
	s->busy = true;
	*out = s;
	return NULL;
}

static void stmt_give(struct stmt *s)
{
	sqlite3_reset(s->h);
	s->busy = false;
	if (!s->kept)
		stmt_free(s);
}

static int bind_list(struct arena *a, sqlite3_stmt *h, int place, const struct bind *b)
{
	static const str none;
	struct sqlite_list *list = ARENA_NEW(a, struct sqlite_list);

	if (b->kind == BIND_STRS)
		list->strs = b->ss.p ? b->ss : (struct strs){ &none, 0 };
	else
		list->ints = b->ii;
	return sqlite3_bind_pointer(h, place, list, SQLITE_LIST_TYPE, NULL);
}

/* Rows are read while the caller's bytes may change already, a statement without rows is over before: only the first
 * has its bytes copied. */
static err *stmt_bind(struct sqlite_conn *c, struct stmt *s, struct arena *a, const struct bind *b, size_t n, bool copy)
{
	sqlite3_destructor_type life = copy ? SQLITE_TRANSIENT : SQLITE_STATIC;

	assert(n == (size_t)s->n_params);
	for (size_t i = 0; i < n; i++) {
		const int place = s->place[i + 1];
		int rc = SQLITE_OK;

		assert(place > 0);
		switch (b[i].kind) {
		case BIND_NULL:
			rc = sqlite3_bind_null(s->h, place);
			break;
		case BIND_INT:
			rc = sqlite3_bind_int64(s->h, place, b[i].i);
			break;
		case BIND_STR:
			rc = sqlite3_bind_blob64(s->h, place, b[i].s.p, b[i].s.n, life);
			break;
		case BIND_STRS:
		case BIND_INTS:
			rc = bind_list(a, s->h, place, &b[i]);
			break;
		}
		if (rc != SQLITE_OK)
			return sqlite_err(a, c->db, "binding");
	}
	return NULL;
}

static err *sqlite_run(struct tx *tx, const char *sql, const struct bind *b, size_t n, int64_t *out_changed)
{
	struct sqlite_conn *c = sq(tx->conn);
	const int64_t before = sqlite3_total_changes64(c->db);
	struct stmt *s;
	err *e;

	TRY(stmt_take(c, tx->arena, sql, &s));
	e = stmt_bind(c, s, tx->arena, b, n, false);
	if (!e) {
		const int rc = sqlite3_step(s->h);

		if (rc != SQLITE_DONE && rc != SQLITE_ROW)
			e = sqlite_err(tx->arena, c->db, sql);
	}
	stmt_give(s);
	TRY(e);
	if (out_changed)
		*out_changed = sqlite3_total_changes64(c->db) - before;
	return NULL;
}

static err *sqlite_query(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct rows *rs)
{
	struct sqlite_conn *c = sq(tx->conn);
	struct stmt *s;
	err *e;

	TRY(stmt_take(c, tx->arena, sql, &s));
	e = stmt_bind(c, s, tx->arena, b, n, true);
	if (e) {
		stmt_give(s);
		return e;
	}
	if (!sqlite3_stmt_readonly(s->h))
		tx->wrote = true;
	rs->handle = s;
	return NULL;
}

static bool sqlite_next(struct rows *rs)
{
	struct stmt *s = rs->handle;
	const int rc = sqlite3_step(s->h);

	if (rc == SQLITE_ROW)
		return true;
	if (rc != SQLITE_DONE)
		rs->error = sqlite_err(rs->tx->arena, sq(rs->tx->conn)->db, sqlite3_sql(s->h));
	return false;
}

static void sqlite_end(struct rows *rs)
{
	stmt_give(rs->handle);
	rs->handle = NULL;
}

/* Values are taken whole and looked into then: three calls of sqlite3_column_* for one value each cost as much as the
 * first. (That needs no lock, since no connection here is used by two threads: SQLITE_CONFIG_MULTITHREAD.) */
static sqlite3_stmt *handle(const struct rows *rs) { return ((struct stmt *)rs->handle)->h; }
static int sqlite_columns(const struct rows *rs) { return sqlite3_column_count(handle(rs)); }
static bool sqlite_is_null(const struct rows *rs, int col)
{
	return sqlite3_column_type(handle(rs), col) == SQLITE_NULL;
}

static int64_t sqlite_number(const struct rows *rs, int col)
{
	sqlite3_value *v = sqlite3_column_value(handle(rs), col);

	return sqlite3_value_type(v) == SQLITE_INTEGER ? sqlite3_value_int64(v) : 0;
}

static str sqlite_bytes(const struct rows *rs, int col)
{
	sqlite3_value *v = sqlite3_column_value(handle(rs), col);
	const int type = sqlite3_value_type(v);
	const void *p;

	if (type != SQLITE_BLOB && type != SQLITE_TEXT)
		return STR_NONE;
	p = sqlite3_value_blob(v);
	return (str){ p ? p : "", (size_t)sqlite3_value_bytes(v) };
}

/*
 * Transactions
 */
static err *simple(struct tx *tx, const char *sql) { return sqlite_run(tx, sql, NO_BIND, NULL); }

static struct checkpointer *checkpointer_of(const struct tx *tx)
{
	const struct sqlite_store *ss = tx->st->drv_data;

	return tx->writer ? ss->checkpointer : NULL;
}

static err *sqlite_begin(struct tx *tx)
{
	err *e;

	if (checkpointer_of(tx))
		checkpointer_gate_enter(checkpointer_of(tx));
	e = simple(tx, sq(tx->conn)->use == CONN_WRITE ? "BEGIN IMMEDIATE" : "BEGIN");
	if (e && checkpointer_of(tx))
		checkpointer_gate_leave(checkpointer_of(tx));
	return e;
}

static void sqlite_rollback(struct tx *tx)
{
	struct sqlite_conn *c = sq(tx->conn);

	if (sqlite3_get_autocommit(c->db) == 0) {
		err *e = simple(tx, "ROLLBACK");

		assert(!e || sqlite3_get_autocommit(c->db) != 0);
	}
	if (checkpointer_of(tx))
		checkpointer_gate_leave(checkpointer_of(tx));
}

static enum commit_outcome sqlite_commit(struct tx *tx, err **why)
{
	if (store_fault_hits(tx->st, FAULT_COMMIT))
		*why = err_new(tx->arena, ERR_STORE, "fault ordered by a test");
	else
		*why = simple(tx, "COMMIT");
	if (*why) {
		sqlite_rollback(tx);
		return COMMIT_FAILED;
	}
	if (checkpointer_of(tx))
		checkpointer_gate_leave(checkpointer_of(tx));
	return COMMIT_DONE;
}

static err *sqlite_savepoint(struct tx *tx) { return simple(tx, "SAVEPOINT piece"); }
static err *sqlite_savepoint_keep(struct tx *tx) { return simple(tx, "RELEASE piece"); }

static err *sqlite_savepoint_undo(struct tx *tx)
{
	TRY(simple(tx, "ROLLBACK TO piece"));
	return simple(tx, "RELEASE piece");
}

static err *sqlite_check(struct tx *tx)
{
	(void)tx;
	return NULL;
}

static bool sqlite_settle_commit(struct conn *c, struct conn *before, struct arena *a, bool *out_known)
{
	(void)c, (void)before, (void)a;
	*out_known = false;
	return false;
}

/* A full disk and the like end the whole transaction by themselves. */
static enum conn_health sqlite_health(struct conn *c)
{
	return sqlite3_get_autocommit(sq(c)->db) ? CONN_SPOILT : CONN_GOOD;
}

/*
 * Connections
 */
static err *script_db(sqlite3 *db, struct arena *a, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? NULL : sqlite_err(a, db, "setting up");
}

static err *sqlite_script(struct conn *c, struct arena *a, const char *sql) { return script_db(sq(c)->db, a, sql); }

static err *set_up(sqlite3 *db, struct arena *a, int cache_kib)
{
	const str settings = arena_printf(a,
					  "PRAGMA cache_size=-%d;"
					  "PRAGMA synchronous=FULL;"
					  "PRAGMA wal_autocheckpoint=0;"
					  "PRAGMA temp_store=MEMORY;"
					  "PRAGMA secure_delete=FAST;"
					  "PRAGMA journal_size_limit=67108864;"
					  "PRAGMA trusted_schema=OFF;",
					  cache_kib);

	if (sqlite_list_register(db) != SQLITE_OK)
		return sqlite_err(a, db, "registering list()");
	return script_db(db, a, settings.p);
}

err *sqlite_open_db(const struct store *st, struct arena *a, int cache_kib, sqlite3 **out)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	sqlite3 *db = NULL;
	err *e = NULL;

	if (sqlite3_open_v2(st->path.p, &db, flags, NULL) != SQLITE_OK)
		e = err_new(a, ERR_STORE, "cannot open %s: %s", st->path.p, db ? sqlite3_errmsg(db) : "out of memory");
	else
		sqlite3_busy_timeout(db, 10000);
	if (!e)
		e = set_up(db, a, cache_kib);
	if (e) {
		sqlite3_close_v2(db);
		return e;
	}
	*out = db;
	return NULL;
}

static int after_commit(void *ctx, sqlite3 *db, const char *name, int pages)
{
	struct store *st = ctx;
	const struct sqlite_store *ss = st->drv_data;

	(void)db, (void)name;
	if (ss->checkpointer)
		checkpointer_wal_grew(ss->checkpointer, pages);
	return SQLITE_OK;
}

static err *sqlite_connect(struct store *st, struct arena *a, enum conn_use use, struct conn **out)
{
	struct sqlite_conn *c;
	sqlite3 *db;

	TRY(sqlite_open_db(st, a, use == CONN_WRITE ? WRITER_CACHE_KIB : READER_CACHE_KIB, &db));
	if (use == CONN_WRITE)
		sqlite3_wal_hook(db, after_commit, st);
	else
		sqlite3_exec(db, "PRAGMA query_only=ON", NULL, NULL, NULL);
	c = MEM_NEW(struct sqlite_conn);
	c->base = (struct conn_base){ .drv = &driver_sqlite, .st = st };
	list_init(&c->base.node);
	c->db = db;
	c->use = use;
	map_init(&c->by_sql, NULL);
	list_init(&c->used);
	*out = (struct conn *)c;
	return NULL;
}

static void sqlite_disconnect(struct conn **conn)
{
	struct sqlite_conn *c = sq(*conn);
	int rc;

	LIST_EACH_SAFE (&c->used, it)
		stmt_free(LIST_ITEM(it, struct stmt, node));
	map_done(&c->by_sql);
	rc = sqlite3_close(c->db);
	assert(rc == SQLITE_OK); /* no statement, no rows are left */
	mem_free(c);
	*conn = NULL;
}

/*
 * The file
 */
static void configure_library(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* its counters are one lock for all threads */
	sqlite3_config(SQLITE_CONFIG_MULTITHREAD);  /* a connection is used by one thread at a time */
	sqlite3_initialize();
}

/* A lock on a file beside the database: SQLite's own would let a second process in, whose caches then know nothing of
 * ours. It ends with the process, however that ends; the text in it is for the message only. */
static err *take_lock(struct store *st, struct arena *a, int *out_fd)
{
	const str name = arena_printf(a, "%s.lock", st->path.p);
	int fd = open(name.p, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char other[32];
	ssize_t n;

	if (fd < 0)
		return err_new(a, ERR_STORE, "cannot open %s: %s", name.p, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		n = pread(fd, other, sizeof(other), 0);
		close(fd);
		return err_new(a, ERR_STORE, "%s is in use by another process (%.*s)", st->path.p, n > 0 ? (int)n : 7,
			       n > 0 ? other : "unknown");
	}
	n = snprintf(other, sizeof(other), "pid %ld", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, other, (size_t)n, 0) != n) {
		close(fd);
		return err_new(a, ERR_STORE, "cannot write %s: %s", name.p, strerror(errno));
	}
	*out_fd = fd;
	return NULL;
}

/* Made by us, so that only its owner can read it; -wal and -shm take its mode. */
static err *make_file(struct store *st, struct arena *a)
{
	int fd = open(st->path.p, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_new(a, ERR_STORE, "cannot open %s: %s", st->path.p, strerror(errno));
	close(fd);
	return NULL;
}

static void sqlite_close(struct store *st)
{
	struct sqlite_store *ss = st->drv_data;

	if (!ss)
		return;
	checkpointer_stop(&ss->checkpointer);
	close(ss->lock_fd);
	mem_free(ss);
	st->drv_data = NULL;
}

static err *sqlite_open(struct store *st, struct arena *a)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sqlite_store *ss;
	int fd = -1;
	err *e;

	pthread_once(&once, configure_library);
	TRY(take_lock(st, a, &fd));
	ss = MEM_NEW(struct sqlite_store);
	ss->lock_fd = fd;
	st->drv_data = ss;
	e = make_file(st, a);
	if (!e)
		e = checkpointer_start(st, a, &ss->checkpointer);
	if (e)
		sqlite_close(st);
	return e;
}

static err *no_lock_needed(struct conn *c, struct arena *a) /* take_lock did it */
{
	(void)c, (void)a;
	return NULL;
}

const struct driver driver_sqlite = {
	.name = "SQLite",
	.open = sqlite_open,
	.close = sqlite_close,
	.connect = sqlite_connect,
	.disconnect = sqlite_disconnect,
	.health = sqlite_health,
	.migrate_lock = no_lock_needed,
	.migrate_unlock = no_lock_needed,
	.script = sqlite_script,
	.begin = sqlite_begin,
	.commit = sqlite_commit,
	.settle_commit = sqlite_settle_commit,
	.rollback = sqlite_rollback,
	.savepoint = sqlite_savepoint,
	.savepoint_keep = sqlite_savepoint_keep,
	.savepoint_undo = sqlite_savepoint_undo,
	.check = sqlite_check,
	.run = sqlite_run,
	.query = sqlite_query,
	.next = sqlite_next,
	.end = sqlite_end,
	.columns = sqlite_columns,
	.is_null = sqlite_is_null,
	.number = sqlite_number,
	.bytes = sqlite_bytes,
};
