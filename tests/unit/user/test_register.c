/* test_register.c - one account a name, one account a session, one use a nonce. */
#include "service.h"
#include "base/b64.h"
#include "user/register.h"

static void register_one(struct both *b, struct users *us, const struct register_cmd *cmd, str *user_id,
			 struct login *l)
{
	both_ok(register_account(us, b->a, cmd, user_id, l));
}

static void an_account_is_made_with_its_login(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	struct register_cmd cmd = { .name = S("Alice"), .password = S("pw"), .login = { .device_id = S("D") } };
	struct identity id;
	struct login l;
	str user_id;

	both_ok(register_available(us, b->a, S("alice")));
	register_one(b, us, &cmd, &user_id, &l);
	eq(user_id, S("@alice:x.org"));
	eq(l.device_id, S("D"));
	both_ok(users_authenticate_token(us, b->a, l.access_token, &id));
	eq(id.user_id, user_id);
	refused(register_account(us, b->a, &cmd, &user_id, &l), ERR_USER_IN_USE);
	refused(register_available(us, b->a, S("ALICE")), ERR_USER_IN_USE);
	refused(register_available(us, b->a, S("al ice")), ERR_INVALID_USERNAME);
	cmd.name = S("bob");
	cmd.inhibit_login = true;
	register_one(b, us, &cmd, &user_id, &l);
	assert_true(str_is_none(l.access_token) && str_is_none(l.device_id));
	users_free(&us);
}
BOTH(an_account_is_made_with_its_login)

static void a_name_is_made_up(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const struct register_cmd cmd = { .password = S("pw") };
	str one, two, checked;
	struct login l;

	register_one(b, us, &cmd, &one, &l);
	register_one(b, us, &cmd, &two, &l);
	assert_false(str_eq(one, two));
	both_ok(register_user_id(us, b->a, one, &checked));
	eq(checked, one);
	users_free(&us);
}
BOTH(a_name_is_made_up)

static void taken_names_can_be_kept_secret(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us;
	str user_id;

	opt.inhibit_user_in_use_error = true;
	us = users_new(&opt);
	both_ok(users_add(us, b->a, S("alice"), STR_NONE, false, &user_id));
	both_ok(register_available(us, b->a, S("alice")));
	refused(users_add(us, b->a, S("alice"), STR_NONE, false, &user_id), ERR_USER_IN_USE);
	users_free(&us);
}
BOTH(taken_names_can_be_kept_secret)

static const struct json *parse(struct both *b, str text)
{
	struct json *j;

	both_ok(json_parse(b->a, text, &json_limits_request, &j));
	return j;
}

static struct uia *open_session(struct both *b, struct users *us, str body)
{
	static struct uia_flow flow;
	const struct uia_request rq = {
		.method = S("POST"), .path = S("/register"), .body = parse(b, body), .flows = &flow, .n_flows = 1
	};
	struct uia *u;

	register_flows(us, &flow);
	both_ok(uia_open(us, b->a, &rq, &u));
	return u;
}

static void registration_is_idempotent(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	struct register_cmd cmd = { .password = S("pw") };
	struct login first, second;
	struct identity id;
	str user_id, again, body;
	struct uia *u = open_session(b, us, S("{\"password\":\"pw\"}"));

	refused(uia_prove(us, b->a, u), ERR_UIA);
	body = arena_printf(b->a, "{\"password\":\"pw\",\"auth\":{\"type\":\"m.login.dummy\",\"session\":\"%.*s\"}}",
			    STR_ARG(u->session));
	u = open_session(b, us, body);
	both_ok(uia_prove(us, b->a, u));
	assert_int_equal(u->result, 0);
	cmd.uia = u;
	register_one(b, us, &cmd, &user_id, &first);
	u = open_session(b, us, body);
	both_ok(uia_prove(us, b->a, u));
	assert_true(u->result > 0);
	cmd.uia = u;
	register_one(b, us, &cmd, &again, &second);
	eq(again, user_id);
	assert_false(str_eq(first.access_token, second.access_token));
	both_ok(users_authenticate_token(us, b->a, second.access_token, &id));
	eq(id.user_id, user_id);
	users_free(&us);
}
BOTH(registration_is_idempotent)

