/* Parsed filters: what is remembered is the same as what is parsed, is parsed once, and is bounded. */
#include "service.h"

#include "user/account_data.h"
#include "user/internal_filter_cache.h"
#include "user/internal_users.h"

static const str whole = STR(
	"{\"event_fields\":[\"content.body\",\"type\"],\"event_format\":\"federation\",\"presence\":{\"limit\":3,\"not_senders\":[\"@a:x\"]},"
	"\"account_data\":{\"types\":[]},\"room\":{\"rooms\":[\"!a:x\",\"!b:x\"],\"not_rooms\":[\"!c:x\"],\"include_leave\":true,"
	"\"timeline\":{\"limit\":7,\"types\":[\"m.*\"],\"not_types\":[\"m.b\"],\"contains_url\":false,\"unread_thread_notifications\":true},"
	"\"state\":{\"lazy_load_members\":true,\"include_redundant_members\":true,\"senders\":[\"@s:x\"]},"
	"\"ephemeral\":{\"rooms\":[\"!d:x\"]},\"account_data\":{\"not_rooms\":[\"!e:x\"]}}}");

static void same_list(const struct str_list *x, const struct str_list *y)
{
	assert_int_equal(x->n, y->n);
	assert_int_equal(x->present, y->present);
	for (size_t i = 0; i < x->n; i++)
		eq(x->p[i], y->p[i]);
}

static void same_event_filter(const struct event_filter *x, const struct event_filter *y)
{
	assert_int_equal(x->limit, y->limit);
	assert_int_equal(x->limit_is_zero, y->limit_is_zero);
	assert_int_equal(x->contains_url, y->contains_url);
	assert_int_equal(x->lazy_load_members, y->lazy_load_members);
	assert_int_equal(x->include_redundant_members, y->include_redundant_members);
	assert_int_equal(x->unread_thread_notifications, y->unread_thread_notifications);
	same_list(&x->types, &y->types);
	same_list(&x->not_types, &y->not_types);
	same_list(&x->senders, &y->senders);
	same_list(&x->not_senders, &y->not_senders);
	same_list(&x->rooms, &y->rooms);
	same_list(&x->not_rooms, &y->not_rooms);
}

static void what_is_remembered_is_the_same(void **state)
{
	struct filter_cache *c = filter_cache_new(4);
	AUTO_ARENA a = arena_new();
	struct filter first, again;
	struct json *json;

	(void)state;
	{
		AUTO_ARENA gone = arena_new(); /* nothing points there afterwards */

		assert_null(filter_cache_parse(c, gone, arena_keep(gone, whole), &again));
	}
	assert_null(filter_cache_parse(c, a, whole, &again));
	assert_int_equal(filter_cache_parses(c), 1);
	assert_null(json_parse(a, whole, &filter_limits, &json));
	assert_null(filter_parse(a, json, &first));
	same_list(&first.event_fields, &again.event_fields);
	same_list(&first.rooms, &again.rooms);
	same_list(&first.not_rooms, &again.not_rooms);
	assert_int_equal(again.federation_format, true);
	assert_int_equal(again.include_leave, true);
	same_event_filter(&first.presence, &again.presence);
	same_event_filter(&first.account_data, &again.account_data);
	same_event_filter(&first.state, &again.state);
	same_event_filter(&first.timeline, &again.timeline);
	same_event_filter(&first.ephemeral, &again.ephemeral);
	same_event_filter(&first.room_account_data, &again.room_account_data);
	filter_cache_free(&c);
}

static void what_is_no_filter_is_refused_each_time(void **state)
{
	struct filter_cache *c = filter_cache_new(4);
	AUTO_ARENA a = arena_new();
	struct filter f;

	(void)state;
	for (int i = 0; i < 2; i++) {
		refused(filter_cache_parse(c, a, S("{\"room\":7}"), &f), ERR_BAD_JSON);
		refused(filter_cache_parse(c, a, S("{"), &f), ERR_NOT_JSON);
	}
	filter_cache_free(&c);
}

static void the_least_used_go_first(void **state)
{
	struct filter_cache *c = filter_cache_new(4);
	AUTO_ARENA a = arena_new();
	struct filter f;
	str text;

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_null(filter_cache_parse(c, a, S("{}"), &f)); /* used all the time: stays */
		assert_null(filter_cache_parse(c, a, arena_printf(a, "{\"presence\":{\"limit\":%d}}", i + 1), &f));
		assert_int_equal(f.presence.limit, i + 1);
	}
	assert_int_equal(filter_cache_parses(c), 101);
	text = arena_printf(a, "{\"x\":\"%03000d\"}", 1); /* a very long one is not kept */
	assert_null(filter_cache_parse(c, a, text, &f));
	assert_null(filter_cache_parse(c, a, text, &f));
	assert_int_equal(filter_cache_parses(c), 103);
	assert_null(filter_cache_parse(c, a, S("{}"), &f));
	for (int i = 200; i < 204; i++) /* four fill it */
		assert_null(filter_cache_parse(c, a, arena_printf(a, "{\"presence\":{\"limit\":%d}}", i), &f));
	for (int i = 203; i >= 200; i--)
		assert_null(filter_cache_parse(c, a, arena_printf(a, "{\"presence\":{\"limit\":%d}}", i), &f));
	assert_int_equal(filter_cache_parses(c), 107);
	assert_null(filter_cache_parse(c, a, S("{}"), &f));
	assert_int_equal(filter_cache_parses(c), 108); /* they left no room for this one */
	filter_cache_free(&c);
}

/* A poll of /sync resolves its filter in each of its runs. */
static void a_poll_parses_nothing(struct both *b)
{
	const struct users_options opt = service_options(b);
	struct users *us = users_new(&opt);
	struct json *json;
	struct filter f;
	str id;

	both_ok(json_parse(b->a, whole, &filter_limits, &json));
	both_ok(user_filter_add(us, b->a, 1, json, &id));
	for (int run = 0; run < 10; run++) {
		both_ok(user_filter_resolve(us, b->a, 1, id, &f));
		assert_int_equal(f.timeline.limit, 7);
		both_ok(user_filter_resolve(us, b->a, 2, S("{\"room\":{\"timeline\":{\"limit\":1}}}"), &f));
		assert_int_equal(f.timeline.limit, 1);
		both_ok(user_filter_resolve(us, b->a, 2, STR_NONE, &f));
		assert_int_equal(f.timeline.limit, 0);
	}
	assert_int_equal(filter_cache_parses(us->filters), 2);
	users_free(&us);
}
BOTH(a_poll_parses_nothing)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_remembered_is_the_same),
		cmocka_unit_test(what_is_no_filter_is_refused_each_time),
		cmocka_unit_test(the_least_used_go_first),
		BOTH_TESTS(a_poll_parses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
