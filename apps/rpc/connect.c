/* SPDX-License-Identifier: MIT */
#include "rpc/connect.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rpc/grpc_field.h"
#include "rpc/json.h"

#define TIMEOUT_DIGITS_MAX 10
#define JSON_TYPE          "application/json"

struct connect {
    struct rpc_dispatcher *rpc;
    struct strait_env *env;
    const struct rpc_messages *const *list;
    struct http_gate gate;
};

/* A call under way. */
struct asked {
    struct connect *connect;
    struct http_exchange *post;
    struct rpc_method method;
    struct rpc_job *job;
    struct strait_timer deadline;
    uint64_t timeout_ns;
    uint8_t identity[RPC_IDENTITY_BYTES];
};

/* ---- Errors, as the protocol says them ---- */

static const struct {
    const char *name;
    unsigned status;
} errors[] = {
    [RPC_OK] = {"unknown", 500},
    [RPC_CANCELLED] = {"canceled", 499},
    [RPC_UNKNOWN_ERROR] = {"unknown", 500},
    [RPC_INVALID_ARGUMENT] = {"invalid_argument", 400},
    [RPC_DEADLINE_EXCEEDED] = {"deadline_exceeded", 504},
    [RPC_NOT_FOUND] = {"not_found", 404},
    [RPC_ALREADY_EXISTS] = {"already_exists", 409},
    [RPC_PERMISSION_DENIED] = {"permission_denied", 403},
    [RPC_RESOURCE_EXHAUSTED] = {"resource_exhausted", 429},
    [RPC_FAILED_PRECONDITION] = {"failed_precondition", 400},
    [RPC_ABORTED] = {"aborted", 409},
    [RPC_OUT_OF_RANGE] = {"out_of_range", 400},
    [RPC_UNIMPLEMENTED] = {"unimplemented", 501},
    [RPC_INTERNAL] = {"internal", 500},
    [RPC_UNAVAILABLE] = {"unavailable", 503},
    [RPC_DATA_LOSS] = {"data_loss", 500},
    [RPC_UNAUTHENTICATED] = {"unauthenticated", 401},
};

static void answer(struct http_exchange *post, unsigned status, char *json, const char *fields)
{
    const struct http_reply reply = {.status = status,
                                     .type = JSON_TYPE,
                                     .body = json,
                                     .length = json ? strlen(json) : 0,
                                     .fields = fields};
    http_exchange_answer(post, &reply);
}

static void answer_error(struct http_exchange *post, enum rpc_code code, const char *text,
                         size_t text_bytes)
{
    answer(post, errors[code].status, json_error(errors[code].name, text, text_bytes), NULL);
}

/* The same for what is the client's fault. Returns NULL, as `ask` of a gate. */
static void *refuse(struct connect *c, struct http_exchange *post, enum rpc_code code,
                    const char *text)
{
    rpc_counters(c->rpc)->requests_refused++;
    answer_error(post, code, text, strlen(text));
    return NULL;
}

/* The same for what has a status of HTTP alone, and no code. */
static void *refuse_http(struct connect *c, struct http_exchange *post, unsigned status,
                         const char *text, const char *fields)
{
    rpc_counters(c->rpc)->requests_refused++;
    answer(post, status, json_error("unknown", text, strlen(text)), fields);
    return NULL;
}

static void *refuse_method(struct connect *c, struct http_exchange *post)
{
    return refuse_http(c, post, 405, "the method is not POST", "Allow: POST\r\n");
}

static void free_asked(struct asked *a)
{
    struct strait_env *env = a->connect->env;
    env->timer_stop(env, &a->deadline);
    free(a);
}

/* ---- The answer ---- */

/* Writes the result as JSON; NULL if that cannot be. */
static char *write_result(const struct rpc_method *method, const uint8_t *result,
                          size_t result_bytes)
{
    struct message_arena arena;
    uint8_t bytes[MESSAGE_OF_WORDS_MAX];
    if (method->procedure->result_bytes != RPC_ANY_SIZE) {
        result_bytes = message_from_words(method->output, result, bytes);
        result = bytes;
    }
    message_arena_init(&arena);
    const ProtobufCMessage *message = message_unpack(&arena, method->output, result, result_bytes);
    char *json = message ? json_from_message(message) : NULL;
    message_arena_free(&arena);
    return json;
}

