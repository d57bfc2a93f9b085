/*
 * internal_sync.h - what the files of sync/ share: the service, the token, and what is kept from request to request.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "bus/bus.h"
#include "store/membership.h"
#include "sync/sync.h"

struct syncs {
	struct syncs_options opt;
	int64_t epoch;
	uint64_t process; /* drawn at start: serials of another process say nothing here */
	/* Texts that decide something, interned. */
	int64_t empty, type_member, type_name, type_alias, type_redaction;
	struct lazy *lazy;
	struct members *members;
	struct ignored *ignored;
	struct facts *facts;
	struct key_cache *keys;
};

/*
 * Tokens (token.c): "s", version, epoch, stream position, process, serial of typing; and what is behind these.
 */
struct sync_token {
	int64_t epoch, stream;
	uint64_t process;
	int64_t serial;
	int64_t to_device;               /* a stream position, at most `stream` */
	int64_t presence, presence_told; /* serials: how far it is known, how far it is told */
};
str sync_token_write(struct arena *a, const struct sync_token *t);
/* For /messages: where what is older than these events begins, of which there is one at least, the oldest first. What
 * is late among them (EVENT_LATE) stands below some of that, and is shown again. `now`: of the answer. */
struct event_row;
str sync_token_before(struct arena *a, const struct sync_token *now, const struct event_row *const *rows, size_t n);
bool sync_token_read(str text, struct sync_token *out);

/*
 * Which members a device was sent (lazy.c). An entry says which m.room.member event was sent, and in an answer up to
 * which position: the device has it for certain once it comes back with a token at or above that. What is forgotten is
 * sent again.
 */
struct lazy *lazy_new(size_t max_bytes);
void lazy_free(struct lazy **l);
struct lazy_device { /* of whom is asked */
	int64_t user;
	str device_id;
};
/* An initial sync: the device knows nothing. */
void lazy_forget(struct lazy *l, struct lazy_device d);
/* Does the device have a membership event of `member`: exactly `event`, or any (0)? */
bool lazy_has(struct lazy *l, struct lazy_device d, int64_t room, int64_t member, int64_t event, int64_t since);
void lazy_sent(struct lazy *l, struct lazy_device d, int64_t room, int64_t member, int64_t event, int64_t position);

/*
 * Memberships of users (members.c): joins, invitations and knocks, kept as long as the bus knows that none changed.
 */
struct members *members_new(size_t max_bytes);
void members_free(struct members **m);
struct member_list {
	const struct member_row *p;
	size_t n;
};
/* Copied into the arena. False: not known; read the store with a snapshot younger than `known`, then members_keep with
 * it. */
bool members_known(struct members *m, struct arena *a, int64_t user, const struct bus_known *known,
		   struct member_list *out);
/* The row of one room alone; NULL in *out: none of those. */
bool members_one(struct members *m, struct arena *a, int64_t user, const struct bus_known *known, int64_t room,
		 const struct member_row **out);
void members_keep(struct members *m, int64_t user, const struct bus_known *known, const struct member_row *rows,
		  size_t n);

/*
 * What is asked of a room again and again (facts.c).
 */
enum { FACTS_FIRST = 6 };
struct room_facts {
	int64_t as_of; /* a bus position, taken before the snapshot */
	bool has_root, has_summary;
	int64_t root; /* of the current state, its number */
	int64_t joined, invited;
	bool named; /* has a name or a canonical alias */
	/* Joined or invited, those who came first; all of them, if fewer than FACTS_FIRST. */
	struct {
		int64_t user, event;
	} first[FACTS_FIRST];
	size_t n_first;
};
struct facts;
struct facts *facts_new(void);
void facts_free(struct facts **f);
/* False: nothing is known that is true at the position. news may be NULL: then nothing is. */
bool facts_known(struct facts *f, int64_t room, const struct bus_room_news *news, int64_t position,
		 struct room_facts *out);
void facts_keep(struct facts *f, int64_t room, const struct room_facts *facts);

/*
 * Whom a user ignores (ignored.c): m.ignored_user_list, kept as long as the bus knows that no account data changed.
 */
struct ignored *ignored_new(void);
void ignored_free(struct ignored **ig);
struct ignored_list {
	const int64_t *users; /* ascending */
	size_t n;
};
/* known: NULL where the bus knows nothing of the user. */
NODISCARD err *ignored_of(struct syncs *ss, struct arena *a, int64_t user, const struct bus_known *known,
			  struct ignored_list *out);
bool ignored_has(const struct ignored_list *l, int64_t user);

/*
 * How many one-time keys a device has (key_cache.c): kept as long as the bus knows that nothing came to the user's
 * devices, none of their keys was taken, and no device was removed.
 */
struct key_cache *key_cache_new(void);
void key_cache_free(struct key_cache **c);
struct key_counts;
/* Copied into the arena; false: not known. */
bool key_cache_get(struct key_cache *c, struct arena *a, int64_t user, str device_id, const struct bus_known *known,
		   struct key_counts *out);
/* From a snapshot younger than `known`. True: the device was known to have other ones before. */
bool key_cache_keep(struct key_cache *c, int64_t user, str device_id, const struct bus_known *known,
		    const struct key_counts *counts);
