/* test_push_rules.c - a user's rules: changed in one step, known at once, and by other processes soon. */
#include "service.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/thread.h"
#include "bus/bus.h"
#include "user/account_data.h"

enum { USER = 7, OTHER = 8 };

struct kept {
	struct both *b;
	struct bus *bus;
	struct users *us;
};

static struct kept begin(struct both *b, struct store *st, int64_t recheck_ms)
{
	struct users_options opt = service_options(b);
	struct kept k = { .b = b, .bus = bus_new(16) };

	push_rules_init();
	opt.store = st;
	opt.bus = k.bus;
	opt.token_recheck_ms = recheck_ms;
	k.us = users_new(&opt);
	return k;
}

static void end(struct kept *k)
{
	users_free(&k->us);
	bus_free(&k->bus);
}

static err *add_room_rule(struct arena *a, str stored, void *arg, str *out)
{
	struct json *body = json_new_object(a);

	json_set(a, body, S("actions"), json_new_array(a));
	return push_rules_put(a, stored, PUSH_ROOM, *(const str *)arg, body, STR_NONE, STR_NONE, out);
}

static bool has_rule(struct kept *k, struct arena *a, int64_t user, str id)
{
	const struct push_rules *rules;

	both_ok(user_push_rules(k->us, a, user, &rules));
	return push_rule_find(rules, PUSH_ROOM, id) != NULL;
}

static void a_change_is_known_at_once_and_wakes(struct both *b)
{
	struct kept k = begin(b, b->st, 0);
	struct map users;
	const struct push_rules *one, *two;
	str id = S("!a:x.org");
	struct bus_known known;
	const int64_t *owners;
	size_t n;

	both_ok(user_push_rules(k.us, b->a, USER, &one));
	both_ok(user_push_rules(k.us, b->a, OTHER, &two));
	assert_ptr_equal(one, two); /* who changed nothing shares the set */
	assert_false(user_has_push_rules(k.us, USER));
	assert_true(bus_watch_begin(k.bus, USER));
	bus_watch_rooms(k.bus, USER, 0, NULL, 0);
	both_ok(user_push_rules_change(k.us, b->a, USER, add_room_rule, &id));
	bus_advance(k.bus, INT64_MAX);
	assert_true(bus_known(k.bus, USER, &known));
	assert_true(known.last[BUS_ACCOUNT_DATA] > 0);
	assert_true(has_rule(&k, b->a, USER, id));
	assert_false(has_rule(&k, b->a, OTHER, id));
	assert_true(user_has_push_rules(k.us, USER));
	map_init(&users, b->a);
	(void)map_put_i(&users, OTHER, &k);
	user_push_rules_owners(k.us, b->a, &users, &owners, &n);
	assert_int_equal(n, 0);
	(void)map_put_i(&users, USER, &k);
	user_push_rules_owners(k.us, b->a, &users, &owners, &n);
	assert_true(n == 1 && owners[0] == USER);
	end(&k);
	k = begin(b, b->st, 0); /* after a restart */
	assert_true(user_has_push_rules(k.us, USER));
	assert_false(user_has_push_rules(k.us, OTHER));
	assert_true(has_rule(&k, b->a, USER, id));
	end(&k);
}
BOTH(a_change_is_known_at_once_and_wakes)

static err *refuse(struct arena *a, str stored, void *arg, str *out)
{
	(void)stored, (void)arg, (void)out;
	return err_new(a, ERR_NOT_FOUND, "no");
}

static void what_is_refused_changes_nothing(struct both *b)
{
	struct kept k = begin(b, b->st, 0);
	str id = S("!a:x.org");

	refused(user_push_rules_change(k.us, b->a, USER, refuse, NULL), ERR_NOT_FOUND);
	assert_false(user_has_push_rules(k.us, USER));
	both_ok(user_push_rules_change(k.us, b->a, USER, add_room_rule, &id));
	refused(user_push_rules_change(k.us, b->a, USER, refuse, NULL), ERR_NOT_FOUND);
	assert_true(has_rule(&k, b->a, USER, id));
	end(&k);
}
BOTH(what_is_refused_changes_nothing)

static uint64_t statements_for_rules(struct kept *k)
{
	const uint64_t before = store_statements_here();
	const struct push_rules *rules;

	both_ok(user_push_rules(k->us, k->b->a, USER, &rules));
	(void)user_has_push_rules(k->us, USER);
	return store_statements_here() - before;
}

