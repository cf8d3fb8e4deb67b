/* SPDX-License-Identifier: MIT */
/*
 * What a connection tells to whoever traces it (strait_trace). Each record has all the values; a
 * fingerprint of them, which is all that a connection keeps, says whether there is something new.
 */
#include "base/siphash.h"
#include "tcp/connection.h"

/* What is traced; without padding, since its bytes are compared. */
struct values {
    uint32_t cwnd, ssthresh, srtt_us, rttvar_us, rto_us, send_window, receive_window;
    uint32_t state;
};
_Static_assert(sizeof(struct values) == 8 * sizeof(uint32_t), "no padding");

static struct values values_of(const struct tcp *tcp, const struct connection *c)
{
    return (struct values){
        .cwnd = c->congestion.cwnd,
        .ssthresh = c->congestion.ssthresh,
        .srtt_us = c->rtt.srtt_us,
        .rttvar_us = c->rtt.rttvar_us,
        .rto_us = (uint32_t)(rtt_timeout_ns(&c->rtt, &tcp->core->config, c->backoff) / 1000),
        .send_window = c->snd_wnd,
        .receive_window = c->rcv_edge - c->rcv_nxt,
        .state = tcp_linux_state(c->state),
    };
}

static uint32_t fingerprint(const struct tcp *tcp, const struct values *v)
{
    return (uint32_t)siphash(tcp->core->config.secret, v, sizeof(*v));
}

static void tell(struct tcp *tcp, const struct connection *c, const struct values *v,
                 enum strait_trace_event event, uint64_t position, uint32_t length)
{
    const struct tuple *tuple = &c->entry.tuple;
    const struct strait_trace record = {
        .size = sizeof(record),
        .time_ns = tcp->core->now_ns,
        .local = address_to_socket(&tuple->local, tuple->local_port),
        .remote = address_to_socket(&tuple->remote, tuple->remote_port),
        .event = event,
        .state = v->state,
        .position = position,
        .length = length,
        .cwnd = v->cwnd,
        .ssthresh = v->ssthresh,
        .srtt_us = v->srtt_us,
        .rttvar_us = v->rttvar_us,
        .rto_us = v->rto_us,
        .send_window = v->send_window,
        .receive_window = v->receive_window,
    };
    tcp->core->trace(tcp->core->trace_context, &record);
}

void trace_tell(struct tcp *tcp, struct connection *c, enum strait_trace_event event,
                uint64_t position, uint32_t length)
{
    const struct values v = values_of(tcp, c);

    c->traced = fingerprint(tcp, &v);
    tell(tcp, c, &v, event, position, length);
}

void trace_tell_changes(struct tcp *tcp, struct connection *c)
{
    const struct values v = values_of(tcp, c);
    uint32_t now = fingerprint(tcp, &v);

    if (now == c->traced)
        return;
    c->traced = now;
    tell(tcp, c, &v, STRAIT_TRACE_CHANGED, 0, 0);
}
