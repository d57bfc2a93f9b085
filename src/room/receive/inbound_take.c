/*
 * inbound_take.c - a transaction, from what was sent to its answer: each event on its own, then one commit.
 *
 * "Checks performed on receipt of a PDU", 1 to 3, and the room's ACL for the server that sends. What the answer says of
 * an event is whether it was taken, not what the room makes of it. Of a room that nobody here is in, only what ends an
 * invitation is listened to.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "json/writer.h"
#include "matrix/id.h"
#include "room/outsider.h"
#include "room/policy.h"
#include "room/receive/internal_inbound.h"
#include "room/server_acl.h"
#include "store/rooms.h"
#include "store/tx.h"

#define KEYS_MOST_US (INT64_C(10) * 1000000) /* that a transaction waits for keys of other servers */
enum { KEYS_PLACES = 6, KEYS_OF_ONE = 2 };   /* transactions that do, at once; of one server */
enum { PRUNE_EVERY = 500, PRUNE_MOST = 750 };
#define TXN_KEPT_MS (INT64_C(24) * 3600 * 1000)

struct pdu {
	const struct json *json;
	str event_id;      /* STR_NONE: cannot be known */
	const char *error; /* constant; NULL: `why`, or none */
	const err *why;
	struct event *event; /* staged */
	struct staged *staged;
};
struct group { /* the transaction's events of one room */
	str room_id;
	int64_t room;
	const struct room_version *rv;
	bool outside; /* nobody of this server is in it */
	size_t places[PDUS_MAX], n;
};
struct taking {
	struct inbound *in;
	struct arena *a;
	const struct inbound_txn *txn;
	struct inbound_origin *origin;
	int64_t origin_nid, now, deadline_us, first_id;
	bool prune;
	struct inbound_digest digest;
	struct pdu *pdus;
	VEC(struct group *) groups;
	struct inbound_row *rows;
	size_t n_rows;
	str answer;
	bool known; /* it was answered before; set by each run */
};

static void refuse(struct pdu *p, enum pdu_outcome what, const char *error)
{
	inbound_count(what);
	p->error = error;
}

static void refuse_all(struct taking *t, const struct group *g, enum pdu_outcome what, const char *error)
{
	for (size_t i = 0; i < g->n; i++) {
		struct pdu *p = &t->pdus[g->places[i]];

		/* Named in the answer where it carries its name (room versions 1 and 2). */
		p->event_id = json_get_str(p->json, S("event_id"));
		refuse(p, what, error);
	}
}

/* By room. "Is an object", and says which room it is of. */
static void sort_by_room(struct taking *t)
{
	for (size_t i = 0; i < t->txn->n_pdus; i++) {
		const str room_id = json_get_str(t->txn->pdus[i], S("room_id"));
		struct group *g = NULL;

		t->pdus[i].json = t->txn->pdus[i];
		if (!id_room_valid(room_id)) {
			inbound_count(PDU_BAD);
			continue;
		}
		for (size_t k = 0; k < t->groups.n && !g; k++)
			if (str_eq(t->groups.p[k]->room_id, room_id))
				g = t->groups.p[k];
		if (!g) {
			g = ARENA_NEW(t->a, struct group);
			g->room_id = room_id;
			vec_push(t->a, &t->groups, g);
		}
		g->places[g->n++] = i;
	}
}

static bool is_joining(struct inbound *in, struct group *g)
{
	const struct inbound_room *room;

	LOCKED(&in->lock);
	room = map_get(&in->rooms, g->room_id);
	if (!room || !room->joining)
		return false;
	g->room = room->nid;
	g->rv = room->rv;
	return true;
}

static err *find_room(struct taking *t, struct group *g)
{
	struct inbound *in = t->in;
	bool inside = false;
	AUTO_TX tx = NULL;

	if (is_joining(in, g))
		return NULL;
	TRY(rooms_find(in->opt.rooms, t->a, g->room_id, &g->room, &g->rv));
	if (g->room) {
		TRY(store_read(in->opt.store, t->a, &tx));
		TRY(store_room_has_server(tx, g->room, in->own, &inside));
	} else {
		TRY(outsider_room_version(in->opt.rooms, t->a, g->room_id, &g->rv));
	}
	g->outside = !inside;
	return NULL;
}

/* An invitation that is taken back comes from a server that we share no room with. */
static err *take_outside(struct taking *t, struct pdu *p)
{
	bool withdrawn = false;

	if (event_is_state(p->event) && str_eq(p->event->type, S("m.room.member")))
		TRY(outsider_withdraw(t->in->opt.rooms, t->a, t->txn->origin, p->event, &withdrawn));
	if (withdrawn)
		inbound_count(PDU_WITHDREW);
	else
		refuse(p, PDU_NOT_IN_ROOM, "this server is not in the room");
	p->event = NULL;
	return NULL;
}

static bool is_twice(const struct taking *t, const struct pdu *p)
{
	for (const struct pdu *q = t->pdus; q < p; q++)
		if (q->event && str_eq(q->event_id, p->event_id))
			return true;
	return false;
}

