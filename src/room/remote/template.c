/*
 * template.c - the first half of joining, knocking and leaving through another server: the event.
 *
 * "Before signing the returned template [...] the sending server MUST verify that": it is what was asked for. We go
 * further and build the event anew: of the template we take what only a server in the room knows (what the event stands
 * on, and who vouches for it), the rest is ours, so that nobody gets our signature under a content that he chose.
 */
#include "room/admit/internal_admit.h"
#include "room/remote/internal_remote.h"

#include "base/clock.h"

enum { TEMPLATE_MOST = 256 << 10 }; /* an event, with white space and escapes */

static err *bad(struct arena *a, str server, const char *what)
{
	return err_new(a, ERR_CONNECTION_FAILED, "%.*s gave an event to sign that %s", STR_ARG(server), what);
}

static str make_path(struct arena *a, const struct making *m)
{
	str path =
		fed_path(a, arena_printf(a, "/_matrix/federation/v1/%s/", m->what), m->room_id, m->user_id, STR_NONE);

	if (m->to == MEMBER_LEAVE)
		return path;
	/* "ver: The room versions the sending server has support for." */
	for (size_t i = 0; room_version_at(i); i++)
		path = fed_query(a, path, "ver", room_version_at(i)->id);
	return path;
}

static err *read_version(struct arena *a, const struct json *answer, const struct making *m,
			 const struct room_version **out)
{
	str version = json_get_str(answer, S("room_version"));

	/* "If not provided, the room version is assumed to be either "1" or "2"." */
	if (str_is_none(version))
		version = S("1");
	*out = room_version_find(version);
	if (!*out || !id_room_fits(m->room_id, *out))
		return admit_incompatible(a, str_head(version, MIN(version.n, (size_t)64)));
	if (m->expected && m->expected != *out && !(str_is_none(json_get_str(answer, S("room_version")))))
		return err_new(a, ERR_CONNECTION_FAILED, "the room is of another version than %.*s",
			       STR_ARG((*out)->id));
	if (m->expected)
		*out = m->expected;
	return NULL;
}

/* "[...] MUST verify that: the room_id is equal to the roomId path parameter; both the sender and state_key are equal
 * to the userId path parameter; the type of the event is m.room.member; the membership field inside content is join."
 */
static err *check(struct arena *a, const struct making *m, str server, const struct json *t)
{
	const struct json *content = json_get_object(t, S("content"));

	if (!str_eq(json_get_str(t, S("room_id")), m->room_id))
		return bad(a, server, "is of another room");
	if (!str_eq(json_get_str(t, S("sender")), m->user_id) || !str_eq(json_get_str(t, S("state_key")), m->user_id))
		return bad(a, server, "is of another user");
	if (!str_eq(json_get_str(t, S("type")), S("m.room.member")))
		return bad(a, server, "is no m.room.member");
	if (membership_of_text(json_get_str(content, S("membership"))) != m->to)
		return bad(a, server, "says another membership");
	return NULL;
}

/* What the event stands on: ids, in versions 1 and 2 with the events' hashes, of which nobody makes anything: Synapse
 * leaves out those that it does not have at hand. */
static err *read_refs(struct arena *a, const struct room_version *rv, str server, const struct json *list, size_t most,
		      const str **out_ids, const str **out_hashes, size_t *out_n)
{
	const bool named = rv->event_format == EVENT_FORMAT_NAMED;
	const size_t n = list ? list->array.n : 0;
	str *ids = ARENA_ARRAY(a, str, n), *hashes = ARENA_ARRAY(a, str, n);

	if (!list || n > most)
		return bad(a, server, "stands on nothing, or on too much");
	for (size_t i = 0; i < n; i++) {
		const struct json *ref = list->array.items[i];
		const struct json *const *pair = NULL;

		if (named && ref->kind == JSON_ARRAY && ref->array.n == 2)
			pair = (const struct json *const *)ref->array.items;
		ids[i] = json_str(pair ? pair[0] : ref);
		hashes[i] = pair ? json_get_str(pair[1], S("sha256")) : STR_NONE;
		if (str_is_none(ids[i]) || !id_event_fits(ids[i], rv) ||
		    named != (pair && pair[1]->kind == JSON_OBJECT))
			return bad(a, server, "names what are no events");
	}
	*out_ids = ids;
	*out_hashes = named ? hashes : NULL;
	*out_n = n;
	return NULL;
}

/* Restricted rooms: "An arbitrary user ID belonging to the resident server". */
static err *read_voucher(struct arena *a, const struct making *m, str server, const struct json *t, str *out)
{
	*out = STR_NONE;
	if (m->to != MEMBER_JOIN)
		return NULL;
	*out = json_get_str(json_get_object(t, S("content")), S("join_authorised_via_users_server"));
	if (!str_is_none(*out) && (!id_user_valid(*out) || !id_is_of(*out, server)))
		return bad(a, server, "is vouched for by nobody of its own");
	return NULL;
}

static err *build(struct remote *r, struct arena *a, const struct making *m, str server, const struct json *t,
		  struct made *out)
{
	struct event_fields f = {
		.event_id = out->rv->event_format == EVENT_FORMAT_NAMED ? event_name(r->rs, a) : STR_NONE,
		.room_id = m->room_id,
		.sender = m->user_id,
		.type = S("m.room.member"),
		.state_key = m->user_id,
		.redacts = STR_NONE,
		.origin_server_ts = clock_ms(),
	};
	struct json *content = json_copy(a, m->content);

	json_del(content, S("join_authorised_via_users_server"));
	if (!str_is_none(out->voucher))
		json_set(a, content, S("join_authorised_via_users_server"), json_new_str(a, out->voucher));
	f.content = content;
	TRY(read_refs(a, out->rv, server, json_get_array(t, S("prev_events")), EVENT_MAX_PREV, &f.prev_events,
		      &f.prev_hashes, &f.n_prev_events));
	TRY(read_refs(a, out->rv, server, json_get_array(t, S("auth_events")), EVENT_MAX_AUTH, &f.auth_events,
		      &f.auth_hashes, &f.n_auth_events));
	if (f.n_prev_events == 0)
		return bad(a, server, "stands on nothing");
	if (!json_get_int(t, S("depth"), &f.depth) || f.depth < 0 || f.depth > EVENT_MAX_DEPTH)
		f.depth = EVENT_MAX_DEPTH;
	return event_build(a, out->rv, &f, &r->rs->opt.signer, &out->event);
}

err *remote_make(struct remote *r, struct arena *a, const struct making *m, str server, struct made *out)
{
	struct fed_call call = {
		.destination = server, .path = make_path(a, m), .patience = m->patience, .max_bytes = TEMPLATE_MOST
	};
	const struct json *t;

	TRY(fed_one(r->opt.fed, a, &call,
		    m->deadline_us ? m->deadline_us : clock_mono_us() + INT64_C(1000) * REMOTE_MAKE_MS));
	t = json_get_object(call.answer, S("event"));
	if (!t)
		return bad(a, server, "is none");
	TRY(read_version(a, call.answer, m, &out->rv));
	TRY(check(a, m, server, t));
	TRY(read_voucher(a, m, server, t, &out->voucher));
	return build(r, a, m, server, t, out);
}

str remote_send_path(struct arena *a, str begin, const struct event *ev)
{
	return fed_path(a, begin, ev->room_id, ev->event_id, STR_NONE);
}
