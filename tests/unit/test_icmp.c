/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lan.h"

/* An echo request, identifier beef, sequence number 7, "strait", and its reply. */
#define ECHO                                                                                       \
    "45 00 00 22 12 34 00 00 40 01 54 97 0a 07 00 01 0a 07 00 02"                                  \
    "08 00 e9 be be ef 00 07 73 74 72 61 69 74"
#define ECHO_REPLY                                                                                 \
    "45 00 00 22 00 00 40 00 40 01 26 cb 0a 07 00 02 0a 07 00 01"                                  \
    "00 00 f1 be be ef 00 07 73 74 72 61 69 74"

struct fixture {
    struct lan *lan;
    unsigned errors; /* told about UDP */
    struct ip_error last;
    uint8_t quote[64];
};

/* A transport at which no port is open. */
static void refuse(void *self, const struct ip_packet *packet)
{
    struct fixture *f = self;
    icmp_error(&f->lan->ip, packet, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PORT);
}

static void record_error(void *self, const struct ip_error *error)
{
    struct fixture *f = self;
    f->errors++;
    f->last = *error;
    assert_true(error->quote_bytes <= sizeof(f->quote));
    memcpy(f->quote, error->quote, error->quote_bytes);
}

static const struct ip_protocol transport = {.input = refuse, .error = record_error};

static int setup_with(void **state, uint32_t mtu)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->lan = lan_new(mtu, 0);
    ip_register(&f->lan->ip, IPPROTO_UDP, &transport, f);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 1500);
}

static int setup_jumbo(void **state)
{
    return setup_with(state, 65535);
}

static int setup_tiny(void **state)
{
    return setup_with(state, 68);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    lan_free(f->lan);
    free(f);
    return 0;
}

static uint64_t counter(struct fixture *f, enum counter which)
{
    return f->lan->core.counters[which];
}

/* Makes the checksum of an ICMP message right. */
static void mend_icmp(uint8_t *message, size_t length)
{
    store_be16(message + 2, 0);
    store_be16(message + 2, (uint16_t)~lan_sum(message, length));
}

/* Lets an IPv4 packet without options arrive whose payload is that of the hex. */
static void input_icmp(struct fixture *f, uint32_t destination, const uint8_t *message,
                       size_t length)
{
    static uint8_t packet[65535];
    lan_hex(packet, 20, "45 00 00 00 12 34 00 00 40 01 00 00 0a 07 00 01 0a 07 00 02");
    store_be16(packet + 2, (uint16_t)(20 + length));
    store_be32(packet + 16, destination);
    lan_mend(packet);
    memcpy(packet + 20, message, length);
    lan_input(f->lan, packet, 20 + length, NULL);
}

/* ---- Echo ------------------------------------------------------------------------------------ */

static void an_echo_request_is_answered_rfc1122_3_2_2_6(void **state)
{
    struct fixture *f = *state;
    lan_input_hex(f->lan, ECHO);
    lan_expect_hex(f->lan, ECHO_REPLY);
    assert_int_equal(counter(f, COUNTER_icmp_echo_answered), 1);
}

static void an_empty_echo_request_is_answered(void **state)
{
    struct fixture *f = *state;
    lan_input_hex(f->lan, "45 00 00 1c 12 34 00 00 40 01 54 9d 0a 07 00 01 0a 07 00 02"
                          "08 00 f7 ff 00 00 00 00");
    lan_expect_hex(f->lan, "45 00 00 1c 00 00 40 00 40 01 26 d1 0a 07 00 02 0a 07 00 01"
                           "00 00 ff ff 00 00 00 00");
}

static void an_echo_request_of_every_length_is_answered_with_its_data(void **state)
{
    struct fixture *f = *state;
    static uint8_t message[65515];

    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t length = 8; length <= sizeof(message); length += length < 70 ? 1 : 5035) {
        message[0] = 8;
        message[1] = 0;
        mend_icmp(message, length);
        f->lan->sent = 0;
        input_icmp(f, LAN_HOST, message, length);
        assert_int_equal(f->lan->sent, 1);
        assert_int_equal(f->lan->length, 20 + length);
        assert_int_equal(f->lan->bytes[20], 0);
        assert_int_equal(lan_sum(f->lan->bytes + 20, length), 0xffff);
        assert_memory_equal(f->lan->bytes + 24, message + 4, length - 4);
    }
}

