/* SPDX-License-Identifier: MIT */
/*
 * Floods from a million sources, through strait.h alone and in virtual time: memory is bounded, who
 * is connected keeps his pace, who is honest gets in. The host is 10.0.0.1 and listens at port 80;
 * every other address is behind its one link, and is played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "stack_counter.h"
#include "strait.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

#define HOST      0x0a000001u
#define PEER      0x0a000002u /* of the connection that transfers */
#define HONEST    0x0a000003u /* who connects during the flood */
#define FLOOD     0x0b000000u /* 11.0.0.0/8: nobody there */
#define PORT      80
#define PEER_PORT 40000
#define BACKLOG   4096
#define RECORDS   4096 /* the default of half_open_max */

#define FLOOD_SYNS 1000000u
#define FLOOD_MS   1000u

#define HEADERS      40
#define SEGMENT_MAX  100
#define HEAP_ALLOWED ((size_t)4 << 20)    /* 4096 records, the buffers of one connection */
#define SCATTER      UINT32_C(2654435761) /* an odd number: index * SCATTER meets all of them */

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

/* The first bytes of a packet of the host's, taken apart. */
struct answer {
    uint32_t to, seq, ack;
    uint16_t to_port;
    uint8_t flags;
    uint32_t length; /* of the payload */
    uint8_t options[40];
    size_t option_bytes;
};

struct flood {
    struct strait *stack;
    struct strait_link link;
    uint64_t now_ns;
    int listener, transfer;
    struct answer last;
    uint32_t transfer_acked, transfer_sent; /* absolute numbers of the host's */
    uint64_t bytes_in, bytes_out;           /* of 11.0.0.0/8 */
    uint64_t answers;                       /* to 11.0.0.0/8 */
};

/* ---- The wire ------------------------------------------------------------------------------- */

static int take(struct strait_link *link, const struct iovec *parts, int count,
                const struct strait_offload *offload)
{
    struct flood *f = (struct flood *)((char *)link - offsetof(struct flood, link));
    const uint8_t *p = parts[0].iov_base; /* the headers are one part */
    size_t total = 0, header_bytes;
    struct answer *a = &f->last;

    (void)offload;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    assert_true(parts[0].iov_len >= HEADERS);
    header_bytes = (size_t)(p[32] >> 4) * 4;
    a->to = load_be32(p + 16);
    a->to_port = load_be16(p + 22);
    a->seq = load_be32(p + 24);
    a->ack = load_be32(p + 28);
    a->flags = p[33];
    a->option_bytes = header_bytes - 20;
    memcpy(a->options, p + HEADERS, a->option_bytes);
    a->length = (uint32_t)(total - 20 - header_bytes);
    if (a->to >> 24 == FLOOD >> 24) {
        f->answers++;
        f->bytes_out += total;
    }
    uint32_t end = a->seq + a->length;
    if (a->to == PEER && (int32_t)(end - f->transfer_sent) > 0)
        f->transfer_sent = end;
    return 0;
}

static uint16_t sum(const uint8_t *bytes, size_t length)
{
    uint32_t total = 0;

    for (size_t i = 0; i < length; i += 2)
        total += load_be16(bytes + i);
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return (uint16_t)~total;
}

struct sent {
    uint32_t from, seq, ack;
    uint16_t from_port;
    uint8_t flags;
    const uint8_t *options; /* of option_bytes, a multiple of 4 */
    size_t option_bytes;
    uint8_t length; /* of the payload, zeros */
};

