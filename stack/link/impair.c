/* SPDX-License-Identifier: MIT */
/*
 * The way of a packet:
 *
 *     loss -> queue -> rate -> duplicate, corrupt -> delay -> out
 *
 * All that happens to it is decided when it enters; from then on it only waits in a heap for the
 * time when it comes out. The queue in front of the rate is a fluid: all that is known of it is
 * when its last bit will have been sent, and so how many bytes still wait at any time before.
 *
 * For every packet the same random numbers are drawn in the same order, whatever is configured and
 * whatever becomes of it. So a change of one probability leaves all other decisions as they were.
 */
#include "link/impair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"

#define PPM_ALL             1000000u
#define QUEUE_BYTES_DEFAULT ((size_t)256 * 1024)
#define NS_BITS_PER_BYTE    (8 * UINT64_C(1000000000)) /* bits a byte, times ns a second */
#define HEAP_CAPACITY_MIN   16

#define IPV4_HEADER_MIN  20
#define IPV4_TOS_AT      1
#define IPV4_CHECKSUM_AT 10
#define ECN_MASK         3 /* RFC 3168 5: the lower two bits of the TOS */
#define ECN_NOT_ECT      0
#define ECN_CE           3

/* The random numbers of one packet. */
enum draw {
    DRAW_BURST_TURN,
    DRAW_BURST_LOSS,
    DRAW_LOSS,
    DRAW_DUPLICATE,
    DRAW_CORRUPT,
    DRAW_CORRUPT_BIT,
    DRAW_REORDER,
    DRAW_JITTER,
    DRAWS
};

/* On its way. */
struct impair_packet {
    uint64_t due_ns;
    uint64_t serial; /* in order of arrival */
    struct strait_offload offload;
    size_t length;
    uint8_t bytes[];
};

/* A remainder of 64 bits is as good as even: what is divided by here is below 2^43. */
static bool happens(uint64_t draw, impair_ppm probability)
{
    return draw % PPM_ALL < probability;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- The heap -------------------------------------------------------------------------------- */

static bool comes_before(const struct impair_packet *a, const struct impair_packet *b)
{
    return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->serial < b->serial);
}

static bool heap_reserve(struct impair *i)
{
    if (i->count < i->capacity)
        return true;
    size_t capacity = i->capacity > 0 ? 2 * i->capacity : HEAP_CAPACITY_MIN;
    struct impair_packet **heap = realloc(i->heap, capacity * sizeof(struct impair_packet *));
    if (!heap)
        return false;
    i->heap = heap;
    i->capacity = capacity;
    return true;
}

/* The packet is one of packet_new, which has made room for it. */
static void heap_push(struct impair *i, struct impair_packet *p)
{
    size_t at = i->count++;
    for (; at > 0 && comes_before(p, i->heap[(at - 1) / 2]); at = (at - 1) / 2)
        i->heap[at] = i->heap[(at - 1) / 2];
    i->heap[at] = p;
}

static struct impair_packet *heap_pop(struct impair *i)
{
    struct impair_packet *first = i->heap[0], *last = i->heap[--i->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < i->count; at = child) {
        if (child + 1 < i->count && comes_before(i->heap[child + 1], i->heap[child]))
            child++;
        if (!comes_before(i->heap[child], last))
            break;
        i->heap[at] = i->heap[child];
    }
    i->heap[at] = last;
    return first;
}

/* ---- Packets --------------------------------------------------------------------------------- */

static size_t packet_memory(size_t length)
{
    return sizeof(struct impair_packet) + length;
}

/* A packet that may be pushed, its bytes not yet filled in; NULL for want of memory, counted. */
static struct impair_packet *packet_new(struct impair *i, size_t length,
                                        const struct strait_offload *offload)
{
    struct impair_packet *p = NULL;
    if (packet_memory(length) <= IMPAIR_BYTES_MAX - i->bytes && heap_reserve(i))
        p = malloc(packet_memory(length));
    if (!p) {
        i->counters.no_memory++;
        return NULL;
    }
    i->bytes += packet_memory(length);
    p->serial = i->serial++;
    p->offload = offload ? *offload : (struct strait_offload){0};
    p->length = length;
    return p;
}

