/*
 * sqlite_list.c - the table-valued functions list(?) and zip(?, ...): bound lists of numbers or byte strings as rows,
 * one as the column `value`, several side by side as c1, c2, ...
 *
 * SQLite has json_each for this, but JSON holds no bytes; a pointer bound to a hidden column costs no copy either.
 * A table has n columns that are seen, and behind them n hidden ones, which take the lists.
 */
#include <assert.h>

#include "store/driver/internal_sqlite.h"

struct kind {
	const char *declaration;
	int n;
};
static const struct kind list_kind = { "CREATE TABLE x(value, list HIDDEN)", 1 };
static const struct kind zip_kind = { "CREATE TABLE x(c1, c2, c3, c4, c5, c6, c7, c8, l1 HIDDEN, l2 HIDDEN, l3 HIDDEN,"
				      " l4 HIDDEN, l5 HIDDEN, l6 HIDDEN, l7 HIDDEN, l8 HIDDEN)",
				      STORE_ZIP_MAX };

struct table {
	sqlite3_vtab base;
	int n;
};
struct cursor {
	sqlite3_vtab_cursor base;
	const struct sqlite_list *lists[STORE_ZIP_MAX]; /* NULL: not given */
	size_t at, rows;
};

static int list_connect(sqlite3 *db, void *kind_, int argc, const char *const *argv, sqlite3_vtab **out, char **why)
{
	const struct kind *kind = kind_;
	int rc = sqlite3_declare_vtab(db, kind->declaration);

	(void)argc, (void)argv, (void)why;
	if (rc == SQLITE_OK) {
		struct table *t = MEM_NEW(struct table);

		t->n = kind->n;
		*out = &t->base;
	}
	return rc;
}

static int list_disconnect(sqlite3_vtab *t)
{
	mem_free(t);
	return SQLITE_OK;
}

/* The lists are given from the first on, without a gap: the n-th is argument n. */
static int list_best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
	const int n = ((const struct table *)base)->n;
	bool any = false;

	for (int i = 0; i < info->nConstraint; i++) {
		const struct sqlite3_index_constraint *c = &info->aConstraint[i];

		if (c->iColumn < n || c->op != SQLITE_INDEX_CONSTRAINT_EQ)
			continue;
		if (!c->usable)
			return SQLITE_CONSTRAINT;
		info->aConstraintUsage[i].argvIndex = c->iColumn - n + 1;
		info->aConstraintUsage[i].omit = 1;
		any = true;
	}
	info->estimatedCost = 1;
	info->estimatedRows = 20;
	return any ? SQLITE_OK : SQLITE_CONSTRAINT;
}

static int list_open(sqlite3_vtab *t, sqlite3_vtab_cursor **out)
{
	struct cursor *c = MEM_NEW(struct cursor);

	(void)t;
	*out = &c->base;
	return SQLITE_OK;
}

static int list_close(sqlite3_vtab_cursor *c)
{
	mem_free(c);
	return SQLITE_OK;
}

static size_t length(const struct sqlite_list *list) { return list->strs.p ? list->strs.n : list->ints.n; }

static int list_filter(sqlite3_vtab_cursor *base, int how, const char *how_text, int argc, sqlite3_value **argv)
{
	struct cursor *c = (struct cursor *)base;

	(void)how, (void)how_text;
	assert(argc >= 1 && argc <= STORE_ZIP_MAX);
	c->at = 0;
	for (int i = 0; i < argc; i++) {
		c->lists[i] = sqlite3_value_pointer(argv[i], SQLITE_LIST_TYPE);
		if (!c->lists[i])
			return SQLITE_MISUSE;
		assert(i == 0 || length(c->lists[i]) == c->rows);
		c->rows = length(c->lists[i]);
	}
	return SQLITE_OK;
}

static int list_next(sqlite3_vtab_cursor *base)
{
	((struct cursor *)base)->at++;
	return SQLITE_OK;
}

static int list_eof(sqlite3_vtab_cursor *base)
{
	const struct cursor *c = (const struct cursor *)base;

	return c->at >= c->rows;
}

static int list_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int col)
{
	const struct cursor *c = (const struct cursor *)base;
	const struct sqlite_list *list;

	if (col >= ((const struct table *)base->pVtab)->n)
		return SQLITE_OK;
	list = c->lists[col];
	if (list && list->strs.p)
		sqlite3_result_blob64(ctx, list->strs.p[c->at].p, list->strs.p[c->at].n, SQLITE_STATIC);
	else if (list)
		sqlite3_result_int64(ctx, list->ints.p[c->at]);
	return SQLITE_OK;
}

static int list_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out)
{
	*out = (sqlite3_int64)((const struct cursor *)base)->at;
	return SQLITE_OK;
}

static const sqlite3_module module = {
	.xConnect = list_connect, /* no xCreate: the table is there without being made */
	.xBestIndex = list_best_index,
	.xDisconnect = list_disconnect,
	.xOpen = list_open,
	.xClose = list_close,
	.xFilter = list_filter,
	.xNext = list_next,
	.xEof = list_eof,
	.xColumn = list_column,
	.xRowid = list_rowid,
};

int sqlite_list_register(sqlite3 *db)
{
	const int rc = sqlite3_create_module(db, "list", &module, (void *)&list_kind);

	return rc == SQLITE_OK ? sqlite3_create_module(db, "zip", &module, (void *)&zip_kind) : rc;
}
