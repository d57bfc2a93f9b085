/*
 * preview_opengraph.c - what a page says of itself.
 *
 * "If multiple tags can have the same value ... the first tag (from top to bottom) is given preference during
 * conflicts" (https://ogp.me/#array). Twitter cards stand in for what the page's Open Graph does not say, and where
 * neither says anything, the page itself is looked at.
 */
#include "media/preview_opengraph.h"

#include "base/buf.h"
#include "json/writer.h"
#include "media/preview_html.h"

/* ---- a set of tags ---- */

static struct og_tag *find(const struct og *og, str name)
{
	for (size_t i = 0; i < og->tags.n; i++) {
		if (str_eq(og->tags.p[i].name, name))
			return &og->tags.p[i];
	}
	return NULL;
}

str og_text(const struct og *og, str name)
{
	const struct og_tag *t = find(og, name);

	return t ? t->text : STR_NONE;
}

bool og_has(const struct og *og, str name) { return find(og, name) != NULL; }

static void put(struct arena *a, struct og *og, struct og_tag tag)
{
	struct og_tag *known = find(og, tag.name);

	if (known)
		*known = tag;
	else
		vec_push(a, &og->tags, tag);
}

void og_set(struct arena *a, struct og *og, str name, str text) { put(a, og, (struct og_tag){ name, text, 0 }); }

void og_set_number(struct arena *a, struct og *og, str name, int64_t number)
{
	put(a, og, (struct og_tag){ name, STR_NONE, number });
}

void og_remove(struct og *og, str name)
{
	struct og_tag *t = find(og, name);

	if (t)
		*t = og->tags.p[--og->tags.n];
}

void og_merge(struct arena *a, struct og *og, const struct og *more)
{
	for (size_t i = 0; i < more->tags.n; i++) {
		if (!og_has(og, more->tags.p[i].name))
			put(a, og, more->tags.p[i]);
	}
}

static bool too_long(str s, size_t chars)
{
	for (size_t i = 0; i < s.n; i++) {
		if (((unsigned char)s.p[i] & 0xc0) != 0x80 && chars-- == 0)
			return true;
	}
	return false;
}

str og_json(struct arena *a, const struct og *og)
{
	AUTO_BUF out = BUF_INIT(4 << 20);
	struct jw w = jw_to(&out);

	jw_object(&w, NULL);
	for (size_t i = 0; i < og->tags.n; i++) {
		const struct og_tag *t = &og->tags.p[i];

		if (too_long(t->name, OG_MAX_NAME) || too_long(t->text, OG_MAX_TEXT))
			continue;
		jw_key(&w, t->name);
		if (str_is_none(t->text))
			jw_int(&w, NULL, t->number);
		else
			jw_str(&w, NULL, t->text);
	}
	jw_end(&w);
	return jw_good(&w) ? arena_keep(a, buf_str(&out)) : S("{}");
}

/* ---- what the page declares ---- */

/* The Open Graph's name for a property of a Twitter card; STR_NONE: it has none. */
static str of_twitter(struct arena *a, str name)
{
	if (str_eq(name, S("twitter:card")) || str_eq(name, S("twitter:creator")))
		return STR_NONE;
	if (str_eq(name, S("twitter:site")))
		return S("og:site_name");
	return arena_join2(a, S("og:"), str_from(name, 8));
}

/* <meta ATTRIBUTE="PREFIX..." content="..."> */
static void add_declared(struct arena *a, const struct html *h, const char *attribute, str prefix, struct og *og)
{
	struct og found = { 0 };
	size_t n = 0;

	for (const html_node *at = html_next(h, NULL); at; at = html_next(h, at)) {
		str name, content;

		if (!html_is(at, "meta"))
			continue;
		name = html_attribute(a, at, attribute);
		content = html_attribute(a, at, "content");
		if (!str_starts(name, prefix) || str_is_none(content))
			continue;
		if (n++ == OG_MAX_TAGS)
			return;
		if (str_eq(prefix, S("twitter:")))
			name = of_twitter(a, name);
		if (!str_is_none(name) && !og_has(&found, name))
			og_set(a, &found, name, content);
	}
	og_merge(a, og, &found);
}

