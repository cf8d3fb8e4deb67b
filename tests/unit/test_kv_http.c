/* SPDX-License-Identifier: MIT */
/* The key-value store by HTTP: what a request asks of a node, and how each outcome is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shop.h"

static bool key_is(const struct kv_operation *o, const char *key)
{
    return o->key->length == strlen(key) && memcmp(o->key->bytes, key, o->key->length) == 0;
}

/* ---- Reads ---- */

static void a_get_answers_the_bare_value_and_its_version(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    struct kv_blob *value = kv_blob_new("hello", 5);
    s->standin.results[0] = (struct kv_result){.found = true, .version = 3, .value = value};
    assert_string_equal(shop_ask(s, "GET /kv/a%2fb%20c", "", "", 200), "hello");
    shop_expect_field(s, "ETag: \"3\"\r\n");
    shop_expect_field(s, "Content-Type: application/octet-stream\r\n");
    shop_expect_field(s, "Content-Length: 5\r\n");
    assert_string_equal(s->standin.key, "a/b c");
    assert_false(s->standin.stale);
    assert_string_equal(shop_ask(s, "GET /kv/a/b?stale=ok", "", "", 200), "hello");
    assert_string_equal(s->standin.key, "a/b");
    assert_true(s->standin.stale);
    assert_string_equal(shop_ask(s, "HEAD /kv/a", "", "", 200), "");
    shop_expect_field(s, "Content-Length: 5\r\n");
    kv_blob_release(value);
    shop_free(s);
}

static void a_key_that_is_not_there_is_404(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    s->standin.results[0] = (struct kv_result){.version = 9};
    assert_string_equal(shop_ask(s, "GET /kv/a", "", "", 404), "{\"found\":false,\"version\":9}");
    shop_expect_no_field(s, "ETag");
    shop_free(s);
}

static void conditions_of_a_get_hold_its_version_rfc9110_13(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    struct kv_blob *value = kv_blob_new("x", 1);
    s->standin.results[0] = (struct kv_result){.found = true, .version = 3, .value = value};
    assert_string_equal(shop_ask(s, "GET /kv/a", "If-None-Match: \"3\"\r\n", "", 304), "");
    shop_expect_field(s, "ETag: \"3\"\r\n");
    assert_string_equal(shop_ask(s, "GET /kv/a", "If-None-Match: \"2\"\r\n", "", 200), "x");
    shop_ask(s, "GET /kv/a", "If-Match: \"2\"\r\n", "", 412);
    assert_string_equal(shop_ask(s, "GET /kv/a", "If-Match: \"3\"\r\n", "", 200), "x");
    /* There is no date of a change: conditions on dates are passed over. */
    shop_ask(s, "GET /kv/a", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "", 200);
    shop_ask(s, "GET /kv/a", "If-Unmodified-Since: Sun, 06 Nov 1993 08:49:37 GMT\r\n", "", 200);
    kv_blob_release(value);
    shop_free(s);
}

/* ---- Writes ---- */

static void a_put_is_a_transaction_of_one_key(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    s->standin.outcome.txid = (struct kv_txid){1, 4, 7};
    s->standin.results[0] = (struct kv_result){.found = true, .version = 4};
    assert_string_equal(shop_ask(s, "PUT /kv/a%00", "", "value", 200),
                        "{\"version\":4,\"txid\":\"1.4.7\"}");
    shop_expect_field(s, "ETag: \"4\"\r\n");
    const struct kv_request *r = s->standin.request;
    assert_int_equal(r->count, 1);
    assert_int_equal(r->client, 0);
    assert_int_equal(r->operations[0].kind, KV_PUT);
    assert_int_equal(r->operations[0].key->length, 2);
    assert_int_equal(r->operations[0].value->length, 5);
    assert_memory_equal(r->operations[0].value->bytes, "value", 5);
    assert_true(s->standin.deadline_ns >= KV_DEADLINE_NS);
    shop_ask(s, "PUT /kv/a", "", "", 200);
    assert_int_equal(s->standin.request->operations[0].value->length, 0);
    shop_free(s);
}

static void a_delete_tells_whether_there_was_a_value(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    s->standin.results[0] = (struct kv_result){.found = true, .version = 5};
    assert_string_equal(shop_ask(s, "DELETE /kv/a", "", "", 200), "{\"version\":5}");
    assert_int_equal(s->standin.request->operations[0].kind, KV_DELETE);
    s->standin.results[0].found = false;
    assert_string_equal(shop_ask(s, "DELETE /kv/a", "", "", 404),
                        "{\"version\":5,\"found\":false}");
    shop_free(s);
}

