/* SPDX-License-Identifier: MIT */
/*
 * Two hosts, and between them a middle that knows TCP: it keeps checksums and sequence numbers
 * right where it wants to be heard, and the fuzzer's bytes decide what it does (middle.h).
 *
 * The input is a byte of enum setting, five bytes that describe the work, and then the middle's
 * script. The client, host 0, connects to the server, host 1; each sends the other a stream of a
 * given length, closes its side, and reads to the end of the other's stream.
 *
 *     client's and server's streams    1 byte each, times 64 and 1 more
 *     receive buffers                  1 byte, 4 bits each, times 2 KiB and 2 KiB more
 *     pace of reading                  1 byte each, times 256 bytes each 100 ms; 0: at once
 *
 * Promised, besides rig.h: what is read is what was written, in order, and the end comes where it
 * is. When the middle is healed both ends finish in bounded time; an error is had by none unless a
 * host gave up in despair, as it may after many losses. All this holds unless somebody on the path
 * forged exactly; then the hosts still come to rest.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "middle.h"
#include "rig.h"
#include "targets.h"

enum setting {
    SETTING_NO_TIMESTAMPS = 1,
    SETTING_NO_SCALING = 2,
    SETTING_NO_SACK = 4,
    SETTING_ECN = 8,
    SETTING_NODELAY = 16,
    SETTING_TIGHT_MEMORY = 32,
    SETTING_OTHERS_DEFAULT = 64, /* the server has none of the above */
};

#define SERVER_PORT 80
#define STREAM_UNIT 64u
#define BUFFER_UNIT 2048u
#define PACE_UNIT   256u
#define PACE_NS     (100 * RIG_MS)
#define SCRIPT_MAX  4096
#define STEPS_MAX   200000
#define FINISH_NS   (4 * 3600 * RIG_S) /* of virtual time: 15 timeouts, several times over */

struct end {
    struct rig rig;
    struct fight *fight;
    int number, fd;
    uint32_t to_send, sent, to_receive, received;
    uint32_t pace; /* bytes that may be read now */
    uint32_t pace_bytes;
    uint64_t pace_ns; /* when there are more, if pace_bytes is not 0 */
    bool shut, ended;
    int error;
};

struct fight {
    struct end ends[2];
    struct middle middle;
    int listener;
    uint64_t now_ns;
};

static uint8_t stream_byte(int from, uint32_t position)
{
    return (uint8_t)(position * 7 + (position >> 8) * 13 + (position >> 16) + (uint32_t)from);
}

/* ---- The application at an end --------------------------------------------------------------- */

static bool is_done(const struct end *e)
{
    return e->error || (e->shut && e->ended);
}

static void note_error(struct end *e, ssize_t result)
{
    if (result < 0 && errno != EAGAIN)
        e->error = errno;
}

static void send_some(struct end *e)
{
    uint8_t bytes[1024];
    ssize_t taken = 0;

    while (e->sent < e->to_send && taken >= 0) {
        uint32_t left = e->to_send - e->sent;
        uint32_t length = left < sizeof(bytes) ? left : sizeof(bytes);
        for (uint32_t i = 0; i < length; i++)
            bytes[i] = stream_byte(e->number, e->sent + i);
        taken = strait_send(e->rig.stack, e->fd, bytes, length, 0);
        e->sent += taken > 0 ? (uint32_t)taken : 0;
    }
    note_error(e, taken);
    if (e->sent == e->to_send && !e->shut && !e->error)
        e->shut = strait_shutdown(e->rig.stack, e->fd, SHUT_WR) == 0;
}

