/* internal_migrate.h - the migrations that tools/embed-schema.py writes into the binary, and their application. */
#pragma once

#include "store/internal_driver.h"

struct migration {
	int number, compat; /* compat: schemas below this number may not use the database afterwards; 0: any may */
	const char *what;
	struct migration_text {
		const char *sql;
		int64_t sum; /* of the text: a migration is never edited once it is out */
	} sqlite, pg;
};
extern const struct migration store_migrations[]; /* in rising order */
extern const size_t store_n_migrations;

/* What store_open applies; tests give lists of their own. */
struct migrations {
	const struct migration *list;
	size_t n;
};
/* Brings the database to the newest schema, or says why this binary must not touch it. The caller is alone with it. */
NODISCARD err *store_migrate(struct store *st, struct conn *c, struct arena *a, struct migrations m);
