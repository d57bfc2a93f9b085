/*
 * preview_fetch.c - asks an address, through the guarded client; or reads what stands in a data: URL (RFC 2397).
 */
#include "media/internal_preview.h"

#include "base/b64.h"
#include "base/buf.h"
#include "base/utf8.h"

static const char *const wanted[] = { "text/html", "application/xhtml", "image/", "application/json", NULL };

static err *refused(struct arena *a)
{
	return err_new(a, ERR_FORBIDDEN, "This server does not make previews of that address");
}

/* filename="a.png" of Content-Disposition. */
static str filename_of(struct arena *a, str header)
{
	const str word = S("filename=");
	str name;

	for (size_t i = 0; i + word.n < header.n; i++) {
		if (!str_starts_nocase(str_from(header, i), word))
			continue;
		name = str_from(header, i + word.n);
		if (name.p[0] == '"')
			name = str_head(str_from(name, 1), str_find(str_from(name, 1), '"'));
		else
			name = str_trim(str_head(name, str_find(name, ';')));
		return name.n > 0 && name.n <= OG_MAX_TEXT && utf8_valid(name) ? arena_keep(a, name) : STR_NONE;
	}
	return STR_NONE;
}

struct way {
	const struct url_rules *rules;
	bool refused;
};

static bool may_follow(void *way, const struct client_url *url)
{
	struct way *w = way;

	w->refused = url_rules_match(w->rules, url);
	return !w->refused;
}

static err *ask(struct previews *pv, struct arena *a, const struct client_url *url, int64_t deadline_us,
		struct client_call *c)
{
	struct client_header headers[3] = {
		{ S("Accept"), S("text/html,application/xhtml+xml,image/*;q=0.9,application/json;q=0.8") },
	};
	size_t n = 1;
	struct way way = { .rules = pv->rules };
	err *e;

	if (!str_is_none(pv->opt.accept_language))
		headers[n++] = (struct client_header){ S("Accept-Language"), pv->opt.accept_language };
	if (!str_is_none(pv->opt.user_agent))
		headers[n++] = (struct client_header){ S("User-Agent"), pv->opt.user_agent };
	*c = (struct client_call){
		.url = url->text,
		.headers = headers,
		.n_headers = n,
		.nets = &pv->opt.nets,
		.max_redirects = PREVIEW_REDIRECTS,
		.may_follow = may_follow,
		.follow_ctx = &way,
		.max_bytes = pv->opt.max_bytes,
		.types = wanted,
	};
	e = client_one(pv->opt.client, a, c, deadline_us);
	if (e)
		return way.refused ? refused(a) : e;
	if (c->status < 200 || c->status > 299)
		return err_new(a, ERR_CONNECTION_FAILED, "The page's server answers with status %d", c->status);
	return NULL;
}

static str unescape(struct arena *a, str s)
{
	char *out = arena_alloc(a, s.n);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		const int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
		const int low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;

		if (low >= 0)
			i += 2;
		out[n++] = low >= 0 ? (char)(high * 16 + low) : s.p[i];
	}
	return (str){ out, n };
}

/* "data:image/png;base64,AAAA" */
static err *read_data(const struct previews *pv, struct arena *a, str url, struct fetched *out)
{
	const str rest = str_from(url, 5);
	const size_t comma = str_find(rest, ',');
	str type = str_head(rest, comma), bytes;

	if (comma == rest.n || rest.n > pv->opt.max_bytes)
		return err_new(a, ERR_INVALID_PARAM, "This is no data: URL");
	bytes = unescape(a, str_from(rest, comma + 1));
	if (str_ends(type, S(";base64"))) {
		type = str_head(type, type.n - 7);
		bytes = b64_decode(a, bytes);
	}
	if (str_is_none(bytes))
		return err_new(a, ERR_INVALID_PARAM, "This is no data: URL");
	*out = (struct fetched){ .is_data = true, .content_type = type, .filename = STR_NONE, .bytes = bytes };
	return NULL;
}

err *preview_fetch(struct previews *pv, struct arena *a, str url, bool with_data, int64_t deadline_us,
		   struct fetched *out)
{
	struct client_url u;
	struct client_call c;

	if (with_data && str_starts_nocase(url, S("data:")))
		return read_data(pv, a, url, out);
	TRY(client_url_parse(a, url, &u));
	if (url_rules_match(pv->rules, &u))
		return refused(a);
	TRY(ask(pv, a, &u, deadline_us, &c));
	TRY(client_url_parse(a, c.final_url, &u));
	*out = (struct fetched){
		.url = u,
		.content_type = client_answer_header(&c, "Content-Type"),
		.filename = filename_of(a, client_answer_header(&c, "Content-Disposition")),
		.bytes = c.answer,
	};
	return NULL;
}
