/* test_why.c - what is told of a user, by what the tables hold and how old it is. */
#include "store/both.h"

#include "test.h"

#include "e2ee/to_device.h"
#include "e2ee/why.h"
#include "store/cross_signing.h"
#include "store/dehydrated.h"
#include "store/device_keys.h"
#include "store/devices.h"
#include "store/to_device.h"
#include "store/users.h"

#define DAY INT64_C(86400000)
static const int64_t NOW = 1800000000000, ALICE = 7;

/* One device, D, which has keys; `seen`: ms since it was. */
struct world {
	struct both *b;
	struct e2ee *e;
	int64_t seen;
};

static err *fill_run(struct tx *tx, void *arg)
{
	const struct world *w = arg;
	const struct account_row account = { .nid = ALICE, .user_id = S("@alice:x.org"), .created_at = 1 };
	const struct device_row device = {
		.user = ALICE, .device_id = S("D"), .created_at = 1, .seen_at = NOW - w->seen
	};
	const struct one_time_key_row key = { S("signed_curve25519"), S("f"), S("{}") };
	const str keys =
		S("{\"algorithms\":[],\"device_id\":\"D\",\"keys\":{},\"user_id\":\"@alice:x.org\",\"signatures\":{}}");
	bool yes;
	size_t n;

	TRY(store_account_add(tx, &account, S("@alice:x.org"), &yes));
	TRY(store_device_add(tx, &device, &yes));
	TRY(store_device_keys_save(tx, ALICE, S("D"), keys, &yes));
	return store_fallback_keys_save(tx, ALICE, S("D"), &key, 1, &n);
}

static struct world begin(struct both *b, int64_t seen)
{
	struct world w = { b, e2ee_new(&(struct e2ee_options){ .store = b->st, .server_name = S("x.org") }), seen };

	good(store_do(b->st, b->a, fill_run, &w));
	return w;
}

static void end(struct world *w) { e2ee_free(&w->e); }

/* The grade of a finding; -1: it is not told of. */
static int grade_of(struct world *w, const char *what, str device_id)
{
	struct why y;
	int grade = -1;

	good(e2ee_why(w->e, w->b->a, S("@alice:x.org"), NOW, &y));
	for (size_t i = 0; i < y.n_findings; i++) {
		const struct why_finding *f = &y.findings[i];

		ok(i == 0 || f->grade <= y.findings[i - 1].grade, "the worst stand first");
		if (strcmp(f->what, what) == 0 && str_eq(f->device_id, device_id))
			grade = (int)f->grade;
	}
	return grade;
}

/* Devices that were seen lately are nothing to tell of. */
static void devices_unseen_for_long(struct both *b)
{
	struct world w = begin(b, WHY_UNSEEN_DAYS * DAY);

	assert_int_equal(grade_of(&w, "unseen", S("D")), -1);
	end(&w);
}
BOTH(devices_unseen_for_long)

static void devices_unseen_for_longer(struct both *b)
{
	struct world w = begin(b, WHY_UNSEEN_DAYS * DAY + 1);

	assert_int_equal(grade_of(&w, "unseen", S("D")), WHY_NOTE);
	end(&w);
}
BOTH(devices_unseen_for_longer)

struct queue {
	int64_t created, size;
	size_t n;
};

static err *queue_run(struct tx *tx, void *arg)
{
	const struct queue *q = arg;

	for (size_t i = 0; i < q->n; i++) {
		const struct to_device_head head = {
			.stream = (int64_t)i + 1, .created = q->created, .sender = ALICE, .type = S("t")
		};
		const str device = S("D"), content = S("{}");
		int64_t made;

		TRY(store_to_device_add(tx, &head, (struct i64s){ &ALICE, 1 }, (struct strs){ &device, 1 },
					(struct i64s){ &q->size, 1 }, (struct strs){ &content, 1 }, &made));
	}
	return NULL;
}

static const struct {
	struct queue queue;
	const char *what;
	int grade;
} queues[] = {
	{ { NOW - WHY_LATE_MS, 10, 1 }, "undelivered", WHY_NOTE },
	{ { NOW - WHY_LATE_MS - 1, 10, 1 }, "undelivered", WHY_WARNING },
	{ { NOW - 1, 10, 1 }, "queue_full", -1 },
	{ { NOW - 1, TO_DEVICE_QUEUE_BYTES / 8 * 7 + 1, 1 }, "queue_full", WHY_PROBLEM },
	{ { NOW - 1, 10, 0 }, "undelivered", -1 },
};

