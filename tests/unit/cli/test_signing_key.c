/* The signing key's file: what is read, what is refused, and that nothing is ever written over. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/files.h"
#include "cli/signing_key.h"

static char dir[] = "/tmp/hearth-key-XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	crypto_init();
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

static void synapses_file_is_read(void **state)
{
	AUTO_ARENA a = arena_new();
	const str path = path_of(a, "good.key");
	struct signing_key key;
	uint8_t signature[64];

	(void)state;
	assert_null(file_write_new(a, path,
				   S("\ned25519 a_VXvq YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1\ned25519 old "
				     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")));
	assert_null(signing_key_load(a, path, false, &key));
	assert_true(str_eq(key.id, S("ed25519:a_VXvq")));
	ed25519_sign(&key.key, S("x"), signature);
	assert_true(ed25519_verify(key.key.public_key, S("x"), signature));
}

static void what_is_no_key_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "holds no key" },
		{ "\n \n", "holds no key" },
		{ "ed25519 a", "expected a line \"ed25519 VERSION KEY\"" },
		{ "ed25519 a b c", "expected a line \"ed25519 VERSION KEY\"" },
		{ "rsa a YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", "the key must be of the kind ed25519" },
		{ "ed25519 a YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3", "the key is not 32 bytes in base64" },
		{ "ed25519 a ????", "the key is not 32 bytes in base64" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		const str path = path_of(a, arena_printf(a, "bad%zu", i).p);
		struct signing_key key;
		err *e;

		assert_null(file_write_new(a, path, str_c(cases[i].text)));
		e = signing_key_load(a, path, true, &key);
		if (!e || !str_contains(e->msg, str_c(cases[i].why)) || !str_starts(e->msg, path))
			fail_msg("\"%s\": %.*s", cases[i].text, e ? (int)e->msg.n : 0, e ? e->msg.p : "");
	}
}

static void a_missing_file_is_made_once(void **state)
{
	AUTO_ARENA a = arena_new();
	const str path = path_of(a, "sub/folder/new.key");
	struct signing_key first, again;
	struct stat st;

	(void)state;
	assert_non_null(signing_key_load(a, path, false, &first));
	assert_null(signing_key_load(a, path, true, &first));
	assert_null(signing_key_load(a, path, true, &again));
	assert_true(str_eq(first.id, again.id));
	assert_memory_equal(first.key.seed, again.key.seed, 32);
	assert_int_equal(stat(path.p, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void two_keys_differ(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	assert_false(str_eq(signing_key_generate(a), signing_key_generate(a)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(synapses_file_is_read),
		cmocka_unit_test(what_is_no_key_is_refused),
		cmocka_unit_test(a_missing_file_is_made_once),
		cmocka_unit_test(two_keys_differ),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
