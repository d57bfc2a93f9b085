/*
 * push_rules.h - which events a user is told about, and how loudly. Client-Server API, "Push Notifications".
 *
 * A user's rules are the server's default rules plus what the user changed. Only the changes are stored, as one JSON
 * text:
 *     {"rules": {"override": [{rule}...], ...}, "defaults": {".m.rule.x": {"enabled": false, "actions": [...]}}}
 * so that new default rules reach everybody. A user without changes shares one compiled set with all the others.
 */
#pragma once

#include "base/map.h"
#include "json/writer.h"
#include "matrix/event.h"
#include "matrix/power_levels.h"

enum push_kind { PUSH_OVERRIDE, PUSH_CONTENT, PUSH_ROOM, PUSH_SENDER, PUSH_UNDERRIDE, PUSH_KINDS };
/* "override", "content", ...: PUSH_KINDS when it is none. */
enum push_kind push_kind_of_text(str s);

struct push_rule {
	enum push_kind kind;
	str rule_id;
	bool is_default, enabled;
	const struct json *conditions; /* override, underride; else NULL */
	str pattern;                   /* content; else STR_NONE */
	const struct json *actions;    /* without the historical dont_notify and coalesce */
	struct push_condition *compiled;
	size_t n_compiled;
	bool never; /* an unknown condition: "MUST NOT match any events" */
};

struct push_rules { /* in order of priority */
	struct push_rule *rules;
	size_t n;
};

/* The rules of a user whose stored changes are these (STR_NONE: none; then it is the set shared by all).
 * Damaged text reads as no changes. The text must live as long as the rules. */
const struct push_rules *push_rules_load(struct arena *a, str stored);
/* The default set, compiled once at start (before threads). */
void push_rules_init(void);

/* {"override": [...], "content": [...], ...} as members of the object being written: what "global" holds. */
void push_rules_write(struct jw *w, const struct push_rules *r, str user_id);
void push_rule_write(struct jw *w, const char *key, const struct push_rule *rule, str user_id);
const struct push_rule *push_rule_find(const struct push_rules *r, enum push_kind kind, str rule_id); /* NULL: none */

/*
 * Changes: each takes the stored text (or STR_NONE) and gives the new one. ERR_NOT_FOUND for a rule that is not there,
 * ERR_INVALID_PARAM, ERR_BAD_JSON, ERR_MISSING_PARAM for what cannot be.
 */
enum { PUSH_RULES_MAX = 1000, PUSH_RULES_BYTES = 256 * 1024 }; /* of one user */
/* before, after: a user's rule of the same kind, or STR_NONE. An existing rule is replaced (and stays enabled or not).
 */
NODISCARD err *push_rules_put(struct arena *a, str stored, enum push_kind kind, str rule_id, const struct json *body,
			      str before, str after, str *out);
NODISCARD err *push_rules_delete(struct arena *a, str stored, enum push_kind kind, str rule_id, str *out);
NODISCARD err *push_rules_set_enabled(struct arena *a, str stored, enum push_kind kind, str rule_id, bool enabled,
				      str *out);
NODISCARD err *push_rules_set_actions(struct arena *a, str stored, enum push_kind kind, str rule_id,
				      const struct json *actions, str *out);

/* A room's successor: every enabled rule of the user's own that names the old room (a room rule, a condition on
 * room_id) stands a second time, right above, for the new one, as far as there is room for it. Gives the stored text as
 * it was where there is none. */
NODISCARD err *push_rules_follow_room(struct arena *a, str stored, str old_room, str new_room, str *out);
/* Is there one? */
bool push_rules_name_room(struct arena *a, str stored, str room_id);

/* Does any rule that is enabled look for the user's display name? Then push_evaluate wants it. */
bool push_rules_want_name(const struct push_rules *r);

/* What an event means to one user. */
struct push_event { /* the same for all users */
	const struct event *event;
	const struct power_levels *levels;
	int64_t joined_members;
	const struct map *mentioned; /* the texts in m.mentions.user_ids, where many users are asked about; or NULL */
};
struct push_result {
	bool notify, highlight;
	const struct json *actions; /* of the rule that matched; NULL: none did */
};
/* Conditions beyond what PUSH_WORK allows for one event do not match: no list of them holds up a room.
 * user_id: empty for nobody in particular, whom no event names. display_name: the user's own in the room, or STR_NONE.
 * Senders are not notified of their own events: the caller's matter. */
struct push_result push_evaluate(const struct push_rules *r, const struct push_event *ev, str user_id,
				 str display_name);
