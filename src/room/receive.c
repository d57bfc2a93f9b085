/*
 * receive.c - an event that was made elsewhere becomes part of the room, or is kept aside.
 *
 * "Checks performed on receipt of a PDU" (Server-Server API), 4 to 6: by its auth_events, by the state before it, by
 * the current state. The first two reject it, the last one soft-fails it. What comes before (format, signatures,
 * hashes) is done by who received it, and its prev_events and auth_events are known here.
 */
#include "room/internal_policy.h"

#include <assert.h>

struct received {
	struct room *room;
	const struct event *ev;
	struct proposal p;
	struct arrival how;
	int64_t *prevs;
	struct state_root *roots;         /* after the prev_events */
	size_t *lacks, n_lacks;           /* which of its prev_events have no place */
	bool gap;                         /* below it in the timeline, something is missing */
	bool given_counts;                /* a given state is among the roots */
	const struct event **auth_events; /* of this room */
	size_t n_auth;
	bool names_another_room; /* some of its auth_events are another room's */
	VEC(str) missing;
};

bool row_awaits_history(const struct event_row *row) { return row->flags & EVENT_OUTLIER; }

static bool is_create(const struct room *room, const struct event_row *row)
{
	return row->type == room->rs->summary_types[SUMMARY_ROOM_TYPE] && row->state_key == room->rs->empty;
}

bool row_awaits_place(const struct room *room, const struct event_row *row)
{
	return row_awaits_history(row) && !(row->flags & EVENT_PURGED) && !is_create(room, row);
}

/* The state after a prev_event that has no place, as it was given: false in *out where it was not. */
static err *find_given(struct draft *d, struct received *r, size_t i, bool *out)
{
	struct room *room = r->room;
	const struct prev_state *s = NULL;
	struct state_root base;
	struct tx *tx;

	for (size_t k = 0; k < r->how.n_given && !s; k++)
		if (str_eq(r->how.given[k].event_id, r->ev->prev_events[i]))
			s = &r->how.given[k];
	*out = s != NULL;
	if (!s)
		return NULL;
	TRY(room_tx(room, &tx));
	TRY(store_root_load(tx, room->nid, s->base, &base));
	TRY(state_apply(&d->builder, base, s->changes, s->n_changes, &r->roots[i]));
	r->gap = true;
	r->given_counts = true;
	return NULL;
}

/* What stands before an event without a place in the timeline (rejected, soft-failed) is missing before those after it,
 * too. */
static bool is_below_gap(const struct event_row *row)
{
	return row->flags & EVENT_GAP && row->flags & (EVENT_REJECTED | EVENT_SOFT_FAILED);
}

/* What most events stand on is the room's tip. */
static const struct ext *find_tip(const struct room *room, str event_id)
{
	if (room->purge || map_get(&room->pending_ids, event_id))
		return NULL;
	for (size_t i = room->tip.n_ext; i-- > 0;)
		if (str_eq((str){ room->tip.ext[i].id, room->tip.ext[i].id_n }, event_id))
			return &room->tip.ext[i];
	return NULL;
}

static err *find_prev(struct draft *d, struct received *r, size_t i)
{
	struct room *room = r->room;
	const struct ext *tip = find_tip(room, r->ev->prev_events[i]);
	const struct event_row *row;
	const struct job_event *je;
	bool given = false;
	struct tx *tx;

	if (tip) {
		r->prevs[i] = tip->nid;
		r->roots[i] = tip->root;
		return NULL;
	}
	TRY(room_row_by_id(room, r->ev->prev_events[i], &row));
	if (!row || row->flags & EVENT_OUTLIER || room_forgets_prev(room, row)) {
		TRY(find_given(d, r, i, &given));
		r->gap = r->gap || r->how.before;
		if (!given && !r->how.before) {
			vec_push(room->a, &r->missing, r->ev->prev_events[i]);
			return NULL;
		}
		r->prevs[i] = row ? row->nid : 0; /* a message is not stored for its state's sake */
		r->lacks[r->n_lacks++] = i;
		return NULL;
	}
	r->prevs[i] = row->nid;
	r->gap = r->gap || is_below_gap(row);
	je = map_get_i(&room->pending, row->nid);
	if (je) {
		r->roots[i] = je->after;
		return NULL;
	}
	TRY(room_tx(room, &tx));
	return store_root_load(tx, room->nid, row->root_after, &r->roots[i]);
}

