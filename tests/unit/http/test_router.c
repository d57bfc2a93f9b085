/* Which route a path leads to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/internal_http.h"

static err *nothing(struct req *rq)
{
	reply_empty(rq);
	return NULL;
}

#define R(method, path)                                                                                                \
	{                                                                                                              \
		method, path, nothing, AUTH_NONE, RATE_NONE, LANE_FAST, 0                                              \
	}
static const struct route table[] = {
	R("GET", "/rooms/{roomId}/state"),
	R("GET", "/rooms/{roomId}/state/{eventType}"),
	R("GET", "/rooms/{roomId}/state/{eventType}/{stateKey}"),
	R("PUT", "/rooms/{roomId}/state/{eventType}/{stateKey}"),
	R("GET", "/rooms/{roomId}/members"),
	R("POST", "/rooms/{roomId}/{membership}"),
	R("POST", "/rooms/all/leave"),
	R("GET", "/rooms/all/members/x"),
	R("GET", "/files/{path*}"),
	R("GET", "/files/index"),
	R("GET", "/"),
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

static void paths_lead_to_routes(void **state)
{
	struct router *r = router_new(tables);
	static const struct {
		const char *method, *path, *route; /* route NULL: none */
		str params[3];
	} cases[] = {
		{ "GET", "/rooms/!r/state", "/rooms/{roomId}/state", { STR("!r") } },
		{ "GET",
		  "/rooms/!r/state/m.topic",
		  "/rooms/{roomId}/state/{eventType}",
		  { STR("!r"), STR("m.topic") } },
		{ "GET",
		  "/rooms/!r/state/m.topic/",
		  "/rooms/{roomId}/state/{eventType}/{stateKey}",
		  { STR("!r"), STR("m.topic"), STR("") } },
		{ "PUT",
		  "/rooms/!r/state/m.topic/a",
		  "/rooms/{roomId}/state/{eventType}/{stateKey}",
		  { STR("!r"), STR("m.topic"), STR("a") } },
		{ "POST", "/rooms/!r/leave", "/rooms/{roomId}/{membership}", { STR("!r"), STR("leave") } },
		{ "POST", "/rooms/all/leave", "/rooms/all/leave", { STR("") } },
		/* The literal way leads nowhere: back, and through the parameter. */
		{ "POST", "/rooms/all/join", "/rooms/{roomId}/{membership}", { STR("all"), STR("join") } },
		{ "GET", "/rooms/all/members", "/rooms/{roomId}/members", { STR("all") } },
		{ "POST", "/rooms/x/members", "/rooms/{roomId}/{membership}", { STR("x"), STR("members") } },
		{ "GET", "/files/a/b//c", "/files/{path*}", { STR("a/b//c") } },
		{ "GET", "/files/index", "/files/index", { STR("") } },
		{ "GET", "/files/index/x", "/files/{path*}", { STR("index/x") } },
		{ "GET", "/", "/", { STR("") } },
		{ "GET", "/rooms", NULL, { STR("") } },
		{ "GET", "/rooms//state", NULL, { STR("") } },
		{ "GET", "/rooms/!r/state/a/b/c", NULL, { STR("") } },
		{ "GET", "//", NULL, { STR("") } },
		{ "GET", "", NULL, { STR("") } },
		{ "GET", "rooms", NULL, { STR("") } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct route_hit hit;

		router_find(r, str_c(cases[i].path), router_method(str_c(cases[i].method)), &hit);
		if (!cases[i].route) {
			assert_null(hit.found);
			assert_int_equal(hit.allowed, 0);
			continue;
		}
		if (!hit.found || strcmp(hit.found->route->path, cases[i].route) != 0)
			fail_msg("%s", cases[i].path);
		for (unsigned k = 0; k < hit.found->n_params; k++)
			if (!str_eq(hit.params[k], cases[i].params[k]))
				fail_msg("%s: parameter %u", cases[i].path, k);
	}
	router_free(&r);
}

static void other_methods_are_told(void **state)
{
	struct router *r = router_new(tables);
	struct route_hit hit;

	(void)state;
	router_find(r, S("/rooms/!r/state/a/b"), M_POST, &hit);
	assert_null(hit.found);
	assert_int_equal(hit.allowed, 1u << M_GET | 1u << M_PUT);
	router_find(r, S("/rooms/!r/state/a/b"), M_OTHER, &hit);
	assert_null(hit.found);
	assert_int_equal(hit.allowed, 1u << M_GET | 1u << M_PUT);
	router_free(&r);
}

static void groups_go_by_path(void **state)
{
	(void)state;
	assert_int_equal(router_group(S("/_matrix/federation/v1/send/1")), GROUP_FEDERATION);
	assert_int_equal(router_group(S("/_matrix/key/v2/server")), GROUP_FEDERATION);
	assert_int_equal(router_group(S("/.well-known/matrix/server")), GROUP_SHARED);
	assert_int_equal(router_group(S("/.well-known/matrix/client")), GROUP_CLIENT);
	assert_int_equal(router_group(S("/_synapse/admin/v1/register")), GROUP_CLIENT);
	assert_int_equal(router_group(S("/metrics")), GROUP_METRICS);
	assert_int_equal(router_group(S("/health")), GROUP_HEALTH);
	assert_int_equal(router_group(S("/metrics/x")), GROUP_CLIENT);
}

static void the_list_is_sorted(void **state)
{
	static const struct route few[] = { R("PUT", "/b"), R("GET", "/b"), R("GET", "/a/{x}"), { 0 } };
	const struct route *const lists[] = { few, NULL };
	AUTO_BUF out = BUF_INIT(1000);

	(void)state;
	http_list_routes(lists, &out);
	assert_true(str_eq(buf_str(&out), S("GET /a/{x}\nGET /b\nPUT /b\n")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_to_routes),
		cmocka_unit_test(other_methods_are_told),
		cmocka_unit_test(groups_go_by_path),
		cmocka_unit_test(the_list_is_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