/* A segment arrives; the link vouches for its checksum. */
static void give(struct flood *f, struct sent s)
{
    static const struct strait_offload valid = {.checksum = STRAIT_CHECKSUM_VALID};
    uint8_t p[SEGMENT_MAX] = {0x45};
    size_t length = HEADERS + s.option_bytes + s.length;

    assert_true(length <= sizeof(p));
    store_be16(p + 2, (uint16_t)length);
    p[8] = 64;
    p[9] = IPPROTO_TCP;
    store_be32(p + 12, s.from);
    store_be32(p + 16, HOST);
    store_be16(p + 10, sum(p, 20));
    store_be16(p + 20, s.from_port);
    store_be16(p + 22, PORT);
    store_be32(p + 24, s.seq);
    store_be32(p + 28, s.ack);
    p[32] = (uint8_t)((20 + s.option_bytes) / 4 << 4);
    p[33] = s.flags;
    store_be16(p + 34, 65535);
    if (s.option_bytes > 0)
        memcpy(p + HEADERS, s.options, s.option_bytes);
    if (s.from >> 24 == FLOOD >> 24)
        f->bytes_in += length;
    f->last = (struct answer){0};
    strait_input(f->stack, &f->link, p, length, &valid, f->now_ns);
}

static void run(struct flood *f, uint64_t until_ns)
{
    uint64_t next_ns;

    while ((next_ns = strait_advance(f->stack, f->now_ns)) <= until_ns)
        f->now_ns = next_ns > f->now_ns ? next_ns : f->now_ns + 1;
    f->now_ns = until_ns;
    strait_advance(f->stack, f->now_ns);
}

/* ---- The host ------------------------------------------------------------------------------- */

