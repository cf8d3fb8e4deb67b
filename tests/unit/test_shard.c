/* SPDX-License-Identifier: MIT */
/* The rule that splits the packets of a host, its local ports, and the kernel's copy of the rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "base/shard.h"
#include "host/steer.h"

#define HOST 0x0a070002
#define PEER 0x0a070001

#define LISTENED 80 /* a port that is not in the local range */

static struct strait_config config_of(uint16_t shards)
{
    struct strait_config config;
    strait_config_init(&config);
    for (size_t i = 0; i < sizeof(config.secret); i++)
        config.secret[i] = (uint8_t)(17 * i + 3);
    config.shards = shards;
    return config;
}

static struct shard_rule rule_of(uint16_t shards)
{
    const struct strait_config config = config_of(shards);
    struct shard_rule rule;
    shard_rule_init(&rule, &config);
    return rule;
}

/* ---- The hash -------------------------------------------------------------------------------- */

static void the_hash_is_the_same_in_both_directions(void **state)
{
    (void)state;
    const struct shard_rule rule = rule_of(7);
    struct prng prng;
    prng_seed(&prng, 1);
    for (int i = 0; i < 10000; i++) {
        uint64_t one = shard_endpoint((uint32_t)prng_next(&prng), (uint16_t)prng_next(&prng));
        uint64_t other = shard_endpoint((uint32_t)prng_next(&prng), (uint16_t)prng_next(&prng));
        assert_int_equal(shard_by_hash(&rule, one, other), shard_by_hash(&rule, other, one));
    }
}

/* With the keys 2^47, 2^33 and 2^32 the 16 bits that count are computed by hand, and so is their
 * mixing: with 65536 shards they are the result. */
static void the_hash_is_multilinear_and_then_mixed(void **state)
{
    (void)state;
    const struct shard_rule rule = {
        .keys = {UINT64_C(1) << 47, UINT64_C(1) << 33, UINT64_C(1) << 32},
        .shards = 65536,
    };
    /* 4000, 4080 (^ >> 7), dd80 (* 9e3b), dc3b (^ >> 7), b341 (* c2b3). */
    const uint32_t quarter = 0xb341;
    assert_int_equal(shard_by_hash(&rule, 0, 0), 0); /* 0.5 of 65536 */
    /* (2^47 + 2^33 * 0 + 2^32 * 2^30) = 2^62 + 2^47: a quarter. */
    assert_int_equal(shard_by_hash(&rule, 0, UINT64_C(1) << 30), quarter);
    /* The lower end gets the first key: 2^33 * 2^30 + 2^32 * (2^30 + 2^31) = 2^63 + 2^62 + 2^63,
     * which is 2^62 modulo 2^64. */
    assert_int_equal(
        shard_by_hash(&rule, (UINT64_C(1) << 30) + (UINT64_C(1) << 31), UINT64_C(1) << 30),
        quarter);
    /* c000, c180, 9880, 99b1, 98c3. */
    assert_int_equal(shard_by_hash(&rule, 0, UINT64_C(3) << 30), 0x98c3);
}

/* Expected are 10000 of each; the bound is ten standard deviations away. */
static void the_hash_spreads_the_ports_of_one_peer_evenly(void **state)
{
    (void)state;
    const struct shard_rule rule = rule_of(4);
    unsigned packets[4] = {0};
    for (uint32_t port = 1024; port < 41024; port++)
        packets[shard_of(&rule, shard_endpoint(HOST, LISTENED),
                         shard_endpoint(PEER, (uint16_t)port))]++;
    for (int i = 0; i < 4; i++)
        assert_in_range(packets[i], 9100, 10900);
}

/* Linux takes every second port. Of 32 fair coins, fewer than 3 of a side come in 1 of 4 million.
 */
static void whatever_the_secret_a_row_of_ports_is_shared(void **state)
{
    (void)state;
    struct strait_config config = config_of(2);
    struct shard_rule rule;
    for (uint32_t secret = 0; secret < 2000; secret++) {
        unsigned packets[2] = {0};
        memcpy(config.secret, &secret, sizeof(secret));
        shard_rule_init(&rule, &config);
        for (uint32_t i = 0; i < 32; i++)
            packets[shard_of(&rule, shard_endpoint(HOST, LISTENED),
                             shard_endpoint(PEER, (uint16_t)(40000 + 2 * i)))]++;
        assert_in_range(packets[0], 3, 29);
    }
}

