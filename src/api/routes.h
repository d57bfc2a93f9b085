/* routes.h - every route of the server, as data. */
#pragma once

#include "http/http.h"

/* NULL-terminated list of tables: for http_start, `hearth routes` and the metrics. */
extern const struct route *const api_route_tables[];
