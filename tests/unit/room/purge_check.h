/* purge_check.h - is a room whole, does it read as it did, and is nothing left over? By walking the trees, not by
 * marking. */
#pragma once

#include "flat.h"

#include "room/purge.h"
#include "store/purge.h"

/* What was in the state after one event: for comparing with what is there later. */
struct seen_state {
	str event_id;
	int64_t nid, timeline, stream;
	VEC(struct state_entry) entries;
};
struct seen {
	struct world *w;
	int64_t room;
	VEC(struct seen_state) list; /* by timeline */
};

static inline err *see_entry(void *arg, const struct state_entry *e)
{
	struct seen_state *s = arg;
	/* The tests' arenas live as long as the test. */
	static struct arena *keep;

	if (!keep)
		keep = arena_new();
	vec_push(keep, &s->entries, *e);
	return NULL;
}

static inline struct seen_state see_event(struct world *w, int64_t room, const struct event_row *row)
{
	struct node_source src = { .cache = w->rs->node_cache, .room = room };
	const struct state_tree tree = node_source_tree(&src);
	struct seen_state s = {
		.event_id = row->event_id, .nid = row->nid, .timeline = row->timeline, .stream = row->stream
	};
	struct state_root root;

	good(state_root_of(&tree, w->a, row->root_after, &root));
	good(state_each(&tree, w->a, root, (struct state_pick){ 0 }, see_entry, &s));
	return s;
}

static inline struct event_row **timeline_of(struct world *w, int64_t room, size_t *out_n)
{
	struct event_row **rows;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_events_by_timeline(tx, room, INT64_MIN, false, 100000, &rows, out_n));
	return rows;
}

static inline struct seen see_room(struct world *w, str room_id)
{
	struct seen s = { .w = w, .room = room_nid(w, room_id) };
	size_t n;
	struct event_row **rows = timeline_of(w, s.room, &n);

	for (size_t i = 0; i < n; i++)
		vec_push(w->a, &s.list, see_event(w, s.room, rows[i]));
	return s;
}

static inline int64_t counted(struct world *w, const char *sql, int64_t room)
{
	struct row *row;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(tx_one(tx, sql, BIND(B(room)), &row));
	return row_i64(row, 0);
}

/* Every event that is in the timeline now has the state it had, and every event of it, and their auth events. */
static inline void check_states(const struct seen *before)
{
	struct world *w = before->w;
	size_t n, at = 0;
	struct event_row **rows = timeline_of(w, before->room, &n);

	for (size_t i = 0; i < n; i++) {
		const struct seen_state now = see_event(w, before->room, rows[i]);
		AUTO_TX tx = NULL;

		while (at < before->list.n && before->list.p[at].nid != now.nid)
			at++;
		if (at < before->list.n) {
			const struct seen_state *was = &before->list.p[at];

			assert_int_equal(was->entries.n, now.entries.n);
			assert_memory_equal(was->entries.p, now.entries.p, now.entries.n * sizeof(now.entries.p[0]));
		} else {
			at = 0; /* came meanwhile */
		}
		good(store_read(w->b->st, w->a, &tx));
		for (size_t k = 0; k < now.entries.n; k++) {
			struct event_row *ev;
			int64_t *auths;
			size_t n_auths;

			good(store_event_by_nid(tx, now.entries.p[k].event, &ev));
			ok(ev, "an event of the state is not stored");
			n_auths = store_nids_unpack(w->a, ev->auths, &auths);
			for (size_t j = 0; j < n_auths; j++) {
				good(store_event_by_nid(tx, auths[j], &ev));
				ok(ev, "an auth event is not stored");
			}
		}
	}
}

/*
 * Nodes
 */
struct counting {
	struct state_tree real;
	struct map met;
};

static inline err *count_node(void *ctx, struct arena *a, int64_t id, struct state_node *out)
{
	struct counting *c = ctx;

	map_put_i(&c->met, id, c);
	return c->real.node(c->real.ctx, a, id, out);
}

static inline err *ignore_entry(void *arg, const struct state_entry *e)
{
	(void)arg, (void)e;
	return NULL;
}

/* Every node stored belongs to a state that something names; but for the newest row, which stays for its numbers. */
static inline void check_no_leak(struct world *w, int64_t room)
{
	struct node_source src = { .cache = w->rs->node_cache, .room = room };
	const struct state_tree tree = node_source_tree(&src);
	struct counting c = { .real = tree };
	struct state_tree counting = tree;
	struct node_row *rows;
	int64_t *roots;
	size_t n_roots, n;
	AUTO_TX tx = NULL;

	map_init(&c.met, w->a);
	counting.node = count_node;
	counting.ctx = &c;
	good(store_read(w->b->st, w->a, &tx));
	good(tx_ints(tx,
		     "SELECT root_after FROM events WHERE room = $1 UNION SELECT node FROM room_roots WHERE room = $1"
		     " UNION SELECT root FROM room_heads WHERE room = $1",
		     BIND(B(room)), &roots, &n_roots));
	for (size_t i = 0; i < n_roots; i++) {
		struct state_root root;
		bool good_hash;

		good(state_root_of(&counting, w->a, roots[i], &root));
		good(state_each(&counting, w->a, root, (struct state_pick){ 0 }, ignore_entry, NULL));
		good(state_check_hash(&tree, w->a, root, &good_hash));
		ok(good_hash, "the hash of state %d is not that of its contents", (int)roots[i]);
	}
	good(store_nodes_up(tx, room, 0, INT64_MAX, 1000000, &rows, &n));
	for (size_t i = 0; i + 1 < n; i++) {
		struct node_iter it = node_iter(rows[i].bytes);
		str node;

		for (int64_t id = rows[i].first; node_iter_next(&it, &node); id++)
			ok(node.n == 0 || map_get_i(&c.met, id), "node %d is left over", (int)id);
		ok(!it.bad, "row %d is damaged", (int)rows[i].first);
	}
}

static inline void check_nothing_left(struct world *w, int64_t room)
{
	static const char *const tables[] = {
		"events",       "state_nodes",  "room_roots", "current_state", "membership",
		"room_servers", "room_summary", "room_heads", "rooms",         "aliases",
		"outbox_left",  "receipts",     "notify",     "account_data",
	};

	ok(counted(w, "SELECT count(*) FROM auth_places WHERE 0 <> $1 AND event NOT IN (SELECT nid FROM events)",
		   room) == 0,
	   "places of auth chains are left");
	ok(counted(w,
		   "SELECT count(*) FROM auth_links WHERE 0 <> $1 AND (line, place) NOT IN"
		   " (SELECT CASE WHEN line = 0 THEN event ELSE line END, place FROM auth_places)",
		   room) == 0,
	   "links of auth chains are left");
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		ok(counted(w, arena_printf(w->a, "SELECT count(*) FROM %s WHERE room = $1", tables[i]).p, room) == 0,
		   "%s has rows of the room", tables[i]);
	ok(counted(w,
		   "SELECT count(*) FROM event_edges WHERE 0 <> $1"
		   " AND event NOT IN (SELECT nid FROM events) AND prev NOT IN (SELECT nid FROM events)",
		   room) == 0,
	   "edges are left");
}
