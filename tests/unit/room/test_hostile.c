/*
 * test_hostile.c - a room that is sent everything in tests/vectors/hostile/format.json, one event after another, between the talk of its
 * members: what is bad is refused alone, and whatever is let in moves neither the room's power nor the order of what people said.
 */
#include "flat.h"

#include "matrix/hostile.h"

static const struct json *hostile_rows(struct arena *a)
{
	FILE *f = fopen("tests/vectors/hostile/format.json", "rb");
	static const struct json_limits limits = { 1 << 20, 64, 100000 };
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct json *j;
	size_t n;

	assert_non_null(f);
	do {
		char *to = buf_reserve(&b, 65536);

		assert_non_null(to);
		n = fread(to, 1, 65536, f);
		buf_commit(&b, n);
	} while (n > 0);
	(void)fclose(f);
	good(json_parse(a, arena_keep(a, buf_str(&b)), &limits, &j));
	return json_get_array(j, S("rows"));
}

struct siege {
	struct world *w;
	const struct room_version *rv;
	str room_id, last; /* the newest event that a member of ours sent */
	int64_t timeline;  /* and its place */
	size_t refused, kept_out, taken;
};

static str id_under(struct siege *s, struct arena *a, const char *type, const char *key)
{
	const struct event_row *row = current(s->w, s->room_id, type, key);

	assert_non_null(row);
	return arena_keep(a, row->event_id);
}

/* What a message of bob's stands on. */
static str auth_of_bob(struct siege *s, struct arena *a)
{
	const str create = s->rv->create_not_in_auth_events
				   ? S("")
				   : arena_join2(a, hostile_ref(a, s->rv, id_under(s, a, "m.room.create", "")), S(","));
	const str levels = hostile_ref(a, s->rv, id_under(s, a, "m.room.power_levels", ""));
	const str member = hostile_ref(a, s->rv, id_under(s, a, "m.room.member", "@bob:test"));

	return arena_printf(a, "[%.*s%.*s,%.*s]", STR_ARG(create), STR_ARG(levels), STR_ARG(member));
}

/* A member of ours says something: it works, and comes after everything that was said before. */
static void somebody_talks(struct siege *s)
{
	struct world *w = s->w;
	const struct event_row *row;

	s->last = say(w, who(w, "alice"), s->room_id, "we go on");
	row = event_row(w, s->last);
	ok(row->timeline > s->timeline, "version %u: what was said later comes later", s->rv->number);
	ok(row->depth > 0 && row->depth <= EVENT_MAX_DEPTH, "version %u: depth %" PRId64, s->rv->number, row->depth);
	s->timeline = row->timeline;
}

static void receive(struct siege *s, str text, str what)
{
	struct world *w = s->w;
	AUTO_ARENA a = arena_new();
	enum append_outcome out;
	struct event *ev;
	err *e = event_parse(a, s->rv, text, &ev);

	if (e) {
		s->refused++;
		return;
	}
	e = rooms_append_event(w->rs, a, ev, &out);
	ok(!e || (e->code != ERR_INTERNAL && e->code != ERR_STORE), "version %u: %.*s: %.*s", s->rv->number,
	   STR_ARG(what), STR_ARG(e ? e->msg : S("")));
	if (e || out == APPEND_REJECTED || out == APPEND_SOFT_FAILED)
		s->kept_out++;
	else
		s->taken++;
}

static struct hostile_base base_of(struct siege *s, struct arena *a, const struct signer *by)
{
	static unsigned serial;

	return (struct hostile_base){
		.rv = s->rv,
		.by = by,
		.room_id = s->room_id,
		.sender = S("@bob:test"),
		.event_id = arena_printf(a, "$hostile%u:test", ++serial),
		.prev = arena_printf(a, "[%.*s]", STR_ARG(hostile_ref(a, s->rv, s->last))),
		.auth = auth_of_bob(s, a),
	};
}

