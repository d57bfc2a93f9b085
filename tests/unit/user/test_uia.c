/* test_uia.c - stages in order, one operation a session, and nothing without proof. */
#include "service.h"
#include "store/uia.h"
#include "user/login.h"
#include "user/register.h"
#include "user/uia.h"

static const struct uia_flow password_flow = { .stages = { UIA_PASSWORD }, .n = 1 };
static const struct uia_flow two_stages = { .stages = { UIA_TERMS, UIA_DUMMY }, .n = 2 };

static const struct json *parse(struct both *b, const char *text)
{
	struct json *j;

	both_ok(json_parse(b->a, str_c(text), &json_limits_request, &j));
	return j;
}

/* The answer to a body; NULL: everything is proven. *u as uia_open gave it. */
static const err *ask(struct both *b, struct users *us, struct uia_request rq, const char *body, struct uia **u)
{
	const err *e;

	rq.body = parse(b, body);
	if (!rq.flows) {
		rq.flows = &two_stages;
		rq.n_flows = 1;
	}
	e = uia_open(us, b->a, &rq, u);
	return e ? e : uia_prove(us, b->a, *u);
}

/* The 401's body; the error must be one. */
static const struct json *answer(struct both *b, const err *e)
{
	struct json *j;

	assert_non_null(e);
	if (e->code != ERR_UIA)
		fail_msg("%s: %.*s", err_errcode(e->code), STR_ARG(e->msg));
	both_ok(json_parse(b->a, e->body, &json_limits_request, &j));
	return j;
}

static const char *with_session(struct both *b, const char *fmt, str session)
{
	AUTO_BUF buf = BUF_INIT(4096);
	const char *at = strstr(fmt, "%s");

	buf_add(&buf, (str){ fmt, (size_t)(at - fmt) });
	buf_add(&buf, session);
	buf_add(&buf, str_c(at + 2));
	return arena_cstr(b->a, buf_str(&buf));
}

static const struct uia_request registration = { .method = STR("POST"), .path = STR("/register") };

/* An account "alice" with password "pw" that is logged in. */
static struct uia_request logged_in(struct both *b, struct users *us, const char *name)
{
	const struct account *acc;
	struct identity id;
	struct login l;
	str user_id;

	both_ok(users_add(us, b->a, str_c(name), S("pw"), false, &user_id));
	both_ok(users_find(us, b->a, user_id, &acc));
	both_ok(login_start(us, b->a, &(struct login_cmd){ .user = acc->user }, &l));
	both_ok(users_authenticate_token(us, b->a, l.access_token, &id));
	return (struct uia_request){
		.method = S("DELETE"),
		.path = S("/devices/A"),
		.user = acc->user,
		.user_id = user_id,
		.token_id = id.token_id,
		.flows = &password_flow,
		.n_flows = 1,
	};
}

