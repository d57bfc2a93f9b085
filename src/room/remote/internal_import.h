/*
 * internal_import.h - what the files of an import share: import.c, which makes the room, and import_flat.c, which makes
 * the tables say what its state says.
 */
#pragma once

#include "room/receive/internal_outlier.h"
#include "room/remote/internal_remote.h"

enum { LOCALS_MOST = 500 };

struct import {
	struct remote *r;
	struct rooms *rs;
	struct arena *a;
	const struct room_version *rv;
	const struct joined *j;
	struct event *event; /* ours */
	str room_id;
	int64_t room, creator, since;
	bool is_new;
	struct proposal p; /* of our event */

	VEC(struct state_entry) entries;
	VEC(uint32_t) recs; /* of each entry: its place in the set */
	int64_t joined, invited;
	struct map servers;          /* server -> joined members; as numbers */
	VEC(struct change) locals;   /* our users' rows */
	size_t n_out;                /* those of them who are not in */
	struct pieces pieces;        /* of all but the outliers */
	struct state_root old, root; /* the head's when we began; the new state's */
	int64_t old_next, next_node;
	const struct node_row *rows;
	size_t n_rows;
};

/* What is written in pieces: the items [from, to) of a list at a time. */
struct import_kind {
	err *(*work)(struct tx *tx, struct import *im, const void *list, size_t from, size_t to);
	size_t (*bytes)(const void *list, size_t i); /* of one, about; NULL: few */
};
/* All n of them; waits for each piece. No lock may be held. */
NODISCARD err *import_write(struct import *im, const struct import_kind *kind, const void *list, size_t n);

/* The flat tables (import_flat.c): current state, members but our own, what is shown of the room, its servers.
 * im->joined and invited are counted on the way, and `locals` has the rows of our users. */
NODISCARD err *import_flat(struct import *im, struct arena *a);
