/* err.c - the one error type. */
#include <assert.h>
#include <stdarg.h>

#include "base/err.h"

static const struct {
	const char *errcode;
	int status;
} codes[] = { [ERR_NONE] = { "M_UNKNOWN", 500 },
#define X(code, st, text) [ERR_##code] = { text, st },
	      ERR_CODES(X)
#undef X
};

err *err_make(struct arena *a, enum err_code code, const char *where, const char *fmt, ...)
{
	err *e = ARENA_NEW(a, err);
	va_list args;

	assert(code > ERR_NONE && (size_t)code < ARRAY_LEN(codes));
	va_start(args, fmt);
	*e = (err){ .code = code, .where = where, .msg = arena_vprintf(a, fmt, args) };
	va_end(args);
	return e;
}

const char *err_errcode(enum err_code code)
{
	assert((size_t)code < ARRAY_LEN(codes));
	return codes[code].errcode;
}

int err_status(enum err_code code)
{
	assert((size_t)code < ARRAY_LEN(codes));
	return codes[code].status;
}

err *err_keep(struct arena *a, const err *e)
{
	err *copy;

	if (!e)
		return NULL;
	copy = ARENA_NEW(a, err);
	*copy = (err){
		.code = e->code,
		.where = e->where,
		.msg = arena_keep(a, e->msg),
		.extra = arena_keep(a, e->extra),
		.body = arena_keep(a, e->body),
		.detail = e->detail,
	};
	return copy;
}
