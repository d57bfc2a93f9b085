/*
 * fed.c - `hearth fed`: how it stands with another server, why nothing arrives there, and what can be done.
 */
#include "cli/internal_cli.h"
#include "json/writer.h"

#include <stdio.h>
#include <time.h>

static int64_t number(const struct json *in, str key)
{
	int64_t n;

	return json_get_int(in, key, &n) ? n : 0;
}

/* "3 h 12 min", of milliseconds. */
static str span(struct arena *a, int64_t ms)
{
	const int64_t s = MAX(ms, 0) / 1000;

	if (s < 60)
		return arena_printf(a, "%" PRId64 " s", s);
	if (s < 3600)
		return arena_printf(a, "%" PRId64 " min", s / 60);
	if (s < 2 * 86400)
		return arena_printf(a, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
	return arena_printf(a, "%" PRId64 " days", s / 86400);
}

static str moment(struct arena *a, int64_t ms)
{
	const time_t t = (time_t)(ms / 1000);
	struct tm tm;
	char text[40] = "";

	if (gmtime_r(&t, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	return arena_keep(a, str_c(text));
}

static void print_waiting(const struct json *s)
{
	const int64_t events = number(s, S("events_waiting")), edus = number(s, S("edus_waiting"));

	if (events + edus == 0)
		(void)printf("nothing waits");
	else
		(void)printf("%" PRId64 " event%s and %" PRId64 " other message%s wait", events, events == 1 ? "" : "s",
			     edus, edus == 1 ? "" : "s");
}

static void print_line(struct arena *a, const struct json *s, int64_t now)
{
	const int64_t since = number(s, S("failing_since")), at = number(s, S("retry_at"));
	const int64_t bad = number(s, S("bad_events"));

	(void)printf("%.*s: ", STR_ARG(json_get_str(s, S("server"))));
	if (since) {
		(void)printf("failing for %.*s", STR_ARG(span(a, now - since)));
		if (at > now)
			(void)printf(", tried again in %.*s", STR_ARG(span(a, at - now)));
		(void)printf("; ");
	} else if (json_get_bool(s, S("in_flight"), false)) {
		(void)printf("being sent to; ");
	} else {
		(void)printf("good; ");
	}
	print_waiting(s);
	if (bad)
		(void)printf("; %" PRId64 " left out", bad);
	(void)printf("\n");
}

static void print_bad(struct arena *a, const struct json *s)
{
	const struct json *bad = json_get_array(s, S("bad"));

	if (!bad || bad->array.n == 0)
		return;
	(void)printf("It takes everything else, but not these, which were left out:\n");
	JSON_ITEMS (bad, i) {
		const struct json *b = bad->array.items[i];
		const str id = json_get_str(b, S("event_id"));

		(void)printf("  %.*s  %.*s  %" PRId64 ": %.*s\n", STR_ARG(moment(a, number(b, S("at")))),
			     STR_ARG(str_is_none(id) ? S("(an event that is gone)") : id), number(b, S("status")),
			     STR_ARG(json_get_str(b, S("error"))));
	}
}

static void print_why(struct arena *a, const struct json *s, int64_t now)
{
	const int64_t since = number(s, S("failing_since")), at = number(s, S("retry_at"));
	const int64_t success = number(s, S("last_success"));
	const str name = json_get_str(s, S("server")), error = json_get_str(s, S("last_error"));

	if (since) {
		(void)printf("%.*s has been failing for %.*s, since %.*s.\n", STR_ARG(name),
			     STR_ARG(span(a, now - since)), STR_ARG(moment(a, since)));
		if (!str_is_none(error))
			(void)printf("Last error: %.*s\n", STR_ARG(error));
		if (at > now)
			(void)printf("It is tried again in %.*s, or as soon as it talks to this server.\n",
				     STR_ARG(span(a, at - now)));
		else
			(void)printf("It is tried again now.\n");
	} else if (json_get_bool(s, S("in_flight"), false)) {
		(void)printf("%.*s is being sent to at this moment.\n", STR_ARG(name));
	} else {
		(void)printf("Nothing is known to be wrong with %.*s.\n", STR_ARG(name));
	}
	if (success)
		(void)printf("It answered last at %.*s.\n", STR_ARG(moment(a, success)));
	else
		(void)printf("It has not answered since this server was started.\n");
	print_waiting(s);
	if (json_get_bool(s, S("catching_up"), false))
		(void)printf(" to be sent; after a long outage only the newest event of each room is, and the other "
			     "server asks for the rest");
	(void)printf(".\n");
	print_bad(a, s);
}

static err *ask(struct call *c, const struct config *config, const char *what, const struct json **out)
{
	AUTO_BUF request = BUF_INIT(16 * 1024);
	struct jw w = jw_to(&request);

	jw_object(&w, NULL);
	jw_str(&w, "do", str_c(what));
	if (c->argc)
		jw_str(&w, "name", str_c(c->argv[0]));
	jw_end(&w);
	return call_ask(c, config, buf_str(&request), out);
}

static int show(struct call *c, const struct config *config, bool as_json, bool why)
{
	const struct json *answer, *servers;
	int64_t now;
	err *e = ask(c, config, "fed-status", &answer);

	if (e)
		return call_complain(c, e->msg);
	if (as_json) {
		(void)printf("%.*s\n", STR_ARG(answer->raw));
		return 0;
	}
	now = number(answer, S("now"));
	servers = json_get_array(answer, S("servers"));
	if (!servers || servers->array.n == 0)
		(void)printf("nothing waits, and no server fails\n");
	JSON_ITEMS (servers, i) {
		if (why)
			print_why(c->a, servers->array.items[i], now);
		else
			print_line(c->a, servers->array.items[i], now);
	}
	return 0;
}

static int wish(struct call *c, const struct config *config, const char *what, const char *done)
{
	const struct json *answer;
	err *e = ask(c, config, what, &answer);

	if (e)
		return call_complain(c, e->msg);
	(void)printf("%.*s: %s\n", STR_ARG(json_get_str(answer, S("server"))), done);
	return 0;
}

int cli_fed(const struct call *called)
{
	struct call c = *called;
	const bool as_json = call_flag(&c, "--json");
	struct config_notes notes = { 0 };
	const struct config *config;
	const char *verb;
	int status;

	verb = c.argc ? c.argv[0] : "";
	if (strcmp(verb, "status") != 0 && strcmp(verb, "why") != 0 && strcmp(verb, "retry") != 0 &&
	    strcmp(verb, "reset") != 0) {
		(void)fprintf(stderr,
			      "%s: fed status [SERVER] | why SERVER | retry SERVER | reset SERVER (see %s help)\n",
			      c.program, c.program);
		return 2;
	}
	c.argv++;
	c.argc--;
	if (!call_finish(&c, strcmp(verb, "status") == 0 && c.argc == 0 ? 0 : 1))
		return 2;
	config = call_config(&c, &notes);
	if (!config)
		return 1;
	if (strcmp(verb, "retry") == 0)
		status = wish(&c, config, "fed-retry", "tried again now");
	else if (strcmp(verb, "reset") == 0)
		status = wish(&c, config, "fed-reset", "as if it had never failed");
	else
		status = show(&c, config, as_json, strcmp(verb, "why") == 0);
	call_ask_done(&c);
	return status;
}
