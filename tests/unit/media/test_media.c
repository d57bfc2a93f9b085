/* The content repository's service: uploads, items, limits, quarantine, what is forgotten. */
#include "repo.h"

#include "http/http.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "store/fault.h"
#include "store/tx.h"

static struct media_upload_cmd by(int64_t user)
{
	return (struct media_upload_cmd){ .user = user,
					  .user_id = S("@u:x.org"),
					  .content_type = S("text/plain"),
					  .filename = S("a.txt"),
					  .length = -1 };
}

static str put(struct repo *r, int64_t user, str bytes)
{
	const struct media_upload_cmd cmd = by(user);
	str mxc;

	both_ok(media_put(r->m, r->b->a, &cmd, bytes, &mxc));
	assert_true(str_starts(mxc, S("mxc://x.org/")));
	return str_from(mxc, 12);
}

static err *find(struct repo *r, str id, struct media_item *out)
{
	const struct media_find_cmd cmd = { .server_name = S("x.org"), .media_id = id };

	return media_find(r->m, r->b->a, &cmd, NULL, out);
}

static str bytes_of(struct repo *r, const struct media_item *item)
{
	char *p = arena_alloc(r->b->a, (size_t)item->size + 1);
	ssize_t n;
	int fd;

	both_ok(media_open(r->m, r->b->a, item, &fd));
	n = read(fd, p, (size_t)item->size + 1);
	close(fd);
	assert_true(n >= 0);
	return (str){ p, (size_t)n };
}

static void has(struct repo *r, str id, str bytes)
{
	struct media_item item;

	both_ok(find(r, id, &item));
	assert_int_equal(item.size, bytes.n);
	assert_true(str_eq(bytes_of(r, &item), bytes));
}

static void what_was_put_is_found(struct both *b)
{
	struct media_item item;
	struct repo r;
	uint8_t hash[32];
	str id;

	repo_begin(&r, b);
	id = put(&r, 42, S("hello"));
	both_ok(find(&r, id, &item));
	assert_true(str_eq(item.server_name, S("x.org")) && str_eq(item.media_id, id));
	assert_true(str_eq(item.content_type, S("text/plain")) && str_eq(item.filename, S("a.txt")));
	assert_int_equal(item.size, 5);
	assert_int_equal(item.uploader, 42);
	assert_true(item.created_at > 0 && item.authenticated && !item.quarantined);
	sha256(S("hello"), hash);
	assert_memory_equal(item.hash, hash, 32);
	assert_true(str_eq(bytes_of(&r, &item), S("hello")));
	id = put(&r, 42, S(""));
	has(&r, id, S(""));
	repo_end(&r);
}
BOTH(what_was_put_is_found)

static void equal_bytes_are_one_file(struct both *b)
{
	struct repo r;
	str one, two;

	repo_begin(&r, b);
	one = put(&r, 42, S("hello"));
	two = put(&r, 43, S("hello"));
	assert_false(str_eq(one, two));
	assert_int_equal(repo_files(""), 1);
	(void)put(&r, 43, S("hello "));
	assert_int_equal(repo_files(""), 2);
	both_ok(media_delete(r.m, b->a, S("x.org"), one));
	both_ok(media_keep(r.m, b->a));
	has(&r, two, S("hello"));
	both_ok(media_delete(r.m, b->a, S("x.org"), two));
	both_ok(media_keep(r.m, b->a));
	assert_int_equal(repo_files(""), 1);
	{
		struct media_item item;

		refused(find(&r, two, &item), ERR_NOT_FOUND);
		refused(media_delete(r.m, b->a, S("x.org"), two), ERR_NOT_FOUND);
	}
	repo_end(&r);
}
BOTH(equal_bytes_are_one_file)

