/*
 * replay.c - runs a fuzzer's function over the files of folders, so that what was once found stays found: an ordinary
 * test.
 *
 *	fuzz_x STEP FOLDER...        every STEPth beginning of each file, too: 1 where a run costs little
 */
#include <dirent.h>
#include <stdio.h>

#include "base/buf.h"
#include "crypto/crypto.h"
#include "fuzz.h"

/* Alone in memory of exactly its size, so that the sanitizer sees a read beyond its end. */
static void run_alone(str input)
{
	char *copy = mem_alloc(input.n);

	if (input.n)
		memcpy(copy, input.p, input.n);
	(void)LLVMFuzzerTestOneInput((const uint8_t *)copy, input.n);
	mem_free(copy);
}

/* Each input, and its beginnings: cut short is the commonest damage. */
static void run_file(const char *path, size_t step)
{
	AUTO_BUF b = BUF_INIT(8 << 20);
	FILE *f = fopen(path, "rb");
	size_t n = 1;

	assert(f);
	while (n > 0) {
		char *to = buf_reserve(&b, 65536);

		assert(to);
		n = fread(to, 1, 65536, f);
		buf_commit(&b, n);
	}
	(void)fclose(f);
	run_alone(buf_str(&b));
	for (size_t cut = 0; cut < b.n && cut < 4096; cut += step)
		run_alone(str_head(buf_str(&b), cut));
}

int main(int argc, char **argv)
{
	int64_t step;
	size_t n = 0;

	crypto_init();
	assert(argc > 2 && str_to_i64(str_c(argv[1]), &step) && step > 0);
	for (int i = 2; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		const struct dirent *entry;

		assert(d);
		while ((entry = readdir(d))) {
			char path[1024];

			if (entry->d_name[0] == '.')
				continue;
			(void)snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			run_file(path, (size_t)step);
			n++;
		}
		(void)closedir(d);
	}
	(void)printf("%zu inputs\n", n);
	return n > 0 ? 0 : 1;
}
