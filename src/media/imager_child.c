/*
 * imager_child.c - the keeper: loads libvips, forks a worker for each image, and sees to its end.
 *
 * Loading and initialising libvips costs some 40 ms; a fork of a process that has done so costs one. The keeper has one
 * thread, as every fork of it needs, and touches nothing that a stranger sent: it passes descriptors on. It waits on
 * the server's socket, on the reply sockets of its workers (whose other end is closed when nobody wants the result any
 * more: then the worker is killed) and on a descriptor for the end of children. A worker that ended without a reply is
 * told of by the keeper.
 *
 * It ends when the server does, or lets go of it. No worker outlives it.
 */
#include "media/imager.h"
#include "media/internal_imager.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct worker {
	pid_t pid; /* 0: none */
	int reply;
};
struct keeper {
	const struct imager_work *work;
	struct worker workers[IMAGER_MAX_JOBS];
	unsigned n;
	int children; /* signalfd */
};

static void say(int fd, const void *p, size_t n) { (void)!send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT); }

/*
 * The worker
 */
static _Noreturn void run(const struct keeper *k, const struct imager_job *job, const int fds[IMAGER_FDS])
{
	enum { OUT = 3, REPLY = 4 }; /* the keeper's own descriptors have these numbers: no job's has */
	struct imager_reply reply = { .answer = IMAGER_REFUSED };
	const uint8_t *image = mmap(NULL, job->size, PROT_READ, MAP_PRIVATE, fds[0], 0);
	sigset_t none;

	/* Of what it has inherited, only the result's file and the reply's socket stay. */
	if (image == MAP_FAILED || dup2(fds[1], OUT) < 0 || dup2(fds[2], REPLY) < 0 || close_range(5, ~0U, 0) != 0)
		_exit(1);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpriority(PRIO_PROCESS, 0, 5); /* whoever waits for a message comes first */
	if (!sandbox_enter(job))
		_exit(1);
	k->work->make(job, image, OUT, &reply);
	(void)!write(REPLY, &reply, sizeof(reply));
	_exit(0);
}

/*
 * The keeper
 */
static void forget(struct keeper *k, struct worker *w)
{
	(void)close(w->reply);
	*w = k->workers[--k->n];
	k->workers[k->n].pid = 0;
}

static struct worker *worker_of(struct keeper *k, pid_t pid)
{
	for (unsigned i = 0; i < k->n; i++)
		if (k->workers[i].pid == pid)
			return &k->workers[i];
	return NULL;
}

static void reap(struct keeper *k)
{
	struct signalfd_siginfo told;
	int status;
	pid_t pid;

	(void)!read(k->children, &told, sizeof(told));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct worker *w = worker_of(k, pid);

		if (!w)
			continue;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			const struct imager_reply died = { .answer = IMAGER_DIED,
							   .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0 };

			say(w->reply, &died, sizeof(died));
		}
		forget(k, w);
	}
}

static void start(struct keeper *k, const struct imager_job *job, const int fds[IMAGER_FDS])
{
	const pid_t keeper = getpid(), pid = fork();

	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == keeper)
			run(k, job, fds);
		_exit(1);
	}
	(void)close(fds[0]);
	(void)close(fds[1]);
	if (pid > 0) {
		k->workers[k->n++] = (struct worker){ pid, fds[2] };
		return;
	}
	say(fds[2], &(struct imager_reply){ .answer = IMAGER_NOT_BEGUN }, sizeof(struct imager_reply));
	(void)close(fds[2]);
}

/* False: the server is gone, or speaks another language. */
static bool take_job(struct keeper *k)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * IMAGER_FDS)];
	} control = { 0 };
	struct imager_job job;
	struct iovec iov = { &job, sizeof(job) };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	const ssize_t n = recvmsg(IMAGER_FD, &m, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fds[IMAGER_FDS];

	if (n < 0 && errno == EINTR)
		return true;
	if (n != (ssize_t)sizeof(job) || !c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(fds)))
		return false;
	memcpy(fds, CMSG_DATA(c), sizeof(fds));
	start(k, &job, fds);
	return true;
}

static bool wait_for_any(struct keeper *k)
{
	enum { SERVER, CHILDREN, FIRST };
	struct pollfd p[FIRST + IMAGER_MAX_JOBS];
	const unsigned n = k->n;
	int ready;

	p[SERVER] = (struct pollfd){ IMAGER_FD, n < IMAGER_MAX_JOBS ? POLLIN : 0, 0 };
	p[CHILDREN] = (struct pollfd){ k->children, POLLIN, 0 };
	for (unsigned i = 0; i < n; i++)
		p[FIRST + i] = (struct pollfd){ k->workers[i].reply, 0, 0 };
	ready = poll(p, FIRST + n, -1);
	if (ready < 0)
		return errno == EINTR;
	for (unsigned i = 0; i < n; i++)
		if (p[FIRST + i].revents)
			(void)kill(k->workers[i].pid, SIGKILL); /* not reaped yet: the number is still its own */
	if (p[CHILDREN].revents)
		reap(k);
	return p[SERVER].revents == 0 || take_job(k);
}

/* Where memory runs out, the server shall not be what has to go, and nobody else because of an image. */
static void come_first_when_memory_ends(void)
{
	const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "1000", 4);
	(void)close(fd);
}

/* Started by root it would have all rights again: execution gives them. */
static void drop_rights(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	(void)syscall(SYS_capset, &header, none);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int imager_keep(const struct imager_work *work)
{
	struct keeper k = { .work = work };
	struct imager_hello hello = { 0 };
	sigset_t child;

	(void)close_range(IMAGER_FD + 1, ~0U, 0);
	come_first_when_memory_ends();
	drop_rights();
	(void)sigfillset(&child); /* only its socket ends it: Ctrl-C is for the server, which ends what it began */
	(void)sigprocmask(SIG_SETMASK, &child, NULL);
	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	k.children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k.children != IMAGER_FD + 1)
		return 1;
	if (!work->open(hello.why, sizeof(hello.why)) || !sandbox_prepare(hello.why, sizeof(hello.why))) {
		say(IMAGER_FD, &hello, sizeof(hello));
		return 1;
	}
	say(IMAGER_FD, &hello, sizeof(hello));
	while (wait_for_any(&k))
		;
	return 0;
}

int imager_child_main(void) { return imager_keep(&imager_vips); }
