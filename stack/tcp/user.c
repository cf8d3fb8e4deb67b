/* SPDX-License-Identifier: MIT */
/* The user calls of RFC 9293 3.9.1 and 3.10.1 to 3.10.6, as the socket layer makes them. */
#define _GNU_SOURCE /* POLLRDHUP */
#include <errno.h>
#include <poll.h>

#include "base/shard.h"
#include "tcp/connection.h"

bool tcp_is_opening(const struct connection *c)
{
    return c->state == STATE_SYN_SENT || c->state == STATE_SYN_RECEIVED;
}

bool tcp_is_closed(const struct connection *c)
{
    return !connection_is_open(c);
}

int tcp_take_error(struct connection *c)
{
    int error = c->error;

    c->error = 0;
    return error;
}

int tcp_take_soft_error(struct connection *c)
{
    int error = c->soft_error;

    c->soft_error = 0;
    return error;
}

/* ---- OPEN ---- */

/* A local port whose tuple is free: RFC 6056 3.3.3, hashed by the destination. */
static int draw_port(struct tcp *tcp, struct tuple *tuple)
{
    const struct strait_config *config = &tcp->core->config;
    uint32_t range = shard_ports(config);
    uint32_t first = isn_port_offset(tcp->core, tuple) % range + tcp->ports_drawn % range;

    for (uint32_t i = 0; i < range; i++) {
        tcp->ports_drawn++;
        tuple->local_port = shard_port(config, (first + i) % range);
        if (!ports_taken(&tcp->ports, &tuple->local, tuple->local_port) && !entry_find(tcp, tuple))
            return 0;
    }
    errno = EADDRNOTAVAIL;
    return -1;
}

struct connection *tcp_connect(struct tcp *tcp, const struct binding *local,
                               const struct address *remote, uint16_t remote_port, void *owner)
{
    struct route route;
    if (ip_route_find(tcp->ip, local ? &local->address : NULL, remote, &route) < 0)
        return NULL;
    struct tuple tuple = {
        .local = route.source,
        .remote = *remote,
        .local_port = local ? local->port : 0,
        .remote_port = remote_port,
    };
    if (tuple.local_port == 0) {
        if (draw_port(tcp, &tuple) < 0)
            return NULL;
    } else if (entry_find(tcp, &tuple) ||
               !ip_answers_come_here(tcp->ip, &route, tuple.local_port, remote_port)) {
        errno = EADDRNOTAVAIL;
        return NULL;
    }

    struct connection *c = connection_new(tcp, &tuple, &route, STATE_SYN_SENT);
    if (!c)
        return NULL;
    c->owner = owner;
    c->scaling = tcp->core->config.window_scaling;
    c->timestamps = tcp->core->config.timestamps;
    c->sack = tcp->core->config.sack;
    c->ecn = tcp->core->config.ecn == STRAIT_ECN_REQUEST;
    c->receive_scale = connection_scale_offer(tcp->core->config.receive_buffer_bytes);
    c->mss = TCP_SEGMENT_UNTOLD;
    c->iss = isn_choose(tcp->core, &tuple);
    c->snd_una = c->snd_nxt = c->snd_resend = c->recover = c->iss;
    output_queue(tcp, c);
    return c;
}

/* ---- SEND ---- */

static size_t parts_bytes(const struct iovec *parts, int count_parts)
{
    size_t bytes = 0;

    for (int i = 0; i < count_parts; i++)
        bytes += parts[i].iov_len;
    return bytes;
}

/* Returns 0, or -1 with errno: what a call to send says before it looks for room. */
static inline int may_send(struct connection *c)
{
    if (c->error)
        errno = tcp_take_error(c);
    else if (tcp_is_opening(c))
        errno = EAGAIN;
    else if (c->fin_queued || !connection_is_open(c))
        errno = EPIPE;
    else
        return 0;
    return -1;
}

/* What the send buffer has room for. */
static size_t send_room(const struct connection *c)
{
    uint64_t queued = c->send.end - c->send.start;
    size_t room = c->send_limit_bytes > queued ? (size_t)(c->send_limit_bytes - queued) : 0;

    if (!c->unsent_limited)
        return room;
    uint32_t unsent = tcp_unsent(c);
    uint32_t most = c->unsent_low > unsent ? c->unsent_low - unsent : 0;
    return room < most ? room : most;
}

/* Memory was too short for what was to be sent: it will be told when it is back. */
static void starve(struct tcp *tcp, struct connection *c)
{
    count(tcp->core, tcp_memory_short);
    c->send_starved = true;
    connection_starve(tcp, c);
}

