/*
 * to_device.c - messages to devices: from a request into the queues, and from a queue into an answer.
 *
 * A request is one piece: its transaction id is claimed, every device's message is inserted, or nothing is. Who asks
 * again with the same id finds it claimed. All messages take one position, the last thing that the piece does.
 *
 * A content for `*`, or one that stands several times on end, is stored once if it is long enough to pay for it: the
 * message to all of a thousand devices is no larger than that to one.
 */
#include "e2ee/internal_to_device.h"

#include "base/clock.h"
#include "bus/bus.h"
#include "matrix/id.h"
#include "store/txns.h"

enum { SHARED_FROM = 256, PRUNE_EVERY = 1000, PRUNE_MOST = 1500 };
#define DAY_MS INT64_C(86400000)

void to_device_counters(struct e2ee *e)
{
	e->to_device_queued = metric_counter("hearth_to_device_queued_total", "Messages stored for devices.", "");
	e->to_device_delivered = metric_counter("hearth_to_device_delivered_total",
						"Messages that devices have acknowledged, and that are gone.", "");
	e->to_device_dropped = metric_counter("hearth_to_device_dropped_total",
					      "Messages that no device fetched: too many, too large, or too old.", "");
	e->lists_told = metric_counter("hearth_device_lists_told_total",
				       "Users whose devices or keys a client was told to look up again.", "");
}

void to_device_init(struct e2ee *e)
{
	e->to_device = MEM_NEW(struct to_device);
	queues_init(e->to_device);
}

void to_device_done(struct e2ee *e)
{
	queues_done(e->to_device);
	mem_free(e->to_device);
}

/*
 * Sending
 */
struct recipient {
	int64_t user;
	str device_id;
	size_t content; /* which one */
};
struct content {
	str text;
	bool shared;
	int64_t id; /* of a shared one */
};
/* Lists as they are bound. */
struct lists {
	VEC(int64_t) users;
	VEC(str) device_ids;
	VEC(int64_t) sizes;
	VEC(str) contents;
	VEC(int64_t) shared;
};
struct send {
	struct e2ee *e;
	struct arena *a; /* of the caller, who waits */
	const struct to_device_cmd *cmd;
	struct txn_digest txn;
	VEC(struct recipient) to;     /* a device each */
	VEC(struct recipient) to_all; /* all devices of a user but those named */
	VEC(struct content) contents;
	VEC(const struct json_member *) elsewhere;
	struct edus_out edus;
	VEC(int64_t) users;
	struct to_device_head head;
	/* of one run */
	bool known;
	struct lists own, shared;
	int64_t queued;
	struct queues_dropped dropped;
};

static err *add_content(struct send *s, const struct json *content, size_t *out)
{
	const size_t n = s->contents.n;

	if (!json_is(content, JSON_OBJECT))
		return err_new(s->a, ERR_BAD_JSON, "a message is an object");
	if (content->raw.n > TO_DEVICE_CONTENT_MAX)
		return err_new(s->a, ERR_TOO_LARGE, "a message has at most %d bytes", (int)TO_DEVICE_CONTENT_MAX);
	if (n && str_eq(s->contents.p[n - 1].text, content->raw))
		s->contents.p[n - 1].shared = content->raw.n >= SHARED_FROM;
	else
		vec_push(s->a, &s->contents, (struct content){ .text = content->raw });
	*out = s->contents.n - 1;
	return NULL;
}

static err *add_local(struct send *s, int64_t user, const struct json *by_device)
{
	vec_push(s->a, &s->users, user);
	JSON_EACH (by_device, m) {
		struct recipient r = { .user = user, .device_id = m->key };

		TRY(add_content(s, m->value, &r.content));
		if (str_eq(m->key, S("*"))) {
			s->contents.p[r.content].shared = m->value->raw.n >= SHARED_FROM;
			vec_push(s->a, &s->to_all, r);
		} else {
			vec_push(s->a, &s->to, r);
		}
	}
	return NULL;
}

/* "Only one message can be sent to each device per transaction". */
static err *add_user(struct send *s, const struct json_member *user)
{
	const str user_id = user->key;
	int64_t nid;

	if (!json_is(user->value, JSON_OBJECT))
		return err_new(s->a, ERR_BAD_JSON, "messages go to devices: an object of them for each user");
	if (!id_user_valid(user_id) || user_id.n > ID_MAX)
		return NULL;
	if (!id_is_of(user_id, s->e->opt.server_name)) {
		if (!s->cmd->from_elsewhere)
			vec_push(s->a, &s->elsewhere, user);
		return NULL;
	}
	TRY(store_intern_find(s->e->opt.store, s->a, user_id, &nid));
	return nid ? add_local(s, nid, user->value) : NULL;
}

static err *too_many(struct arena *a)
{
	return err_new(a, ERR_TOO_LARGE, "a request reaches at most %d devices", (int)TO_DEVICE_DEVICES_MAX);
}

