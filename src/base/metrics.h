/*
 * metrics.h - counters, gauges and histograms, written out in Prometheus' text format.
 *
 * Metrics are registered once at start and live for ever. Labels are fixed at registration ("method=\"GET\",..."), so
 * that peers cannot make new series.
 */
#pragma once

#include "base/buf.h"

struct metric;

/* help and labels are borrowed for ever; labels may be "". The same name with other labels is a further series. */
struct metric *metric_counter(const char *name, const char *help, const char *labels);
/* One for each label, the first time that it is called. */
void metric_counters(struct metric **out, size_t n, const char *name, const char *help, const char *const *labels);
struct metric *metric_gauge(const char *name, const char *help, const char *labels);
/* Durations in microseconds, shown in seconds: buckets 100 us to 60 s. */
struct metric *metric_histogram(const char *name, const char *help, const char *labels);

void metric_add(struct metric *m, int64_t n);
void metric_set(struct metric *m, int64_t v);
void metric_observe_us(struct metric *m, int64_t us);
int64_t metric_value(const struct metric *m); /* a histogram's: how many observations */

/* Every series: those of one name stand together after its HELP and TYPE, names in order of registration. */
void metrics_write(struct buf *out);
