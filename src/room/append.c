/*
 * append.c - how an event becomes part of a room: build > select auth_events > authorise > resolve > queue.
 *
 * A draft is what one piece of the store's next commit will hold: usually one event, for a new room all of its first
 * ones. Adding to it moves the room's tip on at once, so that the next event builds on this one, queued or not;
 * dropping it puts the tip back. Nothing here waits for a commit.
 *
 * An event of ours names all forward extremities and is authorised against the resolution of the states after them,
 * which is the room's current state. With one extremity, or with equal states, there is nothing to resolve. Of more
 * than ten it names five of the newest and five of the oldest, so that each has its turn; the state before it is that
 * of those. There are never more than a resolution takes: beyond it one goes that says nothing which another does not
 * say. An event from elsewhere names what it likes: the state before it is resolved from the states after its
 * prev_events, and the new current state from those after the extremities that are left (receive.c).
 */
#include "room/internal_job.h"

#include <assert.h>

#include "base/rand.h"
#include "room/receive/late.h"

enum { PROPOSAL_TEXTS = 4 };

static size_t texts_of(struct proposal *p, struct store_text out[PROPOSAL_TEXTS])
{
	size_t n = 2;

	out[0] = (struct store_text){ p->type, &p->type_nid };
	out[1] = (struct store_text){ p->sender, &p->sender_nid };
	if (!str_is_none(p->state_key))
		out[n++] = (struct store_text){ p->state_key, &p->key_nid };
	if (str_eq(p->type, S("m.room.member")) && id_user_valid(p->state_key)) /* flat.c asks for it under the lock */
		out[n++] = (struct store_text){ id_server(p->state_key), &p->server_nid };
	return n;
}

err *proposal_texts(struct rooms *rs, struct arena *a, struct proposal *p)
{
	struct store_text texts[PROPOSAL_TEXTS];

	return store_intern_all(rs->opt.store, a, texts, texts_of(p, texts));
}

err *proposal_number(struct rooms *rs, struct arena *a, struct proposal *p)
{
	TRY(proposal_texts(rs, a, p));
	return store_next_id(rs->opt.store, a, SEQ_EVENT, 1, &p->nid);
}

err *proposals_number(struct rooms *rs, struct arena *a, struct proposal *const *list, size_t n)
{
	struct store_text *texts = ARENA_ARRAY(a, struct store_text, n * PROPOSAL_TEXTS);
	size_t n_texts = 0;
	int64_t first;

	for (size_t i = 0; i < n; i++)
		n_texts += texts_of(list[i], texts + n_texts);
	TRY(store_intern_all(rs->opt.store, a, texts, n_texts));
	TRY(store_next_id(rs->opt.store, a, SEQ_EVENT, n, &first));
	for (size_t i = 0; i < n; i++)
		list[i]->nid = first + (int64_t)i;
	return NULL;
}

str event_name(const struct rooms *rs, struct arena *a)
{
	uint8_t random[18];

	rand_bytes(random, sizeof(random));
	return event_id_named(a, rs->opt.signer.server_name, random);
}

/*
 * Drafts
 */
static void tip_copy(struct tip *to, const struct tip *from)
{
	*to = *from;
	to->cap_ext = from->n_ext + 1;
	to->ext = mem_alloc(to->cap_ext * sizeof(*to->ext));
	if (from->n_ext)
		memcpy(to->ext, from->ext, from->n_ext * sizeof(*to->ext));
}

void draft_begin(struct room *room, struct draft **out)
{
	struct arena *a;
	struct draft *d;
	struct state_tree tree;

	lock_assert_held(&room->lock);
	assert(!room->draft && room->loaded && !room->gone);
	a = arena_new();
	d = ARENA_NEW(a, struct draft);
	d->job = ARENA_NEW(a, struct job);
	d->job->a = a;
	d->job->room = room;
	d->job->generation = atomic_load(&room->generation);
	list_init(&d->job->node);
	list_init(&d->job->done);
	d->room = room;
	d->saved = room->tip;
	tip_copy(&room->tip, &d->saved);
	tree = node_source_tree(&room->nodes);
	state_builder_init(&d->builder, a, &tree);
	room->draft = d;
	*out = d;
}

