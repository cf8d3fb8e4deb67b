/* SPDX-License-Identifier: MIT */
/* JSON over HTTP/1.1: the Connect protocol's unary calls beside files, and protobuf's JSON mapping.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "glutton.h"
#include "http/http.h"
#include "offer.h"
#include "rpc/described.pb-c.h"
#include "rpc/json.h"
#include "rpc/reflection_v1.pb-c.h"
#include "talker.h"

#define PORT 80

/* ---- A server ---- */

struct desk {
    struct pair *pair;
    struct offer offer;
    struct server *server;
    char request[16384];
};

static struct desk *desk_new(void)
{
    struct desk *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    d->pair = pair_new(&(struct pair_config){0});
    assert_int_equal(offer_init(&d->offer, pair_env(d->pair)), 0);
    const struct http_config config = {.port = PORT,
                                       .gates = {&glutton_gate, connect_gate(d->offer.connect)}};
    d->server = http_start(pair_stack(d->pair, 1), pair_env(d->pair), &config);
    assert_non_null(d->server);
    return d;
}

static void desk_free(struct desk *d)
{
    pair_run(d->pair, 100 * PAIR_S);
    assert_int_equal(server_sessions(d->server), 0);
    server_free(d->server);
    offer_free(&d->offer);
    assert_true(strait_memory(pair_stack(d->pair, 1)) == 0);
    pair_free(d->pair);
    free(d);
}

/* Says a POST, of JSON if `fields` has no type. */
static struct talker *post(struct desk *d, const char *path, const char *fields, const char *body)
{
    const char *type = strstr(fields, "Content-Type") ? "" : "Content-Type: application/json\r\n";
    snprintf(d->request, sizeof(d->request),
             "POST %s HTTP/1.1\r\nHost: x\r\n%s%sContent-Length: %zu\r\n\r\n%s", path, type, fields,
             strlen(body), body);
    struct talker *t = talker_connect(d->pair, 0, PORT);
    talker_say(t, d->request, strlen(d->request));
    return t;
}

#define CLOSE "Connection: close\r\n"

/* The answer has this status and just this body. */
static void expect(struct desk *d, const char *path, const char *fields, const char *request,
                   int status, const char *body)
{
    char all[512], line[32];
    snprintf(all, sizeof(all), "%s" CLOSE, fields);
    struct talker *t = post(d, path, all, request);
    talker_hear_end(t);
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    const char *received = t->received ? t->received : "nothing";
    const char *end = strstr(received, "\r\n\r\n");
    if (!end || strncmp(received, line, strlen(line)) != 0 || strcmp(end + 4, body) != 0)
        fail_msg("%s %s: %s", path, request, received);
    assert_non_null(strstr(received, "Content-Type: application/json\r\n"));
    talker_close(t);
}

#define ITH_PRIME "/rpc/strait.Primes/IthPrime"
#define CHECK     "/rpc/grpc.health.v1.Health/Check"

static void a_call_in_json_is_answered_in_json(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    expect(d, ITH_PRIME, "", "{\"i\":5}", 200, "{\"prime\":13}");
    expect(d, ITH_PRIME, "", "{}", 200, "{\"prime\":2}");
    expect(d, ITH_PRIME "?x=y", "", "{\"i\":\"5\"}", 200, "{\"prime\":13}");
    expect(d, ITH_PRIME, "", "{\"i\":999999}", 200, "{\"prime\":15485863}");
    expect(d, ITH_PRIME, "Content-Type: application/json; charset=utf-8\r\n", "{\"i\":5.0}", 200,
           "{\"prime\":13}");
    expect(d, "/rpc/strait.Primes/IsCoprime", "", "{\"x\":14,\"y\":21}", 200, "{}");
    expect(d, CHECK, "Connect-Timeout-Ms: 1000\r\n", "{}", 200, "{\"status\":\"SERVING\"}");
    desk_free(d);
}

