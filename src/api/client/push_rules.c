/* push_rules.c - Client-Server API, "Push Rules: API". Only the scope `global` exists. */
#include "api/internal_api.h"
#include "user/account_data.h"

static err *load(struct req *rq, const struct push_rules **out)
{
	return user_push_rules(rq->services->users, rq->arena, rq->user, out);
}

static err *get_all(struct req *rq)
{
	const struct push_rules *rules;
	struct jw *w;

	TRY(load(rq, &rules));
	w = reply_json(rq, 200);
	jw_object(w, "global");
	push_rules_write(w, rules, rq->user_id);
	jw_end(w);
	return NULL;
}

static err *get_global(struct req *rq)
{
	const struct push_rules *rules;

	TRY(load(rq, &rules));
	push_rules_write(reply_json(rq, 200), rules, rq->user_id);
	return NULL;
}

static err *kind_of_path(struct req *rq, enum push_kind *out)
{
	*out = push_kind_of_text(req_param(rq, "kind"));
	if (*out == PUSH_KINDS)
		return err_new(rq->arena, ERR_INVALID_PARAM, "no such kind of push rule");
	return NULL;
}

static err *find(struct req *rq, const struct push_rule **out)
{
	const struct push_rules *rules;
	enum push_kind kind;

	TRY(kind_of_path(rq, &kind));
	TRY(load(rq, &rules));
	*out = push_rule_find(rules, kind, req_param(rq, "ruleId"));
	if (!*out)
		return err_new(rq->arena, ERR_NOT_FOUND, "no such push rule");
	return NULL;
}

static err *get_rule(struct req *rq)
{
	AUTO_BUF b = BUF_INIT(PUSH_RULES_BYTES);
	struct jw w = jw_to(&b);
	const struct push_rule *rule;

	TRY(find(rq, &rule));
	push_rule_write(&w, NULL, rule, rq->user_id);
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

static err *get_enabled(struct req *rq)
{
	const struct push_rule *rule;

	TRY(find(rq, &rule));
	jw_bool(reply_json(rq, 200), "enabled", rule->enabled);
	return NULL;
}

static err *get_actions(struct req *rq)
{
	const struct push_rule *rule;

	TRY(find(rq, &rule));
	jw_json(reply_json(rq, 200), "actions", rule->actions);
	return NULL;
}

/* The change that a request asks for. */
struct edit {
	enum push_kind kind;
	str rule_id, before, after;
	const struct json *body, *actions;
	bool enabled;
};

static err *edit_put(struct arena *a, str stored, void *arg, str *out)
{
	const struct edit *e = arg;

	return push_rules_put(a, stored, e->kind, e->rule_id, e->body, e->before, e->after, out);
}

static err *edit_delete(struct arena *a, str stored, void *arg, str *out)
{
	const struct edit *e = arg;

	return push_rules_delete(a, stored, e->kind, e->rule_id, out);
}

static err *edit_enabled(struct arena *a, str stored, void *arg, str *out)
{
	const struct edit *e = arg;

	return push_rules_set_enabled(a, stored, e->kind, e->rule_id, e->enabled, out);
}

static err *edit_actions(struct arena *a, str stored, void *arg, str *out)
{
	const struct edit *e = arg;

	return push_rules_set_actions(a, stored, e->kind, e->rule_id, e->actions, out);
}

static err *apply(struct req *rq, push_rules_edit *fn, struct edit *e)
{
	TRY(kind_of_path(rq, &e->kind));
	e->rule_id = req_param(rq, "ruleId");
	TRY(user_push_rules_change(rq->services->users, rq->arena, rq->user, fn, e));
	reply_empty(rq);
	return NULL;
}

static err *put_rule(struct req *rq)
{
	struct edit e = { .before = req_query(rq, "before"), .after = req_query(rq, "after") };

	TRY(req_body_object(rq, &e.body));
	return apply(rq, edit_put, &e);
}

static err *delete_rule(struct req *rq) { return apply(rq, edit_delete, &(struct edit){ 0 }); }

static err *put_enabled(struct req *rq)
{
	const struct json *body, *enabled;

	TRY(req_body_object(rq, &body));
	enabled = json_get(body, S("enabled"));
	if (!json_is(enabled, JSON_BOOL))
		return err_new(rq->arena, enabled ? ERR_BAD_JSON : ERR_MISSING_PARAM, "enabled is a boolean");
	return apply(rq, edit_enabled, &(struct edit){ .enabled = enabled->b });
}

static err *put_actions(struct req *rq)
{
	const struct json *body;

	TRY(req_body_object(rq, &body));
	return apply(rq, edit_actions, &(struct edit){ .actions = json_get(body, S("actions")) });
}

#define RULE "/_matrix/client/v3/pushrules/global/{kind}/{ruleId}"
const struct route client_push_rules_routes[] = {
	{ "GET", "/_matrix/client/v3/pushrules/", get_all, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/client/v3/pushrules/global/", get_global, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", RULE, get_rule, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "PUT", RULE, put_rule, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "DELETE", RULE, delete_rule, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", RULE "/enabled", get_enabled, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "PUT", RULE "/enabled", put_enabled, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", RULE "/actions", get_actions, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "PUT", RULE "/actions", put_actions, AUTH_USER, RATE_NONE, LANE_FAST },
	{ 0 },
};