void draft_drop(struct draft **draft)
{
	struct draft *d = *draft;
	struct arena *a;

	if (!d)
		return;
	a = d->job->a; /* holds the draft itself */
	job_names_drop(d->job);
	*draft = NULL;
	d->room->draft = NULL;
	mem_free(d->room->tip.ext);
	d->room->tip = d->saved;
	if (d->job->events.n) { /* what was asked for on the way was of a state that is not */
		room_cache_clear(d->room);
		d->room->locals_known = false;
	}
	if (d->moved_servers)
		room_servers_clear(d->room, false);
	for (size_t i = 0; i < d->job->events.n; i++) {
		map_del_i(&d->room->pending, d->job->events.p[i]->row.nid);
		map_del(&d->room->pending_ids, d->job->events.p[i]->ev->event_id);
		redaction_forget(d->room, d->job->events.p[i]);
		room_servers_release(d->job->events.p[i]);
	}
	arena_free(&a);
}

/*
 * Building
 */
struct auth_pick { /* what authorises an event: the state it may be checked against, and what of it the event names */
	struct state_list state;
	const struct event *events[AUTH_LOOKUPS_MAX];
	const struct event *auth[AUTH_KEYS_MAX];
	str ids[AUTH_KEYS_MAX], hashes[AUTH_KEYS_MAX];
	size_t n;
};

/* Events carry a name, which nobody but their server gives them, and say of those they refer to what their hash is. */
static bool named(const struct room_version *rv) { return rv->event_format == EVENT_FORMAT_NAMED; }

static err *pick_auth(struct room *room, const struct proposal *p, struct auth_pick *out)
{
	struct state_key keys[AUTH_LOOKUPS_MAX];
	size_t n = auth_lookups(room->rv, p->type, p->state_key, p->sender, p->content, keys);

	out->state = (struct state_list){ out->events, 0 };
	out->n = 0;
	for (size_t i = 0; i < n; i++) {
		const struct event *ev;

		TRY(room_current_text(room, keys[i].type, keys[i].state_key, &ev));
		if (ev)
			out->events[out->state.n++] = ev;
	}
	n = auth_keys(room->rv, p->type, p->state_key, p->sender, p->content, keys);
	for (size_t i = 0; i < n; i++) {
		const struct event *ev = state_list_lookup(&out->state, keys[i].type, keys[i].state_key);

		if (!ev)
			continue;
		if (named(room->rv))
			TRY(event_hash_text(room->a, room->rv, ev, &out->hashes[out->n]));
		out->ids[out->n] = ev->event_id;
		out->auth[out->n++] = ev;
	}
	return NULL;
}

enum { NAMED_MOST = 10, EXTREMITIES_MOST = STATE_RES_MAX_ROOTS };

/* The extremities that an event of ours names. */
static size_t choose(const struct tip *tip, const struct ext *out[NAMED_MOST])
{
	const size_t n = MIN(tip->n_ext, (size_t)NAMED_MOST), oldest = tip->n_ext > n ? n / 2 : n;

	for (size_t i = 0; i < n; i++)
		out[i] = &tip->ext[i < oldest ? i : tip->n_ext - n + i];
	return n;
}

static err *build(struct draft *d, const struct proposal *p, const struct auth_pick *auth, struct event **out)
{
	const struct ext *chosen[NAMED_MOST];
	const size_t n = choose(&d->room->tip, chosen);
	struct event_fields f = {
		.room_id = d->room->room_id,
		.sender = p->sender,
		.type = p->type,
		.state_key = p->state_key,
		.content = p->content,
		.redacts = p->redacts,
		.origin_server_ts = p->ts,
		.auth_events = auth->ids,
		.n_auth_events = auth->n,
		.n_prev_events = n,
	};
	str prev[NAMED_MOST], prev_hashes[NAMED_MOST];
	int64_t deepest = 0;
	err *e;

	for (size_t i = 0; i < n; i++) {
		prev[i] = (str){ chosen[i]->id, chosen[i]->id_n };
		prev_hashes[i] = (str){ chosen[i]->hash, EVENT_HASH_TEXT };
		deepest = MAX(deepest, chosen[i]->depth);
	}
	f.prev_events = prev;
	if (named(d->room->rv)) {
		f.event_id = event_name(d->room->rs, d->job->a); /* the event borrows it */
		f.prev_hashes = prev_hashes;
		f.auth_hashes = auth->hashes;
	}
	f.depth = event_depth_after(deepest);
	e = event_build(d->job->a, d->room->rv, &f, &d->room->rs->opt.signer, out);
	return e ? err_keep(d->room->a, e) : NULL; /* the draft's arena goes with it */
}

