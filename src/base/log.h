/*
 * log.h - structured logs: a constant message, the data in fields; never a token, a password or a message's content.
 *
 *     log_info(rq->log, "room created", F("room_id", id), F("ms", t));
 *
 * A `struct log` carries fields that every line below it inherits (server, room, request). Lines go to standard error
 * as text ("2026-01-02T03:04:05.678Z INFO room created room_id=!x:y ms=3") or JSON, one write each. base json crypto
 * matrix store never log: they return.
 */
#pragma once

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_field {
	const char *key;
	enum { LF_NONE, LF_STR, LF_INT } kind;
	str s;
	int64_t i;
};
struct log { /* fields of its own, then its parent's; lives as long as what it describes */
	const struct log *parent;
	struct log_field fields[4];
};

static inline struct log_field log_field_str(const char *k, str s) { return (struct log_field){ k, LF_STR, s, 0 }; }
static inline struct log_field log_field_c(const char *k, const char *s) { return log_field_str(k, str_c(s)); }
static inline struct log_field log_field_i(const char *k, int64_t i)
{
	return (struct log_field){ k, LF_INT, STR_NONE, i };
}
static inline struct log_field log_field_z(const char *k, size_t i) { return log_field_i(k, (int64_t)i); }
#define F(key, v)                                                                                                      \
	_Generic((v), str: log_field_str, char *: log_field_c, const char *: log_field_c, size_t: log_field_z,         \
		 default: log_field_i)((key), (v))

void log_setup(enum log_level least, enum log_format format); /* at start and on SIGHUP */
bool log_on(enum log_level level);
void log_write(const struct log *lg, enum log_level level, const char *msg, const struct log_field *f, size_t n);
#define LOG_AT(lg, level, msg, ...)                                                                                    \
	do {                                                                                                           \
		if (log_on(level)) {                                                                                   \
			const struct log_field lf_[] = { { 0 }, ##__VA_ARGS__ };                                       \
			log_write((lg), (level), (msg), lf_ + 1, ARRAY_LEN(lf_) - 1);                                  \
		}                                                                                                      \
	} while (0)
#define log_debug(lg, msg, ...) LOG_AT(lg, LOG_DEBUG, msg, ##__VA_ARGS__)
#define log_info(lg, msg, ...)  LOG_AT(lg, LOG_INFO, msg, ##__VA_ARGS__)
#define log_warn(lg, msg, ...)  LOG_AT(lg, LOG_WARN, msg, ##__VA_ARGS__)
#define log_error(lg, msg, ...) LOG_AT(lg, LOG_ERROR, msg, ##__VA_ARGS__)
