/*
 * user.c - `hearth user`: accounts, by the running server or, where none runs, on the store itself.
 */
#include "cli/internal_cli.h"
#include "json/writer.h"

#include <stdio.h>
#include <termios.h>
#include <unistd.h>

enum { LONGEST_PASSWORD = 512 };

/* A line without its end; STR_NONE at the end of the input or when it is too long. */
static str read_line(struct arena *a)
{
	char line[LONGEST_PASSWORD + 2];

	if (!fgets(line, sizeof(line), stdin))
		return STR_NONE;
	if (!strchr(line, '\n') && !feof(stdin))
		return STR_NONE;
	line[strcspn(line, "\r\n")] = '\0';
	return arena_keep(a, str_c(line));
}

/* Asked for without showing it, twice, where a person sits there; else the first line of standard input. */
static str ask_password(struct arena *a)
{
	struct termios before, quiet;
	str first, second;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return read_line(a);
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	(void)fputs("Password: ", stderr);
	first = read_line(a);
	(void)fputs("\nAgain: ", stderr);
	second = read_line(a);
	(void)fputs("\n", stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	return str_eq(first, second) ? first : STR_NONE;
}

static int set_account(struct call *c, const struct config *config, const char *verb)
{
	const bool flag = call_flag(c, strcmp(verb, "add") == 0 ? "--admin" : "--keep-logins");
	AUTO_BUF request = BUF_INIT(16 * 1024);
	struct jw w = jw_to(&request);
	const struct json *answer;
	str password;
	err *e;

	if (!call_finish(c, 1))
		return 2;
	password = ask_password(c->a);
	if (str_is_empty(password))
		return call_complain(c, S("no password was given, it is longer than 512 bytes, or the two differ"));
	jw_object(&w, NULL);
	jw_str(&w, "do", str_c(verb));
	jw_str(&w, "name", str_c(c->argv[0]));
	jw_str(&w, "password", password);
	jw_bool(&w, strcmp(verb, "add") == 0 ? "admin" : "logout", strcmp(verb, "add") == 0 ? flag : !flag);
	jw_end(&w);
	e = call_ask(c, config, buf_str(&request), &answer);
	if (e)
		return call_complain(c, e->msg);
	(void)printf("%.*s\n", STR_ARG(json_get_str(answer, S("user_id"))));
	return 0;
}

static str list_page(const struct json *answer)
{
	static const struct {
		str member;
		const char *shown;
	} marks[] = { { STR("admin"), " admin" },
		      { STR("guest"), " guest" },
		      { STR("locked"), " locked" },
		      { STR("suspended"), " suspended" },
		      { STR("deactivated"), " deactivated" } };
	const struct json *users = json_get_array(answer, S("users"));
	str last = STR_NONE;

	JSON_ITEMS (users, i) {
		const struct json *user = users->array.items[i];

		last = json_get_str(user, S("user_id"));
		(void)printf("%.*s", STR_ARG(last));
		for (size_t k = 0; k < ARRAY_LEN(marks); k++) {
			if (json_get_bool(user, marks[k].member, false))
				(void)fputs(marks[k].shown, stdout);
		}
		(void)putchar('\n');
	}
	return json_get_bool(answer, S("more"), false) ? last : STR_NONE;
}

static int list_accounts(struct call *c, const struct config *config)
{
	str after = STR_NONE;

	if (!call_finish(c, 0))
		return 2;
	do {
		AUTO_BUF request = BUF_INIT(16 * 1024);
		struct jw w = jw_to(&request);
		const struct json *answer;
		err *e;

		jw_object(&w, NULL);
		jw_str(&w, "do", S("list"));
		if (!str_is_none(after))
			jw_str(&w, "after", after);
		jw_end(&w);
		e = call_ask(c, config, buf_str(&request), &answer);
		if (e)
			return call_complain(c, e->msg);
		after = list_page(answer);
	} while (!str_is_none(after));
	return 0;
}

int cli_user(const struct call *called)
{
	struct call c = *called;
	struct config_notes notes = { 0 };
	const char *verb = c.argc > 0 ? c.argv[0] : "";
	const bool is_list = strcmp(verb, "list") == 0;

	if (is_list || strcmp(verb, "add") == 0 || strcmp(verb, "passwd") == 0) {
		const struct config *config = call_config(&c, &notes);
		int status;

		if (!config)
			return 1;
		c.argv++;
		c.argc--;
		status = is_list ? list_accounts(&c, config) : set_account(&c, config, verb);
		call_ask_done(&c);
		return status;
	}
	(void)fprintf(stderr, "%s: user add NAME, user list or user passwd NAME (see %s help)\n", c.program, c.program);
	return 2;
}
