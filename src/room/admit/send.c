/*
 * send.c - a membership event that a user of another server sends through this one: send_join, send_knock, send_leave.
 *
 * It is judged as any received event: by its own auth_events, by the state before it (which may have moved on since the
 * template was made), and by the current state. What does not pass all three is refused, and not kept: whoever sent it
 * waits for the answer, and nobody else knows it. What passes goes to the other servers from here.
 *
 * In restricted rooms the event names a user who vouches for it, whose server must have signed. Where that is ours it
 * gets our signature before anything is verified, in memory alone: whether we vouch is said under the room's lock, and
 * what is refused there is forgotten with the signature.
 */
#include "room/admit/internal_admit.h"

#include "base/clock.h"
#include "room/policy.h"
#include "room/server_acl.h"

err *admit_parse(struct arena *a, const struct room_version *rv, const struct json *json, str room_id, str event_id,
		 struct event **out)
{
	struct event *ev;

	/* "Servers MUST strictly enforce the JSON format specified in the appendices. This translates to a 400
	 * M_BAD_JSON error on most endpoints". */
	TRY(event_parse_json(a, rv, json, &ev));
	if (!str_eq(ev->room_id, room_id))
		return err_new(a, ERR_INVALID_PARAM, "the event is of another room");
	if (!str_eq(ev->event_id, event_id))
		return err_new(a, ERR_INVALID_PARAM, "the event's id is %.*s", STR_ARG(ev->event_id));
	if (ev->hash_failed)
		return err_new(a, ERR_INVALID_PARAM, "the event's content hash is wrong");
	*out = ev;
	return NULL;
}

err *admit_is_member(struct arena *a, const struct event *ev, str origin, enum membership to)
{
	const str membership = membership_text(to);

	/* "servers SHOULD return M_INVALID_PARAM if: [...] The event type is not m.room.member." */
	if (!str_eq(ev->type, S("m.room.member")) || !event_is_state(ev))
		return err_new(a, ERR_INVALID_PARAM, "the event is no m.room.member");
	/* "The membership field inside the event content is not join." */
	if (!str_eq(event_membership(ev), membership))
		return err_new(a, ERR_INVALID_PARAM, "the event's membership is not %.*s", STR_ARG(membership));
	/* "The event sender is not a user ID on the origin server." */
	if (!id_user_valid(ev->sender) || !id_is_of(ev->sender, origin))
		return err_new(a, ERR_INVALID_PARAM, "the event's sender is not of the server that sends it");
	return NULL;
}

/* Whose keys are needed is the asker's choice (who vouches for a join, whose events an invitation shows): servers that
 * never answer, a new one each time, must not take all threads there are for other servers. */
err *admit_check(struct admit *ad, struct arena *a, const struct room_version *rv, str origin, str room_id,
		 struct checked_event *evs, size_t n)
{
	static const struct waiting_bounds bounds = { 0, ADMIT_KEYS_PLACES, 2 };
	size_t place;

	events_check(ad->opt.keys, ad->opt.pool, a, rv, room_id, evs, n, 0);
	if (!events_lack_keys(evs, n))
		return NULL;
	if (!waiting_begin(&ad->waiting, &bounds, origin, &place))
		return err_new(a, ERR_BUSY, "too many requests wait for the keys of servers already");
	events_check(ad->opt.keys, ad->opt.pool, a, rv, room_id, evs, n,
		     clock_mono_us() + (int64_t)ADMIT_KEYS_MS * 1000);
	waiting_end(&ad->waiting, place);
	return NULL;
}

err *admit_signed(struct admit *ad, struct arena *a, const struct room_version *rv, str origin, const struct event *ev)
{
	struct checked_event c = { .json = ev->json };

	TRY(admit_check(ad, a, rv, origin, ev->room_id, &c, 1));
	if (c.event && !c.event->hash_failed)
		return NULL;
	/* "The join event fails a signature check." */
	if (!c.error || c.error->code == ERR_FORBIDDEN)
		return err_new(a, ERR_INVALID_PARAM, "%.*s",
			       STR_ARG(c.error ? c.error->msg : S("the event's content hash is wrong")));
	return c.error;
}

err *admit_cosign(struct admit *ad, struct arena *a, const struct room_version *rv, const struct event *ev,
		  struct event **out)
{
	return event_sign(a, rv, ev, &ad->opt.rooms->opt.signer, out);
}

struct sending {
	struct admit *ad;
	struct arena *a;
	const struct admit_send *cmd;
	const struct room_version *rv;
	struct event *ev;
	struct proposal p;
	bool vouched; /* our signature on it says that it may */
};

/* "The resident server which owns the provided user ID must have a valid signature on the event. If the resident server
 * is receiving the /send_join request, the signature must be added before sending or persisting the event to other
 * servers." */
