/* authenticate.c - http/'s authentication callback. */
#include "api/authenticate.h"

#include "api/services.h"
#include "user/user.h"

err *api_authenticate(struct req *rq, enum auth auth) { return users_authenticate(rq->services->users, rq, auth); }
