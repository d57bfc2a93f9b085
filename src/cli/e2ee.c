/*
 * e2ee.c - `hearth e2ee why`: what could keep a user's messages from being decrypted, as far as the server can tell.
 */
#include "cli/internal_cli.h"
#include "json/writer.h"

#include <stdio.h>

static int64_t number(const struct json *in, str key)
{
	int64_t n;

	return json_get_int(in, key, &n) ? n : 0;
}

static void print_device(const struct json *d)
{
	const str name = json_get_str(d, S("display_name"));

	(void)printf("  %.*s", STR_ARG(json_get_str(d, S("device_id"))));
	if (!str_is_none(name))
		(void)printf(" \"%.*s\"", STR_ARG(name));
	if (json_get_bool(d, S("keys"), false))
		(void)printf(": %s, %" PRId64 " one-time keys, fallback key %.*s",
			     json_get_bool(d, S("signed"), false) ? "signed" : "not signed",
			     number(d, S("one_time_keys")), STR_ARG(json_get_str(d, S("fallback_key"))));
	else
		(void)printf(": no keys");
	(void)printf(", %" PRId64 " messages waiting%s\n", number(json_get(d, S("waiting")), S("messages")),
		     json_get_bool(d, S("dehydrated"), false) ? ", dehydrated" : "");
}

static void print_summary(const struct json *why)
{
	const struct json *signing = json_get(why, S("cross_signing")), *backup = json_get(why, S("backup"));
	const struct json *devices = json_get_array(why, S("devices"));

	(void)printf("%.*s: cross-signing %s, ", STR_ARG(json_get_str(why, S("user_id"))),
		     !json_get_bool(signing, S("master"), false) ? "not set up"
		     : json_get_bool(signing, S("self_signing"), false) &&
				     json_get_bool(signing, S("user_signing"), false)
			     ? "complete"
			     : "incomplete");
	if (number(backup, S("version")))
		(void)printf("key backup version %" PRId64 " with %" PRId64 " keys\n", number(backup, S("version")),
			     number(backup, S("keys")));
	else
		(void)printf("no key backup\n");
	JSON_ITEMS (devices, i)
		print_device(devices->array.items[i]);
}

static void print_findings(const struct json *why)
{
	const struct json *findings = json_get_array(why, S("findings"));

	if (!findings || findings->array.n == 0)
		(void)printf("nothing stands in the way, as far as the server can see\n");
	JSON_ITEMS (findings, i) {
		const struct json *f = findings->array.items[i];
		const str device = json_get_str(f, S("device_id"));

		(void)printf("%.*s: %.*s %.*s\n", STR_ARG(json_get_str(f, S("grade"))),
			     STR_ARG(str_is_none(device) ? S("the user") : device),
			     STR_ARG(json_get_str(f, S("text"))));
	}
}

static int why(struct call *c, const struct config *config, bool as_json)
{
	AUTO_BUF request = BUF_INIT(16 * 1024);
	struct jw w = jw_to(&request);
	const struct json *answer;
	err *e;

	jw_object(&w, NULL);
	jw_str(&w, "do", S("e2ee-why"));
	jw_str(&w, "name", str_c(c->argv[0]));
	jw_end(&w);
	e = call_ask(c, config, buf_str(&request), &answer);
	if (e)
		return call_complain(c, e->msg);
	if (as_json) {
		(void)printf("%.*s\n", STR_ARG(answer->raw));
	} else {
		print_summary(answer);
		print_findings(answer);
	}
	return 0;
}

int cli_e2ee(const struct call *called)
{
	struct call c = *called;
	const bool as_json = call_flag(&c, "--json");
	struct config_notes notes = { 0 };
	const struct config *config;
	int status;

	if (c.argc == 0 || strcmp(c.argv[0], "why") != 0) {
		(void)fprintf(stderr, "%s: e2ee why USER (see %s help)\n", c.program, c.program);
		return 2;
	}
	c.argv++;
	c.argc--;
	if (!call_finish(&c, 1))
		return 2;
	config = call_config(&c, &notes);
	if (!config)
		return 1;
	status = why(&c, config, as_json);
	call_ask_done(&c);
	return status;
}