/* What bob would like to be true. */
static void bob_grasps_for_power(struct siege *s)
{
	static const char *const puts[] = {
		"{'type':'\\'m.room.power_levels\\'','state_key':'\\'\\'','content':'{\\'users\\':{\\'@bob:test\\':100}}'}",
		"{'type':'\\'m.room.member\\'','state_key':'\\'@alice:test\\'','content':'{\\'membership\\':\\'ban\\'}'}",
		"{'type':'\\'m.room.join_rules\\'','state_key':'\\'\\'','content':'{\\'join_rule\\':\\'invite\\'}'}",
		"{'type':'\\'m.room.server_acl\\'','state_key':'\\'\\'','content':'{\\'allow\\':[]}'}",
		"{'type':'\\'m.room.create\\'','state_key':'\\'\\'','content':'{\\'creator\\':\\'@bob:test\\'}'}",
		"{'type':'\\'m.room.create\\'','state_key':'\\'\\'','prev_events':'[]','auth_events':'[]',"
		"'content':'{\\'creator\\':\\'@bob:test\\'}'}",
		"{'type':'\\'m.room.topic\\'','state_key':'\\'@alice:test\\''}",
		"{'sender':'\\'@alice:test\\'','type':'\\'m.room.power_levels\\'','state_key':'\\'\\'','content':'{\\'users\\':{}}'}",
	};
	struct world *w = s->w;

	for (size_t i = 0; i < ARRAY_LEN(puts); i++) {
		AUTO_ARENA a = arena_new();
		const struct hostile_base base = base_of(s, a, &w->opt.signer);
		struct json *row = json_new_object(a);
		const size_t taken = s->taken;

		json_set(a, row, S("put"), js(a, puts[i]));
		receive(s, hostile_text(a, &base, row), S("power"));
		ok(s->taken == taken, "version %u: %s was taken", s->rv->number, puts[i]);
	}
}

static const char *const kept_keys[][2] = {
	{ "m.room.create", "" },          { "m.room.power_levels", "" },
	{ "m.room.join_rules", "" },      { "m.room.member", "@alice:test" },
	{ "m.room.member", "@bob:test" }, { "m.room.history_visibility", "" },
};

static void besiege(struct world *w, const char *version)
{
	AUTO_ARENA a = arena_new();
	const struct json *rows = hostile_rows(a);
	struct siege s = { .w = w, .rv = room_version_find(str_c(version)) };
	str before[ARRAY_LEN(kept_keys)];
	size_t asked = 0;

	s.room_id = make_room(w, who(w, "alice"),
			      arena_printf(w->a, "{'room_version':'%s','preset':'public_chat'}", version).p);
	good(join(w, who(w, "bob"), s.room_id));
	for (size_t i = 0; i < ARRAY_LEN(kept_keys); i++)
		before[i] = id_under(&s, a, kept_keys[i][0], kept_keys[i][1]);
	somebody_talks(&s);
	JSON_ITEMS (rows, i) {
		const struct json *row = rows->array.items[i];
		AUTO_ARENA turn = arena_new();
		const struct hostile_base base = base_of(&s, turn, &w->opt.signer);
		const str text = hostile_is_for(json_get_str(row, S("versions")), s.rv->number)
					 ? hostile_text(turn, &base, row)
					 : STR_NONE;

		if (str_is_none(text) || text.n > 1 << 20)
			continue;
		receive(&s, text, json_get_str(row, S("what")));
		if (++asked % 25 == 0)
			somebody_talks(&s);
	}
	bob_grasps_for_power(&s);
	world_restart(w);
	somebody_talks(&s);
	for (size_t i = 0; i < ARRAY_LEN(kept_keys); i++)
		same_str(id_under(&s, a, kept_keys[i][0], kept_keys[i][1]), before[i]);
	check_flat(w, s.room_id);
	ok(asked >= 300 && s.refused >= 200 && s.kept_out >= 20 && s.taken >= 30,
	   "version %s: %zu asked, %zu refused, %zu kept out, %zu taken", version, asked, s.refused, s.kept_out,
	   s.taken);
}

static void a_room_goes_on_in_the_first_versions(struct world *w)
{
	besiege(w, "1");
	besiege(w, "5");
}
WORLD(a_room_goes_on_in_the_first_versions)

static void a_room_goes_on_in_the_later_versions(struct world *w)
{
	besiege(w, "6");
	besiege(w, "11");
	besiege(w, "12");
}
WORLD(a_room_goes_on_in_the_later_versions)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(a_room_goes_on_in_the_first_versions),
		WORLD_TESTS(a_room_goes_on_in_the_later_versions),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
