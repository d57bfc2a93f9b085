/* Items leave a list while it is walked, and leave twice without harm. */
#include "test.h"

#include "base/list.h"

struct item {
	int n;
	struct list node;
};

static void order_and_removal(void **state)
{
	struct list head;
	struct item items[4] = { { .n = 1 }, { .n = 2 }, { .n = 3 }, { .n = 4 } };
	int seen = 0;

	(void)state;
	list_init(&head);
	assert_true(list_is_empty(&head));
	assert_null(list_pop(&head));
	list_add_tail(&head, &items[1].node);
	list_add_tail(&head, &items[2].node);
	list_add_head(&head, &items[0].node);
	list_add_tail(&head, &items[3].node);
	LIST_EACH (&head, it)
		seen = seen * 10 + LIST_ITEM(it, struct item, node)->n;
	assert_int_equal(seen, 1234);
	LIST_EACH_SAFE (&head, it)
		if (LIST_ITEM(it, struct item, node)->n % 2)
			list_del(it);
	list_del(&items[0].node);
	assert_ptr_equal(list_pop(&head), &items[1].node);
	assert_ptr_equal(list_pop(&head), &items[3].node);
	assert_true(list_is_empty(&head));
}

TEST_MAIN(cmocka_unit_test(order_and_removal))
