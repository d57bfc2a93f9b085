/*
 * state.c - `hearth state resolve`: the states of files resolved by the library, and why it came out so.
 *
 * Nothing of a server is needed: the events are those of the files, numbered as they come, and the states are trees in
 * memory.
 */
#include "cli/files.h"
#include "cli/internal_cli.h"
#include "cli/state_file.h"
#include "json/writer.h"
#include "matrix/auth_rule.h"
#include "matrix/state_res.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { LARGEST_FILE = 1 << 30, LARGEST_ANSWER = 1 << 30 };

struct work {
	struct arena *a;
	struct state_file file;
	struct map numbers;  /* text -> its number */
	int64_t *type, *key; /* of event i + 1 */
	struct auth_list *auth;
	VEC(struct state_res_note) notes;
	struct state_res_facts facts;
};

static int64_t number_of(struct work *w, str text)
{
	int64_t n = (int64_t)(intptr_t)map_get(&w->numbers, text);

	if (n == 0) {
		n = (int64_t)w->numbers.n + 1;
		map_put(&w->numbers, text, (void *)(intptr_t)n);
	}
	return n;
}

static err *io_number(void *ctx, str text, int64_t *out)
{
	const struct work *w = ctx;

	*out = (int64_t)(intptr_t)map_get(&w->numbers, text);
	return NULL;
}

static err *io_event(void *ctx, struct arena *a, int64_t nid, const struct event **out)
{
	const struct work *w = ctx;

	(void)a;
	*out = w->file.events.p[nid - 1];
	return NULL;
}

static err *io_auth_events(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out)
{
	const struct work *w = ctx;

	(void)a;
	for (size_t i = 0; i < n; i++)
		out[i] = w->auth[events[i] - 1];
	return NULL;
}

static void io_note(void *ctx, const struct state_res_note *note)
{
	struct work *w = ctx;

	vec_push(w->a, &w->notes, *note);
}

/* All nodes are in the builder. */
static err *no_node(void *ctx, struct arena *a, int64_t id, struct state_node *out)
{
	(void)ctx;
	(void)out;
	return err_new(a, ERR_INTERNAL, "no node %" PRId64, id);
}

static void number_events(struct work *w)
{
	const size_t n = w->file.events.n;

	map_init(&w->numbers, w->a);
	w->type = ARENA_ARRAY(w->a, int64_t, n);
	w->key = ARENA_ARRAY(w->a, int64_t, n);
	w->auth = ARENA_ARRAY(w->a, struct auth_list, n);
	for (size_t i = 0; i < n; i++) {
		const struct event *ev = w->file.events.p[i];
		int64_t *auth = ARENA_ARRAY(w->a, int64_t, ev->n_auth_events);

		for (size_t k = 0; k < ev->n_auth_events; k++)
			auth[k] = ((const struct event *)map_get(&w->file.by_id, ev->auth_events[k]))->nid;
		w->auth[i] = (struct auth_list){ auth, ev->n_auth_events };
		w->type[i] = number_of(w, ev->type);
		w->key[i] = event_is_state(ev) ? number_of(w, ev->state_key) : 0;
	}
}

static err *build_states(struct work *w, struct state_builder *b, struct state_root *roots)
{
	for (size_t i = 0; i < w->file.states.n; i++) {
		const struct state_ids *s = &w->file.states.p[i];
		struct state_entry *entries = ARENA_ARRAY(w->a, struct state_entry, s->n);

		for (size_t k = 0; k < s->n; k++)
			entries[k] =
				(struct state_entry){ w->type[s->nids[k] - 1], w->key[s->nids[k] - 1], s->nids[k] };
		TRY(state_apply(b, STATE_EMPTY, entries, s->n, &roots[i]));
	}
	return NULL;
}

/*
 * The answer
 */
struct held {
	const struct work *w;
	VEC(const struct event *) events;
};

static err *on_held(void *arg, const struct state_entry *e)
{
	struct held *h = arg;

	vec_push(h->w->a, &h->events, h->w->file.events.p[e->event - 1]);
	return NULL;
}

