/* SPDX-License-Identifier: MIT */
#include "stat/command.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "control/ask.h"
#include "names.h"
#include "options.h"
#include "stat/report.h"

#define ERROR_BYTES 512
#define WATCH_MAX_S 86400
#define SECOND_NS   UINT64_C(1000000000)

enum { OPT_COUNTERS = OPTION_WITHOUT_LETTER, OPT_ALL, OPT_JSON, OPT_WATCH, OPT_STATE, OPT_PORT };

struct settings {
    bool counters;     /* and not the endpoints */
    bool all;          /* of the counters */
    bool json;         /* as they come */
    uint64_t watch_ns; /* between two rounds; 0: one round */
    const char *state; /* of the endpoints that are shown; NULL: any */
    long port;         /* at either end; 0: any */
    bool headed;       /* of the text of this round the heading is there */
};

/* ---- The command line ---- */

static int take_option(void *settings, int option, const char *value, const struct report *report)
{
    struct settings *s = settings;
    switch (option) {
    case OPT_COUNTERS:
        s->counters = true;
        return 0;
    case OPT_ALL:
        s->all = true;
        return 0;
    case OPT_JSON:
        s->json = true;
        return 0;
    case OPT_WATCH:
        s->watch_ns = SECOND_NS;
        if (value && (!options_seconds(value, WATCH_MAX_S, &s->watch_ns) || s->watch_ns == 0))
            return options_fail(report, "--watch=%s: must be seconds above 0, up to %d", value,
                                WATCH_MAX_S);
        return 0;
    case OPT_STATE:
        if (!state_is_known(value))
            return options_fail(report,
                                "--state %s: there is no such state; there are ESTAB, LISTEN, "
                                "TIME-WAIT and the others of ss",
                                value);
        s->state = value;
        return 0;
    default: /* OPT_PORT */
        if (!options_number(value, UINT16_MAX, &s->port) || s->port < 1)
            return options_fail(report, "--port %s: a port is a number from 1 to 65535", value);
        return 0;
    }
}

static int check_options(void *settings, const struct options *options, const struct report *report)
{
    const struct settings *s = settings;
    (void)options;
    if (s->all && !s->counters)
        return options_fail(report, "--all needs --counters; endpoints are all shown anyway");
    if (s->counters && (s->state || s->port > 0))
        return options_fail(report, "--counters are of all connections: leave out --state and "
                                    "--port");
    return 0;
}

static const struct command command = {
    .name = "stat",
    .help = "Usage: strait stat [OPTION...]\n"
            "\n"
            "Shows the connections and sockets of a running strait, much as ss -ti does; times in\n"
            "milliseconds, windows in bytes.\n"
            "\n"
            "  --state STATE      only those in this state: ESTAB, TIME-WAIT, LISTEN ...\n"
            "  --port N           only those with this port at either end\n"
            "  --counters         the counters that are not 0 instead\n"
            "  --all              with those that are\n"
            "  --json             one JSON object in each line; of the counters a single one\n"
            "  --watch[=SECONDS]  again and again (each second), until it is interrupted\n",
    .asks = true,
    .letters = "",
    .options = {{"counters", no_argument, NULL, OPT_COUNTERS},
                {"all", no_argument, NULL, OPT_ALL},
                {"json", no_argument, NULL, OPT_JSON},
                {"watch", optional_argument, NULL, OPT_WATCH},
                {"state", required_argument, NULL, OPT_STATE},
                {"port", required_argument, NULL, OPT_PORT}},
    .take = take_option,
    .check = check_options,
};

/* ---- One round ---- */

static void put_json(const json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
}

static bool is_wanted(const struct settings *s, const json_t *endpoint)
{
    const char *state = json_string_value(json_object_get(endpoint, "state"));
    if (s->state && (!state || strcasecmp(s->state, state) != 0))
        return false;
    return s->port == 0 || json_integer_value(json_object_get(endpoint, "local_port")) == s->port ||
           json_integer_value(json_object_get(endpoint, "peer_port")) == s->port;
}

/* Puts the heading of a table in front of its first line. */
static void put_heading(struct settings *s)
{
    if (!s->headed && !s->json && !s->counters)
        report_heading(stdout);
    s->headed = true;
}

static void take_endpoint(void *context, json_t *endpoint)
{
    struct settings *s = context;
    if (!is_wanted(s, endpoint))
        return;
    put_heading(s);
    if (s->json)
        put_json(endpoint);
    else
        report_endpoint(stdout, endpoint);
}

static void take_counters(void *context, json_t *counters)
{
    const struct settings *s = context;
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(counters, next, name,
                             value) if (!s->all && json_integer_value(value) == 0)
        json_object_del(counters, name);
    if (s->json) {
        put_json(counters);
        return;
    }
    json_object_foreach(counters, name, value) printf("%s %lld\n", name, json_integer_value(value));
}

/* Returns 0, or -1 after a line. */
static int show(struct settings *s, const struct options *options)
{
    char error[ERROR_BYTES];
    s->headed = false;
    int result = control_ask(options, s->counters ? "counters" : "endpoints",
                             s->counters ? take_counters : take_endpoint, s, error, sizeof(error));
    if (result == 0)
        put_heading(s); /* even of an empty table */
    if (result < 0)
        fprintf(stderr, "strait: %s\n", error);
    return result;
}

/* ---- Again and again ---- */

/* Waits; a signal ends it. Returns whether there was none. */
static bool sleep_between(const sigset_t *signals, uint64_t ns)
{
    const struct timespec time = {.tv_sec = (time_t)(ns / SECOND_NS),
                                  .tv_nsec = (long)(ns % SECOND_NS)};
    return sigtimedwait(signals, NULL, &time) < 0;
}

static int watch(struct settings *s, const struct options *options)
{
    const char *clear = isatty(STDOUT_FILENO) ? "\033[H\033[2J\033[3J" : "";
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    do {
        fputs(clear, stdout);
        if (show(s, options) < 0)
            return -1;
        if (fflush(stdout) != 0)
            return 0; /* nobody looks on; main tells */
    } while (sleep_between(&signals, s->watch_ns));
    return 0;
}

int stat_main(int argc, char *argv[])
{
    struct settings settings = {0};
    struct options options;
    int status;
    if (!options_begin(&command, argc, argv, &options, &settings, &status))
        return status;
    int result = settings.watch_ns > 0 ? watch(&settings, &options) : show(&settings, &options);
    return result == 0 ? 0 : 1;
}
