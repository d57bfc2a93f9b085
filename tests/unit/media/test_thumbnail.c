/* test_thumbnail.c - thumbnails are made once, kept with their image, few of each; what failed is not tried again soon.
 */
#include "media/thumbnail.h"

#include <semaphore.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "image_worker.h"
#include "images.h"
#include "repo.h"

static const struct log no_log;

struct shop {
	struct repo r;
	struct imager *imager;
	struct thumbnails *t;
	unsigned idle_ms;
};

static const char *worker_path(void)
{
	static char path[4096];
	const ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);

	assert_true(n > 0);
	path[n] = '\0';
	memcpy(strrchr(path, '/') + 1, "media/image_worker", sizeof("media/image_worker"));
	return path;
}

static void shop_open(struct shop *s, unsigned max_per_image)
{
	static const struct thumbnail_size sizes[] = { { 32, 32, true }, { 320, 240, false } };
	const struct imager_options imager = { .log = &no_log, .program = worker_path() };
	const struct thumbnails_options opt = {
		.media = s->r.m, .sizes = sizes, .n_sizes = 2, .max_per_image = max_per_image, .idle_ms = s->idle_ms
	};
	struct thumbnails_options full = opt;

	full.imager = s->imager = imager_new(&imager);
	s->t = thumbnails_new(&full);
}

static void shop_close(struct shop *s)
{
	thumbnails_free(&s->t);
	imager_free(&s->imager);
}

static void shop_begin(struct shop *s, struct both *b, unsigned max_per_image)
{
	s->idle_ms = 0;
	repo_begin(&s->r, b);
	log_setup(LOG_ERROR + 1, LOG_TEXT);
	shop_open(s, max_per_image);
}

static void shop_end(struct shop *s)
{
	shop_close(s);
	repo_end(&s->r);
}

static int64_t counted(const char *outcome)
{
	AUTO_ARENA a = arena_new();
	const str series = arena_printf(a, "hearth_thumbnails_total{outcome=\"%s\"} ", outcome);
	AUTO_BUF b = BUF_INIT(1 << 20);
	str rest, line;
	int64_t v;

	metrics_write(&b);
	rest = buf_str(&b);
	while (str_split_next(&rest, '\n', &line))
		if (str_starts(line, series) && str_to_i64(str_from(line, series.n), &v))
			return v;
	return 0;
}

/* The item of a new upload. */
static struct media_item put(struct shop *s, str bytes)
{
	const struct media_upload_cmd cmd = { .user = 1, .user_id = S("@u:x.org"), .length = -1 };
	struct media_find_cmd find = { .server_name = S("x.org") };
	struct media_item item;
	str mxc;

	both_ok(media_put(s->r.m, s->r.b->a, &cmd, bytes, &mxc));
	find.media_id = str_from(mxc, 12);
	both_ok(media_find(s->r.m, s->r.b->a, &find, NULL, &item));
	return item;
}

struct sleeper {
	struct bus_waiter w;
	sem_t woken;
};
static void wake(struct bus_waiter *w) { sem_post(&LIST_ITEM(w, struct sleeper, w)->woken); }

static void sleep_on(struct shop *s, const struct media_wait *wait)
{
	struct sleeper z = { .w.wake = wake };

	sem_init(&z.woken, 0, 0);
	if (bus_wait(s->r.bus, &z.w, wait->user, wait->seq))
		while (sem_wait(&z.woken) != 0)
			;
	sem_destroy(&z.woken);
}

/* As a handler does it. */
static err *ask(struct shop *s, struct arena *a, const struct media_item *item, struct image_want want,
		struct media_item *out)
{
	struct media_wait wait;
	bool waits = true;

	while (waits) {
		TRY(media_thumbnail(s->t, a, item, 7, &want, &wait, &waits, out));
		if (waits)
			sleep_on(s, &wait);
	}
	return NULL;
}

static str bytes_of(struct shop *s, const struct media_item *item)
{
	str bytes;
	int fd;

	both_ok(media_open(s->r.m, s->r.b->a, item, &fd));
	bytes = image_bytes(s->r.b->a, fd);
	close(fd);
	assert_true((int64_t)bytes.n == item->size);
	return bytes;
}

