/* SPDX-License-Identifier: MIT */
/* Rings between threads, and the mesh of them between shards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "host/mesh.h"
#include "host/ring.h"

/* ---- One ring -------------------------------------------------------------------------------- */

static bool put(struct ring *r, const void *bytes, size_t length)
{
    const struct iovec part = {(void *)(uintptr_t)bytes, length};
    return ring_put(r, &part, 1);
}

static void expect(struct ring *r, const void *bytes, size_t length)
{
    size_t found;
    const void *record = ring_peek(r, &found);
    assert_non_null(record);
    assert_int_equal(found, length);
    assert_memory_equal(record, bytes, length);
    assert_int_equal((uintptr_t)record % RING_ALIGNMENT, 0);
    ring_take(r);
}

static void records_come_out_whole_and_in_order(void **state)
{
    (void)state;
    struct ring r;
    size_t length;
    assert_int_equal(ring_init(&r, 128), 0);
    assert_null(ring_peek(&r, &length));
    for (int i = 0; i < 100; i++) { /* round and round, from every place */
        assert_true(put(&r, "one", 3));
        assert_true(put(&r, "", 0));
        const struct iovec parts[] = {{"tw", 2}, {NULL, 0}, {"o hundred", 9}};
        assert_true(ring_put(&r, parts, 3));
        expect(&r, "one", 3);
        expect(&r, "", 0);
        expect(&r, "two hundred", 11);
        assert_null(ring_peek(&r, &length));
    }
    ring_finish(&r);
}

static void a_record_that_is_seen_stays_until_it_is_taken(void **state)
{
    (void)state;
    struct ring r;
    size_t length;
    assert_int_equal(ring_init(&r, 64), 0);
    assert_true(put(&r, "a", 1));
    assert_true(put(&r, "b", 1));
    for (int i = 0; i < 3; i++)
        assert_memory_equal(ring_peek(&r, &length), "a", 1);
    ring_take(&r);
    expect(&r, "b", 1);
    ring_finish(&r);
}

/* 64 bytes are four records of a word and 8 bytes. */
static void a_full_ring_refuses_and_takes_again_what_there_is_room_for(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, 64), 0);
    for (int i = 0; i < 4; i++)
        assert_true(put(&r, "12345678", 8));
    assert_false(put(&r, "", 0));
    expect(&r, "12345678", 8);
    assert_false(put(&r, "123456789", 9));
    assert_true(put(&r, "new", 3));
    for (int i = 0; i < 3; i++)
        expect(&r, "12345678", 8);
    expect(&r, "new", 3);
    ring_finish(&r);
}

static void an_empty_ring_takes_the_longest_record_wherever_it_stands(void **state)
{
    (void)state;
    static const uint8_t bytes[64] = {1, 2, 3};
    for (size_t steps = 0; steps < 32; steps++) {
        struct ring r;
        assert_int_equal(ring_init(&r, 128), 0);
        assert_int_equal(ring_record_max(&r), 56);
        for (size_t i = 0; i < steps; i++) {
            assert_true(put(&r, "", 0));
            expect(&r, "", 0);
        }
        assert_true(put(&r, bytes, 56));
        expect(&r, bytes, 56);
        ring_finish(&r);
    }
}

#define RECORDS 200000

/* Record number `i`: a length and bytes that both sides compute. */
static size_t make_record(struct prng *prng, uint8_t bytes[200])
{
    size_t length = (size_t)prng_below(prng, 200);
    memset(bytes, (int)prng_below(prng, 256), length);
    return length;
}

static void *put_records(void *ring)
{
    struct prng prng;
    uint8_t bytes[200];
    prng_seed(&prng, 5);
    for (int i = 0; i < RECORDS; i++) {
        size_t length = make_record(&prng, bytes);
        while (!put(ring, bytes, length))
            sched_yield();
    }
    return NULL;
}

