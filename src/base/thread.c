/*
 * thread.c - the only place that locks.
 *
 * Deadlocks come from two threads that take the same locks in different order. Every lock therefore has a rank, a
 * thread takes locks in strictly rising rank only, and that is asserted at each take, in every build: the wrong order
 * dies at its first run instead of hanging at its first coincidence. Each thread keeps its chain of held locks,
 * innermost first; as ranks rise, the innermost is also the highest, whatever order they are dropped in.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/arena.h"
#include "base/thread.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SIZE ((size_t)2 << 20) /* instrumented frames are several times larger */
#else
#define STACK_SIZE ((size_t)256 << 10)
#endif

static _Thread_local struct lock *innermost;

void lock_init(struct lock *l, enum lock_rank rank)
{
	*l = (struct lock){ .rank = rank };
	pthread_mutex_init(&l->mutex, NULL);
}

void lock_done(struct lock *l)
{
	assert(!l->held);
	pthread_mutex_destroy(&l->mutex);
}

void lock_take(struct lock *l)
{
	int rc;

	assert(!innermost || innermost->rank < l->rank);
	rc = pthread_mutex_lock(&l->mutex);
	assert(rc == 0);
	assert(!l->held);
	l->holder = pthread_self();
	l->held = true;
	l->outer = innermost;
	innermost = l;
}

/* Through the thread's own chain, which no other thread writes: looking at l itself would race with its holder. */
static struct lock **find_held(const struct lock *l)
{
	struct lock **at = &innermost;

	while (*at && *at != l)
		at = &(*at)->outer;
	return at;
}

void lock_drop(struct lock *l)
{
	struct lock **at = find_held(l);
	int rc;

	assert(*at == l);
	assert(l->held && pthread_equal(l->holder, pthread_self()));
	*at = l->outer;
	l->outer = NULL;
	l->held = false;
	rc = pthread_mutex_unlock(&l->mutex);
	assert(rc == 0);
}

void lock_assert_held(const struct lock *l) { assert(*find_held(l) == l); }

bool lock_any_held(void) { return innermost != NULL; }

void cond_init(struct cond *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->cond, &attr);
	pthread_condattr_destroy(&attr);
}

void cond_done(struct cond *c) { pthread_cond_destroy(&c->cond); }

static _Thread_local struct {
	void (*fn)(void *arg, bool waits);
	void *arg;
} on_wait;

void thread_on_wait(void (*fn)(void *arg, bool waits), void *arg)
{
	on_wait.fn = fn;
	on_wait.arg = arg;
}

static void let_go(struct lock *l)
{
	assert(innermost == l && !l->outer);
	innermost = NULL;
	l->held = false;
	if (on_wait.fn)
		on_wait.fn(on_wait.arg, true);
}

static void hold_again(struct lock *l)
{
	if (on_wait.fn)
		on_wait.fn(on_wait.arg, false);
	l->held = true;
	l->holder = pthread_self();
	innermost = l;
}

void cond_wait(struct cond *c, struct lock *l)
{
	int rc;

	let_go(l);
	rc = pthread_cond_wait(&c->cond, &l->mutex);
	assert(rc == 0);
	hold_again(l);
}

bool cond_wait_until(struct cond *c, struct lock *l, int64_t deadline_us)
{
	const struct timespec t = { .tv_sec = (time_t)(deadline_us / 1000000),
				    .tv_nsec = (long)(deadline_us % 1000000) * 1000 };
	int rc;

	assert(deadline_us >= 0);
	let_go(l);
	rc = pthread_cond_timedwait(&c->cond, &l->mutex, &t);
	assert(rc == 0 || rc == ETIMEDOUT);
	hold_again(l);
	return rc == 0;
}

void cond_signal(struct cond *c) { pthread_cond_signal(&c->cond); }

void cond_broadcast(struct cond *c) { pthread_cond_broadcast(&c->cond); }

struct thread {
	pthread_t id;
	thread_main *fn;
	void *arg;
	char name[16];
};

static void *run(void *arg)
{
	struct thread *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	t->fn(t->arg);
	assert(!innermost);
	return NULL;
}

/* Signals are for the threads that main() set up; faults of the thread itself must still end the process with a
 * core. */
static void block_signals(sigset_t *before)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		sigdelset(&set, faults[i]);
	pthread_sigmask(SIG_BLOCK, &set, before);
}

struct thread *thread_start(const char *name, thread_main *fn, void *arg)
{
	struct thread *t = MEM_NEW(struct thread);
	pthread_attr_t attr;
	sigset_t before;
	int rc;

	assert(strlen(name) < sizeof(t->name));
	memcpy(t->name, name, strlen(name) + 1);
	t->fn = fn;
	t->arg = arg;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	block_signals(&before);
	rc = pthread_create(&t->id, &attr, run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	assert(rc == 0); /* no thread is out of memory */
	return t;
}

void thread_join(struct thread **t)
{
	int rc;

	if (!t || !*t)
		return;
	rc = pthread_join((*t)->id, NULL);
	assert(rc == 0);
	mem_free(*t);
	*t = NULL;
}