static void answered(void *owner, enum rpc_code code, const uint8_t *result, size_t result_bytes)
{
    struct asked *a = owner;
    struct http_exchange *post = a->post;
    char *json = code == RPC_OK ? write_result(&a->method, result, result_bytes) : NULL;
    const char *text = code == RPC_OK ? "the result is no JSON" : (const char *)result;
    free_asked(a);
    if (json)
        answer(post, 200, json, NULL);
    else if (code == RPC_OK)
        answer_error(post, RPC_INTERNAL, text, strlen(text));
    else if (text)
        answer_error(post, code, text, result_bytes);
    else
        answer_error(post, code, rpc_code_text(code), strlen(rpc_code_text(code)));
}

/* What runs may take longer than the client waits. */
static void deadline_expired(void *owner, struct strait_timer *timer)
{
    struct asked *a = (struct asked *)(void *)((char *)timer - offsetof(struct asked, deadline));
    (void)owner;
    rpc_cancel(a->job);
    answered(a, RPC_DEADLINE_EXCEEDED, NULL, 0);
}

/* ---- The request ---- */

static const char *field_of(const struct http_request *r, enum http_field_name name, size_t *length)
{
    size_t index = 0;
    return http_request_field(r, name, &index, length);
}

/* "application/json", alone or with parameters. */
static bool is_json(const struct http_request *r)
{
    size_t length, n = sizeof(JSON_TYPE) - 1;
    const char *type = field_of(r, HTTP_CONTENT_TYPE, &length);
    return type && length >= n && strncasecmp(type, JSON_TYPE, n) == 0 &&
           (length == n || type[n] == ';' || type[n] == ' ');
}

static bool is_encoded(const struct http_request *r)
{
    size_t length;
    const char *encoding = field_of(r, HTTP_CONTENT_ENCODING, &length);
    return encoding && !(length == 8 && strncasecmp(encoding, "identity", length) == 0);
}

/* Reads connect-timeout-ms: at most ten digits. */
static bool read_timeout(const struct http_request *r, uint64_t *ns)
{
    size_t length;
    const char *text = field_of(r, HTTP_CONNECT_TIMEOUT, &length);
    uint64_t ms = 0;
    *ns = RPC_DEADLINE_DEFAULT_NS;
    if (!text)
        return true;
    if (length == 0 || length > TIMEOUT_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        ms = ms * 10 + (uint64_t)(text[i] - '0');
    }
    *ns = ms * RPC_MS < RPC_DEADLINE_MAX_NS ? ms * RPC_MS : RPC_DEADLINE_MAX_NS;
    return true;
}

static bool read_identity(const struct http_request *r, struct asked *a)
{
    size_t length;
    const char *text = field_of(r, HTTP_ONCE, &length);
    if (!text)
        return !a->method.procedure->identified;
    return grpc_identity_read(text, length, a->identity);
}

/* Finds the method that the target names, in front of a query. */
static bool find_method(const struct connect *c, const struct http_request *r,
                        struct rpc_method *method)
{
    const size_t skipped = sizeof(CONNECT_PREFIX) - 1;
    const char *path = r->text + skipped;
    size_t length = r->target_bytes - skipped;
    const char *query = memchr(path, '?', length);
    bool service;
    return rpc_find_method(c->list, path, query ? (size_t)(query - path) : length, method,
                           &service) &&
           !method->procedure->streaming;
}

/* Runs the call on the bytes of its message. Returns it if it has not ended, which frees it. */
static void *run(struct asked *a, const struct rpc_result *message)
{
    struct connect *c = a->connect;
    const struct rpc_procedure *p = a->method.procedure;
    uint64_t deadline_ns = c->env->now(c->env) + a->timeout_ns;
    uint8_t words[RPC_BYTES_MAX];
    const uint8_t *arguments = message->bytes;
    size_t argument_bytes = message->length;
    if (p->argument_bytes != RPC_ANY_SIZE) {
        size_t of_identity = p->identified ? RPC_IDENTITY_BYTES : 0;
        memcpy(words, a->identity, of_identity);
        message_to_words(a->method.input, message->bytes, message->length, words + of_identity);
        arguments = words;
        argument_bytes = p->argument_bytes;
    }
    struct rpc_job *job = rpc_run(c->rpc, p, arguments, argument_bytes, deadline_ns, answered, a);
    if (!job)
        return NULL;
    a->job = job;
    c->env->timer_start(c->env, &a->deadline, deadline_ns);
    return a;
}

