/* claims.h - one-time keys that were claimed, in answers. */
#pragma once

#include "e2ee/one_time_keys.h"
#include "json/writer.h"

/* Those that were found, as members of an object that is begun: keys by device id by user id. */
void claims_write(struct jw *w, struct arena *a, const struct key_claim *list, size_t n);
