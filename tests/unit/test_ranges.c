/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/prng.h"
#include "base/ranges.h"

#define NO_LIMIT UINT32_MAX

static void assert_ranges(const struct ranges *r, const struct range *expected, uint32_t count)
{
    assert_int_equal(r->count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(r->list[i].start, expected[i].start);
        assert_int_equal(r->list[i].end, expected[i].end);
    }
}

static void touching_and_overlapping_ranges_merge(void **state)
{
    (void)state;
    struct ranges r = {0};
    assert_true(ranges_add(&r, 10, 20, NO_LIMIT));
    assert_true(ranges_add(&r, 30, 40, NO_LIMIT));
    assert_ranges(&r, (struct range[]){{10, 20}, {30, 40}}, 2);
    assert_true(ranges_add(&r, 20, 25, NO_LIMIT));
    assert_true(ranges_add(&r, 28, 31, NO_LIMIT));
    assert_ranges(&r, (struct range[]){{10, 25}, {28, 40}}, 2);
    assert_true(ranges_add(&r, 50, 51, NO_LIMIT));
    assert_true(ranges_add(&r, 0, 1, NO_LIMIT));
    assert_ranges(&r, (struct range[]){{0, 1}, {10, 25}, {28, 40}, {50, 51}}, 4);
    assert_true(ranges_add(&r, 12, 13, NO_LIMIT));
    assert_ranges(&r, (struct range[]){{0, 1}, {10, 25}, {28, 40}, {50, 51}}, 4);
    assert_true(ranges_add(&r, 1, 49, NO_LIMIT));
    assert_ranges(&r, (struct range[]){{0, 49}, {50, 51}}, 2);
    ranges_clear(&r);
}

static void what_lies_above_a_position_is_found(void **state)
{
    (void)state;
    struct ranges r = {0};
    assert_null(ranges_above(&r, 0));
    assert_true(ranges_add(&r, 10, 20, NO_LIMIT));
    assert_true(ranges_add(&r, 30, 40, NO_LIMIT));
    assert_ptr_equal(ranges_above(&r, 0), &r.list[0]);
    assert_ptr_equal(ranges_above(&r, 19), &r.list[0]);
    assert_ptr_equal(ranges_above(&r, 20), &r.list[1]); /* it ends there */
    assert_ptr_equal(ranges_above(&r, 39), &r.list[1]);
    assert_null(ranges_above(&r, 40));
    ranges_clear(&r);
}

static void an_overlap_is_counted_over_all_ranges(void **state)
{
    static const struct {
        uint64_t start, end, overlap;
    } cases[] = {{0, 10, 0},  {0, 11, 1},   {12, 18, 6}, {19, 31, 2},
                 {20, 30, 0}, {15, 60, 16}, {40, 50, 0}, {0, UINT64_MAX, 21}};
    (void)state;
    struct ranges r = {0};
    assert_int_equal(ranges_overlap(&r, 0, UINT64_MAX), 0);
    assert_true(ranges_add(&r, 10, 20, NO_LIMIT));
    assert_true(ranges_add(&r, 30, 40, NO_LIMIT));
    assert_true(ranges_add(&r, 50, 51, NO_LIMIT));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(ranges_overlap(&r, cases[i].start, cases[i].end), cases[i].overlap);
    ranges_clear(&r);
}

static void a_full_set_refuses_but_still_merges(void **state)
{
    (void)state;
    enum { LIMIT = 5 };
    struct ranges r = {0};
    for (uint64_t i = 0; i < LIMIT; i++)
        assert_true(ranges_add(&r, 10 * i, 10 * i + 5, LIMIT));
    assert_false(ranges_add(&r, 16, 18, LIMIT));
    assert_false(ranges_add(&r, 100, 101, LIMIT));
    assert_ranges(&r, (struct range[]){{0, 5}, {10, 15}, {20, 25}, {30, 35}, {40, 45}}, LIMIT);
    assert_true(r.capacity <= LIMIT);
    assert_true(ranges_add(&r, 5, 10, LIMIT));
    assert_ranges(&r, (struct range[]){{0, 15}, {20, 25}, {30, 35}, {40, 45}}, LIMIT - 1);
    assert_true(ranges_add(&r, 100, 101, LIMIT));
    ranges_clear(&r);
    assert_false(ranges_add(&r, 0, 1, 0));
    assert_null(r.list);
}

