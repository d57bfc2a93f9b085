/*
 * control_fed.c - {"do": "fed-status", "name"}: what is known of a server that something is sent to, and what it was
 * sent that it would not take; without a name, of all that fail or that something waits for. {"do": "fed-retry"},
 * {"do": "fed-reset"}: the operator's wish that it be tried now, or as if it had never failed.
 */
#include "cli/internal_control.h"

#include "base/clock.h"
#include "base/map.h"
#include "federation/outbox.h"
#include "matrix/id.h"

static void write_status(struct jw *w, const struct outbox_status *s)
{
	const struct destination_status *d = &s->destination;

	jw_str(w, "server", d->server_name);
	jw_int(w, "failing_since", d->failing_since);
	jw_int(w, "retry_at", d->retry_at);
	jw_int(w, "last_success", d->last_success);
	if (!str_is_none(d->last_error))
		jw_str(w, "last_error", d->last_error);
	jw_int(w, "sent_upto", s->sent_upto);
	jw_int(w, "last_sent", s->last_sent);
	jw_int(w, "events_waiting", s->events_waiting);
	jw_int(w, "edus_waiting", s->edus_waiting);
	jw_bool(w, "catching_up", s->catching_up);
	jw_bool(w, "in_flight", s->in_flight);
	jw_int(w, "bad_events", (int64_t)s->bad_events);
}

static err *write_bad(struct arena *a, const struct control_services *on, str name, struct jw *w)
{
	struct outbox_bad *bad;
	size_t n;

	TRY(outbox_bad_events(on->outbox, a, name, &bad, &n));
	jw_array(w, "bad");
	for (size_t i = 0; i < n; i++) {
		jw_object(w, NULL);
		jw_str_or_null(w, "event_id", bad[i].event_id);
		jw_int(w, "at", bad[i].at);
		jw_int(w, "status", bad[i].status);
		jw_str(w, "error", bad[i].error);
		jw_end(w);
	}
	jw_end(w);
	return NULL;
}

static err *one(struct arena *a, const struct control_services *on, str name, struct jw *w)
{
	struct outbox_status s;

	TRY(outbox_status(on->outbox, a, name, &s));
	jw_int(w, "now", clock_ms());
	jw_array(w, "servers");
	jw_object(w, NULL);
	write_status(w, &s);
	TRY(write_bad(a, on, name, w));
	jw_end(w);
	jw_end(w);
	return NULL;
}

/* Those that the outbox has to do with, and those that others asked in vain. */
static err *all(struct arena *a, const struct control_services *on, struct jw *w)
{
	struct destination_status *failing;
	struct outbox_status *list;
	struct map named;
	size_t n, n_failing;

	map_init(&named, a);
	TRY(outbox_status_all(on->outbox, a, &list, &n));
	TRY(backoff_all(on->fed, a, &failing, &n_failing));
	jw_int(w, "now", clock_ms());
	jw_array(w, "servers");
	for (size_t i = 0; i < n; i++) {
		(void)map_put(&named, list[i].destination.server_name, &list[i]);
		jw_object(w, NULL);
		write_status(w, &list[i]);
		jw_end(w);
	}
	for (size_t i = 0; i < n_failing; i++) {
		if (map_get(&named, failing[i].server_name))
			continue;
		jw_object(w, NULL);
		write_status(w, &(struct outbox_status){ .destination = failing[i] });
		jw_end(w);
	}
	jw_end(w);
	return NULL;
}

static err *need_server(struct arena *a, const struct control_services *on, str name)
{
	if (!id_server_name_valid(name))
		return err_new(a, ERR_INVALID_PARAM, "this is no server's name");
	if (fed_is_own(on->fed, name))
		return err_new(a, ERR_INVALID_PARAM, "this is the server itself");
	return NULL;
}

err *control_fed_status(struct arena *a, const struct control_services *on, const struct json *rq, struct jw *w)
{
	const str name = json_get_str(rq, S("name"));

	if (str_is_none(name))
		return all(a, on, w);
	TRY(need_server(a, on, name));
	return one(a, on, name, w);
}

err *control_fed_retry(struct arena *a, const struct control_services *on, const struct json *rq, struct jw *w)
{
	const str name = json_get_str(rq, S("name"));

	TRY(need_server(a, on, name));
	if (on->offline)
		return err_new(a, ERR_CONFIG, "no server runs here; it tries when it is started");
	TRY(outbox_retry(on->outbox, a, name));
	jw_str(w, "server", name);
	return NULL;
}

err *control_fed_reset(struct arena *a, const struct control_services *on, const struct json *rq, struct jw *w)
{
	const str name = json_get_str(rq, S("name"));

	TRY(need_server(a, on, name));
	TRY(backoff_reset(on->fed, a, name));
	if (!on->offline) {
		/* Nothing has to have been sent there: others ask it, too. */
		const err *e = outbox_retry(on->outbox, a, name);

		(void)e;
	}
	jw_str(w, "server", name);
	return NULL;
}
