/* test.h - cmocka, and the few words that our unit tests add to it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

/* A check with a sentence that says what is broken when it fails. */
#define ok(cond, ...)                                                                                                  \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			print_error("%s:%d: %s\n  ", __FILE__, __LINE__, #cond);                                       \
			print_error(__VA_ARGS__);                                                                      \
			print_error("\n");                                                                             \
			fail();                                                                                        \
		}                                                                                                      \
	} while (0)

/* Two texts, both shown when they differ. */
#define same_str(got, ...) same_str_at((got), (__VA_ARGS__), __FILE__, __LINE__)
static inline void same_str_at(str got, str want, const char *file, int line)
{
	if (str_eq(got, want) && str_is_none(got) == str_is_none(want))
		return;
	print_error("%s:%d: got  %.*s\n  want %.*s\n", file, line, str_is_none(got) ? 6 : (int)got.n,
		    str_is_none(got) ? "(none)" : got.p, str_is_none(want) ? 6 : (int)want.n,
		    str_is_none(want) ? "(none)" : want.p);
	fail();
}

#define good(call)                                                                                                     \
	do {                                                                                                           \
		err *good_e_ = (call);                                                                                 \
		if (good_e_) {                                                                                         \
			print_error("%s:%d: %s\n  %s: %.*s\n", __FILE__, __LINE__, #call, good_e_->where,              \
				    STR_ARG(good_e_->msg));                                                            \
			fail();                                                                                        \
		}                                                                                                      \
	} while (0)

/* The call must fail with this code. */
#define fails_with(call, want)                                                                                         \
	do {                                                                                                           \
		err *fails_e_ = (call);                                                                                \
		ok(fails_e_, "no error");                                                                              \
		ok(fails_e_->code == (want), "another error: %s", err_errcode(fails_e_->code));                        \
	} while (0)

/* Does fn end the process by an assertion? Asked of a child, which says nothing. */
static inline bool dies(void (*fn)(void))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		const int null = open("/dev/null", O_WRONLY);

		dup2(null, STDERR_FILENO);
		/* cmocka would turn the abort into a report of its own. */
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#define TEST_MAIN(...)                                                                                                 \
	int main(void)                                                                                                 \
	{                                                                                                              \
		const struct CMUnitTest tests[] = { __VA_ARGS__ };                                                     \
		return cmocka_run_group_tests(tests, NULL, NULL);                                                      \
	}
