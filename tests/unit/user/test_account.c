/* test_account.c - accounts as the command line and the administrators see them. */
#include "service.h"
#include "user/login.h"

static void log_in(struct both *b, struct users *us, str name, str device, struct login *out)
{
	const struct account *acc;
	struct login_cmd cmd = { .device_id = device };

	both_ok(login_find(us, b->a, name, &acc));
	assert_non_null(acc);
	cmd.user = acc->user;
	both_ok(login_start(us, b->a, &cmd, out));
}

static void names_are_checked_and_lowered(struct both *b)
{
	static const struct {
		str name, want; /* want STR_NONE: refused */
	} cases[] = {
		{ STR("alice"), STR("@alice:x.org") },
		{ STR("Bob"), STR("@bob:x.org") },
		{ STR("@carol:x.org"), STR("@carol:x.org") },
		{ STR("a.b_c=d-e/f+g"), STR("@a.b_c=d-e/f+g:x.org") },
		{ STR("1a"), STR("@1a:x.org") },
		{ STR("@dave:y.org"), { 0 } },
		{ STR("dave:x.org"), { 0 } },
		{ STR(""), { 0 } },
		{ STR("@:x.org"), { 0 } },
		{ STR("_bridge"), { 0 } },
		{ STR("12345"), { 0 } },
		{ STR("sp ace"), { 0 } },
		{ STR("\xc3\xa9"), { 0 } },
		{ STR("nul\0x"), { 0 } },
	};
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	str user_id;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (str_is_none(cases[i].want)) {
			refused(users_add(us, b->a, cases[i].name, STR_NONE, false, &user_id), ERR_INVALID_USERNAME);
			continue;
		}
		both_ok(users_add(us, b->a, cases[i].name, STR_NONE, false, &user_id));
		eq(user_id, cases[i].want);
		refused(users_add(us, b->a, cases[i].name, STR_NONE, false, &user_id), ERR_USER_IN_USE);
	}
	users_free(&us);
}
BOTH(names_are_checked_and_lowered)

static void a_user_id_has_at_most_255_bytes(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	char name[260];
	str user_id;

	memset(name, 'a', sizeof(name));
	both_ok(users_add(us, b->a, (str){ name, 255 - strlen("@:x.org") }, STR_NONE, false, &user_id));
	assert_int_equal(user_id.n, 255);
	refused(users_add(us, b->a, (str){ name, 256 - strlen("@:x.org") }, STR_NONE, false, &user_id),
		ERR_INVALID_USERNAME);
	users_free(&us);
}
BOTH(a_user_id_has_at_most_255_bytes)

static void accounts_are_listed_and_found(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const struct account *acc;
	struct accounts list;
	bool exists;
	str user_id;

	both_ok(users_add(us, b->a, S("b"), STR_NONE, true, &user_id));
	both_ok(users_add(us, b->a, S("a"), S("pw"), false, &user_id));
	both_ok(users_add(us, b->a, S("c"), STR_NONE, false, &user_id));
	both_ok(users_list(us, b->a, STR_NONE, 2, &list));
	assert_int_equal(list.n, 2);
	eq(list.p[0].user_id, S("@a:x.org"));
	assert_true(list.p[0].has_password && !list.p[0].is_admin);
	assert_true(!list.p[1].has_password && list.p[1].is_admin);
	both_ok(users_list(us, b->a, list.p[1].user_id, 2, &list));
	assert_int_equal(list.n, 1);
	eq(list.p[0].user_id, S("@c:x.org"));
	both_ok(users_find(us, b->a, S("@b:x.org"), &acc));
	assert_true(acc && acc->is_admin && acc->created_at > 0);
	both_ok(users_find(us, b->a, S("@B:x.org"), &acc));
	assert_null(acc); /* services name users exactly */
	both_ok(login_find(us, b->a, S("B"), &acc));
	assert_non_null(acc); /* people do not */
	both_ok(users_exists(us, b->a, S("@nobody:x.org"), &exists));
	assert_false(exists);
	assert_true(users_is_local(us, S("@any:x.org")));
	assert_false(users_is_local(us, S("@any:y.org")));
	assert_false(users_is_local(us, S("any:x.org")));
	users_free(&us);
}
BOTH(accounts_are_listed_and_found)

