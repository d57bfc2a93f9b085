/* networks.c - the operator's lists, as the client takes them. */
#include "base/buf.h"
#include "main/server.h"

static const struct ip_net *parsed(struct arena *a, const struct config_list *list, size_t *out_n)
{
	struct ip_net *nets = ARENA_ARRAY(a, struct ip_net, list->n);
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += ip_net_parse(list->p[i], &nets[n]);
	*out_n = n;
	return nets;
}

static struct config_list denied(struct arena *a, const struct config_list *said)
{
	VEC(str) list = { 0 };

	if (said->p)
		return *said;
	for (size_t i = 0; client_private_networks[i]; i++)
		vec_push(a, &list, str_c(client_private_networks[i]));
	return (struct config_list){ list.p, list.n };
}

struct client_nets server_networks(struct arena *a, const struct config_list *deny, const struct config_list *allow)
{
	const struct config_list no = denied(a, deny);
	struct client_nets nets;

	nets.deny = parsed(a, &no, &nets.n_deny);
	nets.allow = parsed(a, allow, &nets.n_allow);
	return nets;
}

str server_joined(struct arena *a, const struct config_list *list)
{
	AUTO_BUF b = BUF_INIT(1 << 16);

	for (size_t i = 0; i < list->n; i++) {
		buf_add(&b, i == 0 ? S("") : S(", "));
		buf_add(&b, list->p[i]);
	}
	return list->n == 0 ? STR_NONE : arena_keep(a, buf_str(&b));
}
