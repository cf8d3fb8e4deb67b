/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bureau.h"
#include "primes/primes.pb-c.h"

#define PIECE_BYTES 1000

/* ---- The service of the tests ---- */

/* The sum of the sequence and the amount. */
static enum rpc_code add(void *context, const uint8_t *arguments, uint8_t *result)
{
    (void)context;
    uint64_t sequence = rpc_identity_unmarshal(arguments).sequence;
    rpc_put32(result, (uint32_t)sequence + rpc_get32(arguments + RPC_IDENTITY_BYTES));
    return RPC_OK;
}

/* Sends as long as there is room. */
static void send_pieces(struct bureau *b, struct rpc_job *job)
{
    uint8_t *piece = calloc(1, b->piece_bytes);
    bool room = true;
    assert_non_null(piece);
    while (room && b->sent < b->to_send) {
        b->sent++;
        room = rpc_send(job, piece, b->piece_bytes);
    }
    free(piece);
    if (room)
        rpc_end(job, RPC_OK, NULL);
}

static void piece_message(void *context, struct rpc_job *job, const uint8_t *bytes, size_t length)
{
    (void)bytes, (void)length;
    send_pieces(context, job);
}

static void piece_room(void *context, struct rpc_job *job)
{
    send_pieces(context, job);
}

static void piece_cancelled(void *context, struct rpc_job *job)
{
    (void)job;
    ((struct bureau *)context)->cancelled++;
}

static const struct rpc_streaming pieces = {
    .message = piece_message, .room = piece_room, .cancelled = piece_cancelled};

static const struct rpc_procedure procedures[] = {
    {.id = 1,
     .name = "add",
     .argument_bytes = RPC_IDENTITY_BYTES + 4,
     .result_bytes = 4,
     .class = RPC_ONCE,
     .identified = true,
     .run = add},
    {.name = "pieces",
     .argument_bytes = RPC_ANY_SIZE,
     .result_bytes = RPC_ANY_SIZE,
     .class = RPC_PURE,
     .streaming = &pieces},
};

static const struct rpc_messages own_messages = {&strait__primes__descriptor, procedures};
const struct rpc_messages *const bureau_messages[] = {&own_messages, NULL};

static void register_own(struct bureau *b)
{
    const struct rpc_service service = {
        .name = "tests", .procedures = procedures, .count = 2, .context = b};
    b->offer.rpc = rpc_new(pair_env(b->pair));
    assert_non_null(b->offer.rpc);
    assert_int_equal(rpc_register(b->offer.rpc, &service), 0);
}

/* ---- */

void bureau_start(struct bureau *b)
{
    const struct stream_host host = stream_host_strait(pair_stack(b->pair, 1), pair_env(b->pair));
    b->server = grpc_start(&host, b->offer.rpc, &b->config);
    assert_non_null(b->server);
}

void bureau_crash(struct bureau *b)
{
    server_free(b->server);
    b->server = NULL;
}

struct bureau *bureau_new_on(const struct pair_config *pair, bool own,
                             const struct grpc_config *config)
{
    struct bureau *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    if (config)
        b->config = *config;
    b->piece_bytes = PIECE_BYTES;
    b->pair = pair_new(pair);
    if (own)
        register_own(b);
    else
        assert_int_equal(offer_init(&b->offer, pair_env(b->pair)), 0);
    b->config.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(BUREAU_PORT)};
    b->config.messages = own ? bureau_messages : offer_messages;
    bureau_start(b);
    return b;
}

struct bureau *bureau_new(bool own, const struct grpc_config *config)
{
    return bureau_new_on(&(struct pair_config){0}, own, config);
}

void bureau_free(struct bureau *b)
{
    pair_run(b->pair, 200 * PAIR_S);
    if (b->server)
        assert_int_equal(server_sessions(b->server), 0);
    assert_true(strait_memory(pair_stack(b->pair, 1)) == 0);
    server_free(b->server);
    offer_free(&b->offer);
    pair_free(b->pair);
    free(b);
}

const struct rpc_counters *bureau_counters(struct bureau *b)
{
    return rpc_counters(b->offer.rpc);
}

void bureau_expect(const struct told *t, const void *body, size_t body_bytes)
{
    assert_int_equal(t->http, 200);
    assert_int_equal(t->status, 0);
    assert_int_equal(t->body_bytes, body_bytes);
    assert_memory_equal(t->body, body, body_bytes);
}

void bureau_expect_status(const struct told *t, int status, const char *text)
{
    assert_int_equal(t->http, 200);
    assert_string_equal(t->text, text);
    assert_int_equal(t->status, status);
    assert_int_equal(t->body_bytes, 0);
}

void bureau_expect_service(struct bureau *b)
{
    struct caller *c = caller_new(b->pair, BUREAU_PORT);
    int32_t id = caller_ask(c, ITH_PRIME, ITH_PRIME_5, 7, true, NULL, 0);
    bureau_expect(caller_hear(c, id), "\0\0\0\0\2\x08\x0d", 7);
    caller_free(c);
}
