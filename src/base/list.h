/* list.h - doubly linked lists through a member of the item. The head is a node of its own; an unlinked node points at
 * itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define LIST_ITEM(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
#define LIST_EACH(head, it)           for (struct list *it = (head)->next; it != (head); it = it->next)
/* The current item may be removed. */
#define LIST_EACH_SAFE(head, it)                                                                                       \
	for (struct list *it = (head)->next, *it##_next_ = it->next; it != (head);                                     \
	     it = it##_next_, it##_next_ = it->next)

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_is_empty(const struct list *l) { return l->next == l; }
static inline void list_add_tail(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}
static inline void list_add_head(struct list *head, struct list *node) { list_add_tail(head->next, node); }
static inline void list_del(struct list *node) /* fine for an unlinked node */
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}
static inline struct list *list_pop(struct list *head) /* the first, unlinked; NULL when empty */
{
	struct list *n = head->next;

	if (n == head)
		return NULL;
	list_del(n);
	return n;
}
