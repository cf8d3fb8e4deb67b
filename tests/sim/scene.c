/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/checksum.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

#define ISS_A UINT32_C(4294967000) /* so that numbers wrap */
#define ISS_B UINT32_C(77)

const void *scene_content(struct scene *scene, int from, uint64_t position)
{
    return check_content(scene->check, 0, (uint32_t)from, position);
}

/* Returns their length. */
static size_t make_options(const struct scene *scene, uint8_t *to, int from, const struct said *s)
{
    static const uint8_t of_syn[] = {2, 4, 0, 0, 1, 1, 4, 2}; /* MSS, SACK */
    uint32_t iss = from == A ? ISS_B : ISS_A;
    size_t count = s->blocks[1].end > 0 ? 2 : s->blocks[0].end > 0;

    if (s->flags & PACKET_SYN) {
        memcpy(to, of_syn, sizeof(of_syn));
        store_be16(to + 2, scene->mss);
        return scene->sack ? 8 : 4;
    }
    if (count == 0)
        return 0;
    to[0] = to[1] = 1;
    to[2] = 5;
    to[3] = (uint8_t)(2 + 8 * count);
    for (size_t i = 0; i < count; i++) {
        store_be32(to + 4 + 8 * i, (uint32_t)s->blocks[i].start + iss);
        store_be32(to + 8 + 8 * i, (uint32_t)s->blocks[i].end + iss);
    }
    return 4 + 8 * count;
}

size_t scene_make(struct scene *scene, uint8_t *packet, int from, const struct said *s)
{
    uint8_t *tcp = packet + 20;
    size_t header_bytes = 20 + make_options(scene, tcp + 20, from, s);

    memset(packet, 0, 40);
    packet[0] = 0x45;
    packet[1] = s->ecn;
    packet[8] = 64;
    packet[9] = IPPROTO_TCP;
    store_be32(packet + 12, 0x0a000001 + (uint32_t)from);
    store_be32(packet + 16, 0x0a000002 - (uint32_t)from);
    store_be16(tcp, from == A ? 10000 : CHECK_LISTEN_PORT);
    store_be16(tcp + 2, from == A ? CHECK_LISTEN_PORT : 10000);
    store_be32(tcp + 4, s->seq + (from == A ? ISS_A : ISS_B));
    store_be32(tcp + 8, s->flags & PACKET_ACK ? s->ack + (from == A ? ISS_B : ISS_A) : 0);
    tcp[12] = (uint8_t)(header_bytes / 4 << 4);
    tcp[13] = s->flags;
    store_be16(tcp + 14, (uint16_t)s->window);
    store_be16(tcp + 18, s->urgent);
    if (s->length > 0)
        memcpy(tcp + header_bytes, scene_content(scene, from, s->seq - 1 + s->shift), s->length);
    packet_seal(packet, 20 + header_bytes + s->length);
    return 20 + header_bytes + s->length;
}

void scene_see(struct scene *scene, int host, bool sent, int from, const struct said *s)
{
    uint8_t packet[4096];
    size_t length = scene_make(scene, packet, from, s);

    scene->now_ns += MS;
    check_packet(scene->check, scene->now_ns, (uint32_t)host, sent, packet, length, NULL);
}

void scene_sends(struct scene *scene, int from, uint8_t flags, uint32_t seq, uint32_t ack,
                 uint32_t window, uint32_t length)
{
    struct said s = {.flags = flags, .seq = seq, .ack = ack, .window = window, .length = length};

    scene_see(scene, from, true, from, &s);
}

void scene_passes(struct scene *scene, int from, uint8_t flags, uint32_t seq, uint32_t ack,
                  uint32_t window, uint32_t length)
{
    struct said s = {.flags = flags, .seq = seq, .ack = ack, .window = window, .length = length};

    scene_see(scene, from, true, from, &s);
    scene_see(scene, 1 - from, false, from, &s);
}

