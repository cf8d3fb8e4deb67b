/* SPDX-License-Identifier: MIT */
/* What strait_inspect shows of TCP. */
#include <linux/tcp.h>

#include "tcp/connection.h"

struct tour {
    const struct tcp *tcp;
    void (*visit)(void *context, const struct strait_endpoint *);
    void *context;
};

static struct strait_endpoint endpoint_of(const struct entry *e, enum strait_endpoint_kind kind,
                                          enum tcp_state state)
{
    return (struct strait_endpoint){
        .size = sizeof(struct strait_endpoint),
        .kind = (uint8_t)kind,
        .state = tcp_linux_state(state),
        .local = address_to_socket(&e->tuple.local, e->tuple.local_port),
        .remote = address_to_socket(&e->tuple.remote, e->tuple.remote_port),
    };
}

static void tell_timer(const struct tcp *tcp, uint64_t due_ns, const char *purpose,
                       struct strait_endpoint *endpoint)
{
    uint64_t now_ns = tcp->core->now_ns;

    if (due_ns == STRAIT_NEVER)
        return;
    endpoint->timer = purpose;
    endpoint->timer_ns = due_ns > now_ns ? due_ns - now_ns : 0;
}

static void show_connection(const struct tour *tour, const struct connection *c)
{
    static const char *const purposes[] = {
        [TIMER_NONE] = "none", [TIMER_RETRANSMIT] = "retransmit", [TIMER_PROBE] = "probe",
        [TIMER_CORK] = "cork", [TIMER_FIN_WAIT] = "fin-wait",     [TIMER_KEEPALIVE] = "keepalive",
    };
    struct strait_endpoint endpoint = endpoint_of(&c->entry, STRAIT_ENDPOINT_CONNECTION, c->state);
    struct tcp_info info;

    tcp_get_info(tour->tcp, c, &info);
    endpoint.orphan = c->orphan;
    endpoint.receive_queue = (uint32_t)connection_readable(c);
    endpoint.send_queue = (uint32_t)(c->send.end - c->send.start);
    endpoint.receive_limit_bytes = c->receive_limit_bytes;
    endpoint.send_limit_bytes = c->send_limit_bytes;
    endpoint.receive_memory_bytes = (uint32_t)buffer_memory(&c->receive);
    endpoint.send_memory_bytes = (uint32_t)buffer_memory(&c->send);
    endpoint.cwnd = c->congestion.cwnd;
    endpoint.ssthresh = c->congestion.ssthresh;
    endpoint.send_window = c->snd_wnd;
    endpoint.receive_window = c->rcv_edge - c->rcv_nxt;
    endpoint.congestion = c->algorithm->name;
    endpoint.info = &info;
    tell_timer(tour->tcp, timers_due_ns(tour->tcp, c), purposes[c->timer_purpose], &endpoint);
    tour->visit(tour->context, &endpoint);
}

static void show_half_open(const struct tour *tour, const struct half_open *h)
{
    struct strait_endpoint endpoint =
        endpoint_of(&h->entry, STRAIT_ENDPOINT_HALF_OPEN, STATE_SYN_RECEIVED);

    tell_timer(tour->tcp, half_open_due_ns(tour->tcp, h), "retransmit", &endpoint);
    tour->visit(tour->context, &endpoint);
}

static void show_time_wait(const struct tour *tour, const struct time_wait *w)
{
    struct strait_endpoint endpoint =
        endpoint_of(&w->entry, STRAIT_ENDPOINT_TIME_WAIT, STATE_TIME_WAIT);

    tell_timer(tour->tcp, time_wait_end_ns(tour->tcp, w), "time-wait", &endpoint);
    tour->visit(tour->context, &endpoint);
}

static void show_entry(void *context, struct table_node *node)
{
    const struct tour *tour = context;
    const struct entry *e = container_of(node, struct entry, node);

    switch ((enum entry_kind)e->kind) {
    case ENTRY_CONNECTION:
        show_connection(tour, container_of(e, const struct connection, entry));
        break;
    case ENTRY_HALF_OPEN:
        show_half_open(tour, container_of(e, const struct half_open, entry));
        break;
    case ENTRY_TIME_WAIT:
        show_time_wait(tour, container_of(e, const struct time_wait, entry));
        break;
    }
}

bool tcp_inspect(struct tcp *tcp, uint32_t *cursor,
                 void (*visit)(void *context, const struct strait_endpoint *), void *context)
{
    struct tour tour = {tcp, visit, context};

    return table_walk(&tcp->entries, cursor, show_entry, &tour);
}

void tcp_inspect_listener(const struct listener *l, struct strait_endpoint *endpoint)
{
    struct tcp_info info;

    tcp_get_no_info(l, &info);
    endpoint->kind = STRAIT_ENDPOINT_LISTENER;
    endpoint->state = info.tcpi_state;
    endpoint->local = address_to_socket(&l->address, l->port);
    endpoint->remote = (struct sockaddr_in){.sin_family = AF_INET};
    endpoint->receive_queue = l->waiting;
    endpoint->send_queue = l->backlog;
}
