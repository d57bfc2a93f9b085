/*
 * rooms.c - the table of rooms in memory.
 *
 * An entry is found by the room's id or number, referenced by whoever uses it and by every job of it that is under way.
 * What nobody references stays, least recently used last, until there are more than max_heads: an entry can always be
 * read again from the store. An entry whose last job failed is read again before its next use (head.c).
 */
#include "room/internal_job.h"

#include <assert.h>

#include "bus/bus.h"
#include "room/receive/received.h"

enum { HEADS_MOST = 2048, RECENT_BYTES = 32 << 10 };

static err *intern_known(struct rooms *rs, struct arena *a)
{
	static const str summary[SUMMARY_COLUMNS] = {
		[SUMMARY_NAME] = STR("m.room.name"),
		[SUMMARY_TOPIC] = STR("m.room.topic"),
		[SUMMARY_AVATAR_URL] = STR("m.room.avatar"),
		[SUMMARY_CANONICAL_ALIAS] = STR("m.room.canonical_alias"),
		[SUMMARY_JOIN_RULE] = STR("m.room.join_rules"),
		[SUMMARY_HISTORY_VISIBILITY] = STR("m.room.history_visibility"),
		[SUMMARY_GUEST_ACCESS] = STR("m.room.guest_access"),
		[SUMMARY_ROOM_TYPE] = STR("m.room.create"),
		[SUMMARY_ENCRYPTION] = STR("m.room.encryption"),
	};
	struct store_text texts[8 + SUMMARY_COLUMNS] = {
		{ rs->opt.signer.server_name, &rs->server }, { S(""), &rs->empty },
		{ S("m.room.member"), &rs->type_member },    { S("m.room.power_levels"), &rs->type_power },
		{ S("m.room.server_acl"), &rs->type_acl },   { EVENT_TYPE_DUMMY, &rs->type_dummy },
		{ S("m.room.policy"), &rs->type_policy },    { S("m.room.tombstone"), &rs->type_tombstone },
	};
	size_t n = 8;

	for (size_t i = SUMMARY_NONE + 1; i < SUMMARY_COLUMNS; i++)
		texts[n++] = (struct store_text){ summary[i], &rs->summary_types[i] };
	return store_intern_all(rs->opt.store, a, texts, n);
}

err *rooms_new(struct arena *a, const struct rooms_options *opt, struct rooms **out)
{
	static struct metric *resets, *dropped, *merges, *outliers[OUTLIER_OUTCOMES];
	static const char *const outcomes[OUTLIER_OUTCOMES] = {
		[OUTLIER_STORED] = "outcome=\"stored\"",
		[OUTLIER_REJECTED] = "outcome=\"rejected\"",
		[OUTLIER_UNPLACED] = "outcome=\"unplaced\"",
	};
	struct rooms *rs = MEM_NEW(struct rooms);
	err *e;

	assert(opt->store && opt->bus && opt->default_version);
	rs->opt = *opt;
	if (!rs->opt.max_heads)
		rs->opt.max_heads = HEADS_MOST;
	if (!rs->opt.most_extremities)
		rs->opt.most_extremities = 10;
	if (!rs->opt.recent_bytes)
		rs->opt.recent_bytes = RECENT_BYTES;
	rs->node_cache = node_cache_new(opt->store, 0);
	lock_init(&rs->lock, RANK_ROOMS);
	map_init(&rs->by_id, NULL);
	map_init(&rs->by_nid, NULL);
	list_init(&rs->lru);
	map_init(&rs->names, NULL);
	lock_init(&rs->erased.lock, RANK_SERVICE);
	map_init(&rs->erased.users, NULL);
	lock_init(&rs->upgrade_lock, RANK_SERVICE);
	cond_init(&rs->upgrade_done);
	map_init(&rs->upgrading, NULL);
	if (!resets) /* metrics live for ever, services do not have to */
		resets = metric_counter(
			"hearth_room_state_resets_total",
			"Members, power levels and join rules that a resolution changed without an event", "");
	if (!dropped)
		dropped = metric_counter("hearth_room_extremities_dropped_total",
					 "Forward extremities given up because a room had too many", "");
	if (!merges)
		merges = metric_counter("hearth_room_merges_total", "Events sent to bring forward extremities together",
					"");
	rs->resets = resets;
	rs->dropped_extremities = dropped;
	rs->merges = merges;
	for (size_t i = 0; i < OUTLIER_OUTCOMES; i++) {
		if (!outliers[i])
			outliers[i] =
				metric_counter("hearth_room_outliers_total",
					       "Auth and state events from answers of other servers", outcomes[i]);
		rs->outliers[i] = outliers[i];
	}
	e = intern_known(rs, a);
	if (!e)
		e = erased_load(rs, a);
	if (e)
		rooms_free(&rs);
	*out = rs;
	return e;
}

