/* test_rooms.c - what the rows of rooms promise beyond holding what was put in. */
#include "both.h"
#include "crypto/crypto.h"
#include "store/events.h"
#include "store/membership.h"
#include "store/rooms.h"
#include "store/tx.h"
#include "store/txns.h"

static void digests_keep_the_parts_apart(void **state)
{
	const struct txn_key keys[] = {
		{ 1, S("ab"), S("c"), S("d") }, { 1, S("a"), S("bc"), S("d") }, { 1, S("ab"), S("cd"), S("") },
		{ 1, S("ab"), S(""), S("cd") }, { 2, S("ab"), S("c"), S("d") }, { 1, S(""), S("abc"), S("d") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			const struct txn_digest x = store_txn_digest(&keys[i]), y = store_txn_digest(&keys[k]);

			assert_int_equal(memcmp(x.bytes, y.bytes, sizeof(x.bytes)) == 0, i == k);
		}
}

static void packed_numbers_come_back(void **state)
{
	const int64_t nids[] = { 0, 1, 255, 256, INT64_MAX };
	AUTO_ARENA a = arena_new();
	int64_t *out;

	(void)state;
	assert_int_equal(store_nids_unpack(a, store_nids_pack(a, nids, ARRAY_LEN(nids)), &out), ARRAY_LEN(nids));
	assert_memory_equal(out, nids, sizeof(nids));
	assert_int_equal(store_nids_unpack(a, S(""), &out), 0);
}

static struct txn_digest txn(int n)
{
	struct txn_digest d = { { (uint8_t)n, (uint8_t)(n >> 8) } };

	return d;
}

static err *write_txns(struct tx *tx, void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++) {
		const struct txn_digest d = txn(i);

		TRY(store_txn_save(tx, &d, i, i * 100));
	}
	return NULL;
}

static err *prune_txns(struct tx *tx, void *arg) { return store_txns_prune(tx, 500, 3, arg); }

static void old_transactions_go_a_few_at_a_time(struct both *b)
{
	const int64_t want[] = { 3, 2, 0 };
	const struct txn_digest young = txn(5), old = txn(4);
	int64_t n, event;
	bool known;
	AUTO_TX tx = NULL;

	both_ok(store_do(b->st, b->a, write_txns, NULL));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		both_ok(store_do(b->st, b->a, prune_txns, &n));
		assert_int_equal(n, want[i]);
	}
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_txn_find(tx, &young, &known, &event));
	assert_true(known && event == 5);
	both_ok(store_txn_find(tx, &old, &known, &event));
	assert_false(known);
}
BOTH(old_transactions_go_a_few_at_a_time)

static err *write_members(struct tx *tx, void *arg)
{
	(void)arg;
	for (int64_t user = 1; user <= 6; user++) {
		const struct member_row m = {
			.room = 100 + user % 2,
			.user = user / 2 + 1,
			.membership = user == 5 ? MEMBER_LEAVE : MEMBER_JOIN,
			.event = user,
			.stream = user,
			.since = user,
		};

		TRY(store_member_save(tx, &m));
	}
	return NULL;
}

static void who_shares_a_room(struct both *b)
{
	struct member_row *members;
	bool share;
	size_t n;
	AUTO_TX tx = NULL;

	/* Room 100: users 2, 3, 4. Room 101: users 1, 2 joined, 3 left. */
	both_ok(store_do(b->st, b->a, write_members, NULL));
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_share_room(tx, 1, 2, &share));
	assert_true(share);
	both_ok(store_share_room(tx, 1, 3, &share));
	assert_false(share);
	both_ok(store_share_room(tx, 2, 3, &share));
	assert_true(share);
	both_ok(store_members(tx, 101, MEMBER_MASK(MEMBER_JOIN), 0, &members, &n));
	assert_int_equal(n, 2);
	both_ok(store_members(tx, 101, MEMBER_ANY, 1, &members, &n));
	assert_int_equal(n, 1);
	both_ok(store_memberships_changed(tx, 3, 4, 5, &members, &n));
	assert_int_equal(n, 1);
	assert_int_equal(members[0].room, 101);
}
BOTH(who_shares_a_room)

/*
 * A server's time in a room
 */
struct change {
	int64_t delta, stream, since; /* since: what is told afterwards */
};

static err *add_servers(struct tx *tx, void *arg)
{
	const struct change *c = arg;

	return store_room_server_add(tx, 7, 9, c->delta, c->stream);
}

static void a_server_is_there_since_its_first_member_came(struct both *b)
{
	/* This server's own stand without a position. */
	struct change changes[] = { { 1, 5, 5 },   { 1, 6, 5 },   { -1, 7, 5 }, { -1, 8, 0 },
				    { 1, 11, 11 }, { -1, 12, 0 }, { 1, 0, 0 } };
	int64_t since;

	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		AUTO_TX tx = NULL;

		both_ok(store_do(b->st, b->a, add_servers, &changes[i]));
		both_ok(store_read(b->st, b->a, &tx));
		both_ok(store_room_server_since(tx, 7, 9, &since));
		assert_int_equal(since, changes[i].since);
		both_ok(store_room_server_since(tx, 8, 9, &since));
		assert_int_equal(since, 0);
		both_ok(store_room_server_since(tx, 7, 10, &since));
		assert_int_equal(since, 0);
	}
}
BOTH(a_server_is_there_since_its_first_member_came)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_keep_the_parts_apart),
		cmocka_unit_test(packed_numbers_come_back),
		BOTH_TESTS(old_transactions_go_a_few_at_a_time),
		BOTH_TESTS(who_shares_a_room),
		BOTH_TESTS(a_server_is_there_since_its_first_member_came),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
