/* internal_auth.h - the parts of one authorisation check. */
#pragma once

#include "matrix/auth.h"
#include "matrix/power_levels.h"

struct auth {
	struct arena *a;
	const struct room_version *rv;
	const struct event *ev;
	state_lookup *state;
	void *ctx;
	const struct event *create; /* of the room, not NULL */
	struct power_levels pl;     /* in force */
	int64_t sender_power;
};

#define auth_reject(au, ...) err_new((au)->a, ERR_FORBIDDEN, __VA_ARGS__)

/* The membership a user has in the state; STR_NONE without an m.room.member. */
str auth_membership_of(const struct auth *au, str user_id);

/* Rule 4 (v12: 5), m.room.member. */
NODISCARD err *auth_check_member(const struct auth *au);
/* Rule 9 (v12: 10), m.room.power_levels. */
NODISCARD err *auth_check_power_levels(const struct auth *au);