static void what_is_no_address_is_not_found(struct both *b)
{
	static const struct {
		const char *server, *id;
		enum err_code code;
	} cases[] = {
		{ "x.org", "abcdefgh", ERR_NOT_FOUND },
		{ "x.org", "../../etc/passwd", ERR_NOT_FOUND },
		{ "x.org", "", ERR_NOT_FOUND },
		{ "x.org", "a.b", ERR_NOT_FOUND },
		{ "x.org", "a/b", ERR_NOT_FOUND },
		{ "x.org", "\xc3\xa4", ERR_NOT_FOUND },
		{ "other.org", "abcdefgh", ERR_NOT_FOUND },
		{ "x.org:8448", "abcdefgh", ERR_NOT_FOUND },
		{ "..", "abc", ERR_NOT_FOUND },
		{ "x/y", "abc", ERR_INVALID_PARAM },
		{ "", "abc", ERR_INVALID_PARAM },
	};
	struct media_item item;
	struct repo r;

	repo_begin(&r, b);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct media_find_cmd cmd = { .server_name = str_c(cases[i].server),
						    .media_id = str_c(cases[i].id) };

		refused(media_find(r.m, b->a, &cmd, NULL, &item), cases[i].code);
	}
	repo_end(&r);
}
BOTH(what_is_no_address_is_not_found)

static void types_and_names_are_bounded(struct both *b)
{
	static const struct {
		const char *given, *kept;
	} types[] = {
		{ "image/png", "image/png" },
		{ " text/html; charset=utf-8 ", "text/html; charset=utf-8" },
		{ "", "application/octet-stream" },
		{ "png", "application/octet-stream" },
		{ "/png", "application/octet-stream" },
		{ "image/", "application/octet-stream" },
		{ "image/png\r\nX: y", "application/octet-stream" },
		{ "image/p ng", "application/octet-stream" },
		{ "image/\xc3\xa4", "application/octet-stream" },
	};
	struct media_upload_cmd cmd = by(42);
	struct media_item item;
	struct repo r;
	char name[1026];
	str mxc;

	repo_begin(&r, b);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		cmd.content_type = str_c(types[i].given);
		both_ok(media_put(r.m, b->a, &cmd, S("x"), &mxc));
		both_ok(find(&r, str_from(mxc, 12), &item));
		if (!str_eq(item.content_type, str_c(types[i].kept)))
			fail_msg("%s became %.*s", types[i].given, STR_ARG(item.content_type));
	}
	cmd.content_type = STR_NONE;
	cmd.filename = STR_NONE;
	both_ok(media_put(r.m, b->a, &cmd, S("x"), &mxc));
	both_ok(find(&r, str_from(mxc, 12), &item));
	assert_true(str_eq(item.content_type, S("application/octet-stream")) && str_is_none(item.filename));
	memset(name, 'n', sizeof(name));
	cmd.filename = (str){ name, 1024 };
	both_ok(media_put(r.m, b->a, &cmd, S("x"), &mxc));
	both_ok(find(&r, str_from(mxc, 12), &item));
	assert_int_equal(item.filename.n, 1024);
	cmd.filename = (str){ name, 1025 };
	refused(media_put(r.m, b->a, &cmd, S("x"), &mxc), ERR_INVALID_PARAM);
	cmd.filename = S("\xff");
	refused(media_put(r.m, b->a, &cmd, S("x"), &mxc), ERR_INVALID_PARAM);
	repo_end(&r);
}
BOTH(types_and_names_are_bounded)

