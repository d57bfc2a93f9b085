/* Log lines to the byte: operators' tools read them, and peers' text is in them. */
#include "test.h"

#include "base/log.h"

/* What the call writes to standard error, without its time (which is checked for form). */
static char line[8192];

static int divert(int fds[2])
{
	const int saved = dup(STDERR_FILENO);

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	return saved;
}

static str restore(int saved, int fd)
{
	ssize_t n;

	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(fd, line, sizeof(line));
	close(fd);
	assert_true(n >= 0);
	return (str){ line, (size_t)n };
}

#define WRITTEN(call)                                                                                                  \
	__extension__({                                                                                                \
		int fds_[2];                                                                                           \
		const int saved_ = divert(fds_);                                                                       \
		call;                                                                                                  \
		restore(saved_, fds_[0]);                                                                              \
	})

static void is_time(str s)
{
	const char form[] = "0000-00-00T00:00:00.000Z";

	assert_int_equal(s.n, sizeof(form) - 1);
	for (size_t i = 0; i < s.n; i++)
		ok(form[i] == '0' ? s.p[i] >= '0' && s.p[i] <= '9' : s.p[i] == form[i], "%.*s", STR_ARG(s));
}

static str after_time(str s)
{
	is_time(str_head(s, 24));
	return str_from(s, 24);
}

static void text_lines(void **state)
{
	const struct log server = { .fields = { F("server", "hs1") } };
	const struct log request = { .parent = &server, .fields = { F("request", 17), F("user", S("@u:x")) } };
	const size_t ms = 3;

	(void)state;
	log_setup(LOG_INFO, LOG_TEXT);
	same_str(after_time(WRITTEN(log_info(NULL, "room created"))), S(" INFO room created\n"));
	same_str(after_time(WRITTEN(log_warn(&request, "slow", F("ms", ms), F("room_id", S("!r:x"))))),
		 S(" WARN slow ms=3 room_id=!r:x request=17 user=@u:x server=hs1\n"));
	same_str(after_time(WRITTEN(log_error(&server, "x", F("n", INT64_MIN)))),
		 S(" ERROR x n=-9223372036854775808 server=hs1\n"));
}

static void peers_text_is_fenced(void **state)
{
	static const struct {
		str value, shown;
	} cases[] = {
		{ STR("plain"), STR("plain") },
		{ STR(""), STR("\"\"") },
		{ STR("two words"), STR("\"two words\"") },
		{ STR("a=b"), STR("\"a=b\"") },
		{ STR("say \"x\""), STR("\"say \\\"x\\\"\"") },
		{ STR("line\nERROR forged"), STR("\"line\\nERROR forged\"") },
		{ STR("\x1b[31m\x7f\0"), STR("\"\\u001b[31m\\u007f\\u0000\"") },
		{ STR("back\\slash"), STR("\"back\\\\slash\"") },
		{ STR("\xc3\xa9"), STR("\"\xc3\xa9\"") },
		{ STR("\xff"), STR("\"\xef\xbf\xbd\"") },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	log_setup(LOG_INFO, LOG_TEXT);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		same_str(after_time(WRITTEN(log_info(NULL, "m", F("v", cases[i].value)))),
			 arena_join3(a, S(" INFO m v="), cases[i].shown, S("\n")));
	same_str(after_time(WRITTEN(log_info(NULL, "m", F("v", STR_NONE)))), S(" INFO m v=-\n"));
}

static void json_lines(void **state)
{
	const struct log server = { .fields = { F("server", "hs1") } };
	str s;

	(void)state;
	log_setup(LOG_DEBUG, LOG_JSON);
	s = WRITTEN(log_debug(&server, "m \"q\"", F("s", S("a\nb")), F("i", -5), F("none", STR_NONE)));
	same_str(str_head(s, 9), S("{\"time\":\""));
	is_time(str_head(str_from(s, 9), 24));
	same_str(str_from(s, 33),
		 S("\",\"level\":\"debug\",\"msg\":\"m \\\"q\\\"\",\"s\":\"a\\nb\",\"i\":-5,\"none\":null,"
		   "\"server\":\"hs1\"}\n"));
	log_setup(LOG_INFO, LOG_TEXT);
}

static void levels(void **state)
{
	(void)state;
	log_setup(LOG_WARN, LOG_TEXT);
	assert_false(log_on(LOG_INFO));
	assert_true(log_on(LOG_WARN));
	same_str(WRITTEN(log_info(NULL, "quiet")), S(""));
	log_setup(LOG_INFO, LOG_TEXT);
}

/* However much it is given, a line is one write that a pipe does not split, whole at its end. */
static void long_values(void **state)
{
	AUTO_ARENA a = arena_new();
	const str big = arena_printf(a, "%05000d", 7);
	const struct log lg = { .fields = { F("a", big), F("b", big), F("c", big), F("d", big) } };
	str s;

	(void)state;
	for (int json = 0; json < 2; json++) {
		log_setup(LOG_INFO, json ? LOG_JSON : LOG_TEXT);
		s = WRITTEN(log_info(&lg, "m", F("x", big), F("y", big)));
		ok(s.n <= 4096, "%zu bytes", s.n);
		assert_int_equal(str_find(s, '\n'), s.n - 1);
		ok(str_ends(s, json ? S("\"}\n") : S("\"\n")), "%.*s", STR_ARG(s));
	}
	/* A value is cut between characters, and the cut is shown. */
	log_setup(LOG_INFO, LOG_TEXT);
	s = WRITTEN(log_info(NULL, "m", F("x", big)));
	ok(str_ends(s, S("0\xe2\x80\xa6\"\n")), "%.*s", STR_ARG(s));
}

TEST_MAIN(cmocka_unit_test(text_lines), cmocka_unit_test(peers_text_is_fenced), cmocka_unit_test(json_lines),
	  cmocka_unit_test(levels), cmocka_unit_test(long_values))
