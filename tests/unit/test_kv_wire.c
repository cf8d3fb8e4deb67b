/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/wire.h"

static const char file[] = "cluster test\nreplication 2\nkey_bytes 10\nvalue_bytes 20\n"
                           "transaction_keys 3\ntransaction_bytes 40\n"
                           "node 1 10.0.0.1\nnode 2 10.0.0.2\nnode 3 10.0.0.3\n";
static struct kv_cluster cluster;

static int set_up(void **state)
{
    char error[KV_CLUSTER_ERROR_BYTES];
    (void)state;
    return kv_cluster_parse(file, strlen(file), &cluster, error) ? 0 : -1;
}

static struct kv_blob *blob(const char *text)
{
    return kv_blob_new(text, strlen(text));
}

static void assert_blob(const struct kv_blob *b, const char *text)
{
    assert_non_null(b);
    assert_int_equal(b->length, strlen(text));
    assert_memory_equal(b->bytes, text, strlen(text));
}

/* What a delivery was read as. */
struct heard {
    uint32_t count;
    struct kv_message last; /* with references of its own */
    uint64_t refused;
};

static void forget(struct heard *h)
{
    kv_request_release(h->last.request);
    kv_results_release(h->last.results);
    *h = (struct heard){0};
}

static void hear(void *context, const struct kv_message *m)
{
    struct heard *h = context;
    uint32_t count = h->count + 1;
    uint64_t refused = h->refused;
    forget(h);
    *h = (struct heard){count, *m, refused};
    kv_request_hold(m->request);
    kv_results_hold(m->results);
}

static enum kv_wire_fault read_bytes(const struct kv_bytes *b, struct heard *h)
{
    return kv_wire_read(&cluster, 2, b->bytes, b->length, hear, h, &h->refused);
}

/* Sends a message of node 1 to node 2, and returns what is heard. */
static struct heard carry(const struct kv_message *m)
{
    struct kv_bytes b = {0};
    struct heard h = {0};
    assert_true(kv_wire_begin(&b, &cluster, 1, 2));
    assert_true(kv_wire_add(&b, m));
    assert_int_equal(read_bytes(&b, &h), KV_WIRE_SOUND);
    kv_bytes_free(&b);
    assert_int_equal(h.count + h.refused, 1);
    return h;
}

static void assert_refused(const struct kv_message *m)
{
    struct heard h = carry(m);
    assert_int_equal(h.refused, 1);
    forget(&h);
}

/* Of a request with a PUT for nodes 1 and 2, a CHECK for node 3, and a GET for node 2. */
static struct kv_request *three(void)
{
    struct kv_request *r = kv_request_new(3);
    r->client = UINT64_MAX;
    r->sequence = 5;
    r->retired = 4;
    r->epoch = 1;
    r->participants = 7;
    r->operations[0] = (struct kv_operation){KV_PUT, blob("a"), blob("one"), 0, 3};
    r->operations[1] = (struct kv_operation){KV_CHECK, blob("b"), NULL, 9, 4};
    r->operations[2] = (struct kv_operation){KV_GET, blob("c"), NULL, 0, 6};
    return r;
}

static const struct kv_txid of_1 = {1, 2, 3}, of_3 = {3, 1, 1};
static const struct kv_txid of_2 = {2, UINT32_MAX, KV_JOURNAL_SEQUENCE_MAX};
static const struct kv_txid beyond_1 = {1, 1, KV_JOURNAL_SEQUENCE_MAX + 1},
                            beyond_2 = {2, 1, KV_JOURNAL_SEQUENCE_MAX + 1};