static void an_error_has_the_status_of_its_code(void **state)
{
    (void)state;
    static const struct {
        const char *path, *fields, *body;
        int status;
        const char *answer;
    } wrong[] = {
        {ITH_PRIME, "", "{\"i\":203280221}", 400,
         "{\"code\":\"out_of_range\",\"message\":\"out of range\"}"},
        {CHECK, "", "{\"service\":\"x\"}", 404,
         "{\"code\":\"not_found\",\"message\":\"no such service\"}"},
        {"/rpc/strait.Primes/Nth", "", "{}", 501,
         "{\"code\":\"unimplemented\",\"message\":\"no such method\"}"},
        {"/rpc/grpc.health.v1.Health/Watch", "", "{}", 501,
         "{\"code\":\"unimplemented\",\"message\":\"no such method\"}"},
        {"/rpc/", "", "{}", 501, "{\"code\":\"unimplemented\",\"message\":\"no such method\"}"},
        {ITH_PRIME, "Content-Type: text/plain\r\n", "{}", 415,
         "{\"code\":\"unknown\",\"message\":\"the content is not application/json\"}"},
        {ITH_PRIME, "Content-Encoding: gzip\r\n", "{}", 501,
         "{\"code\":\"unimplemented\",\"message\":\"messages may not be compressed\"}"},
        {ITH_PRIME, "Connect-Timeout-Ms: 1s\r\n", "{}", 400,
         "{\"code\":\"invalid_argument\",\"message\":\"connect-timeout-ms is malformed\"}"},
        {ITH_PRIME, "Connect-Timeout-Ms: 0\r\n", "{}", 504,
         "{\"code\":\"deadline_exceeded\",\"message\":\"deadline exceeded\"}"},
        {ITH_PRIME, "", "{\"i\":-1}", 400,
         "{\"code\":\"invalid_argument\",\"message\":\"i: is below 0\"}"},
        {ITH_PRIME, "", "{\"i\":4294967296}", 400,
         "{\"code\":\"invalid_argument\",\"message\":\"i: is out of range\"}"},
        {ITH_PRIME, "", "{\"i\":5.5}", 400,
         "{\"code\":\"invalid_argument\",\"message\":\"i: is no whole number\"}"},
        {ITH_PRIME, "", "{\"i\":true}", 400,
         "{\"code\":\"invalid_argument\",\"message\":\"i: is no whole number\"}"},
        {ITH_PRIME, "", "{\"j\":5}", 400,
         "{\"code\":\"invalid_argument\",\"message\":\"j: there is no such field\"}"},
        {ITH_PRIME, "", "[5]", 400,
         "{\"code\":\"invalid_argument\",\"message\":\"IthPrimeRequest: is no object, or too "
         "deep\"}"},
    };
    struct desk *d = desk_new();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect(d, wrong[i].path, wrong[i].fields, wrong[i].body, wrong[i].status, wrong[i].answer);
    desk_free(d);
}

/* Text that is none: refused, whatever jansson says of it. */
static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "{",
                                        "{\"i\":5",
                                        "nul",
                                        "{\"i\":}",
                                        "{\"i\":5}x",
                                        "{\"i\":5,\"i\":6}",
                                        "{\"i\":1e999}",
                                        "{\"\xff\":1}"};
    struct desk *d = desk_new();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct talker *t = post(d, ITH_PRIME, CLOSE, wrong[i]);
        talker_hear_end(t);
        assert_non_null(strstr(t->received, "HTTP/1.1 400 "));
        assert_non_null(strstr(t->received, "\"invalid_argument\""));
        talker_close(t);
    }
    char deep[8193];
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    struct talker *t = post(d, ITH_PRIME, CLOSE, deep);
    talker_hear_end(t);
    assert_non_null(strstr(t->received, "HTTP/1.1 400 "));
    talker_close(t);
    desk_free(d);
}

static void calls_follow_each_other_on_a_connection(void **state)
{
    (void)state;
    static const char requests[] =
        "POST " ITH_PRIME " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 12\r\n\r\n{\"i\":999999}"
        "POST " ITH_PRIME " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"i\r\n4\r\n\":5}\r\n0\r\n\r\n"
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct desk *d = desk_new();
    for (size_t split = 1; split < sizeof(requests) - 1; split += 7) {
        struct talker *t = talker_connect(d->pair, 0, PORT);
        talker_say(t, requests, split);
        pair_run(d->pair, 10 * PAIR_MS);
        talker_say(t, requests + split, sizeof(requests) - 1 - split);
        talker_hear_end(t);
        char *first = strstr(t->received, "{\"prime\":15485863}");
        assert_non_null(first);
        char *second = strstr(first, "{\"prime\":13}");
        assert_non_null(second);
        assert_non_null(strstr(second, "<h1>Strait</h1>"));
        talker_close(t);
    }
    desk_free(d);
}

static void post_elsewhere_is_no_call(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    struct talker *t = post(d, "/rpc", CLOSE, "{}");
    talker_hear_end(t);
    assert_non_null(strstr(t->received, "HTTP/1.1 405 "));
    talker_close(t);
    desk_free(d);
}

