/* test_login.c - passwords, tokens and their ends. */
#include "service.h"
#include "store/users.h"
#include "user/device.h"
#include "user/login.h"

static int64_t account(struct both *b, struct users *us, str name)
{
	const struct account *acc;
	str user_id;

	both_ok(users_add(us, b->a, name, S("pw"), false, &user_id));
	both_ok(users_find(us, b->a, user_id, &acc));
	return acc->user;
}

static struct login start(struct both *b, struct users *us, int64_t user, str device, bool refresh)
{
	const struct login_cmd cmd = { .user = user,
				       .device_id = device,
				       .display_name = S("my phone"),
				       .want_refresh = refresh,
				       .address = S("::1") };
	struct login l;

	both_ok(login_start(us, b->a, &cmd, &l));
	return l;
}

/* Does the token work? */
static bool works(struct both *b, struct users *us, str token)
{
	struct identity id;

	return users_authenticate_token(us, b->a, token, &id) == NULL;
}

static void the_right_password_of_the_right_name(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const int64_t user = account(b, us, S("alice"));
	const struct account *acc;

	both_ok(login_password(us, b->a, S("alice"), S("pw"), &acc));
	assert_int_equal(acc->user, user);
	both_ok(login_password(us, b->a, S("@alice:x.org"), S("pw"), &acc));
	both_ok(login_password(us, b->a, S("ALICE"), S("pw"), &acc));
	refused(login_password(us, b->a, S("alice"), S("PW"), &acc), ERR_LOGIN_FAILED);
	refused(login_password(us, b->a, S("alice"), S(""), &acc), ERR_LOGIN_FAILED);
	refused(login_password(us, b->a, S("nobody"), S("pw"), &acc), ERR_LOGIN_FAILED);
	refused(login_password(us, b->a, S("@alice:y.org"), S("pw"), &acc), ERR_LOGIN_FAILED);
	refused(login_password(us, b->a, S(""), S("pw"), &acc), ERR_LOGIN_FAILED);
	users_free(&us);
}
BOTH(the_right_password_of_the_right_name)

static void wrong_passwords_are_limited_for_unknown_names_too(struct both *b)
{
	struct users_options opt = service_options(b);
	const struct account *acc;
	struct users *us;

	opt.rate_failed = (struct login_rate){ 0.001, 2 };
	us = users_new(&opt);
	account(b, us, S("alice"));
	for (int i = 0; i < 5; i++)
		both_ok(login_password(us, b->a, S("alice"), S("pw"), &acc)); /* right ones are not counted here */
	for (int i = 0; i < 2; i++) {
		refused(login_password(us, b->a, S("alice"), S("no"), &acc), ERR_LOGIN_FAILED);
		refused(login_password(us, b->a, S("nobody"), S("no"), &acc), ERR_LOGIN_FAILED);
	}
	refused(login_password(us, b->a, S("@Alice:x.org"), S("pw"), &acc), ERR_LIMIT_EXCEEDED);
	refused(login_password(us, b->a, S("nobody"), S("no"), &acc), ERR_LIMIT_EXCEEDED);
	users_free(&us);
}
BOTH(wrong_passwords_are_limited_for_unknown_names_too)

static err *set_bcrypt(struct tx *tx, void *arg)
{
	/* Of "pw" followed by the pepper "salz", as Synapse stores it. */
	const struct account_row row = {
		.nid = 4242,
		.user_id = S("@Old:x.org"),
		.password = S("$2b$04$TIYIaP3MCxXtcWvxTG66leOmzPED7Qjt01BFPrtwCL6Dvzsqoqrci"),
	};
	bool added;

	(void)arg;
	return store_account_add(tx, &row, S("@old:x.org"), &added);
}

static void an_account_from_synapse_is_rehashed_at_login(struct both *b)
{
	struct users_options opt = service_options(b);
	const struct account_row *row;
	const struct account *acc;
	struct users *us;
	struct login l;

	opt.password_pepper = S("salz");
	us = users_new(&opt);
	both_ok(store_do(b->st, b->a, set_bcrypt, NULL));
	refused(login_password(us, b->a, S("old"), S("wrong"), &acc), ERR_LOGIN_FAILED);
	both_ok(login_password(us, b->a, S("old"), S("pw"), &acc));
	eq(acc->user_id, S("@Old:x.org"));
	both_ok(login_start(us, b->a, &(struct login_cmd){ .user = acc->user, .shown = acc->shown }, &l));
	{
		AUTO_TX tx = NULL;

		both_ok(store_read(b->st, b->a, &tx));
		both_ok(store_account_get(tx, 4242, &row));
		assert_true(str_starts(row->password, S("$argon2id$")));
	}
	both_ok(login_password(us, b->a, S("Old"), S("pw"), &acc));
	users_free(&us);
}
BOTH(an_account_from_synapse_is_rehashed_at_login)

