/* test_backup.c - which key of a session stays, what an upload costs, and that what is deleted really goes. */
#include "store/both.h"

#include "test.h"

#include "e2ee/backup.h"
#include "store/tx.h"

static const struct {
	const char *name;
	struct backup_key old_key, new_key;
	bool wins;
} rules[] = {
	{ "the same again", { .first_message_index = 1 }, { .first_message_index = 1 }, false },
	{ "verified over unverified",
	  { .first_message_index = 1 },
	  { .first_message_index = 9, .forwarded_count = 9, .is_verified = true },
	  true },
	{ "unverified never over verified",
	  { .first_message_index = 9, .forwarded_count = 9, .is_verified = true },
	  { .first_message_index = 1 },
	  false },
	{ "an earlier message",
	  { .first_message_index = 2 },
	  { .first_message_index = 1, .forwarded_count = 9 },
	  true },
	{ "a later message",
	  { .first_message_index = 1, .forwarded_count = 9 },
	  { .first_message_index = 2, .forwarded_count = 0 },
	  false },
	{ "forwarded less", { .forwarded_count = 2 }, { .forwarded_count = 1 }, true },
	{ "forwarded more", { .forwarded_count = 1 }, { .forwarded_count = 2 }, false },
	{ "an earlier message, both verified",
	  { .first_message_index = 2, .is_verified = true },
	  { .first_message_index = 1, .is_verified = true },
	  true },
	{ "a later message, both verified",
	  { .first_message_index = 1, .is_verified = true },
	  { .first_message_index = 2, .is_verified = true },
	  false },
};

static void the_better_key_wins(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		ok(backup_key_wins(&rules[i].new_key, &rules[i].old_key) == rules[i].wins, "%s", rules[i].name);
}

static const int64_t ALICE = 7;

static struct e2ee *service(struct both *b)
{
	return e2ee_new(&(struct e2ee_options){ .store = b->st, .server_name = S("x.org") });
}

static str version_new(struct both *b, struct e2ee *e, int64_t user)
{
	str version;

	good(backup_create(e, b->a, user, S("alg"), S("{}"), &version));
	return version;
}

/* n keys in so many rooms, each with the given index. */
static struct backup_key *make_keys(struct arena *a, size_t n, size_t rooms, int64_t index)
{
	struct backup_key *keys = ARENA_ARRAY(a, struct backup_key, n);

	for (size_t i = 0; i < n; i++)
		keys[i] = (struct backup_key){
			.room_id = arena_printf(a, "!%zu:x.org", i % rooms),
			.session_id = arena_printf(a, "session %zu", i),
			.first_message_index = index,
			.session_data = S("{\"ciphertext\":\"x\"}"),
		};
	return keys;
}

static struct backup_state put(struct both *b, struct e2ee *e, str version, const struct backup_key *keys, size_t n)
{
	struct backup_state state = { 0 };

	good(backup_put_keys(e, b->a, ALICE, version, keys, n, &state));
	return state;
}

static void expect(struct backup_state got, str etag, int64_t count)
{
	same_str(got.etag, etag);
	assert_int_equal(got.count, count);
}

static int64_t rows_of(struct both *b, const char *sql)
{
	AUTO_TX tx = NULL;
	struct row *r;

	good(store_read(b->st, b->a, &tx));
	good(tx_one(tx, sql, NO_BIND, &r));
	return row_i64(r, 0);
}

