/*
 * import.c - a room that came as a whole: out of its state and our join event, the room.
 *
 *	1. its events are stored as outliers (receive/outlier.c)
 *	2. the state's tree is built, as the difference from the one that is known, and its nodes are written
 *	3. the flat tables are made to say what the state says: only what is different is written
 *	4. with the room held: the head stands on nothing but the new state, our event is authorised by it and
 *	   added as any received one is, and the room's row goes with it
 *
 * Up to 4 nobody sees any of it: a room that was not here has no row in `rooms`, and of one that was, nobody here is
 * in. Its events' states stay what they were; /sync and /messages meet a gap below our event. All pieces are small, so
 * that other rooms' writes get in between; a restart before the last takes away what was written (store/joins.h).
 *
 * Rows of members have no position (0): they are older than anything that anybody here was told. Those of our own users
 * change with our event, under its position.
 */
#include "base/clock.h"
#include "room/remote/internal_import.h"
#include "store/joins.h"
#include "store/outsiders.h"
#include "store/tx.h"

enum { PIECE_ROWS = 500 };

/*
 * Pieces
 */
struct portion {
	struct import *im;
	const struct import_kind *kind;
	const void *list;
	size_t from, to;
	struct piece_run run;
};

static err *portion_run(struct tx *tx, void *arg)
{
	struct portion *p = arg;

	piece_begin(&p->run);
	TRY(p->kind->work(tx, p->im, p->list, p->from, p->to));
	piece_end(&p->im->pieces, &p->run);
	return NULL;
}

static err *write_one(struct import *im, struct arena *scratch, store_fn *run, store_fn *late, void *arg)
{
	const struct piece piece = { .run = run, .late = late, .arg = arg, .shard = im->room };
	struct ticket *ticket;
	err *e;

	arena_reset(scratch);
	TRY(remote_go_on(im->r, im->a));
	e = store_write(im->rs->opt.store, scratch, &piece, &ticket);
	if (!e)
		e = store_wait(scratch, ticket);
	return e ? err_keep(im->a, e) : NULL;
}

err *import_write(struct import *im, const struct import_kind *kind, const void *list, size_t n)
{
	struct portion p = { .im = im, .kind = kind, .list = list };
	AUTO_ARENA scratch = arena_new();

	for (p.from = 0; p.from < n; p.from = p.to) {
		const size_t end = p.from + MIN(im->pieces.rows, n - p.from);
		size_t bytes = 0;

		for (p.to = p.from; p.to < end && bytes < PIECE_BYTES; p.to++)
			bytes += kind->bytes ? kind->bytes(list, p.to) : 0;
		TRY(write_one(im, scratch, portion_run, NULL, &p));
		pieces_learn(&im->pieces, &p.run, p.to - p.from);
	}
	return NULL;
}

/*
 * Beginning
 */
static err *begin_run(struct tx *tx, void *arg)
{
	struct import *im = arg;
	bool purged;

	TRY(store_room_is_purged(tx, im->room, &purged));
	if (purged)
		return err_new(tx_arena(tx), ERR_BUSY, "the room is being deleted here; try again when that is done");
	return store_join_begin(tx, im->room, clock_ms());
}

/* A position above every event of ours in the room: from there on its servers are in it with us. */
static err *begin_late(struct tx *tx, void *arg)
{
	struct import *im = arg;

	return tx_position(tx, &im->since);
}

/* What there is of the room. */
static err *look(struct import *im)
{
	AUTO_ROOM room = NULL;
	const struct map *locals;

	TRY(room_hold(im->rs, im->a, im->room_id, &room));
	im->is_new = room == NULL;
	im->old_next = 1;
	if (!room)
		return NULL;
	TRY(room_locals(room, &locals));
	if (locals->n) /* we are in it: nothing is to be imported */
		return err_new(im->a, ERR_BUSY, "the room came in by another way");
	if (room->rv != im->rv)
		return err_new(im->a, ERR_CONNECTION_FAILED, "the room is of version %.*s, not %.*s",
			       STR_ARG(room->rv->id), STR_ARG(im->rv->id));
	im->old = room->tip.root;
	im->old_next = room->tip.next_node;
	return NULL;
}