/* The room is in no table and nobody references it. */
static void room_free(struct room *room)
{
	jobs_drain(room);
	assert(list_is_empty(&room->jobs) && !room->outstanding);
	arena_free(&room->cache_arena);
	map_done(&room->cache);
	map_done(&room->pending);
	map_done(&room->pending_ids);
	map_done(&room->storing);
	map_done(&room->redactions);
	map_done(&room->txns);
	map_done(&room->locals);
	room_servers_clear(room, false);
	mem_free(room->tip.ext);
	recent_done(&room->recent);
	acl_known_done(&room->acl);
	lock_done(&room->done_lock);
	cond_done(&room->done_cond);
	lock_done(&room->lock);
	mem_free((void *)room->room_id.p);
	mem_free(room);
}

static void remove_entry(struct rooms *rs, struct room *room)
{
	map_del(&rs->by_id, room->room_id);
	map_del_i(&rs->by_nid, room->nid);
	list_del(&room->lru);
	rs->n--;
}

/*
 * Takes unused entries out of the table, the least recently used first, while there are more than `most`; they are
 * linked into `gone`. One whose jobs failed stays until its next holder has cleared what was queued of it (at the end:
 * `all`).
 */
static void evict(struct rooms *rs, size_t most, bool all, struct list *gone)
{
	struct list *node = rs->lru.prev;

	while (rs->n > most && node != &rs->lru) {
		struct room *room = LIST_ITEM(node, struct room, lru);

		node = node->prev;
		if (room->refs || (room_is_broken(room) && !all))
			continue;
		remove_entry(rs, room);
		list_add_tail(gone, &room->lru);
	}
}

static void free_all(struct list *gone)
{
	struct list *node;

	while ((node = list_pop(gone)))
		room_free(LIST_ITEM(node, struct room, lru));
}

static void shrink(struct rooms *rs, size_t most, bool all)
{
	struct list gone;

	list_init(&gone);
	lock_take(&rs->lock);
	evict(rs, most, all, &gone);
	lock_drop(&rs->lock);
	free_all(&gone);
}

void rooms_forget_heads(struct rooms *rs) { shrink(rs, 0, false); }

void rooms_free(struct rooms **rs)
{
	struct rooms *all = *rs;

	if (!all)
		return;
	shrink(all, 0, true);
	assert(all->n == 0); /* the store has run what was queued, and no request is under way */
	node_cache_free(&all->node_cache);
	map_done(&all->by_id);
	map_done(&all->by_nid);
	map_done(&all->names);
	map_done(&all->upgrading);
	map_done(&all->erased.users);
	lock_done(&all->erased.lock);
	cond_done(&all->upgrade_done);
	lock_done(&all->upgrade_lock);
	lock_done(&all->lock);
	mem_free(all);
	*rs = NULL;
}

const struct rooms_options *rooms_options(const struct rooms *rs) { return &rs->opt; }

void rooms_on_stored(struct rooms *rs, void (*hook)(void *ctx, const struct rooms_stored *ev), void *ctx)
{
	assert(rs->n_stored < ARRAY_LEN(rs->stored));
	rs->stored[rs->n_stored].fn = hook;
	rs->stored[rs->n_stored++].ctx = ctx;
}

void rooms_on_crowded(struct rooms *rs, void (*fn)(void *ctx, str room_id, bool newcomer), void *ctx)
{
	assert(!rs->crowded);
	rs->crowded = fn;
	rs->crowded_ctx = ctx;
}

void rooms_on_prepare(struct rooms *rs, rooms_prepare_fn *hook, void *ctx)
{
	assert(!rs->prepare);
	rs->prepare = hook;
	rs->prepare_ctx = ctx;
}

static struct room *room_new(struct rooms *rs, int64_t nid, str room_id, const struct room_version *rv, int64_t creator)
{
	struct room *room = MEM_NEW(struct room);

