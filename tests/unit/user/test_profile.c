/* test_profile.c - profile fields and their bounds; the user directory: how names are cut, folded and found. */
#include "service.h"

#include "base/buf.h"
#include "store/profiles.h"
#include "user/profile.h"

struct people {
	struct both *b;
	struct users *us;
};

static struct people begin(struct both *b)
{
	const struct users_options opt = service_options(b);

	return (struct people){ b, users_new(&opt) };
}

static int64_t person(struct people *p, const char *name, str *out_id)
{
	const struct account *account;

	both_ok(users_add(p->us, p->b->a, str_c(name), STR_NONE, false, out_id));
	both_ok(users_find(p->us, p->b->a, *out_id, &account));
	return account->user;
}

static const struct json *parsed(struct people *p, str text)
{
	struct json *j;

	both_ok(json_parse(p->b->a, text, &json_limits_request, &j));
	return j;
}

static err *set(struct people *p, int64_t user, str id, str field, const char *value, bool *out_spread)
{
	return user_profile_set(p->us, p->b->a, user, id, field, value ? parsed(p, str_c(value)) : NULL, out_spread);
}

static str whole(struct people *p, str id)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	both_ok(user_profile_write(p->us, p->b->a, id, &w));
	jw_end(&w);
	return arena_keep(p->b->a, buf_str(&b));
}

static void fields_are_checked_by_their_kind(struct both *b)
{
	static const struct {
		const char *what;
		str field;
		const char *value;
		enum err_code want;
		bool spreads;
	} cases[] = {
		{ "a name", STR("displayname"), "\"Alice\"", ERR_NONE, true },
		{ "no string", STR("displayname"), "5", ERR_INVALID_PARAM, false },
		{ "an object", STR("avatar_url"), "{}", ERR_INVALID_PARAM, false },
		{ "an avatar", STR("avatar_url"), "\"mxc://x.org/a\"", ERR_NONE, true },
		{ "a time zone", STR("m.tz"), "\"Europe/London\"", ERR_NONE, false },
		{ "anything", STR("org.example.x"), "[1,{\"a\":null}]", ERR_NONE, false },
		{ "null is a value of other fields", STR("org.example.n"), "null", ERR_NONE, false },
		{ "no name of a field", STR("Bad Key"), "1", ERR_INVALID_PARAM, false },
		{ "none at all", STR(""), "1", ERR_INVALID_PARAM, false },
	};
	struct people p = begin(b);
	char text[70000];
	bool spread;
	str id, value;
	const int64_t user = person(&p, "alice", &id);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const err *e = set(&p, user, id, cases[i].field, cases[i].value, &spread);

		if ((e ? e->code : ERR_NONE) != cases[i].want || (!e && spread != cases[i].spreads))
			fail_msg("%s: %s", cases[i].what, e ? e->msg.p : "good");
	}
	eq(whole(&p, id), S("{\"avatar_url\":\"mxc://x.org/a\",\"displayname\":\"Alice\",\"m.tz\":\"Europe/London\","
			    "\"org.example.n\":null,\"org.example.x\":[1,{\"a\":null}]}"));
	both_ok(user_profile_field(p.us, b->a, id, S("org.example.n"), &value));
	eq(value, S("null"));
	/* null and "" take a name away, and so does removing it. */
	both_ok(set(&p, user, id, S("displayname"), "\"\"", &spread));
	both_ok(user_profile_field(p.us, b->a, id, S("displayname"), &value));
	assert_true(str_is_none(value)); /* the two oldest fields are there, if empty */
	both_ok(set(&p, user, id, S("avatar_url"), "null", &spread));
	both_ok(set(&p, user, id, S("m.tz"), NULL, &spread));
	both_ok(set(&p, user, id, S("m.tz"), NULL, &spread));
	refused(user_profile_field(p.us, b->a, id, S("m.tz"), &value), ERR_NOT_FOUND);
	eq(whole(&p, id), S("{\"org.example.n\":null,\"org.example.x\":[1,{\"a\":null}]}"));
	refused(user_profile_field(p.us, b->a, S("@nobody:x.org"), S("displayname"), &value), ERR_NOT_FOUND);
	refused(user_profile_field(p.us, b->a, S("@alice:elsewhere.org"), S("displayname"), &value), ERR_NOT_FOUND);
	refused(user_profile_field(p.us, b->a, id, S("Bad Key"), &value), ERR_INVALID_PARAM);

	memset(text, 'x', sizeof(text));
	text[0] = '"';
	text[PROFILE_MAX_NAME + 2] = '"';
	text[PROFILE_MAX_NAME + 3] = '\0';
	refused(set(&p, user, id, S("displayname"), text, &spread), ERR_INVALID_PARAM);
	users_free(&p.us);
}
BOTH(fields_are_checked_by_their_kind)

