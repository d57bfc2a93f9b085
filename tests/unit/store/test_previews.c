/* Previews by address and time; the old ones go. */
#include "both.h"
#include "store/previews.h"
#include "store/tx.h"

static void same(str got, str want)
{
	if (!str_eq(got, want) || str_is_none(got) != str_is_none(want))
		fail_msg("got %.*s, want %.*s", STR_ARG(got), STR_ARG(want));
}

static str hash_of(struct both *b, char fill)
{
	char *hash = arena_alloc(b->a, 32);

	memset(hash, fill, 32);
	return (str){ hash, 32 };
}

static err *save(struct tx *tx, void *arg) { return store_preview_save(tx, arg); }
static err *delete (struct tx *tx, void *arg) { return store_previews_delete(tx, arg); }

static void put(struct both *b, char fill, int64_t at, int64_t expires, const char *answer, const char *image)
{
	struct preview_row row = { hash_of(b, fill), at, expires, str_c(answer), str_c(image) };

	both_ok(store_do(b->st, b->a, save, &row));
}

static str find(struct both *b, char fill, int64_t ts)
{
	AUTO_TX tx = NULL;
	struct preview_row *row;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_preview_find(tx, hash_of(b, fill), ts, &row));
	return row ? arena_keep(b->a, row->answer) : STR_NONE;
}

static void the_one_of_that_time_is_found(struct both *b)
{
	put(b, 'a', 100, 200, "first", NULL);
	put(b, 'a', 300, 400, "second", "mxc://x/y");
	put(b, 'b', 150, 250, "other", NULL);
	same(find(b, 'a', 99), S("first")); /* nothing is as old: the oldest */
	same(find(b, 'a', 100), S("first"));
	same(find(b, 'a', 199), S("first"));
	same(find(b, 'a', 200), S("second")); /* what had expired by then is not what was there: a newer one is */
	same(find(b, 'a', 300), S("second"));
	same(find(b, 'a', 400), STR_NONE);
	same(find(b, 'c', 300), STR_NONE);
	put(b, 'a', 300, 500, "again", NULL);
	same(find(b, 'a', 300), S("again"));
}

static size_t old(struct both *b, int64_t expired, int64_t keep, struct preview_rows *out)
{
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_previews_old(tx, expired, keep, 2, out));
	return out->n;
}

static void old_ones_go(struct both *b)
{
	struct preview_rows rows;

	put(b, 'a', 100, 200, "1", "mxc://x/1");
	put(b, 'b', 100, 300, "2", NULL);
	put(b, 'c', 100, 400, "3", NULL);
	put(b, 'd', 100, 500, "4", "mxc://x/4");
	assert_int_equal(old(b, 200, 4, &rows), 0);
	assert_int_equal(old(b, 401, 4, &rows), 2); /* so many at once */
	same(rows.p[0].image, S("mxc://x/1"));
	same(rows.p[1].image, STR_NONE);
	both_ok(store_do(b->st, b->a, delete, &rows));
	same(find(b, 'a', 100), STR_NONE);
	same(find(b, 'c', 100), S("3"));
	assert_int_equal(old(b, 0, 1, &rows), 1); /* not expired, but too many: those that expire last stay */
	both_ok(store_do(b->st, b->a, delete, &rows));
	same(find(b, 'c', 100), STR_NONE);
	same(find(b, 'd', 100), S("4"));
	assert_int_equal(old(b, 0, 1, &rows), 0);
}

BOTH(the_one_of_that_time_is_found)
BOTH(old_ones_go)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(the_one_of_that_time_is_found),
		BOTH_TESTS(old_ones_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
