/*
 * redact.c - what a redaction does to its target ("Handling redactions", rooms/v3 and later).
 *
 * A redaction is an event like any other; whether it applies is decided apart: by the target's sender's server, or by
 * someone with the power to redact. The target's stored form becomes the redacted one in the redaction's own
 * transaction, and what the flat tables copied from it goes with it. A redaction whose target is not known waits for
 * it.
 *
 * "[Redactions] should not be sent to clients until both the redaction event and the event the redaction affects have
 * been received, and can be validated": one that is not applied is marked (EVENT_UNAPPLIED), and room_view_sees passes
 * over it. Other servers are given it as any event.
 *
 * Until that transaction is committed the store has the whole target, while whoever builds on the redaction must see
 * what it left: room->redactions says which events those are.
 */
#include "room/internal_job.h"

static err *applies(struct room *room, const struct event *redaction, const struct event *target, bool *out)
{
	struct power_levels pl;

	/* v1 and v2: an authorisation rule has decided it. */
	*out = room->rv->redaction_rule;
	if (*out)
		return NULL;
	TRY(room_power(room, &pl));
	*out = redaction_applies(&pl, redaction, target->sender);
	return NULL;
}

/* The copies of a state event that is still in force lose what it loses. */
static err *follow_flat(struct draft *d, struct job_event *je, const struct event *target, const struct event_row *row)
{
	struct room *room = d->room;
	struct event *redacted;
	int64_t current;

	if (!event_is_state(target))
		return NULL;
	TRY(state_get(&d->builder.tree, room->a, room->tip.root, row->type, row->state_key, &current));
	if (current != row->nid)
		return NULL;
	TRY(event_load(d->job->a, room->rv, target->event_id, je->redact_json, &redacted));
	je->redact_change = (struct change){ .type = row->type, .key = row->state_key };
	flat_describe_redacted(room->rs, redacted, &je->redact_change);
	return NULL;
}

err *draft_redact(struct draft *d, struct job_event *je)
{
	const struct event *target;
	const struct event_row *row;
	bool allowed = false;

	if (str_is_none(je->ev->redacts))
		return NULL;
	TRY(room_event_by_id(d->room, je->ev->redacts, &target, &row));
	if (target)
		TRY(applies(d->room, je->ev, target, &allowed));
	je->redact_waits = !target;
	if (!allowed && !d->room->rv->redaction_rule) {
		je->row.flags |= EVENT_UNAPPLIED;
		je->linear = false;
	}
	if (!allowed || row->redacted_by)
		return NULL;
	TRY(event_redact(d->job->a, d->room->rv, target, &je->redact_json));
	je->redact_json = arena_keep(d->job->a, je->redact_json);
	je->redact_target = row->nid;
	TRY(draft_redact_annotation(d, je, target, row));
	map_put_i(&d->room->redactions, row->nid, je);
	if (event_is_state(target)) /* remembered as it was */
		room_cache_drop(d->room, row->type, row->state_key);
	return follow_flat(d, je, target, row);
}

void redaction_forget(struct room *room, const struct job_event *je)
{
	if (je->redact_target && map_get_i(&room->redactions, je->redact_target) == je)
		map_del_i(&room->redactions, je->redact_target);
}

/* The first redaction that came before the event and may be applied to it, 0 for none. That one may not says nothing of
 * the next: else whoever has no power could keep those who have it from redacting. */
static err *waiting_for(struct draft *d, const struct event *ev, int64_t *out)
{
	struct room *room = d->room;
	const struct event *redaction;
	int64_t *nids, nid;
	size_t n = 0;
	struct tx *tx;
	void *queued;
	bool allowed;

	*out = 0;
	if (ahead_may_wait(room, ev->event_id)) {
		TRY(room_tx(room, &tx));
		TRY(store_redactions_waiting(tx, room->nid, ev->event_id, &nids, &n));
	}
	for (size_t i = 0; i < n; i++) {
		TRY(room_event(room, nids[i], &redaction));
		TRY(applies(room, redaction, ev, &allowed));
		if (allowed) {
			*out = nids[i];
			return NULL;
		}
	}
	for (size_t i = 0; map_next_i(&room->pending, &i, &nid, &queued);) {
		const struct job_event *je = queued;

		if (!je->redact_waits || !str_eq(je->ev->redacts, ev->event_id))
			continue;
		TRY(applies(room, je->ev, ev, &allowed));
		if (allowed && (*out == 0 || nid < *out))
			*out = nid;
	}
	return NULL;
}

err *draft_redact_waiting(struct draft *d, struct job_event *je)
{
	int64_t nid;
	struct event *redacted;

	TRY(waiting_for(d, je->ev, &nid));
	if (!nid)
		return NULL;
	TRY(event_redact(d->job->a, d->room->rv, je->ev, &je->row.json));
	je->row.json = arena_keep(d->job->a, je->row.json);
	je->redact_applied = nid;
	je->row.redacted_by = nid;
	je->row.flags |= EVENT_REDACTED;
	TRY(event_load(d->job->a, d->room->rv, je->ev->event_id, je->row.json, &redacted));
	redacted->nid = je->ev->nid;
	je->ev = redacted;
	return NULL;
}
