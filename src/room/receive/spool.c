#include "room/receive/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 1 << 18, BLOCKS_MOST = 1024 };

/* In memory are blocks, whose addresses stay: a value never lies in two of them. Beyond `limit` positions count on into
 * the file. */
struct spool {
	char *folder; /* or NULL */
	size_t limit;
	char *blocks[BLOCKS_MOST];
	size_t n_blocks, in_last;
	int fd;
	uint64_t in_file;
};
#define FILE_FROM (UINT64_C(1) << 40)

struct spool *spool_new(str folder, size_t in_memory)
{
	struct spool *s = MEM_NEW(struct spool);

	s->folder = str_is_none(folder) ? NULL : (char *)mem_zalloc(folder.n + 1);
	if (s->folder)
		memcpy(s->folder, folder.p, folder.n);
	s->limit = s->folder ? MIN(in_memory, (size_t)BLOCK * BLOCKS_MOST) : (size_t)BLOCK * BLOCKS_MOST;
	s->fd = -1;
	return s;
}

void spool_free(struct spool **spool)
{
	struct spool *s = *spool;

	if (!s)
		return;
	for (size_t i = 0; i < s->n_blocks; i++)
		mem_free(s->blocks[i]);
	if (s->fd >= 0)
		close(s->fd);
	mem_free(s->folder);
	mem_free(s);
	*spool = NULL;
}

static bool fits_memory(const struct spool *s, size_t n)
{
	if (n > BLOCK || s->in_file)
		return false;
	if (s->n_blocks && s->in_last + n <= BLOCK)
		return true;
	return (s->n_blocks + 1) * (size_t)BLOCK <= s->limit;
}

static uint64_t put_memory(struct spool *s, str bytes)
{
	if (!s->n_blocks || s->in_last + bytes.n > BLOCK) {
		assert(s->n_blocks < BLOCKS_MOST);
		s->blocks[s->n_blocks++] = mem_alloc(BLOCK);
		s->in_last = 0;
	}
	char *at = s->blocks[s->n_blocks - 1] + s->in_last;
	memcpy(at, bytes.p, bytes.n);
	s->in_last += bytes.n;
	return (uint64_t)(s->n_blocks - 1) * BLOCK + (uint64_t)(at - s->blocks[s->n_blocks - 1]);
}

/* The folder's file system may know no files without a name. */
static int open_nameless(struct spool *s, struct arena *a)
{
	char *name = arena_cstr(a, arena_printf(a, "%s/spool-XXXXXX", s->folder));
	int fd = open(s->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		unlink(name);
	return fd;
}

static err *write_all(struct spool *s, struct arena *a, str bytes)
{
	size_t done = 0;

	while (done < bytes.n) {
		const ssize_t n = pwrite(s->fd, bytes.p + done, bytes.n - done, (off_t)(s->in_file + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_new(a, errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_STORE,
				       "what another server sent cannot be kept: %s", strerror(errno));
		done += (size_t)n;
	}
	s->in_file += bytes.n;
	return NULL;
}

err *spool_put(struct spool *s, struct arena *a, str bytes, uint64_t *out_at)
{
	if (fits_memory(s, bytes.n)) {
		*out_at = put_memory(s, bytes);
		return NULL;
	}
	if (!s->folder)
		return err_new(a, ERR_TOO_LARGE, "another server sent more than can be held");
	if (s->fd < 0)
		s->fd = open_nameless(s, a);
	if (s->fd < 0)
		return err_new(a, ERR_STORE, "no file can be made in %s: %s", s->folder, strerror(errno));
	*out_at = FILE_FROM + s->in_file;
	return write_all(s, a, bytes);
}

err *spool_get(struct spool *s, struct arena *a, uint64_t at, size_t n, str *out)
{
	size_t done = 0;
	char *p;

	if (at < FILE_FROM) {
		*out = (str){ s->blocks[at / BLOCK] + at % BLOCK, n };
		return NULL;
	}
	p = arena_alloc(a, n);
	while (done < n) {
		const ssize_t got = pread(s->fd, p + done, n - done, (off_t)(at - FILE_FROM + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return err_new(a, ERR_STORE, "what another server sent cannot be read again");
		done += (size_t)got;
	}
	*out = (str){ p, n };
	return NULL;
}
