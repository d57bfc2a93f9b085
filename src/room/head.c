/*
 * head.c - holding a room: its head in memory, and what builders ask of it.
 *
 * Who holds a room sees it as it will be once all that is queued is committed. The current state's events are
 * remembered as they are asked for (create, power levels, join rules, the senders' memberships), so that a message in a
 * busy room is authorised without SQL; an entry goes when its key changes. Events and nodes that are queued are found
 * before the store is asked; the store is asked in one snapshot a hold, opened when first needed.
 *
 * When a job has failed, everything built upon it fails as well. The next holder waits until the last of them has ended
 * (earlier ones may still be committing), and reads the head again.
 */
#include "room/internal_job.h"

#include <assert.h>

enum { CACHE_BYTES = 512 << 10 };

struct cached {
	int64_t key[2];
	const struct event *ev; /* NULL: the state has nothing there */
};

bool room_is_broken(const struct room *room) { return atomic_load(&room->failed) >= atomic_load(&room->generation); }

/* Sleeps until every job has ended: without the room's lock, which the caller takes again afterwards. */
static void wait_for_jobs(struct room *room)
{
	LOCKED(&room->done_lock);
	while (room->outstanding)
		cond_wait(&room->done_cond, &room->done_lock);
}

static void tip_clear(struct tip *tip)
{
	mem_free(tip->ext);
	*tip = (struct tip){ 0 };
}

err *ext_hash(struct room *room, const struct event *ev, struct ext *x)
{
	str hash;

	if (room->rv->event_format != EVENT_FORMAT_NAMED)
		return NULL;
	TRY(event_hash_text(room->a, room->rv, ev, &hash));
	assert(hash.n == EVENT_HASH_TEXT);
	memcpy(x->hash, hash.p, hash.n);
	return NULL;
}

static err *load_ext(struct room *room, struct tx *tx, str packed)
{
	struct tip *tip = &room->tip;
	int64_t *nids;

	tip->n_ext = tip->cap_ext = store_nids_unpack(room->a, packed, &nids);
	tip->ext = mem_zalloc(tip->n_ext * sizeof(*tip->ext) + 1);
	for (size_t i = 0; i < tip->n_ext; i++) {
		struct event_row *row;
		struct event *ev;
		struct ext *x = &tip->ext[i];

		TRY(store_event_by_nid(tx, nids[i], &row));
		if (!row || row->event_id.n > sizeof(x->id))
			return err_new(room->a, ERR_INTERNAL, "extremity %" PRId64 " is not stored", nids[i]);
		x->nid = row->nid;
		x->depth = row->depth;
		x->id_n = row->event_id.n;
		memcpy(x->id, row->event_id.p, row->event_id.n);
		TRY(store_root_load(tx, room->nid, row->root_after, &x->root));
		if (room->rv->event_format != EVENT_FORMAT_NAMED)
			continue;
		TRY(event_load(room->a, room->rv, row->event_id, row->json, &ev));
		TRY(ext_hash(room, ev, x));
	}
	return NULL;
}

err *head_load(struct room *room)
{
	struct room_head_row *h;
	struct tx *tx;

	TRY(room_tx(room, &tx));
	TRY(store_head_load(tx, room->nid, &h));
	tip_clear(&room->tip);
	room_cache_clear(room);
	room->locals_known = false;
	room_servers_clear(room, !h || !h->has_others);
	room->lacks = h && h->lacks;
	room->gone = h == NULL;
	room->loaded = true;
	if (!h)
		return NULL;
	room->loaded = false; /* until all of it was read */
	room->tip.timeline_top = h->timeline_top;
	room->tip.joined = h->joined;
	room->tip.invited = h->invited;
	TRY(store_root_load(tx, room->nid, h->root, &room->tip.root));
	TRY(store_next_node(tx, room->nid, &room->tip.next_node));
	TRY(load_ext(room, tx, h->extremities));
	room->loaded = true;
	return NULL;
}