/* The method is told to be wrong even of a message that is too long. */
static void any_method_but_post_is_405(void **state)
{
    (void)state;
    static const char body[] = "{\"code\":\"unknown\",\"message\":\"the method is not POST\"}";
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE"};
    struct desk *d = desk_new();
    for (int i = 0; i < 8; i++) {
        snprintf(d->request, sizeof(d->request),
                 "%s " ITH_PRIME " HTTP/1.1\r\nHost: x\r\n" CLOSE "%s\r\n", methods[i % 4],
                 i < 4 ? "" : "Content-Length: 4194305\r\n");
        struct talker *t = talker_connect(d->pair, 0, PORT);
        talker_say(t, d->request, strlen(d->request));
        talker_hear_end(t);
        assert_non_null(strstr(t->received, "HTTP/1.1 405 "));
        assert_non_null(strstr(t->received, "\r\nAllow: POST\r\n"));
        assert_string_equal(strstr(t->received, "\r\n\r\n") + 4, i % 4 == 1 ? "" : body);
        talker_close(t);
    }
    assert_int_equal(rpc_counters(d->offer.rpc)->requests_refused, 8);
    desk_free(d);
}

/* RFC 9110 10.1.1: curl waits for it before it sends a long body. */
static void who_waits_to_continue_is_told_rfc9110_10_1_1(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    struct talker *t = talker_connect(d->pair, 0, PORT);
    static const char head[] = "POST " ITH_PRIME " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                               "Content-Type: application/json\r\nContent-Length: 7\r\n"
                               "Expect: 100-continue\r\n\r\n";
    talker_say(t, head, sizeof(head) - 1);
    talker_hear(t, 25);
    assert_string_equal(t->received, "HTTP/1.1 100 Continue\r\n\r\n");
    talker_say(t, "{\"i\":5}", 7);
    talker_hear_end(t);
    assert_non_null(strstr(t->received, "{\"prime\":13}"));
    talker_close(t);
    desk_free(d);
}