static void rules_are_read_once(struct both *b)
{
	struct kept k = begin(b, b->st, 0);
	str id = S("!a:x.org");

	assert_int_equal(statements_for_rules(&k), 2);
	assert_int_equal(statements_for_rules(&k), 0);
	both_ok(user_push_rules_change(k.us, b->a, USER, add_room_rule, &id));
	assert_int_equal(statements_for_rules(&k), 1);
	assert_int_equal(statements_for_rules(&k), 0);
	end(&k);
}
BOTH(rules_are_read_once)

/* Many devices at once, in two processes where the database allows it: no change is lost. */
struct device {
	struct kept *k;
	int number;
	bool wrong;
};
enum { DEVICES = 6, RULES = 8 };
static void device_main(void *arg)
{
	struct device *d = arg;

	for (int i = 0; i < RULES; i++) {
		AUTO_ARENA a = arena_new();
		str id = arena_printf(a, "!r%d_%d:x.org", d->number, i);

		if (user_push_rules_change(d->k->us, a, USER, add_room_rule, &id))
			d->wrong = true;
	}
}

static void no_change_of_many_is_lost(struct both *b)
{
	struct store *second = b->st;
	struct thread *threads[DEVICES];
	struct device d[DEVICES];
	struct kept k[2];

	if (b->pg)
		both_ok(store_open(b->a, &b->opt, &second));
	k[0] = begin(b, b->st, 1);
	k[1] = begin(b, second, 1);
	for (int i = 0; i < DEVICES; i++) {
		d[i] = (struct device){ &k[i % 2], i, false };
		threads[i] = thread_start("device", device_main, &d[i]);
	}
	for (int i = 0; i < DEVICES; i++) {
		thread_join(&threads[i]);
		assert_false(d[i].wrong);
	}
	/* Each process hears of the other's once its own knowledge is a millisecond old. */
	for (const int64_t until = clock_mono_ms() + 3; clock_mono_ms() < until;)
		;
	for (int i = 0; i < DEVICES * RULES; i++)
		for (int p = 0; p < 2; p++)
			assert_true(
				has_rule(&k[p], b->a, USER, arena_printf(b->a, "!r%d_%d:x.org", i / RULES, i % RULES)));
	assert_true(user_has_push_rules(k[0].us, USER) && user_has_push_rules(k[1].us, USER));
	end(&k[0]);
	end(&k[1]);
	if (b->pg)
		store_close(&second);
}
BOTH(no_change_of_many_is_lost)

/* The same for tags, which live in one row of account data. */
static void tag_main(void *arg)
{
	struct device *d = arg;

	for (int i = 0; i < RULES; i++) {
		AUTO_ARENA a = arena_new();

		if (user_tag_set(d->k->us, a, USER, 1, arena_printf(a, "u.%d_%d", d->number, i), json_new_object(a)))
			d->wrong = true;
	}
}

static void no_tag_of_many_is_lost(struct both *b)
{
	struct store *second = b->st;
	struct thread *threads[DEVICES];
	struct device d[DEVICES];
	struct kept k[2];
	struct json *json;
	str text;

	if (b->pg)
		both_ok(store_open(b->a, &b->opt, &second));
	k[0] = begin(b, b->st, 1);
	k[1] = begin(b, second, 1);
	for (int i = 0; i < DEVICES; i++) {
		d[i] = (struct device){ &k[i % 2], i, false };
		threads[i] = thread_start("device", tag_main, &d[i]);
	}
	for (int i = 0; i < DEVICES; i++) {
		thread_join(&threads[i]);
		assert_false(d[i].wrong);
	}
	both_ok(user_account_data(k[0].us, b->a, USER, 1, S("m.tag"), &text));
	both_ok(json_parse(b->a, text, &json_limits_request, &json));
	assert_int_equal(json_get(json, S("tags"))->object.n, DEVICES * RULES);
	end(&k[0]);
	end(&k[1]);
	if (b->pg)
		store_close(&second);
}
BOTH(no_tag_of_many_is_lost)

int main(void)
{
	const struct CMUnitTest tests[] = { BOTH_TESTS(a_change_is_known_at_once_and_wakes),
					    BOTH_TESTS(what_is_refused_changes_nothing),
					    BOTH_TESTS(rules_are_read_once), BOTH_TESTS(no_change_of_many_is_lost),
					    BOTH_TESTS(no_tag_of_many_is_lost) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
