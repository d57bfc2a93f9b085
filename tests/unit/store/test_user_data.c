/* test_user_data.c - account data, push rules, filters, profiles, the directory's words: kept, ordered, found. */
#include "both.h"
#include "test.h"

#include "base/buf.h"
#include "store/account_data.h"
#include "store/membership.h"
#include "store/profiles.h"
#include "store/rooms.h"

/* One piece with positions, waited for. */
static err *late(struct both *b, store_fn *fn, void *arg)
{
	struct ticket *ticket;

	TRY(store_write(b->st, b->a, &(struct piece){ .late = fn, .arg = arg }, &ticket));
	return store_wait(b->a, ticket);
}

struct set {
	int64_t user;
	struct account_data_row row, *old;
	struct arena *a; /* the test's: the transaction's own is gone with the commit */
	str old_content;
};
static err *set_run(struct tx *tx, void *arg)
{
	struct set *s = arg;

	TRY(store_account_data_begin(tx, s->user, &s->row, &s->old));
	s->old_content = s->old ? arena_keep(s->a, s->old->content) : STR_NONE;
	return store_account_data_set(tx, s->user, &s->row);
}

static struct set set(struct both *b, int64_t user, int64_t room, str type, str content)
{
	struct set s = { .user = user, .row = { .room = room, .type = type, .content = content }, .a = b->a };

	good(late(b, set_run, &s));
	return s;
}

static size_t changed(struct both *b, int64_t user, int64_t room, int64_t above, int64_t upto,
		      struct account_data_row **out)
{
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(b->st, b->a, &tx));
	good(store_account_data_changed(tx, user, room, above, upto, out, &n));
	return n;
}

static void account_data_has_a_place_in_the_order(struct both *b)
{
	struct account_data_row *rows, *row;
	const struct set one = set(b, 1, 0, S("a"), S("{\"n\":1}")), two = set(b, 1, 7, S("a"), S("{\"n\":2}")),
			 other = set(b, 2, 0, S("a"), S("{}")), nul = set(b, 1, 7, S("\0\xff"), S("{}")),
			 again = set(b, 1, 0, S("a"), S("{\"n\":3}"));
	AUTO_TX tx = NULL;
	int64_t n;

	assert_null(one.old);
	assert_null(other.old);
	same_str(again.old_content, S("{\"n\":1}"));
	ok(one.row.stream < two.row.stream && nul.row.stream < again.row.stream, "positions");
	assert_int_equal(changed(b, 1, -1, 0, INT64_MAX, &rows), 3);
	ok(rows[0].stream == two.row.stream && rows[1].stream == nul.row.stream && rows[2].stream == again.row.stream,
	   "order");
	same_str(rows[1].type, S("\0\xff"));
	assert_int_equal(changed(b, 1, 7, 0, INT64_MAX, &rows), 2);
	assert_int_equal(changed(b, 1, 0, 0, INT64_MAX, &rows), 1);
	assert_int_equal(changed(b, 1, -1, two.row.stream, nul.row.stream, &rows), 1);
	assert_int_equal(changed(b, 3, -1, 0, INT64_MAX, &rows), 0);
	good(store_read(b->st, b->a, &tx));
	good(store_account_data(tx, 1, 7, S("a"), &row));
	same_str(row->content, S("{\"n\":2}"));
	good(store_account_data(tx, 1, 8, S("a"), &row));
	assert_null(row);
	good(store_account_data_count(tx, 1, &n));
	assert_int_equal(n, 3);
}
BOTH(account_data_has_a_place_in_the_order)

struct rules {
	int64_t user, stream;
	str before, rules;
	struct arena *a; /* the test's: the transaction's own is gone with the commit */
};
static err *rules_run(struct tx *tx, void *arg)
{
	struct rules *r = arg;

	TRY(store_push_rules_begin(tx, r->user, &r->before, &r->stream));
	r->before = arena_keep(r->a, r->before);
	return store_push_rules_set(tx, r->user, r->rules, r->stream);
}

