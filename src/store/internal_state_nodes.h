/* internal_state_nodes.h - between the tables of the state trees and their cache. */
#pragma once

#include "store/state_nodes.h"

/* The row that a node is in; out->n is 0 when there is none. In the transaction's arena. */
NODISCARD err *store_nodes_row(struct tx *tx, int64_t room, int64_t node, struct node_row *out);