static err *begin(struct import *im)
{
	AUTO_ARENA scratch = arena_new();

	TRY(store_intern(im->rs->opt.store, im->a, im->room_id, &im->room));
	TRY(look(im));
	if (im->is_new)
		TRY(remote_drop(im->r, im->a, im->room));
	return write_one(im, scratch, begin_run, begin_late, im);
}

/*
 * The state
 */
static err *check_create(struct import *im, const struct event *create)
{
	const str version = json_get_str(create->content, S("room_version"));

	if (!str_eq(str_is_none(version) ? S("1") : version, im->rv->id))
		return err_new(im->a, ERR_CONNECTION_FAILED, "the room's create event says another version");
	return store_intern(im->rs->opt.store, im->a, create->sender, &im->creator);
}

/* Of the state that came, what our rules let stand. */
static err *collect_state(struct import *im)
{
	const struct outliers *o = im->j->set;
	struct map seen;
	bool has_create = false;

	map_init(&seen, im->a);
	for (size_t i = 0; i < im->j->n_state; i++) {
		const struct outlier_rec *r = &o->recs.p[im->j->state[i]];
		const struct outlier_name *name = &o->names.p[r->name];
		int64_t *key = ARENA_ARRAY(im->a, int64_t, 3);
		const int64_t *twin;

		if (!name->usable || name->rejected)
			continue;
		key[0] = r->type;
		key[1] = r->key;
		key[2] = name->nid;
		twin = map_put(&seen, (str){ (const char *)key, 2 * sizeof(*key) }, key);
		if (twin && twin[2] == name->nid) /* the same event, sent twice */
			continue;
		if (twin)
			return err_new(im->a, ERR_CONNECTION_FAILED, "the room's state has a key twice");
		has_create = has_create || str_eq(name->event_id, o->create_id);
		vec_push(im->a, &im->entries, (struct state_entry){ r->type, r->key, name->nid });
		vec_push(im->a, &im->recs, im->j->state[i]);
	}
	if (!has_create)
		return err_new(im->a, ERR_CONNECTION_FAILED, "the room's state has no create event");
	return NULL;
}

static err *read_create(struct import *im)
{
	struct outliers *o = im->j->set;
	AUTO_ARENA scratch = arena_new();
	struct event *create;
	err *e;

	for (size_t i = 0; i < im->recs.n; i++) {
		if (!str_eq(o->names.p[o->recs.p[im->recs.p[i]].name].event_id, o->create_id))
			continue;
		e = outliers_read(o, scratch, im->recs.p[i], &create);
		return e ? err_keep(im->a, e) : check_create(im, create);
	}
	return err_new(im->a, ERR_CONNECTION_FAILED, "the room's state has no create event");
}

static err *changed(struct import *im)
{
	return err_new(im->a, ERR_BUSY, "the room came or went by another way while it was joined");
}

struct differing {
	struct import *im;
	struct map *keys;
	VEC(struct state_entry) list;
};

static err *find_gone(void *arg, const struct state_entry *e)
{
	struct differing *d = arg;
	const int64_t key[2] = { e->type, e->key };

	if (!map_get(d->keys, (str){ (const char *)key, sizeof(key) }))
		vec_push(d->im->a, &d->list, (struct state_entry){ e->type, e->key, 0 });
	return NULL;
}

/* The tree, as the difference from the head's. */
static err *build_tree(struct import *im)
{
	struct node_source nodes = { .cache = im->rs->node_cache, .room = im->room };
	struct state_tree tree = node_source_tree(&nodes);
	struct differing d = { .im = im };
	struct state_builder b;
	struct map keys;

	state_builder_init(&b, im->a, &tree);
	if (im->old.node) {
		map_init(&keys, im->a);
		d.keys = &keys;
		for (size_t i = 0; i < im->entries.n; i++)
			(void)map_put(&keys,
				      (str){ (const char *)&im->entries.p[i], 2 * sizeof(im->entries.p[i].type) }, im);
		TRY(state_each(&tree, im->a, im->old, (struct state_pick){ 0 }, find_gone, &d));
		TRY(state_apply(&b, im->old, d.list.p, d.list.n, &im->root));
	} else {
		im->root = STATE_EMPTY;
	}
	TRY(state_apply(&b, im->root, im->entries.p, im->entries.n, &im->root));
	im->next_node = im->old_next;
	state_seal(&b, &im->root, 1, &im->next_node);
	im->rows = b.rows;
	im->n_rows = b.n_rows;
	return NULL;
}