static int by_key(const void *p, const void *q)
{
	const struct event *x = *(const struct event *const *)p, *y = *(const struct event *const *)q;
	const int types = str_cmp(x->type, y->type);

	return types ? types : str_cmp(x->state_key, y->state_key);
}

/* Rows of an array stand on lines of their own, so that two answers can be compared with diff. */
static void begin_rows(struct buf *out, const char *name) { buf_printf(out, ",\n \"%s\": [", name); }

static struct jw begin_row(struct buf *out, bool first, const struct event *ev)
{
	struct jw j = jw_to(out);

	buf_add(out, first ? S("\n  ") : S(",\n  "));
	jw_object(&j, NULL);
	jw_str(&j, "type", ev->type);
	jw_str(&j, "state_key", ev->state_key);
	jw_str(&j, "event_id", ev->event_id);
	return j;
}

static int by_note_key(const void *p, const void *q)
{
	const struct event *x = (*(const struct state_res_note *const *)p)->event,
			   *y = (*(const struct state_res_note *const *)q)->event;
	const int keys = by_key(&x, &y);

	return keys ? keys : str_cmp(x->event_id, y->event_id);
}

static void write_refusal(struct jw *j, const struct work *w, const err *refusal)
{
	const enum auth_rule rule = auth_rule_of(refusal);

	jw_str(j, "refused", refusal->msg);
	if (rule != RULE_NONE)
		jw_str(j, "rule", auth_rule_text(w->a, w->file.rv, rule));
}

/* The events of a step: sets in the order of their keys, passes in the order of the resolution. */
static void write_step(struct buf *out, const struct work *w, const char *name, enum state_res_step step)
{
	VEC(const struct state_res_note *) rows = { 0 };

	for (size_t i = 0; i < w->notes.n; i++)
		if (w->notes.p[i].step == step)
			vec_push(w->a, &rows, &w->notes.p[i]);
	if (rows.n > 0 && (step == STATE_RES_CONFLICTED || step == STATE_RES_FULL))
		qsort(rows.p, rows.n, sizeof(*rows.p), by_note_key);
	begin_rows(out, name);
	for (size_t i = 0; i < rows.n; i++) {
		struct jw j = begin_row(out, i == 0, rows.p[i]->event);

		jw_str(&j, "sender", rows.p[i]->event->sender);
		if (rows.p[i]->refusal)
			write_refusal(&j, w, rows.p[i]->refusal);
		jw_end(&j);
	}
	buf_byte(out, ']');
}

static void write_losses(struct buf *out, const struct work *w)
{
	begin_rows(out, "lost");
	for (size_t i = 0; i < w->facts.n_losses; i++) {
		const struct state_res_loss *l = &w->facts.losses[i];
		struct jw j = begin_row(out, i == 0, w->file.events.p[l->lost - 1]);

		jw_str_or_null(&j, "held", l->held ? w->file.events.p[l->held - 1]->event_id : STR_NONE);
		jw_str_or_null(&j, "cause", l->cause ? w->file.events.p[l->cause - 1]->event_id : STR_NONE);
		jw_end(&j);
	}
	buf_byte(out, ']');
}

static void explain(struct buf *out, const struct work *w)
{
	static const struct {
		enum state_res algorithm; /* 0: all */
		const char *name;
		enum state_res_step step;
	} steps[] = {
		{ 0, "conflicted", STATE_RES_CONFLICTED },
		{ 0, "full_conflicted_set", STATE_RES_FULL },
		{ STATE_RES_V2, "power_events", STATE_RES_POWER },
		{ STATE_RES_V2, "other_events", STATE_RES_MAINLINE },
		{ STATE_RES_V1, "power_levels", STATE_RES_LEVELS },
		{ STATE_RES_V1, "join_rules", STATE_RES_RULES },
		{ STATE_RES_V1, "members", STATE_RES_MEMBERS },
		{ STATE_RES_V1, "others", STATE_RES_OTHERS },
	};
	static const char *const names[] = { [STATE_RES_V1] = "1", [STATE_RES_V2] = "2", [STATE_RES_V2_1] = "2.1" };
	const enum state_res algorithm = w->file.rv->state_res;

	buf_printf(out, ",\n \"algorithm\": \"%s\"", names[algorithm]);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (!steps[i].algorithm ||
		    steps[i].algorithm == (algorithm == STATE_RES_V1 ? STATE_RES_V1 : STATE_RES_V2))
			write_step(out, w, steps[i].name, steps[i].step);
	write_losses(out, w);
}

