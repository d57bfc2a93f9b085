#include "e2ee/internal_e2ee.h"

struct e2ee *e2ee_new(const struct e2ee_options *opt)
{
	struct e2ee *e = MEM_NEW(struct e2ee);

	e->opt = *opt;
	one_time_keys_init(e);
	return e;
}

void e2ee_free(struct e2ee **e)
{
	mem_free(*e);
	*e = NULL;
}
