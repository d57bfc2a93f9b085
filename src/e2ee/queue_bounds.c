/*
 * queue_bounds.c - how long a device's queue may grow, and who loses when it is too long.
 *
 * To count a queue at each message would cost more than to store it. So a queue that was counted has so much room left,
 * which is spent in memory; when it is spent, or not known, the queue is counted again, and shortened where it is too
 * long, by an eighth more than it must be. A request looks at few queues, so one that reaches very many devices leaves
 * some to a later one: the bound is approached, not kept to the letter; but it looks at more the more it reaches, and
 * drops more from each than it adds, so that nothing grows for ever. A table of fixed size remembers room; of two
 * devices with one place, the later has it.
 *
 * What goes is the oldest of those who have the most there: everybody may keep an equal part, and what some do not need
 * of it is the others'. So nobody can push out what others sent (the keys of rooms, to a device that is switched off)
 * by sending much; who comes with many accounts makes the parts smaller, no more.
 *
 * Age: every now and then, the next one of all queues is looked at, in turn.
 */
#include "e2ee/internal_to_device.h"

#include "base/rand.h"

#include <stdlib.h>

enum {
	LOOK_AT_ONCE = 4,
	LOOK_ONE_OF = 256, /* and of so many devices one more */
	DROP_AT_ONCE = 2000,
	WALK_EVERY = 8,
};
#define DAY_MS INT64_C(86400000)

static uint64_t who(int64_t user, str device_id) { return (hash_str(device_id) ^ hash_i64(user)) | 1; }

/* Is there room for one more? Then it is taken. */
static bool spend(struct to_device *td, uint64_t w, int64_t size)
{
	struct room_left *l = &td->left[w / 2 % QUEUE_LEFT_PLACES];
	const int32_t kib = (int32_t)(size / 1024 + 1);

	if (l->who != w || l->messages < 1 || l->kib < kib)
		return false;
	l->messages--;
	l->kib -= kib;
	return true;
}

static void set_left(struct to_device *td, uint64_t w, const struct to_device_sum *sum)
{
	LOCKED(&td->lock);
	td->left[w / 2 % QUEUE_LEFT_PLACES] = (struct room_left){
		.who = w,
		.messages = (int32_t)MAX(TO_DEVICE_QUEUE_MAX - sum->n, 0),
		.kib = (int32_t)MAX((TO_DEVICE_QUEUE_BYTES - sum->bytes) / 1024, 0),
	};
}

/*
 * Shortening: dropping from the beginning of one sender's part of the queue, or of all of it.
 */
struct cut {
	struct tx *tx;
	int64_t user;
	str device_id;
	struct to_device_sum *sum; /* of what is left */
	int64_t gone;
};

/* Those of a sender (0: of all) that came before `before` (ms), and more while their part is above `n` or `bytes`. */
static err *cut(struct cut *c, struct to_device_from part, int64_t n, int64_t bytes, int64_t before)
{
	const size_t most = c->gone < DROP_AT_ONCE ? (size_t)(DROP_AT_ONCE - c->gone) : 0;
	struct to_device_row *rows;
	size_t n_rows, i = 0;
	int64_t gone;

	TRY(store_to_device_oldest(c->tx, c->user, c->device_id, part.sender, most, &rows, &n_rows));
	for (; i < n_rows && (part.n > n || part.bytes > bytes || rows[i].created < before); i++) {
		part.n--;
		part.bytes -= rows[i].size;
		c->sum->bytes -= rows[i].size;
	}
	if (i == 0)
		return NULL;
	TRY(store_to_device_delete(c->tx, c->user, c->device_id, part.sender, rows[i - 1].stream, &gone));
	c->sum->n -= gone;
	c->gone += gone;
	return NULL;
}

static int ascending(const void *x, const void *y)
{
	const int64_t p = *(const int64_t *)x, q = *(const int64_t *)y;

	return (p > q) - (p < q);
}

/* What each may keep, so that all keep `most` together: who has less leaves the rest to the others. */
static int64_t fair_part(int64_t *parts, size_t n, int64_t most)
{
	qsort(parts, n, sizeof(*parts), ascending);
	for (size_t i = 0; i < n; i++) {
		const int64_t part = most / (int64_t)(n - i);

		if (parts[i] > part)
			return part;
		most -= parts[i];
	}
	return INT64_MAX;
}

