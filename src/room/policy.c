/*
 * policy.c - asking policy servers.
 *
 * A room names one, and by that makes every server in it ask it. It may be slow, dead, or an enemy's: so a call has a
 * few seconds, one that did not answer lately is not asked, and few threads wait for the same one, or for any; who
 * comes on top of that is told to come again. Our users have places of their own: servers that make us ask for their
 * events cannot keep them out. An event that its policy server did not sign is not sent, and soft-failed
 * where it came from elsewhere: an event fails closed.
 */
#include "room/internal_policy.h"

#include "base/clock.h"
#include "room/waiting.h"

enum { WAIT_MS = 10000, ANSWER_MOST = 64 << 10, WORDS_MOST = 1000 };
static const struct waiting_bounds for_ours = { 0, 16, 10 }, for_theirs = { 16, WAITING_PLACES, 4 };

enum outcome { VET_SIGNED, VET_REFUSED, VET_NO_ANSWER, VET_BAD_SIGNATURE, VET_BUSY, OUTCOMES };
static struct metric *outcomes[OUTCOMES];

struct policies {
	struct policies_options opt;
	struct waiting waiting; /* by the policy server's name */
};

static struct metric *count(const char *labels)
{
	return metric_counter("hearth_room_policy_signatures_total", "Signatures that policy servers were asked for",
			      labels);
}

err *policies_new(struct arena *a, const struct policies_options *opt, struct policies **out)
{
	struct policies *ps = MEM_NEW(struct policies);

	(void)a;
	ps->opt = *opt;
	waiting_init(&ps->waiting);
	if (!outcomes[0]) { /* metrics live for ever, services do not have to */
		outcomes[VET_SIGNED] = count("outcome=\"signed\"");
		outcomes[VET_REFUSED] = count("outcome=\"refused\"");
		outcomes[VET_NO_ANSWER] = count("outcome=\"no_answer\"");
		outcomes[VET_BAD_SIGNATURE] = count("outcome=\"bad_signature\"");
		outcomes[VET_BUSY] = count("outcome=\"busy\"");
	}
	opt->rooms->policies = ps;
	*out = ps;
	return NULL;
}

void policies_free(struct policies **ps)
{
	if (!*ps)
		return;
	(*ps)->opt.rooms->policies = NULL;
	waiting_done(&(*ps)->waiting);
	mem_free(*ps);
	*ps = NULL;
}

/*
 * Under the room's lock
 */
err *policy_of_room(struct room *room, struct policy_server *by, bool *out)
{
	const struct event *policy;
	bool shared;

	/* "The server name denoted by the m.room.policy state event's via has at least one joined user in the room":
	 * where nobody else is, only we could be it, and are none. */
	*out = false;
	TRY(room_has_others(room, &shared));
	if (!shared)
		return NULL;
	TRY(room_current(room, room->rs->type_policy, room->rs->empty, &policy));
	return policy_server_of(room->a, policy, by) ? room_has_server(room, by->name, out) : NULL;
}

err *policy_check(struct room *room, const struct event *ev)
{
	struct policy_server by;
	bool enabled;

	if (policy_exempts(ev))
		return NULL;
	TRY(policy_of_room(room, &by, &enabled));
	if (!enabled || policy_has_signed(room->a, room->rv, ev, &by))
		return NULL;
	return err_new(room->a, ERR_FORBIDDEN, "the room's policy server %.*s did not sign it", STR_ARG(by.name));
}

err *policy_wants(struct room *room, const struct proposal *p, struct vetting *v)
{
	AUTO_DRAFT d = NULL;
	const struct event *ev;
	bool enabled;

	v->wanted = false;
	if (!str_is_none(p->state_key) && str_eq(p->type, S("m.room.policy")) && str_is_empty(p->state_key))
		return NULL;
	TRY(policy_of_room(room, &v->by, &enabled));
	if (!enabled)
		return NULL;
	draft_begin(room, &d);
	TRY(draft_build(d, p, &ev));
	v->version = room->rv;
	v->by.name = arena_keep(room->a, v->by.name);
	v->wanted = true;
	return event_load(room->a, room->rv, arena_keep(room->a, ev->event_id), arena_keep(room->a, ev->bytes),
			  &v->event);
}

/*
 * Asking
 */
static int64_t until(int64_t deadline_us) { return MIN(deadline_us, clock_mono_us() + (int64_t)WAIT_MS * 1000); }

static err *ask(struct policies *ps, struct arena *a, const struct waiting_bounds *bounds, struct fed_call *calls,
		size_t n, int64_t deadline_us)
{
	size_t place;

	if (!waiting_begin(&ps->waiting, bounds, calls[0].destination, &place)) {
		metric_add(outcomes[VET_BUSY], 1);
		return err_new(a, ERR_BUSY, "too many events wait for the policy server already");
	}
	ps->opt.ask(ps->opt.fed, a, calls, n, until(deadline_us));
	waiting_end(&ps->waiting, place);
	return NULL;
}

