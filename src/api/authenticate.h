/* authenticate.h - http/'s authentication callback: asks the users service of the request. */
#pragma once

#include "http/http.h"

/* For struct http_options.authenticate. */
NODISCARD err *api_authenticate(struct req *rq, enum auth auth);
