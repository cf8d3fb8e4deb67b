/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/prng.h"
#include "base/timer.h"
#include "stack_counter.h"

#define HOSTS       2
#define FILES_MAX   160
#define HANDLES_MAX 160
#define WORK_MAX    64
#define UNTIL_NS    (60 * PAIR_S)
#define PATH_BYTES  256
#define START_NS    (1000 * PAIR_S)
#define ROUNDS_MAX  100000 /* at one instant: more is a callback that never gets anywhere */

/* On its way to a host. */
struct packet {
    STAILQ_ENTRY(packet) link;
    uint64_t arrives_ns;
    struct strait_offload offload;
    size_t length;
    uint8_t bytes[];
};

struct host {
    struct strait *stack;
    struct strait_link link;
    struct pair *pair;
    uint64_t sent;
    STAILQ_HEAD(, packet) arriving; /* in the order of arrival, for the delay is constant */
};

struct file {
    const char *path;
    const void *bytes;
    size_t length;
    int64_t changed_ns;
};

/* Work that has been accepted. */
struct labour {
    struct strait_work *work; /* NULL: none */
    uint64_t due_ns;
};

struct pair {
    struct strait_env env;
    struct timer_wheel timers;
    struct prng prng;
    uint64_t now_ns;
    uint64_t delay_ns;
    struct host hosts[HOSTS];

    bool (*pass)(void *context, int from, const uint8_t *packet, size_t length);
    void *pass_context;

    struct file files[FILES_MAX];
    size_t file_count;
    uint64_t opened; /* by file_open_below */
    const struct file *handles[HANDLES_MAX];
    struct labour labours[WORK_MAX];
    uint64_t work_ns;
};

static struct pair *pair_of(struct strait_env *env)
{
    return (struct pair *)(void *)((char *)env - offsetof(struct pair, env));
}

/* ---- Links ---- */

static int link_send(struct strait_link *link, const struct iovec *parts, int count,
                     const struct strait_offload *offload)
{
    struct host *from = (struct host *)(void *)((char *)link - offsetof(struct host, link));
    struct pair *pair = from->pair;
    int number = (int)(from - pair->hosts);
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;

    struct packet *packet = malloc(sizeof(*packet) + length);
    assert_non_null(packet);
    packet->length = 0;
    for (int i = 0; i < count; i++) {
        memcpy(packet->bytes + packet->length, parts[i].iov_base, parts[i].iov_len);
        packet->length += parts[i].iov_len;
    }
    packet->offload = offload ? *offload : (struct strait_offload){0};
    packet->arrives_ns = pair->now_ns + pair->delay_ns;

    from->sent++;
    if (packet->offload.gso == STRAIT_GSO_NONE)
        assert_true(length <= link->mtu);
    if (packet->offload.checksum != STRAIT_CHECKSUM_COMPLETE)
        assert_true(link->features & STRAIT_LINK_CHECKSUM);
    if (pair->pass && !pair->pass(pair->pass_context, number, packet->bytes, length))
        free(packet);
    else
        STAILQ_INSERT_TAIL(&pair->hosts[1 - number].arriving, packet, link);
    return 0;
}

static void receive_due(struct pair *pair, struct host *host)
{
    struct packet *packet;
    while ((packet = STAILQ_FIRST(&host->arriving)) && packet->arrives_ns <= pair->now_ns) {
        STAILQ_REMOVE_HEAD(&host->arriving, link);
        strait_input(host->stack, &host->link, packet->bytes, packet->length, &packet->offload,
                     pair->now_ns);
        free(packet);
    }
}

/* ---- Time ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Returns when work will be done. */
static uint64_t do_work(struct pair *pair)
{
    uint64_t next_ns = STRAIT_NEVER;
    for (size_t i = 0; i < WORK_MAX; i++) {
        struct labour *labour = &pair->labours[i];
        struct strait_work *work = labour->work;
        if (work && labour->due_ns <= pair->now_ns) {
            labour->work = NULL;
            work->run(work);
            work->done(work);
        }
    }
    for (size_t i = 0; i < WORK_MAX; i++)
        if (pair->labours[i].work)
            next_ns = earlier(next_ns, pair->labours[i].due_ns);
    return next_ns;
}