static void a_write_may_depend_on_the_version(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    s->standin.results[1] = (struct kv_result){.found = true, .version = 8};
    assert_string_equal(shop_ask(s, "PUT /kv/a", "If-Match: \"7\"\r\n", "x", 200),
                        "{\"version\":8}");
    const struct kv_request *r = s->standin.request;
    assert_int_equal(r->count, 2);
    assert_int_equal(r->operations[0].kind, KV_CHECK);
    assert_int_equal(r->operations[0].version, 7);
    assert_int_equal(r->operations[1].kind, KV_PUT);
    shop_ask(s, "PUT /kv/a", "If-None-Match: *\r\n", "x", 200);
    assert_int_equal(s->standin.request->operations[0].version, 0);
    s->standin.outcome = (struct kv_outcome){.end = KV_REFUSED,
                                             .refusal = {.reason = KV_REASON_CONDITION, .node = 2}};
    assert_non_null(strstr(shop_ask(s, "DELETE /kv/a", "If-Match: \"7\"\r\n", "", 412),
                           "\"reason\":\"condition\",\"key\":\"a\",\"node\":2"));
    int before = s->standin.txns;
    /* Comparison is strong (RFC 9110 13.1.1), of tags that are no numbers to it. */
    shop_ask(s, "PUT /kv/a", "If-Match: \"x\"\r\n", "x", 412);
    shop_ask(s, "PUT /kv/a", "If-Match: \"\"\r\n", "x", 412);
    shop_ask(s, "PUT /kv/a", "If-Match: \"0\"\r\n", "x", 412);
    shop_ask(s, "PUT /kv/a", "If-Match: \"07\"\r\n", "x", 412);
    shop_ask(s, "PUT /kv/a", "If-Match: \"18446744073709551616\"\r\n", "x", 412);
    shop_ask(s, "PUT /kv/a", "If-Match: W/\"1\"\r\n", "x", 412);
    assert_int_equal(s->standin.txns, before);
    shop_free(s);
}

static void a_condition_that_is_not_understood_is_not_passed_over(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "If-Match: *\r\n",
        "If-Match: \"1\", \"2\"\r\n",
        "If-Match: \"1\"\r\nIf-Match: \"2\"\r\n",
        "If-Match: 1\r\n",
        "If-Match: \"1\r\n",
        "If-Match: \"\r\n",
        "If-Match:\r\n",
        "If-None-Match: \"1\"\r\n",
        "If-None-Match: *\r\nIf-None-Match: *\r\n",
        "If-Match: \"1\"\r\nIf-None-Match: *\r\n",
    };
    struct shop *s = shop_new();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        shop_ask(s, "PUT /kv/a", wrong[i], "x", 400);
        shop_ask(s, "DELETE /kv/a", wrong[i], "", 400);
    }
    assert_int_equal(s->standin.txns, 0);
    shop_free(s);
}

