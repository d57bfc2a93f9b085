/* test_tokens.c - what a confirmed refresh ends, and that a one-time token works once. */
#include "both.h"
#include "store/devices.h"
#include "store/tokens.h"
#include "store/users.h"

static str h(const char *name)
{
	static char buf[8][32];
	static unsigned i;
	char *p = buf[i++ % 8];

	memset(p, '.', 32);
	memcpy(p, name, strlen(name));
	return (str){ p, 32 };
}

struct pair {
	int64_t id; /* of the access token; its refresh token is id + 1 */
	int64_t previous;
	const char *name;
};

/* A user, a device, and pairs of access and refresh tokens "aN" and "rN". */
static err *setup(struct tx *tx, void *arg)
{
	const struct account_row acc = { .nid = 1, .user_id = S("@a:x"), .is_admin = true };
	const struct device_row dev = { .user = 1, .device_id = S("D"), .seen_at = 33 };
	const struct pair *p = arg;
	char name[8];
	bool added;

	TRY(store_account_add(tx, &acc, acc.user_id, &added));
	TRY(store_device_add(tx, &dev, &added));
	for (; p->id; p++) {
		const struct token_row t = { .id = p->id,
					     .user = 1,
					     .device_id = S("D"),
					     .refresh_id = p->id + 1,
					     .expires_at = 1000,
					     .validated_at = 7 };
		const struct refresh_row r = { .id = p->id + 1,
					       .user = 1,
					       .device_id = S("D"),
					       .session_expires_at = 5000,
					       .previous_id = p->previous };

		snprintf(name, sizeof(name), "a%s", p->name);
		TRY(store_token_add(tx, &t, h(name), 3));
		snprintf(name, sizeof(name), "r%s", p->name);
		TRY(store_refresh_add(tx, &r, h(name)));
	}
	return NULL;
}

static const struct token_row *access_of(struct both *b, const char *name)
{
	const struct token_row *row;
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_token_find(tx, h(name), &row));
	return row;
}

static const struct refresh_row *refresh_of(struct both *b, const char *name)
{
	const struct refresh_row *row;
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_refresh_find(tx, h(name), &row));
	return row;
}

static void a_token_tells_its_user(struct both *b)
{
	struct pair pairs[] = { { 10, 0, "1" }, { 20, 11, "2" }, { 0 } };
	const struct token_row *row;

	both_ok(store_do(b->st, b->a, setup, pairs));
	row = access_of(b, "a2");
	assert_non_null(row);
	assert_int_equal(row->id, 20);
	assert_int_equal(row->user, 1);
	assert_true(str_eq(row->user_id, S("@a:x")));
	assert_true(str_eq(row->device_id, S("D")));
	assert_true(row->is_admin && !row->is_guest && !row->is_locked);
	assert_int_equal(row->expires_at, 1000);
	assert_int_equal(row->refresh_id, 21);
	assert_int_equal(row->previous_id, 11);
	assert_int_equal(row->seen_at, 33);
	assert_int_equal(access_of(b, "a1")->previous_id, 0);
	assert_null(access_of(b, "a3"));
	assert_int_equal(refresh_of(b, "r2")->session_expires_at, 5000);
}
BOTH(a_token_tells_its_user)

static err *confirm(struct tx *tx, void *arg)
{
	(void)arg;
	return store_refresh_confirm(tx, 31, 11);
}

static void a_confirmed_refresh_ends_its_predecessor_and_siblings(struct both *b)
{
	struct pair pairs[] = { { 10, 0, "1" }, { 20, 11, "2" }, { 30, 11, "3" }, { 40, 0, "4" }, { 0 } };

	both_ok(store_do(b->st, b->a, setup, pairs));
	both_ok(store_do(b->st, b->a, confirm, NULL));
	assert_null(access_of(b, "a1"));
	assert_null(refresh_of(b, "r1"));
	assert_null(access_of(b, "a2"));
	assert_null(refresh_of(b, "r2"));
	assert_non_null(access_of(b, "a3"));
	assert_int_equal(refresh_of(b, "r3")->previous_id, 0);
	assert_non_null(access_of(b, "a4")); /* another login */
	assert_non_null(refresh_of(b, "r4"));
}
BOTH(a_confirmed_refresh_ends_its_predecessor_and_siblings)

static err *trim(struct tx *tx, void *arg)
{
	(void)arg;
	return store_refresh_trim(tx, 11, 2);
}

static void only_the_newest_unused_successors_stay(struct both *b)
{
	struct pair pairs[] = { { 10, 0, "1" }, { 20, 11, "2" }, { 30, 11, "3" }, { 40, 11, "4" }, { 0 } };

	both_ok(store_do(b->st, b->a, setup, pairs));
	both_ok(store_do(b->st, b->a, trim, NULL));
	assert_non_null(access_of(b, "a1"));
	assert_null(access_of(b, "a2"));
	assert_null(refresh_of(b, "r2"));
	assert_non_null(access_of(b, "a3"));
	assert_non_null(refresh_of(b, "r4"));
}
BOTH(only_the_newest_unused_successors_stay)

