/* test_devices.c - devices keep what was said of them, and take their tokens with them. */
#include "both.h"
#include "store/devices.h"
#include "store/tokens.h"

static err *add(struct tx *tx, int64_t user, str id, str name, int64_t seen, bool *out_added)
{
	const struct device_row row = { .user = user,
					.device_id = id,
					.display_name = name,
					.created_at = seen,
					.seen_at = seen,
					.seen_ip = S("1.2.3.4"),
					.seen_agent = S("agent") };

	return store_device_add(tx, &row, out_added);
}

static err *fill(struct tx *tx, void *arg)
{
	static const char hash[3][32] = { "1", "2", "3" };
	bool *added = arg;
	int64_t id = 1;

	TRY(add(tx, 1, S("A"), S("first"), 10, &added[0]));
	TRY(add(tx, 1, S("B"), STR_NONE, 20, &added[1]));
	TRY(add(tx, 1, S("C"), STR_NONE, 30, &added[2]));
	TRY(add(tx, 2, S("A"), STR_NONE, 40, &added[3]));
	TRY(add(tx, 1, S("A"), S("again"), 50, &added[4]));
	for (size_t i = 0; i < 3; i++) {
		const struct token_row t = { .id = id++,
					     .user = i == 2 ? 2 : 1,
					     .device_id = i == 1 ? S("B") : S("A") };

		TRY(store_token_add(tx, &t, (str){ hash[i], 32 }, 1));
	}
	return NULL;
}

static size_t count(struct both *b, int64_t user, struct device_row out[8])
{
	AUTO_TX tx = NULL;
	size_t n;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_devices_list(tx, user, 8, out, &n));
	return n;
}

static int64_t validated(struct both *b, int64_t token) /* 1 where the token is there */
{
	AUTO_TX tx = NULL;
	int64_t at;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_token_validated(tx, token, &at));
	return at;
}

static void a_known_device_keeps_its_name(struct both *b)
{
	struct device_row rows[8];
	bool added[5];

	both_ok(store_do(b->st, b->a, fill, added));
	assert_true(added[0] && added[1] && added[2] && added[3] && !added[4]);
	assert_int_equal(count(b, 1, rows), 3);
	assert_true(str_eq(rows[0].device_id, S("A")));
	assert_true(str_eq(rows[0].display_name, S("first")));
	assert_int_equal(rows[0].created_at, 10);
	assert_int_equal(rows[0].seen_at, 50);
	assert_true(str_is_none(rows[1].display_name));
	assert_true(str_eq(rows[1].seen_ip, S("1.2.3.4")));
}
BOTH(a_known_device_keeps_its_name)

static err *rename_and_see(struct tx *tx, void *arg)
{
	bool *found = arg;

	TRY(store_device_rename(tx, 1, S("B"), S("phone"), &found[0]));
	TRY(store_device_rename(tx, 1, S("Z"), S("phone"), &found[1]));
	return store_device_seen(tx, 1, S("B"), 99, S("::1"), STR_NONE);
}

static void a_device_is_renamed_and_seen(struct both *b)
{
	const struct device_row *d;
	bool found[5];
	AUTO_TX tx = NULL;

	both_ok(store_do(b->st, b->a, fill, found));
	both_ok(store_do(b->st, b->a, rename_and_see, found));
	assert_true(found[0] && !found[1]);
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_device_get(tx, 1, S("B"), &d));
	assert_true(str_eq(d->display_name, S("phone")));
	assert_int_equal(d->seen_at, 99);
	assert_true(str_eq(d->seen_ip, S("::1")));
	assert_true(str_eq(d->seen_agent, S("agent"))); /* a request that names no agent says nothing about it */
	both_ok(store_device_get(tx, 2, S("B"), &d));
	assert_null(d);
}
BOTH(a_device_is_renamed_and_seen)

static err *validate_all(struct tx *tx, void *arg)
{
	(void)arg;
	for (int64_t i = 1; i <= 3; i++)
		TRY(store_token_set_validated(tx, i, 1));
	return NULL;
}

static err *delete_two(struct tx *tx, void *arg)
{
	const str ids[] = { S("A"), S("C"), S("unknown") };

	(void)arg;
	return store_devices_delete(tx, 1, ids, 3, NULL);
}

static err *delete_others(struct tx *tx, void *arg) { return store_devices_delete_others(tx, 1, *(str *)arg, NULL); }

static void deleting_takes_the_tokens_of_that_user_only(struct both *b)
{
	struct device_row rows[8];
	bool added[5];

	both_ok(store_do(b->st, b->a, fill, added));
	both_ok(store_do(b->st, b->a, validate_all, NULL));
	both_ok(store_do(b->st, b->a, delete_two, NULL));
	assert_int_equal(count(b, 1, rows), 1);
	assert_int_equal(count(b, 2, rows), 1);
	assert_int_equal(validated(b, 1), 0);
	assert_int_equal(validated(b, 2), 1);
	assert_int_equal(validated(b, 3), 1);
}
BOTH(deleting_takes_the_tokens_of_that_user_only)

static void the_others_go_and_one_stays(struct both *b)
{
	struct device_row rows[8];
	str keep = S("B"), all = STR_NONE;
	bool added[5];

	both_ok(store_do(b->st, b->a, fill, added));
	both_ok(store_do(b->st, b->a, delete_others, &keep));
	assert_int_equal(count(b, 1, rows), 1);
	assert_true(str_eq(rows[0].device_id, S("B")));
	both_ok(store_do(b->st, b->a, delete_others, &all));
	assert_int_equal(count(b, 1, rows), 0);
	assert_int_equal(count(b, 2, rows), 1);
}
BOTH(the_others_go_and_one_stays)

static err *trim(struct tx *tx, void *arg)
{
	(void)arg;
	return store_devices_trim(tx, 1, 2, S("B"));
}

static void a_full_house_loses_who_was_seen_longest_ago(struct both *b)
{
	struct device_row rows[8];
	bool added[5];

	both_ok(store_do(b->st, b->a, fill, added)); /* seen: A 50, B 20, C 30 */
	both_ok(store_do(b->st, b->a, trim, NULL));
	assert_int_equal(count(b, 1, rows), 2);
	assert_true(str_eq(rows[0].device_id, S("A")));
	assert_true(str_eq(rows[1].device_id, S("B")));
}
BOTH(a_full_house_loses_who_was_seen_longest_ago)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(a_known_device_keeps_its_name),
		BOTH_TESTS(a_device_is_renamed_and_seen),
		BOTH_TESTS(deleting_takes_the_tokens_of_that_user_only),
		BOTH_TESTS(the_others_go_and_one_stays),
		BOTH_TESTS(a_full_house_loses_who_was_seen_longest_ago),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
