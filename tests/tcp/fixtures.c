/* SPDX-License-Identifier: MIT */
#include "fixtures.h"

#include <stdio.h>

#undef recv

#define BACKLOG 8

/* The list of options of a SYN with these terms; with `ecr` it answers a SYN. */
static void write_terms(const struct script *s, struct terms *terms, uint32_t ecr, char *text,
                        size_t text_bytes)
{
    terms->mss = terms->mss ? terms->mss : 1460;
    terms->window = terms->window ? terms->window : DEFAULT_WINDOW;
    char scale[32] = "", timestamps[64] = "";
    if (terms->scale)
        snprintf(scale, sizeof scale, ",nop,wscale %d", terms->scale);
    if (terms->timestamps)
        snprintf(timestamps, sizeof timestamps, ",nop,nop,TS val %u ecr %u", script_remote_ts(s),
                 ecr);
    snprintf(text, text_bytes, "win %u <mss %u%s%s%s>", terms->window, terms->mss, scale,
             timestamps, terms->sack ? ",sackOK" : "");
}

void fixture_syn_received(struct script *s, struct place place, struct terms terms)
{
    char text[128];
    write_terms(s, &terms, 0, text, sizeof text);
    s->flow->remote_window = terms.window;
    if (s->listener < 0)
        script_app_listen(s, place, BACKLOG);
    script_recv(s, place, "S 0:0(0) %s", text);
    script_expect(s, place, "S. 0:0(0) ack 1 <*>");
}

void fixture_established(struct script *s, struct place place, struct terms terms)
{
    fixture_syn_received(s, place, terms);
    script_recv(s, place, ". 1:1(0) ack 1");
    script_app_accept(s, place);
}

void fixture_syn_sent(struct script *s, struct place place)
{
    script_app_connect(s, place);
    script_expect(s, place, "S 0:0(0) <*>");
}

void fixture_established_active(struct script *s, struct place place, struct terms terms)
{
    fixture_syn_sent(s, place);
    char text[128];
    write_terms(s, &terms, s->flow->local_ts_last - s->flow->local_ts, text, sizeof text);
    s->flow->remote_window = terms.window;
    script_recv(s, place, "S. 0:0(0) ack 1 %s", text);
    script_expect(s, place, ". 1:1(0) ack 1");
}

void fixture_fin_wait_1(struct script *s, struct place place)
{
    fixture_established(s, place, (struct terms){0});
    script_app_shutdown(s, place, SHUT_WR);
    script_expect(s, place, "F. 1:1(0) ack 1");
}

void fixture_fin_wait_2(struct script *s, struct place place)
{
    fixture_fin_wait_1(s, place);
    script_recv(s, place, ". 1:1(0) ack 2");
}

void fixture_closing(struct script *s, struct place place)
{
    fixture_fin_wait_1(s, place);
    script_recv(s, place, "F. 1:1(0) ack 1");
    script_expect(s, place, ". 2:2(0) ack 2");
}

void fixture_time_wait(struct script *s, struct place place)
{
    fixture_fin_wait_2(s, place);
    script_recv(s, place, "F. 1:1(0) ack 2");
    script_expect(s, place, ". 2:2(0) ack 2");
}

void fixture_close_wait(struct script *s, struct place place)
{
    fixture_established(s, place, (struct terms){0});
    script_recv(s, place, "F. 1:1(0) ack 1");
    script_expect(s, place, ". 1:1(0) ack 2");
}

void fixture_last_ack(struct script *s, struct place place)
{
    fixture_close_wait(s, place);
    script_app_shutdown(s, place, SHUT_WR);
    script_expect(s, place, "F. 1:1(0) ack 2");
}

void fixture_send_and_expect(struct script *s, struct place place, uint32_t bytes, uint32_t mss,
                             uint32_t ack)
{
    uint32_t seq = 1 + s->flow->app_sent, end = seq + bytes;
    script_app_send(s, place, bytes);
    for (uint32_t length; seq < end; seq += length) {
        length = end - seq < mss ? end - seq : mss;
        script_expect(s, place, "%s %u:%u(%u) ack %u", seq + length == end ? "P." : ".", seq,
                      seq + length, length, ack);
    }
}
