/* entry.c - one room as it stands in a hierarchy: who may see it, its summary, its children in their order. */
#include "federation/query.h"
#include "room/client_event.h"
#include "room/internal_room.h"
#include "room/server_acl.h"
#include "room/space/space.h"

#include <stdlib.h>

enum { ORDER_MOST = 50, CONTENT_MOST = 2048, VIA_MOST = 20, ALLOWED_MOST = 50, INVITED_MOST = 1000 };

/* A room of this server, read in the caller's snapshot. */
struct look {
	struct rooms *rs;
	struct arena *a;
	struct tx *tx;
	const struct space_viewer *viewer;
	int64_t room;
	str room_id;
	const struct room_version *rv;
	struct summary_row summary;
	struct json *rules; /* content of m.room.join_rules; NULL: none */
};

static err *read_rules(struct look *l)
{
	struct event_row *row = NULL;
	int64_t nid;

	TRY(store_state_get(l->tx, l->room, l->rs->summary_types[SUMMARY_JOIN_RULE], l->rs->empty, &nid));
	if (nid)
		TRY(store_event_by_nid(l->tx, nid, &row));
	return row ? event_content_of(l->a, row, &l->rules) : NULL;
}

/*
 * Who may see it: "any rooms where at least one of the following conditions is true"
 */
static err *joined_to(struct look *l, str room_id, bool *out)
{
	struct store *st = l->rs->opt.store;
	struct member_row *m = NULL;
	int64_t room, server;

	*out = false;
	TRY(store_intern_find(st, l->a, room_id, &room));
	if (!room)
		return NULL;
	if (l->viewer->user) {
		TRY(store_member(l->tx, room, l->viewer->user, &m));
		*out = m && m->membership == MEMBER_JOIN;
		return NULL;
	}
	TRY(store_intern_find(st, l->a, l->viewer->server, &server));
	return server ? store_room_has_server(l->tx, room, server, out) : NULL;
}

static err *any_joined(struct look *l, const struct json *rooms, bool *out)
{
	*out = false;
	JSON_ITEMS (rooms, i) {
		if (i >= ALLOWED_MOST || *out)
			break;
		if (id_room_valid(json_str(rooms->array.items[i])))
			TRY(joined_to(l, rooms->array.items[i]->s, out));
	}
	return NULL;
}

/* "The requesting user is currently a member", or "the user's room membership is invite". Of a server: one of its
 * users. */
static err *is_member(struct look *l, bool *out)
{
	struct member_row *invited;
	size_t n;

	TRY(joined_to(l, l->room_id, out));
	if (*out)
		return NULL;
	if (l->viewer->user) {
		struct member_row *m;

		TRY(store_member(l->tx, l->room, l->viewer->user, &m));
		*out = m && m->membership == MEMBER_INVITE;
		return NULL;
	}
	TRY(store_members(l->tx, l->room, MEMBER_MASK(MEMBER_INVITE), INVITED_MOST, &invited, &n));
	for (size_t i = 0; i < n && !*out; i++) {
		str user_id;

		TRY(store_intern_text(l->rs->opt.store, l->a, invited[i].user, &user_id));
		*out = id_is_of(user_id, l->viewer->server);
	}
	return NULL;
}

/* The rooms that a restricted room's rule names; NULL: it is none. */
static const struct json *allowed_rooms(struct arena *a, const struct room_version *rv, const struct json *rules)
{
	const str rule = json_get_str(rules, S("join_rule"));
	const struct json *allow = json_get_array(rules, S("allow"));
	struct json *rooms;

	if (!(rv->restricted && str_eq(rule, S("restricted"))) &&
	    !(rv->knock_restricted && str_eq(rule, S("knock_restricted"))))
		return NULL;
	rooms = json_new_array(a);
	JSON_ITEMS (allow, i) {
		const struct json *condition = allow->array.items[i], *id = json_get(condition, S("room_id"));

		if (i < ALLOWED_MOST && str_eq(json_get_str(condition, S("type")), S("m.room_membership")) &&
		    id_room_valid(json_str(id)))
			json_append(a, rooms, id);
	}
	return rooms;
}