/* An auth_event that this room does not have: missing, or another room's, which nobody will ever give us for this one.
 */
static err *find_elsewhere(struct received *r, str id)
{
	struct event_mark *marks;
	struct tx *tx;
	size_t n;

	TRY(room_tx(r->room, &tx));
	TRY(store_event_marks(tx, &id, 1, &marks, &n));
	if (n && marks[0].room != r->room->nid)
		r->names_another_room = true;
	else
		vec_push(r->room->a, &r->missing, id);
	return NULL;
}

/* Most auth_events are what the room's current state has, which is in memory. */
static err *find_auth_events(struct received *r)
{
	struct room *room = r->room;
	const struct event *ev = r->ev, *now[AUTH_KEYS_MAX];
	struct state_key keys[AUTH_KEYS_MAX];
	const size_t n = auth_keys(room->rv, ev->type, ev->state_key, ev->sender, ev->content, keys);

	for (size_t k = 0; k < n; k++)
		TRY(room_current_text(room, keys[k].type, keys[k].state_key, &now[k]));
	for (size_t i = 0; i < ev->n_auth_events; i++) {
		const struct event **out = &r->auth_events[r->n_auth];

		*out = NULL;
		for (size_t k = 0; k < n && !*out; k++)
			*out = now[k] && str_eq(now[k]->event_id, ev->auth_events[i]) ? now[k] : NULL;
		if (!*out)
			TRY(room_event_by_id(room, ev->auth_events[i], out, NULL));
		if (!*out)
			TRY(find_elsewhere(r, ev->auth_events[i]));
		else if (room_forgets_auth(room, (*out)->nid))
			vec_push(room->a, &r->missing, ev->auth_events[i]);
		else
			r->n_auth++;
	}
	return NULL;
}

/* ERR_NOT_FOUND: not all of them are known. */
static err *find_known(struct draft *d, struct received *r, struct arrival *how)
{
	struct room *room = r->room;

	r->prevs = ARENA_ARRAY(room->a, int64_t, r->ev->n_prev_events);
	r->roots = ARENA_ARRAY(room->a, struct state_root, r->ev->n_prev_events);
	r->lacks = ARENA_ARRAY(room->a, size_t, r->ev->n_prev_events);
	r->auth_events = ARENA_ARRAY(room->a, const struct event *, r->ev->n_auth_events);
	for (size_t i = 0; i < r->ev->n_prev_events; i++)
		TRY(find_prev(d, r, i));
	TRY(find_auth_events(r));
	if (r->missing.n == 0)
		return NULL;
	how->missing = r->missing.p;
	how->n_missing = r->missing.n;
	return err_new(room->a, ERR_NOT_FOUND, "%zu of its prev_events and auth_events are missing, the first %.*s",
		       r->missing.n, STR_ARG(r->missing.p[0]));
}

/*
 * v1 and v2: any server may call its event whatever it likes, also what one of another room is called. The first one
 * has the name. What is only queued has it, too: two of a name in the store's queue would cost the second room all that
 * was built upon it.
 */
bool job_name_take(struct job *job, str event_id)
{
	struct rooms *rs = job->room->rs;
	const str id = arena_keep(job->a, event_id);

	LOCKED(&rs->lock);
	if (map_get(&rs->names, id))
		return false;
	(void)map_put(&rs->names, id, job);
	vec_push(job->a, &job->names, id);
	return true;
}

void job_names_drop(struct job *job)
{
	if (!job->names.n)
		return;
	LOCKED(&job->room->rs->lock);
	for (size_t i = 0; i < job->names.n; i++)
		(void)map_del(&job->room->rs->names, job->names.p[i]);
}

