/* purger.c - the thread that carries purges out: those a restart interrupted, and what is ordered from then on. */
#include "base/chore.h"
#include "room/internal_purge.h"

static bool stopping(void *chore) { return chore_stopping(chore); }

static err *work(struct chore *c, void *rooms, struct arena *a) { return rooms_purge_run(rooms, a, stopping, c); }

void rooms_purging_start(struct rooms *rs)
{
	LOCKED(&rs->lock);
	rs->purging = chore_new("purger", work, rs, rs->opt.log, "purging failed for now");
}

void rooms_purging_stop(struct rooms *rs)
{
	struct chore *c;

	lock_take(&rs->lock);
	c = rs->purging;
	rs->purging = NULL;
	lock_drop(&rs->lock);
	chore_free(&c);
}
