/*
 * successor.h - a room was replaced: what its users keep for it goes along. Client-Server API, "Room Upgrades".
 *
 * Twice: for everybody of this server who is in the old room when it is replaced, and for who joins the successor
 * (whoever was missed, or the process ended in between). The second time nothing is done again (user/account_data.h).
 * Of a room that was replaced on another server this one's aliases and place in the published rooms go along, too, when
 * one of its users joins the successor.
 */
#pragma once

#include "user/user.h"

struct rooms;

/* The room was just replaced. What fails for one user is logged, and tried again when they join. */
void successor_carry_over(struct users *us, struct rooms *rs, struct arena *a, str old_room, str new_room);
/* The user has joined a room, which may be another one's successor. */
void successor_entered(struct users *us, struct rooms *rs, struct arena *a, int64_t user, str room_id);
