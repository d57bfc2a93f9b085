/* test_directory.c - the list of published rooms: every room once, in pages and in searches, at a cost that grows with
 * the list alone. */
#include "world.h"

#include "base/buf.h"
#include "json/writer.h"

enum { ROOMS = 230 }; /* more than are read at a time */

static const struct json *list(struct world *w, struct public_rooms_cmd cmd)
{
	AUTO_BUF b = BUF_INIT((size_t)1 << 20);
	struct jw out = jw_to(&b);
	struct json *j;

	jw_object(&out, NULL);
	good(room_public_list(w->rs, w->a, &cmd, &out));
	jw_end(&out);
	good(json_parse(w->a, arena_keep(w->a, buf_str(&b)), &json_limits_request, &j));
	return j;
}

static void make_rooms(struct world *w)
{
	const struct actor alice = who(w, "alice");

	for (int i = 0; i < ROOMS; i++)
		make_room(w, alice,
			  arena_printf(w->a, "{'visibility':'public','name':'room %d %s','room_version':'11'}", i,
				       i % 100 == 7 ? "Needle" : "hay")
				  .p);
	make_room(w, alice, "{'name':'Needle, not published'}");
}

static void every_room_once(struct world *w)
{
	struct public_rooms_cmd cmd = { .limit = 100, .any_room_type = true };
	const struct json *page;
	struct map seen;
	size_t n = 0;

	make_rooms(w);
	map_init(&seen, w->a);
	for (int pages = 0; pages < 3; pages++) {
		page = list(w, cmd);
		const struct json *chunk = json_get_array(page, S("chunk"));
		JSON_ITEMS (chunk, i) {
			ok(!map_put(&seen, json_get_str(chunk->array.items[i], S("room_id")), w), "a room twice");
			n++;
		}
		cmd.since = json_get_str(page, S("next_batch"));
	}
	assert_int_equal(n, ROOMS);
	ok(str_is_none(cmd.since), "the end");
	cmd.since = json_get_str(page, S("prev_batch"));
	assert_int_equal(json_get_array(list(w, cmd), S("chunk"))->array.n, 100);
}
WORLD(every_room_once)

static void a_search_looks_at_each_room_once(struct world *w)
{
	struct public_rooms_cmd cmd = { .limit = 2, .search = S("nEEdle"), .any_room_type = true };
	const struct json *page;
	uint64_t before;

	make_rooms(w);
	page = list(w, cmd);
	assert_int_equal(json_get_array(page, S("chunk"))->array.n, 2);
	cmd.since = json_get_str(page, S("next_batch"));
	page = list(w, cmd);
	assert_int_equal(json_get_array(page, S("chunk"))->array.n, 1);
	same_str(json_get_str(json_get_array(page, S("chunk"))->array.items[0], S("name")), S("room 207 Needle"));
	ok(str_is_none(json_get_str(page, S("next_batch"))), "the end");

	cmd = (struct public_rooms_cmd){ .search = S("nowhere"), .any_room_type = true };
	before = store_statements_here();
	assert_int_equal(json_get_array(list(w, cmd), S("chunk"))->array.n, 0);
	assert_int_equal(store_statements_here() - before, 4); /* count, order, two times texts */
}
WORLD(a_search_looks_at_each_room_once)

static void a_long_term_is_refused(struct world *w)
{
	const struct public_rooms_cmd cmd = { .search = arena_printf(w->a, "%0300d", 0), .any_room_type = true };
	AUTO_BUF b = BUF_INIT(1000);
	struct jw out = jw_to(&b);

	fails_with(room_public_list(w->rs, w->a, &cmd, &out), ERR_INVALID_PARAM);
}
WORLD(a_long_term_is_refused)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(every_room_once),
		WORLD_TESTS(a_search_looks_at_each_room_once),
		WORLD_TESTS(a_long_term_is_refused),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
