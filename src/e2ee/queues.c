/*
 * queues.c - keeping account of the devices' queues: what was handed out, what may be deleted.
 *
 * A message is deleted when the token that carried it has come back. That is known without asking the store: memory
 * says what was handed out to whom. Deletions are gathered, many devices in one commit, and nobody waits for them: what
 * was acknowledged is not handed out again meanwhile. Memory that was lost (a restart) costs one look at the queue, at
 * the device's next request.
 */
#include "e2ee/internal_to_device.h"

#include <assert.h>

#include "base/clock.h"
#include "base/metrics.h"

enum {
	HANDED_MAX = 50000,
	DELETE_AT_ONCE = 64,
	DELETE_AFTER_MS = 1000,
};

struct handed {
	struct list lru, due;
	int64_t user;
	str device_id;
	int64_t low, high; /* of what was handed out and is not being deleted; 0: nothing */
	int64_t acknowledged;
	str key;
	char text[];
};

/*
 * Handed out, and acknowledged
 */

static str key_of(char *buf, int64_t user, str device_id)
{
	assert(device_id.n <= 255);
	memcpy(buf, &user, sizeof(user));
	if (device_id.n)
		memcpy(buf + sizeof(user), device_id.p, device_id.n);
	return (str){ buf, sizeof(user) + device_id.n };
}

void queues_init(struct to_device *td)
{
	lock_init(&td->lock, RANK_SERVICE);
	map_init(&td->devices, NULL);
	list_init(&td->lru);
	list_init(&td->due);
	td->left = mem_zalloc(QUEUE_LEFT_PLACES * sizeof(*td->left));
}

static void handed_drop(struct to_device *td, struct handed *h)
{
	if (!list_is_empty(&h->due))
		td->n_due--;
	(void)map_del(&td->devices, h->key);
	list_del(&h->due);
	list_del(&h->lru);
	mem_free(h);
}

static struct handed *handed_find(struct to_device *td, int64_t user, str device_id)
{
	char buf[8 + 255];

	lock_assert_held(&td->lock);
	return device_id.n <= 255 ? map_get(&td->devices, key_of(buf, user, device_id)) : NULL;
}

static struct handed *handed_make(struct to_device *td, int64_t user, str device_id)
{
	struct handed *h = handed_find(td, user, device_id);

	if (h || device_id.n > 255)
		return h;
	h = mem_zalloc(sizeof(*h) + sizeof(user) + device_id.n);
	h->user = user;
	h->key = key_of(h->text, user, device_id);
	h->device_id = str_from(h->key, sizeof(user));
	list_init(&h->due);
	list_add_head(&td->lru, &h->lru);
	(void)map_put(&td->devices, h->key, h);
	if (td->devices.n > HANDED_MAX)
		handed_drop(td, LIST_ITEM(td->lru.prev, struct handed, lru));
	return h;
}

void queues_raise(struct to_device *td, int64_t user, str device_id, int64_t *above)
{
	const struct handed *h;

	LOCKED(&td->lock);
	h = handed_find(td, user, device_id);
	if (h)
		*above = MAX(*above, h->acknowledged);
}

void queues_handed(struct to_device *td, int64_t user, str device_id, int64_t first, int64_t last)
{
	struct handed *h;

	LOCKED(&td->lock);
	h = handed_make(td, user, device_id);
	if (!h)
		return;
	list_del(&h->lru);
	list_add_head(&td->lru, &h->lru);
	h->low = h->low ? MIN(h->low, first) : first;
	h->high = MAX(h->high, last);
}

/*
 * Deleting
 */
struct deletion {
	struct metric *delivered;
	size_t n;
	int64_t gone;
	struct {
		int64_t user, upto;
		str device_id; /* owned */
	} of[DELETE_AT_ONCE];
};

static err *deletion_run(struct tx *tx, void *arg)
{
	struct deletion *d = arg;

	d->gone = 0;
	for (size_t i = 0; i < d->n; i++) {
		int64_t gone;

		TRY(store_to_device_delete(tx, d->of[i].user, d->of[i].device_id, 0, d->of[i].upto, &gone));
		d->gone += gone;
	}
	return NULL;
}

static void deletion_free(struct deletion *d)
{
	for (size_t i = 0; i < d->n; i++)
		mem_free((void *)d->of[i].device_id.p);
	mem_free(d);
}

/* One that failed leaves rows behind that no token asks for: they go with the next of that device, or by age. */
static void deletion_after(void *arg, const err *result)
{
	struct deletion *d = arg;

	if (!result)
		metric_add(d->delivered, d->gone);
	deletion_free(d);
}

static struct deletion *deletion_take(struct e2ee *e)
{
	struct to_device *td = e->to_device;
	struct deletion *d = MEM_NEW(struct deletion);
	struct list *node;

	lock_assert_held(&td->lock);
	d->delivered = e->to_device_delivered;
	while (d->n < DELETE_AT_ONCE && (node = list_pop(&td->due))) {
		struct handed *h = LIST_ITEM(node, struct handed, due);

		td->n_due--;
		d->of[d->n].user = h->user;
		d->of[d->n].upto = h->acknowledged;
		d->of[d->n].device_id = str_keep(h->device_id);
		d->n++;
		h->low = h->high > h->acknowledged ? h->acknowledged + 1 : 0;
	}
	return d;
}

static void deletion_queue(struct e2ee *e, struct deletion *d)
{
	const struct piece p = { .run = deletion_run, .after = deletion_after, .arg = d };
	AUTO_ARENA a = arena_new();

	if (store_write(e->opt.store, a, &p, NULL))
		deletion_free(d);
}

void to_device_acknowledge(struct e2ee *e, int64_t user, str device_id, int64_t upto)
{
	struct to_device *td = e->to_device;
	struct deletion *d = NULL;
	struct handed *h;

	lock_take(&td->lock);
	h = handed_find(td, user, device_id);
	if (h && h->low && h->low <= upto && upto > h->acknowledged) {
		h->acknowledged = upto;
		if (td->n_due == 0)
			td->due_since = clock_mono_ms();
		if (list_is_empty(&h->due)) {
			list_add_tail(&td->due, &h->due);
			td->n_due++;
		}
	}
	if (td->n_due >= DELETE_AT_ONCE || (td->n_due && clock_mono_ms() - td->due_since >= DELETE_AFTER_MS))
		d = deletion_take(e);
	lock_drop(&td->lock);
	if (d)
		deletion_queue(e, d);
}

err *to_device_acknowledge_left(struct e2ee *e, struct tx *tx, int64_t user, str device_id, int64_t upto)
{
	struct to_device_row *row;
	size_t n;

	TRY(store_to_device_oldest(tx, user, device_id, 0, 1, &row, &n));
	if (n && row->stream <= upto) {
		queues_handed(e->to_device, user, device_id, row->stream, upto);
		to_device_acknowledge(e, user, device_id, upto);
	}
	return NULL;
}

void to_device_flush(struct e2ee *e)
{
	struct to_device *td = e->to_device;

	while (td->n_due) {
		struct deletion *d;

		lock_take(&td->lock);
		d = deletion_take(e);
		lock_drop(&td->lock);
		deletion_queue(e, d);
	}
}

void queues_done(struct to_device *td)
{
	LIST_EACH_SAFE (&td->lru, it)
		handed_drop(td, LIST_ITEM(it, struct handed, lru));
	map_done(&td->devices);
	lock_done(&td->lock);
	mem_free(td->left);
	mem_free((void *)td->walk_device.p);
}
