/* SPDX-License-Identifier: MIT */
/*
 * The driver of a virtual host, and its environment. A turn has the order of host/loop.c: packets
 * (which came in before), dispatch, timers of the environment, work that is done, posts, and at
 * last strait_advance, which sends and tells when it wants to be called again. A turn that leaves
 * something due is followed by another at the same instant, behind what else happens then.
 *
 * What differs from a real host, and what may be relied on:
 *
 *   - a turn takes no time: the clock stands still during it;
 *   - environment timers stand in the same wheel as on a real host, and so are late by less than
 *     its tick;
 *   - work is run at one instant, a random while after it was accepted, and done a random while
 *     later, or when the disk has done what it was told if that is later still: a crash in between
 *     leaves of it what was on the disk by then. Work that was accepted later may be run and done
 *     earlier, as on a pool of threads;
 *   - random numbers come from a generator that is seeded anew for each life;
 *   - there are no foreign descriptors, and nothing may block.
 */
#include "sim/host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"

#define WORK_MIN_NS    UINT64_C(20000) /* how long work waits for a thread */
#define WORK_SPREAD_NS UINT64_C(1000000)
#define WORK_RUN_NS    UINT64_C(1000000) /* how long it takes at most, but for the disk */

/* What a host's seed is used for: a generator of its own each. */
enum { SEED_DISK = 1, SEED_SECRET, SEED_RANDOM };

