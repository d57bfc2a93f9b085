/*
 * Pages, as a preview reads them: the first line is the content type, the second what the page's address is, the rest
 * is the page; and the same bytes as an answer of oEmbed. Whatever they are, the text is UTF-8, what is said of it is
 * within its limits and is JSON, and it is the same each time.
 */
#include "fuzz.h"

#include "base/utf8.h"
#include "json/json.h"
#include "media/preview_charset.h"
#include "media/preview_html.h"
#include "media/preview_oembed.h"
#include "media/preview_rules.h"

static void check_text(str s)
{
	assert(utf8_valid(s));
	assert(!s.n || !memchr(s.p, 0, s.n));
}

/* What og_json left out is not there: so it is read back. */
static str check_og(struct arena *a, const struct og *og)
{
	const str text = og_json(a, og);
	struct json *j;

	assert(json_parse(a, text, &json_limits_request, &j) == NULL && j->kind == JSON_OBJECT && !j->dup);
	JSON_EACH (j, m) {
		assert(m->key.n > 0 && m->key.n <= 4 * OG_MAX_NAME);
		assert(m->value->kind == JSON_STR || m->value->kind == JSON_INT);
		assert(m->value->kind != JSON_STR || m->value->s.n <= 4 * OG_MAX_TEXT);
	}
	return text;
}

static str page_to_og(struct arena *a, str page)
{
	AUTO_HTML *h = html_read(page);
	struct og og = { 0 };
	str description;

	if (!h)
		return S("{}");
	og_from_html(a, h, &og);
	(void)oembed_discover(a, h);
	description = og_text(&og, S("og:description"));
	assert(str_is_none(description) || description.n > 0);
	return check_og(a, &og);
}

static void check_oembed(struct arena *a, str url, str json)
{
	struct oembed o;

	if (!oembed_read(a, url, json, &o))
		return;
	assert(o.cache_ms >= -1);
	(void)check_og(a, &o.og);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = arena_new();
	struct feed f = feed_of(data, size);
	const str type = feed_line(&f), url = feed_line(&f), page = feed_rest(&f);
	const str text = preview_utf8(a, page, type);
	struct url_rules *rules;

	check_text(text);
	assert(str_eq(preview_utf8(a, text, S("text/html; charset=utf-8")), text) ||
	       str_starts(text, S("\xef\xbb\xbf")));
	assert(str_eq(page_to_og(a, text), page_to_og(a, text)));
	check_oembed(a, utf8_valid(url) ? url : S("http://a.example/"), page);
	if (url_rules_new(a, page, &rules) == NULL)
		url_rules_free(&rules);
	return 0;
}
