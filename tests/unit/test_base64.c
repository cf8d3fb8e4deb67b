/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/base64.h"

#define TEXT_MAX 16

static void assert_reads(const char *text, const char *expected)
{
    uint8_t bytes[BASE64_BYTES_MAX(TEXT_MAX)];
    size_t length;

    assert_true(base64_read(text, strlen(text), bytes, &length));
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(bytes, expected, length);
}

static void assert_refuses(const char *text)
{
    uint8_t bytes[BASE64_BYTES_MAX(TEXT_MAX)];
    size_t length;

    assert_false(base64_read(text, strlen(text), bytes, &length));
}

/* The test vectors of RFC 4648, section 10. */
static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void the_vectors_are_read_and_written_rfc4648_10(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const char *plain = vectors[i][0], *encoded = vectors[i][1];
        char text[TEXT_MAX];
        assert_reads(encoded, plain);
        base64_write((const uint8_t *)plain, strlen(plain), text);
        assert_memory_equal(text, encoded, strlen(encoded));
    }
}

/* As the JSON of protobuf asks for. */
static void either_alphabet_is_read_padded_or_not_rfc4648_5(void **state)
{
    (void)state;
    assert_reads("/w==", "\xff");
    assert_reads("_w==", "\xff");
    assert_reads("_w", "\xff");
    assert_reads("--__", "\xfb\xef\xff");
    assert_reads("++//", "\xfb\xef\xff");
    assert_reads("Zm8", "fo");
}

static void padding_that_does_not_fill_the_last_group_is_refused_rfc4648_4(void **state)
{
    (void)state;
    assert_refuses("/w=");
    assert_refuses("/w===");
    assert_refuses("/w======");
    assert_refuses("Zm9v=");
    assert_refuses("Zm9v====");
    assert_refuses("=");
    assert_refuses("====");
}

static void what_is_no_digit_is_refused_rfc4648_3_3(void **state)
{
    (void)state;
    assert_refuses("Z");
    assert_refuses("Zg=a");
    assert_refuses("Zm 9");
    assert_refuses("Zm9v\n");
    assert_refuses("Z\xc3\xa4g");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_are_read_and_written_rfc4648_10),
        cmocka_unit_test(either_alphabet_is_read_padded_or_not_rfc4648_5),
        cmocka_unit_test(padding_that_does_not_fill_the_last_group_is_refused_rfc4648_4),
        cmocka_unit_test(what_is_no_digit_is_refused_rfc4648_3_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
