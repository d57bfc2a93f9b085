/* ask.c - a command's question to the running server or, where none runs, to the services on the store itself. */
#include "cli/control.h"
#include "cli/internal_cli.h"
#include "json/json.h"

#include <stdio.h>

/* Once they were opened here for want of a running server: with the folder's lock, so nobody starts one meanwhile. */
static struct control_services opened;

err *call_ask(const struct call *c, const struct config *config, str request, const struct json **out)
{
	struct json *parsed;
	str answer = STR_NONE;

	if (!opened.users)
		TRY(control_ask(c->a, config->data_dir, request, &answer));
	if (str_is_none(answer)) {
		if (!opened.users)
			TRY(c->hooks->open_services(c->a, config, &opened));
		answer = control_answer(c->a, &opened, request);
	}
	TRY(json_parse(c->a, str_trim(answer), &(struct json_limits){ 8 << 20, 16, 1 << 20 }, &parsed));
	if (!str_is_none(json_get_str(parsed, S("error"))))
		return err_new(c->a, ERR_CONFIG, "%.*s", STR_ARG(json_get_str(parsed, S("error"))));
	*out = parsed;
	return NULL;
}

void call_ask_done(const struct call *c)
{
	if (opened.users)
		c->hooks->close_services();
}

int call_complain(const struct call *c, str text)
{
	(void)fprintf(stderr, "%s: %.*s\n", c->program, STR_ARG(text));
	return 1;
}
