/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/seq.h"
#include "kernel.h"
#include "transfer.h"

#define BUFFER_BYTES (64 << 20)
#define FLOWS_MAX    256
#define QUIET_MS     200

/* What one end of a connection has shown. */
struct side {
    struct in_addr address;
    uint16_t port; /* network order, as the address */
    bool syn_seen, window_seen, scaled;
    uint8_t scale;
    uint32_t mss;
    uint32_t data_end;   /* the sequence number behind its last byte or SYN */
    uint32_t right_edge; /* the end of the window that it has advertised */
};

struct flow {
    struct side sides[2];
};

struct wire {
    pcap_t *pcap;
    uint32_t mtu;
    uint64_t packets;
    uint32_t kernel_repeats; /* segments that the kernel has sent again, though none was lost */
    size_t flow_count;
    struct flow flows[FLOWS_MAX];
    char violation[300]; /* the first one */
};

/* A TCP segment. Numbers are in host order. */
struct segment {
    struct in_addr source, destination;
    uint16_t source_port, destination_port;
    uint32_t seq, ack, window, payload, option_bytes;
    bool syn, fin, rst, has_ack;
    uint32_t mss; /* option values; 0 and -1: not there */
    int scale;
};

static void violation(struct wire *w, const struct segment *s, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void violation(struct wire *w, const struct segment *s, const char *format, ...)
{
    if (w->violation[0] != '\0')
        return;
    int n = snprintf(w->violation, sizeof(w->violation),
                     "packet %llu: ", (unsigned long long)w->packets);
    va_list arguments;
    va_start(arguments, format);
    n += vsnprintf(w->violation + n, sizeof(w->violation) - (size_t)n, format, arguments);
    va_end(arguments);
    if (s == NULL)
        return;
    char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &s->source, from, sizeof(from));
    inet_ntop(AF_INET, &s->destination, to, sizeof(to));
    snprintf(w->violation + n, sizeof(w->violation) - (size_t)n,
             " (%s:%u > %s:%u%s%s%s seq %u ack %u win %u, %u bytes)", from, ntohs(s->source_port),
             to, ntohs(s->destination_port), s->syn ? " SYN" : "", s->fin ? " FIN" : "",
             s->rst ? " RST" : "", s->seq, s->ack, s->window, s->payload);
}

/* ---- Checksums ----------------------------------------------------------------------------- */

/* RFC 1071, as plainly as it can be said: what is under test must not check itself. */
static uint32_t add_words(uint32_t sum, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
    return sum;
}

