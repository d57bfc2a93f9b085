/*
 * received.c - see received.h.
 *
 * A batch is sorted so that what stands on something follows it, gets its numbers together, and goes through one draft
 * into one job. What spoils a draft, or its commit, is one event of many: then each of them goes alone, so that it
 * costs the others a commit of their own and nothing else. An error that is nobody's fault (the store's) ends the
 * whole.
 */
#include "room/receive/received.h"

#include <assert.h>
#include <pthread.h>

#include "room/receive/late.h"
#include "store/inbound.h"

struct batch {
	struct rooms *rs;
	struct arena *a;
	str room_id;
	struct received_event *list;
	struct proposal *proposals; /* of the same places */
	size_t *order, n;
	bool *settled;           /* has its outcome */
	struct late_place *late; /* of this attempt */
};

/*
 * Order: depth first along prev_events and auth_events, otherwise as they came. (Names of versions 1 and 2 may go round
 * in a circle: who comes back to an event under way leaves it there.)
 */
struct visit {
	size_t at, next; /* which reference of it is looked at next */
};
struct sorter {
	const struct received_event *list;
	struct map by_id; /* event id -> &list[i] */
	struct visit *stack;
	size_t depth, *order, n_order;
	bool *seen;
};

static void push(struct sorter *s, size_t i)
{
	if (s->seen[i])
		return;
	s->seen[i] = true;
	s->stack[s->depth++] = (struct visit){ i, 0 };
}

static void step(struct sorter *s)
{
	struct visit *v = &s->stack[s->depth - 1];
	const struct event *ev = s->list[v->at].event;
	const size_t k = v->next++;
	const struct received_event *named;

	if (k == ev->n_prev_events + ev->n_auth_events) {
		s->order[s->n_order++] = v->at;
		s->depth--;
		return;
	}
	named = map_get(&s->by_id, k < ev->n_prev_events ? ev->prev_events[k] : ev->auth_events[k - ev->n_prev_events]);
	if (named)
		push(s, (size_t)(named - s->list));
}

void received_order(struct arena *a, const struct received_event *list, size_t n, size_t *order)
{
	struct sorter s = {
		.list = list,
		.stack = ARENA_ARRAY(a, struct visit, n),
		.seen = ARENA_ARRAY(a, bool, n),
		.order = order,
	};

	map_init(&s.by_id, a);
	for (size_t i = 0; i < n; i++)
		(void)map_put(&s.by_id, list[i].event->event_id, (void *)&list[i]);
	for (size_t i = 0; i < n; i++) {
		push(&s, i);
		while (s.depth)
			step(&s);
	}
	assert(s.n_order == n);
}

/* Texts and events get their numbers before the room is held; texts that are new wait for one commit together. */
static err *number(struct batch *b)
{
	struct proposal **sorted = ARENA_ARRAY(b->a, struct proposal *, b->n);

	for (size_t i = 0; i < b->n; i++) {
		const struct event *ev = b->list[i].event;

		b->proposals[i] =
			(struct proposal){ .type = ev->type, .state_key = ev->state_key, .sender = ev->sender };
		sorted[i] = &b->proposals[b->order[i]];
	}
	return proposals_number(b->rs, b->a, sorted, b->n);
}

/*
 * Under the room's lock
 */
static bool in_memory(const struct room *room, const struct batch *b, const struct event *ev, str id)
{
	struct state_key keys[AUTH_KEYS_MAX];
	struct store *st = b->rs->opt.store;
	size_t n;

	if (map_get(&room->pending_ids, id))
		return true;
	for (size_t i = room->tip.n_ext; i-- > 0;)
		if (str_eq((str){ room->tip.ext[i].id, room->tip.ext[i].id_n }, id))
			return true;
	n = auth_keys(room->rv, ev->type, ev->state_key, ev->sender, ev->content, keys);
	for (size_t k = 0; k < n; k++) {
		int64_t type = 0, key = 0;
		const struct event *now;

		/* Both are in the interning's cache, or the event is not remembered. */
		if (store_intern_find(st, b->a, keys[k].type, &type) ||
		    store_intern_find(st, b->a, keys[k].state_key, &key))
			return false;
		now = room_remembered(room, type, key);
		if (now && str_eq(now->event_id, id))
			return true;
	}
	return false;
}

