/* The list of a server's keys: what is believed of another's, and that ours is believed. */
#include "matrix/fixture.h"

#include "matrix/server_keys.h"

#define K1      "VGhpcyBzaG91bGQgYmUgYSByZWFsIGVkMjU1MTkgcGE"
#define DAY     INT64_C(86400000)
#define NOW     INT64_C(1700000000000)
#define OLD_ONE "{\"ed25519:0ldK3y\":{\"expired_ts\":1532645052628,\"key\":\"" K1 "\"}}"

static struct json *own_document(int64_t until)
{
	struct json *doc;

	must(server_keys_write(A, &SIGNER, parse(OLD_ONE), until, &doc));
	return doc;
}

static void ours_is_believed(void **state)
{
	struct server_keys keys;

	(void)state;
	must(server_keys_read(A, own_document(NOW + DAY), S("domain"), NOW, &keys));
	assert_int_equal(keys.n, 2);
	assert_int_equal(keys.valid_until_ts, NOW + DAY);
	assert_str(keys.p[0].key_id, S("ed25519:1"));
	assert_memory_equal(keys.p[0].key.public_key, KEY.public_key, 32);
	assert_int_equal(keys.p[0].key.until, NOW + DAY);
	assert_false(keys.p[0].key.old);
	assert_str(keys.p[1].key_id, S("ed25519:0ldK3y"));
	assert_int_equal(keys.p[1].key.until, 1532645052628);
	assert_true(keys.p[1].key.old);
}

/* "Servers MUST use the lesser of this field and 7 days into the future" */
static void for_a_week_at_most(void **state)
{
	struct server_keys keys;

	(void)state;
	must(server_keys_read(A, own_document(NOW + 30 * DAY), S("domain"), NOW, &keys));
	assert_int_equal(keys.p[0].key.until, NOW + 7 * DAY);
	assert_int_equal(keys.valid_until_ts, NOW + 30 * DAY);
}

/* A document that was changed by `edit` and signed again (or not). */
struct row {
	const char *what, *key, *value; /* value NULL: taken away */
	bool sign_again;
	enum err_code code;
};

