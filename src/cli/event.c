/* event.c - `hearth event check`: what a server would make of an event, check by check. Nothing of a server is needed.
 */
#include "cli/event_check.h"
#include "cli/files.h"
#include "cli/internal_cli.h"
#include "json/writer.h"

#include <errno.h>
#include <stdio.h>

enum { LARGEST_FILE = 1 << 30, LARGEST_ANSWER = 1 << 24 };

static const char *const results[] = {
	[CHECK_PASSED] = "passed",
	[CHECK_FAILED] = "failed",
	[CHECK_REDACTED] = "redacted",
	[CHECK_SKIPPED] = "skipped",
};

/* Events say what they like, also line ends and what moves a terminal's cursor: nothing of theirs shall look like ours.
 */
static void write_plain(struct buf *out, str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const unsigned char c = (unsigned char)s.p[i];
		const bool c1 = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;

		if (c < ' ' || c == 0x7f || c1)
			buf_printf(out, "\\u%04x", c1 ? (unsigned char)s.p[++i] : c);
		else
			buf_byte(out, s.p[i]);
	}
}

static void write_text(struct buf *out, const struct event_report *r)
{
	for (size_t i = 0; i < r->checks.n; i++) {
		const struct check *c = &r->checks.p[i];

		buf_printf(out, "%-8s  %s: ", results[c->result], c->name);
		write_plain(out, c->says);
		buf_byte(out, '\n');
		if (c->cites.page.n)
			buf_printf(out, "          %.*s, %.*s%s%.*s: \"%.*s\"\n", STR_ARG(c->cites.page),
				   STR_ARG(c->cites.section), c->cites.number.n ? ", " : "", STR_ARG(c->cites.number),
				   STR_ARG(c->cites.text));
	}
	buf_printf(out, "%s\n", r->verdict);
}

static void write_json(struct buf *out, const struct event_report *r)
{
	struct jw w = jw_to(out);

	jw_object(&w, NULL);
	jw_str(&w, "verdict", str_c(r->verdict));
	jw_str(&w, "room_version", r->rv->id);
	jw_str_or_null(&w, "event_id", r->event ? r->event->event_id : STR_NONE);
	jw_array(&w, "checks");
	for (size_t i = 0; i < r->checks.n; i++) {
		const struct check *c = &r->checks.p[i];

		jw_object(&w, NULL);
		jw_str(&w, "check", str_c(c->name));
		jw_str(&w, "result", str_c(results[c->result]));
		jw_str(&w, "says", c->says);
		if (c->cites.page.n) {
			jw_str(&w, "page", c->cites.page);
			jw_str(&w, "section", c->cites.section);
			if (c->cites.number.n)
				jw_str(&w, "number", c->cites.number);
			if (c->rule)
				jw_str(&w, "rule", auth_rule_name(c->rule));
			jw_str(&w, "text", c->cites.text);
		}
		jw_end(&w);
	}
	jw_end(&w);
	jw_end(&w);
	buf_byte(out, '\n');
}

int cli_event(const struct call *called)
{
	struct call c = *called;
	const bool json = call_flag(&c, "--json");
	struct event_report report;
	AUTO_BUF out = BUF_INIT(LARGEST_ANSWER);
	str text;
	err *e;

	if (c.argc < 1 || strcmp(c.argv[0], "check") != 0) {
		(void)fprintf(stderr, "%s: event check [--json] FILE (see %s help)\n", c.program, c.program);
		return 2;
	}
	c.argv++;
	c.argc--;
	if (!call_finish(&c, 1))
		return 2;
	text = strcmp(c.argv[0], "-") == 0 ? file_read_input(c.a, LARGEST_FILE)
					   : file_read(c.a, str_c(c.argv[0]), LARGEST_FILE);
	if (str_is_none(text)) {
		(void)fprintf(stderr, "%s: %s: %s\n", c.program, c.argv[0], strerror(errno));
		return 2;
	}
	crypto_init();
	e = event_check(c.a, text, &report);
	if (e) {
		write_plain(&out, e->msg);
		(void)fprintf(stderr, "%s: %s: %.*s\n", c.program, c.argv[0], (int)out.n, out.p);
		return 2;
	}
	if (json)
		write_json(&out, &report);
	else
		write_text(&out, &report);
	if (out.overflow) {
		(void)fprintf(stderr, "%s: %s: the answer is too long\n", c.program, c.argv[0]);
		return 2;
	}
	if (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0)
		return 2;
	return strcmp(report.verdict, "accepted") == 0 ? 0 : 1;
}
