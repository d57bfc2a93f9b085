/*
 * request_check.h - is a request the server's that it says it is of? Server-Server API, "Request Authentication".
 *
 * Two steps, so that a body is read only where a key is there: request_claim finds the key, and asks the network for it
 * where it must, of which strangers have a small share; request_prove says whether the request is signed with it.
 */
#pragma once

#include "federation/key_ring.h"

enum { REQUEST_MAX_HEADERS = 4 }; /* "Authorization": a server may send one for each of its keys */
struct signed_request {
	str method, uri;            /* path and query, as they came */
	const struct json *content; /* the body, for request_prove; NULL: none */
	const str *headers;         /* the values of Authorization, at most REQUEST_MAX_HEADERS */
	size_t n_headers;
	str address; /* where it came from */
};
struct request_claim;
/* ERR_INVALID_PARAM: a header without form; ERR_UNAUTHORIZED: no such header, another server is meant, or there is no
 * such key; ERR_FORBIDDEN: we do not speak with that server; ERR_BUSY: too many strangers' keys are being asked for. */
NODISCARD err *request_claim(struct key_ring *k, struct arena *a, const struct signed_request *rq,
			     struct request_claim **out);
/* ERR_UNAUTHORIZED; ERR_BAD_JSON: the body has no canonical form. The origin lives in arena a, and is interned. */
NODISCARD err *request_prove(struct key_ring *k, struct arena *a, const struct signed_request *rq,
			     const struct request_claim *claim, str *out_origin);