/* A server that is shut out of a room is not told of it either. */
static err *is_for_server(struct look *l, bool *out)
{
	struct room_row *row;

	TRY(room_acl_allows(l->rs, l->a, l->room_id, l->viewer->server, out));
	if (!*out)
		return NULL;
	TRY(store_room_by_nid(l->tx, l->room, &row));
	*out = row && !row->local_only;
	return NULL;
}

static err *is_shown(struct look *l, bool *out)
{
	const str rule = json_get_str(l->rules, S("join_rule"));

	*out = true;
	if (!l->viewer->user)
		TRY(is_for_server(l, out));
	if (!*out)
		return NULL;
	*out = str_eq(rule, S("public")) || (l->rv->knock && str_eq(rule, S("knock"))) ||
	       (l->rv->knock_restricted && str_eq(rule, S("knock_restricted"))) ||
	       history_visibility_parse(l->summary.history_visibility) == HISTORY_WORLD_READABLE;
	if (!*out)
		TRY(is_member(l, out));
	return *out ? NULL : any_joined(l, allowed_rooms(l->a, l->rv, l->rules), out);
}

/*
 * Its summary
 */
static void set_text(struct arena *a, struct json *room, const char *key, str text)
{
	if (!str_is_none(text))
		json_set(a, room, str_c(key), json_new_str(a, text));
}

static err *summarise(struct look *l, struct json **out)
{
	const struct json *allowed = allowed_rooms(l->a, l->rv, l->rules);
	struct json *room = json_new_object(l->a);
	struct room_head_row *head;

	TRY(store_head_load(l->tx, l->room, &head));
	set_text(l->a, room, "room_id", l->room_id);
	set_text(l->a, room, "name", l->summary.name);
	set_text(l->a, room, "topic", l->summary.topic);
	set_text(l->a, room, "avatar_url", l->summary.avatar_url);
	set_text(l->a, room, "canonical_alias", l->summary.canonical_alias);
	set_text(l->a, room, "join_rule", json_get_str(l->rules, S("join_rule")));
	set_text(l->a, room, "room_type", l->summary.room_type);
	set_text(l->a, room, "encryption", l->summary.encryption);
	set_text(l->a, room, "room_version", l->rv->id);
	json_set(l->a, room, S("num_joined_members"), json_new_int(l->a, head ? head->joined : 0));
	json_set(
		l->a, room, S("world_readable"),
		json_new_bool(l->a, history_visibility_parse(l->summary.history_visibility) == HISTORY_WORLD_READABLE));
	json_set(l->a, room, S("guest_can_join"), json_new_bool(l->a, str_eq(l->summary.guest_access, S("can_join"))));
	if (allowed)
		json_set(l->a, room, S("allowed_room_ids"), allowed);
	*out = room;
	return NULL;
}

/*
 * Its children
 */
struct child {
	str order, room_id; /* order STR_NONE: none that is good */
	int64_t ts;
	struct json *stripped;
};

/* "Ordering of children within a space": by `order`, those without one last, then by time, then by id. */
static int in_order(const void *x, const void *y)
{
	const struct child *p = x, *q = y;

	if (str_is_none(p->order) != str_is_none(q->order))
		return str_is_none(p->order) ? 1 : -1;
	if (!str_is_none(p->order) && str_cmp(p->order, q->order))
		return str_cmp(p->order, q->order);
	if (p->ts != q->ts)
		return p->ts < q->ts ? -1 : 1;
	return str_cmp(p->room_id, q->room_id);
}

/* "Must consist of ASCII characters within the range \x20 and \x7E inclusive. Must not exceed 50 characters." Others
 * "are to be treated as though the order key was not provided". */
static str good_order(const struct json *content)
{
	const str order = json_get_str(content, S("order"));

	if (order.n > ORDER_MOST)
		return STR_NONE;
	for (size_t i = 0; i < order.n; i++)
		if (order.p[i] < 0x20 || order.p[i] > 0x7e)
			return STR_NONE;
	return order;
}

/* Without servers to ask a child is none. */
static bool has_via(const struct json *content)
{
	const struct json *via = json_get_array(content, S("via"));

	JSON_ITEMS (via, i)
		if (via->array.items[i]->kind != JSON_STR)
			return false;
	return via && via->array.n > 0;
}

