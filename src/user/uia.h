/*
 * uia.h - user-interactive authentication (specification: client-server-api, "User-Interactive Authentication API").
 *
 *     struct uia *u;
 *     // The session, if there is one; u->params: the request's parameters.
 *     TRY(uia_open(us, rq->arena, &request, &u));
 *     TRY(uia_prove(us, rq->arena, u)); // ERR_UIA with the 401 body until a flow is complete
 *     ... do what was asked ...
 *
 * A session is bound to method, path and user, and from its first completed stage on to the parameters. A request that
 * carries `auth` alone means the parameters of the session. Sessions live in the store, sealed: any process can go on
 * with them.
 */
#pragma once

#include "user/user.h"

enum uia_stage { UIA_PASSWORD, UIA_DUMMY, UIA_TERMS, UIA_REGISTRATION_TOKEN, UIA_STAGES };
enum { UIA_FLOW_MAX = 4 };
struct uia_flow {
	enum uia_stage stages[UIA_FLOW_MAX];
	size_t n;
};

struct uia_request {
	str method, path;        /* as they came */
	const struct json *body; /* an object */
	int64_t user;            /* who is logged in; 0: nobody */
	str user_id;
	int64_t token_id; /* the access token of the request; 0: none */
	bool may_skip;    /* a password proven with this token lately is enough (uia_session_timeout_ms) */
	const struct uia_flow *flows;
	size_t n_flows;
};

struct uia {
	struct uia_request rq;
	str session;               /* STR_NONE until there is one */
	const struct json *params; /* the body without `auth`; or what the session remembers */
	bool done[UIA_STAGES];
	str registration_token; /* proven by m.login.registration_token */
	int64_t result;         /* the account that this session has made already; 0: none */
	struct uia_state *in;
};

/* ERR_FORBIDDEN when the session belongs to another operation, or its parameters were changed. */
NODISCARD err *uia_open(struct users *us, struct arena *a, const struct uia_request *rq, struct uia **out);
/* Takes the stage in `auth`. NULL: a flow is complete, and the session is gone (a registration's stays, to answer the
 * same request again). ERR_UIA; ERR_FORBIDDEN: somebody else's password; ERR_LIMIT_EXCEEDED. */
NODISCARD err *uia_prove(struct users *us, struct arena *a, struct uia *u);
/* Both, with the only flow that a logged-in user has: the password. out_params: the request's parameters. */
NODISCARD err *uia_password(struct users *us, struct req *rq, const struct json *body, bool may_skip,
			    const struct json **out_params);

/* The same stage from the fallback web page: "m.login.dummy", "m.login.terms", "m.login.registration_token" (with
 * `answer`). False in *out_good: the answer was wrong. ERR_NOT_FOUND: no such session. */
NODISCARD err *uia_fallback(struct users *us, struct arena *a, str session, str type, str answer, bool *out_good);
const char *uia_stage_name(enum uia_stage stage);
