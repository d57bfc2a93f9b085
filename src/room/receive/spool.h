/*
 * spool.h - bytes that are read again later, too many to hold in memory.
 *
 * The first of them stay in memory; what comes after goes into a file without a name, which is gone with the process.
 */
#pragma once

#include "base/err.h"

struct spool;
/* folder: where the file is made; STR_NONE: everything stays in memory. in_memory: bytes, before there is a file. */
struct spool *spool_new(str folder, size_t in_memory);
void spool_free(struct spool **s);
/* One thread at a time. *out_at: for spool_get. ERR_DISK_FULL; ERR_STORE: the file cannot be made. */
NODISCARD err *spool_put(struct spool *s, struct arena *a, str bytes, uint64_t *out_at);
/* Any thread, also beside a spool_put of others; in arena a, or borrowed until spool_free. */
NODISCARD err *spool_get(struct spool *s, struct arena *a, uint64_t at, size_t n, str *out);