static void two_threads_pass_on_every_record(void **state)
{
    (void)state;
    struct ring r;
    struct prng prng;
    pthread_t thread;
    uint8_t bytes[200];
    assert_int_equal(ring_init(&r, 1024), 0);
    prng_seed(&prng, 5);
    assert_int_equal(pthread_create(&thread, NULL, put_records, &r), 0);
    for (int i = 0; i < RECORDS; i++) {
        size_t found, length = make_record(&prng, bytes);
        while (!ring_peek(&r, &found))
            sched_yield();
        expect(&r, bytes, length);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    ring_finish(&r);
}

/* ---- The mesh -------------------------------------------------------------------------------- */

static const struct strait_offload ordinary;

static bool rings(const struct mesh *m, uint32_t shard)
{
    struct pollfd p = {.fd = mesh_bell(m, shard), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

struct taken {
    unsigned packets;
    uint8_t last[65535];
    size_t length;
    struct strait_offload offload;
};

static void take(void *context, const void *packet, size_t length,
                 const struct strait_offload *offload)
{
    struct taken *t = context;
    t->packets++;
    memcpy(t->last, packet, length);
    t->length = length;
    t->offload = *offload;
}

static void a_packet_comes_to_its_shard_with_what_stands_beside_it(void **state)
{
    (void)state;
    static const uint8_t largest[65535] = {0x45, [65534] = 9};
    const struct strait_offload offload = {
        .checksum = STRAIT_CHECKSUM_PARTIAL, .gso = STRAIT_GSO_TCP4, .gso_size = 1448};
    static struct taken taken;
    struct mesh *m = mesh_new(3);
    assert_non_null(m);
    assert_true(mesh_put(m, 0, 2, largest, sizeof(largest), &offload));
    assert_false(rings(m, 0));
    assert_false(rings(m, 1));
    assert_true(rings(m, 2));
    mesh_take(m, 1, take, &taken);
    assert_int_equal(taken.packets, 0);
    mesh_take(m, 2, take, &taken);
    assert_int_equal(taken.packets, 1);
    assert_int_equal(taken.length, sizeof(largest));
    assert_memory_equal(taken.last, largest, sizeof(largest));
    assert_memory_equal(&taken.offload, &offload, sizeof(offload));
    assert_false(rings(m, 2));
    mesh_free(m);
}

static void the_bell_rings_until_all_is_taken(void **state)
{
    (void)state;
    static struct taken taken;
    struct mesh *m = mesh_new(3);
    assert_non_null(m);
    for (int i = 0; i < 100; i++) {
        assert_true(mesh_put(m, 0, 1, "a", 1, &ordinary));
        assert_true(mesh_put(m, 2, 1, "b", 1, &ordinary));
    }
    unsigned turns = 0;
    for (; rings(m, 1); turns++)
        mesh_take(m, 1, take, &taken);
    assert_int_equal(taken.packets, 200);
    assert_true(turns > 1); /* it takes a part at a time */
    assert_true(mesh_put(m, 0, 1, "c", 1, &ordinary));
    assert_true(rings(m, 1));
    mesh_free(m);
}

static void a_shard_that_takes_nothing_costs_no_more_than_its_ring(void **state)
{
    (void)state;
    static const uint8_t packet[60000];
    static struct taken taken;
    struct mesh *m = mesh_new(2);
    unsigned put_packets = 0;
    assert_non_null(m);
    while (mesh_put(m, 1, 0, packet, sizeof(packet), &ordinary))
        assert_true(++put_packets < 100);
    assert_true(put_packets >= 2);
    while (rings(m, 0))
        mesh_take(m, 0, take, &taken);
    assert_int_equal(taken.packets, put_packets);
    assert_true(mesh_put(m, 1, 0, packet, sizeof(packet), &ordinary));
    mesh_free(m);
}

#define SHARDS  3
#define PACKETS 20000 /* from each to each other one */

/* A shard that sends to the others and sleeps by its bell, until all is sent and all has come. */
struct shard {
    struct mesh *mesh;
    uint32_t number;
    uint32_t next[SHARDS]; /* what is expected of each */
    bool good;
};

static void take_next(void *context, const void *packet, size_t length,
                      const struct strait_offload *offload)
{
    struct shard *s = context;
    uint32_t words[2] = {SHARDS, 0};
    (void)offload;
    if (length == sizeof(words))
        memcpy(words, packet, sizeof(words));
    s->good = s->good && words[0] < SHARDS && words[1] == s->next[words[0]];
    if (s->good)
        s->next[words[0]]++;
}

static bool all_has_come(const struct shard *s)
{
    for (uint32_t i = 0; i < SHARDS; i++)
        if (i != s->number && s->next[i] < PACKETS)
            return false;
    return true;
}

static void *run_shard(void *argument)
{
    struct shard *s = argument;
    uint32_t sent[SHARDS] = {0};
    bool all_sent = false;
    while (s->good && (!all_sent || !all_has_come(s))) {
        all_sent = true;
        for (uint32_t to = 0; to < SHARDS; to++) {
            uint32_t words[] = {s->number, sent[to]};
            if (to != s->number && sent[to] < PACKETS) {
                sent[to] += mesh_put(s->mesh, s->number, to, words, sizeof(words), &ordinary);
                all_sent = false;
            }
        }
        struct pollfd p = {.fd = mesh_bell(s->mesh, s->number), .events = POLLIN};
        bool wait = all_sent && !all_has_come(s);
        int ready = poll(&p, 1, wait ? 10000 : 0);
        s->good = s->good && (ready == 1 || !wait); /* a wake-up that was lost ends in time */
        if (ready == 1)
            mesh_take(s->mesh, s->number, take_next, s);
    }
    return NULL;
}

static void no_packet_and_no_wake_up_is_lost_between_threads(void **state)
{
    (void)state;
    struct mesh *m = mesh_new(SHARDS);
    struct shard shards[SHARDS];
    pthread_t threads[SHARDS];
    assert_non_null(m);
    for (uint32_t i = 0; i < SHARDS; i++) {
        shards[i] = (struct shard){.mesh = m, .number = i, .good = true};
        assert_int_equal(pthread_create(&threads[i], NULL, run_shard, &shards[i]), 0);
    }
    for (uint32_t i = 0; i < SHARDS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (uint32_t i = 0; i < SHARDS; i++)
        assert_true(shards[i].good);
    mesh_free(m);
}

/* One packet, and after a while that differs each time a second: it may come just when the other
 * has found that there is no more, and only then it has to be told. */
#define ROUNDS 20000

struct sleeper {
    struct mesh *mesh;
    _Atomic unsigned packets;
    atomic_bool overslept;
};

static void count_packet(void *context, const void *packet, size_t length,
                         const struct strait_offload *offload)
{
    struct sleeper *s = context;
    (void)packet, (void)length, (void)offload;
    atomic_fetch_add(&s->packets, 1);
}

static void *sleep_by_the_bell(void *argument)
{
    struct sleeper *s = argument;
    while (atomic_load(&s->packets) < 2 * ROUNDS) {
        struct pollfd p = {.fd = mesh_bell(s->mesh, 1), .events = POLLIN};
        if (poll(&p, 1, 5000) != 1) {
            atomic_store(&s->overslept, true);
            return NULL;
        }
        mesh_take(s->mesh, 1, count_packet, s);
    }
    return NULL;
}

static void a_packet_that_comes_as_the_other_falls_asleep_wakes_it(void **state)
{
    (void)state;
    struct sleeper s = {.mesh = mesh_new(2)};
    struct prng prng;
    pthread_t thread;
    prng_seed(&prng, 3);
    assert_non_null(s.mesh);
    assert_int_equal(pthread_create(&thread, NULL, sleep_by_the_bell, &s), 0);
    for (unsigned round = 1; round <= ROUNDS && !atomic_load(&s.overslept); round++) {
        assert_true(mesh_put(s.mesh, 0, 1, "a", 1, &ordinary));
        while (atomic_load(&s.packets) < 2 * round - 1 && !atomic_load(&s.overslept))
            sched_yield(); /* then it is about to look for more */
        for (volatile uint64_t left = prng_below(&prng, 2000); left > 0; left--)
            continue;
        assert_true(mesh_put(s.mesh, 0, 1, "b", 1, &ordinary));
        while (atomic_load(&s.packets) < 2 * round && !atomic_load(&s.overslept))
            sched_yield();
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(atomic_load(&s.overslept));
    mesh_free(s.mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_out_whole_and_in_order),
        cmocka_unit_test(a_record_that_is_seen_stays_until_it_is_taken),
        cmocka_unit_test(a_full_ring_refuses_and_takes_again_what_there_is_room_for),
        cmocka_unit_test(an_empty_ring_takes_the_longest_record_wherever_it_stands),
        cmocka_unit_test(two_threads_pass_on_every_record),
        cmocka_unit_test(a_packet_comes_to_its_shard_with_what_stands_beside_it),
        cmocka_unit_test(the_bell_rings_until_all_is_taken),
        cmocka_unit_test(a_shard_that_takes_nothing_costs_no_more_than_its_ring),
        cmocka_unit_test(no_packet_and_no_wake_up_is_lost_between_threads),
        cmocka_unit_test(a_packet_that_comes_as_the_other_falls_asleep_wakes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
