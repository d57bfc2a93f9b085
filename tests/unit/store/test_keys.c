/* test_keys.c - keys of devices and users: who is given which, and what goes with whom. */
#include "both.h"
#include "test.h"

#include "store/cross_signing.h"
#include "store/device_keys.h"
#include "store/devices.h"

/* What the pieces below do, in words: one at a time, on user 1. */
static err *add_device(struct tx *tx, void *arg)
{
	const str *id = arg;
	const struct device_row row = { .user = 1, .device_id = *id, .created_at = 1, .seen_at = 1 };
	bool added;

	return store_device_add(tx, &row, &added);
}

static void device(struct both *b, const char *id)
{
	str s = str_c(id);

	both_ok(store_do(b->st, b->a, add_device, &s));
}

static err *delete_device(struct tx *tx, void *arg) { return store_devices_delete(tx, 1, arg, 1, NULL); }

struct save {
	str device_id, keys;
	bool saved;
};

static err *save_keys(struct tx *tx, void *arg)
{
	struct save *s = arg;

	return store_device_keys_save(tx, 1, s->device_id, s->keys, &s->saved);
}

struct add {
	const char *device_id;
	int64_t place;
	struct one_time_key_row keys[3];
	size_t n, changed;
};

static err *add_one_time(struct tx *tx, void *arg)
{
	struct add *x = arg;

	return store_one_time_keys_add(tx, 1, str_c(x->device_id), x->place, x->keys, x->n, &x->changed);
}

static err *add_fallback(struct tx *tx, void *arg)
{
	struct add *x = arg;

	return store_fallback_keys_save(tx, 1, str_c(x->device_id), x->keys, x->n, &x->changed);
}

typedef err *give_fn(struct tx *tx, struct key_taking *list, size_t n);

/* What is given is kept; "" where there was nothing. The rows live in the writer's arena: looked at inside. */
struct give {
	struct both *b;
	struct key_taking *list;
	size_t n;
	give_fn *how;
};

static err *give_run(struct tx *tx, void *arg)
{
	struct give *g = arg;

	TRY(g->how(tx, g->list, g->n));
	for (size_t i = 0; i < g->n; i++) {
		struct key_taking *t = &g->list[i];

		t->key = str_is_none(t->key_id) ? S("") : arena_keep(g->b->a, t->key);
		t->key_id = str_is_none(t->key_id) ? S("") : arena_keep(g->b->a, t->key_id);
	}
	return NULL;
}

static struct key_taking given(struct both *b, give_fn *how, const char *device_id, const char *algorithm)
{
	struct key_taking t = { 1, str_c(device_id), str_c(algorithm) };
	struct give g = { b, &t, 1, how };

	both_ok(store_do(b->st, b->a, give_run, &g));
	return t;
}

static size_t counts(struct both *b, const char *device_id, struct key_count_row **out)
{
	AUTO_TX tx = NULL;
	size_t n;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_key_counts(tx, 1, str_c(device_id), out, &n));
	return n;
}

static void keys_need_their_device(struct both *b)
{
	struct save s = { S("A"), S("{}"), true };
	struct add x = { "A", 1, { { S("x"), S("1"), S("k") } }, 1, 5 };

	both_ok(store_do(b->st, b->a, save_keys, &s));
	assert_false(s.saved);
	both_ok(store_do(b->st, b->a, add_one_time, &x));
	assert_int_equal(x.changed, 0);
	x.changed = 5;
	both_ok(store_do(b->st, b->a, add_fallback, &x));
	assert_int_equal(x.changed, 0);
	device(b, "A");
	both_ok(store_do(b->st, b->a, save_keys, &s));
	assert_true(s.saved);
	both_ok(store_do(b->st, b->a, add_one_time, &x));
	assert_int_equal(x.changed, 1);
	both_ok(store_do(b->st, b->a, add_one_time, &x));
	assert_int_equal(x.changed, 0);
}
BOTH(keys_need_their_device)

