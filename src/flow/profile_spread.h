/*
 * profile_spread.h - a new display name or avatar on its way into every room its user is in.
 *
 * The profile change itself notes in the store that it is to be spread; a thread of its own tells one room after the
 * other and remembers how far it is. A restart goes on where it stopped; a second change begins again.
 */
#pragma once

#include "user/user.h"

struct rooms;
struct profile_spread;

/* Starts the thread, which first goes on with what the last run left. */
struct profile_spread *profile_spread_new(struct users *us, struct rooms *rs, const struct log *log);
/* Stops after the room at hand. */
void profile_spread_free(struct profile_spread **ps);
/* A profile has changed: look for what is to be spread. Never blocks. */
void profile_spread_kick(struct profile_spread *ps);