static void are_made_once_and_kept(struct both *b)
{
	struct shop s;
	struct media_item item, first, other;
	const int64_t before = counted("made");
	uint64_t statements;

	shop_begin(&s, b, 0);
	item = put(&s, image_file(b->a, "turned.jpg"));
	both_ok(ask(&s, b->a, &item, (struct image_want){ 30, 30, .crop = true }, &first));
	same_str(first.content_type, S("image/jpeg"));
	same_str(first.filename, S("thumbnail.jpeg"));
	assert_true(first.content != item.content && first.size < item.size);
	assert_true(str_starts(bytes_of(&s, &first), S("\xff\xd8\xff")));
	both_ok(ask(&s, b->a, &item, (struct image_want){ 32, 32, .crop = true, .animated = true }, &other));
	assert_int_equal(other.content, first.content);
	assert_int_equal(counted("made"), before + 1);
	/* Also after a restart. */
	shop_close(&s);
	shop_open(&s, 0);
	statements = store_statements_here();
	both_ok(ask(&s, b->a, &item, (struct image_want){ 9, 9, .crop = true }, &other));
	assert_int_equal(store_statements_here() - statements, 1);
	assert_int_equal(other.content, first.content);
	assert_int_equal(counted("made"), before + 1);
	/* And of the same bytes in another item. */
	item = put(&s, image_file(b->a, "turned.jpg"));
	both_ok(ask(&s, b->a, &item, (struct image_want){ 32, 32, .crop = true }, &other));
	assert_int_equal(other.content, first.content);
	assert_int_equal(counted("made"), before + 1);
	shop_end(&s);
}
BOTH(are_made_once_and_kept)

struct asker {
	struct shop *s;
	const struct media_item *item;
	struct image_want want;
	int64_t content;
	struct thread *thread;
};

static void ask_alone(void *arg)
{
	struct asker *k = arg;
	AUTO_ARENA a = arena_new();
	struct media_item out;
	const err *e = ask(k->s, a, k->item, k->want, &out);

	k->content = e ? -1 : out.content;
}

static void many_who_ask_at_once_get_one(struct both *b)
{
	struct shop s;
	struct media_item item;
	struct asker askers[12];
	const int64_t before = counted("made");

	shop_begin(&s, b, 0);
	item = put(&s, image_file(b->a, "turned.jpg"));
	/* Wishes that are seen to be one only when it is known how small the image is, among them. */
	for (unsigned i = 0; i < ARRAY_LEN(askers); i++) {
		askers[i] = (struct asker){ .s = &s, .item = &item, .want = { 300 + 200 * i, 300 + 200 * i } };
		askers[i].thread = thread_start("asker", ask_alone, &askers[i]);
	}
	for (unsigned i = 0; i < ARRAY_LEN(askers); i++)
		thread_join(&askers[i].thread);
	for (unsigned i = 0; i < ARRAY_LEN(askers); i++)
		assert_true(askers[i].content > 0 && askers[i].content == askers[0].content);
	assert_int_equal(counted("made"), before + 1);
	shop_end(&s);
}
BOTH(many_who_ask_at_once_get_one)

static void small_bare_images_are_their_own(struct both *b)
{
	struct shop s;
	struct media_item item, out;
	const int64_t before = counted("made");

	shop_begin(&s, b, 0);
	item = put(&s, image_file(b->a, "moving.gif"));
	both_ok(ask(&s, b->a, &item, (struct image_want){ 320, 240, .animated = true }, &out));
	assert_int_equal(out.content, item.content);
	same_str(out.content_type, S("image/gif"));
	assert_int_equal(counted("made"), before);
	/* "When false, the server MUST NOT return an animated thumbnail." */
	both_ok(ask(&s, b->a, &item, (struct image_want){ 320, 240 }, &out));
	same_str(out.content_type, S("image/png"));
	assert_int_equal(counted("made"), before + 1);
	shop_end(&s);
}
BOTH(small_bare_images_are_their_own)

