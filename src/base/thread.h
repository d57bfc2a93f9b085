/*
 * thread.h - the only place that locks.
 *
 * A lock has a rank; a thread takes locks in rising rank only, and the order is asserted (in every build), as is that
 * the thread which unlocks is the holder.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* What is taken first stands first. */
enum lock_rank {
	RANK_ROOM = 10,    /* one room's head */
	RANK_ROOMS = 20,   /* the table of rooms */
	RANK_SERVICE = 30, /* caches and tables of services (users, sync) */
	RANK_STORE = 40,   /* the store's queue and connection pool */
	RANK_TICKET = 45,
	RANK_BUS = 50,
	RANK_HTTP = 60, /* lanes, parked requests */
	RANK_LEAF = 90, /* metrics, logs: take nothing further */
};

struct lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
	pthread_t holder;
	bool held;
	struct lock *outer; /* the lock this thread took before, while held */
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_done(struct lock *l);
void lock_take(struct lock *l);
void lock_drop(struct lock *l);
void lock_assert_held(const struct lock *l);
/* Does this thread hold any lock? Then it must not wait for what a holder of that lock may have. */
bool lock_any_held(void);
static inline void lock_drop_auto(struct lock **l)
{
	if (*l)
		lock_drop(*l);
}
/* LOCKED(&x->lock); holds to the end of the scope. */
#define LOCKED_2(l, n) CLEANUP(lock_drop_auto) struct lock *locked_##n##_ = (lock_take(l), (l))
#define LOCKED_1(l, n) LOCKED_2(l, n)
#define LOCKED(l)      LOCKED_1(l, __COUNTER__)

struct cond {
	pthread_cond_t cond;
};
void cond_init(struct cond *c);
void cond_done(struct cond *c);
/* The lock is the only one that the thread holds (asserted): who waits under another lock stops everybody behind it. */
void cond_wait(struct cond *c, struct lock *l);
/* False when the deadline (clock_mono_us) passed first. */
bool cond_wait_until(struct cond *c, struct lock *l, int64_t deadline_us);
/*
 * From now on fn runs on this thread before it waits on a condition (true) and after (false): so that a pool of workers
 * knows which of them are at work. It may take locks above what the thread waits with; fn NULL: no more.
 */
void thread_on_wait(void (*fn)(void *arg, bool waits), void *arg);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

/* A named thread (name at most 15 characters, shown by top -H) with 256 KiB of stack. Signals stay with the threads
 * that were there before: a new one blocks all but those that its own faults raise. */
typedef void thread_main(void *arg);
struct thread;
struct thread *thread_start(const char *name, thread_main *fn, void *arg);
void thread_join(struct thread **t);
