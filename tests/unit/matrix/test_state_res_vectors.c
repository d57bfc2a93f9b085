/*
 * The cases of tests/vectors/state_res: by the slow model, and by the library in every order of the states.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "matrix/fixture.h"
#include "matrix/res_property.h"

static const str *ids_of(const struct json *event, const char *key, size_t *out_n)
{
	const struct json *list = json_get_array(event, str_c(key));
	str *ids = ARENA_ARRAY(A, str, list ? list->array.n : 0);

	JSON_ITEMS (list, i)
		ids[i] = json_str(list->array.items[i]);
	*out_n = list ? list->array.n : 0;
	return ids;
}

static void add_event(struct model *m, const struct json *json)
{
	struct event *ev = ARENA_NEW(A, struct event);

	ev->event_id = json_get_str(json, S("event_id"));
	ev->sender = json_get_str(json, S("sender"));
	ev->type = json_get_str(json, S("type"));
	ev->state_key = json_get_str(json, S("state_key"));
	ev->content = json_get(json, S("content"));
	ev->json = json;
	ev->rejected = json_get_bool(json, S("rejected"), false);
	ev->prev_events = ids_of(json, "prev_events", &ev->n_prev_events);
	ev->auth_events = ids_of(json, "auth_events", &ev->n_auth_events);
	assert_true(json_get_int(json, S("depth"), &ev->depth));
	assert_true(json_get_int(json, S("origin_server_ts"), &ev->origin_server_ts));
	ev->room_id = m->rv->room_id_is_create_hash ? S("!create") : S("!room:x");
	assert_int_equal(model_find(m, ev->event_id), 0);
	model_add(m, ev);
}

static struct model_state state_of(const struct model *m, const struct json *ids)
{
	struct model_state s = { 0 };

	JSON_ITEMS (ids, i) {
		const int x = model_find(m, json_str(ids->array.items[i]));

		assert_true(x > 0 && s.event[m->key_of[x]] == 0);
		s.event[m->key_of[x]] = x;
	}
	return s;
}

static void check(const char *path)
{
	const struct json *file = parse(arena_cstr(A, slurp(path))), *events = json_get_array(file, S("events"));
	const struct json *states = json_get_array(file, S("states"));
	struct res_room *r = ARENA_NEW(A, struct res_room);
	struct res_trees *t = ARENA_NEW(A, struct res_trees);
	struct model_state s[8], expected, modelled;
	struct state_res_facts facts;
	const char *complaint;

	r->m = (struct model){ .a = A, .rv = room_version_find(json_get_str(file, S("room_version"))) };
	assert_non_null(r->m.rv);
	JSON_ITEMS (events, i)
		add_event(&r->m, events->array.items[i]);
	assert_true(json_is(states, JSON_ARRAY) && states->array.n > 1 && states->array.n <= 8);
	JSON_ITEMS (states, i)
		s[i] = state_of(&r->m, states->array.items[i]);
	expected = state_of(&r->m, json_get_array(file, S("expected")));
	model_resolve(&r->m, s, (int)states->array.n, &modelled);
	for (int k = 0; k < r->m.n_keys; k++)
		ok(modelled.event[k] == expected.event[k], "%s: the model has another %.*s \"%.*s\"", path,
		   STR_ARG(r->m.key[k].type), STR_ARG(r->m.key[k].state_key));
	res_trees_init(t, r, false);
	complaint = res_case(t, s, (int)states->array.n, &expected, &facts);
	ok(!complaint, "%s: %s", path, complaint);
}

static void all_files(void **state)
{
	glob_t found;
	size_t n;

	(void)state;
	assert_int_equal(glob("tests/vectors/state_res/*.json", 0, NULL, &found), 0);
	n = found.gl_pathc;
	for (size_t i = 0; i < n; i++)
		check(found.gl_pathv[i]);
	globfree(&found);
	assert_true(n > 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(all_files) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
