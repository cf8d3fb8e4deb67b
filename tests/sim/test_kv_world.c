/* SPDX-License-Identifier: MIT */
/* What worlds of the key-value store are made of. That they find mistakes show tests/mutants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "kv_world.h"

#define SEEDS 60

static uint64_t hash_of(uint64_t seed, struct kv_world_totals *totals)
{
    struct kv_world *w = kv_world_new(seed);
    if (kv_world_run(w, stdout) > 0)
        fail_msg("violations in the world of seed %d", (int)seed);
    uint64_t hash = kv_world_hash(w);
    kv_world_add(w, totals);
    kv_world_free(w);
    return hash;
}

static void the_same_seed_gives_the_same_world(void **state)
{
    struct kv_world_totals totals = {0};
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        assert_int_equal(hash_of(seed, &totals), hash_of(seed, &totals));
    assert_int_not_equal(hash_of(1, &totals), hash_of(2, &totals));
}

static int run_worlds(void **state)
{
    static struct kv_world_totals totals;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        hash_of(seed, &totals);
    *state = &totals;
    return 0;
}

static void worlds_are_full_of_requests_and_of_faults(void **state)
{
    const struct kv_world_totals *t = *state;
    assert_true(t->load.done > 100 * SEEDS);
    assert_true(t->load.unknown > SEEDS);
    assert_true(t->load.failed > SEEDS);
    assert_true(t->load.retries > 10 * SEEDS);
    assert_true(t->load.stale > 10 * SEEDS);
    assert_true(t->faults.crashes > SEEDS);
    assert_true(t->faults.stops > 0);
    assert_true(t->faults.drained > SEEDS / 4);
    assert_true(t->faults.cuts > 0 && t->faults.pauses > 0);
    assert_int_equal(t->too_large, 0);
    assert_true(t->backups > SEEDS / 4);
}

/* Which is at each kind of row of the journal, and at each message of two-phase commit. */
static void nodes_crash_in_each_phase_of_a_transaction(void **state)
{
    const struct kv_world_totals *t = *state;
    for (uint32_t i = 0; i < KV_FAULTS_PHASES; i++)
        if (t->faults.in_phase[i] == 0)
            fail_msg("none has crashed in phase %d", (int)i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_world),
        cmocka_unit_test(worlds_are_full_of_requests_and_of_faults),
        cmocka_unit_test(nodes_crash_in_each_phase_of_a_transaction),
    };
    return cmocka_run_group_tests(tests, run_worlds, NULL);
}
