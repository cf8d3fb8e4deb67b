/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "echo/echo.h"
#include "host/capture.h"
#include "host/tun.h"
#include "http/http.h"
#include "link/impair.h"
#include "privilege.h"
#include "strait.h"

#define ERROR_BYTES 512
#define STOP_NS     (2 * UINT64_C(1000000000)) /* for connections to end in order */

/* The device's queue towards Strait: several windows of a few megabytes in packets of 1500 bytes,
 * or the kernel drops what it may send. */
#define QUEUE_PACKETS 8192

enum { SERVERS = 4 };

struct serve {
    const struct options *options;
    struct strait_loop *loop;
    struct strait_env *env;
    struct strait_link *tun;
    struct strait_link *impair; /* around the TUN; NULL: none */
    struct strait_link *link;   /* the outermost, which owns the others: TUN, impairment, capture */
    struct strait *stack;
    struct server *servers[SERVERS];
    struct echo_udp *echo_udp;
    int signal_fd;
    unsigned signals;
};

/* One line to stderr. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list arguments;
    fputs("strait: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* Says what has failed; its value is the failed function's. */
#define complain(...) (say(__VA_ARGS__), -1)

static void notice(void *context, const char *message)
{
    (void)context;
    say("%s", message);
}

static void log_message(void *context, uint32_t category, const char *message)
{
    (void)context;
    (void)category;
    say("%s", message);
}

/* ---- Signals ---- */

static void signal_ready(void *argument, int fd, short revents)
{
    (void)revents;
    struct serve *s = argument;
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return;
    s->signals++;
    strait_loop_stop(s->loop);
}

/* Turns SIGINT and SIGTERM into events of the loop; threads that start later inherit the mask. */
static int open_signals(struct serve *s)
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

/* ---- Start ---- */

/* Whether --root is a directory that `user` can read. */
static int check_root(struct serve *s, const char *user)
{
    const char *root = s->options->root;
    if (!root)
        return 0;
    int directory = s->env->file_open(s->env, root, O_RDONLY | O_DIRECTORY);
    if (directory >= 0) {
        s->env->file_close(s->env, directory);
        return 0;
    }
    if (errno == EACCES)
        return complain("--root %s: %s cannot read it; choose another directory or give the right",
                        root, user);
    return complain("--root %s: %s; name a directory that exists", root, strerror(errno));
}

static int open_tun(struct serve *s)
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
    s->tun = s->link = strait_tun_open(&config, error, sizeof(error));
    if (!s->link)
        return complain("%s", error);
    if (o->impaired && !o->no_offload)
        say("--impair: going on without offload, since no path carries super-packets");
    return 0;
}

static int add_impairment(struct serve *s)
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
static int add_capture(struct serve *s)
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

static int give_up_privileges(struct serve *s)
{
    char user[64], error[ERROR_BYTES];
    if (privilege_drop(user, sizeof(user), error, sizeof(error)) < 0)
        return complain("%s", error);
    say("running as %s", user);
    return check_root(s, user);
}

static int start_stack(struct serve *s)
{
    struct strait_config config;
    strait_config_init(&config);
    s->env->random(s->env, config.secret, sizeof(config.secret));
    config.log_categories = s->options->log_categories;
    config.log = log_message;
    s->stack = strait_new(&config, s->env);
    if (!s->stack)
        return complain("cannot make the stack: %s", strerror(errno));
    if (strait_attach(s->stack, s->link, s->options->addr, s->options->prefix_bits) < 0)
        return complain("cannot attach %s: %s", s->options->tun, strerror(errno));
    if (strait_loop_add(s->loop, s->stack, s->link) < 0)
        return complain("cannot drive %s: %s", s->options->tun, strerror(errno));
    return 0;
}

static struct server *start_http(struct serve *s)
{
    return http_start(s->stack, s->env, 80, s->options->root);
}

