/*
 * gzip.c - compressing answers.
 *
 * Level 1: on JSON it takes a fifth to a tenth of the bytes for about 10 ns a byte; higher levels cost several times
 * as much for little. A compressor is 256 KB that zlib would set up anew each time, so a few are kept.
 */
#include "http/internal_http.h"

#include <assert.h>
#include <zlib.h>

struct gzip_stream {
	struct gzip_stream *next;
	z_stream z;
};

void gzip_init(struct gzip *g)
{
	*g = (struct gzip){ 0 };
	lock_init(&g->lock, RANK_HTTP);
}

static void stream_free(struct gzip_stream *s)
{
	deflateEnd(&s->z);
	mem_free(s);
}

void gzip_done(struct gzip *g)
{
	for (struct gzip_stream *s = g->spare, *next; s; s = next) {
		next = s->next;
		stream_free(s);
	}
	lock_done(&g->lock);
}

static struct gzip_stream *take(struct gzip *g)
{
	struct gzip_stream *s;
	int rc;

	lock_take(&g->lock);
	s = g->spare;
	if (s) {
		g->spare = s->next;
		g->n_spare--;
	}
	lock_drop(&g->lock);
	if (s)
		return s;
	s = MEM_NEW(struct gzip_stream);
	rc = deflateInit2(&s->z, 1, Z_DEFLATED, 15 + 16 /* gzip */, 8, Z_DEFAULT_STRATEGY);
	assert(rc == Z_OK);
	return s;
}

static void give_back(struct gzip *g, struct gzip_stream *s)
{
	deflateReset(&s->z);
	lock_take(&g->lock);
	if (g->n_spare < HTTP_GZIP_SPARE) {
		s->next = g->spare;
		g->spare = s;
		g->n_spare++;
		s = NULL;
	}
	lock_drop(&g->lock);
	if (s)
		stream_free(s);
}

bool gzip_compress(struct gzip *g, str plain, struct buf *out)
{
	struct gzip_stream *s;
	char *room;
	int rc;

	assert(plain.n <= HTTP_MAX_REPLY);
	room = buf_reserve(out, plain.n);
	if (!room)
		return false;
	s = take(g);
	s->z.next_in = (Bytef *)(uintptr_t)plain.p; /* read only */
	s->z.avail_in = (uInt)plain.n;
	s->z.next_out = (Bytef *)room;
	s->z.avail_out = (uInt)plain.n;
	rc = deflate(&s->z, Z_FINISH);
	if (rc == Z_STREAM_END)
		buf_commit(out, plain.n - s->z.avail_out);
	give_back(g, s);
	return rc == Z_STREAM_END;
}

bool gzip_accepted(str accept)
{
	str coding;

	while (str_split_next(&accept, ',', &coding)) {
		str param = coding, name;

		str_split_next(&param, ';', &name);
		if (!str_eq_nocase(str_trim(name), S("gzip")))
			continue;
		/* "q=0" in any of its spellings: not acceptable */
		param = str_trim(param);
		if (str_is_none(param) || !str_starts_nocase(param, S("q=0")))
			return true;
		for (size_t i = 2; i < param.n; i++)
			if (param.p[i] >= '1' && param.p[i] <= '9')
				return true;
		return false;
	}
	return false;
}
