/* test_users.c - accounts are found as they were written, and registration tokens are counted right. */
#include "both.h"
#include "store/uia.h"
#include "store/users.h"

struct add {
	struct account_row row;
	str folded;
	bool added;
};

static err *add_account(struct tx *tx, void *arg)
{
	struct add *x = arg;

	return store_account_add(tx, &x->row, x->folded, &x->added);
}

static bool make(struct both *b, int64_t nid, str user_id, str folded)
{
	struct add x = { .row = { .nid = nid, .user_id = user_id, .password = S("hash"), .created_at = 5 },
			 .folded = folded };

	both_ok(store_do(b->st, b->a, add_account, &x));
	return x.added;
}

static const struct account_row *get(struct both *b, int64_t nid)
{
	const struct account_row *row;
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_account_get(tx, nid, &row));
	return row;
}

static void an_account_comes_back_once(struct both *b)
{
	const struct account_row *row;
	AUTO_TX tx = NULL;

	assert_true(make(b, 1, S("@a:x"), S("@a:x")));
	assert_false(make(b, 1, S("@a:x"), S("@a:x")));
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_account_find(tx, S("@a:x"), &row));
	assert_non_null(row);
	assert_int_equal(row->nid, 1);
	assert_true(str_eq(row->password, S("hash")));
	assert_int_equal(row->created_at, 5);
	assert_int_equal(row->deactivated_at, 0);
	assert_false(row->is_admin);
	both_ok(store_account_find(tx, S("@b:x"), &row));
	assert_null(row);
}
BOTH(an_account_comes_back_once)

static void folded_names_find_all_that_differ_by_case(struct both *b)
{
	struct account_row rows[4];
	AUTO_TX tx = NULL;
	size_t n;

	make(b, 1, S("@A:x"), S("@a:x"));
	make(b, 2, S("@a:x"), S("@a:x"));
	make(b, 3, S("@b:x"), S("@b:x"));
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_accounts_folded(tx, S("@a:x"), 4, rows, &n));
	assert_int_equal(n, 2);
	both_ok(store_accounts_folded(tx, S("@a:x"), 1, rows, &n));
	assert_int_equal(n, 1);
	both_ok(store_accounts_list(tx, S("@A:x"), 4, rows, &n));
	assert_int_equal(n, 2);
	assert_true(str_eq(rows[0].user_id, S("@a:x")));
	both_ok(store_accounts_list(tx, STR_NONE, 2, rows, &n));
	assert_int_equal(n, 2);
	assert_true(str_eq(rows[0].user_id, S("@A:x")));
}
BOTH(folded_names_find_all_that_differ_by_case)

static err *changes(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(store_account_rehash(tx, 1, S("other"), S("lost")));
	TRY(store_account_rehash(tx, 2, S("hash"), S("better")));
	TRY(store_account_set_admin(tx, 1, true));
	TRY(store_account_set_locked(tx, 1, true));
	TRY(store_account_set_suspended(tx, 1, true));
	TRY(store_policy_accept(tx, 1, S("privacy"), S("1"), 9));
	TRY(store_policy_accept(tx, 1, S("privacy"), S("1"), 10));
	TRY(store_account_deactivate(tx, 3, 77, true));
	return store_account_deactivate(tx, 3, 88, false);
}

static void changes_touch_what_they_name(struct both *b)
{
	const struct account_row *row;

	make(b, 1, S("@a:x"), S("@a:x"));
	make(b, 2, S("@b:x"), S("@b:x"));
	make(b, 3, S("@c:x"), S("@c:x"));
	both_ok(store_do(b->st, b->a, changes, NULL));
	row = get(b, 1);
	assert_true(
		str_eq(row->password, S("hash"))); /* another hash was expected: somebody set a password meanwhile */
	assert_true(row->is_admin && row->is_locked && row->is_suspended);
	row = get(b, 2);
	assert_true(str_eq(row->password, S("better")));
	assert_false(row->is_admin || row->is_locked || row->is_suspended);
	row = get(b, 3);
	assert_true(str_is_none(row->password));
	assert_int_equal(row->deactivated_at, 77); /* the first date stays */
}
BOTH(changes_touch_what_they_name)

static err *tokens(struct tx *tx, void *arg)
{
	const struct registration_token_row two = { .token = S("two"), .uses_allowed = 2 };
	const struct registration_token_row any = { .token = S("any"), .uses_allowed = -1, .expires_at = 500 };
	const struct uia_row session = {
		.sealed = S("s"), .registration_token = S("two"), .created_at = 1, .expires_at = 100
	};
	bool *used = arg;

	TRY(store_registration_token_add(tx, &two, 1, &used[0]));
	TRY(store_registration_token_add(tx, &two, 1, &used[1]));
	TRY(store_registration_token_add(tx, &any, 2, &used[2]));
	TRY(store_uia_add(tx, S("h1"), &session, 100));
	TRY(store_uia_add(tx, S("h2"), &session, 100));
	TRY(store_uia_set_result(tx, S("h2"), S("s"), 44));
	TRY(store_registration_token_use(tx, S("two"), &used[3]));
	TRY(store_registration_token_use(tx, S("any"), &used[4]));
	return store_registration_token_use(tx, S("none"), &used[5]);
}

static err *use_two(struct tx *tx, void *arg)
{
	bool *used = arg;

	TRY(store_registration_token_use(tx, S("two"), &used[0]));
	TRY(store_registration_token_use(tx, S("two"), &used[1]));
	TRY(store_registration_token_update(tx, S("two"), -1, 0));
	TRY(store_registration_token_use(tx, S("two"), &used[2]));
	TRY(store_registration_token_delete(tx, S("two"), &used[3]));
	return store_registration_token_delete(tx, S("two"), &used[4]);
}

static void registration_tokens_are_counted(struct both *b)
{
	const struct registration_token_row *row;
	struct registration_token_row list[4];
	bool used[6], then[5];
	size_t n;

	both_ok(store_do(b->st, b->a, tokens, used));
	assert_true(used[0] && !used[1] && used[2] && used[3] && used[4] && !used[5]);
	{
		AUTO_TX tx = NULL;

		both_ok(store_read(b->st, b->a, &tx));
		both_ok(store_registration_token_get(tx, S("two"), 50, &row));
		assert_int_equal(row->completed, 1);
		assert_int_equal(row->pending, 1); /* the session that has made its account is no longer pending */
		assert_int_equal(row->uses_allowed, 2);
		both_ok(store_registration_token_get(tx, S("two"), 150, &row));
		assert_int_equal(row->pending, 0); /* expired */
		both_ok(store_registration_tokens_list(tx, 50, 4, list, &n));
		assert_int_equal(n, 2);
		assert_int_equal(list[1].uses_allowed, -1);
		assert_int_equal(list[1].expires_at, 500);
	}
	both_ok(store_do(b->st, b->a, use_two, then));
	assert_true(then[0] && !then[1] && then[2] && then[3] && !then[4]);
}
BOTH(registration_tokens_are_counted)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(an_account_comes_back_once),
		BOTH_TESTS(folded_names_find_all_that_differ_by_case),
		BOTH_TESTS(changes_touch_what_they_name),
		BOTH_TESTS(registration_tokens_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