static void a_vote_request_carries_the_operations_for_its_receiver(void **state)
{
    struct kv_request *request = three();
    (void)state;
    struct heard h = carry(&(struct kv_message){.kind = KV_VOTE_REQUEST,
                                                .from = 1,
                                                .to = 2,
                                                .txid = of_1,
                                                .mark = {1, 2, 1},
                                                .request = request});
    kv_request_release(request);
    assert_int_equal(h.count, 1);
    assert_int_equal(h.last.kind, KV_VOTE_REQUEST);
    assert_int_equal(h.last.from, 1);
    assert_int_equal(h.last.to, 2);
    assert_true(kv_txid_equal(h.last.txid, of_1));
    assert_true(kv_txid_equal(h.last.mark, (struct kv_txid){1, 2, 1}));
    const struct kv_request *r = h.last.request;
    assert_int_equal(r->client, UINT64_MAX);
    assert_int_equal(r->sequence, 5);
    assert_int_equal(r->retired, 4);
    assert_int_equal(r->epoch, 1);
    assert_int_equal(r->participants, 7);
    assert_int_equal(r->count, 2);
    assert_int_equal(r->operations[0].kind, KV_PUT);
    assert_int_equal(r->operations[0].replicas, 3);
    assert_blob(r->operations[0].key, "a");
    assert_blob(r->operations[0].value, "one");
    assert_int_equal(r->operations[1].kind, KV_GET);
    assert_blob(r->operations[1].key, "c");
    assert_null(r->operations[1].value);
    forget(&h);
}

static void an_empty_value_is_put(void **state)
{
    struct kv_request *request = three();
    (void)state;
    kv_blob_release(request->operations[0].value);
    request->operations[0].value = blob("");
    struct heard h = carry(&(struct kv_message){
        .kind = KV_VOTE_REQUEST, .from = 1, .to = 2, .txid = of_1, .request = request});
    kv_request_release(request);
    assert_int_equal(h.count, 1);
    assert_blob(h.last.request->operations[0].value, "");
    forget(&h);
}

static void a_vote_to_commit_carries_results(void **state)
{
    struct kv_results *results = kv_results_new(2);
    (void)state;
    results->list[0] = (struct kv_result){true, UINT64_MAX, blob("value")};
    results->list[1] = (struct kv_result){false, 7, NULL};
    struct heard h = carry(&(struct kv_message){
        .kind = KV_VOTE_COMMIT, .from = 1, .to = 2, .txid = of_2, .results = results});
    kv_results_release(results);
    assert_int_equal(h.count, 1);
    assert_true(kv_txid_equal(h.last.txid, of_2));
    assert_int_equal(h.last.results->count, 2);
    assert_true(h.last.results->list[0].found);
    assert_int_equal(h.last.results->list[0].version, UINT64_MAX);
    assert_blob(h.last.results->list[0].value, "value");
    assert_false(h.last.results->list[1].found);
    assert_int_equal(h.last.results->list[1].version, 7);
    assert_null(h.last.results->list[1].value);
    forget(&h);
}

static void a_vote_to_abort_carries_its_reason(void **state)
{
    (void)state;
    for (uint32_t reason = KV_REASON_LOCKED; reason <= KV_REASON_MAX; reason++) {
        struct heard h =
            carry(&(struct kv_message){.kind = KV_VOTE_ABORT,
                                       .from = 1,
                                       .to = 2,
                                       .txid = of_2,
                                       .refusal = {(enum kv_reason)reason, 1, 127, of_3}});
        assert_int_equal(h.count, 1);
        assert_int_equal(h.last.refusal.reason, reason);
        assert_int_equal(h.last.refusal.node, 1);
        assert_int_equal(h.last.refusal.operation, 127);
        assert_true(kv_txid_equal(h.last.refusal.holder, of_3));
        assert_null(h.last.results);
        forget(&h);
    }
}

