/*
 * initial_sync.c - GET /initialSync: a first answer of /sync in the older form. The state is that of the end of the
 * timeline.
 */
#include "store/rooms.h"
#include "sync/legacy.h"
#include "sync/v3/internal_v3.h"

enum { LIMIT_DEFAULT = 10 };

static const char *membership_name(enum sync_section s)
{
	static const char *const names[SECTIONS] = { "join", "invite", "knock", "leave" };

	return names[s];
}

static void write_rows(struct sync_answer *an, struct jw *w, const char *key, const struct sync_room *room, bool state)
{
	const size_t n = state ? room->n_state : room->timeline.n;

	jw_array(w, key);
	for (size_t i = 0; i < n; i++)
		client_event_write(an->a, w, NULL, state ? room->state[i] : room->timeline.rows[i], room->room_id,
				   !state               ? &room->timeline.extras[i]
				   : room->state_extras ? &room->state_extras[i]
							: NULL,
				   &an->view);
	jw_end(w);
}

static void write_messages(struct sync_answer *an, const struct sync_room *room, struct jw *w)
{
	jw_object(w, "messages");
	jw_str(w, "start", room->timeline.prev_batch);
	jw_str(w, "end", sync_token_write(an->a, &an->next));
	write_rows(an, w, "chunk", room, false);
	jw_end(w);
}

static void write_content(struct jw *w, const struct sync_content *c)
{
	jw_object(w, NULL);
	jw_raw(w, "content", c->content);
	jw_str(w, "type", c->type);
	jw_end(w);
}

/* "The invite event if membership is invite". */
static err *write_invite(struct run *r, const struct sync_room *room, struct jw *w)
{
	struct event_row *row = NULL;
	struct member_row *member;
	struct tx *tx;

	TRY(run_tx(r, &tx));
	TRY(store_member(tx, room->room, r->rq->user, &member));
	if (member && member->event)
		TRY(store_event_by_nid(tx, member->event, &row));
	else
		TRY(run_outside(r, room->room, &row));
	if (!row)
		return NULL;
	client_event_write(r->a, w, "invite", row, room->room_id, NULL, &r->answer->view);
	return NULL;
}

static err *write_room(struct run *r, const struct sync_room *room, struct jw *w)
{
	struct sync_answer *an = r->answer;
	struct room_row *row;
	struct tx *tx;

	TRY(run_tx(r, &tx));
	TRY(store_room_by_nid(tx, room->room, &row));
	jw_object(w, NULL);
	jw_str(w, "room_id", room->room_id);
	jw_str(w, "membership", str_c(membership_name(room->section)));
	jw_str(w, "visibility", row && row->published ? S("public") : S("private"));
	if (room->section == SECTION_INVITE) {
		TRY(write_invite(r, room, w));
	} else if (room->section != SECTION_KNOCK) {
		write_messages(an, room, w);
		write_rows(an, w, "state", room, true);
		jw_array(w, "account_data");
		for (size_t i = 0; i < room->account_data.n; i++)
			write_content(w, &room->account_data.p[i]);
		jw_end(w);
	}
	jw_end(w);
	return NULL;
}

static void write_receipts(const struct sync_answer *an, struct jw *w)
{
	jw_array(w, "receipts");
	for (size_t i = 0; i < an->rooms.n; i++)
		for (size_t k = 0; k < an->rooms.p[i]->ephemeral.n; k++)
			jw_raw(w, NULL,
			       legacy_with_room(an->a, an->rooms.p[i]->ephemeral.p[k], an->rooms.p[i]->room_id));
	jw_end(w);
}

static err *write_all(struct run *r, struct jw *w)
{
	struct sync_answer *an = r->answer;

	jw_str(w, "end", sync_token_write(r->a, &an->next));
	jw_array(w, "rooms");
	for (size_t i = 0; i < an->rooms.n; i++)
		TRY(write_room(r, an->rooms.p[i], w));
	jw_end(w);
	write_receipts(an, w);
	jw_array(w, "account_data");
	for (size_t i = 0; i < an->account_data.n; i++)
		write_content(w, &an->account_data.p[i]);
	jw_end(w);
	jw_array(w, "presence");
	for (size_t i = 0; i < an->presence.n; i++)
		presence_write(&an->presence.p[i], w, true);
	jw_end(w);
	return NULL;
}

/* The same as a filter would ask for. */
static struct filter filter_of(const struct legacy_request *rq)
{
	static const str receipt[] = { STR("m.receipt") }, rules[] = { STR("m.push_rules") };
	struct filter f = { .include_leave = rq->archived };

	f.timeline.limit = rq->limit < 0 ? LIMIT_DEFAULT : rq->limit;
	f.timeline.limit_is_zero = rq->limit == 0;
	/* Clients of that time ask for their push rules. */
	f.account_data.not_types = (struct str_list){ rules, 1, true };
	f.ephemeral.types = (struct str_list){ receipt, 1, true };
	return f;
}

err *legacy_initial_sync(struct syncs *ss, struct arena *a, const struct legacy_request *rq, struct jw *w)
{
	const struct sync_request request = {
		.user = rq->user,
		.user_id = rq->user_id,
		.device_id = rq->device_id,
		.state_after = true,
		.max_timeline = -1,
		.now = rq->now,
	};
	const struct filter filter = filter_of(rq);
	struct run r = { .ss = ss, .a = a, .rq = &request };
	err *e = run_all(&r, &filter);

	if (!e) {
		r.answer->view.without_room_id = false;
		r.answer->view.legacy = true;
		e = write_all(&r, w);
	}
	store_read_end(&r.tx);
	return e;
}
