/*
 * pieces.h - how much of a long work is written at once.
 *
 * What brings a whole room, or takes one away, writes it in pieces, between which the writer is others' (store.h: none
 * may hold it over 20 ms). How many rows take how long is found out on the way; and however quick the disk, a piece has
 * no more than so many rows, and so many bytes, for the next one may be slower.
 */
#pragma once

#include "base/metrics.h"
#include "store/store.h"

enum { PIECE_BYTES = 1 << 20 };

/* A piece: kept by who queues it, set by the run of it that counted. */
struct piece_run {
	int64_t began_us, took_us;
	uint64_t statements;
};
struct pieces {
	size_t most; /* rows of one */
	size_t rows; /* the next has at most so many */
	/* so far */
	size_t n;
	uint64_t most_statements;
	int64_t longest_us;
	struct metric *times; /* a histogram, or NULL */
	/* For tests: on the writer's thread, in each piece, after its work; or NULL. */
	void (*each)(void *ctx, const struct piece_run *run);
	void *ctx;
};

void pieces_init(struct pieces *p, size_t most);
/* On the writer's thread, around the work. */
void piece_begin(struct piece_run *run);
void piece_end(const struct pieces *p, struct piece_run *run);
/* The piece of so many rows is on disk. */
void pieces_learn(struct pieces *p, const struct piece_run *run, size_t rows);
