/*
 * imager.c - the server's side of the imager: who may have a worker, how a job reaches it, what to believe of its
 * reply.
 *
 *     caller -- head looked at -- turn -- job --> keeper -- fork --> worker
 *        ^                                                             |
 *        +---- result looked at <------------- reply socket -----------+
 *
 * A few workers are at work at once; who comes then waits for a turn, for a bounded time. The reply socket is made for
 * the job: its closing, on this side, tells the keeper to kill the worker; on the other, that there is none any more.
 * A keeper that is gone is started again, and the job sent once more.
 *
 * Nothing that a worker says is believed further than this: its result is copied, since the worker may still be there
 * and write; the copy is walked over like any image that comes from outside, and must be bare, of the kind and size
 * that were told, and no larger than what was wanted. Whatever a worker does with its reply's socket is its own end and
 * no one else's: that the keeper is gone is seen by the keeper's socket alone.
 */
#include "media/imager.h"

#include "base/clock.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "media/internal_imager.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MAX_OUT = 16 << 20,      /* bytes of a thumbnail */
	MAX_MOVING = 8 << 20,    /* pixels of all frames of one that moves */
	START_MS = 20000,        /* for the keeper to be ready */
	RETRY_US = 60 * 1000000, /* when it could not be started */
	GRACE_MS = 2000,         /* a worker's own clock ends it first, so that the reason is known */
	/* What a worker may take: for itself and its threads' stacks, and for each pixel in and out. */
	MEMORY_BASE = 192 << 20,
	MEMORY_PIXEL_IN = 14,
	MEMORY_PIXEL_OUT = 32,
};

enum outcome { MADE, REFUSED, DIED, LATE, BUSY, UNAVAILABLE, OUTCOMES };

struct imager {
	struct imager_options opt;
	struct lock lock;
	struct cond changed; /* a turn is over; the keeper has started, or not */
	unsigned running;    /* workers, of opt.children */
	bool starting, stopping;
	int socket; /* to the keeper; -1: there is none */
	pid_t keeper;
	uint64_t generation;  /* of the keeper */
	int64_t no_start_til; /* clock_mono_us: it could not be started */
	bool complained;
};
static struct metric *outcomes[OUTCOMES], *seconds, *now_at_work, *starts;

/* Metrics live for ever, services do not. */
static void register_metrics(void)
{
	static const char *const labels[OUTCOMES] = {
		[MADE] = "outcome=\"made\"", [REFUSED] = "outcome=\"refused\"",
		[DIED] = "outcome=\"died\"", [LATE] = "outcome=\"late\"",
		[BUSY] = "outcome=\"busy\"", [UNAVAILABLE] = "outcome=\"unavailable\"",
	};

	if (seconds)
		return;
	metric_counters(outcomes, OUTCOMES, "hearth_thumbnails_total", "Thumbnails asked of the process that decodes",
			labels);
	seconds = metric_histogram("hearth_thumbnail_seconds", "Making a thumbnail, waiting included", "");
	now_at_work = metric_gauge("hearth_image_workers", "Images being decoded", "");
	starts = metric_counter("hearth_image_keeper_starts_total", "Starts of the process that decodes", "");
}

struct imager *imager_new(const struct imager_options *opt)
{
	struct imager *im = MEM_NEW(struct imager);

	im->opt = *opt;
	im->opt.program = opt->program ? opt->program : "/proc/self/exe";
	im->opt.children = opt->children > 0 ? MIN(opt->children, (unsigned)IMAGER_MAX_JOBS) : 2;
	im->opt.max_pixels = opt->max_pixels > 0 ? opt->max_pixels : 32 << 20;
	im->opt.max_frames = opt->max_frames > 0 ? opt->max_frames : 256;
	im->opt.time_ms = opt->time_ms > 0 ? opt->time_ms : 10000;
	im->opt.wait_ms = opt->wait_ms > 0 ? opt->wait_ms : 20000;
	im->opt.max_bytes = opt->max_bytes > 0 ? opt->max_bytes : 256 << 20;
	im->socket = -1;
	lock_init(&im->lock, RANK_SERVICE);
	cond_init(&im->changed);
	register_metrics();
	return im;
}

