/* test_migrate.c - a database is brought up to date in whole steps, by whoever knows it, and refused to whoever does
 * not. */
#include "both.h"
#include "store/internal_migrate.h"
#include "store/internal_store.h"
#include "store/tx.h"

enum { FIRST = 9001 }; /* above every real migration */

static const struct migration_text one = { "CREATE TABLE m_one (a BIGINT); INSERT INTO m_one (a) VALUES (1);", 11 };
static const struct migration_text two = { "CREATE TABLE m_two (a BIGINT);", 12 };
static const struct migration_text two_edited = { "CREATE TABLE m_two (a BIGINT, b BIGINT);", 13 };
static const struct migration_text broken = { "CREATE TABLE m_three (a BIGINT); INSERT INTO nowhere VALUES (1);", 14 };

/* A binary that knows these migrations opens the database. */
static err *migrate(struct both *b, const struct migration *list, size_t n)
{
	struct conn *c;
	err *e;

	TRY(b->st->drv->connect(b->st, b->a, CONN_WRITE, &c));
	e = store_migrate(b->st, c, b->a, (struct migrations){ list, n });
	b->st->drv->disconnect(&c);
	return e;
}

static bool has_table(struct both *b, const char *name)
{
	AUTO_TX tx = NULL;
	struct row *r;

	both_ok(store_read(b->st, b->a, &tx));
	return tx_one(tx, arena_printf(b->a, "SELECT count(*) FROM %s", name).p, NO_BIND, &r) == NULL;
}

static void missing_migrations_are_applied_once(struct both *b)
{
	const struct migration list[] = { { FIRST, 0, "one", one, one }, { FIRST + 1, 0, "two", two, two } };

	both_ok(migrate(b, list, 1));
	assert_true(has_table(b, "m_one") && !has_table(b, "m_two"));
	both_ok(migrate(b, list, 2));
	assert_true(has_table(b, "m_two"));
	both_ok(migrate(b, list, 2)); /* CREATE TABLE again would fail */
}
BOTH(missing_migrations_are_applied_once)

/* A branch with a lower number may land later than one with a higher. */
static void a_gap_is_filled(struct both *b)
{
	const struct migration list[] = { { FIRST, 0, "one", one, one }, { FIRST + 1, 0, "two", two, two } };

	both_ok(migrate(b, list + 1, 1));
	both_ok(migrate(b, list, 2));
	assert_true(has_table(b, "m_one") && has_table(b, "m_two"));
}
BOTH(a_gap_is_filled)

static void a_failing_migration_leaves_nothing(struct both *b)
{
	const struct migration list[] = { { FIRST, 0, "one", one, one },
					  { FIRST + 1, 0, "wrong", broken, broken },
					  { FIRST + 2, 0, "two", two, two } };
	const err *e = migrate(b, list, 3);

	assert_non_null(e);
	assert_true(str_contains(e->msg, S("9002 (wrong)")));
	assert_true(str_contains(e->msg, S("nowhere")));
	assert_true(has_table(b, "m_one"));
	assert_true(!has_table(b, "m_three") && !has_table(b, "m_two"));
}
BOTH(a_failing_migration_leaves_nothing)

static void an_older_binary_goes_on_unless_forbidden(struct both *b)
{
	const struct migration list[] = { { FIRST, 0, "one", one, one },
					  { FIRST + 1, FIRST, "two", two, two },
					  { FIRST + 2, FIRST + 2, "three", broken, broken } };
	struct migration last[3];
	const err *e;

	memcpy(last, list, sizeof(last));
	last[2].sqlite = last[2].pg = (struct migration_text){ "CREATE TABLE m_three (a BIGINT);", 15 };
	both_ok(migrate(b, last, 2));
	both_ok(migrate(b, last, 1)); /* knows FIRST, which FIRST + 1 allows */
	both_ok(migrate(b, last, 3));
	e = migrate(b, last, 2);
	assert_non_null(e);
	assert_int_equal(e->code, ERR_STORE);
	assert_true(str_contains(e->msg, S("newer version of hearth")));
	assert_true(str_contains(e->msg, S("9003")));
}
BOTH(an_older_binary_goes_on_unless_forbidden)

static void an_edited_migration_is_refused(struct both *b)
{
	const struct migration before[] = { { FIRST, 0, "two", two, two } };
	const struct migration after[] = { { FIRST, 0, "two", two_edited, two_edited } };
	const err *e;

	both_ok(migrate(b, before, 1));
	e = migrate(b, after, 1);
	assert_non_null(e);
	assert_true(str_contains(e->msg, S("9001 (two)")));
}
BOTH(an_edited_migration_is_refused)

