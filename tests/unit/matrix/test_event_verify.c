/* Who must have signed, which keys count when, and the same answer one by one and by many threads. */
#include "base/pool.h"
#include "matrix/event_verify.h"
#include "matrix/fixture.h"

#define ID43 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define DAY  (INT64_C(24) * 3600 * 1000)
#define NOW  INT64_C(1700000000000)

static const struct room_version *rv(const char *id) { return room_version_find(str_c(id)); }

/* --- keys and times --- */

static void a_key_counts_for_a_week_at_most(void **state)
{
	(void)state;
	assert_int_equal(server_key_until(NOW + DAY, NOW), NOW + DAY);
	assert_int_equal(server_key_until(NOW + 7 * DAY, NOW), NOW + 7 * DAY);
	assert_int_equal(server_key_until(NOW + 7 * DAY + 1, NOW), NOW + 7 * DAY);
	assert_int_equal(server_key_until(INT64_MAX, NOW), NOW + 7 * DAY);
	assert_int_equal(server_key_until(INT64_MAX, INT64_MAX), INT64_MAX);
	assert_int_equal(server_key_until(INT64_MIN, NOW), INT64_MIN);
}

static void validity_is_enforced_from_version_5_on(void **state)
{
	const struct server_key key = { .until = NOW }, old = { .until = NOW, .old = true };

	(void)state;
	for (size_t i = 0; room_version_at(i); i++) {
		const struct room_version *v = room_version_at(i);
		const bool enforced = v->number >= 5;

		assert_true(server_key_covers(v, &key, NOW - 1) && server_key_covers(v, &key, NOW));
		assert_true(server_key_covers(v, &key, NOW + 1) == !enforced);
		assert_true(server_key_covers(v, &key, INT64_MAX) == !enforced);
		/* What is known to have expired counts nowhere. */
		assert_true(server_key_covers(v, &old, INT64_MIN) && server_key_covers(v, &old, NOW));
		assert_false(server_key_covers(v, &old, NOW + 1));
	}
}

/* --- events --- */

struct known {
	str server, key_id;
	struct ed25519_key pair;
	struct server_key key;
};
static struct known known[] = {
	{ .server = STR("domain"), .key_id = STR("ed25519:1"), .key = { .until = NOW } },
	{ .server = STR("domain"), .key_id = STR("ed25519:2"), .key = { .until = NOW } },
	{ .server = STR("domain"), .key_id = STR("ed25519:old"), .key = { .until = NOW - DAY, .old = true } },
	{ .server = STR("other"), .key_id = STR("ed25519:1"), .key = { .until = NOW } },
	{ .server = STR("elsewhere:80"), .key_id = STR("ed25519:x"), .key = { .until = NOW } },
	/* Signed with, but without a time not known to find(): */
	{ .server = STR("domain"), .key_id = STR("ed25519:unknown") },
	{ .server = STR("domain"), .key_id = STR("rsa:1"), .key = { .until = NOW } },
	{ .server = STR("policy"), .key_id = STR("ed25519:policy_server") },
};

static int setup(void **state)
{
	fixture_setup(state);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		const uint8_t seed[32] = { (uint8_t)(i + 1) };

		ed25519_from_seed(&known[i].pair, seed);
		memcpy(known[i].key.public_key, known[i].pair.public_key, 32);
	}
	return 0;
}

static const struct server_key *find(void *ctx, str server, str key_id)
{
	size_t *asked = ctx;

	if (asked)
		(*asked)++;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].key.until && str_eq(known[i].server, server) && str_eq(known[i].key_id, key_id))
			return &known[i].key;
	return NULL;
}

