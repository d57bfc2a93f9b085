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
	enum auth_rule by; /* by which rule it was allowed */
};

#define auth_reject(au, rule, ...) auth_refusal(err_new((au)->a, ERR_FORBIDDEN, __VA_ARGS__), (rule))
static inline err *auth_refusal(err *e, enum auth_rule rule)
{
	e->detail = rule;
	return e;
}
static inline err *auth_allow(struct auth *au, enum auth_rule rule)
{
	au->by = rule;
	return NULL;
}

/* The membership a user has in the state; STR_NONE without an m.room.member. */
str auth_membership_of(const struct auth *au, str user_id);

/* "If type is m.room.member" */
NODISCARD err *auth_check_member(struct auth *au);
/* "If type is m.room.power_levels" */
NODISCARD err *auth_check_power_levels(struct auth *au);
