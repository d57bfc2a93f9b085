/* internal_e2ee.h - the inside of struct e2ee, for the files of e2ee/ alone. */
#pragma once

#include "base/metrics.h"
#include "e2ee/e2ee.h"

struct e2ee {
	struct e2ee_options opt;
	/* one_time_keys.c */
	struct metric *keys_uploaded, *claims_one_time, *claims_fallback, *claims_none;
	struct chore *backup_sweeping; /* backup.c; or NULL */
};

/* one_time_keys.c: makes the counters. */
void one_time_keys_init(struct e2ee *e);
