/*
 * creation.c - a room out of its first events, in one commit.
 *
 * A room that nobody knows yet is entered, the events are added to one draft, each authorised by those before it, and
 * queued as one piece together with the alias and the entry in the public list. Either all of it is there afterwards or
 * nothing is. (Of an upgraded room with very many bans, the last of them come in further pieces, so that no commit is
 * held up by them.)
 *
 * In room version 12 the room's id is made from the create event, so that this one is built before there is a room.
 */
#include "room/internal_create.h"

#include <assert.h>

#include "base/rand.h"
#include "store/tx.h"

enum { COMMIT_MOST = 400 };

void creation_wish(struct creation *c, enum step step, str type, str state_key, const struct json *content)
{
	const struct proposal p = {
		.type = type,
		.state_key = state_key,
		.sender = c->by->user_id,
		.content = content,
		.ts = c->now,
	};

	vec_push(c->a, &c->events, (struct first){ step, p });
}

void creation_wish_text(struct creation *c, str type, str key, str value)
{
	struct json *content = json_new_object(c->a);

	json_set(c->a, content, key, json_new_str(c->a, value));
	creation_wish(c, STEP_STATE, type, S(""), content);
}

err *creation_wish_creator(struct creation *c)
{
	const struct json *content;

	TRY(member_content(c->rs, c->a, c->by->user_id, MEMBER_JOIN, STR_NONE, NULL, &content));
	creation_wish(c, STEP_STATE, S("m.room.member"), c->by->user_id, content);
	return NULL;
}

str creation_room_id(const struct rooms *rs, struct arena *a)
{
	return arena_printf(a, "!%.*s:%.*s", STR_ARG(rand_alpha(a, 18)), STR_ARG(rs->opt.signer.server_name));
}

/* wanted: STR_NONE, or the id that the room is to have. */
static err *build_create(struct creation *c, str wanted, struct event **out)
{
	const struct proposal *p = &c->events.p[0].p;
	const struct event_fields f = {
		.event_id = c->rv->event_format == EVENT_FORMAT_NAMED ? event_name(c->rs, c->a) : STR_NONE,
		.room_id = c->rv->room_id_is_create_hash ? STR_NONE
			   : str_is_none(wanted)         ? creation_room_id(c->rs, c->a)
							 : wanted,
		.sender = p->sender,
		.type = p->type,
		.state_key = p->state_key,
		.content = p->content,
		.redacts = STR_NONE,
		.origin_server_ts = p->ts,
		.depth = event_depth_after(0),
	};

	return event_build(c->a, c->rv, &f, &c->rs->opt.signer, out);
}

static err *save_names(struct tx *tx, void *arg)
{
	const struct creation *c = arg;
	bool taken;

	if (str_is_none(c->alias))
		return NULL;
	TRY(store_alias_insert(tx, c->alias, c->row.room, c->by->user, c->now, &taken));
	return taken ? err_new(tx_arena(tx), ERR_ROOM_IN_USE, "Room alias already taken") : NULL;
}

/* The rules refuse one of the events that the request asks for. */
static err *explain(struct creation *c, const struct first *f, err *e)
{
	if (e->code != ERR_FORBIDDEN || f->step == STEP_INVITE)
		return e;
	return err_new(c->a, ERR_INVALID_ROOM_STATE, "%.*s cannot be set: %.*s", STR_ARG(f->p.type), STR_ARG(e->msg));
}

static err *fill(struct creation *c, struct draft *d, const struct event *create, size_t from)
{
	for (size_t i = from; i < c->events.n && i < from + COMMIT_MOST; i++) {
		const struct first *f = &c->events.p[i];
		const struct event *ev;
		err *e;

		if (f->step == STEP_CREATE)
			e = draft_add_built(d, &f->p, create);
		else
			e = draft_add(d, &f->p, &ev);
		if (e)
			return explain(c, f, e);
	}
	return NULL;
}

