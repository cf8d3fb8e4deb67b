/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/prng.h"
#include "sim/hash.h"

#define BYTES 100

static void fill(uint8_t *bytes, size_t length, uint64_t seed)
{
    struct prng prng;
    prng_seed(&prng, seed);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)prng_next(&prng);
}

static void every_bit_counts_at_every_length(void **state)
{
    (void)state;
    uint8_t bytes[BYTES];
    fill(bytes, sizeof(bytes), 1);
    for (size_t length = 1; length <= BYTES; length++) {
        uint64_t hash = hash_bytes(5, bytes, length);
        for (size_t bit = 0; bit < 8 * length; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(hash_bytes(5, bytes, length), hash);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(hash_bytes(5, bytes, length), hash);
    }
}

static void what_went_before_and_the_order_count(void **state)
{
    (void)state;
    assert_int_not_equal(hash_word(1, 7), hash_word(2, 7));
    assert_int_not_equal(hash_word(hash_word(0, 1), 2), hash_word(hash_word(0, 2), 1));
    assert_int_not_equal(hash_bytes(1, "abc", 3), hash_bytes(2, "abc", 3));
    assert_int_not_equal(hash_word(0, 0), hash_word(hash_word(0, 0), 0));
}

static void zeros_are_told_apart_by_their_number(void **state)
{
    (void)state;
    static const uint8_t zeros[BYTES];
    for (size_t a = 0; a <= BYTES; a++)
        for (size_t b = 0; b < a; b++)
            assert_int_not_equal(hash_bytes(0, zeros, a), hash_bytes(0, zeros, b));
}

static void it_does_not_matter_where_the_bytes_lie(void **state)
{
    (void)state;
    uint8_t room[BYTES + 8], bytes[BYTES];
    fill(bytes, sizeof(bytes), 2);
    for (size_t shift = 0; shift < 8; shift++) {
        memcpy(room + shift, bytes, sizeof(bytes));
        assert_int_equal(hash_bytes(0, room + shift, sizeof(bytes)),
                         hash_bytes(0, bytes, sizeof(bytes)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_counts_at_every_length),
        cmocka_unit_test(what_went_before_and_the_order_count),
        cmocka_unit_test(zeros_are_told_apart_by_their_number),
        cmocka_unit_test(it_does_not_matter_where_the_bytes_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
