/* transaction.c - Server-Server API, "Transactions". */
#include "api/server/edus.h"
#include "http/http.h"
#include "room/receive/inbound.h"

enum {
	PDUS_MAX = 50,
	/* 50 events of 64 KiB, with their `unsigned` and white space, and the EDUs. */
	BODY_MAX = 12 << 20,
	TXN_ID_MAX = 255,
};

static err *list_of(struct req *rq, const struct json *body, str key, size_t most, const struct json **out)
{
	*out = json_get_array(body, key);
	if (!*out && json_get(body, key))
		return err_new(rq->arena, ERR_BAD_JSON, "%.*s is no list", STR_ARG(key));
	/* "They can have at most 50 PDUs and 100 EDUs." */
	if (*out && (*out)->array.n > most)
		return err_new(rq->arena, ERR_INVALID_PARAM, "A transaction has at most %zu %.*s", most, STR_ARG(key));
	return NULL;
}

/* What the body says of its origin is not asked: X-Matrix has proved who it is. */
static err *put_send(struct req *rq)
{
	struct inbound *in = rq->services->inbound;
	const struct json *body, *pdus, *edus;
	struct inbound_txn txn = { .origin = rq->origin, .txn_id = req_param(rq, "txnId") };
	str answer = STR_NONE;

	TRY(req_body_object(rq, &body));
	TRY(list_of(rq, body, S("pdus"), PDUS_MAX, &pdus));
	TRY(list_of(rq, body, S("edus"), EDUS_MAX, &edus));
	if (txn.txn_id.n > TXN_ID_MAX)
		return err_new(rq->arena, ERR_INVALID_PARAM, "The transaction's id is longer than %d bytes",
			       TXN_ID_MAX);
	/* Events alone need no look beforehand: what was answered before is found out where they are stored. */
	if (edus && edus->array.n > 0)
		TRY(inbound_answered(in, rq->arena, txn.origin, txn.txn_id, &answer));
	if (str_is_none(answer)) {
		txn.pdus = pdus ? (const struct json *const *)pdus->array.items : NULL;
		txn.n_pdus = pdus ? pdus->array.n : 0;
		/* First what is lost if it is not taken now: the events that were not taken come again. */
		TRY(edus_take(rq, edus));
		TRY(inbound_take(in, rq->arena, &txn, &answer));
	}
	reply_json_text(rq, 200, answer);
	return NULL;
}

const struct route server_transaction_routes[] = {
	{ "PUT", "/_matrix/federation/v1/send/{txnId}", put_send, AUTH_SERVER, RATE_NONE, LANE_FEDERATION, BODY_MAX },
	{ 0 },
};