static void a_login_is_a_device_and_a_token(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const int64_t user = account(b, us, S("alice"));
	const struct login l = start(b, us, user, STR_NONE, false);
	struct devices list;
	struct identity id;

	assert_int_equal(l.device_id.n, 10);
	assert_true(str_is_none(l.refresh_token));
	assert_int_equal(l.expires_in_ms, 0);
	both_ok(users_authenticate_token(us, b->a, l.access_token, &id));
	assert_int_equal(id.user, user);
	eq(id.user_id, S("@alice:x.org"));
	eq(id.device_id, l.device_id);
	both_ok(devices_list(us, b->a, user, &list));
	assert_int_equal(list.n, 1);
	eq(list.p[0].display_name, S("my phone"));
	eq(list.p[0].seen_ip, S("::1"));
	assert_true(list.p[0].seen_at > 0);
	refused(users_authenticate_token(us, b->a, S("hat_nonsense"), &id), ERR_UNKNOWN_TOKEN);
	refused(users_authenticate_token(us, b->a, S(""), &id), ERR_UNKNOWN_TOKEN);
	users_free(&us);
}
BOTH(a_login_is_a_device_and_a_token)

static void a_device_that_logs_in_again_has_one_login(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const int64_t user = account(b, us, S("alice"));
	const struct login first = start(b, us, user, S("D"), true);
	struct login second, unused;
	struct devices list;

	assert_true(works(b, us, first.access_token));
	both_ok(login_start(us, b->a,
			    &(struct login_cmd){ .user = user, .device_id = S("D"), .display_name = S("other") },
			    &second));
	assert_false(works(b, us, first.access_token));
	refused(login_refresh(us, b->a, first.refresh_token, &unused), ERR_UNKNOWN_TOKEN);
	assert_true(works(b, us, second.access_token));
	both_ok(devices_list(us, b->a, user, &list));
	assert_int_equal(list.n, 1);
	eq(list.p[0].display_name, S("my phone"));
	users_free(&us);
}
BOTH(a_device_that_logs_in_again_has_one_login)

static void an_authenticated_request_costs_no_sql(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const struct login l = start(b, us, account(b, us, S("alice")), STR_NONE, false);
	uint64_t before;

	assert_true(works(b, us, l.access_token));
	before = store_statements_here();
	for (int i = 0; i < 10; i++)
		assert_true(works(b, us, l.access_token));
	assert_int_equal(store_statements_here(), before);
	users_free(&us);
}
BOTH(an_authenticated_request_costs_no_sql)

static void another_process_may_log_us_out(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *here, *there;
	struct login l;

	opt.token_recheck_ms = -1; /* whatever is known is too old */
	here = users_new(&opt);
	there = users_new(&opt);
	l = start(b, here, account(b, here, S("alice")), S("D"), false);
	assert_true(works(b, here, l.access_token));
	{
		struct identity id;

		both_ok(users_authenticate_token(there, b->a, l.access_token, &id));
		both_ok(login_end(there, b->a, id.user, id.device_id));
	}
	assert_false(works(b, here, l.access_token));
	users_free(&here);
	users_free(&there);
}
BOTH(another_process_may_log_us_out)

static void logging_out_ends_one_or_all(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const int64_t user = account(b, us, S("alice")), other = account(b, us, S("bob"));
	const struct login one = start(b, us, user, S("1"), true), two = start(b, us, user, S("2"), false),
			   three = start(b, us, user, S("3"), false), bob = start(b, us, other, S("1"), false);
	struct devices list;
	struct login unused;

	assert_true(works(b, us, one.access_token) && works(b, us, two.access_token) &&
		    works(b, us, three.access_token) && works(b, us, bob.access_token));
	both_ok(login_end(us, b->a, user, S("1")));
	assert_false(works(b, us, one.access_token));
	refused(login_refresh(us, b->a, one.refresh_token, &unused), ERR_UNKNOWN_TOKEN);
	assert_true(works(b, us, two.access_token));
	both_ok(login_end_all(us, b->a, user));
	assert_false(works(b, us, two.access_token));
	assert_false(works(b, us, three.access_token));
	both_ok(devices_list(us, b->a, user, &list));
	assert_int_equal(list.n, 0);
	assert_true(works(b, us, bob.access_token));
	users_free(&us);
}
BOTH(logging_out_ends_one_or_all)