static void a_repetition_is_known_by_its_fields(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    s->standin.outcome.refusal =
        (struct kv_refusal){.reason = KV_REASON_ALREADY, .holder = {2, 3, 4}};
    s->standin.unknown[0] = true;
    assert_string_equal(
        shop_ask(
            s, "PUT /kv/a",
            "Strait-Client: 18446744073709551615\r\nStrait-Sequence: 9\r\nStrait-Lowest: 8\r\n",
            "x", 200),
        "{\"already\":true,\"txid\":\"2.3.4\"}");
    shop_expect_no_field(s, "ETag");
    assert_true(s->standin.request->client == UINT64_MAX);
    assert_int_equal(s->standin.request->sequence, 9);
    assert_int_equal(s->standin.request->retired, 8);
    static const char *const wrong[] = {
        "Strait-Client: 5\r\n",
        "Strait-Sequence: 5\r\n",
        "Strait-Client: x\r\nStrait-Sequence: 1\r\n",
        "Strait-Client: 18446744073709551616\r\nStrait-Sequence: 1\r\n",
        "Strait-Client: 5\r\nStrait-Client: 6\r\nStrait-Sequence: 1\r\n",
        "Strait-Client: 5\r\nStrait-Sequence: 1\r\nStrait-Lowest: 2\r\n",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        shop_ask(s, "PUT /kv/a", wrong[i], "x", 400);
    assert_int_equal(s->standin.txns, 1);
    shop_free(s);
}

/* ---- Outcomes ---- */

static void each_refusal_has_its_status(void **state)
{
    (void)state;
    static const struct {
        enum kv_reason reason;
        int status;
        const char *word;
    } reasons[] = {
        {KV_REASON_LOCKED, 409, "locked"},   {KV_REASON_CONDITION, 409, "condition"},
        {KV_REASON_RETIRED, 409, "retired"}, {KV_REASON_EPOCH, 503, "epoch"},
        {KV_REASON_ABORTED, 503, "aborted"}, {KV_REASON_BUSY, 503, "busy"},
        {KV_REASON_DAMAGED, 503, "damaged"}, {KV_REASON_INVALID, 400, "invalid"},
        {KV_REASON_TIMEOUT, 503, "timeout"}, {KV_REASON_RESTARTED, 503, "restarted"},
        {KV_REASON_LARGE, 413, "large"},
    };
    struct shop *s = shop_new();
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        char member[64];
        s->standin.outcome =
            (struct kv_outcome){.end = KV_REFUSED, .refusal = {.reason = reasons[i].reason}};
        snprintf(member, sizeof(member), "\"outcome\":\"failed\",\"reason\":\"%s\"",
                 reasons[i].word);
        const char *body = shop_ask(s, "PUT /kv/a", "", "x", reasons[i].status);
        if (!strstr(body, member))
            fail_msg("%s is not in %s", member, body);
        assert_non_null(
            strstr(shop_ask(s, "POST /txn", "", "{\"get\":[\"a\"]}", reasons[i].status), member));
    }
    shop_free(s);
}

static void a_conflict_names_key_and_holder(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    s->standin.outcome = (struct kv_outcome){
        .end = KV_REFUSED,
        .refusal = {.reason = KV_REASON_LOCKED, .node = 2, .holder = {2, 1, 44}}};
    assert_non_null(strstr(shop_ask(s, "PUT /kv/a", "", "x", 409),
                           "\"reason\":\"locked\",\"key\":\"a\",\"holder\":\"2.1.44\",\"node\":2"));
    assert_non_null(strstr(shop_ask(s, "PUT /kv/%ff", "", "x", 409), "\"key_base64\":\"/w==\""));
    shop_free(s);
}

static void a_read_that_a_lock_has_held_up_is_503_with_the_holder(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    s->standin.outcome = (struct kv_outcome){
        .end = KV_REFUSED,
        .refusal = {.reason = KV_REASON_LOCKED, .node = 2, .holder = {2, 1, 44}}};
    assert_non_null(strstr(shop_ask(s, "GET /kv/a", "", "", 503),
                           "\"reason\":\"locked\",\"key\":\"a\",\"holder\":\"2.1.44\",\"node\":2"));
    shop_ask(s, "HEAD /kv/a", "", "", 503);
    shop_free(s);
}

static void what_cannot_be_reached_is_503_with_the_node(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    s->standin.outcome = (struct kv_outcome){.end = KV_UNREACHABLE, .node = 2};
    assert_non_null(strstr(shop_ask(s, "PUT /kv/a", "", "x", 503),
                           "\"outcome\":\"failed\",\"reason\":\"unreachable\",\"node\":2"));
    assert_non_null(strstr(shop_ask(s, "GET /kv/a", "", "", 503), "\"reason\":\"unreachable\""));
    s->standin.outcome = (struct kv_outcome){.end = KV_UNDECIDED, .node = 2, .txid = {1, 4, 9}};
    assert_non_null(strstr(shop_ask(s, "PUT /kv/a", "", "x", 503),
                           "\"outcome\":\"unknown\",\"reason\":\"undecided\",\"node\":2,"
                           "\"txid\":\"1.4.9\""));
    assert_non_null(strstr(shop_ask(s, "POST /txn", "", "{\"delete\":[\"a\"]}", 503),
                           "\"outcome\":\"unknown\""));
    shop_free(s);
}

