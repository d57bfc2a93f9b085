/* internal_rule_sets.h - push rules compiled once and shared by whoever evaluates them. */
#pragma once

#include "matrix/push_rules.h"

struct rule_sets; /* user > rules, the least recently used go first; safe from any thread */
struct rule_set;  /* never changes; lives as long as it is held */

struct rule_sets *rule_sets_new(size_t max_bytes);
void rule_sets_free(struct rule_sets **s); /* nobody holds any */
/* NULL: not known, or for max_age_ms or longer (0: any age is good): read the store and make, with the epoch given
 * here. */
struct rule_set *rule_sets_hold(struct rule_sets *s, int64_t user, int64_t max_age_ms, uint64_t *out_epoch);
/* Compiles and holds; kept for others only when nothing was dropped since the epoch: what was read may be older than
 * the drop. */
struct rule_set *rule_sets_make(struct rule_sets *s, int64_t user, str stored, uint64_t epoch);
void rule_sets_release(struct rule_set **set);
/* After the commit of a change. Who holds the old rules keeps them. */
void rule_sets_drop(struct rule_sets *s, int64_t user);

str rule_set_stored(const struct rule_set *set);
const struct push_rules *rule_set_rules(const struct rule_set *set);
