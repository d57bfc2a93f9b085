/* outbox_wire.c - the network as it is: federation/fed.h. */
#include "federation/internal_outbox.h"

static void *wire_open(void *ctx) { return fed_batch_new(ctx); }

static void wire_start(void *batch, struct arena *a, struct fed_call *call, int64_t deadline_us)
{
	fed_batch_start(batch, a, call, deadline_us);
}

static struct fed_call *wire_next(void *batch, int64_t until_us) { return fed_batch_next(batch, until_us); }

static void wire_wake(void *batch) { fed_batch_wake(batch); }

static void wire_close(void *batch)
{
	struct fed_batch *b = batch;

	fed_batch_free(&b);
}

static bool wire_allowed(void *ctx, str server_name)
{
	return fed_allowed(ctx, server_name) && !fed_is_own(ctx, server_name);
}

static bool wire_pauses(void *ctx, str server_name, int64_t *out_until)
{
	return backoff_pauses(ctx, server_name, out_until);
}

static err *wire_status(void *ctx, struct arena *a, str server_name, struct destination_status *out)
{
	return backoff_status(ctx, a, server_name, out);
}

const struct outbox_wire outbox_wire_fed = {
	.open = wire_open,
	.start = wire_start,
	.next = wire_next,
	.wake = wire_wake,
	.close = wire_close,
	.allowed = wire_allowed,
	.pauses = wire_pauses,
	.status = wire_status,
};
