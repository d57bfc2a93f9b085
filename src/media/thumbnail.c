/*
 * thumbnail.c - thumbnails made once, kept, and found again.
 *
 * Whoever asks looks into the table. What is not there becomes a *job*, unless there is one for the same wish already,
 * and the asker sleeps on the bus's key of the image. That is watched before the table and the jobs are looked at for
 * the last time; so what ends in between is seen by one of the two. A job that has ended, well or not, touches that
 * key, and all who sleep on it ask again.
 *
 * Jobs are done by a few threads. Those of one image are done one after the other: the first learns what the image is,
 * and others often find then that their wish has been fulfilled. As long as others wait, nobody's images take more than
 * one thread, and nobody's wishes: who asks for many of another's images does not keep others from those.
 *
 * Failures are remembered by image, in memory and for a time: a damaged image for a day, one that had to be stopped for
 * an hour, what was the server's own trouble just so long that those who wait hear of it. What had to be stopped may
 * have been asked too much: a wish for less than half of it is tried still, so that nobody's wish for a giant is the
 * end of everybody's thumbnails.
 */
#include "media/thumbnail.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "bus/bus.h"
#include "media/internal_media.h"
#include "store/thumbnails.h"

#include <assert.h>
#include <unistd.h>

enum {
	MAX_JOBS = 512,
	MAX_JOBS_OF_ONE = 128, /* of one uploader's images */
	MAX_JOBS_FOR_ONE = 64, /* who asked first */
	MAX_FAILURES = 10000,
	MAX_THREADS = 16,
};
static const int64_t bad_us = INT64_C(24) * 3600 * 1000000, hard_us = INT64_C(3600) * 1000000, busy_us = 2 * 1000000;

struct job {
	struct list node;       /* in the queue; alone while it is done */
	struct media_item item; /* its numbers and hash; no texts */
	int64_t asker;
	struct image_want want;
	struct image_seen seen; /* when it was tried */
	uint64_t tried;         /* pixels that it was to have; 0: it did not come to that */
};
struct failure {
	enum err_code code;
	unsigned detail;
	int64_t until; /* clock_mono_us */
	struct image_seen seen;
	uint64_t too_hard; /* pixels: with as many and more; 0: with any number */
};
struct thumbnails {
	struct thumbnails_options opt;
	struct lock lock;
	struct cond changed;
	struct list queue;
	struct job *doing[MAX_THREADS];
	size_t n_jobs;       /* in the queue and being done */
	struct map failures; /* by content: struct failure */
	struct thread *threads[MAX_THREADS];
	unsigned n_threads;
	bool stopping, rests; /* rests: the imager has no child */
	int64_t idle_at;      /* clock_mono_us: if no job comes until then */
};

struct thumbnails *thumbnails_new(const struct thumbnails_options *opt)
{
	struct thumbnails *t = MEM_NEW(struct thumbnails);

	t->opt = *opt;
	t->opt.threads = opt->threads > 0 ? MIN(opt->threads, (unsigned)MAX_THREADS) : 2;
	t->opt.idle_ms = opt->idle_ms > 0 ? opt->idle_ms : 300 * 1000;
	t->rests = true;
	t->opt.max_per_image = opt->max_per_image > 0 ? opt->max_per_image : 24;
	lock_init(&t->lock, RANK_SERVICE);
	cond_init(&t->changed);
	list_init(&t->queue);
	map_init(&t->failures, NULL);
	return t;
}

static void forget_failures(struct thumbnails *t, int64_t before)
{
	int64_t content;
	void *f;

	for (size_t i = 0; map_next_i(&t->failures, &i, &content, &f);)
		if (((struct failure *)f)->until < before)
			mem_free(map_del_i(&t->failures, content));
}

void thumbnails_free(struct thumbnails **tp)
{
	struct thumbnails *t = *tp;

	if (!t)
		return;
	lock_take(&t->lock);
	t->stopping = true;
	cond_broadcast(&t->changed);
	lock_drop(&t->lock);
	imager_stop(t->opt.imager);
	for (unsigned i = 0; i < t->n_threads; i++)
		thread_join(&t->threads[i]);
	for (struct list *n; (n = list_pop(&t->queue));)
		mem_free(LIST_ITEM(n, struct job, node));
	forget_failures(t, INT64_MAX);
	map_done(&t->failures);
	cond_done(&t->changed);
	lock_done(&t->lock);
	mem_free(t);
	*tp = NULL;
}

/*
 * The table
 */
struct made {
	const struct thumbnail_row *p;
	size_t n;
};

static uint64_t area_of(const struct image_want *want) { return (uint64_t)want->width * want->height; }

