/*
 * send.c - a client's event, from wish to acknowledged.
 *
 * The lock covers building, authorising and queueing, never a commit. Numbers of new texts are made durable before it
 * is taken, and only for who may speak in the room at all, so that nobody else can fill the table of texts.
 *
 * A transaction id is looked up under the lock: first among what is queued, then in the store. A repetition of one that
 * is still queued waits behind it, in the same order of commits, and then finds it in the store, or learns that it
 * failed.
 */
#include "room/internal_job.h"

#include "base/clock.h"
#include "room/internal_policy.h"

static err *no_room(struct arena *a) { return err_new(a, ERR_FORBIDDEN, "you are not in this room"); }

/*
 * Before the lock
 */

/* May the sender speak here at all? Asked only where a new text would have to be stored first. */
static err *check_speaker(struct rooms *rs, struct arena *a, const struct send_cmd *cmd)
{
	AUTO_ROOM room = NULL;
	struct power_levels pl;
	enum membership m;

	TRY(room_hold(rs, a, cmd->room_id, &room));
	if (!room)
		return no_room(a);
	TRY(room_membership(room, cmd->by.user_id, &m));
	TRY(room_power(room, &pl));
	if (m != MEMBER_JOIN)
		return no_room(a);
	if (room->rv->aliases_rule && str_eq(cmd->type, S("m.room.aliases")))
		return NULL; /* no matter of power */
	if (!power_may_send(&pl, cmd->by.user_id, cmd->type, !str_is_none(cmd->state_key)))
		return err_new(a, ERR_FORBIDDEN, "your power level does not allow %.*s here", STR_ARG(cmd->type));
	return NULL;
}

static err *number(struct rooms *rs, struct arena *a, const struct send_cmd *cmd, struct proposal *p)
{
	struct store *st = rs->opt.store;
	int64_t type, key = 1;

	if (p->type.n > ID_MAX || p->state_key.n > ID_MAX)
		return err_new(a, ERR_TOO_LARGE, "the type and the state key may have 255 bytes each");
	TRY(store_intern_find(st, a, p->type, &type));
	if (!str_is_none(p->state_key))
		TRY(store_intern_find(st, a, p->state_key, &key));
	/* Memberships have a door of their own for who is not in the room. */
	if ((!type || !key) && !str_eq(p->type, S("m.room.member")))
		TRY(check_speaker(rs, a, cmd));
	return proposal_number(rs, a, p);
}

/* "In rooms with a version older than 11 they MUST move the redacts property inside the content to the top level". */
static err *take_redacts(struct arena *a, struct proposal *p)
{
	if (!str_is_none(p->state_key) || !str_eq(p->type, S("m.room.redaction")))
		return NULL;
	if (str_is_none(p->redacts))
		p->redacts = json_get_str(p->content, S("redacts"));
	if (str_is_none(p->redacts))
		return err_new(a, ERR_MISSING_PARAM, "a redaction names an event in \"redacts\"");
	struct json *content = json_copy(a, p->content);
	json_del(content, S("redacts")); /* event_build puts it where the room version wants it */
	p->content = content;
	return NULL;
}

/*
 * Under the lock
 */
enum repeat { REPEAT_NEW, REPEAT_STORED, REPEAT_QUEUED };

static err *find_repeat(struct room *room, const struct txn_digest *txn, enum repeat *out, str *out_event_id)
{
	const struct job_event *je = map_get(&room->txns, (str){ (const char *)txn->bytes, sizeof(txn->bytes) });
	struct event_row *row;
	int64_t event;
	struct tx *tx;
	bool known;

	*out = REPEAT_NEW;
	if (je) {
		*out_event_id = arena_keep(room->a, je->ev->event_id);
		*out = REPEAT_QUEUED;
		return NULL;
	}
	TRY(room_tx(room, &tx));
	TRY(store_txn_find(tx, txn, &known, &event));
	if (!known)
		return NULL;
	TRY(store_event_by_nid(tx, event, &row));
	if (!row)
		return err_new(room->a, ERR_INTERNAL, "event %" PRId64 " of a transaction is not stored", event);
	*out_event_id = row->event_id;
	*out = REPEAT_STORED;
	return NULL;
}

