/* help.c - the table of commands for people: a summary, and the manual page, which takes the options from config/. */
#include "cli/internal_cli.h"

static void wrap(struct buf *out, const char *indent, str text, size_t width)
{
	size_t column = 0;
	str word;

	while (str_split_next(&text, ' ', &word)) {
		if (column > 0 && column + 1 + word.n > width) {
			buf_byte(out, '\n');
			column = 0;
		}
		buf_add(out, column == 0 ? str_c(indent) : S(" "));
		column += (column == 0 ? strlen(indent) : 1) + word.n;
		buf_add(out, word);
	}
	buf_byte(out, '\n');
}

void cli_write_help(struct buf *out, const char *program)
{
	buf_printf(out,
		   "Hearth, a Matrix homeserver.\n\n"
		   "usage: %s [--config FILE] [COMMAND ...]\n\n"
		   "Without --config: server_name localhost, on 127.0.0.1:8008, everything in ./data.\n\n",
		   program);
	for (size_t i = 0; i < cli_commands_n; i++) {
		const struct command *c = &cli_commands[i];

		buf_printf(out, "  %s%s%s\n", c->name, c->arguments[0] ? " " : "", c->arguments);
		wrap(out, "      ", str_c(c->doc), 100);
	}
}

/* A hyphen of roff's is not the minus that a command wants. */
static void add_roff(struct buf *out, str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '-')
			buf_byte(out, '\\');
		buf_byte(out, text.p[i]);
	}
}

void cli_write_man(struct buf *out)
{
	buf_add(out,
		S(".TH HEARTH 1 \"\" \"Hearth " HEARTH_VERSION "\" \"User Commands\"\n"
		  ".SH NAME\nhearth \\- a Matrix homeserver\n"
		  ".SH SYNOPSIS\n.B hearth\n[\\fB\\-\\-config\\fR \\fIFILE\\fR] [\\fICOMMAND\\fR ...]\n"
		  ".SH DESCRIPTION\n"
		  "Runs a homeserver of the Matrix network (https://matrix.org), on an embedded SQLite database or "
		  "on PostgreSQL.\nWithout a configuration it is called localhost, listens on 127.0.0.1:8008, and "
		  "keeps everything in the folder ./data.\n"
		  ".SH OPTIONS\n.TP\n\\fB\\-c\\fR, \\fB\\-\\-config\\fR \\fIFILE\\fR\nRead the settings from this file.\n"
		  ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR; \\fB\\-\\-version\\fR\nThe same as the commands.\n"
		  ".SH COMMANDS\n"));
	for (size_t i = 0; i < cli_commands_n; i++) {
		const struct command *c = &cli_commands[i];

		buf_add(out, S(".TP\n\\fB"));
		add_roff(out, str_c(c->name));
		buf_add(out, S("\\fR"));
		if (c->arguments[0])
			buf_byte(out, ' ');
		add_roff(out, str_c(c->arguments));
		buf_printf(out, "\n%s\n", c->doc);
	}
	buf_add(out,
		S(".SH SIGNALS\n.TP\nSIGTERM, SIGINT\nAnswer what was taken, write everything, and end.\n"
		  ".TP\nSIGHUP\nRead the configuration and the TLS certificate again. Options that cannot change while "
		  "the server runs are named in the log.\n"
		  ".SH FILES\n.TP\n.I data/hearth.db\nThe embedded database.\n.TP\n.I data/signing.key\n"
		  "The key that signs events.\n.TP\n.I data/hearth.sock\nWhere \\fBhearth user\\fR, \\fBhearth e2ee\\fR and \\fBhearth fed\\fR find the "
		  "running server.\n"
		  ".SH CONFIGURATION\n"
		  "YAML, under the names of Synapse's homeserver.yaml. Sizes are bytes, or a number with K, M, G or T; "
		  "durations are milliseconds, or a number with ms, s, m, h, d, w or y; rates are "
		  "{per_second: NUMBER, burst_count: NUMBER}. Unknown keys are warned of and ignored.\n"));
	config_write_man(out);
	buf_add(out, S(".SH EXIT STATUS\n0 for success, 1 for failure, 2 when the command line was not understood.\n"));
}
