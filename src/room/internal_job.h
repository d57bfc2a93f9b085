/*
 * internal_job.h - how a room moves on: drafts, jobs, and what the doors share.
 *
 * A draft is under the room's lock: events are added to it, and the tip moves with each. Queued, it is a job: one piece
 * of the store's next commit, which belongs to the writer thread until it has ended and then to the room's next holder.
 */
#pragma once

#include "room/internal_room.h"
#include "room/receive/received.h"
#include "store/annotations.h"
#include "store/auth_index.h"

struct change {                      /* of the current state */
	int64_t type, key, old, now; /* event numbers, 0: absent */
	int64_t sender;              /* of `now` */
	bool is_member;
	enum membership before, after; /* is_member: MEMBER_NONE when absent */
	int64_t server;                /* is_member: the user's server */
	bool turned_away;              /* its server is not in the room, and is to hear of this */
	str displayname, avatar_url, stripped;
	enum summary_column summary; /* SUMMARY_NONE: not shown there */
	str value;
};

struct job_event {
	const struct event *ev;
	struct event_row row;
	const int64_t *prevs;
	size_t n_prevs;
	const str *lacks; /* those of its prev_events that have no place */
	size_t n_lacks;
	const struct late_place *late;            /* it comes after events that name it (receive/late.h); or NULL */
	struct auth_entry auth;                   /* a state event's edges, for the index of auth chains */
	bool received;                            /* made elsewhere: others may have named it before it came */
	bool was_outlier;                         /* its row is there already, and its place in that index */
	bool resident;                            /* ... and the room's other servers get it from this one */
	struct state_root before, after, current; /* current: of the room, once this event is in it */
	struct change *changes;
	size_t n_changes;
	bool shown;         /* gets a stream position */
	bool current_moved; /* the room's current root changed */
	bool became_current;
	bool linear;           /* built on the room's current state alone, and the state after it is the current one */
	int64_t redact_target; /* applies to this event, whose bytes become redact_json; 0: none */
	str redact_json;
	bool redact_waits;                             /* its target is not there yet */
	int64_t redact_applied;                        /* a redaction that waited for this event; 0: none */
	struct change redact_change;                   /* its type is 0: the target's flat copies stay */
	struct annotation annotates, redact_annotates; /* the latter: what redact_target was. target is 0: nothing */
	struct rooms_prepared prepared;
	VEC(int64_t) left;                  /* servers whose last user it takes out, or whose user it turns away */
	struct server_list *shared_servers; /* referenced; or NULL */
	const int64_t *servers;             /* those that get it from us */
	size_t n_servers;
	int64_t stream;
};

struct job {               /* one piece; everything in it lives in its arena */
	struct list node;  /* room->jobs */
	struct list done;  /* room->done */
	struct room *room; /* referenced until the job ends */
	struct arena *a;
	uint64_t generation;
	bool ended, failed; /* done_lock */
	VEC(struct job_event *) events;
	struct auth_entry *auth; /* of the state events among them; places are found by the writer */
	size_t n_auth;
	const str *awaited; /* received state events' ids */
	size_t n_awaited;
	VEC(str) names; /* v1, v2: which rs->names has for it */
	bool late_more; /* edges of who awaited them are left over */
	const struct node_row *rows;
	size_t n_rows;
	int64_t nodes_from, nodes_below; /* the new nodes' numbers */
	int64_t now;                     /* ms */
	struct room_head_row head;
	const struct room_row *new_room; /* or NULL; lives until the piece has run */
	bool has_txn;
	struct txn_digest txn;
	/* What else belongs into the transaction, after the events' own rows; or NULL. */
	store_fn *extra;
	void *extra_arg;
};

/*
 * Writing (append.c): begin, add as often as needed, queue or drop. Under the room's lock.
 */
struct proposal {                    /* an event as it is wished for */
	str type, state_key, sender; /* state_key STR_NONE: a message */
	const struct json *content;
	str redacts; /* STR_NONE: nothing */
	int64_t ts;  /* origin_server_ts, ms */
	str txn_device, txn_id;
	/* draft_add_received: the room's other servers get it from us. Another server brings it into the room through
	 * this one (send_join, send_leave, send_knock), or it is our own and was built before. */
	bool resident;
	/* Of one event that is sent (send.c, membership.c): where the room's policy server has to be asked about it
	 * first. NULL: it is not. */
	struct vetting *vetting;
	int64_t type_nid, key_nid, sender_nid, server_nid, nid; /* proposal_number */
};
/* Gives the proposal its numbers; texts that never had one are made durable first. Never under a room's lock. */
NODISCARD err *proposal_texts(struct rooms *rs, struct arena *a, struct proposal *p); /* all but nid */
NODISCARD err *proposal_number(struct rooms *rs, struct arena *a, struct proposal *p);
/* Many at once, their events' numbers in this order; with one commit for all texts. */
NODISCARD err *proposals_number(struct rooms *rs, struct arena *a, struct proposal *const *list, size_t n);