err *room_same_as_current(struct room *room, const struct proposal *p, str *out_event_id, bool *out_queued)
{
	const enum json_canon canon = room->rv->strict_json ? JSON_CANON_STRICT : JSON_CANON_DOUBLES;
	const struct event *current;
	str mine, theirs;

	*out_event_id = STR_NONE;
	if (str_is_none(p->state_key))
		return NULL;
	TRY(room_current(room, p->type_nid, p->key_nid, &current));
	if (!current || !str_eq(current->sender, p->sender))
		return NULL;
	TRY(json_canonical(room->a, p->content, canon, &mine));
	TRY(json_canonical(room->a, current->content, canon, &theirs));
	if (!str_eq(mine, theirs))
		return NULL;
	*out_event_id = arena_keep(room->a, current->event_id);
	*out_queued = map_get_i(&room->pending, current->nid) != NULL;
	return NULL;
}

/* v1 to v5, "Authorisation rules", 4: m.room.aliases needs no membership. That is for servers; here, only who is in a
 * room speaks. */
static err *check_aliases(struct room *room, const struct proposal *p)
{
	enum membership m;

	if (!room->rv->aliases_rule || !str_eq(p->type, S("m.room.aliases")))
		return NULL;
	TRY(room_membership(room, p->sender, &m));
	return m == MEMBER_JOIN ? NULL : no_room(room->a);
}

/* A client redacts what it may see redacted: its own events, or anybody's with the power to. */
static err *check_redaction(struct room *room, const struct proposal *p)
{
	const struct event *target;
	struct power_levels pl;
	struct event_row *row;
	struct tx *tx;

	if (str_is_none(p->redacts))
		return NULL;
	TRY(room_event_by_id(room, p->redacts, &target, NULL));
	if (!target) {
		TRY(room_tx(room, &tx));
		TRY(store_event_by_id(tx, p->redacts, &row));
		return row ? err_new(room->a, ERR_INVALID_PARAM, "the event is of another room")
			   : err_new(room->a, ERR_NOT_FOUND, "there is no event %.*s", STR_ARG(p->redacts));
	}
	/* Without it (in room version 10, without its room_version) nobody could make sense of the room; without
	 * server_acl's lists every server would be shut out. */
	if (event_is_state(target) &&
	    (str_eq(target->type, S("m.room.create")) || str_eq(target->type, S("m.room.server_acl"))))
		return err_new(room->a, ERR_FORBIDDEN, "%.*s cannot be redacted", STR_ARG(target->type));
	TRY(room_power(room, &pl));
	if (!str_eq(target->sender, p->sender) && !power_may(&pl, p->sender, POWER_REDACT))
		return err_new(room->a, ERR_FORBIDDEN, "you may not redact other people's events here");
	return NULL;
}

/* The event that the policy server signed, if the room still allows it. The other servers get it from us. */
static err *add_vetted(struct draft *d, const struct proposal *p)
{
	enum append_outcome outcome;
	struct proposal with = *p;

	with.resident = true;
	TRY(draft_add_received(d, p->vetting->event, &with, NULL, &outcome));
	return outcome == APPEND_ACCEPTED ? NULL
					  : err_new(d->room->a, ERR_FORBIDDEN, "the room does not allow it any more");
}

err *room_queue_one(struct room *room, const struct proposal *p, const struct txn_digest *txn, str *out_event_id,
		    struct ticket **out_ticket)
{
	struct vetting *v = p->vetting;
	AUTO_DRAFT d = NULL;
	const struct event *ev = v ? v->event : NULL;

	if (v && !ev) {
		TRY(policy_wants(room, p, v));
		if (v->wanted)
			return NULL;
	}
	draft_begin(room, &d);
	TRY(ev ? add_vetted(d, p) : draft_add(d, p, &ev));
	*out_event_id = arena_keep(room->a, ev->event_id);
	if (txn) {
		d->job->has_txn = true;
		d->job->txn = *txn;
	}
	return draft_queue(&d, out_ticket);
}