/* With the lock: makes the head usable for the holder, whose arena this is. */
static err *ready(struct room *room, struct arena *a)
{
	jobs_drain(room);
	while (room_is_broken(room)) {
		lock_drop(&room->lock);
		wait_for_jobs(room);
		lock_take(&room->lock);
		jobs_drain(room);
		if (room_is_broken(room) && list_is_empty(&room->jobs)) {
			node_cache_failed(room->rs->node_cache, room->nid);
			atomic_fetch_add(&room->generation, 1);
			room->loaded = false;
		}
	}
	/* Only now: others may have held it while we waited. */
	room->a = a;
	room->nodes = (struct node_source){ .cache = room->rs->node_cache, .room = room->nid };
	if (room->cache_arena && arena_used(room->cache_arena) > CACHE_BYTES)
		room_cache_clear(room);
	return room->loaded ? NULL : head_load(room);
}

err *room_hold(struct rooms *rs, struct arena *a, str room_id, struct room **out)
{
	struct room *room;
	err *e;

	*out = NULL;
	TRY(rooms_enter(rs, a, room_id, &room));
	if (!room)
		return NULL;
	lock_take(&room->lock);
	e = ready(room, a);
	if (e || room->gone)
		room_release(&room);
	*out = room;
	return e;
}

/* As one that was just entered: it is held. */
static void begin_anew(struct room *room, const struct room_version *rv, int64_t creator)
{
	room->rv = rv;
	room->creator = creator;
	tip_clear(&room->tip);
	room->tip.next_node = 1;
	room_cache_clear(room);
	room->locals_known = false;
	room_servers_clear(room, true);
	recent_reset(&room->recent);
	room->gone = false;
}

err *room_hold_new(struct rooms *rs, struct arena *a, int64_t nid, str room_id, const struct room_version *rv,
		   int64_t creator, struct room **out)
{
	struct room *room = rooms_enter_new(rs, nid, room_id, rv, creator);
	const bool fresh = room != NULL;
	err *e;

	*out = NULL;
	if (!fresh)
		TRY(rooms_enter(rs, a, room_id, &room));
	if (!room)
		return NULL;
	lock_take(&room->lock);
	e = ready(room, a);
	if (!e && !fresh && room->gone)
		begin_anew(room, rv, creator);
	else if (e || !fresh)
		room_release(&room);
	*out = room;
	return e;
}

void room_release(struct room **held)
{
	struct room *room = *held;

	if (!room)
		return;
	*held = NULL;
	assert(!room->draft);
	store_read_end(&room->tx);
	room->a = NULL;
	room->ahead = NULL;
	lock_drop(&room->lock);
	rooms_unref(room->rs, room);
}

err *room_tx(struct room *room, struct tx **out)
{
	lock_assert_held(&room->lock);
	if (!room->tx)
		TRY(store_read(room->rs->opt.store, room->a, &room->tx));
	room->nodes.tx = room->tx;
	*out = room->tx;
	return NULL;
}

struct state_tree room_tree(struct room *room)
{
	return room->draft ? room->draft->builder.tree : node_source_tree(&room->nodes);
}

/*
 * Events
 */

/* What a queued redaction leaves of an event: the store has the whole one still. */
static err *redacted_form(struct room *room, const struct job_event *redaction, str event_id, bool rejected,
			  const struct event **out)
{
	struct event *ev;

	TRY(event_load(room->a, room->rv, event_id, redaction->redact_json, &ev));
	ev->nid = redaction->redact_target;
	ev->rejected = rejected;
	*out = ev;
	return NULL;
}

static const struct event_row *redacted_row(struct room *room, const struct job_event *redaction,
					    const struct event_row *row)
{
	struct event_row *copy = ARENA_NEW(room->a, struct event_row);

	*copy = *row;
	copy->json = redaction->redact_json;
	copy->redacted_by = redaction->row.nid;
	copy->flags |= EVENT_REDACTED;
	return copy;
}