/* A name for an event of ours, in the versions where events have one (EVENT_FORMAT_NAMED): by chance, so that there is
 * no other. */
str event_name(const struct rooms *rs, struct arena *a);

struct draft {
	struct room *room;
	struct job *job;
	struct tip saved;
	struct state_builder builder;
	bool moved_servers; /* room->servers is not what it was */
};
void draft_begin(struct room *room, struct draft **out);
/* Builds on the current tip, authorises, and moves the tip on. An error leaves a draft that can only be dropped. */
NODISCARD err *draft_add(struct draft *d, const struct proposal *p, const struct event **out);
/* What draft_add would add, not added. */
NODISCARD err *draft_build(struct draft *d, const struct proposal *p, const struct event **out);
/* The same with an event that was built already: a room's first. */
NODISCARD err *draft_add_built(struct draft *d, const struct proposal *p, const struct event *ev);
/* Hands the job to the store; the head stays where the draft moved it. On error everything is as before. */
NODISCARD err *draft_queue(struct draft **d, struct ticket **out_ticket);
void draft_drop(struct draft **d);
#define AUTO_DRAFT CLEANUP(draft_drop) struct draft *

/*
 * An event made elsewhere, with any prev_events that are known: all checks of a received event (receive.c).
 */
struct arrival {
	/* It is known as an outlier (row_awaits_place): as room_event_by_id gave it. NULL: unknown. */
	const struct event *known;
	const struct event_row *row;
	/* The states after prev_events that have no place (receive/received.h). */
	const struct prev_state *given;
	size_t n_given;
	/* Not 0: it is history, fetched to fill a gap, and stands there: checked by what it stands on alone; it has no
	 * stream position, is no extremity, and changes nothing of what the room is now. */
	int64_t timeline;
	/* This server was not in the room: the state before the event, as a whole, which is the tip's. Those of its
	 * prev_events that have no place are a gap below it. */
	const struct state_root *before;
	/* Events that are in the room name it, or what stands on it (receive/late.h). NULL: none do. */
	const struct late_place *late;

	/* What became of it, where it failed. */
	bool begun;         /* the draft can only be dropped; else it is as it was */
	const str *missing; /* ERR_NOT_FOUND: ids of prev_events and auth_events that are not known */
	size_t n_missing;
};
/* The same in a draft: p has the event's numbers (an outlier keeps those it has). Not for an event that is known
 * otherwise (APPEND_KNOWN). `how`: NULL for nothing of the kind. */
NODISCARD err *draft_add_received(struct draft *d, const struct event *ev, const struct proposal *p,
				  struct arrival *how, enum append_outcome *out);
/* Is a known event one that would be received again, for it has no place yet? Not so for the room's create event, which
 * stands at the end of history alone; nor for what a purge took its place from. row_awaits_history: these, too. */
bool row_awaits_place(const struct room *room, const struct event_row *row);
bool row_awaits_history(const struct event_row *row);
/* Places of the list, so that an event comes after those of the list that it stands on (receive/received.c). */
void received_order(struct arena *a, const struct received_event *list, size_t n, size_t *order);
NODISCARD err *rooms_append_event(struct rooms *rs, struct arena *a, const struct event *ev, enum append_outcome *out);

/* An event's way into the draft, for append.c, receive.c and redact.c. */
struct job_event *job_event_new(struct draft *d, const struct proposal *p, struct event *ev);
void job_event_edges(struct draft *d, struct job_event *je, const int64_t *prevs, size_t n_prevs,
		     const struct event *const *auth, size_t n_auth);
/* Part of the room from now on: je->before is set. Moves extremities, current state and timeline. */
NODISCARD err *draft_accept(struct draft *d, struct job_event *je);
/* The state after it, from je->before: what draft_accept does first. */
NODISCARD err *draft_after(struct draft *d, struct job_event *je);
/* The rows that others add (rooms_on_prepare). */
NODISCARD err *draft_prepare(struct draft *d, struct job_event *je);
/* v1, v2: nobody else is to call an event so until the job has ended; false: somebody does (receive.c). */
bool job_name_take(struct job *job, str event_id);
void job_names_drop(struct job *job);
/* Stored, but not part of the room. */
void draft_keep(struct draft *d, struct job_event *je);
/* An accepted m.room.redaction: what becomes of its target (redact.c). */
NODISCARD err *draft_redact(struct draft *d, struct job_event *je);
/* Its job ended, or is not to be: from now on the store says what the target is. */
void redaction_forget(struct room *room, const struct job_event *je);
/* An event whose redaction came before it is stored redacted. */
NODISCARD err *draft_redact_waiting(struct draft *d, struct job_event *je);
/* Annotations (annotation.c): what an accepted event annotates; what the target of its redaction did; their rows. */
NODISCARD err *draft_annotate(struct draft *d, struct job_event *je);
NODISCARD err *draft_redact_annotation(struct draft *d, struct job_event *je, const struct event *target,
				       const struct event_row *row);