static void stages_are_asked_for_one_after_another(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const struct json *j;
	struct uia *u;
	str session;

	j = answer(b, ask(b, us, registration, "{\"username\":\"a\"}", &u));
	session = json_get_str(j, S("session"));
	assert_true(session.n >= 16);
	assert_true(str_is_none(json_get_str(j, S("errcode")))); /* nothing was tried */
	assert_null(json_get(j, S("completed")));
	assert_non_null(json_get_object(j, S("params")));
	eq(json_get_array(j, S("flows"))->array.items[0]->raw, S("{\"stages\":[\"m.login.terms\",\"m.login.dummy\"]}"));
	/* out of order */
	j = answer(b,
		   ask(b, us, registration,
		       with_session(b, "{\"username\":\"a\",\"auth\":{\"type\":\"m.login.dummy\",\"session\":\"%s\"}}",
				    session),
		       &u));
	eq(json_get_str(j, S("errcode")), S("M_FORBIDDEN"));
	eq(json_get(j, S("completed"))->raw, S("[]"));
	eq(json_get_str(j, S("session")), session);
	/* a type that is not offered */
	j = answer(b, ask(b, us, registration, "{\"auth\":{\"type\":\"m.login.password\"}}", &u));
	eq(json_get_str(j, S("errcode")), S("M_UNRECOGNIZED"));
	/* the first, and the first again */
	for (int i = 0; i < 2; i++) {
		j = answer(b, ask(b, us, registration,
				  with_session(b,
					       "{\"username\":\"a\",\"auth\":{\"type\":\"m.login.terms\",\"session\":"
					       "\"%s\"}}",
					       session),
				  &u));
		assert_true(str_is_none(json_get_str(j, S("errcode"))));
		eq(json_get(j, S("completed"))->raw, S("[\"m.login.terms\"]"));
	}
	/* the second, with the parameters left out */
	assert_null(ask(b, us, registration,
			with_session(b, "{\"auth\":{\"type\":\"m.login.dummy\",\"session\":\"%s\"}}", session), &u));
	eq(json_get_str(u->params, S("username")), S("a"));
	assert_true(u->done[UIA_TERMS] && u->done[UIA_DUMMY]);
	users_free(&us);
}
BOTH(stages_are_asked_for_one_after_another)

static void one_request_is_enough_and_writes_nothing(struct both *b)
{
	static const struct uia_flow dummy = { .stages = { UIA_DUMMY }, .n = 1 };
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	struct uia_request rq = registration;
	struct uia *u;

	rq.flows = &dummy;
	rq.n_flows = 1;
	assert_null(ask(b, us, rq, "{\"auth\":{\"type\":\"m.login.dummy\"}}", &u));
	assert_true(str_is_none(u->session));
	answer(b, ask(b, us, rq, "{\"auth\":{}}", &u)); /* never without auth data */
	answer(b, ask(b, us, rq, "{\"auth\":null}", &u));
	rq.body = parse(b, "{\"auth\":\"x\"}");
	refused(uia_open(us, b->a, &rq, &u), ERR_BAD_JSON);
	users_free(&us);
}
BOTH(one_request_is_enough_and_writes_nothing)

static void a_session_is_for_one_operation(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	struct uia_request alice = logged_in(b, us, "alice"), bob = logged_in(b, us, "bob"), other;
	const char *body;
	struct uia *u;
	str session;

	session = json_get_str(answer(b, ask(b, us, alice, "{}", &u)), S("session"));
	body = with_session(b, "{\"auth\":{\"type\":\"m.login.password\",\"password\":\"pw\",\"session\":\"%s\"}}",
			    session);
	refused(ask(b, us, bob, body, &u), ERR_FORBIDDEN); /* another user */
	other = alice;
	other.path = S("/devices/B");
	refused(ask(b, us, other, body, &u), ERR_FORBIDDEN);
	other = alice;
	other.method = S("POST");
	refused(ask(b, us, other, body, &u), ERR_FORBIDDEN);
	assert_null(ask(b, us, alice, body, &u));
	/* It is used up: without a password the session alone opens nothing. */
	answer(b, ask(b, us, alice, with_session(b, "{\"auth\":{\"session\":\"%s\"}}", session), &u));
	users_free(&us);
}
BOTH(a_session_is_for_one_operation)

static void parameters_are_binding_once_something_was_proven(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	struct uia *u;
	str session;

	/* Many clients ask for the flows with an empty body first. */
	session = json_get_str(answer(b, ask(b, us, registration, "{}", &u)), S("session"));
	answer(b,
	       ask(b, us, registration,
		   with_session(b,
				"{\"username\":\"a\",\"n\":1,\"auth\":{\"type\":\"m.login.terms\",\"session\":\"%s\"}}",
				session),
		   &u));
	refused(ask(b, us, registration,
		    with_session(
			    b, "{\"username\":\"b\",\"n\":1,\"auth\":{\"type\":\"m.login.dummy\",\"session\":\"%s\"}}",
			    session),
		    &u),
		ERR_FORBIDDEN);
	/* The same in another order is the same. */
	assert_null(ask(
		b, us, registration,
		with_session(b, "{\"n\":1,\"username\":\"a\",\"auth\":{\"type\":\"m.login.dummy\",\"session\":\"%s\"}}",
			     session),
		&u));
	users_free(&us);
}
BOTH(parameters_are_binding_once_something_was_proven)