static void the_whole_profile_is_bounded(struct both *b)
{
	struct people p = begin(b);
	char text[PROFILE_MAX_BYTES + 10], key[300];
	bool spread;
	str id;
	const int64_t user = person(&p, "alice", &id);

	memset(key, 'k', sizeof(key));
	memcpy(key, "a.", 2);
	both_ok(set(&p, user, id, (str){ key, PROFILE_MAX_KEY }, "1", &spread));
	refused(set(&p, user, id, (str){ key, PROFILE_MAX_KEY + 1 }, "1", &spread), ERR_KEY_TOO_LARGE);
	both_ok(set(&p, user, id, (str){ key, PROFILE_MAX_KEY }, NULL, &spread));
	memset(text, 'x', sizeof(text));
	text[0] = text[40001] = '"';
	text[40002] = '\0';
	both_ok(set(&p, user, id, S("org.example.a"), text, &spread));
	refused(set(&p, user, id, S("org.example.b"), text, &spread), ERR_PROFILE_TOO_LARGE);
	both_ok(set(&p, user, id, S("org.example.a"), text, &spread)); /* in its own place */
	both_ok(set(&p, user, id, S("org.example.a"), "1", &spread));
	both_ok(set(&p, user, id, S("org.example.b"), text, &spread));
	users_free(&p.us);
}
BOTH(the_whole_profile_is_bounded)

static void a_change_of_names_is_to_be_spread(struct both *b)
{
	struct people p = begin(b);
	struct user_spread *todo;
	str id, name, avatar;
	bool spread;
	size_t n;
	const int64_t user = person(&p, "alice", &id);

	both_ok(set(&p, user, id, S("m.tz"), "\"x\"", &spread));
	both_ok(user_spreads(p.us, b->a, &todo, &n));
	assert_int_equal(n, 0);
	both_ok(set(&p, user, id, S("displayname"), "\"A\\u0000\"", &spread));
	both_ok(user_spreads(p.us, b->a, &todo, &n));
	assert_true(n == 1 && todo[0].user == user && todo[0].room == 0);
	both_ok(user_profile_names(p.us, b->a, user, &name, &avatar));
	eq(name, S("A\0"));
	assert_true(str_is_none(avatar));
	users_free(&p.us);
}
BOTH(a_change_of_names_is_to_be_spread)

/*
 * Directory
 */
static str found(struct people *p, int64_t viewer, str term, int64_t limit, bool *out_limited)
{
	const struct directory_search s = { .viewer = viewer, .term = term, .limit = limit, .everybody = true };
	AUTO_BUF b = BUF_INIT(1 << 20), names = BUF_INIT(10000);
	struct jw w = jw_to(&b);
	const struct json *got;

	jw_object(&w, NULL);
	both_ok(user_directory_search(p->us, p->b->a, &s, &w));
	jw_end(&w);
	got = parsed(p, arena_keep(p->b->a, buf_str(&b)));
	*out_limited = json_get_bool(got, S("limited"), false);
	JSON_ITEMS (json_get(got, S("results")), i) {
		const str id = json_get_str(json_get(got, S("results"))->array.items[i], S("user_id"));

		buf_add(&names, str_head(str_from(id, 1), str_find(id, ':') - 1));
		buf_byte(&names, ' ');
	}
	return arena_keep(p->b->a, buf_str(&names));
}

static void people_are_found_by_every_word(struct both *b)
{
	static const struct {
		const char *name, *displayname;
	} people[] = { { "alice", "\"Alice Wonderland\"" },
		       { "bob.builder", "\"Böb  (the) BUILDER\"" },
		       { "carol", NULL },
		       { "dora", "\"\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0 \xce\xa3\xce\xa9\xce\xa6\"" }, /* Анна ΣΩΦ */
		       { "emil", "\"\xe5\xb1\xb1\xe7\x94\xb0\xe5\xa4\xaa\xe9\x83\x8e\"" },          /* 山田太郎 */
		       { "frida", "\"\\u0000\\u202e ... !\"" },
		       { "alina", "\"Alice's sister\"" } };
	static const struct {
		const char *term, *want;
	} cases[] = {
		{ "alice", "alice alina " },
		{ "ALI", "alice alina " },
		{ "ali wonder", "alice " },
		{ "wonder ali", "alice " },
		{ "lice", "" },
		{ "sister alice", "alina " },
		{ "s", "alina " },
		{ "b\xc3\x96"
		  "b",
		  "bob.builder " }, /* bÖb */
		{ "builder the", "bob.builder " },
		{ "bob.build", "bob.builder " },
		{ "@bob.builder:x.org", "bob.builder " },
		{ "@bob.builder:x", "bob.builder " },
		{ "@bob", "bob.builder " },
		{ "carol", "carol " },
		{ "\xd0\xb0\xd0\xbd\xd0\xbd", "dora " }, /* анн */
		{ "\xcf\x83\xcf\x89", "dora " },         /* σω */
		{ "\xe7\x94\xb0", "emil " },             /* 田: in the middle */
		{ "\xe7\x94\xb0\xe5\xb1\xb1", "emil " }, /* in any order */
		{ "\xe8\x8a\xb1", "" },                  /* 花 */
		{ "frida", "frida " },
		{ "", "" },
		{ " .!?-_ ", "" },
		{ "*", "" },
		{ "%", "" },
	};
	struct people p = begin(b);
	bool limited, spread;
	str id;

	for (size_t i = 0; i < ARRAY_LEN(people); i++) {
		const int64_t user = person(&p, people[i].name, &id);

		if (people[i].displayname)
			both_ok(set(&p, user, id, S("displayname"), people[i].displayname, &spread));
	}
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const str got = found(&p, 0, str_c(cases[i].term), 10, &limited);

		if (!str_eq(got, str_c(cases[i].want)) || limited)
			fail_msg("\"%s\": %.*s", cases[i].term, STR_ARG(got));
	}
	users_free(&p.us);
}
BOTH(people_are_found_by_every_word)

