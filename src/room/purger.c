/* purger.c - the thread that carries purges out: those a restart interrupted, and what is ordered from then on. */
#include "base/clock.h"
#include "room/internal_purge.h"

enum { RETRY_US = 30 * 1000000 };

struct purger {
	struct rooms *rs;
	struct lock lock;
	struct cond changed;
	bool ordered, stopping;
	struct thread *thread;
};

static bool stopping(void *purger)
{
	struct purger *p = purger;

	LOCKED(&p->lock);
	return p->stopping;
}

static void on_order(void *purger)
{
	struct purger *p = purger;

	LOCKED(&p->lock);
	p->ordered = true;
	cond_signal(&p->changed);
}

/* Until something is ordered; after a failure not for longer than RETRY_US. False: stop. */
static bool wait_for_work(struct purger *p, bool failed)
{
	const int64_t deadline = clock_mono_us() + RETRY_US;
	bool patient = true;

	LOCKED(&p->lock);
	while (!p->ordered && !p->stopping && patient) {
		if (failed)
			patient = cond_wait_until(&p->changed, &p->lock, deadline);
		else
			cond_wait(&p->changed, &p->lock);
	}
	p->ordered = false;
	return !p->stopping;
}

static void run(void *arg)
{
	struct purger *p = arg;
	bool failed;

	do {
		AUTO_ARENA a = arena_new();
		const err *e = rooms_purge_run(p->rs, a, stopping, p);

		failed = e != NULL;
		if (failed)
			log_warn(p->rs->opt.log, "purging failed for now", F("error", e->msg));
	} while (wait_for_work(p, failed));
}

struct purger *purger_new(struct rooms *rs)
{
	struct purger *p = MEM_NEW(struct purger);

	p->rs = rs;
	lock_init(&p->lock, RANK_LEAF);
	cond_init(&p->changed);
	lock_take(&rs->lock);
	rs->purge_ordered = on_order;
	rs->purge_ctx = p;
	lock_drop(&rs->lock);
	p->thread = thread_start("purger", run, p);
	return p;
}

void purger_free(struct purger **purger)
{
	struct purger *p = *purger;

	if (!p)
		return;
	lock_take(&p->rs->lock);
	p->rs->purge_ordered = NULL;
	lock_drop(&p->rs->lock);
	lock_take(&p->lock);
	p->stopping = true;
	cond_signal(&p->changed);
	lock_drop(&p->lock);
	thread_join(&p->thread);
	cond_done(&p->changed);
	lock_done(&p->lock);
	mem_free(p);
	*purger = NULL;
}
