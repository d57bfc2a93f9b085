/*
 * power_levels.h - who may do what: m.room.power_levels with its defaults, and the creators.
 *
 * A view of two state events, made without allocating, valid as long as they are. A creator of a room version 12 has
 * POWER_INFINITE, above all levels that can be written. Before version 10 the rules let some levels pass that are no
 * numbers at all: what needs such a level is refused, whoever asks, for a user's is POWER_NONE and a needed one
 * POWER_INFINITE. Server-Server API "Definitions"; m.room.power_levels.
 */
#pragma once

#include "matrix/event.h"

#define POWER_INFINITE INT64_MAX
#define POWER_NONE     INT64_MIN

struct power_levels {
	const struct room_version *rv;
	const struct event *create; /* NULL: nobody is creator */
	const struct json *content; /* of the m.room.power_levels in force; NULL: none */
};

/* Either event may be NULL. */
struct power_levels power_levels_of(const struct room_version *rv, const struct event *create,
				    const struct event *power_levels);

/* The level that a value stands for, saturating at 64 bits. *out is written for POWER_LEVEL_GOOD only. */
enum power_level {
	POWER_LEVEL_ABSENT,
	POWER_LEVEL_GOOD,
	POWER_LEVEL_UNREADABLE,
	POWER_LEVEL_OUT_OF_RANGE, /* of doubles: the event that holds it is rejected */
};
enum power_level power_level_read(const struct room_version *rv, const struct json *value, int64_t *out);

int64_t power_of_user(const struct power_levels *pl, str user_id);
/* The level needed to send an event of the type. */
int64_t power_for_event(const struct power_levels *pl, str type, bool is_state);

enum power_action { POWER_INVITE, POWER_KICK, POWER_BAN, POWER_REDACT };
int64_t power_for(const struct power_levels *pl, enum power_action action);
/* content.notifications.<key>, by default 50: "room" for @room. */
int64_t power_for_notification(const struct power_levels *pl, str key);

/* The same questions with an answer: for the client API's own checks. */
/* Is `user_id` strictly below this level, as those must be whom one removes or bans? */
bool power_is_above(const struct power_levels *pl, int64_t level, str user_id);
bool power_may(const struct power_levels *pl, str user_id, enum power_action action);
bool power_may_send(const struct power_levels *pl, str user_id, str type, bool is_state);

/* "Room creators": sender of the create event, and in versions that have it, content.additional_creators. */
bool power_is_creator(const struct room_version *rv, const struct event *create, str user_id);

/* "Handling redactions": may the event `redaction` be applied to an event of `target_sender`? Both must be of one room.
 * */
bool redaction_applies(const struct power_levels *pl, const struct event *redaction, str target_sender);
