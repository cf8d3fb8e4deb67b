/* SPDX-License-Identifier: MIT */
/*
 * Fragmentation (RFC 791 3.2): a sender, two routers and a receiver on three links, each of an MTU
 * of its own. What the sender's link and the receiver's are given is kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lan.h"

#define NODES    4
#define SENDER   0x0a000001 /* 10.0.0.1 */
#define RECEIVER 0x0a000202 /* 10.0.2.2 */
#define LOGGED   1500       /* fragments of one packet */

struct node {
    struct core core;
    struct ip ip;
    struct strait_link right; /* towards the receiver */
    struct strait_link left;  /* whose packets are errors, which are counted and lost */
    struct interface *left_interface;
    struct node *next;
    unsigned errors;
    /* What was sent to the right */
    unsigned sent;
    size_t lengths[LOGGED];
    uint8_t *log[LOGGED];
};

struct chain {
    struct node nodes[NODES];
    unsigned received;
    size_t length;
    bool checksum_right;
    uint8_t payload[65536];
};

static int send_left(struct strait_link *link, const struct iovec *parts, int count,
                     const struct strait_offload *offload)
{
    (void)parts, (void)count, (void)offload;
    ((struct node *)link->upper)->errors++;
    return 0;
}

static int send_right(struct strait_link *link, const struct iovec *parts, int count,
                      const struct strait_offload *offload)
{
    struct node *node = link->upper;
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    assert_true(length <= link->mtu);
    assert_true(node->sent < LOGGED);

    uint8_t *packet = malloc(length > 0 ? length : 1);
    assert_non_null(packet);
    node->lengths[node->sent] = length;
    node->log[node->sent++] = packet;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0)
            memcpy(packet, parts[i].iov_base, parts[i].iov_len);
        packet += parts[i].iov_len;
    }
    ipv4_input(&node->next->ip, node->next->left_interface, packet - length, length, offload);
    return 0;
}

static void record(void *self, const struct ip_packet *packet)
{
    struct chain *c = self;
    c->received++;
    c->length = packet->length;
    c->checksum_right = ip_checksum_right(packet);
    memcpy(c->payload, packet->payload, packet->length);
}

static const struct ip_protocol recorder = {.input = record};

static void forget(struct chain *c)
{
    for (int i = 0; i < NODES; i++) {
        while (c->nodes[i].sent > 0)
            free(c->nodes[i].log[--c->nodes[i].sent]);
    }
    c->received = 0;
}

/* Node i has the addresses 10.0.i-1.2 on its left and 10.0.i.1 on its right. */
static void node_init(struct chain *c, uint32_t i, uint32_t left_mtu, uint32_t right_mtu)
{
    struct node *node = &c->nodes[i];
    struct strait_link link = {.size = sizeof(link), .name = "chain", .fd = -1, .upper = node};

    strait_config_init(&node->core.config);
    node->core.config.fragments_max_bytes = 1 << 20;
    node->core.config.forward = true;
    node->core.config.secret[0] = (uint8_t)i;
    node->next = node + 1;
    pool_init(&node->core.pool, 0);
    prng_seed(&node->core.prng, i);
    ip_init(&node->ip, &node->core);
    ip_register(&node->ip, IPPROTO_UDP, &recorder, c);
    if (i < NODES - 1) {
        node->right = link;
        node->right.mtu = right_mtu;
        node->right.send = send_right;
        assert_non_null(ip_attach(&node->ip, &node->right, address_v4(0x0a000001 + (i << 8)), 24));
    }
    if (i > 0) {
        node->left = link;
        node->left.mtu = left_mtu;
        node->left.send = send_left;
        node->left_interface =
            ip_attach(&node->ip, &node->left, address_v4(0x0a000002 + ((i - 1) << 8)), 24);
        assert_non_null(node->left_interface);
    }
}

static struct chain *chain_new(uint32_t first, uint32_t second, uint32_t third)
{
    const uint32_t mtus[] = {0, first, second, third, 0};
    struct chain *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    for (uint32_t i = 0; i < NODES; i++)
        node_init(c, i, mtus[i], mtus[i + 1]);
    return c;
}

