/* SPDX-License-Identifier: MIT */
#include "rpc/message_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "offer.h"
#include "rpc/json.h"
#include "rpc/reflection.h"
#include "rpc/reflection_v1.pb-c.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;

/* ---- The command line ---- */

static int read_request(struct message_call *c, const char *json, const struct report *report)
{
    struct message_arena arena;
    char fault[JSON_FAULT_BYTES];
    message_arena_init(&arena);
    const ProtobufCMessage *message =
        json_to_message(&arena, c->method.input, json, strlen(json), fault);
    int result = 0;
    if (!message)
        result = options_fail(report, "%s: %s", json, fault);
    else if (message_answer(message, &c->request) != RPC_OK)
        result = options_fail(report, "%s", strerror(ENOMEM));
    message_arena_free(&arena);
    return result;
}

int message_call_read(struct message_call *c, const char *name, const char *json,
                      const struct report *report)
{
    bool service;
    c->name = name;
    if (!rpc_find_method(offer_messages, name, strlen(name), &c->method, &service))
        return options_fail(report, "this program knows no method \"%s\"", name);
    const struct rpc_procedure *p = c->method.procedure;
    if (p->identified)
        return options_fail(report, "%s: an identity is needed", name);
    if (read_request(c, json, report) < 0)
        return -1;
    if (p->argument_bytes != RPC_ANY_SIZE)
        message_to_words(c->method.input, c->request.bytes, c->request.length, c->words);
    return 0;
}

void message_call_free(struct message_call *c)
{
    free(c->request.bytes);
    c->request.bytes = NULL;
}

/* ---- A call ---- */

struct single {
    struct station *station;
    const char *name;
    const struct rpc_method *method;
    int (*print)(const struct single *, const uint8_t *bytes, size_t length);
    bool is_stream; /* of messages, until they or the user's patience end */
    bool ended;
    int result;
};

static int print_json(const struct single *s, const uint8_t *bytes, size_t length)
{
    struct message_arena arena;
    message_arena_init(&arena);
    const ProtobufCMessage *message = message_unpack(&arena, s->method->output, bytes, length);
    char *text = message ? json_from_message(message) : NULL;
    int result = text ? 0 : complain("%s: the result is no such message", s->name);
    if (text)
        printf("%s\n", text);
    fflush(stdout);
    free(text);
    message_arena_free(&arena);
    return result;
}

int message_failed(const char *name, struct rpc_reply reply, const char *text)
{
    const char *code = rpc_code_text(reply.code);
    bool says_more = text[0] != '\0' && strcmp(text, code) != 0;
    return complain("%s: %s (%s)%s%s", name, rpc_outcome_text(reply.outcome), code,
                    says_more ? ": " : "", says_more ? text : "");
}

static void message_ended(void *context, struct rpc_reply reply, const uint8_t *result,
                          const struct rpc_detail *detail)
{
    struct single *s = context;
    uint8_t message[MESSAGE_OF_WORDS_MAX];
    size_t length = detail->result_bytes;
    if (result && s->method->procedure->result_bytes != RPC_ANY_SIZE) {
        length = message_from_words(s->method->output, result, message);
        result = message;
    }
    s->ended = true;
    if (reply.outcome != RPC_RESULT)
        s->result = message_failed(s->name, reply, detail->text);
    else if (result)
        s->result = s->print(s, result, length);
    strait_loop_stop(s->station->loop);
}

/* A message that cannot be printed makes the result a failure, and is followed by others. */
static bool message_told(void *context, const uint8_t *bytes, size_t length)
{
    struct single *s = context;
    if (s->print(s, bytes, length) < 0)
        s->result = -1;
    return true;
}

static int wait_for(struct single *s, const struct rpc_call *call)
{
    if (!call)
        return complain("%s", strerror(errno));
    if (station_run(s->station) < 0)
        return -1;
    return s->ended || s->is_stream ? s->result : complain("interrupted");
}

int message_call_make(struct station *station, struct rpc_channel *channel,
                      const struct message_call *c, uint64_t deadline_ns)
{
    const struct rpc_procedure *p = c->method.procedure;
    bool is_words = p->argument_bytes != RPC_ANY_SIZE;
    const uint8_t *arguments = is_words ? c->words : c->request.bytes;
    size_t length = is_words ? p->argument_bytes : c->request.length;
    struct single s = {.station = station,
                       .name = c->name,
                       .method = &c->method,
                       .print = print_json,
                       .is_stream = p->streaming};
    if (s.is_stream)
        return wait_for(&s, rpc_stream_start(channel, p, arguments, length, deadline_ns,
                                             message_told, message_ended, &s));
    return wait_for(
        &s, rpc_message_start(channel, p, arguments, length, deadline_ns, message_ended, &s));
}

/* ---- The list ---- */

static int print_services(const struct single *s, const uint8_t *bytes, size_t length)
{
    struct message_arena arena;
    message_arena_init(&arena);
    const response_t *r = (response_t *)message_unpack(&arena, s->method->output, bytes, length);
    bool is_list =
        r &&
        r->message_response_case ==
            GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    for (size_t i = 0; is_list && i < r->list_services_response->n_service; i++)
        printf("%s\n", r->list_services_response->service[i]->name);
    message_arena_free(&arena);
    return is_list ? 0 : complain("the server tells no services");
}

/* Version v1alpha, which older servers have too. */
int message_list(struct station *station, struct rpc_channel *channel, uint64_t deadline_ns)
{
    static const char name[] = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    request_t request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    uint8_t bytes[16];
    struct rpc_method method;
    bool service;
    struct single s = {
        .station = station, .name = name, .method = &method, .print = print_services};
    rpc_find_method(offer_messages, name, sizeof(name) - 1, &method, &service);
    method.output = &grpc__reflection__v1__server_reflection_response__descriptor;
    request.message_request_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES;
    request.list_services = (char *)"*";
    size_t length = grpc__reflection__v1__server_reflection_request__pack(&request, bytes);
    return wait_for(&s, rpc_message_start(channel, method.procedure, bytes, length, deadline_ns,
                                          message_ended, &s));
}
