/* SPDX-License-Identifier: MIT */
#include "udp_lan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"

static void wake(void *context, void *owner)
{
    struct udp_lan *f = context;
    assert_ptr_equal(owner, f);
    f->woken++;
}

static int setup_with(void **state, uint32_t mtu)
{
    struct udp_lan *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->lan = lan_new(mtu, 0);
    udp_init(&f->udp, &f->lan->core, &f->lan->ip);
    ip_register(&f->lan->ip, IPPROTO_UDP, &udp_protocol, &f->udp);
    f->udp.wake = wake;
    f->udp.wake_context = f;
    udp_open(&f->udp, &f->endpoint, f);
    f->any = address_v4(INADDR_ANY);
    f->host = address_v4(LAN_HOST);
    f->peer = address_v4(LAN_PEER);
    f->other = address_v4(LAN_PEER + 8);
    *state = f;
    return 0;
}

int udp_lan_setup(void **state)
{
    return setup_with(state, 1500);
}

int udp_lan_setup_jumbo(void **state)
{
    return setup_with(state, 65535);
}

int udp_lan_teardown(void **state)
{
    struct udp_lan *f = *state;
    udp_close(&f->udp, &f->endpoint);
    assert_int_equal(f->lan->core.pool.used_bytes, 0);
    lan_free(f->lan);
    free(f);
    return 0;
}

uint64_t udp_lan_counter(struct udp_lan *f, enum counter which)
{
    return f->lan->core.counters[which];
}

void udp_lan_bind(struct udp_lan *f, uint16_t port)
{
    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->any, port), 0);
}

size_t udp_lan_write(uint8_t *packet, uint32_t source, uint16_t source_port,
                     uint16_t destination_port, size_t length)
{
    lan_hex(packet, 20, "45 00 00 00 12 34 00 00 40 11 00 00 0a 07 00 01 0a 07 00 02");
    store_be16(packet + 2, (uint16_t)(28 + length));
    store_be32(packet + 12, source);
    lan_mend(packet);
    store_be16(packet + 20, source_port);
    store_be16(packet + 22, destination_port);
    store_be16(packet + 24, (uint16_t)(8 + length));
    memset(packet + 26, 0, 2 + length);
    return 28 + length;
}

void udp_lan_input(struct udp_lan *f, uint32_t source, uint16_t source_port, uint16_t port,
                   size_t length)
{
    static uint8_t packet[65535];
    size_t bytes = udp_lan_write(packet, source, source_port, port, length);
    lan_input(f->lan, packet, bytes, NULL);
}

ssize_t udp_lan_receive(struct udp_lan *f, char *bytes)
{
    struct iovec part = {bytes, 64};
    return udp_receive(&f->udp, &f->endpoint, &part, 1, false, NULL);
}

void udp_lan_expect_empty(struct udp_lan *f)
{
    char bytes[64];
    assert_int_equal(udp_lan_receive(f, bytes), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(f->endpoint.queued_bytes, 0);
}

int udp_lan_send(struct udp_lan *f, const char *text, const struct address *to, uint16_t port)
{
    struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    return udp_send(&f->udp, &f->endpoint, &part, 1, to, port, NULL);
}