static err *vouch(struct sending *s)
{
	const str voucher = json_get_str(s->ev->content, S("join_authorised_via_users_server"));

	s->vouched = s->rv->restricted && s->cmd->to == MEMBER_JOIN && !str_is_none(voucher) &&
		     id_is_of(voucher, s->ad->opt.rooms->opt.signer.server_name);
	return s->vouched ? admit_cosign(s->ad, s->a, s->rv, s->ev, &s->ev) : NULL;
}

static err *check(struct sending *s)
{
	struct rooms *rs = s->ad->opt.rooms;
	const struct admit_send *cmd = s->cmd;
	int64_t room;

	TRY(room_acl_check(rs, s->a, cmd->room_id, cmd->origin));
	TRY(rooms_find(rs, s->a, cmd->room_id, &room, &s->rv));
	if (!room)
		return err_new(s->a, ERR_NOT_FOUND, "there is no such room here");
	TRY(admit_parse(s->a, s->rv, cmd->event, cmd->room_id, cmd->event_id, &s->ev));
	TRY(admit_is_member(s->a, s->ev, cmd->origin, cmd->to));
	/* "The state_key is not equal to the sender." */
	if (!str_eq(s->ev->state_key, s->ev->sender))
		return err_new(s->a, ERR_INVALID_PARAM, "the event is not about its sender");
	TRY(vouch(s));
	TRY(admit_signed(s->ad, s->a, s->rv, cmd->origin, s->ev));
	return policy_obtain(rs, s->a, cmd->room_id, &s->ev, 1, clock_mono_us() + (int64_t)ADMIT_KEYS_MS * 1000);
}

/* An event of that name is there already. */
static err *known_is_good(struct arena *a, unsigned flags)
{
	if (flags & (EVENT_REJECTED | EVENT_SOFT_FAILED | EVENT_PURGED))
		return err_new(a, ERR_FORBIDDEN, "the event is not part of the room");
	return NULL;
}

static err *append(struct sending *s, struct room *room, struct arrival *how, struct ticket **out_ticket)
{
	AUTO_DRAFT d = NULL;
	enum append_outcome outcome;

	draft_begin(room, &d);
	TRY(draft_add_received(d, s->ev, &s->p, how, &outcome));
	if (outcome != APPEND_ACCEPTED)
		return err_new(s->a, ERR_FORBIDDEN, "%s",
			       outcome == APPEND_REJECTED ? "the room's rules do not allow it"
							  : "the room's current state does not allow it");
	TRY(draft_queue(&d, out_ticket));
	/* What happened since the template was made stands beside the event: a server that comes in with it has no way
	 * to know. */
	if (s->cmd->to == MEMBER_JOIN && room->tip.n_ext > 1 && room->rs->crowded)
		room->rs->crowded(room->rs->crowded_ctx, room->room_id, true);
	return NULL;
}

/* Under the room's lock. *out_known: it was part of the room before, or is queued. */
static err *queue(struct sending *s, bool *out_known, struct ticket **out_ticket)
{
	AUTO_ROOM room = NULL;
	enum join_condition condition;
	struct arrival how = { 0 };

	TRY(room_hold(s->ad->opt.rooms, s->a, s->cmd->room_id, &room));
	if (!room)
		return err_new(s->a, ERR_NOT_FOUND, "there is no such room here");
	TRY(admit_inside(room));
	TRY(room_event_by_id(room, s->ev->event_id, &how.known, &how.row));
	*out_known = how.known && !row_awaits_place(room, how.row);
	if (*out_known)
		return known_is_good(s->a, how.row->flags);
	if (s->vouched)
		TRY(admit_condition(room, s->ev->sender, &condition));
	return append(s, room, &how, out_ticket);
}

/* As it is stored: what came first has the signatures. */
static err *read_back(struct sending *s, const struct event **out)
{
	struct event_row *row;
	struct event *ev;
	AUTO_TX tx = NULL;

	TRY(store_read(s->ad->opt.store, s->a, &tx));
	TRY(store_event_by_id(tx, s->ev->event_id, &row));
	if (!row)
		return err_new(s->a, ERR_INTERNAL, "event %.*s is not stored", STR_ARG(s->ev->event_id));
	TRY(event_load(s->a, s->rv, row->event_id, row->json, &ev));
	ev->nid = row->nid;
	*out = ev;
	return NULL;
}

err *admit_send(struct admit *ad, struct arena *a, const struct admit_send *cmd, const struct event **out)
{
	struct sending s = { .ad = ad, .a = a, .cmd = cmd };
	struct ticket *ticket = NULL;
	bool known;

	TRY(check(&s));
	s.p = (struct proposal){
		.type = s.ev->type, .state_key = s.ev->state_key, .sender = s.ev->sender, .resident = true
	};
	TRY(proposal_number(ad->opt.rooms, a, &s.p));
	TRY(queue(&s, &known, &ticket));
	if (ticket)
		TRY(store_wait(a, ticket));
	if (known)
		TRY(room_wait_stored(ad->opt.rooms, a, cmd->room_id, s.ev->event_id));
	return read_back(&s, out);
}
