/* stream_fixture.h - a sink and a source that look at every byte, and a client for them. */
#pragma once

#include "fixture.h"

#include <stdio.h>

enum { PIECE = HTTP_STREAM_BYTES, MB = 1024 * 1024 };

/* What sinks and sources saw, under world.lock. */
static struct {
	int sinks, sinks_refused, sinks_dropped, takes, sources, sources_dropped, fills;
	int64_t largest;
	int64_t most_charged, most_sent;
	bool wrong; /* bytes that were not sent */
} seen;

/* What a body holds at a place: no two pieces are alike. */
static char at(uint64_t i) { return (char)((i * 31 + (i >> 12) * 7) & 0xff); }

/* What each call of a sink or a source costs, as far as the metrics know. */
static _Thread_local uint64_t statements;
static uint64_t statements_here(void) { return statements; }

struct sink {
	uint64_t n;
};

static void note(const struct http *h, size_t piece)
{
	const int64_t charged = atomic_load(&h->body_bytes), sent = atomic_load(&h->stream_bytes);

	LOCKED(&world.lock);
	seen.largest = MAX(seen.largest, (int64_t)piece);
	seen.most_charged = MAX(seen.most_charged, charged);
	seen.most_sent = MAX(seen.most_sent, sent);
}

/* ?gate=yes: takes and fills wait for an open_gate. */
static void pass_gate(void)
{
	LOCKED(&world.lock);
	world.inside++;
	cond_broadcast(&world.changed);
	while (world.open == 0)
		cond_wait(&world.changed, &world.lock);
	world.open--;
	world.inside--;
	cond_broadcast(&world.changed);
}

static err *sink_begin(struct req *rq, void **out)
{
	int64_t max;

	assert_true(rq->route->auth == AUTH_NONE || rq->user_id.n > 0);
	TRY(req_query_int(rq, "max", INT64_MAX, &max));
	if (req_body_length(rq) > max) {
		LOCKED(&world.lock);
		seen.sinks_refused++;
		cond_broadcast(&world.changed);
		return err_new(rq->arena, ERR_TOO_LARGE, "no more than %" PRId64, max);
	}
	statements++;
	*out = MEM_NEW(struct sink);
	LOCKED(&world.lock);
	seen.sinks++;
	cond_broadcast(&world.changed);
	return NULL;
}

static err *sink_take(struct req *rq, void *arg, str bytes)
{
	struct sink *s = arg;
	int64_t fail_at;
	bool wrong = false;

	assert_true(bytes.n > 0);
	statements++;
	note(rq->in->h, bytes.n);
	if (!str_is_none(req_query(rq, "gate")))
		pass_gate();
	for (size_t i = 0; i < bytes.n; i++)
		wrong |= bytes.p[i] != at(s->n + i);
	s->n += bytes.n;
	TRY(req_query_int(rq, "fail_at", INT64_MAX, &fail_at));
	LOCKED(&world.lock);
	seen.wrong |= wrong;
	seen.takes++;
	cond_broadcast(&world.changed);
	return (int64_t)s->n > fail_at ? err_new(rq->arena, ERR_RESOURCE_LIMIT, "full") : NULL;
}

static void sink_drop(void *arg)
{
	mem_free(arg);
	LOCKED(&world.lock);
	seen.sinks_dropped++;
	cond_broadcast(&world.changed);
}

static const struct sink_ops sink = { sink_begin, sink_take, sink_drop };

static err *put_sink(struct req *rq)
{
	const struct sink *s = req_sink(rq);
	struct jw *w = reply_json(rq, 200);

	jw_int(w, "taken", (int64_t)s->n);
	jw_int(w, "length", req_body_length(rq));
	return NULL;
}

struct source {
	const struct http *h;
	uint64_t n, fail_at;
	uint64_t end; /* of a source that does not say how long it is */
	size_t piece;
	bool gated;
};

