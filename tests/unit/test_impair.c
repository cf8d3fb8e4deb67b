/* SPDX-License-Identifier: MIT */
/*
 * One direction of a path. Times and queues are computed by hand. Chances are tried many times from
 * a fixed seed, and have to lie within four standard deviations of the binomial distribution.
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
#include "link/impair.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

#define PERCENT 10000 /* in parts of a million */
#define ALWAYS  (100 * PERCENT)

#define SEED  20250607
#define START (5 * S) /* when a test begins */

static struct impair path;

static int setup(void **state)
{
    (void)state;
    impair_init(&path, &(struct impair_config){0}, SEED);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    impair_clear(&path);
    return 0;
}

static void configure(struct impair_config config)
{
    impair_configure(&path, &config);
}

/* ---- Packets --------------------------------------------------------------------------------- */

/* A packet of `length` bytes, at least 4, which hold its number. */
static void put_sized(uint32_t number, size_t length, uint64_t now_ns)
{
    static uint8_t bytes[65536];
    const struct iovec part = {bytes, length};
    assert_in_range(length, 4, sizeof(bytes));
    store_be32(bytes, number);
    assert_int_equal(impair_put(&path, &part, 1, NULL, now_ns), 0);
}

static void put(uint32_t number, uint64_t now_ns)
{
    put_sized(number, 4, now_ns);
}

/* What came out last. */
static struct taken {
    uint8_t bytes[2048];
    size_t length;
    struct strait_offload offload;
} taken;

static void keep(void *context, const void *packet, size_t length,
                 const struct strait_offload *offload)
{
    struct taken *t = context;
    t->length = length;
    memcpy(t->bytes, packet, length < sizeof(t->bytes) ? length : sizeof(t->bytes));
    t->offload = *offload;
}

static bool take(uint64_t now_ns)
{
    return impair_take(&path, now_ns, keep, &taken);
}

/* The next packet comes at this very time, and has this number. */
static void expect_at(uint64_t due_ns, uint32_t number)
{
    assert_int_equal(impair_next(&path), due_ns);
    assert_false(take(due_ns - 1));
    assert_true(take(due_ns));
    assert_int_equal(load_be32(taken.bytes), number);
}

static void expect_nothing(void)
{
    assert_true(impair_next(&path) == STRAIT_NEVER);
    assert_false(take(STRAIT_NEVER));
}

/* Takes what is next, whenever it is due. Returns when that is. */
static uint64_t take_next(void)
{
    uint64_t due_ns = impair_next(&path);
    assert_true(take(due_ns));
    return due_ns;
}

/* `number` tries with probability `ppm` have succeeded so often: within four deviations. */
static void assert_binomial(uint64_t successes, uint64_t tries, uint64_t ppm)
{
    uint64_t mean = tries * ppm / ALWAYS;
    uint64_t variance = mean * (ALWAYS - ppm) / ALWAYS;
    uint64_t distance = successes > mean ? successes - mean : mean - successes;
    if (distance * distance > 16 * variance)
        fail_msg("%llu of %llu, expected about %llu", (unsigned long long)successes,
                 (unsigned long long)tries, (unsigned long long)mean);
}

/* ---- Without impairment ---------------------------------------------------------------------- */

static void a_perfect_path_lets_everything_out_at_once_and_in_order(void **state)
{
    (void)state;
    expect_nothing();
    for (uint32_t n = 0; n < 100; n++)
        put(n, START);
    for (uint32_t n = 0; n < 100; n++)
        expect_at(START, n);
    expect_nothing();
    assert_int_equal(path.counters.packets, 100);
    assert_int_equal(path.bytes, 0);
}