/* Appends what there is memory for to a send buffer that holds little: it may take from what much
 * has to leave. Returns how many bytes. */
static size_t write_little(struct tcp *tcp, struct connection *c, const uint8_t *bytes,
                           size_t length)
{
    struct pool *pool = &tcp->core->pool;
    size_t held = buffer_memory(&c->send);
    size_t little = held < MODEST_BYTES ? MODEST_BYTES - held : 0;
    return buffer_write(&c->send, pool, spare_of_little(pool), c->send.end, bytes,
                        length < little ? length : little);
}

/* Appends to the send buffer as much as there is memory for. Returns how many bytes. */
static inline size_t write_text(struct tcp *tcp, struct connection *c, const uint8_t *bytes,
                                size_t length)
{
    struct pool *pool = &tcp->core->pool;
    size_t taken = buffer_write(&c->send, pool, spare_of_much(pool), c->send.end, bytes, length);
    return taken == length ? taken : taken + write_little(tcp, c, bytes + taken, length - taken);
}

ssize_t tcp_send(struct tcp *tcp, struct connection *c, const struct iovec *parts, int count_parts,
                 bool more)
{
    c->more = more;
    if (may_send(c) < 0)
        return -1;

    size_t total = 0, room = send_room(c);
    for (int i = 0; i < count_parts && room > 0; i++) {
        size_t wanted = parts[i].iov_len < room ? parts[i].iov_len : room;
        size_t taken = write_text(tcp, c, parts[i].iov_base, wanted);
        total += taken;
        room -= taken;
        if (taken < wanted) {
            starve(tcp, c);
            break;
        }
    }
    if (total == 0 && parts_bytes(parts, count_parts) > 0) {
        errno = EAGAIN;
        return -1;
    }
    output_queue(tcp, c);
    return (ssize_t)total;
}

