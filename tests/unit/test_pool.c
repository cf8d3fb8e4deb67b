/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/pool.h"
#include "base/prng.h"

static void return_all(struct pool *p, enum pool_class kind, void **blocks, int count)
{
    for (int i = 0; i < count; i++)
        pool_return(p, kind, blocks[i]);
}

static void take_all(struct pool *p, enum pool_class kind, void **blocks, int count)
{
    for (int i = 0; i < count; i++) {
        blocks[i] = pool_take(p, kind, 0);
        assert_non_null(blocks[i]);
    }
}

static void classes_hold_what_they_say(void **state)
{
    (void)state;
    assert_int_equal(pool_class_bytes(POOL_SMALL), 2048);
    assert_int_equal(pool_class_bytes(POOL_MEDIUM), 16384);
    assert_int_equal(pool_class_bytes(POOL_LARGE), 65536);
    assert_int_equal(pool_class_for(0), POOL_SMALL);
    assert_int_equal(pool_class_for(2048), POOL_SMALL);
    assert_int_equal(pool_class_for(2049), POOL_MEDIUM);
    assert_int_equal(pool_class_for(16384), POOL_MEDIUM);
    assert_int_equal(pool_class_for(16385), POOL_LARGE);
    assert_int_equal(pool_class_for(SIZE_MAX), POOL_LARGE);
}

static void the_budget_is_exact_and_comes_back(void **state)
{
    (void)state;
    struct pool p;
    pool_init(&p, POOL_LARGE_BYTES + POOL_SMALL_BYTES);
    void *large = pool_take(&p, POOL_LARGE, 0);
    assert_non_null(large);
    assert_null(pool_take(&p, POOL_MEDIUM, 0));
    assert_int_equal(p.refused, 1);
    assert_int_equal(pool_room(&p, 0), POOL_SMALL_BYTES);
    void *small = pool_take(&p, POOL_SMALL, 0);
    assert_non_null(small);
    assert_int_equal(pool_room(&p, 0), 0);
    assert_null(pool_take(&p, POOL_SMALL, 0));
    assert_int_equal(p.refused, 2);
    pool_return(&p, POOL_SMALL, small);
    small = pool_take(&p, POOL_SMALL, 0);
    assert_non_null(small);
    pool_return(&p, POOL_SMALL, small);
    pool_return(&p, POOL_LARGE, large);
    assert_int_equal(p.used_bytes, 0);
    pool_finish(&p);
}

static void every_byte_of_a_block_is_usable(void **state)
{
    (void)state;
    struct pool p;
    pool_init(&p, 1 << 20);
    for (enum pool_class kind = POOL_SMALL; kind < POOL_CLASSES; kind++) {
        void *block = pool_take(&p, kind, 0);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % sizeof(void *), 0);
        memset(block, 0xa5, POOL_HEADER_BYTES + pool_class_bytes(kind));
        pool_return(&p, kind, block);
    }
    pool_finish(&p);
}

static void a_returned_block_is_used_again(void **state)
{
    (void)state;
    struct pool p;
    pool_init(&p, 1 << 20);
    void *block = pool_take(&p, POOL_MEDIUM, 0);
    pool_return(&p, POOL_MEDIUM, block);
    assert_int_equal(p.kept_bytes, POOL_MEDIUM_BYTES);
    assert_ptr_equal(pool_take(&p, POOL_MEDIUM, 0), block);
    assert_int_equal(p.kept_bytes, 0);
    pool_return(&p, POOL_MEDIUM, block);
    pool_finish(&p);
    assert_int_equal(p.kept_bytes, 0);
}

static void kept_blocks_are_bounded(void **state)
{
    (void)state;
    enum { BLOCKS = 16 };
    struct pool p;
    void *blocks[BLOCKS];
    pool_init(&p, (size_t)BLOCKS * POOL_LARGE_BYTES);
    assert_int_equal(p.kept_max_bytes, 4 * POOL_LARGE_BYTES);
    take_all(&p, POOL_LARGE, blocks, BLOCKS);
    return_all(&p, POOL_LARGE, blocks, BLOCKS);
    assert_int_equal(p.kept_bytes, 4 * POOL_LARGE_BYTES);
    assert_int_equal(p.used_bytes, 0);
    pool_finish(&p);

    pool_init(&p, (size_t)1 << 40);
    assert_int_equal(p.kept_max_bytes, (size_t)8 << 20);
    pool_finish(&p);
}

/* Or a phase of other blocks would send those of the present one to malloc from then on. */
static void kept_blocks_of_a_past_load_make_room(void **state)
{
    (void)state;
    enum { SMALL_ONES = 48 };
    struct pool p;
    void *large, *blocks[SMALL_ONES];
    pool_init(&p, POOL_SMALL_BYTES * 4 * SMALL_ONES);

    take_all(&p, POOL_SMALL, blocks, SMALL_ONES);
    return_all(&p, POOL_SMALL, blocks, SMALL_ONES);
    assert_int_equal(p.kept_bytes, p.kept_max_bytes);

    take_all(&p, POOL_LARGE, &large, 1);
    return_all(&p, POOL_LARGE, &large, 1);
    assert_ptr_equal(p.free[POOL_LARGE], large);
    assert_int_equal(p.kept_bytes, p.kept_max_bytes);

    take_all(&p, POOL_SMALL, blocks, SMALL_ONES);
    return_all(&p, POOL_SMALL, blocks, SMALL_ONES);
    assert_null(p.free[POOL_LARGE]);
    assert_int_equal(p.kept_bytes, p.kept_max_bytes);
    pool_finish(&p);
}

static void blocks_never_overlap(void **state)
{
    (void)state;
    enum { BLOCKS = 64, STEPS = 5000 };
    struct {
        uint8_t *bytes;
        enum pool_class kind;
        uint8_t mark;
    } held[BLOCKS] = {0};
    struct pool p;
    struct prng r;
    prng_seed(&r, 1);
    pool_init(&p, 1 << 20);
    size_t used = 0;
    for (int step = 0; step < STEPS; step++) {
        size_t i = prng_below(&r, BLOCKS);
        if (held[i].bytes != NULL) {
            size_t bytes = POOL_HEADER_BYTES + pool_class_bytes(held[i].kind);
            assert_int_equal(held[i].bytes[0], held[i].mark);
            assert_memory_equal(held[i].bytes, held[i].bytes + 1, bytes - 1);
            pool_return(&p, held[i].kind, held[i].bytes);
            used -= pool_class_bytes(held[i].kind);
            held[i].bytes = NULL;
        } else {
            held[i].kind = (enum pool_class)prng_below(&r, POOL_CLASSES);
            held[i].mark = (uint8_t)step;
            size_t bytes = pool_class_bytes(held[i].kind);
            held[i].bytes = pool_take(&p, held[i].kind, 0);
            assert_int_equal(held[i].bytes != NULL, used + bytes <= 1 << 20);
            if (held[i].bytes != NULL) {
                memset(held[i].bytes, held[i].mark, POOL_HEADER_BYTES + bytes);
                used += bytes;
            }
        }
        assert_int_equal(p.used_bytes, used);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (held[i].bytes != NULL)
            pool_return(&p, held[i].kind, held[i].bytes);
    }
    pool_finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_hold_what_they_say),
        cmocka_unit_test(the_budget_is_exact_and_comes_back),
        cmocka_unit_test(every_byte_of_a_block_is_usable),
        cmocka_unit_test(a_returned_block_is_used_again),
        cmocka_unit_test(kept_blocks_are_bounded),
        cmocka_unit_test(kept_blocks_of_a_past_load_make_room),
        cmocka_unit_test(blocks_never_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
