/* route_tables.h - included twice by routes.c: one line a table, in the order of the specification. */
TABLE(client_versions_routes)