/* Does all that is due now, until there is nothing more. Returns when something will be. */
static uint64_t settle(struct pair *pair)
{
    uint64_t next_ns;
    int rounds = 0;
    do {
        assert_true(++rounds < ROUNDS_MAX);
        next_ns = STRAIT_NEVER;
        timer_wheel_advance(&pair->timers, pair->now_ns);
        uint64_t work_ns = do_work(pair);
        for (int i = 0; i < HOSTS; i++) {
            struct host *host = &pair->hosts[i];
            receive_due(pair, host);
            strait_dispatch(host->stack);
            next_ns = earlier(next_ns, strait_advance(host->stack, pair->now_ns));
        }
        for (int i = 0; i < HOSTS; i++) {
            const struct packet *packet = STAILQ_FIRST(&pair->hosts[i].arriving);
            next_ns = earlier(next_ns, packet ? packet->arrives_ns : STRAIT_NEVER);
        }
        next_ns = earlier(next_ns, timer_wheel_next(&pair->timers));
        next_ns = earlier(next_ns, work_ns);
    } while (next_ns <= pair->now_ns);
    return next_ns;
}

/*
 * Goes on to the next event, or to the deadline if that comes first, and lets it happen: between
 * steps, when the test calls sockets, both stacks know the time.
 */
static void step(struct pair *pair, uint64_t deadline_ns)
{
    uint64_t next_ns = earlier(settle(pair), deadline_ns);
    if (next_ns == STRAIT_NEVER)
        fail_msg("a call waits for what will never happen");
    pair->now_ns = next_ns;
    settle(pair);
}

void pair_run(struct pair *pair, uint64_t duration_ns)
{
    uint64_t end_ns = pair->now_ns + duration_ns;
    while (pair->now_ns < end_ns)
        step(pair, end_ns);
}

void pair_until(struct pair *pair, bool (*reached)(void *context), void *context)
{
    uint64_t end_ns = pair->now_ns + UNTIL_NS;
    while (!reached(context)) {
        if (pair->now_ns >= end_ns)
            fail_msg("what was waited for has not happened within a minute of virtual time");
        step(pair, end_ns);
    }
}

/* ---- The environment ---- */

static uint64_t env_now(struct strait_env *env)
{
    return pair_of(env)->now_ns;
}

static void env_random(struct strait_env *env, void *bytes, size_t length)
{
    for (uint8_t *p = bytes; length > 0; length--)
        *p++ = (uint8_t)prng_next(&pair_of(env)->prng);
}

static void env_timer_start(struct strait_env *env, struct strait_timer *timer,
                            uint64_t deadline_ns)
{
    timer_start(&pair_of(env)->timers, timer, deadline_ns);
}

static void env_timer_stop(struct strait_env *env, struct strait_timer *timer)
{
    timer_stop(&pair_of(env)->timers, timer);
}

/* It begins with the example of RFC 9110 5.6.7. */
static int64_t env_wall_clock(struct strait_env *env)
{
    return (int64_t)(PAIR_WALL_S * PAIR_S + pair_of(env)->now_ns - START_NS);
}

static int env_execute(struct strait_env *env, struct strait_work *work)
{
    struct pair *pair = pair_of(env);
    for (size_t i = 0; i < WORK_MAX; i++) {
        if (pair->labours[i].work)
            continue;
        pair->labours[i] = (struct labour){work, pair->now_ns + pair->work_ns};
        return 0;
    }
    errno = EAGAIN;
    return -1;
}

void pair_work_takes(struct pair *pair, uint64_t duration_ns)
{
    pair->work_ns = duration_ns;
}

static int env_wait(struct strait_env *env, uint64_t deadline_ns)
{
    struct pair *pair = pair_of(env);
    step(pair, deadline_ns);
    return 0;
}

