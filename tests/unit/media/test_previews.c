/* Who gets a preview when, what is remembered, and what goes. */
#include "repo.h"

#include "crypto/crypto.h"
#include "http/site.h"
#include "media/internal_preview.h"
#include "media/preview_rules.h"
#include "store/previews.h"

/* A client, and previews of what is on this machine. */
struct fixture {
	struct repo r;
	struct client *client;
	struct previews *pv;
};

static void begin(struct fixture *f, struct both *b)
{
	struct previews_options opt;

	nets_init(NULL);
	repo_begin(&f->r, b);
	f->client = client_with(b->a, (struct client_options){ .max_per_host = 100 });
	opt = (struct previews_options){
		.store = b->st,
		.bus = f->r.bus,
		.media = f->r.m,
		.client = f->client,
		.nets = here,
		.max_bytes = 100000,
	};
	good(previews_new(b->a, &opt, &f->pv));
}

static void end(struct fixture *f)
{
	client_stop(f->client);
	previews_free(&f->pv);
	client_free(&f->client);
	repo_end(&f->r);
}

/* ---- waiting ---- */

struct sleeper {
	struct bus_waiter w;
	struct lock lock;
	struct cond cond;
	bool woken;
};

static void wake(struct bus_waiter *w)
{
	struct sleeper *s = (struct sleeper *)(void *)w;

	lock_take(&s->lock);
	s->woken = true;
	cond_signal(&s->cond);
	lock_drop(&s->lock);
}

static void sleep_on(struct bus *bus, const struct preview_wait *wait)
{
	struct sleeper s = { .w.wake = wake };

	lock_init(&s.lock, RANK_LEAF);
	cond_init(&s.cond);
	if (bus_wait(bus, &s.w, wait->user, wait->seq)) {
		lock_take(&s.lock);
		while (!s.woken)
			cond_wait(&s.cond, &s.lock);
		lock_drop(&s.lock);
	}
	cond_done(&s.cond);
	lock_done(&s.lock);
}

/* As the handler does, which is parked meanwhile. */
static err *get(struct fixture *f, str url, int64_t ts, str *out)
{
	for (;;) {
		struct preview_wait wait;

		TRY(previews_get(f->pv, f->r.b->a, 1, url, ts, out, &wait));
		if (!str_is_none(*out))
			return NULL;
		sleep_on(f->r.bus, &wait);
	}
}

static str url_of(struct fixture *f, const struct site *s, const char *path)
{
	return arena_printf(f->r.b->a, "http://127.0.0.1:%u%s", s->port, path);
}

static bool page(struct visit *v) { return say_ok(v, S("Content-Type: text/html\r\n"), S("<title>T</title>")); }

static err *save(struct tx *tx, void *arg) { return store_preview_save(tx, arg); }

static void a_preview_is_made_once(struct both *b)
{
	struct fixture f;
	struct site *s = site_open(S("127.0.0.1"), page);
	struct preview_wait wait;
	str json;

	begin(&f, b);
	good(previews_get(f.pv, b->a, 1, url_of(&f, s, "/"), INT64_MAX, &json, &wait));
	same_str(json, STR_NONE); /* nobody waits in there */
	good(get(&f, url_of(&f, s, "/#part"), INT64_MAX, &json));
	same_str(json, S("{\"og:title\":\"T\"}"));
	good(previews_get(f.pv, b->a, 2, url_of(&f, s, "/"), 1, &json, &wait));
	same_str(json, S("{\"og:title\":\"T\"}"));
	assert_int_equal(s->n_visits, 1);
	end(&f);
	site_close(s);
}
BOTH(a_preview_is_made_once)

/* Of a time when what was known then had expired, and nobody looked again until later. */
static void a_time_between_two_looks(struct both *b)
{
	const int64_t hour = 3600 * 1000, now = clock_ms();
	struct preview_row row = { S(""), now - 10 * hour, now - 9 * hour, S("{}"), STR_NONE };
	struct fixture f;
	struct site *s = site_open(S("127.0.0.1"), page);
	uint8_t hash[32];
	str json;

	begin(&f, b);
	row.url_hash = (str){ (const char *)hash, sizeof(hash) };
	sha256(url_of(&f, s, "/"), hash);
	good(store_do(b->st, b->a, save, &row));
	good(get(&f, url_of(&f, s, "/"), INT64_MAX, &json));
	same_str(json, S("{\"og:title\":\"T\"}"));
	good(get(&f, url_of(&f, s, "/"), now - 5 * hour, &json));
	same_str(json, S("{\"og:title\":\"T\"}"));
	assert_int_equal(s->n_visits, 1);
	end(&f);
	site_close(s);
}
BOTH(a_time_between_two_looks)

/* ---- too much ---- */

/* The bus watches so many: users are not forgotten for addresses. */
static void many_addresses_are_few_keys(struct both *b)
{
	struct fixture f;
	struct preview_wait wait;
	str json;

	begin(&f, b);
	for (int i = 0; i < 4 * PREVIEW_KEYS; i++) {
		const err *e = previews_get(f.pv, b->a, 1, arena_printf(b->a, "http://10.0.0.1/%d", i), INT64_MAX,
					    &json, &wait);

		assert_true(!e || e->code == ERR_LIMIT_EXCEEDED);
		assert_in_range(wait.user - INT64_MIN, 0, PREVIEW_KEYS - 1);
	}
	end(&f);
}
BOTH(many_addresses_are_few_keys)