static void what_the_node_does_not_take_is_answered_at_once(void **state)
{
    (void)state;
    static const struct {
        int error, status;
        const char *word;
    } errors[] = {{EMSGSIZE, 413, "large"},
                  {EINVAL, 400, "invalid"},
                  {EAGAIN, 503, "busy"},
                  {ESHUTDOWN, 503, "stopping"},
                  {ENOMEM, 503, "memory"}};
    struct shop *s = shop_new();
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        s->standin.refuse = errors[i].error;
        assert_non_null(
            strstr(shop_ask(s, "PUT /kv/a", "", "x", errors[i].status), errors[i].word));
        shop_ask(s, "GET /kv/a", "", "", errors[i].status);
        shop_ask(s, "POST /txn", "", "{\"get\":[\"a\"]}", errors[i].status);
    }
    s->standin.refuse = EMSGSIZE;
    assert_non_null(
        strstr(shop_ask(s, "PUT /kv/a", "", "x", 413), "the cluster's limit value_bytes"));
    shop_free(s);
}

static void a_client_that_goes_away_is_forgotten(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    s->standin.silent = true;
    for (int i = 0; i < 2; i++) {
        shop_say(s, i == 0 ? "GET /kv/a" : "PUT /kv/a", "", "");
        pair_run(s->pair, 100 * PAIR_MS);
        assert_int_equal(s->standin.asks, 1);
        talker_close(s->talker); /* the end of its stream is no failure: it may still listen */
        s->talker = NULL;
        pair_run(s->pair, 100 * PAIR_MS);
        server_free(s->server);
        struct http_config config = {.port = SHOP_PORT};
        for (size_t g = 0; g < KV_HTTP_GATES; g++)
            config.gates[g] = kv_http_gate(s->gates, g);
        s->server = http_start(pair_stack(s->pair, 1), pair_env(s->pair), &config);
        assert_int_equal(s->standin.asks, 0);
        assert_int_equal(s->standin.cancelled, i + 1);
    }
    shop_free(s);
}

static void a_wrong_method_or_target_is_told_what_is_right(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status;
        const char *field;
    } wrong[] = {
        {"POST /kv/a", 405, "Allow: GET, HEAD, PUT, DELETE\r\n"},
        {"GET /txn", 405, "Allow: POST\r\n"},
        {"DELETE /status", 405, "Allow: GET, HEAD\r\n"},
        {"PUT /txns", 405, "Allow: GET, HEAD\r\n"},
        {"HEAD /backup", 405, "Allow: GET\r\n"},
        {"GET /kv/", 400, ""},
        {"GET /kv/%4", 400, ""},
        {"GET /kv/%zz", 400, ""},
        {"GET /kv/a?stale=no", 400, ""},
        {"PUT /kv/a?stale=ok", 400, ""},
        {"GET /txns?in_doubt=2", 400, ""},
        {"GET /txns/1.2", 400, ""},
        {"GET /txns/1.2.3x", 400, ""},
        {"GET /txns/0.2.3", 400, ""},
        {"GET /txns/1.2.99999999999999999999", 400, ""},
        {"GET /txnsx", 404, ""},
        {"GET /statusx", 404, ""},
        {"GET /backups", 404, ""},
        {"GET /", 404, "\"reason\":\"path\""},
        {"GET /kv", 404, "\"reason\":\"path\""},
        {"PUT /colour", 404, "\"reason\":\"path\""},
    };
    struct shop *s = shop_new();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        shop_ask(s, wrong[i].line, "", "", wrong[i].status);
        shop_expect_field(s, wrong[i].field);
    }
    assert_int_equal(s->standin.txns + s->standin.reads, 0);
    shop_free(s);
}

/* ---- Transactions ---- */

static void a_transaction_in_json_is_carried_out(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    struct kv_blob *value = kv_blob_new("\xff\xfe", 2);
    s->standin.outcome.txid = (struct kv_txid){1, 4, 8};
    s->standin.results[1] = (struct kv_result){.found = true, .version = 4};
    s->standin.results[2] = (struct kv_result){.found = false, .version = 6};
    s->standin.results[3] = (struct kv_result){.found = true, .version = 2, .value = value};
    assert_string_equal(shop_ask(s, "POST /txn", "",
                                 "{\"put\":{\"a\":\"1\"},\"delete\":[\"c\"],\"get\":[\"d\"],"
                                 "\"if\":{\"a\":{\"version\":3}}}",
                                 200),
                        "{\"committed\":true,\"txid\":\"1.4.8\",\"put\":{\"a\":{\"version\":4}},"
                        "\"delete\":{\"c\":{\"version\":6,\"found\":false}},"
                        "\"get\":{\"d\":{\"version\":2,\"found\":true,"
                        "\"value_base64\":\"//4=\"}}}");
    const struct kv_operation *o = s->standin.request->operations;
    assert_int_equal(s->standin.request->count, 4);
    assert_int_equal(o[0].kind, KV_CHECK);
    assert_int_equal(o[0].version, 3);
    assert_true(key_is(&o[1], "a") && o[1].kind == KV_PUT && o[1].value->bytes[0] == '1');
    assert_true(key_is(&o[2], "c") && o[2].kind == KV_DELETE);
    assert_true(key_is(&o[3], "d") && o[3].kind == KV_GET);
    kv_blob_release(value);
    shop_free(s);
}

