/* SPDX-License-Identifier: MIT */
/*
 * Fragments are kept as they came, header and all, in blocks of their own, and each incomplete
 * packet has an array that points at them in the order of their offsets. Fragments never overlap,
 * so a packet is whole when its lengths add up to its end. Then it is put together in one block and
 * goes through ipv4_input as any other.
 *
 *     a fragment     is found its packet among those of its source's share, or begins one
 *     a limit        drops the oldest packet: of the share, or of all
 *     a time         after its first fragment came, a packet is dropped (reassembly_advance)
 *     an overlap, an end that is no end
 *                    drop the packet: somebody lies, and what is true cannot be told (RFC 5722)
 *
 * The work for a fragment is bounded, too: a walk over the packets of a share, and a binary search
 * in one of them.
 */
#include "ip/reassembly.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/siphash.h"
#include "ip/ip.h"
#include "ip/ipv4.h"

/* A share of the memory, as a divisor. */
#define SHARE_OF_BYTES 4

/* The smallest MTU makes 1365 of the longest packet, 48 bytes in each; and some more where an
 * earlier hop has cut it already. */
#define FRAGMENTS_MAX   2048
#define FRAGMENTS_FIRST 4 /* room at the beginning; it doubles */

/* RFC 1858 3: what the first fragment of a TCP segment holds at least, the flags included. */
#define TCP_FIRST_BYTES 16

struct fragment {
    size_t start, end;   /* of its payload in that of the packet */
    size_t header_bytes; /* the payload comes behind */
    uint8_t bytes[];     /* as it came, from the IP header on */
};

struct incomplete {
    struct list of_share, of_all;
    struct reassembly_share *share;
    struct interface *interface; /* that the first came by */
    struct address source, destination;
    uint16_t id;
    uint8_t protocol;
    bool broadcast;
    uint8_t ecn_seen; /* a bit for each value of the ECN field */
    uint64_t deadline_ns;
    size_t held_bytes;    /* of memory, this struct included */
    size_t payload_bytes; /* of the fragments that have come */
    size_t end;           /* of the payload, when its last fragment has come; else 0 */
    uint32_t count, capacity;
    struct fragment **fragments; /* by their offsets */
};

void reassembly_init(struct reassembly *r)
{
    *r = (struct reassembly){0};
    list_init(&r->packets);
    for (int i = 0; i < REASSEMBLY_SHARES; i++)
        list_init(&r->shares[i].packets);
}

/* ---- Memory --------------------------------------------------------------------------------- */

/* Of an incomplete packet, and of a fragment with its part of the array that doubles. */
#define PACKET_COST (sizeof(struct incomplete) + FRAGMENTS_FIRST * sizeof(struct fragment *))

static size_t fragment_cost(const struct ip_packet *packet)
{
    return sizeof(struct fragment) + 2 * sizeof(struct fragment *) + packet->header_bytes +
           packet->length;
}

static void hold(struct ip *ip, struct incomplete *i, size_t bytes)
{
    i->held_bytes += bytes;
    i->share->bytes += bytes;
    ip->reassembly.bytes += bytes;
}

static void drop(struct ip *ip, struct incomplete *i)
{
    i->share->bytes -= i->held_bytes;
    i->share->count--;
    ip->reassembly.bytes -= i->held_bytes;
    list_remove(&i->of_share);
    list_remove(&i->of_all);
    for (uint32_t at = 0; at < i->count; at++)
        free(i->fragments[at]);
    free(i->fragments);
    free(i);
}

static struct incomplete *oldest(struct ip *ip)
{
    struct list *all = &ip->reassembly.packets;
    return list_empty(all) ? NULL : container_of(all->next, struct incomplete, of_all);
}

static struct incomplete *oldest_of_share(struct reassembly_share *share)
{
    return container_of(share->packets.next, struct incomplete, of_share);
}