static void another_secret_spreads_differently(void **state)
{
    (void)state;
    struct strait_config config = config_of(2);
    const struct shard_rule one = rule_of(2);
    struct shard_rule other;
    unsigned same = 0;
    config.secret[0] ^= 1;
    shard_rule_init(&other, &config);
    for (uint16_t port = 1024; port < 2024; port++) {
        uint64_t local = shard_endpoint(HOST, LISTENED), remote = shard_endpoint(PEER, port);
        same += shard_of(&one, local, remote) == shard_of(&other, local, remote);
    }
    assert_in_range(same, 300, 700);
}

/* ---- Local ports ----------------------------------------------------------------------------- */

static void a_local_port_belongs_to_one_shard_whoever_the_peer_is(void **state)
{
    (void)state;
    const struct shard_rule rule = rule_of(3);
    for (uint32_t peer = PEER; peer < PEER + 50; peer++) {
        assert_int_equal(shard_of(&rule, shard_endpoint(HOST, 32768), shard_endpoint(peer, 9)), 0);
        assert_int_equal(shard_of(&rule, shard_endpoint(HOST, 32769), shard_endpoint(peer, 9)), 1);
        assert_int_equal(shard_of(&rule, shard_endpoint(HOST, 60999), shard_endpoint(peer, 9)),
                         (60999 - 32768) % 3);
    }
}

static void the_shards_split_the_local_ports_and_leave_none(void **state)
{
    (void)state;
    static const uint16_t ranges[][2] = {{32768, 60999}, {1, 65535}, {50000, 50006}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        for (uint16_t shards = 1; shards <= 7; shards++) {
            struct strait_config config = config_of(shards);
            struct shard_rule rule;
            uint8_t drawn[65536] = {0};
            config.port_first = ranges[i][0];
            config.port_last = ranges[i][1];
            shard_rule_init(&rule, &config);
            for (config.shard = 0; config.shard < shards; config.shard++) {
                for (uint32_t index = 0; index < shard_ports(&config); index++) {
                    uint16_t port = shard_port(&config, index);
                    drawn[port]++;
                    assert_int_equal(
                        shard_of(&rule, shard_endpoint(HOST, port), shard_endpoint(PEER, LISTENED)),
                        config.shard);
                }
            }
            for (uint32_t port = 0; port < 65536; port++)
                assert_int_equal(drawn[port],
                                 port >= config.port_first && port <= config.port_last);
        }
    }
}

/* ---- The kernel's program -------------------------------------------------------------------- */

#define ETHERNET_BYTES 14 /* in front of what the kernel shows to a socket filter in a test run */

/* Runs the program on a packet: what it returns. Skips the test where that is not allowed. */
static uint32_t run(int program, const uint8_t *packet, size_t length)
{
    uint8_t frame[ETHERNET_BYTES + 128] = {[12] = 0x08};
    union bpf_attr attributes = {0};
    memcpy(frame + ETHERNET_BYTES, packet, length);
    attributes.test.prog_fd = (uint32_t)program;
    attributes.test.data_in = (uintptr_t)frame;
    attributes.test.data_size_in = (uint32_t)(ETHERNET_BYTES + length);
    attributes.test.repeat = 1;
    if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof(attributes)) != 0)
        fail_msg("BPF_PROG_TEST_RUN: %s", strerror(errno));
    return attributes.test.retval;
}

/* Writes an IPv4 packet from PEER to HOST with `header_bytes` and the ports behind it. */
static size_t make_packet(uint8_t packet[64], uint8_t protocol, size_t header_bytes,
                          uint16_t fragment, uint16_t source_port, uint16_t destination_port)
{
    memset(packet, 0, 64);
    packet[0] = (uint8_t)(4 << 4 | header_bytes / 4);
    store_be16(packet + 6, fragment);
    packet[9] = protocol;
    store_be32(packet + 12, PEER);
    store_be32(packet + 16, HOST);
    store_be16(packet + header_bytes, source_port);
    store_be16(packet + header_bytes + 2, destination_port);
    return header_bytes + 4;
}

