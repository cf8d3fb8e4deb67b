/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "kv/packing.h"
#include "kv_place.h"

static void operations_are_packed_and_whatever_is_cut_off_is_refused(void **state)
{
    (void)state;
    struct kv_request *request = all_kinds();
    size_t length = kv_packed_operations(request);
    uint8_t *bytes = malloc(length + 1);
    assert_non_null(bytes);
    kv_pack_operations(request, bytes);
    /* 4 for the count, 21 for each of five; "", "first", "empty", "", "gone", "read", "checked" */
    assert_int_equal(length, 4 + 5 * 21 + 5 + 5 + 4 + 4 + 7);
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *exact = malloc(cut + 1); /* so that a sanitizer sees what is read beyond */
        memcpy(exact, bytes, cut);
        assert_null(kv_unpack_operations(exact, cut));
        free(exact);
    }
    bytes[length] = 0;
    assert_null(kv_unpack_operations(bytes, length + 1));
    struct kv_request *back = kv_unpack_operations(bytes, length);
    assert_non_null(back);
    assert_same_request(request, back);
    kv_request_release(back);
    bytes[4] = KV_CHECK + 1;
    assert_null(kv_unpack_operations(bytes, length));
    free(bytes);
    kv_request_release(request);
}

static void results_are_packed_and_whatever_is_cut_off_is_refused(void **state)
{
    (void)state;
    struct kv_results *results = all_results();
    size_t length = kv_packed_results(results);
    uint8_t *bytes = malloc(length);
    assert_non_null(bytes);
    assert_int_equal(length, 4 + 3 * 14 + 4);
    kv_pack_results(results, bytes);
    for (size_t cut = 0; cut < length; cut++)
        assert_null(kv_unpack_results(bytes, cut));
    struct kv_results *back = kv_unpack_results(bytes, length);
    assert_non_null(back);
    assert_int_equal(back->count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(back->list[i].found, results->list[i].found);
        assert_true(back->list[i].version == results->list[i].version);
        assert_int_equal(back->list[i].value != NULL, results->list[i].value != NULL);
    }
    assert_true(kv_blob_equal(back->list[0].value, results->list[0].value));
    assert_true(kv_blob_equal(back->list[1].value, results->list[1].value));
    kv_results_release(back);
    kv_results_release(results);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_are_packed_and_whatever_is_cut_off_is_refused),
        cmocka_unit_test(results_are_packed_and_whatever_is_cut_off_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