static void a_value_may_be_of_any_bytes(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    shop_ask(s, "POST /txn", "",
             "{\"put\":{\"a\":{\"value_base64\":\"AP8=\"},\"b\":\"x\\u0000y\"}}", 200);
    const struct kv_operation *o = s->standin.request->operations;
    assert_int_equal(o[0].value->length, 2);
    assert_memory_equal(o[0].value->bytes, "\0\xff", 2);
    assert_int_equal(o[1].value->length, 3);
    assert_memory_equal(o[1].value->bytes, "x\0y", 3);
    shop_free(s);
}

static void what_makes_no_sense_is_400(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "{",
        "[]",
        "7",
        "{}",
        "{\"put\":{}}",
        "{\"put\":[]}",
        "{\"put\":{\"a\":1}}",
        "{\"put\":{\"a\":{\"base64\":\"\"}}}",
        "{\"put\":{\"a\":{\"value_base64\":\"!\"}}}",
        "{\"put\":{\"a\":{\"value_base64\":\"A\"}}}",
        "{\"put\":{\"a\":\"1\",\"a\":\"2\"}}",
        "{\"put\":{\"\":\"1\"}}",
        "{\"put\":{\"a\":\"\xff\"}}",
        "{\"delete\":\"a\"}",
        "{\"delete\":[1]}",
        "{\"get\":[[\"a\"]]}",
        "{\"if\":{\"a\":3}}",
        "{\"if\":{\"a\":{\"version\":-1}}}",
        "{\"if\":{\"a\":{\"version\":\"3\"}}}",
        "{\"if\":{\"a\":{\"version\":3,\"x\":1}}}",
        "{\"get\":[\"a\"],\"set\":{}}",
        "{\"get\":[\"a\"]}x",
    };
    struct shop *s = shop_new();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_non_null(strstr(shop_ask(s, "POST /txn", "", wrong[i], 400), "\"message\":\""));
    assert_int_equal(s->standin.txns, 0);
    shop_free(s);
}

/* ---- To be looked at ---- */

static void status_tells_the_cluster_and_the_node(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    assert_string_equal(
        shop_ask(s, "GET /status", "", "", 200),
        "{\"cluster\":\"shop\",\"id\":1,\"serving\":true,\"epoch\":1,\"replication\":2,"
        "\"coordinator\":\"asked\",\"incarnation\":4,\"keys\":12,\"coordinating\":0,\"in_doubt\":0,"
        "\"locks\":2,\"nodes\":[{\"id\":1,\"address\":\"10.0.0.2\",\"reachable\":true},"
        "{\"id\":2,\"address\":\"10.0.0.3\",\"reachable\":false}],"
        "\"counters\":{\"kv_commits\":5,\"kv_aborts\":2}}");
    assert_string_equal(shop_ask(s, "HEAD /status", "", "", 200), "");
    shop_free(s);
}

