/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

static int take_packet(struct strait_link *link, const struct iovec *parts, int count,
                       const struct strait_offload *offload)
{
    struct lan *lan = link->upper;

    if (lan->fail_with != 0) {
        errno = lan->fail_with;
        return -1;
    }
    lan->sent++;
    lan->offload = *offload;
    lan->length = 0;
    for (int i = 0; i < count; i++) {
        assert_true(parts[i].iov_len <= LAN_PACKET_MAX - lan->length);
        if (parts[i].iov_len > 0)
            memcpy(lan->bytes + lan->length, parts[i].iov_base, parts[i].iov_len);
        lan->length += parts[i].iov_len;
    }
    return 0;
}

void lan_link(struct lan *lan, struct strait_link *link, uint32_t mtu, uint32_t features)
{
    *link = (struct strait_link){
        .size = sizeof(*link),
        .name = "lan",
        .mtu = mtu,
        .features = features,
        .fd = -1,
        .send = take_packet,
        .upper = lan,
    };
}

struct lan *lan_new(uint32_t mtu, uint32_t features)
{
    struct lan *lan = calloc(1, sizeof(*lan));
    assert_non_null(lan);
    struct strait_config *config = &lan->core.config;
    strait_config_init(config);
    config->port_first = 40000;
    config->port_last = 40099;
    config->fragments_max_bytes = 1 << 20;
    config->memory_max_bytes = 1 << 20;
    config->receive_buffer_bytes = config->udp_receive_buffer_bytes = 1 << 16;
    core_set_now(&lan->core, 1000 * NS_PER_S);
    pool_init(&lan->core.pool, lan->core.config.memory_max_bytes);
    prng_seed(&lan->core.prng, 1);
    ip_init(&lan->ip, &lan->core);
    lan_link(lan, &lan->link, mtu, features);
    lan->interface = ip_attach(&lan->ip, &lan->link, address_v4(LAN_HOST), 24);
    assert_non_null(lan->interface);
    return lan;
}

void lan_free(struct lan *lan)
{
    ip_finish(&lan->ip);
    pool_finish(&lan->core.pool);
    free(lan);
}

static unsigned hex_digit(char c)
{
    return c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
}

size_t lan_hex(uint8_t *bytes, size_t capacity, const char *hex)
{
    size_t length = 0;
    for (; *hex != '\0'; hex++) {
        if (*hex == ' ')
            continue;
        assert_non_null(strchr("0123456789abcdef", hex[0]));
        assert_true(hex[1] != '\0' && strchr("0123456789abcdef", hex[1]) != NULL);
        assert_true(length < capacity);
        bytes[length++] = (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
        hex++;
    }
    return length;
}

void lan_input(struct lan *lan, const uint8_t *packet, size_t length,
               const struct strait_offload *offload)
{
    static const struct strait_offload ordinary = {0};

    uint8_t *copy = malloc(length > 0 ? length : 1); /* the sanitizer sees a read beyond its end */
    assert_non_null(copy);
    memcpy(copy, packet, length);
    ipv4_input(&lan->ip, lan->interface, copy, length, offload != NULL ? offload : &ordinary);
    free(copy);
}

void lan_input_hex(struct lan *lan, const char *hex)
{
    uint8_t bytes[2048];
    size_t length = lan_hex(bytes, sizeof(bytes), hex);
    lan_input(lan, bytes, length, NULL);
}

void lan_expect_hex(struct lan *lan, const char *hex)
{
    uint8_t bytes[2048];
    size_t length = lan_hex(bytes, sizeof(bytes), hex);

    assert_int_equal(lan->sent, 1);
    assert_int_equal(lan->length, length);
    assert_memory_equal(lan->bytes, bytes, length);
    lan->sent = 0;
}

void lan_expect_nothing(struct lan *lan)
{
    assert_int_equal(lan->sent, 0);
}

uint16_t lan_sum(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i++) {
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

void lan_mend(uint8_t *packet)
{
    store_be16(packet + 10, 0);
    store_be16(packet + 10, (uint16_t)~lan_sum(packet, (packet[0] & 15u) * 4u));
}
