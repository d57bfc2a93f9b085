/*
 * inbound.h - what other servers send: staged with its answer, then put into the rooms.
 *
 * Server-Server API, "Transactions" and "Checks performed on receipt of a PDU". Before the answer each event is parsed,
 * held against the room's ACL, its signatures and hash checked; those that are good are rows, in one commit with the
 * transaction's answer. After it each room takes its events in order: an event waits for its own ancestors alone.
 */
#pragma once

#include "federation/event_check.h"
#include "federation/fed.h"
#include "room/receive/received.h"

struct inbound;
struct inbound_options { /* borrowed for the life of the service */
	struct rooms *rooms;
	struct store *store;
	struct key_ring *keys;
	struct fed *fed;
	struct pool *pool;
	const struct log *log;
	unsigned workers; /* threads that put events into rooms; 0: chosen */
	/* Events that are staged at most: past the room's the newest are dropped, and fetched once others name them;
	 * past the others a transaction is refused, and comes again. 0: chosen */
	size_t max_waiting, max_waiting_room, max_waiting_origin;
};
NODISCARD err *inbound_new(struct arena *a, const struct inbound_options *opt, struct inbound **out);
void inbound_start(struct inbound *in); /* takes up what a restart left */
void inbound_stop(struct inbound *in);
void inbound_free(struct inbound **in);

/* Who fetches what an event stands on: missing_begin and its struct missing. At start only; without it such an event
 * waits until what it stands on comes by itself. */
struct missing_want;
void inbound_on_missing(struct inbound *in, bool (*begin)(void *ctx, const struct missing_want *want), void *ctx);

struct inbound_txn {
	str origin, txn_id;
	const struct json *const *pdus;
	size_t n_pdus; /* at most 50 */
};
/* A transaction that was answered before gives the same answer: *out_answer, else STR_NONE. Ask before its EDUs. */
NODISCARD err *inbound_answered(struct inbound *in, struct arena *a, str origin, str txn_id, str *out_answer);
/* Stages; *out_answer is the whole answer. ERR_LIMIT_EXCEEDED: too much of this origin's waits already. */
NODISCARD err *inbound_take(struct inbound *in, struct arena *a, const struct inbound_txn *txn, str *out_answer);
/* One event that came otherwise (a join that was sent through us, an answer of a gap): all checks were done by
 * event_check; waits until it is part of the room or refused. */
NODISCARD err *inbound_one(struct inbound *in, struct arena *a, const struct event *ev, str origin,
			   enum append_outcome *out);

/*
 * A join is under way: what other servers send of the room is checked and kept, and put into it once it is there. Each
 * inbound_joining has its inbound_joined, also when the join failed (then what was kept is dropped).
 */
NODISCARD err *inbound_joining(struct inbound *in, struct arena *a, str room_id, const struct room_version *rv);
void inbound_joined(struct inbound *in, str room_id);
