/*
 * yaml.c - libyaml's document as a tree of our own, with lines.
 *
 * The document is copied into the arena: anchors become shared nodes, an alias counts as one value, and an alias inside
 * what it names is cut by the limit on depth. Everything else that a file can do to us is bounded by its size; but
 * libyaml's time grows with the square of the nesting, so that is looked at first, token by token.
 */
#include "config/internal_yaml.h"

#include "base/utf8.h"
#include "json/writer.h"

#include <assert.h>
#include <yaml.h>

enum { MAX_DEPTH = 24, MAX_NODES = 20000 };

struct copy {
	struct arena *a;
	yaml_document_t *doc;
	struct ynode **seen; /* by node number: shared where an alias repeats it */
	size_t n_nodes;
	size_t line;
	str problem;
};

static struct ynode *copy_node(struct copy *c, int id, unsigned depth);

static bool is_null(const yaml_node_t *y)
{
	const str text = { (const char *)y->data.scalar.value, y->data.scalar.length };

	if (y->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	return text.n == 0 || str_eq(text, S("~")) || str_eq_nocase(text, S("null"));
}

static void copy_scalar(struct copy *c, struct ynode *n, const yaml_node_t *y)
{
	const str text = { (const char *)y->data.scalar.value, y->data.scalar.length };

	if (is_null(y)) {
		n->kind = Y_NULL;
		return;
	}
	n->kind = Y_SCALAR;
	n->quoted = y->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	n->text = arena_keep(c->a, text);
}

static void copy_list(struct copy *c, struct ynode *n, const yaml_node_t *y, unsigned depth)
{
	const size_t count = (size_t)(y->data.sequence.items.top - y->data.sequence.items.start);

	n->kind = Y_LIST;
	n->items = ARENA_ARRAY(c->a, struct ynode *, count);
	for (size_t i = 0; i < count; i++) {
		n->items[i] = copy_node(c, y->data.sequence.items.start[i], depth);
		if (!n->items[i])
			return;
		n->n++;
	}
}

static void copy_map(struct copy *c, struct ynode *n, const yaml_node_t *y, unsigned depth)
{
	const size_t count = (size_t)(y->data.mapping.pairs.top - y->data.mapping.pairs.start);

	n->kind = Y_MAP;
	n->members = ARENA_ARRAY(c->a, struct ymember, count);
	for (size_t i = 0; i < count; i++) {
		const yaml_node_pair_t pair = y->data.mapping.pairs.start[i];
		const yaml_node_t *key = yaml_document_get_node(c->doc, pair.key);
		struct ymember *m = &n->members[i];

		if (!key || key->type != YAML_SCALAR_NODE) {
			c->line = key ? key->start_mark.line + 1 : n->line;
			c->problem = S("a key must be a word");
			return;
		}
		m->key = arena_keep(c->a, (str){ (const char *)key->data.scalar.value, key->data.scalar.length });
		m->line = key->start_mark.line + 1;
		m->value = copy_node(c, pair.value, depth);
		if (!m->value)
			return;
		n->n++;
	}
}

/* NULL when c->problem says why. */
static struct ynode *copy_node(struct copy *c, int id, unsigned depth)
{
	const yaml_node_t *y = yaml_document_get_node(c->doc, id);
	struct ynode *n;

	assert(y);
	if (depth > MAX_DEPTH || ++c->n_nodes > MAX_NODES) {
		c->line = y->start_mark.line + 1;
		c->problem = depth > MAX_DEPTH ? S("nested too deeply") : S("too many values");
		return NULL;
	}
	if (c->seen[id])
		return c->seen[id];
	n = ARENA_NEW(c->a, struct ynode);
	n->line = y->start_mark.line + 1;
	if (y->type == YAML_SCALAR_NODE)
		copy_scalar(c, n, y);
	else if (y->type == YAML_SEQUENCE_NODE)
		copy_list(c, n, y, depth + 1);
	else
		copy_map(c, n, y, depth + 1);
	c->seen[id] = n; /* only when whole: a cycle never finds itself, and meets the limit on depth */
	return str_is_none(c->problem) ? n : NULL;
}

static int opens(yaml_token_type_t type)
{
	switch (type) {
	case YAML_FLOW_SEQUENCE_START_TOKEN:
	case YAML_FLOW_MAPPING_START_TOKEN:
	case YAML_BLOCK_SEQUENCE_START_TOKEN:
	case YAML_BLOCK_MAPPING_START_TOKEN:
		return 1;
	case YAML_FLOW_SEQUENCE_END_TOKEN:
	case YAML_FLOW_MAPPING_END_TOKEN:
	case YAML_BLOCK_END_TOKEN:
		return -1;
	default:
		return 0;
	}
}

/* Stops at the first token that is too deep. What is no YAML is left to the parser to say. */
static bool is_shallow(str text, size_t *out_line)
{
	yaml_parser_t parser;
	bool more = true;
	int depth = 0;

	if (!yaml_parser_initialize(&parser))
		return true;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
	while (more && depth <= (int)MAX_DEPTH) {
		yaml_token_t token;

		if (!yaml_parser_scan(&parser, &token))
			break;
		depth += opens(token.type);
		*out_line = token.start_mark.line + 1;
		more = token.type != YAML_STREAM_END_TOKEN;
		yaml_token_delete(&token);
	}
	yaml_parser_delete(&parser);
	return depth <= (int)MAX_DEPTH;
}

static struct ynode *read_document(struct copy *c, yaml_parser_t *parser)
{
	yaml_document_t doc;
	struct ynode *root;
	size_t nodes;

	if (!yaml_parser_load(parser, &doc)) {
		c->line = parser->problem_mark.line + 1;
		c->problem = arena_keep(c->a, str_c(parser->problem ? parser->problem : "not YAML"));
		return NULL;
	}
	c->doc = &doc;
	nodes = (size_t)(doc.nodes.top - doc.nodes.start);
	if (nodes == 0) {
		root = ARENA_NEW(c->a, struct ynode);
		root->kind = Y_MAP;
		root->line = 1;
	} else {
		c->seen = ARENA_ARRAY(c->a, struct ynode *, nodes + 1);
		root = copy_node(c, yaml_document_get_root_node(&doc) ? 1 : 0, 0);
	}
	yaml_document_delete(&doc);
	return root;
}

struct ynode *yaml_read(struct arena *a, str text, size_t *out_line, str *out_problem)
{
	struct copy c = { .a = a };
	yaml_parser_t parser;
	struct ynode *root;

	*out_line = 1;
	*out_problem = STR_NONE;
	if (!utf8_valid(text)) {
		*out_problem = S("not UTF-8");
		return NULL;
	}
	if (!is_shallow(text, out_line)) {
		*out_problem = S("nested too deeply");
		return NULL;
	}
	*out_line = 1;
	if (!yaml_parser_initialize(&parser)) {
		*out_problem = S("out of memory");
		return NULL;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
	root = read_document(&c, &parser);
	yaml_parser_delete(&parser);
	if (!root) {
		*out_line = c.line;
		*out_problem = c.problem;
	}
	return root;
}

const struct ymember *ynode_member(const struct ynode *map, str key)
{
	if (!map || map->kind != Y_MAP)
		return NULL;
	for (size_t i = map->n; i > 0; i--) {
		if (str_eq(map->members[i - 1].key, key))
			return &map->members[i - 1];
	}
	return NULL;
}

bool ynode_bool(const struct ynode *n, bool *out)
{
	static const struct {
		str word;
		bool value;
	} words[] = {
		{ STR("true"), true },   { STR("yes"), true }, { STR("on"), true },
		{ STR("false"), false }, { STR("no"), false }, { STR("off"), false },
	};

	if (n->kind != Y_SCALAR || n->quoted)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_eq_nocase(n->text, words[i].word)) {
			*out = words[i].value;
			return true;
		}
	}
	return false;
}