static err *read_ahead(struct room *room, const struct batch *b)
{
	VEC(str) ids = { 0 };
	struct map wanted;

	map_init(&wanted, room->a);
	for (size_t i = 0; i < b->n; i++) {
		const struct event *ev = b->list[i].event;

		if (!b->settled[i] && !map_put(&wanted, ev->event_id, b->list))
			vec_push(room->a, &ids, ev->event_id);
	}
	for (size_t i = 0; i < b->n; i++) {
		const struct event *ev = b->list[i].event;

		for (size_t k = 0; !b->settled[i] && k < ev->n_prev_events + ev->n_auth_events; k++) {
			const str id =
				k < ev->n_prev_events ? ev->prev_events[k] : ev->auth_events[k - ev->n_prev_events];

			if (map_get(&wanted, id) || in_memory(room, b, ev, id))
				continue;
			(void)map_put(&wanted, id, b->list);
			vec_push(room->a, &ids, id);
		}
	}
	return room_read_ahead(room, ids.p, ids.n);
}

struct unstage {
	int64_t *ids;
	size_t n;
};

static err *unstage_run(struct tx *tx, void *arg)
{
	const struct unstage *u = arg;

	return store_inbound_unstage(tx, u->ids, u->n);
}

/* It is another job's, which may still fail: its outcome is not known yet. */
static bool is_under_way(const struct draft *d, const struct job_event *je)
{
	for (size_t i = 0; i < d->job->events.n; i++)
		if (d->job->events.p[i] == je)
			return false;
	return je != NULL;
}

/* *out_queued: it is in the draft. An error has spoilt the draft. */
static err *add(struct batch *b, struct draft *d, size_t i, bool *out_queued)
{
	struct received_event *r = &b->list[i];
	struct room *room = d->room;
	const struct late_place *late = &b->late[i];
	struct arrival how = { .given = r->prev_states, .n_given = r->n_prev_states };
	const struct job_event *pending = map_get(&room->pending_ids, r->event->event_id);
	err *e;

	*out_queued = false;
	TRY(room_event_by_id(room, r->event->event_id, &how.known, &how.row));
	if (how.known && !row_awaits_place(room, how.row)) {
		r->outcome = APPEND_KNOWN;
		r->error = is_under_way(d, pending) ? err_new(b->a, ERR_BUSY, "the event is just being stored") : NULL;
		return NULL;
	}
	how.late = late->n_heirs || late->timeline ? late : NULL;
	e = draft_add_received(d, r->event, &b->proposals[i], &how, &r->outcome);
	*out_queued = !e;
	if (!e || how.begun)
		return e;
	r->error = e;
	r->missing = how.missing;
	r->n_missing = how.n_missing;
	return e->code == ERR_NOT_FOUND || e->code == ERR_FORBIDDEN ? NULL : e;
}

struct attempt {
	size_t *in; /* which of the list are in the job */
	size_t n;
	struct unstage unstage;
	struct ticket *ticket;
};

static err *fill(struct batch *b, struct draft *d, const size_t *places, size_t n, struct attempt *at, size_t *out_bad)
{
	bool queued;
	err *e;

	for (size_t i = 0; i < n; i++) {
		if (b->settled[places[i]])
			continue;
		e = add(b, d, places[i], &queued);
		if (e) {
			*out_bad = places[i];
			return e;
		}
		if (queued)
			at->in[at->n++] = places[i];
		else
			b->settled[places[i]] = true;
	}
	return NULL;
}

static void note_staged(const struct batch *b, struct attempt *at, struct job *job)
{
	at->unstage.ids = ARENA_ARRAY(job->a, int64_t, at->n);
	for (size_t i = 0; i < at->n; i++)
		if (b->list[at->in[i]].staged)
			at->unstage.ids[at->unstage.n++] = b->list[at->in[i]].staged;
	if (at->unstage.n == 0)
		return;
	job->extra = unstage_run;
	job->extra_arg = &at->unstage;
}

static err *find_late(struct room *room, struct batch *b, const size_t *places, size_t n)
{
	size_t *left = ARENA_ARRAY(b->a, size_t, n), n_left = 0;

	for (size_t i = 0; i < n; i++)
		if (!b->settled[places[i]])
			left[n_left++] = places[i];
	b->late = ARENA_ARRAY(b->a, struct late_place, b->n);
	return late_find(room, b->list, b->n, left, n_left, b->late);
}

