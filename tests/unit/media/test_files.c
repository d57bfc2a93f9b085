/* Contents on disk: what is there after each place where the server may have stopped. */
#include "repo.h"

#include "media/files.h"
#include "store/media.h"
#include "store/tx.h"

struct folder {
	struct both *b;
	struct files *f;
};

static void begin(struct folder *d, struct both *b)
{
	*d = (struct folder){ .b = b };
	crypto_init();
	repo_remove_left();
	snprintf(repo_dir, sizeof(repo_dir), "%s.media", b->dir);
	both_ok(files_new(b->a, str_c(repo_dir), &d->f));
}

static void end(struct folder *d)
{
	files_free(&d->f);
	repo_remove_left();
}

static err *add_row(struct tx *tx, void *arg)
{
	int64_t content;

	return store_content_ref(tx, arg, &content);
}
static void commit_row(struct folder *d, int64_t content, const uint8_t hash[32])
{
	struct store_content c = { content, { (const char *)hash, 32 }, 5 };

	both_ok(store_do(d->b->st, d->b->a, add_row, &c));
}

static err *delete_row(struct tx *tx, void *arg)
{
	TRY(store_content_unref(tx, *(int64_t *)arg));
	return store_contents_forget(tx, arg, 1);
}

static struct new_file *written(struct folder *d, int64_t content, const char *text)
{
	struct new_file *n;

	both_ok(new_file_begin(d->f, d->b->a, content, &n));
	both_ok(new_file_write(n, d->b->a, str_c(text)));
	return n;
}

/* What stands in the file, or STR_NONE. */
static str contents(struct folder *d, int64_t content, const uint8_t hash[32])
{
	char *p = arena_alloc(d->b->a, 100);
	ssize_t n;
	int fd;

	both_ok(files_open(d->f, d->b->a, content, hash, &fd));
	if (fd < 0)
		return STR_NONE;
	n = read(fd, p, 100);
	close(fd);
	assert_true(n >= 0);
	return (str){ p, (size_t)n };
}

