/*
 * outsider.c - users of this server who are invited to a room that it is not in, or knock upon one.
 *
 * Whether this server is in the room is asked in the transaction that writes: the last piece of a join, which is of the
 * same room and therefore of the same shard, stands before or after it, and takes away what was written before. From
 * then on the room's state is what counts.
 *
 * What others may make us keep is bounded: how many wait for one user, and how many came from one server; the stripped
 * state in bytes. Beyond that an invitation is refused, and its sender told so.
 */
#include "room/outsider.h"

#include "base/clock.h"
#include "bus/bus.h"
#include "room/internal_job.h"
#include "store/outsiders.h"
#include "store/tx.h"

enum {
	WAITING_OF_USER = 1000,
	WAITING_FROM_SERVER = 20000,
	STRIPPED_EVENT_MOST = 12 << 10, /* bytes; m.room.create may be as long as it likes */
	STRIPPED_MOST = 128 << 10,
};

static err *row_read(struct rooms *rs, struct arena *a, const struct outsider_row *row, str room_id,
		     struct outsider **out)
{
	struct outsider *o = ARENA_NEW(a, struct outsider);
	struct event *ev;

	o->membership = row->membership;
	o->version = room_version_find(row->version);
	if (!o->version)
		return err_new(a, ERR_INTERNAL, "room %.*s has version %.*s, which this server does not know",
			       STR_ARG(room_id), STR_ARG(row->version));
	TRY(store_intern_text(rs->opt.store, a, row->server, &o->server));
	TRY(event_load(a, o->version, row->event_id, row->json, &ev));
	o->event = ev;
	*out = o;
	return NULL;
}

/* Of this user, or of anybody (0). */
static err *row_find(struct rooms *rs, struct arena *a, str room_id, int64_t user, struct outsider_row **out)
{
	AUTO_TX tx = NULL;
	int64_t room;

	*out = NULL;
	TRY(store_intern_find(rs->opt.store, a, room_id, &room));
	if (!room)
		return NULL;
	TRY(store_read(rs->opt.store, a, &tx));
	return user ? store_outsider(tx, room, user, out) : store_outsider_of_room(tx, room, out);
}

err *outsider_find(struct rooms *rs, struct arena *a, str room_id, int64_t user, struct outsider **out)
{
	struct outsider_row *row = NULL;

	*out = NULL;
	if (user)
		TRY(row_find(rs, a, room_id, user, &row));
	return row ? row_read(rs, a, row, room_id, out) : NULL;
}

err *outsider_room_version(struct rooms *rs, struct arena *a, str room_id, const struct room_version **out)
{
	struct outsider_row *row;

	TRY(row_find(rs, a, room_id, 0, &row));
	*out = row ? room_version_find(row->version) : NULL;
	return NULL;
}

/*
 * Writing
 */
struct change_out {
	struct rooms *rs;
	struct outsider_row row;
	struct member_row member;
	bool ends; /* there must be one to end */
	bool inside;
	int64_t stream;
};

static err *check_bounds(struct tx *tx, const struct change_out *c, const struct outsider_row *before)
{
	int64_t n;

	if (before && (before->membership == MEMBER_INVITE || before->membership == MEMBER_KNOCK))
		return NULL; /* one for another */
	TRY(store_outsiders_of_user(tx, c->row.user, &n));
	if (n >= WAITING_OF_USER)
		return err_new(tx_arena(tx), ERR_LIMIT_EXCEEDED, "the user has too many invitations already");
	if (c->row.membership != MEMBER_INVITE)
		return NULL;
	TRY(store_outsiders_from(tx, c->row.server, &n));
	if (n >= WAITING_FROM_SERVER)
		return err_new(tx_arena(tx), ERR_LIMIT_EXCEEDED, "too many invitations of your server wait here");
	return NULL;
}

static err *run_change(struct tx *tx, void *arg)
{
	struct change_out *c = arg;
	struct outsider_row *before;

	TRY(store_room_has_server(tx, c->row.room, c->rs->server, &c->inside));
	if (c->inside)
		return NULL;
	TRY(store_outsider(tx, c->row.room, c->row.user, &before));
	if (!c->ends)
		TRY(check_bounds(tx, c, before));
	else if (!before || (before->membership != MEMBER_INVITE && before->membership != MEMBER_KNOCK))
		return err_new(tx_arena(tx), ERR_NOT_FOUND, "the user is neither invited nor knocks");
	return store_outsider_save(tx, &c->row);
}

static err *late_change(struct tx *tx, void *arg)
{
	struct change_out *c = arg;

	if (c->inside)
		return NULL;
	TRY(tx_position(tx, &c->stream));
	c->member.stream = c->member.since = c->stream;
	return store_member_save(tx, &c->member);
}

static void after_change(void *arg, const err *result)
{
	struct change_out *c = arg;

	if (!result && !c->inside)
		bus_touch_user(c->rs->opt.bus, c->row.user, BUS_EVENTS, c->stream);
}

static err *write_change(struct arena *a, struct change_out *c, const struct room_version *rv, str server,
			 const struct event *ev)
{
	struct rooms *rs = c->rs;
	const struct store_text texts[] = {
		{ ev->room_id, &c->row.room },
		{ ev->state_key, &c->row.user },
		{ ev->sender, &c->member.sender },
		{ server, &c->row.server },
	};
	struct ticket *ticket;

	TRY(store_intern_all(rs->opt.store, a, texts, ARRAY_LEN(texts)));
	c->row.membership = membership_of_text(event_membership(ev));
	c->row.version = rv->id;
	c->row.created = clock_ms();
	c->row.event_id = ev->event_id;
	c->row.json = ev->bytes;
	c->member.room = c->row.room;
	c->member.user = c->row.user;
	c->member.membership = c->row.membership;
	c->member.displayname = json_get_str(ev->content, S("displayname"));
	c->member.avatar_url = json_get_str(ev->content, S("avatar_url"));
	const struct piece piece = {
		.run = run_change, .late = late_change, .after = after_change, .arg = c, .shard = c->row.room
	};
	TRY(store_write(rs->opt.store, a, &piece, &ticket));
	return store_wait(a, ticket);
}

