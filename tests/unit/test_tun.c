/* SPDX-License-Identifier: MIT */
/*
 * The link is tested over a pair of sockets, where lies can be told, and over a real device in a
 * network namespace of the test's own; the latter needs privilege and is skipped without.
 */
#define _GNU_SOURCE /* unshare */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "host/tun.h"

/* Virtio 1.2, 5.1.6: the values on the wire. */
enum { NEEDS_CSUM = 1, DATA_VALID = 2, GSO_TCPV4 = 1, GSO_UDP = 3, GSO_TCPV6 = 4, GSO_UDP_L4 = 5 };
enum { GSO_ECN = 0x80 };

/* ---- What a link hands up -------------------------------------------------------------------- */

struct seen {
    int packets;
    uint8_t packet[65536];
    size_t length;
    struct strait_offload offload;
    uint64_t now_ns;
};

static void see(struct strait_link *link, const void *packet, size_t length,
                const struct strait_offload *offload, uint64_t now_ns)
{
    struct seen *seen = link->upper;
    seen->packets++;
    memcpy(seen->packet, packet, length);
    seen->length = length;
    seen->offload = *offload;
    seen->now_ns = now_ns;
}

static void listen_to(struct strait_link *link, struct seen *seen)
{
    memset(seen, 0, sizeof(*seen));
    link->receive = see;
    link->upper = seen;
}

struct wanted {
    const char *name;
    uint64_t value;
    bool found;
};

static void look(void *context, const char *name, uint64_t value)
{
    struct wanted *wanted = context;
    if (strcmp(name, wanted->name) != 0)
        return;
    wanted->value = value;
    wanted->found = true;
}

static uint64_t counter(const struct strait_link *link, const char *name)
{
    struct wanted wanted = {.name = name};
    tun_counters(link, look, &wanted);
    assert_true(wanted.found);
    return wanted.value;
}

/* ---- The header ------------------------------------------------------------------------------ */

/* An IPv4 header of 20 bytes and a TCP header of 32, then 2048 bytes of payload. */
#define HEADERS 52
#define SUPER   (HEADERS + 2048)

static void make_super(uint8_t packet[SUPER])
{
    memset(packet, 0, SUPER);
    packet[0] = 0x45;
    packet[20 + 12] = 0x80;
}

static struct virtio_net_hdr super_header(void)
{
    return (struct virtio_net_hdr){
        .flags = NEEDS_CSUM,
        .gso_type = GSO_TCPV4,
        .hdr_len = HEADERS,
        .gso_size = 1448,
        .csum_start = 20,
        .csum_offset = 16,
    };
}

static void an_empty_header_is_an_ordinary_packet(void **state)
{
    (void)state;
    const uint8_t packet[40] = {0x45};
    struct strait_offload offload, none = {0};
    memset(&offload, 0xff, sizeof(offload));
    assert_true(tun_header_parse(&(struct virtio_net_hdr){0}, packet, sizeof(packet), &offload));
    assert_memory_equal(&offload, &none, sizeof(none));
    assert_int_equal(offload.checksum, STRAIT_CHECKSUM_COMPLETE);
}

static void a_partial_checksum_lies_within_the_packet(void **state)
{
    (void)state;
    const uint8_t packet[38] = {0x45};
    struct strait_offload offload;
    struct virtio_net_hdr header = {.flags = NEEDS_CSUM, .csum_start = 20, .csum_offset = 16};
    assert_true(tun_header_parse(&header, packet, 38, &offload));
    assert_int_equal(offload.checksum, STRAIT_CHECKSUM_PARTIAL);
    assert_int_equal(offload.checksum_start, 20);
    assert_int_equal(offload.checksum_offset, 16);
    assert_false(tun_header_parse(&header, packet, 37, &offload));
    header.csum_start = header.csum_offset = 0xffff;
    assert_false(tun_header_parse(&header, packet, 38, &offload));
}

static void a_checksum_verified_below_is_valid(void **state)
{
    (void)state;
    const uint8_t packet[40] = {0x45};
    struct strait_offload offload;
    struct virtio_net_hdr header = {.flags = DATA_VALID};
    assert_true(tun_header_parse(&header, packet, sizeof(packet), &offload));
    assert_int_equal(offload.checksum, STRAIT_CHECKSUM_VALID);
}

