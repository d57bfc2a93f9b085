/* flat.h - do the flat tables say what the tree says? */
#pragma once

#include "world.h"

struct flat_walk {
	struct world *w;
	int64_t room, joined, invited;
	size_t n;
};

static inline err *flat_entry(void *arg, const struct state_entry *e)
{
	struct flat_walk *f = arg;
	struct world *w = f->w;
	struct member_row *m;
	struct event_row *row;
	int64_t event;
	AUTO_TX tx = NULL;

	TRY(store_read(w->b->st, w->a, &tx));
	TRY(store_state_get(tx, f->room, e->type, e->key, &event));
	ok(event == e->event, "current_state has %d where the tree has %d", (int)event, (int)e->event);
	TRY(store_event_by_nid(tx, e->event, &row));
	assert_non_null(row);
	f->n++;
	if (e->type != w->rs->type_member)
		return NULL;
	TRY(store_member(tx, f->room, e->key, &m));
	assert_non_null(m);
	assert_int_equal(m->event, e->event);
	same_str(membership_text(m->membership), json_get_str(content_of(w, row), S("membership")));
	f->joined += m->membership == MEMBER_JOIN;
	f->invited += m->membership == MEMBER_INVITE;
	return NULL;
}

static inline void check_flat(struct world *w, str room_id)
{
	struct flat_walk f = { .w = w, .room = room_nid(w, room_id) };
	struct node_source src = { .cache = w->rs->node_cache, .room = f.room };
	const struct state_tree tree = node_source_tree(&src);
	struct state_root root, journal;
	struct state_row *rows;
	struct room_head_row *h;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(w->b->st, w->a, &tx));
	good(store_head_load(tx, f.room, &h));
	good(store_root_load(tx, f.room, h->root, &root));
	good(store_room_root_at(tx, f.room, INT64_MAX, &journal));
	ok(state_same(root, journal), "the journal ends with the current root");
	good(state_each(&tree, w->a, root, (struct state_pick){ 0 }, flat_entry, &f));
	good(store_state_list(tx, f.room, &rows, &n));
	assert_int_equal(n, f.n);
	assert_int_equal(h->joined, f.joined);
	assert_int_equal(h->invited, f.invited);
}
