/*
 * exchange.c - an invitation by e-mail address becomes one of a user: Server-Server API, "Third-party invites".
 *
 * The room has m.room.third_party_invite, with a token and keys of the identity server that keeps the invitation. Once
 * the address is somebody's, that server signs {mxid, token}, which proves it to everybody: the event rests on no
 * server's word. We make it in the name of who invited, whose server need not be ours, when the invited user's server
 * asks (admit_exchange), or when the identity server tells us of a user of ours (admit_bound).
 *
 * Whether a key still holds is said at a URL that the room's members chose: it is asked without a lock, where the
 * outside may be asked at all, and briefly.
 */
#include "room/admit/internal_admit.h"

#include "base/clock.h"
#include "federation/fed.h"
#include "http/client.h"
#include "matrix/third_party.h"
#include "room/internal_policy.h"
#include "room/remote/internal_remote.h"
#include "room/server_acl.h"
#include "user/user.h"

enum {
	VALIDITY_MS = 10000,
	VALIDITY_BYTES = 16 << 10,
	KEYS_MOST = 4, /* that signed and are asked about */
	INVITES_MOST = 50,
	BOUND_MS = 30000, /* for all invitations that an identity server tells of */
};

struct exchange {
	struct admit *ad;
	struct arena *a;
	int64_t deadline_us;
	str room_id, sender, user_id, display_name;
	const struct json *signed_part;
	str token;
};

/*
 * The identity server's signature
 */
struct signing_keys {
	struct third_party_key p[KEYS_MOST];
	size_t n;
};

/* Of the invitation as the room has it: those of its keys that signed, and how who is invited is called. */
static err *read_invitation(struct exchange *x, struct signing_keys *keys)
{
	AUTO_ROOM room = NULL;
	const struct event *invite;
	str name;

	TRY(room_hold(x->ad->opt.rooms, x->a, x->room_id, &room));
	if (!room)
		return err_new(x->a, ERR_NOT_FOUND, "there is no such room here");
	TRY(admit_inside(room));
	TRY(room_current_text(room, S("m.room.third_party_invite"), x->token, &invite));
	if (!invite || !str_eq(invite->sender, x->sender))
		return err_new(x->a, ERR_FORBIDDEN, "there is no such third-party invite in the room");
	keys->n = third_party_signers(x->a, x->signed_part, invite->content, keys->p, KEYS_MOST);
	for (size_t i = 0; i < keys->n; i++) /* the room's text goes with the room */
		keys->p[i] = (struct third_party_key){ arena_keep(x->a, keys->p[i].public_key),
						       arena_keep(x->a, keys->p[i].url) };
	name = json_get_str(invite->content, S("display_name"));
	if (!str_is_none(name))
		x->display_name = arena_keep(x->a, name);
	return keys->n ? NULL : err_new(x->a, ERR_FORBIDDEN, "the third-party invite is not signed by who keeps it");
}

static bool says_valid(struct arena *a, const struct client_call *call)
{
	struct json *answer;

	return !call->error && call->status == 200 && !json_parse(a, call->answer, &json_limits_event, &answer) &&
	       json_get_bool(answer, S("valid"), false);
}

/* "A URL which can be fetched, with querystring public_key=public_key, to validate whether the key has been revoked.
 * The URL must return a JSON object containing a boolean property named 'valid'." */
static err *check_validity(struct exchange *x, const struct signing_keys *keys)
{
	struct client_call *calls = ARENA_ARRAY(x->a, struct client_call, keys->n);

	for (size_t i = 0; i < keys->n; i++) {
		const struct third_party_key *k = &keys->p[i];

		if (str_is_none(k->url))
			return NULL;
		calls[i] = (struct client_call){
			.url = str_starts(k->url, S("https://")) ? fed_query(x->a, k->url, "public_key", k->public_key)
								 : S(""),
			.nets = x->ad->opt.nets,
			.max_bytes = VALIDITY_BYTES,
		};
	}
	client_all(x->ad->opt.client, x->a, calls, keys->n,
		   MIN(x->deadline_us, clock_mono_us() + (int64_t)VALIDITY_MS * 1000));
	for (size_t i = 0; i < keys->n; i++)
		if (says_valid(x->a, &calls[i]))
			return NULL;
	return err_new(x->a, ERR_FORBIDDEN, "the identity server does not say that its key is valid");
}

/*
 * The invitation
 */
