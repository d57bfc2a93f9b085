/*
 * The authorisation rules by rows of tests/vectors/auth_rules.json: in these room versions, given this room, is the
 * event allowed, and by which rule. The rows are asked to be complete: each rule of each version decides at least one.
 */
#include "matrix/fixture.h"

#include "matrix/auth.h"
#include "matrix/id.h"

static const struct json *vectors(void) { return parse(arena_cstr(A, slurp("tests/vectors/auth_rules.json"))); }

static enum auth_rule rule_named(str name)
{
	for (enum auth_rule rule = RULE_NONE + 1; rule < RULES_END; rule++)
		if (str_eq(auth_rule_name(rule), name))
			return rule;
	fail_msg("no rule %.*s", STR_ARG(name));
	return RULE_NONE;
}

static str room_id_of(const struct room_version *rv) { return rv->room_id_is_create_hash ? S("!C") : S("!r:d"); }

static struct event *make(const struct room_version *rv, str id, str type, str sender, str state_key,
			  const struct json *content)
{
	static const str other[] = { STR("$other") };
	struct event *ev = ARENA_NEW(A, struct event);

	ev->event_id = id;
	ev->room_id = room_id_of(rv);
	ev->type = type;
	ev->sender = sender;
	ev->state_key = state_key;
	ev->content = content ? content : parse("{}");
	ev->json = parse("{\"signatures\":{\"d\":{\"ed25519:1\":\"x\"},\"e\":{\"ed25519:1\":\"x\"}}}");
	ev->prev_events = other;
	ev->n_prev_events = 1;
	return ev;
}

/* What the event of a row says beside the usual. */
static void add_details(const struct room_version *rv, const struct json *row, struct event *ev)
{
	const struct json *prev = json_get(row, S("prev")), *signers = json_get(row, S("signed"));
	const str id = json_get_str(row, S("event_id")), room_id = json_get_str(row, S("room_id"));
	struct json *json = json_new_object(A), *signatures = json_new_object(A);
	str *prevs = ARENA_ARRAY(A, str, 4);

	if (!str_is_none(id))
		ev->event_id = id;
	if (!str_is_none(room_id)) {
		ev->room_id = room_id;
		json_set(A, json, S("room_id"), json_new_str(A, room_id));
	}
	ev->redacts = json_get_str(row, S("redacts"));
	if (prev) {
		JSON_ITEMS (prev, i)
			prevs[i] = str_eq(json_str(prev->array.items[i]), S("create")) ? S("$C") : S("$other");
		ev->prev_events = prevs;
		ev->n_prev_events = prev->array.n;
	}
	if (signers) {
		JSON_ITEMS (signers, i)
			json_set(A, signatures, json_str(signers->array.items[i]), parse("{\"ed25519:1\":\"x\"}"));
		json_set(A, json, S("signatures"), signatures);
		ev->json = json;
	} else if (!str_is_none(room_id)) {
		ev->json = json;
	}
	(void)rv;
}

struct given {
	const struct event *create, *events[24];
	struct state_list list;
};

static void set_up(const struct room_version *rv, const struct json *given, struct given *out)
{
	const struct json *state = json_get(given, S("state"));
	struct event *create = make(rv, S("$C"), S("m.room.create"), S("@c:d"), S(""), json_get(given, S("create")));

	create->rejected = json_get_bool(given, S("create_rejected"), false);
	*out = (struct given){ .create = create };
	if (!json_get_bool(given, S("no_create"), false))
		out->events[out->list.n++] = create;
	JSON_ITEMS (state, i) {
		struct json *const *s = state->array.items[i]->array.items;

		assert_true(out->list.n < ARRAY_LEN(out->events));
		out->events[out->list.n++] = make(rv, S("$s"), s[0]->s, s[1]->s, s[2]->s, s[3]);
	}
	out->list.events = out->events;
}

static size_t auth_events(const struct room_version *rv, const struct given *given, const struct json *auth,
			  const struct event *ev, const struct event *out[8])
{
	JSON_ITEMS (auth, i) {
		const struct json *item = auth->array.items[i];
		const str room_id = json_get_str(item, S("room_id"));
		struct event *entry;

		assert_true(i < 8);
		out[i] = given->create;
		if (item->kind == JSON_STR)
			continue;
		entry = make(rv, S("$a"), json_get_str(item, S("type")), json_get_str(item, S("sender")),
			     json_get_str(item, S("state_key")), json_get(item, S("content")));
		entry->rejected = json_get_bool(item, S("rejected"), false);
		if (!str_is_none(room_id))
			entry->room_id = room_id;
		if (json_get_bool(item, S("self"), false))
			entry->event_id = ev->event_id;
		out[i] = entry;
	}
	return auth->array.n;
}

static err *judge(const struct room_version *rv, const struct json *row, enum auth_rule *by)
{
	const struct json *given = json_get(row, S("given")), *e = json_get(row, S("event"));
	const struct json *auth = json_get(given, S("auth"));
	struct event *ev = make(rv, S("$e:d"), json_get_str(e, S("type")), json_get_str(e, S("sender")),
				json_get_str(e, S("state_key")), json_get(e, S("content")));
	const struct event *entries[8];
	struct given room;

	set_up(rv, given, &room);
	add_details(rv, e, ev);
	if (auth) {
		ev->n_auth_events = auth_events(rv, &room, auth, ev, entries);
		err *refused = auth_check_auth_events(A, rv, ev, entries, ev->n_auth_events);

		*by = auth_rule_of(refused);
		if (refused)
			return refused;
	}
	return auth_check_by(A, rv, ev, state_list_lookup, &room.list, by);
}

