/* preview_html.h - a page as a tree of elements: parsed in this process, without network, entities or scripts. */
#pragma once

#include "base/arena.h"

struct html;
typedef struct _xmlNode html_node;

/* What is beyond the bounds (depth, number of elements, time) is left out. NULL: there is nothing. */
struct html *html_read(str utf8);
void html_free(struct html **h);
#define AUTO_HTML CLEANUP(html_free) struct html

/* The element after `at` in the order of the text; NULL: the first, and after the last. */
const html_node *html_next(const struct html *h, const html_node *at);
bool html_is(const html_node *n, const char *tag); /* in small letters */
/* An attribute's value, white space taken off both ends; STR_NONE where there is none, or nothing in it. */
str html_attribute(struct arena *a, const html_node *n, const char *name);
/* The text in an element; one space for any white space, none at the ends. */
enum { HTML_MAX_TEXT = 4096 }; /* bytes */
str html_text(struct arena *a, const html_node *n);

/* What the page says to its readers, in pieces of at most HTML_MAX_TEXT bytes, which last until `take` returns: without
 * menus, scripts and the like. False from `take`: enough. */
void html_each_text(const struct html *h, bool (*take)(void *ctx, str text), void *ctx);
