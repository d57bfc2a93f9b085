/* Contents counted by what refers to them; items, found, filled, expired, quarantined, deleted. */
#include "both.h"
#include "store/media.h"
#include "store/tx.h"

typedef err *step_fn(struct tx *tx, void *arg);
static void write_step(struct both *b, step_fn *fn, void *arg) { both_ok(store_do(b->st, b->a, fn, arg)); }

static struct store_content content_of(struct both *b, int64_t number, char fill, int64_t size)
{
	char *hash = arena_alloc(b->a, 32);

	memset(hash, fill, 32);
	return (struct store_content){ number, { hash, 32 }, size };
}

struct add {
	struct media_row row;
	const struct store_content *c;
	int64_t content;
};
static err *add(struct tx *tx, void *arg)
{
	struct add *x = arg;

	return store_media_add(tx, &x->row, x->c, &x->content);
}
static int64_t add_item(struct both *b, int64_t media, str id, int64_t uploader, int64_t at,
			const struct store_content *c)
{
	struct add x = { .row = { .media = media,
				  .media_id = id,
				  .uploader = uploader,
				  .created_at = at,
				  .uploaded_at = c ? at : 0,
				  .expires_at = c ? 0 : at + 100,
				  .content_type = S("image/png"),
				  .filename = S("a.png"),
				  .authenticated = true },
			 .c = c };

	write_step(b, add, &x);
	return x.content;
}

static const struct media_row *get(struct both *b, str id)
{
	const struct media_row *row = NULL, *copy = NULL;
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_media_get(tx, 0, id, &row));
	if (row) {
		struct media_row *r = ARENA_NEW(b->a, struct media_row);

		*r = *row;
		copy = r;
	}
	return copy;
}

static err *delete_item(struct tx *tx, void *arg)
{
	bool deleted;

	TRY(store_media_delete(tx, *(int64_t *)arg, &deleted));
	return deleted ? NULL : err_new(tx_arena(tx), ERR_NOT_FOUND, "none");
}

static size_t unused(struct both *b, int64_t after, struct store_contents *out)
{
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_contents_unused(tx, after, 10, out));
	return out->n;
}

static void an_item_is_what_was_put(struct both *b)
{
	const struct store_content c = content_of(b, 71, 'c', 1234);
	const struct media_row *row;

	assert_int_equal(add_item(b, 5, S("abc"), 42, 1000, &c), 71);
	row = get(b, S("abc"));
	assert_non_null(row);
	assert_int_equal(row->media, 5);
	assert_int_equal(row->uploader, 42);
	assert_int_equal(row->created_at, 1000);
	assert_int_equal(row->uploaded_at, 1000);
	assert_int_equal(row->expires_at, 0);
	assert_int_equal(row->content, 71);
	assert_int_equal(row->size, 1234);
	assert_true(str_eq(row->content_type, S("image/png")) && str_eq(row->filename, S("a.png")));
	assert_true(row->authenticated && !row->is_protected && str_is_none(row->quarantined_by));
	assert_true(str_eq(row->hash, c.hash));
	assert_null(get(b, S("abd")));
}
BOTH(an_item_is_what_was_put)

static void equal_contents_are_one_until_the_last_goes(struct both *b)
{
	const struct store_content one = content_of(b, 71, 'c', 9), two = content_of(b, 72, 'c', 9),
				   other = content_of(b, 73, 'd', 9);
	struct store_contents list;
	int64_t media = 1;

	assert_int_equal(add_item(b, 1, S("a"), 42, 1, &one), 71);
	assert_int_equal(add_item(b, 2, S("b"), 43, 1, &two), 71);
	assert_int_equal(add_item(b, 3, S("c"), 43, 1, &other), 73);
	assert_int_equal(unused(b, 0, &list), 0);
	write_step(b, delete_item, &media);
	assert_int_equal(unused(b, 0, &list), 0);
	media = 2;
	write_step(b, delete_item, &media);
	assert_int_equal(unused(b, 0, &list), 1);
	assert_int_equal(list.p[0].content, 71);
	assert_true(str_eq(list.p[0].hash, one.hash));
	assert_int_equal(list.p[0].size, 9);
	assert_int_equal(unused(b, 71, &list), 0);
	assert_int_equal(store_do(b->st, b->a, delete_item, &media)->code, ERR_NOT_FOUND);
}
BOTH(equal_contents_are_one_until_the_last_goes)

