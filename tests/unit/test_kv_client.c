/* SPDX-License-Identifier: MIT */
/* The client of the key-value store: what it tries again, and what it says in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/client.h"
#include "offer.h"
#include "pair.h"
#include "standin.h"

#define NOBODY_PORT 7999 /* where no node is */

static const struct rpc_messages *const services[] = {&kv_messages, &health_messages, NULL};

struct desk {
    struct pair *pair;
    struct standin standin;
    struct offer offer;
    struct stream_host server, host;
    struct sockaddr_in nodes[2];
    struct kv_client *client;
    /* What was told last. */
    int told;
    enum kv_client_end end;
    unsigned attempts;
    char text[KV_CLIENT_TEXT_BYTES];
    uint64_t version;
};

/* A client of two nodes, of which both are one; or (`absent`) the first is not there. */
static struct desk *desk_new(bool absent)
{
    struct desk *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    d->pair = pair_new(&(struct pair_config){0});
    struct strait_env *env = pair_env(d->pair);
    struct kv_node *node = standin_new(&d->standin, env);
    d->server = stream_host_strait(pair_stack(d->pair, 1), env);
    d->host = stream_host_strait(pair_stack(d->pair, 0), env);
    assert_int_equal(offer_open(&d->offer, env, services), 0);
    assert_int_equal(kv_serve(d->offer.rpc, node), 0);
    assert_int_equal(offer_grpc(&d->offer, &d->server, KV_PORT), 0);
    d->nodes[0] = pair_address(1, absent ? NOBODY_PORT : KV_PORT);
    d->nodes[1] = pair_address(1, KV_PORT);
    d->client = kv_client_new(
        &(struct kv_client_config){.host = d->host, .nodes = d->nodes, .node_count = 2});
    assert_non_null(d->client);
    return d;
}

static void desk_free(struct desk *d)
{
    kv_client_free(d->client);
    pair_run(d->pair, 10 * PAIR_S);
    offer_free(&d->offer);
    standin_free(&d->standin);
    pair_run(d->pair, 200 * PAIR_S);
    assert_true(strait_memory(pair_stack(d->pair, 0)) == 0);
    pair_free(d->pair);
    free(d);
}

static void told(void *context, const struct kv_client_reply *reply)
{
    struct desk *d = context;
    d->told++;
    d->end = reply->end;
    d->attempts = reply->attempts;
    snprintf(d->text, sizeof(d->text), "%s", reply->text);
    assert_int_equal(reply->end == KV_CLIENT_DONE, reply->message != NULL);
    if (reply->message && reply->message->descriptor == &strait__kv_write_reply__descriptor)
        d->version = ((const Strait__KvWriteReply *)reply->message)->version;
}

static void begin(struct desk *d, uint64_t timeout_ns)
{
    struct strait_env *env = pair_env(d->pair);
    Strait__KvPutRequest put = STRAIT__KV_PUT_REQUEST__INIT;
    put.key = (ProtobufCBinaryData){1, (uint8_t *)(uintptr_t) "a"};
    d->told = 0;
    assert_non_null(
        kv_client_call(d->client, KV_RPC_PUT, &put.base, env->now(env) + timeout_ns, told, d));
    assert_null(put.identity);
}

static bool is_told(void *context)
{
    return ((struct desk *)context)->told > 0;
}

/* A write, with time for it, ends so after so many attempts; 0: after several. */
static void expect(struct desk *d, uint64_t timeout_ns, enum kv_client_end end, unsigned attempts)
{
    begin(d, timeout_ns);
    pair_until(d->pair, is_told, d);
    assert_int_equal(d->told, 1);
    assert_int_equal(d->end, end);
    if (attempts > 0)
        assert_int_equal(d->attempts, attempts);
    else
        assert_true(d->attempts > 1);
}

static void a_write_has_an_identity_of_its_own(void **state)
{
    (void)state;
    struct desk *d = desk_new(false);
    d->standin.results[0].version = 5;
    expect(d, RPC_S, KV_CLIENT_DONE, 1);
    assert_int_equal(d->version, 5);
    uint64_t client = d->standin.request->client;
    assert_true(client != 0);
    assert_int_equal(d->standin.request->sequence, 1);
    assert_int_equal(d->standin.request->retired, 1);
    expect(d, RPC_S, KV_CLIENT_DONE, 1);
    assert_true(d->standin.request->client == client);
    assert_int_equal(d->standin.request->sequence, 2);
    assert_int_equal(d->standin.request->retired, 2);
    desk_free(d);
}

static void the_lowest_is_what_is_still_asked_for(void **state)
{
    (void)state;
    struct desk *d = desk_new(false);
    d->standin.silent = true;
    begin(d, 5 * RPC_S);
    pair_run(d->pair, 100 * PAIR_MS);
    d->standin.silent = false;
    begin(d, RPC_S);
    pair_run(d->pair, 100 * PAIR_MS);
    assert_int_equal(d->told, 1);
    assert_int_equal(d->standin.request->sequence, 2);
    assert_int_equal(d->standin.request->retired, 1);
    desk_free(d);
}

