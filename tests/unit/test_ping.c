/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lan.h"
#include "udp/ping.h"

#define ID 0xbeef

/* An echo request of the host to 10.7.0.1, identifier beef, sequence number 7, "strait", and its
 * reply; "strait" to somebody else's identifier, dead. */
#define REQUEST                                                                                    \
    "45 00 00 22 00 00 40 00 40 01 26 cb 0a 07 00 02 0a 07 00 01"                                  \
    "08 00 e9 be be ef 00 07 73 74 72 61 69 74"
#define REPLY                                                                                      \
    "45 00 00 22 12 34 00 00 40 01 54 97 0a 07 00 01 0a 07 00 02"                                  \
    "00 00 f1 be be ef 00 07 73 74 72 61 69 74"
#define REPLY_TO_ANOTHER                                                                           \
    "45 00 00 22 12 34 00 00 40 01 54 97 0a 07 00 01 0a 07 00 02"                                  \
    "00 00 d2 00 de ad 00 07 73 74 72 61 69 74"

/* What the user writes: no identifier, no checksum. */
#define MESSAGE "\x08\0\0\0\0\0\0\x07strait"

struct fixture {
    struct lan *lan;
    struct udp udp;
    struct udp_endpoint endpoint; /* speaks echo; its owner is the fixture */
    unsigned woken;
    struct address any, peer, other;
};

static void wake(void *context, void *owner)
{
    struct fixture *f = context;
    assert_ptr_equal(owner, f);
    f->woken++;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->lan = lan_new(1500, 0);
    udp_init(&f->udp, &f->lan->core, &f->lan->ip);
    ip_register_echo(&f->lan->ip, &ping_protocol, &f->udp);
    f->udp.wake = wake;
    f->udp.wake_context = f;
    ping_open(&f->udp, &f->endpoint, f);
    f->any = address_v4(INADDR_ANY);
    f->peer = address_v4(LAN_PEER);
    f->other = address_v4(LAN_PEER + 8);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    udp_close(&f->udp, &f->endpoint);
    assert_int_equal(f->lan->core.pool.used_bytes, 0);
    lan_free(f->lan);
    free(f);
    return 0;
}

static uint64_t counter(struct fixture *f, enum counter which)
{
    return f->lan->core.counters[which];
}

static void bind_id(struct fixture *f)
{
    assert_int_equal(udp_bind(&f->udp, &f->endpoint, &f->any, ID), 0);
}

static int send_bytes(struct fixture *f, const void *bytes, size_t length)
{
    struct iovec part = {(void *)bytes, length};
    return udp_send(&f->udp, &f->endpoint, &part, 1, &f->peer, 0, NULL);
}

