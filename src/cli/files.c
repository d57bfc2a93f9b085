/* files.c - small files, written so that a power cut leaves the old state or the new. */
#include "cli/files.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static str read_all(struct arena *a, int fd, size_t most)
{
	AUTO_BUF b = BUF_INIT(most + 8192);
	ssize_t n = 1;

	while (n > 0 && b.n <= most) {
		n = read(fd, buf_reserve(&b, 4096), 4096);
		if (n > 0)
			buf_commit(&b, (size_t)n);
	}
	if (b.n > most)
		errno = EFBIG;
	return n < 0 || b.n > most ? STR_NONE : arena_keep(a, buf_str(&b));
}

str file_read(struct arena *a, str path, size_t most)
{
	const int fd = open(arena_cstr(a, path), O_RDONLY | O_CLOEXEC);
	str text;
	int saved;

	if (fd < 0)
		return STR_NONE;
	text = read_all(a, fd, most);
	saved = errno;
	(void)close(fd);
	errno = saved;
	return text;
}

str file_read_input(struct arena *a, size_t most) { return read_all(a, STDIN_FILENO, most); }

static bool write_all(int fd, str bytes)
{
	while (bytes.n > 0) {
		const ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes = str_from(bytes, (size_t)n);
	}
	return fsync(fd) == 0;
}

static str folder_of(str path)
{
	const size_t slash = str_rfind(path, '/');

	return slash == path.n ? S(".") : slash == 0 ? S("/") : str_head(path, slash);
}

err *file_write_new(struct arena *a, str path, str bytes)
{
	const char *name = arena_cstr(a, path);
	const char *temp = arena_printf(a, "%.*s.%d.tmp", STR_ARG(path), (int)getpid()).p;
	int fd, why = 0;

	TRY(folder_make(a, folder_of(path)));
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_new(a, ERR_CONFIG, "%s: %s", temp, strerror(errno));
	if (!write_all(fd, bytes) || link(temp, name) != 0)
		why = errno;
	(void)close(fd);
	(void)unlink(temp);
	if (why)
		return err_new(a, ERR_CONFIG, "%s: %s", name, strerror(why));
	fd = open(arena_cstr(a, folder_of(path)), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd); /* the name; a file system that cannot is none of our making */
		(void)close(fd);
	}
	return NULL;
}

err *folder_make(struct arena *a, str path)
{
	const char *name = arena_cstr(a, path);
	struct stat st;

	if (path.n == 0 || (stat(name, &st) == 0 && S_ISDIR(st.st_mode)))
		return NULL;
	if (str_find(path, '/') < path.n && folder_of(path).n < path.n)
		TRY(folder_make(a, folder_of(path)));
	if (mkdir(name, 0700) != 0 && errno != EEXIST)
		return err_new(a, ERR_CONFIG, "cannot make the folder %s: %s", name, strerror(errno));
	return NULL;
}

err *folder_lock(struct arena *a, str path)
{
	const char *name = arena_join2(a, path, S("/hearth.lock")).p;
	const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_new(a, ERR_CONFIG, "%s: %s", name, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		(void)close(fd);
		return err_new(a, ERR_CONFIG, "another server uses the folder %.*s (%s is locked)", STR_ARG(path),
			       name);
	}
	return NULL; /* held, with the descriptor, until the process ends */
}