/* Drops the oldest packets until `bytes` more are within all bounds. False: they are too many. */
static bool make_room(struct ip *ip, struct reassembly_share *share, size_t bytes)
{
    size_t max = ip->core->config.fragments_max_bytes;
    size_t share_max = max / SHARE_OF_BYTES;

    if (bytes > share_max)
        return false;
    while (share->bytes + bytes > share_max) {
        drop(ip, oldest_of_share(share));
        count(ip->core, ip_reassembly_evicted);
    }
    while (ip->reassembly.bytes + bytes > max) {
        drop(ip, oldest(ip));
        count(ip->core, ip_reassembly_evicted);
    }
    return true;
}

void reassembly_finish(struct ip *ip)
{
    struct incomplete *i;
    while ((i = oldest(ip)) != NULL)
        drop(ip, i);
}

/* ---- Packets -------------------------------------------------------------------------------- */

/* By a keyed hash, so that nobody can choose whose share he spends. */
static struct reassembly_share *share_of(struct ip *ip, const struct address *source)
{
    uint64_t hash = siphash(ip->core->config.secret, source, sizeof(*source));
    return &ip->reassembly.shares[hash % REASSEMBLY_SHARES];
}

/* RFC 791 3.2: these four belong together. */
static struct incomplete *find(struct reassembly_share *share, const struct ip_packet *packet)
{
    for (struct list *node = share->packets.next; node != &share->packets; node = node->next) {
        struct incomplete *i = container_of(node, struct incomplete, of_share);
        if (i->id == packet->id && i->protocol == packet->protocol &&
            address_equal(&i->source, &packet->source) &&
            address_equal(&i->destination, &packet->destination))
            return i;
    }
    return NULL;
}

static struct incomplete *begin(struct ip *ip, struct reassembly_share *share,
                                const struct ip_packet *packet)
{
    struct incomplete *i = malloc(sizeof(*i));
    if (i == NULL)
        return NULL;
    *i = (struct incomplete){
        .share = share,
        .interface = packet->interface,
        .source = packet->source,
        .destination = packet->destination,
        .id = packet->id,
        .protocol = packet->protocol,
        .broadcast = packet->broadcast,
        .deadline_ns = ip->core->now_ns + ip->core->config.fragment_timeout_ms * NS_PER_MS,
        .capacity = FRAGMENTS_FIRST,
        .fragments = malloc(FRAGMENTS_FIRST * sizeof(struct fragment *)),
    };
    if (i->fragments == NULL) {
        free(i);
        return NULL;
    }
    while (share->count >= ip->core->config.fragment_packets_max) {
        drop(ip, oldest_of_share(share));
        count(ip->core, ip_reassembly_evicted);
    }
    list_append(&share->packets, &i->of_share);
    share->count++;
    list_append(&ip->reassembly.packets, &i->of_all);
    hold(ip, i, PACKET_COST);
    return i;
}

/* ---- Fragments ------------------------------------------------------------------------------ */

/* What the checks below return: the counter of a refusal, or this. */
#define ACCEPTED COUNTER_ip_fragments_in

/* What can be told of a fragment alone. */
static enum counter examine(const struct ip_packet *packet)
{
    size_t start = ip_fragment_offset(packet), end = start + packet->length;

    if (packet->length == 0)
        return COUNTER_ip_fragment_wrong;
    if (ip_more_follow(packet) && packet->length % IPV4_OFFSET_UNIT != 0)
        return COUNTER_ip_fragment_wrong;
    if (packet->header_bytes + end > IPV4_PACKET_MAX_BYTES)
        return COUNTER_ip_fragment_oversize;
    /* RFC 1858 3.2.2, RFC 3128 3: the ports and flags of a segment stand in its first fragment. */
    if (packet->protocol == IPPROTO_TCP &&
        (start == 0 ? packet->length < TCP_FIRST_BYTES : start < TCP_FIRST_BYTES))
        return COUNTER_ip_fragment_tiny;
    return ACCEPTED;
}

