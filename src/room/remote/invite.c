/*
 * invite.c - an invitation of ours goes to the invited user's server, which signs that it may be.
 *
 * "Once the event has been signed by both the inviting homeserver and the invited homeserver, it can be sent to all of
 * the servers in the room by the inviting homeserver." So the event is built and authorised first, without becoming
 * part of the room; it does with the other signature, if the room lets it by then.
 */
#include "room/remote/internal_remote.h"

#include "base/clock.h"
#include "room/internal_policy.h"

static err *add_stripped(struct arena *a, const struct event *ev, const struct json *stripped, struct json **out)
{
	struct json *unsigned_ = json_new_object(a);

	*out = json_copy(a, ev->json);
	json_set(a, unsigned_, S("invite_room_state"), stripped ? stripped : json_new_array(a));
	json_set(a, *out, S("unsigned"), unsigned_);
	return NULL;
}

/* "Senders which receive a 400 or 404 response to this endpoint should retry using the v1 API as the server may be
 * older, if the room version is "1" or "2"." */
static bool try_old(const struct room_version *rv, const struct fed_call *call)
{
	return rv->event_format == EVENT_FORMAT_NAMED && (call->status == 400 || call->status == 404);
}

static err *ask(struct remote *r, struct arena *a, const struct room_version *rv, const struct event *ev,
		const struct json *stripped, str server, const struct json **out)
{
	struct json *body = json_new_object(a), *old;
	struct fed_call call = {
		.destination = server,
		.method = S("PUT"),
		.path = remote_send_path(a, S("/_matrix/federation/v2/invite/"), ev),
		.content = body,
		.patience = FED_ANYWAY,
	};
	const int64_t deadline = clock_mono_us() + INT64_C(1000) * REMOTE_MAKE_MS;
	err *e;

	json_set(a, body, S("event"), ev->json);
	json_set(a, body, S("room_version"), json_new_str(a, rv->id));
	json_set(a, body, S("invite_room_state"), stripped ? stripped : json_new_array(a));
	e = fed_one(r->opt.fed, a, &call, deadline);
	if (!e) {
		*out = json_get_object(call.answer, S("event"));
		return NULL;
	}
	if (!try_old(rv, &call))
		return e;
	TRY(add_stripped(a, ev, stripped, &old));
	call = (struct fed_call){
		.destination = server,
		.method = S("PUT"),
		.path = remote_send_path(a, S("/_matrix/federation/v1/invite/"), ev),
		.content = old,
		.patience = FED_ANYWAY,
	};
	TRY(fed_one(r->opt.fed, a, &call, deadline));
	if (json_is(call.answer, JSON_ARRAY) && call.answer->array.n == 2)
		*out = json_get_object(call.answer->array.items[1], S("event"));
	return NULL;
}

/* Of what came back its signature counts, and nothing else. */
static err *add_signatures(struct arena *a, const struct room_version *rv, const struct event *ev,
			   const struct json *back, str server, struct event **out)
{
	const struct json *theirs = json_get_object(json_get_object(back, S("signatures")), server);
	struct event *all = NULL;
	size_t n = 0;

	JSON_EACH (theirs, m) {
		if (m->value->kind != JSON_STR || n++ == EVENT_MAX_KEYS)
			continue;
		TRY(event_add_signature(a, rv, all ? all : ev, server, m->key, m->value->s, &all));
	}
	*out = all;
	return NULL;
}

/* Is one of its signatures good? */
static err *check_signature(struct remote *r, struct arena *a, const struct room_version *rv, const struct event *ev,
			    str server)
{
	const struct json *theirs = json_get_object(json_get_object(ev->json, S("signatures")), server);
	struct key_want wants[EVENT_MAX_KEYS];
	struct key_set *set;
	size_t n = 0;

	JSON_EACH (theirs, m)
		if (n < EVENT_MAX_KEYS)
			wants[n++] = (struct key_want){
				.server = server, .key_id = m->key, .valid_at = ev->origin_server_ts, .speaks = true
			};
	TRY(key_ring_get(r->opt.keys, a, wants, n, clock_mono_us() + INT64_C(1000) * REMOTE_KEYS_MS, &set));
	for (size_t i = 0; i < n; i++) {
		const struct server_key *key = key_set_find(set, server, wants[i].key_id);

		if (key && event_verify(a, rv, ev, server, wants[i].key_id, key->public_key))
			return NULL;
	}
	return err_new(a, ERR_CONNECTION_FAILED, "%.*s did not sign the invitation", STR_ARG(server));
}

/* What the invited user is shown: "All events listed MUST additionally be formatted according to the room version
 * specification", so they go whole. */