/* With the lock, or alone. Its workers end with it. */
static void stop_keeper(struct imager *im)
{
	if (im->socket < 0)
		return;
	(void)close(im->socket);
	(void)kill(im->keeper, SIGKILL);
	while (waitpid(im->keeper, NULL, 0) < 0 && errno == EINTR)
		;
	im->socket = -1;
}

void imager_stop(struct imager *im)
{
	LOCKED(&im->lock);
	im->stopping = true;
	stop_keeper(im);
	cond_broadcast(&im->changed);
}

void imager_rest(struct imager *im)
{
	LOCKED(&im->lock);
	if (im->running == 0)
		stop_keeper(im);
}

void imager_free(struct imager **im)
{
	if (!*im) /* the server did not get as far */
		return;
	assert((*im)->running == 0);
	stop_keeper(*im);
	cond_done(&(*im)->changed);
	lock_done(&(*im)->lock);
	mem_free(*im);
	*im = NULL;
}

/*
 * Errors
 */
static err *failed(struct arena *a, enum imager_failure why, const char *what)
{
	err *e = err_new(a, why == IMAGER_NOT_NOW ? ERR_BUSY : ERR_UNKNOWN,
			 "Cannot generate thumbnails for the requested content: %s", what);

	e->detail = why;
	return e;
}

static err *too_large(struct arena *a)
{
	err *e = err_new(a, ERR_TOO_LARGE, "Content is too large to thumbnail");

	e->detail = IMAGER_BAD_IMAGE;
	return e;
}

/* Not the client's fault, and no reason to ask again soon. */
static err *unavailable(struct arena *a)
{
	err *e = err_new(a, ERR_UNKNOWN, "Cannot generate thumbnails: this server cannot decode images now");

	e->detail = IMAGER_NOT_NOW;
	return e;
}

/*
 * What comes from outside, and what comes back
 */
static err *look(const struct imager *im, struct arena *a, int fd, struct image_head *out, uint64_t *out_size)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size <= 0)
		return failed(a, IMAGER_BAD_IMAGE, "it is empty");
	if (st.st_size > im->opt.max_bytes)
		return too_large(a);
	if (!image_head_read(image_read_fd, &fd, (uint64_t)st.st_size, out))
		return failed(a, IMAGER_BAD_IMAGE, "it is no image of a kind that this server knows");
	if (out->hard)
		return failed(a, IMAGER_BAD_IMAGE, "it was made to be hard to decode");
	if ((int64_t)out->width > im->opt.max_pixels / out->height)
		return too_large(a);
	*out_size = (uint64_t)st.st_size;
	return NULL;
}

static struct image_seen seen_of(const struct image_head *h)
{
	const bool turned = image_turned(h);

	return (struct image_seen){ .content_type = image_kind_type(h->kind),
				    .width = turned ? h->height : h->width,
				    .height = turned ? h->width : h->height,
				    .frames = h->frames,
				    .bare = h->bare };
}

err *imager_probe(struct imager *im, struct arena *a, int fd, struct image_seen *out)
{
	struct image_head head;
	uint64_t size;

	TRY(look(im, a, fd, &head, &size));
	*out = seen_of(&head);
	return NULL;
}

/* part / whole of n, to the nearest, at least 1. */
static uint32_t scaled(uint64_t n, uint64_t part, uint64_t whole)
{
	return (uint32_t)MAX((n * part + whole / 2) / whole, 1U);
}

void imager_size(const struct image_seen *seen, const struct image_want *want, uint32_t *out_width,
		 uint32_t *out_height)
{
	const uint64_t w = seen->width, h = seen->height;
	/* The wanted rectangle is flatter than the image: then its width covers it, and its height is what it fits. */
	const bool flatter = want->width * h > want->height * w;
	const uint64_t part = flatter == want->crop ? want->width : want->height, whole = flatter == want->crop ? w : h;

	*out_width = part < whole ? scaled(w, part, whole) : seen->width;
	*out_height = part < whole ? scaled(h, part, whole) : seen->height;
	if (want->crop) {
		*out_width = MIN(*out_width, want->width);
		*out_height = MIN(*out_height, want->height);
	}
}

