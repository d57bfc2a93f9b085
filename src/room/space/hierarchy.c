/*
 * hierarchy.c - the walk through a space and all below it, for a user.
 *
 * Depth first, each room once: loops end by themselves. What this server knows it knows best; of other rooms the
 * servers that their parent names are asked, and what they say of a space's children is good for those that hold
 * nothing themselves. Nothing is remembered between pages: a token says after which room to go on, and the walk is done
 * again from the top, which is quick for our rooms, and for others' is answered by what query.h keeps. So a token
 * outlives a restart, and a space that changes meanwhile is shown as it is.
 */
#include "room/space/space.h"

#include "base/b64.h"
#include "federation/query.h"
#include "matrix/id.h"
#include "room/internal_room.h"

enum {
	PAGE_MOST = 50,
	VISITED_MOST = 2000, /* rooms, all pages together */
	ASKED_MOST = 30,     /* servers, for a page */
	VIA_ASKED = 3,       /* for a room */
	DEPTH_MOST = 100,
};

struct step {
	str room_id;
	int64_t depth;
	const struct json *via;   /* a list, or NULL */
	const struct json *given; /* its summary, as its parent's server tells; or NULL */
};
struct walk {
	struct rooms *rs;
	struct arena *a;
	const struct hierarchy_cmd *cmd;
	VEC(struct step) todo; /* the next one last */
	struct map visited;
	size_t n_visited, asked, shown;
	str after; /* nothing is written before this room has come by; STR_NONE */
	bool must_ask;
	str last; /* written */
};

/*
 * Tokens: how the walk was asked for, and the last room of the page.
 */
static str make_token(struct walk *w)
{
	return arena_printf(w->a, "s%d_%" PRId64 "_%.*s", w->cmd->suggested_only, w->cmd->max_depth,
			    STR_ARG(b64url_encode(w->a, w->last)));
}

static err *read_token(struct walk *w)
{
	str rest = w->cmd->from, flags, depth, room_id;
	int64_t max_depth;

	if (str_is_none(rest))
		return NULL;
	if (!str_split_next(&rest, '_', &flags) || !str_split_next(&rest, '_', &depth) ||
	    !str_to_i64(depth, &max_depth))
		return err_new(w->a, ERR_INVALID_PARAM, "from is no token of this walk");
	room_id = b64url_decode(w->a, rest);
	if (!id_room_valid(room_id))
		return err_new(w->a, ERR_INVALID_PARAM, "from is no token of this walk");
	if (!str_eq(flags, w->cmd->suggested_only ? S("s1") : S("s0")) || max_depth != w->cmd->max_depth)
		return err_new(w->a, ERR_INVALID_PARAM,
			       "suggested_only and max_depth cannot change on paginated requests");
	w->after = room_id;
	return NULL;
}

/*
 * Rooms of others
 */
struct told { /* of a space by another server */
	const struct json *room, *children, *inaccessible;
};

static err *ask_one(struct walk *w, str server, str room_id, struct told *out)
{
	const struct json *answer;

	w->asked++;
	TRY(query_hierarchy(w->cmd->queries, w->a, server, room_id, w->cmd->suggested_only, w->cmd->deadline_us,
			    &answer));
	out->room = json_get_object(answer, S("room"));
	out->children = json_get_array(answer, S("children"));
	out->inaccessible = json_get_array(answer, S("inaccessible_children"));
	if (!str_eq(json_get_str(out->room, S("room_id")), room_id))
		return err_new(w->a, ERR_CONNECTION_FAILED, "%.*s tells of another room", STR_ARG(server));
	return NULL;
}

/* Nobody who knows it answers: then it is not shown. */
static void ask(struct walk *w, const struct step *step, struct told *out)
{
	size_t tried = 0;

	JSON_ITEMS (step->via, i) {
		const str server = json_str(step->via->array.items[i]);

		if (!id_server_name_valid(server) || str_eq(server, w->rs->opt.signer.server_name))
			continue;
		if (tried++ == VIA_ASKED || w->asked == ASKED_MOST)
			break;
		if (!ask_one(w, server, step->room_id, out))
			return;
	}
	*out = (struct told){ 0 };
}

static bool may_go_below(const struct walk *w, const struct step *step)
{
	return step->depth < DEPTH_MOST && (w->cmd->max_depth < 0 || step->depth < w->cmd->max_depth);
}

/* What the parent's server said is enough for what holds nothing. */
static bool is_enough(const struct walk *w, const struct step *step)
{
	return step->given &&
	       (!str_eq(json_get_str(step->given, S("room_type")), S("m.space")) || !may_go_below(w, step));
}

