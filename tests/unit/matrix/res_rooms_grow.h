/* res_rooms_grow.h - the part of res_rooms.h that makes a room grow and draws states of it. */
#pragma once

static inline void res_put_event(struct res_room *r, struct event *ev, const struct model_state *before)
{
	const int x = model_add(&r->m, ev);

	r->after[x] = *before;
	if (event_is_state(ev) && !ev->rejected)
		r->after[x].event[r->m.key_of[x]] = x;
}

static inline void res_open(struct res_room *r, struct arena *a, const struct room_version *rv)
{
	static const char *const creates[] = { "{\"creator\":\"@alice:x\"}",
					       "{\"additional_creators\":[\"@carol:y\"],\"creator\":\"@alice:x\"}",
					       "{\"creator\":\"@alice:x\",\"m.federate\":false}" };
	const unsigned drawn = draw(&r->d, 12), kind = drawn == 1 || (drawn == 2 && !r->plain) ? drawn : 0;
	const struct res_line lines[] = {
		{ "@alice:x", "m.room.create", "", creates[kind], 1, 1 },
		{ "@alice:x", "m.room.member", "@alice:x", "{\"membership\":\"join\"}", 2, 2 },
		{ "@alice:x", "m.room.join_rules", "", "{\"join_rule\":\"public\"}", 3, 3 },
		{ "@bob:x", "m.room.member", "@bob:x", "{\"membership\":\"join\"}", 4, 4 },
		{ "@frank:x", "m.room.member", "@frank:x", "{\"membership\":\"join\"}", 5, 5 },
	};

	r->m = (struct model){ .a = a, .rv = rv };
	r->after[0] = (struct model_state){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct event *ev = res_make(r, &lines[i], &r->after[i]);

		if (i > 0) {
			ev->prev_events = &r->m.ev[i]->event_id;
			ev->n_prev_events = 1;
		}
		res_put_event(r, ev, &r->after[i]);
	}
}

/* Tries to add an event after some of those there are; now and then it stays though the state before refuses it, as
 * rejected. */
static inline void res_try(struct res_room *r)
{
	struct model *m = &r->m;
	const unsigned n_prev = draw(&r->d, 3) ? 1 : 2 + draw(&r->d, 3);
	str *prev = ARENA_ARRAY(m->a, str, 4);
	struct model_state states[4], before;
	struct model_check check = { m, &before, 0 };
	struct event *ev;
	int64_t depth = 0;
	struct res_line l;

	for (unsigned i = 0; i < n_prev; i++) {
		const int back = (int)(draw(&r->d, 2) ? draw(&r->d, 3) : draw(&r->d, 16));
		const int x = MAX(m->n - back, 5);

		prev[i] = m->ev[x]->event_id;
		states[i] = r->after[x];
		depth = MAX(depth, m->ev[x]->depth);
	}
	if (n_prev == 1)
		before = states[0];
	else
		model_resolve(m, states, (int)n_prev, &before);
	l = res_draw_line(r, event_depth_after(depth));
	ev = res_make(r, &l, &before);
	ev->prev_events = prev;
	ev->n_prev_events = n_prev;
	ev->rejected = auth_check(m->a, m->rv, ev, model_look_up, &check) != NULL;
	if (ev->rejected && (r->plain || draw(&r->d, 24) != 0))
		return;
	res_put_event(r, ev, &before);
}

static inline void res_grow(struct res_room *r, int n)
{
	for (int attempt = 0; attempt < 20 * n && r->m.n < n; attempt++)
		res_try(r);
}

/* From 2 to 8 states: after any events, met or not; or such as no history led to, with parts of others in them. */
static inline int res_draw_states(struct res_room *r, struct model_state *out)
{
	struct model *m = &r->m;
	const unsigned few = draw(&r->d, 4), swapped = draw(&r->d, 3);
	const int n = 2 + (int)(few ? draw(&r->d, 2) : draw(&r->d, 7));
	const int base = 5 + (int)draw(&r->d, (unsigned)m->n - 4);

	for (int i = 0; i < n; i++) {
		out[i] = r->after[swapped == 2 ? base : 5 + (int)draw(&r->d, (unsigned)m->n - 4)];
		for (unsigned swaps = swapped ? draw(&r->d, 8) : 0; swaps > 0; swaps--) {
			const int x = 2 + (int)draw(&r->d, (unsigned)m->n - 1);

			if (m->key_of[x] >= 0 && !(r->plain && m->ev[x]->rejected))
				out[i].event[m->key_of[x]] = draw(&r->d, 4) ? x : 0;
		}
		/* One state may lack the create event; a room without any is none. */
		if (!r->plain && i > 0 && draw(&r->d, 40) == 0)
			out[i].event[m->key_of[1]] = 0;
	}
	return n;
}