static const struct json *content_of(const struct exchange *x)
{
	struct arena *a = x->a;
	struct json *content = json_new_object(a), *third_party = json_new_object(a);

	json_set(a, content, S("membership"), json_new_str(a, S("invite")));
	if (!str_is_none(x->display_name))
		json_set(a, third_party, S("display_name"), json_new_str(a, x->display_name));
	json_set(a, third_party, S("signed"), x->signed_part);
	json_set(a, content, S("third_party_invite"), third_party);
	return content;
}

static err *queue(struct exchange *x, const struct proposal *p, bool *out_wait, struct ticket **out_ticket)
{
	AUTO_ROOM room = NULL;
	str event_id;

	TRY(room_hold(x->ad->opt.rooms, x->a, x->room_id, &room));
	if (!room)
		return err_new(x->a, ERR_NOT_FOUND, "there is no such room here");
	TRY(room_same_as_current(room, p, &event_id, out_wait));
	return str_is_none(event_id) ? room_queue_one(room, p, NULL, &event_id, out_ticket) : NULL;
}

/* A user of ours. */
static err *invite_here(struct exchange *x, struct proposal *p)
{
	struct rooms *rs = x->ad->opt.rooms;
	struct vetting vetting = { .wanted = false };
	struct ticket *ticket = NULL;
	bool queued = false;

	TRY(invite_permitted(rs, x->a, x->user_id));
	TRY(proposal_number(rs, x->a, p));
	p->vetting = rs->policies ? &vetting : NULL;
	TRY(queue(x, p, &queued, &ticket));
	if (vetting.wanted) {
		TRY(policy_vet(rs, x->a, &vetting));
		TRY(queue(x, p, &queued, &ticket));
	}
	return ticket ? store_wait(x->a, ticket) : NULL;
}

static err *exchange(struct exchange *x)
{
	struct rooms *rs = x->ad->opt.rooms;
	struct proposal p = {
		.type = S("m.room.member"), .state_key = x->user_id, .sender = x->sender, .ts = clock_ms()
	};
	struct signing_keys keys = { .n = 0 };
	str event_id;

	TRY(read_invitation(x, &keys));
	TRY(check_validity(x, &keys));
	p.content = content_of(x);
	if (id_is_of(x->user_id, rs->opt.signer.server_name))
		return invite_here(x, &p);
	return remote_invite_user(rs, x->a, x->room_id, &p, &event_id);
}

/* What both ways give: who, where, by whom, and the proof. */
static err *read_proof(struct exchange *x, const struct json *signed_part)
{
	const str mxid = json_get_str(signed_part, S("mxid"));

	x->token = json_get_str(signed_part, S("token"));
	if (!json_is(signed_part, JSON_OBJECT) || str_is_none(mxid) || str_is_none(x->token) ||
	    !json_get_object(signed_part, S("signatures")))
		return err_new(x->a, ERR_BAD_JSON, "signed must have mxid, token and signatures");
	if (!id_user_valid(x->sender) || !id_user_valid(x->user_id))
		return err_new(x->a, ERR_INVALID_PARAM, "sender and state_key must be user ids");
	if (!str_eq(mxid, x->user_id))
		return err_new(x->a, ERR_FORBIDDEN, "the third-party invite is for another user");
	x->signed_part = signed_part;
	return NULL;
}

err *admit_exchange(struct admit *ad, struct arena *a, str origin, str room_id, const struct json *event)
{
	const struct json *content = json_get_object(event, S("content")),
			  *third_party = json_get_object(content, S("third_party_invite"));
	struct exchange x = {
		.ad = ad,
		.a = a,
		.deadline_us = INT64_MAX,
		.room_id = room_id,
		.sender = json_get_str(event, S("sender")),
		.user_id = json_get_str(event, S("state_key")),
		.display_name = json_get_str(third_party, S("display_name")),
	};

	TRY(room_acl_check(ad->opt.rooms, a, room_id, origin));
	if (!str_eq(json_get_str(event, S("type")), S("m.room.member")) ||
	    !str_eq(json_get_str(content, S("membership")), S("invite")))
		return err_new(a, ERR_INVALID_PARAM, "the event is no invitation");
	if (!str_eq(json_get_str(event, S("room_id")), room_id))
		return err_new(a, ERR_INVALID_PARAM, "the event is of another room");
	TRY(read_proof(&x, json_get(third_party, S("signed"))));
	if (!id_is_of(x.user_id, origin))
		return err_new(a, ERR_FORBIDDEN, "the invited user is not of the server that asks");
	return exchange(&x);
}