/* Whatever length is announced. */
static void no_file_is_too_large(struct both *b)
{
	struct media_upload_cmd cmd = by(42);
	struct media_upload *up;
	struct repo r;
	str mxc;

	repo_begin(&r, b);
	cmd.length = 1000001;
	refused(media_upload_begin(r.m, b->a, &cmd, &up), ERR_TOO_LARGE);
	for (cmd.length = -1; cmd.length < 11; cmd.length += 11) {
		char *piece = arena_zalloc(b->a, 500000);

		both_ok(media_upload_begin(r.m, b->a, &cmd, &up));
		both_ok(media_upload_take(up, b->a, (str){ piece, 500000 }));
		both_ok(media_upload_take(up, b->a, (str){ piece, 500000 }));
		refused(media_upload_take(up, b->a, S("1")), ERR_TOO_LARGE);
		media_upload_drop(&up);
		assert_int_equal(repo_files(""), 0);
		both_ok(media_upload_begin(r.m, b->a, &cmd, &up));
		both_ok(media_upload_take(up, b->a, (str){ piece, 500000 }));
		both_ok(media_upload_take(up, b->a, (str){ piece, 500000 }));
		both_ok(media_upload_end(up, b->a, &mxc));
		media_upload_drop(&up);
		assert_int_equal(repo_files(""), 1);
		both_ok(media_delete(r.m, b->a, S("x.org"), str_from(mxc, 12)));
		both_ok(media_keep(r.m, b->a));
	}
	repo_end(&r);
}
BOTH(no_file_is_too_large)

static str created(struct repo *r, int64_t user)
{
	int64_t expires;
	str mxc;

	both_ok(media_create(r->m, r->b->a, user, &mxc, &expires));
	assert_true(expires > 3600000);
	return str_from(mxc, 12);
}

static void an_item_is_created_then_uploaded(struct both *b)
{
	struct media_upload_cmd cmd = by(42), other = by(43);
	struct media_item item;
	struct repo r;
	str mxc;

	repo_begin(&r, b);
	cmd.media_id = other.media_id = created(&r, 42);
	refused(find(&r, cmd.media_id, &item), ERR_NOT_YET_UPLOADED);
	refused(media_put(r.m, b->a, &other, S("x"), &mxc), ERR_FORBIDDEN);
	both_ok(media_put(r.m, b->a, &cmd, S("hello"), &mxc));
	assert_true(str_eq(str_from(mxc, 12), cmd.media_id));
	has(&r, cmd.media_id, S("hello"));
	refused(media_put(r.m, b->a, &cmd, S("other"), &mxc), ERR_CANNOT_OVERWRITE_MEDIA);
	has(&r, cmd.media_id, S("hello"));
	cmd.media_id = S("neverCreated");
	refused(media_put(r.m, b->a, &cmd, S("x"), &mxc), ERR_NOT_FOUND);
	cmd.media_id = put(&r, 42, S("at once"));
	refused(media_put(r.m, b->a, &cmd, S("x"), &mxc), ERR_CANNOT_OVERWRITE_MEDIA);
	repo_end(&r);
}
BOTH(an_item_is_created_then_uploaded)

/* Of two uploads at once to one address the second to end is refused, and its bytes are gone. */
static void one_of_two_uploads_wins(struct both *b)
{
	struct media_upload_cmd cmd = by(42);
	struct media_upload *one, *two;
	struct repo r;
	str mxc;

	repo_begin(&r, b);
	cmd.media_id = created(&r, 42);
	both_ok(media_upload_begin(r.m, b->a, &cmd, &one));
	both_ok(media_upload_begin(r.m, b->a, &cmd, &two));
	both_ok(media_upload_take(one, b->a, S("one")));
	both_ok(media_upload_take(two, b->a, S("two")));
	both_ok(media_upload_end(two, b->a, &mxc));
	refused(media_upload_end(one, b->a, &mxc), ERR_CANNOT_OVERWRITE_MEDIA);
	media_upload_drop(&one);
	media_upload_drop(&two);
	has(&r, cmd.media_id, S("two"));
	assert_int_equal(repo_files(""), 1);
	repo_end(&r);
}
BOTH(one_of_two_uploads_wins)