static void a_super_packet_has_its_header_length_read_from_the_packet(void **state)
{
    (void)state;
    uint8_t packet[SUPER];
    make_super(packet);
    struct strait_offload offload;
    struct virtio_net_hdr header = super_header();
    header.hdr_len = 1000; /* a hint that is too long */
    assert_true(tun_header_parse(&header, packet, SUPER, &offload));
    assert_int_equal(offload.gso, STRAIT_GSO_TCP4);
    assert_int_equal(offload.gso_size, 1448);
    assert_int_equal(offload.header_bytes, HEADERS);
    assert_int_equal(offload.checksum, STRAIT_CHECKSUM_PARTIAL);
    assert_false(offload.ecn);
    header.gso_type = GSO_TCPV4 | GSO_ECN;
    assert_true(tun_header_parse(&header, packet, SUPER, &offload));
    assert_true(offload.ecn);
}

static void a_super_packet_that_lies_is_refused(void **state)
{
    (void)state;
    uint8_t packet[SUPER];
    make_super(packet);
    struct strait_offload offload;
    const struct virtio_net_hdr good = super_header();
    struct virtio_net_hdr header;
#define REFUSED(field, wrong)                                                                      \
    header = good;                                                                                 \
    header.field = (wrong);                                                                        \
    assert_false(tun_header_parse(&header, packet, SUPER, &offload))
    REFUSED(gso_size, 0);
    REFUSED(flags, 0); /* 5.1.6.4.1: segmentation goes with a partial checksum */
    REFUSED(flags, DATA_VALID);
    REFUSED(csum_offset, 6);
    REFUSED(csum_start, SUPER - 19);
    REFUSED(hdr_len, SUPER + 1);
    REFUSED(gso_type, GSO_TCPV6);
    REFUSED(gso_type, GSO_UDP);
    REFUSED(gso_type, GSO_UDP_L4);
    REFUSED(gso_type, 2);
    REFUSED(gso_type, GSO_ECN);
#undef REFUSED
    assert_true(tun_header_parse(&good, packet, SUPER, &offload));
    /* The TCP header says 60 bytes, and the packet ends after 59 of them. */
    packet[20 + 12] = 0xf0;
    header = good;
    header.hdr_len = 40;
    assert_true(tun_header_parse(&header, packet, 80, &offload));
    assert_false(tun_header_parse(&header, packet, 79, &offload));
}

static void the_header_of_a_sent_packet_says_its_offload(void **state)
{
    (void)state;
    struct strait_offload offload = {0};
    struct virtio_net_hdr header = tun_header_make(&offload), none = {0};
    assert_memory_equal(&header, &none, sizeof(none));

    offload = (struct strait_offload){.checksum = STRAIT_CHECKSUM_PARTIAL,
                                      .gso = STRAIT_GSO_TCP4,
                                      .ecn = true,
                                      .gso_size = 1460,
                                      .header_bytes = 40,
                                      .checksum_start = 20,
                                      .checksum_offset = 16};
    header = tun_header_make(&offload);
    assert_int_equal(header.flags, NEEDS_CSUM);
    assert_int_equal(header.gso_type, GSO_TCPV4 | GSO_ECN);
    assert_int_equal(header.gso_size, 1460);
    assert_int_equal(header.hdr_len, 40);
    assert_int_equal(header.csum_start, 20);
    assert_int_equal(header.csum_offset, 16);
}

/* ---- Over a pair of sockets ------------------------------------------------------------------ */

struct pair {
    struct strait_link *link;
    int kernel; /* the other end */
    struct seen seen;
};

static struct pair *pair_new(bool header)
{
    struct pair *p = calloc(1, sizeof(*p));
    int fds[2];
    assert_non_null(p);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    p->kernel = fds[1];
    struct device device = {.fd = fds[0], .name = "pair", .mtu = 1500, .header = header};
    p->link = tun_new(&device);
    assert_non_null(p->link);
    listen_to(p->link, &p->seen);
    return p;
}

static void pair_free(struct pair *p)
{
    p->link->close(p->link);
    close(p->kernel);
    free(p);
}

/* The kernel's side gives a packet of `length` zeros with a header. */
static void give(struct pair *p, const struct virtio_net_hdr *header, size_t length)
{
    static const uint8_t zeros[2000];
    struct iovec parts[] = {{(void *)(uintptr_t)header, sizeof(*header)},
                            {(void *)(uintptr_t)zeros, length}};
    assert_int_equal(writev(p->kernel, parts, 2), (ssize_t)(sizeof(*header) + length));
}

static void a_lying_packet_is_counted_and_the_next_one_is_handed_up(void **state)
{
    (void)state;
    struct pair *p = pair_new(true);
    give(p, &(struct virtio_net_hdr){.flags = NEEDS_CSUM, .csum_start = 100}, 50);
    assert_int_equal(write(p->kernel, "nine byte", 9), 9);
    give(p, &(struct virtio_net_hdr){0}, 60);
    assert_int_equal(p->link->drain(p->link, 77, 65536), 1);
    assert_int_equal(p->seen.packets, 1);
    assert_int_equal(p->seen.length, 60);
    assert_int_equal(p->seen.now_ns, 77);
    assert_int_equal(counter(p->link, "tun_header_wrong"), 2);
    assert_int_equal(counter(p->link, "tun_packets_in"), 1);
    pair_free(p);
}

