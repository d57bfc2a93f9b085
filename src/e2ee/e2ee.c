#include "e2ee/internal_e2ee.h"
#include "e2ee/list_sender.h"
#include "e2ee/remote_lists.h"
#include "e2ee/shown_keys.h"

enum { SHOWN_BYTES_MAX = 32 << 20 };

struct e2ee *e2ee_new(const struct e2ee_options *opt)
{
	static struct e2ee counters; /* metrics live for ever, services do not have to */
	struct e2ee *e = MEM_NEW(struct e2ee);

	if (!counters.keys_uploaded)
		one_time_keys_init(&counters), to_device_counters(&counters), backup_counters(&counters);
	*e = counters;
	e->opt = *opt;
	e->shown = shown_cache_new(SHOWN_BYTES_MAX);
	to_device_init(e);
	lock_init(&e->fetching_lock, RANK_TICKET);
	cond_init(&e->fetching_ended);
	map_init(&e->fetching, NULL);
	return e;
}

err *e2ee_federate(struct e2ee *e, struct arena *a, struct fed *fed, struct outbox *outbox)
{
	TRY(store_intern(e->opt.store, a, e->opt.server_name, &e->own_server));
	e->fed = fed;
	e->outbox = outbox;
	list_sender_start(e);
	if (fed)
		remote_lists_start(e);
	return NULL;
}

void e2ee_leave_federation(struct e2ee *e)
{
	list_sender_end(e);
	remote_lists_stop(e);
}

void e2ee_free(struct e2ee **e)
{
	if (!*e)
		return;
	to_device_done(*e);
	shown_cache_free(&(*e)->shown);
	map_done(&(*e)->fetching);
	cond_done(&(*e)->fetching_ended);
	lock_done(&(*e)->fetching_lock);
	mem_free(*e);
	*e = NULL;
}
