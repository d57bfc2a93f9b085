/*
 * args.c - what a request says: path parameters, query, headers, body.
 *
 * Path and query are decoded once a run, into its arena, and must be UTF-8: one stray byte refuses the request, so
 * that no handler sees text that is none. Path parameters keep '+', queries take it for a space (the form encoding
 * that every client library writes).
 */
#include "http/internal_http.h"

#include "base/b64.h"
#include "base/utf8.h"
#include "json/json.h"

#include <assert.h>

static bool is_plain(str s, bool query)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '%' || (signed char)s.p[i] < 0 || (query && s.p[i] == '+'))
			return false;
	return true;
}

str args_decode(struct arena *a, str s, bool query)
{
	char *out;
	size_t n = 0;

	if (is_plain(s, query))
		return s;
	out = arena_alloc(a, s.n);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '%') {
			out[n++] = query && s.p[i] == '+' ? ' ' : s.p[i];
			continue;
		}
		const int hi = i + 1 < s.n ? hex_digit(s.p[i + 1]) : -1, lo = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;

		if (hi < 0 || lo < 0)
			return STR_NONE;
		out[n++] = (char)(hi << 4 | lo);
		i += 2;
	}
	return utf8_valid((str){ out, n }) ? (str){ out, n } : STR_NONE;
}

static err *prepare_query(struct req_internal *r)
{
	struct arena *a = r->rq.arena;
	VEC(struct arg) args = { 0 };
	str rest = r->query, piece;

	while (str_split_next(&rest, '&', &piece)) {
		const size_t eq = str_find(piece, '=');
		struct arg arg = { .name = args_decode(a, str_head(piece, eq), true), .value = S("") };

		if (piece.n == 0)
			continue;
		if (eq < piece.n)
			arg.value = args_decode(a, str_from(piece, eq + 1), true);
		if (str_is_none(arg.name) || str_is_none(arg.value))
			return err_new(a, ERR_INVALID_PARAM, "The query is not percent-encoded UTF-8");
		if (args.n == HTTP_MAX_QUERY)
			return err_new(a, ERR_INVALID_PARAM, "The query has more than %d parameters", HTTP_MAX_QUERY);
		vec_push(a, &args, arg);
	}
	r->args = args.p;
	r->n_args = args.n;
	return NULL;
}

err *args_prepare(struct req_internal *r)
{
	r->args = NULL;
	r->n_args = 0;
	r->json = NULL;
	for (unsigned i = 0; i < r->hit.found->n_params; i++) {
		r->params[i] = args_decode(r->rq.arena, r->hit.params[i], false);
		if (str_is_none(r->params[i]))
			return err_new(r->rq.arena, ERR_INVALID_PARAM, "The path is not percent-encoded UTF-8");
	}
	return str_is_none(r->query) ? NULL : prepare_query(r);
}

struct forwarded {
	struct arena *a;
	VEC(str) hops; /* as they stand in the header, or in several of that name */
};

static enum MHD_Result add_hops(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct forwarded *f = arg;
	str rest = str_c(value);

	(void)kind;
	if (!str_eq_nocase(str_c(name), S("X-Forwarded-For")))
		return MHD_YES;
	for (bool more = true; more;) {
		const size_t comma = str_find(rest, ',');

		vec_push(f->a, &f->hops, str_trim(str_head(rest, comma)));
		more = comma < rest.n;
		rest = str_from(rest, MIN(comma + 1, rest.n));
	}
	return MHD_YES;
}

static bool is_trusted(const struct http_listener *l, str address)
{
	struct ip ip;

	if (!ip_parse(address, &ip))
		return false;
	for (size_t i = 0; i < l->n_trusted_proxies; i++)
		if (ip_net_has(&l->trusted_proxies[i], &ip))
			return true;
	return false;
}

/* Each proxy appends the address it sees, to the header or as another one of that name. So the words are read from the
 * last one on, as long as it was a trusted proxy who said them; what stands before is the client's own invention. */
str args_address(struct req_internal *r)
{
	const struct http_listener *l = &r->conn->listener->opt;
	struct forwarded f = { .a = r->rq.arena };
	str address = str_c(r->conn->address);
	struct ip ip;

	if (!l->x_forwarded || !is_trusted(l, address))
		return address;
	MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, add_hops, &f);
	for (size_t i = f.hops.n; i > 0 && ip_parse(f.hops.p[i - 1], &ip) && is_trusted(l, address); i--)
		address = f.hops.p[i - 1];
	return arena_keep(r->rq.arena, address);
}

static unsigned param_at(const struct req_internal *r, const char *name)
{
	const struct compiled *c = r->hit.found;

	for (unsigned i = 0; i < c->n_params; i++)
		if (str_eq(c->names[i], str_c(name)))
			return i;
	assert(!"the route has this parameter");
	return 0;
}

