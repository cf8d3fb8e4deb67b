/* SPDX-License-Identifier: MIT */
#include "control/describe.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <string.h>

#include "names.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A number in a struct, and the value that stands for none: that becomes null. */
struct member {
    const char *name;
    size_t offset;
    size_t bytes;
    uint64_t none;
};

#define NO_NONE (UINT64_MAX - 1)
#define MEMBER(type, name, field)                                                                  \
    {                                                                                              \
        name, offsetof(struct type, field), FIELD_BYTES(type, field), NO_NONE                      \
    }
#define FIELD_BYTES(type, field) sizeof(((struct type *)0)->field)

static const struct member of_endpoint[] = {
    MEMBER(strait_endpoint, "receive_queue", receive_queue),
    MEMBER(strait_endpoint, "send_queue", send_queue),
    MEMBER(strait_endpoint, "receive_buffer_bytes", receive_limit_bytes),
    MEMBER(strait_endpoint, "send_buffer_bytes", send_limit_bytes),
    MEMBER(strait_endpoint, "receive_memory_bytes", receive_memory_bytes),
    MEMBER(strait_endpoint, "send_memory_bytes", send_memory_bytes),
};

static const struct member of_connection[] = {
    MEMBER(strait_endpoint, "cwnd_bytes", cwnd),
    {"ssthresh_bytes", offsetof(struct strait_endpoint, ssthresh), sizeof(uint32_t), UINT32_MAX},
    MEMBER(strait_endpoint, "send_window_bytes", send_window),
    MEMBER(strait_endpoint, "receive_window_bytes", receive_window),
};

static const struct member of_info[] = {
    MEMBER(tcp_info, "rto_us", tcpi_rto),
    MEMBER(tcp_info, "rtt_us", tcpi_rtt),
    MEMBER(tcp_info, "rttvar_us", tcpi_rttvar),
    {"min_rtt_us", offsetof(struct tcp_info, tcpi_min_rtt), sizeof(uint32_t), UINT32_MAX},
    MEMBER(tcp_info, "backoff", tcpi_backoff),
    MEMBER(tcp_info, "mss_bytes", tcpi_snd_mss),
    MEMBER(tcp_info, "receive_mss_bytes", tcpi_rcv_mss),
    MEMBER(tcp_info, "advertised_mss_bytes", tcpi_advmss),
    MEMBER(tcp_info, "path_mtu_bytes", tcpi_pmtu),
    MEMBER(tcp_info, "cwnd_segments", tcpi_snd_cwnd),
    MEMBER(tcp_info, "unacked_segments", tcpi_unacked),
    MEMBER(tcp_info, "sacked_segments", tcpi_sacked),
    MEMBER(tcp_info, "lost_segments", tcpi_lost),
    MEMBER(tcp_info, "retransmits_now", tcpi_retransmits),
    MEMBER(tcp_info, "probes_now", tcpi_probes),
    MEMBER(tcp_info, "retransmitted_segments", tcpi_total_retrans),
    MEMBER(tcp_info, "retransmitted_bytes", tcpi_bytes_retrans),
    MEMBER(tcp_info, "bytes_sent", tcpi_bytes_sent),
    MEMBER(tcp_info, "bytes_acked", tcpi_bytes_acked),
    MEMBER(tcp_info, "bytes_received", tcpi_bytes_received),
    MEMBER(tcp_info, "bytes_not_sent", tcpi_notsent_bytes),
    MEMBER(tcp_info, "segments_out", tcpi_segs_out),
    MEMBER(tcp_info, "segments_in", tcpi_segs_in),
    MEMBER(tcp_info, "data_segments_out", tcpi_data_segs_out),
    MEMBER(tcp_info, "data_segments_in", tcpi_data_segs_in),
    MEMBER(tcp_info, "out_of_order_segments", tcpi_rcv_ooopack),
    MEMBER(tcp_info, "dsacks", tcpi_dsack_dups),
    MEMBER(tcp_info, "last_sent_ms", tcpi_last_data_sent),
    MEMBER(tcp_info, "last_received_ms", tcpi_last_data_recv),
    MEMBER(tcp_info, "last_ack_ms", tcpi_last_ack_recv),
    {"pacing_bytes_per_s", offsetof(struct tcp_info, tcpi_pacing_rate), sizeof(uint64_t),
     UINT64_MAX},
};

