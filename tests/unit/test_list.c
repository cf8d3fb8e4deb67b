/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int number;
    struct list node;
};

/* Asserts that the list holds the numbers first, first + 1, ... in this order, both ways. */
static void assert_holds(const struct list *l, int first, int count)
{
    const struct list *node = l->next;
    for (int i = 0; i < count; i++, node = node->next) {
        assert_ptr_not_equal(node, l);
        assert_int_equal(container_of(node, struct item, node)->number, first + i);
        assert_ptr_equal(node->prev->next, node);
        assert_ptr_equal(node->next->prev, node);
    }
    assert_ptr_equal(node, l);
    assert_int_equal(list_empty(l), count == 0);
}

static void appended_nodes_come_in_order(void **state)
{
    (void)state;
    struct list l;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    list_init(&l);
    assert_holds(&l, 0, 0);
    for (int i = 0; i < 3; i++)
        list_append(&l, &items[i].node);
    assert_holds(&l, 0, 3);
}

static void removed_node_points_at_itself(void **state)
{
    (void)state;
    struct list l;
    struct item items[3] = {{.number = 0}, {.number = 9}, {.number = 1}};
    list_init(&l);
    for (int i = 0; i < 3; i++)
        list_append(&l, &items[i].node);
    list_remove(&items[1].node);
    assert_true(list_empty(&items[1].node));
    assert_holds(&l, 0, 2);
    list_remove(&items[1].node);
    assert_holds(&l, 0, 2);
    list_remove(&items[0].node);
    list_remove(&items[2].node);
    assert_holds(&l, 0, 0);
}

static void take_moves_everything(void **state)
{
    (void)state;
    struct list from, to;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    list_init(&from);
    for (int i = 0; i < 2; i++)
        list_append(&from, &items[i].node);
    list_take(&to, &from);
    assert_holds(&from, 0, 0);
    assert_holds(&to, 0, 2);
    list_append(&to, &items[2].node);
    assert_holds(&to, 0, 3);
}

static void take_of_nothing_is_nothing(void **state)
{
    (void)state;
    struct list from, to;
    list_init(&from);
    list_take(&to, &from);
    assert_holds(&from, 0, 0);
    assert_holds(&to, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_nodes_come_in_order),
        cmocka_unit_test(removed_node_points_at_itself),
        cmocka_unit_test(take_moves_everything),
        cmocka_unit_test(take_of_nothing_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
