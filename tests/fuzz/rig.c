/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "packet.h"

/* Of dispatch and advance at one instant. */
#define TURNS_MAX 64

/* How long a stack may take to come to rest, and in how many deadlines: timeouts back off to a
 * minute and more, and there are at most 15 of them, for data and then for a probe. */
#define REST_NS        (24 * 3600 * RIG_S)
#define DEADLINES_MAX  100000
#define MEMORY_BYTES   (1u << 18)
#define BUFFER_BYTES   (1u << 15)
#define FRAGMENT_BYTES (1u << 18)

void rig_configure(struct strait_config *config)
{
    strait_config_init(config);
    memset(config->secret, 0x5a, sizeof(config->secret));
    config->sockets_max = 16;
    config->connections_max = 8;
    config->half_open_max = 4;
    config->time_wait_max = 4;
    config->orphans_max = 4;
    config->fragments_max_bytes = FRAGMENT_BYTES;
    config->memory_max_bytes = MEMORY_BYTES;
    config->send_buffer_bytes = BUFFER_BYTES;
    config->receive_buffer_bytes = BUFFER_BYTES;
}

static int link_send(struct strait_link *link, const struct iovec *parts, int count,
                     const struct strait_offload *offload)
{
    struct rig *rig = (struct rig *)(void *)((char *)link - offsetof(struct rig, link));
    size_t length = 0, copied = 0;

    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    CHECK(length > 0);
    uint8_t *packet = malloc(length);
    CHECK(packet != NULL);
    for (int i = 0; i < count; copied += parts[i].iov_len, i++)
        memcpy(packet + copied, parts[i].iov_base, parts[i].iov_len);
    packet_check(packet, length, rig->address, link->mtu, link->features, offload);
    rig->packets_out++;
    rig->bytes_out += length;
    if (rig->sent)
        rig->sent(rig, packet, length, offload);
    free(packet);
    return 0;
}

void rig_open(struct rig *rig, int number, const struct strait_config *config, uint32_t features)
{
    *rig = (struct rig){
        .address = RIG_ADDRESS + (uint32_t)number,
        .link =
            {
                .size = sizeof(rig->link),
                .name = "fuzz",
                .mtu = RIG_MTU,
                .features = features,
                .fd = -1,
                .send = link_send,
            },
    };
    rig->stack = strait_new(config, NULL);
    CHECK(rig->stack != NULL);
    struct in_addr address = {.s_addr = htonl(rig->address)};
    CHECK(strait_attach(rig->stack, &rig->link, address, 24) == 0);
    strait_advance(rig->stack, RIG_START); /* tells it the time */
}

void rig_input(struct rig *rig, const void *packet, size_t length,
               const struct strait_offload *offload, uint64_t now_ns)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);

    CHECK(copy != NULL);
    if (length > 0)
        memcpy(copy, packet, length);
    rig->packets_in++;
    rig->bytes_in += length;
    strait_input(rig->stack, &rig->link, copy, length, offload, now_ns);
    free(copy);
}

uint64_t rig_turn(struct rig *rig, uint64_t now_ns)
{
    uint64_t deadline_ns;
    int turns = 0;

    do {
        CHECK(++turns <= TURNS_MAX);
        strait_dispatch(rig->stack);
        deadline_ns = strait_advance(rig->stack, now_ns);
    } while (deadline_ns <= now_ns);
    return deadline_ns;
}

void rig_pass(struct rig *rig, uint64_t *now_ns, uint64_t duration_ns)
{
    uint64_t end_ns = *now_ns + duration_ns;
    int deadlines = 0;

    while (*now_ns < end_ns) {
        uint64_t next_ns = rig_turn(rig, *now_ns);
        *now_ns = next_ns < end_ns ? next_ns : end_ns;
        CHECK(++deadlines <= DEADLINES_MAX);
    }
    rig_turn(rig, *now_ns);
}

void rig_rest(struct rig *rig, uint64_t *now_ns)
{
    uint64_t end_ns = *now_ns + REST_NS, next_ns;
    int deadlines = 0;

    while ((next_ns = rig_turn(rig, *now_ns)) != STRAIT_NEVER) {
        *now_ns = next_ns;
        CHECK(*now_ns < end_ns);
        CHECK(++deadlines <= DEADLINES_MAX);
    }
    CHECK(strait_connections(rig->stack) == 0);
    CHECK(strait_memory(rig->stack) == 0);
    rig_close(rig);
}

static void visit_counter(void *context, const char *name, uint64_t value)
{
    const struct rig *rig = context;

    if (strcmp(name, "link_packets_in") == 0)
        CHECK(value == rig->packets_in);
    else if (strcmp(name, "link_bytes_in") == 0)
        CHECK(value == rig->bytes_in);
    else if (strcmp(name, "link_packets_out") == 0)
        CHECK(value == rig->packets_out);
    else if (strcmp(name, "link_bytes_out") == 0)
        CHECK(value == rig->bytes_out);
    else if (strcmp(name, "link_send_failed") == 0)
        CHECK(value == 0);
}

void rig_close(struct rig *rig)
{
    uint64_t packets_out = rig->packets_out;

    strait_counters(rig->stack, visit_counter, rig);
    strait_free(rig->stack);
    CHECK(rig->packets_out == packets_out); /* it ends without a word */
}

struct sockaddr_in rig_sockaddr(uint32_t address, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(address)}};
}
