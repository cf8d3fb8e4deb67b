/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "confine.h"
#include "echo/echo.h"
#include "http/http.h"
#include "primes/stubs.h"
#include "rpc/classic.h"
#include "station.h"

#define STOP_NS (2 * UINT64_C(1000000000)) /* for connections to end in order */

enum { SERVERS = 5 };

/* What its own options say. */
struct settings {
    const char *root;       /* the directory that HTTP serves; NULL: a built-in page */
    const char *access_log; /* a file that lines are added to; "-": stdout; NULL: none */
};

struct serve {
    struct station station;
    const struct settings *settings;
    struct server *servers[SERVERS];
    struct echo_udp *echo_udp;
    struct rpc_dispatcher *rpc;
    FILE *access_log; /* NULL: none, or it cannot be written any more */
};

/* ---- The command line ---- */

enum { OPT_ROOT = OPTION_WITHOUT_LETTER, OPT_ACCESS_LOG };

static int take_option(void *settings, int option, const char *value, const struct report *report)
{
    struct settings *s = settings;
    (void)report;
    if (option == OPT_ROOT)
        s->root = value;
    else
        s->access_log = value;
    return 0;
}

static const struct command command = {
    .name = "serve",
    .help =
        "Usage: strait serve --addr ADDRESS/BITS [OPTION...]\n"
        "\n"
        "Is a host on a TUN device, until SIGINT or SIGTERM. Services: echo (TCP and UDP port 7),\n"
        "discard (9), chargen (19), HTTP (80), remote procedures (7000). On the way out it\n"
        "prints its counters.\n"
        "\n"
        "  --root DIR         the directory that HTTP serves (default: one built-in page)\n"
        "  --access-log FILE  a line for each HTTP request, in the \"combined\" format; - is "
        "stdout\n",
    .controlled = true,
    .letters = "",
    .options = {{"root", required_argument, NULL, OPT_ROOT},
                {"access-log", required_argument, NULL, OPT_ACCESS_LOG}},
    .take = take_option,
};

/* ---- Start ---- */

/* Whether --root is a directory that `user` can read. */
static int check_root(struct serve *s, const char *user)
{
    struct strait_env *env = s->station.env;
    const char *root = s->settings->root;
    if (!root)
        return 0;
    int directory = env->file_open(env, root, O_RDONLY | O_DIRECTORY);
    if (directory >= 0) {
        env->file_close(env, directory);
        return 0;
    }
    if (errno == EACCES)
        return complain("--root %s: %s cannot read it; choose another directory or give the right",
                        root, user);
    return complain("--root %s: %s; name a directory that exists", root, strerror(errno));
}

/* Opened as root, like the capture. Each line is there at once, for `tail -f`. */
static int open_access_log(struct serve *s)
{
    const char *name = s->settings->access_log;
    if (!name)
        return 0;
    s->access_log = strcmp(name, "-") == 0 ? stdout : fopen(name, "ae");
    if (!s->access_log || setvbuf(s->access_log, NULL, _IOLBF, 0) != 0)
        return complain("--access-log %s: %s; name a file that can be written", name,
                        strerror(errno));
    return 0;
}

static void close_access_log(struct serve *s)
{
    if (s->access_log && s->access_log != stdout)
        fclose(s->access_log);
    s->access_log = NULL;
}

static void write_access_log(void *context, const char *line, size_t length)
{
    struct serve *s = context;
    if (!s->access_log || fwrite(line, 1, length, s->access_log) == length)
        return;
    say("the access log ends here: %s", strerror(errno));
    close_access_log(s);
}

static struct server *start_http(struct serve *s)
{
    const struct http_config config = {
        .port = 80,
        .root = s->settings->root,
        .log = s->access_log ? write_access_log : NULL,
        .log_context = s,
    };
    return http_start(s->station.stack, s->station.env, &config);
}

