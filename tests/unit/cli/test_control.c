/* The control socket: what is asked of a running server, what it answers, and what it bears. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "cli/control.h"
#include "crypto/crypto.h"
#include "e2ee/e2ee.h"
#include "store/store.h"
#include "user/user.h"

static char dir[] = "/tmp/hearth-control-XXXXXX";
static struct arena *arena;
static struct store *store;
static struct bus *bus;
static struct control_services services;
static const struct log root;

static int open_all(void **state)
{
	struct store_options so = { .driver = STORE_SQLITE };
	struct users_options uo = { .server_name = S("test"), .cheap_hashes = true, .log = &root };

	(void)state;
	crypto_init();
	log_setup(LOG_ERROR, LOG_TEXT);
	arena = arena_new();
	if (!mkdtemp(dir))
		return -1;
	so.path = arena_printf(arena, "%s/x.db", dir);
	if (store_open(arena, &so, &store))
		return -1;
	bus = bus_new(100);
	uo.store = store;
	uo.bus = bus;
	services.users = users_new(&uo);
	services.e2ee =
		e2ee_new(&(struct e2ee_options){ .store = store, .bus = bus, .log = &root, .server_name = S("test") });
	return 0;
}

static int close_all(void **state)
{
	char command[sizeof(dir) + 16];

	(void)state;
	users_free(&services.users);
	e2ee_free(&services.e2ee);
	store_close(&store);
	bus_free(&bus);
	arena_free(&arena);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) == 0 ? 0 : -1;
}

static void every_request_has_its_answer(void **state)
{
	static const struct {
		const char *request, *answer;
	} cases[] = {
		{ "{\"do\":\"add\",\"name\":\"alice\",\"password\":\"sekrit-1\",\"admin\":true}",
		  "{\"user_id\":\"@alice:test\"}" },
		{ "{\"do\":\"add\",\"name\":\"alice\",\"password\":\"sekrit-1\"}",
		  "{\"error\":\"This user name is already taken\"}" },
		{ "{\"do\":\"passwd\",\"name\":\"alice\",\"password\":\"sekrit-2\"}", "{\"user_id\":\"@alice:test\"}" },
		{ "{\"do\":\"passwd\",\"name\":\"@alice:test\",\"password\":\"sekrit-3\"}",
		  "{\"user_id\":\"@alice:test\"}" },
		{ "{\"do\":\"passwd\",\"name\":\"nobody\",\"password\":\"sekrit-2\"}",
		  "{\"error\":\"There is no such account\"}" },
		{ "{\"do\":\"e2ee-why\",\"name\":\"nobody\"}", "{\"error\":\"There is no such account\"}" },
		{ "{\"do\":\"fly\"}", "{\"error\":\"the server does not know this request\"}" },
		{ "{}", "{\"error\":\"the server does not know this request\"}" },
		{ "[1]", "{\"error\":\"the server does not know this request\"}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		const str answer = control_answer(a, &services, str_c(cases[i].request));

		if (!str_eq(answer, str_c(cases[i].answer)))
			fail_msg("%s: %.*s", cases[i].request, STR_ARG(answer));
	}
	{
		AUTO_ARENA a = arena_new();

		assert_true(str_starts(control_answer(a, &services, S("{\"do\":")), S("{\"error\":")));
		assert_true(str_starts(control_answer(a, &services, S("")), S("{\"error\":")));
		assert_true(str_starts(control_answer(a, &services, S("{\"do\":\"add\"}")), S("{\"error\":")));
		assert_true(str_starts(control_answer(a, &services, S("{\"do\":\"passwd\"}")), S("{\"error\":")));
		assert_true(str_contains(control_answer(a, &services, S("{\"do\":\"list\"}")),
					 S("{\"user_id\":\"@alice:test\",\"admin\":true,")));
	}
}

static void nobody_answers_where_no_server_runs(void **state)
{
	AUTO_ARENA a = arena_new();
	str answer = S("x");

	(void)state;
	assert_null(control_ask(a, str_c(dir), S("{}"), &answer));
	assert_true(str_is_none(answer));
	assert_null(control_ask(a, S("/nonexistent"), S("{}"), &answer));
	assert_true(str_is_none(answer));
}

static void a_running_server_answers(void **state)
{
	AUTO_ARENA a = arena_new();
	struct control *c;
	struct stat st;
	str answer;

	(void)state;
	assert_null(control_start(a, str_c(dir), &services, &root, &c));
	assert_int_equal(stat(arena_printf(a, "%s/hearth.sock", dir).p, &st), 0);
	for (int i = 0; i < 3; i++) {
		assert_null(control_ask(a, str_c(dir), S("{\"do\":\"fly\"}"), &answer));
		assert_true(str_starts(answer, S("{\"error\":\"the server does not know")));
	}
	control_stop(&c);
	assert_null(c);
	assert_int_equal(stat(arena_printf(a, "%s/hearth.sock", dir).p, &st), -1);
	assert_null(control_ask(a, str_c(dir), S("{}"), &answer));
	assert_true(str_is_none(answer));
}

/* A server that was killed leaves its socket behind: asking finds nobody, starting again takes its place. */
static void a_socket_left_behind_is_replaced(void **state)
{
	AUTO_ARENA a = arena_new();
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct control *c;
	str answer;

	(void)state;
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/hearth.sock", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	(void)close(fd);
	assert_null(control_ask(a, str_c(dir), S("{}"), &answer));
	assert_true(str_is_none(answer));
	assert_null(control_start(a, str_c(dir), &services, &root, &c));
	assert_null(control_ask(a, str_c(dir), S("{\"do\":\"list\"}"), &answer));
	assert_true(str_starts(answer, S("{\"users\":[")));
	control_stop(&c);
}

/* Who says too much, or nothing, is hung up on, and the next one is served. */
static void a_bad_guest_does_not_stop_it(void **state)
{
	AUTO_ARENA a = arena_new();
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct control *c;
	str answer;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char junk[4096];

	(void)state;
	memset(junk, 'x', sizeof(junk));
	assert_null(control_start(a, str_c(dir), &services, &root, &c));
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/hearth.sock", dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	for (int i = 0; i < 100 && send(fd, junk, sizeof(junk), MSG_NOSIGNAL) > 0; i++)
		;
	assert_true(recv(fd, junk, sizeof(junk), 0) <= 0);
	(void)close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	(void)close(fd);
	assert_null(control_ask(a, str_c(dir), S("{\"do\":\"list\"}"), &answer));
	assert_true(str_starts(answer, S("{\"users\":[")));
	control_stop(&c);
}

/* Bug: a guest who said nothing held up the server's end for half a minute. */
static void a_silent_guest_does_not_keep_it(void **state)
{
	AUTO_ARENA a = arena_new();
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	const int64_t began = clock_mono_us();
	struct control *c;
	struct stat st;

	(void)state;
	assert_null(control_start(a, str_c(dir), &services, &root, &c));
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/hearth.sock", dir);
	assert_int_equal(stat(at.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(send(fd, "{", 1, MSG_NOSIGNAL), 1);
	control_stop(&c);
	assert_true(clock_mono_us() - began < 20 * 1000000);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_has_its_answer), cmocka_unit_test(nobody_answers_where_no_server_runs),
		cmocka_unit_test(a_running_server_answers),     cmocka_unit_test(a_socket_left_behind_is_replaced),
		cmocka_unit_test(a_bad_guest_does_not_stop_it), cmocka_unit_test(a_silent_guest_does_not_keep_it),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
