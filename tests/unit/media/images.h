/* images.h - the images of tests/vectors/images, and files in memory. */
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "test.h"

static inline int image_fd(str bytes)
{
	const int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n);
	return fd;
}

static inline str image_bytes(struct arena *a, int fd)
{
	const off_t n = lseek(fd, 0, SEEK_END);
	char *p = arena_alloc(a, (size_t)n);

	assert_true(pread(fd, p, (size_t)n, 0) == n);
	return (str){ p, (size_t)n };
}

static inline str image_file(struct arena *a, const char *name)
{
	const str path = arena_printf(a, "tests/vectors/images/%s", name);
	const int fd = open(path.p, O_RDONLY | O_CLOEXEC);
	str s;

	ok(fd >= 0, "no %s", path.p);
	s = image_bytes(a, fd);
	close(fd);
	return s;
}
