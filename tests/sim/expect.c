/* SPDX-License-Identifier: MIT */
#include "expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void expect_committed(const struct cluster_answer *a)
{
    if (!a->told || a->end != KV_COMMITTED_NOW)
        fail_msg("told %d, end %d, reason %s, node %u", a->told, a->end,
                 kv_reason_name(a->refusal.reason), (unsigned)(a->node | a->refusal.node));
}

void expect_to_read(struct cluster *c, uint32_t id, const char *key, const char *value)
{
    struct cluster_answer a = cluster_get(c, id, key);
    expect_committed(&a);
    assert_true(a.results[0].found);
    assert_string_equal(a.results[0].value, value);
}

void expect_alike(struct cluster *c, const char *key)
{
    struct cluster_answer first = {0};
    for (uint32_t id = 1; id <= c->count; id++) {
        struct kv_status status;
        struct cluster_answer a;
        assert_int_equal(cluster_begin_read(c, id, key, true, &a), 0);
        cluster_await(c, &a);
        expect_committed(&a);
        if (id == 1)
            first = a;
        assert_int_equal(a.results[0].version, first.results[0].version);
        assert_string_equal(a.results[0].value, first.results[0].value);
        kv_node_status(c->nodes[id - 1].node, &status);
        assert_int_equal(status.locks, 0);
        assert_int_equal(status.in_doubt, 0);
        assert_int_equal(status.coordinating, 0);
    }
}
