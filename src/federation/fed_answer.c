/*
 * fed_answer.c - what came back, in our words, and what it says of the server.
 *
 * An errcode of another server ends up, often, before a user of ours. So only those pass that mean the same to him as
 * they meant to us; that the other side does not believe who we are, or forgot its own tokens, must log nobody out
 * here. Whoever answers at all, if only to say no, lives; who does not answer, is in trouble (5xx) or is no Matrix
 * server at the moment (a page in HTML, a redirect) is left alone for a while.
 */
#include "federation/internal_fed.h"

#include "base/metrics.h"
#include "base/utf8.h"
#include "json/writer.h"

enum {
	MOST_TEXT = 300,
	MOST_VERSION = 64,
	MOST_ERRCODE = 255,
	MOST_DEPTH = 1010,
	LEAST_VALUES = 65536,
	BYTES_PER_VALUE = 16
};
#define MOST_RETRY_MS INT64_C(86400000)

enum outcome {
	ANSWERED,
	SAID_NO,
	IN_TROUBLE,
	NO_MATRIX,
	NO_ANSWER,
	TOO_LARGE,
	NOT_TAKEN,
	NOT_ASKED,
	BACKED_OFF,
	NOT_ALLOWED
};
static const char *const labels[] = {
	[ANSWERED] = "outcome=\"answered\"",       [SAID_NO] = "outcome=\"refused\"",
	[IN_TROUBLE] = "outcome=\"server_error\"", [NO_MATRIX] = "outcome=\"not_matrix\"",
	[NO_ANSWER] = "outcome=\"no_answer\"",     [TOO_LARGE] = "outcome=\"too_large\"",
	[NOT_TAKEN] = "outcome=\"not_taken\"",     [NOT_ASKED] = "outcome=\"not_asked\"",
	[BACKED_OFF] = "outcome=\"backed_off\"",   [NOT_ALLOWED] = "outcome=\"not_allowed\"",
};
static struct metric *outcomes[ARRAY_LEN(labels)];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void register_once(void)
{
	metric_counters(outcomes, ARRAY_LEN(labels), "hearth_federation_requests_total",
			"Requests to other servers, signed", labels);
}

void fed_count_outcomes(void) { pthread_once(&once, register_once); }

void fed_refuse(struct fed_call *call, err *e)
{
	call->error = e;
	metric_add(outcomes[e->detail == FED_BACKED_OFF    ? BACKED_OFF
			    : e->detail == FED_NOT_ALLOWED ? NOT_ALLOWED
							   : NOT_ASKED],
		   1);
}

/* ---- no answer ---- */

static enum outcome no_answer(const struct fed_flight *fl, err **out)
{
	const err *e = fl->http.error;
	enum err_code code = ERR_CONNECTION_FAILED;
	enum outcome o = NO_ANSWER;

	if (fl->not_taken) {
		*out = fl->not_taken;
		return NOT_TAKEN;
	}
	switch ((enum client_failure)e->detail) {
	case CLIENT_BAD_URL:
	case CLIENT_BUSY:
	case CLIENT_STOPPED:
		o = NOT_ASKED;
		code = e->code;
		break;
	case CLIENT_TOO_LARGE:
		o = TOO_LARGE;
		code = ERR_REMOTE_TOO_LARGE;
		break;
	case CLIENT_TIMEOUT:
		code = ERR_CONNECTION_TIMEOUT;
		break;
	default:
		break;
	}
	*out = err_new(fl->arena, code, "%.*s: %.*s", STR_ARG(fl->call->destination), STR_ARG(e->msg));
	(*out)->detail = e->detail;
	return o;
}

/* ---- an answer that says no ---- */

/* What means to a user of ours what it means to us. */
static const enum err_code passed_on[] = {
	ERR_FORBIDDEN,
	ERR_NOT_FOUND,
	ERR_UNRECOGNIZED,
	ERR_BAD_JSON,
	ERR_NOT_JSON,
	ERR_INVALID_PARAM,
	ERR_MISSING_PARAM,
	ERR_UNABLE_TO_AUTHORISE_JOIN,
	ERR_UNABLE_TO_GRANT_JOIN,
	ERR_INCOMPATIBLE_ROOM_VERSION,
	ERR_UNSUPPORTED_ROOM_VERSION,
	ERR_INVITE_BLOCKED,
	ERR_BAD_STATE,
	ERR_RESOURCE_LIMIT,
	ERR_LIMIT_EXCEEDED,
	ERR_REMOTE_TOO_LARGE,
	ERR_NOT_YET_UPLOADED,
};

static enum err_code code_of(int status, str errcode)
{
	/* Our proof was not believed: nothing that a user could mend by logging in. */
	if (status == 401 || status < 400)
		return ERR_CONNECTION_FAILED;
	for (size_t i = 0; i < ARRAY_LEN(passed_on); i++) {
		const bool fits = status < 500 || passed_on[i] == ERR_NOT_YET_UPLOADED;

		if (fits && str_eq(errcode, str_c(err_errcode(passed_on[i]))))
			return passed_on[i];
	}
	switch (status) {
	case 403:
		return ERR_FORBIDDEN;
	case 404:
	case 405:
		return str_is_none(errcode) ? ERR_UNRECOGNIZED : ERR_NOT_FOUND;
	case 413:
		return ERR_REMOTE_TOO_LARGE;
	case 429:
		return ERR_LIMIT_EXCEEDED;
	default:
		return status < 500 ? ERR_UNKNOWN : ERR_CONNECTION_FAILED;
	}
}