static const struct file *find_file(const struct pair *pair, const char *path)
{
    for (size_t i = 0; i < pair->file_count; i++)
        if (strcmp(pair->files[i].path, path) == 0)
            return &pair->files[i];
    return NULL;
}

/* As open(2), for reading only. */
static int env_file_open(struct strait_env *env, const char *path, int flags)
{
    struct pair *pair = pair_of(env);
    const struct file *file = find_file(pair, path);
    errno = ENOENT;
    if (!file)
        return -1;
    errno = ENOTDIR;
    if ((flags & O_DIRECTORY) && file->bytes)
        return -1;
    for (int handle = 0; handle < HANDLES_MAX; handle++) {
        if (pair->handles[handle])
            continue;
        pair->handles[handle] = file;
        return handle;
    }
    errno = EMFILE;
    return -1;
}

/* The file of a handle; a handle that is not open fails the test. */
static const struct file *file_of(struct strait_env *env, int handle)
{
    assert_true(handle >= 0 && handle < HANDLES_MAX);
    assert_non_null(pair_of(env)->handles[handle]);
    return pair_of(env)->handles[handle];
}

static int env_file_close(struct strait_env *env, int handle)
{
    file_of(env, handle);
    pair_of(env)->handles[handle] = NULL;
    return 0;
}

static ssize_t env_file_read(struct strait_env *env, int handle, void *bytes, size_t length,
                             uint64_t offset)
{
    const struct file *file = file_of(env, handle);
    assert_non_null(file->bytes);
    if (offset >= file->length)
        return 0;
    if (length > file->length - offset)
        length = (size_t)(file->length - offset);
    memcpy(bytes, (const char *)file->bytes + offset, length);
    return (ssize_t)length;
}

static int64_t env_file_size(struct strait_env *env, int handle)
{
    return (int64_t)file_of(env, handle)->length;
}

/* Joins a path to the one of an open directory, or of the file itself if it is empty. */
static void join(struct pair *pair, int directory, const char *path, char joined[PATH_BYTES])
{
    bool same = *path == '\0' || strcmp(path, ".") == 0;
    const char *base = file_of(&pair->env, directory)->path;
    int length = same ? snprintf(joined, PATH_BYTES, "%s", base)
                      : snprintf(joined, PATH_BYTES, "%s/%s", base, path);
    assert_in_range(length, 1, PATH_BYTES - 1);
    if (joined[length - 1] == '/')
        joined[length - 1] = '\0';
}

static int env_file_open_below(struct strait_env *env, int directory, const char *path, int flags)
{
    char joined[PATH_BYTES];
    join(pair_of(env), directory, path, joined);
    pair_of(env)->opened++;
    return env_file_open(env, joined, flags);
}

static int env_file_status(struct strait_env *env, int directory, const char *path,
                           struct strait_file_status *status)
{
    char joined[PATH_BYTES];
    const struct pair *pair = pair_of(env);
    join(pair_of(env), directory, path, joined);
    const struct file *file = find_file(pair, joined);
    errno = ENOENT;
    if (!file)
        return -1;
    *status = (struct strait_file_status){
        .number = (uint64_t)(file - pair->files) + 1,
        .size_bytes = file->length,
        .modified_ns = file->changed_ns,
        .changed_ns = file->changed_ns,
        .directory = !file->bytes,
        .regular = file->bytes,
    };
    return 0;
}

static int env_file_list(struct strait_env *env, int directory,
                         bool (*entry)(void *context, const char *name, bool is_directory),
                         void *context)
{
    const struct pair *pair = pair_of(env);
    const char *base = file_of(env, directory)->path;
    size_t base_bytes = strlen(base);
    for (size_t i = 0; i < pair->file_count; i++) {
        const struct file *f = &pair->files[i];
        const char *name = f->path + base_bytes + 1;
        if (strncmp(f->path, base, base_bytes) == 0 && f->path[base_bytes] == '/' &&
            !strchr(name, '/') && !entry(context, name, !f->bytes))
            return 0;
    }
    return 0;
}

