/* user_keys.c - the keys of our users' devices, for other servers: Server-Server API, "End-to-End Encryption". */
#include "api/key_answers.h"
#include "api/services.h"
#include "base/arena.h"
#include "config/config.h"
#include "e2ee/list_sender.h"

static const struct json_limits limits = { .max_bytes = (size_t)64 << 20, .max_depth = 32, .max_values = 1 << 20 };

/* A user's devices, without the names that they were given. */
static err *nameless(struct arena *a, str devices, const struct json **out)
{
	struct json *all;

	TRY(json_parse(a, devices, &limits, &all));
	JSON_EACH (all, m) {
		struct json *device = json_copy(a, m->value);
		struct json *info = json_copy(a, json_get_object(device, S("unsigned")));

		json_del(info, S("device_display_name"));
		json_set(a, device, S("unsigned"), info);
		json_set(a, all, m->key, device);
	}
	*out = all;
	return NULL;
}

static err *write_devices(struct req *rq, struct jw *w, const struct keys_answer *answer)
{
	const bool names = rq->services->config->federation.device_names;

	jw_object(w, "device_keys");
	for (size_t i = 0; i < answer->n; i++) {
		const struct json *devices = NULL;

		jw_key(w, answer->users[i].user_id);
		if (!names)
			TRY(nameless(rq->arena, answer->users[i].devices, &devices));
		if (devices)
			jw_json(w, NULL, devices);
		else
			jw_raw(w, NULL, answer->users[i].devices);
	}
	jw_end(w);
	return NULL;
}

static err *post_query(struct req *rq)
{
	AUTO_BUF b = BUF_INIT((size_t)64 << 20);
	struct keys_answer answer;
	const struct json *body;
	struct jw w = jw_to(&b);

	TRY(req_body_object(rq, &body));
	TRY(e2ee_keys_query(rq->services->e2ee, rq->arena, 0, STR_NONE, json_get(body, S("device_keys")), &answer));
	jw_object(&w, NULL);
	TRY(write_devices(rq, &w, &answer));
	user_keys_write(&w, &answer);
	jw_end(&w);
	if (!jw_good(&w))
		return err_new(rq->arena, ERR_TOO_LARGE, "these are too many devices for one answer");
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

static err *post_claim(struct req *rq)
{
	struct key_claims claims;
	const struct json *body;
	struct jw *w;

	TRY(req_body_object(rq, &body));
	TRY(key_claims_read(rq->services->e2ee, rq->arena, json_get(body, S("one_time_keys")), &claims));
	TRY(e2ee_keys_claim(rq->services->e2ee, rq->arena, &claims));
	w = reply_json(rq, 200);
	jw_object(w, "one_time_keys");
	claims_write(w, rq->arena, claims.p, claims.n);
	jw_end(w);
	return NULL;
}

/* "Gets information on all of the user's devices" */
static err *get_devices(struct req *rq)
{
	struct e2ee *e2ee = rq->services->e2ee;
	struct json *asked = json_new_object(rq->arena), *all;
	const str user_id = req_param(rq, "userId");
	const bool names = rq->services->config->federation.device_names;
	struct keys_answer answer;
	int64_t stream_id;
	struct jw *w;

	/* First the number: keys that are newer come again with the next one. */
	TRY(list_sender_stream_id(e2ee, rq->arena, user_id, &stream_id));
	json_set(rq->arena, asked, user_id, json_new_array(rq->arena));
	TRY(e2ee_keys_query(e2ee, rq->arena, 0, STR_NONE, asked, &answer));
	if (answer.n == 0 || !answer.users[0].user)
		return err_new(rq->arena, ERR_NOT_FOUND, "There is no such user here");
	TRY(json_parse(rq->arena, answer.users[0].devices, &limits, &all));
	w = reply_json(rq, 200);
	jw_str(w, "user_id", user_id);
	jw_int(w, "stream_id", stream_id);
	jw_array(w, "devices");
	JSON_EACH (all, m) {
		const str name = json_get_str(json_get(m->value, S("unsigned")), S("device_display_name"));

		struct json *keys = json_copy(rq->arena, m->value);

		json_del(keys, S("unsigned"));
		jw_object(w, NULL);
		jw_str(w, "device_id", m->key);
		if (names && !str_is_none(name))
			jw_str(w, "device_display_name", name);
		jw_json(w, "keys", keys);
		jw_end(w);
	}
	jw_end(w);
	if (!str_is_none(answer.users[0].master))
		jw_raw(w, "master_key", answer.users[0].master);
	if (!str_is_none(answer.users[0].self_signing))
		jw_raw(w, "self_signing_key", answer.users[0].self_signing);
	return NULL;
}

const struct route server_user_keys_routes[] = {
	{ "GET", "/_matrix/federation/v1/user/devices/{userId}", get_devices, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "POST", "/_matrix/federation/v1/user/keys/query", post_query, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "POST", "/_matrix/federation/v1/user/keys/claim", post_claim, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ 0 },
};