/* Takes a message into a buffer of 64 bytes. */
static ssize_t receive(struct fixture *f, uint8_t *bytes)
{
    struct iovec part = {bytes, 64};
    return udp_receive(&f->udp, &f->endpoint, &part, 1, false, NULL);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void a_request_gets_identifier_and_checksum_rfc792(void **state)
{
    struct fixture *f = *state;
    bind_id(f);
    assert_int_equal(send_bytes(f, MESSAGE, 14), 0);
    lan_expect_hex(f->lan, REQUEST);
    assert_int_equal(send_bytes(f, "\x08\0\x12\x34\x56\x78\0\x07strait", 14), 0);
    lan_expect_hex(f->lan, REQUEST);
    assert_int_equal(counter(f, COUNTER_icmp_echo_requests_out), 2);
}

static void a_request_may_come_in_parts(void **state)
{
    struct fixture *f = *state;
    struct iovec parts[OUTGOING_PARTS_MAX + 2] = {
        {(void *)"\x08\0\0", 3}, {NULL, 0}, {(void *)"\0\0\0\0\x07st", 7}, {(void *)"rait", 4}};
    bind_id(f);
    assert_int_equal(udp_send(&f->udp, &f->endpoint, parts, 4, &f->peer, 0, NULL), 0);
    lan_expect_hex(f->lan, REQUEST);
    assert_int_equal(
        udp_send(&f->udp, &f->endpoint, parts, OUTGOING_PARTS_MAX + 2, &f->peer, 0, NULL), 0);
    lan_expect_hex(f->lan, REQUEST);
}

static void what_is_no_echo_request_is_einval(void **state)
{
    static const struct {
        const char *message;
        size_t length;
    } cases[] = {
        {"", 0},
        {"\x08\0\0\0\0\0\0", 7},
        {"\0\0\0\0\0\0\0\x07", 8},   /* a reply */
        {"\x08\x01\0\0\0\0\0\0", 8}, /* a code that there is not */
        {"\x03\x03\0\0\0\0\0\0", 8}, /* port unreachable */
        {"\x0d\0\0\0\0\0\0\0", 8},   /* timestamp */
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        errno = 0;
        assert_int_equal(send_bytes(f, cases[i].message, cases[i].length), -1);
        assert_int_equal(errno, EINVAL);
    }
    lan_expect_nothing(f->lan);
}

static void a_long_request_goes_in_fragments_and_65515_bytes_are_the_most(void **state)
{
    static uint8_t message[65516] = {8};
    struct fixture *f = *state;
    assert_int_equal(send_bytes(f, message, 1480), 0);
    assert_int_equal(f->lan->sent, 1);
    assert_int_equal(send_bytes(f, message, 1481), 0);
    assert_int_equal(f->lan->sent, 3);
    assert_int_equal(send_bytes(f, message, 65515), 0);
    assert_int_equal(f->lan->sent, 3 + 45); /* of 1480 bytes */
    assert_int_equal(send_bytes(f, message, 65516), -1);
    assert_int_equal(errno, EMSGSIZE);
}

/* ---- Identifiers ----------------------------------------------------------------------------- */

static void an_identifier_is_one_endpoint_s_and_no_port(void **state)
{
    struct fixture *f = *state;
    struct udp_endpoint second, datagrams;
    ping_open(&f->udp, &second, f);
    udp_open(&f->udp, &datagrams, f);
    second.binding.reuse_address = false;
    bind_id(f);
    assert_int_equal(udp_bind(&f->udp, &second, &f->any, ID), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(udp_bind(&f->udp, &datagrams, &f->any, ID), 0);
    udp_close(&f->udp, &second);
    udp_close(&f->udp, &datagrams);
}

static void an_identifier_is_chosen_where_none_is_bound(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send_bytes(f, MESSAGE, 14), 0);
    assert_int_not_equal(f->endpoint.binding.port, 0);
    assert_int_equal(load_be16(f->lan->bytes + 24), f->endpoint.binding.port);
}

/* ---- Replies --------------------------------------------------------------------------------- */

static void a_reply_is_received_whole(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[64];
    struct iovec part = {bytes, sizeof(bytes)};
    struct udp_arrival arrival;
    bind_id(f);
    lan_input_hex(f->lan, REPLY);
    assert_int_equal(f->woken, 1);
    assert_int_equal(udp_events(&f->endpoint), POLLIN | POLLOUT);
    assert_int_equal(udp_receive(&f->udp, &f->endpoint, &part, 1, false, &arrival), 14);
    assert_memory_equal(bytes, "\0\0\xf1\xbe\xbe\xef\0\x07strait", 14);
    assert_true(address_equal(&arrival.source, &f->peer));
    assert_true(address_equal(&arrival.destination, &f->lan->interface->address));
    assert_int_equal(arrival.source_port, 0);
    assert_int_equal(arrival.ttl, 64);
    assert_int_equal(counter(f, COUNTER_icmp_echo_replies_in), 1);
    lan_expect_nothing(f->lan);
}

static void a_reply_that_nobody_waits_for_is_dropped_in_silence(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[64];
    bind_id(f);
    lan_input_hex(f->lan, REPLY_TO_ANOTHER);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->other, 0), 0);
    lan_input_hex(f->lan, REPLY); /* of a stranger */
    assert_int_equal(receive(f, bytes), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(counter(f, COUNTER_icmp_echo_reply_unmatched), 2);
    lan_expect_nothing(f->lan);
}

static void the_queue_of_replies_is_bounded(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[64];
    bind_id(f);
    f->endpoint.queue_max_bytes = 3 * POOL_SMALL_BYTES;
    for (int i = 0; i < 5; i++)
        lan_input_hex(f->lan, REPLY);
    assert_int_equal(counter(f, COUNTER_icmp_echo_replies_in), 3);
    assert_int_equal(counter(f, COUNTER_icmp_queue_full), 2);
    assert_int_equal(counter(f, COUNTER_udp_queue_full), 0);
    assert_int_equal(receive(f, bytes), 14);
    lan_input_hex(f->lan, REPLY);
    assert_int_equal(counter(f, COUNTER_icmp_echo_replies_in), 4);
}

