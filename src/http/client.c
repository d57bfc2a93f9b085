/* client.c - the service: its loops, and what it is told at the start. */
#include "http/internal_client.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_once(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	client_count_outcomes();
}

static unsigned or_else(unsigned value, unsigned otherwise) { return value ? value : otherwise; }

static void fill_in(struct client_options *o)
{
	o->loops = or_else(o->loops, CLIENT_LOOPS);
	o->max_running = or_else(o->max_running, CLIENT_MAX_RUNNING);
	o->max_per_host = or_else(o->max_per_host, CLIENT_MAX_PER_HOST);
	o->max_waiting = or_else(o->max_waiting, CLIENT_MAX_WAITING);
	o->max_idle = or_else(o->max_idle, CLIENT_MAX_IDLE);
	o->queue_ms = or_else(o->queue_ms, CLIENT_QUEUE_MS);
	o->connect_ms = or_else(o->connect_ms, CLIENT_CONNECT_MS);
	o->slow_ms = or_else(o->slow_ms, CLIENT_SLOW_MS);
}

err *client_new(struct arena *a, const struct client_options *opt, struct client **out)
{
	struct client *cl = ARENA_NEW(a, struct client);

	if (!str_is_none(opt->ca_file) && access(arena_cstr(a, opt->ca_file), R_OK) != 0)
		return err_new(a, ERR_CONFIG, "The authorities' certificates in %.*s cannot be read: %s",
			       STR_ARG(opt->ca_file), strerror(errno));
	pthread_once(&once, make_once);
	cl->log = opt->log;
	cl->opt = *opt;
	fill_in(&cl->opt);
	cl->user_agent = arena_cstr(a, opt->user_agent);
	if (!str_is_none(opt->dns_servers))
		cl->dns_servers = arena_cstr(a, opt->dns_servers);
	/* Else what OpenSSL's own programs go by, where the system's authorities are not wanted. */
	cl->ca_file = str_is_none(opt->ca_file) ? secure_getenv("SSL_CERT_FILE") : arena_cstr(a, opt->ca_file);
	cl->loops = ARENA_ARRAY(a, struct client_loop, cl->opt.loops);
	for (unsigned i = 0; i < cl->opt.loops; i++)
		client_loop_start(&cl->loops[i], cl);
	*out = cl;
	return NULL;
}

void client_stop(struct client *cl)
{
	for (unsigned i = 0; i < cl->opt.loops; i++)
		client_loop_stop(&cl->loops[i]);
}

void client_free(struct client **cl)
{
	if (!*cl)
		return;
	for (unsigned i = 0; i < (*cl)->opt.loops; i++)
		client_loop_done(&(*cl)->loops[i]);
	*cl = NULL;
}
