/*
 * save.c - what a restart would forget, on disk.
 *
 * A user whose change was told is written within SAVE_MS, many at a time. Nobody waits for it, and what the store has
 * no room for is dropped: the next change says the same. The last action is written with a change alone, and once more
 * when the server stops.
 */
#include "presence/internal_presence.h"

#include "base/clock.h"

struct batch {
	size_t n;
	struct presence_row rows[SAVE_MOST];
};

void save_note(struct presence *p, struct who *w, int64_t now)
{
	lock_assert_held(&p->lock);
	if (list_is_empty(&w->unsaved))
		list_add_tail(&p->unsaved, &w->unsaved);
	if (p->save_at == INT64_MAX)
		p->save_at = now + SAVE_MS;
}

static err *write_batch(struct tx *tx, void *arg)
{
	const struct batch *b = arg;

	return store_presence_save(tx, b->rows, b->n);
}

static void batch_done(void *arg, const err *result)
{
	struct batch *b = arg;

	(void)result;
	for (size_t i = 0; i < b->n; i++)
		mem_free((void *)b->rows[i].status_msg.p);
	mem_free(b);
}

static struct presence_row row_of(const struct presence *p, const struct who *w, int64_t now, int64_t wall)
{
	const int64_t ago = w->last_active == NEVER ? 0 : now - w->last_active;

	return (struct presence_row){
		.user = w->user,
		.state = who_shown(p, w, now).state,
		.status_msg = str_keep(w->status_msg),
		.last_active = w->last_active == NEVER ? 0 : MAX(wall - ago, 1),
		.changed = wall,
	};
}

/* Queued under the lock, so that a row that is to be forgotten is deleted by a later piece. False: nothing was due, or
 * there is no room for it. */
static bool save_batch(struct presence *p, struct arena *a, bool all)
{
	const int64_t now = p->opt.mono_ms(), wall = p->opt.wall_ms();
	struct batch *b;
	struct list *node;
	const err *e;

	LOCKED(&p->lock);
	if (list_is_empty(&p->unsaved) || (!all && now < p->save_at))
		return false;
	b = MEM_NEW(struct batch);
	while (b->n < SAVE_MOST && (node = list_pop(&p->unsaved)))
		b->rows[b->n++] = row_of(p, LIST_ITEM(node, struct who, unsaved), now, wall);
	if (list_is_empty(&p->unsaved))
		p->save_at = INT64_MAX;
	e = store_write(p->opt.store, a, &(struct piece){ .run = write_batch, .after = batch_done, .arg = b }, NULL);
	if (e)
		batch_done(b, e);
	return !e;
}

void save_some(struct presence *p, struct arena *a, bool all)
{
	while (save_batch(p, a, all))
		;
}

static err *delete_row(struct tx *tx, void *arg) { return store_presence_delete(tx, *(int64_t *)arg); }

static void row_deleted(void *arg, const err *result)
{
	(void)result;
	mem_free(arg);
}

void save_forget(struct presence *p, struct arena *a, int64_t user)
{
	int64_t *which = MEM_NEW(int64_t);
	const struct piece piece = { .run = delete_row, .after = row_deleted, .arg = which };
	const err *e;

	*which = user;
	e = store_write(p->opt.store, a, &piece, NULL);
	if (e)
		mem_free(which);
}
