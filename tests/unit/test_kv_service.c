/* SPDX-License-Identifier: MIT */
/* The gRPC service of the key-value store: what a call asks of a node, and how each outcome is
 * answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/service.h"
#include "pair.h"
#include "standin.h"

#define WAIT_NS (2 * RPC_S) /* of a call */

struct desk {
    struct pair *pair;
    struct standin standin;
    struct rpc_dispatcher *rpc;
    /* What the last call was answered. */
    int answers;
    enum rpc_code code;
    uint8_t bytes[4096];
    size_t length;
    struct message_arena arena;
};

static struct desk *desk_new(void)
{
    struct desk *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    d->pair = pair_new(&(struct pair_config){0});
    struct kv_node *node = standin_new(&d->standin, pair_env(d->pair));
    d->rpc = rpc_new(pair_env(d->pair));
    assert_int_equal(kv_serve(d->rpc, node), 0);
    message_arena_init(&d->arena);
    return d;
}

static void desk_free(struct desk *d)
{
    rpc_free(d->rpc);
    standin_free(&d->standin);
    message_arena_free(&d->arena);
    pair_free(d->pair);
    free(d);
}

static void answered(void *owner, enum rpc_code code, const uint8_t *result, size_t length)
{
    struct desk *d = owner;
    d->answers++;
    d->code = code;
    assert_true(length < sizeof(d->bytes));
    if (length > 0)
        memcpy(d->bytes, result, length);
    d->bytes[length] = '\0';
    d->length = length;
}

static struct rpc_job *begin(struct desk *d, unsigned procedure, const ProtobufCMessage *message)
{
    uint8_t bytes[8192];
    assert_true(protobuf_c_message_get_packed_size(message) < sizeof(bytes));
    size_t length = protobuf_c_message_pack(message, bytes);
    struct strait_env *env = pair_env(d->pair);
    d->answers = 0;
    return rpc_run(d->rpc, &kv_messages.procedures[procedure], bytes, length,
                   env->now(env) + WAIT_NS, answered, d);
}

/* The reply to a call, which was answered OK. */
static const void *ask(struct desk *d, unsigned procedure, const ProtobufCMessage *message)
{
    begin(d, procedure, message);
    pair_run(d->pair, 100 * PAIR_MS);
    assert_int_equal(d->answers, 1);
    assert_int_equal(d->code, RPC_OK);
    const ProtobufCMessage *reply = message_unpack(
        &d->arena, kv_messages.service->methods[procedure].output, d->bytes, d->length);
    assert_non_null(reply);
    return reply;
}

/* A call ends with this code and text. */
static void expect_error(struct desk *d, unsigned procedure, const ProtobufCMessage *message,
                         enum rpc_code code, const char *text)
{
    begin(d, procedure, message);
    pair_run(d->pair, 100 * PAIR_MS);
    assert_int_equal(d->answers, 1);
    assert_int_equal(d->code, code);
    assert_string_equal((const char *)d->bytes, text);
}

