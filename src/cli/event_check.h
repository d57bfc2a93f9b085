/*
 * event_check.h - one event put through all the checks of a server that receives it, each with what it rests on.
 *
 * The file is a JSON object:
 *
 *	{ "room_version": "11", "event": EVENT, "auth_events": [ EVENT, ... ], "state": [ EVENT, ... ],
 *	  "rejected": [ EVENT_ID, ... ], "keys": { SERVER: { KEY_ID: BASE64, ... }, ... } }
 *
 * Without room_version, what a create event among them says holds. auth_events may hold more than the event names
 * (their own auth_events, say); state is the one before the event. What is missing is not checked against. Both hold
 * events as event_file.h has them: sketches will do.
 */
#pragma once

#include "matrix/auth.h"

enum check_result {
	CHECK_PASSED,
	CHECK_FAILED,
	CHECK_REDACTED, /* the content hash was wrong: it goes on as the redacted copy */
	CHECK_SKIPPED,  /* nothing was given to check it against, or it cannot be asked after a failure */
};

struct check {
	const char *name;
	enum check_result result;
	str says;            /* for people */
	enum auth_rule rule; /* RULE_NONE where it is no rule */
	struct auth_citation cites;
};

struct event_report {
	const struct room_version *rv;
	const struct event *event; /* NULL: it is none */
	VEC(struct check) checks;
	const char *verdict; /* "accepted", "rejected" or, for format and signatures, "dropped" */
};

/* Errors are about the file: ERR_NOT_JSON, ERR_BAD_JSON, ERR_UNSUPPORTED_ROOM_VERSION. `text` must live as long as the
 * arena. */
NODISCARD err *event_check(struct arena *a, str text, struct event_report *out);
