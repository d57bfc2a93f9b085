/* authenticate.h - http/'s authentication callback: asks the users service of the request, or which server signed it.
 */
#pragma once

#include "http/http.h"

/* For struct http_options.authenticate. */
NODISCARD err *api_authenticate(struct req *rq, enum auth auth);
