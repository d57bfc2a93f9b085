/* test_why.c - what is told of a user, by what the tables hold and how old it is. */
#include "store/both.h"

#include "test.h"

#include "e2ee/to_device.h"
#include "e2ee/why.h"
#include "store/cross_signing.h"
#include "store/dehydrated.h"
#include "store/device_keys.h"
#include "store/device_lists.h"
#include "store/devices.h"
#include "store/membership.h"
#include "store/rooms.h"
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

/*
 * Lists: one user's device D, and another one, of whose devices something changed at a position and a time.
 */
enum { ROOM = 5 };
struct lists {
	int64_t stream, ago;             /* of the change */
	int64_t seen_ago, message_at;    /* D's, and the position of what waits for it; 0: nothing waits */
	bool apart, plain, dry, keyless; /* no room, no encrypted one is shared; D is dehydrated, has no keys */
	int grade;
};
static const struct {
	const char *name;
	struct lists l;
} lists[] = {
	{ "here since", { .stream = 9, .ago = DAY, .seen_ago = 0, .grade = -1 } },
	{ "perhaps here since", { .stream = 9, .ago = DAY, .seen_ago = DAY + WHY_SEEN_SLACK_MS, .grade = -1 } },
	{ "not here since", { .stream = 9, .ago = DAY, .seen_ago = DAY + WHY_SEEN_SLACK_MS + 1, .grade = WHY_NOTE } },
	{ "a message before waits", { .stream = 9, .ago = DAY, .seen_ago = DAY, .message_at = 8, .grade = WHY_NOTE } },
	{ "it waits while the device is in use",
	  { .stream = 9, .ago = DAY, .seen_ago = 0, .message_at = 8, .grade = WHY_WARNING } },
	{ "a message from later waits", { .stream = 9, .ago = DAY, .seen_ago = 0, .message_at = 10, .grade = -1 } },
	{ "no room is shared", { .stream = 9, .ago = DAY, .seen_ago = 2 * DAY, .apart = true, .grade = -1 } },
	{ "no encrypted one", { .stream = 9, .ago = DAY, .seen_ago = 2 * DAY, .plain = true, .grade = -1 } },
	{ "dehydrated", { .stream = 9, .ago = DAY, .seen_ago = 2 * DAY, .dry = true, .grade = -1 } },
	{ "without keys", { .stream = 9, .ago = DAY, .seen_ago = 2 * DAY, .keyless = true, .grade = -1 } },
};

struct lists_world {
	const struct lists *l;
	int64_t listener, changed; /* users: D's, and the other one */
};

static err *lists_run(struct tx *tx, void *arg)
{
	const struct lists_world *w = arg;
	const struct lists *l = w->l;
	const str d = S("D"), content = S("{}"), keys = S("{\"algorithms\":[],\"device_id\":\"D\",\"keys\":{}}");
	const struct device_row device = {
		.user = w->listener, .device_id = d, .created_at = 1, .seen_at = NOW - l->seen_ago
	};
	const struct to_device_head head = { .stream = l->message_at, .created = 1, .sender = 1, .type = S("t") };
	const int64_t users[] = { w->listener, w->changed }, size = 2;
	int64_t made;
	bool yes;

	for (int i = 0; i < 2; i++)
		TRY(store_member_save(tx, &(struct member_row){ .room = l->apart ? ROOM + i : ROOM,
								.user = users[i],
								.membership = MEMBER_JOIN,
								.event = 1,
								.stream = 1,
								.since = 1 }));
	for (int i = 0; i < 2; i++)
		TRY(store_summary_set(tx, ROOM + i, l->plain ? SUMMARY_NAME : SUMMARY_ENCRYPTION, S("x")));
	TRY(store_device_list_changed(tx, w->changed, l->stream, NOW - l->ago));
	TRY(store_device_add(tx, &device, &yes));
	if (!l->keyless)
		TRY(store_device_keys_save(tx, w->listener, d, keys, &yes));
	if (l->dry)
		TRY(store_dehydrated_save(tx, w->listener, d, S("{}")));
	return l->message_at ? store_to_device_add(tx, &head, (struct i64s){ &w->listener, 1 }, (struct strs){ &d, 1 },
						   (struct i64s){ &size, 1 }, (struct strs){ &content, 1 }, &made)
			     : NULL;
}

static err *account_run(struct tx *tx, void *nid)
{
	const struct account_row account = { .nid = *(int64_t *)nid, .user_id = S("@alice:x.org"), .created_at = 1 };
	bool yes;

	return store_account_add(tx, &account, S("@alice:x.org"), &yes);
}

/* Alice is asked about: the device is hers and bob's list changed, or the other way round. */
static void what_was_not_heard_of(struct both *b)
{
	for (size_t i = 0; i < 2 * ARRAY_LEN(lists); i++) {
		const bool own = i % 2;
		struct both one;
		struct world w = { .b = &one };
		struct lists_world lw = { .l = &lists[i / 2].l };
		int64_t alice, bob;
		int grade;

		both_begin(&one, b->pg);
		w.e = e2ee_new(&(struct e2ee_options){ .store = one.st, .server_name = S("x.org") });
		good(store_intern(one.st, one.a, S("@alice:x.org"), &alice));
		good(store_intern(one.st, one.a, S("@bob:x.org"), &bob));
		lw.listener = own ? alice : bob;
		lw.changed = own ? bob : alice;
		good(store_do(one.st, one.a, account_run, &alice));
		good(store_do(one.st, one.a, lists_run, &lw));
		grade = own ? grade_of(&w, "stale_lists", S("D")) : grade_of(&w, "devices_unheard_of", STR_NONE);
		ok(grade == lists[i / 2].l.grade, "%s, %s: %d", lists[i / 2].name, own ? "own" : "other", grade);
		end(&w);
		both_end(&one);
	}
}
BOTH(what_was_not_heard_of)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(devices_unseen_for_long),      BOTH_TESTS(devices_unseen_for_longer),
		BOTH_TESTS(messages_that_wait),           BOTH_TESTS(messages_that_were_lost),
		BOTH_TESTS(a_dehydrated_device_may_wait), BOTH_TESTS(an_identity_that_is_not_whole),
		BOTH_TESTS(what_was_not_heard_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