static void drain_stops_at_its_budget_and_when_nothing_waits(void **state)
{
    (void)state;
    struct pair *p = pair_new(true);
    for (int i = 0; i < 5; i++)
        give(p, &(struct virtio_net_hdr){0}, 990); /* 1000 bytes with the header */
    assert_int_equal(p->link->drain(p->link, 0, 2001), 3);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 2);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 0);
    pair_free(p);
}

static void give_some(struct pair *p, int packets, size_t length)
{
    while (packets-- > 0)
        give(p, &(struct virtio_net_hdr){0}, length);
}

static void a_short_packet_after_one_alone_is_handed_up_without_another_read(void **state)
{
    (void)state;
    struct pair *p = pair_new(true);
    give_some(p, 1, 60);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 1);
    give_some(p, 2, 60);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 1);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 1);
    give_some(p, 2, 1500);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 2);
    pair_free(p);
}

static void packets_that_come_together_are_soon_drained_together(void **state)
{
    (void)state;
    struct pair *p = pair_new(true);
    int drains = 0, packets = 40;
    give_some(p, 1, 60);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 1);
    give_some(p, packets, 60);
    for (; packets > 0; drains++)
        packets -= p->link->drain(p->link, 0, 65536);
    assert_int_equal(drains, 8 + 1);
    give_some(p, 40, 60);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 40);
    pair_free(p);
}

/* ---- Batches --------------------------------------------------------------------------------- */

/* What a link tells of ahead, and what it hands up then, in the order of both. */
struct heard {
    int expected[40], received[40]; /* the first bytes of packets; -1 between two hints */
    int expected_count, received_count;
    int received_before; /* when the last hint came */
};

static void hear_expected(struct strait_link *link, const struct iovec *packets, int count)
{
    struct heard *heard = link->upper;
    for (int i = 0; i < count; i++) {
        assert_int_equal(packets[i].iov_len, 60);
        heard->expected[heard->expected_count++] = *(const uint8_t *)packets[i].iov_base;
    }
    heard->expected[heard->expected_count++] = -1;
    heard->received_before = heard->received_count;
}

static void hear_received(struct strait_link *link, const void *packet, size_t length,
                          const struct strait_offload *offload, uint64_t now_ns)
{
    struct heard *heard = link->upper;
    (void)length, (void)offload, (void)now_ns;
    heard->received[heard->received_count++] = *(const uint8_t *)packet;
}

static struct pair *pair_with_ears(struct heard *heard)
{
    struct pair *p = pair_new(true);
    *heard = (struct heard){0};
    p->link->expect = hear_expected;
    p->link->receive = hear_received;
    p->link->upper = heard;
    return p;
}

/* The kernel's side gives packets that begin with these numbers. */
static void give_numbered(struct pair *p, int first, int last, size_t length)
{
    struct {
        struct virtio_net_hdr header;
        uint8_t packet[2000];
    } whole = {0};
    for (int i = first; i <= last; i++) {
        whole.packet[0] = (uint8_t)i;
        assert_int_equal(write(p->kernel, &whole, sizeof(whole.header) + length),
                         (ssize_t)(sizeof(whole.header) + length));
    }
}

static void short_packets_that_wait_together_are_told_of_before_the_first_is_handed_up(void **state)
{
    (void)state;
    struct heard heard;
    struct pair *p = pair_with_ears(&heard);
    give_numbered(p, 1, 3, 60);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 3);
    assert_memory_equal(heard.expected, ((int[]){1, 2, 3, -1}), 4 * sizeof(int));
    assert_int_equal(heard.expected_count, 4);
    assert_int_equal(heard.received_before, 0);
    assert_memory_equal(heard.received, ((int[]){1, 2, 3}), 3 * sizeof(int));
    pair_free(p);
}

static void sixteen_packets_are_read_ahead_and_no_more(void **state)
{
    (void)state;
    struct heard heard;
    struct pair *p = pair_with_ears(&heard);
    give_numbered(p, 1, 18, 60);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 18);
    assert_int_equal(heard.expected_count, 16 + 1 + 2 + 1);
    assert_int_equal(heard.expected[16], -1);
    assert_int_equal(heard.received_before, 16);
    for (int i = 0; i < 18; i++)
        assert_int_equal(heard.received[i], i + 1);
    pair_free(p);
}