static void a_passing_refusal_is_tried_again_with_the_same_identity(void **state)
{
    (void)state;
    struct desk *d = desk_new(false);
    d->standin.outcome =
        (struct kv_outcome){.end = KV_REFUSED, .refusal = {.reason = KV_REASON_LOCKED, .node = 1}};
    d->standin.change_after = 3;
    d->standin.then = (struct kv_outcome){.end = KV_COMMITTED_NOW};
    expect(d, 5 * RPC_S, KV_CLIENT_DONE, 4);
    assert_int_equal(d->standin.txns, 4);
    assert_int_equal(d->standin.request->sequence, 1);
    desk_free(d);
}

static void it_fails_when_every_attempt_has(void **state)
{
    (void)state;
    struct desk *d = desk_new(false);
    d->standin.outcome = (struct kv_outcome){
        .end = KV_REFUSED, .refusal = {.reason = KV_REASON_LOCKED, .node = 2, .holder = {2, 3, 4}}};
    expect(d, RPC_S, KV_CLIENT_FAILED, 0);
    assert_non_null(strstr(d->text, "locked: "));
    assert_non_null(strstr(d->text, "held by 2.3.4, at node 2, key a"));
    d->standin.outcome = (struct kv_outcome){.end = KV_UNREACHABLE, .node = 2};
    expect(d, RPC_S, KV_CLIENT_FAILED, 0);
    assert_non_null(strstr(d->text, "unreachable: "));
    desk_free(d);
}

/* An attempt that nobody has time to answer would make unknown what is known. */
static void what_was_refused_is_not_tried_again_at_the_last_moment(void **state)
{
    (void)state;
    struct desk *d = desk_new(false);
    d->standin.outcome =
        (struct kv_outcome){.end = KV_REFUSED, .refusal = {.reason = KV_REASON_LOCKED}};
    begin(d, 4 * RPC_S);
    pair_run(d->pair, 500 * PAIR_MS);
    assert_int_equal(d->told, 0);
    pair_run(d->pair, 3000 * PAIR_MS);
    d->standin.silent = true;
    pair_until(d->pair, is_told, d);
    assert_int_equal(d->end, KV_CLIENT_FAILED);
    d->standin.silent = false;
    desk_free(d);
}

static void what_would_be_refused_again_is_not_tried_again(void **state)
{
    (void)state;
    static const enum kv_reason reasons[] = {KV_REASON_CONDITION, KV_REASON_RETIRED,
                                             KV_REASON_DAMAGED, KV_REASON_INVALID, KV_REASON_LARGE};
    struct desk *d = desk_new(false);
    d->standin.outcome.end = KV_REFUSED;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        d->standin.outcome.refusal.reason = reasons[i];
        expect(d, RPC_S, KV_CLIENT_FAILED, 1);
    }
    d->standin.refuse = EMSGSIZE;
    expect(d, RPC_S, KV_CLIENT_FAILED, 1);
    assert_non_null(strstr(d->text, "the cluster's limit"));
    d->standin.refuse = EAGAIN;
    expect(d, RPC_S, KV_CLIENT_FAILED, 0);
    desk_free(d);
}

/* One attempt that may have committed is enough: the others' failures say nothing of it. */
static void one_undecided_attempt_makes_the_outcome_unknown(void **state)
{
    (void)state;
    struct desk *d = desk_new(false);
    d->standin.outcome = (struct kv_outcome){.end = KV_UNDECIDED, .node = 2};
    d->standin.change_after = 1;
    d->standin.then =
        (struct kv_outcome){.end = KV_REFUSED, .refusal = {.reason = KV_REASON_CONDITION}};
    expect(d, RPC_S, KV_CLIENT_UNKNOWN, 2);
    d->standin.outcome = (struct kv_outcome){.end = KV_UNDECIDED, .node = 2};
    d->standin.change_after = 1;
    d->standin.then = (struct kv_outcome){
        .end = KV_COMMITTED_NOW, .refusal = {.reason = KV_REASON_ALREADY, .holder = {1, 1, 1}}};
    expect(d, RPC_S, KV_CLIENT_DONE, 2);
    desk_free(d);
}

static void a_silent_node_leaves_time_for_another_one(void **state)
{
    (void)state;
    struct desk *d = desk_new(false);
    d->standin.silent = true;
    begin(d, 4 * RPC_S);
    pair_run(d->pair, PAIR_S);
    assert_int_equal(d->told, 0);
    assert_int_equal(d->standin.asks, 1);
    d->standin.silent = false; /* the next one is not */
    pair_until(d->pair, is_told, d);
    assert_int_equal(d->end, KV_CLIENT_DONE);
    assert_int_equal(d->attempts, 2);
    assert_int_equal(d->standin.cancelled, 1);
    d->standin.silent = true;
    expect(d, RPC_S, KV_CLIENT_UNKNOWN, 0);
    d->standin.silent = false;
    desk_free(d);
}

static void a_node_that_is_not_there_is_passed_over_from_then_on(void **state)
{
    (void)state;
    struct desk *d = desk_new(true);
    expect(d, 5 * RPC_S, KV_CLIENT_DONE, 2);
    expect(d, 5 * RPC_S, KV_CLIENT_DONE, 1);
    desk_free(d);
}

