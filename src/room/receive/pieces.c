#include "room/receive/pieces.h"

#include "base/clock.h"

enum { PIECE_US = 8000, PIECE_LEAST = 8, PIECE_FIRST = 64 };

void pieces_init(struct pieces *p, size_t most)
{
	*p = (struct pieces){ .most = most, .rows = MIN(most, (size_t)PIECE_FIRST) };
}

void piece_begin(struct piece_run *run)
{
	*run = (struct piece_run){ .began_us = clock_mono_us(), .statements = store_statements_here() };
}

void piece_end(const struct pieces *p, struct piece_run *run)
{
	run->took_us = clock_mono_us() - run->began_us;
	run->statements = store_statements_here() - run->statements;
	if (p->each)
		p->each(p->ctx, run);
}

void pieces_learn(struct pieces *p, const struct piece_run *run, size_t rows)
{
	p->n++;
	p->most_statements = MAX(p->most_statements, run->statements);
	p->longest_us = MAX(p->longest_us, run->took_us);
	if (p->times)
		metric_observe_us(p->times, run->took_us);
	if (run->took_us > PIECE_US)
		p->rows = MAX(p->rows / 2, (size_t)PIECE_LEAST);
	else if (run->took_us < PIECE_US / 2 && rows == p->rows)
		p->rows = MIN(p->rows * 2, p->most);
}
