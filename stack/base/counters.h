/* SPDX-License-Identifier: MIT */
/*
 * The named counters of one stack. Every packet that is dropped, and every limit that is reached,
 * counts in exactly one of them.
 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdint.h>

/* Sorted by layer, from the link upward. */
#define COUNTERS(X)                                                                                \
    X(link_packets_in)                                                                             \
    X(link_bytes_in)                                                                               \
    X(link_packets_out)                                                                            \
    X(link_bytes_out)                                                                              \
    X(link_send_failed)                                                                            \
    X(link_offload_wrong)                                                                          \
    X(link_unknown)                                                                                \
    X(shard_strays)      /* handed over, though the queue was chosen by the same rule */           \
    X(shard_handed_over) /* as ICMP and what comes in fragments has to be */                       \
    X(shard_hand_over_failed)                                                                      \
    X(ip_version_unknown)                                                                          \
    X(ip_header_short)                                                                             \
    X(ip_header_length_wrong)                                                                      \
    X(ip_total_length_wrong)                                                                       \
    X(ip_checksum_wrong)                                                                           \
    X(ip_options_wrong)                                                                            \
    X(ip_source_routed)                                                                            \
    X(ip_source_refused)                                                                           \
    X(ip_not_for_us)                                                                               \
    X(ip_forwarded)                                                                                \
    X(ip_ttl_expired)                                                                              \
    X(ip_fragments_in)                                                                             \
    X(ip_fragment_wrong)                                                                           \
    X(ip_fragment_tiny)                                                                            \
    X(ip_fragment_oversize)                                                                        \
    X(ip_fragment_duplicate)                                                                       \
    X(ip_fragment_overlap)                                                                         \
    X(ip_fragments_ecn_mixed)                                                                      \
    X(ip_fragments_limited)                                                                        \
    X(ip_reassembly_evicted)                                                                       \
    X(ip_reassembly_timed_out)                                                                     \
    X(ip_reassembled)                                                                              \
    X(ip_fragmented)                                                                               \
    X(ip_fragments_out)                                                                            \
    X(ip_protocol_unknown)                                                                         \
    X(ip_no_route)                                                                                 \
    X(ip_loopback_full)                                                                            \
    X(ip_path_lowered)                                                                             \
    X(ip_path_refused)                                                                             \
    X(ip_path_forgotten)                                                                           \
    X(ip_too_big)                                                                                  \
    X(icmp_short)                                                                                  \
    X(icmp_checksum_wrong)                                                                         \
    X(icmp_type_ignored)                                                                           \
    X(icmp_broadcast_ignored)                                                                      \
    X(icmp_echo_answered)                                                                          \
    X(icmp_echo_requests_out)                                                                      \
    X(icmp_echo_replies_in)                                                                        \
    X(icmp_echo_reply_unmatched)                                                                   \
    X(icmp_queue_full)                                                                             \
    X(icmp_memory_short)                                                                           \
    X(icmp_errors_in)                                                                              \
    X(icmp_errors_out)                                                                             \
    X(icmp_errors_limited)                                                                         \
    X(icmp_quote_wrong)                                                                            \
    X(icmp_quote_unmatched)                                                                        \
    X(udp_datagrams_in)                                                                            \
    X(udp_datagrams_out)                                                                           \
    X(udp_length_wrong)                                                                            \
    X(udp_checksum_wrong)                                                                          \
    X(udp_port_zero)                                                                               \
    X(udp_no_socket)                                                                               \
    X(udp_queue_full)                                                                              \
    X(udp_memory_short)                                                                            \
    X(udp_cutting_allowed)                                                                         \
    X(udp_failures_limited)                                                                        \
    X(tcp_segments_in)                                                                             \
    X(tcp_segments_out)                                                                            \
    X(tcp_header_wrong)                                                                            \
    X(tcp_option_wrong)                                                                            \
    X(tcp_checksum_wrong)                                                                          \
    X(tcp_address_refused)                                                                         \
    X(tcp_no_connection)                                                                           \
    X(tcp_resets_in)                                                                               \
    X(tcp_resets_out)                                                                              \
    X(tcp_connections_opened)                                                                      \
    X(tcp_connections_accepted)                                                                    \
    X(tcp_connections_refused)                                                                     \
    X(tcp_connections_limited)                                                                     \
    X(tcp_connections_timed_out)                                                                   \
    X(tcp_syn_dropped)                                                                             \
    X(tcp_accept_queue_full)                                                                       \
    X(tcp_half_open_limited)                                                                       \
    X(tcp_half_open_expired)                                                                       \
    X(tcp_cookies_sent)                                                                            \
    X(tcp_cookies_accepted)                                                                        \
    X(tcp_cookies_wrong)                                                                           \
    X(tcp_cookies_spent)                                                                           \
    X(tcp_time_wait_limited)                                                                       \
    X(tcp_time_wait_reused)                                                                        \
    X(tcp_sequence_unacceptable)                                                                   \
    X(tcp_timestamp_old)                                                                           \
    X(tcp_timestamp_missing)                                                                       \
    X(tcp_ack_unacceptable)                                                                        \
    X(tcp_ack_missing)                                                                             \
    X(tcp_syn_missing)                                                                             \
    X(tcp_text_ignored)                                                                            \
    X(tcp_syn_in_window)                                                                           \
    X(tcp_reset_in_window)                                                                         \
    X(tcp_challenge_acks)                                                                          \
    X(tcp_challenge_acks_limited)                                                                  \
    X(tcp_data_after_close)                                                                        \
    X(tcp_duplicate_bytes)                                                                         \
    X(tcp_out_of_order_segments)                                                                   \
    X(tcp_out_of_order_limited)                                                                    \
    X(tcp_out_of_order_pruned)                                                                     \
    X(tcp_memory_short)                                                                            \
    X(tcp_dsacks_out)                                                                              \
    X(tcp_dsacks_in)                                                                               \
    X(tcp_sack_wrong)                                                                              \
    X(tcp_sack_limited)                                                                            \
    X(tcp_sack_reneged)                                                                            \
    X(tcp_delayed_acks)                                                                            \
    X(tcp_duplicate_acks_in)                                                                       \
    X(tcp_retransmitted_segments)                                                                  \
    X(tcp_retransmission_timeouts)                                                                 \
    X(tcp_fast_retransmits)                                                                        \
    X(tcp_window_probes)                                                                           \
    X(tcp_urgent_in)                                                                               \
    X(tcp_urgent_ignored)                                                                          \
    X(tcp_ecn_marks_in)                                                                            \
    X(tcp_ecn_reductions)                                                                          \
    X(tcp_keepalive_probes)                                                                        \
    X(tcp_orphans_limited)                                                                         \
    X(tcp_orphans_timed_out)                                                                       \
    X(socket_limited)

enum counter {
#define COUNTER_ENUM(name) COUNTER_##name,
    COUNTERS(COUNTER_ENUM)
#undef COUNTER_ENUM
        COUNTER_COUNT
};

/* The name of a counter, as "tcp_checksum_wrong". */
const char *counter_name(enum counter);

#endif