static void a_reply_above_the_mtu_is_sent_in_fragments(void **state)
{
    struct fixture *f = *state;
    static uint8_t message[1481] = {8};

    mend_icmp(message, 1480);
    input_icmp(f, LAN_HOST, message, 1480);
    assert_int_equal(f->lan->sent, 1);
    mend_icmp(message, 1481);
    input_icmp(f, LAN_HOST, message, 1481);
    assert_int_equal(f->lan->sent, 1 + 2);
    assert_int_equal(f->lan->length, 21);
    assert_int_equal(counter(f, COUNTER_icmp_echo_answered), 2);
}

/* Too long for a path that the host knows nothing of: the router there may cut it. */
static void a_long_reply_has_no_df(void **state)
{
    struct fixture *f = *state;
    static uint8_t message[533] = {8};

    mend_icmp(message, 532);
    input_icmp(f, LAN_HOST, message, 532);
    assert_int_equal(load_be16(f->lan->bytes + 6), 0x4000);
    mend_icmp(message, 533);
    input_icmp(f, LAN_HOST, message, 533);
    assert_int_equal(f->lan->length, 553);
    assert_int_equal(load_be16(f->lan->bytes + 6), 0);
}

static void a_reply_has_the_tos_of_the_request_without_ecn(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    size_t length = lan_hex(packet, sizeof(packet), ECHO);
    packet[1] = 0xb9;
    lan_mend(packet);
    lan_input(f->lan, packet, length, NULL);
    assert_int_equal(f->lan->sent, 1);
    assert_int_equal(f->lan->bytes[1], 0xb8);
}

static void a_broadcast_echo_request_is_ignored_rfc1122_3_2_2_6(void **state)
{
    struct fixture *f = *state;
    uint8_t message[8] = {8};

    mend_icmp(message, sizeof(message));
    input_icmp(f, INADDR_BROADCAST, message, sizeof(message));
    input_icmp(f, 0x0a0700ff, message, sizeof(message));
    lan_expect_nothing(f->lan);
    assert_int_equal(counter(f, COUNTER_icmp_broadcast_ignored), 2);
}

static void a_message_cut_short_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t message[8] = {8};

    for (size_t length = 0; length < sizeof(message); length++)
        input_icmp(f, LAN_HOST, message, length);
    lan_expect_nothing(f->lan);
    assert_int_equal(counter(f, COUNTER_icmp_short), 8);
}

static void a_wrong_checksum_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    size_t length = lan_hex(packet, sizeof(packet), ECHO);

    for (size_t at = 20; at < length; at++) {
        packet[at] ^= 1;
        lan_input(f->lan, packet, length, NULL);
        packet[at] ^= 1;
    }
    lan_expect_nothing(f->lan);
    assert_int_equal(counter(f, COUNTER_icmp_checksum_wrong), length - 20);
}

static void other_messages_are_ignored_and_counted(void **state)
{
    static const uint8_t types[] = {4, 5, 9, 10, 13, 15, 17, 41, 255};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(types); i++) {
        uint8_t message[36] = {types[i]};
        mend_icmp(message, sizeof(message));
        input_icmp(f, LAN_HOST, message, sizeof(message));
    }
    lan_expect_nothing(f->lan);
    assert_int_equal(f->errors, 0);
    assert_int_equal(counter(f, COUNTER_icmp_type_ignored), sizeof(types));
}

/* ---- Errors in ------------------------------------------------------------------------------- */

static void an_error_is_told_to_the_transport_rfc1122_3_2_2(void **state)
{
    struct fixture *f = *state;

    lan_input_hex(f->lan, "45 00 00 3d 12 34 00 00 40 01 54 7c 0a 07 00 01 0a 07 00 02"
                          "03 03 11 2c 00 00 00 00" LAN_DATAGRAM_OUT);
    assert_int_equal(f->errors, 1);
    assert_int_equal(f->last.type, 3);
    assert_int_equal(f->last.code, 3);
    assert_int_equal(f->last.mtu, 0);
    assert_int_equal(address_to_v4(&f->last.local), LAN_HOST);
    assert_int_equal(address_to_v4(&f->last.remote), LAN_PEER);
    assert_int_equal(f->last.quote_bytes, 13);
    assert_int_equal(load_be16(f->quote), 7);
    assert_int_equal(load_be16(f->quote + 2), 40000);
    assert_int_equal(counter(f, COUNTER_icmp_errors_in), 1);
    lan_expect_nothing(f->lan);
}

