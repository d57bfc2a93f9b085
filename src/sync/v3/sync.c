/*
 * sync.c - GET /sync from end to end: what was asked, what is known, what is found.
 *
 * README.md has the order of reading. A request that finds nothing has read nothing where the bus knows back to its
 * token.
 */
#include "sync/v3/internal_v3.h"

/* What is typed after this serial comes with the next answer. */
static int64_t next_serial(const struct run *r)
{
	int64_t serial = MAX(r->foreign ? 0 : r->since.serial, r->bus.last[BUS_TYPING]);

	for (size_t i = 0; i < r->n_news; i++)
		serial = MAX(serial, r->news[i].last[BUS_TYPING]);
	return serial;
}

static void answer_begin(struct run *r)
{
	struct sync_answer *an = ARENA_NEW(r->a, struct sync_answer);

	an->a = r->a;
	an->ss = r->ss;
	an->filter = r->filter;
	an->view = (struct client_view){
		.user = r->rq->user,
		.user_id = r->rq->user_id,
		.device_id = r->rq->device_id,
		.now = r->rq->now,
		.without_room_id = !r->filter.federation_format,
		.federation_format = r->filter.federation_format,
		.fields = &an->filter,
	};
	an->state_after = r->rq->state_after;
	an->state_after_unstable = r->rq->state_after_unstable;
	an->threads = r->filter.timeline.unread_thread_notifications;
	an->next = r->since;
	an->next.epoch = r->ss->epoch;
	an->next.stream = r->position;
	an->next.process = r->ss->process;
	an->next.serial = next_serial(r);
	an->seq = r->bus.seq;
	r->answer = an;
}

/* Nothing that a client is told of changed since its token. */
static bool nothing_happened(const struct run *r)
{
	if (r->full_state || !r->exact || r->foreign || r->bus.last[BUS_TYPING] > r->since.serial)
		return false;
	if (r->bus.last[BUS_PRESENCE] > r->since.presence && presence_is_wanted(r))
		return false;
	for (enum bus_kind kind = 0; kind < BUS_KINDS; kind++)
		if (kind != BUS_TYPING && kind != BUS_PRESENCE && r->bus.last[kind] > r->since.stream)
			return false;
	return true;
}

static err *gather(struct run *r)
{
	struct tasks tasks;

	TRY(ignored_of(r->ss, r->a, r->rq->user, r->known ? &r->bus : NULL, &r->ignored));
	TRY(account_data_load(r));
	TRY(account_data_global(r));
	TRY(tasks_find(r, &tasks));
	for (size_t i = 0; i < tasks.list.n; i++) {
		struct sync_room *room;

		TRY(room_gather(r, &tasks.list.p[i], &room));
		if (room)
			vec_push(r->a, &r->answer->rooms, room);
	}
	return presence_gather(r, &tasks);
}

err *run_open(struct run *r, const struct filter *filter)
{
	TRY(run_begin(r, filter));
	TRY(run_watch(r));
	answer_begin(r);
	return NULL;
}

err *run_all(struct run *r, const struct filter *filter)
{
	TRY(run_open(r, filter));
	return nothing_happened(r) ? NULL : gather(r);
}

/* Each of them knows by itself when there is nothing to ask. */
static err *gather_device(struct run *r)
{
	TRY(to_device_gather(r));
	TRY(device_lists_gather(r));
	return key_counts_gather(r);
}

static bool has_news(const struct run *r)
{
	const struct sync_answer *an = r->answer;

	return r->full_state || !r->known || an->rooms.n || an->account_data.n || an->to_device.n ||
	       an->lists_changed.n || an->lists_left.n || an->keys_changed || an->presence.n;
}

err *sync_v3(struct syncs *ss, struct arena *a, const struct sync_request *rq, struct sync_answer **out)
{
	struct run r = { .ss = ss, .a = a, .rq = rq };
	err *e = run_all(&r, NULL);

	if (!e)
		e = gather_device(&r);
	store_read_end(&r.tx);
	if (e)
		return e;
	r.answer->news = has_news(&r);
	*out = r.answer;
	return NULL;
}

bool sync_answer_has_news(const struct sync_answer *an, uint64_t *out_seq)
{
	*out_seq = an->seq;
	return an->news;
}
