/*
 * media_download.c - Client-Server API, "Content repository": files shown.
 *
 * The endpoints below /_matrix/media are older than the login: frozen, they show what was uploaded before
 * (enable_authenticated_media). allow_redirect has no effect: "When not explicitly set to true the server must return
 * the media content itself", and this one always does.
 */
#include "api/client/media_headers.h"
#include "api/client/media_item.h"
#include "http/range.h"

#include <assert.h>

static err *reply_unsatisfiable(struct req *rq)
{
	struct jw *w = reply_json(rq, 416);

	jw_str(w, "errcode", S("M_UNKNOWN"));
	jw_str(w, "error", S("The file has no such range"));
	return NULL;
}

static err *reply_part(struct req *rq, const struct media_item *item, const struct range *part)
{
	const str type = media_content_type(rq->arena, item->content_type);
	int fd;

	TRY(media_open(rq->services->media, rq->arena, item, &fd));
	reply_stream(rq, part->kind == RANGE_PART ? 206 : 200, type, part->n, &media_source_ops,
		     media_source(fd, (int64_t)part->first, (int64_t)part->n));
	return NULL;
}

err *media_reply(struct req *rq, const struct media_item *item, str filename)
{
	const str etag = media_item_etag(rq->arena, item);
	struct range part = { .kind = RANGE_WHOLE, .n = (uint64_t)item->size };

	if (range_if_none_match(req_header(rq, "If-None-Match"), etag)) {
		media_headers(rq, etag);
		reply_bytes(rq, 304, NULL, S(""));
		return NULL;
	}
	if (str_eq(rq->method, S("GET")) && range_if_range(req_header(rq, "If-Range"), etag))
		part = range_parse(req_header(rq, "Range"), (uint64_t)item->size);
	if (part.kind == RANGE_UNSATISFIABLE)
		TRY(reply_unsatisfiable(rq));
	else
		TRY(reply_part(rq, item, &part));
	media_headers(rq, etag);
	reply_header(rq, "Accept-Ranges", S("bytes"));
	if (part.kind != RANGE_WHOLE)
		reply_header(rq, "Content-Range", range_content(rq->arena, &part, (uint64_t)item->size));
	if (part.kind != RANGE_UNSATISFIABLE)
		reply_header(rq, "Content-Disposition", media_disposition(rq->arena, item->content_type, filename));
	return NULL;
}

static err *download(struct req *rq, bool legacy, str filename)
{
	struct media_item item;
	bool parked;

	if (filename.n > MEDIA_MAX_FILENAME)
		return err_new(rq->arena, ERR_INVALID_PARAM, "A file name has %d bytes at most", MEDIA_MAX_FILENAME);
	TRY(media_item(rq, legacy, &item, &parked));
	if (parked)
		return NULL;
	return media_reply(rq, &item, str_is_empty(filename) ? item.filename : filename);
}

static err *get(struct req *rq) { return download(rq, false, STR_NONE); }
static err *get_named(struct req *rq) { return download(rq, false, req_param(rq, "fileName")); }
static err *get_legacy(struct req *rq) { return download(rq, true, STR_NONE); }
static err *get_legacy_named(struct req *rq) { return download(rq, true, req_param(rq, "fileName")); }

#define ITEM  "/download/{serverName}/{mediaId}"
#define NAMED ITEM "/{fileName}"
#define LEGACY(version)                                                                                                \
	{ "GET", "/_matrix/media/" version ITEM, get_legacy, AUTH_NONE, RATE_NONE, LANE_FAST },                        \
	{                                                                                                              \
		"GET", "/_matrix/media/" version NAMED, get_legacy_named, AUTH_NONE, RATE_NONE, LANE_FAST              \
	}
const struct route client_media_download_routes[] = {
	{ "GET", "/_matrix/client/v1/media" ITEM, get, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/client/v1/media" NAMED, get_named, AUTH_GUEST, RATE_NONE, LANE_FAST },
	LEGACY("v3"),
	LEGACY("r0"),
	LEGACY("v1"),
	{ 0 },
};