static void messages_that_wait(struct both *b)
{
	(void)b;
	for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
		struct both one;
		struct queue q = queues[i].queue;
		struct world w;

		both_begin(&one, b->pg);
		w = begin(&one, 0);
		good(store_do(one.st, one.a, queue_run, &q));
		ok(grade_of(&w, queues[i].what, S("D")) == queues[i].grade, "case %zu: %s", i, queues[i].what);
		end(&w);
		both_end(&one);
	}
}
BOTH(messages_that_wait)

static err *lose_run(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(store_to_device_lose(tx, ALICE, S("D"), 3, NOW - 5 * DAY));
	return store_to_device_lose(tx, ALICE, S("D"), 4, NOW - 2 * DAY);
}

static err *delete_run(struct tx *tx, void *arg)
{
	int64_t n;

	return store_devices_delete(tx, ALICE, arg, 1, &n);
}

/* What was dropped is told of as long as the device is there, and not of another one of its name. */
static void messages_that_were_lost(struct both *b)
{
	struct world w = begin(b, 0);
	const str device = S("D");
	struct why y;

	good(store_do(b->st, b->a, lose_run, NULL));
	assert_int_equal(grade_of(&w, "lost_messages", S("D")), WHY_PROBLEM);
	good(e2ee_why(w.e, b->a, S("@alice:x.org"), NOW, &y));
	assert_int_equal(y.devices[0].lost, 7);
	assert_true(
		str_contains(y.findings[0].text, S("lost 7 messages that it had not fetched, the last 2 days ago")));
	good(store_do(b->st, b->a, delete_run, (void *)&device));
	w.seen = 0;
	good(store_do(b->st, b->a, fill_run, &w));
	assert_int_equal(grade_of(&w, "lost_messages", S("D")), -1);
	end(&w);
}
BOTH(messages_that_were_lost)

static err *dry_run(struct tx *tx, void *arg)
{
	(void)arg;
	return store_dehydrated_save(tx, ALICE, S("D"), S("{}"));
}

/* It is never seen, and fetches nothing until it is woken up: that is how it is meant. */
static void a_dehydrated_device_may_wait(struct both *b)
{
	struct world w = begin(b, 100 * DAY);
	struct queue q = { NOW - 30 * DAY, 10, 1 };

	good(store_do(b->st, b->a, queue_run, &q));
	good(store_do(b->st, b->a, dry_run, NULL));
	assert_int_equal(grade_of(&w, "unseen", S("D")), -1);
	assert_int_equal(grade_of(&w, "undelivered", S("D")), WHY_NOTE);
	end(&w);
}
BOTH(a_dehydrated_device_may_wait)

static err *master_run(struct tx *tx, void *arg)
{
	const struct cross_signing_row row = { .user = ALICE, .master = S("{\"keys\":{}}") };

	(void)arg;
	return store_cross_signing_save(tx, &row);
}

static void an_identity_that_is_not_whole(struct both *b)
{
	struct world w = begin(b, 0);

	assert_int_equal(grade_of(&w, "no_cross_signing", STR_NONE), WHY_NOTE);
	good(store_do(b->st, b->a, master_run, NULL));
	assert_int_equal(grade_of(&w, "no_cross_signing", STR_NONE), -1);
	assert_int_equal(grade_of(&w, "no_self_signing_key", STR_NONE), WHY_WARNING);
	assert_int_equal(grade_of(&w, "no_user_signing_key", STR_NONE), WHY_NOTE);
	assert_int_equal(grade_of(&w, "unsigned", S("D")), -1);
	end(&w);
}
BOTH(an_identity_that_is_not_whole)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(devices_unseen_for_long),      BOTH_TESTS(devices_unseen_for_longer),
		BOTH_TESTS(messages_that_wait),           BOTH_TESTS(messages_that_were_lost),
		BOTH_TESTS(a_dehydrated_device_may_wait), BOTH_TESTS(an_identity_that_is_not_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
