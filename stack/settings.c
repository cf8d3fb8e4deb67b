/* SPDX-License-Identifier: MIT */
/*
 * Settings by name. The one table below gives each its name, its field in struct strait_config, its
 * default and its range; strait_config_init, the check of a configuration, strait_set and
 * strait_get go by it, and the list in README.md is made of it. A new setting is a field and a row.
 *
 * There is no other store: the layers read the fields when they need them, and a field that must
 * not change while it is in use is copied by what depends on it (a connection, a record, a socket),
 * or is settled at the start.
 */
#include "settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/quantity.h"
#include "stack.h"

struct row;

/* How a field is written as text. */
struct kind {
    /* Sets the field. Returns 0, or EINVAL or ERANGE; the field is then as it was. */
    int (*read)(const struct row *, const char *text, struct strait_config *);

    /* Writes the field as snprintf; a value that it cannot have gives text that `read` refuses. */
    int (*write)(const struct row *, const struct strait_config *, char *text, size_t size);
};

struct row {
    struct strait_setting about;
    const struct kind *kind;
    const struct quantity_unit *units;
    uint32_t step; /* of the field, in the smallest of the units */
    size_t offset, width;
};

/* ---- Fields ---------------------------------------------------------------------------------- */

static uint64_t load(const struct row *row, const struct strait_config *config)
{
    const void *field = (const char *)config + row->offset;

    switch (row->width) {
    case sizeof(uint8_t):
        return *(const uint8_t *)field;
    case sizeof(uint16_t):
        return *(const uint16_t *)field;
    case sizeof(uint32_t):
        return *(const uint32_t *)field;
    default:
        return *(const uint64_t *)field;
    }
}

static void store(const struct row *row, struct strait_config *config, uint64_t value)
{
    void *field = (char *)config + row->offset;

    switch (row->width) {
    case sizeof(uint8_t):
        *(uint8_t *)field = (uint8_t)value;
        break;
    case sizeof(uint16_t):
        *(uint16_t *)field = (uint16_t)value;
        break;
    case sizeof(uint32_t):
        *(uint32_t *)field = (uint32_t)value;
        break;
    default:
        *(uint64_t *)field = value;
        break;
    }
}

/* ---- Kinds ----------------------------------------------------------------------------------- */

/* A bound of the table. */
static uint64_t bound(const struct row *row, const char *text)
{
    uint64_t value = 0;

    CHECK(quantity_read(text, row->units, &value));
    return value;
}

static int read_quantity(const struct row *row, const char *text, struct strait_config *config)
{
    uint64_t value;

    if (!quantity_read(text, row->units, &value))
        return EINVAL;
    if (value < bound(row, row->about.minimum) || value > bound(row, row->about.maximum))
        return ERANGE;
    if (value % row->step != 0)
        return EINVAL;
    store(row, config, value / row->step);
    return 0;
}

static int write_quantity(const struct row *row, const struct strait_config *config, char *text,
                          size_t size)
{
    return quantity_write(load(row, config) * row->step, row->units, text, size);
}

static const struct kind quantity = {read_quantity, write_quantity};

/* Moves to the next of the words that are parted by bars. Returns NULL behind the last. */
static const char *next_word(const char *word)
{
    const char *bar = strchr(word, '|');
    return bar ? bar + 1 : NULL;
}

/* The field is the number of the word in the list. */
static int read_word(const struct row *row, const char *text, struct strait_config *config)
{
    size_t length = strlen(text);
    uint64_t number = 0;

    for (const char *word = row->about.unit; word; word = next_word(word), number++) {
        if (strcspn(word, "|") == length && memcmp(word, text, length) == 0) {
            store(row, config, number);
            return 0;
        }
    }
    return EINVAL;
}

static int write_word(const struct row *row, const struct strait_config *config, char *text,
                      size_t size)
{
    const char *word = row->about.unit;

    for (uint64_t number = load(row, config); word && number > 0; number--)
        word = next_word(word);
    return snprintf(text, size, "%.*s", word ? (int)strcspn(word, "|") : 0, word ? word : "");
}

static const struct kind words = {read_word, write_word};

