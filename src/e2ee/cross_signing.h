/*
 * cross_signing.h - the keys that stand for a user: master, self-signing and user-signing key, and the signatures by
 * them. Client-Server API, "Cross-signing".
 */
#pragma once

#include "e2ee/e2ee.h"
#include "json/json.h"

struct cross_signing_cmd {
	int64_t user;
	str user_id;
	const struct json *body; /* of POST /keys/device_signing/upload */
	bool proven;             /* the user went through user-interactive authentication */
};
/* True in *out_needs_proof: keys would be replaced, and nothing was done: prove, then call again. ERR_INVALID_PARAM,
 * ERR_INVALID_SIGNATURE, ERR_MISSING_PARAM (no master key), ERR_FORBIDDEN (a device is called so). */
NODISCARD err *e2ee_cross_signing_upload(struct e2ee *e, struct arena *a, const struct cross_signing_cmd *cmd,
					 bool *out_needs_proof);

/* POST /keys/signatures/upload: what was not taken, and why. */
struct signature_failure {
	str user_id, key_id; /* as in the request */
	const err *why;
};
struct signatures_cmd {
	int64_t user;
	str user_id;
	const struct json *body;
};
struct signature_failures {
	const struct signature_failure *p; /* those of a user stand together */
	size_t n;
};
enum { SIGNED_KEYS_MAX = 2000 }; /* in one request, users among them */
/* ERR_BAD_JSON, ERR_INVALID_PARAM: nothing was done. */
NODISCARD err *e2ee_signatures_upload(struct e2ee *e, struct arena *a, const struct signatures_cmd *cmd,
				      struct signature_failures *out);