static void a_new_name_replaces_the_old(struct both *b)
{
	struct people p = begin(b);
	bool limited, spread;
	str id;
	const int64_t user = person(&p, "alice", &id);

	both_ok(set(&p, user, id, S("displayname"), "\"Queen\"", &spread));
	eq(found(&p, 0, S("queen"), 10, &limited), S("alice "));
	eq(found(&p, user, S("queen"), 10, &limited), S("")); /* nobody looks for themselves */
	both_ok(set(&p, user, id, S("displayname"), "\"King\"", &spread));
	eq(found(&p, 0, S("queen"), 10, &limited), S(""));
	both_ok(set(&p, user, id, S("displayname"), NULL, &spread));
	eq(found(&p, 0, S("king"), 10, &limited), S(""));
	eq(found(&p, 0, S("alice"), 10, &limited), S("alice "));
	both_ok(users_deactivate(p.us, b->a, id, false));
	eq(found(&p, 0, S("alice"), 10, &limited), S(""));
	users_free(&p.us);
}
BOTH(a_new_name_replaces_the_old)

static void results_are_limited_and_say_so(struct both *b)
{
	struct people p = begin(b);
	bool limited;
	str id;

	for (int i = 0; i < 60; i++)
		(void)person(&p, arena_printf(b->a, "twin%d", i).p, &id);
	eq(found(&p, 0, S("twin"), 2, &limited), S("twin0 twin1 "));
	assert_true(limited);
	eq(found(&p, 0, S("twin5"), 20, &limited),
	   S("twin5 twin50 twin51 twin52 twin53 twin54 twin55 twin56 twin57 twin58 twin59 "));
	assert_false(limited);
	eq(found(&p, 0, S("twin5"), 11, &limited),
	   S("twin5 twin50 twin51 twin52 twin53 twin54 twin55 twin56 twin57 twin58 twin59 "));
	assert_false(limited);
	eq(found(&p, 0, S("twin"), 0, &limited), S(""));
	eq(found(&p, 0, S("twin"), -7, &limited), S(""));
	assert_int_equal(found(&p, 0, S("twin"), INT64_MAX, &limited).n, S("twin0 ").n * 10 + S("twin10 ").n * 40);
	assert_true(limited);
	users_free(&p.us);
}
BOTH(results_are_limited_and_say_so)

/* A word that thousands have must not hide who has a rare one beside it. */
static err *crowd(struct tx *tx, void *arg)
{
	static const str words[] = { STR("smith") };

	(void)arg;
	for (int64_t user = 1; user <= 2500; user++)
		TRY(store_user_words_set(tx, 1000000 + user, words, 1));
	return NULL;
}

static void a_common_word_hides_nobody(struct both *b)
{
	struct people p = begin(b);
	bool limited, spread;
	int64_t user;
	str id;

	both_ok(store_do(b->st, b->a, crowd, NULL));
	user = person(&p, "late", &id);
	both_ok(set(&p, user, id, S("displayname"), "\"Smith Rarename\"", &spread));
	eq(found(&p, 0, S("smith rarename"), 10, &limited), S("late "));
	assert_false(limited);
	eq(found(&p, 0, S("sm rar"), 10, &limited), S("late "));
	users_free(&p.us);
}
BOTH(a_common_word_hides_nobody)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(fields_are_checked_by_their_kind),  BOTH_TESTS(the_whole_profile_is_bounded),
		BOTH_TESTS(a_change_of_names_is_to_be_spread), BOTH_TESTS(people_are_found_by_every_word),
		BOTH_TESTS(a_new_name_replaces_the_old),       BOTH_TESTS(results_are_limited_and_say_so),
		BOTH_TESTS(a_common_word_hides_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