static struct flood *flood_new(uint32_t time_wait_max)
{
    struct flood *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    struct strait_config config;
    strait_config_init(&config);
    memcpy(config.secret, "a flood's secret", sizeof(config.secret));
    config.time_wait_max = time_wait_max;
    f->stack = strait_new(&config, NULL);
    assert_non_null(f->stack);
    f->link = (struct strait_link){
        .size = sizeof(f->link), .name = "flood", .mtu = 1500, .fd = -1, .send = take};
    f->link.features = STRAIT_LINK_CHECKSUM; /* nobody looks at sums here */
    struct in_addr address = {htonl(HOST)};
    assert_int_equal(strait_attach(f->stack, &f->link, address, 24), 0);
    f->now_ns = 1000 * S;
    strait_advance(f->stack, f->now_ns);

    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    f->listener = strait_socket(f->stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(strait_bind(f->stack, f->listener, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(strait_listen(f->stack, f->listener, BACKLOG), 0);
    return f;
}

static void flood_free(struct flood *f)
{
    strait_free(f->stack);
    free(f);
}

static int accept_now(struct flood *f)
{
    return strait_accept4(f->stack, f->listener, NULL, NULL, SOCK_NONBLOCK);
}

static uint64_t counter(const struct flood *f, const char *name)
{
    return stack_counter(f->stack, name);
}

/* Bytes of the heap that are in use (0 under a sanitizer with an allocator of its own). */
static size_t heap(void)
{
    return mallinfo2().uordblks;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- A transfer, and a flood beside it ------------------------------------------------------ */

static void begin_transfer(struct flood *f)
{
    struct sent s = {.from = PEER, .from_port = PEER_PORT, .seq = 1000, .flags = SYN};
    give(f, s);
    s.seq++;
    s.ack = f->last.seq + 1;
    s.flags = ACK;
    f->transfer_sent = f->transfer_acked = s.ack;
    give(f, s);
    f->transfer = accept_now(f);
    assert_true(f->transfer >= 0);
}

/* The application writes all it can; the peer acknowledges after a round trip of 1 ms. */
static void go_on_with_transfer(struct flood *f)
{
    static const uint8_t zeros[65536];
    while (strait_send(f->stack, f->transfer, zeros, sizeof(zeros), 0) > 0)
        ;
    if (f->transfer_acked != f->transfer_sent)
        give(f, (struct sent){.from = PEER,
                              .from_port = PEER_PORT,
                              .seq = 1001,
                              .ack = f->transfer_sent,
                              .flags = ACK});
    f->transfer_acked = f->transfer_sent;
    run(f, f->now_ns + MS);
}

/* The SYN of one of the million. */
static struct sent syn_of(uint32_t index)
{
    return (struct sent){.from = FLOOD + index,
                         .from_port = (uint16_t)(1024 + index % 60000),
                         .seq = index * SCATTER,
                         .flags = SYN};
}

static void flood_syns(struct flood *f, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        give(f, syn_of(i));
}

static const uint8_t honest_options[] = {
    2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 2, 188, 0, 0, 0, 0, 1, 3, 3, 7, /* MSS, SACK, TS, scale */
};

/* The kind's place among the options of the last answer, or NULL. */
static const uint8_t *option(const struct flood *f, uint8_t kind)
{
    for (size_t i = 0;
         i<f->last.option_bytes; i += f->last.options[i]> 1 ? f->last.options[i + 1] : 1) {
        if (f->last.options[i] == kind)
            return f->last.options + i;
    }
    return NULL;
}

/* Somebody connects in the middle of it, sends ten bytes, and is served. */
static void honest_connects(struct flood *f, uint16_t port)
{
    uint8_t timestamps[] = {1, 1, 8, 10, 0, 0, 2, 190, 0, 0, 0, 0};
    struct sent s = {.from = HONEST, .from_port = port, .seq = 77, .flags = SYN};
    s.options = honest_options;
    s.option_bytes = sizeof(honest_options);
    give(f, s);
    assert_int_equal(f->last.flags, SYN | ACK);
    assert_non_null(option(f, 3));
    assert_non_null(option(f, 4));
    const uint8_t *ts = option(f, 8);
    assert_non_null(ts);
    memcpy(timestamps + 8, ts + 2, 4);

    s.seq++;
    s.ack = f->last.seq + 1;
    s.flags = ACK;
    s.options = timestamps;
    s.option_bytes = sizeof(timestamps);
    s.length = 10;
    give(f, s);
    uint8_t bytes[20];
    int fd = accept_now(f);
    assert_true(fd >= 0);
    assert_int_equal(strait_recv(f->stack, fd, bytes, sizeof(bytes), 0), 10);
    assert_int_equal(strait_close(f->stack, fd), 0);
}

/* Bytes that the peer of the transfer gets in FLOOD_MS, with `syns` of a flood in that time. */
static uint32_t transfer(struct flood *f, uint32_t syns)
{
    begin_transfer(f);
    uint32_t begun = f->transfer_acked;
    for (uint32_t ms = 0; ms < FLOOD_MS; ms++) {
        flood_syns(f, ms * (syns / FLOOD_MS), syns / FLOOD_MS);
        if (ms % 100 == 99)
            honest_connects(f, (uint16_t)(2000 + ms));
        go_on_with_transfer(f);
    }
    return f->transfer_acked - begun;
}

static void a_flood_of_a_million_syns_hinders_nobody_rfc4987_3_6(void **state)
{
    (void)state;
    struct flood *f = flood_new(1000);
    uint32_t undisturbed = transfer(f, 0);
    assert_int_equal(counter(f, "tcp_cookies_sent"), 0);
    flood_free(f);

    f = flood_new(1000);
    size_t heap_before = heap();
    double begun = seconds();
    uint32_t disturbed = transfer(f, FLOOD_SYNS);
    double took = seconds() - begun;
    print_message("%.0f SYNs a second, beside %u bytes of a transfer in %u ms\n", FLOOD_SYNS / took,
                  disturbed, FLOOD_MS);
    assert_int_equal(disturbed, undisturbed);
    assert_true(undisturbed > 60000000); /* a window of 65535 bytes each millisecond */

    assert_int_equal(counter(f, "tcp_cookies_accepted"), 10); /* the honest ones */
    assert_int_equal(counter(f, "tcp_cookies_sent"), FLOOD_SYNS - RECORDS + 10);
    assert_in_range(heap() - heap_before, 0, HEAP_ALLOWED);

    run(f, f->now_ns + 70 * S); /* the records end, and have sent a bounded number of SYN-ACKs */
    assert_int_equal(counter(f, "tcp_half_open_expired"), RECORDS);
    assert_int_equal(f->answers, FLOOD_SYNS + 5 * RECORDS);
    honest_connects(f, 1999);
    assert_int_equal(counter(f, "tcp_cookies_accepted"), 10);
    flood_free(f);
}

/* ---- ACKs ----------------------------------------------------------------------------------- */

#define FLOOD_ACKS 200000u

/* A thousand of the million, from `first` on, acknowledge numbers at random. */
static void flood_acks(struct flood *f, uint32_t first)
{
    for (uint32_t i = 0; i < FLOOD_ACKS; i++) {
        struct sent s = syn_of(first + i % 1000);
        s.flags = ACK;
        s.seq++;
        s.ack = i * SCATTER;
        give(f, s);
    }
}

static void a_flood_of_acks_is_not_amplified_rfc9293_3_10_7_2(void **state)
{
    (void)state;
    struct flood *f = flood_new(1000);
    flood_acks(f, 0);
    assert_int_equal(f->answers, FLOOD_ACKS); /* one RST each */
    assert_int_equal(f->bytes_out, f->bytes_in);
    assert_int_equal(counter(f, "tcp_no_connection"), FLOOD_ACKS);
    assert_int_equal(strait_connections(f->stack), 0);
    flood_free(f);
}

static void forged_cookies_open_nothing(void **state)
{
    (void)state;
    struct flood *f = flood_new(1000);
    flood_syns(f, 0, RECORDS + 1000);
    assert_int_equal(counter(f, "tcp_cookies_sent"), 1000);
    f->answers = 0;
    flood_acks(f, RECORDS);
    assert_int_equal(counter(f, "tcp_cookies_wrong"), FLOOD_ACKS);
    assert_int_equal(counter(f, "tcp_cookies_accepted"), 0);
    assert_int_equal(strait_connections(f->stack), 0);
    assert_int_equal(f->answers, 0);
    flood_free(f);
}

/* ---- TIME-WAIT ------------------------------------------------------------------------------ */

#define TIME_WAIT_MAX 1000u
#define SHORT_ONES    200000u

/* A connection that the host closes first. */
static void connect_shortly(struct flood *f, uint32_t from)
{
    struct sent s = {.from = from, .from_port = 1024, .seq = 5, .flags = SYN};
    give(f, s);
    s.seq++;
    s.ack = f->last.seq + 1;
    s.flags = ACK;
    give(f, s);
    int fd = accept_now(f);
    assert_true(fd >= 0);
    assert_int_equal(strait_close(f->stack, fd), 0);
    run(f, f->now_ns);
    assert_int_equal(f->last.flags & FIN, FIN);
    s.ack++;
    s.flags = FIN | ACK;
    give(f, s);
}

static void time_wait_is_bounded_over_many_short_connections(void **state)
{
    (void)state;
    struct flood *f = flood_new(TIME_WAIT_MAX);
    for (uint32_t i = 0; i < 2 * TIME_WAIT_MAX; i++)
        connect_shortly(f, FLOOD + i);
    size_t heap_before = heap();
    for (uint32_t i = 2 * TIME_WAIT_MAX; i < SHORT_ONES; i++)
        connect_shortly(f, FLOOD + i);
    assert_in_range(heap() - heap_before, 0, 65536);
    assert_int_equal(counter(f, "tcp_time_wait_limited"), SHORT_ONES - TIME_WAIT_MAX);
    assert_int_equal(counter(f, "tcp_connections_opened"), SHORT_ONES);
    assert_int_equal(strait_connections(f->stack), 0);
    assert_int_equal(strait_memory(f->stack), 0);

    run(f, f->now_ns + 61 * S); /* 2 MSL later there is room again */
    for (uint32_t i = 0; i < TIME_WAIT_MAX; i++)
        connect_shortly(f, FLOOD + i);
    assert_int_equal(counter(f, "tcp_time_wait_limited"), SHORT_ONES - TIME_WAIT_MAX);
    flood_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_a_million_syns_hinders_nobody_rfc4987_3_6),
        cmocka_unit_test(a_flood_of_acks_is_not_amplified_rfc9293_3_10_7_2),
        cmocka_unit_test(forged_cookies_open_nothing),
        cmocka_unit_test(time_wait_is_bounded_over_many_short_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
