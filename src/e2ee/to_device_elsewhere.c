/*
 * to_device_elsewhere.c - messages to devices between servers. Server-Server API, "Send-to-device messaging".
 *
 * Out: one EDU a server, or several where it would be too long; each is a row of the outbox, written with the sender's
 * transaction, so that a message is sent once and not lost. In: an EDU is a request like a client's, whose transaction
 * id is the message_id; who repeats it changes nothing. Whatever it says is for users of ours alone: nothing that came
 * from a server goes on to another.
 */
#include "base/b64.h"
#include "base/map.h"
#include "base/rand.h"
#include "e2ee/internal_to_device.h"
#include "federation/outbox.h"
#include "json/writer.h"
#include "matrix/id.h"

/* "Max 32 codepoints" for message_id. One content may have 64 KiB and goes alone then. */
enum { EDU_BYTES = 48 << 10, MESSAGE_ID_MAX = 128 };

/* The EDU that is being written for a server. */
struct writing {
	str server;
	struct buf buf;
	struct jw w;
	bool open;
	str user; /* whose object is open; STR_NONE */
};
struct preparing {
	struct arena *a;
	const struct to_device_cmd *cmd;
	VEC(struct writing *) list;
	VEC(struct edu_out) done;
	VEC(str) servers; /* of done */
};

static str message_id(struct arena *a)
{
	uint8_t random[12];

	rand_bytes(random, sizeof(random));
	return hex_encode(a, (str){ (const char *)random, sizeof(random) });
}

static void begin(const struct preparing *p, struct writing *w)
{
	w->w = jw_to(&w->buf);
	jw_object(&w->w, NULL);
	jw_str(&w->w, "sender", p->cmd->sender_id);
	jw_str(&w->w, "type", p->cmd->type);
	jw_str(&w->w, "message_id", message_id(p->a));
	jw_object(&w->w, "messages");
	w->open = true;
	w->user = STR_NONE;
}

static void end(struct preparing *p, struct writing *w)
{
	if (!w->open)
		return;
	if (!str_is_none(w->user))
		jw_end(&w->w);
	jw_end(&w->w);
	jw_end(&w->w);
	vec_push(p->a, &p->done, (struct edu_out){ .content = arena_keep(p->a, buf_str(&w->buf)) });
	vec_push(p->a, &p->servers, w->server);
	buf_reset(&w->buf);
	w->open = false;
}

static void add(struct preparing *p, struct writing *w, str user_id, const struct json_member *message)
{
	if (w->open && buf_str(&w->buf).n + message->value->raw.n > EDU_BYTES)
		end(p, w);
	if (!w->open)
		begin(p, w);
	if (!str_eq(w->user, user_id)) {
		if (!str_is_none(w->user))
			jw_end(&w->w);
		jw_key(&w->w, user_id);
		jw_object(&w->w, NULL);
		w->user = user_id;
	}
	jw_key(&w->w, message->key);
	jw_raw(&w->w, NULL, message->value->raw);
}

static struct writing *writing_for(struct preparing *p, struct map *by_server, str server)
{
	struct writing *w = map_get(by_server, server);

	if (w)
		return w;
	w = ARENA_NEW(p->a, struct writing);
	w->server = server;
	w->buf = (struct buf)BUF_INIT(SIZE_MAX);
	map_put(by_server, server, w);
	vec_push(p->a, &p->list, w);
	return w;
}

static err *add_user(struct preparing *p, struct map *by_server, const struct json_member *user)
{
	struct writing *w = writing_for(p, by_server, id_server(user->key));

	JSON_EACH (user->value, m) {
		if (m->value->kind != JSON_OBJECT)
			return err_new(p->a, ERR_BAD_JSON, "a message is an object");
		if (m->value->raw.n > TO_DEVICE_CONTENT_MAX)
			return err_new(p->a, ERR_TOO_LARGE, "a message has at most %d bytes",
				       (int)TO_DEVICE_CONTENT_MAX);
		add(p, w, user->key, m);
	}
	return NULL;
}

err *edus_prepare(struct e2ee *e, struct arena *a, const struct to_device_cmd *cmd,
		  const struct json_member *const *users, size_t n, struct edus_out *out)
{
	struct preparing p = { .a = a, .cmd = cmd };
	struct store_text *texts;
	struct map by_server;
	err *failed = NULL;

	map_init(&by_server, a);
	for (size_t i = 0; i < n && !failed; i++)
		failed = add_user(&p, &by_server, users[i]);
	for (size_t i = 0; i < p.list.n; i++) {
		end(&p, p.list.p[i]);
		buf_done(&p.list.p[i]->buf);
	}
	TRY(failed);
	texts = ARENA_ARRAY(a, struct store_text, p.done.n);
	for (size_t i = 0; i < p.done.n; i++)
		texts[i] = (struct store_text){ p.servers.p[i], &p.done.p[i].server };
	*out = (struct edus_out){ p.done.p, p.done.n };
	return store_intern_all(e->opt.store, a, texts, p.done.n);
}

err *edus_write(struct tx *tx, const struct edus_out *edus)
{
	for (size_t i = 0; i < edus->n; i++)
		TRY(outbox_edu_write(tx, edus->p[i].server, S("m.direct_to_device"), STR_NONE, edus->p[i].content));
	return NULL;
}

void edus_tell(struct e2ee *e, const struct edus_out *edus)
{
	for (size_t i = 0; i < edus->n && e->outbox; i++)
		outbox_edu_tell(e->outbox, &edus->p[i].server, 1);
}

err *to_device_receive(struct e2ee *e, struct arena *a, str origin, const struct json *content)
{
	struct to_device_cmd cmd = {
		.sender_id = json_get_str(content, S("sender")),
		.device_id = S(""),
		.type = json_get_str(content, S("type")),
		.txn_id = json_get_str(content, S("message_id")),
		.txn_path = S("m.direct_to_device"),
		.from_elsewhere = true,
		.messages = json_get(content, S("messages")),
	};

	if (!id_user_valid(cmd.sender_id))
		return err_new(a, ERR_BAD_JSON, "sender is lacking");
	if (!id_is_of(cmd.sender_id, origin))
		return err_new(a, ERR_FORBIDDEN, "the sender is not of that server");
	if (cmd.txn_id.n == 0 || cmd.txn_id.n > MESSAGE_ID_MAX)
		return err_new(a, ERR_BAD_JSON, "message_id is lacking");
	return to_device_send(e, a, &cmd);
}
