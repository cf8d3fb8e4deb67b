/* SPDX-License-Identifier: MIT */
/* The host as its driver sees it: through nothing but strait.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lan.h"
#include "stack_counter.h"
#include "strait.h"

#define DATAGRAM_BYTES 33 /* of LAN_DATAGRAM_IN */

#define SECOND UINT64_C(1000000000)

struct fixture {
    struct strait *stack;
    struct strait_link link;
    unsigned sent;
};

static int take_packet(struct strait_link *link, const struct iovec *parts, int count,
                       const struct strait_offload *offload)
{
    struct fixture *f = (struct fixture *)((char *)link - offsetof(struct fixture, link));
    (void)parts, (void)count, (void)offload;
    f->sent++;
    return 0;
}

static struct in_addr in(uint32_t address)
{
    return (struct in_addr){htonl(address)};
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct strait_config config;
    assert_non_null(f);
    strait_config_init(&config);
    f->stack = strait_new(&config, NULL);
    assert_non_null(f->stack);
    f->link = (struct strait_link){
        .size = sizeof(f->link), .name = "test", .mtu = 1500, .fd = -1, .send = take_packet};
    assert_int_equal(strait_attach(f->stack, &f->link, in(LAN_HOST), 24), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    strait_free(f->stack);
    free(f);
    return 0;
}

static uint64_t counter(struct fixture *f, const char *name)
{
    return stack_counter(f->stack, name);
}

static void input(struct fixture *f, uint64_t now_ns)
{
    uint8_t packet[DATAGRAM_BYTES];
    lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);
    strait_input(f->stack, &f->link, packet, sizeof(packet), NULL, now_ns);
}

/* ---- Configuration --------------------------------------------------------------------------- */

/* Whether a host can be made of the configuration; if not, errno says EINVAL. */
static bool is_taken(const struct strait_config *config)
{
    errno = 0;
    struct strait *s = strait_new(config, NULL);
    if (s == NULL) {
        assert_int_equal(errno, EINVAL);
        return false;
    }
    strait_free(s);
    return true;
}

#define REFUSED_WITH(field, number)                                                                \
    do {                                                                                           \
        struct strait_config config;                                                               \
        strait_config_init(&config);                                                               \
        config.field = (number);                                                                   \
        assert_false(is_taken(&config));                                                           \
    } while (0)

static void a_configuration_out_of_range_is_refused(void **state)
{
    (void)state;
    REFUSED_WITH(size, 0);
    REFUSED_WITH(size, sizeof(size_t) - 1);
    REFUSED_WITH(port_first, 0);
    REFUSED_WITH(port_last, 32767);
    REFUSED_WITH(descriptor_base, -1);
    REFUSED_WITH(descriptor_base, INT_MAX);
    REFUSED_WITH(sockets_max, 0);
    REFUSED_WITH(sockets_max, UINT32_MAX);
    REFUSED_WITH(connections_max, 0);
    REFUSED_WITH(half_open_max, 0);
    REFUSED_WITH(memory_max_bytes, 65535);
    REFUSED_WITH(send_buffer_bytes, 0);
    REFUSED_WITH(send_buffer_bytes, (UINT32_C(1) << 30) + 1);
    REFUSED_WITH(receive_buffer_bytes, 0);
    REFUSED_WITH(receive_buffer_bytes, (UINT32_C(1) << 30) + 1);
}

static void the_defaults_are_taken(void **state)
{
    (void)state;
    struct strait_config config;
    static const uint8_t zeros[16];

    memset(&config, 0xff, sizeof(config));
    strait_config_init(&config);
    assert_int_equal(config.size, sizeof(config));
    assert_memory_equal(config.secret, zeros, sizeof(zeros));
    assert_int_equal(config.port_first, 32768);
    assert_int_equal(config.port_last, 60999);
    assert_int_equal(config.descriptor_base, 1048576);
    assert_int_equal(config.log_categories, 0);
    assert_null(config.log);
    assert_true(is_taken(&config));
}

static void an_older_configuration_leaves_the_rest_to_the_defaults(void **state)
{
    (void)state;
    struct strait_config config;

    strait_config_init(&config);
    memset(&config.descriptor_base, 0xff,
           sizeof(config) - offsetof(struct strait_config, descriptor_base));
    assert_false(is_taken(&config));
    config.size = offsetof(struct strait_config, descriptor_base);
    struct strait *s = strait_new(&config, NULL);
    assert_non_null(s);
    assert_true(strait_socket(s, AF_INET, SOCK_DGRAM, 0) >= 1 << 20);
    strait_free(s);
}

static void a_newer_configuration_is_read_as_far_as_it_is_known(void **state)
{
    (void)state;
    struct {
        struct strait_config known;
        uint8_t unknown[64];
    } newer;

    strait_config_init(&newer.known);
    memset(newer.unknown, 0xff, sizeof(newer.unknown));
    newer.known.size = sizeof(newer);
    assert_true(is_taken(&newer.known));
}

/* ---- Links ----------------------------------------------------------------------------------- */

