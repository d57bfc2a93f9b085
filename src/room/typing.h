/*
 * typing.h - who is typing where. Client-Server API, "Typing Notifications".
 *
 * In memory only: it is news for seconds. A room's list has a serial of the bus; a /sync token carries the newest
 * serial that was seen, and a list with a later one is sent.
 */
#pragma once

#include "base/err.h"
#include "bus/bus.h"

struct rooms;
struct typing;

/* Starts the thread that ends what was not ended. Who leaves one of `rs` (or NULL) stops typing there: it is told until
 * the store is closed, so that is when to free it. */
struct typing *typing_new(struct bus *bus, struct rooms *rs);
/* Its thread ends, and nobody is told any more: before the store is closed. */
void typing_stop(struct typing *t);
void typing_free(struct typing **t);

/* Told of users of this server: they type, again after TYPING_PING_MS where they go on, and stopped; not of those who
 * left the room, which says as much. No lock is held; not after typing_stop. At start only. */
enum { TYPING_PING_MS = 30000 };
typedef void typing_fn(void *ctx, int64_t room, int64_t user, bool typing);
void typing_on_change(struct typing *t, typing_fn *fn, void *ctx);

enum { TYPING_MAX_MS = 120000 }; /* however long a client asks for */
/* The user types for so many milliseconds from now (0: stopped). Who is allowed to is the caller's check. */
void typing_set(struct typing *t, int64_t room, int64_t user, int64_t for_ms);
/* The users (at most max) that type in the room now; *out_serial: of the last change, 0: none since the start. */
size_t typing_list(struct typing *t, int64_t room, int64_t *out_users, size_t max, int64_t *out_serial);

/* What another server tells of one of its users (m.typing): ERR_FORBIDDEN for a user of elsewhere, who is not joined,
 * or where the room's ACL forbids that server. Ends by itself after TYPING_TOLD_MS. */
enum { TYPING_TOLD_MS = 60000 };
NODISCARD err *typing_told(struct typing *t, struct rooms *rs, struct arena *a, str origin, str room_id, str user_id,
			   bool typing);