/* store_open itself refuses: nobody gets a store of a database that he must not touch. */
static err *forbid(struct tx *tx, void *arg)
{
	(void)arg;
	return tx_run(tx, "INSERT INTO schema_migrations (number, compat, sum) VALUES ($1, $1, $1)", BIND(B(9999)));
}

static void a_newer_database_is_not_opened(struct both *b)
{
	struct store *st = NULL;
	const err *e;

	both_ok(store_do(b->st, b->a, forbid, NULL));
	store_close(&b->st);
	e = store_open(b->a, &b->opt, &st);
	assert_non_null(e);
	assert_null(st);
	assert_true(str_contains(e->msg, S("9999")));
}
BOTH(a_newer_database_is_not_opened)

static err *forget_whose(struct tx *tx, void *arg)
{
	(void)arg;
	return tx_run(tx, "DROP TABLE schema_migrations", NO_BIND);
}

/* A configuration that was Synapse's may name Synapse's database. */
static void another_programs_database_is_left_alone(struct both *b)
{
	struct store *st = NULL;
	const err *e;

	both_ok(store_do(b->st, b->a, forget_whose, NULL));
	store_close(&b->st);
	e = store_open(b->a, &b->opt, &st);
	assert_true(e && str_contains(e->msg, S("another program's tables")));
	assert_null(st);
}
BOTH(another_programs_database_is_left_alone)

static void numbers_rise_and_are_once(void **state)
{
	(void)state;
	for (size_t i = 1; i < store_n_migrations; i++)
		assert_true(store_migrations[i - 1].number < store_migrations[i].number);
	for (size_t i = 0; i < store_n_migrations; i++)
		assert_true(store_migrations[i].compat <= store_migrations[i].number);
}

/* Two processes with caches of their own on one file would each undo what the other knows. */
static void a_file_is_opened_once(void **state)
{
	struct both both, *b = &both;
	struct store *second = NULL;
	const err *e;

	(void)state;
	both_begin(b, false);
	e = store_open(b->a, &b->opt, &second);
	assert_non_null(e);
	assert_null(second);
	assert_true(str_contains(e->msg, S("in use by another process")));
	assert_true(str_contains(e->msg, arena_printf(b->a, "pid %ld", (long)getpid())));
	both_reopen(b);
	both_end(b);
}

static void only_its_owner_reads_the_file(void **state)
{
	struct both both, *b = &both;
	struct stat s;

	(void)state;
	both_begin(b, false);
	for (size_t i = 0; i < 3; i++) {
		static const char *const ends[] = { "", "-wal", "-shm" };

		assert_int_equal(stat(arena_printf(b->a, "%s%s", b->opt.path.p, ends[i]).p, &s), 0);
		assert_int_equal(s.st_mode & 0777, 0600);
	}
	both_end(b);
}

static void what_cannot_be_opened_says_why(void **state)
{
	AUTO_ARENA a = arena_new();
	struct store_options opt = { .driver = STORE_SQLITE, .path = S("/nonexistent/folder/x.db") };
	struct store *st = NULL;
	const err *e;

	(void)state;
	e = store_open(a, &opt, &st);
	assert_true(e && str_contains(e->msg, S("/nonexistent/folder/x.db")));
	opt = (struct store_options){ .driver = STORE_PG, .conninfo = S("host=/nonexistent dbname=x") };
	e = store_open(a, &opt, &st);
	assert_true(e && str_contains(e->msg, S("/nonexistent")));
	opt.conninfo = S("what is this");
	e = store_open(a, &opt, &st);
	assert_true(e != NULL);
	assert_null(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(missing_migrations_are_applied_once),
		BOTH_TESTS(a_gap_is_filled),
		BOTH_TESTS(a_failing_migration_leaves_nothing),
		BOTH_TESTS(an_older_binary_goes_on_unless_forbidden),
		BOTH_TESTS(an_edited_migration_is_refused),
		BOTH_TESTS(a_newer_database_is_not_opened),
		BOTH_TESTS(another_programs_database_is_left_alone),
		cmocka_unit_test(numbers_rise_and_are_once),
		cmocka_unit_test(a_file_is_opened_once),
		cmocka_unit_test(only_its_owner_reads_the_file),
		cmocka_unit_test(what_cannot_be_opened_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
