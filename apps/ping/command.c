/* SPDX-License-Identifier: MIT */
#include "ping/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ping/ping.h"
#include "station.h"

#define SECOND_NS   UINT64_C(1000000000)
#define INTERVAL_MS 2 /* at least, as iputils wants it of ordinary users */
#define COUNT_MAX   1000000000
#define TIME_MAX_S  3600
#define TTL_MAX     255

#define EXIT_NO_REPLY 1
#define EXIT_TROUBLE  2

/* ---- The command line ---- */

static int take_time(const char *text, char option, uint64_t least_ns, uint64_t *ns,
                     const struct report *report)
{
    if (options_seconds(text, TIME_MAX_S, ns) && *ns >= least_ns)
        return 0;
    return options_fail(report, "-%c %s: must be a number of seconds from %g to %d", option, text,
                        (double)least_ns / SECOND_NS, TIME_MAX_S);
}

static int take_option(void *settings, int option, const char *value, const struct report *report)
{
    struct ping_config *config = settings;
    long number;
    switch (option) {
    case 'c':
        if (!options_number(value, COUNT_MAX, &number) || number < 1)
            return options_fail(report, "-c %s: must be a number of requests from 1 to %d", value,
                                COUNT_MAX);
        config->count = (uint32_t)number;
        return 0;
    case 'i':
        return take_time(value, 'i', INTERVAL_MS * (SECOND_NS / 1000), &config->interval_ns,
                         report);
    case 't':
        if (!options_number(value, TTL_MAX, &number) || number < 1)
            return options_fail(report, "-t %s: must be a TTL from 1 to %d", value, TTL_MAX);
        config->ttl = (uint8_t)number;
        return 0;
    case 'W':
        return take_time(value, 'W', 0, &config->wait_ns, report);
    default: /* 's' */
        if (!options_number(value, PING_DATA_MAX, &number))
            return options_fail(report, "-s %s: must be a number of bytes up to %d", value,
                                PING_DATA_MAX);
        config->data_bytes = (size_t)number;
        return 0;
    }
}

static int check_options(void *settings, const struct options *options, const struct report *report)
{
    struct ping_config *config = settings;
    if (options->operand_count == 0)
        return options_fail(report, "the host to ping is missing; say for example ping 10.7.0.1");
    config->name = options->operands[0];
    return 0;
}

static const struct command command = {
    .name = "ping",
    .help = "Usage: strait ping HOST --addr ADDRESS/BITS [OPTION...]\n"
            "\n"
            "Sends ICMP echo requests until SIGINT, and says what comes back. Exit status: 0 if\n"
            "there was a reply, 1 if there was none, 2 for trouble.\n"
            "\n"
            "  -c N               ends after so many requests\n"
            "  -i SECONDS         between requests (default: 1), at least 0.002\n"
            "  -s BYTES           of data in a request (default: 56), at most 65507\n"
            "  -t TTL             of the requests, 1 to 255 (default: 64)\n"
            "  -W SECONDS         waits so long if there is no reply at all (default: 10)\n",
    .letters = "c:i:s:t:W:",
    .operands_max = 1,
    .take = take_option,
    .check = check_options,
};

/* ---- What is said ---- */

static void print_line(void *context, const char *line)
{
    (void)context;
    puts(line);
    fflush(stdout);
}

static void print_error(void *context, int number)
{
    (void)context;
    say("%s", strerror(number));
}

static void ended(void *context)
{
    struct station *s = context;
    strait_loop_stop(s->loop);
}

/* Pings until it ends or is ended. Returns the exit status. */
static int run(struct station *s, struct ping_config *config)
{
    config->line = print_line;
    config->error = print_error;
    config->ended = ended;
    config->context = s;
    struct ping *ping = ping_start(s->stack, s->env, config);
    if (!ping) {
        say("%s: %s", config->name, strerror(errno));
        return EXIT_TROUBLE;
    }
    int status = station_run(s) < 0 ? EXIT_TROUBLE : 0;
    ping_summary(ping);
    if (status == 0 && !ping_heard(ping))
        status = EXIT_NO_REPLY;
    ping_free(ping);
    return status;
}

int ping_main(int argc, char *argv[])
{
    struct ping_config config = {
        .interval_ns = SECOND_NS, .wait_ns = 10 * SECOND_NS, .data_bytes = 56};
    struct options options;
    struct station s;
    int status;
    if (!options_begin(&command, argc, argv, &options, &config, &status))
        return status;
    if (station_find(config.name, &config.to) < 0)
        return EXIT_TROUBLE;
    status = EXIT_TROUBLE;
    if (station_init(&s, &options) == 0 && station_open(&s) == 0 &&
        station_confine(&s, NULL, NULL) == 0)
        status = run(&s, &config);
    station_free(&s);
    return status;
}