/* Reads the JSON, and begins the call. Returns it if it has not ended. */
static void *begin(struct asked *a, const struct http_request *r)
{
    struct message_arena arena;
    struct rpc_result message = {0};
    struct connect *c = a->connect;
    struct http_exchange *post = a->post;
    char fault[JSON_FAULT_BYTES];
    message_arena_init(&arena);
    const ProtobufCMessage *read =
        json_to_message(&arena, a->method.input, r->body ? r->body : "", r->body_bytes, fault);
    enum rpc_code code = read ? message_answer(read, &message) : RPC_INVALID_ARGUMENT;
    message_arena_free(&arena);
    if (code != RPC_OK) {
        free(a);
        return refuse(c, post, code, read ? rpc_code_text(code) : fault);
    }
    void *asked = run(a, &message);
    free(message.bytes);
    return asked;
}

static void *ask(void *context, struct http_exchange *post, const struct http_request *r)
{
    struct connect *c = context;
    struct asked call = {.connect = c, .post = post, .deadline.expired = deadline_expired};
    if (r->method != HTTP_POST)
        return refuse_method(c, post);
    if (!is_json(r))
        return refuse_http(c, post, 415, "the content is not " JSON_TYPE, NULL);
    if (!find_method(c, r, &call.method)) {
        rpc_counters(c->rpc)->unknown++;
        return refuse(c, post, RPC_UNIMPLEMENTED, "no such method");
    }
    if (is_encoded(r))
        return refuse(c, post, RPC_UNIMPLEMENTED, "messages may not be compressed");
    if (!read_timeout(r, &call.timeout_ns))
        return refuse(c, post, RPC_INVALID_ARGUMENT, "connect-timeout-ms is malformed");
    if (!read_identity(r, &call))
        return refuse(c, post, RPC_INVALID_ARGUMENT,
                      GRPC_IDENTITY_FIELD " is missing or malformed");
    struct asked *a = malloc(sizeof(*a));
    if (!a) {
        answer(post, 503, NULL, NULL);
        return NULL;
    }
    *a = call;
    return begin(a, r);
}

/* A body that there is no room for; what is no HTTP is answered by HTTP. */
static void refuse_unasked(void *context, struct http_exchange *post, const struct http_request *r)
{
    struct connect *c = context;
    if (r->status != HTTP_STATUS_PAYLOAD_TOO_LARGE && r->status != HTTP_STATUS_SERVICE_UNAVAILABLE)
        return;
    if (r->method != HTTP_POST)
        refuse_method(c, post);
    else if (r->status == HTTP_STATUS_PAYLOAD_TOO_LARGE)
        refuse(c, post, RPC_RESOURCE_EXHAUSTED, "the message is too long");
    else
        refuse(c, post, RPC_UNAVAILABLE, "the server has too many messages; try again");
}

static void cancel(void *asked)
{
    struct asked *a = asked;
    rpc_cancel(a->job);
    free_asked(a);
}

/* ---- The wire ---- */

struct connect *connect_new(struct rpc_dispatcher *rpc, struct strait_env *env,
                            const struct rpc_messages *const *list)
{
    struct connect *c = calloc(1, sizeof(*c));
    size_t random;
    if (!c)
        return NULL;
    c->rpc = rpc;
    c->env = env;
    c->list = list;
    c->gate = (struct http_gate){.prefix = CONNECT_PREFIX,
                                 .body_max = RPC_MESSAGE_MAX,
                                 .ask = ask,
                                 .cancel = cancel,
                                 .refuse = refuse_unasked,
                                 .context = c};
    env->random(env, &random, sizeof(random));
    json_seed(random);
    return c;
}

const struct http_gate *connect_gate(const struct connect *c)
{
    return &c->gate;
}

void connect_free(struct connect *c)
{
    free(c);
}
