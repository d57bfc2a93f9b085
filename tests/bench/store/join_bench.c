/*
 * join_bench.c - joining a large room of another server, which this program plays on loopback: CPU of the whole against
 * the bare cost of its signature checks, the longest piece, and how much memory it takes.
 *
 *     build/bench-join [members] [servers] [sqlite|pg]
 */
#include "room/far_site.h"

#include <sys/resource.h>

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double rss_mb(const char *what)
{
	char line[256];
	double kb = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f)) {
		uint64_t n;
		str rest = str_c(line);

		if (!str_starts(rest, str_c(what)))
			continue;
		rest = str_trim(str_from(rest, strlen(what)));
		if (str_to_u64(str_head(rest, str_find(rest, ' ')), &n))
			kb = (double)n;
	}
	if (f)
		fclose(f);
	return kb / 1024;
}

/* Members of many servers, with one key each; the keys are there already. */
struct crowd {
	struct far *f;
	size_t servers;
};

static void fill(struct far *f, size_t members)
{
	for (size_t i = 0; i < members; i++) {
		const str name = arena_printf(f->a, "member-%zu", i);
		const str user = far_user(f, name.p);

		far_state(f, user, "m.room.member", user,
			  arena_printf(f->a,
				       "{'membership':'join','displayname':'The member %zu of many','avatar_url':"
				       "'mxc://example.org/aaaaaaaaaaaaaaaaaaaaaaaa%zu'}",
				       i, i)
				  .p);
	}
}

/* What verifying alone costs, over bytes that are there. */
static double bare_checks(struct far *f)
{
	struct ed25519_claim *claims = ARENA_ARRAY(f->a, struct ed25519_claim, f->events.n);
	double begin;

	for (size_t i = 0; i < f->events.n; i++) {
		claims[i] = (struct ed25519_claim){ .public_key = f->key.public_key,
						    .bytes = event_signed_bytes(f->a, f->rv, f->events.p[i]) };
		ed25519_sign(&f->key, claims[i].bytes, claims[i].signature);
	}
	begin = cpu_s();
	ed25519_verify_all(claims, f->events.n);
	return cpu_s() - begin;
}

int main(int argc, char **argv)
{
	const size_t members = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 10000;
	struct both b;
	struct world w;
	struct scene s;
	double checks, begin, used, wall;
	int64_t start;

	both_begin(&b, argc > 2 && strcmp(argv[2], "pg") == 0);
	world_begin(&w, &b);
	scene_begin(&s, &w, "11");
	fill(&s.f, members);
	s.join_answer = far_join_answer(&s.f, w.a, STR_NONE);
	printf("%zu members, %zu events, answer of %.1f MB\n", members, s.f.events.n, (double)s.join_answer.n / 1e6);
	checks = bare_checks(&s.f);
	const double before = rss_mb("VmRSS:");
	begin = cpu_s();
	start = clock_mono_us();
	good(join_far(&s, who(&w, "alice")));
	used = cpu_s() - begin;
	wall = (double)(clock_mono_us() - start) / 1e6;
	printf("joined in %.2f s, %.2f s CPU; bare checks %.2f s: %.2f times that; memory %.0f MB before, %.0f MB at most\n",
	       wall, used, checks, used / checks, before, rss_mb("VmHWM:"));
	scene_end(&s);
	world_end(&w);
	both_end(&b);
	return 0;
}
