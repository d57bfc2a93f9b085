/*
 * both.h - a test function, run on both databases; each time on a new, empty one.
 *
 *     static void keeps_what_it_got(struct both *b) { ... b->st, b->a ... }
 *     BOTH(keeps_what_it_got)
 *     const struct CMUnitTest tests[] = { BOTH_TESTS(keeps_what_it_got) };
 *
 * PostgreSQL is a private cluster, started by tests/pg-up.sh and shared by all tests that run at the moment. Where it
 * cannot be started the test fails.
 */
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "base/arena.h"
#include "store/store.h"

struct both {
	struct store *st;
	struct arena *a;
	struct store_options opt; /* what st was opened with; adjust and both_reopen */
	bool pg;
	char dir[64];
	char schema[64]; /* PostgreSQL: a schema is as empty as a new database, and 20 times as quick to make */
};

/* The error must be NULL; says what it is otherwise. */
#define both_ok(call)                                                                                                  \
	do {                                                                                                           \
		const err *both_e_ = (call);                                                                           \
		if (both_e_)                                                                                           \
			fail_msg("%s: %.*s", #call, STR_ARG(both_e_->msg));                                            \
	} while (0)

/* Where test databases live: in memory where that is possible, for they are made by the hundred. */
static inline const char *both_tmp(void) { return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; }

/* The folder of the cluster's socket. Started once per program; the lock, held until the program ends, keeps it up. */
static inline const char *both_cluster(void)
{
	static char socket[256];
	char dir[64], path[128];
	struct stat root;
	FILE *p;
	int fd;

	if (socket[0])
		return socket;
	/* A chroot that shares this folder has other users under the same numbers. */
	assert_int_equal(stat("/", &root), 0);
	snprintf(dir, sizeof(dir), "%s/hearth-pg-%ld-%llu", both_tmp(), (long)getuid(),
		 (unsigned long long)root.st_ino);
	snprintf(path, sizeof(path), "%s/use.lock", dir);
	mkdir(dir, 0755);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && flock(fd, LOCK_SH) == 0);
	snprintf(path, sizeof(path), "tests/pg-up.sh %s", dir);
	p = popen(path, "r");
	assert_non_null(p);
	if (!fgets(socket, sizeof(socket), p))
		socket[0] = '\0';
	if (pclose(p) != 0 || !socket[0])
		fail_msg("tests/pg-up.sh could not start PostgreSQL");
	socket[strcspn(socket, "\n")] = '\0';
	return socket;
}

static inline void both_admin(const char *sql)
{
	char conninfo[512];
	PGconn *c;
	PGresult *r;

	snprintf(conninfo, sizeof(conninfo),
		 "host=%s dbname=postgres user=postgres options='-c client_min_messages=warning'", both_cluster());
	c = PQconnectdb(conninfo);
	r = PQexec(c, sql);
	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(c));
	PQclear(r);
	PQfinish(c);
}

static inline void both_open(struct both *b) { both_ok(store_open(b->a, &b->opt, &b->st)); }

static inline void both_reopen(struct both *b)
{
	store_close(&b->st);
	both_open(b);
}

static inline void both_remove_dir(const char *dir)
{
	static const char *const files[] = { "test.db", "test.db-wal", "test.db-shm", "test.db.lock" };
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
}

/* The folder of the test that runs: of one that failed, it is removed when the next begins, or the program ends. */
static char both_dir[64];

static inline void both_remove_left(void)
{
	if (both_dir[0])
		both_remove_dir(both_dir);
	both_dir[0] = '\0';
}

static inline void both_begin(struct both *b, bool pg)
{
	static unsigned count;
	char sql[128];

	if (count++ == 0)
		atexit(both_remove_left);
	both_remove_left();
	*b = (struct both){ .pg = pg, .a = arena_new() };
	snprintf(b->dir, sizeof(b->dir), "%s/hearth-test-XXXXXX", both_tmp());
	assert_non_null(mkdtemp(b->dir));
	memcpy(both_dir, b->dir, sizeof(both_dir));
	b->opt.driver = pg ? STORE_PG : STORE_SQLITE;
	if (pg) {
		snprintf(b->schema, sizeof(b->schema), "t_%ld_%u", (long)getpid(), count);
		snprintf(sql, sizeof(sql), "CREATE SCHEMA %s", b->schema);
		both_admin(sql);
		b->opt.conninfo = arena_printf(b->a,
					       "host=%s dbname=postgres user=postgres application_name=%s"
					       " options='-c search_path=%s'",
					       both_cluster(), b->schema, b->schema);
	} else {
		b->opt.path = arena_printf(b->a, "%s/test.db", b->dir);
	}
	both_open(b);
}

static inline void both_end(struct both *b)
{
	char sql[256];

	store_close(&b->st);
	if (b->pg) {
		snprintf(sql, sizeof(sql), "DROP SCHEMA %s CASCADE", b->schema);
		both_admin(sql);
	}
	both_remove_left();
	arena_free(&b->a);
}

static inline void both_run(void (*test)(struct both *), bool pg)
{
	struct both b;

	both_begin(&b, pg);
	test(&b);
	both_end(&b);
}

#define BOTH(name)                                                                                                     \
	static void name##_on_sqlite(void **state)                                                                     \
	{                                                                                                              \
		(void)state;                                                                                           \
		both_run(name, false);                                                                                 \
	}                                                                                                              \
	static void name##_on_pg(void **state)                                                                         \
	{                                                                                                              \
		(void)state;                                                                                           \
		both_run(name, true);                                                                                  \
	}
#define BOTH_TESTS(name) cmocka_unit_test(name##_on_sqlite), cmocka_unit_test(name##_on_pg)
