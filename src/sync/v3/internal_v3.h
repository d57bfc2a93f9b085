/*
 * internal_v3.h - one GET /sync on its way: what was asked, what is known, and what is found for each room.
 */
#pragma once

#include "e2ee/device_lists.h"
#include "e2ee/one_time_keys.h"
#include "e2ee/to_device.h"
#include "matrix/filter.h"
#include "presence/presence.h"
#include "room/client_event.h"
#include "room/state.h"
#include "room/view.h"
#include "sync/internal_sync.h"

struct tx;

/* What a room's part of the answer is. Rows and texts live in the answer's arena. */
struct sync_timeline {
	const struct event_row **rows; /* oldest first */
	struct client_extra *extras;   /* one a row */
	size_t n;
	bool limited;
	str prev_batch;
};
struct sync_summary {
	bool told;
	bool has_heroes;
	const str *heroes;
	size_t n_heroes;
	int64_t joined, invited;
};
struct sync_content { /* an account data event */
	str type, content;
};
struct sync_presence {
	str user_id;
	struct presence_view view;
};
enum sync_section { SECTION_JOIN, SECTION_INVITE, SECTION_KNOCK, SECTION_LEAVE, SECTIONS };
struct sync_room {
	enum sync_section section;
	int64_t room;
	str room_id;
	struct sync_timeline timeline;
	const struct event_row **state;
	struct client_extra *state_extras; /* NULL: none needed */
	size_t n_state;
	struct sync_summary summary;
	VEC(struct sync_content) account_data;
	VEC(str) ephemeral; /* JSON objects */
	struct unread *unread;
	str *thread_ids; /* of unread->threads */
	str stripped;    /* invite, knock: a JSON array */
};

struct sync_answer {
	struct arena *a;
	struct syncs *ss;
	struct client_view view;
	struct filter filter;
	bool state_after, state_after_unstable, threads;
	struct sync_token next;
	uint64_t seq;
	bool news;
	VEC(struct sync_room *) rooms;
	VEC(struct sync_content) account_data;
	struct to_device_batch to_device;
	struct sync_users {
		const str *p;
		size_t n;
	} lists_changed, lists_left;
	bool has_keys; /* the next is told */
	struct key_counts keys;
	bool keys_changed;
	VEC(struct sync_presence) presence;
};

/* One request's work. */
#define NO_ROOM (-1)
struct run {
	struct syncs *ss;
	struct arena *a;
	const struct sync_request *rq;
	struct filter filter;
	size_t limit;            /* of a timeline */
	struct sync_token since; /* stream is 0 for an initial sync */
	bool initial;
	bool broken;     /* the token is of another history: everything is told anew, as after a gap */
	bool foreign;    /* the token's serial is of another process */
	bool full_state; /* of every room; true for an initial sync */
	bool lazy;
	struct lazy_device device;

	bool known; /* the bus knows the user: `bus` and `news` say what */
	bool exact; /* and back to `since`: what it does not tell did not happen */
	struct bus_known bus;
	struct bus_room_news *news;
	size_t n_news;
	int64_t position; /* everything is told as it was here */

	struct tx *tx;     /* opened when first needed: run_tx */
	int64_t only_room; /* /events of one room, or NO_ROOM; 0: all of the user's */
	struct ignored_list ignored;
	struct account_data_row *data; /* the user's account data since; room 0: global */
	size_t n_data;
	struct sync_answer *answer;
};
NODISCARD err *run_tx(struct run *r, struct tx **out);
/* Did something of this kind change for the user since the token, as far as is known? */
bool run_changed(const struct run *r, enum bus_kind kind);

/* request.c: arguments, filter (the one given, or the request's), token. */
NODISCARD err *run_begin(struct run *r, const struct filter *filter);
/* wait.c: what the bus knows; watches the user if nobody did. Sets position, exact, news. */
NODISCARD err *run_watch(struct run *r);
/* sync.c: both, and an answer without anything in it yet. */
NODISCARD err *run_open(struct run *r, const struct filter *filter);
/* The whole, unless nothing happened. The caller ends r->tx, also after an error. */
NODISCARD err *run_all(struct run *r, const struct filter *filter);
/* v1/events.c: an event's JSON with "room_id" in it. */
str legacy_with_room(struct arena *a, str json, str room_id);

