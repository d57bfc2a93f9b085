/* test_core.c - the least a store does: rows, lists, positions, numbers, texts. */
#include "both.h"
#include "store/meta.h"
#include "store/tx.h"

static err *make_table(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(tx_run(tx, "CREATE TABLE IF NOT EXISTS t (k BIGINT PRIMARY KEY, v BIGINT)", NO_BIND));
	return tx_run(tx, "INSERT INTO t (k, v) VALUES ($2, $1)", BIND(B(7), B(1)));
}

static void a_row_comes_back(struct both *b)
{
	AUTO_TX tx = NULL;
	struct row *r;

	both_ok(store_do(b->st, b->a, make_table, NULL));
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_one(tx, "SELECT v FROM t WHERE k IN $1", BIND(B(((struct i64s){ (int64_t[]){ 1 }, 1 }))), &r));
	assert_non_null(r);
	assert_int_equal(row_i64(r, 0), 7);
}
BOTH(a_row_comes_back)

int main(void)
{
	const struct CMUnitTest tests[] = { BOTH_TESTS(a_row_comes_back) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