void pair_file(struct pair *pair, const char *path, const void *bytes, size_t length)
{
    struct file *file = (struct file *)(uintptr_t)find_file(pair, path);
    if (!file) {
        assert_true(pair->file_count < FILES_MAX);
        file = &pair->files[pair->file_count++];
    }
    *file = (struct file){path, bytes, length, env_wall_clock(&pair->env)};
}

uint64_t pair_opened(const struct pair *pair)
{
    return pair->opened;
}

size_t pair_open_files(const struct pair *pair)
{
    size_t open = 0;
    for (int i = 0; i < HANDLES_MAX; i++)
        open += pair->handles[i] != NULL;
    return open;
}

/* ---- The pair ---- */

static struct in_addr host_address(int host)
{
    return (struct in_addr){.s_addr = htonl(0x0a000001 + (uint32_t)host)};
}

struct sockaddr_in pair_address(int host, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host_address(host)};
}

static void host_init(struct pair *pair, int number, const struct pair_config *config)
{
    struct host *host = &pair->hosts[number];
    host->pair = pair;
    STAILQ_INIT(&host->arriving);
    host->link = (struct strait_link){
        .size = sizeof(host->link),
        .name = number == 0 ? "left" : "right",
        .mtu = config->mtu ? config->mtu : 1500,
        .features = config->features,
        .fd = -1,
        .send = link_send,
    };

    struct strait_config stack_config;
    strait_config_init(&stack_config);
    env_random(&pair->env, stack_config.secret, sizeof(stack_config.secret));
    if (config->configure)
        config->configure(&stack_config);
    host->stack = strait_new(&stack_config, &pair->env);
    assert_non_null(host->stack);
    assert_int_equal(strait_attach(host->stack, &host->link, host_address(number), 24), 0);
}

struct pair *pair_new(const struct pair_config *config)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    assert_non_null(pair);
    pair->env = (struct strait_env){
        .size = sizeof(pair->env),
        .now = env_now,
        .random = env_random,
        .timer_start = env_timer_start,
        .timer_stop = env_timer_stop,
        .file_open = env_file_open,
        .file_close = env_file_close,
        .file_read = env_file_read,
        .file_size = env_file_size,
        .execute = env_execute,
        .wait = env_wait,
        .wall_clock = env_wall_clock,
        .file_open_below = env_file_open_below,
        .file_status = env_file_status,
        .file_list = env_file_list,
    };
    /* Not 0: a program that takes 0 for "never" would be found by no test otherwise. */
    pair->now_ns = START_NS;
    pair->delay_ns = config->delay_ns ? config->delay_ns : PAIR_MS;
    pair->work_ns = PAIR_MS;
    timer_wheel_init(&pair->timers, pair->now_ns, &pair->env);
    prng_seed(&pair->prng, 1);
    for (int i = 0; i < HOSTS; i++)
        host_init(pair, i, config);
    settle(pair); /* tells the stacks the time */
    return pair;
}

void pair_free(struct pair *pair)
{
    for (int i = 0; i < HOSTS; i++) {
        struct packet *packet;
        strait_free(pair->hosts[i].stack);
        while ((packet = STAILQ_FIRST(&pair->hosts[i].arriving))) {
            STAILQ_REMOVE_HEAD(&pair->hosts[i].arriving, link);
            free(packet);
        }
    }
    free(pair);
}

struct strait *pair_stack(struct pair *pair, int host)
{
    return pair->hosts[host].stack;
}

struct strait_env *pair_env(struct pair *pair)
{
    return &pair->env;
}

void pair_filter(struct pair *pair,
                 bool (*pass)(void *context, int from, const uint8_t *packet, size_t length),
                 void *context)
{
    pair->pass = pass;
    pair->pass_context = context;
}

uint64_t pair_packets(const struct pair *pair, int host)
{
    return pair->hosts[host].sent;
}

uint64_t pair_counter(struct pair *pair, int host, const char *name)
{
    return stack_counter(pair->hosts[host].stack, name);
}