static void chain_free(struct chain *c)
{
    forget(c);
    for (int i = 0; i < NODES; i++) {
        ip_finish(&c->nodes[i].ip);
        pool_finish(&c->nodes[i].core.pool);
    }
    free(c);
}

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 11 + at / 251);
}

/* Sends a UDP datagram of `bytes` payload, in three parts of odd lengths. */
static int send_datagram(struct chain *c, size_t bytes, enum outgoing_length too_long)
{
    static uint8_t payload[65536];
    struct node *sender = &c->nodes[0];
    struct address to = address_v4(RECEIVER);
    struct ip_outgoing out;
    struct route route;

    assert_int_equal(ip_route_find(&sender->ip, NULL, &to, &route), 0);
    for (size_t i = 0; i < bytes; i++)
        payload[i] = pattern(i);
    outgoing_init(&out, 8, 6, true);
    out.too_long = (uint8_t)too_long;
    size_t cut = bytes / 3, again = bytes / 2;
    outgoing_payload(&out, payload, cut);
    outgoing_payload(&out, NULL, 0);
    outgoing_payload(&out, payload + cut, again - cut);
    outgoing_payload(&out, payload + again, bytes - again);
    uint8_t *header = outgoing_transport(&out);
    store_be16(header, 7);
    store_be16(header + 2, 40000);
    store_be16(header + 4, (uint16_t)(8 + bytes));
    store_be16(header + 6, 0);
    return ip_output(&sender->ip, &route, IPPROTO_UDP, &out);
}

/* Sends a datagram, which has to arrive whole. */
static void expect_through_as(struct chain *c, size_t bytes, enum outgoing_length too_long)
{
    forget(c);
    assert_int_equal(send_datagram(c, bytes, too_long), 0);
    assert_int_equal(c->received, 1);
    assert_int_equal(c->length, 8 + bytes);
    assert_true(c->checksum_right);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(c->payload[8 + i], pattern(i));
    assert_int_equal(c->nodes[NODES - 1].ip.reassembly.bytes, 0);
}

static void expect_through(struct chain *c, size_t bytes)
{
    expect_through_as(c, bytes, OUTGOING_CUT_HERE);
}

/* ---- The wire -------------------------------------------------------------------------------- */

static void a_packet_above_the_mtu_is_cut_at_units_of_8_bytes_rfc791_3_2(void **state)
{
    struct chain *c = chain_new(68, 1500, 1500);
    const struct node *sender = &c->nodes[0];
    /* 100 bytes of UDP are 48, 48 and 4. */
    static const uint16_t lengths[] = {68, 68, 24}, fields[] = {0x2000, 0x2006, 0x000c};
    (void)state;

    expect_through(c, 92);
    assert_int_equal(sender->sent, 3);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *header = sender->log[i];
        assert_int_equal(sender->lengths[i], lengths[i]);
        assert_int_equal(header[0], 0x45);
        assert_int_equal(load_be16(header + 2), lengths[i]);
        assert_int_equal(load_be16(header + 4), load_be16(sender->log[0] + 4));
        assert_int_equal(load_be16(header + 6), fields[i]);
        assert_int_equal(header[8], 64);
        assert_int_equal(header[9], IPPROTO_UDP);
        assert_int_equal(load_be32(header + 12), SENDER);
        assert_int_equal(load_be32(header + 16), RECEIVER);
        assert_int_equal(lan_sum(header, 20), 0xffff);
    }
    assert_int_equal(sender->core.counters[COUNTER_ip_fragmented], 1);
    assert_int_equal(sender->core.counters[COUNTER_ip_fragments_out], 3);
    assert_int_equal(sender->core.counters[COUNTER_link_packets_out], 3);
    assert_int_equal(sender->core.counters[COUNTER_link_bytes_out], 160);
    chain_free(c);
}

