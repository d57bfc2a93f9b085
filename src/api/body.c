/* body.c - members of a request's body. */
#include "api/body.h"

err *body_str(struct req *rq, const struct json *body, const char *key, str *out)
{
	const struct json *v = json_get(body, str_c(key));

	*out = STR_NONE;
	if (!v || v->kind == JSON_NULL)
		return NULL;
	if (v->kind != JSON_STR)
		return err_new(rq->arena, ERR_BAD_JSON, "%s must be a string", key);
	*out = v->s;
	return NULL;
}

err *body_need_str(struct req *rq, const struct json *body, const char *key, str *out)
{
	TRY(body_str(rq, body, key, out));
	return str_is_none(*out) ? err_new(rq->arena, ERR_MISSING_PARAM, "%s is missing", key) : NULL;
}

err *body_bool(struct req *rq, const struct json *body, const char *key, bool otherwise, bool *out)
{
	const struct json *v = json_get(body, str_c(key));

	if (v && v->kind != JSON_BOOL && v->kind != JSON_NULL)
		return err_new(rq->arena, ERR_BAD_JSON, "%s must be true or false", key);
	*out = json_is(v, JSON_BOOL) ? v->b : otherwise;
	return NULL;
}
