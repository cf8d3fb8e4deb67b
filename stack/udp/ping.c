/* SPDX-License-Identifier: MIT */
/*
 * ICMP echo for those who ask. A request leaves in the call that sends it; nothing is remembered of
 * it. A reply, or an ICMP error about a request, finds its endpoint by the identifier, which is
 * drawn at random, or bound, as a port is.
 */
#include "udp/ping.h"

#include <errno.h>

#include "base/bytes.h"
#include "udp/endpoint.h"

#define CHECKSUM_AT 2

void ping_open(struct udp *u, struct udp_endpoint *e, void *owner)
{
    udp_open(u, e, owner);
    e->echo = true;
    e->binding.reuse_address = true; /* as in Linux, which has it on for these */
}

/* ---- Out ------------------------------------------------------------------------------------ */

/* Copies the header out of the parts. Returns whether they are long enough. */
static bool read_header(const struct iovec *parts, int count, uint8_t header[PING_HEADER_BYTES])
{
    size_t got = 0;
    for (int i = 0; i < count && got < PING_HEADER_BYTES; i++) {
        size_t left = PING_HEADER_BYTES - got;
        size_t piece = parts[i].iov_len < left ? parts[i].iov_len : left;
        if (piece > 0) /* an empty part may have no address */
            memcpy(header + got, parts[i].iov_base, piece);
        got += piece;
    }
    return got == PING_HEADER_BYTES;
}

/* Appends what follows the header in the parts. */
static void append_data(struct ip_outgoing *out, const struct iovec *parts, int count)
{
    size_t skip = PING_HEADER_BYTES;
    for (int i = 0; i < count; i++) {
        size_t piece = parts[i].iov_len < skip ? parts[i].iov_len : skip;
        skip -= piece;
        if (parts[i].iov_len > piece)
            outgoing_payload(out, (const uint8_t *)parts[i].iov_base + piece,
                             parts[i].iov_len - piece);
    }
}

int ping_send(struct udp *u, const struct udp_endpoint *e, const struct route *route,
              const struct iovec *parts, int count)
{
    struct ip_outgoing out;

    outgoing_init(&out, PING_HEADER_BYTES, CHECKSUM_AT, false);
    out.too_long = udp_too_long(e);
    uint8_t *header = outgoing_transport(&out);
    if (!read_header(parts, count, header) || header[0] != ICMP_TYPE_ECHO || header[1] != 0) {
        errno = EINVAL;
        return -1;
    }
    store_be16(header + CHECKSUM_AT, 0);
    store_be16(header + 4, e->binding.port);
    append_data(&out, parts, count);
    if (ip_output(u->ip, route, IPPROTO_ICMP, &out) < 0)
        return -1;
    count(u->core, icmp_echo_requests_out);
    return 0;
}

/* ---- In ------------------------------------------------------------------------------------- */

static void ping_input(void *self, const struct ip_packet *packet)
{
    struct udp *u = self;
    struct udp_flow flow = {
        .local = packet->destination,
        .remote = packet->source,
        .local_port = load_be16(packet->payload + 4),
    };
    struct udp_endpoint *e = udp_find(u, &u->echo_ids, &flow);

    if (e == NULL) {
        count(u->core, icmp_echo_reply_unmatched);
        return;
    }
    struct datagram header = {
        .arrival = udp_arrival_of(u, packet, 0),
        .length = (uint32_t)packet->length,
    };
    udp_enqueue(u, e, &header, packet->payload);
}

/* What a failure quotes of a request begins, as in Linux, with its ICMP header. */
static void ping_error(void *self, const struct ip_error *error)
{
    struct udp *u = self;
    struct udp_flow flow = {
        .local = error->local,
        .remote = error->remote,
        .local_port = load_be16(error->quote + 4),
    };
    bool asked = error->quote[0] == ICMP_TYPE_ECHO;

    udp_tell_error(u, asked ? udp_find(u, &u->echo_ids, &flow) : NULL, error, 0, 0);
}

const struct ip_protocol ping_protocol = {.input = ping_input, .error = ping_error};
