/*
 * image_worker.c - the imager's child as the tests start it: the real keeper, sandbox and decoder, and workers that do
 * what a decoder does which was taken over, when they are asked for a thumbnail of certain sizes. Never built with
 * sanitizers, so that the sandbox is the one that is shipped.
 */
#include "image_worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/internal_imager.h"

enum { REPLY = 4 }; /* its descriptor (imager_child.c) */

static void wait_for_ever(void)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;

	pthread_mutex_lock(&m);
	for (;;)
		pthread_cond_wait(&c, &m);
}

static void compute_for_ever(void)
{
	for (volatile unsigned i = 0;; i++)
		;
}

/* Two gigabytes; a worker that is bounded falls on its face before. Hardly touched, so that it is done in no time. */
static void eat(void)
{
	for (unsigned i = 0; i < 2048; i++) {
		volatile char *p = malloc(1 << 20);

		if (!p)
			_exit(9);
		*p = 1;
	}
}

static void misbehave(uint32_t how, int out_fd)
{
	static char page[4096];
	char *const none[] = { NULL };
	struct stat st;

	switch (how) {
	case WORKER_MAPS_THE_RESULT:
		(void)mmap(NULL, sizeof(page), PROT_READ | PROT_WRITE, MAP_SHARED, out_fd, 0);
		break;
	case WORKER_SAYS_MUCH:
		(void)!write(REPLY, page, sizeof(page));
		break;
	case WORKER_SAYS_LITTLE:
		(void)!write(REPLY, page, 1);
		break;
	case WORKER_SAYS_NOTHING:
		(void)!write(REPLY, page, 0);
		break;
	case WORKER_WAITS:
		wait_for_ever();
		break;
	case WORKER_COMPUTES:
		compute_for_ever();
		break;
	case WORKER_EATS:
		eat();
		break;
	case WORKER_OPENS:
		(void)open("/etc/hostname", O_RDONLY | O_CLOEXEC);
		break;
	case WORKER_LOOKS:
		(void)stat("/etc/hostname", &st);
		break;
	case WORKER_CONNECTS:
		(void)socket(AF_INET, SOCK_STREAM, 0);
		break;
	case WORKER_EXECUTES:
		(void)execve("/bin/true", none, none);
		break;
	case WORKER_FORKS:
		if (fork() == 0)
			_exit(0);
		break;
	case WORKER_SIGNALS:
		(void)kill(getppid(), 0);
		break;
	case WORKER_TRACES:
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		break;
	case WORKER_MAKES_CODE:
		(void)mmap(NULL, sizeof(page), PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		break;
	case WORKER_TURNS_DATA_TO_CODE:
		(void)mprotect((void *)((uintptr_t)page & ~(uintptr_t)4095), sizeof(page), PROT_READ | PROT_EXEC);
		break;
	case WORKER_CRASHES:
		*(volatile int *)(uintptr_t)out_fd = 1;
		break;
	case WORKER_WRITES_MUCH:
		for (unsigned i = 0; i < 65536; i++)
			(void)!write(out_fd, page, sizeof(page));
		(void)!ftruncate(out_fd, 0);
		break;
	default:
		break;
	}
}

static void make(const struct imager_job *job, const uint8_t *image, int out_fd, struct imager_reply *out)
{
	static const char page[] = "<html><script>alert(1)</script></html>";
	struct imager_job real = *job;

	if (job->width < WORKER_FIRST) {
		imager_vips.make(job, image, out_fd, out);
		return;
	}
	misbehave(job->width, out_fd);
	if (job->width == WORKER_CRASHES_WHEN_IT_MOVES && job->animated) {
		(void)!write(out_fd, page, sizeof(page) - 1);
		misbehave(WORKER_CRASHES, out_fd);
	}
	if (job->width == WORKER_LIES) {
		*out = (struct imager_reply){
			.answer = IMAGER_MADE, .kind = IMAGE_PNG, .width = 9, .height = 9, .size = sizeof(page) - 1
		};
		(void)!write(out_fd, page, sizeof(page) - 1);
		return;
	}
	real.width = 40;
	imager_vips.make(&real, image, out_fd, out);
	if (job->width == WORKER_LIES_ABOUT_KIND)
		out->kind = out->kind == IMAGE_PNG ? IMAGE_JPEG : IMAGE_PNG;
	else if (job->width == WORKER_LIES_ABOUT_SIZE)
		out->width++;
	else if (job->width == WORKER_ADDS)
		out->size += (uint64_t)write(out_fd, page, sizeof(page) - 1);
	else if (job->width == WORKER_TELLS_NOTHING)
		_exit(0);
}

static bool open_vips(char *why, size_t size) { return imager_vips.open(why, size); }

int main(void)
{
	static const struct imager_work work = { open_vips, make };

	return imager_keep(&work);
}
