/*
 * cross_signing.h - users' cross-signing keys, and signatures that only their maker sees.
 *
 * Keys are JSON as they are handed out, with every signature that everybody may see. Written in shard 0, as
 * store/device_keys.h. Strings in results live in the transaction's arena.
 */
#pragma once

#include "store/store.h"

struct cross_signing_row {
	int64_t user;
	str master, self_signing, user_signing; /* STR_NONE: none */
};
/* Of those who have any, in no order; the user-signing key is the viewer's alone. */
NODISCARD err *store_cross_signing(struct tx *tx, int64_t viewer, const int64_t *users, size_t n,
				   struct cross_signing_row **out, size_t *out_n);
NODISCARD err *store_cross_signing_get(struct tx *tx, int64_t user, struct cross_signing_row *out, bool *out_found);
NODISCARD err *store_cross_signing_save(struct tx *tx, const struct cross_signing_row *row);
/* Keys and signatures of and by the user. */
NODISCARD err *store_cross_signing_delete(struct tx *tx, int64_t user);

/* Signatures by devices that are gone leave the master key. */
NODISCARD err *store_cross_signing_forget_devices(struct tx *tx, int64_t user);
/* Is this the public key of one of the user's keys? No device may be called so. */
NODISCARD err *store_cross_signing_has(struct tx *tx, int64_t user, str public_key, bool *out);

/* A signature by the signer's user-signing key on the user's master key. */
struct user_signature_row {
	int64_t signer, user;
	str master;    /* the public key that was signed, as text */
	str key_id;    /* "ed25519:" and the user-signing key */
	str signature; /* base64 */
};
/* On these users' keys, and perhaps on others'. */
NODISCARD err *store_user_signatures(struct tx *tx, int64_t signer, const int64_t *users, size_t n,
				     struct user_signature_row **out, size_t *out_n);
/* Replaces an older one of the pair. */
NODISCARD err *store_user_signature_save(struct tx *tx, const struct user_signature_row *row);
NODISCARD err *store_user_signatures_delete_by(struct tx *tx, int64_t signer);
NODISCARD err *store_user_signatures_delete_of(struct tx *tx, int64_t user);
