/* SPDX-License-Identifier: MIT */
/* What is on the classic wire, against byte strings written by hand, and the reader of requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "primes/primes.h"
#include "primes/stubs.h"
#include "rpc/classic.h"

/* ---- Numbers and identities ---- */

static void words_are_in_network_byte_order(void **state)
{
    (void)state;
    uint8_t bytes[8];
    rpc_put32(bytes, 0x01020304);
    assert_memory_equal(bytes, "\x01\x02\x03\x04", 4);
    assert_int_equal(rpc_get32((const uint8_t *)"\xff\xfe\xfd\xfc"), 0xfffefdfc);
    rpc_put64(bytes, UINT64_C(0x0102030405060708));
    assert_memory_equal(bytes, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_true(rpc_get64((const uint8_t *)"\x80\0\0\0\0\0\0\1") == UINT64_C(0x8000000000000001));
}

static void an_identity_is_client_sequence_and_lowest(void **state)
{
    (void)state;
    static const uint8_t wire[] = "\x11\x22\x33\x44\x55\x66\x77\x88"
                                  "\0\0\0\0\0\0\1\2"
                                  "\0\0\0\0\0\0\0\x63";
    const struct rpc_identity identity = {UINT64_C(0x1122334455667788), 0x102, 99};
    uint8_t bytes[RPC_IDENTITY_BYTES];
    rpc_identity_marshal(&identity, bytes);
    assert_memory_equal(bytes, wire, sizeof(bytes));
    struct rpc_identity back = rpc_identity_unmarshal(wire);
    assert_memory_equal(&back, &identity, sizeof(back));
}

/* ---- Server stubs ---- */

/* Runs a server stub on bytes as the wire has them. */
static enum rpc_code run_stub(unsigned procedure, const char *arguments, uint8_t result[4])
{
    struct primes *primes = primes_new();
    assert_non_null(primes);
    enum rpc_code code =
        primes_procedures[procedure].run(primes, (const uint8_t *)arguments, result);
    primes_free(primes);
    return code;
}

static void ith_prime_counts_from_0(void **state)
{
    (void)state;
    uint8_t result[4];
    assert_int_equal(run_stub(PRIMES_ITH_PRIME, "\0\0\0\0", result), RPC_OK);
    assert_memory_equal(result, "\0\0\0\2", 4);
    assert_int_equal(run_stub(PRIMES_ITH_PRIME, "\0\0\0\5", result), RPC_OK);
    assert_memory_equal(result, "\0\0\0\x0d", 4);
    /* The 6542nd prime, 65521, is the last below 65536; the next one is 65537. */
    assert_int_equal(run_stub(PRIMES_ITH_PRIME, "\0\0\x19\x8d", result), RPC_OK);
    assert_memory_equal(result, "\0\0\xff\xf1", 4);
    assert_int_equal(run_stub(PRIMES_ITH_PRIME, "\0\0\x19\x8e", result), RPC_OK);
    assert_memory_equal(result, "\0\1\0\1", 4);
    /* The millionth prime is 15485863. */
    assert_int_equal(run_stub(PRIMES_ITH_PRIME, "\0\x0f\x42\x3f", result), RPC_OK);
    assert_memory_equal(result, "\0\xec\x4b\xa7", 4);
}

/* There are 203,280,221 primes below 2^32, and 4,294,967,291 is the last of them. */
static void ith_prime_ends_where_32_bits_do(void **state)
{
    (void)state;
    uint8_t result[4];
    assert_int_equal(run_stub(PRIMES_ITH_PRIME, "\x0c\x1d\xcf\x5c", result), RPC_OK);
    assert_memory_equal(result, "\xff\xff\xff\xfb", 4);
    assert_int_equal(run_stub(PRIMES_ITH_PRIME, "\x0c\x1d\xcf\x5d", result), RPC_OUT_OF_RANGE);
    assert_int_equal(run_stub(PRIMES_ITH_PRIME, "\xff\xff\xff\xff", result), RPC_OUT_OF_RANGE);
}

static void is_coprime_is_whether_the_greatest_common_divisor_is_1(void **state)
{
    (void)state;
    static const struct {
        uint32_t x, y, coprime;
    } cases[] = {
        {14, 15, 1},
        {14, 21, 0},
        {1, 1, 1},
        {0, 1, 1},
        {1, 0, 1},
        {0, 0, 0},
        {0, 7, 0},
        {4294967295, 2, 1},
        {4294967291, 4294967291, 0},
        {6, 35, 1},
        {4294967295, 65537, 0}, /* 2^32 - 1 is 3 * 5 * 17 * 257 * 65537 */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(is_coprime(cases[i].x, cases[i].y), cases[i].coprime);
    uint8_t result[4];
    assert_int_equal(run_stub(PRIMES_IS_COPRIME, "\0\0\0\x0e\0\0\0\x0f", result), RPC_OK);
    assert_memory_equal(result, "\0\0\0\1", 4);
    assert_int_equal(run_stub(PRIMES_IS_COPRIME, "\0\0\0\x0e\0\0\0\x15", result), RPC_OK);
    assert_memory_equal(result, "\0\0\0\0", 4);
}

/* ---- The reader of requests ---- */

static struct rpc_dispatcher *primes_only(void)
{
    struct rpc_dispatcher *rpc = rpc_new(NULL);
    assert_non_null(rpc);
    assert_int_equal(primes_serve(rpc), 0);
    return rpc;
}

#define ITH_PRIME  "\0\0\0\0\0\0\0\5"
#define IS_COPRIME "\0\0\0\1\0\0\0\x0e\0\0\0\x0f"

static void a_request_has_as_many_bytes_as_its_id_demands(void **state)
{
    (void)state;
    static const char more[] = ITH_PRIME IS_COPRIME;
    struct rpc_dispatcher *rpc = primes_only();
    struct classic_request r = {0};
    assert_int_equal(classic_feed(&r, rpc, (const uint8_t *)more, sizeof(more) - 1), 8);
    assert_int_equal(r.state, CLASSIC_WHOLE);
    assert_int_equal(r.id, 0);
    assert_memory_equal(classic_arguments(&r), "\0\0\0\5", 4);
    r = (struct classic_request){0};
    assert_int_equal(classic_feed(&r, rpc, (const uint8_t *)more + 8, 12), 12);
    assert_int_equal(r.state, CLASSIC_WHOLE);
    assert_int_equal(r.id, 1);
    assert_memory_equal(classic_arguments(&r), "\0\0\0\x0e\0\0\0\x0f", 8);
    rpc_free(rpc);
}

static void a_request_may_be_split_anywhere(void **state)
{
    (void)state;
    static const uint8_t bytes[] = IS_COPRIME;
    const size_t size = sizeof(bytes) - 1;
    struct rpc_dispatcher *rpc = primes_only();
    for (size_t first = 0; first <= size; first++) {
        for (size_t second = first; second <= size; second++) {
            struct classic_request r = {0};
            size_t taken = classic_feed(&r, rpc, bytes, first);
            taken += classic_feed(&r, rpc, bytes + first, second - first);
            assert_int_equal(r.state, second == size ? CLASSIC_WHOLE : CLASSIC_PARTIAL);
            taken += classic_feed(&r, rpc, bytes + second, size - second);
            assert_int_equal(taken, size);
            assert_int_equal(r.state, CLASSIC_WHOLE);
            assert_memory_equal(classic_arguments(&r), bytes + 4, 8);
        }
    }
    rpc_free(rpc);
}

static void an_unknown_id_needs_no_arguments(void **state)
{
    (void)state;
    struct rpc_dispatcher *rpc = primes_only();
    struct classic_request r = {0};
    assert_int_equal(classic_feed(&r, rpc, (const uint8_t *)"\0\0\0\2xxxx", 8), 4);
    assert_int_equal(r.state, CLASSIC_NO_PROCEDURE);
    assert_int_equal(classic_feed(&r, rpc, (const uint8_t *)"xxxx", 4), 0);
    r = (struct classic_request){0};
    assert_int_equal(classic_feed(&r, rpc, (const uint8_t *)"\xff\xff\xff", 3), 3);
    assert_int_equal(r.state, CLASSIC_PARTIAL);
    assert_int_equal(classic_feed(&r, rpc, (const uint8_t *)"\xff", 1), 1);
    assert_int_equal(r.state, CLASSIC_NO_PROCEDURE);
    rpc_free(rpc);
}

/* ---- Registration ---- */

static enum rpc_code nothing(void *context, const uint8_t *arguments, uint8_t *result)
{
    (void)context, (void)arguments, (void)result;
    return RPC_INTERNAL;
}

static int register_one(struct rpc_dispatcher *rpc, const struct rpc_procedure *procedure)
{
    const struct rpc_service service = {.name = "x", .procedures = procedure, .count = 1};
    return rpc_register(rpc, &service);
}

static void what_cannot_be_served_is_refused(void **state)
{
    (void)state;
    struct rpc_dispatcher *rpc = primes_only();
    struct rpc_procedure p = {.id = 1, .name = "x", .result_bytes = 4, .run = nothing};
    assert_int_equal(register_one(rpc, &p), -1);
    assert_int_equal(errno, EEXIST);
    p.id = 2;
    p.argument_bytes = RPC_BYTES_MAX + 1;
    assert_int_equal(register_one(rpc, &p), -1);
    assert_int_equal(errno, EINVAL);
    p.argument_bytes = RPC_IDENTITY_BYTES - 1;
    p.identified = true;
    assert_int_equal(register_one(rpc, &p), -1);
    p.argument_bytes = RPC_IDENTITY_BYTES;
    p.result_bytes = 0; /* it could not be told from a close without a result */
    assert_int_equal(register_one(rpc, &p), -1);
    p.result_bytes = RPC_BYTES_MAX;
    assert_int_equal(register_one(rpc, &p), 0);
    struct rpc_procedure others[RPC_SERVICES_MAX - 1];
    for (uint32_t i = 0; i < RPC_SERVICES_MAX - 1; i++) {
        others[i] = p;
        others[i].id = 3 + i;
        assert_int_equal(register_one(rpc, &others[i]), i < RPC_SERVICES_MAX - 2 ? 0 : -1);
    }
    assert_int_equal(errno, ENOSPC);
    rpc_free(rpc);
}

static void a_procedure_is_found_by_its_name(void **state)
{
    (void)state;
    assert_ptr_equal(rpc_by_name(primes_procedures, PRIMES_PROCEDURES, "is_coprime"),
                     &primes_procedures[PRIMES_IS_COPRIME]);
    assert_null(rpc_by_name(primes_procedures, PRIMES_PROCEDURES, "is_coprim"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_in_network_byte_order),
        cmocka_unit_test(an_identity_is_client_sequence_and_lowest),
        cmocka_unit_test(ith_prime_counts_from_0),
        cmocka_unit_test(ith_prime_ends_where_32_bits_do),
        cmocka_unit_test(is_coprime_is_whether_the_greatest_common_divisor_is_1),
        cmocka_unit_test(a_request_has_as_many_bytes_as_its_id_demands),
        cmocka_unit_test(a_request_may_be_split_anywhere),
        cmocka_unit_test(an_unknown_id_needs_no_arguments),
        cmocka_unit_test(what_cannot_be_served_is_refused),
        cmocka_unit_test(a_procedure_is_found_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