static err *forget_both(struct tx *tx, void *arg)
{
	(void)arg;
	return store_contents_forget(tx, (const int64_t[]){ 71, 73 }, 2);
}

/* What is in use again between the look and the deletion must stay. */
static void only_unused_contents_are_forgotten(struct both *b)
{
	const struct store_content one = content_of(b, 71, 'c', 9), again = content_of(b, 75, 'c', 9),
				   other = content_of(b, 73, 'd', 9);
	struct store_contents list;
	int64_t media = 1;

	add_item(b, 1, S("a"), 42, 1, &one);
	add_item(b, 2, S("b"), 42, 1, &other);
	write_step(b, delete_item, &media);
	media = 2;
	write_step(b, delete_item, &media);
	assert_int_equal(unused(b, 0, &list), 2);
	assert_int_equal(add_item(b, 3, S("c"), 42, 1, &other), 73);
	write_step(b, forget_both, NULL);
	{
		AUTO_TX tx = NULL;

		both_ok(store_read(b->st, b->a, &tx));
		both_ok(store_contents_find(tx, (const int64_t[]){ 70, 71, 73 }, 3, &list));
		assert_int_equal(list.n, 1);
		assert_int_equal(list.p[0].content, 73);
	}
	assert_int_equal(add_item(b, 4, S("d"), 42, 1, &again), 75); /* a forgotten one comes under a new number */
}
BOTH(only_unused_contents_are_forgotten)

struct fill {
	struct media_row row;
	struct store_content c;
	int64_t content;
};
static err *fill(struct tx *tx, void *arg)
{
	struct fill *x = arg;

	return store_media_fill(tx, &x->row, &x->c, &x->content);
}
static void cannot_fill(struct both *b, struct fill *x)
{
	const err *e = store_do(b->st, b->a, fill, x);

	assert_non_null(e);
	assert_int_equal(e->code, ERR_CANNOT_OVERWRITE_MEDIA);
}

static void a_created_item_is_filled_once_and_in_time(struct both *b)
{
	struct fill x = { .row = { .media = 1, .uploaded_at = 1100, .content_type = S("text/plain") },
			  .c = content_of(b, 71, 'c', 9) };
	struct store_contents list;
	const struct media_row *row;

	add_item(b, 1, S("a"), 42, 1000, NULL);
	row = get(b, S("a"));
	assert_int_equal(row->content, 0);
	assert_int_equal(row->expires_at, 1100);
	assert_true(str_is_none(row->hash));
	cannot_fill(b, &x); /* expires at 1100 */
	x.row.uploaded_at = 1099;
	write_step(b, fill, &x);
	row = get(b, S("a"));
	assert_int_equal(row->content, 71);
	assert_int_equal(row->uploaded_at, 1099);
	assert_int_equal(row->expires_at, 0);
	assert_true(str_eq(row->content_type, S("text/plain")) && str_is_none(row->filename));
	x.c = content_of(b, 72, 'e', 9);
	cannot_fill(b, &x);
	assert_int_equal(get(b, S("a"))->content, 71);
	assert_int_equal(unused(b, 0, &list), 0); /* nothing stays of what was refused */
}
BOTH(a_created_item_is_filled_once_and_in_time)

static err *drop_expired(struct tx *tx, void *arg) { return store_media_drop_expired(tx, 1100, 10, arg); }

static void what_waits_is_counted_and_expires(struct both *b)
{
	const struct store_content c = content_of(b, 71, 'c', 9);
	int64_t n, first;

	add_item(b, 1, S("a"), 42, 1000, NULL);
	add_item(b, 2, S("b"), 42, 1001, NULL);
	add_item(b, 3, S("c"), 43, 1000, NULL);
	add_item(b, 4, S("d"), 42, 1000, &c);
	{
		AUTO_TX tx = NULL;

		both_ok(store_read(b->st, b->a, &tx));
		both_ok(store_media_pending(tx, 42, 1099, &n, &first));
		assert_int_equal(n, 2);
		assert_int_equal(first, 1100);
		both_ok(store_media_pending(tx, 42, 1100, &n, &first));
		assert_int_equal(n, 1);
		assert_int_equal(first, 1101);
		both_ok(store_media_pending(tx, 44, 1000, &n, &first));
		assert_int_equal(n, 0);
	}
	write_step(b, drop_expired, &n);
	assert_int_equal(n, 2);
	assert_null(get(b, S("a")));
	assert_null(get(b, S("c")));
	assert_non_null(get(b, S("b")));
	assert_non_null(get(b, S("d")));
}
BOTH(what_waits_is_counted_and_expires)

