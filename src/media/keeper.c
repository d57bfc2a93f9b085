/*
 * keeper.c - what has to be done now and then, on a thread of its own.
 *
 * Accesses are gathered in memory and written once a minute: a picture that a thousand people look at costs one
 * statement. Items that were announced and never uploaded go when their time is over. A content that nothing refers to
 * goes in three steps (files.h): its file is set aside, its row deleted if nothing refers to it still, then the file
 * removed, or put back. Whoever reads meanwhile finds the file in one place or the other.
 */
#include "media/internal_media.h"

#include "base/clock.h"
#include "base/metrics.h"

enum { KEEP_US = 60 * 1000000, SWEEP_BATCH = 100, EXPIRY_BATCH = 500, MAX_ACCESSED = 50000 };

void media_note_access(struct media *m, int64_t media)
{
	LOCKED(&m->lock);
	if (m->accessed.n < MAX_ACCESSED)
		map_put_i(&m->accessed, media, m);
}

struct accesses {
	int64_t *p;
	size_t n;
	int64_t at;
};

static void take_accesses(struct media *m, struct arena *a, struct accesses *out)
{
	int64_t media;
	void *v;

	LOCKED(&m->lock);
	out->p = ARENA_ARRAY(a, int64_t, m->accessed.n);
	for (size_t i = 0; map_next_i(&m->accessed, &i, &media, &v);)
		out->p[out->n++] = media;
	map_done(&m->accessed);
	map_init(&m->accessed, NULL);
}

static err *write_accesses(struct tx *tx, void *arg)
{
	const struct accesses *x = arg;

	return store_media_accessed(tx, x->p, x->n, x->at);
}

static err *keep_accesses(struct media *m, struct arena *a)
{
	struct accesses all = { 0 };

	take_accesses(m, a, &all);
	for (size_t i = 0; i < all.n; i += EXPIRY_BATCH) {
		struct accesses some = { all.p + i, MIN(all.n - i, (size_t)EXPIRY_BATCH), clock_ms() };

		TRY(store_do(m->opt.store, a, write_accesses, &some));
	}
	return NULL;
}

struct expiry {
	int64_t now, n;
};
static err *write_expiry(struct tx *tx, void *arg)
{
	struct expiry *x = arg;

	return store_media_drop_expired(tx, x->now, EXPIRY_BATCH, &x->n);
}

static err *keep_expired(struct media *m, struct arena *a)
{
	struct expiry x = { .now = clock_ms() };

	do
		TRY(store_do(m->opt.store, a, write_expiry, &x));
	while (x.n == EXPIRY_BATCH);
	return NULL;
}

static err *find_unused(struct media *m, struct arena *a, int64_t after, struct store_contents *out)
{
	AUTO_TX tx = NULL;

	TRY(store_read(m->opt.store, a, &tx));
	return store_contents_unused(tx, after, SWEEP_BATCH, out);
}

static err *find_left(struct media *m, struct arena *a, const int64_t *numbers, size_t n, struct store_contents *out)
{
	AUTO_TX tx = NULL;

	TRY(store_read(m->opt.store, a, &tx));
	return store_contents_find(tx, numbers, n, out);
}

struct sweep {
	int64_t *numbers;
	size_t n;
};
static err *write_sweep(struct tx *tx, void *arg)
{
	const struct sweep *s = arg;

	return store_contents_forget(tx, s->numbers, s->n);
}

static bool is_among(const struct store_contents *list, int64_t content)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->p[i].content == content)
			return true;
	return false;
}

static const uint8_t *hash_of(const struct store_content *c) { return (const uint8_t *)c->hash.p; }

static err *sweep_some(struct media *m, struct arena *a, const struct store_contents *some)
{
	struct sweep s = { .numbers = ARENA_ARRAY(a, int64_t, some->n), .n = some->n };
	struct store_contents left;

	for (size_t i = 0; i < some->n; i++) {
		s.numbers[i] = some->p[i].content;
		files_set_aside(m->files, some->p[i].content, hash_of(&some->p[i]));
	}
	TRY(store_do(m->opt.store, a, write_sweep, &s));
	TRY(find_left(m, a, s.numbers, s.n, &left));
	for (size_t i = 0; i < some->n; i++) {
		if (is_among(&left, some->p[i].content))
			files_put_back(m->files, some->p[i].content, hash_of(&some->p[i]));
		else
			files_remove(m->files, some->p[i].content, hash_of(&some->p[i]));
	}
	metric_add(media_metrics.swept, (int64_t)(some->n - left.n));
	return NULL;
}

static err *keep_contents(struct media *m, struct arena *a)
{
	struct store_contents some;
	int64_t after = 0;

	for (;;) {
		TRY(find_unused(m, a, after, &some));
		if (some.n == 0)
			return NULL;
		TRY(sweep_some(m, a, &some));
		after = some.p[some.n - 1].content;
	}
}

err *media_keep(struct media *m, struct arena *a)
{
	TRY(files_settle(m->files, a, m->opt.store));
	TRY(keep_accesses(m, a));
	TRY(keep_expired(m, a));
	return keep_contents(m, a);
}

static bool wait_for_work(struct media *m)
{
	const int64_t deadline = clock_mono_us() + KEEP_US;

	LOCKED(&m->lock);
	while (!m->kicked && !m->stopping)
		if (!cond_wait_until(&m->changed, &m->lock, deadline))
			break;
	m->kicked = false;
	return !m->stopping;
}

static void run(void *arg)
{
	struct media *m = arg;

	while (wait_for_work(m)) {
		AUTO_ARENA a = arena_new();
		const err *e = media_keep(m, a);

		if (e)
			log_warn(m->opt.log, "the content repository was not tidied", F("error", e->msg));
	}
}

void media_keeper_start(struct media *m) { m->keeper = thread_start("media", run, m); }

void media_keeper_kick(struct media *m)
{
	LOCKED(&m->lock);
	m->kicked = true;
	cond_signal(&m->changed);
}

/* What was asked for since the last keeping is written down still. */
void media_keeper_stop(struct media *m)
{
	AUTO_ARENA a = arena_new();
	const err *e;

	if (!m->keeper)
		return;
	lock_take(&m->lock);
	m->stopping = true;
	cond_signal(&m->changed);
	lock_drop(&m->lock);
	thread_join(&m->keeper);
	e = keep_accesses(m, a);
	if (e)
		log_warn(m->opt.log, "accesses to files were not written down", F("error", e->msg));
}
