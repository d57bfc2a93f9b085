/* rand.h - randomness from the kernel; never fails. */
#pragma once

#include "base/arena.h"

void rand_bytes(void *p, size_t n);
uint64_t rand_u64(void);
/* n characters of [A-Za-z], or of [A-Za-z0-9]: uniform. */
str rand_alpha(struct arena *a, size_t n);
str rand_alnum(struct arena *a, size_t n);
