/*
 * state.c - `hearth state resolve`: the states of files resolved by the library, and why it came out so.
 *
 * Nothing of a server is needed: the events are those of the files, numbered as they come, and the states are trees in memory.
 */
#include "cli/files.h"
#include "cli/internal_cli.h"
#include "cli/state_file.h"
#include "json/writer.h"
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

static void begin_line(struct jw *j, const struct event *ev)
{
	jw_object(j, NULL);
	jw_str(j, "type", ev->type);
	jw_str(j, "state_key", ev->state_key);
	jw_str(j, "event_id", ev->event_id);
}

/* Objects of an array stand on lines of their own, so that two answers can be compared with diff. */
static void end_line(struct jw *j)
{
	jw_end(j);
	buf_byte(j->out, '\n');
}

static void write_notes(struct jw *j, const struct work *w, const char *name, enum state_res_step first,
			enum state_res_step last)
{
	jw_array(j, name);
	buf_byte(j->out, '\n');
	for (enum state_res_step step = first; step <= last; step++)
		for (size_t i = 0; i < w->notes.n; i++) {
			const struct state_res_note *note = &w->notes.p[i];

			if (note->step != step)
				continue;
			begin_line(j, note->event);
			jw_str(j, "sender", note->event->sender);
			if (note->refusal)
				jw_str(j, "refused", note->refusal->msg);
			end_line(j);
		}
	jw_end(j);
}

static void write_losses(struct jw *j, const struct work *w)
{
	jw_array(j, "lost");
	buf_byte(j->out, '\n');
	for (size_t i = 0; i < w->facts.n_losses; i++) {
		const struct state_res_loss *l = &w->facts.losses[i];

		begin_line(j, w->file.events.p[l->lost - 1]);
		if (l->held)
			jw_str(j, "held_instead", w->file.events.p[l->held - 1]->event_id);
		jw_str_or_null(j, "cause", l->cause ? w->file.events.p[l->cause - 1]->event_id : STR_NONE);
		end_line(j);
	}
	jw_end(j);
}

static void explain(struct jw *j, const struct work *w)
{
	const bool v1 = w->file.rv->state_res == STATE_RES_V1;

	jw_str(j, "algorithm", v1 ? S("1") : w->file.rv->state_res == STATE_RES_V2 ? S("2") : S("2.1"));
	write_notes(j, w, "conflicted", STATE_RES_CONFLICTED, STATE_RES_CONFLICTED);
	write_notes(j, w, "full_conflicted_set", STATE_RES_FULL, STATE_RES_FULL);
	if (v1) {
		write_notes(j, w, "power_levels", STATE_RES_LEVELS, STATE_RES_LEVELS);
		write_notes(j, w, "join_rules", STATE_RES_RULES, STATE_RES_RULES);
		write_notes(j, w, "members", STATE_RES_MEMBERS, STATE_RES_MEMBERS);
		write_notes(j, w, "others", STATE_RES_OTHERS, STATE_RES_OTHERS);
	} else {
		write_notes(j, w, "power_events", STATE_RES_POWER, STATE_RES_POWER);
		write_notes(j, w, "other_events", STATE_RES_MAINLINE, STATE_RES_MAINLINE);
	}
	write_losses(j, w);
}

static err *answer(struct work *w, const struct state_tree *tree, struct state_root root, bool why, struct buf *out)
{
	struct held held = { .w = w };
	struct jw j = jw_to(out);

	TRY(state_each(tree, w->a, root, (struct state_pick){ 0 }, on_held, &held));
	if (held.events.n > 0)
		qsort(held.events.p, held.events.n, sizeof(*held.events.p), by_key);
	jw_object(&j, NULL);
	jw_str(&j, "room_version", w->file.rv->id);
	jw_array(&j, "state");
	buf_byte(out, '\n');
	for (size_t i = 0; i < held.events.n; i++) {
		begin_line(&j, held.events.p[i]);
		end_line(&j);
	}
	jw_end(&j);
	if (why)
		explain(&j, w);
	jw_end(&j);
	buf_byte(out, '\n');
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
