/* internal_yaml.h - a YAML text as a tree that knows its lines. */
#pragma once

#include "base/arena.h"

struct buf;

enum ynode_kind { Y_NULL, Y_SCALAR, Y_LIST, Y_MAP };
struct ynode {
	enum ynode_kind kind;
	bool quoted;             /* Y_SCALAR: it stood in quotes or a block, so it is text whatever it looks like */
	size_t line;             /* from 1 */
	str text;                /* Y_SCALAR */
	struct ynode **items;    /* Y_LIST */
	struct ymember *members; /* Y_MAP, in order, duplicates kept */
	size_t n;
};
struct ymember {
	str key;
	size_t line;
	struct ynode *value;
};

/* The first document of the text; an empty text is an empty map. On bad YAML NULL, with the line and what is wrong. */
struct ynode *yaml_read(struct arena *a, str text, size_t *out_line, str *out_problem);
/* The last member of that name, or NULL; NULL for anything but a map. */
const struct ymember *ynode_member(const struct ynode *map, str key);
/* true/false as YAML 1.1 spells them. */
bool ynode_bool(const struct ynode *n, bool *out);
/* The value as JSON text: what looks like a number or a truth value and is not quoted becomes one. STR_NONE: over 1 MB,
 * or nested too deeply. */
str ynode_json(struct arena *a, const struct ynode *n);
/* For messages: "found" what: `"abc"`, `a list`, `a map`, `nothing`. */
str ynode_describe(struct arena *a, const struct ynode *n);
