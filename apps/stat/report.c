/* SPDX-License-Identifier: MIT */
#include "stat/report.h"

#include <stdbool.h>
#include <string.h>

#define NAME_WIDTH 21 /* of "255.255.255.255:65535" */

static void put_line(FILE *file, const char *protocol, const char *state, const char *receive,
                     const char *send, const char *local, const char *peer, const char *timer)
{
    fprintf(file, "%-5s %-10s %7s %7s  %-*s  %-*s  %s\n", protocol, state, receive, send,
            NAME_WIDTH, local, NAME_WIDTH, peer, timer);
}

void report_heading(FILE *file)
{
    put_line(file, "Netid", "State", "Recv-Q", "Send-Q", "Local", "Peer", "Timer");
}

/* ---- Members ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "?";
}

/* 0 if there is none, or null. */
static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static bool has(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static bool has_number(const json_t *object, const char *key)
{
    return json_is_integer(json_object_get(object, key));
}

/* "10.7.0.2:80", and "*" for what may be any. */
static const char *name_of(const json_t *object, const char *address_key, const char *port_key,
                           char text[NAME_WIDTH + 1])
{
    const char *address = text_of(object, address_key);
    unsigned port = (unsigned)number_of(object, port_key) & 0xffff;
    char digits[6] = "*";
    if (port != 0)
        snprintf(digits, sizeof(digits), "%u", port);
    snprintf(text, NAME_WIDTH + 1, "%.15s:%s", strcmp(address, "0.0.0.0") == 0 ? "*" : address,
             digits);
    return text;
}

/* ---- Details ---- */

static void put_options(FILE *file, const json_t *c)
{
    static const struct {
        const char *key, *word;
    } options[] = {{"timestamps", "ts"}, {"sack", "sack"}, {"ecn", "ecn"}};
    fprintf(file, "\t%s", text_of(c, "congestion"));
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (has(c, options[i].key))
            fprintf(file, " %s", options[i].word);
    if (has(c, "window_scaling"))
        fprintf(file, " wscale:%lld,%lld", number_of(c, "send_scale"),
                number_of(c, "receive_scale"));
    if (strcmp(text_of(c, "recovery"), "open") != 0)
        fprintf(file, " %s", text_of(c, "recovery"));
    if (has(c, "orphan"))
        fputs(" orphan", file);
}

static void put_ms(FILE *file, const char *word, json_int_t us)
{
    fprintf(file, " %s:%.6g", word, (double)us / 1000);
}

static void put_times(FILE *file, const json_t *c)
{
    put_ms(file, "rto", number_of(c, "rto_us"));
    if (number_of(c, "backoff") > 0)
        fprintf(file, " backoff:%lld", number_of(c, "backoff"));
    put_ms(file, "rtt", number_of(c, "rtt_us"));
    fprintf(file, "/%.6g", (double)number_of(c, "rttvar_us") / 1000);
    if (has_number(c, "min_rtt_us"))
        put_ms(file, "minrtt", number_of(c, "min_rtt_us"));
}

/* Members that are shown if they are not 0, under ss's word or one in its manner. */
static void put_numbers(FILE *file, const json_t *c)
{
    static const struct {
        const char *key, *word;
    } numbers[] = {
        {"bytes_sent", "bytes_sent"},
        {"retransmitted_bytes", "bytes_retrans"},
        {"bytes_acked", "bytes_acked"},
        {"bytes_received", "bytes_received"},
        {"segments_out", "segs_out"},
        {"segments_in", "segs_in"},
        {"data_segments_out", "data_segs_out"},
        {"data_segments_in", "data_segs_in"},
        {"last_sent_ms", "lastsnd"},
        {"last_received_ms", "lastrcv"},
        {"last_ack_ms", "lastack"},
        {"pacing_bytes_per_s", "pacing_bytes_per_s"},
        {"unacked_segments", "unacked"},
        {"retransmitted_segments", "retrans"},
        {"lost_segments", "lost"},
        {"sacked_segments", "sacked"},
        {"dsacks", "dsack_dups"},
        {"out_of_order_segments", "rcv_ooopack"},
        {"bytes_not_sent", "notsent"},
        {"send_window_bytes", "snd_wnd"},
        {"receive_window_bytes", "rcv_wnd"},
        {"send_buffer_bytes", "snd_buf"},
        {"receive_buffer_bytes", "rcv_buf"},
        {"send_memory_bytes", "snd_mem"},
        {"receive_memory_bytes", "rcv_mem"},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (number_of(c, numbers[i].key) > 0)
            fprintf(file, " %s:%lld", numbers[i].word, number_of(c, numbers[i].key));
}

static void put_details(FILE *file, const json_t *c)
{
    put_options(file, c);
    put_times(file, c);
    fprintf(file, " mss:%lld pmtu:%lld cwnd:%lld", number_of(c, "mss_bytes"),
            number_of(c, "path_mtu_bytes"), number_of(c, "cwnd_bytes"));
    if (has_number(c, "ssthresh_bytes"))
        fprintf(file, " ssthresh:%lld", number_of(c, "ssthresh_bytes"));
    put_numbers(file, c);
    fputc('\n', file);
}

void report_endpoint(FILE *file, const json_t *e)
{
    char local[NAME_WIDTH + 1], peer[NAME_WIDTH + 1], receive[21], send[21], timer[40] = "";
    snprintf(receive, sizeof(receive), "%lld", number_of(e, "receive_queue"));
    snprintf(send, sizeof(send), "%lld", number_of(e, "send_queue"));
    if (json_object_get(e, "timer"))
        snprintf(timer, sizeof(timer), "%.16s %.3fs", text_of(e, "timer"),
                 (double)number_of(e, "timer_ms") / 1000);
    put_line(file, text_of(e, "protocol"), text_of(e, "state"), receive, send,
             name_of(e, "local_address", "local_port", local),
             name_of(e, "peer_address", "peer_port", peer), timer);
    if (json_object_get(e, "congestion"))
        put_details(file, e);
}
