/* preview_oembed.c - providers by their addresses, and what they answer. */
#include "media/preview_oembed.h"

#include "json/json.h"
#include "matrix/glob.h"
#include "media/preview_html.h"

/* Whose pages say nothing without scripts. */
static const struct oembed_provider known[] = {
	{ STR("https://x.com/*"), STR("https://publish.x.com/oembed") },
	{ STR("https://*.x.com/*/status/*"), STR("https://publish.x.com/oembed") },
	{ STR("https://twitter.com/*"), STR("https://publish.x.com/oembed") },
	{ STR("https://*.twitter.com/*/status/*"), STR("https://publish.x.com/oembed") },
	{ STR("https://youtube.com/shorts/*"), STR("https://www.youtube.com/oembed") },
	{ STR("https://*.youtube.com/shorts/*"), STR("https://www.youtube.com/oembed") },
};

static const struct json_limits limits = { 1 << 20, 32, 65536 };

void oembed_add_known(struct arena *a, struct oembed_providers *p)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		vec_push(a, &p->list, known[i]);
}

static bool is_address(str s) { return str_starts(s, S("https://")) || str_starts(s, S("http://")); }

static err *bad_list(struct arena *a, const char *why)
{
	return err_new(a, ERR_CONFIG, "oembed.additional_providers: %s", why);
}

/* Only JSON is read: what answers in XML alone is passed over. */
static bool speaks_json(const struct json *endpoint, str url)
{
	const struct json *formats = json_get_array(endpoint, S("formats"));

	return (!formats || json_lists(formats, S("json"))) && !str_ends(url, S(".xml"));
}

/* "{format}" in an endpoint's address. */
static str with_format(struct arena *a, str url)
{
	const str word = S("{format}");

	for (size_t i = 0; i + word.n <= url.n; i++) {
		if (str_starts(str_from(url, i), word))
			return arena_join3(a, str_head(url, i), S("json"), str_from(url, i + word.n));
	}
	return url;
}

static err *add_endpoint(struct arena *a, struct oembed_providers *p, const struct json *endpoint)
{
	const struct json *schemes = json_get_array(endpoint, S("schemes"));
	const str url = json_get_str(endpoint, S("url"));

	if (!schemes || !is_address(url))
		return bad_list(a, "an endpoint needs schemes and an http or https url");
	if (!speaks_json(endpoint, url))
		return NULL;
	JSON_ITEMS (schemes, i) {
		const str scheme = json_str(schemes->array.items[i]);

		if (!is_address(scheme))
			return bad_list(a, "a scheme begins with http:// or https://");
		vec_push(a, &p->list, (struct oembed_provider){ scheme, with_format(a, url) });
	}
	return NULL;
}

err *oembed_add_list(struct arena *a, struct oembed_providers *p, str json)
{
	static const struct json_limits whole = { 16 << 20, 32, 1 << 20 };
	struct json *list;

	if (json_parse(a, arena_keep(a, json), &whole, &list) != NULL || list->kind != JSON_ARRAY)
		return bad_list(a, "it is no list in JSON");
	JSON_ITEMS (list, i) {
		const struct json *endpoints = json_get_array(list->array.items[i], S("endpoints"));

		if (!endpoints)
			return bad_list(a, "a provider needs endpoints");
		JSON_ITEMS (endpoints, k) {
			TRY(add_endpoint(a, p, endpoints->array.items[k]));
		}
	}
	return NULL;
}

static str percent_encode(struct arena *a, str s)
{
	AUTO_BUF out = BUF_INIT(3 * s.n + 1);

	for (size_t i = 0; i < s.n; i++) {
		const unsigned char c = (unsigned char)s.p[i];
		const bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');

		if (plain || memchr("-._~", c, 4))
			buf_byte(&out, (char)c);
		else
			buf_printf(&out, "%%%02X", c);
	}
	return arena_keep(a, buf_str(&out));
}

str oembed_endpoint(struct arena *a, const struct oembed_providers *p, str url)
{
	for (size_t i = 0; i < p->list.n; i++) {
		const struct oembed_provider *at = &p->list.p[i];

		if (glob_match_exact(at->scheme, url))
			return arena_printf(a, "%.*s?url=%.*s&format=json", STR_ARG(at->endpoint),
					    STR_ARG(percent_encode(a, url)));
	}
	return STR_NONE;
}

/* Some say "alternative". */
str oembed_discover(struct arena *a, const struct html *h)
{
	for (const html_node *at = html_next(h, NULL); at; at = html_next(h, at)) {
		str rel, href;

		if (!html_is(at, "link") || !str_eq_nocase(html_attribute(a, at, "type"), S("application/json+oembed")))
			continue;
		rel = html_attribute(a, at, "rel");
		href = html_attribute(a, at, "href");
		if ((str_eq_nocase(rel, S("alternate")) || str_eq_nocase(rel, S("alternative"))) && !str_is_none(href))
			return href;
	}
	return STR_NONE;
}