/* Errors are in b->a: the attempt's places are left for another one. */
static err *attempt(struct batch *b, const size_t *places, size_t n, struct attempt *at, size_t *out_bad)
{
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;

	*out_bad = SIZE_MAX;
	TRY(room_hold(b->rs, b->a, b->room_id, &room));
	if (!room)
		return err_new(b->a, ERR_NOT_FOUND, "no such room");
	TRY(read_ahead(room, b));
	TRY(find_late(room, b, places, n));
	draft_begin(room, &d);
	TRY(fill(b, d, places, n, at, out_bad));
	if (at->n == 0)
		return NULL;
	note_staged(b, at, d->job);
	TRY(draft_queue(&d, &at->ticket));
	if (room->tip.n_ext > b->rs->opt.most_extremities && b->rs->crowded)
		b->rs->crowded(b->rs->crowded_ctx, b->room_id, false);
	return NULL;
}

static err *try_them(struct batch *b, const size_t *places, size_t n, size_t *out_bad)
{
	struct attempt at = { .in = ARENA_ARRAY(b->a, size_t, n) };

	TRY(attempt(b, places, n, &at, out_bad));
	if (at.ticket)
		TRY(store_wait(b->a, at.ticket));
	for (size_t i = 0; i < at.n; i++) {
		b->settled[at.in[i]] = true;
		b->list[at.in[i]].unstaged = b->list[at.in[i]].staged != 0;
	}
	return NULL;
}

static void settle(struct batch *b, size_t i, err *why)
{
	b->list[i].error = why;
	b->settled[i] = true;
}

/* Is it a matter of the whole server, or of the room, and not of an event? */
static bool is_general(const err *e) { return e->code == ERR_BUSY || e->code == ERR_NOT_FOUND; }

static void one_by_one(struct batch *b)
{
	err *general = NULL;
	size_t bad;

	for (size_t i = 0; i < b->n; i++) {
		const size_t place = b->order[i];
		err *e = general;

		if (b->settled[place])
			continue;
		if (!general)
			e = try_them(b, &place, 1, &bad);
		if (e && is_general(e))
			general = e;
		if (e)
			settle(b, place, e);
	}
}

/*
 * What is told of it
 */
enum { TOLD_MISSING = APPEND_KNOWN + 1, TOLD_FAILED, TOLD };
static struct metric *told[TOLD];

static void register_metrics(void)
{
	static const char *const labels[TOLD] = {
		[APPEND_ACCEPTED] = "outcome=\"accepted\"", [APPEND_SOFT_FAILED] = "outcome=\"soft_failed\"",
		[APPEND_REJECTED] = "outcome=\"rejected\"", [APPEND_KNOWN] = "outcome=\"known\"",
		[TOLD_MISSING] = "outcome=\"waits\"",       [TOLD_FAILED] = "outcome=\"failed\"",
	};

	metric_counters(told, TOLD, "hearth_room_received_total",
			"Events of other servers: what became of them in their rooms", labels);
}

static void count(const struct batch *b)
{
	static pthread_once_t registered = PTHREAD_ONCE_INIT;

	pthread_once(&registered, register_metrics);
	for (size_t i = 0; i < b->n; i++) {
		const struct received_event *r = &b->list[i];

		if (!r->error)
			metric_add(told[r->outcome], 1);
		else
			metric_add(told[r->n_missing ? TOLD_MISSING : TOLD_FAILED], 1);
	}
}

err *rooms_append_events(struct rooms *rs, struct arena *a, str room_id, struct received_event *list, size_t n)
{
	struct batch b = {
		.rs = rs,
		.a = a,
		.room_id = room_id,
		.list = list,
		.n = n,
		.proposals = ARENA_ARRAY(a, struct proposal, n),
		.order = ARENA_ARRAY(a, size_t, n),
		.settled = ARENA_ARRAY(a, bool, n),
	};
	size_t bad;
	err *e;

	assert(n <= RECEIVED_MAX);
	if (n == 0)
		return NULL;
	received_order(a, list, n, b.order);
	TRY(number(&b));
	e = try_them(&b, b.order, n, &bad);
	if (e && is_general(e))
		return e;
	if (e && bad != SIZE_MAX && e->code != ERR_STORE)
		settle(&b, bad, e);
	if (e)
		one_by_one(&b);
	count(&b);
	return NULL;
}