/* Numbers for the new nodes, before they are written: whoever writes to the room meanwhile gets others. */
static err *reserve_nodes(struct import *im)
{
	AUTO_ROOM room = NULL;

	if (im->is_new)
		return NULL;
	TRY(room_hold(im->rs, im->a, im->room_id, &room));
	if (!room || !state_same(room->tip.root, im->old) || room->tip.next_node != im->old_next)
		return changed(im);
	room->tip.next_node = im->next_node;
	return NULL;
}

static err *write_nodes(struct tx *tx, struct import *im, const void *list, size_t from, size_t to)
{
	const struct node_row *rows = list;

	return store_nodes_save(tx, im->room, rows + from, to - from);
}

static size_t bytes_of_node(const void *list, size_t i) { return ((const struct node_row *)list)[i].bytes.n; }

static const struct import_kind nodes_kind = { write_nodes, bytes_of_node };

/*
 * The room
 */
static err *last_run(struct tx *tx, void *arg)
{
	const struct import *im = arg;

	TRY(store_outsiders_drop(tx, im->room));
	return store_join_end(tx, im->room);
}

/* Those who were invited here or knocked, and of whom the state knows nothing: it is as if that had been taken back. */
static err *add_outsiders(struct import *im, struct room *room)
{
	struct map unknown;
	int64_t *users;
	struct tx *tx;
	size_t n;

	TRY(room_tx(room, &tx));
	TRY(store_outsiders_in(tx, im->room, &users, &n));
	map_init(&unknown, room->a);
	for (size_t i = 0; i < MIN(n, (size_t)LOCALS_MOST); i++)
		(void)map_put_i(&unknown, users[i], im);
	(void)map_del_i(&unknown, im->p.key_nid);
	for (size_t i = 0; i < im->entries.n && unknown.n; i++)
		if (im->entries.p[i].type == im->rs->type_member)
			(void)map_del_i(&unknown, im->entries.p[i].key);
	for (size_t i = 0; i < n && i < LOCALS_MOST; i++)
		if (map_get_i(&unknown, users[i]))
			vec_push(im->a, &im->locals,
				 (struct change){ .type = im->rs->type_member, .key = users[i], .is_member = true });
	return NULL;
}

/* The rows of our own users, beside the one that joins. */
static void add_locals(struct import *im, struct draft *d, struct job_event *je)
{
	struct change *all = ARENA_ARRAY(d->job->a, struct change, je->n_changes + im->locals.n);
	size_t n = je->n_changes;

	if (n)
		memcpy(all, je->changes, n * sizeof(*all));
	for (size_t i = 0; i < n; i++) /* the tables know nothing yet of ours who are in */
		if (all[i].is_member && all[i].key == im->p.key_nid && all[i].before == MEMBER_JOIN)
			all[i].before = MEMBER_NONE;
	for (size_t i = 0; i < im->locals.n; i++) {
		struct change ch = im->locals.p[i];

		if (ch.key == im->p.key_nid)
			continue;
		ch.server = im->rs->server;
		ch.displayname = arena_keep(d->job->a, ch.displayname);
		ch.avatar_url = arena_keep(d->job->a, ch.avatar_url);
		all[n++] = ch;
	}
	je->changes = all;
	je->n_changes = n;
}

/* The head as it is to be: the new state, and nothing that an event could stand on but ours. */
static err *set_tip(struct import *im, struct room *room)
{
	struct tip *tip = &room->tip;

	if (!state_same(tip->root, im->old))
		return changed(im);
	tip->n_ext = 0;
	tip->root = im->root;
	tip->next_node = MAX(tip->next_node, im->next_node);
	tip->joined = im->joined;
	tip->invited = im->invited;
	recent_reset(&room->recent);
	room_cache_clear(room);
	room_servers_clear(room, false);
	map_done(&room->locals);
	map_init(&room->locals, NULL);
	room->locals_known = true;
	for (size_t i = 0; i < im->locals.n; i++)
		if (im->locals.p[i].after == MEMBER_JOIN)
			(void)map_put_i(&room->locals, im->locals.p[i].key, room);
	return NULL;
}

