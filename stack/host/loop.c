/* SPDX-License-Identifier: MIT */
/*
 * The driver for the real world, and its environment.
 *
 * One turn is: wait -> drain the ready links -> dispatch the stacks -> environment timers, posts,
 * foreign descriptors -> advance the stacks. The clock is read once at the end of the wait, and
 * that is the `now` of the whole turn. What callbacks of any kind put into a stack is therefore
 * sent once, at the end, with the acknowledgements of what was drained; and a stack that was not
 * given packets is advanced before the callbacks, since the timers that they arm count from the
 * stack's own `now`.
 *
 * A wait is a poll of the links and of an epoll set, in which is everything else that may happen;
 * both are level-triggered: a link that was not drained empty is simply ready again. Only a loop
 * that runs reads the link that brought packets last before it asks. A timerfd in the set carries
 * the deadline. For a program that embeds the epoll descriptor in a loop of its own the links are
 * in the set, too.
 *
 * Callbacks may add and remove links and watches while a turn still holds events for them. So what
 * is removed during a turn is marked, skipped, and freed at the turn's end.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"
#include "host/files.h"
#include "host/loop_state.h"

#define EVENTS_MAX         64                   /* taken from epoll in one turn */
#define DRAIN_BUDGET_BYTES ((size_t)256 * 1024) /* of one link in one turn */
#define BUSY_ROUNDS        16                   /* polls of the links for one of all descriptors */
#define CLOCK_ROUNDS       8                    /* polls of the links for a look at the clock */
#define TURN_LONG_NS       UINT64_C(6000)       /* for one packet and its answer */
#define AWAY_NS            (10 * NS_PER_MS)     /* since the last turn: somebody had the core */
#define AWAY_DRAINS_MAX    64                   /* of a link, after that */

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* ---- The environment: clock, random numbers, timers ------------------------------------------ */

static uint64_t env_now(struct strait_env *env)
{
    (void)env;
    return clock_now();
}

static int64_t env_wall_clock(struct strait_env *env)
{
    (void)env;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * (int64_t)NS_PER_S + t.tv_nsec;
}

static void env_random(struct strait_env *env, void *bytes, size_t length)
{
    (void)env;
    uint8_t *at = bytes;
    while (length > 0) {
        ssize_t n = getrandom(at, length, 0);
        CHECK(n > 0 || errno == EINTR);
        if (n < 0)
            continue;
        at += n;
        length -= (size_t)n;
    }
}

static void env_timer_start(struct strait_env *env, struct strait_timer *timer,
                            uint64_t deadline_ns)
{
    struct strait_loop *loop = loop_of(env);
    timer_start(&loop->timers, timer, deadline_ns);
    loop->next_ns = earlier(loop->next_ns, timer_wheel_next(&loop->timers));
}

static void env_timer_stop(struct strait_env *env, struct strait_timer *timer)
{
    timer_stop(&loop_of(env)->timers, timer);
}

/* ---- The environment: other threads ---------------------------------------------------------- */

/* Ends the wait of the driving thread. Any thread, and a signal handler, may call it. */
static void wake(void *argument)
{
    struct strait_loop *loop = argument;
    int saved = errno;
    /* It fails only if the counter is about to overflow: then the loop is awake anyway. */
    ssize_t n = write(loop->wake, &(uint64_t){1}, sizeof(uint64_t));
    (void)n;
    errno = saved;
}

static void env_post(struct strait_env *env, void (*function)(void *), void *argument)
{
    struct strait_loop *loop = loop_of(env);
    if (posts_add(&loop->posts, function, argument))
        wake(loop);
}

/* The door itself is the same for every environment. */
void strait_post(struct strait_env *env, void (*function)(void *), void *argument)
{
    env->post(env, function, argument);
}

static int env_execute(struct strait_env *env, struct strait_work *work)
{
    return executor_submit(&loop_of(env)->executor, work);
}

/* ---- Draining -------------------------------------------------------------------------------- */

/*
 * Whether a timer is due that may be so only because the loop was away for a while: its process was
 * stopped, or the machine is too busy. What has waited in the links meanwhile is older than the
 * timer, and may be what it waits for.
 */
static bool timer_is_doubtful(const struct strait_loop *loop)
{
    return loop->now_ns >= loop->next_ns && loop->now_ns - loop->settled_ns >= AWAY_NS;
}

/* Takes what else waits in a link, within bounds. If it fails, it does so in the next turn, too. */
static void drain_on(struct strait_loop *loop, struct strait_link *link)
{
    for (int more = 0; more < AWAY_DRAINS_MAX; more++)
        if (link->drain(link, loop->now_ns, DRAIN_BUDGET_BYTES) <= 0)
            return;
}

