/* secretbox.h - bytes sealed with a key: secret and unchanged, or not opened at all (XSalsa20-Poly1305). */
#pragma once

#include "base/err.h"

/* The text grows by 40 bytes: a random nonce and the check. */
str secret_seal(struct arena *a, const uint8_t key[32], str text);
/* STR_NONE when it was not sealed with this key, or was changed. */
str secret_open(struct arena *a, const uint8_t key[32], str sealed);
