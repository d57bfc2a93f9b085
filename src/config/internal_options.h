/* internal_options.h - the table of options and its readers: config/ alone. */
#pragma once

#include "config/config.h"

#include "base/buf.h"
#include "config/internal_yaml.h"

#include <stddef.h>

/* One reading: where things go and where complaints go. */
struct reader {
	struct arena *a;
	str name; /* of the file, for messages */
	struct config *conf;
	struct config_notes *notes;
};

enum option_type {
	OPT_TEXT,      /* str */
	OPT_PATH,      /* str: a file or folder; in a default, {data} stands for data_dir */
	OPT_BOOL,      /* bool */
	OPT_INT,       /* int64_t, within [min, max] */
	OPT_SIZE,      /* int64_t: bytes, "50M" */
	OPT_DURATION,  /* int64_t: milliseconds, "5m"; a number is milliseconds */
	OPT_RATE,      /* struct config_rate */
	OPT_CHOICE,    /* an enum, by the place in `choices` */
	OPT_JSON,      /* str: a map, as JSON text */
	OPT_JSON_LIST, /* str: a list, as JSON text */
	OPT_LIST,      /* struct config_list: of texts */
	OPT_OWN,       /* read by `read` */
};

struct option {
	const char *path; /* "rc_login.address" */
	enum option_type type;
	size_t at;         /* offset in the struct that the table fills */
	const char *deflt; /* as YAML; NULL: none */
	int64_t min, max;  /* OPT_INT; OPT_SIZE and OPT_DURATION where max is not 0 */
	const char *const *choices;
	const char *expected; /* for messages, where the type does not say it */
	/* OPT_OWN: takes the value. Others: a further check of a good value, or NULL. */
	void (*read)(struct reader *r, const struct option *o, const struct ynode *n);
	bool live;           /* a reload (SIGHUP) puts it in force */
	const char *example; /* shown by generate-config where there is no default */
	const char *doc;
	const char *section; /* begins a section of the documentation, or NULL */
};

extern const struct option config_options[];
extern const size_t config_options_n;

/* "FILE:LINE: KEY: TEXT" */
void note(struct reader *r, bool fatal, size_t line, str key, const char *fmt, ...) PRINTF(5, 6);
/* "expected ..., found ..." */
void note_expected(struct reader *r, const struct option *o, const struct ynode *n, const char *expected);

/* Takes the members of a map by a table; `prefix` ("" or "rc_login.") stands before their names. */
void read_map(struct reader *r, const struct option *table, size_t n, void *base, const struct ynode *map, str prefix);
/* Sets every option of the table to its default. */
void read_defaults(struct reader *r, const struct option *table, size_t n, void *base);
/* Takes one value. False, and a note, when it is none of that type. */
bool read_value(struct reader *r, const struct option *o, void *base, const struct ynode *n);

/* values.c: false when the text is not one */
bool parse_size(str text, int64_t *out);
bool parse_duration(str text, int64_t *out);
bool parse_number(str text, double *out);

/* listeners.c, database.c, policies.c */
void read_listeners(struct reader *r, const struct option *o, const struct ynode *n);
void read_database(struct reader *r, const struct option *o, const struct ynode *n);
void read_policies(struct reader *r, const struct option *o, const struct ynode *n);
void read_support(struct reader *r, const struct option *o, const struct ynode *n);
/* media.c */
void read_upload_limits(struct reader *r, const struct option *o, const struct ynode *n);
bool upload_limits_equal(const struct config_media *x, const struct config_media *y);
/* notaries.c */
void read_notaries(struct reader *r, const struct option *o, const struct ynode *n);
/* thumbnails.c */
void read_thumbnails(struct reader *r, const struct option *o, const struct ynode *n);
void default_thumbnails(struct config_media *m);
bool thumbnails_equal(const struct config_media *x, const struct config_media *y);
extern const struct option listener_options[];
extern const size_t listener_options_n;

/* ignored.c: why a key of Synapse's is not taken; NULL when it is none. */
const char *ignored_reason(str path);
/* nearest.c: the known key that is most like this one, or STR_NONE where none is near. */
str nearest_key(const struct option *table, size_t n, str path);
