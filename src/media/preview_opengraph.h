/* preview_opengraph.h - what a preview says: properties of the Open Graph protocol (https://ogp.me/). */
#pragma once

#include "base/arena.h"

struct html;

enum {
	OG_MAX_TAGS = 50, /* of one kind on a page; with more, none of the kind is taken */
	OG_MAX_NAME = 50, /* characters */
	OG_MAX_TEXT = 1000,
};
struct og_tag {
	str name;
	str text; /* or STR_NONE: */
	int64_t number;
};
struct og {
	VEC(struct og_tag) tags;
};
str og_text(const struct og *og, str name); /* STR_NONE: absent, or a number */
bool og_has(const struct og *og, str name);
/* Adds or replaces. Strings are borrowed. */
void og_set(struct arena *a, struct og *og, str name, str text);
void og_set_number(struct arena *a, struct og *og, str name, int64_t number);
void og_remove(struct og *og, str name);
/* Adds what is not there yet. */
void og_merge(struct arena *a, struct og *og, const struct og *more);
/* The answer's text: what is overlong is left out. */
str og_json(struct arena *a, const struct og *og);

/* What the page says of itself: og:, article: and profile: properties, Twitter cards, and where these are silent its
 * title, its largest image and its first text. Addresses are as they stand there. */
void og_from_html(struct arena *a, const struct html *h, struct og *out);

/* Pieces of text to a summary: some 200 to 500 characters, in whole paragraphs or at least whole words. */
struct summary {
	struct arena *a;
	str text;
	size_t chars;
};
bool summary_add(void *summary, str piece); /* false: it is enough. For html_each_text */
str summary_end(struct summary *s);         /* STR_NONE: there was nothing */
