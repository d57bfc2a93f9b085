/*
 * uia_fallback.c - web pages on which a person completes a stage that their client does not know: specification:
 * client-server-api, "Fallback".
 *
 * The page is a form that posts to its own address, which carries the session; the answer is one field. Nothing of the
 * request is written into the page but the session's id, and that only when it is an opaque identifier.
 */
#include "api/services.h"
#include "matrix/id.h"
#include "user/uia.h"

enum { ANSWER_MAX = 1024, PAGE_MAX = 16 * 1024, FORM_MAX = 4096 };

static const char page_head[] =
	"<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Authentication</title>"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
	"<style>body{font-family:sans-serif;max-width:30em;margin:3em auto;padding:0 1em}"
	"input,button{font-size:1em;padding:.4em}</style></head><body>";

/* "This page must use the following JavaScript when the authentication has been completed". */
static const char page_done[] =
	"<p>Thank you. You may now close this window and return to your application.</p><script>"
	"if (window.onAuthDone) { window.onAuthDone(); }"
	"else if (window.opener && window.opener.postMessage)"
	" { window.opener.postMessage(\"authDone\", \"*\"); }</script></body></html>";

static void add_escaped(struct buf *b, str s)
{
	for (size_t i = 0; i < s.n; i++)
		switch (s.p[i]) {
		case '&':
			buf_add(b, S("&amp;"));
			break;
		case '<':
			buf_add(b, S("&lt;"));
			break;
		case '>':
			buf_add(b, S("&gt;"));
			break;
		case '"':
			buf_add(b, S("&quot;"));
			break;
		default:
			buf_byte(b, s.p[i]);
		}
}

static void add_question(struct buf *b, const struct users_options *opt, str type)
{
	if (str_eq(type, S("m.login.password"))) {
		buf_add(b,
			S("<p><label>Your password: <input type=\"password\" name=\"answer\" autofocus></label></p>"));
	} else if (str_eq(type, S("m.login.registration_token"))) {
		buf_add(b,
			S("<p><label>Registration token: <input type=\"text\" name=\"answer\" autofocus></label></p>"));
	} else if (str_eq(type, S("m.login.terms"))) {
		buf_add(b, S("<p>Please read and accept these documents:</p><ul>"));
		for (size_t i = 0; i < opt->n_policies; i++) {
			buf_add(b, S("<li><a target=\"_blank\" rel=\"noopener\" href=\""));
			add_escaped(b, opt->policies[i].url);
			buf_add(b, S("\">"));
			add_escaped(b, opt->policies[i].name);
			buf_add(b, S("</a></li>"));
		}
		buf_add(b, S("</ul>"));
	}
}

static void reply_page(struct req *rq, int status, struct buf *b)
{
	reply_header(
		rq, "Content-Security-Policy",
		S("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; form-action 'self'"));
	reply_header(rq, "Cache-Control", S("no-store"));
	reply_header(rq, "Referrer-Policy", S("no-referrer"));
	reply_bytes(rq, status, "text/html; charset=utf-8", arena_keep(rq->arena, buf_str(b)));
}

static void reply_form(struct req *rq, str type, str session, bool failed)
{
	AUTO_BUF b = BUF_INIT(PAGE_MAX);

	buf_add(&b, str_c(page_head));
	if (failed)
		buf_add(&b, S("<p><strong>That was not right. Please try again.</strong></p>"));
	buf_printf(&b, "<form method=\"post\" action=\"?session=%.*s\">", STR_ARG(session));
	add_question(&b, users_options(rq->services->users), type);
	buf_printf(&b, "<p><button type=\"submit\">%s</button></p></form></body></html>",
		   str_eq(type, S("m.login.terms")) ? "Accept" : "Continue");
	reply_page(rq, failed ? 401 : 200, &b);
}

static err *session_arg(struct req *rq, str *out)
{
	*out = req_query(rq, "session");
	if (str_is_none(*out) || !id_opaque_valid(*out))
		return err_new(rq->arena, ERR_MISSING_PARAM, "session is missing");
	return NULL;
}

static err *get_fallback(struct req *rq)
{
	const str type = req_param(rq, "type");
	str session;

	TRY(session_arg(rq, &session));
	for (enum uia_stage s = 0; s < UIA_STAGES; s++)
		if (str_eq(type, str_c(uia_stage_name(s)))) {
			reply_form(rq, type, session, false);
			return NULL;
		}
	return err_new(rq->arena, ERR_NOT_FOUND, "There is no page for this authentication type");
}

static err *post_fallback(struct req *rq)
{
	const str answer = req_form(rq, "answer"), type = req_param(rq, "type");
	AUTO_BUF b = BUF_INIT(PAGE_MAX);
	str session;
	bool good;

	TRY(session_arg(rq, &session));
	TRY(uia_fallback(rq->services->users, rq->arena, session, type,
			 str_is_none(answer) || answer.n > ANSWER_MAX ? S("") : answer, &good));
	if (!good) {
		reply_form(rq, type, session, true);
		return NULL;
	}
	buf_add(&b, str_c(page_head));
	buf_add(&b, str_c(page_done));
	reply_page(rq, 200, &b);
	return NULL;
}

const struct route client_uia_fallback_routes[] = {
	{ "GET", "/_matrix/client/v3/auth/{type}/fallback/web", get_fallback, AUTH_NONE, RATE_NONE, LANE_FAST },
	{ "POST", "/_matrix/client/v3/auth/{type}/fallback/web", post_fallback, AUTH_NONE, RATE_LOGIN, LANE_SLOW,
	  FORM_MAX },
	{ 0 },
};