static err *collect(struct send *s)
{
	size_t n_shared = 0;
	int64_t id = 0;

	if (!json_is(s->cmd->messages, JSON_OBJECT))
		return err_new(s->a, ERR_BAD_JSON, "messages must be an object");
	/* Each is looked up, whether they are there or not. */
	if (s->cmd->messages->object.n > TO_DEVICE_DEVICES_MAX)
		return err_new(s->a, ERR_TOO_LARGE, "a request names at most %d users", (int)TO_DEVICE_DEVICES_MAX);
	JSON_EACH (s->cmd->messages, user)
		TRY(add_user(s, user));
	if (s->to.n > TO_DEVICE_DEVICES_MAX)
		return too_many(s->a);
	for (size_t i = 0; i < s->contents.n; i++)
		n_shared += s->contents.p[i].shared;
	if (n_shared)
		TRY(store_next_id(s->e->opt.store, s->a, SEQ_MISC, n_shared, &id));
	for (size_t i = 0; i < s->contents.n; i++)
		if (s->contents.p[i].shared)
			s->contents.p[i].id = id++;
	if (s->elsewhere.n == 0 || !s->e->own_server)
		return NULL;
	return edus_prepare(s->e, s->a, s->cmd, s->elsewhere.p, s->elsewhere.n, &s->edus);
}

static void put(struct send *s, struct arena *a, int64_t user, str device_id, const struct content *c)
{
	struct lists *l = c->shared ? &s->shared : &s->own;

	vec_push(a, &l->users, user);
	vec_push(a, &l->device_ids, device_id);
	vec_push(a, &l->sizes, (int64_t)c->text.n);
	if (c->shared)
		vec_push(a, &l->shared, c->id);
	else
		vec_push(a, &l->contents, c->text);
}

static str key_of(struct arena *a, int64_t user, str device_id)
{
	return arena_join2(a, (str){ (const char *)&user, sizeof(user) }, device_id);
}

/* `*` is every device that the user has at this moment, but those that get a message of their own. */
static err *put_all(struct send *s, struct tx *tx)
{
	struct arena *a = tx_arena(tx);
	int64_t *users = ARENA_ARRAY(a, int64_t, s->to_all.n);
	struct to_device_target *targets;
	struct map of_user, named;
	size_t n;

	map_init(&of_user, a);
	map_init(&named, a);
	for (size_t i = 0; i < s->to_all.n; i++) {
		users[i] = s->to_all.p[i].user;
		(void)map_put_i(&of_user, users[i], &s->to_all.p[i]);
	}
	for (size_t i = 0; i < s->to.n; i++)
		if (map_get_i(&of_user, s->to.p[i].user))
			(void)map_put(&named, key_of(a, s->to.p[i].user, s->to.p[i].device_id), s);
	TRY(store_to_device_targets(tx, (struct i64s){ users, s->to_all.n }, &targets, &n));
	if (n + s->to.n > TO_DEVICE_DEVICES_MAX)
		return too_many(s->a);
	for (size_t i = 0; i < n; i++) {
		const struct recipient *r = map_get_i(&of_user, targets[i].user);

		if (!map_get(&named, key_of(a, targets[i].user, targets[i].device_id)))
			put(s, a, targets[i].user, targets[i].device_id, &s->contents.p[r->content]);
	}
	return NULL;
}

static err *save_shared(struct send *s, struct tx *tx)
{
	struct arena *a = tx_arena(tx);
	VEC(int64_t) ids = { 0 };
	VEC(str) texts = { 0 };

	for (size_t i = 0; s->shared.users.n && i < s->contents.n; i++) {
		if (!s->contents.p[i].shared)
			continue;
		vec_push(a, &ids, s->contents.p[i].id);
		vec_push(a, &texts, s->contents.p[i].text);
	}
	return store_to_device_share(tx, (struct i64s){ ids.p, ids.n }, (struct strs){ texts.p, texts.n });
}

static err *send_run(struct tx *tx, void *arg)
{
	struct send *s = arg;

	s->own = s->shared = (struct lists){ 0 };
	s->known = false;
	for (size_t i = 0; i < s->to.n; i++)
		put(s, tx_arena(tx), s->to.p[i].user, s->to.p[i].device_id, &s->contents.p[s->to.p[i].content]);
	if (s->to_all.n)
		TRY(put_all(s, tx));
	if (!str_is_none(s->cmd->txn_id))
		TRY(store_txn_claim(tx, &s->txn, s->head.created, &s->known));
	if (s->known)
		return NULL;
	return save_shared(s, tx);
}

static err *prune(struct send *s, struct tx *tx)
{
	int64_t gone;

	if (s->head.stream % PRUNE_EVERY)
		return NULL;
	return store_txns_prune(tx, s->head.created - DAY_MS, PRUNE_MOST, &gone);
}

