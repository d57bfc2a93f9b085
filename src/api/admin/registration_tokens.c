/*
 * registration_tokens.c - tokens that let people register, for administrators: /_synapse/admin/v1/registration_tokens.
 */
#include "user/register.h"

#include "api/body.h"
#include "api/services.h"
#include "base/clock.h"
#include "base/rand.h"

static void write_count(struct jw *w, const char *key, int64_t v, int64_t none)
{
	if (v == none)
		jw_null(w, key);
	else
		jw_int(w, key, v);
}

static void write_token(struct jw *w, const struct registration_token *t)
{
	jw_str(w, "token", t->token);
	write_count(w, "uses_allowed", t->uses_allowed, -1);
	jw_int(w, "pending", t->pending);
	jw_int(w, "completed", t->completed);
	write_count(w, "expiry_time", t->expires_at, 0);
}

static err *get_tokens(struct req *rq)
{
	const bool all = str_is_none(req_query(rq, "valid"));
	struct registration_tokens list;
	bool valid;
	struct jw *w;

	TRY(req_query_bool(rq, "valid", true, &valid));
	TRY(registration_tokens_list(rq->services->users, rq->arena, &list));
	w = reply_json(rq, 200);
	jw_array(w, "registration_tokens");
	for (size_t i = 0; i < list.n; i++) {
		if (!all && registration_token_usable(&list.p[i], clock_ms()) != valid)
			continue;
		jw_object(w, NULL);
		write_token(w, &list.p[i]);
		jw_end(w);
	}
	jw_end(w);
	return NULL;
}

/* uses_allowed and expiry_time, where the body has them: null takes the limit away. */
static err *limits_args(struct req *rq, const struct json *body, struct registration_token *t)
{
	const struct json *uses = json_get(body, S("uses_allowed")), *expiry = json_get(body, S("expiry_time"));

	if (uses) {
		if (uses->kind != JSON_NULL && (uses->kind != JSON_INT || uses->i < 0))
			return err_new(rq->arena, ERR_INVALID_PARAM, "uses_allowed must be 0 or more, or null");
		t->uses_allowed = uses->kind == JSON_NULL ? -1 : uses->i;
	}
	if (expiry) {
		if (expiry->kind != JSON_NULL && (expiry->kind != JSON_INT || expiry->i <= clock_ms()))
			return err_new(rq->arena, ERR_INVALID_PARAM, "expiry_time must be in the future, or null");
		t->expires_at = expiry->kind == JSON_NULL ? 0 : expiry->i;
	}
	return NULL;
}

static err *post_new(struct req *rq)
{
	struct registration_token t = { .uses_allowed = -1 };
	const struct json *body, *v;
	int64_t length = 16;

	TRY(req_body_object_or_empty(rq, &body));
	TRY(body_str(rq, body, "token", &t.token));
	v = json_get(body, S("length"));
	if (v && (!json_get_int(body, S("length"), &length) || length < 1 || length > 64))
		return err_new(rq->arena, ERR_INVALID_PARAM, "length must be from 1 to 64");
	TRY(limits_args(rq, body, &t));
	if (str_is_none(t.token))
		t.token = rand_alnum(rq->arena, (size_t)length);
	TRY(registration_token_add(rq->services->users, rq->arena, &t));
	write_token(reply_json(rq, 200), &t);
	return NULL;
}

static err *find(struct req *rq, const struct registration_token **out)
{
	TRY(registration_token_get(rq->services->users, rq->arena, req_param(rq, "token"), out));
	return *out ? NULL : err_new(rq->arena, ERR_NOT_FOUND, "No such registration token");
}

static err *get_token(struct req *rq)
{
	const struct registration_token *t;

	TRY(find(rq, &t));
	write_token(reply_json(rq, 200), t);
	return NULL;
}

static err *put_token(struct req *rq)
{
	const struct registration_token *found;
	struct registration_token t;
	const struct json *body;

	TRY(req_body_object(rq, &body));
	TRY(find(rq, &found));
	t = *found;
	TRY(limits_args(rq, body, &t));
	TRY(registration_token_update(rq->services->users, rq->arena, &t));
	write_token(reply_json(rq, 200), &t);
	return NULL;
}

static err *delete_token(struct req *rq)
{
	TRY(registration_token_delete(rq->services->users, rq->arena, req_param(rq, "token")));
	reply_empty(rq);
	return NULL;
}

const struct route admin_registration_tokens_routes[] = {
	{ "GET", "/_synapse/admin/v1/registration_tokens", get_tokens, AUTH_ADMIN, RATE_NONE, LANE_FAST },
	{ "POST", "/_synapse/admin/v1/registration_tokens/new", post_new, AUTH_ADMIN, RATE_NONE, LANE_FAST },
	{ "GET", "/_synapse/admin/v1/registration_tokens/{token}", get_token, AUTH_ADMIN, RATE_NONE, LANE_FAST },
	{ "PUT", "/_synapse/admin/v1/registration_tokens/{token}", put_token, AUTH_ADMIN, RATE_NONE, LANE_FAST },
	{ "DELETE", "/_synapse/admin/v1/registration_tokens/{token}", delete_token, AUTH_ADMIN, RATE_NONE, LANE_FAST },
	{ 0 },
};
