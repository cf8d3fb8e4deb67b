/* SPDX-License-Identifier: MIT */
#include "station.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "confine.h"
#include "host/capture.h"
#include "host/tun.h"
#include "link/impair.h"
#include "privilege.h"

#define ERROR_BYTES 512

/* The device's queue towards Strait: several windows of a few megabytes in packets of 1500 bytes,
 * or the kernel drops what it may send. */
#define QUEUE_PACKETS 8192

#define LEAVE_NS UINT64_C(2000000000) /* for connections to end in order */

void say(const char *format, ...)
{
    va_list arguments;
    flockfile(stderr); /* shards speak by turns */
    fputs("strait: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    funlockfile(stderr);
}

static void notice(void *context, const char *message)
{
    (void)context;
    say("%s", message);
}

static void log_message(void *context, uint32_t category, const char *message)
{
    const struct station *s = context;
    (void)category;
    if (s->shards > 1)
        say("[%u] %s", s->shard, message);
    else
        say("%s", message);
}

int station_find(const char *name, struct in_addr *address)
{
    static const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(name, NULL, &hints, &found);
    if (failed)
        return complain("%s: %s; give its IPv4 address, as 10.7.0.1", name, gai_strerror(failed));
    struct sockaddr_in in;
    memcpy(&in, found->ai_addr, sizeof(in));
    *address = in.sin_addr;
    freeaddrinfo(found);
    return 0;
}

/* ---- Signals ---- */

void station_interrupt(struct station *s)
{
    s->signals++;
    strait_loop_stop(s->loop);
}

static void signal_ready(void *argument, int fd, short revents)
{
    (void)revents;
    struct station *s = argument;
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return;
    station_interrupt(s);
    if (s->interrupted)
        s->interrupted(s->interrupted_context);
}

/* Turns SIGINT and SIGTERM into events of the loop; threads that start later inherit the mask. */
static int open_signals(struct station *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return complain("cannot block signals: %s", strerror(errno));
    s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->signal_fd < 0 || s->env->watch(s->env, s->signal_fd, POLLIN, signal_ready, s) < 0)
        return complain("cannot watch for signals: %s", strerror(errno));
    return 0;
}

int station_init_beside(struct station *s, const struct options *options)
{
    *s = (struct station){
        .options = options,
        .control_socket = {.fd = -1, .directory = -1},
        .signal_fd = -1,
    };
    s->loop = strait_loop_new();
    if (!s->loop)
        return complain("cannot make the event loop: %s", strerror(errno));
    strait_loop_busy_poll(s->loop, options->busy_poll_ns);
    s->env = strait_loop_env(s->loop);
    return 0;
}

int station_init(struct station *s, const struct options *options)
{
    return station_init_beside(s, options) < 0 ? -1 : open_signals(s);
}

/* ---- The device and the stack on it ---- */

static int open_tun(struct station *s, const struct strait_config *host, struct strait_link **links)
{
    const struct options *o = s->options;
    char error[ERROR_BYTES];
    struct strait_tun_config config = {
        .size = sizeof(config),
        .name = o->tun,
        .mtu = o->mtu,
        .plain = o->no_offload || o->impaired,
        .peer = o->peer,
        .prefix_bits = o->prefix_bits,
        .queue_packets = QUEUE_PACKETS,
        .notice = notice,
    };
    int queues = strait_tun_open_queues(&config, host, links, error, sizeof(error));
    if (queues < 0)
        return complain("%s", error);
    s->tun = s->link = links[0];
    if (o->impaired && !o->no_offload)
        say("--impair: going on without offload, since no path carries super-packets");
    return queues;
}

static int add_impairment(struct station *s)
{
    const struct impair_config *both = &s->options->impair;
    uint64_t seed;
    if (!s->options->impaired)
        return 0;
    s->env->random(s->env, &seed, sizeof(seed));
    s->impair = impair_link_new(s->link, s->env, both, both, seed);
    if (!s->impair)
        return complain("--impair: %s", strerror(errno));
    s->link = s->impair;
    return 0;
}

/* Around the impairment: it shows what the stack sends and receives; tcpdump sees the other end. */
static int add_capture(struct station *s)
{
    const struct options *o = s->options;
    char error[ERROR_BYTES];
    if (!o->capture)
        return 0;
    struct strait_link *capture =
        capture_open(s->link, o->capture, o->filter, error, sizeof(error));
    if (!capture)
        return complain("%s", error);
    capture_on_failure(capture, notice, NULL);
    s->link = capture;
    return 0;
}

/* ---- What is asked and told while it runs ---- */

static void trace_failed(int error)
{
    say("the trace ends here: %s", strerror(error));
}

static int open_trace(struct station *s)
{
    const char *file = s->options->trace;
    if (!file)
        return 0;
    s->trace = trace_open(file, trace_failed);
    return s->trace
               ? 0
               : complain("--trace %s: %s; name a file that can be written", file, strerror(errno));
}

/* A socket that was asked for is there, or the program ends; one by default may be missing. */
static int open_control(struct station *s)
{
    char path[CONTROL_PATH_MAX], error[ERROR_BYTES];
    const char *wanted = s->options->control;
    if (wanted && strcmp(wanted, "none") == 0)
        return 0;
    if (wanted) {
        if (control_socket_open(&s->control_socket, wanted, false, error, sizeof(error)) < 0)
            return complain("--control %s", error);
        return 0;
    }
    if (s->options->controlled && control_default_path(s->tun->name, geteuid() == 0, path) &&
        control_socket_open(&s->control_socket, path, true, error, sizeof(error)) < 0)
        say("going on without a control socket: %s", error);
    return 0;
}

