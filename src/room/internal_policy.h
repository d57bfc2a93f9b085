/* internal_policy.h - policy servers, for those who make events and those who take them. */
#pragma once

#include "matrix/policy.h"
#include "room/internal_job.h"
#include "room/policy.h"

/* The room's policy server, if it is using one now; false in *out: it is not. Under the room's lock. */
NODISCARD err *policy_of_room(struct room *room, struct policy_server *by, bool *out);
/* ERR_FORBIDDEN: the event lacks the signature of the room's policy server. Under the room's lock. */
NODISCARD err *policy_check(struct room *room, const struct event *ev);

/*
 * An event of ours. The first time it is built, and if it has to be signed it waits in `vetting`; the caller lets go of
 * the room, calls policy_vet, and comes again: then that very event is added, if the room still allows it. Where the
 * room has moved on meanwhile it stands beside what came.
 */
struct vetting {
	bool wanted;         /* policy_vet is to be called */
	struct event *event; /* built; signed by the policy server once it was vetted */
	const struct room_version *version;
	struct policy_server by;
};
/* Is the proposal one that has to be vetted first? Then it is built. Under the room's lock, without a draft. */
NODISCARD err *policy_wants(struct room *room, const struct proposal *p, struct vetting *v);
/* Without a lock. What the policy server says no with is the error, "verbatim". */
NODISCARD err *policy_vet(struct rooms *rs, struct arena *a, struct vetting *v);
