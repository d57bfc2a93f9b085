/*
 * files.c - contents on disk.
 *
 * Two worlds have to agree, rows and files, and no commit spans them. What keeps them together is tmp/, a journal of
 * what is on its way (files.h), and that a number belongs to one content for ever: a sweep that removes the file of
 * number 17 cannot harm an upload of the same bytes at the same moment, for that one comes as 18. So no lock is held
 * over a commit, and several processes may share the folder.
 *
 * Who writes a file in tmp/ holds its flock, until the file is in place or gone: a lock that is free says that its
 * writer died, or left it on purpose. Order of what must be durable: bytes and name in tmp/, then the commit; the move
 * into place may be lost, for then the file is still in tmp/.
 */
#include "media/files.h"

#include "base/b64.h"
#include "crypto/crypto.h"
#include "store/media.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is written is handed to the disk every so many bytes, so that the last fsync of a large file is short. */
enum { WRITE_BEHIND = 8 << 20 };
enum { NAME_MAX_LEN = 128 };

struct files {
	int dir_fd, tmp_fd;
};

struct new_file {
	struct files *files;
	struct sha256 *digest; /* NULL: sealed */
	int64_t content, size;
	uint8_t hash[32];
	int fd;
	bool failed, settled; /* settled: in place, or left */
};

struct name {
	char p[NAME_MAX_LEN];
};

/* A number in tmp/. */
static struct name name_tmp(int64_t content)
{
	struct name n;

	(void)snprintf(n.p, sizeof(n.p), "%" PRId64, content);
	return n;
}

/* "a/bc/abcd...-17"; with parts 1 and 2, the folders: 4096 in all, so that a new store is not busy making them, and a
 * folder of a store of ten million files has some 2,500. */
static struct name name_place(int64_t content, const uint8_t hash[32], unsigned parts)
{
	struct name n;
	char hex[65];

	hex_write(hex, (str){ (const char *)hash, 32 });
	if (parts == 1)
		(void)snprintf(n.p, sizeof(n.p), "%.1s", hex);
	else if (parts == 2)
		(void)snprintf(n.p, sizeof(n.p), "%.1s/%.2s", hex, hex + 1);
	else
		(void)snprintf(n.p, sizeof(n.p), "%.1s/%.2s/%s-%" PRId64, hex, hex + 1, hex, content);
	return n;
}

static err *failed(struct arena *a, const char *what)
{
	const int no = errno;

	if (no == ENOSPC || no == EDQUOT || no == EFBIG)
		return err_new(a, ERR_DISK_FULL, "The server has no room left for files");
	if (no == EMFILE || no == ENFILE)
		return err_new(a, ERR_BUSY, "The server has too many files open");
	return err_new(a, ERR_STORE, "media: %s: %s", what, strerror(no));
}

static err *folder(struct arena *a, int at, const char *path, int *out_fd)
{
	if (mkdirat(at, path, 0700) != 0 && errno != EEXIST)
		return err_new(a, ERR_CONFIG, "%s: %s", path, strerror(errno));
	*out_fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out_fd >= 0 ? NULL : err_new(a, ERR_CONFIG, "%s: %s", path, strerror(errno));
}

/* Folders above `path`, where they are missing. */
static void make_above(struct arena *a, str path)
{
	for (size_t i = 1; i < path.n; i++)
		if (path.p[i] == '/')
			(void)mkdir(arena_cstr(a, str_head(path, i)), 0700); /* what is wrong shows in the last one */
}

err *files_new(struct arena *a, str dir, struct files **out)
{
	struct files *f = MEM_NEW(struct files);
	err *e;

	f->dir_fd = f->tmp_fd = -1;
	make_above(a, dir);
	e = folder(a, AT_FDCWD, arena_cstr(a, dir), &f->dir_fd);
	if (!e)
		e = folder(a, f->dir_fd, "tmp", &f->tmp_fd);
	if (e) {
		files_free(&f);
		return e;
	}
	*out = f;
	return NULL;
}

void files_free(struct files **f)
{
	if (!*f)
		return;
	if ((*f)->tmp_fd >= 0)
		close((*f)->tmp_fd);
	if ((*f)->dir_fd >= 0)
		close((*f)->dir_fd);
	mem_free(*f);
	*f = NULL;
}

/* From tmp/ to its place. What goes wrong, the next files_settle tries again. */
static void move_in(struct files *f, int64_t content, const uint8_t hash[32])
{
	const struct name tmp = name_tmp(content), place = name_place(content, hash, 3);

	if (renameat(f->tmp_fd, tmp.p, f->dir_fd, place.p) == 0 || errno != ENOENT)
		return;
	(void)mkdirat(f->dir_fd, name_place(content, hash, 1).p, 0700);
	(void)mkdirat(f->dir_fd, name_place(content, hash, 2).p, 0700);
	(void)renameat(f->tmp_fd, tmp.p, f->dir_fd, place.p);
}

