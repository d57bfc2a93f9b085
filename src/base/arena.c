/*
 * arena.c - memory freed as a whole.
 *
 * An arena is a chain of blocks. Pieces are cut from the current block; a piece too large for what is left of it either
 * begins a new block or, when it is large itself, gets a block of its own that leaves the current one in use. Blocks
 * double up to a bound, so that a response of megabytes costs few calls of malloc and a small request exactly one: the
 * arena's own header lies in its first block.
 *
 * Under AddressSanitizer every piece is malloc'ed alone (each is then a block with nothing left in it). Limits and
 * tests see the same arena_used() in both forms: it counts what was asked for.
 */
#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

#if defined(__SANITIZE_ADDRESS__)
#define ONE_BY_ONE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ONE_BY_ONE 1
#endif
#endif
#ifndef ONE_BY_ONE
#define ONE_BY_ONE 0
#endif

#define ALIGN       ((size_t)16)
#define FIRST_BLOCK ((size_t)8192 - 16) /* malloc's own header makes it two pages */
#define MAX_BLOCK   ((size_t)65536 - 16)

struct block {
	alignas(16) struct block *next;
};

struct arena {
	struct block *blocks; /* newest first; the first block is not among them: it holds this struct */
	char *at, *end;       /* what is left of the current block */
	size_t next_size;
	size_t used;
};

#define FIRST_AT ((sizeof(struct arena) + ALIGN - 1) & ~(ALIGN - 1))

static void out_of_memory(void)
{
	fputs("hearth: out of memory\n", stderr);
	abort();
}

static size_t round_up(size_t size) { return (size + ALIGN - 1) & ~(ALIGN - 1); }

static void begin(struct arena *a)
{
	a->blocks = NULL;
	a->at = (char *)a + FIRST_AT;
	a->end = ONE_BY_ONE ? a->at : (char *)a + FIRST_BLOCK;
	a->next_size = 2 * FIRST_BLOCK;
	a->used = 0;
}

struct arena *arena_new(void)
{
	struct arena *a = mem_alloc(ONE_BY_ONE ? FIRST_AT : FIRST_BLOCK);

	begin(a);
	return a;
}

static void free_blocks(struct arena *a)
{
	for (struct block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
}

void arena_free(struct arena **a)
{
	if (!a || !*a)
		return;
	free_blocks(*a);
	free(*a);
	*a = NULL;
}

void arena_reset(struct arena *a)
{
	free_blocks(a);
	begin(a);
}

size_t arena_used(const struct arena *a) { return a->used; }

static char *add_block(struct arena *a, size_t room)
{
	struct block *b = mem_alloc(sizeof(*b) + room);

	b->next = a->blocks;
	a->blocks = b;
	return (char *)(b + 1);
}

static __attribute__((noinline)) void *alloc_slow(struct arena *a, size_t size)
{
	char *p;

	if (ONE_BY_ONE || size >= a->next_size / 4)
		return add_block(a, size);
	p = add_block(a, a->next_size - sizeof(struct block));
	a->at = p + size;
	a->end = p + a->next_size - sizeof(struct block);
	a->next_size = MIN(2 * a->next_size, MAX_BLOCK);
	return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
	char *p = a->at;

	if (size > SIZE_MAX / 2)
		out_of_memory();
	a->used += size;
	if (!ONE_BY_ONE)
		size = round_up(size);
	if (ONE_BY_ONE || size > (size_t)(a->end - p))
		return alloc_slow(a, size);
	a->at = p + size;
	return p;
}

void *arena_zalloc(struct arena *a, size_t size) { return memset(arena_alloc(a, size), 0, size); }

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(n, size, &all))
		out_of_memory();
	return arena_zalloc(a, all);
}

void *arena_vec_grow(struct arena *a, void *p, size_t n, size_t *cap, size_t item)
{
	const size_t old = *cap, more = old ? 2 * old : 8;
	size_t bytes;
	char *grown;

	if (__builtin_mul_overflow(more, item, &bytes) || bytes > SIZE_MAX / 2)
		out_of_memory();
	*cap = more;
	/* The newest piece of the block grows where it is: the usual case of one list being filled. */
	if (!ONE_BY_ONE && old && (char *)p + round_up(old * item) == a->at &&
	    round_up(bytes) <= (size_t)(a->end - (char *)p)) {
		a->at = (char *)p + round_up(bytes);
		a->used += bytes - old * item;
		return p;
	}
	grown = arena_alloc(a, bytes);
	if (n)
		memcpy(grown, p, n * item);
	return grown;
}

str arena_keep(struct arena *a, str s) { return str_is_none(s) ? STR_NONE : (str){ arena_cstr(a, s), s.n }; }

char *arena_cstr(struct arena *a, str s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

str arena_vprintf(struct arena *a, const char *fmt, va_list args)
{
	va_list again;
	char *p;
	int n;

	assert(fmt != NULL);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, fmt, args);
	assert(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return (str){ p, (size_t)n };
}

str arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	str s;

	va_start(args, fmt);
	s = arena_vprintf(a, fmt, args);
	va_end(args);
	return s;
}

str arena_join2(struct arena *a, str x, str y) { return arena_join3(a, x, y, STR_NONE); }

str arena_join3(struct arena *a, str x, str y, str z)
{
	char *const p = arena_alloc(a, x.n + y.n + z.n + 1), *at = p;
	const str parts[] = { x, y, z };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (parts[i].n)
			memcpy(at, parts[i].p, parts[i].n);
		at += parts[i].n;
	}
	*at = '\0';
	return (str){ p, (size_t)(at - p) };
}

void *mem_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *mem_zalloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *mem_realloc(void *p, size_t size)
{
	void *q = realloc(p, size ? size : 1);

	if (!q)
		out_of_memory();
	return q;
}

void mem_free(void *p) { free(p); }

str str_keep(str s)
{
	char *p;

	if (str_is_none(s))
		return STR_NONE;
	p = mem_alloc(s.n + 1);
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (str){ p, s.n };
}
