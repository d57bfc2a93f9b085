/* seen.c - when and from where devices were last seen, written in batches. */
#include "user/seen.h"

#include <stdatomic.h>

#include "base/thread.h"
#include "base/utf8.h"
#include "store/devices.h"

enum { BATCH = 64, AGENT_MAX = 200 };

struct note {
	int64_t user, at_ms;
	str device_id, ip, agent; /* each with one owner */
};

struct batch {
	size_t n;
	struct note notes[BATCH];
};

struct seen_queue {
	struct store *st;
	struct lock lock;
	struct batch *batch;           /* NULL: nothing was noted */
	_Atomic int64_t first_mono_ms; /* of the batch; 0: there is none */
};

struct seen_queue *seen_new(struct store *st)
{
	struct seen_queue *q = MEM_NEW(struct seen_queue);

	q->st = st;
	lock_init(&q->lock, RANK_SERVICE);
	return q;
}

static err *write_batch(struct tx *tx, void *arg)
{
	const struct batch *b = arg;

	for (size_t i = 0; i < b->n; i++)
		TRY(store_device_seen(tx, b->notes[i].user, b->notes[i].device_id, b->notes[i].at_ms, b->notes[i].ip,
				      b->notes[i].agent));
	return NULL;
}

static void batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		mem_free((void *)b->notes[i].device_id.p);
		mem_free((void *)b->notes[i].ip.p);
		mem_free((void *)b->notes[i].agent.p);
	}
	mem_free(b);
}

static void batch_written(void *arg, const err *result)
{
	(void)result;
	batch_free(arg);
}

static void batch_queue(struct seen_queue *q, struct batch *b)
{
	const struct piece p = { .run = write_batch, .after = batch_written, .arg = b };
	AUTO_ARENA a = arena_new();

	if (store_write(q->st, a, &p, NULL))
		batch_free(b);
}

/* Takes the batch out when it is due. */
static struct batch *batch_take(struct seen_queue *q, bool due)
{
	struct batch *b = q->batch;

	lock_assert_held(&q->lock);
	if (!b || !due)
		return NULL;
	q->batch = NULL;
	atomic_store(&q->first_mono_ms, 0);
	return b;
}

void seen_note(struct seen_queue *q, int64_t user, str device_id, str ip, str agent, int64_t at_ms, int64_t mono_ms)
{
	struct batch *full;

	{
		LOCKED(&q->lock);
		if (!q->batch) {
			q->batch = MEM_NEW(struct batch);
			atomic_store(&q->first_mono_ms, MAX(mono_ms, 1));
		}
		q->batch->notes[q->batch->n++] = (struct note){
			.user = user,
			.at_ms = at_ms,
			.device_id = str_keep(device_id),
			.ip = str_keep(ip),
			.agent = str_keep(str_is_none(agent) ? agent : utf8_cut(agent, AGENT_MAX)),
		};
		full = batch_take(q, q->batch->n == BATCH);
	}
	if (full)
		batch_queue(q, full);
}

void seen_tick(struct seen_queue *q, int64_t mono_ms)
{
	const int64_t first = atomic_load_explicit(&q->first_mono_ms, memory_order_relaxed);
	struct batch *due;

	if (first == 0 || mono_ms - first < SEEN_FLUSH_MS)
		return;
	{
		LOCKED(&q->lock);
		due = batch_take(q, true);
	}
	if (due)
		batch_queue(q, due);
}

void seen_free(struct seen_queue **q)
{
	if (!*q)
		return;
	if ((*q)->batch)
		batch_queue(*q, (*q)->batch);
	lock_done(&(*q)->lock);
	mem_free(*q);
	*q = NULL;
}
