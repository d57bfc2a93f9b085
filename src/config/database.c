/*
 * database.c - `database`, in Synapse's words, for the store: a file, or a libpq connection string.
 *
 * Synapse's `args` are those of psycopg2.connect, which hands all but a few of its own to libpq: so do we.
 */
#include "config/internal_options.h"

static bool text_of(struct reader *r, const struct ymember *m, str key)
{
	if (m->value->kind == Y_SCALAR && !memchr(m->value->text.p, 0, m->value->text.n))
		return true;
	{
		const str found = ynode_describe(r->a, m->value);

		note(r, true, m->line, key, "expected text, found %.*s", STR_ARG(found));
	}
	return false;
}

/* key='value', with libpq's escapes. */
static void add_parameter(struct buf *out, str key, str value)
{
	buf_printf(out, "%s%.*s='", out->n ? " " : "", STR_ARG(key));
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '\'' || value.p[i] == '\\')
			buf_byte(out, '\\');
		buf_byte(out, value.p[i]);
	}
	buf_byte(out, '\'');
}

static void read_pg_args(struct reader *r, const struct ynode *args)
{
	AUTO_BUF out = BUF_INIT(16 * 1024);

	r->conf->database.driver = CONFIG_PG;
	for (size_t i = 0; args && i < args->n; i++) {
		const struct ymember *m = &args->members[i];
		const str key = arena_join2(r->a, S("database.args."), m->key);
		int64_t number;

		if (m->value->kind == Y_NULL)
			continue;
		if (!text_of(r, m, key))
			continue;
		if (str_eq(m->key, S("cp_max"))) {
			if (str_to_i64(m->value->text, &number) && number >= 1 && number <= 1000)
				r->conf->database.readers = (unsigned)number;
			else
				note(r, true, m->line, key, "expected a whole number from 1 to 1000, found \"%.*s\"",
				     STR_ARG(m->value->text));
		} else if (!str_starts(m->key, S("cp_"))) {
			add_parameter(&out, str_eq(m->key, S("database")) ? S("dbname") : m->key, m->value->text);
		}
	}
	r->conf->database.conninfo = arena_keep(r->a, buf_str(&out));
}

static void read_sqlite_args(struct reader *r, const struct ynode *args)
{
	r->conf->database.driver = CONFIG_SQLITE;
	for (size_t i = 0; args && i < args->n; i++) {
		const struct ymember *m = &args->members[i];
		const str key = arena_join2(r->a, S("database.args."), m->key);

		if (str_eq(m->key, S("database"))) {
			/* Both are names that SQLite has for a database which is gone when it is closed. */
			if (m->value->kind == Y_NULL || str_is_empty(m->value->text) ||
			    str_eq(m->value->text, S(":memory:")))
				note(r, true, m->line, key, "expected a file");
			else if (text_of(r, m, key))
				r->conf->database.path = m->value->text;
		} else if (!str_starts(m->key, S("cp_"))) {
			note(r, false, m->line, key, "has no meaning here; ignored");
		}
	}
}

void read_database(struct reader *r, const struct option *o, const struct ynode *n)
{
	const struct ymember *name = ynode_member(n, S("name")), *args = ynode_member(n, S("args"));
	const struct ynode *map = args && args->value->kind == Y_MAP ? args->value : NULL;

	if (n->kind != Y_MAP) {
		note_expected(r, o, n, "a map such as {name: sqlite3, args: {database: hearth.db}}");
		return;
	}
	for (size_t i = 0; i < n->n; i++) {
		const str key = n->members[i].key;

		if (!str_eq(key, S("name")) && !str_eq(key, S("args")))
			note(r, false, n->members[i].line, arena_join2(r->a, S("database."), key),
			     "has no meaning here; ignored");
	}
	if (args && !map && args->value->kind != Y_NULL) {
		const str found = ynode_describe(r->a, args->value);

		note(r, true, args->line, S("database.args"), "expected a map, found %.*s", STR_ARG(found));
	}
	if (!name || (name->value->kind == Y_SCALAR && str_eq(name->value->text, S("sqlite3")))) {
		read_sqlite_args(r, map);
	} else if (name->value->kind == Y_SCALAR && str_eq(name->value->text, S("psycopg2"))) {
		read_pg_args(r, map);
	} else {
		const str found = ynode_describe(r->a, name->value);

		note(r, true, name->line, S("database.name"), "expected sqlite3 or psycopg2, found %.*s",
		     STR_ARG(found));
	}
}
