/* SPDX-License-Identifier: MIT */
#include "socket/control.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <string.h>

/* ---- Reading ---- */

/* A piece of control data: its header and what follows it. */
struct piece {
    const uint8_t *data;
    size_t length;         /* of the data */
    struct cmsghdr header; /* at the end, for it is of no fixed size */
};

/*
 * Takes the piece at `*at`. Returns 1, 0 at the end, or -1 with errno EINVAL: a length that nothing
 * has, or that is longer than what is left.
 */
static int next_piece(const struct msghdr *message, size_t *at, struct piece *p)
{
    const uint8_t *control = message->msg_control;
    size_t left = message->msg_controllen > *at ? message->msg_controllen - *at : 0;
    if (left < sizeof(p->header))
        return 0;
    memcpy(&p->header, control + *at, sizeof(p->header));
    if (p->header.cmsg_len < sizeof(p->header) || p->header.cmsg_len > left) {
        errno = EINVAL;
        return -1;
    }
    p->data = control + *at + sizeof(p->header);
    p->length = p->header.cmsg_len - sizeof(p->header);
    *at += CMSG_ALIGN(p->header.cmsg_len);
    return 1;
}

static int read_pktinfo(const struct piece *p, struct udp_terms *terms)
{
    struct in_pktinfo info;
    if (p->length != sizeof(info))
        return -1;
    memcpy(&info, p->data, sizeof(info));
    terms->interface = (unsigned)info.ipi_ifindex;
    terms->source = address_from_in(info.ipi_spec_dst);
    return 0;
}

/* A number in the given range. */
static int read_number(const struct piece *p, int least, int most, int *number)
{
    int value;
    if (p->length != sizeof(value))
        return -1;
    memcpy(&value, p->data, sizeof(value));
    if (value < least || value > most)
        return -1;
    *number = value;
    return 0;
}

static int read_tos(const struct piece *p, struct udp_terms *terms)
{
    if (p->length != sizeof(uint8_t))
        return read_number(p, 0, UINT8_MAX, &terms->tos);
    terms->tos = *p->data;
    return 0;
}

static int read_piece(const struct piece *p, struct udp_terms *terms)
{
    if (p->header.cmsg_level == SOL_SOCKET || p->header.cmsg_level == IPPROTO_UDP)
        return -1;
    if (p->header.cmsg_level != IPPROTO_IP)
        return 0; /* as Linux: what is meant for others */
    switch (p->header.cmsg_type) {
    case IP_PKTINFO:
        return read_pktinfo(p, terms);
    case IP_TTL:
        return read_number(p, 1, UINT8_MAX, &terms->ttl);
    case IP_TOS:
        return read_tos(p, terms);
    default:
        return -1;
    }
}

/* `terms` NULL: for a stream, which takes what is meant for IP as Linux does, without effect. */
static int read_all(const struct msghdr *message, struct udp_terms *terms)
{
    struct piece p;
    size_t at = 0;
    int more;
    if (message->msg_controllen > 0 && !message->msg_control) {
        errno = EFAULT;
        return -1;
    }
    while ((more = next_piece(message, &at, &p)) > 0) {
        int refused = terms ? read_piece(&p, terms) : -(p.header.cmsg_level == SOL_SOCKET);
        if (refused) {
            errno = EINVAL;
            return -1;
        }
    }
    return more;
}

int control_read(const struct msghdr *message, struct udp_terms *terms)
{
    *terms = (struct udp_terms){
        .source = address_v4(INADDR_ANY),
        .ttl = UDP_TERM_NONE,
        .tos = UDP_TERM_NONE,
    };
    return read_all(message, terms);
}

int control_check(const struct msghdr *message)
{
    return read_all(message, NULL);
}

/* ---- Writing ---- */

/* Appends a piece of the level IPPROTO_IP, or as much of it as there is room for. */
static void put(struct control *c, int type, const void *data, size_t length)
{
    struct msghdr *m = c->message;
    uint8_t *at = (uint8_t *)m->msg_control + c->used;
    size_t left = m->msg_control ? m->msg_controllen - c->used : 0;
    struct cmsghdr header = {
        .cmsg_level = IPPROTO_IP,
        .cmsg_type = type,
        .cmsg_len = CMSG_LEN(length),
    };
    if (left < header.cmsg_len)
        m->msg_flags |= MSG_CTRUNC;
    if (left < sizeof(header))
        return;
    if (left < header.cmsg_len)
        header.cmsg_len = left;
    memcpy(at, &header, sizeof(header));
    memcpy(at + sizeof(header), data, header.cmsg_len - sizeof(header));
    c->used += CMSG_SPACE(length) < left ? CMSG_SPACE(length) : left;
}

/* The host's address that the datagram was for: one of its own, if it was sent to everybody. */
static struct address own_address(const struct ip *ip, const struct udp_arrival *arrival)
{
    const struct interface *all = ip->interfaces;
    for (int i = 0; i < ip->interface_count; i++)
        if (ip_interface_number(ip, &all[i]) == arrival->interface &&
            !ip_is_own(ip, &arrival->destination))
            return all[i].address;
    return arrival->destination;
}

void control_write_arrival(struct control *c, const struct socket *s, const struct ip *ip,
                           const struct udp_arrival *arrival)
{
    if (s->options->wants_pktinfo) {
        struct address own = own_address(ip, arrival);
        struct in_pktinfo info = {
            .ipi_ifindex = arrival->interface,
            .ipi_spec_dst = address_to_in(&own),
            .ipi_addr = address_to_in(&arrival->destination),
        };
        put(c, IP_PKTINFO, &info, sizeof(info));
    }
    if (s->options->wants_ttl) {
        int ttl = arrival->ttl;
        put(c, IP_TTL, &ttl, sizeof(ttl));
    }
    if (s->options->wants_tos)
        put(c, IP_TOS, &arrival->tos, sizeof(arrival->tos));
}

void control_write_failure(struct control *c, const struct udp_failure *failure)
{
    struct {
        struct sock_extended_err error;
        struct sockaddr_in offender;
    } report = {
        .error =
            {
                .ee_errno = (uint32_t)failure->error,
                .ee_origin = failure->by_icmp ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_LOCAL,
                .ee_type = failure->type,
                .ee_code = failure->code,
                .ee_info = failure->mtu,
            },
    };
    if (failure->by_icmp) {
        report.offender.sin_family = AF_INET;
        report.offender.sin_addr = address_to_in(&failure->teller);
    }
    put(c, IP_RECVERR, &report, sizeof(report));
}
