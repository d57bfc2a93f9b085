/*
 * policy.h - asking a room's policy server to sign events (Server-Server API, "Policy Servers").
 *
 * Our own events are asked about before they become part of a room, those of others that lack its signature when they
 * come; without a room's lock, for it may take seconds. Whether an event has the signature that it needs is asked again
 * under the lock: one that has not is soft-failed.
 */
#pragma once

#include "federation/fed.h"
#include "room/room.h"

struct policies;
struct policies_options { /* borrowed for the life of the service */
	struct rooms *rooms;
	struct fed *fed;
	/* fed_all; or what stands in its place in a test */
	void (*ask)(struct fed *f, struct arena *a, struct fed_call *calls, size_t n, int64_t deadline_us);
	const struct log *log;
};
NODISCARD err *policies_new(struct arena *a, const struct policies_options *opt, struct policies **out);
void policies_free(struct policies **ps);

/*
 * Events of others, each checked and of this room: those that need the signature and lack it are replaced by ones that
 * have it, where the policy server gives it. All are asked for at once; returns by the deadline (clock_mono_us). No
 * lock may be held. ERR_BUSY: too many wait for that policy server, or for any, already.
 */
NODISCARD err *policy_obtain(struct rooms *rs, struct arena *a, str room_id, struct event **events, size_t n,
			     int64_t deadline_us);