/*
 * An address is a user's of ours
 */

/* "If the invited homeserver isn't in the room the invite came from, it will need to request the inviting homeserver to
 * auth the event". */
static err *ask_inviter(struct exchange *x)
{
	struct json *event = json_new_object(x->a);
	struct fed_call call = {
		.destination = id_server(x->sender),
		.method = S("PUT"),
		.path = fed_path(x->a, S("/_matrix/federation/v1/exchange_third_party_invite/"), x->room_id, STR_NONE),
		.content = event,
		.patience = FED_ANYWAY,
		.max_bytes = VALIDITY_BYTES,
	};

	json_set(x->a, event, S("type"), json_new_str(x->a, S("m.room.member")));
	json_set(x->a, event, S("room_id"), json_new_str(x->a, x->room_id));
	json_set(x->a, event, S("sender"), json_new_str(x->a, x->sender));
	json_set(x->a, event, S("state_key"), json_new_str(x->a, x->user_id));
	json_set(x->a, event, S("content"), content_of(x));
	return fed_one(x->ad->opt.fed, x->a, &call, x->deadline_us);
}

static err *is_inside(struct exchange *x, bool *out)
{
	AUTO_ROOM room = NULL;
	const struct map *locals;

	*out = false;
	TRY(room_hold(x->ad->opt.rooms, x->a, x->room_id, &room));
	if (!room)
		return NULL;
	TRY(room_locals(room, &locals));
	*out = locals->n > 0;
	return NULL;
}

static err *take_invite(struct admit *ad, struct arena *a, str user_id, const struct json *invite, int64_t deadline_us)
{
	struct exchange x = {
		.ad = ad,
		.a = a,
		.deadline_us = deadline_us,
		.room_id = json_get_str(invite, S("room_id")),
		.sender = json_get_str(invite, S("sender")),
		.user_id = user_id,
	};
	bool inside;

	if (!id_room_valid(x.room_id))
		return err_new(a, ERR_INVALID_PARAM, "there is no room id");
	TRY(read_proof(&x, json_get(invite, S("signed"))));
	TRY(is_inside(&x, &inside));
	if (clock_mono_us() >= deadline_us)
		return err_new(a, ERR_CONNECTION_FAILED, "the others took all the time there is");
	if (inside)
		return exchange(&x);
	if (id_is_of(x.sender, ad->opt.rooms->opt.signer.server_name))
		return err_new(a, ERR_NOT_FOUND, "this server is not in the room");
	return ask_inviter(&x);
}

static void take_invites(struct admit *ad, struct arena *a, str user_id, const struct json *invites)
{
	const int64_t deadline_us = clock_mono_us() + (int64_t)BOUND_MS * 1000;

	JSON_ITEMS (invites, i) {
		const struct json *invite = invites->array.items[i];
		const err *e = take_invite(ad, a, user_id, invite, deadline_us);

		if (e)
			log_info(ad->opt.log, "third-party invite not taken",
				 F("room_id", json_get_str(invite, S("room_id"))), F("user_id", user_id),
				 F("why", e->msg));
	}
}

/* Anybody may say that, and name any servers to be asked: it has places and time of its own. */
err *admit_bound(struct admit *ad, struct arena *a, str user_id, const struct json *invites)
{
	static const struct waiting_bounds bounds = { ADMIT_KEYS_PLACES, WAITING_PLACES, 2 };
	const struct account *account;
	size_t place;

	if (!id_user_valid(user_id) || !users_is_local(ad->opt.users, user_id))
		return err_new(a, ERR_INVALID_PARAM, "mxid is no user of this server");
	if (json_is(invites, JSON_ARRAY) && invites->array.n > INVITES_MOST)
		return err_new(a, ERR_INVALID_PARAM, "more than %d invites", INVITES_MOST);
	TRY(users_find(ad->opt.users, a, user_id, &account));
	if (!account || account->deactivated_at) /* who has an account is not told */
		return NULL;
	if (!waiting_begin(&ad->waiting, &bounds, user_id, &place))
		return err_new(a, ERR_BUSY, "too many invitations are being looked at already");
	take_invites(ad, a, user_id, invites);
	waiting_end(&ad->waiting, place);
	return NULL;
}
