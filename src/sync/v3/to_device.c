/*
 * to_device.c - messages to the device that asks. Client-Server API, "Send-to-Device messaging".
 *
 * A token says how far the device has them. That is the stream position, like that of everything else, unless more wait
 * than one answer holds: then it stays behind, at the last one that was given, and the next answer goes on from there
 * at once. What was given with the token that comes back is acknowledged by it.
 */
#include "sync/v3/internal_v3.h"

static bool may_wait(const struct run *r)
{
	return r->initial || !r->exact || r->since.to_device < r->since.stream ||
	       r->bus.own[BUS_TO_DEVICE] > r->since.stream;
}

err *to_device_gather(struct run *r)
{
	struct e2ee *e2ee = r->ss->opt.e2ee;
	struct to_device_batch *out = &r->answer->to_device;
	const str device_id = r->rq->device_id;
	struct tx *tx;

	r->answer->next.to_device = r->position;
	if (str_is_empty(device_id))
		return NULL;
	if (!r->initial)
		to_device_acknowledge(e2ee, r->rq->user, device_id, r->since.to_device);
	if (!may_wait(r))
		return NULL;
	TRY(run_tx(r, &tx));
	/* Memory may have begun after this token was given. */
	if (!r->initial && !r->exact)
		TRY(to_device_acknowledge_left(e2ee, tx, r->rq->user, device_id, r->since.to_device));
	TRY(to_device_waiting(e2ee, tx, r->rq->user, device_id, r->since.to_device, r->position, out));
	r->answer->next.to_device = out->upto;
	return NULL;
}
