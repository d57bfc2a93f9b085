/*
 * policy.h - a room's policy server: who it is, and whether it signed an event (Server-Server API, "Policy Servers").
 *
 * That it has a user in the room is for who knows the room.
 */
#pragma once

#include "matrix/event.h"

#define POLICY_KEY_ID S("ed25519:policy_server") /* "always" */

struct policy_server {
	str name;     /* of the event that was read */
	bool has_key; /* false: what is given as one is none, and nothing is well signed */
	uint8_t key[32];
};
/* Of a room's m.room.policy; NULL is none. False where it is not valid, which is the same as none. */
bool policy_server_of(struct arena *a, const struct event *policy, struct policy_server *out);
/* m.room.policy itself, which the policy server is not asked about: "those events are by default recommended". */
bool policy_exempts(const struct event *ev);
bool policy_has_signed(struct arena *a, const struct room_version *rv, const struct event *ev,
		       const struct policy_server *by);