static void a_link_is_attached_once_and_with_an_address_that_can_be(void **state)
{
    struct fixture *f = *state;
    struct strait_link other = f->link;

    assert_int_equal(strait_attach(f->stack, &f->link, in(0x14000001), 24), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(strait_attach(f->stack, &other, in(INADDR_LOOPBACK), 8), -1);
    assert_int_equal(errno, EINVAL);
    other.mtu = 67;
    assert_int_equal(strait_attach(f->stack, &other, in(0x14000001), 24), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(strait_route(f->stack, in(0x14000000), 8, &other), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(strait_route(f->stack, in(0x14000000), 8, &f->link), 0);
}

static void a_packet_comes_in_through_the_links_receive(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[DATAGRAM_BYTES];
    lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);

    f->link.receive(&f->link, packet, sizeof(packet), NULL, SECOND);
    assert_int_equal(counter(f, "link_packets_in"), 1);
    assert_int_equal(counter(f, "link_bytes_in"), DATAGRAM_BYTES);
    assert_int_equal(counter(f, "udp_no_socket"), 1);
    assert_int_equal(f->sent, 1); /* port unreachable */
}

static void a_packet_of_a_strange_link_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct strait_link strange = f->link;
    uint8_t packet[DATAGRAM_BYTES];
    lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);

    strait_input(f->stack, &strange, packet, sizeof(packet), NULL, SECOND);
    assert_int_equal(counter(f, "link_unknown"), 1);
    assert_int_equal(counter(f, "link_packets_in"), 0);
    assert_int_equal(f->sent, 0);
}

static void what_is_not_ipv4_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[DATAGRAM_BYTES];
    lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);

    strait_input(f->stack, &f->link, packet, 0, NULL, SECOND);
    for (unsigned version = 0; version < 16; version++) {
        packet[0] = (uint8_t)(version << 4 | 5);
        if (version != 4)
            strait_input(f->stack, &f->link, packet, sizeof(packet), NULL, SECOND);
    }
    assert_int_equal(counter(f, "ip_version_unknown"), 16);
    assert_int_equal(counter(f, "udp_no_socket"), 0);
    assert_int_equal(f->sent, 0);
}

static void a_link_may_go_on_when_its_host_has_gone(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[DATAGRAM_BYTES];
    lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);

    strait_free(f->stack);
    f->stack = NULL;
    f->link.receive(&f->link, packet, sizeof(packet), NULL, SECOND);
    assert_int_equal(f->sent, 0);
}

/* ---- A driver's turn ------------------------------------------------------------------------- */

static void an_idle_host_has_no_deadline(void **state)
{
    struct fixture *f = *state;
    assert_true(strait_advance(f->stack, SECOND) == STRAIT_NEVER);
    assert_int_equal(strait_dispatch(f->stack), 0);
}

static void time_never_goes_back(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 200; i++)
        input(f, 100 * SECOND);
    unsigned burst = f->sent; /* of ICMP errors, which are limited by the time */
    assert_true(burst < 100);
    strait_advance(f->stack, 98 * SECOND);
    input(f, 99 * SECOND);
    assert_int_equal(f->sent, burst);
    input(f, 101 * SECOND);
    assert_int_equal(f->sent, burst + 1);
}

static void count_call(void *argument, int fd, short events)
{
    (void)fd, (void)events;
    ++*(unsigned *)argument;
}

static void callbacks_run_from_dispatch_and_are_due_at_once(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in seven = {.sin_family = AF_INET, .sin_port = htons(7)};
    unsigned calls = 0;
    char bytes[8];

    int fd = strait_socket(f->stack, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(strait_bind(f->stack, fd, (struct sockaddr *)&seven, sizeof(seven)), 0);
    assert_int_equal(strait_watch(f->stack, fd, POLLIN, count_call, &calls), 0);
    strait_dispatch(f->stack);
    assert_int_equal(calls, 0);

    input(f, SECOND);
    assert_int_equal(calls, 0);
    assert_true(strait_advance(f->stack, 2 * SECOND) == 2 * SECOND);
    assert_int_equal(calls, 0);
    assert_int_equal(strait_dispatch(f->stack), 1);
    assert_int_equal(calls, 1);
    assert_int_equal(strait_recv(f->stack, fd, bytes, sizeof(bytes), 0), 5);
    strait_dispatch(f->stack);
    assert_int_equal(calls, 1);
    assert_true(strait_advance(f->stack, 2 * SECOND) == STRAIT_NEVER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_out_of_range_is_refused),
        cmocka_unit_test(the_defaults_are_taken),
        cmocka_unit_test(an_older_configuration_leaves_the_rest_to_the_defaults),
        cmocka_unit_test(a_newer_configuration_is_read_as_far_as_it_is_known),
        TEST(a_link_is_attached_once_and_with_an_address_that_can_be),
        TEST(a_packet_comes_in_through_the_links_receive),
        TEST(a_packet_of_a_strange_link_is_dropped),
        TEST(what_is_not_ipv4_is_dropped),
        TEST(a_link_may_go_on_when_its_host_has_gone),
        TEST(an_idle_host_has_no_deadline),
        TEST(time_never_goes_back),
        TEST(callbacks_run_from_dispatch_and_are_due_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