static void a_kept_file_is_in_its_place(struct both *b)
{
	struct new_file *n;
	struct folder d;
	uint8_t hash[32], want[32];
	struct stat st;
	char path[256];

	begin(&d, b);
	n = written(&d, 17, "hel");
	both_ok(new_file_write(n, b->a, S("lo")));
	assert_int_equal(new_file_size(n), 5);
	both_ok(new_file_seal(n, b->a, hash));
	sha256(S("hello"), want);
	assert_memory_equal(hash, want, 32);
	commit_row(&d, 17, hash);
	assert_true(str_eq(contents(&d, 17, hash), S("hello"))); /* before it is in place, too */
	new_file_keep(n, 17);
	new_file_drop(&n);
	assert_null(n);
	assert_true(str_eq(contents(&d, 17, hash), S("hello")));
	snprintf(path, sizeof(path), "%s/2/cf/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824-17",
		 repo_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(repo_dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_true(str_is_none(contents(&d, 18, hash)));
	end(&d);
}
BOTH(a_kept_file_is_in_its_place)

static void a_dropped_file_is_gone(struct both *b)
{
	struct new_file *n;
	struct folder d;
	uint8_t hash[32];

	begin(&d, b);
	n = written(&d, 17, "hello");
	assert_int_equal(repo_files("/tmp"), 1);
	new_file_drop(&n);
	assert_int_equal(repo_files(""), 0);
	n = written(&d, 18, "hello");
	both_ok(new_file_seal(n, b->a, hash));
	new_file_drop(&n);
	assert_int_equal(repo_files(""), 0);
	new_file_drop(&n);
	end(&d);
}
BOTH(a_dropped_file_is_gone)

/* The server stops after each step of an upload; the next start leaves the content there whole, or not at all. */
static void an_upload_may_stop_anywhere(struct both *b)
{
	struct folder d;
	uint8_t hash[32];

	begin(&d, b);
	for (unsigned stop = 0; stop < 4; stop++) {
		const int64_t content = 20 + stop;
		char text[32];
		struct new_file *n;

		snprintf(text, sizeof(text), "contents %u", stop);
		n = written(&d, content, text);
		if (stop >= 1)
			both_ok(new_file_seal(n, b->a, hash));
		if (stop >= 2)
			commit_row(&d, content, hash);
		if (stop >= 3)
			new_file_keep(n, content);
		new_file_leave(n); /* as the end of a process leaves it: no lock, and nothing removed */
		new_file_drop(&n);
		both_ok(files_settle(d.f, b->a, b->st));
		assert_int_equal(repo_files("/tmp"), 0);
		if (stop >= 2)
			assert_true(str_eq(contents(&d, content, hash), str_c(text)));
	}
	assert_int_equal(repo_files(""), 2);
	end(&d);
}
BOTH(an_upload_may_stop_anywhere)

static void a_sweep_may_stop_anywhere(struct both *b)
{
	struct folder d;
	uint8_t hash[32];

	begin(&d, b);
	for (int64_t stop = 0; stop < 3; stop++) {
		int64_t content = 30 + stop;
		struct new_file *n = written(&d, content, stop == 0 ? "a" : stop == 1 ? "b" : "c");

		both_ok(new_file_seal(n, b->a, hash));
		commit_row(&d, content, hash);
		new_file_keep(n, content);
		new_file_drop(&n);
		files_set_aside(d.f, content, hash);
		assert_int_equal(repo_files("/tmp"), 1);
		assert_int_equal(contents(&d, content, hash).n, 1); /* readable until the row is gone, and after */
		if (stop >= 1)
			both_ok(store_do(b->st, b->a, delete_row, &content));
		if (stop >= 2)
			files_remove(d.f, content, hash);
		both_ok(files_settle(d.f, b->a, b->st));
		assert_int_equal(repo_files("/tmp"), 0);
		assert_int_equal(str_is_none(contents(&d, content, hash)), stop >= 1);
		assert_int_equal(repo_files(""), 1); /* the first, which was put back */
	}
	end(&d);
}
BOTH(a_sweep_may_stop_anywhere)

static void who_writes_is_left_alone(struct both *b)
{
	struct new_file *n;
	struct folder d;
	uint8_t hash[32];
	char path[128];
	FILE *other;

	begin(&d, b);
	n = written(&d, 17, "hello");
	snprintf(path, sizeof(path), "%s/tmp/notes.txt", repo_dir);
	other = fopen(path, "w");
	assert_non_null(other);
	fclose(other);
	both_ok(files_settle(d.f, b->a, b->st));
	assert_int_equal(repo_files("/tmp"), 2);
	both_ok(new_file_seal(n, b->a, hash));
	commit_row(&d, 17, hash);
	new_file_keep(n, 17);
	new_file_drop(&n);
	assert_true(str_eq(contents(&d, 17, hash), S("hello")));
	end(&d);
}
BOTH(who_writes_is_left_alone)

/* The same bytes are there under another number: this copy goes, unless the other one's file was lost. */
static void a_second_copy_goes_unless_the_first_was_lost(struct both *b)
{
	struct folder d;
	uint8_t hash[32];

	begin(&d, b);
	for (int64_t content = 41; content <= 43; content++) {
		struct new_file *n = written(&d, content, "hello");

		both_ok(new_file_seal(n, b->a, hash));
		new_file_keep(n, 41);
		new_file_drop(&n);
		assert_int_equal(repo_files(""), 1);
		assert_true(str_eq(contents(&d, 41, hash), S("hello")));
		if (content == 42)
			files_remove(d.f, 41, hash);
	}
	end(&d);
}
BOTH(a_second_copy_goes_unless_the_first_was_lost)

/* The same bytes were there under another number, whose row and file went between the commit and the move. */
static void a_second_copy_of_what_went_meanwhile_goes(struct both *b)
{
	struct new_file *n;
	struct folder d;
	uint8_t hash[32];

	begin(&d, b);
	n = written(&d, 52, "hello");
	both_ok(new_file_seal(n, b->a, hash));
	new_file_keep(n, 51);
	new_file_drop(&n);
	both_ok(files_settle(d.f, b->a, b->st));
	assert_int_equal(repo_files(""), 0);
	end(&d);
}
BOTH(a_second_copy_of_what_went_meanwhile_goes)

static void a_folder_that_cannot_be_is_said(struct both *b)
{
	struct files *f = NULL;

	refused(files_new(b->a, S("/dev/null/media"), &f), ERR_CONFIG);
	assert_null(f);
}
BOTH(a_folder_that_cannot_be_is_said)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(a_kept_file_is_in_its_place),     BOTH_TESTS(a_dropped_file_is_gone),
		BOTH_TESTS(an_upload_may_stop_anywhere),     BOTH_TESTS(a_sweep_may_stop_anywhere),
		BOTH_TESTS(who_writes_is_left_alone),        BOTH_TESTS(a_second_copy_goes_unless_the_first_was_lost),
		BOTH_TESTS(a_folder_that_cannot_be_is_said), BOTH_TESTS(a_second_copy_of_what_went_meanwhile_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
