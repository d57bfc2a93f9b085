/* internal_outbox_txn.h - a transaction, the events that it is made of, and its way. */
#pragma once

#include "federation/internal_outbox.h"

struct sent; /* an event in memory (outbox_cache.c) */
struct txn {
	struct fed_call call; /* first: it is what comes back */
	struct destination *to;
	bool probe; /* empty: does the destination take anything at all? */
	char id[48];
	int64_t ts; /* origin_server_ts */
	struct outbox_event_row *items;
	struct sent **events; /* while it is under way */
	int64_t *rows;
	struct edu_body **edus;
	size_t n_items, n_rows, n_edus;
	struct arena *a; /* while it is under way */
	str event_id;    /* owned: of one that is suspected; else STR_NONE */
};

/* outbox_transaction.c, outbox_outcome.c; on the thread, without the lock */
void txn_launch(struct outbox *o, struct destination *d);
void txn_ended(struct outbox *o, struct fed_call *call);
/* Under it */
void txn_free(struct outbox *o, struct txn **t);
struct txn *txn_new(struct outbox *o, struct destination *d);

/* outbox_outcome.c; under the lock */
void txn_landed(struct outbox *o, struct destination *d); /* it is nobody's turn any more */
void txn_done(struct outbox *o, struct destination *d);   /* d->txn arrived, or there was nothing to say */

/* outbox_tidy.c; on the thread, without the lock */
void outbox_tidy(struct outbox *o, struct destination *d);    /* it has been away for long */
void outbox_discard(struct outbox *o, struct destination *d); /* it is never spoken to: its rows go */

/* outbox_cache.c; on the thread */
struct sent {
	struct list idle;
	int64_t event, at;
	unsigned refs;
	struct arena *a;
	size_t bytes;
	const struct json *json;
	str event_id;
	str sender_server; /* STR_NONE where it is sent to all */
};
/* References to those that exist, in the order of the items; NULL for the others. */
NODISCARD err *sent_load(struct outbox *o, struct tx *tx, const struct outbox_event_row *items, size_t n,
			 struct sent **out);
void sent_release(struct outbox *o, struct sent **list, size_t n);
void sent_free_all(struct outbox *o);