/*
 * Drains one link. One that is gone is not watched any more, but stays with its stack, and every
 * turn tells of it, until it is removed: whoever is next to wait must learn that he waits in vain.
 */
static void drain_link(struct strait_loop *loop, struct source *source, uint32_t events)
{
    int packets = source->link->drain(source->link, loop->now_ns, DRAIN_BUDGET_BYTES);
    if (packets > 0) {
        source->driven->fed = true;
        loop->lively = source;
        if (timer_is_doubtful(loop))
            drain_on(loop, source->link);
        return;
    }
    int error = packets < 0 ? errno : 0;
    /* Trouble that brings no packet would be reported again at once, for ever. */
    if (!error && !(events & EPOLLIN))
        error = EIO;
    if (error) {
        loop_source_mute(loop, source);
        source->error = error;
        loop->failed++;
        loop->lively = NULL;
    }
}

/* The errno of a link that is gone, or 0. */
static int link_error(const struct strait_loop *loop)
{
    if (loop->failed == 0)
        return 0;
    const struct list *l = loop->links.next;
    while (!container_of(l, const struct source, node)->error)
        l = l->next;
    return container_of(l, const struct source, node)->error;
}

/* ---- The turn -------------------------------------------------------------------------------- */

/*
 * Lets the timerfd end a wait at that time, or earlier: a timer that is put off all the time, as
 * that of a connection, leaves it as it is, until it has expired in vain.
 */
static void set_timer(struct strait_loop *loop, uint64_t until_ns)
{
    if (loop->timer_set_ns <= until_ns && loop->timer_set_ns > loop->now_ns)
        return;
    struct itimerspec when = {0}; /* all zero: never */
    if (until_ns != STRAIT_NEVER)
        when.it_value = timespec_of(until_ns ? until_ns : 1);
    CHECK(timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0);
    loop->timer_set_ns = until_ns;
}

/* Brings all stacks to `now_ns`, sends what they have to send, and learns the next deadline. */
static void settle(struct strait_loop *loop, uint64_t now_ns)
{
    uint64_t next_ns = STRAIT_NEVER;
    for (struct list *l = loop->stacks.next; l != &loop->stacks; l = l->next) {
        struct driven *driven = container_of(l, struct driven, node);
        if (driven->links > 0)
            next_ns = earlier(next_ns, strait_advance(driven->stack, now_ns));
        driven->fed = false;
    }
    loop->now_ns = loop->settled_ns = now_ns;
    /* The wheel comes last: a link through which a stack has sent may have started a timer. */
    loop->next_ns = earlier(next_ns, timer_wheel_next(&loop->timers));
    if (loop->embedded)
        set_timer(loop, loop->next_ns);
}

/*
 * Looks for events, of the epoll set and of the links beside it; if `sleep`, until there are some.
 * The timeout of a wait would be set and taken back each time, which takes longer than the wait
 * itself: a timerfd ends it. Returns the number of events, or -1 with errno.
 */
static int wait_for_ready(struct strait_loop *loop, struct epoll_event *events, bool sleep)
{
    struct pollfd fds[LINKS_BESIDE_MAX + 1];
    struct source *beside[LINKS_BESIDE_MAX];
    nfds_t links = 0;
    for (struct list *l = loop->links.next; l != &loop->links; l = l->next) {
        struct source *source = container_of(l, struct source, node);
        if (!source->beside)
            continue;
        fds[links] = (struct pollfd){.fd = source->fd, .events = POLLIN};
        beside[links++] = source;
    }
    /* Behind the links: of what follows one that is ready, the kernel does not join the queue. */
    fds[links] = (struct pollfd){.fd = loop->epoll, .events = POLLIN};
    int ready = poll(fds, links + 1, sleep ? -1 : 0);
    if (ready <= 0)
        return ready;
    int count = 0;
    for (nfds_t i = 0; i < links; i++)
        if (fds[i].revents)
            events[count++] =
                (struct epoll_event){.events = (uint32_t)fds[i].revents, .data.ptr = beside[i]};
    if (fds[links].revents)
        count += epoll_wait(loop->epoll, events + count, EVENTS_MAX - count, 0);
    return count;
}

/* Drains the links without asking for events. Returns whether a stack was given packets, or a link
 * has failed. */
static bool poll_links(struct strait_loop *loop)
{
    bool news = false;
    for (struct list *l = loop->links.next; l != &loop->links; l = l->next) {
        struct source *source = container_of(l, struct source, node);
        if (source->fd < 0)
            continue;
        drain_link(loop, source, EPOLLIN);
        news = news || source->driven->fed || source->error;
    }
    return news;
}

