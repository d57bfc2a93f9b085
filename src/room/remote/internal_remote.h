/* internal_remote.h - what the files of remote/ share. */
#pragma once

#include <stdatomic.h>

#include "base/chore.h"
#include "room/internal_job.h"
#include "room/remote/remote.h"

struct remote {
	struct remote_options opt;
	struct rooms *rs;
	struct lock lock;
	struct cond moved;
	struct map busy;     /* room id -> struct busy: a room on its way in, or out of the store */
	struct map entering; /* user -> how many joins and knocks of theirs are under way, in place of a pointer */
	_Atomic bool stopping;
	struct chore *sweeper; /* takes away what was begun and came to nothing */
	struct metric *times;  /* of an import's pieces */
};

enum {
	REMOTE_SERVERS_MOST = 20, /* that are asked for one thing */
	REMOTE_MAKE_MS = 20000,   /* for a template, and for what is small */
	REMOTE_HASTY_MS = 4000,   /* for all of a leave that nobody waits for */
	REMOTE_KNOCK_MS = 60000,  /* for as long one server after the other is asked */
	REMOTE_KEYS_MS = 15000,   /* for keys that are lacking */
	REMOTE_JOIN_MS = 600000,  /* for the answer to a join; and for as long one server after the other is asked */
};

/*
 * Who is asked (servers.c)
 */
struct server_names {
	str p[REMOTE_SERVERS_MOST];
	size_t n;
};
/* What the command says, then who invited, who is in the room as far as is known, whose room it is by its id: each
 * once, never this server, nobody we may not speak with. */
NODISCARD err *remote_servers(struct remote *r, struct arena *a, const struct remote_cmd *cmd,
			      struct server_names *out);
/* Of two failures the one that says more to a user: what a server in the room decided, before that none could be
 * reached. NULL is no failure yet. */
err *remote_telling(err *before, err *now);
/* No other server will do better: what failed is ours. */
bool remote_is_final(const struct err *e);
/* ERR_BUSY once the server stops. */
NODISCARD err *remote_go_on(struct remote *r, struct arena *a);
/* A failure as a client is told: "If M_MISSING_PARAM or M_INVALID_PARAM is returned [...] the Client-Server API
 * request SHOULD fail with a 5xx error". */
err *remote_for_client(struct arena *a, err *e);

/*
 * The handshake (template.c): a server in the room gives the event as it could be, we check, complete and sign it.
 */
struct making {
	const char *what; /* "make_join" */
	str room_id, user_id;
	enum membership to;
	const struct json *content;
	const struct room_version *expected; /* the room's, where it is known; else NULL */
	enum fed_patience patience;
	int64_t deadline_us; /* 0: REMOTE_MAKE_MS from now */
};
struct made {
	const struct room_version *rv;
	struct event *event; /* signed by us */
	str voucher;         /* content.join_authorised_via_users_server, or STR_NONE */
};
NODISCARD err *remote_make(struct remote *r, struct arena *a, const struct making *m, str server, struct made *out);
/* "/_matrix/federation/v2/send_join/{roomId}/{eventId}" */
str remote_send_path(struct arena *a, str begin, const struct event *ev);

/*
 * The answer to a join (answer.c)
 */
struct join_answer_in;
struct joined { /* what came, checked; the sets are the caller's to free */
	struct outliers *set;
	uint32_t *state; /* of the set: the room's state before the join */
	size_t n_state;
	struct event *event; /* ours, as the other side gave it back: with its signature where it needs one */
	size_t dropped;      /* events that were not what they have to be */
};
/* set: empty; it is filled. */
NODISCARD err *remote_send_join(struct remote *r, struct arena *a, const struct made *made, str server,
				struct outliers *set, struct joined *out);

/*
 * The room (import.c)
 */
/* Its events, state and members are written, and it is there with the event. */
NODISCARD err *remote_import(struct remote *r, struct arena *a, const struct room_version *rv, const struct joined *j,
			     str server);
/* What an unfinished one left goes (drop.c). */
NODISCARD err *remote_drop(struct remote *r, struct arena *a, int64_t room);
/*
 * Invitations (invite.c): p is an invitation of a user of another server, not numbered yet. It is built and authorised
 * in the room, signed there, and then part of the room. *out_event_id: also of an equal one that is current.
 */
NODISCARD err *remote_invite_user(struct rooms *rs, struct arena *a, str room_id, struct proposal *p,
				  str *out_event_id);

/* Of a user's joins and knocks only so many are under way at once: a slow server holds a thread for minutes, and nobody
 * has all of them held. ERR_LIMIT_EXCEEDED; else remote_entered follows. */
NODISCARD err *remote_entering(struct remote *r, struct arena *a, int64_t user);
void remote_entered(struct remote *r, int64_t user);

/* remote_join's, which says whether it was this call that joined: else somebody else's brought the room here, and the
 * door is open as in any room. */
NODISCARD err *remote_enter(struct remote *r, struct arena *a, const struct remote_cmd *cmd, bool inside,
			    bool *out_joined);
