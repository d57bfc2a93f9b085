/*
 * routes.c - the list of route tables.
 *
 * A table stands at the end of the file whose handlers it names, and has its line in route_tables.h; what has none is
 * not served.
 */
#include "api/routes.h"

#define TABLE(table) extern const struct route table[];
#include "api/route_tables.h"
#undef TABLE

#define TABLE(table) table,
const struct route *const api_route_tables[] = {
#include "api/route_tables.h"
	NULL,
};
