/* chore.c - the thread, and what wakes it. */
#include "base/chore.h"

#include "base/clock.h"
#include "base/thread.h"

enum { RETRY_US = 30 * 1000000 };

struct chore {
	chore_fn *work;
	void *ctx;
	const struct log *log;
	const char *failed;
	struct lock lock;
	struct cond changed;
	bool kicked, stopping;
	struct thread *thread;
};

bool chore_stopping(struct chore *c)
{
	LOCKED(&c->lock);
	return c->stopping;
}

void chore_kick(struct chore *c)
{
	LOCKED(&c->lock);
	c->kicked = true;
	cond_signal(&c->changed);
}

/* Until there is more to do; after a failure not for longer than RETRY_US. False: stop. */
static bool wait_for_work(struct chore *c, bool failed)
{
	const int64_t deadline = clock_mono_us() + RETRY_US;
	bool patient = true;

	LOCKED(&c->lock);
	while (!c->kicked && !c->stopping && patient) {
		if (failed)
			patient = cond_wait_until(&c->changed, &c->lock, deadline);
		else
			cond_wait(&c->changed, &c->lock);
	}
	c->kicked = false;
	return !c->stopping;
}

static void run(void *arg)
{
	struct chore *c = arg;
	bool failed;

	do {
		AUTO_ARENA a = arena_new();
		const err *e = c->work(c, c->ctx, a);

		failed = e != NULL;
		if (failed)
			log_warn(c->log, c->failed, F("error", e->msg));
	} while (wait_for_work(c, failed));
}

struct chore *chore_new(const char *name, chore_fn *work, void *ctx, const struct log *log, const char *failed)
{
	struct chore *c = MEM_NEW(struct chore);

	*c = (struct chore){ .work = work, .ctx = ctx, .log = log, .failed = failed };
	lock_init(&c->lock, RANK_LEAF);
	cond_init(&c->changed);
	c->thread = thread_start(name, run, c);
	return c;
}

void chore_free(struct chore **chore)
{
	struct chore *c = *chore;

	if (!c)
		return;
	lock_take(&c->lock);
	c->stopping = true;
	cond_signal(&c->changed);
	lock_drop(&c->lock);
	thread_join(&c->thread);
	cond_done(&c->changed);
	lock_done(&c->lock);
	mem_free(c);
	*chore = NULL;
}
