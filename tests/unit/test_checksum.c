/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/prng.h"

#define DATA_BYTES 70000

/* The definition, a byte at a time (RFC 1071, 1). */
static uint16_t naive(uint64_t sum, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum += i % 2 == 0 ? (uint64_t)bytes[i] << 8 : bytes[i];
    while (sum > 0xffff)
        sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)sum;
}

static uint8_t data[DATA_BYTES];

static struct prng random_data(uint64_t seed)
{
    struct prng r;
    prng_seed(&r, seed);
    for (size_t i = 0; i < DATA_BYTES; i++)
        data[i] = (uint8_t)prng_next(&r);
    return r;
}

static void matches_the_example_rfc1071_3(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    assert_int_equal(checksum_fold(checksum_add(0, bytes, sizeof(bytes))), 0xddf2);
}

/* The header that Wikipedia's article on the IPv4 header checksum works out. */
static void ipv4_header_is_summed_and_verified(void **state)
{
    (void)state;
    uint8_t header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                        0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    store_be16(header + 10, (uint16_t)~checksum_fold(checksum_add(0, header, sizeof(header))));
    assert_int_equal(load_be16(header + 10), 0xb861);
    assert_int_equal(checksum_fold(checksum_add(0, header, sizeof(header))), 0xffff);
    header[8]--;
    assert_int_not_equal(checksum_fold(checksum_add(0, header, sizeof(header))), 0xffff);
}

static void every_short_length_and_alignment(void **state)
{
    (void)state;
    random_data(1);
    for (size_t length = 0; length <= 200; length++) {
        for (size_t offset = 0; offset < 16; offset++) {
            assert_int_equal(checksum_fold(checksum_add(0, data + offset, length)),
                             naive(0, data + offset, length));
        }
    }
}

static void long_data_and_an_initial_sum(void **state)
{
    (void)state;
    struct prng r = random_data(2);
    for (int i = 0; i < 300; i++) {
        size_t offset = prng_below(&r, 64);
        size_t length = prng_below(&r, 65536);
        uint64_t sum = prng_below(&r, UINT64_C(1) << 40);
        assert_int_equal(checksum_fold(checksum_add(sum, data + offset, length)),
                         naive(sum, data + offset, length));
    }
}

static void carries_at_every_step(void **state)
{
    (void)state;
    memset(data, 0xff, DATA_BYTES);
    assert_int_equal(checksum_fold(checksum_add(0, data, 65536)), 0xffff);
    assert_int_equal(checksum_fold(checksum_add(1, data, 65536)), 1);
    assert_int_equal(checksum_fold(checksum_add(0, data, 65535)), naive(0, data, 65535));
    assert_int_equal(checksum_fold(UINT64_MAX), 0xffff);
    memset(data, 0, DATA_BYTES);
    assert_int_equal(checksum_fold(checksum_add(0, data, 65536)), 0);
}

/* RFC 1071 2(B): a part at an odd offset adds its sum with the bytes swapped. */
static void parts_of_any_length_sum_as_one_rfc1071_2_b(void **state)
{
    (void)state;
    enum { PARTS = 12 };
    struct prng r = random_data(3);
    for (int round = 0; round < 2000; round++) {
        struct iovec parts[PARTS];
        size_t total = 0;
        for (int i = 0; i < PARTS; i++) {
            size_t length = prng_below(&r, i % 3 == 0 ? 4 : 700);
            parts[i] = (struct iovec){.iov_base = data + total, .iov_len = length};
            total += length;
        }
        size_t skip = prng_below(&r, total + 1);
        uint64_t sum = prng_below(&r, 1 << 20);
        assert_int_equal(checksum_fold(checksum_add_parts(sum, parts, PARTS, skip)),
                         naive(sum, data + skip, total - skip));
    }
}

static void no_parts_add_nothing(void **state)
{
    (void)state;
    assert_int_equal(checksum_add_parts(77, NULL, 0, 0), 77);
    struct iovec part = {.iov_base = data, .iov_len = 3};
    assert_int_equal(checksum_add_parts(77, &part, 1, 3), 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_example_rfc1071_3),
        cmocka_unit_test(ipv4_header_is_summed_and_verified),
        cmocka_unit_test(every_short_length_and_alignment),
        cmocka_unit_test(long_data_and_an_initial_sum),
        cmocka_unit_test(carries_at_every_step),
        cmocka_unit_test(parts_of_any_length_sum_as_one_rfc1071_2_b),
        cmocka_unit_test(no_parts_add_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
