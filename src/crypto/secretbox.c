/* secretbox.c - bytes sealed with a key. */
#include "crypto/secretbox.h"

#include <sodium.h>

enum { OVERHEAD = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES };

str secret_seal(struct arena *a, const uint8_t key[32], str text)
{
	unsigned char *p = arena_alloc(a, text.n + OVERHEAD);

	_Static_assert(crypto_secretbox_KEYBYTES == 32, "the key is 32 bytes");
	randombytes_buf(p, crypto_secretbox_NONCEBYTES);
	crypto_secretbox_easy(p + crypto_secretbox_NONCEBYTES, (const unsigned char *)text.p, text.n, p, key);
	return (str){ (char *)p, text.n + OVERHEAD };
}

str secret_open(struct arena *a, const uint8_t key[32], str sealed)
{
	const unsigned char *p = (const unsigned char *)sealed.p;
	unsigned char *text;

	if (sealed.n < OVERHEAD)
		return STR_NONE;
	text = arena_alloc(a, sealed.n - OVERHEAD + 1);
	if (crypto_secretbox_open_easy(text, p + crypto_secretbox_NONCEBYTES, sealed.n - crypto_secretbox_NONCEBYTES, p,
				       key) != 0)
		return STR_NONE;
	return (str){ (char *)text, sealed.n - OVERHEAD };
}
