/* drop.c - what was written of a room that came to nothing: it is taken away as it came, piece by piece. */
#include "room/receive/pieces.h"
#include "room/remote/internal_remote.h"
#include "store/joins.h"

enum { PIECE_ROWS = 250 };

struct dropping {
	int64_t room;
	struct pieces pieces;
	struct piece_run run;
	bool more;
};

static err *drop_run(struct tx *tx, void *arg)
{
	struct dropping *d = arg;

	piece_begin(&d->run);
	TRY(store_join_drop_piece(tx, d->room, d->pieces.rows, &d->more));
	if (!d->more)
		TRY(store_join_end(tx, d->room));
	piece_end(&d->pieces, &d->run);
	return NULL;
}

err *remote_drop(struct remote *r, struct arena *a, int64_t room)
{
	struct dropping d = { .room = room, .more = true };
	AUTO_ARENA scratch = arena_new();

	pieces_init(&d.pieces, PIECE_ROWS);
	d.pieces.times = r->times;
	node_cache_forget(r->rs->node_cache, room);
	while (d.more) {
		const struct piece piece = { .run = drop_run, .arg = &d, .shard = room };
		struct ticket *ticket;
		err *e;

		arena_reset(scratch);
		TRY(remote_go_on(r, a));
		e = store_write(r->opt.store, scratch, &piece, &ticket);
		if (!e)
			e = store_wait(scratch, ticket);
		if (e)
			return err_keep(a, e);
		pieces_learn(&d.pieces, &d.run, d.pieces.rows);
	}
	return NULL;
}
