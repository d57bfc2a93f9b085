/*
 * client_srv.c - SRV records (RFC 2782): where a service of a domain is, and in which order to try.
 *
 * c-ares reads the answer; what it points to is resolved and checked like any host, so that a record leads nowhere
 * where the caller may not go.
 */
#include "http/internal_client.h"

bool srv_read(struct arena *a, const unsigned char *answer, size_t n, struct srv_target out[CLIENT_MAX_TARGETS],
	      size_t *out_n)
{
	struct ares_srv_reply *list = NULL;

	*out_n = 0;
	if (n > INT_MAX || ares_parse_srv_reply(answer, (int)n, &list) != ARES_SUCCESS)
		return false;
	for (const struct ares_srv_reply *r = list; r && *out_n < CLIENT_MAX_TARGETS; r = r->next) {
		const str host = str_c(r->host);

		out[(*out_n)++] =
			(struct srv_target){ arena_keep(a, str_ends(host, S(".")) ? str_head(host, host.n - 1) : host),
					     r->port, r->priority, r->weight };
	}
	ares_free_data(list);
	return true;
}

/* RFC 2782: "Arrange all SRV RRs [of a priority] (that have not been ordered yet) in any order, except that all those
 * with weight 0 are placed at the beginning of the list", take one by the running sum of weights, and again. */
static size_t pick(const struct srv_target *t, size_t n, uint64_t (*fn)(uint64_t below))
{
	uint64_t sum = 0, at;

	for (size_t i = 0; i < n; i++)
		sum += t[i].weight;
	at = fn(sum + 1);
	for (size_t i = 0; i < n; i++)
		if (t[i].weight == 0 && at == 0)
			return i;
	for (size_t i = 0; i < n; i++) {
		if (t[i].weight > 0 && at <= t[i].weight)
			return i;
		at -= t[i].weight;
	}
	return 0;
}

static void swap(struct srv_target *x, struct srv_target *y)
{
	const struct srv_target kept = *x;

	*x = *y;
	*y = kept;
}

void srv_order(struct srv_target *t, size_t n, uint64_t (*fn)(uint64_t below))
{
	for (size_t i = 0; i < n; i++) {
		size_t peers = 1;

		for (size_t j = i + 1; j < n; j++)
			if (t[j].priority < t[i].priority)
				swap(&t[i], &t[j]);
		for (size_t j = i + 1; j < n; j++)
			if (t[j].priority == t[i].priority)
				swap(&t[i + peers++], &t[j]);
		swap(&t[i], &t[i + pick(t + i, peers, fn)]);
	}
}