static void a_packet_alone_is_handed_up_without_a_hint(void **state)
{
    (void)state;
    struct heard heard;
    struct pair *p = pair_with_ears(&heard);
    give_numbered(p, 1, 1, 60);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 1);
    assert_int_equal(heard.expected_count, 0);
    assert_int_equal(heard.received[0], 1);
    pair_free(p);
}

static void a_long_packet_is_handed_up_before_another_is_read(void **state)
{
    (void)state;
    struct heard heard;
    struct pair *p = pair_with_ears(&heard);
    give_numbered(p, 1, 2, 1500);
    give_numbered(p, 3, 4, 60);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 4);
    assert_memory_equal(heard.expected, ((int[]){3, 4, -1}), 3 * sizeof(int));
    assert_int_equal(heard.received_before, 2);
    assert_memory_equal(heard.received, ((int[]){1, 2, 3, 4}), 4 * sizeof(int));
    pair_free(p);
}

static void the_longest_packet_fits_behind_fifteen_short_ones(void **state)
{
    (void)state;
    struct pair *p = pair_new(true);
    const struct virtio_net_hdr header = {0};
    uint8_t *longest = calloc(1, 65535);
    struct iovec parts[] = {{(void *)(uintptr_t)&header, sizeof(header)}, {longest, 65535}};
    longest[65534] = 77;
    give_some(p, 15, 60);
    assert_int_equal(writev(p->kernel, parts, 2), (ssize_t)(sizeof(header) + 65535));
    assert_int_equal(p->link->drain(p->link, 0, 1 << 20), 16);
    assert_int_equal(p->seen.length, 65535);
    assert_int_equal(p->seen.packet[65534], 77);
    free(longest);
    pair_free(p);
}

static void a_lie_in_a_batch_is_counted_and_the_others_are_handed_up(void **state)
{
    (void)state;
    struct heard heard;
    struct pair *p = pair_with_ears(&heard);
    give_numbered(p, 1, 1, 60);
    give(p, &(struct virtio_net_hdr){.flags = NEEDS_CSUM, .csum_start = 100}, 60);
    assert_int_equal(write(p->kernel, "nine byte", 9), 9);
    give_numbered(p, 2, 2, 60);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 2);
    assert_memory_equal(heard.received, ((int[]){1, 2}), 2 * sizeof(int));
    assert_int_equal(counter(p->link, "tun_header_wrong"), 2);
    pair_free(p);
}

static void a_plain_device_has_no_header(void **state)
{
    (void)state;
    struct pair *p = pair_new(false);
    const struct strait_offload none = {0};
    assert_int_equal(write(p->kernel, "packet", 6), 6);
    assert_int_equal(p->link->drain(p->link, 0, 65536), 1);
    assert_int_equal(p->seen.length, 6);
    assert_memory_equal(p->seen.packet, "packet", 6);
    assert_memory_equal(&p->seen.offload, &none, sizeof(none));

    struct iovec parts[] = {{(char[]){"an"}, 2}, {(char[]){"swer"}, 4}};
    uint8_t sent[16];
    assert_int_equal(p->link->send(p->link, parts, 2, &none), 0);
    assert_int_equal(read(p->kernel, sent, sizeof(sent)), 6);
    assert_memory_equal(sent, "answer", 6);
    pair_free(p);
}

static void a_sent_packet_is_its_parts_behind_the_header(void **state)
{
    (void)state;
    struct pair *p = pair_new(true);
    struct strait_offload offload = {
        .checksum = STRAIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6};
    struct iovec parts[] = {{(char[]){"head"}, 4}, {(char[]){"body"}, 4}};
    /* 5.1.6: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, little-endian here. */
    const uint8_t header[10] = {1, 0, 0, 0, 0, 0, 20, 0, 6, 0};
    uint8_t sent[32];
    assert_int_equal(p->link->send(p->link, parts, 2, &offload), 0);
    assert_int_equal(read(p->kernel, sent, sizeof(sent)), 18);
    assert_memory_equal(sent, header, sizeof(header));
    assert_memory_equal(sent + 10, "headbody", 8);
    assert_int_equal(counter(p->link, "tun_packets_out"), 1);
    pair_free(p);
}

/* Short ones go out from one piece of memory, long ones from where they lie. */
static void a_packet_in_parts_is_sent_whole_whatever_its_length(void **state)
{
    (void)state;
    struct pair *p = pair_new(true);
    const struct strait_offload none = {0};
    static uint8_t bytes[9000], sent[10000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i % 251);
    for (size_t length = 60; length <= sizeof(bytes); length++) {
        struct iovec parts[] = {{bytes, 40}, {bytes + 40, 17}, {bytes + 57, length - 57}};
        assert_int_equal(p->link->send(p->link, parts, 3, &none), 0);
        assert_int_equal(read(p->kernel, sent, sizeof(sent)), 10 + length);
        assert_memory_equal(sent + 10, bytes, length);
    }
    pair_free(p);
}

