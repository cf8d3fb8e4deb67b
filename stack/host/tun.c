/* SPDX-License-Identifier: MIT */
#include "host/tun.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/list.h"

#define PACKET_BYTES_MAX 65535 /* an IPv4 packet, and a super-packet too, is no longer */
#define FRONT_BYTES      64    /* of the read buffer, for the virtio-net header at their end */
#define GATHER_BYTES_MAX 4096  /* a shorter packet is sent from one piece of memory */
#define TCP_HEADER_MIN   20
#define TCP_CHECKSUM_AT  16 /* of the TCP header */
#define TCP_DATA_OFFSET  12 /* the byte that holds it, in 32-bit words, in its upper half */

/*
 * Where packets come one at a time, each waiting for the answer to the one before, the read that
 * finds nothing more costs about a tenth of an exchange. So a short packet is taken to be alone if
 * the drain before it was in vain; and after a drain that has found one alone, as many times, then
 * it is looked again. Under load that is soon found out, and what waits longest until then is a
 * batch cut into pieces.
 */
#define ALONE_ROUNDS    8
#define SHORT_BYTES_MAX 512 /* with its virtio-net header; a longer one is of a stream */

/*
 * Short packets that wait together are read before the first is handed up, so that the stack can
 * look ahead: they may be of as many connections. Each stands in a place of its own in the read
 * buffer; a longer packet, which is read where the next short one would have been, ends the batch.
 */
#define BATCH_MAX   16
#define PLACE_BYTES (FRONT_BYTES + SHORT_BYTES_MAX)

/* Every packet counts in one of them. */
#define TUN_COUNTERS(X)                                                                            \
    X(packets_in)                                                                                  \
    X(packets_out)                                                                                 \
    X(header_wrong)   /* received: the virtio-net header lies */                                   \
    X(send_no_memory) /* a queue of the kernel, or its memory, is full */                          \
    X(send_device_down)                                                                            \
    X(send_device_gone)                                                                            \
    X(send_refused) /* anything else: the kernel finds the packet wrong */

struct tun {
    struct strait_link link;
    struct device device;
    unsigned alone; /* rounds to come in which a short packet is taken to be the only one */
    bool idle;      /* the last drain was in vain */
#define DECLARE(name) uint64_t name;
    TUN_COUNTERS(DECLARE)
#undef DECLARE
    uint8_t in[(BATCH_MAX - 1) * PLACE_BYTES + FRONT_BYTES + PACKET_BYTES_MAX]
        __attribute__((aligned(FRONT_BYTES)));
};

/* Packets that have been read, their headers in front of them. */
struct batch {
    struct iovec packets[BATCH_MAX];
    int count;
};

static struct tun *tun_of(struct strait_link *link)
{
    return container_of(link, struct tun, link);
}

static size_t tun_header_bytes(const struct tun *tun)
{
    return tun->device.header ? sizeof(struct virtio_net_hdr) : 0;
}

void tun_counters(const struct strait_link *link,
                  void (*visit)(void *context, const char *name, uint64_t value), void *context)
{
    const struct tun *tun = container_of(link, const struct tun, link);
#define VISIT(name) visit(context, "tun_" #name, tun->name);
    TUN_COUNTERS(VISIT)
#undef VISIT
}