static err *queue_event(struct rooms *rs, struct arena *a, const struct send_cmd *cmd, const struct proposal *p,
			const struct txn_digest *txn, str *out_event_id, struct ticket **out_ticket, bool *out_wait)
{
	enum repeat repeat;
	AUTO_ROOM room = NULL;

	TRY(room_hold(rs, a, cmd->room_id, &room));
	if (!room)
		return no_room(a);
	if (txn) {
		TRY(find_repeat(room, txn, &repeat, out_event_id));
		*out_wait = repeat == REPEAT_QUEUED;
		if (repeat != REPEAT_NEW)
			return NULL;
	}
	TRY(room_same_as_current(room, p, out_event_id, out_wait));
	if (!str_is_none(*out_event_id))
		return NULL;
	/* In version 12 such an event cannot even be built: it would be a room of its own. */
	if (str_eq(p->type, S("m.room.create")))
		return err_new(a, ERR_FORBIDDEN, "a room is created once");
	if (str_eq(p->type, S("m.room.canonical_alias")) && !str_is_none(p->state_key))
		TRY(alias_check_canonical(room, p));
	TRY(content_check(a, p, cmd->room_id));
	TRY(check_aliases(room, p));
	TRY(check_redaction(room, p));
	TRY(annotation_check(room, p));
	return room_queue_one(room, p, txn, out_event_id, out_ticket);
}

/*
 * Repetitions
 */
static err *run_nothing(struct tx *tx, void *arg)
{
	(void)tx;
	(void)arg;
	return NULL;
}

err *room_wait_stored(struct rooms *rs, struct arena *a, str room_id, str event_id)
{
	struct piece nothing = { .run = run_nothing };
	struct ticket *ticket;
	struct event_row *row;
	AUTO_TX tx = NULL;

	TRY(rooms_find(rs, a, room_id, &nothing.shard, NULL));
	TRY(store_write(rs->opt.store, a, &nothing, &ticket));
	TRY(store_wait(a, ticket));
	TRY(store_read(rs->opt.store, a, &tx));
	TRY(store_event_by_id(tx, event_id, &row));
	return row ? NULL : err_new(a, ERR_STORE, "the event could not be stored; send it again");
}

static err *make_proposal(struct rooms *rs, struct arena *a, const struct send_cmd *cmd, struct proposal *out)
{
	*out = (struct proposal){
		.type = cmd->type,
		.state_key = cmd->state_key,
		.sender = cmd->by.user_id,
		.content = cmd->content,
		.redacts = cmd->redacts,
		.ts = cmd->ts ? cmd->ts : clock_ms(),
		.txn_device = str_is_none(cmd->txn_id) ? STR_NONE : cmd->by.device_id,
		.txn_id = cmd->txn_id,
	};
	TRY(take_redacts(a, out));
	return number(rs, a, cmd, out);
}

err *room_send(struct rooms *rs, struct arena *a, const struct send_cmd *cmd, str *out_event_id)
{
	const bool has_txn = !str_is_none(cmd->txn_id);
	struct vetting vetting = { .wanted = false };
	struct ticket *ticket = NULL;
	struct txn_digest txn;
	struct proposal p;
	str event_id = STR_NONE;
	bool wait = false;

	/* Its own rules: who may join, what a member event carries. */
	if (str_eq(cmd->type, S("m.room.member")) && !str_is_none(cmd->state_key))
		return member_send(rs, a, cmd, out_event_id);
	if (has_txn)
		txn = store_txn_digest(&(struct txn_key){ .user = cmd->by.user,
							  .device_id = cmd->by.device_id,
							  .path = cmd->txn_path,
							  .txn_id = cmd->txn_id });
	TRY(make_proposal(rs, a, cmd, &p));
	p.vetting = rs->policies ? &vetting : NULL;
	TRY(queue_event(rs, a, cmd, &p, has_txn ? &txn : NULL, &event_id, &ticket, &wait));
	if (vetting.wanted && cmd->out_elsewhere) {
		*cmd->out_elsewhere = true;
		return NULL;
	}
	if (vetting.wanted) {
		TRY(policy_vet(rs, a, &vetting));
		TRY(queue_event(rs, a, cmd, &p, has_txn ? &txn : NULL, &event_id, &ticket, &wait));
	}
	if (wait)
		TRY(room_wait_stored(rs, a, cmd->room_id, event_id));
	if (ticket)
		TRY(store_wait(a, ticket));
	*out_event_id = event_id;
	return NULL;
}
