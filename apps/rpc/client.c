/* SPDX-License-Identifier: MIT */
/*
 * A call is a series of attempts, each of which the wire carries, with pauses between:
 *
 *     start --> attempt --result, error, or no further attempt is allowed--> ended
 *                 ^  `--not executed, unknown, or half of the time is over--> pause
 *                 `---------------------------------------------------------------'
 *
 * An attempt has half of the time that is left, the last one all of it: a server that is silent,
 * since it has lost its memory of the connection, must not use up the deadline. One attempt that
 * may have been executed makes the outcome unknown, however the later ones fail.
 *
 * A stream, which may be silent for as long as it likes, has all of the time at once; the wire
 * finds out if its server is there. Once it has told a message, there is no further attempt.
 */
#include "rpc/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "rpc/retry.h"

struct rpc_call {
    TAILQ_ENTRY(rpc_call) link;
    struct rpc_channel *channel;
    struct rpc_request request;
    struct rpc_attempt *attempt; /* NULL: it pauses */
    unsigned attempts;
    bool unknown; /* an attempt may have been executed */
    bool told;    /* a message of a stream */
    uint64_t sequence;
    struct strait_timer deadline;
    struct strait_timer turn; /* the end of the attempt's time, or of the pause */
    rpc_ended *ended;
    rpc_message_ended *message_ended; /* one of the two */
    rpc_message_told *message_told;   /* NULL: it is no stream */
    void *context;
    struct rpc_detail detail;
    uint8_t arguments[];
};

struct rpc_channel {
    struct rpc_channel_config config;
    void *transport;              /* of the wire */
    uint64_t client;              /* of identities */
    uint64_t sequence;            /* the last one given */
    bool known;                   /* to the server, by this identity: it has answered */
    uint64_t identified_ns;       /* when the last identified call began or ended */
    TAILQ_HEAD(, rpc_call) calls; /* as they began: sequences grow */
    size_t call_count;
    struct rpc_budget budget;
    struct rpc_channel_counters counters;
};

static struct strait_env *env_of(const struct rpc_call *call)
{
    return call->channel->config.host.env;
}

void rpc_detail_unconnected(struct rpc_detail *detail, int error)
{
    snprintf(detail->text, sizeof(detail->text), "no connection: %s", strerror(error));
}

/* ---- The end --------------------------------------------------------------------------------- */

/* Nothing of it happens any more. */
static void detach(struct rpc_call *call)
{
    struct strait_env *env = env_of(call);
    env->timer_stop(env, &call->deadline);
    env->timer_stop(env, &call->turn);
    TAILQ_REMOVE(&call->channel->calls, call, link);
    call->channel->call_count--;
    if (call->request.procedure->identified)
        call->channel->identified_ns = env->now(env);
}

static void end(struct rpc_call *call, struct rpc_reply reply, const uint8_t *result)
{
    if (call->unknown && reply.outcome == RPC_NOT_EXECUTED)
        reply.outcome = RPC_UNKNOWN;
    if (reply.outcome == RPC_RESULT || reply.outcome == RPC_ERROR)
        rpc_budget_earn(&call->channel->budget);
    if (call->request.procedure->identified && reply.outcome == RPC_RESULT)
        call->channel->known = true;
    detach(call);
    if (call->message_ended)
        call->message_ended(call->context, reply, result, &call->detail);
    else
        call->ended(call->context, reply, result);
    free(call);
}

static void abandon(struct rpc_call *call)
{
    if (call->attempt && call->channel->config.wire->abandon(call->attempt) == RPC_UNKNOWN)
        call->unknown = true;
    call->attempt = NULL;
}

enum rpc_outcome rpc_call_cancel(struct rpc_call *call)
{
    abandon(call);
    enum rpc_outcome outcome = call->unknown ? RPC_UNKNOWN : RPC_NOT_EXECUTED;
    detach(call);
    free(call);
    return outcome;
}