static void without_any_node_it_fails(void **state)
{
    (void)state;
    struct desk *d = desk_new(true);
    d->nodes[1] = d->nodes[0];
    kv_client_free(d->client);
    d->client = kv_client_new(
        &(struct kv_client_config){.host = d->host, .nodes = d->nodes, .node_count = 2});
    expect(d, RPC_S, KV_CLIENT_FAILED, 0);
    assert_non_null(strstr(d->text, "10.0.0.2: unavailable"));
    desk_free(d);
}

/* A read has no effect: when it fails, nothing has happened. */
static void a_read_is_never_unknown(void **state)
{
    (void)state;
    struct desk *d = desk_new(false);
    struct strait_env *env = pair_env(d->pair);
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    get.key = (ProtobufCBinaryData){1, (uint8_t *)(uintptr_t) "a"};
    d->standin.outcome = (struct kv_outcome){.end = KV_UNDECIDED};
    assert_non_null(
        kv_client_call(d->client, KV_RPC_GET, &get.base, env->now(env) + RPC_S, told, d));
    pair_until(d->pair, is_told, d);
    assert_int_equal(d->end, KV_CLIENT_FAILED);
    d->standin.outcome = (struct kv_outcome){.end = KV_COMMITTED_NOW};
    d->told = 0;
    kv_client_call(d->client, KV_RPC_GET, &get.base, env->now(env) + RPC_S, told, d);
    pair_until(d->pair, is_told, d);
    assert_int_equal(d->end, KV_CLIENT_DONE);
    desk_free(d);
}

/* What has been carried out is not said to have failed, only because its reply is not taken. */
static void a_reply_that_is_too_long_leaves_a_write_unknown_and_a_read_failed(void **state)
{
    (void)state;
    struct desk *d = desk_new(false);
    const struct kv_client_config config = {
        .host = d->host, .nodes = d->nodes, .node_count = 2, .message_max = 100};
    struct strait_env *env = pair_env(d->pair);
    Strait__KvGetRequest get = STRAIT__KV_GET_REQUEST__INIT;
    Strait__KvOperation operation = STRAIT__KV_OPERATION__INIT;
    Strait__KvTxnRequest txn = STRAIT__KV_TXN_REQUEST__INIT;
    struct kv_blob *value = kv_blob_new(d->text, sizeof(d->text));
    kv_client_free(d->client);
    d->client = kv_client_new(&config);
    d->standin.results[0] = (struct kv_result){.found = true, .version = 1, .value = value};
    get.key = operation.key = (ProtobufCBinaryData){1, (uint8_t *)(uintptr_t) "a"};
    operation.kind = STRAIT__KV_OPERATION__KIND__GET;
    txn.operations = &(Strait__KvOperation *){&operation};
    txn.n_operations = 1;
    kv_client_call(d->client, KV_RPC_TXN, &txn.base, env->now(env) + RPC_S, told, d);
    pair_until(d->pair, is_told, d);
    assert_int_equal(d->end, KV_CLIENT_UNKNOWN);
    assert_int_equal(d->attempts, 1);
    d->told = 0;
    kv_client_call(d->client, KV_RPC_GET, &get.base, env->now(env) + RPC_S, told, d);
    pair_until(d->pair, is_told, d);
    assert_int_equal(d->end, KV_CLIENT_FAILED);
    assert_int_equal(d->attempts, 1);
    kv_blob_release(value);
    desk_free(d);
}

static void calls_have_a_bound(void **state)
{
    (void)state;
    struct desk *d = desk_new(false);
    struct strait_env *env = pair_env(d->pair);
    for (int i = 0; i < KV_CLIENT_CALLS_MAX; i++)
        begin(d, RPC_S);
    Strait__KvPutRequest put = STRAIT__KV_PUT_REQUEST__INIT;
    assert_null(kv_client_call(d->client, KV_RPC_PUT, &put.base, env->now(env) + RPC_S, told, d));
    assert_int_equal(errno, EAGAIN);
    desk_free(d); /* which ends them untold */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_has_an_identity_of_its_own),
        cmocka_unit_test(the_lowest_is_what_is_still_asked_for),
        cmocka_unit_test(a_passing_refusal_is_tried_again_with_the_same_identity),
        cmocka_unit_test(it_fails_when_every_attempt_has),
        cmocka_unit_test(what_was_refused_is_not_tried_again_at_the_last_moment),
        cmocka_unit_test(what_would_be_refused_again_is_not_tried_again),
        cmocka_unit_test(one_undecided_attempt_makes_the_outcome_unknown),
        cmocka_unit_test(a_silent_node_leaves_time_for_another_one),
        cmocka_unit_test(a_node_that_is_not_there_is_passed_over_from_then_on),
        cmocka_unit_test(without_any_node_it_fails),
        cmocka_unit_test(a_read_is_never_unknown),
        cmocka_unit_test(a_reply_that_is_too_long_leaves_a_write_unknown_and_a_read_failed),
        cmocka_unit_test(calls_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
