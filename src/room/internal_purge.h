/* internal_purge.h - a purge of a room's history under way: what goes, what stays, as far as is known. */
#pragma once

#include "room/internal_job.h"
#include "room/purge.h"
#include "store/purge.h"

/* An event that goes unless something that stays refers to it: state events and redactions before the horizon, and
 * events without a place. (Other messages before the horizon are not listed: nothing refers to them.) */
struct candidate {
	int64_t nid;
	bool unplaced, needed;
};

struct purge {
	struct room *room;         /* referenced; room->purge points back while it runs */
	struct arena *a, *scratch; /* scratch: reset at every step; errors are in it */
	struct purge_row row;
	int64_t horizon;        /* timeline: what is below goes */
	int64_t type_redaction; /* 0: there is none on this server */
	VEC(struct candidate) list;
	size_t n_placed;   /* the first of the list, by number; the rest, without a place, are by number, too */
	VEC(int64_t) todo; /* needed; what they refer to is still to be looked at */
	struct state_marks marks;
	int64_t sweep_below;  /* rows from this one on are left alone: the highest, by which the next number is known */
	int64_t shown_from;   /* the lowest stream position of what stays */
	int64_t journal_from; /* the journal is kept from here on */
	/* room->lock */
	VEC(int64_t) stay;  /* the forward extremities, wherever they are; written by the purge's own thread */
	bool decided;       /* `needed` is final */
	VEC(int64_t) noted; /* auth_events of events that came before it was */
	struct arena *noted_in;
};

/* Finds out what stays (purge_plan.c): reads only. */
NODISCARD err *purge_plan(struct purge *p, bool (*stop)(void *ctx), void *ctx, bool *out_stopped);
/* Under the room's lock: what is needed is final from here on. */
NODISCARD err *purge_decide(struct purge *p);
/* Is it in the timeline, and before the horizon? Then it leaves it. */
bool purge_is_past(const struct purge *p, const struct purge_event *ev);
bool purge_stays_anyhow(const struct purge *p, int64_t nid);
/* May something else refer to it? */
bool purge_may_be_needed(const struct purge *p, const struct purge_event *ev);