static void what_is_not_uploaded_expires(struct both *b)
{
	struct media_upload_cmd cmd = by(42);
	struct media_upload *up;
	struct media_item item;
	struct repo r;
	str mxc;

	repo_begin(&r, b);
	cmd.media_id = created(&r, 42);
	both_ok(media_upload_begin(r.m, b->a, &cmd, &up)); /* while there was time */
	media_upload_drop(&up);
	media_free(&r.m);
	r.opt.unused_expiration_ms = -1; /* from now on everything has expired when it is made */
	repo_open(&r);
	both_ok(media_create(r.m, b->a, 42, &mxc, &(int64_t){ 0 }));
	cmd.media_id = str_from(mxc, 12);
	refused(find(&r, cmd.media_id, &item), ERR_NOT_FOUND);
	refused(media_put(r.m, b->a, &cmd, S("x"), &mxc), ERR_NOT_FOUND);
	for (unsigned i = 0; i < 10; i++) /* what has expired does not count among those that wait */
		both_ok(media_create(r.m, b->a, 42, &mxc, &(int64_t){ 0 }));
	both_ok(media_keep(r.m, b->a));
	refused(find(&r, str_from(mxc, 12), &item), ERR_NOT_FOUND);
	repo_end(&r);
}
BOTH(what_is_not_uploaded_expires)

static void few_uploads_of_a_user_wait(struct both *b)
{
	struct media_upload_cmd cmd = by(42);
	int64_t expires;
	struct repo r;
	const err *e;
	str mxc;

	repo_begin(&r, b);
	cmd.media_id = created(&r, 42);
	(void)created(&r, 42);
	(void)created(&r, 42);
	e = media_create(r.m, b->a, 42, &mxc, &expires);
	assert_non_null(e);
	assert_int_equal(e->code, ERR_LIMIT_EXCEEDED);
	assert_true(str_starts(e->extra, S("\"retry_after_ms\":35")) ||
		    str_starts(e->extra, S("\"retry_after_ms\":36")));
	(void)created(&r, 43);
	both_ok(media_put(r.m, b->a, &cmd, S("x"), &mxc));
	(void)created(&r, 42);
	repo_end(&r);
}
BOTH(few_uploads_of_a_user_wait)

static void a_user_uploads_so_much_and_no_more(struct both *b)
{
	static const struct media_limit limits[] = { { 1000, 86400000, { 0 }, false },
						     { 12, 3600000, STR("https://x.org/\"limits"), true } };
	struct media_upload_cmd cmd = by(42);
	struct media_upload *up;
	struct repo r;
	const err *e;
	str mxc;

	repo_begin(&r, b);
	media_free(&r.m);
	r.opt.limits = limits;
	r.opt.n_limits = 2;
	repo_open(&r);
	(void)put(&r, 42, S("0123456789"));
	cmd.length = 3;
	refused(media_upload_begin(r.m, b->a, &cmd, &up), ERR_USER_LIMIT); /* before any byte */
	cmd.length = 1;                                                    /* it lies */
	e = media_put(r.m, b->a, &cmd, S("012"), &mxc);
	assert_non_null(e);
	assert_int_equal(e->code, ERR_USER_LIMIT);
	assert_true(str_eq(e->extra, S("\"info_uri\":\"https://x.org/\\\"limits\",\"can_upgrade\":true")));
	assert_int_equal(repo_files(""), 1);
	(void)put(&r, 42, S("01"));
	refused(media_put(r.m, b->a, &(struct media_upload_cmd){ .user = 42, .length = -1 }, S("0"), &mxc),
		ERR_USER_LIMIT);
	(void)put(&r, 42, S(""));
	(void)put(&r, 43, S("0123456789"));
	e = media_put(r.m, b->a, &(struct media_upload_cmd){ .user = 44, .length = -1 },
		      (str){ arena_zalloc(b->a, 1001), 1001 }, &mxc);
	assert_true(str_eq(e->extra, S("\"info_uri\":\"https://x.org/\",\"can_upgrade\":false")));
	both_ok(media_put(r.m, b->a, &(struct media_upload_cmd){ .length = -1 },
			  (str){ arena_zalloc(b->a, 1001), 1001 }, &mxc)); /* the server itself has no limit */
	repo_end(&r);
}
BOTH(a_user_uploads_so_much_and_no_more)

