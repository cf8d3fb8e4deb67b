/* SPDX-License-Identifier: MIT */
/*
 * The link is tested over a pair of sockets, where lies can be told; over a real device in
 * test_tun_device.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/tun.h"
#include "tap.h"

/* Virtio 1.2, 5.1.6: the values on the wire. */
enum { NEEDS_CSUM = 1, DATA_VALID = 2, GSO_TCPV4 = 1, GSO_UDP = 3, GSO_TCPV6 = 4, GSO_UDP_L4 = 5 };
enum { GSO_ECN = 0x80 };

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
    tap_listen(p->link, &p->seen);
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
    assert_int_equal(tap_counter(p->link, "tun_header_wrong"), 2);
    assert_int_equal(tap_counter(p->link, "tun_packets_in"), 1);
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
    assert_int_equal(tap_counter(p->link, "tun_header_wrong"), 2);
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
    assert_int_equal(tap_counter(p->link, "tun_packets_out"), 1);
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
    assert_int_equal(tap_counter(p->link, "tun_send_refused"), 1);
    assert_int_equal(p->link->send(p->link, parts, TUN_PARTS_MAX, &none), 0);
    int sent = 1;
    while (p->link->send(p->link, parts, 1, &none) == 0)
        sent++;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(tap_counter(p->link, "tun_send_no_memory"), 1);
    assert_int_equal(tap_counter(p->link, "tun_packets_out"), (uint64_t)sent);
    pair_free(p);
}

int main(void)
{
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