/* Every row of the table decides for itself, in one request with others: the rule as it is stored. */
static void each_session_is_decided_alone(struct both *b)
{
	struct e2ee *e = service(b);
	const str version = version_new(b, e, ALICE);
	struct backup_key keys[ARRAY_LEN(rules)];

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		keys[i] = rules[i].old_key;
		keys[i].room_id = i % 2 ? S("!a:x.org") : S("!b:x.org");
		keys[i].session_id = str_c(rules[i].name);
		keys[i].session_data = S("\"old\"");
	}
	expect(put(b, e, version, keys, ARRAY_LEN(keys)), S("1"), ARRAY_LEN(keys));
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		keys[i].first_message_index = rules[i].new_key.first_message_index;
		keys[i].forwarded_count = rules[i].new_key.forwarded_count;
		keys[i].is_verified = rules[i].new_key.is_verified;
		keys[i].session_data = S("\"new\"");
	}
	expect(put(b, e, version, keys, ARRAY_LEN(keys)), S("2"), ARRAY_LEN(keys));
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		const struct backup_key *k;

		good(backup_get_key(e, b->a, ALICE, version, keys[i].room_id, keys[i].session_id, &k));
		ok(str_eq(k->session_data, rules[i].wins ? S("\"new\"") : S("\"old\"")), "%s", rules[i].name);
		ok(k->is_verified == (rules[i].wins ? rules[i].new_key : rules[i].old_key).is_verified, "%s",
		   rules[i].name);
	}
	expect(put(b, e, version, keys, ARRAY_LEN(keys)), S("2"), ARRAY_LEN(keys));
	e2ee_free(&e);
}
BOTH(each_session_is_decided_alone)

/* Of others' backups nothing is seen, under the same version and session. */
static void users_have_backups_of_their_own(struct both *b)
{
	struct e2ee *e = service(b);
	const str version = version_new(b, e, ALICE), other = version_new(b, e, ALICE + 1);
	struct backup_version v;
	struct backup_key *keys = make_keys(b->a, 3, 1, 0);

	same_str(version, S("1"));
	same_str(other, S("1"));
	expect(put(b, e, version, keys, 3), S("1"), 3);
	good(backup_get(e, b->a, ALICE + 1, other, &v));
	assert_int_equal(v.count, 0);
	fails_with(backup_get(e, b->a, ALICE + 2, S("1"), &v), ERR_NOT_FOUND);
	e2ee_free(&e);
}
BOTH(users_have_backups_of_their_own)

/* 200 keys in 50 rooms, all new, half of them better, or none: never more than a handful of statements. */
static void an_upload_costs_few_statements(struct both *b)
{
	struct e2ee *e = service(b);
	const str version = version_new(b, e, ALICE);
	struct backup_key *keys = make_keys(b->a, 200, 50, 5);
	uint64_t before;

	put(b, e, version, keys, 1);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; round == 1 && i < 100; i++)
			keys[i].first_message_index = 1;
		before = store_statements_here();
		put(b, e, version, keys, 200);
		ok(store_statements_here() - before <= 7, "round %d: %llu statements", round,
		   (unsigned long long)(store_statements_here() - before));
	}
	e2ee_free(&e);
}
BOTH(an_upload_costs_few_statements)

static void a_refused_key_stores_none(struct both *b)
{
	struct e2ee *e = service(b);
	const str version = version_new(b, e, ALICE);
	struct backup_key *keys = make_keys(b->a, 700, 3, 0);
	struct backup_state state;
	struct backup_version v;

	keys[699].session_data.n = BACKUP_SESSION_DATA_MAX + 1;
	fails_with(backup_put_keys(e, b->a, ALICE, version, keys, 700, &state), ERR_TOO_LARGE);
	fails_with(backup_put_keys(e, b->a, ALICE, version, keys, BACKUP_KEYS_PER_REQUEST_MAX + 1, &state),
		   ERR_TOO_LARGE);
	good(backup_get(e, b->a, ALICE, version, &v));
	assert_int_equal(v.count, 0);
	e2ee_free(&e);
}
BOTH(a_refused_key_stores_none)

static err *pretend_full(struct tx *tx, void *arg)
{
	(void)arg;
	return tx_run(tx, "UPDATE key_backups SET keys = $1", BIND(B((int64_t)BACKUP_KEYS_MAX - 1)));
}

