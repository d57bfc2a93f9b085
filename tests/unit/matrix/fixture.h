/* fixture.h - what the tests of matrix/ share: an arena per test, JSON from text, the key of the specification's
 * vectors. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/b64.h"
#include "matrix/event.h"

static struct arena *A;
static struct ed25519_key KEY;
static const struct signer SIGNER = { .server_name = STR("domain"), .key_id = STR("ed25519:1"), .key = &KEY };

static int fixture_setup(void **state)
{
	(void)state;
	crypto_init();
	A = arena_new();
	ed25519_from_seed(&KEY, (const uint8_t *)b64_decode(A, S("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")).p);
	return 0;
}

static int fixture_teardown(void **state)
{
	(void)state;
	arena_free(&A);
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

/* Fails the test with the error's words. */
#define must(call)                                                                                                     \
	do {                                                                                                           \
		const err *must_e_ = (call);                                                                           \
		if (must_e_)                                                                                           \
			fail_msg("%s: %.*s (%s)", #call, STR_ARG(must_e_->msg), must_e_->where);                       \
	} while (0)

/* assert_true with a name for the row of a table. */
#define ok(condition, ...)                                                                                             \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			print_error(__VA_ARGS__);                                                                      \
			print_error("\n");                                                                             \
			fail_msg("%s", #condition);                                                                    \
		}                                                                                                      \
	} while (0)

static inline void assert_str(str got, str wanted)
{
	if (!str_eq(got, wanted) || str_is_none(got) != str_is_none(wanted))
		fail_msg("got %s\"%.*s\", wanted %s\"%.*s\"", str_is_none(got) ? "none " : "", (int)got.n,
			 got.p ? got.p : "", str_is_none(wanted) ? "none " : "", (int)wanted.n,
			 wanted.p ? wanted.p : "");
}

static inline struct json *parse(const char *text)
{
	static const struct json_limits limits = { .max_bytes = 1 << 24, .max_depth = 5000, .max_values = 1 << 22 };
	struct json *out = NULL;

	must(json_parse(A, arena_keep(A, str_c(text)), &limits, &out));
	return out;
}

static inline str canonical(const struct json *json)
{
	str out = STR_NONE;

	must(json_canonical(A, json, true, &out));
	return out;
}

/* A file of the tree, whole. */
static inline str slurp(const char *path)
{
	FILE *f = fopen(path, "rb");
	AUTO_BUF b = BUF_INIT(1 << 24);
	char block[65536];
	size_t n;

	if (!f)
		fail_msg("%s: cannot be opened", path);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		buf_add(&b, (str){ block, n });
	fclose(f);
	return arena_keep(A, buf_str(&b));
}