static void removal_cuts_ranges_and_returns_the_memory(void **state)
{
    (void)state;
    struct ranges r = {0};
    ranges_remove_below(&r, 5);
    assert_true(ranges_add(&r, 10, 20, NO_LIMIT));
    assert_true(ranges_add(&r, 30, 40, NO_LIMIT));
    assert_true(ranges_add(&r, 50, 60, NO_LIMIT));
    ranges_remove_below(&r, 10);
    assert_ranges(&r, (struct range[]){{10, 20}, {30, 40}, {50, 60}}, 3);
    ranges_remove_below(&r, 15);
    assert_ranges(&r, (struct range[]){{15, 20}, {30, 40}, {50, 60}}, 3);
    ranges_remove_below(&r, 20);
    assert_ranges(&r, (struct range[]){{30, 40}, {50, 60}}, 2);
    ranges_remove_below(&r, 60);
    assert_int_equal(r.count, 0);
    assert_null(r.list);
    assert_true(ranges_add(&r, 1, 2, NO_LIMIT));
    ranges_remove_below(&r, UINT64_MAX);
    assert_null(r.list);
}

static void the_ends_of_the_number_space(void **state)
{
    (void)state;
    struct ranges r = {0};
    assert_true(ranges_add(&r, UINT64_MAX - 1, UINT64_MAX, NO_LIMIT));
    assert_true(ranges_add(&r, 0, 1, NO_LIMIT));
    ranges_remove_below(&r, UINT64_MAX - 1);
    assert_ranges(&r, (struct range[]){{UINT64_MAX - 1, UINT64_MAX}}, 1);
    ranges_clear(&r);
}

#define SPAN 256

/* Compares with the bitmap: the same positions, in the fewest ranges, in order. */
static void assert_equals_bitmap(const struct ranges *r, const bool *bitmap)
{
    uint32_t index = 0;
    for (uint64_t start = 0; start < SPAN; start++) {
        if (!bitmap[start])
            continue;
        uint64_t end = start;
        while (end < SPAN && bitmap[end])
            end++;
        assert_true(index < r->count);
        assert_int_equal(r->list[index].start, start);
        assert_int_equal(r->list[index].end, end);
        index++;
        start = end;
    }
    assert_int_equal(index, r->count);
    assert_int_equal(r->list != NULL, r->count > 0);
}

static uint32_t runs(const bool *bitmap)
{
    uint32_t count = 0;
    for (int i = 0; i < SPAN; i++)
        count += bitmap[i] && (i == 0 || !bitmap[i - 1]);
    return count;
}

static void agrees_with_a_bitmap(void **state)
{
    (void)state;
    enum { STEPS = 100000, LIMIT = 12 };
    bool bitmap[SPAN] = {0}, wanted[SPAN];
    struct ranges r = {0};
    struct prng random;
    uint32_t refusals = 0;
    prng_seed(&random, 1);
    for (int step = 0; step < STEPS; step++) {
        uint64_t start = prng_below(&random, SPAN);
        uint64_t longest = SPAN - start < 6 ? SPAN - start : 6;
        uint64_t end = start + 1 + prng_below(&random, longest);
        if (prng_below(&random, 40) == 0) {
            ranges_remove_below(&r, start);
            memset(bitmap, 0, start);
        } else {
            memcpy(wanted, bitmap, sizeof(bitmap));
            memset(wanted + start, true, end - start);
            bool fits = runs(wanted) <= LIMIT;
            assert_int_equal(ranges_add(&r, start, end, LIMIT), fits);
            refusals += !fits;
            if (fits)
                memcpy(bitmap, wanted, sizeof(bitmap));
        }
        assert_equals_bitmap(&r, bitmap);
    }
    assert_true(refusals > 100);
    ranges_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(touching_and_overlapping_ranges_merge),
        cmocka_unit_test(what_lies_above_a_position_is_found),
        cmocka_unit_test(an_overlap_is_counted_over_all_ranges),
        cmocka_unit_test(a_full_set_refuses_but_still_merges),
        cmocka_unit_test(removal_cuts_ranges_and_returns_the_memory),
        cmocka_unit_test(the_ends_of_the_number_space),
        cmocka_unit_test(agrees_with_a_bitmap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
