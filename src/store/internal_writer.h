/* internal_writer.h - what the writer's thread (writer.c) and the batch it commits (batch.c) share. */
#pragma once

#include "store/internal_store.h"

enum { MAX_BATCH = 512 };

struct queued {
	struct list node;
	struct piece piece;
	struct ticket *ticket; /* NULL: nobody waits */
	bool answered, doomed;
	struct work work;
};

struct writer {
	struct store *st;
	struct thread *thread;
	struct conn *conn;
	struct lock lock; /* queue, n_queued, stop, gone */
	struct cond filled;
	struct list queue;
	size_t n_queued;
	bool stop, gone;
	/* The thread's own: */
	struct arena *arena; /* of one batch */
	struct queued *batch[MAX_BATCH];
	size_t n_batch;
	int64_t head;  /* what stream_head says, 0: not known; only of a writer that is the only one */
	bool may_grow; /* pieces queued meanwhile may join: nothing of this batch was told or undone yet */
	err *why;      /* the last failure of this batch as a whole */
	/* This batch's place among those with positions, -1: none. Under store->turns.lock. */
	int64_t turn;
};

/* writer.c: the ticket's holder is told; it may be gone when this returns. */
void queued_release(struct queued *q, const err *result);
/* What is queued joins the batch, as far as there is room. */
void writer_take_queued(struct writer *w);
/* The batch from i on goes back to the front of the queue. */
void writer_put_back_from(struct writer *w, size_t i);
/* batch.c: tries w->batch until each piece of it is answered. */
void batch_process(struct writer *w);