static err *name_taken(const struct received *r)
{
	return err_new(r->room->a, ERR_FORBIDDEN, "there is an event %.*s already", STR_ARG(r->ev->event_id));
}

static err *check_name(struct draft *d, const struct received *r)
{
	struct event_row *other;
	AUTO_TX tx = NULL;

	if (r->room->rv->event_format != EVENT_FORMAT_NAMED)
		return NULL;
	if (!job_name_take(d->job, r->ev->event_id))
		return name_taken(r);
	/* Who had it until now has ended since: seen by a snapshot of after that, not by the hold's. */
	TRY(store_read(r->room->rs->opt.store, r->room->a, &tx));
	TRY(store_event_by_id(tx, r->ev->event_id, &other));
	return other ? name_taken(r) : NULL;
}

/* The event against the current state. */
static err *check_current(const struct received *r)
{
	struct room *room = r->room;
	struct state_key keys[AUTH_LOOKUPS_MAX];
	const struct event *events[AUTH_LOOKUPS_MAX], *ev = r->ev;
	struct state_list list = { events, 0 };
	const size_t n = auth_lookups(room->rv, ev->type, ev->state_key, ev->sender, ev->content, keys);

	for (size_t i = 0; i < n; i++) {
		TRY(room_current_text(room, keys[i].type, keys[i].state_key, &events[list.n]));
		list.n += events[list.n] != NULL;
	}
	return auth_check(room->a, room->rv, ev, state_list_lookup, &list);
}

/* The event against a state: ERR_FORBIDDEN when that refuses it. */
static err *check_state(struct draft *d, const struct received *r, struct state_root root)
{
	struct room *room = d->room;
	struct store *st = room->rs->opt.store;
	struct state_key keys[AUTH_LOOKUPS_MAX];
	const struct event *events[AUTH_LOOKUPS_MAX];
	struct state_list list = { events, 0 };
	const struct event *ev = r->ev, *now;
	const size_t n = auth_lookups(room->rv, ev->type, ev->state_key, ev->sender, ev->content, keys);

	if (state_same(root, room->tip.root))
		return check_current(r);
	for (size_t i = 0; i < n; i++) {
		int64_t type, key, nid = 0;

		TRY(store_intern_find(st, room->a, keys[i].type, &type));
		TRY(store_intern_find(st, room->a, keys[i].state_key, &key));
		if (type && key)
			TRY(state_get(&d->builder.tree, room->a, root, type, key, &nid));
		if (!nid)
			continue;
		now = room_remembered(room, type, key);
		if (now && now->nid == nid)
			events[list.n++] = now;
		else
			TRY(room_event(room, nid, &events[list.n++]));
	}
	return auth_check(room->a, room->rv, ev, state_list_lookup, &list);
}

/* "Passes authorisation rules based on the event's auth events": what they are, and then they as a state, with the
 * create event, which the room's id names where they do not. */
static err *check_auth_events(const struct received *r)
{
	struct room *room = r->room;
	const struct event *ev = r->ev, **events = ARENA_ARRAY(room->a, const struct event *, ev->n_auth_events + 1);
	struct state_list list = { events, r->n_auth };

	if (r->names_another_room)
		return err_new(room->a, ERR_FORBIDDEN, "auth_events has an event of another room");
	TRY(auth_check_auth_events(room->a, room->rv, ev, r->auth_events, r->n_auth));
	for (size_t i = 0; i < r->n_auth; i++)
		events[i] = r->auth_events[i];
	if (room->rv->create_not_in_auth_events) {
		TRY(room_current_text(room, S("m.room.create"), S(""), &events[list.n]));
		if (!events[list.n])
			TRY(room_event_by_id(room, arena_join2(room->a, S("$"), str_from(ev->room_id, 1)),
					     &events[list.n], NULL));
		list.n += events[list.n] != NULL;
	}
	return auth_check(room->a, room->rv, ev, state_list_lookup, &list);
}

/* A refusal becomes *out. */
static err *refused(err *e, err **out)
{
	*out = e && e->code == ERR_FORBIDDEN ? e : NULL;
	return *out ? NULL : e;
}