static void a_packet_is_gathered_from_its_parts_and_keeps_its_offload(void **state)
{
    (void)state;
    const struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_PARTIAL,
                                           .gso = STRAIT_GSO_TCP4,
                                           .ecn = true,
                                           .gso_size = 1460,
                                           .header_bytes = 40,
                                           .checksum_start = 20,
                                           .checksum_offset = 16};
    char head[] = "head", middle[] = "-", tail[] = "tail";
    const struct iovec parts[] = {{head, 4}, {middle, 0}, {middle, 1}, {tail, 5}};
    assert_int_equal(impair_put(&path, parts, 4, &offload, START), 0);
    head[0] = tail[0] = 'x'; /* it was copied */
    assert_true(take(START));
    assert_int_equal(taken.length, 10);
    assert_string_equal((char *)taken.bytes, "head-tail");
    assert_int_equal(taken.offload.checksum, offload.checksum);
    assert_int_equal(taken.offload.gso, offload.gso);
    assert_true(taken.offload.ecn);
    assert_int_equal(taken.offload.gso_size, offload.gso_size);
    assert_int_equal(taken.offload.header_bytes, offload.header_bytes);
    assert_int_equal(taken.offload.checksum_start, offload.checksum_start);
    assert_int_equal(taken.offload.checksum_offset, offload.checksum_offset);
}

/* ---- Delay and jitter ------------------------------------------------------------------------ */

static void a_delay_is_exact(void **state)
{
    (void)state;
    configure((struct impair_config){.delay_ns = 20 * MS});
    put(1, START);
    put(2, START + 1);
    put(3, START + 1);
    expect_at(START + 20 * MS, 1);
    put(4, START + 20 * MS);
    expect_at(START + 20 * MS + 1, 2);
    expect_at(START + 20 * MS + 1, 3);
    expect_at(START + 40 * MS, 4);
    expect_nothing();
}

/* Each packet waits for the one before it, so they are put far apart. */
static void jitter_is_spread_evenly_around_the_delay(void **state)
{
    enum { PACKETS = 20000, BINS = 10 };
    unsigned bins[BINS] = {0};
    (void)state;
    configure((struct impair_config){.delay_ns = 10 * MS, .jitter_ns = 5 * MS});
    for (uint32_t n = 0; n < PACKETS; n++) {
        put(n, n * S);
        uint64_t waited_ns = take_next() - n * S;
        assert_in_range(waited_ns, 5 * MS, 15 * MS);
        unsigned bin = (unsigned)((waited_ns - 5 * MS) / MS);
        bins[bin < BINS ? bin : BINS - 1]++;
    }
    for (int n = 0; n < BINS; n++)
        assert_binomial(bins[n], PACKETS, ALWAYS / BINS);
}

static void jitter_alone_does_not_reorder(void **state)
{
    (void)state;
    configure((struct impair_config){.delay_ns = 10 * MS, .jitter_ns = 10 * MS});
    for (uint32_t n = 0; n < 1000; n++)
        put(n, START + n * 100 * US);
    for (uint32_t n = 0; n < 1000; n++) {
        uint64_t due_ns = take_next();
        assert_int_equal(load_be32(taken.bytes), n);
        assert_in_range(due_ns, START + n * 100 * US, START + n * 100 * US + 20 * MS);
    }
}

static void no_packet_comes_before_it_was_sent(void **state)
{
    unsigned at_once = 0;
    (void)state;
    configure((struct impair_config){.delay_ns = 1 * MS, .jitter_ns = 4 * MS});
    for (uint32_t n = 0; n < 10000; n++) {
        put(n, n * S);
        uint64_t waited_ns = take_next() - n * S;
        assert_in_range(waited_ns, 0, 5 * MS);
        at_once += waited_ns == 0;
    }
    assert_binomial(at_once, 10000, ALWAYS * 3 / 8); /* -3 ms to 0 of -3 ms to 5 ms */
}

/* ---- Rate and queue -------------------------------------------------------------------------- */

/* 1500 bytes are 12,000 bits: 120 us at 100 Mbit/s. */
static void a_rate_spaces_packets_by_their_bits(void **state)
{
    (void)state;
    configure((struct impair_config){.rate_bps = 100000000});
    put_sized(1, 1500, START);
    put_sized(2, 1500, START);
    put_sized(3, 150, START + 100 * US);
    expect_at(START + 120 * US, 1);
    expect_at(START + 240 * US, 2);
    expect_at(START + 252 * US, 3);
    put_sized(4, 1500, START + 1 * MS); /* it was idle: no credit is left of that */
    put_sized(5, 1500, START + 1 * MS);
    expect_at(START + 1 * MS + 120 * US, 4);
    expect_at(START + 1 * MS + 240 * US, 5);
}