static void push_rules_are_one_text_a_user(struct both *b)
{
	struct rules first = { 1, 0, STR_NONE, S("{\"x\":1}"), b->a };
	struct rules second = { 1, 0, STR_NONE, S("{\"x\":2}"), b->a };
	int64_t *owners, stream;
	AUTO_TX tx = NULL;
	size_t n;
	str text;

	good(late(b, rules_run, &first));
	same_str(first.before, STR_NONE);
	good(late(b, rules_run, &second));
	same_str(second.before, S("{\"x\":1}"));
	ok(second.stream > first.stream, "positions");
	good(store_read(b->st, b->a, &tx));
	good(store_push_rules(tx, 1, &text, &stream));
	same_str(text, S("{\"x\":2}"));
	assert_int_equal(stream, second.stream);
	good(store_push_rules(tx, 2, &text, &stream));
	same_str(text, STR_NONE);
	assert_int_equal(stream, 0);
	good(store_push_rules_owners(tx, &owners, &n));
	ok(n == 1 && owners[0] == 1, "owners");
}
BOTH(push_rules_are_one_text_a_user)

struct filter_add {
	int64_t user, id;
	str text;
};
static err *filter_run(struct tx *tx, void *arg)
{
	struct filter_add *f = arg;

	return store_filter_add(tx, f->user, f->text, f->text, 3, &f->id);
}

static void a_filter_is_found_by_number_and_by_text(struct both *b)
{
	struct filter_add adds[] = { { 1, -1, STR("a") }, { 1, -1, STR("b") }, { 2, -1, STR("a") },
				     { 1, -1, STR("a") }, { 1, -1, STR("c") }, { 1, -1, STR("d") } };
	const int64_t want[] = { 0, 1, 0, 0, 2, 3 };
	AUTO_TX tx = NULL;
	str text;

	for (size_t i = 0; i < ARRAY_LEN(adds); i++) {
		good(store_do(b->st, b->a, filter_run, &adds[i]));
		ok(adds[i].id == want[i], "filter %d is %d", (int)i, (int)adds[i].id);
	}
	good(store_read(b->st, b->a, &tx));
	good(store_filter(tx, 1, 3, &text));
	same_str(text, S("d"));
	good(store_filter(tx, 1, 0, &text)); /* one too many: the oldest went */
	same_str(text, STR_NONE);
	good(store_filter(tx, 1, 4, &text));
	same_str(text, STR_NONE);
}
BOTH(a_filter_is_found_by_number_and_by_text)

static err *profile_run(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(store_profile_set(tx, 1, S("displayname"), S("\"A\"")));
	TRY(store_profile_set(tx, 1, S("avatar_url"), S("\"mxc://x/y\"")));
	TRY(store_profile_set(tx, 1, S("displayname"), S("\"B\"")));
	TRY(store_profile_set(tx, 2, S("displayname"), S("\"C\"")));
	TRY(store_profile_set(tx, 1, S("m.tz"), S("null")));
	TRY(store_profile_unset(tx, 1, S("avatar_url")));
	return store_profile_unset(tx, 1, S("never.there"));
}

static void profiles_are_fields(struct both *b)
{
	struct profile_field *fields;
	AUTO_TX tx = NULL;
	str value;
	size_t n;

	good(store_do(b->st, b->a, profile_run, NULL));
	good(store_read(b->st, b->a, &tx));
	good(store_profile(tx, 1, &fields, &n));
	assert_int_equal(n, 2);
	same_str(fields[0].field, S("displayname"));
	same_str(fields[0].value, S("\"B\""));
	same_str(fields[1].value, S("null"));
	good(store_profile_field(tx, 1, S("avatar_url"), &value));
	same_str(value, STR_NONE);
}
BOTH(profiles_are_fields)

