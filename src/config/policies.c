/* policies.c - what people are told and asked: documents to accept, and whom to turn to. */
#include "config/internal_options.h"

static void bad(struct reader *r, const struct ynode *n, str key, const char *expected)
{
	const str found = ynode_describe(r->a, n);

	note(r, true, n->line, key, "expected %s, found %.*s", expected, STR_ARG(found));
}

typedef VEC(struct config_policy) policy_list;

static void read_policy(struct reader *r, policy_list *out, const struct ymember *policy)
{
	const str key = arena_join2(r->a, S("terms.policies."), policy->key);
	const struct ymember *version = ynode_member(policy->value, S("version"));
	const size_t before = out->n;

	if (policy->value->kind != Y_MAP || !version || version->value->kind != Y_SCALAR) {
		bad(r, policy->value, key, "a version and, by language, {name, url}");
		return;
	}
	for (size_t i = 0; i < policy->value->n; i++) {
		const struct ymember *m = &policy->value->members[i];
		const struct ymember *name = ynode_member(m->value, S("name")), *url = ynode_member(m->value, S("url"));

		if (str_eq(m->key, S("version")))
			continue;
		if (!name || !url || name->value->kind != Y_SCALAR || url->value->kind != Y_SCALAR)
			bad(r, m->value, arena_join3(r->a, key, S("."), m->key), "{name: ..., url: ...}");
		else
			vec_push(r->a, out,
				 (struct config_policy){ policy->key, version->value->text, m->key, name->value->text,
							 url->value->text });
	}
	if (out->n == before)
		note(r, true, policy->line, key, "expected a name and a url in one language at least");
}

void read_policies(struct reader *r, const struct option *o, const struct ynode *n)
{
	const struct ymember *policies = ynode_member(n, S("policies"));
	policy_list out = { 0 };

	if (!policies || policies->value->kind != Y_MAP) {
		note_expected(r, o, n, "a map `policies`");
		return;
	}
	for (size_t i = 0; i < policies->value->n; i++)
		read_policy(r, &out, &policies->value->members[i]);
	r->conf->policies = out.p;
	r->conf->n_policies = out.n;
}

/* "One of the properties contacts and support_page must be present." A contact needs a role, and an address of some
 * kind. */
void read_support(struct reader *r, const struct option *o, const struct ynode *n)
{
	const struct ymember *contacts = ynode_member(n, S("contacts")), *page = ynode_member(n, S("support_page"));

	if (!contacts && !page)
		note_expected(r, o, n, "contacts or support_page");
	if (contacts && contacts->value->kind != Y_LIST) {
		bad(r, contacts->value, S("well_known_support.contacts"), "a list");
		return;
	}
	for (size_t i = 0; contacts && i < contacts->value->n; i++) {
		const struct ynode *c = contacts->value->items[i];

		if (!ynode_member(c, S("role")) ||
		    (!ynode_member(c, S("matrix_id")) && !ynode_member(c, S("email_address"))))
			bad(r, c, S("well_known_support.contacts"), "a role with a matrix_id or an email_address");
	}
}