/* Does it move, and is there little enough of it to be made to move when it is small? */
static bool shall_move(const struct imager *im, const struct image_head *h, const struct image_want *want)
{
	const struct image_seen seen = seen_of(h);
	uint32_t width, height;

	if (!want->animated || h->frames < 2 || h->frames > im->opt.max_frames ||
	    (h->kind != IMAGE_GIF && h->kind != IMAGE_WEBP) ||
	    (int64_t)h->width * h->height > 2 * im->opt.max_pixels / h->frames)
		return false;
	imager_size(&seen, want, &width, &height);
	return (int64_t)width * height <= MAX_MOVING / h->frames;
}

static bool read_copy(void *ctx, uint64_t at, void *p, size_t n)
{
	const str *bytes = ctx;

	if (at > bytes->n || n > bytes->n - at)
		return false;
	memcpy(p, bytes->p + at, n);
	return true;
}

static bool copy_result(struct arena *a, int fd, const struct imager_reply *r, str *out)
{
	struct stat st;
	char *p;

	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != r->size || r->size == 0 || r->size > MAX_OUT)
		return false;
	p = arena_alloc(a, r->size);
	*out = (str){ p, r->size };
	return image_read_fd(&fd, 0, p, r->size);
}

static bool is_what_was_wanted(str bytes, const struct imager_job *job, const struct imager_reply *r)
{
	struct image_head h;

	return image_head_read(read_copy, &bytes, bytes.n, &h) && h.bare && h.kind == r->kind && h.kind != IMAGE_GIF &&
	       (h.frames == 1 || job->animated) && h.width == r->width && h.height == r->height &&
	       h.width <= job->width && h.height <= job->height;
}

/*
 * Turns
 */
static bool take_turn(struct imager *im)
{
	const int64_t deadline = clock_mono_us() + (int64_t)im->opt.wait_ms * 1000;

	LOCKED(&im->lock);
	while (im->running == im->opt.children && !im->stopping)
		if (!cond_wait_until(&im->changed, &im->lock, deadline) && im->running == im->opt.children)
			return false;
	metric_set(now_at_work, ++im->running);
	return true;
}

static void end_turn(struct imager *im)
{
	LOCKED(&im->lock);
	metric_set(now_at_work, --im->running);
	cond_broadcast(&im->changed);
}

/*
 * The keeper
 */
static pid_t spawn(const struct imager *im, int socket)
{
	static char name[] = "hearth", command[] = IMAGER_COMMAND, arenas[] = "MALLOC_ARENA_MAX=1", lang[] = "LC_ALL=C";
	char libraries[4096];
	const char *path = getenv("LD_LIBRARY_PATH");
	char *const argv[] = { name, command, NULL };
	char *env[] = { arenas, lang, NULL, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t set;
	pid_t pid = -1;

	if (path && (size_t)snprintf(libraries, sizeof(libraries), "LD_LIBRARY_PATH=%s", path) < sizeof(libraries))
		env[2] = libraries;
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawnattr_init(&attr);
	(void)sigfillset(&set);
	if (posix_spawnattr_setsigdefault(&attr, &set) != 0 ||
	    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF) != 0 ||
	    posix_spawn_file_actions_adddup2(&files, socket, IMAGER_FD) != 0 ||
	    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0) != 0 ||
	    posix_spawn_file_actions_adddup2(&files, 0, 1) != 0 ||
	    posix_spawn_file_actions_adddup2(&files, 0, 2) != 0 ||
	    posix_spawn(&pid, im->opt.program, &files, &attr, argv, env) != 0)
		pid = -1;
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&files);
	return pid;
}

enum received { GOT, NONSENSE, GONE, NOTHING };

/* One message of exactly n bytes within the time. GONE: nobody has the other end; or somebody sent nothing. */
static enum received receive(int fd, void *p, size_t n, int64_t timeout_ms)
{
	const int64_t deadline = clock_mono_ms() + timeout_ms;
	struct pollfd poll_fd = { fd, POLLIN, 0 };
	ssize_t got;
	int ready;

	do
		ready = poll(&poll_fd, 1, (int)MAX(deadline - clock_mono_ms(), 0));
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return NOTHING;
	got = recv(fd, p, n, MSG_TRUNC);
	return got <= 0 ? GONE : got == (ssize_t)n ? GOT : NONSENSE;
}

static void complain(struct imager *im, const char *why)
{
	im->no_start_til = clock_mono_us() + RETRY_US;
	if (!im->complained)
		log_warn(im->opt.log, "thumbnails cannot be made; tried again when asked for, told only once",
			 F("why", why));
	im->complained = true;
}

