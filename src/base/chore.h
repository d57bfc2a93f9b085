/*
 * chore.h - a thread for work that may wait: done from start to end, then again whenever somebody says that there is
 * more, and after a failure again a while later.
 *
 * The work keeps its progress where it survives (the store): it is begun anew after each kick, and its first run is
 * what a restart left.
 */
#pragma once

#include "base/err.h"
#include "base/log.h"

struct chore;
/* All that is to be done, in an arena of its own. It asks chore_stopping between its steps, and then returns NULL. */
typedef err *chore_fn(struct chore *c, void *ctx, struct arena *a);

/* Starts the thread, which begins at once. name: at most 15 characters; failed: what the log says when the work fails,
 * a constant. */
struct chore *chore_new(const char *name, chore_fn *work, void *ctx, const struct log *log, const char *failed);
/* There is something to do. Never blocks; from any thread, under locks of any rank. */
void chore_kick(struct chore *c);
bool chore_stopping(struct chore *c);
/* Stops after the step at hand. Accepts NULL in *c. */
void chore_free(struct chore **c);
