/*
 * cli.c - the command line: options before or after the command's name, one table of commands.
 */
#include "cli/cli.h"

#include "api/routes.h"
#include "cli/files.h"
#include "cli/internal_cli.h"
#include "cli/signing_key.h"
#include "http/server.h"

#include <stdio.h>

bool call_flag(struct call *c, const char *name)
{
	for (int i = 0; i < c->argc; i++) {
		if (strcmp(c->argv[i], name) != 0)
			continue;
		memmove(&c->argv[i], &c->argv[i + 1], (size_t)(c->argc - i - 1) * sizeof(c->argv[0]));
		c->argc--;
		return true;
	}
	return false;
}

str call_value(struct call *c, const char *name)
{
	const size_t n = strlen(name);

	for (int i = 0; i < c->argc; i++) {
		const int taken = strcmp(c->argv[i], name) == 0 ? 2 : 1;
		str value;

		if (taken == 1 && (strncmp(c->argv[i], name, n) != 0 || c->argv[i][n] != '='))
			continue;
		if (i + taken > c->argc)
			return STR_NONE; /* left over: call_finish complains */
		value = taken == 2 ? str_c(c->argv[i + 1]) : str_c(c->argv[i] + n + 1);
		memmove(&c->argv[i], &c->argv[i + taken], (size_t)(c->argc - i - taken) * sizeof(c->argv[0]));
		c->argc -= taken;
		return value;
	}
	return STR_NONE;
}

bool call_finish(const struct call *c, int positional)
{
	for (int i = 0; i < c->argc; i++) {
		/* "-" is standard input. */
		if ((c->argv[i][0] == '-' && c->argv[i][1]) || i >= positional) {
			(void)fprintf(stderr, "%s: not understood: %s (see %s help)\n", c->program, c->argv[i],
				      c->program);
			return false;
		}
	}
	if (c->argc < positional) {
		(void)fprintf(stderr, "%s: something is missing (see %s help)\n", c->program, c->program);
		return false;
	}
	return true;
}

static void print_notes(const struct config_notes *notes)
{
	for (size_t i = 0; i < notes->list.n; i++)
		(void)fprintf(stderr, "%.*s\n", STR_ARG(notes->list.p[i].text));
}

const struct config *call_config(const struct call *c, struct config_notes *notes)
{
	const struct config *config =
		str_is_none(c->config_path) ? config_default(c->a) : config_load(c->a, c->config_path, notes);

	if (!config)
		print_notes(notes);
	return config;
}

static int print(struct buf *out)
{
	const bool good = fwrite(out->p, 1, out->n, stdout) == out->n && fflush(stdout) == 0;

	return good ? 0 : 1;
}

/*
 * The commands
 */
static int run_serve(const struct call *c)
{
	struct config_notes notes = { 0 };
	const struct config *config;

	if (!call_finish(c, 0))
		return 2;
	config = call_config(c, &notes);
	return config ? c->hooks->serve(c->a, config, &notes, c->program) : 1;
}

static int run_check_config(const struct call *c)
{
	struct config_notes notes = { 0 };
	const struct config *config;

	if (!call_finish(c, 0))
		return 2;
	config = call_config(c, &notes);
	if (!config)
		return 1;
	print_notes(&notes);
	(void)printf("%.*s is good\n",
		     STR_ARG(str_is_none(config->file) ? S("the default configuration") : config->file));
	return 0;
}

static int run_generate_config(const struct call *called)
{
	struct call c = *called;
	AUTO_BUF out = BUF_INIT(1 << 20);
	const str name = call_value(&c, "--server-name"), folder = call_value(&c, "--data-dir");

	if (!call_finish(&c, 0))
		return 2;
	config_generate(&out, str_is_none(name) ? S("localhost") : name, str_is_none(folder) ? S("data") : folder);
	return print(&out);
}

static int run_generate_key(const struct call *c)
{
	err *e;

	if (!call_finish(c, c->argc > 0 ? 1 : 0))
		return 2;
	if (c->argc == 0) {
		AUTO_BUF out = BUF_INIT(1024);

		buf_add(&out, signing_key_generate(c->a));
		return print(&out);
	}
	e = file_write_new(c->a, str_c(c->argv[0]), signing_key_generate(c->a));
	if (e)
		(void)fprintf(stderr, "%.*s\n", STR_ARG(e->msg));
	return e ? 1 : 0;
}

static int run_routes(const struct call *c)
{
	AUTO_BUF out = BUF_INIT(1 << 20);

	if (!call_finish(c, 0))
		return 2;
	http_list_routes(api_route_tables, &out);
	return print(&out);
}

