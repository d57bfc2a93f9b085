/* image_worker.h - widths that make the tests' worker do what a decoder must not. Behind each misdeed it makes a
 * thumbnail of 40 pixels as if nothing were: who is not stopped succeeds. */
#pragma once

enum {
	WORKER_FIRST = 60000,
	WORKER_WAITS = WORKER_FIRST,
	WORKER_COMPUTES,
	WORKER_EATS,
	WORKER_OPENS,
	WORKER_LOOKS,
	WORKER_CONNECTS,
	WORKER_EXECUTES,
	WORKER_FORKS,
	WORKER_SIGNALS,
	WORKER_TRACES,
	WORKER_MAKES_CODE,
	WORKER_TURNS_DATA_TO_CODE,
	WORKER_CRASHES,
	WORKER_WRITES_MUCH,
	WORKER_LIES,
	WORKER_LIES_ABOUT_KIND,
	WORKER_LIES_ABOUT_SIZE,
	WORKER_ADDS,
	WORKER_MAPS_THE_RESULT,
	WORKER_SAYS_MUCH,
	WORKER_SAYS_LITTLE,
	WORKER_SAYS_NOTHING,
	WORKER_TELLS_NOTHING,
	WORKER_CRASHES_WHEN_IT_MOVES,
	WORKER_BEHAVES, /* that the others fail is not because of their width */
};
