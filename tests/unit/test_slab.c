/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "base/slab.h"

#define OBJECTS 10000
#define BYTES   88

#if defined(__SANITIZE_ADDRESS__)
#define COUNTS_HEAP 0 /* the sanitizer has an allocator of its own */
#else
#define COUNTS_HEAP 1
#endif

static size_t heap(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void objects_are_zero_and_do_not_overlap(void **state)
{
    (void)state;
    static uint8_t *objects[OBJECTS];
    static const uint8_t zero[BYTES];
    struct slab s;
    slab_init(&s, BYTES);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < OBJECTS; i++) {
            objects[i] = slab_take(&s);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % sizeof(void *), 0);
            assert_memory_equal(objects[i], zero, BYTES);
            memset(objects[i], 1 + i % 255, BYTES);
        }
        for (int i = 0; i < OBJECTS; i++) {
            for (int at = 0; at < BYTES; at++)
                assert_int_equal(objects[i][at], 1 + i % 255);
            slab_give(&s, objects[i]);
        }
    }
    slab_finish(&s);
}

static void an_object_takes_little_more_than_its_size(void **state)
{
    (void)state;
    static void *objects[OBJECTS];
    struct slab s;
    slab_init(&s, BYTES);
    size_t before = heap();
    for (int i = 0; i < OBJECTS; i++)
        objects[i] = slab_take(&s);
    if (COUNTS_HEAP) /* 1 percent, and the last block */
        assert_in_range(heap() - before, OBJECTS * BYTES, OBJECTS * BYTES * 101 / 100 + 32768);
    for (int i = 0; i < OBJECTS; i++)
        slab_give(&s, objects[i]);
    if (COUNTS_HEAP)
        assert_in_range(heap() - before, 0, 32768 + 64); /* the spare one */
    slab_finish(&s);
    assert_int_equal(heap(), before);
}

static void what_comes_and_goes_at_random_is_kept_apart(void **state)
{
    (void)state;
    enum { PLACES = 2000, STEPS = 100000 };
    static uint32_t *places[PLACES];
    struct slab s;
    struct prng r;
    slab_init(&s, 560);
    prng_seed(&r, 1);
    for (int step = 0; step < STEPS; step++) {
        /* First they become more, then fewer. */
        bool fill = prng_below(&r, 10) < (step < STEPS / 2 ? 7u : 3u);
        uint32_t at = (uint32_t)prng_below(&r, PLACES);
        if (fill && !places[at]) {
            places[at] = slab_take(&s);
            assert_non_null(places[at]);
            assert_int_equal(places[at][139], 0);
            places[at][0] = places[at][139] = at;
        } else if (!fill && places[at]) {
            assert_int_equal(places[at][0], at);
            assert_int_equal(places[at][139], at);
            slab_give(&s, places[at]);
            places[at] = NULL;
        }
    }
    for (int i = 0; i < PLACES; i++)
        if (places[i])
            slab_give(&s, places[i]);
    slab_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_zero_and_do_not_overlap),
        cmocka_unit_test(an_object_takes_little_more_than_its_size),
        cmocka_unit_test(what_comes_and_goes_at_random_is_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