static uint64_t value_of(const struct member *m, const void *object)
{
    const char *at = (const char *)object + m->offset;
    uint64_t u64;
    uint32_t u32;
    if (m->bytes == sizeof(u64)) {
        memcpy(&u64, at, sizeof(u64));
        return u64;
    }
    if (m->bytes == sizeof(u32)) {
        memcpy(&u32, at, sizeof(u32));
        return u32;
    }
    return *(const uint8_t *)at;
}

/* Returns 0, or -1 when memory is short. */
static int add_members(json_t *json, const struct member *members, size_t count, const void *object)
{
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = value_of(&members[i], object);
        failed |= json_object_set_new(json, members[i].name,
                                      value == members[i].none ? json_null()
                                                               : json_integer((json_int_t)value));
    }
    return failed ? -1 : 0;
}

static int add_info(json_t *json, const struct tcp_info *info)
{
    static const struct {
        const char *name;
        uint8_t bit;
    } options[] = {
        {"timestamps", TCPI_OPT_TIMESTAMPS},
        {"sack", TCPI_OPT_SACK},
        {"ecn", TCPI_OPT_ECN},
        {"window_scaling", TCPI_OPT_WSCALE},
    };
    static const char *const recovery[] = {
        [TCP_CA_Open] = "open",         [TCP_CA_Disorder] = "disorder", [TCP_CA_CWR] = "cwr",
        [TCP_CA_Recovery] = "recovery", [TCP_CA_Loss] = "loss",
    };
    int failed = add_members(json, of_info, COUNT(of_info), info);
    for (size_t i = 0; i < COUNT(options); i++)
        failed |= json_object_set_new(json, options[i].name,
                                      json_boolean(info->tcpi_options & options[i].bit));
    failed |= json_object_set_new(json, "send_scale", json_integer(info->tcpi_snd_wscale));
    failed |= json_object_set_new(json, "receive_scale", json_integer(info->tcpi_rcv_wscale));
    failed |= json_object_set_new(
        json, "recovery",
        json_string(info->tcpi_ca_state < COUNT(recovery) ? recovery[info->tcpi_ca_state] : ""));
    return failed ? -1 : 0;
}

static int add_name(json_t *json, const char *address_key, const char *port_key,
                    const struct sockaddr_in *name)
{
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &name->sin_addr, text, sizeof(text));
    return json_object_set_new(json, address_key, json_string(text)) |
           json_object_set_new(json, port_key, json_integer(ntohs(name->sin_port)));
}

static int add_all(json_t *json, const struct strait_endpoint *e)
{
    static const char *const kinds[] = {
        [STRAIT_ENDPOINT_CONNECTION] = "tcp", [STRAIT_ENDPOINT_HALF_OPEN] = "tcp",
        [STRAIT_ENDPOINT_TIME_WAIT] = "tcp",  [STRAIT_ENDPOINT_LISTENER] = "tcp",
        [STRAIT_ENDPOINT_UDP] = "udp",        [STRAIT_ENDPOINT_PING] = "icmp",
    };
    int failed = json_object_set_new(json, "protocol", json_string(kinds[e->kind]));
    failed |= json_object_set_new(json, "state", json_string(state_name(e->state)));
    failed |= add_name(json, "local_address", "local_port", &e->local);
    failed |= add_name(json, "peer_address", "peer_port", &e->remote);
    failed |= add_members(json, of_endpoint, COUNT(of_endpoint), e);
    if (e->timer) {
        failed |= json_object_set_new(json, "timer", json_string(e->timer));
        failed |= json_object_set_new(json, "timer_ms",
                                      json_integer((json_int_t)(e->timer_ns / 1000000)));
    }
    if (e->kind != STRAIT_ENDPOINT_CONNECTION)
        return failed;
    failed |= json_object_set_new(json, "orphan", json_boolean(e->orphan));
    failed |= json_object_set_new(json, "congestion", json_string(e->congestion));
    failed |= add_members(json, of_connection, COUNT(of_connection), e);
    return failed | add_info(json, e->info);
}

json_t *describe_endpoint(const struct strait_endpoint *e)
{
    json_t *json = json_object();
    if (json && add_all(json, e) == 0)
        return json;
    json_decref(json);
    return NULL;
}