static void a_new_password_ends_other_logins(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const struct account *acc;
	struct login one, two;
	struct identity id;
	str user_id;

	both_ok(users_add(us, b->a, S("a"), S("old"), false, &user_id));
	log_in(b, us, user_id, S("ONE"), &one);
	log_in(b, us, user_id, S("TWO"), &two);
	both_ok(users_authenticate_token(us, b->a, one.access_token, &id)); /* both are in the cache */
	both_ok(users_authenticate_token(us, b->a, two.access_token, &id));
	both_ok(users_set_password(us, b->a, user_id, S("new"), true, S("ONE")));
	both_ok(users_authenticate_token(us, b->a, one.access_token, &id));
	refused(users_authenticate_token(us, b->a, two.access_token, &id), ERR_UNKNOWN_TOKEN);
	refused(login_password(us, b->a, S("a"), S("old"), &acc), ERR_LOGIN_FAILED);
	both_ok(login_password(us, b->a, S("a"), S("new"), &acc));
	log_in(b, us, user_id, S("TWO"), &two);
	both_ok(users_set_password(us, b->a, user_id, S("newer"), false, STR_NONE));
	both_ok(users_authenticate_token(us, b->a, two.access_token, &id));
	refused(users_set_password(us, b->a, S("@nobody:x.org"), S("x"), true, STR_NONE), ERR_NOT_FOUND);
	refused(users_set_password(us, b->a, user_id, S(""), true, STR_NONE), ERR_INVALID_PARAM);
	users_free(&us);
}
BOTH(a_new_password_ends_other_logins)

static err *note_deactivated(void *ctx, struct arena *a, int64_t user, str user_id)
{
	int *calls = ctx;

	assert_true(user > 0);
	eq(user_id, S("@a:x.org"));
	return ++*calls == 1 ? err_new(a, ERR_BUSY, "not now") : NULL;
}

static void a_closed_account_stays_closed(struct both *b)
{
	struct users_options opt = service_options(b);
	const struct account *acc;
	struct identity id;
	struct users *us;
	struct login l;
	int calls = 0;
	str user_id;

	opt.hooks_ctx = &calls;
	opt.on_deactivated = note_deactivated;
	us = users_new(&opt);
	both_ok(users_add(us, b->a, S("a"), S("pw"), false, &user_id));
	log_in(b, us, user_id, STR_NONE, &l);
	both_ok(users_authenticate_token(us, b->a, l.access_token, &id));
	refused(users_deactivate(us, b->a, user_id, true), ERR_BUSY);
	assert_int_equal(calls, 1);
	both_ok(users_deactivate_rest(us, b->a)); /* as the next start does */
	assert_int_equal(calls, 2);
	both_ok(users_deactivate_rest(us, b->a)); /* nothing is left */
	assert_int_equal(calls, 2);
	refused(users_authenticate_token(us, b->a, l.access_token, &id), ERR_UNKNOWN_TOKEN);
	refused(login_password(us, b->a, S("a"), S("pw"), &acc), ERR_LOGIN_FAILED);
	refused(login_start(us, b->a, &(struct login_cmd){ .user = id.user }, &l), ERR_USER_DEACTIVATED);
	refused(users_add(us, b->a, S("a"), S("pw"), false, &user_id), ERR_USER_IN_USE);
	refused(users_set_password(us, b->a, S("@a:x.org"), S("pw"), true, STR_NONE), ERR_USER_DEACTIVATED);
	both_ok(users_deactivate(us, b->a, S("@a:x.org"), true)); /* again: whatever was left undone is done */
	assert_int_equal(calls, 3);
	both_ok(users_find(us, b->a, S("@a:x.org"), &acc));
	assert_true(acc->deactivated_at > 0 && !acc->has_password);
	users_free(&us);
}
BOTH(a_closed_account_stays_closed)

static void flags_reach_tokens_that_are_cached(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	struct identity id;
	struct login l;
	const err *e;
	str user_id;

	both_ok(users_add(us, b->a, S("a"), S("pw"), false, &user_id));
	log_in(b, us, user_id, STR_NONE, &l);
	both_ok(users_authenticate_token(us, b->a, l.access_token, &id));
	assert_false(id.is_admin || id.is_locked || id.is_suspended || id.is_guest);
	both_ok(users_set_admin(us, b->a, user_id, true));
	both_ok(users_set_suspended(us, b->a, user_id, true));
	both_ok(users_set_locked(us, b->a, user_id, true));
	both_ok(users_authenticate_token(us, b->a, l.access_token, &id));
	assert_true(id.is_admin && id.is_locked && id.is_suspended);
	e = login_start(us, b->a, &(struct login_cmd){ .user = id.user }, &l);
	assert_true(e && e->code == ERR_USER_LOCKED && str_eq(e->extra, S("\"soft_logout\":true")));
	both_ok(users_set_locked(us, b->a, user_id, false));
	both_ok(login_start(us, b->a, &(struct login_cmd){ .user = id.user }, &l));
	users_free(&us);
}
BOTH(flags_reach_tokens_that_are_cached)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(names_are_checked_and_lowered), BOTH_TESTS(a_user_id_has_at_most_255_bytes),
		BOTH_TESTS(accounts_are_listed_and_found), BOTH_TESTS(a_new_password_ends_other_logins),
		BOTH_TESTS(a_closed_account_stays_closed), BOTH_TESTS(flags_reach_tokens_that_are_cached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