static void the_oldest_upload_is_taken_first(struct both *b)
{
	struct add late = { "A", 7, { { S("x"), S("1"), S("k1") } }, 1, 0 };
	struct add early = { "A", 3, { { S("x"), S("2"), S("k2") }, { S("y"), S("3"), S("k3") } }, 2, 0 };
	struct add other = { "B", 1, { { S("x"), S("9"), S("k9") } }, 1, 0 };

	device(b, "A");
	device(b, "B");
	both_ok(store_do(b->st, b->a, add_one_time, &late));
	both_ok(store_do(b->st, b->a, add_one_time, &early));
	both_ok(store_do(b->st, b->a, add_one_time, &other));
	same_str(given(b, store_one_time_keys_take, "A", "x").key, S("k2"));
	same_str(given(b, store_one_time_keys_take, "A", "x").key_id, S("1"));
	same_str(given(b, store_one_time_keys_take, "A", "x").key_id, S(""));
	same_str(given(b, store_one_time_keys_take, "A", "y").key_id, S("3"));
	same_str(given(b, store_one_time_keys_take, "B", "x").key_id, S("9"));
}
BOTH(the_oldest_upload_is_taken_first)

static void many_are_given_at_once_each_what_was_asked_for(struct both *b)
{
	struct add one = {
		"A", 1, { { S("x"), S("1"), S("a1") }, { S("x"), S("2"), S("a2") }, { S("y"), S("1"), S("a3") } }, 3, 0
	};
	struct add two = { "B", 1, { { S("x"), S("1"), S("b1") } }, 1, 0 };
	struct add fallback = { "C", 1, { { S("x"), S("f"), S("c1") } }, 1, 0 };
	struct key_taking list[] = { { 1, S("C"), S("x") }, { 1, S("B"), S("x") }, { 1, S("A"), S("x") },
				     { 1, S("A"), S("y") }, { 2, S("A"), S("x") }, { 1, S("B"), S("y") },
				     { 1, S("D"), S("x") } };
	struct give g = { b, list, ARRAY_LEN(list), store_one_time_keys_take };
	struct key_count_row *rows;
	static const char *const want[] = { "", "b1", "", "a3", "", "", "" };

	device(b, "A");
	device(b, "B");
	device(b, "C");
	both_ok(store_do(b->st, b->a, add_one_time, &one));
	both_ok(store_do(b->st, b->a, add_one_time, &two));
	both_ok(store_do(b->st, b->a, add_fallback, &fallback));
	both_ok(store_do(b->st, b->a, give_run, &g));
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		if (i == 2)
			ok(str_eq(list[i].key, S("a1")) || str_eq(list[i].key, S("a2")), "one of the two");
		else
			same_str(list[i].key, str_c(want[i]));
	assert_int_equal(counts(b, "A", &rows), 1);
	assert_int_equal(rows[0].one_time, 1);
	assert_int_equal(counts(b, "B", &rows), 0);

	/* Who was given one already is given no other. */
	list[0].key_id = list[0].key = list[6].key_id = STR_NONE;
	g.how = store_fallback_keys_use;
	both_ok(store_do(b->st, b->a, give_run, &g));
	same_str(list[0].key, S("c1"));
	assert_true(list[0].first);
	same_str(list[1].key, S("b1"));
	same_str(list[6].key, S(""));
}
BOTH(many_are_given_at_once_each_what_was_asked_for)

static void a_fallback_key_stays_and_is_marked(struct both *b)
{
	struct add first = { "A", 0, { { S("x"), S("1"), S("k1") }, { S("y"), S("2"), S("k2") } }, 2, 0 };
	struct add second = { "A", 0, { { S("x"), S("3"), S("k3") }, { S("y"), S("2"), S("k2") } }, 2, 0 };
	struct key_count_row *rows;
	struct key_taking g;

	device(b, "A");
	both_ok(store_do(b->st, b->a, add_fallback, &first));
	assert_int_equal(counts(b, "A", &rows), 2);
	assert_true(rows[0].unused_fallback && rows[1].unused_fallback && rows[0].one_time == 0);
	g = given(b, store_fallback_keys_use, "A", "x");
	same_str(g.key, S("k1"));
	assert_true(g.first);
	g = given(b, store_fallback_keys_use, "A", "x");
	same_str(g.key_id, S("1"));
	assert_false(g.first);
	g = given(b, store_fallback_keys_use, "A", "y");
	assert_true(g.first);
	counts(b, "A", &rows);
	assert_false(rows[0].unused_fallback || rows[1].unused_fallback);
	both_ok(store_do(b->st, b->a, add_fallback, &second)); /* x is another key, y the same */
	assert_int_equal(second.changed, 1);
	counts(b, "A", &rows);
	assert_true(rows[0].unused_fallback);
	assert_false(rows[1].unused_fallback);
	same_str(given(b, store_fallback_keys_use, "A", "z").key_id, S(""));
}
BOTH(a_fallback_key_stays_and_is_marked)

