/* internal_presence.h - what the files of presence/ share: the service, a user, a user's device. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "base/wheel.h"
#include "bus/bus.h"
#include "presence/presence.h"
#include "store/presence.h"

enum {
	TICK_MS = 100,     /* how exact deadlines are */
	HOLD_MS = 1000,    /* one user's changes are told no oftener */
	TELL_MOST = 200,   /* users in one go: some may cost a query */
	MOVE_MS = 1000,    /* by then the bus knows who joined and who left */
	SAVE_MS = 30000,   /* a change is on disk so much later */
	SAVE_MOST = 500,   /* rows in one piece */
	DEVICES_MOST = 32, /* of one user */
	/* Of one who waits, an answer costs some 0.4 ms where nothing is warm; a change in it some 3 us. */
	TURNS_PER_S = 30 * NUDGE_WAITER,
	TURNS_AT_ONCE = 200 * NUDGE_WAITER,
	TOLD_COST = 40, /* of a change, in thousandths */
};
#define NEVER INT64_MIN /* a time of the monotonic clock */

struct device {
	str id; /* owned; empty: what was known before a restart */
	enum presence_state asked;
	int64_t active, synced; /* the last action; begin or end of a /sync */
	uint32_t syncing;       /* how many wait at this moment */
};

/* What others see. */
struct shown {
	enum presence_state state;
	bool active;
	int64_t last_active;
	uint32_t status; /* which status message, counted */
};

struct who {
	int64_t user;
	int64_t serial; /* of the last change that was told; 0: none */
	struct wheel_timer timer;
	struct device *devices;
	uint32_t n_devices, cap_devices;
	int64_t last_active;
	str status_msg; /* owned; STR_NONE */
	uint32_t status;
	struct shown told;
	int64_t told_at;    /* NEVER */
	int64_t differs_at; /* since when what is to be seen is not what was told; NEVER */
	int64_t moved_at;   /* into some room or out of it, a moment ago; NEVER */
	int64_t *left;      /* owned: rooms left since, which the bus may still think the user is in */
	uint32_t n_left;
	bool forced;                      /* to be told though nothing changed: there is no serial yet */
	bool gone;                        /* the account is closed */
	bool elsewhere, elsewhere_active; /* another server's; the last word of which was that the user is active */
	struct list unsaved;
};

/* Changes by room: so that a reader finds those that concern them without looking at others. Ascending; an entry whose
 * user has another serial by now is void. */
struct room_entry {
	int64_t serial, user;
};
struct room_log {
	struct room_entry *p;
	size_t n, cap;
};

struct presence {
	struct presence_options opt;
	presence_fn *on_change; /* or NULL. `lock` */
	void *on_change_ctx;
	struct lock lock;
	struct cond earlier; /* something is due before wakes_at */
	struct map users, logs;
	struct wheel wheel;
	struct list unsaved;
	int64_t save_at;               /* INT64_MAX: nothing to save */
	int64_t newest;                /* serial */
	int64_t allowance, allowed_at; /* turns, in thousandths; when it was right */
	bool turns_wait;               /* somebody was nudged without a change */
	int64_t wakes_at;
	bool stopping;
	struct thread *thread;
	struct presence_counts counts;
};

/* user.c; all under the lock */
struct who *who_find(struct presence *p, int64_t user);
/* Reads what the store knows of a user who is not in memory, for which the lock is dropped. NULL: it could not be read.
 */
struct who *who_get(struct presence *p, struct arena *a, int64_t user);
struct who *who_add(struct presence *p, const struct presence_row *row, int64_t now);
void who_free(struct presence *p, struct who *w);
struct device *who_device(const struct who *w, str id);
/* NULL: the user has too many. */
struct device *who_add_device(struct presence *p, struct who *w, str id);
/* Devices that are gone are taken out. */
void who_expire(struct presence *p, struct who *w, int64_t now);
void who_clear(struct presence *p, struct who *w);
/* The user moved: whether out of the room, or into it. */
void who_moved(struct presence *p, struct who *w, int64_t room, bool out);
bool who_left(const struct who *w, int64_t room); /* a moment ago */
struct shown who_shown(const struct presence *p, const struct who *w, int64_t now);
/* After each change: what is to be told is noted, and the timer is set. */
void who_note(struct presence *p, struct who *w, int64_t now);
int64_t who_ready(const struct who *w); /* when the change that is noted may be told; INT64_MAX: there is none */
bool who_is_news(const struct presence *p, const struct who *w, int64_t now);

/* tell.c */
void tell_users(struct presence *p, struct arena *a, const int64_t *users, size_t n);

/* log.c; under the lock */
size_t log_above(const struct room_log *log, int64_t serial); /* the first entry with a higher serial */
void log_add(struct presence *p, int64_t room, int64_t serial, int64_t user);
/* Where it belongs by its serial; once. */
void log_insert(struct presence *p, int64_t room, int64_t serial, int64_t user);
void log_remove(struct presence *p, int64_t room, int64_t user);
void log_free_all(struct presence *p);

/* save.c */
void save_note(struct presence *p, struct who *w, int64_t now); /* under the lock */
void save_some(struct presence *p, struct arena *a, bool all);
void save_forget(struct presence *p, struct arena *a, int64_t user);
