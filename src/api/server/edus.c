/* edus.c - see edus.h. Server-Server API, "EDUs". */
#include "api/server/edus.h"

#include <pthread.h>

#include "base/metrics.h"
#include "http/http.h"

static const struct {
	str type;
	edu_handler *run;
	const char *labels[2]; /* taken; refused */
} types[] = {
#define EDU(type, fn)                                                                                                  \
	{                                                                                                              \
		STR(type), fn, { "type=\"" type "\",outcome=\"taken\"", "type=\"" type "\",outcome=\"refused\"" }      \
	}
	EDU("m.typing", edu_typing),
	EDU("m.receipt", edu_receipt),
	EDU("m.presence", edu_presence),
	EDU("m.direct_to_device", edu_to_device),
	EDU("m.device_list_update", edu_device_list),
	EDU("m.signing_key_update", edu_signing_key),
};
enum { TYPES = ARRAY_LEN(types) };

static struct metric *counters[TYPES][2], *ignored;

static void register_metrics(void)
{
	static const char name[] = "hearth_federation_edus_received_total", help[] = "EDUs that other servers sent";

	for (size_t i = 0; i < TYPES; i++)
		for (size_t k = 0; k < 2; k++)
			counters[i][k] = metric_counter(name, help, types[i].labels[k]);
	ignored = metric_counter(name, help, "type=\"other\",outcome=\"ignored\"");
}

/* What is this server's failure, and may go well another time. */
static bool is_ours(const err *e) { return e->code == ERR_STORE || e->code == ERR_BUSY; }

static err *take(struct req *rq, const struct json *json)
{
	const struct edu edu = {
		.arena = rq->arena,
		.services = rq->services,
		.log = rq->log,
		.origin = rq->origin,
		.type = json_get_str(json, S("edu_type")),
		.content = json_get_object(json, S("content")),
	};
	size_t i = 0;
	err *e;

	while (i < TYPES && !str_eq(types[i].type, edu.type))
		i++;
	if (i == TYPES || !edu.content) {
		metric_add(ignored, 1);
		return NULL;
	}
	e = types[i].run(&edu);
	metric_add(counters[i][e != NULL], 1);
	if (!e)
		return NULL;
	log_info(rq->log, "EDU refused", F("origin", edu.origin), F("type", edu.type), F("why", e->msg));
	return is_ours(e) ? e : NULL;
}

err *edus_take(struct req *rq, const struct json *edus)
{
	static pthread_once_t registered = PTHREAD_ONCE_INIT;

	pthread_once(&registered, register_metrics);
	JSON_ITEMS (edus, i)
		TRY(take(rq, edus->array.items[i]));
	return NULL;
}
