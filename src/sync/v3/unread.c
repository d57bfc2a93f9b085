/* unread.c - how much of a room is unread. Client-Server API, "Receiving notifications". */
#include "room/notify.h"

#include "store/events.h"
#include "sync/v3/internal_v3.h"

/* Threads are known by their root events' numbers. */
static err *name_threads(struct run *r, struct tx *tx, struct sync_room *out)
{
	const struct unread *u = out->unread;
	int64_t *nids = ARENA_ARRAY(r->a, int64_t, u->n_threads);
	struct event_name *names;
	size_t n;

	out->thread_ids = ARENA_ARRAY(r->a, str, u->n_threads);
	for (size_t i = 0; i < u->n_threads; i++)
		nids[i] = u->threads[i].root;
	TRY(store_event_names(tx, nids, u->n_threads, &names, &n));
	for (size_t i = 0; i < u->n_threads; i++)
		for (size_t k = 0; k < n; k++)
			if (names[k].nid == nids[i])
				out->thread_ids[i] = names[k].event_id;
	return NULL;
}

err *unread_gather(struct run *r, struct task *t, struct sync_room *out)
{
	const struct unread_query q = {
		.room = t->room,
		.user = r->rq->user,
		.since = t->member->since,
		.upto = r->position,
		.ignored = r->ignored.users,
		.n_ignored = r->ignored.n,
		.news = t->news,
	};
	struct tx *tx;

	out->unread = ARENA_NEW(r->a, struct unread);
	TRY(notify_unread(r->ss->opt.notify, r->a, &r->tx, &q, out->unread));
	if (!r->answer->threads || !out->unread->n_threads)
		return NULL;
	TRY(run_tx(r, &tx));
	return name_threads(r, tx, out);
}