static struct server *start_rpc(struct serve *s)
{
    const struct stream_host host = stream_host_strait(s->station.stack, s->station.env);
    const struct classic_config config = {
        .address = {.sin_family = AF_INET, .sin_port = htons(CLASSIC_PORT)}};
    s->rpc = rpc_new(s->station.env);
    if (!s->rpc || primes_serve(s->rpc) < 0)
        return NULL;
    return classic_start(&host, s->rpc, &config);
}

static int start_services(struct serve *s)
{
    struct strait *stack = s->station.stack;
    struct strait_env *env = s->station.env;

    if (!(s->servers[0] = echo_start(stack, env, 7)))
        return complain("cannot serve echo on TCP port 7: %s", strerror(errno));
    if (!(s->servers[1] = discard_start(stack, env, 9)))
        return complain("cannot serve discard on TCP port 9: %s", strerror(errno));
    if (!(s->servers[2] = chargen_start(stack, env, 19)))
        return complain("cannot serve chargen on TCP port 19: %s", strerror(errno));
    if (!(s->servers[3] = start_http(s)))
        return complain("cannot serve HTTP on TCP port 80: %s", strerror(errno));
    if (!(s->servers[4] = start_rpc(s)))
        return complain("cannot serve procedures on TCP port %d: %s", CLASSIC_PORT,
                        strerror(errno));
    if (!(s->echo_udp = echo_udp_start(stack, 7)))
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

/* From here on nothing is opened but files below the root. */
static int give_up_the_rest(struct serve *s)
{
    char notice[200], error[200];
    const struct confine_needs needs = {
        .readable = s->settings->root,
        .control_fd = s->station.control_socket.fd,
        .control_directory = s->station.control_socket.directory,
    };
    if (confine(&needs, notice, sizeof(notice), error, sizeof(error)) < 0)
        return complain("%s", error);
    if (notice[0] != '\0' && s->station.options->log_categories != 0)
        say("%s", notice);
    return 0;
}

static int start(struct serve *s, const struct options *options)
{
    /* Looked at twice: a wrong name should not leave a device behind. */
    if (station_init(&s->station, options) < 0 || check_root(s, "this user") < 0 ||
        open_access_log(s) < 0 || station_open(&s->station) < 0)
        return -1;
    say("running as %s", s->station.user);
    if (check_root(s, s->station.user) < 0 || start_services(s) < 0)
        return -1;
    return give_up_the_rest(s);
}

/* ---- Run and stop ---- */

static int run(struct serve *s)
{
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &s->station.options->addr, address, sizeof(address));
    printf("strait: ready on %s, %s\n", s->station.link->name, address);
    fflush(stdout);
    return station_run(&s->station);
}

/* Ends the services in order, as far as the peers and a second signal let it. */
static int stop(struct serve *s)
{
    struct strait_env *env = s->station.env;
    for (size_t i = 0; i < SERVERS; i++)
        server_stop(s->servers[i]);
    if (station_finish(&s->station, env->now(env) + STOP_NS) < 0)
        return -1;
    free_services(s);
    return station_turn(&s->station, 0); /* lets the last segments leave */
}

static void print_counter(void *context, const char *name, uint64_t value)
{
    (void)context;
    if (value > 0)
        printf("%s %" PRIu64 "\n", name, value);
}

static void print_counters(const struct serve *s)
{
    rpc_visit_counters(s->rpc, print_counter, NULL);
    station_counters(&s->station, print_counter, NULL);
}

int serve_main(int argc, char *argv[])
{
    struct options options;
    struct settings settings = {0};
    struct serve s = {.settings = &settings};
    int status;
    if (!options_begin(&command, argc, argv, &options, &settings, &status))
        return status;
    int result = start(&s, &options);
    if (result == 0)
        result = run(&s);
    if (result == 0)
        result = stop(&s);
    if (result == 0)
        print_counters(&s);
    fflush(stdout);
    free_services(&s);
    rpc_free(s.rpc);
    close_access_log(&s);
    station_free(&s.station);
    return result == 0 ? 0 : 1;
}
