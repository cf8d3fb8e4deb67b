/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

static void loads_and_stores_are_big_endian(void **state)
{
    (void)state;
    uint8_t bytes[4];
    store_be32(bytes, 0x01020384);
    assert_memory_equal(bytes, "\x01\x02\x03\x84", 4);
    assert_int_equal(load_be32(bytes), 0x01020384);
    store_be16(bytes, 0xfe01);
    assert_memory_equal(bytes, "\xfe\x01\x03\x84", 4);
    assert_int_equal(load_be16(bytes), 0xfe01);
    assert_int_equal(load_be32((const uint8_t *)"\xff\xfe\xfd\xfc"), 0xfffefdfc);
}

static void reader_yields_fields_in_order(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x80, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef, 'x', 'y', 'z'};
    struct reader r = reader_over(bytes, sizeof(bytes));
    assert_int_equal(read_u8(&r), 0x80);
    assert_int_equal(read_be16(&r), 0x1234);
    assert_int_equal(read_be32(&r), 0xdeadbeef);
    assert_ptr_equal(read_bytes(&r, 3), bytes + 7);
    assert_int_equal(r.left, 0);
    assert_false(r.short_of);
}

static void reader_past_the_end_yields_zeros_and_stays_short(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0xff, 0xff, 0xff};
    struct reader r = reader_over(bytes, sizeof(bytes));
    assert_int_equal(read_be32(&r), 0);
    assert_true(r.short_of);
    assert_int_equal(read_u8(&r), 0);
    assert_int_equal(read_be16(&r), 0);
    assert_null(read_bytes(&r, 1));
    assert_true(r.short_of);
}

static void reader_takes_nothing_from_nothing(void **state)
{
    (void)state;
    const uint8_t bytes[] = {1};
    struct reader r = reader_over(bytes, 0);
    assert_non_null(read_bytes(&r, 0));
    assert_false(r.short_of);
    assert_null(read_bytes(&r, SIZE_MAX));
    assert_true(r.short_of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_and_stores_are_big_endian),
        cmocka_unit_test(reader_yields_fields_in_order),
        cmocka_unit_test(reader_past_the_end_yields_zeros_and_stays_short),
        cmocka_unit_test(reader_takes_nothing_from_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