	room->rs = rs;
	room->nid = nid;
	room->room_id = str_keep(room_id);
	room->rv = rv;
	room->creator = creator;
	room->generation = 1;
	atomic_init(&room->failed, 0);
	list_init(&room->lru);
	list_init(&room->jobs);
	list_init(&room->done);
	lock_init(&room->lock, RANK_ROOM);
	lock_init(&room->done_lock, RANK_SERVICE);
	cond_init(&room->done_cond);
	map_init(&room->pending, NULL);
	map_init(&room->pending_ids, NULL);
	map_init(&room->storing, NULL);
	map_init(&room->redactions, NULL);
	map_init(&room->txns, NULL);
	map_init(&room->locals, NULL);
	map_init(&room->servers, NULL);
	map_init(&room->cache, NULL);
	recent_init(&room->recent, rs->opt.recent_bytes);
	acl_known_init(&room->acl);
	return room;
}

/* Adds a new entry, or gives the one that came first; referenced either way. The caller frees what was not taken. */
static struct room *enter(struct rooms *rs, struct room *fresh)
{
	struct list gone;
	struct room *room;

	list_init(&gone);
	lock_take(&rs->lock);
	room = map_get(&rs->by_id, fresh->room_id);
	if (!room) {
		room = fresh;
		map_put(&rs->by_id, room->room_id, room);
		map_put_i(&rs->by_nid, room->nid, room);
		list_add_head(&rs->lru, &room->lru);
		rs->n++;
	}
	room->refs++;
	evict(rs, rs->opt.max_heads, false, &gone);
	lock_drop(&rs->lock);
	free_all(&gone);
	return room;
}

struct room *rooms_enter_new(struct rooms *rs, int64_t nid, str room_id, const struct room_version *rv, int64_t creator)
{
	struct room *room = room_new(rs, nid, room_id, rv, creator), *first;

	room->loaded = true;
	room->servers_known = true;
	room->tip.next_node = 1;
	first = enter(rs, room);
	if (first == room)
		return room;
	rooms_unref(rs, first);
	room_free(room);
	return NULL;
}

static struct room *find(struct rooms *rs, str room_id)
{
	struct room *room;

	LOCKED(&rs->lock);
	room = map_get(&rs->by_id, room_id);
	if (!room)
		return NULL;
	room->refs++;
	list_del(&room->lru);
	list_add_head(&rs->lru, &room->lru);
	return room;
}

err *rooms_enter(struct rooms *rs, struct arena *a, str room_id, struct room **out)
{
	const struct room_version *rv;
	struct room_row *row;
	struct room *fresh;
	AUTO_TX tx = NULL;

	*out = find(rs, room_id);
	if (*out)
		return NULL;
	TRY(store_read(rs->opt.store, a, &tx));
	TRY(store_room_by_id(tx, room_id, &row));
	if (!row)
		return NULL;
	rv = room_version_find(row->version);
	if (!rv)
		return err_new(a, ERR_INTERNAL, "room %.*s has version %.*s, which this server does not know",
			       STR_ARG(room_id), STR_ARG(row->version));
	fresh = room_new(rs, row->room, row->room_id, rv, row->creator);
	*out = enter(rs, fresh);
	if (*out != fresh)
		room_free(fresh);
	return NULL;
}

void rooms_unref(struct rooms *rs, struct room *room)
{
	struct list gone;

	list_init(&gone);
	lock_take(&rs->lock);
	assert(room->refs > 0);
	room->refs--;
	evict(rs, rs->opt.max_heads, false, &gone);
	lock_drop(&rs->lock);
	free_all(&gone);
}

err *rooms_find(struct rooms *rs, struct arena *a, str room_id, int64_t *out_room,
		const struct room_version **out_version)
{
	struct room *room;

	TRY(rooms_enter(rs, a, room_id, &room));
	*out_room = room && !room->gone ? room->nid : 0;
	if (out_version)
		*out_version = room ? room->rv : NULL;
	if (room)
		rooms_unref(rs, room);
	return NULL;
}

err *rooms_version(struct rooms *rs, struct arena *a, int64_t room_nid, const struct room_version **out)
{
	struct room *room;
	int64_t found;
	str room_id;

	lock_take(&rs->lock);
	room = map_get_i(&rs->by_nid, room_nid);
	*out = room && !room->gone ? room->rv : NULL;
	lock_drop(&rs->lock);
	if (*out)
		return NULL;
	TRY(store_intern_text(rs->opt.store, a, room_nid, &room_id));
	TRY(rooms_find(rs, a, room_id, &found, out));
	return found ? NULL : err_new(a, ERR_NOT_FOUND, "no room %" PRId64, room_nid);
}
