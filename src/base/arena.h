/*
 * arena.h - memory freed as a whole.
 *
 * One arena per request, PDU or sync response. Allocation never fails: running out of memory ends the process, which is
 * why every size a peer controls is checked against a limit before it reaches an arena. Under AddressSanitizer each
 * piece is malloc'ed alone, so that an overrun inside the arena is seen.
 */
#pragma once

#include <stdarg.h>

#include "base/str.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena **a); /* NULL and a NULL arena are fine; *a is NULL afterwards */
#define AUTO_ARENA CLEANUP(arena_free) struct arena *

/* Empties the arena and keeps its first block: what was allocated is gone. */
void arena_reset(struct arena *a);
/* Bytes handed out since arena_new/arena_reset: for limits and allocation tests. */
size_t arena_used(const struct arena *a);

/* Aligned to 16, contents undefined. A size of 0 gives a pointer that must not be read. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
void *arena_zalloc(struct arena *a, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
/* n * size, zeroed, checked for overflow. */
void *arena_calloc(struct arena *a, size_t n, size_t size) __attribute__((malloc, returns_nonnull));
#define ARENA_NEW(a, type)      ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_calloc((a), (n), sizeof(type)))

/* Copies into the arena; a NUL follows the copy (not counted). STR_NONE stays STR_NONE. */
str arena_keep(struct arena *a, str s);
str arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
str arena_vprintf(struct arena *a, const char *fmt, va_list args) PRINTF(2, 0);
/* NUL-terminated copy for libc's door. */
char *arena_cstr(struct arena *a, str s);
/* a followed by b (and c). */
str arena_join2(struct arena *a, str x, str y);
str arena_join3(struct arena *a, str x, str y, str z);

/* Outside arenas: memory with one owner. Never NULL; mem_free takes NULL. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t size) __attribute__((returns_nonnull));
void mem_free(void *p);
#define MEM_NEW(type) ((type *)mem_zalloc(sizeof(type)))
/* A copy with one owner (mem_free((void *)s.p)); STR_NONE stays STR_NONE. */
str str_keep(str s);

/*
 * VEC: a growing array in an arena.     VEC(str) names = { 0 };  vec_push(a, &names, S("x"));  names.p[i], names.n
 */
#define VEC(type)                                                                                                      \
	struct {                                                                                                       \
		type *p;                                                                                               \
		size_t n, cap;                                                                                         \
	}
#define vec_push(a, v, ...)                                                                                            \
	do {                                                                                                           \
		if ((v)->n == (v)->cap)                                                                                \
			(v)->p = arena_vec_grow((a), (v)->p, (v)->n, &(v)->cap, sizeof(*(v)->p));                      \
		(v)->p[(v)->n++] = (__VA_ARGS__);                                                                      \
	} while (0)
void *arena_vec_grow(struct arena *a, void *p, size_t n, size_t *cap, size_t item);