static void a_send_that_fails_is_counted_by_its_reason(void **state)
{
    (void)state;
    struct pair *p = pair_new(true);
    const struct strait_offload none = {0};
    struct iovec parts[TUN_PARTS_MAX + 1] = {0};
    static uint8_t bytes[1000];
    parts[0] = (struct iovec){bytes, sizeof(bytes)};
    errno = 0;
    assert_int_equal(p->link->send(p->link, parts, TUN_PARTS_MAX + 1, &none), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(counter(p->link, "tun_send_refused"), 1);
    assert_int_equal(p->link->send(p->link, parts, TUN_PARTS_MAX, &none), 0);
    int sent = 1;
    while (p->link->send(p->link, parts, 1, &none) == 0)
        sent++;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(counter(p->link, "tun_send_no_memory"), 1);
    assert_int_equal(counter(p->link, "tun_packets_out"), (uint64_t)sent);
    pair_free(p);
}

/* ---- A real device --------------------------------------------------------------------------- */

#define US     "10.9.0.2"
#define KERNEL "10.9.0.1"

struct notices {
    int count;
    char last[256];
};

static void keep_notice(void *context, const char *message)
{
    struct notices *notices = context;
    notices->count++;
    snprintf(notices->last, sizeof(notices->last), "%s", message);
}

/* Each test has a network namespace of its own. */
static int enter_namespace(void **state)
{
    struct notices *notices = calloc(1, sizeof(*notices));
    *state = notices;
    if (!notices)
        return -1;
    int fd = unshare(CLONE_NEWNET) ? -1 : open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        print_message("no network namespace or no /dev/net/tun: %s\n", strerror(errno));
        free(notices);
        *state = NULL;
        return 0;
    }
    close(fd);
    return 0;
}

static int leave_namespace(void **state)
{
    free(*state);
    return 0;
}

static struct notices *need_device(void **state)
{
    if (!*state) {
        skip();
        __builtin_unreachable(); /* skip leaves the test by longjmp */
    }
    return *state;
}

static struct strait_tun_config config_of(struct notices *notices)
{
    return (struct strait_tun_config){.size = sizeof(struct strait_tun_config),
                                      .name = "tun7",
                                      .peer = {inet_addr(KERNEL)},
                                      .prefix_bits = 24,
                                      .notice = keep_notice,
                                      .notice_context = notices};
}

static struct strait_link *open_with(const struct strait_tun_config *config)
{
    char error[256] = "";
    struct strait_link *link = strait_tun_open(config, error, sizeof(error));
    if (!link)
        fail_msg("%s", error);
    return link;
}

/* Opening fails with `number`, and the one line says `words`. */
static void expect_refusal(const struct strait_tun_config *config, int number, const char *words)
{
    char error[256] = "";
    errno = 0;
    assert_null(strait_tun_open(config, error, sizeof(error)));
    assert_int_equal(errno, number);
    if (!strstr(error, words) || strchr(error, '\n'))
        fail_msg("expected '%s' in one line, got '%s'", words, error);
}

/* Reads (or with `set` changes) a property of tun7. */
static struct ifreq property(unsigned long command, bool *found)
{
    struct ifreq request = {.ifr_name = "tun7"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool ok = ioctl(fd, command, &request) == 0;
    if (found)
        *found = ok;
    else
        assert_true(ok);
    close(fd);
    return request;
}

static void set_flags(bool up)
{
    struct ifreq request = property(SIOCGIFFLAGS, NULL);
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

/* A persistent tun7, as `ip tuntap add` makes it. */
static void make_persistent(short flags)
{
    struct ifreq request = {.ifr_name = "tun7", .ifr_flags = (short)(IFF_TUN | flags)};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    assert_int_equal(ioctl(fd, TUNSETOWNER, getuid()), 0);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
    close(fd);
}

static void delete_device(void)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg message;
    } request = {
        .head = {.nlmsg_len = sizeof(request),
                 .nlmsg_type = RTM_DELLINK,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .message = {.ifi_index = (int)if_nametoindex("tun7")},
    };
    char reply[512];
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    assert_int_equal(send(fd, &request, sizeof(request), 0), (ssize_t)sizeof(request));
    assert_true(recv(fd, reply, sizeof(reply), 0) > 0);
    close(fd);
    assert_int_equal(if_nametoindex("tun7"), 0);
}

/* Takes CAP_NET_ADMIN out of the effective set, or puts it back. */
static void set_privilege(bool have)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    assert_int_equal(syscall(SYS_capget, &head, data), 0);
    if (have)
        data[0].effective |= 1u << CAP_NET_ADMIN;
    else
        data[0].effective &= ~(1u << CAP_NET_ADMIN);
    assert_int_equal(syscall(SYS_capset, &head, data), 0);
}

