/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/list.h"
#include "base/prng.h"
#include "base/table.h"

#define ITEMS 100000

struct item {
    struct table_node node;
    uint32_t key;
    bool inside;
    int visits;
};

static uint32_t hash_of(uint32_t key)
{
    return key * 2654435761u;
}

static uint32_t hash_of_node(const void *context, const struct table_node *node)
{
    (void)context;
    return hash_of(container_of(node, const struct item, node)->key);
}

static uint32_t the_same_hash(const void *context, const struct table_node *node)
{
    (void)node;
    return *(const uint32_t *)context;
}

static struct item *lookup(const struct table *t, uint32_t hash, uint32_t key)
{
    for (struct table_node *node = table_chain(t, hash); node != NULL; node = node->next) {
        struct item *item = container_of(node, struct item, node);
        if (item->key == key)
            return item;
    }
    return NULL;
}

static void grows_to_many_and_finds_each(void **state)
{
    (void)state;
    struct table t;
    struct item *items = calloc(ITEMS, sizeof(*items));
    assert_true(table_init(&t, hash_of_node, NULL));
    for (uint32_t i = 0; i < ITEMS; i++) {
        items[i].key = i;
        table_insert(&t, &items[i].node);
        assert_int_equal(t.count, i + 1);
        assert_int_equal(t.chain_count, i < 16 ? 16 : i + 1); /* no insertion parts many chains */
        assert_in_range(t.room, t.chain_count, t.chain_count + t.chain_count / 4);
    }
    for (uint32_t i = 0; i < ITEMS; i++)
        assert_ptr_equal(lookup(&t, hash_of(i), i), &items[i]);
    assert_null(lookup(&t, hash_of(ITEMS), ITEMS));
    table_finish(&t);
    free(items);
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    enum { KEYS = 1000, STEPS = 50000 };
    static struct item items[KEYS];
    struct table t;
    struct prng r;
    uint32_t count = 0;
    prng_seed(&r, 1);
    assert_true(table_init(&t, hash_of_node, NULL));
    for (int step = 0; step < STEPS; step++) {
        uint32_t key = (uint32_t)prng_below(&r, KEYS);
        struct item *item = &items[key];
        item->key = key;
        if (item->inside)
            table_remove(&t, &item->node);
        else
            table_insert(&t, &item->node);
        item->inside = !item->inside;
        count += item->inside ? 1 : (uint32_t)-1;
        assert_int_equal(t.count, count);

        uint32_t other = (uint32_t)prng_below(&r, KEYS);
        assert_ptr_equal(lookup(&t, hash_of(other), other),
                         items[other].inside ? &items[other] : NULL);
    }
    table_finish(&t);
}

static void equal_hashes_are_kept_apart_by_the_caller(void **state)
{
    (void)state;
    static struct item items[200];
    const uint32_t hash = 0xffffffff;
    struct table t;
    assert_true(table_init(&t, the_same_hash, &hash));
    for (uint32_t i = 0; i < 200; i++) {
        items[i].key = i;
        table_insert(&t, &items[i].node);
    }
    for (uint32_t i = 0; i < 200; i += 2)
        table_remove(&t, &items[i].node);
    for (uint32_t i = 0; i < 200; i++)
        assert_ptr_equal(lookup(&t, hash, i), i % 2 ? &items[i] : NULL);
    table_finish(&t);
}

static void an_heir_takes_the_place_of_each(void **state)
{
    (void)state;
    enum { KEYS = 1000 };
    static struct item items[KEYS], heirs[KEYS];
    struct table t;
    assert_true(table_init(&t, hash_of_node, NULL));
    for (uint32_t i = 0; i < KEYS; i++) {
        items[i].key = heirs[i].key = i;
        table_insert(&t, &items[i].node);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        table_replace(&t, &items[i].node, &heirs[i].node);
        assert_int_equal(t.count, KEYS);
        for (uint32_t other = 0; other < KEYS; other += 97)
            assert_ptr_equal(lookup(&t, hash_of(other), other),
                             other <= i ? &heirs[other] : &items[other]);
    }
    table_finish(&t);
}

static void visit_and_remove_odd(void *context, struct table_node *node)
{
    struct item *item = container_of(node, struct item, node);
    item->visits++;
    if (item->key % 2)
        table_remove(context, node);
}

static void each_visits_all_once_while_nodes_are_removed(void **state)
{
    (void)state;
    enum { KEYS = 1000 };
    static struct item items[KEYS];
    struct table t;
    assert_true(table_init(&t, hash_of_node, NULL));
    table_each(&t, visit_and_remove_odd, &t);
    for (uint32_t i = 0; i < KEYS; i++) {
        items[i].key = i;
        table_insert(&t, &items[i].node);
    }
    table_each(&t, visit_and_remove_odd, &t);
    assert_int_equal(t.count, KEYS / 2);
    table_each(&t, visit_and_remove_odd, &t);
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_int_equal(items[i].visits, i % 2 ? 1 : 2);
        assert_ptr_equal(lookup(&t, hash_of(i), i), i % 2 ? NULL : &items[i]);
    }
    table_finish(&t);
}

static void count_visit(void *context, struct table_node *node)
{
    (void)context;
    container_of(node, struct item, node)->visits++;
}

static void a_walk_visits_all_that_stays_once_while_the_table_grows(void **state)
{
    (void)state;
    enum { KEYS = 4000, FIRST = 1000, LEAVE = 500 };
    static struct item items[KEYS];
    struct table t;
    uint32_t cursor = 0, added = FIRST, steps = 0;
    assert_true(table_init(&t, hash_of_node, NULL));
    for (uint32_t i = 0; i < FIRST; i++) {
        items[i].key = i;
        table_insert(&t, &items[i].node);
    }
    for (bool more = true; more; steps++) {
        more = table_walk(&t, &cursor, count_visit, NULL);
        for (unsigned i = 0; i < 5 && added < KEYS; i++, added++) {
            items[added].key = added;
            table_insert(&t, &items[added].node);
        }
        if (steps < LEAVE)
            table_remove(&t, &items[steps].node);
    }
    assert_int_equal(added, KEYS);
    for (uint32_t i = 0; i < KEYS; i++) {
        bool stayed = i >= LEAVE && i < FIRST;
        if (items[i].visits > 1 || (stayed && items[i].visits != 1))
            fail_msg("%u: visited %u times", i, items[i].visits);
    }
    table_finish(&t);
}

static void a_walk_through_nothing_ends(void **state)
{
    (void)state;
    struct table t;
    uint32_t cursor = 0;
    unsigned steps = 1;
    assert_true(table_init(&t, hash_of_node, NULL));
    while (table_walk(&t, &cursor, count_visit, NULL))
        steps++;
    assert_int_equal(steps, t.mask + 1);
    table_finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_many_and_finds_each),
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(equal_hashes_are_kept_apart_by_the_caller),
        cmocka_unit_test(an_heir_takes_the_place_of_each),
        cmocka_unit_test(each_visits_all_once_while_nodes_are_removed),
        cmocka_unit_test(a_walk_visits_all_that_stays_once_while_the_table_grows),
        cmocka_unit_test(a_walk_through_nothing_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