/* An eighth more goes than must: that is room for the next. */
static err *cut_fairly(struct cut *c)
{
	struct to_device_from *from;
	int64_t *parts, n_part = INT64_MAX, bytes_part = INT64_MAX;
	size_t n;

	TRY(store_to_device_senders(c->tx, c->user, c->device_id, &from, &n));
	parts = ARENA_ARRAY(tx_arena(c->tx), int64_t, n);
	if (c->sum->n > TO_DEVICE_QUEUE_MAX) {
		for (size_t i = 0; i < n; i++)
			parts[i] = from[i].n;
		n_part = fair_part(parts, n, TO_DEVICE_QUEUE_MAX / 8 * 7);
	}
	if (c->sum->bytes > TO_DEVICE_QUEUE_BYTES) {
		for (size_t i = 0; i < n; i++)
			parts[i] = from[i].bytes;
		bytes_part = fair_part(parts, n, TO_DEVICE_QUEUE_BYTES / 8 * 7);
	}
	for (size_t i = 0; i < n && c->gone < DROP_AT_ONCE; i++)
		if (from[i].n > n_part || from[i].bytes > bytes_part)
			TRY(cut(c, from[i], n_part, bytes_part, 0));
	return NULL;
}

static err *shorten(struct tx *tx, int64_t user, str device_id, int64_t now, struct to_device_sum *sum,
		    struct queues_dropped *dropped)
{
	struct cut c = { .tx = tx, .user = user, .device_id = device_id, .sum = sum };

	TRY(cut(&c, (struct to_device_from){ 0 }, INT64_MAX, INT64_MAX, now - TO_DEVICE_AGE_DAYS * DAY_MS));
	if (sum->n > TO_DEVICE_QUEUE_MAX || sum->bytes > TO_DEVICE_QUEUE_BYTES)
		TRY(cut_fairly(&c));
	if (c.gone)
		TRY(store_to_device_lose(tx, user, device_id, c.gone, now));
	dropped->n += c.gone;
	dropped->user = user;
	dropped->device_id = device_id;
	return NULL;
}

static err *look_at(struct e2ee *e, struct tx *tx, int64_t user, str device_id, int64_t now,
		    struct queues_dropped *dropped)
{
	const int64_t oldest = now - TO_DEVICE_AGE_DAYS * DAY_MS;
	struct to_device_sum sum;

	TRY(store_to_device_sum(tx, user, device_id, &sum));
	if (sum.n > TO_DEVICE_QUEUE_MAX || sum.bytes > TO_DEVICE_QUEUE_BYTES || (sum.n && sum.first_created < oldest))
		TRY(shorten(tx, user, device_id, now, &sum, dropped));
	set_left(e->to_device, who(user, device_id), &sum);
	return NULL;
}

/* The next of all queues, whoever it is of. */
static err *walk(struct e2ee *e, struct tx *tx, int64_t now, struct queues_dropped *dropped)
{
	struct to_device *td = e->to_device;
	const struct to_device_target *next;
	str device_id;
	int64_t user;

	lock_take(&td->lock);
	user = td->walk_user;
	device_id = str_is_none(td->walk_device) ? S("") : arena_keep(tx_arena(tx), td->walk_device);
	lock_drop(&td->lock);
	TRY(store_to_device_next_queue(tx, user, device_id, &next));
	lock_take(&td->lock);
	td->walk_user = next ? next->user : 0;
	mem_free((void *)td->walk_device.p);
	td->walk_device = next ? str_keep(next->device_id) : STR_NONE;
	lock_drop(&td->lock);
	return next ? look_at(e, tx, next->user, next->device_id, now, dropped) : NULL;
}

err *queues_bound(struct e2ee *e, struct tx *tx, const struct queues_added *added, int64_t now,
		  struct queues_dropped *dropped)
{
	const size_t n = added->users.n, from = n ? rand_u64() % n : 0;
	struct to_device *td = e->to_device;
	const size_t look_most = LOOK_AT_ONCE + n / LOOK_ONE_OF;
	size_t *look = ARENA_ARRAY(tx_arena(tx), size_t, look_most), n_look = 0;

	lock_take(&td->lock);
	for (size_t i = 0; i < n; i++) {
		const size_t k = (from + i) % n;

		if (!spend(td, who(added->users.p[k], added->device_ids.p[k]), added->sizes.p[k]) && n_look < look_most)
			look[n_look++] = k;
	}
	lock_drop(&td->lock);
	for (size_t i = 0; i < n_look; i++)
		TRY(look_at(e, tx, added->users.p[look[i]], added->device_ids.p[look[i]], now, dropped));
	return rand_u64() % WALK_EVERY == 0 ? walk(e, tx, now, dropped) : NULL;
}