/* A large content is shown without what nobody asks for here. */
static const struct json *within_bounds(struct arena *a, const struct json *content)
{
	static const char *const kept[] = { "order", "suggested" };
	const struct json *via = json_get_array(content, S("via"));
	struct json *small, *servers;

	if (content->raw.p && content->raw.n <= CONTENT_MOST)
		return content;
	small = json_new_object(a);
	servers = json_new_array(a);
	JSON_ITEMS (via, i)
		if (i < VIA_MOST && via->array.items[i]->s.n <= ID_MAX)
			json_append(a, servers, via->array.items[i]);
	json_set(a, small, S("via"), servers);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		const struct json *v = json_get(content, str_c(kept[i]));

		if (json_is(v, JSON_BOOL) || (json_is(v, JSON_STR) && v->s.n <= ORDER_MOST))
			json_set(a, small, str_c(kept[i]), v);
	}
	return small;
}

/* False: it is no child, or not one that is asked for. */
static bool make_child(struct arena *a, str room_id, str sender, const struct json *content, int64_t ts,
		       bool suggested_only, struct child *out)
{
	struct json *stripped;

	if (!id_room_valid(room_id) || !has_via(content) ||
	    (suggested_only && !json_get_bool(content, S("suggested"), false)))
		return false;
	stripped = json_new_object(a);
	json_set(a, stripped, S("type"), json_new_str(a, S("m.space.child")));
	json_set(a, stripped, S("state_key"), json_new_str(a, room_id));
	json_set(a, stripped, S("content"), within_bounds(a, content));
	json_set(a, stripped, S("sender"), json_new_str(a, sender));
	json_set(a, stripped, S("origin_server_ts"), json_new_int(a, ts));
	*out = (struct child){ good_order(content), room_id, ts, stripped };
	return true;
}

static void put_in_order(struct arena *a, struct child *list, size_t n, struct space_entry *out)
{
	if (n)
		qsort(list, n, sizeof(*list), in_order);
	out->n_children = MIN(n, (size_t)SPACE_CHILDREN_MOST);
	out->children = ARENA_ARRAY(a, const struct json *, out->n_children);
	for (size_t i = 0; i < out->n_children; i++)
		out->children[i] = list[i].stripped;
}

static err *read_children(struct look *l, bool suggested_only, struct space_entry *out)
{
	struct store *st = l->rs->opt.store;
	struct state_row *state;
	struct event_row **rows;
	struct child *list;
	size_t n, n_rows, found = 0;
	int64_t type, *nids;

	TRY(store_intern_find(st, l->a, S("m.space.child"), &type));
	if (!type)
		return NULL;
	TRY(store_state_of_type(l->tx, l->room, type, &state, &n));
	nids = ARENA_ARRAY(l->a, int64_t, n);
	for (size_t i = 0; i < n; i++)
		nids[i] = state[i].event;
	if (!n)
		return NULL;
	TRY(store_events_by_nids(l->tx, nids, n, &rows, &n_rows));
	list = ARENA_ARRAY(l->a, struct child, n_rows);
	for (size_t i = 0; i < n_rows; i++) {
		struct json *content;
		str room_id, sender;

		TRY(event_content_of(l->a, rows[i], &content));
		TRY(store_intern_text(st, l->a, rows[i]->state_key, &room_id));
		TRY(store_intern_text(st, l->a, rows[i]->sender, &sender));
		if (make_child(l->a, room_id, sender, content, rows[i]->origin_server_ts, suggested_only, &list[found]))
			found++;
	}
	put_in_order(l->a, list, found, out);
	return NULL;
}

static bool is_space(const struct json *room) { return str_eq(json_get_str(room, S("room_type")), S("m.space")); }

err *space_entry_local(struct rooms *rs, struct arena *a, struct tx *tx, str room_id, const struct space_viewer *viewer,
		       bool suggested_only, bool with_children, struct space_entry *out)
{
	struct look l = { .rs = rs, .a = a, .tx = tx, .viewer = viewer, .room_id = room_id };
	bool shown;

	*out = (struct space_entry){ 0 };
	TRY(rooms_find(rs, a, room_id, &l.room, &l.rv));
	if (l.room)
		TRY(store_room_has_server(tx, l.room, rs->server, &out->is_here));
	if (!out->is_here)
		return NULL;
	TRY(store_summary_load(tx, l.room, &l.summary));
	TRY(read_rules(&l));
	TRY(is_shown(&l, &shown));
	if (!shown)
		return NULL;
	TRY(summarise(&l, &out->room));
	return with_children && is_space(out->room) ? read_children(&l, suggested_only, out) : NULL;
}