static void transactions_are_listed_and_explained(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    struct kv_request *request = kv_request_new(1);
    request->operations[0].key = kv_blob_new("a\xff", 2);
    s->standin.coordinator = (struct coordinator_txn){
        .phase = COORDINATOR_VOTING, .participants = 3, .voted = 2, .request = request};
    s->standin.worker.phase = WORKER_PREPARED;
    static const char txn[] =
        "{\"txid\":\"1.4.7\",\"coordinator\":{\"phase\":\"voting\",\"participants\":[1,2],"
        "\"voted\":[2],\"acknowledged\":[]},\"worker\":{\"phase\":\"prepared\"},"
        "\"keys\":[\"a%FF\"]";
    char expected[512];
    snprintf(expected, sizeof(expected), "{\"txns\":[%s}],\"more\":false}", txn);
    assert_string_equal(shop_ask(s, "GET /txns", "", "", 200), expected);
    assert_string_equal(shop_ask(s, "GET /txns?in_doubt=1", "", "", 200),
                        "{\"txns\":[{\"txid\":\"1.4.7\",\"worker\":{\"phase\":\"prepared\"}}],"
                        "\"more\":false}");
    snprintf(expected, sizeof(expected),
             "%s,\"journal\":[{\"machine\":\"coordinator\",\"row\":\"PREPARE\",\"time_ms\":1000,"
             "\"participants\":[1,2]}]}",
             txn);
    assert_string_equal(shop_ask(s, "GET /txns/1.4.7", "", "", 200), expected);
    assert_string_equal(shop_ask(s, "GET /txns/1.4.6", "", "", 404),
                        "{\"txid\":\"1.4.6\",\"journal\":[]}");
    kv_request_release(request);
    shop_free(s);
}

static void what_is_left_of_a_backup_is_removed_at_the_start(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    char path[128];
    snprintf(path, sizeof(path), "%s/backup.db", s->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    struct kv_http *next =
        kv_http_new((struct kv_node *)(void *)&s->standin, pair_env(s->pair), s->directory);
    assert_non_null(next);
    kv_http_free(next);
    shop_free(s); /* whose directory is empty */
}

static void a_backup_is_streamed_and_removed(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    shop_say(s, "GET /backup", "", "");
    pair_run(s->pair, 100 * PAIR_MS);
    assert_non_null(s->standin.backup_done);
    struct talker *first = s->talker;
    s->talker = NULL;
    shop_ask(s, "GET /backup", "", "", 503); /* one at a time */
    s->standin.backup_done(s->standin.backup_context, NULL);
    talker_hear_end(first);
    const char *body = strstr(first->received, "\r\n\r\n") + 4;
    assert_int_equal(strlen(body), 320000);
    assert_non_null(strstr(first->received, "Content-Length: 320000\r\n"));
    assert_non_null(strstr(first->received, "application/vnd.sqlite3\r\n"));
    assert_string_equal(body + 320000 - 8, "0039999\n");
    talker_close(first);
    pair_run(s->pair, PAIR_S);
    shop_say(s, "GET /backup", "", "");
    pair_run(s->pair, 100 * PAIR_MS);
    s->standin.backup_done(s->standin.backup_context, "the disk is full");
    talker_hear_end(s->talker);
    shop_expect_field(s, "HTTP/1.1 503 ");
    shop_expect_field(s, "the disk is full");
    shop_free(s); /* whose directory is empty */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_answers_the_bare_value_and_its_version),
        cmocka_unit_test(a_key_that_is_not_there_is_404),
        cmocka_unit_test(conditions_of_a_get_hold_its_version_rfc9110_13),
        cmocka_unit_test(a_put_is_a_transaction_of_one_key),
        cmocka_unit_test(a_delete_tells_whether_there_was_a_value),
        cmocka_unit_test(a_write_may_depend_on_the_version),
        cmocka_unit_test(a_condition_that_is_not_understood_is_not_passed_over),
        cmocka_unit_test(a_repetition_is_known_by_its_fields),
        cmocka_unit_test(each_refusal_has_its_status),
        cmocka_unit_test(a_conflict_names_key_and_holder),
        cmocka_unit_test(a_read_that_a_lock_has_held_up_is_503_with_the_holder),
        cmocka_unit_test(what_cannot_be_reached_is_503_with_the_node),
        cmocka_unit_test(what_the_node_does_not_take_is_answered_at_once),
        cmocka_unit_test(a_client_that_goes_away_is_forgotten),
        cmocka_unit_test(a_wrong_method_or_target_is_told_what_is_right),
        cmocka_unit_test(a_transaction_in_json_is_carried_out),
        cmocka_unit_test(a_value_may_be_of_any_bytes),
        cmocka_unit_test(what_makes_no_sense_is_400),
        cmocka_unit_test(status_tells_the_cluster_and_the_node),
        cmocka_unit_test(transactions_are_listed_and_explained),
        cmocka_unit_test(what_is_left_of_a_backup_is_removed_at_the_start),
        cmocka_unit_test(a_backup_is_streamed_and_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
