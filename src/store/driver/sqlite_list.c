/*
 * sqlite_list.c - the table-valued function list(?): one column, `value`, with the numbers or byte strings of a bound
 * list.
 *
 * SQLite has json_each for this, but JSON holds no bytes; a pointer bound to the hidden second column costs no copy
 * either.
 */
#include <assert.h>

#include "store/driver/internal_sqlite.h"

enum { COL_VALUE, COL_LIST };

struct cursor {
	sqlite3_vtab_cursor base;
	const struct sqlite_list *list;
	size_t at;
};

static int list_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **why)
{
	int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(value, list HIDDEN)");

	(void)aux, (void)argc, (void)argv, (void)why;
	if (rc == SQLITE_OK)
		*out = mem_zalloc(sizeof(**out));
	return rc;
}

static int list_disconnect(sqlite3_vtab *t)
{
	mem_free(t);
	return SQLITE_OK;
}

static int list_best_index(sqlite3_vtab *t, sqlite3_index_info *info)
{
	(void)t;
	for (int i = 0; i < info->nConstraint; i++) {
		const struct sqlite3_index_constraint *c = &info->aConstraint[i];

		if (c->iColumn != COL_LIST || c->op != SQLITE_INDEX_CONSTRAINT_EQ)
			continue;
		if (!c->usable)
			return SQLITE_CONSTRAINT;
		info->aConstraintUsage[i].argvIndex = 1;
		info->aConstraintUsage[i].omit = 1;
		info->estimatedCost = 1;
		info->estimatedRows = 20;
		return SQLITE_OK;
	}
	return SQLITE_CONSTRAINT;
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

static int list_filter(sqlite3_vtab_cursor *base, int how, const char *how_text, int argc, sqlite3_value **argv)
{
	struct cursor *c = (struct cursor *)base;

	(void)how, (void)how_text;
	assert(argc == 1);
	c->list = sqlite3_value_pointer(argv[0], SQLITE_LIST_TYPE);
	c->at = 0;
	return c->list ? SQLITE_OK : SQLITE_MISUSE;
}

static int list_next(sqlite3_vtab_cursor *base)
{
	((struct cursor *)base)->at++;
	return SQLITE_OK;
}

static int list_eof(sqlite3_vtab_cursor *base)
{
	const struct cursor *c = (const struct cursor *)base;

	return c->at >= (c->list->strs.p ? c->list->strs.n : c->list->ints.n);
}

static int list_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int col)
{
	const struct cursor *c = (const struct cursor *)base;

	if (col != COL_VALUE)
		return SQLITE_OK;
	if (c->list->strs.p)
		sqlite3_result_blob64(ctx, c->list->strs.p[c->at].p, c->list->strs.p[c->at].n, SQLITE_STATIC);
	else
		sqlite3_result_int64(ctx, c->list->ints.p[c->at]);
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

int sqlite_list_register(sqlite3 *db) { return sqlite3_create_module(db, "list", &module, NULL); }