/* The count that is kept says when a user has enough: new keys are refused, better ones are not. */
static void the_bound_on_a_users_keys_holds(struct both *b)
{
	struct e2ee *e = service(b);
	const str version = version_new(b, e, ALICE);
	struct backup_key *keys = make_keys(b->a, 3, 1, 5);
	struct backup_state state;

	expect(put(b, e, version, keys, 1), S("1"), 1);
	good(store_do(b->st, b->a, pretend_full, NULL));
	fails_with(backup_put_keys(e, b->a, ALICE, version, &keys[1], 2, &state), ERR_RESOURCE_LIMIT);
	expect(put(b, e, version, &keys[1], 1), S("2"), BACKUP_KEYS_MAX);
	fails_with(backup_put_keys(e, b->a, ALICE, version, &keys[2], 1, &state), ERR_RESOURCE_LIMIT);
	keys[0].first_message_index = 4;
	expect(put(b, e, version, keys, 1), S("3"), BACKUP_KEYS_MAX);
	e2ee_free(&e);
}
BOTH(the_bound_on_a_users_keys_holds)

static err *bytes_left(struct tx *tx, void *left)
{
	return tx_run(tx, "UPDATE key_backups SET bytes = $1", BIND(B((int64_t)BACKUP_BYTES_MAX - *(int64_t *)left)));
}

/* What better keys have more than those they replace counts, too; what they have less is free again. */
static void the_bound_on_a_users_bytes_holds(struct both *b)
{
	struct e2ee *e = service(b);
	const str version = version_new(b, e, ALICE);
	struct backup_key *keys = make_keys(b->a, 3, 1, 5);
	struct backup_state state;
	int64_t left = 18; /* of which one key takes all */

	expect(put(b, e, version, keys, 1), S("1"), 1);
	good(store_do(b->st, b->a, bytes_left, &left));
	fails_with(backup_put_keys(e, b->a, ALICE, version, &keys[1], 2, &state), ERR_RESOURCE_LIMIT);
	expect(put(b, e, version, &keys[1], 1), S("2"), 2);
	keys[0].first_message_index = 4;
	expect(put(b, e, version, keys, 1), S("3"), 2);
	keys[0].first_message_index = 3;
	keys[0].session_data = S("{\"ciphertext\":\"xy\"}");
	fails_with(backup_put_keys(e, b->a, ALICE, version, keys, 1, &state), ERR_RESOURCE_LIMIT);
	keys[0].session_data = S("{}");
	expect(put(b, e, version, keys, 1), S("4"), 2);
	fails_with(backup_put_keys(e, b->a, ALICE, version, &keys[2], 1, &state), ERR_RESOURCE_LIMIT);
	e2ee_free(&e);
}
BOTH(the_bound_on_a_users_bytes_holds)

static void expect_bytes(struct both *b, int64_t bytes, const char *when)
{
	static const char kept[] = "SELECT SUM(bytes) FROM key_backups",
			  of_rooms[] = "SELECT COALESCE(SUM(r.bytes), 0) FROM key_backup_rooms r"
				       " JOIN key_backups b ON b.backup = r.backup",
			  counted[] = "SELECT COALESCE(SUM(LENGTH(k.session_data)), 0) FROM key_backup_keys k"
				      " JOIN key_backup_rooms r ON r.backup = k.backup AND r.slot = k.slot"
				      " JOIN key_backups b ON b.backup = r.backup";

	ok(rows_of(b, kept) == bytes, "%s: of backups", when);
	ok(rows_of(b, of_rooms) == bytes, "%s: of rooms", when);
	ok(rows_of(b, counted) == bytes, "%s: in keys", when);
}

