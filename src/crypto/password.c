/*
 * password.c - password hashes.
 *
 * New ones are argon2id with OWASP's least recommended cost (19 MiB, two passes), in libsodium's text form. Accounts
 * that come from Synapse have bcrypt hashes of password and pepper; they are verified as Synapse does and replaced at
 * the next login. A user who does not exist has the empty hash: it costs as much as a real one, so that time does not
 * tell. All of them are of the password in Unicode's form NFKC, as Synapse has it: the same letters give the same hash
 * whichever keyboard they were typed on.
 */
#include <assert.h>
#include <crypt.h>
#include <sodium.h>
#include <uninorm.h>

#include "crypto/crypto.h"

#define MEMORY ((size_t)19 << 20)
#define PASSES 2u
/* bcrypt reads no more, and Synapse cuts there. */
#define BCRYPT_MAX 72

/* No password is longer (user/password.h); NFKC makes 33 bytes of 3 at most. */
enum { NORMAL_FROM = 512, NORMAL_MAX = NORMAL_FROM * 11 };

/* The password in NFKC, in `space`; as it is where it is no UTF-8, or longer than any. */
static str normal(str password, uint8_t space[NORMAL_MAX])
{
	size_t n = NORMAL_MAX;
	const uint8_t *made;

	if (password.n == 0)
		return S("");
	if (password.n > NORMAL_FROM)
		return password;
	made = u8_normalize(UNINORM_NFKC, (const uint8_t *)password.p, password.n, space, &n);
	assert(!made || made == space); /* it takes memory of its own only where the space does not do */
	return made ? (str){ (const char *)space, n } : password;
}

static size_t memory(bool cheap) { return cheap ? crypto_pwhash_MEMLIMIT_MIN : MEMORY; }

static unsigned long long passes(bool cheap) { return cheap ? crypto_pwhash_OPSLIMIT_MIN : PASSES; }

err *password_hash(struct arena *a, str password, bool cheap, str *out)
{
	char text[crypto_pwhash_STRBYTES];
	uint8_t space[NORMAL_MAX];
	int failed;

	password = normal(password, space);
	failed = crypto_pwhash_str_alg(text, password.p, password.n, passes(cheap), memory(cheap),
				       crypto_pwhash_ALG_ARGON2ID13);
	crypto_wipe(space, sizeof(space));
	if (failed)
		return err_new(a, ERR_INTERNAL, "No memory for a password hash");
	*out = arena_keep(a, str_c(text));
	return NULL;
}

static void spend_time(str password)
{
	static const unsigned char salt[crypto_pwhash_SALTBYTES] = "no such account";
	unsigned char key[32];
	volatile int ignored;

	ignored = crypto_pwhash(key, sizeof(key), password.p, password.n, salt, PASSES, MEMORY,
				crypto_pwhash_ALG_ARGON2ID13);
	(void)ignored;
	crypto_wipe(key, sizeof(key));
}

/* libsodium reads a hash up to its NUL. */
static bool to_text(str hash, char out[crypto_pwhash_STRBYTES])
{
	if (hash.n >= crypto_pwhash_STRBYTES || memchr(hash.p, '\0', hash.n))
		return false;
	memcpy(out, hash.p, hash.n);
	memset(out + hash.n, 0, crypto_pwhash_STRBYTES - hash.n);
	return true;
}

static bool is_bcrypt(str hash)
{
	return hash.n == 60 && str_starts(hash, S("$2")) && memchr("aby", hash.p[2], 3) && hash.p[3] == '$';
}

static bool verify_bcrypt(str hash, str password, str pepper)
{
	struct crypt_data *data;
	char setting[61], phrase[BCRYPT_MAX + 1] = { 0 };
	const size_t n = MIN(password.n, BCRYPT_MAX), more = MIN(pepper.n, BCRYPT_MAX - n);
	const char *made;
	bool same;

	if (n)
		memcpy(phrase, password.p, n);
	if (more)
		memcpy(phrase + n, pepper.p, more);
	/* crypt would stop at a NUL and accept any password with the same beginning. */
	if (memchr(phrase, '\0', n + more))
		return false;
	memcpy(setting, hash.p, hash.n);
	setting[hash.n] = '\0';
	data = MEM_NEW(struct crypt_data);
	/* Not crypt_r: AddressSanitizer has one of its own, and the linker then leaves libxcrypt out. */
	made = crypt_rn(phrase, setting, data, (int)sizeof(*data));
	same = made && str_eq_secret(str_c(made), hash);
	crypto_wipe(data, sizeof(*data));
	crypto_wipe(phrase, sizeof(phrase));
	mem_free(data);
	return same;
}

static bool verify(str hash, str password, str pepper)
{
	char text[crypto_pwhash_STRBYTES];

	if (hash.n == 0) {
		spend_time(password);
		return false;
	}
	if (is_bcrypt(hash))
		return verify_bcrypt(hash, password, pepper);
	if (!str_starts(hash, S("$argon2id$")) || !to_text(hash, text))
		return false;
	return crypto_pwhash_str_verify(text, password.p, password.n) == 0;
}

bool password_verify(str hash, str password, str pepper)
{
	uint8_t space[NORMAL_MAX];
	const bool good = verify(hash, normal(password, space), pepper);

	crypto_wipe(space, sizeof(space));
	return good;
}

bool password_needs_rehash(str hash, bool cheap)
{
	char text[crypto_pwhash_STRBYTES];

	if (!str_starts(hash, S("$argon2id$")) || !to_text(hash, text))
		return true;
	return crypto_pwhash_str_needs_rehash(text, passes(cheap), memory(cheap)) != 0;
}
