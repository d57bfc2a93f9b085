/* test_uia.c - authentication sessions come back until they expire, and are bounded per user. */
#include "both.h"
#include "store/uia.h"

static err *add(struct tx *tx, str hash, int64_t user, int64_t at)
{
	const struct uia_row row = { .user = user, .sealed = S("sealed"), .created_at = at, .expires_at = at + 100 };

	return store_uia_add(tx, hash, &row, 2);
}

static err *fill(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(add(tx, S("old"), 9, 1));
	TRY(add(tx, S("a1"), 1, 200)); /* "old" has expired by now */
	TRY(add(tx, S("a2"), 1, 210));
	TRY(add(tx, S("b1"), 2, 215));
	TRY(add(tx, S("a3"), 1, 220)); /* the third of user 1 */
	TRY(store_uia_update(tx, S("a3"), S("other"), S("token")));
	return store_uia_set_result(tx, S("a3"), S("last"), 55);
}

static const struct uia_row *get(struct both *b, str hash, int64_t now)
{
	const struct uia_row *row;
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_uia_get(tx, hash, now, &row));
	return row;
}

static void sessions_expire_and_are_bounded(struct both *b)
{
	const struct uia_row *row;

	both_ok(store_do(b->st, b->a, fill, NULL));
	assert_null(get(b, S("old"), 50)); /* cleared, not only hidden */
	assert_null(get(b, S("a1"), 220)); /* the oldest made room */
	assert_non_null(get(b, S("a2"), 220));
	assert_non_null(get(b, S("b1"), 220));
	row = get(b, S("a3"), 319);
	assert_non_null(row);
	assert_int_equal(row->user, 1);
	assert_int_equal(row->result, 55);
	assert_true(str_eq(row->sealed, S("last")));
	assert_true(str_eq(row->registration_token, S("token")));
	assert_null(get(b, S("a3"), 320));
}
BOTH(sessions_expire_and_are_bounded)

static err *remove_some(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(store_uia_delete(tx, S("b1")));
	return store_uia_delete_user(tx, 1);
}

static void sessions_are_deleted(struct both *b)
{
	both_ok(store_do(b->st, b->a, fill, NULL));
	both_ok(store_do(b->st, b->a, remove_some, NULL));
	assert_null(get(b, S("a3"), 220));
	assert_null(get(b, S("b1"), 220));
}
BOTH(sessions_are_deleted)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(sessions_expire_and_are_bounded),
		BOTH_TESTS(sessions_are_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