/* Bytes are kept beside the keys; whatever happens to these, they are the sum. */
static void bytes_are_those_of_the_keys(struct both *b)
{
	struct e2ee *e = service(b);
	const str version = version_new(b, e, ALICE), small = S("{}"), large = S("{\"ciphertext\":\"\u00fc\u00fc\"}");
	struct backup_key *keys = make_keys(b->a, 9, 3, 5);
	struct backup_state state;

	put(b, e, version, keys, 9);
	expect_bytes(b, 9 * 18, "put");
	for (size_t i = 0; i < 6; i++) {
		keys[i].session_data = i < 3 ? small : large;
		keys[i].first_message_index = i % 2 ? 4 : 6;
	}
	put(b, e, version, keys, 9);
	expect_bytes(b, 6 * 18 + 2 + 2 * 21, "bettered");
	good(backup_delete_keys(e, b->a, ALICE, version, S("!1:x.org"), S("session 1"), &state));
	good(backup_delete_keys(e, b->a, ALICE, version, S("!1:x.org"), S("none"), &state));
	expect_bytes(b, 6 * 18 + 2 * 21, "a key deleted");
	good(backup_delete_keys(e, b->a, ALICE, version, S("!2:x.org"), STR_NONE, &state));
	expect_bytes(b, 4 * 18 + 21, "a room deleted");
	good(backup_delete_keys(e, b->a, ALICE, version, STR_NONE, STR_NONE, &state));
	expect_bytes(b, 0, "all deleted");
	put(b, e, version, keys, 1);
	expect_bytes(b, 2, "put again");
	e2ee_free(&e);
}
BOTH(bytes_are_those_of_the_keys)

static void wait_swept(struct both *b, struct e2ee *e)
{
	/* Stopping waits for the step at hand only: begun anew until nothing is left. */
	while (rows_of(b, "SELECT COUNT(*) FROM key_backup_swept") > 0) {
		backup_sweeping_start(e);
		backup_sweeping_stop(e);
	}
}

/* What was given up is not seen from that moment on, and gone from the tables in time; the rest stays. */
static void what_is_deleted_is_swept(struct both *b)
{
	struct e2ee *e = service(b);
	const str first = version_new(b, e, ALICE);
	struct backup_key *keys = make_keys(b->a, 1300, 4, 0);
	struct backup_state state;
	struct backup_version v;
	str second;

	expect(put(b, e, first, keys, 1300), S("7"), 1300);
	good(backup_delete_keys(e, b->a, ALICE, first, S("!1:x.org"), STR_NONE, &state));
	expect(state, S("8"), 975);
	expect(put(b, e, first, &keys[1], 1), S("9"), 976);
	wait_swept(b, e);
	assert_int_equal(rows_of(b, "SELECT COUNT(*) FROM key_backup_keys"), 976);
	assert_int_equal(rows_of(b, "SELECT COUNT(*) FROM key_backup_rooms"), 4);

	good(backup_delete_keys(e, b->a, ALICE, first, STR_NONE, STR_NONE, &state));
	expect(state, S("10"), 0);
	expect(put(b, e, first, keys, 4), S("11"), 4);
	wait_swept(b, e);
	assert_int_equal(rows_of(b, "SELECT COUNT(*) FROM key_backup_keys"), 4);

	second = version_new(b, e, ALICE);
	expect(put(b, e, second, keys, 2), S("1"), 2);
	good(backup_delete(e, b->a, ALICE, first));
	fails_with(backup_get(e, b->a, ALICE, first, &v), ERR_NOT_FOUND);
	wait_swept(b, e);
	assert_int_equal(rows_of(b, "SELECT COUNT(*) FROM key_backup_keys"), 2);

	good(backup_forget_user(e, b->a, ALICE));
	fails_with(backup_get(e, b->a, ALICE, STR_NONE, &v), ERR_NOT_FOUND);
	wait_swept(b, e);
	assert_int_equal(rows_of(b, "SELECT COUNT(*) FROM key_backup_keys"), 0);
	assert_int_equal(rows_of(b, "SELECT COUNT(*) FROM key_backup_rooms"), 0);
	same_str(version_new(b, e, ALICE), S("3"));
	e2ee_free(&e);
}
BOTH(what_is_deleted_is_swept)

static str read_all(struct both *b, struct backup_reader *r, void (*meanwhile)(void *ctx), void *ctx)
{
	AUTO_BUF text = BUF_INIT(1 << 20);
	bool more = true;

	for (int page = 0; more; page++) {
		const size_t before = text.n;

		good(backup_read(r, b->a, &text, &more));
		assert_true(text.n > before);
		if (page == 0 && meanwhile)
			meanwhile(ctx);
	}
	return arena_keep(b->a, buf_str(&text));
}

