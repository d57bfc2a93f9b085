/*
 * signing_key.c - reading and making the signing key.
 *
 * Losing the key means that the server can no longer prove that it is itself, so a file is never written over: a new
 * one is made beside it, synced, and linked to its name only if that is free.
 */
#include "cli/signing_key.h"

#include "base/b64.h"
#include "base/rand.h"
#include "cli/files.h"

#include <errno.h>
#include <unistd.h>

static err *parse_key(struct arena *a, str path, str line, struct signing_key *out)
{
	str rest = line, algorithm, version, seed_text = STR_NONE, seed;

	if (!str_split_next(&rest, ' ', &algorithm) || !str_split_next(&rest, ' ', &version) ||
	    !str_split_next(&rest, ' ', &seed_text) || !str_is_none(rest))
		return err_new(a, ERR_CONFIG, "%.*s: expected a line \"ed25519 VERSION KEY\"", STR_ARG(path));
	if (!str_eq(algorithm, S("ed25519")) || version.n == 0)
		return err_new(a, ERR_CONFIG, "%.*s: the key must be of the kind ed25519", STR_ARG(path));
	seed = b64_decode(a, seed_text);
	if (seed.n != 32)
		return err_new(a, ERR_CONFIG, "%.*s: the key is not 32 bytes in base64", STR_ARG(path));
	out->id = arena_join2(a, S("ed25519:"), version);
	ed25519_from_seed(&out->key, (const uint8_t *)seed.p);
	return NULL;
}

str signing_key_generate(struct arena *a)
{
	struct ed25519_key key;
	str line;

	ed25519_generate(&key);
	line = arena_join3(a, S("ed25519 a_"), rand_alpha(a, 4), S(" "));
	line = arena_join3(a, line, b64_encode(a, (str){ (const char *)key.seed, sizeof(key.seed) }), S("\n"));
	crypto_wipe(&key, sizeof(key));
	return line;
}

err *signing_key_load(struct arena *a, str path, bool create, struct signing_key *out)
{
	str text = file_read(a, path, 64 * 1024), line;

	if (str_is_none(text) && errno == ENOENT && create) {
		TRY(file_write_new(a, path, signing_key_generate(a)));
		text = file_read(a, path, 64 * 1024);
	}
	if (str_is_none(text))
		return err_new(a, ERR_CONFIG, "%.*s: cannot read the signing key: %s", STR_ARG(path), strerror(errno));
	while (str_split_next(&text, '\n', &line)) {
		if (str_trim(line).n > 0)
			return parse_key(a, path, str_trim(line), out);
	}
	return err_new(a, ERR_CONFIG, "%.*s: holds no key", STR_ARG(path));
}