static err *send_late(struct tx *tx, void *arg)
{
	struct send *s = arg;
	const struct lists *o = &s->own, *sh = &s->shared;
	int64_t own, shared;

	s->queued = 0;
	s->dropped = (struct queues_dropped){ 0 };
	if (!s->known)
		TRY(edus_write(tx, &s->edus));
	if (s->known || o->users.n + sh->users.n == 0)
		return NULL;
	TRY(tx_position(tx, &s->head.stream));
	TRY(store_to_device_add(tx, &s->head, (struct i64s){ o->users.p, o->users.n },
				(struct strs){ o->device_ids.p, o->device_ids.n },
				(struct i64s){ o->sizes.p, o->sizes.n }, (struct strs){ o->contents.p, o->contents.n },
				&own));
	TRY(store_to_device_add_shared(tx, &s->head, (struct i64s){ sh->users.p, sh->users.n },
				       (struct strs){ sh->device_ids.p, sh->device_ids.n },
				       (struct i64s){ sh->sizes.p, sh->sizes.n },
				       (struct i64s){ sh->shared.p, sh->shared.n }, &shared));
	s->queued = own + shared;
	/* Where a device is not there, its content may have nobody left. */
	if (shared < (int64_t)sh->users.n)
		TRY(store_to_device_unshare(tx, (struct i64s){ sh->shared.p, sh->shared.n }));
	for (size_t i = 0; i < 2; i++) {
		const struct lists *l = i ? sh : o;
		const struct queues_added added = { { l->users.p, l->users.n },
						    { l->device_ids.p, l->device_ids.n },
						    { l->sizes.p, l->sizes.n } };

		if (l->users.n)
			TRY(queues_bound(s->e, tx, &added, s->head.created, &s->dropped));
	}
	s->dropped.device_id = arena_keep(s->a, s->dropped.device_id);
	return prune(s, tx);
}

static void log_dropped(const struct send *s)
{
	str user_id;

	if (store_intern_text(s->e->opt.store, s->a, s->dropped.user, &user_id))
		return;
	log_warn(s->e->opt.log, "a device's queue of messages was too long or too old: the oldest are gone",
		 F("user_id", user_id), F("device_id", s->dropped.device_id), F("messages", s->dropped.n));
}

static void send_after(void *arg, const err *result)
{
	const struct send *s = arg;

	if (!result && !s->known)
		edus_tell(s->e, &s->edus);
	if (result || !s->queued)
		return;
	metric_add(s->e->to_device_queued, s->queued);
	for (size_t i = 0; i < s->users.n; i++)
		bus_touch_user(s->e->opt.bus, s->users.p[i], BUS_TO_DEVICE, s->head.stream);
	metric_add(s->e->to_device_dropped, s->dropped.n);
}

err *to_device_send(struct e2ee *e, struct arena *a, const struct to_device_cmd *cmd)
{
	struct send s = { .e = e, .a = a, .cmd = cmd };
	struct piece p = { .run = send_run, .late = send_late, .after = send_after, .arg = &s };
	struct ticket *ticket;
	int64_t sender = cmd->sender;

	if (cmd->type.n == 0 || cmd->type.n > ID_MAX)
		return err_new(a, ERR_INVALID_PARAM, "a type has 1 to %d bytes", (int)ID_MAX);
	TRY(collect(&s));
	/* Names that strangers make up are not kept for ever: only of who has a message for somebody here. */
	if (cmd->from_elsewhere && s.to.n + s.to_all.n == 0)
		return NULL;
	if (cmd->from_elsewhere)
		TRY(store_intern(e->opt.store, a, cmd->sender_id, &sender));
	s.head = (struct to_device_head){ .created = clock_ms(), .sender = sender, .type = cmd->type };
	if (!str_is_none(cmd->txn_id))
		s.txn = store_txn_digest(&(struct txn_key){ sender, cmd->device_id, cmd->txn_path, cmd->txn_id });
	p.positions = 1 + (int64_t)s.edus.n;
	TRY(store_write(e->opt.store, a, &p, &ticket));
	TRY(store_wait(a, ticket));
	if (s.dropped.n)
		log_dropped(&s);
	return NULL;
}

/*
 * Handing out
 */
err *to_device_waiting(struct e2ee *e, struct tx *tx, int64_t user, str device_id, int64_t above, int64_t upto,
		       struct to_device_batch *out)
{
	struct to_device_message *list;
	struct to_device_row *rows;
	size_t n;

	*out = (struct to_device_batch){ .upto = upto };
	queues_raise(e->to_device, user, device_id, &above);
	TRY(store_to_device_read(tx, user, device_id, above, upto, TO_DEVICE_AT_ONCE + 1, &rows, &n));
	if (n == 0)
		return NULL;
	if (n > TO_DEVICE_AT_ONCE) {
		n = TO_DEVICE_AT_ONCE;
		out->upto = rows[n - 1].stream;
	}
	list = ARENA_ARRAY(tx_arena(tx), struct to_device_message, n);
	for (size_t i = 0; i < n; i++) {
		list[i] = (struct to_device_message){ .type = rows[i].type, .content = rows[i].content };
		TRY(store_intern_text(e->opt.store, tx_arena(tx), rows[i].sender, &list[i].sender));
	}
	out->p = list;
	out->n = n;
	queues_handed(e->to_device, user, device_id, rows[0].stream, rows[n - 1].stream);
	return NULL;
}