static ProtobufCBinaryData data(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static Strait__KvPutRequest put_a(void)
{
    Strait__KvPutRequest put = STRAIT__KV_PUT_REQUEST__INIT;
    put.key = data("a");
    put.value = data("1");
    return put;
}

/* ---- What is asked ---- */

static void a_put_goes_down_with_its_identity_and_its_time(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    Strait__KvIdentity identity = STRAIT__KV_IDENTITY__INIT;
    Strait__KvPutRequest put = put_a();
    identity.client = UINT64_MAX;
    identity.sequence = 7;
    identity.lowest = 5;
    put.identity = &identity;
    d->standin.outcome.txid = (struct kv_txid){1, 4, 9};
    d->standin.results[0] = (struct kv_result){.found = true, .version = 3};
    struct strait_env *env = pair_env(d->pair);
    uint64_t now_ns = env->now(env);
    const Strait__KvWriteReply *reply = ask(d, KV_RPC_PUT, &put.base);
    assert_true(reply->committed);
    assert_int_equal(reply->version, 3);
    assert_int_equal(reply->txid->coordinator, 1);
    assert_int_equal(reply->txid->incarnation, 4);
    assert_int_equal(reply->txid->sequence, 9);
    assert_null(reply->refusal);
    const struct kv_request *r = d->standin.request;
    assert_int_equal(r->count, 1);
    assert_true(r->client == UINT64_MAX);
    assert_int_equal(r->sequence, 7);
    assert_int_equal(r->retired, 5);
    assert_int_equal(r->operations[0].kind, KV_PUT);
    assert_memory_equal(r->operations[0].value->bytes, "1", 1);
    assert_true(d->standin.deadline_ns == now_ns + WAIT_NS);
    desk_free(d);
}

static void a_get_tells_value_and_version(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    struct kv_blob *value = kv_blob_new("x\0y", 3);
    get.key = data("a");
    get.stale = true;
    d->standin.results[0] = (struct kv_result){.found = true, .version = 3, .value = value};
    const Strait__KvGetReply *reply = ask(d, KV_RPC_GET, &get.base);
    assert_true(reply->found);
    assert_int_equal(reply->version, 3);
    assert_int_equal(reply->value.len, 3);
    assert_memory_equal(reply->value.data, "x\0y", 3);
    assert_string_equal(d->standin.key, "a");
    assert_true(d->standin.stale);
    kv_blob_release(value);
    desk_free(d);
}

static void a_delete_and_a_transaction_go_down_as_they_are(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    Strait__KvDeleteRequest delete = STRAIT__KV_DELETE_REQUEST__INIT;
    delete.key = data("a");
    d->standin.results[0] = (struct kv_result){.version = 4};
    const Strait__KvWriteReply *deleted = ask(d, KV_RPC_DELETE, &delete.base);
    assert_true(deleted->committed);
    assert_false(deleted->found);
    assert_int_equal(deleted->version, 4);
    assert_int_equal(d->standin.request->operations[0].kind, KV_DELETE);

    Strait__KvTxnRequest txn = STRAIT__KV_TXN_REQUEST__INIT;
    Strait__KvOperation check = STRAIT__KV_OPERATION__INIT, get = STRAIT__KV_OPERATION__INIT;
    Strait__KvOperation *operations[] = {&check, &get};
    struct kv_blob *value = kv_blob_new("v", 1);
    check.kind = STRAIT__KV_OPERATION__KIND__CHECK;
    check.key = get.key = data("b");
    check.version = 12;
    get.kind = STRAIT__KV_OPERATION__KIND__GET;
    txn.operations = operations;
    txn.n_operations = 2;
    d->standin.results[1] = (struct kv_result){.found = true, .version = 12, .value = value};
    const Strait__KvTxnReply *reply = ask(d, KV_RPC_TXN, &txn.base);
    assert_true(reply->committed);
    assert_int_equal(reply->n_results, 2);
    assert_memory_equal(reply->results[1]->value.data, "v", 1);
    assert_int_equal(d->standin.request->operations[0].version, 12);
    kv_blob_release(value);
    desk_free(d);
}

static void status_tells_the_cluster_and_the_node(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    Strait__KvStatusRequest request = STRAIT__KV_STATUS_REQUEST__INIT;
    const Strait__KvStatusReply *reply = ask(d, KV_RPC_STATUS, &request.base);
    assert_string_equal(reply->cluster, "shop");
    assert_int_equal(reply->id, 1);
    assert_int_equal(reply->replication, 2);
    assert_string_equal(reply->coordinator, "asked");
    assert_int_equal(reply->keys, 12);
    assert_int_equal(reply->n_nodes, 2);
    assert_memory_equal(reply->nodes[1]->address.data, "\x0a\0\0\3", 4);
    assert_true(reply->nodes[0]->reachable);
    assert_false(reply->nodes[1]->reachable);
    assert_int_equal(reply->n_counters, 2);
    assert_string_equal(reply->counters[1]->name, "kv_aborts");
    assert_int_equal(reply->counters[1]->value, 2);
    desk_free(d);
}

/* ---- Outcomes ---- */

static void a_refusal_is_told_in_the_reply(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    Strait__KvPutRequest put = put_a();
    for (int reason = KV_REASON_LOCKED; reason <= KV_REASON_MAX; reason++) {
        if (reason == KV_REASON_ALREADY)
            continue;
        d->standin.outcome = (struct kv_outcome){
            .end = KV_REFUSED, .refusal = {.reason = (enum kv_reason)reason, .node = 2}};
        const Strait__KvWriteReply *reply = ask(d, KV_RPC_PUT, &put.base);
        assert_false(reply->committed);
        assert_int_equal(reply->refusal->reason, reason);
        assert_int_equal(reply->refusal->node, 2);
    }
    d->standin.outcome.refusal =
        (struct kv_refusal){.reason = KV_REASON_LOCKED, .node = 2, .holder = {2, 3, 4}};
    const Strait__KvWriteReply *reply = ask(d, KV_RPC_PUT, &put.base);
    assert_memory_equal(reply->refusal->key.data, "a", 1);
    assert_int_equal(reply->refusal->holder->coordinator, 2);
    assert_int_equal(reply->refusal->holder->sequence, 4);
    desk_free(d);
}

static void a_repetition_is_told_to_have_committed(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    Strait__KvPutRequest put = put_a();
    d->standin.outcome.refusal =
        (struct kv_refusal){.reason = KV_REASON_ALREADY, .holder = {2, 3, 4}};
    d->standin.unknown[0] = true;
    const Strait__KvWriteReply *reply = ask(d, KV_RPC_PUT, &put.base);
    assert_true(reply->committed);
    assert_int_equal(reply->version, 0);
    assert_int_equal(reply->refusal->reason, STRAIT__KV_REFUSAL__REASON__ALREADY);
    assert_int_equal(reply->refusal->holder->sequence, 4);
    desk_free(d);
}

static void what_was_not_begun_is_told_from_what_is_undecided(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    Strait__KvPutRequest put = put_a();
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    get.key = data("a");
    d->standin.outcome = (struct kv_outcome){.end = KV_UNREACHABLE, .node = 2};
    const Strait__KvWriteReply *reply = ask(d, KV_RPC_PUT, &put.base);
    assert_false(reply->committed);
    assert_int_equal(reply->refusal->reason, STRAIT__KV_REFUSAL__REASON__UNREACHABLE);
    assert_int_equal(reply->refusal->node, 2);
    const Strait__KvGetReply *read = ask(d, KV_RPC_GET, &get.base);
    assert_int_equal(read->refusal->reason, STRAIT__KV_REFUSAL__REASON__UNREACHABLE);
    d->standin.outcome = (struct kv_outcome){.end = KV_UNDECIDED, .node = 2};
    expect_error(d, KV_RPC_PUT, &put.base, RPC_DEADLINE_EXCEEDED,
                 "node 2 has not answered; the attempt may still commit");
    desk_free(d);
}

static void what_the_node_does_not_take_has_not_happened(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    Strait__KvPutRequest put = put_a();
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    get.key = data("a");
    d->standin.refuse = EMSGSIZE;
    expect_error(d, KV_RPC_PUT, &put.base, RPC_INVALID_ARGUMENT,
                 "it is above the cluster's limit value_bytes");
    expect_error(d, KV_RPC_GET, &get.base, RPC_INVALID_ARGUMENT,
                 "it is above the cluster's limit key_bytes");
    d->standin.refuse = EINVAL;
    expect_error(d, KV_RPC_PUT, &put.base, RPC_INVALID_ARGUMENT, "the transaction makes no sense");
    d->standin.refuse = EAGAIN;
    expect_error(d, KV_RPC_PUT, &put.base, RPC_RESOURCE_EXHAUSTED,
                 "the node has too many requests");
    d->standin.refuse = ESHUTDOWN;
    expect_error(d, KV_RPC_GET, &get.base, RPC_RESOURCE_EXHAUSTED, "the node stops");
    d->standin.refuse = ENOMEM;
    expect_error(d, KV_RPC_PUT, &put.base, RPC_RESOURCE_EXHAUSTED, "the node is short of memory");
    desk_free(d);
}

static void what_makes_no_sense_does_not_reach_the_node(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    Strait__KvPutRequest put = STRAIT__KV_PUT_REQUEST__INIT;
    Strait__KvTxnRequest txn = STRAIT__KV_TXN_REQUEST__INIT;
    Strait__KvOperation operation = STRAIT__KV_OPERATION__INIT;
    Strait__KvOperation *operations[KV_OPERATIONS_MAX + 1];
    expect_error(d, KV_RPC_PUT, &put.base, RPC_INVALID_ARGUMENT, "a key is empty");
    expect_error(d, KV_RPC_TXN, &txn.base, RPC_INVALID_ARGUMENT, "the transaction makes no sense");
    operation.key = data("a");
    for (size_t i = 0; i <= KV_OPERATIONS_MAX; i++)
        operations[i] = &operation;
    txn.operations = operations;
    txn.n_operations = KV_OPERATIONS_MAX + 1;
    expect_error(d, KV_RPC_TXN, &txn.base, RPC_INVALID_ARGUMENT,
                 "it is above the cluster's limit transaction_keys");
    txn.n_operations = 1;
    operation.kind = (Strait__KvOperation__Kind)7;
    expect_error(d, KV_RPC_TXN, &txn.base, RPC_INVALID_ARGUMENT, "the transaction makes no sense");
    d->answers = 0;
    rpc_run(d->rpc, &kv_messages.procedures[KV_RPC_PUT], (const uint8_t *)"\x0a\x05", 2, UINT64_MAX,
            answered, d);
    assert_int_equal(d->answers, 1);
    assert_int_equal(d->code, RPC_INTERNAL);
    assert_int_equal(d->standin.txns, 0);
    desk_free(d);
}

static void a_call_that_nobody_waits_for_is_cancelled_below(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    Strait__KvPutRequest put = put_a();
    d->standin.silent = true;
    struct rpc_job *job = begin(d, KV_RPC_PUT, &put.base);
    assert_non_null(job);
    assert_int_equal(d->standin.asks, 1);
    rpc_cancel(job);
    assert_int_equal(d->standin.asks, 0);
    assert_int_equal(d->standin.cancelled, 1);
    begin(d, KV_RPC_PUT, &put.base); /* the end of the dispatcher cancels it too */
    assert_int_equal(d->answers, 0);
    desk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_goes_down_with_its_identity_and_its_time),
        cmocka_unit_test(a_get_tells_value_and_version),
        cmocka_unit_test(a_delete_and_a_transaction_go_down_as_they_are),
        cmocka_unit_test(status_tells_the_cluster_and_the_node),
        cmocka_unit_test(a_refusal_is_told_in_the_reply),
        cmocka_unit_test(a_repetition_is_told_to_have_committed),
        cmocka_unit_test(what_was_not_begun_is_told_from_what_is_undecided),
        cmocka_unit_test(what_the_node_does_not_take_has_not_happened),
        cmocka_unit_test(what_makes_no_sense_does_not_reach_the_node),
        cmocka_unit_test(a_call_that_nobody_waits_for_is_cancelled_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
