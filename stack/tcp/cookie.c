/* SPDX-License-Identifier: MIT */
/*
 * The ISS, from the high bits down: 28 of a hash, the lowest of the period's number, 3 for the MSS.
 * The hash covers the tuple, the SYN's number, the whole number of the period, the MSS, the options
 * and what the SYN-ACK has offered, so that none of them can be another on the way back: neither by
 * a peer's doing, nor by settings that have changed since. One guess in 2^28 is right.
 */
#include "tcp/cookie.h"

#include "base/check.h"

#define MSS_COUNT    8u
#define MSS_MASK     (MSS_COUNT - 1)
#define PERIOD_SHIFT 3u
#define HASH_MASK    (UINT32_MAX << (PERIOD_SHIFT + 1))

/* The low bits of the timestamp. */
#define OPTIONS_MASK  0x3fu
#define SCALE_MASK    0x0fu /* the shift; all of them set: no window scaling */
#define OPTION_SACK   0x10u
#define OPTION_ECN    0x20u
#define NO_TIMESTAMPS 0x40u /* stands in the hash alone */
#define OWN_SHIFT     16u   /* of what stands above these and the MSS, in the hash */

#define ECN_SETUP  (TCP_ECE | TCP_CWR) /* RFC 3168 6.1.1 */
#define MSS_UNTOLD 536u                /* RFC 9293 3.7.1, MUST-15 */

/* Of IPv4 and of IPv6 at their least, tunnels, PPPoE, Ethernet, large frames; below, for safety. */
static const uint16_t mss_table[MSS_COUNT] = {48, 256, 536, 1220, 1380, 1452, 1460, 8960};

/* The largest that is not above the offer; the smallest is the floor of every connection. */
static uint32_t mss_index(uint16_t mss)
{
    uint32_t i = MSS_COUNT - 1;

    while (i > 0 && mss_table[i] > mss)
        i--;
    return i;
}

static uint32_t write_options(const struct segment *syn)
{
    const struct tcp_options *o = &syn->options;

    if (!o->has_timestamps)
        return NO_TIMESTAMPS;
    return (o->has_scale ? o->scale : SCALE_MASK) | (o->sack_permitted ? OPTION_SACK : 0) |
           (syn->flags & ECN_SETUP ? OPTION_ECN : 0);
}

static void read_options(uint32_t bits, struct segment *syn)
{
    uint32_t scale = bits & SCALE_MASK;

    syn->options.has_scale = scale <= TCP_SCALE_MAX;
    syn->options.scale = syn->options.has_scale ? (uint8_t)scale : 0;
    syn->options.sack_permitted = bits & OPTION_SACK;
    if (bits & OPTION_ECN)
        syn->flags |= ECN_SETUP;
}

void cookie_limit(const struct core *core, struct segment *syn)
{
    struct tcp_options *o = &syn->options;

    o->mss = mss_table[mss_index(o->mss ? o->mss : MSS_UNTOLD)];
    o->has_timestamps = o->has_timestamps && core->config.timestamps;
    if (!o->has_timestamps)
        o->has_scale = o->sack_permitted = false;
    if (!o->has_timestamps || (syn->flags & ECN_SETUP) != ECN_SETUP)
        syn->flags &= (uint8_t)~ECN_SETUP;
}

static uint64_t period_now(const struct core *core)
{
    return core->now_ns / COOKIE_PERIOD_NS;
}

/* What of the settings a SYN-ACK is made by. */
static uint64_t own_terms(const struct core *core)
{
    const struct strait_config *config = &core->config;
    unsigned flags = config->ecn * 4u + config->sack * 2u + config->window_scaling;

    return (uint64_t)config->receive_buffer_bytes << 32 | flags << OWN_SHIFT;
}

/* The ISS of a SYN that came in that period. */
static uint32_t iss_in(const struct core *core, const struct tuple *tuple,
                       const struct segment *syn, uint64_t period)
{
    uint32_t index = mss_index(syn->options.mss);
    uint64_t terms = own_terms(core) | (write_options(syn) * MSS_COUNT + index);
    uint32_t hash = isn_cookie_hash(core, tuple, syn->seq, period, terms);

    CHECK(syn->options.mss == mss_table[index]);
    return (hash & HASH_MASK) | (uint32_t)(period & 1) << PERIOD_SHIFT | index;
}

uint32_t cookie_iss(const struct core *core, const struct tuple *tuple, const struct segment *syn)
{
    return iss_in(core, tuple, syn, period_now(core));
}

uint32_t cookie_timestamp(uint32_t now, const struct segment *syn)
{
    return now - ((now - write_options(syn)) & OPTIONS_MASK);
}

bool cookie_open(const struct core *core, const struct tuple *tuple, uint32_t irs,
                 const struct segment *ack, struct segment *syn)
{
    uint32_t iss = ack->ack - 1;
    uint64_t period = period_now(core);

    if (((iss >> PERIOD_SHIFT) & 1) != (period & 1))
        period--;
    *syn = (struct segment){.seq = irs, .flags = TCP_SYN};
    syn->options.mss = mss_table[iss & MSS_MASK];
    if (ack->options.has_timestamps && core->config.timestamps) {
        syn->options.has_timestamps = true;
        syn->options.timestamp = ack->options.timestamp;
        read_options(ack->options.echo & OPTIONS_MASK, syn);
    }
    return iss_in(core, tuple, syn, period) == iss;
}
