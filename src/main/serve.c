/*
 * serve.c - the life of the server: made from the settings, run until a signal, taken down without losing what it took.
 *
 * Signals are blocked in every thread and taken here, one at a time, so nothing runs inside a signal handler. A reload
 * swaps the settings for a merged copy; old ones are never freed, for handlers read them without a lock. That costs a
 * few kilobytes a reload, which is a person's act.
 */
#include "api/authenticate.h"
#include "api/routes.h"
#include "base/clock.h"
#include "cli/files.h"
#include "federation/outbox.h"
#include "main/server.h"

#include <netdb.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

enum { LOOK_S = 5 }; /* at the certificates */

/* A host's name stands for all its addresses; those that this machine cannot bind (IPv6 where there is none) are passed
 * over as long as one can be. */
static err *listen_on(struct server *s, struct http_listener *l)
{
	const struct addrinfo want = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
	err *refused = err_new(s->a, ERR_CONFIG, "%.*s is no address to listen on", STR_ARG(l->address));
	struct addrinfo *found = NULL;
	bool listening = false;

	if (getaddrinfo(arena_cstr(s->a, l->address), NULL, &want, &found) != 0)
		return refused;
	for (const struct addrinfo *it = found; it; it = it->ai_next) {
		char text[NI_MAXHOST];
		err *e;

		if (getnameinfo(it->ai_addr, it->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
			continue;
		l->address = arena_keep(s->a, str_c(text));
		e = http_listen(s->http, s->a, l);
		if (e) {
			refused = e;
			continue;
		}
		listening = true;
		log_info(s->log, "listening", F("address", l->address),
			 F("port", (int64_t)http_port(s->http, s->n_listening++)), F("tls", (int64_t)l->tls));
	}
	freeaddrinfo(found);
	return listening ? NULL : refused;
}

static err *start_listeners(struct server *s)
{
	const struct config *c = s->config;
	str cert = STR_NONE, key = STR_NONE;

	for (size_t i = 0; i < c->n_listeners; i++) {
		const struct config_listener *from = &c->listeners[i];
		struct http_listener l = {
			.address = from->address,
			.port = from->port,
			.tls = from->tls,
			.x_forwarded = from->x_forwarded,
			.trusted_proxies = from->trusted_proxies,
			.n_trusted_proxies = from->n_trusted_proxies,
			.no_gzip = from->no_gzip,
			.client = from->client,
			.federation = from->federation,
			.metrics = from->metrics,
			.health = from->health,
		};

		if (l.tls && str_is_none(cert))
			TRY(certificates_read(s, s->a, &cert, &key));
		l.cert_pem = cert;
		l.key_pem = key;
		TRY(listen_on(s, &l));
	}
	return NULL;
}

static err *start_http(struct server *s)
{
	const struct config_limits *limits = &s->config->limits;
	struct http_options opt = {
		.services = &s->services,
		.bus = s->services.bus,
		.log = s->log,
		.tables = api_route_tables,
		.authenticate = api_authenticate,
		.workers = { [LANE_FAST] = (unsigned)limits->workers_fast,
			     [LANE_SLOW] = (unsigned)limits->workers_slow,
			     [LANE_FEDERATION] = (unsigned)limits->workers_federation,
			     [LANE_REMOTE] = (unsigned)limits->workers_remote },
		.origin_running = (unsigned)s->config->federation.origin_running,
		.origin_waiting = (unsigned)s->config->federation.origin_waiting,
		.max_connections = (unsigned)limits->max_connections,
		.request_timeout_s = (unsigned)(limits->request_timeout / 1000),
		.statements_here = store_statements_here,
		.commits_here = store_commits_here,
		.sql_us_here = store_sql_us_here,
	};

	server_rates(s->config, opt.rates);
	TRY(http_start(s->a, &opt, &s->http));
	return start_listeners(s);
}

/* For a person who has just started it with nothing: where it is, where its data are, what to do next. */
static void greet(const struct server *s, const char *program)
{
	char folder[PATH_MAX];
	const str data = s->config->data_dir;
	AUTO_ARENA a = arena_new();

	if (!str_is_none(s->config->file))
		return;
	(void)printf("Hearth %s, server name %.*s\n"
		     "  address     http://%.*s:%u\n"
		     "  data        %s\n"
		     "  first user  %s user add NAME --admin\n"
		     "  stop        Ctrl-C\n",
		     HEARTH_VERSION, STR_ARG(s->config->server_name), STR_ARG(s->config->listeners[0].address),
		     http_port(s->http, 0), realpath(arena_cstr(a, data), folder) ? folder : arena_cstr(a, data),
		     program);
	(void)fflush(stdout);
}

static void log_notes(const struct server *s, const struct config_notes *notes)
{
	for (size_t i = 0; i < notes->list.n; i++)
		log_warn(s->log, "configuration", F("note", notes->list.p[i].text));
}

static void reload(struct server *s)
{
	struct config_notes notes = { 0 };
	struct rate_limit rates[RATE_CLASSES];
	const struct config *fresh;

	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_us());
	fresh = str_is_none(s->config->file) ? s->config : config_load(s->a, s->config->file, &notes);
	if (fresh) {
		s->config = config_merge(s->a, s->config, fresh, &notes);
		atomic_store(&s->services.config, s->config);
		log_setup(s->config->log_level, s->config->log_format);
		server_rates(s->config, rates);
		http_set_rates(s->http, rates);
		server_reload_federation(s);
	}
	log_notes(s, &notes);
	certificates_reload(s);
	if (fresh)
		log_info(s->log, "configuration reloaded");
	else
		log_error(s->log, "configuration not reloaded");
	(void)sd_notify(0, "READY=1");
}

static void wait_for_the_end(struct server *s, const sigset_t *signals)
{
	const struct timespec now_and_then = { .tv_sec = LOOK_S };

	for (;;) {
		const int got = sigtimedwait(signals, NULL, &now_and_then);

		if (got == SIGHUP)
			reload(s);
		else if (got < 0 && errno == EAGAIN)
			certificates_look(s);
		else if (got == SIGTERM || got == SIGINT)
			return;
	}
}

static err *run(struct server *s, const sigset_t *signals, const char *program)
{
	struct control_services on;

	TRY(server_open_services(s));
	TRY(start_http(s));
	outbox_start(s->services.outbox);
	on = (struct control_services){
		.users = s->services.users,
		.e2ee = s->services.e2ee,
		.fed = s->services.fed,
		.outbox = s->services.outbox,
	};
	TRY(control_start(s->a, s->config->data_dir, &on, s->log, &s->control));
	(void)sd_notify(0, "READY=1");
	greet(s, program);
	wait_for_the_end(s, signals);
	(void)sd_notify(0, "STOPPING=1");
	log_info(s->log, "stopping");
	return NULL;
}

/* Memory over the last bit of speed: threads share few heaps, and what large requests and answers took goes back to the
 * system (by itself, the library would learn to keep it: 700 MB after a burst of large bodies). */
static void tune_malloc(void)
{
	(void)mallopt(M_ARENA_MAX, 4);
	(void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
	(void)mallopt(M_TRIM_THRESHOLD, 4 << 20);
}

/* A connection is a descriptor, and the limit that a login shell begins with is a thousand. */
static void raise_descriptors(const struct server *s)
{
	enum { OTHERS = 3072 }; /* database, listeners, loops, other servers (federation.c) */
	const rlim_t need = (rlim_t)s->config->limits.max_connections + OTHERS;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= need)
		return;
	files.rlim_cur = MIN(need, files.rlim_max);
	if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < need)
		log_warn(s->log, "fewer descriptors than limits.max_connections needs",
			 F("may", (int64_t)files.rlim_cur), F("needs", (int64_t)need));
}

int serve(struct arena *a, const struct config *config, const struct config_notes *notes, const char *program)
{
	static const struct log root; /* nothing is inherited by every line */
	struct server s = { .a = a, .config = config, .log = &root };
	sigset_t signals;
	err *e;

	tune_malloc();
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
	drop_privileges();
	log_setup(config->log_level, config->log_format);
	log_notes(&s, notes);
	raise_descriptors(&s);

	e = run(&s, &signals, program);
	if (e)
		(void)fprintf(stderr, "%s: %.*s\n", program, STR_ARG(e->msg));
	control_stop(&s.control);
	server_stop_federation(&s);
	if (s.http)
		http_stop(&s.http, (unsigned)(s.config->limits.shutdown_timeout / 1000));
	server_close_services(&s);
	return e ? 1 : 0;
}
