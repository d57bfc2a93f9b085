/* keys.c - specification: client-server-api, "End-to-End Encryption", "Key management API". */
#include "api/body.h"
#include "api/key_answers.h"
#include "api/services.h"
#include "e2ee/key_upload.h"
#include "e2ee/remote_keys.h"
#include "sync/key_changes.h"

static err *post_upload(struct req *rq)
{
	struct key_upload u = { .user = rq->user, .user_id = rq->user_id, .device_id = rq->device_id };
	const struct json *body;
	struct jw *w;

	TRY(req_body_object(rq, &body));
	TRY(e2ee_keys_upload(rq->services->e2ee, rq->arena, body, &u));
	w = reply_json(rq, 200);
	jw_object(w, "one_time_key_counts");
	for (size_t i = 0; i < u.counts.n_one_time; i++) {
		jw_key(w, u.counts.one_time[i].algorithm);
		jw_int(w, NULL, u.counts.one_time[i].n);
	}
	jw_end(w);
	return NULL;
}

static void write_failures(struct jw *w, const str *servers, size_t n)
{
	jw_object(w, "failures");
	for (size_t i = 0; i < n; i++) {
		jw_key(w, servers[i]);
		jw_object(w, NULL);
		jw_str(w, "errcode", S("M_CONNECTION_FAILED"));
		jw_str(w, "error", S("This server cannot be reached"));
		jw_end(w);
	}
	jw_end(w);
}

/*
 * What was asked
 */
static void write_devices(struct jw *w, const struct keys_answer *answer)
{
	jw_object(w, "device_keys");
	for (size_t i = 0; i < answer->n; i++) {
		jw_key(w, answer->users[i].user_id);
		jw_raw(w, NULL, answer->users[i].devices);
	}
	jw_end(w);
}

/* Of whom the asker may see them: their own. */
static void write_user_signing(struct jw *w, const struct keys_answer *answer)
{
	jw_object(w, "user_signing_keys");
	for (size_t i = 0; i < answer->n; i++)
		user_key_write(w, answer->users[i].user_id, answer->users[i].user_signing);
	jw_end(w);
}

/* "The time (in milliseconds) to wait when downloading keys from remote servers. 10 seconds is the recommended
 * default." */
static int64_t deadline_of(const struct req *rq, const struct json *body)
{
	const int64_t most = 60 * 1000;
	int64_t ms;

	if (!json_get_int(body, S("timeout"), &ms))
		ms = 10 * 1000;
	return rq->arrived_us + MAX(MIN(ms, most), (int64_t)0) * 1000;
}

static err *post_query(struct req *rq)
{
	struct keys_answer answer;
	const struct json *body;
	struct jw *w;

	TRY(req_body_object(rq, &body));
	TRY(e2ee_keys_query(rq->services->e2ee, rq->arena, rq->user, rq->user_id, json_get(body, S("device_keys")),
			    &answer));
	if (answer.n_absent && req_lane(rq) != LANE_REMOTE)
		return req_move(rq, LANE_REMOTE);
	if (answer.n_absent)
		TRY(remote_keys_query(rq->services->e2ee, rq->arena, rq->user, rq->user_id, &answer,
				      deadline_of(rq, body)));
	w = reply_json(rq, 200);
	write_failures(w, answer.unreachable, answer.n_unreachable);
	write_devices(w, &answer);
	user_keys_write(w, &answer);
	write_user_signing(w, &answer);
	return NULL;
}

/*
 * One-time keys
 */
static err *post_claim(struct req *rq)
{
	struct key_claims claims;
	const struct json *body;
	struct jw *w;

	TRY(req_body_object(rq, &body));
	TRY(key_claims_read(rq->services->e2ee, rq->arena, json_get(body, S("one_time_keys")), &claims));
	if (claims.n_remote && req_lane(rq) != LANE_REMOTE)
		return req_move(rq, LANE_REMOTE);
	TRY(e2ee_keys_claim(rq->services->e2ee, rq->arena, &claims));
	if (claims.n_remote)
		TRY(remote_keys_claim(rq->services->e2ee, rq->arena, &claims, deadline_of(rq, body)));
	w = reply_json(rq, 200);
	write_failures(w, claims.unreachable, claims.n_unreachable);
	jw_object(w, "one_time_keys");
	claims_write(w, rq->arena, claims.p, claims.n);
	claims_write(w, rq->arena, claims.remote, claims.n_remote);
	jw_end(w);
	return NULL;
}

/*
 * Whose keys changed
 */
static void write_users(struct jw *w, const char *name, const str *users, size_t n)
{
	jw_array(w, name);
	for (size_t i = 0; i < n; i++)
		jw_str(w, NULL, users[i]);
	jw_end(w);
}

static err *get_changes(struct req *rq)
{
	const str from = req_query(rq, "from");
	struct key_changes changes;
	struct jw *w;

	if (str_is_none(from))
		return err_new(rq->arena, ERR_MISSING_PARAM, "from is missing");
	TRY(sync_key_changes(rq->services->syncs, rq->arena, rq->user, from, req_query(rq, "to"), &changes));
	w = reply_json(rq, 200);
	write_users(w, "changed", changes.changed, changes.n_changed);
	write_users(w, "left", changes.left, changes.n_left);
	return NULL;
}

const struct route client_keys_routes[] = {
	{ "POST", "/_matrix/client/v3/keys/upload", post_upload, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "POST", "/_matrix/client/v3/keys/query", post_query, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "POST", "/_matrix/client/v3/keys/claim", post_claim, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/client/v3/keys/changes", get_changes, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ 0 },
};
