/* test_inbound.c - transactions of other servers and their staged events: claimed once, in order, forgotten in time. */
#include "both.h"
#include "test.h"

#include "crypto/crypto.h"
#include "store/inbound.h"

struct claim {
	struct inbound_digest digest;
	str answer;
	int64_t now;
	const struct inbound_row *rows;
	size_t n;
	bool known;
};

static err *claim_run(struct tx *tx, void *arg)
{
	struct claim *c = arg;

	TRY(store_inbound_claim(tx, &c->digest, c->answer, c->now, &c->known));
	return c->known ? NULL : store_inbound_stage(tx, c->rows, c->n);
}

static bool claim(struct both *b, const char *origin, const char *txn_id, const char *answer, int64_t now,
		  const struct inbound_row *rows, size_t n)
{
	struct claim c = { store_inbound_digest(str_c(origin), str_c(txn_id)), str_c(answer), now, rows, n, false };

	good(store_do(b->st, b->a, claim_run, &c));
	return !c.known;
}

static str answer_of(struct both *b, const char *origin, const char *txn_id)
{
	const struct inbound_digest d = store_inbound_digest(str_c(origin), str_c(txn_id));
	AUTO_TX tx = NULL;
	str answer;

	good(store_read(b->st, b->a, &tx));
	good(store_inbound_answer(tx, &d, &answer));
	return answer;
}

static void the_first_answer_stays(struct both *b)
{
	ok(str_is_none(answer_of(b, "one", "1")), "nothing yet");
	ok(claim(b, "one", "1", "{}", 5, NULL, 0), "the first");
	ok(!claim(b, "one", "1", "{\"other\":1}", 6, NULL, 0), "the second");
	same_str(answer_of(b, "one", "1"), S("{}"));
	ok(claim(b, "one", "11", "[1]", 7, NULL, 0), "another id");
	ok(claim(b, "one1", "1", "[2]", 8, NULL, 0), "another server: not the same letters in a row");
	same_str(answer_of(b, "one", "11"), S("[1]"));
	same_str(answer_of(b, "one1", "1"), S("[2]"));
}
BOTH(the_first_answer_stays)

static err *prune_run(struct tx *tx, void *arg)
{
	int64_t *gone = arg;

	return store_inbound_prune(tx, 10, 2, gone);
}

static void old_ones_are_forgotten(struct both *b)
{
	static const char *const ids[] = { "a", "b", "c", "d" };
	int64_t gone, left = 0;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ok(claim(b, "one", ids[i], "{}", i < 3 ? 9 : 10, NULL, 0), "new");
	good(store_do(b->st, b->a, prune_run, &gone));
	assert_int_equal(gone, 2);
	good(store_do(b->st, b->a, prune_run, &gone));
	assert_int_equal(gone, 1);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		left += !str_is_none(answer_of(b, "one", ids[i]));
	assert_int_equal(left, 1);
	ok(!str_is_none(answer_of(b, "one", "d")), "the newest");
}
BOTH(old_ones_are_forgotten)

struct drop {
	const int64_t *ids;
	size_t n;
};

static err *drop_run(struct tx *tx, void *arg)
{
	const struct drop *d = arg;

	return store_inbound_unstage(tx, d->ids, d->n);
}

static void staged_events_keep_their_order(struct both *b)
{
	const struct inbound_row rows[] = {
		{ .id = 7, .room = 1, .origin = 2, .received = 3, .event_id = S("$c"), .json = S("{\"c\":1}") },
		{ .id = 3, .room = 1, .origin = 2, .received = 3, .event_id = S("$a"), .json = S("{}") },
		{ .id = 5,
		  .room = 9,
		  .origin = 8,
		  .received = 4,
		  .event_id = S("$\0b"),
		  .json = S("{\"b\":\"\xc3\xa4\"}") },
	};
	struct inbound_row *list;
	AUTO_TX tx = NULL;
	size_t n;

	ok(claim(b, "one", "1", "{}", 1, rows, 3), "staged");
	ok(!claim(b, "one", "1", "{}", 1, rows, 3), "not twice");
	good(store_read(b->st, b->a, &tx));
	good(store_inbound_list(tx, 0, 2, &list, &n));
	assert_int_equal(n, 2);
	same_str(list[0].event_id, S("$a"));
	same_str(list[1].event_id, rows[2].event_id);
	assert_int_equal(list[1].size, rows[2].json.n);
	assert_int_equal(list[1].room, 9);
	assert_int_equal(list[1].origin, 8);
	assert_int_equal(list[1].received, 4);
	good(store_inbound_list(tx, 5, 2, &list, &n));
	assert_int_equal(n, 1);
	good(store_inbound_read(tx, (const int64_t[]){ 7, 4, 5 }, 3, &list, &n));
	assert_int_equal(n, 2);
	same_str(list[0].json, rows[2].json);
	same_str(list[1].json, rows[0].json);
	store_read_end(&tx);
	good(store_do(b->st, b->a, drop_run, &(struct drop){ (const int64_t[]){ 5, 6, 7 }, 3 }));
	good(store_do(b->st, b->a, drop_run, &(struct drop){ NULL, 0 }));
	good(store_read(b->st, b->a, &tx));
	good(store_inbound_list(tx, 0, 10, &list, &n));
	assert_int_equal(n, 1);
	assert_int_equal(list[0].id, 3);
}
BOTH(staged_events_keep_their_order)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(the_first_answer_stays),
		BOTH_TESTS(old_ones_are_forgotten),
		BOTH_TESTS(staged_events_keep_their_order),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
