/* b64.h - base64 (RFC 4648) as Matrix writes it: unpadded; and lower-case hex. */
#pragma once

#include "base/arena.h"

str b64_encode(struct arena *a, str bytes);    /* standard alphabet, no padding */
str b64url_encode(struct arena *a, str bytes); /* URL-safe alphabet, no padding */
/* With or without padding; STR_NONE for anything else (stray characters, wrong length). Bits left over in the last
 * character are ignored: peers exist that leave them set. b64_decode takes the letters of both alphabets. */
str b64_decode(struct arena *a, str text);
str b64url_decode(struct arena *a, str text);
str hex_encode(struct arena *a, str bytes);
void hex_write(char *out, str bytes);      /* 2 * bytes.n + 1 characters: the last is NUL */
str hex_decode(struct arena *a, str text); /* STR_NONE when it is not hex */
int hex_digit(char c);                     /* of either case; -1: it is none */
