/*
 * x_matrix.h - the proof that a request between servers is its origin's.
 *
 * Server-Server API, "Request Authentication": method, target, both servers' names and the body are one signed JSON
 * object; its signature travels in the Authorization header, under the scheme X-Matrix.
 */
#pragma once

#include "matrix/sign.h"

struct x_matrix {
	str origin;
	str destination; /* STR_NONE: not told, as by servers from before v1.3 */
	str key_id;      /* "ed25519:abc" */
	str signature;   /* unpadded base64; not looked at yet */
};
/* One header's value. False: another scheme, or none of this form; what is absent, twice there, or no server's name is
 * of no use either. Parts are slices of the header, or live in the arena. */
bool x_matrix_parse(struct arena *a, str header, struct x_matrix *out);

struct x_matrix_request {
	str method;
	str uri; /* path and query as they are sent, from "/_matrix" on */
	str origin, destination;
	const struct json *content; /* the body; NULL: there is none */
};
/* What is signed. ERR_BAD_JSON: the body has no canonical form. */
NODISCARD err *x_matrix_bytes(struct arena *a, const struct x_matrix_request *rq, str *out);
/* The header of a request that we send; `by` is its origin. */
NODISCARD err *x_matrix_write(struct arena *a, const struct x_matrix_request *rq, const struct signer *by, str *out);
