/* Files and folders of the server's own: never written over, never open to others, locked by one. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/files.h"

static char dir[] = "/tmp/hearth-files-XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[sizeof(dir) + 16];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) == 0 ? 0 : -1;
}

static str path_of(struct arena *a, const char *name) { return arena_printf(a, "%s/%s", dir, name); }

static void a_file_is_never_written_over(void **state)
{
	AUTO_ARENA a = arena_new();
	const str path = path_of(a, "one");
	err *e;

	(void)state;
	assert_null(file_write_new(a, path, S("first")));
	e = file_write_new(a, path, S("second"));
	assert_non_null(e);
	assert_int_equal(e->code, ERR_CONFIG);
	assert_true(str_eq(file_read(a, path, 100), S("first")));
}

static void reading_has_a_limit(void **state)
{
	AUTO_ARENA a = arena_new();
	const str path = path_of(a, "big");

	(void)state;
	assert_null(file_write_new(a, path, S("0123456789")));
	assert_true(str_eq(file_read(a, path, 10), S("0123456789")));
	assert_true(str_is_none(file_read(a, path, 9)));
	assert_int_equal(errno, EFBIG);
	assert_true(str_is_none(file_read(a, path_of(a, "none"), 9)));
	assert_int_equal(errno, ENOENT);
}

static void folders_are_made_for_their_owner_alone(void **state)
{
	AUTO_ARENA a = arena_new();
	struct stat st;

	(void)state;
	assert_null(folder_make(a, path_of(a, "a/b/c")));
	assert_null(folder_make(a, path_of(a, "a/b/c")));
	assert_int_equal(stat(path_of(a, "a/b").p, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_null(file_write_new(a, path_of(a, "file"), S("")));
	assert_non_null(folder_make(a, path_of(a, "file/below")));
}

static void a_folder_is_locked_by_one(void **state)
{
	AUTO_ARENA a = arena_new();
	err *e;

	(void)state;
	assert_null(folder_lock(a, str_c(dir)));
	e = folder_lock(a, str_c(dir));
	assert_non_null(e);
	assert_true(str_starts(e->msg, S("another server uses the folder")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_never_written_over),
		cmocka_unit_test(reading_has_a_limit),
		cmocka_unit_test(folders_are_made_for_their_owner_alone),
		cmocka_unit_test(a_folder_is_locked_by_one),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