/* ---- what can be seen of it ---- */

static void guess_title(struct arena *a, const struct html *h, struct og *og)
{
	for (const html_node *at = html_next(h, NULL); at; at = html_next(h, at)) {
		str text;

		if (!html_is(at, "title") && !html_is(at, "h1") && !html_is(at, "h2") && !html_is(at, "h3"))
			continue;
		text = html_text(a, at);
		if (text.n == 0)
			continue;
		og_set(a, og, S("og:title"), text);
		return;
	}
}

static double number_of(struct arena *a, const html_node *n, const char *attribute)
{
	const str text = html_attribute(a, n, attribute);
	uint64_t number;

	return str_to_u64(str_head(text, str_find(text, '.')), &number) ? (double)number : 0;
}

/* Larger than 10 by 10, or nothing. */
static double area_of(struct arena *a, const html_node *n)
{
	const double width = number_of(a, n, "width"), height = number_of(a, n, "height");

	return width > 10 && height > 10 ? width * height : 0;
}

static bool is_icon(str rel)
{
	str word;

	while (str_split_next(&rel, ' ', &word)) {
		if (str_eq_nocase(word, S("icon")))
			return true;
	}
	return false;
}

static str content_of(struct arena *a, const html_node *n, const char *attribute, str part)
{
	const str value = html_attribute(a, n, attribute);

	for (size_t i = 0; i + part.n <= value.n; i++) {
		if (str_starts_nocase(str_from(value, i), part))
			return html_attribute(a, n, "content");
	}
	return STR_NONE;
}

/* An image that the page marks as its own, else the largest, else the first, else its icon. */
static void guess_image(struct arena *a, const struct html *h, struct og *og)
{
	str marked = STR_NONE, largest = STR_NONE, first = STR_NONE, icon = STR_NONE;
	double most = 0;

	for (const html_node *at = html_next(h, NULL); at && str_is_none(marked); at = html_next(h, at)) {
		if (html_is(at, "meta")) {
			marked = content_of(a, at, "itemprop", S("image"));
		} else if (html_is(at, "img")) {
			const str src = html_attribute(a, at, "src");
			const double area = str_is_none(src) ? 0 : area_of(a, at);

			first = str_is_none(first) ? src : first;
			largest = area > most ? src : largest;
			most = MAX(area, most);
		} else if (html_is(at, "link") && str_is_none(icon) && is_icon(html_attribute(a, at, "rel"))) {
			icon = html_attribute(a, at, "href");
		}
	}
	largest = str_is_none(largest) ? first : largest;
	marked = str_is_none(marked) ? largest : marked;
	marked = str_is_none(marked) ? icon : marked;
	if (!str_is_none(marked))
		og_set(a, og, S("og:image"), marked);
}

static void guess_description(struct arena *a, const struct html *h, struct og *og)
{
	struct summary s = { .a = a };
	str text = STR_NONE;

	for (const html_node *at = html_next(h, NULL); at && str_is_none(text); at = html_next(h, at)) {
		if (html_is(at, "meta"))
			text = content_of(a, at, "name", S("description"));
	}
	if (str_is_none(text)) {
		html_each_text(h, summary_add, &s);
		text = summary_end(&s);
	}
	if (!str_is_none(text))
		og_set(a, og, S("og:description"), text);
}

void og_from_html(struct arena *a, const struct html *h, struct og *out)
{
	add_declared(a, h, "property", S("og:"), out);
	add_declared(a, h, "property", S("article:"), out);
	add_declared(a, h, "property", S("profile:"), out);
	add_declared(a, h, "name", S("twitter:"), out);
	if (!og_has(out, S("og:title")))
		guess_title(a, h, out);
	if (!og_has(out, S("og:image")))
		guess_image(a, h, out);
	if (og_has(out, S("og:description"))) {
		struct summary s = { .a = a };

		summary_add(&s, og_text(out, S("og:description")));
		og_set(a, out, S("og:description"), summary_end(&s));
	} else {
		guess_description(a, h, out);
	}
}
