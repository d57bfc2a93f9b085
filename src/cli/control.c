/*
 * control.c - the local socket: who may speak, and what may be asked.
 *
 * Requests: {"do": "add", "name", "password", "admin"}, {"do": "passwd", "name", "password", "logout"},
 * {"do": "list", "after"}, {"do": "e2ee-why", "name"}, and those of control_fed.c. The folder is 0700 and the socket
 * 0600; the credentials of the peer are looked at all the same, for a folder's permissions can be changed by mistake.
 * One thread serves one connection at a time: this is for one person at a keyboard. A path to the socket may be longer
 * than a socket's address can hold, so it is named through its folder's descriptor.
 */
#include "cli/internal_control.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "e2ee/why.h"
#include "json/writer.h"
#include "user/user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST_REQUEST = 64 * 1024, MOST_ANSWER = 4 << 20, PATIENCE_S = 30, PAGE = 1000 };

struct control {
	struct control_services services;
	const struct log *log;
	int fd, stop_fd, dir_fd;
	struct thread *thread;
};

static int open_folder(struct arena *a, str data_dir)
{
	return open(arena_cstr(a, data_dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static struct sockaddr_un address_in(int dir_fd)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/hearth.sock", dir_fd);
	return at;
}

/*
 * What may be asked
 */
static err *need_name(struct arena *a, const struct json *rq, str *out)
{
	*out = json_get_str(rq, S("name"));
	return str_is_empty(*out) ? err_new(a, ERR_MISSING_PARAM, "a name is missing") : NULL;
}

/* A name of ours need not be written out. */
static str full_id(struct arena *a, const struct control_services *on, str name)
{
	if (str_starts(name, S("@")))
		return name;
	return arena_printf(a, "@%.*s:%.*s", STR_ARG(name), STR_ARG(users_options(on->users)->server_name));
}

static err *do_add(struct arena *a, const struct control_services *on, const struct json *rq, struct jw *w)
{
	str name, user_id;

	TRY(need_name(a, rq, &name));
	TRY(users_add(on->users, a, name, json_get_str(rq, S("password")), json_get_bool(rq, S("admin"), false),
		      &user_id));
	jw_str(w, "user_id", user_id);
	return NULL;
}

static err *do_passwd(struct arena *a, const struct control_services *on, const struct json *rq, struct jw *w)
{
	const str password = json_get_str(rq, S("password"));
	str name;

	TRY(need_name(a, rq, &name));
	if (str_is_empty(password))
		return err_new(a, ERR_MISSING_PARAM, "a password is missing");
	name = full_id(a, on, name);
	TRY(users_set_password(on->users, a, name, password, json_get_bool(rq, S("logout"), true), STR_NONE));
	jw_str(w, "user_id", name);
	return NULL;
}

static err *do_list(struct arena *a, const struct control_services *on, const struct json *rq, struct jw *w)
{
	struct accounts list;

	TRY(users_list(on->users, a, json_get_str(rq, S("after")), PAGE, &list));
	jw_array(w, "users");
	for (size_t i = 0; i < list.n; i++) {
		const struct account *u = &list.p[i];

		jw_object(w, NULL);
		jw_str(w, "user_id", u->user_id);
		jw_bool(w, "admin", u->is_admin);
		jw_bool(w, "guest", u->is_guest);
		jw_bool(w, "locked", u->is_locked);
		jw_bool(w, "suspended", u->is_suspended);
		jw_bool(w, "password", u->has_password);
		jw_bool(w, "deactivated", u->deactivated_at != 0);
		jw_int(w, "created", u->created_at);
		jw_end(w);
	}
	jw_end(w);
	jw_bool(w, "more", list.n == PAGE);
	return NULL;
}

static err *do_e2ee_why(struct arena *a, const struct control_services *on, const struct json *rq, struct jw *w)
{
	struct why why;
	str name;

	TRY(need_name(a, rq, &name));
	TRY(e2ee_why(on->e2ee, a, full_id(a, on, name), clock_ms(), &why));
	why_write(w, &why);
	return NULL;
}

static err *run_request(struct arena *a, const struct control_services *on, str request, struct jw *w)
{
	static const struct {
		str name;
		control_fn *run;
	} verbs[] = { { STR("add"), do_add },
		      { STR("passwd"), do_passwd },
		      { STR("list"), do_list },
		      { STR("e2ee-why"), do_e2ee_why },
		      { STR("fed-status"), control_fed_status },
		      { STR("fed-retry"), control_fed_retry },
		      { STR("fed-reset"), control_fed_reset } };
	struct json *rq;

	TRY(json_parse(a, str_trim(request), &json_limits_request, &rq));
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (str_eq(json_get_str(rq, S("do")), verbs[i].name))
			return verbs[i].run(a, on, rq, w);
	}
	return err_new(a, ERR_UNRECOGNIZED, "the server does not know this request");
}

str control_answer(struct arena *a, const struct control_services *services, str request)
{
	AUTO_BUF out = BUF_INIT(MOST_ANSWER);
	struct jw w = jw_to(&out);
	err *e;

	jw_object(&w, NULL);
	e = run_request(a, services, request, &w); /* writes only when it succeeds */
	if (e)
		jw_str(&w, "error", e->msg);
	jw_end(&w);
	return jw_good(&w) ? arena_keep(a, buf_str(&out)) : S("{\"error\":\"the answer is too long\"}");
}

/*
 * A connection, from either side
 */
static void set_patience(int fd)
{
	const struct timeval t = { .tv_sec = PATIENCE_S };

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

/* False when nothing comes, or `stop_fd` (or -1) says that it is not waited for any longer. */
static bool wait_for_bytes(int fd, int stop_fd)
{
	struct pollfd on[] = { { .fd = fd, .events = POLLIN }, { .fd = stop_fd, .events = POLLIN } };
	int n;

	do
		n = poll(on, ARRAY_LEN(on), PATIENCE_S * 1000);
	while (n < 0 && errno == EINTR);
	return n > 0 && !on[1].revents;
}

/* What comes until a newline or the end; STR_NONE when it is too long, or never comes. */
static str receive_line(struct arena *a, int fd, int stop_fd, size_t most)
{
	AUTO_BUF b = BUF_INIT(most);
	ssize_t n;

	for (;;) {
		char *to = buf_reserve(&b, MIN((size_t)4096, most - b.n));

		if (!to || b.n == most)
			return STR_NONE;
		if (!wait_for_bytes(fd, stop_fd))
			return STR_NONE;
		n = recv(fd, to, MIN((size_t)4096, most - b.n), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return STR_NONE;
		buf_commit(&b, (size_t)n);
		if (n == 0 || b.p[b.n - 1] == '\n')
			return arena_keep(a, buf_str(&b));
	}
}

static bool send_line(int fd, str line)
{
	const str pieces[] = { line, S("\n") };

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		str left = pieces[i];

		while (left.n > 0) {
			const ssize_t n = send(fd, left.p, left.n, MSG_NOSIGNAL);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return false;
			left = str_from(left, (size_t)n);
		}
	}
	return true;
}

/*
 * The server's side
 */
static void serve_one(struct control *c, int fd)
{
	AUTO_ARENA a = arena_new();
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	str request;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || (peer.uid != 0 && peer.uid != geteuid())) {
		log_warn(c->log, "control socket refused a stranger", F("uid", (int64_t)peer.uid));
		return;
	}
	set_patience(fd);
	request = receive_line(a, fd, c->stop_fd, MOST_REQUEST);
	if (!str_is_none(request))
		(void)send_line(fd, control_answer(a, &c->services, request));
}

static void control_main(void *arg)
{
	struct control *c = arg;
	struct pollfd on[] = { { .fd = c->fd, .events = POLLIN }, { .fd = c->stop_fd, .events = POLLIN } };

	for (;;) {
		int fd;

		if (poll(on, ARRAY_LEN(on), -1) < 0 && errno != EINTR)
			return;
		if (on[1].revents)
			return;
		fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			serve_one(c, fd);
			(void)close(fd);
		}
	}
}