static void an_expired_token_is_a_soft_logout(struct both *b)
{
	struct users_options opt = service_options(b);
	struct identity id;
	struct users *us;
	struct login l;
	const err *e;

	opt.nonrefreshable_access_token_lifetime_ms = -1;
	us = users_new(&opt);
	l = start(b, us, account(b, us, S("alice")), STR_NONE, false);
	e = users_authenticate_token(us, b->a, l.access_token, &id);
	assert_true(e && e->code == ERR_UNKNOWN_TOKEN);
	eq(e->extra, S("\"soft_logout\":true"));
	e = users_authenticate_token(us, b->a, S("hat_unknown"), &id);
	eq(e->extra, S("\"soft_logout\":false"));
	users_free(&us);
}
BOTH(an_expired_token_is_a_soft_logout)

static void the_old_refresh_token_lives_until_the_new_pair_is_used(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const int64_t user = account(b, us, S("alice"));
	const struct login first = start(b, us, user, S("D"), true);
	struct login lost, second, third, unused;

	assert_true(first.expires_in_ms > 0 && first.expires_in_ms <= 300000);
	assert_true(works(b, us, first.access_token));
	both_ok(login_refresh(us, b->a, first.refresh_token, &lost)); /* the answer never arrives */
	both_ok(login_refresh(us, b->a, first.refresh_token, &second));
	assert_true(works(b, us, first.access_token)); /* nothing was used yet */
	assert_true(works(b, us, second.access_token));
	/* Used: the old pair, and the one that was lost, are gone. */
	assert_false(works(b, us, first.access_token));
	assert_false(works(b, us, lost.access_token));
	refused(login_refresh(us, b->a, first.refresh_token, &unused), ERR_UNKNOWN_TOKEN);
	refused(login_refresh(us, b->a, lost.refresh_token, &unused), ERR_UNKNOWN_TOKEN);
	/* Using the new refresh token counts as well. */
	both_ok(login_refresh(us, b->a, second.refresh_token, &third));
	both_ok(login_refresh(us, b->a, third.refresh_token, &unused));
	refused(login_refresh(us, b->a, second.refresh_token, &unused), ERR_UNKNOWN_TOKEN);
	assert_false(works(b, us, second.access_token));
	users_free(&us);
}
BOTH(the_old_refresh_token_lives_until_the_new_pair_is_used)

static void a_session_ends_whatever_is_refreshed(struct both *b)
{
	struct users_options opt = service_options(b);
	struct login l, unused;
	struct users *us;
	const err *e;
	int64_t user;

	opt.session_lifetime_ms = 60000;
	us = users_new(&opt);
	user = account(b, us, S("alice"));
	l = start(b, us, user, S("D"), true);
	assert_true(l.expires_in_ms <= 60000); /* not the token's own five minutes */
	users_free(&us);
	opt.session_lifetime_ms = -1;
	us = users_new(&opt);
	l = start(b, us, user, S("E"), true);
	e = login_refresh(us, b->a, l.refresh_token, &unused);
	assert_true(e && e->code == ERR_UNKNOWN_TOKEN);
	eq(e->extra, S("\"soft_logout\":true"));
	users_free(&us);
}
BOTH(a_session_ends_whatever_is_refreshed)

static void refresh_tokens_can_be_off(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us;
	struct login l;

	opt.refreshable_access_token_lifetime_ms = 0;
	us = users_new(&opt);
	l = start(b, us, account(b, us, S("alice")), STR_NONE, true);
	assert_true(str_is_none(l.refresh_token));
	assert_int_equal(l.expires_in_ms, 0);
	users_free(&us);
}
BOTH(refresh_tokens_can_be_off)