/*
 * A room that may be told of (rooms.c).
 */
struct task {
	int64_t room;
	str room_id;
	const struct member_row *member;  /* as of the run's position */
	const struct bus_room_news *news; /* NULL: not known */
	int64_t above, upto;              /* stream positions of what is told: above < stream <= upto */
	bool full;                        /* the whole state: initial, newly joined, full_state */
	bool newly_joined;
	bool events;                     /* something may have happened in its timeline or state */
	bool only_own;                   /* nothing but the user's own membership event: a declined invitation */
	const struct event_row *outside; /* only_own, of a room that this server is not in: that event; else NULL */
	/* while it is worked on */
	bool facts_asked;
	struct room_facts facts; /* as far as they were needed: task_facts */
	struct room_view *view;  /* opened when first needed: task_view */
	bool linear;             /* see rooms_recent; the user was joined throughout: everything is visible */
	bool whole;              /* no state that happened is missing in the timeline */
	bool members_changed;
};
struct tasks {
	VEC(struct task) list;
};
struct room_facts *task_facts(struct run *r, struct task *t);
NODISCARD err *tasks_find(struct run *r, struct tasks *out);
/* The room's current root at the end of what is told. */
NODISCARD err *task_root(struct run *r, struct task *t, struct state_root *out);
NODISCARD err *task_view(struct run *r, struct task *t, struct room_view **out);
/* A user's membership event in a state; NULL: none. */
NODISCARD err *task_member_at(struct run *r, struct task *t, struct state_root root, int64_t user,
			      struct event_row **out);

/* The member event of the reader in a room that this server is not in (room/outsider.h); NULL: there is none. */
NODISCARD err *run_outside(struct run *r, int64_t room, struct event_row **out);

/* The sections of a room. */
NODISCARD err *timeline_gather(struct run *r, struct task *t, struct sync_room *out);
NODISCARD err *state_gather(struct run *r, struct task *t, struct sync_room *out);
/* Membership events that the summary needs, unless the device has them. */
NODISCARD err *state_add_heroes(struct run *r, struct task *t, const int64_t *users, const int64_t *events, size_t n,
				struct sync_room *out);
/* What the device will have with this answer. */
void state_remember(struct run *r, const struct task *t, const struct sync_room *room);
NODISCARD err *summary_gather(struct run *r, struct task *t, struct sync_room *out);
/* Has the list of who types in the room to be told? news may be NULL. */
bool typing_is_news(const struct run *r, int64_t room, const struct bus_room_news *news);
NODISCARD err *ephemeral_gather(struct run *r, struct task *t, struct sync_room *out);
NODISCARD err *unread_gather(struct run *r, struct task *t, struct sync_room *out);
/* All account data at once, for the whole answer; then a room's. */
NODISCARD err *account_data_load(struct run *r);
NODISCARD err *account_data_global(struct run *r);
NODISCARD err *account_data_gather(struct run *r, struct task *t, struct sync_room *out);
/* What concerns the device that asks, or its user's keys. */
NODISCARD err *to_device_gather(struct run *r);
NODISCARD err *device_lists_gather(struct run *r);
NODISCARD err *key_counts_gather(struct run *r);
/* presence.c: could the filter let any through? */
bool presence_is_wanted(const struct run *r);
NODISCARD err *presence_gather(struct run *r, const struct tasks *tasks);
/* Those that the reader is to see, as they are told. */
NODISCARD err *presence_add(struct run *r, const struct presence_view *views, size_t n);
void presence_write(const struct sync_presence *who, struct jw *w, bool legacy);
/* room.c: all sections; *out is NULL when there is nothing to tell. */
NODISCARD err *room_gather(struct run *r, struct task *t, struct sync_room **out);

/* What an m.room.member event makes of its user; MEMBER_NONE for NULL. */
NODISCARD err *row_membership(struct run *r, const struct event_row *row, enum membership *out);
/* Filters by type and sender, of rows. */
NODISCARD err *row_passes(struct run *r, const struct event_filter *f, const struct event_row *row, bool *out);
