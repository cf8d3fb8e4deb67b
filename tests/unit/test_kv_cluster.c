/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "kv/cluster.h"

#define NODES "node 1 10.8.1.2\nnode 2 10.8.2.2\nnode 3 10.8.3.2\n"

static void read_text(const char *text, struct kv_cluster *c)
{
    char error[KV_CLUSTER_ERROR_BYTES] = "";
    if (!kv_cluster_parse(text, strlen(text), c, error))
        fail_msg("%s", error);
}

static void the_example_of_the_header_is_read(void **state)
{
    struct kv_cluster c;
    (void)state;
    read_text("# three nodes, three copies of each key\n"
              "cluster shop\n"
              "replication 3\n"
              "coordinator asked          # or fixed:ID, or random\n" NODES
              "key_bytes 1024\nvalue_bytes 1048576\n"
              "transaction_keys 128\ntransaction_bytes 4128768\n",
              &c);
    assert_string_equal(c.name, "shop");
    assert_int_equal(c.placement.epoch, 1);
    assert_int_equal(c.placement.members, 7);
    assert_int_equal(c.placement.replication, 3);
    assert_int_equal(c.coordinator.mode, KV_COORDINATOR_ASKED);
    assert_int_equal(c.addresses[0].s_addr, inet_addr("10.8.1.2"));
    assert_int_equal(c.addresses[2].s_addr, inet_addr("10.8.3.2"));
    assert_int_equal(c.key_bytes, 1024);
    assert_int_equal(c.value_bytes, 1048576);
    assert_int_equal(c.transaction_keys, 128);
    assert_int_equal(c.transaction_bytes, 4128768);
}

static uint64_t digest_of(const char *text)
{
    struct kv_cluster c;
    read_text(text, &c);
    return c.digest;
}

static void files_that_say_something_else_have_another_digest(void **state)
{
    static const char *const others[] = {
        "cluster b\n" NODES,
        "cluster a\nreplication 2\n" NODES,
        "cluster a\ncoordinator random\n" NODES,
        "cluster a\ncoordinator fixed:1\n" NODES,
        "cluster a\ncoordinator fixed:2\n" NODES,
        "cluster a\nkey_bytes 1023\n" NODES,
        "cluster a\nvalue_bytes 1\n" NODES,
        "cluster a\ntransaction_keys 127\n" NODES,
        "cluster a\ntransaction_bytes 4128767\n" NODES,
        "cluster a\nnode 4 10.8.4.2\n" NODES,
        "cluster a\nnode 1 10.8.1.2\nnode 2 10.8.2.2\nnode 3 10.8.3.3\n",
    };
    (void)state;
    uint64_t digest = digest_of("cluster a\n" NODES);
    assert_true(digest ==
                digest_of(NODES "# the same\nreplication 3\ncluster a\nkey_bytes 1024\n"));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_true(digest != digest_of(others[i]));
}

static void what_is_left_out_has_its_default(void **state)
{
    struct kv_cluster c;
    (void)state;
    read_text("cluster a\n" NODES, &c);
    assert_int_equal(c.placement.replication, 3);
    assert_int_equal(c.coordinator.mode, KV_COORDINATOR_ASKED);
    assert_int_equal(c.key_bytes, 1024);
    assert_int_equal(c.value_bytes, 1048576);
    assert_int_equal(c.transaction_keys, 128);
    assert_int_equal(c.transaction_bytes, 4128768);
}

static void spaces_empty_lines_and_a_missing_end_of_line_do_not_matter(void **state)
{
    struct kv_cluster c;
    (void)state;
    read_text("\r\n\t cluster\tx-1_y.z  \r\n\nreplication 1\n  # nothing\n"
              "coordinator fixed:32\nnode 32 127.0.0.1",
              &c);
    assert_string_equal(c.name, "x-1_y.z");
    assert_int_equal(c.placement.members, 0x80000000);
    assert_int_equal(c.coordinator.node, 32);
}