str req_param(const struct req *rq, const char *name) { return rq->in->params[param_at(rq->in, name)]; }

str req_path_before(const struct req *rq, const char *name)
{
	const str raw = rq->in->hit.params[param_at(rq->in, name)];

	return str_head(rq->path, (size_t)(raw.p - rq->path.p));
}

str req_query(const struct req *rq, const char *name)
{
	const str want = str_c(name);

	for (size_t i = 0; i < rq->in->n_args; i++)
		if (str_eq(rq->in->args[i].name, want))
			return rq->in->args[i].value;
	return STR_NONE;
}

size_t req_query_all(const struct req *rq, const char *name, str *out, size_t max)
{
	const str want = str_c(name);
	size_t n = 0;

	for (size_t i = 0; i < rq->in->n_args && n < max; i++)
		if (str_eq(rq->in->args[i].name, want))
			out[n++] = rq->in->args[i].value;
	return n;
}

err *req_query_int(const struct req *rq, const char *name, int64_t otherwise, int64_t *out)
{
	const str s = req_query(rq, name);

	*out = otherwise;
	if (!str_is_none(s) && !str_to_i64(s, out))
		return err_new(rq->arena, ERR_INVALID_PARAM, "Query parameter %s must be an integer", name);
	return NULL;
}

err *req_query_bool(const struct req *rq, const char *name, bool otherwise, bool *out)
{
	const str s = req_query(rq, name);

	*out = str_is_none(s) ? otherwise : str_eq(s, S("true"));
	if (!str_is_none(s) && !*out && !str_eq(s, S("false")))
		return err_new(rq->arena, ERR_INVALID_PARAM, "Query parameter %s must be true or false", name);
	return NULL;
}

str req_form(const struct req *rq, const char *name)
{
	str rest = req_body(rq), piece;

	while (str_split_next(&rest, '&', &piece)) {
		const size_t eq = str_find(piece, '=');

		if (eq < piece.n && str_eq(str_head(piece, eq), str_c(name)))
			return args_decode(rq->arena, str_from(piece, eq + 1), true);
	}
	return STR_NONE;
}

str req_header(const struct req *rq, const char *name)
{
	return str_c(MHD_lookup_connection_value(rq->in->mhd, MHD_HEADER_KIND, name));
}

struct same_name {
	const char *name;
	str *out;
	size_t n, max;
};

static enum MHD_Result add_same(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct same_name *s = arg;

	(void)kind;
	if (!str_eq_nocase(str_c(name), str_c(s->name)))
		return MHD_YES;
	if (s->n < s->max)
		s->out[s->n] = str_c(value);
	s->n++;
	return MHD_YES;
}

size_t req_header_all(const struct req *rq, const char *name, str *out, size_t max)
{
	struct same_name s = { .name = name, .out = out, .max = max };

	MHD_get_connection_values(rq->in->mhd, MHD_HEADER_KIND, add_same, &s);
	return s.n;
}

/* The path is a slice of the text, up to whose end the query goes. */
str req_target(const struct req *rq) { return str_from(rq->in->uri, (size_t)(rq->path.p - rq->in->uri.p)); }

str req_body(const struct req *rq) { return buf_str(&rq->in->body); }

err *req_body_object(struct req *rq, const struct json **out)
{
	struct json_limits limits = json_limits_request;
	struct json *json;

	if (!rq->in->json) {
		limits.max_bytes = MAX(limits.max_bytes, rq->in->max_body);
		limits.max_values = MAX(limits.max_values, rq->in->max_body / 16);
		/* Events within are held against their own limits, each: one that is nested deeply is refused alone. */
		if (rq->route->auth == AUTH_SERVER)
			limits.max_depth = json_limits_event.max_depth + 16;
		TRY(json_parse(rq->arena, req_body(rq), &limits, &json));
		rq->in->json = json;
	}
	if (!json_is(rq->in->json, JSON_OBJECT))
		return err_new(rq->arena, ERR_BAD_JSON, "Content must be a JSON object");
	*out = rq->in->json;
	return NULL;
}

err *req_body_object_or_empty(struct req *rq, const struct json **out)
{
	if (req_body(rq).n > 0)
		return req_body_object(rq, out);
	*out = json_new_object(rq->arena);
	return NULL;
}

/* Client-Server API, "Using access tokens": the header, or the deprecated query parameter. */
str req_access_token(const struct req *rq)
{
	static const str scheme = STR("Bearer ");
	const str header = req_header(rq, "Authorization");

	if (str_starts_nocase(header, scheme))
		return str_trim(str_from(header, scheme.n));
	return req_query(rq, "access_token");
}