static err *begin_run(struct tx *tx, void *arg) { return store_spread_begin(tx, *(int64_t *)arg); }
static err *reached_run(struct tx *tx, void *arg) { return store_spread_reached(tx, arg); }
static err *end_run(struct tx *tx, void *arg) { return store_spread_end(tx, arg); }

static struct spread_row spread_of(struct both *b)
{
	struct spread_row *rows;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(b->st, b->a, &tx));
	good(store_spreads(tx, &rows, &n));
	return n ? rows[0] : (struct spread_row){ 0 };
}

static void an_older_spread_moves_nothing_on(struct both *b)
{
	int64_t user = 5;
	struct spread_row old, at;

	good(store_do(b->st, b->a, begin_run, &user));
	old = spread_of(b);
	ok(old.user == 5 && old.room == 0, "begins at the first room");
	old.room = 3;
	good(store_do(b->st, b->a, reached_run, &old));
	assert_int_equal(spread_of(b).room, 3);
	good(store_do(b->st, b->a, begin_run, &user)); /* a newer profile: from the start */
	at = spread_of(b);
	ok(at.room == 0 && at.turn > old.turn, "begun again");
	old.room = 9;
	good(store_do(b->st, b->a, reached_run, &old));
	good(store_do(b->st, b->a, end_run, &old));
	assert_int_equal(spread_of(b).room, 0);
	assert_int_equal(spread_of(b).user, 5);
	good(store_do(b->st, b->a, end_run, &at));
	assert_int_equal(spread_of(b).user, 0);
}
BOTH(an_older_spread_moves_nothing_on)

static err *words_run(struct tx *tx, void *arg)
{
	static const str first[] = { STR("alice"), STR("wonder"), STR("alice") },
			 second[] = { STR("alina"), STR("\xc3\xa9t\xc3\xa9") },
			 third[] = { STR("bob"), STR("alz\x7f") }, gone[] = { STR("alice") };

	(void)arg;
	TRY(store_user_words_set(tx, 4, gone, 1));
	TRY(store_user_words_set(tx, 1, first, 3));
	TRY(store_user_words_set(tx, 2, second, 2));
	TRY(store_user_words_set(tx, 3, third, 2));
	return store_user_words_set(tx, 4, NULL, 0);
}

static void users_are_found_by_the_beginnings_of_words(struct both *b)
{
	static const struct {
		str prefix;
		const char *want;
	} cases[] = { { STR("al"), "1 2 3 " },
		      { STR("ali"), "1 2 " },
		      { STR("alice"), "1 " },
		      { STR("alicex"), "" },
		      { STR("w"), "1 " },
		      { STR("\xc3"), "2 " },
		      { STR("\xc3\xa9"), "2 " },
		      { STR("alz\x7f"), "3 " },
		      { STR("z"), "" },
		      { STR("a"), "1 2 3 " },
		      { STR("\xf4\x8f\xbf\xbf"), "" } };
	const int64_t some[] = { 2, 3, 4 };
	AUTO_TX tx = NULL;
	int64_t *users;
	size_t n;

	good(store_do(b->st, b->a, words_run, NULL));
	good(store_read(b->st, b->a, &tx));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_BUF got = BUF_INIT(100);

		good(store_users_by_word(tx, cases[i].prefix, 10, &users, &n));
		for (size_t k = 0; k < n; k++)
			buf_printf(&got, "%d ", (int)users[k]);
		same_str(buf_str(&got), str_c(cases[i].want));
	}
	good(store_users_by_word(tx, S("al"), 2, &users, &n));
	ok(n == 2 && users[0] == 1 && users[1] == 2, "the first two");
	good(store_users_with_word(tx, S("al"), some, 3, &users, &n));
	ok(n == 2 && users[0] == 2 && users[1] == 3, "of those given");
}
BOTH(users_are_found_by_the_beginnings_of_words)

static err *member(struct tx *tx, int64_t room, int64_t user, enum membership m)
{
	return store_member_save(tx, &(struct member_row){ .room = room,
							   .user = user,
							   .membership = m,
							   .stream = 1,
							   .since = 1,
							   .displayname = STR_NONE,
							   .avatar_url = STR_NONE,
							   .stripped = STR_NONE });
}

