/* internal_sql.h - one SQL text, two dialects: what differs is replaced when a statement is first prepared. */
#pragma once

#include "base/arena.h"

enum { SQL_MAX_PARAMS = 64 };
enum { STORE_ZIP_MAX = 8 }; /* lists side by side */

struct sql_dialect {
	const char *in_before, *in_after;         /* around $1 of `IN $1` */
	const char *not_in_before, *not_in_after; /* around $1 of `NOT IN $1` */
	const char *each_before, *each_after;     /* around $1 of `EACH $1` */
	const char *zip_before, *zip_after;       /* around the lists of `ZIP ($1, $2)` */
	bool zip_names;                           /* the columns' names follow, then a bracket */
};
/* Gives the text in arena a, NUL-terminated, and the highest parameter's number. Quoted text and comments stay. */
str sql_translate(struct arena *a, const struct sql_dialect *d, const char *sql, int *out_params);
