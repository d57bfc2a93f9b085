/*
 * flat.c - the flat copies of the current state: what changed, and its rows.
 *
 * A state event in an unforked room changes exactly its own key. Anything else (forks meeting, an event from elsewhere)
 * is the difference of two trees, which costs what differs. The rows are written in the transaction of the event that
 * caused them, under its stream position.
 */
#include "room/internal_job.h"

#include <assert.h>

/* Where a summary's value stands in its event's content. */
static const str value_key[SUMMARY_COLUMNS] = {
	[SUMMARY_NAME] = STR("name"),
	[SUMMARY_TOPIC] = STR("topic"),
	[SUMMARY_AVATAR_URL] = STR("url"),
	[SUMMARY_CANONICAL_ALIAS] = STR("alias"),
	[SUMMARY_JOIN_RULE] = STR("join_rule"),
	[SUMMARY_HISTORY_VISIBILITY] = STR("history_visibility"),
	[SUMMARY_GUEST_ACCESS] = STR("guest_access"),
	[SUMMARY_ROOM_TYPE] = STR("type"),
	[SUMMARY_ENCRYPTION] = STR("algorithm"),
};

/* What a room says of itself is shown far from it, to people who expect the form: what has another one is not shown. */
static str shown(enum summary_column c, str value)
{
	if (c == SUMMARY_CANONICAL_ALIAS && !id_alias_valid(value))
		return STR_NONE;
	if (c == SUMMARY_AVATAR_URL && !str_starts(value, S("mxc://")))
		return STR_NONE;
	return value;
}

static void describe_summary(const struct rooms *rs, const struct event *ev, struct change *ch)
{
	if (ch->key != rs->empty)
		return;
	for (enum summary_column c = SUMMARY_NONE + 1; c < SUMMARY_COLUMNS; c++) {
		if (rs->summary_types[c] != ch->type)
			continue;
		ch->summary = c;
		ch->value = ev ? shown(c, json_get_str(ev->content, value_key[c])) : STR_NONE;
	}
}

/* Beyond this a room shows no name (topic ...) to who is invited: every invitation keeps a copy. */
enum { STRIPPED_MOST = 12 << 10 };

static void write_stripped_event(struct jw *w, const struct event *ev)
{
	/* "The m.room.create event is now required", whatever its size. */
	if (ev && (ev->bytes.n <= STRIPPED_MOST || event_is(ev, S("m.room.create"), S(""))))
		stripped_write(w, ev);
}

/* "The invite's stripped state": what the room shows of itself, the inviter, and the event itself. */
static err *write_stripped(struct room *room, struct arena *a, const struct event *member, str *out)
{
	AUTO_BUF buf = BUF_INIT((size_t)256 << 10);
	struct jw w = jw_to(&buf);
	const struct event *ev;

	jw_array(&w, NULL);
	for (const str *type = stripped_types; !str_is_none(*type); type++) {
		TRY(room_current_text(room, *type, S(""), &ev));
		write_stripped_event(&w, ev);
	}
	if (!str_eq(member->sender, member->state_key)) {
		TRY(room_current_text(room, S("m.room.member"), member->sender, &ev));
		write_stripped_event(&w, ev);
	}
	stripped_write(&w, member);
	jw_end(&w);
	*out = jw_good(&w) ? arena_keep(a, buf_str(&buf)) : S("[]");
	return NULL;
}

static err *describe_member(struct draft *d, const struct event *ev, struct change *ch)
{
	struct room *room = d->room;
	struct store *st = room->rs->opt.store;
	const struct event *old = NULL;
	str user_id;

	ch->is_member = true;
	TRY(room_current(room, ch->type, ch->key, &old)); /* remembered: the rules asked for it */
	if (ch->old && (!old || old->nid != ch->old))
		TRY(room_event(room, ch->old, &old));
	ch->before = ch->old ? membership_of_text(event_membership(old)) : MEMBER_NONE;
	ch->after = membership_of_text(event_membership(ev));
	TRY(store_intern_text(st, room->a, ch->key, &user_id));
	if (id_user_valid(user_id))
		TRY(store_intern_find(st, room->a, id_server(user_id), &ch->server));
	if (!ev)
		return NULL;
	TRY(store_intern_find(st, room->a, ev->sender, &ch->sender));
	ch->displayname = json_get_str(ev->content, S("displayname"));
	ch->avatar_url = json_get_str(ev->content, S("avatar_url"));
	if (ch->after == MEMBER_INVITE || ch->after == MEMBER_KNOCK)
		TRY(write_stripped(room, d->job->a, ev, &ch->stripped));
	return NULL;
}

static err *describe(struct draft *d, struct job_event *je, struct change *ch)
{
	const struct event *ev = NULL;

	if (ch->now == je->row.nid)
		ev = je->ev;
	else if (ch->now)
		TRY(room_event(d->room, ch->now, &ev));
	if (ch->type == d->room->rs->type_member)
		TRY(describe_member(d, ev, ch));
	else
		describe_summary(d->room->rs, ev, ch);
	if (ch->now != je->row.nid) { /* read for this hold alone: the job lives longer */
		ch->displayname = arena_keep(d->job->a, ch->displayname);
		ch->avatar_url = arena_keep(d->job->a, ch->avatar_url);
		ch->value = arena_keep(d->job->a, ch->value);
	}
	return NULL;
}