static void refused_or_not(void **state)
{
	static const struct row rows[] = {
		{ "another server's", "server_name", "\"other\"", true, ERR_FORBIDDEN },
		{ "no name", "server_name", NULL, true, ERR_FORBIDDEN },
		{ "no date", "valid_until_ts", NULL, true, ERR_BAD_JSON },
		{ "a date that is no number", "valid_until_ts", "\"5\"", true, ERR_BAD_JSON },
		{ "no keys", "verify_keys", NULL, true, ERR_BAD_JSON },
		{ "keys of another kind", "verify_keys", "[]", true, ERR_BAD_JSON },
		{ "not signed by a key it lists", "verify_keys", "{\"ed25519:1\":{\"key\":\"" K1 "\"}}", true,
		  ERR_FORBIDDEN },
		{ "signed by an old key only", "verify_keys", "{}", true, ERR_FORBIDDEN },
		{ "changed since it was signed", "valid_until_ts", "5", false, ERR_FORBIDDEN },
		{ "unsigned", "signatures", NULL, false, ERR_FORBIDDEN },
		{ "signatures of another kind", "signatures", "[]", false, ERR_FORBIDDEN },
		{ "old keys of another kind", "old_verify_keys", "[]", true, ERR_BAD_JSON },
		{ "an old key without its end", "old_verify_keys", "{\"ed25519:x\":{\"key\":\"" K1 "\"}}", true,
		  ERR_BAD_JSON },
		{ "an old key that is none", "old_verify_keys", "{\"ed25519:x\":{\"key\":\"AAAA\",\"expired_ts\":1}}",
		  true, ERR_BAD_JSON },
		{ "a name as it may not be", "old_verify_keys",
		  "{\"ed25519:a:b\":{\"key\":\"" K1 "\",\"expired_ts\":1}}", true, ERR_NONE },
		/* Only the last is signed. */
		{ "two keys of one name", "old_verify_keys",
		  "{\"ed25519:x\":{\"key\":\"" K1 "\",\"expired_ts\":1},\"ed25519:x\":{\"key\":\"" K1
		  "\",\"expired_ts\":2}}",
		  true, ERR_BAD_JSON },
		{ "no old keys", "old_verify_keys", NULL, true, ERR_NONE },
		{ "other algorithms", "old_verify_keys", "{\"curve:a:b\":5}", true, ERR_NONE },
		{ "more than is known", "org.example", "{}", true, ERR_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json *doc = own_document(NOW + DAY);
		struct server_keys keys;
		const err *e;

		json_del(doc, str_c(rows[i].key));
		if (rows[i].value)
			json_set(A, doc, str_c(rows[i].key), parse(rows[i].value));
		if (rows[i].sign_again)
			must(sign_json(A, doc, &SIGNER));
		e = server_keys_read(A, doc, S("domain"), NOW, &keys);
		ok((e ? e->code : ERR_NONE) == rows[i].code, "%s", rows[i].what);
	}
}

/* Of what is kept of a list, most is names: they do not have to be remembered in any length. */
static void a_name_is_bounded(void **state)
{
	struct json *doc = own_document(NOW + DAY), *old = json_new_object(A);
	char id[SERVER_KEY_ID_MAX + 2];
	struct server_keys keys;

	(void)state;
	memset(id, 'x', sizeof(id));
	memcpy(id, "ed25519:", 8);
	json_set(A, old, (str){ id, SERVER_KEY_ID_MAX }, parse("{\"key\":\"" K1 "\",\"expired_ts\":1}"));
	json_set(A, old, (str){ id, SERVER_KEY_ID_MAX + 1 }, parse("{\"key\":\"" K1 "\",\"expired_ts\":1}"));
	json_set(A, doc, S("old_verify_keys"), old);
	must(sign_json(A, doc, &SIGNER));
	must(server_keys_read(A, doc, S("domain"), NOW, &keys));
	assert_int_equal(keys.n, 2);
	assert_int_equal(keys.p[1].key_id.n, SERVER_KEY_ID_MAX);
}

static void bounded(void **state)
{
	struct json *doc = own_document(NOW + DAY), *many = json_new_object(A);
	struct server_keys keys;

	(void)state;
	for (int i = 0; i < SERVER_KEYS_MAX; i++)
		json_set(A, many, arena_printf(A, "ed25519:%d", i), parse("{\"key\":\"" K1 "\",\"expired_ts\":1}"));
	assert_true(server_keys_old_valid(A, many));
	json_set(A, doc, S("old_verify_keys"), many);
	must(sign_json(A, doc, &SIGNER));
	assert_non_null(server_keys_read(A, doc, S("domain"), NOW, &keys));
	json_del(many, S("ed25519:5"));
	must(sign_json(A, doc, &SIGNER));
	must(server_keys_read(A, doc, S("domain"), NOW, &keys));
	assert_int_equal(keys.n, SERVER_KEYS_MAX);
}

static void names_of_keys(void **state)
{
	(void)state;
	assert_true(server_keys_old_valid(A, parse(OLD_ONE)));
	assert_false(server_keys_old_valid(A, parse("{\"ed25519:a:b\":{\"key\":\"" K1 "\",\"expired_ts\":1}}")));
	assert_false(server_keys_old_valid(A, parse("{\"curve25519:a\":{\"key\":\"" K1 "\",\"expired_ts\":1}}")));
	assert_false(server_keys_old_valid(A, parse("[]")));
	assert_true(server_key_id_valid(S("ed25519:a_AZ09")));
	assert_false(server_key_id_valid(S("ed25519:")));
	assert_false(server_key_id_valid(S("ed25519")));
	assert_false(server_key_id_valid(S("curve25519:a")));
	assert_false(server_key_id_valid(S("ed25519:a-b")));
	assert_false(server_key_id_valid(S("ed25519:a\0b")));
	assert_false(server_key_id_valid(STR_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ours_is_believed), TEST(for_a_week_at_most), TEST(refused_or_not), TEST(a_name_is_bounded),
		TEST(bounded),          TEST(names_of_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
