/*
 * fault.h - errors on demand, for tests: "the n-th statement fails", "the next COMMIT fails".
 *
 * Counting starts at the call and is for the whole store; 1 is the next one, 0 takes the order back. A piece that is
 * hit fails for good, also when its batch is run again.
 */
#pragma once

#include "store/store.h"

enum store_fault {
	FAULT_STATEMENT,   /* a statement of a piece or of a read fails, without having run */
	FAULT_COMMIT,      /* a COMMIT fails: nothing of the batch is there */
	FAULT_LOSE_BEFORE, /* PostgreSQL: the connection goes away just before COMMIT is sent */
	FAULT_LOSE_AFTER,  /* PostgreSQL: ... just after it was sent: the answer is never read */
	FAULT_SETTLE,      /* PostgreSQL: nobody can say whether a COMMIT took place whose answer was lost */
	FAULT_KINDS
};
void store_fault(struct store *st, enum store_fault what, int64_t nth);
