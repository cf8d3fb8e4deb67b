/* SPDX-License-Identifier: MIT */
/*
 * lwip TUN MTU spin|sleep
 *
 * lwIP as a subject: its raw API on one thread, on a TUN that is open already. Debian's library has
 * windows of 64 KB with a scale of 2 built in; here they become 1 MB, as far as that goes from
 * outside: the scale in the SYN-ACK is rewritten on its way out, the receive window is kept by this
 * program and not by tcp_recved, and the send buffer is set (what still bounds it is the number of
 * segments in its queue, 180).
 */
#include <errno.h>
#include <lwip/init.h>
#include <lwip/ip4.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READY_FD     3
#define WINDOW_BYTES (1 << 20)
#define WINDOW_SCALE 5
#define PACKET_MAX   65535
#define BATCH        64 /* packets between two looks at the timers */
#define PIECE_BYTES  65535
#define SYN_ACK      0x12

#define PORT_ECHO    7
#define PORT_CALL    8
#define PORT_DISCARD 9
#define PORT_SOURCE  19

struct subject {
    int fd;
    struct netif netif;
    char piece[PIECE_BYTES];
    char packet[PACKET_MAX];
};

/* ---- The device -------------------------------------------------------------------------------
 */

/* The window scale of a SYN-ACK becomes ours, and the checksum with it (RFC 1624). */
static void rewrite_scale(unsigned char *tcp, size_t length)
{
    size_t header_bytes = (size_t)(tcp[12] >> 4) * 4;
    for (size_t at = 20; at + 2 < header_bytes && header_bytes <= length;) {
        if (tcp[at] == 3) {
            unsigned difference = WINDOW_SCALE - tcp[at + 2];
            tcp[at + 2] = WINDOW_SCALE;
            unsigned shift = at % 2 ? 0 : 8; /* the half of its word that the scale stands in */
            unsigned sum = (unsigned)(~(tcp[16] << 8 | tcp[17]) & 0xffff) + (difference << shift);
            sum = ~((sum & 0xffff) + (sum >> 16));
            tcp[16] = (unsigned char)(sum >> 8);
            tcp[17] = (unsigned char)sum;
            return;
        }
        at += tcp[at] <= 1 || tcp[at + 1] == 0 ? 1 : tcp[at + 1];
    }
}

static err_t device_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    struct subject *s = netif->state;
    char copy[PACKET_MAX];
    char *packet = p->payload;
    (void)to;
    if (p->next) {
        packet = copy;
        pbuf_copy_partial(p, copy, p->tot_len, 0);
    }
    if (p->tot_len >= 40 && packet[9] == IP_PROTO_TCP && packet[33] == SYN_ACK)
        rewrite_scale((unsigned char *)packet + 20, p->tot_len - 20u);
    return write(s->fd, packet, p->tot_len) < 0 ? ERR_BUF : ERR_OK;
}

static err_t device_init(struct netif *netif)
{
    netif->name[0] = 't';
    netif->name[1] = 'n';
    netif->output = device_output;
    netif->flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

/* Takes one packet, if there is one. */
static bool take(struct subject *s)
{
    ssize_t n = read(s->fd, s->packet, sizeof(s->packet));
    if (n <= 0)
        return false;
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)n, PBUF_RAM);
    if (!p)
        return true;
    memcpy(p->payload, s->packet, (size_t)n);
    if (s->netif.input(p, &s->netif) != ERR_OK)
        pbuf_free(p);
    return true;
}

/* ---- The services -----------------------------------------------------------------------------
 */

/* The user has read so much: as tcp_recved, but for a window of 1 MB. */
static void read_on(struct tcp_pcb *pcb, u16_t length)
{
    pcb->rcv_wnd += length;
    if (tcp_update_rcv_ann_wnd(pcb) >= 2 * (u32_t)pcb->mss)
        tcp_ack_now(pcb);
}

static void close_pcb(struct tcp_pcb *pcb)
{
    tcp_arg(pcb, NULL);
    if (tcp_close(pcb) != ERR_OK)
        tcp_abort(pcb);
}

static err_t receive(void *argument, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    (void)argument;
    (void)error;
    if (!p) {
        close_pcb(pcb);
        return ERR_OK;
    }
    read_on(pcb, p->tot_len);
    if (pcb->local_port != PORT_DISCARD) {
        tcp_write(pcb, p->payload, p->len, TCP_WRITE_FLAG_COPY);
        tcp_output(pcb);
    }
    pbuf_free(p);
    return ERR_OK;
}

static err_t send_more(void *argument, struct tcp_pcb *pcb, u16_t acknowledged)
{
    struct subject *s = argument;
    (void)acknowledged;
    u16_t length = PIECE_BYTES;
    while (pcb->snd_buf > 0 && length >= pcb->mss) {
        if (length > pcb->snd_buf)
            length = (u16_t)pcb->snd_buf;
        if (tcp_write(pcb, s->piece, length, TCP_WRITE_FLAG_COPY) != ERR_OK)
            length /= 2; /* the queue has less room than that */
    }
    tcp_output(pcb);
    return ERR_OK;
}

static err_t accept_guest(void *argument, struct tcp_pcb *pcb, err_t error)
{
    if (error != ERR_OK || !pcb)
        return ERR_VAL;
    pcb->rcv_scale = WINDOW_SCALE;
    pcb->rcv_wnd = pcb->rcv_ann_wnd = WINDOW_BYTES;
    pcb->snd_buf = WINDOW_BYTES;
    tcp_nagle_disable(pcb);
    tcp_arg(pcb, argument);
    tcp_recv(pcb, receive);
    if (pcb->local_port != PORT_SOURCE)
        return ERR_OK;
    tcp_sent(pcb, send_more);
    return send_more(argument, pcb, 0);
}

static void listen_on(struct subject *s, u16_t port)
{
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb || tcp_bind(pcb, IP4_ADDR_ANY, port) != ERR_OK ||
        !(pcb = tcp_listen_with_backlog(pcb, 255))) {
        fprintf(stderr, "lwip: port %u\n", port);
        exit(EXIT_FAILURE);
    }
    tcp_arg(pcb, s);
    tcp_accept(pcb, accept_guest);
}

int main(int argc, char *argv[])
{
    static const u16_t ports[] = {PORT_ECHO, PORT_CALL, PORT_DISCARD, PORT_SOURCE};
    struct subject *s = calloc(1, sizeof(*s));
    ip4_addr_t address, mask, gateway;
    if (!s || argc != 4)
        exit(EXIT_FAILURE);
    s->fd = atoi(argv[1]);
    bool spin = strcmp(argv[3], "spin") == 0;
    IP4_ADDR(&address, 10, 7, 0, 2);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 10, 7, 0, 1);
    lwip_init();
    if (!netif_add(&s->netif, &address, &mask, &gateway, s, device_init, ip4_input))
        exit(EXIT_FAILURE);
    s->netif.mtu = (u16_t)atoi(argv[2]);
    netif_set_default(&s->netif);
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        listen_on(s, ports[i]);
    if (write(READY_FD, "", 1) != 1)
        exit(EXIT_FAILURE);
    for (;;) {
        int packets = 0;
        while (packets < BATCH && take(s))
            packets++;
        sys_check_timeouts();
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        if (packets == 0 && !spin)
            poll(&p, 1, (int)sys_timeouts_sleeptime());
    }
}
