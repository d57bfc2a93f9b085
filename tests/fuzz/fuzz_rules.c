/*
 * fuzz_rules.c - the small languages that users and other servers write to us in: globs, identifiers, server ACLs,
 * filters, push rules. The first byte chooses, the lines after it are the arguments. Globs are held against a slow
 * matcher; an ACL against what it says, whatever the port and the letters' case; a filter's fields against the event; a
 * changed rule is found as it was put.
 */
#include "base/utf8.h"
#include "fuzz.h"
#include "matrix/acl.h"
#include "matrix/filter.h"
#include "matrix/glob.h"
#include "matrix/id.h"
#include "matrix/power_levels.h"
#include "matrix/push_rules.h"
#include "matrix/stripped.h"
#include "matrix/visibility.h"

static struct json *json_of(struct arena *a, str text)
{
	struct json *j = NULL;

	return json_parse(a, text, &json_limits_request, &j) ? NULL : j;
}

static char fold(char c) { return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c); }

/* The definition, with a table: m[j] is whether the pattern so far matches the first j bytes. */
static bool slow_match(struct arena *a, str p, str t, bool exact)
{
	bool *m = ARENA_ARRAY(a, bool, t.n + 1);

	m[0] = true;
	for (size_t i = 0; i < p.n; i++) {
		bool *now = ARENA_ARRAY(a, bool, t.n + 1);

		for (size_t j = 0; j <= t.n; j++) {
			if (p.p[i] == '*')
				now[j] = m[j] || (j > 0 && now[j - 1]);
			else if (j == 0)
				now[j] = false;
			else if (p.p[i] == '?' && !exact)
				for (size_t n = 1; n <= MIN(j, 4); n++)
					now[j] = now[j] || (m[j - n] && utf8_sequence((str){ t.p + j - n, n }) == n);
			else
				now[j] = m[j - 1] && (exact ? p.p[i] == t.p[j - 1] : fold(p.p[i]) == fold(t.p[j - 1]));
		}
		m = now;
	}
	return m[t.n];
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void globs(struct arena *a, struct feed *f)
{
	const str pattern = feed_line(f), text = feed_line(f);
	bool words = false, name = false;

	if (!utf8_valid(pattern) || !utf8_valid(text))
		return;
	(void)glob_match(pattern, text);
	(void)glob_match_word(pattern, text);
	(void)glob_has_words(text, pattern);
	if (pattern.n > 64 || text.n > 64)
		return;
	assert(glob_match(pattern, text) == slow_match(a, pattern, text, false));
	assert(glob_match_exact(pattern, text) == slow_match(a, pattern, text, true));
	if (text.n > 24)
		return;
	for (size_t i = 0; i <= text.n; i++)
		for (size_t j = i; j <= text.n; j++) {
			const str part = { text.p + i, j - i };
			const bool before = i == 0 || !is_word(text.p[i - 1]),
				   after = j == text.n || !is_word(text.p[j]);

			if (!utf8_valid(part) || !utf8_valid(str_head(text, i)))
				continue; /* a part of a character is none */
			words = words || (before && after && slow_match(a, pattern, part, false));
			name = name || (part.n > 0 && str_eq_nocase(part, pattern) && (before || !is_word(part.p[0])) &&
					(after || !is_word(part.p[part.n - 1])));
		}
	assert(glob_match_word(pattern, text) == words);
	assert(glob_has_words(text, pattern) == name);
}

static void ids(struct feed *f)
{
	const str id = feed_line(f);
	const size_t colon = str_find(id, ':');
	const bool server = colon < id.n && id_server_name_valid(str_from(id, colon + 1));
	const bool whole = id.n > 0 && id.n <= ID_MAX && server && utf8_valid(id);

	assert(!id_user_valid(id) || (whole && id.p[0] == '@' && !memchr(id.p, 0, id.n)));
	assert(!id_alias_valid(id) || (whole && id.p[0] == '#'));
	assert(!id_room_valid(id) || (id.n <= ID_MAX && id.p[0] == '!' && (colon == id.n || server)));
	assert(!id_event_valid(id) || (id.n <= ID_MAX && id.p[0] == '$'));
	assert(!id_user_compliant(id) || id_user_valid(id));
	assert(!id_server_name_valid(id) || (id.n > 0 && !memchr(id.p, '/', id.n) && !memchr(id.p, '@', id.n)));
	assert(!id_opaque_valid(id) || (id.n <= ID_MAX && !memchr(id.p, '/', id.n)));
	if (id_user_valid(id)) {
		assert(id_is_of(id, id_server(id)));
		assert(id_localpart(id).n + 2 + id_server(id).n == id.n);
	}
}

static void acls(struct arena *a, struct feed *f)
{
	const struct json *content = json_of(a, feed_line(f));
	const str name = feed_line(f);
	char upper[256];

	if (!utf8_valid(name))
		return;
	const bool allowed = acl_allows(content, name);

	assert(acl_allows(NULL, name));
	if (!content)
		return;
	/* "5. Otherwise, deny." */
	const struct json *allow = json_get_array(content, S("allow")), *deny = json_get_array(content, S("deny"));

	assert(!allowed || (allow && allow->array.n > 0));
	JSON_ITEMS (deny, i)
		assert(!allowed || !str_eq(json_str(deny->array.items[i]), S("*")));
	if (!id_server_name_valid(name) || name.n > sizeof(upper))
		return;
	for (size_t i = 0; i < name.n; i++)
		upper[i] = (char)(name.p[i] >= 'a' && name.p[i] <= 'z' ? name.p[i] & ~0x20 : name.p[i]);
	assert(acl_allows(content, (str){ upper, name.n }) == allowed);
	/* "the suspect server's port number must not be considered" */
	if (str_starts(name, S("[")) ? str_ends(name, S("]")) : str_find(name, ':') == name.n)
		assert(acl_allows(content, arena_join2(a, name, S(":8448"))) == allowed);
}

/* Is everything in `part` in `whole`, too? */
static bool is_part(const struct json *part, const struct json *whole)
{
	if (!json_is(part, JSON_OBJECT) || !json_is(whole, JSON_OBJECT))
		return whole && json_equal(part, whole);
	JSON_EACH (part, m) {
		if (!is_part(m->value, json_get(whole, m->key)))
			return false;
	}
	return true;
}

static void filters(struct arena *a, struct feed *f)
{
	const struct json *text = json_of(a, feed_line(f)), *event = json_of(a, feed_line(f));
	const str type = json_get_str(event, S("type")), sender = json_get_str(event, S("sender"));
	struct event_filter one;
	struct filter all;

	if (!event_filter_parse(a, text, &one)) {
		const struct json *content = json_get_object(event, S("content"));

		if (!str_is_none(type) && !str_is_none(sender)) {
			const bool match = event_filter_match(&one, type, sender, content);

			assert(!match || (event_filter_has_type(&one, type) && event_filter_has_sender(&one, sender)));
			assert(match || !event_filter_is_open(&one));
		}
		(void)event_filter_has_room(&one, S("!r:x"));
	}
	if (!filter_parse(a, text, &all)) {
		const struct str_list fields = { all.event_fields.p, all.event_fields.n, true };

		(void)filter_has_room(&all, S("!r:x"));
		if (json_is(event, JSON_OBJECT)) {
			const struct json *some = filter_fields(a, event, &fields);

			assert(is_part(some, event));
			assert(json_equal(filter_fields(a, some, &fields), some));
		}
	}
}

static void check_written(struct arena *a, const struct push_rules *r)
{
	AUTO_BUF b = BUF_INIT(1 << 22);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	push_rules_write(&w, r, S("@u:x"));
	jw_end(&w);
	assert(jw_good(&w) && json_of(a, arena_keep(a, buf_str(&b))));
}

static void change_rules(struct arena *a, str stored, enum push_kind kind, str rule_id, const struct json *body)
{
	const struct push_rule *rule;
	str now, later;

	if (push_rules_put(a, stored, kind, rule_id, body, STR_NONE, STR_NONE, &now))
		return;
	assert(now.n <= PUSH_RULES_BYTES);
	rule = push_rule_find(push_rules_load(a, now), kind, rule_id);
	assert(rule && rule->enabled);
	check_written(a, push_rules_load(a, now));
	assert(!push_rules_set_enabled(a, now, kind, rule_id, false, &later));
	rule = push_rule_find(push_rules_load(a, later), kind, rule_id);
	assert(rule && !rule->enabled);
	if (!push_rules_set_actions(a, later, kind, rule_id, json_get(body, S("actions")), &later))
		assert(push_rule_find(push_rules_load(a, later), kind, rule_id));
	assert(!push_rules_delete(a, later, kind, rule_id, &now));
	assert(!push_rule_find(push_rules_load(a, now), kind, rule_id));
}

static void pushes(struct arena *a, struct feed *f)
{
	const enum push_kind kind = (enum push_kind)feed_below(f, PUSH_KINDS);
	const str stored = feed_line(f);
	const struct json *text = json_of(a, feed_line(f)), *body = json_of(a, feed_line(f));
	const str name = feed_line(f), rule_id = feed_line(f);
	const struct push_rules *rules = push_rules_load(a, stored.n ? stored : STR_NONE);
	const struct power_levels levels = power_levels_of(room_version_find(S("11")), NULL, NULL);
	const struct event ev = { .json = text,
				  .content = json_get_object(text, S("content")),
				  .sender = S("@s:x"),
				  .room_id = S("!r:x"),
				  .type = S("m.room.message") };
	const struct push_event pe = { &ev, &levels, 2 };

	check_written(a, rules);
	if (json_is(text, JSON_OBJECT) && ev.content && utf8_valid(name)) {
		const struct push_result r = push_evaluate(rules, &pe, S("@u:x"), name.n ? name : STR_NONE);
		const struct push_result again = push_evaluate(rules, &pe, S("@u:x"), name.n ? name : STR_NONE);

		assert(r.notify == again.notify && r.highlight == again.highlight && r.actions == again.actions);
		assert(!r.highlight || r.notify);
	}
	if (utf8_valid(rule_id))
		change_rules(a, stored.n ? stored : STR_NONE, kind, rule_id, body);
}

static void views(struct arena *a, struct feed *f)
{
	const struct json *content = json_of(a, feed_line(f));
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw w = jw_to(&b);

	if (!json_is(content, JSON_OBJECT))
		return;
	const struct event ev = { .json = content,
				  .content = content,
				  .sender = S("@s:x"),
				  .type = json_get_str(content, S("t")).p ? json_get_str(content, S("t"))
									  : S("m.room.member"),
				  .state_key = S("@u:x") };

	for (unsigned i = 0; i < 12; i++) {
		const struct visibility_view view = { (enum history_visibility)(i % 4),
						      (enum visibility_member)(i / 4) };
		const struct visibility_question now = { view, false }, later = { view, true };

		/* Whoever may see it without joining later may see it all the more with. */
		assert(!visibility_allows(&now, &ev, S("@u:x")) || visibility_allows(&later, &ev, S("@u:x")));
		assert(!visibility_allows_view(view, false) || visibility_allows_view(view, true));
		(void)visibility_after(view, &ev, S("@u:x"));
	}
	(void)history_visibility_of(&ev);
	(void)visibility_member_of(&ev);
	jw_array(&w, NULL);
	stripped_write(&w, &ev);
	jw_end(&w);
	assert(jw_good(&w) && json_of(a, arena_keep(a, buf_str(&b))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = arena_new();
	struct feed f = feed_of(data, size);

	push_rules_init();
	switch (feed_byte(&f) % 8) {
	case 0:
		globs(a, &f);
		break;
	case 1:
		ids(&f);
		break;
	case 2:
		acls(a, &f);
		break;
	case 3:
		filters(a, &f);
		break;
	case 4:
		views(a, &f);
		break;
	default:
		pushes(a, &f);
	}
	return 0;
}