/* "The PDU to request a signature for." */
static struct fed_call call_for(const struct policy_server *by, const struct event *ev)
{
	return (struct fed_call){
		.destination = by->name,
		.method = S("POST"),
		.path = S("/_matrix/policy/v1/sign"),
		.content = ev->json,
		.patience = FED_ASK,
		.max_bytes = ANSWER_MOST,
	};
}

/* "If the Policy Server returned an error, that error SHOULD be provided to the client verbatim." */
static err *in_its_words(struct arena *a, const struct fed_call *call)
{
	const str words = json_get_str(call->answer, S("error"));
	err *e = err_new(a, call->error->code, "%.*s",
			 STR_ARG(words.n > 0 && words.n <= WORDS_MOST ? words : call->error->msg));

	e->extra = call->error->extra;
	return e;
}

/* "Only the Policy Server's signature is returned. This signature is to be added to the event before sending or
 * processing the event further." */
static err *take_signature(struct arena *a, const struct room_version *rv, const struct policy_server *by,
			   const struct fed_call *call, struct event **io_event)
{
	const str text = json_get_str(json_get_object(call->answer, by->name), POLICY_KEY_ID);
	struct event *signed_too;

	if (call->error) {
		const bool refused = call->status >= 400 && call->status < 500;

		metric_add(outcomes[refused ? VET_REFUSED : VET_NO_ANSWER], 1);
		return refused ? in_its_words(a, call) : call->error;
	}
	if (!str_is_none(text) && text.n <= 88) {
		TRY(event_add_signature(a, rv, *io_event, by->name, POLICY_KEY_ID, text, &signed_too));
		if (policy_has_signed(a, rv, signed_too, by)) {
			metric_add(outcomes[VET_SIGNED], 1);
			*io_event = signed_too;
			return NULL;
		}
	}
	metric_add(outcomes[VET_BAD_SIGNATURE], 1);
	return err_new(a, ERR_FORBIDDEN, "the room's policy server gave no good signature");
}

err *policy_vet(struct rooms *rs, struct arena *a, struct vetting *v)
{
	struct fed_call call = call_for(&v->by, v->event);
	struct policies *ps = rs->policies;

	if (!ps)
		return err_new(a, ERR_CONNECTION_FAILED, "the room's policy server cannot be asked");
	TRY(ask(ps, a, &for_ours, &call, 1, INT64_MAX));
	v->wanted = false;
	return take_signature(a, v->version, &v->by, &call, &v->event);
}

/*
 * Events of others
 */
struct lacking {
	struct policy_server by;
	const struct room_version *version;
	size_t *places, n;
};

static err *find_lacking(struct rooms *rs, struct arena *a, str room_id, struct event *const *events, size_t n,
			 struct lacking *out)
{
	AUTO_ROOM room = NULL;
	bool enabled;

	TRY(room_hold(rs, a, room_id, &room));
	if (!room)
		return NULL;
	TRY(policy_of_room(room, &out->by, &enabled));
	if (!enabled)
		return NULL;
	out->version = room->rv;
	out->by.name = arena_keep(a, out->by.name);
	out->places = ARENA_ARRAY(a, size_t, n);
	for (size_t i = 0; i < n; i++)
		if (events[i] && !policy_exempts(events[i]) && !policy_has_signed(a, room->rv, events[i], &out->by))
			out->places[out->n++] = i;
	return NULL;
}

err *policy_obtain(struct rooms *rs, struct arena *a, str room_id, struct event **events, size_t n, int64_t deadline_us)
{
	struct lacking l = { .n = 0 };
	struct fed_call *calls;

	if (!rs->policies || n == 0)
		return NULL;
	TRY(find_lacking(rs, a, room_id, events, n, &l));
	if (l.n == 0)
		return NULL;
	calls = ARENA_ARRAY(a, struct fed_call, l.n);
	for (size_t i = 0; i < l.n; i++)
		calls[i] = call_for(&l.by, events[l.places[i]]);
	TRY(ask(rs->policies, a, &for_theirs, calls, l.n, deadline_us));
	for (size_t i = 0; i < l.n; i++) {
		struct event **ev = &events[l.places[i]];
		const err *e = take_signature(a, l.version, &l.by, &calls[i], ev);

		if (e)
			log_info(rs->opt.log, "policy server did not sign an event", F("room_id", room_id),
				 F("event_id", (*ev)->event_id), F("policy_server", l.by.name), F("why", e->msg));
	}
	return NULL;
}
