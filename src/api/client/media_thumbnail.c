/*
 * media_thumbnail.c - Client-Server API, "Content repository": thumbnails of images.
 *
 * Who may see the image may see its thumbnail, and it is answered as the image is, from the older endpoints, too. While
 * it is being made the request waits without a thread.
 */
#include "api/client/media_item.h"
#include "api/client/media_want.h"
#include "media/thumbnail.h"

enum { MAX_WAIT_MS = 30000 };

/* "400: the request does not make sense to the server [...] For example, the client requested non-integer dimensions or
 * asked for negatively-sized images." */
static err *side(struct req *rq, const char *name, uint32_t *out)
{
	int64_t n;

	if (str_is_none(req_query(rq, name)))
		return err_new(rq->arena, ERR_MISSING_PARAM, "%s is missing", name);
	TRY(req_query_int(rq, name, 0, &n));
	if (n < 1)
		return err_new(rq->arena, ERR_INVALID_PARAM, "%s must be positive", name);
	*out = (uint32_t)MIN(n, (int64_t)UINT16_MAX); /* no thumbnail is larger */
	return NULL;
}

err *media_want(struct req *rq, struct image_want *out)
{
	const str method = req_query(rq, "method");

	*out = (struct image_want){ .crop = str_eq(method, S("crop")) };
	TRY(side(rq, "width", &out->width));
	TRY(side(rq, "height", &out->height));
	if (!str_is_none(method) && !out->crop && !str_eq(method, S("scale")))
		return err_new(rq->arena, ERR_INVALID_PARAM, "method must be crop or scale");
	return req_query_bool(rq, "animated", false, &out->animated);
}

/* "502: The remote content is too large for the server to thumbnail." */
static err *of_remote(const struct req *rq, const struct media_item *item, err *e)
{
	if (e && e->code == ERR_TOO_LARGE && !media_is_local(rq->services->media, item->server_name))
		e->code = ERR_REMOTE_TOO_LARGE;
	return e;
}

static err *thumbnail(struct req *rq, bool legacy)
{
	struct media_item item, thumb;
	struct image_want want;
	struct media_wait wait;
	bool waits;

	TRY(media_want(rq, &want));
	TRY(media_item(rq, legacy, &item, &waits));
	if (waits)
		return NULL;
	TRY(of_remote(
		rq, &item,
		media_thumbnail(rq->services->thumbnails, rq->arena, &item, rq->user, &want, &wait, &waits, &thumb)));
	if (!waits)
		return media_reply(rq, &thumb, thumb.filename);
	if (req_park_expired(rq))
		return err_new(rq->arena, ERR_BUSY, "The thumbnail is still being made");
	return req_park(rq, wait.user, wait.seq, rq->arrived_us + MAX_WAIT_MS * INT64_C(1000));
}

static err *get(struct req *rq) { return thumbnail(rq, false); }
static err *get_legacy(struct req *rq) { return thumbnail(rq, true); }

#define LEGACY(version)                                                                                                \
	{                                                                                                              \
		"GET", "/_matrix/media/" version "/thumbnail/{serverName}/{mediaId}", get_legacy, AUTH_NONE,           \
			RATE_NONE, LANE_FAST                                                                           \
	}
const struct route client_media_thumbnail_routes[] = {
	{ "GET", "/_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}", get, AUTH_GUEST, RATE_NONE, LANE_FAST },
	LEGACY("v3"),
	LEGACY("r0"),
	LEGACY("v1"),
	{ 0 },
};