static void deadline_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct rpc_call *call =
        (struct rpc_call *)(void *)((char *)timer - offsetof(struct rpc_call, deadline));
    call->channel->counters.deadlines++;
    abandon(call);
    end(call, (struct rpc_reply){RPC_NOT_EXECUTED, RPC_DEADLINE_EXCEEDED}, NULL);
}

/* ---- Attempts -------------------------------------------------------------------------------- */

static bool may_try_again(const struct rpc_call *call)
{
    return !call->told && call->attempts < call->channel->config.attempts_max &&
           rpc_is_repeatable(call->request.procedure);
}

/* Pauses before the next attempt, if there may be one in time; else it ends like this. */
static void pause_or_end(struct rpc_call *call, struct rpc_reply reply)
{
    struct strait_env *env = env_of(call);
    struct rpc_channel *channel = call->channel;
    uint64_t now_ns = env->now(env);
    uint32_t random;
    call->unknown = call->unknown || reply.outcome == RPC_UNKNOWN;
    if (!may_try_again(call)) {
        end(call, reply, NULL);
        return;
    }
    env->random(env, &random, sizeof(random));
    uint64_t pause_ns = rpc_backoff(call->attempts, random);
    if (now_ns + pause_ns >= call->request.deadline_ns) {
        end(call, reply, NULL);
        return;
    }
    if (!rpc_budget_take(&channel->budget, now_ns)) {
        channel->counters.retries_refused++;
        end(call, reply, NULL);
        return;
    }
    env->timer_start(env, &call->turn, now_ns + pause_ns);
}

static void attempt_ended(void *owner, struct rpc_reply reply, const uint8_t *result)
{
    struct rpc_call *call = owner;
    struct strait_env *env = env_of(call);
    env->timer_stop(env, &call->turn);
    call->attempt = NULL;
    if (reply.outcome == RPC_RESULT || reply.outcome == RPC_ERROR)
        end(call, reply, result);
    else
        pause_or_end(call, reply);
}

static bool attempt_told(void *owner, const uint8_t *bytes, size_t length)
{
    struct rpc_call *call = owner;
    call->told = true;
    return call->message_told(call->context, bytes, length);
}

static const struct rpc_call *first_identified(const struct rpc_channel *channel)
{
    const struct rpc_call *call;
    TAILQ_FOREACH(call, &channel->calls, link)
        if (call->request.procedure->identified)
            return call;
    return NULL;
}

/*
 * An earlier call may have ended since the last attempt: the server may forget it. But a server
 * that has never heard of this client must not take it for one that it has forgotten: until it has
 * answered, the client gives nothing up.
 */
static void write_identity(struct rpc_call *call)
{
    const struct rpc_channel *channel = call->channel;
    const struct rpc_identity identity = {
        .client = channel->client,
        .sequence = call->sequence,
        .lowest = channel->known ? first_identified(channel)->sequence : 1,
    };
    rpc_identity_marshal(&identity, call->arguments);
}

static void try(struct rpc_call *call)
{
    struct strait_env *env = env_of(call);
    uint64_t now_ns = env->now(env), left_ns = call->request.deadline_ns - now_ns;
    call->attempts++;
    call->channel->counters.attempts++;
    if (call->request.procedure->identified)
        write_identity(call);
    call->detail.result_bytes = 0;
    call->detail.text[0] = '\0';
    call->attempt = call->channel->config.wire->begin(&call->request);
    if (!call->attempt) {
        rpc_detail_unconnected(&call->detail, errno);
        pause_or_end(call, (struct rpc_reply){RPC_NOT_EXECUTED, RPC_UNAVAILABLE});
    } else if (!call->message_told && may_try_again(call))
        env->timer_start(env, &call->turn, now_ns + left_ns / 2);
}

