/*
 * commit.c - a draft on its way to the disk: its rows, and what is told once it is there.
 *
 * The rows are written in two rounds: what has no stream position in `run`, what has (and what needs those rows) in
 * `late`. Both may run again when a batch was rolled back for another piece's sake, so they change nothing in memory
 * that a second run would not set anew.
 *
 * A job that fails takes all queued later ones of its room with it: they were built upon it. They carry the generation
 * of the head they were built upon, and find it marked as failed. `after` runs on the writer thread and takes no room's
 * lock; it leaves the job to the room's next holder, who frees it.
 */
#include "room/internal_job.h"

#include <assert.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "store/gaps.h"
#include "store/receipts.h"
#include "store/tx.h"

static err *check_generation(struct tx *tx, const struct job *job)
{
	if (atomic_load(&job->room->failed) < job->generation)
		return NULL;
	return err_new(tx_arena(tx), ERR_STORE, "an earlier event of the room could not be stored; nothing was sent");
}

/*
 * What is kept for a while goes where the same is written, a little more than comes: no job has to run for it.
 */
enum { PRUNE_EVERY = 1000, PRUNE_MOST = 1500 };
#define DAY_MS INT64_C(86400000)

static err *save_txn(struct tx *tx, const struct job *job)
{
	const int64_t nid = job->events.p[0]->row.nid;
	int64_t gone;

	TRY(store_txn_save(tx, &job->txn, nid, job->now));
	return nid % PRUNE_EVERY == 0 ? store_txns_prune(tx, job->now - DAY_MS, PRUNE_MOST, &gone) : NULL;
}

static err *save_redaction(struct tx *tx, const struct job *job, const struct job_event *je)
{
	int64_t gone;

	if (je->redact_applied)
		TRY(store_redaction_applied(tx, je->redact_applied));
	if (!je->redact_target)
		return NULL;
	TRY(store_event_redact(tx, je->redact_target, je->row.nid, je->redact_json, job->now));
	TRY(store_notify_silence(tx, je->redact_target));
	TRY(flat_save_redacted(tx, job, je));
	return store_originals_prune(tx, job->now - 7 * DAY_MS, 3, &gone);
}

enum { LATE_EDGES = 500 }; /* in one piece; the rest follows */

static int64_t count_shown(const struct job *job)
{
	int64_t n = 0;

	for (size_t i = 0; i < job->events.n; i++)
		n += job->events.p[i]->shown;
	return n;
}

static err *save_edges(struct tx *tx, const struct job *job)
{
	struct arena *a = tx_arena(tx);
	VEC(int64_t) prevs = { 0 }, events = { 0 };

	for (size_t i = 0; i < job->events.n; i++) {
		const struct job_event *je = job->events.p[i];

		for (size_t k = 0; k < je->n_prevs; k++) {
			vec_push(a, &prevs, je->prevs[k]);
			vec_push(a, &events, je->row.nid);
		}
	}
	if (prevs.n == 1) /* most of them */
		return store_event_edge_insert(tx, prevs.p[0], events.p[0]);
	return prevs.n ? store_event_edges_insert(tx, prevs.p, events.p, prevs.n) : NULL;
}

static err *job_run(struct tx *tx, void *arg)
{
	const struct job *job = arg;

	TRY(check_generation(tx, job));
	if (job->new_room) {
		TRY(store_room_insert(tx, job->new_room));
		TRY(store_head_insert(tx, &job->head));
	} else {
		TRY(store_head_update(tx, &job->head));
	}
	if (job->n_rows)
		TRY(store_nodes_save(tx, job->room->nid, job->rows, job->n_rows));
	TRY(store_auth_add(tx, job->auth, job->n_auth));
	TRY(save_edges(tx, job));
	for (size_t i = 0; i < job->events.n; i++) {
		const struct job_event *je = job->events.p[i];

		if (je->redact_waits)
			TRY(store_redaction_wait(tx, je->ev->redacts, je->row.nid));
	}
	if (job->has_txn)
		TRY(save_txn(tx, job));
	return job->extra ? job->extra(tx, job->extra_arg) : NULL;
}