/* "FIRST-LAST", of two fields. */
static int read_ports(const struct row *row, const char *text, struct strait_config *config)
{
    char first[STRAIT_SETTING_BYTES];
    const char *dash = strchr(text, '-');
    uint64_t from, to;

    if (!dash || (size_t)(dash - text) >= sizeof(first))
        return EINVAL;
    memcpy(first, text, (size_t)(dash - text));
    first[dash - text] = '\0';
    if (!quantity_read(first, row->units, &from) || !quantity_read(dash + 1, row->units, &to))
        return EINVAL;
    if (from < bound(row, row->about.minimum) || to > bound(row, row->about.maximum) || from > to)
        return ERANGE;
    config->port_first = (uint16_t)from;
    config->port_last = (uint16_t)to;
    return 0;
}

static int write_ports(const struct row *row, const struct strait_config *config, char *text,
                       size_t size)
{
    (void)row;
    return snprintf(text, size, "%u-%u", config->port_first, config->port_last);
}

static const struct kind ports = {read_ports, write_ports};

/* ---- The table ------------------------------------------------------------------------------- */

#define FIELD(member)                                                                              \
    offsetof(struct strait_config, member), sizeof(((const struct strait_config *)NULL)->member)
#define QUANTITY(name, member, unit, units, step, standard, least, most, when, meaning)            \
    {                                                                                              \
        {name, meaning, unit, standard, least, most, STRAIT_SETTING_##when}, &quantity, units,     \
            step, FIELD(member)                                                                    \
    }

/* Name, field, default, minimum, maximum, effect, meaning; times by the unit of the field. */
#define TIME_US(name, member, ...) QUANTITY(name, member, "time", quantity_times, 1, __VA_ARGS__)
#define TIME_MS(name, member, ...) QUANTITY(name, member, "time", quantity_times, 1000, __VA_ARGS__)
#define TIME_S(name, member, ...)                                                                  \
    QUANTITY(name, member, "time", quantity_times, 1000000, __VA_ARGS__)
#define BYTES(name, member, ...) QUANTITY(name, member, "bytes", quantity_bytes, 1, __VA_ARGS__)
#define SHARE(name, member, ...) QUANTITY(name, member, "%", quantity_shares, 1, __VA_ARGS__)

/* What is counted stands behind the field. */
#define COUNT(name, member, unit, ...) QUANTITY(name, member, unit, quantity_counts, 1, __VA_ARGS__)

/* Name, field, words, default, effect, meaning. */
#define WORD(name, member, list, standard, when, meaning)                                          \
    {                                                                                              \
        {name, meaning, list, standard, NULL, NULL, STRAIT_SETTING_##when}, &words, NULL, 1,       \
            FIELD(member)                                                                          \
    }
#define FLAG(name, member, ...) WORD(name, member, "off|on", __VA_ARGS__)

#define COUNT_MAX "1073741824"
#define BYTES_MAX "1GiB" /* the largest window there is, RFC 7323 2.3 */

static const struct row table[] = {
    FLAG("ip.forward", forward, "off", AT_ONCE, "packets for other hosts go on (RFC 1812 5.2)"),
    COUNT("ip.ttl", ttl, "hops", "64", "1", "255", NEW, "TTL of what is sent (RFC 1122 3.2.1.7)"),
    {{"ip.local_ports", "local ports for connect and for bind to port 0 (RFC 6056)", "ports",
      "32768-60999", "1", "65535", STRAIT_SETTING_AT_ONCE},
     &ports,
     quantity_counts,
     1,
     offsetof(struct strait_config, port_first),
     2 * sizeof(uint16_t)},
    TIME_MS("ip.fragment_timeout", fragment_timeout_ms, "30s", "1s", "2min", NEW,
            "how long fragments wait for the rest of their packet (RFC 1122 3.3.2)"),
    BYTES("ip.fragment_memory", fragments_max_bytes, "4MiB", "0", "1GiB", AT_ONCE,
          "memory for incomplete packets, all together; one source gets a quarter"),
    COUNT("ip.fragment_packets", fragment_packets_max, "packets", "64", "1", "4096", AT_ONCE,
          "incomplete packets of one source"),
    TIME_MS("ip.path_mtu_timeout", path_mtu_timeout_ms, "10min", "5min", "24h", NEW,
            "how long a path stays as narrow as a router has said (RFC 1191 6.3)"),
    COUNT("icmp.error_rate", icmp_errors_per_second, "a second", "1000", "1", "1000000", AT_ONCE,
          "ICMP errors made in the mean (RFC 1812 4.3.2.8)"),
    COUNT("icmp.error_burst", icmp_errors_burst, "errors", "200", "1", "1000000", AT_ONCE,
          "ICMP errors made at once"),
    COUNT("icmp.peer_error_rate", icmp_peer_errors_per_second, "a second", "100", "1", "1000000",
          AT_ONCE, "ICMP errors made for one peer in the mean"),
    COUNT("icmp.peer_error_burst", icmp_peer_errors_burst, "errors", "50", "1", "1000000", AT_ONCE,
          "ICMP errors made at once for one peer"),

    BYTES("udp.receive_buffer", udp_receive_buffer_bytes, "1MiB", "1", BYTES_MAX, NEW,
          "memory for the datagrams that wait at a socket"),

    COUNT("socket.max", sockets_max, "sockets", "131072", "1", "268435456", AT_START,
          "sockets at the same time"),
    BYTES("socket.memory", memory_max_bytes, "256MiB", "64KiB", "1TiB", AT_START,
          "memory for the payload of all sockets"),
    BYTES("socket.buffer_min", buffer_min_bytes, "2KiB", "1", BYTES_MAX, AT_ONCE,
          "the least that SO_SNDBUF and SO_RCVBUF set"),
    BYTES("socket.buffer_max", buffer_max_bytes, BYTES_MAX, "1", BYTES_MAX, AT_ONCE,
          "the most that SO_SNDBUF and SO_RCVBUF set"),

    COUNT("tcp.connections", connections_max, "connections", "131072", "1", COUNT_MAX, AT_ONCE,
          "connections at the same time, with a socket or without"),
    COUNT("tcp.half_open", half_open_max, "records", "4096", "1", COUNT_MAX, AT_ONCE,
          "SYNs that are remembered until the peer acknowledges ours, of all listeners"),
    COUNT("tcp.backlog", backlog_max, "connections", "4096", "1", "65535", AT_ONCE,
          "connections that may wait to be accepted, even if listen is asked for more"),
    WORD("tcp.syn_cookies", syn_cookies, "off|full|always", "full", AT_ONCE,
         "when a SYN is answered without remembering it (RFC 4987 3.6): full is if there are too "
         "many"),
    COUNT("tcp.syn_retries", syn_retries, "times", "7", "0", "15", NEW,
          "how often a SYN is sent again (RFC 9293 3.8.3 wants three minutes at least)"),
    COUNT("tcp.syn_ack_retries", syn_ack_retries, "times", "5", "0", "15", AT_ONCE,
          "how often a SYN-ACK is sent again"),
    COUNT("tcp.retries", data_retries, "times", "15", "1", "100", AT_ONCE,
          "how often data is sent again before the connection ends (RFC 9293 3.8.3, R2)"),

    WORD("tcp.congestion", congestion, "reno", "reno", NEW, "congestion control"),
    COUNT("tcp.initial_window", initial_window, "segments", "10", "1", "100", NEW,
          "what is sent before the first acknowledgement (RFC 6928)"),
    TIME_US("tcp.rto_initial", rto_initial_us, "1s", "1ms", "1min", NEW,
            "the retransmission timeout before a round trip was measured (RFC 6298 2.1)"),
    TIME_US("tcp.rto_min", rto_min_us, "200ms", "1ms", "1min", AT_ONCE,
            "by how much the timeout exceeds the round trip at least (RFC 6298 2.4)"),
    TIME_US("tcp.rto_max", rto_max_us, "2min", "1min", "1h", AT_ONCE,
            "the longest timeout (RFC 6298 2.5)"),
    TIME_MS("tcp.delayed_ack", delayed_ack_ms, "40ms", "1ms", "499ms", AT_ONCE,
            "how long an acknowledgement may wait for company (RFC 9293 3.8.6.3)"),
    TIME_MS("tcp.challenge_ack_interval", challenge_ack_ms, "500ms", "10ms", "10s", AT_ONCE,
            "the time between challenge ACKs of one connection (RFC 5961 7)"),

    FLAG("tcp.window_scaling", window_scaling, "on", NEW, "windows above 64 KiB (RFC 7323 2)"),
    FLAG("tcp.timestamps", timestamps, "on", NEW, "timestamps, PAWS (RFC 7323 3)"),
    FLAG("tcp.sack", sack, "on", NEW, "selective acknowledgement (RFC 2018)"),
    FLAG("tcp.dsack", dsack, "on", AT_ONCE, "duplicates are reported by SACK (RFC 2883)"),
    WORD("tcp.ecn", ecn, "off|answer|request", "answer", NEW,
         "ECN (RFC 3168): on connections whose peer asks for it, or also asked for on connect"),

    BYTES("tcp.send_buffer", send_buffer_bytes, "16MiB", "1", BYTES_MAX, NEW,
          "data of a socket that the peer has not acknowledged: 1 MiB, and above that twice the "
          "congestion window"),
    BYTES("tcp.receive_buffer", receive_buffer_bytes, "6MiB", "1", BYTES_MAX, NEW,
          "data of a socket that is not read yet, which bounds the window: 1 MiB, and above that "
          "twice what is read in a round trip"),
    SHARE("tcp.out_of_order_share", out_of_order_share, "50%", "1%", "100%", AT_ONCE,
          "the part of socket.memory for what has come out of order"),
    COUNT("tcp.ranges", ranges_max, "ranges", "256", "1", "4096", AT_ONCE,
          "pieces that are kept out of order, or known to be SACKed, of one connection"),

    TIME_S("tcp.keepalive_idle", keepalive_idle_s, "2h", "1s", "32767s", NEW,
           "the silence before a keep-alive, where SO_KEEPALIVE is on (RFC 9293 3.8.4)"),
    TIME_S("tcp.keepalive_interval", keepalive_interval_s, "75s", "1s", "32767s", NEW,
           "the time between keep-alives"),
    COUNT("tcp.keepalive_probes", keepalive_probes, "times", "9", "1", "127", NEW,
          "how many keep-alives without an answer end the connection"),
    TIME_MS("tcp.fin_timeout", fin_timeout_ms, "1min", "1s", "1h", NEW,
            "how long the peer's FIN is waited for, once the socket is closed"),
    COUNT("tcp.orphans", orphans_max, "connections", "65536", "0", COUNT_MAX, AT_ONCE,
          "connections that close after their sockets; more are reset"),
    TIME_MS("tcp.orphan_timeout", orphan_timeout_ms, "2min", "1s", "1h", AT_ONCE,
            "how long a peer may acknowledge nothing, once the socket is closed"),
    TIME_MS("tcp.time_wait", time_wait_ms, "1min", "1s", "10min", AT_ONCE,
            "how long a connection stays in TIME-WAIT: 2 MSL (RFC 9293 3.6.1)"),
    COUNT("tcp.time_wait_records", time_wait_max, "records", "65536", "0", COUNT_MAX, AT_ONCE,
          "connections in TIME-WAIT; more are forgotten"),
};

#define ROWS (sizeof(table) / sizeof(table[0]))

static const struct row *find(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(table[i].about.name, name) == 0)
            return &table[i];
    return NULL;
}

/* ---- Configurations -------------------------------------------------------------------------- */

void strait_config_init(struct strait_config *config)
{
    *config =
        (struct strait_config){.size = sizeof(*config), .descriptor_base = 1 << 20, .shards = 1};
    for (size_t i = 0; i < ROWS; i++)
        CHECK(table[i].kind->read(&table[i], table[i].about.default_value, config) == 0);
}

bool settings_are_valid(const struct strait_config *config)
{
    struct strait_config scratch;
    char text[STRAIT_SETTING_BYTES];

    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &table[i];
        row->kind->write(row, config, text, sizeof(text));
        if (row->kind->read(row, text, &scratch) != 0)
            return false;
    }
    return true;
}

