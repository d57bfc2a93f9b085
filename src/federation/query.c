/* query.c - asking once, and remembering the answer: see query.h. What is asked stands in query_names.c. */
#include "federation/query.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"

enum { DEPTH_MOST = 100, VALUES_MOST = 1 << 18 };
enum { QUERIES_BYTES = 16 << 20, ENTRY_SHARE = 16 /* no answer is kept that is larger than this part of it */ };

/* One that is being asked for belongs to who asks; one that is kept to the table. */
struct entry {
	struct list lru; /* linked once it is kept */
	str key;
	bool asking;
	unsigned waiting;
	int64_t until_us;
	str text; /* the answer */
	enum err_code code;
	str why, body; /* of an error */
	size_t bytes;
};
struct queries {
	struct queries_options opt;
	struct lock lock;
	struct cond answered;
	struct map entries;
	struct list lru; /* most recently used first */
	size_t bytes;
};

struct queries *queries_new(const struct queries_options *opt)
{
	struct queries *q = MEM_NEW(struct queries);

	q->opt = *opt;
	if (!q->opt.max_bytes)
		q->opt.max_bytes = QUERIES_BYTES;
	if (!q->opt.now_us)
		q->opt.now_us = clock_mono_us;
	lock_init(&q->lock, RANK_SERVICE);
	cond_init(&q->answered);
	map_init(&q->entries, NULL);
	list_init(&q->lru);
	return q;
}

static void entry_free(struct entry *e)
{
	mem_free((void *)e->key.p);
	mem_free((void *)e->text.p);
	mem_free((void *)e->why.p);
	mem_free((void *)e->body.p);
	mem_free(e);
}

static void forget(struct queries *q, struct entry *e)
{
	(void)map_del(&q->entries, e->key);
	list_del(&e->lru);
	q->bytes -= e->bytes;
	entry_free(e);
}

void queries_free(struct queries **queries)
{
	struct queries *q = *queries;

	if (!q)
		return;
	while (!list_is_empty(&q->lru))
		forget(q, LIST_ITEM(q->lru.next, struct entry, lru));
	map_done(&q->entries);
	cond_done(&q->answered);
	lock_done(&q->lock);
	mem_free(q);
	*queries = NULL;
}

/* With the lock. */
static void keep(struct queries *q, struct entry *e)
{
	e->bytes = sizeof(*e) + e->key.n + e->text.n + e->why.n + e->body.n;
	q->bytes += e->bytes;
	list_add_head(&q->lru, &e->lru);
	while (q->bytes > q->opt.max_bytes && q->lru.prev != &q->lru) {
		struct entry *oldest = LIST_ITEM(q->lru.prev, struct entry, lru);

		if (oldest->waiting) /* it is the newest, and somebody is about to read it */
			break;
		forget(q, oldest);
	}
}

static str key_of(struct arena *a, const struct query_ask *ask)
{
	str body = S("");

	if (ask->content && json_canonical(a, ask->content, JSON_CANON_LOOSE, &body))
		body = S("?");
	return arena_printf(a, "%.*s %.*s %.*s", STR_ARG(ask->destination), STR_ARG(ask->path), STR_ARG(body));
}

/* What every asker is told, the first as those after it. */
static err *read_text(struct arena *a, str text, const struct json **out)
{
	const struct json_limits limits = {
		.max_bytes = FED_ANSWER_MAX,
		.max_depth = DEPTH_MOST,
		.max_values = VALUES_MOST,
	};
	struct json *j;

	TRY(json_parse(a, text, &limits, &j));
	*out = j;
	return NULL;
}

static err *read_entry(struct arena *a, const struct entry *e, const struct json **out)
{
	err *why;

	if (!e->code)
		return read_text(a, arena_keep(a, e->text), out);
	why = err_new(a, e->code, "%.*s", STR_ARG(e->why));
	if (!str_is_none(e->body))
		why->body = arena_keep(a, e->body);
	return why;
}

/* A no that the other server meant; trouble is for back-off to remember. */
static bool is_final(const err *e)
{
	return e->code == ERR_NOT_FOUND || e->code == ERR_FORBIDDEN || e->code == ERR_UNRECOGNIZED ||
	       e->code == ERR_INVALID_PARAM || e->code == ERR_UNKNOWN;
}

static err *ask_server(struct queries *q, struct arena *a, const struct query_ask *ask, const struct json **out)
{
	struct fed_call call = {
		.destination = ask->destination,
		.method = ask->content ? S("POST") : STR_NONE,
		.path = ask->path,
		.content = ask->content,
		.patience = FED_ASK,
		.max_bytes = ask->max_bytes,
	};

	TRY(fed_one(q->opt.fed, a, &call, ask->deadline_us));
	if (!json_is(call.answer, JSON_OBJECT))
		return err_new(a, ERR_CONNECTION_FAILED, "%.*s does not answer with an object",
			       STR_ARG(ask->destination));
	if (read_text(a, call.answer->raw, out))
		return err_new(a, ERR_CONNECTION_FAILED, "%.*s answers with more than is kept",
			       STR_ARG(ask->destination));
	return NULL;
}

/* With the lock: what came of it is for those who wait, and for later. */
static void settle(struct queries *q, struct entry *e, const struct query_ask *ask, const err *why,
		   const struct json *answer)
{
	const int64_t good_for = why ? (is_final(why) ? ask->bad_us : 0) : ask->keep_us;

	e->asking = false;
	e->until_us = q->opt.now_us() + good_for;
	if (why) {
		e->code = why->code;
		e->why = str_keep(why->msg);
		e->body = str_is_none(why->body) ? STR_NONE : str_keep(why->body);
	} else {
		e->text = str_keep(answer->raw);
	}
	cond_broadcast(&q->answered);
	if (e->waiting == 0 && (good_for <= 0 || e->text.n > q->opt.max_bytes / ENTRY_SHARE)) {
		(void)map_del(&q->entries, e->key);
		entry_free(e);
		return;
	}
	keep(q, e);
}

/* With the lock: what is known, or is about to be. */
static err *wait_for(struct queries *q, struct arena *a, struct entry *e, const struct query_ask *ask,
		     const struct json **out)
{
	err *result;

	e->waiting++;
	while (e->asking && cond_wait_until(&q->answered, &q->lock, ask->deadline_us))
		;
	e->waiting--;
	if (e->asking)
		return err_new(a, ERR_CONNECTION_TIMEOUT, "%.*s does not answer", STR_ARG(ask->destination));
	result = read_entry(a, e, out);
	list_del(&e->lru);
	list_add_head(&q->lru, &e->lru);
	return result;
}

err *query_get(struct queries *q, struct arena *a, const struct query_ask *ask, const struct json **out)
{
	const str key = key_of(a, ask);
	struct entry *e;
	err *why;

	lock_take(&q->lock);
	e = map_get(&q->entries, key);
	if (e && !e->asking && !e->waiting && e->until_us <= q->opt.now_us()) {
		forget(q, e);
		e = NULL;
	}
	if (e) {
		why = wait_for(q, a, e, ask, out);
		lock_drop(&q->lock);
		return why;
	}
	e = MEM_NEW(struct entry);
	list_init(&e->lru);
	e->key = str_keep(key);
	e->asking = true;
	(void)map_put(&q->entries, e->key, e);
	lock_drop(&q->lock);
	why = ask_server(q, a, ask, out);
	lock_take(&q->lock);
	settle(q, e, ask, why, why ? NULL : *out);
	lock_drop(&q->lock);
	return why;
}
