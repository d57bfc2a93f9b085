/*
 * preview_html.c - libxml2's parser of HTML, held on a short leash.
 *
 * The page is UTF-8 already (preview_charset.c) and its own word on that is ignored. Its size is bounded by the caller,
 * its depth by libxml2 (256), its elements here. That leaves time: an element with n attributes costs libxml2 n^2
 * steps, and a megabyte holds enough of them for minutes. The parser asks for its input in pieces of some kilobytes,
 * and when it has had its time it is told that there is no more.
 */
#include "media/preview_html.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <libxml/HTMLparser.h>
#include <libxml/parser.h>
#include <pthread.h>

enum { MAX_ELEMENTS = 100000, MAX_PARSE_US = 500000 };

struct html {
	xmlDoc *doc;
};

struct input {
	str rest;
	int64_t until_us;
	size_t elements;
};

static int read_some(void *ctx, char *p, int n)
{
	struct input *in = ctx;
	const size_t got = MIN(in->rest.n, (size_t)n);

	if (clock_thread_us() > in->until_us)
		return 0;
	memcpy(p, in->rest.p, got);
	in->rest = str_from(in->rest, got);
	return (int)got;
}

static int close_nothing(void *ctx)
{
	(void)ctx;
	return 0;
}

static void start_element(void *ctx, const xmlChar *name, const xmlChar **attributes)
{
	xmlParserCtxt *p = ctx;
	struct input *in = p->_private;

	if (++in->elements > MAX_ELEMENTS)
		xmlStopParser(p);
	else
		xmlSAX2StartElement(ctx, name, attributes);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

struct html *html_read(str utf8)
{
	const int options = HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
			    HTML_PARSE_NODEFDTD | HTML_PARSE_IGNORE_ENC | HTML_PARSE_COMPACT;
	struct input in = { .rest = utf8, .until_us = clock_thread_us() + MAX_PARSE_US };
	htmlParserCtxt *p;
	struct html *h;
	xmlDoc *doc;

	if (utf8.n == 0)
		return NULL;
	pthread_once(&once, xmlInitParser);
	p = htmlNewParserCtxt();
	p->_private = &in;
	p->sax->startElement = start_element;
	p->sax->warning = NULL;
	p->sax->error = NULL;
	doc = htmlCtxtReadIO(p, read_some, close_nothing, &in, NULL, "UTF-8", options);
	htmlFreeParserCtxt(p);
	if (!doc)
		return NULL;
	h = MEM_NEW(struct html);
	h->doc = doc;
	return h;
}

void html_free(struct html **h)
{
	if (!*h)
		return;
	xmlFreeDoc((*h)->doc);
	mem_free(*h);
	*h = NULL;
}

/* The node after `at`, with or without what is in it; never leaves `top`. */
static const xmlNode *after(const xmlNode *top, const xmlNode *at, bool inside)
{
	if (inside && at->type == XML_ELEMENT_NODE && at->children)
		return at->children;
	while (at && at != top && !at->next)
		at = at->parent;
	return at && at != top ? at->next : NULL;
}

const html_node *html_next(const struct html *h, const html_node *at)
{
	const xmlNode *top = (const xmlNode *)(const void *)h->doc;

	at = at ? after(top, at, true) : h->doc->children;
	while (at && at->type != XML_ELEMENT_NODE)
		at = after(top, at, true);
	return at;
}

bool html_is(const html_node *n, const char *tag) { return str_eq_nocase(str_c((const char *)n->name), str_c(tag)); }

str html_attribute(struct arena *a, const html_node *n, const char *name)
{
	xmlChar *text = xmlGetNoNsProp((xmlNode *)n, (const xmlChar *)name);
	const str value = str_trim(text ? str_c((const char *)text) : S(""));
	const str copy = value.n > 0 ? arena_keep(a, value) : STR_NONE;

	xmlFree(text);
	return copy;
}

static bool is_text(const xmlNode *n)
{
	return (n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE) && n->content;
}

/* Bytes of one white space character at the front, or 0: ASCII's, and the no-break space. */
static size_t space_at(str s)
{
	if (s.n > 0 && ((s.p[0] >= '\t' && s.p[0] <= '\r') || s.p[0] == ' '))
		return 1;
	return str_starts(s, S("\xc2\xa0")) ? 2 : 0;
}

/* Appends whole characters, with one space for any white space. */
static void add_squeezed(char *out, size_t *n, size_t max, str s)
{
	while (s.n > 0) {
		const size_t space = space_at(s), length = utf8_sequence(s);
		const bool doubled = space && (*n == 0 || out[*n - 1] == ' ');

		if (!doubled && *n + (space ? 1 : length) > max)
			return;
		if (space && !doubled)
			out[(*n)++] = ' ';
		for (size_t i = 0; !space && i < length; i++)
			out[(*n)++] = s.p[i];
		s = str_from(s, MAX(space ? space : length, 1));
	}
}

str html_text(struct arena *a, const html_node *n)
{
	char out[HTML_MAX_TEXT];
	size_t used = 0;

	for (const xmlNode *at = n->children; at && used < sizeof(out); at = after(n, at, true)) {
		if (is_text(at))
			add_squeezed(out, &used, sizeof(out), str_c((const char *)at->content));
	}
	return arena_keep(a, str_trim((str){ out, used }));
}

/* Elements whose text is no text of the page's. */
static bool is_hidden(const xmlNode *n)
{
	static const char *const tags[] = { "head",  "header", "nav", "aside",  "footer", "script", "noscript",
					    "style", "svg",    "img", "iframe", "video",  "canvas", "picture" };
	static const char *const roles[] = { "directory", "menu", "menubar", "toolbar" };
	AUTO_ARENA a = NULL;
	str role;

	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		if (html_is(n, tags[i]))
			return true;
	}
	if (!n->properties)
		return false;
	a = arena_new();
	role = html_attribute(a, n, "role");
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		if (str_eq(role, str_c(roles[i])))
			return true;
	}
	return false;
}

void html_each_text(const struct html *h, bool (*take)(void *ctx, str text), void *ctx)
{
	const xmlNode *top = (const xmlNode *)(const void *)h->doc;
	char out[HTML_MAX_TEXT];

	for (const xmlNode *at = h->doc->children; at;) {
		const bool is_element = at->type == XML_ELEMENT_NODE;
		size_t used = 0;

		if (is_text(at))
			add_squeezed(out, &used, sizeof(out), str_c((const char *)at->content));
		if (used > 0 && !take(ctx, str_trim((str){ out, used })))
			return;
		at = after(top, at, is_element && !is_hidden(at));
	}
}
