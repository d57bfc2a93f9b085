/* dns.h - a DNS server on loopback that knows the SRV records that a test gives it. */
#pragma once

#include "test.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/thread.h"

struct dns_record {
	const char *name; /* "_matrix-fed._tcp.example.org" */
	uint16_t priority, weight, port;
	const char *target;
};
struct dns {
	const struct dns_record *records;
	size_t n_records;
	_Atomic int rcode; /* 0; 2: SERVFAIL for everything; -1: never answers */
	_Atomic unsigned asked;
	int fd;
	struct thread *thread;
	char servers[32]; /* "127.0.0.1:PORT" */
};

static size_t put_name(uint8_t *p, str name)
{
	size_t n = 0;
	str label;

	while (str_split_next(&name, '.', &label)) {
		p[n++] = (uint8_t)label.n;
		memcpy(p + n, label.p, label.n);
		n += label.n;
	}
	p[n++] = 0;
	return n;
}

static void put_16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static size_t put_record(uint8_t *p, const struct dns_record *r)
{
	const size_t n = put_name(p + 18, str_c(r->target));

	put_16(p, 0xc00c); /* the question's name */
	put_16(p + 2, 33);
	put_16(p + 4, 1);
	put_16(p + 6, 0);
	put_16(p + 8, 60);
	put_16(p + 10, (unsigned)n + 6);
	put_16(p + 12, r->priority);
	put_16(p + 14, r->weight);
	put_16(p + 16, r->port);
	return 18 + n;
}

static size_t dns_answer(struct dns *d, uint8_t *p, size_t n)
{
	uint8_t name[256];
	unsigned found = 0;
	size_t question;

	for (size_t i = 0; i < d->n_records; i++) {
		const size_t length = put_name(name, str_c(d->records[i].name));

		/* Behind the question comes what c-ares says of itself (EDNS): it is dropped. */
		question = 12 + length + 4;
		if (n < question || memcmp(p + 12, name, length) != 0)
			continue;
		if (found == 0)
			n = question;
		n += put_record(p + n, &d->records[i]);
		found++;
	}
	if (found == 0) {
		for (question = 12; question < n && p[question] != 0; question += 1u + p[question])
			;
		n = question + 5;
	}
	p[2] |= 0x80;
	p[3] = (uint8_t)(d->rcode > 0 ? d->rcode : found ? 0 : 3);
	put_16(p + 6, d->rcode > 0 ? 0 : found);
	put_16(p + 10, 0);
	return n;
}

static void dns_run(void *arg)
{
	struct dns *d = arg;
	uint8_t p[4096];

	for (;;) {
		struct sockaddr_in from;
		socklen_t from_n = sizeof(from);
		const ssize_t n = recvfrom(d->fd, p, 512, 0, (struct sockaddr *)&from, &from_n);

		if (n <= 0)
			return;
		d->asked++;
		if (d->rcode >= 0)
			(void)sendto(d->fd, p, dns_answer(d, p, (size_t)n), 0, (struct sockaddr *)&from, from_n);
	}
}

static void dns_start(struct dns *d, const struct dns_record *records, size_t n)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t sa_n = sizeof(sa);

	*d = (struct dns){ .records = records, .n_records = n };
	d->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(d->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(d->fd, (struct sockaddr *)&sa, &sa_n), 0);
	(void)snprintf(d->servers, sizeof(d->servers), "127.0.0.1:%u", ntohs(sa.sin_port));
	d->thread = thread_start("dns", dns_run, d);
}

static void dns_stop(struct dns *d)
{
	shutdown(d->fd, SHUT_RDWR);
	thread_join(&d->thread);
	close(d->fd);
}
