/* well_known.c - reading the delegation, and the headers that say how long it holds. */
#include "federation/well_known.h"

#include "json/json.h"
#include "matrix/id.h"

#include <time.h>

static int64_t bounded(int64_t ms) { return MIN(MAX(ms, WELL_KNOWN_LEAST_MS), WELL_KNOWN_MOST_MS); }

/* RFC 9111, 5.2: the first max-age counts; no-store and no-cache are an age of nothing. */
static bool cache_control(str header, int64_t *out_ms)
{
	str piece;

	while (str_split_next(&header, ',', &piece)) {
		const str directive = str_trim(piece);
		uint64_t s;

		if (str_eq_nocase(directive, S("no-store")) || str_eq_nocase(directive, S("no-cache"))) {
			*out_ms = 0;
			return true;
		}
		if (str_starts_nocase(directive, S("max-age=")) && str_to_u64(str_from(directive, 8), &s)) {
			*out_ms = (int64_t)MIN(s, UINT32_MAX) * 1000;
			return true;
		}
	}
	return false;
}

/* "Expires: Thu, 01 Dec 1994 16:00:00 GMT" */
static bool expires(struct arena *a, str header, int64_t now, int64_t *out_ms)
{
	struct tm tm = { 0 };
	const char *end;

	if (str_is_none(header))
		return false;
	end = strptime(arena_cstr(a, header), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	/* "a cache recipient MUST interpret invalid date formats, especially the value "0", as representing a time in
	 * the past" */
	*out_ms = end && *end == '\0' ? (int64_t)timegm(&tm) * 1000 - now : 0;
	return true;
}

static int64_t lifetime(struct arena *a, const struct client_call *call, int64_t now)
{
	int64_t ms;

	if (cache_control(client_answer_header(call, "Cache-Control"), &ms) ||
	    expires(a, client_answer_header(call, "Expires"), now, &ms))
		return bounded(ms);
	return WELL_KNOWN_USUAL_MS;
}

static bool is_passing(const struct client_call *call)
{
	if (call->error)
		return call->error->detail != CLIENT_REFUSED && call->error->detail != CLIENT_TOO_LARGE;
	return call->status >= 500 || call->status == 429;
}

void well_known_read(struct arena *a, const struct client_call *call, int64_t now, struct well_known *out)
{
	struct json *answer;
	str server, host;
	int port;

	*out = (struct well_known){ .passing = is_passing(call), .delegated = STR_NONE };
	/* "If the response is invalid (bad JSON, missing properties, non-200 response, etc), skip to step 4." */
	if (call->error || call->status != 200 || json_parse(a, call->answer, &json_limits_request, &answer))
		return;
	server = json_get_str(answer, S("m.server"));
	if (!id_server_name_split(server, &host, &port) || port > UINT16_MAX)
		return;
	*out = (struct well_known){ .found = true, .delegated = server, .for_ms = lifetime(a, call, now) };
}