err *room_event(struct room *room, int64_t nid, const struct event **out)
{
	const struct job_event *je = map_get_i(&room->pending, nid), *redaction = map_get_i(&room->redactions, nid);
	struct event_row *row;
	struct tx *tx;

	if (je && redaction)
		return redacted_form(room, redaction, je->ev->event_id, je->ev->rejected, out);
	if (je) {
		*out = je->ev;
		return NULL;
	}
	*out = redaction ? NULL : ahead_event(room, nid);
	if (*out)
		return NULL;
	TRY(room_tx(room, &tx));
	TRY(store_event_by_nid(tx, nid, &row));
	if (!row)
		return err_new(room->a, ERR_INTERNAL, "event %" PRId64 " is not stored", nid);
	return room_event_of_row(room, row, out);
}

err *room_event_of_row(struct room *room, const struct event_row *row, const struct event **out)
{
	const struct job_event *redaction = map_get_i(&room->redactions, row->nid);
	struct event *ev;

	if (redaction)
		return redacted_form(room, redaction, row->event_id, row->flags & EVENT_REJECTED, out);
	TRY(event_load(room->a, room->rv, row->event_id, row->json, &ev));
	ev->nid = row->nid;
	ev->rejected = row->flags & EVENT_REJECTED;
	ahead_keep(room, ev);
	*out = ev;
	return NULL;
}

static err *find_row(struct room *room, str event_id, const struct event_row **out)
{
	struct event_row *stored;
	struct tx *tx;

	*out = NULL;
	if (!ahead_row(room, event_id, &stored)) {
		TRY(room_tx(room, &tx));
		TRY(store_event_by_id(tx, event_id, &stored));
	}
	if (stored && stored->room == room->nid)
		*out = stored;
	return NULL;
}

err *room_row_by_id(struct room *room, str event_id, const struct event_row **out)
{
	const struct job_event *je = map_get(&room->pending_ids, event_id), *redaction;

	*out = je ? &je->row : NULL;
	if (!je)
		TRY(find_row(room, event_id, out));
	redaction = *out ? map_get_i(&room->redactions, (*out)->nid) : NULL;
	if (redaction)
		*out = redacted_row(room, redaction, *out);
	return NULL;
}

err *room_event_by_id(struct room *room, str event_id, const struct event **out, const struct event_row **out_row)
{
	const struct event_row *row;

	*out = NULL;
	TRY(room_row_by_id(room, event_id, &row));
	if (!row)
		return NULL;
	if (out_row)
		*out_row = row;
	if (map_get_i(&room->pending, row->nid))
		return room_event(room, row->nid, out);
	*out = map_get_i(&room->redactions, row->nid) ? NULL : ahead_event(room, row->nid);
	return *out ? NULL : room_event_of_row(room, row, out);
}

/*
 * The current state, remembered
 */
static str key_text(const int64_t key[2]) { return (str){ (const char *)key, 2 * sizeof(*key) }; }

void room_cache_clear(struct room *room)
{
	map_done(&room->cache);
	map_init(&room->cache, NULL);
	arena_free(&room->cache_arena);
	acl_known_forget(&room->acl);
}

void room_cache_drop(struct room *room, int64_t type, int64_t key)
{
	const int64_t k[2] = { type, key };

	map_del(&room->cache, key_text(k)); /* its memory goes with the whole */
	if (type == room->rs->type_acl)
		acl_known_forget(&room->acl);
}

const struct event *room_remembered(const struct room *room, int64_t type, int64_t key)
{
	const int64_t k[2] = { type, key };
	const struct cached *c = map_get(&room->cache, key_text(k));

	return c ? c->ev : NULL;
}

static err *cache_event(struct room *room, int64_t nid, const struct event **out)
{
	const struct event *ev;
	struct event *copy;

	TRY(room_event(room, nid, &ev));
	TRY(event_load(room->cache_arena, room->rv, arena_keep(room->cache_arena, ev->event_id),
		       arena_keep(room->cache_arena, ev->bytes), &copy));
	copy->nid = nid;
	copy->rejected = ev->rejected;
	*out = copy;
	return NULL;
}

