/* authenticate.c - http/'s authentication callback. */
#include "api/authenticate.h"

#include "api/services.h"
#include "federation/request_check.h"
#include "user/user.h"

static err *authenticate_server(struct req *rq)
{
	str headers[REQUEST_MAX_HEADERS];
	struct signed_request request = {
		.method = rq->method,
		.uri = req_target(rq),
		.headers = headers,
		.address = rq->address,
	};
	struct request_claim *claim;

	request.n_headers = MIN(req_header_all(rq, "Authorization", headers, ARRAY_LEN(headers)), ARRAY_LEN(headers));
	TRY(request_claim(rq->services->keys, rq->arena, &request, &claim));
	if (req_body(rq).n > 0)
		TRY(req_body_object(rq, &request.content));
	return request_prove(rq->services->keys, rq->arena, &request, claim, &rq->origin);
}

err *api_authenticate(struct req *rq, enum auth auth)
{
	return auth == AUTH_SERVER ? authenticate_server(rq) : users_authenticate(rq->services->users, rq, auth);
}
