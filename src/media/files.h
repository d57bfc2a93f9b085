/*
 * files.h - contents on disk, for this room alone. docs/internals/media.md.
 *
 *     DIR/a/bc/abcd<60 more>-17     content number 17, whose SHA-256 is abcd...
 *     DIR/tmp/17                    the same, on its way in or out
 *
 * A file in tmp/ belongs where the row of its number says; without a row it belongs nowhere. So a new content is
 * written there, then its row is committed, then it is moved into place; an old one is moved there, then its row is
 * deleted, then it is removed. Wherever that stops, files_settle goes on, and readers look in both.
 */
#pragma once

#include "base/err.h"

struct files;
struct store;
/* Makes the folders where they are missing. ERR_CONFIG. */
NODISCARD err *files_new(struct arena *a, str dir, struct files **out);
void files_free(struct files **f);

/* A content being written. */
struct new_file;
NODISCARD err *new_file_begin(struct files *f, struct arena *a, int64_t content, struct new_file **out);
NODISCARD err *new_file_write(struct new_file *n, struct arena *a, str bytes); /* ERR_DISK_FULL */
int64_t new_file_size(const struct new_file *n);
/* All is on disk, under its number; the hash is known. The row is to be committed now. */
NODISCARD err *new_file_seal(struct new_file *n, struct arena *a, uint8_t out_hash[32]);
/* The row is committed, with this number: into place, or away where the content is there already under another one.
 * What goes wrong here, the next files_settle mends. */
void new_file_keep(struct new_file *n, int64_t content);
/* Frees it; removes the file unless it is kept. NULL and a NULL file are fine. */
void new_file_drop(struct new_file **n);
/* Nobody knows whether the commit took place: the next files_settle decides. */
void new_file_leave(struct new_file *n);

/* To read from. *out_fd is -1 where there is none. */
NODISCARD err *files_open(struct files *f, struct arena *a, int64_t content, const uint8_t hash[32], int *out_fd);
/* Out of its place into tmp/, before its row is deleted; back, where it is in use again; away, when it is gone. */
void files_set_aside(struct files *f, int64_t content, const uint8_t hash[32]);
void files_put_back(struct files *f, int64_t content, const uint8_t hash[32]);
void files_remove(struct files *f, int64_t content, const uint8_t hash[32]);
/* At start, and now and then: every file in tmp/ that nobody writes goes where its row says. */
NODISCARD err *files_settle(struct files *f, struct arena *a, struct store *st);