/* Width and height of a PNG. */
static uint32_t png_side(str png, size_t at)
{
	const uint8_t *p = (const uint8_t *)png.p + at;

	assert_true(str_starts(png, S("\x89PNG")));
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void of_one_image_only_so_many(struct both *b)
{
	enum { MOST = 3 };
	struct shop s;
	struct media_item item, out;
	const int64_t before = counted("made");
	str png;

	shop_begin(&s, b, MOST);
	item = put(&s, image_file(b->a, "opaque.png"));
	for (uint32_t i = 1; i <= 12; i++)
		both_ok(ask(&s, b->a, &item, (struct image_want){ 10 * i, 5 * i + 1, .crop = true }, &out));
	ok(counted("made") <= before + MOST + 4, "%jd made", (intmax_t)(counted("made") - before));
	/* "Servers must never return thumbnails smaller than the client's requested dimensions". */
	for (uint32_t i = 1; i <= 12; i++) {
		both_ok(ask(&s, b->a, &item, (struct image_want){ 8 * i, 55, .crop = true }, &out));
		png = bytes_of(&s, &out);
		ok(png_side(png, 16) >= 8 * i && png_side(png, 20) >= 55, "%u: %ux%u", i, png_side(png, 16),
		   png_side(png, 20));
	}
	ok(counted("made") <= before + MOST + 5, "%jd made", (intmax_t)(counted("made") - before));
	/* And those who want what all want have it. */
	both_ok(ask(&s, b->a, &item, (struct image_want){ 32, 32, .crop = true }, &out));
	png = bytes_of(&s, &out);
	ok(png_side(png, 16) == 32 && png_side(png, 20) == 32, "not the size that the operator wants made");
	shop_end(&s);
}
BOTH(of_one_image_only_so_many)

static void failures_are_remembered(struct both *b)
{
	struct shop s;
	struct media_item item, out;
	const int64_t before = counted("refused");
	const str whole = image_file(b->a, "palette.png");

	shop_begin(&s, b, 0);
	item = put(&s, str_head(whole, whole.n / 2));
	for (uint32_t i = 0; i < 4; i++)
		refused(ask(&s, b->a, &item, (struct image_want){ 30 + 100 * i, 30, .crop = true }, &out), ERR_UNKNOWN);
	assert_int_equal(counted("refused"), before + 1);
	item = put(&s, S("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0\0\0\0\0"));
	for (uint32_t i = 0; i < 2; i++)
		refused(ask(&s, b->a, &item, (struct image_want){ 30, 30, .crop = true }, &out), ERR_TOO_LARGE);
	item = put(&s, S("hello"));
	refused(ask(&s, b->a, &item, (struct image_want){ 30, 30, .crop = true }, &out), ERR_UNKNOWN);
	shop_end(&s);
}
BOTH(failures_are_remembered)

/* A PNG of one colour, by its own zlib stream. */
static str png_of(struct arena *a, uint32_t width, uint32_t height)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	const size_t size = (size_t)(width + 1) * height;
	uint8_t *zeros = mem_zalloc(size);
	uLongf n = compressBound(size);
	uint8_t *packed = mem_alloc(n);
	char head[13] = { [8] = 8 };

	for (int i = 0; i < 4; i++) {
		head[i] = (char)(width >> (24 - 8 * i));
		head[4 + i] = (char)(height >> (24 - 8 * i));
	}
	assert_true(compress2(packed, &n, zeros, size, 9) == Z_OK);
	buf_add(&b, S("\x89PNG\r\n\x1a\n"));
	image_png_chunk(&b, "IHDR", head, sizeof(head));
	image_png_chunk(&b, "IDAT", packed, n);
	image_png_chunk(&b, "IEND", NULL, 0);
	mem_free(zeros);
	mem_free(packed);
	return arena_keep(a, buf_str(&b));
}

/* Somebody wishes for so much that it has to be stopped: small ones are made all the same. */
static void a_wish_for_too_much_is_nobody_else_s_loss(struct both *b)
{
	const struct image_want giant = { WORKER_CRASHES, 50, .crop = true },
				less = { WORKER_CRASHES, 40, .crop = true }, small = { 32, 32, .crop = true };
	struct shop s;
	struct media_item item, out;
	const int64_t before = counted("died");

	shop_begin(&s, b, 0);
	item = put(&s, png_of(b->a, 61000, 60));
	refused(ask(&s, b->a, &item, giant, &out), ERR_UNKNOWN);
	assert_int_equal(counted("died"), before + 1);
	both_ok(ask(&s, b->a, &item, small, &out));
	/* Nearly as much is not tried again, nor the same. */
	refused(ask(&s, b->a, &item, less, &out), ERR_UNKNOWN);
	refused(ask(&s, b->a, &item, giant, &out), ERR_UNKNOWN);
	assert_int_equal(counted("died"), before + 1);
	shop_end(&s);
}
BOTH(a_wish_for_too_much_is_nobody_else_s_loss)

static err *wish(struct shop *s, int64_t asker, const struct media_item *item, struct image_want want)
{
	struct media_wait wait;
	struct media_item out;
	bool waits;

	return media_thumbnail(s->t, s->r.b->a, item, asker, &want, &wait, &waits, &out);
}

/* Both threads are busy for long; then one asks for more and more of somebody's image, and another for one. */
static void one_who_asks_for_much_leaves_room_for_others(struct both *b)
{
	const struct image_want for_long = { WORKER_WAITS, 50, .crop = true };
	struct shop s;
	struct media_item item;
	uint32_t n = 0;
	err *e = NULL;

	shop_begin(&s, b, 0);
	for (uint32_t i = 0; i < 2; i++) {
		item = put(&s, png_of(b->a, 61000, 60 + i));
		both_ok(wish(&s, 7, &item, for_long));
	}
	item = put(&s, image_file(b->a, "turned.jpg"));
	while (!e && n < 100)
		e = wish(&s, 7, &item, (struct image_want){ 4000 + n++, 100 });
	refused(e, ERR_BUSY);
	assert_true(n >= 60);
	both_ok(wish(&s, 8, &item, (struct image_want){ 32, 32, .crop = true }));
	shop_end(&s);
}
BOTH(one_who_asks_for_much_leaves_room_for_others)

