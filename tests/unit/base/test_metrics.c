/* The text that Prometheus scrapes, to the byte. */
#include "test.h"

#include "base/metrics.h"
#include "base/thread.h"

static struct metric *many;

static void add_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10000; i++)
		metric_add(many, 1);
}

static void the_whole_text(void **state)
{
	struct metric *get = metric_counter("http_requests_total", "Requests answered.", "method=\"GET\"");
	struct metric *up = metric_gauge("connections", "Open connections.", "");
	/* Registered after another name: written with its own. */
	struct metric *put = metric_counter("http_requests_total", "Requests answered.", "method=\"PUT\"");
	AUTO_BUF b = BUF_INIT(100000);

	(void)state;
	metric_add(get, 2);
	metric_add(get, 1);
	metric_set(up, 5);
	metric_add(up, -7);
	assert_int_equal(metric_value(get), 3);
	assert_int_equal(metric_value(put), 0);
	metrics_write(&b);
	same_str(buf_str(&b), S("# HELP http_requests_total Requests answered.\n"
				"# TYPE http_requests_total counter\n"
				"http_requests_total{method=\"GET\"} 3\n"
				"http_requests_total{method=\"PUT\"} 0\n"
				"# HELP connections Open connections.\n"
				"# TYPE connections gauge\n"
				"connections -2\n"));
}

static void histograms(void **state)
{
	struct metric *h = metric_histogram("request_seconds", "Time.", "route=\"/sync\"");
	AUTO_BUF b = BUF_INIT(100000);
	str text;

	(void)state;
	metric_observe_us(h, 100); /* the bucket's edge belongs to it */
	metric_observe_us(h, 101);
	metric_observe_us(h, 60000000);
	metric_observe_us(h, 60000001); /* above all */
	metric_observe_us(h, -5);       /* a clock that went wrong: counted as 0 */
	assert_int_equal(metric_value(h), 5);
	metrics_write(&b);
	text = buf_str(&b);
	assert_true(str_contains(text, S("# TYPE request_seconds histogram\n"
					 "request_seconds_bucket{route=\"/sync\",le=\"0.0001\"} 2\n"
					 "request_seconds_bucket{route=\"/sync\",le=\"0.00025\"} 3\n"
					 "request_seconds_bucket{route=\"/sync\",le=\"0.0005\"} 3\n")));
	assert_true(str_contains(text, S("request_seconds_bucket{route=\"/sync\",le=\"30\"} 3\n"
					 "request_seconds_bucket{route=\"/sync\",le=\"60\"} 4\n"
					 "request_seconds_bucket{route=\"/sync\",le=\"+Inf\"} 5\n"
					 "request_seconds_sum{route=\"/sync\"} 120.000202\n"
					 "request_seconds_count{route=\"/sync\"} 5\n")));
}

static void counting_loses_nothing(void **state)
{
	struct thread *t[4];

	(void)state;
	many = metric_counter("many", "Many.", "");
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		t[i] = thread_start("add", add_many, NULL);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		thread_join(&t[i]);
	assert_int_equal(metric_value(many), 40000);
}

static void count_down(void) { metric_add(many, -1); }

static void same_series_again(void) { (void)metric_counter("many", "Many.", ""); }

static void misuse_dies(void **state)
{
	(void)state;
	assert_true(dies(count_down));
	assert_true(dies(same_series_again));
}

/* A service that is made once more goes on counting with the same. */
static void one_for_each_label_once(void **state)
{
	static const char *const labels[] = { "by=\"a\"", "by=\"b\"" };
	struct metric *all[2] = { NULL }, *first;

	(void)state;
	metric_counters(all, 2, "labelled_total", "Labelled.", labels);
	first = all[1];
	assert_true(all[0] && first && all[0] != first);
	metric_counters(all, 2, "labelled_total", "Labelled.", labels);
	assert_ptr_equal(all[1], first);
}

TEST_MAIN(cmocka_unit_test(the_whole_text), cmocka_unit_test(histograms), cmocka_unit_test(counting_loses_nothing),
	  cmocka_unit_test(one_for_each_label_once), cmocka_unit_test(misuse_dies))
