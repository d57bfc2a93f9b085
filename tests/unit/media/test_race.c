/*
 * Many at once: uploads of the same few bytes, deletions of them, and a keeper that never rests. Whatever the order,
 * an item that is there can be read, and in the end the files are exactly those of the rows.
 */
#include "repo.h"

#include <pthread.h>
#include <stdatomic.h>

#include "store/tx.h"

enum { UPLOADERS = 4, ROUNDS = 60, TEXTS = 3 };

struct crowd {
	struct repo *r;
	atomic_uint busy;
	atomic_bool failed;
};
struct worker {
	struct crowd *crowd;
	unsigned seed;
	str kept; /* the last one, not deleted */
	char text[16];
	char id[64];
};

static bool reads_as(struct repo *r, struct arena *a, str id, const char *text)
{
	const struct media_find_cmd cmd = { .server_name = S("x.org"), .media_id = id };
	struct media_item item;
	char p[16];
	ssize_t n;
	int fd;

	if (media_find(r->m, a, &cmd, NULL, &item) || media_open(r->m, a, &item, &fd))
		return false;
	n = read(fd, p, sizeof(p));
	close(fd);
	return n == (ssize_t)strlen(text) && memcmp(p, text, (size_t)n) == 0;
}

static void *upload_and_delete(void *arg)
{
	struct worker *w = arg;
	struct crowd *c = w->crowd;

	for (unsigned round = 0; round < ROUNDS && !atomic_load(&c->failed); round++) {
		AUTO_ARENA a = arena_new();
		const struct media_upload_cmd cmd = { .user = 42, .length = -1 };
		str mxc, id;

		snprintf(w->text, sizeof(w->text), "text %u", rand_r(&w->seed) % TEXTS);
		if (media_put(c->r->m, a, &cmd, str_c(w->text), &mxc)) {
			atomic_store(&c->failed, true);
			break;
		}
		id = str_from(mxc, 12);
		if (!reads_as(c->r, a, id, w->text))
			atomic_store(&c->failed, true);
		if (round == ROUNDS - 1)
			snprintf(w->id, sizeof(w->id), "%.*s", STR_ARG(id));
		else if (media_delete(c->r->m, a, S("x.org"), id))
			atomic_store(&c->failed, true);
	}
	atomic_fetch_sub(&c->busy, 1);
	return NULL;
}

static err *count_contents(struct tx *tx, size_t *out)
{
	int64_t *numbers;

	return tx_ints(tx, "SELECT content FROM media_content", NO_BIND, &numbers, out);
}

static void uploads_deletions_and_sweeps_agree(struct both *b)
{
	struct worker workers[UPLOADERS];
	pthread_t threads[UPLOADERS];
	struct crowd c = { 0 };
	struct repo r;
	size_t rows;

	repo_begin(&r, b);
	c.r = &r;
	atomic_store(&c.busy, UPLOADERS);
	for (unsigned i = 0; i < UPLOADERS; i++) {
		workers[i] = (struct worker){ .crowd = &c, .seed = i + 1 };
		assert_int_equal(pthread_create(&threads[i], NULL, upload_and_delete, &workers[i]), 0);
	}
	while (atomic_load(&c.busy) > 0) {
		AUTO_ARENA a = arena_new();

		both_ok(media_keep(r.m, a));
	}
	for (unsigned i = 0; i < UPLOADERS; i++)
		pthread_join(threads[i], NULL);
	assert_false(atomic_load(&c.failed));
	both_ok(media_keep(r.m, b->a));
	for (unsigned i = 0; i < UPLOADERS; i++)
		assert_true(reads_as(&r, b->a, str_c(workers[i].id), workers[i].text));
	assert_int_equal(repo_files("/tmp"), 0);
	{
		AUTO_TX tx = NULL;

		both_ok(store_read(b->st, b->a, &tx));
		both_ok(count_contents(tx, &rows));
	}
	assert_int_equal(repo_files(""), rows);
	assert_true(rows >= 1 && rows <= TEXTS);
	repo_end(&r);
}
BOTH(uploads_deletions_and_sweeps_agree)

struct quota {
	struct repo *r;
	atomic_uint taken;
};

static void *upload_ten(void *arg)
{
	struct quota *q = arg;

	for (unsigned i = 0; i < 10; i++) {
		AUTO_ARENA a = arena_new();
		const struct media_upload_cmd cmd = { .user = 42, .length = -1 };
		const err *e;
		str mxc;

		e = media_put(q->r->m, a, &cmd, S("0123456789"), &mxc);
		if (!e)
			atomic_fetch_add(&q->taken, 1);
		else if (e->code != ERR_USER_LIMIT)
			atomic_fetch_add(&q->taken, 1000);
	}
	return NULL;
}

/* Forty uploads of ten bytes at once, by a user who may upload 105. */
static void a_limit_is_exact_under_a_crowd(struct both *b)
{
	static const struct media_limit limit = { 105, 86400000, { 0 }, false };
	pthread_t threads[UPLOADERS];
	struct quota q = { 0 };
	struct repo r;

	repo_begin(&r, b);
	media_free(&r.m);
	r.opt.limits = &limit;
	r.opt.n_limits = 1;
	repo_open(&r);
	q.r = &r;
	for (unsigned i = 0; i < UPLOADERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, upload_ten, &q), 0);
	for (unsigned i = 0; i < UPLOADERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&q.taken), 10);
	assert_int_equal(repo_files(""), 1);
	repo_end(&r);
}
BOTH(a_limit_is_exact_under_a_crowd)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(uploads_deletions_and_sweeps_agree),
		BOTH_TESTS(a_limit_is_exact_under_a_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
