/*
 * outbox.h - what goes to other servers: transactions, in order for each destination, on one thread for all.
 *
 * Server-Server API, "Transactions". A PDU costs no row per destination: durable are the event and, per destination,
 * the stream position up to which everything was sent; what is pending is computed from the events of ours above it and
 * the servers in the room at that event. After a long outage a destination is told the newest event of each room, and
 * asks for what is between. EDUs that must not be lost (messages to devices, device lists) are rows; the others are in
 * memory, the newest of a kind replacing older ones.
 */
#pragma once

#include "federation/backoff.h"

struct outbox;
struct outbox_wire;
struct tx;
struct outbox_options { /* borrowed for the life of the service */
	struct fed *fed;
	struct store *store;
	const struct log *log;
	str server_name;      /* our own */
	unsigned max_flights; /* transactions under way at once; 0: chosen */
	/* Tests: the time, ms since 1970; what stands for the network (internal_outbox.h). */
	int64_t (*now)(void);
	const struct outbox_wire *wire;
	void *wire_ctx;
};
/* Before anything is written to rooms. */
NODISCARD err *outbox_new(struct arena *a, const struct outbox_options *opt, struct outbox **out);
void outbox_start(struct outbox *o); /* its thread */
void outbox_stop(struct outbox *o);  /* ends what is under way; before the store closes */
void outbox_free(struct outbox **o); /* after the store was closed: its last pieces still tell */

/* After a commit, in its order: an event that other servers get from us. `servers`: interned names, this one not among
 * them. Quick, any thread. */
void outbox_event(struct outbox *o, int64_t room, int64_t stream, int64_t event, const int64_t *servers, size_t n);

/* An EDU that may be lost. What has the same destination, type and key and was not sent yet is replaced: key is what it
 * is about ("!room\0@user"). content: an object's JSON. */
void outbox_edu(struct outbox *o, const int64_t *servers, size_t n, str type, str key, str content);
/* One that must not be: in the `late` of a piece of the store's, with the transaction's other rows; it takes a position
 * (piece.positions). After the commit tell. A later one of the same destination, type and key (STR_NONE: none) replaces
 * it while it is unsent. */
NODISCARD err *outbox_edu_write(struct tx *tx, int64_t server, str type, str key, str content);
/* To several servers, each once; some hundreds are a piece. */
NODISCARD err *outbox_edu_write_all(struct tx *tx, const int64_t *servers, size_t n, str type, str key, str content);
void outbox_edu_tell(struct outbox *o, const int64_t *servers, size_t n);

/* For `hearth fed`. */
struct outbox_status {
	struct destination_status destination;
	int64_t sent_upto; /* stream position */
	int64_t events_waiting, edus_waiting;
	bool catching_up, in_flight;
	int64_t last_sent; /* ms */
	size_t bad_events; /* left out because the destination could not take them */
};
struct outbox_bad {
	str event_id; /* STR_NONE: the event is gone */
	int64_t at;   /* ms */
	int status;   /* what the destination answered */
	str error;
};
NODISCARD err *outbox_bad_events(struct outbox *o, struct arena *a, str server_name, struct outbox_bad **out,
				 size_t *out_n);
NODISCARD err *outbox_status(struct outbox *o, struct arena *a, str server_name, struct outbox_status *out);
NODISCARD err *outbox_status_all(struct outbox *o, struct arena *a, struct outbox_status **out, size_t *out_n);
/* Now, whatever back-off says. ERR_NOT_FOUND: nothing ever went there. */
NODISCARD err *outbox_retry(struct outbox *o, struct arena *a, str server_name);
