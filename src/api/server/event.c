/* event.c - events and states for other servers: Server-Server API, "Retrieving events", "Retrieving event
 * authorisation information". */
#include "api/server/event_list.h"
#include "api/services.h"
#include "base/arena.h"
#include "base/clock.h"
#include "config/config.h"

static err *get_event(struct req *rq)
{
	struct jw *w;
	str bytes;

	TRY(served_event(rq->services->rooms, rq->arena, req_param(rq, "eventId"), rq->origin, &bytes));
	w = reply_json(rq, 200);
	jw_str(w, "origin", rq->services->config->server_name);
	jw_int(w, "origin_server_ts", clock_ms());
	jw_array(w, "pdus");
	jw_raw(w, NULL, bytes);
	jw_end(w);
	return NULL;
}

static err *state_before(struct req *rq, struct served_state *out)
{
	const str event_id = req_query(rq, "event_id");

	if (str_is_none(event_id))
		return err_new(rq->arena, ERR_MISSING_PARAM, "event_id says at which event");
	return served_state_before(rq->services->rooms, rq->arena, req_param(rq, "roomId"), rq->origin, event_id, out);
}

static err *get_state(struct req *rq)
{
	struct served_state st;

	TRY(state_before(rq, &st));
	reply_event_lists(
		rq, req_param(rq, "roomId"), false,
		(const struct event_list[]){ { "pdus", st.state, st.n_state }, { "auth_chain", st.chain, st.n_chain } },
		2);
	return NULL;
}

static err *get_state_ids(struct req *rq)
{
	struct served_state st;

	TRY(state_before(rq, &st));
	reply_event_lists(rq, req_param(rq, "roomId"), true,
			  (const struct event_list[]){ { "pdu_ids", st.state, st.n_state },
						       { "auth_chain_ids", st.chain, st.n_chain } },
			  2);
	return NULL;
}

static err *get_event_auth(struct req *rq)
{
	const str room_id = req_param(rq, "roomId");
	struct served_state st;

	TRY(served_auth_chain(rq->services->rooms, rq->arena, room_id, rq->origin, req_param(rq, "eventId"), &st));
	reply_event_lists(rq, room_id, false, &(const struct event_list){ "auth_chain", st.chain, st.n_chain }, 1);
	return NULL;
}

static err *get_at_time(struct req *rq)
{
	const str dir = req_query(rq, "dir");
	int64_t ts, found;
	str event_id;
	struct jw *w;

	if (str_is_none(req_query(rq, "ts")))
		return err_new(rq->arena, ERR_MISSING_PARAM, "ts says when");
	TRY(req_query_int(rq, "ts", 0, &ts));
	if (!str_eq(dir, S("f")) && !str_eq(dir, S("b")))
		return err_new(rq->arena, str_is_none(dir) ? ERR_MISSING_PARAM : ERR_INVALID_PARAM, "dir is f or b");
	TRY(served_at_time(rq->services->rooms, rq->arena, req_param(rq, "roomId"), rq->origin, ts, str_eq(dir, S("f")),
			   &event_id, &found));
	w = reply_json(rq, 200);
	jw_str(w, "event_id", event_id);
	jw_int(w, "origin_server_ts", found);
	return NULL;
}

const struct route server_event_routes[] = {
	{ "GET", "/_matrix/federation/v1/event/{eventId}", get_event, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "GET", "/_matrix/federation/v1/state/{roomId}", get_state, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "GET", "/_matrix/federation/v1/state_ids/{roomId}", get_state_ids, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "GET", "/_matrix/federation/v1/event_auth/{roomId}/{eventId}", get_event_auth, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ "GET", "/_matrix/federation/v1/timestamp_to_event/{roomId}", get_at_time, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ 0 },
};
