/* internal_cli.h - what the commands share. */
#pragma once

#include "cli/cli.h"

#include "base/buf.h"
#include "json/json.h"

struct call { /* of a command */
	struct arena *a;
	const char *program;
	const struct cli_hooks *hooks;
	str config_path; /* --config, or STR_NONE */
	int argc;
	char **argv; /* what stands after the command's name */
};

struct command {
	const char *name, *arguments, *doc;
	int (*run)(const struct call *c);
};
extern const struct command cli_commands[];
extern const size_t cli_commands_n;

/* The settings that the call names; complaints go to standard error. NULL when they are wrong. */
const struct config *call_config(const struct call *c, struct config_notes *notes);
/* True, and the argument taken out of the call, when it is there: "--admin". */
bool call_flag(struct call *c, const char *name);
/* "--name VALUE" or "--name=VALUE", taken out of the call: STR_NONE when it is not there. */
str call_value(struct call *c, const char *name);
/* Complains about what is left over; false when something is. */
bool call_finish(const struct call *c, int positional);

/* The answer to a request of cli/control.h, from the running server or, where none runs, from the store itself. */
NODISCARD err *call_ask(const struct call *c, const struct config *config, str request, const struct json **out);
void call_ask_done(const struct call *c); /* closes what asking opened */
/* Says on standard error what went wrong; gives 1, the exit status. */
int call_complain(const struct call *c, str text);

int cli_e2ee(const struct call *c);
int cli_fed(const struct call *c);
int cli_user(const struct call *c);
int cli_state(const struct call *c);
int cli_event(const struct call *c);
void cli_write_help(struct buf *out, const char *program);
void cli_write_man(struct buf *out);
