/* write.c - an answer as JSON. Everything is in memory by now. */
#include "room/notify.h"

#include "sync/v3/internal_v3.h"

static void write_content(struct jw *w, const struct sync_content *c)
{
	jw_object(w, NULL);
	jw_raw(w, "content", c->content);
	jw_str(w, "type", c->type);
	jw_end(w);
}

static void write_summary(const struct sync_summary *s, struct jw *w)
{
	jw_object(w, "summary");
	if (s->told && s->has_heroes) {
		jw_array(w, "m.heroes");
		for (size_t i = 0; i < s->n_heroes; i++)
			jw_str(w, NULL, s->heroes[i]);
		jw_end(w);
	}
	if (s->told) {
		jw_int(w, "m.invited_member_count", s->invited);
		jw_int(w, "m.joined_member_count", s->joined);
	}
	jw_end(w);
}

static void write_timeline(struct sync_answer *an, const struct sync_room *room, struct jw *w)
{
	const struct sync_timeline *tl = &room->timeline;

	jw_object(w, "timeline");
	jw_array(w, "events");
	for (size_t i = 0; i < tl->n; i++)
		client_event_write(an->a, w, NULL, tl->rows[i], room->room_id, &tl->extras[i], &an->view);
	jw_end(w);
	jw_bool(w, "limited", tl->limited);
	jw_str(w, "prev_batch", tl->prev_batch);
	jw_end(w);
}

static void write_state(struct sync_answer *an, const struct sync_room *room, struct jw *w)
{
	jw_object(w, an->state_after_unstable ? "org.matrix.msc4222.state_after"
		     : an->state_after        ? "state_after"
					      : "state");
	jw_array(w, "events");
	for (size_t i = 0; i < room->n_state; i++)
		client_event_write(an->a, w, NULL, room->state[i], room->room_id,
				   room->state_extras ? &room->state_extras[i] : NULL, &an->view);
	jw_end(w);
	jw_end(w);
}

static void write_account_data(const struct sync_room *room, struct jw *w)
{
	jw_object(w, "account_data");
	jw_array(w, "events");
	for (size_t i = 0; i < room->account_data.n; i++)
		write_content(w, &room->account_data.p[i]);
	jw_end(w);
	jw_end(w);
}

static void write_count(struct jw *w, const struct unread_count *c)
{
	jw_int(w, "highlight_count", c->highlight);
	jw_int(w, "notification_count", c->notify);
	jw_end(w);
}

/* "If unread_thread_notifications was specified as true [...], these counts will only be for the main timeline". */
static void write_unread(const struct sync_answer *an, const struct sync_room *room, struct jw *w)
{
	const struct unread *u = room->unread;

	jw_object(w, "unread_notifications");
	write_count(w, an->threads ? &u->main : &u->all);
	if (!an->threads || !u->n_threads)
		return;
	jw_object(w, "unread_thread_notifications");
	for (size_t i = 0; i < u->n_threads; i++) {
		if (str_is_none(room->thread_ids[i]))
			continue;
		jw_key(w, room->thread_ids[i]);
		jw_object(w, NULL);
		write_count(w, &u->threads[i].count);
	}
	jw_end(w);
}

static void write_joined(struct sync_answer *an, const struct sync_room *room, struct jw *w)
{
	write_account_data(room, w);
	jw_object(w, "ephemeral");
	jw_array(w, "events");
	for (size_t i = 0; i < room->ephemeral.n; i++)
		jw_raw(w, NULL, room->ephemeral.p[i]);
	jw_end(w);
	jw_end(w);
	write_state(an, room, w);
	write_summary(&room->summary, w);
	write_timeline(an, room, w);
	write_unread(an, room, w);
}

static void write_stripped(const struct sync_room *room, const char *key, struct jw *w)
{
	jw_object(w, key);
	jw_raw(w, "events", room->stripped);
	jw_end(w);
}

