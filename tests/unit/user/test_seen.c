/* test_seen.c - notes of devices are written together, when there are many, when they are old, and at the end. */
#include "service.h"
#include "store/devices.h"
#include "user/seen.h"

static err *add_device(struct tx *tx, void *arg)
{
	const struct device_row row = { .user = 1, .device_id = S("D"), .seen_at = 10, .seen_agent = S("old") };
	bool added;

	(void)arg;
	return store_device_add(tx, &row, &added);
}

static err *nothing(struct tx *tx, void *arg)
{
	(void)tx, (void)arg;
	return NULL;
}

static const struct device_row *device(struct both *b)
{
	const struct device_row *row;
	AUTO_TX tx = NULL;

	both_ok(store_do(b->st, b->a, nothing, NULL)); /* behind what was queued before */
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_device_get(tx, 1, S("D"), &row));
	return row;
}

static void notes_are_written_when_they_are_due(struct both *b)
{
	struct seen_queue *q = seen_new(b->st);

	both_ok(store_do(b->st, b->a, add_device, NULL));
	seen_tick(q, 1000); /* nothing to do */
	seen_note(q, 1, S("D"), S("1.2.3.4"), STR_NONE, 500, 1000);
	seen_tick(q, 1000 + SEEN_FLUSH_MS - 1);
	assert_int_equal(device(b)->seen_at, 10);
	seen_tick(q, 1000 + SEEN_FLUSH_MS);
	assert_int_equal(device(b)->seen_at, 500);
	eq(device(b)->seen_ip, S("1.2.3.4"));
	eq(device(b)->seen_agent, S("old"));
	for (int i = 0; i < 64; i++)
		seen_note(q, 1, S("D"), S("::1"), S("agent"), 600 + i, 50000);
	assert_int_equal(device(b)->seen_at, 663); /* full */
	seen_note(q, 1, S("D"), S("::2"), S("agent"), 700, 50000);
	assert_int_equal(device(b)->seen_at, 663);
	seen_free(&q);
	assert_int_equal(device(b)->seen_at, 700);
}
BOTH(notes_are_written_when_they_are_due)

static void a_device_that_is_gone_is_passed_over(struct both *b)
{
	struct seen_queue *q = seen_new(b->st);

	seen_note(q, 1, S("gone"), S("::1"), STR_NONE, 500, 1); /* the device was deleted meanwhile */
	seen_note(q, 1, S("D"), S("::1"), STR_NONE, 500, 1);
	both_ok(store_do(b->st, b->a, add_device, NULL));
	seen_free(&q);
	assert_int_equal(device(b)->seen_at, 500);
}
BOTH(a_device_that_is_gone_is_passed_over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(notes_are_written_when_they_are_due),
		BOTH_TESTS(a_device_that_is_gone_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