static err *made_of(const struct thumbnails *t, struct arena *a, int64_t content, struct made *out)
{
	AUTO_TX tx = NULL;

	TRY(store_read(t->opt.media->opt.store, a, &tx));
	return store_thumbnails_of(tx, content, &out->p, &out->n);
}

static const struct thumbnail_row *row_for(const struct made *made, const struct image_want *chosen)
{
	for (size_t i = 0; i < made->n; i++) {
		const struct thumbnail_row *r = &made->p[i];

		if (r->width == chosen->width && r->height == chosen->height && r->crop == chosen->crop &&
		    r->animated == chosen->animated)
			return r;
	}
	return NULL;
}

static struct image_seen image_of(struct arena *a, const struct thumbnail_row *r)
{
	return (struct image_seen){ .content_type = arena_cstr(a, r->image_type),
				    .width = r->image_width,
				    .height = r->image_height,
				    .frames = r->image_frames };
}

/*
 * "Servers must never return thumbnails smaller than the client's requested dimensions": and so nobody can use up what
 * there may be of an image by wishes for stamps of every shape. What comes after them becomes one of few sizes, each of
 * which may always be made.
 */
static struct image_want choose(const struct thumbnails *t, const struct made *made, const struct image_want *want,
				const struct image_seen *seen)
{
	const struct image_want chosen = thumbnail_choose(&t->opt, want, seen);

	if (made->n < t->opt.max_per_image || row_for(made, &chosen))
		return chosen;
	return thumbnail_choose_of_few(&t->opt, want, seen);
}

/* The row that answers the wish; NULL: it has to be made. */
static const struct thumbnail_row *find_made(const struct thumbnails *t, struct arena *a, const struct made *made,
					     const struct image_want *want)
{
	struct image_want chosen;
	struct image_seen seen;

	if (made->n == 0)
		return NULL;
	seen = image_of(a, &made->p[0]);
	chosen = choose(t, made, want, &seen);
	return row_for(made, &chosen);
}

/*
 * Making one
 */
static void keep_seen(struct thumbnail_row *row, const struct image_seen *seen, const struct image_want *chosen)
{
	row->width = chosen->width;
	row->height = chosen->height;
	row->crop = chosen->crop;
	row->animated = chosen->animated;
	row->image_type = str_c(seen->content_type);
	row->image_width = seen->width;
	row->image_height = seen->height;
	row->image_frames = seen->frames;
}

struct add {
	const struct thumbnail_row *row;
	const struct store_content *c; /* NULL: the image shows itself */
	int64_t made;
	bool added;
};

static err *write_row(struct tx *tx, void *arg)
{
	struct add *add = arg;

	return store_thumbnail_add(tx, add->row, add->c, &add->made, &add->added);
}

/* A file like that of an upload (upload.c): on disk, then the row, then in place. */
static err *keep_bytes(const struct thumbnails *t, struct arena *a, const struct thumbnail_row *row,
		       struct new_file *file, str bytes, int64_t number)
{
	uint8_t hash[32];
	struct store_content c = { number, { (const char *)hash, sizeof(hash) }, (int64_t)bytes.n };
	struct add add = { .row = row, .c = &c };
	err *e;

	TRY(new_file_write(file, a, bytes));
	TRY(new_file_seal(file, a, hash));
	e = store_do(t->opt.media->opt.store, a, write_row, &add);
	if (e && e->code == ERR_STORE)
		new_file_leave(file);
	TRY(e);
	if (add.added)
		new_file_keep(file, add.made);
	return NULL;
}

static err *keep(const struct thumbnails *t, struct arena *a, const struct thumbnail_row *row, str bytes)
{
	struct new_file *file;
	int64_t number;
	err *e;

	TRY(store_next_id(t->opt.media->opt.store, a, SEQ_MISC, 1, &number));
	TRY(new_file_begin(t->opt.media->files, a, number, &file));
	e = keep_bytes(t, a, row, file, bytes, number);
	new_file_drop(&file);
	return e;
}

