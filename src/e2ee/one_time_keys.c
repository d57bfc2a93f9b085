/* one_time_keys.c - keys that begin one conversation each, and what stands in for them. */
#include "e2ee/one_time_keys.h"

#include "e2ee/internal_e2ee.h"
#include "store/device_keys.h"
#include "store/tx.h"

void one_time_keys_init(struct e2ee *e)
{
	static const char claims[] = "Keys that were asked for with /keys/claim, by what was given.";

	e->keys_uploaded = metric_counter("hearth_e2ee_keys_uploaded_total",
					  "One-time and fallback keys that devices uploaded.", "");
	e->claims_one_time = metric_counter("hearth_e2ee_claims_total", claims, "given=\"one_time\"");
	e->claims_fallback = metric_counter("hearth_e2ee_claims_total", claims, "given=\"fallback\"");
	e->claims_none = metric_counter("hearth_e2ee_claims_total", claims, "given=\"none\"");
}

err *e2ee_key_counts(struct tx *tx, int64_t user, str device_id, struct key_counts *out)
{
	struct arena *a = tx_arena(tx);
	struct key_count_row *rows;
	struct key_count *counts;
	struct key_counts c = { 0 };
	str *unused;
	size_t n;

	TRY(store_key_counts(tx, user, device_id, &rows, &n));
	counts = ARENA_ARRAY(a, struct key_count, n);
	unused = ARENA_ARRAY(a, str, n);
	for (size_t i = 0; i < n; i++) {
		if (rows[i].one_time)
			counts[c.n_one_time++] = (struct key_count){ rows[i].algorithm, rows[i].one_time };
		if (rows[i].unused_fallback)
			unused[c.n_unused_fallback++] = rows[i].algorithm;
	}
	c.one_time = counts;
	c.unused_fallback = unused;
	*out = c;
	return NULL;
}