static void few_uploads_of_a_user_are_under_way(struct both *b)
{
	const struct media_upload_cmd cmd = by(42), other = by(43), nobody = by(0);
	struct media_upload *up[MEDIA_MAX_UPLOADS], *more;
	struct repo r;

	repo_begin(&r, b);
	for (size_t i = 0; i < MEDIA_MAX_UPLOADS; i++)
		both_ok(media_upload_begin(r.m, b->a, &cmd, &up[i]));
	refused(media_upload_begin(r.m, b->a, &cmd, &more), ERR_LIMIT_EXCEEDED);
	both_ok(media_upload_begin(r.m, b->a, &other, &more));
	media_upload_drop(&more);
	media_upload_drop(&up[7]);
	both_ok(media_upload_begin(r.m, b->a, &cmd, &up[7]));
	refused(media_upload_begin(r.m, b->a, &cmd, &more), ERR_LIMIT_EXCEEDED);
	for (size_t i = 0; i < MEDIA_MAX_UPLOADS; i++)
		media_upload_drop(&up[i]);
	for (size_t i = 0; i < MEDIA_MAX_UPLOADS; i++) /* the server's own are not counted */
		both_ok(media_upload_begin(r.m, b->a, &nobody, &up[i]));
	both_ok(media_upload_begin(r.m, b->a, &nobody, &more));
	media_upload_drop(&more);
	for (size_t i = 0; i < MEDIA_MAX_UPLOADS; i++)
		media_upload_drop(&up[i]);
	assert_int_equal(repo_files(""), 0);
	repo_end(&r);
}
BOTH(few_uploads_of_a_user_are_under_way)

static err *find_as(struct repo *r, str id, bool legacy, bool quarantined_also)
{
	const struct media_find_cmd cmd = {
		.server_name = S("x.org"), .media_id = id, .legacy = legacy, .quarantined_also = quarantined_also
	};
	struct media_item item;

	return media_find(r->m, r->b->a, &cmd, NULL, &item);
}

static void what_is_younger_than_the_freeze_needs_a_login(struct both *b)
{
	struct media_upload_cmd cmd = by(42);
	str before, early, after, waits, mxc;
	struct repo r;

	repo_begin(&r, b);
	media_free(&r.m);
	r.opt.open = true;
	repo_open(&r);
	before = put(&r, 42, S("before"));
	both_ok(find_as(&r, before, true, false));
	early = created(&r, 42);
	media_free(&r.m);
	r.opt.open = false;
	repo_open(&r);
	cmd.media_id = early; /* an address is not older than what is uploaded to it */
	both_ok(media_put(r.m, b->a, &cmd, S("late"), &mxc));
	refused(find_as(&r, early, true, false), ERR_NOT_FOUND);
	after = put(&r, 42, S("after"));
	waits = created(&r, 42);
	both_ok(find_as(&r, before, true, false));
	refused(find_as(&r, after, true, false), ERR_NOT_FOUND);
	refused(find_as(&r, waits, true, false), ERR_NOT_FOUND);
	both_ok(find_as(&r, after, false, false));
	media_free(&r.m);
	r.opt.open = true;
	repo_open(&r);
	both_ok(find_as(&r, after, true, false));
	refused(find_as(&r, waits, true, false), ERR_NOT_YET_UPLOADED);
	repo_end(&r);
}
BOTH(what_is_younger_than_the_freeze_needs_a_login)

