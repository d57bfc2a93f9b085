/* disposition.h - the file's name in a Content-Disposition header. RFC 6266. */
#pragma once

#include "base/arena.h"

/* `filename*` where it is UTF-8, else `filename`; without folders. STR_NONE: none is said. */
str disposition_filename(struct arena *a, str header);