static void fragmentation_needed_tells_the_next_mtu_rfc1191_4(void **state)
{
    struct fixture *f = *state;

    lan_input_hex(f->lan, "45 00 00 38 12 34 00 00 40 01 54 81 0a 07 00 01 0a 07 00 02"
                          "03 04 52 bd 00 00 02 40 45 00 00 21 00 00 40 00 40 11 26 bc"
                          "0a 07 00 02 0a 07 00 01 00 07 9c 40 00 0d 0b aa");
    assert_int_equal(f->errors, 1);
    assert_int_equal(f->last.code, 4);
    assert_int_equal(f->last.mtu, 576);
    assert_int_equal(f->last.quote_bytes, 8);
}

/* Lets an error arrive that quotes LAN_DATAGRAM_OUT, its byte `at` changed, cut to `quoted` bytes.
 */
static void input_error(struct fixture *f, uint8_t type, size_t at, uint8_t value, size_t quoted)
{
    uint8_t message[8 + 64] = {type, 0, 0, 0, 0, 0, 5, 0};
    lan_hex(message + 8, 64, LAN_DATAGRAM_OUT);
    message[8 + at] = value;
    mend_icmp(message, 8 + quoted);
    input_icmp(f, LAN_HOST, message, 8 + quoted);
}

static void the_three_errors_of_a_host_are_told(void **state)
{
    static const uint8_t types[] = {3, 11, 12};
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof(types); i++) {
        input_error(f, types[i], 0, 0x45, 33);
        assert_int_equal(f->errors, i + 1);
        assert_int_equal(f->last.type, types[i]);
        assert_int_equal(f->last.mtu, 0);
    }
}

static void options_of_the_quoted_header_are_skipped(void **state)
{
    struct fixture *f = *state;

    input_error(f, 3, 0, 0x46, 32); /* 24 bytes of header, and 8 */
    assert_int_equal(f->errors, 1);
    assert_int_equal(f->last.quote_bytes, 8);
    assert_int_equal(load_be16(f->quote), 0x000d);
}

static void a_quote_that_cannot_be_ours_is_dropped(void **state)
{
    struct fixture *f = *state;

    for (size_t quoted = 0; quoted < 28; quoted++)
        input_error(f, 3, 0, 0x45, quoted); /* too short */
    input_error(f, 3, 0, 0x65, 33);         /* IPv6 */
    input_error(f, 3, 0, 0x44, 33);         /* a header of 16 bytes */
    input_error(f, 3, 0, 0x4f, 33);         /* a header longer than the quote */
    input_error(f, 3, 0, 0x47, 33);         /* 5 bytes behind the header */
    input_error(f, 3, 7, 0x01, 33);         /* a later fragment */
    input_error(f, 3, 15, 0x03, 33);        /* from somebody else */
    input_error(f, 3, 9, 0xfd, 33);         /* of a protocol that is not spoken here */
    input_error(f, 3, 3, 0x1b, 33);         /* a packet of 27 bytes */
    input_error(f, 3, 19, 0x02, 33);        /* a packet that never left this host */
    assert_int_equal(f->errors, 0);
    assert_int_equal(counter(f, COUNTER_icmp_quote_wrong), 28 + 9);
    assert_int_equal(counter(f, COUNTER_icmp_errors_in), 0);
    lan_expect_nothing(f->lan);
}

static void an_error_sent_to_all_is_ignored(void **state)
{
    struct fixture *f = *state;
    uint8_t message[8 + 33] = {3, 3};

    lan_hex(message + 8, 33, LAN_DATAGRAM_OUT);
    mend_icmp(message, sizeof(message));
    input_icmp(f, INADDR_BROADCAST, message, sizeof(message));
    assert_int_equal(f->errors, 0);
    assert_int_equal(counter(f, COUNTER_icmp_broadcast_ignored), 1);
}

/* ---- Errors made ----------------------------------------------------------------------------- */

static void an_error_quotes_the_packet_rfc1122_3_2_2(void **state)
{
    struct fixture *f = *state;

    lan_input_hex(f->lan, LAN_DATAGRAM_IN);
    lan_expect_hex(f->lan, "45 00 00 3d 00 00 40 00 40 01 26 b0 0a 07 00 02 0a 07 00 01"
                           "03 03 11 2c 00 00 00 00" LAN_DATAGRAM_IN);
    assert_int_equal(counter(f, COUNTER_icmp_errors_out), 1);
}

/* Lets a datagram of `length` bytes, IP header included, arrive from the peer. */
static void input_long(struct fixture *f, size_t length)
{
    uint8_t packet[1500] = {0};
    lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);
    store_be16(packet + 2, (uint16_t)length);
    lan_mend(packet);
    lan_input(f->lan, packet, length, NULL);
}