static void only_ones_own_password_counts(struct both *b)
{
	static const struct {
		const char *body;
		enum err_code code; /* ERR_NONE: good */
		const char *errcode;
	} cases[] = {
		{ "{\"auth\":{\"type\":\"m.login.password\",\"password\":\"pw\"}}", ERR_NONE, NULL },
		{ "{\"auth\":{\"type\":\"m.login.password\",\"user\":\"alice\",\"password\":\"pw\"}}", ERR_NONE, NULL },
		{ "{\"auth\":{\"type\":\"m.login.password\",\"identifier\":{\"type\":\"m.id.user\",\"user\":\"@alice:x.org\"}"
		  ",\"password\":\"pw\"}}",
		  ERR_NONE, NULL },
		{ "{\"auth\":{\"type\":\"m.login.password\",\"password\":\"no\"}}", ERR_UIA, "M_FORBIDDEN" },
		{ "{\"auth\":{\"type\":\"m.login.password\"}}", ERR_UIA, "M_MISSING_PARAM" },
		{ "{\"auth\":{\"type\":\"m.login.password\",\"identifier\":{\"type\":\"m.id.user\",\"user\":\"bob\"}"
		  ",\"password\":\"pw\"}}",
		  ERR_FORBIDDEN, NULL },
		{ "{\"auth\":{\"type\":\"m.login.password\",\"identifier\":{\"type\":\"m.id.thirdparty\",\"medium\":\"email\","
		  "\"address\":\"a@x\"},\"password\":\"pw\"}}",
		  ERR_FORBIDDEN, NULL },
		{ "{\"auth\":{\"type\":\"m.login.dummy\"}}", ERR_UIA, "M_UNRECOGNIZED" },
	};
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const struct uia_request alice = logged_in(b, us, "alice");
	struct uia *u;

	logged_in(b, us, "bob");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const err *e = ask(b, us, alice, cases[i].body, &u);

		if ((e ? e->code : ERR_NONE) != cases[i].code)
			fail_msg("%s", cases[i].body);
		if (cases[i].errcode)
			eq(json_get_str(answer(b, e), S("errcode")), str_c(cases[i].errcode));
	}
	users_free(&us);
}
BOTH(only_ones_own_password_counts)

static void a_password_proven_lately_is_enough_where_it_may_be(struct both *b)
{
	struct users_options opt = service_options(b);
	struct uia_request alice;
	struct users *us;
	struct uia *u;

	opt.uia_session_timeout_ms = 60000;
	us = users_new(&opt);
	alice = logged_in(b, us, "alice"); /* a moment ago */
	answer(b, ask(b, us, alice, "{}", &u));
	alice.may_skip = true;
	assert_null(ask(b, us, alice, "{}", &u));
	users_free(&us);
	opt.uia_session_timeout_ms = 0;
	us = users_new(&opt);
	answer(b, ask(b, us, alice, "{}", &u));
	users_free(&us);
}
BOTH(a_password_proven_lately_is_enough_where_it_may_be)

struct look {
	str hash, sealed;
};

static err *look_at(struct tx *tx, void *arg)
{
	struct look *l = arg;
	const struct uia_row *row;

	TRY(store_uia_get(tx, l->hash, 1, &row));
	assert_non_null(row);
	l->sealed.p = memmem(row->sealed.p, row->sealed.n, "s3cret", 6);
	return NULL;
}

