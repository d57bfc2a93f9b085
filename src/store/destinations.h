/* destinations.h - other servers that do not answer: how long they are left alone. */
#pragma once

#include "store/store.h"

struct destination_row {
	str server_name;
	int64_t failing_since, failed_at, retry_at; /* ms since 1970 */
	int64_t pause_ms;
	str last_error;
};
NODISCARD err *store_destination_save(struct tx *tx, const struct destination_row *row);
NODISCARD err *store_destination_delete(struct tx *tx, str server_name);
/* At most so many, those that failed last. */
NODISCARD err *store_destinations(struct tx *tx, size_t most, struct destination_row **out, size_t *out_n);