static void an_error_is_at_most_576_bytes_long_rfc1812_4_3_2_3(void **state)
{
    struct fixture *f = *state;

    input_long(f, 548);
    assert_int_equal(f->lan->length, 576);
    input_long(f, 549);
    assert_int_equal(f->lan->length, 576);
    input_long(f, 1500);
    assert_int_equal(f->lan->length, 576);
    assert_int_equal(f->lan->sent, 3);
    assert_int_equal(lan_sum(f->lan->bytes + 20, 556), 0xffff);
    assert_int_equal(load_be16(f->lan->bytes + 6), 0); /* no DF: there is no error about an error */
}

static void an_error_fits_the_smallest_mtu(void **state)
{
    struct fixture *f = *state;
    input_long(f, 68);
    assert_int_equal(f->lan->sent, 1);
    assert_int_equal(f->lan->length, 68);
}

static void no_error_about_what_was_sent_to_all_rfc1122_3_2_2(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[64];
    size_t length = lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);

    store_be32(packet + 16, INADDR_BROADCAST);
    lan_mend(packet);
    lan_input(f->lan, packet, length, NULL);
    lan_expect_nothing(f->lan);
}

static void no_error_about_an_icmp_error_rfc1122_3_2_2(void **state)
{
    static const uint8_t types[] = {3, 4, 5, 11, 12};
    struct fixture *f = *state;
    const struct strait_offload ordinary = {0};

    for (size_t i = 0; i <= sizeof(types); i++) {
        uint8_t bytes[20 + 8] = {0x45};
        struct ip_packet packet = {
            .interface = f->lan->interface,
            .source = address_v4(LAN_PEER),
            .destination = address_v4(LAN_HOST),
            .protocol = IPPROTO_ICMP,
            .header = bytes,
            .header_bytes = 20,
            .payload = bytes + 20,
            .length = i < sizeof(types) ? 8 : 0,
            .offload = &ordinary,
        };
        bytes[20] = types[i < sizeof(types) ? i : 0];
        icmp_error(&f->lan->ip, &packet, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PROTOCOL);
        lan_expect_nothing(f->lan);
        bytes[20] = ICMP_TYPE_ECHO;
        packet.length = 8;
        icmp_error(&f->lan->ip, &packet, ICMP_TYPE_UNREACHABLE, ICMP_CODE_PROTOCOL);
        assert_int_equal(f->lan->sent, 1);
        f->lan->sent = 0;
    }
}

static void no_error_about_a_later_fragment_rfc1122_3_2_2(void **state)
{
    struct fixture *f = *state;
    const struct strait_offload ordinary = {0};
    uint8_t bytes[20 + 8] = {0x45};
    struct ip_packet packet = {
        .interface = f->lan->interface,
        .source = address_v4(LAN_PEER),
        .destination = address_v4(LAN_HOST),
        .protocol = IPPROTO_UDP,
        .fragment = 1, /* 8 bytes */
        .header = bytes,
        .header_bytes = 20,
        .payload = bytes + 20,
        .length = 8,
        .offload = &ordinary,
    };

    icmp_error(&f->lan->ip, &packet, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_IN_TRANSIT);
    lan_expect_nothing(f->lan);
    packet.fragment = IPV4_MORE_FRAGMENTS;
    icmp_error(&f->lan->ip, &packet, ICMP_TYPE_TIME_EXCEEDED, ICMP_CODE_IN_TRANSIT);
    assert_int_equal(f->lan->sent, 1);
}

/* How many errors are sent in answer to so many datagrams from one source. */
static unsigned answers_to(struct fixture *f, uint32_t source, unsigned datagrams)
{
    uint8_t packet[64];
    size_t length = lan_hex(packet, sizeof(packet), LAN_DATAGRAM_IN);

    store_be32(packet + 12, source);
    lan_mend(packet);
    f->lan->sent = 0;
    for (unsigned i = 0; i < datagrams; i++)
        lan_input(f->lan, packet, length, NULL);
    return f->lan->sent;
}

/*
 * A burst of 50 and then 100 a second, in the mean: an error costs no, one or two tokens (a
 * variance of 2/3), so 50 tokens pay for 50 errors, give or take 6. Eight times that is certain.
 */