static err *trim_then_confirm(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(store_refresh_trim(tx, 11, 2));
	return store_refresh_confirm(tx, 21, 11);
}

/* The use of a token and the trimming of it cross: the token is gone, and that is all. */
static void a_trimmed_successor_confirms_nothing(struct both *b)
{
	struct pair pairs[] = { { 10, 0, "1" }, { 20, 11, "2" }, { 30, 11, "3" }, { 40, 11, "4" }, { 0 } };

	both_ok(store_do(b->st, b->a, setup, pairs));
	both_ok(store_do(b->st, b->a, trim_then_confirm, NULL));
	assert_null(access_of(b, "a2"));
	assert_non_null(refresh_of(b, "r1"));
	assert_non_null(access_of(b, "a3"));
	assert_int_equal(refresh_of(b, "r4")->previous_id, 11);
}
BOTH(a_trimmed_successor_confirms_nothing)

static err *validate_and_delete(struct tx *tx, void *arg)
{
	int64_t *at = arg;

	TRY(store_token_set_validated(tx, 10, 99));
	TRY(store_token_validated(tx, 10, &at[0]));
	TRY(store_token_validated(tx, 11, &at[1]));
	return store_tokens_delete_device(tx, 1, S("D"));
}

static void a_device_loses_its_tokens(struct both *b)
{
	struct pair pairs[] = { { 10, 0, "1" }, { 0 } };
	int64_t at[2];

	both_ok(store_do(b->st, b->a, setup, pairs));
	both_ok(store_do(b->st, b->a, validate_and_delete, at));
	assert_int_equal(at[0], 99);
	assert_int_equal(at[1], 0);
	assert_null(access_of(b, "a1"));
	assert_null(refresh_of(b, "r1"));
}
BOTH(a_device_loses_its_tokens)

static err *one_time(struct tx *tx, void *arg)
{
	int64_t *user = arg;
	bool added[5];

	TRY(store_one_time_add(tx, ONE_TIME_LOGIN, 1, h("x"), 100, 10, 2, &added[0]));
	TRY(store_one_time_add(tx, ONE_TIME_LOGIN, 1, h("x"), 100, 10, 2, &added[1]));
	TRY(store_one_time_add(tx, ONE_TIME_LOGIN, 2, h("y"), 100, 10, 2, &added[2]));
	TRY(store_one_time_take(tx, ONE_TIME_NONCE, h("x"), 20, &user[0]));  /* another kind */
	TRY(store_one_time_take(tx, ONE_TIME_LOGIN, h("y"), 100, &user[1])); /* expired */
	TRY(store_one_time_take(tx, ONE_TIME_LOGIN, h("x"), 20, &user[2]));
	TRY(store_one_time_take(tx, ONE_TIME_LOGIN, h("x"), 20, &user[3])); /* used up */
	/* Two may live: the one that ends first makes room. */
	TRY(store_one_time_add(tx, ONE_TIME_LOGIN, 1, h("p"), 200, 10, 2, &added[3]));
	TRY(store_one_time_add(tx, ONE_TIME_LOGIN, 1, h("q"), 300, 10, 2, &added[3]));
	TRY(store_one_time_add(tx, ONE_TIME_LOGIN, 1, h("r"), 400, 10, 2, &added[4]));
	TRY(store_one_time_take(tx, ONE_TIME_LOGIN, h("p"), 20, &user[4]));
	TRY(store_one_time_take(tx, ONE_TIME_LOGIN, h("r"), 20, &user[5]));
	TRY(store_one_time_delete_user(tx, 1));
	TRY(store_one_time_take(tx, ONE_TIME_LOGIN, h("q"), 20, &user[6]));
	user[7] = added[0] && !added[1] && added[2];
	return NULL;
}

static void a_one_time_token_works_once(struct both *b)
{
	int64_t user[8];

	both_ok(store_do(b->st, b->a, one_time, user));
	assert_int_equal(user[0], -1);
	assert_int_equal(user[1], -1);
	assert_int_equal(user[2], 1);
	assert_int_equal(user[3], -1);
	assert_int_equal(user[4], -1);
	assert_int_equal(user[5], 1);
	assert_int_equal(user[6], -1);
	assert_int_equal(user[7], 1);
}
BOTH(a_one_time_token_works_once)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(a_token_tells_its_user),
		BOTH_TESTS(a_confirmed_refresh_ends_its_predecessor_and_siblings),
		BOTH_TESTS(only_the_newest_unused_successors_stay),
		BOTH_TESTS(a_trimmed_successor_confirms_nothing),
		BOTH_TESTS(a_device_loses_its_tokens),
		BOTH_TESTS(a_one_time_token_works_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
