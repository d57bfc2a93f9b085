/*
 * outbox_save.c - how far everybody has got, on disk.
 *
 * What the living have got is one number, the floor: up to there everything was sent to everybody, but to those that
 * have a row of their own because they lag. So an event that went to a thousand servers costs one row a second, and an
 * idle destination none. Whatever is saved together was true at one moment, and saves are committed in their order:
 * after a crash somebody may get again what they got in the last second, and nobody misses anything.
 */
#include "federation/internal_outbox_txn.h"

#include <assert.h>

enum { SAVE_ROWS = 300, SAVE_EDUS = 500, SAVE_BAD = 50, SAVE_LEFT = 200 };

static void save_end(struct save **sp)
{
	struct arena *a = *sp ? (*sp)->a : NULL; /* holds it */

	*sp = NULL;
	arena_free(&a);
}

void save_soon(struct outbox *o)
{
	if (!o->save_at)
		o->save_at = o->opt.now() + SAVE_MS;
}

void save_edu_acked(struct outbox *o, int64_t id)
{
	if (o->n_acked == o->cap_acked) {
		o->cap_acked = MAX(2 * o->cap_acked, 64);
		o->acked = mem_realloc(o->acked, o->cap_acked * sizeof(o->acked[0]));
	}
	o->acked[o->n_acked++] = id;
}

void save_bad(struct outbox *o, const struct outbox_bad_row *row)
{
	if (o->n_bad == o->cap_bad) {
		o->cap_bad = MAX(2 * o->cap_bad, 8);
		o->bad = mem_realloc(o->bad, o->cap_bad * sizeof(o->bad[0]));
	}
	o->bad[o->n_bad] = *row;
	o->bad[o->n_bad++].error = str_keep(str_is_none(row->error) ? S("") : row->error);
}

static bool lags(const struct destination *d, int64_t now)
{
	return d->behind || d->failing_since || now - d->waits_since > LAG_MS;
}

/* The destination as it is now: a row of its own, none any more, or a bound of the floor. Gives whether it is to be
 * looked at again though nothing happens. */
static bool look_at(struct save *s, struct destination *d, struct outbox_behind_row *behind, int64_t *level,
		    int64_t now)
{
	struct outbox_save *r = &s->rows;

	if (!destination_has_events(d)) {
		if (!d->listed || r->n_level == SAVE_ROWS)
			return d->listed;
		d->listed = false;
		level[r->n_level++] = d->server;
		return false;
	}
	if (!d->listed && (!lags(d, now) || r->n_behind == SAVE_ROWS)) {
		r->floor = MIN(r->floor, d->position);
		return true;
	}
	if (d->listed && d->saved_position == d->position)
		return false;
	if (r->n_behind == SAVE_ROWS)
		return true;
	if (!d->listed)
		d->listed_since = now;
	d->listed = true;
	d->saved_position = d->position;
	behind[r->n_behind++] = (struct outbox_behind_row){ d->server, d->position, d->listed_since };
	return false;
}

static void take_acked(struct outbox *o, struct save *s)
{
	const size_t n = MIN(o->n_acked, (size_t)SAVE_EDUS), n_bad = MIN(o->n_bad, (size_t)SAVE_BAD);
	int64_t *ids = ARENA_ARRAY(s->a, int64_t, n);
	struct outbox_bad_row *bad = ARENA_ARRAY(s->a, struct outbox_bad_row, n_bad);

	if (n)
		memcpy(ids, o->acked, n * sizeof(ids[0]));
	o->n_acked -= n;
	if (o->n_acked)
		memmove(o->acked, o->acked + n, o->n_acked * sizeof(ids[0]));
	for (size_t i = 0; i < n_bad; i++) {
		bad[i] = o->bad[i];
		bad[i].error = arena_keep(s->a, o->bad[i].error);
		mem_free((void *)o->bad[i].error.p);
	}
	o->n_bad -= n_bad;
	if (o->n_bad)
		memmove(o->bad, o->bad + n_bad, o->n_bad * sizeof(bad[0]));
	s->rows.edus = ids;
	s->rows.n_edus = n;
	s->rows.bad = bad;
	s->rows.n_bad = n_bad;
}

/* NULL: nothing is other than on disk. Under the lock. */
static struct save *compose(struct outbox *o)
{
	struct arena *a = arena_new();
	struct save *s = ARENA_NEW(a, struct save);
	struct outbox_behind_row *behind = ARENA_ARRAY(a, struct outbox_behind_row, SAVE_ROWS);
	int64_t *level = ARENA_ARRAY(a, int64_t, SAVE_ROWS);
	const int64_t now = o->opt.now();
	bool again = false;

