/* internal_key_ring.h - the key ring as its own files see it: key_ring.c (asking), key_cache.c (memory), key_fetch.c
 * (the network), key_save.c (the store), key_refresh.c (before they end). */
#pragma once

#include "base/chore.h"
#include "base/list.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "federation/fed.h"
#include "federation/key_ring.h"
#include "matrix/server_keys.h"
#include "store/server_keys.h"

enum {
	KEY_RING_MAX_KNOWN = 50000,    /* keys in memory */
	KEY_RING_PAUSE_MS = 60 * 1000, /* in which one server is asked so often at most: */
	KEY_RING_BURST = 10,
	/* and not at all after it failed, for ever longer: */ KEY_RING_MOST_MS = 15 * 60 * 1000,
	KEY_RING_WAIT_US = 10 * 1000000, /* for one answer */
	KEY_RING_FLIGHTS = 64,           /* servers that one caller asks at once */
	KEY_RING_DOCUMENT_MAX = 32 * 1024,
	KEY_RING_NOTARY_SERVERS = 100,        /* in a question to a notary */
	KEY_RING_NOTARY_LISTS = 16,           /* of each of them that are looked at */
	KEY_RING_SAVE = 8,                    /* lists in a piece */
	KEY_RING_NOTARISING = 4,              /* questions to us as a notary that may make us ask others, at once */
	KEY_RING_HANDED_ON = 2 * 1024 * 1024, /* bytes of lists in an answer to one */
	KEY_RING_DUE = 1000,                  /* keys that wait for being asked for anew, before they end */
	KEY_RING_STRANGERS = 20000,           /* servers in none of our rooms whose keys are kept */
};
#define KEY_RING_FURTHEST_MS INT64_C(604800000) /* "7 days into the future": nothing is valid for longer */

struct ring_server {
	struct list node; /* by last use */
	str name;
	struct named_key *keys; /* their texts are the entry's own */
	size_t n;
	bool busy;        /* somebody is finding out */
	bool is_due;      /* is in key_ring.due, or was taken from there to be asked for anew */
	int64_t asked_at; /* ms: when the server itself was asked last; 0: not yet */
	int64_t since;    /* ms: has been asked `lately` times from then on */
	unsigned lately;
	unsigned failures; /* since it last gave a list */
};
struct ring_metrics {
	struct metric *lists, *notary_lists, *failed, *bad, *notary_failed;
};
extern struct ring_metrics ring_metrics;
void events_check_count(void); /* registers metrics */
void request_check_count(void);

/* A request whose origin's key is being asked for. */
struct waiting_request {
	struct list node;
	str origin, address;
	bool stranger; /* no key of it is known */
};

struct key_ring {
	struct key_ring_options opt;
	struct lock lock; /* of the following */
	struct arena *own_arena;
	const struct named_key *own;
	size_t n_own;
	struct cond news;
	struct map servers;
	struct list by_use; /* the newest last */
	size_t n_known;
	struct list waiting;
	unsigned notarising;
	unsigned n_saved; /* lists since strangers were last counted */
	struct list due;  /* key_refresh.c's */
	size_t n_due;
	struct chore *refresher;
};

/* One server's part of what somebody wants. */
struct key_ask {
	str server;
	VEC(const struct key_want *) wants;
	bool speaks;
	bool direct;   /* notaries are not asked */
	int64_t since; /* ms: what it said since then is news */
	bool anew;     /* its list is wanted, and as new as that */
	bool ours;     /* we are who is finding out */
};

/* key_ring.c */
bool key_set_has(const struct key_set *set, str server); /* any key */
/* Nobody would be asked for these now: it was done just before. */
bool key_ring_is_vain(struct key_ring *k, const struct key_want *wants, size_t n);

/* key_cache.c: with the lock */
struct ring_server *key_cache_find(struct key_ring *k, str server);
struct ring_server *key_cache_make(struct key_ring *k, str server);
void key_cache_clear(struct key_ring *k);
const struct server_key *key_cache_key(const struct ring_server *s, str key_id);
bool key_cache_has(const struct ring_server *s, const struct key_ask *ask, int64_t now);
/* May the server itself be asked now? */
bool key_cache_may_ask(const struct ring_server *s, const struct key_ask *ask, int64_t now);
void key_cache_asked(struct ring_server *s, int64_t now, bool good);
/* A list, or rows of the store. direct: from the server itself, whose word counts. What changed, in a; its texts are
 * those of `keys`. */
void key_cache_learn(struct key_ring *k, struct arena *a, struct ring_server *s, const struct server_keys *keys,
		     bool direct, struct server_key_row **out_changed, size_t *out_n);

/* key_fetch.c: asks for all that are `ours`, whose entries are busy; none is afterwards. */
void key_fetch(struct key_ring *k, struct key_ask *const *asks, size_t n, int64_t deadline_us);

/* key_refresh.c */
void key_refresh_start(struct key_ring *k);
void key_refresh_stop(struct key_ring *k);
/* A request was proved with it: if it ends soon, it is asked for anew, and nobody waits for that. */
void key_refresh_soon(struct key_ring *k, str server, str key_id);

/* key_save.c */
struct key_saving {
	struct key_ring *k;
	struct arena *a; /* its own, between two pieces */
	struct {
		struct server_key_document doc;
		struct server_key_row *keys;
		size_t n;
	} lists[KEY_RING_SAVE];
	size_t n;
};
/* From the store, of these servers, into memory. */
NODISCARD err *key_load(struct key_ring *k, struct arena *a, struct strs servers);
void key_save_begin(struct key_saving *s, struct key_ring *k);
void key_save(struct key_saving *s, const struct server_key_document *doc, const struct server_key_row *keys, size_t n);
void key_save_flush(struct key_saving *s);
void key_save_end(struct key_saving *s);