/*
 * Moving the tip on
 */
struct job_event *job_event_new(struct draft *d, const struct proposal *p, struct event *ev)
{
	struct job_event *je = ARENA_NEW(d->job->a, struct job_event);

	ev->nid = p->nid;
	je->ev = ev;
	je->row = (struct event_row){
		.nid = p->nid,
		.room = d->room->nid,
		.type = p->type_nid,
		.state_key = event_is_state(ev) ? p->key_nid : 0,
		.sender = p->sender_nid,
		.depth = ev->depth,
		.origin_server_ts = ev->origin_server_ts,
		.flags = event_is_state(ev) ? EVENT_STATE : 0,
		.event_id = ev->event_id,
		.json = ev->bytes,
		.txn_device = arena_keep(d->job->a, p->txn_device),
		.txn_id = arena_keep(d->job->a, p->txn_id),
	};
	return je;
}

/* Other servers may name an event twice: it is one edge. */
static size_t add_once(int64_t *list, size_t n, int64_t nid)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == nid)
			return n;
	list[n] = nid;
	return n + 1;
}

void job_event_edges(struct draft *d, struct job_event *je, const int64_t *prevs, size_t n_prevs,
		     const struct event *const *auth, size_t n_auth)
{
	int64_t *copy = ARENA_ARRAY(d->job->a, int64_t, n_prevs), *all = ARENA_ARRAY(d->job->a, int64_t, n_prevs);
	int64_t *auths = ARENA_ARRAY(d->job->a, int64_t, n_auth);
	const struct event **parents = ARENA_ARRAY(d->job->a, const struct event *, n_auth);
	size_t n = 0;

	for (size_t i = 0; i < n_prevs; i++) {
		if (prevs[i]) /* 0: it has no number */
			je->n_prevs = add_once(copy, je->n_prevs, prevs[i]);
		if (!prevs[i] || add_once(all, n, prevs[i]) > n)
			all[n++] = prevs[i];
	}
	je->prevs = copy;
	je->row.prevs = store_nids_pack(d->job->a, all, n);
	n = 0;
	for (size_t i = 0; i < n_auth; i++) {
		const size_t more = add_once(auths, n, auth[i]->nid);

		if (more > n)
			parents[n] = auth[i];
		n = more;
	}
	je->row.auths = store_nids_pack(d->job->a, auths, n);
	if (event_is_state(je->ev))
		je->auth = (struct auth_entry){
			.event = je->row.nid,
			.parents = auth_parents(d->job->a, je->ev, parents, n),
			.n_parents = n,
		};
}

/* The oldest of those whose state a newer one has, too; else the oldest. The newest stays. */
static size_t dispensable(const struct tip *tip)
{
	for (size_t i = 0; i + 1 < tip->n_ext; i++)
		for (size_t k = i + 1; k < tip->n_ext; k++)
			if (state_same(tip->ext[i].root, tip->ext[k].root))
				return i;
	return 0;
}

static void extremities_cap(struct room *room)
{
	struct tip *tip = &room->tip;

	while (tip->n_ext > EXTREMITIES_MOST) {
		const size_t i = dispensable(tip);

		log_info(room->rs->opt.log, "extremity dropped: the room has too many", F("room_id", room->room_id),
			 F("event_id", ((str){ tip->ext[i].id, tip->ext[i].id_n })));
		metric_add(room->rs->dropped_extremities, 1);
		memmove(&tip->ext[i], &tip->ext[i + 1], (tip->n_ext - i - 1) * sizeof(*tip->ext));
		tip->n_ext--;
	}
}

/*
 * An event is an end of the room as long as no accepted one names it: what came late is none, where the state of those
 * that name it says the same (receive/late.h). There is always one.
 */
static err *extremities_move(struct draft *d, const struct job_event *je)
{
	struct room *room = d->room;
	struct tip *tip = &room->tip;
	bool included = false;
	size_t left = 0;
	struct ext *x;

	for (size_t i = 0; i < tip->n_ext; i++) {
		bool named = false;

		for (size_t k = 0; k < je->n_prevs; k++)
			named |= je->prevs[k] == tip->ext[i].nid;
		if (!named)
			tip->ext[left++] = tip->ext[i];
	}
	tip->n_ext = left;
	if (je->late)
		TRY(late_is_included(d, je->after, je->late, &included));
	if (included && tip->n_ext)
		return NULL;
	if (tip->n_ext == tip->cap_ext) {
		tip->cap_ext++;
		tip->ext = mem_realloc(tip->ext, tip->cap_ext * sizeof(*tip->ext));
	}
	x = &tip->ext[tip->n_ext++];
	x->nid = je->row.nid;
	x->depth = je->row.depth;
	x->root = je->after;
	x->id_n = je->ev->event_id.n;
	assert(x->id_n <= sizeof(x->id));
	memcpy(x->id, je->ev->event_id.p, x->id_n);
	TRY(ext_hash(room, je->ev, x));
	extremities_cap(room);
	return NULL;
}