static err *rooms_run(struct tx *tx, void *arg)
{
	(void)arg;
	/* 100: viewer 1 and user 2; 101: private, 3; 102: public, 4; 103: anyone may read, 5; 104: viewer left, 6; 105:
	 * 7 left. */
	TRY(store_summary_set(tx, 102, SUMMARY_JOIN_RULE, S("public")));
	TRY(store_summary_set(tx, 103, SUMMARY_HISTORY_VISIBILITY, S("world_readable")));
	TRY(store_summary_set(tx, 105, SUMMARY_JOIN_RULE, S("public")));
	TRY(member(tx, 100, 1, MEMBER_JOIN));
	TRY(member(tx, 100, 2, MEMBER_JOIN));
	TRY(member(tx, 101, 3, MEMBER_JOIN));
	TRY(member(tx, 102, 4, MEMBER_JOIN));
	TRY(member(tx, 103, 5, MEMBER_JOIN));
	TRY(member(tx, 104, 1, MEMBER_LEAVE));
	TRY(member(tx, 104, 6, MEMBER_JOIN));
	return member(tx, 105, 7, MEMBER_LEAVE);
}

static void who_shares_a_room_or_is_in_a_public_one_is_seen(struct both *b)
{
	const int64_t all[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	AUTO_TX tx = NULL;
	int64_t *users;
	size_t n;

	good(late(b, rooms_run, NULL));
	good(store_read(b->st, b->a, &tx));
	good(store_users_visible(tx, 1, all, 8, &users, &n));
	ok(n == 4 && users[0] == 1 && users[1] == 2 && users[2] == 4 && users[3] == 5, "%d are seen", (int)n);
	good(store_users_visible(tx, 8, all, 8, &users, &n));
	ok(n == 2 && users[0] == 4 && users[1] == 5, "a stranger sees %d", (int)n);
}
BOTH(who_shares_a_room_or_is_in_a_public_one_is_seen)

static err *erase_run(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(store_profile_erase(tx, 1));
	return store_account_data_erase(tx, 1);
}

static void who_is_erased_leaves_nothing(struct both *b)
{
	struct account_data_row *rows;
	struct profile_field *fields;
	AUTO_TX tx = NULL;
	struct filter_add filter = { 1, -1, STR("f") };
	str text;
	size_t n;

	for (int64_t user = 1; user <= 2; user++)
		(void)set(b, user, user == 1 ? 7 : 0, S("a"), S("{}"));
	good(store_do(b->st, b->a, filter_run, &filter));
	good(store_do(b->st, b->a, profile_run, NULL));
	good(store_do(b->st, b->a, erase_run, NULL));
	assert_int_equal(changed(b, 1, -1, 0, INT64_MAX, &rows), 0);
	assert_int_equal(changed(b, 2, -1, 0, INT64_MAX, &rows), 1);
	good(store_read(b->st, b->a, &tx));
	good(store_filter(tx, 1, filter.id, &text));
	same_str(text, STR_NONE);
	good(store_profile(tx, 1, &fields, &n));
	assert_int_equal(n, 0);
	good(store_profile(tx, 2, &fields, &n));
	assert_int_equal(n, 1);
}
BOTH(who_is_erased_leaves_nothing)

TEST_MAIN(BOTH_TESTS(account_data_has_a_place_in_the_order), BOTH_TESTS(push_rules_are_one_text_a_user),
	  BOTH_TESTS(a_filter_is_found_by_number_and_by_text), BOTH_TESTS(profiles_are_fields),
	  BOTH_TESTS(an_older_spread_moves_nothing_on), BOTH_TESTS(users_are_found_by_the_beginnings_of_words),
	  BOTH_TESTS(who_shares_a_room_or_is_in_a_public_one_is_seen), BOTH_TESTS(who_is_erased_leaves_nothing))