/* By rule, version and verdict: has a row been decided so? */
static bool seen[RULES_END][13][2];

static void rows_are_decided_as_written(void **state)
{
	const struct json *rows = json_get_array(vectors(), S("rows"));
	size_t wrong = 0;

	(void)state;
	assert_true(rows && rows->array.n > 500);
	JSON_ITEMS (rows, i) {
		const struct json *row = rows->array.items[i], *range = json_get(row, S("versions"));
		const enum auth_rule rule = rule_named(json_get_str(row, S("rule")));
		const bool allowed = json_get_bool(row, S("allowed"), false);

		for (int64_t v = range->array.items[0]->i; v <= range->array.items[1]->i; v++) {
			const struct room_version *rv = room_version_at((size_t)v - 1);
			enum auth_rule by;
			const err *e = judge(rv, row, &by);

			seen[rule][v][allowed] = true;
			if ((e == NULL) == allowed && by == rule && (!e || e->code == ERR_FORBIDDEN))
				continue;
			print_error("v%d %.*s: %s by %.*s, wanted %s by %.*s\n", (int)v,
				    STR_ARG(json_get_str(row, S("name"))), e ? "refused" : "allowed",
				    STR_ARG(auth_rule_name(by)), allowed ? "allowed" : "refused",
				    STR_ARG(auth_rule_name(rule)));
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

/* An item of the list that only opens others, or that others say the opposite of, decides nothing itself. */
static bool decides(const struct room_version *rv, size_t i)
{
	struct auth_citation here, next;
	const enum auth_rule after = auth_rule_at(rv, i + 1);

	assert_true(auth_rule_cite(A, rv, auth_rule_at(rv, i), &here));
	return !after || !auth_rule_cite(A, rv, after, &next) || !str_starts(next.number, here.number) ||
	       next.number.n <= here.number.n || next.number.p[here.number.n] != '.';
}

static void no_rule_is_without_a_row(void **state)
{
	size_t missing = 0;

	(void)state;
	for (size_t v = 0; room_version_at(v); v++) {
		const struct room_version *rv = room_version_at(v);

		for (size_t i = 0; auth_rule_at(rv, i); i++) {
			const enum auth_rule rule = auth_rule_at(rv, i);
			const bool both = rule == RULE_LEAVE_OWN || rule == RULE_THIRD_PARTY_INVITE_LEVEL;
			const bool *verdicts = seen[rule][rv->number];

			if (!decides(rv, i) || (both ? verdicts[0] && verdicts[1] : verdicts[0] || verdicts[1]))
				continue;
			print_error("v%.*s: no row is decided by %.*s\n", STR_ARG(rv->id),
				    STR_ARG(auth_rule_name(rule)));
			missing++;
		}
	}
	assert_int_equal(missing, 0);
}

static void numbers_are_those_of_the_pages(void **state)
{
	const struct json *numbers = json_get_object(vectors(), S("numbers"));
	size_t in_lists[13] = { 0 };

	(void)state;
	JSON_EACH (numbers, m) {
		for (size_t v = 0; v < 12; v++) {
			const struct room_version *rv = room_version_at(v);
			const struct json *number = m->value->array.items[v];
			struct auth_citation c = { .number = S("") };
			const bool cited = auth_rule_cite(A, rv, rule_named(m->key), &c);

			in_lists[v] += number->kind == JSON_STR;
			ok(cited == (number->kind == JSON_STR) && (!cited || str_eq(c.number, number->s)),
			   "v%.*s %.*s: got %.*s", STR_ARG(rv->id), STR_ARG(m->key), STR_ARG(c.number));
		}
	}
	for (size_t v = 0; v < 12; v++) {
		size_t n = 0;

		while (auth_rule_at(room_version_at(v), n))
			n++;
		assert_int_equal(n, in_lists[v]);
	}
}

static void a_citation_says_where_it_stands(void **state)
{
	static const struct {
		const char *version;
		enum auth_rule rule;
		str text;
	} rows[] = {
		{ "6", RULE_JOIN_OTHER,
		  STR("rooms/v6, Authorisation rules, 4.2.2: \"If the sender does not match state_key, reject.\"") },
		{ "1", RULE_LEVEL_RANGE,
		  STR("rooms/v1, m.room.power_levels events accept values as floats: \"Values outside the range "
		      "represented by IEE754 binary64 (a \"double\") cause the powerlevel event to be rejected, as do "
		      "Infinity, -Infinity and NaN.\"") },
		{ "12", RULE_TARGET,
		  STR("server-server-api, Definitions: \"Target User: For an m.room.member state event, the user given "
		      "by the state_key of the event.\"") },
	};
	struct auth_citation c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_str(auth_rule_text(A, room_version_find(str_c(rows[i].version)), rows[i].rule), rows[i].text);
	assert_false(auth_rule_cite(A, room_version_find(S("6")), RULE_ALIASES, &c));
	assert_true(str_is_none(auth_rule_text(A, room_version_find(S("6")), RULE_ALIASES)));
	assert_int_equal(auth_rule_of(NULL), RULE_NONE);
	assert_int_equal(auth_rule_of(err_new(A, ERR_BAD_JSON, "x")), RULE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_are_decided_as_written),
		TEST(no_rule_is_without_a_row),
		TEST(numbers_are_those_of_the_pages),
		TEST(a_citation_says_where_it_stands),
	};

	return cmocka_run_group_tests_name("matrix/auth_rules", tests, NULL, NULL);
}