static void uploads_are_summed_by_user_and_time(struct both *b)
{
	const struct store_content c = content_of(b, 71, 'c', 5000000000), d = content_of(b, 72, 'd', 7);
	int64_t bytes, *numbers;
	size_t n;
	AUTO_TX tx = NULL;

	add_item(b, 1, S("a"), 42, 1000, &c);
	add_item(b, 2, S("b"), 42, 1001, &d);
	add_item(b, 3, S("c"), 43, 1001, &d);
	add_item(b, 4, S("d"), 0, 1001, &d);
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_media_uploaded_since(tx, 42, 999, &bytes));
	assert_int_equal(bytes, 5000000007);
	both_ok(store_media_uploaded_since(tx, 42, 1000, &bytes));
	assert_int_equal(bytes, 7);
	both_ok(store_media_uploaded_since(tx, 0, 0, &bytes));
	assert_int_equal(bytes, 0);
	both_ok(store_media_of(tx, 42, 0, 10, &numbers, &n));
	assert_int_equal(n, 2);
	assert_int_equal(numbers[0], 1);
	both_ok(store_media_of(tx, 42, 1, 10, &numbers, &n));
	assert_int_equal(n, 1);
	assert_int_equal(numbers[0], 2);
}
BOTH(uploads_are_summed_by_user_and_time)

static err *quarantine(struct tx *tx, void *arg) { return store_media_quarantine(tx, arg, S("@mod:x"), 5); }
static err *unquarantine(struct tx *tx, void *arg) { return store_media_unquarantine(tx, arg); }
static err *protect(struct tx *tx, void *arg) { return store_media_protect(tx, *(int64_t *)arg, true); }

static void quarantine_is_of_the_content(struct both *b)
{
	const struct store_content c = content_of(b, 71, 'c', 9), d = content_of(b, 72, 'd', 9);
	struct media_row row;
	int64_t safe = 4;

	add_item(b, 1, S("a"), 42, 1, &c);
	add_item(b, 2, S("b"), 43, 1, &c);
	add_item(b, 3, S("c"), 43, 1, &d);
	add_item(b, 4, S("safe"), 43, 1, &c);
	add_item(b, 5, S("waits"), 43, 1, NULL);
	write_step(b, protect, &safe);
	row = *get(b, S("safe"));
	assert_true(row.is_protected);
	write_step(b, quarantine, &row);
	assert_true(str_is_none(get(b, S("a"))->quarantined_by));
	row = *get(b, S("a"));
	write_step(b, quarantine, &row);
	assert_true(str_eq(get(b, S("a"))->quarantined_by, S("@mod:x")));
	assert_true(str_eq(get(b, S("b"))->quarantined_by, S("@mod:x")));
	assert_true(str_is_none(get(b, S("c"))->quarantined_by));
	assert_true(str_is_none(get(b, S("safe"))->quarantined_by));
	assert_true(str_is_none(get(b, S("waits"))->quarantined_by));
	add_item(b, 6, S("later"), 44, 2, &c);
	assert_true(str_eq(get(b, S("later"))->quarantined_by, S("@mod:x")));
	{
		struct fill x = { .row = { .media = 5, .uploaded_at = 50 }, .c = c };

		write_step(b, fill, &x);
		assert_true(str_eq(get(b, S("waits"))->quarantined_by, S("@mod:x")));
	}
	row = *get(b, S("later"));
	write_step(b, unquarantine, &row);
	assert_true(str_is_none(get(b, S("a"))->quarantined_by));
	add_item(b, 7, S("after"), 44, 2, &c);
	assert_true(str_is_none(get(b, S("after"))->quarantined_by));
}
BOTH(quarantine_is_of_the_content)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(an_item_is_what_was_put),
		BOTH_TESTS(equal_contents_are_one_until_the_last_goes),
		BOTH_TESTS(only_unused_contents_are_forgotten),
		BOTH_TESTS(a_created_item_is_filled_once_and_in_time),
		BOTH_TESTS(what_waits_is_counted_and_expires),
		BOTH_TESTS(uploads_are_summed_by_user_and_time),
		BOTH_TESTS(quarantine_is_of_the_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
