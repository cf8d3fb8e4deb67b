/* SPDX-License-Identifier: MIT */
/* What a connection tells of itself, in Linux's struct tcp_info. */
#include <linux/tcp.h>
#include <string.h>

#include "tcp/connection.h"

#define REORDERING 3 /* duplicate acknowledgements that mean a loss, RFC 5681 3.2 */

/* Linux's numbers of the states (include/net/tcp_states.h). */
enum linux_state {
    LINUX_ESTABLISHED = 1,
    LINUX_SYN_SENT,
    LINUX_SYN_RECV,
    LINUX_FIN_WAIT1,
    LINUX_FIN_WAIT2,
    LINUX_TIME_WAIT,
    LINUX_CLOSE,
    LINUX_CLOSE_WAIT,
    LINUX_LAST_ACK,
    LINUX_LISTEN,
    LINUX_CLOSING,
};

uint8_t tcp_linux_state(enum tcp_state state)
{
    static const uint8_t numbers[] = {
        [STATE_CLOSED] = LINUX_CLOSE,          [STATE_SYN_SENT] = LINUX_SYN_SENT,
        [STATE_SYN_RECEIVED] = LINUX_SYN_RECV, [STATE_ESTABLISHED] = LINUX_ESTABLISHED,
        [STATE_FIN_WAIT_1] = LINUX_FIN_WAIT1,  [STATE_FIN_WAIT_2] = LINUX_FIN_WAIT2,
        [STATE_CLOSE_WAIT] = LINUX_CLOSE_WAIT, [STATE_CLOSING] = LINUX_CLOSING,
        [STATE_LAST_ACK] = LINUX_LAST_ACK,     [STATE_TIME_WAIT] = LINUX_TIME_WAIT,
    };
    return numbers[state];
}

static uint32_t segments(const struct connection *c, uint64_t bytes)
{
    uint32_t mss = c->mss ? c->mss : 1;

    return (uint32_t)((bytes + mss - 1) / mss);
}

static uint32_t ms_since(const struct tcp *tcp, uint32_t then_ms)
{
    return core_ms(tcp->core) - then_ms;
}

/* What is outstanding, and how much of it is known to have arrived or to be lost. */
static void tell_flight(const struct connection *c, struct tcp_info *info)
{
    uint64_t sacked = ranges_overlap(&c->disorder->sacked, 0, UINT64_MAX);

    info->tcpi_unacked = segments(c, c->snd_nxt - c->snd_una);
    info->tcpi_sacked = segments(c, sacked);
    if (c->after_timeout) {
        info->tcpi_lost = segments(c, c->snd_nxt - c->snd_resend);
        info->tcpi_retrans = segments(c, c->snd_resend - c->snd_una);
    } else if (c->in_recovery && seq_gt(c->high_rxt, c->snd_una)) {
        uint64_t end = c->send.start + (c->high_rxt - c->snd_una);
        uint64_t arrived = ranges_overlap(&c->disorder->sacked, c->send.start, end);
        info->tcpi_lost = segments(c, sack_left_path(c) - sacked);
        info->tcpi_retrans = segments(c, end - c->send.start - arrived);
    }
}

static void tell_times(const struct tcp *tcp, const struct connection *c, struct tcp_info *info)
{
    info->tcpi_rto = c->rtt.rto_us;
    info->tcpi_rtt = c->rtt.srtt_us;
    info->tcpi_rttvar = c->rtt.rttvar_us;
    info->tcpi_min_rtt = c->rtt.min_us ? c->rtt.min_us : UINT32_MAX;
    info->tcpi_rcv_rtt = c->round.rtt_us;
    info->tcpi_busy_time = rate_busy_ns(tcp, c) / NS_PER_US;
    info->tcpi_last_data_sent = ms_since(tcp, c->sent_text_ms);
    info->tcpi_last_data_recv = ms_since(tcp, c->heard_text_ms);
    info->tcpi_last_ack_recv = ms_since(tcp, (uint32_t)(c->heard_ns / NS_PER_MS));
}