void station_counters(const struct station *s,
                      void (*visit)(void *context, const char *name, uint64_t value), void *context)
{
    strait_counters(s->stack, visit, context);
    if (s->impair)
        impair_link_counters(s->impair, visit, context);
    tun_counters(s->tun, visit, context);
}

static void counters(void *station, void (*visit)(void *context, const char *name, uint64_t value),
                     void *context)
{
    station_counters(station, visit, context);
}

static int start_control(struct station *s)
{
    const struct control_config config = {
        .stack = s->stack,
        .env = s->env,
        .fd = s->control_socket.fd,
        .patience_ns = CONTROL_PATIENCE_NS,
        .counters = counters,
        .counters_context = s,
    };
    if (config.fd < 0)
        return 0;
    s->control = control_start(&config);
    return s->control ? 0 : complain("cannot answer on the control socket: %s", strerror(errno));
}

/* ---- The stack ---- */

static int give_up_privileges(struct station *s)
{
    char error[ERROR_BYTES];
    if (privilege_drop(s->user, sizeof(s->user), error, sizeof(error)) < 0)
        return complain("%s", error);
    return 0;
}

void station_host(struct station *s, struct strait_config *host)
{
    *host = s->options->config;
    s->env->random(s->env, host->secret, sizeof(host->secret));
    host->log_categories = s->options->log_categories;
    host->log = log_message;
}

int station_open_device(struct station *s, const struct strait_config *host,
                        struct strait_link **links)
{
    int queues = open_tun(s, host, links);
    if (queues < 0)
        return -1;
    if (add_impairment(s) < 0 || add_capture(s) < 0 || open_trace(s) < 0 ||
        (queues == 1 && open_control(s) < 0) || give_up_privileges(s) < 0) {
        for (int i = 1; i < queues; i++)
            links[i]->close(links[i]);
        return -1;
    }
    return queues;
}

int station_start(struct station *s, const struct strait_config *host)
{
    struct strait_config config = *host;
    config.log_context = s;
    s->shard = host->shard;
    s->shards = host->shards;
    s->stack = strait_new(&config, s->env);
    if (!s->stack)
        return complain("cannot make the stack: %s", strerror(errno));
    if (strait_attach(s->stack, s->link, s->options->addr, s->options->prefix_bits) < 0)
        return complain("cannot attach %s: %s", s->options->tun, strerror(errno));
    if (strait_loop_add(s->loop, s->stack, s->link) < 0)
        return complain("cannot drive %s: %s", s->options->tun, strerror(errno));
    if (s->trace)
        trace_start(s->trace, s->stack, s->env);
    return start_control(s);
}

int station_open(struct station *s)
{
    struct strait_config host;
    struct strait_link *link;
    station_host(s, &host);
    return station_open_device(s, &host, &link) < 0 ? -1 : station_start(s, &host);
}

int station_open_host(struct station *s, const struct options *options, struct stream_host *host)
{
    if (station_init(s, options) < 0)
        return -1;
    if (options->addr.s_addr == 0) {
        *host = stream_host_kernel(s->env);
        return 0;
    }
    if (station_open(s) < 0)
        return -1;
    *host = stream_host_strait(s->stack, s->env);
    return 0;
}

int station_leave(struct station *s)
{
    return s->stack ? station_finish(s, s->env->now(s->env) + LEAVE_NS) : 0;
}

int station_confine(struct station *s, const char *readable, const char *writable)
{
    char text[200], error[200];
    const struct confine_needs needs = {
        .readable = readable,
        .writable = writable,
        .control_fd = s->control_socket.fd,
        .control_directory = s->control_socket.directory,
    };
    if (confine(&needs, text, sizeof(text), error, sizeof(error)) < 0)
        return complain("%s", error);
    if (text[0] != '\0' && s->options->log_categories != 0)
        say("%s", text);
    return 0;
}

/* ---- Run and end ---- */

static int link_failed(const struct station *s)
{
    return complain("%s has failed: %s", s->link ? s->link->name : "the event loop",
                    strerror(errno));
}

int station_run(struct station *s)
{
    return strait_loop_run(s->loop) < 0 ? link_failed(s) : 0;
}

int station_turn(struct station *s, uint64_t deadline_ns)
{
    return strait_loop_turn(s->loop, deadline_ns) < 0 && errno != EINTR ? link_failed(s) : 0;
}

int station_await(struct station *s, int fd, short events, uint64_t deadline_ns)
{
    unsigned signals = s->signals;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        if (strait_poll(s->stack, &p, 1, 0) > 0)
            return 1;
        if (s->signals != signals || s->env->now(s->env) >= deadline_ns)
            return 0;
        if (station_turn(s, deadline_ns) < 0)
            return -1;
    }
}

int station_finish(struct station *s, uint64_t deadline_ns)
{
    unsigned signals = s->signals;
    while (strait_connections(s->stack) > 0 && s->signals == signals &&
           s->env->now(s->env) < deadline_ns)
        if (station_turn(s, deadline_ns) < 0)
            return -1;
    return 0;
}

void station_free(struct station *s)
{
    control_stop(s->control);
    control_socket_close(&s->control_socket);
    if (s->loop && s->stack)
        strait_loop_remove(s->loop, s->link);
    if (s->stack)
        strait_free(s->stack);
    trace_close(s->trace); /* the stack has told how its connections ended */
    if (s->link)
        s->link->close(s->link);
    if (s->signal_fd >= 0) {
        s->env->watch(s->env, s->signal_fd, 0, NULL, NULL);
        close(s->signal_fd);
    }
    if (s->loop)
        strait_loop_free(s->loop);
}
