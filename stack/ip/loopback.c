/* SPDX-License-Identifier: MIT */
/*
 * The link from the host to itself: 127.0.0.0/8 and the addresses of its interfaces. A packet that
 * is sent waits here, copied, until strait_advance takes it up as one that has arrived, so that
 * nothing is received from within a call that sends. Super-packets and unfinished checksums stay as
 * they are: nobody lies between.
 */
#include <stdlib.h>

#include "ip/ip.h"

#define MTU       65535
#define QUEUE_MAX 1024 /* packets */

/* A few windows: more than that in flight is lost, as it would be in front of a slow link. */
#define QUEUE_MAX_BYTES ((size_t)4 << 20)

struct looped {
    struct list node;
    struct strait_offload offload;
    size_t length;
    uint8_t bytes[];
};

/* Copies the packet to the queue. One that finds no room is lost on the way, not refused. */
static int loopback_send(struct strait_link *link, const struct iovec *parts, int count_parts,
                         const struct strait_offload *offload)
{
    struct ip *ip = link->upper;
    struct loopback *l = &ip->loopback;
    struct looped *packet = NULL;
    size_t length = 0;

    for (int i = 0; i < count_parts; i++)
        length += parts[i].iov_len;
    if (l->packets < QUEUE_MAX && l->bytes + length <= QUEUE_MAX_BYTES)
        packet = malloc(sizeof(*packet) + length);
    if (packet == NULL) {
        count(ip->core, ip_loopback_full);
        return 0;
    }
    packet->offload = *offload;
    packet->length = 0;
    for (int i = 0; i < count_parts; i++) {
        if (parts[i].iov_len > 0) /* an empty part may have no address */
            memcpy(packet->bytes + packet->length, parts[i].iov_base, parts[i].iov_len);
        packet->length += parts[i].iov_len;
    }
    list_append(&l->queue, &packet->node);
    l->packets++;
    l->bytes += length;
    return 0;
}

void loopback_init(struct ip *ip)
{
    struct loopback *l = &ip->loopback;

    l->link = (struct strait_link){
        .size = sizeof(l->link),
        .name = "lo",
        .mtu = MTU,
        .features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4,
        .fd = -1,
        .send = loopback_send,
        .upper = ip,
    };
    l->interface = (struct interface){
        .link = &l->link,
        .address = address_v4(INADDR_LOOPBACK),
        .broadcast = address_v4(INADDR_BROADCAST),
        .prefix_bits = 8,
    };
    list_init(&l->queue);
}

static struct looped *take_oldest(struct loopback *l)
{
    struct looped *packet = container_of(l->queue.next, struct looped, node);

    list_remove(&packet->node);
    l->packets--;
    l->bytes -= packet->length;
    return packet;
}

void loopback_deliver(struct ip *ip)
{
    struct loopback *l = &ip->loopback;

    /* Those that wait now: the answers have a turn of their own. */
    for (uint32_t left = l->packets; left > 0; left--) {
        struct looped *packet = take_oldest(l);
        count(ip->core, link_packets_in);
        count_by(ip->core, link_bytes_in, packet->length);
        ipv4_input(ip, &l->interface, packet->bytes, packet->length, &packet->offload);
        free(packet);
    }
}

void loopback_finish(struct ip *ip)
{
    struct list *queue = &ip->loopback.queue;

    for (struct list *node = queue->next, *next; node != queue; node = next) {
        next = node->next;
        free(container_of(node, struct looped, node));
    }
}
