/*
 * gate.h - a piece that keeps a writer busy until it is let go: what is queued behind it becomes one batch. (In `late`:
 * its own batch does not grow any more.)
 */
#pragma once

#include <assert.h>
#include <pthread.h>

#include "both.h"

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool entered, open;
	struct ticket *ticket;
};

static inline err *gate_run(struct tx *tx, void *arg)
{
	struct gate *g = arg;

	(void)tx;
	pthread_mutex_lock(&g->lock);
	g->entered = true;
	pthread_cond_broadcast(&g->changed);
	while (!g->open)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

/* Returns when the writer of the shard stands in the gate. */
static inline void gate_shut(struct gate *g, struct both *b, int64_t shard)
{
	*g = (struct gate){ .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	both_ok(store_write(b->st, b->a, &(struct piece){ .late = gate_run, .arg = g, .shard = shard }, &g->ticket));
	pthread_mutex_lock(&g->lock);
	while (!g->entered)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static inline void gate_open(struct gate *g, struct both *b)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	both_ok(store_wait(b->a, g->ticket));
}
