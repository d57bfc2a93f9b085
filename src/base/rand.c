/* rand.c - randomness from the kernel. */
#include <assert.h>
#include <errno.h>
#include <sys/random.h>

#include "base/rand.h"

void rand_bytes(void *p, size_t n)
{
	for (char *at = p; n;) {
		const ssize_t got = getrandom(at, n, 0);

		/* Only an interrupted wait for the pool at boot is no fault of ours. */
		assert(got > 0 || errno == EINTR);
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		}
	}
}

uint64_t rand_u64(void)
{
	uint64_t v;

	rand_bytes(&v, sizeof(v));
	return v;
}

/* Uniform: bytes from the last, incomplete run of the alphabet are thrown away. */
static str rand_text(struct arena *a, size_t n, str alphabet)
{
	const unsigned limit = 256 - 256 % (unsigned)alphabet.n;
	char *p = arena_alloc(a, n + 1);
	unsigned char raw[64];
	size_t done = 0;

	while (done < n) {
		rand_bytes(raw, sizeof(raw));
		for (size_t i = 0; i < sizeof(raw) && done < n; i++)
			if (raw[i] < limit)
				p[done++] = alphabet.p[raw[i] % alphabet.n];
	}
	p[n] = '\0';
	return (str){ p, n };
}

str rand_alpha(struct arena *a, size_t n)
{
	return rand_text(a, n, S("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"));
}

str rand_alnum(struct arena *a, size_t n)
{
	return rand_text(a, n, S("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"));
}
