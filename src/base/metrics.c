/*
 * metrics.c - counters, gauges and histograms in Prometheus' text format (version 0.0.4).
 *
 * Values are atomics, so that counting takes no lock; the lock is for registration, and series are never removed. A
 * histogram keeps each bucket's own count and adds them up when written: its +Inf bucket and its _count are then the
 * same sum, whatever was counted meanwhile.
 */
#include <assert.h>
#include <stdatomic.h>

#include "base/metrics.h"
#include "base/thread.h"

enum metric_kind { COUNTER, GAUGE, HISTOGRAM };

static const struct {
	int64_t us;
	const char *seconds;
} buckets[] = {
	{ 100, "0.0001" },  { 250, "0.00025" }, { 500, "0.0005" },  { 1000, "0.001" },  { 2500, "0.0025" },
	{ 5000, "0.005" },  { 10000, "0.01" },  { 25000, "0.025" }, { 50000, "0.05" },  { 100000, "0.1" },
	{ 250000, "0.25" }, { 500000, "0.5" },  { 1000000, "1" },   { 2500000, "2.5" }, { 5000000, "5" },
	{ 10000000, "10" }, { 30000000, "30" }, { 60000000, "60" },
};

struct metric {
	struct metric *next;
	const char *name, *help, *labels;
	enum metric_kind kind;
	_Atomic int64_t value;   /* a histogram's: the sum of what was observed, microseconds */
	_Atomic int64_t *counts; /* HISTOGRAM: one for each bucket and one for what lies above */
};

static struct metric *first;
static struct lock registry;

static __attribute__((constructor)) void registry_init(void) { lock_init(&registry, RANK_LEAF); }

static struct metric *add(const char *name, const char *help, const char *labels, enum metric_kind kind)
{
	struct metric *m = MEM_NEW(struct metric), **at = &first, **after_same = NULL;

	*m = (struct metric){ .name = name, .help = help, .labels = labels, .kind = kind };
	if (kind == HISTOGRAM)
		m->counts = mem_zalloc((ARRAY_LEN(buckets) + 1) * sizeof(*m->counts));
	LOCKED(&registry);
	for (; *at; at = &(*at)->next) {
		if (!str_eq(str_c((*at)->name), str_c(name)))
			continue;
		assert((*at)->kind == kind && !str_eq(str_c((*at)->labels), str_c(labels)));
		after_same = &(*at)->next;
	}
	if (after_same)
		at = after_same;
	m->next = *at;
	*at = m;
	return m;
}

struct metric *metric_counter(const char *name, const char *help, const char *labels)
{
	return add(name, help, labels, COUNTER);
}

void metric_counters(struct metric **out, size_t n, const char *name, const char *help, const char *const *labels)
{
	for (size_t i = 0; i < n; i++)
		out[i] = out[i] ? out[i] : metric_counter(name, help, labels[i]);
}

struct metric *metric_gauge(const char *name, const char *help, const char *labels)
{
	return add(name, help, labels, GAUGE);
}

struct metric *metric_histogram(const char *name, const char *help, const char *labels)
{
	return add(name, help, labels, HISTOGRAM);
}

void metric_add(struct metric *m, int64_t n)
{
	assert(m->kind == GAUGE || (m->kind == COUNTER && n >= 0));
	atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t v)
{
	assert(m->kind == GAUGE);
	atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

void metric_observe_us(struct metric *m, int64_t us)
{
	size_t i = 0;

	assert(m->kind == HISTOGRAM);
	us = MAX(us, 0);
	while (i < ARRAY_LEN(buckets) && us > buckets[i].us)
		i++;
	atomic_fetch_add_explicit(&m->counts[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->value, us, memory_order_relaxed);
}

int64_t metric_value(const struct metric *m)
{
	int64_t n = 0;

	if (m->kind != HISTOGRAM)
		return atomic_load_explicit(&m->value, memory_order_relaxed);
	for (size_t i = 0; i <= ARRAY_LEN(buckets); i++)
		n += atomic_load_explicit(&m->counts[i], memory_order_relaxed);
	return n;
}

/* name{labels} without the value; `suffix` and `le` as a histogram needs them. */
static void write_name(struct buf *out, const struct metric *m, const char *suffix, const char *le)
{
	const bool labels = m->labels[0] != '\0';

	buf_printf(out, "%s%s", m->name, suffix);
	if (labels || le)
		buf_printf(out, "{%s", m->labels);
	if (le)
		buf_printf(out, "%sle=\"%s\"", labels ? "," : "", le);
	buf_add(out, labels || le ? S("} ") : S(" "));
}

static void write_histogram(struct buf *out, const struct metric *m)
{
	const int64_t sum = atomic_load_explicit(&m->value, memory_order_relaxed);
	int64_t n = 0;

	for (size_t i = 0; i <= ARRAY_LEN(buckets); i++) {
		n += atomic_load_explicit(&m->counts[i], memory_order_relaxed);
		write_name(out, m, "_bucket", i < ARRAY_LEN(buckets) ? buckets[i].seconds : "+Inf");
		buf_printf(out, "%" PRId64 "\n", n);
	}
	write_name(out, m, "_sum", NULL);
	buf_printf(out, "%" PRId64 ".%06" PRId64 "\n", sum / 1000000, sum % 1000000);
	write_name(out, m, "_count", NULL);
	buf_printf(out, "%" PRId64 "\n", n);
}

void metrics_write(struct buf *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	const char *name = "";

	LOCKED(&registry);
	for (const struct metric *m = first; m; m = m->next) {
		if (!str_eq(str_c(m->name), str_c(name))) {
			name = m->name;
			buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, m->help, name, types[m->kind]);
		}
		if (m->kind == HISTOGRAM) {
			write_histogram(out, m);
			continue;
		}
		write_name(out, m, "", NULL);
		buf_printf(out, "%" PRId64 "\n", metric_value(m));
	}
}