/* The answer to a message that is too long, which ends the connection. */
static void hear_too_long(struct talker *t)
{
    talker_hear_end(t);
    assert_memory_equal(t->received, "HTTP/1.1 429 ", 13);
    assert_non_null(strstr(t->received, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(t->received, "Connection: close\r\n"));
    assert_string_equal(
        strstr(t->received, "\r\n\r\n") + 4,
        "{\"code\":\"resource_exhausted\",\"message\":\"the message is too long\"}");
    talker_close(t);
}

static void a_message_that_is_too_long_is_refused_at_once(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    struct talker *t = talker_connect(d->pair, 0, PORT);
    static const char head[] = "POST " ITH_PRIME " HTTP/1.1\r\nHost: x\r\n"
                               "Content-Type: application/json\r\nContent-Length: 4194305\r\n\r\n";
    talker_say(t, head, sizeof(head) - 1);
    hear_too_long(t);
    desk_free(d);
}

/* Its length is not known before it has come. What comes behind is not taken for a request. */
static void a_message_in_chunks_that_becomes_too_long_is_refused_rfc9112_9_6(void **state)
{
    (void)state;
    static const char head[] = "POST " ITH_PRIME " HTTP/1.1\r\nHost: x\r\nContent-Type: "
                               "application/json\r\nTransfer-Encoding: chunked\r\n\r\n300000\r\n";
    static const char tail[] = "\r\n100001\r\n";
    struct desk *d = desk_new();
    size_t first = 0x300000, second = 0x100001, length = sizeof(head) - 1 + sizeof(tail) - 1;
    char *all = malloc(length + first + second), *end;
    assert_non_null(all);
    end = (char *)memcpy(all, head, sizeof(head) - 1) + sizeof(head) - 1;
    end = (char *)memset(end, ' ', first) + first;
    end = (char *)memcpy(end, tail, sizeof(tail) - 1) + sizeof(tail) - 1;
    memset(end, ' ', second);
    struct talker *t = talker_connect(d->pair, 0, PORT);
    talker_say(t, all, length + first + second);
    hear_too_long(t);
    free(all);
    desk_free(d);
}

static void a_message_without_room_is_unavailable_until_there_is_some(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    struct talker *glutton = glutton_connect(d->pair, PORT);
    expect(d, ITH_PRIME, "", "{\"i\":5}", 503,
           "{\"code\":\"unavailable\",\"message\":\"the server has too many messages; try "
           "again\"}");
    talker_close(glutton);
    expect(d, ITH_PRIME, "", "{\"i\":5}", 200, "{\"prime\":13}");
    desk_free(d);
}

/* Chunks without a length are no message, and no call. */
static void what_is_no_http_is_answered_by_http(void **state)
{
    (void)state;
    static const char wrong[] = "POST " ITH_PRIME " HTTP/1.1\r\nHost: x\r\n"
                                "Transfer-Encoding: chunked\r\n\r\nx\r\n";
    struct desk *d = desk_new();
    struct talker *t = talker_connect(d->pair, 0, PORT);
    talker_say(t, wrong, sizeof(wrong) - 1);
    talker_hear_end(t);
    assert_non_null(strstr(t->received, "HTTP/1.1 400 "));
    assert_null(strstr(t->received, "application/json"));
    talker_close(t);
    desk_free(d);
}

/* The deadline holds for a call that runs, too, whose result is then nobody's. */
static void a_call_that_takes_too_long_is_answered_at_its_deadline(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    pair_work_takes(d->pair, 5 * PAIR_S);
    struct talker *t = post(d, ITH_PRIME, "Connect-Timeout-Ms: 2000\r\n" CLOSE, "{\"i\":999999}");
    pair_run(d->pair, 1900 * PAIR_MS);
    assert_null(t->received);
    pair_run(d->pair, 200 * PAIR_MS);
    assert_true(t->received && strstr(t->received, "HTTP/1.1 504 "));
    assert_non_null(strstr(t->received, "{\"code\":\"deadline_exceeded\""));
    talker_close(t);
    desk_free(d);
}

static void a_client_that_goes_away_cancels_its_call(void **state)
{
    (void)state;
    struct desk *d = desk_new();
    pair_work_takes(d->pair, 5 * PAIR_S);
    struct talker *t = post(d, ITH_PRIME, "", "{\"i\":999999}");
    pair_run(d->pair, 100 * PAIR_MS);
    struct linger now = {.l_onoff = 1};
    strait_setsockopt(pair_stack(d->pair, 0), t->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    talker_close(t);
    pair_run(d->pair, 100 * PAIR_MS);
    assert_int_equal(rpc_counters(d->offer.rpc)->cancelled, 1);
    desk_free(d);
}

/* ---- The mapping ---- */

/* Reads JSON as a message and writes that again. */
static void expect_mapping(const ProtobufCMessageDescriptor *d, const char *text,
                           const char *expected)
{
    struct message_arena arena;
    char fault[JSON_FAULT_BYTES] = "";
    message_arena_init(&arena);
    ProtobufCMessage *message = json_to_message(&arena, d, text, strlen(text), fault);
    char *written = message ? json_from_message(message) : NULL;
    assert_string_equal(written ? written : fault, expected);
    free(written);
    message_arena_free(&arena);
}

static void messages_lists_choices_and_bytes_have_their_form(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *request =
        &grpc__reflection__v1__server_reflection_request__descriptor;
    const ProtobufCMessageDescriptor *response =
        &grpc__reflection__v1__server_reflection_response__descriptor;
    expect_mapping(request, "{\"host\":\"h\",\"file_containing_symbol\":\"s\"}",
                   "{\"host\":\"h\",\"fileContainingSymbol\":\"s\"}");
    expect_mapping(request, "{\"fileContainingExtension\":{\"extensionNumber\":-5}}",
                   "{\"fileContainingExtension\":{\"extensionNumber\":-5}}");
    expect_mapping(request, "{\"listServices\":\"\",\"host\":null}", "{\"listServices\":\"\"}");
    expect_mapping(request, "{\"listServices\":\"\",\"fileByFilename\":\"\"}",
                   "file_by_filename: is there beside another one of its choice");
    expect_mapping(
        response, "{\"fileDescriptorResponse\":{\"fileDescriptorProto\":[\"AQID\",\"_-8\",\"\"]}}",
        "{\"fileDescriptorResponse\":{\"fileDescriptorProto\":[\"AQID\",\"/+8=\",\"\"]}}");
    expect_mapping(response, "{\"fileDescriptorResponse\":{\"fileDescriptorProto\":[\"A\"]}}",
                   "file_descriptor_proto: is no base64");
    expect_mapping(response,
                   "{\"allExtensionNumbersResponse\":{\"extensionNumber\":[1,\"2\",3.0]}}",
                   "{\"allExtensionNumbersResponse\":{\"extensionNumber\":[1,2,3]}}");
    expect_mapping(response, "{\"errorResponse\":{\"errorCode\":2147483648}}",
                   "error_code: is out of range");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_in_json_is_answered_in_json),
        cmocka_unit_test(an_error_has_the_status_of_its_code),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(calls_follow_each_other_on_a_connection),
        cmocka_unit_test(post_elsewhere_is_no_call),
        cmocka_unit_test(any_method_but_post_is_405),
        cmocka_unit_test(who_waits_to_continue_is_told_rfc9110_10_1_1),
        cmocka_unit_test(a_message_that_is_too_long_is_refused_at_once),
        cmocka_unit_test(a_message_in_chunks_that_becomes_too_long_is_refused_rfc9112_9_6),
        cmocka_unit_test(a_message_without_room_is_unavailable_until_there_is_some),
        cmocka_unit_test(what_is_no_http_is_answered_by_http),
        cmocka_unit_test(a_call_that_takes_too_long_is_answered_at_its_deadline),
        cmocka_unit_test(a_client_that_goes_away_cancels_its_call),
        cmocka_unit_test(messages_lists_choices_and_bytes_have_their_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
