/*
 * seen.h - when and from where devices were last seen, written in batches.
 *
 * A request notes its device at most every SEEN_EVERY_MS; notes are collected and written together, at the latest with
 * the first request after SEEN_FLUSH_MS. A note that the store has no room for is dropped: the next one says the same.
 */
#pragma once

#include "base/str.h"

enum { SEEN_EVERY_MS = 5 * 60 * 1000, SEEN_FLUSH_MS = 30 * 1000 };

struct store;
struct seen_queue;

struct seen_queue *seen_new(struct store *st);
void seen_free(struct seen_queue **q); /* queues what is left */
void seen_note(struct seen_queue *q, int64_t user, str device_id, str ip, str agent, int64_t at_ms, int64_t mono_ms);
/* Writes what is due. Cheap when nothing is. */
void seen_tick(struct seen_queue *q, int64_t mono_ms);