static int64_t retry_after(const struct fed_flight *fl)
{
	int64_t ms;
	uint64_t s;

	if (json_get_int(fl->call->answer, S("retry_after_ms"), &ms))
		return MIN(MAX(ms, 0), MOST_RETRY_MS);
	if (str_to_u64(client_answer_header(&fl->http, "Retry-After"), &s))
		return MIN((int64_t)MIN(s, UINT32_MAX) * 1000, MOST_RETRY_MS);
	return -1;
}

/* "M_INCOMPATIBLE_ROOM_VERSION ... room_version: The version of the room." "retry_after_ms" */
static str members_of(const struct fed_flight *fl, enum err_code code)
{
	const str version = json_get_str(fl->call->answer, S("room_version"));
	AUTO_BUF b = BUF_INIT(MOST_VERSION * 6 + 100);
	struct jw w = jw_to(&b);
	int64_t ms;

	if (code == ERR_INCOMPATIBLE_ROOM_VERSION && !str_is_none(version) && version.n <= MOST_VERSION) {
		jw_object(&w, NULL);
		jw_str(&w, "room_version", version);
		jw_end(&w);
		return arena_keep(fl->arena, (str){ b.p + 1, b.n - 2 });
	}
	ms = code == ERR_LIMIT_EXCEEDED ? retry_after(fl) : -1;
	return ms < 0 ? STR_NONE : arena_printf(fl->arena, "\"retry_after_ms\":%" PRId64, ms);
}

/* Not one of those that have a meaning here, which code_of would have taken over if it could. */
static bool is_foreign(str errcode)
{
	if (errcode.n == 0 || errcode.n > MOST_ERRCODE)
		return false;
	for (size_t i = 0; i < errcode.n; i++) {
		const char c = errcode.p[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' &&
		    c != '.')
			return false;
	}
	for (enum err_code c = ERR_NONE + 1; c <= ERR_CONFIG; c++)
		if (str_eq(errcode, str_c(err_errcode(c))))
			return false;
	return true;
}

/* "The error should be passed through to clients so that they may give better feedback to users": with its errcode,
 * where nothing here goes by it. */
static str as_it_came(struct arena *a, str errcode, const err *e)
{
	AUTO_BUF b = BUF_INIT(8 * MOST_TEXT + 4096);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	jw_str(&w, "errcode", errcode);
	jw_str(&w, "error", e->msg);
	jw_end(&w);
	return arena_keep(a, buf_str(&b));
}

static err *said_no(const struct fed_flight *fl)
{
	const struct fed_call *call = fl->call;
	const str errcode = json_get_str(call->answer, S("errcode")), text = json_get_str(call->answer, S("error"));
	const enum err_code code = code_of(call->status, errcode);
	err *e;

	if (text.n > 0)
		e = err_new(fl->arena, code, "%.*s: %.*s", STR_ARG(call->destination),
			    STR_ARG(utf8_cut(text, MOST_TEXT)));
	else
		e = err_new(fl->arena, code, "%.*s answered with status %d", STR_ARG(call->destination), call->status);
	e->extra = members_of(fl, code);
	if (code == ERR_UNKNOWN && is_foreign(errcode))
		e->body = as_it_came(fl->arena, errcode, e);
	return e;
}

/* ---- an answer ---- */

static bool parse(struct fed_flight *fl, struct json **out)
{
	const str text = fl->http.answer;
	const struct json_limits limits = {
		.max_bytes = MAX(text.n, 1),
		.max_depth = MOST_DEPTH,
		.max_values = MAX(text.n / BYTES_PER_VALUE, LEAST_VALUES),
	};

	return !json_parse(fl->arena, text, &limits, out);
}

static enum outcome good(struct fed_flight *fl)
{
	struct fed_call *call = fl->call;

	if (call->take || call->any_type) {
		call->body = fl->http.answer;
		return ANSWERED;
	}
	if (parse(fl, &call->answer))
		return ANSWERED;
	call->error = err_new(fl->arena, ERR_CONNECTION_FAILED, "%.*s answered with what is no JSON",
			      STR_ARG(call->destination));
	return NO_MATRIX;
}

static enum outcome read_answer(struct fed_flight *fl)
{
	struct fed_call *call = fl->call;

	if (fl->http.error)
		return no_answer(fl, &call->error);
	call->status = fl->http.status;
	call->content_type = client_answer_header(&fl->http, "Content-Type");
	if (call->status >= 200 && call->status <= 299)
		return good(fl);
	if (!parse(fl, &call->answer))
		call->answer = NULL;
	if (call->status == 429)
		call->retry_after_ms = retry_after(fl);
	call->error = said_no(fl);
	if (call->status < 400)
		return NO_MATRIX;
	return call->status < 500 || call->error->code == ERR_NOT_YET_UPLOADED ? SAID_NO : IN_TROUBLE;
}

void fed_answer(struct fed_flight *fl)
{
	const struct fed_call *call = fl->call;
	const enum outcome o = read_answer(fl);

	metric_add(outcomes[o], 1);
	switch (o) {
	case ANSWERED:
	case SAID_NO:
	case TOO_LARGE:
	case NOT_TAKEN:
		backoff_good(fl->fed, call->destination);
		break;
	case IN_TROUBLE:
	case NO_MATRIX:
	case NO_ANSWER:
		if (call->patience != FED_UNHARMED)
			backoff_failed_since(fl->fed, call->destination, fl->began_ms, call->error);
		break;
	default:
		break;
	}
}
