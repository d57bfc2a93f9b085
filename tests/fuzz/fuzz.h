/* fuzz.h - one parser against any bytes: libFuzzer calls this with inputs of its own making, replay.c with those of the corpus. */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