static err *keep_image_itself(const struct thumbnails *t, struct arena *a, const struct thumbnail_row *row)
{
	struct add add = { .row = row };

	return store_do(t->opt.media->opt.store, a, write_row, &add);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define AUTO_FD CLEANUP(close_fd) int

static err *decode(const struct thumbnails *t, struct arena *a, int image, const struct image_want *chosen,
		   struct thumbnail_row *row)
{
	struct image_made made;

	TRY(imager_thumbnail(t->opt.imager, a, image, chosen, &made));
	row->content_type = str_c(made.content_type);
	return keep(t, a, row, made.bytes);
}

static err *make(const struct thumbnails *t, struct arena *a, struct job *job)
{
	struct thumbnail_row row = { .content = job->item.content };
	AUTO_FD image = -1;
	struct image_want chosen;
	struct image_seen seen;
	struct made made;

	TRY(made_of(t, a, job->item.content, &made));
	if (find_made(t, a, &made, &job->want))
		return NULL;
	TRY(media_open(t->opt.media, a, &job->item, &image));
	TRY(imager_probe(t->opt.imager, a, image, &seen));
	chosen = choose(t, &made, &job->want, &seen);
	keep_seen(&row, &seen, &chosen);
	/* "When the content is smaller than the requested dimensions, servers should return the original content rather
	 * than thumbnail it.": where there is nothing in it but pixels. "When false, the server MUST NOT return an
	 * animated thumbnail." */
	if (thumbnail_is_whole(&chosen, &seen) && seen.bare && (seen.frames == 1 || chosen.animated)) {
		row.content_type = row.image_type;
		return keep_image_itself(t, a, &row);
	}
	job->seen = seen;
	job->tried = area_of(&chosen);
	return decode(t, a, image, &chosen, &row);
}

/*
 * Jobs
 */
static void remember_failure(struct thumbnails *t, const struct job *job, const err *e)
{
	const int64_t now = clock_mono_us();
	struct failure *f = MEM_NEW(struct failure);

	*f = (struct failure){ .code = e->code, .detail = e->detail, .until = now, .seen = job->seen };
	f->until += e->detail == IMAGER_BAD_IMAGE ? bad_us : e->detail == IMAGER_TOO_HARD ? hard_us : busy_us;
	/* Halved each time: so few tries find out what is possible, whatever is wished for. */
	if (e->detail == IMAGER_TOO_HARD)
		f->too_hard = job->tried / 2;
	if (t->failures.n >= MAX_FAILURES)
		forget_failures(t, now);
	if (t->failures.n >= MAX_FAILURES)
		forget_failures(t, INT64_MAX);
	mem_free(map_put_i(&t->failures, job->item.content, f));
}

static err *known_failure(struct thumbnails *t, struct arena *a, const struct job *job, const struct made *made)
{
	const struct failure *f = map_get_i(&t->failures, job->item.content);
	struct image_want chosen;
	err *e;

	if (!f || f->until < clock_mono_us())
		return NULL;
	if (f->too_hard > 0) {
		chosen = choose(t, made, &job->want, &f->seen);
		if (area_of(&chosen) < f->too_hard)
			return NULL;
	}
	e = err_new(a, f->code, "%s",
		    f->code == ERR_TOO_LARGE ? "Content is too large to thumbnail"
		    : f->code == ERR_BUSY    ? "Too many thumbnails are being made"
					     : "Cannot generate thumbnails for the requested content");
	e->detail = f->detail;
	return e;
}

static bool is_of_same_image(const struct job *x, const struct job *y) { return x->item.content == y->item.content; }

static bool is_of_same_people(const struct job *x, const struct job *y)
{
	return x->item.uploader == y->item.uploader || x->asker == y->asker;
}

static bool is_being_done(const struct thumbnails *t, const struct job *job,
			  bool (*same)(const struct job *, const struct job *))
{
	for (unsigned i = 0; i < t->n_threads; i++)
		if (t->doing[i] && same(t->doing[i], job))
			return true;
	return false;
}

/* With the lock: the next to do, or NULL. */
static struct job *take_job(struct thumbnails *t)
{
	struct job *second = NULL;

	LIST_EACH (&t->queue, it) {
		struct job *job = LIST_ITEM(it, struct job, node);

		if (is_being_done(t, job, is_of_same_image))
			continue;
		if (!is_being_done(t, job, is_of_same_people)) {
			second = job;
			break;
		}
		if (!second)
			second = job;
	}
	if (second)
		list_del(&second->node);
	return second;
}

static void do_job(struct thumbnails *t, struct job *job)
{
	struct bus *bus = t->opt.media->opt.bus;
	AUTO_ARENA a = arena_new();
	const err *e = make(t, a, job);

	if (e && e->detail == 0)
		log_warn(t->opt.media->opt.log, "a thumbnail was not made", F("content", job->item.content),
			 F("error", e->msg));
	lock_take(&t->lock);
	if (e)
		remember_failure(t, job, e);
	t->n_jobs--;
	t->idle_at = clock_mono_us() + (int64_t)t->opt.idle_ms * 1000;
	for (unsigned i = 0; i < t->n_threads; i++)
		if (t->doing[i] == job)
			t->doing[i] = NULL;
	cond_broadcast(&t->changed);
	lock_drop(&t->lock);
	bus_touch_user(bus, media_wait_key(job->item.content), BUS_PRESENCE, bus_next_serial(bus));
	mem_free(job);
}

/* With the lock. The child, and so its memory, is not kept for nothing. */
static void wait_for_job(struct thumbnails *t)
{
	if (t->rests || t->n_jobs > 0) {
		cond_wait(&t->changed, &t->lock);
		return;
	}
	if (cond_wait_until(&t->changed, &t->lock, t->idle_at) || t->n_jobs > 0 || clock_mono_us() < t->idle_at)
		return;
	t->rests = true;
	lock_drop(&t->lock);
	imager_rest(t->opt.imager);
	lock_take(&t->lock);
}

static void work(void *arg)
{
	struct thumbnails *t = arg;

	lock_take(&t->lock);
	while (!t->stopping) {
		struct job *job = take_job(t);
		unsigned at = 0;

		if (!job) {
			wait_for_job(t);
			continue;
		}
		while (t->doing[at])
			at++;
		t->doing[at] = job;
		t->rests = false;
		lock_drop(&t->lock);
		do_job(t, job);
		lock_take(&t->lock);
	}
	lock_drop(&t->lock);
}

static bool same_want(const struct image_want *x, const struct image_want *y)
{
	return x->width == y->width && x->height == y->height && x->crop == y->crop && x->animated == y->animated;
}

static bool is_same_wish(const struct job *x, const struct job *y)
{
	return is_of_same_image(x, y) && same_want(&x->want, &y->want);
}

static bool is_wanted_already(const struct thumbnails *t, const struct job *job)
{
	if (is_being_done(t, job, is_same_wish))
		return true;
	LIST_EACH (&t->queue, it)
		if (is_same_wish(LIST_ITEM(it, struct job, node), job))
			return true;
	return false;
}

static bool is_too_much(const struct thumbnails *t, const struct job *job)
{
	size_t of_uploader = 0, of_asker = 0;

	LIST_EACH (&t->queue, it) {
		const struct job *other = LIST_ITEM(it, struct job, node);

		of_uploader += other->item.uploader == job->item.uploader;
		of_asker += other->asker == job->asker;
	}
	return t->n_jobs >= MAX_JOBS || of_uploader >= MAX_JOBS_OF_ONE || of_asker >= MAX_JOBS_FOR_ONE;
}

/* Unless there is one already. The threads are started when there is something to do. */
static err *ask_for(struct thumbnails *t, struct arena *a, const struct media_item *item, int64_t asker,
		    const struct image_want *want, const struct made *made)
{
	const struct job job = { .item = { .media = item->media, .content = item->content, .uploader = item->uploader },
				 .asker = asker,
				 .want = *want };
	struct job *kept;
	err *e;

	LOCKED(&t->lock);
	e = known_failure(t, a, &job, made);
	if (e || is_wanted_already(t, &job))
		return e;
	if (t->stopping || is_too_much(t, &job))
		return err_new(a, ERR_BUSY, "Too many thumbnails are being made");
	kept = MEM_NEW(struct job);
	*kept = job;
	memcpy(kept->item.hash, item->hash, sizeof(kept->item.hash));
	list_add_tail(&t->queue, &kept->node);
	t->n_jobs++;
	if (t->n_jobs > t->n_threads && t->n_threads < t->opt.threads) {
		t->threads[t->n_threads] = thread_start("thumbnail", work, t);
		t->n_threads++;
	}
	cond_signal(&t->changed);
	return NULL;
}

/*
 * Asking for one
 */
static void answer(struct arena *a, const struct media_item *item, const struct thumbnail_row *row,
		   struct media_item *out)
{
	const str type = row->content_type;

	assert(row->hash.n == sizeof(out->hash));
	*out = *item;
	out->content = row->made;
	out->size = row->size;
	out->content_type = type;
	out->filename = arena_join2(a, S("thumbnail."), str_from(type, str_find(type, '/') + 1));
	memcpy(out->hash, row->hash.p, sizeof(out->hash));
}

err *media_thumbnail(struct thumbnails *t, struct arena *a, const struct media_item *item, int64_t asker,
		     const struct image_want *want, struct media_wait *wait, bool *out_waits, struct media_item *out)
{
	const struct image_want chosen = thumbnail_choose(&t->opt, want, NULL);
	const struct thumbnail_row *row;
	struct made made;

	*out_waits = false;
	TRY(made_of(t, a, item->content, &made));
	row = find_made(t, a, &made, &chosen);
	if (!row) {
		media_begin_wait(t->opt.media, item->content, wait);
		TRY(made_of(t, a, item->content, &made));
		row = find_made(t, a, &made, &chosen);
	}
	if (!row)
		TRY(ask_for(t, a, item, asker, &chosen, &made));
	if (row)
		answer(a, item, row, out);
	*out_waits = !row;
	return NULL;
}