void scene_icmp_error(struct scene *scene, uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq)
{
    const struct said said = {.flags = PACKET_ACK, .seq = seq, .ack = 1, .length = 600};
    uint8_t quoted[4096], packet[56] = {0x45, [3] = sizeof(packet), [8] = 64, [9] = IPPROTO_ICMP};
    uint8_t *icmp = packet + 20;

    scene_make(scene, quoted, A, &said);
    icmp[0] = type;
    icmp[1] = code;
    store_be16(icmp + 6, mtu);
    memcpy(icmp + 8, quoted, 28);
    store_be16(icmp + 2, (uint16_t)~checksum_fold(checksum_add(0, icmp, 36)));
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    scene->now_ns += MS;
    check_packet(scene->check, scene->now_ns, A, false, packet, sizeof(packet), NULL);
}

struct scene *scene_open(bool sack, uint8_t asks, uint8_t agrees)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    scene->sack = sack;
    scene->mss = 500;
    scene->scenario.net.hops = 1;
    scene->scenario.hosts[A].mtu = scene->scenario.hosts[B].mtu = 1500;
    scene->scenario.connection_count = 1;
    scene->scenario.hosts[A].ecn = asks ? 1 + STRAIT_ECN_REQUEST : 0;
    scene->check = check_new(&scene->scenario);
    scene->now_ns = S;
    check_started(scene->check, scene->now_ns, 0, A);
    scene_passes(scene, A, PACKET_SYN | asks, 0, 0, WINDOW, 0);
    scene_passes(scene, B, PACKET_SYN | PACKET_ACK | agrees, 0, 1, WINDOW, 0);
    check_opened(scene->check, scene->now_ns, 0, A);
    scene_passes(scene, A, PACKET_ACK, 1, 1, WINDOW, 0);
    check_opened(scene->check, scene->now_ns, 0, B);
    return scene;
}

int scene_setup(void **state)
{
    *state = scene_open(false, 0, 0);
    return 0;
}

int scene_setup_sack(void **state)
{
    *state = scene_open(true, 0, 0);
    return 0;
}

int scene_setup_ecn(void **state)
{
    *state = scene_open(false, PACKET_ECE | PACKET_CWR, PACKET_ECE);
    return 0;
}

void scene_free(struct scene *scene)
{
    check_free(scene->check);
    free(scene);
}

int scene_teardown(void **state)
{
    scene_free(*state);
    return 0;
}

void scene_writes(struct scene *scene, int side, size_t length)
{
    check_wrote(scene->check, scene->now_ns, 0, (uint32_t)side, length);
}

void scene_reads(struct scene *scene, int side, uint64_t position, size_t length)
{
    check_read(scene->check, scene->now_ns, 0, (uint32_t)side,
               scene_content(scene, 1 - side, position), length);
}

void scene_ends(struct scene *scene, int side, enum check_ending ending)
{
    check_ended(scene->check, scene->now_ns, 0, (uint32_t)side, ending);
}

void scene_send_a_hundred(struct scene *scene)
{
    scene_writes(scene, A, 300);
    scene_passes(scene, A, PACKET_ACK, 1, 1, WINDOW, 100);
    scene_reads(scene, B, 0, 100);
    scene_passes(scene, B, PACKET_ACK, 1, 101, WINDOW, 0);
}

void scene_close_both(struct scene *scene)
{
    scene_send_a_hundred(scene);
    scene_passes(scene, A, PACKET_ACK, 101, 1, WINDOW, 200);
    scene_ends(scene, A, CHECK_SHUT);
    scene_passes(scene, A, PACKET_FIN | PACKET_ACK, 301, 1, WINDOW, 0);
    scene_reads(scene, B, 100, 200);
    check_eof(scene->check, scene->now_ns, 0, B);
    scene_ends(scene, B, CHECK_CLOSED);
    scene_passes(scene, B, PACKET_FIN | PACKET_ACK, 1, 302, WINDOW, 0);
    check_eof(scene->check, scene->now_ns, 0, A);
    scene_ends(scene, A, CHECK_CLOSED);
    scene_passes(scene, A, PACKET_ACK, 302, 2, WINDOW, 0);
}

void assert_clean(struct scene *scene)
{
    if (check_violations(scene->check) > 0)
        fail_msg("%s", check_violation(scene->check, 0));
}

void assert_found(struct scene *scene, const char *what)
{
    assert_int_equal(check_violations(scene->check), 1);
    if (!strstr(check_violation(scene->check, 0), what))
        fail_msg("\"%s\" does not say \"%s\"", check_violation(scene->check, 0), what);
}