static void write_json(struct jw *w, const struct ynode *n);

/* Aliases of aliases of aliases make a value of any size and depth: nothing goes on where there is no room. */
static bool is_full(const struct jw *w) { return w->failed || w->out->overflow; }

static void write_members(struct jw *w, const struct ynode *n)
{
	for (size_t k = 0; k < n->n && !is_full(w); k++) {
		if (n->kind == Y_MAP) {
			if (ynode_member(n, n->members[k].key) != &n->members[k])
				continue; /* repeated below: the last one counts */
			jw_key(w, n->members[k].key);
		}
		write_json(w, n->kind == Y_MAP ? n->members[k].value : n->items[k]);
	}
	if (!is_full(w))
		jw_end(w);
}

static void write_json(struct jw *w, const struct ynode *n)
{
	int64_t i;
	bool b;

	switch (n->kind) {
	case Y_NULL:
		jw_null(w, NULL);
		return;
	case Y_SCALAR:
		if (ynode_bool(n, &b))
			jw_bool(w, NULL, b);
		else if (!n->quoted && str_to_i64(n->text, &i))
			jw_int(w, NULL, i);
		else
			jw_str(w, NULL, n->text);
		return;
	case Y_LIST:
		jw_array(w, NULL);
		write_members(w, n);
		return;
	case Y_MAP:
		jw_object(w, NULL);
		write_members(w, n);
		return;
	}
}

str ynode_json(struct arena *a, const struct ynode *n)
{
	AUTO_BUF out = BUF_INIT(1 << 20);
	struct jw w = jw_to(&out);

	write_json(&w, n);
	return jw_good(&w) ? arena_keep(a, buf_str(&out)) : STR_NONE;
}

str ynode_describe(struct arena *a, const struct ynode *n)
{
	switch (n->kind) {
	case Y_SCALAR:
		return arena_printf(a, "\"%.*s\"%s", STR_ARG(utf8_cut(n->text, 60)), n->text.n > 60 ? "..." : "");
	case Y_LIST:
		return S("a list");
	case Y_MAP:
		return S("a map");
	case Y_NULL:
		break;
	}
	return S("nothing");
}
