/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/siphash.h"

/* The SipHash-2-4 vectors of the authors' reference: key 00..0f, input 00, 01, ... of length i. */
static const uint64_t vectors[64] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
    0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
    0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
    0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
    0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
    0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
    0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
    0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
    0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
    0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
    0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
    0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
    0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
    0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572,
};

static void matches_the_reference_vectors(void **state)
{
    (void)state;
    uint8_t key[16], input[64];
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)i;
    for (size_t length = 0; length < sizeof(input); length++)
        assert_true(siphash(key, input, length) == vectors[length]);
}

/* Appendix A of the paper. */
static void matches_the_example_of_the_paper(void **state)
{
    (void)state;
    const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const uint8_t input[15] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    assert_true(siphash(key, input, sizeof(input)) == 0xa129ca6149be45e5);
}

static void two_words_are_their_sixteen_bytes(void **state)
{
    (void)state;
    uint8_t key[16];
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    assert_true(siphash_of_words(key, 0x0706050403020100, 0x0f0e0d0c0b0a0908) == vectors[16]);
}

static void alignment_does_not_matter(void **state)
{
    (void)state;
    const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint8_t room[32], moved_key[17];
    memcpy(moved_key + 1, key, sizeof(key));
    for (size_t offset = 0; offset < 8; offset++) {
        for (uint8_t i = 0; i < 15; i++)
            room[offset + i] = i;
        assert_true(siphash(moved_key + 1, room + offset, 15) == 0xa129ca6149be45e5);
    }
}

/* SipHash-1-3 as Python has it: hash(bytes(range(length))) of 3.11, where PYTHONHASHSEED=0 makes a
 * key of zeros. */
static void with_fewer_rounds_matches_another_implementation(void **state)
{
    (void)state;
    static const struct {
        size_t length;
        uint64_t hash;
    } other[] = {
        {1, 0x68a914128e01e473},  {7, 0x2f098ab0c751325a},  {8, 0xead411e67ebe2eea},
        {15, 0xf30eb725bb91c9ea}, {16, 0x8972188433a5c5b7}, {36, 0xac77921fcc642bd3},
        {37, 0x422a9751192ff266}, {63, 0x385d3e39e5f37359},
    };
    const uint8_t key[16] = {0};
    uint8_t input[64];
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++)
        assert_true(siphash_1_3(key, input, other[i].length) == other[i].hash);
    /* The sixteen bytes once more. */
    assert_true(siphash_1_3_of_words(key, 0x0706050403020100, 0x0f0e0d0c0b0a0908) ==
                0x8972188433a5c5b7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_reference_vectors),
        cmocka_unit_test(matches_the_example_of_the_paper),
        cmocka_unit_test(two_words_are_their_sixteen_bytes),
        cmocka_unit_test(alignment_does_not_matter),
        cmocka_unit_test(with_fewer_rounds_matches_another_implementation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
