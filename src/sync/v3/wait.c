/*
 * wait.c - what is known without asking the database.
 *
 * The order that loses nothing stands in bus.h: watch the user, take the position with what is known at that moment,
 * then read, with every query bounded by the position. Where the bus knows everything since the client's token and
 * nothing has changed, there is nothing to read: the request waits for the next change.
 */
#include "sync/v3/internal_v3.h"

#include "store/membership.h"

static bool ask(struct run *r)
{
	/* Whoever's serials these are, and whatever the bus forgot: everybody who types now is new. */
	const int64_t above = r->full_state || r->foreign ? -1 : r->since.stream;

	return bus_news(r->ss->opt.bus, r->a, r->rq->user, above, r->since.serial, &r->bus, &r->news, &r->n_news);
}

static err *watch(struct run *r)
{
	struct bus *bus = r->ss->opt.bus;
	AUTO_TX tx = NULL;
	int64_t position, *rooms;
	size_t n;

	if (!bus_watch_begin(bus, r->rq->user))
		return NULL;
	position = bus_position(bus);
	TRY(store_read(r->ss->opt.store, r->a, &tx));
	TRY(store_joined_rooms(tx, r->rq->user, &rooms, &n));
	bus_watch_rooms(bus, r->rq->user, position, rooms, n);
	return NULL;
}

err *run_watch(struct run *r)
{
	r->known = ask(r);
	if (!r->known) {
		TRY(watch(r));
		r->known = ask(r);
	}
	/* Forgotten again at once, on a very busy server: then this request does not wait. */
	if (!r->known)
		r->bus = (struct bus_known){ .position = bus_position(r->ss->opt.bus), .since = INT64_MAX };
	r->exact = r->known && r->since.stream >= r->bus.since;
	/* Another process may be ahead of what this one was told. */
	r->position = MAX(r->bus.position, r->since.stream);
	return NULL;
}

bool run_changed(const struct run *r, enum bus_kind kind) { return !r->exact || r->bus.last[kind] > r->since.stream; }