static struct world_host *host_of(struct strait_env *env)
{
    return container_of(env, struct world_host, env);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A seed for one purpose in one life. */
static uint64_t seed_for(const struct world_host *h, uint64_t purpose, uint64_t life)
{
    return hash_word(hash_word(h->seed, purpose), life);
}

/* Wakes the host at a time, unless it is paused: then all is due when it is resumed. */
static void wake_at(struct world_host *h, uint64_t at_ns)
{
    if (!h->paused)
        event_schedule(h->time, &h->turn, at_ns);
}

/* The next turn is to be at `at_ns` at the latest. In a turn, its end sees to that. */
static void wake_by(struct world_host *h, uint64_t at_ns)
{
    if (!h->busy && (!h->turn.place || at_ns < h->turn.at_ns))
        wake_at(h, at_ns);
}

/* ---- The environment: clock, random numbers, timers ------------------------------------------ */

static uint64_t env_now(struct strait_env *env)
{
    return host_of(env)->time->now_ns;
}

/* All hosts of a world have the same time of day. */
static int64_t env_wall_clock(struct strait_env *env)
{
    return (int64_t)host_of(env)->time->now_ns;
}

static void env_random(struct strait_env *env, void *bytes, size_t length)
{
    struct world_host *h = host_of(env);
    uint8_t *at = bytes;
    uint64_t word = 0;
    for (size_t i = 0; i < length; i++, word >>= 8) {
        if (i % sizeof(word) == 0)
            word = prng_next(&h->prng);
        at[i] = (uint8_t)word;
    }
    timeline_note(h->time, NOTE_RANDOM, h->index, length);
}

static void env_timer_start(struct strait_env *env, struct strait_timer *timer,
                            uint64_t deadline_ns)
{
    struct world_host *h = host_of(env);
    timer_start(&h->timers, timer, deadline_ns);
    wake_by(h, timer_wheel_next(&h->timers));
}

static void env_timer_stop(struct strait_env *env, struct strait_timer *timer)
{
    timer_stop(&host_of(env)->timers, timer);
}

/* ---- The environment: files ------------------------------------------------------------------ */

/* Records what was done to a file and what came of it, errors included. */
static void note_file(struct world_host *h, enum note note, int file, uint64_t offset,
                      int64_t result)
{
    timeline_note(h->time, note, h->index, (uint64_t)file);
    h->time->hash = hash_word(h->time->hash, offset);
    h->time->hash = hash_word(h->time->hash, result < 0 ? ~(uint64_t)errno : (uint64_t)result);
}

static int env_file_open(struct strait_env *env, const char *path, int flags)
{
    struct world_host *h = host_of(env);
    int file = disk_open(h->disk, path, flags);
    note_file(h, NOTE_FILE_OPEN, file, (uint64_t)flags, file);
    timeline_note_bytes(h->time, path, strlen(path));
    timeline_say(h->time, "%s opens '%s': file %d", h->name, path, file);
    return file;
}

static int env_file_close(struct strait_env *env, int file)
{
    struct world_host *h = host_of(env);
    int result = disk_close(h->disk, file);
    note_file(h, NOTE_FILE_CLOSE, file, 0, result);
    return result;
}

static ssize_t env_file_read(struct strait_env *env, int file, void *bytes, size_t length,
                             uint64_t offset)
{
    struct world_host *h = host_of(env);
    ssize_t n = disk_read(h->disk, file, bytes, length, offset);
    note_file(h, NOTE_FILE_READ, file, offset, n);
    if (n > 0)
        timeline_note_bytes(h->time, bytes, (size_t)n);
    timeline_say(h->time, "%s reads file %d: %zu bytes at %" PRIu64 ", got %zd", h->name, file,
                 length, offset, n);
    return n;
}

static ssize_t env_file_write(struct strait_env *env, int file, const void *bytes, size_t length,
                              uint64_t offset)
{
    struct world_host *h = host_of(env);
    ssize_t n = disk_write(h->disk, file, bytes, length, offset);
    note_file(h, NOTE_FILE_WRITE, file, offset, n);
    timeline_note_bytes(h->time, bytes, length);
    timeline_say(h->time, "%s writes file %d: %zu bytes at %" PRIu64 ", put %zd", h->name, file,
                 length, offset, n);
    return n;
}

static int64_t env_file_size(struct strait_env *env, int file)
{
    return disk_size(host_of(env)->disk, file);
}

static int env_file_sync(struct strait_env *env, int file)
{
    struct world_host *h = host_of(env);
    int result = disk_sync(h->disk, file);
    note_file(h, NOTE_FILE_SYNC, file, 0, result);
    timeline_say(h->time, "%s syncs file %d%s", h->name, file, result ? ": failed" : "");
    return result;
}

int host_file_truncate(struct world_host *h, int file, uint64_t size)
{
    int result = disk_truncate(h->disk, file, size);
    note_file(h, NOTE_FILE_TRUNCATE, file, size, result);
    timeline_say(h->time, "%s truncates file %d to %" PRIu64 "%s", h->name, file, size,
                 result ? ": failed" : "");
    return result;
}

int host_file_delete(struct world_host *h, const char *path, bool synced)
{
    int result = disk_delete(h->disk, path, synced);
    note_file(h, NOTE_FILE_DELETE, 0, synced, result);
    timeline_note_bytes(h->time, path, strlen(path));
    timeline_say(h->time, "%s deletes '%s'%s", h->name, path, result ? ": failed" : "");
    return result;
}

/* The simulated disk has no directories to look into. */
static int env_file_open_below(struct strait_env *env, int directory, const char *path, int flags)
{
    (void)env;
    (void)directory;
    (void)path;
    (void)flags;
    errno = ENOSYS;
    return -1;
}

static int env_file_status(struct strait_env *env, int directory, const char *path,
                           struct strait_file_status *status)
{
    (void)status;
    return env_file_open_below(env, directory, path, 0);
}

static int env_file_list(struct strait_env *env, int directory,
                         bool (*entry)(void *context, const char *name, bool is_directory),
                         void *context)
{
    (void)entry;
    (void)context;
    return env_file_open_below(env, directory, "", 0);
}

/* ---- The environment: work and posts --------------------------------------------------------- */

/* Puts work in the place that its time gives it. */
static void put_work(struct world_host *h, struct pending_work work)
{
    size_t i = h->work_count++;
    for (; i > 0 && h->work[i - 1].due_ns > work.due_ns; i--)
        h->work[i] = h->work[i - 1];
    h->work[i] = work;
}

static int env_execute(struct strait_env *env, struct strait_work *work)
{
    struct world_host *h = host_of(env);
    if (h->work_count == HOST_WORK_MAX) {
        errno = EAGAIN;
        return -1;
    }
    uint64_t due_ns = h->time->now_ns + WORK_MIN_NS + prng_below(&h->prng, WORK_SPREAD_NS);
    put_work(h, (struct pending_work){due_ns, false, work});
    wake_by(h, due_ns);
    return 0;
}

/* Runs the work, and says when it will be done. */
static uint64_t begin_work(struct world_host *h, struct strait_work *work)
{
    uint64_t done_ns = h->time->now_ns + prng_below(&h->prng, WORK_RUN_NS);
    disk_begin(h->disk);
    work->run(work);
    uint64_t disk_ns = disk_end(h->disk);
    return disk_ns > done_ns ? disk_ns : done_ns;
}

static void run_work(struct world_host *h)
{
    while (h->work_count > 0 && h->work[0].due_ns <= h->time->now_ns) {
        struct pending_work next = h->work[0];
        h->work_count--;
        memmove(h->work, h->work + 1, h->work_count * sizeof(h->work[0]));
        timeline_note(h->time, NOTE_WORK, h->index, next.has_run);
        if (next.has_run) {
            next.work->done(next.work);
            continue;
        }
        next.due_ns = begin_work(h, next.work);
        next.has_run = true;
        put_work(h, next);
    }
}

/* A post cannot be refused, so the memory for it (16 bytes) has to be there. */
static void env_post(struct strait_env *env, void (*function)(void *), void *argument)
{
    struct world_host *h = host_of(env);
    struct posts *posts = &h->posts;
    if (posts->count == posts->capacity) {
        posts->capacity = posts->capacity ? 2 * posts->capacity : 16;
        posts->list = realloc(posts->list, posts->capacity * sizeof(*posts->list));
        CHECK(posts->list);
    }
    posts->list[posts->count++] = (struct post){function, argument};
    wake_by(h, h->time->now_ns);
}

/* What a post posts waits for the next turn. */
static void run_posts(struct world_host *h)
{
    struct posts due = h->posts;
    h->posts = h->posts_running;
    for (size_t i = 0; i < due.count; i++) {
        timeline_note(h->time, NOTE_POST, h->index, 0);
        due.list[i].function(due.list[i].argument);
    }
    due.count = 0;
    h->posts_running = due;
}

static int env_watch(struct strait_env *env, int fd, short events,
                     void (*ready)(void *argument, int fd, short revents), void *argument)
{
    (void)env, (void)fd, (void)events, (void)ready, (void)argument;
    errno = ENOSYS;
    return -1;
}

static const struct strait_env env_of_a_host = {
    .size = sizeof(struct strait_env),
    .now = env_now,
    .random = env_random,
    .timer_start = env_timer_start,
    .timer_stop = env_timer_stop,
    .file_open = env_file_open,
    .file_close = env_file_close,
    .file_read = env_file_read,
    .file_write = env_file_write,
    .file_size = env_file_size,
    .file_sync = env_file_sync,
    .execute = env_execute,
    .post = env_post,
    .watch = env_watch,
    .wall_clock = env_wall_clock,
    .file_open_below = env_file_open_below,
    .file_status = env_file_status,
    .file_list = env_file_list,
};

/* ---- The turn -------------------------------------------------------------------------------- */

void host_tell_time(struct world_host *h)
{
    if (!h->stack || h->paused || h->busy || h->stack_ns == h->time->now_ns)
        return;
    h->busy = true;
    strait_advance(h->stack, h->time->now_ns);
    h->stack_ns = h->time->now_ns;
    h->busy = false;
}

static void start_app(struct world_host *h)
{
    h->started = true;
    timeline_note(h->time, NOTE_START, h->index, h->life);
    timeline_say(h->time, "%s starts, life %" PRIu64, h->name, h->life);
    if (h->app.start)
        h->app.start(h->app.app, h->stack, &h->env);
}

static void count_turn(struct world_host *h)
{
    timeline_count(h->time);
    if (h->active_ns != h->time->now_ns)
        h->active_turns = 0;
    h->active_ns = h->time->now_ns;
    h->active_turns++;
}

void host_turn(struct world_host *h)
{
    if (!h->stack || h->paused)
        return;
    CHECK(!h->busy);
    uint64_t now_ns = h->time->now_ns;
    count_turn(h);
    host_tell_time(h);
    disk_advance(h->disk, now_ns);
    h->time->acting = h;
    h->busy = true;
    if (!h->started)
        start_app(h);
    strait_dispatch(h->stack);
    timer_wheel_advance(&h->timers, now_ns);
    run_work(h);
    run_posts(h);
    uint64_t next_ns = strait_advance(h->stack, now_ns);
    h->busy = false;

    next_ns = earlier(next_ns, timer_wheel_next(&h->timers));
    if (h->work_count > 0)
        next_ns = earlier(next_ns, h->work[0].due_ns);
    if (h->posts.count > 0)
        next_ns = now_ns;
    wake_at(h, next_ns);
}

static void turn_happens(struct event *turn)
{
    host_turn(container_of(turn, struct world_host, turn));
}

void host_input(struct world_host *h, struct strait_link *link, const void *packet, size_t length,
                const struct strait_offload *offload)
{
    CHECK(!h->busy);
    h->busy = true;
    strait_input(h->stack, link, packet, length, offload, h->time->now_ns);
    h->stack_ns = h->time->now_ns;
    h->busy = false;
    wake_at(h, h->time->now_ns);
}

/* ---- Pause ----------------------------------------------------------------------------------- */

bool host_hold(struct world_host *h, struct strait_link *link, const void *packet, size_t length,
               const struct strait_offload *offload)
{
    if (length > HOST_HELD_BYTES_MAX - h->held_bytes)
        return false;
    struct held *held = malloc(sizeof(*held) + length);
    if (!held)
        return false;
    held->link = link;
    held->offload = *offload;
    held->length = length;
    memcpy(held->bytes, packet, length);
    STAILQ_INSERT_TAIL(&h->held, held, next);
    h->held_bytes += length;
    return true;
}

struct held *host_unhold(struct world_host *h)
{
    struct held *held = STAILQ_FIRST(&h->held);
    if (held) {
        STAILQ_REMOVE_HEAD(&h->held, next);
        h->held_bytes -= held->length;
    }
    return held;
}

static void drop_held(struct world_host *h)
{
    for (struct held *held; (held = host_unhold(h));)
        free(held);
}

void host_pause(struct world_host *h, bool paused)
{
    CHECK(!h->busy);
    if (paused == h->paused || !h->stack)
        return;
    h->paused = paused;
    event_schedule(h->time, &h->turn, paused ? STRAIT_NEVER : h->time->now_ns);
    timeline_note(h->time, paused ? NOTE_PAUSE : NOTE_RESUME, h->index, 0);
    timeline_say(h->time, "%s %s", h->name, paused ? "pauses" : "resumes");
}

/* ---- Lives ----------------------------------------------------------------------------------- */

/* Makes the stack of a life, without ports. Returns 0, or -1 with errno. */
static int make_stack(struct world_host *h)
{
    struct prng secret;
    prng_seed(&secret, seed_for(h, SEED_SECRET, h->life + 1));
    for (size_t i = 0; i < sizeof(h->config.secret); i++)
        h->config.secret[i] = (uint8_t)prng_next(&secret);
    h->stack = strait_new(&h->config, &h->env);
    if (!h->stack)
        return -1;
    h->life++;
    h->started = false;
    h->stack_ns = 0;
    h->work_count = h->posts.count = h->posts_running.count = 0;
    prng_seed(&h->prng, seed_for(h, SEED_RANDOM, h->life));
    timer_wheel_init(&h->timers, h->time->now_ns, &h->env);
    wake_at(h, h->time->now_ns);
    return 0;
}

void host_start(struct world_host *h)
{
    if (h->stack)
        return;
    /* What was accepted in one life is accepted in the next; else memory is short. */
    CHECK(make_stack(h) == 0);
    for (size_t i = 0; i < h->port_count; i++) {
        const struct port *port = &h->ports[i];
        CHECK(strait_attach(h->stack, port->link, port->address, port->prefix_bits) == 0);
    }
    for (size_t i = 0; i < h->route_count; i++) {
        const struct host_route *route = &h->routes[i];
        CHECK(strait_route(h->stack, route->network, route->prefix_bits, route->link) == 0);
    }
    host_tell_time(h);
}

/* Stops every timer, so that the application may use its own again in another life. */
static void stop_timers(struct timer_wheel *timers)
{
    while (timers->due.next != &timers->due)
        timer_stop(timers, timers->due.next);
    for (int level = 0; level < TIMER_LEVELS; level++)
        for (unsigned slot = 0; slot < TIMER_SLOTS; slot++)
            for (struct strait_timer *head = &timers->slots[level][slot]; head->next != head;)
                timer_stop(timers, head->next);
}

/*
 * The application frees what it made by the means that it always has, so the stack is still there.
 * What it has started is not: its timers may be freed without having been stopped.
 */
void host_end(struct world_host *h)
{
    CHECK(!h->busy);
    if (!h->stack)
        return;
    event_schedule(h->time, &h->turn, STRAIT_NEVER);
    stop_timers(&h->timers);
    drop_held(h);
    h->time->acting = h;
    h->busy = h->ending = true;
    if (h->started && h->app.crash)
        h->app.crash(h->app.app);
    strait_free(h->stack);
    h->stack = NULL;
    h->busy = h->ending = h->paused = false;
}

int host_attach(struct world_host *h, struct strait_link *link, struct in_addr address,
                int prefix_bits)
{
    struct port *ports = realloc(h->ports, (h->port_count + 1) * sizeof(*ports));
    if (!ports)
        return -1;
    h->ports = ports;
    if (h->stack && strait_attach(h->stack, link, address, prefix_bits))
        return -1;
    h->ports[h->port_count++] = (struct port){link, address, prefix_bits};
    return 0;
}

int host_route(struct world_host *h, struct in_addr network, int prefix_bits,
               struct strait_link *link)
{
    struct host_route *routes = realloc(h->routes, (h->route_count + 1) * sizeof(*routes));
    if (!routes)
        return -1;
    h->routes = routes;
    if (h->stack && strait_route(h->stack, network, prefix_bits, link))
        return -1;
    h->routes[h->route_count++] = (struct host_route){network, prefix_bits, link};
    return 0;
}

/* Takes the fields that the caller's configuration has. */
static void copy_config(struct strait_config *to, const struct strait_config *from)
{
    strait_config_init(to);
    if (!from)
        return;
    size_t size = from->size < sizeof(*to) ? from->size : sizeof(*to);
    memcpy(to, from, size);
    to->size = size;
}

struct world_host *host_new(struct timeline *time, uint32_t index, const char *name, uint64_t seed,
                            const struct strait_config *config, const struct world_app *app)
{
    struct world_host *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->turn.happen = turn_happens;
    h->env = env_of_a_host;
    h->time = time;
    h->index = index;
    h->seed = seed;
    h->name = strdup(name);
    h->disk = disk_new(seed_for(h, SEED_DISK, 0));
    STAILQ_INIT(&h->held);
    copy_config(&h->config, config);
    if (app)
        h->app = *app;
    if (!h->name || !h->disk || !timeline_make_room(time)) {
        errno = ENOMEM;
    } else if (make_stack(h) == 0) {
        host_tell_time(h);
        return h;
    } else {
        timeline_give_room(time);
    }
    int saved = errno;
    disk_free(h->disk);
    free(h->name);
    free(h);
    errno = saved;
    return NULL;
}

void host_free(struct world_host *h)
{
    if (!h)
        return;
    host_end(h);
    timeline_give_room(h->time);
    disk_free(h->disk);
    free(h->posts.list);
    free(h->posts_running.list);
    free(h->ports);
    free(h->routes);
    free(h->name);
    free(h);
}
