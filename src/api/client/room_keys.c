/* room_keys.c - Client-Server API, "Server-side key backups". */
#include "api/body.h"
#include "api/services.h"
#include "e2ee/backup.h"

/* What is longer than so many pages is made while it is sent, not before. */
enum { PAGES_AT_ONCE = 4, PAGES_MAX = PAGES_AT_ONCE * BACKUP_PAGE_MAX };
enum { KEYS_BODY = 16 << 20 };

/*
 * Versions
 */
/* The algorithm, and auth_data as it came: any JSON, for what it means is between the user's clients. */
static err *read_version(struct req *rq, const struct json *body, str *out_algorithm, str *out_auth_data)
{
	const struct json *auth_data = json_get(body, S("auth_data"));

	TRY(body_need_str(rq, body, "algorithm", out_algorithm));
	if (!auth_data || auth_data->kind == JSON_NULL)
		return err_new(rq->arena, ERR_MISSING_PARAM, "auth_data is missing");
	*out_auth_data = auth_data->raw;
	return NULL;
}

static err *post_version(struct req *rq)
{
	str algorithm, auth_data, version;
	const struct json *body;

	TRY(req_body_object(rq, &body));
	TRY(read_version(rq, body, &algorithm, &auth_data));
	TRY(backup_create(rq->services->e2ee, rq->arena, rq->user, algorithm, auth_data, &version));
	jw_str(reply_json(rq, 200), "version", version);
	return NULL;
}

static err *answer_version(struct req *rq, str version)
{
	struct backup_version v;
	struct jw *w;

	TRY(backup_get(rq->services->e2ee, rq->arena, rq->user, version, &v));
	w = reply_json(rq, 200);
	jw_str(w, "algorithm", v.algorithm);
	jw_raw(w, "auth_data", v.auth_data);
	jw_int(w, "count", v.count);
	jw_str(w, "etag", v.etag);
	jw_str(w, "version", v.version);
	return NULL;
}

static err *get_newest(struct req *rq) { return answer_version(rq, STR_NONE); }
static err *get_version(struct req *rq) { return answer_version(rq, req_param(rq, "version")); }

static err *put_version(struct req *rq)
{
	const str version = req_param(rq, "version");
	str algorithm, auth_data, again;
	const struct json *body;

	TRY(req_body_object(rq, &body));
	TRY(read_version(rq, body, &algorithm, &auth_data));
	TRY(body_str(rq, body, "version", &again));
	/* "If present, must be the same as the version in the path parameter." */
	if (!str_is_none(again) && !str_eq(again, version))
		return err_new(rq->arena, ERR_INVALID_PARAM, "version does not match the one in the path");
	TRY(backup_update(rq->services->e2ee, rq->arena, rq->user, version, algorithm, auth_data));
	reply_empty(rq);
	return NULL;
}

static err *delete_version(struct req *rq)
{
	TRY(backup_delete(rq->services->e2ee, rq->arena, rq->user, req_param(rq, "version")));
	reply_empty(rq);
	return NULL;
}

/*
 * Keys: all, of a room, of a session
 */
static str param_or_none(struct req *rq, const char *name, bool has) { return has ? req_param(rq, name) : STR_NONE; }

static err *need_version(struct req *rq, str *out)
{
	*out = req_query(rq, "version");
	return str_is_none(*out) ? err_new(rq->arena, ERR_MISSING_PARAM, "version is missing") : NULL;
}

struct keys {
	struct backup_key *p;
	size_t n, cap;
};

static err *read_key(struct req *rq, str room_id, str session_id, const struct json *json, struct keys *keys)
{
	struct backup_key k = { .room_id = room_id, .session_id = session_id };
	const struct json *verified = json_get(json, S("is_verified")), *data = json_get(json, S("session_data"));

	if (!json_get_int(json, S("first_message_index"), &k.first_message_index) ||
	    !json_get_int(json, S("forwarded_count"), &k.forwarded_count) || !json_is(verified, JSON_BOOL) || !data)
		return err_new(rq->arena, ERR_BAD_JSON,
			       "a key needs first_message_index, forwarded_count, is_verified and session_data");
	k.is_verified = verified->b;
	k.session_data = data->raw;
	vec_push(rq->arena, keys, k);
	return NULL;
}

static err *need_object(struct req *rq, const struct json *in, const char *key, const struct json **out)
{
	*out = json_get_object(in, str_c(key));
	if (!*out)
		return err_new(rq->arena, ERR_BAD_JSON, "%s must be an object", key);
	if ((*out)->dup)
		return err_new(rq->arena, ERR_BAD_JSON, "a key stands twice in %s", key);
	return NULL;
}

static err *read_room(struct req *rq, str room_id, const struct json *room, struct keys *keys)
{
	const struct json *sessions;

	TRY(need_object(rq, room, "sessions", &sessions));
	JSON_EACH (sessions, m)
		TRY(read_key(rq, room_id, m->key, m->value, keys));
	return NULL;
}

static err *store_keys(struct req *rq, const struct keys *keys)
{
	struct backup_state state;
	struct jw *w;
	str version;

	TRY(need_version(rq, &version));
	TRY(backup_put_keys(rq->services->e2ee, rq->arena, rq->user, version, keys->p, keys->n, &state));
	w = reply_json(rq, 200);
	jw_int(w, "count", state.count);
	jw_str(w, "etag", state.etag);
	return NULL;
}

