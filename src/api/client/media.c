/*
 * media.c - Client-Server API, "Content repository": uploads, addresses made for them, limits told.
 *
 * The bytes never gather here: they go to the sink as they come (media/upload.c), and the handler only ends it.
 */
#include "api/internal_api.h"
#include "media/media.h"

/* `media_id`: STR_NONE, or the one in the path. */
static err *begin(struct req *rq, str media_id, void **out_sink)
{
	const struct media_upload_cmd cmd = {
		.user = rq->user,
		.user_id = rq->user_id,
		.content_type = req_header(rq, "Content-Type"),
		.filename = req_query(rq, "filename"),
		.length = req_body_length(rq),
		.media_id = media_id,
	};
	struct media_upload *up;

	TRY(media_upload_begin(rq->services->media, rq->arena, &cmd, &up));
	*out_sink = up;
	return NULL;
}

static err *begin_new(struct req *rq, void **out_sink) { return begin(rq, STR_NONE, out_sink); }

static err *begin_created(struct req *rq, void **out_sink)
{
	if (!media_is_local(rq->services->media, req_param(rq, "serverName")))
		return err_new(rq->arena, ERR_NOT_FOUND, "That is another server's");
	return begin(rq, req_param(rq, "mediaId"), out_sink);
}

static err *take(struct req *rq, void *sink, str bytes) { return media_upload_take(sink, rq->arena, bytes); }

static void drop(void *sink)
{
	struct media_upload *up = sink;

	media_upload_drop(&up);
}

static const struct sink_ops new_sink = { begin_new, take, drop }, created_sink = { begin_created, take, drop };

static err *post_upload(struct req *rq)
{
	str mxc;

	TRY(media_upload_end(req_sink(rq), rq->arena, &mxc));
	jw_str(reply_json(rq, 200), "content_uri", mxc);
	return NULL;
}

static err *put_upload(struct req *rq)
{
	str mxc;

	TRY(media_upload_end(req_sink(rq), rq->arena, &mxc));
	reply_empty(rq);
	return NULL;
}

static err *post_create(struct req *rq)
{
	int64_t expires_at;
	struct jw *w;
	str mxc;

	TRY(media_create(rq->services->media, rq->arena, rq->user, &mxc, &expires_at));
	w = reply_json(rq, 200);
	jw_str(w, "content_uri", mxc);
	jw_int(w, "unused_expires_at", expires_at);
	return NULL;
}

static err *get_config(struct req *rq)
{
	jw_int(reply_json(rq, 200), "m.upload.size", media_options(rq->services->media)->max_upload_size);
	return NULL;
}

#define UPLOAD(version)                                                                                                \
	{                                                                                                              \
		"POST", "/_matrix/media/" version "/upload", post_upload, AUTH_USER, RATE_NONE, LANE_FAST,             \
			.sink = &new_sink                                                                              \
	}
#define CONFIG(path)                                                                                                   \
	{                                                                                                              \
		"GET", path "/config", get_config, AUTH_USER, RATE_NONE, LANE_FAST                                     \
	}
/* Clients still come to r0 and v1, where uploads, too, once were. */
const struct route client_media_routes[] = {
	UPLOAD("v3"),
	UPLOAD("r0"),
	UPLOAD("v1"),
	{ "PUT", "/_matrix/media/v3/upload/{serverName}/{mediaId}", put_upload, AUTH_USER, RATE_NONE, LANE_FAST,
	  .sink = &created_sink },
	{ "POST", "/_matrix/media/v1/create", post_create, AUTH_USER, RATE_MEDIA_CREATE, LANE_FAST },
	CONFIG("/_matrix/client/v1/media"),
	CONFIG("/_matrix/media/v3"),
	CONFIG("/_matrix/media/r0"),
	CONFIG("/_matrix/media/v1"),
	{ 0 },
};