/* ---- For callers ----------------------------------------------------------------------------- */

static int outcome(int error)
{
    if (!error)
        return 0;
    errno = error;
    return -1;
}

const struct strait_setting *strait_setting(size_t index)
{
    return index < ROWS ? &table[index].about : NULL;
}

int strait_config_set(struct strait_config *config, const char *name, const char *value)
{
    const struct row *row = find(name);

    /* The caller's configuration may be of an older library, and end before the field. */
    if (!row || row->offset + row->width > config->size)
        return outcome(ENOENT);
    return outcome(row->kind->read(row, value, config));
}

/* Several shards must go on agreeing on whose the local ports are. */
static bool is_settled(const struct strait *stack, const struct row *row)
{
    return row->about.effect == STRAIT_SETTING_AT_START ||
           (row->kind == &ports && stack->core.config.shards > 1);
}

int strait_set(struct strait *stack, const char *name, const char *value)
{
    const struct row *row = find(name);

    if (row && is_settled(stack, row))
        return outcome(EPERM);
    return strait_config_set(&stack->core.config, name, value);
}

int strait_get(const struct strait *stack, const char *name, char *value, size_t size)
{
    const struct row *row = find(name);

    if (!row)
        return outcome(ENOENT);
    int length = row->kind->write(row, &stack->core.config, value, size);
    return outcome((size_t)length < size ? 0 : ENOSPC);
}