static void a_login_token_works_once(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const int64_t user = account(b, us, S("alice"));
	const struct account *acc;
	int64_t lifetime;
	str token;

	both_ok(login_token_new(us, b->a, user, &token, &lifetime));
	assert_int_equal(lifetime, 120000);
	both_ok(login_token(us, b->a, token, &acc));
	assert_int_equal(acc->user, user);
	refused(login_token(us, b->a, token, &acc), ERR_LOGIN_FAILED);
	refused(login_token(us, b->a, S("hlt_unknown"), &acc), ERR_LOGIN_FAILED);
	both_ok(login_token_new(us, b->a, user, &token, &lifetime));
	both_ok(users_set_password(us, b->a, S("@alice:x.org"), S("new"), true, STR_NONE));
	refused(login_token(us, b->a, token, &acc), ERR_LOGIN_FAILED);
	users_free(&us);
}
BOTH(a_login_token_works_once)

static void what_a_client_names_is_bounded(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const int64_t user = account(b, us, S("alice"));
	struct login_cmd cmd = { .user = user };
	char text[DEVICE_NAME_MAX + 1];
	struct login l;

	memset(text, 'x', sizeof(text));
	cmd.device_id = (str){ text, DEVICE_ID_MAX + 1 };
	refused(login_start(us, b->a, &cmd, &l), ERR_INVALID_PARAM);
	cmd.device_id = (str){ text, DEVICE_ID_MAX };
	both_ok(login_start(us, b->a, &cmd, &l));
	cmd.display_name = (str){ text, DEVICE_NAME_MAX + 1 };
	refused(login_start(us, b->a, &cmd, &l), ERR_INVALID_PARAM);
	users_free(&us);
}
BOTH(what_a_client_names_is_bounded)

static void a_name_that_no_id_is_as_long_as_is_not_remembered_whole(struct both *b)
{
	struct users_options opt = service_options(b);
	const struct account *acc;
	struct users *us;
	char name[300];

	opt.rate_failed = (struct login_rate){ 0.001, 2 };
	us = users_new(&opt);
	memset(name, 'x', sizeof(name));
	for (char c = 'a'; c < 'c'; c++) {
		name[299] = c;
		refused(login_password(us, b->a, (str){ name, 300 }, S("no"), &acc), ERR_LOGIN_FAILED);
	}
	name[299] = 'z';
	refused(login_password(us, b->a, (str){ name, 300 }, S("no"), &acc), ERR_LIMIT_EXCEEDED);
	users_free(&us);
}
BOTH(a_name_that_no_id_is_as_long_as_is_not_remembered_whole)

static void a_login_does_not_outrun_a_change_of_the_password(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const struct account *acc;
	struct login_cmd cmd = { 0 };
	struct login l;

	account(b, us, S("alice"));
	both_ok(login_password(us, b->a, S("alice"), S("pw"), &acc));
	cmd.user = acc->user;
	cmd.shown = acc->shown;
	both_ok(login_start(us, b->a, &cmd, &l));
	both_ok(users_set_password(us, b->a, S("@alice:x.org"), S("new"), true, STR_NONE));
	refused(login_start(us, b->a, &cmd, &l), ERR_LOGIN_FAILED);
	users_free(&us);
}
BOTH(a_login_does_not_outrun_a_change_of_the_password)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(the_right_password_of_the_right_name),
		BOTH_TESTS(wrong_passwords_are_limited_for_unknown_names_too),
		BOTH_TESTS(an_account_from_synapse_is_rehashed_at_login),
		BOTH_TESTS(a_login_is_a_device_and_a_token),
		BOTH_TESTS(a_device_that_logs_in_again_has_one_login),
		BOTH_TESTS(an_authenticated_request_costs_no_sql),
		BOTH_TESTS(another_process_may_log_us_out),
		BOTH_TESTS(logging_out_ends_one_or_all),
		BOTH_TESTS(an_expired_token_is_a_soft_logout),
		BOTH_TESTS(the_old_refresh_token_lives_until_the_new_pair_is_used),
		BOTH_TESTS(a_session_ends_whatever_is_refreshed),
		BOTH_TESTS(refresh_tokens_can_be_off),
		BOTH_TESTS(a_login_token_works_once),
		BOTH_TESTS(what_a_client_names_is_bounded),
		BOTH_TESTS(a_name_that_no_id_is_as_long_as_is_not_remembered_whole),
		BOTH_TESTS(a_login_does_not_outrun_a_change_of_the_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