err *control_start(struct arena *a, str data_dir, const struct control_services *services, const struct log *log,
		   struct control **out)
{
	struct control *c = MEM_NEW(struct control);
	struct sockaddr_un at;

	c->services = *services;
	c->log = log;
	c->dir_fd = open_folder(a, data_dir);
	c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	at = address_in(c->dir_fd);
	if (c->dir_fd < 0 || c->stop_fd < 0 || c->fd < 0 ||
	    (unlinkat(c->dir_fd, "hearth.sock", 0) != 0 && errno != ENOENT) ||
	    bind(c->fd, (struct sockaddr *)&at, sizeof(at)) != 0 || fchmodat(c->dir_fd, "hearth.sock", 0600, 0) != 0 ||
	    listen(c->fd, 8) != 0) {
		err *e = err_new(a, ERR_CONFIG, "%.*s/hearth.sock: %s", STR_ARG(data_dir), strerror(errno));

		control_stop(&c);
		return e;
	}
	c->thread = thread_start("control", control_main, c);
	*out = c;
	return NULL;
}

void control_stop(struct control **cp)
{
	struct control *c = *cp;
	const uint64_t one = 1;

	if (!c)
		return;
	*cp = NULL;
	if (c->thread) {
		ssize_t n = write(c->stop_fd, &one, sizeof(one));

		(void)n; /* an eventfd at 0 takes a 1 */
		thread_join(&c->thread);
		(void)unlinkat(c->dir_fd, "hearth.sock", 0);
	}
	for (size_t i = 0; i < 3; i++) {
		const int fds[] = { c->fd, c->stop_fd, c->dir_fd };

		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
	mem_free(c);
}

/*
 * The command's side
 */
err *control_ask(struct arena *a, str data_dir, str request, str *out)
{
	const int dir_fd = open_folder(a, data_dir), fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_un at = address_in(dir_fd);
	str answer = STR_NONE;
	bool connected = false;
	int why = 0;

	if (dir_fd >= 0 && fd >= 0) {
		set_patience(fd);
		connected = connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
		why = errno;
		if (connected && send_line(fd, request))
			answer = receive_line(a, fd, -1, MOST_ANSWER + 1);
	} else {
		why = errno;
	}
	if (fd >= 0)
		(void)close(fd);
	if (dir_fd >= 0)
		(void)close(dir_fd);
	*out = STR_NONE;
	if (!connected && why != ENOENT && why != ECONNREFUSED)
		return err_new(a, ERR_CONFIG, "%.*s/hearth.sock: %s", STR_ARG(data_dir), strerror(why));
	if (!connected)
		return NULL;
	if (str_is_empty(answer))
		return err_new(a, ERR_CONFIG, "the server does not answer on %.*s/hearth.sock", STR_ARG(data_dir));
	*out = answer;
	return NULL;
}
