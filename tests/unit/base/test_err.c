/* Errors carry what the answer needs; their table says what the specification says. */
#include "test.h"

static err *inner(struct arena *a, bool bad) { return bad ? err_new(a, ERR_FORBIDDEN, "%s may not", "@u:x") : NULL; }

static err *outer(struct arena *a, bool bad, bool *went_on)
{
	TRY(inner(a, bad));
	*went_on = true;
	return NULL;
}

static void passing_up(void **state)
{
	AUTO_ARENA a = arena_new();
	bool went_on = false;
	err *e = outer(a, true, &went_on);

	(void)state;
	assert_non_null(e);
	assert_false(went_on);
	assert_int_equal(e->code, ERR_FORBIDDEN);
	same_str(e->msg, S("@u:x may not"));
	ok(str_contains(str_c(e->where), S("test_err.c:")), "where: %s", e->where);
	assert_true(str_is_none(e->extra) && str_is_none(e->body));
	assert_null(outer(a, false, &went_on));
	assert_true(went_on);
}

static void the_table(void **state)
{
	static const struct {
		enum err_code code;
		int status;
		const char *errcode;
	} cases[] = {
		{ ERR_FORBIDDEN, 403, "M_FORBIDDEN" },           { ERR_NOT_JSON, 400, "M_NOT_JSON" },
		{ ERR_UNKNOWN_TOKEN, 401, "M_UNKNOWN_TOKEN" },   { ERR_METHOD, 405, "M_UNRECOGNIZED" },
		{ ERR_LIMIT_EXCEEDED, 429, "M_LIMIT_EXCEEDED" }, { ERR_CONFIG, 500, "M_UNKNOWN" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(err_status(cases[i].code), cases[i].status);
		assert_string_equal(err_errcode(cases[i].code), cases[i].errcode);
	}
}

static void outliving_its_arena(void **state)
{
	struct arena *a = arena_new();
	AUTO_ARENA b = arena_new();
	err *e = err_new(a, ERR_BUSY, "later"), *kept;

	(void)state;
	e->extra = arena_keep(a, S("\"retry_after_ms\":5"));
	kept = err_keep(b, e);
	arena_free(&a);
	same_str(kept->msg, S("later"));
	same_str(kept->extra, S("\"retry_after_ms\":5"));
	assert_int_equal(kept->code, ERR_BUSY);
	assert_true(str_is_none(kept->body));
	assert_null(err_keep(b, NULL));
}

TEST_MAIN(cmocka_unit_test(passing_up), cmocka_unit_test(the_table), cmocka_unit_test(outliving_its_arena))