/*
 * Stays awake for the packet that comes soon: waking a core that sleeps takes longer than answering
 * does. A link is asked by its own read, since a poll in front of it would cost as much again;
 * what else there is to wait for is looked at now and then, and so is the clock. Sets `*news` if a
 * link had some. Returns as wait_for_ready.
 */
static int poll_busily(struct strait_loop *loop, struct epoll_event *events, uint64_t until_ns,
                       bool *news)
{
    for (unsigned round = 0;; round++) {
        if (round % CLOCK_ROUNDS == 0)
            loop->now_ns = clock_now();
        if (poll_links(loop)) {
            *news = true;
            return 0;
        }
        bool over = loop->now_ns >= earlier(until_ns, loop->next_ns);
        if (!over && (round + 1) % BUSY_ROUNDS != 0)
            continue;
        int count = wait_for_ready(loop, events, false);
        if (count != 0 || over)
            return count;
    }
}

/*
 * A turn that took long was interrupted, by the peer of what it sent, if they share a core, or had
 * much to do: either way the next packet probably waits, and the read of the link finds it without
 * a poll in front. What else there is to wait for is looked at now and then. Returns whether
 * packets have come.
 */
static bool read_unasked(struct strait_loop *loop)
{
    if (!loop->running || !loop->lively || ++loop->unasked >= BUSY_ROUNDS)
        return false;
    loop->now_ns = clock_now();
    if (loop->now_ns - loop->settled_ns < TURN_LONG_NS)
        return false;
    struct driven *driven = loop->lively->driven;
    drain_link(loop, loop->lively, EPOLLIN);
    return driven->fed;
}

/* Waits for events until the deadline, and reads the clock. Returns their number, or -1 with EINTR.
 */
static int wait_for_events(struct strait_loop *loop, struct epoll_event *events,
                           uint64_t deadline_ns)
{
    if (read_unasked(loop))
        return 0;
    loop->unasked = 0;
    /* A turn that is about to fail has nothing to wait for. */
    bool sleep = loop->failed == 0 && earlier(deadline_ns, loop->next_ns) > loop->now_ns;
    int count = 0;
    bool news = false;
    if (loop->busy_poll_ns > 0 && sleep)
        count = poll_busily(loop, events, earlier(deadline_ns, clock_now() + loop->busy_poll_ns),
                            &news);
    if (count == 0 && !news) {
        if (sleep) /* a link that was read may have started a timer meanwhile */
            set_timer(loop, earlier(deadline_ns, loop->next_ns));
        count = wait_for_ready(loop, events, sleep);
        loop->now_ns = clock_now();
    }
    CHECK(count >= 0 || errno == EINTR);
    return count;
}

/*
 * Runs the callbacks of the stacks; and those that they have made ready, since a connection that
 * was accepted has often brought its first bytes, which need not wait for a turn of their own.
 */
static void dispatch_stacks(struct strait_loop *loop)
{
    for (struct list *l = loop->stacks.next; l != &loop->stacks; l = l->next) {
        struct driven *driven = container_of(l, struct driven, node);
        if (driven->links == 0)
            continue;
        if (!driven->fed)
            strait_advance(driven->stack, loop->now_ns);
        if (strait_dispatch(driven->stack) > 0)
            strait_dispatch(driven->stack);
    }
}

/* Runs the callbacks of the wake descriptor: posts, and the `done` of work that has finished. */
static void answer_wake(void *argument, int fd, short revents)
{
    struct strait_loop *loop = argument;
    (void)revents;
    uint64_t times;
    ssize_t n = read(fd, &times, sizeof(times));
    (void)n;
    executor_complete(&loop->executor);
    posts_run(&loop->posts);
}

/* The timerfd only ends the wait of somebody else: every turn does what is due. */
static void answer_timer(void *argument, int fd, short revents)
{
    (void)argument;
    (void)fd;
    (void)revents;
}

static void answer_watch(struct source *source, uint32_t events)
{
    /* Its wishes may have changed since the events were taken. */
    short revents = (short)((int)events & (source->events | POLLERR | POLLHUP));
    if (revents && !source->ended)
        source->ready(source->argument, source->fd, revents);
}

/* One turn, the stacks being settled. Returns 0, or -1 with errno. */
static int turn(struct strait_loop *loop, uint64_t deadline_ns)
{
    struct epoll_event events[EVENTS_MAX];
    int error = 0;
    loop->turning = true;
    int count = wait_for_events(loop, events, deadline_ns);
    if (count < 0) {
        error = errno; /* EINTR; what is due by now is done all the same */
        count = 0;
    }

    for (int i = 0; i < count; i++) {
        struct source *source = events[i].data.ptr;
        if (source->link)
            drain_link(loop, source, events[i].events);
    }
    dispatch_stacks(loop);
    timer_wheel_advance(&loop->timers, loop->now_ns);
    for (int i = 0; i < count; i++) {
        struct source *source = events[i].data.ptr;
        if (!source->link)
            answer_watch(source, events[i].events);
    }
    settle(loop, loop->now_ns);
    loop->turning = false;
    loop_reap(loop);

    if (link_error(loop))
        error = link_error(loop);
    if (error)
        errno = error;
    return error ? -1 : 0;
}