static void counts_are_by_algorithm(struct both *b)
{
	struct add x = {
		"A", 1, { { S("x"), S("1"), S("k") }, { S("x"), S("2"), S("k") }, { S("y"), S("1"), S("k") } }, 3, 0
	};
	struct add z = { "A", 1, { { S("x"), S("1"), S("k") }, { S("z"), S("1"), S("k") } }, 2, 0 };
	struct key_count_row *rows;

	device(b, "A");
	assert_int_equal(counts(b, "A", &rows), 0);
	both_ok(store_do(b->st, b->a, add_one_time, &x));
	both_ok(store_do(b->st, b->a, add_fallback, &z));
	assert_int_equal(counts(b, "A", &rows), 3);
	same_str(rows[0].algorithm, S("x"));
	assert_true(rows[0].one_time == 2 && rows[0].unused_fallback);
	assert_true(rows[1].one_time == 1 && !rows[1].unused_fallback);
	assert_true(rows[2].one_time == 0 && rows[2].unused_fallback);
}
BOTH(counts_are_by_algorithm)

static size_t shown(struct both *b, struct device_keys_row **out)
{
	const int64_t users[] = { 1, 2 };
	AUTO_TX tx = NULL;
	size_t n;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_device_keys(tx, users, 2, NULL, 0, out, &n));
	return n;
}

static void keys_go_with_their_device(struct both *b)
{
	struct save a = { S("A"), S("{\"a\":1}"), false }, c = { S("C"), S("{\"c\":1}"), false };
	struct add x = { "A", 1, { { S("x"), S("1"), S("k") } }, 1, 0 };
	struct device_keys_row *rows;
	struct key_count_row *left;
	str gone = S("A");

	device(b, "A");
	device(b, "C");
	both_ok(store_do(b->st, b->a, save_keys, &a));
	both_ok(store_do(b->st, b->a, save_keys, &c));
	both_ok(store_do(b->st, b->a, add_one_time, &x));
	both_ok(store_do(b->st, b->a, add_fallback, &x));
	assert_int_equal(shown(b, &rows), 2);
	both_ok(store_do(b->st, b->a, delete_device, &gone));
	assert_int_equal(shown(b, &rows), 1);
	same_str(rows[0].keys, S("{\"c\":1}"));
	device(b, "A");
	assert_int_equal(shown(b, &rows), 1);
	assert_int_equal(counts(b, "A", &left), 0);
}
BOTH(keys_go_with_their_device)

static err *rename_device(struct tx *tx, void *arg)
{
	bool found;

	return store_device_rename(tx, 1, S("A"), *(str *)arg, &found);
}

static void keys_are_shown_under_the_devices_name(struct both *b)
{
	struct save a = { S("A"), S("{\"a\":1}"), false };
	struct device_keys_row *rows;
	str name = S("first");

	device(b, "A");
	both_ok(store_do(b->st, b->a, rename_device, &name));
	both_ok(store_do(b->st, b->a, save_keys, &a));
	shown(b, &rows);
	same_str(rows[0].display_name, S("first"));
	name = S("second");
	both_ok(store_do(b->st, b->a, rename_device, &name));
	both_ok(store_do(b->st, b->a, save_keys, &a));
	shown(b, &rows);
	same_str(rows[0].display_name, S("second"));
}
BOTH(keys_are_shown_under_the_devices_name)

static err *save_cross_signing(struct tx *tx, void *arg) { return store_cross_signing_save(tx, arg); }

static str master(struct both *b, int64_t user)
{
	struct cross_signing_row row;
	AUTO_TX tx = NULL;
	bool found;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_cross_signing_get(tx, user, &row, &found));
	return found ? row.master : STR_NONE;
}