/*
 * The walk
 */
static const struct json *find_given(const struct told *told, str room_id)
{
	JSON_ITEMS (told->children, i)
		if (str_eq(json_get_str(told->children->array.items[i], S("room_id")), room_id))
			return told->children->array.items[i];
	return NULL;
}

static err *entry_of(struct walk *w, const struct step *step, struct told *told, struct space_entry *out)
{
	AUTO_TX tx = NULL;

	*told = (struct told){ 0 };
	TRY(store_read(w->rs->opt.store, w->a, &tx));
	TRY(space_entry_local(w->rs, w->a, tx, step->room_id, &w->cmd->viewer, w->cmd->suggested_only, true, out));
	if (out->is_here)
		return NULL;
	if (is_enough(w, step)) {
		told->room = step->given;
	} else if (!w->cmd->queries) {
		w->must_ask = step->via != NULL;
		return NULL;
	} else {
		store_read_end(&tx); /* no snapshot is held over the network */
		ask(w, step, told);
		TRY(store_read(w->rs->opt.store, w->a, &tx));
	}
	if (!told->room)
		return NULL;
	return space_entry_remote(w->rs, w->a, tx, told->room, &w->cmd->viewer, w->cmd->suggested_only, out);
}

static void open_children(struct walk *w, const struct step *step, const struct told *told,
			  const struct space_entry *entry)
{
	if (!may_go_below(w, step))
		return;
	for (size_t i = entry->n_children; i-- > 0;) {
		const struct json *child = entry->children[i];
		const str room_id = json_get_str(child, S("state_key"));

		if (!json_lists(told->inaccessible, room_id))
			vec_push(w->a, &w->todo,
				 (struct step){ room_id, step->depth + 1,
						json_get_array(json_get(child, S("content")), S("via")),
						find_given(told, room_id) });
	}
}

static void write_entry(struct walk *w, struct jw *out, const struct space_entry *e)
{
	space_entry_write(out, NULL, e);
	w->last = json_get_str(e->room, S("room_id"));
	w->shown++;
}

static err *visit(struct walk *w, struct jw *out)
{
	const struct step step = w->todo.p[--w->todo.n];
	struct space_entry entry;
	struct told told;

	if (map_put(&w->visited, step.room_id, w))
		return NULL;
	w->n_visited++;
	TRY(entry_of(w, &step, &told, &entry));
	if (!entry.room) {
		if (step.depth == 0 && !w->must_ask)
			return err_new(w->a, ERR_FORBIDDEN, "You are not allowed to view this room.");
		return NULL;
	}
	open_children(w, &step, &told, &entry);
	if (str_is_none(w->after))
		write_entry(w, out, &entry);
	else if (str_eq(w->after, step.room_id))
		w->after = STR_NONE;
	return NULL;
}

/* Is there more to show? A room that is known already, or that is not for the user, is nothing: it is not worth
 * looking, and costs an empty page. */
static bool has_more(const struct walk *w)
{
	for (size_t i = 0; i < w->todo.n; i++)
		if (!map_get(&w->visited, w->todo.p[i].room_id))
			return w->n_visited < VISITED_MOST;
	return false;
}

/* The root's servers are named by nobody: its id may say one. */
static const struct json *root_via(struct arena *a, str room_id)
{
	const str server = id_server(room_id);
	struct json *via;

	if (str_is_none(server))
		return NULL;
	via = json_new_array(a);
	json_append(a, via, json_new_str(a, server));
	return via;
}

err *space_hierarchy_write(struct rooms *rs, struct arena *a, const struct hierarchy_cmd *cmd, struct jw *w,
			   bool *out_ask)
{
	const size_t limit = (size_t)MIN(cmd->limit, (int64_t)PAGE_MOST);
	struct walk walk = { .rs = rs, .a = a, .cmd = cmd };

	TRY(read_token(&walk));
	map_init(&walk.visited, a);
	vec_push(a, &walk.todo, (struct step){ cmd->room_id, 0, root_via(a, cmd->room_id), NULL });
	jw_array(w, "rooms");
	while (walk.todo.n > 0 && walk.shown < limit && walk.n_visited < VISITED_MOST && !walk.must_ask)
		TRY(visit(&walk, w));
	jw_end(w);
	*out_ask = walk.must_ask;
	if (!str_is_none(walk.after) && !walk.must_ask)
		return err_new(a, ERR_INVALID_PARAM, "the room that from names is not there any more");
	if (walk.shown > 0 && has_more(&walk))
		jw_str(w, "next_batch", make_token(&walk));
	return NULL;
}
