/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what a client says to the gRPC server: through nghttp2 and its callbacks, the
 * framing of messages and protobuf, up to primes, health and reflection; on a stream that is
 * nothing but the input.
 *
 * The input is a byte that says how the rest arrives (line.h; an HTTP/2 client's first words may
 * stand in front of it), and the rest.
 *
 * Promised: what the server says is whole frames, and not much more than it was told; when the
 * client has ended nothing is left: no session, no stream, no memory, no timer.
 */
#include "base/check.h"
#include "line.h"
#include "offer.h"
#include "rpc/grpc.h"
#include "targets.h"

#define FRAME_MAX (16384 + 9)

static const char first_words[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

static void check_output(const struct line *l, size_t input_bytes)
{
    size_t at = 0;
    while (at + 9 <= l->output_bytes) {
        const uint8_t *head = l->output + at;
        size_t length = 9 + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]);
        CHECK(length <= FRAME_MAX);
        at += length;
    }
    /* The longest answer for its question is what reflection says of a file. */
    CHECK(l->output_bytes <= 1000 + input_bytes * 400);
}

int fuzz_grpc(const uint8_t *bytes, size_t length)
{
    struct line line;
    struct offer offer;
    if (length < 1)
        return 0;
    line_open(&line, first_words, sizeof(first_words) - 1, bytes + 1, length - 1, bytes[0]);
    CHECK(offer_init(&offer, &line.env) == 0);
    CHECK(offer_grpc(&offer, &line.host, GRPC_PORT) == 0);
    line_drive(&line);
    CHECK(line_at_rest(&line) && server_sessions(offer.grpc) == 0);
    check_output(&line, line.words_bytes + length);
    offer_free(&offer);
    line_close(&line);
    return 0;
}
