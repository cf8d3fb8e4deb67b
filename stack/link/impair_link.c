/* SPDX-License-Identifier: MIT */
/*
 * An impairment in front of a link: one for what is sent, one for what is received, and one timer
 * for both, which stands on whatever is due next. What is due at once passes at once.
 */
#include <stdlib.h>

#include "base/list.h"
#include "link/impair.h"

struct impair_link {
    struct strait_link link;
    struct strait_link *inner;
    struct strait_env *env;
    struct strait_timer timer;
    uint64_t timer_ns; /* what the timer is set to */
    struct impair out, in;
    uint64_t now_ns; /* of what is being delivered upward */
    int delivered;   /* packets, since the present drain began */
};

static struct impair_link *impair_link_of(struct strait_link *link)
{
    return container_of(link, struct impair_link, link);
}

static void deliver_out(void *context, const void *packet, size_t length,
                        const struct strait_offload *offload)
{
    struct impair_link *l = context;
    const struct iovec part = {(void *)(uintptr_t)packet, length};
    l->inner->send(l->inner, &part, 1, offload);
}

static void deliver_in(void *context, const void *packet, size_t length,
                       const struct strait_offload *offload)
{
    struct impair_link *l = context;
    l->delivered++;
    l->link.receive(&l->link, packet, length, offload, l->now_ns);
}

static void set_timer(struct impair_link *l)
{
    uint64_t out_ns = impair_next(&l->out), in_ns = impair_next(&l->in);
    uint64_t next_ns = out_ns < in_ns ? out_ns : in_ns;
    if (next_ns == l->timer_ns)
        return;
    l->timer_ns = next_ns;
    if (next_ns == STRAIT_NEVER)
        l->env->timer_stop(l->env, &l->timer);
    else
        l->env->timer_start(l->env, &l->timer, next_ns);
}

static void send_due(struct impair_link *l, uint64_t now_ns)
{
    while (impair_take(&l->out, now_ns, deliver_out, l))
        ;
}

static void receive_due(struct impair_link *l, uint64_t now_ns)
{
    l->now_ns = now_ns;
    while (impair_take(&l->in, now_ns, deliver_in, l))
        ;
}

static void timer_expired(void *owner, struct strait_timer *timer)
{
    struct strait_env *env = owner;
    struct impair_link *l = container_of(timer, struct impair_link, timer);
    uint64_t now_ns = env->now(env);
    l->timer_ns = STRAIT_NEVER;
    receive_due(l, now_ns);
    send_due(l, now_ns);
    set_timer(l);
}

static int impair_send(struct strait_link *link, const struct iovec *parts, int count,
                       const struct strait_offload *offload)
{
    struct impair_link *l = impair_link_of(link);
    uint64_t now_ns = l->env->now(l->env);
    int result = impair_put(&l->out, parts, count, offload, now_ns);
    send_due(l, now_ns);
    set_timer(l);
    return result;
}

static void impair_receive(struct strait_link *inner, const void *packet, size_t length,
                           const struct strait_offload *offload, uint64_t now_ns)
{
    struct impair_link *l = inner->upper;
    const struct iovec part = {(void *)(uintptr_t)packet, length};
    impair_put(&l->in, &part, 1, offload, now_ns);
    receive_due(l, now_ns);
    set_timer(l);
}

/* A packet that only has entered is not received yet, and does not count. */
static int impair_drain(struct strait_link *link, uint64_t now_ns, size_t budget_bytes)
{
    struct impair_link *l = impair_link_of(link);
    l->delivered = 0;
    int packets = l->inner->drain(l->inner, now_ns, budget_bytes);
    return packets < 0 ? -1 : l->delivered;
}

static void impair_close(struct strait_link *link)
{
    struct impair_link *l = impair_link_of(link);
    struct strait_link *inner = l->inner;
    send_due(l, STRAIT_NEVER);
    l->env->timer_stop(l->env, &l->timer);
    impair_clear(&l->out);
    impair_clear(&l->in);
    free(l);
    if (inner->close)
        inner->close(inner);
}

struct strait_link *impair_link_new(struct strait_link *inner, struct strait_env *env,
                                    const struct impair_config *out, const struct impair_config *in,
                                    uint64_t seed)
{
    struct impair_link *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    struct prng seeds;
    prng_seed(&seeds, seed);
    impair_init(&l->out, out, prng_next(&seeds));
    impair_init(&l->in, in, prng_next(&seeds));
    l->inner = inner;
    l->env = env;
    l->timer.expired = timer_expired;
    l->timer_ns = STRAIT_NEVER;
    l->link = (struct strait_link){
        .size = sizeof(struct strait_link),
        .name = inner->name,
        .mtu = inner->mtu,
        .features = inner->features,
        .fd = inner->fd,
        .send = impair_send,
        .drain = inner->drain ? impair_drain : NULL,
        .close = impair_close,
    };
    inner->receive = impair_receive;
    inner->upper = l;
    return &l->link;
}

void impair_link_counters(const struct strait_link *link,
                          void (*visit)(void *context, const char *name, uint64_t value),
                          void *context)
{
    const struct impair_link *l = container_of(link, const struct impair_link, link);
#define VISIT_OUT(name) visit(context, "impair_out_" #name, l->out.counters.name);
    IMPAIR_COUNTERS(VISIT_OUT)
#undef VISIT_OUT
#define VISIT_IN(name) visit(context, "impair_in_" #name, l->in.counters.name);
    IMPAIR_COUNTERS(VISIT_IN)
#undef VISIT_IN
}
