/* SPDX-License-Identifier: MIT */
#include "tcp/rtt.h"

void rtt_init(struct rtt *r, const struct strait_config *config)
{
    *r = (struct rtt){.rto_us = config->rto_initial_us};
}

void rtt_sample(struct rtt *r, const struct strait_config *config, uint32_t sample_us)
{
    uint32_t min_us = config->rto_min_us, max_us = config->rto_max_us;

    sample_us = sample_us < max_us ? sample_us : max_us;
    if (sample_us == 0)
        sample_us = 1;
    if (r->min_us == 0 || sample_us < r->min_us)
        r->min_us = sample_us;
    if (r->srtt_us == 0) { /* RFC 6298 2.2 */
        r->srtt_us = sample_us;
        r->rttvar_us = sample_us / 2;
    } else { /* RFC 6298 2.3, beta 1/4, alpha 1/8 */
        uint32_t away = r->srtt_us > sample_us ? r->srtt_us - sample_us : sample_us - r->srtt_us;
        r->rttvar_us = (uint32_t)(((uint64_t)r->rttvar_us * 3 + away) / 4);
        r->srtt_us = (uint32_t)(((uint64_t)r->srtt_us * 7 + sample_us) / 8);
    }

    /* The minimum stands in the place of the variance, as in Linux: a peer that delays its
     * acknowledgements by nearly 200 ms then causes no timeout. */
    uint64_t variance_us = (uint64_t)r->rttvar_us * 4;
    uint64_t spread_us = variance_us > min_us ? variance_us : min_us;
    uint64_t rto_us = r->srtt_us + spread_us;
    r->rto_us = rto_us < max_us ? (uint32_t)rto_us : max_us;
}

void rtt_syn_lost(struct rtt *r)
{
    if (r->srtt_us == 0)
        r->rto_us = RTT_RTO_SYN_LOST_US;
}
