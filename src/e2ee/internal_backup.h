/* internal_backup.h - what the files of key backups share. */
#pragma once

#include "e2ee/backup.h"
#include "e2ee/internal_e2ee.h"
#include "store/key_backup.h"

/* The number of a version as a client named it; -1: it cannot be one. */
int64_t backup_version_number(struct arena *a, str version);
str backup_number_text(struct arena *a, int64_t n);
err *backup_none(struct arena *a);
/* The version's row; ERR_NOT_FOUND (in a) when there is none. */
NODISCARD err *backup_find(struct tx *tx, struct arena *a, int64_t user, str version,
			   const struct key_backup_row **out);
/* Something was given up. */
void backup_sweep_soon(struct e2ee *e);