static bool silent(struct visit *v)
{
	lock_take(&v->site->lock);
	v->site->arrived++;
	cond_broadcast(&v->site->changed);
	lock_drop(&v->site->lock);
	keep_silent(v);
	return false;
}

static err *ask(struct fixture *f, const struct site *s, int64_t user, int i)
{
	struct preview_wait wait;
	str json;

	return previews_get(f->pv, f->r.b->a, user,
			    arena_printf(f->r.b->a, "http://127.0.0.1:%u/%" PRId64 "-%d", s->port, user, i), INT64_MAX,
			    &json, &wait);
}

static void a_user_has_so_many(struct both *b)
{
	struct fixture f;
	struct site *s = site_open(S("127.0.0.1"), silent);

	begin(&f, b);
	good(ask(&f, s, 1, 0));
	good(ask(&f, s, 1, 1));
	lock_take(&s->lock);
	while (s->arrived < PREVIEW_PER_USER)
		cond_wait(&s->changed, &s->lock);
	lock_drop(&s->lock);
	for (int i = 0; i < PREVIEW_USER_WAITING; i++)
		good(ask(&f, s, 1, 2 + i));
	fails_with(ask(&f, s, 1, 1000), ERR_LIMIT_EXCEEDED);
	good(ask(&f, s, 1, 2)); /* which is under way */
	good(ask(&f, s, 2, 0));
	lock_take(&s->lock);
	while (s->arrived < PREVIEW_PER_USER + 1)
		cond_wait(&s->changed, &s->lock);
	lock_drop(&s->lock);
	assert_int_equal(s->arrived, PREVIEW_PER_USER + 1);
	end(&f); /* and stopping ends them all */
	site_close(s);
}
BOTH(a_user_has_so_many)

static bool missing(struct visit *v) { return SAY(v, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"); }

static void a_failure_is_remembered(struct both *b)
{
	struct fixture f;
	struct site *s = site_open(S("127.0.0.1"), missing);
	str json;

	begin(&f, b);
	fails_with(get(&f, url_of(&f, s, "/"), INT64_MAX, &json), ERR_CONNECTION_FAILED);
	fails_with(get(&f, url_of(&f, s, "/"), INT64_MAX, &json), ERR_CONNECTION_FAILED);
	assert_int_equal(s->n_visits, 1);
	fails_with(get(&f, S("http://10.0.0.1/"), INT64_MAX, &json), ERR_CONNECTION_FAILED);
	end(&f);
	site_close(s);
}
BOTH(a_failure_is_remembered)

/* ---- what goes ---- */

static bool is_there(struct fixture *f, str mxc)
{
	const str rest = str_from(mxc, 6);
	const size_t slash = str_find(rest, '/');
	const struct media_find_cmd cmd = { .server_name = str_head(rest, slash),
					    .media_id = str_from(rest, slash + 1) };
	struct media_item item;

	return media_find(f->r.m, f->r.b->a, &cmd, NULL, &item) == NULL;
}

static void old_previews_go_with_their_pictures(struct both *b)
{
	static const int64_t day = 24 * 3600 * 1000;
	const struct media_upload_cmd cmd = { .content_type = S("image/png"), .length = -1 };
	const struct preview_row rows[] = {
		{ S("old"), 1, clock_ms() - 3 * day, S("{}"), STR_NONE },
		{ S("expired"), 2, clock_ms() - day, S("{}"), STR_NONE },
		{ S("without"), 3, clock_ms() - 3 * day, S("{}"), STR_NONE },
		{ S("odd"), 4, clock_ms() - 3 * day, S("{}"), S("mxc://x.org/gone") },
	};
	struct fixture f;
	str mxc[2];

	begin(&f, b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct preview_row row = rows[i];

		if (i < 2) {
			good(media_put(f.r.m, b->a, &cmd, i == 0 ? S("one") : S("two"), &mxc[i]));
			row.image = mxc[i];
		}
		good(store_do(b->st, b->a, save, &row));
	}
	good(preview_prune(f.pv, b->a));
	ok(!is_there(&f, mxc[0]), "old: its picture goes");
	ok(is_there(&f, mxc[1]), "clients may still show it");
	{
		AUTO_TX tx = NULL;
		struct preview_rows left;

		good(store_read(b->st, b->a, &tx));
		good(store_previews_old(tx, INT64_MAX, 0, 10, &left));
		assert_int_equal(left.n, 1);
		same_str(left.p[0].url_hash, S("expired"));
	}
	end(&f);
}
BOTH(old_previews_go_with_their_pictures)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(a_preview_is_made_once),      BOTH_TESTS(a_time_between_two_looks),
		BOTH_TESTS(many_addresses_are_few_keys), BOTH_TESTS(a_user_has_so_many),
		BOTH_TESTS(a_failure_is_remembered),     BOTH_TESTS(old_previews_go_with_their_pictures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
