/* meta.h - single values by name, for the other files of the server that keep one thing for ever (a signing key's id
 * ...). */
#pragma once

#include "store/store.h"

/* STR_NONE when it was never set. */
NODISCARD err *store_meta_get(struct tx *tx, str name, str *out);
NODISCARD err *store_meta_set(struct tx *tx, str name, str value);
/* Sets it unless it is set, and gives what stands there: for a value that several processes may be first to make. */
NODISCARD err *store_meta_once(struct tx *tx, str name, str value, str *out);