NODISCARD err *annotation_save(struct tx *tx, const struct job_event *je);
/* M_DUPLICATE_ANNOTATION for a second one of the same. */
NODISCARD err *annotation_check(struct room *room, const struct proposal *p);
/* While the history is purged (purge_plan.c): may a new event not be built upon this one, or not name it in its
 * auth_events? */
bool room_forgets_prev(const struct room *room, const struct event_row *row);
bool room_forgets_auth(struct room *room, int64_t nid);
/* One state out of several (resolve.c). */
struct auth_index chains_index(struct room *room); /* of what is stored or queued (chains.c). In room->a */
NODISCARD err *draft_resolve(struct draft *d, const struct state_root *roots, size_t n, struct state_root *out);

/*
 * Flat copies (flat.c)
 */
/* What becomes different when the room's state goes from the tip's root to `to` because of je; counts members. */
NODISCARD err *flat_changes(struct draft *d, struct job_event *je, struct state_root to);
/* Of a redacted state event that is in force: what its copies become. */
void flat_describe_redacted(const struct rooms *rs, const struct event *redacted, struct change *ch);
NODISCARD err *flat_save(struct tx *tx, const struct job *job, const struct job_event *je);
NODISCARD err *flat_save_redacted(struct tx *tx, const struct job *job, const struct job_event *je);

/*
 * Other servers (servers.c)
 */
/* The room's head was read again; none: nobody else is in it. */
/* Is anybody of another server in the room? Of this one (it may be ours)? */
NODISCARD err *room_has_others(struct room *room, bool *out);
NODISCARD err *room_has_server(struct room *room, str server_name, bool *out);
void room_servers_clear(struct room *room, bool none);
/* What the event changes in the current state, which is not yet je->changes; who goes out with it is je->left. */
NODISCARD err *room_servers_note(struct draft *d, struct job_event *je, struct change *changes, size_t n);
/* Part of the room now: who is to get it from us. */
NODISCARD err *room_servers_send(struct draft *d, struct job_event *je);
void room_servers_release(struct job_event *je);

/*
 * Committing (commit.c)
 */
NODISCARD err *job_write(struct job *job, struct ticket **out_ticket);
void job_queued(struct job *job);
/* Frees the jobs that have ended. */
void jobs_drain(struct room *room);

/*
 * Shared by the doors (send.c, membership.c, alias.c)
 */
/* One event in a held room: builds and queues it. txn may be NULL. */
NODISCARD err *room_queue_one(struct room *room, const struct proposal *p, const struct txn_digest *txn,
			      str *out_event_id, struct ticket **out_ticket);
/* The current event's id where it has the same sender and content, else STR_NONE; and whether it is only queued yet. */
NODISCARD err *room_same_as_current(struct room *room, const struct proposal *p, str *out_event_id, bool *out_queued);
/* Waits for what is queued of the room; an error unless the event is stored then. */
NODISCARD err *room_wait_stored(struct rooms *rs, struct arena *a, str room_id, str event_id);
/* PUT .../state/m.room.member/{userId}. */
NODISCARD err *member_send(struct rooms *rs, struct arena *a, const struct send_cmd *cmd, str *out_event_id);
/* The aliases that a new m.room.canonical_alias adds: M_INVALID_PARAM, M_BAD_ALIAS. */
NODISCARD err *alias_check_canonical(struct room *room, const struct proposal *p);
/* What the event's description asks of its content, where the authorisation rules ask less (content.c). room_id:
 * STR_NONE for a room that is being made. M_BAD_JSON, M_INVALID_PARAM. */
NODISCARD err *content_check(struct arena *a, const struct proposal *p, str room_id);
/* M_INVITE_BLOCKED where the user wants no invitations (invite_permission.c). */
NODISCARD err *invite_permitted(struct rooms *rs, struct arena *a, str user_id);
/* The content of a membership event: the profile of a user of this server is put in. extra may be NULL. */
NODISCARD err *member_content(struct rooms *rs, struct arena *a, str user_id, enum membership to, str reason,
			      const struct json *extra, const struct json **out);
/* Restricted rooms (join.c): may a user who is neither in nor invited join by what the rule demands? user 0: one whom
 * nobody here ever heard of. */
enum join_condition {
	JOIN_UNCONDITIONAL, /* the room is not restricted */
	JOIN_MEETS,         /* in one of the rooms that the rule names */
	JOIN_FAILS,         /* in none of them */
	JOIN_UNKNOWN,       /* not in those that this server is in, but the rule names others */
};
NODISCARD err *join_condition(struct room *room, int64_t user, enum join_condition *out);
/* A joined user of this server whose power suffices to invite; STR_NONE: nobody. */
NODISCARD err *join_voucher(struct room *room, str *out);
/* A join by who is neither in nor invited: in a restricted room, names who vouches for it in p->content (join.c). */
NODISCARD err *join_authorise(struct room *room, struct proposal *p);