struct changer {
	struct both *b;
	struct e2ee *e;
	str version;
};

/* A room that is being read goes; one not yet reached goes; one comes. */
static void change_rooms(void *ctx)
{
	struct changer *c = ctx;
	struct backup_state state;
	struct backup_key *keys = make_keys(c->b->a, 10, 10, 0);

	good(backup_delete_keys(c->e, c->b->a, ALICE, c->version, S("!0:x.org"), STR_NONE, &state));
	good(backup_delete_keys(c->e, c->b->a, ALICE, c->version, S("!2:x.org"), STR_NONE, &state));
	put(c->b, c->e, c->version, &keys[9], 1);
}

/* Rooms change between two pages: the text is JSON nonetheless, and has what was there all the time. */
static void a_reader_survives_changes(struct both *b)
{
	struct e2ee *e = service(b);
	const str version = version_new(b, e, ALICE);
	struct changer c = { b, e, version };
	struct backup_key *keys = make_keys(b->a, 900, 3, 0);
	AUTO_BACKUP_READER r = NULL;
	const struct json *rooms;
	struct json *json;

	put(b, e, version, keys, 900);
	good(backup_reader_new(e, b->a, ALICE, version, STR_NONE, &r));
	good(json_parse(b->a, read_all(b, r, change_rooms, &c), &json_limits_request, &json));
	assert_false(json->dup);
	rooms = json_get_object(json, S("rooms"));
	assert_int_equal(json_get_object(json_get(rooms, S("!1:x.org")), S("sessions"))->object.n, 300);
	assert_null(json_get(rooms, S("!2:x.org")));
	e2ee_free(&e);
}
BOTH(a_reader_survives_changes)

/* What a slow client keeps in memory are few bytes, however large its keys are. */
static void pages_and_pieces_are_bounded_in_bytes(struct both *b)
{
	struct e2ee *e = service(b);
	const str version = version_new(b, e, ALICE);
	struct backup_key *keys = make_keys(b->a, 40, 2, 0);
	AUTO_BUF text = BUF_INIT(4 << 20);
	AUTO_BACKUP_READER r = NULL;
	struct json *json;
	bool more = true;
	char *data = arena_alloc(b->a, BACKUP_SESSION_DATA_MAX);

	memset(data, 'x', BACKUP_SESSION_DATA_MAX);
	data[0] = data[BACKUP_SESSION_DATA_MAX - 1] = '"';
	for (size_t i = 0; i < 40; i++)
		keys[i].session_data = (str){ data, BACKUP_SESSION_DATA_MAX };
	/* In three pieces, for none holds the writer for long. */
	expect(put(b, e, version, keys, 40), S("3"), 40);
	good(backup_reader_new(e, b->a, ALICE, version, STR_NONE, &r));
	while (more) {
		const size_t before = text.n;

		good(backup_read(r, b->a, &text, &more));
		ok(text.n > before && text.n - before < (96 << 10), "a page of %zu bytes", text.n - before);
	}
	good(json_parse(b->a, buf_str(&text), &json_limits_request, &json));
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			json_get_object(json_get(json_get(json, S("rooms")), i ? S("!1:x.org") : S("!0:x.org")),
					S("sessions"))
				->object.n,
			20);
	e2ee_free(&e);
}
BOTH(pages_and_pieces_are_bounded_in_bytes)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(the_bound_on_a_users_bytes_holds),
		BOTH_TESTS(bytes_are_those_of_the_keys),
		BOTH_TESTS(pages_and_pieces_are_bounded_in_bytes),
		cmocka_unit_test(the_better_key_wins),
		BOTH_TESTS(each_session_is_decided_alone),
		BOTH_TESTS(users_have_backups_of_their_own),
		BOTH_TESTS(an_upload_costs_few_statements),
		BOTH_TESTS(a_refused_key_stores_none),
		BOTH_TESTS(the_bound_on_a_users_keys_holds),
		BOTH_TESTS(what_is_deleted_is_swept),
		BOTH_TESTS(a_reader_survives_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
