/* test_account_data.c - what a user may keep on the server, and what happens when that is full. */
#include "service.h"

#include "bus/bus.h"
#include "store/account_data.h"
#include "user/account_data.h"

enum { USER = 7 };

struct kept {
	struct both *b;
	struct bus *bus;
	struct users *us;
};

static struct kept begin(struct both *b)
{
	struct users_options opt = service_options(b);
	struct kept k = { .b = b, .bus = bus_new(16) };

	opt.bus = k.bus;
	k.us = users_new(&opt);
	return k;
}

static void end(struct kept *k)
{
	users_free(&k->us);
	bus_free(&k->bus);
}

static err *fill(struct tx *tx, void *arena)
{
	for (int i = 0; i < ACCOUNT_DATA_MAX_ROWS; i++) {
		struct account_data_row row = { .type = arena_printf(arena, "t%d", i), .content = S("{}") };

		TRY(store_account_data_set(tx, USER, &row));
	}
	return NULL;
}

static void a_full_house_takes_nothing_new_and_still_changes(struct both *b)
{
	struct kept k = begin(b);
	struct ticket *ticket;
	str text;

	both_ok(user_tag_set(k.us, b->a, USER, 1, S("m.favourite"), json_new_object(b->a)));
	both_ok(store_write(b->st, b->a, &(struct piece){ .late = fill, .arg = b->a }, &ticket));
	both_ok(store_wait(b->a, ticket));
	refused(user_account_data_set(k.us, b->a, USER, 0, S("another"), S("{}")), ERR_TOO_LARGE);
	both_ok(user_account_data_set(k.us, b->a, USER, 0, S("t5"), S("{\"x\":1}")));
	both_ok(user_account_data(k.us, b->a, USER, 0, S("t5"), &text));
	eq(text, S("{\"x\":1}"));
	both_ok(user_tag_set(k.us, b->a, USER, 1, S("m.favourite"), NULL));
	both_ok(user_account_data(k.us, b->a, USER, 1, S("m.tag"), &text));
	eq(text, S("{\"tags\":{}}"));
	end(&k);
}
BOTH(a_full_house_takes_nothing_new_and_still_changes)

static const struct json *filter(struct both *b, int64_t limit)
{
	struct json *presence = json_new_object(b->a), *f = json_new_object(b->a);

	json_set(b->a, presence, S("limit"), json_new_int(b->a, limit));
	json_set(b->a, f, S("presence"), presence);
	return f;
}

static err *add_filters(struct tx *tx, void *arena)
{
	int64_t id;

	for (int i = 1; i < FILTERS_MAX; i++) {
		const str text = arena_printf(arena, "{\"presence\":{\"limit\":%d}}", 1000 + i);

		TRY(store_filter_add(tx, USER, text, text, FILTERS_MAX, &id));
	}
	return NULL;
}

static void the_oldest_filters_make_room(struct both *b)
{
	struct kept k = begin(b);
	str first, last, text;

	both_ok(user_filter_add(k.us, b->a, USER, filter(b, 1), &first));
	both_ok(store_do(b->st, b->a, add_filters, b->a));
	both_ok(user_filter_get(k.us, b->a, USER, first, &text));
	end(&k); /* with what it remembers */
	k = begin(b);
	both_ok(user_filter_add(k.us, b->a, USER, filter(b, 2), &last));
	refused(user_filter_get(k.us, b->a, USER, first, &text), ERR_NOT_FOUND);
	both_ok(user_filter_get(k.us, b->a, USER, S("1"), &text));
	eq(text, S("{\"presence\":{\"limit\":1001}}"));
	both_ok(user_filter_get(k.us, b->a, USER, last, &text));
	eq(text, S("{\"presence\":{\"limit\":2}}"));
	end(&k);
}
BOTH(the_oldest_filters_make_room)

/* Members that the specification does not have are kept for who asks for the filter. */
static void a_filter_is_given_back_as_it_is(struct both *b)
{
	static const str text =
		STR("{\"org.example\":[1],\"room\":{\"timeline\":{\"related_by_rel_types\":[\"m.thread\"],"
		    "\"related_by_senders\":[\"@a:x\"]}}}");
	struct kept k = begin(b);
	struct filter f;
	struct json *json;
	str id, back;

	both_ok(json_parse(b->a, text, &json_limits_request, &json));
	both_ok(user_filter_add(k.us, b->a, USER, json, &id));
	both_ok(user_filter_get(k.us, b->a, USER, id, &back));
	eq(back, text);
	both_ok(user_filter_resolve(k.us, b->a, USER, id, &f));
	assert_true(event_filter_is_open(&f.timeline));
	end(&k);
}
BOTH(a_filter_is_given_back_as_it_is)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(a_full_house_takes_nothing_new_and_still_changes),
		BOTH_TESTS(the_oldest_filters_make_room),
		BOTH_TESTS(a_filter_is_given_back_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