/* 1000 bytes at 7 Gbit/s take 1142.86 ns. */
static void a_rate_is_never_exceeded(void **state)
{
    (void)state;
    configure((struct impair_config){.rate_bps = UINT64_C(7000000000)});
    put_sized(1, 1000, START);
    expect_at(START + 1143, 1);
}

static void the_delay_begins_when_the_packet_has_been_sent(void **state)
{
    (void)state;
    configure((struct impair_config){.rate_bps = 100000000, .delay_ns = 20 * MS});
    put_sized(1, 1500, START);
    put_sized(2, 1500, START);
    expect_at(START + 120 * US + 20 * MS, 1);
    expect_at(START + 240 * US + 20 * MS, 2);
}

/* At 8 Mbit/s a byte takes 1 us. */
static void a_full_queue_drops_what_arrives(void **state)
{
    (void)state;
    configure((struct impair_config){.rate_bps = 8000000, .queue_bytes = 3000});
    put_sized(1, 1000, START);
    put_sized(2, 1000, START);
    put_sized(3, 1000, START);
    put_sized(4, 1000, START); /* would make 4000 */
    assert_int_equal(path.counters.queue_full, 1);
    put_sized(5, 1000, START + 999 * US); /* 2001 still wait */
    assert_int_equal(path.counters.queue_full, 2);
    put_sized(6, 1000, START + 1000 * US);
    put_sized(7, 4, START + 1000 * US);
    assert_int_equal(path.counters.queue_full, 3);
    expect_at(START + 1 * MS, 1);
    expect_at(START + 2 * MS, 2);
    expect_at(START + 3 * MS, 3);
    expect_at(START + 4 * MS, 6);
    expect_nothing();
}

static void an_empty_queue_takes_a_packet_of_any_size(void **state)
{
    (void)state;
    configure((struct impair_config){.rate_bps = 8000000, .queue_bytes = 100});
    put_sized(1, 65536, START);
    put_sized(2, 4, START);
    expect_at(START + 65536 * US, 1);
    expect_nothing();
    assert_int_equal(path.counters.queue_full, 1);
}

static void a_queue_holds_256_kib_unless_told_otherwise(void **state)
{
    (void)state;
    configure((struct impair_config){.rate_bps = 8000});
    for (uint32_t n = 0; n < 256; n++)
        put_sized(n, 1024, START);
    assert_int_equal(path.counters.queue_full, 0);
    put_sized(256, 4, START);
    assert_int_equal(path.counters.queue_full, 1);
}

/* The numbers in between are large: nothing may overflow. */
static void extreme_rates_are_exact(void **state)
{
    (void)state;
    configure((struct impair_config){.rate_bps = 1, .queue_bytes = IMPAIR_BYTES_MAX});
    for (uint32_t n = 0; n < 1000; n++)
        put_sized(n, 65536, START);
    assert_int_equal(path.counters.queue_full, 0);
    for (uint32_t n = 0; n < 1000; n++)
        expect_at(START + (n + 1) * 524288 * S, n);
    configure((struct impair_config){.rate_bps = IMPAIR_RATE_MAX_BPS});
    put_sized(1, 1500, START); /* 12 ns */
    expect_at(START + 12, 1);
}

/* ---- ECN ------------------------------------------------------------------------------------- */