static err *queue_room(struct creation *c, struct room *room, const struct event *create, struct ticket **out_ticket)
{
	AUTO_DRAFT d = NULL;

	draft_begin(room, &d);
	TRY(fill(c, d, create, 0));
	d->job->new_room = &c->row; /* creation_make waits for the ticket: c lives as long as the job runs */
	d->job->extra = save_names;
	d->job->extra_arg = c;
	return draft_queue(&d, out_ticket);
}

static err *make_room(struct creation *c, struct room *entry, const struct event *create, struct ticket **out_ticket)
{
	struct room *room;
	err *e = room_hold(c->rs, c->a, c->room_id, &room);

	rooms_unref(c->rs, entry);
	TRY(e);
	assert(room == entry);
	e = queue_room(c, room, create, out_ticket);
	if (e)
		room->gone = true;
	room_release(&room);
	return e;
}

/* What one commit is not to hold. */
static err *queue_rest(struct creation *c, size_t from, struct ticket **out_ticket)
{
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;

	TRY(room_hold(c->rs, c->a, c->room_id, &room));
	if (!room)
		return err_new(c->a, ERR_INTERNAL, "the room is gone");
	draft_begin(room, &d);
	TRY(fill(c, d, NULL, from));
	return draft_queue(&d, out_ticket);
}

/*
 * A room id nobody has. Where it is the create event's hash, two equal requests of a user within a millisecond would
 * make the same room: then the event is a millisecond younger.
 */
static err *enter_room(struct creation *c, struct event **out_create, struct room **out)
{
	struct store *st = c->rs->opt.store;
	const str wanted = c->room_id;
	int64_t known;

	for (*out = NULL; !*out; c->events.p[0].p.ts++) {
		TRY(build_create(c, wanted, out_create));
		c->room_id = (*out_create)->room_id;
		TRY(store_intern_find(st, c->a, c->room_id, &known));
		if (known && !str_is_none(wanted))
			return err_new(c->a, ERR_INTERNAL, "there is a room %.*s already", STR_ARG(wanted));
		if (known)
			continue;
		TRY(store_next_id(st, c->a, SEQ_INTERN, 1, &c->row.room));
		*out = rooms_enter_new(c->rs, c->row.room, c->room_id, c->rv, c->by->user);
	}
	return NULL;
}

/* Numbers for all of it: what is new becomes durable here, before the room's lock. */
static err *number_all(struct creation *c)
{
	struct store *st = c->rs->opt.store;
	int64_t first;

	TRY(store_next_id(st, c->a, SEQ_EVENT, c->events.n, &first));
	for (size_t i = 0; i < c->events.n; i++) {
		struct proposal *p = &c->events.p[i].p;

		if (p->type.n > ID_MAX || p->state_key.n > ID_MAX)
			return err_new(c->a, ERR_TOO_LARGE, "the type and the state key may have 255 bytes each");
		TRY(proposal_texts(c->rs, c->a, p));
		p->nid = first + (int64_t)i;
	}
	return NULL;
}

/* An ended job is freed by the room's next holder. This one is large, and nobody may ever come: so we are that. */
static void free_first_job(struct creation *c)
{
	AUTO_ROOM room = NULL;
	err *e = room_hold(c->rs, c->a, c->room_id, &room);

	(void)e; /* the room is there all the same */
}

/* "m.federate: Whether users on other servers can join this room." */
static bool is_local_only(const struct event *create) { return !json_get_bool(create->content, S("m.federate"), true); }

err *creation_make(struct creation *c)
{
	struct ticket *ticket;
	struct event *create;
	struct room *entry;

	TRY(number_all(c));
	TRY(enter_room(c, &create, &entry));
	c->row.room_id = c->room_id;
	c->row.version = c->rv->id;
	c->row.creator = c->by->user;
	c->row.created = c->now;
	c->row.published = c->published;
	c->row.local_only = is_local_only(create);
	TRY(make_room(c, entry, create, &ticket));
	TRY(store_wait(c->a, ticket));
	for (size_t i = COMMIT_MOST; i < c->events.n; i += COMMIT_MOST) {
		TRY(queue_rest(c, i, &ticket));
		TRY(store_wait(c->a, ticket));
	}
	free_first_job(c);
	return NULL;
}