/* The state that all extremities have together. */
static err *resolve_current(struct draft *d, struct state_root *out)
{
	const struct tip *tip = &d->room->tip;
	struct state_root *roots = ARENA_ARRAY(d->room->a, struct state_root, tip->n_ext);

	for (size_t i = 0; i < tip->n_ext; i++)
		roots[i] = tip->ext[i].root;
	return draft_resolve(d, roots, tip->n_ext, out);
}

err *draft_after(struct draft *d, struct job_event *je)
{
	struct arena *a = d->room->a;

	je->after = je->before;
	if (!event_is_state(je->ev))
		return NULL;
	TRY(state_get(&d->builder.tree, a, je->before, je->row.type, je->row.state_key, &je->row.replaces));
	return state_set(&d->builder, je->before, je->row.type, je->row.state_key, je->row.nid, &je->after);
}

static void find_place(struct tip *tip, struct job_event *je)
{
	if (je->late && je->late->timeline) {
		je->row.timeline = je->late->timeline;
		je->row.flags |= EVENT_LATE;
		return;
	}
	tip->timeline_top += je->row.flags & EVENT_GAP ? TIMELINE_GAP : TIMELINE_SPACING;
	je->row.timeline = tip->timeline_top;
}

err *draft_accept(struct draft *d, struct job_event *je)
{
	struct tip *tip = &d->room->tip;
	const struct state_root old = tip->root;
	struct state_root current;

	TRY(draft_after(d, je));
	draft_keep(d, je); /* resolution may ask for it */
	TRY(extremities_move(d, je));
	TRY(resolve_current(d, &current));
	je->linear = state_same(je->before, old) && state_same(je->after, current) &&
		     je->row.type != d->room->rs->type_dummy;
	find_place(tip, je);
	je->shown = true;
	TRY(flat_changes(d, je, current));
	return room_servers_send(d, je);
}

/* The event is found from now on, by those who build on it. */
void draft_keep(struct draft *d, struct job_event *je)
{
	map_put_i(&d->room->pending, je->row.nid, je);
	map_put(&d->room->pending_ids, je->ev->event_id, je);
	d->room->lacks = d->room->lacks || je->n_lacks;
	je->current = d->room->tip.root;
	vec_push(d->job->a, &d->job->events, je);
}

err *draft_prepare(struct draft *d, struct job_event *je)
{
	struct rooms *rs = d->room->rs;

	return rs->prepare ? rs->prepare(rs->prepare_ctx, d->job->a, d->room, je->ev, &je->prepared) : NULL;
}

static err *add(struct draft *d, const struct proposal *p, struct event *ev, const struct auth_pick *auth)
{
	const struct tip *tip = &d->room->tip;
	const struct ext *chosen[NAMED_MOST];
	const size_t n = choose(tip, chosen);
	struct job_event *je = job_event_new(d, p, ev);
	struct state_root roots[NAMED_MOST];
	int64_t prevs[NAMED_MOST];

	assert(n == ev->n_prev_events);
	for (size_t i = 0; i < n; i++) {
		prevs[i] = chosen[i]->nid;
		roots[i] = chosen[i]->root;
	}
	job_event_edges(d, je, prevs, n, auth->auth, auth->n);
	je->before = tip->root;
	if (n < tip->n_ext)
		TRY(draft_resolve(d, roots, n, &je->before));
	TRY(draft_accept(d, je));
	TRY(draft_annotate(d, je));
	if (str_eq(ev->type, S("m.room.redaction")))
		TRY(draft_redact(d, je));
	return draft_prepare(d, je);
}

static err *build_allowed(struct draft *d, const struct proposal *p, struct auth_pick *auth, struct event **out)
{
	TRY(pick_auth(d->room, p, auth));
	TRY(build(d, p, auth, out));
	return auth_check(d->room->a, d->room->rv, *out, state_list_lookup, &auth->state);
}