int tcp_send_whole(struct tcp *tcp, struct connection *c, const struct iovec *part)
{
    struct pool *pool = &tcp->core->pool;
    uint64_t end = c->send.end;

    if (may_send(c) < 0)
        return -1;
    if (send_room(c) == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (write_text(tcp, c, part->iov_base, part->iov_len) < part->iov_len) {
        buffer_drop_above(&c->send, pool, end);
        starve(tcp, c);
        errno = EAGAIN;
        return -1;
    }
    output_queue(tcp, c);
    return 0;
}

int tcp_send_reference(struct tcp *tcp, struct connection *c, const void *bytes, size_t length,
                       void (*release)(void *argument), void *argument)
{
    if (may_send(c) < 0)
        return -1;
    if (send_room(c) == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (buffer_append_external(&c->send, bytes, length, release, argument) < 0) {
        starve(tcp, c);
        errno = EAGAIN;
        return -1;
    }
    output_queue(tcp, c);
    return 0;
}

void tcp_mark_urgent(struct tcp *tcp, struct connection *c)
{
    /* Where the peer's window holds the text back, it learns of it all the same, once: more bare
     * acknowledgements would be duplicates to it (RFC 5681 2). */
    if (!c->urgent && seq_ge(c->snd_nxt, c->snd_una + c->snd_wnd))
        c->ack_due = ACK_NOW;
    c->urgent = true;
    c->snd_up = output_end_seq(c);
    output_queue(tcp, c);
}

/* ---- RECEIVE ---- */

/* The place of the last urgent byte. Meaningless if nothing urgent has been announced. */
static uint64_t mark(const struct connection *c)
{
    return c->urgent_end - 1;
}

bool tcp_is_at_mark(const struct connection *c)
{
    return c->urgent_told && c->receive.start == mark(c);
}

/* A read stops at the mark, where it can be seen (POSIX 2.10.12). */
static uint64_t readable_at_once(const struct connection *c)
{
    uint64_t readable = connection_readable(c);
    bool ahead = c->urgent_told && c->receive.start < mark(c);

    return ahead && mark(c) - c->receive.start < readable ? mark(c) - c->receive.start : readable;
}

/* What a call to receive says when there is nothing to read: 0 for the end, or -1 with errno. */
static int nothing_to_read(struct connection *c)
{
    if (c->error) {
        errno = tcp_take_error(c);
        return -1;
    }
    if (c->receive_shut || receive_fin_taken(c) || !connection_is_open(c))
        return 0;
    errno = EAGAIN;
    return -1;
}

ssize_t tcp_receive(struct tcp *tcp, struct connection *c, const struct iovec *parts,
                    int count_parts, bool peek)
{
    uint64_t readable = readable_at_once(c);
    uint64_t position = c->receive.start;

    if (readable == 0)
        return nothing_to_read(c);
    for (int i = 0; i < count_parts && readable > 0; i++) {
        size_t length = parts[i].iov_len < readable ? parts[i].iov_len : (size_t)readable;
        if (parts[i].iov_base)
            buffer_read(&c->receive, position, parts[i].iov_base, length);
        position += length;
        readable -= length;
    }
    ssize_t total = (ssize_t)(position - c->receive.start);
    if (!peek && total > 0) {
        buffer_drop_below(&c->receive, &tcp->core->pool, position);
        receive_consumed(tcp, c);
    }
    return total;
}

int tcp_borrow(struct connection *c, struct iovec *parts, int max)
{
    uint64_t readable = readable_at_once(c);
    size_t covered;

    if (readable == 0)
        return nothing_to_read(c);
    return buffer_view(&c->receive, c->receive.start, (size_t)readable, parts, max, &covered);
}

int tcp_consume(struct tcp *tcp, struct connection *c, size_t bytes)
{
    if (bytes > readable_at_once(c)) {
        errno = EINVAL;
        return -1;
    }
    buffer_drop_below(&c->receive, &tcp->core->pool, c->receive.start + bytes);
    receive_consumed(tcp, c);
    return 0;
}

/* ---- CLOSE and ABORT ---- */

/* RFC 9293 3.10.4: our FIN goes behind what is queued. */
static void queue_fin(struct tcp *tcp, struct connection *c)
{
    if (c->fin_queued)
        return;
    c->fin_queued = true;
    if (c->state == STATE_ESTABLISHED)
        connection_set_state(tcp, c, STATE_FIN_WAIT_1);
    else if (c->state == STATE_CLOSE_WAIT)
        connection_set_state(tcp, c, STATE_LAST_ACK);
    output_queue(tcp, c);
}

int tcp_shutdown_send(struct tcp *tcp, struct connection *c)
{
    if (c->state == STATE_SYN_SENT || c->state == STATE_CLOSED) {
        errno = ENOTCONN;
        return -1;
    }
    queue_fin(tcp, c);
    connection_wake(tcp, c);
    return 0;
}

void tcp_shutdown_receive(struct tcp *tcp, struct connection *c)
{
    c->receive_shut = true;
    buffer_drop_below(&c->receive, &tcp->core->pool, c->receive_position);
    receive_consumed(tcp, c);
    connection_wake(tcp, c);
}

void tcp_leave(struct tcp *tcp, struct connection *c, bool reset)
{
    if (!connection_is_open(c) || c->state == STATE_SYN_SENT) {
        connection_finish(tcp, c);
        return;
    }
    if (reset || connection_readable(c) > 0) { /* RFC 2525 2.17: the peer must learn of the loss */
        connection_abort(tcp, c, ECONNRESET);
        return;
    }
    if (tcp->orphans >= tcp->core->config.orphans_max) {
        count(tcp->core, tcp_orphans_limited);
        connection_abort(tcp, c, ECONNABORTED);
        return;
    }
    c->orphan = true;
    tcp->orphans++;
    queue_fin(tcp, c);
    c->waiting_since_ns = tcp->core->now_ns; /* the peer has its time, however slow it was before */
    timers_arm(tcp, c);                      /* FIN-WAIT-2 is timed only for an orphan */
}

bool tcp_is_leaving(const struct connection *c)
{
    return c->state == STATE_FIN_WAIT_1 || c->state == STATE_CLOSING || c->state == STATE_LAST_ACK;
}

void tcp_let_go(struct tcp *tcp, struct connection *c)
{
    c->owner = NULL;
    if (!connection_is_open(c))
        connection_finish(tcp, c); /* it was kept for its owner alone */
}

void tcp_close(struct tcp *tcp, struct connection *c, bool reset)
{
    tcp_leave(tcp, c, reset);
    tcp_let_go(tcp, c);
}

/* ---- STATUS ---- */

/* As Linux: what is left of a window must not wait for more than it lets in. */
static bool is_worth_reading(const struct connection *c)
{
    uint64_t readable = connection_readable(c);

    return readable > 0 && (readable >= c->receive_low || c->rcv_edge - c->rcv_nxt <= c->rcv_mss);
}

/* Whether more urgent data is to be read, or is to come (RFC 9293 3.8.5, MUST-33). */
static bool is_urgent(const struct connection *c)
{
    if (!c->urgent_told)
        return false;
    bool ended = receive_fin_taken(c) || !connection_is_open(c);
    uint64_t comes = ended ? c->receive_position : UINT64_MAX;

    return c->receive.start < c->urgent_end && c->receive.start < comes;
}

int tcp_events(const struct connection *c, int wanted)
{
    bool over = !connection_is_open(c);
    bool closed = over || c->fin_queued;
    int events = c->error ? POLLERR : 0;

    if (tcp_is_opening(c))
        return 0;
    if (over || c->receive_shut || receive_fin_taken(c))
        events |= closed ? POLLIN | POLLRDHUP | POLLHUP : POLLIN | POLLRDHUP;
    else if (is_worth_reading(c))
        events |= POLLIN;
    if (is_urgent(c))
        events |= POLLPRI;
    if ((wanted & POLLOUT) && (closed || (!c->send_starved && connection_writable(c))))
        events |= POLLOUT;
    return events;
}

struct tcp_names tcp_names(const struct connection *c)
{
    const struct tuple *t = &c->entry.tuple;

    return (struct tcp_names){t->local, t->remote, t->local_port, t->remote_port};
}

uint32_t tcp_mss(const struct connection *c)
{
    return c->mss;
}

const char *tcp_congestion_default(void)
{
    return congestion_newreno.name;
}

uint32_t tcp_unacknowledged(const struct connection *c)
{
    if (tcp_is_opening(c) || !connection_is_open(c))
        return 0;
    return (uint32_t)(c->send.end - c->send.start) + tcp_is_leaving(c);
}

uint32_t tcp_unsent(const struct connection *c)
{
    uint32_t end = output_end_seq(c);

    if (tcp_is_opening(c) || !connection_is_open(c))
        return 0;
    return seq_lt(c->snd_nxt, end) ? end - c->snd_nxt : 0;
}

uint32_t tcp_readable(const struct connection *c)
{
    return (uint32_t)connection_readable(c);
}

void tcp_set_nodelay(struct tcp *tcp, struct connection *c, bool on)
{
    c->nodelay = on;
    if (!on || !connection_is_open(c) || tcp_is_opening(c) || c->snd_resend == output_end_seq(c))
        return;
    c->push = true; /* what Nagle held goes now; as Linux, even out of a cork */
    output_queue(tcp, c);
}

void tcp_set_cork(struct tcp *tcp, struct connection *c, bool on)
{
    c->corked = on;
    if (on || !connection_is_open(c))
        return;
    c->more = false;
    output_queue(tcp, c);
}

void tcp_set_ip(struct connection *c, const struct tcp_ip_settings *settings)
{
    c->ttl = settings->ttl;
    c->tos = settings->tos;
    c->may_be_cut = settings->may_be_cut;
    c->tells_failures = settings->tells_failures;
}

int tcp_mtu(const struct connection *c)
{
    return c->path_mtu;
}

void tcp_set_keepalive(struct tcp *tcp, struct connection *c, const struct tcp_keepalive *keepalive)
{
    c->keepalive = *keepalive;
    c->keeps_alive = keepalive->on;
    if (!connection_is_open(c))
        return;
    if (c->timer_purpose == TIMER_KEEPALIVE)
        timers_forget(c); /* to be settled for the new times */
    output_queue(tcp, c);
}

void tcp_set_user_timeout(struct tcp *tcp, struct connection *c, uint32_t timeout_ms)
{
    c->user_timeout_ms = timeout_ms;
    timers_hasten(tcp, c);
}

void tcp_set_reuse(struct tcp *tcp, struct connection *c, const struct binding *binding)
{
    if (connection_is_open(c))
        entry_share(tcp, &c->entry, holds_sharing(binding));
}

void tcp_set_opening(struct connection *c, uint16_t max_segment, uint8_t syn_retries)
{
    c->max_segment = max_segment;
    if (syn_retries > 0)
        c->syn_retries = syn_retries;
}

void tcp_set_quick_ack(struct tcp *tcp, struct connection *c, bool on)
{
    c->quick_ack = on;
    if (!on || c->ack_due != ACK_DELAYED || !connection_is_open(c))
        return;
    c->ack_due = ACK_NOW;
    output_queue(tcp, c);
}

void tcp_set_unsent_low(struct tcp *tcp, struct connection *c, uint32_t bytes)
{
    c->unsent_low = bytes;
    c->unsent_limited = bytes > 0;
    connection_wake(tcp, c);
}

void tcp_set_receive_low(struct connection *c, uint32_t bytes)
{
    c->receive_low = bytes;
}

void tcp_set_send_buffer(struct tcp *tcp, struct connection *c, uint32_t bytes)
{
    c->send_limit_bytes = bytes;
    c->send_fixed = true;
    connection_wake(tcp, c);
}

void tcp_set_receive_buffer(struct tcp *tcp, struct connection *c, uint32_t bytes)
{
    c->receive_limit_bytes = bytes;
    c->receive_fixed = true;
    receive_consumed(tcp, c);
}