/* Forgets a packet that is off the heap; its memory is for the caller to free. */
static void packet_leaves(struct impair *i, const struct impair_packet *p)
{
    i->bytes -= packet_memory(p->length);
}

/* Marks an ECT packet as CE (RFC 3168 5), and mends its header checksum by RFC 1624 (eqn. 3). */
static void mark(struct impair *i, struct impair_packet *p)
{
    uint8_t *ip = p->bytes;
    if (p->length < IPV4_HEADER_MIN || ip[0] >> 4 != 4)
        return;
    unsigned ecn = ip[IPV4_TOS_AT] & ECN_MASK;
    if (ecn == ECN_NOT_ECT || ecn == ECN_CE)
        return;
    uint64_t sum = (uint16_t)~load_be16(ip + IPV4_CHECKSUM_AT);
    sum += (uint16_t)~load_be16(ip);
    ip[IPV4_TOS_AT] |= ECN_CE;
    sum += load_be16(ip);
    store_be16(ip + IPV4_CHECKSUM_AT, (uint16_t)~checksum_fold(sum));
    i->counters.marked++;
}

/*
 * Sets the first bit that is clear, from a random one on. Bits are never cleared: two that were
 * flipped against each other, on two links or in two fragments of a datagram, could cancel out in
 * the checksum, but in a sum modulo 2^16 - 1 it takes sixteen that were set.
 */
static void set_a_bit(struct impair *i, struct impair_packet *p, uint64_t draw)
{
    uint64_t bits = 8 * (uint64_t)p->length;

    if (p->offload.checksum != STRAIT_CHECKSUM_COMPLETE)
        return;
    for (uint64_t n = 0; n < bits; n++) {
        uint64_t bit = (draw % bits + n) % bits;
        uint8_t mask = (uint8_t)(1u << bit % 8);
        if (p->bytes[bit / 8] & mask)
            continue;
        p->bytes[bit / 8] |= mask;
        i->counters.corrupted++;
        return;
    }
}

/* ---- What becomes of a packet ---------------------------------------------------------------- */

/* Random loss, and that of the bad state, which each packet may enter or leave. */
static bool is_lost(struct impair *i, const uint64_t draws[DRAWS])
{
    const struct impair_config *c = &i->config;
    if (happens(draws[DRAW_BURST_TURN], i->burst ? c->burst_leave : c->burst_enter))
        i->burst = !i->burst;
    return happens(draws[DRAW_LOSS], c->loss) ||
           (i->burst && happens(draws[DRAW_BURST_LOSS], c->burst_loss));
}

/* The product stays below 2^63: what waits is in memory, and that has its bound. */
static uint64_t waiting_bytes(const struct impair *i, uint64_t now_ns)
{
    if (i->free_at_ns <= now_ns)
        return 0;
    return (i->free_at_ns - now_ns) * i->config.rate_bps / NS_BITS_PER_BYTE;
}

static bool queue_has_room(const struct impair *i, uint64_t waiting, size_t length)
{
    size_t limit = i->config.queue_bytes ? i->config.queue_bytes : QUEUE_BYTES_DEFAULT;
    return waiting == 0 || waiting + length <= limit;
}

/* When the last bit of a packet has been sent, rounded up: the rate is never exceeded. */
static uint64_t send_at_rate(struct impair *i, size_t length, uint64_t now_ns)
{
    uint64_t rate_bps = i->config.rate_bps;
    if (rate_bps == 0)
        return now_ns;
    uint64_t takes_ns = (length * NS_BITS_PER_BYTE + rate_bps - 1) / rate_bps;
    i->free_at_ns = later(i->free_at_ns, now_ns) + takes_ns;
    return i->free_at_ns;
}