static void the_other_messages_carry_what_they_say(void **state)
{
    const struct kv_message list[] = {
        {.kind = KV_GLOBAL_COMMIT, .txid = of_1, .mark = of_1},
        {.kind = KV_GLOBAL_ABORT, .txid = of_1, .mark = of_1},
        {.kind = KV_ACK, .txid = of_2},
        {.kind = KV_INQUIRE_COORDINATOR, .txid = of_2},
        {.kind = KV_INQUIRE_PARTICIPANT, .txid = of_3, .participants = 6},
        {.kind = KV_ANSWER, .txid = of_3, .answer = KV_PENDING},
        {.kind = KV_ANSWER, .txid = of_3, .answer = KV_UNKNOWN},
        {.kind = KV_MARK, .mark = of_1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct kv_message m = list[i];
        m.from = 1;
        m.to = 2;
        struct heard h = carry(&m);
        assert_int_equal(h.count, 1);
        assert_int_equal(h.last.kind, m.kind);
        assert_true(kv_txid_equal(h.last.txid, m.txid));
        assert_true(kv_txid_equal(h.last.mark, m.mark));
        assert_int_equal(h.last.participants, m.participants);
        assert_int_equal(h.last.answer, m.answer);
        forget(&h);
    }
}

static void a_delivery_keeps_the_order_of_its_messages(void **state)
{
    struct kv_bytes b = {0};
    struct heard h = {0};
    (void)state;
    assert_true(kv_wire_begin(&b, &cluster, 1, 2));
    assert_int_equal(read_bytes(&b, &h), KV_WIRE_SOUND); /* an empty one is one */
    assert_int_equal(h.count, 0);
    for (uint64_t i = 1; i <= 1000; i++)
        assert_true(kv_wire_add(
            &b, &(struct kv_message){.kind = KV_ACK, .from = 1, .to = 2, .txid = {2, 1, i}}));
    assert_int_equal(read_bytes(&b, &h), KV_WIRE_SOUND);
    assert_int_equal(h.count, 1000);
    assert_int_equal(h.last.txid.sequence, 1000);
    forget(&h);
    kv_bytes_free(&b);
}

/* ---- What is refused ---- */

static void a_message_out_of_its_place_is_refused(void **state)
{
    const struct kv_message list[] = {
        {.kind = (enum kv_message_kind)(KV_MARK + 1), .txid = of_1},
        {.kind = KV_GLOBAL_COMMIT}, /* of no transaction */
        {.kind = KV_GLOBAL_COMMIT, .txid = of_2},
        {.kind = KV_GLOBAL_ABORT, .txid = of_3},
        {.kind = KV_GLOBAL_COMMIT, .txid = of_1, .mark = of_2}, /* another's mark */
        {.kind = KV_GLOBAL_COMMIT, .txid = {4, 1, 1}},          /* no member */
        {.kind = KV_ACK, .txid = of_1},
        {.kind = KV_ACK, .txid = {33, 1, 1}},
        {.kind = KV_ACK, .txid = beyond_2}, /* what no journal takes */
        {.kind = KV_GLOBAL_ABORT, .txid = beyond_1},
        {.kind = KV_GLOBAL_ABORT, .txid = of_1, .mark = beyond_1},
        {.kind = KV_INQUIRE_COORDINATOR, .txid = of_3},
        {.kind = KV_INQUIRE_PARTICIPANT, .txid = of_3, .participants = 8},
        {.kind = KV_ANSWER, .txid = of_3, .answer = (enum kv_answer)(KV_UNKNOWN + 1)},
        {.kind = KV_MARK},
        {.kind = KV_VOTE_REQUEST, .txid = of_1}, /* without a request */
        {.kind = KV_VOTE_COMMIT, .txid = of_2},  /* without results */
        {.kind = KV_VOTE_ABORT, .txid = of_2},   /* without a reason */
        {.kind = KV_VOTE_ABORT,
         .txid = of_2,
         .refusal = {(enum kv_reason)(KV_REASON_MAX + 1), 1, 0, of_3}},
        {.kind = KV_VOTE_ABORT, .txid = of_2, .refusal = {KV_REASON_LOCKED, 4, 0, of_3}},
        {.kind = KV_VOTE_ABORT, .txid = of_2, .refusal = {KV_REASON_LOCKED, 1, 128, of_3}},
        {.kind = KV_VOTE_ABORT, .txid = of_2, .refusal = {KV_REASON_LOCKED, 1, 0, {4, 1, 1}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct kv_message m = list[i];
        m.from = 1;
        m.to = 2;
        assert_refused(&m);
    }
}

static void assert_request_refused(struct kv_request *request)
{
    assert_refused(&(struct kv_message){
        .kind = KV_VOTE_REQUEST, .from = 1, .to = 2, .txid = of_1, .request = request});
    kv_request_release(request);
}

static void replace(struct kv_blob **old, const char *text)
{
    kv_blob_release(*old);
    *old = blob(text);
}

static void a_request_above_a_limit_or_without_sense_is_refused(void **state)
{
    struct kv_request *r;
    (void)state;
    replace(&(r = three())->operations[0].key, "eleven lett");
    assert_request_refused(r);
    replace(&(r = three())->operations[0].value, "twenty-one letters ...");
    assert_request_refused(r);
    (r = three())->participants = 15;
    assert_request_refused(r);
    (r = three())->sequence = UINT64_C(1) << 63; /* no column holds it */
    assert_request_refused(r);
    (r = three())->operations[0].replicas = 15;
    assert_request_refused(r);
    (r = three())->operations[0].kind = (enum kv_operation_kind)(KV_CHECK + 1);
    kv_blob_release(r->operations[0].value);
    r->operations[0].value = NULL;
    assert_request_refused(r);
    (r = three())->retired = 6;
    assert_request_refused(r);
    (r = three())->operations[2].kind = KV_DELETE; /* what the first one puts */
    replace(&r->operations[2].key, "a");
    assert_request_refused(r);
    r = kv_request_new(4);
    r->participants = 2;
    for (uint32_t i = 0; i < 4; i++)
        r->operations[i] = (struct kv_operation){KV_GET, blob("a"), NULL, 0, 2};
    assert_request_refused(r);
}

static void results_above_a_limit_are_refused(void **state)
{
    struct kv_results *results = kv_results_new(1);
    (void)state;
    results->list[0].value = blob("twenty-one letters ...");
    assert_refused(&(struct kv_message){
        .kind = KV_VOTE_COMMIT, .from = 1, .to = 2, .txid = of_2, .results = results});
    kv_results_release(results);
}

static enum kv_wire_fault read_from(const char *name, uint32_t from, uint32_t to)
{
    struct kv_cluster other = cluster;
    struct kv_bytes b = {0};
    struct heard h = {0};
    snprintf(other.name, sizeof(other.name), "%s", name);
    assert_true(kv_wire_begin(&b, &other, from, to));
    assert_true(kv_wire_add(
        &b, &(struct kv_message){.kind = KV_ACK, .from = from, .to = to, .txid = of_2}));
    enum kv_wire_fault fault = read_bytes(&b, &h);
    assert_int_equal(h.count, fault == KV_WIRE_SOUND);
    kv_bytes_free(&b);
    forget(&h);
    return fault;
}

static void what_is_not_for_this_node_of_this_cluster_is_foreign(void **state)
{
    (void)state;
    assert_int_equal(read_from("test", 1, 2), KV_WIRE_SOUND);
    assert_int_equal(read_from("tes", 1, 2), KV_WIRE_FOREIGN);
    assert_int_equal(read_from("", 1, 2), KV_WIRE_FOREIGN);
    assert_int_equal(read_from("test", 1, 3), KV_WIRE_FOREIGN);
    assert_int_equal(read_from("test", 4, 2), KV_WIRE_FOREIGN);
    assert_int_equal(read_from("test", 0, 2), KV_WIRE_FOREIGN);
    assert_int_equal(read_from("test", 2, 2), KV_WIRE_FOREIGN);
}

static void a_node_with_another_file_of_the_cluster_is_told_apart(void **state)
{
    struct kv_cluster mine = cluster;
    struct kv_bytes b = {0};
    struct heard h = {0};
    struct kv_forward f = {.from = 1, .request = three()}, got;
    (void)state;
    assert_true(kv_wire_begin(&b, &cluster, 1, 2));
    mine.digest++;
    assert_int_equal(kv_wire_read(&mine, 2, b.bytes, b.length, hear, &h, &h.refused),
                     KV_WIRE_OTHER_FILE);
    kv_bytes_free(&b);
    assert_true(kv_wire_add_forward(&b, &cluster, 2, &f));
    assert_int_equal(kv_wire_read_forward(&mine, 2, b.bytes, b.length, &got), KV_WIRE_OTHER_FILE);
    kv_request_release(f.request);
    kv_bytes_free(&b);
}

/* ---- Requests that are passed on ---- */

static void a_request_is_passed_on_whole(void **state)
{
    struct kv_bytes b = {0};
    struct kv_forward f = {.from = 1, .request = three(), .timeout_ms = 1234}, got;
    (void)state;
    assert_true(kv_wire_add_forward(&b, &cluster, 2, &f));
    kv_request_release(f.request);
    assert_int_equal(kv_wire_read_forward(&cluster, 2, b.bytes, b.length, &got), KV_WIRE_SOUND);
    assert_int_equal(got.from, 1);
    assert_int_equal(got.timeout_ms, 1234);
    assert_null(got.key);
    assert_int_equal(got.request->count, 3);
    assert_int_equal(got.request->client, UINT64_MAX);
    assert_int_equal(got.request->retired, 4);
    assert_int_equal(got.request->operations[1].version, 9);
    kv_request_release(got.request);
    assert_int_equal(kv_wire_read_forward(&cluster, 3, b.bytes, b.length, &got), KV_WIRE_FOREIGN);
    kv_bytes_free(&b);

    f = (struct kv_forward){.from = 1, .key = blob("key"), .stale = true};
    assert_true(kv_wire_add_forward(&b, &cluster, 2, &f));
    kv_blob_release(f.key);
    assert_int_equal(kv_wire_read_forward(&cluster, 2, b.bytes, b.length, &got), KV_WIRE_SOUND);
    assert_true(got.stale);
    assert_blob(got.key, "key");
    kv_blob_release(got.key);
    kv_bytes_free(&b);
}

static void an_answer_comes_back_as_it_was(void **state)
{
    struct kv_result one = {true, 3, blob("one")};
    struct kv_outcome outcome = {.end = KV_COMMITTED_NOW,
                                 .txid = of_1,
                                 .refusal = {KV_REASON_ALREADY, 3, 0, of_3},
                                 .count = 2,
                                 .results = {&one, NULL}};
    struct kv_bytes b = {0};
    struct kv_answer_read a;
    (void)state;
    assert_true(kv_wire_add_txn_reply(&b, &outcome));
    assert_false(kv_wire_read_txn_reply(&cluster, b.bytes, b.length, 3, &a)); /* too few */
    assert_true(kv_wire_read_txn_reply(&cluster, b.bytes, b.length, 2, &a));
    assert_true(a.committed && a.known[0] && !a.known[1]);
    assert_true(kv_txid_equal(a.txid, of_1));
    assert_int_equal(a.refusal.reason, KV_REASON_ALREADY);
    assert_true(kv_txid_equal(a.refusal.holder, of_3));
    assert_blob(a.results->list[0].value, "one");
    kv_results_release(a.results);
    kv_bytes_free(&b);

    struct kv_blob *key = blob("key");
    outcome = (struct kv_outcome){
        .end = KV_REFUSED, .refusal = {KV_REASON_LOCKED, 3, 0, of_3}, .key = key, .count = 1};
    assert_true(kv_wire_add_txn_reply(&b, &outcome));
    assert_true(kv_wire_read_txn_reply(&cluster, b.bytes, b.length, 1, &a));
    assert_false(a.committed);
    assert_int_equal(a.refusal.node, 3);
    assert_blob(a.key, "key");
    kv_blob_release(a.key);
    kv_bytes_free(&b);
    assert_true(kv_wire_add_get_reply(&b, &outcome));
    assert_true(kv_wire_read_get_reply(&cluster, b.bytes, b.length, &a));
    assert_false(a.committed);
    assert_int_equal(a.refusal.reason, KV_REASON_LOCKED);
    kv_blob_release(a.key);
    kv_blob_release(key);
    kv_bytes_free(&b);

    outcome = (struct kv_outcome){.end = KV_COMMITTED_NOW, .count = 1, .results = {&one}};
    assert_true(kv_wire_add_get_reply(&b, &outcome));
    assert_true(kv_wire_read_get_reply(&cluster, b.bytes, b.length, &a));
    assert_true(a.committed);
    assert_int_equal(a.results->list[0].version, 3);
    kv_results_release(a.results);
    kv_bytes_free(&b);
    kv_blob_release(one.value);
}

static void an_answer_without_sense_is_none(void **state)
{
    struct kv_bytes b = {0};
    struct kv_answer_read a;
    struct kv_outcome outcome = {.end = KV_REFUSED, .count = 1};
    (void)state;
    assert_true(kv_wire_add_txn_reply(&b, &outcome)); /* neither committed nor refused */
    assert_false(kv_wire_read_txn_reply(&cluster, b.bytes, b.length, 1, &a));
    kv_bytes_free(&b);
    outcome.refusal.reason = KV_REASON_LOCKED;
    outcome.refusal.node = 4;
    assert_true(kv_wire_add_txn_reply(&b, &outcome));
    assert_false(kv_wire_read_txn_reply(&cluster, b.bytes, b.length, 1, &a));
    kv_bytes_free(&b);
}

/* ---- Bytes that are cut or changed ---- */

static void read_as_everything(const uint8_t *bytes, size_t length)
{
    struct heard h = {0};
    struct kv_forward f;
    struct kv_answer_read a;
    kv_wire_read(&cluster, 2, bytes, length, hear, &h, &h.refused);
    forget(&h);
    if (kv_wire_read_forward(&cluster, 2, bytes, length, &f) == KV_WIRE_SOUND) {
        kv_request_release(f.request);
        kv_blob_release(f.key);
    }
    for (int get = 0; get <= 1; get++) {
        if (!(get ? kv_wire_read_get_reply(&cluster, bytes, length, &a)
                  : kv_wire_read_txn_reply(&cluster, bytes, length, 1, &a)))
            continue;
        kv_results_release(a.results);
        kv_blob_release(a.key);
    }
}

static void bytes_that_are_cut_or_changed_do_no_harm(void **state)
{
    struct kv_request *request = three();
    struct kv_bytes b = {0};
    (void)state;
    assert_true(kv_wire_begin(&b, &cluster, 1, 2));
    for (int i = 0; i < 2; i++)
        assert_true(kv_wire_add(&b, &(struct kv_message){.kind = KV_VOTE_REQUEST,
                                                         .from = 1,
                                                         .to = 2,
                                                         .txid = of_1,
                                                         .mark = of_1,
                                                         .request = request}));
    kv_request_release(request);
    for (size_t length = 0; length <= b.length; length++) {
        uint8_t *copy = malloc(length + 1); /* so that a sanitizer sees what is read beyond */
        memcpy(copy, b.bytes, length);
        read_as_everything(copy, length);
        for (unsigned bit = 0; length > 0 && bit < 8; bit++) {
            copy[length - 1] ^= (uint8_t)(1u << bit);
            read_as_everything(copy, length);
            copy[length - 1] ^= (uint8_t)(1u << bit);
        }
        free(copy);
    }
    for (size_t at = 0; at < b.length; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.bytes[at] ^= (uint8_t)(1u << bit);
            read_as_everything(b.bytes, b.length);
            b.bytes[at] ^= (uint8_t)(1u << bit);
        }
    }
    kv_bytes_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vote_request_carries_the_operations_for_its_receiver),
        cmocka_unit_test(an_empty_value_is_put),
        cmocka_unit_test(a_vote_to_commit_carries_results),
        cmocka_unit_test(a_vote_to_abort_carries_its_reason),
        cmocka_unit_test(the_other_messages_carry_what_they_say),
        cmocka_unit_test(a_delivery_keeps_the_order_of_its_messages),
        cmocka_unit_test(a_message_out_of_its_place_is_refused),
        cmocka_unit_test(a_request_above_a_limit_or_without_sense_is_refused),
        cmocka_unit_test(results_above_a_limit_are_refused),
        cmocka_unit_test(what_is_not_for_this_node_of_this_cluster_is_foreign),
        cmocka_unit_test(a_node_with_another_file_of_the_cluster_is_told_apart),
        cmocka_unit_test(a_request_is_passed_on_whole),
        cmocka_unit_test(an_answer_comes_back_as_it_was),
        cmocka_unit_test(an_answer_without_sense_is_none),
        cmocka_unit_test(bytes_that_are_cut_or_changed_do_no_harm),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
