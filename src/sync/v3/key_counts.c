/* key_counts.c - how many one-time keys the server holds for the device, and which fallback keys are unused: in every
 * answer. A device whose keys are taken is told at once, so that it uploads new ones in time. */
#include "sync/v3/internal_v3.h"

err *key_counts_gather(struct run *r)
{
	struct key_counts *out = &r->answer->keys;
	const str device_id = r->rq->device_id;
	const int64_t user = r->rq->user;
	struct tx *tx;

	if (str_is_empty(device_id))
		return NULL;
	r->answer->has_keys = true;
	if (r->known && key_cache_get(r->ss->keys, r->a, user, device_id, &r->bus, out))
		return NULL;
	TRY(run_tx(r, &tx));
	TRY(e2ee_key_counts(tx, r->a, user, device_id, out));
	if (r->known)
		r->answer->keys_changed = key_cache_keep(r->ss->keys, user, device_id, &r->bus, out);
	return NULL;
}