/* How an event is signed: indices of `known`, one digit each; then what is put in their place or beside them. */
struct row {
	const char *about, *version;
	const char *type, *content, *event_id;
	int64_t ts;
	const char *by;
	const char *patch; /* signatures.domain.<key_id>, a space, the text; NULL */
	const char *lacks; /* whose signature is missed; NULL: none */
};
static const struct row rows[] = {
	{ "by the sender's server", "11", "m.x", "{}", NULL, NOW, "0", NULL, NULL },
	{ "by nobody", "11", "m.x", "{}", NULL, NOW, "", NULL, "domain" },
	{ "by another", "11", "m.x", "{}", NULL, NOW, "3", NULL, "domain" },
	{ "by another, too", "11", "m.x", "{}", NULL, NOW, "03", NULL, NULL },
	{ "by a policy server, too", "11", "m.x", "{}", NULL, NOW, "07", NULL, NULL },
	{ "by two keys", "11", "m.x", "{}", NULL, NOW, "01", NULL, NULL },
	{ "by an unknown key, too", "11", "m.x", "{}", NULL, NOW, "05", NULL, NULL },
	{ "by an unknown key only", "11", "m.x", "{}", NULL, NOW, "5", NULL, "domain" },
	{ "by an algorithm nobody knows", "11", "m.x", "{}", NULL, NOW, "6", NULL, "domain" },
	{ "by an algorithm nobody knows, too", "11", "m.x", "{}", NULL, NOW, "0", "rsa:1 !!", NULL },
	{ "one of two signatures is bad", "11", "m.x", "{}", NULL, NOW, "01",
	  "ed25519:2 "
	  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	  "domain" },
	{ "one of two is no signature", "11", "m.x", "{}", NULL, NOW, "01", "ed25519:2 !!", "domain" },
	{ "what is none is by an unknown key", "11", "m.x", "{}", NULL, NOW, "0", "ed25519:9 !!", NULL },
	{ "after the key's time", "11", "m.x", "{}", NULL, NOW + 1, "0", NULL, "domain" },
	{ "after the key's time, version 4", "4", "m.x", "{}", NULL, NOW + 1, "0", NULL, NULL },
	{ "after the key's time, version 5", "5", "m.x", "{}", NULL, NOW + 1, "0", NULL, "domain" },
	{ "by an old key in its time", "11", "m.x", "{}", NULL, NOW - DAY, "2", NULL, NULL },
	{ "by an old key after it", "11", "m.x", "{}", NULL, NOW, "2", NULL, "domain" },
	{ "by an old key after it, version 1", "1", "m.x", "{}", "$e:domain", NOW, "2", NULL, "domain" },
	{ "version 1, the id is of another server", "1", "m.x", "{}", "$e:elsewhere:80", NOW, "0", NULL,
	  "elsewhere:80" },
	{ "version 2, by both", "2", "m.x", "{}", "$e:elsewhere:80", NOW, "04", NULL, NULL },
	{ "version 2, by the id's only", "2", "m.x", "{}", "$e:elsewhere:80", NOW, "4", NULL, "domain" },
	{ "restricted join, by one", "8", "m.room.member",
	  "{\"membership\":\"join\",\"join_authorised_via_users_server\":\"@a:other\"}", NULL, NOW, "0", NULL,
	  "other" },
	{ "restricted join, by both", "9", "m.room.member",
	  "{\"membership\":\"join\",\"join_authorised_via_users_server\":\"@a:other\"}", NULL, NOW, "03", NULL, NULL },
	{ "no restricted join before version 8", "7", "m.room.member",
	  "{\"membership\":\"join\",\"join_authorised_via_users_server\":\"@a:other\"}", NULL, NOW, "0", NULL, NULL },
	{ "invite by third party", "11", "m.room.member", "{\"membership\":\"invite\",\"third_party_invite\":{}}", NULL,
	  NOW, "", NULL, NULL },
	{ "the same in version 1", "1", "m.room.member", "{\"membership\":\"invite\",\"third_party_invite\":{}}",
	  "$e:elsewhere:80", NOW, "", NULL, "elsewhere:80" },
};

static struct json *signatures_of(const struct row *row, const struct room_version *v,
				  const struct json *unsigned_event)
{
	struct json *redacted = redact_event(A, v, unsigned_event), *all, *theirs;

	json_del(redacted, S("signatures"));
	for (const char *p = row->by; *p; p++) {
		const struct known *k = &known[*p - '0'];
		const struct signer by = { k->server, k->key_id, &k->pair };

		must(sign_json(A, redacted, &by));
	}
	const struct json *made = json_get_object(redacted, S("signatures"));

	all = made ? json_copy(A, made) : json_new_object(A);
	if (row->patch) {
		str text = str_c(row->patch), key_id;

		str_split_next(&text, ' ', &key_id);
		theirs = json_copy(A, json_get(all, S("domain")));
		json_set(A, theirs, key_id, json_new_str(A, text));
		json_set(A, all, S("domain"), theirs);
	}
	return all;
}

static struct event *event_of(const struct row *row)
{
	static const str ids[] = { STR("$" ID43) }, named[] = { STR("$a:domain") }, hashes[] = { STR(ID43) };
	const struct room_version *v = rv(row->version);
	const bool is_named = v->event_format == EVENT_FORMAT_NAMED;
	struct event_fields f = {
		.event_id = str_c(row->event_id),
		.room_id = S("!r:domain"),
		.sender = S("@a:domain"),
		.type = str_c(row->type),
		.state_key = str_eq(str_c(row->type), S("m.room.member")) ? S("@b:domain") : STR_NONE,
		.content = parse(row->content),
		.origin_server_ts = row->ts,
		.prev_events = is_named ? named : ids,
		.n_prev_events = 1,
		.prev_hashes = is_named ? hashes : NULL,
	};
	struct event *ev;
	struct json *j;

