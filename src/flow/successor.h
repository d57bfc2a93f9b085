/*
 * successor.h - a room was replaced: what its users keep for it goes along. Client-Server API, "Room Upgrades".
 *
 * Three times: for everybody of this server who is in the old room when it is replaced here; for those who are in the
 * successor already when we hear that it was replaced elsewhere; and for who joins the successor (whoever was missed,
 * or the process ended in between). What was done once for a user is not done again (user/account_data.h). Of a room
 * that was replaced on another server this one's aliases and place in the published rooms go along, too, as soon as one
 * of its users is in the successor.
 */
#pragma once

#include "user/user.h"

struct log;
struct rooms;
struct successors;

/* The room was just replaced. What fails for one user is logged, and tried again when they join. */
void successor_carry_over(struct users *us, struct rooms *rs, struct arena *a, str old_room, str new_room);
/* The user has joined a room, which may be another one's successor. */
void successor_entered(struct users *us, struct rooms *rs, struct arena *a, int64_t user, str room_id);

/* Listens from now on for rooms that are replaced on other servers, and sees to them in a thread of its own. At start
 * only. */
struct successors *successors_new(struct users *us, struct rooms *rs, const struct log *log);
/* Ends the thread; the rooms may go on telling of themselves until successors_free. Accepts NULL. */
void successors_stop(struct successors *s);
void successors_free(struct successors **s);
