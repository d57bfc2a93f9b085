/* tls_rules.c - a host against the operator's list. */
#include "federation/tls_rules.h"

#include "matrix/glob.h"

const struct client_tls *tls_rules_for(const struct tls_rules *rules, str host)
{
	if (!rules)
		return NULL;
	if (rules->none)
		return &rules->unchecked;
	for (size_t i = 0; i < rules->n_trusted; i++) {
		if (glob_match(rules->trusted[i], host))
			return &rules->unchecked;
	}
	return &rules->checked;
}