/* Loads the program, or skips the test. */
static int load(const struct shard_rule *rule)
{
    struct steer_program program;
    steer_assemble(&program, rule);
    int fd = steer_load(&program);
    if (fd < 0 && (errno == EPERM || errno == ENOSYS)) {
        print_message("skipped: this user or kernel loads no eBPF programs\n");
        skip();
    }
    assert_true(fd >= 0);
    return fd;
}

static void the_kernel_chooses_by_the_same_rule(void **state)
{
    (void)state;
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
    for (uint16_t shards = 2; shards <= STRAIT_SHARDS_MAX; shards += 5) {
        const struct shard_rule rule = rule_of(shards);
        int program = load(&rule);
        struct prng prng;
        prng_seed(&prng, shards);
        for (int i = 0; i < 1000; i++) {
            uint8_t packet[64];
            uint16_t source = (uint16_t)prng_next(&prng), destination = (uint16_t)prng_next(&prng);
            size_t header_bytes = 20 + 4 * (size_t)prng_below(&prng, 11);
            size_t length =
                make_packet(packet, protocols[i % 2], header_bytes, 0x4000, source, destination);
            if (i % 3 == 0) /* either address may be the lower one */
                store_be32(packet + 12, (uint32_t)prng_next(&prng));
            uint32_t expected = shard_of(&rule, shard_endpoint(HOST, destination),
                                         shard_endpoint(load_be32(packet + 12), source));
            assert_int_equal(run(program, packet, length), expected);
        }
        close(program);
    }
}

static void the_kernel_sends_what_has_no_ports_by_its_addresses(void **state)
{
    (void)state;
    static const struct {
        uint8_t protocol;
        uint16_t fragment;
    } cases[] = {
        {IPPROTO_ICMP, 0}, {IPPROTO_UDP, 0x2000}, {IPPROTO_UDP, 1}, {IPPROTO_TCP, 0x2001}, {47, 0},
    };
    for (uint16_t shards = 2; shards <= 12; shards++) {
        const struct shard_rule rule = rule_of(shards);
        int program = load(&rule);
        uint32_t expected = shard_of(&rule, shard_endpoint(HOST, 0), shard_endpoint(PEER, 0));
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            uint8_t packet[64];
            size_t length =
                make_packet(packet, cases[i].protocol, 20, cases[i].fragment, 40000, 40001);
            assert_int_equal(run(program, packet, length), expected);
        }
        close(program);
    }
}

static void the_kernel_sends_what_it_cannot_read_to_the_first_shard(void **state)
{
    (void)state;
    const struct shard_rule rule = rule_of(16);
    int program = load(&rule);
    uint8_t packet[64];
    for (uint16_t port = 40000; port < 40016; port++) {
        size_t length = make_packet(packet, IPPROTO_TCP, 20, 0, 1234, port);
        assert_int_equal(run(program, packet, length - 1), 0);
        packet[0] = 0x65;
        assert_int_equal(run(program, packet, length), 0);
    }
    close(program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_the_same_in_both_directions),
        cmocka_unit_test(the_hash_is_multilinear_and_then_mixed),
        cmocka_unit_test(the_hash_spreads_the_ports_of_one_peer_evenly),
        cmocka_unit_test(whatever_the_secret_a_row_of_ports_is_shared),
        cmocka_unit_test(another_secret_spreads_differently),
        cmocka_unit_test(a_local_port_belongs_to_one_shard_whoever_the_peer_is),
        cmocka_unit_test(the_shards_split_the_local_ports_and_leave_none),
        cmocka_unit_test(the_kernel_chooses_by_the_same_rule),
        cmocka_unit_test(the_kernel_sends_what_has_no_ports_by_its_addresses),
        cmocka_unit_test(the_kernel_sends_what_it_cannot_read_to_the_first_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
