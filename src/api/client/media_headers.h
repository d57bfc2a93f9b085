/* media_headers.h - the headers that files are answered with: what a browser may do with them, and what they are
 * called. */
#pragma once

#include "http/http.h"

/* As it is answered: text without a charset is UTF-8. */
str media_content_type(struct arena *a, str content_type);
/* "inline" for the types that are safe to show, else "attachment"; with the file's name (STR_NONE or "": without).
 * Client-Server API, "Serving inline content"; RFC 6266. */
str media_disposition(struct arena *a, str content_type, str filename);
/* All that every file is answered with, whole or in part, but for its type, length and disposition. `etag` with its
 * quotes. */
void media_headers(struct req *rq, str etag);
