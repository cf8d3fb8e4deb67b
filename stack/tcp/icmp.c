/* SPDX-License-Identifier: MIT */
/*
 * What ICMP errors do to connections (RFC 9293 3.9.2.2). Anyone can make such a message, so one is
 * believed only if it quotes a segment that is in flight (RFC 5927 4.1), and even then it does
 * little: it ends a connection that is being opened, explains a timeout, or makes segments smaller,
 * down to a floor. Half-open records and those in TIME-WAIT have nothing to lose or to learn by it.
 */
#include "tcp/connection.h"

/* The connection that has sent the quoted segment and waits for its acknowledgement, or NULL. */
static struct connection *find_sender(struct tcp *tcp, const struct ip_error *error)
{
    struct reader r = reader_over(error->quote, error->quote_bytes);
    struct tuple tuple = {.local = error->local, .remote = error->remote};

    tuple.local_port = read_be16(&r);
    tuple.remote_port = read_be16(&r);
    uint32_t seq = read_be32(&r);
    struct entry *e = r.short_of ? NULL : entry_find(tcp, &tuple);
    if (!e || e->kind != ENTRY_CONNECTION)
        return NULL;

    struct connection *c = container_of(e, struct connection, entry);
    return seq_ge(seq, c->snd_una) && seq_lt(seq, c->snd_nxt) ? c : NULL;
}

/* RFC 1191 6.4: what was dropped for its size is sent again at once, in segments that fit. */
static void too_big(struct tcp *tcp, struct connection *c, const struct ip_error *error)
{
    if (tcp_is_opening(c)) { /* nothing is smaller than a SYN, whatever the quote says */
        count(tcp->core, ip_path_refused);
        return;
    }
    struct route route = connection_route(c);
    if (!ip_path_too_big(tcp->ip, &route, error))
        return;
    c->path_mtu = route.mtu;
    connection_fit_path(c);
    loss_too_big(tcp, c);
}

/*
 * Whether the message ends the connection. A condition that will hold refuses one that is being
 * opened. Everything else may pass (MUST-56), and of an open connection a stranger may have said it
 * (RFC 5927 5.2).
 */
static bool refuses(const struct connection *c, const struct ip_error *error, bool hard)
{
    return hard && error->type == ICMP_TYPE_UNREACHABLE && c->state == STATE_SYN_SENT;
}

void tcp_error(void *self, const struct ip_error *error)
{
    struct tcp *tcp = self;
    struct connection *c = find_sender(tcp, error);

    if (!c) {
        count(tcp->core, icmp_quote_unmatched);
        return;
    }
    if (ip_error_is_too_big(error)) {
        too_big(tcp, c, error);
        return;
    }
    bool hard;
    int reason = icmp_errno(error, &hard);
    if (refuses(c, error, hard)) {
        count(tcp->core, tcp_connections_refused);
        connection_fail(tcp, c, reason);
    } else if (reason) {
        c->soft_error = (uint8_t)reason; /* SHLD-25 */
        if (c->tells_failures) {
            c->error = (uint8_t)reason;
            connection_wake(tcp, c);
        }
    }
}