void flat_describe_redacted(const struct rooms *rs, const struct event *redacted, struct change *ch)
{
	ch->is_member = ch->type == rs->type_member;
	describe_summary(rs, redacted, ch);
}

struct collect {
	struct arena *a;
	VEC(struct change) list;
};

static err *collect(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	struct collect *c = arg;

	vec_push(c->a, &c->list, (struct change){ .type = type, .key = key, .old = old, .now = now });
	return NULL;
}

static void count_member(struct tip *tip, const struct change *ch)
{
	tip->joined += (ch->after == MEMBER_JOIN) - (ch->before == MEMBER_JOIN);
	tip->invited += (ch->after == MEMBER_INVITE) - (ch->before == MEMBER_INVITE);
}

/*
 * Design, "State-reset guard": who is out, or which rules are others, without an event that says so. Forks that meet do
 * this rightly (a ban undoes what the banned one did meanwhile), so it is told and counted, not refused.
 */
static void guard(struct room *room, const struct job_event *je, const struct change *ch)
{
	struct rooms *rs = room->rs;
	const bool rules = ch->key == rs->empty && (ch->type == rs->type_power || ch->summary == SUMMARY_JOIN_RULE);

	if (ch->now == je->row.nid ||
	    !(rules || (ch->is_member && ch->before == MEMBER_JOIN && ch->after != MEMBER_JOIN)))
		return;
	metric_add(rs->resets, 1);
	log_warn(rs->opt.log, "a resolution changed the room without an event that says so",
		 F("room_id", room->room_id), F("event_id", je->ev->event_id), F("old_event", ch->old),
		 F("new_event", ch->now));
}

err *flat_changes(struct draft *d, struct job_event *je, struct state_root to)
{
	struct room *room = d->room;
	struct collect c = { .a = d->job->a };

	je->current = to;
	if (state_same(room->tip.root, to)) {
		room->tip.root = to;
		return NULL;
	}
	je->current_moved = true;
	if (state_same(je->before, room->tip.root) && state_same(je->after, to))
		TRY(collect(&c, je->row.type, je->row.state_key, je->row.replaces, je->row.nid));
	else
		TRY(state_diff(&d->builder.tree, room->a, room->tip.root, to, (struct state_pick){ 0 }, collect, &c));
	for (size_t i = 0; i < c.list.n; i++)
		TRY(describe(d, je, &c.list.p[i]));
	TRY(room_servers_note(d, je, c.list.p, c.list.n));
	room->tip.root = to;
	for (size_t i = 0; i < c.list.n; i++) {
		struct change *ch = &c.list.p[i];

		room_cache_drop(room, ch->type, ch->key);
		guard(room, je, ch);
		je->became_current |= ch->now == je->row.nid;
		if (!ch->is_member)
			continue;
		count_member(&room->tip, ch);
		room_locals_note(room, ch);
	}
	je->changes = c.list.p;
	je->n_changes = c.list.n;
	return NULL;
}

/*
 * Rows
 */
static err *save_member(struct tx *tx, const struct room *in, const struct change *ch, int64_t stream)
{
	const struct member_row m = {
		.room = in->nid,
		.user = ch->key,
		/* Out of the state altogether: who was in is out, and is told so. */
		.membership = ch->after == MEMBER_NONE ? MEMBER_LEAVE : ch->after,
		.event = ch->now,
		.sender = ch->sender,
		.stream = stream,
		.since = stream,
		.displayname = ch->displayname,
		.avatar_url = ch->avatar_url,
		.stripped = ch->stripped,
	};
	const int64_t more = (ch->after == MEMBER_JOIN) - (ch->before == MEMBER_JOIN);

	TRY(store_member_save(tx, &m));
	if (ch->turned_away)
		TRY(store_room_server_once(tx, in->nid, ch->server, stream));
	if (!more || !ch->server)
		return NULL;
	return store_room_server_add(tx, in->nid, ch->server, more, ch->server == in->rs->server ? -stream : stream);
}

static err *save_change(struct tx *tx, const struct room *in, const struct change *ch, int64_t stream)
{
	const int64_t room = in->nid;
	const struct state_row s = { .type = ch->type, .state_key = ch->key, .event = ch->now, .stream = stream };

	if (ch->now)
		TRY(store_state_set(tx, room, &s));
	else
		TRY(store_state_unset(tx, room, ch->type, ch->key));
	if (ch->is_member)
		return save_member(tx, in, ch, stream);
	return ch->summary ? store_summary_set(tx, room, ch->summary, ch->value) : NULL;
}

err *flat_save(struct tx *tx, const struct job *job, const struct job_event *je)
{
	for (size_t i = 0; i < je->n_changes; i++)
		TRY(save_change(tx, job->room, &je->changes[i], je->stream));
	if (!je->current_moved)
		return NULL;
	return store_room_root_save(tx, job->room->nid, je->stream, je->current.node);
}

err *flat_save_redacted(struct tx *tx, const struct job *job, const struct job_event *je)
{
	const struct change *ch = &je->redact_change;

	if (ch->is_member)
		return store_member_clear_profile(tx, job->room->nid, ch->key, je->redact_target);
	return ch->summary ? store_summary_set(tx, job->room->nid, ch->summary, ch->value) : NULL;
}