static void receive_some(struct end *e)
{
    uint8_t bytes[1024];
    ssize_t given = 1;

    while (given > 0 && !e->ended && !e->error) {
        size_t length = sizeof(bytes);
        if (e->pace_bytes > 0)
            length = e->pace < length ? e->pace : length;
        if (length == 0)
            return;
        given = strait_recv(e->rig.stack, e->fd, bytes, length, 0);
        e->ended = given == 0;
        note_error(e, given);
        for (ssize_t i = 0; i < given && !e->fight->middle.tainted; i++)
            CHECK(bytes[i] == stream_byte(1 - e->number, e->received + (uint32_t)i));
        e->received += given > 0 ? (uint32_t)given : 0;
        e->pace -= e->pace_bytes > 0 && given > 0 ? (uint32_t)given : 0;
    }
    if (e->ended && !e->fight->middle.tainted)
        CHECK(e->received == e->to_receive);
}

static void accept_client(struct fight *f)
{
    struct end *server = &f->ends[1];

    if (server->fd < 0 && f->listener >= 0 && !is_done(server))
        server->fd = strait_accept4(server->rig.stack, f->listener, NULL, NULL, SOCK_NONBLOCK);
}

/* Does what can be done now. */
static void work(struct end *e)
{
    if (e->number == 1)
        accept_client(e->fight);
    if (e->fd < 0 || is_done(e))
        return;
    if (e->pace_bytes > 0 && e->fight->now_ns >= e->pace_ns) {
        e->pace = e->pace_bytes;
        e->pace_ns = e->fight->now_ns + PACE_NS;
    }
    send_some(e);
    receive_some(e);
    if (is_done(e)) {
        CHECK(strait_close(e->rig.stack, e->fd) == 0);
        e->fd = -1;
    }
}

/* ---- The course of time ---------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Lets all that is due now happen. Returns when something will be. */
static uint64_t settle(struct fight *f)
{
    uint64_t next_ns;

    middle_deliver(&f->middle, f->now_ns);
    for (int i = 0; i < 2; i++)
        work(&f->ends[i]);
    next_ns = earlier(rig_turn(&f->ends[0].rig, f->now_ns), rig_turn(&f->ends[1].rig, f->now_ns));
    for (int i = 0; i < 2; i++)
        if (f->ends[i].fd >= 0 && f->ends[i].pace_bytes > 0 && f->ends[i].pace == 0)
            next_ns = earlier(next_ns, f->ends[i].pace_ns);
    return earlier(next_ns, middle_next(&f->middle));
}

/* Until both ends are done, or nothing more will happen, or it has taken too long. */
static void run(struct fight *f)
{
    uint64_t end_ns = f->now_ns + FINISH_NS, next_ns;
    int steps = 0;

    while ((next_ns = settle(f)) < end_ns && !(is_done(&f->ends[0]) && is_done(&f->ends[1]))) {
        CHECK(++steps <= STEPS_MAX);
        f->now_ns = next_ns;
    }
}