/* What the user is shown: of what came the bearable, and the event itself at its end, as of rooms that are known. */
static str strip(struct arena *a, const struct json *list, const struct event *ev)
{
	AUTO_BUF buf = BUF_INIT(STRIPPED_MOST);
	struct json *kept = json_new_array(a), *own = json_new_object(a);
	struct jw w = jw_to(&buf);

	JSON_ITEMS (list, i) {
		const struct json *item = list->array.items[i];
		const str type = json_get_str(item, S("type")), key = json_get_str(item, S("state_key"));

		if (item->raw.n > STRIPPED_EVENT_MOST && !str_eq(type, S("m.room.create")))
			continue;
		if (!str_eq(type, S("m.room.member")) || !str_eq(key, ev->state_key))
			json_append(a, kept, item);
	}
	json_set(a, own, S("type"), json_new_str(a, ev->type));
	json_set(a, own, S("sender"), json_new_str(a, ev->sender));
	json_set(a, own, S("state_key"), json_new_str(a, ev->state_key));
	json_set(a, own, S("content"), ev->content);
	json_append(a, kept, own);
	stripped_write_pruned(&w, NULL, kept);
	return jw_good(&w) ? arena_keep(a, buf_str(&buf)) : STR_NONE;
}

err *outsider_put(struct rooms *rs, struct arena *a, const struct outsider_cmd *cmd, bool *out_inside)
{
	struct change_out c = { .rs = rs };

	c.member.stripped = strip(a, cmd->stripped, cmd->event);
	if (str_is_none(c.member.stripped)) /* too long: a room without a name can still be answered */
		c.member.stripped = strip(a, NULL, cmd->event);
	TRY(write_change(a, &c, cmd->version, cmd->server, cmd->event));
	*out_inside = c.inside;
	return NULL;
}

/* A leave that nobody else will see: after the event that it answers. */
static err *make_leave(struct rooms *rs, struct arena *a, const struct outsider *o, struct event **out)
{
	struct json *content = json_new_object(a);
	struct event_fields f = {
		.room_id = o->event->room_id,
		.sender = o->event->state_key,
		.type = S("m.room.member"),
		.state_key = o->event->state_key,
		.content = content,
		.origin_server_ts = clock_ms(),
		.depth = event_depth_after(o->event->depth),
		.prev_events = &o->event->event_id,
		.n_prev_events = 1,
		.auth_events = &o->event->event_id,
		.n_auth_events = 1,
	};
	str hash;

	json_set(a, content, S("membership"), json_new_str(a, S("leave")));
	if (o->version->event_format == EVENT_FORMAT_NAMED) {
		TRY(event_hash_text(a, o->version, o->event, &hash));
		f.event_id = event_name(rs, a);
		f.prev_hashes = f.auth_hashes = &hash;
	}
	return event_build(a, o->version, &f, &rs->opt.signer, out);
}

err *outsider_end(struct rooms *rs, struct arena *a, str room_id, str user_id, const struct event *ev)
{
	struct change_out c = { .rs = rs, .ends = true };
	struct outsider *o = NULL;
	struct event *made;
	int64_t user;

	TRY(store_intern_find(rs->opt.store, a, user_id, &user));
	if (user)
		TRY(outsider_find(rs, a, room_id, user, &o));
	if (!o)
		return err_new(a, ERR_NOT_FOUND, "the user is neither invited nor knocks");
	if (!ev) {
		TRY(make_leave(rs, a, o, &made));
		ev = made;
	}
	TRY(write_change(a, &c, o->version, o->server, ev));
	return c.inside ? err_new(a, ERR_NOT_FOUND, "the room is known by its state now") : NULL;
}

/* Nobody can ask the room's rules: who invited may take it back, and who was asked by a knock may say no, each by its
 * server. "Who" is the server, for a moderator may undo what another did. */
static bool may_withdraw(const struct outsider *o, str origin, const struct event *ev)
{
	if (!id_user_valid(ev->sender) || str_eq(ev->sender, ev->state_key))
		return false;
	if (o->membership == MEMBER_INVITE)
		return id_is_of(ev->sender, id_server(o->event->sender));
	return o->membership == MEMBER_KNOCK && (str_eq(origin, o->server) || id_is_of(ev->sender, o->server));
}

err *outsider_withdraw(struct rooms *rs, struct arena *a, str origin, const struct event *ev, bool *out)
{
	const enum membership to = membership_of_text(event_membership(ev));
	struct outsider *o = NULL;
	int64_t user = 0;
	err *e;

	*out = false;
	if (!str_eq(ev->type, S("m.room.member")) || !event_is_state(ev) || (to != MEMBER_LEAVE && to != MEMBER_BAN))
		return NULL;
	TRY(store_intern_find(rs->opt.store, a, ev->state_key, &user));
	if (user)
		TRY(outsider_find(rs, a, ev->room_id, user, &o));
	if (!o || !may_withdraw(o, origin, ev))
		return NULL;
	e = outsider_end(rs, a, ev->room_id, ev->state_key, ev);
	if (e && e->code == ERR_NOT_FOUND) /* answered meanwhile */
		return NULL;
	*out = e == NULL;
	return e;
}