static void turn_expired(void *owner, struct strait_timer *timer)
{
    struct strait_env *env = owner;
    struct rpc_call *call =
        (struct rpc_call *)(void *)((char *)timer - offsetof(struct rpc_call, turn));
    if (env->now(env) >= call->request.deadline_ns)
        return; /* the deadline's own timer says so next */
    if (!call->attempt) {
        try(call);
        return;
    }
    abandon(call);
    pause_or_end(call, (struct rpc_reply){RPC_NOT_EXECUTED, RPC_DEADLINE_EXCEEDED});
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static uint64_t limit_deadline(uint64_t deadline_ns, uint64_t now_ns)
{
    if (deadline_ns == 0)
        return now_ns + RPC_DEADLINE_DEFAULT_NS;
    uint64_t latest_ns = now_ns + RPC_DEADLINE_MAX_NS;
    return deadline_ns < latest_ns ? deadline_ns : latest_ns;
}

static void new_identity(struct rpc_channel *channel)
{
    struct strait_env *env = channel->config.host.env;
    env->random(env, &channel->client, sizeof(channel->client));
    channel->sequence = 0;
    channel->known = false;
}

static uint64_t next_sequence(struct rpc_channel *channel, uint64_t now_ns)
{
    if (now_ns - channel->identified_ns > RPC_IDENTITY_REST_NS && !first_identified(channel))
        new_identity(channel);
    channel->identified_ns = now_ns;
    return ++channel->sequence;
}

/* Begins a call without anybody to tell of its end yet. */
static struct rpc_call *start(struct rpc_channel *channel, const struct rpc_procedure *procedure,
                              const uint8_t *arguments, size_t argument_bytes, uint64_t deadline_ns)
{
    struct strait_env *env = channel->config.host.env;
    uint64_t now_ns = env->now(env);
    struct rpc_call *call = NULL;
    if (channel->call_count == RPC_CALLS_MAX)
        errno = EAGAIN;
    else
        call = calloc(1, sizeof(*call) + argument_bytes);
    if (!call)
        return NULL;
    call->channel = channel;
    call->request = (struct rpc_request){
        .host = &channel->config.host,
        .server = &channel->config.server,
        .procedure = procedure,
        .arguments = call->arguments,
        .argument_bytes = argument_bytes,
        .deadline_ns = limit_deadline(deadline_ns, now_ns),
        .transport = channel->transport,
        .detail = &call->detail,
        .ended = attempt_ended,
        .owner = call,
    };
    if (argument_bytes > 0)
        memcpy(call->arguments, arguments, argument_bytes);
    if (procedure->identified)
        call->sequence = next_sequence(channel, now_ns);
    call->deadline.expired = deadline_expired;
    call->turn.expired = turn_expired;
    TAILQ_INSERT_TAIL(&channel->calls, call, link);
    channel->call_count++;
    channel->counters.calls++;
    env->timer_start(env, &call->deadline, call->request.deadline_ns);
    /* By a timer, so that nothing ends before this returns. */
    env->timer_start(env, &call->turn, STRAIT_AT_ONCE);
    return call;
}

struct rpc_call *rpc_call_start(struct rpc_channel *channel, const struct rpc_procedure *procedure,
                                const uint8_t *arguments, uint64_t deadline_ns, rpc_ended *ended,
                                void *context)
{
    struct rpc_call *call =
        start(channel, procedure, arguments, procedure->argument_bytes, deadline_ns);
    if (!call)
        return NULL;
    call->ended = ended;
    call->context = context;
    return call;
}

struct rpc_call *rpc_message_start(struct rpc_channel *channel,
                                   const struct rpc_procedure *procedure, const uint8_t *arguments,
                                   size_t argument_bytes, uint64_t deadline_ns,
                                   rpc_message_ended *ended, void *context)
{
    struct rpc_call *call = start(channel, procedure, arguments, argument_bytes, deadline_ns);
    if (!call)
        return NULL;
    call->message_ended = ended;
    call->context = context;
    return call;
}

struct rpc_call *rpc_stream_start(struct rpc_channel *channel,
                                  const struct rpc_procedure *procedure, const uint8_t *arguments,
                                  size_t argument_bytes, uint64_t deadline_ns,
                                  rpc_message_told *told, rpc_message_ended *ended, void *context)
{
    struct rpc_call *call =
        rpc_message_start(channel, procedure, arguments, argument_bytes,
                          deadline_ns ? deadline_ns : UINT64_MAX, ended, context);
    if (!call)
        return NULL;
    call->message_told = told;
    call->request.message = attempt_told;
    return call;
}

void rpc_call_more(struct rpc_call *call)
{
    if (call->attempt)
        call->channel->config.wire->more(call->attempt);
}

struct rpc_identity rpc_call_identity(const struct rpc_call *call)
{
    if (call->sequence == 0)
        return (struct rpc_identity){0};
    return (struct rpc_identity){.client = call->channel->client, .sequence = call->sequence};
}

/* What a blocking call waits for. */
struct awaited {
    const struct rpc_procedure *procedure;
    bool ended;
    struct rpc_reply reply;
    uint8_t *result;
};

static void awaited_ended(void *context, struct rpc_reply reply, const uint8_t *result)
{
    struct awaited *a = context;
    a->ended = true;
    a->reply = reply;
    if (result)
        memcpy(a->result, result, a->procedure->result_bytes);
}

struct rpc_reply call_rpc(struct rpc_channel *channel, const struct rpc_procedure *procedure,
                          const uint8_t *arguments, uint8_t *result)
{
    struct strait_env *env = channel->config.host.env;
    struct awaited a = {.procedure = procedure, .result = result};
    struct rpc_call *call = NULL;
    if (env->wait)
        call = rpc_call_start(channel, procedure, arguments, 0, awaited_ended, &a);
    if (!call)
        return (struct rpc_reply){RPC_NOT_EXECUTED, RPC_UNAVAILABLE};
    while (!a.ended) {
        if (env->wait(env, STRAIT_NEVER) == 0 || errno == EINTR)
            continue;
        if (!a.ended)
            a.reply = (struct rpc_reply){rpc_call_cancel(call), RPC_UNAVAILABLE};
        break;
    }
    return a.reply;
}

/* ---- Channels -------------------------------------------------------------------------------- */

struct rpc_channel *rpc_channel_new(const struct rpc_channel_config *config)
{
    struct strait_env *env = config->host.env;
    struct rpc_channel *channel = calloc(1, sizeof(*channel));
    if (!channel)
        return NULL;
    channel->config = *config;
    if (channel->config.attempts_max == 0)
        channel->config.attempts_max = RPC_ATTEMPTS_MAX;
    channel->identified_ns = env->now(env);
    new_identity(channel);
    TAILQ_INIT(&channel->calls);
    rpc_budget_init(&channel->budget, env->now(env));
    if (!config->wire->open)
        return channel;
    channel->transport = config->wire->open(&channel->config);
    if (channel->transport)
        return channel;
    free(channel);
    return NULL;
}

void rpc_channel_free(struct rpc_channel *channel)
{
    if (!channel)
        return;
    for (struct rpc_call *call = TAILQ_FIRST(&channel->calls), *next; call; call = next) {
        next = TAILQ_NEXT(call, link);
        rpc_call_cancel(call);
    }
    if (channel->transport)
        channel->config.wire->close(channel->transport);
    free(channel);
}

uint64_t rpc_channel_progress(const struct rpc_channel *channel)
{
    const struct rpc_wire *wire = channel->config.wire;
    return wire->progress ? wire->progress(channel->transport) : 0;
}

struct strait_env *rpc_channel_env(const struct rpc_channel *channel)
{
    return channel->config.host.env;
}

const struct rpc_channel_counters *rpc_channel_counters(const struct rpc_channel *channel)
{
    return &channel->counters;
}