/* The place of the first fragment that starts at `start` or behind it. */
static uint32_t place_of(const struct incomplete *i, size_t start)
{
    uint32_t low = 0, high = i->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (i->fragments[middle]->start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What can be told of a fragment beside the others, among which it has its place. */
static enum counter compare(const struct incomplete *i, const struct ip_packet *packet,
                            uint32_t place)
{
    size_t start = ip_fragment_offset(packet), end = start + packet->length;
    const struct fragment *next = place < i->count ? i->fragments[place] : NULL;

    if (next != NULL && next->start == start && next->end == end)
        return COUNTER_ip_fragment_duplicate;
    if (next != NULL && next->start < end)
        return COUNTER_ip_fragment_overlap;
    if (place > 0 && i->fragments[place - 1]->end > start)
        return COUNTER_ip_fragment_overlap;
    /* The last is the last: nothing lies behind its end, and there is but one. */
    if (ip_more_follow(packet) ? i->end != 0 && end >= i->end : i->end != 0 || next != NULL)
        return COUNTER_ip_fragment_wrong;
    return i->count < FRAGMENTS_MAX ? ACCEPTED : COUNTER_ip_fragments_limited;
}

static bool grow(struct incomplete *i)
{
    CHECK(i->capacity >= FRAGMENTS_FIRST);
    if (i->count < i->capacity)
        return true;
    struct fragment **larger =
        realloc(i->fragments, 2 * (size_t)i->capacity * sizeof(struct fragment *));
    if (larger == NULL)
        return false;
    i->fragments = larger;
    i->capacity *= 2;
    return true;
}

static enum counter insert(struct ip *ip, struct incomplete *i, const struct ip_packet *packet,
                           uint32_t place)
{
    size_t bytes = packet->header_bytes + packet->length;
    struct fragment *fragment = grow(i) ? malloc(sizeof(*fragment) + bytes) : NULL;

    if (fragment == NULL)
        return COUNTER_ip_fragments_limited;
    fragment->start = ip_fragment_offset(packet);
    fragment->end = fragment->start + packet->length;
    fragment->header_bytes = packet->header_bytes;
    memcpy(fragment->bytes, packet->header, bytes);

    memmove(&i->fragments[place + 1], &i->fragments[place],
            (i->count - place) * sizeof(i->fragments[0]));
    i->fragments[place] = fragment;
    i->count++;
    i->payload_bytes += packet->length;
    i->ecn_seen |= (uint8_t)(1u << (packet->tos & IP_ECN_MASK));
    if (!ip_more_follow(packet))
        i->end = fragment->end;
    hold(ip, i, fragment_cost(packet));
    return ACCEPTED;
}

/* ---- The whole packet ----------------------------------------------------------------------- */

/*
 * RFC 3168 5.3: congestion that one fragment has met, the packet has met. But a mark beside a
 * fragment of no ECN transport, or ECT beside Not-ECT, is no sender's doing (as Linux sees it,
 * too).
 */
static bool ecn_is_mixed(const struct incomplete *i)
{
    unsigned not_ect = 1u << IP_ECN_NOT_ECT;
    return i->ecn_seen & not_ect && i->ecn_seen != not_ect;
}

/* Writes the packet with the header of its first fragment (RFC 791 3.2). Returns its length. */
static size_t write_whole(const struct incomplete *i, uint8_t *whole)
{
    const struct fragment *first = i->fragments[0];
    size_t header_bytes = first->header_bytes;
    size_t total_bytes = header_bytes + i->end;

    memcpy(whole, first->bytes, header_bytes);
    store_be16(whole + IPV4_TOTAL_LENGTH_AT, (uint16_t)total_bytes);
    store_be16(whole + IPV4_FRAGMENT_AT, 0);
    if (i->ecn_seen & 1u << IP_ECN_CE)
        whole[IPV4_TOS_AT] |= IP_ECN_CE;
    ipv4_write_checksum(whole, header_bytes);
    for (uint32_t at = 0; at < i->count; at++) {
        const struct fragment *f = i->fragments[at];
        memcpy(whole + header_bytes + f->start, f->bytes + f->header_bytes, f->end - f->start);
    }
    return total_bytes;
}

/* Ends the wait of a packet whose fragments are all there, and hands it on. */
static void complete(struct ip *ip, struct incomplete *i)
{
    enum counter outcome = COUNTER_ip_reassembled;
    struct interface *interface = i->interface;
    uint8_t *whole = NULL;
    size_t length = 0;

    if (ecn_is_mixed(i))
        outcome = COUNTER_ip_fragments_ecn_mixed;
    else if (i->fragments[0]->header_bytes + i->end > IPV4_PACKET_MAX_BYTES)
        outcome = COUNTER_ip_fragment_oversize;
    else if ((whole = malloc(i->fragments[0]->header_bytes + i->end)) == NULL)
        outcome = COUNTER_ip_fragments_limited;
    else
        length = write_whole(i, whole);
    drop(ip, i);
    ip->core->counters[outcome]++;
    if (whole != NULL)
        ipv4_input_reassembled(ip, interface, whole, length);
    free(whole);
}

/* The packet of a fragment, old or new, with room for the fragment; NULL if there is none. */
static struct incomplete *find_or_begin(struct ip *ip, const struct ip_packet *packet)
{
    struct reassembly_share *share = share_of(ip, &packet->source);

    if (!make_room(ip, share, PACKET_COST + fragment_cost(packet)))
        return NULL;
    struct incomplete *i = find(share, packet);
    return i != NULL ? i : begin(ip, share, packet);
}

static enum counter take(struct ip *ip, struct incomplete *i, const struct ip_packet *packet)
{
    uint32_t place = place_of(i, ip_fragment_offset(packet));
    enum counter outcome = compare(i, packet, place);
    return outcome == ACCEPTED ? insert(ip, i, packet, place) : outcome;
}

void reassembly_input(struct ip *ip, const struct ip_packet *packet)
{
    struct incomplete *i = NULL;
    enum counter outcome = examine(packet);

    if (outcome == ACCEPTED) {
        i = find_or_begin(ip, packet);
        outcome = i != NULL ? take(ip, i, packet) : COUNTER_ip_fragments_limited;
    }
    ip->core->counters[outcome]++;
    if (outcome == ACCEPTED && i->payload_bytes == i->end)
        complete(ip, i);
    if (outcome == ACCEPTED || outcome == COUNTER_ip_fragment_duplicate)
        return;
    log_to(ip->core, STRAIT_LOG_IP, "a fragment refused: %s", counter_name(outcome));
    if (i != NULL)
        drop(ip, i);
}

/* ---- Time ----------------------------------------------------------------------------------- */

/* RFC 1122 3.3.2: the sender is told, if the fragment is there that names the sending socket. */
static void time_out(struct ip *ip, struct incomplete *i)
{
    const struct fragment *first = i->fragments[0];

    count(ip->core, ip_reassembly_timed_out);
    if (first->start == 0) {
        struct ip_packet packet = {
            .interface = i->interface,
            .source = i->source,
            .destination = i->destination,
            .protocol = i->protocol,
            .local = true,
            .broadcast = i->broadcast,
            .fragment = IPV4_MORE_FRAGMENTS,
            .header = first->bytes,
            .header_bytes = first->header_bytes,
            .payload = first->bytes + first->header_bytes,
            .length = first->end,
        };
        icmp_error(ip, &packet, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_IN_REASSEMBLY);
    }
    drop(ip, i);
}

uint64_t reassembly_advance(struct ip *ip)
{
    const struct list *all = &ip->reassembly.packets;

    for (struct list *node = all->next, *next; node != all; node = next) {
        struct incomplete *i = container_of(node, struct incomplete, of_all);
        if (i->deadline_ns > ip->core->now_ns)
            return i->deadline_ns;
        next = node->next;
        time_out(ip, i);
    }
    return STRAIT_NEVER;
}