static void log_refused(const struct room *room, const struct event *ev, const char *what, const err *why)
{
	log_info(room->rs->opt.log, what, F("room_id", ev->room_id), F("event_id", ev->event_id), F("why", why->msg),
		 F("rule", auth_rule_text(room->a, room->rv, auth_rule_of(why))));
}

/*
 * What the room is now, for the sixth check. An event with a given state stands on nothing that we have seen: the room
 * may have moved on by what is missing, so that is taken into account, as state resolution will have it; it is not
 * simply believed.
 */
static err *current_for(struct draft *d, const struct received *r, struct state_root before, struct state_root *out)
{
	const struct tip *tip = &d->room->tip;
	struct state_root *roots;

	*out = tip->root;
	if (!r->given_counts || r->how.timeline)
		return NULL;
	roots = ARENA_ARRAY(d->room->a, struct state_root, tip->n_ext + 1);
	for (size_t i = 0; i < tip->n_ext; i++)
		roots[i] = tip->ext[i].root;
	roots[tip->n_ext] = before;
	return draft_resolve(d, roots, tip->n_ext + 1, out);
}

/* Its row is there already: number, text and place in the index of auth chains stay. */
static void keep_outlier(struct draft *d, const struct received *r, struct job_event *je)
{
	je->was_outlier = true;
	je->row.json = arena_keep(d->job->a, r->how.row->json);
	je->row.redacted_by = r->how.row->redacted_by;
	je->row.flags |= r->how.row->flags & EVENT_REDACTED;
}

/* The rules let every m.room.create pass that is one by itself: they know no room that has begun already. */
static err *check_create(const struct received *r, const struct job_event *je)
{
	const struct event *create;

	if (!str_eq(je->ev->type, S("m.room.create")))
		return NULL;
	TRY(room_current_text(r->room, S("m.room.create"), S(""), &create));
	if (r->how.timeline && create && create->nid == je->row.nid)
		return NULL;
	return err_new(r->room->a, ERR_FORBIDDEN, "The room has a create event");
}

/*
 * An outlier that is part of the current state came with a state that was fetched, and was judged by its auth_events;
 * everybody's events stand on it. Whoever shows it to us on top of a state of their own making must not have it
 * rejected for that, and with it whatever names it.
 */
static err *check_in_force(struct draft *d, const struct received *r)
{
	int64_t nid;

	TRY(state_get(&d->builder.tree, r->room->a, r->room->tip.root, r->p.type_nid, r->p.key_nid, &nid));
	if (nid != r->p.nid || r->how.known->rejected)
		return NULL;
	return err_new(r->room->a, ERR_FORBIDDEN, "the room's state holds the event: it is not judged anew");
}

static err *settle_history(struct draft *d, const struct received *r, struct job_event *je)
{
	TRY(draft_after(d, je));
	je->row.timeline = r->how.timeline;
	draft_keep(d, je);
	return NULL;
}

static void keep_lacks(struct draft *d, const struct received *r, struct job_event *je)
{
	str *ids = ARENA_ARRAY(d->job->a, str, r->n_lacks);

	for (size_t i = 0; i < r->n_lacks; i++)
		ids[i] = je->ev->prev_events[r->lacks[i]];
	je->lacks = ids;
	je->n_lacks = r->n_lacks;
}