/* The sockets are closed: until nothing is under way any more. */
static void calm(struct fight *f)
{
    uint64_t end_ns = f->now_ns + FINISH_NS, next_ns;
    int steps = 0;

    f->middle.script = reader_over("", 0);
    while ((next_ns = settle(f)) != STRAIT_NEVER) {
        CHECK(++steps <= STEPS_MAX);
        CHECK(next_ns < end_ns);
        f->now_ns = next_ns;
    }
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

static void sent(struct rig *rig, const uint8_t *packet, size_t length,
                 const struct strait_offload *offload)
{
    struct end *e = rig->context;

    (void)offload;
    middle_take(&e->fight->middle, e->number, packet, length, e->fight->now_ns);
}

static void open_end(struct fight *f, int number, uint8_t setting, uint8_t buffers)
{
    struct end *e = &f->ends[number];
    struct strait_config config;

    if (number == 1 && setting & SETTING_OTHERS_DEFAULT)
        setting = 0;
    rig_configure(&config);
    config.timestamps = !(setting & SETTING_NO_TIMESTAMPS);
    config.window_scaling = !(setting & SETTING_NO_SCALING);
    config.sack = !(setting & SETTING_NO_SACK);
    config.ecn = setting & SETTING_ECN ? STRAIT_ECN_REQUEST : STRAIT_ECN_ANSWER;
    config.receive_buffer_bytes =
        ((uint32_t)buffers >> 4 * number) % 16 * BUFFER_UNIT + BUFFER_UNIT;
    if (setting & SETTING_TIGHT_MEMORY)
        config.memory_max_bytes /= 4;
    rig_open(&e->rig, number, &config, 0);
    e->rig.sent = sent;
    e->rig.context = e;
    e->fight = f;
    e->number = number;
    e->fd = -1;
}

static int open_socket(struct end *e, uint8_t setting)
{
    int on = (setting & SETTING_NODELAY) != 0;
    int fd = strait_socket(e->rig.stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    CHECK(fd >= 0);
    CHECK(strait_setsockopt(e->rig.stack, fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
    return fd;
}

static void begin(struct fight *f, struct reader *r)
{
    struct sockaddr_in any = rig_sockaddr(INADDR_ANY, SERVER_PORT);
    struct sockaddr_in to = rig_sockaddr(RIG_ADDRESS + 1, SERVER_PORT);
    struct end *client = &f->ends[0], *server = &f->ends[1];

    memset(f, 0, sizeof(*f));
    f->now_ns = RIG_START;
    uint8_t setting = read_u8(r);
    client->to_send = read_u8(r) * STREAM_UNIT + 1;
    server->to_send = read_u8(r) * STREAM_UNIT + 1;
    client->to_receive = server->to_send;
    server->to_receive = client->to_send;
    uint8_t buffers = read_u8(r);
    client->pace_bytes = read_u8(r) * PACE_UNIT;
    server->pace_bytes = read_u8(r) * PACE_UNIT;
    open_end(f, 0, setting, buffers);
    open_end(f, 1, setting, buffers);
    middle_init(&f->middle, &client->rig, &server->rig,
                reader_over(r->at, r->left < SCRIPT_MAX ? r->left : SCRIPT_MAX));

    f->listener = open_socket(server, setting);
    CHECK(strait_bind(server->rig.stack, f->listener, (struct sockaddr *)&any, sizeof(any)) == 0);
    CHECK(strait_listen(server->rig.stack, f->listener, 1) == 0);
    client->fd = open_socket(client, setting);
    CHECK(strait_connect(client->rig.stack, client->fd, (struct sockaddr *)&to, sizeof(to)) < 0);
    CHECK(errno == EINPROGRESS);
}

static void visit_despair(void *context, const char *name, uint64_t value)
{
    static const char *const names[] = {"tcp_connections_timed_out", "tcp_orphans_timed_out",
                                        "tcp_half_open_expired"};
    bool *despair = context;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        *despair = *despair || (value > 0 && strcmp(name, names[i]) == 0);
}

static void check_outcome(const struct fight *f)
{
    bool despair = f->middle.tainted;

    for (int i = 0; i < 2; i++)
        strait_counters(f->ends[i].rig.stack, visit_despair, &despair);
    for (int i = 0; i < 2 && !despair; i++) {
        CHECK(is_done(&f->ends[i]));
        CHECK(f->ends[i].error == 0);
    }
}

int fuzz_aware(const uint8_t *bytes, size_t length)
{
    static struct fight fight;
    struct fight *f = &fight;
    struct reader r = reader_over(bytes, length);

    begin(f, &r);
    run(f);
    check_outcome(f);
    for (int i = 0; i < 2; i++) {
        struct end *e = &f->ends[i];
        if (e->fd >= 0)
            CHECK(strait_close(e->rig.stack, e->fd) == 0);
        e->fd = -1;
        e->error = ECANCELED;
    }
    CHECK(strait_close(f->ends[1].rig.stack, f->listener) == 0);
    f->listener = -1;
    calm(f);
    rig_rest(&f->ends[0].rig, &f->now_ns);
    rig_rest(&f->ends[1].rig, &f->now_ns);
    middle_finish(&f->middle);
    return 0;
}