static void a_reply_is_dropped_when_memory_is_short(void **state)
{
    struct fixture *f = *state;
    bind_id(f);
    f->lan->core.pool.limit_bytes = 0;
    lan_input_hex(f->lan, REPLY);
    assert_int_equal(counter(f, COUNTER_icmp_memory_short), 1);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

/* Lets an ICMP error arrive that quotes the request with its ICMP type changed. */
static void input_error(struct fixture *f, uint8_t type, uint8_t code, uint8_t quoted_type)
{
    uint8_t packet[128];
    size_t length = lan_hex(packet, sizeof(packet),
                            "45 00 00 3e 12 34 00 00 40 01 54 7b 0a 07 00 01 0a 07 00 02"
                            "00 00 00 00 00 00 00 00" REQUEST);
    packet[20] = type;
    packet[21] = code;
    packet[48] = quoted_type;
    store_be16(packet + 22, (uint16_t)~lan_sum(packet + 20, length - 20));
    lan_input(f->lan, packet, length, NULL);
}

static void a_connected_endpoint_hears_of_lasting_errors_rfc1122_4_1_3_3(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[64];
    bind_id(f);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, 0), 0);
    input_error(f, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PROHIBITED, ICMP_TYPE_ECHO);
    assert_int_equal(f->woken, 1);
    assert_int_equal(receive(f, bytes), -1);
    assert_int_equal(errno, EHOSTUNREACH);
    input_error(f, ICMP_TYPE_UNREACHABLE, ICMP_CODE_HOST, ICMP_TYPE_ECHO);
    input_error(f, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_IN_TRANSIT, ICMP_TYPE_ECHO);
    assert_int_equal(receive(f, bytes), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(counter(f, COUNTER_icmp_quote_unmatched), 0);
}

static void errors_about_what_was_not_asked_are_not_told(void **state)
{
    struct fixture *f = *state;
    bind_id(f);
    input_error(f, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PROHIBITED, ICMP_TYPE_ECHO);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->other, 0), 0);
    input_error(f, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PROHIBITED, ICMP_TYPE_ECHO);
    assert_int_equal(udp_connect(&f->udp, &f->endpoint, &f->peer, 0), 0);
    input_error(f, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PROHIBITED, ICMP_TYPE_ECHO_REPLY);
    assert_int_equal(counter(f, COUNTER_icmp_quote_unmatched), 3);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT);
}

static void who_keeps_failures_hears_of_all_that_it_asked_with_what_it_asked(void **state)
{
    struct fixture *f = *state;
    struct udp_failure failure;
    uint8_t bytes[64];
    struct iovec part = {bytes, sizeof(bytes)};
    bind_id(f);
    udp_keep_failures(&f->udp, &f->endpoint, true);
    input_error(f, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_IN_TRANSIT, ICMP_TYPE_ECHO);
    assert_int_equal(udp_events(&f->endpoint), POLLOUT | POLLERR);
    assert_int_equal(udp_take_failure(&f->udp, &f->endpoint, &part, 1, &failure), 14);
    assert_memory_equal(bytes, "\x08\0\xe9\xbe\xbe\xef\0\x07strait", 14);
    assert_int_equal(failure.error, EHOSTUNREACH);
    assert_int_equal(failure.type, ICMP_TYPE_TIME_EXCEEDED);
    assert_int_equal(failure.code, ICMP_CODE_IN_TRANSIT);
    assert_int_equal(failure.port, 0);
    assert_true(address_equal(&failure.teller, &f->peer));
    assert_true(address_equal(&failure.remote, &f->peer));
    assert_int_equal(udp_events(&f->endpoint), POLLOUT);
}

static void what_no_router_may_cut_is_no_longer_than_the_mtu(void **state)
{
    static uint8_t message[1481] = {8};
    struct fixture *f = *state;
    f->endpoint.mtu_discover = IP_PMTUDISC_DO;
    assert_int_equal(send_bytes(f, message, 1480), 0);
    assert_int_equal(send_bytes(f, message, 1481), -1);
    assert_int_equal(errno, EMSGSIZE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_request_gets_identifier_and_checksum_rfc792),
        TEST(a_request_may_come_in_parts),
        TEST(what_is_no_echo_request_is_einval),
        TEST(a_long_request_goes_in_fragments_and_65515_bytes_are_the_most),
        TEST(an_identifier_is_one_endpoint_s_and_no_port),
        TEST(an_identifier_is_chosen_where_none_is_bound),
        TEST(a_reply_is_received_whole),
        TEST(a_reply_that_nobody_waits_for_is_dropped_in_silence),
        TEST(the_queue_of_replies_is_bounded),
        TEST(a_reply_is_dropped_when_memory_is_short),
        TEST(a_connected_endpoint_hears_of_lasting_errors_rfc1122_4_1_3_3),
        TEST(errors_about_what_was_not_asked_are_not_told),
        TEST(who_keeps_failures_hears_of_all_that_it_asked_with_what_it_asked),
        TEST(what_no_router_may_cut_is_no_longer_than_the_mtu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