	s->o = o;
	s->a = a;
	s->rows.floor = o->told;
	LIST_EACH_SAFE (&o->busy, node) {
		struct destination *d = LIST_ITEM(node, struct destination, all);

		again = look_at(s, d, behind, level, now) || again;
		if (!d->listed)
			destination_schedule(o, d); /* idle, where it had nothing but its row */
	}
	s->rows.behind = behind;
	s->rows.level = level;
	take_acked(o, s);
	o->save_at = again || o->n_acked || o->n_bad ? now + SAVE_MS : 0;
	s->prune = ++o->saves % PRUNE_SAVES == 0;
	if (s->rows.floor == o->floor && s->rows.n_behind + s->rows.n_level + s->rows.n_edus + s->rows.n_bad == 0) {
		arena_free(&a);
		return NULL;
	}
	return s;
}

static err *save_run(struct tx *tx, void *arg)
{
	const struct save *s = arg;

	return store_outbox_save(tx, &s->rows);
}

static void save_after(void *arg, const err *result)
{
	struct save *s = arg;
	struct outbox *o = s->o;

	LOCKED(&o->lock);
	s->ended = true;
	s->failed = result != NULL;
	cond_broadcast(&o->saved);
	outbox_wake(o);
}

/* Looked for now and then, beside the writer. */
static err *find_left(struct outbox *o, struct save *s)
{
	struct outbox_left_row *left;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_read(o->opt.store, s->a, &tx));
	TRY(store_outbox_left_done(tx, SAVE_LEFT, &left, &n));
	s->rows.left = left;
	s->rows.n_left = n;
	return NULL;
}

static void queue(struct outbox *o, struct save *s)
{
	const struct piece piece = { .run = save_run, .after = save_after, .arg = s };
	AUTO_ARENA a = arena_new();

	s->ended = s->failed = false;
	if (s->prune && !s->rows.left && find_left(o, s))
		s->rows.n_left = 0; /* another time */
	if (!store_write(o->opt.store, a, &piece, NULL))
		return;
	LOCKED(&o->lock);
	s->ended = s->failed = true; /* the store is busy: in a moment */
}

/* Under the lock: what became of the last one. Gives one that is to be written again. */
static struct save *settle(struct outbox *o, int64_t now, bool at_once)
{
	struct save *s = o->saving;

	if (!s || !s->ended)
		return NULL;
	if (s->failed) {
		if (!s->again_at)
			s->again_at = now + SAVE_MS;
		if (now < s->again_at && !at_once)
			return NULL;
		s->again_at = 0;
		return s;
	}
	o->floor = s->rows.floor;
	save_end(&o->saving);
	return NULL;
}

void outbox_save_some(struct outbox *o)
{
	const int64_t now = o->opt.now();
	struct save *s;

	lock_take(&o->lock);
	s = settle(o, now, false);
	if (!s && !o->saving && o->save_at && o->save_at <= now)
		s = o->saving = compose(o);
	lock_drop(&o->lock);
	if (s)
		queue(o, s);
}

int64_t save_due(const struct outbox *o)
{
	if (o->saving)
		return o->saving->ended ? o->saving->again_at : INT64_MAX;
	return o->save_at ? o->save_at : INT64_MAX;
}

void save_all(struct outbox *o)
{
	AUTO_ARENA a = arena_new();
	struct save *s;
	err *e = NULL;

	for (;;) {
		lock_take(&o->lock);
		while (o->saving && !o->saving->ended)
			cond_wait(&o->saved, &o->lock);
		s = settle(o, o->opt.now(), true);
		if (!s && !o->saving)
			s = o->saving = compose(o);
		lock_drop(&o->lock);
		if (!s || e)
			break;
		e = store_do(o->opt.store, a, save_run, s);
		lock_take(&o->lock);
		s->ended = true;
		s->failed = e != NULL;
		lock_drop(&o->lock);
		if (e)
			log_error(o->opt.log, "how far other servers have got was not saved: they get some of it again",
				  F("error", e->msg));
	}
}

void save_free(struct outbox *o)
{
	save_end(&o->saving);
	for (size_t i = 0; i < o->n_bad; i++)
		mem_free((void *)o->bad[i].error.p);
	mem_free(o->bad);
	mem_free(o->acked);
}