static int run_version(const struct call *c)
{
	if (!call_finish(c, 0))
		return 2;
	(void)printf("hearth %s\n", HEARTH_VERSION);
	return 0;
}

static int run_help(const struct call *called)
{
	struct call c = *called;
	AUTO_BUF out = BUF_INIT(1 << 20);

	if (call_flag(&c, "--man"))
		cli_write_man(&out);
	else
		cli_write_help(&out, c.program);
	return call_finish(&c, 0) ? print(&out) : 2;
}

const struct command cli_commands[] = {
	{ "serve", "", "Run the server, in the foreground. This is what happens without a command.", run_serve },
	{ "user", "add NAME [--admin] | list | passwd NAME [--keep-logins]",
	  "Make an account, list them all, set a password (which ends the user's logins unless told otherwise). The "
	  "password is asked for, or read from standard input. Speaks to the running server through the socket in the "
	  "data folder; where none runs, works on the database itself.",
	  cli_user },
	{ "e2ee", "why USER [--json]",
	  "Say what could make messages undecryptable for or with a user, as far as the server can see: devices without "
	  "keys, without one-time keys or not signed, messages that devices have not fetched or that were dropped, "
	  "cross-signing and key backup, and who cannot read in the user's encrypted rooms. A problem costs messages now, "
	  "a warning may, a note explains. Speaks to the running server like user.",
	  cli_e2ee },
	{ "fed", "status [SERVER] [--json] | why SERVER | retry SERVER | reset SERVER",
	  "Say how it stands with another server, or with all that fail or that something waits for: since when it has been "
	  "failing, with which error, when it is tried again, how many events and messages wait for it, and which were left "
	  "out because it would not take them. Have it tried at once; or forget all its failures, too. Speaks to the "
	  "running server like user.",
	  cli_fed },
	{ "state", "resolve FILE... [--explain] [--room-version VERSION]",
	  "Resolve the states that the files hold, and print the resulting state as JSON; with --explain also what was in "
	  "conflict, the order of the events, and why each one that was refused was. A file is {\"room_version\", "
	  "\"events\": [EVENT, ...], \"states\": [[EVENT_ID, ...], ...]}, or the answer to GET "
	  "/_matrix/federation/v1/state/{roomId}. Needs no server.",
	  cli_state },
	{ "generate-config", "[--server-name NAME] [--data-dir FOLDER]",
	  "Write a commented configuration with every option to standard output.", run_generate_config },
	{ "check-config", "", "Read the configuration, say what is wrong with it, and start nothing.",
	  run_check_config },
	{ "generate-key", "[FILE]", "Make a signing key: a new file, or a line on standard output.", run_generate_key },
	{ "event", "check [--json] FILE",
	  "Say which checks an event passes, and by which rule of the specification. FILE (- for standard input) is "
	  "{\"room_version\": \"11\", \"event\": {...}, \"auth_events\": [...], \"state\": [...]} and may have \"keys\": "
	  "{SERVER: {KEY_ID: BASE64}} to verify signatures with and \"rejected\": [EVENT_ID, ...]. The exit status is 0 "
	  "for an event that is accepted, 1 for one that is not.",
	  cli_event },
	{ "routes", "", "List every route that is served: METHOD /path/{parameter}.", run_routes },
	{ "version", "", "Print the version.", run_version },
	{ "help", "[--man]", "Print a summary, or the manual page.", run_help },
};
const size_t cli_commands_n = ARRAY_LEN(cli_commands);

int cli_run(int argc, char **argv, const struct cli_hooks *hooks)
{
	AUTO_ARENA a = arena_new();
	struct call c = { .a = a, .program = argc > 0 ? argv[0] : "hearth", .hooks = hooks };
	const char *name = "serve";
	str config;

	c.argv = ARENA_ARRAY(a, char *, (size_t)argc + 1);
	for (int i = 1; i < argc; i++)
		c.argv[c.argc++] = argv[i];
	config = call_value(&c, "--config");
	c.config_path = str_is_none(config) ? call_value(&c, "-c") : config;
	if (call_flag(&c, "--help") || call_flag(&c, "-h"))
		name = "help";
	else if (call_flag(&c, "--version"))
		name = "version";
	else if (c.argc > 0 && c.argv[0][0] != '-') {
		name = c.argv[0];
		c.argv++;
		c.argc--;
	}
	for (size_t i = 0; i < cli_commands_n; i++) {
		if (strcmp(cli_commands[i].name, name) == 0)
			return cli_commands[i].run(&c);
	}
	(void)fprintf(stderr, "%s: no command %s (see %s help)\n", c.program, name, c.program);
	return 2;
}