/* When a packet comes out that has been sent. */
static uint64_t delay(struct impair *i, const uint64_t draws[DRAWS], uint64_t sent_ns)
{
    const struct impair_config *c = &i->config;
    if (happens(draws[DRAW_REORDER], c->reorder)) {
        i->counters.reordered++;
        return sent_ns;
    }
    uint64_t delay_ns = c->delay_ns + draws[DRAW_JITTER] % (2 * c->jitter_ns + 1);
    delay_ns = later(delay_ns, c->jitter_ns) - c->jitter_ns;
    i->last_due_ns = later(i->last_due_ns, sent_ns + delay_ns);
    return i->last_due_ns;
}

static void push_copy(struct impair *i, const struct impair_packet *p)
{
    struct impair_packet *copy = packet_new(i, p->length, &p->offload);
    if (!copy)
        return;
    memcpy(copy->bytes, p->bytes, p->length);
    copy->due_ns = p->due_ns;
    heap_push(i, copy);
    i->counters.duplicated++;
}

int impair_put(struct impair *i, const struct iovec *parts, int count,
               const struct strait_offload *offload, uint64_t now_ns)
{
    uint64_t draws[DRAWS];
    for (int n = 0; n < DRAWS; n++)
        draws[n] = prng_next(&i->prng);
    i->counters.packets++;
    if (is_lost(i, draws)) {
        i->counters.lost++;
        return 0;
    }
    size_t length = 0;
    for (int n = 0; n < count; n++)
        length += parts[n].iov_len;
    uint64_t waiting = waiting_bytes(i, now_ns);
    if (!queue_has_room(i, waiting, length)) {
        i->counters.queue_full++;
        return 0;
    }
    struct impair_packet *p = packet_new(i, length, offload);
    if (!p) {
        errno = ENOBUFS;
        return -1;
    }
    uint8_t *end = p->bytes;
    for (int n = 0; n < count; end += parts[n++].iov_len)
        memcpy(end, parts[n].iov_base, parts[n].iov_len);

    if (i->config.ecn_bytes > 0 && waiting > i->config.ecn_bytes)
        mark(i, p);
    if (happens(draws[DRAW_CORRUPT], i->config.corrupt))
        set_a_bit(i, p, draws[DRAW_CORRUPT_BIT]);
    p->due_ns = delay(i, draws, send_at_rate(i, length, now_ns));
    heap_push(i, p);
    if (happens(draws[DRAW_DUPLICATE], i->config.duplicate))
        push_copy(i, p);
    return 0;
}

uint64_t impair_next(const struct impair *i)
{
    return i->count > 0 ? i->heap[0]->due_ns : STRAIT_NEVER;
}

bool impair_take(struct impair *i, uint64_t now_ns,
                 void (*deliver)(void *context, const void *packet, size_t length,
                                 const struct strait_offload *offload),
                 void *context)
{
    if (i->count == 0 || i->heap[0]->due_ns > now_ns)
        return false;
    struct impair_packet *p = heap_pop(i);
    packet_leaves(i, p);
    deliver(context, p->bytes, p->length, &p->offload);
    free(p);
    return true;
}

/* ---- Beginning, change, end ------------------------------------------------------------------ */

void impair_init(struct impair *i, const struct impair_config *config, uint64_t seed)
{
    *i = (struct impair){0};
    prng_seed(&i->prng, seed);
    impair_configure(i, config);
}

void impair_configure(struct impair *i, const struct impair_config *config)
{
    CHECK(config->delay_ns <= IMPAIR_TIME_MAX_NS && config->jitter_ns <= IMPAIR_TIME_MAX_NS);
    CHECK(config->rate_bps <= IMPAIR_RATE_MAX_BPS);
    i->config = *config;
    i->free_at_ns = 0;
    i->last_due_ns = 0;
    i->burst = false;
}

void impair_clear(struct impair *i)
{
    for (size_t n = 0; n < i->count; n++)
        free(i->heap[n]);
    free(i->heap);
    i->heap = NULL;
    i->count = i->capacity = 0;
    i->bytes = 0;
    i->free_at_ns = 0;
    i->last_due_ns = 0;
}