static err *receive(struct draft *d, struct received *r, enum append_outcome *out)
{
	struct room *room = d->room;
	struct state_root current;
	struct job_event *je;
	struct event *ev;
	err *why = NULL, *now = NULL; /* it was refused for good; by the current state */

	TRY(event_load(d->job->a, room->rv, arena_keep(d->job->a, r->ev->event_id), arena_keep(d->job->a, r->ev->bytes),
		       &ev));
	je = job_event_new(d, &r->p, ev);
	if (r->how.known)
		keep_outlier(d, r, je);
	if (r->gap)
		je->row.flags |= EVENT_GAP;
	job_event_edges(d, je, r->prevs, r->ev->n_prev_events, r->auth_events, r->n_auth);
	keep_lacks(d, r, je);
	je->received = true;
	je->resident = r->p.resident;
	if (r->how.before)
		je->before = *r->how.before;
	else
		TRY(draft_resolve(d, r->roots, r->ev->n_prev_events, &je->before));
	TRY(current_for(d, r, je->before, &current));

	TRY(refused(check_auth_events(r), &why));
	if (!why)
		TRY(refused(check_create(r, je), &why));
	if (!why)
		TRY(refused(check_state(d, r, je->before), &why));
	if (!why && !r->how.timeline && !state_same(current, je->before))
		TRY(refused(check_state(d, r, current), &now));
	if (!why && !now && !r->how.timeline)
		TRY(refused(policy_check(room, ev), &now));
	if (why && r->how.known)
		TRY(check_in_force(d, r));
	if (why) {
		log_refused(room, ev, "event rejected", why);
		ev->rejected = true;
		je->row.flags |= EVENT_REJECTED;
		je->after = je->before;
		draft_keep(d, je);
		*out = APPEND_REJECTED;
		return NULL;
	}
	if (now) {
		log_refused(room, ev, "event soft-failed", now);
		je->row.flags |= EVENT_SOFT_FAILED;
		TRY(draft_after(d, je));
		draft_keep(d, je);
		*out = APPEND_SOFT_FAILED;
		return NULL;
	}
	*out = APPEND_ACCEPTED;
	TRY(draft_redact_waiting(d, je));
	je->late = r->how.late;
	if (r->how.timeline)
		TRY(settle_history(d, r, je));
	else
		TRY(draft_accept(d, je));
	TRY(draft_annotate(d, je));
	if (str_eq(ev->type, S("m.room.redaction")))
		TRY(draft_redact(d, je));
	return r->how.timeline ? NULL : draft_prepare(d, je);
}

/* An outlier goes by its row: in versions 1 and 2 another event may come under its name. */
static void go_by_row(struct received *r)
{
	assert(r->how.timeline ? row_awaits_history(r->how.row) : row_awaits_place(r->room, r->how.row));
	r->ev = r->how.known;
	r->p.nid = r->how.row->nid;
	r->p.type_nid = r->how.row->type;
	r->p.key_nid = r->how.row->state_key;
	r->p.sender_nid = r->how.row->sender;
}

err *draft_add_received(struct draft *d, const struct event *ev, const struct proposal *p, struct arrival *how,
			enum append_outcome *out)
{
	struct arrival none = { 0 };
	struct received r = { .room = d->room, .ev = ev, .p = *p };

	if (!how)
		how = &none;
	r.how = *how;
	if (map_get(&d->room->storing, ev->event_id))
		return err_new(d->room->a, ERR_BUSY, "the event is just being stored");
	if (how->known)
		go_by_row(&r);
	TRY(find_known(d, &r, how));
	if (!how->known)
		TRY(check_name(d, &r));
	how->begun = true;
	return receive(d, &r, out);
}

static err *queue_received(struct rooms *rs, struct arena *a, const struct event *ev, const struct proposal *p,
			   enum append_outcome *out, struct ticket **out_ticket)
{
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;
	struct arrival how = { 0 };

	TRY(room_hold(rs, a, ev->room_id, &room));
	if (!room)
		return err_new(a, ERR_NOT_FOUND, "no such room");
	TRY(room_event_by_id(room, ev->event_id, &how.known, &how.row));
	if (how.known && !row_awaits_place(room, how.row)) {
		*out = APPEND_KNOWN;
		return NULL;
	}
	draft_begin(room, &d);
	TRY(draft_add_received(d, ev, p, &how, out));
	return draft_queue(&d, out_ticket);
}

err *rooms_append_event(struct rooms *rs, struct arena *a, const struct event *ev, enum append_outcome *out)
{
	struct ticket *ticket = NULL;
	struct proposal p = {
		.type = ev->type,
		.state_key = ev->state_key,
		.sender = ev->sender,
	};

	TRY(proposal_number(rs, a, &p));
	TRY(queue_received(rs, a, ev, &p, out, &ticket));
	return ticket ? store_wait(a, ticket) : NULL;
}