/* Whose keys are needed is the sender's choice: servers that never answer, a new one each time, must not take all
 * threads there are for other servers. Who finds no place comes again with the transaction. */
static err *check_with_keys(struct taking *t, const struct group *g, struct checked_event *evs)
{
	static const struct waiting_bounds bounds = { 0, KEYS_PLACES, KEYS_OF_ONE };
	struct inbound *in = t->in;
	size_t place;

	events_check(in->opt.keys, in->opt.pool, t->a, g->rv, g->room_id, evs, g->n, 0);
	if (!events_lack_keys(evs, g->n))
		return NULL;
	if (!waiting_begin(&in->keys_waiting, &bounds, t->txn->origin, &place))
		return err_new(t->a, ERR_BUSY, "too many transactions wait for the keys of servers already");
	events_check(in->opt.keys, in->opt.pool, t->a, g->rv, g->room_id, evs, g->n, t->deadline_us);
	waiting_end(&in->keys_waiting, place);
	return NULL;
}

static err *check_events(struct taking *t, struct group *g)
{
	struct checked_event *evs = ARENA_ARRAY(t->a, struct checked_event, g->n);

	for (size_t i = 0; i < g->n; i++)
		evs[i].json = t->pdus[g->places[i]].json;
	TRY(check_with_keys(t, g, evs));
	for (size_t i = 0; i < g->n; i++) {
		struct pdu *p = &t->pdus[g->places[i]];

		p->event = evs[i].event;
		p->event_id = evs[i].event_id;
		p->why = evs[i].error;
		if (p->event) {
			if (is_twice(t, p))
				p->event = NULL;
			continue;
		}
		inbound_count(PDU_BAD);
		log_info(t->in->opt.log, "received event refused", F("room_id", g->room_id),
			 F("event_id", str_is_none(p->event_id) ? S("") : p->event_id), F("origin", t->txn->origin),
			 F("why", p->why->msg));
	}
	return NULL;
}

/* "If the Policy Server's signature is invalid or missing, the homeserver SHOULD ask for a new signature." */
static err *obtain_signatures(struct taking *t, struct group *g)
{
	struct event **events = ARENA_ARRAY(t->a, struct event *, g->n);

	for (size_t i = 0; i < g->n; i++)
		events[i] = t->pdus[g->places[i]].event;
	TRY(policy_obtain(t->in->opt.rooms, t->a, g->room_id, events, g->n, t->deadline_us));
	for (size_t i = 0; i < g->n; i++)
		t->pdus[g->places[i]].event = events[i];
	return NULL;
}

/* Their places in the queue, before they are rows: what has none is not stored. */
static void admit(struct taking *t, const struct group *g)
{
	struct inbound *in = t->in;
	struct inbound_room *room;

	LOCKED(&in->lock);
	room = inbound_room(in, g->room_id, g->room, g->rv);
	for (size_t i = 0; i < g->n; i++) {
		struct pdu *p = &t->pdus[g->places[i]];

		if (!p->event)
			continue;
		p->staged = staged_new(in, room, t->origin, t->first_id + (int64_t)t->n_rows, p->event_id,
				       p->event->bytes.n, t->now, false);
		if (!p->staged) {
			p->event = NULL;
			refuse(p, PDU_FULL, "too many events of this room wait already");
			inbound_count_dropped(DROP_FULL);
			continue;
		}
		t->rows[t->n_rows++] = (struct inbound_row){
			.id = p->staged->id,
			.room = g->room,
			.origin = t->origin_nid,
			.received = t->now,
			.event_id = p->event_id,
			.json = p->event->bytes,
		};
	}
	inbound_room_done(in, room);
}

static err *take_group(struct taking *t, struct group *g)
{
	struct inbound *in = t->in;
	bool allowed;

	TRY(find_room(t, g));
	if (!g->rv) {
		refuse_all(t, g, PDU_UNKNOWN_ROOM, "this server does not know the room");
		return NULL;
	}
	TRY(room_acl_allows(in->opt.rooms, t->a, g->room_id, t->txn->origin, &allowed));
	TRY(check_events(t, g));
	if (allowed && !g->outside)
		TRY(obtain_signatures(t, g));
	for (size_t i = 0; i < g->n; i++) {
		struct pdu *p = &t->pdus[g->places[i]];

		if (p->event && !allowed) {
			p->event = NULL;
			refuse(p, PDU_DENIED, "the room's server ACL does not let this server take part");
		} else if (p->event && g->outside) {
			TRY(take_outside(t, p));
		}
	}
	admit(t, g);
	return NULL;
}

/*
 * The answer
 */
