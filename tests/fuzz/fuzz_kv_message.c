/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what a node of the store is told by another one (kv/wire.h).
 *
 * The input is a byte that says as what the rest is read: a delivery, a request that is passed on,
 * or the answer to one.
 *
 * Promised: what is read keeps the limits of the cluster and names its members; a message that is
 * written again is read as what writes the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "kv/wire.h"
#include "targets.h"

#define SELF        2
#define ANSWER_KEYS 2 /* of the request whose answer is read */

enum form { DELIVERY, FORWARD, TXN_REPLY, GET_REPLY, FORMS };

static const char file[] = "cluster f\nreplication 2\nkey_bytes 8\nvalue_bytes 16\n"
                           "transaction_keys 4\ntransaction_bytes 64\n"
                           "node 1 10.0.0.1\nnode 2 10.0.0.2\nnode 3 10.0.0.3\n";

struct reader {
    struct kv_cluster cluster;
    const struct kv_message *first; /* to be compared with; NULL: this is the first time */
    uint32_t heard;
};

static void check_request(const struct reader *r, const struct kv_request *request)
{
    CHECK(kv_request_valid(request) && !kv_node_limit(&r->cluster, request));
    CHECK((request->participants & ~r->cluster.placement.members) == 0);
}

static void check_message(const struct reader *r, const struct kv_message *m)
{
    kv_nodes members = r->cluster.placement.members;

    CHECK(m->kind <= KV_MARK && m->answer <= KV_UNKNOWN && m->to == SELF && m->from != SELF);
    CHECK((kv_node_bit(m->from) & members) != 0 && (m->participants & ~members) == 0);
    CHECK(m->kind == KV_MARK || (kv_node_bit(m->txid.coordinator) & members));
    CHECK(m->mark.incarnation == 0 || m->mark.coordinator == m->from);
    CHECK(m->request || m->kind != KV_VOTE_REQUEST);
    CHECK(m->results || m->kind != KV_VOTE_COMMIT);
    if (m->request)
        check_request(r, m->request);
    for (uint32_t i = 0; m->results && i < m->results->count; i++) {
        const struct kv_blob *value = m->results->list[i].value;
        CHECK(!value || value->length <= r->cluster.value_bytes);
    }
}

static bool write_message(const struct reader *r, const struct kv_message *m, struct kv_bytes *b)
{
    return kv_wire_begin(b, &r->cluster, m->from, m->to) && kv_wire_add(b, m);
}

/* Whether all operations are for this node: those that are not do not travel. */
static bool travels_whole(const struct kv_message *m)
{
    for (uint32_t i = 0; m->request && i < m->request->count; i++) {
        if (!(m->request->operations[i].replicas & kv_node_bit(SELF)))
            return false;
    }
    return true;
}

static void hear(void *context, const struct kv_message *m)
{
    struct reader *r = context;
    struct kv_bytes b = {0}, again = {0};
    uint64_t refused = 0;

    check_message(r, m);
    r->heard++;
    CHECK(write_message(r, m, &b));
    if (r->first) {
        CHECK(write_message(r, r->first, &again));
        CHECK(b.length == again.length && memcmp(b.bytes, again.bytes, b.length) == 0);
    } else if (travels_whole(m)) {
        struct reader second = {.cluster = r->cluster, .first = m};
        CHECK(kv_wire_read(&r->cluster, SELF, b.bytes, b.length, hear, &second, &refused) ==
              KV_WIRE_SOUND);
        CHECK(second.heard == 1 && refused == 0);
    }
    kv_bytes_free(&b);
    kv_bytes_free(&again);
}

static void read_forward(const struct reader *r, const uint8_t *bytes, size_t length)
{
    struct kv_forward f;

    if (kv_wire_read_forward(&r->cluster, SELF, bytes, length, &f) != KV_WIRE_SOUND)
        return;
    CHECK((f.request != NULL) != (f.key != NULL));
    CHECK(!f.request || (f.request->count > 0 && f.request->count <= KV_OPERATIONS_MAX));
    kv_request_release(f.request);
    kv_blob_release(f.key);
}

static void read_answer(const struct reader *r, const uint8_t *bytes, size_t length, bool is_get)
{
    struct kv_answer_read a;
    uint32_t count = is_get ? 1 : ANSWER_KEYS;
    bool is_sound = is_get ? kv_wire_read_get_reply(&r->cluster, bytes, length, &a)
                           : kv_wire_read_txn_reply(&r->cluster, bytes, length, ANSWER_KEYS, &a);

    if (!is_sound)
        return;
    CHECK(a.committed == (a.results != NULL) && (!a.results || a.results->count == count));
    CHECK(a.committed || a.refusal.reason != KV_REASON_NONE);
    kv_results_release(a.results);
    kv_blob_release(a.key);
}

int fuzz_kv_message(const uint8_t *bytes, size_t length)
{
    struct reader r = {0};
    char error[KV_CLUSTER_ERROR_BYTES];
    uint64_t refused = 0;

    CHECK(kv_cluster_parse(file, strlen(file), &r.cluster, error));
    if (length < 1)
        return 0;
    enum form form = (enum form)(bytes[0] % FORMS);
    if (form == DELIVERY)
        kv_wire_read(&r.cluster, SELF, bytes + 1, length - 1, hear, &r, &refused);
    else if (form == FORWARD)
        read_forward(&r, bytes + 1, length - 1);
    else
        read_answer(&r, bytes + 1, length - 1, form == GET_REPLY);
    return 0;
}