/* Between its making and its lock, files_settle may have taken the file for a dead one and removed it. */
static err *make_locked(struct files *f, struct arena *a, const char *name, int *out_fd)
{
	for (;;) {
		const int fd = openat(f->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		struct stat st;

		if (fd < 0)
			return failed(a, "a new file");
		if (flock(fd, LOCK_EX) != 0 || fstat(fd, &st) != 0) {
			err *e = failed(a, "a lock on a new file");

			(void)unlinkat(f->tmp_fd, name, 0);
			close(fd);
			return e;
		}
		*out_fd = fd;
		if (st.st_nlink > 0)
			return NULL;
		close(fd);
	}
}

err *new_file_begin(struct files *f, struct arena *a, int64_t content, struct new_file **out)
{
	struct new_file *n;
	int fd = -1;

	TRY(make_locked(f, a, name_tmp(content).p, &fd));
	n = MEM_NEW(struct new_file);
	*n = (struct new_file){ .files = f, .digest = sha256_begin(), .content = content, .fd = fd };
	*out = n;
	return NULL;
}

int64_t new_file_size(const struct new_file *n) { return n->size; }

err *new_file_write(struct new_file *n, struct arena *a, str bytes)
{
	const int64_t before = n->size;

	assert(n->digest && !n->failed);
	sha256_add(n->digest, bytes);
	while (bytes.n > 0) {
		const ssize_t done = write(n->fd, bytes.p, bytes.n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0) {
			n->failed = true;
			return failed(a, "writing");
		}
		bytes = str_from(bytes, (size_t)done);
		n->size += done;
	}
	if (before / WRITE_BEHIND != n->size / WRITE_BEHIND)
		(void)sync_file_range(n->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return NULL;
}

err *new_file_seal(struct new_file *n, struct arena *a, uint8_t out_hash[32])
{
	assert(n->digest && !n->failed);
	if (fdatasync(n->fd) != 0 || fsync(n->files->tmp_fd) != 0) {
		n->failed = true;
		return failed(a, "fsync");
	}
	sha256_end(&n->digest, n->hash);
	memcpy(out_hash, n->hash, 32);
	return NULL;
}

static bool is_there(struct files *f, int64_t content, const uint8_t hash[32])
{
	return faccessat(f->dir_fd, name_place(content, hash, 3).p, F_OK, 0) == 0 ||
	       faccessat(f->tmp_fd, name_tmp(content).p, F_OK, 0) == 0;
}

/* Where the other one's file was lost, this one brings it back: into tmp/ and no further, for by now that other one's
 * row may be gone, too, and the next files_settle decides. */
static bool bring_back(struct new_file *n, int64_t content)
{
	const int tmp = n->files->tmp_fd;

	return !is_there(n->files, content, n->hash) &&
	       renameat(tmp, name_tmp(n->content).p, tmp, name_tmp(content).p) == 0 && fsync(tmp) == 0;
}

void new_file_keep(struct new_file *n, int64_t content)
{
	assert(!n->digest);
	if (content != n->content) {
		n->settled = bring_back(n, content);
		return;
	}
	n->settled = true;
	move_in(n->files, content, n->hash);
}

void new_file_leave(struct new_file *n) { n->settled = true; }

void new_file_drop(struct new_file **np)
{
	struct new_file *n = *np;

	if (!n)
		return;
	if (!n->settled)
		(void)unlinkat(n->files->tmp_fd, name_tmp(n->content).p, 0);
	close(n->fd);
	sha256_end(&n->digest, NULL);
	mem_free(n);
	*np = NULL;
}

/* It may move from one place to the other between two looks, but not twice. */
err *files_open(struct files *f, struct arena *a, int64_t content, const uint8_t hash[32], int *out_fd)
{
	const struct name place = name_place(content, hash, 3), tmp = name_tmp(content);
	int fd = -1;

	for (unsigned look = 0; fd < 0 && look < 3; look++) {
		fd = openat(look == 1 ? f->tmp_fd : f->dir_fd, look == 1 ? tmp.p : place.p, O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT)
			return failed(a, "opening");
	}
	*out_fd = fd;
	return NULL;
}

void files_set_aside(struct files *f, int64_t content, const uint8_t hash[32])
{
	(void)renameat(f->dir_fd, name_place(content, hash, 3).p, f->tmp_fd, name_tmp(content).p);
}

void files_put_back(struct files *f, int64_t content, const uint8_t hash[32]) { move_in(f, content, hash); }

/* Another process may have put it back meanwhile (files_settle, before the row was gone). */
void files_remove(struct files *f, int64_t content, const uint8_t hash[32])
{
	(void)unlinkat(f->tmp_fd, name_tmp(content).p, 0);
	(void)unlinkat(f->dir_fd, name_place(content, hash, 3).p, 0);
}

/* Holding its lock: who wrote it is done, and so is the commit. */
static err *settle_one(struct files *f, struct arena *a, struct store *st, int64_t content)
{
	struct store_contents found;
	AUTO_TX tx = NULL;

	TRY(store_read(st, a, &tx));
	TRY(store_contents_find(tx, &content, 1, &found));
	if (found.n == 1 && found.p[0].hash.n == 32)
		files_put_back(f, content, (const uint8_t *)found.p[0].hash.p);
	else
		(void)unlinkat(f->tmp_fd, name_tmp(content).p, 0);
	return NULL;
}

static err *settle_all(struct files *f, struct arena *a, struct store *st, DIR *d)
{
	const struct dirent *it;

	while ((it = readdir(d))) {
		int64_t content;
		err *e = NULL;
		int fd;

		if (!str_to_i64(str_c(it->d_name), &content))
			continue;
		fd = openat(f->tmp_fd, it->d_name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			e = settle_one(f, a, st, content);
		close(fd);
		TRY(e);
	}
	return NULL;
}

err *files_settle(struct files *f, struct arena *a, struct store *st)
{
	const int fd = openat(f->tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	err *e;

	if (!d) {
		e = failed(a, "looking through tmp/");
		if (fd >= 0)
			close(fd);
		return e;
	}
	e = settle_all(f, a, st, d);
	closedir(d);
	return e;
}