err *room_current(struct room *room, int64_t type, int64_t key, const struct event **out)
{
	const int64_t k[2] = { type, key };
	struct cached *c = map_get(&room->cache, key_text(k));
	const struct event *ev = NULL;
	struct state_tree tree;
	int64_t nid;

	if (c) {
		*out = c->ev;
		return NULL;
	}
	if (!room->cache_arena)
		room->cache_arena = arena_new();
	tree = room_tree(room);
	TRY(state_get(&tree, room->a, room->tip.root, type, key, &nid));
	if (nid)
		TRY(cache_event(room, nid, &ev));
	c = ARENA_NEW(room->cache_arena, struct cached);
	memcpy(c->key, k, sizeof(k));
	c->ev = ev;
	map_put(&room->cache, key_text(c->key), c);
	*out = ev;
	return NULL;
}

err *room_current_text(struct room *room, str type, str state_key, const struct event **out)
{
	struct store *st = room->rs->opt.store;
	int64_t t, k;

	*out = NULL;
	TRY(store_intern_find(st, room->a, type, &t));
	TRY(store_intern_find(st, room->a, state_key, &k));
	return t && k ? room_current(room, t, k, out) : NULL; /* a text without a number is nobody's key */
}

err *room_membership(struct room *room, str user_id, enum membership *out)
{
	const struct event *ev;

	TRY(room_current_text(room, S("m.room.member"), user_id, &ev));
	*out = membership_of_text(event_membership(ev));
	return NULL;
}

err *room_power(struct room *room, struct power_levels *out)
{
	const struct event *create, *levels;

	TRY(room_current_text(room, S("m.room.create"), S(""), &create));
	TRY(room_current_text(room, S("m.room.power_levels"), S(""), &levels));
	*out = power_levels_of(room->rv, create, levels);
	return NULL;
}

/*
 * Joined users of this server
 */
static void set_local(struct room *room, int64_t user, bool joined)
{
	if (joined)
		map_put_i(&room->locals, user, room);
	else
		map_del_i(&room->locals, user);
}

/* After a change of the current state in memory. */
void room_locals_note(struct room *room, const struct change *ch)
{
	if (room->locals_known && ch->is_member && ch->server == room->rs->server)
		set_local(room, ch->key, ch->after == MEMBER_JOIN);
}

static void note_job(struct room *room, const struct job *job)
{
	for (size_t i = 0; i < job->events.n; i++)
		for (size_t c = 0; c < job->events.p[i]->n_changes; c++)
			room_locals_note(room, &job->events.p[i]->changes[c]);
}

static err *load_locals(struct room *room)
{
	struct member_row *members;
	struct tx *tx;
	int64_t *nids;
	str *ids;
	size_t n;

	TRY(room_tx(room, &tx));
	TRY(store_members(tx, room->nid, MEMBER_MASK(MEMBER_JOIN), 0, &members, &n));
	room->locals_known = true;
	map_done(&room->locals);
	map_init(&room->locals, NULL);
	nids = ARENA_ARRAY(room->a, int64_t, n);
	ids = ARENA_ARRAY(room->a, str, n);
	for (size_t i = 0; i < n; i++)
		nids[i] = members[i].user;
	TRY(store_intern_texts(room->rs->opt.store, room->a, nids, n, ids));
	for (size_t i = 0; i < n; i++)
		if (id_is_of(ids[i], room->rs->opt.signer.server_name))
			set_local(room, nids[i], true);
	/* What is queued is not in the store yet, or is and says the same; what is being built is not. */
	LIST_EACH (&room->jobs, node)
		note_job(room, LIST_ITEM(node, struct job, node));
	if (room->draft)
		note_job(room, room->draft->job);
	return NULL;
}

err *room_locals(struct room *room, const struct map **out)
{
	if (!room->locals_known)
		TRY(load_locals(room));
	*out = &room->locals;
	return NULL;
}
