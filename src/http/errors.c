/*
 * errors.c - the standard error response (Client-Server API, "Standard error response").
 *
 * "retry_after_ms: The amount of time in milliseconds the client should wait before trying the request again." It
 * stands beside M_LIMIT_EXCEEDED always (made up here where the error brings none), and its value, rounded up to
 * seconds, is the Retry-After header's.
 */
#include "http/internal_http.h"

#include "json/json.h"

static int64_t retry_of(struct arena *a, str extra)
{
	struct json *members;
	int64_t ms;

	if (str_is_none(extra) || json_parse(a, arena_join3(a, S("{"), extra, S("}")), &json_limits_event, &members) ||
	    !json_get_int(members, S("retry_after_ms"), &ms))
		return -1;
	return MAX(ms, 0);
}

void errors_write(struct buf *out, struct arena *a, const err *e, int64_t *out_retry_s)
{
	struct jw w = jw_to(out);

	*out_retry_s = 0;
	if (!str_is_none(e->body)) {
		buf_add(out, e->body);
		return;
	}
	jw_object(&w, NULL);
	jw_str(&w, "errcode", str_c(err_errcode(e->code)));
	/* What went wrong inside is for the log (run.c writes it): SQL and paths are nobody else's business. */
	jw_str(&w, "error", err_status(e->code) == 500 ? S("Internal server error") : e->msg);
	if (e->code == ERR_LIMIT_EXCEEDED || e->code == ERR_BUSY) {
		int64_t ms = retry_of(a, e->extra);

		if (ms < 0) {
			ms = 1000;
			jw_int(&w, "retry_after_ms", ms);
		}
		*out_retry_s = MAX((ms + 999) / 1000, 1);
	}
	if (!str_is_none(e->extra)) {
		buf_byte(out, ',');
		buf_add(out, e->extra);
	}
	jw_end(&w);
}
