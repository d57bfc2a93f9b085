/*
 * missing.h - what a received event stands on and this server does not have: fetched from other servers, on threads of
 * its own.
 *
 * Server-Server API, "Checks performed on receipt of a PDU" (an event with missing prev_events), "Retrieving events",
 * "Backfilling and retrieving missing events". Whoever waits goes on with something else meanwhile: a server that is
 * dead holds up its own events alone.
 */
#pragma once

#include "federation/event_check.h"
#include "federation/fed.h"
#include "room/receive/received.h"

struct missing;
struct fetch_hooks;
struct missing_options { /* borrowed for the life of the service */
	struct rooms *rooms;
	struct store *store;
	struct key_ring *keys;
	struct fed *fed;
	struct pool *pool;
	const struct log *log;
	unsigned threads;                /* that fetch; 0: chosen */
	str spool_folder;                /* where what does not fit memory is kept meanwhile; STR_NONE: nowhere */
	const struct fetch_hooks *hooks; /* NULL, but in tests (internal_fetch.h) */
};
NODISCARD err *missing_new(struct arena *a, const struct missing_options *opt, struct missing **out);
void missing_start(struct missing *m);
/* Ends what is under way: `done` of everything that was begun has been called when this returns. */
void missing_stop(struct missing *m);
void missing_free(struct missing **m);

struct missing_want {              /* borrowed during missing_begin alone: what is kept is copied */
	str room_id, origin;       /* who gave us the event: asked first */
	const struct event *event; /* checked; not part of the room yet */
	const str *missing;        /* those of its prev_events and auth_events that are not known */
	size_t n_missing;
	/*
	 * Once, on a fetching thread that holds no lock. NULL: what could be found is in the room by now (also the
	 * event itself, where it was put there with a state that was fetched, or below an event that names it): look
	 * again. Else why nothing was found:
	 * ERR_CONNECTION_FAILED where somebody who may have it did not answer (who wants it asks again a while later);
	 * ERR_NOT_FOUND where all answered and none has it: the event is to be dropped, and looked for anew when
	 * somebody else names it.
	 */
	void (*done)(void *ctx, const err *why);
	void *ctx;
};
/*
 * Queues. False: enough is being fetched for this room or from this server already; `done` is not called. Never blocks;
 * no lock is held; `done` may have been called before this returns. `m` is a struct missing: see inbound_on_missing.
 */
bool missing_begin(void *m, const struct missing_want *want);