	must(event_build(A, v, &f, &SIGNER, &ev));
	j = json_copy(A, ev->json);
	json_set(A, j, S("signatures"), signatures_of(row, v, ev->json));
	must(event_parse_json(A, v, j, &ev));
	assert_false(ev->hash_failed);
	return ev;
}

static void says_whose_signature_is_lacking(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		const struct event *ev = event_of(row);
		struct event *stored;
		str server;
		bool good = event_well_signed(A, rv(row->version), ev, find, NULL, &server);

		ok(good == !row->lacks && str_eq(server, str_c(row->lacks)), "%s: %.*s", row->about, STR_ARG(server));
		/* Read back it is the same event. */
		must(event_load(A, rv(row->version), ev->event_id, ev->bytes, &stored));
		ok(event_well_signed(A, rv(row->version), stored, find, NULL, NULL) == good, "%s, stored", row->about);
	}
}

static void many_signatures_of_a_server_cost_no_more(void **state)
{
	struct row row = rows[0];
	struct json *j, *signatures, *theirs;
	struct event *ev = event_of(&row);
	struct ed25519_claim claims[EVENT_MAX_CLAIMS];
	size_t asked = 0;
	str lacking;

	(void)state;
	j = json_copy(A, ev->json);
	signatures = json_copy(A, json_get(j, S("signatures")));
	theirs = json_copy(A, json_get(signatures, S("domain")));
	for (int i = 0; i < 400; i++)
		json_set(A, theirs, arena_printf(A, "ed25519:n%d", i), json_new_str(A, S("!!")));
	json_set(A, signatures, S("domain"), theirs);
	json_set(A, j, S("signatures"), signatures);
	must(event_parse_json(A, rv("11"), j, &ev));
	assert_int_equal(event_claims(A, rv("11"), ev, find, &asked, claims, &lacking), 1);
	assert_true(str_is_none(lacking));
	assert_int_equal(asked, 401);
}

static const struct server_key *find_any(void *ctx, str server, str key_id)
{
	(void)ctx, (void)server, (void)key_id;
	return &known[0].key;
}

static void known_keys_beyond_a_few_are_not_looked_at(void **state)
{
	struct event *ev = event_of(&rows[5]);
	struct json *j = json_copy(A, ev->json), *signatures = json_new_object(A), *theirs = json_new_object(A);
	struct ed25519_claim claims[EVENT_MAX_CLAIMS];
	const char *text = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	str lacking;

	(void)state;
	for (int i = 0; i < 100; i++)
		json_set(A, theirs, arena_printf(A, "ed25519:%d", i), json_new_str(A, str_c(text)));
	json_set(A, signatures, S("domain"), theirs);
	json_set(A, j, S("signatures"), signatures);
	must(event_parse_json(A, rv("11"), j, &ev));
	assert_int_equal(event_claims(A, rv("11"), ev, find_any, NULL, claims, &lacking), EVENT_MAX_KEYS);
}

/* --- many --- */

static void verify_slice(void *ctx, size_t from, size_t to)
{
	ed25519_verify_all((struct ed25519_claim *)ctx + from, to - from);
}

static void many_at_once_say_the_same(void **state)
{
	enum { TIMES = 4 };
	struct ed25519_claim claims[ARRAY_LEN(rows) * TIMES * EVENT_MAX_CLAIMS];
	size_t n = 0, first[ARRAY_LEN(rows) * TIMES + 1];
	str lacking[ARRAY_LEN(rows) * TIMES];
	struct pool *pool = pool_new(3);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lacking); i++) {
		const struct row *row = &rows[i % ARRAY_LEN(rows)];

		first[i] = n;
		n += event_claims(A, rv(row->version), event_of(row), find, NULL, claims + n, &lacking[i]);
	}
	first[ARRAY_LEN(lacking)] = n;
	pool_each(pool, n, 3, verify_slice, claims);
	for (size_t i = 0; i < ARRAY_LEN(lacking); i++) {
		bool good = str_is_none(lacking[i]);

		for (size_t k = first[i]; k < first[i + 1]; k++)
			good = good && claims[k].good;
		ok(good == !rows[i % ARRAY_LEN(rows)].lacks, "%s", rows[i % ARRAY_LEN(rows)].about);
	}
	pool_free(&pool);
}

#undef TEST
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_counts_for_a_week_at_most),           TEST(validity_is_enforced_from_version_5_on),
		TEST(says_whose_signature_is_lacking),           TEST(many_signatures_of_a_server_cost_no_more),
		TEST(known_keys_beyond_a_few_are_not_looked_at), TEST(many_at_once_say_the_same),
	};

	return cmocka_run_group_tests_name("matrix/event_verify", tests, NULL, NULL);
}
