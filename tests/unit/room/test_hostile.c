/*
 * test_hostile.c - a room that is sent everything in tests/vectors/hostile/format.json, one event after another,
 * between the talk of its members: what is bad is refused alone, and whatever is let in moves neither the room's power
 * nor the order of what people said.
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

/* What a message of theirs stands on. */
static str auth_of(struct siege *s, struct arena *a, const char *user)
{
	const str create = s->rv->create_not_in_auth_events
				   ? S("")
				   : arena_join2(a, hostile_ref(a, s->rv, id_under(s, a, "m.room.create", "")), S(","));
	const str levels = hostile_ref(a, s->rv, id_under(s, a, "m.room.power_levels", ""));
	const str member = hostile_ref(a, s->rv, id_under(s, a, "m.room.member", user));

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

static void somebody_is_there(struct siege *s, const char *name)
{
	s->last = say(s->w, who(s->w, name), s->room_id, "hello");
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
		.auth = auth_of(s, a, "@bob:test"),
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

/* Events that stand on those of another room. */
static void bob_borrows_from_elsewhere(struct siege *s)
{
	struct world *w = s->w;
	AUTO_ARENA a = arena_new();
	const str version = s->rv->id, body = arena_printf(w->a, "{'room_version':'%.*s'}", STR_ARG(version));
	struct siege other = { .w = w, .rv = s->rv, .room_id = make_room(w, who(w, "bob"), body.p) };
	const size_t taken = s->taken;
	struct hostile_base base;

	somebody_is_there(&other, "bob");
	base = base_of(s, a, &w->opt.signer);
	base.auth = auth_of(&other, a, "@bob:test");
	receive(s, hostile_text(a, &base, NULL), S("auth_events of another room"));
	base = base_of(s, a, &w->opt.signer);
	base.prev = arena_printf(a, "[%.*s]", STR_ARG(hostile_ref(a, s->rv, other.last)));
	receive(s, hostile_text(a, &base, NULL), S("prev_events of another room"));
	base = base_of(s, a, &w->opt.signer);
	base.prev = hostile_refs(a, s->rv, 3);
	receive(s, hostile_text(a, &base, NULL), S("prev_events that nobody has"));
	ok(s->taken == taken, "version %u: an event of two rooms", s->rv->number);
}

/* One prev_event named twenty times is one prev_event. */
static void bob_repeats_himself(struct siege *s)
{
	struct world *w = s->w;
	AUTO_ARENA a = arena_new();
	struct hostile_base base = base_of(s, a, &w->opt.signer);
	const str one = hostile_ref(a, s->rv, s->last);
	const size_t taken = s->taken;
	str prev = one;

	for (int i = 1; i < EVENT_MAX_PREV; i++)
		prev = arena_join3(a, prev, S(","), one);
	base.prev = arena_join3(a, S("["), prev, S("]"));
	receive(s, hostile_text(a, &base, NULL), S("one prev_event twenty times"));
	ok(s->taken == taken + 1, "version %u: one prev_event twenty times", s->rv->number);
	somebody_talks(s);
	base = base_of(s, a, &w->opt.signer);
	base.auth = arena_join3(a, str_head(base.auth, base.auth.n - 1), S(","), str_from(base.auth, 1));
	receive(s, hostile_text(a, &base, js(a, "{'put':{'type':'\\'org.example\\'','state_key':'\\'@bob:test\\''}}")),
		S("auth_events twice"));
	ok(s->taken == taken + 1, "version %u: auth_events twice", s->rv->number);
	somebody_talks(s);
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
	bob_borrows_from_elsewhere(&s);
	bob_repeats_himself(&s);
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

/* Versions 1 to 10 redact a create event down to its creator: what the room is, is not read from it anew. We send no
 * such redaction; another server may. */
static void a_redacted_create_event_leaves_the_room_what_it_is(struct world *w)
{
	static const char *const versions[] = { "1", "3", "10", "11", "12" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str body = arena_printf(w->a, "{'room_version':'%s','preset':'public_chat'}", versions[i]);
		struct siege s = { .w = w, .rv = room_version_find(str_c(versions[i])) };
		AUTO_ARENA a = arena_new();
		struct hostile_base base;
		struct json *row = json_new_object(a), *put = json_new_object(a);
		const struct room_version *rv;
		str target;
		int64_t nid;

		s.room_id = make_room(w, who(w, "alice"), body.p);
		good(join(w, who(w, "bob"), s.room_id));
		somebody_is_there(&s, "alice");
		target = arena_printf(a, "\"%.*s\"", STR_ARG(id_under(&s, a, "m.room.create", "")));
		base = base_of(&s, a, &w->opt.signer);
		base.sender = S("@alice:test");
		base.auth = auth_of(&s, a, "@alice:test");
		json_set(a, put, S("type"), json_new_str(a, S("\"m.room.redaction\"")));
		json_set(a, put, S("redacts"), json_new_str(a, target));
		json_set(a, put, S("content"), json_new_str(a, arena_printf(a, "{\"redacts\":%.*s}", STR_ARG(target))));
		json_set(a, row, S("put"), put);
		receive(&s, hostile_text(a, &base, row), S("a redaction"));
		ok(s.taken == 1, "version %s: the redaction", versions[i]);
		world_restart(w);
		ok(!json_get(content_of(w, current(w, s.room_id, "m.room.create", "")), S("room_version")) == (i < 3),
		   "version %s: what is left of the create event", versions[i]);
		good(rooms_find(w->rs, w->a, s.room_id, &nid, &rv));
		same_str(rv->id, str_c(versions[i]));
		good(join(w, who(w, "carol"), s.room_id));
		say(w, who(w, "carol"), s.room_id, "we go on");
		set_state(w, who(w, "alice"), s.room_id, "m.room.topic", "", "{'topic':'x'}");
		check_flat(w, s.room_id);
	}
}
WORLD(a_redacted_create_event_leaves_the_room_what_it_is)

/* An event's text and its id: nobody has it yet. */
static str text_of(struct siege *s, struct arena *a, const char *sender, const char *put, str *out_id)
{
	struct hostile_base base = base_of(s, a, &s->w->opt.signer);
	struct event *ev;
	str text;

	base.sender = str_c(sender);
	base.auth = auth_of(s, a, sender);
	text = hostile_text(a, &base, js(a, put));
	good(event_parse(a, s->rv, text, &ev));
	*out_id = ev->event_id;
	return text;
}

/* A redaction by who may not redact does not stand in the way of the one by who may, though it came first, and both
 * before the event. */
static void a_bad_redaction_does_not_keep_a_good_one_out(struct world *w)
{
	static const char *const versions[] = { "3", "10", "12" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str body = arena_printf(w->a, "{'room_version':'%s','preset':'public_chat'}", versions[i]);
		struct siege s = { .w = w, .rv = room_version_find(str_c(versions[i])) };
		AUTO_ARENA a = arena_new();
		struct hostile_base base;
		str target, id, text, ignored;
		const struct event_row *row;

		s.room_id = make_room(w, who(w, "alice"), body.p);
		good(join(w, who(w, "bob"), s.room_id));
		somebody_is_there(&s, "alice");
		base = base_of(&s, a, &w->opt.signer);
		base.sender = S("@eve:elsewhere");
		base.auth = auth_of(&s, a, "@bob:test"); /* to join she needs the join rules instead of a membership */
		base.auth = arena_join3(a, str_head(base.auth, str_rfind(base.auth, ',') + 1),
					hostile_ref(a, s.rv, id_under(&s, a, "m.room.join_rules", "")), S("]"));
		receive(&s,
			hostile_text(a, &base,
				     js(a, "{'put':{'type':'\\'m.room.member\\'','state_key':'\\'@eve:elsewhere\\'',"
					   "'content':'{\\'membership\\':\\'join\\'}'}}")),
			S("eve joins"));
		ok(s.taken == 1, "version %s: eve is in", versions[i]);
		s.last = id_under(&s, a, "m.room.member", "@eve:elsewhere");
		target = text_of(&s, a, "@alice:test", "{'put':{'content':'{\\'body\\':\\'secret\\'}'}}", &id);
		const str puts = arena_printf(a,
					      "{'put':{'type':'\\'m.room.redaction\\'','redacts':'\\'%.*s\\'',"
					      "'content':'{\\'redacts\\':\\'%.*s\\'}'}}",
					      STR_ARG(id), STR_ARG(id));

		text = text_of(&s, a, "@eve:elsewhere", arena_cstr(a, puts), &ignored);
		receive(&s, text, S("eve's redaction"));
		text = text_of(&s, a, "@alice:test", arena_cstr(a, puts), &ignored);
		receive(&s, text, S("alice's redaction"));
		receive(&s, target, S("what they redact"));
		ok(s.taken == 4, "version %s: all of them are taken", versions[i]);
		row = event_row(w, id);
		ok(row->flags & EVENT_REDACTED, "version %s: redacted", versions[i]);
		ok(!json_get(content_of(w, row), S("body")), "version %s: nothing is left of it", versions[i]);
	}
}
WORLD(a_bad_redaction_does_not_keep_a_good_one_out)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(a_room_goes_on_in_the_first_versions),
		WORLD_TESTS(a_room_goes_on_in_the_later_versions),
		WORLD_TESTS(a_redacted_create_event_leaves_the_room_what_it_is),
		WORLD_TESTS(a_bad_redaction_does_not_keep_a_good_one_out),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
