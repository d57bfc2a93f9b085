/*
 * internal_fetch.h - asking other servers for events and states of a room: what missing.h and remote/backfill.h share.
 *
 * One `struct fetch` is one errand in one room, on one thread, with no lock held: everything it finds lives in its
 * arena, and it ends by its deadline. What comes is checked (event_check.h) and bounded; whether the room allows it is
 * asked by who puts it there.
 */
#pragma once

#include "base/map.h"
#include "federation/event_check.h"
#include "federation/fed.h"
#include "room/receive/received.h"
#include "store/events.h"

struct log;
struct pool;
/* How others are asked and what they say is checked: fed_all and events_check, but for tests. */
struct fetch_hooks {
	void (*ask)(void *ctx, struct arena *a, struct fed_call *calls, size_t n, int64_t deadline_us);
	void (*check)(void *ctx, struct arena *a, const struct room_version *rv, str room_id, struct checked_event *evs,
		      size_t n, int64_t deadline_us);
	void *ctx;
};
struct fetch_options { /* borrowed */
	struct rooms *rooms;
	struct store *store;
	struct fed *fed;
	struct key_ring *keys;
	struct pool *pool;
	const struct log *log;
	str spool_folder;                /* for what is too large for memory; STR_NONE: nothing is */
	const struct fetch_hooks *hooks; /* NULL: the real ones */
};
/* Of the options of a service that fetches, which has all of these. */
#define FETCH_OPTIONS_OF(o)                                                                                            \
	((struct fetch_options){                                                                                       \
		.rooms = (o)->rooms,                                                                                   \
		.store = (o)->store,                                                                                   \
		.fed = (o)->fed,                                                                                       \
		.keys = (o)->keys,                                                                                     \
		.pool = (o)->pool,                                                                                     \
		.log = (o)->log,                                                                                       \
		.spool_folder = (o)->spool_folder,                                                                     \
		.hooks = (o)->hooks,                                                                                   \
	})

enum {
	FETCH_MISSING_LIMIT = 20,   /* events asked for by one /get_missing_events: what servers give at most */
	FETCH_ANSWER_EVENTS = 1000, /* of an answer, looked at */
	FETCH_AT_ONCE = 16,         /* /event requests side by side */
	FETCH_AUTH_MOST = 2000,     /* auth events asked for in one errand */
	FETCH_AUTH_ROUNDS = 20,
	FETCH_STATE_SINGLY = 100, /* a state that lacks no more is completed event by event */
	FETCH_SINGLY_MOST = 2000, /* asked for event by event at most */
	FETCH_STATE_IDS = 400000, /* a state with its auth chain */
	FETCH_SERVERS = 5,        /* asked for one thing, the origin included */
	FETCH_GAPS = 100,         /* of a room, looked at */
};
static const size_t fetch_state_bytes = (size_t)512 << 20, fetch_ids_bytes = (size_t)48 << 20;

struct fetch {
	const struct fetch_options *opt;
	struct arena *a;
	str room_id;
	int64_t room;
	const struct room_version *rv;
	int64_t deadline_us;
	str servers[FETCH_SERVERS]; /* to ask, the likeliest first */
	size_t n_servers;
	size_t auth_fetched;
	struct map gaps; /* prev_event of an event above a gap > struct prev_state; once gaps_read */
	bool gaps_read;
	bool unanswered; /* somebody could not be asked: there may be more to be had another time */
};
/* ERR_NOT_FOUND: no such room. first, second: asked first (STR_NONE: nobody), then others that have members in it. */
NODISCARD err *fetch_begin(struct fetch *f, const struct fetch_options *opt, struct arena *a, str room_id, str first,
			   str second, int64_t deadline_us);

struct event_list {
	VEC(struct event *) list;
	struct map by_id; /* struct event */
};
void event_list_init(struct event_list *l, struct arena *a);
/* False: it is there already. */
bool event_list_add(struct arena *a, struct event_list *l, struct event *ev);

/* One call of fed.h, within the errand's time. */
NODISCARD err *fetch_ask(struct fetch *f, struct fed_call *call);
/* Checks events; those that pass are added. */
void fetch_check(struct fetch *f, str server, const struct json *const *events, size_t n, struct event_list *out);
/* The same in another arena, with their outcomes. */
void fetch_check_in(struct fetch *f, struct arena *a, str server, struct checked_event *evs, size_t n);
/* What a server gave, checked, without what did not pass. *out_given: how many it gave. An error: it gave no answer, or
 * none that is one. */
NODISCARD err *fetch_missing_events(struct fetch *f, str server, const str *earliest, size_t n_earliest,
				    const str *latest, size_t n_latest, struct event_list *out, size_t *out_given);
NODISCARD err *fetch_backfill(struct fetch *f, str server, const str *from, size_t n, size_t limit,
			      struct event_list *out, size_t *out_given);
NODISCARD err *fetch_event_auth(struct fetch *f, str server, str event_id, struct event_list *out);
/* "GET /timestamp_to_event": which event the server would name. Its claim alone. */
NODISCARD err *fetch_at_time(struct fetch *f, str server, int64_t ts, bool forwards, str *out_event_id);
/* Events by id, those that could be had; several requests side by side. An error: the server does not answer. */
NODISCARD err *fetch_events(struct fetch *f, str server, const str *ids, size_t n, struct event_list *out);

/* Which of the ids are stored, with or without a place: id > struct event_mark, of any room. */
NODISCARD err *fetch_known(struct fetch *f, const str *ids, size_t n, struct map *out);
static inline bool mark_has_place(const struct fetch *f, const struct event_mark *b)
{
	return b && b->room == f->room && !(b->flags & EVENT_OUTLIER);
}

/*
 * Sees to it that what these events name as auth_events is stored (as outliers), and what that names, and so on;
 * `with`: events that are about to be stored, and need not be fetched. What cannot be had is not, and whoever needs it
 * will see.
 */
NODISCARD err *fetch_auth(struct fetch *f, struct event *const *events, size_t n, const struct event_list *with);

/* Those that are not stored yet are, as outliers. */
NODISCARD err *fetch_store_outliers(struct fetch *f, const struct event_list *l);

/*
 * The state after an event that has no place here, where it is known all the same: it is what an event above a gap
 * stands on, and the state before that one is stored; or it is the room's create event. *out_known: was it?
 */
NODISCARD err *fetch_state_known(struct fetch *f, str event_id, bool *out_known, struct prev_state *out);
/* The state after the only prev_event of an event that is stored: what was before it. */
void fetch_state_before(struct fetch *f, const struct event_row *row, str prev, struct prev_state *out);

/* The state after an event that has no place here: asked of the servers in turn, its events and the event itself stored
 * as outliers. ERR_NOT_FOUND: those that were asked have none. */
NODISCARD err *fetch_state_after(struct fetch *f, str event_id, struct prev_state *out);
/* The state before it. */
NODISCARD err *fetch_state_at(struct fetch *f, str event_id, struct prev_state *out);

/* ERR_CONNECTION_FAILED where somebody could not be asked; else ERR_NOT_FOUND: nobody has it. */
NODISCARD err *fetch_failed(const struct fetch *f, const char *what, str event_id);
