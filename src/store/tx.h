/*
 * tx.h - rows, for the files of store/ only: one SQL text for both drivers.
 *
 * Parameters are $1, $2, ... bound by name (a number may stand twice, in any order). Text from outside is BLOB/BYTEA
 * and bound as bytes; integers are 64 bit. A list is one parameter, written `IN $1` or `NOT IN $1`: the driver expands
 * it; as rows it is `FROM EACH $1`, with the one column `value`. Several of one length side by side, as rows to insert
 * or join, are `FROM ZIP ($1, $2, $3)`, with the columns zip.c1, c2, c3 (8 at most). Upserts are written `ON CONFLICT
 * (...) DO ...`, which both know (SQLite wants a WHERE before it after a SELECT). No text constants in SQL: SQLite
 * takes 'x' for TEXT, which no BLOB equals; bind it.
 *
 * What is bound must live until the call returns, a list until its rows have ended. An error of any of these functions
 * must be returned: PostgreSQL's transaction is lost with it, and it may be that of an earlier statement (writes are
 * pipelined).
 */
#pragma once

#include "store/store.h"

struct strs {
	const str *p;
	size_t n;
};
struct i64s {
	const int64_t *p;
	size_t n;
};
struct bind {
	enum { BIND_NULL, BIND_STR, BIND_INT, BIND_STRS, BIND_INTS } kind;
	union {
		str s;
		int64_t i;
		struct strs ss;
		struct i64s ii;
	};
};
/* STR_NONE is bound as NULL. */
static inline struct bind bind_str(str s)
{
	return s.p ? (struct bind){ .kind = BIND_STR, .s = s } : (struct bind){ .kind = BIND_NULL };
}
static inline struct bind bind_int(int64_t i) { return (struct bind){ .kind = BIND_INT, .i = i }; }
static inline struct bind bind_strs(struct strs v) { return (struct bind){ .kind = BIND_STRS, .ss = v }; }
static inline struct bind bind_ints(struct i64s v) { return (struct bind){ .kind = BIND_INTS, .ii = v }; }
static inline struct bind bind_null(void) { return (struct bind){ .kind = BIND_NULL }; }
#define B(x)      _Generic((x), str : bind_str, struct strs : bind_strs, struct i64s : bind_ints, default : bind_int)(x)
#define BIND(...) (const struct bind[]){ __VA_ARGS__ }, ARRAY_LEN(((const struct bind[]){ __VA_ARGS__ }))
#define NO_BIND   NULL, 0

/* Runs a statement without rows. out_changed (or NULL): how many rows it touched. */
NODISCARD err *tx_run(struct tx *tx, const char *sql, const struct bind *b, size_t n);
NODISCARD err *tx_run_count(struct tx *tx, const char *sql, const struct bind *b, size_t n, int64_t *out_changed);

/* Rows: TRY(tx_query(tx, sql, BIND(...), &rs)); while (rows_next(rs)) {...} TRY(rows_end(&rs)); */
struct rows;
NODISCARD err *tx_query(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct rows **out);
bool rows_next(struct rows *rs); /* false at the end, or when it failed (rows_end tells) */
NODISCARD err *rows_end(struct rows **rs);
/* At most one row: *out is NULL when there is none; its values stay readable until the transaction ends. */
struct row;
NODISCARD err *tx_one(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct row **out);

/* The first column of every row, as numbers in the transaction's arena. */
NODISCARD err *tx_ints(struct tx *tx, const char *sql, const struct bind *b, size_t n, int64_t **out, size_t *out_n);

int64_t rows_i64(const struct rows *rs, int col); /* NULL reads as 0 */
str rows_str(const struct rows *rs, int col);     /* copied into the transaction's arena; NULL is STR_NONE */
bool rows_null(const struct rows *rs, int col);
int64_t row_i64(const struct row *r, int col);
str row_str(const struct row *r, int col);
bool row_null(const struct row *r, int col);

struct arena *tx_arena(struct tx *tx);
struct store *tx_store(struct tx *tx);
/* The next stream position, for this transaction alone: only in a piece's `late`. */
NODISCARD err *tx_position(struct tx *tx, int64_t *out);