static err *source_fill(void *arg, struct arena *a, char *p, size_t max, size_t *out_n)
{
	struct source *s = arg;

	assert_in_range(max, 1, PIECE);
	statements++;
	note(s->h, 0);
	if (s->gated)
		pass_gate();
	lock_take(&world.lock);
	seen.fills++;
	cond_broadcast(&world.changed);
	lock_drop(&world.lock);
	if (s->n >= s->fail_at)
		return err_new(a, ERR_INTERNAL, "the disk is gone");
	*out_n = (size_t)MIN(MIN(max, s->piece), s->end - s->n);
	for (size_t i = 0; i < *out_n; i++)
		p[i] = at(s->n + i);
	s->n += *out_n;
	return NULL;
}

static void source_drop(void *arg)
{
	mem_free(arg);
	LOCKED(&world.lock);
	seen.sources_dropped++;
	cond_broadcast(&world.changed);
}

static err *get_source(struct req *rq)
{
	static const struct source_ops ops = { source_fill, source_drop };
	struct source *s = MEM_NEW(struct source);
	int64_t n = 0, fail_at = 0, piece = 0;

	assert_null(req_query_int(rq, "n", 0, &n));
	assert_null(req_query_int(rq, "fail_at", INT64_MAX, &fail_at));
	assert_null(req_query_int(rq, "piece", PIECE, &piece));
	s->h = rq->in->h;
	s->fail_at = (uint64_t)fail_at;
	s->piece = (size_t)piece;
	s->gated = !str_is_none(req_query(rq, "gate"));
	s->end = UINT64_MAX;
	if (!str_is_none(req_query(rq, "unknown"))) {
		s->end = (uint64_t)n;
		n = -1;
	}
	lock_take(&world.lock);
	seen.sources++;
	lock_drop(&world.lock);
	reply_stream(rq, 200, S("image/png"), (uint64_t)n, &ops, s);
	reply_header(rq, "ETag", S("\"x\""));
	if (!str_is_none(req_query(rq, "fail")))
		return err_new(rq->arena, ERR_FORBIDDEN, "after all");
	return NULL;
}

static const struct route stream_routes[] = {
	{ "PUT", C "sink", put_sink, AUTH_NONE, RATE_NONE, LANE_SLOW, 0, &sink },
	{ "PUT", C "mine", put_sink, AUTH_USER, RATE_LOGIN, LANE_SLOW, 0, &sink },
	{ "GET", C "source", get_source, AUTH_NONE, RATE_NONE, LANE_SLOW, 0 },
	{ 0 },
};
static const struct route *const stream_tables[] = { stream_routes, test_routes, http_system_routes, NULL };

static struct http *start(struct http_options opt)
{
	world_init();
	memset(&seen, 0, sizeof(seen));
	opt.tables = stream_tables;
	opt.statements_here = statements_here;
	return start_server(opt, client_listener);
}

MAYBE_UNUSED struct http *start_plain(void) { return start((struct http_options){ 0 }); }

static int64_t seen_now(const void *p, size_t size)
{
	LOCKED(&world.lock);
	return size == sizeof(int) ? *(const int *)p : *(const int64_t *)p;
}
#define SEEN(field) seen_now(&seen.field, sizeof(seen.field))

/* Afterwards everything that was begun is dropped, once, and nothing is charged. */
MAYBE_UNUSED void stop(struct http *h)
{
	await_connections(h, 0);
	assert_int_equal(atomic_load(&h->body_bytes), 0);
	assert_int_equal(atomic_load(&h->stream_bytes), 0);
	http_stop(&h, 20);
	assert_int_equal(SEEN(sinks), seen.sinks_dropped);
	assert_int_equal(SEEN(sources), seen.sources_dropped);
	assert_false(seen.wrong);
	world_done();
}

#define AWAIT(condition)                                                                                               \
	do {                                                                                                           \
		LOCKED(&world.lock);                                                                                   \
		while (!(condition))                                                                                   \
			cond_wait(&world.changed, &world.lock);                                                        \
	} while (0)

/* Client --------------------------------------------------------------------------------------------------------- */
static void put_f(int fd, const char *fmt, ...) PRINTF(2, 3);
static void put_f(int fd, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert_in_range(n, 1, sizeof(text) - 1);
	put(fd, (str){ text, (size_t)n });
}