static int leave_with_privilege(void **state)
{
    if (*state)
        set_privilege(true);
    return leave_namespace(state);
}

static bool has_address(const char *text, const char *mask_text)
{
    struct ifaddrs *all;
    bool found = false;
    assert_int_equal(getifaddrs(&all), 0);
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (strcmp(i->ifa_name, "tun7") != 0 || !i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in address, mask;
        memcpy(&address, i->ifa_addr, sizeof(address));
        memcpy(&mask, i->ifa_netmask, sizeof(mask));
        found |= address.sin_addr.s_addr == inet_addr(text) &&
                 mask.sin_addr.s_addr == inet_addr(mask_text);
    }
    freeifaddrs(all);
    return found;
}

static void a_device_is_made_and_configured_and_vanishes_when_closed(void **state)
{
    struct notices *notices = need_device(state);
    struct strait_tun_config config = config_of(notices);
    config.mtu = 9000;
    config.queue_packets = 3000;
    struct strait_link *link = open_with(&config);
    assert_string_equal(link->name, "tun7");
    assert_int_equal(link->mtu, 9000);
    assert_int_equal(link->features, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4);
    assert_true(fcntl(link->fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(link->fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(property(SIOCGIFMTU, NULL).ifr_mtu, 9000);
    assert_int_equal(property(SIOCGIFTXQLEN, NULL).ifr_qlen, 3000);
    assert_true(property(SIOCGIFFLAGS, NULL).ifr_flags & IFF_UP);
    assert_true(has_address(KERNEL, "255.255.255.0"));
    assert_int_equal(notices->count, 0);
    link->close(link);
    assert_int_equal(if_nametoindex("tun7"), 0);
}

static void a_device_that_is_made_has_an_mtu_of_1500(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    assert_int_equal(link->mtu, 1500);
    link->close(link);
}

static void what_cannot_be_is_refused_in_one_line(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    static const char *const names[] = {"", "a/b", "..", "a b", "tun%d", "sixteen-letters-"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        config.name = names[i];
        expect_refusal(&config, EINVAL, "cannot be the name");
    }
    config = config_of(*state);
    config.name = "lo";
    expect_refusal(&config, EINVAL, "lo is not a TUN device");
    config = config_of(*state);
    config.mtu = 65536;
    expect_refusal(&config, EINVAL, "68 to 65535");
    config.mtu = 67;
    expect_refusal(&config, EINVAL, "68 to 65535");
    config = config_of(*state);
    config.prefix_bits = 33;
    expect_refusal(&config, EINVAL, "prefix");
    config.prefix_bits = 0;
    expect_refusal(&config, EINVAL, "prefix");
    assert_int_equal(if_nametoindex("tun7"), 0);
}

static void a_device_in_use_is_ebusy(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    expect_refusal(&config, EBUSY, "in use by another program");
    link->close(link);
}

static void a_persistent_device_stays_and_is_opened_again(void **state)
{
    struct notices *notices = need_device(state);
    struct strait_tun_config config = config_of(notices);
    make_persistent(0);
    for (int i = 0; i < 2; i++) {
        struct strait_link *link = open_with(&config);
        assert_int_equal(link->features, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4);
        link->close(link);
        assert_true(has_address(KERNEL, "255.255.255.0"));
    }
    assert_int_equal(notices->count, 0);
}

static void a_persistent_device_of_several_queues_is_opened(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    make_persistent(IFF_MULTI_QUEUE);
    struct strait_link *link = open_with(&config);
    assert_int_equal(link->features, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4);
    link->close(link);
}

static void an_address_is_added_beside_the_one_that_is_there(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    make_persistent(0);
    struct strait_link *link = open_with(&config);
    link->close(link);
    config.peer.s_addr = inet_addr("10.10.0.1");
    config.prefix_bits = 16;
    link = open_with(&config);
    link->close(link);
    assert_true(has_address(KERNEL, "255.255.255.0"));
    assert_true(has_address("10.10.0.1", "255.255.0.0"));
}

static void without_privilege_no_device_can_be_made(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    set_privilege(false);
    expect_refusal(&config, EPERM, "ip tuntap add tun7 mode tun user");
}

static void without_privilege_a_configured_device_of_ours_is_taken(void **state)
{
    struct notices *notices = need_device(state);
    struct strait_tun_config config = config_of(notices);
    make_persistent(0);
    struct strait_link *link = open_with(&config);
    link->close(link);

    set_privilege(false);
    link = open_with(&config);
    link->close(link);
    assert_int_equal(notices->count, 0);

    config.mtu = 1400;
    link = open_with(&config);
    assert_int_equal(link->mtu, 1500);
    link->close(link);
    assert_int_equal(notices->count, 1);
    assert_non_null(strstr(notices->last, "MTU"));

    config = config_of(notices);
    config.peer.s_addr = inet_addr("10.10.0.1");
    link = open_with(&config);
    link->close(link);
    assert_int_equal(notices->count, 2);
    assert_non_null(strstr(notices->last, "address"));
}

static void without_privilege_a_bare_device_is_refused_with_advice(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    make_persistent(0);
    set_privilege(false);
    expect_refusal(&config, EPERM, "ip address add");
    config.peer.s_addr = 0;
    expect_refusal(&config, EPERM, "ip link set tun7 up");
}

/* A socket of the kernel's, bound to its address on tun7. */
static int kernel_socket(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {inet_addr(KERNEL)}};
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Sums pseudo-header and datagram: 0xffff if the checksum is right (RFC 768). */
static uint16_t udp_sum(const uint8_t *packet, size_t length)
{
    uint64_t sum = checksum_add(0, packet + 12, 8);
    sum += 17 + (length - 20);
    return checksum_fold(checksum_add(sum, packet + 20, length - 20));
}

/* Takes what the kernel has sent of its own accord (it looks for IPv6 routers) until nothing waits.
 */
static void empty(struct strait_link *link)
{
    int packets;
    do
        packets = link->drain(link, 0, 65536);
    while (packets > 0);
    assert_int_equal(packets, 0);
}

/* Lets the kernel send a datagram, and takes it (and no IPv6 noise) from the link. */
static void receive_from_kernel(struct strait_link *link, struct seen *seen, const char *text)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(7), .sin_addr = {inet_addr(US)}};
    int fd = kernel_socket(5000);
    listen_to(link, seen);
    empty(link);
    assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to)),
                     (ssize_t)strlen(text));
    close(fd);
    while (link->drain(link, 0, 1) > 0 && seen->packet[0] != 0x45)
        continue;
    assert_int_equal(seen->packet[0], 0x45);
    assert_int_equal(seen->length, 28 + strlen(text));
    assert_memory_equal(seen->packet + 28, text, strlen(text));
}