static void an_idle_server_has_no_child(struct both *b)
{
	struct shop s;
	struct media_item item, out;

	shop_begin(&s, b, 0);
	shop_close(&s);
	s.idle_ms = 1;
	shop_open(&s, 0);
	item = put(&s, image_file(b->a, "turned.jpg"));
	for (uint32_t i = 0; i < 3; i++) { /* and comes back when it is needed */
		both_ok(ask(&s, b->a, &item, (struct image_want){ 20 + i, 30 + 20 * i, .crop = true }, &out));
		for (const int64_t end = clock_mono_ms() + 20000; child_of_this() > 0;)
			assert_true(clock_mono_ms() < end);
	}
	shop_end(&s);
}
BOTH(an_idle_server_has_no_child)

static void go_with_their_image(struct both *b)
{
	struct shop s;
	struct media_item item, twin, out;

	shop_begin(&s, b, 0);
	item = put(&s, image_file(b->a, "turned.jpg"));
	twin = put(&s, image_file(b->a, "turned.jpg"));
	both_ok(ask(&s, b->a, &item, (struct image_want){ 32, 32, .crop = true }, &out));
	both_ok(ask(&s, b->a, &item, (struct image_want){ 320, 240 }, &out));
	assert_int_equal(repo_files(""), 3);
	/* As long as one item shows the image. */
	both_ok(media_delete(s.r.m, b->a, S("x.org"), item.media_id));
	both_ok(media_keep(s.r.m, b->a));
	assert_int_equal(repo_files(""), 3);
	both_ok(media_delete(s.r.m, b->a, S("x.org"), twin.media_id));
	both_ok(media_keep(s.r.m, b->a));
	both_ok(media_keep(s.r.m, b->a));
	assert_int_equal(repo_files(""), 0);
	/* One that is asked for when the image is gone. */
	refused(ask(&s, b->a, &item, (struct image_want){ 32, 32, .crop = true }, &out), ERR_NOT_FOUND);
	assert_int_equal(repo_files(""), 0);
	shop_end(&s);
}
BOTH(go_with_their_image)

/* A thumbnail whose bytes somebody has uploaded, too, stays for them. */
static void shared_bytes_stay(struct both *b)
{
	struct shop s;
	struct media_item item, out, copy, again;

	shop_begin(&s, b, 0);
	item = put(&s, image_file(b->a, "turned.jpg"));
	both_ok(ask(&s, b->a, &item, (struct image_want){ 32, 32, .crop = true }, &out));
	copy = put(&s, bytes_of(&s, &out));
	assert_int_equal(copy.content, out.content);
	/* Its own thumbnail is itself. */
	both_ok(ask(&s, b->a, &copy, (struct image_want){ 320, 240 }, &again));
	assert_int_equal(again.content, copy.content);
	both_ok(media_delete(s.r.m, b->a, S("x.org"), item.media_id));
	both_ok(media_keep(s.r.m, b->a));
	both_ok(media_keep(s.r.m, b->a));
	assert_int_equal(repo_files(""), 1);
	(void)bytes_of(&s, &copy);
	both_ok(media_delete(s.r.m, b->a, S("x.org"), copy.media_id));
	both_ok(media_keep(s.r.m, b->a));
	both_ok(media_keep(s.r.m, b->a));
	assert_int_equal(repo_files(""), 0);
	shop_end(&s);
}
BOTH(shared_bytes_stay)

static void stops_with_work_left(struct both *b)
{
	struct shop s;
	struct media_wait wait;
	struct media_item out;
	bool waits;

	shop_begin(&s, b, 0);
	for (unsigned i = 0; i < 20; i++) {
		const struct media_item item =
			put(&s, arena_join2(b->a, image_file(b->a, "photo.jpg"), arena_printf(b->a, "%u", i)));

		both_ok(media_thumbnail(s.t, b->a, &item, 7, &(struct image_want){ 320, 240 }, &wait, &waits, &out));
		assert_true(waits);
	}
	shop_end(&s);
}
BOTH(stops_with_work_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(are_made_once_and_kept),
		BOTH_TESTS(many_who_ask_at_once_get_one),
		BOTH_TESTS(small_bare_images_are_their_own),
		BOTH_TESTS(of_one_image_only_so_many),
		BOTH_TESTS(failures_are_remembered),
		BOTH_TESTS(one_who_asks_for_much_leaves_room_for_others),
		BOTH_TESTS(an_idle_server_has_no_child),
		BOTH_TESTS(a_wish_for_too_much_is_nobody_else_s_loss),
		BOTH_TESTS(go_with_their_image),
		BOTH_TESTS(shared_bytes_stay),
		BOTH_TESTS(stops_with_work_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