/*
 * Other servers' rooms
 */

/* "The requesting server is responsible for filtering the results further down for the user's request." */
static err *is_remote_shown(struct look *l, const struct json *room, bool *out)
{
	const str rule = json_get_str(room, S("join_rule"));
	struct member_row *m;
	int64_t known;

	/* "When not present, the room is assumed to be public." (room_summary's join_rule) */
	*out = str_is_none(rule) || str_eq(rule, S("public")) || str_eq(rule, S("knock")) ||
	       str_eq(rule, S("knock_restricted")) || json_get_bool(room, S("world_readable"), false);
	if (!*out)
		TRY(any_joined(l, json_get_array(room, S("allowed_room_ids")), out));
	if (*out)
		return NULL;
	TRY(store_intern_find(l->rs->opt.store, l->a, l->room_id, &known));
	if (!known)
		return NULL;
	TRY(store_member(l->tx, known, l->viewer->user, &m));
	*out = m && (m->membership == MEMBER_INVITE || m->membership == MEMBER_JOIN);
	return NULL;
}

err *space_entry_remote(struct rooms *rs, struct arena *a, struct tx *tx, const struct json *given,
			const struct space_viewer *viewer, bool suggested_only, struct space_entry *out)
{
	const struct json *children = json_get_array(given, S("children_state"));
	struct look l = { .rs = rs, .a = a, .tx = tx, .viewer = viewer };
	struct child *list;
	size_t n = 0;
	bool shown;

	*out = (struct space_entry){ .room = query_room_summary(a, given) };
	if (!out->room)
		return NULL;
	l.room_id = json_get_str(out->room, S("room_id"));
	TRY(is_remote_shown(&l, out->room, &shown));
	if (!shown) {
		out->room = NULL;
		return NULL;
	}
	if (!children || !is_space(out->room))
		return NULL;
	list = ARENA_ARRAY(a, struct child, children->array.n);
	JSON_ITEMS (children, i) {
		const struct json *e = children->array.items[i];
		const str sender = json_get_str(e, S("sender"));
		int64_t ts;

		if (!str_eq(json_get_str(e, S("type")), S("m.space.child")) || !id_user_valid(sender) ||
		    !json_get_int(e, S("origin_server_ts"), &ts))
			continue;
		if (make_child(a, json_get_str(e, S("state_key")), sender, json_get_object(e, S("content")), ts,
			       suggested_only, &list[n]))
			n++;
	}
	put_in_order(a, list, n, out);
	return NULL;
}

void space_entry_write(struct jw *w, const char *key, const struct space_entry *e)
{
	jw_object(w, key);
	JSON_EACH (e->room, m) {
		jw_key(w, m->key);
		jw_json(w, NULL, m->value);
	}
	jw_array(w, "children_state");
	for (size_t i = 0; i < e->n_children; i++)
		jw_json(w, NULL, e->children[i]);
	jw_end(w);
	jw_end(w);
}

/*
 * For other servers
 */
enum { CHILDREN_TOLD = 50 };

err *space_write_for_server(struct rooms *rs, struct arena *a, str room_id, str origin, bool suggested_only,
			    struct jw *w)
{
	const struct space_viewer viewer = { .server = origin };
	VEC(str) inaccessible = { 0 };
	struct space_entry root, child;
	AUTO_TX tx = NULL;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(space_entry_local(rs, a, tx, room_id, &viewer, suggested_only, true, &root));
	if (!root.room)
		return err_new(a, ERR_NOT_FOUND, "Room does not exist.");
	space_entry_write(w, "room", &root);
	jw_array(w, "children");
	for (size_t i = 0; i < MIN(root.n_children, (size_t)CHILDREN_TOLD); i++) {
		const str id = json_get_str(root.children[i], S("state_key"));

		TRY(space_entry_local(rs, a, tx, id, &viewer, suggested_only, false, &child));
		if (child.room)
			jw_json(w, NULL, child.room);
		else if (child.is_here)
			vec_push(a, &inaccessible, id);
	}
	jw_end(w);
	jw_array(w, "inaccessible_children");
	for (size_t i = 0; i < inaccessible.n; i++)
		jw_str(w, NULL, inaccessible.p[i]);
	jw_end(w);
	return NULL;
}