static void a_packet_of_the_kernel_has_a_partial_checksum(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    struct seen seen;
    receive_from_kernel(link, &seen, "over the strait");
    assert_int_equal(seen.offload.checksum, STRAIT_CHECKSUM_PARTIAL);
    assert_int_equal(seen.offload.checksum_start, 20);
    assert_int_equal(seen.offload.checksum_offset, 6);
    link->close(link);
}

static void a_plain_device_gets_whole_checksums_even_after_one_with_offload(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    make_persistent(0);
    struct strait_link *link = open_with(&config);
    link->close(link);
    config.plain = true;
    link = open_with(&config);
    assert_int_equal(link->features, 0);
    struct seen seen;
    receive_from_kernel(link, &seen, "over the strait");
    assert_int_equal(seen.offload.checksum, STRAIT_CHECKSUM_COMPLETE);
    assert_int_equal(udp_sum(seen.packet, seen.length), 0xffff);
    link->close(link);
}

/* A datagram from us to the kernel's port 5000. */
static size_t make_datagram(uint8_t packet[64], const char *text)
{
    size_t length = 28 + strlen(text);
    memset(packet, 0, 64);
    packet[0] = 0x45;
    store_be16(packet + 2, (uint16_t)length);
    packet[8] = 64;
    packet[9] = 17;
    memcpy(packet + 12, &(in_addr_t){inet_addr(US)}, 4);
    memcpy(packet + 16, &(in_addr_t){inet_addr(KERNEL)}, 4);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    store_be16(packet + 20, 7);
    store_be16(packet + 22, 5000);
    store_be16(packet + 24, (uint16_t)(length - 20));
    memcpy(packet + 28, text, length - 28);
    return length;
}

static void the_kernel_finishes_a_partial_checksum(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    int fd = kernel_socket(5000);
    uint8_t packet[64], got[64];
    size_t length = make_datagram(packet, "hello kernel");
    uint64_t pseudo = checksum_add(0, packet + 12, 8) + 17 + (length - 20);
    store_be16(packet + 26, checksum_fold(pseudo));
    struct strait_offload offload = {
        .checksum = STRAIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6};
    struct iovec parts[] = {{packet, 28}, {packet + 28, length - 28}};
    assert_int_equal(link->send(link, parts, 2, &offload), 0);
    assert_int_equal(recv(fd, got, sizeof(got), 0), 12);
    assert_memory_equal(got, "hello kernel", 12);

    /* The same bytes, said to be complete, are wrong. */
    offload = (struct strait_offload){0};
    assert_int_equal(link->send(link, parts, 2, &offload), 0);
    assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
    close(fd);
    link->close(link);
}