static void write_room(struct sync_answer *an, const struct sync_room *room, struct jw *w)
{
	jw_key(w, room->room_id);
	jw_object(w, NULL);
	switch (room->section) {
	case SECTION_JOIN:
		write_joined(an, room, w);
		break;
	case SECTION_INVITE:
		write_stripped(room, "invite_state", w);
		break;
	case SECTION_KNOCK:
		write_stripped(room, "knock_state", w);
		break;
	case SECTION_LEAVE:
		write_account_data(room, w);
		write_state(an, room, w);
		write_timeline(an, room, w);
		break;
	case SECTIONS:
		break;
	}
	jw_end(w);
}

static void write_section(struct sync_answer *an, enum sync_section section, struct jw *w)
{
	static const char *const names[SECTIONS] = { "join", "invite", "knock", "leave" };
	bool begun = false;

	for (size_t i = 0; i < an->rooms.n; i++) {
		if (an->rooms.p[i]->section != section)
			continue;
		if (!begun)
			jw_object(w, names[section]);
		begun = true;
		write_room(an, an->rooms.p[i], w);
	}
	if (begun)
		jw_end(w);
}

static void write_users(const char *key, const struct sync_users *users, struct jw *w)
{
	if (!users->n)
		return;
	jw_array(w, key);
	for (size_t i = 0; i < users->n; i++)
		jw_str(w, NULL, users->p[i]);
	jw_end(w);
}

static void write_to_device(const struct to_device_batch *b, struct jw *w)
{
	jw_object(w, "to_device");
	jw_array(w, "events");
	for (size_t i = 0; i < b->n; i++) {
		jw_object(w, NULL);
		jw_raw(w, "content", b->p[i].content);
		jw_str(w, "sender", b->p[i].sender);
		jw_str(w, "type", b->p[i].type);
		jw_end(w);
	}
	jw_end(w);
	jw_end(w);
}

/* "If the count for an algorithm is zero, servers MAY omit that algorithm": clients were written that upload keys only
 * where they read that there are none of the one algorithm that is in use. */
static void write_keys(const struct key_counts *c, struct jw *w)
{
	const str usual = S("signed_curve25519");
	bool told = false;

	jw_object(w, "device_one_time_keys_count");
	for (size_t i = 0; i < c->n_one_time; i++) {
		told |= str_eq(c->one_time[i].algorithm, usual);
		jw_key(w, c->one_time[i].algorithm);
		jw_int(w, NULL, c->one_time[i].n);
	}
	if (!told)
		jw_int(w, "signed_curve25519", 0);
	jw_end(w);
	jw_array(w, "device_unused_fallback_key_types");
	for (size_t i = 0; i < c->n_unused_fallback; i++)
		jw_str(w, NULL, c->unused_fallback[i]);
	jw_end(w);
}

static void write_device(const struct sync_answer *an, struct jw *w)
{
	if (an->lists_changed.n || an->lists_left.n) {
		jw_object(w, "device_lists");
		write_users("changed", &an->lists_changed, w);
		write_users("left", &an->lists_left, w);
		jw_end(w);
	}
	if (an->has_keys)
		write_keys(&an->keys, w);
	if (an->to_device.n)
		write_to_device(&an->to_device, w);
}

void sync_answer_write(struct sync_answer *an, struct jw *w)
{
	jw_str(w, "next_batch", sync_token_write(an->a, &an->next));
	if (an->account_data.n) {
		jw_object(w, "account_data");
		jw_array(w, "events");
		for (size_t i = 0; i < an->account_data.n; i++)
			write_content(w, &an->account_data.p[i]);
		jw_end(w);
		jw_end(w);
	}
	write_device(an, w);
	if (an->presence.n) {
		jw_object(w, "presence");
		jw_array(w, "events");
		for (size_t i = 0; i < an->presence.n; i++)
			presence_write(&an->presence.p[i], w, false);
		jw_end(w);
		jw_end(w);
	}
	if (an->rooms.n) {
		jw_object(w, "rooms");
		for (enum sync_section s = 0; s < SECTIONS; s++)
			write_section(an, s, w);
		jw_end(w);
	}
}