/* Without the lock; `starting` keeps others away. *out_socket is -1 when it did not come up. */
static void start_keeper(struct imager *im, int *out_socket, pid_t *out_pid, struct imager_hello *hello)
{
	int ends[2];

	*out_socket = -1;
	(void)snprintf(hello->why, sizeof(hello->why), "it cannot be started");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return;
	*out_pid = spawn(im, ends[1]);
	(void)close(ends[1]);
	if (*out_pid > 0 && receive(ends[0], hello, sizeof(*hello), START_MS) == GOT) {
		hello->why[sizeof(hello->why) - 1] = '\0';
		*out_socket = ends[0];
	}
	if (*out_socket >= 0 && !hello->why[0])
		return;
	(void)close(ends[0]);
	*out_socket = -1;
	if (*out_pid > 0) {
		(void)kill(*out_pid, SIGKILL);
		while (waitpid(*out_pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

/* With the lock, which is let go of meanwhile. */
static bool have_keeper(struct imager *im)
{
	while (im->starting)
		cond_wait(&im->changed, &im->lock);
	if (im->socket >= 0)
		return true;
	if (im->stopping || clock_mono_us() < im->no_start_til)
		return false;
	struct imager_hello hello;
	pid_t pid = -1;
	int fd;

	im->starting = true;
	lock_drop(&im->lock);
	start_keeper(im, &fd, &pid, &hello);
	lock_take(&im->lock);
	im->starting = false;
	cond_broadcast(&im->changed);
	if (fd < 0) {
		complain(im, hello.why);
		return false;
	}
	im->socket = fd;
	im->keeper = pid;
	im->generation++;
	metric_add(starts, 1);
	if (im->stopping)
		stop_keeper(im);
	return !im->stopping;
}

static bool send_job(int to, const struct imager_job *job, const int fds[IMAGER_FDS])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * IMAGER_FDS)];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)job, sizeof(*job) };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * IMAGER_FDS);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * IMAGER_FDS);
	return sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*job);
}

/* Is the keeper of that generation gone? Then it is given up, unless another thread has seen so already. */
static bool keeper_is_gone(struct imager *im, uint64_t generation)
{
	LOCKED(&im->lock);
	struct pollfd p = { im->socket, 0, 0 };

	if (im->generation == generation && im->socket >= 0 && poll(&p, 1, 0) == 0)
		return false;
	if (im->generation == generation)
		stop_keeper(im);
	return true;
}

static enum outcome outcome_of(enum received got, const struct imager_reply *r)
{
	if (got != GOT)
		return got == NOTHING ? LATE : DIED;
	switch (r->answer) {
	case IMAGER_MADE:
		return MADE;
	case IMAGER_DIED:
		return DIED;
	case IMAGER_NOT_BEGUN:
		return UNAVAILABLE;
	default:
		return REFUSED;
	}
}

/*
 * One job, in a turn. False: the keeper was gone. A worker that is late is killed: that is what closing the reply's
 * socket means.
 */
static bool try_job(struct imager *im, const struct imager_job *job, int in_fd, int out_fd, enum outcome *out,
		    struct imager_reply *reply)
{
	enum received got = GONE;
	uint64_t generation;
	int ends[2];
	bool sent;

	*out = UNAVAILABLE;
	lock_take(&im->lock);
	if (!have_keeper(im) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		lock_drop(&im->lock);
		return true;
	}
	generation = im->generation;
	sent = send_job(im->socket, job, (const int[IMAGER_FDS]){ in_fd, out_fd, ends[1] });
	lock_drop(&im->lock);
	(void)close(ends[1]);
	if (sent)
		got = receive(ends[0], reply, sizeof(*reply), (int64_t)job->wall_s * 1000 + GRACE_MS);
	(void)close(ends[0]);
	if (got == GONE && keeper_is_gone(im, generation))
		return false;
	if (sent)
		*out = outcome_of(got, reply);
	return true;
}

static err *answer_of(struct imager *im, struct arena *a, enum outcome *outcome, const struct imager_job *job,
		      struct imager_reply *r, int out_fd, struct image_made *out)
{
	str bytes = STR_NONE;

