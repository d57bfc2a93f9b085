/* generate.c - the table of options as a file to start from, and as a section of the manual. */
#include "config/internal_options.h"

enum { WIDTH = 100 };

/* Words in lines of at most WIDTH bytes, each after `prefix`. */
static void wrap(struct buf *out, const char *prefix, str text)
{
	str word;
	size_t column = 0;

	while (str_split_next(&text, ' ', &word)) {
		if (column > 0 && column + 1 + word.n > WIDTH) {
			buf_byte(out, '\n');
			column = 0;
		}
		if (column == 0) {
			buf_add(out, str_c(prefix));
			column = strlen(prefix);
		} else {
			buf_byte(out, ' ');
			column++;
		}
		buf_add(out, word);
		column += word.n;
	}
	buf_byte(out, '\n');
}

static const char *shown_value(const struct option *o) { return o->deflt ? o->deflt : o->example ? o->example : ""; }

/* `key: value` commented out, every line of it; {data} replaced. */
static void write_setting(struct buf *out, const char *indent, str key, str value, str data_dir)
{
	str line;
	bool first = true;

	buf_printf(out, "#%s%.*s:", indent, STR_ARG(key));
	if (str_starts(value, S("{data}"))) {
		buf_printf(out, " %.*s%.*s\n", STR_ARG(data_dir), STR_ARG(str_from(value, 6)));
		return;
	}
	while (str_split_next(&value, '\n', &line)) {
		if (!first)
			buf_add(out, S("\n#"));
		else if (line.n > 0)
			buf_byte(out, ' ');
		buf_add(out, line);
		first = false;
	}
	buf_byte(out, '\n');
}

static void write_option(struct buf *out, const struct option *o, str *group, str data_dir)
{
	static const char *const indents[] = { "", "  ", "    ", "      " };
	str path = str_c(o->path);
	size_t dot = str_rfind(path, '.'), depth = 0;
	const str parent = dot < path.n ? str_head(path, dot) : S("");

	for (size_t i = 0; i < parent.n; i++)
		depth += parent.p[i] == '.';
	depth += parent.n > 0;
	if (depth == 0)
		buf_byte(out, '\n');
	if (!str_eq(parent, *group) && parent.n > 0) {
		const size_t up = str_rfind(parent, '.');

		if (depth == 1)
			buf_byte(out, '\n');
		buf_printf(out, "#%s%.*s:\n", indents[depth - 1],
			   STR_ARG(up < parent.n ? str_from(parent, up + 1) : parent));
	}
	*group = parent;
	{
		char prefix[16] = "#";

		memcpy(prefix + 1, indents[depth], strlen(indents[depth]));
		memcpy(prefix + 1 + strlen(indents[depth]), "# ", 3);
		wrap(out, depth == 0 ? "# " : prefix, str_c(o->doc));
	}
	write_setting(out, indents[depth], dot < path.n ? str_from(path, dot + 1) : path, str_c(shown_value(o)),
		      data_dir);
}

/* A double-quoted scalar. */
static void write_quoted(struct buf *out, const char *key, str value)
{
	buf_printf(out, "%s: \"", key);
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '"' || value.p[i] == '\\')
			buf_byte(out, '\\');
		buf_byte(out, value.p[i]);
	}
	buf_add(out, S("\"\n"));
}

void config_generate(struct buf *out, str server_name, str data_dir)
{
	str group = S("");

	buf_add(out, S("# The settings of Hearth. What is commented out stands at its default, or is an example where "
		       "there is none.\n"));
	for (size_t i = 0; i < config_options_n; i++) {
		const struct option *o = &config_options[i];

		if (o->section)
			buf_printf(out, "\n\n## %s\n", o->section);
		if (i == 0) {
			buf_byte(out, '\n');
			wrap(out, "# ", str_c(o->doc));
			write_quoted(out, "server_name", server_name);
		} else if (strcmp(o->path, "data_dir") == 0) {
			buf_byte(out, '\n');
			wrap(out, "# ", str_c(o->doc));
			write_quoted(out, "data_dir", data_dir);
		} else {
			write_option(out, o, &group, data_dir);
		}
	}
}

/* Text for roff: a backslash doubled, a line that begins with a control character guarded. */
static void roff(struct buf *out, str text)
{
	if (text.n > 0 && (text.p[0] == '.' || text.p[0] == '\''))
		buf_add(out, S("\\&"));
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\\')
			buf_add(out, S("\\e"));
		else if (text.p[i] == '-')
			buf_add(out, S("\\-"));
		else
			buf_byte(out, text.p[i]);
	}
}

static const char *type_name(const struct option *o)
{
	static const char *const names[] = {
		[OPT_TEXT] = "text", [OPT_PATH] = "path",         [OPT_BOOL] = "true or false", [OPT_INT] = "number",
		[OPT_SIZE] = "size", [OPT_DURATION] = "duration", [OPT_RATE] = "rate",          [OPT_CHOICE] = "a word",
		[OPT_JSON] = "map",  [OPT_JSON_LIST] = "list",    [OPT_LIST] = "list",          [OPT_OWN] = "see below",
	};

	return names[o->type];
}

static void write_man_table(struct buf *out, const struct option *table, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct option *o = &table[i];

		if (o->section)
			buf_printf(out, ".SS %s\n", o->section);
		buf_add(out, S(".TP\n.B "));
		roff(out, str_c(o->path));
		buf_byte(out, '\n');
		roff(out, str_c(o->doc));
		buf_printf(out, "\n(%s", type_name(o));
		if (o->deflt) {
			buf_add(out, S("; default: "));
			roff(out, str_c(o->deflt));
		}
		if (o->type == OPT_INT)
			buf_printf(out, "; %" PRId64 " to %" PRId64, o->min, o->max);
		buf_add(out, o->live ? S("; reloaded on SIGHUP)\n") : S(")\n"));
	}
}

void config_write_man(struct buf *out)
{
	write_man_table(out, config_options, config_options_n);
	buf_add(out, S(".SS Each entry of listeners\n"));
	write_man_table(out, listener_options, listener_options_n);
}