static err *save_event(struct tx *tx, const struct job_event *je)
{
	const struct gap_row gap = { je->row.room, je->row.nid, je->row.stream };

	if (je->was_outlier)
		TRY(store_event_place(tx, &je->row));
	else
		TRY(store_event_insert(tx, &je->row));
	if (!(je->row.flags & EVENT_GAP) || !je->row.timeline)
		return NULL;
	TRY(store_gap_insert(tx, &gap));
	return store_gap_lacks(tx, je->row.room, je->row.nid, je->lacks, je->n_lacks);
}

static err *job_late(struct tx *tx, void *arg)
{
	struct job *job = arg;

	TRY(check_generation(tx, job));
	for (size_t i = 0; i < job->events.n; i++) {
		struct job_event *je = job->events.p[i];

		if (je->shown)
			TRY(tx_position(tx, &je->stream));
		je->row.stream = je->stream;
		TRY(save_event(tx, je));
		TRY(flat_save(tx, job, je));
		TRY(save_redaction(tx, job, je));
		TRY(annotation_save(tx, je));
		if (je->prepared.stream)
			*je->prepared.stream = je->stream;
		if (je->prepared.late)
			TRY(je->prepared.late(tx, je->prepared.arg));
	}
	job->late_more = false;
	if (job->n_awaited == 0)
		return NULL;
	return store_auth_late(tx, job->awaited, job->n_awaited, LATE_EDGES, &job->late_more);
}

/*
 * After the commit
 */
static void tell_hooks(const struct job *job, const struct job_event *je)
{
	const struct rooms *rs = job->room->rs;
	struct rooms_stored s = {
		.room = job->room->nid,
		.room_id = job->room->room_id,
		.version = job->room->rv,
		.row = &je->row,
		.event = je->ev,
		.became_current = je->became_current,
		.prepared = je->prepared.late ? je->prepared.arg : NULL,
		.servers = je->servers,
		.n_servers = je->n_servers,
		.through_others = je->received && id_is_of(je->ev->sender, rs->opt.signer.server_name),
	};

	for (size_t i = 0; i < je->n_changes; i++) {
		const struct change *ch = &je->changes[i];

		s.tombstoned |= ch->type == rs->type_tombstone && ch->key == rs->empty && ch->now;
		if (!ch->is_member || ch->now != je->row.nid)
			continue;
		s.member_before = ch->before;
		s.member_after = ch->after;
	}
	for (size_t i = 0; i < rs->n_stored; i++)
		rs->stored[i].fn(rs->stored[i].ctx, &s);
}

/* Who shares a room with whom is another question from here on, for everybody in it. */
static bool moves_device_lists(const struct change *ch)
{
	return ch->is_member && ch->before != ch->after &&
	       (ch->before == MEMBER_JOIN || ch->after == MEMBER_JOIN || ch->after == MEMBER_INVITE ||
		ch->after == MEMBER_KNOCK);
}

static void tell_of_device_lists(const struct job *job, const struct job_event *je)
{
	bool moved = false;

	for (size_t i = 0; i < je->n_changes; i++)
		moved = moved || moves_device_lists(&je->changes[i]);
	if (moved)
		bus_touch_room(job->room->rs->opt.bus, job->room->nid, BUS_DEVICE_LISTS, je->stream);
}

static void tell_bus(const struct job *job, const struct job_event *je)
{
	struct bus *bus = job->room->rs->opt.bus;
	const int64_t room = job->room->nid;

	/* Who joins hears of it as a member; who leaves still does. */
	for (size_t i = 0; i < je->n_changes; i++)
		if (je->changes[i].is_member && je->changes[i].after == MEMBER_JOIN)
			bus_user_joined(bus, je->changes[i].key, room);
	bus_touch_room(bus, room, BUS_EVENTS, je->stream);
	tell_of_device_lists(job, je);
	for (size_t i = 0; i < je->n_changes; i++) {
		const struct change *ch = &je->changes[i];

		if (!ch->is_member)
			continue;
		bus_touch_user(bus, ch->key, BUS_EVENTS, je->stream);
		if (ch->before == MEMBER_JOIN && ch->after != MEMBER_JOIN)
			bus_user_left(bus, ch->key, room);
	}
}

/*
 * A job that failed may be stored all the same: where the connection went away in COMMIT, and nobody could be asked
 * (PostgreSQL). So what is remembered of the room's newest events begins anew, and who may be concerned asks the
 * database. A leave is not told: who stays linked is only woken in vain.
 */