static err *shown_state(struct room *room, struct arena *a, const struct event *ev, struct json **out)
{
	const struct event *shown;
	struct json *whole;

	*out = json_new_array(a);
	for (const str *type = stripped_types; !str_is_none(*type); type++) {
		TRY(room_current_text(room, *type, S(""), &shown));
		if (!shown)
			continue;
		TRY(json_parse(a, arena_keep(a, shown->bytes), &json_limits_event, &whole));
		json_append(a, *out, whole);
	}
	TRY(room_current_text(room, S("m.room.member"), ev->sender, &shown));
	if (!shown)
		return NULL;
	TRY(json_parse(a, arena_keep(a, shown->bytes), &json_limits_event, &whole));
	json_append(a, *out, whole);
	return NULL;
}

struct inviting {
	const struct room_version *rv;
	struct event *ev; /* NULL: it is so already */
	struct json *shown;
	struct vetting vetting;
	bool wait;
};

/* The event as the room would take it now. */
static err *build_invite(struct rooms *rs, struct arena *a, str room_id, struct proposal *p, struct inviting *out,
			 str *out_event_id)
{
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;
	const struct event *ev;

	TRY(room_hold(rs, a, room_id, &room));
	if (!room)
		return err_new(a, ERR_FORBIDDEN, "there is no such room here");
	TRY(room_same_as_current(room, p, out_event_id, &out->wait));
	if (!str_is_none(*out_event_id))
		return NULL;
	out->rv = room->rv;
	if (rs->policies)
		TRY(policy_wants(room, p, &out->vetting));
	if (out->vetting.wanted) {
		out->ev = out->vetting.event;
	} else {
		draft_begin(room, &d);
		TRY(draft_build(d, p, &ev));
		TRY(event_load(a, room->rv, arena_keep(a, ev->event_id), arena_keep(a, ev->bytes), &out->ev));
	}
	return shown_state(room, a, out->ev, &out->shown);
}

static err *queue_invite(struct rooms *rs, struct arena *a, const struct event *ev, const struct proposal *p,
			 struct ticket **out_ticket)
{
	enum append_outcome outcome;
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;

	TRY(room_hold(rs, a, ev->room_id, &room));
	if (!room)
		return err_new(a, ERR_FORBIDDEN, "there is no such room here");
	draft_begin(room, &d);
	TRY(draft_add_received(d, ev, p, NULL, &outcome));
	if (outcome != APPEND_ACCEPTED)
		return err_new(a, ERR_FORBIDDEN, "the room does not allow the invitation any more");
	return draft_queue(&d, out_ticket);
}

err *remote_invite_user(struct rooms *rs, struct arena *a, str room_id, struct proposal *p, str *out_event_id)
{
	struct inviting v = { 0 };
	struct ticket *ticket;
	struct event *both;

	TRY(proposal_number(rs, a, p));
	TRY(build_invite(rs, a, room_id, p, &v, out_event_id));
	if (!v.ev)
		return v.wait ? room_wait_stored(rs, a, room_id, *out_event_id) : NULL;
	/* "all servers in the room MUST ask the Policy Server to sign their events before sending them to clients and
	 * servers": the invited user's among them. */
	if (v.vetting.wanted) {
		TRY(policy_vet(rs, a, &v.vetting));
		v.ev = v.vetting.event;
	}
	TRY(remote_invite(rs->remote, a, v.rv, v.ev, v.shown, id_server(p->state_key), &both));
	p->resident = true; /* the room's other servers get it from us */
	TRY(queue_invite(rs, a, both, p, &ticket));
	*out_event_id = both->event_id;
	return store_wait(a, ticket);
}

err *remote_invite(struct remote *r, struct arena *a, const struct room_version *rv, const struct event *ev,
		   const struct json *stripped, str server, struct event **out_event)
{
	const struct json *back = NULL;
	struct event *both;
	str text;
	err *e = ask(r, a, rv, ev, stripped, server, &back);

	if (e)
		return remote_for_client(a, e);
	if (!back)
		return err_new(a, ERR_CONNECTION_FAILED, "%.*s gave no event back", STR_ARG(server));
	/* "Servers MUST strictly enforce the JSON format specified in the appendices." (room version 6) */
	if (rv->strict_json)
		TRY(json_canonical(a, back, JSON_CANON_STRICT, &text));
	TRY(add_signatures(a, rv, ev, back, server, &both));
	if (!both)
		return err_new(a, ERR_CONNECTION_FAILED, "%.*s did not sign the invitation", STR_ARG(server));
	TRY(check_signature(r, a, rv, both, server));
	*out_event = both;
	return NULL;
}