static void a_deleted_device_takes_its_signature_along(struct both *b)
{
	struct cross_signing_row row = {
		.user = 1,
		.master = S(
			"{\"keys\":{\"ed25519:M\":\"M\"},\"signatures\":{\"@a:x\":{\"ed25519:A\":\"s\",\"ed25519:C\":\"t\"}}}"),
	};
	str gone = S("A");

	device(b, "A");
	device(b, "C");
	both_ok(store_do(b->st, b->a, save_cross_signing, &row));
	both_ok(store_do(b->st, b->a, delete_device, &gone));
	same_str(master(b, 1), S("{\"keys\":{\"ed25519:M\":\"M\"},\"signatures\":{\"@a:x\":{\"ed25519:C\":\"t\"}}}"));
	gone = S("C");
	both_ok(store_do(b->st, b->a, delete_device, &gone));
	same_str(master(b, 1), S("{\"keys\":{\"ed25519:M\":\"M\"},\"signatures\":{}}"));
}
BOTH(a_deleted_device_takes_its_signature_along)

static err *save_signature(struct tx *tx, void *arg) { return store_user_signature_save(tx, arg); }
static err *delete_user(struct tx *tx, void *arg) { return store_cross_signing_delete(tx, *(int64_t *)arg); }

static err *sign_many(struct tx *tx, void *arg)
{
	for (int64_t user = 2; user < *(int64_t *)arg; user++)
		TRY(store_user_signature_save(tx,
					      &(struct user_signature_row){ 1, user, S("M"), S("ed25519:U"), S("s") }));
	return NULL;
}

static void who_signed_many_is_told_of_those_asked_for(struct both *b)
{
	const int64_t users[] = { 150, 151, 500 };
	struct user_signature_row *rows;
	int64_t upto = 200;
	AUTO_TX tx = NULL;
	size_t n;

	both_ok(store_do(b->st, b->a, sign_many, &upto));
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_user_signatures(tx, 1, users, 3, &rows, &n));
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].user + rows[1].user, 301);
}
BOTH(who_signed_many_is_told_of_those_asked_for)

static size_t signatures(struct both *b, int64_t signer, struct user_signature_row **out)
{
	const int64_t users[] = { 1, 2, 3 };
	AUTO_TX tx = NULL;
	size_t n;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_user_signatures(tx, signer, users, 3, out, &n));
	return n;
}

static void signatures_are_one_a_pair_and_go_with_either(struct both *b)
{
	struct user_signature_row s = { 1, 2, S("M"), S("ed25519:U"), S("old") };
	struct user_signature_row other = { 3, 1, S("M"), S("ed25519:U"), S("s") };
	struct user_signature_row *rows;
	int64_t gone = 1;

	both_ok(store_do(b->st, b->a, save_signature, &s));
	s.signature = S("new");
	both_ok(store_do(b->st, b->a, save_signature, &s));
	both_ok(store_do(b->st, b->a, save_signature, &other));
	assert_int_equal(signatures(b, 1, &rows), 1);
	same_str(rows[0].signature, S("new"));
	assert_int_equal(signatures(b, 3, &rows), 1);
	both_ok(store_do(b->st, b->a, delete_user, &gone));
	assert_int_equal(signatures(b, 1, &rows), 0);
	assert_int_equal(signatures(b, 3, &rows), 0);
}
BOTH(signatures_are_one_a_pair_and_go_with_either)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(keys_need_their_device),
		BOTH_TESTS(the_oldest_upload_is_taken_first),
		BOTH_TESTS(many_are_given_at_once_each_what_was_asked_for),
		BOTH_TESTS(a_fallback_key_stays_and_is_marked),
		BOTH_TESTS(counts_are_by_algorithm),
		BOTH_TESTS(keys_go_with_their_device),
		BOTH_TESTS(keys_are_shown_under_the_devices_name),
		BOTH_TESTS(a_deleted_device_takes_its_signature_along),
		BOTH_TESTS(who_signed_many_is_told_of_those_asked_for),
		BOTH_TESTS(signatures_are_one_a_pair_and_go_with_either),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
