/* cross_signing.c - specification: client-server-api, "Cross-signing". */
#include "e2ee/cross_signing.h"

#include "api/services.h"
#include "user/uia.h"

static bool has_keys(const struct json *body)
{
	return json_get(body, S("master_key")) || json_get(body, S("self_signing_key")) ||
	       json_get(body, S("user_signing_key"));
}

static err *post_device_signing(struct req *rq)
{
	struct cross_signing_cmd cmd = { .user = rq->user, .user_id = rq->user_id };
	/* A request with nothing but `auth` means the keys of its session. */
	bool needs_proof = false;

	TRY(req_body_object(rq, &cmd.body));
	if (has_keys(cmd.body) || !json_get(cmd.body, S("auth")))
		TRY(e2ee_cross_signing_upload(rq->services->e2ee, rq->arena, &cmd, &needs_proof));
	else
		needs_proof = true;
	if (needs_proof) {
		TRY(uia_password(rq->services->users, rq, cmd.body, false, &cmd.body));
		cmd.proven = true;
		TRY(e2ee_cross_signing_upload(rq->services->e2ee, rq->arena, &cmd, &needs_proof));
	}
	reply_empty(rq);
	return NULL;
}

static void write_failures(struct jw *w, const struct signature_failures *failures)
{
	jw_object(w, "failures");
	for (size_t i = 0; i < failures->n; i++) {
		const struct signature_failure *f = &failures->p[i];

		if (i == 0 || !str_eq(f->user_id, f[-1].user_id)) {
			if (i)
				jw_end(w);
			jw_key(w, f->user_id);
			jw_object(w, NULL);
		}
		jw_key(w, f->key_id);
		jw_object(w, NULL);
		jw_str(w, "errcode", str_c(err_errcode(f->why->code)));
		jw_str(w, "error", f->why->msg);
		jw_end(w);
	}
	if (failures->n)
		jw_end(w);
	jw_end(w);
}

static err *post_signatures(struct req *rq)
{
	struct signatures_cmd cmd = { .user = rq->user, .user_id = rq->user_id };
	struct signature_failures failures;

	TRY(req_body_object(rq, &cmd.body));
	TRY(e2ee_signatures_upload(rq->services->e2ee, rq->arena, &cmd, &failures));
	write_failures(reply_json(rq, 200), &failures);
	return NULL;
}

/* The unstable names are older than the specification's, and still in use. */
#define ROUTES(base)                                                                                                   \
	{ "POST", base "/keys/device_signing/upload", post_device_signing, AUTH_USER, RATE_NONE, LANE_SLOW },          \
	{                                                                                                              \
		"POST", base "/keys/signatures/upload", post_signatures, AUTH_USER, RATE_NONE, LANE_SLOW               \
	}

const struct route client_cross_signing_routes[] = {
	ROUTES("/_matrix/client/v3"),
	ROUTES("/_matrix/client/unstable"),
	{ 0 },
};
