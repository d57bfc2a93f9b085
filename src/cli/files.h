/* files.h - the few files that the server itself writes and reads at start. */
#pragma once

#include "base/err.h"

/* The whole file, or STR_NONE with errno (EFBIG above `most` bytes). */
str file_read(struct arena *a, str path, size_t most);
/* The same of standard input. */
str file_read_input(struct arena *a, size_t most);
/* Makes a file (0600) with these bytes, durably; an existing one is left alone: ERR_CONFIG. Missing folders are made.
 */
NODISCARD err *file_write_new(struct arena *a, str path, str bytes);
/* Makes the folder (0700), and those above it, where they are missing. */
NODISCARD err *folder_make(struct arena *a, str path);
/* Takes the folder's lock file until the process ends. ERR_CONFIG: another process has it. */
NODISCARD err *folder_lock(struct arena *a, str path);