/* Bytes from..to of a body; false where the server does not want them any more. */
MAYBE_UNUSED bool put_bytes(int fd, uint64_t from, uint64_t to)
{
	enum { STEP = 100000 };
	char *p = mem_alloc(STEP);
	bool good = true;

	while (from < to && good) {
		const size_t n = (size_t)MIN(to - from, (uint64_t)STEP);

		for (size_t i = 0; i < n; i++)
			p[i] = at(from + i);
		for (size_t sent = 0; sent < n && good;) {
			const ssize_t k = send(fd, p + sent, n - sent, MSG_NOSIGNAL);

			good = k > 0;
			sent += good ? (size_t)k : 0;
		}
		from += n;
	}
	mem_free(p);
	return good;
}

MAYBE_UNUSED void put_chunks(int fd, uint64_t n, uint64_t chunk)
{
	for (uint64_t from = 0; from < n; from += chunk) {
		put_f(fd, "%" PRIx64 "\r\n", MIN(chunk, n - from));
		assert_true(put_bytes(fd, from, MIN(n, from + chunk)));
		put(fd, S("\r\n"));
	}
	put(fd, S("0\r\n\r\n"));
}

MAYBE_UNUSED void put_head(int fd, const char *query, uint64_t length, const char *more)
{
	put_f(fd, "PUT " C "sink%s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %" PRIu64 "\r\n\r\n", query, more, length);
}

/* True: n bytes of a body came, and they are the right ones. */
MAYBE_UNUSED bool get_bytes(int fd, uint64_t n)
{
	enum { STEP = 100000 };
	char *p = mem_alloc(STEP);
	uint64_t got = 0;
	bool good = true;

	while (got < n && good) {
		const ssize_t k = recv(fd, p, (size_t)MIN(n - got, (uint64_t)STEP), 0);

		good = k > 0;
		for (ssize_t i = 0; i < k; i++)
			good &= p[i] == at(got + (uint64_t)i);
		got += k > 0 ? (uint64_t)k : 0;
	}
	mem_free(p);
	return good;
}

MAYBE_UNUSED void get_head(struct arena *a, int fd, struct answer *an) { get_answer(a, fd, true, an); }

MAYBE_UNUSED void expect_taken(struct arena *a, int fd, uint64_t n, bool chunked)
{
	struct answer an;
	int64_t v;

	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
	assert_true(json_get_int(body_json(a, &an), S("taken"), &v));
	assert_int_equal(v, n);
	assert_true(json_get_int(body_json(a, &an), S("length"), &v));
	assert_int_equal(v, chunked ? -1 : (int64_t)n);
}

/* The connection still serves. */
MAYBE_UNUSED void expect_alive(struct arena *a, int fd)
{
	struct answer an;

	put(fd, S(GET(C "hello")));
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
}

MAYBE_UNUSED int64_t deadline_of(struct http *h)
{
	LOCKED(&h->watch.lock);
	assert_int_equal(h->watch.n_conns, 1);
	return atomic_load(&LIST_ITEM(h->watch.conns.next, struct conn, node)->deadline_us);
}

/* While the server is at work there is none. */
MAYBE_UNUSED int64_t await_deadline(struct http *h)
{
	int64_t deadline;

	while ((deadline = deadline_of(h)) == 0)
		look_again();
	return deadline;
}

MAYBE_UNUSED const uint64_t sizes[] = { 0, 1, 1000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 20 * MB };

MAYBE_UNUSED void get_source_of(struct arena *a, int fd, const char *method, uint64_t n, const char *more)
{
	struct answer an;
	uint64_t length;

	put_f(fd, "%s " C "source?n=%" PRIu64 "%s HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n", method, n,
	      more);
	get_head(a, fd, &an);
	assert_int_equal(an.status, 200);
	assert_true(str_eq(answer_header(&an, "Content-Type"), S("image/png")));
	assert_true(str_eq(answer_header(&an, "ETag"), S("\"x\"")));
	assert_true(str_is_none(answer_header(&an, "Content-Encoding")));
	assert_true(str_to_u64(answer_header(&an, "Content-Length"), &length));
	assert_int_equal(length, n);
}
