/*
 * account_data.h - what a user's clients keep on the server: account data, tags, filters, push rules.
 * Client-Server API "Client Config", "Room Tagging", "Filtering", "Push Rules".
 *
 * Everything here is the user's own; who asks for whom is the handler's check. A change is on disk, and the user's
 * other devices are woken, when the call returns.
 */
#pragma once

#include "json/json.h"
#include "matrix/filter.h"
#include "matrix/push_rules.h"
#include "user/user.h"

struct map;

enum { ACCOUNT_DATA_MAX_ROWS = 20000, ACCOUNT_DATA_MAX_BYTES = 1024 * 1024 }; /* of one user; of one row */

/* room 0: global. The content as a JSON object's text; STR_NONE: never set. */
NODISCARD err *user_account_data(struct users *us, struct arena *a, int64_t user, int64_t room, str type, str *out);
/* ERR_TOO_LARGE, also for more than ACCOUNT_DATA_MAX_ROWS. Types that the server manages are refused by the handler. */
NODISCARD err *user_account_data_set(struct users *us, struct arena *a, int64_t user, int64_t room, str type,
				     str content);

/* Tags are the room's m.tag. content: STR_NONE removes the tag (its absence is no error). */
NODISCARD err *user_tag_set(struct users *us, struct arena *a, int64_t user, int64_t room, str tag,
			    const struct json *content);

/* A room was replaced by another one: what the user keeps for it (tags, m.direct, push rules that name it) is kept for
 * the successor, too (room_replaced.c). Once: whatever they change there afterwards stays. */
struct room_replaced {
	int64_t old_room, new_room;
	str old_id, new_id;
};
NODISCARD err *user_room_replaced(struct users *us, struct arena *a, int64_t user, const struct room_replaced *r);
/* Its share in m.direct: wherever the old room stands in it, the new one does, too. */
NODISCARD err *user_direct_follow(struct users *us, struct arena *a, int64_t user, str old_room, str new_room);
/* Does this m.direct (STR_NONE: none) list the room? */
bool direct_lists(struct arena *a, str content, str room_id);

/* Stored filters, FILTERS_MAX of a user: the oldest make room. A filter id is a decimal number; ERR_NOT_FOUND for any
 * other text, too. */
enum { FILTERS_MAX = 1000 };
NODISCARD err *user_filter_add(struct users *us, struct arena *a, int64_t user, const struct json *filter, str *out_id);
NODISCARD err *user_filter_get(struct users *us, struct arena *a, int64_t user, str id, str *out_text);
/* The `filter` argument of /sync: an id, or a filter as JSON text; STR_NONE lets everything through. Bounded cache: no
 * SQL for a filter that was read lately. */
NODISCARD err *user_filter_resolve(struct users *us, struct arena *a, int64_t user, str id_or_json, struct filter *out);

/* Push rules. The rules live in arena a, or are the shared default set. */
NODISCARD err *user_push_rules(struct users *us, struct arena *a, int64_t user, const struct push_rules **out);
/* The same, compiled once and shared with everybody who evaluates them: for as long as they are held. Bounded cache. */
struct rule_set;
NODISCARD err *user_push_rules_hold(struct users *us, struct arena *a, int64_t user, struct rule_set **out);
const struct push_rules *user_push_rules_held(const struct rule_set *set);
void user_push_rules_release(struct rule_set **set);
#define AUTO_RULES CLEANUP(user_push_rules_release) struct rule_set *
/* Applies one change (a call of matrix/push_rules.h that goes from stored text to stored text). */
typedef err *push_rules_edit(struct arena *a, str stored, void *arg, str *out);
NODISCARD err *user_push_rules_change(struct users *us, struct arena *a, int64_t user, push_rules_edit *edit,
				      void *arg);
/* Has the user changed any? Answered from memory: the list of those who have is read once, and kept up with changes
 * made here; with other processes about (token_recheck_ms), read again when it is older than that. On an error of the
 * store: true. */
bool user_has_push_rules(struct users *us, int64_t user);
/* The same of many at once: those of `users` (numbers, with any value) who have. Costs what the smaller of the two sets
 * has. */
void user_push_rules_owners(struct users *us, struct arena *a, const struct map *users, const int64_t **out,
			    size_t *out_n);