bool tun_header_parse(const struct virtio_net_hdr *header, const void *packet, size_t length,
                      struct strait_offload *offload)
{
    *offload = (struct strait_offload){0};
    if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        if ((size_t)header->csum_start + header->csum_offset + sizeof(uint16_t) > length)
            return false;
        offload->checksum = STRAIT_CHECKSUM_PARTIAL;
        offload->checksum_start = header->csum_start;
        offload->checksum_offset = header->csum_offset;
    } else if (header->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
        offload->checksum = STRAIT_CHECKSUM_VALID;
    }
    if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
        return true;

    /*
     * TCP over IPv4 is all that was asked for, and then the checksum is partial (5.1.6.4.1). The
     * header's own hdr_len is but a hint, so the length of the headers is read from the packet.
     */
    if ((header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_TCPV4 ||
        header->gso_size == 0 || offload->checksum != STRAIT_CHECKSUM_PARTIAL ||
        header->csum_offset != TCP_CHECKSUM_AT || header->hdr_len > length ||
        (size_t)header->csum_start + TCP_HEADER_MIN > length)
        return false;
    const uint8_t *tcp = (const uint8_t *)packet + header->csum_start;
    size_t header_bytes = header->csum_start + (size_t)(tcp[TCP_DATA_OFFSET] >> 4) * 4;
    if (header_bytes > length)
        return false;
    offload->gso = STRAIT_GSO_TCP4;
    offload->ecn = (header->gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0;
    offload->gso_size = header->gso_size;
    offload->header_bytes = (uint16_t)header_bytes;
    return true;
}

struct virtio_net_hdr tun_header_make(const struct strait_offload *offload)
{
    struct virtio_net_hdr header = {0};
    if (offload->checksum == STRAIT_CHECKSUM_PARTIAL) {
        header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        header.csum_start = offload->checksum_start;
        header.csum_offset = offload->checksum_offset;
    }
    if (offload->gso == STRAIT_GSO_TCP4) {
        header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        if (offload->ecn)
            header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
        header.gso_size = offload->gso_size;
        header.hdr_len = offload->header_bytes;
    }
    return header;
}

/* Hands up a packet that was read, if its header is true. Returns whether it is. */
static bool deliver(struct tun *tun, const struct iovec *packet, uint64_t now_ns)
{
    struct virtio_net_hdr header = {0};
    struct strait_offload offload;
    if (tun->device.header)
        memcpy(&header, (const uint8_t *)packet->iov_base - sizeof(header), sizeof(header));
    if (!tun_header_parse(&header, packet->iov_base, packet->iov_len, &offload)) {
        tun->header_wrong++;
        return false;
    }
    tun->packets_in++;
    tun->link.receive(&tun->link, packet->iov_base, packet->iov_len, &offload, now_ns);
    return true;
}

/* Hands up all packets of the batch, and empties it. Returns how many there were. */
static int deliver_all(struct tun *tun, struct batch *batch, uint64_t now_ns)
{
    int packets = 0;
    if (batch->count > 1 && tun->link.expect)
        tun->link.expect(&tun->link, batch->packets, batch->count);
    for (int i = 0; i < batch->count; i++)
        packets += deliver(tun, &batch->packets[i], now_ns);
    batch->count = 0;
    return packets;
}

/* The kernel's word for a descriptor whose device has been deleted is EBADFD. Returns -1. */
static int gone(void)
{
    if (errno == EBADFD)
        errno = ENODEV;
    return -1;
}

/*
 * Reads one packet into the batch, which has room for it. Returns the bytes that were read, 0 when
 * nothing waits, or -1 with errno when the device is gone.
 */
static ssize_t take(struct tun *tun, struct batch *batch)
{
    size_t header_bytes = tun_header_bytes(tun);
    uint8_t *packet = tun->in + (size_t)batch->count * PLACE_BYTES + FRONT_BYTES; /* aligned */
    ssize_t n;
    do
        n = read(tun->link.fd, packet - header_bytes, header_bytes + PACKET_BYTES_MAX);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : gone();
    if (n > 0 && (size_t)n < header_bytes)
        tun->header_wrong++;
    else if (n > 0)
        batch->packets[batch->count++] = (struct iovec){packet, (size_t)n - header_bytes};
    return n;
}

static int tun_drain(struct strait_link *link, uint64_t now_ns, size_t budget_bytes)
{
    struct tun *tun = tun_of(link);
    struct batch batch;
    int packets = 0;
    batch.count = 0;
    bool alone = tun->idle || tun->alone > 0;
    ssize_t n = take(tun, &batch);
    tun->idle = n <= 0;
    if (tun->idle)
        return (int)n;
    if (n <= SHORT_BYTES_MAX && alone) {
        packets = deliver_all(tun, &batch, now_ns);
        tun->alone -= tun->alone > 0;
        if (packets > 0)
            return packets;
    }
    for (size_t bytes = (size_t)n; n > 0 && bytes < budget_bytes; bytes += (size_t)n) {
        if (n > SHORT_BYTES_MAX || batch.count == BATCH_MAX)
            packets += deliver_all(tun, &batch, now_ns);
        n = take(tun, &batch);
    }
    packets += deliver_all(tun, &batch, now_ns);
    if (packets > 0)
        tun->alone = packets == 1 && n == 0 ? ALONE_ROUNDS : 0;
    return n < 0 && packets == 0 ? -1 : packets; /* else the next call will say so again */
}

/* Counts a failed write by its reason. Returns -1; errno is kept. */
static int send_failed(struct tun *tun)
{
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
        tun->send_no_memory++;
    else if (errno == EIO)
        tun->send_device_down++;
    else if (errno == EBADFD)
        tun->send_device_gone++;
    else
        tun->send_refused++;
    return -1;
}

/* Puts a packet together, if it is a short one. Returns its length, or 0. */
static size_t gather(uint8_t *whole, const struct iovec *parts, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > GATHER_BYTES_MAX - bytes)
            return 0;
        if (parts[i].iov_len > 0) /* else its pointer may be NULL */
            memcpy(whole + bytes, parts[i].iov_base, parts[i].iov_len);
        bytes += parts[i].iov_len;
    }
    return bytes;
}