static void quarantined_items_are_not_there(struct both *b)
{
	struct repo r;
	str one, two, safe;

	repo_begin(&r, b);
	one = put(&r, 42, S("bad"));
	two = put(&r, 43, S("bad"));
	safe = put(&r, 43, S("safe"));
	both_ok(media_protect(r.m, b->a, safe, true));
	both_ok(media_quarantine(r.m, b->a, S("x.org"), one, S("@mod:x.org")));
	both_ok(media_quarantine(r.m, b->a, S("x.org"), safe, S("@mod:x.org")));
	refused(find_as(&r, one, false, false), ERR_NOT_FOUND);
	refused(find_as(&r, two, false, false), ERR_NOT_FOUND);
	both_ok(find_as(&r, two, false, true));
	both_ok(find_as(&r, safe, false, false));
	refused(find_as(&r, put(&r, 44, S("bad")), false, false), ERR_NOT_FOUND);
	both_ok(media_unquarantine(r.m, b->a, S("x.org"), two));
	both_ok(find_as(&r, one, false, false));
	both_ok(find_as(&r, put(&r, 44, S("bad")), false, false));
	both_ok(media_protect(r.m, b->a, safe, false));
	both_ok(media_quarantine(r.m, b->a, S("x.org"), safe, S("@mod:x.org")));
	refused(find_as(&r, safe, false, false), ERR_NOT_FOUND);
	refused(media_quarantine(r.m, b->a, S("x.org"), S("none"), S("@mod:x.org")), ERR_NOT_FOUND);
	refused(media_quarantine(r.m, b->a, S("other.org"), one, S("@mod:x.org")), ERR_NOT_FOUND);
	repo_end(&r);
}
BOTH(quarantined_items_are_not_there)

static void all_of_a_user_goes(struct both *b)
{
	char text[16];
	struct repo r;
	int64_t n;
	str kept;

	repo_begin(&r, b);
	kept = put(&r, 43, S("7"));
	for (unsigned i = 0; i < 205; i++) {
		snprintf(text, sizeof(text), "%u", i % 10);
		(void)put(&r, 42, str_c(text));
	}
	(void)created(&r, 42);
	both_ok(media_delete_user(r.m, b->a, 42, &n));
	assert_int_equal(n, 206);
	both_ok(media_keep(r.m, b->a));
	assert_int_equal(repo_files(""), 1);
	has(&r, kept, S("7"));
	both_ok(media_delete_user(r.m, b->a, 42, &n));
	assert_int_equal(n, 0);
	repo_end(&r);
}
BOTH(all_of_a_user_goes)

/* A commit that fails leaves neither an item nor, once it is tidied, a file. */
static void a_failed_commit_leaves_nothing(struct both *b)
{
	const struct media_upload_cmd cmd = by(42);
	struct repo r;
	str mxc;

	repo_begin(&r, b);
	(void)put(&r, 42, S("one"));
	(void)put(&r, 42, S("two")); /* no more numbers are reserved from here on */
	for (int64_t nth = 1; nth <= 2; nth++) {
		store_fault(b->st, FAULT_STATEMENT, nth);
		refused(media_put(r.m, b->a, &cmd, S("hello"), &mxc), ERR_STORE);
		store_fault(b->st, FAULT_STATEMENT, 0);
	}
	store_fault(b->st, FAULT_COMMIT, 1);
	refused(media_put(r.m, b->a, &cmd, S("hello"), &mxc), ERR_STORE);
	store_fault(b->st, FAULT_COMMIT, 0);
	both_ok(media_keep(r.m, b->a));
	assert_int_equal(repo_files(""), 2);
	has(&r, put(&r, 42, S("hello")), S("hello"));
	repo_end(&r);
}
BOTH(a_failed_commit_leaves_nothing)

