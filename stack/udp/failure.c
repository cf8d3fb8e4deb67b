/* SPDX-License-Identifier: MIT */
/*
 * Datagrams that do not get through, as ICMP tells. Anyone can make such a message, so a socket is
 * told only of what it can have sent: RFC 1122 4.1.3.3 wants the application to hear of it, if it
 * has said whom it talks to. Then a stranger has to know both ports; of a socket that is not
 * connected nobody remembers to whom it has sent, and any message about its port would be believed,
 * unless it asks for that (IP_RECVERR).
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "udp/endpoint.h"

/* A failure that waits to be read, at the front of a small block, and what was quoted behind it. */
struct kept {
    struct list node;
    struct udp_failure failure;
    uint32_t length;
    uint8_t payload[];
};

#define PAYLOAD_MAX (POOL_HEADER_BYTES + POOL_SMALL_BYTES - sizeof(struct kept))

/* ---- What is kept --------------------------------------------------------------------------- */

void udp_note_failure(struct udp *u, struct udp_endpoint *e, const struct udp_failure *failure,
                      const uint8_t *payload, size_t length)
{
    if (!e->keeps_failures)
        return;
    bool full = e->failure_count >= UDP_FAILURES_MAX;
    struct kept *k = full ? NULL : pool_take(&u->core->pool, POOL_SMALL, 0);
    if (k == NULL) {
        count(u->core, udp_failures_limited);
        return;
    }
    k->failure = *failure;
    k->length = (uint32_t)(length < PAYLOAD_MAX ? length : PAYLOAD_MAX);
    if (length > 0)
        memcpy(k->payload, payload, k->length);
    list_append(&e->failures, &k->node);
    e->failure_count++;
    u->wake(u->wake_context, e->owner);
}

static struct kept *oldest(struct udp_endpoint *e)
{
    return list_empty(&e->failures) ? NULL : container_of(e->failures.next, struct kept, node);
}

static void drop(struct udp *u, struct udp_endpoint *e, struct kept *k)
{
    list_remove(&k->node);
    e->failure_count--;
    pool_return(&u->core->pool, POOL_SMALL, k);
}

void udp_keep_failures(struct udp *u, struct udp_endpoint *e, bool on)
{
    struct kept *k;

    e->keeps_failures = on;
    while (!on && (k = oldest(e)) != NULL)
        drop(u, e, k);
}

/* As in Linux the next one becomes the pending error, so that no call passes over it. */
ssize_t udp_take_failure(struct udp *u, struct udp_endpoint *e, const struct iovec *parts,
                         int count_parts, struct udp_failure *failure)
{
    struct kept *k = oldest(e), *next;

    if (k == NULL) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t length = (ssize_t)k->length;
    *failure = k->failure;
    udp_scatter(parts, count_parts, k->payload, k->length);
    drop(u, e, k);
    next = oldest(e);
    if (next != NULL && next->failure.by_icmp)
        e->error = next->failure.error;
    else if (failure->by_icmp)
        e->error = 0;
    return length;
}

/* ---- What ICMP tells ------------------------------------------------------------------------ */

/*
 * A datagram of the endpoint was too big. Returns whether that is to be believed: what has a peer
 * finds that the path carries less than was known. Without a peer a stranger may say so, and to
 * take the path for narrow would let him make the host cut all that it sends there; but without DF
 * what comes next gets through, if it is.
 */
static bool too_big(struct udp *u, struct udp_endpoint *e, const struct ip_error *error)
{
    struct route route;

    if (e->mtu_discover == IP_PMTUDISC_INTERFACE || e->mtu_discover == IP_PMTUDISC_OMIT)
        return false;
    if (e->remote_port == 0) {
        e->cut_until_ns = u->core->now_ns + u->core->config.path_mtu_timeout_ms * NS_PER_MS;
        count(u->core, udp_cutting_allowed);
        return true;
    }
    return ip_route_find(u->ip, &error->local, &error->remote, &route) == 0 &&
           ip_path_too_big(u->ip, &route, error);
}

/* Whether the endpoint has said that it wants to hear of this. */
static bool listens(const struct udp_endpoint *e)
{
    return e->keeps_failures || e->remote_port != 0;
}

/* As in Linux, errors that may pass are told only to who keeps them, that a datagram was too big to
 * all but those that let routers cut it. */
static bool is_told(struct udp *u, struct udp_endpoint *e, const struct ip_error *error, bool hard)
{
    if (ip_error_is_too_big(error))
        return too_big(u, e, error) && listens(e) && e->mtu_discover != IP_PMTUDISC_DONT;
    return hard || e->keeps_failures;
}

void udp_tell_error(struct udp *u, struct udp_endpoint *e, const struct ip_error *error,
                    uint16_t remote_port, size_t header_bytes)
{
    bool hard;

    if (e == NULL || !(listens(e) || ip_error_is_too_big(error))) {
        count(u->core, icmp_quote_unmatched);
        return;
    }
    struct udp_failure failure = {
        .error = icmp_errno(error, &hard),
        .by_icmp = true,
        .type = error->type,
        .code = error->code,
        .mtu = error->mtu,
        .remote = error->remote,
        .port = remote_port,
        .teller = error->teller,
    };
    if (failure.error == 0 || !is_told(u, e, error, hard))
        return;
    udp_note_failure(u, e, &failure, error->quote + header_bytes,
                     error->quote_bytes - header_bytes);
    e->error = failure.error;
    u->wake(u->wake_context, e->owner);
}

void udp_error(void *self, const struct ip_error *error)
{
    struct udp *u = self;
    struct reader r = reader_over(error->quote, error->quote_bytes);
    struct udp_flow flow = {.local = error->local, .remote = error->remote};

    flow.local_port = read_be16(&r);
    flow.remote_port = read_be16(&r);
    udp_tell_error(u, udp_find(u, &u->ports, &flow), error, flow.remote_port, UDP_HEADER_BYTES);
}
