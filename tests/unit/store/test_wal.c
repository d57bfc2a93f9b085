/* test_wal.c - what is written to SQLite's WAL beside its writers (zeros ahead of them, the schema before them) harms nobody. */
#include "both.h"
#include "test.h"

#include "base/thread.h"
#include "store/tx.h"

enum { MAKERS = 8, EACH = 12 };
struct maker {
	const char *dir;
	int number;
	str wrong;
	struct arena *a;
};

static err *fill(struct tx *tx, void *arg)
{
	const struct maker *m = arg;

	for (int i = 0; i < 300; i++)
		TRY(tx_run(tx, "INSERT INTO meta (name, value) VALUES ($1, $2)",
			   BIND(B(arena_printf(m->a, "%d", i)), B(arena_printf(m->a, "%0400d", i)))));
	return NULL;
}

static err *check(struct store *st, struct arena *a, str *out)
{
	struct row *row;
	AUTO_TX tx = NULL;

	TRY(store_read(st, a, &tx));
	TRY(tx_one(tx, "PRAGMA integrity_check", NO_BIND, &row));
	*out = row_str(row, 0);
	return NULL;
}

static err *make_one(struct maker *m, int i)
{
	const struct store_options opt = { .driver = STORE_SQLITE,
					   .path = arena_printf(m->a, "%s/%d-%d.db", m->dir, m->number, i) };
	struct store *st;
	str result = STR_NONE;
	err *e;

	TRY(store_open(m->a, &opt, &st));
	e = store_do(st, m->a, fill, m);
	if (!e)
		e = check(st, m->a, &result);
	store_close(&st);
	if (!e && !str_eq(result, S("ok")))
		e = err_new(m->a, ERR_STORE, "%.*s", STR_ARG(result));
	for (int k = 0; k < 4; k++) {
		static const char *const ends[] = { "", "-wal", "-shm", ".lock" };

		unlink(arena_printf(m->a, "%.*s%s", STR_ARG(opt.path), ends[k]).p);
	}
	return e;
}

static void maker_main(void *arg)
{
	struct maker *m = arg;

	for (int i = 0; i < EACH && str_is_none(m->wrong); i++) {
		const err *e = make_one(m, i);

		if (e)
			m->wrong = e->msg;
	}
}

/* The schema is made by a connection that no gate knows of, while the thread that lengthens the WAL is there already. */
static void new_databases_are_sound(void **state)
{
	char dir[64];
	struct maker m[MAKERS];
	struct thread *threads[MAKERS];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/hearth-test-XXXXXX", both_tmp());
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < MAKERS; i++) {
		m[i] = (struct maker){ dir, i, STR_NONE, arena_new() };
		threads[i] = thread_start("maker", maker_main, &m[i]);
	}
	for (int i = 0; i < MAKERS; i++) {
		thread_join(&threads[i]);
		ok(str_is_none(m[i].wrong), "%.*s", STR_ARG(m[i].wrong));
		arena_free(&m[i].a);
	}
	rmdir(dir);
}

TEST_MAIN(cmocka_unit_test(new_databases_are_sound))