static err *put_keys(struct req *rq)
{
	const struct json *body, *rooms;
	struct keys keys = { 0 };

	TRY(req_body_object(rq, &body));
	TRY(need_object(rq, body, "rooms", &rooms));
	JSON_EACH (rooms, m)
		TRY(read_room(rq, m->key, m->value, &keys));
	return store_keys(rq, &keys);
}

static err *put_room_keys(struct req *rq)
{
	struct keys keys = { 0 };
	const struct json *body;

	TRY(req_body_object(rq, &body));
	TRY(read_room(rq, req_param(rq, "roomId"), body, &keys));
	return store_keys(rq, &keys);
}

static err *put_key(struct req *rq)
{
	struct keys keys = { 0 };
	const struct json *body;

	TRY(req_body_object(rq, &body));
	TRY(read_key(rq, req_param(rq, "roomId"), req_param(rq, "sessionId"), body, &keys));
	return store_keys(rq, &keys);
}

/* A page of the text, and how much of it is sent. */
struct text_source {
	struct backup_reader *reader;
	struct buf page;
	size_t sent;
	bool more;
};

static err *text_fill(void *source, struct arena *a, char *p, size_t max, size_t *out_n)
{
	struct text_source *s = source;

	if (s->sent == s->page.n && s->more) {
		buf_reset(&s->page);
		s->sent = 0;
		TRY(backup_read(s->reader, a, &s->page, &s->more));
	}
	*out_n = MIN(max, s->page.n - s->sent);
	memcpy(p, buf_str(&s->page).p + s->sent, *out_n);
	s->sent += *out_n;
	return NULL;
}

static void text_drop(void *source)
{
	struct text_source *s = source;

	backup_reader_free(&s->reader);
	buf_done(&s->page);
	mem_free(s);
}

static err *get_all(struct req *rq, bool of_room)
{
	static const struct source_ops ops = { text_fill, text_drop };
	AUTO_BUF text = BUF_INIT(PAGES_MAX);
	AUTO_BACKUP_READER reader = NULL;
	bool more = true;
	str version;

	TRY(need_version(rq, &version));
	TRY(backup_reader_new(rq->services->e2ee, rq->arena, rq->user, version, param_or_none(rq, "roomId", of_room),
			      &reader));
	for (int page = 0; page < PAGES_AT_ONCE && more; page++)
		TRY(backup_read(reader, rq->arena, &text, &more));
	if (more) {
		struct text_source *s = MEM_NEW(struct text_source);

		*s = (struct text_source){ .reader = reader, .page = text, .more = true };
		reader = NULL;
		text = (struct buf)BUF_INIT(0);
		reply_stream(rq, 200, S("application/json"), HTTP_LENGTH_UNKNOWN, &ops, s);
	} else {
		reply_json_text(rq, 200, buf_str(&text));
	}
	return NULL;
}

static err *get_keys(struct req *rq) { return get_all(rq, false); }
static err *get_room_keys(struct req *rq) { return get_all(rq, true); }

static err *get_key(struct req *rq)
{
	const struct backup_key *k;
	struct jw *w;
	str version;

	TRY(need_version(rq, &version));
	TRY(backup_get_key(rq->services->e2ee, rq->arena, rq->user, version, req_param(rq, "roomId"),
			   req_param(rq, "sessionId"), &k));
	if (!k)
		return err_new(rq->arena, ERR_NOT_FOUND, "No room_keys found");
	w = reply_json(rq, 200);
	backup_key_members(w, k);
	return NULL;
}

static err *delete_where(struct req *rq, bool of_room, bool of_session)
{
	struct backup_state state;
	struct jw *w;
	str version;

	TRY(need_version(rq, &version));
	TRY(backup_delete_keys(rq->services->e2ee, rq->arena, rq->user, version, param_or_none(rq, "roomId", of_room),
			       param_or_none(rq, "sessionId", of_session), &state));
	w = reply_json(rq, 200);
	jw_int(w, "count", state.count);
	jw_str(w, "etag", state.etag);
	return NULL;
}

static err *delete_keys(struct req *rq) { return delete_where(rq, false, false); }
static err *delete_room_keys(struct req *rq) { return delete_where(rq, true, false); }
static err *delete_key(struct req *rq) { return delete_where(rq, true, true); }

#define VERSION "/_matrix/client/v3/room_keys/version"
#define KEYS    "/_matrix/client/v3/room_keys/keys"
#define ROOM    KEYS "/{roomId}"
#define SESSION ROOM "/{sessionId}"
const struct route client_room_keys_routes[] = {
	{ "POST", VERSION, post_version, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", VERSION, get_newest, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", VERSION "/{version}", get_version, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "PUT", VERSION "/{version}", put_version, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "DELETE", VERSION "/{version}", delete_version, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "PUT", KEYS, put_keys, AUTH_USER, RATE_NONE, LANE_FAST, KEYS_BODY },
	{ "GET", KEYS, get_keys, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "DELETE", KEYS, delete_keys, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "PUT", ROOM, put_room_keys, AUTH_USER, RATE_NONE, LANE_FAST, KEYS_BODY },
	{ "GET", ROOM, get_room_keys, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "DELETE", ROOM, delete_room_keys, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "PUT", SESSION, put_key, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", SESSION, get_key, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "DELETE", SESSION, delete_key, AUTH_USER, RATE_NONE, LANE_FAST },
	{ 0 },
};
