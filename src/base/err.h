/*
 * err.h - the one error type.
 *
 * NULL is good. An error is made where it happens, in the arena at hand, with a code, a text for people and the place
 * in the source; it is passed up with TRY() and turned into a status and a Matrix errcode once, in http/errors.c. The
 * codes below are the specification's words; each names its HTTP status and errcode in http/errors.c's table.
 * "Not found" is a value (STR_NONE, NULL) where absence is normal, and an error where it is not.
 */
#pragma once

#include "base/arena.h"

/*      code               HTTP  errcode */
#define ERR_CODES(X)                                                                                                   \
	X(FORBIDDEN, 403, "M_FORBIDDEN")                                                                               \
	X(NOT_FOUND, 404, "M_NOT_FOUND")                                                                               \
	X(UNRECOGNIZED, 404, "M_UNRECOGNIZED")                                                                         \
	X(METHOD, 405, "M_UNRECOGNIZED")                                                                               \
	X(UNKNOWN, 400, "M_UNKNOWN")                                                                                   \
	X(BAD_JSON, 400, "M_BAD_JSON")                                                                                 \
	X(NOT_JSON, 400, "M_NOT_JSON")                                                                                 \
	X(INVALID_PARAM, 400, "M_INVALID_PARAM")                                                                       \
	X(MISSING_PARAM, 400, "M_MISSING_PARAM")                                                                       \
	X(UNKNOWN_TOKEN, 401, "M_UNKNOWN_TOKEN")                                                                       \
	X(MISSING_TOKEN, 401, "M_MISSING_TOKEN")                                                                       \
	X(UNAUTHORIZED, 401, "M_UNAUTHORIZED")                                                                         \
	X(UIA, 401, "M_FORBIDDEN")                                                                                     \
	X(LOGIN_FAILED, 403, "M_FORBIDDEN")                                                                            \
	X(USER_IN_USE, 400, "M_USER_IN_USE")                                                                           \
	X(INVALID_USERNAME, 400, "M_INVALID_USERNAME")                                                                 \
	X(EXCLUSIVE, 400, "M_EXCLUSIVE")                                                                               \
	X(WEAK_PASSWORD, 400, "M_WEAK_PASSWORD")                                                                       \
	X(USER_DEACTIVATED, 403, "M_USER_DEACTIVATED")                                                                 \
	X(USER_LOCKED, 401, "M_USER_LOCKED")                                                                           \
	X(USER_SUSPENDED, 403, "M_USER_SUSPENDED")                                                                     \
	X(GUEST_FORBIDDEN, 403, "M_GUEST_ACCESS_FORBIDDEN")                                                            \
	X(ROOM_IN_USE, 400, "M_ROOM_IN_USE")                                                                           \
	X(ALIAS_TAKEN, 409, "M_UNKNOWN")                                                                               \
	X(INVALID_ROOM_STATE, 400, "M_INVALID_ROOM_STATE")                                                             \
	X(UNSUPPORTED_ROOM_VERSION, 400, "M_UNSUPPORTED_ROOM_VERSION")                                                 \
	X(INCOMPATIBLE_ROOM_VERSION, 400, "M_INCOMPATIBLE_ROOM_VERSION")                                               \
	X(BAD_ALIAS, 400, "M_BAD_ALIAS")                                                                               \
	X(BAD_STATE, 403, "M_BAD_STATE")                                                                               \
	X(INVITE_BLOCKED, 403, "M_INVITE_BLOCKED")                                                                     \
	X(DUPLICATE_ANNOTATION, 400, "M_DUPLICATE_ANNOTATION")                                                         \
	X(CANNOT_LEAVE_NOTICE_ROOM, 403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM")                                          \
	X(TOO_LARGE, 413, "M_TOO_LARGE")                                                                               \
	X(REMOTE_TOO_LARGE, 502, "M_TOO_LARGE")                                                                        \
	X(LIMIT_EXCEEDED, 429, "M_LIMIT_EXCEEDED")                                                                     \
	X(RESOURCE_LIMIT, 403, "M_RESOURCE_LIMIT_EXCEEDED")                                                            \
	X(USER_LIMIT, 403, "M_USER_LIMIT_EXCEEDED")                                                                    \
	X(UNABLE_TO_AUTHORISE_JOIN, 400, "M_UNABLE_TO_AUTHORISE_JOIN")                                                 \
	X(UNABLE_TO_GRANT_JOIN, 400, "M_UNABLE_TO_GRANT_JOIN")                                                         \
	X(THREEPID_NOT_FOUND, 400, "M_THREEPID_NOT_FOUND")                                                             \
	X(THREEPID_DENIED, 403, "M_THREEPID_DENIED")                                                                   \
	X(PROFILE_TOO_LARGE, 400, "M_PROFILE_TOO_LARGE")                                                               \
	X(INVALID_SIGNATURE, 400, "M_INVALID_SIGNATURE")                                                               \
	X(TOO_MANY_KEYS, 400, "M_TOO_LARGE")                                                                           \
	X(KEY_TOO_LARGE, 400, "M_KEY_TOO_LARGE")                                                                       \
	X(NOT_YET_UPLOADED, 504, "M_NOT_YET_UPLOADED")                                                                 \
	X(CANNOT_OVERWRITE_MEDIA, 409, "M_CANNOT_OVERWRITE_MEDIA")                                                     \
	X(WRONG_ROOM_KEYS_VERSION, 403, "M_WRONG_ROOM_KEYS_VERSION")                                                   \
	X(DISK_FULL, 507, "M_UNKNOWN") /* of what is kept in files */                                                  \
	X(CONNECTION_TIMEOUT, 504, "M_CONNECTION_TIMEOUT")                                                             \
	X(CONNECTION_FAILED, 502, "M_CONNECTION_FAILED")                                                               \
	X(BUSY, 503, "M_LIMIT_EXCEEDED")                                                                               \
	X(STORE, 500, "M_UNKNOWN")    /* the database said no, or is gone */                                           \
	X(INTERNAL, 500, "M_UNKNOWN") /* our own bug or an impossible state */                                         \
	X(CONFIG, 500, "M_UNKNOWN")   /* start-up only: a setting that cannot be */

enum err_code {
	ERR_NONE,
#define X(code, status, errcode) ERR_##code,
	ERR_CODES(X)
#undef X
};

typedef struct err {
	enum err_code code;
	str msg;           /* for people; becomes "error" */
	const char *where; /* "room/send.c:42", for the log only */
	str extra;       /* further members of the error object, without braces: "\"soft_logout\":true"; or STR_NONE */
	str body;        /* the whole answer, instead of errcode and error (UIA's 401); or STR_NONE */
	unsigned detail; /* for who knows its maker: the rule of matrix/auth_rule.h that was broken; 0 */
} err;

NODISCARD PRINTF(4, 5) __attribute__((returns_nonnull)) err *err_make(struct arena *a, enum err_code code,
								      const char *where, const char *fmt, ...);
#define ERR_STR2(x)           #x
#define ERR_STR(x)            ERR_STR2(x)
#define err_new(a, code, ...) err_make((a), (code), __FILE__ ":" ERR_STR(__LINE__), __VA_ARGS__)
#define TRY(call)                                                                                                      \
	do {                                                                                                           \
		err *try_e_ = (call);                                                                                  \
		if (try_e_)                                                                                            \
			return try_e_;                                                                                 \
	} while (0)

/* "M_FORBIDDEN" for ERR_FORBIDDEN; the status it is answered with. */
const char *err_errcode(enum err_code code);
int err_status(enum err_code code);
/* A copy in another arena: for an error that outlives the arena it was made in. */
err *err_keep(struct arena *a, const err *e);
