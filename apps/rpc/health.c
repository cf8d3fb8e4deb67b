/* SPDX-License-Identifier: MIT */
#include "rpc/health.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "rpc/health.pb-c.h"

typedef Grpc__Health__V1__HealthCheckRequest request_t;
typedef Grpc__Health__V1__HealthCheckResponse response_t;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus status_t;

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

#define RESPONSE_BYTES_MAX 16

struct watcher {
    LIST_ENTRY(watcher) link;
    struct rpc_job *job;
    bool known; /* there is the service */
    bool full;  /* there is no room to tell it more */
    bool late;  /* nor was there for a change */
};

struct health {
    const struct rpc_messages *const *list;
    bool serving;
    LIST_HEAD(, watcher) watchers;
};

/* ---- What is asked ---- */

/* Reads a request. Returns whether it is one; `*known` says whether there is the service. */
static bool read_request(const struct health *h, const uint8_t *bytes, size_t length, bool *known)
{
    struct message_arena arena;
    message_arena_init(&arena);
    const request_t *request = (request_t *)message_unpack(
        &arena, &grpc__health__v1__health_check_request__descriptor, bytes, length);
    if (request) {
        *known = request->service[0] == '\0';
        for (const struct rpc_messages *const *m = h->list; *m && !*known; m++)
            *known = strcmp((*m)->service->name, request->service) == 0;
    }
    message_arena_free(&arena);
    return request != NULL;
}

static status_t status_of(const struct health *h, bool known)
{
    if (!known)
        return STATUS(SERVICE_UNKNOWN);
    return h->serving ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

/* ---- Check ---- */

static enum rpc_code check_sstub(void *context, const uint8_t *arguments, size_t argument_bytes,
                                 struct rpc_result *result)
{
    response_t response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    bool known;
    if (!read_request(context, arguments, argument_bytes, &known))
        return RPC_INTERNAL;
    if (!known) {
        result->text = "no such service";
        return RPC_NOT_FOUND;
    }
    response.status = status_of(context, known);
    return message_answer(&response.base, result);
}

/* ---- Watch ---- */

static void tell(const struct health *h, struct watcher *w)
{
    response_t response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    uint8_t bytes[RESPONSE_BYTES_MAX];
    w->late = w->full;
    if (w->full)
        return;
    response.status = status_of(h, w->known);
    w->full =
        !rpc_send(w->job, bytes, grpc__health__v1__health_check_response__pack(&response, bytes));
}

static void watch_message(void *context, struct rpc_job *job, const uint8_t *bytes, size_t length)
{
    struct health *h = context;
    bool known;
    if (!read_request(h, bytes, length, &known)) {
        rpc_end(job, RPC_INTERNAL, "the request is no such message");
        return;
    }
    struct watcher *w = calloc(1, sizeof(*w));
    if (!w) {
        rpc_end(job, RPC_RESOURCE_EXHAUSTED, NULL);
        return;
    }
    w->job = job;
    w->known = known;
    *rpc_job_state(job) = w;
    LIST_INSERT_HEAD(&h->watchers, w, link);
    tell(h, w);
}

/* However often it has changed meanwhile: what counts is how it is now. */
static void watch_room(void *context, struct rpc_job *job)
{
    struct watcher *w = *rpc_job_state(job);
    w->full = false;
    if (w->late)
        tell(context, w);
}

static void watch_cancelled(void *context, struct rpc_job *job)
{
    struct watcher *w = *rpc_job_state(job);
    (void)context;
    if (!w)
        return;
    LIST_REMOVE(w, link);
    free(w);
}

static const struct rpc_streaming watching = {
    .message = watch_message, .room = watch_room, .cancelled = watch_cancelled};

/* ---- The service ---- */

static const struct rpc_procedure procedures[HEALTH_PROCEDURES] = {
    [HEALTH_CHECK] = {.name = "Check",
                      .argument_bytes = RPC_ANY_SIZE,
                      .result_bytes = RPC_ANY_SIZE,
                      .class = RPC_PURE,
                      .handle = check_sstub},
    [HEALTH_WATCH] = {.name = "Watch",
                      .argument_bytes = RPC_ANY_SIZE,
                      .result_bytes = RPC_ANY_SIZE,
                      .class = RPC_PURE,
                      .streaming = &watching},
};

const struct rpc_messages health_messages = {&grpc__health__v1__health__descriptor, procedures};

struct health *health_serve(struct rpc_dispatcher *rpc, const struct rpc_messages *const *list)
{
    struct health *h = calloc(1, sizeof(*h));
    if (!h) {
        errno = ENOMEM;
        return NULL;
    }
    h->list = list;
    h->serving = true;
    LIST_INIT(&h->watchers);
    const struct rpc_service service = {
        .name = "health",
        .procedures = procedures,
        .count = HEALTH_PROCEDURES,
        .context = h,
        .release = free,
    };
    if (rpc_register(rpc, &service) == 0)
        return h;
    free(h);
    return NULL;
}

void health_set(struct health *h, bool serving)
{
    struct watcher *w;
    h->serving = serving;
    LIST_FOREACH(w, &h->watchers, link)
        tell(h, w);
}