static void tell_windows(const struct connection *c, struct tcp_info *info)
{
    uint32_t mss = c->mss ? c->mss : 1;

    info->tcpi_snd_wscale = c->send_scale & 0xfu;
    info->tcpi_rcv_wscale = c->receive_scale & 0xfu;
    info->tcpi_snd_mss = c->mss;
    info->tcpi_rcv_mss = c->rcv_mss;
    info->tcpi_advmss = connection_mss_offer(c->interface, c->network_header_bytes, c->max_segment);
    info->tcpi_pmtu = c->path_mtu;
    info->tcpi_snd_ssthresh = c->congestion.ssthresh / mss;
    info->tcpi_snd_cwnd = c->congestion.cwnd / mss;
    info->tcpi_snd_wnd = c->snd_wnd;
    info->tcpi_rcv_ssthresh = c->rcv_edge - c->rcv_nxt;
    info->tcpi_rcv_space = c->receive_limit_bytes;
    info->tcpi_reordering = REORDERING;
    info->tcpi_delivery_rate = rate_bytes_per_s(c);
    info->tcpi_delivery_rate_app_limited = c->rate.limited;
    info->tcpi_pacing_rate = info->tcpi_max_pacing_rate = UINT64_MAX; /* nothing is paced */
}

/* Bytes are read off the positions, so that nothing is counted for them as they pass. */
static void tell_totals(const struct connection *c, struct tcp_info *info)
{
    uint64_t sent = c->send.start + (c->snd_nxt - c->snd_una);

    if (tcp_is_opening(c))
        sent = 0;
    info->tcpi_bytes_acked = c->send.start;
    info->tcpi_bytes_received = c->receive_position;
    info->tcpi_bytes_sent = (sent < c->send.end ? sent : c->send.end) + c->retransmitted_bytes;
    info->tcpi_bytes_retrans = c->retransmitted_bytes;
    info->tcpi_notsent_bytes = tcp_unsent(c);
    info->tcpi_segs_in = c->segments_in;
    info->tcpi_segs_out = c->segments_out;
    info->tcpi_data_segs_in = c->text_segments_in;
    info->tcpi_data_segs_out = c->text_segments_out;
    info->tcpi_total_retrans = c->retransmitted;
    info->tcpi_dsack_dups = c->duplicate_reports;
    info->tcpi_rcv_ooopack = c->out_of_order_segments;
}

void tcp_get_info(const struct tcp *tcp, const struct connection *c, struct tcp_info *info)
{
    memset(info, 0, sizeof(*info));
    info->tcpi_state = tcp_linux_state(c->state);
    info->tcpi_ca_state = c->after_timeout ? TCP_CA_Loss : c->in_recovery ? TCP_CA_Recovery : 0;
    info->tcpi_retransmits = c->retries;
    info->tcpi_probes = c->timer_purpose == TIMER_RETRANSMIT ? 0 : c->retries;
    info->tcpi_backoff = c->backoff;
    info->tcpi_options =
        (uint8_t)((c->timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (c->scaling ? TCPI_OPT_WSCALE : 0) |
                  (c->sack ? TCPI_OPT_SACK : 0) | (c->ecn ? TCPI_OPT_ECN : 0));
    tell_flight(c, info);
    tell_times(tcp, c, info);
    tell_windows(c, info);
    tell_totals(c, info);
}

/* Of a listener, as Linux has it: how many wait to be accepted, and how many may. */
void tcp_get_no_info(const struct listener *l, struct tcp_info *info)
{
    memset(info, 0, sizeof(*info));
    info->tcpi_state = l ? LINUX_LISTEN : LINUX_CLOSE;
    if (!l)
        return;
    info->tcpi_unacked = l->waiting;
    info->tcpi_sacked = l->backlog;
}