static void a_device_that_is_down_comes_back(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    struct seen seen;
    listen_to(link, &seen);
    uint8_t packet[64];
    struct iovec part = {packet, make_datagram(packet, "x")};
    const struct strait_offload none = {0};
    empty(link);

    set_flags(false);
    assert_int_equal(link->send(link, &part, 1, &none), -1);
    assert_int_equal(counter(link, "tun_send_device_down"), 1);
    empty(link);
    set_flags(true);
    assert_int_equal(link->send(link, &part, 1, &none), 0);
    receive_from_kernel(link, &seen, "back again");
    link->close(link);
}

static void a_device_that_is_deleted_is_gone(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    struct seen seen;
    listen_to(link, &seen);
    empty(link);
    delete_device();
    assert_int_equal(link->drain(link, 0, 65536), -1);
    assert_int_equal(errno, ENODEV);
    uint8_t packet[64];
    struct iovec part = {packet, make_datagram(packet, "x")};
    const struct strait_offload none = {0};
    assert_int_equal(link->send(link, &part, 1, &none), -1);
    assert_int_equal(counter(link, "tun_send_device_gone"), 1);
    link->close(link);
}

int main(void)
{
#define DEVICE(name)  cmocka_unit_test_setup_teardown(name, enter_namespace, leave_namespace)
#define WITHOUT(name) cmocka_unit_test_setup_teardown(name, enter_namespace, leave_with_privilege)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_header_is_an_ordinary_packet),
        cmocka_unit_test(a_partial_checksum_lies_within_the_packet),
        cmocka_unit_test(a_checksum_verified_below_is_valid),
        cmocka_unit_test(a_super_packet_has_its_header_length_read_from_the_packet),
        cmocka_unit_test(a_super_packet_that_lies_is_refused),
        cmocka_unit_test(the_header_of_a_sent_packet_says_its_offload),
        cmocka_unit_test(a_lying_packet_is_counted_and_the_next_one_is_handed_up),
        cmocka_unit_test(drain_stops_at_its_budget_and_when_nothing_waits),
        cmocka_unit_test(a_short_packet_after_one_alone_is_handed_up_without_another_read),
        cmocka_unit_test(packets_that_come_together_are_soon_drained_together),
        cmocka_unit_test(
            short_packets_that_wait_together_are_told_of_before_the_first_is_handed_up),
        cmocka_unit_test(sixteen_packets_are_read_ahead_and_no_more),
        cmocka_unit_test(a_packet_alone_is_handed_up_without_a_hint),
        cmocka_unit_test(a_long_packet_is_handed_up_before_another_is_read),
        cmocka_unit_test(the_longest_packet_fits_behind_fifteen_short_ones),
        cmocka_unit_test(a_lie_in_a_batch_is_counted_and_the_others_are_handed_up),
        cmocka_unit_test(a_plain_device_has_no_header),
        cmocka_unit_test(a_sent_packet_is_its_parts_behind_the_header),
        cmocka_unit_test(a_packet_in_parts_is_sent_whole_whatever_its_length),
        cmocka_unit_test(a_send_that_fails_is_counted_by_its_reason),
        DEVICE(a_device_is_made_and_configured_and_vanishes_when_closed),
        DEVICE(a_device_that_is_made_has_an_mtu_of_1500),
        DEVICE(what_cannot_be_is_refused_in_one_line),
        DEVICE(a_device_in_use_is_ebusy),
        DEVICE(a_persistent_device_stays_and_is_opened_again),
        DEVICE(a_persistent_device_of_several_queues_is_opened),
        DEVICE(an_address_is_added_beside_the_one_that_is_there),
        WITHOUT(without_privilege_no_device_can_be_made),
        WITHOUT(without_privilege_a_configured_device_of_ours_is_taken),
        WITHOUT(without_privilege_a_bare_device_is_refused_with_advice),
        DEVICE(a_packet_of_the_kernel_has_a_partial_checksum),
        DEVICE(a_plain_device_gets_whole_checksums_even_after_one_with_offload),
        DEVICE(the_kernel_finishes_a_partial_checksum),
        DEVICE(a_device_that_is_down_comes_back),
        DEVICE(a_device_that_is_deleted_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
