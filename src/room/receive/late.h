/*
 * late.h - which events of a batch come late: events that the room has, above gaps, name them already, or name what
 * stands on them. Those belong below these events (docs/internals/gaps.md).
 */
#pragma once

#include "room/internal_job.h"

struct late_place {
	const struct event_row *const *heirs; /* accepted events that name it, queued or stored */
	size_t n_heirs;
	int64_t timeline; /* its place below those, and below those that name what stands on it; 0: on top */
};
/*
 * order: places of the list that are to be added, what stands on another after it. out has a place for each of the
 * list (`n`). Where there is nothing of the kind in the room it costs nothing. Valid during the hold.
 */
NODISCARD err *late_find(struct room *room, const struct received_event *list, size_t n, const size_t *order,
			 size_t n_order, struct late_place *out);
/* Is the state after an event part of what one of these was put upon? Else what other servers said was the state there
 * was not that. */
NODISCARD err *late_is_included(struct draft *d, struct state_root after, const struct late_place *late, bool *out);
