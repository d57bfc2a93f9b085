/*
 * annotation.c - no annotation twice. Client-Server API, "Avoiding duplicate annotations".
 *
 * "Homeservers should prevent users from sending a second annotation for a given event with identical event type and
 * annotation key (unless the first event has been redacted)." A row for each stands in the store, written and removed
 * with the events that say so; what is queued of the room counts as if it were there.
 */
#include "room/internal_job.h"

#include "room/thread.h"

/* NULL in *out: it annotates nothing that is known here. */
static err *annotation_of(struct room *room, const struct json *content, int64_t sender, int64_t type,
			  struct annotation **out)
{
	const struct relation r = relation_of(content);
	const str key = json_get_str(json_get_object(content, S("m.relates_to")), S("key"));
	const struct event_row *target;
	const struct event *ev;

	*out = NULL;
	if (!str_eq(r.rel_type, S("m.annotation")) || str_is_none(r.event_id) || str_is_none(key))
		return NULL;
	TRY(room_event_by_id(room, r.event_id, &ev, &target));
	if (!ev)
		return NULL;
	*out = ARENA_NEW(room->a, struct annotation);
	**out = (struct annotation){ .target = target->nid, .sender = sender, .type = type };
	store_annotation_digest(key, *out);
	return NULL;
}

static bool is_queued(const struct room *room, const struct annotation *an)
{
	LIST_EACH (&room->jobs, node) {
		const struct job *job = LIST_ITEM(node, struct job, node);

		for (size_t i = 0; i < job->events.n; i++) {
			const struct job_event *je = job->events.p[i];

			if (je->annotates.target && store_annotation_same(&je->annotates, an) &&
			    !map_get_i(&room->redactions, je->row.nid))
				return true;
		}
	}
	return false;
}

err *annotation_check(struct room *room, const struct proposal *p)
{
	struct annotation *an;
	int64_t known = 0;
	struct tx *tx;

	if (!str_is_none(p->state_key))
		return NULL;
	TRY(annotation_of(room, p->content, p->sender_nid, p->type_nid, &an));
	if (!an)
		return NULL;
	if (!is_queued(room, an)) {
		TRY(room_tx(room, &tx));
		TRY(store_annotation_find(tx, an, &known));
		if (!known || map_get_i(&room->redactions, known))
			return NULL;
	}
	return err_new(room->a, ERR_DUPLICATE_ANNOTATION, "you annotated that event so already");
}

err *draft_annotate(struct draft *d, struct job_event *je)
{
	struct annotation *an;

	if (event_is_state(je->ev) || je->row.redacted_by)
		return NULL;
	TRY(annotation_of(d->room, je->ev->content, je->row.sender, je->row.type, &an));
	if (an)
		je->annotates = *an;
	return NULL;
}

err *draft_redact_annotation(struct draft *d, struct job_event *je, const struct event *target,
			     const struct event_row *row)
{
	struct annotation *an;

	if (event_is_state(target))
		return NULL;
	TRY(annotation_of(d->room, target->content, row->sender, row->type, &an));
	if (an)
		je->redact_annotates = *an;
	return NULL;
}

err *annotation_save(struct tx *tx, const struct job_event *je)
{
	if (je->annotates.target)
		TRY(store_annotation_save(tx, &je->annotates, je->row.nid));
	return je->redact_annotates.target ? store_annotation_drop(tx, &je->redact_annotates, je->redact_target) : NULL;
}
