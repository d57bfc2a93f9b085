/* test_rule_sets.c - compiled push rules: shared, held over a change, never brought back when old, bounded. */
#include "test.h"

#include "base/clock.h"
#include "base/thread.h"
#include "user/internal_rule_sets.h"

/* Stored changes with one room rule, by which a set is known again. */
static str stored(struct arena *a, int64_t n)
{
	struct json *body = json_new_object(a);
	str out;

	json_set(a, body, S("actions"), json_new_array(a));
	good(push_rules_put(a, STR_NONE, PUSH_ROOM, arena_printf(a, "!%d:x", (int)n), body, STR_NONE, STR_NONE, &out));
	return out;
}

static bool is(struct arena *a, const struct rule_set *set, int64_t n)
{
	return push_rule_find(rule_set_rules(set), PUSH_ROOM, arena_printf(a, "!%d:x", (int)n)) != NULL;
}

static struct rule_set *hold(struct rule_sets *s, int64_t user)
{
	uint64_t epoch;

	return rule_sets_hold(s, user, 0, &epoch);
}

static void make(struct rule_sets *s, int64_t user, str text)
{
	struct rule_set *set;
	uint64_t epoch;

	assert_null(rule_sets_hold(s, user, 0, &epoch));
	set = rule_sets_make(s, user, text, epoch);
	rule_sets_release(&set);
	assert_null(set);
	rule_sets_release(&set);
}

static void who_holds_rules_keeps_them_over_a_change(void **state)
{
	AUTO_ARENA a = arena_new();
	struct rule_sets *s = rule_sets_new(1 << 20);
	struct rule_set *one, *two, *none;

	(void)state;
	make(s, 1, stored(a, 1));
	make(s, 2, STR_NONE); /* that there are none is known, too */
	one = hold(s, 1);
	two = hold(s, 1);
	none = hold(s, 2);
	assert_ptr_equal(one, two);
	ok(is(a, one, 1) && !is(a, none, 1), "another's rules");
	assert_ptr_equal(rule_set_rules(none), push_rules_load(a, STR_NONE));
	rule_sets_drop(s, 1);
	assert_null(hold(s, 1));
	make(s, 1, stored(a, 2));
	ok(is(a, one, 1), "the held ones changed");
	rule_sets_release(&one);
	ok(is(a, two, 1), "gone while held");
	rule_sets_release(&two);
	rule_sets_release(&none);
	one = hold(s, 1);
	ok(is(a, one, 2) && !is(a, one, 1), "not the new ones");
	rule_sets_release(&one);
	rule_sets_free(&s);
	rule_sets_free(&s);
}

static void what_was_read_before_a_change_is_not_kept(void **state)
{
	AUTO_ARENA a = arena_new();
	struct rule_sets *s = rule_sets_new(1 << 20);
	struct rule_set *set;
	uint64_t epoch;

	(void)state;
	assert_null(rule_sets_hold(s, 1, 0, &epoch));
	rule_sets_drop(s, 1);
	set = rule_sets_make(s, 1, stored(a, 1), epoch);
	ok(is(a, set, 1), "good for who read it"); /* and for nobody else */
	rule_sets_release(&set);
	assert_null(hold(s, 1));
	rule_sets_free(&s);
}

static void what_is_old_is_asked_for_again(void **state)
{
	struct rule_sets *s = rule_sets_new(1 << 20);
	struct rule_set *set;
	int64_t made;
	uint64_t epoch;

	(void)state;
	make(s, 1, STR_NONE);
	made = clock_mono_ms();
	set = rule_sets_hold(s, 1, 3600 * 1000, &epoch);
	assert_non_null(set);
	rule_sets_release(&set);
	while (clock_mono_ms() < made + 2)
		;
	assert_null(rule_sets_hold(s, 1, 1, &epoch));
	set = rule_sets_make(s, 1, STR_NONE, epoch); /* takes the place of the old one */
	rule_sets_release(&set);
	rule_sets_free(&s);
}

static void the_least_used_go_first(void **state)
{
	struct rule_sets *s = rule_sets_new(10 * 8192);
	struct rule_set *held, *set;
	int known = 0;

	(void)state;
	make(s, 0, STR_NONE);
	held = hold(s, 0);
	for (int i = 1; i <= 50; i++)
		make(s, i, STR_NONE);
	for (int i = 0; i <= 50; i++) {
		set = hold(s, i);
		known += set != NULL;
		rule_sets_release(&set);
	}
	ok(known == 10, "%d are known", known);
	ok(rule_set_rules(held) != NULL, "the held one");
	rule_sets_release(&held); /* its last holder frees it */
	rule_sets_free(&s);
}

/* A number is counted up and its rules dropped; readers never get rules of before what was dropped when they asked. */
struct shared {
	struct rule_sets *sets;
	struct lock lock;
	int64_t committed, told;
	bool wrong;
};

static int64_t at(struct shared *s, const int64_t *which)
{
	LOCKED(&s->lock);
	return *which;
}

static void writer(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 300; i++) {
		int64_t mine;

		{
			LOCKED(&s->lock);
			mine = ++s->committed;
		}
		rule_sets_drop(s->sets, 1);
		LOCKED(&s->lock);
		s->told = MAX(s->told, mine);
	}
}

static int64_t number_of(const struct rule_set *set)
{
	const struct push_rules *r = rule_set_rules(set);
	int64_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (r->rules[i].kind == PUSH_ROOM)
			(void)str_to_i64((str){ r->rules[i].rule_id.p + 1, r->rules[i].rule_id.n - 3 }, &n);
	return n;
}

static void reader(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 600; i++) {
		AUTO_ARENA a = arena_new();
		const int64_t least = at(s, &s->told);
		uint64_t epoch;
		struct rule_set *set = rule_sets_hold(s->sets, 1, 0, &epoch);

		if (!set)
			set = rule_sets_make(s->sets, 1, stored(a, at(s, &s->committed)), epoch);
		if (number_of(set) < least)
			s->wrong = true;
		rule_sets_release(&set);
	}
}

static void nobody_gets_less_than_what_was_committed(void **state)
{
	struct shared s = { .sets = rule_sets_new(1 << 20) };
	struct thread *threads[4];

	(void)state;
	lock_init(&s.lock, RANK_SERVICE);
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start("rules", i % 2 ? reader : writer, &s);
	for (int i = 0; i < 4; i++)
		thread_join(&threads[i]);
	ok(!s.wrong, "old rules came back");
	lock_done(&s.lock);
	rule_sets_free(&s.sets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_holds_rules_keeps_them_over_a_change),
		cmocka_unit_test(what_was_read_before_a_change_is_not_kept),
		cmocka_unit_test(what_is_old_is_asked_for_again),
		cmocka_unit_test(the_least_used_go_first),
		cmocka_unit_test(nobody_gets_less_than_what_was_committed),
	};

	push_rules_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
