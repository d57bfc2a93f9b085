/* images.h - the images of tests/vectors/images, files in memory, and the child that decodes. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

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

static inline void image_png_chunk(struct buf *b, const char *type, const void *p, size_t n)
{
	const uint8_t length[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
	const uLong crc = crc32(crc32(0, (const Bytef *)type, 4), p, (uInt)n);
	const uint8_t sum[4] = { (uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc };

	buf_add(b, (str){ (const char *)length, 4 });
	buf_add(b, (str){ type, 4 });
	if (n)
		buf_add(b, (str){ p, n });
	buf_add(b, (str){ (const char *)sum, 4 });
}

/* The process that this one's threads started, if there is one. */
static inline pid_t child_of_this(void)
{
	DIR *tasks = opendir("/proc/self/task");
	pid_t found = 0;

	assert_non_null(tasks);
	for (const struct dirent *d; !found && (d = readdir(tasks));) {
		char path[300], line[64] = "";
		FILE *f;
		int64_t pid;

		snprintf(path, sizeof(path), "/proc/self/task/%s/children", d->d_name);
		f = fopen(path, "r");
		if (f && fgets(line, sizeof(line), f) && strchr(line, ' ') &&
		    str_to_i64((str){ line, (size_t)(strchr(line, ' ') - line) }, &pid))
			found = (pid_t)pid;
		if (f)
			fclose(f);
	}
	closedir(tasks);
	return found;
}
