/*
 * media.c - our users' files and their thumbnails for other servers: Server-Server API, "Content Repository".
 *
 * The answer is "multipart/mixed" of exactly two parts: "The first part has a Content-Type header of application/json
 * and describes the media's metadata, if any. Currently, this will always be an empty object. The second part is [...]
 * the bytes of the media itself". Its length is known, and it is sent as it is read. Only what was uploaded here is
 * given: of other servers' files these servers are asked.
 */
#include "api/client/media_headers.h"
#include "api/client/media_want.h"
#include "api/services.h"
#include "base/clock.h"
#include "base/rand.h"
#include "config/config.h"
#include "media/thumbnail.h"

enum { BOUNDARY_LENGTH = 40, USUAL_WAIT_MS = 20000, THUMBNAIL_WAIT_MS = 30000 };

/* Text, the file, text. */
struct parts {
	str head, tail; /* in the same allocation */
	size_t at;      /* of the text that is being sent */
	uint64_t left;  /* of the file */
	void *file;
};

static size_t copy_text(struct parts *p, str text, char *to, size_t max)
{
	const size_t n = MIN(max, text.n - p->at);

	memcpy(to, text.p + p->at, n);
	p->at += n;
	return n;
}

static err *fill(void *source, struct arena *a, char *to, size_t max, size_t *out_n)
{
	struct parts *p = source;

	if (p->head.p) {
		*out_n = copy_text(p, p->head, to, max);
		if (p->at < p->head.n)
			return NULL;
		p->head = STR_NONE;
		p->at = 0;
		return NULL;
	}
	if (p->left == 0) {
		*out_n = copy_text(p, p->tail, to, max);
		return NULL;
	}
	TRY(media_source_ops.fill(p->file, a, to, (size_t)MIN((uint64_t)max, p->left), out_n));
	p->left -= *out_n;
	return NULL;
}

static void drop(void *source)
{
	struct parts *p = source;

	media_source_ops.drop(p->file);
	mem_free(p);
}

/* What is put into a header. */
static str clean(str text, str otherwise)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
			return otherwise;
	return text;
}

static struct parts *parts_new(str head, str tail, void *file, uint64_t size)
{
	struct parts *p = mem_zalloc(sizeof(*p) + head.n + tail.n);
	char *text = (char *)(p + 1);

	memcpy(text, head.p, head.n);
	memcpy(text + head.n, tail.p, tail.n);
	*p = (struct parts){ .head = { text, head.n }, .tail = { text + head.n, tail.n }, .left = size, .file = file };
	return p;
}

static err *reply_parts(struct req *rq, const struct media_item *item)
{
	static const struct source_ops ops = { fill, drop };
	const str boundary = rand_alnum(rq->arena, BOUNDARY_LENGTH);
	const str type = clean(media_content_type(rq->arena, item->content_type), S("application/octet-stream"));
	const str disposition =
		clean(media_disposition(rq->arena, item->content_type, item->filename), S("attachment"));
	const uint64_t size = (uint64_t)item->size;
	str head, tail;
	int fd;

	head = arena_printf(rq->arena,
			    "--%.*s\r\nContent-Type: application/json\r\n\r\n{}\r\n--%.*s\r\nContent-Type: %.*s\r\n"
			    "Content-Disposition: %.*s\r\n\r\n",
			    STR_ARG(boundary), STR_ARG(boundary), STR_ARG(type), STR_ARG(disposition));
	tail = arena_printf(rq->arena, "\r\n--%.*s--\r\n", STR_ARG(boundary));
	TRY(media_open(rq->services->media, rq->arena, item, &fd));
	reply_stream(rq, 200, arena_join2(rq->arena, S("multipart/mixed; boundary="), boundary), head.n + size + tail.n,
		     &ops, parts_new(head, tail, media_source(fd, 0, item->size), size));
	return NULL;
}

/* Waits as long as timeout_ms says for one that is being uploaded: then *out_parked is true. */
static err *find_own(struct req *rq, struct media_item *out, bool *out_parked)
{
	const struct media_find_cmd cmd = { .server_name = rq->services->config->server_name,
					    .media_id = req_param(rq, "mediaId") };
	struct media_wait wait;
	int64_t ms, deadline;
	err *e;

	*out_parked = false;
	TRY(req_query_int(rq, "timeout_ms", USUAL_WAIT_MS, &ms));
	deadline = rq->arrived_us + MIN(MAX(ms, 0), (int64_t)MEDIA_MAX_WAIT_MS) * 1000;
	e = media_find(rq->services->media, rq->arena, &cmd, &wait, out);
	if (!e || e->code != ERR_NOT_YET_UPLOADED || req_park_expired(rq) || deadline <= clock_mono_us())
		return e;
	*out_parked = true;
	return req_park(rq, wait.user, wait.seq, deadline);
}

static err *get_file(struct req *rq)
{
	struct media_item item;
	bool parked;

	TRY(find_own(rq, &item, &parked));
	return parked ? NULL : reply_parts(rq, &item);
}

static err *get_thumbnail(struct req *rq)
{
	struct media_item item, thumb;
	struct image_want want;
	struct media_wait wait;
	bool waits;

	TRY(media_want(rq, &want));
	TRY(find_own(rq, &item, &waits));
	if (waits)
		return NULL;
	TRY(media_thumbnail(rq->services->thumbnails, rq->arena, &item, 0, &want, &wait, &waits, &thumb));
	if (!waits)
		return reply_parts(rq, &thumb);
	if (req_park_expired(rq))
		return err_new(rq->arena, ERR_BUSY, "The thumbnail is still being made");
	return req_park(rq, wait.user, wait.seq, rq->arrived_us + THUMBNAIL_WAIT_MS * INT64_C(1000));
}

const struct route server_media_routes[] = {
	{ "GET", "/_matrix/federation/v1/media/download/{mediaId}", get_file, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "GET", "/_matrix/federation/v1/media/thumbnail/{mediaId}", get_thumbnail, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ 0 },
};
