/* test_key_object.c - a key's text: what it is made of, and what is spliced into it. */
#include "test.h"

#include "base/b64.h"
#include "e2ee/key_object.h"
#include "e2ee/user_key.h"
#include "matrix/sign.h"

static struct json *parsed(struct arena *a, const char *text)
{
	struct json *json;

	good(json_parse(a, str_c(text), &json_limits_request, &json));
	return json;
}

static str text_of(struct arena *a, const char *json)
{
	struct key_object k;
	str text;

	good(key_object_read(a, parsed(a, json), S("@a:x"), &k));
	good(key_object_text(a, &k, &text));
	return text;
}

static const struct {
	const char *given;
	str kept;
} texts[] = {
	{ "{\"b\":1,\"a\":2}", STR("{\"a\":2,\"b\":1,\"signatures\":{}}") },
	{ "{\"a\":1,\"signatures\":{}}", STR("{\"a\":1,\"signatures\":{}}") },
	{ "{\"a\":1,\"unsigned\":{\"x\":1}}", STR("{\"a\":1,\"signatures\":{}}") },
	{ "{\"signatures\":{\"@a:x\":{\"k\":\"s\"}},\"z\":1}",
	  STR("{\"z\":1,\"signatures\":{\"@a:x\":{\"k\":\"s\"}}}") },
	{ "{\"z\":1,\"signatures\":{\"@b:x\":{\"k\":\"s\"}}}", STR("{\"z\":1,\"signatures\":{}}") },
	{ "{\"z\":1,\"signatures\":{\"@b:x\":{\"k\":\"s\"},\"@a:x\":{\"l\":\"t\",\"m\":\"u\"}}}",
	  STR("{\"z\":1,\"signatures\":{\"@a:x\":{\"l\":\"t\",\"m\":\"u\"}}}") },
	{ "{\"z\":1,\"signatures\":{\"@a:x\":{\"k\":\"1\",\"k\":\"2\"}}}",
	  STR("{\"z\":1,\"signatures\":{\"@a:x\":{\"k\":\"2\"}}}") },
};

static void only_the_owners_signatures_are_kept_and_come_last(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO_ARENA a = arena_new();

		same_str(text_of(a, texts[i].given), texts[i].kept);
		/* What was kept is kept again as it is. */
		same_str(text_of(a, arena_cstr(a, texts[i].kept)), texts[i].kept);
	}
}

static void another_users_signature_is_spliced_in(void **state)
{
	AUTO_ARENA a = arena_new();
	const str none = S("{\"z\":1,\"signatures\":{}}"), one = S("{\"z\":1,\"signatures\":{\"@a:x\":{\"k\":\"s\"}}}");

	(void)state;
	same_str(key_text_with(a, none, S("@\"b:x"), S("ed25519:U"), S("sig")),
		 S("{\"z\":1,\"signatures\":{\"@\\\"b:x\":{\"ed25519:U\":\"sig\"}}}"));
	same_str(key_text_with(a, one, S("@b:x"), S("ed25519:U"), S("sig")),
		 S("{\"z\":1,\"signatures\":{\"@a:x\":{\"k\":\"s\"},\"@b:x\":{\"ed25519:U\":\"sig\"}}}"));
	same_str(key_text_shown(a, none), S("{\"z\":1}"));
	same_str(key_text_shown(a, one), one);
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const bad[] = {
		"5",
		"[]",
		"{\"signatures\":[]}",
		"{\"signatures\":{\"@b:x\":5}}",
		"{\"signatures\":{\"@b:x\":{\"k\":5}}}",
		"{\"x\":1e999}",
	};
	AUTO_ARENA a = arena_new();
	AUTO_BUF big = BUF_INIT(SIZE_MAX);
	struct key_object k;
	str text;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		fails_with(key_object_read(a, parsed(a, bad[i]), S("@a:x"), &k), ERR_BAD_JSON);
	buf_printf(&big, "{\"x\":\"%*d\"}", KEY_BARE_MAX, 1);
	fails_with(key_object_parse(a, buf_str(&big), S("@a:x"), &k), ERR_TOO_LARGE);
	buf_reset(&big);
	buf_printf(&big, "{\"x\":1,\"signatures\":{\"@a:x\":{\"k\":\"%*d\"}}}", KEY_TEXT_MAX, 1);
	good(key_object_parse(a, buf_str(&big), S("@a:x"), &k));
	fails_with(key_object_text(a, &k, &text), ERR_TOO_LARGE);
}

static void a_signature_is_verified_by_whose_it_is(void **state)
{
	AUTO_ARENA a = arena_new();
	struct ed25519_key key, other;
	struct json *json = parsed(a, "{\"x\":1,\"unsigned\":{}}");
	const struct signer by = { S("@a:x"), S("ed25519:K"), &key };
	struct key_object k;

	(void)state;
	crypto_init();
	ed25519_generate(&key);
	ed25519_generate(&other);
	good(sign_json(a, json, &by));
	good(key_object_read(a, json, S("@a:x"), &k));
	assert_true(key_object_verify(a, &k, S("ed25519:K"), key.public_key));
	assert_false(key_object_verify(a, &k, S("ed25519:L"), key.public_key));
	assert_false(key_object_verify(a, &k, S("ed25519:K"), other.public_key));
	json_set(a, json, S("x"), json_new_int(a, 2));
	good(key_object_read(a, json, S("@a:x"), &k));
	assert_false(key_object_verify(a, &k, S("ed25519:K"), key.public_key));
	json_set(a, json, S("x"), json_new_int(a, 1));
	good(key_object_read(a, json, S("@b:x"), &k)); /* the same object, another's signatures */
	assert_false(key_object_verify(a, &k, S("ed25519:K"), key.public_key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_owners_signatures_are_kept_and_come_last),
		cmocka_unit_test(another_users_signature_is_spliced_in),
		cmocka_unit_test(what_is_no_key_is_refused),
		cmocka_unit_test(a_signature_is_verified_by_whose_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