static void a_full_disk_is_said_and_loses_nothing(struct both *b)
{
	const struct media_upload_cmd cmd = by(42);
	const struct rlimit none = { 1000, RLIM_INFINITY };
	struct media_upload *up;
	struct rlimit before;
	struct repo r;
	str kept, mxc;

	repo_begin(&r, b);
	kept = put(&r, 42, S("hello"));
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	both_ok(media_upload_begin(r.m, b->a, &cmd, &up));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	refused(media_upload_take(up, b->a, (str){ arena_zalloc(b->a, 2000), 2000 }), ERR_DISK_FULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	media_upload_drop(&up);
	assert_int_equal(repo_files(""), 1);
	has(&r, kept, S("hello"));
	both_ok(media_put(r.m, b->a, &cmd, S("again"), &mxc));
	repo_end(&r);
}
BOTH(a_full_disk_is_said_and_loses_nothing)

static void too_many_open_files_are_no_fault_of_the_file(struct both *b)
{
	const struct media_upload_cmd cmd = by(42);
	struct media_upload *up;
	struct rlimit before, none;
	struct media_item item;
	struct repo r;
	err *open, *begin;
	int fd;

	repo_begin(&r, b);
	both_ok(find(&r, put(&r, 42, S("hello")), &item));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	open = media_open(r.m, b->a, &item, &fd);
	begin = media_upload_begin(r.m, b->a, &cmd, &up);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	refused(open, ERR_BUSY);
	refused(begin, ERR_BUSY);
	assert_int_equal(repo_files(""), 1);
	repo_end(&r);
}
BOTH(too_many_open_files_are_no_fault_of_the_file)

static void a_lost_file_is_not_found_until_it_comes_again(struct both *b)
{
	struct media_item item;
	struct repo r;
	str id;
	int fd;

	repo_begin(&r, b);
	id = put(&r, 42, S("hello"));
	both_ok(find(&r, id, &item));
	repo_remove_left();
	snprintf(repo_dir, sizeof(repo_dir), "%s.media", b->dir);
	media_free(&r.m);
	repo_open(&r);
	refused(media_open(r.m, b->a, &item, &fd), ERR_NOT_FOUND);
	(void)put(&r, 43, S("hello"));
	has(&r, id, S("hello"));
	repo_end(&r);
}
BOTH(a_lost_file_is_not_found_until_it_comes_again)

static void who_waits_is_woken_by_the_upload(struct both *b)
{
	struct media_find_cmd find_cmd = { .server_name = S("x.org") };
	struct media_upload_cmd cmd = by(42);
	struct bus_waiter waiter = { .wake = NULL };
	struct media_wait wait = { 0 };
	struct media_item item;
	struct bus_known known;
	struct repo r;
	str mxc;

	repo_begin(&r, b);
	cmd.media_id = find_cmd.media_id = created(&r, 42);
	refused(media_find(r.m, b->a, &find_cmd, &wait, &item), ERR_NOT_YET_UPLOADED);
	assert_true(wait.user < 0 && bus_known(r.bus, wait.user, &known));
	assert_int_equal(known.seq, wait.seq);
	both_ok(media_put(r.m, b->a, &cmd, S("x"), &mxc));
	assert_false(bus_wait(r.bus, &waiter, wait.user, wait.seq)); /* something has happened since */
	both_ok(media_find(r.m, b->a, &find_cmd, &wait, &item));
	repo_end(&r);
}
BOTH(who_waits_is_woken_by_the_upload)

static int64_t accessed_at(struct repo *r, str id)
{
	AUTO_TX tx = NULL;
	struct row *row;

	both_ok(store_read(r->b->st, r->b->a, &tx));
	both_ok(tx_one(tx, "SELECT accessed_at - created_at FROM media WHERE media_id = $1", BIND(B(id)), &row));
	return row_i64(row, 0);
}

/* Looks are gathered, and written down together. */
static void looks_are_noted(struct both *b)
{
	struct media_item item;
	uint64_t statements;
	struct repo r;
	str one, two;

	repo_begin(&r, b);
	one = put(&r, 42, S("one"));
	two = put(&r, 42, S("two"));
	both_ok(find(&r, one, &item));
	while (clock_ms() <= item.created_at)
		continue; /* a millisecond later */
	assert_int_equal(accessed_at(&r, one), 0);
	statements = store_statements_here();
	both_ok(media_keep(r.m, b->a));
	assert_true(accessed_at(&r, one) > 0);
	assert_int_equal(accessed_at(&r, two), 0);
	assert_true(store_statements_here() - statements <= 6);
	repo_end(&r);
}
BOTH(looks_are_noted)

static void a_source_gives_its_part_of_a_file(struct both *b)
{
	struct media_item item;
	struct repo r;
	void *source;
	char p[8];
	size_t n;
	int fd;

	repo_begin(&r, b);
	both_ok(find(&r, put(&r, 42, S("0123456789")), &item));
	both_ok(media_open(r.m, b->a, &item, &fd));
	source = media_source(fd, 3, 5);
	both_ok(media_source_ops.fill(source, b->a, p, 4, &n));
	assert_int_equal(n, 4);
	assert_memory_equal(p, "3456", 4);
	both_ok(media_source_ops.fill(source, b->a, p, 4, &n));
	assert_int_equal(n, 1);
	assert_int_equal(p[0], '7');
	media_source_ops.drop(source);
	both_ok(media_open(r.m, b->a, &item, &fd));
	source = media_source(fd, 8, 5); /* longer than the file is */
	both_ok(media_source_ops.fill(source, b->a, p, 4, &n));
	assert_int_equal(n, 2);
	refused(media_source_ops.fill(source, b->a, p, 4, &n), ERR_STORE);
	media_source_ops.drop(source);
	repo_end(&r);
}
BOTH(a_source_gives_its_part_of_a_file)

static void an_upload_is_two_statements_and_one_commit(struct both *b)
{
	const struct media_upload_cmd cmd = by(42);
	uint64_t statements, commits;
	struct media_item item;
	struct repo r;
	str id, mxc;

	repo_begin(&r, b);
	id = put(&r, 42, S("before"));
	statements = store_statements_here();
	commits = store_commits_here();
	both_ok(media_put(r.m, b->a, &cmd, S("hello"), &mxc));
	assert_int_equal(store_statements_here() - statements, 2);
	assert_int_equal(store_commits_here() - commits, 1);
	statements = store_statements_here();
	both_ok(find(&r, id, &item));
	assert_int_equal(store_statements_here() - statements, 1);
	assert_int_equal(store_commits_here() - commits, 1);
	repo_end(&r);
}
BOTH(an_upload_is_two_statements_and_one_commit)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(what_was_put_is_found),
		BOTH_TESTS(equal_bytes_are_one_file),
		BOTH_TESTS(what_is_no_address_is_not_found),
		BOTH_TESTS(types_and_names_are_bounded),
		BOTH_TESTS(no_file_is_too_large),
		BOTH_TESTS(an_item_is_created_then_uploaded),
		BOTH_TESTS(one_of_two_uploads_wins),
		BOTH_TESTS(what_is_not_uploaded_expires),
		BOTH_TESTS(few_uploads_of_a_user_wait),
		BOTH_TESTS(a_user_uploads_so_much_and_no_more),
		BOTH_TESTS(few_uploads_of_a_user_are_under_way),
		BOTH_TESTS(what_is_younger_than_the_freeze_needs_a_login),
		BOTH_TESTS(quarantined_items_are_not_there),
		BOTH_TESTS(all_of_a_user_goes),
		BOTH_TESTS(a_failed_commit_leaves_nothing),
		BOTH_TESTS(a_full_disk_is_said_and_loses_nothing),
		BOTH_TESTS(too_many_open_files_are_no_fault_of_the_file),
		BOTH_TESTS(a_lost_file_is_not_found_until_it_comes_again),
		BOTH_TESTS(who_waits_is_woken_by_the_upload),
		BOTH_TESTS(looks_are_noted),
		BOTH_TESTS(a_source_gives_its_part_of_a_file),
		BOTH_TESTS(an_upload_is_two_statements_and_one_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
