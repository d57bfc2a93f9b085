/* internal_state_res.h - one resolution at work: shared by its files. */
#pragma once

#include "base/map.h"
#include "matrix/auth.h"
#include "matrix/power_levels.h"
#include "matrix/state_res.h"

/* A key on which the states disagree: what each of them has under it, 0 for nothing. */
struct res_conflict {
	int64_t key[2];
	int64_t *event;
};

/* An event of the full conflicted set. */
struct res_item {
	const struct event *ev;
	int64_t type, key;
	struct auth_list auth; /* its auth_events */
	bool chosen;           /* in step 1: a power event, or one that a power event depends on */
	int64_t power;         /* of the sender, by the event's own auth_events */
	size_t mainline;       /* position + 1; SIZE_MAX: none */
	size_t waits_for;      /* Kahn: its auth_events that were not given out yet */
	VEC(struct res_item *) next;
};
struct res_items {
	struct res_item **p;
	size_t n, cap;
};

struct res {
	struct arena *a;
	const struct room_version *rv;
	const struct state_res_io *io;
	const struct state_tree *tree;
	const struct state_root *roots;
	size_t n_roots;
	struct map conflicts; /* (type, key) -> struct res_conflict */
	struct map events;    /* number -> struct event: every event asked for so far */
	struct map items;     /* number -> struct res_item */
	struct map resolved;  /* (type, key) -> struct res_slot: what the checks have put into the state */
	struct map refused;   /* number -> struct event: what the checks have refused */
	struct res_items full;
	const struct event *create;
	struct state_res_facts facts;
};
struct res_slot {
	int64_t key[2], event;
};

static inline str res_pair(const int64_t key[2]) { return (str){ (const char *)key, 2 * sizeof(*key) }; }

/* Every event is asked for once. */
NODISCARD err *res_event(struct res *r, int64_t nid, const struct event **out);
/* Events that are about to be asked for. */
NODISCARD err *res_will_need(struct res *r, const int64_t *nids, size_t n);
/* Of a list of auth_events, the one under a key; NULL: there is none. */
NODISCARD err *res_among(struct res *r, const struct auth_list *auth, str type, str state_key,
			 const struct event **out);
/* The numbers of a key; false: a text has none, so that no state has anything under it. */
NODISCARD err *res_key(struct res *r, str type, str state_key, int64_t out[2], bool *out_known);
/* The event under a key in the state as resolved so far; NULL: none. */
NODISCARD err *res_current(struct res *r, str type, str state_key, const struct event **out);
/* Puts an event into that state. */
void res_put(struct res *r, const int64_t key[2], int64_t event);

/* What the authorisation rules may ask for, found beforehand: a state_lookup cannot fail. */
struct res_lookups {
	struct state_key key[AUTH_LOOKUPS_MAX];
	const struct event *ev[AUTH_LOOKUPS_MAX];
	size_t n;
};
/* Is the event allowed by what was looked up? Counts, notes and remembers a refusal. */
bool res_allowed(struct res *r, enum state_res_step step, const struct event *ev, const struct res_lookups *l);
/* A refusal without a check: `why` says what came before. */
void res_refuse(struct res *r, enum state_res_step step, const struct event *ev, const err *why);
static inline void res_note(const struct res *r, enum state_res_step step, const struct event *ev, const err *refusal)
{
	if (r->io->note)
		r->io->note(r->io->ctx, &(struct state_res_note){ step, ev, refusal });
}

/* state_res_v1.c: fills `resolved` for every conflicted key. */
NODISCARD err *res_v1(struct res *r);

/* state_res_order.c: the two orderings; both sort in place. */
NODISCARD err *res_sort_by_power(struct res *r, struct res_items *items);
NODISCARD err *res_sort_by_mainline(struct res *r, struct res_items *items);

/* state_res_loss.c: facts.losses, of what was resolved into `out`. */
NODISCARD err *res_losses(struct res *r, struct state_root out);
