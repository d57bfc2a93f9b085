#include "room/notify.h"

#include "matrix/id.h"
#include "matrix/push_rules.h"
#include "room/internal_notify.h"
#include "room/internal_room.h"
#include "room/thread.h"
#include "store/tx.h"
#include "user/account_data.h"

/* So many mentions are looked up one by one. */
enum { FEW_NAMED = 16 };

static err *insert_late(struct tx *tx, void *arg) { return store_notify_insert(tx, arg); }

struct evaluation {
	struct notify *n;
	struct room *room;
	struct arena *a;
	struct push_event ev;
	const struct push_rules *defaults;
	unsigned plain;
	struct map done;  /* users looked at already */
	struct map named; /* texts of m.mentions that may be users of this server */
	struct buf special;
};

static unsigned flags_of(struct push_result r)
{
	return (r.notify ? NOTIFY : 0u) | (r.highlight ? NOTIFY_HIGHLIGHT : 0u);
}

/* The name that the user has in the room: for rules that look for it. */
static err *display_name(struct evaluation *e, int64_t user, str *out)
{
	const struct event *member;

	TRY(room_current(e->room, e->room->rs->type_member, user, &member));
	*out = member ? json_get_str(member->content, S("displayname")) : STR_NONE;
	return NULL;
}

/* A user of this server for whom the event may mean something else than for the others. */
static err *look_at(struct evaluation *e, int64_t user)
{
	const struct push_rules *rules = e->defaults;
	AUTO_RULES own = NULL;
	str user_id, name = STR_NONE;
	unsigned flags;

	if (map_put_i(&e->done, user, e))
		return NULL;
	TRY(store_intern_text(e->room->rs->opt.store, e->a, user, &user_id));
	if (user_has_push_rules(e->n->users, user)) {
		TRY(user_push_rules_hold(e->n->users, e->a, user, &own));
		rules = user_push_rules_held(own);
		if (push_rules_want_name(rules))
			TRY(display_name(e, user, &name));
	}
	flags = flags_of(push_evaluate(rules, &e->ev, user_id, name));
	if (flags != e->plain)
		notify_special_add(&e->special, user, flags);
	return NULL;
}

static err *look_at_id(struct evaluation *e, str user_id)
{
	int64_t user;

	if (!id_is_of(user_id, e->room->rs->opt.signer.server_name))
		return NULL;
	TRY(store_intern_find(e->room->rs->opt.store, e->a, user_id, &user));
	return user ? look_at(e, user) : NULL;
}

/* Each text once, so that nobody has to go through the list again: it may be as long as an event. */
static void find_named(struct evaluation *e)
{
	const struct json *mentions =
		json_get_array(json_get_object(e->ev.event->content, S("m.mentions")), S("user_ids"));

	map_init(&e->named, e->a);
	JSON_ITEMS (mentions, i) {
		const str text = json_str(mentions->array.items[i]);

		if (!str_is_none(text) && id_is_of(text, e->room->rs->opt.signer.server_name))
			(void)map_put(&e->named, text, e);
	}
	e->ev.mentioned = &e->named;
}

/* Many texts cost a look at each member, however many of them are nobody's. */
static err *look_at_mentioned(struct evaluation *e, const struct map *locals)
{
	const bool many = e->named.n > FEW_NAMED && e->named.n > locals->n / FEW_NAMED;
	int64_t user;
	void *value;
	str text;

	if (!many) {
		for (size_t i = 0; map_next(&e->named, &i, &text, &value);)
			TRY(look_at_id(e, text));
		return NULL;
	}
	for (size_t i = 0; map_next_i(locals, &i, &user, &value);) {
		TRY(store_intern_text(e->room->rs->opt.store, e->a, user, &text));
		if (map_get(&e->named, text))
			TRY(look_at(e, user));
	}
	return NULL;
}

static err *look_at_special_users(struct evaluation *e)
{
	const struct event *ev = e->ev.event;
	const struct map *locals;
	const int64_t *owners;
	size_t n_owners;

	TRY(room_locals(e->room, &locals));
	user_push_rules_owners(e->n->users, e->a, locals, &owners, &n_owners);
	for (size_t i = 0; i < n_owners; i++)
		TRY(look_at(e, owners[i]));
	TRY(look_at_mentioned(e, locals));
	return str_eq(ev->type, S("m.room.member")) && event_is_state(ev) ? look_at_id(e, ev->state_key) : NULL;
}

/* "When the user updates their read receipt (either by using the API or by sending an event)": is the event's row,
 * whomever it notifies, needed for its sender? Not of one who is alone, nor of their own membership, which profile
 * changes and joins are. */
static bool marks_as_read(const struct evaluation *e)
{
	const struct event *ev = e->ev.event;

	return e->ev.joined_members > 1 && id_is_of(ev->sender, e->room->rs->opt.signer.server_name) &&
	       !(str_eq(ev->type, S("m.room.member")) && str_eq(ev->state_key, ev->sender));
}

static err *content_by_id(void *ctx, str event_id, const struct json **out)
{
	const struct event *ev;

	TRY(room_event_by_id(ctx, event_id, &ev, NULL));
	*out = ev ? ev->content : NULL;
	return NULL;
}

static err *thread_number(struct evaluation *e, int64_t *out)
{
	const struct event *root_event;
	str root;

	*out = THREAD_MAIN;
	TRY(thread_root_of(e->ev.event->content, content_by_id, e->room, &root));
	if (str_is_none(root))
		return NULL;
	TRY(room_event_by_id(e->room, root, &root_event, NULL));
	if (root_event)
		*out = root_event->nid;
	return NULL;
}

static err *evaluate(struct evaluation *e, struct arena *keep, struct rooms_prepared *out)
{
	const struct event *ev = e->ev.event;
	struct notify_row *row;

	find_named(e);
	e->defaults = push_rules_load(e->a, STR_NONE);
	e->plain = flags_of(push_evaluate(e->defaults, &e->ev, S(""), STR_NONE));
	TRY(look_at_special_users(e));
	if (!e->plain && !e->special.n && !marks_as_read(e))
		return NULL;
	row = ARENA_NEW(keep, struct notify_row);
	*row = (struct notify_row){ .room = e->room->nid,
				    .event = ev->nid,
				    .plain = e->plain,
				    .special = arena_keep(keep, buf_str(&e->special)) };
	TRY(store_intern_find(e->room->rs->opt.store, e->a, ev->sender, &row->sender));
	TRY(thread_number(e, &row->thread));
	*out = (struct rooms_prepared){ .late = insert_late, .arg = row, .stream = &row->stream };
	return NULL;
}

static err *prepare(void *ctx, struct arena *keep, struct room *room, const struct event *ev,
		    struct rooms_prepared *out)
{
	struct power_levels levels;
	struct evaluation e = { .n = ctx,
				.room = room,
				.a = room->a,
				.special = BUF_INIT(1024 * 1024),
				.ev = { ev, &levels, room->tip.joined, NULL } };
	err *error;

	TRY(room_power(room, &levels));
	map_init(&e.done, room->a);
	error = evaluate(&e, keep, out);
	buf_done(&e.special);
	return error;
}

struct notify *notify_new(struct rooms *rs, struct users *us)
{
	struct notify *n = MEM_NEW(struct notify);

	n->rooms = rs;
	n->users = us;
	unread_cache_init(&n->unread);
	rooms_on_prepare(rs, prepare, n);
	rooms_on_stored(rs, unread_note_stored, n);
	return n;
}

void notify_free(struct notify **n)
{
	if (!*n)
		return;
	unread_cache_done(&(*n)->unread);
	mem_free(*n);
	*n = NULL;
}
