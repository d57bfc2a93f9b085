/* Files of other servers: which are asked for, and how often. */
#include "federation/fed_fixture.h"
#include "media/repo.h"

#include "federation/fed.h"
#include "media/remote.h"

static _Atomic unsigned asked;

static const char *_Atomic location; /* NULL: the file itself */

static bool a_file(struct visit *v)
{
	char parts[400];

	asked++;
	if (location) {
		(void)snprintf(parts, sizeof(parts), "--b\r\n\r\n{}\r\n--b\r\nLocation: %s\r\n\r\n\r\n--b--\r\n",
			       location);
		return say_ok(v, S("Content-Type: multipart/mixed; boundary=b\r\n"), str_c(parts));
	}
	return say_ok(v, S("Content-Type: multipart/mixed; boundary=b\r\n"),
		      S("--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\n"
			"Content-Type: text/plain\r\n\r\nfile\r\n--b--\r\n"));
}

struct elsewhere {
	struct repo repo;
	struct fed_world fed;
	str there; /* the other server */
};

static void begin(struct elsewhere *w, struct both *b)
{
	struct fed_options opt;

	*w = (struct elsewhere){ .fed.db = *b };
	repo_begin(&w->repo, b);
	fed_world_prepare(&w->fed, a_file, (struct client_options){ 0 });
	opt = fed_world_options(&w->fed);
	good(fed_new(w->fed.a, &opt, &w->fed.fed));
	media_federate(w->repo.m,
		       &(struct media_remote_options){ .fed = w->fed.fed, .client = w->fed.client, .nets = &here });
	w->there = fed_world_name(&w->fed, "a.example");
	asked = 0;
}

static void end(struct elsewhere *w)
{
	repo_end(&w->repo);
	fed_world_end(&w->fed);
}

static err *fetch(struct elsewhere *w)
{
	return media_fetch(w->repo.m, w->fed.a, w->there, S("one"), clock_mono_us() + INT64_C(20000000));
}

static err *find(struct elsewhere *w, struct media_item *item)
{
	const struct media_find_cmd cmd = { .server_name = w->there, .media_id = S("one") };

	return media_find(w->repo.m, w->fed.a, &cmd, NULL, item);
}

/* Somebody looked for it before it was here, and asks for it when whoever fetched it has just ended. */
static void what_came_meanwhile_is_not_fetched_again(struct both *b)
{
	struct elsewhere w;
	struct media_item item;

	begin(&w, b);
	both_ok(fetch(&w));
	both_ok(fetch(&w));
	both_ok(find(&w, &item));
	assert_int_equal(item.size, 4);
	assert_int_equal(asked, 1);
	end(&w);
}
BOTH(what_came_meanwhile_is_not_fetched_again)

static void what_is_quarantined_is_not_fetched_again(struct both *b)
{
	struct elsewhere w;
	struct media_item item;
	err *e;

	begin(&w, b);
	both_ok(fetch(&w));
	both_ok(media_quarantine(w.repo.m, b->a, w.there, S("one"), S("@mod:x.org")));
	both_ok(fetch(&w));
	e = find(&w, &item);
	assert_true(e && e->code == ERR_NOT_FOUND);
	assert_int_equal(asked, 1);
	end(&w);
}
BOTH(what_is_quarantined_is_not_fetched_again)

/* timeout_ms is for what is not uploaded yet: who does not wait for that gets what is there. */
static void what_is_there_needs_no_patience(struct both *b)
{
	struct elsewhere w;
	struct media_item item;

	begin(&w, b);
	both_ok(media_fetch(w.repo.m, w.fed.a, w.there, S("one"), clock_mono_us() - 1));
	both_ok(find(&w, &item));
	assert_int_equal(item.size, 4);
	end(&w);
}
BOTH(what_is_there_needs_no_patience)

/* Its address is nowhere: our user did nothing wrong, and is not told so. */
static void a_bad_address_is_the_servers_fault(struct both *b)
{
	static const char *const addresses[] = { "file:///etc/passwd", "/relative", "http://10.1.2.3/x",
						 "http://u:p@h/" };

	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		struct elsewhere w;
		const err *e;

		begin(&w, b);
		location = addresses[i];
		e = fetch(&w);
		location = NULL;
		ok(e && e->code == ERR_CONNECTION_FAILED, "%s: %s", addresses[i], e ? e->msg.p : "fetched");
		end(&w);
	}
}
BOTH(a_bad_address_is_the_servers_fault)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(what_came_meanwhile_is_not_fetched_again),
		BOTH_TESTS(what_is_there_needs_no_patience),
		BOTH_TESTS(a_bad_address_is_the_servers_fault),
		BOTH_TESTS(what_is_quarantined_is_not_fetched_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
