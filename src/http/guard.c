/*
 * guard.c - what is refused by its head alone.
 *
 * Two readers of one byte stream that disagree where a request ends let a client smuggle one request inside another
 * past a proxy. The library takes Transfer-Encoding together with Content-Length, and the first of several
 * Content-Lengths; here both are refused, as is everything else whose end is a matter of opinion (a space before a
 * header's colon, a header that goes on in the next line, a stray CR in a value, an unknown transfer coding, a body's
 * length in HTTP/1.0 chunks), and the connection is closed, for nobody knows what follows.
 */
#include "http/internal_http.h"

struct heads {
	unsigned n, n_length, n_coding, n_host;
	const char *length;
	bool lengths_differ, chunked, malformed, expects;
};

static bool is_token(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || (unsigned char)*name >= 0x7f)
			return false;
	return true;
}

/* The library joins what a continuation line holds to the header's name ("Content-Length:" + " 2" has no length), and
 * lets it stand behind the value, which a header in one line never does: whoever unfolds it sees another request than
 * we do. */
static bool is_folded(const char *name, const char *value) { return (uintptr_t)value < (uintptr_t)name; }

/* RFC 9110, "Field Values": "Field values containing CR, LF, or NUL characters are invalid and dangerous" */
static bool is_value(const char *value)
{
	for (; *value; value++)
		if (((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f)
			return false;
	return true;
}

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct heads *h = arg;
	const str name = str_c(key);

	(void)kind;
	h->n++;
	if (!is_token(key) || is_folded(key, value) || !is_value(value)) {
		h->malformed = true;
	} else if (name.n == 14 && str_eq_nocase(name, S("Content-Length"))) {
		h->lengths_differ |= h->n_length > 0 && !str_eq(str_c(h->length), str_c(value));
		h->length = value;
		h->n_length++;
	} else if (name.n == 17 && str_eq_nocase(name, S("Transfer-Encoding"))) {
		h->chunked = str_eq_nocase(str_c(value), S("chunked"));
		h->n_coding++;
	} else if (name.n == 4 && str_eq_nocase(name, S("Host"))) {
		h->n_host++;
	} else if (name.n == 6 && str_eq_nocase(name, S("Expect"))) {
		h->expects |= str_eq_nocase(str_c(value), S("100-continue"));
	}
	return MHD_YES;
}

static struct refusal bad(const char *why) { return (struct refusal){ ERR_UNKNOWN, 400, true, why }; }

static struct refusal guard_length(struct req_internal *r, const struct heads *h, bool http_1_0)
{
	uint64_t length = 0;

	if (h->n_coding > 0 && h->n_length > 0)
		return bad("Transfer-Encoding and Content-Length exclude each other");
	if (h->lengths_differ)
		return bad("Content-Length stands twice");
	if (h->n_coding > 1 || (h->n_coding > 0 && http_1_0))
		return bad("Transfer-Encoding is not understood");
	if (h->n_coding > 0 && !h->chunked)
		return (struct refusal){ ERR_UNKNOWN, 501, true, "Transfer-Encoding is not understood" };
	if (h->length && !str_to_u64(str_c(h->length), &length))
		return bad("Content-Length is no number");
	r->upload.length = h->n_coding > 0 ? -1 : (int64_t)length;
	r->upload.expects = h->expects && !http_1_0;
	if (length > INT64_MAX)
		return (struct refusal){ ERR_TOO_LARGE, 0, true, "The body is too large" };
	if (r->rq.route && r->rq.route->sink)
		return (struct refusal){ 0 };
	/* A little too much is read to its end, so that the answer arrives instead of a reset; not more. */
	if (length > (uint64_t)r->max_body + HTTP_BODY_DISCARD)
		return (struct refusal){ ERR_TOO_LARGE, 0, true, "The body is too large" };
	return (struct refusal){ 0 };
}

struct refusal guard_head(struct req_internal *r, const char *version)
{
	const union MHD_ConnectionInfo *size = MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	const bool http_1_0 = str_eq(str_c(version), S("HTTP/1.0"));
	struct heads h = { 0 };

	if (r->uri.n > HTTP_MAX_HEAD)
		return (struct refusal){ ERR_TOO_LARGE, 414, true, "The URL is too long" };
	MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, on_header, &h);
	if (h.n > HTTP_MAX_HEADERS || (size && size->header_size > HTTP_MAX_HEAD))
		return (struct refusal){ ERR_TOO_LARGE, 431, true, "The headers are too large" };
	if (h.malformed)
		return bad("A header is malformed");
	if (h.n_host > 1 || (h.n_host == 0 && !http_1_0))
		return bad("There must be one Host header");
	for (size_t i = 0; i < r->uri.n; i++)
		if ((unsigned char)r->uri.p[i] <= ' ' || r->uri.p[i] == 0x7f)
			return bad("The URL is malformed");
	return guard_length(r, &h, http_1_0);
}