static void errors_to_a_peer_are_limited_to_a_burst_and_a_rate_rfc1812_4_3_2_8(void **state)
{
    struct fixture *f = *state;

    assert_in_range(answers_to(f, LAN_PEER, 200), 25, 98);
    assert_true(counter(f, COUNTER_icmp_errors_limited) >= 102);
    assert_int_equal(answers_to(f, LAN_PEER, 10), 0);
    core_set_now(&f->lan->core, f->lan->core.now_ns + 10 * NS_PER_MS - 1);
    assert_int_equal(answers_to(f, LAN_PEER, 10), 0);
    core_set_now(&f->lan->core, f->lan->core.now_ns + 1);
    assert_true(answers_to(f, LAN_PEER, 100) > 0);
    unsigned answers = 0;
    for (int i = 0; i < 1000; i++) {
        core_set_now(&f->lan->core, f->lan->core.now_ns + 10 * NS_PER_MS);
        answers += answers_to(f, LAN_PEER, 10);
    }
    /* One token each 10 ms, spent by errors of which one in three costs none: 1.5 or so of them,
     * for what an error costs beyond the last token is forgiven. */
    assert_in_range(answers, 1000, 2000);
    core_set_now(&f->lan->core, f->lan->core.now_ns + 3600 * NS_PER_S);
    assert_in_range(answers_to(f, LAN_PEER, 200), 25, 98);
}

static void a_peer_does_not_use_up_the_errors_of_others(void **state)
{
    struct fixture *f = *state;
    unsigned served = 0;

    answers_to(f, LAN_PEER, 1000);
    for (uint32_t peer = LAN_HOST + 1; peer <= LAN_HOST + 30; peer++)
        served += answers_to(f, peer, 1);
    assert_true(served >= 24); /* but for those that share its group of 64 */
}

static void errors_to_all_are_limited_to_a_burst(void **state)
{
    struct fixture *f = *state;
    unsigned answers = 0;

    for (uint32_t peer = 0; peer < 10000; peer++)
        answers += answers_to(f, 0x0b000000 + peer, 1);
    assert_in_range(answers, 100, 320); /* 200, with a deviation of 12 */
}

/* SAD DNS: what is left in a bucket must not tell how many errors somebody else was sent. */
static void the_limit_is_no_counter_that_a_stranger_can_read(void **state)
{
    struct fixture *f = *state;
    unsigned first = answers_to(f, LAN_PEER, 200), other = 0;

    for (int i = 0; i < 20; i++) {
        core_set_now(&f->lan->core, f->lan->core.now_ns + 3600 * NS_PER_S);
        other += answers_to(f, LAN_PEER, 200) != first;
    }
    assert_true(other > 10);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define WITH(how, name) cmocka_unit_test_setup_teardown(name, setup_##how, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_echo_request_is_answered_rfc1122_3_2_2_6),
        TEST(an_empty_echo_request_is_answered),
        WITH(jumbo, an_echo_request_of_every_length_is_answered_with_its_data),
        TEST(a_reply_above_the_mtu_is_sent_in_fragments),
        TEST(a_long_reply_has_no_df),
        TEST(a_reply_has_the_tos_of_the_request_without_ecn),
        TEST(a_broadcast_echo_request_is_ignored_rfc1122_3_2_2_6),
        TEST(a_message_cut_short_is_dropped),
        TEST(a_wrong_checksum_is_dropped),
        TEST(other_messages_are_ignored_and_counted),
        TEST(an_error_is_told_to_the_transport_rfc1122_3_2_2),
        TEST(fragmentation_needed_tells_the_next_mtu_rfc1191_4),
        TEST(the_three_errors_of_a_host_are_told),
        TEST(options_of_the_quoted_header_are_skipped),
        TEST(a_quote_that_cannot_be_ours_is_dropped),
        TEST(an_error_sent_to_all_is_ignored),
        TEST(an_error_quotes_the_packet_rfc1122_3_2_2),
        TEST(an_error_is_at_most_576_bytes_long_rfc1812_4_3_2_3),
        WITH(tiny, an_error_fits_the_smallest_mtu),
        TEST(no_error_about_what_was_sent_to_all_rfc1122_3_2_2),
        TEST(no_error_about_an_icmp_error_rfc1122_3_2_2),
        TEST(no_error_about_a_later_fragment_rfc1122_3_2_2),
        TEST(errors_to_a_peer_are_limited_to_a_burst_and_a_rate_rfc1812_4_3_2_8),
        TEST(a_peer_does_not_use_up_the_errors_of_others),
        TEST(errors_to_all_are_limited_to_a_burst),
        TEST(the_limit_is_no_counter_that_a_stranger_can_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
