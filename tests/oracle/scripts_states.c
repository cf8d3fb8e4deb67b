/* SPDX-License-Identifier: MIT */
/*
 * The state machine, RFC 9293 3.10: each thing that can happen, in each synchronized state and in
 * SYN-RECEIVED; what happens is followed by a look at what has become of the connection. SYN-SENT,
 * where other rules hold (3.10.7.3), is in scripts_open.c.
 */
#include <sys/socket.h>

#include "scripts.h"

#define WINDOW 100    /* a step that stays inside every window */
#define FAR    200000 /* and one that leaves the largest, without scaling */

/* Whether there is still a connection, and what its socket says of it. */
static void look(struct trial *t)
{
    peer(t, ". %u:%u(0) ack %u", peer_next(t), peer_next(t), peer_acks(t));
    if (t->flow->fd < 0)
        return;
    app_events(t);
    app_error(t);
    app_recv(t, 1000);
}

/* A bare segment at a distance from what is expected next. */
static void bare(struct trial *t, const char *flags, uint32_t distance)
{
    uint32_t seq = peer_next(t) + distance;
    peer(t, "%s %u:%u(0)", flags, seq, seq);
    look(t);
}

static void with_ack(struct trial *t, const char *flags, uint32_t distance, unsigned length)
{
    uint32_t seq = peer_next(t) + distance;
    peer_then_rest(t, "%s %u:%u(%u) ack %u", flags, seq, seq + length, length, peer_acks(t));
}

/* ---- RST, RFC 5961 3.2 ---- */

static void rst_at_the_next_byte(struct trial *t)
{
    bare(t, "R", 0);
}

static void rst_elsewhere_in_the_window(struct trial *t)
{
    bare(t, "R", WINDOW);
}

static void rst_outside_the_window(struct trial *t)
{
    bare(t, "R", FAR);
}

static void rst_before_the_window(struct trial *t)
{
    bare(t, "R", UINT32_MAX);
}

static void rst_with_ack_at_the_next_byte(struct trial *t)
{
    with_ack(t, "R.", 0, 0);
    look(t);
}

/* ---- SYN, RFC 5961 4.2 ---- */

static void syn_in_the_window(struct trial *t)
{
    bare(t, "S", WINDOW);
}

static void syn_outside_the_window(struct trial *t)
{
    bare(t, "S", FAR);
}

static void syn_ack_in_the_window(struct trial *t)
{
    with_ack(t, "S.", WINDOW, 0);
    look(t);
}

static void the_first_syn_again(struct trial *t)
{
    peer(t, "S 0:0(0) <mss 1460>");
    look(t);
}

/* ---- ACK, RFC 5961 5.2 ---- */

static void ack_of_what_was_never_sent(struct trial *t)
{
    uint32_t seq = peer_next(t);
    peer(t, ". %u:%u(0) ack %u", seq, seq, peer_acks(t) + 1000);
    look(t);
}

static void ack_older_than_any_window(struct trial *t)
{
    uint32_t seq = peer_next(t);
    peer(t, ". %u:%u(0) ack %u", seq, seq, peer_acks(t) - FAR);
    look(t);
}

static void text_without_ack(struct trial *t)
{
    uint32_t seq = peer_next(t);
    peer_then_rest(t, "P %u:%u(100)", seq, seq + 100);
    look(t);
}

static void no_flags_at_all(struct trial *t)
{
    bare(t, "-", 0);
}

/* ---- Text and FIN ---- */

static void text_arrives(struct trial *t)
{
    with_ack(t, "P.", 0, 100);
    look(t);
}

static void text_outside_the_window(struct trial *t)
{
    with_ack(t, "P.", FAR, 100);
    look(t);
}

static void fin_arrives(struct trial *t)
{
    with_ack(t, "F.", 0, 0);
    look(t);
}

static void the_last_byte_or_fin_again(struct trial *t)
{
    with_ack(t, "F.", UINT32_MAX, 0);
    look(t);
}

static void fin_outside_the_window(struct trial *t)
{
    with_ack(t, "F.", FAR, 0);
    look(t);
}

/* ---- Calls, RFC 9293 3.10.2 and 3.10.4 ---- */

static void send_is_called(struct trial *t)
{
    app_send(t, 100);
    look(t);
}

static void close_is_called(struct trial *t)
{
    app_close(t);
    look(t);
}

static void close_with_linger_0_is_called(struct trial *t)
{
    app_linger(t, 0);
    app_close(t);
    look(t);
}

static void both_sides_are_shut(struct trial *t)
{
    app_shutdown(t, SHUT_RDWR);
    look(t);
}

#define IN_SYNCHRONIZED(what)                                                                      \
    SCRIPT_IN(established, what), SCRIPT_IN(fin_wait_1, what), SCRIPT_IN(fin_wait_2, what),        \
        SCRIPT_IN(close_wait, what), SCRIPT_IN(closing, what), SCRIPT_IN(last_ack, what),          \
        SCRIPT_IN(time_wait, what)
#define IN_ALL(what) SCRIPT_IN(syn_received, what), IN_SYNCHRONIZED(what)

static const struct script scripts[] = {
    IN_ALL(rst_at_the_next_byte),
    IN_ALL(rst_elsewhere_in_the_window),
    IN_ALL(rst_outside_the_window),
    IN_ALL(rst_before_the_window),
    IN_ALL(rst_with_ack_at_the_next_byte),
    IN_ALL(syn_in_the_window),
    IN_ALL(syn_outside_the_window),
    IN_ALL(syn_ack_in_the_window),
    IN_ALL(the_first_syn_again),
    IN_ALL(ack_of_what_was_never_sent),
    IN_ALL(ack_older_than_any_window),
    IN_ALL(text_without_ack),
    IN_ALL(no_flags_at_all),
    IN_ALL(text_arrives),
    IN_ALL(text_outside_the_window),
    IN_ALL(fin_arrives),
    IN_ALL(the_last_byte_or_fin_again),
    IN_ALL(fin_outside_the_window),
    IN_SYNCHRONIZED(send_is_called),
    IN_SYNCHRONIZED(close_is_called),
    IN_SYNCHRONIZED(close_with_linger_0_is_called),
    IN_SYNCHRONIZED(both_sides_are_shut),
};

const struct chapter chapter_states = CHAPTER(scripts);
