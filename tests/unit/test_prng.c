/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"

/* The first numbers of the authors' xoshiro256starstar.c from the state {1, 2, 3, 4}. */
static void matches_the_xoshiro256starstar_vectors(void **state)
{
    (void)state;
    static const uint64_t vectors[] = {
        11520,
        0,
        1509978240,
        1215971899390074240,
        1216172134540287360,
        607988272756665600,
        16172922978634559625u,
        8476171486693032832,
        10595114339597558777u,
        2904607092377533576,
    };
    struct prng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
        assert_true(prng_next(&r) == vectors[i]);
}

/* The first numbers of Vigna's splitmix64.c from the state 0. */
static void seeding_matches_the_splitmix64_vectors(void **state)
{
    (void)state;
    struct prng r;
    prng_seed(&r, 0);
    assert_true(r.state[0] == 0xe220a8397b1dcdaf);
    assert_true(r.state[1] == 0x6e789e6aa1b965f4);
    assert_true(r.state[2] == 0x06c45d188009454f);
    assert_true(r.state[3] == 0xf88bb8a8724c81ec);
}

static void below_stays_below_and_reaches_everything(void **state)
{
    (void)state;
    struct prng r;
    prng_seed(&r, 1);
    for (uint64_t limit = 1; limit <= 64; limit++) {
        uint64_t seen = 0;
        for (int i = 0; i < 2000; i++) {
            uint64_t number = prng_below(&r, limit);
            assert_true(number < limit);
            seen |= UINT64_C(1) << number;
        }
        assert_true(seen == UINT64_MAX >> (64 - limit));
    }
}

/*
 * With a limit of 3/4 of all 64-bit numbers, a plain remainder would yield the lowest third of the
 * results in one half of the cases.
 */
static void below_is_not_biased(void **state)
{
    (void)state;
    enum { DRAWS = 30000 };
    struct prng r;
    prng_seed(&r, 2);
    int low = 0;
    for (int i = 0; i < DRAWS; i++)
        low += prng_below(&r, UINT64_C(3) << 62) < UINT64_C(1) << 62;
    /* The standard deviation is 82. */
    assert_in_range(low, DRAWS / 3 - 500, DRAWS / 3 + 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_xoshiro256starstar_vectors),
        cmocka_unit_test(seeding_matches_the_splitmix64_vectors),
        cmocka_unit_test(below_stays_below_and_reaches_everything),
        cmocka_unit_test(below_is_not_biased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