err *draft_build(struct draft *d, const struct proposal *p, const struct event **out)
{
	struct auth_pick auth;
	struct event *ev;

	TRY(build_allowed(d, p, &auth, &ev));
	*out = ev;
	return NULL;
}

err *draft_add(struct draft *d, const struct proposal *p, const struct event **out)
{
	struct auth_pick auth;
	struct event *ev;

	TRY(build_allowed(d, p, &auth, &ev));
	*out = ev;
	return add(d, p, ev, &auth);
}

err *draft_add_built(struct draft *d, const struct proposal *p, const struct event *built)
{
	struct auth_pick none = { .n = 0 };
	struct event *ev;

	assert(d->room->tip.n_ext == 0 && built->n_prev_events == 0);
	TRY(event_load(d->job->a, d->room->rv, arena_keep(d->job->a, built->event_id),
		       arena_keep(d->job->a, built->bytes), &ev));
	TRY(auth_check(d->room->a, d->room->rv, ev, state_list_lookup, &none.state));
	return add(d, p, ev, &none);
}

/*
 * Queueing
 */

/* Numbers the new states' nodes and tells everybody who holds such a state. */
static void seal(struct draft *d)
{
	struct job *job = d->job;
	struct tip *tip = &d->room->tip;
	const size_t most = 2 * job->events.n + tip->n_ext + 1;
	struct state_root **holders = ARENA_ARRAY(job->a, struct state_root *, most);
	struct state_root *roots = ARENA_ARRAY(job->a, struct state_root, most);
	size_t n = 0;

	for (size_t i = 0; i < job->events.n; i++) {
		holders[n++] = &job->events.p[i]->after;
		holders[n++] = &job->events.p[i]->current;
	}
	for (size_t i = 0; i < tip->n_ext; i++)
		holders[n++] = &tip->ext[i].root;
	holders[n++] = &tip->root;
	for (size_t i = 0; i < n; i++)
		roots[i] = *holders[i];
	state_seal(&d->builder, roots, n, &tip->next_node);
	for (size_t i = 0; i < n; i++)
		*holders[i] = roots[i];
	for (size_t i = 0; i < job->events.n; i++)
		job->events.p[i]->row.root_after = job->events.p[i]->after.node;
	job->rows = d->builder.rows;
	job->n_rows = d->builder.n_rows;
	job->nodes_from = d->saved.next_node;
	job->nodes_below = tip->next_node;
}

/* What the index of auth chains gets. */
static void describe_auth(struct job *job)
{
	struct auth_entry *entries = ARENA_ARRAY(job->a, struct auth_entry, job->events.n);
	str *awaited = ARENA_ARRAY(job->a, str, job->events.n);

	for (size_t i = 0; i < job->events.n; i++) {
		const struct job_event *je = job->events.p[i];

		if (!event_is_state(je->ev) || je->was_outlier)
			continue;
		entries[job->n_auth++] = je->auth;
		if (je->received)
			awaited[job->n_awaited++] = je->ev->event_id;
	}
	job->auth = entries;
	job->awaited = awaited;
}

static void describe_head(struct draft *d)
{
	const struct tip *tip = &d->room->tip;
	int64_t *nids = ARENA_ARRAY(d->job->a, int64_t, tip->n_ext);

	for (size_t i = 0; i < tip->n_ext; i++)
		nids[i] = tip->ext[i].nid;
	d->job->head = (struct room_head_row){
		.room = d->room->nid,
		.extremities = store_nids_pack(d->job->a, nids, tip->n_ext),
		.root = tip->root.node,
		.timeline_top = tip->timeline_top,
		.joined = tip->joined,
		.invited = tip->invited,
	};
}

err *draft_queue(struct draft **draft, struct ticket **out_ticket)
{
	struct draft *d = *draft;
	struct room *room = d->room;
	struct job *job = d->job;

	assert(job->events.n > 0);
	seal(d);
	describe_head(d);
	describe_auth(job);
	TRY(job_write(job, out_ticket)); /* the caller drops the draft */
	job_queued(job);
	list_add_tail(&room->jobs, &job->node);
	if (job->has_txn)
		map_put(&room->txns, (str){ (const char *)job->txn.bytes, sizeof(job->txn.bytes) }, job->events.p[0]);
	mem_free(d->saved.ext);
	room->draft = NULL;
	*draft = NULL;
	return NULL;
}
