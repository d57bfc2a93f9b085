/*
 * internal_imager.h - what passes between the server and the child that decodes, and the child's own parts: media/
 * alone.
 *
 * The server executes itself as `hearth image-worker` with a socket (SOCK_SEQPACKET) as descriptor 3. That process, the
 * *keeper*, loads libvips and then never looks at an image: for each job that comes it forks a *worker*, which gives up
 * everything and decodes. A job carries three descriptors: the image, the file for the result, and a socket for the
 * reply. Whoever lets go of that socket's other end has the worker killed.
 *
 * What is on the child's side of the line (imager_child.c, imager_sandbox.c, imager_vips.c) uses nothing but libc,
 * libseccomp and libvips, and takes no memory after the fork but what libvips takes.
 */
#pragma once

#include "media/image_head.h"

enum {
	IMAGER_FD = 3,
	IMAGER_FDS = 3, /* of a job: image, result, reply */
	IMAGER_MAX_JOBS = 64,
	IMAGER_WHY = 160,
};

/* One for each keeper, when it is ready; `why` is empty when it can work. */
struct imager_hello {
	char why[IMAGER_WHY];
};
struct imager_job {
	uint64_t size; /* of the image's file, bytes */
	uint64_t max_pixels, max_out;
	uint64_t memory; /* bytes of address space beyond what it begins with */
	enum image_kind kind;
	uint32_t width, height;  /* wanted */
	uint32_t time_s, wall_s; /* of CPU; in all */
	bool crop, animated;
};
enum imager_answer {
	IMAGER_MADE = 1,
	IMAGER_REFUSED,   /* the image */
	IMAGER_TOO_MUCH,  /* it can be made, but not as large as that */
	IMAGER_DIED,      /* said by the keeper, as is the next */
	IMAGER_NOT_BEGUN, /* there is no worker */
};
struct imager_reply {
	enum imager_answer answer;
	enum image_kind kind;
	int32_t signal; /* that ended it; 0: it ended by itself */
	uint32_t width, height;
	uint64_t size;
	char why[IMAGER_WHY];
};

/* The work itself: a table, so that a test can put in its own. */
struct imager_work {
	bool (*open)(char *why, size_t size); /* once, before any fork */
	/* In the sandbox. Writes to out_fd, fills in `out`. */
	void (*make)(const struct imager_job *job, const uint8_t *image, int out_fd, struct imager_reply *out);
};
extern const struct imager_work imager_vips;
/* The keeper: until the other end of IMAGER_FD is closed. */
int imager_keep(const struct imager_work *work);

/*
 * The sandbox. Prepared by the keeper; entered by a worker, for ever: afterwards it computes, allocates memory up to
 * the limit, starts threads, writes to descriptors it has, and ends. Whatever else it tries ends it.
 */
bool sandbox_prepare(char *why, size_t size);
bool sandbox_enter(const struct imager_job *job);