/* Before a turn that comes from outside: socket calls made meanwhile have changed the stacks. */
static int enter(struct strait_loop *loop)
{
    if (loop->turning) {
        errno = EDEADLK;
        return -1;
    }
    loop->now_ns = clock_now();
    if (timer_is_doubtful(loop))
        poll_links(loop);
    settle(loop, loop->now_ns);
    return 0;
}

int strait_loop_turn(struct strait_loop *loop, uint64_t deadline_ns)
{
    return enter(loop) ? -1 : turn(loop, deadline_ns);
}

static int env_wait(struct strait_env *env, uint64_t deadline_ns)
{
    return strait_loop_turn(loop_of(env), deadline_ns);
}

int strait_loop_run(struct strait_loop *loop)
{
    if (enter(loop))
        return -1;
    while (!atomic_load(&loop->stopped)) {
        loop->running = true;
        int result = turn(loop, STRAIT_NEVER);
        loop->running = false;
        if (result && errno != EINTR)
            return -1;
    }
    atomic_store(&loop->stopped, false);
    return 0;
}

void strait_loop_stop(struct strait_loop *loop)
{
    atomic_store(&loop->stopped, true);
    wake(loop);
}

void strait_loop_busy_poll(struct strait_loop *loop, uint64_t busy_poll_ns)
{
    loop->busy_poll_ns = busy_poll_ns;
}

int strait_loop_descriptor(struct strait_loop *loop)
{
    if (loop->embedded)
        return loop->epoll;
    if (loop_links_join(loop))
        return -1;
    loop->embedded = true;
    settle(loop, clock_now());
    return loop->epoll;
}

/* ---- The life of a loop ---------------------------------------------------------------------- */

static const struct strait_env env_of_the_host = {
    .size = sizeof(struct strait_env),
    .now = env_now,
    .random = env_random,
    .timer_start = env_timer_start,
    .timer_stop = env_timer_stop,
    .file_open = files_open,
    .file_close = files_close,
    .file_read = files_read,
    .file_write = files_write,
    .file_size = files_size,
    .file_sync = files_sync,
    .execute = env_execute,
    .post = env_post,
    .watch = loop_watch,
    .wait = env_wait,
    .wall_clock = env_wall_clock,
    .file_open_below = files_open_below,
    .file_status = files_status,
    .file_list = files_list,
};

/* Frees memory and descriptors; what was not opened is -1. */
static void release(struct strait_loop *loop)
{
    int saved = errno;
    loop_free_list(&loop->ended);
    loop_free_list(&loop->links);
    loop_free_list(&loop->stacks);
    for (size_t fd = 0; fd < loop->watches_capacity; fd++)
        free(loop->watches[fd]);
    free(loop->watches);
    posts_finish(&loop->posts);
    if (loop->timer >= 0)
        close(loop->timer);
    if (loop->wake >= 0)
        close(loop->wake);
    if (loop->epoll >= 0)
        close(loop->epoll);
    free(loop);
    errno = saved;
}

struct strait_loop *strait_loop_new(void)
{
    struct strait_loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return NULL;
    loop->env = env_of_the_host;
    loop->now_ns = loop->settled_ns = clock_now();
    loop->next_ns = STRAIT_NEVER;
    timer_wheel_init(&loop->timers, loop->now_ns, &loop->env);
    list_init(&loop->stacks);
    list_init(&loop->links);
    list_init(&loop->ended);
    atomic_init(&loop->stopped, false);
    posts_init(&loop->posts);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    loop->timer_set_ns = STRAIT_NEVER;
    if (loop->epoll < 0 || loop->wake < 0 || loop->timer < 0 ||
        loop_watch_add(loop, loop->wake, POLLIN, answer_wake, loop) ||
        loop_watch_add(loop, loop->timer, POLLIN, answer_timer, NULL)) {
        release(loop);
        return NULL;
    }
    executor_init(&loop->executor, wake, loop);
    return loop;
}

void strait_loop_free(struct strait_loop *loop)
{
    /* What was accepted is carried out: a post may hold memory, as work does. */
    executor_finish(&loop->executor);
    posts_run(&loop->posts);
    release(loop);
}

struct strait_env *strait_loop_env(struct strait_loop *loop)
{
    return &loop->env;
}