static void the_last_use_of_a_token_makes_one_account(struct both *b)
{
	struct users_options opt = service_options(b);
	struct registration_token token = { .token = S("tok"), .uses_allowed = 1 };
	const struct registration_token *t;
	struct register_cmd cmd = { .password = S("pw") };
	struct login l;
	struct users *us;
	struct uia *one, *two;
	str user_id;
	bool valid;

	opt.registration_requires_token = true;
	us = users_new(&opt);
	both_ok(registration_token_add(us, b->a, &token));
	refused(registration_token_add(us, b->a, &token), ERR_INVALID_PARAM);
	one = open_session(b, us, S("{\"auth\":{\"type\":\"m.login.registration_token\",\"token\":\"none\"}}"));
	refused(uia_prove(us, b->a, one), ERR_UIA);
	/* Two prove it at once; the account decides. */
	one = open_session(b, us, S("{\"auth\":{\"type\":\"m.login.registration_token\",\"token\":\"tok\"}}"));
	two = open_session(b, us, S("{\"auth\":{\"type\":\"m.login.registration_token\",\"token\":\"tok\"}}"));
	both_ok(uia_prove(us, b->a, one));
	both_ok(uia_prove(us, b->a, two));
	cmd.uia = one;
	cmd.name = S("first");
	register_one(b, us, &cmd, &user_id, &l);
	cmd.uia = two;
	cmd.name = S("second");
	refused(register_account(us, b->a, &cmd, &user_id, &l), ERR_UNAUTHORIZED);
	{
		bool exists;

		both_ok(users_exists(us, b->a, S("@second:x.org"), &exists));
		assert_false(exists);
	}
	both_ok(registration_token_valid(us, b->a, S("tok"), &valid));
	assert_false(valid);
	both_ok(registration_token_get(us, b->a, S("tok"), &t));
	assert_int_equal(t->completed, 1);
	assert_int_equal(t->pending, 0);
	token.uses_allowed = 2;
	both_ok(registration_token_update(us, b->a, &token));
	both_ok(registration_token_valid(us, b->a, S("tok"), &valid));
	assert_true(valid);
	token.expires_at = 1;
	both_ok(registration_token_update(us, b->a, &token));
	both_ok(registration_token_valid(us, b->a, S("tok"), &valid));
	assert_false(valid);
	both_ok(registration_token_delete(us, b->a, S("tok")));
	refused(registration_token_delete(us, b->a, S("tok")), ERR_NOT_FOUND);
	refused(registration_token_update(us, b->a, &token), ERR_NOT_FOUND);
	users_free(&us);
}
BOTH(the_last_use_of_a_token_makes_one_account)

static str mac_of(struct both *b, const char *secret, const struct register_proof *p)
{
	AUTO_BUF text = BUF_INIT(1000);
	uint8_t mac[20];

	buf_printf(&text, "%.*s", STR_ARG(p->nonce));
	buf_byte(&text, 0);
	buf_add(&text, p->name);
	buf_byte(&text, 0);
	buf_add(&text, p->password);
	buf_byte(&text, 0);
	buf_add(&text, p->admin ? S("admin") : S("notadmin"));
	hmac_sha1(str_c(secret), buf_str(&text), mac);
	return hex_encode(b->a, (str){ (char *)mac, 20 });
}

static void the_shared_secret_is_proven_once(struct both *b)
{
	struct users_options opt = service_options(b);
	struct register_proof p = { .name = S("root"), .password = S("pw"), .admin = true };
	struct users *us = users_new(&opt);
	str forged;

	refused(register_nonce(us, b->a, &p.nonce), ERR_UNKNOWN); /* no secret, no registration */
	users_free(&us);
	opt.registration_shared_secret = S("secret");
	us = users_new(&opt);
	both_ok(register_nonce(us, b->a, &p.nonce));
	p.mac = mac_of(b, "guess", &p);
	refused(register_check_proof(us, b->a, &p), ERR_FORBIDDEN);
	p.mac = mac_of(b, "secret", &p);
	p.admin = false; /* not what was signed */
	refused(register_check_proof(us, b->a, &p), ERR_FORBIDDEN);
	p.admin = true;
	both_ok(register_check_proof(us, b->a, &p)); /* a wrong proof did not use the nonce up */
	refused(register_check_proof(us, b->a, &p), ERR_UNKNOWN);
	/* A nonce that we did not make */
	both_ok(register_nonce(us, b->a, &p.nonce));
	forged = arena_keep(b->a, p.nonce);
	((char *)forged.p)[20] = forged.p[20] == '0' ? '1' : '0';
	p.nonce = forged;
	p.mac = mac_of(b, "secret", &p);
	refused(register_check_proof(us, b->a, &p), ERR_UNKNOWN);
	users_free(&us);
}
BOTH(the_shared_secret_is_proven_once)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(an_account_is_made_with_its_login),
		BOTH_TESTS(a_name_is_made_up),
		BOTH_TESTS(taken_names_can_be_kept_secret),
		BOTH_TESTS(registration_is_idempotent),
		BOTH_TESTS(the_last_use_of_a_token_makes_one_account),
		BOTH_TESTS(the_shared_secret_is_proven_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
