/* internal_pg.h - shared by the files of the PostgreSQL driver. */
#pragma once

#include <libpq-fe.h>

#include "base/map.h"
#include "store/driver/internal_sql.h"
#include "store/internal_store.h"

/* pg_value.c: parameters and columns in PostgreSQL's binary form. */
struct pg_params {
	int n;
	Oid types[SQL_MAX_PARAMS]; /* 0: NULL, whatever its type */
	const char *values[SQL_MAX_PARAMS];
	int lengths[SQL_MAX_PARAMS], formats[SQL_MAX_PARAMS];
	char numbers[SQL_MAX_PARAMS][8];
};
void pg_params_fill(struct pg_params *p, struct arena *a, const struct bind *b, size_t n);
int64_t pg_number(const PGresult *r, int row, int col); /* 0 for NULL and for what is no number */
str pg_bytes(const PGresult *r, int row, int col);      /* STR_NONE for NULL and for numbers */

/* A statement as the server knows it. One SQL text has one for each combination of parameter types it was used with. */
struct pg_stmt {
	struct pg_stmt *next; /* of the same text */
	unsigned number;      /* its name is "s" and this */
	int n_types;
	bool known; /* PREPARE was sent; taken back when it turns out not to have worked */
	Oid types[];
};
struct pg_text {
	str sql;        /* owned; as the caller wrote it */
	str translated; /* owned */
	int n_params;
	struct pg_stmt *stmts;
};

/* What the server still owes an answer for, in order. */
enum pg_owed { OWED_PREPARE, OWED_RESULT, OWED_SYNC };
struct pg_pending {
	enum pg_owed kind;
	struct pg_stmt *stmt;
	const struct pg_text *text;
};

struct pg_conn {
	struct conn_base base;
	PGconn *pg;
	enum conn_use use;
	enum conn_health health;
	struct arena *arena; /* of the transaction: for `error` */
	err *error;          /* the first since health was CONN_GOOD */
	struct map texts;
	unsigned n_stmts, next_number;
	struct pg_pending *pending;
	size_t n_pending, pending_cap;
	int64_t writer; /* of this connection: its advisory lock, its row of write_marks */
	int64_t batch;  /* the mark of the last batch */
	bool swept;
};
static inline struct pg_conn *pgc(struct conn *c) { return (struct pg_conn *)c; }

/* pg_conn.c */
NODISCARD err *pg_connect(struct store *st, struct arena *a, enum conn_use use, struct conn **out);
void pg_disconnect(struct conn **c);
/* Sends a statement; its answer is owed. */
NODISCARD err *pg_send(struct pg_conn *c, struct arena *a, const char *sql, const struct bind *b, size_t n);
/* Reads all that is owed. The last statement's result goes to *out_last (or NULL: dropped). */
NODISCARD err *pg_settle(struct pg_conn *c, struct arena *a, PGresult **out_last);
/* Sends what is buffered, and a Sync behind it, and reads nothing. */
void pg_sync_later(struct pg_conn *c);
/* The first error since things were good, in arena a. */
err *pg_error(const struct pg_conn *c, struct arena *a);
void pg_lost(struct pg_conn *c);
/* Has the other side closed an idle connection? */
void pg_look(struct pg_conn *c);
/* Several statements in one text, outside of the pipeline. */
NODISCARD err *pg_script(struct conn *c, struct arena *a, const char *sql);
void pg_forget_statements(struct pg_conn *c);