/* The sum of the header's words (RFC 1071), which is all ones if its checksum is right. */
static uint16_t header_sum(const uint8_t *ip)
{
    uint32_t sum = 0;
    for (int n = 0; n < 20; n += 2)
        sum += load_be16(ip + n);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* An IPv4 header with a right checksum. */
static void make_header(uint8_t ip[20], uint8_t tos, uint16_t identification)
{
    static const uint8_t header[20] = {0x45, 0, 0,  20, 0, 0, 0x40, 0, 64, 6,
                                       0,    0, 10, 7,  0, 1, 10,   7, 0,  2};
    memcpy(ip, header, sizeof(header));
    ip[1] = tos;
    store_be16(ip + 4, identification);
    store_be16(ip + 10, (uint16_t)~header_sum(ip));
}

/* Sends a header as the only packet behind 1000 bytes in the queue. Returns its new TOS. */
static uint8_t through_the_queue(const uint8_t ip[20], uint64_t now_ns)
{
    const struct iovec part = {(void *)(uintptr_t)ip, 20};
    put_sized(0, 1000, now_ns);
    assert_int_equal(impair_put(&path, &part, 1, NULL, now_ns), 0);
    take_next();
    take_next();
    assert_int_equal(taken.length, 20);
    return taken.bytes[1];
}

static void ect_packets_are_marked_above_the_threshold_rfc3168_5(void **state)
{
    static const uint8_t unmarked_tos[] = {0x00, 0xb8, 0x03}, ect_tos[] = {0x01, 0x02, 0xba};
    uint8_t ip[20];
    uint64_t now_ns = START;
    (void)state;
    configure((struct impair_config){.rate_bps = 8000000, .ecn_bytes = 999});
    for (size_t n = 0; n < 3; n++) {
        make_header(ip, ect_tos[n], 7);
        assert_int_equal(through_the_queue(ip, now_ns += S), ect_tos[n] | 3);
        assert_int_equal(header_sum(taken.bytes), 0xffff);
        make_header(ip, unmarked_tos[n], 7);
        assert_int_equal(through_the_queue(ip, now_ns += S), unmarked_tos[n]);
        assert_memory_equal(taken.bytes, ip, 20);
    }
    assert_int_equal(path.counters.marked, 3);
}

static void at_the_threshold_nothing_is_marked(void **state)
{
    uint8_t ip[20];
    (void)state;
    make_header(ip, 2, 7);
    configure((struct impair_config){.rate_bps = 8000000, .ecn_bytes = 1000});
    assert_int_equal(through_the_queue(ip, START), 2);
    configure((struct impair_config){.rate_bps = 8000000});
    assert_int_equal(through_the_queue(ip, START + S), 2);
    assert_int_equal(path.counters.marked, 0);
}

/* All values that the checksum can have, those near zero among them (RFC 1624 3 and 4). */
static void a_marked_header_has_the_checksum_of_a_new_one_rfc1624(void **state)
{
    uint8_t ip[20], marked[20];
    (void)state;
    configure((struct impair_config){.rate_bps = 8000000, .ecn_bytes = 1});
    for (uint32_t identification = 0; identification < 65536; identification++) {
        make_header(ip, (uint8_t)(1 + identification % 2), (uint16_t)identification);
        make_header(marked, 3, (uint16_t)identification);
        through_the_queue(ip, START + identification * S);
        assert_memory_equal(taken.bytes, marked, 20);
    }
}

static void what_is_no_ipv4_header_is_not_marked(void **state)
{
    uint8_t ip[20];
    (void)state;
    configure((struct impair_config){.rate_bps = 8000000, .ecn_bytes = 1});
    make_header(ip, 2, 7);
    ip[0] = 0x65;
    assert_int_equal(through_the_queue(ip, START), 2);
    make_header(ip, 2, 7);
    put_sized(0, 1000, START + S);
    assert_int_equal(impair_put(&path, &(struct iovec){ip, 19}, 1, NULL, START + S), 0);
    take_next();
    take_next();
    assert_memory_equal(taken.bytes, ip, 19);
    assert_int_equal(path.counters.marked, 0);
}

/* ---- Loss ------------------------------------------------------------------------------------ */

static void total_loss_lets_nothing_through(void **state)
{
    (void)state;
    configure((struct impair_config){.loss = ALWAYS});
    for (uint32_t n = 0; n < 1000; n++)
        put(n, START);
    expect_nothing();
    assert_int_equal(path.counters.packets, 1000);
    assert_int_equal(path.counters.lost, 1000);
}

static void loss_is_as_likely_as_asked_for(void **state)
{
    static const uint32_t chances[] = {1 * PERCENT / 100, 1 * PERCENT, 30 * PERCENT};
    (void)state;
    for (size_t n = 0; n < 3; n++) {
        setup(NULL);
        configure((struct impair_config){.loss = chances[n]});
        uint64_t arrived = 0;
        for (uint32_t number = 0; number < 200000; number++) {
            put(number, START);
            arrived += take(START);
        }
        assert_int_equal(arrived + path.counters.lost, 200000);
        assert_binomial(path.counters.lost, 200000, chances[n]);
        impair_clear(&path);
    }
}

static void lost_packets_do_not_take_up_the_rate(void **state)
{
    (void)state;
    configure((struct impair_config){.rate_bps = 8000000, .loss = 50 * PERCENT});
    for (uint32_t n = 0; n < 100; n++)
        put_sized(n, 1000, START);
    uint64_t last_ns = 0;
    for (size_t left = path.count; left > 0; left--)
        last_ns = take_next();
    assert_int_equal(last_ns, START + (100 - path.counters.lost) * MS);
}

/*
 * The bad state is entered at 1 % and left at 20 %: it lasts 5 packets, and 1/21 of all packets
 * meet it. Their number varies more than that of independent ones: by (1 + r) / (1 - r) with
 * r = 1 - 0.01 - 0.2, so its deviation is sqrt(500000 * 1/21 * 20/21 * 8.52) = 440.
 */
static void loss_comes_in_bursts(void **state)
{
    enum { PACKETS = 500000 };
    unsigned lost = 0, bursts = 0;
    bool before = true;
    (void)state;
    configure((struct impair_config){
        .burst_enter = 1 * PERCENT, .burst_leave = 20 * PERCENT, .burst_loss = ALWAYS});
    for (uint32_t n = 0; n < PACKETS; n++) {
        put(n, START);
        bool arrived = take(START);
        lost += !arrived;
        bursts += before && !arrived;
        before = arrived;
    }
    assert_int_equal(path.counters.lost, lost);
    assert_in_range(lost, PACKETS / 21 - 4 * 440, PACKETS / 21 + 4 * 440);
    /* 4760 bursts of 5 with a deviation of sqrt(20): their mean has one of 0.065. */
    assert_in_range(lost * 100 / bursts, 500 - 4 * 7, 500 + 4 * 7);
}

static void within_a_burst_a_part_is_lost(void **state)
{
    (void)state;
    configure((struct impair_config){.burst_enter = ALWAYS, .burst_loss = 30 * PERCENT});
    for (uint32_t n = 0; n < 100000; n++)
        put(n, START);
    assert_binomial(path.counters.lost, 100000, 30 * PERCENT);
}

/* ---- Duplication, reordering, corruption ----------------------------------------------------- */

static void a_copy_follows_its_packet_at_once(void **state)
{
    enum { PACKETS = 10000 };
    uint64_t copies = 0;
    (void)state;
    configure((struct impair_config){
        .delay_ns = 5 * MS, .jitter_ns = 1 * MS, .duplicate = 10 * PERCENT, .corrupt = ALWAYS});
    for (uint32_t n = 0; n < PACKETS; n++)
        put_sized(n, 100, START);
    uint64_t first_ns = take_next();
    struct taken first = taken;
    while (path.count > 0) {
        uint64_t due_ns = take_next();
        if (memcmp(first.bytes, taken.bytes, 100) == 0) {
            assert_int_equal(due_ns, first_ns);
            copies++;
        }
        first_ns = due_ns;
        first = taken;
    }
    assert_int_equal(path.counters.duplicated, copies);
    assert_binomial(copies, PACKETS, 10 * PERCENT);
}

static void a_reordered_packet_overtakes_the_delayed_ones(void **state)
{
    enum { PACKETS = 10000 };
    uint32_t in_order = 0;
    uint64_t overtook = 0;
    (void)state;
    configure((struct impair_config){.delay_ns = 20 * MS, .reorder = 5 * PERCENT});
    for (uint32_t n = 0; n < PACKETS; n++)
        put(n, START + n * US);
    for (int n = 0; n < PACKETS; n++) {
        uint64_t due_ns = take_next();
        uint32_t number = load_be32(taken.bytes);
        if (due_ns == START + number * US) {
            overtook++;
            continue;
        }
        assert_int_equal(due_ns, START + number * US + 20 * MS);
        assert_true(number >= in_order);
        in_order = number;
    }
    assert_int_equal(path.counters.reordered, overtook);
    assert_binomial(overtook, PACKETS, 5 * PERCENT);
}

static void reordered_packets_leave_the_others_in_their_order(void **state)
{
    enum { PACKETS = 10000 };
    uint32_t in_order = 0;
    (void)state;
    configure(
        (struct impair_config){.delay_ns = 20 * MS, .jitter_ns = 10 * MS, .reorder = 5 * PERCENT});
    for (uint32_t n = 0; n < PACKETS; n++)
        put(n, START + n * US);
    for (int n = 0; n < PACKETS; n++) {
        uint64_t due_ns = take_next();
        uint32_t number = load_be32(taken.bytes);
        if (due_ns == START + number * US)
            continue;
        assert_true(number >= in_order);
        in_order = number;
    }
}

static void a_reordered_packet_does_not_escape_the_rate(void **state)
{
    (void)state;
    configure((struct impair_config){.rate_bps = 8000000, .delay_ns = 20 * MS, .reorder = ALWAYS});
    put_sized(1, 1000, START);
    put_sized(2, 1000, START);
    expect_at(START + 1 * MS, 1);
    expect_at(START + 2 * MS, 2);
}

static void corruption_sets_one_bit_anywhere(void **state)
{
    enum { PACKETS = 32000 };
    unsigned set[32] = {0};
    (void)state;
    configure((struct impair_config){.corrupt = ALWAYS});
    for (uint32_t n = 0; n < PACKETS; n++) {
        put(0, START);
        assert_true(take(START));
        uint32_t bits = load_be32(taken.bytes);
        assert_true(bits != 0 && (bits & (bits - 1)) == 0);
        set[__builtin_ctz(bits)]++;
    }
    for (int n = 0; n < 32; n++)
        assert_binomial(set[n], PACKETS, ALWAYS / 32);
    assert_int_equal(path.counters.corrupted, PACKETS);
}

/* RFC 1071: a bit that is set and one that is cleared, both of one weight, cancel out. */
static void corruption_never_clears_a_bit_which_could_undo_another(void **state)
{
    (void)state;
    configure((struct impair_config){.corrupt = ALWAYS});
    uint32_t packet = 0;
    for (int set = 1; set <= 32; set++) {
        put(packet, START);
        assert_true(take(START));
        assert_int_equal(load_be32(taken.bytes) & packet, packet);
        packet = load_be32(taken.bytes);
        assert_int_equal(__builtin_popcount(packet), set);
    }
    put(packet, START);
    assert_true(take(START));
    assert_int_equal(load_be32(taken.bytes), UINT32_MAX);
    assert_int_equal(path.counters.corrupted, 32);
}

static void corruption_is_as_likely_as_asked_for(void **state)
{
    (void)state;
    configure((struct impair_config){.corrupt = 3 * PERCENT});
    for (uint32_t n = 0; n < 100000; n++)
        put(n, START);
    assert_binomial(path.counters.corrupted, 100000, 3 * PERCENT);
}

static void what_no_checksum_protects_is_not_corrupted(void **state)
{
    static const uint8_t checksums[] = {STRAIT_CHECKSUM_PARTIAL, STRAIT_CHECKSUM_VALID};
    (void)state;
    configure((struct impair_config){.corrupt = ALWAYS});
    for (size_t n = 0; n < 2; n++) {
        const struct strait_offload offload = {.checksum = checksums[n]};
        const struct iovec part = {(char[]){"intact"}, 7};
        assert_int_equal(impair_put(&path, &part, 1, &offload, START), 0);
        assert_true(take(START));
        assert_string_equal((char *)taken.bytes, "intact");
    }
    assert_int_equal(impair_put(&path, NULL, 0, NULL, START), 0); /* there is no bit to set */
    assert_true(take(START));
    assert_int_equal(path.counters.corrupted, 0);
}

/* ---- Determinism ----------------------------------------------------------------------------- */

#define RUN_PACKETS 2000

/* What came out of a run, by the packet's number. */
struct run {
    uint64_t due_ns[RUN_PACKETS]; /* 0: it was lost */
    bool twice[RUN_PACKETS];
};

static struct run *run(struct impair_config config, uint64_t seed)
{
    struct run *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    impair_init(&path, &config, seed);
    for (uint32_t n = 0; n < RUN_PACKETS; n++)
        put(n, START + n * S); /* far apart: none waits for another */
    while (path.count > 0) {
        uint64_t due_ns = take_next();
        uint32_t number = load_be32(taken.bytes);
        assert_in_range(number, 0, RUN_PACKETS - 1);
        r->twice[number] = r->due_ns[number] != 0;
        r->due_ns[number] = due_ns;
    }
    impair_clear(&path);
    return r;
}

static const struct impair_config bad_path = {
    .delay_ns = 10 * MS, .jitter_ns = 5 * MS, .duplicate = 20 * PERCENT, .reorder = 10 * PERCENT};

static void the_same_seed_gives_the_same_path(void **state)
{
    (void)state;
    struct run *a = run(bad_path, 1), *b = run(bad_path, 1), *c = run(bad_path, 2);
    assert_memory_equal(a->due_ns, b->due_ns, sizeof(a->due_ns));
    assert_memory_equal(a->twice, b->twice, sizeof(a->twice));
    assert_memory_not_equal(a->due_ns, c->due_ns, sizeof(a->due_ns));
    free(a);
    free(b);
    free(c);
}

/* Those that are not lost meet the fate that they would have met. */
static void loss_does_not_shift_other_decisions(void **state)
{
    unsigned lost = 0;
    struct impair_config lossy = bad_path;
    (void)state;
    lossy.loss = 5 * PERCENT;
    lossy.burst_enter = 1 * PERCENT;
    lossy.burst_leave = 50 * PERCENT;
    lossy.burst_loss = 50 * PERCENT;
    struct run *a = run(bad_path, 1), *b = run(lossy, 1);
    for (uint32_t n = 0; n < RUN_PACKETS; n++) {
        lost += b->due_ns[n] == 0;
        if (b->due_ns[n] == 0)
            continue;
        assert_int_equal(a->due_ns[n], b->due_ns[n]);
        assert_int_equal(a->twice[n], b->twice[n]);
    }
    assert_int_not_equal(lost, 0);
    free(a);
    free(b);
}

/* ---- Change, end, bounds --------------------------------------------------------------------- */

static void packets_on_the_way_keep_their_time_when_the_path_changes(void **state)
{
    (void)state;
    configure((struct impair_config){.delay_ns = 50 * MS, .rate_bps = 8000});
    put_sized(1, 1000, START);
    configure((struct impair_config){.delay_ns = 10 * MS, .rate_bps = 8000000});
    put_sized(2, 1000, START);
    expect_at(START + 11 * MS, 2);
    configure((struct impair_config){0});
    put(3, START + 12 * MS);
    expect_at(START + 12 * MS, 3);
    expect_at(START + 1050 * MS, 1);
}

static void a_new_path_begins_without_a_burst(void **state)
{
    (void)state;
    configure((struct impair_config){.burst_enter = ALWAYS, .burst_loss = ALWAYS});
    put(1, START);
    expect_nothing();
    configure((struct impair_config){.burst_loss = ALWAYS});
    put(2, START);
    expect_at(START, 2);
}

static void clear_drops_what_is_on_the_way_and_empties_the_queue(void **state)
{
    (void)state;
    configure((struct impair_config){.rate_bps = 8000000, .delay_ns = 20 * MS});
    for (uint32_t n = 0; n < 100; n++)
        put_sized(n, 1000, START);
    impair_clear(&path);
    expect_nothing();
    assert_int_equal(path.bytes, 0);
    assert_int_equal(path.counters.packets, 100);
    put_sized(100, 1000, START);
    expect_at(START + 21 * MS, 100);
    expect_nothing();
}

static void clear_within(void *context, const void *packet, size_t length,
                         const struct strait_offload *offload)
{
    keep(&taken, packet, length, offload);
    impair_clear(context);
    put(9, START);
    assert_int_equal(load_be32(packet), 1); /* it is borrowed until the call returns */
}

static void a_packet_that_is_handed_over_may_put_and_clear(void **state)
{
    (void)state;
    put(1, START);
    put(2, START);
    assert_true(impair_take(&path, START, clear_within, &path));
    expect_at(START, 9);
    expect_nothing();
}

static void the_order_of_time_holds_for_many_packets(void **state)
{
    (void)state;
    configure((struct impair_config){.delay_ns = 1 * S, .reorder = 50 * PERCENT});
    uint64_t now_ns = START, last_ns = 0;
    size_t in = 0, out = 0;
    for (; in < 20000; in++) {
        put((uint32_t)in, now_ns += 137 * US);
        for (; in % 3 == 0 && impair_next(&path) <= now_ns; out++) {
            uint64_t due_ns = take_next();
            assert_true(due_ns >= last_ns);
            last_ns = due_ns;
        }
    }
    for (; path.count > 0; out++) {
        uint64_t due_ns = take_next();
        assert_true(due_ns >= last_ns);
        last_ns = due_ns;
    }
    assert_int_equal(in, out);
}

static void memory_is_bounded_and_recovers(void **state)
{
    static uint8_t bytes[65536];
    const struct iovec part = {bytes, sizeof(bytes)};
    size_t held = 0;
    (void)state;
    configure((struct impair_config){.delay_ns = 1 * S});
    while (impair_put(&path, &part, 1, NULL, START) == 0)
        held++;
    assert_int_equal(errno, ENOBUFS);
    /* 1024 packets and nothing else would fill it; the rest is what they are kept in. */
    assert_in_range(held, 1000, 1023);
    assert_true(path.bytes <= IMPAIR_BYTES_MAX);
    assert_int_equal(path.counters.no_memory, 1);
    assert_true(take(START + 1 * S));
    assert_int_equal(impair_put(&path, &part, 1, NULL, START), 0);
    assert_int_equal(path.counters.packets, held + 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_perfect_path_lets_everything_out_at_once_and_in_order),
        TEST(a_packet_is_gathered_from_its_parts_and_keeps_its_offload),
        TEST(a_delay_is_exact),
        TEST(jitter_is_spread_evenly_around_the_delay),
        TEST(jitter_alone_does_not_reorder),
        TEST(no_packet_comes_before_it_was_sent),
        TEST(a_rate_spaces_packets_by_their_bits),
        TEST(a_rate_is_never_exceeded),
        TEST(the_delay_begins_when_the_packet_has_been_sent),
        TEST(a_full_queue_drops_what_arrives),
        TEST(an_empty_queue_takes_a_packet_of_any_size),
        TEST(a_queue_holds_256_kib_unless_told_otherwise),
        TEST(extreme_rates_are_exact),
        TEST(ect_packets_are_marked_above_the_threshold_rfc3168_5),
        TEST(at_the_threshold_nothing_is_marked),
        TEST(a_marked_header_has_the_checksum_of_a_new_one_rfc1624),
        TEST(what_is_no_ipv4_header_is_not_marked),
        TEST(total_loss_lets_nothing_through),
        TEST(loss_is_as_likely_as_asked_for),
        TEST(lost_packets_do_not_take_up_the_rate),
        TEST(loss_comes_in_bursts),
        TEST(within_a_burst_a_part_is_lost),
        TEST(a_copy_follows_its_packet_at_once),
        TEST(a_reordered_packet_overtakes_the_delayed_ones),
        TEST(reordered_packets_leave_the_others_in_their_order),
        TEST(a_reordered_packet_does_not_escape_the_rate),
        TEST(corruption_sets_one_bit_anywhere),
        TEST(corruption_never_clears_a_bit_which_could_undo_another),
        TEST(corruption_is_as_likely_as_asked_for),
        TEST(what_no_checksum_protects_is_not_corrupted),
        TEST(the_same_seed_gives_the_same_path),
        TEST(loss_does_not_shift_other_decisions),
        TEST(packets_on_the_way_keep_their_time_when_the_path_changes),
        TEST(a_new_path_begins_without_a_burst),
        TEST(clear_drops_what_is_on_the_way_and_empties_the_queue),
        TEST(a_packet_that_is_handed_over_may_put_and_clear),
        TEST(the_order_of_time_holds_for_many_packets),
        TEST(memory_is_bounded_and_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