/* ---- answers ---- */

static str text_of(const struct json *j, const char *key)
{
	const str s = str_trim(json_get_str(j, str_c(key)));

	return s.n > 0 ? s : STR_NONE;
}

/* Titles come with entities, though JSON has none. */
static str unescaped(struct arena *a, str s)
{
	AUTO_BUF text = BUF_INIT(4 * s.n + 1);
	AUTO_HTML *h = NULL;

	if (str_find(s, '&') == s.n)
		return s;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '<')
			buf_add(&text, S("&lt;"));
		else
			buf_byte(&text, s.p[i] ? s.p[i] : ' ');
	}
	h = html_read(buf_str(&text));
	return h && html_next(h, NULL) ? html_text(a, html_next(h, NULL)) : s;
}

static str first_source(struct arena *a, const struct html *h, const char *tag)
{
	for (const html_node *at = html_next(h, NULL); at; at = html_next(h, at)) {
		const str src = html_is(at, tag) ? html_attribute(a, at, "src") : STR_NONE;

		if (!str_is_none(src))
			return src;
	}
	return STR_NONE;
}

static void set_if(struct arena *a, struct og *og, const char *name, str text)
{
	if (!str_is_none(text))
		og_set(a, og, str_c(name), text);
}

/* What is to be put into a page: its picture, its video, its words. */
static void read_fragment(struct arena *a, str fragment, struct og *og)
{
	AUTO_HTML *h = html_read(fragment);
	struct summary s = { .a = a };
	str video;

	if (!h)
		return;
	if (!og_has(og, S("og:image")))
		set_if(a, og, "og:image", first_source(a, h, "img"));
	video = first_source(a, h, "video");
	set_if(a, og, "og:video", str_is_none(video) ? first_source(a, h, "embed") : video);
	html_each_text(h, summary_add, &s);
	set_if(a, og, "og:description", summary_end(&s));
}

static str clean(struct arena *a, str s)
{
	char *z;

	if (str_is_none(s))
		return S("");
	z = arena_cstr(a, s);
	for (size_t i = 0; i < s.n; i++)
		z[i] = z[i] ? z[i] : ' ';
	return (str){ z, s.n };
}

static void read_kind(struct arena *a, const struct json *j, struct og *og)
{
	const str kind = text_of(j, "type"), fragment = clean(a, text_of(j, "html"));
	int64_t n;

	if (str_eq(kind, S("photo")))
		set_if(a, og, "og:image", text_of(j, "url"));
	if (str_eq(kind, S("link")))
		og_set(a, og, S("og:type"), S("website"));
	if (str_eq(kind, S("rich")) || str_eq(kind, S("video")))
		read_fragment(a, fragment, og);
	if (!str_eq(kind, S("video")))
		return;
	og_set(a, og, S("og:type"), S("video.other"));
	if (json_get_int(j, S("width"), &n))
		og_set_number(a, og, S("og:video:width"), n);
	if (json_get_int(j, S("height"), &n))
		og_set_number(a, og, S("og:video:height"), n);
}

/* "1.0" is demanded; some write a number, some nothing. */
static bool is_version_1(const struct json *j)
{
	const struct json *v = json_get(j, S("version"));
	int64_t n;

	if (json_is(v, JSON_NUMBER))
		return str_eq(v->raw, S("1.0"));
	return !v || str_eq(json_str(v), S("1.0")) || (json_get_int(j, S("version"), &n) && n == 1);
}

static int64_t cache_of(const struct json *j)
{
	const struct json *age = json_get(j, S("cache_age"));
	int64_t seconds = -1;

	if (!json_get_int(j, S("cache_age"), &seconds) && !str_to_i64(json_str(age), &seconds))
		return -1;
	return seconds < 0 || seconds > INT64_MAX / 1000 ? -1 : seconds * 1000;
}

bool oembed_read(struct arena *a, str url, str json, struct oembed *out)
{
	struct json *j;

	*out = (struct oembed){ .cache_ms = -1 };
	if (json_parse(a, json, &limits, &j) != NULL || j->kind != JSON_OBJECT || !is_version_1(j))
		return false;
	out->cache_ms = cache_of(j);
	out->author = text_of(j, "author_name");
	og_set(a, &out->og, S("og:url"), url);
	if (!str_is_none(text_of(j, "title")))
		og_set(a, &out->og, S("og:title"), unescaped(a, text_of(j, "title")));
	set_if(a, &out->og, "og:site_name", text_of(j, "provider_name"));
	set_if(a, &out->og, "og:image", text_of(j, "thumbnail_url"));
	read_kind(a, j, &out->og);
	return true;
}