	r->why[sizeof(r->why) - 1] = '\0';
	if (*outcome == MADE && (!copy_result(a, out_fd, r, &bytes) || !is_what_was_wanted(bytes, job, r))) {
		log_error(im->opt.log, "an image's worker gave something else than a thumbnail",
			  F("type", image_kind_type(job->kind)), F("bytes", (int64_t)job->size));
		*outcome = DIED;
		return failed(a, IMAGER_TOO_HARD, "decoding failed");
	}
	switch (*outcome) {
	case MADE:
		*out = (struct image_made){ image_kind_type(r->kind), r->width, r->height, bytes };
		return NULL;
	case REFUSED:
		log_debug(im->opt.log, "an image was refused", F("why", (const char *)r->why));
		if (r->answer == IMAGER_TOO_MUCH)
			return failed(a, IMAGER_TOO_HARD, "the thumbnail would be too large");
		return failed(a, IMAGER_BAD_IMAGE, "it is damaged, or of a kind that this server does not know");
	case DIED:
	case LATE:
		log_warn(im->opt.log, "an image's worker was stopped", F("type", image_kind_type(job->kind)),
			 F("bytes", (int64_t)job->size), F("signal", *outcome == LATE ? (int64_t)SIGALRM : r->signal));
		return failed(a, IMAGER_TOO_HARD, "decoding failed");
	default:
		return unavailable(a);
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

/* In a turn. */
static err *do_job(struct imager *im, struct arena *a, const struct imager_job *job, int in_fd, struct image_made *out)
{
	enum outcome outcome = UNAVAILABLE;
	struct imager_reply reply;
	bool done = false;
	err *e = NULL;

	/* Twice: the keeper may have ended since the last. Each time into a file of its own: a worker that was
	 * given up may write for a moment still. */
	for (int i = 0; !done && i < 2; i++) {
		CLEANUP(close_fd) int file = memfd_create("thumbnail", MFD_CLOEXEC);

		reply = (struct imager_reply){ 0 };
		outcome = UNAVAILABLE;
		done = file < 0 || try_job(im, job, in_fd, file, &outcome, &reply);
		if (done)
			e = answer_of(im, a, &outcome, job, &reply, file, out);
	}
	metric_add(outcomes[outcome], 1);
	return done ? e : unavailable(a);
}

static struct imager_job job_for(const struct imager *im, const struct image_head *head, uint64_t size,
				 const struct image_want *want, bool moving)
{
	const uint64_t pixels_in = (uint64_t)head->width * head->height,
		       pixels_out = moving ? MAX_MOVING : MIN((uint64_t)want->width * want->height, pixels_in);
	const uint32_t time_s = MAX((im->opt.time_ms + 999) / 1000, 1U);

	return (struct imager_job){ .size = size,
				    .max_pixels = (uint64_t)im->opt.max_pixels,
				    .max_out = MAX_OUT,
				    .memory = MEMORY_BASE + MEMORY_PIXEL_IN * pixels_in + MEMORY_PIXEL_OUT * pixels_out,
				    .kind = head->kind,
				    .width = want->width,
				    .height = want->height,
				    .time_s = time_s,
				    .wall_s = 2 * time_s, /* others want the processor, too */
				    .crop = want->crop,
				    .animated = moving };
}

err *imager_thumbnail(struct imager *im, struct arena *a, int in_fd, const struct image_want *want,
		      struct image_made *out)
{
	const int64_t began = clock_mono_us();
	struct imager_job job;
	struct image_head head;
	uint64_t size;
	err *e;

	assert(want->width > 0 && want->width <= UINT16_MAX && want->height > 0 && want->height <= UINT16_MAX);
	assert(!lock_any_held());
	TRY(look(im, a, in_fd, &head, &size));
	job = job_for(im, &head, size, want, shall_move(im, &head, want));
	if (!take_turn(im)) {
		metric_add(outcomes[BUSY], 1);
		return failed(a, IMAGER_NOT_NOW, "too many are being made");
	}
	e = do_job(im, a, &job, in_fd, out);
	/* Too much of it, or damaged further on: its first picture may do. */
	if (e && job.animated && e->detail != IMAGER_NOT_NOW) {
		job = job_for(im, &head, size, want, false);
		e = do_job(im, a, &job, in_fd, out);
	}
	end_turn(im);
	metric_observe_us(seconds, clock_mono_us() - began);
	return e;
}