#define NAME_OF_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_bad_line_is_told_by_its_number(void **state)
{
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"colour red\n", "line 1: unknown word 'colour'"},
        {"\ncluster a\ncluster b\n", "line 3: 'cluster' is given twice"},
        {"cluster a b\n", "line 1: 'cluster' takes one value"},
        {"replication\n", "line 1: 'replication' takes one value"},
        {"cluster a/b\n", "line 1: 'a/b' is no name: at most 63 letters, digits and - _ ."},
        {"cluster " NAME_OF_64 "\n",
         "line 1: '" NAME_OF_64 "' is no name: at most 63 letters, digits and - _ ."},
        {"replication 0\n", "line 1: '0' is not a number from 1 to 32"},
        {"replication 33\n", "line 1: '33' is not a number from 1 to 32"},
        {"replication two\n", "line 1: 'two' is not a number from 1 to 32"},
        {"replication -1\n", "line 1: '-1' is not a number from 1 to 32"},
        {"coordinator me\n", "line 1: 'me' is none of: asked, random, fixed:ID"},
        {"coordinator fixed:33\n", "line 1: 'fixed:33' is none of: asked, random, fixed:ID"},
        {"key_bytes 65537\n", "line 1: '65537' is not a number from 1 to 65536"},
        {"value_bytes 16777217\n", "line 1: '16777217' is not a number from 1 to 16777216"},
        {"value_bytes 99999999999999999999\n",
         "line 1: '99999999999999999999' is not a number from 1 to 16777216"},
        {"transaction_keys 129\n", "line 1: '129' is not a number from 1 to 128"},
        {"transaction_bytes 33554433\n", "line 1: '33554433' is not a number from 1 to 33554432"},
        {"node 1\n", "line 1: 'node' takes an id and an address"},
        {"node 1 10.0.0.1 10.0.0.2\n", "line 1: 'node' takes an id and an address"},
        {"node 0 10.0.0.1\n", "line 1: '0' is not an id from 1 to 32"},
        {"node 33 10.0.0.1\n", "line 1: '33' is not an id from 1 to 32"},
        {"node 1 10.0.0.1\nnode 1 10.0.0.2\n", "line 2: node 1 is there already"},
        {"node 1 10.0.0\n", "line 1: '10.0.0' is not an IPv4 address"},
        {"node 1 0.0.0.0\n", "line 1: '0.0.0.0' is not an IPv4 address"},
        {"node 1 10.0.0.1\nnode 2 10.0.0.1\n", "line 2: 10.0.0.1 is the address of node 1"},
        {"", "there is no 'cluster'"},
        {NODES, "there is no 'cluster'"},
        {"cluster a\n", "there is no 'node'"},
        {"cluster a\nnode 1 10.0.0.1\n", "replication is 3, and the number of nodes 1"},
        {"cluster a\nreplication 4\n" NODES, "replication is 4, and the number of nodes 3"},
        {"cluster a\ncoordinator fixed:4\n" NODES, "the coordinator, 4, is no node"},
        {"cluster a\ntransaction_bytes 1049599\n" NODES,
         "transaction_bytes is less than key_bytes and value_bytes together"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct kv_cluster c;
        char error[KV_CLUSTER_ERROR_BYTES] = "";
        assert_false(kv_cluster_parse(bad[i].text, strlen(bad[i].text), &c, error));
        assert_string_equal(error, bad[i].error);
    }
}

/* A request of `count` deletions of a key of so many bytes, and of one put. */
static const char *limit_of(const struct kv_cluster *c, uint32_t count, size_t key_bytes,
                            size_t value_bytes)
{
    uint8_t *bytes = calloc(1, key_bytes + value_bytes + 1);
    struct kv_request *request = kv_request_new(count + 1);
    assert_non_null(bytes);
    assert_non_null(request);
    for (uint32_t i = 0; i <= count; i++) {
        request->operations[i].kind = i < count ? KV_DELETE : KV_PUT;
        request->operations[i].key = kv_blob_new(bytes, key_bytes);
    }
    request->operations[count].value = kv_blob_new(bytes, value_bytes);
    const char *limit = kv_node_limit(c, request);
    kv_request_release(request);
    free(bytes);
    return limit;
}

static void the_limit_that_a_request_is_above_is_named(void **state)
{
    static const char text[] = "cluster a\nkey_bytes 10\nvalue_bytes 100\n"
                               "transaction_keys 4\ntransaction_bytes 120\n" NODES;
    struct kv_cluster c;
    char error[KV_CLUSTER_ERROR_BYTES];
    (void)state;
    assert_true(kv_cluster_parse(text, strlen(text), &c, error));
    assert_null(limit_of(&c, 0, 10, 100));
    assert_null(limit_of(&c, 1, 10, 100));
    assert_string_equal(limit_of(&c, 0, 11, 0), "key_bytes");
    assert_string_equal(limit_of(&c, 0, 1, 101), "value_bytes");
    assert_string_equal(limit_of(&c, 2, 10, 91), "transaction_bytes");
    assert_null(limit_of(&c, 3, 1, 1));
    assert_string_equal(limit_of(&c, 4, 1, 1), "transaction_keys");
}

static void what_is_no_text_is_refused(void **state)
{
    static const char zero[] = "cluster a\0b\n";
    char line[300], error[KV_CLUSTER_ERROR_BYTES] = "";
    struct kv_cluster c;
    (void)state;
    assert_false(kv_cluster_parse(zero, sizeof(zero) - 1, &c, error));
    assert_string_equal(error, "line 1: no text, or more than 255 bytes");
    memset(line, 'x', sizeof(line));
    assert_false(kv_cluster_parse(line, sizeof(line), &c, error));
    assert_string_equal(error, "line 1: no text, or more than 255 bytes");
    assert_false(kv_cluster_parse(line, 255, &c, error));
    assert_int_equal(strlen(error), KV_CLUSTER_ERROR_BYTES - 1); /* cut, and a string */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_header_is_read),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(files_that_say_something_else_have_another_digest),
        cmocka_unit_test(spaces_empty_lines_and_a_missing_end_of_line_do_not_matter),
        cmocka_unit_test(a_bad_line_is_told_by_its_number),
        cmocka_unit_test(the_limit_that_a_request_is_above_is_named),
        cmocka_unit_test(what_is_no_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