static void the_store_does_not_learn_the_password(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	struct look l;
	struct uia *u;
	uint8_t hash[32];
	str session;

	session = json_get_str(answer(b, ask(b, us, registration, "{\"password\":\"s3cret\"}", &u)), S("session"));
	sha256(arena_join2(b->a, S("uia-row:"), session), hash);
	l.hash = (str){ (char *)hash, 32 };
	both_ok(store_do(b->st, b->a, look_at, &l));
	assert_null(l.sealed.p);
	users_free(&us);
}
BOTH(the_store_does_not_learn_the_password)

static void a_person_may_answer_in_the_browser(struct both *b)
{
	static const struct user_policy policy = { STR("privacy"), STR("1.0"), STR("en"), STR("Privacy"),
						   STR("https://p") };
	struct users_options opt = service_options(b);
	struct registration_token token = { .token = S("tok"), .uses_allowed = 1 };
	struct uia_request rq = registration;
	struct uia_flow flow;
	struct users *us;
	struct uia *u;
	str session;
	bool good;

	opt.registration_requires_token = true;
	opt.policies = &policy;
	opt.n_policies = 1;
	us = users_new(&opt);
	both_ok(registration_token_add(us, b->a, &token));
	register_flows(us, &flow);
	rq.flows = &flow;
	rq.n_flows = 1;
	session = json_get_str(answer(b, ask(b, us, rq, "{\"username\":\"a\"}", &u)), S("session"));
	refused(uia_fallback(us, b->a, S("unknown"), S("m.login.terms"), S(""), &good), ERR_NOT_FOUND);
	refused(uia_fallback(us, b->a, session, S("m.login.terms"), S(""), &good), ERR_NOT_FOUND); /* not its turn */
	refused(uia_fallback(us, b->a, session, S("m.login.dummy"), S(""), &good), ERR_NOT_FOUND);
	both_ok(uia_fallback(us, b->a, session, S("m.login.registration_token"), S("nonsense"), &good));
	assert_false(good);
	both_ok(uia_fallback(us, b->a, session, S("m.login.registration_token"), S("tok"), &good));
	assert_true(good);
	both_ok(uia_fallback(us, b->a, session, S("m.login.registration_token"), S("tok"), &good)); /* again */
	assert_true(good);
	both_ok(uia_fallback(us, b->a, session, S("m.login.terms"), S(""), &good));
	assert_true(good);
	assert_null(ask(b, us, rq, with_session(b, "{\"auth\":{\"session\":\"%s\"}}", session), &u));
	eq(json_get_str(u->params, S("username")), S("a"));
	eq(u->registration_token, S("tok"));
	users_free(&us);
}
BOTH(a_person_may_answer_in_the_browser)

static void the_browser_takes_a_password_too(struct both *b)
{
	struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	const struct uia_request alice = logged_in(b, us, "alice");
	struct uia *u;
	str session;
	bool good;

	session = json_get_str(answer(b, ask(b, us, alice, "{}", &u)), S("session"));
	both_ok(uia_fallback(us, b->a, session, S("m.login.password"), S("no"), &good));
	assert_false(good);
	answer(b, ask(b, us, alice, with_session(b, "{\"auth\":{\"session\":\"%s\"}}", session), &u));
	both_ok(uia_fallback(us, b->a, session, S("m.login.password"), S("pw"), &good));
	assert_true(good);
	assert_null(ask(b, us, alice, with_session(b, "{\"auth\":{\"session\":\"%s\"}}", session), &u));
	users_free(&us);
}
BOTH(the_browser_takes_a_password_too)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(stages_are_asked_for_one_after_another),
		BOTH_TESTS(one_request_is_enough_and_writes_nothing),
		BOTH_TESTS(a_session_is_for_one_operation),
		BOTH_TESTS(parameters_are_binding_once_something_was_proven),
		BOTH_TESTS(only_ones_own_password_counts),
		BOTH_TESTS(a_password_proven_lately_is_enough_where_it_may_be),
		BOTH_TESTS(the_store_does_not_learn_the_password),
		BOTH_TESTS(a_person_may_answer_in_the_browser),
		BOTH_TESTS(the_browser_takes_a_password_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