static bool sum_right(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

static uint32_t pseudo_header(const struct ip *ip, uint32_t length)
{
    uint32_t sum = add_words(0, (const uint8_t *)&ip->ip_src, 4);
    return add_words(sum, (const uint8_t *)&ip->ip_dst, 4) + ip->ip_p + length;
}

/* ---- TCP ----------------------------------------------------------------------------------- */

static bool parse_options(struct segment *s, const uint8_t *option, size_t left)
{
    s->mss = 0;
    s->scale = -1;
    while (left > 0 && option[0] != TCPOPT_EOL) {
        size_t size = 1;
        if (option[0] != TCPOPT_NOP) {
            if (left < 2 || option[1] < 2 || option[1] > left)
                return false;
            size = option[1];
        }
        if (option[0] == TCPOPT_MAXSEG && size == TCPOLEN_MAXSEG)
            s->mss = (uint32_t)option[2] << 8 | option[3];
        if (option[0] == TCPOPT_WINDOW && size == TCPOLEN_WINDOW)
            s->scale = option[2];
        option += size;
        left -= size;
    }
    return true;
}

static bool parse_segment(struct segment *s, const struct ip *ip, const uint8_t *bytes,
                          size_t length)
{
    struct tcphdr tcp;
    if (length < sizeof(tcp))
        return false;
    memcpy(&tcp, bytes, sizeof(tcp));
    size_t header = tcp.doff * (size_t)4;
    if (header < sizeof(tcp) || header > length)
        return false;
    *s = (struct segment){
        .source = ip->ip_src,
        .destination = ip->ip_dst,
        .source_port = tcp.source,
        .destination_port = tcp.dest,
        .seq = ntohl(tcp.seq),
        .ack = ntohl(tcp.ack_seq),
        .window = ntohs(tcp.window),
        .payload = (uint32_t)(length - header),
        .option_bytes = (uint32_t)(header - sizeof(tcp)),
        .syn = tcp.syn,
        .fin = tcp.fin,
        .rst = tcp.rst,
        .has_ack = tcp.ack,
    };
    return parse_options(s, bytes + sizeof(tcp), header - sizeof(tcp));
}

static bool is_end(const struct side *side, struct in_addr address, uint16_t port)
{
    return side->address.s_addr == address.s_addr && side->port == port;
}

/* The segment's connection, a new one if it begins one; `sender` tells which side has sent it. */
static struct flow *find_flow(struct wire *w, const struct segment *s, int *sender)
{
    for (size_t i = 0; i < w->flow_count; i++)
        for (*sender = 0; *sender < 2; ++*sender) {
            const struct side *sides = w->flows[i].sides;
            if (is_end(&sides[*sender], s->source, s->source_port) &&
                is_end(&sides[1 - *sender], s->destination, s->destination_port))
                return &w->flows[i];
        }
    if (!s->syn || w->flow_count == FLOWS_MAX)
        return NULL;
    struct flow *flow = &w->flows[w->flow_count++];
    *flow = (struct flow){
        .sides = {{.address = s->source, .port = s->source_port},
                  {.address = s->destination, .port = s->destination_port}},
    };
    *sender = 0;
    return flow;
}

static void check_syn(struct wire *w, const struct segment *s, struct side *from)
{
    if (from->syn_seen)
        violation(w, s, "a second SYN");
    from->syn_seen = true;
    from->data_end = s->seq + 1;
    from->mss = s->mss != 0 ? s->mss : 536; /* RFC 9293 3.7.1 */
    from->scaled = s->scale >= 0;
    from->scale = from->scaled ? (uint8_t)s->scale : 0;
}

static bool is_strait(struct in_addr address)
{
    char text[INET_ADDRSTRLEN];
    return strcmp(inet_ntop(AF_INET, &address, text, sizeof(text)), STRAIT_ADDRESS) == 0;
}

/* What is sent: once, without a hole, within the peer's MSS and window. */
static void check_payload(struct wire *w, const struct segment *s, struct side *from,
                          const struct side *to)
{
    bool probe = s->payload == 1 && to->window_seen && s->seq == to->right_edge;
    if (probe)
        return; /* a zero-window probe (RFC 9293 3.8.6.1) may repeat itself */
    if (s->payload + s->option_bytes > to->mss)
        violation(w, s, "above the MSS of %u", to->mss); /* RFC 6691 */
    bool again = seq_lt(s->seq, from->data_end);
    if (again && !is_strait(s->source)) {
        w->kernel_repeats++;
        return;
    }
    if (again)
        violation(w, s, "sent again: %u had been reached", from->data_end);
    if (seq_gt(s->seq, from->data_end))
        violation(w, s, "a hole: only %u had been reached", from->data_end);
    if (to->window_seen && seq_gt(s->seq + s->payload, to->right_edge))
        violation(w, s, "beyond the window that ends at %u", to->right_edge);
    from->data_end = s->seq + s->payload;
}

/* What is advertised: the right edge never moves to the left (RFC 9293 3.8.6). */
static void check_window(struct wire *w, const struct segment *s, struct side *from,
                         const struct side *to)
{
    bool scaled = !s->syn && from->scaled && to->scaled;
    uint32_t edge = s->ack + (scaled ? s->window << from->scale : s->window);
    if (from->window_seen && seq_lt(edge, from->right_edge)) {
        /* The kernel may (RFC 7323 2.4); the sender then still owns what it was once allowed. */
        if (is_strait(from->address))
            violation(w, s, "the window shrinks from %u to %u", from->right_edge, edge);
        return;
    }
    from->right_edge = edge;
    from->window_seen = true;
}

static void check_tcp(struct wire *w, const struct ip *ip, const uint8_t *bytes, size_t length)
{
    struct segment s;
    int sender;
    if (!parse_segment(&s, ip, bytes, length)) {
        violation(w, NULL, "a malformed TCP header");
        return;
    }
    if (!sum_right(add_words(pseudo_header(ip, (uint32_t)length), bytes, length)))
        violation(w, &s, "a wrong TCP checksum");
    struct flow *flow = find_flow(w, &s, &sender);
    if (flow == NULL || s.rst)
        return;
    struct side *from = &flow->sides[sender], *to = &flow->sides[1 - sender];
    if (s.syn)
        check_syn(w, &s, from);
    if (s.payload > 0)
        check_payload(w, &s, from, to);
    if (s.has_ack)
        check_window(w, &s, from, to);
}

/* ---- Packets ------------------------------------------------------------------------------- */

static void check_udp(struct wire *w, const struct ip *ip, const uint8_t *bytes, size_t length)
{
    struct udphdr udp;
    if (length < sizeof(udp)) {
        violation(w, NULL, "a short UDP header");
        return;
    }
    memcpy(&udp, bytes, sizeof(udp));
    if (ntohs(udp.len) != length)
        violation(w, NULL, "a wrong UDP length");
    if (udp.check != 0 && !sum_right(add_words(pseudo_header(ip, (uint32_t)length), bytes, length)))
        violation(w, NULL, "a wrong UDP checksum");
}

static void check_packet(u_char *context, const struct pcap_pkthdr *header, const u_char *bytes)
{
    struct wire *w = (struct wire *)context;
    struct ip ip;
    /* The kernel also looks for IPv6 routers. */
    if (header->caplen < sizeof(ip) || bytes[0] >> 4 != 4)
        return;
    memcpy(&ip, bytes, sizeof(ip));
    w->packets++;
    size_t ip_header = ip.ip_hl * (size_t)4, length = ntohs(ip.ip_len);
    if (ip_header < sizeof(ip) || length < ip_header || length != header->caplen) {
        violation(w, NULL, "a wrong IP length");
        return;
    }
    if (length > w->mtu)
        violation(w, NULL, "%zu bytes, above the MTU", length);
    if (!sum_right(add_words(0, bytes, ip_header)))
        violation(w, NULL, "a wrong IP checksum");
    const uint8_t *inner = bytes + ip_header;
    size_t inner_length = length - ip_header;
    if (ip.ip_p == IPPROTO_TCP)
        check_tcp(w, &ip, inner, inner_length);
    else if (ip.ip_p == IPPROTO_UDP)
        check_udp(w, &ip, inner, inner_length);
    else if (ip.ip_p == IPPROTO_ICMP && !sum_right(add_words(0, inner, inner_length)))
        violation(w, NULL, "a wrong ICMP checksum");
}

struct wire *wire_open(uint32_t mtu)
{
    char error[PCAP_ERRBUF_SIZE];
    struct wire *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    w->mtu = mtu;
    w->pcap = pcap_create(DEVICE, error);
    if (w->pcap == NULL)
        fail_msg("pcap: %s", error);
    assert_int_equal(pcap_set_snaplen(w->pcap, 65535), 0);
    assert_int_equal(pcap_set_buffer_size(w->pcap, BUFFER_BYTES), 0);
    assert_int_equal(pcap_set_timeout(w->pcap, 10), 0);
    int status = pcap_activate(w->pcap);
    if (status != 0)
        fail_msg("pcap: %s", pcap_geterr(w->pcap));
    assert_int_equal(pcap_datalink(w->pcap), DLT_RAW);
    assert_int_equal(pcap_setnonblock(w->pcap, 1, error), 0);
    return w;
}

uint64_t wire_check(struct wire *w)
{
    struct pcap_stat stat;
    uint64_t before = w->packets;
    uint64_t quiet_since = now_ms();
    while (now_ms() - quiet_since < QUIET_MS) {
        int n = pcap_dispatch(w->pcap, -1, check_packet, (u_char *)w);
        assert_true(n >= 0);
        if (n > 0)
            quiet_since = now_ms();
        else
            poll(NULL, 0, 5);
    }
    if (w->violation[0] != '\0')
        fail_msg("%s", w->violation);
    /* Where a busy machine keeps Strait from answering for a while, the kernel's timers repeat. */
    if (w->kernel_repeats > kernel_repeats_by_time())
        fail_msg("the kernel had to send %u segments again", w->kernel_repeats);
    assert_int_equal(pcap_stats(w->pcap, &stat), 0);
    assert_int_equal(stat.ps_drop, 0);
    return w->packets - before;
}

void wire_close(struct wire *w)
{
    pcap_close(w->pcap);
    free(w);
}