static err *answer(struct work *w, const struct state_tree *tree, struct state_root root, bool why, struct buf *out)
{
	struct held held = { .w = w };

	TRY(state_each(tree, w->a, root, (struct state_pick){ 0 }, on_held, &held));
	if (held.events.n > 0)
		qsort(held.events.p, held.events.n, sizeof(*held.events.p), by_key);
	buf_printf(out, "{\"room_version\": \"%.*s\"", STR_ARG(w->file.rv->id));
	begin_rows(out, "state");
	for (size_t i = 0; i < held.events.n; i++) {
		struct jw j = begin_row(out, i == 0, held.events.p[i]);

		jw_end(&j);
	}
	buf_byte(out, ']');
	if (why)
		explain(out, w);
	buf_add(out, S("}\n"));
	return out->overflow ? err_new(w->a, ERR_TOO_LARGE, "the answer is too long") : NULL;
}

static err *resolve(struct arena *a, str room_version, const str *texts, size_t n, bool why, struct buf *out)
{
	static const uint8_t key[16] = { 0 }; /* of hashes that are compared within this run only */
	const struct state_tree tree = { .key = key, .node = no_node };
	struct work w = { .a = a };
	struct state_builder b;
	struct state_root *roots, root;
	const struct state_res_io io = {
		.ctx = &w,
		.event = io_event,
		.number = io_number,
		.note = why ? io_note : NULL,
		.auth = { .ctx = &w, .auth_events = io_auth_events },
	};

	TRY(state_file_read(a, room_version, texts, n, &w.file));
	if (w.file.states.n < 1 || w.file.states.n > STATE_RES_MAX_ROOTS)
		return err_new(a, ERR_BAD_JSON, "from 1 to %d states can be resolved, there are %zu",
			       STATE_RES_MAX_ROOTS, w.file.states.n);
	number_events(&w);
	state_builder_init(&b, a, &tree);
	roots = ARENA_ARRAY(a, struct state_root, w.file.states.n);
	TRY(build_states(&w, &b, roots));
	TRY(state_resolve(a, w.file.rv, &b, roots, w.file.states.n, &io, &root, &w.facts));
	return answer(&w, &b.tree, root, why, out);
}

static int complain(const struct call *c, str text)
{
	(void)fprintf(stderr, "%s: %.*s\n", c->program, STR_ARG(text));
	return 1;
}

int cli_state(const struct call *called)
{
	struct call c = *called;
	const bool why = call_flag(&c, "--explain");
	const str version = call_value(&c, "--room-version");
	AUTO_BUF out = BUF_INIT(LARGEST_ANSWER);
	str *texts;
	err *e;

	if (c.argc < 1 || strcmp(c.argv[0], "resolve") != 0) {
		(void)fprintf(stderr, "%s: state resolve FILE... (see %s help)\n", c.program, c.program);
		return 2;
	}
	c.argv++;
	c.argc--;
	if (!call_finish(&c, MAX(c.argc, 1)))
		return 2;
	texts = ARENA_ARRAY(c.a, str, (size_t)c.argc);
	for (int i = 0; i < c.argc; i++) {
		texts[i] = file_read(c.a, str_c(c.argv[i]), LARGEST_FILE);
		if (str_is_none(texts[i]))
			return complain(&c, arena_printf(c.a, "%s: %s", c.argv[i], strerror(errno)));
	}
	crypto_init();
	e = resolve(c.a, version, texts, (size_t)c.argc, why, &out);
	if (e)
		return complain(&c, e->msg);
	return fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0 ? 0 : 1;
}
