/* internal_push.h - conditions, compiled: shared by the files of push rules. */
#pragma once

#include "matrix/push_rules.h"

struct push_condition {
	enum { COND_MATCH, COND_IS, COND_CONTAINS, COND_DISPLAY_NAME, COND_MEMBER_COUNT, COND_PERMISSION } op;
	const str *path; /* the key, cut at its dots */
	size_t n_path;
	str pattern;              /* COND_MATCH; COND_PERMISSION: the notification's key */
	const struct json *value; /* COND_IS, COND_CONTAINS */
	bool is_user;             /* pattern or value is the user's own id ("pattern_type", "value_type") */
	bool is_body;             /* content.body: matched by words */
	bool is_wild;             /* the pattern is no plain text */
	enum { COUNT_EQ, COUNT_LT, COUNT_GT, COUNT_LE, COUNT_GE } compare;
	int64_t count;
};

/* False: unknown, so that the rule never matches. is_default: "pattern_type" and "value_type" mean something. */
bool push_condition_compile(struct arena *a, const struct json *json, bool is_default, struct push_condition *out);
/* *work: what conditions may still cost; beyond it they do not match. */
bool push_condition_holds(const struct push_condition *c, const struct push_event *ev, str user_id, str display_name,
			  size_t *work);

/* Of a user's stored changes: what is written must be readable. */
extern const struct json_limits push_stored_limits;

/* "override", "content", ... */
extern const str push_kind_names[PUSH_KINDS];
