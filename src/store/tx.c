/*
 * tx.c - statements and rows, for whichever driver; counted, timed, and made to fail on demand.
 *
 * A thread's transactions form a chain (tx_here): a look-up within a read goes over the connection that the thread
 * holds already, so that nobody waits for a second connection while holding a first.
 */
#include <assert.h>

#include "base/clock.h"
#include "store/internal_writer.h"

static _Thread_local struct work work;
static _Thread_local struct tx *here;

struct value {
	bool null;
	int64_t i;
	str s;
};
struct row {
	int n;
	struct value v[];
};

struct work work_here(void) { return work; }

void work_add(struct work w)
{
	work.statements += w.statements;
	work.commits += w.commits;
	work.us += w.us;
}

uint64_t store_statements_here(void) { return work.statements; }
uint64_t store_commits_here(void) { return work.commits; }
int64_t store_sql_us_here(void) { return work.us; }

struct tx tx_plain(struct store *st, struct conn *c, struct arena *a)
{
	return (struct tx){ .st = st, .conn = c, .arena = a };
}

struct tx *tx_here(const struct store *st)
{
	struct tx *tx = here;

	while (tx && tx->st != st)
		tx = tx->outer;
	return tx;
}

void tx_enter(struct tx *tx)
{
	tx->outer = here;
	here = tx;
}

void tx_leave(struct tx *tx)
{
	struct tx **at = &here;

	while (*at != tx) {
		assert(*at);
		at = &(*at)->outer;
	}
	*at = tx->outer;
	tx->outer = NULL;
}

struct arena *tx_arena(struct tx *tx) { return tx->arena; }
struct store *tx_store(struct tx *tx) { return tx->st; }

/* What every statement passes: counted, and perhaps ordered to fail. */
static err *enter(struct tx *tx)
{
	if (!tx->open_rows.next)
		list_init(&tx->open_rows);
	work.statements++;
	if (tx->doomed || store_fault_hits(tx->st, FAULT_STATEMENT)) {
		tx->doomed = true;
		return err_new(tx->arena, ERR_STORE, "fault ordered by a test");
	}
	return NULL;
}

err *tx_run_count(struct tx *tx, const char *sql, const struct bind *b, size_t n, int64_t *out_changed)
{
	const int64_t start = clock_mono_us();
	int64_t changed = 1; /* where nobody asks, a driver may not know yet */
	err *e;

	TRY(enter(tx));
	e = tx->st->drv->run(tx, sql, b, n, out_changed ? &changed : NULL);
	work.us += clock_mono_us() - start;
	TRY(e);
	if (changed)
		tx->wrote = true;
	if (out_changed)
		*out_changed = changed;
	return NULL;
}

err *tx_run(struct tx *tx, const char *sql, const struct bind *b, size_t n)
{
	return tx_run_count(tx, sql, b, n, NULL);
}

err *tx_query(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct rows **out)
{
	const int64_t start = clock_mono_us();
	struct rows *rs;
	err *e;

	TRY(enter(tx));
	rs = ARENA_NEW(tx->arena, struct rows);
	rs->tx = tx;
	e = tx->st->drv->query(tx, sql, b, n, rs);
	work.us += clock_mono_us() - start;
	TRY(e);
	list_add_tail(&tx->open_rows, &rs->node);
	*out = rs;
	return NULL;
}

bool rows_next(struct rows *rs)
{
	int64_t start;
	bool more;

	if (rs->ended || rs->error)
		return false;
	start = clock_mono_us();
	more = rs->tx->st->drv->next(rs);
	work.us += clock_mono_us() - start;
	return more;
}

static void close_rows(struct rows *rs)
{
	if (rs->ended)
		return;
	rs->tx->st->drv->end(rs);
	rs->ended = true;
	list_del(&rs->node);
}

err *rows_end(struct rows **rs)
{
	err *e;

	if (!*rs)
		return NULL;
	e = (*rs)->error;
	close_rows(*rs);
	*rs = NULL;
	return e;
}

void tx_close_rows(struct tx *tx)
{
	if (!tx->open_rows.next)
		return;
	LIST_EACH_SAFE (&tx->open_rows, it)
		close_rows(LIST_ITEM(it, struct rows, node));
}

err *tx_ints(struct tx *tx, const char *sql, const struct bind *b, size_t n, int64_t **out, size_t *out_n)
{
	VEC(int64_t) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs))
		vec_push(tx->arena, &found, rows_i64(rs, 0));
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *tx_one(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct row **out)
{
	const struct driver *drv = tx->st->drv;
	struct row *r = NULL;
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	if (rows_next(rs)) {
		const int cols = drv->columns(rs);

		r = arena_zalloc(tx->arena, sizeof(*r) + (size_t)cols * sizeof(r->v[0]));
		r->n = cols;
		for (int i = 0; i < cols; i++) {
			r->v[i].null = drv->is_null(rs, i);
			r->v[i].i = drv->number(rs, i);
			r->v[i].s = rows_str(rs, i);
		}
	}
	TRY(rows_end(&rs));
	*out = r;
	return NULL;
}

bool rows_null(const struct rows *rs, int col) { return rs->tx->st->drv->is_null(rs, col); }
int64_t rows_i64(const struct rows *rs, int col) { return rs->tx->st->drv->number(rs, col); }

str rows_str(const struct rows *rs, int col) { return arena_keep(rs->tx->arena, rs->tx->st->drv->bytes(rs, col)); }

int64_t row_i64(const struct row *r, int col)
{
	assert(col >= 0 && col < r->n);
	return r->v[col].i;
}

str row_str(const struct row *r, int col)
{
	assert(col >= 0 && col < r->n);
	return r->v[col].s;
}

bool row_null(const struct row *r, int col)
{
	assert(col >= 0 && col < r->n);
	return r->v[col].null;
}

static err *raise_by(struct tx *tx, int64_t n)
{
	static const char sql[] = "UPDATE stream_head SET position = position + $1 RETURNING position";
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(n)), &r));
	if (!r)
		return err_new(tx->arena, ERR_STORE, "the row of stream_head is missing");
	tx->top_position = row_i64(r, 0);
	return NULL;
}

/* Who alone moves the row knows what it says. SQLite makes a table in passing for RETURNING: as dear as inserting an
 * event. */
static err *raise_to(struct tx *tx, int64_t position)
{
	TRY(tx_run(tx, "UPDATE stream_head SET position = $1", BIND(B(position))));
	tx->top_position = position;
	return NULL;
}

/* Several at a time, so that a batch raises the row once. What is left over stays unused: positions have gaps. */
static err *reserve_positions(struct tx *tx)
{
	const int64_t n = MAX(tx->expected_positions, 1);
	const int64_t now = tx->top_position ? tx->top_position : tx->writer->head;

	if (now && tx->st->n_writers == 1 && tx->st->drv == &driver_sqlite)
		TRY(raise_to(tx, now + n));
	else
		TRY(raise_by(tx, n));
	tx->next_position = tx->top_position - n + 1;
	tx->wrote = true;
	return NULL;
}

err *tx_position(struct tx *tx, int64_t *out)
{
	assert(tx->in_late);
	if (tx->next_position == 0 || tx->next_position > tx->top_position) {
		TRY(reserve_positions(tx));
		turn_take(tx);
	}
	*out = tx->next_position++;
	return NULL;
}