static void write_answer(struct taking *t)
{
	AUTO_BUF buf = BUF_INIT((size_t)1 << 20);
	struct jw w = jw_to(&buf);
	struct map told;

	map_init(&told, t->a);
	jw_object(&w, NULL);
	jw_object(&w, "pdus");
	for (size_t i = 0; i < t->txn->n_pdus; i++) {
		const struct pdu *p = &t->pdus[i];

		if (!id_event_valid(p->event_id) || map_put(&told, p->event_id, t))
			continue;
		jw_key(&w, p->event_id);
		jw_object(&w, NULL);
		if (p->error)
			jw_str(&w, "error", str_c(p->error));
		else if (p->why)
			jw_str(&w, "error", p->why->msg);
		jw_end(&w);
	}
	jw_end(&w);
	jw_end(&w);
	t->answer = arena_keep(t->a, buf_str(&buf));
}

static err *stage_run(struct tx *tx, void *arg)
{
	struct taking *t = arg;
	int64_t gone;

	TRY(store_inbound_claim(tx, &t->digest, t->answer, t->now, &t->known));
	if (t->known)
		return NULL;
	TRY(store_inbound_stage(tx, t->rows, t->n_rows));
	return t->prune ? store_inbound_prune(tx, t->now - TXN_KEPT_MS, PRUNE_MOST, &gone) : NULL;
}

static err *stage(struct taking *t)
{
	const struct piece piece = { .run = stage_run, .arg = t, .shard = t->origin_nid };
	struct ticket *ticket;

	TRY(store_write(t->in->opt.store, t->a, &piece, &ticket));
	return store_wait(t->a, ticket);
}

/* On disk, or not. */
static void hand_over(struct taking *t, bool staged)
{
	struct inbound *in = t->in;

	LOCKED(&in->lock);
	for (size_t i = 0; i < t->txn->n_pdus; i++) {
		struct pdu *p = &t->pdus[i];

		if (!p->staged)
			continue;
		if (staged) {
			inbound_count(PDU_STAGED);
			staged_ready(in, p->staged);
			continue;
		}
		struct inbound_room *room = p->staged->room;
		staged_free(in, p->staged);
		inbound_room_done(in, room);
	}
}

static err *take(struct taking *t)
{
	err *e = NULL;

	sort_by_room(t);
	for (size_t i = 0; i < t->groups.n && !e; i++)
		e = take_group(t, t->groups.p[i]);
	if (!e) {
		write_answer(t);
		e = stage(t);
	}
	hand_over(t, !e && !t->known);
	if (!e && t->known)
		e = inbound_answered(t->in, t->a, t->txn->origin, t->txn->txn_id, &t->answer);
	return e;
}

/* One of the origin's transactions is under way. */
static err *enter(struct taking *t)
{
	struct inbound *in = t->in;
	bool many, enough;
	err *e;

	LOCKED(&in->lock);
	t->origin = inbound_origin(in, t->txn->origin, t->origin_nid);
	many = t->origin->under_way >= TXNS_AT_ONCE;
	enough = t->txn->n_pdus > 0 && inbound_has_enough(in, t->origin);
	inbound_origin_talks(in, t->origin);
	if (!many && !enough) {
		t->origin->under_way++;
		return NULL;
	}
	inbound_origin_done(in, t->origin);
	e = err_new(t->a, ERR_LIMIT_EXCEEDED, "%s",
		    many ? "Too many transactions of your server at once"
			 : "Too many events of your server wait to be put into their rooms");
	e->extra = S("\"retry_after_ms\":1000");
	return e;
}

static void leave(struct taking *t)
{
	LOCKED(&t->in->lock);
	t->origin->under_way--;
	inbound_origin_done(t->in, t->origin);
}

err *inbound_take(struct inbound *in, struct arena *a, const struct inbound_txn *txn, str *out_answer)
{
	struct taking t = {
		.in = in,
		.a = a,
		.txn = txn,
		.now = clock_ms(),
		.deadline_us = clock_mono_us() + KEYS_MOST_US,
		.digest = store_inbound_digest(txn->origin, txn->txn_id),
		.pdus = ARENA_ARRAY(a, struct pdu, txn->n_pdus),
		.rows = ARENA_ARRAY(a, struct inbound_row, txn->n_pdus + 1),
	};
	err *e;

	if (txn->n_pdus > PDUS_MAX)
		return err_new(a, ERR_INVALID_PARAM, "A transaction has at most %d PDUs", PDUS_MAX);
	TRY(store_intern(in->opt.store, a, txn->origin, &t.origin_nid));
	TRY(store_next_id(in->opt.store, a, SEQ_MISC, txn->n_pdus + 1, &t.first_id));
	t.prune = t.first_id / PRUNE_EVERY != (t.first_id + (int64_t)txn->n_pdus + 1) / PRUNE_EVERY;
	TRY(enter(&t));
	e = take(&t);
	leave(&t);
	if (!e)
		*out_answer = t.answer;
	return e;
}

err *inbound_answered(struct inbound *in, struct arena *a, str origin, str txn_id, str *out_answer)
{
	const struct inbound_digest digest = store_inbound_digest(origin, txn_id);
	AUTO_TX tx = NULL;

	TRY(store_read(in->opt.store, a, &tx));
	return store_inbound_answer(tx, &digest, out_answer);
}