static void a_packet_of_the_mtu_goes_whole_with_df(void **state)
{
    struct chain *c = chain_new(576, 1500, 1500);
    (void)state;

    expect_through(c, 548);
    assert_int_equal(c->nodes[0].sent, 1);
    assert_int_equal(load_be16(c->nodes[0].log[0] + 6), 0x4000);
    expect_through(c, 549);
    assert_int_equal(c->nodes[0].sent, 2);
    assert_int_equal(load_be16(c->nodes[0].log[0] + 6), 0x2000);
    chain_free(c);
}

static void a_packet_that_may_not_be_fragmented_is_refused(void **state)
{
    struct chain *c = chain_new(576, 1500, 1500);
    (void)state;

    assert_int_equal(send_datagram(c, 548, OUTGOING_WHOLE), 0);
    assert_int_equal(send_datagram(c, 549, OUTGOING_WHOLE), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(send_datagram(c, 65508, OUTGOING_CUT_HERE), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(c->nodes[0].sent, 1);
    assert_int_equal(c->nodes[0].core.counters[COUNTER_ip_too_big], 2);
    chain_free(c);
}

static void fragments_end_with_the_first_that_the_link_refuses(void **state)
{
    struct chain *c = chain_new(576, 1500, 1500);
    struct lan *lan = lan_new(576, 0);
    (void)state;

    c->nodes[0].right = lan->link;
    lan->fail_with = ENOBUFS;
    assert_int_equal(send_datagram(c, 5000, OUTGOING_CUT_HERE), -1);
    assert_int_equal(errno, ENOBUFS);
    assert_int_equal(c->nodes[0].core.counters[COUNTER_link_send_failed], 1);
    assert_int_equal(c->nodes[0].core.counters[COUNTER_ip_fragments_out], 0);
    lan_free(lan);
    chain_free(c);
}

/* A link that computes checksums could do so of one fragment only. */
static void the_checksum_is_computed_over_all_fragments(void **state)
{
    struct chain *c = chain_new(576, 1500, 1500);
    (void)state;

    c->nodes[0].right.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    expect_through(c, 5000);
    chain_free(c);
}

/* ---- Round trips ----------------------------------------------------------------------------- */

static void every_size_around_the_edges_of_fragments_goes_through(void **state)
{
    static const uint32_t mtus[] = {68, 69, 75, 76, 576, 1500};
    (void)state;

    for (size_t m = 0; m < sizeof(mtus) / sizeof(mtus[0]); m++) {
        struct chain *c = chain_new(mtus[m], mtus[m], mtus[m]);
        size_t unit = (mtus[m] - 20) / 8 * 8;
        for (size_t edge = unit; edge <= 4 * unit; edge += unit)
            for (size_t bytes = edge - 20; bytes <= edge + 20; bytes++)
                expect_through(c, bytes);
        expect_through(c, 65507);
        assert_int_equal(c->nodes[0].sent, (65515 + unit - 1) / unit);
        chain_free(c);
    }
}

/* Fragments are cut again where the path becomes narrower, and put together at its end alone. */
static void two_hops_that_fragment_make_no_difference(void **state)
{
    static const uint32_t mtus[][3] = {
        {1500, 576, 68}, {576, 68, 1500}, {65000, 1499, 77}, {9000, 1006, 1005}};
    (void)state;

    for (size_t m = 0; m < sizeof(mtus) / sizeof(mtus[0]); m++) {
        struct chain *c = chain_new(mtus[m][0], mtus[m][1], mtus[m][2]);
        for (size_t bytes = mtus[m][0]; bytes < 65507; bytes += 6007)
            expect_through(c, bytes);
        expect_through(c, 65507);
        assert_true(c->nodes[1].core.counters[COUNTER_ip_fragmented] > 0);
        for (int i = 0; i < NODES; i++)
            assert_int_equal(c->nodes[i].errors, 0);
        chain_free(c);
    }
}

/* An atomic packet has DF set, so it ends at a narrow hop, and its sender hears of it. */
static void a_whole_packet_is_not_cut_on_its_way_rfc1191_4(void **state)
{
    struct chain *c = chain_new(1500, 576, 576);
    (void)state;

    assert_int_equal(send_datagram(c, 1000, OUTGOING_CUT_HERE), 0);
    assert_int_equal(c->received, 0);
    assert_int_equal(c->nodes[1].errors, 1);
    assert_int_equal(c->nodes[1].core.counters[COUNTER_ip_too_big], 1);
    chain_free(c);
}

/* But for what is no longer than any path carries: that needs no identification. */
static void what_routers_may_cut_gets_through_a_narrow_path(void **state)
{
    struct chain *c = chain_new(1500, 576, 576);
    const struct node *sender = &c->nodes[0];
    uint16_t ids[2];
    (void)state;

    for (int i = 0; i < 2; i++) {
        expect_through_as(c, 1000, OUTGOING_CUT_ANYWHERE);
        assert_int_equal(sender->sent, 1);
        assert_int_equal(c->nodes[1].sent, 2);
        assert_int_equal(load_be16(sender->log[0] + 6), 0);
        ids[i] = load_be16(sender->log[0] + 4);
    }
    assert_int_not_equal(ids[0], ids[1]);
    expect_through_as(c, 1473, OUTGOING_CUT_ANYWHERE);
    assert_int_equal(sender->sent, 2);
    expect_through_as(c, 553 - 28, OUTGOING_CUT_ANYWHERE);
    assert_int_equal(load_be16(sender->log[0] + 6), 0);
    expect_through_as(c, 552 - 28, OUTGOING_CUT_ANYWHERE);
    assert_int_equal(load_be16(sender->log[0] + 6), 0x4000);
    assert_int_equal(load_be16(sender->log[0] + 4), 0);
    chain_free(c);
}

/* The router's link could compute the checksum of one fragment only. */
static void a_checksum_left_to_a_link_is_completed_before_cutting(void **state)
{
    struct chain *c = chain_new(1500, 576, 576);
    const struct strait_offload partial = {
        .checksum = STRAIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6};
    uint8_t packet[1500];
    (void)state;

    /* A UDP datagram of 1480 bytes. Its field has the sum of the pseudo-header: 0a00 + 0001 + 0a00
     * + 0202 + 0011 + 05c8 = 1bdc. */
    lan_hex(packet, sizeof(packet),
            "45 00 05 dc 00 07 00 00 40 11 00 00 0a 00 00 01 0a 00 02 02"
            "00 07 9c 40 05 c8 1b dc");
    for (size_t i = 28; i < sizeof(packet); i++)
        packet[i] = pattern(i);
    lan_mend(packet);
    c->nodes[1].right.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4;
    ipv4_input(&c->nodes[1].ip, c->nodes[1].left_interface, packet, sizeof(packet), &partial);
    assert_int_equal(c->nodes[1].sent, 3);
    assert_int_equal(c->received, 1);
    assert_true(c->checksum_right);
    chain_free(c);
}

/* ---- Options --------------------------------------------------------------------------------- */

static void options_with_the_copied_flag_stand_in_every_fragment_rfc791_3_1(void **state)
{
    struct chain *c = chain_new(1500, 100, 1500);
    const struct node *router = &c->nodes[1];
    uint8_t packet[36 + 160] = {0};
    (void)state;

    /* NOP, Record Route (not copied), Router Alert (copied), End */
    lan_hex(packet, sizeof(packet),
            "49 00 00 c4 00 07 00 00 40 11 00 00 0a 00 00 01 0a 00 02 02"
            "01 07 07 04 00 00 00 00 94 04 00 00 00 00 00 00");
    for (size_t i = 36; i < sizeof(packet); i++)
        packet[i] = pattern(i);
    lan_mend(packet);
    ipv4_input(&c->nodes[1].ip, c->nodes[1].left_interface, packet, sizeof(packet),
               &(struct strait_offload){0});

    /* 160 bytes: 64 behind a header of 36 bytes, 72 and 24 behind one of 24. */
    assert_int_equal(router->sent, 3);
    assert_int_equal(router->lengths[0], 36 + 64);
    assert_int_equal(router->lengths[1], 24 + 72);
    assert_int_equal(router->lengths[2], 24 + 24);
    assert_memory_equal(router->log[0] + 20, packet + 20, 16);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(router->log[i][0], 0x46);
        assert_int_equal(load_be32(router->log[i] + 20), 0x94040000);
        assert_int_equal(lan_sum(router->log[i], 24), 0xffff);
    }
    assert_int_equal(load_be16(router->log[1] + 6), 0x2000 | 8);
    assert_int_equal(load_be16(router->log[2] + 6), 17);
    assert_int_equal(c->received, 1);
    assert_int_equal(c->length, 160);
    assert_memory_equal(c->payload, packet + 36, 160);
    chain_free(c);
}

/* ---- Identification -------------------------------------------------------------------------- */

static uint16_t next_id(struct chain *c, uint32_t destination, uint8_t protocol)
{
    struct route route = {.source = address_v4(SENDER), .destination = address_v4(destination)};
    return ip_next_id(&c->nodes[0].ip, &route, protocol);
}

static void an_identification_is_not_repeated_while_there_are_others_rfc6864_4_3(void **state)
{
    struct chain *c = chain_new(1500, 1500, 1500);
    static bool used[65536];
    (void)state;

    for (unsigned i = 0; i < 65536; i++) {
        uint16_t id = next_id(c, RECEIVER, IPPROTO_UDP);
        assert_false(used[id]);
        used[id] = true;
    }
    chain_free(c);
}

/*
 * From the differences of two identifications nothing can be told: of random ones 65535 in 65536
 * differ from the one before by another number than the most frequent. RFC 7739 3.
 */
static void identifications_are_not_a_sequence(void **state)
{
    struct chain *c = chain_new(1500, 1500, 1500);
    static unsigned differences[65536];
    unsigned most = 0;
    (void)state;

    uint16_t before = next_id(c, RECEIVER, IPPROTO_UDP);
    for (unsigned i = 0; i < 10000; i++) {
        uint16_t id = next_id(c, RECEIVER, IPPROTO_UDP);
        unsigned times = ++differences[(uint16_t)(id - before)];
        most = times > most ? times : most;
        before = id;
    }
    assert_true(most < 10);
    chain_free(c);
}

static void each_flow_has_identifications_of_its_own(void **state)
{
    struct chain *c = chain_new(1500, 1500, 1500);
    struct chain *other = chain_new(1500, 1500, 1500);
    unsigned same_protocol = 0, same_destination = 0, same_secret = 0;
    (void)state;

    other->nodes[0].core.config.secret[15] ^= 1;
    for (unsigned i = 0; i < 1000; i++) {
        uint16_t id = next_id(c, RECEIVER, IPPROTO_UDP);
        same_protocol += id == next_id(c, RECEIVER, IPPROTO_ICMP);
        same_destination += id == next_id(c, RECEIVER + 1, IPPROTO_UDP);
        same_secret += id == next_id(other, RECEIVER, IPPROTO_UDP);
    }
    assert_true(same_protocol < 10 && same_destination < 10 && same_secret < 10);
    chain_free(c);
    chain_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_above_the_mtu_is_cut_at_units_of_8_bytes_rfc791_3_2),
        cmocka_unit_test(a_packet_of_the_mtu_goes_whole_with_df),
        cmocka_unit_test(a_packet_that_may_not_be_fragmented_is_refused),
        cmocka_unit_test(fragments_end_with_the_first_that_the_link_refuses),
        cmocka_unit_test(the_checksum_is_computed_over_all_fragments),
        cmocka_unit_test(every_size_around_the_edges_of_fragments_goes_through),
        cmocka_unit_test(two_hops_that_fragment_make_no_difference),
        cmocka_unit_test(a_whole_packet_is_not_cut_on_its_way_rfc1191_4),
        cmocka_unit_test(what_routers_may_cut_gets_through_a_narrow_path),
        cmocka_unit_test(a_checksum_left_to_a_link_is_completed_before_cutting),
        cmocka_unit_test(options_with_the_copied_flag_stand_in_every_fragment_rfc791_3_1),
        cmocka_unit_test(an_identification_is_not_repeated_while_there_are_others_rfc6864_4_3),
        cmocka_unit_test(identifications_are_not_a_sequence),
        cmocka_unit_test(each_flow_has_identifications_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