static void tell_failed(const struct job *job)
{
	struct bus *bus = job->room->rs->opt.bus;

	recent_reset(&job->room->recent);
	for (size_t i = 0; i < job->events.n; i++) {
		const struct job_event *je = job->events.p[i];

		if (!je->stream)
			continue;
		for (size_t c = 0; c < je->n_changes; c++) {
			if (!je->changes[c].is_member)
				continue;
			if (je->changes[c].after == MEMBER_JOIN)
				bus_user_joined(bus, je->changes[c].key, job->room->nid);
			bus_touch_user(bus, je->changes[c].key, BUS_EVENTS, je->stream);
		}
		bus_touch_room(bus, job->room->nid, BUS_EVENTS, je->stream);
		tell_of_device_lists(job, je);
	}
}

static void job_after(void *arg, const err *result)
{
	struct job *job = arg;
	struct room *room = job->room;
	const int64_t nodes_below = job->n_rows ? job->nodes_below : 0;

	if (result) {
		atomic_store(&room->failed, job->generation);
		tell_failed(job);
	} else {
		if (job->late_more)
			store_auth_catch_up(room->rs->opt.store);
		recent_publish(&room->recent, job);
		for (size_t i = 0; i < job->events.n; i++) {
			tell_hooks(job, job->events.p[i]);
			if (job->events.p[i]->shown)
				tell_bus(job, job->events.p[i]);
		}
	}
	lock_take(&room->done_lock);
	job->ended = true;
	job->failed = result != NULL;
	list_add_tail(&room->done, &job->done); /* from here on it belongs to the room's holder */
	room->outstanding--;
	cond_broadcast(&room->done_cond);
	lock_drop(&room->done_lock);
	/* After `ended` was set: see job_queued. */
	if (!result && nodes_below)
		node_cache_committed(room->rs->node_cache, room->nid, nodes_below);
	rooms_unref(room->rs, room);
}

err *job_write(struct job *job, struct ticket **out_ticket)
{
	struct room *room = job->room;
	const struct piece piece = {
		.run = job_run,
		.late = job_late,
		.after = job_after,
		.arg = job,
		.positions = count_shown(job),
		.shard = room->nid,
	};
	err *e;

	job->now = clock_ms();
	lock_take(&room->rs->lock);
	room->refs++;
	lock_drop(&room->rs->lock);
	lock_take(&room->done_lock);
	room->outstanding++;
	lock_drop(&room->done_lock);
	e = store_write(room->rs->opt.store, room->a, &piece, out_ticket);
	if (!e)
		return NULL;
	lock_take(&room->done_lock);
	room->outstanding--;
	lock_drop(&room->done_lock);
	rooms_unref(room->rs, room);
	return e;
}

/* The job is in the store's queue: its nodes are readable for who builds on it. If it has ended by now, its `after` may
 * have told the cache too early; otherwise `after` is still to tell it. */
void job_queued(struct job *job)
{
	struct room *room = job->room;
	bool committed;

	if (!job->n_rows)
		return;
	node_cache_queued(room->rs->node_cache, room->nid, job->rows, job->n_rows);
	lock_take(&room->done_lock);
	committed = job->ended && !job->failed;
	lock_drop(&room->done_lock);
	if (committed)
		node_cache_committed(room->rs->node_cache, room->nid, job->nodes_below);
}

static void job_forget(struct room *room, struct job *job)
{
	struct arena *a = job->a; /* holds the job itself */

	list_del(&job->node);
	job_names_drop(job);
	for (size_t i = 0; i < job->events.n; i++) {
		map_del_i(&room->pending, job->events.p[i]->row.nid);
		map_del(&room->pending_ids, job->events.p[i]->ev->event_id);
		redaction_forget(room, job->events.p[i]);
		room_servers_release(job->events.p[i]);
	}
	if (job->has_txn)
		map_del(&room->txns, (str){ (const char *)job->txn.bytes, sizeof(job->txn.bytes) });
	arena_free(&a);
}

void jobs_drain(struct room *room)
{
	struct list ended, *node;

	list_init(&ended);
	lock_take(&room->done_lock);
	while ((node = list_pop(&room->done)))
		list_add_tail(&ended, node);
	lock_drop(&room->done_lock);
	while ((node = list_pop(&ended)))
		job_forget(room, LIST_ITEM(node, struct job, done));
}