/* Writes a packet; a short one in one piece, since the kernel takes longer over parts. */
static ssize_t write_parts(struct tun *tun, const struct iovec *parts, int count,
                           const struct virtio_net_hdr *header)
{
    uint8_t whole[sizeof(*header) + GATHER_BYTES_MAX];
    struct iovec all[1 + TUN_PARTS_MAX];
    size_t header_bytes = tun_header_bytes(tun);
    size_t bytes = gather(whole + sizeof(*header), parts, count);
    if (bytes > 0) {
        memcpy(whole, header, sizeof(*header));
        return write(tun->link.fd, whole + sizeof(*header) - header_bytes, header_bytes + bytes);
    }
    all[0] = (struct iovec){(void *)header, header_bytes};
    memcpy(all + 1, parts, (size_t)count * sizeof(*parts));
    return writev(tun->link.fd, all, 1 + count);
}

static int tun_send(struct strait_link *link, const struct iovec *parts, int count,
                    const struct strait_offload *offload)
{
    struct tun *tun = tun_of(link);
    const struct virtio_net_hdr header = tun_header_make(offload);
    if (count > TUN_PARTS_MAX) {
        errno = EMSGSIZE;
        return send_failed(tun);
    }
    ssize_t n;
    do
        n = write_parts(tun, parts, count, &header);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return send_failed(tun);
    tun->packets_out++;
    return 0;
}

static void tun_close(struct strait_link *link)
{
    struct tun *tun = tun_of(link);
    close(tun->device.fd);
    free(tun);
}

struct strait_link *tun_new(const struct device *device)
{
    struct tun *tun = calloc(1, sizeof(*tun));
    if (!tun)
        return NULL;
    tun->device = *device;
    tun->link = (struct strait_link){
        .size = sizeof(struct strait_link),
        .name = tun->device.name,
        .mtu = device->mtu,
        .features = device->features,
        .fd = device->fd,
        .send = tun_send,
        .drain = tun_drain,
        .close = tun_close,
    };
    return &tun->link;
}

/* Makes a link of each of the queues; or of none, and closes them. */
static bool make_links(const struct device *queues, struct strait_link **links, int count)
{
    int made = 0;
    while (made < count && (links[made] = tun_new(&queues[made])))
        made++;
    if (made == count)
        return true;
    for (int i = made; i < count; i++)
        close(queues[i].fd);
    while (made > 0)
        tun_close(links[--made]);
    return false;
}

static int open_links(const struct strait_tun_config *config, const struct shard_rule *rule,
                      struct strait_link **links, char *error, size_t error_bytes)
{
    struct device queues[STRAIT_SHARDS_MAX];
    int count = device_open(queues, config, rule, error, error_bytes);
    if (count < 0 || make_links(queues, links, count))
        return count;
    snprintf(error, error_bytes, "no memory for %s", queues->name);
    errno = ENOMEM;
    return -1;
}

struct strait_link *strait_tun_open(const struct strait_tun_config *config, char *error,
                                    size_t error_bytes)
{
    static const struct shard_rule alone = {.shards = 1};
    struct strait_link *link;
    return open_links(config, &alone, &link, error, error_bytes) < 0 ? NULL : link;
}

int strait_tun_open_queues(const struct strait_tun_config *config, const struct strait_config *host,
                           struct strait_link **links, char *error, size_t error_bytes)
{
    struct shard_rule rule;
    shard_rule_init(&rule, host);
    if (rule.shards < 1 || rule.shards > STRAIT_SHARDS_MAX) {
        snprintf(error, error_bytes, "%u queues: there may be 1 to %d", rule.shards,
                 STRAIT_SHARDS_MAX);
        errno = EINVAL;
        return -1;
    }
    return open_links(config, &rule, links, error, error_bytes);
}