static int start_services(struct serve *s)
{
    if (!(s->servers[0] = echo_start(s->stack, s->env, 7)))
        return complain("cannot serve echo on TCP port 7: %s", strerror(errno));
    if (!(s->servers[1] = discard_start(s->stack, s->env, 9)))
        return complain("cannot serve discard on TCP port 9: %s", strerror(errno));
    if (!(s->servers[2] = chargen_start(s->stack, s->env, 19)))
        return complain("cannot serve chargen on TCP port 19: %s", strerror(errno));
    if (!(s->servers[3] = start_http(s)))
        return complain("cannot serve HTTP on TCP port 80: %s", strerror(errno));
    if (!(s->echo_udp = echo_udp_start(s->stack, 7)))
        return complain("cannot serve echo on UDP port 7: %s", strerror(errno));
    return 0;
}

/* Ends them at once: connections that are left are reset. */
static void free_services(struct serve *s)
{
    for (size_t i = 0; i < SERVERS; i++) {
        server_free(s->servers[i]);
        s->servers[i] = NULL;
    }
    echo_udp_stop(s->echo_udp);
    s->echo_udp = NULL;
}

/* ---- Run and stop ---- */

static int run(struct serve *s)
{
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &s->options->addr, address, sizeof(address));
    printf("strait: ready on %s, %s\n", s->link->name, address);
    fflush(stdout);
    if (strait_loop_run(s->loop) < 0)
        return complain("%s has failed: %s", s->link->name, strerror(errno));
    return 0;
}

/* One turn of the loop. */
static int turn(struct serve *s, uint64_t deadline_ns)
{
    if (strait_loop_turn(s->loop, deadline_ns) < 0 && errno != EINTR)
        return complain("%s has failed: %s", s->link->name, strerror(errno));
    return 0;
}

/* Ends the services in order, as far as the peers and a second signal let it. */
static int stop(struct serve *s)
{
    uint64_t deadline_ns = s->env->now(s->env) + STOP_NS;
    for (size_t i = 0; i < SERVERS; i++)
        server_stop(s->servers[i]);
    while (strait_connections(s->stack) > 0 && s->signals < 2 && s->env->now(s->env) < deadline_ns)
        if (turn(s, deadline_ns) < 0)
            return -1;
    free_services(s);
    return turn(s, 0); /* lets the last segments leave */
}

static void print_counter(void *context, const char *name, uint64_t value)
{
    (void)context;
    if (value > 0)
        printf("%s %" PRIu64 "\n", name, value);
}

static void print_counters(const struct serve *s)
{
    strait_counters(s->stack, print_counter, NULL);
    if (s->impair)
        impair_link_counters(s->impair, print_counter, NULL);
    tun_counters(s->tun, print_counter, NULL);
    fflush(stdout);
}

/* Releases whatever has been made. */
static void release(struct serve *s)
{
    free_services(s);
    if (s->loop && s->stack)
        strait_loop_remove(s->loop, s->link);
    if (s->stack)
        strait_free(s->stack);
    if (s->link)
        s->link->close(s->link);
    if (s->signal_fd >= 0) {
        s->env->watch(s->env, s->signal_fd, 0, NULL, NULL);
        close(s->signal_fd);
    }
    if (s->loop)
        strait_loop_free(s->loop);
}

static int start(struct serve *s)
{
    s->loop = strait_loop_new();
    if (!s->loop)
        return complain("cannot make the event loop: %s", strerror(errno));
    s->env = strait_loop_env(s->loop);
    /* Looked at twice: a wrong name should not leave a device behind. */
    if (check_root(s, "this user") < 0 || open_signals(s) < 0 || open_tun(s) < 0 ||
        add_impairment(s) < 0 || add_capture(s) < 0 || give_up_privileges(s) < 0)
        return -1;
    return start_stack(s) < 0 ? -1 : start_services(s);
}

int serve(const struct options *options)
{
    struct serve s = {.options = options, .signal_fd = -1};
    int result = start(&s);
    if (result == 0)
        result = run(&s);
    if (result == 0)
        result = stop(&s);
    if (result == 0)
        print_counters(&s);
    release(&s);
    return result == 0 ? 0 : 1;
}