static err *add_event(struct import *im, struct draft *d, const struct room_row *row)
{
	struct arrival how = { .before = &im->root };
	enum append_outcome outcome;

	TRY(set_tip(im, d->room));
	TRY(add_outsiders(im, d->room));
	TRY(draft_add_received(d, im->event, &im->p, &how, &outcome));
	if (outcome != APPEND_ACCEPTED)
		return err_new(im->a, ERR_FORBIDDEN, "the room's rules do not let %.*s in", STR_ARG(im->event->sender));
	d->job->events.p[0]->linear = false;
	add_locals(im, d, d->job->events.p[0]);
	d->job->new_room = row;
	d->job->extra = last_run;
	d->job->extra_arg = im;
	return NULL;
}

static err *queue_room(struct import *im, struct room *room, const struct room_row *row, struct ticket **out_ticket)
{
	AUTO_DRAFT d = NULL;
	err *e;

	draft_begin(room, &d);
	e = add_event(im, d, row);
	if (!e)
		e = draft_queue(&d, out_ticket);
	if (!e)
		return NULL;
	draft_drop(&d);
	/* What was read of the state that is not to be. */
	room_cache_clear(room);
	room_servers_clear(room, false);
	room->locals_known = false;
	return e;
}

static err *hold(struct import *im, struct room **out)
{
	if (im->is_new)
		TRY(room_hold_new(im->rs, im->a, im->room, im->room_id, im->rv, im->creator, out));
	else
		TRY(room_hold(im->rs, im->a, im->room_id, out));
	return *out ? NULL : changed(im);
}

static err *make_room(struct import *im)
{
	const struct room_row row = {
		.room = im->room,
		.room_id = im->room_id,
		.version = im->rv->id,
		.creator = im->creator,
		.created = clock_ms(),
	};
	struct ticket *ticket;
	struct room *room;
	err *e;

	TRY(hold(im, &room));
	e = queue_room(im, room, im->is_new ? &row : NULL, &ticket);
	if (e && im->is_new)
		room->gone = true;
	if (e)
		e = err_keep(im->a, e);
	room_release(&room);
	return e ? e : store_wait(im->a, ticket);
}

static err *import(struct import *im)
{
	struct outliers *o = im->j->set;
	AUTO_ARENA scratch = arena_new();
	err *e;

	TRY(begin(im));
	o->room = im->room;
	o->none_here = im->is_new && im->rv->event_format != EVENT_FORMAT_NAMED;
	if (str_is_none(o->create_id))
		return err_new(im->a, ERR_CONNECTION_FAILED, "the room's state has no create event");
	TRY(outliers_settle(o, im->a));
	TRY(collect_state(im));
	TRY(read_create(im));
	TRY(build_tree(im));
	TRY(reserve_nodes(im));
	TRY(import_write(im, &nodes_kind, im->rows, im->n_rows));
	e = import_flat(im, scratch);
	if (e)
		return err_keep(im->a, e);
	TRY(proposal_number(im->rs, im->a, &im->p));
	return make_room(im);
}

err *remote_import(struct remote *r, struct arena *a, const struct room_version *rv, const struct joined *j, str server)
{
	struct import im = {
		.r = r,
		.rs = r->rs,
		.a = a,
		.rv = rv,
		.j = j,
		.event = j->event,
		.room_id = j->event->room_id,
		.p = { .type = j->event->type, .state_key = j->event->state_key, .sender = j->event->sender },
	};
	const int64_t start = clock_mono_us();
	err *e;

	pieces_init(&im.pieces, PIECE_ROWS);
	im.pieces.times = r->times;
	im.pieces.each = r->opt.on_piece;
	im.pieces.ctx = r->opt.piece_ctx;
	e = import(&im);

	if (!e)
		log_info(r->opt.log, "room joined", F("room_id", im.room_id), F("through", server),
			 F("state", im.entries.n), F("events", j->set->recs.n), F("dropped", j->dropped),
			 F("pieces", j->set->pieces.n + im.pieces.n),
			 F("longest_piece_us", MAX(j->set->pieces.longest_us, im.pieces.longest_us)),
			 F("ms", (clock_mono_us() - start) / 1000));
	return e;
}
