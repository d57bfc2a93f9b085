/* Stripped state: what clients are shown of it, and what other servers may send as it. */
#include "matrix/fixture.h"

#include "matrix/stripped.h"

static const char *pruned(const char *list)
{
	AUTO_BUF b = BUF_INIT(1 << 16);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	stripped_write_pruned(&w, "x", parse(list));
	jw_end(&w);
	assert_true(jw_good(&w));
	return arena_cstr(A, buf_str(&b));
}

static void only_four_members_are_shown(void **state)
{
	static const struct {
		const char *from, *shown;
	} rows[] = {
		{ "[]", "[]" },
		{ "{}", "[]" },
		{ "[{\"type\":\"t\",\"state_key\":\"\",\"sender\":\"@a:b\",\"content\":{\"x\":1}}]",
		  "[{\"content\":{\"x\":1},\"sender\":\"@a:b\",\"state_key\":\"\",\"type\":\"t\"}]" },
		{ "[{\"type\":\"t\",\"state_key\":\"k\",\"sender\":\"@a:b\",\"content\":{},\"event_id\":\"$x\",\"room_id\":\"!r:x\","
		  "\"origin_server_ts\":1,\"unsigned\":{\"age\":1},\"hashes\":{},\"signatures\":{},\"org.x\":1}]",
		  "[{\"content\":{},\"sender\":\"@a:b\",\"state_key\":\"k\",\"type\":\"t\"}]" },
		{ "[{\"state_key\":\"\",\"sender\":\"@a:b\",\"content\":{}}]", "[]" },
		{ "[{\"type\":\"t\",\"sender\":\"@a:b\",\"content\":{}}]", "[]" }, /* a message */
		{ "[{\"type\":\"t\",\"state_key\":\"\",\"content\":{}}]", "[]" },
		{ "[{\"type\":\"t\",\"state_key\":\"\",\"sender\":\"@a:b\"}]", "[]" },
		{ "[{\"type\":7,\"state_key\":\"\",\"sender\":\"@a:b\",\"content\":{}}]", "[]" },
		{ "[{\"type\":\"t\",\"state_key\":null,\"sender\":\"@a:b\",\"content\":{}}]", "[]" },
		{ "[{\"type\":\"t\",\"state_key\":\"\",\"sender\":\"@a:b\",\"content\":[]}]", "[]" },
		{ "[null,7,\"x\",[],{\"type\":\"t\",\"state_key\":\"\",\"sender\":\"@a:b\",\"content\":{}}]",
		  "[{\"content\":{},\"sender\":\"@a:b\",\"state_key\":\"\",\"type\":\"t\"}]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(json_equal(json_get(parse(pruned(rows[i].from)), S("x")), parse(rows[i].shown)), "%s gives %s",
		   rows[i].from, pruned(rows[i].from));
}

/* --- from other servers --- */

static const struct event *made(const struct room_version *rv, str room_id, str type, bool is_state)
{
	const struct event_fields f = {
		.room_id = room_id,
		.sender = S("@a:domain"),
		.type = type,
		.state_key = is_state ? S("") : STR_NONE,
		.content = parse("{\"room_version\":\"12\"}"),
		.redacts = STR_NONE,
		.depth = 1,
	};
	struct event *ev;

	must(event_build(A, rv, &f, &SIGNER, &ev));
	return ev;
}

struct invite {
	const struct room_version *rv;
	const struct event *create, *name, *message, *foreign, *other_create;
};

static struct invite invite_of(str version)
{
	const struct room_version *rv = room_version_find(version);
	const bool hashed = rv->room_id_is_create_hash;
	struct invite in = { .rv = rv };
	str room_id, other;

	in.create = made(rv, hashed ? STR_NONE : S("!r:domain"), S("m.room.create"), true);
	room_id = in.create->room_id;
	other = hashed ? S("!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM") : S("!other:domain");
	in.name = made(rv, room_id, S("m.room.name"), true);
	in.message = made(rv, room_id, S("m.room.message"), false);
	in.foreign = made(rv, other, S("m.room.topic"), true);
	if (!hashed)
		in.other_create = made(rv, other, S("m.room.create"), true);
	return in;
}

static const struct json *list_of(const struct event *x, const struct event *y)
{
	struct json *list = json_new_array(A);

	if (x)
		json_append(A, list, x->json);
	if (y)
		json_append(A, list, y->json);
	return list;
}

static void invitations_bring_events_of_the_room(void **state)
{
	static const str versions[] = { STR("10"), STR("12") };

	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		const struct invite in = invite_of(versions[v]);
		const struct event *const *events;
		const struct json *stripped = parse(
			"[{\"type\":\"m.room.name\",\"state_key\":\"\",\"sender\":\"@a:domain\",\"content\":{}}]");
		const struct json *bad[] = {
			NULL,
			json_new_object(A),
			list_of(NULL, NULL),
			list_of(in.name, NULL),
			list_of(in.create, in.foreign),
			list_of(in.create, in.message),
			list_of(in.name, in.other_create ? in.other_create : in.foreign),
			stripped, /* what was sent before room ids were checked: no PDU */
		};
		size_t n;

		must(stripped_read(A, in.rv, in.create->room_id, list_of(in.create, in.name), true, &events, &n));
		assert_int_equal(n, 2);
		assert_str(events[0]->event_id, in.create->event_id);
		assert_str(events[1]->event_id, in.name->event_id);
		for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
			const err *e = stripped_read(A, in.rv, in.create->room_id, bad[i], true, &events, &n);

			ok(e && e->code == ERR_INVALID_PARAM, "row %zu in version %.*s", i, STR_ARG(versions[v]));
		}
		must(stripped_read(A, in.rv, in.create->room_id, list_of(in.foreign, in.name), false, &events, &n));
		assert_int_equal(n, 1);
		assert_str(events[0]->event_id, in.name->event_id);
		must(stripped_read(A, in.rv, in.create->room_id, stripped, false, &events, &n));
		assert_int_equal(n, 0);
	}
}

static void what_belongs_into_it(void **state)
{
	static const str wanted[] = { STR("m.room.create"),    STR("m.room.name"),       STR("m.room.avatar"),
				      STR("m.room.topic"),     STR("m.room.join_rules"), STR("m.room.canonical_alias"),
				      STR("m.room.encryption") };
	size_t n = 0;

	(void)state;
	for (; !str_is_none(stripped_types[n]); n++)
		assert_str(stripped_types[n], wanted[n]);
	assert_int_equal(n, ARRAY_LEN(wanted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_four_members_are_shown),
		TEST(invitations_bring_events_of_the_room),
		TEST(what_belongs_into_it),
	};

	return cmocka_run_group_tests_name("matrix/stripped", tests, NULL, NULL);
}
