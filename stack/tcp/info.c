/* SPDX-License-Identifier: MIT */
/* What a connection tells of itself, in Linux's struct tcp_info. */
#include <netinet/tcp.h>
#include <string.h>

#include "tcp/connection.h"

/* Linux's numbers of the states (include/net/tcp_states.h). */
static uint8_t linux_state(enum tcp_state state)
{
    static const uint8_t numbers[] = {
        [STATE_CLOSED] = TCP_CLOSE,          [STATE_SYN_SENT] = TCP_SYN_SENT,
        [STATE_SYN_RECEIVED] = TCP_SYN_RECV, [STATE_ESTABLISHED] = TCP_ESTABLISHED,
        [STATE_FIN_WAIT_1] = TCP_FIN_WAIT1,  [STATE_FIN_WAIT_2] = TCP_FIN_WAIT2,
        [STATE_CLOSE_WAIT] = TCP_CLOSE_WAIT, [STATE_CLOSING] = TCP_CLOSING,
        [STATE_LAST_ACK] = TCP_LAST_ACK,     [STATE_TIME_WAIT] = TCP_TIME_WAIT,
    };
    return numbers[state];
}

void tcp_get_info(const struct connection *c, struct tcp_info *info)
{
    uint32_t mss = c->mss ? c->mss : 1;

    memset(info, 0, sizeof(*info));
    info->tcpi_state = linux_state(c->state);
    info->tcpi_ca_state = c->after_timeout ? TCP_CA_Loss : c->in_recovery ? TCP_CA_Recovery : 0;
    info->tcpi_retransmits = c->retries;
    info->tcpi_probes = c->timer_purpose == TIMER_RETRANSMIT ? 0 : c->retries;
    info->tcpi_backoff = c->backoff;
    info->tcpi_options =
        (uint8_t)((c->timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (c->scaling ? TCPI_OPT_WSCALE : 0) |
                  (c->sack ? TCPI_OPT_SACK : 0) | (c->ecn ? TCPI_OPT_ECN : 0));
    info->tcpi_snd_wscale = c->send_scale & 0xfu;
    info->tcpi_rcv_wscale = c->receive_scale & 0xfu;
    info->tcpi_rto = c->rtt.rto_us;
    info->tcpi_snd_mss = c->mss;
    info->tcpi_rcv_mss = c->rcv_mss;
    info->tcpi_unacked = (c->snd_nxt - c->snd_una + mss - 1) / mss;
    info->tcpi_pmtu = c->route.mtu;
    info->tcpi_rtt = c->rtt.srtt_us;
    info->tcpi_rttvar = c->rtt.rttvar_us;
    info->tcpi_snd_ssthresh = c->congestion.ssthresh / mss;
    info->tcpi_snd_cwnd = c->congestion.cwnd / mss;
    info->tcpi_advmss = connection_mss_offer(&c->route);
    info->tcpi_rcv_space = c->receive_limit_bytes;
    info->tcpi_total_retrans = c->retransmitted;
}
